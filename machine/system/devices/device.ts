/**
 * What devices of a board have in common.
 *
 * A device is a class with registers ({@linkcode MmioDevice}); the board gives it an address, interrupts and a
 * device-tree node.
 *
 * @module
 */
export type { MmioDevice } from "../../../mmu/bus.ts";

/** Raises or lowers an interrupt. */
export type InterruptLine = (on: boolean) => void;

/** Ticks of the platform's timer. */
export interface PlatformClock {
  /** Ticks since the machine was made, a whole number. */
  ticks(): number;
}

/** Ticks of the platform's timer in a second, as QEMU's board has them. */
export const TIMEBASE_HZ = 10_000_000;
