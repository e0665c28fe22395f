/**
 * The built-in supervisor binary interface: what serves a kernel when there is no firmware.
 *
 * Source: RISC-V Supervisor Binary Interface Specification, version 2.0.
 *
 * @module
 */
import type { SystemCpu } from "../../cpu/engine/system/cpu.ts";
import { ADUE, STCE } from "../../cpu/riscv/csrs.ts";
import { Irq, Level, type RiscvHart } from "../../cpu/riscv/hart.ts";
import { PmpBit } from "../../cpu/riscv/pmp.ts";
import type { Finish } from "./devices/finisher.ts";
import { resetPmu, servePmu } from "./sbi_pmu.ts";
import { Err, fail, ok, type Result } from "./sbi_result.ts";
import type { VirtBoard } from "./virt.ts";

const Ext = {
  BASE: 0x10,
  TIME: 0x5449_4d45,
  IPI: 0x0073_5049,
  RFENCE: 0x5246_4e43,
  HSM: 0x0048_534d,
  SRST: 0x5352_5354,
  DBCN: 0x4442_434e,
  PMU: 0x0050_4d55,
} as const;
const LAST_LEGACY = 8;
const SPEC_VERSION = 2 << 24;
/** Not in the registry of implementations: the letters "TD". */
const IMPLEMENTATION = 0x5444, IMPLEMENTATION_VERSION = 1;
const HsmState = { STARTED: 0, STOPPED: 1 } as const;
const MAX_CONSOLE_WRITE = 1024;

/** Everything that can be delegated, but calls from S-mode; and the supervisor's interrupts. */
const DELEGATED_EXCEPTIONS = 0xb1ff, DELEGATED_INTERRUPTS = 0x2222;
/** cycle, time and instret. */
const USER_COUNTERS = 7n;
/** Cache-block operations are allowed below M-mode. */
const CACHE_BLOCKS = 0xf0n;

/** Gives a hart what firmware would leave to a supervisor, and enters S-mode. */
export function openSupervisor(hart: RiscvHart): void {
  hart.medeleg = DELEGATED_EXCEPTIONS;
  hart.mideleg = DELEGATED_INTERRUPTS;
  hart.mcounteren = 0xffff_ffffn;
  // Linux leaves the counters to firmware, and its C libraries read the time.
  hart.scounteren = USER_COUNTERS;
  hart.menvcfg = ADUE | STCE | CACHE_BLOCKS;
  hart.pmp.setAddress(0, (1n << 54n) - 1n);
  hart.pmp.setConfig(0, PmpBit.R | PmpBit.W | PmpBit.X | PmpBit.A);
  hart.privilege = Level.SUPERVISOR;
  resetPmu(hart);
  hart.updateTranslation();
}

/** What the interface needs of the machine. */
export interface SbiMachine {
  board: VirtBoard;
  /** Whether a hart is stopped, by number. */
  stopped: boolean[];
  finish(how: Finish): void;
  /** Writes a byte to the console. */
  send(byte: number): void;
  /** A byte from the console, or -1. */
  receive(): number;
}

/** The interface of one machine. */
export class Sbi {
  readonly #machine: SbiMachine;
  readonly #cpu: SystemCpu;

  constructor(machine: SbiMachine) {
    this.#machine = machine;
    this.#cpu = machine.board.cpu;
  }

  /** Answers a call of the hart that runs; false if it does not come from S-mode. */
  call(): boolean {
    const cpu = this.#cpu, hart = this.#machine.board.harts[cpu.current.hart.id];
    if (hart.privilege !== Level.SUPERVISOR) return false;
    const extension = Number(BigInt.asIntN(32, cpu.getRegister("a7")));
    const fid = Number(BigInt.asIntN(32, cpu.getRegister("a6")));
    const args = [0, 1, 2, 3, 4, 5].map((i) => cpu.getRegister(`a${i}`));
    if (extension >= 0 && extension <= LAST_LEGACY) {
      cpu.setRegister("a0", this.#legacy(extension, args, hart));
      return true;
    }
    const { error, value } = this.#dispatch(extension, fid, args, hart);
    cpu.setRegister("a0", error);
    cpu.setRegister("a1", value);
    return true;
  }

  #dispatch(extension: number, fid: number, args: bigint[], hart: RiscvHart): Result {
    switch (extension) {
      case Ext.BASE:
        return this.#base(fid, args);
      case Ext.TIME:
        if (fid !== 0) break;
        this.#setTimer(hart, this.#wide(args));
        return ok();
      case Ext.IPI:
        if (fid !== 0) break;
        return this.#eachHart(args[0], args[1], (target) => this.#interrupt(target));
      case Ext.RFENCE:
        return this.#fence(fid, args);
      case Ext.HSM:
        return this.#hsm(fid, args, hart);
      case Ext.SRST:
        return fid === 0 ? this.#reset(args) : fail(Err.NOT_SUPPORTED);
      case Ext.DBCN:
        return this.#console(fid, args);
      case Ext.PMU:
        return servePmu(fid, args, hart);
    }
    return fail(Err.NOT_SUPPORTED);
  }

  /** A register of all ones. */
  get #ones(): bigint {
    return (1n << BigInt(this.#machine.board.xlen)) - 1n;
  }

  /** A 64-bit argument: two registers on RV32. */
  #wide(args: bigint[]): bigint {
    return this.#machine.board.xlen === 32 ? args[1] << 32n | args[0] : args[0];
  }

  #base(fid: number, args: bigint[]): Result {
    switch (fid) {
      case 0:
        return ok(SPEC_VERSION);
      case 1:
        return ok(IMPLEMENTATION);
      case 2:
        return ok(IMPLEMENTATION_VERSION);
      case 3: {
        const asked = Number(BigInt.asIntN(32, args[0]));
        const there = (Object.values(Ext) as number[]).includes(asked) ||
          (asked >= 0 && asked <= LAST_LEGACY);
        return ok(there ? 1 : 0);
      }
      case 4:
      case 5:
      case 6:
        // mvendorid, marchid and mimpid are 0.
        return ok();
      default:
        return fail(Err.NOT_SUPPORTED);
    }
  }

  #setTimer(hart: RiscvHart, time: bigint): void {
    hart.stimecmp = time;
    hart.onTimer();
  }

  #interrupt(hart: RiscvHart): void {
    hart.softIp |= Irq.SSI;
    hart.setLine(0, true);
  }

  /** Does something to the harts of a mask; a base of all ones is all harts (section 3.1). */
  #eachHart(mask: bigint, base: bigint, what: (hart: RiscvHart) => void): Result {
    const { harts } = this.#machine.board, { xlen } = this.#machine.board;
    if (base === this.#ones) {
      harts.forEach(what);
      return ok();
    }
    const chosen: RiscvHart[] = [];
    for (let i = 0; i < xlen; i++) {
      if ((mask >> BigInt(i) & 1n) === 0n) continue;
      const id = Number(base) + i;
      if (id >= harts.length) return fail(Err.INVALID_PARAM);
      chosen.push(harts[id]);
    }
    chosen.forEach(what);
    return ok();
  }

  /** FENCE.I and SFENCE.VMA of other harts (chapter 8); those of the hypervisor extension are not there. */
  #fence(fid: number, [mask, base, start, bytes, asid]: bigint[]): Result {
    if (fid < 0 || fid > 2) return fail(Err.NOT_SUPPORTED);
    const all = (start === 0n && bytes === 0n) || bytes === this.#ones;
    return this.#eachHart(mask, base, (target) => {
      // Code that changes is noticed without a fence.
      if (fid === 0) return;
      const space = fid === 2 ? asid : undefined;
      if (all) target.fence(space);
      else target.fence(space, start, bytes);
    });
  }

  #hsm(fid: number, args: bigint[], hart: RiscvHart): Result {
    const { board, stopped } = this.#machine, cpu = this.#cpu;
    switch (fid) {
      case 0: {
        const id = Number(args[0]);
        if (id >= board.harts.length) return fail(Err.INVALID_PARAM);
        if (!stopped[id]) return fail(Err.ALREADY_AVAILABLE);
        if (board.bus.ramOffset(Number(args[1]), 4) < 0) return fail(Err.INVALID_ADDRESS);
        const target = board.harts[id], from = hart.id;
        stopped[id] = false;
        cpu.select(id);
        target.satp = 0n;
        target.mstatus = 0;
        target.mie = 0;
        target.waiting = false;
        openSupervisor(target);
        target.services.flushTlb(true);
        cpu.setRegister("a0", id);
        cpu.setRegister("a1", args[2]);
        cpu.start(Number(args[1]));
        cpu.select(from);
        return ok();
      }
      case 1:
        stopped[hart.id] = true;
        cpu.requestLeave();
        return ok();
      case 2: {
        const id = Number(args[0]);
        if (id >= board.harts.length) return fail(Err.INVALID_PARAM);
        return ok(stopped[id] ? HsmState.STOPPED : HsmState.STARTED);
      }
      case 3:
        // Retentive suspend is a WFI; there is no other.
        if (args[0] !== 0n) return fail(Err.NOT_SUPPORTED);
        hart.waiting = (hart.mip & hart.mie) === 0;
        return ok();
      default:
        return fail(Err.NOT_SUPPORTED);
    }
  }

  #reset(args: bigint[]): Result {
    const type = Number(args[0]), reason = Number(args[1]);
    if (type > 2) return fail(Err.INVALID_PARAM);
    this.#machine.finish(
      type === 0 ? { kind: "poweroff", status: reason === 0 ? 0 : 1 } : { kind: "reboot" },
    );
    return ok();
  }

  #console(fid: number, args: bigint[]): Result {
    const { bus, xlen } = this.#machine.board;
    if (fid === 2) {
      this.#machine.send(Number(args[0] & 0xffn));
      return ok();
    }
    if (fid > 2) return fail(Err.NOT_SUPPORTED);
    const length = Math.min(Number(args[0]), MAX_CONSOLE_WRITE);
    const address = Number(args[1]) + (xlen === 32 ? Number(args[2]) * 0x1_0000_0000 : 0);
    const offset = bus.ramOffset(address, length);
    if (offset < 0) return fail(Err.INVALID_PARAM);
    if (fid === 0) {
      for (const byte of bus.ram.readView(offset, length)!) this.#machine.send(byte);
      return ok(length);
    }
    const view = bus.ram.writeView(offset, length)!;
    let count = 0;
    for (; count < length; count++) {
      const byte = this.#machine.receive();
      if (byte < 0) break;
      view[count] = byte;
    }
    return ok(count);
  }

  /** Extensions 0 to 8, whose only result is in a0 (chapter 5). */
  #legacy(number: number, args: bigint[], hart: RiscvHart): number {
    // Masks of harts are at a virtual address.
    const mask = () => {
      if (args[0] === 0n) return (1n << BigInt(this.#machine.board.harts.length)) - 1n;
      const address = Number(BigInt.asIntN(64, args[0]));
      const physical = this.#cpu.translate(address, 0);
      if (physical === undefined || !this.#machine.board.bus.read(physical, 4)) return undefined;
      return BigInt(this.#machine.board.bus.lo >>> 0);
    };
    const each = (what: (hart: RiscvHart) => void) => {
      const bits = mask();
      return bits === undefined ? Err.INVALID_ADDRESS : this.#eachHart(bits, 0n, what).error;
    };
    switch (number) {
      case 0:
        this.#setTimer(hart, this.#wide(args));
        return 0;
      case 1:
        this.#machine.send(Number(args[0] & 0xffn));
        return 0;
      case 2:
        return this.#machine.receive();
      case 3:
        hart.softIp &= ~Irq.SSI;
        hart.updateInterrupts();
        return 0;
      case 4:
        return each((target) => this.#interrupt(target));
      case 5:
        return 0;
      case 6:
        return each((target) => target.fence());
      case 7:
        return each((target) => target.fence(args[3]));
      default:
        this.#machine.finish({ kind: "poweroff", status: 0 });
        return 0;
    }
  }
}
