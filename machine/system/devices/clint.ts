/**
 * The core-local interruptor: a timer and a software interrupt for each hart.
 *
 * Source: SiFive FU540-C000 manual, chapter "CLINT"; RISC-V ACLINT specification, whose devices at these places are the
 * same.
 *
 * @module
 */
import type { State, Stateful, StateReader } from "../state.ts";
import type { MmioDevice, PlatformClock } from "./device.ts";

/** Where in the region: MSIP registers, compare registers, the time. */
const MSIP = 0, MTIMECMP = 0x4000, MTIME = 0xbff8;
/** Ticks that nobody waits for: 14 years. Guests write all ones for "no timer". */
const NEVER = 1n << 52n;
/** Bytes of the region. */
export const CLINT_SIZE = 0x1_0000;

/** What it does to a hart. */
export interface ClintHart {
  /** The machine software interrupt. */
  software(on: boolean): void;
  /** The machine timer interrupt. */
  timer(on: boolean): void;
}

/** Timer and software interrupts of all harts. */
export class Clint implements MmioDevice, Stateful {
  readonly #harts: readonly ClintHart[];
  readonly #clock: PlatformClock;
  readonly #msip: boolean[];
  readonly #compare: bigint[];
  /** What the guest added to the time by writing it. */
  #offset = 0n;

  constructor(harts: readonly ClintHart[], clock: PlatformClock) {
    this.#harts = harts;
    this.#clock = clock;
    this.#msip = harts.map(() => false);
    this.#compare = harts.map(() => (1n << 64n) - 1n);
  }

  /** The time in ticks, as `time` and mtime have it. */
  time(): bigint {
    return BigInt.asUintN(64, BigInt(this.#clock.ticks()) + this.#offset);
  }

  /** Raises and lowers timer interrupts by the time. */
  update(): void {
    const now = this.time();
    this.#harts.forEach((hart, i) => hart.timer(now >= this.#compare[i]));
  }

  /**
   * Ticks until the next timer interrupt that is not due yet; undefined if there is none.
   *
   * @param more Other timers that compare with the same time.
   */
  untilNext(more: readonly bigint[] = []): number | undefined {
    const now = this.time();
    let next = NEVER;
    for (const compare of [...this.#compare, ...more]) {
      if (compare > now && compare - now < next) next = compare - now;
    }
    return next === NEVER ? undefined : Number(next);
  }

  save(): State {
    return { msip: this.#msip.slice(), compare: this.#compare.slice(), offset: this.#offset };
  }

  restore(state: StateReader): void {
    const { length } = this.#harts;
    state.at("msip").list(length).forEach((on, i) => this.#msip[i] = on.boolean());
    state.at("compare").list(length).forEach((at, i) => this.#compare[i] = at.bigint());
    this.#offset = state.at("offset").bigint();
  }

  read64(offset: number): bigint {
    if (offset === MTIME) return this.time();
    if (offset < MTIMECMP) {
      return BigInt(this.read(offset, 4)!) | BigInt(this.read(offset + 4, 4)!) << 32n;
    }
    return this.#compare[(offset - MTIMECMP) / 8] ?? 0n;
  }

  read(offset: number, size: number): number | undefined {
    if (size !== 4) return undefined;
    if (offset < MTIMECMP) return this.#msip[(offset - MSIP) / 4] ? 1 : 0;
    const value = this.read64(offset & ~7);
    return Number(BigInt.asUintN(32, (offset & 4) !== 0 ? value >> 32n : value));
  }

  write(offset: number, size: number, value: number): boolean {
    if (size !== 4) return false;
    if (offset < MTIMECMP) {
      const hart = (offset - MSIP) / 4;
      if (hart < this.#harts.length) {
        this.#msip[hart] = (value & 1) !== 0;
        this.#harts[hart].software(this.#msip[hart]);
      }
      return true;
    }
    const replace = (old: bigint) =>
      (offset & 4) !== 0
        ? old & 0xffff_ffffn | BigInt(value) << 32n
        : old & ~0xffff_ffffn | BigInt(value);
    if (offset >= MTIME + 8) return true;
    if (offset >= MTIME) {
      const time = this.time();
      this.#offset += replace(time) - time;
    } else {
      const hart = (offset - MTIMECMP) >>> 3;
      if (hart < this.#harts.length) this.#compare[hart] = replace(this.#compare[hart]);
    }
    this.update();
    return true;
  }
}
