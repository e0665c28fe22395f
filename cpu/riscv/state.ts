/**
 * RISC-V register state: slots, names, and what the backdoor instruction uses.
 *
 * Source: The RISC-V Instruction Set Manual, volume I, chapters 2 (RV32I) and 20 (F); register names from the
 * RISC-V ELF psABI, "Register Convention". On RV32 registers are kept sign-extended to 64 bits.
 *
 * @module
 */
import type { BackdoorRoles, IsaState, RegisterInfo } from "../isa/isa.ts";
import { Slot } from "../ir/encoding.ts";

/** ABI names of x0 to x31. */
export const X_NAMES: readonly string[] = [
  ...["zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1"],
  ...["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"],
  ...["s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"],
];

/** ABI names of f0 to f31. */
export const F_NAMES: readonly string[] = [
  ...["ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1"],
  ...["fa0", "fa1", "fa2", "fa3", "fa4", "fa5", "fa6", "fa7"],
  ...["fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11"],
  ...["ft8", "ft9", "ft10", "ft11"],
];

/** Slot of x0, always zero; x1 to x31 follow. */
export const X_BASE = Slot.ZERO;
/** Slot of f0; f1 to f31 follow. */
export const F_BASE = 32;
/** Slots that hold RISC-V state. */
export const SLOT_COUNT = 64;

/** The registers of RV32GC or RV64GC as users name them. */
export function registers(xlen: 32 | 64): RegisterInfo[] {
  const list: RegisterInfo[] = [];
  X_NAMES.forEach((name, i) => {
    const aliases = name === "s0" ? ["x8", "fp"] : [`x${i}`];
    list.push({ name, aliases, slot: X_BASE + i, bits: xlen, kind: "general" });
  });
  F_NAMES.forEach((name, i) => {
    list.push({ name, aliases: [`f${i}`], slot: F_BASE + i, bits: 64, kind: "float" });
  });
  for (const name of ["fflags", "frm", "fcsr"]) {
    list.push({ name, aliases: [], slot: -1, bits: 32, kind: "control" });
  }
  return list;
}

/** a7 is the kind, a6 the status, a0 to a5 the arguments. */
export const BACKDOOR_ROLES: BackdoorRoles = {
  kind: X_BASE + 17,
  status: X_BASE + 16,
  args: [10, 11, 12, 13, 14, 15].map((n) => X_BASE + n),
};

/** The backdoor instruction: `slti zero,zero,0x7bd`, a HINT designated for custom use (volume I, "HINT Instructions"). */
export const BACKDOOR_INSTRUCTION = 0x7bd0_2013;

/** Value of fflags, frm or fcsr. */
export function readFloatCsr(name: string, slots: BigInt64Array): bigint {
  const flags = slots[Slot.FP_FLAGS] & 31n, rm = slots[Slot.FP_RM] & 7n;
  return name === "fflags" ? flags : name === "frm" ? rm : rm << 5n | flags;
}

/** Writes fflags, frm or fcsr and what depends on them. */
export function writeFloatCsr(name: string, value: bigint, slots: BigInt64Array): void {
  if (name !== "frm") slots[Slot.FP_FLAGS] = value & 31n;
  if (name === "frm") slots[Slot.FP_RM] = value & 7n;
  if (name === "fcsr") slots[Slot.FP_RM] = value >> 5n & 7n;
  slots[Slot.FP_FAST] = slots[Slot.FP_RM] === 0n && (slots[Slot.FP_FLAGS] & 1n) !== 0n ? 1n : 0n;
}

/** Registers of one width, without what translates code. */
export class RiscvState implements IsaState {
  readonly name: string;
  readonly registers: readonly RegisterInfo[];
  readonly slotCount = SLOT_COUNT;
  readonly backdoor = BACKDOOR_ROLES;

  constructor(readonly xlen: 32 | 64) {
    this.name = `riscv${xlen}`;
    this.registers = registers(xlen);
  }

  readSpecial(name: string, slots: BigInt64Array): bigint {
    return readFloatCsr(name, slots);
  }

  writeSpecial(name: string, value: bigint, slots: BigInt64Array): void {
    writeFloatCsr(name, value, slots);
  }
}
