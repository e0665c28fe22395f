/**
 * The contract that every instruction set implements. Engine, backends, backdoor and machine see ISAs only
 * through it.
 *
 * @module
 */
import type { Builder } from "../ir/builder.ts";

/** A register as users and debuggers name it. */
export interface RegisterInfo {
  /** Canonical name, such as "a0". */
  readonly name: string;
  /** Other names, such as "x10". */
  readonly aliases: readonly string[];
  /** Slot of its value; -1: computed by the ISA, see {@linkcode IsaState.readSpecial}. */
  readonly slot: number;
  /** Width in bits: at most 64 with a slot, at most 128 without. */
  readonly bits: number;
  /** What it is for. */
  readonly kind: "general" | "float" | "control";
}

/** Registers with a role in the backdoor's instruction transport; see backdoor/protocol.ts. */
export interface BackdoorRoles {
  /** Slot of the request kind. */
  readonly kind: number;
  /** Slot of the status. */
  readonly status: number;
  /** Slots of arg0 to arg5. */
  readonly args: readonly number[];
}

/** Reads 16 bits of guest code; -1 if the address is not executable. */
export type Fetch = (address: number) => number;

/** One line of disassembly. */
export interface Disassembly {
  /** Length of the instruction in bytes. */
  readonly length: number;
  /** Instruction word. */
  readonly bits: number;
  /** Mnemonic and operands separated by a space, as GNU objdump -M no-aliases writes them. */
  readonly text: string;
}

/** What there is of an instruction set when nothing is translated: registers and what they are for. */
export interface IsaState {
  /** Name, such as "riscv64". */
  readonly name: string;
  /** Bits of a general-purpose register. */
  readonly xlen: 32 | 64;
  /** All registers. */
  readonly registers: readonly RegisterInfo[];
  /** Number of slots that hold guest state; slot numbers below it belong to the ISA. */
  readonly slotCount: number;
  /** What `Slot.FP_STYLE` starts as, `FpStyle` bits; 0 if absent. */
  readonly floatStyle?: number;
  /** Registers of the backdoor instruction. */
  readonly backdoor: BackdoorRoles;
  /** Value of a register that has no slot of its own. */
  readSpecial(name: string, slots: BigInt64Array): bigint;
  /** Writes a register that has no slot of its own. */
  writeSpecial(name: string, value: bigint, slots: BigInt64Array): void;
}

/** An instruction set. */
export interface Isa extends IsaState {
  /**
   * Lifts the instruction at `pc` into the builder, which has begun it.
   *
   * @returns Its length in bytes. If it can't be fetched, nothing is emitted and the result is -n, where `pc + n` is the
   * first address that is not executable (n = 0: `pc` itself, and the result is 0).
   */
  lift(builder: Builder, pc: number, fetch: Fetch): number;
  /** Assembly text of the instruction at `pc`. */
  disassemble(pc: number, fetch: Fetch): Disassembly;
}
