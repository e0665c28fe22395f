/**
 * A guest of TypeScript at the user-mode network, for tests: it sends and takes frames as a kernel would.
 *
 * @module
 */
import { Address, GATEWAY_MAC, GUEST_MAC, type Link } from "../machine/system/net/gateway.ts";
import { Code, makeAnswer, parseQuery } from "../machine/system/net/dns.ts";
import type { NetworkHost } from "../machine/system/net/host.ts";
import { denoNetwork } from "../machine/system/net/host_deno.ts";
import { TcpEnd } from "../machine/system/net/tcp.ts";
import type { UserNetwork } from "../machine/system/net/user_network.ts";
import {
  EtherType,
  type Ipv4,
  makeIcmp,
  makeTcp,
  makeUdp,
  parseIpv4,
  parseTcp,
  parseUdp,
  Protocol,
  type Segment,
  Tcp,
} from "../machine/system/net/wire.ts";

/** A host that has nothing. */
export const NO_HOST: NetworkHost = {
  allowed: () => true,
  connect: () => Promise.reject(new Error("there is nobody")),
  listen: () => ({ port: 1, close: () => {} }),
  datagrams: () => Promise.resolve({ port: 1, send: () => {}, close: () => {} }),
  resolve: () => Promise.resolve(undefined),
};

/** A connection of the guest's, as a program sees it. */
export class GuestConnection {
  readonly end: TcpEnd;
  received: number[] = [];
  state = "connecting";
  #closing = false;
  #rest: Uint8Array = new Uint8Array();
  #changed = Promise.withResolvers<void>();
  /** Whether what arrives is taken. */
  reading = true;

  constructor(send: (segment: Omit<Segment, "sourcePort" | "destinationPort">) => void) {
    this.end = new TcpEnd({
      send,
      ready: () => true,
      established: () => this.#set("open"),
      readable: () => this.take(),
      writable: () => this.#push(),
      closed: (reset) => this.#set(reset ? "reset" : "closed"),
    }, 1000);
  }

  #set(state: string): void {
    this.state = state;
    this.#change();
  }
  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Takes what has arrived. */
  take(): void {
    const { incoming } = this.end;
    while (this.reading && incoming.length > 0) {
      const bytes = incoming.first();
      for (const byte of bytes) this.received.push(byte);
      this.end.consumed(bytes.length);
    }
    this.#change();
  }

  #push(): void {
    this.#rest = this.#rest.subarray(this.end.outgoing.push(this.#rest));
    if (this.#rest.length > 0) return;
    if (this.#closing) this.end.shutdown();
    this.#change();
  }

  /** Sends bytes, without waiting. Once at a time. */
  write(bytes: Uint8Array): void {
    this.#rest = bytes;
    this.#push();
    this.end.pump();
  }

  /** Closes the guest's direction, behind what was written. */
  shutdown(): void {
    this.#closing = true;
    if (this.#rest.length === 0) this.end.shutdown();
  }

  /** Waits until something is so. */
  async until(condition: (connection: this) => boolean): Promise<this> {
    while (!condition(this)) await this.#changed.promise;
    return this;
  }

  get text(): string {
    return new TextDecoder().decode(Uint8Array.from(this.received));
  }
}

/** A query for the records of a name, of a type by its number. */
export function query(name: string, type: number, edns = 0): Uint8Array {
  const labels = name.split(".").flatMap((label) => [
    label.length,
    ...new TextEncoder().encode(label),
  ]);
  const bytes = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns ? 1 : 0, ...labels, 0, 0, type, 0, 1];
  if (edns) bytes.push(0, 0, 41, edns >> 8, edns & 255, 0, 0, 0, 0, 0, 0);
  return Uint8Array.from(bytes);
}

/** The guest. */
export class Guest implements Link {
  readonly frames: Uint8Array[] = [];
  /** ICMP messages and datagrams that came. */
  readonly icmp: Uint8Array[] = [];
  readonly udp: { from: number; port: number; toPort: number; bytes: Uint8Array }[] = [];
  /** Segments that are for no connection. */
  readonly segments: Segment[] = [];
  #network: UserNetwork;
  readonly #connections = new Map<string, GuestConnection>();
  readonly #accepting = new Map<number, (connection: GuestConnection) => void>();
  #changed = Promise.withResolvers<void>();
  #nextPort = 40_000;
  /** Whether it takes frames. */
  taking = true;

  constructor(network: UserNetwork) {
    this.#network = network;
    network.attach(this);
    network.restart();
  }

  /** Goes on at another network, as after a snapshot: it knows nothing of that. */
  moveTo(network: UserNetwork): void {
    this.#network = network;
    network.attach(this);
  }

  ready(): boolean {
    return this.taking;
  }

  /** A frame for the guest. It is looked at later, as a real guest would. */
  send(frame: Uint8Array): void {
    this.frames.push(frame);
    queueMicrotask(() => this.#receive(frame));
  }

  #receive(frame: Uint8Array): void {
    const packet = (frame[12] << 8 | frame[13]) === EtherType.IPV4 ? parseIpv4(frame) : undefined;
    if (packet?.protocol === Protocol.ICMP) this.icmp.push(packet.payload);
    if (packet?.protocol === Protocol.UDP) {
      const { sourcePort, destinationPort, payload } = parseUdp(packet)!;
      const from = packet.source;
      this.udp.push({ from, port: sourcePort, toPort: destinationPort, bytes: payload });
    }
    if (packet?.protocol === Protocol.TCP) this.#segment(packet, parseTcp(packet)!);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #segment(packet: Ipv4, segment: Segment): void {
    const key = `${segment.destinationPort} ${packet.source} ${segment.sourcePort}`;
    let connection = this.#connections.get(key);
    const accept = this.#accepting.get(segment.destinationPort);
    if (!connection && accept && segment.flags === Tcp.SYN) {
      connection = this.#connection(segment.destinationPort, packet.source, segment.sourcePort);
      connection.end.accept(segment);
      accept(connection);
      return;
    }
    if (!connection) return void this.segments.push(segment);
    connection.end.receive(segment);
    connection.end.flush();
  }

  #connection(own: number, address: number, port: number): GuestConnection {
    const connection = new GuestConnection((segment) => {
      const ports = { sourcePort: own, destinationPort: port };
      this.put(makeTcp(this.route(address), { ...segment, ...ports }));
    });
    this.#connections.set(`${own} ${address} ${port}`, connection);
    return connection;
  }

  /** Looks again what has to be sent again, long after. */
  tick(now: number): void {
    for (const { end } of this.#connections.values()) end.tick(now);
  }

  /** Waits until something is so. */
  async until(condition: (guest: this) => boolean): Promise<this> {
    while (!condition(this)) await this.#changed.promise;
    return this;
  }

  route(destination: number) {
    const hop = { to: GATEWAY_MAC, from: GUEST_MAC };
    return { hop, source: Address.GUEST, destination };
  }

  /** Sends a frame. */
  put(frame: Uint8Array): void {
    this.#network.receive(frame);
    this.#network.flush();
  }

  ping(destination: number, content: Uint8Array): void {
    this.put(makeIcmp(this.route(destination), 8, 0, content));
  }

  datagram(destination: number, destinationPort: number, payload: Uint8Array, sourcePort = 999) {
    const ports = { sourcePort, destinationPort };
    for (const frame of makeUdp(this.route(destination), { ...ports, payload })) this.put(frame);
  }

  connect(address: number, port: number): GuestConnection {
    const connection = this.#connection(this.#nextPort++, address, port);
    connection.end.open();
    return connection;
  }

  listen(port: number, accept: (connection: GuestConnection) => void): void {
    this.#accepting.set(port, accept);
  }
}

/** A name server on loopback that knows one name. */
export async function nameServer(): Promise<{ port: number; close(): void }> {
  const server = await denoNetwork.datagrams(
    { address: Address.LOOPBACK, port: 0 },
    (bytes, from) => {
      const asked = parseQuery(bytes)!;
      const known = asked.name === "known.example" && asked.type === "A";
      const records = known ? [{ type: "A" as const, address: 0x01020304 }] : [];
      const answer = makeAnswer(asked, known ? Code.OK : Code.NO_NAME, records);
      server.send(answer, from.address, from.port);
    },
  );
  return server;
}

/** A TCP server on loopback that echoes, and says how much at the end. */
export function echoServer() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serve = async (connection: Deno.TcpConn) => {
    let count = 0;
    const buffer = new Uint8Array(50_000);
    for (let n = await connection.read(buffer); n !== null; n = await connection.read(buffer)) {
      count += n;
      for (let at = 0; at < n;) at += await connection.write(buffer.subarray(at, n));
    }
    await connection.write(new TextEncoder().encode(`<${count}>`));
    connection.close();
  };
  const running = (async () => {
    const all: Promise<void>[] = [];
    for await (const connection of listener) all.push(serve(connection));
    await Promise.all(all);
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await running;
    },
  };
}
