/**
 * What is known of slots while a block is printed: which hold words, and which the floating-point flags.
 *
 * @module
 */
import { FIELDS, Op, OPS, Slot, slotsWritten, WORDS } from "../cpu/ir/ops.ts";

/** Ops whose result is a word, sign-extended. */
const WORD_OPS = new Set(
  OPS.filter(({ name }) =>
    /^((add|sub|mul|shl|shru|shrs|rotr)32i?|(div|rem)[su]32|sext\d+|s(lt|ltu|eq|ne)64i?|ld[SU](8|16)|ldS32|f?(eq|lt|le)(32|64)|cvt[SU]32F\d+)$/
      .test(name)
  ).map(({ code }) => code),
);
/** Ops that may raise a floating-point exception and go on. */
const RAISES = new Set(
  OPS.filter(({ name }) => /^(v?f(add|sub|mul|div|ma|sqrt)|v?cvt)/.test(name)).map(({ code }) =>
    code
  ),
);
const BITWISE = new Set([Op.and64, Op.or64, Op.xor64]);
/** Whether a record copies a slot, or the five bits in it that are flags. */
const isCopy = (code: Int32Array, at: number) =>
  code[at] === Op.mov || (code[at] === Op.and64i && code[at + 4] === 31 && code[at + 5] === 0);

/** Whether an op may raise a floating-point exception and go on. */
export const mayRaise = (op: number): boolean => RAISES.has(op);

/** What is known at one place of a block. */
export class KnownValues {
  /** Slots that hold a word, sign-extended, at this place in the block. */
  readonly #words = new Set<number>();
  /** Slots that hold the flags as they are at this place in the block. */
  readonly #flags = new Set<number>();

  /** Forgets all. */
  clear(): void {
    this.#words.clear();
    this.#flags.clear();
  }

  /** Whether a slot certainly holds a word, sign-extended. */
  isWord(slot: number): boolean {
    return slot === Slot.ZERO || this.#words.has(slot);
  }

  /** A record was executed. */
  note(code: Int32Array, at: number): void {
    if (RAISES.has(code[at])) this.#flags.clear();
    if (FIELDS[code[at]].writes) this.#noteWord(code, at);
    this.#noteFlags(code, at);
  }

  /**
   * Whether a record writes the flags that there are, or follows one that did: programs save and restore them around a
   * comparison that raises nothing here.
   */
  keepsFlags(code: Int32Array, at: number): boolean {
    if (code[at] === Op.fpsync) return at >= WORDS && this.keepsFlags(code, at - WORDS);
    return code[at + 1] === Slot.FP_FLAGS && isCopy(code, at) && this.#flags.has(code[at + 2]);
  }

  #noteFlags(code: Int32Array, at: number): void {
    const from = code[at + 2];
    const flags = isCopy(code, at) && (from === Slot.FP_FLAGS || this.#flags.has(from));
    const slots = slotsWritten(code, at, FIELDS[code[at]]);
    if (slots.includes(Slot.FP_FLAGS)) this.#flags.clear();
    for (const slot of slots) this.#flags.delete(slot);
    if (flags) this.#flags.add(code[at + 1]);
  }

  #noteWord(code: Int32Array, at: number): void {
    const op = code[at], [a, b] = [code[at + 2], code[at + 3]];
    const word = WORD_OPS.has(op) || (op === Op.mov && this.isWord(a)) ||
      (BITWISE.has(op) && this.isWord(a) && this.isWord(b)) ||
      (op === Op.const && code[at + 4] >> 31 === code[at + 5]);
    if (word) this.#words.add(code[at + 1]);
    else for (const slot of slotsWritten(code, at, FIELDS[op])) this.#words.delete(slot);
  }
}
