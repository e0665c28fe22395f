/**
 * The instruction sets that user mode can run, each with its Linux ABI.
 *
 * @module
 */
import type { Isa } from "../cpu/isa/isa.ts";
import { Riscv } from "../cpu/riscv/riscv.ts";
import type { Abi } from "./user/abi.ts";
import type { ElfTarget } from "./user/elf.ts";
import { RISCV32_ABI, RISCV64_ABI } from "./user/riscv_abi.ts";

/** An instruction set, its executables and its ABI. */
export interface Target extends ElfTarget {
  /** Makes the instruction set. */
  isa(): Isa;
  /** Its Linux ABI. */
  abi: Abi;
}

const EM_RISCV = 243;

/** All of them. */
export const TARGETS: readonly Target[] = [
  { name: "riscv64", machine: EM_RISCV, class: 64, isa: () => new Riscv(64), abi: RISCV64_ABI },
  { name: "riscv32", machine: EM_RISCV, class: 32, isa: () => new Riscv(32), abi: RISCV32_ABI },
];
