/**
 * A virtio entropy device.
 *
 * Source: Virtual I/O Device (VIRTIO) Version 1.1, section 5.4.
 *
 * @module
 */
import type { VirtioDevice, VirtioHost } from "./virtio.ts";

/** Most bytes of one answer. */
const MAX_BYTES = 65536;

/** Random bytes. */
export class VirtioEntropy implements VirtioDevice {
  readonly id = 4;
  readonly queues = 1;
  readonly features = 0n;
  readonly config = new Uint8Array(0);
  readonly #random: (count: number) => Uint8Array;
  #host: VirtioHost | undefined;

  /** @param random Makes random bytes. */
  constructor(random: (count: number) => Uint8Array) {
    this.#random = random;
  }

  start(host: VirtioHost): void {
    this.#host = host;
  }

  notify(queue: number): void {
    for (;;) {
      const chain = this.#host?.pop(queue);
      if (!chain) return;
      const bytes = this.#random(Math.min(chain.writeLength, MAX_BYTES));
      this.#host!.push(queue, chain, chain.write(bytes));
    }
  }
}
