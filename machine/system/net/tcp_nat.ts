/**
 * TCP between the guest and the host's network: each connection of the guest's ends here, and goes on as one of the
 * host's.
 *
 * @module
 */
import type { Gateway } from "./gateway.ts";
import type { State, StateReader } from "../state.ts";
import { type Endpoint, type HostStream, readEndpoint } from "./host.ts";
import { TcpEnd, type TcpPort } from "./tcp.ts";
import { addressText, makeTcp, type Segment, Tcp } from "./wire.ts";

/** Most connections. Each may take the memory of its two buffers. */
export const MAX_CONNECTIONS = 256;
/** Milliseconds between looks at what has to be sent again. */
const TICK = 250;

const EMPTY = new Uint8Array();

function key(guest: Endpoint, remote: Endpoint): string {
  return `${guest.address}:${guest.port} ${remote.address}:${remote.port}`;
}

/** A connection: the guest's end, and the host's. */
class Flow implements TcpPort {
  readonly end = new TcpEnd(this, crypto.getRandomValues(new Int32Array(1))[0]);
  readonly key: string;
  readonly #nat: TcpNat;
  readonly guest: Endpoint;
  readonly remote: Endpoint;
  #stream: HostStream | undefined;
  #draining = false;
  #space: (() => void) | undefined;
  /** The host's end is closed. */
  #over = false;

  constructor(nat: TcpNat, guest: Endpoint, remote: Endpoint) {
    this.#nat = nat;
    this.guest = guest;
    this.remote = remote;
    this.key = key(guest, remote);
  }

  send(segment: Omit<Segment, "sourcePort" | "destinationPort">): void {
    const { gateway } = this.#nat, guest = this.guest, remote = this.remote;
    const ports = { sourcePort: remote.port, destinationPort: guest.port };
    gateway.send(makeTcp(gateway.route(remote.address, guest.address), { ...segment, ...ports }));
  }

  ready(): boolean {
    return this.#nat.gateway.ready();
  }

  /** The guest wants it, and the host has it. */
  accept(stream: HostStream, syn: Segment): void {
    if (this.#over) return stream.close();
    this.#stream = stream;
    this.end.accept(syn);
    this.#start();
  }

  /** The host wants it. */
  open(stream: HostStream): void {
    this.#stream = stream;
    this.end.open();
  }

  established(): void {
    this.#start();
  }

  #start(): void {
    void this.#fill();
    void this.#drain();
  }

  readable(): void {
    void this.#drain();
  }

  writable(): void {
    this.#space?.();
    this.#space = undefined;
  }

  closed(reset: boolean): void {
    this.#nat.detach(this);
    // What the guest sent before it closed is written first.
    if (reset || (!this.#draining && this.end.incoming.length === 0)) this.close();
  }

  /** Closes the host's end. */
  close(): void {
    this.#over = true;
    this.#stream?.close();
    this.#nat.remove(this);
    this.writable();
  }

  /** From the guest to the host. */
  async #drain(): Promise<void> {
    const stream = this.#stream, { incoming } = this.end;
    if (this.#draining || !stream) return;
    this.#draining = true;
    try {
      while (!this.#over && incoming.length > 0) {
        this.end.consumed(await stream.write(incoming.first()));
      }
      if (!this.#over && this.end.peerClosed) await stream.closeWrite();
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#draining = false;
    }
    if (this.end.closed && !this.#over) this.close();
  }

  /** From the host to the guest. */
  async #fill(): Promise<void> {
    const stream = this.#stream!, { outgoing } = this.end;
    try {
      while (!this.#over) {
        if (outgoing.room === 0) {
          await new Promise<void>((resolve) => this.#space = resolve);
          continue;
        }
        const count = await stream.read(outgoing.free());
        if (this.#over) return;
        if (count === null) return this.end.shutdown();
        outgoing.grow(count);
        this.end.pump();
      }
    } catch (error) {
      this.#failed(error);
    }
  }

  /** The host's end broke: the guest learns by a reset. */
  #failed(error: unknown): void {
    if (this.#over) return;
    if (!(error instanceof Error)) throw error;
    this.end.abort();
    if (!this.#over) this.close();
  }
}

/** All connections. */
export class TcpNat {
  readonly gateway: Gateway;
  /** Connections that the guest's segments can be for. */
  readonly #flows = new Map<string, Flow>();
  /** These, and those that the host is not done with. */
  readonly #all = new Set<Flow>();
  /** Connections that may owe an acknowledgment. */
  readonly #touched = new Set<Flow>();
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Connections that were restored from a snapshot. */
  #lost: { guest: Endpoint; remote: Endpoint; sequence: number; acknowledgment: number }[] = [];

  constructor(gateway: Gateway) {
    this.gateway = gateway;
  }

  /** Number of connections. */
  get size(): number {
    return this.#all.size;
  }

  #add(flow: Flow): void {
    this.#flows.set(flow.key, flow);
    this.#all.add(flow);
    this.#timer ??= setInterval(() => {
      const now = performance.now();
      for (const each of [...this.#flows.values()]) each.end.tick(now);
    }, TICK);
  }

  /** No segment is for this connection any more. */
  detach(flow: Flow): void {
    this.#touched.delete(flow);
    if (this.#flows.get(flow.key) === flow) this.#flows.delete(flow.key);
  }

  /** The host is done with a connection. */
  remove(flow: Flow): void {
    this.detach(flow);
    this.#all.delete(flow);
    if (this.#all.size > 0 || this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** A segment of the guest's. */
  receive(guest: Endpoint, remote: Endpoint, segment: Segment): void {
    const flow = this.#flows.get(key(guest, remote));
    if (flow) {
      this.#touched.add(flow);
      flow.end.receive(segment);
      return;
    }
    if ((segment.flags & Tcp.RST) !== 0) return;
    if ((segment.flags & (Tcp.SYN | Tcp.ACK)) !== Tcp.SYN) {
      return this.#refuse(guest, remote, segment);
    }
    void this.#connect(guest, remote, segment);
  }

  async #connect(guest: Endpoint, remote: Endpoint, segment: Segment): Promise<void> {
    const { gateway } = this, to = gateway.outside(remote);
    if (to === undefined) return this.#refuse(guest, remote, segment);
    if (this.#all.size >= MAX_CONNECTIONS) {
      gateway.note(`the guest has ${MAX_CONNECTIONS} TCP connections already; others are refused`);
      return this.#refuse(guest, remote, segment);
    }
    const flow = new Flow(this, guest, remote);
    this.#add(flow);
    // The frame's memory is not kept: the SYN's data, if any, is not taken.
    const syn = { ...segment, payload: EMPTY };
    try {
      flow.accept(await gateway.host.connect(to), syn);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      gateway.note(`cannot connect to ${addressText(to.address)}:${to.port}: ${error.message}`);
      const there = this.#flows.get(flow.key) === flow;
      flow.close();
      if (there) this.#refuse(guest, remote, syn);
    }
  }

  #refuse(guest: Endpoint, remote: Endpoint, segment: Segment): void {
    const { flags, sequence, acknowledgment, payload } = segment, answers = flags & Tcp.ACK;
    const length = payload.length + (flags & Tcp.SYN ? 1 : 0) + (flags & Tcp.FIN ? 1 : 0);
    this.gateway.send(makeTcp(this.gateway.route(remote.address, guest.address), {
      sourcePort: remote.port,
      destinationPort: guest.port,
      sequence: answers ? acknowledgment : 0,
      acknowledgment: answers ? 0 : sequence + length >>> 0,
      flags: answers ? Tcp.RST : Tcp.RST | Tcp.ACK,
      window: 0,
      mss: undefined,
      scale: undefined,
      payload: EMPTY,
    }));
  }

  /** A connection from outside, for a port of the guest's. */
  forward(stream: HostStream, from: Endpoint, guest: Endpoint): void {
    const remote = this.gateway.inside(from);
    if (this.#all.size >= MAX_CONNECTIONS || this.#flows.has(key(guest, remote))) {
      stream.close();
      return;
    }
    const flow = new Flow(this, guest, remote);
    this.#add(flow);
    flow.open(stream);
  }

  /** Sends the acknowledgments that are due. */
  flush(): void {
    for (const { end } of this.#touched) end.flush();
    this.#touched.clear();
  }

  /** The guest takes frames again. */
  resume(): void {
    // Each time another connection is the first.
    const [first] = this.#flows.values();
    if (!first) return;
    this.#flows.delete(first.key);
    this.#flows.set(first.key, first);
    for (const { end } of [...this.#flows.values()]) end.pump();
  }

  /** The guest's connections, for {@linkcode restore}. */
  save(): State {
    return [...this.#flows.values()].flatMap(({ guest, remote, end: { position } }) =>
      position ? [{ guest: { ...guest }, remote: { ...remote }, ...position }] : []
    );
  }

  /** Takes over what {@linkcode save} gave: the host's ends are gone, and {@linkcode reset} says so to the guest. */
  restore(state: StateReader): void {
    const word = (from: StateReader) => from.number(0, 0xffff_ffff);
    this.#lost = state.list().slice(0, MAX_CONNECTIONS).map((each) => ({
      guest: readEndpoint(each.at("guest")),
      remote: readEndpoint(each.at("remote")),
      sequence: word(each.at("sequence")),
      acknowledgment: word(each.at("acknowledgment")),
    }));
  }

  /** Ends the connections that were restored. */
  reset(): void {
    for (const { guest, remote, ...position } of this.#lost.splice(0)) {
      this.gateway.send(makeTcp(this.gateway.route(remote.address, guest.address), {
        ...{ sourcePort: remote.port, destinationPort: guest.port, ...position },
        ...{ flags: Tcp.RST | Tcp.ACK, window: 0, mss: undefined, scale: undefined },
        payload: EMPTY,
      }));
    }
  }

  /** The guest starts anew: it knows of no connection. Those that wait for it go on waiting. */
  restart(): void {
    for (const flow of [...this.#flows.values()]) if (!flow.end.waiting) flow.end.forget();
  }

  /** Ends all connections. */
  close(): void {
    for (const flow of [...this.#all]) flow.close();
  }
}
