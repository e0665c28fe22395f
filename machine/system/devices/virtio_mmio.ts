/**
 * The memory-mapped transport of virtio devices, version 2.
 *
 * Source: Virtual I/O Device (VIRTIO) Version 1.1, section 4.2.
 *
 * @module
 */
import type { Bus } from "../../../mmu/bus.ts";
import type { InterruptLine, MmioDevice } from "./device.ts";
import { type Chain, Feature, QUEUE_SIZE, type VirtioDevice, Virtqueue } from "./virtio.ts";

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
const DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 64;
const USED_BUFFER = 1, CONFIG_CHANGE = 2;
const TWO32 = 0x1_0000_0000;

/** One place for a virtio device; it may be empty. */
export class VirtioMmio implements MmioDevice {
  readonly #device: VirtioDevice | undefined;
  readonly #line: InterruptLine;
  readonly #queues: Virtqueue[] = [];
  #featuresSelect = 0;
  #driverSelect = 0;
  #driverFeatures = 0n;
  #select = 0;
  #status = 0;
  #interrupt = 0;

  constructor(device: VirtioDevice | undefined, bus: Bus, line: InterruptLine) {
    this.#device = device;
    this.#line = line;
    for (let i = 0; i < (device?.queues ?? 0); i++) this.#queues.push(new Virtqueue(bus));
  }

  get #features(): bigint {
    return Feature.VERSION_1 | Feature.INDIRECT_DESC | (this.#device?.features ?? 0n);
  }

  #raise(bits: number): void {
    this.#interrupt |= bits;
    this.#line(this.#interrupt !== 0);
  }

  /** A queue holds nonsense: nothing goes on until the driver resets the device (section 2.1.2). */
  #broken(): void {
    this.#status |= NEEDS_RESET;
    this.#raise(CONFIG_CHANGE);
  }

  #pop = (queue: number): Chain | undefined => {
    if ((this.#status & (NEEDS_RESET | DRIVER_OK)) !== DRIVER_OK) return undefined;
    const chain = this.#queues[queue].pop();
    if (chain !== "broken") return chain;
    this.#broken();
    return undefined;
  };

  #push = (queue: number, chain: Chain, written: number): void => {
    // After a reset the queue is another one.
    if ((this.#status & (NEEDS_RESET | DRIVER_OK)) !== DRIVER_OK) return;
    const told = this.#queues[queue].push(chain, written);
    if (told === "broken") this.#broken();
    else if (told) this.#raise(USED_BUFFER);
  };

  #reset(): void {
    this.#status =
      this.#select =
      this.#featuresSelect =
      this.#driverSelect =
        0;
    this.#driverFeatures = 0n;
    for (const queue of this.#queues) queue.reset();
    this.#interrupt = 0;
    this.#line(false);
  }

  read(offset: number, size: number): number | undefined {
    if (offset >= R.CONFIG) {
      const config = this.#device?.config ?? new Uint8Array(), at = offset - R.CONFIG;
      let value = 0;
      for (let i = size - 1; i >= 0; i--) value = value * 256 + (config[at + i] ?? 0);
      return value;
    }
    if (size !== 4) return undefined;
    const queue = this.#queues[this.#select];
    switch (offset) {
      case R.MAGIC:
        return MAGIC;
      case R.VERSION:
        return VERSION;
      case R.DEVICE_ID:
        return this.#device?.id ?? 0;
      case R.VENDOR_ID:
        return VENDOR;
      case R.DEVICE_FEATURES:
        if (this.#featuresSelect > 1) return 0;
        return Number(BigInt.asUintN(32, this.#features >> BigInt(32 * this.#featuresSelect)));
      case R.QUEUE_NUM_MAX:
        return queue ? QUEUE_SIZE : 0;
      case R.QUEUE_READY:
        return queue?.ready ? 1 : 0;
      case R.INTERRUPT_STATUS:
        return this.#interrupt;
      case R.STATUS:
        return this.#status;
      default:
        return 0;
    }
  }

  write(offset: number, size: number, value: number): boolean {
    // Configuration spaces here are read-only.
    if (offset >= R.CONFIG) return true;
    if (size !== 4) return false;
    if (this.#device) this.#write(offset, value, this.#device);
    return true;
  }

  #write(offset: number, value: number, device: VirtioDevice): void {
    const queue = this.#queues[this.#select];
    switch (offset) {
      case R.DEVICE_FEATURES_SEL:
        this.#featuresSelect = value;
        break;
      case R.DRIVER_FEATURES_SEL:
        this.#driverSelect = value;
        break;
      case R.DRIVER_FEATURES:
        if (this.#driverSelect <= 1) {
          const shift = BigInt(32 * this.#driverSelect);
          this.#driverFeatures = this.#driverFeatures & ~(0xffff_ffffn << shift) |
            BigInt(value) << shift;
        }
        break;
      case R.QUEUE_SEL:
        this.#select = value;
        break;
      case R.QUEUE_NUM:
        if (queue && value > 0 && value <= QUEUE_SIZE && (value & value - 1) === 0) {
          queue.size = value;
        }
        break;
      case R.QUEUE_READY:
        if (queue) queue.ready = (value & 1) !== 0;
        break;
      case R.QUEUE_NOTIFY:
        if (value < this.#queues.length && (this.#status & DRIVER_OK) !== 0) device.notify(value);
        break;
      case R.INTERRUPT_ACK:
        this.#interrupt &= ~value;
        this.#line(this.#interrupt !== 0);
        break;
      case R.STATUS:
        this.#writeStatus(value, device);
        break;
      default:
        if (queue && !queue.ready) this.#writeAddress(queue, offset, value);
    }
  }

  #writeStatus(value: number, device: VirtioDevice): void {
    if (value === 0) {
      this.#reset();
      return;
    }
    const before = this.#status;
    let next = value & 0xff | before & NEEDS_RESET;
    // A driver that takes what is not offered, or does not know version 1, is not accepted.
    const acceptable = (this.#driverFeatures & ~this.#features) === 0n &&
      (this.#driverFeatures & Feature.VERSION_1) !== 0n;
    if (!acceptable) next &= ~FEATURES_OK;
    this.#status = next;
    if ((next & DRIVER_OK) !== 0 && (before & DRIVER_OK) === 0) {
      device.start({ pop: this.#pop, push: this.#push });
    }
  }

  #writeAddress(queue: Virtqueue, offset: number, value: number): void {
    const place = offset & ~4, high = (offset & 4) !== 0;
    const merge = (old: number) =>
      high ? value * TWO32 + old % TWO32 : Math.floor(old / TWO32) * TWO32 + value;
    if (place === R.QUEUE_DESC) queue.descriptors = merge(queue.descriptors);
    else if (place === R.QUEUE_DRIVER) queue.available = merge(queue.available);
    else if (place === R.QUEUE_DEVICE) queue.used = merge(queue.used);
  }
}
