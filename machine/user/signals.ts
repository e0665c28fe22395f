/**
 * Signals: dispositions, masks, pending signals, and their delivery to handlers (kernel/signal.c and the
 * architectures' setup_rt_frame).
 *
 * @module
 */
import type { AddressSpace } from "../../mmu/address_space.ts";
import type { Abi, FrameContext, LinuxCpu, MemoryFault } from "./abi.ts";
import { E } from "./errno.ts";

/** Signal numbers (asm-generic/signal.h). */
export const Signal = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGCHLD: 17,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGURG: 23,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPWR: 30,
  SIGSYS: 31,
} as const;

/** Highest signal number. */
export const SIGNAL_COUNT = 64;
const REALTIME = 32;
/** Queued instances of one real-time signal. */
const QUEUE_LIMIT = 1024;

/** `si_code` values (asm-generic/siginfo.h). */
export const SignalCode = {
  USER: 0,
  KERNEL: 0x80,
  QUEUE: -1,
  TKILL: -6,
  SEGV_MAPERR: 1,
  SEGV_ACCERR: 2,
  BUS_ADRALN: 1,
  BUS_ADRERR: 2,
  ILL_ILLOPC: 1,
  FPE_INTDIV: 1,
  TRAP_BRKPT: 1,
} as const;

const SA = {
  NODEFER: 0x4000_0000,
  RESETHAND: 0x8000_0000,
  RESTART: 0x1000_0000,
  ONSTACK: 0x0800_0000,
} as const;
const SS_ONSTACK = 1;
const SS_DISABLE = 2;
const SS_AUTODISARM = 0x8000_0000;
const SIG_DFL = 0n;
const SIG_IGN = 1n;

const NAMES = new Map<number, string>(
  Object.entries(Signal).map(([name, number]) => [number, name]),
);
/** Name of a signal, such as "SIGSEGV" or "SIGRT_3". */
export function signalName(signal: number): string {
  return NAMES.get(signal) ?? (signal >= REALTIME ? `SIGRT_${signal - REALTIME}` : String(signal));
}

const bit = (signal: number): bigint => 1n << BigInt(signal - 1);
const UNBLOCKABLE = bit(Signal.SIGKILL) | bit(Signal.SIGSTOP);
const IGNORED = new Set<number>([
  Signal.SIGCHLD,
  Signal.SIGCONT,
  Signal.SIGURG,
  Signal.SIGWINCH,
]);
const STOPPING = new Set<number>([
  Signal.SIGSTOP,
  Signal.SIGTSTP,
  Signal.SIGTTIN,
  Signal.SIGTTOU,
]);
/** Signals about what the guest itself just did: delivered before others. */
const SYNCHRONOUS = bit(Signal.SIGSEGV) | bit(Signal.SIGBUS) | bit(Signal.SIGILL) |
  bit(Signal.SIGTRAP) | bit(Signal.SIGFPE) | bit(Signal.SIGSYS);

/** Disposition of a signal. */
export interface SigAction {
  /** Address of the handler; 0 default, 1 ignore. */
  handler: bigint;
  /** `SA_*` bits. */
  flags: number;
  /** Additional signals blocked while the handler runs. */
  mask: bigint;
  /** `sa_restorer`, where the architecture has it. */
  restorer: bigint;
}

/** A signal and why it was sent. */
export interface SigInfo {
  /** Its number. */
  signal: number;
  /** `si_code`. */
  code: number;
  /** Process of the sender, for signals that were sent. */
  pid?: number;
  /** User of the sender. */
  uid?: number;
  /** `si_value`. */
  value?: bigint;
  /** `si_addr`, for faults. */
  address?: bigint;
  /** The memory access that it is about. */
  fault?: MemoryFault;
}

/** How a guest ended. */
export type Outcome =
  | { kind: "exit"; status: number }
  | {
    kind: "signal";
    signal: number;
    /** Such as "SIGSEGV". */
    name: string;
    /** Where the guest was. */
    pc: bigint;
    /** `si_code`: for SIGSEGV, 1 is unmapped memory and 2 a missing right. */
    code: number;
    /** Address of the fault, if it was one. */
    address?: bigint;
    /** What more there is to say. */
    message?: string;
  }
  | { kind: "deadlock"; pc: bigint; message: string };

/** A system call that a signal interrupts: what to put where if it is restarted or not. */
export interface Interrupted {
  /** Whether it restarts when a handler with this `SA_RESTART` bit, or none (undefined), runs. */
  restart(handlerRestarts: boolean | undefined): boolean;
  /** Makes the guest issue the call again. */
  again(): void;
  /** Lets the call end with EINTR. */
  eintr(): void;
}

/** Signal state of one guest thread. */
export class Signals {
  readonly #cpu: LinuxCpu;
  readonly #memory: AddressSpace;
  readonly #abi: Abi;
  /** Address of the rt_sigreturn trampoline. */
  readonly #trampoline: number;
  readonly #actions: (SigAction | undefined)[] = [];
  #mask = 0n;
  #pending = 0n;
  readonly #queue = new Map<number, SigInfo[]>();
  /** The alternate stack. */
  altStack: FrameContext["altStack"] = { sp: 0, flags: SS_DISABLE, size: 0 };
  /** The mask that a call such as rt_sigsuspend replaced, to be restored after the handler. */
  savedMask: bigint | undefined;
  /** Whether a signal waits to be delivered: cheap to ask between blocks. */
  ready = false;

  constructor(cpu: LinuxCpu, memory: AddressSpace, abi: Abi, trampoline: number) {
    this.#cpu = cpu;
    this.#memory = memory;
    this.#abi = abi;
    this.#trampoline = trampoline;
  }

  /** Blocked signals, bit n-1 for signal n. */
  get mask(): bigint {
    return this.#mask;
  }
  set mask(mask: bigint) {
    this.#mask = BigInt.asUintN(64, mask) & ~UNBLOCKABLE;
    this.#update();
  }
  /** Pending signals. */
  get pending(): bigint {
    return this.#pending;
  }

  #update(): void {
    this.ready = (this.#pending & ~this.#mask) !== 0n;
  }

  /** Disposition of a signal. */
  action(signal: number): SigAction {
    return this.#actions[signal] ??
      { handler: SIG_DFL, flags: 0, mask: 0n, restorer: 0n };
  }

  /** Sets a disposition; pending instances that it ignores are dropped. */
  setAction(signal: number, action: SigAction): void {
    this.#actions[signal] = { ...action, mask: action.mask & ~UNBLOCKABLE };
    if (this.#isIgnored(signal)) this.#drop(signal);
  }

  #isIgnored(signal: number): boolean {
    const { handler } = this.action(signal);
    return handler === SIG_IGN || (handler === SIG_DFL && IGNORED.has(signal));
  }

  #drop(signal: number): void {
    this.#queue.delete(signal);
    this.#pending &= ~bit(signal);
    this.#update();
  }

  /** Makes a signal pending. @returns 0, or EAGAIN negated if too many of a real-time signal are queued. */
  post(info: SigInfo): number {
    const { signal } = info;
    if (this.#isIgnored(signal) && (this.#mask & bit(signal)) === 0n) return 0;
    const queue = this.#queue.get(signal) ?? [];
    if (signal < REALTIME && queue.length > 0) return 0;
    if (queue.length >= QUEUE_LIMIT) return -E.EAGAIN;
    queue.push(info);
    this.#queue.set(signal, queue);
    this.#pending |= bit(signal);
    this.#update();
    return 0;
  }

  /** Takes a pending signal of a set, the lowest number first; undefined if there is none. */
  take(set: bigint): SigInfo | undefined {
    let candidates = this.#pending & set;
    if (candidates === 0n) return undefined;
    if (candidates & SYNCHRONOUS) candidates &= SYNCHRONOUS;
    let signal = 1;
    while ((candidates & bit(signal)) === 0n) signal++;
    const queue = this.#queue.get(signal)!;
    const info = queue.shift()!;
    if (queue.length === 0) this.#drop(signal);
    return info;
  }

  #killed(info: SigInfo, message?: string): Outcome {
    return {
      kind: "signal",
      signal: info.signal,
      name: signalName(info.signal),
      pc: this.#cpu.pc,
      code: info.code,
      ...(info.address === undefined ? {} : { address: info.address }),
      ...(message === undefined ? {} : { message }),
    };
  }

  /**
   * Delivers pending signals: enters handlers (the last one entered runs first) or ends the guest.
   *
   * @param call The system call that the guest is in, if it was interrupted.
   */
  deliver(call?: Interrupted): Outcome | undefined {
    let interrupted = call;
    while (this.ready) {
      const info = this.take(~this.#mask)!;
      const { signal } = info;
      const action = this.action(signal);
      if (this.#isIgnored(signal)) continue;
      if (action.handler === SIG_DFL) {
        if (!STOPPING.has(signal)) return this.#killed(info);
        return {
          kind: "deadlock",
          pc: this.#cpu.pc,
          message: `The guest stopped itself with ${
            signalName(signal)
          }, and nobody can continue it`,
        };
      }
      if (interrupted) {
        if (interrupted.restart((action.flags & SA.RESTART) !== 0)) interrupted.again();
        else interrupted.eintr();
        interrupted = undefined;
      }
      const failed = this.#enter(info, action);
      if (failed) return failed;
    }
    if (interrupted) {
      if (interrupted.restart(undefined)) interrupted.again();
      else interrupted.eintr();
    }
    if (this.savedMask !== undefined) {
      this.mask = this.savedMask;
      this.savedMask = undefined;
    }
    return undefined;
  }

  /** A fault of the guest: runs its handler, or ends the guest if there is none or the signal is blocked. */
  fault(info: SigInfo): Outcome | undefined {
    const action = this.action(info.signal);
    const blocked = (this.#mask & bit(info.signal)) !== 0n;
    if (blocked || action.handler === SIG_DFL || action.handler === SIG_IGN) {
      return this.#killed(info);
    }
    return this.#enter(info, action);
  }

  /** Whether an address is on the alternate stack. */
  onAltStack(sp: number): boolean {
    const { sp: base, size, flags } = this.altStack;
    return size > 0 && (flags & SS_AUTODISARM) === 0 && sp > base && sp - base <= size;
  }

  /** `ss_flags` as sigaltstack(2) reports them. */
  altStackFlags(): number {
    if (this.altStack.size === 0) return SS_DISABLE;
    return this.onAltStack(this.stackPointer()) ? SS_ONSTACK : this.altStack.flags;
  }

  /** The guest's stack pointer. */
  stackPointer(): number {
    return Number(this.#cpu.getRegister(this.#abi.signalFrame.stackPointer));
  }

  /** Builds the frame of a handler and sets the registers for it. */
  #enter(info: SigInfo, action: SigAction): Outcome | undefined {
    const { signalFrame, bits } = this.#abi;
    let sp = this.stackPointer();
    const { altStack } = this;
    if (action.flags & SA.ONSTACK && altStack.size > 0 && !this.onAltStack(sp)) {
      sp = altStack.sp + altStack.size;
    }
    const frame = Math.floor((sp - signalFrame.size) / 16) * 16;
    const bytes = this.#memory.writeView(frame, signalFrame.size);
    if (!bytes) {
      return this.#killed(
        { signal: Signal.SIGSEGV, code: SignalCode.KERNEL, address: BigInt(frame) },
        `there is no stack for the handler of ${signalName(info.signal)}`,
      );
    }
    bytes.fill(0);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    writeSigInfo(view, info, bits);
    const ucontext = new DataView(bytes.buffer, bytes.byteOffset + signalFrame.ucontext);
    const mask = this.savedMask ?? this.#mask;
    this.savedMask = undefined;
    signalFrame.save(this.#cpu, ucontext, {
      mask,
      altStack: { ...altStack },
      ...(info.fault ? { fault: info.fault } : {}),
    });
    if (altStack.flags & SS_AUTODISARM) this.altStack = { sp: 0, flags: SS_DISABLE, size: 0 };
    const restorer = this.#abi.sigactionRestorer ? Number(action.restorer) : 0;
    signalFrame.enter(this.#cpu, {
      handler: action.handler,
      signal: info.signal,
      frame,
      siginfo: frame,
      ucontext: frame + signalFrame.ucontext,
      trampoline: restorer || this.#trampoline,
    });
    this.mask = this.#mask | action.mask | (action.flags & SA.NODEFER ? 0n : bit(info.signal));
    if (action.flags & SA.RESETHAND) {
      this.#actions[info.signal] = { ...action, handler: SIG_DFL };
    }
    return undefined;
  }

  /** rt_sigreturn(2). @returns false if the frame cannot be read; the guest is then to be killed. */
  leave(): boolean {
    const { signalFrame } = this.#abi;
    const frame = this.stackPointer();
    const bytes = this.#memory.readView(frame, signalFrame.size);
    if (!bytes) return false;
    const view = new DataView(bytes.buffer, bytes.byteOffset + signalFrame.ucontext);
    const context = signalFrame.restore(this.#cpu, view);
    if (!context) return false;
    this.altStack = context.altStack.flags & SS_DISABLE
      ? { sp: 0, flags: SS_DISABLE, size: 0 }
      : { ...context.altStack, flags: context.altStack.flags & ~SS_ONSTACK };
    this.mask = context.mask;
    return true;
  }
}

/** Writes a `siginfo_t`, whose fields after the first three are word-aligned. */
export function writeSigInfo(view: DataView, info: SigInfo, bits: 32 | 64): void {
  const union = bits === 64 ? 16 : 12;
  view.setInt32(0, info.signal, true);
  view.setInt32(8, info.code, true);
  const word = (at: number, value: bigint) =>
    bits === 64
      ? view.setBigUint64(at, BigInt.asUintN(64, value), true)
      : view.setUint32(at, Number(BigInt.asUintN(32, value)), true);
  if (info.address !== undefined) {
    word(union, info.address);
    return;
  }
  view.setInt32(union, info.pid ?? 0, true);
  view.setInt32(union + 4, info.uid ?? 0, true);
  if (info.value !== undefined) word(union + 8, info.value);
}
