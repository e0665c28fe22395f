/**
 * binary64 arithmetic, comparison and classification (RISC-V unprivileged ISA, "D" chapter).
 *
 * @module
 */
import {
  FLAG_DZ,
  FLAG_NV,
  FLAG_NX,
  FLAG_UF,
  FloatContext,
  inSplitRange,
  productError,
  RDN,
  RNE,
  sumError,
  TINY,
} from "./core.ts";

/** The binary64 operations. Each takes slot numbers and returns 0, or 1 for an invalid rounding mode. */
export abstract class Float64Unit extends FloatContext {
  /** `d = a + b`. */
  add64(d: number, a: number, b: number, rm: number): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    if (this.flushes) {
      a = this.flush64(a, 0);
      b = this.flush64(b, 1);
    }
    this.w[2] = this.f[a];
    this.w[3] = this.f[b];
    return this.sum64(d, a, b, m);
  }

  /** `d = a - b`. */
  sub64(d: number, a: number, b: number, rm: number): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    if (this.flushes) {
      a = this.flush64(a, 0);
      b = this.flush64(b, 1);
    }
    this.w[2] = this.f[a];
    this.w[3] = -this.f[b];
    return this.sum64(d, a, b, m);
  }

  /** The sum of `w[2]` and `w[3]`, which came from slots `a` and `b`. */
  private sum64(d: number, a: number, b: number, m: number): number {
    const w = this.w;
    let x = w[2], y = w[3], s = x + y, k = 0;
    if (!(Math.abs(x) < 2 ** 1022 && Math.abs(y) < 2 ** 1022)) {
      if (x !== x || y !== y) return this.operandNan64(d, a, b);
      if (s !== s) return this.nan64(d, FLAG_NV);
      if (Math.abs(x) === Infinity || Math.abs(y) === Infinity) return this.exact64(d, s);
      x = scaleDown(x);
      y = scaleDown(y);
      s = x + y;
      k = 4;
    }
    if (s === 0) return this.exact64(d, m === RDN && !(1 / x > 0 && 1 / y > 0) ? -0 : s);
    const e = sumError(x, y, s);
    if (k === 0) {
      if (e === 0) return this.exact64(d, s);
      if (m === RNE) return this.inexact64(d, s);
    }
    w[0] = s;
    w[1] = e;
    return this.pack64(d, k, m);
  }

  /** `d = a * b`. */
  mul64(d: number, a: number, b: number, rm: number): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    const w = this.w;
    if (this.flushes) {
      a = this.flush64(a, 0);
      b = this.flush64(b, 1);
    }
    let x = this.f[a], y = this.f[b], p = x * y, k = 0;
    if (!(Math.abs(p) > 2 ** -900 && Math.abs(p) < 2 ** 990 && inSplitRange(x, y))) {
      if (p !== p) {
        const nan = x !== x || y !== y;
        return nan ? this.operandNan64(d, a, b) : this.nan64(d, FLAG_NV);
      }
      if (x === 0 || y === 0 || Math.abs(x) === Infinity || Math.abs(y) === Infinity) {
        return this.exact64(d, p);
      }
      k = this.unpack64(a, 2) + this.unpack64(b, 3);
      x = w[2];
      y = w[3];
      p = x * y;
    }
    const e = productError(x, y, p);
    if (k === 0) {
      if (e === 0) return this.exact64(d, p);
      if (m === RNE) return this.inexact64(d, p);
    }
    w[0] = p;
    w[1] = e;
    return this.pack64(d, k, m);
  }

  /** `d = a / b`. */
  div64(d: number, a: number, b: number, rm: number): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    const w = this.w;
    if (this.flushes) {
      a = this.flush64(a, 0);
      b = this.flush64(b, 1);
    }
    let x = this.f[a], y = this.f[b], q = x / y, k = 0;
    if (
      !(Math.abs(q) > 2 ** -900 && Math.abs(q) < 2 ** 900 && Math.abs(x) > 2 ** -900 &&
        inSplitRange(x, y))
    ) {
      if (q !== q) {
        const nan = x !== x || y !== y;
        return nan ? this.operandNan64(d, a, b) : this.nan64(d, FLAG_NV);
      }
      if (x === 0 || Math.abs(x) === Infinity || Math.abs(y) === Infinity) {
        return this.exact64(d, q);
      }
      if (y === 0) {
        this.raise(FLAG_DZ);
        return this.exact64(d, q);
      }
      k = this.unpack64(a, 2) - this.unpack64(b, 3);
      x = w[2];
      y = w[3];
      q = x / y;
    }
    const p = q * y;
    const rest = (x - p) - productError(q, y, p);
    if (k === 0) {
      if (rest === 0) return this.exact64(d, q);
      if (m === RNE) return this.inexact64(d, q);
    }
    w[0] = q;
    // A quotient is never half-way between two doubles, so the remainder's sign is enough.
    w[1] = rest === 0 ? 0 : (rest > 0) === (y > 0) ? TINY : -TINY;
    return this.pack64(d, k, m);
  }

  /** `d = sqrt(a)`. */
  sqrt64(d: number, a: number, rm: number): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    const w = this.w;
    if (this.flushes) a = this.flush64(a, 0);
    let x = this.f[a], s = Math.sqrt(x), k = 0;
    if (!(x > 2 ** -900 && x < 2 ** 990)) {
      if (s !== s) return x !== x ? this.operandNan64(d, a, a) : this.nan64(d, FLAG_NV);
      if (x === 0 || x === Infinity) return this.exact64(d, s);
      k = this.unpack64(a, 2);
      x = (k & 1) !== 0 ? 2 * w[2] : w[2];
      k >>= 1;
      s = Math.sqrt(x);
    }
    const p = s * s;
    const rest = (x - p) - productError(s, s, p);
    if (k === 0) {
      if (rest === 0) return this.exact64(d, s);
      if (m === RNE) return this.inexact64(d, s);
    }
    w[0] = s;
    w[1] = rest === 0 ? 0 : rest > 0 ? TINY : -TINY;
    return this.pack64(d, k, m);
  }

  /** `d` = the lesser of `a` and `b`: minimumNumber of IEEE 754-2019 section 9.6. */
  min64(d: number, a: number, b: number): number {
    const r = this.r, x = this.f[a], y = this.f[b];
    if (x === y) return this.put64(d, r[2 * a + 1] | r[2 * b + 1], r[2 * a]);
    const c = this.pick64(x, y, a, b, x < y);
    return c < 0 ? this.nan64(d, 0) : this.put64(d, r[2 * c + 1], r[2 * c]);
  }

  /** `d` = the greater of `a` and `b`: maximumNumber of IEEE 754-2019 section 9.6. */
  max64(d: number, a: number, b: number): number {
    const r = this.r, x = this.f[a], y = this.f[b];
    if (x === y) return this.put64(d, r[2 * a + 1] & r[2 * b + 1], r[2 * a]);
    const c = this.pick64(x, y, a, b, x > y);
    return c < 0 ? this.nan64(d, 0) : this.put64(d, r[2 * c + 1], r[2 * c]);
  }

  /** The slot whose value min or max gives, or -1 when both are NaN. */
  private pick64(x: number, y: number, a: number, b: number, first: boolean): number {
    if (x === x && y === y) return first ? a : b;
    this.raise(this.signalling64(a) | this.signalling64(b));
    return x === x ? a : y === y ? b : -1;
  }

  /** `d` = 1 if `a == b`, otherwise 0; only a signalling NaN raises NV. */
  eq64(d: number, a: number, b: number): number {
    const x = this.f[a], y = this.f[b];
    if (x !== x || y !== y) this.raise(this.signalling64(a) | this.signalling64(b));
    return this.putI32(d, x === y ? 1 : 0);
  }

  /** `d` = 1 if `a < b`, otherwise 0; any NaN raises NV. */
  lt64(d: number, a: number, b: number): number {
    const x = this.f[a], y = this.f[b];
    if (x !== x || y !== y) this.raise(FLAG_NV);
    return this.putI32(d, x < y ? 1 : 0);
  }

  /** `d` = 1 if `a <= b`, otherwise 0; any NaN raises NV. */
  le64(d: number, a: number, b: number): number {
    const x = this.f[a], y = this.f[b];
    if (x !== x || y !== y) this.raise(FLAG_NV);
    return this.putI32(d, x <= y ? 1 : 0);
  }

  /**
   * `d` = one bit for the class of `a`: 0 -inf, 1 negative normal, 2 negative subnormal, 3 -0, 4 +0,
   * 5 positive subnormal, 6 positive normal, 7 +inf, 8 signalling NaN, 9 quiet NaN (FCLASS.D).
   */
  class64(d: number, a: number): number {
    const hi = this.r[2 * a + 1], exponent = (hi >>> 20) & 0x7ff;
    const empty = ((hi & 0xfffff) | this.r[2 * a]) === 0;
    if (exponent === 0x7ff && !empty) return this.putI32(d, (hi & 0x80000) !== 0 ? 512 : 256);
    const kind = exponent === 0x7ff ? 3 : exponent !== 0 ? 2 : empty ? 0 : 1;
    return this.putI32(d, hi < 0 ? 8 >> kind : 16 << kind);
  }

  /** Writes a result that needed no rounding. */
  protected exact64(d: number, x: number): number {
    if (this.flushes && x !== 0 && Math.abs(x) < 2 ** -1022) {
      this.raise(FLAG_UF);
      x = x < 0 ? -0 : 0;
    }
    this.f[d] = x;
    return 0;
  }

  /** Writes a rounded result in the normal range. */
  protected inexact64(d: number, x: number): number {
    this.f[d] = x;
    this.raise(FLAG_NX);
    return 0;
  }
}

/** `x / 16`, or for a number too small to count beside 2^1022 any small one of its sign. */
function scaleDown(x: number): number {
  if (Math.abs(x) > 2 ** -900) return x / 16;
  return x === 0 ? x : x > 0 ? TINY : -TINY;
}
