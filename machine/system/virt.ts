/**
 * The board `virt`: harts, bus, devices and device tree, at the places where QEMU's board of that name has them, so
 * that drivers find them.
 *
 * @module
 */
import { SystemCpu } from "../../cpu/engine/system_cpu.ts";
import { Irq, RiscvHart, STCE } from "../../cpu/riscv/hart.ts";
import { Riscv } from "../../cpu/riscv/riscv.ts";
import { AddressSpace, Prot } from "../../mmu/address_space.ts";
import { Arena } from "../../mmu/arena.ts";
import { Bus } from "../../mmu/bus.ts";
import { HostClock, InstructionClock, type MachineClock } from "./clock.ts";
import { Clint, CLINT_SIZE } from "./devices/clint.ts";
import { TIMEBASE_HZ } from "./devices/device.ts";
import { type Finish, Finisher } from "./devices/finisher.ts";
import { GoldfishRtc } from "./devices/goldfish_rtc.ts";
import { Plic, PLIC_SIZE, PLIC_SOURCES } from "./devices/plic.ts";
import { Rom } from "./devices/rom.ts";
import { Uart16550 } from "./devices/uart16550.ts";
import { VirtioMmio } from "./devices/virtio_mmio.ts";
import type { VirtioDevice } from "./devices/virtio.ts";
import { cells64, type FdtNode, flattenTree } from "./fdt.ts";

/** Physical addresses. */
export const Place = {
  ROM: 0x1000,
  FINISHER: 0x10_0000,
  RTC: 0x10_1000,
  CLINT: 0x200_0000,
  PLIC: 0xc00_0000,
  UART: 0x1000_0000,
  VIRTIO: 0x1000_1000,
  RAM: 0x8000_0000,
} as const;

const ROM_SIZE = 0xf000, PAGE = 0x1000, UART_SIZE = 0x100;
const Interrupt = { VIRTIO: 1, UART: 10, RTC: 11 } as const;
/** Places for virtio devices. */
export const VIRTIO_SLOTS = 8;
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
  /** Bytes of guest memory behind RAM, for what is to be reached by windows. */
  behind: number;
  /** Nodes of the device tree for devices that are added later. */
  nodes: readonly FdtNode[];
}

/** The board, not yet loaded. */
export class VirtBoard {
  readonly xlen: 32 | 64;
  readonly bus: Bus;
  readonly cpu: SystemCpu;
  readonly harts: readonly RiscvHart[];
  readonly clock: MachineClock;
  readonly clint: Clint;
  readonly uart: Uart16550;
  readonly rom = new Rom(ROM_SIZE);
  readonly #rtc: GoldfishRtc;
  readonly #nodes: readonly FdtNode[];
  readonly #virtio: readonly VirtioMmio[];

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
    const plic = new Plic(harts.flatMap((hart) => [line(hart, Irq.MEI), line(hart, Irq.SEI)]));
    this.uart = new Uart16550(plic.line(Interrupt.UART), options.send);
    this.#rtc = new GoldfishRtc(plic.line(Interrupt.RTC), () => this.clock.wall());
    this.#virtio = Array.from(
      { length: VIRTIO_SLOTS },
      (_, i) => new VirtioMmio(options.virtio[i], bus, plic.line(Interrupt.VIRTIO + i)),
    );
    bus.add({ start: Place.ROM, size: ROM_SIZE, device: this.rom });
    bus.add({ start: Place.FINISHER, size: PAGE, device: new Finisher(options.finish) });
    bus.add({ start: Place.RTC, size: PAGE, device: this.#rtc });
    bus.add({ start: Place.CLINT, size: CLINT_SIZE, device: this.clint });
    bus.add({ start: Place.PLIC, size: PLIC_SIZE, device: plic });
    bus.add({ start: Place.UART, size: UART_SIZE, device: this.uart });
    this.#virtio.forEach((device, i) =>
      bus.add({ start: Place.VIRTIO + i * PAGE, size: PAGE, device })
    );
    cpu.onPoll = () => this.poll();
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
    for (const hart of this.harts) this.#updateHart(hart);
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
    const isa = `rv${xlen}imafdc_zicbom_zicboz_zicond_zicsr_zifencei_zba_zbb_zbs_sstc_svadu`;
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
