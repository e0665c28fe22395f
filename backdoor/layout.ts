/**
 * Sizes and places of a channel's three areas, computed from its geometry.
 *
 * @module
 */
import {
  type ChannelGeometry,
  Config,
  CONFIG_MAGIC,
  Control,
  NUM_ARGS,
  PROTOCOL_VERSION,
  Ring,
} from "./protocol.ts";

const PAGE = 4096;

/** The largest data area of a client and the largest ring buffer, in bytes. */
export const MAX_CLIENT_BYTES = 1 << 28;

/** Guest addresses of the areas, each page-aligned. */
export interface AreaAddresses {
  /** Config area, {@linkcode Config.SIZE} bytes. */
  config: number;
  /** Control area, {@linkcode ChannelLayout.controlSize} bytes. */
  control: number;
  /** Data area, {@linkcode ChannelLayout.dataSize} bytes. */
  data: number;
}

/** Sizes in bytes and offsets of a channel's areas. */
export interface ChannelLayout {
  /** What they were computed from. */
  readonly geometry: ChannelGeometry;
  /** Bytes of the config area. */
  readonly configSize: number;
  /** Bytes of the control area, whole pages. */
  readonly controlSize: number;
  /** Bytes of the data area, rings included, whole pages. */
  readonly dataSize: number;
  /** Offset of client 0's ring in the data area. */
  readonly ringOffset: number;
  /** Bytes from one client's ring to the next. */
  readonly ringStride: number;
  /** Bytes of all three areas. */
  readonly totalSize: number;
}

function wholePages(bytes: number): number {
  return Math.ceil(bytes / PAGE) * PAGE;
}

function check(name: string, value: number, ok: boolean, expected: string): void {
  if (!ok) throw new RangeError(`Cannot use ${value} as a channel's ${name}: ${expected}`);
}

/**
 * Computes a channel's layout.
 *
 * @throws {RangeError} If the geometry is not as {@linkcode ChannelGeometry} says.
 */
export function channelLayout(geometry: ChannelGeometry): ChannelLayout {
  const { maxClients, clientDataSize, ringSize } = geometry;
  check(
    "maxClients",
    maxClients,
    Number.isInteger(maxClients) && maxClients >= 1 && maxClients <= 64,
    "1 to 64 are possible",
  );
  check(
    "clientDataSize",
    clientDataSize,
    clientDataSize >= PAGE && clientDataSize <= MAX_CLIENT_BYTES && clientDataSize % PAGE === 0,
    `it must be a multiple of ${PAGE} bytes, at most ${MAX_CLIENT_BYTES}`,
  );
  check(
    "ringSize",
    ringSize,
    ringSize >= PAGE && ringSize <= MAX_CLIENT_BYTES && Number.isInteger(Math.log2(ringSize)),
    `it must be a power of two from ${PAGE} to ${MAX_CLIENT_BYTES} bytes`,
  );
  const controlSize = wholePages(maxClients * Control.SIZE);
  const ringOffset = maxClients * clientDataSize;
  const ringStride = Ring.BUFFER + ringSize;
  const dataSize = wholePages(ringOffset + maxClients * ringStride);
  return {
    geometry,
    configSize: Config.SIZE,
    controlSize,
    dataSize,
    ringOffset,
    ringStride,
    totalSize: Config.SIZE + controlSize + dataSize,
  };
}

/** Places the areas one after the other from a page-aligned address on. */
export function areasFrom(start: number, layout: ChannelLayout): AreaAddresses {
  const control = start + layout.configSize;
  return { config: start, control, data: control + layout.controlSize };
}

/** Writes the config area's content into its bytes. */
export function writeConfig(bytes: Uint8Array<ArrayBuffer>, layout: ChannelLayout): void {
  bytes.fill(0);
  bytes.set(new TextEncoder().encode(CONFIG_MAGIC), Config.MAGIC);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (offset: number, value: number) => view.setBigUint64(offset, BigInt(value), true);
  word(Config.VERSION, PROTOCOL_VERSION);
  word(Config.MAX_CLIENTS, layout.geometry.maxClients);
  word(Config.NUM_ARGS, NUM_ARGS);
  word(Config.CLIENT_DATA_SIZE, layout.geometry.clientDataSize);
  word(Config.CONTROL_SIZE, layout.controlSize);
  word(Config.DATA_SIZE, layout.dataSize);
  word(Config.RING_OFFSET, layout.ringOffset);
  word(Config.RING_STRIDE, layout.ringStride);
  word(Config.RING_SIZE, layout.geometry.ringSize);
}
