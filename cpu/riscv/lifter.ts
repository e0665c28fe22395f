/**
 * What the rows of the RISC-V tables are made of, and the context their `lift` functions work in.
 *
 * @module
 */
import type { Builder, Value } from "../ir/builder.ts";
import { Fp, JumpHint, Op, Slot, Trap } from "../ir/ops.ts";
import type { FieldInfo, Fields, Row } from "../isa/decoder.ts";
import { F_BASE, X_BASE } from "./state.ts";

/** An instruction: encoding, assembly and meaning in one place. */
export interface RvRow extends Row {
  /** Operands in assembly, with `{field}` references; see disassembler.ts. */
  readonly asm: string;
  /** The instruction's meaning. */
  readonly lift: (c: Lifter, f: Fields) => void;
  /** Only for this register width. */
  readonly xlen?: 32 | 64 | undefined;
}

/** Fields of RISC-V encodings. */
export const FIELDS: Readonly<Record<string, FieldInfo>> = {
  rd: { width: 5 },
  rs1: { width: 5 },
  rs2: { width: 5 },
  rs3: { width: 5 },
  // Compressed encodings: three bits name x8 to x15 (or f8 to f15).
  "rd'": { width: 3, as: "rd", bias: 8 },
  "rs1'": { width: 3, as: "rs1", bias: 8 },
  "rs2'": { width: 3, as: "rs2", bias: 8 },
  imm: { width: 12, signed: true },
  uimm: { width: 5 },
  // Immediates of compressed encodings that are zero-extended.
  offset: { width: 10, as: "imm" },
  shamt: { width: 6 },
  csr: { width: 12 },
  rm: { width: 3 },
  aq: { width: 1 },
  rl: { width: 1 },
  pred: { width: 4 },
  succ: { width: 4 },
  fm: { width: 4 },
};

/** Makes rows of one extension. */
export function rows(
  ...list: [
    name: string,
    pattern: string,
    asm: string,
    lift: (c: Lifter, f: Fields) => void,
    more?: { when?: (f: Fields) => boolean; xlen?: 32 | 64 },
  ][]
): RvRow[] {
  return list.map(([name, pattern, asm, lift, more]) => ({ name, pattern, asm, lift, ...more }));
}

/** Whether x`n` is a link register by convention: ra or t0. */
export function isLink(n: number): boolean {
  return n === 1 || n === 5;
}

/** Context of a lift: registers, widths and the ops whose width is XLEN. */
export class Lifter {
  /** Builder of the current block. */
  b!: Builder;
  /** Address of the current instruction. */
  pc = 0;
  /** Its length in bytes. */
  length = 4;

  constructor(readonly xlen: 32 | 64) {}

  /** Value of x`n`. */
  x(n: number): Value {
    return n === 0 ? Slot.ZERO : this.b.read(X_BASE + n);
  }
  /** Writes x`n`. */
  setX(n: number, value: Value): void {
    if (n !== 0) this.b.write(X_BASE + n, value);
  }
  /** Value of f`n`, 64 bits. */
  f(n: number): Value {
    return this.b.read(F_BASE + n);
  }
  /** Writes f`n`, 64 bits (floats NaN-boxed). */
  setF(n: number, value: Value): void {
    this.b.write(F_BASE + n, value);
  }

  /** Address of the next instruction. */
  get next(): number {
    return this.wrap(this.pc + this.length);
  }
  /** An address modulo 2^XLEN. */
  wrap(address: number): number {
    return this.xlen === 32 ? address >>> 0 : address;
  }
  /** A code address as a register holds it. */
  imm(value: number): Value {
    return this.b.imm(this.xlen === 32 ? value | 0 : value);
  }

  // Arithmetic in XLEN bits. Operands on RV32 are registers, sign-extended as they are, so 0 changes nothing.
  add(a: Value, b: Value): Value {
    if (b === Slot.ZERO) return a;
    return this.xlen === 32 ? this.b.add32(a, b) : this.b.add(a, b);
  }
  sub(a: Value, b: Value): Value {
    if (b === Slot.ZERO) return a;
    return this.xlen === 32 ? this.b.sub32(a, b) : this.b.sub(a, b);
  }
  shl(a: Value, b: Value): Value {
    if (b === Slot.ZERO) return a;
    return this.xlen === 32 ? this.b.shl32(a, b) : this.b.shl(a, b);
  }
  shru(a: Value, b: Value): Value {
    if (b === Slot.ZERO) return a;
    return this.xlen === 32 ? this.b.shru32(a, b) : this.b.shru(a, b);
  }
  shrs(a: Value, b: Value): Value {
    if (b === Slot.ZERO) return a;
    return this.xlen === 32 ? this.b.shrs32(a, b) : this.b.shrs(a, b);
  }

  /** Base and offset of a memory access at `x[rs1] + offset`. */
  address(rs1: number, offset: number): [base: Value, offset: number] {
    if (this.xlen === 64) return [this.x(rs1), offset];
    return [this.b.zext32(this.add(this.x(rs1), this.b.imm(offset))), 0];
  }
  /** A load by op number. */
  load(op: number, rs1: number, offset: number): Value {
    const [base, at] = this.address(rs1, offset);
    return this.b.load(op, base, at);
  }
  /** A store by op number. */
  store(op: number, rs1: number, offset: number, value: Value): void {
    const [base, at] = this.address(rs1, offset);
    this.b.store(op, base, at, value);
  }

  /** Conditional branch by op number. */
  branch(op: number, f: Fields): void {
    this.b.branch(op, this.x(f.rs1), this.x(f.rs2), this.wrap(this.pc + f.imm), this.next);
  }
  /** Jump to `target & ~1`, which came from x`rs1`, linking to x`rd`. */
  jumpIndirect(rd: number, rs1: number, target: Value): void {
    this.setX(rd, this.imm(this.next));
    // Volume I, "Unconditional Jumps": the return-address stack hints of JALR.
    const hint = isLink(rd)
      ? isLink(rs1) && rs1 !== rd ? JumpHint.NONE : JumpHint.CALL
      : isLink(rs1)
      ? JumpHint.RETURN
      : JumpHint.NONE;
    this.b.jumpIndirect(this.xlen === 32 ? this.b.zext32(target) : target, -2, hint);
  }
  /** Illegal-instruction exception. */
  illegal(): void {
    this.b.trap(Trap.ILLEGAL, this.length);
  }

  /**
   * A floating-point op with a rounding mode: `fast` is the op for nearest-even and dynamic modes, `any` takes every
   * static one. Reserved modes are illegal instructions.
   */
  round(
    fast: number,
    any: number,
    f: Fields,
    flags: number,
    a: Value,
    b: Value,
    c: Value,
  ): Value | undefined {
    if (f.rm === 5 || f.rm === 6) {
      this.illegal();
      return undefined;
    }
    const op = f.rm === 0 || f.rm === 7 ? fast : any;
    return this.b.float(op, a, b, c, f.rm | flags);
  }
}

export { Fp, JumpHint, Op, Slot, Trap };
