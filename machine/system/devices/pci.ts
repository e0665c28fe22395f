/**
 * A PCI Express host bridge with one bus: configuration space by ECAM, windows for memory, INTx interrupts.
 *
 * Sources: PCI Local Bus Specification 3.0, chapter 6; PCI Express Base Specification 3.0, section 7.2.2 (ECAM).
 *
 * @module
 */
import type { Window } from "../../../mmu/bus.ts";
import type { State, Stateful, StateReader } from "../state.ts";
import type { InterruptLine, MmioDevice } from "./device.ts";

/** Registers of a function's header, type 0. */
const R = {
  VENDOR: 0x00,
  DEVICE: 0x02,
  COMMAND: 0x04,
  STATUS: 0x06,
  REVISION: 0x08,
  CLASS: 0x09,
  CACHE_LINE: 0x0c,
  BAR: 0x10,
  SUBSYSTEM_VENDOR: 0x2c,
  SUBSYSTEM: 0x2e,
  CAPABILITIES: 0x34,
  INTERRUPT_LINE: 0x3c,
  INTERRUPT_PIN: 0x3d,
} as const;
const COMMAND_MEMORY = 2, COMMAND_MASTER = 4, COMMAND_NO_INTX = 0x400;
/** Memory, bus master, parity response, SERR, interrupt disable. */
const COMMAND_MASK = 0x546;
const STATUS_INTERRUPT = 8, STATUS_CAPABILITIES = 0x10;
const BAR_64 = 4, BAR_PREFETCHABLE = 8;
const BARS = 6, CONFIG_BYTES = 256, FIRST_CAPABILITY = 0x40;
const TWO32 = 0x1_0000_0000;
/** What a read that nobody answers returns. */
const NOBODY = 0xffff_ffff;

/** Functions of one bus that have a number: 32 devices; each has one function here. */
export const PCI_SLOTS = 32;
/** Interrupts of a bridge: a function's pin goes to one of them by its slot. */
export const PCI_INTERRUPTS = 4;

/** A base address register and what is behind it. */
export interface PciBar {
  /** Bytes of address space, a power of two, at least 16. */
  size: number;
  /** It has 64 bits, and takes the next register as well. */
  wide?: boolean;
  prefetchable?: boolean;
  /** Registers. */
  device?: MmioDevice;
  /** Memory, of at most `size` bytes: the bridge shows it at the address that the guest chooses. */
  memory?: { offset: number; size: number };
}

/** What a function says that it is. */
export interface PciIdentity {
  vendor: number;
  device: number;
  /** Base class, subclass and programming interface, in 24 bits. */
  class: number;
  revision?: number;
  subsystemVendor?: number;
  subsystem?: number;
  /** It has an interrupt. */
  interrupt?: boolean;
}

/** A function of a PCI device. */
export class PciFunction implements Stateful {
  /** Called when something that the bridge acts on has changed. */
  onChange: () => void = () => {};
  /** Its base address registers by number; undefined: there is none. */
  readonly bars: readonly (PciBar | undefined)[];
  protected readonly config = new Uint8Array(CONFIG_BYTES);
  /** Bits that the guest may write. */
  protected readonly writable = new Uint8Array(CONFIG_BYTES);
  readonly #view = new DataView(this.config.buffer);
  #nextCapability = FIRST_CAPABILITY;
  #lastPointer: number = R.CAPABILITIES;
  #raised = false;

  /** @throws {RangeError} If a register's size is no power of two, or less than 16. */
  constructor(identity: PciIdentity, bars: readonly (PciBar | undefined)[] = []) {
    this.bars = bars;
    const view = this.#view, writable = new DataView(this.writable.buffer);
    view.setUint16(R.VENDOR, identity.vendor, true);
    view.setUint16(R.DEVICE, identity.device, true);
    view.setUint8(R.REVISION, identity.revision ?? 0);
    view.setUint32(R.REVISION, identity.class * 256 + (identity.revision ?? 0), true);
    view.setUint16(R.SUBSYSTEM_VENDOR, identity.subsystemVendor ?? 0, true);
    view.setUint16(R.SUBSYSTEM, identity.subsystem ?? 0, true);
    view.setUint8(R.INTERRUPT_PIN, identity.interrupt ? 1 : 0);
    writable.setUint16(R.COMMAND, COMMAND_MASK, true);
    writable.setUint8(R.CACHE_LINE, 0xff);
    writable.setUint8(R.INTERRUPT_LINE, 0xff);
    bars.forEach((bar, i) => {
      if (!bar) return;
      if (
        !(bar.size >= 16 && Number.isInteger(Math.log2(bar.size)) && i + (bar.wide ? 1 : 0) < BARS)
      ) {
        throw new RangeError(
          `Cannot make base address register ${i} of ${bar.size} bytes: a power of two from 16 is possible`,
        );
      }
      const at = R.BAR + 4 * i;
      view.setUint32(at, (bar.wide ? BAR_64 : 0) | (bar.prefetchable ? BAR_PREFETCHABLE : 0), true);
      writable.setUint32(at, (-bar.size >>> 0) - (-bar.size >>> 0) % 16, true);
      if (bar.size >= TWO32) writable.setUint32(at, 0, true);
      if (bar.wide) writable.setUint32(at + 4, TWO32 - Math.ceil(bar.size / TWO32), true);
      if (bar.wide && bar.size < TWO32) writable.setUint32(at + 4, NOBODY, true);
    });
  }

  /** Adds a capability; returns the place of its first byte. @param body What follows its id and the pointer. */
  protected addCapability(id: number, body: Uint8Array): number {
    const at = this.#nextCapability;
    this.config[R.STATUS] |= STATUS_CAPABILITIES;
    this.config[this.#lastPointer] = at;
    this.config[at] = id;
    this.config.set(body, at + 2);
    this.#lastPointer = at + 1;
    this.#nextCapability = at + 2 + body.length + 3 & ~3;
    return at;
  }

  get #command(): number {
    return this.#view.getUint16(R.COMMAND, true);
  }

  /** Whether it may access memory by itself. */
  get busMaster(): boolean {
    return (this.#command & COMMAND_MASTER) !== 0;
  }

  /** Whether its interrupt reaches the bridge. */
  get interrupting(): boolean {
    return this.#raised && (this.#command & COMMAND_NO_INTX) === 0;
  }

  /** Raises or lowers its interrupt. */
  readonly interrupt: InterruptLine = (on) => {
    if (on === this.#raised) return;
    this.#raised = on;
    this.onChange();
  };

  /** Where a base address register is, or -1 while memory is off. */
  address(bar: number): number {
    if ((this.#command & COMMAND_MEMORY) === 0) return -1;
    const at = R.BAR + 4 * bar, low = this.#view.getUint32(at, true);
    return low - low % 16 + (this.bars[bar]?.wide ? this.#view.getUint32(at + 4, true) * TWO32 : 0);
  }

  /** Reads its configuration space. @param size 1, 2 or 4. */
  readConfig(register: number, size: number): number {
    if (register >= CONFIG_BYTES) return NOBODY;
    let value = 0;
    for (let i = size - 1; i >= 0; i--) {
      const at = register + i;
      const state = at === R.STATUS && this.#raised ? STATUS_INTERRUPT : 0;
      value = value * 256 + (this.config[at] | state);
    }
    return value;
  }

  /** Writes what can be written of its configuration space. */
  writeConfig(register: number, size: number, value: number): void {
    if (register >= CONFIG_BYTES) return;
    for (let i = 0; i < size; i++) {
      const mask = this.writable[register + i];
      const byte = value >>> 8 * i;
      this.config[register + i] = this.config[register + i] & ~mask | byte & mask;
    }
    if (register < R.SUBSYSTEM_VENDOR) this.onChange();
  }

  save(): State {
    return { config: this.config.slice(), raised: this.#raised };
  }

  restore(state: StateReader): void {
    const config = state.at("config").bytes(CONFIG_BYTES);
    for (let i = 0; i < CONFIG_BYTES; i++) {
      const mask = this.writable[i];
      this.config[i] = this.config[i] & ~mask | config[i] & mask;
    }
    this.#raised = state.at("raised").boolean();
    this.onChange();
  }
}

/** A range of physical addresses that leads to the bus, with the same addresses there. */
export interface PciRange {
  start: number;
  size: number;
}

/** A base address register that is in a range, enabled. */
interface Placed {
  start: number;
  end: number;
  device: MmioDevice;
}

/** What the bridge needs of the board. */
export interface PciHostBoard {
  /** Ranges for memory, of 32 and of 64 bits. */
  ranges: readonly PciRange[];
  /** Interrupts: pin and slot choose one. */
  lines: readonly InterruptLine[];
  /** Shows guest memory at an address; the bridge moves it. */
  addWindow(window: Window): void;
  /** Addresses of memory have changed. */
  remapped(): void;
}

/** The bridge; it is the device of the configuration space itself. */
export class PciHost implements MmioDevice {
  readonly #board: PciHostBoard;
  readonly #functions: (PciFunction | undefined)[] = new Array(PCI_SLOTS).fill(undefined);
  /** Memory behind registers, in the order in which it was added. */
  readonly #windows: { of: PciFunction; bar: number; size: number; window: Window }[] = [];
  readonly #levels: boolean[];
  #placed: Placed[] = [];
  #last: Placed | undefined;

  constructor(board: PciHostBoard) {
    this.#board = board;
    this.#levels = board.lines.map(() => false);
  }

  /** Adds a function. @throws {RangeError} If the slot is not free. */
  add(slot: number, added: PciFunction): void {
    if (!(slot >= 0 && slot < PCI_SLOTS) || this.#functions[slot]) {
      throw new RangeError(`Cannot add a PCI device in slot ${slot}: it is not free`);
    }
    this.#functions[slot] = added;
    added.bars.forEach((bar, i) => {
      if (!bar?.memory) return;
      const window: Window = { start: 0, size: 0, offset: bar.memory.offset };
      if (bar.device) window.stores = bar.device;
      this.#windows.push({ of: added, bar: i, size: bar.memory.size, window });
      this.#board.addWindow(window);
    });
    added.onChange = () => {
      this.#updateInterrupts();
      this.#place();
    };
    added.onChange();
  }

  /** First free slot, or -1. */
  freeSlot(): number {
    return this.#functions.findIndex((there) => there === undefined);
  }

  /** All functions, by slot. */
  get functions(): readonly (PciFunction | undefined)[] {
    return this.#functions;
  }

  #updateInterrupts(): void {
    const { lines } = this.#board;
    const now = lines.map(() => false);
    this.#functions.forEach((f, slot) => {
      if (f?.interrupting) now[slot % PCI_INTERRUPTS] = true;
    });
    now.forEach((on, i) => {
      if (on !== this.#levels[i]) lines[i](this.#levels[i] = on);
    });
  }

  #inRange(start: number, size: number): boolean {
    return this.#board.ranges.some((r) => start >= r.start && start + size <= r.start + r.size);
  }

  /** Finds out where everything is. */
  #place(): void {
    const placed: Placed[] = [];
    for (const f of this.#functions) {
      f?.bars.forEach((bar, i) => {
        const start = bar?.device ? f.address(i) : -1;
        if (bar?.device && this.#inRange(start, bar.size)) {
          placed.push({ start, end: start + bar.size, device: bar.device });
        }
      });
    }
    this.#placed = placed;
    this.#last = undefined;
    let moved = false;
    for (const { of, bar, size, window } of this.#windows) {
      const at = of.address(bar), there = this.#inRange(at, size);
      const start = there ? at : 0, length = there ? size : 0;
      moved ||= window.start !== start || window.size !== length;
      window.start = start;
      window.size = length;
    }
    if (moved) this.#board.remapped();
  }

  // ---- configuration space ----

  #function(offset: number): PciFunction | undefined {
    // Bus 0, function 0.
    const address = Math.floor(offset / 4096);
    return address % 8 === 0 ? this.#functions[address / 8] : undefined;
  }

  read(offset: number, size: number): number {
    return this.#function(offset)?.readConfig(offset % 4096, size) ?? NOBODY;
  }

  write(offset: number, size: number, value: number): void {
    this.#function(offset)?.writeConfig(offset % 4096, size, value);
  }

  // ---- memory ----

  #find(address: number, size: number): Placed | undefined {
    const last = this.#last;
    if (last && address >= last.start && address + size <= last.end) return last;
    return this.#last = this.#placed.find((p) => address >= p.start && address + size <= p.end);
  }

  /** Reads 1, 2 or 4 bytes at an address of the bus; all ones where nobody answers. */
  readMemory(address: number, size: number): number {
    const to = this.#find(address, size);
    return to?.device.read(address - to.start, size) ?? NOBODY;
  }

  /** Writes 1, 2 or 4 bytes at an address of the bus. */
  writeMemory(address: number, size: number, value: number): void {
    const to = this.#find(address, size);
    to?.device.write(address - to.start, size, value);
  }

  /** What answers at a range's physical addresses. */
  range(start: number): MmioDevice {
    return {
      read: (offset, size) => this.readMemory(start + offset, size),
      write: (offset, size, value) => this.writeMemory(start + offset, size, value),
      write64: (offset, lo, hi) => {
        const to = this.#find(start + offset, 8), at = to ? start + offset - to.start : 0;
        if (to?.device.write64) {
          to.device.write64(at, lo, hi);
          return;
        }
        to?.device.write(at, 4, lo >>> 0);
        to?.device.write(at + 4, 4, hi >>> 0);
      },
    };
  }
}

/** Addresses for I/O ports, of which no device here has any: reads are all ones. */
export const NO_PORTS: MmioDevice = { read: () => NOBODY, write: () => {} };
