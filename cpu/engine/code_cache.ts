/**
 * The interpreter's code cache: records of all translated blocks in one array, linked to one another.
 *
 * @module
 */
import { type Arena, CODE_OFFSET, GUEST_OFFSET } from "../../mmu/arena.ts";
import type { IrBlock } from "../ir/block.ts";
import { WORDS } from "../ir/encoding.ts";
import { OpNumber as Op } from "../ir/op_numbers.ts";
import { MAX_STORED_BYTES, relocate, storeCode, StoredCode } from "./stored_code.ts";

/** A block in the cache. */
export interface CachedBlock extends IrBlock {
  /** Code index of its first record. */
  start: number;
  /** Code index after its last record. */
  end: number;
  /** Code indices of link records that were resolved to this block. */
  incoming: number[];
  /** False once it was dropped: nothing leads to it any longer. */
  live: boolean;
}

const PAGE_SHIFT = 12;
/** Code index of the first record. */
const FIRST = CODE_OFFSET / 4;
const TWO32 = 0x1_0000_0000;

/** The pages that a block's addresses are in. */
function pagesOf({ pc, bytes }: IrBlock): number[] {
  const first = Math.floor(pc / (1 << PAGE_SHIFT));
  const last = Math.floor((pc + Math.max(bytes, 1) - 1) / (1 << PAGE_SHIFT));
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** Blocks by guest address, and the code array they live in. */
export class CodeCache {
  /** The arena, which holds the records of all blocks. */
  readonly code: Int32Array<ArrayBuffer>;
  /** Increased whenever code indices became invalid. */
  generation = 0;
  /** Blocks translated since the start, and those taken from an earlier run. */
  translated = 0;
  /** Times the cache was full and started anew. */
  flushes = 0;
  /** Called after blocks were dropped. */
  onDrop: () => void = () => {};
  /** Called when every code index became invalid. */
  onFlush: () => void = () => {};
  readonly #limit: number;
  #used = FIRST;
  #byPc = new Map<number, CachedBlock>();
  /** In code order, for {@linkcode blockAt}. */
  #order: CachedBlock[] = [];
  /** Where they start. */
  #starts = new Int32Array(4096);
  #byPage = new Map<number, Set<CachedBlock>>();
  /** Blocks of an earlier run, at the start of the code array. */
  #stored: StoredCode | undefined;
  /** Those of them that nobody has asked for yet, by guest address: which one. */
  readonly #unseen = new Map<number, number>();
  /** The others. */
  #seen: CachedBlock[] = [];
  /** Pages of stored blocks, until it is known which of their links lead where. */
  #unlinkedPages = new Set<number>();
  /** Links that were resolved to blocks that nobody has asked for yet. */
  #unlisted: number[] = [];
  #restored = 0;
  /** Whether no more blocks could be stored than were restored. */
  #full = false;

  /** @param limit Most bytes of records before the cache starts anew. */
  constructor(arena: Arena, limit = GUEST_OFFSET - CODE_OFFSET) {
    this.code = arena.all32;
    this.#limit = (CODE_OFFSET + Math.min(limit, GUEST_OFFSET - CODE_OFFSET)) / 4;
  }

  /** Blocks in the cache. */
  get size(): number {
    return this.#byPc.size + this.#unseen.size;
  }

  /** Bytes of records in use. */
  get bytes(): number {
    return this.#used * 4 - CODE_OFFSET;
  }

  /** The block that starts at `pc`. */
  get(pc: number): CachedBlock | undefined {
    return this.#byPc.get(pc) ?? this.#see(pc);
  }

  /** Code index of the block that starts at `pc`, or -1. */
  find(pc: number): number {
    const block = this.#byPc.get(pc);
    if (block !== undefined) return block.start;
    const index = this.#unseen.get(pc);
    return index === undefined ? -1 : this.#stored!.start(index);
  }

  /**
   * Whether {@linkcode store} is worth its time: a single block that is missing makes the next run load the translator.
   *
   * @param keep Says which blocks can be stored.
   */
  worthStoring(keep: (block: IrBlock) => boolean): boolean {
    if (this.#full || this.translated === this.#restored) return false;
    const end = this.#stored?.end ?? FIRST;
    for (const block of this.#byPc.values()) if (block.start >= end && keep(block)) return true;
    return false;
  }

  /**
   * Blocks that {@linkcode get} finds, as bytes for {@linkcode restore}.
   *
   * @param keep Says which.
   */
  store(keep: (block: IrBlock) => boolean): Uint8Array<ArrayBuffer> {
    this.#seeAll();
    return storeCode([...this.#byPc.values()].filter(keep), FIRST);
  }

  /**
   * Takes the blocks of an earlier run: of the guest code that is in memory now, as the translator makes them now.
   *
   * @param bytes What {@linkcode store} returned.
   * @returns The guest pages that they come from, and whether they have ops on vectors.
   * @throws {RangeError} If the bytes have another format, or the cache is not empty.
   */
  restore(
    bytes: Uint8Array<ArrayBuffer>,
  ): { readonly pages: ReadonlySet<number>; readonly vectors: boolean } {
    if (this.#used !== FIRST) throw new RangeError("Cannot restore code: there is some already");
    const stored = new StoredCode(bytes, FIRST), pages = this.#unlinkedPages;
    if (stored.end > this.#limit) throw new RangeError("Cannot restore code: it is too long");
    this.code.set(stored.code, FIRST);
    this.#used = stored.end;
    this.#stored = stored;
    this.#restored = stored.count;
    this.#full = bytes.length > MAX_STORED_BYTES / 2;
    this.translated += stored.count;
    for (let i = 0; i < stored.count; i++) {
      const pc = stored.pc(i);
      this.#unseen.set(pc, i);
      pages.add(Math.floor(pc / (1 << PAGE_SHIFT)));
      pages.add(Math.floor((pc + stored.bytes(i) - 1) / (1 << PAGE_SHIFT)));
    }
    return { pages, vectors: stored.vectors };
  }

  /** A stored block that nobody has asked for yet. */
  #see(pc: number): CachedBlock | undefined {
    const index = this.#unseen.get(pc);
    if (index === undefined) return undefined;
    this.#unseen.delete(pc);
    const ir = this.#stored!.block(index), start = this.#stored!.start(index);
    const block: CachedBlock = {
      ...ir,
      start,
      end: start + ir.code.length,
      incoming: [],
      live: true,
    };
    this.#seen[index] = block;
    this.#byPc.set(pc, block);
    this.#addToPages(block);
    return block;
  }

  /** Makes blocks of all stored ones, and finds out which of their links lead where. */
  #seeAll(): void {
    const stored = this.#stored;
    if (stored === undefined || this.#unlinkedPages.size === 0) return;
    this.#unlinkedPages.clear();
    for (const pc of [...this.#unseen.keys()]) this.#see(pc);
    const links = this.#unlisted;
    this.#unlisted = [];
    for (let at = FIRST; at < stored.end; at += WORDS) {
      if (this.code[at] === Op.goto) links.push(at);
    }
    for (const link of links) {
      const { incoming } = this.#byPc.get(this.linkTarget(link))!;
      if (!incoming.includes(link)) incoming.push(link);
    }
  }

  #addToPages(block: CachedBlock, pages: readonly number[] = pagesOf(block)): void {
    for (const page of pages) {
      let set = this.#byPage.get(page);
      if (!set) this.#byPage.set(page, set = new Set());
      set.add(block);
    }
  }

  /**
   * Places a block.
   *
   * @param find Whether {@linkcode get} shall find it by its address.
   * @param pages Pages whose change drops it; those of its addresses if absent.
   */
  install(ir: IrBlock, find: boolean, pages: readonly number[] = pagesOf(ir)): CachedBlock {
    const length = ir.code.length;
    if (this.#used + length > this.#limit) this.flush();
    const start = this.#used, code = this.code;
    code.set(ir.code, start);
    relocate(code, start + length, start);
    this.#used = start + length;
    const block: CachedBlock = { ...ir, start, end: start + length, incoming: [], live: true };
    const count = this.#order.push(block);
    if (count > this.#starts.length) {
      const starts = new Int32Array(count * 2);
      starts.set(this.#starts);
      this.#starts = starts;
    }
    this.#starts[count - 1] = start;
    this.translated++;
    if (find) this.#byPc.set(block.pc, block);
    this.#addToPages(block, pages);
    return block;
  }

  /** Guest address that a link record leads to. */
  linkTarget(link: number): number {
    return this.code[link + 5] * TWO32 + (this.code[link + 4] >>> 0);
  }

  /**
   * Resolves a link record: its branch goes to the block that {@linkcode find} found directly from now on.
   *
   * @param to The block, where addresses of blocks and links differ.
   */
  resolve(link: number, start: number, to?: CachedBlock): void {
    const code = this.code;
    code[link] = Op.goto;
    code[link + 3] = start;
    if (code[link + 2] >= 0) code[code[link + 2]] = start;
    const block = to ?? this.#byPc.get(this.linkTarget(link));
    if (block === undefined) this.#unlisted.push(link);
    else block.incoming.push(link);
  }

  /** The block whose records include code index `ip`. */
  blockAt(ip: number): CachedBlock {
    const stored = this.#stored;
    if (stored !== undefined && ip < stored.end) {
      const index = stored.indexAt(ip);
      return this.#seen[index] ?? this.#see(stored.pc(index))!;
    }
    const starts = this.#starts;
    let low = 0, high = this.#order.length - 1;
    while (low < high) {
      const mid = (low + high + 1) >> 1;
      if (starts[mid] <= ip) low = mid;
      else high = mid - 1;
    }
    return this.#order[low];
  }

  /** Index of the guest instruction in its block that the record at `ip` belongs to. */
  insnIndex(block: CachedBlock, ip: number): number {
    return block.insns[(ip - block.start) / WORDS];
  }

  /** Drops all blocks that have bytes in the pages; one that is running may run to its end. */
  invalidate(firstPage: number, lastPage: number): void {
    const code = this.code;
    let dropped = false;
    for (const page of this.#unlinkedPages) {
      if (page >= firstPage && page <= lastPage) {
        this.#seeAll();
        break;
      }
    }
    for (let page = firstPage; page <= lastPage; page++) {
      const set = this.#byPage.get(page);
      if (!set) continue;
      this.#byPage.delete(page);
      for (const block of set) {
        dropped = true;
        block.live = false;
        if (this.#byPc.get(block.pc) === block) this.#byPc.delete(block.pc);
        for (const link of block.incoming) {
          code[link] = Op.link;
          if (code[link + 2] >= 0) code[code[link + 2]] = link;
        }
        block.incoming.length = 0;
      }
    }
    if (dropped) this.onDrop();
  }

  /** Starts anew: every code index becomes invalid. */
  flush(): void {
    this.#used = FIRST;
    for (const block of this.#order) block.live = false;
    this.#byPc.clear();
    this.#byPage.clear();
    this.#order.length = 0;
    this.#stored = undefined;
    this.#unseen.clear();
    this.#seen = [];
    this.#unlinkedPages.clear();
    this.#unlisted = [];
    this.generation++;
    this.flushes++;
    this.onDrop();
    this.onFlush();
  }
}
