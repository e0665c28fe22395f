/**
 * A channel's three areas in guest memory.
 *
 * @module
 */
import { type AddressSpace, Prot } from "../mmu/address_space.ts";
import { type AreaAddresses, type ChannelLayout, channelLayout, writeConfig } from "./layout.ts";
import { type ChannelGeometry, Config, Ring } from "./protocol.ts";
import { EventRing } from "./ring.ts";

/** The areas, by the names of the files that show them. */
export type AreaName = "config" | "data" | "control";

const ACCESS: Readonly<Record<AreaName, number>> = {
  config: Prot.READ,
  data: Prot.READ | Prot.WRITE,
  // Loads see the slots; stores leave the CPU's fast path and become calls.
  control: Prot.READ,
};

/** Reserves the areas, gives them to the guest and takes them away; the host reaches them always. */
export class ChannelAreas {
  /** Sizes and offsets. */
  readonly layout: ChannelLayout;
  /** Guest addresses. */
  readonly addresses: Readonly<AreaAddresses>;
  /** Each client's part of the data area. */
  readonly data: readonly Uint8Array<ArrayBuffer>[];
  /** Each client's ring. */
  readonly rings: readonly EventRing[];
  /** The rings' heads, so many words apart, as the guest has written them: a ring is empty if it equals its tail. */
  readonly heads: Int32Array<ArrayBuffer>;
  readonly headStride: number;
  /** The rings' tails, as the host has them. */
  readonly tails: Int32Array<ArrayBuffer>;
  readonly #memory: AddressSpace;

  /**
   * Reserves the areas' pages without any access and fills the config area.
   *
   * @throws {RangeError} If the geometry is impossible, or the areas are unaligned, not free or outside memory.
   */
  constructor(memory: AddressSpace, addresses: AreaAddresses, geometry: ChannelGeometry) {
    this.#memory = memory;
    this.layout = channelLayout(geometry);
    this.addresses = { ...addresses };
    for (const area of ["config", "control", "data"] as const) {
      const start = addresses[area], length = this.size(area);
      if (!memory.isFree(start, length)) {
        throw new RangeError(
          `Cannot place the backdoor's ${area} area (${length} bytes) at guest address 0x${
            start.toString(16)
          }: it is in use or outside guest memory; give the guest more memory or choose smaller areas`,
        );
      }
      memory.map(start, length, Prot.NONE);
    }
    const { maxClients, clientDataSize, ringSize } = geometry;
    const { ringOffset, ringStride } = this.layout;
    const clients = Array.from({ length: maxClients }, (_, client) => client);
    this.data = clients.map((client) => {
      const start = addresses.data + client * clientDataSize;
      return memory.arena.m8.subarray(start, start + clientDataSize);
    });
    const ring = addresses.data + ringOffset;
    this.heads = memory.arena.m32.subarray((ring + Ring.HEAD) >>> 2);
    this.headStride = ringStride >>> 2;
    this.tails = new Int32Array(maxClients);
    this.rings = clients.map((client) =>
      new EventRing(memory.arena, client, ring + client * ringStride, ringSize, this.tails)
    );
    this.#writeConfig();
  }

  /** Bytes of an area. */
  size(area: AreaName): number {
    if (area === "config") return this.layout.configSize;
    return area === "control" ? this.layout.controlSize : this.layout.dataSize;
  }

  /** Whether `size` bytes from an address on lie in the control area, all of them. */
  inControl(address: number, size = 1): boolean {
    const offset = address - this.addresses.control;
    return offset >= 0 && offset + size <= this.layout.controlSize;
  }

  /** Gives one area to the guest, with its content; doing it again changes nothing. @returns Its guest address. */
  map(area: AreaName): number {
    const start = this.addresses[area], length = this.size(area);
    if (!this.#memory.protect(start, length, ACCESS[area])) {
      // The guest has unmapped it by itself: its content is gone.
      this.#memory.map(start, length, ACCESS[area]);
      if (area === "data") { for (const ring of this.rings) ring.restart(); }
    }
    if (area === "config") this.#writeConfig();
    return start;
  }

  /** Takes one area away from the guest; place and content stay reserved. */
  unmap(area: AreaName): void {
    const start = this.addresses[area], length = this.size(area);
    if (!this.#memory.protect(start, length, Prot.NONE)) this.#memory.unmap(start, length);
  }

  /** Gives all areas to the guest: config read-only, data writable, control read-only so that stores trap. */
  attach(): void {
    this.map("config");
    this.map("control");
    this.map("data");
  }

  /** Takes all areas away from the guest. */
  detach(): void {
    this.unmap("config");
    this.unmap("control");
    this.unmap("data");
  }

  #writeConfig(): void {
    const { config } = this.addresses;
    writeConfig(this.#memory.arena.m8.subarray(config, config + Config.SIZE), this.layout);
  }
}
