/**
 * What the engine asks of a tier that compiles regions. Backends implement it; the engine names none of them.
 *
 * @module
 */
import type { Region, RegionBlock } from "./region.ts";

/** Figures of a compiling tier. */
export interface TierStats {
  /** Regions compiled so far. */
  regions: number;
  /** Bytes of code made so far. */
  bytes: number;
  /** Milliseconds spent compiling. */
  milliseconds: number;
}

/** What a tier gets from the engine. */
export interface TierServices {
  /** Executes the record at a code index on the slots in memory; not 0 means that it faulted. */
  step(codeIndex: number): number;
}

/** A tier that compiles regions and runs them. */
export interface CompilingTier {
  /** Name in statistics, such as "wasm". */
  readonly name: string;
  readonly stats: TierStats;
  /**
   * Compiles a region; afterwards {@linkcode has} knows its address.
   *
   * @param codeIndex Code index of a block's first record, for `TierServices.step`.
   */
  add(region: Region, codeIndex: (block: RegionBlock) => number): void;
  /** Whether there is compiled code for a guest address. */
  has(pc: number): boolean;
  /**
   * Runs compiled code from `pc` until it leaves. Fuel is in the arena, at {@linkcode FUEL_WORD}.
   *
   * @returns Guest address where execution goes on.
   */
  run(pc: number): number;
  /** Drops the code for a guest address: it never runs again. */
  drop(pc: number): void;
}

/** Makes a tier for one CPU. */
export type TierFactory = (services: TierServices) => CompilingTier;

/** Word of the arena (in the slots) with the fuel of the executor that runs. */
export const FUEL_WORD = 16341;
/** Word with the bytes that compiled functions have on the host's stack, by estimate. */
export const DEPTH_WORD = 16344;
/** Slot with the guest address of an exit that does not fit into 31 bits. */
export const EXIT_PC_SLOT = 8173;
