/**
 * The host's end of an event ring. Everything in it is the guest's and may be hostile, the tail word included:
 * the host keeps its own.
 *
 * @module
 */
import type { Arena } from "../mmu/arena.ts";
import type { BackdoorCpu } from "./cpu.ts";
import { Ring as Layout } from "./protocol.ts";

/** Views of payloads kept for reuse by one ring: making one costs 40 ns. */
const MAX_VIEWS = 8192;

const { HEAD, TAIL, BUFFER, RECORD_HEADER, PAD } = Layout;

/** Gets what a ring holds. */
export interface EventSink {
  /** One record. @returns Whether to go on. */
  event(
    cpu: BackdoorCpu,
    client: number,
    command: number,
    payload: Uint8Array<ArrayBuffer>,
  ): boolean;
  /** The ring held nonsense and was emptied. */
  corrupt(client: number, reason: string): void;
}

/** One client's ring. */
export class EventRing {
  readonly #client: number = 0;
  readonly #m8: Uint8Array<ArrayBuffer>;
  readonly #m32: Int32Array<ArrayBuffer>;
  readonly #head: number = 0;
  readonly #tailWord: number = 0;
  readonly #buffer: number = 0;
  readonly #size: number = 0;
  readonly #views: (Uint8Array<ArrayBuffer> | undefined)[] = [];
  /** Bytes ever drained, modulo 2^32, as a signed word. */
  #tail = 0;
  /** The same of all clients, for who looks whether a ring is empty; up to date but while it is drained. */
  readonly #tails: Int32Array<ArrayBuffer>;
  #draining = false;

  /**
   * @param address Guest address of the ring's header, a multiple of 8.
   * @param size Bytes of its buffer, a power of two.
   * @param tails The host's tails, by client; from here on only the ring writes its own.
   */
  constructor(
    arena: Arena,
    client: number,
    address: number,
    size: number,
    tails: Int32Array<ArrayBuffer>,
  ) {
    this.#client = client;
    this.#tails = tails;
    this.#m8 = arena.m8;
    this.#m32 = arena.m32;
    this.#head = (address + HEAD) >>> 2;
    this.#tailWord = (address + TAIL) >>> 2;
    this.#buffer = address + BUFFER;
    this.#size = size;
  }

  /** Whether the guest has written since the last drain. */
  get pending(): boolean {
    return this.#m32[this.#head] !== this.#tail;
  }

  /** Bytes ever drained, modulo 2^32, as a signed word; to be written only when the memory is another one's. */
  get tail(): number {
    return this.#tail;
  }
  set tail(value: number) {
    this.#tail = value | 0;
    this.#tails[this.#client] = value;
  }

  /** Begins anew with an empty ring, for freshly mapped memory. */
  restart(): void {
    this.tail = 0;
    this.#m32[this.#head] = 0;
    this.#m32[this.#tailWord] = 0;
  }

  /**
   * Passes all records to the sink, as of the head found at the start. A call from within an event does nothing.
   *
   * @returns Whether the sink never asked to stop.
   */
  drain(cpu: BackdoorCpu, sink: EventSink): boolean {
    if (this.#draining) return true;
    const m32 = this.#m32, size = this.#size, buffer = this.#buffer;
    const head = m32[this.#head];
    const count = (head - this.tail) >>> 0;
    if (count === 0) {
      // The guest may have written there: for it, too, the ring is empty now.
      m32[this.#tailWord] = head;
      return true;
    }
    if (count > size || (head & 7) !== 0) {
      this.#reset(sink, head, `its head is ${head >>> 0}, its tail ${this.tail >>> 0}`);
      return true;
    }
    this.#draining = true;
    try {
      while (this.#tail !== head) {
        const position = this.#tail & (size - 1);
        const word = (buffer + position) >>> 2;
        const length = m32[word], command = m32[word + 1] >>> 0;
        if (
          length < RECORD_HEADER || (length & 7) !== 0 || position + length > size ||
          length > ((head - this.#tail) >>> 0)
        ) {
          this.#reset(sink, head, `a record at offset ${position} claims ${length >>> 0} bytes`);
          return true;
        }
        // The record counts as drained whatever its callback does.
        this.#tail = (this.#tail + length) | 0;
        m32[this.#tailWord] = this.#tail;
        if (command === PAD) continue;
        const payload = this.#view(position + RECORD_HEADER, length - RECORD_HEADER);
        if (!sink.event(cpu, this.#client, command, payload)) return false;
      }
    } finally {
      this.#tails[this.#client] = this.#tail;
      this.#draining = false;
    }
    return true;
  }

  #view(position: number, length: number): Uint8Array<ArrayBuffer> {
    const index = position >>> 3;
    const known = this.#views[index];
    if (known !== undefined && known.length === length) return known;
    const start = this.#buffer + position;
    const view = this.#m8.subarray(start, start + length);
    if (index < MAX_VIEWS) this.#views[index] = view;
    return view;
  }

  #reset(sink: EventSink, head: number, reason: string): void {
    this.tail = head;
    this.#m32[this.#tailWord] = head;
    sink.corrupt(this.#client, reason);
  }
}
