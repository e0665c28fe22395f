import { assertEquals } from "@std/assert";
import type { CallbackModule, Cpu } from "../backdoor/types.ts";
import { NOT_HANDLED } from "../backdoor/types.ts";
import { GuestMemoryError } from "../mmu/address_space.ts";
import { BARE_METAL_GCC, buildBareMetal, runMachine } from "./system_guest.ts";
import { testWith } from "./tools.ts";

const BAD = 250;

/** What guest/system/backdoor.c calls. */
const callbacks = (log: string[]): CallbackModule => ({
  init: () => void log.push("init"),
  call: (cpu: Cpu, command: number, ...args: number[]) => {
    log.push(`call ${command} of hart ${cpu.hart}`);
    switch (command) {
      case 1:
        try {
          return cpu.memory.readCString(args[0], 100).length;
        } catch (error) {
          if (!(error instanceof GuestMemoryError)) throw error;
          return BAD;
        }
      case 2:
        return [...cpu.args].reduce((sum, value) => sum + value, 0n);
      case 3: {
        const text = new TextDecoder().decode(cpu.data.subarray(0, args[0] - 1)).toUpperCase();
        cpu.data.set(new TextEncoder().encode(text));
        return text.length;
      }
      case 4:
        return new Promise((resolve) => setTimeout(() => resolve(args[0] * 2), 5));
      default:
        return NOT_HANDLED;
    }
  },
  fini: () => void log.push("fini"),
});

/** 1 + 2 << 8 + 3 << 16 + 4 << 24. */
const SUM = (0x04030201).toString(16);

const EXPECTED = `0x10000
3 0x13
3 0x${SUM}
1 0x13
1 0x13
1 0x${SUM}
1 0x${SUM}
0 0x13
0 0x${SUM}
0 0xa
0 0xfa
0 0xfa
1 0xfa
44
10x400200019A TEXT OF 19 BYTES.
10 0 100 00
`;

for (const xlen of [64, 32] as const) {
  testWith(
    [BARE_METAL_GCC],
    `virt with ${xlen} bits answers backdoor calls when they come from M-, S- and U-mode`,
    async () => {
      const folder = await Deno.makeTempDir();
      try {
        const kernel = await buildBareMetal("backdoor", xlen, folder, ["guest/lib/trapdoor.c"]);
        const log: string[] = [], reports: string[] = [];
        const { output, reason } = await runMachine({
          bios: "none",
          kernel,
          backdoor: callbacks(log),
          report: (message) => reports.push(message),
        });
        assertEquals(output, EXPECTED);
        assertEquals([reason, reports], ["poweroff", []]);
        assertEquals([log[0], log.at(-1)], ["init", "fini"]);
        // Without a callback module nobody answers.
        const alone = await runMachine({ bios: "none", kernel }, 100_000);
        assertEquals(alone.output.split("\n")[0], "0x0");
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  );
}
