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

const SPECIFIED = `urgent 3 7 9 1 5
urgent 3 7 9 1 5
0x800000020x80000002
1
sc: level 3 cause 0x6 tval 0x2
amo: level 3 cause 0x7 tval 0x1800000
load: level 3 cause 0x5 tval 0x40000000
store: level 3 cause 0x7 tval 0x40000000
fetch: level 3 cause 0x1 tval 0x40000000
marks, load: level 3 cause 0xd tval 0x403ff000
marks, store: level 3 cause 0xf tval 0x403ff000
marks, load: level 3 cause 0x9 tval 0x0
marks, store: level 3 cause 0xf tval 0x403ff000
marks, load: level 3 cause 0x9 tval 0x0
marks, store: level 3 cause 0x9 tval 0x0
`;

for (const xlen of [64, 32] as const) {
  testWith(
    [BARE_METAL_GCC],
    `virt with ${xlen} bits does what the manual says when QEMU does not`,
    async () => {
      const folder = await Deno.makeTempDir();
      try {
        const kernel = await buildBareMetal("spec", xlen, folder);
        const { output, reason } = await runMachine({ bios: "none", kernel });
        assertEquals(output, SPECIFIED);
        assertEquals(reason, "poweroff");
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  );
}
