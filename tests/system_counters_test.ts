import { assertEquals } from "@std/assert";
import { BARE_METAL_GCC, buildBareMetal, runMachine } from "./system_guest.ts";
import { testWith } from "./tools.ts";

/** As Sscofpmf says; QEMU counts host time. */
const expected = (high: string) =>
  `still 0x4d
absent 0x0
same 0x1
inhibited 0x0
mcountinhibit 0x8
written 0x1
${high}none counts counts counts
M counts counts -
S counts - counts
U - counts counts
M and S counts - -
all - - -
0x2 0x2 0x2 0x1267 0x2 0x2 0x1267 0x1267 
not yet 0x0
overflow 0x1
scountovf 0x8
hidden 0x0
shown 0x8
cause 0x2
once 0x8
level 0x1
cause 0xd
interrupt 0x1
sip 0x2000
sip 0x0
counted 0x1
`;

for (const xlen of [64, 32] as const) {
  for (const icount of [false, true]) {
    for (const tier of ["interp", "wasm"] as const) {
      testWith(
        [BARE_METAL_GCC],
        `EventCounters with ${xlen} bits count, filter and overflow when ${tier} executes${
          icount ? " and time is instructions" : ""
        }`,
        async () => {
          const folder = await Deno.makeTempDir();
          try {
            const kernel = await buildBareMetal("counters", xlen, folder);
            const { output, reason } = await runMachine({ bios: "none", kernel, icount, tier });
            assertEquals(output, expected(xlen === 32 ? "high 0x12\n" : ""));
            assertEquals(reason, "poweroff");
          } finally {
            await Deno.remove(folder, { recursive: true });
          }
        },
      );
    }
  }
}
