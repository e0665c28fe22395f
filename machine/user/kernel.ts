/**
 * The state of one guest process, which the system-call handlers share, and waiting.
 *
 * @module
 */
import type { AddressSpace } from "../../mmu/address_space.ts";
import { Prot } from "../../mmu/address_space.ts";
import { PAGE_SIZE } from "../../mmu/arena.ts";
import type { Abi, LinuxCpu } from "./abi.ts";
import { RESTART } from "./errno.ts";
import { FdTable, type Result, type Waiter, type Wake } from "./files.ts";
import type { Host } from "./host.ts";
import type { LoadedProgram } from "./loader.ts";
import { MemoryMap } from "./memory.ts";
import { type Grant, Namespace, normalizePath } from "./paths.ts";
import { type Outcome, Signal, SignalCode, Signals } from "./signals.ts";

/** What a guest process is made of. */
export interface LinuxOptions {
  /** Guest memory, with the program loaded. */
  memory: AddressSpace;
  /** The CPU. */
  cpu: LinuxCpu;
  /** The ABI of its instruction set. */
  abi: Abi;
  /** The host. */
  host: Host;
  /** What {@linkcode loadProgram} returned. */
  program: LoadedProgram;
  /** Host directories that the guest may use; none if absent. */
  grants?: readonly Grant[];
  /** Initial working directory, a guest path; "/" if absent or not there. */
  cwd?: string;
  /** Path of the program, for /proc/self/exe; a relative one starts from {@linkcode cwd}. */
  exePath: string;
  /** The program's bytes, for those who open /proc/self/exe. */
  exe?: Uint8Array;
  /** Arguments, for /proc/self/cmdline. */
  argv?: readonly string[];
  /** Environment, for /proc/self/environ. */
  envp?: readonly string[];
  /** Process number; the host's if absent. */
  pid?: number;
  /** Whether {@linkcode Linux.raise} may be called while the guest waits, so that waiting for ever is no deadlock. */
  signalled?: boolean;
  /** Told, once each, what the guest asked for and could not get for reasons it cannot see. */
  note?: (message: string) => void;
  /** Prints system calls. */
  trace?: Tracer;
}

/** The line of a system call, begun before the call. */
export interface TraceLine {
  /** The whole of it, when the call has returned; `type` is the result's. */
  finish(result: number, type: string): string;
  /** That of a call that does not return. */
  unfinished(): string;
}

/** What prints system calls (see strace.ts, which is loaded when it is asked for). */
export interface Tracer {
  /** Formats the arguments that a call reads; `types` are names of types (see arg_kinds.ts), one for each. */
  begin(
    name: string,
    types: readonly string[],
    args: readonly number[],
    memory: AddressSpace,
    abi: Abi,
  ): TraceLine;
  write(line: string): void;
}

/** An interval timer of setitimer(2). */
export interface IntervalTimer {
  /** When it expires, milliseconds of its clock; Infinity if it is off. */
  deadline: number;
  /** Milliseconds between expirations, 0 for a single one. */
  interval: number;
}

/** Result of a call that has set all registers itself. */
export const KEEP_REGISTERS = -0x10_0000;

/** State of one guest process. */
export class Kernel implements Waiter {
  readonly memory: AddressSpace;
  readonly cpu: LinuxCpu;
  readonly abi: Abi;
  readonly host: Host;
  readonly names: Namespace;
  readonly fds = new FdTable();
  readonly map: MemoryMap;
  readonly signals: Signals;
  readonly options: LinuxOptions;
  /** Process and thread number. */
  readonly pid: number;
  readonly ppid = 1;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of a long. */
  readonly word: number;
  /** Guest path of the working directory. */
  cwd = "/";
  /** File mode bits that new files don't get; undefined until the guest asks: then the host's own apply too. */
  umask: number | undefined;
  /** Absolute path of the program. */
  readonly exePath: string;
  /** Name of the thread (PR_SET_NAME). */
  comm: string;
  /** The terminal's settings, once the guest has asked for them. */
  termios: Uint8Array<ArrayBuffer> | undefined;
  /** Pipes made so far. */
  pipes = 0;
  /** How the guest has ended. */
  outcome: Outcome | undefined;
  /** ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF. */
  readonly timers: IntervalTimer[] = [0, 1, 2].map(() => ({ deadline: Infinity, interval: 0 }));
  /** Monotonic time at the start, milliseconds. */
  readonly startTime: number;
  /** Resource limits by RLIMIT_* number: soft and hard; undefined is unlimited. */
  readonly limits = new Map<number, { soft: bigint; hard: bigint }>();
  #idle = 0;
  /** When the wait began that is under way. */
  #waitStart: number | undefined;
  #timersArmed = false;
  #interrupt: (() => void) | undefined;
  #noted = new Set<string>();

  constructor(options: LinuxOptions) {
    const { memory, cpu, abi, host, program } = options;
    this.options = options;
    this.memory = memory;
    this.cpu = cpu;
    this.abi = abi;
    this.host = host;
    this.word = abi.bits / 8;
    this.pid = options.pid ?? host.pid ?? 1000;
    this.uid = host.uid ?? 1000;
    this.gid = host.gid ?? 1000;
    this.exePath = normalizePath(options.exePath, options.cwd);
    this.comm = this.exePath.slice(this.exePath.lastIndexOf("/") + 1).slice(0, 15);
    this.startTime = host.clock.monotonic();
    this.names = new Namespace(host.files, options.grants ?? []);
    this.map = new MemoryMap(memory, program);
    this.signals = new Signals(cpu, memory, abi, this.#mapTrampoline());
  }

  /** A page of our own with the instructions that return from signal handlers, as Linux' vDSO has them. */
  #mapTrampoline(): number {
    const at = this.map.allocate(PAGE_SIZE);
    if (at === undefined) {
      throw new RangeError(
        "Cannot start the program: guest memory is full; give more with --memory",
      );
    }
    this.memory.map(at, PAGE_SIZE, Prot.READ | Prot.EXEC);
    this.memory.hostView(at, PAGE_SIZE)!.set(this.abi.signalFrame.trampoline);
    return at;
  }

  /** Tells the user something once. */
  note(message: string): void {
    if (this.#noted.has(message)) return;
    this.#noted.add(message);
    this.options.note?.(message);
  }

  /** Milliseconds since the start that the guest did not wait. */
  cpuTime(): number {
    return (this.#waitStart ?? this.host.clock.monotonic()) - this.startTime - this.#idle;
  }

  /** Now on the clock of an interval timer, milliseconds. */
  timerNow(which: number): number {
    return which === 0 ? this.host.clock.monotonic() : this.cpuTime();
  }

  /** Arms or disarms an interval timer. */
  setTimer(which: number, timer: IntervalTimer): void {
    Object.assign(this.timers[which], timer);
    this.#timersArmed = this.timers.some((t) => t.deadline !== Infinity);
  }

  /** Raises the signals of interval timers that have expired. Cheap if none is armed. */
  checkTimers(): void {
    if (!this.#timersArmed) return;
    const signals = [Signal.SIGALRM, Signal.SIGVTALRM, Signal.SIGPROF];
    this.timers.forEach((timer, which) => {
      const now = this.timerNow(which);
      if (now < timer.deadline) return;
      const missed = timer.interval > 0 ? Math.floor((now - timer.deadline) / timer.interval) : 0;
      const deadline = timer.interval > 0
        ? timer.deadline + (missed + 1) * timer.interval
        : Infinity;
      this.setTimer(which, { deadline, interval: timer.interval });
      this.signals.post({ signal: signals[which], code: SignalCode.KERNEL });
    });
  }

  get interruptible(): boolean {
    return this.options.signalled === true || this.timers[0].deadline !== Infinity;
  }

  raise(signal: number): void {
    this.signals.post({ signal, code: SignalCode.USER, pid: this.pid, uid: this.uid });
  }

  /** Ends a wait that is under way; the waiting call looks for signals again. */
  interrupt(): void {
    this.#interrupt?.();
  }

  wait(
    deadline: number | undefined,
    wake: Promise<unknown> | undefined,
  ): Promise<Wake> | undefined {
    const alarm = this.timers[0].deadline;
    const ends = deadline !== undefined || wake !== undefined || alarm !== Infinity;
    if (!ends && this.options.signalled !== true && !this.signals.ready) return undefined;
    return this.#wait(deadline ?? Infinity, wake);
  }

  async #wait(deadline: number, wake: Promise<unknown> | undefined): Promise<Wake> {
    const { clock } = this.host;
    const start = this.#waitStart = clock.monotonic();
    let woken = false;
    const wakes = wake?.then(() => woken = true);
    try {
      while (true) {
        this.checkTimers();
        if (this.signals.ready || this.outcome) return "signal";
        const until = Math.min(deadline, this.timers[0].deadline);
        const left = until - clock.monotonic();
        if (deadline - clock.monotonic() <= 0) return "timeout";
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#interrupt = resolve;
        const sleep = until === Infinity ? undefined : clock.sleep(Math.max(left, 0));
        const race: Promise<unknown>[] = [promise];
        if (wakes) race.push(wakes);
        if (sleep) race.push(sleep.done);
        await Promise.race(race);
        sleep?.cancel();
        if (woken) return "woken";
      }
    } finally {
      this.#interrupt = undefined;
      this.#waitStart = undefined;
      this.#idle += clock.monotonic() - start;
    }
  }

  /** Blocks for a short time without leaving the guest. @returns false if the host cannot. */
  pause(milliseconds: number): boolean {
    const { clock } = this.host;
    if (!clock.pause) return false;
    clock.pause(milliseconds);
    this.#idle += milliseconds;
    return true;
  }

  block(what: string): Result {
    const waiting = this.wait(undefined, undefined);
    if (waiting) return waiting.then(() => -RESTART.ERESTARTSYS);
    this.outcome = {
      kind: "deadlock",
      pc: this.cpu.pc,
      message: `The guest waits for ever: it is ${what}`,
    };
    return 0;
  }
}

/** A system-call handler: arguments as numbers, decoded by the table's types. */
export type Handler = (
  k: Kernel,
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
  f: number,
) => Result;
