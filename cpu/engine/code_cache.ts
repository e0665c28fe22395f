/**
 * The interpreter's code cache: records of all translated blocks in one array, linked to one another.
 *
 * @module
 */
import { type Arena, CODE_OFFSET, GUEST_OFFSET } from "../../mmu/arena.ts";
import { type IrBlock } from "../ir/builder.ts";
import { Op, WORDS } from "../ir/ops.ts";

/** A block in the cache. */
export interface CachedBlock extends IrBlock {
  /** Code index of its first record. */
  start: number;
  /** Code index after its last record. */
  end: number;
  /** Code indices of link records that were resolved to this block. */
  incoming: number[];
}

const PAGE_SHIFT = 12;
const TWO32 = 0x1_0000_0000;

/** Blocks by guest address, and the code array they live in. */
export class CodeCache {
  /** The arena, which holds the records of all blocks. */
  readonly code: Int32Array<ArrayBuffer>;
  /** Increased whenever code indices became invalid. */
  generation = 0;
  /** Blocks translated since the start. */
  translated = 0;
  /** Times the cache was full and started anew. */
  flushes = 0;
  /** Called after blocks were dropped. */
  onDrop: () => void = () => {};
  /** Called when every code index became invalid. */
  onFlush: () => void = () => {};
  readonly #limit: number;
  #used = CODE_OFFSET / 4;
  #byPc = new Map<number, CachedBlock>();
  /** In code order, for {@linkcode blockAt}. */
  #order: CachedBlock[] = [];
  #byPage = new Map<number, Set<CachedBlock>>();

  /** @param limit Most bytes of records before the cache starts anew. */
  constructor(arena: Arena, limit = GUEST_OFFSET - CODE_OFFSET) {
    this.code = arena.all32;
    this.#limit = (CODE_OFFSET + Math.min(limit, GUEST_OFFSET - CODE_OFFSET)) / 4;
  }

  /** Blocks in the cache. */
  get size(): number {
    return this.#byPc.size;
  }

  /** Bytes of records in use. */
  get bytes(): number {
    return this.#used * 4 - CODE_OFFSET;
  }

  /** The block that starts at `pc`. */
  get(pc: number): CachedBlock | undefined {
    return this.#byPc.get(pc);
  }

  /** Places a block; `find` says whether {@linkcode get} shall find it by its address. */
  install(ir: IrBlock, find: boolean): CachedBlock {
    const length = ir.code.length;
    if (this.#used + length > this.#limit) this.flush();
    const start = this.#used, code = this.code;
    code.set(ir.code, start);
    // Only the records at the end name code indices: links, and the terminator before them.
    let at = start + length - WORDS;
    for (; code[at] === Op.link; at -= WORDS) if (code[at + 2] >= 0) code[at + 2] += start;
    const op = code[at];
    if (op === Op.jump || (op >= Op.brEq && op <= Op.brGeu)) code[at + 4] += start;
    if (op >= Op.brEq && op <= Op.brGeu) code[at + 5] += start;
    this.#used = start + length;
    const block: CachedBlock = { ...ir, start, end: start + length, incoming: [] };
    this.#order.push(block);
    this.translated++;
    if (find) this.#byPc.set(block.pc, block);
    const last = Math.floor((block.pc + Math.max(block.bytes, 1) - 1) / (1 << PAGE_SHIFT));
    for (let page = Math.floor(block.pc / (1 << PAGE_SHIFT)); page <= last; page++) {
      let set = this.#byPage.get(page);
      if (!set) this.#byPage.set(page, set = new Set());
      set.add(block);
    }
    return block;
  }

  /** Guest address that a link record leads to. */
  linkTarget(link: number): number {
    return this.code[link + 5] * TWO32 + (this.code[link + 4] >>> 0);
  }

  /** Resolves a link record: its branch goes to `block` directly from now on. */
  resolve(link: number, block: CachedBlock): void {
    const code = this.code;
    code[link] = Op.goto;
    code[link + 3] = block.start;
    if (code[link + 2] >= 0) code[code[link + 2]] = block.start;
    block.incoming.push(link);
  }

  /** The block whose records include code index `ip`. */
  blockAt(ip: number): CachedBlock {
    const order = this.#order;
    let low = 0, high = order.length - 1;
    while (low < high) {
      const mid = (low + high + 1) >> 1;
      if (order[mid].start <= ip) low = mid;
      else high = mid - 1;
    }
    return order[low];
  }

  /** Index of the guest instruction in its block that the record at `ip` belongs to. */
  insnIndex(block: CachedBlock, ip: number): number {
    return block.insns[(ip - block.start) / WORDS];
  }

  /** Drops all blocks that have bytes in the pages; one that is running may run to its end. */
  invalidate(firstPage: number, lastPage: number): void {
    const code = this.code;
    let dropped = false;
    for (let page = firstPage; page <= lastPage; page++) {
      const set = this.#byPage.get(page);
      if (!set) continue;
      this.#byPage.delete(page);
      for (const block of set) {
        dropped = true;
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
    this.#used = CODE_OFFSET / 4;
    this.#byPc.clear();
    this.#byPage.clear();
    this.#order.length = 0;
    this.generation++;
    this.flushes++;
    this.onDrop();
    this.onFlush();
  }
}
