/**
 * What the engine asks of a tier that compiles regions. Backends implement it; the engine names none of them.
 *
 * @module
 */
import type { IrBlock } from "../ir/block.ts";
import type { Region, RegionBlock } from "./region/region.ts";

/** Figures of a compiling tier; keys as `--stats=json` prints them. */
export interface TierStats {
  /** Regions compiled so far. */
  regions: number;
  /** Regions dropped to make room for others. */
  evicted: number;
  /** Bytes of code made so far. */
  bytes: number;
  /** Bytes of code kept at the moment. */
  kept: number;
  /** Milliseconds spent compiling. */
  milliseconds: number;
  /** How often compiled code was left, by reason: fuel, target, memory, trap, backdoor, op, float. */
  exits: Record<string, number>;
}

/** Figures of a tier that has done nothing yet. */
export function newStats(): TierStats {
  return { regions: 0, evicted: 0, bytes: 0, kept: 0, milliseconds: 0, exits: {} };
}

/** Where a piece of guest code is. */
export type CodePlace = Pick<IrBlock, "pc" | "bytes">;

/** What a tier gets from the engine. */
export interface TierServices {
  /** Executes the record at a code index on the slots in memory; not 0 means that it faulted. */
  step(codeIndex: number): number;
  /**
   * Answers the backdoor call at a code index, with all state in memory and the fuel at {@linkcode FUEL_WORD}; not 0
   * means that compiled code must leave (to an address that it need not name).
   */
  backdoor(codeIndex: number): number;
  /** User mode, and only there: the same for a call whose address and length are the words of the cell {@linkcode EXIT_PC_SLOT}. */
  answer?(): number;
  /** Says that there is no code for a region any more, by its key. */
  dropped(key: number): void;
  /** The block at a guest address, of at most `limit` instructions if given; undefined if nothing can be fetched there. */
  lift(pc: number, limit?: number): IrBlock | undefined;
  /** Guest addresses where compiled code of another tier is entered, or that indirect jumps went to. */
  entries(): Iterable<number>;
  /**
   * Guest addresses where stays in a tier below this one began or ended, and instructions executed there: a profile. In
   * system mode it is that of all address spaces.
   */
  heat?(): ReadonlyMap<number, number>;
  /** Says that what {@linkcode CompilingTier.add} began for a guest address can be run from now on. */
  ready(pc: number): void;
  /** Says that the tier has code for a guest address that {@linkcode CompilingTier.add} was not asked for. */
  adopt(pc: number, blocks: readonly CodePlace[], entries: readonly number[]): void;
  /**
   * System mode, and only there: offset in guest memory of an access that the TLB does not know, or -1 if compiled code
   * must leave. What it finds it enters.
   *
   * @param how Bytes of the access, and bits of {@linkcode Reach}.
   */
  reach?(lo: number, hi: number, how: number): number;
}

/** Bits of `how` in `TierServices.reach`, above the number of bytes. */
export const Reach = {
  /** Bits of the number of bytes. */
  BYTES: 0xffff,
  STORE: 0x1_0000,
  /** The address must be a multiple of the number of bytes. */
  ALIGNED: 0x2_0000,
} as const;

/** What a tier made of its regions, if that is more than one function for each region's blocks. */
export interface Compilation {
  /** All blocks that the code depends on. */
  readonly blocks: readonly IrBlock[];
  /** Guest addresses where the code may be entered. */
  readonly entries: readonly number[];
}

/** A tier that compiles regions and runs them. */
export interface CompilingTier {
  /** Name in statistics, such as "wasm". */
  readonly name: string;
  readonly stats: TierStats;
  /** Whether its regions have copies of small functions that they call. */
  readonly copies: boolean;
  /**
   * Compiles regions that belong together: the first is hot, the others are called by it, directly or not. Afterwards,
   * or once the tier called `TierServices.ready`, {@linkcode has} knows their addresses.
   *
   * @param codeIndex Code index of a block's first record, for `TierServices.step`.
   */
  add(regions: readonly Region[], codeIndex: (block: RegionBlock) => number): Compilation | void;
  /**
   * Whether {@linkcode add} would compile something now; absent if always.
   *
   * @param heat Sum of what `TierServices.heat` tells, over time.
   */
  wants?(heat: number): boolean;
  /** Whether there is compiled code for a guest address. */
  has(pc: number): boolean;
  /**
   * Runs compiled code from `pc` until it leaves. Fuel is in the arena, at {@linkcode FUEL_WORD}.
   *
   * @param key Key of the region; the same as `pc` if absent.
   * @returns Guest address where execution goes on.
   */
  run(pc: number, key?: number): number;
  /** Drops the code of a region, and what can't do without it: it never runs again. */
  drop(key: number): void;
  /** Pages lost rights: what was remembered of them is void. */
  forgetRights(): void;
}

/** A tier for system mode, where what compiled code goes to directly depends on the address space. */
export interface SystemTier extends CompilingTier {
  /** Lets compiled code go from other regions to this one, in a context, until the next `flushTargets`. */
  cacheTarget(context: number, pc: number, key: number): void;
  /** Takes back all that `cacheTarget` did. */
  flushTargets(): void;
}

/** Makes a tier for one CPU. */
export type TierFactory = (services: TierServices) => CompilingTier;

/** Word of the arena (in the slots) with the fuel of the executor that runs. */
export const FUEL_WORD = 16341;
/** Slot with the guest address of an exit that does not fit into 31 bits; in system mode that of every entry and exit. */
export const EXIT_PC_SLOT = 8173;
/** Word of the arena with the context of instruction fetches; see `SystemTier.cacheTarget`. */
export const CONTEXT_WORD = 16350;
