/**
 * Ops from lanes of one width to lanes of another: widening, long products, narrowing.
 *
 * @module
 */
import { Fp } from "../../ir/ops.ts";
import * as hash from "./hash.ts";
import { rangeOf, shiftOf, type VectorLanes, type VectorOp } from "./lanes.ts";

/** Ops from lanes of one width to lanes of another; `bits` is the narrower. */
export function makeWide(base: string, bits: number, v: VectorLanes): VectorOp | undefined {
  const n = 64 / bits, shift = shiftOf(bits), tmp = v.tmp;
  const signed = base.endsWith("S"), half = /H[SU]?$/.test(base) ? n : 0;
  const setWide = (i: number, value: bigint) => {
    if (bits === 32) tmp[i] = BigInt.asUintN(64, value);
    else (v.tmpSigned[2 * bits] as Int32Array)[i] = Number(value);
  };
  const wide = v.tmpSigned[2 * bits] as Int32Array;
  const lanes = bits === 64 ? v.unsigned[32] : v.lanes(bits, signed);
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
        return v.put(d);
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
        return v.put(d);
      };
    case "vaddlpS":
    case "vaddlpU":
      return (d, a) => {
        for (let i = 0; i < n; i++) {
          const sum = lanes[(a << shift) + 2 * i] + lanes[(a << shift) + 2 * i + 1];
          if (bits === 32) tmp[i] = BigInt.asUintN(64, BigInt(sum));
          else wide[i] = sum;
        }
        return v.put(d);
      };
    case "vpmullL":
    case "vpmullH":
      return (d, a, b) => {
        const bytes = v.unsigned[8];
        for (let i = 0; i < 8; i++) {
          setWide(i, BigInt(hash.polyBytes(bytes[8 * a + half + i], bytes[8 * b + half + i])));
        }
        return v.put(d);
      };
    case "vtrunc":
      return (d, a) => {
        const from = v.signed[bits], to = v.tmpSigned[bits] as Int32Array;
        for (let i = 0; i < n; i++) to[i] = from[(a << shift) + 2 * i];
        tmp[1] = 0n;
        return v.put(d);
      };
    case "vnarrowS":
    case "vnarrowU":
    case "vnarrowSU": {
      const [low, high] = rangeOf(bits, base === "vnarrowS"), source = base !== "vnarrowU";
      const to = v.tmpSigned[bits] as Int32Array;
      return (d, a, _b, _c, j) => {
        let out = 0;
        for (let i = 0; i < n; i++) {
          const x = v.big(2 * bits, source, (a << shiftOf(2 * bits)) + i);
          const clamped = x < low ? low : x > high ? high : x;
          if (clamped !== x) out = Fp.SATURATION;
          to[i] = Number(clamped);
        }
        tmp[1] = 0n;
        if ((out & j) !== 0) v.saturated();
        return v.put(d);
      };
    }
  }
  return undefined;
}
