/**
 * What the rows of ops as C are made of.
 *
 * @module
 */

/** Operands of a record. */
export interface Operands {
  /** Destination slot. */
  d: number;
  /** Source slots. */
  a: number;
  b: number;
  c: number;
  /** The 32-bit immediate. */
  j: number;
  /** The 64-bit immediate, as C. */
  i: string;
  /** Whether the second operand is the immediate. */
  immediate: boolean;
}

/** What a row needs of the emitter. */
export interface OpContext {
  /** The bits of a slot. */
  get(slot: number): string;
  /** A slot as a double. */
  getDouble(slot: number): string;
  /** The same where a NaN need not be canonical yet: the result shows that it is one, or it leaves. */
  getLate(slot: number): string;
  /** Whether a slot may get a NaN that is not canonical yet (see late_nans.ts). */
  isLate(slot: number): boolean;
  /** Gives it one: the result of an operation on slots, which is a NaN if one of them is. */
  setLate(slot: number, value: string, operands: readonly number[]): void;
  /** Copies a double to a double. */
  moveDouble(slot: number, from: number): void;
  /** Says that slots are known to be no NaNs. */
  sure(...slots: number[]): void;
  /** Whether a slot's local is a double. */
  isDouble(slot: number): boolean;
  /** Writes the bits of a slot. */
  set(slot: number, value: string): void;
  /** Writes a double to a slot. */
  setDouble(slot: number, value: string): void;
  /** A vector. */
  getVector(slot: number): string;
  /** Writes a vector; the value may name what the declaration before it declares. */
  setVector(slot: number, value: string, declaration?: string): void;
  /** Adds a line. */
  line(text: string): void;
  /** A statement that leaves at the current guest instruction, with nothing of it done. */
  exit(): string;
  /** Leaves unless the access to `at` is allowed; `at` is an offset in guest memory from then on. */
  check(): void;
  /** The same for an access of 2^`log2` bytes that must be aligned; `store` if it stores. */
  checkAtomic(log2: number, store: boolean): void;
  /** Whether it is for system mode, where to look for a page to store to is to make it dirty. */
  readonly system: boolean;
  /** Whether a slot certainly holds a word, sign-extended. */
  isWord(slot: number): boolean;
  /** Says that the rounding mode matters. */
  usesFloat(): void;
}

/** One row. */
export interface Operation {
  /** What d, a, b and c are preferably: "d" doubles, "i" integers, "." either. */
  kinds: string;
  print(w: OpContext, o: Operands): void;
}
