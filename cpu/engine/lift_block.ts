/**
 * Where a block ends, whichever mode its code is fetched in.
 *
 * @module
 */
import type { Builder, IrBlock } from "../ir/builder.ts";
import type { Fetch, Isa } from "../isa/isa.ts";

/** What lifts blocks: where from, and into what. */
export interface BlockLifter {
  readonly builder: Builder;
  readonly isa: Isa;
  readonly fetch: Fetch;
  /** Called before each instruction, with the number of those before it. */
  next?(count: number): void;
}

/**
 * Lifts a block: up to what ends it by itself, a number of instructions, or the end of the page.
 *
 * @param pc Guest address of the first instruction.
 * @param limit Most instructions.
 * @param end Guest address at which the page ends; the last instruction may go on behind it.
 * @returns The block; if its first instruction can't be fetched, what {@linkcode Isa.lift} returned, 0 or less.
 */
export function liftBlock(
  lifter: BlockLifter,
  pc: number,
  limit: number,
  end: number,
): IrBlock | number {
  const { builder, isa, fetch } = lifter;
  builder.start(pc);
  let at = pc;
  for (let count = 0; !builder.ended; count++) {
    if (count === limit || at >= end) {
      builder.jump(at);
      break;
    }
    lifter.next?.(count);
    builder.begin(at);
    const length = isa.lift(builder, at, fetch);
    if (length <= 0) {
      // Memory may become executable later: a fetch fault is never translated, the block ends before it.
      if (count === 0) return length;
      builder.cancel();
      builder.jump(at);
      break;
    }
    builder.end();
    at += length;
  }
  return builder.finish(at - pc);
}
