/**
 * A bounded first-in first-out buffer of bytes.
 *
 * @module
 */

/** Bytes in the order in which they came, at most as many as its capacity. */
export class ByteRing {
  readonly capacity: number;
  /** Bytes in it. */
  length = 0;
  #bytes: Uint8Array<ArrayBuffer> | undefined;
  #start = 0;

  /** @param capacity Most bytes; memory is taken when the first one comes. */
  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** Bytes that there is room for. */
  get room(): number {
    return this.capacity - this.length;
  }

  #memory(): Uint8Array<ArrayBuffer> {
    return this.#bytes ??= new Uint8Array(this.capacity);
  }

  /** Where bytes that come next can be written in one piece; {@linkcode grow} takes them in. */
  free(): Uint8Array<ArrayBuffer> {
    const end = (this.#start + this.length) % this.capacity;
    return this.#memory().subarray(end, end + Math.min(this.room, this.capacity - end));
  }

  /** Takes in what was written to the start of {@linkcode free}. */
  grow(count: number): void {
    this.length += count;
  }

  /** Appends bytes; returns how many there was room for. */
  push(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.room);
    for (let at = 0; at < count;) {
      const free = this.free(), part = bytes.subarray(at, Math.min(count, at + free.length));
      free.set(part);
      this.grow(part.length);
      at += part.length;
    }
    return count;
  }

  /** The first bytes, as far as they are in one piece; not moved until they are dropped. */
  first(): Uint8Array<ArrayBuffer> {
    const count = Math.min(this.length, this.capacity - this.#start);
    return this.#memory().subarray(this.#start, this.#start + count);
  }

  /** A copy of `length` bytes from `offset` on; they must be there. */
  copy(offset: number, length: number): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(length);
    if (length === 0) return out;
    const memory = this.#memory(), from = (this.#start + offset) % this.capacity;
    const part = memory.subarray(from, Math.min(from + length, this.capacity));
    out.set(part);
    out.set(memory.subarray(0, length - part.length), part.length);
    return out;
  }

  /** Removes the first bytes. */
  drop(count: number): void {
    this.#start = (this.#start + count) % this.capacity;
    this.length -= count;
  }
}
