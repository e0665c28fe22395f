import { assertEquals } from "@std/assert";
import { BARE_METAL_GCC, buildBareMetal, runMachine } from "./system_guest.ts";
import { testWith } from "./tools.ts";

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
