/**
 * A CPU of user mode that has all its parts from the start.
 *
 * @module
 */
import type { AddressSpace } from "../../mmu/address_space.ts";
import { ALL_PASSES } from "../ir/block.ts";
import type { Isa } from "../isa/isa.ts";
import type { TierFactory } from "./tier.ts";
import { Translator } from "./translator.ts";
import { UserCpu, type UserCpuOptions } from "./user_cpu.ts";

export { Stop } from "./user_cpu.ts";

/** Options of a {@linkcode Cpu}. */
export interface CpuOptions extends UserCpuOptions {
  /** Makes a tier that compiles hot regions; without it everything is interpreted. */
  tier?: TierFactory;
}

/** A {@linkcode UserCpu} that has its translator: whatever is asked of it happens at once. */
export class Cpu extends UserCpu {
  constructor(isa: Isa, space: AddressSpace, options: CpuOptions = {}) {
    super(isa, space, options);
    this.translateWith(new Translator(isa, space, options.passes ?? ALL_PASSES));
    if (options.tier) this.addTier(options.tier);
  }
}
