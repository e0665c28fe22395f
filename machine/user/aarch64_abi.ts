/**
 * The Linux ABI of AArch64.
 *
 * Source: Linux arch/arm64/include/uapi/asm (fcntl.h, hwcap.h, sigcontext.h, ucontext.h), arch/arm64/kernel/signal.c.
 *
 * @module
 */
import { X_BASE } from "../../cpu/aarch64/state.ts";
import type { Abi, FrameContext, LinuxCpu, MemoryFault, OpenFlags, SignalFrame } from "./abi.ts";
import {
  GENERIC_RENAMEAT,
  GENERIC_STAT_64,
  GENERIC_STATFS_64,
  GENERIC_SYSCALLS_64,
} from "./abi_generic.ts";

const EM_AARCH64 = 183;
const SIGINFO_SIZE = 128;
/** X0 to X30 and SP, as `struct sigcontext` has them. */
const INTEGER = [...Array.from({ length: 31 }, (_, i) => `x${i}`), "sp"];

/** Offsets in `struct ucontext`. */
const STACK = 16,
  MASK = 40,
  FAULT_ADDRESS = 176,
  REGISTERS = 184,
  PC = 440,
  PSTATE = 448,
  RESERVED = 464;
const UCONTEXT_SIZE = RESERVED + 4096;
/** The frame record, behind the ucontext: the caller's x29 and x30. */
const RECORD = UCONTEXT_SIZE, RECORD_SIZE = 16;
/** `struct fpsimd_context`: its header, then FPSR, FPCR, and V0 to V31. */
const FPSIMD_MAGIC = 0x4650_8001, FPSIMD_SIZE = 528, FPSR = 8, FPCR = 12, VECTORS = 16;
/** `struct esr_context`: its header, then the exception syndrome. */
const ESR_MAGIC = 0x4553_5201, ESR_SIZE = 16;

/**
 * ESR_ELx of an abort from EL0, as Linux shows it (arch/arm64/mm/fault.c, set_thread_esr): levels of the page table are
 * the last one's, and above 48 bits the first one's.
 */
function syndrome({ address, access, why }: MemoryFault): bigint {
  const code = { unmapped: 0b000111, rights: 0b001111, alignment: 0b100001 }[why];
  const status = address >> 48n === 0n ? code : 0b000100;
  const isFetch = access === "fetch", write = access === "store" ? 1 << 6 : 0;
  return BigInt((isFetch ? 0x20 : 0x24) * 2 ** 26 + (1 << 25) + write + status);
}

/** Where the record of V registers is among those of a frame; undefined unless all of them are what they may be. */
function fpsimdRecord(view: DataView): number | undefined {
  let found: number | undefined;
  for (let at = RESERVED; at + 8 <= UCONTEXT_SIZE;) {
    const magic = view.getUint32(at, true), size = view.getUint32(at + 4, true);
    if (magic === 0) return size === 0 ? found : undefined;
    const isKnown = magic === ESR_MAGIC || (magic === FPSIMD_MAGIC && found === undefined);
    const least = magic === FPSIMD_MAGIC ? FPSIMD_SIZE : ESR_SIZE;
    if (!isKnown || size < least || size % 16 !== 0 || at + size > UCONTEXT_SIZE) return undefined;
    if (magic === FPSIMD_MAGIC) found = at;
    at += size;
  }
  return undefined;
}

const SIGNAL_FRAME: SignalFrame = {
  size: SIGINFO_SIZE + UCONTEXT_SIZE + RECORD_SIZE,
  ucontext: SIGINFO_SIZE,
  // mov x8, #139 (rt_sigreturn); svc #0
  trampoline: Uint8Array.of(0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4),
  stackPointer: "sp",
  save(cpu: LinuxCpu, view: DataView, { mask, altStack, fault }: FrameContext) {
    const set = (at: number, value: bigint) => view.setBigUint64(at, value, true);
    const get = (name: string) => cpu.getRegister(name);
    set(STACK, BigInt(altStack.sp));
    view.setUint32(STACK + 8, altStack.flags, true);
    set(STACK + 16, BigInt(altStack.size));
    set(MASK, mask);
    if (fault) set(FAULT_ADDRESS, fault.address);
    INTEGER.forEach((name, i) => set(REGISTERS + i * 8, get(name)));
    set(PC, cpu.pc);
    set(PSTATE, get("nzcv"));
    view.setUint32(RESERVED, FPSIMD_MAGIC, true);
    view.setUint32(RESERVED + 4, FPSIMD_SIZE, true);
    view.setUint32(RESERVED + FPSR, Number(get("fpsr")), true);
    view.setUint32(RESERVED + FPCR, Number(get("fpcr")), true);
    for (let i = 0; i < 32; i++) {
      set(RESERVED + VECTORS + i * 16, get(`d${i}`));
      set(RESERVED + VECTORS + i * 16 + 8, get(`v${i}h`));
    }
    if (fault) {
      view.setUint32(RESERVED + FPSIMD_SIZE, ESR_MAGIC, true);
      view.setUint32(RESERVED + FPSIMD_SIZE + 4, ESR_SIZE, true);
      set(RESERVED + FPSIMD_SIZE + 8, syndrome(fault));
    }
    set(RECORD, get("x29"));
    set(RECORD + 8, get("x30"));
  },
  restore(cpu: LinuxCpu, view: DataView): FrameContext | undefined {
    const get = (at: number) => view.getBigUint64(at, true);
    const vectors = fpsimdRecord(view);
    if (vectors === undefined) return undefined;
    INTEGER.forEach((name, i) => cpu.setRegister(name, get(REGISTERS + i * 8)));
    cpu.setRegister("nzcv", get(PSTATE) & 0xf000_0000n);
    cpu.setRegister("fpcr", BigInt(view.getUint32(vectors + FPCR, true)));
    cpu.setRegister("fpsr", BigInt(view.getUint32(vectors + FPSR, true)));
    for (let i = 0; i < 32; i++) {
      cpu.setRegister(`d${i}`, get(vectors + VECTORS + i * 16));
      cpu.setRegister(`v${i}h`, get(vectors + VECTORS + i * 16 + 8));
    }
    cpu.pc = get(PC);
    return {
      mask: get(MASK),
      altStack: {
        sp: Number(get(STACK)),
        flags: view.getUint32(STACK + 8, true),
        size: Number(get(STACK + 16)),
      },
    };
  },
  enter(cpu, { handler, signal, frame, siginfo, ucontext, trampoline }) {
    cpu.setRegister("x0", BigInt(signal));
    cpu.setRegister("x1", BigInt(siginfo));
    cpu.setRegister("x2", BigInt(ucontext));
    cpu.setRegister("x29", BigInt(ucontext + RECORD));
    cpu.setRegister("x30", BigInt(trampoline));
    cpu.setRegister("sp", BigInt(frame));
    cpu.pc = handler;
  },
};

/** open(2) flags of arm64 (uapi/asm/fcntl.h). */
const OPEN_FLAGS: OpenFlags = {
  DIRECTORY: 0o40000,
  NOFOLLOW: 0o100000,
  DIRECT: 0o200000,
  LARGEFILE: 0o400000,
};

/** AT_HWCAP by bit (uapi/asm/hwcap.h); the names are those of /proc/cpuinfo. */
const FEATURES: readonly [name: string, bit: number][] = [
  ["fp", 0],
  ["asimd", 1],
  ["aes", 3],
  ["pmull", 4],
  ["sha1", 5],
  ["sha2", 6],
  ["crc32", 7],
  ["atomics", 8],
  ["cpuid", 11],
  ["lrcpc", 15],
];

/** aarch64: system-call number in x8, arguments in x0 to x5, result in x0. */
export const AARCH64_ABI: Abi = {
  name: "aarch64",
  machine: EM_AARCH64,
  unameMachine: "aarch64",
  bits: 64,
  nr: X_BASE + 8,
  args: [0, 1, 2, 3, 4, 5].map((n) => X_BASE + n),
  result: X_BASE,
  syscallBytes: 4,
  syscalls: [...GENERIC_SYSCALLS_64, GENERIC_RENAMEAT],
  archCalls: {},
  openFlags: OPEN_FLAGS,
  stat: GENERIC_STAT_64,
  statfs: GENERIC_STATFS_64,
  sigactionRestorer: true,
  signalFrame: SIGNAL_FRAME,
  hwcap: FEATURES.reduce((bits, [, bit]) => bits | 1n << BigInt(bit), 0n),
  hwcap2: 0n,
  platform: "aarch64",
  cpuinfo: `processor\t: 0\nBogoMIPS\t: 125.00\nFeatures\t: ${
    FEATURES.map(([name]) => name).join(" ")
  }\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n`,
};
