/**
 * A translated block, and how it is made: what {@linkcode Builder} is asked for and gives.
 *
 * @module
 */

/** Longest block, in guest instructions. */
export const MAX_BLOCK_INSNS = 64;

/** Switches of what the builder and its passes may do; all on by default. */
export interface PassOptions {
  /** Follow constants through registers and fold ops on them. */
  fold: boolean;
  /** Let an op write its register directly instead of through a temporary. */
  retarget: boolean;
  /** Drop writes that nothing can see. */
  dead: boolean;
}

/** Every pass on. */
export const ALL_PASSES: PassOptions = { fold: true, retarget: true, dead: true };

/** A finished block, not yet placed in a code cache. */
export interface IrBlock {
  /** Guest address of the first instruction. */
  pc: number;
  /** Bytes of guest code, from `pc` on. */
  bytes: number;
  /** Guest instructions. */
  count: number;
  /** Records, `WORDS` words each; successors in `c` and `j` are word indices of `link` records in here. */
  code: Int32Array;
  /** For each record: index of its guest instruction. */
  insns: Uint8Array;
  /** For each guest instruction: its address. */
  pcs: number[];
}
