/**
 * An instruction set for tests of single ops.
 *
 * @module
 */
import type { Builder } from "../cpu/ir/builder.ts";
import { Trap } from "../cpu/ir/ops.ts";
import type { BackdoorRoles, Disassembly, Isa } from "../cpu/isa/isa.ts";

/** Where its code begins. */
export const CODE = 0x1000;

/** An instruction set whose instructions are whatever a test emits. */
export class OpIsa implements Isa {
  readonly name = "ops";
  readonly xlen = 64;
  readonly registers = [];
  readonly slotCount: number;
  readonly backdoor: BackdoorRoles = { kind: 1, status: 2, args: [3, 4, 5, 6, 7, 1] };
  readonly lifts: ((b: Builder) => void)[] = [];

  constructor(slotCount: number) {
    this.slotCount = slotCount;
  }

  /** Every other instruction is a trap that ends the block. */
  lift(builder: Builder, pc: number): number {
    const index = (pc - CODE) / 4;
    if (index % 2 === 0) this.lifts[index / 2](builder);
    else builder.trap(Trap.SYSCALL, 4);
    return 4;
  }
  disassemble(): Disassembly {
    return { length: 4, bits: 0, text: "op" };
  }
  readSpecial(): bigint {
    return 0n;
  }
  writeSpecial(): void {}
}
