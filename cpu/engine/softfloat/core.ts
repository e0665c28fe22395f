/**
 * What every operation of the soft floating point shares: the slots, the accrued flags, the rounding
 * mode, and the two functions that round an exact result and write it.
 *
 * The method, in place of integer significands: JavaScript's own binary64 arithmetic rounds to nearest
 * even by definition (ECMA-262 section 6.1.6.1), and for every basic operation the error of that
 * rounding is itself computable without error (TwoSum by Knuth, the product by Veltkamp and Dekker, the
 * remainders of division and square root). So an exact result is a pair `s + e` with `s` the nearest
 * double; the sign of `e` gives the inexact flag and the directed roundings, its size the ties.
 * Operands outside the exponent range where these theorems hold are scaled to significands in [1, 2)
 * first, and the exponent is added back when the result is packed. binary32 results are computed in
 * binary64; sums are rounded to odd there, which the second rounding can't spoil (Boldo and Melquiond, "Emulation of
 * FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008).
 *
 * @module
 */

/** Accrued-flag bits, in the order of RISC-V's fflags (unprivileged ISA, "F" chapter). */
export const FLAG_NX = 1, FLAG_UF = 2, FLAG_OF = 4, FLAG_DZ = 8, FLAG_NV = 16;
/** Accrued flag of an operand that was flushed to zero. */
export const FLAG_ID = 32;

/** Bits of the style slot and of the rounding-mode slot: see `FpStyle` and `FpMode` of the op table. */
export const PROPAGATE = 1, TINY_BEFORE = 2, NAN_TO_ZERO = 4, ALTERNATIVE_HALF = 8, FLUSH = 8;

/** Rounding-mode numbers: to nearest even, toward zero, down, up, to nearest with ties away. */
export const RNE = 0, RTZ = 1, RDN = 2, RUP = 3, RMM = 4;

/** The rounding-mode immediate that means "the mode in the rounding-mode slot". */
export const DYN = 7;

const NAN64_HI = 0x7ff80000;
const NAN32 = 0x7fc00000;

/** Veltkamp's constant for 53 bits: splits a significand into halves of 26 bits. */
const SPLITTER = 2 ** 27 + 1;

/** A stand-in for an error of which only the sign matters. */
export const TINY = 2 ** -1000;

/** Three views over the same 8-byte slots: slot i is `q[i]`, `f[i]`, and the words `r[2i]` (low), `r[2i+1]`. */
export interface FloatViews {
  /** The slots' words. */
  readonly r: Int32Array;
  /** The slots as integers. */
  readonly q: BigInt64Array;
  /** The slots as binary64. */
  readonly f: Float64Array;
}

/** Whether Veltkamp's splitting of both numbers stays finite. */
export function inSplitRange(x: number, y: number): boolean {
  return Math.abs(x) < 2 ** 990 && Math.abs(y) < 2 ** 990;
}

/** `x * y - p`, exactly, for `p` = the nearest double of `x * y` (Dekker); no over- or underflow inside. */
export function productError(x: number, y: number, p: number): number {
  const cx = SPLITTER * x, cy = SPLITTER * y;
  const xh = cx - (cx - x), yh = cy - (cy - y);
  const xl = x - xh, yl = y - yh;
  return ((xh * yh - p) + xh * yl + xl * yh) + xl * yl;
}

/** `a + b - s`, exactly, for `s` = the nearest double of `a + b` (Knuth); no overflow inside. */
export function sumError(a: number, b: number, s: number): number {
  const v = s - a;
  return (a - (s - v)) + (b - v);
}

/** The slots, flags and rounding of the soft floating point; the operations are in its subclasses. */
export abstract class FloatContext {
  /** Words of the slots. */
  protected readonly r: Int32Array;
  /** The slots as doubles; never used to move a value that may be a NaN. */
  protected readonly f: Float64Array;
  /** The slots' words as binary32; the value of slot i is at 2i. */
  protected readonly s: Float32Array;
  /** Scratch: doubles pass between methods here, because a double argument may be allocated. */
  protected readonly w: Float64Array = new Float64Array(8);
  /** The words of the scratch. */
  protected readonly wi: Int32Array;
  /** The words of the scratch as binary32. */
  protected readonly ws: Float32Array;
  /** Index in `r` of the accrued flags. */
  protected readonly flagsWord: number;
  /** Index in `r` of the permission to use host arithmetic. */
  protected readonly fastWord: number;
  /** Index in `r` of the dynamic rounding mode. */
  protected readonly rmWord: number;

  /** Index in `r` of the style. */
  protected readonly styleWord: number;
  /** First of three slots for operands that are flushed to zero. */
  protected readonly flushed: number;

  /**
   * Binds the unit to its slots. `views` are three views of one buffer, the others are slot numbers; without a slot for
   * the style it is 0, and without four for scratch (see {@linkcode FloatContext.flushed}) nothing may be flushed.
   */
  constructor(
    views: FloatViews,
    flagsSlot: number,
    fastSlot: number,
    rmSlot: number,
    styleSlot?: number,
    flushed = 0,
  ) {
    const { r, f, q } = views;
    if (r.buffer !== f.buffer || r.byteOffset !== f.byteOffset || r.length !== 2 * f.length) {
      throw new TypeError("Cannot bind floating point: r and f must be views of the same slots");
    }
    if (q.buffer !== f.buffer || q.byteOffset !== f.byteOffset || q.length !== f.length) {
      throw new TypeError("Cannot bind floating point: q and f must be views of the same slots");
    }
    this.r = r;
    this.f = f;
    this.s = new Float32Array(r.buffer, r.byteOffset, r.length);
    this.wi = new Int32Array(this.w.buffer);
    this.ws = new Float32Array(this.w.buffer);
    this.flagsWord = 2 * flagsSlot;
    this.fastWord = 2 * fastSlot;
    this.rmWord = 2 * rmSlot;
    // The high word of the fast slot is always 0.
    this.styleWord = styleSlot === undefined ? 2 * fastSlot + 1 : 2 * styleSlot;
    this.flushed = flushed;
  }

  /**
   * Recomputes the fast slot: 1 when the dynamic mode is to nearest even and the inexact flag is
   * already set, so that host arithmetic with an ordinary result can't be told from this unit's.
   * To be called after the guest wrote the flags or the mode.
   */
  updateFast(): void {
    const r = this.r;
    r[this.fastWord] = r[this.rmWord] === RNE && (r[this.flagsWord] & FLAG_NX) !== 0 ? 1 : 0;
  }

  /** ORs `flags` into the accrued flags. */
  protected raise(flags: number): void {
    const r = this.r, old = r[this.flagsWord];
    if ((old | flags) !== old) {
      r[this.flagsWord] = old | flags;
      this.updateFast();
    }
  }

  /** The rounding mode that an immediate means, 0 to 4, or a negative number when it is invalid. */
  protected mode(rm: number): number {
    const m = rm === DYN ? this.r[this.rmWord] & 7 : rm;
    return m > RMM ? -1 : m;
  }

  /** Whether subnormal operands and results are zeros. */
  protected get flushes(): boolean {
    return (this.r[this.rmWord] & FLUSH) !== 0;
  }

  /** The slot with binary64 operand `a` after flushing, as operand number `i`. */
  protected flush64(a: number, i: number): number {
    const r = this.r, hi = r[2 * a + 1];
    if ((hi & 0x7ff00000) !== 0 || ((hi & 0xfffff) | r[2 * a]) === 0) return a;
    const slot = this.flushed + i;
    this.raise(FLAG_ID);
    r[2 * slot] = 0;
    r[2 * slot + 1] = hi & 0x80000000;
    return slot;
  }

  /** The same for binary32. */
  protected flush32(a: number, i: number): number {
    const r = this.r, bits = r[2 * a];
    if ((bits & 0x7f800000) !== 0 || (bits & 0x7fffff) === 0) return a;
    const slot = this.flushed + i;
    this.raise(FLAG_ID);
    r[2 * slot] = bits & 0x80000000;
    r[2 * slot + 1] = r[2 * a + 1];
    return slot;
  }

  /** The NaN result of an operation with a NaN among its operands `a`, `b` and, if there is one, `c`. */
  protected operandNan64(d: number, a: number, b: number, c = a): number {
    const r = this.r;
    const signalling = this.signalling64(a) !== 0
      ? a
      : this.signalling64(b) !== 0
      ? b
      : this.signalling64(c) !== 0
      ? c
      : -1;
    if (signalling >= 0) this.raise(FLAG_NV);
    if ((r[this.styleWord] & PROPAGATE) === 0) return this.put64(d, NAN64_HI, 0);
    const f = this.f;
    const from = signalling >= 0 ? signalling : f[a] !== f[a] ? a : f[b] !== f[b] ? b : c;
    return this.put64(d, r[2 * from + 1] | 0x80000, r[2 * from]);
  }

  /** The same for binary32. */
  protected operandNan32(d: number, a: number, b: number, boxed: number, c = a): number {
    const signalling = this.signalling32(a, boxed) !== 0
      ? a
      : this.signalling32(b, boxed) !== 0
      ? b
      : this.signalling32(c, boxed) !== 0
      ? c
      : -1;
    if (signalling >= 0) this.raise(FLAG_NV);
    if ((this.r[this.styleWord] & PROPAGATE) === 0) return this.put32(d, NAN32, boxed);
    const isNan = (slot: number) => Number.isNaN(this.value32(slot, boxed));
    const from = signalling >= 0 ? signalling : isNan(a) ? a : isNan(b) ? b : c;
    return this.put32(d, this.bits32(from, boxed) | 0x400000, boxed);
  }

  /** Writes the integer `value` (int32), sign-extended. */
  protected putI32(d: number, value: number): number {
    this.r[2 * d] = value;
    this.r[2 * d + 1] = value >> 31;
    return 0;
  }

  /** Writes the double with the given words. */
  protected put64(d: number, hi: number, lo: number): number {
    this.r[2 * d] = lo;
    this.r[2 * d + 1] = hi;
    return 0;
  }

  /** Raises `flags` and writes the canonical binary64 NaN. */
  protected nan64(d: number, flags: number): number {
    this.raise(flags);
    return this.put64(d, NAN64_HI, 0);
  }

  /** NV when slot `a` holds a binary64 signalling NaN, otherwise 0. */
  protected signalling64(a: number): number {
    const hi = this.r[2 * a + 1], lo = this.r[2 * a];
    return (hi & 0x7ff80000) === 0x7ff00000 && ((hi & 0x7ffff) | lo) !== 0 ? FLAG_NV : 0;
  }

  /** Writes the binary32 `bits`, NaN-boxed unless `boxed` is 0. */
  protected put32(d: number, bits: number, boxed: number): number {
    this.r[2 * d] = bits;
    this.r[2 * d + 1] = boxed === 0 ? 0 : -1;
    return 0;
  }

  /** Raises `flags` and writes the canonical binary32 NaN. */
  protected nan32(d: number, flags: number, boxed: number): number {
    this.raise(flags);
    return this.put32(d, NAN32, boxed);
  }

  /** The bits of binary32 operand `a`; the canonical NaN when a boxed operand isn't boxed properly. */
  protected bits32(a: number, boxed: number): number {
    return boxed !== 0 && this.r[2 * a + 1] !== -1 ? NAN32 : this.r[2 * a];
  }

  /** The value of binary32 operand `a`; any NaN reads as NaN. */
  protected value32(a: number, boxed: number): number {
    return boxed !== 0 && this.r[2 * a + 1] !== -1 ? NaN : this.s[2 * a];
  }

  /** NV when binary32 operand `a` is a signalling NaN, otherwise 0. */
  protected signalling32(a: number, boxed: number): number {
    const bits = this.bits32(a, boxed);
    return (bits & 0x7fc00000) === 0x7f800000 && (bits & 0x3fffff) !== 0 ? FLAG_NV : 0;
  }

  /** Splits the finite nonzero double of slot `a` into a signed significand in [1, 2) at `w[i]` and an exponent. */
  protected unpack64(a: number, i: number): number {
    const wi = this.wi;
    let exponent = -1023;
    wi[2 * i] = this.r[2 * a];
    wi[2 * i + 1] = this.r[2 * a + 1];
    if ((wi[2 * i + 1] & 0x7ff00000) === 0) {
      this.w[i] *= 2 ** 54;
      exponent -= 54;
    }
    const hi = wi[2 * i + 1];
    wi[2 * i + 1] = (hi & 0x800fffff) | 0x3ff00000;
    return exponent + ((hi >>> 20) & 0x7ff);
  }

  /** 2 to the power `k`, for -1022 <= k <= 1023. */
  protected power(k: number): number {
    this.wi[14] = 0;
    this.wi[15] = (k + 1023) << 20;
    return this.w[7];
  }

  /** Makes the double at `w[0]` odd when the exact value lies off it: above it if `above`, otherwise below. */
  protected roundToOdd(above: boolean): void {
    const wi = this.wi, lo = wi[0];
    if ((lo & 1) !== 0) return;
    if (above === (wi[1] >= 0)) {
      wi[0] = lo | 1;
    } else {
      wi[0] = lo - 1;
      if (lo === 0) wi[1]--;
    }
  }

  /**
   * Rounds `(w[0] + w[1]) * 2^k` to binary64, raises the flags and writes slot `d`. `w[0]` is normal, the
   * nearest double of the sum, so `w[1]` is at most half a unit in its last place; when it is less, only
   * its sign matters. Tininess is detected after rounding.
   */
  protected pack64(d: number, k: number, m: number): number {
    const wi = this.wi, r = this.r, e = this.w[1];
    const sign = wi[1] & 0x80000000;
    let hi = wi[1], lo = wi[0], flags = 0;
    const special = (r[this.styleWord] & TINY_BEFORE) !== 0 || this.flushes;
    const tiny = special && this.isTiny(k);
    if (tiny && this.flushes) {
      this.raise(FLAG_UF);
      return this.put64(d, sign, 0);
    }
    if (e !== 0) {
      flags = FLAG_NX;
      const outward = (e > 0) === (sign === 0);
      if (outward) {
        if (m === (sign === 0 ? RUP : RDN) || (m === RMM && this.isTie())) {
          lo = (lo + 1) | 0;
          if (lo === 0) hi++;
        }
      } else if (m === RTZ || m === (sign === 0 ? RDN : RUP)) {
        if (lo === 0) hi--;
        lo = (lo - 1) | 0;
      }
    }
    const exponent = ((hi >>> 20) & 0x7ff) + k;
    if (exponent >= 1 && exponent <= 2046) {
      r[2 * d] = lo;
      r[2 * d + 1] = (hi & 0x800fffff) | (exponent << 20);
      if (flags !== 0) this.raise(tiny ? flags | FLAG_UF : flags);
      return 0;
    }
    return exponent < 1 ? this.packSubnormal64(d, k, m) : this.overflow64(d, sign, m);
  }

  /** Whether `(w[0] + w[1]) * 2^k` is below the normal range. */
  private isTiny(k: number): boolean {
    const hi = this.wi[1], exponent = ((hi >>> 20) & 0x7ff) + k, e = this.w[1];
    if (exponent !== 1) return exponent < 1;
    return ((hi & 0xfffff) | this.wi[0]) === 0 && e !== 0 && (e > 0) !== (hi >= 0);
  }

  /** Whether `w[0] + w[1]`, whose parts have one sign, is half-way between two doubles. */
  private isTie(): boolean {
    const s = this.w[0], e = 2 * this.w[1];
    return (s + e) - s === e;
  }

  private overflow64(d: number, sign: number, m: number): number {
    this.raise(FLAG_OF | FLAG_NX);
    const finite = m === RTZ || m === (sign === 0 ? RDN : RUP);
    return finite ? this.put64(d, sign | 0x7fefffff, -1) : this.put64(d, sign | 0x7ff00000, 0);
  }

  private packSubnormal64(d: number, k: number, m: number): number {
    const w = this.w, e = w[1];
    const sign = this.wi[1] & 0x80000000;
    const magnitude = Math.abs(w[0]);
    const exponent = ((this.wi[1] >>> 20) & 0x7ff) - 1023 + k;
    // In units of the smallest subnormal; far below half of one, any value rounds alike.
    const t = exponent < -1100 ? 2 ** -8 : magnitude * this.power(k + 1074);
    const outward = e === 0 ? 0 : (e > 0) === (sign === 0) ? 1 : -1;
    let n = Math.floor(t);
    if (n === t && outward < 0) n--;
    const excess = t - n - 0.5;
    if (t !== n || outward !== 0) {
      const below = excess < 0 || (excess === 0 && outward < 0);
      const tie = excess === 0 && outward === 0;
      const up = m === RNE
        ? !below && (!tie || n % 2 !== 0)
        : m === RMM
        ? !below
        : m === (sign === 0 ? RUP : RDN);
      if (up) n++;
      this.raise(FLAG_UF | FLAG_NX);
    }
    const high = Math.floor(n / 2 ** 32);
    return this.put64(d, sign | high, n - high * 2 ** 32);
  }

  /**
   * Rounds the finite nonzero `w[0]`, exact or rounded to odd, to binary32, raises the flags and writes
   * slot `d`. Tininess is detected after rounding.
   */
  protected pack32(d: number, m: number, boxed: number): number {
    const x = this.w[0], y = Math.fround(x), size = Math.abs(x);
    if (size < 2 ** -126 && this.flushes) {
      this.raise(FLAG_UF);
      return this.put32(d, this.wi[1] & 0x80000000, boxed);
    }
    if (y === x || (m === RNE && size >= 2 ** -126 && size < 2 ** 127)) {
      this.s[2 * d] = y;
      this.r[2 * d + 1] = boxed === 0 ? 0 : -1;
      if (y !== x) this.raise(FLAG_NX);
      return 0;
    }
    let flags = FLAG_NX;
    const sign = this.wi[1] & 0x80000000;
    const outward = m === (sign === 0 ? RUP : RDN);
    const nearest = m === RNE || m === RMM;
    let bits: number;
    if (size >= 2 ** 128) {
      flags |= FLAG_OF;
      bits = outward || nearest ? 0x7f800000 : 0x7f7fffff;
    } else {
      this.ws[2] = Math.abs(y);
      bits = this.wi[2];
      if (Math.abs(y) > size) {
        if (!outward && !nearest) bits--;
      } else if (outward) {
        bits++;
      } else if (m === RMM) {
        // Half a unit: the next value is as far above as the nearest even is below.
        this.wi[2] = bits + 1;
        if (this.ws[2] - size === size - Math.abs(y)) bits++;
      }
      if (bits === 0x7f800000) flags |= FLAG_OF;
      if (size < 2 ** -126) {
        const normal = nearest
          ? size >= 2 ** -126 - 2 ** -151
          : outward && size > 2 ** -126 - 2 ** -150;
        if (!normal || (this.r[this.styleWord] & TINY_BEFORE) !== 0) flags |= FLAG_UF;
      }
    }
    this.raise(flags);
    return this.put32(d, sign | bits, boxed);
  }

  /** Writes the exact `w[0]`, a zero, an infinity or a binary32 value, with no flags. */
  protected exact32(d: number, boxed: number): number {
    if (this.flushes && this.w[0] !== 0 && Math.abs(this.w[0]) < 2 ** -126) {
      this.raise(FLAG_UF);
      return this.put32(d, this.wi[1] & 0x80000000, boxed);
    }
    this.s[2 * d] = this.w[0];
    this.r[2 * d + 1] = boxed === 0 ? 0 : -1;
    return 0;
  }
}
