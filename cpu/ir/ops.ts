/**
 * The op table: every operation where guests and executors meet, each defined in words.
 *
 * A block is a run of fixed-width records of {@linkcode WORDS} Int32 words:
 *
 * | word | field | meaning                                                        |
 * |------|-------|----------------------------------------------------------------|
 * | 0    | op    | number of the op                                               |
 * | 1    | d     | destination slot (terminators: guest instructions in the block)|
 * | 2, 3 | a, b  | source slots                                                   |
 * | 4, 5 | i     | a 64-bit immediate, low word first; or                         |
 * | 4    | c     | third source slot, or code index of the taken successor        |
 * | 5    | j     | a 32-bit immediate, or code index of the other successor       |
 *
 * Slots are 64 bits wide; fields in capital letters are pairs of them (see vector_ops.ts). An op named `...32` takes the
 * low 32 bits of its operands and leaves its result sign-extended to 64. Shift counts are taken modulo the width. Addresses are `a + i` modulo 2^64 with
 * `-2048 <= i < 4096`. All definitions are total: there is no undefined behaviour.
 *
 * @module
 */

import { VECTOR_ROWS, vectorDoc, type VectorRow } from "./vector_ops.ts";

export * from "./encoding.ts";

/** What an op does besides computing `d` from its operands. */
export const Effect = {
  /** Nothing: it may be moved, folded or dropped. */
  PURE: 0,
  /** Reads guest memory and may fault. */
  LOAD: 1,
  /** Writes guest memory and may fault. */
  STORE: 2,
  /** Reads and writes floating-point state (rounding mode, flags); may exit for an invalid rounding mode. */
  FLOAT: 3,
  /** Reads or writes state outside slots and memory (counters, reservation); stays in place. */
  STATE: 4,
  /** Ends the block. */
  END: 5,
  /** Reads and writes any state of the CPU; may fault, and, as an instruction's last record, leave after it. */
  SYSTEM: 6,
} as const;

/** One row of the table. */
export interface OpInfo {
  /** Name, unique. */
  readonly name: string;
  /** Number: the index in the table. */
  readonly code: number;
  /** Fields in use: some of `d a b c i j`; slots are d a b c, pairs of slots D A B C. */
  readonly fields: string;
  /** One of {@linkcode Effect}. */
  readonly effect: number;
  /** The definition, in words. */
  readonly doc: string;
}

const { PURE, LOAD, STORE, FLOAT, STATE, END, SYSTEM } = Effect;

const rows: [name: string, fields: string, effect: number, doc: string][] = [
  // Moves and 64-bit integers.
  ["nop", "", PURE, "nothing"],
  ["const", "d i", PURE, "d = i"],
  ["mov", "d a", PURE, "d = a"],
  ["add64", "d a b", PURE, "d = a + b"],
  ["add64i", "d a i", PURE, "d = a + i"],
  ["sub64", "d a b", PURE, "d = a - b"],
  ["and64", "d a b", PURE, "d = a & b"],
  ["and64i", "d a i", PURE, "d = a & i"],
  ["or64", "d a b", PURE, "d = a | b"],
  ["or64i", "d a i", PURE, "d = a | i"],
  ["xor64", "d a b", PURE, "d = a ^ b"],
  ["xor64i", "d a i", PURE, "d = a ^ i"],
  ["shl64", "d a b", PURE, "d = a << (b mod 64)"],
  ["shl64i", "d a i", PURE, "d = a << i, 0 <= i < 64"],
  ["shru64", "d a b", PURE, "d = a >> (b mod 64), zeros shifted in"],
  ["shru64i", "d a i", PURE, "d = a >> i, zeros shifted in, 0 <= i < 64"],
  ["shrs64", "d a b", PURE, "d = a >> (b mod 64), sign shifted in"],
  ["shrs64i", "d a i", PURE, "d = a >> i, sign shifted in, 0 <= i < 64"],
  ["mul64", "d a b", PURE, "d = a * b"],
  // 32-bit integers, result sign-extended.
  ["add32", "d a b", PURE, "d = a + b in 32 bits"],
  ["add32i", "d a i", PURE, "d = a + i in 32 bits"],
  ["sub32", "d a b", PURE, "d = a - b in 32 bits"],
  ["mul32", "d a b", PURE, "d = a * b in 32 bits"],
  ["shl32", "d a b", PURE, "d = a << (b mod 32) in 32 bits"],
  ["shl32i", "d a i", PURE, "d = a << i in 32 bits, 0 <= i < 32"],
  ["shru32", "d a b", PURE, "d = low word of a >> (b mod 32), zeros shifted in, in 32 bits"],
  ["shru32i", "d a i", PURE, "d = low word of a >> i, zeros shifted in, in 32 bits"],
  ["shrs32", "d a b", PURE, "d = low word of a >> (b mod 32), sign shifted in, in 32 bits"],
  ["shrs32i", "d a i", PURE, "d = low word of a >> i, sign shifted in, in 32 bits"],
  ["sext8", "d a", PURE, "d = low 8 bits of a, sign-extended"],
  ["sext16", "d a", PURE, "d = low 16 bits of a, sign-extended"],
  // Comparisons: 1 or 0.
  ["slt64", "d a b", PURE, "d = a < b signed"],
  ["slt64i", "d a i", PURE, "d = a < i signed"],
  ["sltu64", "d a b", PURE, "d = a < b unsigned"],
  ["sltu64i", "d a i", PURE, "d = a < i unsigned"],
  ["seq64", "d a b", PURE, "d = a == b"],
  ["sne64", "d a b", PURE, "d = a != b"],
  ["select", "d a b c", PURE, "d = a != 0 ? b : c"],
  // Memory.
  ["ldS8", "d a i", LOAD, "d = sign-extended byte at a + i"],
  ["ldU8", "d a i", LOAD, "d = zero-extended byte at a + i"],
  ["ldS16", "d a i", LOAD, "d = sign-extended 16 bits at a + i"],
  ["ldU16", "d a i", LOAD, "d = zero-extended 16 bits at a + i"],
  ["ldS32", "d a i", LOAD, "d = sign-extended 32 bits at a + i"],
  ["ldU32", "d a i", LOAD, "d = zero-extended 32 bits at a + i"],
  ["ldB32", "d a i", LOAD, "d = 32 bits at a + i, NaN-boxed (high word all ones)"],
  ["ld64", "d a i", LOAD, "d = 64 bits at a + i"],
  ["st8", "a b i", STORE, "byte at a + i = b"],
  ["st16", "a b i", STORE, "16 bits at a + i = b"],
  ["st32", "a b i", STORE, "32 bits at a + i = b"],
  ["st64", "a b i", STORE, "64 bits at a + i = b"],
  // Block ends. `d` is the number of guest instructions in the block, this one included.
  ["jump", "d c j", END, "go on at successor c; j is a `JumpHint`"],
  ["jumpInd", "d a b i", END, "go on at guest address a & i; b is a `JumpHint`, not a slot"],
  ["brEq", "d a b c j", END, "go on at successor a == b ? c : j"],
  ["brNe", "d a b c j", END, "go on at successor a != b ? c : j"],
  ["brLt", "d a b c j", END, "go on at successor a < b signed ? c : j"],
  ["brGe", "d a b c j", END, "go on at successor a >= b signed ? c : j"],
  ["brLtu", "d a b c j", END, "go on at successor a < b unsigned ? c : j"],
  ["brGeu", "d a b c j", END, "go on at successor a >= b unsigned ? c : j"],
  [
    "trap",
    "d a b i",
    END,
    "leave with reason a (`Trap`) at guest pc i; the next instruction is b bytes on",
  ],
  ["link", "a i", END, "successor not yet translated: guest pc i; code word a is to be patched"],
  ["goto", "b i", END, "a resolved link: go on at code index b"],
  // Floating point in the interpreter's main loop: rounding mode j & 7 is 0 (nearest even) or 7 (dynamic).
  ["fadd64", "d a b j", FLOAT, "d = a + b, doubles"],
  ["fsub64", "d a b j", FLOAT, "d = a - b, doubles"],
  ["fmul64", "d a b j", FLOAT, "d = a * b, doubles"],
  ["fdiv64", "d a b j", FLOAT, "d = a / b, doubles"],
  ["fma64", "d a b c j", FLOAT, "d = ±(a * b) ± c rounded once, doubles; j bits: `Fp`"],
  ["fadd32", "d a b j", FLOAT, "d = a + b, floats"],
  ["fsub32", "d a b j", FLOAT, "d = a - b, floats"],
  ["fmul32", "d a b j", FLOAT, "d = a * b, floats"],
  ["fdiv32", "d a b j", FLOAT, "d = a / b, floats"],
  ["fma32", "d a b c j", FLOAT, "d = ±(a * b) ± c rounded once, floats; j bits: `Fp`"],
  ["feq64", "d a b", FLOAT, "d = a == b quietly, doubles"],
  ["flt64", "d a b", FLOAT, "d = a < b, doubles; any NaN is invalid"],
  ["fle64", "d a b", FLOAT, "d = a <= b, doubles; any NaN is invalid"],
  // From here on: not in the interpreter's main loop.
  ["divs64", "d a b", PURE, "d = a / b signed, towards zero; a / 0 = -1, overflow = a"],
  ["divu64", "d a b", PURE, "d = a / b unsigned; a / 0 = 2^64 - 1"],
  ["rems64", "d a b", PURE, "d = a rem b signed; a rem 0 = a, overflow = 0"],
  ["remu64", "d a b", PURE, "d = a rem b unsigned; a rem 0 = a"],
  ["divs32", "d a b", PURE, "d = a / b signed in 32 bits; a / 0 = -1, overflow = a"],
  ["divu32", "d a b", PURE, "d = a / b unsigned in 32 bits; a / 0 = 2^32 - 1"],
  ["rems32", "d a b", PURE, "d = a rem b signed in 32 bits; a rem 0 = a, overflow = 0"],
  ["remu32", "d a b", PURE, "d = a rem b unsigned in 32 bits; a rem 0 = a"],
  ["mulhs64", "d a b", PURE, "d = high 64 bits of signed a * signed b"],
  ["mulhu64", "d a b", PURE, "d = high 64 bits of unsigned a * unsigned b"],
  ["mulhsu64", "d a b", PURE, "d = high 64 bits of signed a * unsigned b"],
  ["rotr64", "d a b", PURE, "d = a rotated right by b mod 64"],
  ["rotr64i", "d a i", PURE, "d = a rotated right by i, 0 <= i < 64"],
  ["rotr32", "d a b", PURE, "d = low word of a rotated right by b mod 32"],
  ["rotr32i", "d a i", PURE, "d = low word of a rotated right by i, 0 <= i < 32"],
  ["clz64", "d a", PURE, "d = leading zeros of a; 64 for 0"],
  ["ctz64", "d a", PURE, "d = trailing zeros of a; 64 for 0"],
  ["popcnt64", "d a", PURE, "d = ones in a"],
  ["clz32", "d a", PURE, "d = leading zeros of the low word; 32 for 0"],
  ["ctz32", "d a", PURE, "d = trailing zeros of the low word; 32 for 0"],
  ["popcnt32", "d a", PURE, "d = ones in the low word"],
  ["bswap64", "d a", PURE, "d = a with its bytes reversed"],
  ["mins64", "d a b", PURE, "d = the smaller, signed"],
  ["maxs64", "d a b", PURE, "d = the larger, signed"],
  ["minu64", "d a b", PURE, "d = the smaller, unsigned"],
  ["maxu64", "d a b", PURE, "d = the larger, unsigned"],
  // Atomics. Addresses must be aligned, or the access faults as MISALIGNED_STORE.
  ["ldx32", "d a", LOAD, "d = sign-extended 32 bits at a; reserves them"],
  ["ldx64", "d a", LOAD, "d = 64 bits at a; reserves them"],
  [
    "stx32",
    "d a b",
    STORE,
    "if a is reserved and unchanged: 32 bits at a = b, d = 0; else d = 1; drops the reservation",
  ],
  [
    "stx64",
    "d a b",
    STORE,
    "if a is reserved and unchanged: 64 bits at a = b, d = 0; else d = 1; drops the reservation",
  ],
  [
    "amo32",
    "d a b j",
    STORE,
    "d = sign-extended 32 bits at a, which become `Amo` j of them and b, at once",
  ],
  ["amo64", "d a b j", STORE, "d = 64 bits at a, which become `Amo` j of them and b, at once"],
  ["zero", "a i", STORE, "i bytes at a & -i become 0; i is a power of two"],
  ["aligned", "a i", LOAD, "faults as MISALIGNED unless a is a multiple of i, a power of two"],
  ["fence", "j", STATE, "memory barrier"],
  [
    "invalidate",
    "a i",
    STATE,
    "translated code may have changed (nothing to do where stores are watched)",
  ],
  // Floating point through softfloat.
  ["fadd64r", "d a b j", FLOAT, "fadd64 with any static rounding mode"],
  ["fsub64r", "d a b j", FLOAT, "fsub64 with any static rounding mode"],
  ["fmul64r", "d a b j", FLOAT, "fmul64 with any static rounding mode"],
  ["fdiv64r", "d a b j", FLOAT, "fdiv64 with any static rounding mode"],
  ["fadd32r", "d a b j", FLOAT, "fadd32 with any static rounding mode"],
  ["fsub32r", "d a b j", FLOAT, "fsub32 with any static rounding mode"],
  ["fmul32r", "d a b j", FLOAT, "fmul32 with any static rounding mode"],
  ["fdiv32r", "d a b j", FLOAT, "fdiv32 with any static rounding mode"],
  ["fsqrt64", "d a j", FLOAT, "d = square root of a, doubles"],
  ["fsqrt32", "d a j", FLOAT, "d = square root of a, floats"],
  ["fmin64", "d a b", FLOAT, "d = IEEE 754-2019 minimumNumber, doubles"],
  ["fmax64", "d a b", FLOAT, "d = IEEE 754-2019 maximumNumber, doubles"],
  ["fmin32", "d a b j", FLOAT, "d = IEEE 754-2019 minimumNumber, floats"],
  ["fmax32", "d a b j", FLOAT, "d = IEEE 754-2019 maximumNumber, floats"],
  ["feq32", "d a b j", FLOAT, "d = a == b quietly, floats"],
  ["flt32", "d a b j", FLOAT, "d = a < b, floats; any NaN is invalid"],
  ["fle32", "d a b j", FLOAT, "d = a <= b, floats; any NaN is invalid"],
  ["fclass64", "d a", FLOAT, "d = one-hot class of a double (RISC-V fclass numbering)"],
  ["fclass32", "d a j", FLOAT, "d = one-hot class of a float"],
  ["unbox32", "d a", PURE, "d = a if its high word is all ones, else the NaN-boxed canonical NaN"],
  ["cvtF64S32", "d a j", FLOAT, "d = double of the signed low word"],
  ["cvtF64U32", "d a j", FLOAT, "d = double of the unsigned low word"],
  ["cvtF64S64", "d a j", FLOAT, "d = double of signed a"],
  ["cvtF64U64", "d a j", FLOAT, "d = double of unsigned a"],
  ["cvtF32S32", "d a j", FLOAT, "d = float of the signed low word"],
  ["cvtF32U32", "d a j", FLOAT, "d = float of the unsigned low word"],
  ["cvtF32S64", "d a j", FLOAT, "d = float of signed a"],
  ["cvtF32U64", "d a j", FLOAT, "d = float of unsigned a"],
  ["cvtS32F64", "d a j", FLOAT, "d = int32 of double a, saturating, NaN is the maximum"],
  ["cvtU32F64", "d a j", FLOAT, "d = uint32 of double a, saturating, sign-extended"],
  ["cvtS64F64", "d a j", FLOAT, "d = int64 of double a, saturating"],
  ["cvtU64F64", "d a j", FLOAT, "d = uint64 of double a, saturating"],
  ["cvtS32F32", "d a j", FLOAT, "d = int32 of float a, saturating, NaN is the maximum"],
  ["cvtU32F32", "d a j", FLOAT, "d = uint32 of float a, saturating, sign-extended"],
  ["cvtS64F32", "d a j", FLOAT, "d = int64 of float a, saturating"],
  ["cvtU64F32", "d a j", FLOAT, "d = uint64 of float a, saturating"],
  ["cvtF32F64", "d a j", FLOAT, "d = float of double a"],
  ["cvtF64F32", "d a j", FLOAT, "d = double of float a"],
  ["fpsync", "", STATE, "rounding mode or flags were written: rederive what depends on them"],
  ["checkrm", "", FLOAT, "traps as ILLEGAL unless the dynamic rounding mode is valid"],
  // Counters.
  ["icount", "d", STATE, "d = guest instructions executed before this one"],
  ["clock", "d i", STATE, "d = time in ticks of i Hz since a fixed point"],
  // Written over the first record of a block that a compiling tier has: never in a block as built.
  ["enter", "", END, "leave for the compiled code of this block"],
  // System mode.
  [
    "sys",
    "d a b i",
    SYSTEM,
    "d = the ISA's privileged operation i of a and b; d is not written if it is 0",
  ],
  [
    "gate",
    "a i",
    FLOAT,
    "unless a == 0: the ISA's privileged operation i, which may fault or make a 0",
  ],
  [
    "hop",
    "i",
    END,
    "a resolved link to another page: guest pc i, looked up in the cache of indirect targets",
  ],
];

// Every start makes the table, in code that is not compiled yet: plain loops, and nothing that can be made later.

/** A row, with what follows from it. */
class Row implements OpInfo, SlotFields {
  private slots: SlotFields | undefined;

  constructor(
    readonly name: string,
    readonly code: number,
    readonly fields: string,
    readonly effect: number,
    private readonly definition: string | VectorRow,
  ) {}

  get doc(): string {
    return typeof this.definition === "string" ? this.definition : vectorDoc(this.definition);
  }
  get reads(): readonly number[] {
    return (this.slots ??= slotFields(this)).reads;
  }
  get writes(): boolean {
    return (this.slots ??= slotFields(this)).writes;
  }
  get pairs(): readonly number[] {
    return (this.slots ??= slotFields(this)).pairs;
  }
}

const table: Row[] = [];
for (const row of rows) table.push(new Row(row[0], table.length, row[1], row[2], row[3]));
for (const row of VECTOR_ROWS) {
  table.push(new Row(row[0], table.length, row[1], Effect[row[2]], row));
}

/** The table, indexed by op number. */
export const OPS: readonly OpInfo[] = table;

/** Number of the first op for vectors: they are the last in the table. */
export const FIRST_VECTOR_OP: number = OPS.length - VECTOR_ROWS.length;

/** Op numbers by name. */
export const Op: Readonly<Record<string, number>> = numbers();

function numbers(): Record<string, number> {
  const found = Object.create(null);
  for (let code = 0; code < table.length; code++) found[table[code].name] = code;
  return found;
}

/** Number of the op named `name`. @throws {RangeError} If there is none. */
export function opNumber(name: string): number {
  const code = Op[name];
  if (code === undefined) throw new RangeError(`Cannot find an op named "${name}"`);
  return code;
}

/** Fields of an op that are slots. */
export interface SlotFields {
  /** Words of the record with slots that it reads. */
  readonly reads: readonly number[];
  /** Whether it writes `d`. */
  readonly writes: boolean;
  /** Words of the record, `d`'s too, that are pairs: the slot and the next. */
  readonly pairs: readonly number[];
}

/** Ops whose `d`, `a` and `b` are no slots. */
const SLOTLESS = new Set(["trap", "link", "goto", "hop"]);
/** The letters of slots, by word of the record less one; pairs are the same in upper case. */
const SINGLE = "dabc", PAIR = "DABC";

function slotFields({ name, fields, effect }: OpInfo): SlotFields {
  const reads: number[] = [], pairs: number[] = [];
  if (SLOTLESS.has(name)) return { reads, writes: false, pairs };
  let writes = false;
  for (let i = 0; i < SINGLE.length; i++) {
    if (fields.includes(PAIR[i])) pairs.push(i + 1);
    else if (!fields.includes(SINGLE[i])) continue;
    if (i === 0) writes = effect !== END;
    else if (i === 1 || (i === 2 ? name !== "jumpInd" : effect !== END)) reads.push(i + 1);
  }
  return { reads, writes, pairs };
}

/** The slot fields of each op, by its number. */
export const FIELDS: readonly SlotFields[] = table;

/** Slots that a record reads, both of each pair. */
export function slotsRead(code: Int32Array, at: number, { reads, pairs }: SlotFields): number[] {
  return reads.flatMap((word) => {
    const slot = code[at + word];
    return pairs.includes(word) ? [slot, slot + 1] : [slot];
  });
}

/** Slots that a record writes, both of a pair. */
export function slotsWritten(
  code: Int32Array,
  at: number,
  { writes, pairs }: SlotFields,
): number[] {
  if (!writes) return [];
  return pairs.includes(1) ? [code[at + 1], code[at + 1] + 1] : [code[at + 1]];
}

/** Pure ops that native code does not have: it leaves where their instruction begins. */
const LEFT = /^v(mask\d|shlR|pmul|aes|sha|recipU|rsqrtU)/;

/** Whether execution may leave the block at this op, so that all guest state must be in its slots. */
export function mayExit({ name, effect }: OpInfo): boolean {
  return effect === PURE ? LEFT.test(name) : effect !== STATE;
}
