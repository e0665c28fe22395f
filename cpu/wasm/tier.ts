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
import { MAX_REGION_INSNS, type Region, type RegionBlock } from "../engine/region.ts";
import {
  type CompilingTier,
  EXIT_PC_SLOT,
  FUEL_WORD,
  newStats,
  type TierServices,
  type TierStats,
} from "../engine/tier.ts";
import { type EmitLayout, type ExitReason, FAR_EXIT } from "./body.ts";
import { Emitter, FUNCTION_TYPE } from "./emitter.ts";
import { BodyWriter, ModuleWriter, ValType } from "./encoder.ts";
import { type Helper, HELPERS } from "./helpers.ts";
import { listRegion } from "./listing.ts";
import { hasFusedMultiplyAdd, makeEntry, makeStub } from "./runtime.ts";

/** Entries of the cache of indirect targets, and where it is in the arena. */
const TARGET_ENTRIES = 4096;
const TARGETS_OFFSET = TABLES_OFFSET + 0x2_0000;
/** Extents, 16 bytes each; in place of the first are other cells of the helper functions. */
const EXTENTS_OFFSET = TABLES_OFFSET + 0xb_0000;
const MAX_EXTENTS = 16384;
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
  /** Its functions, by guest address. */
  readonly functions: Map<number, CallableFunction>;
  readonly bytes: number;
  /** Guest addresses whose table index its code names. */
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
}

/** Compiles and runs regions on one arena. */
export class WasmTier implements CompilingTier {
  readonly name = "wasm";
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
  /** Every module, oldest first, and by the guest addresses of its functions. */
  readonly #modules = new Set<Module>();
  readonly #byPc = new Map<number, Module>();
  /** Table index of every guest address that is compiled or called, and how many modules name it. */
  readonly #indices = new Map<number, { index: number; uses: number }>();
  readonly #freeIndices: number[] = [];
  #nextIndex = 0;
  readonly #exits: (ExitRecord | undefined)[] = [];
  readonly #freeExits: number[] = [];
  /** Modules that are gone, though they may still be running: a backdoor call can drop the code that made it. */
  readonly #removed: Module[] = [];
  readonly #stub: CallableFunction;
  readonly #enter: (pc: number, index: number) => number;
  readonly #fused: boolean;

  constructor(arena: Arena, services: TierServices, options: WasmTierOptions = {}) {
    this.#arena = arena;
    this.#services = services;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#dump = options.dump;
    this.#targets = new Int32Array(arena.memory.buffer, TARGETS_OFFSET, TARGET_ENTRIES * 2);
    this.#targets.fill(-1);
    this.#extents = new Int32Array(arena.memory.buffer, EXTENTS_OFFSET, MAX_EXTENTS * 4);
    this.#extents.fill(0);
    this.#stub = makeStub();
    this.#enter = makeEntry(arena.memory, this.#table, FUEL_WORD * 4);
    this.#fused = hasFusedMultiplyAdd();
  }

  // ---- compiling ----

  add(regions: readonly Region[], codeIndex: (block: RegionBlock) => number): void {
    const start = performance.now();
    this.#recycle();
    const references = new Set<number>(), exits: number[] = [], extents: number[] = [];
    const name = `region_${regions[0].pc.toString(16)}`;
    const m = new ModuleWriter(name);
    const import32 = m.type([ValType.i32], [ValType.i32]);
    const step = m.importFunction("e", "s", import32);
    const backdoor = m.importFunction("e", "b", import32);
    const pages = this.#arena.memory.buffer.byteLength / 65536;
    m.importMemory("e", "m", pages, pages);
    m.importTable("e", "t", ValType.funcref, 0);
    const type = m.type(FUNCTION_TYPE.params, FUNCTION_TYPE.results);
    const functions = new Map(
      regions.map(({ pc }) => [pc, m.declare(type, `region_${pc.toString(16)}`)]),
    );
    const helpers = new Map<Helper, number>();
    const layout: EmitLayout = {
      pages: PAGE_TABLE_OFFSET,
      guest: GUEST_OFFSET,
      fuel: FUEL_WORD * 4,
      exitPc: EXIT_PC_SLOT * 8,
      targets: TARGETS_OFFSET,
      targetEntries: TARGET_ENTRIES,
      step,
      backdoor,
      type,
      fused: this.#fused,
      callee: (pc) => {
        const func = functions.get(pc);
        if (func !== undefined) return { func };
        return { table: this.#refer(pc, references) };
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
        this.#exits[number] = { pc, refund, reason };
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
      this.#refer(region.pc, references);
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
        m: this.#arena.memory,
        t: this.#table,
      },
    });
    const module: Module = {
      functions: new Map(
        regions.map(({ pc }) => [pc, instance.exports[pc.toString(16)] as CallableFunction]),
      ),
      bytes: bytes.length,
      references,
      exits,
      extents,
      linked: false,
    };
    this.#modules.add(module);
    for (const { pc } of regions) this.#byPc.set(pc, module);
    this.#link(module);
    this.stats.regions += regions.length;
    this.stats.bytes += bytes.length;
    this.stats.kept += bytes.length;
    this.#keptExtents += extents.length;
    this.stats.milliseconds += performance.now() - start;
    if (this.#exceeds(1)) this.#evict(module);
  }

  #list(region: Region, { w, marks }: Emitter, exits: readonly number[]): string {
    return listRegion({
      region,
      body: w.finish(),
      marks: marks!,
      names: {
        locals: w.localNames ?? new Map(),
        functions: new Map([[0, "step"], [1, "backdoor"]]),
      },
      exits: exits.map((number) => ({ number: FAR_EXIT - 1 - number, ...this.#exits[number]! })),
      disassemble: (pc) => this.#dump!.disassemble(pc),
    });
  }

  /** Table index of a guest address, which a module names from now on. */
  #refer(pc: number, references: Set<number>): number {
    let entry = this.#indices.get(pc);
    if (!entry) {
      const index = this.#freeIndices.pop() ?? this.#nextIndex++;
      if (index >= this.#table.length) this.#table.grow(this.#table.length);
      this.#table.set(index, this.#stub);
      this.#indices.set(pc, entry = { index, uses: 0 });
    }
    if (!references.has(pc)) {
      references.add(pc);
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
      const entry = (pc >>> 1 & TARGET_ENTRIES - 1) * 2;
      this.#targets[entry] = pc;
      this.#targets[entry + 1] = index;
    }
  }

  #unlink(module: Module): void {
    module.linked = false;
    for (const pc of module.functions.keys()) {
      this.#table.set(this.#indices.get(pc)!.index, this.#stub);
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
    for (const pc of module.functions.keys()) this.#byPc.delete(pc);
    this.#removed.push(module);
    const pcs = [...module.functions.keys()];
    module.functions.clear();
    for (const pc of pcs) this.#services.dropped(pc);
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

  drop(pc: number): void {
    const module = this.#byPc.get(pc);
    if (module) this.#remove(module);
  }

  forgetRights(): void {
    this.#extents.fill(0, 0, this.#topExtent * 4);
  }

  /** What it holds. */
  get usage(): WasmUsage {
    return {
      modules: this.#modules.size,
      functions: this.#byPc.size,
      named: this.#indices.size,
      table: this.#table.length,
      exits: this.#exits.length - this.#freeExits.length,
      exitNumbers: this.#exits.length,
      extents: this.#topExtent - 1 - this.#freeExtents.length,
      extentCells: this.#topExtent - 1,
    };
  }

  // ---- running ----

  has(pc: number): boolean {
    const module = this.#byPc.get(pc);
    if (module === undefined) return false;
    if (!module.linked) this.#link(module);
    return true;
  }

  run(pc: number): number {
    return this.#leave(this.#enter(pc, this.#indices.get(pc)!.index));
  }

  /** Where execution goes on, given what a compiled function returned. */
  #leave(next: number): number {
    if (next >= 0) {
      // Of these the fuel tells which is which.
      this.#count(this.#arena.r[FUEL_WORD] < 0 ? "fuel" : "target");
      return next;
    }
    if (next === FAR_EXIT) {
      this.#count("target");
      return Number(this.#arena.q[EXIT_PC_SLOT]);
    }
    const exit = this.#exits[FAR_EXIT - 1 - next]!;
    this.#arena.r[FUEL_WORD] += exit.refund;
    this.#count(exit.reason);
    return exit.pc;
  }

  #count(reason: ExitReason): void {
    const { exits } = this.stats;
    exits[reason] = (exits[reason] ?? 0) + 1;
  }
}
