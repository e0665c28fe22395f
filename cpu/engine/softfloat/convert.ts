/**
 * Conversions between integers and floating point and between the two formats (RISC-V unprivileged ISA,
 * "F" and "D" chapters, floating-point conversion instructions).
 *
 * @module
 */
import {
  FLAG_NV,
  FLAG_NX,
  NAN_TO_ZERO,
  PROPAGATE,
  RDN,
  RMM,
  RNE,
  RTZ,
  RUP,
  sumError,
} from "./core.ts";
import { FusedUnit } from "./fma.ts";

/** `v` rounded to an integral value; NaN and infinities stay. */
export function integral(v: number, m: number): number {
  switch (m) {
    case RTZ:
      return Math.trunc(v);
    case RDN:
      return Math.floor(v);
    case RUP:
      return Math.ceil(v);
    case RMM: {
      const t = Math.trunc(v);
      return v - t >= 0.5 ? t + 1 : v - t <= -0.5 ? t - 1 : t;
    }
    default:
      // Beside 2^52 there is no room for a fraction: the addition rounds to nearest even.
      if (Math.abs(v) >= 2 ** 52) return v;
      return v < 0 ? (v - 2 ** 52) + 2 ** 52 : (v + 2 ** 52) - 2 ** 52;
  }
}

/**
 * The conversions. Each takes slot numbers and returns 0, or 1 for an invalid rounding mode, also where the
 * result is always exact.
 *
 * To an integer: a NaN or a value out of range raises NV alone and gives the nearest end of the range,
 * for a NaN the upper end. 32-bit results are sign-extended to 64 bits, unsigned ones too.
 */
export abstract class ConversionUnit extends FusedUnit {
  /** `d` (int32) = `a` (binary64). */
  i32FromF64(d: number, a: number, rm: number): number {
    this.w[0] = this.f[this.flushes ? this.flush64(a, 0) : a];
    return this.toWord(d, rm, -(2 ** 31), 2 ** 31 - 1);
  }

  /** `d` (uint32) = `a` (binary64). */
  u32FromF64(d: number, a: number, rm: number): number {
    this.w[0] = this.f[this.flushes ? this.flush64(a, 0) : a];
    return this.toWord(d, rm, 0, 2 ** 32 - 1);
  }

  /** `d` (int64) = `a` (binary64). */
  i64FromF64(d: number, a: number, rm: number): number {
    this.w[0] = this.f[this.flushes ? this.flush64(a, 0) : a];
    return this.toI64(d, rm);
  }

  /** `d` (uint64) = `a` (binary64). */
  u64FromF64(d: number, a: number, rm: number): number {
    this.w[0] = this.f[this.flushes ? this.flush64(a, 0) : a];
    return this.toU64(d, rm);
  }

  /** `d` (int32) = `a` (binary32). */
  i32FromF32(d: number, a: number, rm: number, boxed: number): number {
    this.w[0] = this.value32(this.flushes ? this.flush32(a, 0) : a, boxed);
    return this.toWord(d, rm, -(2 ** 31), 2 ** 31 - 1);
  }

  /** `d` (uint32) = `a` (binary32). */
  u32FromF32(d: number, a: number, rm: number, boxed: number): number {
    this.w[0] = this.value32(this.flushes ? this.flush32(a, 0) : a, boxed);
    return this.toWord(d, rm, 0, 2 ** 32 - 1);
  }

  /** `d` (int64) = `a` (binary32). */
  i64FromF32(d: number, a: number, rm: number, boxed: number): number {
    this.w[0] = this.value32(this.flushes ? this.flush32(a, 0) : a, boxed);
    return this.toI64(d, rm);
  }

  /** `d` (uint64) = `a` (binary32). */
  u64FromF32(d: number, a: number, rm: number, boxed: number): number {
    this.w[0] = this.value32(this.flushes ? this.flush32(a, 0) : a, boxed);
    return this.toU64(d, rm);
  }

  /** Whether a NaN becomes 0. */
  private get zeroForNan(): boolean {
    return (this.r[this.styleWord] & NAN_TO_ZERO) !== 0;
  }

  /** Converts `w[0]` to an integer between `low` and `high`, kept as 32 bits. */
  protected toWord(d: number, rm: number, low: number, high: number): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    const v = this.w[0], t = integral(v, m);
    if (t >= low && t <= high) {
      if (t !== v) this.raise(FLAG_NX);
      return this.putI32(d, t | 0);
    }
    this.raise(FLAG_NV);
    if (v !== v && this.zeroForNan) return this.putI32(d, 0);
    return this.putI32(d, (t < low ? low : high) | 0);
  }

  protected toI64(d: number, rm: number): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    const v = this.w[0], t = integral(v, m);
    if (t >= -(2 ** 63) && t < 2 ** 63) {
      if (t !== v) this.raise(FLAG_NX);
      const high = Math.floor(t / 2 ** 32);
      return this.put64(d, high, t - high * 2 ** 32);
    }
    this.raise(FLAG_NV);
    if (v !== v && this.zeroForNan) return this.putI32(d, 0);
    return t < 0 ? this.put64(d, -0x80000000, 0) : this.put64(d, 0x7fffffff, -1);
  }

  protected toU64(d: number, rm: number): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    const v = this.w[0], t = integral(v, m);
    if (t >= 0 && t < 2 ** 64) {
      if (t !== v) this.raise(FLAG_NX);
      const high = Math.floor(t / 2 ** 32);
      return this.put64(d, high, t - high * 2 ** 32);
    }
    this.raise(FLAG_NV);
    if (v !== v && this.zeroForNan) return this.putI32(d, 0);
    return t < 0 ? this.put64(d, 0, 0) : this.put64(d, -1, -1);
  }

  /** `d` (binary64) = `a` (int32), exactly. */
  f64FromI32(d: number, a: number, rm: number): number {
    if (this.mode(rm) < 0) return 1;
    return this.exact64(d, this.r[2 * a]);
  }

  /** `d` (binary64) = `a` (uint32), exactly. */
  f64FromU32(d: number, a: number, rm: number): number {
    if (this.mode(rm) < 0) return 1;
    return this.exact64(d, this.r[2 * a] >>> 0);
  }

  /** `d` (binary64) = `a` (int64). */
  f64FromI64(d: number, a: number, rm: number): number {
    return this.fromWords(d, this.r[2 * a + 1], this.r[2 * a], rm);
  }

  /** `d` (binary64) = `a` (uint64). */
  f64FromU64(d: number, a: number, rm: number): number {
    return this.fromWords(d, this.r[2 * a + 1] >>> 0, this.r[2 * a], rm);
  }

  private fromWords(d: number, high: number, low: number, rm: number): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    const h = high * 2 ** 32, l = low >>> 0, s = h + l, e = sumError(h, l, s);
    if (e === 0) return this.exact64(d, s);
    if (m === RNE) return this.inexact64(d, s);
    this.w[0] = s;
    this.w[1] = e;
    return this.pack64(d, 0, m);
  }

  /** `d` (binary32) = `a` (int32). */
  f32FromI32(d: number, a: number, rm: number, boxed: number): number {
    return this.sumWords32(d, 0, this.r[2 * a], rm, boxed);
  }

  /** `d` (binary32) = `a` (uint32). */
  f32FromU32(d: number, a: number, rm: number, boxed: number): number {
    return this.sumWords32(d, 0, this.r[2 * a] >>> 0, rm, boxed);
  }

  /** `d` (binary32) = `a` (int64). */
  f32FromI64(d: number, a: number, rm: number, boxed: number): number {
    return this.sumWords32(d, this.r[2 * a + 1], this.r[2 * a] >>> 0, rm, boxed);
  }

  /** `d` (binary32) = `a` (uint64). */
  f32FromU64(d: number, a: number, rm: number, boxed: number): number {
    return this.sumWords32(d, this.r[2 * a + 1] >>> 0, this.r[2 * a] >>> 0, rm, boxed);
  }

  private sumWords32(d: number, high: number, low: number, rm: number, boxed: number): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    const w = this.w;
    if ((high | low) === 0) {
      w[0] = 0;
      return this.exact32(d, boxed);
    }
    w[0] = high * 2 ** 32;
    w[1] = low;
    return this.sum32(d, m, boxed);
  }

  /** `d` (binary32) = `a` (binary64). */
  f32FromF64(d: number, a: number, rm: number, boxed: number): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    if (this.flushes) a = this.flush64(a, 0);
    const x = this.f[a];
    if (x !== x) return this.narrowNan(d, a, boxed);
    this.w[0] = x;
    if (x === 0 || Math.abs(x) === Infinity) return this.exact32(d, boxed);
    return this.pack32(d, m, boxed);
  }

  /** `d` (binary64) = `a` (binary32), exactly. */
  f64FromF32(d: number, a: number, rm: number, boxed: number): number {
    if (this.mode(rm) < 0) return 1;
    if (this.flushes) a = this.flush32(a, 0);
    const x = this.value32(a, boxed);
    if (x !== x) return this.widenNan(d, a, boxed);
    return this.exact64(d, x);
  }

  /** binary64 NaN `a` as binary32: sign, and what fits of the fraction. */
  private narrowNan(d: number, a: number, boxed: number): number {
    const r = this.r, hi = r[2 * a + 1], lo = r[2 * a], signalling = this.signalling64(a);
    if ((r[this.styleWord] & PROPAGATE) === 0) return this.nan32(d, signalling, boxed);
    this.raise(signalling);
    const fraction = (hi & 0x7ffff) << 3 | lo >>> 29;
    return this.put32(d, hi & 0x80000000 | 0x7fc00000 | fraction, boxed);
  }

  /** binary32 NaN `a` as binary64. */
  private widenNan(d: number, a: number, boxed: number): number {
    const bits = this.bits32(a, boxed), signalling = this.signalling32(a, boxed);
    if ((this.r[this.styleWord] & PROPAGATE) === 0) return this.nan64(d, signalling);
    this.raise(signalling);
    const hi = bits & 0x80000000 | 0x7ff80000 | (bits & 0x3fffff) >>> 3;
    return this.put64(d, hi, bits << 29);
  }
}
