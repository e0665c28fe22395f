/**
 * Time of a machine: the host's, or the number of executed instructions.
 *
 * @module
 */
import type { State, Stateful, StateReader } from "./state.ts";
import { type PlatformClock, TIMEBASE_HZ } from "./devices/device.ts";

/** A clock that the run loop can wait for. */
export interface MachineClock extends PlatformClock, Stateful {
  /** Nanoseconds since 1970, for real-time clocks. */
  wall(): bigint;
  /** While nothing runs: milliseconds of host time until so many ticks from now; 0 if time can skip them. */
  idle(ticks: number): number;
}

/** Time goes on as on the host. */
export class HostClock implements MachineClock {
  #start = performance.now();

  ticks(): number {
    return Math.floor((performance.now() - this.#start) * (TIMEBASE_HZ / 1000));
  }

  wall(): bigint {
    return BigInt(Math.floor((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
  }

  save(): State {
    return this.ticks();
  }

  /** Time goes on from where it was; the real-time clock is the host's. */
  restore(state: StateReader): void {
    this.#start = performance.now() - state.number() / (TIMEBASE_HZ / 1000);
  }

  idle(ticks: number): number {
    return Math.ceil(ticks / (TIMEBASE_HZ / 1000));
  }
}

/** Instructions in a tick: 100 million instructions a second. */
const PER_TICK = 10;
/** Where virtual time starts: 2020-01-01, in nanoseconds since 1970. */
const EPOCH = 1_577_836_800_000_000_000n;

/** Time goes on with instructions, and skips to the next event when no hart has anything to do: it is repeatable. */
export class InstructionClock implements MachineClock {
  readonly #instructions: () => number;
  #skipped = 0;

  constructor(instructions: () => number) {
    this.#instructions = instructions;
  }

  ticks(): number {
    return Math.floor(this.#instructions() / PER_TICK) + this.#skipped;
  }

  wall(): bigint {
    return EPOCH + BigInt(this.ticks()) * BigInt(1_000_000_000 / TIMEBASE_HZ);
  }

  save(): State {
    return this.#skipped;
  }

  restore(state: StateReader): void {
    this.#skipped = state.number();
  }

  idle(ticks: number): number {
    this.#skipped += ticks;
    return 0;
  }
}
