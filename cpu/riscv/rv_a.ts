/**
 * The A extension: load-reserved, store-conditional and atomic memory operations.
 *
 * Source: The RISC-V Instruction Set Manual, volume I, chapter "A". Addresses must be naturally aligned.
 *
 * @module
 */
import type { Fields } from "../isa/decoder.ts";
import { Amo } from "../ir/ops.ts";
import { type Lifter, Op, rows, type RvRow, Slot } from "./lifter.ts";

const amos: [name: string, funct5: string, kind: number][] = [
  ["amoswap", "00001", Amo.SWAP],
  ["amoadd", "00000", Amo.ADD],
  ["amoxor", "00100", Amo.XOR],
  ["amoand", "01100", Amo.AND],
  ["amoor", "01000", Amo.OR],
  ["amomin", "10000", Amo.MIN],
  ["amomax", "10100", Amo.MAX],
  ["amominu", "11000", Amo.MINU],
  ["amomaxu", "11100", Amo.MAXU],
];

function width(suffix: string, funct3: string, ldx: number, stx: number, amo: number): RvRow[] {
  const xlen = suffix === "d" ? { xlen: 64 as const } : {};
  const address = (c: Lifter, f: Fields) => c.address(f.rs1, 0)[0];
  return rows(
    [`lr.${suffix}`, `00010 aq rl 00000 rs1 ${funct3} rd 0101111`, "{rd},({rs1})", (c, f) => {
      c.setX(f.rd, c.b.atomic(ldx, address(c, f), Slot.ZERO, 0));
    }, xlen],
    [`sc.${suffix}`, `00011 aq rl rs2 rs1 ${funct3} rd 0101111`, "{rd},{rs2},({rs1})", (c, f) => {
      c.setX(f.rd, c.b.atomic(stx, address(c, f), c.x(f.rs2), 0));
    }, xlen],
    ...amos.map(([name, funct5, kind]): Parameters<typeof rows>[0] => [
      `${name}.${suffix}`,
      `${funct5} aq rl rs2 rs1 ${funct3} rd 0101111`,
      "{rd},{rs2},({rs1})",
      (c, f) => c.setX(f.rd, c.b.atomic(amo, address(c, f), c.x(f.rs2), kind)),
      xlen,
    ]),
  );
}

/** The rows. */
export const RV_A = (): RvRow[] => [
  ...width("w", "010", Op.ldx32, Op.stx32, Op.amo32),
  ...width("d", "011", Op.ldx64, Op.stx64, Op.amo64),
];
