/** Guest code runs in the configuration that this run of the tests is for. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Program } from "../bench/lib/guest.ts";
import { Cpu } from "../cpu/engine/cpu.ts";
import { Machine } from "../machine/machine.ts";
import { AddressSpace } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import {
  commandArguments,
  COMPILED,
  CONFIGURATION,
  configurationOf,
  CONFIGURED,
  cpuOptions,
  TIER,
} from "./configuration.ts";

import { file, trapdoor } from "./emulator.ts";
import { tablesOf } from "./fuzz/encode.ts";
import { assemble } from "./wasm_fuzz.ts";

/** A loop of 3000 instructions, then the end. */
function loop(): Program {
  const p = new Program().li("s0", 1000).label("loop").i("addi", "s1", "s1", 1);
  p.i("addi", "s0", "s0", -1).branch("bne", "s0", "zero", "loop");
  return p.li("a0", 0).li("a7", 93).plain("ecall");
}

Deno.test("Machine executes in the tier of the configuration from a block's first execution", async () => {
  const program = loop().elf();
  await using machine = await Machine.user({ program, memory: 1 << 24, ...CONFIGURED });
  assertEquals((await machine.run()).reason, "exit");
  const { tiers } = machine.stats();
  if (COMPILED) assert(tiers[TIER] > 0.99, Deno.inspect(tiers));
  else assertEquals(tiers, { interp: 1 });
});

Deno.test("Cpu executes in the tier of the configuration from a block's first execution", () => {
  const space = new AddressSpace(new Arena(1 << 20));
  space.map(0x1_0000, 0x1000, 7);
  const source = "addi rd=5 imm=1000\nloop:\naddi rd=5 rs1=5 imm=-1\nbne rs1=5 @loop\necall";
  space.write(0x1_0000, assemble(64, 0x1_0000, source).bytes);
  const cpu = new Cpu(tablesOf(64).isa, space, cpuOptions(space));
  cpu.pc = 0x1_0000;
  cpu.run(100_000);
  assertEquals(cpu.instructions, 2002);
  assertEquals(cpu.tierInstructions > 1900, COMPILED);
});

Deno.test("trapdoor runs the command line in the configuration when no option says otherwise", async () => {
  const hello = file("guest/bin/riscv64/hello");
  const share = async (...args: string[]) => {
    const { stderr } = await trapdoor([...args, "--stats=json", hello]);
    return JSON.parse(stderr.trimEnd().split("\n").at(-1)!).tiers;
  };
  if (COMPILED) assert((await share())[TIER] > 0.5);
  else assertEquals(await share(), { interp: 1 });
  assertEquals(await share("--tier", "interp"), { interp: 1 });
  const off = commandArguments([]).filter((each) => each.startsWith("--without-passes="));
  const { without } = CONFIGURATION;
  assertEquals(off, without.length === 0 ? [] : [`--without-passes=${without.join(",")}`]);
});

Deno.test("configurationOf throws when there is no such tier or pass", () => {
  assertEquals(configurationOf(), { tier: "auto", without: [] });
  assertEquals(configurationOf("wasm", "fold,dead"), { tier: "wasm", without: ["fold", "dead"] });
  assertThrows(() => configurationOf("fast"), RangeError, "there are auto, interp, wasm");
  assertThrows(() => configurationOf("wasm", "gold"), RangeError, "there are fold, retarget, dead");
});
