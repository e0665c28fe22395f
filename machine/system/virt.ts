/**
 * The board `virt`: harts, bus, devices and device tree, at the places where QEMU's board of that name has them, so
 * that drivers find them.
 *
 * @module
 */
import { SystemCpu } from "../../cpu/engine/system/cpu.ts";
import { STCE } from "../../cpu/riscv/csrs.ts";
import { Irq, RiscvHart } from "../../cpu/riscv/hart.ts";
import { Riscv } from "../../cpu/riscv/riscv.ts";
import { AddressSpace, Prot } from "../../mmu/address_space.ts";
import { Arena } from "../../mmu/arena.ts";
import { Bus } from "../../mmu/bus.ts";
import { HostClock, InstructionClock, type MachineClock } from "./clock.ts";
import { Clint, CLINT_SIZE } from "./devices/clint.ts";
import { TIMEBASE_HZ } from "./devices/device.ts";
import { type Finish, Finisher } from "./devices/finisher.ts";
import { GoldfishRtc } from "./devices/goldfish_rtc.ts";
import { NO_PORTS, PCI_INTERRUPTS, PciFunction, PciHost } from "./devices/pci.ts";
import { Plic, PLIC_SIZE, PLIC_SOURCES } from "./devices/plic.ts";
import { Rom } from "./devices/rom.ts";
import { Uart16550 } from "./devices/uart16550.ts";
import { VirtioMmio } from "./devices/virtio_mmio.ts";
import { VirtioPci } from "./devices/virtio_pci.ts";
import type { VirtioDevice } from "./devices/virtio.ts";
import { restoreHart, saveHart } from "./hart_state.ts";
import type { State, Stateful, StateReader } from "./state.ts";
import { cells64, type FdtNode, flattenTree } from "./fdt.ts";
import type { PlatformDevice } from "./user_device.ts";

/** Physical addresses. */
export const Place = {
  ROM: 0x1000,
  FINISHER: 0x10_0000,
  RTC: 0x10_1000,
  CLINT: 0x200_0000,
  PCI_PORTS: 0x300_0000,
  PLIC: 0xc00_0000,
  UART: 0x1000_0000,
  VIRTIO: 0x1000_1000,
  PCI_CONFIG: 0x3000_0000,
  PCI_MEMORY: 0x4000_0000,
  RAM: 0x8000_0000,
} as const;

const ROM_SIZE = 0xf000, PAGE = 0x1000, UART_SIZE = 0x100;
const Interrupt = { VIRTIO: 1, UART: 10, RTC: 11, PCI: 32 } as const;
const PCI_PORTS_SIZE = 0x1_0000, PCI_CONFIG_SIZE = 0x1000_0000, PCI_MEMORY_SIZE = 0x4000_0000;
/** Where 64-bit addresses of the PCI bus are; the same bytes, because it is behind RAM and aligned to its size. */
const PCI_MEMORY_64 = 0x4_0000_0000, PCI_MEMORY_64_SIZE = 0x4_0000_0000;
/** In `ranges` of the device tree: ports, memory, memory with 64-bit addresses. */
const PCI_SPACE = [0x100_0000, 0x200_0000, 0x300_0000] as const;
/** Places for virtio devices, by transport. */
export const VIRTIO_SLOTS: Readonly<Record<VirtioTransportName, number>> = { mmio: 8, pci: 30 };
/** How a guest reaches virtio devices. */
export type VirtioTransportName = "mmio" | "pci";
/** The PCI slot of the backdoor. */
export const BACKDOOR_SLOT = 31;
/** Input clock of the serial port in Hz. */
const UART_CLOCK = 3_686_400;
/** Handles of nodes that others refer to. */
const PHANDLE_PLIC = 1, PHANDLE_FINISHER = 2, PHANDLE_CPU = 0x10;
const IRQ_MACHINE_SOFTWARE = 3, IRQ_MACHINE_TIMER = 7, IRQ_SUPERVISOR = 9, IRQ_MACHINE = 11;

/** RAM comes in multiples of so many bytes. */
const RAM_UNIT = 65536;

/** What a board is made of. */
export interface BoardOptions {
  xlen: 32 | 64;
  harts: number;
  /** Bytes of RAM. */
  memory: number;
  /** Time goes on with instructions. */
  icount: boolean;
  /** See `SystemCpuOptions.heat`. */
  heat?: number;
  /** Takes what the guest writes to the serial port. */
  send: (byte: number) => void;
  /** Takes the guest's wish to end. */
  finish: (how: Finish) => void;
  /** At most {@linkcode VIRTIO_SLOTS}. */
  virtio: readonly VirtioDevice[];
  transport: VirtioTransportName;
  /** Bytes of guest memory behind RAM, for what is to be reached by windows. */
  behind: number;
  /** Further devices, with their places. */
  platform?: readonly PlatformDevice[];
  /** Nodes of the device tree for devices that are added later. */
  nodes: readonly FdtNode[];
}

/** The board, not yet loaded. */
export class VirtBoard implements Stateful {
  readonly xlen: 32 | 64;
  readonly bus: Bus;
  readonly cpu: SystemCpu;
  readonly harts: readonly RiscvHart[];
  readonly clock: MachineClock;
  readonly clint: Clint;
  readonly uart: Uart16550;
  readonly pci: PciHost;
  readonly rom = new Rom(ROM_SIZE);
  readonly #plic: Plic;
  readonly #rtc: GoldfishRtc;
  readonly #nodes: readonly FdtNode[];
  readonly #virtio: readonly VirtioMmio[];
  readonly #platform: readonly PlatformDevice[];

  constructor(options: BoardOptions) {
    const bytes = Math.ceil(options.memory / RAM_UNIT) * RAM_UNIT;
    const ram = new AddressSpace(new Arena(bytes + options.behind));
    ram.map(0, bytes, Prot.READ | Prot.WRITE | Prot.EXEC);
    this.#nodes = options.nodes;
    this.xlen = options.xlen;
    const bus = this.bus = new Bus(ram, Place.RAM, bytes);
    const harts: RiscvHart[] = [];
    const cpu: SystemCpu = this.cpu = new SystemCpu(new Riscv(options.xlen, true), bus, {
      harts: options.harts,
      makeHart: (id, services) => {
        const hart = new RiscvHart(id, options.xlen, services);
        hart.onTimer = () => this.#updateHart(hart);
        harts.push(hart);
        return hart;
      },
      time: () => this.clint.time(),
      ...(options.heat === undefined ? {} : { heat: options.heat }),
    });
    this.harts = harts;
    this.clock = options.icount ? new InstructionClock(() => cpu.instructions) : new HostClock();
    const line = (hart: RiscvHart, bit: number) => (on: boolean) => hart.setLine(bit, on);
    this.clint = new Clint(
      harts.map((hart) => ({ software: line(hart, Irq.MSI), timer: line(hart, Irq.MTI) })),
      this.clock,
    );
    const plic = this.#plic = new Plic(
      harts.flatMap((hart) => [line(hart, Irq.MEI), line(hart, Irq.SEI)]),
    );
    this.uart = new Uart16550(plic.line(Interrupt.UART), options.send);
    this.#rtc = new GoldfishRtc(plic.line(Interrupt.RTC), () => this.clock.wall());
    this.#virtio = Array.from(
      { length: VIRTIO_SLOTS.mmio },
      (_, i) => {
        const device = options.transport === "mmio" ? options.virtio[i] : undefined;
        return new VirtioMmio(device, bus, plic.line(Interrupt.VIRTIO + i));
      },
    );
    this.pci = this.#makePci(plic);
    if (options.transport === "pci") {
      options.virtio.forEach((device, i) => this.pci.add(i + 1, new VirtioPci(device, bus)));
    }
    bus.add({ start: Place.ROM, size: ROM_SIZE, device: this.rom });
    bus.add({ start: Place.FINISHER, size: PAGE, device: new Finisher(options.finish) });
    bus.add({ start: Place.RTC, size: PAGE, device: this.#rtc });
    bus.add({ start: Place.CLINT, size: CLINT_SIZE, device: this.clint });
    bus.add({ start: Place.PLIC, size: PLIC_SIZE, device: plic });
    bus.add({ start: Place.UART, size: UART_SIZE, device: this.uart });
    this.#virtio.forEach((device, i) =>
      bus.add({ start: Place.VIRTIO + i * PAGE, size: PAGE, device })
    );
    this.#platform = options.platform ?? [];
    for (const { start, size, device, interrupt, connect } of this.#platform) {
      bus.add({ start, size, device });
      connect(plic.line(interrupt), bus);
    }
    cpu.onPoll = () => this.poll();
  }

  #makePci(plic: Plic): PciHost {
    const { bus, harts } = this;
    const ranges = [
      { start: Place.PCI_MEMORY, size: PCI_MEMORY_SIZE },
      { start: PCI_MEMORY_64, size: PCI_MEMORY_64_SIZE },
    ];
    const pci = new PciHost({
      ranges,
      lines: Array.from({ length: PCI_INTERRUPTS }, (_, i) => plic.line(Interrupt.PCI + i)),
      addWindow: (window) => bus.addWindow(window),
      remapped: () => harts.forEach((hart) => hart.services.flushTlb(true)),
    });
    bus.add({ start: Place.PCI_PORTS, size: PCI_PORTS_SIZE, device: NO_PORTS });
    bus.add({ start: Place.PCI_CONFIG, size: PCI_CONFIG_SIZE, device: pci });
    for (const range of ranges) bus.add({ ...range, device: pci.range(range.start) });
    // QEMU's host bridge.
    pci.add(0, new PciFunction({ vendor: 0x1b36, device: 8, class: 0x06_0000 }));
    return pci;
  }

  /** The device-tree node of the PCI host bridge. */
  #pciNode(): FdtNode {
    const range = (space: number, from: number, size: number) => [
      ...[space, ...cells64(from === Place.PCI_PORTS ? 0 : from)],
      ...[...cells64(from), ...cells64(size)],
    ];
    const interrupts: number[] = [];
    for (let slot = 0; slot < PCI_INTERRUPTS; slot++) {
      for (let pin = 0; pin < PCI_INTERRUPTS; pin++) {
        const line = Interrupt.PCI + (slot + pin) % PCI_INTERRUPTS;
        interrupts.push(slot << 11, 0, 0, pin + 1, PHANDLE_PLIC, line);
      }
    }
    return {
      name: `pci@${Place.PCI_CONFIG.toString(16)}`,
      properties: {
        "interrupt-map-mask": [PCI_INTERRUPTS - 1 << 11, 0, 0, 7],
        "interrupt-map": interrupts,
        "ranges": [
          ...range(PCI_SPACE[0], Place.PCI_PORTS, PCI_PORTS_SIZE),
          ...range(PCI_SPACE[1], Place.PCI_MEMORY, PCI_MEMORY_SIZE),
          ...range(PCI_SPACE[2], PCI_MEMORY_64, PCI_MEMORY_64_SIZE),
        ],
        "reg": [...cells64(Place.PCI_CONFIG), ...cells64(PCI_CONFIG_SIZE)],
        "dma-coherent": true,
        "bus-range": [0, 0xff],
        "linux,pci-domain": [0],
        "device_type": "pci",
        "compatible": "pci-host-ecam-generic",
        "#size-cells": [2],
        "#interrupt-cells": [1],
        "#address-cells": [3],
      },
    };
  }

  /** Devices with state, by name. */
  get #parts(): Record<string, Stateful> {
    const { clock, clint, uart } = this;
    const parts: Record<string, Stateful> = {
      clock,
      clint,
      plic: this.#plic,
      uart,
      rtc: this.#rtc,
    };
    this.#virtio.forEach(({ transport }, i) => parts[`virtio${i}`] = transport);
    this.pci.functions.forEach((there, slot) => {
      if (there) parts[`pci${slot}`] = there;
    });
    return parts;
  }

  /** Everything but guest memory. */
  save(): State {
    const { cpu, harts } = this, running = cpu.current.hart.id;
    return {
      running,
      fruitless: cpu.fruitless,
      harts: harts.map((hart) => saveHart(cpu, hart)),
      rom: this.rom.bytes.slice(),
      parts: Object.fromEntries(
        Object.entries(this.#parts).map(([name, part]) => [name, part.save()]),
      ),
    };
  }

  /** Makes a new board what another one was; guest memory has to be there. */
  restore(state: StateReader): void {
    const { cpu, harts } = this;
    this.rom.bytes.set(state.at("rom").bytes(this.rom.bytes.length));
    for (const [name, part] of Object.entries(this.#parts)) {
      part.restore(state.at("parts").at(name));
    }
    // Harts after devices, whose interrupts they have already.
    state.at("harts").list(harts.length).forEach((hart, id) => restoreHart(cpu, harts[id], hart));
    cpu.fruitless = state.at("fruitless").number();
    cpu.select(state.at("running").number(0, harts.length - 1));
  }

  /** Bytes of RAM. */
  get memory(): number {
    return this.bus.ramEnd - this.bus.ramBase;
  }

  #updateHart(hart: RiscvHart): void {
    const on = (hart.menvcfg & STCE) !== 0n;
    hart.setLine(Irq.STI, on && this.clint.time() >= hart.stimecmp);
  }

  /** Lets time have its effect on timers. */
  poll(): void {
    this.clint.update();
    for (const hart of this.harts) {
      this.#updateHart(hart);
      hart.counters.poll();
    }
    this.#rtc.update();
  }

  /** Ticks until the next timer interrupt or alarm; undefined if none is to come. */
  nextTimer(): number | undefined {
    const own = this.harts.filter(({ menvcfg }) => (menvcfg & STCE) !== 0n);
    const timer = this.clint.untilNext(own.map(({ stimecmp }) => stimecmp));
    const alarm = this.#rtc.untilAlarm();
    if (alarm === undefined) return timer;
    const ticks = Math.ceil(alarm / (1_000_000_000 / TIMEBASE_HZ));
    return timer === undefined ? ticks : Math.min(timer, ticks);
  }

  /**
   * The flattened device tree.
   *
   * @param chosen Properties of the node /chosen.
   */
  deviceTree(chosen: FdtNode["properties"]): Uint8Array<ArrayBuffer> {
    const { xlen, harts } = this;
    const reg = (address: number, size: number) => [...cells64(address), ...cells64(size)];
    const intc = (hart: number) => PHANDLE_CPU + 1 + 2 * hart;
    const wired = (number: number) => ({
      "interrupts": [number],
      "interrupt-parent": [PHANDLE_PLIC],
    });
    const hex = (n: number) => n.toString(16);
    const each = (...irqs: number[]) =>
      harts.flatMap((_, i) => irqs.flatMap((irq) => [intc(i), irq]));
    const isa =
      `rv${xlen}imafdc_zicbom_zicboz_zicond_zicsr_zifencei_zba_zbb_zbs_sscofpmf_sstc_svadu`;
    const cpus: FdtNode = {
      name: "cpus",
      properties: {
        "#address-cells": [1],
        "#size-cells": [0],
        "timebase-frequency": [TIMEBASE_HZ],
      },
      children: [
        ...harts.map((_, i): FdtNode => ({
          name: `cpu@${hex(i)}`,
          properties: {
            "phandle": [PHANDLE_CPU + 2 * i],
            "device_type": "cpu",
            "reg": [i],
            "status": "okay",
            "compatible": "riscv",
            "riscv,isa": isa,
            "riscv,isa-base": `rv${xlen}i`,
            "riscv,isa-extensions": [..."imafdc", ...isa.split("_").slice(1)],
            "riscv,cbom-block-size": [64],
            "riscv,cboz-block-size": [64],
            "mmu-type": xlen === 64 ? "riscv,sv48" : "riscv,sv32",
          },
          children: [{
            name: "interrupt-controller",
            properties: {
              "#interrupt-cells": [1],
              "interrupt-controller": true,
              "compatible": "riscv,cpu-intc",
              "phandle": [intc(i)],
            },
          }],
        })),
        {
          name: "cpu-map",
          properties: {},
          children: [{
            name: "cluster0",
            properties: {},
            children: harts.map((_, i) => ({
              name: `core${i}`,
              properties: { cpu: [PHANDLE_CPU + 2 * i] },
            })),
          }],
        },
      ],
    };
    const soc: FdtNode = {
      name: "soc",
      properties: {
        "#address-cells": [2],
        "#size-cells": [2],
        "compatible": "simple-bus",
        "ranges": true,
      },
      children: [
        {
          name: `rtc@${hex(Place.RTC)}`,
          properties: {
            ...wired(Interrupt.RTC),
            "reg": reg(Place.RTC, PAGE),
            "compatible": "google,goldfish-rtc",
          },
        },
        {
          name: `serial@${hex(Place.UART)}`,
          properties: {
            ...wired(Interrupt.UART),
            "clock-frequency": [UART_CLOCK],
            "reg": reg(Place.UART, UART_SIZE),
            "compatible": "ns16550a",
          },
        },
        {
          name: `test@${hex(Place.FINISHER)}`,
          properties: {
            "phandle": [PHANDLE_FINISHER],
            "reg": reg(Place.FINISHER, PAGE),
            "compatible": ["sifive,test1", "sifive,test0", "syscon"],
          },
        },
        this.#pciNode(),
        ...this.#virtio.map((_, i): FdtNode => ({
          name: `virtio_mmio@${hex(Place.VIRTIO + i * PAGE)}`,
          properties: {
            ...wired(Interrupt.VIRTIO + i),
            "reg": reg(Place.VIRTIO + i * PAGE, PAGE),
            "compatible": "virtio,mmio",
          },
        })),
        {
          name: `plic@${hex(Place.PLIC)}`,
          properties: {
            "phandle": [PHANDLE_PLIC],
            "riscv,ndev": [PLIC_SOURCES],
            "reg": reg(Place.PLIC, PLIC_SIZE),
            "interrupts-extended": each(IRQ_MACHINE, IRQ_SUPERVISOR),
            "interrupt-controller": true,
            "compatible": ["sifive,plic-1.0.0", "riscv,plic0"],
            "#address-cells": [0],
            "#interrupt-cells": [1],
          },
        },
        ...this.#nodes,
        ...this.#platform.map(({ start, size, interrupt, node }): FdtNode => ({
          name: `${node.name}@${hex(start)}`,
          properties: { ...node.properties, ...wired(interrupt), "reg": reg(start, size) },
        })),
        {
          name: `clint@${hex(Place.CLINT)}`,
          properties: {
            "interrupts-extended": each(IRQ_MACHINE_SOFTWARE, IRQ_MACHINE_TIMER),
            "reg": reg(Place.CLINT, CLINT_SIZE),
            "compatible": ["sifive,clint0", "riscv,clint0"],
          },
        },
      ],
    };
    const syscon = (name: string, value: number): FdtNode => ({
      name,
      properties: {
        "value": [value],
        "offset": [0],
        "regmap": [PHANDLE_FINISHER],
        "compatible": `syscon-${name}`,
      },
    });
    return flattenTree({
      name: "",
      properties: {
        "#address-cells": [2],
        "#size-cells": [2],
        "compatible": "riscv-virtio",
        "model": "riscv-virtio,trapdoor",
      },
      children: [
        {
          name: "chosen",
          properties: { "stdout-path": `/soc/serial@${hex(Place.UART)}`, ...chosen },
        },
        syscon("poweroff", 0x5555),
        syscon("reboot", 0x7777),
        {
          name: `memory@${hex(Place.RAM)}`,
          properties: { "device_type": "memory", "reg": reg(Place.RAM, this.memory) },
        },
        cpus,
        soc,
      ],
    });
  }
}
