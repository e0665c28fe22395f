/**
 * Regions: blocks joined by direct branches, which a compiling tier turns into one function.
 *
 * A region has one entry. Calls (jumps that leave a return address) are not followed: the region goes on at the return
 * address. Only small functions may be copied in.
 *
 * @module
 */
import type { IrBlock } from "../../ir/builder.ts";
import { JumpHint, Op, Trap, WORDS } from "../../ir/ops.ts";

/** How a block of a region ends. */
export const Ending = {
  /** One successor. */
  JUMP: 0,
  /** Two successors: taken, then not taken. */
  BRANCH: 1,
  /** No guest code: goes to the successor that whoever came here asked for. */
  DISPATCH: 2,
  /** The return of a function that was copied in: the successor if it goes to where it was called, else it leaves. */
  RETURN: 3,
  /** An indirect jump with known targets in the region; the successor is the SWITCH. */
  COMPUTED: 4,
  /** No guest code: goes to the successor that an indirect jump computed, and leaves to other addresses. */
  SWITCH: 5,
  /** A direct call; the successor is the return address. */
  CALL: 6,
  /** An indirect call; the successor is the return address. */
  CALL_INDIRECT: 7,
  /** An indirect jump or return. */
  INDIRECT: 8,
  /** A backdoor instruction; the successor is the instruction behind it. */
  BACKDOOR: 9,
  /** Another trap: the run loop goes on. */
  TRAP: 10,
} as const;

/** In place of the guest address of a target: the one that an indirect jump computed. */
export const COMPUTED_TARGET = -1;

/** A block in a region. */
export interface RegionBlock {
  /** The block. */
  readonly ir: IrBlock;
  /** Number of the function that it is part of: 0 for the region's own, others for copies. */
  readonly part: number;
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

const TWO32 = 0x1_0000_0000;

function linkPc(code: Int32Array, link: number): number {
  return code[link + 5] * TWO32 + (code[link + 4] >>> 0);
}

/** Reads how a block ends. */
export function describe(ir: IrBlock, part: number): Omit<RegionBlock, "index" | "dominator"> {
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
    part,
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

/** A block without guest code: where control flow of a region meets that has no instruction for it. */
export function joint(
  ending: number,
  targets: number[],
  successors: (RegionBlock | undefined)[],
  { ir: { pc }, part }: RegionBlock,
): RegionBlock {
  const code = new Int32Array(WORDS);
  code[0] = Op.jump;
  const ir = { pc, bytes: 0, count: 0, code, insns: new Uint8Array(1), pcs: [] };
  const block = describe(ir, part) as RegionBlock;
  return { ...block, ending, targets, successors };
}

/** Whether a block has no guest code. */
export function isJoint({ ending }: RegionBlock): boolean {
  return ending === Ending.DISPATCH || ending === Ending.SWITCH;
}

/** Lifts the block at a guest address, of at most `limit` instructions if given; undefined if there is nothing. */
export type Lift = (pc: number, limit?: number) => IrBlock | undefined;

/** How a region is formed. */
export interface RegionOptions {
  /** Its key; default its address. */
  key?: number;
  /** Whether a called function may be copied in, if it is small; default none. */
  copies?: (callee: number) => boolean;
  /** Addresses from `low` to `high` that indirect jumps went to; default none. */
  jumps?: (low: number, high: number) => Iterable<number>;
}

/** Whether `a` dominates `b`. */
export function dominates(a: RegionBlock, b: RegionBlock): boolean {
  while (b.index > a.index) b = b.dominator;
  return a === b;
}
