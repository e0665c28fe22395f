/**
 * The backdoor of a machine in system mode: the instruction from every privilege level, and the channel's areas in
 * physical memory, where the device tree says.
 *
 * While a call waits for a Promise the whole machine stands still.
 *
 * @module
 */
import { BackdoorChannel, type ErrorPolicy } from "../../backdoor/channel.ts";
import type { BackdoorCpu } from "../../backdoor/cpu.ts";
import { areasFrom, type ChannelLayout, channelLayout } from "../../backdoor/layout.ts";
import { loadCallbacks } from "../../backdoor/loader.ts";
import {
  type ChannelGeometry,
  Control,
  DEFAULT_GEOMETRY,
  Kind,
  Pci,
  PROTOCOL_VERSION,
  Status,
  VIRT_ADDRESS,
} from "../../backdoor/protocol.ts";
import type { Callbacks } from "../../backdoor/callbacks.ts";
import type { CallbackModule } from "../../backdoor/types.ts";
import type { MmioDevice } from "../../mmu/bus.ts";
import { type PciBar, PciFunction } from "./devices/pci.ts";
import { cells64, type FdtNode } from "./fdt.ts";
import type { State, Stateful, StateReader } from "./state.ts";
import { VirtualMemory } from "./virtual_memory.ts";
import { BACKDOOR_SLOT, type VirtBoard } from "./virt.ts";

/** Most bytes of all areas: what is free there. */
const CHANNEL_ROOM = 0x800_0000;
/** Communication controller, other. */
const PCI_CLASS = 0x07_8000;
/** V8 takes it for a constant, but not what is imported. */
const CALL = Kind.CALL;
/** Bytes of a control slot's image, as CALL_BLOCK reads and writes it. */
const IMAGE = Control.DOORBELL;
/** Of an offset in a control slot. */
const CONTROL_MASK = Control.SIZE - 1;
/** A page behind the areas, where images of slots are put for the channel. */
const BOUNCE = 4096;

/** What is known of the backdoor before there is a board. */
export interface BackdoorPlan {
  callbacks: Callbacks;
  geometry: ChannelGeometry;
  layout: ChannelLayout;
  /** Bytes of guest memory behind RAM that it needs. */
  bytes: number;
}

/**
 * Loads the callbacks.
 *
 * @throws {BackdoorModuleError} If they can't be used.
 */
export async function planBackdoor(
  callbacks: string | URL | CallbackModule,
  geometry: ChannelGeometry = DEFAULT_GEOMETRY,
): Promise<BackdoorPlan> {
  const layout = channelLayout(geometry);
  if (layout.totalSize > CHANNEL_ROOM) {
    throw new RangeError(
      `Cannot place a channel of ${layout.totalSize} bytes: a machine has room for ${CHANNEL_ROOM}`,
    );
  }
  const bytes = layout.totalSize + BOUNCE;
  return { callbacks: await loadCallbacks(callbacks), geometry, layout, bytes };
}

/** What the channel asks of the machine. */
export interface BackdoorMachine {
  report: (message: string) => void;
  note: ((message: string) => void) | undefined;
  errors: ErrorPolicy | undefined;
  stop(status: number): void;
  /** Saves a snapshot, when the call is done. */
  save(path: string | URL): void;
  instructions(): number;
}

/** The device-tree node of the areas. */
export function channelNode(layout: ChannelLayout): FdtNode {
  const { config, control, data } = areasFrom(VIRT_ADDRESS, layout);
  const reg = (address: number, size: number) => [...cells64(address), ...cells64(size)];
  return {
    name: `trapdoor@${VIRT_ADDRESS.toString(16)}`,
    properties: {
      "compatible": "trapdoor,channel",
      "reg": [
        ...reg(config, layout.configSize),
        ...reg(control, layout.controlSize),
        ...reg(data, layout.dataSize),
      ],
      "reg-names": ["config", "control", "data"],
    },
  };
}

/** A channel on a board. */
export class SystemBackdoor implements Stateful {
  readonly channel: BackdoorChannel;
  /** Of a call that could not be answered at once. */
  answer: number | Promise<number> = 0;
  readonly #board: VirtBoard;
  readonly #cpus: BackdoorCpu[];
  readonly #memory: VirtualMemory;
  /** Guest memory of the areas, and of the bounce page. */
  readonly #start: number;
  readonly #bounce: number;

  constructor(board: VirtBoard, plan: BackdoorPlan, machine: BackdoorMachine) {
    const { cpu, bus } = board, { layout } = plan;
    const start = this.#start = bus.ramEnd - bus.ramBase;
    this.#board = board;
    this.#bounce = start + layout.totalSize;
    const addresses = areasFrom(start, layout);
    this.channel = new BackdoorChannel({
      memory: bus.ram,
      addresses,
      geometry: plan.geometry,
      callbacks: plan.callbacks,
      report: machine.report,
      note: machine.note ?? (() => {}),
      errors: machine.errors ?? "report",
    });
    bus.ram.map(this.#bounce, BOUNCE, 3);
    // Devices of the board have no attach: the areas are always there.
    this.channel.areas.attach();
    const control = this.#control(addresses.control);
    for (const area of ["config", "control", "data"] as const) {
      bus.addWindow({
        start: VIRT_ADDRESS + addresses[area] - start,
        size: this.channel.areas.size(area),
        offset: addresses[area],
        ...(area === "control" ? { stores: control } : {}),
      });
    }
    board.pci.add(BACKDOOR_SLOT, this.#function(control));
    const memory = this.#memory = new VirtualMemory(cpu);
    this.#cpus = board.harts.map(({ id }) =>
      this.channel.cpu({
        isa: cpu.isa,
        q: cpu.slots,
        r: cpu.words,
        hart: id,
        memory,
        hooks: {
          getPc: () => cpu.pc,
          setPc: (address) => cpu.setRegister("pc", address),
          instructions: () => machine.instructions(),
          stop: (status) => machine.stop(status),
          save: (path) => machine.save(path),
        },
      })
    );
    const answerers = this.#cpus.map((caller) => this.channel.answerer(caller));
    const cpus = this.#cpus, { words } = cpu, [{ kind }] = cpus;
    cpu.onBackdoor = () => {
      const { id } = cpu.current.hart;
      // A call, by far the most frequent request, needs nothing of what others do.
      const answer = words[kind] === CALL ? answerers[id]() : this.#instruction(cpus[id]);
      if (answer === 0) return true;
      this.answer = answer;
      return false;
    };
  }

  /** The CPU of the hart that runs. */
  get #cpu(): BackdoorCpu {
    return this.#cpus[this.#board.cpu.current.hart.id];
  }

  /** What takes stores to the control area, which starts at an offset in guest memory: doorbells are calls. */
  #control(start: number): MmioDevice {
    const { ram } = this.#board.bus, { channel } = this, { cpu } = this.#board;
    const view = new DataView(ram.arena.m8.buffer, ram.arena.m8.byteOffset + start);
    const take = (offset: number, size: number, lo: number, hi: number) => {
      if ((offset & CONTROL_MASK) < Control.DOORBELL) {
        if (channel.quietStore(start + offset, size, lo, hi)) return;
      }
      cpu.beginStore();
      const caller = this.#cpus[cpu.current.hart.id];
      const answer = channel.controlStore(caller, start + offset, size, lo, hi);
      if (answer !== 0) this.answer = answer;
      cpu.endStore(answer === 0);
    };
    return {
      read: (offset, size) =>
        size === 4
          ? view.getUint32(offset, true)
          : size === 2
          ? view.getUint16(offset, true)
          : view.getUint8(offset),
      write: (offset, size, value) => take(offset, size, value | 0, 0),
      write64: (offset, lo, hi) => take(offset, 8, lo, hi),
    };
  }

  /** The areas as a PCI function: registers 0 config, 1 data, 2 control. */
  #function(control: MmioDevice): PciFunction {
    const { areas } = this.channel;
    const bar = (area: "config" | "data" | "control"): PciBar => ({
      size: 2 ** Math.ceil(Math.log2(areas.size(area))),
      memory: { offset: areas.addresses[area], size: areas.size(area) },
    });
    return new PciFunction(
      {
        vendor: Pci.VENDOR,
        device: Pci.DEVICE,
        class: PCI_CLASS,
        revision: PROTOCOL_VERSION >>> 16,
        subsystemVendor: Pci.SUBSYSTEM_VENDOR,
        subsystem: Pci.SUBSYSTEM,
      },
      [bar("config"), { ...bar("data"), prefetchable: true }, {
        ...bar("control"),
        device: control,
      }],
    );
  }

  #instruction(cpu: BackdoorCpu): number | Promise<number> {
    const words = cpu.slots32;
    switch (words[cpu.kind]) {
      case Kind.CALL_BLOCK:
        return this.#block(cpu);
      case Kind.ATTACH: {
        // Physical addresses are of use only to who is not translated.
        const { hart } = this.#board.cpu.current;
        const translated = hart.dataContext !== 3 && this.#board.harts[hart.id].satp >> 31n !== 0n;
        if (translated) {
          words[cpu.status] = Status.UNSUPPORTED;
          words[cpu.status + 1] = 0;
          return 0;
        }
        const answer = this.channel.instruction(cpu);
        for (const role of [cpu.arg0, cpu.arg1, cpu.arg2]) {
          words[role] += VIRT_ADDRESS - this.#start;
        }
        return answer;
      }
      case Kind.DETACH:
        words[cpu.status] = words[cpu.status + 1] = Status.OK;
        return 0;
      default:
        return this.channel.instruction(cpu);
    }
  }

  /** A call whose command and arguments are in memory, at a virtual address and perhaps in two pages. */
  #block(cpu: BackdoorCpu): number | Promise<number> {
    const words = cpu.slots32, memory = this.#memory;
    const low = words[cpu.arg1], high = words[cpu.arg1 + 1];
    const address = cpu.wide ? high * 0x1_0000_0000 + (low >>> 0) : low >>> 0;
    const image = address % 8 === 0 && memory.isWritable(address, IMAGE)
      ? memory.readView(address, IMAGE)
      : undefined;
    const put = (lo: number, hi: number) => {
      words[cpu.arg1] = lo;
      words[cpu.arg1 + 1] = hi;
    };
    // Odd: what is no place for an image is none for the channel either.
    put(image ? this.#bounce : 1, 0);
    if (image) this.#board.bus.ram.write(this.#bounce, image);
    const answer = this.channel.instruction(cpu);
    const done = () => {
      if (!image) return;
      const result = this.#board.bus.ram.read(this.#bounce, IMAGE);
      if (memory.tryWrite(address, result)) return;
      words[cpu.status] = Status.INVALID;
      words[cpu.status + 1] = 0;
    };
    if (typeof answer === "number") {
      done();
      put(low, high);
      return answer;
    }
    return answer.then((outcome) => {
      done();
      put(low, high);
      return outcome;
    });
  }

  /** How far rings are drained; everything else is in memory. */
  save(): State {
    return this.channel.areas.rings.map((ring) => ring.tail);
  }

  restore(state: StateReader): void {
    const { rings } = this.channel.areas;
    state.list(rings.length).forEach((tail, i) => rings[i].tail = tail.word());
  }

  /** Passes on the events that wait in rings. */
  drain(): void {
    this.channel.drain(this.#cpu);
  }

  /** The machine ends. */
  async finish(): Promise<void> {
    await this.channel.finish(this.#cpu);
  }
}
