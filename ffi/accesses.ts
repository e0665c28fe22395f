/**
 * Checks of memory accesses, of which one may stand for several: accesses of a block whose addresses differ by constants.
 *
 * The page table does not change while compiled code runs, so a check may be made early: where it fails, the block is left
 * at the first of the accesses, and the interpreter finds out which of them faults.
 *
 * @module
 */
import type { RegionBlock } from "../cpu/engine/region.ts";
import { Effect, Op, OPS, slotFields, WORDS } from "../cpu/ir/ops.ts";
import { Page } from "../mmu/address_space.ts";

/** A check of several accesses, made at the first. All offsets in bytes from the first's address. */
export interface JointCheck {
  /** First and last byte that is accessed. */
  readonly low: number;
  readonly high: number;
  /** An address that must be a multiple of 2^log2. */
  readonly aligned: number;
  readonly log2: number;
  /** `Page` bits that are needed. */
  readonly rights: number;
}

/** By the word index of a memory access: its joint check, or "done" if an earlier one covers it. */
export type AccessPlan = ReadonlyMap<number, JointCheck | "done">;

/** Bytes that a joint check may span: two pages are tested, and may not be further apart. */
const MAX_SPAN = 2048;

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
]);
const WRITES = OPS.map((op) => slotFields(op).writes);

interface Access {
  at: number;
  offset: number;
  size: number;
  right: number;
}

function plan(group: Access[], into: Map<number, JointCheck | "done">): void {
  const widest = group.reduce((a, b) => b.size > a.size ? b : a);
  const joint = group.filter(({ offset, size }) => ((offset - widest.offset) & (size - 1)) === 0);
  if (joint.length < 2) return;
  const [first] = joint;
  into.set(first.at, {
    low: Math.min(...joint.map(({ offset }) => offset)) - first.offset,
    high: Math.max(...joint.map(({ offset, size }) => offset + size - 1)) - first.offset,
    aligned: widest.offset - first.offset,
    log2: 31 - Math.clz32(widest.size),
    rights: joint.reduce((bits, { right }) => bits | right, 0),
  });
  for (const { at } of joint.slice(1)) into.set(at, "done");
}

/** Finds the joint checks of a block. */
export function planAccesses({ ir, terminator }: RegionBlock): AccessPlan {
  const { code } = ir, result = new Map<number, JointCheck | "done">();
  /** Each slot's value as a constant away from a value that has a number. */
  const values = new Map<number, { root: number; offset: number }>();
  const groups = new Map<number, Access[]>();
  let roots = 0;
  const valueOf = (slot: number) => {
    let value = values.get(slot);
    if (!value) values.set(slot, value = { root: roots++, offset: 0 });
    return value;
  };
  for (let at = 0; at < terminator; at += WORDS) {
    const op = code[at], d = code[at + 1], immediate = code[at + 4];
    const short = immediate >> 31 === code[at + 5] && Math.abs(immediate) < 1 << 20;
    const size = SIZES.get(op);
    if (size !== undefined && short) {
      const { root, offset } = valueOf(code[at + 2]);
      const right = OPS[op].effect === Effect.LOAD ? Page.LOAD : Page.STORE;
      const access = { at, offset: offset + immediate, size, right };
      let group = groups.get(root);
      if (group) {
        const all = [...group, access];
        const low = Math.min(...all.map((each) => each.offset));
        const high = Math.max(...all.map((each) => each.offset + each.size));
        if (high - low > MAX_SPAN) {
          plan(group, result);
          group = undefined;
        }
      }
      if (group) group.push(access);
      else groups.set(root, [access]);
    }
    if (!WRITES[op]) continue;
    if (op === Op.add64i && short) {
      const { root, offset } = valueOf(code[at + 2]);
      values.set(d, { root, offset: offset + immediate });
    } else if (op === Op.mov) values.set(d, { ...valueOf(code[at + 2]) });
    else values.set(d, { root: roots++, offset: 0 });
  }
  for (const group of groups.values()) plan(group, result);
  return result;
}
