/**
 * The instruction sets that user mode can run, each with its Linux ABI.
 *
 * @module
 */
import type { Isa } from "../cpu/isa/isa.ts";
import { AARCH64_ABI } from "./user/aarch64_abi.ts";
import type { Abi } from "./user/abi.ts";
import type { ElfTarget } from "./user/elf.ts";
import { RISCV32_ABI, RISCV64_ABI } from "./user/riscv_abi.ts";

/** An instruction set, its executables and its ABI. */
export interface Target extends ElfTarget {
  /** Makes the instruction set, whose modules are loaded only now. */
  isa(): Promise<Isa>;
  /** Its Linux ABI. */
  abi: Abi;
  /** Rooms with what translates its code. */
  translator: readonly string[];
}

const EM_RISCV = 243, EM_AARCH64 = 183;

const riscv = async (xlen: 32 | 64) => new (await import("../cpu/riscv/riscv.ts")).Riscv(xlen);

const RISCV = {
  machine: EM_RISCV,
  translator: ["cpu/ir", "cpu/isa", "cpu/riscv"],
};

/** All of them. */
export const TARGETS: readonly Target[] = [
  { ...RISCV, name: "riscv64", class: 64, isa: () => riscv(64), abi: RISCV64_ABI },
  { ...RISCV, name: "riscv32", class: 32, isa: () => riscv(32), abi: RISCV32_ABI },
  {
    machine: EM_AARCH64,
    translator: ["cpu/ir", "cpu/isa", "cpu/aarch64"],
    name: "aarch64",
    class: 64,
    isa: async () => new (await import("../cpu/aarch64/aarch64.ts")).Aarch64(),
    abi: AARCH64_ABI,
  },
];
