/**
 * Functions that compiled code shares within a module: high products, and floating-point results off the fast path that
 * are exact all the same, so that no flag changes.
 *
 * Exactness is found by error-free transformations: the error of a sum is a number and computed by Knuth's "TwoSum"
 * (The Art of Computer Programming, volume 2, section 4.2.2), that of a product by a fused multiply-add. Those for
 * doubles ask for results of at least 2^-900, so that errors don't underflow.
 *
 * @module
 */
import { Slot } from "../ir/ops.ts";
import { type BodyWriter, Op, type PlainOp, ValType } from "./encoder.ts";

const { i32, i64, f32, f64 } = ValType;

/**
 * What there is. `product64` and so on take the operands and `Slot.FP_FAST`, and return the result, or a NaN where softfloat
 * must be asked.
 */
export type Helper =
  | "reach"
  | "mulhu"
  | "product64"
  | "quotient64"
  | "root64"
  | "fused64"
  | "sum32"
  | "product32"
  | "quotient32"
  | "root32"
  | "fused32";

/** Value types and code of a helper. */
export interface HelperInfo {
  /** Types of its parameters. */
  readonly params: readonly number[];
  /** Types of its results. */
  readonly results: readonly number[];
  /** Writes its body to a writer that was started. */
  write(w: BodyWriter, offsets: HelperOffsets): void;
}

/** Where helpers find things in the arena, in bytes. */
export interface HelperOffsets {
  /** Page table. */
  pages: number;
  /** A 32-bit word for `reach`. */
  misses: number;
}

/** Most pages that an extent reaches down and up. */
const REACH = 4096;
/** An extent moves once in this many misses: accesses here and there by turns shall not move it all the time. */
const PATIENCE = 64;

/** A double below this may have rounding errors that are no doubles. */
const SAFE = 2 ** -900;

/** Returns a NaN unless the i32 on the stack is not 0. */
function need(w: BodyWriter, type: number): void {
  w.op(Op.i32_eqz);
  w.if();
  if (type === f64) w.f64Const(NaN);
  else w.f32Const(NaN);
  w.op(Op.return);
  w.end();
}

/** Pushes whether the rounding mode in force is to nearest even. */
function pushNearest(w: BodyWriter): void {
  w.i32Const(0);
  w.load(Op.i32_load, 2, Slot.FP_RM * 8);
  w.op(Op.i32_eqz);
}

function binary(w: BodyWriter, op: PlainOp, a: number, b: number): void {
  w.localGet(a);
  w.localGet(b);
  w.op(op);
}

/** Pushes |local| compared with a constant. */
function pushSize(
  w: BodyWriter,
  type: number,
  local: number,
  op: "lt" | "ge",
  value: number,
): void {
  w.localGet(local);
  if (type === f64) {
    w.op(Op.f64_abs);
    w.f64Const(value);
    w.op(op === "lt" ? Op.f64_lt : Op.f64_ge);
  } else {
    w.op(Op.f32_abs);
    w.f32Const(value);
    w.op(op === "lt" ? Op.f32_lt : Op.f32_ge);
  }
}

/** Pushes whether the sum `s` of `a` and `b` is exact. */
function pushExactSum(w: BodyWriter, type: number, a: number, b: number, s: number): void {
  const [add, sub, eq] = type === f64
    ? [Op.f64_add, Op.f64_sub, Op.f64_eq]
    : [Op.f32_add, Op.f32_sub, Op.f32_eq];
  const part = w.local(type);
  binary(w, sub, s, a);
  w.localSet(part);
  w.localGet(a);
  binary(w, sub, s, part);
  w.op(sub);
  binary(w, sub, b, part);
  w.op(add);
  if (type === f64) w.f64Const(0);
  else w.f32Const(0);
  w.op(eq);
}

/** Pushes ±x * y + z, rounded once. */
function pushFused64(w: BodyWriter, x: number, y: number, push: () => void, negate: boolean): void {
  w.localGet(x);
  if (negate) w.op(Op.f64_neg);
  w.op(Op.f64x2_splat);
  w.localGet(y);
  w.op(Op.f64x2_splat);
  push();
  w.op(Op.f64x2_splat);
  w.op(Op.f64x2_relaxed_madd);
  w.lane(Op.f64x2_extract_lane, 0);
}

function isZero(w: BodyWriter, type: number, local: number): void {
  w.localGet(local);
  if (type === f64) w.f64Const(0);
  else w.f32Const(0);
  w.op(type === f64 ? Op.f64_eq : Op.f32_eq);
}

/** Returns the local if the i32 on the stack is not 0. */
function returnIf(w: BodyWriter, local: number): void {
  w.if();
  w.localGet(local);
  w.op(Op.return);
  w.end();
}

/** The functions for one operation: of `operands` numbers, of which `exact` pushes whether the result is exact. */
function operation(
  type: number,
  operands: number,
  compute: (w: BodyWriter) => void,
  zero: ((w: BodyWriter) => void) | undefined,
  exact: (w: BodyWriter, result: number) => void,
): HelperInfo {
  const numbers = Array.from({ length: operands }, () => type);
  return {
    params: [...numbers, i32],
    results: [type],
    write: (w) => {
      const result = w.local(type);
      compute(w);
      w.localSet(result);
      pushSize(w, type, result, "lt", Infinity);
      need(w, type);
      if (zero) {
        isZero(w, type, result);
        zero(w);
        w.op(Op.i32_and);
        // The sign of an exact 0 depends on the rounding mode in sums only.
        pushNearest(w);
        w.op(Op.i32_and);
        returnIf(w, result);
      }
      // With inexactness of no interest, the result was too small.
      w.localGet(operands);
      w.op(Op.i32_eqz);
      pushNearest(w);
      w.op(Op.i32_and);
      need(w, type);
      exact(w, result);
      need(w, type);
      w.localGet(result);
    },
  };
}

const eitherZero = (type: number) => (w: BodyWriter) => {
  isZero(w, type, 0);
  isZero(w, type, 1);
  w.op(Op.i32_or);
};

/** Pushes the error of the product of locals 0 and 1, and whether it is 0; `p` holds the product. */
function pushExactProduct64(w: BodyWriter, p: number): void {
  pushFused64(w, 0, 1, () => {
    w.localGet(p);
    w.op(Op.f64_neg);
  }, false);
  w.f64Const(0);
  w.op(Op.f64_eq);
  pushSize(w, f64, p, "ge", SAFE);
  w.op(Op.i32_and);
}

/** Pushes whether `push64` (a double that is exact) equals the float in `result`, which is normal. */
function pushSame32(w: BodyWriter, result: number, push64: () => void): void {
  w.localGet(result);
  w.op(Op.f64_promote_f32);
  push64();
  w.op(Op.f64_eq);
  pushSize(w, f32, result, "ge", 2 ** -126);
  w.op(Op.i32_and);
}

function promote(w: BodyWriter, local: number): void {
  w.localGet(local);
  w.op(Op.f64_promote_f32);
}

function product32(w: BodyWriter, a: number, b: number): void {
  promote(w, a);
  promote(w, b);
  w.op(Op.f64_mul);
}

/** Pushes whether a fused result of 0 is exact: a product of 0, or an addend large enough to leave a rest. */
function fusedZero(type: number, large: number): (w: BodyWriter) => void {
  return (w) => {
    eitherZero(type)(w);
    pushSize(w, type, 2, "ge", large);
    w.op(Op.i32_or);
  };
}

/** The helpers. Those for doubles want `f64x2.relaxed_madd` to round once. */
export const HELPERS: Readonly<Record<Helper, HelperInfo>> = {
  reach: { params: [i64, i32, i32, i32, i32], results: [i32], write: writeReach },
  mulhu: { params: [i64, i64], results: [i64], write: writeMulhu },
  product64: operation(
    f64,
    2,
    (w) => binary(w, Op.f64_mul, 0, 1),
    eitherZero(f64),
    pushExactProduct64,
  ),
  quotient64: operation(
    f64,
    2,
    (w) => binary(w, Op.f64_div, 0, 1),
    (w) => isZero(w, f64, 0),
    (w, q) => {
      // The rest a - q * b.
      pushFused64(w, q, 1, () => w.localGet(0), true);
      w.f64Const(0);
      w.op(Op.f64_eq);
      pushSize(w, f64, q, "ge", SAFE);
      w.op(Op.i32_and);
      pushSize(w, f64, 0, "ge", SAFE);
      w.op(Op.i32_and);
    },
  ),
  root64: operation(
    f64,
    1,
    (w) => {
      w.localGet(0);
      w.op(Op.f64_sqrt);
    },
    (w) => isZero(w, f64, 0),
    (w, s) => {
      pushFused64(w, s, s, () => w.localGet(0), true);
      w.f64Const(0);
      w.op(Op.f64_eq);
      pushSize(w, f64, 0, "ge", SAFE);
      w.op(Op.i32_and);
    },
  ),
  fused64: operation(
    f64,
    3,
    (w) => pushFused64(w, 0, 1, () => w.localGet(2), false),
    fusedZero(f64, SAFE),
    (w, result) => {
      // Enough: an exact product in an exact sum.
      const p = w.local(f64);
      binary(w, Op.f64_mul, 0, 1);
      w.localSet(p);
      pushExactProduct64(w, p);
      eitherZero(f64)(w);
      w.op(Op.i32_or);
      pushExactSum(w, f64, p, 2, result);
      w.op(Op.i32_and);
      binary(w, Op.f64_add, p, 2);
      w.localGet(result);
      w.op(Op.f64_eq);
      w.op(Op.i32_and);
    },
  ),
  sum32: operation(
    f32,
    2,
    (w) => binary(w, Op.f32_add, 0, 1),
    undefined,
    (w, s) => pushExactSum(w, f32, 0, 1, s),
  ),
  product32: operation(
    f32,
    2,
    (w) => binary(w, Op.f32_mul, 0, 1),
    eitherZero(f32),
    (w, p) => pushSame32(w, p, () => product32(w, 0, 1)),
  ),
  quotient32: operation(
    f32,
    2,
    (w) => binary(w, Op.f32_div, 0, 1),
    (w) => isZero(w, f32, 0),
    (w, q) => {
      product32(w, q, 1);
      promote(w, 0);
      w.op(Op.f64_eq);
      pushSize(w, f32, q, "ge", 2 ** -126);
      w.op(Op.i32_and);
    },
  ),
  root32: operation(
    f32,
    1,
    (w) => {
      w.localGet(0);
      w.op(Op.f32_sqrt);
    },
    (w) => isZero(w, f32, 0),
    (w, s) => {
      product32(w, s, s);
      promote(w, 0);
      w.op(Op.f64_eq);
    },
  ),
  fused32: operation(
    f32,
    3,
    (w) => {
      for (let i = 0; i < 3; i++) {
        w.localGet(i);
        w.op(Op.f32x4_splat);
      }
      w.op(Op.f32x4_relaxed_madd);
      w.lane(Op.f32x4_extract_lane, 0);
    },
    fusedZero(f32, 2 ** -90),
    (w, result) => {
      const p = w.local(f64), c = w.local(f64), s = w.local(f64);
      product32(w, 0, 1);
      w.localSet(p);
      promote(w, 2);
      w.localSet(c);
      binary(w, Op.f64_add, p, c);
      w.localSet(s);
      pushExactSum(w, f64, p, c, s);
      pushSame32(w, result, () => w.localGet(s));
      w.op(Op.i32_and);
    },
  ),
};

/**
 * Writes the slow part of a memory check: whether `span` bytes at an address have a right (a page-table bit). Sets
 * the extent at an offset to the pages around, if it is empty or often missed, less `slack` bytes at the end.
 */
function writeReach(w: BodyWriter, { pages, misses }: HelperOffsets): void {
  const ADDRESS = 0, EXTENT = 1, SPAN = 2, RIGHT = 3, SLACK = 4;
  const page = w.local(i32, "page"), low = w.local(i32, "low"), high = w.local(i32, "high");
  const rights = w.local(i64, "rights");
  const pushRight = (push: () => void) => {
    push();
    w.load(Op.i32_load8_u, 0, pages);
    w.localGet(RIGHT);
    w.op(Op.i32_and);
  };
  const plus = (local: number, by: number) => {
    w.localGet(local);
    w.i32Const(by);
    w.op(Op.i32_add);
  };
  const noUnless = () => {
    w.op(Op.i32_eqz);
    w.if();
    w.i32Const(0);
    w.op(Op.return);
    w.end();
  };
  w.localGet(ADDRESS);
  w.i64Const(32);
  w.op(Op.i64_shr_u);
  w.op(Op.i64_eqz);
  noUnless();
  w.localGet(ADDRESS);
  w.op(Op.i32_wrap_i64);
  w.i32Const(12);
  w.op(Op.i32_shr_u);
  w.localSet(page);
  pushRight(() => w.localGet(page));
  noUnless();
  pushRight(() => {
    w.localGet(ADDRESS);
    w.op(Op.i32_wrap_i64);
    w.localGet(SPAN);
    w.op(Op.i32_add);
    w.i32Const(1);
    w.op(Op.i32_sub);
    w.i32Const(12);
    w.op(Op.i32_shr_u);
  });
  noUnless();
  // Where the extent is in use it stays, mostly.
  w.localGet(EXTENT);
  w.load(Op.i32_load, 2, 8);
  w.if();
  w.i32Const(0);
  w.i32Const(0);
  w.load(Op.i32_load, 2, misses);
  w.i32Const(1);
  w.op(Op.i32_add);
  w.localTee(low);
  w.store(Op.i32_store, 2, misses);
  w.localGet(low);
  w.i32Const(PATIENCE - 1);
  w.op(Op.i32_and);
  w.if();
  w.i32Const(1);
  w.op(Op.return);
  w.end();
  w.end();
  // Downwards and upwards as far as the right goes, eight pages at a time and then one; the table's ends stop it.
  const walk = (local: number, down: boolean) => {
    plus(page, down ? 0 : 1);
    w.localSet(local);
    for (const step of [8, 1]) {
      const out = w.block(), again = w.loop();
      if (down) {
        plus(local, -step);
        plus(page, -REACH);
        w.i32Const(0);
        plus(page, -REACH);
        w.i32Const(0);
        w.op(Op.i32_gt_s);
        w.op(Op.select);
        w.op(Op.i32_lt_s);
      } else {
        plus(local, step);
        plus(page, REACH);
        w.i32Const(1 << 20);
        plus(page, REACH);
        w.i32Const(1 << 20);
        w.op(Op.i32_lt_s);
        w.op(Op.select);
        w.op(Op.i32_gt_s);
      }
      w.brIf(w.depthTo(out));
      plus(local, down ? -step : 0);
      if (step === 8) w.load(Op.i64_load, 0, pages);
      else w.load(Op.i64_load8_u, 0, pages);
      w.localGet(rights);
      w.op(Op.i64_and);
      w.localGet(rights);
      if (step === 1) {
        w.i64Const(0xff);
        w.op(Op.i64_and);
      }
      w.op(Op.i64_ne);
      w.brIf(w.depthTo(out));
      plus(local, down ? -step : step);
      w.localSet(local);
      w.br(w.depthTo(again));
      w.end();
      w.end();
    }
  };
  w.localGet(RIGHT);
  w.op(Op.i64_extend_i32_u);
  w.i64Const(0x0101_0101, 0x0101_0101);
  w.op(Op.i64_mul);
  w.localSet(rights);
  walk(low, true);
  walk(high, false);
  // Start, and how far behind it accesses may begin.
  w.localGet(EXTENT);
  w.localGet(low);
  w.op(Op.i64_extend_i32_u);
  w.i64Const(12);
  w.op(Op.i64_shl);
  w.store(Op.i64_store, 3, 0);
  w.localGet(EXTENT);
  w.localGet(high);
  w.localGet(low);
  w.op(Op.i32_sub);
  w.i32Const(12);
  w.op(Op.i32_shl);
  w.localGet(SLACK);
  w.op(Op.i32_sub);
  w.op(Op.i64_extend_i32_u);
  w.store(Op.i64_store, 3, 8);
  w.i32Const(1);
}

/** Writes a function that computes the high word of an unsigned product, from four products of 32-bit halves. */
function writeMulhu(w: BodyWriter): void {
  const carry = w.local(i64), middle = w.local(i64);
  const low = (local: number) => {
    w.localGet(local);
    w.i64Const(-1, 0);
    w.op(Op.i64_and);
  };
  const high = (local: number) => {
    w.localGet(local);
    w.i64Const(32);
    w.op(Op.i64_shr_u);
  };
  low(0);
  low(1);
  w.op(Op.i64_mul);
  w.localSet(carry);
  high(0);
  low(1);
  w.op(Op.i64_mul);
  high(carry);
  w.op(Op.i64_add);
  w.localSet(middle);
  low(0);
  high(1);
  w.op(Op.i64_mul);
  low(middle);
  w.op(Op.i64_add);
  w.localSet(carry);
  high(0);
  high(1);
  w.op(Op.i64_mul);
  high(middle);
  w.op(Op.i64_add);
  high(carry);
  w.op(Op.i64_add);
}
