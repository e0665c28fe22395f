/**
 * What is compiled at once: a hot region, and those of the functions that it calls.
 *
 * @module
 */
import { Ending, formRegion, type Lift, type Region } from "./region.ts";

/** Most guest instructions compiled at once, besides a region that is larger by itself. */
const MAX_BATCH_INSNS = 1000;

/**
 * The region at `pc`, and those of the functions it calls, directly or not; none if it has less than two instructions.
 *
 * @param wanted Whether a called function is to be compiled: it was executed, and isn't compiled.
 * @param key The key of a region; its address if absent.
 */
export function collectRegions(
  pc: number,
  lift: Lift,
  wanted: (pc: number) => boolean,
  key: (pc: number) => number = (pc) => pc,
): Region[] {
  const regions: Region[] = [], seen = new Set<number>();
  const queue = [pc];
  let count = 0;
  for (const at of queue) {
    if (seen.has(at)) continue;
    seen.add(at);
    if (at !== pc && !wanted(at)) continue;
    const region = formRegion(at, lift, key(at));
    if (!region) continue;
    if (region.count < 2) {
      if (at === pc) return regions;
      continue;
    }
    count += region.count;
    if (regions.length > 0 && count > MAX_BATCH_INSNS) break;
    regions.push(region);
    for (const block of region.blocks) if (block.ending === Ending.CALL) queue.push(block.callee);
  }
  return regions;
}
