/**
 * The privileged architecture's instructions, and what system mode makes of others: CSR instructions reach every
 * register, floating point is gated by mstatus.FS, cache-block operations by the envcfg registers.
 *
 * Source: The RISC-V Instruction Set Manual, volume II, version 1.12, chapters "Machine-Level ISA" and
 * "Supervisor-Level ISA"; volume I, chapter "CMO".
 *
 * @module
 */
import type { Fields } from "../isa/decoder.ts";
import { type Lifter, rows, type RvRow, Slot, Trap } from "./lifter.ts";
import { RV_ZICBO } from "./rv_zicbo.ts";
import { RV_ZICSR } from "./rv_zicsr.ts";

/** Privileged operations: numbers of the ops `sys` and `gate`, executed by hart.ts. */
export const Sys = {
  /** d = CSR j. */
  CSR_READ: 0,
  /** d = CSR j, which becomes a. */
  CSR_WRITE: 1,
  /** d = CSR j, of which the bits in a are set. */
  CSR_SET: 2,
  /** d = CSR j, of which the bits in a are cleared. */
  CSR_CLEAR: 3,
  MRET: 4,
  SRET: 5,
  WFI: 6,
  /** a and b are the values of rs1 and rs2; j says which of them are not x0 (1, 2). */
  SFENCE_VMA: 7,
  /** Floating point is used: illegal if it is off, else its state is dirty. */
  FLOAT: 8,
  /** A cache-block operation: j is 1 for inval, 2 for clean and flush, 3 for zero. */
  CBO: 9,
} as const;

const FIRST_FLOAT_CSR = 1, LAST_FLOAT_CSR = 3;

/** One CSR instruction in system mode. */
function csr(name: string, kind: number, immediate: boolean): RvRow {
  const user = RV_ZICSR().find((row) => row.name === name)!;
  return {
    ...user,
    lift: (c: Lifter, f: Fields) => {
      if (f.csr >= FIRST_FLOAT_CSR && f.csr <= LAST_FLOAT_CSR) {
        c.b.gate(Slot.FP_GATE, Sys.FLOAT);
        user.lift(c, f);
        return;
      }
      const source = immediate ? f.uimm : f.rs1;
      const operation = kind !== Sys.CSR_WRITE && source === 0 ? Sys.CSR_READ : kind;
      c.b.system(operation, f.rd, immediate ? c.b.imm(f.uimm) : c.x(f.rs1), Slot.ZERO, f.csr);
    },
  };
}

const resume = (operation: number) => (c: Lifter) => {
  c.b.system(operation, 0);
  c.b.trap(Trap.RESYNC, c.length);
};

/** Cache-block operations, with the check that comes before each. */
const CBO: readonly [name: string, kind: number][] = [
  ["cbo.inval", 1],
  ["cbo.clean", 2],
  ["cbo.flush", 2],
  ["cbo.zero", 3],
];

/** The rows; they come before those of user level, some of which they replace. */
export const RV_PRIVILEGED = (): RvRow[] => [
  csr("csrrw", Sys.CSR_WRITE, false),
  csr("csrrs", Sys.CSR_SET, false),
  csr("csrrc", Sys.CSR_CLEAR, false),
  csr("csrrwi", Sys.CSR_WRITE, true),
  csr("csrrsi", Sys.CSR_SET, true),
  csr("csrrci", Sys.CSR_CLEAR, true),
  ...rows(
    ["mret", "001100000010 00000 000 00000 1110011", "", resume(Sys.MRET)],
    ["sret", "000100000010 00000 000 00000 1110011", "", resume(Sys.SRET)],
    ["wfi", "000100000101 00000 000 00000 1110011", "", (c) => c.b.system(Sys.WFI, 0)],
    ["sfence.vma", "0001001 rs2 rs1 000 00000 1110011", "{rs1},{rs2}", (c, f) => {
      const which = (f.rs1 !== 0 ? 1 : 0) | (f.rs2 !== 0 ? 2 : 0);
      c.b.system(Sys.SFENCE_VMA, 0, c.x(f.rs1), c.x(f.rs2), which);
    }],
  ),
  ...CBO.map(([name, kind]): RvRow => {
    const user = RV_ZICBO().find((row) => row.name === name)!;
    return {
      ...user,
      lift: (c, f) => {
        c.b.system(Sys.CBO, 0, Slot.ZERO, Slot.ZERO, kind);
        user.lift(c, f);
      },
    };
  }),
];

/** A row of the F or D extension behind its gate; others as they are. */
export function gated(row: RvRow): RvRow {
  if (!/^(c\.)?f(?!ence)/.test(row.name)) return row;
  return {
    ...row,
    lift: (c, f) => {
      c.b.gate(Slot.FP_GATE, Sys.FLOAT);
      row.lift(c, f);
    },
  };
}
