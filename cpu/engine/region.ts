/**
 * Regions: blocks joined by direct branches, which a compiling tier turns into one function.
 *
 * A region has one entry. Calls (jumps that leave a return address) are not followed: the region goes on at the return
 * address. Dominators and merge points follow Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001);
 * turning them into structured control flow follows Ramsey, "Beyond Relooper" (ICFP 2022).
 *
 * @module
 */
import type { IrBlock } from "../ir/builder.ts";
import { JumpHint, Op, Trap, WORDS } from "../ir/ops.ts";

/** How a block of a region ends. */
export const Ending = {
  /** One successor. */
  JUMP: 0,
  /** Two successors: taken, then not taken. */
  BRANCH: 1,
  /** No guest code: goes to the successor that whoever came here asked for. */
  DISPATCH: 2,
  /** A direct call; the successor is the return address. */
  CALL: 3,
  /** An indirect call; the successor is the return address. */
  CALL_INDIRECT: 4,
  /** An indirect jump or return. */
  INDIRECT: 5,
  /** A backdoor instruction; the successor is the instruction behind it. */
  BACKDOOR: 6,
  /** Another trap: the run loop goes on. */
  TRAP: 7,
} as const;

/** A block in a region. */
export interface RegionBlock {
  /** The block. */
  readonly ir: IrBlock;
  /** Position in reverse postorder, from 0 for the entry. */
  index: number;
  /** Word index of the terminator in `ir.code`. */
  readonly terminator: number;
  /** One of {@linkcode Ending}. */
  readonly ending: number;
  /** Guest address of the called function, for CALL. */
  readonly callee: number;
  /** Guest addresses that it goes to. */
  readonly targets: readonly number[];
  /**
   * Where in the region the targets are, undefined for those that are not: control leaves to the guest address. A
   * dispatcher leads to the target on.
   */
  successors: (RegionBlock | undefined)[];
  /** Immediate dominator; the entry's is itself. */
  dominator: RegionBlock;
  /** Blocks that it dominates immediately, in reverse postorder. */
  children: RegionBlock[];
  /** Whether several forward edges meet here. */
  merge: boolean;
  /** Whether a back edge leads here. */
  loop: boolean;
}

/** A region, its blocks in reverse postorder. */
export interface Region {
  /** Guest address of the entry. */
  readonly pc: number;
  /** What a tier knows it by: the same, but in system mode, where an address may have several regions. */
  readonly key: number;
  readonly blocks: readonly RegionBlock[];
  /** The guest's code in it: all blocks but the dispatchers. */
  readonly code: readonly IrBlock[];
  /** Guest instructions in it. */
  readonly count: number;
}

/** Most guest instructions in a region; what does not fit is left to other regions. */
export const MAX_REGION_INSNS = 2000;
/** Most blocks on a path of the dominator tree: compilers recurse along it, on a stack that is not theirs alone. */
export const MAX_REGION_DEPTH = 300;
/** Most dispatchers in a region: every one lengthens a loop. */
const MAX_DISPATCHERS = 16;
const TWO32 = 0x1_0000_0000;

function linkPc(code: Int32Array, link: number): number {
  return code[link + 5] * TWO32 + (code[link + 4] >>> 0);
}

/** Reads how a block ends. */
function describe(ir: IrBlock): Omit<RegionBlock, "index" | "dominator"> {
  const code = ir.code;
  let at = code.length - WORDS;
  while (code[at] === Op.link) at -= WORDS;
  const op = code[at], next = ir.pc + ir.bytes;
  let ending: number = Ending.TRAP, callee = 0, targets: number[] = [];
  if (op === Op.jump) {
    const target = linkPc(code, code[at + 4]);
    if (code[at + 5] === JumpHint.CALL) {
      ending = Ending.CALL;
      callee = target;
      targets = [next];
    } else {
      ending = Ending.JUMP;
      targets = [target];
    }
  } else if (op === Op.jumpInd) {
    ending = code[at + 3] === JumpHint.CALL ? Ending.CALL_INDIRECT : Ending.INDIRECT;
    if (ending === Ending.CALL_INDIRECT) targets = [next];
  } else if (op >= Op.brEq && op <= Op.brGeu) {
    ending = Ending.BRANCH;
    targets = [linkPc(code, code[at + 4]), linkPc(code, code[at + 5])];
  } else if (op === Op.trap && code[at + 2] === Trap.BACKDOOR) {
    ending = Ending.BACKDOOR;
    targets = [next];
  }
  return {
    ir,
    terminator: at,
    ending,
    callee,
    targets,
    successors: [],
    children: [],
    merge: false,
    loop: false,
  };
}

/** Lifts the block at a guest address, of at most `limit` instructions if given; undefined if there is nothing. */
export type Lift = (pc: number, limit?: number) => IrBlock | undefined;

/** Collects the blocks reachable from `pc`, breadth first, until the region is full. */
function collect(pc: number, lift: Lift): Map<number, RegionBlock> {
  const found = new Map<number, RegionBlock>();
  const queue = [pc];
  let count = 0;
  for (const at of queue) {
    if (found.has(at) || count >= MAX_REGION_INSNS) continue;
    const ir = lift(at);
    // Where nothing can be fetched is left to the run loop.
    if (!ir) continue;
    count += ir.count;
    const block = describe(ir) as RegionBlock;
    block.index = -1;
    found.set(at, block);
    queue.push(...block.targets);
  }
  return found;
}

/** Ends blocks where another begins: code that is there twice would make two entries of one loop. */
function split(found: Map<number, RegionBlock>, lift: Lift): void {
  for (const [pc, { ir }] of found) {
    const inner = ir.pcs.findIndex((at, i) => i > 0 && found.has(at));
    if (inner < 0) continue;
    const block = describe(lift(pc, inner)!) as RegionBlock;
    block.index = -1;
    found.set(pc, block);
  }
}

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

/** Whether `a` dominates `b`. */
export function dominates(a: RegionBlock, b: RegionBlock): boolean {
  while (b.index > a.index) b = b.dominator;
  return a === b;
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
  const code = new Int32Array(WORDS);
  code[0] = Op.jump;
  const entries = [...loop].filter((block) =>
    predecessors.get(block)!.some((other) => !loop.has(other))
  );
  const { pc } = entries[0].ir;
  const dispatcher: RegionBlock = {
    ir: { pc, bytes: 0, count: 0, code, insns: new Uint8Array(1), pcs: [] },
    index: -1,
    terminator: 0,
    ending: Ending.DISPATCH,
    callee: 0,
    targets,
    successors,
    dominator: entries[0],
    children: [],
    merge: false,
    loop: false,
  };
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
  key = pc,
): Region | undefined {
  const found = collect(pc, lift);
  split(found, lift);
  const entry = found.get(pc);
  if (!entry) return undefined;
  for (const block of found.values()) {
    block.successors = block.targets.map((target) => found.get(target));
  }
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
    const code = blocks.filter(({ ending }) => ending !== Ending.DISPATCH).map(({ ir }) => ir);
    const count = code.reduce((sum, ir) => sum + ir.count, 0);
    return { pc, key, blocks, code, count };
  }
}
