/**
 * Zicsr and Zicntr at user level: the floating-point registers and the counters.
 *
 * Source: The RISC-V Instruction Set Manual, volume I, chapters "Zicsr", "Zicntr" and "F" (fcsr).
 *
 * @module
 */
import type { Value } from "../ir/builder.ts";
import type { Fields } from "../isa/decoder.ts";
import { type Lifter, Op, rows, Slot } from "./lifter.ts";

/** Ticks of the `time` counter in a second, as QEMU's and most boards' (10 MHz). */
export const TIMEBASE_HZ = 10_000_000;

function read(c: Lifter, csr: number): Value | undefined {
  const b = c.b;
  const flags = () => b.and(b.read(Slot.FP_FLAGS), b.imm(31));
  const rm = () => b.and(b.read(Slot.FP_RM), b.imm(7));
  const low = (v: Value) => c.xlen === 32 ? b.sext32(v) : v;
  switch (csr) {
    case 0x001:
      return flags();
    case 0x002:
      return rm();
    case 0x003:
      return b.or(b.shl(rm(), b.imm(5)), flags());
    case 0xc00:
    case 0xc02:
      return low(b.stateValue(Op.icount, 0));
    case 0xc01:
      return low(b.stateValue(Op.clock, TIMEBASE_HZ));
    case 0xc80:
    case 0xc82:
      return c.xlen === 32 ? b.shrs(b.stateValue(Op.icount, 0), b.imm(32)) : undefined;
    case 0xc81:
      return c.xlen === 32 ? b.shrs(b.stateValue(Op.clock, TIMEBASE_HZ), b.imm(32)) : undefined;
    default:
      return undefined;
  }
}

function write(c: Lifter, csr: number, value: Value): void {
  const b = c.b;
  if (csr !== 0x002) b.writeNow(Slot.FP_FLAGS, b.and(value, b.imm(31)));
  if (csr === 0x002) b.writeNow(Slot.FP_RM, b.and(value, b.imm(7)));
  if (csr === 0x003) b.writeNow(Slot.FP_RM, b.and(b.shru(value, b.imm(5)), b.imm(7)));
  b.state(Op.fpsync);
}

/** One CSR instruction: `combine` makes the new value, or undefined for none. */
const access = (
  writes: (f: Fields) => boolean,
  source: (c: Lifter, f: Fields) => Value,
  combine: (c: Lifter, old: Value, source: Value) => Value,
) =>
(c: Lifter, f: Fields) => {
  const writing = writes(f);
  // Bits 11:10 of the number are 11 for read-only registers.
  const old = writing && f.csr >>> 10 === 3 ? undefined : read(c, f.csr);
  if (old === undefined) return c.illegal();
  // The old value is copied: an operation below may overwrite where it came from.
  const copy = old === Slot.ZERO ? old : c.b.op1(Op.mov, old);
  if (writing) write(c, f.csr, combine(c, copy, source(c, f)));
  c.setX(f.rd, copy);
};

const register = (c: Lifter, f: Fields) => c.x(f.rs1);
const immediate = (c: Lifter, f: Fields) => c.b.imm(f.uimm);
const swap = (_: Lifter, __: Value, value: Value) => value;
const set = (c: Lifter, old: Value, bits: Value) => c.b.or(old, bits);
const clear = (c: Lifter, old: Value, bits: Value) => c.b.and(old, c.b.not(bits));

/** The rows. */
export const RV_ZICSR = () =>
  rows(
    ["csrrw", "csr rs1 001 rd 1110011", "{rd},{csr},{rs1}", access(() => true, register, swap)],
    [
      "csrrs",
      "csr rs1 010 rd 1110011",
      "{rd},{csr},{rs1}",
      access((f) => f.rs1 !== 0, register, set),
    ],
    [
      "csrrc",
      "csr rs1 011 rd 1110011",
      "{rd},{csr},{rs1}",
      access((f) => f.rs1 !== 0, register, clear),
    ],
    ["csrrwi", "csr uimm 101 rd 1110011", "{rd},{csr},{uimm}", access(() => true, immediate, swap)],
    [
      "csrrsi",
      "csr uimm 110 rd 1110011",
      "{rd},{csr},{uimm}",
      access((f) => f.uimm !== 0, immediate, set),
    ],
    [
      "csrrci",
      "csr uimm 111 rd 1110011",
      "{rd},{csr},{uimm}",
      access((f) => f.uimm !== 0, immediate, clear),
    ],
  );
