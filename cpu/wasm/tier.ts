/**
 * The wasm tier: compiles regions to WebAssembly functions, which call each other through one table.
 *
 * @module
 */
import { GUEST_OFFSET, PAGE_TABLE_OFFSET, TABLES_OFFSET } from "../../mmu/arena.ts";
import type { Arena } from "../../mmu/arena.ts";
import type { Region, RegionBlock } from "../engine/region.ts";
import {
  type CompilingTier,
  DEPTH_WORD,
  EXIT_PC_SLOT,
  FUEL_WORD,
  type TierServices,
  type TierStats,
} from "../engine/tier.ts";
import { type EmitLayout, Emitter, FAR_EXIT } from "./emitter.ts";
import { BodyWriter, ModuleWriter, ValType } from "./encoder.ts";

/** Entries of the cache of indirect targets, and where it is in the arena. */
const TARGET_ENTRIES = 4096;
const TARGETS_OFFSET = TABLES_OFFSET + 0x2_0000;

type Compiled = (pc: number) => number;

/** Compiles and runs regions on one arena. */
export class WasmTier implements CompilingTier {
  readonly name = "wasm";
  readonly stats: TierStats = { regions: 0, bytes: 0, milliseconds: 0 };
  readonly #arena: Arena;
  readonly #services: TierServices;
  readonly #table = new WebAssembly.Table({ element: "anyfunc", initial: 1024 });
  readonly #targets: Int32Array;
  /** Table index of every guest address that was called or compiled. */
  readonly #indices = new Map<number, number>();
  readonly #functions = new Map<number, Compiled>();
  readonly #stub: Compiled;
  #used = 0;

  constructor(arena: Arena, services: TierServices) {
    this.#arena = arena;
    this.#services = services;
    this.#targets = new Int32Array(arena.memory.buffer, TARGETS_OFFSET, TARGET_ENTRIES * 2);
    this.#targets.fill(-1);
    this.#stub = makeStub();
  }

  #tableIndex(pc: number): number {
    const known = this.#indices.get(pc);
    if (known !== undefined) return known;
    const index = this.#used++;
    if (index >= this.#table.length) this.#table.grow(this.#table.length);
    this.#table.set(index, this.#stub);
    this.#indices.set(pc, index);
    return index;
  }

  add(region: Region, codeIndex: (block: RegionBlock) => number): void {
    const start = performance.now();
    const index = this.#tableIndex(region.pc);
    const name = `region_${region.pc.toString(16)}`;
    const m = new ModuleWriter(name);
    const step = m.importFunction("e", "s", m.type([ValType.i32], [ValType.i32]));
    m.importMemory("e", "m", this.#arena.memory.buffer.byteLength / 65536, 65536);
    m.importTable("e", "t", ValType.funcref, 0);
    const type = m.type([ValType.i32], [ValType.i32]);
    const layout: EmitLayout = {
      pages: PAGE_TABLE_OFFSET,
      guest: GUEST_OFFSET,
      fuel: FUEL_WORD * 4,
      depth: DEPTH_WORD * 4,
      exitPc: EXIT_PC_SLOT * 8,
      targets: TARGETS_OFFSET,
      targetEntries: TARGET_ENTRIES,
      step,
      type,
      tableIndex: (pc) => this.#tableIndex(pc),
      codeIndex,
    };
    m.exportFunction("f", m.func(type, new Emitter(region, layout).emit(), name));
    const bytes = m.finish();
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
      e: { s: this.#services.step, m: this.#arena.memory, t: this.#table },
    });
    const compiled = exports.f as Compiled;
    this.#table.set(index, compiled);
    this.#functions.set(region.pc, compiled);
    this.#cacheTarget(region.pc, index);
    this.stats.regions++;
    this.stats.bytes += bytes.length;
    this.stats.milliseconds += performance.now() - start;
  }

  #cacheTarget(pc: number, index: number): void {
    const entry = (pc >>> 1 & TARGET_ENTRIES - 1) * 2;
    this.#targets[entry] = pc;
    this.#targets[entry + 1] = index;
  }

  has(pc: number): boolean {
    return this.#functions.has(pc);
  }

  run(pc: number): number {
    const words = this.#arena.r;
    words[DEPTH_WORD] = 0;
    const next = this.#functions.get(pc)!(pc);
    return next === FAR_EXIT ? Number(this.#arena.q[EXIT_PC_SLOT]) : next;
  }

  drop(pc: number): void {
    if (!this.#functions.delete(pc)) return;
    this.#table.set(this.#indices.get(pc)!, this.#stub);
    const entry = (pc >>> 1 & TARGET_ENTRIES - 1) * 2;
    if (this.#targets[entry] === pc) this.#targets[entry] = -1;
  }
}

/** The function that stands where nothing is compiled: it leaves to the guest address that it is called for. */
function makeStub(): Compiled {
  const m = new ModuleWriter("stub");
  const w = new BodyWriter();
  w.start(1);
  w.localGet(0);
  m.exportFunction("f", m.func(m.type([ValType.i32], [ValType.i32]), w));
  return new WebAssembly.Instance(new WebAssembly.Module(m.finish())).exports.f as Compiled;
}
