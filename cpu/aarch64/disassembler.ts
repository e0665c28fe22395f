/**
 * Assembly text from the tables' `asm` templates, as GNU `objdump -M no-aliases` writes it. vector_text.ts
 * has what only floating point and Advanced SIMD need.
 *
 * @module
 */
import type { Fields } from "../isa/decoder.ts";
import { HINTS, SYSTEM_REGISTERS } from "./a64_branch.ts";
import { bitMask } from "./a64_data.ts";
import type { A64Row } from "./lifter.ts";
import { VECTOR_WRITERS, vectorRegister } from "./vector_text.ts";

const CONDITIONS = "eq ne cs cc mi pl vs vc hi ls ge lt gt le al nv".split(" ");
const EXTENDS = "uxtb uxth uxtw uxtx sxtb sxth sxtw sxtx".split(" ");
const SHIFTS = ["lsl", "lsr", "asr", "ror"];
const BARRIERS = [
  ..."#0x00 oshld oshst osh #0x04 nshld nshst nsh #0x08 ishld ishst ish #0x0c ld st sy".split(" "),
];
const hex = (value: number) => `0x${value.toString(16)}`;
const address = (pc: number, by: number) =>
  `0x${BigInt.asUintN(64, BigInt(pc) + BigInt(by)).toString(16)}`;

/** Name of a register, of 32 or 64 bits. */
function name(n: number, wide: boolean, sp = false): string {
  if (n === 31) return sp ? (wide ? "sp" : "wsp") : wide ? "xzr" : "wzr";
  return `${wide ? "x" : "w"}${n}`;
}

const at = (f: Fields, by: number) =>
  by === 0 ? `[${name(f.rn, true, true)}]` : `[${name(f.rn, true, true)}, #${by}]`;

/** How each `{name}` or `{name:number}` of a template is written. */
const WRITERS: Readonly<Record<string, (f: Fields, pc: number, log2: number) => string>> = {
  rmext: (f) => name(f.rm, f.sf === 1 && (f.option & 3) === 3),
  imm12: (f) => `#${hex(f.imm12)}`,
  sh12: (f) => f.sh ? ", lsl #12" : "",
  shifted: (f) => f.shift === 0 && f.imm6 === 0 ? "" : `, ${SHIFTS[f.shift]} #${f.imm6}`,
  extended: (f) => {
    const usesSp = f.rn === 31 || (f.rd === 31 && f.flags === 0);
    const plain = usesSp && f.option === (f.sf ? 3 : 2);
    if (plain) return f.imm3 ? `, lsl #${f.imm3}` : "";
    return `, ${EXTENDS[f.option]}${f.imm3 ? ` #${f.imm3}` : ""}`;
  },
  bitmask: (f) => `#0x${bitMask(f)!.toString(16)}`,
  imm16: (f) => `#${hex(f.imm16)}`,
  imm5: (f) => `#${hex(f.imm5)}`,
  nzcv: (f) => `#${hex(f.nzcv)}`,
  hw: (f) => f.hw ? `, lsl #${16 * f.hw}` : "",
  adr: (f, pc) => address(pc, f.imm21),
  adrp: (f, pc) => address(pc - pc % 4096, f.imm21 * 4096),
  immr: (f) => `#${f.immr}`,
  imms: (f) => `#${f.imms}`,
  cond: (f) => CONDITIONS[f.cond],
  bit: (f) => String(f.bit),
  rtbit: (f) => name(f.rt, f.bit > 31),
  target14: (f, pc) => address(pc, 4 * f.imm14),
  target19: (f, pc) => address(pc, 4 * f.imm19),
  target26: (f, pc) => address(pc, 4 * f.imm26),
  barrier: (f) => BARRIERS[f.crm],
  isb: (f) => f.crm === 15 ? "" : `#${hex(f.crm)}`,
  sysreg: (f) => SYSTEM_REGISTERS.get(f.sysreg)?.name ?? generic(f.sysreg),
  offset9: (f) => at(f, f.imm9),
  pre9: (f) => `[${name(f.rn, true, true)}, #${f.imm9}]!`,
  post9: (f) => `[${name(f.rn, true, true)}], #${f.imm9}`,
  offset12: (f, _, log2) => at(f, f.imm12 << log2),
  offset7: (f, _, log2) => at(f, f.imm7 * 2 ** log2),
  pre7: (f, _, log2) => `[${name(f.rn, true, true)}, #${f.imm7 * 2 ** log2}]!`,
  post7: (f, _, log2) => `[${name(f.rn, true, true)}], #${f.imm7 * 2 ** log2}`,
  index: (f, _, log2) => {
    const index = name(f.rm, (f.option & 1) === 1), by = f.s ? ` #${log2}` : "";
    const how = f.option === 3 ? (f.s ? `, lsl${by}` : "") : `, ${EXTENDS[f.option]}${by}`;
    return `[${name(f.rn, true, true)}, ${index}${how}]`;
  },
  prfop: (f) => {
    const kind = ["pld", "pli", "pst"][f.prfop >> 3], level = f.prfop >> 1 & 3;
    if (!kind || level === 3) return `#${hex(f.prfop).replace(/^0x(.)$/, "0x0$1")}`;
    return `${kind}l${level + 1}${f.prfop & 1 ? "strm" : "keep"}`;
  },
  rsnext32: (f) => name(f.rs + 1, false),
  rsnext64: (f) => name(f.rs + 1, true),
  rtnext32: (f) => name(f.rt + 1, false),
  rtnext64: (f) => name(f.rt + 1, true),
};

/** A system register without a name here. */
function generic(n: number): string {
  return `s${n >> 14 | 2}_${n >> 11 & 7}_c${n >> 7 & 15}_c${n >> 3 & 15}_${n & 7}`;
}

/** A register field such as `rd`, `rnsp`, `rt64` or `rm64sp`. */
function register(token: string, f: Fields): string | undefined {
  const match = /^(rd|rn|rm|ra|rs|rt2|rt)(sp)?(32|64)?(sp)?$/.exec(token);
  if (!match) return undefined;
  const wide = match[3] ? match[3] === "64" : f.sf === 1;
  return name(f[match[1]], wide, (match[2] ?? match[4]) !== undefined);
}

/** Assembly text of a decoded instruction at `pc`. */
export function assemblyText(row: A64Row, f: Fields, pc: number): string {
  if (row.name === "hint") {
    const hint = HINTS.get(f.hint);
    if (hint !== "bti") return hint ?? `hint #${hex(f.hint)}`;
    return ["bti", "bti c", "bti j", "bti jc"][f.hint - 32 >> 1];
  }
  if (row.name === "b.") return `b.${CONDITIONS[f.cond]} ${WRITERS.target19(f, pc, 0)}`;
  if (row.name.startsWith("adds") || row.name.startsWith("subs")) f = { ...f, flags: 1 };
  else f = { ...f, flags: 0 };
  const operands = row.asm.replace(/\{(\w+)(?::(\w+))?\}/g, (_, token: string, argument = "") => {
    return register(token, f) ?? vectorRegister(token, f, argument) ??
      VECTOR_WRITERS[token]?.(f, argument) ?? WRITERS[token](f, pc, Number(argument));
  });
  // A template that starts with {2} writes the end of the mnemonic.
  if (row.asm.startsWith("{2}")) return row.name + operands;
  return operands === "" ? row.name : `${row.name} ${operands}`;
}
