/**
 * What drives the compiling tiers, in user mode and in system mode: what becomes compiled, by which tier, when compiled
 * code runs, and what is dropped when the guest's code changes.
 *
 * There are up to two tiers: the lower one compiles what the interpreter executes often, the upper one what the lower
 * one executes often. How code is found, and where it may be entered, differs between the modes: that is a
 * {@linkcode TieredCode}.
 *
 * @module
 */
import type { IrBlock } from "../ir/block.ts";
import type { CodeCache } from "./code_cache.ts";
import type { collectRegions } from "./region/batch.ts";
import type { Lift, RegionBlock, RegionOptions } from "./region/region.ts";
import { type CodePlace, type CompilingTier, FUEL_WORD, type TierServices } from "./tier.ts";

/** Stays in upper code until it is looked whether it is worth it; heat that it must have again if not, by normal ones. */
const JUDGED_STAYS = 1000, PATIENCE = 8;
/** Most addresses in the profile for the upper tier; then all are forgotten. */
const MAX_PROFILE = 1 << 16;
/** V8 takes it for a constant, but not what is imported. */
const FUEL = FUEL_WORD;

/** Compiled code: what a tier made at once. */
export interface CompiledCode<P, R> {
  readonly tier: CompilingTier;
  /** Where it is entered: by place, with the key of the tier. */
  readonly entries: readonly { readonly place: P; readonly key: number }[];
  /** Pages of guest memory that it was compiled from. */
  readonly pages: ReadonlySet<number>;
  /** What else it relies on. */
  readonly relies: R;
  /** Stays that began in it, and instructions that were executed in them, since it was looked at. */
  stays: number;
  executed: number;
}

/** Where the code comes from that is compiled at a place. */
export interface CodeSource<P, R> {
  /** Guest address and key of the place. */
  readonly pc: number;
  readonly key: number;
  readonly lift: Lift;
  /** Whether a called function is to be compiled with it. */
  readonly wanted: (pc: number) => boolean;
  readonly options: (pc: number) => RegionOptions;
  /** Addresses from `low` to `high` that indirect jumps went to, as far as it is known. */
  readonly jumps?: (low: number, high: number) => Iterable<number>;
  /** The place of an address. */
  readonly placeAt: (pc: number) => P;
  /** Places a block for steps in the code cache; its code index. */
  readonly install: (ir: IrBlock) => number;
  /** Watches what code depends on: its pages and whatever else it relies on. */
  readonly rely: (blocks: readonly CodePlace[]) => { pages: ReadonlySet<number>; relies: R };
}

/** The guest's code, and where it is compiled; one for each mode. */
export interface TieredCode<P, R> {
  /** Adds to the heat of a place, 0: in the lower tier, 1: in the upper one; what it is then, 0 for minus infinity. */
  heat(place: P, level: 0 | 1, by: number): number;
  /** What a tier knows a place by. */
  keyOf(place: P): number;
  /** Guest address of a place, if it is there now. */
  addressOf(place: P): number | undefined;
  /** The place of an address, if what is there is executed by a tier and may be compiled by a higher one. */
  placeAt(pc: number): P | undefined;
  /** Whether a place is to be compiled by a tier, and can be now. */
  wants(place: P, tier: CompilingTier): boolean;
  source(place: P, tier: CompilingTier): CodeSource<P, R>;
  /** There is nothing to compile at a place. */
  decline(place: P): void;
  /** There is compiled code, which may not be ready to run. */
  attached(code: CompiledCode<P, R>): void;
  /** There is none any more. */
  detached(code: CompiledCode<P, R>): void;
  /** Makes the interpreter leave at a place that is compiled, and stay in one that isn't any more. */
  mark(place: P): void;
  /** The compiled code for an address that may run now. */
  find(pc: number): CompiledEntry | undefined;
}

/** A way into compiled code. */
export interface CompiledEntry {
  readonly tier: CompilingTier;
  readonly key: number;
}

/** The CPU's side of a stay in compiled code. */
export interface Executor {
  /** Executes a record; see `TierServices.step`. */
  step(codeIndex: number): number;
  /** Answers a backdoor call; see `TierServices.backdoor`. */
  backdoor(codeIndex: number): number;
  /** See `TierServices.answer`; in user mode. */
  answer?(): number;
  /** See `TierServices.reach`; in system mode. */
  reach?(lo: number, hi: number, how: number): number;
  /** Counts instructions that were executed. */
  count(instructions: number): void;
  /** Goes to where compiled code was left; the address, or undefined if there is more to do than to go on there. */
  arrive(pc: number): number | undefined;
}

/** How a stay in compiled code ended. */
export const StayEnd = {
  /** The fuel is used up. */
  FUEL: 0,
  /** There is no compiled code where execution goes on. */
  OUTSIDE: 1,
  /** What compiled code leaves at its first instruction. */
  FRUITLESS: 2,
  /** `Executor.arrive` said so. */
  LEFT: 3,
} as const;

/** How tiers are driven. */
export interface TiersOptions {
  /** Instructions of the lower tier from one look at where it is to the next. */
  sample: number;
  /** Heat at which the lower tier compiles a place. */
  heat: number;
  /**
   * Instructions executed in the lower tier, by stays that began or ended at a place, whenever the upper tier is asked to
   * compile it.
   */
  upperHeat: number;
  /** What it counts, of that, to be left by the upper tier for what it does not have. */
  leftHeat: number;
  /**
   * Instructions that stays in the upper tier's code are to execute on average: code that is left sooner, because
   * it calls or is called by what the lower tier has, costs more than it saves and is dropped.
   */
  worthwhile: number;
}

/** The compiling tiers of a CPU. */
export class Tiers<P, R> {
  lower: CompilingTier | undefined;
  upper: CompilingTier | undefined;
  /** Forms regions; there before the first tier. */
  collect: typeof collectRegions | undefined;
  /** Instructions executed by both, and by the upper one. */
  instructions = 0;
  upperInstructions = 0;
  /** Fuel when the executor that runs, compiled or not, was entered or last counted. */
  startFuel = 0;
  readonly #code: TieredCode<P, R>;
  readonly #cache: CodeCache;
  readonly #words: Int32Array;
  readonly #sample: number;
  readonly #heat: number;
  readonly #upperHeat: number;
  readonly #leftHeat: number;
  readonly #worthwhile: number;
  readonly #executor: Executor;
  /** By key. */
  readonly #lowerCode = new Map<number, CompiledCode<P, R>>();
  readonly #upperCode = new Map<number, CompiledCode<P, R>>();
  readonly #byPage = new Map<number, Set<CompiledCode<P, R>>>();
  /** Heat for the upper tier by address, and its sum over time. */
  readonly #profile = new Map<number, number>();
  #profiled = 0;
  /** Where the code comes from that is being compiled. */
  #source: CodeSource<P, R> | undefined;
  #untilSample: number;
  /** The tier whose code runs. */
  #running: CompilingTier | undefined;

  constructor(
    code: TieredCode<P, R>,
    cache: CodeCache,
    words: Int32Array,
    executor: Executor,
    { sample, heat, upperHeat, leftHeat, worthwhile }: TiersOptions,
  ) {
    this.#code = code;
    this.#cache = cache;
    this.#words = words;
    this.#executor = executor;
    this.#sample = this.#untilSample = sample;
    this.#heat = heat;
    this.#upperHeat = upperHeat;
    this.#leftHeat = leftHeat;
    this.#worthwhile = worthwhile;
  }

  /**
   * Adds a tier; a second one gets what is hottest in the first.
   *
   * @param level Whether it is the upper one, which may come first: it runs what earlier runs left then; the next free one
   * if absent.
   * @throws {Error} If there is one already, or nothing that forms regions for the lower one.
   */
  add<T extends CompilingTier>(
    factory: (services: TierServices) => T,
    level: "lower" | "upper" = this.lower ? "upper" : "lower",
  ): T {
    const there = this[level];
    if (there) throw new Error(`Cannot add a tier: there is ${there.name} already`);
    if (level === "lower" && !this.collect) {
      throw new Error("Cannot add a tier: the CPU has no translator");
    }
    const executor = this.#executor, { answer, reach } = executor;
    const tier: T = factory({
      step: (codeIndex) => executor.step(codeIndex),
      backdoor: (codeIndex) => executor.backdoor(codeIndex),
      ...(answer ? { answer } : {}),
      ...(reach ? { reach } : {}),
      heat: () => this.#profile,
      dropped: (key) => {
        const code = this.#codes(tier).get(key);
        if (code) this.#forget(code);
      },
      lift: (pc, limit) => this.#source?.lift(pc, limit),
      entries: () => this.#source?.jumps?.(0, 0x7fff_ffff) ?? this.entries(),
      ready: (key) => this.#ready(this.#codes(tier).get(key)!),
      adopt: (place, blocks, entries) => this.#adopt(place as P, blocks, entries, tier),
    });
    this[level] = tier;
    return tier;
  }

  #codes(tier: CompilingTier): Map<number, CompiledCode<P, R>> {
    return tier === this.upper ? this.#upperCode : this.#lowerCode;
  }

  /** Addresses where the lower tier's code is entered. */
  *entries(): Iterable<number> {
    for (const { entries } of new Set(this.#lowerCode.values())) {
      for (const { place } of entries) {
        const pc = this.#code.addressOf(place);
        if (pc !== undefined) yield pc;
      }
    }
  }

  // ---- what is hot ----

  /** Counts that the interpreter executes a place, and compiles it once it is hot. */
  sample(place: P, by: number): void {
    const { lower } = this;
    if (lower && this.#code.heat(place, 0, by) >= this.#heat) this.compile(place, lower);
  }

  /** Counts that instructions were executed by the lower tier in a stay that began or ended at an address. */
  #promote(pc: number, by: number): void {
    const { upper } = this, code = this.#code, place = upper && code.placeAt(pc);
    if (!upper || place === undefined) return;
    const heat = code.heat(place, 1, by), wanted = this.#upperHeat;
    if (this.#profile.size >= MAX_PROFILE) this.#profile.clear();
    this.#profile.set(pc, (this.#profile.get(pc) ?? 0) + by);
    this.#profiled += by;
    // What can't be compiled now is tried again when it was as hot once more.
    if (heat <= 0 || Math.floor(heat / wanted) === Math.floor((heat - by) / wanted)) return;
    if (upper.wants?.(this.#profiled) ?? true) this.compile(place, upper);
  }

  // ---- compiling ----

  /** Has a tier compile what is at a place; false if it is not wanted. */
  compile(place: P, tier: CompilingTier): boolean {
    if (!this.#code.wants(place, tier)) return false;
    this.#source = this.#code.source(place, tier);
    try {
      this.#compile(place, this.#source, tier);
    } finally {
      this.#source = undefined;
    }
    return true;
  }

  #compile(place: P, source: CodeSource<P, R>, tier: CompilingTier): void {
    const { lift, wanted, options, install, key } = source;
    const regions = this.collect!(source.pc, lift, wanted, options);
    if (regions.length === 0) return this.#code.decline(place);
    const placed = new Map<IrBlock, number>();
    const { generation } = this.#cache;
    const codeIndex = ({ ir }: RegionBlock) => {
      let start = placed.get(ir);
      if (start === undefined) placed.set(ir, start = install(ir));
      return start;
    };
    const made = tier.add(regions, codeIndex);
    if (!made && !tier.has(key)) return;
    const code = made
      ? this.#note(source, tier, made.blocks, made.entries.map((pc) => ({ pc, key })))
      : this.#note(source, tier, regions.flatMap((region) => region.code), regions);
    // If the cache started anew on the way, the code indices in the compiled code are stale.
    if (generation !== this.#cache.generation) this.drop(code);
    else if (tier.has(key)) this.#ready(code);
  }

  #adopt(
    place: P,
    blocks: readonly CodePlace[],
    entries: readonly number[],
    tier: CompilingTier,
  ): void {
    const source = this.#code.source(place, tier), { key } = source;
    this.#ready(this.#note(source, tier, blocks, entries.map((pc) => ({ pc, key }))));
  }

  /** Remembers where compiled code comes from and is entered. */
  #note(
    source: CodeSource<P, R>,
    tier: CompilingTier,
    blocks: readonly CodePlace[],
    at: readonly { readonly pc: number; readonly key: number }[],
  ): CompiledCode<P, R> {
    const entries = at.map(({ pc, key }) => ({ place: source.placeAt(pc), key }));
    const counts = { stays: 0, executed: 0 };
    const code: CompiledCode<P, R> = { tier, entries, ...source.rely(blocks), ...counts };
    const codes = this.#codes(tier);
    for (const { key } of entries) codes.set(key, code);
    for (const page of code.pages) {
      let list = this.#byPage.get(page);
      if (!list) this.#byPage.set(page, list = new Set());
      list.add(code);
    }
    this.#code.attached(code);
    return code;
  }

  /** Compiled code can run from now on: makes the interpreter, and a lower tier, leave where it is entered. */
  #ready(code: CompiledCode<P, R>): void {
    for (const { place } of code.entries) {
      if (code.tier === this.upper) {
        const below = this.#lowerCode.get(this.#code.keyOf(place));
        if (below) this.drop(below);
      }
      this.#code.mark(place);
    }
  }

  // ---- dropping ----

  /** Code in pages of guest memory changed: drops what was compiled from it. */
  dropPages(first: number, last: number): void {
    if (last - first > this.#byPage.size) {
      for (const [page, codes] of this.#byPage) {
        if (page < first || page > last) continue;
        for (const code of codes) this.drop(code);
      }
      return;
    }
    for (let page = first; page <= last; page++) {
      for (const code of this.#byPage.get(page) ?? []) this.drop(code);
    }
  }

  /** Drops compiled code: it never runs again. */
  drop(code: CompiledCode<P, R>): void {
    for (const { key } of code.entries) code.tier.drop(key);
    this.#forget(code);
  }

  #forget(code: CompiledCode<P, R>): void {
    const codes = this.#codes(code.tier), level = code.tier === this.upper ? 1 : 0;
    let known = false;
    for (const { key } of code.entries) {
      if (codes.get(key) === code) known = codes.delete(key);
    }
    if (!known) return;
    for (const page of code.pages) {
      const list = this.#byPage.get(page);
      if (list?.delete(code) && list.size === 0) this.#byPage.delete(page);
    }
    this.#code.detached(code);
    for (const { place } of code.entries) {
      this.#code.heat(place, level, -Infinity);
      this.#code.mark(place);
    }
  }

  // ---- running ----

  /** Runs compiled code from an address, as long as there is some where execution goes on; a `StayEnd`. */
  run(start: number, { tier, key }: CompiledEntry, fuel: number): number {
    const words = this.#words, code = this.#code;
    for (;;) {
      this.startFuel = fuel;
      this.#running = tier;
      words[FUEL] = fuel;
      const to = tier.run(start, key), left = words[FUEL];
      this.#running = undefined;
      this.#count(fuel - left, tier);
      if (tier !== this.upper) this.#untilSample -= fuel - left;
      else if (this.#worthwhile > 0) this.#judge(key, fuel - left);
      const pc = this.#executor.arrive(to);
      if (pc === undefined) return StayEnd.LEFT;
      if (left === fuel) return StayEnd.FRUITLESS;
      fuel = left;
      if (this.#untilSample <= 0) {
        this.#untilSample = this.#sample;
        if (fuel < 0) this.#promote(pc, this.#sample);
        if (pc !== start) this.#promote(start, this.#sample);
      }
      if (fuel < 0) return StayEnd.FUEL;
      let next = code.find(pc);
      if (tier === this.upper && next?.tier !== tier) {
        this.#promote(pc, this.#leftHeat);
        // It may have moved the code to another tier.
        next = code.find(pc);
      }
      if (next === undefined) return StayEnd.OUTSIDE;
      ({ tier, key } = next);
      start = pc;
    }
  }

  /** Drops code of the upper tier that is entered and left more than it is worth, and leaves it be for long. */
  #judge(key: number, executed: number): void {
    const code = this.#upperCode.get(key);
    if (!code) return;
    code.executed += executed;
    if (++code.stays < JUDGED_STAYS) return;
    if (code.executed < code.stays * this.#worthwhile) {
      this.drop(code);
      for (const { place } of code.entries) this.#code.heat(place, 1, -PATIENCE * this.#upperHeat);
    } else code.stays = code.executed = 0;
  }

  #count(executed: number, tier: CompilingTier): void {
    this.instructions += executed;
    if (tier === this.upper) this.upperInstructions += executed;
    this.#executor.count(executed);
  }

  /**
   * Instructions of compiled code that asks the CPU for something now: they are counted when it is left.
   *
   * @param tier Only if they are its.
   */
  uncounted(tier = this.#running): number {
    return tier && tier === this.#running ? this.startFuel - this.#words[FUEL] : 0;
  }
}
