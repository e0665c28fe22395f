/**
 * What user mode needs for guest code that no earlier run has left translated. A module of its own, and what it imports,
 * because most starts of a program need none of it.
 *
 * @module
 */
import { type AddressSpace, Page } from "../../mmu/address_space.ts";
import { PAGE_SIZE } from "../../mmu/arena.ts";
import { Builder, type IrBlock, type PassOptions } from "../ir/builder.ts";
import type { Disassembly, Isa } from "../isa/isa.ts";
import { type BlockLifter, liftBlock } from "./lift_block.ts";
import { collectRegions } from "./region/batch.ts";
import { VectorOps } from "./vector/vector.ts";

/** Translates the guest code of one address space. */
export class Translator {
  /** Forms regions. */
  readonly collect = collectRegions;
  /** Executes ops on vectors. */
  readonly Vectors = VectorOps;
  /** Address that {@linkcode Translator.lift} could not fetch from, unsigned. */
  faultAddress = 0n;
  readonly #isa: Isa;
  readonly #space: AddressSpace;
  readonly #lifter: BlockLifter;

  constructor(isa: Isa, space: AddressSpace, passes: PassOptions) {
    this.#isa = isa;
    this.#space = space;
    this.#lifter = { builder: new Builder(passes), isa, fetch: this.#fetch };
  }

  #fetch = (address: number): number => {
    if (address < 0 || (address & 1) !== 0 || address >= this.#space.size) return -1;
    const { pages, m16 } = this.#space.arena;
    return (pages[address >>> 12] & Page.EXEC) === 0 ? -1 : m16[address >>> 1];
  };

  /** Assembly text of the instruction at `pc`. */
  disassemble(pc: number): Disassembly {
    return this.#isa.disassemble(pc, this.#fetch);
  }

  /** Lifts a block of at most `limit` instructions at `pc`; undefined if the first can't be fetched. */
  lift(pc: number, limit: number): IrBlock | undefined {
    const end = (Math.floor(pc / PAGE_SIZE) + 1) * PAGE_SIZE;
    const block = liftBlock(this.#lifter, pc, limit, end);
    if (typeof block !== "number") return block;
    this.faultAddress = BigInt.asUintN(64, BigInt(pc) - BigInt(block));
    return undefined;
  }
}
