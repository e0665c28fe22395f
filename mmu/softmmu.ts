/**
 * The TLB of system mode: plain words in the arena that every executor probes inline.
 *
 * Each hart has {@linkcode TLB_CONTEXTS} contexts (the ISA says what they are: privilege levels), a context has a
 * direct-mapped table for loads and one for stores:
 *
 * | what                  | where, in 32-bit words                                              |
 * |-----------------------|---------------------------------------------------------------------|
 * | context c of hart h   | `TLB_OFFSET / 4 + (h * TLB_CONTEXTS + c) * CONTEXT_WORDS`           |
 * | load entry of a page  | the context's base `+ (page & (TLB_ENTRIES - 1)) * 4`               |
 * | store entry of a page | the same `+ STORE_WORDS`                                            |
 * | word 0 of an entry    | low word of the virtual page address; -1: none                      |
 * | word 1                | high word of it                                                     |
 * | word 2                | what to add to the address' low word for the offset in guest memory |
 * | word 3                | unused                                                              |
 *
 * An executor that loads `size` bytes compares word 0 with `low & (-4096 | size - 1)`, which a misaligned address never
 * equals, and word 1 with the base register's high word. The sum of base and immediate may carry into the high word:
 * it lands in the first or last page of 4 GiB then, and those pages are never entered. Word {@linkcode TLB_WORD} of
 * the slots holds the current context's base.
 *
 * @module
 */
import { type Arena, PAGE_SHIFT, PAGE_SIZE } from "./arena.ts";

/** Byte offset of the TLBs in the arena. */
export const TLB_OFFSET = 0x14_0000;
/** Entries of one table, a power of two. */
export const TLB_ENTRIES = 512;
/** Contexts of one hart. */
export const TLB_CONTEXTS = 4;
/** Most harts that there is room for. */
export const MAX_HARTS = 8;
/** Words from a context's load table to its store table. */
export const STORE_WORDS = TLB_ENTRIES * 4;
/** Words of a context. */
export const CONTEXT_WORDS = STORE_WORDS * 2;
/** Word of the arena (in the slots) with the first word of the current context. */
export const TLB_WORD = 16348;

/** The TLB of one hart. */
export class Tlb {
  /** Flushes so far, of whatever extent. */
  flushes = 0;
  readonly #words: Int32Array;
  readonly #base: number;
  /** Contexts that may have entries. */
  #used = 0;
  /** Between these addresses are all pages that came from larger ones: to drop one is to drop all. */
  #largeFrom = Infinity;
  #largeTo = -Infinity;

  /** @throws {RangeError} If there is no room for a hart of this number. */
  constructor(arena: Arena, hart: number) {
    if (!(hart >= 0 && hart < MAX_HARTS)) {
      throw new RangeError(
        `Cannot make a TLB for hart ${hart}: 0 to ${MAX_HARTS - 1} are possible`,
      );
    }
    this.#words = arena.all32;
    this.#base = TLB_OFFSET / 4 + hart * TLB_CONTEXTS * CONTEXT_WORDS;
    this.#used = (1 << TLB_CONTEXTS) - 1;
    this.flush();
  }

  /** First word of a context. */
  context(context: number): number {
    return this.#base + context * CONTEXT_WORDS;
  }

  /**
   * Enters a page.
   *
   * @param lo Low word of any address in it.
   * @param offset Offset of the page in guest memory.
   */
  enter(context: number, store: boolean, lo: number, hi: number, offset: number): void {
    const page = lo >>> PAGE_SHIFT;
    if (page === 0 || page === 0xf_ffff) return;
    const at = this.context(context) + (store ? STORE_WORDS : 0) + (page & (TLB_ENTRIES - 1)) * 4;
    const words = this.#words, tag = lo & -PAGE_SIZE;
    words[at] = tag;
    words[at + 1] = hi;
    words[at + 2] = offset - tag;
    this.#used |= 1 << context;
  }

  /** Offset in guest memory of an address, or -1 if its page is not entered. */
  find(context: number, store: boolean, lo: number, hi: number): number {
    const words = this.#words;
    const at = this.context(context) + (store ? STORE_WORDS : 0) +
      (lo >>> PAGE_SHIFT & (TLB_ENTRIES - 1)) * 4;
    return words[at] === (lo & -PAGE_SIZE) && words[at + 1] === hi ? (lo + words[at + 2]) | 0 : -1;
  }

  /** An address in a page of more than 4096 bytes was entered: dropping one of its pages drops them all. */
  noteLarge(lo: number, hi: number, bytes: number): void {
    const address = hi * 0x1_0000_0000 + (lo >>> 0), from = Math.floor(address / bytes) * bytes;
    this.#largeFrom = Math.min(this.#largeFrom, from);
    this.#largeTo = Math.max(this.#largeTo, from + bytes);
  }

  /** Drops every entry of the contexts whose bits are set. */
  flush(contexts = -1): void {
    this.flushes++;
    if ((this.#used & ~contexts) === 0) {
      this.#largeFrom = Infinity;
      this.#largeTo = -Infinity;
    }
    for (let context = 0; context < TLB_CONTEXTS; context++) {
      if ((this.#used & contexts & 1 << context) === 0) continue;
      const from = this.context(context);
      this.#words.fill(-1, from, from + CONTEXT_WORDS);
    }
    this.#used &= ~contexts;
  }

  /** Drops one page of the contexts whose bits are set. @returns Whether it had to drop everything in them. */
  flushPage(lo: number, hi: number, contexts = -1): boolean {
    const address = hi * 0x1_0000_0000 + (lo >>> 0);
    if (address >= this.#largeFrom && address < this.#largeTo) {
      this.flush(contexts);
      return true;
    }
    this.flushes++;
    const entry = (lo >>> PAGE_SHIFT & (TLB_ENTRIES - 1)) * 4, words = this.#words;
    for (let context = 0; context < TLB_CONTEXTS; context++) {
      if ((contexts & 1 << context) === 0) continue;
      const from = this.context(context) + entry;
      words[from] = -1;
      words[from + STORE_WORDS] = -1;
    }
    return false;
  }

  /** Drops the store entries of a page of guest memory, in whatever virtual pages: it is watched from now on. */
  forbidStores(offset: number): void {
    const words = this.#words;
    for (let context = 0; context < TLB_CONTEXTS; context++) {
      if ((this.#used & 1 << context) === 0) continue;
      const from = this.context(context) + STORE_WORDS;
      for (let at = from; at < from + STORE_WORDS; at += 4) {
        if (((words[at] + words[at + 2]) | 0) === offset) words[at] = -1;
      }
    }
  }
}
