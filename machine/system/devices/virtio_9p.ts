/**
 * A virtio 9P transport: the guest mounts a directory by its tag.
 *
 * Source: Virtual I/O Device (VIRTIO) Version 1.2, section 5.10 (device number); drivers/9p of Linux for its queue and
 * configuration.
 *
 * @module
 */
import type { P9Server } from "../p9/server.ts";
import { MAX_MESSAGE } from "../p9/server.ts";
import type { State, StateReader } from "../state.ts";
import type { VirtioDevice, VirtioHost } from "./virtio.ts";

const FEATURE_MOUNT_TAG = 1n;

/** A directory of the host. */
export class Virtio9p implements VirtioDevice {
  readonly id = 9;
  readonly queues = 1;
  readonly features = FEATURE_MOUNT_TAG;
  readonly config: Uint8Array;
  readonly #server: P9Server;
  #host: VirtioHost | undefined;

  /** @param tag What the guest mounts. */
  constructor(server: P9Server, tag: string) {
    this.#server = server;
    const text = new TextEncoder().encode(tag);
    this.config = Uint8Array.of(text.length & 255, text.length >> 8, ...text);
  }

  start(host: VirtioHost): void {
    this.#host = host;
    this.#server.reset();
  }

  save(): State {
    return this.#server.save();
  }

  restore(state: StateReader): void {
    this.#server.restore(state);
  }

  notify(queue: number): void {
    for (;;) {
      const chain = this.#host?.pop(queue);
      if (!chain) return;
      const request = chain.read(0, MAX_MESSAGE);
      const answer = this.#server.answer(request);
      const fits = answer !== undefined && answer.length <= chain.writeLength;
      this.#host!.push(queue, chain, fits ? chain.write(answer) : 0);
    }
  }
}
