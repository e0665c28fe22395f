/**
 * Read-only memory that is reached like a device: data, not code.
 *
 * @module
 */
import type { MmioDevice } from "./device.ts";

/** A ROM; stores to it are ignored. */
export class Rom implements MmioDevice {
  /** What it holds. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  read(offset: number, size: number): number {
    if (size === 4) return this.#view.getUint32(offset, true);
    return size === 2 ? this.#view.getUint16(offset, true) : this.bytes[offset];
  }

  write(): void {}
}
