/**
 * Ops that bring lanes into another order.
 *
 * @module
 */
import { shiftOf, type VectorLanes, type VectorOp } from "./lanes.ts";

/** Ops that bring lanes of two vectors into another order. */
export function makePermutation(
  base: string,
  bits: number,
  v: VectorLanes,
): VectorOp | undefined {
  const n = 128 / bits, shift = shiftOf(bits);
  const from = v.signed[bits], to = v.tmpSigned[bits] as Int32Array;
  const { q } = v.arena, longs = v.tmpSigned[64] as BigInt64Array;
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
    return v.put(d);
  };
}
