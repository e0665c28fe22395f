/**
 * Which guest registers a compiled region must load, and which it must write back, and where.
 *
 * A region keeps registers in variables of its own (wasm locals, C locals). A variable is *dirty* where it may differ
 * from the register's cell in the arena, and *live* where its value may still be wanted, by an instruction or because it
 * is to be written back. Both are found by iteration over the control-flow graph (Aho, Lam, Sethi, Ullman, "Compilers",
 * 2nd edition, section 9.2). A call writes all back and loads anew what is live behind it.
 *
 * @module
 */
import { FIELDS, mayExit, OPS, Slot, slotsRead, slotsWritten, WORDS } from "../../ir/ops.ts";
import { dominates, Ending, type Region, type RegionBlock } from "./region.ts";

const MAY_EXIT = OPS.map(mayExit);

/** Whether other code reads and writes the slot too, so that it is never kept in a variable. */
export const isShared = (slot: number): boolean => slot >= Slot.FP_FLAGS;
/** Whether the slot holds a temporary, which no other block sees. */
export const isTemporary = (slot: number): boolean => slot >= Slot.TEMP && slot < Slot.FP_FLAGS;

/** First slots of the pairs that a region uses as vectors: it keeps each in one variable. */
export function findPairs({ blocks }: Pick<Region, "blocks">): ReadonlySet<number> {
  const found = new Set<number>();
  for (const { ir: { code }, terminator } of blocks) {
    for (let at = 0; at < terminator; at += WORDS) {
      for (const word of FIELDS[code[at]].pairs) found.add(code[at + word]);
    }
  }
  return found;
}

/** What a block needs of the registers. A vector is named by its first slot. */
export interface Flow {
  /** Registers to load before the block is entered from outside of the region or behind a call. */
  load: readonly number[];
  /** Registers to write back where the block is left, also from the middle. */
  save: readonly number[];
  /** Those of them that may really be dirty at the block's end. */
  dirty: readonly number[];
}

/** The analysis of one region. */
export interface Liveness {
  /** By the block's index. */
  readonly flows: readonly Flow[];
  /** Every register in the region, and every temporary. */
  readonly slots: readonly number[];
}

/** What the block itself does, as bit sets. */
interface Local {
  /** Read before it is written. */
  reads: Uint32Array;
  writes: Uint32Array;
  /** Written before the first place where the block may be left. */
  early: Uint32Array;
  /** Whether the block may be left, other than to a successor in the region. */
  leaves: boolean;
}

/**
 * Most different sets of registers to write back in one region: each is code in the function. In a region with more,
 * all exits write back all that any of them does.
 */
const MAX_SETS = 24;

const has = (set: Uint32Array, i: number) => (set[i >>> 5] >>> i & 1) !== 0;
const put = (set: Uint32Array, i: number) => {
  set[i >>> 5] |= 1 << i;
};

/** Whether the registers are written back at the block's end, by a call or a jump that keeps nothing. */
const endsClean = (block: RegionBlock) => block.ending >= Ending.CALL;

/** Finds what every block of a region must load and write back. */
export function findLiveness(region: Region): Liveness {
  const { blocks } = region;
  const indices = new Map<number, number>();
  const temporaries = new Set<number>();
  const pairs = findPairs(region);
  /** The variable that a slot is in, by its name. */
  const variable = (slot: number) => pairs.has(slot & ~1) ? slot & ~1 : slot;
  for (const { ir, terminator } of blocks) {
    const code = ir.code;
    for (let at = 0; at <= terminator; at += WORDS) {
      const fields = FIELDS[code[at]];
      for (const slot of slotsRead(code, at, fields)) note(slot);
      for (const slot of slotsWritten(code, at, fields)) note(slot);
    }
  }
  function note(each: number) {
    const slot = variable(each);
    if (slot === Slot.ZERO || isShared(slot)) return;
    if (isTemporary(slot)) temporaries.add(slot);
    else if (!indices.has(slot)) indices.set(slot, indices.size);
  }
  const registers = [...indices.keys()], words = registers.length + 31 >>> 5;
  const set = () => new Uint32Array(words);

  const locals = blocks.map((block): Local => {
    const { ir: { code }, terminator } = block;
    const local: Local = { reads: set(), writes: set(), early: set(), leaves: false };
    for (let at = 0; at <= terminator; at += WORDS) {
      const fields = FIELDS[code[at]];
      const read = (slot: number) => {
        const index = indices.get(variable(slot));
        if (index !== undefined && !has(local.writes, index)) put(local.reads, index);
      };
      slotsRead(code, at, fields).forEach(read);
      // A half that is written leaves the other as it is.
      const half = fields.writes && !fields.pairs.includes(1) && pairs.has(code[at + 1] & ~1);
      if (half) read(code[at + 1]);
      if (at < terminator && MAY_EXIT[code[at]] && !local.leaves) {
        local.leaves = true;
        local.early.set(local.writes);
      }
      const index = fields.writes ? indices.get(variable(code[at + 1])) : undefined;
      if (index !== undefined) put(local.writes, index);
    }
    if (!local.leaves) {
      local.early.set(local.writes);
      local.leaves = endsClean(block) || block.ending >= Ending.RETURN ||
        block.successors.some((to) => to === undefined || isBackEdge(block, to));
    }
    return local;
  });

  // Forwards: what may be dirty at the block's end, before anything is written back there.
  const save = locals.map(({ writes }) => writes.slice());
  propagate(blocks, (block) => {
    if (endsClean(block)) return false;
    let changed = false;
    for (const to of block.successors) {
      if (to) changed = union(save[to.index], save[block.index]) || changed;
    }
    return changed;
  });
  // A block without an exit writes nothing back, but its sets go on to its successors.
  const kinds = new Set(save.filter((_, i) => locals[i].leaves).map((bits) => bits.join()));
  const exits = kinds.size > MAX_SETS ? save.map(() => all(save)) : save;

  // Backwards: what is live at the block's start.
  const load = locals.map(({ reads }) => reads.slice());
  locals.forEach(({ leaves, early }, i) => {
    if (!leaves) return;
    for (let w = 0; w < words; w++) load[i][w] |= exits[i][w] & ~early[w];
  });
  propagate([...blocks].reverse(), (block) => {
    if (endsClean(block)) return false;
    const { index } = block, { writes } = locals[index];
    let changed = false;
    for (const to of block.successors) {
      if (!to) continue;
      for (let w = 0; w < words; w++) {
        const bits = (load[index][w] | load[to.index][w] & ~writes[w]) >>> 0;
        if (bits === load[index][w]) continue;
        load[index][w] = bits;
        changed = true;
      }
    }
    return changed;
  });

  const list = (bits: Uint32Array) => registers.filter((_, i) => has(bits, i));
  const known = new Map<string, readonly number[]>();
  const shared = (bits: Uint32Array) => {
    const key = bits.join();
    let slots = known.get(key);
    if (!slots) known.set(key, slots = list(bits));
    return slots;
  };
  return {
    flows: blocks.map((_, i) => ({
      load: shared(load[i]),
      save: shared(exits[i]),
      dirty: shared(save[i]),
    })),
    slots: [...registers, ...temporaries],
  };

  function all(sets: readonly Uint32Array[]): Uint32Array {
    const result = set();
    for (const bits of sets) union(result, bits);
    return result;
  }
}

/** Whether an edge of a region leads back to a loop's start. */
export function isBackEdge(from: RegionBlock, to: RegionBlock): boolean {
  return to.index <= from.index && dominates(to, from);
}

/** Adds a set to another; whether that changed it. */
function union(to: Uint32Array, from: Uint32Array): boolean {
  let changed = false;
  for (let w = 0; w < to.length; w++) {
    const bits = (to[w] | from[w]) >>> 0;
    changed ||= bits !== to[w];
    to[w] = bits;
  }
  return changed;
}

function propagate(blocks: readonly RegionBlock[], step: (block: RegionBlock) => boolean): void {
  for (let changed = true; changed;) {
    changed = false;
    for (const block of blocks) if (step(block)) changed = true;
  }
}
