/**
 * Shifts of lanes.
 *
 * @module
 */
import { Fp } from "../../ir/ops.ts";
import { fresh } from "../region/fresh.ts";
import { makeImmediate, rangeOf, shiftOf, type VectorLanes, type VectorOp } from "./lanes.ts";

/** Shifts by an immediate, and by lanes, where a negative count goes to the right. */
export function makeShift(base: string, bits: number, v: VectorLanes): VectorOp | undefined {
  const n = 128 / bits, shift = shiftOf(bits), { q } = v.arena, counts = v.signed[8];
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
      return fresh(makeImmediate)(v.signed[bits], n, shift, f);
    }
    case "vshriS":
    case "vshriU": {
      const signed = base === "vshriS";
      if (bits === 64) {
        const lanes = v.longs(signed);
        return (d, a, _b, _c, j) => {
          for (let i = 0; i < 2; i++) lanes[d + i] = lanes[a + i] >> BigInt(j);
          return true;
        };
      }
      const lanes = v.lanes(bits, signed);
      return signed
        ? fresh(makeImmediate)(lanes, n, shift, (x, j) => x >> (j > 31 ? 31 : j))
        : fresh(makeImmediate)(lanes, n, shift, (x, j) => j > 31 ? 0 : x >>> j);
    }
  }
  const found = /^vshl(Q?)(R?)(SU|S|U)$/.exec(base);
  if (!found) return undefined;
  const signed = found[3] !== "U", round = found[2] !== "";
  if (found[1] === "" && !round && bits < 64) {
    const lanes = v.lanes(bits, signed), bytes = bits / 8;
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
      let x = v.big(bits, signed, (a << shift) + i);
      if (count >= 0) x <<= BigInt(count);
      else x = x + (round ? 1n << BigInt(-count - 1) : 0n) >> BigInt(-count);
      if (low !== undefined) {
        const clamped = x < low ? low : x > high ? high : x;
        if (clamped !== x) out = Fp.SATURATION;
        x = clamped;
      }
      v.setBig(bits, (d << shift) + i, x);
    }
    if ((out & j) !== 0) v.saturated();
    return true;
  };
}
