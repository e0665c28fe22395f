/**
 * The instruction sets that user mode can run, each with its Linux ABI.
 *
 * @module
 */
import type { Isa, IsaState } from "../cpu/isa/isa.ts";
import type { Abi } from "./user/abi.ts";
import type { Elf, ElfTarget } from "./user/elf.ts";

/** An instruction set, its executables and its ABI. */
export interface Target extends ElfTarget {
  /** Its registers and its Linux ABI, whose modules are loaded only now. */
  load(): Promise<{ state: IsaState; abi: Abi }>;
  /** Makes the whole instruction set; the same for its modules. */
  loadIsa(): Promise<Isa>;
  /** Rooms with what translates its code. */
  translator: readonly string[];
}

const EM_RISCV = 243, EM_AARCH64 = 183;

const RISCV = {
  machine: EM_RISCV,
  translator: ["cpu/ir", "cpu/isa", "cpu/riscv"],
};
const riscv = (xlen: 32 | 64) => ({
  load: async () => {
    const [{ RiscvState }, { RISCV32_ABI, RISCV64_ABI }] = await Promise.all([
      import("../cpu/riscv/state.ts"),
      import("./user/riscv_abi.ts"),
    ]);
    return { state: new RiscvState(xlen), abi: xlen === 64 ? RISCV64_ABI : RISCV32_ABI };
  },
  loadIsa: async () => new (await import("../cpu/riscv/riscv.ts")).Riscv(xlen),
});
const AARCH64 = {
  load: async () => {
    const [{ Aarch64State }, { AARCH64_ABI }] = await Promise.all([
      import("../cpu/aarch64/state.ts"),
      import("./user/aarch64_abi.ts"),
    ]);
    return { state: new Aarch64State(), abi: AARCH64_ABI };
  },
  loadIsa: async () => new (await import("../cpu/aarch64/aarch64.ts")).Aarch64(),
};

/** All of them. */
export const TARGETS: readonly Target[] = [
  { ...RISCV, name: "riscv64", class: 64, ...riscv(64) },
  { ...RISCV, name: "riscv32", class: 32, ...riscv(32) },
  {
    machine: EM_AARCH64,
    translator: ["cpu/ir", "cpu/isa", "cpu/aarch64"],
    name: "aarch64",
    class: 64,
    ...AARCH64,
  },
];

/** The one for an executable that was read with {@linkcode TARGETS}. */
export function targetOf(elf: Elf): Target {
  return TARGETS.find((target) => target.machine === elf.machine && target.class === elf.class)!;
}
