/**
 * Forms regions: the graph of their blocks, made reducible, its dominator tree, loops and merge points.
 *
 * Dominators and merge points follow Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001); turning
 * them into structured control flow follows Ramsey, "Beyond Relooper" (ICFP 2022).
 *
 * @module
 */
import { gather } from "./gather.ts";
import {
  dominates,
  Ending,
  isJoint,
  joint,
  type Lift,
  type Region,
  type RegionBlock,
  type RegionOptions,
} from "./region.ts";

/** Most blocks on a path of the dominator tree: compilers recurse along it, on a stack that is not theirs alone. */
export const MAX_REGION_DEPTH = 300;
/** Most dispatchers in a region: every one lengthens a loop. */
const MAX_DISPATCHERS = 16;

/** Reverse postorder by an explicit stack. */
function order(entry: RegionBlock): RegionBlock[] {
  const postorder: RegionBlock[] = [];
  const seen = new Set([entry]);
  const stack: { block: RegionBlock; next: number }[] = [{ block: entry, next: 0 }];
  while (stack.length > 0) {
    const top = stack[stack.length - 1];
    const successor = top.block.successors[top.next++];
    if (top.next > top.block.successors.length) {
      postorder.push(top.block);
      stack.pop();
    } else if (successor && !seen.has(successor)) {
      seen.add(successor);
      stack.push({ block: successor, next: 0 });
    }
  }
  return postorder.reverse();
}

function findDominators(
  blocks: RegionBlock[],
  predecessors: Map<RegionBlock, RegionBlock[]>,
): void {
  const [entry] = blocks;
  const known = new Set([entry]);
  entry.dominator = entry;
  for (let changed = true; changed;) {
    changed = false;
    for (const block of blocks) {
      if (block === entry) continue;
      let dominator: RegionBlock | undefined;
      for (let other of predecessors.get(block)!) {
        if (!known.has(other)) continue;
        if (dominator === undefined) {
          dominator = other;
          continue;
        }
        while (dominator !== other) {
          while (dominator.index > other.index) dominator = dominator.dominator;
          while (other.index > dominator.index) other = other.dominator;
        }
      }
      if (!known.has(block) || block.dominator !== dominator) {
        block.dominator = dominator!;
        known.add(block);
        changed = true;
      }
    }
  }
}

/** The loop with several entries that an edge from `from` goes back in, to `to`, which does not dominate it. */
function loopOf(from: RegionBlock, to: RegionBlock, blocks: readonly RegionBlock[]) {
  let around = from.dominator;
  while (!dominates(around, to)) around = around.dominator;
  // Both are in one cycle that the nearest block that dominates both is not part of.
  const inner = blocks.filter((block) => block !== around && dominates(around, block));
  const reach = (next: (block: RegionBlock) => readonly (RegionBlock | undefined)[]) => {
    const reached = new Set([to]);
    for (const block of reached) {
      for (const other of next(block)) if (other && inner.includes(other)) reached.add(other);
    }
    return reached;
  };
  const before = (block: RegionBlock) => inner.filter((other) => other.successors.includes(block));
  return reach((block) => block.successors).intersection(reach(before));
}

/**
 * Makes the entries of a loop one: all ways to them go through a new block, but for those from what they dominate.
 *
 * @param loop Blocks that are all in one cycle.
 * @param predecessors Of every block.
 */
function addDispatcher(
  loop: ReadonlySet<RegionBlock>,
  predecessors: ReadonlyMap<RegionBlock, readonly RegionBlock[]>,
): void {
  const targets: number[] = [], successors: RegionBlock[] = [];
  const entries = [...loop].filter((block) =>
    predecessors.get(block)!.some((other) => !loop.has(other))
  );
  const dispatcher = joint(Ending.DISPATCH, targets, successors, entries[0]);
  for (const entry of entries) {
    for (const from of new Set(predecessors.get(entry)!)) {
      if (dominates(entry, from)) continue;
      from.successors = from.successors.map((to, i) => {
        if (to !== entry) return to;
        const target = from.targets[i];
        if (!targets.includes(target)) {
          targets.push(target);
          successors.push(entry);
        }
        return dispatcher;
      });
    }
  }
}

/**
 * Forms the region with its entry at `pc`; undefined if nothing can be fetched there.
 *
 * Control flow in it is reducible: a loop with several entries gets a dispatcher for its only one. An edge to a block
 * too deep in the dominator tree leaves the region instead.
 */
export function formRegion(
  pc: number,
  lift: Lift,
  options: RegionOptions = {},
): Region | undefined {
  const entry = gather(pc, lift, options);
  if (!entry) return undefined;
  for (let dispatchers = 0;;) {
    const blocks = order(entry);
    const predecessors = new Map<RegionBlock, RegionBlock[]>();
    blocks.forEach((block, index) => {
      block.index = index;
      predecessors.set(block, []);
    });
    for (const block of blocks) {
      for (const successor of block.successors) {
        if (successor) predecessors.get(successor)!.push(block);
      }
    }
    findDominators(blocks, predecessors);
    const depths: number[] = [];
    for (const block of blocks) {
      depths.push(block === entry ? 0 : depths[block.dominator.index] + 1);
    }
    let changed = false;
    for (const block of blocks) {
      block.successors = block.successors.map((to) => {
        if (to === undefined || depths[to.index] <= MAX_REGION_DEPTH) return to;
        changed = true;
        return undefined;
      });
    }
    if (changed) continue;
    for (const block of blocks) {
      const middle = block.successors.find((to) =>
        to && to.index <= block.index && !dominates(to, block)
      );
      if (middle === undefined) continue;
      changed = true;
      if (dispatchers++ < MAX_DISPATCHERS) {
        addDispatcher(loopOf(block, middle, blocks), predecessors);
        break;
      }
      block.successors = block.successors.map((to) => to === middle ? undefined : to);
    }
    if (changed) continue;
    for (const block of blocks) {
      const incoming = predecessors.get(block)!;
      block.children = [];
      block.loop = incoming.some((other) => other.index >= block.index);
      block.merge = incoming.filter((other) => other.index < block.index).length > 1;
    }
    for (const block of blocks) if (block !== entry) block.dominator.children.push(block);
    const code = blocks.filter((block) => !isJoint(block)).map(({ ir }) => ir);
    const count = code.reduce((sum, ir) => sum + ir.count, 0);
    return { pc, key: options.key ?? pc, blocks, code, count };
  }
}
