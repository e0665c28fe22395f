/**
 * Virtio queues and what a virtio device is, whatever its transport.
 *
 * Everything in a queue comes from the guest: addresses, lengths and chains are checked, a chain has at most as many
 * descriptors as its queue, and a device never gets more than {@linkcode MAX_CHAIN_BYTES} of them.
 *
 * Source: Virtual I/O Device (VIRTIO) Version 1.1, sections 2.6 (split virtqueues) and 5.
 *
 * @module
 */
import type { Bus } from "../../../mmu/bus.ts";
import type { State, Stateful, StateReader } from "../state.ts";

/** Feature bits of every device (section 6). */
export const Feature = { INDIRECT_DESC: 1n << 28n, VERSION_1: 1n << 32n } as const;

/** Largest queue. */
export const QUEUE_SIZE = 256;
/** Most bytes of one chain, in each direction. */
export const MAX_CHAIN_BYTES = 4 << 20;

const DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4;
const AVAIL_NO_INTERRUPT = 1;
const DESC_BYTES = 16;

/** A piece of guest memory, by offset in RAM. */
interface Piece {
  offset: number;
  length: number;
}

/** A chain of descriptors that the guest made available. */
export class Chain {
  /** Index of its first descriptor. */
  readonly head: number;
  readonly #bus: Bus;
  readonly #readable: Piece[];
  readonly #writable: Piece[];

  constructor(bus: Bus, head: number, readable: Piece[], writable: Piece[]) {
    this.#bus = bus;
    this.head = head;
    this.#readable = readable;
    this.#writable = writable;
  }

  /** Bytes that the device may read. */
  get readLength(): number {
    return this.#readable.reduce((sum, { length }) => sum + length, 0);
  }

  /** Bytes that the device may write. */
  get writeLength(): number {
    return this.#writable.reduce((sum, { length }) => sum + length, 0);
  }

  /** A copy of up to `length` bytes from `from` on of what the guest sends. */
  read(from = 0, length = Infinity): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.readLength - from)));
    let at = 0, skip = from;
    for (const piece of this.#readable) {
      if (at === bytes.length) break;
      if (skip >= piece.length) {
        skip -= piece.length;
        continue;
      }
      const count = Math.min(piece.length - skip, bytes.length - at);
      const start = piece.offset + skip;
      bytes.set(this.#bus.ram.arena.m8.subarray(start, start + count), at);
      at += count;
      skip = 0;
    }
    return bytes;
  }

  /** Writes bytes to the guest, from `from` on of its buffers; returns how many there was room for. */
  write(bytes: Uint8Array, from = 0): number {
    let at = 0, skip = from;
    for (const piece of this.#writable) {
      if (at === bytes.length) break;
      if (skip >= piece.length) {
        skip -= piece.length;
        continue;
      }
      const count = Math.min(piece.length - skip, bytes.length - at);
      const view = this.#bus.ram.writeView(piece.offset + skip, count);
      view!.set(bytes.subarray(at, at + count));
      at += count;
      skip = 0;
    }
    return at;
  }
}

/** A split virtqueue. */
export class Virtqueue implements Stateful {
  /** Number of descriptors, a power of two. */
  size = QUEUE_SIZE;
  ready = false;
  /** Physical addresses of its parts. */
  descriptors = 0;
  available = 0;
  used = 0;
  readonly #bus: Bus;
  #nextAvailable = 0;
  #nextUsed = 0;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /** Back to what it was at first. */
  reset(): void {
    this.size = QUEUE_SIZE;
    this.ready = false;
    this.descriptors = this.available = this.used = 0;
    this.#nextAvailable = this.#nextUsed = 0;
  }

  save(): State {
    const { size, ready, descriptors, available, used } = this;
    const next = [this.#nextAvailable, this.#nextUsed];
    return { size, ready, places: [descriptors, available, used], next };
  }

  restore(state: StateReader): void {
    this.size = state.at("size").number(1, QUEUE_SIZE);
    this.ready = state.at("ready").boolean();
    [this.descriptors, this.available, this.used] = state.at("places").list(3).map((place) =>
      place.number(0, 2 ** 64)
    );
    [this.#nextAvailable, this.#nextUsed] = state.at("next").list(2).map((index) =>
      index.number(0, 0xffff)
    );
  }

  /** Offset of `length` bytes of memory that can be written at a physical address, or undefined. */
  #ram(address: number, length: number): number | undefined {
    const offset = this.#bus.ramOffset(address, length);
    return offset < 0 || !this.#bus.ram.isWritable(offset, length) ? undefined : offset;
  }

  #u16(address: number): number | undefined {
    const offset = this.#ram(address, 2);
    if (offset === undefined) return undefined;
    const m8 = this.#bus.ram.arena.m8;
    return m8[offset] | m8[offset + 1] << 8;
  }

  #put(address: number, value: number, size: number): boolean {
    return this.#ram(address, size) !== undefined && this.#bus.write(address, size, value, 0);
  }

  /** Descriptor at a physical address; undefined if it is not in RAM. */
  #descriptor(address: number) {
    const offset = this.#ram(address, DESC_BYTES);
    if (offset === undefined) return undefined;
    const m8 = this.#bus.ram.arena.m8;
    const view = new DataView(m8.buffer, m8.byteOffset + offset, DESC_BYTES);
    return {
      address: Number(view.getBigUint64(0, true)),
      length: view.getUint32(8, true),
      flags: view.getUint16(12, true),
      next: view.getUint16(14, true),
    };
  }

  /**
   * The next chain that the guest made available.
   *
   * @returns Undefined if there is none, "broken" if the queue holds nonsense: the device needs a reset then.
   */
  pop(): Chain | undefined | "broken" {
    if (!this.ready) return undefined;
    const index = this.#u16(this.available + 2);
    if (index === undefined) return "broken";
    if (index === this.#nextAvailable) return undefined;
    // No driver can have more chains available than there are descriptors.
    if ((index - this.#nextAvailable & 0xffff) > this.size) return "broken";
    const head = this.#u16(this.available + 4 + 2 * (this.#nextAvailable & this.size - 1));
    if (head === undefined) return "broken";
    this.#nextAvailable = this.#nextAvailable + 1 & 0xffff;
    return this.#chain(head);
  }

  #chain(head: number): Chain | "broken" {
    const readable: Piece[] = [], writable: Piece[] = [];
    let table = this.descriptors, size = this.size, index = head, indirect = false;
    let bytes = 0;
    // Each step takes a descriptor, of which a chain without a loop has at most `size`.
    for (let count = 0; count < size; count++) {
      if (index >= size) return "broken";
      const descriptor = this.#descriptor(table + index * DESC_BYTES);
      if (descriptor === undefined) return "broken";
      const { address, length, flags, next } = descriptor;
      if ((flags & DESC_INDIRECT) !== 0) {
        const entries = length / DESC_BYTES;
        const wrong = indirect || count > 0 || (flags & DESC_NEXT) !== 0;
        if (wrong || !Number.isInteger(entries) || entries === 0 || entries > QUEUE_SIZE) {
          return "broken";
        }
        indirect = true;
        table = address;
        size = entries;
        index = 0;
        count = -1;
        continue;
      }
      const write = (flags & DESC_WRITE) !== 0;
      bytes += length;
      const offset = this.#ram(address, length);
      // What the device writes comes after what it reads.
      if (offset === undefined || bytes > MAX_CHAIN_BYTES || (!write && writable.length > 0)) {
        return "broken";
      }
      if (length > 0) (write ? writable : readable).push({ offset, length });
      if ((flags & DESC_NEXT) === 0) return new Chain(this.#bus, head, readable, writable);
      index = next;
    }
    return "broken";
  }

  /**
   * Gives a chain back.
   *
   * @param written Bytes that the device wrote to it.
   * @returns Whether the guest wants an interrupt; "broken" if the queue is not in RAM.
   */
  push(chain: Chain, written: number): boolean | "broken" {
    const entry = this.used + 4 + 8 * (this.#nextUsed & this.size - 1);
    this.#nextUsed = this.#nextUsed + 1 & 0xffff;
    const done = this.#put(entry, chain.head, 4) && this.#put(entry + 4, written, 4) &&
      this.#put(this.used + 2, this.#nextUsed, 2);
    if (!done) return "broken";
    const flags = this.#u16(this.available);
    return flags === undefined ? "broken" : (flags & AVAIL_NO_INTERRUPT) === 0;
  }
}

/** What a device gets from its transport. */
export interface VirtioHost {
  /** The next chain of a queue; undefined if there is none. */
  pop(queue: number): Chain | undefined;
  /** Gives a chain back, and tells the guest. */
  push(queue: number, chain: Chain, written: number): void;
}

/** A virtio device, without its transport. */
export interface VirtioDevice {
  /** Device type (section 5). */
  readonly id: number;
  /** Feature bits that it offers, besides those of every device. */
  readonly features: bigint;
  /** Number of queues. */
  readonly queues: number;
  /** Its configuration space. */
  readonly config: Uint8Array;
  /** The guest's driver is there; called before anything else, again after each reset. */
  start(host: VirtioHost): void;
  /** The guest made something available in a queue. */
  notify(queue: number): void;
  /** What it keeps between requests, for a snapshot; absent: nothing that a guest would miss. */
  save?(): State;
  /** Takes over what {@linkcode save} gave; `start` was called before if the driver is there. */
  restore?(state: StateReader): void;
}
