/**
 * Compiled code in system mode: where it comes from, and when it may run.
 *
 * What is compiled together names virtual addresses and goes from page to page freely, so it relies on the mapping of all
 * its pages: it may run where each of its virtual pages leads to the page of guest memory that it was compiled from. That
 * is checked once after each change of translations, and again after a change of what its pages are mapped to. From one
 * to the next compiled code goes by a tier's cache of targets, into which an address comes when it was checked, and
 * which is emptied with every change of translations.
 *
 * @module
 */
import { PAGE_SIZE } from "../../../mmu/arena.ts";
import { TLB_CONTEXTS } from "../../../mmu/softmmu.ts";
import type { IrBlock } from "../../ir/builder.ts";
import { Op } from "../../ir/ops.ts";
import type { CodeCache } from "../code_cache.ts";
import type { CompilingTier, SystemTier } from "../tier.ts";
import type { CodeSource, CompiledCode, TieredCode, Tiers } from "../tiers.ts";
import { type CodePage, type CodePlace, type Mapping, type PlaceCode, placeOf } from "./code.ts";
import type { SystemTranslator } from "./translator.ts";

/** What it costs to leave compiled code, in interpreted instructions. */
const LEAVING = 50;
/** What it must execute there to be worth the way into compiled code and back; stays after which that is judged. */
const ENTERING = 100, JUDGED_STAYS = 16;
/** What is wanted so often where its pages are not in place is made anew, of those that are. */
const MAX_MISSES = 64;
const PAGE_MASK = 0xf_ffff;

const pageOf = (pc: number) => Math.floor(pc / PAGE_SIZE);

/** The compiled code of a CPU. */
export class SystemTiering implements TieredCode<CodePlace, Mapping> {
  tiers!: Tiers<CodePlace, Mapping>;
  /** Counts changes of translations. */
  epoch = 0;
  /** Counts compiled code that was dropped. */
  changes = 0;
  /** Whether everything is compiled at its first execution. */
  readonly #forced: boolean;
  readonly #translator: SystemTranslator;
  readonly #cache: CodeCache;
  /** All tiers: those that were added, as what they are here. */
  readonly #tiers: SystemTier[] = [];
  /** Low 20 bits of the numbers of virtual pages that compiled code relies on that was checked in this epoch. */
  readonly #relied = new Set<number>();
  /** Blocks at which the interpreter does not leave for the moment, though they are compiled. */
  #unmarked: CodePlace[] = [];

  constructor(translator: SystemTranslator, cache: CodeCache, forced: boolean) {
    this.#translator = translator;
    this.#cache = cache;
    this.#forced = forced;
    translator.isEntered = (place) => this.isEntered(place);
  }

  /** Whether there is a tier. */
  get active(): boolean {
    return this.#tiers.length > 0;
  }

  /** Whether everything is compiled at its first execution, by the tier that there is. */
  get forced(): boolean {
    return this.#forced && this.active;
  }

  /** Takes note of a tier that was added. */
  added(tier: SystemTier): void {
    this.#tiers.push(tier);
  }

  find(pc: number): PlaceCode | undefined {
    const translator = this.#translator, page = translator.pageAt(pc);
    if (!page) return undefined;
    let place = page.places.get(pc);
    if (this.forced && !(place && this.#isCompiled(place))) {
      this.tiers.compile(place = placeOf(page, pc), this.tiers.lower!);
    }
    if (!place) return undefined;
    return this.#enter(place.compiled[1], pc) ?? this.#enter(place.compiled[0], pc);
  }

  /** Compiled code, if it may run now. */
  #enter(compiled: PlaceCode | undefined, pc: number): PlaceCode | undefined {
    if (!compiled) return undefined;
    const { code: { tier, relies }, key } = compiled, context = this.#translator.hart.codeContext;
    if (!tier.has(key)) return undefined;
    if (relies.checked[context] !== this.epoch && !this.#check(compiled.code, context)) {
      return undefined;
    }
    (tier as SystemTier).cacheTarget(context, pc, key);
    return compiled;
  }

  /** Whether the pages of compiled code are in place. */
  #check(code: CompiledCode<CodePlace, Mapping>, context: number): boolean {
    const translator = this.#translator, { relies } = code;
    if (relies.pages.some((page) => translator.pageAt(page.virtual) !== page)) {
      if (++relies.misses >= MAX_MISSES) this.tiers.drop(code);
      return false;
    }
    for (const page of relies.pages) this.#relied.add(pageOf(page.virtual) & PAGE_MASK);
    relies.checked[context] = this.epoch;
    return true;
  }

  // ---- changes ----

  /** Translations changed, or another hart runs. */
  flush(): void {
    this.epoch++;
    this.#relied.clear();
    for (const tier of this.#tiers) tier.flushTargets();
    this.remark();
  }

  /** The translation of one virtual page changed. */
  flushPage(lo: number): void {
    if (this.#relied.has(lo >>> 12)) this.flush();
  }

  attached(code: CompiledCode<CodePlace, Mapping>): void {
    const { tier } = code;
    for (const { place, key } of code.entries) {
      place.compiled[this.#level(tier)] = { tier, key, place, code };
      place.brief = false;
    }
  }

  detached(code: CompiledCode<CodePlace, Mapping>): void {
    this.changes++;
    const level = this.#level(code.tier);
    for (const { place } of code.entries) {
      if (place.compiled[level]?.code === code) place.compiled[level] = undefined;
    }
  }

  #level(tier: CompilingTier): 0 | 1 {
    return tier === this.tiers.upper ? 1 : 0;
  }

  // ---- places ----

  heat({ heat }: CodePlace, level: 0 | 1, by: number): number {
    return heat[level] = by === -Infinity ? 0 : heat[level] + by;
  }

  keyOf({ key }: CodePlace): number {
    return key;
  }

  /** Whether a place is where it was, for the hart that runs, as far as the fetch TLB knows. */
  #isMapped(place: CodePlace): boolean {
    const { hart, code } = this.#translator, { pc, page } = place;
    return code.lookup(hart.codeContext, pc) === page && page.places.get(pc) === place;
  }

  addressOf(place: CodePlace): number | undefined {
    return this.#isMapped(place) ? place.pc : undefined;
  }

  placeAt(pc: number): CodePlace | undefined {
    const { hart, code } = this.#translator;
    const place = code.lookup(hart.codeContext, pc)?.places.get(pc);
    return place?.block && !place.compiled[1] ? place : undefined;
  }

  wants(place: CodePlace, tier: CompilingTier): boolean {
    // What was declined stays so until the page changes.
    if (place.heat[0] === Infinity || place.compiled[1]) return false;
    return (tier === this.tiers.upper || !place.compiled[0]) && this.#isMapped(place);
  }

  decline({ heat }: CodePlace): void {
    heat[0] = Infinity;
  }

  // ---- marks ----

  #isCompiled({ compiled }: CodePlace): boolean {
    return compiled.some((one) => one?.code.tier.has(one.key));
  }

  mark(place: CodePlace): void {
    const { block } = place;
    // The cache may have started anew.
    if (!block?.live) return;
    this.#cache.code[block.start] = this.isEntered(place) ? Op.enter : block.code[0];
  }

  /** Whether the interpreter leaves where it comes to a place. */
  isEntered(place: CodePlace): boolean {
    return !place.brief && this.#isCompiled(place);
  }

  /** Counts what was executed from a compiled place on, until compiled code was left for the interpreter. */
  stayed(place: CodePlace, instructions: number): void {
    place.executed += instructions;
    if (++place.entered < JUDGED_STAYS) return;
    if (!this.#forced && place.executed < JUDGED_STAYS * ENTERING) {
      place.brief = true;
      this.mark(place);
    }
    place.entered = place.executed = 0;
  }

  /** Lets the interpreter execute a block though it is compiled, until {@linkcode remark}. */
  unmark(place: CodePlace): void {
    const { block } = place;
    if (!block?.live || this.#cache.code[block.start] !== Op.enter) return;
    this.#cache.code[block.start] = block.code[0];
    this.#unmarked.push(place);
  }

  /** Has the interpreter leave again at the blocks that are compiled. */
  remark(): void {
    if (this.#unmarked.length === 0) return;
    for (const place of this.#unmarked) this.mark(place);
    this.#unmarked = [];
  }

  // ---- compiling ----

  /** Counts what the interpreter executed from a place on, and has it compiled once it is hot. */
  sample(place: CodePlace, instructions: number): void {
    if (!place.compiled[0] && !place.compiled[1]) this.tiers.sample(place, instructions + LEAVING);
  }

  /** The same, where the clock found the interpreter. */
  sampleAt(pc: number, instructions: number): void {
    const { hart, code } = this.#translator, page = code.lookup(hart.codeContext, pc);
    if (page) this.sample(placeOf(page, pc), instructions);
  }

  source({ pc, page, key }: CodePlace, tier: CompilingTier): CodeSource<CodePlace, Mapping> {
    const { hart, code } = this.#translator, context = hart.codeContext;
    const known = new Map([[pageOf(pc), page]]);
    // Only pages that were executed lately: looking for others would leave traces in page tables.
    const pageAt = (address: number) => {
      const number = pageOf(address), found = known.get(number) ?? code.lookup(context, address);
      if (found) known.set(number, found);
      return found;
    };
    const lift = (at: number, limit?: number): IrBlock | undefined => {
      const on = pageAt(at);
      if (!on) return undefined;
      const block = limit === undefined ? on.places.get(at)?.block : undefined;
      if (block?.live) return block;
      // What was never executed is most of the code, and the way out of it.
      if (limit === undefined && !this.#forced && at !== pc) return undefined;
      return this.#translator.liftIn(on, at, limit, pageAt(on.virtual + PAGE_SIZE) !== undefined);
    };
    const called = (at: number) => pageAt(at)?.places.get(at);
    const executed = (at: number) => called(at)?.block !== undefined;
    const placeAt = (at: number) => placeOf(pageAt(at)!, at);
    const pagesOf = ({ pc, bytes }: Pick<IrBlock, "pc" | "bytes">) => {
      const first = pageAt(pc)!, last = pageAt(pc + bytes - 1)!;
      return first === last ? [first] : [first, last];
    };
    return {
      pc,
      key,
      lift,
      wanted: (at) => {
        const place = called(at);
        return place?.block !== undefined && !place.compiled[0] && !place.compiled[1];
      },
      options: (at) => ({ key: placeAt(at).key, ...(tier.copies ? { copies: executed } : {}) }),
      placeAt,
      install: (ir) => this.#translator.install(ir, pagesOf(ir).map(({ page }) => page)).start,
      rely: (blocks) => {
        const pages = new Set<CodePage>();
        for (const block of blocks) for (const each of pagesOf(block)) pages.add(each);
        for (const { page } of pages) this.#translator.watch(page);
        const checked = new Array<number>(TLB_CONTEXTS).fill(-1);
        return {
          pages: new Set([...pages].map(({ page }) => page)),
          relies: { pages: [...pages], checked, misses: 0 },
        };
      },
    };
  }
}
