import { assertEquals, assertThrows } from "@std/assert";
import { Arena } from "../mmu/arena.ts";
import { MAX_HARTS, STORE_WORDS, Tlb, TLB_ENTRIES } from "../mmu/softmmu.ts";
import { Place } from "../machine/system/virt.ts";
import { loadProgram, makeBoard } from "./system_board.ts";
import { tablesOf } from "./fuzz/encode.ts";

/** What a load or store of 4 bytes at an address finds: the offset in guest memory, or undefined. */
function probe(arena: Arena, tlb: Tlb, context: number, store: boolean, lo: number, hi: number) {
  const words = arena.all32;
  const entry = tlb.context(context) + (store ? STORE_WORDS : 0) +
    (lo >>> 12 & (TLB_ENTRIES - 1)) * 4;
  if (words[entry] !== (lo & (-4096 | 3)) || words[entry + 1] !== hi) return undefined;
  return (lo + words[entry + 2]) | 0;
}

function make(hart = 0) {
  const arena = new Arena(1 << 20), tlb = new Tlb(arena, hart);
  const at = (lo: number, hi: number, context = 1, store = false) =>
    probe(arena, tlb, context, store, lo, hi);
  return { arena, tlb, at };
}

Deno.test("Tlb finds an address when its page was entered for that access in that context", () => {
  const { tlb, at } = make();
  tlb.enter(1, false, 0x8000_5678 | 0, -1, 0x3000);
  assertEquals(at(0x8000_5010 | 0, -1), 0x3010);
  assertEquals(at(0x8000_5011 | 0, -1), undefined, "misaligned");
  assertEquals(at(0x8000_5010 | 0, 0), undefined, "another high word");
  assertEquals(at(0x8000_6010 | 0, -1), undefined, "another page");
  assertEquals(at(0x8000_5010 | 0, -1, 1, true), undefined, "a store");
  assertEquals(at(0x8000_5010 | 0, -1, 0), undefined, "another context");
  tlb.enter(1, true, 0x8000_5000 | 0, -1, 0x3000);
  assertEquals(at(0x8000_5ffc | 0, -1, 1, true), 0x3ffc);
});

Deno.test("Tlb never has the pages where a sum may have carried into the high word", () => {
  const { tlb, at } = make();
  for (const lo of [0, 0xfff, 0xffff_f000 | 0, -1]) tlb.enter(1, false, lo, 5, 0x1000);
  assertEquals([at(0, 5), at(0xffff_f000 | 0, 5)], [undefined, undefined]);
  tlb.enter(1, false, 0x1000, 5, 0x1000);
  assertEquals(at(0x1000, 5), 0x1000);
});

Deno.test("Tlb.flush drops the contexts that are named", () => {
  const { tlb, at } = make();
  for (let context = 0; context < 4; context++) tlb.enter(context, false, 0x1000, 0, 0x2000);
  tlb.flush(0b0101);
  assertEquals([0, 1, 2, 3].map((context) => at(0x1000, 0, context)), [
    undefined,
    0x2000,
    undefined,
    0x2000,
  ]);
  tlb.flush();
  assertEquals([at(0x1000, 0, 1), at(0x1000, 0, 3)], [undefined, undefined]);
});

Deno.test("Tlb.flushPage drops one page, and everything when the page is part of a large one", () => {
  const { tlb, at } = make();
  const fill = () => {
    tlb.enter(1, false, 0x40_1000, 2, 0x1000);
    tlb.enter(1, false, 0x40_2000, 2, 0x2000);
  };
  fill();
  assertEquals(tlb.flushPage(0x40_1fff, 2), false);
  assertEquals([at(0x40_1000, 2), at(0x40_2000, 2)], [undefined, 0x2000]);
  fill();
  tlb.noteLarge(0x40_1000, 2, 1 << 21);
  assertEquals(tlb.flushPage(0x20_0000, 2), false);
  assertEquals(at(0x40_2000, 2), 0x2000);
  assertEquals(tlb.flushPage(0x5f_f000, 2), true);
  assertEquals(at(0x40_2000, 2), undefined);
  // Nothing large is left.
  fill();
  assertEquals(tlb.flushPage(0x40_1000, 2), false);
});

Deno.test("Tlb.forbidStores drops the stores to a page of memory wherever it is seen", () => {
  const { tlb, at } = make();
  tlb.enter(0, true, 0x1000, 0, 0x7000);
  tlb.enter(1, true, 0x8000_2000 | 0, -1, 0x7000);
  tlb.enter(1, true, 0x3000, 0, 0x8000);
  tlb.enter(1, false, 0x3000, 0, 0x7000);
  tlb.forbidStores(0x7000);
  assertEquals(at(0x1000, 0, 0, true), undefined);
  assertEquals(at(0x8000_2000 | 0, -1, 1, true), undefined);
  assertEquals(at(0x3000, 0, 1, true), 0x8000);
  assertEquals(at(0x3000, 0, 1, false), 0x7000);
});

Deno.test("Tlb has tables of its own for each hart, and throws when there are too many", () => {
  const arena = new Arena(1 << 20), first = new Tlb(arena, 0), last = new Tlb(arena, MAX_HARTS - 1);
  first.enter(3, true, 0x1000, 0, 0x1000);
  assertEquals(probe(arena, last, 3, true, 0x1000, 0), undefined);
  last.flush();
  assertEquals(probe(arena, first, 3, true, 0x1000, 0), 0x1000);
  assertThrows(() => new Tlb(arena, MAX_HARTS), RangeError, "Cannot make a TLB for hart 8");
});

Deno.test("a CSR write flushes the TLB when translations depend on what changes", () => {
  const t = tablesOf(64), T0 = 5, SENVCFG = 0x10a, MENVCFG = 0x30a;
  const board = makeBoard(), { cpu } = board;
  /** Flushes of the TLB by a write of CSR `csr`. */
  const flushes = (csr: number, value: bigint) => {
    loadProgram(board, [t.assemble("csrrw", { rd: 0, csr, rs1: T0 })]);
    cpu.setRegister("t0", value);
    cpu.start(Place.RAM);
    const { tlb } = cpu.harts[0], before = tlb.flushes;
    cpu.run(1, true);
    return tlb.flushes - before;
  };
  const ADUE = 1n << 61n, STCE = 1n << 63n, CBZE = 0x80n;
  assertEquals(flushes(SENVCFG, CBZE), 0);
  assertEquals(flushes(SENVCFG, 0n), 0);
  assertEquals(flushes(MENVCFG, ADUE), 0, "as it was");
  assertEquals(flushes(MENVCFG, ADUE | STCE | CBZE), 0);
  assertEquals(flushes(MENVCFG, STCE), 1);
  assertEquals(flushes(MENVCFG, STCE | ADUE), 1);
});
