/**
 * What the writers of single ops share: the function they write to, and the ways out of it.
 *
 * @module
 */
import type { RegionBlock } from "../engine/region/region.ts";
import type { BodyWriter } from "./encoder.ts";
import type { Helper } from "./helpers.ts";
import type { PageCache } from "./page_cache.ts";
import type { Registers } from "./registers.ts";

/** Where things are in the arena, in bytes, and how a function reaches what is not in it. */
export interface EmitLayout {
  /** Page table. */
  pages: number;
  /** Guest address 0. */
  guest: number;
  /** 32-bit fuel: instructions that may still be executed; only while no compiled code runs, and in calls of imports. */
  fuel: number;
  /** 64-bit guest address of an exit that does not fit into 31 bits. */
  exitPc: number;
  /** Cache of indirect targets: entries of two 32-bit words, guest address and table index. */
  targets: number;
  /** Entries of that cache, a power of two. */
  targetEntries: number;
  /** Index of the imported function that executes the record at a code index; not 0 means that it faulted. */
  step: number;
  /** Index of the imported function that answers the backdoor call at a code index; not 0 means to leave. */
  backdoor: number;
  /** Type index of compiled functions. */
  type: number;
  /** Whether `f64x2.relaxed_madd` rounds once on this host. */
  fused: boolean;
  /** System mode; see there. */
  system?: SystemLayout;
  /** How to call the function for a guest address: in this module, through the table, or (undefined) by looking it up. */
  callee(pc: number): { func: number } | { table: number } | undefined;
  /** Offset of a new extent: see `memory.ts`. */
  extent(): number;
  /** Index of a helper function. */
  helper(name: Helper): number;
  /** Code index of a block's first record, for `step`. */
  codeIndex(block: RegionBlock): number;
  /**
   * A number below {@linkcode FAR_EXIT} that a function returns instead of a guest address to say: go on at `pc`, and
   * `refund` instructions that were paid for were not executed.
   */
  exit(pc: number, refund: number, reason: ExitReason): number;
}

/**
 * What is different in system mode: guest addresses have 64 bits, entries of `targets` are 16 bytes long, there is a
 * bank of them for each context, and memory is reached through the TLB (`system.ts`).
 */
export interface SystemLayout {
  /** Where the 32-bit word is that says where the TLB of the current context is. */
  tlb: number;
  /** Where the 32-bit word with the number of the current context of `targets` is. */
  context: number;
  /** Index of the imported function `TierServices.reach`. */
  reach: number;
  /** Whether the load or store at a guest address often reached a device: then it is executed without leaving. */
  device(pc: number): boolean;
}

/** Result for a guest address that is in `exitPc`. */
export const FAR_EXIT = -1;
/** High word of a result of 64 bits that is an exit; no address that a number holds exactly has it. */
export const WIDE_EXIT = 0x4000_0000;

/** Why compiled code left. */
export type ExitReason =
  /** The time slice is used up. */
  | "fuel"
  /** A load or store that needs the slow path: a fault, watched code, a hook. */
  | "memory"
  /** A system call, breakpoint or undefined instruction. */
  | "trap"
  /** A backdoor call whose callback stopped the machine or changed the pc or code. */
  | "backdoor"
  /** An instruction that only the interpreter executes. */
  | "op"
  /** A floating-point instruction with an invalid rounding mode. */
  | "float"
  /** Code that is not compiled, or a return that compiled code did not call. */
  | "target";

/**
 * Locals with which one comparison tells ordinary results. Twice the bits of a number, without its low word if it is
 * a double, and less those of the smallest normal number and one more where results may underflow (what was rounded up
 * to that number has, too), are below the limit exactly if the number is ordinary; while `Slot.FP_FAST` is 0 the limit
 * is 0, and nothing is.
 */
export type Limit = "sum64" | "product64" | "sum32" | "product32";

/** An extent: its offset in the arena, and the most bytes of a group that uses it. */
export interface Extent {
  offset: number;
  slack: number;
}

/** One function under construction. */
export interface Body {
  readonly w: BodyWriter;
  readonly registers: Registers;
  readonly layout: EmitLayout;
  /** Locals with the limits that are in use. */
  readonly limits: ReadonlyMap<Limit, number>;
  /** Slots whose value is known to be NaN-boxed, here. */
  readonly boxed: Set<number>;
  /** The extent for the access at `at`, of a right: where it is, and the most bytes of a group that uses it. */
  extent(block: RegionBlock, at: number, right: number, span: number): Extent;
  /** System mode: local with the offset of the TLB. */
  readonly tlb: number;
  /** System mode: accesses that keep their page. */
  readonly pageCache: PageCache | undefined;
  /** A local of a type for short use, the same for each name. */
  scratch(name: string, type: number): number;
  /** Has the interpreter execute the record at `at` in memory. */
  step(block: RegionBlock, at: number): void;
  /** Leaves at the instruction of the record at `at`, which has not been executed. */
  leave(block: RegionBlock, at: number, reason: ExitReason): void;
  /**
   * Pushes the `Exit` of executing the record at `at`, whose operands are in memory.
   *
   * @param counts Whether it may look at counters.
   */
  callStep(block: RegionBlock, at: number, counts: boolean): void;
  /** Writes all registers back. */
  saveAll(block: RegionBlock): void;
  /** Reads all registers anew: somebody may have written them. */
  loadAll(): void;
  /** Leaves behind the instruction of the record at `at`. */
  leaveAfter(block: RegionBlock, at: number, reason: ExitReason): void;
}

/** Goes to the slow path if the condition on the stack holds. */
export function slowIf(c: Body, slow: number): void {
  c.w.hint(false);
  c.w.brIf(c.w.depthTo(slow));
}
