/**
 * What the rows of the A64 base instructions are made of, and the context in which all `lift` functions work.
 *
 * Condition flags are four slots that cost almost nothing to write: N the sign of its slot, Z whether its is 0, C and
 * V how two slots compare, unsigned and signed. A subtraction writes its result and copies of its operands, and only
 * who asks compares them; the dead-write pass drops what the next flag-setting instruction overwrites. The lifter
 * remembers what made the flags, so that a conditional branch or select behind it in the block is one comparison.
 *
 * Source: Arm Architecture Reference Manual for A-profile (DDI 0487), C4.1 and C6.2; shared/functions/system/ConditionHolds.
 *
 * @module
 */
import type { Builder, Value } from "../ir/builder.ts";
import { JumpHint, Op, Slot, Trap } from "../ir/ops.ts";
import type { FieldInfo, Fields, Row } from "../isa/decoder.ts";
import { FP_FIELDS, type FpContext } from "./fp_lifter.ts";
import { LEFT_SLOT, N_SLOT, RIGHT_SLOT, SP_SLOT, X_BASE, Z_SLOT } from "./state.ts";

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

/** What wrote the flags. */
const enum Origin {
  ANY,
  /** A subtraction, whose operands LEFT and RIGHT are. */
  COMPARISON,
  /** A logical instruction: N and Z are of its result, C and V are 0. */
  LOGIC,
  /** A comparison of floating-point numbers. */
  FLOAT,
}

// What a comparison of floating-point numbers gives for N, Z, C and V.
const EQUAL = 6, LESS = 8, GREATER = 2, UNORDERED = 3;

/** Context of a lift. */
export class Lifter implements FpContext {
  #b!: Builder;
  /** Address of the current instruction. */
  pc = 0;
  /** What wrote the flags, as far as this block knows. */
  #origin = Origin.ANY;
  /** Where the operands of the last comparison are: LEFT and RIGHT, or registers that still hold them. */
  #left: Value = LEFT_SLOT;
  #right: Value = RIGHT_SLOT;

  /** Builder of the current block. */
  get b(): Builder {
    return this.#b;
  }
  /** Starts an instruction. */
  start(builder: Builder, pc: number): void {
    this.#b = builder;
    this.pc = pc;
    if (builder.count <= 1) this.#forget();
  }

  #forget(): void {
    this.#origin = Origin.ANY;
    this.#left = LEFT_SLOT;
    this.#right = RIGHT_SLOT;
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
    if (this.#left === slot || this.#right === slot) {
      this.#left = LEFT_SLOT;
      this.#right = RIGHT_SLOT;
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

  /** Forgets how the flags came about, because others are written. */
  #write(origin: Origin, n: Value, z: Value, left: Value, right: Value): void {
    this.#origin = origin;
    this.#left = LEFT_SLOT;
    this.#right = RIGHT_SLOT;
    const b = this.#b;
    b.write(N_SLOT, n);
    b.write(Z_SLOT, z);
    b.write(LEFT_SLOT, left);
    b.write(RIGHT_SLOT, right);
  }
  /** What LEFT and RIGHT are for a borrow (0 or 1), and -1 or 0: whether N and V differ. */
  #operands(borrow: Value, less: Value): [left: Value, right: Value] {
    const b = this.#b;
    return [
      b.and(less, b.add(borrow, b.imm(-1))),
      b.sub(b.xor(b.sub(Slot.ZERO, borrow), less), less),
    ];
  }
  /** Writes N and Z by a result (sign-extended), the borrow, and V by the sign of a value. */
  writeFlags(result: Value, borrow: Value, overflow: Value): void {
    const b = this.#b, less = b.shrs(b.xor(result, overflow), b.imm(63));
    this.#write(Origin.ANY, result, result, ...this.#operands(borrow, less));
  }
  /** Writes N and Z by a result (sign-extended), and clears C and V. */
  logicFlags(result: Value): void {
    const b = this.#b;
    this.#write(Origin.LOGIC, result, result, b.and(result, b.imm(-2)), b.imm(-1));
  }
  /** Writes what the flags are made of, by a condition: those of a comparison, or N, Z, C and V of a constant. */
  chooseFlags(holds: Value, [result, left, right]: readonly Value[], nzcv: number): void {
    const b = this.#b, bit = (n: number) => nzcv >> n & 1;
    const less = bit(3) ^ bit(0), borrow = bit(1) ^ 1;
    this.#write(
      Origin.ANY,
      b.select(holds, result, b.imm(-bit(3))),
      b.select(holds, result, b.imm(bit(2) ^ 1)),
      b.select(holds, left, b.imm(borrow ? 0 : -less)),
      b.select(holds, right, b.imm(borrow ? less ? 1 : -1 : 0)),
    );
  }
  /** Writes the flags of a comparison: what {@linkcode Lifter.subtraction} or {@linkcode Lifter.addition} returned. */
  compareFlags([result, left, right]: readonly Value[]): void {
    this.#write(Origin.ANY, result, result, left, right);
  }
  /** a - b, of sign-extended operands; `minus` is -b if that is a constant. */
  difference(wide: number, a: Value, b: Value, minus?: Value): Value {
    const i = this.#b;
    if (minus !== undefined) return wide ? i.add(a, minus) : i.add32(a, minus);
    return wide ? i.sub(a, b) : i.sub32(a, b);
  }
  /** What a subtraction of sign-extended operands gives for the slots. */
  subtraction(wide: number, a: Value, b: Value): [result: Value, left: Value, right: Value] {
    return [this.difference(wide, a, b), a, b];
  }
  /** The same for an addition. */
  addition(wide: number, a: Value, b: Value): [result: Value, left: Value, right: Value] {
    const i = this.#b, result = wide ? i.add(a, b) : i.add32(a, b);
    const overflow = i.and(i.xor(a, result), i.xor(b, result));
    const less = i.shrs(i.xor(result, overflow), i.imm(63));
    return [result, ...this.#operands(i.xor(i.sltu(result, a), i.imm(1)), less)];
  }
  /** a - b with flags; the low 32 or all 64 bits of the operands count. Returns the difference, sign-extended. */
  subs(sf: number, a: Value, b: Value, minus?: Value): Value {
    const left = this.signed(sf, a), right = this.signed(sf, b);
    const result = this.difference(sf, left, right, minus);
    this.#write(Origin.COMPARISON, result, result, left, right);
    // Registers are read rather than copies of them, as long as they hold what was compared.
    if (left < Slot.TEMP && right < Slot.TEMP) {
      this.#left = left;
      this.#right = right;
    }
    return result;
  }
  /** a + b with flags; `minus` is -b if b is a constant of less than 32 bits. */
  adds(sf: number, a: Value, b: Value, minus?: Value): Value {
    // Adding is subtracting the negative, but for 0: that borrows nothing where adding carries nothing.
    if (minus !== undefined && minus !== Slot.ZERO) return this.subs(sf, a, minus, b);
    const flags = this.addition(sf, this.signed(sf, a), this.signed(sf, b));
    this.compareFlags(flags);
    return flags[0];
  }
  /** Writes N, Z, C and V, bits 3 to 0 of a value. */
  setFlags(nzcv: Value): void {
    const b = this.#b, n = b.shl(nzcv, b.imm(60));
    const borrow = b.xor(b.and(b.shru(nzcv, b.imm(1)), b.imm(1)), b.imm(1));
    const less = b.shrs(b.xor(n, b.shl(nzcv, b.imm(63))), b.imm(63));
    const z = b.xor(b.and(nzcv, b.imm(4)), b.imm(4));
    this.#write(Origin.ANY, n, z, ...this.#operands(borrow, less));
  }
  /** Writes the flags of a floating-point comparison, of which there are four: 0110, 1000, 0010 and 0011. */
  setFloatFlags(nzcv: Value): void {
    const b = this.#b, unordered = b.and(nzcv, b.imm(1));
    const z = b.xor(nzcv, b.imm(EQUAL));
    const left = b.sub(Slot.ZERO, unordered), right = b.shru(nzcv, b.imm(3));
    this.#write(Origin.FLOAT, b.shl(nzcv, b.imm(60)), z, left, right);
  }
  /** N, Z, C and V as bits 3 to 0. */
  flags(): Value {
    const b = this.#b, bit = (value: Value, n: number) => b.shl(value, b.imm(n));
    const n = b.shru(b.read(N_SLOT), b.imm(63));
    const zero = b.op2(Op.seq64, b.read(Z_SLOT), Slot.ZERO);
    const less = b.slt(b.read(LEFT_SLOT), b.read(RIGHT_SLOT));
    return b.or(b.or(bit(n, 3), bit(zero, 2)), b.or(bit(this.carry(), 1), b.xor(n, less)));
  }
  /** C inverted, 0 or 1. */
  borrow(): Value {
    return this.#b.sltu(this.#b.read(LEFT_SLOT), this.#b.read(RIGHT_SLOT));
  }
  /** C, 0 or 1. */
  carry(): Value {
    return this.#b.xor(this.borrow(), this.#b.imm(1));
  }

  /** A condition other than AL and NV. */
  test(cond: number): Test {
    const test = this.#known(cond >> 1) ?? this.#testSlots(cond >> 1);
    if (cond & 1) test.op = OPPOSITE.get(test.op)!;
    return test;
  }
  /** A condition (its even form) by what made the flags, if that was in this block. */
  #known(kind: number): Test | undefined {
    const i = this.#b, zero = Slot.ZERO;
    if (this.#origin === Origin.COMPARISON) {
      const a = i.read(this.#left), b = i.read(this.#right);
      if (kind === 0) return { op: Op.brEq, a, b };
      if (kind === 4) return { op: Op.brLtu, a: b, b: a };
      if (kind === 6) return { op: Op.brLt, a: b, b: a };
    } else if (this.#origin === Origin.LOGIC) {
      const result = i.read(Z_SLOT);
      if (kind === 5) return { op: Op.brGe, a: result, b: zero };
      if (kind === 6) return { op: Op.brLt, a: zero, b: result };
    } else if (this.#origin === Origin.FLOAT) {
      // Z is 0, or what the comparison gave exclusive-or 0110: 4 greater, 5 unordered, 14 less.
      const result = i.read(Z_SLOT);
      if (kind === 1) return { op: Op.brLtu, a: result, b: i.imm(LESS ^ EQUAL) };
      if (kind === 2) return { op: Op.brEq, a: result, b: i.imm(LESS ^ EQUAL) };
      if (kind === 3) return { op: Op.brEq, a: result, b: i.imm(UNORDERED ^ EQUAL) };
      if (kind === 5) return { op: Op.brLtu, a: result, b: i.imm(UNORDERED ^ EQUAL) };
      if (kind === 6) return { op: Op.brEq, a: result, b: i.imm(GREATER ^ EQUAL) };
    }
    return undefined;
  }
  #testSlots(kind: number): Test {
    const b = this.#b, zero = Slot.ZERO, n = b.read(N_SLOT), z = b.read(Z_SLOT);
    const left = b.read(this.#left), right = b.read(this.#right);
    if (kind === 0) return { op: Op.brEq, a: z, b: zero };
    if (kind === 1) return { op: Op.brGeu, a: left, b: right };
    if (kind === 2) return { op: Op.brLt, a: n, b: zero };
    if (kind === 3) return { op: Op.brNe, a: b.shru(n, b.imm(63)), b: b.slt(left, right) };
    if (kind === 4) return { op: Op.brNe, a: b.select(b.sltu(left, right), zero, z), b: zero };
    if (kind === 5) return { op: Op.brGe, a: left, b: right };
    return { op: Op.brEq, a: b.select(z, b.slt(left, right), b.imm(1)), b: zero };
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
