/** Webs: which accesses of a region are through the same pointer. */
import { assertEquals } from "@std/assert";
import { Cpu } from "../cpu/engine/cpu.ts";
import { formRegion } from "../cpu/engine/region/form_region.ts";
import { findWebs } from "../cpu/engine/region/webs.ts";
import { Effect, OPS, WORDS } from "../cpu/ir/ops.ts";
import { AddressSpace } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import { tablesOf } from "./fuzz/encode.ts";
import { assemble } from "./wasm_fuzz.ts";

/** Letters for the webs of all loads and stores, in the order of the code. */
function websOf(source: string): string {
  const space = new AddressSpace(new Arena(1 << 20));
  space.map(0x1_0000, 0x1000, 7);
  space.write(0x1_0000, assemble(64, 0x1_0000, source).bytes);
  const cpu = new Cpu(tablesOf(64).isa, space);
  const region = formRegion(0x1_0000, (pc, limit) => cpu.lift(pc, limit))!;
  const webs = findWebs(region), letters = new Map<number, string>(), found: string[] = [];
  for (const block of region.blocks.toSorted((a, b) => a.ir.pc - b.ir.pc)) {
    for (let at = 0; at < block.terminator; at += WORDS) {
      const { effect } = OPS[block.ir.code[at]];
      if (effect !== Effect.LOAD && effect !== Effect.STORE) continue;
      const web = webs(block, at);
      if (!letters.has(web)) letters.set(web, String.fromCharCode(97 + letters.size));
      found.push(letters.get(web)!);
    }
  }
  return found.join("");
}

const CASES: readonly { name: string; source: string; webs: string }[] = [
  {
    name: "apart when a register is loaded anew",
    source: `
      ld rd=5 rs1=10
      ld rd=10 rs1=11
      ld rd=5 rs1=10
      ecall
    `,
    webs: "abc",
  },
  {
    name: "together when a register moves on in a loop",
    source: `
    again:
      ld rd=5 rs1=10
      addi rd=10 rs1=10 imm=8
      sd rs1=10 rs2=5
      bne rs1=5 rs2=0 @again
      ecall
    `,
    webs: "aa",
  },
  {
    name: "together when a register is copied",
    source: `
      ld rd=5 rs1=10
      addi rd=11 rs1=10 imm=0
      ld rd=5 rs1=11
      ecall
    `,
    webs: "aa",
  },
  {
    name: "apart when addresses are sums with other indices",
    source: `
      add rd=5 rs1=10 rs2=11
      ld rd=6 rs1=5
      add rd=5 rs1=10 rs2=12
      ld rd=6 rs1=5
      ecall
    `,
    webs: "ab",
  },
  {
    name: "apart when two loops use one register",
    source: `
      ld rd=10 rs1=2
    first:
      ld rd=5 rs1=10
      addi rd=10 rs1=10 imm=8
      bne rs1=5 rs2=0 @first
      ld rd=10 rs1=2
    second:
      ld rd=5 rs1=10
      addi rd=10 rs1=10 imm=8
      bne rs1=5 rs2=0 @second
      ecall
    `,
    webs: "abac",
  },
  {
    name: "together when two definitions meet",
    source: `
      beq rs1=12 rs2=0 @other
      ld rd=10 rs1=2
      jal rd=0 @both
    other:
      ld rd=10 rs1=2
    both:
      ld rd=5 rs1=10
      ld rd=6 rs1=10
      ecall
    `,
    webs: "aabb",
  },
];

for (const { name, source, webs } of CASES) {
  Deno.test(`findWebs puts accesses ${name}`, () => assertEquals(websOf(source), webs));
}
