/**
 * The memory-mapped transport of virtio devices, version 2.
 *
 * Source: Virtual I/O Device (VIRTIO) Version 1.1, section 4.2.
 *
 * @module
 */
import type { Bus } from "../../../mmu/bus.ts";
import type { InterruptLine, MmioDevice } from "./device.ts";
import { QUEUE_SIZE, type VirtioDevice } from "./virtio.ts";
import { type QueuePart, VirtioTransport } from "./virtio_transport.ts";

const R = {
  MAGIC: 0x000,
  VERSION: 0x004,
  DEVICE_ID: 0x008,
  VENDOR_ID: 0x00c,
  DEVICE_FEATURES: 0x010,
  DEVICE_FEATURES_SEL: 0x014,
  DRIVER_FEATURES: 0x020,
  DRIVER_FEATURES_SEL: 0x024,
  QUEUE_SEL: 0x030,
  QUEUE_NUM_MAX: 0x034,
  QUEUE_NUM: 0x038,
  QUEUE_READY: 0x044,
  QUEUE_NOTIFY: 0x050,
  INTERRUPT_STATUS: 0x060,
  INTERRUPT_ACK: 0x064,
  STATUS: 0x070,
  QUEUE_DESC: 0x080,
  QUEUE_DRIVER: 0x090,
  QUEUE_DEVICE: 0x0a0,
  CONFIG_GENERATION: 0x0fc,
  CONFIG: 0x100,
} as const;
const MAGIC = 0x7472_6976, VERSION = 2, VENDOR = 0x5054_4452;
const ADDRESSES: Readonly<Record<number, QueuePart>> = {
  [R.QUEUE_DESC]: "descriptors",
  [R.QUEUE_DRIVER]: "available",
  [R.QUEUE_DEVICE]: "used",
};

/** One place for a virtio device; it may be empty. */
export class VirtioMmio implements MmioDevice {
  /** What does not depend on these registers. */
  readonly transport: VirtioTransport;

  constructor(device: VirtioDevice | undefined, bus: Bus, line: InterruptLine) {
    this.transport = new VirtioTransport(device, bus, line);
  }

  read(offset: number, size: number): number | undefined {
    const transport = this.transport, { device, queue } = transport;
    if (offset >= R.CONFIG) return transport.config(offset - R.CONFIG, size);
    if (size !== 4) return undefined;
    switch (offset) {
      case R.MAGIC:
        return MAGIC;
      case R.VERSION:
        return VERSION;
      case R.DEVICE_ID:
        return device?.id ?? 0;
      case R.VENDOR_ID:
        return VENDOR;
      case R.DEVICE_FEATURES:
        return transport.deviceFeatures;
      case R.QUEUE_NUM_MAX:
        return queue ? QUEUE_SIZE : 0;
      case R.QUEUE_READY:
        return queue?.ready ? 1 : 0;
      case R.INTERRUPT_STATUS:
        return transport.interrupt;
      case R.STATUS:
        return transport.status;
      default:
        return 0;
    }
  }

  write(offset: number, size: number, value: number): boolean {
    // Configuration spaces here are read-only.
    if (offset >= R.CONFIG) return true;
    if (size !== 4) return false;
    if (this.transport.device) this.#write(offset, value);
    return true;
  }

  #write(offset: number, value: number): void {
    const transport = this.transport;
    switch (offset) {
      case R.DEVICE_FEATURES_SEL:
        transport.deviceFeaturesSelect = value;
        break;
      case R.DRIVER_FEATURES_SEL:
        transport.driverFeaturesSelect = value;
        break;
      case R.DRIVER_FEATURES:
        transport.driverFeatures = value;
        break;
      case R.QUEUE_SEL:
        transport.select = value;
        break;
      case R.QUEUE_NUM:
        transport.setQueueSize(value);
        break;
      case R.QUEUE_READY:
        if (transport.queue) transport.queue.ready = (value & 1) !== 0;
        break;
      case R.QUEUE_NOTIFY:
        transport.notify(value);
        break;
      case R.INTERRUPT_ACK:
        transport.acknowledge(value);
        break;
      case R.STATUS:
        transport.writeStatus(value);
        break;
      default: {
        const part = ADDRESSES[offset & ~4];
        if (part) transport.setQueueAddress(part, (offset & 4) !== 0, value);
      }
    }
  }
}
