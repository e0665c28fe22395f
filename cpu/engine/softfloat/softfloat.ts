/**
 * Exact floating point for guests: binary32 and binary64 with five rounding modes, five accrued
 * exception flags, canonical NaNs and NaN boxing.
 *
 * Results and flags are those of the RISC-V unprivileged ISA, "F" and "D" chapters (IEEE 754-2019 with
 * tininess detected after rounding); nothing else in here knows about an ISA.
 *
 * @module
 */
import type { Arena } from "../../../mmu/arena.ts";
import { Slot } from "../../ir/encoding.ts";
import { LaneUnit } from "./lanes.ts";

export type { FloatViews } from "./core.ts";
export {
  DYN,
  FLAG_DZ,
  FLAG_NV,
  FLAG_NX,
  FLAG_OF,
  FLAG_UF,
  RDN,
  RMM,
  RNE,
  RTZ,
  RUP,
} from "./core.ts";

/**
 * A floating-point unit over a file of 8-byte slots. Nothing is allocated after construction.
 *
 * Operands and results are bit patterns in slots; a destination may be one of the operands. A rounding
 * mode is 0 to 4 (RNE, RTZ, RDN, RUP, RMM) or 7, the mode in the rounding-mode slot; with any other, also from
 * that slot, a method writes nothing and returns 1. Otherwise methods return 0, having ORed the new flags
 * (NX 1, UF 2, OF 4, DZ 8, NV 16) into the low word of the flags slot and kept the fast slot's low
 * word current: 1 when the mode is RNE and NX is set, so that host arithmetic may be used.
 *
 * @example
 * ```ts
 * import { SoftFloat } from "./softfloat.ts";
 * const buffer = new ArrayBuffer(8 * 8);
 * const r = new Int32Array(buffer), q = new BigInt64Array(buffer), f = new Float64Array(buffer);
 * const unit = new SoftFloat({ r, q, f }, 5, 6, 7); // flags, fast and rounding mode in slots 5, 6, 7
 * f[0] = 1;
 * f[1] = 3;
 * unit.div64(2, 0, 1, 3); // round up
 * console.log(f[2], r[10]); // 0.33333333333333337 1 (NX)
 * ```
 */
export class SoftFloat extends LaneUnit {}

/** The unit that works on the slots of a CPU in an arena. */
export function makeSoftFloat({ r, q, f }: Pick<Arena, "r" | "q" | "f">): SoftFloat {
  return new SoftFloat(
    { r, q, f },
    Slot.FP_FLAGS,
    Slot.FP_FAST,
    Slot.FP_RM,
    Slot.FP_STYLE,
    Slot.FP_SCRATCH + 4,
  );
}
