/**
 * What goes over the wire: Ethernet, ARP, IPv4, ICMP, UDP and TCP headers. Everything that is parsed comes from the
 * guest; what is malformed is undefined.
 *
 * Addresses are unsigned 32-bit numbers. Checksums of TCP and UDP are not looked at: the guest may leave them to the
 * device (VIRTIO_NET_F_CSUM), and a cable of memory makes no errors.
 *
 * Source: RFC 826, 791, 792, 768, 9293.
 *
 * @module
 */

/** Types of Ethernet frames. */
export const EtherType = { IPV4: 0x0800, ARP: 0x0806 } as const;
/** Protocols in IPv4. */
export const Protocol = { ICMP: 1, TCP: 6, UDP: 17 } as const;
/** Bits of a TCP header. */
export const Tcp = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16 } as const;

/** Bytes of an Ethernet header, of the IPv4 header that is made here, of UDP's and of TCP's without options. */
export const ETHERNET_BYTES = 14, IPV4_BYTES = 20, UDP_BYTES = 8, TCP_BYTES = 20;
/** Most bytes of an Ethernet frame's content. */
export const MTU = 1500;
/** Largest frame that a guest may send: an IPv4 packet of any size, which the device's offload allows. */
export const MAX_FRAME = ETHERNET_BYTES + 65535;

const ARP_BYTES = 28, TTL = 64;
const MORE_FRAGMENTS = 0x2000, FRAGMENT_OFFSET = 0x1fff;

/** A hardware address. */
export type Mac = Uint8Array;
/** The hardware address of everybody. */
export const BROADCAST: Mac = new Uint8Array(6).fill(255);

/** The number of an address such as "10.0.2.15"; undefined if it is none. */
export function parseAddress(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (!match) return undefined;
  const parts = match.slice(1).map(Number);
  if (parts.some((part) => part > 255)) return undefined;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

/** The usual text of an address. */
export function addressText(address: number): string {
  return [24, 16, 8, 0].map((shift) => address >>> shift & 255).join(".");
}

const u16 = (bytes: Uint8Array, at: number) => bytes[at] << 8 | bytes[at + 1];
const u32 = (bytes: Uint8Array, at: number) =>
  (bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3]) >>> 0;

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

function put32(bytes: Uint8Array, at: number, value: number): void {
  put16(bytes, at, value >>> 16);
  put16(bytes, at + 2, value);
}

/** The internet checksum (RFC 1071) of some bytes, on top of `sum`. */
export function checksum(bytes: Uint8Array, sum = 0): number {
  const even = bytes.length & ~1;
  for (let i = 0; i < even; i += 2) sum += bytes[i] << 8 | bytes[i + 1];
  if (even < bytes.length) sum += bytes[even] << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/** A request or an answer for a hardware address. */
export interface Arp {
  request: boolean;
  senderMac: Mac;
  sender: number;
  target: number;
}

/** The ARP packet of a frame. */
export function parseArp(frame: Uint8Array): Arp | undefined {
  const packet = frame.subarray(ETHERNET_BYTES);
  if (packet.length < ARP_BYTES || u16(packet, 0) !== 1 || u16(packet, 2) !== EtherType.IPV4) {
    return undefined;
  }
  const operation = u16(packet, 6);
  if (packet[4] !== 6 || packet[5] !== 4 || operation < 1 || operation > 2) return undefined;
  const senderMac = packet.slice(8, 14);
  return { request: operation === 1, senderMac, sender: u32(packet, 14), target: u32(packet, 24) };
}

/** Who sends a frame, and to whom. */
export interface Hop {
  to: Mac;
  from: Mac;
}

function ethernet({ to, from }: Hop, type: number, length: number): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(ETHERNET_BYTES + length);
  frame.set(to);
  frame.set(from, 6);
  put16(frame, 12, type);
  return frame;
}

/** The frame that answers an ARP request. */
export function arpReply(hop: Hop, { senderMac, sender, target }: Arp): Uint8Array<ArrayBuffer> {
  const frame = ethernet(hop, EtherType.ARP, ARP_BYTES), packet = frame.subarray(ETHERNET_BYTES);
  put16(packet, 0, 1);
  put16(packet, 2, EtherType.IPV4);
  packet[4] = 6;
  packet[5] = 4;
  put16(packet, 6, 2);
  packet.set(hop.from, 8);
  put32(packet, 14, target);
  packet.set(senderMac, 18);
  put32(packet, 24, sender);
  return frame;
}

/** An IPv4 packet. */
export interface Ipv4 {
  source: number;
  destination: number;
  protocol: number;
  /** What is behind the header. */
  payload: Uint8Array;
  /** The header and the first 8 bytes behind it, as ICMP errors quote them. */
  quote: Uint8Array;
}

/** The IPv4 packet of a frame; undefined for fragments too. */
export function parseIpv4(frame: Uint8Array): Ipv4 | undefined {
  const packet = frame.subarray(ETHERNET_BYTES);
  if (packet.length < IPV4_BYTES || packet[0] >> 4 !== 4) return undefined;
  const header = (packet[0] & 15) * 4, total = u16(packet, 2);
  if (header < IPV4_BYTES || total < header || total > packet.length) return undefined;
  if (checksum(packet.subarray(0, header)) !== 0) return undefined;
  if ((u16(packet, 6) & (MORE_FRAGMENTS | FRAGMENT_OFFSET)) !== 0) return undefined;
  return {
    source: u32(packet, 12),
    destination: u32(packet, 16),
    protocol: packet[9],
    payload: packet.subarray(header, total),
    quote: packet.subarray(0, Math.min(total, header + 8)),
  };
}

let identification = 0;

/** Writes the IPv4 header of a frame. */
function ipv4Header(
  frame: Uint8Array,
  { source, destination, protocol }: Pick<Ipv4, "source" | "destination" | "protocol">,
  length: number,
  id: number,
  fragment: number,
): void {
  const packet = frame.subarray(ETHERNET_BYTES, ETHERNET_BYTES + IPV4_BYTES);
  packet[0] = 0x45;
  put16(packet, 2, IPV4_BYTES + length);
  put16(packet, 4, id);
  put16(packet, 6, fragment);
  packet[8] = TTL;
  packet[9] = protocol;
  put32(packet, 12, source);
  put32(packet, 16, destination);
  put16(packet, 10, checksum(packet));
}

/** Source and destination of a packet that is made. */
export interface Route {
  hop: Hop;
  source: number;
  destination: number;
}

/** An unfinished frame with an IPv4 packet, and the place of its payload. */
function makeIpv4({ hop, source, destination }: Route, protocol: number, length: number) {
  const frame = ethernet(hop, EtherType.IPV4, IPV4_BYTES + length);
  ipv4Header(frame, { source, destination, protocol }, length, identification++ & 0xffff, 0);
  return { frame, payload: frame.subarray(ETHERNET_BYTES + IPV4_BYTES) };
}

/** Sum of the pseudo-header that TCP and UDP checksums include. */
function pseudo({ source, destination }: Route, protocol: number, length: number): number {
  return (source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff) +
    protocol + length;
}

/** A frame with an ICMP message. */
export function makeIcmp(
  route: Route,
  type: number,
  code: number,
  rest: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const { frame, payload } = makeIpv4(route, Protocol.ICMP, 4 + rest.length);
  payload[0] = type;
  payload[1] = code;
  payload.set(rest, 4);
  put16(payload, 2, checksum(payload));
  return frame;
}

/** A UDP datagram. */
export interface Udp {
  sourcePort: number;
  destinationPort: number;
  payload: Uint8Array;
}

/** The datagram of an IPv4 packet. */
export function parseUdp({ payload }: Ipv4): Udp | undefined {
  if (payload.length < UDP_BYTES) return undefined;
  const length = u16(payload, 4);
  if (length < UDP_BYTES || length > payload.length) return undefined;
  return {
    sourcePort: u16(payload, 0),
    destinationPort: u16(payload, 2),
    payload: payload.subarray(UDP_BYTES, length),
  };
}

/** Bytes of a packet's content that go into one fragment, a multiple of 8. */
const FRAGMENT = MTU - IPV4_BYTES & ~7;

/** The frames of a datagram: one, or fragments. */
export function makeUdp(
  route: Route,
  { sourcePort, destinationPort, payload: data }: Udp,
): Uint8Array<ArrayBuffer>[] {
  const length = UDP_BYTES + data.length;
  const { frame, payload } = makeIpv4(route, Protocol.UDP, length);
  put16(payload, 0, sourcePort);
  put16(payload, 2, destinationPort);
  put16(payload, 4, length);
  payload.set(data, UDP_BYTES);
  // 0 would mean that there is none.
  put16(payload, 6, checksum(payload, pseudo(route, Protocol.UDP, length)) || 0xffff);
  if (length <= MTU - IPV4_BYTES) return [frame];
  const frames: Uint8Array<ArrayBuffer>[] = [], id = identification++ & 0xffff;
  for (let at = 0; at < length; at += FRAGMENT) {
    const part = payload.subarray(at, at + FRAGMENT);
    const fragment = ethernet(route.hop, EtherType.IPV4, IPV4_BYTES + part.length);
    const more = at + FRAGMENT < length ? MORE_FRAGMENTS : 0;
    const { source, destination } = route;
    const header = { source, destination, protocol: Protocol.UDP };
    ipv4Header(fragment, header, part.length, id, at / 8 | more);
    fragment.set(part, ETHERNET_BYTES + IPV4_BYTES);
    frames.push(fragment);
  }
  return frames;
}

/** A TCP segment. */
export interface Segment {
  sourcePort: number;
  destinationPort: number;
  /** Sequence number of its first byte; any whole number, modulo 2^32. */
  sequence: number;
  acknowledgment: number;
  flags: number;
  window: number;
  /** Options of a segment with SYN; undefined if absent. */
  mss: number | undefined;
  scale: number | undefined;
  payload: Uint8Array;
}

const OPTION_END = 0, OPTION_NOP = 1, OPTION_MSS = 2, OPTION_SCALE = 3;

/** The segment of an IPv4 packet. */
export function parseTcp({ payload: packet }: Ipv4): Segment | undefined {
  if (packet.length < TCP_BYTES) return undefined;
  const header = (packet[12] >> 4) * 4;
  if (header < TCP_BYTES || header > packet.length) return undefined;
  let mss: number | undefined, scale: number | undefined;
  for (let at = TCP_BYTES; at < header && packet[at] !== OPTION_END;) {
    if (packet[at] === OPTION_NOP) {
      at++;
      continue;
    }
    const length = packet[at + 1];
    if (at + 1 >= header || length < 2 || at + length > header) return undefined;
    if (packet[at] === OPTION_MSS && length === 4) mss = u16(packet, at + 2);
    if (packet[at] === OPTION_SCALE && length === 3) scale = packet[at + 2];
    at += length;
  }
  return {
    sourcePort: u16(packet, 0),
    destinationPort: u16(packet, 2),
    sequence: u32(packet, 4),
    acknowledgment: u32(packet, 8),
    flags: packet[13] & 0x3f,
    window: u16(packet, 14),
    mss,
    scale,
    payload: packet.subarray(header),
  };
}

/** The frame of a segment. */
export function makeTcp(route: Route, segment: Segment): Uint8Array<ArrayBuffer> {
  const { mss, scale, payload: data } = segment;
  const options = (mss === undefined ? 0 : 4) + (scale === undefined ? 0 : 4);
  const header = TCP_BYTES + options, length = header + data.length;
  const { frame, payload } = makeIpv4(route, Protocol.TCP, length);
  put16(payload, 0, segment.sourcePort);
  put16(payload, 2, segment.destinationPort);
  put32(payload, 4, segment.sequence);
  put32(payload, 8, segment.acknowledgment);
  payload[12] = header / 4 << 4;
  payload[13] = segment.flags;
  put16(payload, 14, segment.window);
  let at = TCP_BYTES;
  if (mss !== undefined) {
    put32(payload, at, OPTION_MSS << 24 | 4 << 16 | mss);
    at += 4;
  }
  if (scale !== undefined) {
    put32(payload, at, OPTION_NOP << 24 | OPTION_SCALE << 16 | 3 << 8 | scale);
  }
  payload.set(data, header);
  put16(payload, 16, checksum(payload, pseudo(route, Protocol.TCP, length)));
  return frame;
}
