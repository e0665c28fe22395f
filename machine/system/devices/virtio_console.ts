/**
 * A virtio console with one port.
 *
 * Source: Virtual I/O Device (VIRTIO) Version 1.1, section 5.3.
 *
 * @module
 */
import type { State, StateReader } from "../state.ts";
import type { VirtioDevice, VirtioHost } from "./virtio.ts";

const RECEIVE = 0, TRANSMIT = 1;
/** Bytes that wait for the guest's buffers. */
const MAX_WAITING = 1024;

/** The console. */
export class VirtioConsole implements VirtioDevice {
  readonly id = 3;
  readonly queues = 2;
  readonly features = 0n;
  readonly config = new Uint8Array(12);
  readonly #send: (bytes: Uint8Array<ArrayBuffer>) => void;
  #host: VirtioHost | undefined;
  #waiting: number[] = [];

  /** @param send Takes what the guest sends. */
  constructor(send: (bytes: Uint8Array<ArrayBuffer>) => void) {
    this.#send = send;
  }

  start(host: VirtioHost): void {
    this.#host = host;
  }

  save(): State {
    return Uint8Array.from(this.#waiting);
  }

  restore(state: StateReader): void {
    this.#waiting = [...state.bytes().subarray(0, MAX_WAITING)];
  }

  /** How many bytes it takes until the guest has taken some. */
  get room(): number {
    return MAX_WAITING - this.#waiting.length;
  }

  /** A byte arrives for the guest; without room it is lost. */
  receive(byte: number): void {
    if (this.room > 0) this.#waiting.push(byte);
    this.#deliver();
  }

  #deliver(): void {
    while (this.#waiting.length > 0) {
      const chain = this.#host?.pop(RECEIVE);
      if (!chain) return;
      const bytes = Uint8Array.from(this.#waiting.splice(0, chain.writeLength));
      this.#host!.push(RECEIVE, chain, chain.write(bytes));
    }
  }

  notify(queue: number): void {
    if (queue === RECEIVE) return this.#deliver();
    for (;;) {
      const chain = this.#host?.pop(TRANSMIT);
      if (!chain) return;
      this.#send(chain.read());
      this.#host!.push(TRANSMIT, chain, 0);
    }
  }
}
