/**
 * Event counters of a hart, with overflow interrupts and filters by privilege level.
 *
 * Sources: The RISC-V Instruction Set Manual, volume II, version 1.12, section 3.1.10; Sscofpmf, version 1.0.
 *
 * @module
 */

/** Number of the first counter, and how many there are; the others read as 0. */
export const FIRST_COUNTER = 3, COUNTERS = 4;
/** Bits of mcountinhibit, mcounteren and scountovf that belong to them. */
export const COUNTER_BITS = (1n << BigInt(COUNTERS)) - 1n << BigInt(FIRST_COUNTER);

/** What can be counted: both are instructions, as `cycle` is. The numbers are QEMU's. */
const Event = { CYCLES: 1n, INSTRUCTIONS: 2n } as const;
/** mhpmevent: overflow, and the levels at which it does not count (M, S, U). */
const OF = 1n << 63n, MINH = 1n << 62n, SINH = 1n << 61n, UINH = 1n << 60n;
const EVENT_BITS = 0xffn;
/** The local interrupt "counter overflow" in mip. */
export const LCOFI = 1 << 13;

/** What the counters need of their hart. */
export interface CountingHart {
  /** Its privilege level. */
  getPrivilege(): number;
  /** mcountinhibit. */
  getInhibited(): bigint;
  /** Instructions executed so far. */
  instructions(): number;
  /** Raises the overflow interrupt. */
  overflow(): void;
}

/** The counters of one hart. */
export class EventCounters {
  /** Whether any of them is to count anything: else nobody need tell them of changes. */
  active = false;
  readonly #hart: CountingHart;
  readonly #events: bigint[] = new Array(COUNTERS).fill(0n);
  /** Value while it stands still; else what is added to the instruction count. */
  readonly #offset: bigint[] = new Array(COUNTERS).fill(0n);
  readonly #running: boolean[] = new Array(COUNTERS).fill(false);
  /** What it was when somebody looked for an overflow. */
  readonly #seen: bigint[] = new Array(COUNTERS).fill(0n);

  constructor(hart: CountingHart) {
    this.#hart = hart;
  }

  #now(): bigint {
    return BigInt(this.#hart.instructions());
  }

  /** Value of counter `i`, counted from 0. */
  value(i: number): bigint {
    return BigInt.asUintN(64, this.#offset[i] + (this.#running[i] ? this.#now() : 0n));
  }

  /** Writes a counter. The instruction that writes is not counted. */
  setValue(i: number, value: bigint): void {
    this.#offset[i] = value - (this.#running[i] ? this.#now() + 1n : 0n);
    this.#seen[i] = value;
  }

  /** mhpmevent of counter `i`. */
  event(i: number): bigint {
    return this.#events[i];
  }

  /** Writes mhpmevent: what it counts, at which levels, and whether it has overflowed. */
  setEvent(i: number, value: bigint): void {
    this.poll();
    this.#events[i] = value & (OF | MINH | SINH | UINH | EVENT_BITS);
    this.active = this.#events.some((event) => (event & EVENT_BITS) !== 0n);
    this.update();
  }

  #counts(i: number): boolean {
    const event = this.#events[i], hart = this.#hart, privilege = hart.getPrivilege();
    const kind = event & EVENT_BITS;
    if (kind !== Event.CYCLES && kind !== Event.INSTRUCTIONS) return false;
    if ((hart.getInhibited() >> BigInt(FIRST_COUNTER + i) & 1n) !== 0n) return false;
    return (event & (privilege === 3 ? MINH : privilege === 1 ? SINH : UINH)) === 0n;
  }

  /** Starts and stops them: the level, mcountinhibit or an event has changed. */
  update(): void {
    for (let i = 0; i < COUNTERS; i++) {
      const counts = this.#counts(i);
      if (counts === this.#running[i]) continue;
      const value = this.value(i);
      this.#running[i] = counts;
      this.#offset[i] = value - (counts ? this.#now() : 0n);
    }
  }

  /** Looks for overflows: one sets OF and raises the interrupt, unless OF is set already. */
  poll(): void {
    if (!this.active) return;
    for (let i = 0; i < COUNTERS; i++) {
      const value = this.value(i), wrapped = value < this.#seen[i];
      this.#seen[i] = value;
      if (!wrapped || (this.#events[i] & OF) !== 0n) continue;
      this.#events[i] |= OF;
      this.#hart.overflow();
    }
  }

  /** scountovf: the OF bits. */
  get overflows(): bigint {
    this.poll();
    let bits = 0n;
    this.#events.forEach((event, i) => {
      if ((event & OF) !== 0n) bits |= 1n << BigInt(FIRST_COUNTER + i);
    });
    return bits;
  }

  /** Events and values, for a snapshot. */
  save(): { events: bigint[]; values: bigint[]; seen: bigint[] } {
    const values = this.#events.map((_, i) => this.value(i));
    return { events: this.#events.slice(), values, seen: this.#seen.slice() };
  }

  /** Takes over what {@linkcode save} gave; the hart has its other state. */
  restore(from: { events: bigint[]; values: bigint[]; seen: bigint[] }): void {
    for (let i = 0; i < COUNTERS; i++) {
      this.#running[i] = false;
      this.#events[i] = from.events[i];
      this.#offset[i] = from.values[i];
      this.#seen[i] = from.seen[i];
    }
    this.active = this.#events.some((event) => (event & EVENT_BITS) !== 0n);
    this.update();
  }
}
