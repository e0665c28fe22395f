/**
 * A seeded generator of random numbers, and the operand values that find bugs.
 *
 * Cases in cases.txt fill memory from a seed: what {@linkcode Random} and {@linkcode poolEntry} return must not change.
 *
 * @module
 */

/** The sfc32 generator of Chris Doty-Humphrey's PractRand. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param seed Any number; its low 32 bits and the rest count. */
  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 0x1_0000_0000) | 0;
    this.#c = 0x7261_7044;
    for (let i = 0; i < 15; i++) this.next();
  }

  /** An unsigned 32-bit number. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ this.#b >>> 9;
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21 | this.#c >>> 11) + sum) | 0;
    return sum >>> 0;
  }

  /** An integer of `[0, n)`. */
  below(n: number): number {
    return Math.floor(this.next() / 0x1_0000_0000 * n);
  }

  /** An integer of `[low, high]`. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True with probability `p`. */
  chance(p: number): boolean {
    return this.next() < p * 0x1_0000_0000;
  }

  /** One of the list. */
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  /** 64 random bits. */
  bits64(): bigint {
    return BigInt(this.next()) << 32n | BigInt(this.next());
  }
}

const u64 = (x: bigint) => BigInt.asUintN(64, x);

/** A 64-bit integer: small, near a power of two, extreme, patterned, or anything. */
export function integer(random: Random): bigint {
  const sign = random.chance(0.5) ? 1n : -1n;
  switch (random.below(10)) {
    case 0:
    case 1:
      return u64(sign * BigInt(random.below(9)));
    case 2:
    case 3:
      return u64(sign * (1n << BigInt(random.below(64))) + BigInt(random.between(-1, 1)));
    case 4:
      return random.pick([
        0x8000_0000n,
        0xffff_ffff_8000_0000n,
        0x7fff_ffffn,
        0xffff_ffffn,
        0x8000_0000_0000_0000n,
        0x7fff_ffff_ffff_ffffn,
        0xffff_ffff_ffff_ffffn,
        0x1_0000_0000n,
      ]);
    case 5:
      return 0x0101_0101_0101_0101n * BigInt(random.below(256));
    case 6:
      return u64(sign * BigInt(random.next()));
    default:
      return random.bits64();
  }
}

/** Widths of the parts of a format. */
interface Format {
  exponent: number;
  fraction: number;
}
const SINGLE: Format = { exponent: 8, fraction: 23 };
const DOUBLE: Format = { exponent: 11, fraction: 52 };

/** Kinds of {@linkcode float} that meet in themes: any, products at the ends of the range, cancellation, subnormals. */
const THEMES: readonly (readonly number[])[] = [[], [8], [4, 5, 10], [0, 1, 2, 9]];

function float(random: Random, { exponent, fraction }: Format, theme: number): bigint {
  const top = (1 << exponent) - 1, bias = top >> 1;
  const ones = (1n << BigInt(fraction)) - 1n, quiet = 1n << BigInt(fraction - 1);
  const bits = random.bits64() & ones;
  // Few significant bits make exact results, ties and cancellations likely.
  const short = bits >> BigInt(random.below(fraction)) << BigInt(random.below(fraction)) & ones;
  const make = (e: number, f: bigint) =>
    (BigInt(random.below(2)) << BigInt(exponent) | BigInt(e)) << BigInt(fraction) | f;
  const kinds = THEMES[theme];
  switch (kinds.length > 0 && random.chance(0.6) ? random.pick(kinds) : random.below(14)) {
    case 0: // Zero and the ends of the subnormals.
      return make(0, random.pick([0n, 0n, 1n, ones, quiet]));
    case 1:
      return make(0, short);
    case 2: // The ends of the normal numbers.
      return make(random.pick([1, top - 1]), random.pick([0n, 1n, ones]));
    case 3: // Infinity, quiet and signalling NaNs with payloads.
      return make(top, random.pick([0n, 0n, quiet, quiet | 1n, ones, 1n, quiet - 1n, bits]));
    case 4:
    case 5: // Around 1, where sums cancel.
      return make(bias + random.between(-2, 2), random.pick([0n, 1n, ones, quiet, short]));
    case 6:
    case 7: // Where conversions to integers round and overflow.
      return make(bias + random.between(-2, 66), random.pick([0n, short, ones, bits]));
    case 8: // Products and quotients at the edges of the range.
      return make(random.pick([bias >> 1, bias + (bias >> 1)]) + random.between(-30, 30), short);
    case 9:
      return make(random.between(1, fraction + 3), short);
    case 10:
    case 11:
      return make(bias + random.between(-fraction, fraction), random.chance(0.5) ? short : bits);
    default:
      return random.bits64() & ((1n << BigInt(1 + exponent + fraction)) - 1n);
  }
}

/** A double: zeros, subnormals, infinities, NaNs with payloads, edges, ties, or anything. */
export const double = (random: Random, theme = 0): bigint => float(random, DOUBLE, theme);
/** The same for a float, not boxed. */
export const single = (random: Random, theme = 0): bigint => float(random, SINGLE, theme);

/**
 * 64 bits as an operand of some instruction: double, boxed float, badly boxed float or integer.
 *
 * @param theme Which numbers are frequent, 0 to 3.
 */
export function poolEntry(random: Random, theme = 0): bigint {
  const kind = random.below(20);
  if (kind < 7) return double(random, theme);
  if (kind < 14) return 0xffff_ffff_0000_0000n | single(random, theme);
  if (kind < 16) {
    return BigInt(random.pick([0, 0xffff_fffe, random.next()])) << 32n | single(random);
  }
  return integer(random);
}
