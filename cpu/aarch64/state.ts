/**
 * AArch64 register state at EL0: slots, names, and what the backdoor instruction uses.
 *
 * Source: Arm Architecture Reference Manual for A-profile (DDI 0487), chapter B1 "The AArch64 Application Level
 * Programmers' Model".
 *
 * @module
 */
import { FpStyle, Slot } from "../ir/encoding.ts";
import type { BackdoorRoles, IsaState, RegisterInfo } from "../isa/isa.ts";

/** Slot of X0; X1 to X30 follow, and SP. */
export const X_BASE = 1;
/** Slot of the stack pointer. */
export const SP_SLOT: number = X_BASE + 31;
/** N is the sign of this slot. */
export const N_SLOT = 33;
/** Z is set if this slot is 0. */
export const Z_SLOT = 34;
/** C is set unless this slot is less than the next as an unsigned number, N and V differ if it is as a signed one. */
export const LEFT_SLOT = 35;
/** Of a comparison, LEFT and RIGHT are the operands. */
export const RIGHT_SLOT = 36;
/** TPIDR_EL0. */
export const TPIDR_SLOT = 37;
/** High half of what a load-exclusive pair loaded. */
export const EXCLUSIVE_HIGH_SLOT = 38;
/** First slot of V0; V1 is two slots on, and so forth. */
export const V_BASE = 64;
/** Slot of FPCR, as it was written. */
export const FPCR_SLOT = 128;
/** What `Slot.FP_STYLE` is while FPCR is 0. */
export const FLOAT_STYLE: number = FpStyle.PROPAGATE | FpStyle.TINY_BEFORE | FpStyle.NAN_TO_ZERO;
/** Slots that hold AArch64 state: the last is FPCR's. */
export const SLOT_COUNT: number = FPCR_SLOT + 4;

/** Names of X0 to X30. */
export const X_NAMES: readonly string[] = Array.from({ length: 31 }, (_, i) => `x${i}`);

/** The registers as users name them. */
export function registers(): RegisterInfo[] {
  const list: RegisterInfo[] = X_NAMES.map((name, i) => {
    const aliases = i === 29 ? ["fp"] : i === 30 ? ["lr"] : [];
    return { name, aliases, slot: X_BASE + i, bits: 64, kind: "general" };
  });
  list.push({ name: "sp", aliases: [], slot: SP_SLOT, bits: 64, kind: "general" });
  for (let i = 0; i < 32; i++) {
    list.push({ name: `d${i}`, aliases: [], slot: V_BASE + 2 * i, bits: 64, kind: "float" });
    list.push({ name: `v${i}`, aliases: [`q${i}`], slot: -1, bits: 128, kind: "float" });
    list.push({ name: `v${i}h`, aliases: [], slot: V_BASE + 2 * i + 1, bits: 64, kind: "float" });
  }
  list.push({ name: "tpidr_el0", aliases: ["tp"], slot: TPIDR_SLOT, bits: 64, kind: "control" });
  for (const name of ["nzcv", "fpcr", "fpsr"]) {
    const aliases = name === "nzcv" ? ["cpsr"] : [];
    list.push({ name, aliases, slot: -1, bits: 32, kind: "control" });
  }
  return list;
}

/** x8 is the kind, x7 the status, x0 to x5 the arguments. */
export const BACKDOOR_ROLES: BackdoorRoles = {
  kind: X_BASE + 8,
  status: X_BASE + 7,
  args: [0, 1, 2, 3, 4, 5].map((n) => X_BASE + n),
};

/** The backdoor instruction: `movz xzr, #0x7bd`, which does nothing. */
export const BACKDOOR_INSTRUCTION = 0xd280_f7bf;

/** N, Z, C and V in bits 31 to 28. */
export function readNzcv(slots: BigInt64Array): bigint {
  const bit = (on: boolean, at: bigint) => on ? 1n << at : 0n;
  const n = slots[N_SLOT] < 0n, left = slots[LEFT_SLOT], right = slots[RIGHT_SLOT];
  const carry = BigInt.asUintN(64, left) >= BigInt.asUintN(64, right);
  return bit(n, 31n) | bit(slots[Z_SLOT] === 0n, 30n) | bit(carry, 29n) |
    bit(n !== left < right, 28n);
}

/** Writes N, Z, C and V. */
export function writeNzcv(value: bigint, slots: BigInt64Array): void {
  const n = value >> 31n & 1n, less = n ^ value >> 28n & 1n, borrow = value >> 29n & 1n ^ 1n;
  slots[N_SLOT] = -n;
  slots[Z_SLOT] = value >> 30n & 1n ^ 1n;
  // 0 and 0, -1 and 0, 0 and -1, 0 and 1 are all that two comparisons can say.
  slots[LEFT_SLOT] = borrow ? 0n : -less;
  slots[RIGHT_SLOT] = borrow ? less ? 1n : -1n : 0n;
}

/** Value of V`n`, 128 bits. */
export function readVector(n: number, slots: BigInt64Array): bigint {
  const low = V_BASE + 2 * n;
  return BigInt.asUintN(64, slots[low + 1]) << 64n | BigInt.asUintN(64, slots[low]);
}

/** Writes V`n`. */
export function writeVector(n: number, value: bigint, slots: BigInt64Array): void {
  const low = V_BASE + 2 * n;
  slots[low] = BigInt.asIntN(64, value);
  slots[low + 1] = BigInt.asIntN(64, value >> 64n);
}

/** FPSR from the accrued flags: [flag of the engine, bit of FPSR]. */
const FPSR_BITS = [[4n, 0n], [3n, 1n], [2n, 2n], [1n, 3n], [0n, 4n], [5n, 7n], [6n, 27n]] as const;

/** Value of FPSR. */
export function readFpsrSlots(slots: BigInt64Array): bigint {
  let value = 0n;
  for (const [from, to] of FPSR_BITS) value |= (slots[Slot.FP_FLAGS] >> from & 1n) << to;
  return value;
}

/** Writes FPSR or FPCR and what depends on them. */
export function writeFloatControl(name: string, value: bigint, slots: BigInt64Array): void {
  if (name === "fpsr") {
    let flags = 0n;
    for (const [to, from] of FPSR_BITS) flags |= (value >> from & 1n) << to;
    slots[Slot.FP_FLAGS] = flags;
  } else {
    const kept = value & 0x07c0_0000n, plus = kept >> 22n & 1n, minus = kept >> 23n & 1n;
    slots[FPCR_SLOT] = kept;
    slots[Slot.FP_RM] = (plus ^ minus) << 1n | plus | (kept >> 24n & 1n) << 3n;
    slots[Slot.FP_STYLE] = 7n ^ (kept >> 25n & 1n) ^ (kept >> 26n & 1n) << 3n;
  }
  slots[Slot.FP_FAST] = slots[Slot.FP_RM] === 0n && (slots[Slot.FP_FLAGS] & 1n) !== 0n ? 1n : 0n;
}

/** The registers, without what translates code. */
export class Aarch64State implements IsaState {
  readonly name = "aarch64";
  readonly xlen = 64;
  readonly registers: readonly RegisterInfo[] = registers();
  readonly slotCount = SLOT_COUNT;
  readonly floatStyle = FLOAT_STYLE;
  readonly backdoor = BACKDOOR_ROLES;

  readSpecial(name: string, slots: BigInt64Array): bigint {
    if (name === "nzcv") return readNzcv(slots);
    if (name[0] === "v") return readVector(Number(name.slice(1)), slots);
    return name === "fpcr" ? slots[FPCR_SLOT] : readFpsrSlots(slots);
  }

  writeSpecial(name: string, value: bigint, slots: BigInt64Array): void {
    if (name === "nzcv") writeNzcv(value, slots);
    else if (name[0] === "v") writeVector(Number(name.slice(1)), value, slots);
    else writeFloatControl(name, value, slots);
  }
}
