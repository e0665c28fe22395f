/**
 * A user-mode address space: guest addresses map to the arena by identity, one byte a page says what is allowed.
 *
 * The interpreter and the compiled tiers test that byte inline (`Page.LOAD`, `Page.STORE`); everything else
 * (system calls, loaders, callbacks) goes through this class.
 *
 * @module
 */
import { Arena, PAGE_SHIFT, PAGE_SIZE } from "./arena.ts";

/** Bits of a page-table byte. */
export const Page = {
  /** Loads may go straight to memory. */
  LOAD: 1,
  /** Stores may go straight to memory, and loads: writable, and no translated code in the page. */
  STORE: 2,
  /** Instructions may be fetched. */
  EXEC: 4,
  /** The page is mapped (perhaps with no access at all). */
  MAPPED: 8,
  /** The page is writable, whatever `STORE` says. */
  WRITE: 16,
  /** Code was translated from this page: stores must tell the code cache. */
  WATCHED: 32,
  /** The page may hold bytes of an earlier mapping and must be cleared before it is mapped again. */
  USED: 64,
} as const;

/** Access rights of a mapping, with the numbers of Linux' `PROT_*`. */
export const Prot = { NONE: 0, READ: 1, WRITE: 2, EXEC: 4 } as const;

/** A host access to guest memory that the guest's mappings do not allow. */
export class GuestMemoryError extends Error {
  /** For `error.name` in messages. */
  override name = "GuestMemoryError";
  /** Guest address of the access. */
  readonly address: number;
  /**
   * Describes an access.
   *
   * @param what What was tried, such as "read".
   * @param length Bytes of the access.
   */
  constructor(what: string, address: number, length: number) {
    super(
      `Cannot ${what} ${length} byte${length === 1 ? "" : "s"} at guest address 0x${
        address.toString(16)
      }: not mapped with that access`,
    );
    this.address = address;
  }
}

/** A run of pages with equal access rights. */
export interface Mapping {
  /** First byte address. */
  start: number;
  /** Address after the last byte. */
  end: number;
  /** Access rights, `Prot` bits. */
  prot: number;
}

const utf8 = new TextDecoder();

/** Pages, protections and bounds-checked host access of one guest address space. */
export class AddressSpace {
  /** The memory behind it. */
  readonly arena: Arena;
  /** Number of pages that exist; higher page numbers are never mapped. */
  readonly pageCount: number;
  /** Called before watched code in pages `first` to `last` (inclusive) changes, moves or loses its rights. */
  onCodeChange: (first: number, last: number) => void = () => {};
  /** Called after pages lost rights that compiled code may remember. */
  onRightsLost: () => void = () => {};
  #pages: Uint8Array;
  /** The page table, four pages an element. */
  #words: Int32Array;
  #view: DataView;

  /** An address space over an arena, with nothing mapped. */
  constructor(arena: Arena) {
    this.arena = arena;
    this.pageCount = arena.guestBytes >>> PAGE_SHIFT;
    this.#pages = arena.pages;
    const { buffer, byteOffset, byteLength } = arena.pages;
    this.#words = new Int32Array(buffer, byteOffset, byteLength / 4);
    this.#view = new DataView(arena.m8.buffer, arena.m8.byteOffset, arena.m8.byteLength);
  }

  /** Bytes from guest address 0 to the end of guest memory. */
  get size(): number {
    return this.arena.guestBytes;
  }

  /** Whether `[address, address + length)` lies in guest memory, mapped or not. */
  inBounds(address: number, length: number): boolean {
    return address >= 0 && length >= 0 && address + length <= this.size;
  }

  #flags(prot: number): number {
    // As on Linux for RISC-V: writable pages are readable.
    const write = prot & Prot.WRITE ? Page.WRITE | Page.STORE | Page.LOAD : 0;
    return Page.MAPPED | write | (prot & Prot.READ ? Page.LOAD : 0) |
      (prot & Prot.EXEC ? Page.EXEC : 0);
  }

  /** Whether a page of `first` to `last` has one of the bits. */
  #any(first: number, last: number, bits: number): boolean {
    const pages = this.#pages, words = this.#words, four = bits * 0x0101_0101;
    for (let page = first; page <= last; page++) {
      if ((page & 3) === 0) {
        // Most ranges are long and have none.
        while (page + 3 <= last && (words[page >> 2] & four) === 0) page += 4;
        if (page > last) return false;
      }
      if ((pages[page] & bits) !== 0) return true;
    }
    return false;
  }

  /** Tells the code cache if any page in the range holds translated code. */
  #codeChange(first: number, last: number): void {
    if (!this.#any(first, last, Page.WATCHED)) return;
    this.onCodeChange(first, last);
    for (let page = first; page <= last; page++) this.#unwatch(page);
  }

  #unwatch(page: number): void {
    const flags = this.#pages[page];
    this.#pages[page] = (flags & ~Page.WATCHED) | (flags & Page.WRITE ? Page.STORE : 0);
  }

  /** Marks a page as holding translated code: the next store to it calls {@linkcode onCodeChange} first. */
  watch(page: number): void {
    const flags = this.#pages[page];
    this.#pages[page] = (flags | Page.WATCHED) & ~Page.STORE;
    if (flags & Page.STORE) this.onRightsLost();
  }

  /**
   * Maps zero-filled pages, replacing what is there.
   *
   * @param address Page-aligned guest address.
   * @param length Bytes, rounded up to whole pages.
   * @param prot `Prot` bits.
   * @throws {RangeError} If the range is unaligned or outside guest memory.
   */
  map(address: number, length: number, prot: number): void {
    const [first, last] = this.#range(address, length, "map");
    this.#codeChange(first, last);
    const pages = this.#pages;
    if (this.#any(first, last, Page.USED | Page.MAPPED)) {
      for (let page = first; page <= last; page++) {
        if ((pages[page] & (Page.USED | Page.MAPPED)) === 0) continue;
        this.arena.m8.fill(0, page << PAGE_SHIFT, (page + 1) << PAGE_SHIFT);
      }
    }
    pages.fill(this.#flags(prot) | Page.USED, first, last + 1);
    this.onRightsLost();
  }

  /** Unmaps whole pages; pages that are not mapped are passed over. */
  unmap(address: number, length: number): void {
    const [first, last] = this.#range(address, length, "unmap");
    this.#codeChange(first, last);
    for (let page = first; page <= last; page++) this.#pages[page] &= Page.USED;
    this.onRightsLost();
  }

  /** Changes access rights of pages that are all mapped; returns false (and changes nothing) if one isn't. */
  protect(address: number, length: number, prot: number): boolean {
    const [first, last] = this.#range(address, length, "protect");
    if (!this.isMapped(address, length)) return false;
    this.#codeChange(first, last);
    this.#pages.fill(this.#flags(prot) | Page.USED, first, last + 1);
    this.onRightsLost();
    return true;
  }

  /** Whether every page of the range is mapped, with whatever rights. */
  isMapped(address: number, length: number): boolean {
    return this.#all(address, length, Page.MAPPED);
  }

  /** Whether no page of the range is mapped. */
  isFree(address: number, length: number): boolean {
    if (!this.inBounds(address, length)) return false;
    return !this.#any(address >>> PAGE_SHIFT, (address + length - 1) >>> PAGE_SHIFT, Page.MAPPED);
  }

  /**
   * Finds the highest run of unmapped pages within `[low, high)`.
   *
   * @param length Bytes, rounded up to whole pages.
   * @returns Its guest address, or undefined if there is none.
   */
  findFree(length: number, low: number, high: number): number | undefined {
    const need = Math.ceil(length / PAGE_SIZE), pages = this.#pages;
    const bottom = Math.ceil(low / PAGE_SIZE);
    let run = 0;
    for (let page = Math.min(high >>> PAGE_SHIFT, this.pageCount) - 1; page >= bottom; page--) {
      run = pages[page] & Page.MAPPED ? 0 : run + 1;
      if (run === need) return page * PAGE_SIZE;
    }
    return undefined;
  }

  /** The mappings, in address order, neighbours with equal rights merged. */
  *mappings(): Generator<Mapping> {
    const pages = this.#pages;
    let start = 0;
    let current = -1;
    for (let page = 0; page <= this.pageCount; page++) {
      const flags = page < this.pageCount ? pages[page] : 0;
      const prot = flags & Page.MAPPED
        ? (flags & Page.LOAD ? Prot.READ : 0) | (flags & Page.WRITE ? Prot.WRITE : 0) |
          (flags & Page.EXEC ? Prot.EXEC : 0)
        : -1;
      if (prot === current) continue;
      if (current >= 0) yield { start: start * PAGE_SIZE, end: page * PAGE_SIZE, prot: current };
      start = page;
      current = prot;
    }
  }

  #range(address: number, length: number, what: string): [number, number] {
    if (address % PAGE_SIZE !== 0 || length <= 0 || !this.inBounds(address, length)) {
      throw new RangeError(
        `Cannot ${what} ${length} bytes at guest address 0x${
          address.toString(16)
        }: unaligned, empty or outside guest memory (0x${this.size.toString(16)} bytes)`,
      );
    }
    return [address >>> PAGE_SHIFT, (address + length - 1) >>> PAGE_SHIFT];
  }

  #all(address: number, length: number, flag: number): boolean {
    if (!this.inBounds(address, length)) return false;
    if (length === 0) return true;
    const last = (address + length - 1) >>> PAGE_SHIFT;
    for (let page = address >>> PAGE_SHIFT; page <= last; page++) {
      if ((this.#pages[page] & flag) === 0) return false;
    }
    return true;
  }

  /** Whether the guest may load every byte of the range. */
  isReadable(address: number, length: number): boolean {
    return this.#all(address, length, Page.LOAD);
  }

  /** Whether the guest may store to every byte of the range. */
  isWritable(address: number, length: number): boolean {
    return this.#all(address, length, Page.WRITE);
  }

  /** Whether the guest may execute every byte of the range. */
  isExecutable(address: number, length: number): boolean {
    return this.#all(address, length, Page.EXEC);
  }

  /**
   * A live view of guest memory for reading, or undefined if the guest may not read all of it (EFAULT).
   *
   * @param address Guest address, any number: what is not an address is not readable.
   */
  readView(address: number, length: number): Uint8Array<ArrayBuffer> | undefined {
    return this.isReadable(address, length)
      ? this.arena.m8.subarray(address, address + length)
      : undefined;
  }

  /**
   * A live view of guest memory for writing at once, or undefined if the guest may not write all of it (EFAULT).
   * Translated code in the range is dropped; do not keep the view for later writes to pages that hold code.
   */
  writeView(address: number, length: number): Uint8Array<ArrayBuffer> | undefined {
    if (!this.beforeWrite(address, length)) return undefined;
    return this.arena.m8.subarray(address, address + length);
  }

  /**
   * Drops translated code in a range that is about to be written to by the arena's views; false if the guest may not
   * write all of it.
   */
  beforeWrite(address: number, length: number): boolean {
    if (!this.isWritable(address, length)) return false;
    if (length > 0) {
      this.#codeChange(address >>> PAGE_SHIFT, (address + length - 1) >>> PAGE_SHIFT);
    }
    return true;
  }

  /**
   * A live view of any mapped guest memory, whatever its rights: for loaders and debuggers, which may write
   * read-only pages. Translated code in the range is dropped.
   */
  hostView(address: number, length: number): Uint8Array<ArrayBuffer> | undefined {
    if (!this.isMapped(address, length)) return undefined;
    if (length > 0) {
      this.#codeChange(address >>> PAGE_SHIFT, (address + length - 1) >>> PAGE_SHIFT);
    }
    return this.arena.m8.subarray(address, address + length);
  }

  /** Copies guest memory out. @throws {GuestMemoryError} If the guest may not read all of it. */
  read(address: number, length: number): Uint8Array<ArrayBuffer> {
    const view = this.readView(address, length);
    if (!view) throw new GuestMemoryError("read", address, length);
    return view.slice();
  }

  /** Copies bytes into guest memory. @throws {GuestMemoryError} If the guest may not write all of it. */
  write(address: number, bytes: Uint8Array): void {
    const view = this.writeView(address, bytes.length);
    if (!view) throw new GuestMemoryError("write", address, bytes.length);
    view.set(bytes);
  }

  /** A DataView of guest memory for reading `length` bytes at `address` (little endian is the caller's business). */
  #at(what: "read" | "write", address: number, length: number): DataView {
    const view = what === "read" ? this.readView(address, length) : this.writeView(address, length);
    if (!view) throw new GuestMemoryError(what, address, length);
    return this.#view;
  }

  /** Reads an unsigned 8-bit value. @throws {GuestMemoryError} */
  readU8(address: number): number {
    return this.#at("read", address, 1).getUint8(address);
  }
  /** Reads an unsigned little-endian 16-bit value. @throws {GuestMemoryError} */
  readU16(address: number): number {
    return this.#at("read", address, 2).getUint16(address, true);
  }
  /** Reads an unsigned little-endian 32-bit value. @throws {GuestMemoryError} */
  readU32(address: number): number {
    return this.#at("read", address, 4).getUint32(address, true);
  }
  /** Reads an unsigned little-endian 64-bit value. @throws {GuestMemoryError} */
  readU64(address: number): bigint {
    return this.#at("read", address, 8).getBigUint64(address, true);
  }
  /** Reads a little-endian double. @throws {GuestMemoryError} */
  readF64(address: number): number {
    return this.#at("read", address, 8).getFloat64(address, true);
  }
  /** Writes an 8-bit value. @throws {GuestMemoryError} */
  writeU8(address: number, value: number): void {
    this.#at("write", address, 1).setUint8(address, value);
  }
  /** Writes a little-endian 16-bit value. @throws {GuestMemoryError} */
  writeU16(address: number, value: number): void {
    this.#at("write", address, 2).setUint16(address, value, true);
  }
  /** Writes a little-endian 32-bit value. @throws {GuestMemoryError} */
  writeU32(address: number, value: number): void {
    this.#at("write", address, 4).setUint32(address, value, true);
  }
  /** Writes a little-endian 64-bit value. @throws {GuestMemoryError} */
  writeU64(address: number, value: bigint): void {
    this.#at("write", address, 8).setBigUint64(address, BigInt.asUintN(64, value), true);
  }
  /** Writes a little-endian double. @throws {GuestMemoryError} */
  writeF64(address: number, value: number): void {
    this.#at("write", address, 8).setFloat64(address, value, true);
  }

  /**
   * The bytes of a NUL-terminated string, without the NUL.
   *
   * @param limit Longest length in bytes, without the NUL.
   * @returns `undefined` if unreadable memory comes before the NUL, `null` if the string is longer than `limit`.
   */
  cStringBytes(address: number, limit: number): Uint8Array<ArrayBuffer> | undefined | null {
    let length = 0;
    while (length <= limit) {
      if (!this.isReadable(address + length, 1)) return undefined;
      const pageEnd = (Math.floor((address + length) / PAGE_SIZE) + 1) * PAGE_SIZE;
      const end = Math.min(pageEnd, address + limit + 1);
      const nul = this.arena.m8.subarray(address + length, end).indexOf(0);
      if (nul >= 0) return this.arena.m8.subarray(address, address + length + nul);
      length = end - address;
    }
    return null;
  }

  /**
   * Reads a NUL-terminated UTF-8 string; malformed bytes become U+FFFD.
   *
   * @throws {GuestMemoryError} If unreadable memory comes before the NUL, or there is none within `limit` bytes.
   */
  readCString(address: number, limit = 1 << 20): string {
    const bytes = this.cStringBytes(address, limit);
    if (!bytes) throw new GuestMemoryError("read a string of at most", address, limit);
    return utf8.decode(bytes);
  }
}
