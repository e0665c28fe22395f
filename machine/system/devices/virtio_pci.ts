/**
 * The PCI transport of virtio devices ("modern": without the registers of version 0.9).
 *
 * Source: Virtual I/O Device (VIRTIO) Version 1.1, section 4.1.
 *
 * @module
 */
import type { Bus } from "../../../mmu/bus.ts";
import type { State, StateReader } from "../state.ts";
import type { MmioDevice } from "./device.ts";
import { PciFunction } from "./pci.ts";
import type { VirtioDevice } from "./virtio.ts";
import { type QueuePart, VirtioTransport } from "./virtio_transport.ts";

const VENDOR = 0x1af4, FIRST_DEVICE = 0x1040, REVISION = 1, SUBSYSTEM = 0x1100;
/** Class codes of device types; others are "unclassified". */
const CLASSES: Readonly<Record<number, number>> = {
  1: 0x02_0000,
  2: 0x01_0000,
  3: 0x07_8000,
  9: 0x00_0200,
};
const UNCLASSIFIED = 0x00_ff00;

/** The base address register of all structures, and where each is; as in QEMU. */
const BAR = 4, BAR_BYTES = 0x4000, AREA = 0x1000;
const COMMON_AT = 0, ISR_AT = 0x1000, DEVICE_AT = 0x2000, NOTIFY_AT = 0x3000;
const COMMON_BYTES = 0x38, NOTIFY_MULTIPLIER = 4;

const VENDOR_CAPABILITY = 9;
const Structure = { COMMON: 1, NOTIFY: 2, ISR: 3, DEVICE: 4, CONFIG_ACCESS: 5 } as const;
/** Places in a configuration access capability. */
const ACCESS_BAR = 4, ACCESS_OFFSET = 8, ACCESS_LENGTH = 12, ACCESS_DATA = 16;

/** Registers of the common structure (section 4.1.4.3). */
const R = {
  DEVICE_FEATURE_SELECT: 0x00,
  DEVICE_FEATURE: 0x04,
  DRIVER_FEATURE_SELECT: 0x08,
  DRIVER_FEATURE: 0x0c,
  MSIX_VECTOR: 0x10,
  NUM_QUEUES: 0x12,
  STATUS: 0x14,
  GENERATION: 0x15,
  QUEUE_SELECT: 0x16,
  QUEUE_SIZE: 0x18,
  QUEUE_MSIX_VECTOR: 0x1a,
  QUEUE_ENABLE: 0x1c,
  QUEUE_NOTIFY_OFF: 0x1e,
  QUEUE_DESC: 0x20,
  QUEUE_DRIVER: 0x28,
  QUEUE_DEVICE: 0x30,
} as const;
const NO_VECTOR = 0xffff;
const SIZES: Readonly<Record<number, number>> = {
  [R.STATUS]: 1,
  [R.GENERATION]: 1,
  [R.MSIX_VECTOR]: 2,
  [R.NUM_QUEUES]: 2,
  [R.QUEUE_SELECT]: 2,
  [R.QUEUE_SIZE]: 2,
  [R.QUEUE_MSIX_VECTOR]: 2,
  [R.QUEUE_ENABLE]: 2,
  [R.QUEUE_NOTIFY_OFF]: 2,
};
const ADDRESSES: Readonly<Record<number, QueuePart>> = {
  [R.QUEUE_DESC]: "descriptors",
  [R.QUEUE_DRIVER]: "available",
  [R.QUEUE_DEVICE]: "used",
};

/** A virtio device as a PCI function. */
export class VirtioPci extends PciFunction {
  readonly transport: VirtioTransport;
  readonly #access: number;
  readonly #view = new DataView(this.config.buffer);

  constructor(device: VirtioDevice, bus: Bus) {
    const registers: MmioDevice = {
      read: (offset, size) => this.#read(offset, size),
      write: (offset, size, value) => this.#write(offset, size, value),
    };
    super(
      {
        vendor: VENDOR,
        device: FIRST_DEVICE + device.id,
        class: CLASSES[device.id] ?? UNCLASSIFIED,
        revision: REVISION,
        subsystemVendor: VENDOR,
        subsystem: SUBSYSTEM,
        interrupt: true,
      },
      [, , , , { size: BAR_BYTES, wide: true, prefetchable: true, device: registers }],
    );
    this.transport = new VirtioTransport(device, bus, this.interrupt, () => this.busMaster);
    this.#structure(Structure.COMMON, COMMON_AT);
    this.#structure(Structure.ISR, ISR_AT);
    this.#structure(Structure.DEVICE, DEVICE_AT);
    this.#structure(Structure.NOTIFY, NOTIFY_AT, NOTIFY_MULTIPLIER);
    const access = this.#access = this.#structure(Structure.CONFIG_ACCESS, 0, 0);
    this.writable[access + ACCESS_BAR] = 0xff;
    this.writable.fill(0xff, access + ACCESS_OFFSET, access + ACCESS_DATA + 4);
  }

  override save(): State {
    return { function: super.save(), transport: this.transport.save() };
  }

  override restore(state: StateReader): void {
    super.restore(state.at("function"));
    this.transport.restore(state.at("transport"));
  }

  #structure(type: number, offset: number, more?: number): number {
    const body = new Uint8Array(more === undefined ? 14 : 18), view = new DataView(body.buffer);
    body[0] = body.length + 2;
    body[1] = type;
    if (type !== Structure.CONFIG_ACCESS) {
      body[2] = BAR;
      view.setUint32(6, offset, true);
      view.setUint32(10, AREA, true);
    }
    if (more !== undefined) view.setUint32(14, more, true);
    return this.addCapability(VENDOR_CAPABILITY, body);
  }

  // ---- access by configuration space (section 4.1.4.7) ----

  /** Whether an access is one of the window into the registers, and where it leads there. */
  #window(register: number, size: number): { offset: number; size: number } | undefined {
    const at = register - this.#access - ACCESS_DATA;
    if (at < 0 || at + size > 4 || this.config[this.#access + ACCESS_BAR] !== BAR) return undefined;
    const offset = this.#view.getUint32(this.#access + ACCESS_OFFSET, true);
    const length = this.#view.getUint32(this.#access + ACCESS_LENGTH, true);
    const right = (length === 1 || length === 2 || length === 4) && offset % length === 0;
    return right && offset + length <= BAR_BYTES ? { offset, size: length } : undefined;
  }

  override readConfig(register: number, size: number): number {
    const window = this.#window(register, size);
    if (window) {
      const value = this.#read(window.offset, window.size);
      this.#view.setUint32(this.#access + ACCESS_DATA, value, true);
    }
    return super.readConfig(register, size);
  }

  override writeConfig(register: number, size: number, value: number): void {
    super.writeConfig(register, size, value);
    const window = this.#window(register, size);
    if (!window) return;
    const data = this.#view.getUint32(this.#access + ACCESS_DATA, true);
    this.#write(window.offset, window.size, data % 2 ** (8 * window.size));
  }

  // ---- structures ----

  #read(offset: number, size: number): number {
    const { transport } = this, at = offset % AREA;
    switch (offset - at) {
      case COMMON_AT:
        return (SIZES[at] ?? 4) === size ? this.#readCommon(at) : 0;
      case ISR_AT: {
        if (at !== 0) return 0;
        const causes = transport.interrupt;
        transport.acknowledge(causes);
        return causes;
      }
      case DEVICE_AT:
        return transport.config(at, size);
      default:
        return 0;
    }
  }

  #readCommon(at: number): number {
    const { transport } = this, { queue } = transport;
    switch (at) {
      case R.DEVICE_FEATURE_SELECT:
        return transport.deviceFeaturesSelect;
      case R.DEVICE_FEATURE:
        return transport.deviceFeatures;
      case R.DRIVER_FEATURE_SELECT:
        return transport.driverFeaturesSelect;
      case R.DRIVER_FEATURE:
        return transport.driverFeatures;
      case R.MSIX_VECTOR:
      case R.QUEUE_MSIX_VECTOR:
        return NO_VECTOR;
      case R.NUM_QUEUES:
        return transport.queues.length;
      case R.STATUS:
        return transport.status;
      case R.QUEUE_SELECT:
        return transport.select;
      case R.QUEUE_SIZE:
        return queue?.size ?? 0;
      case R.QUEUE_ENABLE:
        return queue?.ready ? 1 : 0;
      case R.QUEUE_NOTIFY_OFF:
        return queue ? transport.select : 0;
    }
    const part = at < COMMON_BYTES ? ADDRESSES[at & ~4] : undefined;
    if (!part || !queue) return 0;
    return (at & 4) !== 0 ? Math.floor(queue[part] / 2 ** 32) : queue[part] % 2 ** 32;
  }

  #write(offset: number, size: number, value: number): void {
    const at = offset % AREA;
    if (offset - at === NOTIFY_AT) this.#notify(at, size, value);
    else if (offset - at === COMMON_AT && (SIZES[at] ?? 4) === size) this.#writeCommon(at, value);
  }

  #notify(at: number, size: number, value: number): void {
    const queue = at / NOTIFY_MULTIPLIER;
    if (size >= 2 && (value & 0xffff) === queue) this.transport.notify(queue);
  }

  #writeCommon(at: number, value: number): void {
    const { transport } = this;
    switch (at) {
      case R.DEVICE_FEATURE_SELECT:
        transport.deviceFeaturesSelect = value;
        return;
      case R.DRIVER_FEATURE_SELECT:
        transport.driverFeaturesSelect = value;
        return;
      case R.DRIVER_FEATURE:
        transport.driverFeatures = value;
        return;
      case R.STATUS:
        transport.writeStatus(value);
        return;
      case R.QUEUE_SELECT:
        transport.select = value;
        return;
      case R.QUEUE_SIZE:
        transport.setQueueSize(value);
        return;
      case R.QUEUE_ENABLE:
        // Only a reset ends a queue (section 4.1.4.3.2).
        if (transport.queue && value === 1) transport.queue.ready = true;
        return;
    }
    const part = at < COMMON_BYTES ? ADDRESSES[at & ~4] : undefined;
    if (part) transport.setQueueAddress(part, (at & 4) !== 0, value);
  }
}
