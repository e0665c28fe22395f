import { assert, assertEquals } from "@std/assert";
import { SystemTiering } from "../cpu/engine/system/tiering.ts";
import { type CodePage, placeOf } from "../cpu/engine/system/code.ts";
import type { SystemTranslator } from "../cpu/engine/system/translator.ts";
import type { CachedBlock, CodeCache } from "../cpu/engine/code_cache.ts";
import type { SystemTier } from "../cpu/engine/tier.ts";
import type { CompiledCode, Tiers } from "../cpu/engine/tiers.ts";
import type { CodePlace, Mapping } from "../cpu/engine/system/code.ts";
import { Op } from "../cpu/ir/ops.ts";
import { WasmTier } from "../cpu/wasm/tier.ts";
import { Place } from "../machine/system/virt.ts";
import { loadProgram, makeBoard } from "./system_board.ts";
import { tablesOf } from "./fuzz/encode.ts";

/** Tiering with one compiled place, whose block starts at code index 0 with a `nop`. */
function compiledPlace(forced = false) {
  const code = new Int32Array([Op.nop]), cache = { code } as unknown as CodeCache;
  const tiering = new SystemTiering({} as SystemTranslator, cache, forced);
  const tier = { has: () => true } as unknown as SystemTier;
  tiering.tiers = { lower: tier, upper: undefined } as unknown as Tiers<CodePlace, Mapping>;
  tiering.added(tier);
  const page: CodePage = { virtual: 0, page: 0, places: new Map(), crossing: new Map() };
  const place = placeOf(page, 0);
  place.block = { start: 0, live: true, code: code.slice() } as unknown as CachedBlock;
  const compiled = { tier, entries: [{ place, key: place.key }] };
  const attach = () => {
    tiering.attached(compiled as unknown as CompiledCode<CodePlace, Mapping>);
    tiering.mark(place);
  };
  attach();
  const stay = (instructions: number, times: number) => {
    for (let i = 0; i < times; i++) tiering.stayed(place, instructions);
  };
  return { code, stay, attach };
}

Deno.test("SystemTiering leaves a place to the interpreter when stays in its code are brief", () => {
  const { code, stay, attach } = compiledPlace();
  assertEquals(code[0], Op.enter);
  stay(5, 15);
  assertEquals(code[0], Op.enter, "too early to say");
  stay(5, 1);
  assertEquals(code[0], Op.nop);
  attach();
  assertEquals(code[0], Op.enter, "code that was made anew is tried again");
});

Deno.test("SystemTiering enters compiled code when stays in it are long, or all code is compiled", () => {
  const long = compiledPlace();
  long.stay(5, 8);
  long.stay(5000, 100);
  assertEquals(long.code[0], Op.enter);
  const forced = compiledPlace(true);
  forced.stay(1, 100);
  assert(forced.code[0] === Op.enter);
});

Deno.test("a loop is compiled though the clock of samples would find it in a brief function each time", () => {
  const t = tablesOf(64), a = t.assemble.bind(t), RA = 1, T0 = 5, T1 = 6;
  const add = a("add", { rd: T1, rs1: T1, rs2: T0 });
  // A turn has 100 instructions, of which the period of samples is a multiple.
  const program = [
    a("jal", { rd: RA, imm: 12 }),
    a("addi", { rd: T0, rs1: T0, imm: 1 }),
    a("jal", { rd: 0, imm: -8 }),
    ...Array.from({ length: 31 }, () => add),
    a("bne", { rs1: RA, rs2: 0, imm: 4 }),
    ...Array.from({ length: 64 }, () => add),
    a("jalr", { rd: 0, rs1: RA, imm: 0 }),
  ];
  const board = makeBoard(), { cpu, bus } = board;
  loadProgram(board, program);
  cpu.addTier((services) => new WasmTier(bus.ram.arena, services));
  cpu.start(Place.RAM);
  cpu.run(10_000_000);
  const before = cpu.tierInstructions, all = cpu.instructions;
  cpu.run(1_000_000);
  const share = (cpu.tierInstructions - before) / (cpu.instructions - all);
  assert(share > 0.99, `${share} of the instructions in compiled code`);
});
