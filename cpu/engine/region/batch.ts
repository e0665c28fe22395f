/**
 * What is compiled at once: a hot region, and those of the functions that it calls.
 *
 * @module
 */
import { formRegion } from "./form_region.ts";
import { Ending, type Lift, type Region, type RegionOptions } from "./region.ts";

/** Most guest instructions compiled at once, besides a region that is larger by itself. */
const MAX_BATCH_INSNS = 1000;

/**
 * The region at `pc`, and those of the functions it calls, directly or not; none if it has less than two instructions.
 *
 * @param wanted Whether a called function is to be compiled: it was executed, and isn't compiled.
 * @param options How each is formed.
 */
export function collectRegions(
  pc: number,
  lift: Lift,
  wanted: (pc: number) => boolean,
  options: (pc: number) => RegionOptions = () => ({}),
): Region[] {
  const regions: Region[] = [], seen = new Set<number>();
  // Blocks are asked for again and again: for the size of a function, for its copies, for other regions.
  const lifted = new Map<number, ReturnType<Lift>>();
  const liftOnce: Lift = (at, limit) => {
    if (limit !== undefined) return lift(at, limit);
    if (!lifted.has(at)) lifted.set(at, lift(at));
    return lifted.get(at);
  };
  const queue = [pc];
  let count = 0;
  for (const at of queue) {
    if (seen.has(at)) continue;
    seen.add(at);
    if (at !== pc && !wanted(at)) continue;
    const region = formRegion(at, liftOnce, options(at));
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
