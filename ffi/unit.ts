/**
 * Units: what becomes one C function. A region, the functions that it calls, and what its jump tables lead to, joined
 * by guest address, so that calls and returns inside are jumps and registers stay in locals throughout.
 *
 * @module
 */
import { formRegion } from "../cpu/engine/region/form_region.ts";
import { Ending, type Lift, type Region, type RegionBlock } from "../cpu/engine/region/region.ts";
import { FpStyle, JumpHint, Slot } from "../cpu/ir/ops.ts";
import type { Arena } from "../mmu/arena.ts";
import { LATE_NANS } from "./platform.ts";

/** Most guest instructions in a unit; fuel is tested at its back edges and calls, and may be overrun by so many. */
export const MAX_UNIT_INSNS = 3000;
/** Most of them that functions called from the first region may add. */
const MAX_CALLEE_INSNS = 1000;
/** A function of at most so many is part of its caller's unit even if it was never found hot. */
const SMALL_CALLEE_INSNS = 40;
/** Bytes before and behind an indirect jump where its targets are looked for. */
const JUMP_RANGE = 4096;

/** One unit. */
export interface Unit {
  /** Guest address of the first region's entry. */
  readonly pc: number;
  /** Blocks in the order in which they are printed. */
  readonly blocks: readonly RegionBlock[];
  /** Guest addresses of the functions in it. */
  readonly roots: ReadonlySet<number>;
  /** Position of a guest address in `blocks`. */
  readonly index: ReadonlyMap<number, number>;
  /** Guest addresses at which the unit may be entered. */
  readonly entries: readonly number[];
  /** By the address of a block that returns: where its callers in the unit go on. */
  readonly returns: ReadonlyMap<number, readonly number[]>;
  /** Guest instructions in it. */
  readonly count: number;
  /** Whether it is for system mode: memory through the TLB, addresses of 64 bits. */
  readonly system: boolean;
  /** Whether every NaN that is the result of an operation is the canonical one, and may become it late. */
  readonly canonical: boolean;
}

/** Whether a block ends by an indirect jump that is neither a call nor a return. */
const isComputed = ({ ending, ir, terminator }: RegionBlock): boolean =>
  ending === Ending.INDIRECT && ir.code[terminator + 3] === JumpHint.NONE;

/** Whether a guest address has at most 31 bits; code elsewhere can't exist. */
export const isShort = (pc: number): boolean => pc >= 0 && pc < 0x8000_0000;

/** What a unit is made of besides its first region. */
export interface UnitOptions {
  /**
   * Code that becomes part of it, too, until it has `most` instructions. If absent, and in system mode, `known` tells
   * which called functions are worth it.
   */
  readonly more?: readonly number[] | undefined;
  readonly most?: number;
  /** See {@linkcode Unit.system}. */
  readonly system?: boolean;
  /** See {@linkcode Unit.canonical}. */
  readonly canonical?: boolean;
}

/** Whether units for an arena's CPU may have canonical NaNs late; they ask again when they are entered. */
export const canonicalNans = ({ q }: Arena): boolean =>
  LATE_NANS && (Number(q[Slot.FP_STYLE]) & FpStyle.PROPAGATE) === 0;

/**
 * Forms the unit that starts with a region.
 *
 * @param known Guest addresses of code that is known to be entered from elsewhere. Those that lie between the region's
 * blocks become part of the unit if it has indirect jumps, because they are likely to be these jumps' targets.
 */
export function formUnit(
  region: Region,
  lift: Lift,
  known: Iterable<number>,
  { more, most = MAX_UNIT_INSNS, system = false, canonical = false }: UnitOptions = {},
): Unit {
  const blocks: RegionBlock[] = [], index = new Map<number, number>();
  const roots = new Set<number>();
  /** Roots of the regions that a block belongs to, and return addresses of the calls of a root. */
  const owners = new Map<number, number[]>(), sites = new Map<number, Set<number>>();
  /** Where loops begin. */
  const loops = new Set<number>();
  const queue: number[] = [];
  let count = 0;
  const add = (part: Region): void => {
    roots.add(part.pc);
    for (const block of part.blocks) {
      if (block.ending === Ending.DISPATCH) {
        // C jumps where it likes.
        block.targets.forEach((target) => loops.add(target));
        continue;
      }
      if (block.loop) loops.add(block.ir.pc);
      const { pc } = block.ir, owning = owners.get(pc);
      if (owning) owning.push(part.pc);
      else owners.set(pc, [part.pc]);
      if (block.ending === Ending.CALL) {
        let list = sites.get(block.callee);
        if (!list) sites.set(block.callee, list = new Set());
        list.add(block.targets[0]);
        queue.push(block.callee);
      }
      if (index.has(pc)) continue;
      index.set(pc, blocks.length);
      blocks.push(block);
      count += block.ir.count;
    }
  };
  const follow = (pc: number, room: number, fits = (_: Region) => true): void => {
    if (roots.has(pc) || !(system || isShort(pc))) return;
    const part = formRegion(pc, lift);
    if (part && part.count <= room && fits(part)) add(part);
  };
  /** Whether there is a way back to what is in the unit: other functions near a jump have none. */
  const leadsBack = ({ blocks }: Region) =>
    blocks.some((block) => index.has(block.ir.pc) || isComputed(block));
  add(region);
  // A function of system mode that is never looked at where it is still has code of a lower tier.
  const hot = new Set(known), hottest = more && !system ? new Set(more) : hot;
  for (const pc of more ?? []) if (count < most) follow(pc, MAX_UNIT_INSNS - count);
  // What is found may have indirect jumps itself.
  for (const block of blocks) {
    if (!isComputed(block)) continue;
    for (const pc of hot) {
      const near = Math.abs(pc - block.ir.pc) <= JUMP_RANGE;
      if (near && !index.has(pc)) follow(pc, MAX_UNIT_INSNS - count, leadsBack);
    }
  }
  const full = Math.min(MAX_UNIT_INSNS, count + MAX_CALLEE_INSNS);
  for (const callee of queue) {
    follow(callee, Math.min(full - count, hottest.has(callee) ? Infinity : SMALL_CALLEE_INSNS));
  }

  const entries = new Set<number>(roots);
  for (const pc of hot) if (index.has(pc)) entries.add(pc);
  const returns = new Map<number, readonly number[]>();
  // Where a stay may have ended: execution goes on in here when the unit is ready.
  for (const pc of loops) entries.add(pc);
  for (const { ir, ending, targets, terminator } of blocks) {
    const resumes = ending === Ending.CALL || ending === Ending.CALL_INDIRECT ||
      ending === Ending.BACKDOOR;
    if (resumes && index.has(targets[0])) entries.add(targets[0]);
    if (ending !== Ending.INDIRECT || ir.code[terminator + 3] !== JumpHint.RETURN) continue;
    const found = new Set<number>();
    for (const root of owners.get(ir.pc)!) {
      for (const site of sites.get(root) ?? []) if (index.has(site)) found.add(site);
    }
    returns.set(ir.pc, [...found]);
  }
  const rest = { returns, count, system, canonical };
  return { pc: region.pc, blocks, roots, index, entries: [...entries], ...rest };
}
