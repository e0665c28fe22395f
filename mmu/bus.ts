/**
 * The physical address space of system mode: RAM, and devices that answer loads and stores.
 *
 * RAM is guest memory of the arena, `Bus.ramBase` is physical address of its first byte. Everything else is a region of
 * a device, or nothing: an access there faults.
 *
 * @module
 */
import type { AddressSpace } from "./address_space.ts";

/** A device in the physical address space. Offsets and values come from the guest and are to be taken as hostile. */
export interface MmioDevice {
  /**
   * Reads a register.
   *
   * @param offset Byte offset in the device's region, a multiple of `size`.
   * @param size 1, 2 or 4 bytes.
   * @returns The value; its low `size` bytes count. Undefined: there is nothing to read, the load faults.
   */
  read(offset: number, size: number): number | undefined;
  /**
   * Writes a register.
   *
   * @param value Unsigned.
   * @returns False if the store faults.
   */
  write(offset: number, size: number, value: number): boolean | void;
  /** Reads 8 bytes at once, for devices whose registers have 64 bits; else it is two reads of 4, the low word first. */
  read64?(offset: number): bigint | undefined;
  /** Writes 8 bytes at once, as two words; else it is two writes of 4, the low word first. */
  write64?(offset: number, lo: number, hi: number): boolean | void;
}

/** A device and where it is. */
export interface Region {
  /** First physical address. */
  start: number;
  /** Bytes. */
  size: number;
  device: MmioDevice;
}

/** Guest memory at a second place. Who moves it has to have all TLBs flushed. */
export interface Window {
  /** First physical address. */
  start: number;
  /** Bytes; 0: it is nowhere. */
  size: number;
  /** Offset in guest memory. */
  offset: number;
  /** Takes stores, by offset in the window, if the memory may not be written. */
  stores?: MmioDevice;
}

/** The physical address space of one machine. */
export class Bus {
  /** RAM, addressed by offset. */
  readonly ram: AddressSpace;
  /** Physical address of RAM's first byte. */
  readonly ramBase: number;
  /** Physical address after RAM. */
  readonly ramEnd: number;
  /** Low and high word of the last read. */
  lo = 0;
  hi = 0;
  /** Accesses that reached a device. */
  accesses = 0;
  /** Whether the last write reached a device, which, and where it begins and how long it is. */
  toDevice = false;
  target: MmioDevice | undefined;
  targetStart = 0;
  targetSize = 0;
  readonly #regions: Region[] = [];
  readonly #windows: Window[] = [];
  #last: Region | undefined;
  readonly #m8: Uint8Array;
  readonly #m32: Int32Array;

  /** @param ramBytes Bytes of guest memory that are RAM; the others are reached by windows only. */
  constructor(ram: AddressSpace, ramBase: number, ramBytes = ram.size) {
    this.ram = ram;
    this.ramBase = ramBase;
    this.ramEnd = ramBase + ramBytes;
    this.#m8 = ram.arena.m8;
    this.#m32 = ram.arena.m32;
  }

  /** Adds a device. @throws {RangeError} If its region is empty or overlaps another one or RAM. */
  add(region: Region): void {
    const end = region.start + region.size;
    const overlaps = (start: number, stop: number) => region.start < stop && start < end;
    const other = this.#regions.find((r) => overlaps(r.start, r.start + r.size));
    if (!(region.size > 0) || other || overlaps(this.ramBase, this.ramEnd)) {
      throw new RangeError(
        `Cannot place a device at physical address 0x${region.start.toString(16)} (0x${
          region.size.toString(16)
        } bytes): ${
          !(region.size > 0)
            ? "it is empty"
            : other
            ? `there is one at 0x${other.start.toString(16)}`
            : "RAM is there"
        }`,
      );
    }
    this.#regions.push(region);
  }

  /** Shows a part of guest memory at another physical address: memory of a device that is accessed like RAM. */
  addWindow(window: Window): void {
    this.#windows.push(window);
  }

  /** Offset in guest memory of `size` bytes at a physical address, or -1 if they are not all memory. */
  ramOffset(address: number, size: number): number {
    if (address >= this.ramBase && address + size <= this.ramEnd) return address - this.ramBase;
    const windows = this.#windows;
    for (let i = 0; i < windows.length; i++) {
      const window = windows[i], at = address - window.start;
      if (at >= 0 && at + size <= window.size) return at + window.offset;
    }
    return -1;
  }

  #find(address: number, size: number): Region | undefined {
    const last = this.#last;
    if (last && address >= last.start && address + size <= last.start + last.size) return last;
    return this.#last = this.#regions.find((r) =>
      address >= r.start && address + size <= r.start + r.size
    );
  }

  /** Reads `size` bytes (1 to 8) at an offset in guest memory into `lo` and `hi`, zero-extended. */
  readRam(offset: number, size: number): void {
    if (size >= 4 && (offset & 3) === 0) {
      this.lo = this.#m32[offset >>> 2];
      this.hi = size === 8 ? this.#m32[(offset >>> 2) + 1] : 0;
      return;
    }
    let lo = 0, hi = 0;
    for (let i = Math.min(size, 4) - 1; i >= 0; i--) lo = lo << 8 | this.#m8[offset + i];
    for (let i = size - 1; i >= 4; i--) hi = hi << 8 | this.#m8[offset + i];
    this.lo = lo;
    this.hi = hi;
  }

  /** Writes the low `size` bytes of a pair at an offset in guest memory, where no translated code is. */
  writeRam(offset: number, size: number, lo: number, hi: number): void {
    const m8 = this.#m8;
    for (let i = 0; i < size; i++) m8[offset + i] = i < 4 ? lo >>> 8 * i : hi >>> 8 * (i - 4);
  }

  /** Reads `size` bytes (1, 2, 4, 8) into `lo` and `hi`, zero-extended; false if nothing answers. */
  read(address: number, size: number): boolean {
    const offset = this.ramOffset(address, size);
    if (offset >= 0) {
      this.readRam(offset, size);
      return true;
    }
    const region = this.#find(address, size);
    if (!region) return false;
    this.accesses++;
    const { device } = region, at = address - region.start;
    if (at % size !== 0) return false;
    if (size === 8) {
      if (device.read64) {
        const value = device.read64(at);
        if (value === undefined) return false;
        this.lo = Number(BigInt.asIntN(32, value));
        this.hi = Number(BigInt.asIntN(32, value >> 32n));
        return true;
      }
      const lo = device.read(at, 4), hi = device.read(at + 4, 4);
      if (lo === undefined || hi === undefined) return false;
      this.lo = lo | 0;
      this.hi = hi | 0;
      return true;
    }
    const value = device.read(at, size);
    if (value === undefined) return false;
    this.lo = size === 4 ? value | 0 : value & (size === 1 ? 0xff : 0xffff);
    this.hi = 0;
    return true;
  }

  /** Gives a store to a device, by aligned offset in it; false if it faults. */
  give(device: MmioDevice, at: number, size: number, lo: number, hi: number): boolean {
    this.accesses++;
    if (size === 4) return device.write(at, 4, lo >>> 0) !== false;
    if (size < 4) return device.write(at, size, lo & (size === 2 ? 0xffff : 0xff)) !== false;
    if (device.write64) return device.write64(at, lo, hi) !== false;
    return device.write(at, 4, lo >>> 0) !== false && device.write(at + 4, 4, hi >>> 0) !== false;
  }

  #store(
    device: MmioDevice,
    { start, size: length }: Region | Window,
    address: number,
    size: number,
    lo: number,
    hi: number,
  ): boolean {
    this.toDevice = true;
    this.target = device;
    this.targetStart = start;
    this.targetSize = length;
    const at = address - start;
    return at % size === 0 && this.give(device, at, size, lo, hi);
  }

  /** Writes the low `size` bytes of a pair; false if nothing takes them. Translated code in RAM is dropped. */
  write(address: number, size: number, lo: number, hi: number): boolean {
    this.toDevice = false;
    const offset = this.ramOffset(address, size);
    if (offset >= 0) {
      if (this.ram.beforeWrite(offset, size)) {
        this.writeRam(offset, size, lo, hi);
        return true;
      }
      const window = this.#windows.find((w) =>
        w.stores && address >= w.start && address + size <= w.start + w.size
      );
      if (window) return this.#store(window.stores!, window, address, size, lo, hi);
    }
    const region = this.#find(address, size);
    return region !== undefined && this.#store(region.device, region, address, size, lo, hi);
  }
}
