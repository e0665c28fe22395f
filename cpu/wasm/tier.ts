/**
 * The wasm tier: compiles regions to WebAssembly functions, which call each other directly within a module and through
 * one table from module to module.
 *
 * Compiled code is bounded. When there is too much of it, every module is unlinked: its table entries lead to the
 * stub. A module that is wanted again is linked again; one that was not wanted until the next time is dropped.
 *
 * @module
 */
import { GUEST_OFFSET, PAGE_TABLE_OFFSET, TABLES_OFFSET } from "../../mmu/arena.ts";
import type { Arena } from "../../mmu/arena.ts";
import { TLB_CONTEXTS, TLB_WORD } from "../../mmu/softmmu.ts";
import { MAX_REGION_INSNS } from "../engine/region/gather.ts";
import type { Region, RegionBlock } from "../engine/region/region.ts";
import {
  CONTEXT_WORD,
  EXIT_PC_SLOT,
  FUEL_WORD,
  newStats,
  type SystemTier,
  type TierServices,
  type TierStats,
} from "../engine/tier.ts";
import { type EmitLayout, type ExitReason, FAR_EXIT, type SystemLayout } from "./body.ts";
import { Emitter, functionType } from "./emitter.ts";
import { BodyWriter, ModuleWriter, ValType } from "./encoder.ts";
import { type Helper, HELPERS } from "./helpers.ts";
import { listRegion } from "./listing.ts";
import { hasFusedMultiplyAdd, makeEntry, makeStub, makeSystemEntry } from "./runtime.ts";

/** Entries of the cache of indirect targets, and where it is in the arena. */
const TARGET_ENTRIES = 4096;
const TARGETS_OFFSET = TABLES_OFFSET + 0x2_0000;
/** Extents, 16 bytes each; in place of the first are other cells of the helper functions. */
const EXTENTS_OFFSET = TABLES_OFFSET + 0xb_0000;
const MAX_EXTENTS = 16384;
/** In system mode the cache of targets has a bank for each context, of entries of four words, in place of the extents. */
const SYSTEM_ENTRIES = MAX_EXTENTS / TLB_CONTEXTS;
const TWO32 = 0x1_0000_0000;
/** How often an access leaves until it is compiled as one of a device, and most of those. */
const DEVICE_EXITS = 256, MAX_DEVICES = 4096;
/** Room for what is compiled next: an extent an access is more than it can need. */
const EXTENTS_RESERVE = 4 * MAX_REGION_INSNS;

/** Bounds of compiled code. */
export interface WasmLimits {
  /** Most modules. */
  modules: number;
  /** Most bytes of modules; V8's machine code is several times as large. */
  bytes: number;
  /** Most extents (see `memory.ts`): an access that needs one of its own takes one. */
  extents: number;
}
const LIMITS: WasmLimits = {
  modules: 4096,
  bytes: 16 << 20,
  extents: MAX_EXTENTS - EXTENTS_RESERVE,
};

/** Options of the tier. */
export interface WasmTierOptions {
  /** Bounds of compiled code; what was compiled last is kept even if it is larger. */
  limits?: Partial<WasmLimits>;
  /** Gets every module that is made, for dumps. */
  dump?: WasmDump;
}

/** Takes modules for people to look at. */
export interface WasmDump {
  /** Text of the guest instruction at an address. */
  disassemble(pc: number): string;
  /** Gets a module: the guest address of its first region, its bytes, and the listing of its regions. */
  write(pc: number, bytes: Uint8Array<ArrayBuffer>, listing: string): void;
}

/** What the tier holds at the moment. */
export interface WasmUsage {
  modules: number;
  /** Guest addresses that have a function. */
  functions: number;
  /** Entries of the function table that a module names, and those there are. */
  named: number;
  table: number;
  /** Exits in use, and numbers of exits there are. */
  exits: number;
  exitNumbers: number;
  /** Extents in use, and those that were in use at once. */
  extents: number;
  extentCells: number;
}

/** A module and what belongs to it. */
interface Module {
  /** Its functions, by key. */
  readonly functions: Map<number, CallableFunction>;
  readonly bytes: number;
  /** Keys of regions whose table index its code names. */
  readonly references: ReadonlySet<number>;
  /** Numbers of its exits. */
  readonly exits: readonly number[];
  /** Numbers of its extents. */
  readonly extents: readonly number[];
  linked: boolean;
}

/** Where an exit leads, by its number. */
interface ExitRecord {
  readonly pc: number;
  readonly refund: number;
  readonly reason: ExitReason;
  /** A region of the module, and how often the exit was taken, if it is for memory in system mode. */
  readonly key: number;
  uses: number;
}

/** Compiles and runs regions on one arena. */
export class WasmTier implements SystemTier {
  readonly name = "wasm";
  readonly copies = true;
  readonly stats: TierStats = newStats();
  readonly #arena: Arena;
  readonly #services: TierServices;
  readonly #limits: WasmLimits;
  readonly #dump: WasmDump | undefined;
  readonly #table = new WebAssembly.Table({ element: "anyfunc", initial: 1024 });
  readonly #targets: Int32Array;
  readonly #extents: Int32Array;
  readonly #freeExtents: number[] = [];
  #keptExtents = 0;
  #topExtent = 1;
  /** Every module, oldest first, and by the keys of its functions. */
  readonly #modules = new Set<Module>();
  readonly #byKey = new Map<number, Module>();
  /** Table index of every region that is compiled or called, by its key, and how many modules name it. */
  readonly #indices = new Map<number, { index: number; uses: number }>();
  readonly #freeIndices: number[] = [];
  #nextIndex = 0;
  readonly #exits: (ExitRecord | undefined)[] = [];
  readonly #freeExits: number[] = [];
  /** Modules that are gone, though they may still be running: a backdoor call can drop the code that made it. */
  readonly #removed: Module[] = [];
  readonly #stub: CallableFunction;
  readonly #enter: (pc: number, index: number) => number;
  readonly #enterSystem: ((index: number) => number) | undefined;
  readonly #fused: boolean;
  /** Whether it is for system mode. */
  readonly #system: boolean;
  /** Guest addresses of loads and stores that often reached a device (or faulted, or hit watched code). */
  readonly #devices = new Set<number>();
  /** Entries of the cache of targets that `cacheTarget` filled, each once. */
  #cached: number[] = [];

  constructor(arena: Arena, services: TierServices, options: WasmTierOptions = {}) {
    this.#arena = arena;
    this.#services = services;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#dump = options.dump;
    const { buffer } = arena.memory;
    this.#system = services.reach !== undefined;
    this.#extents = new Int32Array(buffer, EXTENTS_OFFSET, MAX_EXTENTS * 4);
    this.#extents.fill(0);
    this.#targets = this.#system
      ? this.#extents
      : new Int32Array(buffer, TARGETS_OFFSET, TARGET_ENTRIES * 2);
    this.#targets.fill(-1);
    this.#stub = makeStub(this.#system);
    if (this.#system) {
      const pc = EXIT_PC_SLOT * 8;
      this.#enterSystem = makeSystemEntry(arena.memory, this.#table, FUEL_WORD * 4, pc);
    }
    this.#enter = makeEntry(arena.memory, this.#table, FUEL_WORD * 4);
    this.#fused = hasFusedMultiplyAdd();
  }

  // ---- compiling ----

  #systemLayout(reach: number): SystemLayout {
    const device = (pc: number) => this.#devices.has(pc);
    return { tlb: TLB_WORD * 4, context: CONTEXT_WORD * 4, reach, device };
  }

  add(regions: readonly Region[], codeIndex: (block: RegionBlock) => number): void {
    const start = performance.now();
    this.#recycle();
    const references = new Set<number>(), exits: number[] = [], extents: number[] = [];
    const name = `region_${regions[0].pc.toString(16)}`;
    const m = new ModuleWriter(name);
    const import32 = m.type([ValType.i32], [ValType.i32]);
    const step = m.importFunction("e", "s", import32);
    const backdoor = m.importFunction("e", "b", import32);
    const { i32 } = ValType, system = this.#system;
    const reach = system ? m.importFunction("e", "r", m.type([i32, i32, i32], [i32])) : 0;
    const pages = this.#arena.memory.buffer.byteLength / 65536;
    m.importMemory("e", "m", pages, pages);
    m.importTable("e", "t", ValType.funcref, 0);
    const { params, results } = functionType(system), type = m.type(params, results);
    const functions = new Map(
      regions.map(({ pc }) => [pc, m.declare(type, `region_${pc.toString(16)}`)]),
    );
    const helpers = new Map<Helper, number>();
    const layout: EmitLayout = {
      pages: PAGE_TABLE_OFFSET,
      guest: GUEST_OFFSET,
      fuel: FUEL_WORD * 4,
      exitPc: EXIT_PC_SLOT * 8,
      targets: system ? EXTENTS_OFFSET : TARGETS_OFFSET,
      targetEntries: system ? SYSTEM_ENTRIES : TARGET_ENTRIES,
      ...(system ? { system: this.#systemLayout(reach) } : {}),
      step,
      backdoor,
      type,
      fused: this.#fused,
      callee: (pc) => {
        const func = functions.get(pc);
        if (func !== undefined) return { func };
        return system ? undefined : { table: this.#refer(pc, references) };
      },
      extent: () => {
        const number = this.#freeExtents.pop() ?? this.#topExtent++;
        if (number >= MAX_EXTENTS) throw new Error(`Cannot compile ${name}: too many extents`);
        // Another register's, right's and reach's it may have been.
        this.#extents.fill(0, number * 4, number * 4 + 4);
        extents.push(number);
        return EXTENTS_OFFSET + 16 * number;
      },
      helper: (name) => {
        let index = helpers.get(name);
        if (index === undefined) {
          const { params, results } = HELPERS[name];
          helpers.set(name, index = m.declare(m.type(params, results), name));
        }
        return index;
      },
      codeIndex,
      exit: (pc, refund, reason) => {
        const number = this.#freeExits.pop() ?? this.#exits.length;
        this.#exits[number] = { pc, refund, reason, key: regions[0].key, uses: 0 };
        exits.push(number);
        return FAR_EXIT - 1 - number;
      },
    };
    const w = new BodyWriter(), listings: string[] = [];
    for (const region of regions) {
      const emitter = new Emitter(region, layout, w), from = exits.length;
      if (this.#dump) emitter.marks = [];
      const body = emitter.emit();
      m.body(functions.get(region.pc)!, body);
      if (this.#dump) listings.push(this.#list(region, emitter, exits.slice(from)));
      m.exportFunction(region.pc.toString(16), functions.get(region.pc)!);
      this.#refer(region.key, references);
    }
    for (const [name, index] of helpers) {
      w.start(HELPERS[name].params.length);
      HELPERS[name].write(w, { pages: PAGE_TABLE_OFFSET, misses: EXTENTS_OFFSET });
      m.body(index, w);
    }
    const bytes = m.finish();
    this.#dump?.write(regions[0].pc, bytes, listings.join("\n"));
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
      e: {
        s: this.#services.step,
        b: this.#services.backdoor,
        ...(system ? { r: this.#services.reach } : {}),
        m: this.#arena.memory,
        t: this.#table,
      },
    });
    const module: Module = {
      functions: new Map(
        regions.map((
          { pc, key },
        ) => [key, instance.exports[pc.toString(16)] as CallableFunction]),
      ),
      bytes: bytes.length,
      references,
      exits,
      extents,
      linked: false,
    };
    this.#modules.add(module);
    for (const { key } of regions) this.#byKey.set(key, module);
    this.#link(module);
    this.stats.regions += regions.length;
    this.stats.bytes += bytes.length;
    this.stats.kept += bytes.length;
    this.#keptExtents += extents.length;
    this.stats.milliseconds += performance.now() - start;
    if (this.#exceeds(1)) this.#evict(module);
  }

  #list(region: Region, { w, marks }: Emitter, exits: readonly number[]): string {
    const reach: [number, string][] = this.#system ? [[2, "reach"]] : [];
    return listRegion({
      region,
      body: w.finish(),
      marks: marks!,
      names: {
        locals: w.localNames ?? new Map(),
        functions: new Map([[0, "step"], [1, "backdoor"], ...reach]),
      },
      exits: exits.map((number) => ({ number: FAR_EXIT - 1 - number, ...this.#exits[number]! })),
      disassemble: (pc) => this.#dump!.disassemble(pc),
    });
  }

  /** Table index of a region by its key, which a module names from now on. */
  #refer(key: number, references: Set<number>): number {
    let entry = this.#indices.get(key);
    if (!entry) {
      const index = this.#freeIndices.pop() ?? this.#nextIndex++;
      if (index >= this.#table.length) this.#table.grow(this.#table.length);
      this.#table.set(index, this.#stub);
      this.#indices.set(key, entry = { index, uses: 0 });
    }
    if (!references.has(key)) {
      references.add(key);
      entry.uses++;
    }
    return entry.index;
  }

  // ---- linking ----

  #link(module: Module): void {
    module.linked = true;
    for (const [pc, compiled] of module.functions) {
      const { index } = this.#indices.get(pc)!;
      this.#table.set(index, compiled);
      // There the engine says where to.
      if (this.#system) continue;
      const entry = (pc >>> 1 & TARGET_ENTRIES - 1) * 2;
      this.#targets[entry] = pc;
      this.#targets[entry + 1] = index;
    }
  }

  #unlink(module: Module): void {
    module.linked = false;
    for (const pc of module.functions.keys()) {
      this.#table.set(this.#indices.get(pc)!.index, this.#stub);
      if (this.#system) continue;
      const entry = (pc >>> 1 & TARGET_ENTRIES - 1) * 2;
      if (this.#targets[entry] === pc) this.#targets[entry] = -1;
    }
  }

  /** Whether more than this part of the room is taken. */
  #exceeds(part: number): boolean {
    const { bytes, modules, extents } = this.#limits;
    return this.stats.kept > bytes * part || this.#modules.size > modules * part ||
      this.#keptExtents > Math.min(extents, LIMITS.extents) * part;
  }

  /** Drops what was not wanted since the last time, and puts the rest but `newest` to the test. */
  #evict(newest: Module): void {
    for (const linked of [false, true]) {
      for (const module of this.#modules) {
        // Half of the room is free afterwards, so that this is rare; the oldest go first.
        if (!this.#exceeds(0.5)) break;
        if (module === newest || module.linked !== linked) continue;
        this.stats.evicted += module.functions.size;
        this.#remove(module);
      }
    }
    for (const module of this.#modules) {
      if (module !== newest && module.linked) this.#unlink(module);
    }
  }

  #remove(module: Module): void {
    if (module.linked) this.#unlink(module);
    this.#modules.delete(module);
    this.stats.kept -= module.bytes;
    this.#keptExtents -= module.extents.length;
    const keys = [...module.functions.keys()];
    for (const key of keys) this.#byKey.delete(key);
    this.#removed.push(module);
    module.functions.clear();
    if (this.#system) this.flushTargets();
    for (const key of keys) this.#services.dropped(key);
  }

  /** Takes back what removed modules had, which don't run now. */
  #recycle(): void {
    for (const { exits, extents, references } of this.#removed) {
      for (const number of exits) {
        this.#exits[number] = undefined;
        this.#freeExits.push(number);
      }
      for (const number of extents) this.#freeExtents.push(number);
      for (const pc of references) {
        const entry = this.#indices.get(pc)!;
        if (--entry.uses > 0) continue;
        this.#indices.delete(pc);
        this.#freeIndices.push(entry.index);
      }
    }
    this.#removed.length = 0;
  }

  drop(key: number): void {
    const module = this.#byKey.get(key);
    if (module) this.#remove(module);
  }

  cacheTarget(context: number, pc: number, key: number): void {
    const entry = (context * SYSTEM_ENTRIES + (pc >>> 1 & SYSTEM_ENTRIES - 1)) * 4;
    const targets = this.#targets;
    if (targets[entry] === -1) this.#cached.push(entry);
    targets[entry] = pc | 0;
    targets[entry + 1] = Math.floor(pc / TWO32) | 0;
    targets[entry + 2] = this.#indices.get(key)!.index;
  }

  flushTargets(): void {
    // An odd address is never looked for.
    for (const entry of this.#cached) this.#targets[entry] = -1;
    this.#cached = [];
  }

  forgetRights(): void {
    this.#extents.fill(0, 0, this.#topExtent * 4);
  }

  /** What it holds. */
  get usage(): WasmUsage {
    return {
      modules: this.#modules.size,
      functions: this.#byKey.size,
      named: this.#indices.size,
      table: this.#table.length,
      exits: this.#exits.length - this.#freeExits.length,
      exitNumbers: this.#exits.length,
      extents: this.#topExtent - 1 - this.#freeExtents.length,
      extentCells: this.#topExtent - 1,
    };
  }

  // ---- running ----

  has(key: number): boolean {
    const module = this.#byKey.get(key);
    if (module === undefined) return false;
    if (!module.linked) this.#link(module);
    return true;
  }

  run(pc: number, key = pc): number {
    const { index } = this.#indices.get(key)!, enter = this.#enterSystem;
    if (enter === undefined) return this.#leave(this.#enter(pc, index));
    const words = this.#arena.r, lo = EXIT_PC_SLOT * 2;
    words[lo] = pc | 0;
    words[lo + 1] = Math.floor(pc / TWO32) | 0;
    const exit = enter(index);
    return exit !== 0 ? this.#leave(exit) : this.#plain(words[lo + 1] * TWO32 + (words[lo] >>> 0));
  }

  /** A guest address that a function returned. */
  #plain(pc: number): number {
    // Of these the fuel tells which is which.
    this.#count(this.#arena.r[FUEL_WORD] < 0 ? "fuel" : "target");
    return pc;
  }

  /** Where execution goes on, given what a compiled function returned: an address, or the number of an exit. */
  #leave(next: number): number {
    if (next >= 0) return this.#plain(next);
    if (next === FAR_EXIT) {
      this.#count("target");
      return Number(this.#arena.q[EXIT_PC_SLOT]);
    }
    const exit = this.#exits[FAR_EXIT - 1 - next]!;
    this.#arena.r[FUEL_WORD] += exit.refund;
    this.#count(exit.reason);
    if (exit.reason === "memory" && this.#system) this.#countDevice(exit);
    return exit.pc;
  }

  /** Has an access that often leaves compiled code compiled anew, as one of a device. */
  #countDevice(exit: ExitRecord): void {
    if (++exit.uses !== DEVICE_EXITS || this.#devices.size >= MAX_DEVICES) return;
    this.#devices.add(exit.pc);
    this.drop(exit.key);
  }

  #count(reason: ExitReason): void {
    const { exits } = this.stats;
    exits[reason] = (exits[reason] ?? 0) + 1;
  }
}
