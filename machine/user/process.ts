/**
 * The run loop of user mode: one process, its CPU, its system calls and its backdoor.
 *
 * @module
 */
import type { BackdoorChannel, ChannelStats } from "../../backdoor/channel.ts";
import type { BackdoorCpu } from "../../backdoor/cpu.ts";
import { type Cpu, Stop } from "../../cpu/engine/cpu.ts";
import { Hooked } from "../../cpu/engine/slow_memory.ts";
import { Trap } from "../../cpu/ir/ops.ts";
import type { AddressSpace } from "../../mmu/address_space.ts";
import type { LinuxCpu } from "./abi.ts";
import { addBackdoorFiles } from "./backdoor_files.ts";
import { Linux, type LinuxOptions, type Outcome } from "./linux.ts";
import { Signal, SignalCode } from "./signals.ts";

/** What a process is made of. */
export interface ProcessOptions extends Omit<LinuxOptions, "cpu"> {
  /** The CPU, on the same memory. */
  cpu: Cpu;
  /** The backdoor; nobody answers without one. */
  channel: BackdoorChannel | undefined;
  /** Guest path of the channel's files. */
  backdoorPath: string;
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

/** Guest instructions between looks at the clock, at rings and at signals. */
const SLICE = 1_000_000;
/** Milliseconds after which other tasks of this JavaScript process get a turn. */
const TURN = 50;

const ABORTED: Outcome = { kind: "exit", status: 0 };

/** What remains of a callback's or embedder's wish to stop. */
interface StopRequest {
  status: number;
}

/** One guest process. */
export class UserProcess {
  readonly cpu: Cpu;
  readonly memory: AddressSpace;
  /** Milliseconds spent waiting, not running. */
  idleMilliseconds = 0;
  readonly #linux: Linux;
  readonly #channel: BackdoorChannel | undefined;
  readonly #backdoor: BackdoorCpu | undefined;
  #stop: StopRequest | undefined;
  #outcome: Outcome | undefined;
  #finished: Promise<void> | undefined;
  /** The store that made the control area's hook ask to leave. */
  #store = { address: 0, size: 0, lo: 0, hi: 0 };

  constructor(options: ProcessOptions) {
    const { cpu, memory, channel, program } = options;
    this.cpu = cpu;
    this.memory = memory;
    this.#channel = channel;
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
    cpu.setRegister("pc", program.entry);
    cpu.setRegister(options.abi.signalFrame.stackPointer, program.sp);
    if (channel) {
      this.#backdoor = channel.cpu({
        isa: cpu.isa,
        q: cpu.slots,
        r: cpu.words,
        hooks: {
          getPc: () => cpu.pc,
          setPc: (address) => cpu.setRegister("pc", address),
          instructions: () => cpu.instructions,
          stop: (status) => this.stop(status),
        },
      });
      cpu.storeHook = (address, size, lo, hi) => {
        if (!channel.areas.inControl(address)) return Hooked.NO;
        this.#store = { address, size, lo, hi };
        return Hooked.LEAVE;
      };
      addBackdoorFiles(this.#linux, channel, this.#backdoor, options.backdoorPath);
    }
  }

  /** Numbers of the channel, if there is one. */
  get channelStats(): ChannelStats | undefined {
    return this.#channel?.stats;
  }

  /** Asks the guest to end; the first wish counts. */
  stop(status: number): void {
    this.#stop ??= { status };
    this.#linux.cancel({ kind: "exit", status });
  }

  /** Runs until the guest ends, `maxInstructions` are executed, or the signal is aborted. */
  async run(maxInstructions: number, signal?: AbortSignal): Promise<ProcessEnd> {
    const { promise: aborted, resolve: abort } = Promise.withResolvers<void>();
    const onAbort = () => {
      this.#linux.cancel(ABORTED);
      abort();
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await this.#loop(maxInstructions, signal, aborted);
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async #loop(
    maxInstructions: number,
    signal: AbortSignal | undefined,
    aborted: Promise<void>,
  ): Promise<ProcessEnd> {
    const { cpu } = this, channel = this.#channel, backdoor = this.#backdoor;
    const end = cpu.instructions + maxInstructions;
    let turn = performance.now() + TURN;
    for (;;) {
      if (signal?.aborted) return { reason: "aborted" };
      if (this.#stop) return { reason: "stopped", status: this.#stop.status };
      if (this.#outcome) return this.#end(this.#outcome);
      const left = end - cpu.instructions;
      if (left <= 0) return { reason: "limit" };
      const why = cpu.run(Math.min(left, SLICE));
      let later: Promise<unknown> | undefined;
      switch (why) {
        case Stop.LIMIT: {
          if (channel && backdoor) channel.drain(backdoor);
          if (this.#linux.poll()) this.#outcome = this.#linux.deliver();
          if (performance.now() >= turn) {
            await new Promise<void>((resolve) => setTimeout(resolve, 0));
            turn = performance.now() + TURN;
          }
          continue;
        }
        case Trap.BACKDOOR:
          if (channel && backdoor) {
            const answer = channel.instruction(backdoor);
            if (typeof answer !== "number") later = answer;
          }
          break;
        case Stop.HOOK:
          if (channel && backdoor) {
            const { address, size, lo, hi } = this.#store;
            const answer = channel.controlStore(backdoor, address, size, lo, hi);
            if (typeof answer !== "number") later = answer;
          }
          break;
        case Trap.SYSCALL: {
          cpu.finishTrap();
          const outcome = this.#linux.syscall();
          if (outcome instanceof Promise) {
            later = outcome.then((value) => {
              this.#outcome = value;
            });
          } else this.#outcome = outcome;
          break;
        }
        default:
          this.#outcome = this.#fault(why);
      }
      if (later) {
        const start = performance.now();
        await Promise.race([later, aborted]);
        this.idleMilliseconds += performance.now() - start;
        turn = performance.now() + TURN;
      }
      if (why === Trap.BACKDOOR || why === Stop.HOOK) cpu.finishTrap();
    }
  }

  /** Turns a trap of the CPU into the signal that Linux sends for it. */
  #fault(trap: number): Outcome | undefined {
    const linux = this.#linux, { cpu } = this;
    const pc = cpu.getRegister("pc");
    switch (trap) {
      case Trap.FETCH_FAULT:
      case Trap.LOAD_FAULT:
      case Trap.STORE_FAULT:
        return linux.segmentationFault(cpu.faultAddress);
      case Trap.MISALIGNED:
        return linux.fault(Signal.SIGBUS, SignalCode.BUS_ADRALN, cpu.faultAddress);
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
      if (this.#channel && this.#backdoor) await this.#channel.finish(this.#backdoor);
    } finally {
      this.#linux.close();
    }
  }
}
