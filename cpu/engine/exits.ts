/**
 * Why an executor returned to the run loop.
 *
 * @module
 */

/** Reasons to leave an executor. */
export const Exit = {
  /** Not at all: go on. */
  NONE: 0,
  /** A `trap` record: its index is in `ip`. */
  TRAP: 1,
  /** An unresolved `link` record: its index is in `ip`. */
  LINK: 2,
  /** An indirect jump whose target is not in the jump cache: `targetLo`, `targetHi`. */
  INDIRECT: 3,
  /** Fuel is used up; the next record is at `ip`. */
  FUEL: 4,
  /** The record at `ip` faulted: `faultKind`, `faultLo`, `faultHi` of the slow memory. */
  FAULT: 5,
  /** The store at `ip` is done, and its hook asked to leave. */
  HOOK: 6,
  /** The block at `ip` is compiled. */
  ENTER: 7,
} as const;
