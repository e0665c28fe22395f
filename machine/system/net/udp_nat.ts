/**
 * UDP between the guest and the host's network. Each port of the guest's has a socket of the host's; what arrives there
 * reaches the guest only from where it has sent something.
 *
 * @module
 */
import type { Gateway } from "./gateway.ts";
import type { State, StateReader } from "../state.ts";
import { type Endpoint, type HostDatagrams, readEndpoint } from "./host.ts";
import { makeUdp } from "./wire.ts";

/** Most ports of the guest's that are open, and peers of one; the oldest ones are forgotten. */
export const MAX_PORTS = 128, MAX_PEERS = 64;
/** Datagrams that wait while a socket is opened. */
const MAX_WAITING = 16;
/** Milliseconds after which an unused port is closed, and between looks for such. */
const IDLE = 60_000, TICK = 5000;

const key = ({ address, port }: Endpoint) => `${address}:${port}`;

/** Adds a peer; if there are too many, the oldest goes. */
function remember(peers: Map<string, Endpoint>, name: string, peer: Endpoint): void {
  peers.delete(name);
  peers.set(name, peer);
  if (peers.size <= MAX_PEERS) return;
  const [oldest] = peers.keys();
  peers.delete(oldest);
}

/** A port of the guest's. */
class Port {
  readonly guest: Endpoint;
  readonly peers = new Map<string, Endpoint>();
  used = performance.now();
  socket: HostDatagrams | undefined;
  waiting: { bytes: Uint8Array; to: Endpoint }[] = [];
  closed = false;

  constructor(guest: Endpoint) {
    this.guest = guest;
  }

  send(bytes: Uint8Array, to: Endpoint): void {
    this.used = performance.now();
    if (this.socket) this.socket.send(bytes, to.address, to.port);
    // The frame is not kept, only its datagram.
    else if (this.waiting.length < MAX_WAITING) this.waiting.push({ bytes: bytes.slice(), to });
  }

  close(): void {
    this.closed = true;
    this.waiting = [];
    this.socket?.close();
  }
}

/** A port of the host's that leads to one of the guest's. */
interface Forwarded {
  guest: Endpoint;
  socket: HostDatagrams;
  /** Who has sent something, by how the guest sees them. */
  peers: Map<string, Endpoint>;
}

/** All ports. */
export class UdpNat {
  readonly #gateway: Gateway;
  readonly #ports = new Map<string, Port>();
  readonly #forwarded: Forwarded[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(gateway: Gateway) {
    this.#gateway = gateway;
  }

  /** Number of open ports. */
  get size(): number {
    return this.#ports.size;
  }

  #deliver(bytes: Uint8Array, from: Endpoint, guest: Endpoint): void {
    const route = this.#gateway.route(from.address, guest.address);
    const ports = { sourcePort: from.port, destinationPort: guest.port };
    for (const frame of makeUdp(route, { ...ports, payload: bytes })) this.#gateway.send(frame);
  }

  /** A datagram of the guest's; false if it may not go there. */
  send(guest: Endpoint, remote: Endpoint, bytes: Uint8Array): boolean {
    for (const { guest: own, socket, peers } of this.#forwarded) {
      const peer = key(own) === key(guest) ? peers.get(key(remote)) : undefined;
      if (!peer) continue;
      socket.send(bytes, peer.address, peer.port);
      return true;
    }
    const to = this.#gateway.outside(remote);
    if (to === undefined) return false;
    let port = this.#ports.get(key(guest));
    if (!port) {
      port = new Port(guest);
      if (this.#ports.size >= MAX_PORTS) this.#close(this.#oldest());
      this.#ports.set(key(guest), port);
      this.#timer ??= setInterval(() => this.#expire(), TICK);
      void this.#open(port);
    }
    remember(port.peers, key(to), to);
    port.send(bytes, to);
    return true;
  }

  async #open(port: Port): Promise<void> {
    const gateway = this.#gateway;
    try {
      const socket = await gateway.host.datagrams({ address: 0, port: 0 }, (bytes, from) => {
        if (port.closed || !port.peers.has(key(from))) return;
        port.used = performance.now();
        this.#deliver(bytes, gateway.inside(from), port.guest);
      });
      if (port.closed) return socket.close();
      port.socket = socket;
      for (const { bytes, to } of port.waiting.splice(0)) {
        socket.send(bytes, to.address, to.port);
      }
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      gateway.note(`cannot open a UDP socket for the guest: ${error.message}`);
      this.#close(port);
    }
  }

  /** The port that was unused for longest. */
  #oldest(): Port {
    return [...this.#ports.values()].reduce((a, b) => a.used <= b.used ? a : b);
  }

  #expire(): void {
    const limit = performance.now() - IDLE;
    for (const port of [...this.#ports.values()]) if (port.used < limit) this.#close(port);
  }

  #close(port: Port): void {
    port.close();
    if (this.#ports.get(key(port.guest)) === port) this.#ports.delete(key(port.guest));
    if (this.#ports.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Leads a port of the host's to one of the guest's; returns the host's. */
  async forward(at: Endpoint, guest: Endpoint): Promise<number> {
    const peers = new Map<string, Endpoint>(), gateway = this.#gateway;
    const socket = await gateway.host.datagrams(at, (bytes, from) => {
      const remote = gateway.inside(from);
      remember(peers, key(remote), from);
      this.#deliver(bytes, remote, guest);
    });
    this.#forwarded.push({ guest, socket, peers });
    return socket.port;
  }

  /**
   * Who has sent something to each of the forwarded ports, for {@linkcode restore}. The sockets of the guest's own ports
   * are the host's, and are opened anew when the guest sends something.
   */
  save(): State {
    return this.#forwarded.map(({ peers }) =>
      [...peers].map(([name, { address, port }]) => ({ name, address, port }))
    );
  }

  /** Takes over what {@linkcode save} gave, as far as there are such ports. */
  restore(state: StateReader): void {
    state.list().slice(0, this.#forwarded.length).forEach((each, i) => {
      const { peers } = this.#forwarded[i];
      peers.clear();
      for (const peer of each.list()) {
        remember(peers, peer.at("name").string(), readEndpoint(peer));
      }
    });
  }

  /** The guest starts anew. */
  restart(): void {
    for (const port of [...this.#ports.values()]) this.#close(port);
  }

  /** Closes everything. */
  close(): void {
    this.restart();
    for (const { socket } of this.#forwarded.splice(0)) socket.close();
  }
}
