/**
 * Guest memory of system mode as a callback sees it: by virtual address of the calling hart, at its privilege level.
 *
 * @module
 */
import type { SystemCpu } from "../../cpu/engine/system/cpu.ts";
import { Access } from "../../cpu/isa/system.ts";
import { AddressSpace, GuestMemoryError } from "../../mmu/address_space.ts";
import { PAGE_SIZE } from "../../mmu/arena.ts";

/** A run of bytes in RAM. */
interface Piece {
  offset: number;
  length: number;
}

const decoder = new TextDecoder();

/**
 * Memory by virtual address. Addresses of the upper half are negative numbers, as callbacks get them in arguments.
 *
 * A range is in one piece only within a page, or where the pages follow each other in RAM: a view for reading is a copy
 * otherwise, and there is no view for writing; {@linkcode write} does it in any case. Device registers can't be reached.
 */
export class VirtualMemory extends AddressSpace {
  readonly #cpu: SystemCpu;
  /** RAM by offset. */
  readonly #ram: AddressSpace;

  constructor(cpu: SystemCpu) {
    super(cpu.bus.ram.arena);
    this.#cpu = cpu;
    this.#ram = cpu.bus.ram;
  }

  /** Where a range is in RAM, neighbours joined; undefined if not all of it may be accessed. */
  #pieces(address: number, length: number, access: number): Piece[] | undefined {
    const pieces: Piece[] = [];
    if (!Number.isSafeInteger(address) || !Number.isSafeInteger(length) || length < 0) {
      return undefined;
    }
    if (length > this.#ram.size) return undefined;
    for (let at = address, left = length; left > 0;) {
      const inPage = at - Math.floor(at / PAGE_SIZE) * PAGE_SIZE;
      const count = Math.min(left, PAGE_SIZE - inPage);
      const physical = this.#cpu.translate(at, access);
      const offset = physical === undefined ? -1 : this.#cpu.bus.ramOffset(physical, count);
      if (offset < 0) return undefined;
      const last = pieces.at(-1);
      if (last && last.offset + last.length === offset) last.length += count;
      else pieces.push({ offset, length: count });
      at += count;
      left -= count;
    }
    return pieces;
  }

  override inBounds(address: number, length: number): boolean {
    return this.isReadable(address, length);
  }
  override isMapped(address: number, length: number): boolean {
    return this.isReadable(address, length);
  }
  override isReadable(address: number, length: number): boolean {
    return this.#pieces(address, length, Access.LOAD) !== undefined;
  }
  override isWritable(address: number, length: number): boolean {
    return this.#pieces(address, length, Access.STORE) !== undefined;
  }
  override isExecutable(address: number, length: number): boolean {
    return this.#pieces(address, length, Access.FETCH) !== undefined;
  }

  override readView(address: number, length: number): Uint8Array<ArrayBuffer> | undefined {
    const pieces = this.#pieces(address, length, Access.LOAD);
    if (!pieces) return undefined;
    const { m8 } = this.arena;
    const view = ({ offset, length }: Piece) => m8.subarray(offset, offset + length);
    if (pieces.length === 1) return view(pieces[0]);
    const copy = new Uint8Array(length);
    let at = 0;
    for (const piece of pieces) {
      copy.set(view(piece), at);
      at += piece.length;
    }
    return copy;
  }

  override writeView(address: number, length: number): Uint8Array<ArrayBuffer> | undefined {
    const pieces = this.#pieces(address, length, Access.STORE);
    if (!pieces || pieces.length > 1) return undefined;
    return pieces.length === 0
      ? new Uint8Array(0)
      : this.#ram.writeView(pieces[0].offset, pieces[0].length);
  }

  override hostView(address: number, length: number): Uint8Array<ArrayBuffer> | undefined {
    return this.writeView(address, length);
  }

  /** Writes a range page by page; false, and nothing is written, if the guest may not write all of it. */
  tryWrite(address: number, bytes: Uint8Array): boolean {
    const pieces = this.#pieces(address, bytes.length, Access.STORE);
    if (!pieces) return false;
    let at = 0;
    for (const { offset, length } of pieces) {
      const view = this.#ram.writeView(offset, length);
      if (!view) return false;
      view.set(bytes.subarray(at, at + length));
      at += length;
    }
    return true;
  }

  override write(address: number, bytes: Uint8Array): void {
    if (!this.tryWrite(address, bytes)) throw new GuestMemoryError("write", address, bytes.length);
  }

  #load(address: number, length: number): DataView {
    const bytes = this.read(address, length);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  #store(address: number, length: number, set: (view: DataView) => void): void {
    const bytes = new Uint8Array(length);
    set(new DataView(bytes.buffer));
    this.write(address, bytes);
  }

  override readU8(address: number): number {
    return this.#load(address, 1).getUint8(0);
  }
  override readU16(address: number): number {
    return this.#load(address, 2).getUint16(0, true);
  }
  override readU32(address: number): number {
    return this.#load(address, 4).getUint32(0, true);
  }
  override readU64(address: number): bigint {
    return this.#load(address, 8).getBigUint64(0, true);
  }
  override readF64(address: number): number {
    return this.#load(address, 8).getFloat64(0, true);
  }
  override writeU8(address: number, value: number): void {
    this.#store(address, 1, (view) => view.setUint8(0, value));
  }
  override writeU16(address: number, value: number): void {
    this.#store(address, 2, (view) => view.setUint16(0, value, true));
  }
  override writeU32(address: number, value: number): void {
    this.#store(address, 4, (view) => view.setUint32(0, value, true));
  }
  override writeU64(address: number, value: bigint): void {
    this.#store(address, 8, (view) => view.setBigUint64(0, BigInt.asUintN(64, value), true));
  }
  override writeF64(address: number, value: number): void {
    this.#store(address, 8, (view) => view.setFloat64(0, value, true));
  }

  override cStringBytes(
    address: number,
    limit: number,
  ): Uint8Array<ArrayBuffer> | undefined | null {
    const bytes: number[] = [];
    for (let at = address; bytes.length <= limit;) {
      const inPage = at - Math.floor(at / PAGE_SIZE) * PAGE_SIZE;
      const view = this.readView(at, PAGE_SIZE - inPage);
      if (!view) return undefined;
      for (const byte of view) {
        if (byte === 0) return Uint8Array.from(bytes);
        if (bytes.length === limit) return null;
        bytes.push(byte);
      }
      at += view.length;
    }
    return null;
  }

  override readCString(address: number, limit = 1 << 20): string {
    const bytes = this.cStringBytes(address, limit);
    if (!bytes) throw new GuestMemoryError("read a string of at most", address, limit);
    return decoder.decode(bytes);
  }
}
