/**
 * Fused multiply-add: one rounding of `a * b + c` (IEEE 754-2019 section 5.4.1).
 *
 * @module
 */
import { DYN, FLAG_NV, inSplitRange, productError, PROPAGATE, RDN, RNE, sumError } from "./core.ts";
import { Float32Unit } from "./f32.ts";

/** Exponents further apart than this leave no overlap between a 106-bit product and an addend. */
const FAR = 200;

/** The fused operations of both formats. */
export abstract class FusedUnit extends Float32Unit {
  /**
   * `d = ±(a * b) ± c`, rounded once; `negProduct` and `negAddend` are 0 or 1. RISC-V's FMADD is (0, 0),
   * FMSUB (0, 1), FNMSUB (1, 0), FNMADD (1, 1). Infinity times zero raises NV even beside a quiet NaN.
   */
  fma64(
    d: number,
    a: number,
    b: number,
    c: number,
    rm: number,
    negProduct: number,
    negAddend: number,
  ): number {
    const f = this.f, w = this.w;
    const x = negProduct !== 0 ? -f[a] : f[a], y = f[b], z = negAddend !== 0 ? -f[c] : f[c];
    const p = x * y, size = Math.abs(p);
    const ordinary = size > 2 ** -900 && size < 2 ** 900 && Math.abs(z) < 2 ** 900;
    if (ordinary && this.r[this.fastWord] === 1 && (rm === RNE || rm === DYN)) {
      const pe = productError(x, y, p); // NaN where the splitting overflows, and then so is s
      const v = p + z, ve = sumError(p, z, v);
      const tail = ve + pe, s = v + tail, rest = tail - (s - v);
      // Only a sum half-way between two doubles, with a tail that was itself rounded, can be wrong.
      if (s + rest * (1 + 2 ** -30) === s || sumError(ve, pe, tail) === 0) {
        f[d] = s;
        return 0;
      }
    }
    const m = this.mode(rm);
    if (m < 0) return 1;
    if (this.flushes) {
      const [x, y, z] = [this.flush64(a, 0), this.flush64(b, 1), this.flush64(c, 2)];
      if (x !== a || y !== b || z !== c) {
        return this.fma64(d, x, y, z, rm, negProduct, negAddend);
      }
    }
    w[2] = x;
    w[3] = y;
    w[4] = z;
    if (ordinary && inSplitRange(x, y)) return this.fused64(d, 0, m);
    // A product may be too large for now; only infinities make an invalid sum.
    const special = x !== x || y !== y || z !== z || Math.abs(x) === Infinity ||
      Math.abs(y) === Infinity;
    if (special && p + z !== p + z) {
      return this.fusedNan64(d, a, b, c, negProduct, negAddend);
    }
    return this.fmaScaled64(d, a, b, c, m);
  }

  /**
   * Rounds `w[2] * w[3] + w[4]` times 2^k. The exact value is `v + ve + pe`. When `v` is rounded (`ve` not
   * zero) it didn't cancel, so the tail `ve + pe` is a few units in its last place, and whatever
   * the rounding compares with lies a few quarters of a unit from `v`: rounding the tail to odd keeps every such
   * comparison. When `v` is exact, so is the tail.
   */
  private fused64(d: number, k: number, m: number): number {
    const w = this.w, x = w[2], y = w[3], z = w[4], p = x * y;
    const pe = productError(x, y, p);
    const v = p + z, ve = sumError(p, z, v);
    w[0] = ve + pe;
    const e = sumError(ve, pe, w[0]);
    if (e !== 0) this.roundToOdd(e > 0);
    const tail = w[0], s = v + tail, rest = sumError(v, tail, s);
    if (s === 0) return this.exact64(d, m === RDN ? -0 : 0);
    if (k === 0) {
      if (rest === 0) return this.exact64(d, s);
      if (m === RNE) return this.inexact64(d, s);
    }
    w[0] = s;
    w[1] = rest;
    return this.pack64(d, k, m);
  }

  /** The result where an operand is a NaN or the operation is invalid. */
  private fusedNan64(
    d: number,
    a: number,
    b: number,
    c: number,
    negProduct: number,
    negAddend: number,
  ): number {
    const f = this.f, x = f[a], y = f[b];
    const invalid = x === x && y === y && (x * y !== x * y || f[c] === f[c]);
    const propagates = (this.r[this.styleWord] & PROPAGATE) !== 0;
    // A signalling addend counts for more than an invalid product, where NaNs propagate.
    if (invalid && (!propagates || this.signalling64(c) === 0)) return this.nan64(d, FLAG_NV);
    const first = this.signalling64(c) !== 0 ? c : this.signalling64(a) !== 0 ? a : -1;
    const quiet = f[c] !== f[c] ? c : x !== x ? a : b;
    const from = first >= 0 ? first : this.signalling64(b) !== 0 ? b : quiet;
    if (this.signalling64(b) !== 0) this.raise(FLAG_NV);
    this.operandNan64(d, from, c, a);
    const turn = from === c ? negAddend : from === a ? negProduct : 0;
    if (propagates) this.r[2 * d + 1] ^= turn << 31;
    return 0;
  }

  /** The special values, and operands that need scaling; `w[2]`, `w[3]` and `w[4]` hold them, signs applied. */
  private fmaScaled64(d: number, a: number, b: number, c: number, m: number): number {
    const w = this.w, x = w[2], y = w[3], z = w[4], p = x * y;
    if (Math.abs(x) === Infinity || Math.abs(y) === Infinity) return this.exact64(d, p + z);
    if (Math.abs(z) === Infinity) return this.exact64(d, z);
    if (x === 0 || y === 0) {
      if (z !== 0) return this.exact64(d, z);
      return this.exact64(d, m === RDN && !(1 / p > 0 && 1 / z > 0) ? -0 : p + z);
    }
    const product = this.unpack64(a, 2) + this.unpack64(b, 3);
    // Unpacking reads the slots again, so the signs are applied again.
    w[2] = p < 0 || 1 / p < 0 ? -Math.abs(w[2]) : Math.abs(w[2]);
    w[3] = Math.abs(w[3]);
    if (z === 0) {
      w[4] = 0;
      return this.fused64(d, product, m);
    }
    const addend = this.unpack64(c, 4), apart = addend - product;
    const significand = z < 0 ? -Math.abs(w[4]) : Math.abs(w[4]);
    if (apart > FAR) {
      w[2] = w[2] < 0 ? -(2 ** -FAR) : 2 ** -FAR;
      w[3] = 1;
      w[4] = significand;
      return this.fused64(d, addend, m);
    }
    w[4] = significand * this.power(Math.max(apart, -FAR));
    return this.fused64(d, product, m);
  }

  /** `d = ±(a * b) ± c` in binary32, rounded once; see {@linkcode FusedUnit.fma64}. */
  fma32(
    d: number,
    a: number,
    b: number,
    c: number,
    rm: number,
    negProduct: number,
    negAddend: number,
    boxed: number,
  ): number {
    const m = this.mode(rm);
    if (m < 0) return 1;
    if (this.flushes) {
      a = this.flush32(a, 0);
      b = this.flush32(b, 1);
      c = this.flush32(c, 2);
    }
    const x = this.value32(a, boxed), y = this.value32(b, boxed), z = this.value32(c, boxed);
    const p = negProduct !== 0 ? -(x * y) : x * y, addend = negAddend !== 0 ? -z : z;
    if (this.r[this.fastWord] === 1 && m === RNE) {
      // The product is exact. Only a sum that looks half-way between two binary32 numbers can be rounded
      // wrongly the second time; that and infinity fail the second comparison. The smallest normal number
      // may be the rounding of a tiny sum, which underflows.
      const s = p + addend, y32 = Math.fround(s), size = Math.abs(y32);
      if (size > 2 ** -126 && Math.fround(s + (s - y32) * 2 ** -20) === y32) {
        this.s[2 * d] = y32;
        this.r[2 * d + 1] = boxed === 0 ? 0 : -1;
        return 0;
      }
    }
    if (p + addend !== p + addend) {
      const invalid = x === x && y === y && (p !== p || z === z);
      const propagates = (this.r[this.styleWord] & PROPAGATE) !== 0;
      if (invalid && (!propagates || this.signalling32(c, boxed) === 0)) {
        return this.nan32(d, FLAG_NV, boxed);
      }
      const signals = (slot: number) => this.signalling32(slot, boxed) !== 0;
      const from = signals(c) ? c : signals(a) ? a : signals(b) ? b : z !== z ? c : x !== x ? a : b;
      // Its own signs first: an operand's slot may be the result's.
      const turn = from === c ? negAddend : from === a ? negProduct : 0;
      if (signals(b)) this.raise(FLAG_NV);
      this.operandNan32(d, from, c, boxed, a);
      if (propagates) this.r[2 * d] ^= turn << 31;
      return 0;
    }
    this.w[0] = p;
    this.w[1] = addend;
    return this.sum32(d, m, boxed);
  }
}
