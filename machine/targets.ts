/**
 * The instruction sets that user mode can run, each with its Linux ABI.
 *
 * @module
 */
import type { Isa } from "../cpu/isa/isa.ts";
import type { Abi } from "./user/abi.ts";
import type { Elf, ElfTarget } from "./user/elf.ts";

/** An instruction set, its executables and its ABI. */
export interface Target extends ElfTarget {
  /** Makes the instruction set, and has its Linux ABI; their modules are loaded only now. */
  load(): Promise<{ isa: Isa; abi: Abi }>;
  /** Rooms with what translates its code. */
  translator: readonly string[];
}

const EM_RISCV = 243, EM_AARCH64 = 183;

const RISCV = {
  machine: EM_RISCV,
  translator: ["cpu/ir", "cpu/isa", "cpu/riscv"],
};
const riscv = async (xlen: 32 | 64) => {
  const [{ Riscv }, { RISCV32_ABI, RISCV64_ABI }] = await Promise.all([
    import("../cpu/riscv/riscv.ts"),
    import("./user/riscv_abi.ts"),
  ]);
  return { isa: new Riscv(xlen), abi: xlen === 64 ? RISCV64_ABI : RISCV32_ABI };
};
const aarch64 = async () => {
  const [{ Aarch64 }, { AARCH64_ABI }] = await Promise.all([
    import("../cpu/aarch64/aarch64.ts"),
    import("./user/aarch64_abi.ts"),
  ]);
  return { isa: new Aarch64(), abi: AARCH64_ABI };
};

/** All of them. */
export const TARGETS: readonly Target[] = [
  { ...RISCV, name: "riscv64", class: 64, load: () => riscv(64) },
  { ...RISCV, name: "riscv32", class: 32, load: () => riscv(32) },
  {
    machine: EM_AARCH64,
    translator: ["cpu/ir", "cpu/isa", "cpu/aarch64"],
    name: "aarch64",
    class: 64,
    load: aarch64,
  },
];

/** The one for an executable that was read with {@linkcode TARGETS}. */
export function targetOf(elf: Elf): Target {
  return TARGETS.find((target) => target.machine === elf.machine && target.class === elf.class)!;
}
