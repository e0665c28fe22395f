/**
 * Operands for floating-point instructions where results are at an edge: ties, limits of the exponent, cancellation,
 * zeros of both signs, NaNs, and sums and products that are wrong when they are rounded twice.
 *
 * @module
 */
import { integer, Random } from "./random.ts";

/** What operands are made for. */
export const FAMILIES = [
  ...["add", "mul", "div", "sqrt", "fma", "compare", "toInteger", "fromInteger", "convert"],
] as const;
/** See {@linkcode FAMILIES}; "convert" is between the formats, named by the operand's. */
export type Family = typeof FAMILIES[number];

/** Operands of one instruction as they stand in registers; floats of 32 bits are boxed, mostly. */
export interface Edge {
  family: Family;
  /** Bits of the operands' format, or of the result's where the operand is an integer. */
  bits: 32 | 64;
  operands: [bigint, bigint, bigint];
}

/** Family and format of an instruction, by its name; undefined if it is in none. */
export function familyOf(name: string): Pick<Edge, "family" | "bits"> | undefined {
  const [, op, to, from] = /^f(\w+)\.(\w+)(?:\.(\w+))?$/.exec(name) ?? [];
  const bitsOf = (suffix: string) => suffix === "d" ? 64 : 32;
  if (op === "cvt") {
    if (/[wl]/.test(to)) return { family: "toInteger", bits: bitsOf(from) };
    if (/[wl]/.test(from)) return { family: "fromInteger", bits: bitsOf(to) };
    return { family: "convert", bits: bitsOf(from) };
  }
  const families: Record<string, Family> = {
    ...{ add: "add", sub: "add", mul: "mul", div: "div", sqrt: "sqrt" },
    ...{ madd: "fma", msub: "fma", nmadd: "fma", nmsub: "fma" },
    ...{ min: "compare", max: "compare", eq: "compare", lt: "compare", le: "compare" },
    ...{ class: "compare", sgnj: "compare", sgnjn: "compare", sgnjx: "compare" },
  };
  return op in families ? { family: families[op], bits: bitsOf(to) } : undefined;
}

/** Makes operands of one format. */
class Edges {
  readonly fraction: number;
  readonly exponent: number;
  /** Exponent field of infinity, of 1, and the largest fraction. */
  readonly top: number;
  readonly bias: number;
  readonly ones: bigint;

  constructor(readonly random: Random, readonly bits: 32 | 64) {
    this.fraction = bits === 64 ? 52 : 23;
    this.exponent = bits === 64 ? 11 : 8;
    this.top = (1 << this.exponent) - 1;
    this.bias = this.top >> 1;
    this.ones = (1n << BigInt(this.fraction)) - 1n;
  }

  /** From sign, exponent field and fraction; out of range is zero or infinity. */
  make(sign: number, e: number, f: bigint): bigint {
    if (e < 0) [e, f] = [0, 0n];
    if (e >= this.top) [e, f] = [this.top, 0n];
    return (BigInt(sign) << BigInt(this.exponent) | BigInt(e)) << BigInt(this.fraction) |
      f & this.ones;
  }
  sign(): number {
    return this.random.below(2);
  }
  negated(value: bigint): bigint {
    return value ^ 1n << BigInt(this.bits - 1);
  }
  /** The next number away from zero. */
  next(value: bigint, by = 1n): bigint {
    return BigInt.asUintN(this.bits, value + by);
  }
  f(): bigint {
    const { random, ones, fraction } = this, bits = random.bits64() & ones;
    return random.pick([
      0n,
      1n,
      ones,
      ones - 1n,
      1n << BigInt(fraction - 1),
      bits,
      bits | 1n,
      bits >> BigInt(random.below(fraction)) << BigInt(random.below(fraction)),
    ]);
  }
  /** Zeros, infinities, NaNs and the ends of the ranges. */
  special(): bigint {
    const { random, top, ones, fraction } = this, s = this.sign();
    const quiet = 1n << BigInt(fraction - 1), payload = random.bits64() & ones;
    return random.pick([
      this.make(s, 0, 0n),
      this.make(s, 0, 1n),
      this.make(s, 0, ones),
      this.make(s, 1, 0n),
      this.make(s, top - 1, ones),
      this.make(s, top, 0n),
      this.make(s, top - 1, ones) + random.pick([0n, 1n]),
      this.nan(s, quiet),
      this.nan(s, quiet | payload),
      this.nan(s, 1n),
      this.nan(s, payload & ~quiet | 1n),
      this.make(s, this.bias, 0n),
    ]);
  }
  nan(s: number, f: bigint): bigint {
    return (BigInt(s) << BigInt(this.exponent) | BigInt(this.top)) << BigInt(this.fraction) | f;
  }
  normal(): bigint {
    return this.make(this.sign(), this.random.between(1, this.top - 1), this.f());
  }
  /** m * 2^e, cut to the format. */
  scaled(sign: number, m: bigint, e: number): bigint {
    if (m === 0n) return this.make(sign, 0, 0n);
    const length = m.toString(2).length, field = e + length - 1 + this.bias;
    const shift = BigInt(this.fraction + 1 - length);
    const f = shift >= 0n ? m << shift : m >> -shift;
    if (field > 0) return this.make(sign, field, f);
    return this.make(sign, 0, (f & this.ones | this.ones + 1n) >> BigInt(1 - field));
  }

  add(): [bigint, bigint] {
    const { random, fraction, top, ones } = this, s = this.sign();
    switch (random.below(6)) {
      case 0:
      case 1: { // Half of the last place, and a little less or more.
        const e = random.between(1, top - 1), small = e - fraction - random.between(0, 2);
        const b = this.make(this.sign(), small, random.pick([0n, 1n, ones, this.f()]));
        return [this.make(s, e, this.f()), b];
      }
      case 2: { // To and over the largest number.
        const b = this.make(s, top - 2 - fraction + random.between(-1, 1), this.f());
        return [this.make(s, top - 1, ones - BigInt(random.below(2))), b];
      }
      case 3: { // Cancellation, complete or nearly.
        const a = this.normal(), b = this.negated(a);
        return [a, random.pick([b, b, this.next(b), this.next(b, -1n)])];
      }
      case 4: // Around the smallest normal number.
        return [
          this.make(s, random.below(2), this.f()),
          this.make(this.sign(), random.below(2), this.f()),
        ];
      default:
        return [this.special(), random.chance(0.5) ? this.special() : this.normal()];
    }
  }

  mul(): [bigint, bigint] {
    const { random, fraction, top, bias, ones } = this, s = this.sign();
    switch (random.below(5)) {
      case 0: { // A product of one bit more than there is room for.
        const bits = random.between(1, fraction), rest = fraction + 2 - bits;
        const odd = (n: number) => (random.bits64() & (1n << BigInt(n)) - 1n) >> 1n << 1n | 1n;
        const e = random.between(-20, 20);
        return [this.scaled(s, odd(bits), e), this.scaled(this.sign(), odd(rest), -bits)];
      }
      case 1: { // Around the smallest normal number, and the subnormals.
        const e = random.between(1, bias), sum = 1 + bias - random.below(fraction + 4);
        return [this.make(s, e, this.f()), this.make(this.sign(), sum - e, this.f())];
      }
      case 2: // The largest number below the smallest normal one, before rounding.
        return [
          this.make(s, bias - 1, ones - BigInt(random.below(2))),
          this.make(this.sign(), 1, BigInt(random.below(3))),
        ];
      case 3: { // Around the largest number.
        const e = random.between(bias, top - 1), sum = top + bias - random.between(0, 2);
        return [this.make(s, e, this.f()), this.make(this.sign(), sum - e, this.f())];
      }
      default:
        return [this.special(), random.chance(0.5) ? this.special() : this.normal()];
    }
  }

  div(): [bigint, bigint] {
    const { random, fraction, top, bias } = this, s = this.sign();
    switch (random.below(4)) {
      case 0: { // Into the subnormals, where powers of two make ties.
        const e = random.between(1, fraction + 4), f = random.chance(0.5) ? 0n : this.f();
        return [
          this.make(s, e, this.f()),
          this.make(this.sign(), bias + random.between(0, fraction + 2), f),
        ];
      }
      case 1: // Over the largest number.
        return [
          this.make(s, top - 1 - random.below(3), this.f()),
          this.make(this.sign(), bias - random.below(3), this.f()),
        ];
      case 2:
        return [this.normal(), this.normal()];
      default:
        return [this.special(), random.chance(0.5) ? this.special() : this.normal()];
    }
  }

  fma(): [bigint, bigint, bigint] {
    const { random, fraction, bias, top, ones } = this, s = this.sign(), t = this.sign();
    switch (random.below(7)) {
      case 0:
      case 1: { // The product is nearly half of the addend's last place: rounding it first makes a tie.
        // 1 + n and 1 - n last places: their product is 1 but for the square of n last places.
        const n = BigInt(random.pick([1, 1, 2, 3, 1 + random.below(200)]));
        const e = bias + random.between(-30, 30), b = this.make(t, bias - 1, ones + 1n - 2n * n);
        const c = this.make(
          this.sign(),
          e + fraction + 1 + random.pick([0, 0, 0, 0, -1, 1]),
          this.f() | BigInt(random.below(2)),
        );
        return [this.make(s, e, n), b, c];
      }
      case 2: { // The addend takes away all but the product's lower half.
        const m = random.bits64() & ones | ones + 1n, n = random.bits64() & ones | ones + 1n;
        const low = random.chance(0.4) ? 1 - bias + random.below(2 * fraction) : -fraction;
        const p = m * n, e = low - random.below(40);
        const c = this.scaled(1 - (s ^ t), p, e - fraction);
        return [this.scaled(s, m, e), this.scaled(t, n, -fraction), c];
      }
      case 3: // The product alone is over the largest number.
        return [
          this.make(s, top - 2, this.f()),
          this.make(t, bias + 1 + random.below(2), BigInt(random.below(2))),
          this.make(1 - (s ^ t), top - 1 - random.below(2), this.f()),
        ];
      case 4: { // The product is smaller than all numbers.
        const e = random.between(1, bias >> 1);
        const c = random.chance(0.5) ? this.make(this.sign(), random.below(3), this.f()) : 0n;
        return [this.make(s, e, this.f()), this.make(t, random.between(1, bias), this.f()), c];
      }
      case 5:
        return [this.special(), this.special(), this.special()];
      default: {
        const [a, b] = this.mul();
        return [a, b, random.chance(0.5) ? this.special() : this.normal()];
      }
    }
  }

  toInteger(): bigint {
    const { random, bias } = this, s = this.sign();
    if (random.chance(0.15)) return this.special();
    if (random.chance(0.3)) return this.make(s, bias + random.between(-3, 4), this.f());
    // Around the limits of integers, in quarters.
    const limit = 1n << BigInt(random.pick([7, 15, 23, 24, 31, 32, 52, 53, 63, 64]));
    const m = 4n * limit + BigInt(random.between(-6, 6)), value = this.scaled(s, m, -2);
    return random.pick([value, value, this.next(value), this.next(value, -1n)]);
  }

  fromInteger(): bigint {
    const { random, fraction } = this;
    if (random.chance(0.3)) return integer(random);
    // One bit more than there is room for, and what makes it a little less or more than a tie.
    const bits = random.between(1, 62);
    const m = random.bits64() & (1n << BigInt(bits)) - 1n | 1n << BigInt(bits);
    const place = BigInt(Math.max(0, bits - fraction - 1 - (random.chance(0.3) ? 29 : 0)));
    const value = (m >> place | 1n) << place;
    return BigInt.asUintN(
      64,
      (random.chance(0.5) ? value : -value) + BigInt(random.between(-1, 1)),
    );
  }

  convert(): bigint {
    const { random } = this, s = this.sign();
    if (random.chance(0.2)) return this.special();
    if (this.bits === 32) return this.make(s, random.pick([0, 1, 100, 254]), this.f());
    // Around ties of the narrow format, whose last place is bit 29, and in its subnormals.
    const e = 1023 + random.pick([
      random.between(-152, -124),
      random.between(126, 129),
      random.between(-5, 5),
    ]);
    const low = random.pick([0x1000_0000n, 0x0fff_ffffn, 0x1000_0001n, 0n, 1n, 0x1fff_ffffn]);
    const f = (random.chance(0.3) ? this.ones : this.f()) >> 29n << 29n;
    const far = BigInt(Math.max(0, 1023 - 126 - e));
    return this.make(s, e, far > 0n ? f >> far << far | low << far : f | low);
  }

  operands(family: Family): [bigint, bigint, bigint] {
    const { random } = this;
    switch (family) {
      case "add":
        return [...this.add(), 0n];
      case "mul":
        return [...this.mul(), 0n];
      case "div":
        return [...this.div(), 0n];
      case "sqrt": {
        const root = random.bits64() & (1n << BigInt(random.between(1, 26))) - 1n | 1n;
        const square = this.scaled(0, root * root, 2 * random.between(-30, 30));
        return [random.pick([square, this.next(square), this.special(), this.normal()]), 0n, 0n];
      }
      case "fma":
        return this.fma();
      case "compare": {
        const a = random.chance(0.5) ? this.special() : this.normal();
        const b = random.pick([a, this.negated(a), this.next(a), this.special(), this.normal()]);
        return [a, b, 0n];
      }
      case "toInteger":
        return [this.toInteger(), 0n, 0n];
      case "fromInteger":
        return [this.fromInteger(), 0n, 0n];
      default:
        return [this.convert(), 0n, 0n];
    }
  }
}

/** So many operands, of all families and formats in turn; the same for the same seed. */
export function edges(seed: number, count: number): Edge[] {
  const random = new Random(seed);
  const made = { 32: new Edges(random, 32), 64: new Edges(random, 64) };
  return Array.from({ length: count }, (_, i): Edge => {
    const family = FAMILIES[i % FAMILIES.length];
    const bits = random.chance(0.5) ? 32 : 64;
    const operands = made[bits].operands(family);
    const boxed = bits === 32 && family !== "fromInteger";
    const box = () => random.chance(0.95) ? 0xffff_ffffn : BigInt(random.pick([0, 0xffff_fffe]));
    return {
      family,
      bits,
      operands: boxed
        ? operands.map((value) => BigInt.asUintN(32, value) | box() << 32n) as Edge["operands"]
        : operands.map((value) => BigInt.asUintN(64, value)) as Edge["operands"],
    };
  });
}
