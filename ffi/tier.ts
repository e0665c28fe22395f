/**
 * The native tier: units of hot code, printed as C, compiled by the host's compiler, run by the helper.
 *
 * @module
 */
import { Ending, type Region } from "../cpu/engine/region/region.ts";
import {
  type Compilation,
  type CompilingTier,
  EXIT_PC_SLOT,
  newStats,
  type TierServices,
  type TierStats,
} from "../cpu/engine/tier.ts";
import type { Arena } from "../mmu/arena.ts";
import type { Builder, Job } from "./builder.ts";
import { Emitter } from "./emitter.ts";
import { FAR_EXIT, type Helper } from "./helper.ts";
import { EXTENTS, EXTENTS_OFFSET } from "./layout.ts";
import { type CodeRange, hashCode, type ManifestUnit } from "./manifest.ts";
import { formUnit } from "./unit.ts";

/** How a tier works. */
export interface NativeOptions {
  /** The helper, with a context of this tier's own; the tier closes it. */
  helper: Helper;
  builder: Builder;
  /** Compile at once, and let the guest wait. */
  wait?: boolean;
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

/** A unit that is compiled, or is to be. */
interface Translation {
  /** Guest address that the engine knows it by, and those where it may be entered. */
  readonly pc: number;
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
export class NativeTier implements CompilingTier {
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
  /** By the address that the engine knows each by. */
  readonly #translations = new Map<number, Translation>();
  /** How many loaded translations may be entered at an address. */
  readonly #entries = new Map<number, number>();
  /** Addresses whose compilation was put off. */
  readonly #wanted = new Set<number>();
  /** Addresses whose compilation failed. */
  readonly #declined = new Set<number>();
  #running = 0;
  #closed = false;

  constructor(arena: Arena, services: TierServices, options: NativeOptions) {
    this.#arena = arena;
    this.#services = services;
    this.#options = options;
    this.#helper = options.helper;
    this.forgetRights();
  }

  add([region]: readonly Region[]): Compilation | undefined {
    const services = this.#services, { builder, level = 2, wait, jobs = 1 } = this.#options;
    if (!builder.compiler || this.#declined.has(region.pc)) return undefined;
    // Backdoor calls must leave native code, but not wasm.
    if (!wait && region.blocks.some(({ ending }) => ending === Ending.BACKDOOR)) return undefined;
    if (!wait && this.#running >= jobs) {
      // By the time there is a compiler for it, more will be known, or it will be part of another unit.
      this.#wanted.add(region.pc);
      return undefined;
    }
    const start = performance.now();
    const known = wait ? [] : [...services.entries(), ...this.#entries.keys()];
    const unit = formUnit(region, (pc, limit) => services.lift(pc, limit), known);
    const job = builder.unitJob(new Emitter(unit).emit(), this.#helper.features, level);
    const blocks = unit.blocks.map(({ ir }) => ir);
    const translation: Translation = {
      pc: region.pc,
      entries: unit.entries,
      blocks,
      key: job.key,
      size: job.source.length,
      handle: 0,
      dropped: false,
    };
    this.drop(region.pc);
    this.#translations.set(region.pc, translation);
    this.stats.milliseconds += performance.now() - start;
    if (wait) {
      try {
        this.#load(translation, builder.buildSync(job));
      } catch (error) {
        // Without anybody to tell, going on in another tier would hide it.
        if (!this.#options.note) throw error;
        this.#failed(error);
        this.#declined.add(region.pc);
        this.drop(region.pc);
        return undefined;
      }
    } else if (!this.#loadKnown(translation)) {
      const work = this.#compile(translation, job);
      this.idle = this.idle.then(() => work);
    }
    return { blocks, entries: unit.entries };
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
    for (const pc of translation.entries) {
      this.#entries.set(pc, (this.#entries.get(pc) ?? 0) + 1);
    }
    this.stats.regions++;
    this.stats.bytes += translation.size;
    this.stats.kept += translation.size;
  }

  async #compile(translation: Translation, job: Job): Promise<void> {
    const start = performance.now(), { builder } = this.#options;
    this.#running++;
    try {
      if (!translation.dropped) {
        const path = await builder.build(job);
        if (!translation.dropped) {
          this.#load(translation, path);
          this.#services.ready(translation.pc);
        }
      }
    } catch (error) {
      // Another tier goes on with this unit.
      if (!this.#closed) {
        this.#failed(error);
        this.#declined.add(translation.pc);
        if (!translation.dropped) this.drop(translation.pc);
      }
    } finally {
      this.stats.milliseconds += performance.now() - start;
      this.#running--;
      const wanted = [...this.#wanted];
      this.#wanted.clear();
      for (const pc of wanted) {
        if (!this.has(pc) && !this.#closed) this.#services.compile(pc);
      }
    }
  }

  has(pc: number): boolean {
    return this.#entries.has(pc);
  }

  run(pc: number): number {
    const next = this.#helper.run(pc);
    return next === FAR_EXIT ? Number(this.#arena.q[EXIT_PC_SLOT]) : next;
  }

  drop(pc: number): void {
    const translation = this.#translations.get(pc);
    if (!translation) return;
    this.#translations.delete(pc);
    translation.dropped = true;
    if (translation.handle === 0) return;
    this.stats.kept -= translation.size;
    this.#helper.unload(translation.handle);
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
  start(): void {
    const start = performance.now(), { builder, remembered = [] } = this.#options;
    for (const { pc, entries, blocks, key, size, code } of remembered) {
      if (this.#translations.has(pc) || hashCode(this.#arena, blocks) !== code) continue;
      const translation = { pc, entries, blocks, key, size, handle: 0, dropped: false };
      try {
        const path = builder.cache.find(key);
        if (path === undefined) continue;
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
    const units: ManifestUnit[] = [];
    for (const { pc, entries, blocks, key, size, handle } of this.#translations.values()) {
      const ranges = blocks.map(({ pc, bytes }) => ({ pc, bytes }));
      const code = handle === 0 ? undefined : hashCode(this.#arena, ranges);
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
    this.#arena.all8.fill(0, EXTENTS_OFFSET, EXTENTS_OFFSET + 16 * EXTENTS);
  }

  /** Ends compilers that still run, remembers what there is for the next run, and frees the helper. */
  close(): void {
    this.#remember();
    this.#closed = true;
    for (const translation of this.#translations.values()) translation.dropped = true;
    this.#options.builder.compiler?.stop();
    this.#helper.close();
  }
}
