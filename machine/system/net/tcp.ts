/**
 * One end of a TCP connection, without the network: segments in, segments out, a buffer for each direction.
 *
 * Both buffers are bounded. What the guest sends out of order is dropped, and the guest sends it again. The cable loses
 * nothing as long as the guest takes its frames, so there is one timer, no congestion control and no TIME-WAIT.
 *
 * Source: RFC 9293; window scale: RFC 7323; answers to forged segments: RFC 5961.
 *
 * @module
 */
import { ByteRing } from "./byte_ring.ts";
import { MTU, type Segment, Tcp } from "./wire.ts";

/** Bytes that wait in each direction of a connection, at most. */
export const BUFFER = 128 << 10;

const MAX_MSS = MTU - 40, DEFAULT_MSS = 536;
/** A guest that wants less gets more: tiny segments would cost the host too much. */
const MIN_MSS = 64;
/** Shift of the windows that this end announces: BUFFER fits into 16 bits then. */
const SCALE = 2, MAX_SCALE = 14;
/** Milliseconds until unanswered bytes are sent again; doubled each time. */
const TIMEOUT = 1000, LONGEST_TIMEOUT = 60_000;
/** Unanswered attempts until the guest is given up. */
const ATTEMPTS = 12;

/** What the connection asks of its surroundings. */
export interface TcpPort {
  /** Sends a segment; ports are the caller's business. */
  send(segment: Omit<Segment, "sourcePort" | "destinationPort">): void;
  /** Whether the guest takes frames: data waits while it does not. */
  ready(): boolean;
  /** The guest has accepted; only for {@linkcode TcpEnd.open}. */
  established(): void;
  /** There are bytes in `incoming`, or the guest has closed its direction. */
  readable(): void;
  /** There is room in `outgoing` again. */
  writable(): void;
  /** It is over; `reset` if it was not closed by both sides. */
  closed(reset: boolean): void;
}

/** States; whether both directions are open is told by `peerClosed` and what was sent. */
type State = "listen" | "syn-sent" | "syn-received" | "established" | "closed";

const EMPTY = new Uint8Array();

/** This end of a connection; the other one is the guest's. */
export class TcpEnd {
  /** From the guest, in order. */
  readonly incoming = new ByteRing(BUFFER);
  /** To the guest: unanswered, then unsent. */
  readonly outgoing = new ByteRing(BUFFER);
  readonly #port: TcpPort;
  #state: State = "listen";
  /** Sequence numbers, modulo 2^32: first unanswered one, next to send, behind the last ever sent. */
  #unanswered: number;
  #next: number;
  #last: number;
  /** The guest's: next one that is expected. */
  #expected = 0;
  /** Behind what the guest was told that it may send. */
  #announced = 0;
  #window = 0;
  #mss = DEFAULT_MSS;
  /** Shifts of windows, both 0 if the guest does not scale. */
  #sendScale = 0;
  #receiveScale = 0;
  /** A FIN is to follow the last byte. */
  #closing = false;
  #finAnswered = false;
  #peerClosed = false;
  #owesAck = false;
  /** When to send again, and how often that was in vain. */
  #deadline: number | undefined;
  #attempts = 0;

  /** @param sequence Initial sequence number, which the guest should not be able to guess. */
  constructor(port: TcpPort, sequence: number) {
    this.#port = port;
    this.#unanswered = this.#next = this.#last = sequence | 0;
  }

  /** Whether nothing more can happen. */
  get closed(): boolean {
    return this.#state === "closed";
  }

  /** Whether the guest has not yet answered {@linkcode open}. */
  get waiting(): boolean {
    return this.#state === "syn-sent";
  }

  /** Whether the guest has sent its last byte. */
  get peerClosed(): boolean {
    return this.#peerClosed;
  }

  /** What a reset that the guest takes would say; undefined if there is nothing to reset. */
  get position(): { sequence: number; acknowledgment: number } | undefined {
    if (this.#state === "listen" || this.#state === "closed") return undefined;
    return { sequence: this.#next >>> 0, acknowledgment: this.#expected >>> 0 };
  }

  #send(flags: number, sequence: number, payload: Uint8Array = EMPTY): void {
    const syn = (flags & Tcp.SYN) !== 0;
    const room = syn ? Math.min(0xffff, this.incoming.room) : this.incoming.room;
    const scaled = syn ? room : Math.min(0xffff, room >> this.#receiveScale);
    if ((flags & Tcp.ACK) !== 0) {
      this.#owesAck = false;
      this.#announced = this.#expected + (syn ? room : scaled << this.#receiveScale) | 0;
    }
    const scale = syn && (this.#state === "syn-sent" || this.#receiveScale > 0) ? SCALE : undefined;
    this.#port.send({
      sequence: sequence >>> 0,
      acknowledgment: (flags & Tcp.ACK) !== 0 ? this.#expected >>> 0 : 0,
      flags,
      window: scaled,
      mss: syn ? MAX_MSS : undefined,
      scale,
      payload,
    });
  }

  #acknowledge(): void {
    this.#send(Tcp.ACK, this.#next);
  }

  #options({ mss, scale, window }: Segment): void {
    this.#mss = Math.max(MIN_MSS, Math.min(MAX_MSS, mss ?? DEFAULT_MSS));
    if (scale !== undefined) {
      this.#sendScale = Math.min(scale, MAX_SCALE);
      this.#receiveScale = SCALE;
    }
    // The window of a SYN is never scaled.
    this.#window = window;
  }

  #sendSyn(): void {
    const answer = this.#state === "syn-received" ? Tcp.ACK : 0;
    this.#send(Tcp.SYN | answer, this.#unanswered);
    this.#next = this.#last = this.#unanswered + 1 | 0;
  }

  /** Accepts the guest's SYN. */
  accept(syn: Segment): void {
    this.#expected = syn.sequence + 1 | 0;
    this.#options(syn);
    this.#state = "syn-received";
    this.#sendSyn();
  }

  /** Starts a connection to the guest. */
  open(): void {
    this.#state = "syn-sent";
    this.#sendSyn();
  }

  /** The bytes in `outgoing` are the last. */
  shutdown(): void {
    this.#closing = true;
    this.pump();
  }

  /** Ends the connection with a reset. */
  abort(): void {
    if (this.#state === "closed") return;
    if (this.#state !== "listen") this.#send(Tcp.RST | Tcp.ACK, this.#next);
    this.#end(true);
  }

  /** Forgets the connection without a word: the guest's side is gone. */
  forget(): void {
    if (this.#state !== "closed") this.#end(true);
  }

  #end(reset: boolean): void {
    if (!reset && this.#owesAck) this.#acknowledge();
    this.#state = "closed";
    this.#deadline = undefined;
    this.#port.closed(reset);
  }

  /** A segment of the guest's. Acknowledgments wait for {@linkcode flush}. */
  receive(segment: Segment): void {
    const { flags } = segment;
    if (this.#state === "closed") return;
    if (this.#state === "listen") {
      // The guest has changed its mind before it was accepted.
      if ((flags & Tcp.RST) !== 0) this.#end(true);
      return;
    }
    if (this.#state === "syn-sent") return this.#receiveAnswer(segment);
    const offset = segment.sequence - this.#expected | 0;
    if ((flags & Tcp.RST) !== 0) {
      if (offset === 0) this.#end(true);
      else if (offset > 0 && offset < this.incoming.room) this.#acknowledge();
      return;
    }
    if ((flags & Tcp.SYN) !== 0) {
      if (this.#state === "syn-received" && offset === -1) this.#sendSyn();
      else this.#acknowledge();
      return;
    }
    if ((flags & Tcp.ACK) === 0 || !this.#receiveAck(segment)) return;
    this.#receiveData(segment, offset);
    if (!this.closed) this.pump();
  }

  /** In SYN-SENT. */
  #receiveAnswer(segment: Segment): void {
    const { flags, sequence, acknowledgment } = segment;
    if ((flags & Tcp.ACK) !== 0 && (acknowledgment | 0) !== this.#next) {
      if ((flags & Tcp.RST) === 0) this.#send(Tcp.RST, acknowledgment);
      return;
    }
    if ((flags & Tcp.ACK) === 0) return;
    if ((flags & Tcp.RST) !== 0) return this.#end(true);
    if ((flags & Tcp.SYN) === 0) return;
    this.#expected = sequence + 1 | 0;
    this.#options(segment);
    this.#unanswered = this.#next;
    this.#state = "established";
    this.#deadline = undefined;
    this.#attempts = 0;
    this.#acknowledge();
    this.#port.established();
    this.pump();
  }

  /** Takes acknowledgment and window; false if the segment is to be dropped. */
  #receiveAck({ acknowledgment, window }: Segment): boolean {
    let count = acknowledgment - this.#unanswered | 0;
    if ((this.#last - acknowledgment | 0) < 0) {
      if (this.#state === "syn-received") this.#send(Tcp.RST, acknowledgment);
      else this.#acknowledge();
      return false;
    }
    if (this.#state === "syn-received") {
      if (count !== 1) return false;
      this.#state = "established";
      this.#unanswered = acknowledgment | 0;
      count = 0;
      this.#deadline = undefined;
      this.#attempts = 0;
    }
    if (count < 0) return true;
    this.#window = window << this.#sendScale;
    this.#attempts = 0;
    if (count === 0) return true;
    this.#unanswered = acknowledgment | 0;
    if ((this.#next - this.#unanswered | 0) < 0) this.#next = this.#unanswered;
    if (count > this.outgoing.length) this.#finAnswered = true;
    this.outgoing.drop(Math.min(count, this.outgoing.length));
    this.#deadline = undefined;
    if (this.#finAnswered && this.#peerClosed) {
      this.#end(false);
      return false;
    }
    this.#port.writable();
    return !this.closed;
  }

  #receiveData({ flags, payload }: Segment, offset: number): void {
    const fin = (flags & Tcp.FIN) !== 0;
    if (payload.length === 0 && !fin) {
      // A probe of a connection that nobody uses (RFC 9293, 3.8.4).
      if (offset < 0) this.#owesAck = true;
      return;
    }
    this.#owesAck = true;
    if (offset > 0 || this.#peerClosed) return;
    const fresh = payload.subarray(Math.min(payload.length, -offset));
    if (-offset > payload.length) return;
    const count = this.incoming.push(fresh);
    this.#expected = this.#expected + count | 0;
    if (fin && count === fresh.length) {
      this.#expected = this.#expected + 1 | 0;
      this.#peerClosed = true;
    }
    if (this.#peerClosed && this.#finAnswered) {
      this.#port.readable();
      return this.#end(false);
    }
    if (count > 0 || this.#peerClosed) this.#port.readable();
  }

  /** The host took so many bytes out of `incoming`. */
  consumed(count: number): void {
    this.incoming.drop(count);
    if (this.#state !== "established" || this.#peerClosed) return;
    // The guest waits if it was told of less than half of the buffer.
    const told = this.#announced - this.#expected | 0;
    if (this.incoming.room - told >= BUFFER / 2) this.#acknowledge();
  }

  /** Sends what the guest's window and its queue have room for. */
  pump(): void {
    if (this.#state !== "established") return;
    for (;;) {
      const flight = this.#next - this.#unanswered | 0;
      const unsent = this.outgoing.length - flight;
      // The FIN counts as the byte behind the last.
      if (unsent < 0 || !this.#port.ready()) break;
      if (unsent === 0) {
        if (!this.#closing || this.#finAnswered) break;
        this.#sendAt(Tcp.FIN | Tcp.ACK, EMPTY, 1);
        break;
      }
      const count = Math.min(this.#mss, unsent, this.#window - flight);
      // A window smaller than a segment waits for more, unless nothing is under way (silly windows).
      if (count <= 0 || (count < Math.min(this.#mss, unsent) && flight > 0)) break;
      this.#sendAt(
        Tcp.ACK | (count === unsent ? Tcp.PSH : 0),
        this.outgoing.copy(flight, count),
        count,
      );
    }
  }

  #sendAt(flags: number, payload: Uint8Array, count: number): void {
    this.#send(flags, this.#next, payload);
    this.#next = this.#next + count | 0;
    if ((this.#next - this.#last | 0) > 0) this.#last = this.#next;
  }

  /** Sends the acknowledgment that is due, after a batch of segments. */
  flush(): void {
    if (this.#owesAck && this.#state === "established") this.#acknowledge();
  }

  /** Sends again what the guest has not answered in time; `now` in milliseconds. */
  tick(now: number): void {
    const idle = this.#state === "established" && this.#next === this.#unanswered &&
      this.outgoing.length === 0;
    if (this.#state === "closed" || this.#state === "listen" || idle) {
      this.#deadline = undefined;
      return;
    }
    const wait = Math.min(TIMEOUT * 2 ** this.#attempts, LONGEST_TIMEOUT);
    if (this.#deadline === undefined) {
      this.#deadline = now + wait;
      return;
    }
    // Frames that the guest has not taken are not lost.
    if (now < this.#deadline || !this.#port.ready()) return;
    if (++this.#attempts > ATTEMPTS) return this.abort();
    this.#deadline = now + 2 * wait;
    if (this.#state !== "established") return this.#sendSyn();
    this.#next = this.#unanswered;
    if (this.#window === 0 && this.outgoing.length > 0) {
      // A probe: its answer tells the window.
      this.#sendAt(Tcp.ACK, this.outgoing.copy(0, 1), 1);
    } else this.pump();
  }
}
