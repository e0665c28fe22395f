/**
 * The M extension: integer multiplication and division.
 *
 * Source: The RISC-V Instruction Set Manual, volume I, chapter "M". The IR's divisions are total with just the
 * results that this chapter asks for.
 *
 * @module
 */
import type { Value } from "../ir/builder.ts";
import type { Fields } from "../isa/decoder.ts";
import { type Lifter, Op, rows } from "./lifter.ts";

const op = (op64: number, op32: number) => (c: Lifter, f: Fields) => {
  c.setX(f.rd, c.b.op2(c.xlen === 64 ? op64 : op32, c.x(f.rs1), c.x(f.rs2)));
};
const word = (op32: number) => (c: Lifter, f: Fields) => {
  c.setX(f.rd, c.b.op2(op32, c.x(f.rs1), c.x(f.rs2)));
};
/** High half: one op on RV64; on RV32 the high word of a 64-bit product. */
const high =
  (op64: number, left: (c: Lifter, v: Value) => Value, right: (c: Lifter, v: Value) => Value) =>
  (c: Lifter, f: Fields) => {
    const a = c.x(f.rs1), b = c.x(f.rs2);
    if (c.xlen === 64) return c.setX(f.rd, c.b.op2(op64, a, b));
    const product = c.b.op2(Op.mul64, left(c, a), right(c, b));
    c.setX(f.rd, c.b.shrs(product, c.b.imm(32)));
  };
const signed = (_: Lifter, v: Value) => v;
const unsigned = (c: Lifter, v: Value) => c.b.zext32(v);

/** The rows. */
export const RV_M = () =>
  rows(
    ["mul", "0000001 rs2 rs1 000 rd 0110011", "{rd},{rs1},{rs2}", op(Op.mul64, Op.mul32)],
    [
      "mulh",
      "0000001 rs2 rs1 001 rd 0110011",
      "{rd},{rs1},{rs2}",
      high(Op.mulhs64, signed, signed),
    ],
    [
      "mulhsu",
      "0000001 rs2 rs1 010 rd 0110011",
      "{rd},{rs1},{rs2}",
      high(Op.mulhsu64, signed, unsigned),
    ],
    [
      "mulhu",
      "0000001 rs2 rs1 011 rd 0110011",
      "{rd},{rs1},{rs2}",
      high(Op.mulhu64, unsigned, unsigned),
    ],
    ["div", "0000001 rs2 rs1 100 rd 0110011", "{rd},{rs1},{rs2}", op(Op.divs64, Op.divs32)],
    ["divu", "0000001 rs2 rs1 101 rd 0110011", "{rd},{rs1},{rs2}", op(Op.divu64, Op.divu32)],
    ["rem", "0000001 rs2 rs1 110 rd 0110011", "{rd},{rs1},{rs2}", op(Op.rems64, Op.rems32)],
    ["remu", "0000001 rs2 rs1 111 rd 0110011", "{rd},{rs1},{rs2}", op(Op.remu64, Op.remu32)],
    ["mulw", "0000001 rs2 rs1 000 rd 0111011", "{rd},{rs1},{rs2}", word(Op.mul32), { xlen: 64 }],
    ["divw", "0000001 rs2 rs1 100 rd 0111011", "{rd},{rs1},{rs2}", word(Op.divs32), { xlen: 64 }],
    ["divuw", "0000001 rs2 rs1 101 rd 0111011", "{rd},{rs1},{rs2}", word(Op.divu32), { xlen: 64 }],
    ["remw", "0000001 rs2 rs1 110 rd 0111011", "{rd},{rs1},{rs2}", word(Op.rems32), { xlen: 64 }],
    ["remuw", "0000001 rs2 rs1 111 rd 0111011", "{rd},{rs1},{rs2}", word(Op.remu32), { xlen: 64 }],
  );
