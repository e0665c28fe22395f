/**
 * Assembly text from the tables' `asm` templates, as GNU `objdump -M no-aliases` writes it.
 *
 * @module
 */
import type { Fields } from "../isa/decoder.ts";
import { csrName } from "./csr_names.ts";
import type { RvRow } from "./lifter.ts";
import { F_NAMES, X_NAMES } from "./state.ts";

const ROUNDING = ["rne", "rtz", "rdn", "rup", "rmm", "unknown", "unknown", "dyn"];
const hex = (value: number) => `0x${(value >>> 0).toString(16)}`;
const fenceSet = (bits: number) =>
  [..."iorw"].filter((_, i) => bits >>> (3 - i) & 1).join("") || "unknown";

/** How each `{name}` of a template is written. */
const WRITERS: Readonly<Record<string, (f: Fields, pc: number, xlen: number) => string>> = {
  rd: (f) => X_NAMES[f.rd],
  rs1: (f) => X_NAMES[f.rs1],
  rs2: (f) => X_NAMES[f.rs2],
  frd: (f) => F_NAMES[f.rd],
  frs1: (f) => F_NAMES[f.rs1],
  frs2: (f) => F_NAMES[f.rs2],
  frs3: (f) => F_NAMES[f.rs3],
  imm: (f) => String(f.imm),
  uimm: (f) => String(f.uimm),
  upper: (f) => hex(f.imm >>> 12),
  shamt: (f) => hex(f.shamt),
  target: (f, pc, xlen) => `0x${BigInt.asUintN(xlen, BigInt(pc) + BigInt(f.imm)).toString(16)}`,
  csr: (f) => csrName(f.csr) ?? hex(f.csr),
  // The dynamic mode is the one that assembly leaves out; for exact conversions it is 0.
  rm: (f) => f.rm === 7 ? "" : `,${ROUNDING[f.rm]}`,
  rmExact: (f) => f.rm === 0 ? "" : `,${ROUNDING[f.rm]}`,
  pred: (f) => fenceSet(f.pred),
  succ: (f) => fenceSet(f.succ),
};

/** Assembly text of a decoded instruction at `pc`; addresses are modulo 2^XLEN. */
export function assemblyText(row: RvRow, f: Fields, pc: number, xlen: 32 | 64): string {
  const operands = row.asm.replace(/\{(\w+)\}/g, (_, name: string) => WRITERS[name](f, pc, xlen));
  const ordering = f.aq === undefined ? "" : ["", ".rl", ".aq", ".aqrl"][f.aq << 1 | f.rl];
  return operands === "" ? row.name : `${row.name}${ordering} ${operands}`;
}
