/**
 * Compiled code in system mode: which there is, when it may run, and what becomes compiled.
 *
 * What is compiled together is a unit. It names virtual addresses and goes from page to page freely, so it relies on
 * the mapping of all its pages: it may run where each of its virtual pages leads to the page of guest memory that it was
 * compiled from. That is checked once after each change of translations, and again after a change of what its pages
 * are mapped to. From unit to unit compiled code goes by the tier's cache of targets, into which an address comes when
 * its unit was checked, and which is emptied with every change of translations.
 *
 * @module
 */
import { PAGE_SIZE } from "../../../mmu/arena.ts";
import { TLB_CONTEXTS } from "../../../mmu/softmmu.ts";
import type { IrBlock } from "../../ir/builder.ts";
import { Op } from "../../ir/ops.ts";
import { collectRegions } from "../region/batch.ts";
import type { CodeCache } from "../code_cache.ts";
import type { RegionBlock } from "../region/region.ts";
import { type CodePage, type CodePlace, type CodeUnit, placeOf } from "./code.ts";
import type { SystemTranslator } from "./translator.ts";
import type { SystemTier } from "../tier.ts";

/** What the interpreter must have executed from an address on until it is compiled, in instructions. */
const HEAT = 150_000;
/** What it costs to leave compiled code, in interpreted instructions. */
const LEAVING = 50;
/** A unit that is wanted so often where its pages are not in place is made anew, of those that are. */
const MAX_MISSES = 64;
const PAGE_MASK = 0xf_ffff;

const pageOf = (pc: number) => Math.floor(pc / PAGE_SIZE);

/** The compiled code of a CPU. */
export class SystemTiering {
  /** Counts changes of translations. */
  epoch = 0;
  /** Counts compiled code that was dropped. */
  changes = 0;
  readonly tier: SystemTier;
  /** Whether everything is compiled at its first execution. */
  readonly forced: boolean;
  readonly #heat: number;
  readonly #translator: SystemTranslator;
  readonly #cache: CodeCache;
  readonly #places = new Map<number, CodePlace>();
  readonly #byPage = new Map<number, Set<CodeUnit>>();
  /** Low 20 bits of the numbers of virtual pages that units rely on that were checked in this epoch. */
  readonly #relied = new Set<number>();
  /** Blocks at which the interpreter does not leave for the moment, though they are compiled. */
  #unmarked: CodePlace[] = [];
  #nextKey = 1;

  /** @param heat See {@linkcode SystemCpuOptions.heat}. */
  constructor(tier: SystemTier, translator: SystemTranslator, cache: CodeCache, heat = HEAT) {
    this.tier = tier;
    this.#translator = translator;
    this.#cache = cache;
    this.#heat = heat;
    this.forced = heat === 0;
  }

  /** Key of the compiled code for `pc` that may run now, or -1. */
  find(pc: number): number {
    const translator = this.#translator, page = translator.pageAt(pc);
    if (!page) return -1;
    let place = page.places.get(pc);
    if (this.forced && !place?.compiled) this.#compile(place = placeOf(page, pc));
    if (!place?.compiled) return -1;
    const { unit, key } = place.compiled, context = translator.hart.codeContext;
    if (unit.checked[context] !== this.epoch && !this.#check(unit, context)) return -1;
    if (!this.tier.has(key)) return -1;
    this.tier.cacheTarget(context, pc, key);
    return key;
  }

  /** Whether the pages of a unit are in place. */
  #check(unit: CodeUnit, context: number): boolean {
    const translator = this.#translator;
    if (unit.pages.some((page) => translator.pageAt(page.virtual) !== page)) {
      if (++unit.misses >= MAX_MISSES) this.#drop(unit);
      return false;
    }
    for (const page of unit.pages) this.#relied.add(pageOf(page.virtual) & PAGE_MASK);
    unit.checked[context] = this.epoch;
    return true;
  }

  // ---- changes ----

  /** Translations changed, or another hart runs. */
  flush(): void {
    this.epoch++;
    this.#relied.clear();
    this.tier.flushTargets();
    this.remark();
  }

  /** The translation of one virtual page changed. */
  flushPage(lo: number): void {
    if (this.#relied.has(lo >>> 12)) this.flush();
  }

  /** Code in pages of guest memory changed. */
  dropPages(first: number, last: number): void {
    if (last - first > this.#byPage.size) {
      for (const [page, units] of this.#byPage) {
        if (page >= first && page <= last) { for (const unit of units) this.#drop(unit); }
      }
      return;
    }
    for (let page = first; page <= last; page++) {
      for (const unit of this.#byPage.get(page) ?? []) this.#drop(unit);
    }
  }

  #drop({ places }: CodeUnit): void {
    for (const { compiled } of places) if (compiled) this.tier.drop(compiled.key);
  }

  /** The tier has no code for a key any more. */
  forget(key: number): void {
    const place = this.#places.get(key);
    if (!place) return;
    const { unit } = place.compiled!;
    this.changes++;
    this.#places.delete(key);
    place.compiled = undefined;
    place.heat = 0;
    this.#setMark(place);
    for (const { page } of unit.pages) {
      const units = this.#byPage.get(page);
      if (units?.delete(unit) && units.size === 0) this.#byPage.delete(page);
    }
  }

  // ---- marks ----

  #setMark({ block, compiled }: CodePlace): void {
    // The cache may have started anew.
    if (block?.live) this.#cache.code[block.start] = compiled ? Op.enter : block.code[0];
  }

  /** Lets the interpreter execute a block though it is compiled, until {@linkcode remark}. */
  unmark(place: CodePlace): void {
    const { block, compiled } = place;
    if (!compiled || !block?.live) return;
    this.#cache.code[block.start] = block.code[0];
    this.#unmarked.push(place);
  }

  /** Has the interpreter leave again at the blocks that are compiled. */
  remark(): void {
    if (this.#unmarked.length === 0) return;
    for (const place of this.#unmarked) this.#setMark(place);
    this.#unmarked = [];
  }

  // ---- compiling ----

  /** Counts what the interpreter executed from a place on in a context, and compiles what is there once it is hot. */
  sample(place: CodePlace, instructions: number, context: number): void {
    const heat = place.heat += instructions + LEAVING;
    if (heat < this.#heat || heat === Infinity || place.compiled) return;
    const { hart, code } = this.#translator;
    if (context !== hart.codeContext || code.lookup(context, place.pc) !== place.page) return;
    this.#compile(place);
  }

  /** The same, where the clock found the interpreter. */
  sampleAt(pc: number, instructions: number): void {
    const { hart, code } = this.#translator, page = code.lookup(hart.codeContext, pc);
    if (page) this.sample(placeOf(page, pc), instructions, hart.codeContext);
  }

  #compile(place: CodePlace): void {
    // What was declined stays so until the page changes.
    if (place.heat === Infinity) return;
    const { hart, code } = this.#translator, context = hart.codeContext, { pc, page } = place;
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
      if (limit === undefined && !this.forced && at !== pc) return undefined;
      return this.#translator.liftIn(on, at, limit, pageAt(on.virtual + PAGE_SIZE) !== undefined);
    };
    const called = (at: number) => pageAt(at)?.places.get(at);
    const executed = (at: number) => called(at)?.block !== undefined;
    const regions = collectRegions(
      pc,
      lift,
      (at) => executed(at) && !called(at)!.compiled,
      () => ({ key: this.#nextKey++, ...(this.tier.copies ? { copies: executed } : {}) }),
    );
    if (regions.length === 0) {
      place.heat = Infinity;
      return;
    }
    const pagesOf = ({ pc, bytes }: IrBlock) => {
      const first = pageAt(pc)!, last = pageAt(pc + bytes - 1)!;
      return first === last ? [first] : [first, last];
    };
    const pages = new Set<CodePage>();
    for (const { code } of regions) {
      for (const ir of code) for (const each of pagesOf(ir)) pages.add(each);
    }
    for (const { page } of pages) this.#translator.watch(page);
    const { generation } = this.#cache;
    const placed = new Map<IrBlock, number>();
    const codeIndex = ({ ir }: RegionBlock) => {
      let start = placed.get(ir);
      if (start === undefined) {
        const block = this.#translator.install(ir, pagesOf(ir).map(({ page }) => page));
        placed.set(ir, start = block.start);
      }
      return start;
    };
    const keys = regions.map(({ key }) => key);
    this.tier.add(regions, codeIndex);
    if (generation !== this.#cache.generation || !this.tier.has(keys[0])) {
      // The cache started anew on the way: the code indices in the compiled code are stale.
      for (const key of keys) this.tier.drop(key);
      return;
    }
    const checked = new Array<number>(TLB_CONTEXTS).fill(-1);
    const places = regions.map(({ pc }) => placeOf(pageAt(pc)!, pc));
    const unit: CodeUnit = { pages: [...pages], places, checked, misses: 0 };
    for (const { page } of pages) {
      let units = this.#byPage.get(page);
      if (!units) this.#byPage.set(page, units = new Set());
      units.add(unit);
    }
    regions.forEach(({ key }, i) => {
      const place = places[i];
      place.compiled = { key, unit };
      this.#places.set(key, place);
      this.#setMark(place);
    });
  }
}
