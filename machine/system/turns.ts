/**
 * Whose turn it is: harts run one after the other, and the machine sleeps when every one of them waits.
 *
 * @module
 */
import { Stay } from "../../cpu/engine/system/cpu.ts";
import type { Assembly } from "./assembly.ts";
import type { Console } from "./console.ts";
import { TIMEBASE_HZ } from "./devices/device.ts";
import type { Peripherals } from "./peripherals.ts";
import type { State, StateReader } from "./state.ts";

/** Instructions of one hart until the next one's turn. */
const SLICE = 100_000;
/** Longest wait in one piece, in milliseconds. */
const LONGEST_WAIT = 1000;

/** What turns need to know of the machine. */
export interface TurnsMachine {
  readonly assembly: Assembly;
  readonly console: Console;
  readonly peripherals: Peripherals;
  /** Whether the run can be repeated. */
  readonly exact: boolean;
  /** Instructions executed so far, by all harts. */
  readonly instructions: number;
  /** Whether the machine is to end or to restart. */
  readonly finishing: boolean;
  /** Whether somebody wants it to end now. */
  readonly stopping: boolean;
}

/** How a round ended. */
export interface Round {
  /** Whether a hart had something to do. */
  active: boolean;
  /** A backdoor call that was not answered at once: its answer, and then the instruction is to be finished. */
  call?: number | Promise<number>;
}

const ACTIVE: Round = { active: true };

/** The turns of a machine's harts. */
export class Turns {
  readonly #machine: TurnsMachine;
  /** Whose turn it is, up to which count of its instructions (-1: it begins), and whether anybody did something. */
  #hart = 0;
  #end = -1;
  #active = false;
  #wake: (() => void) | undefined;

  constructor(machine: TurnsMachine) {
    this.#machine = machine;
  }

  save(): State {
    return { hart: this.#hart, end: this.#end, active: this.#active };
  }

  restore(state: StateReader, harts: number): void {
    this.#hart = state.at("hart").number(0, harts - 1);
    this.#end = state.at("end").number(-1);
    this.#active = state.at("active").boolean();
  }

  /** The machine restarts. */
  reset(): void {
    this.#hart = 0;
    this.#end = -1;
  }

  /** Ends a wait. */
  wake(): void {
    this.#wake?.();
  }

  /** Instructions until the limit. A guest that only raises exceptions executes nothing, and is to end all the same. */
  left(end: number): number {
    return end - this.#machine.instructions - this.#machine.assembly.board.cpu.fruitless;
  }

  #canRun(): boolean {
    const { board, stopped } = this.#machine.assembly;
    return board.harts.some((hart) => !stopped[hart.id] && !hart.waiting);
  }

  /**
   * Gives each hart a turn. What interrupts a round - the limit of instructions, a call that waits - goes on with it
   * later, so that it makes no difference to the guest.
   */
  round(end: number): Round {
    const { assembly, exact } = this.#machine, { board, backdoor, stopped } = assembly;
    const { cpu, harts } = board;
    if (this.#hart === 0 && this.#end < 0) {
      board.poll();
      assembly.feed();
      this.#active = false;
    }
    for (; this.#hart < harts.length; this.#hart++, this.#end = -1) {
      const hart = harts[this.#hart];
      if (stopped[hart.id] || hart.waiting) continue;
      cpu.select(hart.id);
      if (this.#end < 0) this.#end = cpu.retired - cpu.retired % SLICE + SLICE;
      const left = this.left(end);
      if (left <= 0) return ACTIVE;
      const why = cpu.run(Math.min(left, this.#end - cpu.retired), exact);
      if (why !== Stay.WAIT) this.#active = true;
      if (backdoor && why === Stay.BACKDOOR) return { active: true, call: backdoor.answer };
      backdoor?.drain();
      const over = why === Stay.WAIT || cpu.retired >= this.#end;
      if (this.#machine.finishing || why === Stay.LEFT || (!over && this.left(end) <= 0)) {
        return ACTIVE;
      }
    }
    this.#hart = 0;
    return { active: this.#active || this.#canRun() };
  }

  /** Waits until something can happen; false if nothing can. */
  async idle(): Promise<boolean> {
    const { assembly, console, peripherals } = this.#machine, { board, stopped } = assembly;
    await console.flush();
    // The serial port may have no room and nobody looks: only time can help.
    if (console.pending) assembly.feed();
    const ticks = board.nextTimer();
    // What became due before `ticks` was computed is not in it.
    board.poll();
    if (this.#canRun()) return true;
    if (ticks !== undefined) {
      const milliseconds = board.clock.idle(await this.#outside(ticks));
      if (milliseconds === 0) return true;
      await this.#sleep(Math.min(milliseconds, LONGEST_WAIT));
      return true;
    }
    const silent = console.over && !peripherals.alive;
    if (silent || stopped.every((stopped) => stopped)) return false;
    await this.#sleep(LONGEST_WAIT);
    return true;
  }

  /** With virtual time: how many ticks have passed for what is outside, if the guest may wait for it; else all. */
  async #outside(ticks: number): Promise<number> {
    if (!this.#machine.exact || !this.#machine.peripherals.busy) return ticks;
    const before = performance.now(), perMillisecond = TIMEBASE_HZ / 1000;
    await this.#sleep(Math.min(ticks / perMillisecond, LONGEST_WAIT));
    return Math.min(ticks, Math.ceil((performance.now() - before) * perMillisecond));
  }

  async #sleep(milliseconds: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds);
    this.#wake = resolve;
    if (this.#machine.stopping) resolve();
    await promise;
    this.#wake = undefined;
    clearTimeout(timer);
  }
}
