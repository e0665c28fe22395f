/**
 * The privileged state of one RISC-V hart: levels, exceptions, interrupts and what privileged instructions do.
 *
 * Source: The RISC-V Instruction Set Manual, volume II, version 1.12; Sstc; section numbers below are its own.
 *
 * @module
 */
import { Slot, Trap } from "../ir/ops.ts";
import { Access, type HartServices, type PrivilegedHart, Walk } from "../isa/system.ts";
import { EventCounters, LCOFI } from "./counters.ts";
import { accessCsr, ADUE, type CsrState, readStatus } from "./csrs.ts";
import { Pmp } from "./pmp.ts";
import { Sys } from "./rv_priv.ts";
import { SatpMode, type WalkContext, Walker } from "./walker.ts";

/** Privilege levels. */
export const Level = { USER: 0, SUPERVISOR: 1, MACHINE: 3 } as const;

/** Causes of exceptions (section 3.1.15). */
export const Cause = {
  FETCH_MISALIGNED: 0,
  FETCH_ACCESS: 1,
  ILLEGAL: 2,
  BREAKPOINT: 3,
  LOAD_MISALIGNED: 4,
  LOAD_ACCESS: 5,
  STORE_MISALIGNED: 6,
  STORE_ACCESS: 7,
  ECALL: 8,
  FETCH_PAGE: 12,
  LOAD_PAGE: 13,
  STORE_PAGE: 15,
} as const;

/** Bits of mip and mie. */
export const Irq = {
  SSI: 1 << 1,
  MSI: 1 << 3,
  STI: 1 << 5,
  MTI: 1 << 7,
  SEI: 1 << 9,
  MEI: 1 << 11,
} as const;

/** Bits of mstatus' low word (section 3.1.6). */
export const Status = {
  SIE: 1 << 1,
  MIE: 1 << 3,
  SPIE: 1 << 5,
  MPIE: 1 << 7,
  SPP: 1 << 8,
  MPP: 3 << 11,
  FS: 3 << 13,
  MPRV: 1 << 17,
  SUM: 1 << 18,
  MXR: 1 << 19,
  TVM: 1 << 20,
  TW: 1 << 21,
  TSR: 1 << 22,
} as const;
const SPP_SHIFT = 8, MPP_SHIFT = 11;

/** Interrupts, the most urgent first (section 3.1.9). */
const PRIORITY = [11, 3, 7, 9, 1, 5, 13];

/** Bits of the envcfg registers. */
const CBIE = 0x30n, CBCFE = 0x40n, CBZE = 0x80n;

/** Contexts of the TLBs: user, supervisor, supervisor that may access user pages, physical. */
const Context = { USER: 0, SUPERVISOR: 1, SUPERVISOR_SUM: 2, MACHINE: 3 } as const;

/** Where satp has the address space, and its bits (sections 4.1.11 and 4.4.1). */
const ASID = { 64: [44n, 16], 32: [22n, 9] } as const;
const PAGE_BYTES = 4096n;
/** Bytes of a fence that is made page by page; a longer one drops everything. */
const MAX_FENCE = 64n * PAGE_BYTES;

/** One hart. */
export class RiscvHart implements PrivilegedHart, CsrState {
  readonly id: number;
  readonly xlen: 32 | 64;
  readonly services: HartServices;
  readonly pmp = new Pmp();
  readonly counters: EventCounters;
  waiting = false;
  resume = 0n;
  dataContext: number = Context.MACHINE;
  codeContext: number = Context.MACHINE;
  interrupting = false;

  // Registers. Those of the machine and of the supervisor level, as the manual names them.
  mstatus = 0;
  medeleg = 0;
  mideleg = 0;
  mie = 0;
  /** Bits of mip that software wrote. */
  softIp = 0;
  /** Bits of mip that come from outside: timers, interrupt controllers. */
  lineIp = 0;
  mtvec = 0n;
  mscratch = 0n;
  mepc = 0n;
  mcause = 0n;
  mtval = 0n;
  mcounteren = 0n;
  mcountinhibit = 0n;
  menvcfg = ADUE;
  stvec = 0n;
  sscratch = 0n;
  sepc = 0n;
  scause = 0n;
  stval = 0n;
  scounteren = 0n;
  senvcfg = 0n;
  satp = 0n;
  stimecmp = (1n << 64n) - 1n;
  /** What is added to the instruction count for mcycle and minstret; their value while they are inhibited. */
  cycleOffset = 0n;
  instretOffset = 0n;
  /** Called when `stimecmp` or what enables it was written. */
  onTimer: () => void = () => {};

  #privilege: number = Level.MACHINE;
  readonly #walker: Walker;
  readonly #walk: WalkContext = {
    mode: SatpMode.BARE,
    root: 0,
    privilege: Level.MACHINE,
    sum: false,
    mxr: false,
    update: true,
  };

  constructor(id: number, xlen: 32 | 64, services: HartServices) {
    this.id = id;
    this.xlen = xlen;
    this.services = services;
    this.counters = new EventCounters({
      getPrivilege: () => this.#privilege,
      getInhibited: () => this.mcountinhibit,
      instructions: () => services.instructions(),
      overflow: () => {
        this.softIp |= LCOFI;
        if ((this.mip & this.mie) !== 0) this.waiting = false;
        this.updateInterrupts();
      },
    });
    this.#walker = new Walker(services.memory, this.pmp);
  }

  /** Privilege level that the hart is in. */
  get privilege(): number {
    return this.#privilege;
  }
  set privilege(level: number) {
    this.#privilege = level;
    if (this.counters.active) this.counters.update();
    this.update();
  }

  /** mip: interrupts that are pending. */
  get mip(): number {
    return this.softIp | this.lineIp;
  }

  /** Raises or lowers interrupts (`Irq` bits) from outside. */
  setLine(bits: number, on: boolean): void {
    this.lineIp = on ? this.lineIp | bits : this.lineIp & ~bits;
    if ((this.mip & this.mie) !== 0) this.waiting = false;
    this.updateInterrupts();
  }

  /** Derives what depends on mstatus and the level. */
  update(): void {
    const { mstatus } = this, level = this.#privilege;
    const data = (mstatus & Status.MPRV) !== 0 ? (mstatus & Status.MPP) >>> MPP_SHIFT : level;
    const sum = (mstatus & Status.SUM) !== 0;
    const context = (of: number) => of === Level.MACHINE ? Context.MACHINE : of;
    this.codeContext = context(level);
    this.dataContext = data === Level.SUPERVISOR && sum ? Context.SUPERVISOR_SUM : context(data);
    const walk = this.#walk;
    walk.sum = sum;
    walk.mxr = (mstatus & Status.MXR) !== 0;
    this.services.slots[Slot.FP_GATE] = (mstatus & Status.FS) === Status.FS ? 0n : 1n;
    this.updateInterrupts();
  }

  /** Derives what depends on satp and menvcfg. */
  updateTranslation(): void {
    const walk = this.#walk, { satp } = this;
    walk.update = (this.menvcfg & ADUE) !== 0n;
    walk.mode = Number(satp >> (this.xlen === 64 ? 60n : 31n));
    walk.root = Number(BigInt.asUintN(this.xlen === 64 ? 44 : 22, satp)) * 4096;
  }

  /** The interrupts that would be taken now, as bits: those for M-mode if there are any. */
  #enabled(): number {
    const pending = this.mip & this.mie;
    if (pending === 0) return 0;
    const level = this.#privilege, { mstatus, mideleg } = this;
    const machine = level < Level.MACHINE || (mstatus & Status.MIE) !== 0;
    const forMachine = machine ? pending & ~mideleg : 0;
    if (forMachine !== 0) return forMachine;
    const supervisor = level < Level.SUPERVISOR ||
      (level === Level.SUPERVISOR && (mstatus & Status.SIE) !== 0);
    return supervisor ? pending & mideleg : 0;
  }

  /** Derives whether an interrupt is to be taken. */
  updateInterrupts(): void {
    this.interrupting = this.#enabled() !== 0;
  }

  // ---- memory ----

  get physical(): number {
    return this.#walker.physical;
  }

  get pageBytes(): number {
    return this.#walker.pageBytes;
  }

  get wholePage(): boolean {
    return this.pmp.wholePage;
  }

  translate(lo: number, hi: number, access: number, size: number): number {
    const walk = this.#walk, { mstatus } = this;
    walk.privilege = access !== Access.FETCH && (mstatus & Status.MPRV) !== 0
      ? (mstatus & Status.MPP) >>> MPP_SHIFT
      : this.#privilege;
    return this.#walker.walk(lo, hi, access, size, walk);
  }

  /**
   * Forgets translations, as SFENCE.VMA does (section 4.2.1).
   *
   * @param asid Only of this address space; all if absent.
   * @param start With `bytes`: only of these addresses; all if absent.
   */
  fence(asid?: bigint, start?: bigint, bytes = 0n): void {
    const { services, satp, xlen } = this, [from, bits] = ASID[xlen];
    // There are never translations of another one, because a change of satp drops all.
    if (asid !== undefined && BigInt.asUintN(bits, asid) !== BigInt.asUintN(bits, satp >> from)) {
      return;
    }
    const first = start === undefined ? 0n : start & ~(PAGE_BYTES - 1n);
    if (start === undefined || start + bytes - first > MAX_FENCE) return services.flushTlb(false);
    for (let at = first; at < start + bytes; at += PAGE_BYTES) {
      services.flushPage(BigInt.asIntN(xlen, at));
    }
  }

  // ---- exceptions and interrupts ----

  cause(trap: number, walk: number): number {
    switch (trap) {
      case Trap.SYSCALL:
        return Cause.ECALL + this.#privilege;
      case Trap.BREAKPOINT:
        return Cause.BREAKPOINT;
      case Trap.FETCH_FAULT:
        return walk === Walk.PAGE ? Cause.FETCH_PAGE : Cause.FETCH_ACCESS;
      case Trap.LOAD_FAULT:
        return walk === Walk.PAGE
          ? Cause.LOAD_PAGE
          : walk === Walk.MISALIGNED
          ? Cause.LOAD_MISALIGNED
          : Cause.LOAD_ACCESS;
      case Trap.STORE_FAULT:
        return walk === Walk.PAGE
          ? Cause.STORE_PAGE
          : walk === Walk.MISALIGNED
          ? Cause.STORE_MISALIGNED
          : Cause.STORE_ACCESS;
      default:
        return Cause.ILLEGAL;
    }
  }

  exception(cause: number, tval: bigint, pc: bigint): bigint {
    const level = this.#privilege;
    const delegated = level !== Level.MACHINE && (this.medeleg >>> cause & 1) !== 0;
    return this.#enter(delegated, BigInt(cause), tval, pc);
  }

  interrupt(pc: bigint): bigint {
    const enabled = this.#enabled();
    const number = PRIORITY.find((bit) => (enabled >>> bit & 1) !== 0)!;
    const delegated = (this.mideleg >>> number & 1) !== 0 && this.#privilege !== Level.MACHINE;
    const vector = delegated ? this.stvec : this.mtvec;
    const base = this.#enter(delegated, BigInt(number) | 1n << BigInt(this.xlen - 1), 0n, pc);
    return (vector & 3n) === 1n ? base + BigInt(4 * number) : base;
  }

  /** Enters S-mode or M-mode (sections 3.1.6.1 and 4.1.1); returns the base of its vector. */
  #enter(supervisor: boolean, cause: bigint, tval: bigint, pc: bigint): bigint {
    const bits = this.xlen, level = this.#privilege;
    this.waiting = false;
    let { mstatus } = this;
    if (supervisor) {
      this.scause = cause;
      this.sepc = BigInt.asUintN(bits, pc);
      this.stval = BigInt.asUintN(bits, tval);
      mstatus = mstatus & Status.SIE ? mstatus | Status.SPIE : mstatus & ~Status.SPIE;
      mstatus = mstatus & ~(Status.SIE | Status.SPP) | level << SPP_SHIFT;
    } else {
      this.mcause = cause;
      this.mepc = BigInt.asUintN(bits, pc);
      this.mtval = BigInt.asUintN(bits, tval);
      mstatus = mstatus & Status.MIE ? mstatus | Status.MPIE : mstatus & ~Status.MPIE;
      mstatus = mstatus & ~(Status.MIE | Status.MPP) | level << MPP_SHIFT;
    }
    this.mstatus = mstatus;
    this.privilege = supervisor ? Level.SUPERVISOR : Level.MACHINE;
    return (supervisor ? this.stvec : this.mtvec) & ~3n;
  }

  /** MRET and SRET (section 3.3.2). */
  #return(supervisor: boolean): boolean {
    const level = this.#privilege;
    let { mstatus } = this;
    if (supervisor) {
      if (level < Level.SUPERVISOR) return this.services.illegal();
      if (level === Level.SUPERVISOR && mstatus & Status.TSR) return this.services.illegal();
    } else if (level < Level.MACHINE) return this.services.illegal();
    const previous = supervisor
      ? (mstatus & Status.SPP) >>> SPP_SHIFT
      : (mstatus & Status.MPP) >>> MPP_SHIFT;
    if (supervisor) {
      mstatus = mstatus & Status.SPIE ? mstatus | Status.SIE : mstatus & ~Status.SIE;
      mstatus = (mstatus | Status.SPIE) & ~Status.SPP;
    } else {
      mstatus = mstatus & Status.MPIE ? mstatus | Status.MIE : mstatus & ~Status.MIE;
      mstatus = (mstatus | Status.MPIE) & ~Status.MPP;
    }
    if (previous !== Level.MACHINE) mstatus &= ~Status.MPRV;
    this.mstatus = mstatus;
    this.resume = supervisor ? this.sepc : this.mepc;
    this.privilege = previous;
    return true;
  }

  // ---- privileged operations ----

  system(number: number, d: number, a: number, b: number, j: number): boolean {
    const { services } = this, level = this.#privilege;
    switch (number) {
      case Sys.CSR_READ:
      case Sys.CSR_WRITE:
      case Sys.CSR_SET:
      case Sys.CSR_CLEAR:
        return this.#csr(number, d, a, j);
      case Sys.MRET:
        return this.#return(false);
      case Sys.SRET:
        return this.#return(true);
      case Sys.WFI:
        if (level === Level.USER || (level === Level.SUPERVISOR && this.mstatus & Status.TW)) {
          return services.illegal();
        }
        this.waiting = (this.mip & this.mie) === 0;
        services.leave();
        return true;
      case Sys.SFENCE_VMA: {
        const forbidden = level === Level.SUPERVISOR && (this.mstatus & Status.TVM) !== 0;
        if (level === Level.USER || forbidden) return services.illegal();
        const asid = (j & 2) !== 0 ? services.slots[b] : undefined;
        if ((j & 1) !== 0) this.fence(asid, services.slots[a], 1n);
        else this.fence(asid);
        services.leave();
        return true;
      }
      case Sys.FLOAT:
        if ((this.mstatus & Status.FS) === 0) return services.illegal();
        this.mstatus |= Status.FS;
        services.slots[Slot.FP_GATE] = 0n;
        return true;
      case Sys.CBO:
        return this.#cacheBlockAllowed(j) || services.illegal();
      default:
        throw new Error(`Cannot execute privileged operation ${number}: there is none`);
    }
  }

  /** Whether the level may execute a cache-block operation; see `Sys.CBO`. */
  #cacheBlockAllowed(kind: number): boolean {
    const bits = kind === 1 ? CBIE : kind === 2 ? CBCFE : CBZE;
    const level = this.#privilege;
    if (level < Level.MACHINE && (this.menvcfg & bits) === 0n) return false;
    return level > Level.USER || (this.senvcfg & bits) !== 0n;
  }

  #csr(operation: number, d: number, a: number, csr: number): boolean {
    const { services } = this, { slots } = services;
    const writes = operation !== Sys.CSR_READ;
    // Bits 9:8 of the number are the lowest level, bits 11:10 are 11 for read-only registers (section 2.1).
    if ((csr >>> 8 & 3) > this.#privilege || (writes && csr >>> 10 === 3)) {
      return services.illegal();
    }
    const operand = BigInt.asUintN(this.xlen, slots[a]);
    const old = accessCsr(this, csr, operation, operand);
    if (old === undefined) return services.illegal();
    if (d !== Slot.ZERO) slots[d] = BigInt.asIntN(this.xlen, old);
    return true;
  }

  /** mstatus as a CSR, for debuggers. */
  get status(): bigint {
    return readStatus(this);
  }
}
