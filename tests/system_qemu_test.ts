import { assertEquals } from "@std/assert";
import { BARE_METAL_GCC, buildBareMetal, runMachine, runQemu } from "./system_guest.ts";
import { testWith } from "./tools.ts";

/** With two harts, because QEMU's atomics are loads and stores with one. */
const HARTS = 2;

const PROGRAMS: Record<string, string> = {
  traps: "every exception comes from every level, delegated and not",
  paging: "entries have any flags, and accesses are made from any level",
  pmp: "physical memory is protected",
  interrupts: "interrupts come at every level",
  code: "code changes, moves and crosses pages",
  registers: "registers are written",
};

for (const [name, when] of Object.entries(PROGRAMS)) {
  for (const xlen of [64, 32] as const) {
    testWith(
      [BARE_METAL_GCC, `qemu-system-riscv${xlen}`],
      `virt with ${xlen} bits prints what QEMU's prints when ${when}`,
      async () => {
        const folder = await Deno.makeTempDir();
        try {
          const kernel = await buildBareMetal(name, xlen, folder);
          const mine = await runMachine({ bios: "none", kernel, harts: HARTS });
          assertEquals(mine.reason, "poweroff", mine.output);
          assertEquals(mine.output, await runQemu(kernel, xlen, HARTS));
        } finally {
          await Deno.remove(folder, { recursive: true });
        }
      },
    );
  }
}
