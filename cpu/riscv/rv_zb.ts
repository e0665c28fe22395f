/**
 * Bit manipulation (Zba, Zbb, Zbs) and conditional zeroing (Zicond).
 *
 * Source: The RISC-V Instruction Set Manual, volume I, chapters "B" and "Zicond". On RV32 slots hold registers
 * sign-extended, which keeps their order, signed and unsigned.
 *
 * @module
 */
import type { Value } from "../ir/builder.ts";
import type { Fields } from "../isa/decoder.ts";
import { type Lifter, Op, rows, type RvRow, Slot } from "./lifter.ts";

const R3 = "{rd},{rs1},{rs2}";
const R2 = "{rd},{rs1}";
const SHIFT = "{rd},{rs1},{shamt}";
const RV32 = { xlen: 32 as const }, RV64 = { xlen: 64 as const };

/** An instruction with two register operands. */
const binary = (make: (c: Lifter, a: Value, b: Value) => Value) => (c: Lifter, f: Fields) => {
  c.setX(f.rd, make(c, c.x(f.rs1), c.x(f.rs2)));
};
/** An instruction with one register operand. */
const unary = (make: (c: Lifter, a: Value) => Value) => (c: Lifter, f: Fields) => {
  c.setX(f.rd, make(c, c.x(f.rs1)));
};
/** An instruction with a register operand and a shift amount. */
const shift = (make: (c: Lifter, a: Value, b: Value) => Value) => (c: Lifter, f: Fields) => {
  c.setX(f.rd, make(c, c.x(f.rs1), c.b.imm(f.shamt)));
};
/** One op of the IR, of XLEN bits. */
const counted = (op64: number, op32: number) =>
  unary((c, a) => c.b.op1(c.xlen === 64 ? op64 : op32, a));
const op2 = (op: number) => binary((c, a, b) => c.b.op2(op, a, b));

const rotateRight = (c: Lifter, a: Value, b: Value) =>
  c.xlen === 64 ? c.b.rotr(a, b) : c.b.rotr32(a, b);
const negated = (c: Lifter, b: Value) => c.b.sub(Slot.ZERO, b);
/** 1 << b in XLEN bits. */
const bit = (c: Lifter, b: Value) => c.shl(c.b.imm(1), b);
const shiftedAdd = (count: number) => binary((c, a, b) => c.add(c.shl(a, c.b.imm(count)), b));
const shiftedAddWord = (count: number) =>
  binary((c, a, b) => c.b.add(c.b.shl(c.b.zext32(a), c.b.imm(count)), b));

/** 0xff for every byte of `a` that isn't 0. */
function orCombine(c: Lifter, a: Value): Value {
  const low = c.b.imm64(0x7f7f_7f7f, 0x7f7f_7f7f);
  // The top bit of a byte's sum is set if any of its low seven bits was, and no byte carries into the next.
  const sums = c.b.or(c.b.add(c.b.and(a, low), low), a);
  const tops = c.b.and(sums, c.b.not(low));
  const filled = c.b.or(c.b.sub(tops, c.b.shru(tops, c.b.imm(7))), tops);
  return c.xlen === 64 ? filled : c.b.sext32(filled);
}

const ZBA = (): RvRow[] =>
  rows(
    ["sh1add", "0010000 rs2 rs1 010 rd 0110011", R3, shiftedAdd(1)],
    ["sh2add", "0010000 rs2 rs1 100 rd 0110011", R3, shiftedAdd(2)],
    ["sh3add", "0010000 rs2 rs1 110 rd 0110011", R3, shiftedAdd(3)],
    ["add.uw", "0000100 rs2 rs1 000 rd 0111011", R3, shiftedAddWord(0), RV64],
    ["sh1add.uw", "0010000 rs2 rs1 010 rd 0111011", R3, shiftedAddWord(1), RV64],
    ["sh2add.uw", "0010000 rs2 rs1 100 rd 0111011", R3, shiftedAddWord(2), RV64],
    ["sh3add.uw", "0010000 rs2 rs1 110 rd 0111011", R3, shiftedAddWord(3), RV64],
    [
      "slli.uw",
      "000010 shamt rs1 001 rd 0011011",
      SHIFT,
      shift((c, a, b) => c.b.shl(c.b.zext32(a), b)),
      RV64,
    ],
  );

const rori = shift(rotateRight);
const zextHalf = unary((c, a) => c.b.and(a, c.b.imm(0xffff)));

const ZBB = (): RvRow[] =>
  rows(
    ["andn", "0100000 rs2 rs1 111 rd 0110011", R3, binary((c, a, b) => c.b.and(a, c.b.not(b)))],
    ["orn", "0100000 rs2 rs1 110 rd 0110011", R3, binary((c, a, b) => c.b.or(a, c.b.not(b)))],
    ["xnor", "0100000 rs2 rs1 100 rd 0110011", R3, binary((c, a, b) => c.b.not(c.b.xor(a, b)))],
    ["clz", "011000000000 rs1 001 rd 0010011", R2, counted(Op.clz64, Op.clz32)],
    ["ctz", "011000000001 rs1 001 rd 0010011", R2, counted(Op.ctz64, Op.ctz32)],
    ["cpop", "011000000010 rs1 001 rd 0010011", R2, counted(Op.popcnt64, Op.popcnt32)],
    ["clzw", "011000000000 rs1 001 rd 0011011", R2, counted(Op.clz32, Op.clz32), RV64],
    ["ctzw", "011000000001 rs1 001 rd 0011011", R2, counted(Op.ctz32, Op.ctz32), RV64],
    ["cpopw", "011000000010 rs1 001 rd 0011011", R2, counted(Op.popcnt32, Op.popcnt32), RV64],
    ["min", "0000101 rs2 rs1 100 rd 0110011", R3, op2(Op.mins64)],
    ["minu", "0000101 rs2 rs1 101 rd 0110011", R3, op2(Op.minu64)],
    ["max", "0000101 rs2 rs1 110 rd 0110011", R3, op2(Op.maxs64)],
    ["maxu", "0000101 rs2 rs1 111 rd 0110011", R3, op2(Op.maxu64)],
    ["sext.b", "011000000100 rs1 001 rd 0010011", R2, unary((c, a) => c.b.op1(Op.sext8, a))],
    ["sext.h", "011000000101 rs1 001 rd 0010011", R2, unary((c, a) => c.b.op1(Op.sext16, a))],
    ["zext.h", "0000100 00000 rs1 100 rd 0110011", R2, zextHalf, RV32],
    ["zext.h", "0000100 00000 rs1 100 rd 0111011", R2, zextHalf, RV64],
    [
      "rol",
      "0110000 rs2 rs1 001 rd 0110011",
      R3,
      binary((c, a, b) => rotateRight(c, a, negated(c, b))),
    ],
    ["ror", "0110000 rs2 rs1 101 rd 0110011", R3, binary(rotateRight)],
    ["rori", "0110000 shamt[4:0] rs1 101 rd 0010011", SHIFT, rori, RV32],
    ["rori", "011000 shamt rs1 101 rd 0010011", SHIFT, rori, RV64],
    [
      "rolw",
      "0110000 rs2 rs1 001 rd 0111011",
      R3,
      binary((c, a, b) => c.b.rotr32(a, negated(c, b))),
      RV64,
    ],
    ["rorw", "0110000 rs2 rs1 101 rd 0111011", R3, binary((c, a, b) => c.b.rotr32(a, b)), RV64],
    [
      "roriw",
      "0110000 shamt[4:0] rs1 101 rd 0011011",
      SHIFT,
      shift((c, a, b) => c.b.rotr32(a, b)),
      RV64,
    ],
    ["orc.b", "001010000111 rs1 101 rd 0010011", R2, unary(orCombine)],
    [
      "rev8",
      "011010011000 rs1 101 rd 0010011",
      R2,
      unary((c, a) => c.b.shrs(c.b.op1(Op.bswap64, a), c.b.imm(32))),
      RV32,
    ],
    ["rev8", "011010111000 rs1 101 rd 0010011", R2, unary((c, a) => c.b.op1(Op.bswap64, a)), RV64],
  );

/** Register and immediate forms of the single-bit instructions. */
const single = (
  name: string,
  funct6: string,
  funct3: string,
  make: (c: Lifter, a: Value, b: Value) => Value,
) =>
  rows(
    [name, `${funct6}0 rs2 rs1 ${funct3} rd 0110011`, R3, binary(make)],
    [`${name}i`, `${funct6}0 shamt[4:0] rs1 ${funct3} rd 0010011`, SHIFT, shift(make), RV32],
    [`${name}i`, `${funct6} shamt rs1 ${funct3} rd 0010011`, SHIFT, shift(make), RV64],
  );

const ZBS = (): RvRow[] => [
  ...single("bclr", "010010", "001", (c, a, b) => c.b.and(a, c.b.not(bit(c, b)))),
  ...single("bext", "010010", "101", (c, a, b) => c.b.and(c.shru(a, b), c.b.imm(1))),
  ...single("binv", "011010", "001", (c, a, b) => c.b.xor(a, bit(c, b))),
  ...single("bset", "001010", "001", (c, a, b) => c.b.or(a, bit(c, b))),
];

/** The rows of Zba, Zbb and Zbs. */
export const RV_ZB = (): RvRow[] => [...ZBA(), ...ZBB(), ...ZBS()];

/** The rows of Zicond. */
export const RV_ZICOND = (): RvRow[] =>
  rows(
    [
      "czero.eqz",
      "0000111 rs2 rs1 101 rd 0110011",
      R3,
      binary((c, a, b) => {
        return c.b.select(b, a, Slot.ZERO);
      }),
    ],
    [
      "czero.nez",
      "0000111 rs2 rs1 111 rd 0110011",
      R3,
      binary((c, a, b) => {
        return c.b.select(b, Slot.ZERO, a);
      }),
    ],
  );
