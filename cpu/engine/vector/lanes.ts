/**
 * The slots as lanes, loops over them, and a vector for results.
 *
 * @module
 */
import type { Arena } from "../../../mmu/arena.ts";
import { Fp, Slot } from "../../ir/ops.ts";
import { fresh } from "../region/fresh.ts";

/** Executes one op on slots; false if it faulted or found an invalid rounding mode. */
export type VectorOp = (
  d: number,
  a: number,
  b: number,
  c: number,
  j: number,
) => boolean;

export type Lanes = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array;
export type LongLanes = BigInt64Array | BigUint64Array;

// Loops over lanes. `n` lanes in a vector, and slot s begins at lane s << shift of the array.

export function makeUnary(lanes: Lanes, n: number, shift: number, f: (x: number) => number) {
  return (d: number, a: number): boolean => {
    d <<= shift;
    a <<= shift;
    for (let i = 0; i < n; i++) lanes[d + i] = f(lanes[a + i]);
    return true;
  };
}
export function makeBinary(
  lanes: Lanes,
  n: number,
  shift: number,
  f: (x: number, y: number) => number,
) {
  return (d: number, a: number, b: number): boolean => {
    d <<= shift;
    a <<= shift;
    b <<= shift;
    for (let i = 0; i < n; i++) lanes[d + i] = f(lanes[a + i], lanes[b + i]);
    return true;
  };
}
export function makeUnaryLong(lanes: LongLanes, f: (x: bigint) => bigint) {
  return (d: number, a: number): boolean => {
    lanes[d] = f(lanes[a]);
    lanes[d + 1] = f(lanes[a + 1]);
    return true;
  };
}
export function makeBinaryLong(lanes: LongLanes, f: (x: bigint, y: bigint) => bigint) {
  return (d: number, a: number, b: number): boolean => {
    lanes[d] = f(lanes[a], lanes[b]);
    lanes[d + 1] = f(lanes[a + 1], lanes[b + 1]);
    return true;
  };
}
/** A second operand that is an immediate. */
export function makeImmediate(
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
/** Saturating; both operands may have lanes of their own kind. 64 is `Fp.SATURATION`: `fresh` sees no names. */
export function makeSaturating(
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

/** Smallest and largest number of so many bits. */
export function rangeOf(bits: number, signed: boolean): [low: bigint, high: bigint] {
  const size = 1n << BigInt(bits);
  return signed ? [-size / 2n, size / 2n - 1n] : [0n, size - 1n];
}

/** Lanes in a slot, as a power of two. */
export function shiftOf(bits: number): number {
  return bits === 8 ? 3 : bits === 16 ? 2 : bits === 32 ? 1 : 0;
}

/** The slots of one CPU by lanes of 8, 16 and 32 bits; those of 64 bits are the arena's. */
export class VectorLanes {
  readonly arena: Arena;
  readonly signed: Record<number, Int8Array | Int16Array | Int32Array>;
  readonly unsigned: Record<number, Uint8Array | Uint16Array | Uint32Array>;
  /** A vector for results, by lanes. */
  readonly tmp = new BigUint64Array(2);
  readonly tmpSigned: Record<number, Int8Array | Int16Array | Int32Array | BigInt64Array>;

  constructor(arena: Arena) {
    this.arena = arena;
    const { buffer, byteOffset, byteLength } = arena.r, n = byteLength;
    this.signed = {
      8: new Int8Array(buffer, byteOffset, n),
      16: new Int16Array(buffer, byteOffset, n / 2),
      32: arena.r,
    };
    this.unsigned = {
      8: new Uint8Array(buffer, byteOffset, n),
      16: new Uint16Array(buffer, byteOffset, n / 2),
      32: new Uint32Array(buffer, byteOffset, n / 4),
    };
    const tmp = this.tmp.buffer;
    this.tmpSigned = {
      8: new Int8Array(tmp),
      16: new Int16Array(tmp),
      32: new Int32Array(tmp),
      64: new BigInt64Array(tmp),
    };
  }

  /** Says that a result was saturated. */
  readonly saturated = (): void => {
    this.arena.r[Slot.FP_FLAGS << 1] |= Fp.SATURATION;
  };

  /** Copies the result. */
  put(d: number): boolean {
    const { u } = this.arena;
    u[d] = this.tmp[0];
    u[d + 1] = this.tmp[1];
    return true;
  }

  /** Lanes of at most 32 bits. */
  lanes(bits: number, signed: boolean): Lanes {
    return signed ? this.signed[bits] : this.unsigned[bits];
  }

  /** Lanes of 64 bits. */
  longs(signed: boolean): LongLanes {
    return signed ? this.arena.q : this.arena.u;
  }

  /** A lane of any width. */
  big(bits: number, signed: boolean, lane: number): bigint {
    return bits === 64 ? this.longs(signed)[lane] : BigInt(this.lanes(bits, signed)[lane]);
  }

  /** Sets one. */
  setBig(bits: number, lane: number, value: bigint): void {
    if (bits === 64) this.arena.q[lane] = value;
    else this.signed[bits][lane] = Number(BigInt.asIntN(bits, value));
  }

  /** An op that is a function of each lane. */
  unary(bits: number, signed: boolean, f: (x: number) => number): VectorOp {
    return fresh(makeUnary)(this.lanes(bits, signed), 128 / bits, shiftOf(bits), f);
  }

  /** An op that is a function of two lanes, `long` if they have 64 bits. */
  binary(
    bits: number,
    signed: boolean,
    f: (x: number, y: number) => number,
    long: (x: bigint, y: bigint) => bigint,
  ): VectorOp {
    if (bits === 64) return fresh(makeBinaryLong)(this.longs(signed), long);
    return fresh(makeBinary)(this.lanes(bits, signed), 128 / bits, shiftOf(bits), f);
  }
}
