/** Native code in system mode: random programs, bare-metal programs, and where the wasm tier hands over. */
import { assert, assertEquals } from "@std/assert";
import { WasmTier } from "../cpu/wasm/tier.ts";
import { Helper } from "../ffi/helper.ts";
import * as printer from "../ffi/print_unit.ts";
import { NativeTier } from "../ffi/tier.ts";
import { Place } from "../machine/system/virt.ts";
import { loadProgram, makeBoard } from "./system_board.ts";
import { trapdoor } from "./emulator.ts";
import { tablesOf } from "./fuzz/encode.ts";
import { nativeTools } from "./native_tools.ts";
import { comparePrograms } from "./system_fuzz.ts";
import { BARE_METAL_GCC, buildBareMetal } from "./system_guest.ts";
import { testWith } from "./tools.ts";

for (const xlen of [64, 32] as const) {
  testWith(
    ["gcc"],
    `native code with ${xlen} bits executes random programs in S-mode as the interpreter does`,
    async () => {
      using tools = await nativeTools();
      const { compiled, total } = comparePrograms(xlen, 2, [0], tools.tier);
      assert(compiled > total / 8, `${compiled} of ${total} in native code`);
    },
  );
}

testWith(
  ["gcc"],
  "a loop of system mode goes on in native code when it is hot in wasm",
  async () => {
    using tools = await nativeTools();
    const t = tablesOf(64), a = t.assemble.bind(t), T0 = 5, T1 = 6, T2 = 7, S0 = 8;
    // Sums and stores, in M-mode; the counter's low bits are the place.
    const program = [
      a("auipc", { rd: S0, imm: 0x1000 }),
      a("addi", { rd: T0, rs1: T0, imm: 1 }),
      a("andi", { rd: T1, rs1: T0, imm: 0x7f8 }),
      a("add", { rd: T1, rs1: T1, rs2: S0 }),
      a("ld", { rd: T2, rs1: T1, imm: 0 }),
      a("xor", { rd: T2, rs1: T2, rs2: T0 }),
      a("sd", { rs2: T2, rs1: T1, imm: 0 }),
      a("jal", { rd: 0, imm: -24 }),
    ];
    const run = (native: boolean) => {
      const board = makeBoard(), { cpu, bus } = board;
      loadProgram(board, program);
      cpu.addTier((services) => new WasmTier(bus.ram.arena, services));
      if (native) cpu.addTier(tools.tier(bus.ram));
      cpu.start(Place.RAM);
      while (cpu.instructions < 100_000_000) cpu.run(1_000_000, true);
      const names = ["pc", "t0", "t1", "t2", "s0"];
      return {
        upper: cpu.upperInstructions,
        state: names.map((name) => cpu.getRegister(name)),
        memory: bus.ram.arena.m8.slice(0, 8192),
      };
    };
    const wanted = run(false), got = run(true);
    assertEquals(got.state, wanted.state);
    assertEquals(got.memory, wanted.memory);
    assert(got.upper > 10_000_000, `${got.upper} instructions in native code`);
  },
);

testWith(
  ["gcc"],
  "functions become one unit with the loop of system mode that calls them, whichever is found hot",
  async () => {
    using tools = await nativeTools();
    const t = tablesOf(64), a = t.assemble.bind(t), RA = 1, T0 = 5, T1 = 6, T2 = 7;
    // The clock finds the loops in the functions, which are too short to be worth a unit each.
    const TURNS = 20, CALLED = 4;
    const called = [
      a("addi", { rd: T2, rs1: 0, imm: TURNS }),
      ...Array.from({ length: 9 }, () => a("add", { rd: T1, rs1: T1, rs2: T0 })),
      a("addi", { rd: T2, rs1: T2, imm: -1 }),
      a("bne", { rs1: T2, rs2: 0, imm: -40 }),
      a("jalr", { rd: 0, rs1: RA, imm: 0 }),
    ];
    const calls = Array.from({ length: CALLED }, (_, i) => {
      const to = (CALLED + 2 + i * called.length - i) * 4;
      return a("jal", { rd: RA, imm: to });
    });
    const program = [
      ...calls,
      a("addi", { rd: T0, rs1: T0, imm: 1 }),
      a("jal", { rd: 0, imm: -4 * (CALLED + 1) }),
      ...Array.from({ length: CALLED }, () => called).flat(),
    ];
    const board = makeBoard(), { cpu, bus } = board;
    loadProgram(board, program);
    cpu.addTier((services) => new WasmTier(bus.ram.arena, services));
    const { builder } = tools, helper = new Helper(tools.helper, bus.ram.arena);
    let tier: NativeTier | undefined;
    cpu.addTier((services) =>
      tier = new NativeTier(bus.ram.arena, services, { builder, helper, printer, level: 1 })
    );
    try {
      cpu.start(Place.RAM);
      // Units are made one after the other; a loop of a few functions must not need one for each.
      while (tier!.stats.regions === 0 && cpu.instructions < 1_000_000_000) {
        cpu.run(1_000_000, true);
        await tier!.idle;
      }
      assertEquals(tier!.stats.regions, 1);
      const upper = cpu.upperInstructions, all = cpu.instructions;
      cpu.run(10_000_000, true);
      const share = (cpu.upperInstructions - upper) / (cpu.instructions - all);
      assert(share > 0.9, `${share} of the instructions in native code`);
    } finally {
      tier!.close();
    }
  },
);

testWith(
  ["gcc", BARE_METAL_GCC],
  "virt prints with native code what it prints with the interpreter when code changes and moves",
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      const kernel = await buildBareMetal("code", 64, folder);
      const run = (tier: string) =>
        trapdoor(
          [
            "--machine",
            "virt",
            "--bios",
            "none",
            "--smp",
            "2",
            "--stats=json",
            `--tier=${tier}`,
            kernel,
          ],
          {
            env: { ...Deno.env.toObject(), TRAPDOOR_CACHE: `${folder}/cache` },
            timeout: 120,
          },
        );
      const wanted = await run("interp"), got = await run("native");
      assertEquals([got.code, got.stdout], [wanted.code, wanted.stdout], got.stderr);
      const { tiers } = JSON.parse(got.stderr);
      assert(tiers.native > 0.3, got.stderr);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
