/**
 * A machine: a guest program with the CPU, memory, operating system and backdoor around it.
 *
 * @module
 */
import { BackdoorModuleError } from "../backdoor/callbacks.ts";
import type { ErrorPolicy } from "../backdoor/channel.ts";
import { type ChannelGeometry, DEFAULT_BASE_PATH } from "../backdoor/protocol.ts";
import type { CallbackModule } from "../backdoor/types.ts";
import { UserCpu } from "../cpu/engine/user_cpu.ts";
import { ALL_PASSES, type PassOptions } from "../cpu/ir/block.ts";
import type { RegisterInfo } from "../cpu/isa/isa.ts";
import { AddressSpace } from "../mmu/address_space.ts";
import { Arena, CODE_OFFSET } from "../mmu/arena.ts";
import { nativeTier } from "./native.ts";
import { MachineError, readProgram } from "./program.ts";
import { type RunStats, tierFigures, tierShares } from "./stats.ts";
import { type InputSource, type OutputSink, streamsOf } from "./streams.ts";
import { targetOf, TARGETS } from "./targets.ts";
import { type Stored, Translations } from "./translations.ts";
import { HostError } from "./user/errno.ts";
import { ElfError, parseElf } from "./user/elf.ts";
import type { Host } from "./user/host.ts";
import { denoHost } from "./user/host_deno.ts";
import { isCodeAsLoaded, loadProgram } from "./user/loader.ts";
import { type Grant, parseDirOption } from "./user/paths.ts";
import { type ProcessEnd, UserProcess } from "./user/process.ts";

export { MachineError } from "./program.ts";
export type { InputSource, OutputSink } from "./streams.ts";

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
  tier?: "auto" | "interp" | "wasm" | "native";
  /** Directory for every WebAssembly module that is made and its listing, to debug the compiler. */
  dumpWasm?: string;
  /** Most C compilers at a time for the native tier; one fewer than the host has processors if absent. */
  jobs?: number;
  /** Optimisation passes to switch off, for debugging the translator; all are on if absent. */
  passes?: Partial<PassOptions>;
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
  /**
   * Directory for translated code, from which the next run of the same program takes it instead of translating it
   * anew; nothing is kept if absent or if permissions are missing.
   */
  cache?: string;
  /**
   * Whether {@linkcode MachineCpu.disassemble} is needed; true if absent. Without it a program whose translated code is
   * in {@linkcode UserMachineOptions.cache} starts sooner, because the translator is not loaded.
   */
  disassembly?: boolean;
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
export interface MachineStats extends RunStats {
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

/** The environment as the guest gets it. */
function environmentOf(env: Record<string, string>): string[] {
  return Object.entries(env).map(([name, value]) => {
    if (name !== "" && !name.includes("=")) return `${name}=${value}`;
    throw new MachineError(
      `Cannot set the environment variable ${
        JSON.stringify(name)
      }: names are not empty and have no "="`,
    );
  });
}

/**
 * A directory grant from an option. Where the current directory does not matter, Deno is not asked for it: that
 * needs a permission.
 *
 * @throws {RangeError} If the text has another form than `HOST[:GUEST][:ro]`.
 */
export function grantFromOption(text: string): Grant {
  const known = /^([A-Za-z]:)?[\\/]|:\//.test(text);
  return parseDirOption(text, known ? "/" : Deno.cwd());
}

/** The CPU as an embedder sees it. */
export interface MachineCpu {
  /** Guest instructions executed so far. */
  readonly instructions: number;
  /** Address of the next instruction, exact up to 2^53; `getRegister("pc")` is exact always. */
  pc: number;
  /** Reads a register by name ("a0", "x10", "fa0", "pc", "fcsr"...), unsigned. @throws {RangeError} For an unknown name. */
  getRegister(name: string): bigint;
  /** Writes a register by name, modulo its width. @throws {RangeError} For an unknown name. */
  setRegister(name: string, value: bigint | number): void;
  /** Describes a register. @throws {RangeError} For an unknown name. */
  register(name: string): RegisterInfo;
  /** A copy of all guest state but memory, to compare or keep. */
  snapshot(): BigInt64Array;
  /**
   * The instruction at a guest address: bytes, word and assembly text.
   *
   * @throws {Error} If {@linkcode UserMachineOptions.disassembly} is false.
   */
  disassemble(pc: number): { length: number; bits: number; text: string };
}

/** A guest and everything around it. Machines in one process don't disturb each other. */
export class Machine extends EventTarget {
  /** The CPU: registers, pc, instruction count, disassembly. */
  readonly cpu: MachineCpu;
  /** Guest memory. */
  readonly memory: AddressSpace;
  /** The program's name. */
  readonly name: string;
  readonly #process: UserProcess;
  readonly #closers: readonly (() => Promise<void>)[];
  /** Settles at the end of the run that is under way. */
  #running: Promise<void> | undefined;
  /** Whether somebody has ever listened for events: making one takes a while. */
  #listened = false;
  #seconds = 0;
  #result: RunResult | undefined;
  #finished: Promise<void> | undefined;

  /** @ignore Use {@linkcode Machine.user}. */
  constructor(name: string, process: UserProcess, closers: readonly (() => Promise<void>)[]) {
    super();
    this.name = name;
    this.cpu = process.cpu;
    this.memory = process.memory;
    this.#process = process;
    this.#closers = closers;
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
    const backdoorPath = options.backdoorPath ?? DEFAULT_BASE_PATH;
    if (!backdoorPath.startsWith("/")) {
      throw new MachineError(
        `Cannot put the backdoor's files at ${backdoorPath}: not an absolute path`,
      );
    }
    try {
      const elf = parseElf(bytes, name, TARGETS);
      const target = targetOf(elf);
      // What is executed once, or compiled before, has no use for earlier translations.
      const keeps = options.cache !== undefined && !options.trace && options.tier !== "wasm";
      // Stored records lie where they were.
      const variant = `${target.name} ${CODE_OFFSET} ${JSON.stringify(options.passes ?? "")}`;
      // Hashing takes as long as what is made meanwhile.
      const finding = keeps
        ? Translations.of(options.cache!, bytes, target.translator, variant, options.note)
        : undefined;
      // It is awaited, unless something else fails before.
      finding?.catch(() => {});
      const memory = new AddressSpace(new Arena(options.memory ?? 1 << 30));
      const base = denoHost(options.host);
      const { closers, ...streams } = streamsOf(options, base);
      const host: Host = { ...base, ...streams };
      const argv = [options.arg0 ?? name, ...options.args ?? []];
      const envp = environmentOf(options.env ?? {});
      for (const text of [...argv, ...envp]) {
        if (text.includes("\0")) {
          throw new MachineError(
            `Cannot give ${JSON.stringify(text)} to the program: it has a NUL`,
          );
        }
      }
      const { state, abi } = await target.load();
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
      const translations = await finding;
      const reading = translations?.read();
      const { trace, tier } = options;
      const instructionLine = trace && (await import("./trace.ts")).instructionLine;
      const cpu: UserCpu = new UserCpu(state, memory, {
        loadIsa: () => target.loadIsa(),
        seconds: () => host.clock.monotonic() / 1000,
        passes: { ...ALL_PASSES, ...options.passes },
        ...(tier === "wasm" || tier === "native" ? { heat: 0 } : {}),
        trace: trace && ((pc) => trace(instructionLine!(cpu, pc, 8))),
      });
      if (options.disassembly !== false || trace || tier === "native") await cpu.complete();
      const native = nativeTier(cpu, memory.arena, bytes, options);
      let stored: Stored | undefined;
      if (translations) {
        stored = await reading;
        if (stored && !cpu.restoreCode(stored.blocks)) await cpu.loadVectors();
        closers.push(async () => {
          const ran = native.used || stored?.native === true;
          const keep = ({ pc, bytes }: { pc: number; bytes: number }) =>
            isCodeAsLoaded(memory, elf, program.bias, pc, bytes);
          if (!cpu.cache.worthStoring(keep) && ran === (stored?.native ?? false)) return;
          await translations.write({ blocks: cpu.storeCode(keep), native: ran });
        });
      }
      let machine: Machine | undefined = undefined;
      const report = (message: string) => {
        (options.report ?? console.error)(message);
        (machine as Machine | undefined)?.dispatchEvent(
          new CustomEvent("report", { detail: message }),
        );
      };
      // Most programs need neither the backdoor nor the compiler, which would double the start-up of a small one.
      const addTier = async () => {
        const [{ WasmTier }] = await Promise.all([import("../cpu/wasm/tier.ts"), cpu.complete()]);
        const { dumpWasm } = options;
        const dump = dumpWasm === undefined
          ? {}
          : { dump: (await import("./dump.ts")).wasmDump(dumpWasm, cpu) };
        cpu.addTier((services) => new WasmTier(memory.arena, services, dump), "lower");
      };
      if (options.tier === "wasm") await addTier();
      if (options.tier === "native") await native.force();
      const backdoor = callbacks === undefined
        ? undefined
        : await (await import("./backdoor.ts")).openBackdoor(callbacks, memory, program, {
          geometry: options.backdoorGeometry,
          report,
          note: options.note,
          errors: options.backdoorErrors,
        });
      const strace = options.strace &&
        (await import("./user/strace.ts")).straceTo(options.strace);
      const process = new UserProcess({
        cpu,
        memory,
        abi,
        host,
        program,
        backdoor,
        ...((options.tier ?? "auto") === "auto"
          ? {
            onEarly: stored?.native ? native.resume : undefined,
            onLongRun: () => addTier().then(native.resume),
            onLongerRun: native.begin,
          }
          : {}),
        backdoorPath,
        grants: (options.dirs ?? []).map((dir) =>
          typeof dir === "string" ? grantFromOption(dir) : dir
        ),
        cwd: options.cwd ?? "/",
        signalled: options.signalled ?? false,
        exePath: name,
        exe: bytes,
        argv,
        envp,
        note: options.note ?? (() => {}),
        ...(strace ? { trace: strace } : {}),
      });
      await backdoor?.channel.start();
      const quietly = (close: () => Promise<void>) => () =>
        close().catch((error) => options.note?.(`At the guest's end: ${error}`));
      machine = new Machine(name, process, [...closers, native.close].map(quietly));
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
   * @throws {RangeError} If `maxInstructions` is neither a whole number from 0 on nor Infinity.
   */
  async run(
    maxInstructions = Infinity,
    options: { signal?: AbortSignal } = {},
  ): Promise<RunResult> {
    if (
      maxInstructions !== Infinity && !(Number.isInteger(maxInstructions) && maxInstructions >= 0)
    ) {
      throw new RangeError(
        `Cannot run ${maxInstructions} instructions: a whole number from 0 on, or Infinity, is possible`,
      );
    }
    if (this.#running) throw new Error("Cannot run the machine: it is running already");
    if (this.#result) {
      await this.#finished;
      return this.#result;
    }
    // Before the guest runs, as callbacks may look at it.
    const running = Promise.withResolvers<void>();
    this.#running = running.promise;
    try {
      return await this.#run(maxInstructions, options.signal);
    } finally {
      this.#running = undefined;
      running.resolve();
    }
  }

  async #run(maxInstructions: number, signal: AbortSignal | undefined): Promise<RunResult> {
    const process = this.#process;
    const start = performance.now(), idle = process.idleMilliseconds;
    let end: ProcessEnd;
    try {
      end = await process.run(maxInstructions, signal);
    } catch (cause) {
      // A bug of ours, or `report` threw: the callbacks' `fini` is due all the same.
      await this.#finish({ reason: "aborted", instructions: this.cpu.instructions });
      throw cause;
    } finally {
      this.#seconds += (performance.now() - start - (process.idleMilliseconds - idle)) / 1000;
    }
    const result: RunResult = { ...end, instructions: this.cpu.instructions };
    if (result.reason !== "limit") await this.#finish(result);
    return result;
  }

  #finish(result: RunResult): Promise<void> {
    this.#result ??= result;
    return this.#finished ??= this.#end(result);
  }

  async #end(result: RunResult): Promise<void> {
    await this.#process.finish();
    const closed = Promise.all(this.#closers.map((close) => close()));
    // A stream that nobody reads any longer must not keep an aborted machine.
    if (result.reason !== "aborted") await closed;
    if (this.#listened) this.dispatchEvent(new CustomEvent("end", { detail: result }));
  }

  /** Listens for an event; {@linkcode Machine.on} knows their types. */
  override addEventListener(...args: Parameters<EventTarget["addEventListener"]>): void {
    this.#listened = true;
    super.addEventListener(...args);
  }

  /**
   * Ends a guest that has not ended (callbacks get their `fini`, files are closed), also one that runs just now. While
   * a run is about to return anyway it does nothing.
   */
  async close(): Promise<void> {
    if (!this.#running) {
      await this.#finish({ reason: "aborted", instructions: this.cpu.instructions });
    } else if (!this.#result) {
      this.#process.abort();
      await this.#running;
    }
  }

  /**
   * Sends the guest a signal, as kill(1) would: its handler runs, or it ends. It needs
   * {@linkcode UserMachineOptions.signalled}. While the guest sleeps in a callback's Promise no handler can run: the
   * second time, any signal ends it. After the guest's end a signal ends the wait for callbacks of ring events.
   *
   * @param signal Number, such as 2 for SIGINT.
   * @throws {RangeError} If it is no number of a signal, 1 to 64.
   */
  raise(signal: number): void {
    if (!Number.isInteger(signal) || signal < 1 || signal > 64) {
      throw new RangeError(`Cannot raise signal ${signal}: 1 to 64 are possible`);
    }
    this.#process.raise(signal);
  }

  /** Closes the machine at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Asks the guest to end, before its next instruction if possible; the first wish counts.
   *
   * @param status Exit status, 0 to 255.
   * @throws {RangeError} If the status is another number.
   */
  stop(status = 0): void {
    if (!Number.isInteger(status) || status < 0 || status > 255) {
      throw new RangeError(`Cannot stop the guest with status ${status}: 0 to 255 are possible`);
    }
    this.#process.stop(status);
  }

  /** How the guest ended; undefined before. Callbacks' `fini` may still be under way. */
  get result(): RunResult | undefined {
    return this.#result;
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
    const { cpu } = this.#process, { instructions, cache } = cpu;
    const channel = this.#process.channelStats;
    return {
      instructions,
      seconds: this.#seconds,
      mips: this.#seconds > 0 ? instructions / this.#seconds / 1e6 : 0,
      tiers: tierShares(cpu, instructions),
      blocks: cache.translated,
      compiled: tierFigures(cpu),
      backdoor_calls: channel?.calls ?? 0,
      backdoor_events: channel?.events ?? 0,
    };
  }
}
