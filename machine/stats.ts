/**
 * Figures that every kind of machine has.
 *
 * @module
 */
import type { CompilingTier, TierStats } from "../cpu/engine/tier.ts";

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

/** What executed instructions, as a CPU of either mode counts it. */
export interface TieredCpu {
  /** The compiling tiers. */
  readonly tier: CompilingTier | undefined;
  readonly upperTier: CompilingTier | undefined;
  /** Instructions that they executed, and those of them that the second one did. */
  readonly tierInstructions: number;
  readonly upperInstructions: number;
}

/** Each tier's share of some instructions; see {@linkcode RunStats.tiers}. */
export function tierShares(cpu: TieredCpu, instructions: number): Record<string, number> {
  const { tier, upperTier, tierInstructions, upperInstructions } = cpu;
  if (!tier && !upperTier) return { interp: 1 };
  const share = (count: number) => instructions === 0 ? 0 : count / instructions;
  return {
    interp: 1 - share(tierInstructions),
    ...(tier ? { [tier.name]: share(tierInstructions - upperInstructions) } : {}),
    ...(upperTier ? { [upperTier.name]: share(upperInstructions) } : {}),
  };
}

/** What the compiling tiers made; see {@linkcode RunStats.compiled}. */
export function tierFigures({ tier, upperTier }: TieredCpu): Record<string, TierStats> {
  const tiers = [tier, upperTier].filter((each) => each !== undefined);
  return Object.fromEntries(tiers.map(({ name, stats }) => [name, structuredClone(stats)]));
}
