/**
 * Which accesses of a region go through the same pointer.
 *
 * A register is reused: it points to one object here, and to another one there. Its *webs* are what belongs together:
 * all definitions that reach a use, and all uses that they reach (Muchnick, "Advanced Compiler Design and
 * Implementation", section 16.3.3). A copy, or a sum with a constant, is taken for the pointer that it was made from.
 *
 * @module
 */
import { Effect, FIELDS, Op, OPS, SLOT_COUNT, WORDS } from "../../ir/ops.ts";
import type { Region, RegionBlock } from "./region.ts";

/** The number of the web of the address of the load, store or atomic at a word index of a block. */
export type Webs = (block: RegionBlock, at: number) => number;

/** Most records of a block, for numbers of places. */
const MAX_RECORDS = 1 << 16;

/** Whether a record writes a slot. */
function defines(code: Int32Array, at: number, slot: number): boolean {
  const { writes, pairs } = FIELDS[code[at]], d = code[at + 1];
  return writes && (d === slot || (d + 1 === slot && pairs.includes(1)));
}

/** Finds the webs of the addresses in a region. */
export function findWebs({ blocks }: Pick<Region, "blocks">): Webs {
  const predecessors = blocks.map((): RegionBlock[] => []);
  for (const block of blocks) {
    for (const to of block.successors) if (to) predecessors[to.index].push(block);
  }
  /** Webs by place: a definition, or the start of a block. */
  const numbers = new Map<number, number>();
  /** A web that each became part of; itself if it did not. */
  const parents: number[] = [];
  const open: { block: RegionBlock; slot: number; web: number }[] = [];

  const root = (web: number): number => {
    while (parents[web] !== web) web = parents[web] = parents[parents[web]];
    return web;
  };
  /** The web of what a slot holds before the record at `at`. */
  const before = (block: RegionBlock, at: number, slot: number): number => {
    const { code } = block.ir;
    while ((at -= WORDS) >= 0) {
      if (!defines(code, at, slot)) continue;
      if (code[at] !== Op.mov && code[at] !== Op.add64i) break;
      slot = code[at + 2];
    }
    const record = Math.max(0, at / WORDS + 1);
    const place = (block.index * MAX_RECORDS + record) * SLOT_COUNT + slot;
    let web = numbers.get(place);
    if (web === undefined) {
      numbers.set(place, web = parents.length);
      parents.push(web);
      if (record === 0) open.push({ block, slot, web });
    }
    return web;
  };
  for (const block of blocks) {
    const { ir: { code }, terminator } = block;
    for (let at = 0; at < terminator; at += WORDS) {
      const { effect } = OPS[code[at]];
      if (effect === Effect.LOAD || effect === Effect.STORE) before(block, at, code[at + 2]);
    }
  }
  for (let next; (next = open.pop());) {
    for (const from of predecessors[next.block.index]) {
      parents[root(before(from, from.terminator, next.slot))] = root(next.web);
    }
  }
  return (block, at) => root(before(block, at, block.ir.code[at + 2]));
}
