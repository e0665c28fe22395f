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
import type { Region, RegionBlock } from "../engine/region.ts";
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
const MAX_EXTENTS = 8192;

/** Bounds of compiled code. */
export interface WasmLimits {
  /** Most modules. */
  modules: number;
  /** Most bytes of modules; V8's machine code is several times as large. */
  bytes: number;
}
const LIMITS: WasmLimits = { modules: 4096, bytes: 16 << 20 };

/** Options of the tier. */
export interface WasmTierOptions {
  /** Bounds of compiled code. */
  limits?: WasmLimits;
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

/** A module and what belongs to it. */
interface Module {
  /** Its functions, by guest address. */
  readonly functions: Map<number, CallableFunction>;
  readonly bytes: number;
  /** Guest addresses whose table index its code names. */
  readonly references: ReadonlySet<number>;
  /** Numbers of its exits. */
  readonly exits: readonly number[];
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
  #usedExtents = 1;
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
  /** Exits of modules that were dropped while compiled code runs. */
  readonly #oldExits: number[] = [];
  #running = false;
  readonly #stub: CallableFunction;
  readonly #enter: (pc: number, index: number) => number;
  readonly #fused: boolean;

  constructor(arena: Arena, services: TierServices, options: WasmTierOptions = {}) {
    this.#arena = arena;
    this.#services = services;
    this.#limits = options.limits ?? LIMITS;
    this.#dump = options.dump;
    this.#targets = new Int32Array(arena.memory.buffer, TARGETS_OFFSET, TARGET_ENTRIES * 2);
    this.#targets.fill(-1);
    this.#extents = new Int32Array(arena.memory.buffer, EXTENTS_OFFSET, MAX_EXTENTS * 4);
    this.#extents.fill(0);
    this.#stub = makeStub();
    this.#enter = makeEntry(arena.memory, this.#table, FUEL_WORD * 4);
    this.#fused = hasFusedMultiplyAdd();
  }

  /** How much there is of what must not grow for ever: modules, table indices, numbers of exits. */
  get sizes(): { modules: number; indices: number; exits: number } {
    return { modules: this.#modules.size, indices: this.#nextIndex, exits: this.#exits.length };
  }

  // ---- compiling ----

  add(regions: readonly Region[], codeIndex: (block: RegionBlock) => number): void {
    const start = performance.now();
    const references = new Set<number>(), exits: number[] = [];
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
        // When all are taken they are shared, which costs time only.
        if (this.#usedExtents === MAX_EXTENTS) this.#usedExtents = 1;
        const offset = EXTENTS_OFFSET + 16 * this.#usedExtents++;
        this.#topExtent = Math.max(this.#topExtent, this.#usedExtents);
        return offset;
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
      linked: false,
    };
    this.#modules.add(module);
    for (const { pc } of regions) this.#byPc.set(pc, module);
    this.#link(module);
    this.stats.regions += regions.length;
    this.stats.bytes += bytes.length;
    this.stats.kept += bytes.length;
    this.stats.milliseconds += performance.now() - start;
    if (this.stats.kept > this.#limits.bytes || this.#modules.size > this.#limits.modules) {
      this.#evict(module);
    }
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

  /** Drops what was not wanted since the last time, and puts the rest but `newest` to the test. */
  #evict(newest: Module): void {
    const { bytes, modules } = this.#limits;
    // Half of the room is free afterwards, so that this is rare; the oldest go first.
    const full = () => this.stats.kept > bytes / 2 || this.#modules.size > modules / 2;
    for (const linked of [false, true]) {
      for (const module of this.#modules) {
        if (!full()) break;
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
    for (const pc of module.functions.keys()) this.#byPc.delete(pc);
    // A callback may drop the code that called it: its way out is still to be known.
    this.#oldExits.push(...module.exits);
    if (!this.#running) this.#forgetExits();
    for (const pc of module.references) {
      const entry = this.#indices.get(pc)!;
      if (--entry.uses > 0) continue;
      this.#indices.delete(pc);
      this.#freeIndices.push(entry.index);
    }
    for (const pc of module.functions.keys()) this.#services.dropped(pc);
  }

  #forgetExits(): void {
    for (const number of this.#oldExits) {
      this.#exits[number] = undefined;
      this.#freeExits.push(number);
    }
    this.#oldExits.length = 0;
  }

  drop(pc: number): void {
    const module = this.#byPc.get(pc);
    if (module) this.#remove(module);
  }

  forgetRights(): void {
    this.#extents.fill(0, 0, this.#topExtent * 4);
  }

  // ---- running ----

  has(pc: number): boolean {
    const module = this.#byPc.get(pc);
    if (module === undefined) return false;
    if (!module.linked) this.#link(module);
    return true;
  }

  run(pc: number): number {
    this.#running = true;
    try {
      return this.#leave(this.#enter(pc, this.#indices.get(pc)!.index));
    } finally {
      this.#running = false;
      if (this.#oldExits.length > 0) this.#forgetExits();
    }
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
