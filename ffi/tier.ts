/**
 * The native tier: units of hot code, printed as C, compiled by the host's compiler, run by the helper.
 *
 * @module
 */
import type { Region } from "../cpu/engine/region/region.ts";
import {
  type Compilation,
  EXIT_PC_SLOT,
  FUEL_WORD,
  newStats,
  type SystemTier,
  type TierServices,
  type TierStats,
} from "../cpu/engine/tier.ts";
import type { Arena } from "../mmu/arena.ts";
import type { Builder, Job } from "./builder.ts";
import { FAR_EXIT, type Helper } from "./helper.ts";
import { EXTENT_BYTES, EXTENTS, EXTENTS_OFFSET, TARGET_ENTRIES, TARGETS_OFFSET } from "./layout.ts";
import { type CodeRange, covers, hasHash, hashCode, type ManifestUnit } from "./manifest.ts";

const TWO32 = 0x1_0000_0000;
// V8 takes these for constants, but not what is imported.
const FAR = FAR_EXIT, FUEL = FUEL_WORD, CALL_PC = EXIT_PC_SLOT * 2, CALL_BYTES = CALL_PC + 1;

/** What makes C of regions. */
export type Printer = typeof import("./print_unit.ts");

/** How a tier works. */
export interface NativeOptions {
  /** The helper, with a context of this tier's own; the tier closes it. */
  helper: Helper;
  builder: Builder;
  /** What prints units; loaded when the first is to be compiled if absent. Needed by those who wait. */
  printer?: Printer;
  /** Compile at once, and let the guest wait. */
  wait?: boolean;
  /** Guest addresses of functions to be compiled together with the one at an address, if there is room in its unit. */
  neighbours?: (pc: number) => Iterable<number>;
  /** Most compilers at a time. */
  jobs?: number;
  /** Translations of earlier runs, for {@linkcode NativeTier.start}. */
  remembered?: readonly ManifestUnit[];
  /** Gets what is loaded at the end, if that is more than was remembered. */
  remember?: (units: readonly ManifestUnit[]) => void;
  /** Optimisation level of the compiler; default 2. */
  level?: number;
  /** Gets what went wrong with a translation, which is run by another tier then. */
  note?: (message: string) => void;
}

/** Heat until the first compilation, and from one to the next at least: the more is known, the fewer are needed. */
const PATIENCE = 100_000_000;
/** Heat of a millisecond, about: compiling begins when as long was spent in lower tiers as the last one took. */
const HEAT_OF_MILLISECOND = 2_000_000;
/** Bytes of a guest instruction, about. */
const INSN_BYTES = 3;
/** While there are fewer guest instructions in units, a new one is joined with them. */
const MAX_JOINED_INSNS = 1500;
/**
 * System mode: share of the heat of what is compiled that other code must have to become part of its unit, and how many
 * such addresses are tried. Most of a machine's profile belongs to other programs.
 */
const RARE = 1 / 32, MAX_HOT = 64;

/** A unit that is compiled, or is to be. */
interface Translation {
  /** Guest address, what the engine knows it by, and where it may be entered. */
  readonly pc: number;
  readonly name: number;
  readonly entries: readonly number[];
  readonly blocks: readonly CodeRange[];
  /** Key in the cache, and bytes of its source. */
  readonly key: string;
  readonly size: number;
  /** Handle in the helper; 0 until it is loaded. */
  handle: number;
  dropped: boolean;
}

/** Compiles and runs units on one arena. */
export class NativeTier implements SystemTier {
  readonly name = "native";
  /** Units join functions themselves. */
  readonly copies = false;
  readonly stats: TierStats = newStats();
  /** Settles when nothing is being compiled. */
  idle: Promise<void> = Promise.resolve();
  readonly #arena: Arena;
  readonly #services: TierServices;
  readonly #options: NativeOptions;
  readonly #helper: Helper;
  /** Whether it is for system mode. */
  readonly #system: boolean;
  /** Words of the entries of the targets that `cacheTarget` filled, each once. */
  #cached: number[] = [];
  /** By what the engine knows each by. */
  readonly #translations = new Map<number, Translation>();
  /** How many loaded translations may be entered at an address. */
  readonly #entries = new Map<number, number>();
  /** Addresses whose compilation failed. */
  readonly #declined = new Set<number>();
  #running = 0;
  /** Heat when the last compilation began, as far as it is known, and what the next waits for. */
  #heat = 0;
  #patience = PATIENCE;
  #closed = false;
  #printer: Printer | undefined;
  #loading: Promise<void> | undefined;

  constructor(arena: Arena, services: TierServices, options: NativeOptions) {
    this.#arena = arena;
    this.#services = services;
    this.#options = options;
    this.#helper = options.helper;
    this.#printer = options.printer;
    this.#system = services.reach !== undefined;
    if (this.#system) {
      arena.all32.fill(-1, TARGETS_OFFSET / 4, TARGETS_OFFSET / 4 + EXTENTS * EXTENT_BYTES / 4);
    } else this.forgetRights();
  }

  add([region]: readonly Region[]): Compilation | undefined {
    const services = this.#services, { builder, level = 2, wait, jobs = 1 } = this.#options;
    const printer = this.#printer;
    if (!printer || !builder.compiler || this.#declined.has(region.pc)) return undefined;
    // In system mode backdoor calls must leave native code, but not wasm.
    if (!wait && !services.answer && printer.callsBackdoor(region)) return undefined;
    if (!wait && this.#running >= jobs) return undefined;
    const start = performance.now();
    const known = wait ? [] : [...services.entries(), ...this.#entries.keys()];
    const { neighbours } = this.#options;
    const more = neighbours ? [...neighbours(region.pc)] : this.#hottest(region.pc);
    const lift = (pc: number, limit?: number) => services.lift(pc, limit);
    const system = this.#system;
    const unit = printer.unitOf(this.#arena, region, lift, known, { more, system });
    const job = builder.unitJob(printer.printUnit(unit), this.#helper.features, level);
    const blocks = unit.blocks.map(({ ir }) => ir);
    const translation: Translation = {
      pc: region.pc,
      name: region.key,
      entries: unit.entries,
      blocks,
      key: job.key,
      size: job.source.length,
      handle: 0,
      dropped: false,
    };
    this.drop(region.key);
    this.#translations.set(region.key, translation);
    this.stats.milliseconds += performance.now() - start;
    if (wait) {
      try {
        this.#load(translation, builder.buildSync(job));
      } catch (error) {
        // Without anybody to tell, going on in another tier would hide it.
        if (!this.#options.note) throw error;
        this.#failed(error);
        this.#declined.add(region.pc);
        this.drop(region.key);
        return undefined;
      }
    } else if (!this.#loadKnown(translation)) {
      const work = this.#compile(translation, job);
      this.idle = this.idle.then(() => work);
    }
    return { blocks, entries: unit.entries };
  }

  wants(heat: number): boolean {
    const { jobs = 1, wait } = this.#options;
    if (wait) return true;
    if (this.#running >= jobs || heat - this.#heat < this.#patience) return false;
    if (!this.#printer) {
      this.#loading ??= this.#loadPrinter();
      return false;
    }
    this.#heat = heat;
    return true;
  }

  async #loadPrinter(): Promise<void> {
    try {
      this.#printer = await import("./print_unit.ts");
    } catch (error) {
      // From a server that does not answer, for instance: what is compiled already runs on.
      this.#failed(error);
    }
  }

  /** Where most time is spent, without what is compiled already if that is much. */
  #hottest(pc: number): number[] | undefined {
    const heat = this.#services.heat?.();
    if (!heat || this.#options.wait) return undefined;
    const hottest = [...heat].sort(([, a], [, b]) => b - a);
    if (this.#system) {
      const least = (heat.get(pc) ?? 0) * RARE;
      const places = hottest.slice(0, MAX_HOT).filter(([, of]) => of >= least).map(([at]) => at);
      // In this order it is more often the source that the cache knows.
      return places.sort((a, b) => a - b);
    }
    let count = 0;
    for (const { blocks } of this.#translations.values()) {
      for (const block of blocks) count += block.bytes / INSN_BYTES;
    }
    const places = hottest.map(([at]) => at);
    return count < MAX_JOINED_INSNS ? places : places.filter((pc) => !this.#entries.has(pc));
  }

  /** Loads what the cache has; false if it has nothing that can be loaded. */
  #loadKnown(translation: Translation): boolean {
    try {
      const path = this.#options.builder.cache.find(translation.key);
      if (path !== undefined) this.#load(translation, path);
      return path !== undefined;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  #failed(error: unknown): void {
    this.#options.note?.(`native: ${error instanceof Error ? error.message : error}`);
  }

  #load(translation: Translation, path: string): void {
    translation.handle = this.#helper.load(path);
    if (!this.#system) this.#enter(translation);
    this.stats.regions++;
    this.stats.bytes += translation.size;
    this.stats.kept += translation.size;
  }

  /** A loaded translation may be entered from now on, and others that it contains are of no use any more. */
  #enter({ name, entries }: Translation): void {
    for (const pc of entries) this.#entries.set(pc, (this.#entries.get(pc) ?? 0) + 1);
    for (const other of this.#translations.values()) {
      if (other.handle === 0 || other.name === name || !covers(entries, other.entries)) continue;
      this.drop(other.name);
      this.#services.dropped(other.name);
    }
  }

  async #compile(translation: Translation, job: Job): Promise<void> {
    const start = performance.now(), { builder } = this.#options;
    this.#running++;
    try {
      if (!translation.dropped) {
        const path = await builder.build(job);
        if (!translation.dropped) {
          this.#load(translation, path);
          this.#services.ready(translation.name);
        }
      }
    } catch (error) {
      // Another tier goes on with this unit.
      if (!this.#closed) {
        this.#failed(error);
        this.#declined.add(translation.pc);
        if (!translation.dropped) this.drop(translation.name);
      }
    } finally {
      const milliseconds = performance.now() - start;
      this.stats.milliseconds += milliseconds;
      this.#patience = Math.max(PATIENCE, milliseconds * HEAT_OF_MILLISECOND);
      this.#running--;
    }
  }

  has(key: number): boolean {
    if (!this.#system) return this.#entries.has(key);
    const translation = this.#translations.get(key);
    return translation !== undefined && translation.handle !== 0;
  }

  run(pc: number): number {
    if (this.#system) return this.#runSystem(pc);
    const helper = this.#helper, words = this.#arena.r;
    // Addresses of code have 31 bits; V8 would take them for doubles, as other tiers have more.
    for (let from = pc | 0;;) {
      const next = helper.run(from);
      if (next >= 0) return next;
      if (next === FAR) return Number(this.#arena.q[EXIT_PC_SLOT]);
      from = words[CALL_PC] + words[CALL_BYTES] | 0;
      if (this.#services.answer!() !== 0 || words[FUEL] < 0) return from;
    }
  }

  /** The engine has entered the address into the targets. */
  #runSystem(pc: number): number {
    const words = this.#arena.r, lo = EXIT_PC_SLOT * 2;
    words[lo] = pc | 0;
    words[lo + 1] = Math.floor(pc / TWO32) | 0;
    this.#helper.runSystem();
    return words[lo + 1] * TWO32 + (words[lo] >>> 0);
  }

  cacheTarget(context: number, pc: number, key: number): void {
    const entry = context * TARGET_ENTRIES + (pc >>> 1 & TARGET_ENTRIES - 1);
    const at = TARGETS_OFFSET / 4 + entry * 4, words = this.#arena.all32;
    if (words[at] === -1) this.#cached.push(at);
    words[at] = pc | 0;
    words[at + 1] = Math.floor(pc / TWO32) | 0;
    words[at + 2] = this.#translations.get(key)!.handle;
  }

  flushTargets(): void {
    for (const at of this.#cached) this.#arena.all32[at] = -1;
    this.#cached = [];
  }

  drop(key: number): void {
    const translation = this.#translations.get(key);
    if (!translation) return;
    this.#translations.delete(key);
    translation.dropped = true;
    if (translation.handle === 0) return;
    this.stats.kept -= translation.size;
    this.#helper.unload(translation.handle);
    if (this.#system) {
      // Its handle may become another's.
      this.flushTargets();
      return;
    }
    for (const entry of translation.entries) {
      const left = this.#entries.get(entry)! - 1;
      if (left > 0) this.#entries.set(entry, left);
      else this.#entries.delete(entry);
    }
  }

  /**
   * Loads translations of earlier runs, as far as they are of the code that is in memory now. To be called once the
   * engine knows the tier.
   */
  async start(): Promise<void> {
    const start = performance.now(), { builder, remembered = [] } = this.#options;
    for (const { pc, entries, blocks, key, size, code } of remembered) {
      if (this.#translations.has(pc)) continue;
      const unchanged = await hasHash(this.#arena, blocks, code);
      const translation = { pc, name: pc, entries, blocks, key, size, handle: 0, dropped: false };
      try {
        const path = await builder.cache.findLater(key);
        if (this.#closed) return;
        if (path === undefined || this.#translations.has(pc) || !unchanged()) continue;
        this.#load(translation, path);
      } catch (error) {
        this.#failed(error);
        continue;
      }
      this.#translations.set(pc, translation);
      this.#services.adopt(pc, blocks, entries);
    }
    this.stats.milliseconds += performance.now() - start;
  }

  #remember(): void {
    const { remember, remembered = [] } = this.#options;
    if (!remember) return;
    const keys = new Set(remembered.map(({ key }) => key));
    const loaded = [...this.#translations.values()].filter(({ handle }) => handle !== 0);
    if (loaded.every(({ key }) => keys.has(key))) return;
    const units: ManifestUnit[] = [];
    for (const { pc, entries, blocks, key, size } of loaded) {
      const ranges = blocks.map(({ pc, bytes }) => ({ pc, bytes }));
      const code = hashCode(this.#arena, ranges);
      if (code !== undefined) units.push({ pc, key, size, entries, blocks: ranges, code });
    }
    if (units.every(({ key }) => keys.has(key))) return;
    try {
      remember(units);
    } catch (error) {
      // It is only the next run that starts slower.
      this.#failed(error);
    }
  }

  forgetRights(): void {
    // System mode has the TLB.
    if (this.#system) return;
    this.#arena.all8.fill(0, EXTENTS_OFFSET, EXTENTS_OFFSET + EXTENT_BYTES * EXTENTS);
  }

  /** Ends compilers that still run, remembers what there is for the next run, and frees the helper; once. */
  close(): void {
    if (this.#closed) return;
    this.#remember();
    this.#closed = true;
    for (const translation of this.#translations.values()) translation.dropped = true;
    this.#options.builder.stop();
    this.#helper.close();
  }
}
