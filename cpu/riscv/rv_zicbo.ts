/**
 * Cache-block operations: Zicbom (management), Zicboz (zeroing) and Zicbop (prefetch).
 *
 * Source: The RISC-V Instruction Set Manual, volume I, chapter "CMO". Memory is coherent and has no cache to
 * manage, so clean, flush and inval do nothing. The prefetches are encodings of `ori` to x0 and need no row.
 *
 * @module
 */
import type { Fields } from "../isa/decoder.ts";
import { type Lifter, Op, rows } from "./lifter.ts";

/** Bytes of a cache block, as in the RVA profiles. */
export const CACHE_BLOCK_BYTES = 64;

const nothing = (c: Lifter) => c.b.state(Op.nop);

/** The rows. */
export const RV_ZICBO = () =>
  rows(
    ["cbo.inval", "000000000000 rs1 010 00000 0001111", "({rs1})", nothing],
    ["cbo.clean", "000000000001 rs1 010 00000 0001111", "({rs1})", nothing],
    ["cbo.flush", "000000000010 rs1 010 00000 0001111", "({rs1})", nothing],
    ["cbo.zero", "000000000100 rs1 010 00000 0001111", "({rs1})", (c: Lifter, f: Fields) => {
      c.b.stateAt(Op.zero, c.address(f.rs1, 0)[0], CACHE_BLOCK_BYTES);
    }],
  );
