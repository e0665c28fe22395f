/**
 * A whole machine: a board with its harts, memory and devices, and what runs on it.
 *
 * @module
 */
import { BackdoorModuleError } from "../../backdoor/callbacks.ts";
import { MAX_HARTS } from "../../mmu/softmmu.ts";
import { MachineError, readProgram } from "../program.ts";
import { tierFigures, tierShares } from "../stats.ts";
import { streamsOf } from "../streams.ts";
import { ElfError } from "../user/elf.ts";
import { denoHost } from "../user/host_deno.ts";
import { assemble, type Assembly, type Parts, type SystemTierFactory } from "./assembly.ts";
import { planBackdoor } from "./backdoor.ts";
import { type BootImages, type Image, unpack, xlenOf } from "./boot.ts";
import { Console } from "./console.ts";
import type { Finish } from "./devices/finisher.ts";
import { type Drive, openDrive } from "./drive.ts";
import type {
  SystemLoadOptions,
  SystemMachineCpu,
  SystemMachineOptions,
  SystemResult,
  SystemStats,
} from "./options.ts";
import { Peripherals } from "./peripherals.ts";
import { fromFileUrl, machineState, openSource, readMade, restoreMachine } from "./saved.ts";
import { type OpenedSnapshot, openSnapshot, SnapshotError, writeSnapshot } from "./snapshot.ts";
import { StateError } from "./state.ts";
import { Turns } from "./turns.ts";

export type {
  SystemLoadOptions,
  SystemMachineCpu,
  SystemMachineOptions,
  SystemResult,
  SystemStats,
} from "./options.ts";

/** Milliseconds until other tasks of this process get a turn, input among them: if any are expected, and else. */
const TURN = 20, QUIET_TURN = 50;

type Source = string | URL | Uint8Array;

async function readImage(source: Source): Promise<Image> {
  return await unpack(await readProgram(source));
}

/** Instructions executed in compiled code until the native tier is loaded. */
const LONG_RUN = 2_000_000_000;

/** The wasm tier, loaded only if it is wanted. */
async function tierOf(
  { tier, dumpWasm }: Pick<SystemMachineOptions, "tier" | "dumpWasm">,
): Promise<SystemTierFactory | undefined> {
  if (tier === "interp" || tier === "native") return undefined;
  const { WasmTier } = await import("../../cpu/wasm/tier.ts");
  if (dumpWasm === undefined) return { Tier: WasmTier, options: () => ({}) };
  const { wasmDump } = await import("../dump.ts");
  return { Tier: WasmTier, options: (cpu) => ({ dump: wasmDump(dumpWasm, cpu) }) };
}

/** A machine in system mode. */
export class SystemMachine {
  /** The board's name. */
  readonly name = "virt";
  readonly #parts: Parts;
  readonly #closers: readonly (() => Promise<void>)[];
  #assembly: Assembly;
  /** Whether the board's native tier was asked for, or never will be. */
  #nativeBegun = false;
  readonly #turns: Turns;
  #finish: Finish | undefined;
  #stopStatus: number | undefined;
  #aborted = false;
  #result: SystemResult | undefined;
  #running = false;
  /** Instructions of boards before the last restart. */
  #past = 0;
  /** Snapshots that wait for the run loop. */
  readonly #saves: (() => Promise<void>)[] = [];
  #seconds = 0;

  /** @ignore Use {@linkcode SystemMachine.create}. */
  private constructor(
    parts: Omit<Parts, "host" | "console" | "xlen">,
    fresh: boolean,
  ) {
    const { options, images, peripherals } = parts;
    const base = denoHost(options.host);
    const { closers, ...streams } = streamsOf(options, base);
    this.#closers = closers;
    const host = { ...base, ...streams };
    const terminal = options.stdin === "inherit" && host.stdin.isTerminal?.() === true;
    const console = new Console(host.stdin, host.stdout, terminal);
    const xlen = xlenOf(images, options.xlen);
    this.#parts = { ...parts, host, console, xlen };
    this.#assembly = this.#assemble(fresh);
    // deno-lint-ignore no-this-alias
    const machine = this;
    this.#turns = new Turns({
      ...{ console, peripherals, exact: options.icount ?? false },
      get assembly() {
        return machine.#assembly;
      },
      get instructions() {
        return machine.instructions;
      },
      get finishing() {
        return machine.#finish !== undefined;
      },
      get stopping() {
        return machine.#aborted || machine.#stopStatus !== undefined;
      },
    });
    peripherals.onActivity = () => this.#turns.wake();
    console.onInput = () => this.#turns.wake();
    console.onQuit = () => this.stop(0);
    console.onSave = () => this.onSaveKey();
  }

  #assemble(fresh: boolean): Assembly {
    const { tier = "auto" } = this.#parts.options;
    this.#nativeBegun = tier !== "auto";
    return assemble(
      this.#parts,
      {
        finish: (how) => {
          this.#finish ??= how;
          this.#assembly.board.cpu.requestLeave();
        },
        stop: (status) => this.stop(status),
        save: (path) => this.save(path),
        instructions: () => this.instructions,
      },
      fresh,
    );
  }

  /**
   * Makes a machine.
   *
   * @throws {MachineError} If firmware, kernel or disks can't be used; the message says why.
   *
   * @example
   * ```ts
   * import { SystemMachine } from "./machine.ts";
   *
   * // An endless loop in M-mode: j .
   * const program = new Uint8Array([0x6f, 0, 0, 0]);
   * const machine = await SystemMachine.create({ bios: "none", kernel: program });
   * console.log((await machine.run(1000)).reason); // "limit"
   * ```
   */
  static async create(options: SystemMachineOptions): Promise<SystemMachine> {
    const { harts = 1, bios, drives = [] } = options;
    if (!(Number.isInteger(harts) && harts >= 1 && harts <= MAX_HARTS)) {
      throw new MachineError(`Cannot make ${harts} harts: 1 to ${MAX_HARTS} are possible`);
    }
    if (bios === "none" && options.kernel === undefined) {
      throw new MachineError("Cannot start a machine without firmware: there is no program either");
    }
    if (bios === undefined && options.kernel === undefined) {
      throw new MachineError("Cannot start a machine: there is neither a kernel nor firmware");
    }
    const read = (source: Source | undefined) =>
      source === undefined ? undefined : readImage(source);
    const images: BootImages = {
      bios: bios === "none" ? bios : await read(bios),
      kernel: await read(options.kernel),
      // The kernel unpacks its RAM disk itself.
      initrd: options.initrd === undefined ? undefined : await readProgram(options.initrd),
      append: options.append,
    };
    const opened: Drive[] = [];
    let peripherals: Peripherals | undefined;
    try {
      for (const drive of drives) {
        opened.push(typeof drive === "string" ? await openDrive(drive) : drive);
      }
      const plan = options.backdoor === undefined
        ? undefined
        : await planBackdoor(options.backdoor, options.backdoorGeometry);
      peripherals = await Peripherals.open(options);
      const tier = await tierOf(options);
      const machine = new SystemMachine(
        { options, images, drives: opened, plan, tier, peripherals },
        true,
      );
      await machine.#forceNative();
      await machine.#assembly.backdoor?.channel.start();
      return machine;
    } catch (cause) {
      for (const drive of opened) drive.close();
      peripherals?.close();
      const known = [ElfError, RangeError, BackdoorModuleError];
      if (cause instanceof Error && known.some((type) => cause instanceof type)) {
        throw new MachineError(cause.message, { cause });
      }
      throw cause;
    }
  }

  /**
   * Makes a machine that goes on where another one was saved by {@linkcode save}.
   *
   * @param from Path, URL or content of the snapshot.
   * @param options What is not in it. There must be as many disks of the same sizes, and a backdoor if it had one.
   * @throws {MachineError} If it can't be read, is no snapshot, of another version, truncated or damaged, or if the
   * options don't fit.
   */
  static async load(
    from: string | URL | Uint8Array,
    options: SystemLoadOptions = {},
  ): Promise<SystemMachine> {
    const { name, stream } = await openSource(from);
    const opened: Drive[] = [];
    const snapshot = await openSnapshot(stream, name);
    let machine: SystemMachine | undefined, peripherals: Peripherals | undefined;
    try {
      for (const drive of options.drives ?? []) {
        opened.push(typeof drive === "string" ? await openDrive(drive) : drive);
      }
      const { made, images, geometry } = readMade(snapshot.tree, opened, options);
      const { backdoor } = options;
      const plan = backdoor !== undefined && geometry
        ? await planBackdoor(backdoor, geometry)
        : undefined;
      const all = { ...options, ...made };
      peripherals = await Peripherals.open(options);
      const tier = await tierOf(options);
      machine = new SystemMachine(
        { options: all, images, drives: opened, plan, tier, peripherals },
        false,
      );
      await machine.#forceNative();
      await machine.#restore(snapshot);
      await machine.#assembly.backdoor?.channel.start();
      return machine;
    } catch (cause) {
      await snapshot.close();
      peripherals?.close();
      for (const drive of opened) drive.close();
      const known = [StateError, RangeError, BackdoorModuleError, SnapshotError];
      if (cause instanceof Error && known.some((type) => cause instanceof type)) {
        const what = `Cannot load the snapshot ${name}: `;
        const message = cause.message.startsWith(what) ? cause.message : what + cause.message;
        throw new MachineError(message, { cause });
      }
      throw cause;
    }
  }

  async #restore({ tree, load }: OpenedSnapshot): Promise<void> {
    const { bus, harts } = this.#assembly.board;
    this.#parts.peripherals.check(tree.at("peripherals"));
    await load(bus.ram.arena.m8.subarray(0, bus.ram.size));
    restoreMachine(tree, this.#parts, this.#assembly);
    this.#past = tree.at("past").number();
    this.#turns.restore(tree.at("turns"), harts.length);
  }

  /**
   * Saves the machine in a file, from which {@linkcode load} makes one that goes on in the same way: harts, memory,
   * devices, what was loaded, changes of disks opened with `:snapshot`. Not saved: the content of other disks, and what
   * callback modules keep to themselves. While the machine runs it is done before the next instruction.
   *
   * @throws {MachineError} If the file can't be written, or the machine has ended.
   *
   * @example
   * ```ts
   * import { SystemMachine } from "./machine.ts";
   *
   * const program = new Uint8Array([0x6f, 0, 0, 0]);
   * const machine = await SystemMachine.create({ bios: "none", kernel: program, icount: true });
   * await machine.run(1000);
   * const path = await Deno.makeTempFile();
   * await machine.save(path);
   * const again = await SystemMachine.load(path);
   * console.log(again.instructions === machine.instructions); // true
   * await Deno.remove(path);
   * ```
   */
  async save(path: string | URL): Promise<void> {
    const name = path instanceof URL ? fromFileUrl(path) : path;
    const write = async () => {
      if (this.#result) {
        throw new SnapshotError(`Cannot write the snapshot ${name}: the machine has ended`);
      }
      // Who takes it up again should see no byte twice.
      await this.#parts.console.flush();
      const { ram } = this.#assembly.board.bus;
      const state = machineState(name, this.#parts, this.#assembly, {
        past: this.#past,
        turns: this.#turns.save(),
      });
      await writeSnapshot(name, state, ram.arena.m8.subarray(0, ram.size));
    };
    if (!this.#running) return await write();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#saves.push(() => write().then(resolve, reject));
    this.#assembly.board.cpu.requestLeave();
    this.#turns.wake();
    await promise;
  }

  /** Has everything compiled to native code, if that is wanted. @throws {MachineError} If there is no native tier. */
  async #forceNative(): Promise<void> {
    if (this.#parts.options.tier === "native") await this.#assembly.native.force();
  }

  /** Called when the console's user wants a snapshot (Ctrl-A s); does nothing unless it is replaced. */
  onSaveKey: () => void = () => {};

  /** The CPU: registers of the hart that ran last, disassembly. */
  get cpu(): SystemMachineCpu {
    return this.#assembly.board.cpu;
  }

  /** Ports of the host that lead to the guest, in the order of the network's forwards. */
  get forwarded(): readonly number[] {
    return this.#parts.peripherals.forwarded;
  }

  /** Guest instructions executed so far, by all harts. */
  get instructions(): number {
    return this.#past + this.#assembly.board.cpu.instructions;
  }

  /** Seconds of host time in {@linkcode run}. */
  get seconds(): number {
    return this.#seconds;
  }

  /** Figures so far. */
  stats(): SystemStats {
    const { cpu, bus } = this.#assembly.board, { cache } = cpu, { instructions } = this;
    return {
      instructions,
      seconds: this.#seconds,
      mips: this.#seconds > 0 ? instructions / this.#seconds / 1e6 : 0,
      tiers: tierShares(cpu, instructions),
      blocks: cache.translated,
      compiled: tierFigures(cpu),
      tlb_misses: cpu.tlbMisses,
      device_accesses: bus.accesses,
    };
  }

  /** How the machine ended; undefined before. */
  get result(): SystemResult | undefined {
    return this.#result;
  }

  /**
   * Ends the machine, as if it were switched off; the first wish counts.
   *
   * @param status Exit status, 0 to 255.
   */
  stop(status = 0): void {
    this.#stopStatus ??= status;
    this.#assembly.board.cpu.requestLeave();
    this.#turns.wake();
  }

  /**
   * Runs the machine.
   *
   * @param maxInstructions Stop after so many instructions, or a few more; no limit if absent.
   * @param options `signal` ends the run when aborted; the machine can't go on afterwards.
   * @returns How it ended. After "limit" it can be called again; after any other end it returns the same result.
   * @throws {Error} If it is running already.
   */
  async run(
    maxInstructions = Infinity,
    options: { signal?: AbortSignal } = {},
  ): Promise<SystemResult> {
    if (this.#running) throw new Error("Cannot run the machine: it is running already");
    if (this.#result) return this.#result;
    const { signal } = options;
    const onAbort = () => {
      this.#aborted = true;
      this.#assembly.board.cpu.requestLeave();
      this.#turns.wake();
    };
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#running = true;
    const start = performance.now();
    this.#parts.console.open();
    try {
      const result = await this.#loop(this.instructions + maxInstructions);
      if (result.reason !== "limit") {
        this.#result = result;
        await this.close();
      } else await this.#parts.console.flush();
      // Wishes of callbacks at the very end: those fail.
      while (this.#saves.length > 0) await this.#saves.shift()!();
      return result;
    } catch (cause) {
      // A bug of ours, or a callback's report threw: the terminal is given back all the same.
      await this.close();
      throw cause;
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#running = false;
      this.#seconds += (performance.now() - start) / 1000;
    }
  }

  async #loop(end: number): Promise<SystemResult> {
    const { console, peripherals } = this.#parts, turns = this.#turns;
    const nextTurn = () => performance.now() + (peripherals.alive ? TURN : QUIET_TURN);
    let turn = nextTurn();
    const ended = (how: { reason: "poweroff" | "stopped"; status: number }): SystemResult => ({
      ...how,
      instructions: this.instructions,
    });
    for (;;) {
      while (this.#saves.length > 0) await this.#saves.shift()!();
      if (this.#aborted) return { reason: "aborted", instructions: this.instructions };
      if (this.#stopStatus !== undefined) {
        return ended({ reason: "stopped", status: this.#stopStatus });
      }
      if (this.#finish?.kind === "poweroff") {
        return ended({ reason: "poweroff", status: this.#finish.status });
      }
      if (this.#finish?.kind === "reboot") await this.#restart();
      if (turns.left(end) <= 0) return { reason: "limit", instructions: this.instructions };
      const { active, call } = turns.round(end);
      if (call !== undefined) {
        if (typeof call !== "number") {
          await console.flush();
          await call;
        }
        this.#assembly.board.cpu.finishTrap();
      }
      if (this.#finish || this.#aborted || this.#stopStatus !== undefined) continue;
      if (!active && !await turns.idle()) {
        return {
          reason: "deadlock",
          message: "every hart waits for an interrupt, and none can come",
          instructions: this.instructions,
        };
      }
      if (performance.now() >= turn) {
        const { board: { cpu }, native } = this.#assembly;
        if (!this.#nativeBegun && cpu.tierInstructions >= LONG_RUN) {
          this.#nativeBegun = true;
          await native.begin();
        }
        await console.flush();
        await new Promise<void>((resolve) => setTimeout(resolve, 0));
        turn = nextTurn();
      }
    }
  }

  /** Starts anew, on a new board. */
  async #restart(): Promise<void> {
    this.#finish = undefined;
    this.#past += this.#assembly.board.cpu.instructions;
    this.#turns.reset();
    await this.#assembly.backdoor?.finish();
    await this.#assembly.native.close();
    this.#assembly = this.#assemble(true);
    await this.#forceNative();
    await this.#assembly.backdoor?.channel.start();
  }

  /** Switches the machine off: output is written, the terminal given back, disks are closed. */
  async close(): Promise<void> {
    this.#result ??= { reason: "aborted", instructions: this.instructions };
    const { console, drives, peripherals } = this.#parts;
    await console.flush();
    console.close();
    await this.#assembly.backdoor?.finish();
    await this.#assembly.native.close();
    for (const drive of drives) drive.close();
    peripherals.close();
    for (const close of this.#closers) await close();
  }

  /** Closes the machine at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
