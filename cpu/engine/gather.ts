/**
 * Gathers the blocks of a region, and copies of small functions that it calls.
 *
 * @module
 */
import { JumpHint } from "../ir/ops.ts";
import { describe, Ending, type Lift, type RegionBlock } from "./region.ts";

/** Most guest instructions in a region; what does not fit is left to other regions. */
export const MAX_REGION_INSNS = 2000;
/** Most guest instructions of a function that is copied to where it is called, and of all copies in a region. */
const MAX_COPY_INSNS = 60, MAX_COPIED_INSNS = 300;
/** How often a function may be in a chain of copies. */
const MAX_RECURSION = 3;

/** A function in a region: the one at its entry, or a copy of one that is called. */
interface Copy {
  readonly part: number;
  readonly pc: number;
  /** Where it returns to, and in which function, for a copy. */
  readonly back: number;
  readonly caller: Copy | undefined;
  /** Its blocks by address. */
  readonly blocks: Map<number, RegionBlock>;
}

/** How often a function is in a chain of copies already. */
function timesIn(pc: number, copy: Copy | undefined): number {
  let times = 0;
  for (; copy; copy = copy.caller) if (copy.pc === pc) times++;
  return times;
}

/**
 * Guest instructions of a function that is worth copying to where it is called; infinitely many for others: those that
 * are long, don't return, or have a loop without a call, which outweighs the call of the function and wants the
 * registers for itself.
 */
function sizeOf(pc: number, lift: Lift): number {
  const seen = new Set([pc]), calls: number[] = [], loops: { from: number; to: number }[] = [];
  let count = 0, returns = false;
  for (const at of seen) {
    const ir = lift(at);
    if (!ir) return Infinity;
    count += ir.count;
    if (count > MAX_COPY_INSNS) return Infinity;
    const { ending, targets, terminator } = describe(ir, 0);
    for (const target of targets) {
      seen.add(target);
      if (target <= at) loops.push({ from: target, to: at });
    }
    if (ending === Ending.CALL || ending === Ending.CALL_INDIRECT) calls.push(at);
    if (ending !== Ending.INDIRECT) continue;
    if (ir.code[terminator + 3] !== JumpHint.RETURN) return Infinity;
    returns = true;
  }
  const tight = loops.some(({ from, to }) => !calls.some((at) => at >= from && at <= to));
  return returns && !tight ? count : Infinity;
}

/**
 * Collects the blocks reachable from `pc`, breadth first, until the region is full.
 *
 * @param copies Whether a small function that is called may be copied in.
 * @returns The entry.
 */
export function gather(pc: number, lift: Lift, copies: (callee: number) => boolean) {
  const root: Copy = { part: 0, pc, back: 0, caller: undefined, blocks: new Map() };
  const functions = [root];
  /** Where the targets of blocks are that go from one function to another. */
  const leads = new Map<RegionBlock, Copy>();
  const queue: { at: number; copy: Copy }[] = [{ at: pc, copy: root }];
  let count = 0, copied = 0;
  for (const { at, copy } of queue) {
    if (copy.blocks.has(at) || count >= MAX_REGION_INSNS) continue;
    const ir = lift(at);
    // Where nothing can be fetched is left to the run loop.
    if (!ir) continue;
    count += ir.count;
    let block = describe(ir, copy.part) as RegionBlock, to = copy;
    if (
      block.ending === Ending.CALL && timesIn(block.callee, copy) < MAX_RECURSION &&
      copies(block.callee)
    ) {
      const size = sizeOf(block.callee, lift);
      if (copied + size <= MAX_COPIED_INSNS) {
        copied += size;
        to = {
          part: functions.length,
          pc: block.callee,
          back: block.targets[0],
          caller: copy,
          blocks: new Map(),
        };
        functions.push(to);
        block = { ...block, ending: Ending.JUMP, targets: [block.callee] };
      }
    } else if (
      block.ending === Ending.INDIRECT && copy.caller &&
      ir.code[block.terminator + 3] === JumpHint.RETURN
    ) {
      to = copy.caller;
      block = { ...block, ending: Ending.RETURN, targets: [copy.back] };
    }
    if (to !== copy) leads.set(block, to);
    copy.blocks.set(at, block);
    for (const target of block.targets) queue.push({ at: target, copy: to });
  }
  for (const { blocks } of functions) {
    split(blocks, lift);
  }
  for (const { blocks } of functions) {
    for (const block of blocks.values()) {
      const to = leads.get(block)?.blocks ?? blocks;
      block.successors = block.targets.map((target) => to.get(target));
    }
  }
  return root.blocks.get(pc);
}

/** Ends blocks where another begins: code that is there twice would make two entries of one loop. */
function split(found: Map<number, RegionBlock>, lift: Lift): void {
  for (const [pc, { ir, part }] of found) {
    const inner = ir.pcs.findIndex((at, i) => i > 0 && found.has(at));
    if (inner >= 0) found.set(pc, describe(lift(pc, inner)!, part) as RegionBlock);
  }
}
