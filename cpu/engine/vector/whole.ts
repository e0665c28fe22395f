/**
 * Ops on vectors as a whole: memory, bits, bytes in another order, ciphers and hashes.
 *
 * @module
 */
import { fresh } from "../region/fresh.ts";
import * as hash from "./hash.ts";
import { makeBinaryLong, makeUnaryLong, type VectorLanes, type VectorOp } from "./lanes.ts";
import type { VectorMemory } from "./memory.ts";

/** Ops without lanes of one width. */
export function makeWhole(
  name: string,
  v: VectorLanes,
  memory: VectorMemory,
): VectorOp | undefined {
  const { u, q, r } = v.arena,
    bytes = v.unsigned[8],
    tmp = v.tmpSigned[8] as Int8Array;
  const out = v.tmpSigned[32] as Int32Array;
  const words = [0, 1, 2].map(() => new Int32Array(4));
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
      return (d, a, _b, c, j) => memory.load(d, a, c, j);
    case "stV":
      return (_d, a, b, c, j) => memory.store(a, b, c, j);
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
        return v.put(d);
      };
    case "vshuf":
      return (d, a, _b, c, j) => {
        for (let i = 0; i < 8; i++) {
          tmp[i] = bytes[8 * a + (c >>> 4 * i & 15)];
          tmp[i + 8] = bytes[8 * a + (j >>> 4 * i & 15)];
        }
        return v.put(d);
      };
    case "vtable":
      return (d, a, b) => {
        for (let i = 0; i < 16; i++) {
          const index = bytes[8 * b + i];
          tmp[i] = index < 16 ? bytes[8 * a + index] : 0;
        }
        return v.put(d);
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
        return v.put(d);
      };
    case "vaesMix":
    case "vaesUnmix":
      return (d, a) => {
        hash.aesMix(new Uint8Array(tmp.buffer), vector(a), name === "vaesUnmix");
        return v.put(d);
      };
    case "vsha1":
      return (d, a, b, c, j) => {
        const [x, y, w] = load(a, b, c);
        hash.sha1(out, x, y[0], w, j);
        return v.put(d);
      };
    case "vsha1su0":
      return (d, a, b, c) => {
        const [x, y, z] = load(a, b, c);
        hash.sha1su0(out, x, y, z);
        return v.put(d);
      };
    case "vsha1su1":
      return (d, a, b) => {
        const [x, y] = load(a, b);
        hash.sha1su1(out, x, y);
        return v.put(d);
      };
    case "vsha256":
      return (d, a, b, c, j) => {
        const [x, y, w] = load(a, b, c);
        if (j === 0) hash.sha256(out, x, y, w, true);
        else hash.sha256(out, y, x, w, false);
        return v.put(d);
      };
    case "vsha256su0":
      return (d, a, b) => {
        const [x, y] = load(a, b);
        hash.sha256su0(out, x, y);
        return v.put(d);
      };
    case "vsha256su1":
      return (d, a, b, c) => {
        const [x, y, z] = load(a, b, c);
        hash.sha256su1(out, x, y, z);
        return v.put(d);
      };
    case "vrecipU32":
      return v.unary(
        32,
        false,
        (x) => x < 2 ** 31 ? -1 : hash.recipEstimate(x >>> 23) * 2 ** 23,
      );
    case "vrsqrtU32":
      return v.unary(
        32,
        false,
        (x) => x < 2 ** 30 ? -1 : hash.rsqrtEstimate(x >>> 23) * 2 ** 23,
      );
  }
  return undefined;
}
