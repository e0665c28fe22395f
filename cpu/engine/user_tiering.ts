/**
 * What the compiling tiers see of user mode: there is one address space, and a place is a guest address.
 *
 * @module
 */
import { PAGE_SIZE } from "../../mmu/arena.ts";
import type { IrBlock } from "../ir/block.ts";
import { OpNumber as Op } from "../ir/op_numbers.ts";
import type { CachedBlock, CodeCache } from "./code_cache.ts";
import type { CodePlace, CompilingTier } from "./tier.ts";
import type { CodeSource, CompiledEntry, TieredCode, Tiers } from "./tiers.ts";

/** Most addresses whose heat is known; then all are forgotten. */
const MAX_SAMPLES = 1 << 16;
const TWO32 = 0x1_0000_0000;

/** What the tiers need of the CPU. */
export interface UserTranslator {
  /** A block that is not kept, or undefined if it can't be fetched. */
  lift(pc: number, limit?: number): IrBlock | undefined;
  /** Translates a block and keeps it. */
  translate(pc: number): CachedBlock | undefined;
  /** Places a block in the code cache, where nothing finds it. */
  install(ir: IrBlock): number;
  /** Has stores to a page found out. */
  watch(page: number): void;
}

/** The code of a process. */
export class UserTiering implements TieredCode<number, undefined> {
  tiers!: Tiers<number, undefined>;
  readonly #cache: CodeCache;
  readonly #translator: UserTranslator;
  /** Cache of indirect targets. */
  readonly #jumps: Int32Array;
  /** Whether everything is compiled at its first execution. */
  readonly forced: boolean;
  /** Where there is nothing to compile, such as a system call's instruction. */
  readonly #declined = new Set<number>();
  readonly #heat = [new Map<number, number>(), new Map<number, number>()] as const;

  constructor(cache: CodeCache, translator: UserTranslator, jumps: Int32Array, forced: boolean) {
    this.#cache = cache;
    this.#translator = translator;
    this.#jumps = jumps;
    this.forced = forced;
  }

  heat(pc: number, level: 0 | 1, by: number): number {
    if (this.#declined.has(pc)) return 0;
    const map = this.#heat[level];
    if (by === -Infinity) {
      map.delete(pc);
      return 0;
    }
    if (map.size >= MAX_SAMPLES) map.clear();
    const heat = (map.get(pc) ?? 0) + by;
    map.set(pc, heat);
    return heat;
  }

  keyOf(pc: number): number {
    return pc;
  }

  addressOf(pc: number): number {
    return pc;
  }

  placeAt(pc: number): number | undefined {
    return this.tiers.upper?.has(pc) ? undefined : pc;
  }

  wants(pc: number, tier: CompilingTier): boolean {
    return !this.#declined.has(pc) && this.tierOf(pc) !== tier && !this.tiers.upper?.has(pc);
  }

  /** The tier that runs what is at a guest address, if one has it. */
  tierOf(pc: number): CompilingTier | undefined {
    const { lower, upper } = this.tiers;
    if (upper?.has(pc)) return upper;
    return lower?.has(pc) ? lower : undefined;
  }

  find(pc: number): CompiledEntry | undefined {
    const tier = this.tierOf(pc);
    return tier && { tier, key: pc };
  }

  source(pc: number, tier: CompilingTier): CodeSource<number, undefined> {
    const cache = this.#cache, translator = this.#translator;
    // As far as they were executed and aren't compiled.
    const executed = (at: number) => cache.get(at) !== undefined;
    // Where everything is compiled at once, nothing was executed before.
    const copies = this.forced ? () => true : executed;
    const jumps = (low: number, high: number) => this.#jumpTargets(low, high);
    return {
      pc,
      key: pc,
      lift: (at, limit) =>
        limit === undefined ? cache.get(at) ?? translator.lift(at) : translator.lift(at, limit),
      wanted: (at) => !this.tierOf(at) && executed(at),
      options: () => tier.copies ? { copies, jumps } : {},
      jumps,
      placeAt: (at) => at,
      install: (ir) => translator.install(ir),
      rely: (blocks) => ({ pages: this.#watch(blocks), relies: undefined }),
    };
  }

  /** Where indirect jumps went, as far as it is known. */
  *#jumpTargets(low: number, high: number): Iterable<number> {
    const jumps = this.#jumps;
    for (let at = 0; at < jumps.length; at += 4) {
      const pc = jumps[at + 1] * TWO32 + (jumps[at] >>> 0);
      if (pc >= low && pc <= high) yield pc;
    }
    for (const pc of this.tiers.entries()) if (pc >= low && pc <= high) yield pc;
  }

  #watch(blocks: readonly CodePlace[]): Set<number> {
    const pages = new Set<number>();
    for (const { pc, bytes } of blocks) {
      pages.add(Math.floor(pc / PAGE_SIZE));
      pages.add(Math.floor((pc + bytes - 1) / PAGE_SIZE));
    }
    for (const page of pages) this.#translator.watch(page);
    return pages;
  }

  decline(pc: number): void {
    if (this.#declined.size >= MAX_SAMPLES) this.#declined.clear();
    this.#declined.add(pc);
  }

  /** The guest's code changed. */
  changed(): void {
    this.#declined.clear();
  }

  attached(): void {}
  detached(): void {}

  mark(pc: number, start = this.#cache.find(pc)): void {
    const { code } = this.#cache, tier = this.tierOf(pc);
    if (start < 0) return;
    if (tier) code[start] = Op.enter;
    else if (code[start] === Op.enter) code[start] = this.#cache.get(pc)!.code[0];
  }
}
