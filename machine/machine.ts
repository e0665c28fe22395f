/**
 * A machine: a guest program with the CPU, memory, operating system and backdoor around it.
 *
 * @module
 */
import { BackdoorChannel, type ErrorPolicy } from "../backdoor/channel.ts";
import { areasFrom, channelLayout } from "../backdoor/layout.ts";
import { BackdoorModuleError } from "../backdoor/callbacks.ts";
import { loadCallbacks } from "../backdoor/loader.ts";
import { type ChannelGeometry, DEFAULT_BASE_PATH, DEFAULT_GEOMETRY } from "../backdoor/protocol.ts";
import type { CallbackModule } from "../backdoor/types.ts";
import { Cpu } from "../cpu/engine/cpu.ts";
import type { PassOptions } from "../cpu/ir/builder.ts";
import { AddressSpace } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import { TARGETS } from "./targets.ts";
import { HostError } from "./user/errno.ts";
import { ElfError, parseElf } from "./user/elf.ts";
import type { Host, HostInput, HostOutput } from "./user/host.ts";
import { denoHost } from "./user/host_deno.ts";
import { loadProgram } from "./user/loader.ts";
import { type Grant, parseDirOption } from "./user/paths.ts";
import { type ProcessEnd, UserProcess } from "./user/process.ts";
import {
  emptyInput,
  inputFromBytes,
  inputFromStream,
  outputToCallback,
  outputToStream,
} from "./user/streams.ts";

/** What can't be run, and why: the message is for users. */
export class MachineError extends Error {
  override name = "MachineError";
}

/** Where the guest's input comes from: this process' own, nothing, bytes, text or a stream. */
export type InputSource = "inherit" | "null" | Uint8Array | string | ReadableStream<Uint8Array>;

/** Where the guest's output goes: this process' own, nowhere, a callback or a stream. */
export type OutputSink =
  | "inherit"
  | "null"
  | ((bytes: Uint8Array<ArrayBuffer>) => void | Promise<void>)
  | WritableStream<Uint8Array>;

/** How to make a machine that runs one program in user mode. */
export interface UserMachineOptions {
  /** The executable: a path, a URL (`file:`, `https:`, `data:`...) or its bytes. */
  program: string | URL | Uint8Array;
  /** Arguments after the program's name. */
  args?: string[];
  /** What the program sees as its name; its path if absent. */
  arg0?: string;
  /** Environment; empty if absent. */
  env?: Record<string, string>;
  /** Host directories that the guest may use: `HOST[:GUEST][:ro]` or objects; none if absent. */
  dirs?: (string | Grant)[];
  /** Guest working directory; "/" if absent. */
  cwd?: string;
  /** Standard input; "null" if absent. */
  stdin?: InputSource;
  /** Standard output; "inherit" if absent. */
  stdout?: OutputSink;
  /** Standard error; "inherit" if absent. */
  stderr?: OutputSink;
  /** Callback module: a path or URL, or the callbacks themselves. Without it, nobody answers the backdoor. */
  backdoor?: string | URL | CallbackModule;
  /** Guest path of the mapped channel's files; "/dev/trapdoor" if absent. */
  backdoorPath?: string;
  /** After an error in a callback; "report" if absent. */
  backdoorErrors?: ErrorPolicy;
  /** Clients and sizes of the channel. */
  backdoorGeometry?: ChannelGeometry;
  /** Bytes of guest memory, less than 2 GiB; 1 GiB if absent. Host memory is used as the guest touches it. */
  memory?: number;
  /** Executor; "auto" if absent. */
  tier?: "auto" | "interp";
  /** Optimisation passes, for debugging the translator. */
  passes?: PassOptions;
  /** Gets each instruction as text before it is executed (slow). */
  trace?: (line: string) => void;
  /** Gets each system call as text. */
  strace?: (line: string) => void;
  /** Gets errors of callbacks, with stacks; `console.error` if absent. */
  report?: (message: string) => void;
  /** Gets, once each, what the guest asked for and could not get. */
  note?: (message: string) => void;
  /**
   * Whether {@linkcode Machine.raise} may be called, so that a guest that waits for ever is not taken for deadlocked
   * and reads standard input without blocking the event loop; false if absent.
   */
  signalled?: boolean;
  /** Parts of the host to replace: clock, random numbers, files. */
  host?: Partial<Host>;
}

/** How a run ended, and where the guest stands. */
export type RunResult =
  & {
    /** Guest instructions executed since the machine was made. */
    instructions: number;
  }
  & (
    | {
      /** The guest ended by itself, or a callback stopped it ("stopped"). */
      reason: "exit" | "stopped";
      /** Exit status, 0 to 255. */
      status: number;
    }
    | {
      /** A signal killed the guest. */
      reason: "signal";
      /** 128 + signal, as shells have it. */
      status: number;
      /** Signal number and name. */
      signal: number;
      name: string;
      /** Guest address of the instruction. */
      pc: bigint;
      /** Address of the fault, if it was one. */
      address?: bigint;
      /** What more there is to say. */
      message?: string;
      /** Registers, a line each for four of them. */
      registers: string[];
    }
    | {
      /** The limit of instructions is reached (the guest can go on), or the signal was aborted. */
      reason: "limit" | "aborted";
    }
    | {
      /** The guest waits for what can't happen. */
      reason: "deadlock";
      message: string;
    }
  );

/** Figures of a machine; keys as `--stats=json` prints them. */
export interface MachineStats {
  /** Guest instructions executed. */
  instructions: number;
  /** Seconds of host time in `run`, waiting excluded. */
  seconds: number;
  /** Millions of guest instructions a second. */
  mips: number;
  /** Share of instructions executed by each tier, 0 to 1. */
  tiers: Record<string, number>;
  /** Blocks translated. */
  blocks: number;
  /** Calls that reached the callbacks. */
  backdoor_calls: number;
  /** Ring events that reached the callbacks. */
  backdoor_events: number;
}

/** Details of the events that a machine dispatches. */
export interface MachineEventMap {
  /** The guest has ended; `detail` is the result. */
  end: CustomEvent<RunResult>;
  /** A callback threw, or answered with nonsense; `detail` is the text. */
  report: CustomEvent<string>;
}

/** The guest's standard streams, and what closes those that are web streams. */
interface Streams {
  stdin: HostInput;
  stdout: HostOutput;
  stderr: HostOutput;
  closers: (() => Promise<void>)[];
}

function streamsOf(options: UserMachineOptions, host: Host): Streams {
  const closers: Streams["closers"] = [];
  const opened = new Map<WritableStream<Uint8Array>, HostOutput>();
  const output = (sink: OutputSink | undefined, inherited: HostOutput): HostOutput => {
    if (sink === undefined || sink === "inherit") return inherited;
    if (sink === "null") return { write: () => {} };
    if (!(sink instanceof WritableStream)) return outputToCallback(sink);
    // Standard output and error may be one stream, which has one writer.
    const known = opened.get(sink);
    if (known) return known;
    const { close, ...made } = outputToStream(sink);
    opened.set(sink, made);
    closers.push(close);
    return made;
  };
  const input = (source: InputSource | undefined): HostInput => {
    if (source === undefined || source === "null") return emptyInput;
    if (source === "inherit") return host.stdin;
    if (!(source instanceof ReadableStream)) return inputFromBytes(source);
    const { close, ...made } = inputFromStream(source);
    closers.push(close);
    return made;
  };
  return {
    stdin: input(options.stdin),
    stdout: output(options.stdout, host.stdout),
    stderr: output(options.stderr, host.stderr),
    closers,
  };
}

/** Why a path can't be run, if that is to be seen without reading it. */
function unreadable(info: Deno.FileInfo): string | undefined {
  if (info.isDirectory) return "it is a directory";
  return info.isCharDevice || info.isBlockDevice ? "it is a device" : undefined;
}

/** Reads the program; names are for messages and argv[0]. */
async function readProgram(
  program: string | URL | Uint8Array,
): Promise<{ bytes: Uint8Array; name: string }> {
  if (program instanceof Uint8Array) return { bytes: program, name: "program" };
  const shown = String(program);
  const fail = (why: string, cause?: unknown): never => {
    const file = shown.length > 200 ? `${shown.slice(0, 200)}...` : shown;
    throw new MachineError(`Cannot read the program ${file}: ${why}`, { cause });
  };
  try {
    const isUrl = program instanceof URL || /^(file|https?|data|blob):/.test(program);
    const url = isUrl ? new URL(program) : undefined;
    if (url === undefined || url.protocol === "file:") {
      const path = url ?? shown;
      const why = unreadable(await Deno.stat(path));
      if (why !== undefined) fail(why);
      return { bytes: await Deno.readFile(path), name: url?.pathname ?? shown };
    }
    const response = await fetch(url);
    if (!response.ok) {
      await response.body?.cancel();
      fail(`the server answered ${response.status} ${response.statusText}`.trim());
    }
    const name = url.protocol === "data:" ? "program" : url.pathname;
    return { bytes: new Uint8Array(await response.arrayBuffer()), name };
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable || cause instanceof MachineError) throw cause;
    if (cause instanceof Deno.errors.NotFound) return fail("there is no such file", cause);
    // Deno's messages go on with the operation and the path.
    const message = cause instanceof Error ? cause.message : String(cause);
    return fail(message.replace(/: \w+ '.*'$/s, ""), cause);
  }
}

/** A directory grant from an option; the current directory is asked for only if it is needed. */
function grantOf(dir: string | Grant): Grant {
  if (typeof dir !== "string") return dir;
  const first = parseDirOption(dir, "/"), absolute = /^([A-Za-z]:)?[\\/]/.test(dir);
  const named = first.guest !== parseDirOption(dir, "/.").guest;
  return absolute || named ? first : parseDirOption(dir, Deno.cwd());
}

/** A guest and everything around it. Machines in one process don't disturb each other. */
export class Machine extends EventTarget {
  /** The CPU: registers, pc, instruction count, disassembly. */
  readonly cpu: Cpu;
  /** Guest memory. */
  readonly memory: AddressSpace;
  /** The program's name. */
  readonly name: string;
  readonly #process: UserProcess;
  #running = false;
  #seconds = 0;
  #result: RunResult | undefined;

  /** @ignore Use {@linkcode Machine.user}. */
  constructor(name: string, process: UserProcess) {
    super();
    this.name = name;
    this.cpu = process.cpu;
    this.memory = process.memory;
    this.#process = process;
  }

  /**
   * Makes a machine that runs one program in user mode.
   *
   * @throws {MachineError} If the program or the callback module can't be used; the message says why.
   *
   * @example
   * ```ts
   * import { Machine } from "./machine.ts";
   *
   * const program = new URL("../guest/bin/riscv64/hello", import.meta.url);
   * const machine = await Machine.user({ program, stdout: "null" });
   * console.log((await machine.run()).reason); // "exit"
   * ```
   */
  static async user(options: UserMachineOptions): Promise<Machine> {
    const { bytes, name } = await readProgram(options.program);
    const callbacks = options.backdoor;
    try {
      const elf = parseElf(bytes, name, TARGETS);
      const target = TARGETS.find((t) => t.machine === elf.machine && t.class === elf.class)!;
      const memory = new AddressSpace(new Arena(options.memory ?? 1 << 30));
      const base = denoHost(options.host);
      const host: Host = {
        ...base,
        stdin: inputOf(options.stdin, base.stdin),
        stdout: outputOf(options.stdout, base.stdout),
        stderr: outputOf(options.stderr, base.stderr),
      };
      const argv = [options.arg0 ?? name, ...options.args ?? []];
      const envp = Object.entries(options.env ?? {}).map(([key, value]) => `${key}=${value}`);
      const { abi } = target;
      const program = loadProgram(memory, elf, {
        argv,
        envp,
        execfn: name,
        hwcap: abi.hwcap,
        ...(abi.hwcap2 === undefined ? {} : { hwcap2: abi.hwcap2 }),
        ...(abi.platform === undefined ? {} : { platform: abi.platform }),
        random: (buffer) => host.random(buffer as Uint8Array<ArrayBuffer>),
        ...(host.uid === undefined ? {} : { uid: host.uid }),
        ...(host.gid === undefined ? {} : { gid: host.gid }),
      });
      const trace = options.trace;
      const cpu: Cpu = new Cpu(target.isa(), memory, {
        seconds: () => host.clock.monotonic() / 1000,
        ...(options.passes ? { passes: options.passes } : {}),
        trace: trace && ((pc) => {
          const { bits, length, text } = cpu.disassemble(pc);
          const word = (bits >>> 0).toString(16).padStart(length * 2, "0");
          trace(`${pc.toString(16).padStart(8, "0")}: ${word.padEnd(8)}  ${text}`);
        }),
      });
      let machine: Machine | undefined = undefined;
      const report = (message: string) => {
        (options.report ?? console.error)(message);
        (machine as Machine | undefined)?.dispatchEvent(
          new CustomEvent("report", { detail: message }),
        );
      };
      let channel: BackdoorChannel | undefined;
      if (callbacks !== undefined) {
        const geometry = options.backdoorGeometry ?? DEFAULT_GEOMETRY;
        const layout = channelLayout(geometry);
        const size = layout.configSize + layout.controlSize + layout.dataSize;
        const start = memory.findFree(size, program.brkStart, program.mmapEnd);
        if (start === undefined) {
          throw new MachineError(
            `Cannot place the backdoor's areas (${size} bytes): guest memory is full; give more with --memory`,
          );
        }
        channel = new BackdoorChannel({
          memory,
          addresses: areasFrom(start, layout),
          geometry,
          callbacks: await loadCallbacks(callbacks),
          report,
          note: options.note ?? (() => {}),
          errors: options.backdoorErrors ?? "report",
        });
      }
      const process = new UserProcess({
        cpu,
        memory,
        abi,
        host,
        program,
        channel,
        backdoorPath: options.backdoorPath ?? DEFAULT_BASE_PATH,
        grants: (options.dirs ?? []).map((dir) =>
          typeof dir === "string" ? parseDirOption(dir, Deno.cwd()) : dir
        ),
        cwd: options.cwd ?? "/",
        exePath: name,
        exe: bytes,
        argv,
        envp,
        note: options.note ?? (() => {}),
        ...(options.strace ? { trace: options.strace } : {}),
      });
      await channel?.start();
      machine = new Machine(name, process);
      return machine;
    } catch (cause) {
      const known = [ElfError, BackdoorModuleError, HostError, RangeError];
      if (cause instanceof Error && known.some((type) => cause instanceof type)) {
        throw new MachineError(cause.message, { cause });
      }
      throw cause;
    }
  }

  /**
   * Runs the guest.
   *
   * @param maxInstructions Stop after so many guest instructions, counted exactly; no limit if absent.
   * @param options `signal` ends the run when aborted; the guest can't go on afterwards.
   * @returns How it ended. After "limit" it can be called again; after any other end it returns the same result.
   * @throws {Error} If it is running already.
   */
  async run(
    maxInstructions = Infinity,
    options: { signal?: AbortSignal } = {},
  ): Promise<RunResult> {
    if (this.#result) return this.#result;
    if (this.#running) throw new Error("Cannot run the machine: it is running already");
    this.#running = true;
    const start = performance.now(), idle = this.#process.idleMilliseconds;
    let end: ProcessEnd;
    try {
      end = await this.#process.run(maxInstructions, options.signal);
    } finally {
      this.#running = false;
      this.#seconds += (performance.now() - start - (this.#process.idleMilliseconds - idle)) / 1000;
    }
    const result: RunResult = { ...end, instructions: this.cpu.instructions };
    if (result.reason !== "limit") await this.#finish(result);
    return result;
  }

  async #finish(result: RunResult): Promise<void> {
    this.#result = result;
    await this.#process.finish();
    this.dispatchEvent(new CustomEvent("end", { detail: result }));
  }

  /** Ends a guest that has not ended (callbacks get their `fini`, files are closed). */
  async close(): Promise<void> {
    if (this.#result === undefined) {
      await this.#finish({ reason: "aborted", instructions: this.cpu.instructions });
    }
  }

  /** Closes the machine at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Asks a running guest to end with an exit status (0 to 255), before its next instruction if possible. */
  stop(status = 0): void {
    this.#process.stop(status);
  }

  /** Listens for an event; see {@linkcode MachineEventMap}. */
  on<K extends keyof MachineEventMap>(
    type: K,
    listener: (event: MachineEventMap[K]) => void,
  ): void {
    this.addEventListener(type, listener as EventListener);
  }

  /** Figures so far. */
  stats(): MachineStats {
    const { instructions, cache } = this.cpu;
    const channel = this.#process.channelStats;
    return {
      instructions,
      seconds: this.#seconds,
      mips: this.#seconds > 0 ? instructions / this.#seconds / 1e6 : 0,
      tiers: { interp: 1 },
      blocks: cache.translated,
      backdoor_calls: channel?.calls ?? 0,
      backdoor_events: channel?.events ?? 0,
    };
  }
}
