/**
 * From a virtual address to translated code, in system mode: fetching, lifting and keeping blocks (system_code.ts).
 *
 * @module
 */
import { Page } from "../../../mmu/address_space.ts";
import { PAGE_SHIFT, PAGE_SIZE } from "../../../mmu/arena.ts";
import type { Bus } from "../../../mmu/bus.ts";
import { type Tlb, TLB_CONTEXTS } from "../../../mmu/softmmu.ts";
import { Builder, type IrBlock, MAX_BLOCK_INSNS, type PassOptions } from "../../ir/builder.ts";
import { Op } from "../../ir/ops.ts";
import type { Isa } from "../../isa/isa.ts";
import { Access, type PrivilegedHart, Walk } from "../../isa/system.ts";
import type { CachedBlock, CodeCache } from "../code_cache.ts";
import { type BlockLifter, liftBlock } from "../lift_block.ts";
import { type CodePage, type CodePlace, placeOf, SystemCode } from "./code.ts";

const TWO32 = 0x1_0000_0000;

/** Translates code for the hart that runs. */
export class SystemTranslator {
  /** The hart that runs, and its TLB. */
  hart!: PrivilegedHart;
  tlb!: Tlb;
  /** How the last fetch that failed was refused, a `Walk`, and the address of the bytes that are missing. */
  walk: number = Walk.OK;
  address = 0n;
  /** Whether the interpreter leaves a place to a tier. */
  isEntered: (place: CodePlace) => boolean = () => false;
  /** Where {@linkcode find} found a block that stays. */
  place: CodePlace | undefined;
  /** Pages of code, and the fetch TLB. */
  readonly code = new SystemCode(TLB_CONTEXTS);
  readonly #isa: Isa;
  readonly #bus: Bus;
  readonly #cache: CodeCache;
  readonly #lifter: BlockLifter;
  /** TLBs of all harts. */
  readonly #tlbs: readonly Tlb[];
  /** The page that is being lifted, if it is executable as a whole. */
  #known: CodePage | undefined;
  /** Virtual address after the page that is being lifted, and whether fetches must not go beyond it. */
  #end = 0;
  #inPage = true;

  constructor(isa: Isa, bus: Bus, cache: CodeCache, tlbs: readonly Tlb[], passes?: PassOptions) {
    this.#isa = isa;
    this.#bus = bus;
    this.#cache = cache;
    this.#tlbs = tlbs;
    this.#lifter = {
      builder: new Builder(passes),
      isa,
      fetch: this.#fetch,
      // An instruction that goes on in the next page is a block of its own.
      next: (count) => {
        if (count > 0) this.#inPage = true;
      },
    };
  }

  /** High word of a signed address. */
  high(address: number): number {
    return this.#isa.xlen === 32 ? 0 : Math.floor(address / TWO32) | 0;
  }

  /** Physical address for the hart that runs, or undefined. */
  physical(address: number, access: number): number | undefined {
    const { hart } = this;
    const walk = hart.translate(address | 0, this.high(address), access, 1);
    return walk === Walk.OK ? hart.physical : undefined;
  }

  /** Reads 16 bits of code for a debugger: nothing is recorded. */
  peek = (address: number): number => {
    const physical = this.physical(address, Access.FETCH);
    if (physical === undefined || (address & 1) !== 0) return -1;
    const offset = this.#bus.ramOffset(physical, 2);
    return offset < 0 ? -1 : this.#bus.ram.arena.m16[offset >>> 1];
  };

  /** Records why nothing can be fetched from an address that a number can't hold. */
  refuseFar(address: bigint): void {
    const lo = Number(BigInt.asIntN(32, address)), hi = Number(BigInt.asIntN(32, address >> 32n));
    const walk = this.hart.translate(lo, hi, Access.FETCH, 2);
    this.walk = walk === Walk.OK ? Walk.ACCESS : walk;
    this.address = address;
  }

  /** Reads 16 bits of code; a block that has begun ends at its page's end. */
  #fetch = (address: number): number => {
    if (address < this.#end) {
      const known = this.#known;
      if (known) {
        return this.#bus.ram.arena.m16[(known.page * PAGE_SIZE + address - known.virtual) >>> 1];
      }
    } else if (this.#inPage) return -1;
    const { hart } = this;
    this.walk = hart.translate(address | 0, this.high(address), Access.FETCH, 2);
    if (this.walk === Walk.OK) {
      const offset = this.#bus.ramOffset(hart.physical, 2);
      if (offset >= 0) return this.#bus.ram.arena.m16[offset >>> 1];
      this.walk = Walk.ACCESS;
    }
    this.address = BigInt(address);
    return -1;
  };

  /**
   * Lifts a block of a page for a region; undefined if it can't be fetched, or goes on in the next page, unless `next`.
   */
  liftIn(page: CodePage, pc: number, limit = MAX_BLOCK_INSNS, next = false): IrBlock | undefined {
    const end = page.virtual + PAGE_SIZE;
    if (!next && pc + 2 === end) {
      const ir = this.#lift(pc, limit, page, true);
      return ir && pc + ir.bytes <= end ? ir : undefined;
    }
    return this.#lift(pc, limit, page);
  }

  /** Lifts a block at `pc`; undefined if its first instruction can't be fetched. */
  #lift(pc: number, limit: number, known?: CodePage, inPage = false): IrBlock | undefined {
    this.#known = known;
    const end = this.#end = (Math.floor(pc / PAGE_SIZE) + 1) * PAGE_SIZE;
    this.#inPage = inPage;
    const block = liftBlock(this.#lifter, pc, limit, end);
    return typeof block === "number" ? undefined : block;
  }

  /** Places a block, which depends on pages of guest memory. */
  install(ir: IrBlock, pages: readonly number[]): CachedBlock {
    const block = this.#cache.install(ir, false, pages);
    for (const page of pages) this.watch(page);
    return block;
  }

  /** Has stores to a page of guest memory found out. */
  watch(page: number): void {
    const { ram } = this.#bus;
    if ((ram.arena.pages[page] & Page.WATCHED) !== 0) return;
    ram.watch(page);
    for (const tlb of this.#tlbs) tlb.forbidStores(page * PAGE_SIZE);
  }

  /** The code page at a virtual address, or undefined if it can't be executed as a whole. */
  pageAt(pc: number): CodePage | undefined {
    const { hart } = this, context = hart.codeContext;
    const known = this.code.lookup(context, pc);
    if (known) return known;
    this.walk = hart.translate(pc | 0, this.high(pc), Access.FETCH, 2);
    this.address = BigInt(pc);
    if (this.walk !== Walk.OK || !hart.wholePage) return undefined;
    const offset = this.#bus.ramOffset(hart.physical - hart.physical % PAGE_SIZE, PAGE_SIZE);
    if (offset < 0) {
      this.walk = Walk.ACCESS;
      return undefined;
    }
    if (hart.pageBytes > PAGE_SIZE) this.tlb.noteLarge(pc | 0, this.high(pc), hart.pageBytes);
    return this.code.enter(context, pc, offset);
  }

  /** The block at `pc`, translated if need be; undefined if it can't be fetched. */
  find(pc: number): CachedBlock | undefined {
    const page = this.pageAt(pc);
    this.place = undefined;
    if (!page) return this.walk === Walk.OK ? this.findAlone(pc) : undefined;
    const place = page.places.get(pc), block = place?.block;
    this.place = place;
    if (block?.live) return block;
    const crossing = page.crossing.get(pc), end = page.virtual + PAGE_SIZE;
    if (crossing?.block.live && this.pageAt(end)?.page === crossing.next) return crossing.block;
    const ir = this.#lift(pc, MAX_BLOCK_INSNS, page);
    if (!ir) return undefined;
    if (pc + ir.bytes <= end) {
      const made = this.install(ir, [page.page]);
      this.place = placeOf(page, pc);
      this.place.block = made;
      if (this.isEntered(this.place)) this.#cache.code[made.start] = Op.enter;
      return made;
    }
    const next = this.pageAt(end);
    if (!next) return this.findAlone(pc);
    const made = this.install(ir, [page.page, next.page]);
    page.crossing.set(pc, { block: made, next: next.page });
    return made;
  }

  /** A block that nothing finds again: one instruction, of a page that is executable in parts, or for a step. */
  findAlone(pc: number): CachedBlock | undefined {
    const ir = this.#lift(pc, 1);
    if (!ir) return undefined;
    const pages: number[] = [];
    for (const address of [pc, pc + ir.bytes - 1]) {
      const physical = this.physical(address, Access.FETCH);
      const offset = physical === undefined ? -1 : this.#bus.ramOffset(physical, 1);
      if (offset >= 0) pages.push(offset >>> PAGE_SHIFT);
    }
    return this.install(ir, pages);
  }

  /** Whether a branch of a block may lead to another one directly: both are in one page, at one place. */
  mayLink(from: CachedBlock, to: CachedBlock): boolean {
    if (!from.live || Math.floor(from.pc / PAGE_SIZE) !== Math.floor(to.pc / PAGE_SIZE)) {
      return false;
    }
    const page = this.pageAt(to.pc);
    return page?.places.get(to.pc)?.block === to && page.places.get(from.pc)?.block === from;
  }
}
