/**
 * Finding translated code in system mode.
 *
 * A block is found by the page of guest memory that it is in AND its virtual address: the records hold virtual addresses,
 * and the same page may be mapped in several places. Inside a virtual page blocks are linked directly; to another
 * page they go through the cache of indirect targets, which is dropped whenever a translation may have changed. So
 * code stays translated across address spaces, and no link outlives the mapping that it relied on.
 *
 * @module
 */
import { PAGE_SHIFT, PAGE_SIZE } from "../../../mmu/arena.ts";
import type { CachedBlock } from "../code_cache.ts";
import type { CompiledCode, CompiledEntry } from "../tiers.ts";

/** Code of one page of guest memory at one virtual page. */
export interface CodePage {
  /** Virtual address of its first byte, signed. */
  readonly virtual: number;
  /** Page of guest memory. */
  readonly page: number;
  /** What is known of its addresses. */
  readonly places: Map<number, CodePlace>;
  /** Blocks whose only instruction goes on in the next page, with the page of guest memory where it does. */
  readonly crossing: Map<number, { block: CachedBlock; next: number }>;
}

/** A virtual address at which code was executed. */
export interface CodePlace {
  readonly pc: number;
  readonly page: CodePage;
  /** Its block, which may be dead. */
  block: CachedBlock | undefined;
  /** What compiling tiers know it by. */
  readonly key: number;
  /** Its compiled code, in the lower and in the upper tier, with the key to run it by. */
  readonly compiled: [PlaceCode | undefined, PlaceCode | undefined];
  /** Instructions that the interpreter executed from here on (Infinity: it can't be compiled), and the lower tier. */
  readonly heat: [number, number];
  /** Times that the run loop entered its compiled code, and instructions until that was left, since it was looked at. */
  entered: number;
  executed: number;
  /** Whether that was so few that the interpreter executes it by itself, where it comes to it. */
  brief: boolean;
}

/** The pages that compiled code relies on: it may run where each is in its place. */
export interface Mapping {
  readonly pages: readonly CodePage[];
  /** By context: the epoch in which they were last found in place. */
  readonly checked: number[];
  /** How often they were not. */
  misses: number;
}

/** Compiled code of a place. */
export interface PlaceCode extends CompiledEntry {
  readonly place: CodePlace;
  readonly code: CompiledCode<CodePlace, Mapping>;
}

let nextKey = 1;

/** The place of an address in a page. */
export function placeOf(page: CodePage, pc: number): CodePlace {
  let place = page.places.get(pc);
  if (!place) {
    place = {
      ...{ pc, page, block: undefined, key: nextKey++ },
      compiled: [undefined, undefined],
      heat: [0, 0],
      ...{ entered: 0, executed: 0, brief: false },
    };
    page.places.set(pc, place);
  }
  return place;
}

/** Fetch TLB entries of one context, a power of two. */
const ENTRIES = 256;

/** All code pages, and the fetch TLB that leads to them. */
export class SystemCode {
  #pages = new Map<number, CodePage[]>();
  /** By context and virtual page: tags and pages. */
  readonly #tags: Float64Array;
  readonly #found: (CodePage | undefined)[];

  constructor(contexts: number) {
    this.#tags = new Float64Array(ENTRIES * contexts).fill(NaN);
    this.#found = new Array(ENTRIES * contexts).fill(undefined);
  }

  #entry(context: number, virtualPage: number): number {
    return context * ENTRIES + (virtualPage & (ENTRIES - 1));
  }

  /** The code page that a fetch from a virtual page leads to, if the fetch TLB knows. */
  lookup(context: number, virtual: number): CodePage | undefined {
    const page = Math.floor(virtual / PAGE_SIZE), entry = this.#entry(context, page);
    return this.#tags[entry] === page ? this.#found[entry] : undefined;
  }

  /** Enters a translation into the fetch TLB. */
  enter(context: number, virtual: number, ramOffset: number): CodePage {
    const virtualPage = Math.floor(virtual / PAGE_SIZE), page = ramOffset >>> PAGE_SHIFT;
    const start = virtualPage * PAGE_SIZE;
    let list = this.#pages.get(page);
    if (!list) this.#pages.set(page, list = []);
    let found = list.find((each) => each.virtual === start);
    if (!found) {
      found = {
        virtual: start,
        page,
        places: new Map(),
        crossing: new Map(),
      };
      list.push(found);
    }
    const entry = this.#entry(context, virtualPage);
    this.#tags[entry] = virtualPage;
    this.#found[entry] = found;
    return found;
  }

  /** Translations changed. */
  flushTlb(): void {
    this.#tags.fill(NaN);
  }

  /** The translation of one virtual page changed, by its number. */
  flushTlbPage(virtualPage: number): void {
    for (let at = virtualPage & (ENTRIES - 1); at < this.#tags.length; at += ENTRIES) {
      this.#tags[at] = NaN;
    }
  }

  /** Blocks were dropped, all of them or of some pages: what is left of the pages is dead. */
  drop(first: number, last: number): void {
    if (last - first > this.#pages.size) {
      this.#pages.clear();
      this.flushTlb();
      return;
    }
    for (let page = first; page <= last; page++) {
      const list = this.#pages.get(page);
      if (!list) continue;
      for (const { places, crossing } of list) {
        places.clear();
        crossing.clear();
      }
    }
  }
}
