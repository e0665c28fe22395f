/**
 * The Linux ABI of RISC-V, 64 and 32 bits.
 *
 * Source: Linux arch/riscv/include/uapi/asm (ptrace.h, sigcontext.h, ucontext.h, hwprobe.h), arch/riscv/kernel/signal.c.
 *
 * @module
 */
import { X_BASE } from "../../cpu/riscv/state.ts";
import type { AddressSpace } from "../../mmu/address_space.ts";
import type { Abi, ArchCall, FrameContext, LinuxCpu, SignalFrame, SyscallRow } from "./abi.ts";
import {
  GENERIC_OPEN_FLAGS,
  GENERIC_STAT_32,
  GENERIC_STAT_64,
  GENERIC_STATFS_32,
  GENERIC_STATFS_64,
  GENERIC_SYSCALLS_32,
  GENERIC_SYSCALLS_64,
} from "./abi_generic.ts";
import { E } from "./errno.ts";

const EM_RISCV = 243;
const SIGINFO_SIZE = 128;
/** Integer registers x1 to x31; the ucontext has pc in the place of x0. */
const INTEGER = Array.from({ length: 31 }, (_, i) => `x${i + 1}`);
const FLOAT = Array.from({ length: 32 }, (_, i) => `f${i}`);

/** Offsets in `struct ucontext`; `struct sigcontext` is 16-byte aligned because of the quad-precision registers. */
interface UcontextLayout {
  word: 4 | 8;
  size: number;
  stack: number;
  mask: number;
  registers: number;
  float: number;
}
const UCONTEXT: Readonly<Record<32 | 64, UcontextLayout>> = {
  64: { word: 8, size: 960, stack: 16, mask: 40, registers: 176, float: 432 },
  32: { word: 4, size: 816, stack: 8, mask: 20, registers: 160, float: 288 },
};
/** fcsr follows 32 double-precision registers (`struct __riscv_d_ext_state`). */
const FCSR = 256;

function signalFrame(bits: 32 | 64): SignalFrame {
  const at = UCONTEXT[bits];
  const { word } = at;
  const set = (view: DataView, offset: number, value: bigint) =>
    word === 8
      ? view.setBigUint64(offset, BigInt.asUintN(64, value), true)
      : view.setUint32(offset, Number(BigInt.asUintN(32, value)), true);
  const get = (view: DataView, offset: number): bigint =>
    word === 8 ? view.getBigUint64(offset, true) : BigInt(view.getUint32(offset, true));
  return {
    size: SIGINFO_SIZE + at.size,
    ucontext: SIGINFO_SIZE,
    // li a7, 139 (rt_sigreturn); ecall
    trampoline: Uint8Array.of(0x93, 0x08, 0xb0, 0x08, 0x73, 0x00, 0x00, 0x00),
    stackPointer: "x2",
    save(cpu: LinuxCpu, view: DataView, { mask, altStack }: FrameContext) {
      set(view, at.stack, BigInt(altStack.sp));
      view.setUint32(at.stack + word, altStack.flags, true);
      set(view, at.stack + 2 * word, BigInt(altStack.size));
      view.setBigUint64(at.mask, mask, true);
      set(view, at.registers, cpu.pc);
      INTEGER.forEach((name, i) => set(view, at.registers + (i + 1) * word, cpu.getRegister(name)));
      FLOAT.forEach((name, i) => view.setBigUint64(at.float + i * 8, cpu.getRegister(name), true));
      view.setUint32(at.float + FCSR, Number(cpu.getRegister("fcsr")), true);
    },
    restore(cpu: LinuxCpu, view: DataView): FrameContext {
      INTEGER.forEach((name, i) => cpu.setRegister(name, get(view, at.registers + (i + 1) * word)));
      FLOAT.forEach((name, i) => cpu.setRegister(name, view.getBigUint64(at.float + i * 8, true)));
      cpu.setRegister("fcsr", BigInt(view.getUint32(at.float + FCSR, true) & 0xff));
      // An odd address would fault at once on hardware with C: the fetch ignores bit 0 of epc.
      cpu.pc = get(view, at.registers) & ~1n;
      return {
        mask: view.getBigUint64(at.mask, true),
        altStack: {
          sp: Number(get(view, at.stack)),
          flags: view.getUint32(at.stack + word, true),
          size: Number(get(view, at.stack + 2 * word)),
        },
      };
    },
    enter(cpu, { handler, signal, frame, siginfo, ucontext, trampoline }) {
      cpu.setRegister("x1", BigInt(trampoline));
      cpu.setRegister("x2", BigInt(frame));
      cpu.setRegister("x10", BigInt(signal));
      cpu.setRegister("x11", BigInt(siginfo));
      cpu.setRegister("x12", BigInt(ucontext));
      cpu.pc = handler & ~1n;
    },
  };
}

/** Answers of riscv_hwprobe by key (arch/riscv/include/uapi/asm/hwprobe.h). */
const IMA = 1n;
const EXT = {
  FD: 1n << 0n,
  C: 1n << 1n,
  ZBA: 1n << 3n,
  ZBB: 1n << 4n,
  ZBS: 1n << 5n,
  ZICBOZ: 1n << 6n,
  ZICOND: 1n << 35n,
  ZIHINTPAUSE: 1n << 36n,
} as const;
/** Misaligned accesses are fast: no trap emulates them. */
const MISALIGNED_FAST = 3n;

/** Bytes that cbo.zero clears. */
export const ZICBOZ_BLOCK = 64;

const HWPROBE: ReadonlyMap<bigint, bigint> = new Map([
  [0n, 0n], // mvendorid
  [1n, 0n], // marchid
  [2n, 0n], // mimpid
  [3n, IMA],
  [
    4n,
    EXT.FD | EXT.C | EXT.ZBA | EXT.ZBB | EXT.ZBS | EXT.ZICBOZ | EXT.ZICOND | EXT.ZIHINTPAUSE,
  ],
  [5n, MISALIGNED_FAST],
  [6n, BigInt(ZICBOZ_BLOCK)],
]);

/** riscv_hwprobe(pairs, count, cpusetsize, cpus, flags): fills in values for keys; unknown keys become -1. */
const hwprobe: ArchCall = (
  memory: AddressSpace,
  pairs: number,
  count: number,
  setSize: number,
  cpus: number,
  flags: number,
) => {
  if (flags !== 0) return -E.EINVAL;
  if (cpus !== 0) {
    const set = memory.read(cpus, Math.min(setSize, 1024));
    if (!set.some((byte) => byte !== 0)) return -E.EINVAL;
  } else if (setSize !== 0) return -E.EINVAL;
  for (let i = 0; i < count; i++) {
    const at = pairs + i * 16;
    const value = HWPROBE.get(memory.readU64(at));
    if (value === undefined) memory.writeU64(at, ~0n);
    memory.writeU64(at + 8, value ?? 0n);
  }
  return 0;
};

const ARCH_CALLS: Readonly<Record<string, ArchCall>> = {
  riscv_hwprobe: hwprobe,
  // Stores to code already drop translations of it, on the one hart there is.
  riscv_flush_icache: (_memory, _start, _end, flags) => flags & ~1 ? -E.EINVAL : 0,
};
const ARCH_ROWS: readonly SyscallRow[] = [
  [258, "riscv_hwprobe", "ptr size size ptr uint"],
  [259, "riscv_flush_icache", "ptr ptr size"],
];

/** AT_HWCAP: a bit for each single-letter extension. */
const HWCAP = [..."IMAFDC"].reduce(
  (bits, letter) => bits | 1n << BigInt(letter.charCodeAt(0) - 65),
  0n,
);

function riscvAbi(bits: 32 | 64): Abi {
  const isa = `rv${bits}imafdc_zicbom_zicboz_zicond_zicsr_zifencei_zihintpause_zba_zbb_zbs`;
  return {
    name: `riscv${bits}`,
    machine: EM_RISCV,
    unameMachine: `riscv${bits}`,
    bits,
    nr: X_BASE + 17,
    args: [10, 11, 12, 13, 14, 15].map((n) => X_BASE + n),
    result: X_BASE + 10,
    syscallBytes: 4,
    syscalls: [...(bits === 64 ? GENERIC_SYSCALLS_64 : GENERIC_SYSCALLS_32), ...ARCH_ROWS],
    archCalls: ARCH_CALLS,
    openFlags: GENERIC_OPEN_FLAGS,
    stat: bits === 64 ? GENERIC_STAT_64 : GENERIC_STAT_32,
    statfs: bits === 64 ? GENERIC_STATFS_64 : GENERIC_STATFS_32,
    sigactionRestorer: false,
    signalFrame: signalFrame(bits),
    hwcap: HWCAP,
    cpuinfo: `processor\t: 0\nhart\t\t: 0\nisa\t\t: ${isa}\nmmu\t\t: none\nuarch\t\t: trapdoor\n\n`,
  };
}

/** riscv64: system-call number in a7, arguments in a0 to a5, result in a0. */
export const RISCV64_ABI: Abi = riscvAbi(64);
/** riscv32: the same registers; 64-bit times and offsets only. */
export const RISCV32_ABI: Abi = riscvAbi(32);
