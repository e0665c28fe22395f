/**
 * Whether the result of a double operation is exact, told in a few instructions: before anything was inexact, most
 * results are, and a program that computes with integers in doubles stays there for ever.
 *
 * The sum of two doubles is exact if the sum less each of them is the other; a product is if a fused multiply-add finds
 * no rest. What is not told here of products is left to the functions of `helpers.ts`.
 *
 * @module
 */
import { type Body, slowIf } from "./body.ts";
import { Op, ValType } from "./encoder.ts";

/** A product below this may have a rounding error that is no double. */
const SAFE = 2 ** -900;
/** Byte indices that swap the two doubles of a vector. */
const SWAP = [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7];

/** Pushes bits that are all 0 if `sum` is exactly the sum of the doubles that are pushed. */
function inexactSum(c: Body, a: () => void, b: () => void, sum: number): void {
  const { w } = c, pair = c.scratch("pair", ValType.v128);
  // The sum less each of them is the other.
  w.localGet(sum);
  w.op(Op.f64x2_splat);
  a();
  w.op(Op.f64x2_splat);
  b();
  w.lane(Op.f64x2_replace_lane, 1);
  w.localTee(pair);
  w.op(Op.f64x2_sub);
  w.localGet(pair);
  w.localGet(pair);
  w.shuffle(SWAP);
  // As numbers: NaNs, too, may have equal bits.
  w.op(Op.f64x2_ne);
}

/** Pushes bits that are all 0 if the product in a local is exactly that of the doubles that are pushed, or small. */
function inexactProduct(c: Body, a: () => void, b: () => void, product: number): void {
  const { w } = c;
  a();
  w.op(Op.f64x2_splat);
  b();
  w.op(Op.f64x2_splat);
  w.localGet(product);
  w.op(Op.f64_neg);
  w.op(Op.f64x2_splat);
  w.op(Op.f64x2_relaxed_madd);
}

/** Goes to a label if a product is so small that its rounding error may be no double. */
function needSafe(c: Body, product: number, otherwise: number): void {
  const { w } = c;
  w.localGet(product);
  w.op(Op.f64_abs);
  w.f64Const(SAFE);
  w.op(Op.f64_lt);
  slowIf(c, otherwise);
}

/** Goes to a label unless the result in a local is known to be exact; `push` pushes an operand by its number. */
export type Exactness = (
  c: Body,
  push: (i: number) => void,
  result: number,
  otherwise: number,
) => void;

/** By operation, named as in `helpers.ts`; nothing is left of a sum. */
export const EXACT: ReadonlyMap<string, Exactness> = new Map<string, Exactness>([
  ["sum64", (c, push, sum, otherwise) => {
    inexactSum(c, () => push(0), () => push(1), sum);
    c.w.op(Op.v128_any_true);
    slowIf(c, otherwise);
  }],
  ["product64", (c, push, product, otherwise) => {
    needSafe(c, product, otherwise);
    inexactProduct(c, () => push(0), () => push(1), product);
    c.w.op(Op.v128_any_true);
    slowIf(c, otherwise);
  }],
  ["fused64", (c, push, result, otherwise) => {
    const { w } = c, product = c.scratch("product", ValType.f64);
    push(0);
    push(1);
    w.op(Op.f64_mul);
    w.localSet(product);
    needSafe(c, product, otherwise);
    inexactProduct(c, () => push(0), () => push(1), product);
    inexactSum(c, () => w.localGet(product), () => push(2), result);
    w.op(Op.v128_or);
    w.op(Op.v128_any_true);
    slowIf(c, otherwise);
  }],
]);
