/**
 * Floating point in WebAssembly: host arithmetic wherever only the value of the result can be seen, softfloat elsewhere.
 *
 * While rounding is to nearest and NX is set already (`Slot.FP_FAST`), an operation without overflow, underflow and NaN
 * changes no flag. Sums that are subnormal are exact, so they can't underflow. Off this path the result may be exact, as
 * it often is before anything was inexact (`exact.ts`, then a helper function). Everything else is a step of the
 * interpreter.
 *
 * Source: IEEE 754-2019 sections 7.4 and 7.5; WebAssembly Core Specification 3.0 section 4.3.3 and its relaxed vector
 * instructions.
 *
 * @module
 */
import type { RegionBlock } from "../engine/region/region.ts";
import { Fp, Op as Ir, Slot } from "../ir/ops.ts";
import { type Body, type Limit, slowIf } from "./body.ts";
import { Op, type PlainOp, ValType } from "./encoder.ts";
import { EXACT, type Exactness } from "./exact.ts";
import { type Helper, HELPERS } from "./helpers.ts";

/** The instructions of one precision. */
interface Format {
  readonly type: number;
  readonly abs: PlainOp;
  readonly neg: PlainOp;
  readonly eq: PlainOp;
  readonly ne: PlainOp;
  readonly lt: PlainOp;
  readonly gt: PlainOp;
  readonly le: PlainOp;
  readonly ge: PlainOp;
  readonly splat: PlainOp;
  readonly madd: PlainOp;
  readonly extract: typeof Op.f64x2_extract_lane | typeof Op.f32x4_extract_lane;
  readonly nearest: PlainOp;
  readonly trunc: PlainOp;
  readonly floor: PlainOp;
  readonly ceil: PlainOp;
  /** Smallest normal number. */
  readonly normal: number;
  constant(c: Body, value: number): void;
  get(c: Body, slot: number): void;
  set(c: Body, slot: number): void;
}

const DOUBLE: Format = {
  type: ValType.f64,
  abs: Op.f64_abs,
  neg: Op.f64_neg,
  eq: Op.f64_eq,
  ne: Op.f64_ne,
  lt: Op.f64_lt,
  gt: Op.f64_gt,
  le: Op.f64_le,
  ge: Op.f64_ge,
  splat: Op.f64x2_splat,
  madd: Op.f64x2_relaxed_madd,
  extract: Op.f64x2_extract_lane,
  nearest: Op.f64_nearest,
  trunc: Op.f64_trunc,
  floor: Op.f64_floor,
  ceil: Op.f64_ceil,
  normal: 2 ** -1022,
  constant: (c, value) => c.w.f64Const(value),
  get: (c, slot) => c.registers.getDouble(slot),
  set: (c, slot) => c.registers.setDouble(slot),
};

const SINGLE: Format = {
  type: ValType.f32,
  abs: Op.f32_abs,
  neg: Op.f32_neg,
  eq: Op.f32_eq,
  ne: Op.f32_ne,
  lt: Op.f32_lt,
  gt: Op.f32_gt,
  le: Op.f32_le,
  ge: Op.f32_ge,
  splat: Op.f32x4_splat,
  madd: Op.f32x4_relaxed_madd,
  extract: Op.f32x4_extract_lane,
  nearest: Op.f32_nearest,
  trunc: Op.f32_trunc,
  floor: Op.f32_floor,
  ceil: Op.f32_ceil,
  normal: 2 ** -126,
  constant: (c, value) => c.w.f32Const(value),
  get: (c, slot) => c.registers.getFloat(slot),
  set: (c, slot) => {
    c.w.op(Op.i32_reinterpret_f32);
    c.w.op(Op.i64_extend_i32_u);
    c.registers.set(slot);
  },
};

interface Arithmetic {
  format: Format;
  /** The instruction; none for the fused ones, which are made of several. */
  op?: PlainOp;
  operands: number;
  /** What tells exact results off the fast path, and then what finds them; with the second operand of a difference negated. */
  exact?: Exactness;
  helper?: Helper;
  negate?: boolean;
  /** Whether results below the normal range may be inexact. */
  underflows: boolean;
}
const INFINITE = { 64: 0x7ff0_0000, 32: 0x7f80_0000 };
/** The high word of the smallest normal numbers. */
export const NORMAL = { 64: 0x10_0000, 32: 0x80_0000 };
const LIMITS: Readonly<Record<Limit, number>> = {
  sum64: 2 * INFINITE[64],
  product64: 2 * (INFINITE[64] - NORMAL[64]) - 1,
  sum32: 2 * INFINITE[32],
  product32: 2 * (INFINITE[32] - NORMAL[32]) - 1,
};

/** The limit that an op wants, if any. */
export function limitOf(op: number): Limit | undefined {
  const row = ARITHMETIC.get(op);
  if (!row) return undefined;
  return `${row.underflows ? "product" : "sum"}${row.format === DOUBLE ? 64 : 32}`;
}

/** Sets the limits from `Slot.FP_FAST`. */
export function loadLimits(c: Pick<Body, "w" | "limits">): void {
  const { w } = c;
  for (const [limit, local] of c.limits) {
    w.i32Const(0);
    w.i32Const(0);
    w.load(Op.i32_load, 2, Slot.FP_FAST * 8);
    w.op(Op.i32_sub);
    w.i32Const(LIMITS[limit]);
    w.op(Op.i32_and);
    w.localSet(local);
  }
}

const ARITHMETIC = new Map<number, Arithmetic>(
  ([[64, DOUBLE, "f64"], [32, SINGLE, "f32"]] as const).flatMap(([bits, format, type]) => {
    const plain = (name: string) => Op[`${type}_${name}` as keyof typeof Op] as PlainOp;
    const row = (name: string, op: string | undefined, operands: number, way: string) => {
      const exact = EXACT.get(`${way}${bits}`), helper = `${way}${bits}` as Helper;
      return [Ir[`${name}${bits}`], {
        format,
        ...(op === undefined ? {} : { op: plain(op) }),
        operands,
        ...(exact ? { exact } : {}),
        ...(helper in HELPERS ? { helper } : {}),
        negate: name === "fsub",
        underflows: way !== "sum" && way !== "root",
      }] as const;
    };
    return [
      row("fadd", "add", 2, "sum"),
      row("fsub", "sub", 2, "sum"),
      row("fmul", "mul", 2, "product"),
      row("fdiv", "div", 2, "quotient"),
      row("fsqrt", "sqrt", 1, "root"),
      row("fma", undefined, 3, "fused"),
    ];
  }),
);

/** Comparisons: the one that is asked, and the one that holds where it doesn't, unless there is a NaN. */
const COMPARE = new Map<number, { format: Format; yes: keyof Format; no?: keyof Format }>([
  [Ir.feq64, { format: DOUBLE, yes: "eq" }],
  [Ir.flt64, { format: DOUBLE, yes: "lt", no: "ge" }],
  [Ir.fle64, { format: DOUBLE, yes: "le", no: "gt" }],
  [Ir.feq32, { format: SINGLE, yes: "eq" }],
  [Ir.flt32, { format: SINGLE, yes: "lt", no: "ge" }],
  [Ir.fle32, { format: SINGLE, yes: "le", no: "gt" }],
]);
const MINMAX = new Map<number, { format: Format; op: PlainOp }>([
  [Ir.fmin64, { format: DOUBLE, op: Op.f64_min }],
  [Ir.fmax64, { format: DOUBLE, op: Op.f64_max }],
  [Ir.fmin32, { format: SINGLE, op: Op.f32_min }],
  [Ir.fmax32, { format: SINGLE, op: Op.f32_max }],
]);
/** From integers: whether only the low word is meant, and whether the result is always exact. */
const FROM_INT = new Map<number, { format: Format; op: PlainOp; word: boolean; exact?: boolean }>([
  [Ir.cvtF64S32, { format: DOUBLE, op: Op.f64_convert_i32_s, word: true, exact: true }],
  [Ir.cvtF64U32, { format: DOUBLE, op: Op.f64_convert_i32_u, word: true, exact: true }],
  [Ir.cvtF64S64, { format: DOUBLE, op: Op.f64_convert_i64_s, word: false }],
  [Ir.cvtF64U64, { format: DOUBLE, op: Op.f64_convert_i64_u, word: false }],
  [Ir.cvtF32S32, { format: SINGLE, op: Op.f32_convert_i32_s, word: true }],
  [Ir.cvtF32U32, { format: SINGLE, op: Op.f32_convert_i32_u, word: true }],
  [Ir.cvtF32S64, { format: SINGLE, op: Op.f32_convert_i64_s, word: false }],
  [Ir.cvtF32U64, { format: SINGLE, op: Op.f32_convert_i64_u, word: false }],
]);
/** To integers: the values that fit are `low <= value < high`. */
const TO_INT = new Map<
  number,
  { format: Format; op: PlainOp; word: boolean; low: number; high: number }
>(
  ([["F64", DOUBLE, "f64"], ["F32", SINGLE, "f32"]] as const).flatMap(([name, format, type]) => {
    const plain = (text: string) => Op[text as keyof typeof Op] as PlainOp;
    const row = (kind: string, op: string, word: boolean, low: number, high: number) =>
      [Ir[`cvt${kind}${name}`], { format, op: plain(op), word, low, high }] as const;
    return [
      row("S32", `i32_trunc_${type}_s`, true, -(2 ** 31), 2 ** 31),
      row("U32", `i32_trunc_${type}_u`, true, 0, 2 ** 32),
      row("S64", `i64_trunc_${type}_s`, false, -(2 ** 63), 2 ** 63),
      row("U64", `i64_trunc_${type}_u`, false, 0, 2 ** 64),
    ];
  }),
);
/** Instructions that round to an integer, by rounding mode; nearest away has none. */
const INTEGRAL = ["nearest", "trunc", "floor", "ceil"] as const;
const DYNAMIC = 7;

/** Whether the rounding mode of a record is to nearest even whenever `Slot.FP_FAST` is set. */
const isNearest = (j: number) => (j & Fp.RM) === 0 || (j & Fp.RM) === DYNAMIC;

/** Writes a floating-point op; false if it has no form of its own here. */
export function emitFloat(c: Body, block: RegionBlock, at: number): boolean {
  const code = block.ir.code, op = code[at], j = code[at + 5];
  let row;
  if ((row = ARITHMETIC.get(op)) !== undefined) {
    if (!isNearest(j) || (row.op === undefined && !c.layout.fused)) return false;
    arithmetic(c, block, at, row);
  } else if ((row = COMPARE.get(op)) !== undefined) compare(c, block, at, row);
  else if ((row = MINMAX.get(op)) !== undefined) minMax(c, block, at, row);
  else if ((row = FROM_INT.get(op)) !== undefined) {
    if (row.exact ? (j & Fp.RM) > 4 && !isNearest(j) : !isNearest(j)) return false;
    fromInt(c, block, at, row);
  } else if ((row = TO_INT.get(op)) !== undefined) {
    if (!isNearest(j) && INTEGRAL[j & Fp.RM] === undefined) return false;
    toInt(c, block, at, row);
  } else if (op === Ir.cvtF32F64 || op === Ir.cvtF64F32) {
    if (!isNearest(j)) return false;
    if (op === Ir.cvtF32F64) demote(c, block, at);
    else promote(c, block, at);
  } else if (op === Ir.fpsync) sync(c);
  else if (op === Ir.unbox32) unbox(c, block, at);
  else return false;
  return true;
}

/**
 * Writes `fast` with branches to its label for what it can't do, which is then a step; `fast` leaves the result on the
 * stack, which `put` takes.
 */
export function guarded(
  c: Body,
  block: RegionBlock,
  at: number,
  fast: (slow: number) => void,
  put: () => void,
  rescue: (done: number) => void = () => {},
): void {
  const { w } = c;
  const done = w.block(), slow = w.block();
  fast(slow);
  put();
  w.br(w.depthTo(done));
  w.end();
  rescue(done);
  c.step(block, at);
  w.end();
}

/** Whether the record's result is a NaN-boxed float. */
export function makesBoxed(block: RegionBlock, at: number): boolean {
  const code = block.ir.code, op = code[at];
  if (op === Ir.ldB32 || op === Ir.unbox32) return true;
  if ((code[at + 5] & Fp.BOXED) === 0) return false;
  const row = ARITHMETIC.get(op) ?? MINMAX.get(op) ?? FROM_INT.get(op);
  return op === Ir.cvtF32F64 || row?.format === SINGLE;
}

export function pushFast(c: Body): void {
  c.w.i32Const(0);
  c.w.load(Op.i32_load, 2, Slot.FP_FAST * 8);
}

/** Goes to the slow path unless flags can't change or, with rounding to nearest, the condition holds. */
function needFastOr(c: Body, slow: number, condition: () => void): void {
  const { w } = c;
  pushFast(c);
  w.op(Op.i32_eqz);
  w.hint(false);
  w.if();
  needNearest(c, slow);
  condition();
  w.op(Op.i32_eqz);
  slowIf(c, slow);
  w.end();
}

/** Goes to the slow path unless the dynamic rounding mode is to nearest even. */
function needNearest(c: Body, slow: number): void {
  c.w.i32Const(0);
  c.w.load(Op.i32_load, 2, Slot.FP_RM * 8);
  slowIf(c, slow);
}

/** Whether a conversion takes unsigned integers. */
const isUnsigned = (op: PlainOp) =>
  op === Op.f64_convert_i64_u || op === Op.f32_convert_i64_u || op === Op.f32_convert_i32_u;

/** Goes to the slow path unless the floats in the slots are NaN-boxed, where they must be. */
function needBoxed(c: Body, block: RegionBlock, at: number, slots: number[], slow: number): void {
  if ((block.ir.code[at + 5] & Fp.BOXED) === 0) return;
  const unknown = [...new Set(slots)].filter((slot) => !c.boxed.has(slot));
  if (unknown.length === 0) return;
  unknown.forEach((slot, i) => {
    c.registers.get(slot);
    if (i > 0) c.w.op(Op.i64_and);
  });
  c.w.i64Const(32);
  c.w.op(Op.i64_shr_s);
  c.w.i64Const(-1);
  c.w.op(Op.i64_ne);
  slowIf(c, slow);
}

/** Pops a result of a format into the slot, boxed if the record says so. */
function put(c: Body, block: RegionBlock, at: number, format: Format): void {
  const { code } = block.ir;
  if (format === SINGLE && (code[at + 5] & Fp.BOXED) !== 0) {
    c.w.op(Op.i32_reinterpret_f32);
    c.w.op(Op.i64_extend_i32_u);
    c.w.i64Const(0, -1);
    c.w.op(Op.i64_or);
    c.registers.set(code[at + 1]);
  } else format.set(c, code[at + 1]);
}

function operandsOf(block: RegionBlock, at: number, count: number): number[] {
  return [...block.ir.code.subarray(at + 2, at + 2 + count)];
}

function arithmetic(c: Body, block: RegionBlock, at: number, row: Arithmetic): void {
  const { w } = c, { format } = row, { code } = block.ir;
  const operands = operandsOf(block, at, row.operands);
  const value = c.scratch(format === DOUBLE ? "double" : "float", format.type);
  /** Pushes an operand with its sign. */
  const push = (i: number) => {
    format.get(c, operands[i]);
    const negative = row.op !== undefined
      ? row.negate && i === 1
      : (i === 0 && (code[at + 5] & Fp.NEG_PRODUCT) !== 0) ||
        (i === 2 && (code[at + 5] & Fp.NEG_ADDEND) !== 0);
    if (negative) w.op(format.neg);
  };
  guarded(
    c,
    block,
    at,
    (slow) => {
      if (format === SINGLE) needBoxed(c, block, at, operands, slow);
      if (row.op === undefined) {
        operands.forEach((_, i) => {
          push(i);
          w.op(format.splat);
        });
        w.op(format.madd);
        w.lane(format.extract, 0);
      } else {
        for (const slot of operands) format.get(c, slot);
        w.op(row.op);
      }
      w.localTee(value);
      if (format === DOUBLE) {
        w.op(Op.i64_reinterpret_f64);
        w.i64Const(32);
        w.op(Op.i64_shr_u);
        w.op(Op.i32_wrap_i64);
      } else w.op(Op.i32_reinterpret_f32);
      w.i32Const(1);
      w.op(Op.i32_shl);
      if (row.underflows) {
        w.i32Const(2 * NORMAL[format === DOUBLE ? 64 : 32] + 1);
        w.op(Op.i32_sub);
      }
      w.localGet(c.limits.get(limitOf(code[at])!)!);
      w.op(Op.i32_ge_u);
      slowIf(c, slow);
      w.localGet(value);
    },
    () => put(c, block, at, format),
    (done) => {
      // Both ways for doubles are made of fused multiply-adds.
      if (format === DOUBLE && !c.layout.fused) return;
      const { exact, helper } = row;
      if (exact) {
        const unknown = w.block();
        needNearest(c, unknown);
        exact(c, push, value, unknown);
        w.localGet(value);
        put(c, block, at, format);
        w.br(w.depthTo(done));
        w.end();
      }
      if (helper === undefined) return;
      const no = w.block();
      if (format === SINGLE) needBoxed(c, block, at, operands, no);
      operands.forEach((_, i) => push(i));
      pushFast(c);
      w.call(c.layout.helper(helper));
      w.localTee(value);
      w.localGet(value);
      w.op(format.ne);
      slowIf(c, no);
      w.localGet(value);
      put(c, block, at, format);
      w.br(w.depthTo(done));
      w.end();
    },
  );
}

function compare(
  c: Body,
  block: RegionBlock,
  at: number,
  { format, yes, no }: { format: Format; yes: keyof Format; no?: keyof Format },
): void {
  const { w } = c, operands = operandsOf(block, at, 2);
  const ask = (which: keyof Format) => {
    for (const slot of operands) format.get(c, slot);
    w.op(format[which] as PlainOp);
  };
  guarded(c, block, at, (slow) => {
    if (format === SINGLE) needBoxed(c, block, at, operands, slow);
    ask(yes);
    if (no !== undefined) ask(no);
    else {
      ask("lt");
      w.op(Op.i32_or);
      ask("gt");
    }
    w.op(Op.i32_or);
    w.op(Op.i32_eqz);
    slowIf(c, slow);
    ask(yes);
    w.op(Op.i64_extend_i32_u);
  }, () => c.registers.set(block.ir.code[at + 1]));
}

function minMax(
  c: Body,
  block: RegionBlock,
  at: number,
  { format, op }: { format: Format; op: PlainOp },
): void {
  const { w } = c, operands = operandsOf(block, at, 2);
  const both = () => {
    for (const slot of operands) format.get(c, slot);
  };
  guarded(c, block, at, (slow) => {
    if (format === SINGLE) needBoxed(c, block, at, operands, slow);
    both();
    w.op(format.le);
    both();
    w.op(format.gt);
    w.op(Op.i32_or);
    w.op(Op.i32_eqz);
    slowIf(c, slow);
    both();
    w.op(op);
  }, () => put(c, block, at, format));
}

function fromInt(
  c: Body,
  block: RegionBlock,
  at: number,
  { format, op, word, exact }: { format: Format; op: PlainOp; word: boolean; exact?: boolean },
): void {
  const { w } = c, { code } = block.ir;
  guarded(c, block, at, (slow) => {
    // A static rounding mode is valid, and without rounding that is all that matters.
    if (exact) {
      if ((code[at + 5] & Fp.RM) === DYNAMIC) needNearest(c, slow);
    } else {needFastOr(c, slow, () => {
        // Of this size every integer is representable.
        const bits = format === DOUBLE ? 53 : 24;
        if (word) {
          c.registers.get32(code[at + 2]);
          w.op(isUnsigned(op) ? Op.i64_extend_i32_u : Op.i64_extend_i32_s);
        } else c.registers.get(code[at + 2]);
        if (!isUnsigned(op)) {
          w.i64ConstBig(1n << BigInt(bits));
          w.op(Op.i64_add);
        }
        w.i64ConstBig(1n << BigInt(isUnsigned(op) ? bits : bits + 1));
        w.op(Op.i64_le_u);
      });}
    if (word) c.registers.get32(code[at + 2]);
    else c.registers.get(code[at + 2]);
    w.op(op);
  }, () => put(c, block, at, format));
}

function toInt(
  c: Body,
  block: RegionBlock,
  at: number,
  { format, op, word, low, high }: {
    format: Format;
    op: PlainOp;
    word: boolean;
    low: number;
    high: number;
  },
): void {
  const { w } = c, { code } = block.ir, mode = code[at + 5] & Fp.RM;
  const value = c.scratch(format === DOUBLE ? "double" : "float", format.type);
  guarded(c, block, at, (slow) => {
    if (format === SINGLE) needBoxed(c, block, at, [code[at + 2]], slow);
    format.get(c, code[at + 2]);
    w.op(format[INTEGRAL[mode === DYNAMIC ? 0 : mode]]);
    w.localSet(value);
    needFastOr(c, slow, () => {
      w.localGet(value);
      format.get(c, code[at + 2]);
      w.op(format.eq);
    });
    w.localGet(value);
    format.constant(c, low);
    w.op(format.ge);
    w.localGet(value);
    format.constant(c, high);
    w.op(format.lt);
    w.op(Op.i32_and);
    w.op(Op.i32_eqz);
    slowIf(c, slow);
    w.localGet(value);
    w.op(op);
    if (word) w.op(Op.i64_extend_i32_s);
  }, () => c.registers.set(code[at + 1]));
}

/** Double to float. */
function demote(c: Body, block: RegionBlock, at: number): void {
  const { w } = c, a = block.ir.code[at + 2];
  const value = c.scratch("float", ValType.f32);
  guarded(c, block, at, (slow) => {
    c.registers.getDouble(a);
    w.op(Op.f32_demote_f64);
    w.localSet(value);
    needFastOr(c, slow, () => {
      w.localGet(value);
      w.op(Op.f64_promote_f32);
      c.registers.getDouble(a);
      w.op(Op.f64_eq);
    });
    w.localGet(value);
    w.op(Op.f32_abs);
    w.f32Const(Infinity);
    w.op(Op.f32_lt);
    w.op(Op.i32_eqz);
    slowIf(c, slow);
    w.localGet(value);
    w.op(Op.f32_abs);
    w.f32Const(SINGLE.normal);
    w.op(Op.f32_lt);
    c.registers.getDouble(a);
    w.f64Const(0);
    w.op(Op.f64_ne);
    w.op(Op.i32_and);
    slowIf(c, slow);
    w.localGet(value);
  }, () => put(c, block, at, SINGLE));
}

/** Float to double, which is exact. */
function promote(c: Body, block: RegionBlock, at: number): void {
  const { w } = c, { code } = block.ir, a = code[at + 2];
  guarded(c, block, at, (slow) => {
    if ((code[at + 5] & Fp.RM) === DYNAMIC) needNearest(c, slow);
    needBoxed(c, block, at, [a], slow);
    c.registers.getFloat(a);
    c.registers.getFloat(a);
    w.op(Op.f32_ne);
    slowIf(c, slow);
    c.registers.getFloat(a);
    w.op(Op.f64_promote_f32);
  }, () => c.registers.setDouble(code[at + 1]));
}

function unbox(c: Body, block: RegionBlock, at: number): void {
  const { w } = c, { code } = block.ir, d = code[at + 1], a = code[at + 2];
  c.registers.get(a);
  if (!c.boxed.has(a)) {
    w.i64Const(0x7fc0_0000, -1);
    c.registers.get(a);
    w.i64Const(32);
    w.op(Op.i64_shr_s);
    w.i64Const(-1);
    w.op(Op.i64_eq);
    w.op(Op.select);
  }
  c.registers.set(d);
}

/** `Slot.FP_FAST` from what was written to the rounding mode and the flags. */
function sync(c: Body): void {
  const { w } = c;
  const cell = (slot: number) => {
    w.i32Const(0);
    w.load(Op.i32_load, 2, slot * 8);
  };
  w.i32Const(0);
  cell(Slot.FP_FLAGS);
  w.i32Const(1);
  w.op(Op.i32_and);
  cell(Slot.FP_RM);
  w.op(Op.i32_eqz);
  w.op(Op.i32_and);
  w.op(Op.i64_extend_i32_u);
  w.store(Op.i64_store, 3, Slot.FP_FAST * 8);
  loadLimits(c);
}
