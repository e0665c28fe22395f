/**
 * Operations of vector units: minimum and maximum, rounding to integral values, estimates, fixed point, binary16. All
 * take slot numbers, a binary32 value being in the low word of its slot, and return 0, or 1 for an invalid rounding mode.
 *
 * Source: Arm Architecture Reference Manual for A-profile, section J1.3 (functions FPRecipEstimate, FPRSqrtStepFused and
 * so on), where IEEE 754 does not define them.
 *
 * @module
 */
import {
  ALTERNATIVE_HALF,
  FLAG_DZ,
  FLAG_NV,
  FLAG_NX,
  FLAG_OF,
  FLAG_UF,
  PROPAGATE,
  RDN,
  RMM,
  RNE,
  RTZ,
  RUP,
} from "./core.ts";
import { ConversionUnit, integral } from "./convert.ts";
import { recipEstimate, rsqrtEstimate } from "../vector/hash.ts";

/** The operations. */
export abstract class LaneUnit extends ConversionUnit {
  // ---- either format ----

  private value(a: number, wide: boolean): number {
    return wide ? this.f[a] : this.s[2 * a];
  }
  private flush(a: number, i: number, wide: boolean): number {
    return !this.flushes ? a : wide ? this.flush64(a, i) : this.flush32(a, i);
  }
  /** Raises flags and writes a number that the format has, as it is. */
  private put(d: number, x: number, wide: boolean, flags = 0): number {
    this.raise(flags);
    if (wide) this.f[d] = x;
    else {
      this.r[2 * d + 1] = 0;
      this.s[2 * d] = x;
    }
    return 0;
  }
  private nan(d: number, wide: boolean): number {
    return wide ? this.nan64(d, FLAG_NV) : this.nan32(d, FLAG_NV, 0);
  }
  private operandNan(d: number, a: number, b: number, wide: boolean): number {
    return wide ? this.operandNan64(d, a, b) : this.operandNan32(d, a, b, 0);
  }
  private isSignalling(a: number, wide: boolean): boolean {
    return (wide ? this.signalling64(a) : this.signalling32(a, 0)) !== 0;
  }
  private copy(d: number, a: number, wide: boolean): number {
    this.r[2 * d] = this.r[2 * a];
    this.r[2 * d + 1] = wide ? this.r[2 * a + 1] : 0;
    return 0;
  }

  /** Minimum or maximum; with `number`, of a quiet NaN and a number the number. */
  choose(
    d: number,
    a: number,
    b: number,
    wide: boolean,
    larger: boolean,
    number: boolean,
  ): number {
    a = this.flush(a, 0, wide);
    b = this.flush(b, 1, wide);
    const x = this.value(a, wide), y = this.value(b, wide);
    if (x !== x || y !== y) {
      const signals = this.isSignalling(a, wide) || this.isSignalling(b, wide);
      if (!number || signals || (x !== x && y !== y)) return this.operandNan(d, a, b, wide);
      return this.copy(d, x !== x ? b : a, wide);
    }
    // Of zeros the sign decides.
    const first = x === y ? Object.is(x, -0) !== larger : x < y !== larger;
    return this.copy(d, first ? a : b, wide);
  }

  /** The product, but ±2 for zero times infinity. */
  mulExtended(d: number, a: number, b: number, wide: boolean, rm: number): number {
    const x = this.flush(a, 0, wide), y = this.flush(b, 1, wide);
    const p = this.value(x, wide) * this.value(y, wide);
    if (p !== p && !this.hasNan(x, y, wide)) {
      const negative = this.isNegative(a, wide) !== this.isNegative(b, wide);
      return this.put(d, negative ? -2 : 2, wide);
    }
    return wide ? this.mul64(d, x, y, rm) : this.mul32(d, x, y, rm, 0);
  }

  private hasNan(a: number, b: number, wide: boolean): boolean {
    return Number.isNaN(this.value(a, wide)) || Number.isNaN(this.value(b, wide));
  }
  private isNegative(a: number, wide: boolean): boolean {
    return this.r[wide ? 2 * a + 1 : 2 * a] < 0;
  }

  /** All ones where a comparison holds, else 0: `kind` 0 equal (quiet), 1 greater, 2 greater or equal. */
  compareMask(d: number, a: number, b: number, wide: boolean, kind: number): number {
    a = this.flush(a, 0, wide);
    b = this.flush(b, 1, wide);
    const x = this.value(a, wide), y = this.value(b, wide);
    if (x !== x || y !== y) {
      const invalid = kind !== 0 || this.isSignalling(a, wide) || this.isSignalling(b, wide);
      if (invalid) this.raise(FLAG_NV);
      return this.putI32(d, 0);
    }
    return this.putI32(d, (kind === 0 ? x === y : kind === 1 ? x > y : x >= y) ? -1 : 0);
  }

  /** N, Z, C and V (bits 3 to 0) of a comparison: less 8, equal 6, greater 2, unordered 3; any NaN `signals` or not. */
  compareFlags(d: number, a: number, b: number, wide: boolean, signals: boolean): number {
    a = this.flush(a, 0, wide);
    b = this.flush(b, 1, wide);
    const x = this.value(a, wide), y = this.value(b, wide);
    if (x !== x || y !== y) {
      if (signals || this.isSignalling(a, wide) || this.isSignalling(b, wide)) this.raise(FLAG_NV);
      return this.putI32(d, 3);
    }
    return this.putI32(d, x < y ? 8 : x === y ? 6 : 2);
  }

  /** Rounds to an integral value; with `exact`, a result that differs is inexact. */
  roundIntegral(d: number, a: number, wide: boolean, rm: number, exact: boolean): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    a = this.flush(a, 0, wide);
    const x = this.value(a, wide);
    if (x !== x) return this.operandNan(d, a, a, wide);
    const y = integral(x, m);
    if (exact && y !== x) this.raise(FLAG_NX);
    // A zero keeps the sign.
    return this.put(d, y === 0 ? (this.isNegative(a, wide) ? -0 : 0) : y, wide);
  }

  // ---- estimates ----

  /** Estimate of the reciprocal. */
  reciprocal(d: number, a: number, wide: boolean): number {
    a = this.flush(a, 0, wide);
    const x = this.value(a, wide), size = Math.abs(x), negative = this.isNegative(a, wide);
    const sign = negative ? -1 : 1;
    if (x !== x) return this.operandNan(d, a, a, wide);
    if (size === Infinity) return this.put(d, sign * 0, wide);
    if (size === 0) return this.put(d, sign * Infinity, wide, FLAG_DZ);
    if (size < (wide ? 2 ** -1024 : 2 ** -128)) {
      const m = this.mode(7);
      if (m < 0) return 1;
      const finite = m === RTZ || m === (negative ? RUP : RDN);
      const largest = wide ? Number.MAX_VALUE : 2 ** 128 - 2 ** 104;
      return this.put(d, sign * (finite ? largest : Infinity), wide, FLAG_OF | FLAG_NX);
    }
    if (this.flushes && size >= (wide ? 2 ** 1022 : 2 ** 126)) {
      return this.put(d, sign * 0, wide, FLAG_UF);
    }
    const { exponent, fraction } = split(size);
    // Nine bits of the significand, the first one set.
    const estimate = recipEstimate(Math.floor(fraction * 256));
    return this.put(d, sign * scale(estimate / 256, -exponent - 1), wide);
  }

  /** Estimate of the reciprocal square root. */
  reciprocalRoot(d: number, a: number, wide: boolean): number {
    a = this.flush(a, 0, wide);
    const x = this.value(a, wide), negative = this.isNegative(a, wide);
    if (x !== x) return this.operandNan(d, a, a, wide);
    if (x === 0) return this.put(d, negative ? -Infinity : Infinity, wide, FLAG_DZ);
    if (negative) return this.nan(d, wide);
    if (x === Infinity) return this.put(d, 0, wide);
    const { exponent, fraction } = split(x);
    const odd = (exponent & 1) !== 0;
    const estimate = rsqrtEstimate(Math.floor(fraction * (odd ? 256 : 128)));
    return this.put(d, scale(estimate / 256, odd ? (-exponent - 1) / 2 : -exponent / 2 - 1), wide);
  }

  /** `2 - a * b`, or, with `root`, `(3 - a * b) / 2`, rounded once. */
  step(d: number, a: number, b: number, wide: boolean, rm: number, root: boolean): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    a = this.flush(a, 0, wide);
    b = this.flush(b, 1, wide);
    const x = this.value(a, wide), y = this.value(b, wide);
    if (x !== x || y !== y) {
      // The first operand counts negated.
      this.turn(a, wide);
      return this.operandNan(d, a, b, wide);
    }
    const c = this.flushed + 2;
    if (x * y !== x * y) return this.put(d, root ? 1.5 : 2, wide);
    if (Math.abs(x) === Infinity || Math.abs(y) === Infinity) return this.put(d, -(x * y), wide);
    this.put(c, root ? 1.5 : 2, wide);
    if (root) {
      // Half of the larger one, which is exact where the product counts at all.
      const larger = Math.abs(x) > Math.abs(y) ? a : b;
      this.put(larger, this.value(larger, wide) / 2, wide);
    }
    return wide ? this.fma64(d, a, b, c, rm, 1, 0) : this.fma32(d, a, b, c, rm, 1, 0, 0);
  }

  private turn(a: number, wide: boolean): void {
    this.r[wide ? 2 * a + 1 : 2 * a] ^= 0x80000000;
  }

  /** The operand with its exponent inverted and fraction 0. */
  reciprocalExponent(d: number, a: number, wide: boolean): number {
    const x = this.value(a, wide);
    if (x !== x) return this.operandNan(d, a, a, wide);
    this.flush(a, 0, wide);
    const word = wide ? this.r[2 * a + 1] : this.r[2 * a];
    const shift = wide ? 20 : 23, mask = wide ? 0x7ff : 0xff;
    const exponent = word >>> shift & mask, inverted = exponent === 0 ? mask - 1 : ~exponent & mask;
    const result = word & 0x80000000 | inverted << shift;
    return wide ? this.put64(d, result, 0) : this.put32(d, result, 0);
  }

  // ---- fixed point ----

  /** `d` = integer of `a * 2^fraction`, as wide as `a`, or as `long` says. */
  toFixed(
    d: number,
    a: number,
    wide: boolean,
    signed: boolean,
    fraction: number,
    rm: number,
    long: boolean = wide,
  ): number {
    a = this.flush(a, 0, wide);
    this.w[0] = this.value(a, wide) * 2 ** fraction;
    if (long) return signed ? this.toI64(d, rm) : this.toU64(d, rm);
    return signed
      ? this.toWord(d, rm, -(2 ** 31), 2 ** 31 - 1)
      : this.toWord(d, rm, 0, 2 ** 32 - 1);
  }

  /** `d` = integer `a * 2^-fraction`. */
  fromFixed(
    d: number,
    a: number,
    wide: boolean,
    signed: boolean,
    fraction: number,
    rm: number,
    long: boolean = wide,
  ): number {
    let bad: number;
    if (wide) {
      bad = long
        ? signed ? this.f64FromI64(d, a, rm) : this.f64FromU64(d, a, rm)
        : signed
        ? this.f64FromI32(d, a, rm)
        : this.f64FromU32(d, a, rm);
    } else {
      bad = long
        ? signed ? this.f32FromI64(d, a, rm, 0) : this.f32FromU64(d, a, rm, 0)
        : signed
        ? this.f32FromI32(d, a, rm, 0)
        : this.f32FromU32(d, a, rm, 0);
    }
    return bad !== 0 || fraction === 0
      ? bad
      : this.put(d, this.value(d, wide) * 2 ** -fraction, wide);
  }

  // ---- binary16 ----

  private halfValue(a: number): number {
    const bits = this.r[2 * a] & 0xffff, exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
    const sign = bits & 0x8000 ? -1 : 1;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31 && !this.alternativeHalf) return fraction === 0 ? sign * Infinity : NaN;
    return sign * (1024 + fraction) * 2 ** (exponent - 25);
  }
  private get alternativeHalf(): boolean {
    return (this.r[this.styleWord] & ALTERNATIVE_HALF) !== 0;
  }
  /** The binary16 NaN in a slot, its fraction at the top of 52 bits as two words, after raising what it raises. */
  private halfNan(a: number): number {
    const bits = this.r[2 * a] & 0xffff;
    if ((bits & 0x200) === 0) this.raise(FLAG_NV);
    return bits;
  }

  /** `d` (binary32) = `a` (binary16). */
  f32FromF16(d: number, a: number): number {
    const x = this.halfValue(a);
    if (x === x) return this.put(d, x, false);
    const bits = this.halfNan(a);
    if ((this.r[this.styleWord] & PROPAGATE) === 0) return this.nan32(d, 0, 0);
    return this.put32(d, (bits & 0x8000) << 16 | 0x7fc00000 | (bits & 0x1ff) << 13, 0);
  }

  /** `d` (binary64) = `a` (binary16). */
  f64FromF16(d: number, a: number): number {
    const x = this.halfValue(a);
    if (x === x) return this.put(d, x, true);
    const bits = this.halfNan(a);
    if ((this.r[this.styleWord] & PROPAGATE) === 0) return this.nan64(d, 0);
    return this.put64(d, (bits & 0x8000) << 16 | 0x7ff80000 | (bits & 0x1ff) << 10, 0);
  }

  /** `d` (binary16) = `a` (binary32). */
  f16FromF32(d: number, a: number, rm: number): number {
    a = this.flush(a, 0, false);
    const bits = this.r[2 * a];
    return this.toHalf(
      d,
      this.s[2 * a],
      bits < 0,
      this.signalling32(a, 0),
      bits >>> 13 & 0x1ff,
      rm,
    );
  }

  /** `d` (binary16) = `a` (binary64). */
  f16FromF64(d: number, a: number, rm: number): number {
    a = this.flush(a, 0, true);
    const hi = this.r[2 * a + 1];
    return this.toHalf(d, this.f[a], hi < 0, this.signalling64(a), hi >>> 10 & 0x1ff, rm);
  }

  private toHalf(
    d: number,
    x: number,
    negative: boolean,
    signalling: number,
    payload: number,
    rm: number,
  ): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    const alternative = this.alternativeHalf, sign = negative ? 0x8000 : 0;
    const put = (bits: number, flags: number) => {
      this.raise(flags);
      this.r[2 * d] = bits;
      this.r[2 * d + 1] = 0;
      return 0;
    };
    if (x !== x) {
      if (alternative) return put(sign, FLAG_NV);
      const propagates = (this.r[this.styleWord] & PROPAGATE) !== 0;
      return put(propagates ? sign | 0x7e00 | payload : 0x7e00, signalling);
    }
    const size = Math.abs(x);
    if (size === Infinity) {
      return alternative ? put(sign | 0x7fff, FLAG_NV) : put(sign | 0x7c00, 0);
    }
    if (size === 0) return put(sign, 0);
    const exponent = Math.max(split(size).exponent, -14), unit = 2 ** (exponent - 10);
    // Directions are those of the signed number.
    const n = size < 2 ** -40 ? 2 ** -10 : size / unit;
    const rounded = negative ? -integral(-n, m) : integral(n, m);
    const value = rounded * unit;
    if (value >= (alternative ? 2 ** 17 : 2 ** 16)) {
      if (alternative) return put(sign | 0x7fff, FLAG_NV);
      const nearest = m === RNE || m === RMM;
      const infinite = nearest || m === (negative ? RDN : RUP);
      return put(sign | (infinite ? 0x7c00 : 0x7bff), FLAG_OF | FLAG_NX);
    }
    const flags = rounded === n ? 0 : size < 2 ** -14 ? FLAG_NX | FLAG_UF : FLAG_NX;
    // The exponent's field counts from 2^-15; the significand's first bit adds one to it.
    return put(sign | ((exponent + 14) * 1024 + rounded), flags);
  }

  /** `d` (binary32) = `a` (binary64), rounded to odd. */
  f32FromF64Odd(d: number, a: number): number {
    const x = this.f[this.flush(a, 0, true)];
    const bad = this.f32FromF64(d, a, RTZ, 0);
    const y = this.s[2 * d];
    // Flushing is no rounding.
    const zero = this.flushes && Math.abs(x) < 2 ** -126;
    if (x === x && y !== x && !zero) this.r[2 * d] |= 1;
    return bad;
  }
}

/** A positive number as `fraction * 2^exponent` with `1 <= fraction < 2`. */
function split(x: number): { exponent: number; fraction: number } {
  let exponent = 0;
  if (x < 2 ** -1022) {
    x *= 2 ** 54;
    exponent = -54;
  }
  const rough = Math.min(Math.floor(Math.log2(x)), 1023);
  let fraction = x / 2 ** Math.max(rough, -1022);
  exponent += Math.max(rough, -1022);
  // The logarithm may be rounded over a power of two.
  while (fraction >= 2) {
    fraction /= 2;
    exponent++;
  }
  while (fraction < 1) {
    fraction *= 2;
    exponent--;
  }
  return { exponent, fraction };
}

/** `x * 2^exponent`, in two steps, so that neither factor is out of range. */
function scale(x: number, exponent: number): number {
  const half = Math.trunc(exponent / 2);
  return x * 2 ** half * 2 ** (exponent - half);
}
