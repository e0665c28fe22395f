/**
 * The user-mode network: what the guest's network card is connected to. It answers ARP, pings of the gateway, DHCP and
 * DNS itself, and translates TCP and UDP to connections of the host.
 *
 * Frames come from the guest: what is malformed is dropped, and each of the tables is bounded.
 *
 * @module
 */
import { dhcpReply } from "./dhcp.ts";
import { Code, type DnsQuery, makeAnswer, parseQuery } from "./dns.ts";
import { Address, type Gateway, GATEWAY_MAC, GUEST_MAC, isLocal, type Link } from "./gateway.ts";
import { type Endpoint, type HostListener, type NetworkHost, readEndpoint } from "./host.ts";
import type { State, StateReader } from "../state.ts";
import { endpointOf, type NetworkOptions } from "./options.ts";
import { TcpNat } from "./tcp_nat.ts";
import { UdpNat } from "./udp_nat.ts";
import {
  addressText,
  arpReply,
  BROADCAST,
  ETHERNET_BYTES,
  EtherType,
  type Ipv4,
  type Mac,
  makeIcmp,
  makeUdp,
  MAX_FRAME,
  parseArp,
  parseIpv4,
  parseTcp,
  parseUdp,
  Protocol,
  type Route,
  type Udp,
} from "./wire.ts";

const ECHO_REPLY = 0, UNREACHABLE = 3, ECHO_REQUEST = 8;
/** Communication administratively prohibited (RFC 1812); port unreachable. */
const PROHIBITED = 13, NO_PORT = 3;
const DHCP_SERVER = 67, DHCP_CLIENT = 68, DNS_PORT = 53;
/** Questions to name servers that are open, at most. */
const MAX_QUESTIONS = 64;
/** Messages that are reported, at most. */
const MAX_NOTES = 100;

const LEASE = {
  address: Address.GUEST,
  mask: Address.MASK,
  router: Address.GATEWAY,
  dns: Address.DNS,
  server: Address.GATEWAY,
};

/** A question of the guest's to the name server. */
interface Question {
  readonly guest: Endpoint;
  readonly message: Uint8Array;
  /** Whether the guest still knows of it. */
  wanted: boolean;
}

/** A network for one guest. */
export class UserNetwork implements Gateway {
  readonly host: NetworkHost;
  /** Called when something happened that the guest may wait for. */
  onActivity: () => void = () => {};
  readonly #options: NetworkOptions;
  readonly #nameServer: Endpoint | undefined;
  readonly #note: (message: string) => void;
  readonly #noted = new Set<string>();
  readonly #macs = new Map<number, Mac>();
  readonly #tcp = new TcpNat(this);
  readonly #udp = new UdpNat(this);
  readonly #listeners: HostListener[] = [];
  /** Ports of the host for `options.forwards`. */
  readonly #forwarded: number[] = [];
  readonly #questions = new Set<Question>();
  /** Those of a snapshot, to be asked again by {@linkcode reset}. */
  #unasked: Omit<Question, "wanted">[] = [];
  #link: Link | undefined;
  #closed = false;

  /** @param note Gets what the guest could not have, once each. */
  private constructor(
    options: NetworkOptions,
    host: NetworkHost,
    note: (message: string) => void,
  ) {
    this.#options = options;
    this.host = host;
    this.#note = note;
    if (options.dns !== undefined) {
      const [, address, port] = /^(.*?)(?::(\d+))?$/.exec(options.dns)!;
      this.#nameServer = endpointOf(address, port === undefined ? DNS_PORT : Number(port));
    }
  }

  /**
   * Makes a network and opens the host's ports of its forwards.
   *
   * @throws {RangeError} If an address or port is none.
   * @throws {Error} If the host can't open a port.
   */
  static async open(
    options: NetworkOptions,
    host: NetworkHost,
    note: (message: string) => void = () => {},
  ): Promise<UserNetwork> {
    const network = new UserNetwork(options, host, note);
    try {
      for (const forward of options.forwards ?? []) {
        const at = endpointOf(forward.host ?? "127.0.0.1", forward.hostPort);
        const guest = endpointOf(forward.guest ?? addressText(Address.GUEST), forward.guestPort);
        if (!isLocal(guest.address)) {
          throw new RangeError(`Cannot forward to ${forward.guest}: it is not in 10.0.2.0/24`);
        }
        if (forward.protocol === "udp") {
          network.#forwarded.push(await network.#udp.forward(at, guest));
        } else {
          const accept = (stream: Parameters<TcpNat["forward"]>[0], from: Endpoint) =>
            network.#tcp.forward(stream, from, guest);
          const listener = host.listen(at, accept);
          network.#listeners.push(listener);
          network.#forwarded.push(listener.port);
        }
      }
    } catch (error) {
      network.close();
      throw error;
    }
    return network;
  }

  /** The host's ports of the forwards, in their order. */
  get forwarded(): readonly number[] {
    return this.#forwarded;
  }

  /** Whether something from outside may still come. */
  get alive(): boolean {
    return this.#forwarded.length > 0 || this.busy;
  }

  /** Whether the guest has a connection, or an answer to come. */
  get busy(): boolean {
    return this.#tcp.size > 0 || this.#udp.size > 0 || this.#questions.size > 0;
  }

  /** Connects the guest's network card. */
  attach(link: Link): void {
    this.#link = link;
  }

  /** The guest's driver starts: it knows nothing of what was before. */
  restart(): void {
    this.#macs.clear();
    this.#tcp.restart();
    this.#udp.restart();
    for (const question of this.#questions) question.wanted = false;
  }

  /**
   * What the guest may rely on. Connections and sockets are the host's: of TCP it is kept what a reset has to say, and
   * which questions about names are without an answer.
   */
  save(): State {
    const macs = [...this.#macs].map(([address, mac]) => ({ address, mac }));
    const questions = [...this.#questions].filter(({ wanted }) => wanted)
      .map(({ guest, message }) => ({ guest: { ...guest }, message }));
    return { macs, tcp: this.#tcp.save(), udp: this.#udp.save(), questions };
  }

  /** Takes over what {@linkcode save} gave; {@linkcode reset} is to follow. */
  restore(state: StateReader): void {
    this.#macs.clear();
    for (const each of state.at("macs").list()) {
      const address = each.at("address").number(0, 0xffff_ffff);
      this.#learn(address, each.at("mac").bytes(6));
    }
    this.#tcp.restore(state.at("tcp"));
    this.#udp.restore(state.at("udp"));
    this.#unasked = state.at("questions").list().slice(0, MAX_QUESTIONS).map((each) => ({
      guest: readEndpoint(each.at("guest")),
      message: each.at("message").bytes(),
    }));
  }

  /** Tells the guest that the connections of a restored network are gone, and asks its open questions again. */
  reset(): void {
    this.#tcp.reset();
    for (const { guest, message } of this.#unasked.splice(0)) void this.#dns(guest, message);
  }

  /** Takes the cable off and closes all sockets. */
  close(): void {
    this.#closed = true;
    for (const listener of this.#listeners.splice(0)) listener.close();
    this.#tcp.close();
    this.#udp.close();
  }

  /** @ignore For the translators. */
  send(frame: Uint8Array): void {
    if (this.#closed) return;
    this.#link?.send(frame);
    this.onActivity();
  }

  /** @ignore For the translators. */
  ready(): boolean {
    return !this.#closed && this.#link?.ready() === true;
  }

  /** @ignore For the translators. */
  route(source: number, destination: number): Route {
    const to = this.#macs.get(destination) ?? GUEST_MAC;
    return { hop: { to, from: GATEWAY_MAC }, source, destination };
  }

  /** @ignore For the translators. */
  outside({ address, port }: Endpoint): Endpoint | undefined {
    const { restrict = false, loopback = true } = this.#options;
    const first = address >>> 24, text = `${addressText(address)}:${port}`;
    const refuse = (why: string) => {
      this.note(`the guest may not reach ${text}: ${why}`);
      return undefined;
    };
    if (restrict) return refuse("the network is restricted");
    let to = { address, port };
    if (address === Address.GATEWAY) {
      if (!loopback) return refuse("it is the host, and loopback=off");
      to = { address: Address.LOOPBACK, port };
    } else if (isLocal(address)) return undefined;
    // This network, loopback, multicast and what is reserved.
    else if (first === 0 || first === 127 || first >= 224) return refuse("it is no address for it");
    if (port === 0) return undefined;
    if (!this.host.allowed(to)) return refuse("run again with the --allow-net flag");
    return to;
  }

  /** @ignore For the translators. */
  inside({ address, port }: Endpoint): Endpoint {
    const own = address >>> 24 === 127 || isLocal(address);
    return { address: own ? Address.GATEWAY : address, port };
  }

  /** @ignore For the translators. */
  note(message: string): void {
    if (this.#noted.has(message) || this.#noted.size >= MAX_NOTES) return;
    this.#noted.add(message);
    this.#note(`network: ${message}`);
  }

  /** Takes a frame of the guest's. Acknowledgments wait for {@linkcode flush}. */
  receive(frame: Uint8Array): void {
    if (this.#closed || frame.length < ETHERNET_BYTES || frame.length > MAX_FRAME) return;
    const type = frame[12] << 8 | frame[13];
    if (type === EtherType.ARP) this.#arp(frame);
    if (type !== EtherType.IPV4) return;
    const packet = parseIpv4(frame);
    if (!packet) return;
    this.#learn(packet.source, frame.slice(6, 12));
    if (packet.protocol === Protocol.UDP) {
      const datagram = parseUdp(packet);
      if (datagram) this.#receiveUdp(packet, datagram, frame);
      return;
    }
    // Nobody else may be answered; only DHCP asks from 0.0.0.0.
    if (!isLocal(packet.source)) return;
    if (packet.protocol === Protocol.ICMP) this.#icmp(packet);
    else if (packet.protocol === Protocol.TCP) {
      const segment = parseTcp(packet);
      if (!segment) return;
      const { sourcePort, destinationPort } = segment;
      this.#tcp.receive(
        { address: packet.source, port: sourcePort },
        { address: packet.destination, port: destinationPort },
        segment,
      );
    }
  }

  /** The guest has sent all that it wanted to send at once. */
  flush(): void {
    this.#tcp.flush();
  }

  /** The guest takes frames again. */
  resume(): void {
    this.#tcp.resume();
  }

  #learn(address: number, mac: Mac): void {
    if (isLocal(address) && !this.#isOurs(address)) this.#macs.set(address, mac);
  }

  #isOurs(address: number): boolean {
    return address === Address.GATEWAY || address === Address.DNS;
  }

  #arp(frame: Uint8Array): void {
    const packet = parseArp(frame);
    if (!packet) return;
    this.#learn(packet.sender, packet.senderMac);
    if (!packet.request || !this.#isOurs(packet.target)) return;
    this.send(arpReply({ to: packet.senderMac, from: GATEWAY_MAC }, packet));
  }

  #icmp({ source, destination, payload, quote }: Ipv4): void {
    if (payload.length < 8 || payload[0] !== ECHO_REQUEST) return;
    if (this.#isOurs(destination)) {
      const route = this.route(destination, source);
      this.send(makeIcmp(route, ECHO_REPLY, 0, payload.subarray(4)));
    } else this.#unreachable(source, quote, PROHIBITED);
  }

  #unreachable(guest: number, quote: Uint8Array, code: number): void {
    const rest = new Uint8Array(4 + quote.length);
    rest.set(quote, 4);
    this.send(makeIcmp(this.route(Address.GATEWAY, guest), UNREACHABLE, code, rest));
  }

  #receiveUdp(packet: Ipv4, datagram: Udp, frame: Uint8Array): void {
    const { source, destination } = packet, { destinationPort, payload } = datagram;
    const ours = destination === Address.EVERYBODY || destination === Address.GATEWAY;
    if (destinationPort === DHCP_SERVER && ours) return this.#dhcp(payload, frame.slice(6, 12));
    if (!isLocal(source)) return;
    const guest = { address: source, port: datagram.sourcePort };
    if (destination === Address.DNS) {
      if (destinationPort === DNS_PORT) void this.#dns(guest, payload);
      else this.#unreachable(source, packet.quote, NO_PORT);
      return;
    }
    const broadcast = destination === Address.EVERYBODY || destination >>> 28 === 14 ||
      destination === (Address.NETWORK | ~Address.MASK & 0xff);
    if (broadcast) return;
    const to = { address: destination, port: destinationPort };
    if (!this.#udp.send(guest, to, payload)) this.#unreachable(source, packet.quote, PROHIBITED);
  }

  #dhcp(message: Uint8Array, client: Mac): void {
    const reply = dhcpReply(message, LEASE);
    if (!reply) return;
    const hop = { to: reply.to === undefined ? BROADCAST : client, from: GATEWAY_MAC };
    const route = { hop, source: Address.GATEWAY, destination: Address.EVERYBODY };
    const ports = { sourcePort: DHCP_SERVER, destinationPort: DHCP_CLIENT };
    for (const each of makeUdp(route, { ...ports, payload: reply.message })) this.send(each);
  }

  async #dns(guest: Endpoint, message: Uint8Array): Promise<void> {
    const query = parseQuery(message);
    if (!query || this.#questions.size >= MAX_QUESTIONS) return;
    // The frame is not kept.
    const question: Question = { guest, message: message.slice(), wanted: true };
    this.#questions.add(question);
    const payload = await this.#answer(query);
    this.#questions.delete(question);
    if (!question.wanted) return;
    const ports = { sourcePort: DNS_PORT, destinationPort: guest.port };
    const route = this.route(Address.DNS, guest.address);
    for (const frame of makeUdp(route, { ...ports, payload })) this.send(frame);
  }

  async #answer(query: DnsQuery): Promise<Uint8Array> {
    const { name, type } = query;
    if (type === undefined) return makeAnswer(query, Code.UNKNOWN);
    if (type === "none") return makeAnswer(query, Code.OK);
    if (this.#options.restrict) return makeAnswer(query, Code.FAILED);
    try {
      const records = await this.host.resolve(name, type, this.#nameServer);
      return records ? makeAnswer(query, Code.OK, records) : makeAnswer(query, Code.NO_NAME);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.note(`cannot resolve a name for the guest: ${error.message}`);
      return makeAnswer(query, Code.FAILED);
    }
  }
}
