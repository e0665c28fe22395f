/**
 * Figures that every kind of machine has.
 *
 * @module
 */
import type { TierStats } from "../cpu/engine/tier.ts";

/** Figures of a run; keys as `--stats=json` prints them. */
export interface RunStats {
  /** Guest instructions executed, by all harts. */
  instructions: number;
  /** Seconds of host time in `run`: of a program those that it slept excluded, of a whole machine included. */
  seconds: number;
  /** Millions of guest instructions a second. */
  mips: number;
  /** Share of instructions executed by each tier, 0 to 1; of a whole machine since its last restart. */
  tiers: Record<string, number>;
  /** Blocks of translated code, those of an earlier run included (see `UserMachineOptions.cache`). */
  blocks: number;
  /** What each compiling tier made, by its name. */
  compiled: Record<string, TierStats>;
}
