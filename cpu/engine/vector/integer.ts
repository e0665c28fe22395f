/**
 * Ops on integer lanes of one width, but shifts.
 *
 * @module
 */
import { Fp } from "../../ir/ops.ts";
import { fresh } from "../region/fresh.ts";
import * as hash from "./hash.ts";
import {
  makeSaturating,
  makeUnary,
  makeUnaryLong,
  rangeOf,
  shiftOf,
  type VectorLanes,
  type VectorOp,
} from "./lanes.ts";

function popcount(x: number): number {
  x -= x >>> 1 & 0x55;
  x = (x & 0x33) + (x >>> 2 & 0x33);
  return x + (x >>> 4) & 15;
}

/** Ops on lanes of one width. */
export function makeInteger(
  base: string,
  bits: number,
  v: VectorLanes,
): VectorOp | undefined {
  const { q, r } = v.arena, n = 128 / bits, shift = shiftOf(bits), top = bits - 1;
  const signed = v.signed[bits], unsigned = v.unsigned[bits];
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
      const lanes = v.lanes(bits, base === "vgetS");
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
      return v.binary(bits, true, (x, y) => x + y, (x, y) => BigInt.asIntN(64, x + y));
    case "vsub":
      return v.binary(bits, true, (x, y) => x - y, (x, y) => BigInt.asIntN(64, x - y));
    case "vmul":
      return v.binary(
        bits,
        true,
        (x, y) => Math.imul(x, y),
        (x, y) => BigInt.asIntN(64, x * y),
      );
    case "vneg":
      return bits === 64 ? fresh(makeUnaryLong)(q, (x) => -x) : v.unary(bits, true, (x) => -x);
    case "vabs":
      return bits === 64
        ? fresh(makeUnaryLong)(q, (x) => x < 0n ? -x : x)
        : v.unary(bits, true, (x) => x < 0 ? -x : x);
    case "veq":
      return v.binary(bits, true, (x, y) => x === y ? -1 : 0, (x, y) => x === y ? -1n : 0n);
    case "vgtS":
    case "vgtU":
      return v.binary(
        bits,
        base === "vgtS",
        (x, y) => x > y ? -1 : 0,
        (x, y) => x > y ? -1n : 0n,
      );
    case "vgeS":
    case "vgeU":
      return v.binary(
        bits,
        base === "vgeS",
        (x, y) => x >= y ? -1 : 0,
        (x, y) => x >= y ? -1n : 0n,
      );
    case "vminS":
    case "vminU":
      return v.binary(
        bits,
        base === "vminS",
        (x, y) => x < y ? x : y,
        (x, y) => x < y ? x : y,
      );
    case "vmaxS":
    case "vmaxU":
      return v.binary(
        bits,
        base === "vmaxS",
        (x, y) => x > y ? x : y,
        (x, y) => x > y ? x : y,
      );
    case "vavgU":
      return v.binary(bits, false, (x, y) => x + y + 1 >>> 1, (x) => x);
    case "vclz":
      return bits === 8
        ? v.unary(8, false, (x) => Math.clz32(x) - 24)
        : bits === 16
        ? v.unary(16, false, (x) => Math.clz32(x) - 16)
        : v.unary(32, false, (x) => Math.clz32(x));
    case "vcnt":
      return fresh(makeUnary)(unsigned, n, shift, popcount);
    case "vaddQS":
    case "vaddQU":
      return saturating(v, base, bits, (x, y) => x + y, (x, y) => x + y);
    case "vsubQS":
    case "vsubQU":
      return saturating(v, base, bits, (x, y) => x - y, (x, y) => x - y);
    case "vaddQXS":
    case "vaddQXU":
      return saturating(v, base, bits, (x, y) => x + y, (x, y) => x + y, true);
    case "vmulhQ":
    case "vmulhQR": {
      // Through BigInt: the doubled product of words has 63 bits.
      const round = base === "vmulhQR" ? 1n << BigInt(top) : 0n, width = BigInt(bits);
      const f = (x: bigint, y: bigint) => 2n * x * y + round >> width;
      return saturatingLong(v, bits, true, true, f);
    }
    case "vpmul":
      return v.binary(8, false, (x, y) => hash.polyBytes(x, y), (x) => x);
  }
  return undefined;
}

/** An op that saturates; `mixed` if the second operand has the other sign. */
function saturating(
  v: VectorLanes,
  base: string,
  bits: number,
  f: (x: number, y: number) => number,
  long: (x: bigint, y: bigint) => bigint,
  mixed = false,
): VectorOp {
  const signed = base.endsWith("S");
  if (bits === 64) return saturatingLong(v, 64, signed, signed !== mixed, long);
  const [low, high] = rangeOf(bits, signed).map(Number);
  return fresh(makeSaturating)(
    v.lanes(bits, signed),
    v.lanes(bits, signed !== mixed),
    128 / bits,
    shiftOf(bits),
    low,
    high,
    f,
    v.saturated,
  );
}

/** The same in BigInt, for lanes of any width. */
function saturatingLong(
  v: VectorLanes,
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
        v.big(bits, signed, (a << shift) + i),
        v.big(bits, other, (b << shift) + i),
      );
      const clamped = x < low ? low : x > high ? high : x;
      if (clamped !== x) out = Fp.SATURATION;
      v.setBig(bits, (d << shift) + i, clamped);
    }
    if ((out & j) !== 0) v.saturated();
    return true;
  };
}
