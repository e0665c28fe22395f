/**
 * The soft floating point's operations as a table with their oracles, and generators of telling operands.
 *
 * @module
 */
import type { SoftFloat } from "../cpu/engine/softfloat/softfloat.ts";
import * as oracle from "./softfloat_oracle.ts";
import { F32, F64, type Format, type Result } from "./softfloat_oracle.ts";

type Run = (
  unit: SoftFloat,
  d: number,
  a: number,
  b: number,
  c: number,
  rm: number,
  boxed: number,
) => number;
type Expect = (a: bigint, b: bigint, c: bigint, rm: number) => Result;
type Methods = Record<string, (...operands: number[]) => number>;

/** An operation; its operands are floats of format `from` or integers of that many bits. */
export interface Operation {
  readonly name: string;
  readonly from: Format | number;
  readonly arity: 1 | 2 | 3;
  /** The result is binary32. */
  readonly narrow: boolean;
  /** The operation has a rounding mode. */
  readonly rounds: boolean;
  /** Calls the method with slot numbers. */
  readonly run: Run;
  /** The result by definition. */
  readonly expect: Expect;
}

/** Every operation. */
export const operations: Operation[] = [];

function define(
  method: string,
  from: Format | number,
  arity: 1 | 2 | 3,
  narrow: boolean,
  rounds: boolean,
  expect: Expect,
  negate: number[] = [],
): void {
  const run: Run = (unit, d, a, b, c, rm, boxed) => {
    const operands = [d, a, b, c].slice(0, arity + 1);
    // The binary64 methods ignore the last argument.
    return (unit as unknown as Methods)[method](
      ...operands,
      ...(rounds ? [rm] : []),
      ...negate,
      boxed,
    );
  };
  const name = negate.length === 0 ? method : `${method}(${negate.join(", ")})`;
  operations.push({ name, from, arity, narrow, rounds, run, expect });
}

for (const t of [F64, F32]) {
  const w = t.width, narrow = t === F32;
  define(`add${w}`, t, 2, narrow, true, (a, b, _, rm) => oracle.add(t, a, b, rm));
  define(`sub${w}`, t, 2, narrow, true, (a, b, _, rm) => oracle.add(t, a, b, rm, 1));
  define(`mul${w}`, t, 2, narrow, true, (a, b, _, rm) => oracle.mul(t, a, b, rm));
  define(`div${w}`, t, 2, narrow, true, (a, b, _, rm) => oracle.div(t, a, b, rm));
  define(`sqrt${w}`, t, 1, narrow, true, (a, _b, _c, rm) => oracle.sqrt(t, a, rm));
  for (const n of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
    const expect: Expect = (a, b, c, rm) => oracle.fma(t, a, b, c, rm, n[0], n[1]);
    define(`fma${w}`, t, 3, narrow, true, expect, n);
  }
  define(`min${w}`, t, 2, narrow, false, (a, b) => oracle.select(t, a, b, 0));
  define(`max${w}`, t, 2, narrow, false, (a, b) => oracle.select(t, a, b, 1));
  for (const op of ["eq", "lt", "le"] as const) {
    define(`${op}${w}`, t, 2, false, false, (a, b) => oracle.compare(t, a, b, op));
  }
  define(`class${w}`, t, 1, false, false, (a) => oracle.classify(t, a));
  for (const [letter, signed] of [["i", true], ["u", false]] as const) {
    for (const n of [32, 64]) {
      const into: Expect = (a, _b, _c, rm) => oracle.toInteger(t, a, n, signed, rm);
      define(`${letter}${n}FromF${w}`, t, 1, false, true, into);
      const from: Expect = (a, _b, _c, rm) => oracle.fromInteger(t, a, n, signed, rm);
      define(`f${w}From${letter.toUpperCase()}${n}`, n, 1, narrow, true, from);
    }
  }
}
define("f32FromF64", F64, 1, true, true, (a, _b, _c, rm) => oracle.convert(F64, F32, a, rm));
define("f64FromF32", F32, 1, false, true, (a, _b, _c, rm) => oracle.convert(F32, F64, a, rm));

let state = 0;

/** Starts the random numbers anew. */
export function seed(value: number): void {
  state = value;
}

/** A random 32-bit number (a splitmix-style mixer), so that a failure repeats. */
function random(): number {
  state = (state + 0x9e3779b9) | 0;
  let x = state;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}
/** A random number below `n`. */
export const below = (n: number): number => random() % n;
/** A random 64-bit number. */
export const random64 = (): bigint => (BigInt(random()) << 32n) | BigInt(random());

/** A significand's fraction: dense, or a few runs of ones, the stuff that ties are made of. */
function fraction(bits: number): bigint {
  const all = (1n << BigInt(bits)) - 1n;
  if (below(3) === 0) return random64() & all;
  let n = 0n;
  for (let k = below(4); k > 0; k--) {
    const bit = 1n << BigInt(below(bits));
    n += below(2) === 0 ? bit : -bit;
  }
  return n & all;
}

const clamp = (t: Format, biased: number): bigint =>
  BigInt(Math.max(0, Math.min(2 * t.emax, biased))) << BigInt(t.precision - 1);
const sign = (t: Format): bigint => BigInt(below(2)) << BigInt(t.width - 1);

/** Operands whose product, quotient or sum lies near 1, near the subnormals or near overflow, and an addend beside it. */
export function related(t: Format): [bigint, bigint, bigint] {
  const { precision: p, emax } = t;
  const target =
    [emax + below(9) - 4, below(p + 12), 2 * emax - below(4), below(2 * emax)][below(4)];
  const x = [below(2 * emax), target, emax + below(60) - 30][below(3)];
  const y = [x + emax - target, x + below(3 * p) - (3 * p >> 1), target + emax - x][below(3)];
  const z = target + [below(7) - 3, p + 3 - below(8), below(8 * p) - 4 * p][below(3)];
  const addend = below(8) === 0 ? clamp(t, 1) : clamp(t, z) | fraction(p - 1);
  return [
    sign(t) | clamp(t, x) | fraction(p - 1),
    sign(t) | clamp(t, y + below(3) - 1) | fraction(p - 1),
    sign(t) | addend,
  ];
}

/** Zeros, subnormals, powers of two and their neighbours, infinities and NaNs. */
export function specials(t: Format): bigint[] {
  const unit = 1n << BigInt(t.precision - 1), inf = BigInt(2 * t.emax + 1) * unit;
  const one = BigInt(t.emax) * unit, nan = oracle.canonicalNaN(t);
  const sizes = [
    0n,
    1n,
    2n,
    unit / 2n,
    unit - 1n,
    unit,
    unit + 1n,
    one - 1n,
    one,
    one + 1n,
    one + unit / 2n,
  ];
  sizes.push(one - unit, inf - unit, inf - 1n, inf, inf + 1n, nan, nan | 5n);
  return sizes.flatMap((s) => [s, s | (1n << BigInt(t.width - 1))]);
}

/** Values around the ends of the integer types, their halves, and where binary32 ends. */
export function boundaries(t: Format): bigint[] {
  const unit = 1n << BigInt(t.precision - 1), list: bigint[] = [];
  const exponents = [
    -150,
    -149,
    -127,
    -126,
    -2,
    -1,
    0,
    1,
    22,
    23,
    24,
    30,
    31,
    32,
    51,
    52,
    53,
    62,
    63,
    64,
    127,
    128,
  ];
  for (const e of exponents) {
    const base = BigInt(Math.max(e + t.emax, 1)) * unit;
    for (
      const d of [-unit / 4n, -2n, -1n, 0n, 1n, unit >> 25n, unit >> 24n, unit / 4n, unit / 2n]
    ) {
      list.push(base + d, (base + d) | (1n << BigInt(t.width - 1)));
    }
  }
  return list.filter((x) => x >= 0n);
}

/** Integers around powers of two and around the ties of both formats. */
export function integers(): bigint[] {
  const list: bigint[] = [];
  for (const bit of [0, 1, 23, 24, 25, 30, 31, 32, 33, 52, 53, 54, 55, 62, 63]) {
    for (const d of [-3n, -2n, -1n, 0n, 1n, 2n, 3n, 1n << 9n, 1n << 10n, 1n << 39n]) {
      list.push(
        BigInt.asUintN(64, (1n << BigInt(bit)) + d),
        BigInt.asUintN(64, d - (1n << BigInt(bit))),
      );
    }
  }
  return list;
}
