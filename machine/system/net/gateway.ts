/**
 * Addresses of the user-mode network, and what its parts know of each other. The places are those of QEMU's.
 *
 * @module
 */
import type { Endpoint, NetworkHost } from "./host.ts";
import type { Mac, Route } from "./wire.ts";

/** Addresses: 10.0.2.0/24, the gateway at .2, the name server at .3, the guest at .15. */
export const Address = {
  NETWORK: 0x0a00_0200,
  MASK: 0xffff_ff00,
  GATEWAY: 0x0a00_0202,
  DNS: 0x0a00_0203,
  GUEST: 0x0a00_020f,
  EVERYBODY: 0xffff_ffff,
  LOOPBACK: 0x7f00_0001,
} as const;

/** Hardware addresses of gateway and guest. */
export const GATEWAY_MAC: Mac = Uint8Array.of(0x52, 0x55, 0x0a, 0x00, 0x02, 0x02);
export const GUEST_MAC: Mac = Uint8Array.of(0x52, 0x54, 0x00, 0x12, 0x34, 0x56);

/** Whether an address is in the guest's network. */
export function isLocal(address: number): boolean {
  return (address & Address.MASK) >>> 0 === Address.NETWORK;
}

/** The guest's end of the cable. */
export interface Link {
  /** Gives the guest a frame; it is lost if too much waits already. */
  send(frame: Uint8Array): void;
  /** Whether the guest takes frames: what need not be sent now should wait otherwise. */
  ready(): boolean;
}

/** What the translators of TCP and UDP get from the gateway. */
export interface Gateway {
  readonly host: NetworkHost;
  send(frame: Uint8Array): void;
  ready(): boolean;
  /** For a packet to the guest. */
  route(source: number, destination: number): Route;
  /** Where the guest's packets for an endpoint go; undefined if they may not go anywhere. */
  outside(to: Endpoint): Endpoint | undefined;
  /** How the guest sees an endpoint of the host's network. */
  inside(from: Endpoint): Endpoint;
  /** Reports, once, what could not be done. */
  note(message: string): void;
}
