/**
 * A whole machine: a board with its harts, memory and devices, and what runs on it.
 *
 * @module
 */
import { BackdoorModuleError } from "../../backdoor/callbacks.ts";
import type { ErrorPolicy } from "../../backdoor/channel.ts";
import type { ChannelGeometry } from "../../backdoor/protocol.ts";
import type { CallbackModule } from "../../backdoor/types.ts";
import { Stay } from "../../cpu/engine/system/cpu.ts";
import type { WasmTier } from "../../cpu/wasm/tier.ts";
import { MAX_HARTS } from "../../mmu/softmmu.ts";
import { nativeTier } from "../native.ts";
import { MachineError, readProgram } from "../program.ts";
import { type RunStats, tierFigures, tierShares } from "../stats.ts";
import { type InputSource, type OutputSink, streamsOf } from "../streams.ts";
import { ElfError } from "../user/elf.ts";
import type { Host } from "../user/host.ts";
import { denoHost } from "../user/host_deno.ts";
import { type BackdoorPlan, channelNode, planBackdoor, SystemBackdoor } from "./backdoor.ts";
import { boot, type BootImages, type Image, imageXlen, unpack } from "./boot.ts";
import { Console } from "./console.ts";
import { TIMEBASE_HZ } from "./devices/device.ts";
import type { Finish } from "./devices/finisher.ts";
import { VirtioBlock } from "./devices/virtio_block.ts";
import { VirtioConsole } from "./devices/virtio_console.ts";
import type { VirtioDevice } from "./devices/virtio.ts";
import { VirtioEntropy } from "./devices/virtio_entropy.ts";
import { type Drive, openDrive } from "./drive.ts";
import { type PeripheralOptions, Peripherals } from "./peripherals.ts";
import { fromFileUrl, openSource, readMade } from "./saved.ts";
import { Sbi } from "./sbi.ts";
import { type OpenedSnapshot, openSnapshot, SnapshotError, writeSnapshot } from "./snapshot.ts";
import { type State, StateError } from "./state.ts";
import { VirtBoard, VIRTIO_SLOTS, type VirtioTransportName } from "./virt.ts";

/** How to make a machine in system mode. */
export interface SystemMachineOptions extends PeripheralOptions {
  /** The board; "virt" is the only one. */
  machine?: "virt";
  /** Register width, where neither firmware nor kernel is an ELF file that says it; 64 if absent. */
  xlen?: 32 | 64;
  /**
   * Firmware that runs in M-mode: a path, URL or bytes. "none": the kernel runs in M-mode. If absent, a built-in SBI
   * serves a kernel in S-mode.
   */
  bios?: "none" | string | URL | Uint8Array;
  /** What runs: a kernel image (raw, ELF, or either compressed with gzip), or a program. */
  kernel?: string | URL | Uint8Array;
  /** Initial RAM disk. */
  initrd?: string | URL | Uint8Array;
  /** Kernel command line. */
  append?: string;
  /** Bytes of RAM; 256 MiB if absent, less than 2 GiB. */
  memory?: number;
  /** Number of harts, 1 to 8; 1 if absent. */
  harts?: number;
  /** Disks: a path with `:ro` or `:snapshot` (changes are forgotten), or an object. */
  drives?: (string | Drive)[];
  /** How the guest reaches virtio devices, disks among them: registers in memory ("mmio", the default) or PCI. */
  virtio?: VirtioTransportName;
  /** A second console, by virtio: gets what the guest sends there. */
  virtioConsole?: (bytes: Uint8Array<ArrayBuffer>) => void;
  /**
   * What executes guest code: "interp"; "wasm" or "native", which compile everything at its first execution; "auto"
   * compiles what is hot. The last if absent.
   */
  tier?: "auto" | "interp" | "wasm" | "native";
  /** Most C compilers at a time for the native tier; one fewer than the host has processors if absent. */
  jobs?: number;
  /** Time goes on with instructions, so that a run can be repeated; else with the host's clock. */
  icount?: boolean;
  /** Serial console: input; "null" if absent. */
  stdin?: InputSource;
  /** Serial console: output; "inherit" if absent. */
  stdout?: OutputSink;
  /** Callback module: a path or URL, or the callbacks themselves. Without it, nobody answers the backdoor. */
  backdoor?: string | URL | CallbackModule;
  /** After errors in callbacks; "report" if absent. */
  backdoorErrors?: ErrorPolicy;
  /** Clients and sizes of the channel. */
  backdoorGeometry?: ChannelGeometry;
  /** Gets each instruction as text before it is executed (slow). */
  trace?: (line: string) => void;
  /** Parts of the host to replace: clock, random numbers. */
  host?: Partial<Host>;
}

/** How to make a machine of a snapshot: what is not in it. Disks in files must be as they were. */
export type SystemLoadOptions = Pick<
  SystemMachineOptions,
  | "drives"
  | "virtioConsole"
  | "stdin"
  | "stdout"
  | "backdoor"
  | "backdoorErrors"
  | "report"
  | "note"
  | "trace"
  | "tier"
  | "jobs"
  | "host"
>;

/** The CPU of a machine in system mode, as an embedder sees it: the hart that ran last. */
export interface SystemMachineCpu {
  /** Virtual address of the next instruction, signed: those of the upper half are negative. */
  pc: number;
  /** Guest instructions executed by all harts, since the last restart. */
  readonly instructions: number;
  /** Reads a register by name, unsigned. @throws {RangeError} For an unknown name. */
  getRegister(name: string): bigint;
  /** Writes a register by name, modulo its width. @throws {RangeError} For an unknown name. */
  setRegister(name: string, value: bigint | number): void;
  /** The instruction at a virtual address: bytes, word and assembly text. */
  disassemble(pc: number): { length: number; bits: number; text: string };
}

/** Figures of a machine; keys as `--stats=json` prints them. */
export interface SystemStats extends RunStats {
  /** Pages that were looked up in page tables and entered into a TLB. */
  tlb_misses: number;
  /** Loads and stores that reached a device. */
  device_accesses: number;
}

/** How a run of a machine ended. */
export type SystemResult =
  & {
    /** Guest instructions executed since the machine was made, by all harts. */
    instructions: number;
  }
  & (
    | {
      /** The guest powered off; or {@linkcode SystemMachine.stop} was called, or the console's user ended it. */
      reason: "poweroff" | "stopped";
      /** Exit status, 0 to 255. */
      status: number;
    }
    | {
      /** The limit of instructions is reached (the guest can go on), or the signal was aborted. */
      reason: "limit" | "aborted";
    }
    | {
      /** Every hart waits for ever. */
      reason: "deadlock";
      message: string;
    }
  );

const DEFAULT_MEMORY = 256 << 20;
/** Instructions of one hart until the next one's turn. */
const SLICE = 100_000;
/** Milliseconds until other tasks of this process get a turn, input among them. */
const TURN = 20;
/** Longest wait in one piece, in milliseconds. */
const LONGEST_WAIT = 1000;

type Source = string | URL | Uint8Array;

async function readImage(source: Source): Promise<Image> {
  return await unpack(await readProgram(source));
}

/** Instructions executed in compiled code until the native tier is loaded. */
const LONG_RUN = 100_000_000;

/** The wasm tier, loaded only if it is wanted. */
async function tierOf(options: Pick<SystemMachineOptions, "tier">) {
  const { tier } = options;
  if (tier === "interp" || tier === "native") return undefined;
  return (await import("../../cpu/wasm/tier.ts")).WasmTier;
}

/** A machine in system mode. */
export class SystemMachine {
  /** The board's name. */
  readonly name = "virt";
  readonly #options: SystemMachineOptions;
  readonly #images: BootImages;
  readonly #host: Host;
  readonly #console: Console;
  readonly #drives: readonly Drive[];
  readonly #peripherals: Peripherals;
  readonly #plan: BackdoorPlan | undefined;
  readonly #tier: typeof WasmTier | undefined;
  /** The native tier of the board, and whether the machine has asked for it. */
  #native!: ReturnType<typeof nativeTier>;
  #nativeBegun = false;
  #backdoor: SystemBackdoor | undefined;
  readonly #closers: readonly (() => Promise<void>)[];
  #board!: VirtBoard;
  #sbi: Sbi | undefined;
  #stopped: boolean[] = [];
  /** Whose turn it is, up to which count of its instructions (-1: it begins), and whether anybody did something. */
  readonly #turns = { hart: 0, end: -1, active: false };
  #finish: Finish | undefined;
  #stopStatus: number | undefined;
  #aborted = false;
  #result: SystemResult | undefined;
  #running = false;
  /** Answer of a backdoor call that the machine waits for, and whether its instruction is to be finished. */
  #call: number | Promise<number> = 0;
  #inTrap = false;
  #wake: (() => void) | undefined;
  /** Instructions of boards before the last restart. */
  #past = 0;
  /** Snapshots that wait for the run loop. */
  readonly #saves: (() => Promise<void>)[] = [];
  #seconds = 0;
  readonly #xlen: 32 | 64;

  /** @ignore Use {@linkcode SystemMachine.create}. */
  private constructor(
    options: SystemMachineOptions,
    images: BootImages,
    drives: readonly Drive[],
    plan: BackdoorPlan | undefined,
    tier: typeof WasmTier | undefined,
    fresh: boolean,
    peripherals: Peripherals,
  ) {
    this.#peripherals = peripherals;
    peripherals.onActivity = () => this.#wake?.();
    this.#plan = plan;
    this.#tier = tier;
    this.#options = options;
    this.#images = images;
    this.#drives = drives;
    const base = denoHost(options.host);
    const { closers, ...streams } = streamsOf(options, base);
    this.#host = { ...base, ...streams };
    this.#closers = closers;
    const terminal = options.stdin === "inherit" && this.#host.stdin.isTerminal?.() === true;
    this.#console = new Console(this.#host.stdin, this.#host.stdout, terminal);
    this.#console.onInput = () => this.#wake?.();
    this.#console.onQuit = () => this.stop(0);
    this.#console.onSave = () => this.onSaveKey();
    const says = [images.bios === "none" ? undefined : images.bios, images.kernel].map(imageXlen);
    this.#xlen = says.find((xlen) => xlen !== undefined) ?? options.xlen ?? 64;
    this.#build(fresh);
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
      const machine = new SystemMachine(options, images, opened, plan, tier, true, peripherals);
      await machine.#forceNative();
      await machine.#backdoor?.channel.start();
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
    let machine: SystemMachine | undefined;
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
      const peripherals = await Peripherals.open({});
      const tier = await tierOf(options);
      machine = new SystemMachine(all, images, opened, plan, tier, false, peripherals);
      await machine.#forceNative();
      await machine.#restore(snapshot);
      await machine.#backdoor?.channel.start();
      return machine;
    } catch (cause) {
      await snapshot.close();
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
    const board = this.#board, { bus } = board;
    await load(bus.ram.arena.m8.subarray(0, bus.ram.size));
    board.restore(tree.at("board"));
    this.#backdoor?.restore(tree.at("backdoor"));
    this.#console.restore(tree.at("console"));
    const { length } = board.harts;
    this.#stopped.splice(0, length, ...tree.at("stopped").list(length).map((s) => s.boolean()));
    this.#past = tree.at("past").number();
    const turns = tree.at("turns");
    this.#turns.hart = turns.at("hart").number(0, length - 1);
    this.#turns.end = turns.at("end").number(-1);
    this.#turns.active = turns.at("active").boolean();
    const drives = tree.at("drives").list(this.#drives.length);
    this.#drives.forEach((drive, i) => {
      const content = drives[i].at("content");
      if (content.present !== (drive.save !== undefined)) {
        throw new StateError(
          `disk ${i}, ${drive.name}, is ${
            content.present ? "a file, and its changes were saved" : "to be saved, and was a file"
          }: use the same kind of disk`,
        );
      }
      drive.restore?.(content);
    });
  }

  /** Everything but guest memory. */
  #state(): State {
    const { icount = false, virtio = "mmio", append, virtioConsole } = this.#options;
    const { bios, kernel, initrd } = this.#images, board = this.#board;
    const image = (it: Image | undefined) =>
      it ? { image: { name: it.name, bytes: it.bytes } } : {};
    const geometry = this.#plan?.geometry;
    return {
      made: {
        xlen: this.#xlen,
        memory: board.memory,
        harts: board.harts.length,
        icount,
        virtio,
        virtioConsole: virtioConsole !== undefined,
        ...(append === undefined ? {} : { append }),
        ...(geometry ? { geometry: { ...geometry } } : {}),
      },
      images: {
        bios: bios === "none" ? bios : image(bios),
        kernel: image(kernel),
        initrd: image(initrd),
      },
      board: board.save(),
      ...(this.#backdoor ? { backdoor: this.#backdoor.save() } : {}),
      console: this.#console.save(),
      stopped: this.#stopped.slice(),
      past: this.#past,
      turns: { ...this.#turns },
      drives: this.#drives.map((drive) => ({
        sectors: drive.sectors,
        readOnly: drive.readOnly,
        ...(drive.save ? { content: drive.save() } : {}),
      })),
    };
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
      const outside = this.#peripherals.unsaved;
      if (outside !== undefined) {
        throw new SnapshotError(
          `Cannot write the snapshot ${name}: the machine has ${outside}, whose state is outside of it`,
        );
      }
      // Who takes it up again should see no byte twice.
      await this.#console.flush();
      const { ram } = this.#board.bus;
      await writeSnapshot(name, this.#state(), ram.arena.m8.subarray(0, ram.size));
    };
    if (!this.#running) return await write();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#saves.push(() => write().then(resolve, reject));
    this.#board.cpu.requestLeave();
    this.#wake?.();
    await promise;
  }

  /** Called when the console's user wants a snapshot (Ctrl-A s); does nothing unless it is replaced. */
  onSaveKey: () => void = () => {};

  /** Makes the board anew; loads it if it is fresh, that is not to be restored. */
  #build(fresh: boolean): void {
    const { options, images } = { options: this.#options, images: this.#images };
    const random = (n: number) => {
      const bytes = new Uint8Array(n);
      // A repeatable run has nothing that differs between runs.
      if (!options.icount) this.#host.random(bytes);
      return bytes;
    };
    const devices: VirtioDevice[] = this.#drives.map((drive) => new VirtioBlock(drive));
    devices.push(new VirtioEntropy(random));
    if (options.virtioConsole) devices.push(new VirtioConsole(options.virtioConsole));
    devices.push(...this.#peripherals.virtio());
    const transport = options.virtio ?? "mmio", places = VIRTIO_SLOTS[transport];
    if (devices.length > places) {
      throw new MachineError(
        `Cannot add ${devices.length} virtio devices: there are ${places} places`,
      );
    }
    const board = this.#board = new VirtBoard({
      xlen: this.#xlen,
      harts: options.harts ?? 1,
      memory: options.memory ?? DEFAULT_MEMORY,
      icount: options.icount ?? false,
      ...(options.tier === "wasm" || options.tier === "native" ? { heat: 0 } : {}),
      send: (byte) => this.#console.send(byte),
      finish: (how) => this.#requestFinish(how),
      virtio: devices,
      platform: this.#peripherals.platform(),
      transport,
      behind: this.#plan?.bytes ?? 0,
      nodes: this.#plan ? [channelNode(this.#plan.layout)] : [],
    });
    if (this.#plan) {
      this.#backdoor = new SystemBackdoor(board, this.#plan, {
        report: options.report ?? ((message) => console.error(message)),
        note: options.note,
        errors: options.backdoorErrors,
        stop: (status) => this.stop(status),
        save: (path) => {
          const report = options.report ?? ((message) => console.error(message));
          this.save(path).catch((error) => report(error.message));
        },
        instructions: () => this.instructions,
      });
    }
    const { cpu } = board, Tier = this.#tier;
    const { arena } = board.bus.ram;
    if (Tier) cpu.addTier((services) => new Tier(arena, services));
    this.#native?.close();
    this.#native = nativeTier(cpu, arena, undefined, options);
    this.#nativeBegun = options.tier !== undefined && options.tier !== "auto";
    const builtIn = images.bios === undefined;
    if (fresh) boot(board, images, random);
    this.#stopped = board.harts.map((_, id) => builtIn && id > 0);
    this.#sbi = builtIn
      ? new Sbi({
        board,
        stopped: this.#stopped,
        finish: (how) => this.#requestFinish(how),
        send: (byte) => this.#console.send(byte),
        receive: () => this.#console.receive(),
      })
      : undefined;
    const sbi = this.#sbi;
    if (sbi) cpu.onSyscall = () => sbi.call();
    cpu.onPoll = () => {
      board.poll();
      this.#feed();
    };
    const { trace } = options;
    cpu.trace = trace && ((pc) => {
      const { bits, length, text } = cpu.disassemble(pc);
      const word = (bits >>> 0).toString(16).padStart(length * 2, "0");
      const address = cpu.getRegister("pc").toString(16).padStart(this.#xlen / 4, "0");
      trace(`${cpu.current.hart.id} ${address}: ${word.padEnd(8)}  ${text}`);
    });
  }

  /** Has everything compiled to native code, if that is wanted. @throws {MachineError} If there is no native tier. */
  async #forceNative(): Promise<void> {
    if (this.#options.tier === "native") await this.#native.force();
  }

  #requestFinish(how: Finish): void {
    this.#finish ??= how;
    this.#board.cpu.requestLeave();
  }

  /** Gives the serial port what there is room for. */
  #feed(): void {
    const { uart } = this.#board;
    while (this.#console.pending && uart.room > 0) uart.receive(this.#console.receive());
  }

  /** The CPU: registers of the hart that ran last, disassembly. */
  get cpu(): SystemMachineCpu {
    return this.#board.cpu;
  }

  /** Ports of the host that lead to the guest, in the order of the network's forwards. */
  get forwarded(): readonly number[] {
    return this.#peripherals.forwarded;
  }

  /** Guest instructions executed so far, by all harts. */
  get instructions(): number {
    return this.#past + this.#board.cpu.instructions;
  }

  /** Seconds of host time in {@linkcode run}. */
  get seconds(): number {
    return this.#seconds;
  }

  /** Figures so far. */
  stats(): SystemStats {
    const { cpu, bus } = this.#board, { cache } = cpu, { instructions } = this;
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
    this.#board.cpu.requestLeave();
    this.#wake?.();
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
      this.#board.cpu.requestLeave();
      this.#wake?.();
    };
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#running = true;
    const start = performance.now();
    this.#console.open();
    try {
      const result = await this.#loop(this.instructions + maxInstructions);
      if (result.reason !== "limit") {
        this.#result = result;
        await this.close();
      }
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
    let turn = performance.now() + TURN;
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
      if (this.#finish?.kind === "reboot") {
        this.#finish = undefined;
        this.#past += this.#board.cpu.instructions;
        Object.assign(this.#turns, { hart: 0, end: -1 });
        await this.#backdoor?.finish();
        this.#build(true);
        await this.#forceNative();
        await this.#backdoor?.channel.start();
      }
      if (this.#left(end) <= 0) return { reason: "limit", instructions: this.instructions };
      const active = this.#round(end);
      const answer = this.#call;
      this.#call = 0;
      if (typeof answer !== "number") {
        await this.#console.flush();
        await answer;
      }
      if (this.#inTrap) this.#board.cpu.finishTrap();
      this.#inTrap = false;
      if (this.#finish || this.#aborted || this.#stopStatus !== undefined) continue;
      if (!active && !await this.#idle()) {
        return {
          reason: "deadlock",
          message: "every hart waits for an interrupt, and none can come",
          instructions: this.instructions,
        };
      }
      if (performance.now() >= turn) {
        if (!this.#nativeBegun && this.#board.cpu.tierInstructions >= LONG_RUN) {
          this.#nativeBegun = true;
          await this.#native.begin();
        }
        await this.#console.flush();
        await new Promise<void>((resolve) => setTimeout(resolve, 0));
        turn = performance.now() + TURN;
      }
    }
  }

  /**
   * Gives each hart a turn; whether any of them had something to do. What interrupts a round - the limit of
   * instructions, a call that waits - goes on with it later, so that it makes no difference to the guest.
   */
  #round(end: number): boolean {
    const { cpu, harts } = this.#board, round = this.#turns;
    if (round.hart === 0 && round.end < 0) {
      this.#board.poll();
      this.#feed();
      round.active = false;
    }
    for (; round.hart < harts.length; round.hart++, round.end = -1) {
      const hart = harts[round.hart];
      if (this.#stopped[hart.id] || hart.waiting) continue;
      cpu.select(hart.id);
      if (round.end < 0) round.end = cpu.retired - cpu.retired % SLICE + SLICE;
      const left = this.#left(end);
      if (left <= 0) return true;
      const exact = this.#options.icount ?? false;
      const why = cpu.run(Math.min(left, round.end - cpu.retired), exact);
      if (why !== Stay.WAIT) round.active = true;
      if (this.#backdoor && why === Stay.BACKDOOR) {
        this.#inTrap = true;
        this.#call = this.#backdoor.answer;
        return true;
      }
      this.#backdoor?.drain();
      const over = why === Stay.WAIT || cpu.retired >= round.end;
      if (this.#finish || why === Stay.LEFT || (!over && this.#left(end) <= 0)) return true;
    }
    round.hart = 0;
    return round.active || harts.some((hart) => !this.#stopped[hart.id] && !hart.waiting);
  }

  /** Instructions until the limit. A guest that only raises exceptions executes nothing, and is to end all the same. */
  #left(end: number): number {
    return end - this.instructions - this.#board.cpu.fruitless;
  }

  /** Waits until something can happen; false if nothing can. */
  async #idle(): Promise<boolean> {
    await this.#console.flush();
    if (this.#console.pending) {
      // The serial port has no room and nobody looks: only time can help.
      this.#feed();
    }
    const ticks = this.#board.nextTimer();
    // What became due before `ticks` was computed is not in it.
    this.#board.poll();
    if (this.#board.harts.some((hart) => !this.#stopped[hart.id] && !hart.waiting)) return true;
    if (ticks !== undefined) {
      const milliseconds = this.#board.clock.idle(await this.#outside(ticks));
      if (milliseconds === 0) return true;
      await this.#sleep(Math.min(milliseconds, LONGEST_WAIT));
      return true;
    }
    const silent = this.#console.over && !this.#peripherals.alive;
    if (silent || this.#stopped.every((stopped) => stopped)) return false;
    await this.#sleep(LONGEST_WAIT);
    return true;
  }

  /** With virtual time: how many ticks have passed for what is outside, if the guest may wait for it; else all. */
  async #outside(ticks: number): Promise<number> {
    if (!this.#options.icount || !this.#peripherals.busy) return ticks;
    const before = performance.now(), perMillisecond = TIMEBASE_HZ / 1000;
    await this.#sleep(Math.min(ticks / perMillisecond, LONGEST_WAIT));
    return Math.min(ticks, Math.ceil((performance.now() - before) * perMillisecond));
  }

  async #sleep(milliseconds: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds);
    this.#wake = resolve;
    if (this.#aborted || this.#stopStatus !== undefined) resolve();
    await promise;
    this.#wake = undefined;
    clearTimeout(timer);
  }

  /** Switches the machine off: output is written, the terminal given back, disks are closed. */
  async close(): Promise<void> {
    this.#result ??= { reason: "aborted", instructions: this.instructions };
    await this.#console.flush();
    this.#console.close();
    await this.#backdoor?.finish();
    await this.#native.close();
    for (const drive of this.#drives) drive.close();
    this.#peripherals.close();
    for (const close of this.#closers) await close();
  }

  /** Closes the machine at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
