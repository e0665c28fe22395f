/**
 * Loads and stores of vectors.
 *
 * @module
 */
import { Page } from "../../../mmu/address_space.ts";
import { type Arena, PAGE_SHIFT, PAGE_SIZE } from "../../../mmu/arena.ts";
import { SlowMemory, type SlowPath } from "../interpreter/slow_memory.ts";

/** Loads and stores vectors for one CPU; what returns false has faulted (see {@linkcode SlowPath}). */
export class VectorMemory {
  readonly #arena: Arena;
  readonly #slow: SlowPath;
  /** Guest memory, where the page table says what may be accessed. */
  readonly #memory: DataView | undefined;

  constructor(arena: Arena, slow: SlowPath) {
    this.#arena = arena;
    this.#slow = slow;
    const { m8 } = arena;
    if (slow instanceof SlowMemory) {
      this.#memory = new DataView(m8.buffer, m8.byteOffset, m8.byteLength);
    }
  }

  /** Whether 16 bytes at a slot's address plus an offset are in one page with a right. */
  #isFast(a: number, offset: number, right: number): boolean {
    const { r, pages } = this.#arena, at = (r[2 * a] >>> 0) + offset;
    return this.#memory !== undefined && r[2 * a + 1] === 0 && at >= 0 && at <= 0xffff_ffff &&
      (at & (PAGE_SIZE - 1)) <= PAGE_SIZE - 16 && (pages[at >>> PAGE_SHIFT] & right) !== 0;
  }

  /** Loads a vector from the address in slot `a` plus an offset. */
  load(d: number, a: number, c: number, j: number): boolean {
    const { r } = this.#arena, slow = this.#slow;
    if (this.#isFast(a, c, Page.LOAD)) {
      const memory = this.#memory!, at = (r[2 * a] >>> 0) + c;
      for (let i = 0; i < 4; i++) r[2 * d + i] = memory.getInt32(at + 4 * i, true);
      return true;
    }
    const [lo, hi] = this.#address(a, c, j), [lo8, hi8] = next8(lo, hi);
    if (!slow.load(lo, hi, 8)) return false;
    const low = slow.lo, high = slow.hi;
    if (!slow.load(lo8, hi8, 8)) return false;
    r[2 * d] = low;
    r[2 * d + 1] = high;
    r[2 * d + 2] = slow.lo;
    r[2 * d + 3] = slow.hi;
    return true;
  }

  /** Stores both halves or nothing: of two pages the second is tried first, with what is there. */
  store(a: number, b: number, c: number, j: number): boolean {
    const { r } = this.#arena, slow = this.#slow;
    if (this.#isFast(a, c, Page.STORE)) {
      const memory = this.#memory!, at = (r[2 * a] >>> 0) + c;
      for (let i = 0; i < 4; i++) memory.setInt32(at + 4 * i, r[2 * b + i], true);
      return true;
    }
    const [lo, hi] = this.#address(a, c, j), [lo8, hi8] = next8(lo, hi);
    const low = r[2 * b], high = r[2 * b + 1], low8 = r[2 * b + 2], high8 = r[2 * b + 3];
    if ((lo & 4095) > 4096 - 16) {
      // A byte of the first page, then one of the second.
      const end = lo + 15;
      for (const [x, y] of [[lo, hi], [end | 0, hi + (end >>> 0 < lo >>> 0 ? 1 : 0) | 0]]) {
        if (!slow.load(x, y, 1)) return this.#storeFault();
        if (!slow.store(x, y, 1, slow.lo, 0)) return false;
      }
    }
    return slow.store(lo, hi, 8, low, high) && slow.store(lo8, hi8, 8, low8, high8);
  }

  /** Turns the fault of a load into that of a store. */
  #storeFault(): boolean {
    const { faultLo, faultHi } = this.#slow;
    // A store there finds out what is wrong in its own words.
    return this.#slow.store(faultLo, faultHi, 1, 0, 0);
  }

  #address(a: number, c: number, j: number): [lo: number, hi: number] {
    const { r } = this.#arena, sum = (r[2 * a] >>> 0) + (c >>> 0);
    return [sum | 0, (r[2 * a + 1] + j + (sum > 0xffff_ffff ? 1 : 0)) | 0];
  }
}

function next8(lo: number, hi: number): [lo: number, hi: number] {
  const sum = (lo >>> 0) + 8;
  return [sum | 0, (hi + (sum > 0xffff_ffff ? 1 : 0)) | 0];
}
