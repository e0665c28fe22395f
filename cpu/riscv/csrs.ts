/**
 * Control and status registers of system mode: which exist, how they are read, what a write keeps.
 *
 * Source: The RISC-V Instruction Set Manual, volume II, version 1.12, chapters "Control and Status Registers",
 * "Machine-Level ISA", "Supervisor-Level ISA"; Sstc.
 *
 * @module
 */
import type { HartServices } from "../isa/system.ts";
import { COUNTER_BITS, COUNTERS, type EventCounters, FIRST_COUNTER } from "./counters.ts";
import { type Pmp, PMP_ENTRIES } from "./pmp.ts";
import { Sys } from "./rv_priv.ts";
import { SatpMode } from "./walker.ts";

/** What the registers are made of: the hart. */
export interface CsrState {
  readonly id: number;
  readonly xlen: 32 | 64;
  readonly services: HartServices;
  readonly pmp: Pmp;
  readonly counters: EventCounters;
  privilege: number;
  readonly mip: number;
  mstatus: number;
  medeleg: number;
  mideleg: number;
  mie: number;
  softIp: number;
  lineIp: number;
  mtvec: bigint;
  mscratch: bigint;
  mepc: bigint;
  mcause: bigint;
  mtval: bigint;
  mcounteren: bigint;
  mcountinhibit: bigint;
  menvcfg: bigint;
  stvec: bigint;
  sscratch: bigint;
  sepc: bigint;
  scause: bigint;
  stval: bigint;
  scounteren: bigint;
  senvcfg: bigint;
  satp: bigint;
  stimecmp: bigint;
  cycleOffset: bigint;
  instretOffset: bigint;
  onTimer: () => void;
  update(): void;
  updateTranslation(): void;
}

type Hart = CsrState;

/** One register. */
interface Csr {
  /** Its value, unsigned; undefined if it may not be accessed now. */
  read(h: Hart): bigint | undefined;
  /** Writes what can be written; absent for registers that ignore writes. */
  write?(h: Hart, value: bigint, old: bigint): void;
}

const FS = 3 << 13, MXR = 1 << 19, TVM = 1 << 20;
const MPP = 3 << 11;
const MSTATUS_MASK = 0x7e_79aa, SSTATUS_MASK = 0xc_6122;
const MEDELEG_MASK = 0xb3ff, MIDELEG_MASK = 0x2222, MIE_MASK = 0x2aaa;
/** Bits of mip that M-mode may write; STIP only while it is not Sstc's. */
const MIP_MASK = 0x2222, SIP_MASK = 0x2002, STIP = 1 << 5;
/** Bits of menvcfg: Svadu and Sstc. */
export const ADUE = 1n << 61n, STCE = 1n << 63n;
const ENVCFG_MASK = 0xf1n, MENVCFG_HIGH = STCE | ADUE;
const ALL_COUNTERS = 0xffff_ffffn, TIME_BIT = 2n;
const SUPERVISOR = 1, MACHINE = 3;
const MASK32 = 0xffff_ffffn;

const word = (value: bigint) => Number(BigInt.asIntN(32, value));

/** mstatus: SD sums up FS; on RV64 SXL and UXL say 64 bits. */
export function readStatus(h: Hart): bigint {
  const dirty = (h.mstatus & FS) === FS;
  const low = BigInt(h.mstatus >>> 0);
  if (h.xlen === 32) return low | (dirty ? 1n << 31n : 0n);
  return low | 0xan << 32n | (dirty ? 1n << 63n : 0n);
}

function writeStatus(h: Hart, value: bigint, mask: number): void {
  let next = h.mstatus & ~mask | word(value) & mask;
  // MPP is WARL: level 2 does not exist.
  if ((next & MPP) === 2 << 11) next = next & ~MPP | h.mstatus & MPP;
  const flush = ((next ^ h.mstatus) & MXR) !== 0;
  h.mstatus = next;
  changed(h, flush);
}

/** Something that decides about privileges, translation or interrupts was written. */
function changed(h: Hart, flush: boolean, physical = false): void {
  if (flush) h.services.flushTlb(physical);
  h.update();
  h.services.leave();
}

function plain(
  name: "mscratch" | "sscratch" | "mcause" | "scause" | "mtval" | "stval",
): Csr {
  return { read: (h) => h[name], write: (h, value) => h[name] = value };
}

/** Addresses of traps: bit 0 is 0. */
function epc(name: "mepc" | "sepc"): Csr {
  return { read: (h) => h[name], write: (h, value) => h[name] = value & ~1n };
}

/** Vectors: modes 0 and 1. */
function tvec(name: "mtvec" | "stvec"): Csr {
  return {
    read: (h) => h[name],
    write: (h, value) => {
      if ((value & 2n) === 0n) h[name] = value;
    },
  };
}

const CONSTANT = (value: (h: Hart) => bigint): Csr => ({ read: value });
const ZERO = CONSTANT(() => 0n);

/** A counter as M-mode sees it. */
function counter(name: "cycleOffset" | "instretOffset", bit: bigint): { whole: Csr; high: Csr } {
  const value = (h: Hart) => {
    const stopped = (h.mcountinhibit & bit) !== 0n;
    const now = stopped ? 0n : BigInt(h.services.instructions());
    return BigInt.asUintN(64, h[name] + now);
  };
  const set = (h: Hart, to: bigint) => {
    const stopped = (h.mcountinhibit & bit) !== 0n;
    // The instruction that writes is not counted.
    h[name] = to - (stopped ? 0n : BigInt(h.services.instructions()) + 1n);
  };
  return {
    whole: {
      read: (h) => h.xlen === 32 ? value(h) & MASK32 : value(h),
      write: (h, v) => set(h, h.xlen === 32 ? value(h) & ~MASK32 | v : v),
    },
    high: {
      read: (h) => h.xlen === 32 ? value(h) >> 32n : undefined,
      write: (h, v) => set(h, value(h) & MASK32 | v << 32n),
    },
  };
}

const CYCLE = counter("cycleOffset", 1n), INSTRET = counter("instretOffset", 4n);

/** A user-level view of a counter: mcounteren and scounteren allow it (sections 3.1.11 and 4.1.5). */
function shadow(index: number, read: (h: Hart) => bigint | undefined): Csr {
  const bit = 1n << BigInt(index);
  return {
    read: (h) => {
      if (h.privilege < MACHINE && (h.mcounteren & bit) === 0n) return undefined;
      if (h.privilege < SUPERVISOR && (h.scounteren & bit) === 0n) return undefined;
      return read(h);
    },
  };
}

const time = (h: Hart) => h.xlen === 32 ? h.services.time() & MASK32 : h.services.time();

function counteren(name: "mcounteren" | "scounteren"): Csr {
  return { read: (h) => h[name], write: (h, value) => h[name] = value & ALL_COUNTERS };
}

function writeEnvcfg(h: Hart, name: "menvcfg" | "senvcfg", value: bigint): void {
  const changes = value ^ h[name];
  h[name] = value;
  // Who needs the other bits reads them; Linux writes senvcfg at each switch of tasks.
  if ((changes & (ADUE | STCE)) === 0n) return;
  h.updateTranslation();
  h.onTimer();
  changed(h, (changes & ADUE) !== 0n);
}

function envcfg(name: "menvcfg" | "senvcfg", mask: bigint): Csr {
  return {
    read: (h) => h.xlen === 32 ? h[name] & MASK32 : h[name],
    write: (h, value) => {
      const low = h.xlen === 32 ? h[name] & ~MASK32 : 0n;
      // CBIE is WARL: 2 is reserved.
      const legal = (value & 0x30n) === 0x20n ? value & ~0x30n : value;
      writeEnvcfg(h, name, low | legal & mask);
    },
  };
}

/** satp: modes that don't exist leave it as it is (section 4.1.11). */
const SATP: Csr = {
  read: (h) => h.privilege === SUPERVISOR && h.mstatus & TVM ? undefined : h.satp,
  write: (h, value, old) => {
    const mode = h.xlen === 64 ? Number(value >> 60n) : Number(value >> 31n);
    const known = h.xlen === 32 ? true : [SatpMode.BARE, SatpMode.SV39, SatpMode.SV48].includes(
      mode as 0 | 8 | 9,
    );
    if (!known || value === old) return;
    h.satp = value;
    h.updateTranslation();
    changed(h, true);
  },
};

/** Sstc: S-mode may access stimecmp if M-mode lets it. */
const stimecmpAllowed = (h: Hart) =>
  h.privilege === MACHINE || ((h.menvcfg & STCE) !== 0n && (h.mcounteren & TIME_BIT) !== 0n);

function setStimecmp(h: Hart, value: bigint): void {
  h.stimecmp = value;
  h.onTimer();
  changed(h, false);
}

const mipMask = (h: Hart) => (h.menvcfg & STCE) !== 0n ? MIP_MASK & ~STIP : MIP_MASK;

function pmpConfig(index: number): Csr {
  const first = index * 4;
  return {
    read: (h) => {
      if (h.xlen === 64 && index % 2 === 1) return undefined;
      let value = 0n;
      for (let i = h.xlen / 8 - 1; i >= 0; i--) {
        value = value << 8n | BigInt(h.pmp.config(first + i));
      }
      return value;
    },
    write: (h, value) => {
      for (let i = 0; i < h.xlen / 8; i++) {
        h.pmp.setConfig(first + i, Number(value >> BigInt(8 * i) & 0xffn));
      }
      changed(h, true, true);
    },
  };
}

function pmpAddress(index: number): Csr {
  return {
    read: (h) => h.pmp.address(index),
    write: (h, value) => {
      h.pmp.setAddress(index, value);
      changed(h, true, true);
    },
  };
}

/** "IMAFDC", S and U, and the width. */
function misa(h: Hart): bigint {
  let bits = 0n;
  for (const letter of "acdfimsu") bits |= 1n << BigInt(letter.charCodeAt(0) - 97);
  return bits | (h.xlen === 64 ? 2n << 62n : 1n << 30n);
}

/** RV32: the upper half of a register that has 64 bits. */
const high32 = (csr: Csr): Csr => ({
  ...csr,
  read: (h) => h.xlen === 32 ? csr.read(h) : undefined,
});

const TABLE = new Map<number, Csr>([
  // User level.
  [0xc00, shadow(0, (h) => CYCLE.whole.read(h))],
  [0xc01, shadow(1, time)],
  [0xc02, shadow(2, (h) => INSTRET.whole.read(h))],
  [0xc80, shadow(0, (h) => CYCLE.high.read(h))],
  [0xc81, shadow(1, (h) => h.xlen === 32 ? h.services.time() >> 32n : undefined)],
  [0xc82, shadow(2, (h) => INSTRET.high.read(h))],
  // Supervisor level.
  [0x100, {
    read: (h) =>
      readStatus(h) & (BigInt(SSTATUS_MASK) | 3n << 32n | 1n << (h.xlen === 64 ? 63n : 31n)),
    write: (h, value) => writeStatus(h, value, SSTATUS_MASK),
  }],
  [0x104, {
    read: (h) => BigInt(h.mie & h.mideleg),
    write: (h, value) => {
      h.mie = h.mie & ~h.mideleg | word(value) & h.mideleg & MIE_MASK;
      changed(h, false);
    },
  }],
  [0x105, tvec("stvec")],
  [0x106, counteren("scounteren")],
  [0x10a, envcfg("senvcfg", ENVCFG_MASK)],
  [0x140, plain("sscratch")],
  [0x141, epc("sepc")],
  [0x142, plain("scause")],
  [0x143, plain("stval")],
  [0x144, {
    read: (h) => BigInt(h.mip & h.mideleg),
    write: (h, value) => {
      const mask = SIP_MASK & h.mideleg;
      h.softIp = h.softIp & ~mask | word(value) & mask;
      changed(h, false);
    },
  }],
  [0x14d, {
    read: (h) => {
      if (!stimecmpAllowed(h)) return undefined;
      return h.xlen === 32 ? h.stimecmp & MASK32 : h.stimecmp;
    },
    write: (h, value) => setStimecmp(h, h.xlen === 32 ? h.stimecmp & ~MASK32 | value : value),
  }],
  [0x15d, {
    read: (h) => h.xlen === 32 && stimecmpAllowed(h) ? h.stimecmp >> 32n : undefined,
    write: (h, value) => setStimecmp(h, h.stimecmp & MASK32 | value << 32n),
  }],
  [0x180, SATP],
  // Machine level.
  [0x300, { read: readStatus, write: (h, value) => writeStatus(h, value, MSTATUS_MASK) }],
  [0x301, { read: misa, write: () => {} }],
  [0x302, {
    read: (h) => BigInt(h.medeleg),
    write: (h, value) => h.medeleg = word(value) & MEDELEG_MASK,
  }],
  [0x303, {
    read: (h) => BigInt(h.mideleg),
    write: (h, value) => {
      h.mideleg = word(value) & MIDELEG_MASK;
      changed(h, false);
    },
  }],
  [0x304, {
    read: (h) => BigInt(h.mie),
    write: (h, value) => {
      h.mie = word(value) & MIE_MASK;
      changed(h, false);
    },
  }],
  [0x305, tvec("mtvec")],
  [0x306, counteren("mcounteren")],
  [0x30a, envcfg("menvcfg", ENVCFG_MASK | MENVCFG_HIGH)],
  [0x310, high32({ read: () => 0n, write: () => {} })],
  [0x31a, {
    read: (h) => h.xlen === 32 ? h.menvcfg >> 32n : undefined,
    write: (h, value) => {
      writeEnvcfg(h, "menvcfg", h.menvcfg & MASK32 | value << 32n & MENVCFG_HIGH);
    },
  }],
  [0x320, {
    read: (h) => h.mcountinhibit,
    write: (h, value) => {
      const before = [CYCLE.whole.read(h)!, INSTRET.whole.read(h)!];
      h.mcountinhibit = value & (5n | COUNTER_BITS);
      h.counters.update();
      CYCLE.whole.write!(h, before[0], 0n);
      INSTRET.whole.write!(h, before[1], 0n);
    },
  }],
  [0x340, plain("mscratch")],
  [0x341, epc("mepc")],
  [0x342, plain("mcause")],
  [0x343, plain("mtval")],
  [0x344, {
    read: (h) => BigInt(h.mip),
    write: (h, value) => {
      const mask = mipMask(h);
      h.softIp = h.softIp & ~mask | word(value) & mask;
      changed(h, false);
    },
  }],
  [0xb00, CYCLE.whole],
  [0xb02, INSTRET.whole],
  [0xb80, CYCLE.high],
  [0xb82, INSTRET.high],
  ...[0xf11, 0xf12, 0xf13, 0xf15].map((csr): [number, Csr] => [csr, ZERO]),
  [0xf14, CONSTANT((h) => BigInt(h.id))],
]);

for (let i = 0; i < 16; i++) TABLE.set(0x3a0 + i, pmpConfig(i));
for (let i = 0; i < 64; i++) {
  TABLE.set(0x3b0 + i, i < PMP_ENTRIES ? pmpAddress(i) : { ...ZERO, write: () => {} });
}
/** An event counter's register: all of it, or on RV32 a half of it. */
function half(
  get: (c: EventCounters) => bigint,
  set: (c: EventCounters, value: bigint) => void,
): { whole: Csr; high: Csr } {
  return {
    whole: {
      read: (h) => h.xlen === 32 ? get(h.counters) & MASK32 : get(h.counters),
      write: (h, v) => {
        set(h.counters, h.xlen === 32 ? get(h.counters) & ~MASK32 | v : v);
        changed(h, false);
      },
    },
    high: {
      read: (h) => h.xlen === 32 ? get(h.counters) >> 32n : undefined,
      write: (h, v) => {
        set(h.counters, get(h.counters) & MASK32 | v << 32n);
        changed(h, false);
      },
    },
  };
}

// Event counters; those that don't exist read as 0 (section 3.1.10).
for (let i = FIRST_COUNTER; i < 32; i++) {
  const at = i - FIRST_COUNTER, nothing = { ...ZERO, write: () => {} };
  const none = { whole: nothing, high: high32(nothing) };
  const there = at < COUNTERS;
  const value = there ? half((c) => c.value(at), (c, v) => c.setValue(at, v)) : none;
  const event = there ? half((c) => c.event(at), (c, v) => c.setEvent(at, v)) : none;
  TABLE.set(0xb00 + i, value.whole);
  TABLE.set(0xb80 + i, value.high);
  TABLE.set(0x320 + i, event.whole);
  TABLE.set(0x720 + i, event.high);
  TABLE.set(0xc00 + i, shadow(i, (h) => value.whole.read(h)));
  TABLE.set(0xc80 + i, shadow(i, (h) => value.high.read(h)));
}
// Sscofpmf: below M-mode only those that mcounteren shows.
TABLE.set(0xda0, {
  read: (h) => {
    const { overflows } = h.counters;
    return h.privilege < MACHINE ? overflows & h.mcounteren : overflows;
  },
});

/** mip and sip: a read-modify-write keeps what only hardware raised out of the bits that software owns. */
const MIP = 0x344, SIP = 0x144;

/**
 * Reads a register, and writes it unless the operation is `Sys.CSR_READ`.
 *
 * @returns The old value, unsigned; undefined if there is no such register, or it may not be accessed now.
 */
export function accessCsr(
  h: CsrState,
  csr: number,
  operation: number,
  operand: bigint,
): bigint | undefined {
  const register = TABLE.get(csr);
  const old = register?.read(h);
  if (register === undefined || old === undefined || operation === Sys.CSR_READ) return old;
  const base = csr === MIP || csr === SIP ? BigInt(h.softIp) : old;
  const value = operation === Sys.CSR_WRITE
    ? operand
    : operation === Sys.CSR_SET
    ? base | operand
    : base & ~operand;
  register.write?.(h, value, old);
  return old;
}
