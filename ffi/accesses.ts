/**
 * Checks of memory accesses, of which one may stand for several: accesses whose addresses differ by constants.
 *
 * Rights to pages do not change while compiled code runs, so a check may be made early: where it fails, the block is left
 * at the first of the accesses, and the interpreter finds out which of them faults. Each check has an *extent*, a
 * remembered run of pages (see unit.h).
 *
 * @module
 */
import type { RegionBlock } from "../cpu/engine/region/region.ts";
import { Effect, FIELDS, Op, OPS, slotsWritten, WORDS } from "../cpu/ir/ops.ts";
import { Page } from "../mmu/address_space.ts";
import { EXTENT_SLACK } from "./layout.ts";

/** A check of accesses, made at the first. */
export interface Check {
  /** The accesses that rely on it; those of later blocks do, too. */
  readonly group: object;
  /** Lowest byte that is accessed, relative to the first access' address, and bytes from there to the end of the highest. */
  readonly low: number;
  readonly span: number;
  /** `Page` bit that is needed: what may be stored to may be loaded. */
  readonly right: number;
}

/** What is known at a place in a unit. */
export interface AccessState {
  /** Each slot's value as a constant away from a value that has a number. */
  readonly values: ReadonlyMap<number, Value>;
  /** What was checked, by the number of the value, times two, and one more for stores that are apart. */
  readonly checked: ReadonlyMap<number, Group>;
}

/** The checks of a block, by the word index of the access that makes it; accesses without one need none. */
export interface AccessPlan {
  readonly checks: ReadonlyMap<number, Check>;
  /** By the word index of each access: what it relies on, and how far it is from the lowest byte of that. */
  readonly places: ReadonlyMap<number, { readonly group: object; readonly distance: number }>;
  /** What is known behind the block. */
  readonly state: AccessState;
}

interface Value {
  readonly root: number;
  readonly offset: number;
}

/** Accesses that are checked together; bytes relative to the value. */
interface Group {
  readonly at: number;
  readonly offset: number;
  low: number;
  high: number;
  right: number;
}

const SIZES = new Map<number, number>([
  [Op.ldS8, 1],
  [Op.ldU8, 1],
  [Op.ldS16, 2],
  [Op.ldU16, 2],
  [Op.ldS32, 4],
  [Op.ldU32, 4],
  [Op.ldB32, 4],
  [Op.ld64, 8],
  [Op.st8, 1],
  [Op.st16, 2],
  [Op.st32, 4],
  [Op.st64, 8],
  [Op.ldV, 16],
  [Op.stV, 16],
]);

/** An access to memory. */
export interface Access {
  /** The immediate that is added to the address, which counts only if `short`. */
  readonly offset: number;
  readonly short: boolean;
  /** Bytes. */
  readonly size: number;
  /** `Page` bit that is needed. */
  readonly right: number;
}

/** Whether the immediate of a record is so small that constants can be added up. */
export const hasShortImmediate = (code: Int32Array, at: number): boolean =>
  code[at + 4] >> 31 === code[at + 5] && Math.abs(code[at + 4]) < 1 << 20;

/** The access that a record makes, if it is one that is checked here. */
export function accessOf(code: Int32Array, at: number): Access | undefined {
  const size = SIZES.get(code[at]);
  if (size === undefined) return undefined;
  const right = OPS[code[at]].effect === Effect.LOAD ? Page.LOAD : Page.STORE;
  return { offset: code[at + 4], short: hasShortImmediate(code, at), size, right };
}

/**
 * Finds the checks of a block.
 *
 * @param before What is known at its start: what was known behind its only predecessor, or nothing.
 * @param apart Whether loads and stores are checked apart: in system mode to look for a page to store to makes it dirty.
 */
export function planAccesses(
  { ir: { code }, terminator }: RegionBlock,
  before: AccessState | undefined,
  apart = false,
): AccessPlan {
  const values = new Map(before?.values), checked = new Map(before?.checked);
  const checks = new Map<number, Group>();
  /** Groups that accesses may still join. */
  const open = new Map<number, Group>();
  const places = new Map<number, { group: Group; offset: number }>();
  const alone = (at: number, group: Group) => {
    checks.set(at, group);
    places.set(at, { group, offset: group.offset });
  };
  let roots = 0;
  // Numbers are not used again: something may be known of values that no slot has any longer.
  for (const key of checked.keys()) roots = Math.max(roots, (key >> 1) + 1);
  for (const { root } of values.values()) roots = Math.max(roots, root + 1);
  const valueOf = (slot: number) => {
    let value = values.get(slot);
    if (!value) values.set(slot, value = { root: roots++, offset: 0 });
    return value;
  };
  const access = (at: number, slot: number, immediate: number, size: number, right: number) => {
    const value = valueOf(slot), offset = value.offset + immediate;
    const key = value.root * 2 + (apart && right === Page.STORE ? 1 : 0);
    const done = checked.get(key), end = offset + size;
    if (done && offset >= done.low && end <= done.high && right <= done.right) {
      places.set(at, { group: done, offset });
      return;
    }
    const group = open.get(key);
    if (group) {
      const low = Math.min(group.low, offset), high = Math.max(group.high, end);
      if (high - low <= EXTENT_SLACK) {
        Object.assign(group, { low, high, right: Math.max(group.right, right) });
        places.set(at, { group, offset });
        return;
      }
    }
    const fresh: Group = { at, offset, low: offset, high: end, right };
    open.set(key, fresh);
    checked.set(key, fresh);
    alone(at, fresh);
  };
  for (let at = 0; at < terminator; at += WORDS) {
    const op = code[at], immediate = code[at + 4];
    const short = hasShortImmediate(code, at), made = accessOf(code, at);
    if (made) {
      const { size, right } = made;
      if (short) access(at, code[at + 2], immediate, size, right);
      else alone(at, { at, offset: 0, low: 0, high: size, right });
    }
    // A vector is no address; what was in its slots is gone.
    const written = slotsWritten(code, at, FIELDS[op]);
    if (written.length === 2) { for (const slot of written) values.delete(slot); }
    if (written.length !== 1) continue;
    if (op === Op.add64i && short) {
      const { root, offset } = valueOf(code[at + 2]);
      values.set(code[at + 1], { root, offset: offset + immediate });
    } else if (op === Op.mov) values.set(code[at + 1], valueOf(code[at + 2]));
    else values.set(code[at + 1], { root: roots++, offset: 0 });
  }
  return {
    checks: new Map(
      [...checks].map(([at, group]) => {
        const { offset, low, high, right } = group;
        return [at, { group, low: low - offset, span: high - low, right }];
      }),
    ),
    places: new Map(
      [...places].map(([at, { group, offset }]) => [at, { group, distance: offset - group.low }]),
    ),
    state: { values, checked },
  };
}
