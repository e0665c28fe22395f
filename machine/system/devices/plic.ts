/**
 * The platform-level interrupt controller.
 *
 * Source: RISC-V Platform-Level Interrupt Controller Specification, version 1.0.0.
 *
 * @module
 */
import type { State, Stateful, StateReader } from "../state.ts";
import type { InterruptLine, MmioDevice } from "./device.ts";

/** Where in the region. */
const PRIORITY = 0, PENDING = 0x1000, ENABLE = 0x2000, CONTEXT = 0x20_0000;
const ENABLE_STRIDE = 0x80, CONTEXT_STRIDE = 0x1000;
/** Bytes of the region, as QEMU's board has it. */
export const PLIC_SIZE = 0x60_0000;
/** Highest interrupt number. */
export const PLIC_SOURCES = 96;
const MAX_PRIORITY = 7;
const WORDS = (PLIC_SOURCES >>> 5) + 1;

/** Interrupts of devices, routed to contexts: a hart's privilege level each. */
export class Plic implements MmioDevice, Stateful {
  readonly #contexts: readonly InterruptLine[];
  readonly #priority = new Uint8Array(PLIC_SOURCES + 1);
  readonly #level = new Uint8Array(PLIC_SOURCES + 1);
  readonly #pending = new Uint8Array(PLIC_SOURCES + 1);
  readonly #claimed = new Uint8Array(PLIC_SOURCES + 1);
  readonly #enable: Uint32Array[];
  readonly #threshold: Uint8Array;
  readonly #raised: Uint8Array;

  /** @param contexts Their external interrupts, in the order of the device tree. */
  constructor(contexts: readonly InterruptLine[]) {
    this.#contexts = contexts;
    this.#enable = contexts.map(() => new Uint32Array(WORDS));
    this.#threshold = new Uint8Array(contexts.length);
    this.#raised = new Uint8Array(contexts.length);
  }

  /** The interrupt line of a device. @throws {RangeError} For a number that there is not. */
  line(source: number): InterruptLine {
    if (!(source > 0 && source <= PLIC_SOURCES)) {
      throw new RangeError(`Cannot make interrupt ${source}: 1 to ${PLIC_SOURCES} are possible`);
    }
    return (on) => {
      if (this.#level[source] === (on ? 1 : 0)) return;
      this.#level[source] = on ? 1 : 0;
      // The gateway forwards a level once; a request that was not claimed is withdrawn with it.
      if (!on) this.#pending[source] = 0;
      else if (this.#claimed[source] === 0) this.#pending[source] = 1;
      this.#update();
    };
  }

  #enabled(context: number, source: number): boolean {
    return (this.#enable[context][source >>> 5] >>> (source & 31) & 1) !== 0;
  }

  /** The most urgent interrupt of a context above its threshold, or 0. */
  #best(context: number): number {
    let best = 0, priority = this.#threshold[context];
    for (let source = 1; source <= PLIC_SOURCES; source++) {
      if (this.#pending[source] === 0 || this.#priority[source] <= priority) continue;
      if (!this.#enabled(context, source)) continue;
      best = source;
      priority = this.#priority[source];
    }
    return best;
  }

  #update(): void {
    for (let context = 0; context < this.#contexts.length; context++) {
      const raised = this.#best(context) !== 0 ? 1 : 0;
      if (raised === this.#raised[context]) continue;
      this.#raised[context] = raised;
      this.#contexts[context](raised !== 0);
    }
  }

  #claim(context: number): number {
    const source = this.#best(context);
    if (source === 0) return 0;
    this.#pending[source] = 0;
    this.#claimed[source] = 1;
    this.#update();
    return source;
  }

  #complete(context: number, source: number): void {
    if (source === 0 || source > PLIC_SOURCES || !this.#enabled(context, source)) return;
    this.#claimed[source] = 0;
    if (this.#level[source] !== 0) this.#pending[source] = 1;
    this.#update();
  }

  /** Everything of one byte, by name. */
  get #bytes(): Record<string, Uint8Array> {
    return {
      priority: this.#priority,
      level: this.#level,
      pending: this.#pending,
      claimed: this.#claimed,
      threshold: this.#threshold,
      raised: this.#raised,
    };
  }

  save(): State {
    const bytes = Object.entries(this.#bytes).map(([name, bytes]) => [name, bytes.slice()]);
    return { ...Object.fromEntries(bytes), enable: this.#enable.map((words) => [...words]) };
  }

  restore(state: StateReader): void {
    for (const [name, bytes] of Object.entries(this.#bytes)) {
      bytes.set(state.at(name).bytes(bytes.length));
    }
    state.at("enable").list(this.#enable.length).forEach((words, context) => {
      words.list(WORDS).forEach((word, i) => this.#enable[context][i] = word.word());
    });
  }

  read(offset: number, size: number): number | undefined {
    if (size !== 4) return undefined;
    if (offset < PENDING) return this.#priority[(offset - PRIORITY) >>> 2] ?? 0;
    if (offset < ENABLE) {
      let bits = 0;
      const first = (offset - PENDING) * 8;
      for (let i = 0; i < 32; i++) if (this.#pending[first + i]) bits |= 1 << i;
      return bits >>> 0;
    }
    if (offset < CONTEXT) {
      const at = offset - ENABLE;
      return this.#enable[Math.floor(at / ENABLE_STRIDE)]?.[at % ENABLE_STRIDE >>> 2] ?? 0;
    }
    const at = offset - CONTEXT, context = Math.floor(at / CONTEXT_STRIDE);
    if (context >= this.#contexts.length) return 0;
    switch (at % CONTEXT_STRIDE) {
      case 0:
        return this.#threshold[context];
      case 4:
        return this.#claim(context);
      default:
        return 0;
    }
  }

  write(offset: number, size: number, value: number): boolean {
    if (size !== 4) return false;
    if (offset < PENDING) {
      const source = offset >>> 2;
      if (source > 0 && source <= PLIC_SOURCES) this.#priority[source] = value & MAX_PRIORITY;
    } else if (offset >= CONTEXT) {
      const at = offset - CONTEXT, context = Math.floor(at / CONTEXT_STRIDE);
      if (context < this.#contexts.length) {
        const register = at % CONTEXT_STRIDE;
        if (register === 0) this.#threshold[context] = value & MAX_PRIORITY;
        else if (register === 4) this.#complete(context, value);
      }
    } else if (offset >= ENABLE) {
      const at = offset - ENABLE, words = this.#enable[Math.floor(at / ENABLE_STRIDE)];
      const word = at % ENABLE_STRIDE >>> 2;
      // There is no interrupt 0.
      if (words && word < WORDS) words[word] = word === 0 ? value & ~1 : value;
    }
    this.#update();
    return true;
  }
}
