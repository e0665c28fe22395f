/**
 * Ops on vectors of floating-point lanes: host arithmetic where only values can be seen, else softfloat lane by lane.
 *
 * @module
 */
import type { Arena } from "../../../mmu/arena.ts";
import { Fp, Slot } from "../../ir/ops.ts";
import { fresh } from "../region/fresh.ts";
import type { SoftFloat } from "../softfloat/softfloat.ts";
import type { VectorOp } from "./lanes.ts";

/** Slots for one lane: the result and up to three operands. */
const T = Slot.FP_SCRATCH, X = T + 1, Y = T + 2, Z = T + 3;

/** Executes one lane, on those slots; not 0 means an invalid rounding mode. */
type LaneOp = (j: number) => number;

/**
 * Makes the fast loop of an operation on the whole vector: true if it did all. `smallest` is the limit below which
 * results may have underflowed, -1 if they can't.
 */
function makeFast(
  lanes: Float32Array | Float64Array,
  n: number,
  shift: number,
  single: boolean,
  smallest: number,
  words: Int32Array,
  fastWord: number,
  f: (x: number, y: number) => number,
) {
  const tmp = new Float64Array(4);
  return (d: number, a: number, b: number): boolean => {
    if (words[fastWord] === 0) return false;
    d <<= shift;
    a <<= shift;
    b <<= shift;
    for (let i = 0; i < n; i++) {
      let x = f(lanes[a + i], lanes[b + i]);
      if (single) x = Math.fround(x);
      const size = Math.abs(x);
      if (!(size < Infinity && size > smallest)) return false;
      tmp[i] = x;
    }
    for (let i = 0; i < n; i++) lanes[d + i] = tmp[i];
    return true;
  };
}

/** The op `base` on lanes of `bits`; undefined if there is none of that name. */
export function makeFloatOp(
  base: string,
  bits: number,
  arena: Arena,
  fp: SoftFloat,
): VectorOp | undefined {
  const { r, s, f } = arena;
  const wide = bits === 64;
  /** From and to lanes of what width. */
  let from = bits, to = bits;
  let lane: LaneOp;
  const rm = (j: number) => j & Fp.RM;
  switch (base) {
    case "vfadd":
      lane = (j) => wide ? fp.add64(T, X, Y, rm(j)) : fp.add32(T, X, Y, rm(j), 0);
      break;
    case "vfsub":
      lane = (j) => wide ? fp.sub64(T, X, Y, rm(j)) : fp.sub32(T, X, Y, rm(j), 0);
      break;
    case "vfmul":
      lane = (j) => wide ? fp.mul64(T, X, Y, rm(j)) : fp.mul32(T, X, Y, rm(j), 0);
      break;
    case "vfdiv":
      lane = (j) => wide ? fp.div64(T, X, Y, rm(j)) : fp.div32(T, X, Y, rm(j), 0);
      break;
    case "vfma":
      lane = (j) => {
        const product = j >>> 4 & 1, addend = j >>> 5 & 1;
        return wide
          ? fp.fma64(T, X, Y, Z, rm(j), product, addend)
          : fp.fma32(T, X, Y, Z, rm(j), product, addend, 0);
      };
      break;
    case "vfsqrt":
      lane = (j) => wide ? fp.sqrt64(T, X, rm(j)) : fp.sqrt32(T, X, rm(j), 0);
      break;
    case "vfmin":
    case "vfmax":
    case "vfminn":
    case "vfmaxn": {
      const larger = base.startsWith("vfmax"), number = base.endsWith("n") && base.length === 6;
      lane = () => fp.choose(T, X, Y, wide, larger, number);
      break;
    }
    case "vfmulx":
      lane = (j) => fp.mulExtended(T, X, Y, wide, rm(j));
      break;
    case "vfeq":
    case "vfgt":
    case "vfge": {
      const kind = base === "vfeq" ? 0 : base === "vfgt" ? 1 : 2;
      lane = () => fp.compareMask(T, X, Y, wide, kind);
      break;
    }
    case "vfint":
      lane = (j) => fp.roundIntegral(T, X, wide, rm(j), (j & Fp.EXACT) !== 0);
      break;
    case "vfrecip":
      lane = () => fp.reciprocal(T, X, wide);
      break;
    case "vfrsqrt":
      lane = () => fp.reciprocalRoot(T, X, wide);
      break;
    case "vfrecipStep":
      lane = (j) => fp.step(T, X, Y, wide, rm(j), false);
      break;
    case "vfrsqrtStep":
      lane = (j) => fp.step(T, X, Y, wide, rm(j), true);
      break;
    case "vfrecipX":
      lane = () => fp.reciprocalExponent(T, X, wide);
      break;
    case "vfcvtS":
    case "vfcvtU":
      lane = (j) => fp.toFixed(T, X, wide, base === "vfcvtS", j >> 16, rm(j));
      break;
    case "vcvtfS":
    case "vcvtfU":
      lane = (j) => fp.fromFixed(T, X, wide, base === "vcvtfS", j >> 16, rm(j));
      break;
    case "vfwiden":
      to = 2 * bits;
      lane = (j) => bits === 16 ? fp.f32FromF16(T, X) : fp.f64FromF32(T, X, rm(j), 0);
      break;
    case "vfnarrow":
      from = 2 * bits;
      lane = (j) =>
        bits === 16
          ? fp.f16FromF32(T, X, rm(j))
          : j & Fp.ODD
          ? fp.f32FromF64Odd(T, X)
          : fp.f32FromF64(T, X, rm(j), 0);
      break;
    default:
      return undefined;
  }

  const halves = new Uint16Array(r.buffer, r.byteOffset, r.length * 2);
  const out = new Int32Array(4), outHalves = new Uint16Array(out.buffer);
  const most = Math.max(from, to);
  const load = (t: number, slot: number, i: number) => {
    if (from === 64) {
      r[2 * t] = r[2 * (slot + i)];
      r[2 * t + 1] = r[2 * (slot + i) + 1];
    } else {
      r[2 * t] = from === 32 ? r[2 * slot + i] : halves[4 * slot + i];
      r[2 * t + 1] = 0;
    }
  };
  const store = (i: number) => {
    if (to === 64) {
      out[2 * i] = r[2 * T];
      out[2 * i + 1] = r[2 * T + 1];
    } else if (to === 32) out[i] = r[2 * T];
    else outHalves[i] = r[2 * T];
  };
  const slow: VectorOp = (d, a, b, c, j) => {
    const all = 128 / most;
    const n = j & Fp.FIRST ? 1 : j & Fp.LOW ? all / 2 : all;
    out.fill(0);
    for (let i = 0; i < n; i++) {
      load(X, a, i);
      load(Y, b, i);
      load(Z, c, i);
      if (lane(j) !== 0) return false;
      store(i);
    }
    r.set(out, 2 * d);
    return true;
  };

  const quick = FAST[base];
  if (!quick) return slow;
  const [smallest, op] = quick;
  const fast = fresh(makeFast)(
    wide ? f : s,
    128 / bits,
    wide ? 0 : 1,
    !wide,
    smallest === 0 ? -1 : wide ? 2 ** -1022 : 2 ** -126,
    r,
    2 * Slot.FP_FAST,
    op,
  );
  // The rounding mode of these is to nearest whenever the fast word is set.
  const skip = Fp.LOW | Fp.FIRST;
  return (d, a, b, c, j) =>
    ((j & skip) === 0 && (rm(j) === 0 || rm(j) === 7) && fast(d, a, b)) || slow(d, a, b, c, j);
}

/** The scalar op `base` on numbers of `bits`; undefined if there is none of that name. */
export function makeScalarFloatOp(
  base: string,
  bits: number,
  fp: SoftFloat,
): VectorOp | undefined {
  const wide = bits === 64;
  const choose = (larger: boolean, number: boolean): VectorOp => (d, a, b) =>
    fp.choose(d, a, b, wide, larger, number) === 0;
  switch (base) {
    case "fcmp":
      return (d, a, b, _c, j) => fp.compareFlags(d, a, b, wide, (j & Fp.SIGNALING) !== 0) === 0;
    case "frint":
      return (d, a, _b, _c, j) =>
        fp.roundIntegral(d, a, wide, j & Fp.RM, (j & Fp.EXACT) !== 0) === 0;
    case "fminimum":
      return choose(false, false);
    case "fmaximum":
      return choose(true, false);
    case "fminnum":
      return choose(false, true);
    case "fmaxnum":
      return choose(true, true);
    case "cvtF16F":
      return (d, a, _b, _c, j) =>
        (wide ? fp.f16FromF64(d, a, j & Fp.RM) : fp.f16FromF32(d, a, j & Fp.RM)) === 0;
    case "cvtF32F":
      return (d, a) => fp.f32FromF16(d, a) === 0;
    case "cvtF64F":
      return (d, a) => fp.f64FromF16(d, a) === 0;
  }
  const [, un, sign, width] = /^(un)?fix([SU])(32|64)F$/.exec(base) ?? [];
  if (sign === undefined) return undefined;
  const long = width === "64", signed = sign === "S";
  if (un) {
    return (d, a, _b, _c, j) => fp.fromFixed(d, a, wide, signed, j >> 16, j & Fp.RM, long) === 0;
  }
  return (d, a, _b, _c, j) => fp.toFixed(d, a, wide, signed, j >> 16, j & Fp.RM, long) === 0;
}

/** Operations with a fast loop: whether results may underflow, and the host's operation. */
const FAST: Readonly<Record<string, [underflows: number, f: (x: number, y: number) => number]>> = {
  vfadd: [0, (x, y) => x + y],
  vfsub: [0, (x, y) => x - y],
  vfmul: [1, (x, y) => x * y],
  vfdiv: [1, (x, y) => x / y],
};
