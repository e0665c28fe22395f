/**
 * Where a function of system mode keeps the page that an access had last: in loops, whose accesses mostly stay in a page
 * for a while. It spares the TLB, whose answer the access would have to wait for.
 *
 * What is kept holds as long as translations do: a loop counts if nothing is called in it. It is forgotten where the
 * loop begins.
 *
 * @module
 */
import { Ending, type Region, type RegionBlock } from "../engine/region/region.ts";
import { isBackEdge } from "../engine/region/liveness.ts";
import { Effect, OPS, WORDS } from "../ir/ops.ts";

/** Most accesses of one function that have a page of their own. */
const MAX_SITES = 32;

/** Whether nothing changes translations from the block's start to its end. */
function isQuiet({ ir: { code }, ending, terminator }: RegionBlock): boolean {
  if (ending === Ending.CALL || ending === Ending.CALL_INDIRECT || ending === Ending.BACKDOOR) {
    return false;
  }
  for (let at = 0; at < terminator; at += WORDS) {
    if (OPS[code[at]].effect === Effect.SYSTEM) return false;
  }
  return true;
}

/** For each block, the start of the largest loop around it in which nothing is called, if there is one. */
export function findQuietLoops({ blocks }: Region): Map<RegionBlock, RegionBlock> {
  const predecessors = new Map<RegionBlock, RegionBlock[]>();
  for (const block of blocks) {
    for (const to of block.successors) {
      if (!to) continue;
      const list = predecessors.get(to);
      if (list) list.push(block);
      else predecessors.set(to, [block]);
    }
  }
  const found = new Map<RegionBlock, RegionBlock>();
  // Outer loops come first.
  for (const start of blocks) {
    if (!start.loop || found.has(start)) continue;
    const body = new Set([start]);
    const queue = predecessors.get(start)!.filter((from) => isBackEdge(from, start));
    for (const block of queue) {
      if (body.has(block)) continue;
      body.add(block);
      queue.push(...predecessors.get(block) ?? []);
    }
    if (![...body].every(isQuiet)) continue;
    for (const block of body) if (!found.has(block)) found.set(block, start);
  }
  return found;
}

/** Locals of one access: the page that it had last, `NO_PAGE` for none, and what to add for the offset in guest memory. */
export interface PageSite {
  readonly tag: number;
  readonly addend: number;
}

/** The accesses that keep their page, by block and word index of the record, and by the loop's start. */
export class PageCache {
  readonly #sites = new Map<RegionBlock, Map<number, PageSite>>();
  readonly #byLoop = new Map<RegionBlock, PageSite[]>();

  /**
   * Chooses them.
   *
   * @param checks Word indices of the records in a block that ask for a page.
   * @param make Declares the locals of one.
   */
  constructor(
    region: Region,
    checks: (block: RegionBlock) => Iterable<number>,
    make: () => PageSite,
  ) {
    let count = 0;
    for (const [block, loop] of findQuietLoops(region)) {
      for (const at of checks(block)) {
        if (count++ === MAX_SITES) return;
        const site = make();
        if (!this.#sites.has(block)) this.#sites.set(block, new Map());
        this.#sites.get(block)!.set(at, site);
        if (!this.#byLoop.has(loop)) this.#byLoop.set(loop, []);
        this.#byLoop.get(loop)!.push(site);
      }
    }
  }

  /** The locals of an access, if it keeps its page. */
  site(block: RegionBlock, at: number): PageSite | undefined {
    return this.#sites.get(block)?.get(at);
  }

  /** What is to be forgotten before a loop is entered. */
  inLoop(start: RegionBlock): readonly PageSite[] {
    return this.#byLoop.get(start) ?? [];
  }
}
