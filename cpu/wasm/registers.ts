/**
 * Guest registers and temporaries in the locals of one WebAssembly function.
 *
 * @module
 */
import { findPairs, isShared } from "../engine/region/liveness.ts";
import type { Region } from "../engine/region/region.ts";
import { FIELDS, Op as Ir, Slot, WORDS } from "../ir/ops.ts";
import { type BodyWriter, Op, ValType } from "./encoder.ts";

/** Fields of ops that are doubles, as word indices in a record; those of other ops are integers. */
const DOUBLES = new Map<number, readonly number[]>([
  ...["fadd64", "fsub64", "fmul64", "fdiv64", "fmin64", "fmax64"].map(
    (name): [number, number[]] => [Ir[name], [1, 2, 3]],
  ),
  [Ir.fma64, [1, 2, 3, 4]],
  [Ir.fsqrt64, [1, 2]],
  ...["feq64", "flt64", "fle64"].map((name): [number, number[]] => [Ir[name], [2, 3]]),
  ...["S32", "U32", "S64", "U64", "F32"].flatMap((type): [number, number[]][] => [
    [Ir[`cvtF64${type}`], [1]],
    [Ir[`cvt${type}F64`], [2]],
  ]),
]);
/** Ops that move 64 bits whatever they are. */
const NEUTRAL = new Set([Ir.ld64, Ir.st64, Ir.mov]);

/**
 * Slots of a region in locals: i64, or f64 where most uses are. A pair that any op of the region uses as a vector is one
 * v128, of which other ops use the halves.
 */
export class Registers {
  readonly #w: BodyWriter;
  readonly #locals = new Map<number, number>();
  readonly #doubles: Set<number>;
  readonly #pairs: ReadonlySet<number>;
  /** Takes a half of a vector. */
  #half = -1;
  #halfDouble = -1;
  /** Takes what goes to a slot that has no local. */
  #long = -1;
  /**
   * The low half of which the next write makes the high one 0, -1 for none: that needs nothing of the vector before,
   * and one operation where two halves would need two.
   */
  clearing = -1;

  /** Declares a local for each of `slots`. */
  constructor(w: BodyWriter, region: Region, slots: readonly number[]) {
    this.#w = w;
    this.#doubles = findDoubles(region);
    this.#pairs = findPairs(region);
    for (const slot of slots) {
      const type = this.#pairs.has(slot)
        ? ValType.v128
        : this.#doubles.has(slot)
        ? ValType.f64
        : ValType.i64;
      this.#locals.set(slot, w.local(type, `slot${slot}`));
    }
  }

  /** Whether the slot is a half of a vector. */
  isHalf(slot: number): boolean {
    return this.#pairs.has(slot & ~1);
  }

  /** Whether the slot is best read and written as a double. */
  isDouble(slot: number): boolean {
    return this.#doubles.has(slot);
  }

  /** Pushes the vector of a pair. */
  getVector(slot: number): void {
    this.#w.localGet(this.#locals.get(slot)!);
  }

  /** Pops a vector into a pair. */
  setVector(slot: number): void {
    this.#w.localSet(this.#locals.get(slot)!);
  }

  /** Pushes the slot's 64 bits. */
  get(slot: number): void {
    const w = this.#w, local = this.#locals.get(slot);
    if (slot === Slot.ZERO) return w.i64Const(0, 0);
    if (this.isHalf(slot)) {
      this.getVector(slot & ~1);
      return w.lane(Op.i64x2_extract_lane, slot & 1);
    }
    if (local === undefined) {
      w.i32Const(0);
      return w.load(Op.i64_load, 3, slot * 8);
    }
    w.localGet(local);
    if (this.#doubles.has(slot)) w.op(Op.i64_reinterpret_f64);
  }

  /** Pushes the low word. */
  get32(slot: number): void {
    if (this.isHalf(slot)) {
      this.getVector(slot & ~1);
      return this.#w.lane(Op.i32x4_extract_lane, (slot & 1) * 2);
    }
    this.get(slot);
    this.#w.op(Op.i32_wrap_i64);
  }

  /** Pushes the slot as a double. */
  getDouble(slot: number): void {
    const w = this.#w;
    if (this.isHalf(slot)) {
      this.getVector(slot & ~1);
      return w.lane(Op.f64x2_extract_lane, slot & 1);
    }
    if (this.#doubles.has(slot)) return w.localGet(this.#locals.get(slot)!);
    this.get(slot);
    w.op(Op.f64_reinterpret_i64);
  }

  /** Pushes the low word as a float. */
  getFloat(slot: number): void {
    if (this.isHalf(slot)) {
      this.getVector(slot & ~1);
      return this.#w.lane(Op.f32x4_extract_lane, (slot & 1) * 2);
    }
    this.get32(slot);
    this.#w.op(Op.f32_reinterpret_i32);
  }

  /** Pushes the vector into which a half is written. */
  #getOther(slot: number): void {
    if (slot === this.clearing) this.#w.v128Const(0, 0, 0, 0);
    else this.getVector(slot & ~1);
  }

  /** Pops 64 bits into the slot. */
  set(slot: number): void {
    const w = this.#w, local = this.#locals.get(slot);
    if (this.isHalf(slot)) {
      if (this.#half < 0) this.#half = w.local(ValType.i64, "half");
      w.localSet(this.#half);
      this.#getOther(slot);
      w.localGet(this.#half);
      w.lane(Op.i64x2_replace_lane, slot & 1);
      return this.setVector(slot & ~1);
    }
    if (local !== undefined) {
      if (this.#doubles.has(slot)) w.op(Op.f64_reinterpret_i64);
      return w.localSet(local);
    }
    if (this.#long < 0) this.#long = w.local(ValType.i64, "long");
    w.localSet(this.#long);
    w.i32Const(0);
    w.localGet(this.#long);
    w.store(Op.i64_store, 3, slot * 8);
  }

  /** Pops a double into the slot. */
  setDouble(slot: number): void {
    if (this.isHalf(slot)) {
      const w = this.#w;
      if (this.#halfDouble < 0) this.#halfDouble = w.local(ValType.f64, "halfDouble");
      w.localSet(this.#halfDouble);
      this.#getOther(slot);
      w.localGet(this.#halfDouble);
      w.lane(Op.f64x2_replace_lane, slot & 1);
      return this.setVector(slot & ~1);
    }
    if (this.#doubles.has(slot)) return this.#w.localSet(this.#locals.get(slot)!);
    this.#w.op(Op.i64_reinterpret_f64);
    this.set(slot);
  }

  /** The variables that slots are in, each once. */
  #variables(slots: Iterable<number>): Set<number> {
    const found = new Set<number>();
    for (const slot of slots) found.add(this.isHalf(slot) ? slot & ~1 : slot);
    return found;
  }

  /** Writes locals to their cells. */
  save(slots: Iterable<number>): void {
    const w = this.#w;
    for (const slot of this.#variables(slots)) {
      const local = this.#locals.get(slot);
      if (local === undefined) continue;
      w.i32Const(0);
      w.localGet(local);
      if (this.#pairs.has(slot)) w.store(Op.v128_store, 4, slot * 8);
      else w.store(this.#doubles.has(slot) ? Op.f64_store : Op.i64_store, 3, slot * 8);
    }
  }

  /** Reads locals from their cells. */
  load(slots: Iterable<number>): void {
    const w = this.#w;
    for (const slot of this.#variables(slots)) {
      const local = this.#locals.get(slot);
      if (local === undefined) continue;
      w.i32Const(0);
      if (this.#pairs.has(slot)) w.load(Op.v128_load, 4, slot * 8);
      else w.load(this.#doubles.has(slot) ? Op.f64_load : Op.i64_load, 3, slot * 8);
      if (slot === this.clearing) {
        w.i64Const(0, 0);
        w.lane(Op.i64x2_replace_lane, 1);
      }
      w.localSet(local);
    }
  }
}

/** The slots that are used as doubles more often than as integers. */
function findDoubles(region: Region): Set<number> {
  const score = new Map<number, number>();
  for (const { ir: { code }, terminator } of region.blocks) {
    for (let at = 0; at <= terminator; at += WORDS) {
      const op = code[at];
      if (NEUTRAL.has(op)) continue;
      const doubles = DOUBLES.get(op), fields = FIELDS[op];
      const count = (field: number) => {
        const slot = code[at + field];
        score.set(slot, (score.get(slot) ?? 0) + (doubles?.includes(field) ? 1 : -1));
      };
      fields.reads.forEach(count);
      if (fields.writes) count(1);
    }
  }
  const slots = [...score].filter(([slot, points]) =>
    points > 0 && slot !== Slot.ZERO && !isShared(slot)
  );
  return new Set(slots.map(([slot]) => slot));
}
