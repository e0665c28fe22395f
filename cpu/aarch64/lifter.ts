/**
 * What the rows of the A64 base instructions are made of, and the context in which all `lift` functions work.
 *
 * Condition flags are four slots: N and V the signs of theirs, Z whether its is 0, C inverted as 0 or 1. A subtraction
 * writes its result and what follows from it; the dead-write pass drops what the next flag-setting instruction
 * overwrites. The lifter remembers the operands of a comparison for as long as the registers still hold them, so that a
 * conditional branch or select behind it is one comparison of these, and reads no flag.
 *
 * Source: Arm Architecture Reference Manual for A-profile (DDI 0487), C4.1 and C6.2; shared/functions/system/ConditionHolds.
 *
 * @module
 */
import type { Builder, Value } from "../ir/builder.ts";
import { JumpHint, Op, Slot, Trap } from "../ir/ops.ts";
import type { FieldInfo, Fields, Row } from "../isa/decoder.ts";
import { FP_FIELDS, type FpContext } from "./fp_lifter.ts";
import { BORROW_SLOT, N_SLOT, SP_SLOT, V_SLOT, X_BASE, Z_SLOT } from "./state.ts";

export { JumpHint, Op, Slot, Trap };
export type { Fields, Value };

/** An instruction: encoding, assembly and meaning in one place. */
export interface A64Row extends Row {
  /** Operands in assembly, with `{field}` references; see disassembler.ts. */
  readonly asm: string;
  /** The instruction's meaning. */
  readonly lift: (c: Lifter, f: Fields) => void;
}

/** Fields of all encodings. */
export const FIELDS: Readonly<Record<string, FieldInfo>> = {
  ...FP_FIELDS,
  rs: { width: 5 },
  n: { width: 1 },
  sh: { width: 1 },
  shift: { width: 2 },
  immr: { width: 6 },
  imms: { width: 6 },
  imm6: { width: 6 },
  imm3: { width: 3 },
  imm14: { width: 14, signed: true },
  imm16: { width: 16 },
  imm21: { width: 21, signed: true },
  imm26: { width: 26, signed: true },
  hw: { width: 2 },
  bit: { width: 6 },
  sysreg: { width: 15 },
  hint: { width: 7 },
  crm: { width: 4 },
  a: { width: 1 },
  prfop: { width: 5 },
};

/** Makes a row. */
export function row(
  name: string,
  pattern: string,
  asm: string,
  lift: (c: Lifter, f: Fields) => void,
  when?: (f: Fields) => boolean,
): A64Row {
  return { name, pattern, asm, lift, when };
}

/** A condition as the operands of a branch op. */
export interface Test {
  op: number;
  a: Value;
  b: Value;
}

const OPPOSITE = new Map<number, number>([
  [Op.brEq, Op.brNe],
  [Op.brNe, Op.brEq],
  [Op.brLt, Op.brGe],
  [Op.brGe, Op.brLt],
  [Op.brLtu, Op.brGeu],
  [Op.brGeu, Op.brLtu],
]);

/** Context of a lift. */
export class Lifter implements FpContext {
  #b!: Builder;
  /** Address of the current instruction. */
  pc = 0;
  /** Operands of the last subtraction that set the flags, while they can still be had. */
  #compared: { wide: boolean; a: Value; b: Value } | undefined;

  /** Builder of the current block. */
  get b(): Builder {
    return this.#b;
  }
  /** Starts an instruction. */
  start(builder: Builder, pc: number): void {
    this.#b = builder;
    this.pc = pc;
    if (builder.count <= 1) this.#compared = undefined;
  }

  /** Value of X`n`. */
  x(n: number): Value {
    return n === 31 ? Slot.ZERO : this.#b.read(X_BASE + n);
  }
  /** Writes X`n`. */
  setX(n: number, value: Value): void {
    if (n !== 31) this.setXsp(n, value);
  }
  /** Value of X`n` or SP. */
  xsp(n: number): Value {
    return this.#b.read(n === 31 ? SP_SLOT : X_BASE + n);
  }
  /** Writes X`n` or SP. */
  setXsp(n: number, value: Value): void {
    const slot = X_BASE + n;
    if (this.#compared && (this.#compared.a === slot || this.#compared.b === slot)) {
      this.#compared = undefined;
    }
    this.#b.write(slot, value);
  }
  /** Writes X`n`, or W`n` with the low word of a value. */
  setR(sf: number, n: number, value: Value): void {
    if (n !== 31) this.setX(n, sf ? value : this.#b.zext32(value));
  }
  /** Low word, sign-extended, or all of a value. */
  signed(sf: number, value: Value): Value {
    return sf || value === Slot.ZERO ? value : this.#b.sext32(value);
  }
  /** Low word, zero-extended, or all of a value. */
  unsigned(sf: number, value: Value): Value {
    return sf || value === Slot.ZERO ? value : this.#b.zext32(value);
  }

  // ---- flags ----

  /** Writes N and Z by a result (sign-extended), the borrow, and V by the sign of a value. */
  writeFlags(result: Value, borrow: Value, overflow: Value): void {
    this.writeSlots(result, result, borrow, overflow);
  }
  /** Writes what the flags are made of. */
  writeSlots(n: Value, z: Value, borrow: Value, v: Value): void {
    this.#compared = undefined;
    this.#b.write(N_SLOT, n);
    this.#b.write(Z_SLOT, z);
    this.#b.write(BORROW_SLOT, borrow);
    this.#b.write(V_SLOT, v);
  }
  /** a - b, of sign-extended operands; `minus` is -b if that is a constant. */
  difference(wide: number, a: Value, b: Value, minus?: Value): Value {
    const i = this.#b;
    if (minus !== undefined) return wide ? i.add(a, minus) : i.add32(a, minus);
    return wide ? i.sub(a, b) : i.sub32(a, b);
  }
  /** What a subtraction of sign-extended operands gives for the four slots. */
  subtraction(
    wide: number,
    a: Value,
    b: Value,
    minus?: Value,
  ): [result: Value, borrow: Value, overflow: Value] {
    const i = this.#b, result = this.difference(wide, a, b, minus);
    return [result, i.sltu(a, b), i.and(i.xor(a, b), i.xor(a, result))];
  }
  /** The same for an addition. */
  addition(wide: number, a: Value, b: Value): [result: Value, borrow: Value, overflow: Value] {
    const i = this.#b, result = wide ? i.add(a, b) : i.add32(a, b);
    const carry = i.sltu(result, a);
    return [result, i.xor(carry, i.imm(1)), i.and(i.xor(a, result), i.xor(b, result))];
  }
  /** a - b with flags; the low 32 or all 64 bits of the operands count. Returns the difference, sign-extended. */
  subs(sf: number, a: Value, b: Value, minus?: Value): Value {
    const flags = this.subtraction(sf, this.signed(sf, a), this.signed(sf, b), minus);
    this.writeFlags(...flags);
    const kept = (value: Value) => value < Slot.TEMP;
    if (kept(a) && kept(b)) this.#compared = { wide: sf !== 0, a, b };
    return flags[0];
  }
  /** a + b with flags. */
  adds(sf: number, a: Value, b: Value): Value {
    const flags = this.addition(sf, this.signed(sf, a), this.signed(sf, b));
    this.writeFlags(...flags);
    return flags[0];
  }
  /** Writes N, Z, C and V, bits 3 to 0 of a value. */
  setFlags(nzcv: Value): void {
    const b = this.#b;
    this.#compared = undefined;
    b.write(N_SLOT, b.shl(nzcv, b.imm(60)));
    b.write(Z_SLOT, b.xor(b.and(nzcv, b.imm(4)), b.imm(4)));
    b.write(BORROW_SLOT, b.xor(b.and(b.shru(nzcv, b.imm(1)), b.imm(1)), b.imm(1)));
    b.write(V_SLOT, b.shl(nzcv, b.imm(63)));
  }
  /** N, Z, C and V as bits 3 to 0. */
  flags(): Value {
    const b = this.#b, bit = (value: Value, n: number) => b.shl(value, b.imm(n));
    const sign = (slot: number) => b.shru(b.read(slot), b.imm(63));
    const zero = b.op2(Op.seq64, b.read(Z_SLOT), Slot.ZERO);
    const carry = this.carry();
    return b.or(
      b.or(bit(sign(N_SLOT), 3), bit(zero, 2)),
      b.or(bit(carry, 1), sign(V_SLOT)),
    );
  }
  /** C, 0 or 1. */
  carry(): Value {
    return this.#b.xor(this.#b.read(BORROW_SLOT), this.#b.imm(1));
  }

  /** A condition other than AL and NV. */
  test(cond: number): Test {
    const test = this.#compare(cond >> 1) ?? this.#testSlots(cond >> 1);
    if (cond & 1) test.op = OPPOSITE.get(test.op)!;
    return test;
  }
  /** A condition (its even form) by the operands of the comparison before. */
  #compare(kind: number): Test | undefined {
    if (!this.#compared || kind === 2 || kind === 3) return undefined;
    const { wide } = this.#compared;
    const [a, b] = [this.#compared.a, this.#compared.b].map((x) => this.signed(wide ? 1 : 0, x));
    if (kind === 0) return { op: Op.brEq, a, b };
    if (kind === 1) return { op: Op.brGeu, a, b };
    if (kind === 4) return { op: Op.brLtu, a: b, b: a };
    if (kind === 5) return { op: Op.brGe, a, b };
    return { op: Op.brLt, a: b, b: a };
  }
  #testSlots(kind: number): Test {
    const b = this.#b, zero = Slot.ZERO;
    const [n, z, borrow, v] = [N_SLOT, Z_SLOT, BORROW_SLOT, V_SLOT].map((slot) => b.read(slot));
    if (kind === 0) return { op: Op.brEq, a: z, b: zero };
    if (kind === 1) return { op: Op.brEq, a: borrow, b: zero };
    if (kind === 2) return { op: Op.brLt, a: n, b: zero };
    if (kind === 3) return { op: Op.brLt, a: v, b: zero };
    if (kind === 4) return { op: Op.brNe, a: b.select(borrow, zero, z), b: zero };
    if (kind === 5) return { op: Op.brGe, a: b.xor(n, v), b: zero };
    return { op: Op.brEq, a: b.select(z, b.slt(b.xor(n, v), zero), b.imm(1)), b: zero };
  }
  /** 1 if a condition holds, else 0. */
  condition(cond: number): Value {
    const b = this.#b;
    if (cond >= 14) return b.imm(1);
    const test = this.test(cond);
    if (test.op === Op.brEq) return b.op2(Op.seq64, test.a, test.b);
    if (test.op === Op.brNe) return b.op2(Op.sne64, test.a, test.b);
    const less = this.#less(test);
    return test.op === Op.brLt || test.op === Op.brLtu ? less : b.xor(less, b.imm(1));
  }
  #less({ op, a, b }: Test): Value {
    return op === Op.brLt || op === Op.brGe ? this.#b.slt(a, b) : this.#b.sltu(a, b);
  }
  /** One of two values by a condition. */
  choose(cond: number, yes: Value, no: Value): Value {
    const i = this.#b;
    if (cond >= 14) return yes;
    const test = this.test(cond), { op, a, b } = test;
    if (op === Op.brEq) return i.select(i.op2(Op.sne64, a, b), no, yes);
    if (op === Op.brNe) return i.select(i.op2(Op.sne64, a, b), yes, no);
    const less = this.#less(test);
    return op === Op.brLt || op === Op.brLtu ? i.select(less, yes, no) : i.select(less, no, yes);
  }
  /** Goes to `pc + offset` if a condition holds. */
  branch(cond: number, offset: number): void {
    if (cond >= 14) return this.#b.jump(this.pc + offset);
    const { op, a, b } = this.test(cond);
    this.#b.branch(op, a, b, this.pc + offset, this.pc + 4);
  }

  /** Undefined instruction. */
  undefinedInstruction(): void {
    this.#b.trap(Trap.ILLEGAL, 4);
  }
}
