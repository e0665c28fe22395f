/**
 * What the user-mode network asks of the host, so that tests can fake it.
 *
 * @module
 */
import type { StateReader } from "../state.ts";

/** One TCP connection of the host. */
export interface HostStream {
  /** Reads at least one byte; null at the end. */
  read(buffer: Uint8Array<ArrayBuffer>): Promise<number | null>;
  /** Writes some of the bytes; returns how many. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<number>;
  /** Nothing more will be written. */
  closeWrite(): Promise<void>;
  /** Ends it; may be called again. */
  close(): void;
}

/** A UDP socket of the host. */
export interface HostDatagrams {
  /** Its port. */
  readonly port: number;
  /** Sends a datagram; it may get lost. */
  send(bytes: Uint8Array, address: number, port: number): void;
  /** Closes it; may be called again. */
  close(): void;
}

/** Waits for TCP connections. */
export interface HostListener {
  /** Its port. */
  readonly port: number;
  /** Accepts no more. */
  close(): void;
}

/** Who is at the other end: IPv4 address and port. */
export interface Endpoint {
  /** An unsigned 32-bit number. */
  address: number;
  /** 0 to 65535. */
  port: number;
}

/** One of a snapshot. @throws {StateError} */
export function readEndpoint(state: StateReader): Endpoint {
  return {
    address: state.at("address").number(0, 0xffff_ffff),
    port: state.at("port").number(0, 0xffff),
  };
}

/** A record of the Domain Name System, as its content has it on the wire or as names and numbers. */
export type DnsRecord =
  | { type: "A"; address: number }
  | { type: "CNAME" | "NS" | "PTR"; name: string }
  | { type: "MX"; preference: number; name: string }
  | { type: "SRV"; priority: number; weight: number; port: number; name: string }
  | { type: "TXT"; texts: string[] };

/** Types that can be asked for. */
export type DnsType = DnsRecord["type"];

/** The host's network. What can't be done throws an `Error` whose message says why. */
export interface NetworkHost {
  /** Whether Trapdoor may use the network at this endpoint; nobody is asked. */
  allowed(to: Endpoint): boolean;
  /** Opens a TCP connection. */
  connect(to: Endpoint): Promise<HostStream>;
  /** Waits for TCP connections. */
  listen(at: Endpoint, accept: (stream: HostStream, from: Endpoint) => void): HostListener;
  /** Opens a UDP socket; `received` gets what arrives. */
  datagrams(
    at: Endpoint,
    received: (bytes: Uint8Array, from: Endpoint) => void,
  ): Promise<HostDatagrams>;
  /** Records of a name; none if there are none, undefined if there is no such name. */
  resolve(name: string, type: DnsType, server?: Endpoint): Promise<DnsRecord[] | undefined>;
}
