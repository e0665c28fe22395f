/**
 * What the rows of floating point and Advanced SIMD are made of: fields of their encodings, where V registers, FPCR and
 * FPSR are, and what they need of the context of a lift.
 *
 * Source: Arm Architecture Reference Manual for A-profile (DDI 0487), chapters C4.1 (encodings), C7 (instructions) and
 * J1 (pseudocode).
 *
 * @module
 */
import type { Builder, Value } from "../ir/builder.ts";
import { Fp, Op, opNumber, Slot } from "../ir/ops.ts";
import type { FieldInfo, Fields, Row } from "../isa/decoder.ts";
import { FLOAT_STYLE, FPCR_SLOT, V_BASE } from "./state.ts";

export { Fp, Op, opNumber, Slot };
export type { Fields, Value };

/** Context of a lift, as far as these rows use it. Register 31 is the zero register, or the stack pointer in `xsp`. */
export interface FpContext {
  /** Builder of the current block. */
  readonly b: Builder;
  /** Address of the current instruction. */
  readonly pc: number;
  /** Value of X`n`. */
  x(n: number): Value;
  /** Writes X`n`. */
  setX(n: number, value: Value): void;
  /** Value of X`n` or SP. */
  xsp(n: number): Value;
  /** Writes X`n` or SP. */
  setXsp(n: number, value: Value): void;
  /** 1 if a condition holds, else 0. */
  condition(cond: number): Value;
  /** Writes N, Z, C and V, bits 3 to 0 of a value. */
  setFlags(nzcv: Value): void;
  /** Writes the same, if it is the result of a floating-point comparison. */
  setFloatFlags(nzcv: Value): void;
  /** Undefined instruction. */
  undefinedInstruction(): void;
}

/** The meaning of an instruction. */
export type FpLift = (c: FpContext, f: Fields) => void;

/** An instruction: encoding, assembly and meaning. */
export interface FpRow extends Row {
  /** Operands in assembly, with `{field}` references; see vector_text.ts. */
  readonly asm: string;
  readonly lift: FpLift;
}

/** Fields of the encodings. */
export const FP_FIELDS: Readonly<Record<string, FieldInfo>> = {
  rd: { width: 5 },
  rn: { width: 5 },
  rm: { width: 5 },
  ra: { width: 5 },
  rt: { width: 5 },
  rt2: { width: 5 },
  q: { width: 1 },
  u: { width: 1 },
  sf: { width: 1 },
  sz: { width: 1 },
  size: { width: 2 },
  type: { width: 2 },
  opc: { width: 2 },
  l: { width: 1 },
  m: { width: 1 },
  h: { width: 1 },
  rm4: { width: 4 },
  s: { width: 1 },
  r: { width: 1 },
  option: { width: 3 },
  cond: { width: 4 },
  nzcv: { width: 4 },
  imm4: { width: 4 },
  imm5: { width: 5 },
  imm7: { width: 7, signed: true },
  imm8: { width: 8 },
  imm9: { width: 9, signed: true },
  imm12: { width: 12 },
  imm19: { width: 19, signed: true },
  immh: { width: 4 },
  immb: { width: 3 },
  abc: { width: 3 },
  defgh: { width: 5 },
  cmode: { width: 4 },
  op: { width: 1 },
  len: { width: 2 },
  scale: { width: 6 },
};

/** A row. */
export function row(
  name: string,
  pattern: string,
  asm: string,
  lift: FpLift,
  when?: (f: Fields) => boolean,
): FpRow {
  return { name, pattern, asm, lift, when };
}

/** Slot of V`n`, which is its low half. */
export const slotOf = (n: number): number => V_BASE + 2 * n;

/** V`n` as a vector. */
export const v = (n: number): Value => slotOf(n);

/** The low 64 bits of V`n`. */
export function d(c: FpContext, n: number): Value {
  return c.b.read(slotOf(n));
}

/** Writes V`n`: all of it, or the low half and zeros above if `q` is 0. */
export function setV(c: FpContext, n: number, value: Value, q: number): void {
  c.b.writePair(slotOf(n), q ? value : c.b.vector(Op.vlow, value));
}

/** Writes a scalar of at most 64 bits to V`n`, zeros above. */
export function setD(c: FpContext, n: number, value: Value): void {
  c.b.write(slotOf(n), value);
  c.b.write(slotOf(n) + 1, Slot.ZERO);
}

/** A vector op by name. */
export function vop(
  c: FpContext,
  name: string,
  a: Value,
  b: Value = 0,
  other: Value = 0,
  j = 0,
): Value {
  return c.b.vector(opNumber(name), a, b, other, j);
}

/** A vector whose lanes of `bits` are all a constant of at most 32 bits. */
export function splat(c: FpContext, bits: number, value: number): Value {
  if (bits === 8) value = Math.imul(value & 0xff, 0x0101_0101);
  if (bits === 16) value = Math.imul(value & 0xffff, 0x0001_0001);
  return c.b.vectorConst(value, bits === 64 ? value >> 31 : value);
}

/** The zero vector. */
export function zeros(c: FpContext): Value {
  return c.b.vectorConst(0, 0);
}

/** The first lane of a vector, and zeros. */
export function firstLane(c: FpContext, bits: number, value: Value): Value {
  if (bits === 128) return value;
  if (bits === 64) return c.b.vector(Op.vlow, value);
  const mask = c.b.vectorOf(c.b.imm(2 ** bits - 1), Slot.ZERO);
  return vop(c, "vand", value, mask);
}

// ---- FPCR and FPSR ----

const FPCR_MASK = 0x07c0_0000;

/** Writes FPCR, and what depends on it; nothing else of the instruction may follow. */
export function writeFpcr(c: FpContext, value: Value): void {
  const { b } = c;
  const kept = b.and(value, b.imm(FPCR_MASK));
  const bit = (n: number) => b.and(b.shru(kept, b.imm(n)), b.imm(1));
  // RMode (bits 23:22) is nearest, plus infinity, minus infinity, zero; here these are 0, 3, 2, 1.
  const plus = bit(22), minus = bit(23), one = b.xor(plus, minus);
  const mode = b.or(b.shl(one, b.imm(1)), plus);
  const flush = b.shru(b.and(kept, b.imm(1 << 24)), b.imm(21));
  const style = b.xor(
    b.or(
      b.shru(b.and(kept, b.imm(1 << 25)), b.imm(25)),
      b.shru(b.and(kept, b.imm(1 << 26)), b.imm(26 - 3)),
    ),
    b.imm(FLOAT_STYLE),
  );
  b.writeNow(FPCR_SLOT, kept);
  b.writeNow(Slot.FP_RM, b.or(mode, flush));
  b.writeNow(Slot.FP_STYLE, style);
  b.state(Op.fpsync);
}

/** The value of FPCR. */
export function readFpcr(c: FpContext): Value {
  return c.b.read(FPCR_SLOT);
}

/** Accrued flags as FPSR has them: from bit, to bit. */
const FLAG_BITS = [[4, 0], [3, 1], [2, 2], [1, 3], [0, 4], [5, 7], [6, 27]] as const;

function moveBits(
  c: FpContext,
  value: Value,
  moves: readonly (readonly [number, number])[],
): Value {
  const { b } = c;
  let result: Value = Slot.ZERO;
  for (const [from, to] of moves) {
    const bit = b.and(value, b.imm(1 << from));
    const moved = to > from ? b.shl(bit, b.imm(to - from)) : b.shru(bit, b.imm(from - to));
    result = b.or(result, moved);
  }
  return result;
}

/** The value of FPSR: reading it is an op of its own, because compiled code keeps flags in memory. */
export function readFpsr(c: FpContext): Value {
  return moveBits(c, c.b.op1(Op.mov, Slot.FP_FLAGS), FLAG_BITS);
}

/** Writes FPSR; nothing else of the instruction may follow. */
export function writeFpsr(c: FpContext, value: Value): void {
  const flags = moveBits(c, value, FLAG_BITS.map(([to, from]) => [from, to] as const));
  c.b.writeNow(Slot.FP_FLAGS, flags);
  c.b.state(Op.fpsync);
}
