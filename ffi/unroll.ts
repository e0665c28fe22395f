/**
 * Loops of one block, several iterations of which are printed one behind the other: their accesses that move by a constant
 * are checked together, for all iterations, and fuel is counted once.
 *
 * @module
 */
import { Ending, type RegionBlock } from "../cpu/engine/region/region.ts";
import { FIELDS, Op, slotsWritten, WORDS } from "../cpu/ir/ops.ts";
import { type Access, accessOf, hasShortImmediate } from "./accesses.ts";
import { EXTENT_SLACK } from "./layout.ts";

/** Most guest instructions of a loop that is unrolled. */
const MAX_INSNS = 32;
/** Most iterations at a time. */
const MAX_TIMES = 4;

/** The accesses of all iterations relative to a slot. */
export interface Span {
  /** The slot, of which the value at the beginning counts. */
  readonly slot: number;
  /** Lowest byte relative to it, and bytes from there. */
  readonly low: number;
  readonly span: number;
  /** `Page` bit that is needed. */
  readonly right: number;
}

/** How a loop is unrolled. */
export interface Unrolled {
  /** Iterations at a time. */
  readonly times: number;
  readonly spans: readonly Span[];
  /** Word indexes of the accesses that are in `spans`. */
  readonly covered: ReadonlySet<number>;
  /** Where the loop goes on when it ends, and whether its branch is taken then. */
  readonly out: number;
  readonly taken: boolean;
}

/** A value that is a constant away from what a slot had at the beginning; others have no slot. */
interface Affine {
  readonly slot: number | undefined;
  readonly offset: number;
}

/** Finds how a block is unrolled; undefined if it is no short loop by itself. */
export function planUnrolling(
  { ir, ending, targets, terminator }: RegionBlock,
): Unrolled | undefined {
  const { code, count, pc } = ir;
  if (ending !== Ending.BRANCH || count > MAX_INSNS) return undefined;
  const taken = targets[1] === pc, out = taken ? targets[0] : targets[1];
  if (out === pc || !targets.includes(pc)) return undefined;
  const values = new Map<number, Affine>();
  const valueOf = (slot: number): Affine => values.get(slot) ?? { slot, offset: 0 };
  const accesses = new Map<number, Access & { slot: number }>();
  for (let at = 0; at < terminator; at += WORDS) {
    const op = code[at], a = valueOf(code[at + 2]), access = accessOf(code, at);
    if (access?.short && a.slot !== undefined) {
      accesses.set(at, { ...access, slot: a.slot, offset: a.offset + access.offset });
    }
    for (const slot of slotsWritten(code, at, FIELDS[op])) {
      const short = hasShortImmediate(code, at);
      if (op === Op.mov) values.set(slot, a);
      else if (op === Op.add64i && short) {
        values.set(slot, { slot: a.slot, offset: a.offset + code[at + 4] });
      } else values.set(slot, { slot: undefined, offset: 0 });
    }
  }
  const groups = new Map<number, { low: number; high: number; right: number; step: number }>();
  for (const { slot, offset, size, right } of accesses.values()) {
    const end = valueOf(slot), group = groups.get(slot);
    if (end.slot !== slot) continue;
    groups.set(slot, {
      low: Math.min(offset, group?.low ?? Infinity),
      high: Math.max(offset + size, group?.high ?? -Infinity),
      right: Math.max(right, group?.right ?? 0),
      step: end.offset,
    });
  }
  /** Bytes that some iterations access. */
  const reach = ({ low, high, step }: { low: number; high: number; step: number }, times: number) =>
    high - low + Math.abs(step) * (times - 1);
  for (const [slot, group] of groups) {
    if (reach(group, 2) > EXTENT_SLACK) groups.delete(slot);
  }
  let times = MAX_TIMES;
  while ([...groups.values()].some((group) => reach(group, times) > EXTENT_SLACK)) times--;
  const spans: Span[] = [...groups].map(([slot, group]) => {
    const low = group.low + Math.min(0, group.step * (times - 1));
    return { slot, low, span: reach(group, times), right: group.right };
  });
  const covered = new Set(
    [...accesses].filter(([, { slot }]) => groups.has(slot)).map(([at]) => at),
  );
  return { times, spans, covered, out, taken };
}
