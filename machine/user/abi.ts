/**
 * What differs between instruction sets in the Linux user-kernel interface: numbers, layouts and register roles,
 * all as data. The system-call layer reads them and never names an instruction set.
 *
 * @module
 */
import type { AddressSpace } from "../../mmu/address_space.ts";

/** The CPU as the system-call layer sees it. */
export interface LinuxCpu {
  /** State slots; the ABI's slot numbers index it. */
  readonly slots: BigInt64Array<ArrayBuffer>;
  /**
   * Where the guest goes on. Before {@linkcode Linux.syscall} it is the address after the system-call instruction,
   * before {@linkcode Linux.fault} the address of the faulting instruction.
   */
  pc: bigint;
  /** Reads a register by name, unsigned. */
  getRegister(name: string): bigint;
  /** Writes a register by name, modulo its width. */
  setRegister(name: string, value: bigint): void;
}

/**
 * A row of the system-call table: number, name, types of the arguments (see arg_kinds.ts,
 * separated by spaces), the type of the result if it is not an int, and the handler's name if it differs.
 */
export type SyscallRow = readonly [
  nr: number,
  name: string,
  args: string,
  result?: string,
  handler?: string,
];

/** Bits of open(2)'s flags that differ between architectures. */
export interface OpenFlags {
  /** The file must be a directory. */
  DIRECTORY: number;
  /** The last component must not be a symbolic link. */
  NOFOLLOW: number;
  /** Unbuffered transfers; accepted and ignored. */
  DIRECT: number;
  /** Files over 2 GiB; accepted and ignored. */
  LARGEFILE: number;
}

/** Byte offsets of the fields of `struct stat`. */
export interface StatLayout {
  /** Bytes of the structure. */
  size: number;
  /** `st_dev`, 64 bits. */
  dev: number;
  /** `st_ino`, a long. */
  ino: number;
  /** `st_mode`, 32 bits. */
  mode: number;
  /** `st_nlink`, {@linkcode nlinkBytes} wide. */
  nlink: number;
  /** Bytes of `st_nlink`: 4 or 8. */
  nlinkBytes: number;
  /** `st_uid`, 32 bits. */
  uid: number;
  /** `st_gid`, 32 bits. */
  gid: number;
  /** `st_rdev`, 64 bits. */
  rdev: number;
  /** `st_size`, 64 bits. */
  bytes: number;
  /** `st_blksize`, 32 bits. */
  blksize: number;
  /** `st_blocks`, 64 bits. */
  blocks: number;
  /** `st_atime` and the nanoseconds after it, a long each. */
  atime: number;
  /** `st_mtime`, as `atime`. */
  mtime: number;
  /** `st_ctime`, as `atime`. */
  ctime: number;
}

/** Byte offsets of the fields of `struct statfs`; the counters between are 64 bits wide. */
export interface StatfsLayout {
  /** Bytes of the structure. */
  size: number;
  /** `f_bsize`, a long. */
  bsize: number;
  /** `f_blocks`, `f_bfree`, `f_bavail`, `f_files`, `f_ffree`, 64 bits each. */
  blocks: number;
  /** `f_namelen`, a long. */
  namelen: number;
  /** `f_frsize`, a long. */
  frsize: number;
  /** `f_flags`, a long. */
  flags: number;
}

/** A memory access that faulted. */
export interface MemoryFault {
  /** Address of the access. */
  address: bigint;
  /** What it was; an atomic that is not aligned counts as a load. */
  access: "fetch" | "load" | "store";
  /** What was wrong. */
  why: "unmapped" | "rights" | "alignment";
}

/** What a signal frame keeps besides registers. */
export interface FrameContext {
  /** Blocked signals to restore, bit n-1 for signal n. */
  mask: bigint;
  /** The alternate stack: `ss_sp`, `ss_flags`, `ss_size`. */
  altStack: { sp: number; flags: number; size: number };
  /** The access that raised the signal, if one did. */
  fault?: MemoryFault;
}

/** The `ucontext` part of a signal frame, and how a handler is entered and left. */
export interface SignalFrame {
  /** Bytes of `struct rt_sigframe`: siginfo (128 bytes), then ucontext. */
  readonly size: number;
  /** Byte offset of the ucontext in the frame. */
  readonly ucontext: number;
  /** Instructions that call rt_sigreturn. */
  readonly trampoline: Uint8Array;
  /** Name of the stack pointer. */
  readonly stackPointer: string;
  /** Writes registers and context into a zeroed ucontext. */
  save(cpu: LinuxCpu, ucontext: DataView, context: FrameContext): void;
  /** Reads registers and context back; undefined if they are not what a frame can have. */
  restore(cpu: LinuxCpu, ucontext: DataView): FrameContext | undefined;
  /** Sets the registers for the handler: arguments, stack pointer, return address, pc. */
  enter(
    cpu: LinuxCpu,
    call: {
      handler: bigint;
      signal: number;
      frame: number;
      siginfo: number;
      ucontext: number;
      trampoline: number;
    },
  ): void;
}

/** A system call that only one architecture has. Returns a result or a negated error number. */
export type ArchCall = (
  memory: AddressSpace,
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
  f: number,
) => number;

/** The Linux ABI of one instruction set. */
export interface Abi {
  /** Name of the instruction set, such as "riscv64". */
  readonly name: string;
  /** `e_machine` of its executables. */
  readonly machine: number;
  /** What uname(2) calls the machine. */
  readonly unameMachine: string;
  /** Bits of a long and of a pointer. */
  readonly bits: 32 | 64;
  /** Slot of the system-call number. */
  readonly nr: number;
  /** Slots of the six arguments. */
  readonly args: readonly number[];
  /** Slot of the result. */
  readonly result: number;
  /** Bytes of the system-call instruction: a call is restarted by going back this far. */
  readonly syscallBytes: number;
  /** The system-call table. */
  readonly syscalls: readonly SyscallRow[];
  /** Handlers of calls that only this architecture has. */
  readonly archCalls: Readonly<Record<string, ArchCall>>;
  /** open(2) flags. */
  readonly openFlags: OpenFlags;
  /** `struct stat`. */
  readonly stat: StatLayout;
  /** `struct statfs` (`statfs64` where longs have 32 bits). */
  readonly statfs: StatfsLayout;
  /** Whether `struct sigaction` has `sa_restorer` between flags and mask. */
  readonly sigactionRestorer: boolean;
  /** Signal frames. */
  readonly signalFrame: SignalFrame;
  /** AT_HWCAP. */
  readonly hwcap: bigint;
  /** AT_HWCAP2. */
  readonly hwcap2?: bigint;
  /** AT_PLATFORM. */
  readonly platform?: string;
  /** Text of /proc/cpuinfo. */
  readonly cpuinfo: string;
}
