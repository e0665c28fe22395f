/** Random programs in S-mode with paging: compiled code against the interpreter, instruction for instruction. */
import { assert } from "@std/assert";
import { COMPILER, compiler, scaled } from "./configuration.ts";
import { comparePrograms } from "./system_fuzz.ts";

for (const xlen of [64, 32] as const) {
  Deno.test(`compiled code with ${xlen} bits executes random programs in S-mode as the interpreter does`, () => {
    // Native code takes a C compiler for each unit; and it leaves for what wasm calls: TLB misses, privileged operations.
    const [count, share] = COMPILER === "native" ? [3, 1 / 8] : [40, 1 / 3],
      programs = scaled(count);
    const { compiled, total, switches } = comparePrograms(xlen, programs, [0, 0, 500], compiler);
    assert(compiled > total * share, `${compiled} of ${total} in compiled code`);
    assert(programs < 40 || switches > 0, "no address space was switched");
  });
}
