/**
 * The C extension: 16-bit encodings of common instructions.
 *
 * Source: The RISC-V Instruction Set Manual, volume I, chapter "C". A row names the instruction it expands to and
 * where that one's operands come from, so every meaning stands only once, in the table of the 32-bit encodings.
 * Reserved encodings have no row; HINTs expand as they stand, which leaves nothing of them.
 *
 * @module
 */
import type { Fields, Row } from "../isa/decoder.ts";
import type { RvRow } from "./lifter.ts";

/** A 16-bit encoding of an instruction that has a 32-bit one. */
export interface CompressedRow extends Row {
  /** Operands in assembly, as in {@linkcode RvRow}. */
  readonly asm: string;
  /** Name of the instruction that it stands for. */
  readonly expansion: string;
  /** That one's operands where they aren't fields of the pattern: a number, or the name of another field. */
  readonly operands: Readonly<Record<string, number | string>>;
  /** Only for this register width. */
  readonly xlen?: 32 | 64 | undefined;
}

const RV32 = { xlen: 32 as const }, RV64 = { xlen: 64 as const };
const nonzero = (...names: string[]) => ({
  when: (f: Fields) => names.every((name) => f[name] !== 0),
});

type Operands = CompressedRow["operands"];
type More = Pick<CompressedRow, "when" | "xlen">;

function compressed(
  ...list: [
    name: string,
    pattern: string,
    asm: string,
    expansion: string,
    operands: Operands,
    more?: More,
  ][]
): CompressedRow[] {
  return list.map(([name, pattern, asm, expansion, operands, more]) => ({
    name,
    pattern,
    asm,
    expansion,
    operands,
    ...more,
  }));
}

const JUMP = "imm[11] imm[4] imm[9:8] imm[10] imm[6] imm[7] imm[3:1] imm[5]";
/** Offsets of 32-bit and 64-bit accesses, around the base register's field. */
const W = (middle: string, last: string) => `offset[5:3] ${middle} offset[2] offset[6] ${last} 00`;
const D = (middle: string, last: string) => `offset[5:3] ${middle} offset[7:6] ${last} 00`;
const REG = "{rd},{imm}({rs1})", FREG = "{frd},{imm}({rs1})";
const REG2 = "{rs2},{imm}({rs1})", FREG2 = "{frs2},{imm}({rs1})";
const W_SP = "offset[5] rd offset[4:2] offset[7:6] 10",
  D_SP = "offset[5] rd offset[4:3] offset[8:6] 10";
const W_SP2 = "offset[5:2] offset[7:6] rs2 10", D_SP2 = "offset[5:3] offset[8:6] rs2 10";
const SP = { rs1: 2 }, IN_PLACE = { rs1: "rd" };

/** The rows. */
export const RV_C = (): readonly CompressedRow[] =>
  compressed(
    // Quadrant 0.
    [
      "c.addi4spn",
      "000 offset[5:4] offset[9:6] offset[2] offset[3] rd' 00",
      "{rd},sp,{imm}",
      "addi",
      SP,
      nonzero("imm"),
    ],
    ["c.fld", "001 " + D("rs1'", "rd'"), FREG, "fld", {}],
    ["c.lw", "010 " + W("rs1'", "rd'"), REG, "lw", {}],
    ["c.flw", "011 " + W("rs1'", "rd'"), FREG, "flw", {}, RV32],
    ["c.ld", "011 " + D("rs1'", "rd'"), REG, "ld", {}, RV64],
    ["c.fsd", "101 " + D("rs1'", "rs2'"), FREG2, "fsd", {}],
    ["c.sw", "110 " + W("rs1'", "rs2'"), REG2, "sw", {}],
    ["c.fsw", "111 " + W("rs1'", "rs2'"), FREG2, "fsw", {}, RV32],
    ["c.sd", "111 " + D("rs1'", "rs2'"), REG2, "sd", {}, RV64],
    // Quadrant 1. c.nop is c.addi to x0.
    ["c.addi", "000 imm[5] rd imm[4:0] 01", "{rd},{imm}", "addi", IN_PLACE],
    ["c.jal", `001 ${JUMP} 01`, "{target}", "jal", { rd: 1 }, RV32],
    ["c.addiw", "001 imm[5] rd imm[4:0] 01", "{rd},{imm}", "addiw", IN_PLACE, {
      ...RV64,
      ...nonzero("rd"),
    }],
    ["c.li", "010 imm[5] rd imm[4:0] 01", "{rd},{imm}", "addi", { rs1: 0 }],
    [
      "c.addi16sp",
      "011 imm[9] 00010 imm[4] imm[6] imm[8:7] imm[5] 01",
      "sp,{imm}",
      "addi",
      { rd: 2, rs1: 2 },
      nonzero("imm"),
    ],
    ["c.lui", "011 imm[17] rd imm[16:12] 01", "{rd},{upper}", "lui", {}, nonzero("imm")],
    // Shifts by 0 are HINTs (c.slli64 and the like on RV128); on RV32 shamt[5] = 1 is for custom use.
    ["c.srli64", "100000 rd' 00000 01", "{rd}", "srli", { ...IN_PLACE, shamt: 0 }],
    ["c.srai64", "100001 rd' 00000 01", "{rd}", "srai", { ...IN_PLACE, shamt: 0 }],
    ["c.srli", "100000 rd' shamt[4:0] 01", "{rd},{shamt}", "srli", IN_PLACE],
    ["c.srai", "100001 rd' shamt[4:0] 01", "{rd},{shamt}", "srai", IN_PLACE],
    ["c.srli", "100 shamt[5] 00 rd' shamt[4:0] 01", "{rd},{shamt}", "srli", IN_PLACE, RV64],
    ["c.srai", "100 shamt[5] 01 rd' shamt[4:0] 01", "{rd},{shamt}", "srai", IN_PLACE, RV64],
    ["c.andi", "100 imm[5] 10 rd' imm[4:0] 01", "{rd},{imm}", "andi", IN_PLACE],
    ["c.sub", "100011 rd' 00 rs2' 01", "{rd},{rs2}", "sub", IN_PLACE],
    ["c.xor", "100011 rd' 01 rs2' 01", "{rd},{rs2}", "xor", IN_PLACE],
    ["c.or", "100011 rd' 10 rs2' 01", "{rd},{rs2}", "or", IN_PLACE],
    ["c.and", "100011 rd' 11 rs2' 01", "{rd},{rs2}", "and", IN_PLACE],
    ["c.subw", "100111 rd' 00 rs2' 01", "{rd},{rs2}", "subw", IN_PLACE, RV64],
    ["c.addw", "100111 rd' 01 rs2' 01", "{rd},{rs2}", "addw", IN_PLACE, RV64],
    ["c.j", `101 ${JUMP} 01`, "{target}", "jal", { rd: 0 }],
    [
      "c.beqz",
      "110 imm[8] imm[4:3] rs1' imm[7:6] imm[2:1] imm[5] 01",
      "{rs1},{target}",
      "beq",
      { rs2: 0 },
    ],
    [
      "c.bnez",
      "111 imm[8] imm[4:3] rs1' imm[7:6] imm[2:1] imm[5] 01",
      "{rs1},{target}",
      "bne",
      { rs2: 0 },
    ],
    // Quadrant 2.
    ["c.slli64", "0000 rd 00000 10", "{rd}", "slli", { ...IN_PLACE, shamt: 0 }],
    ["c.slli", "0000 rd shamt[4:0] 10", "{rd},{shamt}", "slli", IN_PLACE],
    ["c.slli", "000 shamt[5] rd shamt[4:0] 10", "{rd},{shamt}", "slli", IN_PLACE, RV64],
    ["c.fldsp", "001 " + D_SP, "{frd},{imm}(sp)", "fld", SP],
    ["c.lwsp", "010 " + W_SP, "{rd},{imm}(sp)", "lw", SP, nonzero("rd")],
    ["c.flwsp", "011 " + W_SP, "{frd},{imm}(sp)", "flw", SP, RV32],
    ["c.ldsp", "011 " + D_SP, "{rd},{imm}(sp)", "ld", SP, { ...RV64, ...nonzero("rd") }],
    ["c.jr", "1000 rs1 00000 10", "{rs1}", "jalr", { rd: 0, imm: 0 }, nonzero("rs1")],
    ["c.mv", "1000 rd rs2 10", "{rd},{rs2}", "add", { rs1: 0 }, nonzero("rs2")],
    ["c.ebreak", "1001 00000 00000 10", "", "ebreak", {}],
    ["c.jalr", "1001 rs1 00000 10", "{rs1}", "jalr", { rd: 1, imm: 0 }],
    ["c.add", "1001 rd rs2 10", "{rd},{rs2}", "add", IN_PLACE],
    ["c.fsdsp", "101 " + D_SP2, "{frs2},{imm}(sp)", "fsd", SP],
    ["c.swsp", "110 " + W_SP2, "{rs2},{imm}(sp)", "sw", SP],
    ["c.fswsp", "111 " + W_SP2, "{frs2},{imm}(sp)", "fsw", SP, RV32],
    ["c.sdsp", "111 " + D_SP2, "{rs2},{imm}(sp)", "sd", SP, RV64],
  );

/** The illegal instruction of the manual: all zero bits. */
const UNIMP: RvRow = {
  name: "c.unimp",
  pattern: "000 00000000 000 00",
  asm: "",
  lift: (c) => c.illegal(),
};

/**
 * Resolves the compressed rows of one register width against the table of 32-bit encodings.
 *
 * @throws {Error} If an expansion isn't in the table.
 */
export function expandCompressed(base: readonly RvRow[], xlen: 32 | 64): RvRow[] {
  const here = (row: { readonly xlen?: 32 | 64 | undefined }) =>
    row.xlen === undefined || row.xlen === xlen;
  const byName = new Map(base.filter(here).map((row) => [row.name, row]));
  const expanded = RV_C().filter(here).map((row): RvRow => {
    const target = byName.get(row.expansion);
    if (target === undefined) {
      throw new Error(`Cannot expand ${row.name}: no instruction "${row.expansion}"`);
    }
    const names = Object.keys(row.operands), values = Object.values(row.operands);
    return {
      ...row,
      lift: (c, f) => {
        for (let i = 0; i < names.length; i++) {
          const from = values[i];
          f[names[i]] = typeof from === "string" ? f[from] : from;
        }
        target.lift(c, f);
      },
    };
  });
  return [UNIMP, ...expanded];
}
