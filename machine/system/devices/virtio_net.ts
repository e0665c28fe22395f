/**
 * A virtio network card.
 *
 * It takes packets without checksums, and TCP segments of up to 64 KiB, which saves the guest work; it gives the guest
 * ordinary frames.
 *
 * Source: Virtual I/O Device (VIRTIO) Version 1.1, section 5.1.
 *
 * @module
 */
import { GUEST_MAC, type Link } from "../net/gateway.ts";
import { ETHERNET_BYTES, MAX_FRAME, MTU } from "../net/wire.ts";
import type { State, StateReader } from "../state.ts";
import type { Chain, VirtioDevice, VirtioHost } from "./virtio.ts";

const RECEIVE = 0, TRANSMIT = 1;
const FEATURE_CSUM = 1n << 0n, FEATURE_MAC = 1n << 5n, FEATURE_HOST_TSO4 = 1n << 11n;
const FEATURE_STATUS = 1n << 16n;
const LINK_UP = 1;
/** Bytes in front of each frame; of these, the number of buffers is at byte 10. */
const HEADER = 12, BUFFERS = 10;
/** Frames that wait for the guest's buffers: from so many on only what can't wait is added, up to so many. */
const BUSY = 64, MAX_WAITING = 256;

/** What a network card is connected to. */
export interface Network {
  attach(link: Link): void;
  restart(): void;
  receive(frame: Uint8Array): void;
  flush(): void;
  resume(): void;
  save(): State;
  restore(state: StateReader): void;
}

/** The network card. */
export class VirtioNet implements VirtioDevice, Link {
  readonly id = 1;
  readonly queues = 2;
  readonly features = FEATURE_CSUM | FEATURE_MAC | FEATURE_HOST_TSO4 | FEATURE_STATUS;
  readonly config = new Uint8Array(8);
  readonly #network: Network;
  #host: VirtioHost | undefined;
  #waiting: Uint8Array[] = [];

  /** @param network What it is connected to, from now on. */
  constructor(network: Network) {
    this.#network = network;
    this.config.set(GUEST_MAC);
    this.config[6] = LINK_UP;
    network.attach(this);
  }

  start(host: VirtioHost): void {
    this.#host = host;
    this.#waiting = [];
    this.#network.restart();
  }

  save(): State {
    return { waiting: this.#waiting.map((frame) => frame.slice()), network: this.#network.save() };
  }

  restore(state: StateReader): void {
    const frames = state.at("waiting").list().slice(0, MAX_WAITING);
    this.#waiting = frames.map((frame) => frame.bytes());
    this.#network.restore(state.at("network"));
  }

  ready(): boolean {
    return this.#host !== undefined && this.#waiting.length < BUSY;
  }

  send(frame: Uint8Array): void {
    // The driver's buffers are for frames of the usual size, and no driver wants what came before it.
    if (!this.#host || frame.length > ETHERNET_BYTES + MTU) return;
    if (this.#waiting.length < MAX_WAITING) this.#waiting.push(frame);
    this.#deliver();
  }

  #deliver(): void {
    let sent = 0;
    while (sent < this.#waiting.length) {
      const chain = this.#host!.pop(RECEIVE);
      if (!chain) break;
      this.#host!.push(RECEIVE, chain, this.#fill(chain, this.#waiting[sent++]));
    }
    this.#waiting.splice(0, sent);
  }

  /** Writes a frame to the guest; a buffer that is too small stays empty, and the frame is lost. */
  #fill(chain: Chain, frame: Uint8Array): number {
    if (chain.writeLength < HEADER + frame.length) return 0;
    const header = new Uint8Array(HEADER);
    header[BUFFERS] = 1;
    chain.write(header);
    return HEADER + chain.write(frame, HEADER);
  }

  notify(queue: number): void {
    if (queue === RECEIVE) {
      this.#deliver();
      if (this.ready()) this.#network.resume();
      return;
    }
    if (queue !== TRANSMIT) return;
    for (;;) {
      const chain = this.#host?.pop(TRANSMIT);
      if (!chain) break;
      const length = chain.readLength - HEADER;
      const frame = length > 0 && length <= MAX_FRAME ? chain.read(HEADER) : undefined;
      this.#host!.push(TRANSMIT, chain, 0);
      if (frame) this.#network.receive(frame);
    }
    this.#network.flush();
  }
}
