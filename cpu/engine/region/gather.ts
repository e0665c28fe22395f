/**
 * Gathers the blocks of a region: what direct branches lead to, copies of small functions that it calls, and known targets
 * of its indirect jumps.
 *
 * @module
 */
import { JumpHint } from "../../ir/ops.ts";
import {
  COMPUTED_TARGET,
  describe,
  Ending,
  joint,
  type Lift,
  type RegionBlock,
  type RegionOptions,
} from "./region.ts";

/** Most guest instructions in a region; what does not fit is left to other regions. */
export const MAX_REGION_INSNS = 2000;
/** Most guest instructions of a function that is copied to where it is called, and of all copies in a region. */
const MAX_COPY_INSNS = 60, MAX_COPIED_INSNS = 300;
/** Bytes before and behind an indirect jump in which its targets are looked for: the switch over them is a table. */
const JUMP_RANGE = 0x4000;
/** Most targets of indirect jumps in a region. */
const MAX_JUMPS = 256;
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

const hintOf = ({ ir, terminator }: RegionBlock) => ir.code[terminator + 3];
/** Whether a block ends by an indirect jump that is neither a call nor a return: that of a jump table, for instance. */
const isComputed = (block: RegionBlock) =>
  block.ending === Ending.INDIRECT && hintOf(block) === JumpHint.NONE;

/** Collects the blocks of a region, breadth first, until it is full, and returns the one at its entry. */
export function gather(pc: number, lift: Lift, options: RegionOptions): RegionBlock | undefined {
  const { copies = () => false, jumps } = options;
  const root: Copy = { part: 0, pc, back: 0, caller: undefined, blocks: new Map() };
  const functions = [root];
  /** Where the targets of blocks are that go from one function to another. */
  const leads = new Map<RegionBlock, Copy>();
  const queue: { at: number; copy: Copy }[] = [];
  let count = 0, copied = 0, done = 0;
  const visit = (at: number, copy: Copy) => {
    if (copy.blocks.has(at) || count >= MAX_REGION_INSNS) return;
    const ir = lift(at);
    // Where nothing can be fetched is left to the run loop.
    if (!ir) return;
    count += ir.count;
    let block = describe(ir, copy.part) as RegionBlock, to = copy;
    if (
      block.ending === Ending.CALL && timesIn(block.callee, copy) < MAX_RECURSION &&
      copies(block.callee)
    ) {
      const size = sizeOf(block.callee, lift);
      if (copied + size <= MAX_COPIED_INSNS) {
        copied += size;
        const part = functions.length, { callee, targets: [back] } = block;
        to = { part, pc: callee, back, caller: copy, blocks: new Map() };
        functions.push(to);
        block = { ...block, ending: Ending.JUMP, targets: [callee] };
      }
    } else if (
      block.ending === Ending.INDIRECT && copy.caller && hintOf(block) === JumpHint.RETURN
    ) {
      to = copy.caller;
      block = { ...block, ending: Ending.RETURN, targets: [copy.back] };
    }
    if (to !== copy) leads.set(block, to);
    copy.blocks.set(at, block);
    for (const target of block.targets) queue.push({ at: target, copy: to });
  };
  const follow = (targets: readonly number[]) => {
    queue.push(...targets.map((at) => ({ at, copy: root })));
    for (; done < queue.length; done++) visit(queue[done].at, queue[done].copy);
  };
  follow([pc]);
  const known = jumps ? knownTargets([...root.blocks.values()], jumps) : [];
  follow(known);
  for (const { blocks } of functions) split(blocks, lift);
  for (const { blocks } of functions) {
    for (const block of blocks.values()) {
      const to = leads.get(block)?.blocks ?? blocks;
      block.successors = block.targets.map((target) => to.get(target));
    }
  }
  if (known.length > 0) {
    addSwitch(root.blocks, functions.flatMap(({ blocks }) => [...blocks.values()]), known);
  }
  return root.blocks.get(pc);
}

/** Where the indirect jumps of a function may go, as far as is known: all near the first of them. */
function knownTargets(
  blocks: readonly RegionBlock[],
  jumps: NonNullable<RegionOptions["jumps"]>,
): number[] {
  const jump = blocks.find(isComputed);
  if (!jump) return [];
  const known = [...new Set(jumps(jump.ir.pc - JUMP_RANGE, jump.ir.pc + JUMP_RANGE))];
  return known.length > MAX_JUMPS ? [] : known.sort((a, b) => a - b);
}

/** Leads the indirect jumps of a function to those known targets from which there is a way back to one. */
function addSwitch(
  blocks: ReadonlyMap<number, RegionBlock>,
  all: readonly RegionBlock[],
  known: readonly number[],
): void {
  const computed = [...blocks.values()].filter(isComputed);
  const before = new Map<RegionBlock, RegionBlock[]>();
  const returns = new Set<number>();
  for (const block of all) {
    for (const to of block.successors) {
      const list = to && before.get(to);
      if (list) list.push(block);
      else if (to) before.set(to, [block]);
    }
    const calls = block.ending === Ending.CALL || block.ending === Ending.CALL_INDIRECT;
    if (calls) returns.add(block.targets[0]);
  }
  const leading = new Set(computed);
  for (const block of leading) for (const from of before.get(block) ?? []) leading.add(from);
  const targets = known.filter((pc) => leading.has(blocks.get(pc)!) && !returns.has(pc));
  if (targets.length === 0) return;
  const meeting = joint(Ending.SWITCH, targets, targets.map((pc) => blocks.get(pc)), computed[0]);
  for (const block of computed) {
    Object.assign(block, {
      ending: Ending.COMPUTED,
      targets: [COMPUTED_TARGET],
      successors: [meeting],
    });
  }
}

/** Ends blocks where another begins: code that is there twice would make two entries of one loop. */
function split(found: Map<number, RegionBlock>, lift: Lift): void {
  for (const [pc, { ir, part }] of found) {
    const inner = ir.pcs.findIndex((at, i) => i > 0 && found.has(at));
    if (inner >= 0) found.set(pc, describe(lift(pc, inner)!, part) as RegionBlock);
  }
}
