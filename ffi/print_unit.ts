/**
 * From a hot region to the C of its unit. Apart from the tier because a start that only loads what earlier runs left does
 * without it, and it takes 20 ms to load.
 *
 * @module
 */
import { Ending, type Lift, type Region } from "../cpu/engine/region/region.ts";
import type { Arena } from "../mmu/arena.ts";
import { Emitter } from "./emitter.ts";
import { canonicalNans, formUnit, type Unit } from "./unit.ts";

export { translateAhead } from "./ahead.ts";
export { canonicalNans } from "./unit.ts";

/** Whether a region makes backdoor calls. */
export function callsBackdoor(region: Region): boolean {
  return region.blocks.some(({ ending }) => ending === Ending.BACKDOOR);
}

/** Forms the unit of a region for an arena's CPU; see {@linkcode formUnit}. */
export function unitOf(
  arena: Arena,
  region: Region,
  lift: Lift,
  known: Iterable<number>,
  options: { more: readonly number[] | undefined; system: boolean },
): Unit {
  return formUnit(region, lift, known, { ...options, canonical: canonicalNans(arena) });
}

/** The unit as C. */
export function printUnit(unit: Unit): string {
  return new Emitter(unit).emit();
}
