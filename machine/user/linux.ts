/**
 * Linux for one guest process: system calls, signals and the end of the process.
 *
 * How a machine uses it:
 *
 * 1. `parseElf` and `loadProgram` put the program into an address space; set pc and the stack pointer from the result.
 * 2. `new Linux({ memory, cpu, abi, host, program, exePath, ... })`. `abi` comes from the instruction set's module
 *    (such as riscv_abi.ts), `host` from `denoHost()` or a fake.
 * 3. When the CPU executes a system-call instruction: set `cpu.pc` to the address AFTER it, then `syscall()`.
 *    - undefined: go on at `cpu.pc`, which a signal handler or rt_sigreturn may have changed. The result is in its slot.
 *    - an {@linkcode Outcome}: the guest has ended.
 *    - a Promise of one of the two: the guest waits; registers are final when it settles. It never rejects because of
 *      what the guest asked for.
 * 4. When an instruction faults: `cpu.pc` is its address; `fault(signal, code, address)` returns undefined if a
 *    handler was entered (go on at `cpu.pc`), else the outcome.
 * 5. Every few milliseconds of guest time, between blocks: `if (linux.poll()) outcome = linux.deliver()`, with
 *    `cpu.pc` at the next instruction, for signals that come from outside ({@linkcode Linux.raise}) and interval timers.
 * 6. At the end, and when the machine is given up: `close()`.
 *
 * Virtual files (the backdoor's areas) are added with {@linkcode Linux.addFile}; `allocate` finds room for
 * what their `mmap` maps.
 *
 * How to add a system call: a row in the table of abi_generic.ts (or the instruction set's own), a handler
 * in the `*_calls.ts` file of its kind.
 *
 * @module
 */
import { GuestMemoryError } from "../../mmu/address_space.ts";
import type { ArchCall, MemoryFault, SyscallRow } from "./abi.ts";
import { ARG_KINDS, type ArgKind } from "./arg_kinds.ts";
import { addDevices } from "./devices.ts";
import { E, HostError, RESTART } from "./errno.ts";
import { InputFile, Open, OutputFile, type Result } from "./files.ts";
import { ioCalls } from "./io_calls.ts";
import { ioctlCalls } from "./ioctl.ts";
import {
  type Handler,
  KEEP_REGISTERS,
  Kernel,
  type LinuxOptions,
  type TraceLine,
} from "./kernel.ts";
import { memoryCalls } from "./memory_calls.ts";
import { pathCalls } from "./path_calls.ts";
import { isDirectory } from "./paths.ts";
import { pollCalls } from "./poll.ts";
import { signalCalls } from "./signal_calls.ts";
import { type Interrupted, type Outcome, SignalCode } from "./signals.ts";
import { statCalls } from "./stat_calls.ts";
import { taskCalls } from "./tasks.ts";
import { timeCalls } from "./time.ts";
import type { VirtualDirectory, VirtualFile } from "./virtual.ts";

export type { LinuxOptions } from "./kernel.ts";
export type { Outcome } from "./signals.ts";

/** Handlers by name, a table a kind. */
const HANDLERS: readonly Readonly<Record<string, Handler>>[] = [
  ioCalls,
  ioctlCalls,
  memoryCalls,
  pathCalls,
  pollCalls,
  signalCalls,
  statCalls,
  taskCalls,
  timeCalls,
];

/** A row of the table, made ready for calling. */
interface Call {
  name: string;
  handler: Handler;
  kinds: readonly ArgKind[];
  types: readonly string[];
  result: string;
}

function compile(row: SyscallRow, archCalls: Readonly<Record<string, ArchCall>>): Call {
  const [nr, name, args, result = "int", handlerName = name] = row;
  const types = args === "" ? [] : args.split(" ");
  const archCall = archCalls[handlerName];
  const handler: Handler | undefined = archCall
    ? (k, ...rest) => archCall(k.memory, ...rest)
    : HANDLERS.find((kind) => Object.hasOwn(kind, handlerName))?.[handlerName];
  if (!handler) {
    throw new RangeError(`Cannot use system call ${nr}: nothing handles "${handlerName}"`);
  }
  const kinds = types.map((type) => {
    const kind = ARG_KINDS.get(type);
    if (!kind) throw new RangeError(`Cannot use ${name}: there is no type "${type}"`);
    return kind;
  });
  return { name, handler, kinds, types, result };
}

/** A Linux process around a CPU and an address space. */
export class Linux {
  /** The process' state, for what surrounds the guest: memory map, descriptors, signals. */
  readonly kernel: Kernel;
  /** Rows of the table by number, and those that were called, made ready for that. */
  readonly #rows: (SyscallRow | undefined)[] = [];
  readonly #calls: (Call | undefined)[] = [];
  /** Slots as 32-bit words. */
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #args = [0, 0, 0, 0, 0, 0];
  /** First argument of the current call, which its result overwrites: needed to restart it. */
  #firstLow = 0;
  #firstHigh = 0;
  readonly #interrupted: Interrupted;
  #restart = 0;

  /**
   * Makes a process whose program is loaded already.
   *
   * @throws {HostError} If a granted directory is not there.
   * @throws {RangeError} If options contradict each other or guest memory is too small.
   */
  constructor(options: LinuxOptions) {
    const kernel = new Kernel(options);
    this.kernel = kernel;
    const { slots } = options.cpu;
    this.#words = new Int32Array(slots.buffer, slots.byteOffset, slots.length * 2);
    for (const row of options.abi.syscalls) this.#rows[row[0]] = row;
    addDevices(kernel);
    const { stdin, stdout, stderr } = options.host;
    kernel.fds.add(new InputFile("/dev/stdin", Open.RDONLY, stdin));
    kernel.fds.add(new OutputFile("/dev/stdout", Open.WRONLY, stdout));
    kernel.fds.add(new OutputFile("/dev/stderr", Open.WRONLY, stderr));
    if (options.cwd !== undefined) {
      const place = kernel.names.walk("/", options.cwd, true);
      if (typeof place !== "number" && place.stat && isDirectory(place.stat)) {
        kernel.cwd = place.path;
      }
    }
    this.#interrupted = {
      restart: (handlerRestarts) =>
        handlerRestarts === undefined ||
        (handlerRestarts && this.#restart === RESTART.ERESTARTSYS),
      again: () => {
        const at = kernel.abi.result * 2;
        this.#words[at] = this.#firstLow;
        this.#words[at + 1] = this.#firstHigh;
        kernel.cpu.pc -= BigInt(kernel.abi.syscallBytes);
      },
      eintr: () => this.#setResult(-E.EINTR),
    };
  }

  /** Makes a row of the table ready. */
  #call(nr: number): Call | undefined {
    const row = this.#rows[nr], { abi } = this.kernel;
    return row && (this.#calls[nr] = compile(row, abi.archCalls));
  }

  /** Adds a virtual file or directory at an absolute guest path. */
  addFile(path: string, file: VirtualFile | VirtualDirectory): void {
    this.kernel.names.add(path, file);
  }

  /**
   * Finds unmapped guest memory for a mapping of the host's; the caller maps it.
   *
   * @param length Bytes.
   * @returns Page-aligned guest address, or undefined if memory is full.
   */
  allocate(length: number, hint = 0): number | undefined {
    return this.kernel.map.allocate(length, hint);
  }

  #setResult(value: number): void {
    const at = this.kernel.abi.result * 2;
    this.#words[at] = value;
    this.#words[at + 1] = Math.floor(value / 2 ** 32);
  }

  /** Decodes the arguments from their slots. */
  #decode(kinds: readonly ArgKind[]): void {
    const words = this.#words, values = this.#args;
    const { args, bits } = this.kernel.abi;
    let from = 0;
    for (let i = 0; i < kinds.length; i++) {
      const at = args[from++] * 2;
      const low = words[at];
      switch (kinds[i]) {
        case "int":
          values[i] = low;
          break;
        case "long":
          values[i] = bits === 64 ? (words[at + 1] >>> 0) * 2 ** 32 + (low >>> 0) : low >>> 0;
          break;
        default: {
          // A 64-bit offset: one register, or two of 32 bits; "wide" has a second register in any case.
          let high = words[at + 1];
          if (bits === 32) high = words[args[from++] * 2];
          else if (kinds[i] === "wide") from++;
          values[i] = high * 2 ** 32 + (low >>> 0);
        }
      }
    }
    for (let i = kinds.length; i < 6; i++) values[i] = 0;
  }

  /** Serves the system call whose number and arguments are in the CPU's slots. See the module's description. */
  syscall(): Outcome | undefined | Promise<Outcome | undefined> {
    const { kernel } = this;
    const { abi } = kernel;
    const words = this.#words;
    const first = abi.result * 2;
    this.#firstLow = words[first];
    this.#firstHigh = words[first + 1];
    const nr = words[abi.nr * 2];
    const call = this.#calls[nr] ?? this.#call(nr);
    if (!call) {
      kernel.note(`The guest used system call ${nr >>> 0}, which user mode does not have (ENOSYS)`);
      kernel.options.trace?.write(`syscall_0x${(nr >>> 0).toString(16)}(...) = -1 ENOSYS`);
      return this.#finish(-E.ENOSYS);
    }
    this.#decode(call.kinds);
    const a = this.#args;
    const { trace } = kernel.options;
    const line = trace?.begin(call.name, call.types, a, kernel.memory, abi);
    let result: Result;
    try {
      result = call.handler(kernel, a[0], a[1], a[2], a[3], a[4], a[5]);
    } catch (error) {
      result = this.#errno(error, call.name);
    }
    if (typeof result === "number") {
      if (line) trace!.write(this.#line(line, result, call));
      return this.#finish(result);
    }
    return this.#later(result, call, line);
  }

  async #later(
    result: Promise<number>,
    call: Call,
    line: TraceLine | undefined,
  ): Promise<Outcome | undefined> {
    let value: number;
    try {
      value = await result;
    } catch (error) {
      value = this.#errno(error, call.name);
    }
    if (line) this.kernel.options.trace!.write(this.#line(line, value, call));
    return this.#finish(value);
  }

  #line(line: TraceLine, result: number, call: Call): string {
    const ended = this.kernel.outcome !== undefined || result === KEEP_REGISTERS;
    return ended ? line.unfinished() : line.finish(result, call.result);
  }

  /** The error number of what a handler threw; anything but a bad pointer or a host's refusal is a bug of ours. */
  #errno(error: unknown, name: string): number {
    if (error instanceof GuestMemoryError) return -E.EFAULT;
    if (error instanceof HostError) {
      if (error.notable) this.kernel.note(`${name}: ${error.message}`);
      return -error.errno;
    }
    throw error;
  }

  /** Writes the result and lets signals in. */
  #finish(result: number): Outcome | undefined {
    const { kernel } = this;
    if (kernel.outcome) return kernel.outcome;
    const restart = result === -RESTART.ERESTARTSYS || result === -RESTART.ERESTARTNOHAND;
    if (restart) this.#restart = -result;
    else if (result !== KEEP_REGISTERS) this.#setResult(result);
    kernel.checkTimers();
    if (restart || kernel.signals.ready) {
      kernel.outcome = kernel.signals.deliver(restart ? this.#interrupted : undefined);
    }
    return kernel.outcome;
  }

  /**
   * An instruction of the guest faulted at `cpu.pc`.
   *
   * @param signal Such as 11 for SIGSEGV.
   * @param code `si_code`, `SignalCode.SEGV_MAPERR` for instance.
   * @param address The address that was accessed, or that of the instruction.
   * @param fault The memory access, if it was one.
   * @returns undefined if the guest's handler runs now, at `cpu.pc`.
   */
  fault(
    signal: number,
    code: number,
    address: bigint,
    fault?: MemoryFault,
  ): Outcome | undefined {
    const { kernel } = this, about = fault ? { fault } : {};
    return kernel.outcome = kernel.signals.fault({ signal, code, address, ...about });
  }

  /**
   * A memory access of the guest faulted at `cpu.pc`: SIGSEGV, with the code that tells unmapped memory from
   * memory without that right.
   */
  segmentationFault(address: bigint, access: MemoryFault["access"]): Outcome | undefined {
    const mapped = this.kernel.memory.isMapped(Number(address), 1);
    const code = mapped ? SignalCode.SEGV_ACCERR : SignalCode.SEGV_MAPERR;
    return this.fault(11, code, address, { address, access, why: mapped ? "rights" : "unmapped" });
  }

  /** Whether {@linkcode deliver} has something to do. Reads a clock only if an interval timer is armed. */
  poll(): boolean {
    this.kernel.checkTimers();
    return this.kernel.signals.ready;
  }

  /** Delivers pending signals between two instructions; `cpu.pc` is the next one. */
  deliver(): Outcome | undefined {
    const { kernel } = this;
    return kernel.outcome ??= kernel.signals.deliver();
  }

  /** Sends the guest a signal from outside, as kill(1) would. A waiting guest wakes up. */
  raise(signal: number): void {
    this.kernel.signals.post({ signal, code: SignalCode.USER, pid: 0, uid: 0 });
    this.kernel.interrupt();
  }

  /** Ends a wait that is under way; its Promise settles with this outcome. */
  cancel(outcome: Outcome): void {
    this.kernel.outcome = outcome;
    this.kernel.interrupt();
  }

  /** Writes shared mappings back and closes all files. What fails is noted: there is no call left to answer. */
  close(): void {
    const { kernel } = this;
    const attempt = (action: () => void) => {
      try {
        action();
      } catch (error) {
        if (!(error instanceof HostError)) throw error;
        kernel.note(`At the guest's end: ${error.message}`);
      }
    };
    attempt(() => kernel.map.close());
    for (const [fd] of [...kernel.fds.open()]) attempt(() => kernel.fds.close(fd));
  }
}
