/**
 * binary32 arithmetic, comparison and classification (RISC-V unprivileged ISA, "F" chapter).
 *
 * A binary32 number is in the low word of its slot. With `boxed` not 0 an operand whose high word isn't all
 * ones counts as the canonical NaN and results get a high word of ones (NaN boxing, "D" chapter); with
 * `boxed` 0 the operands' high words are ignored and results get a high word of zeros.
 *
 * @module
 */
import { FLAG_DZ, FLAG_NV, RDN, sumError } from "./core.ts";
import { Float64Unit } from "./f64.ts";

/** The binary32 operations. Each takes slot numbers and returns 0, or 1 for an invalid rounding mode. */
export abstract class Float32Unit extends Float64Unit {
  /** `d = a + b`. */
  add32(d: number, a: number, b: number, rm: number, boxed: number): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    if (this.flushes) {
      a = this.flush32(a, 0);
      b = this.flush32(b, 1);
    }
    const x = this.value32(a, boxed), y = this.value32(b, boxed);
    if (x + y !== x + y) return this.invalid32(d, x, y, a, b, boxed);
    this.w[0] = x;
    this.w[1] = y;
    return this.sum32(d, m, boxed);
  }

  /** `d = a - b`. */
  sub32(d: number, a: number, b: number, rm: number, boxed: number): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    if (this.flushes) {
      a = this.flush32(a, 0);
      b = this.flush32(b, 1);
    }
    const x = this.value32(a, boxed), y = this.value32(b, boxed);
    if (x - y !== x - y) return this.invalid32(d, x, y, a, b, boxed);
    this.w[0] = x;
    this.w[1] = -y;
    return this.sum32(d, m, boxed);
  }

  /** Rounds `w[0] + w[1]`: binary32 numbers or products of two, not giving a NaN. */
  protected sum32(d: number, m: number, boxed: number): number {
    const w = this.w, x = w[0], y = w[1], s = x + y;
    w[0] = s;
    if (s === 0) {
      if (m === RDN && !(1 / x > 0 && 1 / y > 0)) w[0] = -0;
      return this.exact32(d, boxed);
    }
    if (Math.abs(s) === Infinity) return this.exact32(d, boxed);
    const e = sumError(x, y, s);
    if (e !== 0) this.roundToOdd(e > 0);
    return this.pack32(d, m, boxed);
  }

  /** `d = a * b`. */
  mul32(d: number, a: number, b: number, rm: number, boxed: number): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    if (this.flushes) {
      a = this.flush32(a, 0);
      b = this.flush32(b, 1);
    }
    // Twice 24 bits fit a double, and so do the exponents: the product is exact.
    const x = this.value32(a, boxed), y = this.value32(b, boxed), p = x * y;
    if (p !== p) return this.invalid32(d, x, y, a, b, boxed);
    this.w[0] = p;
    if (p === 0 || Math.abs(p) === Infinity) return this.exact32(d, boxed);
    return this.pack32(d, m, boxed);
  }

  /** `d = a / b`. */
  div32(d: number, a: number, b: number, rm: number, boxed: number): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    if (this.flushes) {
      a = this.flush32(a, 0);
      b = this.flush32(b, 1);
    }
    const x = this.value32(a, boxed), y = this.value32(b, boxed), q = x / y;
    if (q !== q) return this.invalid32(d, x, y, a, b, boxed);
    this.w[0] = q;
    if (q === 0 || Math.abs(q) === Infinity) {
      if (y === 0 && Math.abs(x) !== Infinity) this.raise(FLAG_DZ);
      return this.exact32(d, boxed);
    }
    // Unless it is a binary32 number, or half-way between two, the quotient is 2^-49 of itself or more away
    // from them: they have 25 bits at most, times the divisor's 24. So it can't look like one after rounding.
    return this.pack32(d, m, boxed);
  }

  /** `d = sqrt(a)`. */
  sqrt32(d: number, a: number, rm: number, boxed: number): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    if (this.flushes) a = this.flush32(a, 0);
    const x = this.value32(a, boxed), s = Math.sqrt(x);
    if (s !== s) return this.invalid32(d, x, x, a, a, boxed);
    this.w[0] = s;
    if (s === 0 || s === Infinity) return this.exact32(d, boxed);
    // As for the quotient: the square of a number of 25 bits differs from x by 2^-50 of it or not at all.
    return this.pack32(d, m, boxed);
  }

  /** The NaN result of an operation on `x` and `y` in slots `a` and `b`. */
  private invalid32(
    d: number,
    x: number,
    y: number,
    a: number,
    b: number,
    boxed: number,
  ): number {
    if (x === x && y === y) return this.nan32(d, FLAG_NV, boxed);
    return this.operandNan32(d, a, b, boxed);
  }

  /** `d` = the lesser of `a` and `b`: minimumNumber of IEEE 754-2019 section 9.6. */
  min32(d: number, a: number, b: number, boxed: number): number {
    const r = this.r, x = this.value32(a, boxed), y = this.value32(b, boxed);
    if (x === y) return this.put32(d, r[2 * a] | r[2 * b], boxed);
    const c = this.pick32(x, y, a, b, x < y, boxed);
    return c < 0 ? this.nan32(d, 0, boxed) : this.put32(d, r[2 * c], boxed);
  }

  /** `d` = the greater of `a` and `b`: maximumNumber of IEEE 754-2019 section 9.6. */
  max32(d: number, a: number, b: number, boxed: number): number {
    const r = this.r, x = this.value32(a, boxed), y = this.value32(b, boxed);
    if (x === y) return this.put32(d, r[2 * a] & r[2 * b], boxed);
    const c = this.pick32(x, y, a, b, x > y, boxed);
    return c < 0 ? this.nan32(d, 0, boxed) : this.put32(d, r[2 * c], boxed);
  }

  /** The slot whose value min or max gives, or -1 when both are NaN. */
  private pick32(
    x: number,
    y: number,
    a: number,
    b: number,
    first: boolean,
    boxed: number,
  ): number {
    if (x === x && y === y) return first ? a : b;
    this.raise(this.signalling32(a, boxed) | this.signalling32(b, boxed));
    return x === x ? a : y === y ? b : -1;
  }

  /** `d` = 1 if `a == b`, otherwise 0; only a signalling NaN raises NV. */
  eq32(d: number, a: number, b: number, boxed: number): number {
    const x = this.value32(a, boxed), y = this.value32(b, boxed);
    if (x !== x || y !== y) this.raise(this.signalling32(a, boxed) | this.signalling32(b, boxed));
    return this.putI32(d, x === y ? 1 : 0);
  }

  /** `d` = 1 if `a < b`, otherwise 0; any NaN raises NV. */
  lt32(d: number, a: number, b: number, boxed: number): number {
    const x = this.value32(a, boxed), y = this.value32(b, boxed);
    if (x !== x || y !== y) this.raise(FLAG_NV);
    return this.putI32(d, x < y ? 1 : 0);
  }

  /** `d` = 1 if `a <= b`, otherwise 0; any NaN raises NV. */
  le32(d: number, a: number, b: number, boxed: number): number {
    const x = this.value32(a, boxed), y = this.value32(b, boxed);
    if (x !== x || y !== y) this.raise(FLAG_NV);
    return this.putI32(d, x <= y ? 1 : 0);
  }

  /** `d` = one bit for the class of `a`, numbered as in {@linkcode Float64Unit.class64} (FCLASS.S). */
  class32(d: number, a: number, boxed: number): number {
    const bits = this.bits32(a, boxed), exponent = (bits >>> 23) & 0xff;
    const fraction = bits & 0x7fffff;
    if (exponent === 0xff && fraction !== 0) {
      return this.putI32(d, (bits & 0x400000) !== 0 ? 512 : 256);
    }
    const kind = exponent === 0xff ? 3 : exponent !== 0 ? 2 : fraction === 0 ? 0 : 1;
    return this.putI32(d, bits < 0 ? 8 >> kind : 16 << kind);
  }
}
