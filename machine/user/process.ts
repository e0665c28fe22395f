/**
 * The run loop of user mode: one process, its CPU, its system calls and its backdoor.
 *
 * @module
 */
import type { BackdoorChannel, ChannelStats } from "../../backdoor/channel.ts";
import type { BackdoorCpu } from "../../backdoor/cpu.ts";
import { Stop, type UserCpu } from "../../cpu/engine/user_cpu.ts";
import { Hooked } from "../../cpu/engine/interpreter/slow_memory.ts";
import { Trap } from "../../cpu/ir/encoding.ts";
import type { AddressSpace } from "../../mmu/address_space.ts";
import type { LinuxCpu } from "./abi.ts";
import type { addBackdoorFiles } from "./backdoor_files.ts";
import { Linux, type LinuxOptions, type Outcome } from "./linux.ts";
import { isDirectory } from "./paths.ts";
import { Signal, SignalCode, signalName } from "./signals.ts";

/** What a process is made of. */
export interface ProcessOptions extends Omit<LinuxOptions, "cpu"> {
  /** The CPU, on the same memory. */
  cpu: UserCpu;
  /** The backdoor, and what adds its files; nobody answers without one. */
  backdoor: { channel: BackdoorChannel; addFiles: typeof addBackdoorFiles } | undefined;
  /** Guest path of the channel's files. */
  backdoorPath: string;
  /** Called once, after {@linkcode EARLY} instructions; for programs of which an earlier run was long. */
  onEarly?: (() => Promise<void>) | undefined;
  /** Called once, after the first {@linkcode SLICE} of interpreted instructions: the guest runs for more than a moment. */
  onLongRun?: () => Promise<void>;
  /** Called once, after the guest has run for {@linkcode TURN} milliseconds without sleeping. */
  onLongerRun?: () => Promise<void>;
}

/** How a run of the process ended. */
export type ProcessEnd =
  | { reason: "exit" | "stopped"; status: number }
  | {
    reason: "signal";
    status: number;
    signal: number;
    name: string;
    pc: bigint;
    address?: bigint;
    message?: string;
    registers: string[];
  }
  | { reason: "limit" | "aborted" }
  | { reason: "deadlock"; message: string };

/** Rings are drained when a multiple of so many guest instructions is reached, whatever the clock says. */
const SLICE = 1_000_000;
/** Enough for a program to find out that there is nothing to do; 100,000 take 60 ms while V8 knows nothing yet. */
const EARLY = 20_000;
/** Guest instructions in one stay while each is traced, which is slow. */
const TRACED_SLICE = 1000;
/** Milliseconds after which other tasks of this JavaScript process get a turn (it costs 2). */
const TURN = 100;
/** Backdoor calls between looks at the clock, and how many of them a system call counts as. */
const CALLS = 64, SYSCALL_WEIGHT = 8;

/** Signals that stop a process unless it handles them. */
const STOPPING: readonly number[] = [
  Signal.SIGSTOP,
  Signal.SIGTSTP,
  Signal.SIGTTIN,
  Signal.SIGTTOU,
];

/** One guest process. */
export class UserProcess {
  readonly cpu: UserCpu;
  readonly memory: AddressSpace;
  /** Milliseconds spent waiting, not running. */
  idleMilliseconds = 0;
  readonly #linux: Linux;
  readonly #channel: BackdoorChannel | undefined;
  readonly #backdoor: BackdoorCpu | undefined;
  /** Exit status that a callback or the embedder wants. */
  #stopStatus: number | undefined;
  #aborted = false;
  #onEarly: (() => Promise<void>) | undefined;
  #onLongRun: (() => Promise<void>) | undefined;
  #onLongerRun: (() => Promise<void>) | undefined;
  /** When the event loop gets its turn; between runs, milliseconds until then. */
  #turnEnd = TURN;
  #outcome: Outcome | undefined;
  #finished: Promise<void> | undefined;
  /** Instruction count at which rings are drained next. */
  #nextDrain = SLICE;
  /** Whether the guest sleeps in a call of the backdoor, whose trap is not finished. */
  #inCall = false;
  /** Ends the run loop's wait. */
  #wake: (() => void) | undefined;
  /** Aborted when nobody wants to wait for event callbacks any longer. */
  readonly #giveUp = new AbortController();
  /** Calls until the run loop looks at the clock. */
  #credit = 0;
  /** The backdoor's answer to an instruction after which the guest could not go on at once. */
  #answer: number | Promise<number> = 0;
  /** The store that made the control area's hook ask to leave. */
  readonly #store = { address: 0, size: 0, lo: 0, hi: 0 };

  /**
   * @throws {HostError} If a granted directory is not there.
   * @throws {RangeError} If options contradict each other, guest memory is too small or the guest has no `cwd`.
   */
  constructor(options: ProcessOptions) {
    const { cpu, memory, program } = options, channel = options.backdoor?.channel;
    this.cpu = cpu;
    this.memory = memory;
    this.#channel = channel;
    this.#onEarly = options.onEarly;
    this.#onLongRun = options.onLongRun;
    this.#onLongerRun = options.onLongerRun;
    const linuxCpu: LinuxCpu = {
      slots: cpu.slots,
      get pc() {
        return cpu.getRegister("pc");
      },
      set pc(value: bigint) {
        cpu.setRegister("pc", value);
      },
      getRegister: (name) => cpu.getRegister(name),
      setRegister: (name, value) => cpu.setRegister(name, value),
    };
    this.#linux = new Linux({ ...options, cpu: linuxCpu });
    this.#checkCwd(options.cwd);
    cpu.setRegister("pc", program.entry);
    cpu.setRegister(options.abi.signalFrame.stackPointer, program.sp);
    // Nobody answers without a channel.
    cpu.onBackdoor = () => true;
    if (options.backdoor && channel) {
      const backdoor = this.#backdoor = channel.cpu({
        isa: cpu.isa,
        q: cpu.slots,
        r: cpu.words,
        hooks: {
          getPc: () => cpu.pc,
          setPc: (address) => cpu.setRegister("pc", address),
          instructions: () => cpu.instructions,
          stop: (status) => this.#requestStop(status),
        },
      });
      cpu.storeHook = (address, size, lo, hi) => {
        if (!channel.areas.inControl(address)) return Hooked.NO;
        if (channel.quietStore(address, size, lo, hi)) return Hooked.DONE;
        const store = this.#store;
        store.address = address;
        store.size = size;
        store.lo = lo;
        store.hi = hi;
        return Hooked.LEAVE;
      };
      const answerCall = channel.answerer(backdoor);
      cpu.onBackdoor = () => {
        const answer = answerCall();
        if (answer === 0 && --this.#credit > 0) return true;
        this.#answer = answer;
        return false;
      };
      options.backdoor.addFiles(this.#linux, channel, backdoor, options.backdoorPath);
    }
  }

  #checkCwd(cwd: string | undefined): void {
    if (cwd === undefined) return;
    const place = this.#linux.kernel.names.walk("/", cwd, true);
    if (typeof place === "number" || !place.stat || !isDirectory(place.stat)) {
      throw new RangeError(
        `Cannot start the program in ${cwd}: the guest has no such directory; grant one with --dir`,
      );
    }
  }

  /** Numbers of the channel, if there is one. */
  get channelStats(): ChannelStats | undefined {
    return this.#channel?.stats;
  }

  #requestStop(status: number): void {
    this.#stopStatus ??= status;
    this.#credit = 0;
    this.#linux.cancel({ kind: "exit", status });
  }

  /** Asks the guest to end, also when it sleeps; the first wish counts. */
  stop(status: number): void {
    this.#requestStop(status);
    this.#wake?.();
  }

  /** Ends the guest for good, also when it sleeps. */
  abort(): void {
    this.#aborted = true;
    this.#credit = 0;
    this.#linux.cancel({ kind: "exit", status: 0 });
    this.#giveUp.abort();
    this.#wake?.();
  }

  /**
   * Sends the guest a signal from outside, as kill(1) would. Handlers can't run while it sleeps in a call of the
   * backdoor: a signal without a handler kills it at once, and so does any signal that comes a second time. After the
   * guest's end a signal ends the wait for event callbacks.
   */
  raise(signal: number): void {
    if (this.#finished) {
      this.#giveUp.abort();
      return;
    }
    const { signals } = this.#linux.kernel, bit = 1n << BigInt(signal - 1);
    const again = (signals.pending & bit) !== 0n;
    this.#linux.raise(signal);
    const ignored = (signals.pending & bit) === 0n, blocked = (signals.mask & bit) !== 0n;
    const fatal = signals.action(signal).handler === 0n && !blocked && !STOPPING.includes(signal);
    const stuck = again && this.#backdoor?.pending !== undefined;
    if (this.#wake && !ignored && (fatal || stuck)) {
      const pc = this.cpu.getRegister("pc"), name = signalName(signal);
      this.#outcome ??= { kind: "signal", signal, name, pc, code: SignalCode.USER };
      this.#linux.cancel(this.#outcome);
      this.#wake();
    }
  }

  /** Runs until the guest ends, `maxInstructions` are executed, or the signal is aborted. */
  async run(maxInstructions: number, signal?: AbortSignal): Promise<ProcessEnd> {
    const onAbort = () => this.abort();
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#turnEnd += performance.now();
    try {
      return await this.#loop(this.cpu.instructions + maxInstructions);
    } finally {
      // Many short runs are a long one.
      this.#turnEnd -= performance.now();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async #loop(end: number): Promise<ProcessEnd> {
    const { cpu } = this, linux = this.#linux;
    for (;;) {
      if (this.#aborted) return { reason: "aborted" };
      if (this.#stopStatus !== undefined) return { reason: "stopped", status: this.#stopStatus };
      if (this.#outcome) return this.#end(this.#outcome);
      if (cpu.instructions >= this.#nextDrain) {
        this.#nextDrain = (Math.floor(cpu.instructions / SLICE) + 1) * SLICE;
        this.#drain();
        // What native code of an earlier run executes is no reason to load a compiler.
        if (this.#onLongRun && cpu.instructions - cpu.tierInstructions >= SLICE) {
          await this.#warmUp(this.#onLongRun);
          this.#onLongRun = undefined;
        }
        continue;
      }
      if (this.#onEarly && cpu.instructions >= EARLY) {
        await this.#warmUp(this.#onEarly);
        this.#onEarly = undefined;
        continue;
      }
      if (linux.poll()) {
        this.#outcome = linux.deliver();
        continue;
      }
      if (cpu.instructions >= end) return { reason: "limit" };
      let limit = Math.min(end, this.#nextDrain, this.#onEarly ? EARLY : end);
      if (cpu.trace) limit = Math.min(limit, cpu.instructions + TRACED_SLICE);
      const later = this.#burst(limit, limit === end);
      if (later) await this.#sleep(later);
      else if (performance.now() < this.#turnEnd) continue;
      else {
        await this.#turn();
        if (this.#onLongerRun && !this.#onLongRun) {
          await this.#warmUp(this.#onLongerRun);
          this.#onLongerRun = undefined;
        }
      }
      this.#turnEnd = performance.now() + TURN;
    }
  }

  /**
   * Runs up to an instruction count (a few more if it need not be exact), or shorter if there is something to do that is not the guest's.
   *
   * @returns What the guest sleeps for.
   */
  #burst(limit: number, exact: boolean): Promise<unknown> | undefined {
    const { cpu } = this, channel = this.#channel, backdoor = this.#backdoor;
    this.#credit = CALLS;
    while (this.#credit > 0) {
      const left = limit - cpu.instructions;
      if (left <= 0) return undefined;
      const why = cpu.run(left, exact);
      switch (why) {
        case Stop.LIMIT:
          return undefined;
        case Stop.UNTRANSLATED:
          return cpu.complete();
        case Trap.BACKDOOR:
        case Stop.HOOK: {
          let answer = this.#answer;
          this.#answer = 0;
          if (why === Stop.HOOK && channel && backdoor) {
            const { address, size, lo, hi } = this.#store;
            answer = channel.controlStore(backdoor, address, size, lo, hi);
            this.#credit--;
          }
          if (typeof answer !== "number") {
            this.#inCall = true;
            return answer;
          }
          cpu.finishTrap();
          if (answer !== 0) return undefined;
          break;
        }
        case Trap.SYSCALL: {
          cpu.finishTrap();
          const outcome = this.#linux.syscall();
          if (outcome instanceof Promise) {
            return outcome.then((value) => {
              this.#outcome ??= value;
            });
          }
          if (outcome) {
            this.#outcome = outcome;
            return undefined;
          }
          this.#credit -= SYSCALL_WEIGHT;
          break;
        }
        default:
          this.#outcome = this.#fault(why);
          return undefined;
      }
    }
    return undefined;
  }

  #drain(): void {
    if (this.#channel && this.#backdoor) this.#channel.drain(this.#backdoor);
  }

  /** Waits for what the guest sleeps for, or until somebody wakes it. */
  async #sleep(later: Promise<unknown>): Promise<void> {
    const start = performance.now();
    // The host gets what waits in rings now, not only when the guest goes on.
    this.#drain();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Not Promise.race: a wake promise as old as the machine would keep something of every wait.
    later.then(() => resolve(), reject);
    this.#wake = resolve;
    if (this.#aborted || this.#outcome) resolve();
    try {
      await promise;
    } finally {
      this.#wake = undefined;
      this.idleMilliseconds += performance.now() - start;
    }
    if (this.#inCall) this.cpu.finishTrap();
    this.#inCall = false;
  }

  /** Lets other tasks of this JavaScript process run: timers, input and output, signals. */
  async #turn(): Promise<void> {
    const start = performance.now();
    await new Promise<void>((resolve) => setTimeout(resolve, 0));
    this.idleMilliseconds += performance.now() - start;
  }

  async #warmUp(onLongRun: () => Promise<void>): Promise<void> {
    const start = performance.now();
    await onLongRun();
    this.idleMilliseconds += performance.now() - start;
  }

  /** Turns a trap of the CPU into the signal that Linux sends for it. */
  #fault(trap: number): Outcome | undefined {
    const linux = this.#linux, { cpu } = this;
    const pc = cpu.getRegister("pc"), address = cpu.faultAddress;
    switch (trap) {
      case Trap.FETCH_FAULT:
        return linux.segmentationFault(address, "fetch");
      case Trap.LOAD_FAULT:
        return linux.segmentationFault(address, "load");
      case Trap.STORE_FAULT:
        return linux.segmentationFault(address, "store");
      case Trap.MISALIGNED:
        return linux.fault(Signal.SIGBUS, SignalCode.BUS_ADRALN, address, {
          address,
          access: "load",
          why: "alignment",
        });
      case Trap.MISALIGNED_FETCH:
        return linux.fault(Signal.SIGBUS, SignalCode.BUS_ADRALN, address);
      case Trap.BREAKPOINT:
        return linux.fault(Signal.SIGTRAP, SignalCode.TRAP_BRKPT, pc);
      case Trap.ILLEGAL:
        return linux.fault(Signal.SIGILL, SignalCode.ILL_ILLOPC, pc);
      default:
        throw new Error(`Cannot handle trap ${trap} at pc 0x${pc.toString(16)}`);
    }
  }

  #end(outcome: Outcome): ProcessEnd {
    switch (outcome.kind) {
      case "exit":
        return { reason: "exit", status: outcome.status };
      case "deadlock":
        return { reason: "deadlock", message: outcome.message };
      case "signal": {
        const { signal, name, pc, address, message } = outcome;
        return {
          reason: "signal",
          status: 128 + signal,
          signal,
          name,
          pc,
          ...(address === undefined ? {} : { address }),
          ...(message === undefined ? {} : { message }),
          registers: this.#registerDump(),
        };
      }
    }
  }

  #registerDump(): string[] {
    const { cpu } = this, digits = cpu.isa.xlen / 4;
    const general = cpu.isa.registers.filter((register) => register.kind === "general");
    const cells = general.map(({ name }) =>
      `${name.padStart(4)} ${cpu.getRegister(name).toString(16).padStart(digits, "0")}`
    );
    const lines: string[] = [];
    for (let i = 0; i < cells.length; i += 4) lines.push(cells.slice(i, i + 4).join(" "));
    return lines;
  }

  /** Ends everything: last ring events, the callbacks' `fini`, open files. Further calls do nothing. */
  finish(): Promise<void> {
    return this.#finished ??= this.#finish();
  }

  async #finish(): Promise<void> {
    try {
      if (this.#channel && this.#backdoor) {
        await this.#channel.finish(this.#backdoor, this.#giveUp.signal);
      }
    } finally {
      this.#linux.close();
    }
  }
}
