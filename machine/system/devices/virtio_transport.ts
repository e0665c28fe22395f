/**
 * What every transport of a virtio device does: features, status, queues, interrupt causes.
 *
 * Source: Virtual I/O Device (VIRTIO) Version 1.1, chapters 2 and 3.
 *
 * @module
 */
import type { Bus } from "../../../mmu/bus.ts";
import type { State, Stateful, StateReader } from "../state.ts";
import type { InterruptLine } from "./device.ts";
import { type Chain, Feature, QUEUE_SIZE, type VirtioDevice, Virtqueue } from "./virtio.ts";

const DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 64;
const USED_BUFFER = 1, CONFIG_CHANGE = 2;
const TWO32 = 0x1_0000_0000;

/** The part of a queue that an address belongs to. */
export type QueuePart = "descriptors" | "available" | "used";

/** A virtio device and its driver's settings, as its transport's registers show them. */
export class VirtioTransport implements Stateful {
  readonly device: VirtioDevice | undefined;
  readonly queues: readonly Virtqueue[];
  /** Which 32 features the next access of either register means. */
  deviceFeaturesSelect = 0;
  driverFeaturesSelect = 0;
  /** Queue that registers of queues mean. */
  select = 0;
  readonly #line: InterruptLine;
  readonly #mayAccess: () => boolean;
  #driverFeatures = 0n;
  #status = 0;
  #interrupt = 0;

  /** @param mayAccess Whether the device may access memory now. */
  constructor(
    device: VirtioDevice | undefined,
    bus: Bus,
    line: InterruptLine,
    mayAccess: () => boolean = () => true,
  ) {
    this.device = device;
    this.#line = line;
    this.#mayAccess = mayAccess;
    this.queues = Array.from({ length: device?.queues ?? 0 }, () => new Virtqueue(bus));
  }

  /** The queue that is selected, if there is one. */
  get queue(): Virtqueue | undefined {
    return this.queues[this.select];
  }

  get #features(): bigint {
    return Feature.VERSION_1 | Feature.INDIRECT_DESC | (this.device?.features ?? 0n);
  }

  /** The 32 features that are selected. */
  get deviceFeatures(): number {
    if (this.deviceFeaturesSelect > 1) return 0;
    return Number(BigInt.asUintN(32, this.#features >> BigInt(32 * this.deviceFeaturesSelect)));
  }

  /** The driver's choice of the 32 that are selected. */
  get driverFeatures(): number {
    if (this.driverFeaturesSelect > 1) return 0;
    return Number(
      BigInt.asUintN(32, this.#driverFeatures >> BigInt(32 * this.driverFeaturesSelect)),
    );
  }
  set driverFeatures(value: number) {
    if (this.driverFeaturesSelect > 1) return;
    const shift = BigInt(32 * this.driverFeaturesSelect);
    this.#driverFeatures = this.#driverFeatures & ~(0xffff_ffffn << shift) | BigInt(value) << shift;
  }

  /** Device status (section 2.1). */
  get status(): number {
    return this.#status;
  }

  /** The driver writes the device status; 0 is a reset. */
  writeStatus(value: number): void {
    const { device } = this;
    if (value === 0 || !device) {
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
    if ((next & DRIVER_OK) !== 0 && (before & DRIVER_OK) === 0) this.#start(device);
  }

  #start(device: VirtioDevice): void {
    device.start({ pop: this.#pop, push: this.#push });
  }

  /** Causes of the interrupt that were not acknowledged. */
  get interrupt(): number {
    return this.#interrupt;
  }

  /** Acknowledges causes. */
  acknowledge(bits: number): void {
    this.#interrupt &= ~bits;
    this.#line(this.#interrupt !== 0);
  }

  /** The driver made something available in a queue. */
  notify(queue: number): void {
    if (queue < this.queues.length && (this.#status & DRIVER_OK) !== 0) this.device?.notify(queue);
  }

  /** Sets the size of the selected queue; what is no power of two up to the largest one is ignored. */
  setQueueSize(size: number): void {
    const { queue } = this;
    if (queue && size > 0 && size <= QUEUE_SIZE && (size & size - 1) === 0) queue.size = size;
  }

  /** Sets a half of an address of the selected queue, unless it is in use. */
  setQueueAddress(part: QueuePart, high: boolean, value: number): void {
    const { queue } = this;
    if (!queue || queue.ready) return;
    const old = queue[part];
    queue[part] = high ? value * TWO32 + old % TWO32 : Math.floor(old / TWO32) * TWO32 + value;
  }

  /** Bytes of the device's configuration; those that it does not have are 0. */
  config(offset: number, size: number): number {
    const config = this.device?.config;
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (config?.[offset + i] ?? 0);
    return value;
  }

  save(): State {
    return {
      id: this.device?.id ?? 0,
      selects: [this.deviceFeaturesSelect, this.driverFeaturesSelect, this.select],
      features: this.#driverFeatures,
      status: this.#status,
      interrupt: this.#interrupt,
      queues: this.queues.map((queue) => queue.save()),
      ...(this.device?.save ? { device: this.device.save() } : {}),
    };
  }

  /** @throws {StateError} Also if the device is of another type. */
  restore(state: StateReader): void {
    const { device } = this;
    state.at("id").number(device?.id ?? 0, device?.id ?? 0);
    [this.deviceFeaturesSelect, this.driverFeaturesSelect, this.select] = state.at("selects")
      .list(3).map((select) => select.number(0, 0xffff_ffff));
    this.#driverFeatures = state.at("features").bigint();
    this.#status = state.at("status").number(0, 0xff);
    this.#interrupt = state.at("interrupt").number(0, 3);
    const queues = state.at("queues").list(this.queues.length);
    this.queues.forEach((queue, i) => queue.restore(queues[i]));
    if (device && (this.#status & DRIVER_OK) !== 0) this.#start(device);
    if (state.at("device").present) device?.restore?.(state.at("device"));
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

  /** Whether the device may use its queues now. */
  get #live(): boolean {
    return (this.#status & (NEEDS_RESET | DRIVER_OK)) === DRIVER_OK && this.#mayAccess();
  }

  #pop = (queue: number): Chain | undefined => {
    if (!this.#live) return undefined;
    const chain = this.queues[queue].pop();
    if (chain !== "broken") return chain;
    this.#broken();
    return undefined;
  };

  #push = (queue: number, chain: Chain, written: number): void => {
    // After a reset the queue is another one.
    if (!this.#live) return;
    const told = this.queues[queue].push(chain, written);
    if (told === "broken") this.#broken();
    else if (told) this.#raise(USED_BUFFER);
  };

  #reset(): void {
    this.#status =
      this.select =
      this.deviceFeaturesSelect =
      this.driverFeaturesSelect =
        0;
    this.#driverFeatures = 0n;
    for (const queue of this.queues) queue.reset();
    this.#interrupt = 0;
    this.#line(false);
  }
}
