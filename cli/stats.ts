/**
 * Text of `--stats`.
 *
 * @module
 */
import type { RunStats } from "../machine/stats.ts";

/** Lines for people; the first goes on with `more`. */
export function statsLines(stats: RunStats, more: string): string[] {
  const tiers = Object.entries(stats.tiers).map(([name, share]) =>
    `${name} ${(share * 100).toFixed(1)}%`
  );
  const compiled = Object.entries(stats.compiled).map(([name, tier]) => {
    const exits = Object.entries(tier.exits).map(([reason, count]) => `${reason} ${count}`);
    return `${name}: ${tier.regions} regions compiled, ${tier.evicted} evicted, ` +
      `${tier.bytes} bytes, ${tier.kept} kept, ${tier.milliseconds.toFixed(1)} ms; ` +
      `exits: ${exits.join(", ") || "none"}`;
  });
  return [
    `${stats.instructions} instructions in ${stats.seconds.toFixed(3)} s, ` +
    `${stats.mips.toFixed(1)} MIPS; tiers: ${tiers.join(", ")}; blocks: ${stats.blocks}${more}`,
    ...compiled,
  ];
}
