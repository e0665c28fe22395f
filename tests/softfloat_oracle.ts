/**
 * The soft floating point's oracle: IEEE 754 by definition. Operands become exact numbers (BigInt
 * significand times a power of two), the operation is done without error, and one function rounds.
 *
 * @module
 */

/** A binary interchange format: its width in bits, precision, and exponent range. */
export interface Format {
  readonly width: number;
  readonly precision: number;
  readonly emin: number;
  readonly emax: number;
}

/** binary64. */
export const F64: Format = { width: 64, precision: 53, emin: -1022, emax: 1023 };
/** binary32. */
export const F32: Format = { width: 32, precision: 24, emin: -126, emax: 127 };

/** A result's bits, of the format's or integer's width, and the flags it raises. */
export interface Result {
  readonly bits: bigint;
  readonly flags: number;
}

const NX = 1, UF = 2, OF = 4, DZ = 8, NV = 16;
const RNE = 0, RTZ = 1, RDN = 2, RUP = 3, RMM = 4;

/** A decoded operand: its value is `n * 2^e`, negated when `negative`. */
interface Operand {
  readonly nan: boolean;
  readonly signalling: boolean;
  readonly infinite: boolean;
  readonly negative: boolean;
  readonly n: bigint;
  readonly e: number;
}

const fractionBits = (t: Format): bigint => BigInt(t.precision - 1);
const infinity = (t: Format): bigint => BigInt(2 * t.emax + 1) << fractionBits(t);
const signBit = (t: Format, negative: boolean): bigint => negative ? 1n << BigInt(t.width - 1) : 0n;
/** The canonical NaN. */
export const canonicalNaN = (t: Format): bigint => infinity(t) | (1n << (fractionBits(t) - 1n));

function decode(t: Format, bits: bigint): Operand {
  const negative = (bits >> BigInt(t.width - 1)) === 1n;
  const fraction = bits & ((1n << fractionBits(t)) - 1n);
  const biased = Number((bits >> fractionBits(t)) & BigInt(2 * t.emax + 1));
  const special = biased === 2 * t.emax + 1;
  return {
    nan: special && fraction !== 0n,
    signalling: special && fraction !== 0n && fraction >> (fractionBits(t) - 1n) === 0n,
    infinite: special && fraction === 0n,
    negative,
    n: biased === 0 ? fraction : fraction | (1n << fractionBits(t)),
    e: Math.max(biased, 1) - t.emax - (t.precision - 1),
  };
}

const isZero = (x: Operand): boolean => x.n === 0n && !x.nan && !x.infinite;
const shift = (n: bigint, by: number): bigint => by >= 0 ? n << BigInt(by) : n >> BigInt(-by);
const bitLength = (n: bigint): number => n.toString(2).length;

function squareRoot(n: bigint): bigint {
  if (n < 2n) return n;
  let x = 1n << BigInt((bitLength(n) + 1) >> 1);
  for (;;) {
    const y = (x + n / x) >> 1n;
    if (y >= x) return x;
    x = y;
  }
}

/** A positive exact number: for each k the integer part of `value / 2^k`, and whether that is all of it. */
type Exact = (k: number) => { floor: bigint; exact: boolean };

function quotient(n: bigint, d: bigint, e: number): Exact {
  return (k) => {
    const up = shift(n, Math.max(e - k, 0)), down = shift(d, Math.max(k - e, 0));
    return { floor: up / down, exact: up % down === 0n };
  };
}

function root(n: bigint, e: number): Exact {
  return (k) => {
    const square = quotient(n, 1n, e)(2 * k), floor = squareRoot(square.floor);
    return { floor, exact: square.exact && floor * floor === square.floor };
  };
}

/** The multiple of 2^k, as an integer, to which `value` rounds, and whether it is exact. */
function roundAt(value: Exact, k: number, negative: boolean, rm: number): [bigint, boolean] {
  const half = value(k - 1), floor = half.floor >> 1n;
  const exact = half.exact && (half.floor & 1n) === 0n;
  if (exact) return [floor, true];
  const atLeastHalf = (half.floor & 1n) === 1n, tie = atLeastHalf && half.exact;
  let up = false;
  if (rm === RNE) up = atLeastHalf && (!tie || (floor & 1n) === 1n);
  if (rm === RMM) up = atLeastHalf;
  if (rm === RDN) up = negative;
  if (rm === RUP) up = !negative;
  return [up ? floor + 1n : floor, false];
}

/** Rounds a positive `value` near `2^guess` and gives the format's bits with the sign. */
function round(t: Format, negative: boolean, value: Exact, guess: number, rm: number): Result {
  let exponent = guess;
  while (value(exponent).floor === 0n) exponent--;
  while (value(exponent).floor !== 1n) exponent++;
  const sign = signBit(t, negative), ulp = exponent - t.precision + 1;
  const [free] = roundAt(value, ulp, negative, rm);
  const top = bitLength(free) + ulp - 1;
  if (top > t.emax) {
    const finite = rm === RTZ || rm === (negative ? RUP : RDN);
    return { bits: sign | (infinity(t) - (finite ? 1n : 0n)), flags: OF | NX };
  }
  const tiny = top < t.emin;
  const lowest = t.emin - t.precision + 1, k = Math.max(ulp, lowest);
  const [n, exact] = roundAt(value, k, negative, rm);
  // Counting from the lowest subnormal, a carry into the exponent comes out right by itself.
  const bits = (BigInt(k - lowest) << fractionBits(t)) + n;
  return { bits: sign | bits, flags: exact ? 0 : tiny ? UF | NX : NX };
}

/** Rounds the exact `n * 2^e`; `zeroNegative` is the sign of a zero. */
function roundDyadic(t: Format, n: bigint, e: number, zeroNegative: boolean, rm: number): Result {
  if (n === 0n) return { bits: signBit(t, zeroNegative), flags: 0 };
  const size = n < 0n ? -n : n;
  return round(t, n < 0n, quotient(size, 1n, e), bitLength(size) + e, rm);
}

const NAN = (t: Format, flags: number): Result => ({ bits: canonicalNaN(t), flags });
const INFINITY = (t: Format, negative: boolean): Result => ({
  bits: signBit(t, negative) | infinity(t),
  flags: 0,
});
const anySignalling = (...xs: Operand[]): number => xs.some((x) => x.signalling) ? NV : 0;

/** `a * b + c` with the product and the addend negated as asked. */
export function fma(
  t: Format,
  a: bigint,
  b: bigint,
  c: bigint,
  rm: number,
  negProduct = 0,
  negAddend = 0,
): Result {
  const x = decode(t, a), y = decode(t, b), z = decode(t, c);
  const invalid = (x.infinite && isZero(y)) || (isZero(x) && y.infinite);
  if (invalid) return NAN(t, NV);
  if (x.nan || y.nan || z.nan) return NAN(t, anySignalling(x, y, z));
  const productNegative = (x.negative !== y.negative) !== (negProduct === 1);
  const addendNegative = z.negative !== (negAddend === 1);
  if (x.infinite || y.infinite) {
    if (z.infinite && productNegative !== addendNegative) return NAN(t, NV);
    return INFINITY(t, productNegative);
  }
  if (z.infinite) return INFINITY(t, addendNegative);
  const e = Math.min(x.e + y.e, z.e);
  const product = shift(x.n * y.n, x.e + y.e - e), addend = shift(z.n, z.e - e);
  const n = (productNegative ? -product : product) + (addendNegative ? -addend : addend);
  const zeroNegative = product === 0n && addend === 0n && productNegative === addendNegative
    ? productNegative
    : rm === RDN;
  return roundDyadic(t, n, e, zeroNegative, rm);
}

/** `a + b`, or `a - b` when `negate` is 1. */
export function add(t: Format, a: bigint, b: bigint, rm: number, negate = 0): Result {
  const x = decode(t, a), y = decode(t, b), yNegative = y.negative !== (negate === 1);
  if (x.nan || y.nan) return NAN(t, anySignalling(x, y));
  if (x.infinite && y.infinite && x.negative !== yNegative) return NAN(t, NV);
  if (x.infinite) return INFINITY(t, x.negative);
  if (y.infinite) return INFINITY(t, yNegative);
  const e = Math.min(x.e, y.e), p = shift(x.n, x.e - e), q = shift(y.n, y.e - e);
  const n = (x.negative ? -p : p) + (yNegative ? -q : q);
  const bothZero = isZero(x) && isZero(y) && x.negative === yNegative;
  return roundDyadic(t, n, e, bothZero ? x.negative : rm === RDN, rm);
}

/** `a * b`. */
export function mul(t: Format, a: bigint, b: bigint, rm: number): Result {
  const x = decode(t, a), y = decode(t, b), negative = x.negative !== y.negative;
  if (x.nan || y.nan) return NAN(t, anySignalling(x, y));
  if (x.infinite || y.infinite) {
    return isZero(x) || isZero(y) ? NAN(t, NV) : INFINITY(t, negative);
  }
  return roundDyadic(t, negative ? -x.n * y.n : x.n * y.n, x.e + y.e, negative, rm);
}

/** `a / b`. */
export function div(t: Format, a: bigint, b: bigint, rm: number): Result {
  const x = decode(t, a), y = decode(t, b), negative = x.negative !== y.negative;
  if (x.nan || y.nan) return NAN(t, anySignalling(x, y));
  if ((x.infinite && y.infinite) || (isZero(x) && isZero(y))) return NAN(t, NV);
  if (x.infinite) return INFINITY(t, negative);
  if (y.infinite || isZero(x)) return { bits: signBit(t, negative), flags: 0 };
  if (isZero(y)) return { bits: signBit(t, negative) | infinity(t), flags: DZ };
  const guess = bitLength(x.n) - bitLength(y.n) + x.e - y.e;
  return round(t, negative, quotient(x.n, y.n, x.e - y.e), guess, rm);
}

/** The square root of `a`. */
export function sqrt(t: Format, a: bigint, rm: number): Result {
  const x = decode(t, a);
  if (x.nan) return NAN(t, anySignalling(x));
  if (isZero(x)) return { bits: a, flags: 0 };
  if (x.negative) return NAN(t, NV);
  if (x.infinite) return INFINITY(t, false);
  return round(t, false, root(x.n, x.e), (bitLength(x.n) + x.e) >> 1, rm);
}

/** The sign of `a - b` for numbers that aren't NaN; zeros are equal. */
function order(x: Operand, y: Operand): number {
  const key = (z: Operand): bigint => {
    const size = z.infinite ? 1n << 5000n : shift(z.n, z.e + 2000);
    return z.negative ? -size : size;
  };
  const d = key(x) - key(y);
  return d < 0n ? -1 : d > 0n ? 1 : 0;
}

/** minimumNumber (`greater` 0) or maximumNumber (1) with the RISC-V NaN results. */
export function select(t: Format, a: bigint, b: bigint, greater: number): Result {
  const x = decode(t, a), y = decode(t, b), flags = anySignalling(x, y);
  if (x.nan && y.nan) return NAN(t, flags);
  if (x.nan || y.nan) return { bits: x.nan ? b : a, flags };
  const o = order(x, y) || Number(y.negative) - Number(x.negative);
  return { bits: (o > 0) === (greater === 1) ? a : b, flags };
}

/** The comparison `a op b` as 1 or 0; the ordered ones signal on any NaN. */
export function compare(t: Format, a: bigint, b: bigint, op: "eq" | "lt" | "le"): Result {
  const x = decode(t, a), y = decode(t, b);
  if (x.nan || y.nan) return { bits: 0n, flags: op === "eq" ? anySignalling(x, y) : NV };
  const o = order(x, y);
  return { bits: (op === "eq" ? o === 0 : op === "lt" ? o < 0 : o <= 0) ? 1n : 0n, flags: 0 };
}

/** The class bit of `a`. */
export function classify(t: Format, a: bigint): Result {
  const x = decode(t, a);
  const subnormal = x.n >> fractionBits(t) === 0n;
  const size = x.infinite ? 3 : isZero(x) ? 0 : subnormal ? 1 : 2;
  const bit = x.nan ? (x.signalling ? 8 : 9) : x.negative ? 3 - size : 4 + size;
  return { bits: 1n << BigInt(bit), flags: 0 };
}

/** `a` as an integer of `width` bits; 32-bit results are sign-extended to 64 bits. */
export function toInteger(
  t: Format,
  a: bigint,
  width: number,
  signed: boolean,
  rm: number,
): Result {
  const x = decode(t, a);
  const low = signed ? -(1n << BigInt(width - 1)) : 0n;
  const high = (1n << BigInt(signed ? width - 1 : width)) - 1n;
  const extend = (n: bigint): bigint => BigInt.asUintN(64, BigInt.asIntN(width, n));
  if (x.nan) return { bits: extend(high), flags: NV };
  if (x.infinite) return { bits: extend(x.negative ? low : high), flags: NV };
  const [size, exact] = roundAt(quotient(x.n, 1n, x.e), 0, x.negative, rm);
  const n = x.negative ? -size : size;
  if (n < low || n > high) return { bits: extend(n < low ? low : high), flags: NV };
  return { bits: extend(n), flags: exact ? 0 : NX };
}

/** The low `width` bits of `a`, an integer, as a float. */
export function fromInteger(
  t: Format,
  a: bigint,
  width: number,
  signed: boolean,
  rm: number,
): Result {
  const n = signed ? BigInt.asIntN(width, a) : BigInt.asUintN(width, a);
  return roundDyadic(t, n, 0, false, rm);
}

/** `a` of format `from` as format `to`. */
export function convert(from: Format, to: Format, a: bigint, rm: number): Result {
  const x = decode(from, a);
  if (x.nan) return NAN(to, anySignalling(x));
  if (x.infinite) return INFINITY(to, x.negative);
  return roundDyadic(to, x.negative ? -x.n : x.n, x.e, x.negative, rm);
}
