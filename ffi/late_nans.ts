/**
 * NaNs that are made canonical late.
 *
 * Where every NaN that an operation makes is the canonical one, its bits matter only once they can be seen: in memory, in
 * an integer, where code is left. Until then the processor's NaN goes from operation to operation as the guest's would,
 * with the same flags. So results are not compared one by one: as a NaN spreads, one that is none tells the same of all
 * that it was computed from.
 *
 * @module
 */
import { Slot } from "../cpu/ir/ops.ts";

/** The value of a slot, which may be a NaN that is not canonical yet. */
interface Late {
  /** Values that are no NaN if this one is not. */
  readonly parts: readonly Late[];
  /** Whether it is known to be no NaN. */
  sure: boolean;
}

/** What is known of slots at a place: slots that may hold a NaN that is not canonical yet. */
export class LateNans {
  readonly #values = new Map<number, Late>();

  /** Takes over what is known elsewhere. */
  copy(other: LateNans): void {
    // What becomes sure on one way must not on the other.
    const copies = new Map<Late, Late>();
    const copyOf = (late: Late): Late => {
      let copy = copies.get(late);
      if (!copy) {
        copy = { parts: late.parts.filter(({ sure }) => !sure).map(copyOf), sure: late.sure };
        copies.set(late, copy);
      }
      return copy;
    };
    this.#values.clear();
    for (const [slot, late] of other.#values) {
      if (!late.sure && slot < Slot.TEMP) this.#values.set(slot, copyOf(late));
    }
  }

  /** A slot gets the result of an operation on others. */
  result(slot: number, operands: readonly number[]): void {
    const parts = operands.flatMap((operand) => this.#values.get(operand) ?? []);
    // So the slots are in the order in which their values were computed.
    this.#values.delete(slot);
    this.#values.set(slot, { parts: parts.filter(({ sure }) => !sure), sure: false });
  }

  /** A slot gets the value of another one. */
  move(slot: number, from: number): void {
    const late = this.#values.get(from);
    if (late) this.#values.set(slot, late);
    else this.#values.delete(slot);
  }

  /** A slot gets any other value. */
  forget(slot: number): void {
    this.#values.delete(slot);
  }

  /** A slot's value is known to be no NaN. */
  sure(slot: number): void {
    const open = [this.#values.get(slot)];
    for (let late; (late = open.pop());) {
      if (late.sure) continue;
      late.sure = true;
      open.push(...late.parts);
    }
  }

  /** Whether a slot's value may be a NaN that is not canonical yet. */
  has(slot: number): boolean {
    return this.#values.get(slot)?.sure === false;
  }

  /** The registers of which that is so, without temporaries. */
  registers(): number[] {
    const all = [...this.#values].filter(([slot, { sure }]) => !sure && slot < Slot.TEMP);
    return all.map(([slot]) => slot);
  }

  /**
   * Slots to compare so that none of the registers may be such a NaN; or a certain slot, and a register that the same
   * comparison can tell of. What they tell is known afterwards.
   */
  compare(slot?: number): number[] {
    const compared: number[] = [];
    const take = (each: number) => {
      compared.push(each);
      this.sure(each);
    };
    if (slot !== undefined) take(slot);
    // What was computed last tells most.
    for (const each of this.registers().reverse()) {
      if (slot !== undefined && compared.length === 2) break;
      if (this.has(each)) take(each);
    }
    return compared;
  }
}
