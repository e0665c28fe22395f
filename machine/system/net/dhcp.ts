/**
 * A DHCP server for one guest.
 *
 * Source: RFC 2131, RFC 2132.
 *
 * @module
 */

/** What the guest is given. */
export interface Lease {
  address: number;
  mask: number;
  router: number;
  dns: number;
  server: number;
}

const REQUEST = 1, REPLY = 2, FIXED = 236, COOKIE = 0x6382_5363;
const Option = {
  PAD: 0,
  MASK: 1,
  ROUTER: 3,
  DNS: 6,
  REQUESTED: 50,
  LEASE: 51,
  TYPE: 53,
  SERVER: 54,
  END: 255,
};
const Type = { DISCOVER: 1, OFFER: 2, REQUEST: 3, ACK: 5, NAK: 6, INFORM: 8 };
/** Seconds that a lease lasts. */
const LEASE_SECONDS = 86400;
/** Shortest message that every client takes (RFC 1542). */
const MIN_BYTES = 300;

/** An answer of the server. */
export interface DhcpReply {
  message: Uint8Array;
  /** The client's hardware address; undefined: it wants a broadcast. */
  to: Uint8Array | undefined;
}

/** Answers a message of a client; undefined if there is nothing to say. */
export function dhcpReply(message: Uint8Array, lease: Lease): DhcpReply | undefined {
  if (message.length < FIXED + 4) return undefined;
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const ethernet = view.getUint8(1) === 1 && view.getUint8(2) === 6;
  if (view.getUint8(0) !== REQUEST || !ethernet || view.getUint32(FIXED) !== COOKIE) {
    return undefined;
  }
  const options = new Map<number, Uint8Array>();
  for (let at = FIXED + 4; at < message.length && message[at] !== Option.END;) {
    if (message[at] === Option.PAD) {
      at++;
      continue;
    }
    const length = message[at + 1];
    if (length === undefined || at + 2 + length > message.length) return undefined;
    options.set(message[at], message.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  const address = (option: number) => {
    const bytes = options.get(option);
    return bytes?.length === 4
      ? new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0)
      : undefined;
  };
  const answer = answerTo(options.get(Option.TYPE)?.[0], {
    server: address(Option.SERVER),
    wanted: address(Option.REQUESTED) ?? view.getUint32(12),
    lease,
  });
  if (answer === undefined) return undefined;
  const reply = new Uint8Array(MIN_BYTES), out = new DataView(reply.buffer);
  // Type of hardware, transaction, flags, relay and client are as in the request.
  reply.set(message.subarray(0, 12));
  reply.set(message.subarray(24, 44), 24);
  reply[0] = REPLY;
  reply[3] = 0;
  if (answer === Type.OFFER || answer === Type.ACK) out.setUint32(16, lease.address);
  out.setUint32(20, lease.server);
  out.setUint32(FIXED, COOKIE);
  let at = FIXED + 4;
  const put = (option: number, value: number, size = 4) => {
    out.setUint8(at, option);
    out.setUint8(at + 1, size);
    if (size === 1) out.setUint8(at + 2, value);
    else out.setUint32(at + 2, value);
    at += 2 + size;
  };
  put(Option.TYPE, answer, 1);
  put(Option.SERVER, lease.server);
  if (answer !== Type.NAK) {
    put(Option.LEASE, LEASE_SECONDS);
    put(Option.MASK, lease.mask);
    put(Option.ROUTER, lease.router);
    put(Option.DNS, lease.dns);
  }
  reply[at] = Option.END;
  const broadcast = (view.getUint16(10) & 0x8000) !== 0 || answer === Type.NAK;
  return { message: reply, to: broadcast ? undefined : message.slice(28, 34) };
}

function answerTo(
  type: number | undefined,
  { server, wanted, lease }: { server: number | undefined; wanted: number; lease: Lease },
): number | undefined {
  switch (type) {
    case Type.DISCOVER:
      return Type.OFFER;
    case Type.INFORM:
      return Type.ACK;
    case Type.REQUEST:
      // Another server's offer was taken.
      if (server !== undefined && server !== lease.server) return undefined;
      return wanted === lease.address ? Type.ACK : Type.NAK;
    default:
      return undefined;
  }
}
