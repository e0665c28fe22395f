/**
 * Ops on 128-bit vectors, on typed arrays over the slots.
 *
 * What executes an op is made when it is first met: a loop of its own text for each, so that V8 compiles it with the
 * op's function inlined. Operations on lanes work in place, because operands are the destination or apart from it;
 * others go through a vector of their own.
 *
 * @module
 */
import { Page } from "../../../mmu/address_space.ts";
import { type Arena, PAGE_SHIFT, PAGE_SIZE } from "../../../mmu/arena.ts";
import { Effect, FIRST_VECTOR_OP, Fp, OPS, Slot, Trap } from "../../ir/ops.ts";
import { fresh } from "../region/fresh.ts";
import { SlowMemory, type SlowPath } from "../interpreter/slow_memory.ts";
import type { SoftFloat } from "../softfloat/softfloat.ts";
import { makeFloatOp, makeScalarFloatOp, type VectorOp } from "./float.ts";
import * as hash from "./hash.ts";

/** Accrued flag of saturation. */
const SATURATED = 64;

type Lanes = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array;
type LongLanes = BigInt64Array | BigUint64Array;

// Loops over lanes. `n` lanes in a vector, and slot s begins at lane s << shift of the array.

function makeUnary(lanes: Lanes, n: number, shift: number, f: (x: number) => number) {
  return (d: number, a: number): boolean => {
    d <<= shift;
    a <<= shift;
    for (let i = 0; i < n; i++) lanes[d + i] = f(lanes[a + i]);
    return true;
  };
}
function makeBinary(lanes: Lanes, n: number, shift: number, f: (x: number, y: number) => number) {
  return (d: number, a: number, b: number): boolean => {
    d <<= shift;
    a <<= shift;
    b <<= shift;
    for (let i = 0; i < n; i++) lanes[d + i] = f(lanes[a + i], lanes[b + i]);
    return true;
  };
}
function makeUnaryLong(lanes: LongLanes, f: (x: bigint) => bigint) {
  return (d: number, a: number): boolean => {
    lanes[d] = f(lanes[a]);
    lanes[d + 1] = f(lanes[a + 1]);
    return true;
  };
}
function makeBinaryLong(lanes: LongLanes, f: (x: bigint, y: bigint) => bigint) {
  return (d: number, a: number, b: number): boolean => {
    lanes[d] = f(lanes[a], lanes[b]);
    lanes[d + 1] = f(lanes[a + 1], lanes[b + 1]);
    return true;
  };
}
/** A second operand that is an immediate. */
function makeImmediate(
  lanes: Lanes,
  n: number,
  shift: number,
  f: (x: number, j: number) => number,
) {
  return (d: number, a: number, _b: number, _c: number, j: number): boolean => {
    d <<= shift;
    a <<= shift;
    for (let i = 0; i < n; i++) lanes[d + i] = f(lanes[a + i], j);
    return true;
  };
}
/** Saturating; both operands may have lanes of their own kind. */
function makeSaturating(
  lanes: Lanes,
  others: Lanes,
  n: number,
  shift: number,
  low: number,
  high: number,
  f: (x: number, y: number) => number,
  saturated: () => void,
) {
  return (d: number, a: number, b: number, _c: number, j: number): boolean => {
    d <<= shift;
    a <<= shift;
    b <<= shift;
    let out = 0;
    for (let i = 0; i < n; i++) {
      let x = f(lanes[a + i], others[b + i]);
      if (x < low) {
        x = low;
        out = 64;
      } else if (x > high) {
        x = high;
        out = 64;
      }
      lanes[d + i] = x;
    }
    if ((out & j) !== 0) saturated();
    return true;
  };
}

function popcount(x: number): number {
  x -= x >>> 1 & 0x55;
  x = (x & 0x33) + (x >>> 2 & 0x33);
  return x + (x >>> 4) & 15;
}

/** Smallest and largest number of so many bits. */
function rangeOf(bits: number, signed: boolean): [low: bigint, high: bigint] {
  const size = 1n << BigInt(bits);
  return signed ? [-size / 2n, size / 2n - 1n] : [0n, size - 1n];
}

/** Executes ops on vectors for one CPU. */
export class VectorOps {
  readonly #arena: Arena;
  readonly #slow: SlowPath;
  readonly #float: SoftFloat;
  readonly #ops: (VectorOp | undefined)[] = OPS.slice(FIRST_VECTOR_OP).map(() => undefined);
  /** The slots, by lanes. */
  readonly #signed: Record<number, Int8Array | Int16Array | Int32Array>;
  readonly #unsigned: Record<number, Uint8Array | Uint16Array | Uint32Array>;
  /** A vector for results, by lanes. */
  readonly #tmp = new BigUint64Array(2);
  readonly #tmpSigned: Record<number, Int8Array | Int16Array | Int32Array | BigInt64Array>;
  /** Operands of hashes. */
  readonly #words = [0, 1, 2].map(() => new Int32Array(4));

  /** Guest memory, where the page table says what may be accessed. */
  readonly #memory: DataView | undefined;

  constructor(arena: Arena, slow: SlowPath, float: SoftFloat) {
    this.#arena = arena;
    const { m8 } = arena;
    if (slow instanceof SlowMemory) {
      this.#memory = new DataView(m8.buffer, m8.byteOffset, m8.byteLength);
    }
    this.#slow = slow;
    this.#float = float;
    const { buffer, byteOffset, byteLength } = arena.r, n = byteLength;
    this.#signed = {
      8: new Int8Array(buffer, byteOffset, n),
      16: new Int16Array(buffer, byteOffset, n / 2),
      32: arena.r,
    };
    this.#unsigned = {
      8: new Uint8Array(buffer, byteOffset, n),
      16: new Uint16Array(buffer, byteOffset, n / 2),
      32: new Uint32Array(buffer, byteOffset, n / 4),
    };
    const tmp = this.#tmp.buffer;
    this.#tmpSigned = {
      8: new Int8Array(tmp),
      16: new Int16Array(tmp),
      32: new Int32Array(tmp),
      64: new BigInt64Array(tmp),
    };
  }

  /** Executes the record at `ip` of `code`; false if it faulted (see {@linkcode SlowPath}). */
  execute(code: Int32Array, ip: number): boolean {
    const index = code[ip] - FIRST_VECTOR_OP;
    let op = this.#ops[index];
    if (op === undefined) this.#ops[index] = op = this.#make(OPS[code[ip]].name);
    if (op(code[ip + 1], code[ip + 2], code[ip + 3], code[ip + 4], code[ip + 5])) return true;
    // Memory has said why it faulted; else the rounding mode is invalid.
    const { effect } = OPS[code[ip]];
    return effect === Effect.FLOAT ? this.#slow.fault(Trap.ILLEGAL, 0, 0) : false;
  }

  /** Says that a result was saturated. */
  readonly #saturated = (): void => {
    this.#arena.r[Slot.FP_FLAGS << 1] |= SATURATED;
  };

  #make(name: string): VectorOp {
    const plain = this.#makePlain(name);
    if (plain) return plain;
    const [, base, digits] = /^(\w*?)(\d+)$/.exec(name) ?? [];
    const bits = Number(digits);
    const op = base === undefined
      ? undefined
      : this.#makeLanes(base, bits) ?? this.#makeShift(base, bits) ?? this.#makeWide(base, bits) ??
        this.#makePermutation(base, bits) ?? makeFloatOp(base, bits, this.#arena, this.#float) ??
        makeScalarFloatOp(base, bits, this.#float);
    if (!op) throw new Error(`Cannot execute ${name}: not in the op table`);
    return op;
  }

  /** Copies the result. */
  #put(d: number): boolean {
    const { u } = this.#arena;
    u[d] = this.#tmp[0];
    u[d + 1] = this.#tmp[1];
    return true;
  }

  /** Ops without lanes of one width. */
  #makePlain(name: string): VectorOp | undefined {
    const { u, q, r } = this.#arena,
      bytes = this.#unsigned[8],
      tmp = this.#tmpSigned[8] as Int8Array;
    const out = this.#tmpSigned[32] as Int32Array, words = this.#words;
    /** Operands as words. */
    const load = (...slots: number[]) =>
      slots.map((slot, i) => {
        words[i].set(r.subarray(2 * slot, 2 * slot + 4));
        return words[i];
      });
    const all = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const vector = (slot: number) => all.subarray(8 * slot, 8 * slot + 16);
    const bitwise = (f: (x: bigint, y: bigint) => bigint) => fresh(makeBinaryLong)(q, f);
    switch (name) {
      case "ldV":
        return (d, a, _b, c, j) => this.#load(d, a, c, j);
      case "stV":
        return (_d, a, b, c, j) => this.#store(a, b, c, j);
      case "vmov":
        return fresh(makeUnaryLong)(q, (x) => x);
      case "vconst":
        return (d, _a, _b, c, j) => {
          r[2 * d] = r[2 * d + 2] = c;
          r[2 * d + 1] = r[2 * d + 3] = j;
          return true;
        };
      case "vlow":
        return (d, a) => {
          q[d] = q[a];
          q[d + 1] = 0n;
          return true;
        };
      case "vnot":
        return fresh(makeUnaryLong)(q, (x) => ~x);
      case "vand":
        return bitwise((x, y) => x & y);
      case "vandn":
        return bitwise((x, y) => x & ~y);
      case "vor":
        return bitwise((x, y) => x | y);
      case "vxor":
        return bitwise((x, y) => x ^ y);
      case "vsel":
        return (d, a, b, c) => {
          for (let i = 0; i < 2; i++) q[d + i] = q[a + i] & q[c + i] | q[b + i] & ~q[c + i];
          return true;
        };
      case "vany":
        return (d, a) => {
          q[d] = (q[a] | q[a + 1]) === 0n ? 0n : 1n;
          return true;
        };
      case "vext":
        return (d, a, b, _c, j) => {
          for (let i = 0; i < 16; i++) {
            const at = i + (j & 15);
            tmp[i] = at < 16 ? bytes[8 * a + at] : bytes[8 * b + at - 16];
          }
          return this.#put(d);
        };
      case "vshuf":
        return (d, a, _b, c, j) => {
          for (let i = 0; i < 8; i++) {
            tmp[i] = bytes[8 * a + (c >>> 4 * i & 15)];
            tmp[i + 8] = bytes[8 * a + (j >>> 4 * i & 15)];
          }
          return this.#put(d);
        };
      case "vtable":
        return (d, a, b) => {
          for (let i = 0; i < 16; i++) {
            const index = bytes[8 * b + i];
            tmp[i] = index < 16 ? bytes[8 * a + index] : 0;
          }
          return this.#put(d);
        };
      case "vpmullL64":
      case "vpmullH64": {
        const half = name === "vpmullH64" ? 1 : 0;
        return (d, a, b) => {
          const product = hash.polyLongs(u[a + half], u[b + half]);
          u[d] = product;
          u[d + 1] = product >> 64n;
          return true;
        };
      }
      case "vaesEnc":
      case "vaesDec":
        return (d, a, b) => {
          hash.aesRound(new Uint8Array(tmp.buffer), vector(a), vector(b), name === "vaesDec");
          return this.#put(d);
        };
      case "vaesMix":
      case "vaesUnmix":
        return (d, a) => {
          hash.aesMix(new Uint8Array(tmp.buffer), vector(a), name === "vaesUnmix");
          return this.#put(d);
        };
      case "vsha1":
        return (d, a, b, c, j) => {
          const [x, y, w] = load(a, b, c);
          hash.sha1(out, x, y[0], w, j);
          return this.#put(d);
        };
      case "vsha1su0":
        return (d, a, b, c) => {
          const [x, y, z] = load(a, b, c);
          hash.sha1su0(out, x, y, z);
          return this.#put(d);
        };
      case "vsha1su1":
        return (d, a, b) => {
          const [x, y] = load(a, b);
          hash.sha1su1(out, x, y);
          return this.#put(d);
        };
      case "vsha256":
        return (d, a, b, c, j) => {
          const [x, y, w] = load(a, b, c);
          if (j === 0) hash.sha256(out, x, y, w, true);
          else hash.sha256(out, y, x, w, false);
          return this.#put(d);
        };
      case "vsha256su0":
        return (d, a, b) => {
          const [x, y] = load(a, b);
          hash.sha256su0(out, x, y);
          return this.#put(d);
        };
      case "vsha256su1":
        return (d, a, b, c) => {
          const [x, y, z] = load(a, b, c);
          hash.sha256su1(out, x, y, z);
          return this.#put(d);
        };
      case "vrecipU32":
        return this.#unary(
          32,
          false,
          (x) => x < 2 ** 31 ? -1 : hash.recipEstimate(x >>> 23) * 2 ** 23,
        );
      case "vrsqrtU32":
        return this.#unary(
          32,
          false,
          (x) => x < 2 ** 30 ? -1 : hash.rsqrtEstimate(x >>> 23) * 2 ** 23,
        );
    }
    return undefined;
  }

  // ---- memory ----

  /** Whether 16 bytes at a slot's address plus an offset are in one page with a right. */
  #isFast(a: number, offset: number, right: number): boolean {
    const { r, pages } = this.#arena, at = (r[2 * a] >>> 0) + offset;
    return this.#memory !== undefined && r[2 * a + 1] === 0 && at >= 0 && at <= 0xffff_ffff &&
      (at & (PAGE_SIZE - 1)) <= PAGE_SIZE - 16 && (pages[at >>> PAGE_SHIFT] & right) !== 0;
  }

  #load(d: number, a: number, c: number, j: number): boolean {
    const { r } = this.#arena, slow = this.#slow;
    if (this.#isFast(a, c, Page.LOAD)) {
      const memory = this.#memory!, at = (r[2 * a] >>> 0) + c;
      for (let i = 0; i < 4; i++) r[2 * d + i] = memory.getInt32(at + 4 * i, true);
      return true;
    }
    const [lo, hi] = this.#address(a, c, j), [lo8, hi8] = next8(lo, hi);
    if (!slow.load(lo, hi, 8)) return false;
    const low = slow.lo, high = slow.hi;
    if (!slow.load(lo8, hi8, 8)) return false;
    r[2 * d] = low;
    r[2 * d + 1] = high;
    r[2 * d + 2] = slow.lo;
    r[2 * d + 3] = slow.hi;
    return true;
  }

  /** Stores both halves or nothing: of two pages the second is tried first, with what is there. */
  #store(a: number, b: number, c: number, j: number): boolean {
    const { r } = this.#arena, slow = this.#slow;
    if (this.#isFast(a, c, Page.STORE)) {
      const memory = this.#memory!, at = (r[2 * a] >>> 0) + c;
      for (let i = 0; i < 4; i++) memory.setInt32(at + 4 * i, r[2 * b + i], true);
      return true;
    }
    const [lo, hi] = this.#address(a, c, j), [lo8, hi8] = next8(lo, hi);
    const low = r[2 * b], high = r[2 * b + 1], low8 = r[2 * b + 2], high8 = r[2 * b + 3];
    if ((lo & 4095) > 4096 - 16) {
      // A byte of the first page, then one of the second.
      const end = lo + 15;
      for (const [x, y] of [[lo, hi], [end | 0, hi + (end >>> 0 < lo >>> 0 ? 1 : 0) | 0]]) {
        if (!slow.load(x, y, 1)) return this.#storeFault();
        if (!slow.store(x, y, 1, slow.lo, 0)) return false;
      }
    }
    return slow.store(lo, hi, 8, low, high) && slow.store(lo8, hi8, 8, low8, high8);
  }

  /** Turns the fault of a load into that of a store. */
  #storeFault(): boolean {
    const { faultLo, faultHi } = this.#slow;
    // A store there finds out what is wrong in its own words.
    return this.#slow.store(faultLo, faultHi, 1, 0, 0);
  }

  #address(a: number, c: number, j: number): [lo: number, hi: number] {
    const { r } = this.#arena, sum = (r[2 * a] >>> 0) + (c >>> 0);
    return [sum | 0, (r[2 * a + 1] + j + (sum > 0xffff_ffff ? 1 : 0)) | 0];
  }

  // ---- lanes ----

  #lanes(bits: number, signed: boolean): Lanes {
    return signed ? this.#signed[bits] : this.#unsigned[bits];
  }
  #longs(signed: boolean): LongLanes {
    return signed ? this.#arena.q : this.#arena.u;
  }
  #unary(bits: number, signed: boolean, f: (x: number) => number): VectorOp {
    return fresh(makeUnary)(this.#lanes(bits, signed), 128 / bits, shiftOf(bits), f);
  }
  #binary(
    bits: number,
    signed: boolean,
    f: (x: number, y: number) => number,
    long: (x: bigint, y: bigint) => bigint,
  ): VectorOp {
    if (bits === 64) return fresh(makeBinaryLong)(this.#longs(signed), long);
    return fresh(makeBinary)(this.#lanes(bits, signed), 128 / bits, shiftOf(bits), f);
  }

  /** Ops on lanes of one width. */
  #makeLanes(base: string, bits: number): VectorOp | undefined {
    const { q, r } = this.#arena, n = 128 / bits, shift = shiftOf(bits), top = bits - 1;
    const signed = this.#signed[bits], unsigned = this.#unsigned[bits];
    switch (base) {
      case "vsplat":
        return (d, a) => {
          if (bits === 64) q[d + 1] = q[d] = q[a];
          else {
            const x = r[2 * a];
            for (let i = 0; i < n; i++) signed[(d << shift) + i] = x;
          }
          return true;
        };
      case "vput":
        return (d, a, b, _c, j) => {
          const x = q[b], word = r[2 * b];
          q[d] = q[a];
          q[d + 1] = q[a + 1];
          if (bits === 64) q[d + (j & 1)] = x;
          else signed[(d << shift) + (j & n - 1)] = word;
          return true;
        };
      case "vgetS":
      case "vgetU": {
        const lanes = this.#lanes(bits, base === "vgetS");
        return (d, a, _b, _c, j) => {
          q[d] = BigInt(lanes[(a << shift) + (j & n - 1)]);
          return true;
        };
      }
      case "vmask":
        return (d, a) => {
          let mask = 0;
          for (let i = 0; i < n; i++) {
            const negative = bits === 64 ? q[a + i] < 0n : signed[(a << shift) + i] < 0;
            if (negative) mask |= 1 << i;
          }
          q[d] = BigInt(mask);
          return true;
        };
      case "vadd":
        return this.#binary(bits, true, (x, y) => x + y, (x, y) => BigInt.asIntN(64, x + y));
      case "vsub":
        return this.#binary(bits, true, (x, y) => x - y, (x, y) => BigInt.asIntN(64, x - y));
      case "vmul":
        return this.#binary(
          bits,
          true,
          (x, y) => Math.imul(x, y),
          (x, y) => BigInt.asIntN(64, x * y),
        );
      case "vneg":
        return bits === 64
          ? fresh(makeUnaryLong)(q, (x) => -x)
          : this.#unary(bits, true, (x) => -x);
      case "vabs":
        return bits === 64
          ? fresh(makeUnaryLong)(q, (x) => x < 0n ? -x : x)
          : this.#unary(bits, true, (x) => x < 0 ? -x : x);
      case "veq":
        return this.#binary(bits, true, (x, y) => x === y ? -1 : 0, (x, y) => x === y ? -1n : 0n);
      case "vgtS":
      case "vgtU":
        return this.#binary(
          bits,
          base === "vgtS",
          (x, y) => x > y ? -1 : 0,
          (x, y) => x > y ? -1n : 0n,
        );
      case "vgeS":
      case "vgeU":
        return this.#binary(
          bits,
          base === "vgeS",
          (x, y) => x >= y ? -1 : 0,
          (x, y) => x >= y ? -1n : 0n,
        );
      case "vminS":
      case "vminU":
        return this.#binary(
          bits,
          base === "vminS",
          (x, y) => x < y ? x : y,
          (x, y) => x < y ? x : y,
        );
      case "vmaxS":
      case "vmaxU":
        return this.#binary(
          bits,
          base === "vmaxS",
          (x, y) => x > y ? x : y,
          (x, y) => x > y ? x : y,
        );
      case "vavgU":
        return this.#binary(bits, false, (x, y) => x + y + 1 >>> 1, (x) => x);
      case "vclz":
        return bits === 8
          ? this.#unary(8, false, (x) => Math.clz32(x) - 24)
          : bits === 16
          ? this.#unary(16, false, (x) => Math.clz32(x) - 16)
          : this.#unary(32, false, (x) => Math.clz32(x));
      case "vcnt":
        return fresh(makeUnary)(unsigned, n, shift, popcount);
      case "vaddQS":
      case "vaddQU":
        return this.#saturating(base, bits, (x, y) => x + y, (x, y) => x + y);
      case "vsubQS":
      case "vsubQU":
        return this.#saturating(base, bits, (x, y) => x - y, (x, y) => x - y);
      case "vaddQXS":
      case "vaddQXU":
        return this.#saturating(base, bits, (x, y) => x + y, (x, y) => x + y, true);
      case "vmulhQ":
      case "vmulhQR": {
        // Through BigInt: the doubled product of words has 63 bits.
        const round = base === "vmulhQR" ? 1n << BigInt(top) : 0n, width = BigInt(bits);
        const f = (x: bigint, y: bigint) => 2n * x * y + round >> width;
        return this.#saturatingLong(bits, true, true, f);
      }
      case "vpmul":
        return this.#binary(8, false, (x, y) => hash.polyBytes(x, y), (x) => x);
    }
    return undefined;
  }

  #saturating(
    base: string,
    bits: number,
    f: (x: number, y: number) => number,
    long: (x: bigint, y: bigint) => bigint,
    mixed = false,
  ): VectorOp {
    const signed = base.endsWith("S");
    if (bits === 64) return this.#saturatingLong(64, signed, signed !== mixed, long);
    const [low, high] = rangeOf(bits, signed).map(Number);
    return fresh(makeSaturating)(
      this.#lanes(bits, signed),
      this.#lanes(bits, signed !== mixed),
      128 / bits,
      shiftOf(bits),
      low,
      high,
      f,
      this.#saturated,
    );
  }

  /** The same in BigInt, for lanes of any width. */
  #saturatingLong(
    bits: number,
    signed: boolean,
    other: boolean,
    f: (x: bigint, y: bigint) => bigint,
  ): VectorOp {
    const [low, high] = rangeOf(bits, signed), n = 128 / bits, shift = shiftOf(bits);
    return (d, a, b, _c, j) => {
      let out = 0;
      for (let i = 0; i < n; i++) {
        const x = f(
          this.#big(bits, signed, (a << shift) + i),
          this.#big(bits, other, (b << shift) + i),
        );
        const clamped = x < low ? low : x > high ? high : x;
        if (clamped !== x) out = Fp.SATURATION;
        this.#setBig(bits, (d << shift) + i, clamped);
      }
      if ((out & j) !== 0) this.#saturated();
      return true;
    };
  }

  #big(bits: number, signed: boolean, lane: number): bigint {
    return bits === 64 ? this.#longs(signed)[lane] : BigInt(this.#lanes(bits, signed)[lane]);
  }
  #setBig(bits: number, lane: number, value: bigint): void {
    if (bits === 64) this.#arena.q[lane] = value;
    else this.#signed[bits][lane] = Number(BigInt.asIntN(bits, value));
  }

  #makeShift(base: string, bits: number): VectorOp | undefined {
    const n = 128 / bits, shift = shiftOf(bits), { q } = this.#arena, counts = this.#signed[8];
    switch (base) {
      case "vshli": {
        if (bits === 64) {
          return (d, a, _b, _c, j) => {
            for (let i = 0; i < 2; i++) q[d + i] = j > 63 ? 0n : q[a + i] << BigInt(j);
            return true;
          };
        }
        // What is shifted by more than 31 in a word has left any lane.
        const f = (x: number, j: number) => j > 31 ? 0 : x << j;
        return fresh(makeImmediate)(this.#signed[bits], n, shift, f);
      }
      case "vshriS":
      case "vshriU": {
        const signed = base === "vshriS";
        if (bits === 64) {
          const lanes = this.#longs(signed);
          return (d, a, _b, _c, j) => {
            for (let i = 0; i < 2; i++) lanes[d + i] = lanes[a + i] >> BigInt(j);
            return true;
          };
        }
        const lanes = this.#lanes(bits, signed);
        return signed
          ? fresh(makeImmediate)(lanes, n, shift, (x, j) => x >> (j > 31 ? 31 : j))
          : fresh(makeImmediate)(lanes, n, shift, (x, j) => j > 31 ? 0 : x >>> j);
      }
    }
    const found = /^vshl(Q?)(R?)(SU|S|U)$/.exec(base);
    if (!found) return undefined;
    const signed = found[3] !== "U", round = found[2] !== "";
    if (found[1] === "" && !round && bits < 64) {
      const lanes = this.#lanes(bits, signed), bytes = bits / 8;
      return (d, a, b) => {
        for (let i = 0; i < n; i++) {
          const x = lanes[(a << shift) + i], count = counts[8 * b + bytes * i];
          const right = count < -31 ? 31 : -count;
          lanes[(d << shift) + i] = count >= 0
            ? count > 31 ? 0 : x << count
            : signed
            ? x >> right
            : count < -31
            ? 0
            : x >>> right;
        }
        return true;
      };
    }
    const [low, high] = found[1] === "" ? [undefined, undefined] : rangeOf(bits, found[3] === "S");
    return (d, a, b, _c, j) => {
      let out = 0;
      for (let i = 0; i < n; i++) {
        const count = counts[8 * b + bits / 8 * i];
        let x = this.#big(bits, signed, (a << shift) + i);
        if (count >= 0) x <<= BigInt(count);
        else x = x + (round ? 1n << BigInt(-count - 1) : 0n) >> BigInt(-count);
        if (low !== undefined) {
          const clamped = x < low ? low : x > high ? high : x;
          if (clamped !== x) out = Fp.SATURATION;
          x = clamped;
        }
        this.#setBig(bits, (d << shift) + i, x);
      }
      if ((out & j) !== 0) this.#saturated();
      return true;
    };
  }

  /** Ops from lanes of one width to lanes of another; `bits` is the narrower. */
  #makeWide(base: string, bits: number): VectorOp | undefined {
    const n = 64 / bits, shift = shiftOf(bits), tmp = this.#tmp;
    const signed = base.endsWith("S"), half = /H[SU]?$/.test(base) ? n : 0;
    const setWide = (i: number, value: bigint) => {
      if (bits === 32) tmp[i] = BigInt.asUintN(64, value);
      else (this.#tmpSigned[2 * bits] as Int32Array)[i] = Number(value);
    };
    const wide = this.#tmpSigned[2 * bits] as Int32Array;
    const lanes = bits === 64 ? this.#unsigned[32] : this.#lanes(bits, signed);
    switch (base) {
      case "vwidenLS":
      case "vwidenLU":
      case "vwidenHS":
      case "vwidenHU":
        return (d, a) => {
          for (let i = 0; i < n; i++) {
            const x = lanes[(a << shift) + half + i];
            if (bits === 32) tmp[i] = BigInt.asUintN(64, BigInt(x));
            else wide[i] = x;
          }
          return this.#put(d);
        };
      case "vmullLS":
      case "vmullLU":
      case "vmullHS":
      case "vmullHU":
        return (d, a, b) => {
          for (let i = 0; i < n; i++) {
            const x = lanes[(a << shift) + half + i], y = lanes[(b << shift) + half + i];
            if (bits === 32) tmp[i] = BigInt.asUintN(64, BigInt(x) * BigInt(y));
            else wide[i] = Math.imul(x, y);
          }
          return this.#put(d);
        };
      case "vaddlpS":
      case "vaddlpU":
        return (d, a) => {
          for (let i = 0; i < n; i++) {
            const sum = lanes[(a << shift) + 2 * i] + lanes[(a << shift) + 2 * i + 1];
            if (bits === 32) tmp[i] = BigInt.asUintN(64, BigInt(sum));
            else wide[i] = sum;
          }
          return this.#put(d);
        };
      case "vpmullL":
      case "vpmullH":
        return (d, a, b) => {
          const bytes = this.#unsigned[8];
          for (let i = 0; i < 8; i++) {
            setWide(i, BigInt(hash.polyBytes(bytes[8 * a + half + i], bytes[8 * b + half + i])));
          }
          return this.#put(d);
        };
      case "vtrunc":
        return (d, a) => {
          const from = this.#signed[bits], to = this.#tmpSigned[bits] as Int32Array;
          for (let i = 0; i < n; i++) to[i] = from[(a << shift) + 2 * i];
          tmp[1] = 0n;
          return this.#put(d);
        };
      case "vnarrowS":
      case "vnarrowU":
      case "vnarrowSU": {
        const [low, high] = rangeOf(bits, base === "vnarrowS"), source = base !== "vnarrowU";
        const to = this.#tmpSigned[bits] as Int32Array;
        return (d, a, _b, _c, j) => {
          let out = 0;
          for (let i = 0; i < n; i++) {
            const x = this.#big(2 * bits, source, (a << shiftOf(2 * bits)) + i);
            const clamped = x < low ? low : x > high ? high : x;
            if (clamped !== x) out = Fp.SATURATION;
            to[i] = Number(clamped);
          }
          tmp[1] = 0n;
          if ((out & j) !== 0) this.#saturated();
          return this.#put(d);
        };
      }
    }
    return undefined;
  }

  #makePermutation(base: string, bits: number): VectorOp | undefined {
    const n = 128 / bits, shift = shiftOf(bits);
    const from = this.#signed[bits], to = this.#tmpSigned[bits] as Int32Array;
    const { q } = this.#arena, longs = this.#tmpSigned[64] as BigInt64Array;
    /** Lane i of the result: its number, of B from n on. */
    let source: (i: number) => number;
    if (base === "vzipL") source = (i) => (i >> 1) + (i & 1) * n;
    else if (base === "vzipH") source = (i) => (n + i >> 1) + (i & 1) * n;
    else if (base === "vunzE") source = (i) => 2 * i;
    else if (base === "vunzO") source = (i) => 2 * i + 1;
    else if (base === "vtrnE") source = (i) => (i & ~1) + (i & 1) * n;
    else if (base === "vtrnO") source = (i) => (i | 1) + (i & 1) * n;
    else return undefined;
    const table = Array.from({ length: n }, (_, i) => source(i));
    return (d, a, b) => {
      for (let i = 0; i < n; i++) {
        const k = table[i], slot = k < n ? a : b, lane = k & n - 1;
        if (bits === 64) longs[i] = q[slot + lane];
        else to[i] = from[(slot << shift) + lane];
      }
      return this.#put(d);
    };
  }
}

/** Lanes in a slot, as a power of two. */
function shiftOf(bits: number): number {
  return bits === 8 ? 3 : bits === 16 ? 2 : bits === 32 ? 1 : 0;
}

function next8(lo: number, hi: number): [lo: number, hi: number] {
  const sum = (lo >>> 0) + 8;
  return [sum | 0, (hi + (sum > 0xffff_ffff ? 1 : 0)) | 0];
}
