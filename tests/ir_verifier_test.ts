import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import type { IrBlock } from "../cpu/ir/builder.ts";
import { Amo, Effect, FIRST_VECTOR_OP, Fp, Op, OPS, Slot, Trap } from "../cpu/ir/ops.ts";
import { printBlock, printRecord, slotName } from "../cpu/ir/printer.ts";
import { verify } from "../cpu/ir/verifier.ts";
import { integer, Random } from "./fuzz/random.ts";
import { ALL, build, SLOTS } from "./ir_blocks.ts";
import { evalPure } from "./ir_oracle.ts";

Deno.test("evalPure gives signed 64 bits when any pure op is evaluated", () => {
  const random = new Random(5);
  for (const op of OPS.slice(0, FIRST_VECTOR_OP)) {
    if (op.effect !== Effect.PURE) {
      assertThrows(() => evalPure(op.code, 0n, 0n, 0n, 0n), RangeError, "not pure");
      continue;
    }
    for (let i = 0; i < 50; i++) {
      const [a, b, c, imm] = [0, 1, 2, 3].map(() => integer(random));
      const result = evalPure(op.code, a, b, c, imm);
      assertEquals(result, BigInt.asIntN(64, result), op.name);
      assertEquals(result, evalPure(op.code, a - (1n << 64n), b, c, imm), op.name);
    }
  }
});

Deno.test("evalPure gives the table's results when operands are at an edge", () => {
  const min = -(1n << 63n), min32 = -(1n << 31n);
  const cases: [op: string, result: bigint, a: bigint, b?: bigint, c?: bigint, imm?: bigint][] = [
    ["divs64", min, min, -1n],
    ["divs64", -1n, 5n, 0n],
    ["divs64", -2n, -5n, 2n],
    ["divu64", -1n, 5n, 0n],
    ["divu64", (1n << 63n) - 1n, -2n, 2n],
    ["rems64", 0n, min, -1n],
    ["rems64", -1n, -5n, 2n],
    ["remu64", 5n, 5n, 0n],
    ["divs32", min32, min32, -1n],
    ["divu32", -1n, 1n << 32n, 1n << 32n],
    ["remu32", -1n, -1n, 0n],
    ["mulhs64", 0n, -1n, -1n],
    ["mulhu64", -2n, -1n, -1n],
    ["mulhsu64", -1n, -1n, -1n],
    ["shl64", 2n, 1n, 65n],
    ["shrs64", -1n, min, -1n],
    ["shru64", 1n, min, 63n],
    ["shl32", min32, 1n, -1n],
    ["shru32", min32, 1n << 31n, 32n],
    ["shrs32i", -1n, 1n << 31n, 0n, 0n, 31n],
    ["rotr32", min32, 1n, 1n],
    ["rotr64i", min, 1n, 0n, 0n, 1n],
    ["clz64", 64n, 0n],
    ["ctz32", 32n, 1n << 32n],
    ["popcnt32", 32n, -1n],
    ["bswap64", 1n, 1n << 56n],
    ["minu64", 1n, -1n, 1n],
    ["maxs64", 1n, -1n, 1n],
    ["sltu64i", 1n, 5n, 0n, 0n, -1n],
    ["select", 3n, 0n, 2n, 3n],
    ["select", 2n, min, 2n, 3n],
    ["unbox32", -1n, -1n],
    ["unbox32", -0x8040_0000n, 1n],
    ["sext8", -128n, 0x180n],
  ];
  for (const [name, result, a, b = 0n, c = 0n, imm = 0n] of cases) {
    assertEquals(evalPure(Op[name], a, b, c, imm), result, `${name} ${a} ${b} ${c} ${imm}`);
  }
});

/** A block with a bit of everything. */
function sample(): IrBlock {
  return build(ALL, [
    (b) => b.write(1, b.add(b.read(2), b.imm(-5))),
    (b) => {
      const sum = b.add(b.load(Op.ldS32, b.read(1), 8), b.read(3));
      b.store(Op.st64, b.read(4), -16, sum);
    },
    (b) => b.write(5, b.imm64(0, 1)),
    (b) => b.write(6, b.shl(b.read(6), b.imm(40))),
    (b) => b.write(7, b.atomic(Op.amo32, b.read(7), b.read(8), Amo.MINU)),
    (b) => b.write(9, b.float(Op.fma32, b.read(9), b.read(10), b.read(11), 31)),
    (b) => b.write(9, b.float(Op.fadd64r, b.read(9), b.read(10), 0, 1)),
    (b) => b.stateAt(Op.zero, b.read(1), 64),
    (b) => b.write(12, b.stateValue(Op.clock, 1000)),
    (b) => b.state(Op.fence, 0, 0xff),
    () => {},
    (b) => b.branch(Op.brLtu, b.read(1), b.read(2), 0x1000, 0x1030),
  ]);
}

Deno.test("printBlock writes a line a record when a block is printed", () => {
  const names = (slot: number) => slot > 0 && slot < SLOTS ? `r${slot}` : slotName(slot);
  assertEquals(
    printBlock(sample(), names),
    `; 0x1000
@0  r1 = add64i r2, -5
; 0x1004
@6  %0 = ldS32 r1, 8
@12 %1 = add64 %0, r3
@18 st64 r4, %1, -16
; 0x1008
@24 r5 = const 0x100000000
; 0x100c
@30 r6 = shl64i r6, 40
; 0x1010
@36 r7 = amo32 r7, r8, minu
; 0x1014
@42 r9 = fma32 r9, r10, r11, dyn boxed -product
; 0x1018
@48 r9 = fadd64r r9, r10, rtz
; 0x101c
@54 zero r1, 64
; 0x1020
@60 r12 = clock 1000
; 0x1024
@66 fence 255
; 0x1028
; 0x102c
@72 brLtu r1, r2, @78, @84
@78 link 0x1000, patches @76
@84 link 0x1030, patches @77
`,
  );
});

Deno.test("printRecord names traps and special slots when it meets them", () => {
  const trap = build(ALL, [(b) => b.trap(Trap.SYSCALL, 4)]);
  assertEquals(printBlock(trap), "; 0x1000\n@0 trap syscall at 0x1000, length 4\n@6 link 0x1004\n");
  const state = build(ALL, [(b) => b.writeNow(Slot.FP_RM, b.read(3))]);
  assertStringIncludes(printBlock(state), "fp_rm = mov s3");
  assertEquals(printRecord(Int32Array.of(Op.goto, 0, 0, 12, 0x2000, 0), 0), "goto @12, at 0x2000");
  assertEquals(printRecord(Int32Array.of(9999, 0, 0, 0, 0, 0), 0), "op 9999");
});

Deno.test("verify names what is wrong when a block is damaged", () => {
  const damages: [what: string, damage: (block: IrBlock) => void][] = [
    ["after the terminator", ({ code }) => code[78] = Op.nop],
    ["before the terminator", ({ code }) => code.set([Op.link, 0, 0, 0, 0, 0], 66)],
    ["no terminator", ({ code }) => code.set([Op.nop, 0, 0, 0, 0, 0], 72)],
    ["unknown op", ({ code }) => code[0] = OPS.length],
    ["unknown op", ({ code }) => code[0] = -1],
    ["no slot 16", ({ code }) => code[2] = SLOTS],
    ["no slot 8190", ({ code }) => code[1] = 8190],
    ["no slot -1", ({ code }) => code[8] = -1],
    ["writes slot 0", ({ code }) => code[1] = 0],
    ["temporary 7170 has no value yet", ({ code }) => code[14] = Slot.TEMP + 2],
    ["temporary 7168 has no value yet", ({ code }) => code[26 + 6] = Slot.TEMP],
    ["unused word 3 is 1", ({ code }) => code[3] = 1],
    ["unused word 1 is 7", ({ code }) => code[19] = 7],
    ["offset is not in", ({ code }) => code[10] = 4096],
    ["offset is not in", ({ code }) => code[11] = -1],
    ["shift count is out of range", ({ code }) => code[34] = 64],
    ["no such atomic operation", ({ code }) => code[41] = 9],
    ["reserved rounding mode", ({ code }) => code[47] = 5],
    ["flags that the op does not have", ({ code }) => code[53] = 1 | Fp.BOXED],
    ["static rounding mode", ({ code }) => code[48] = Op.fadd64],
    ["size is not a power of two", ({ code }) => code[58] = 48],
    ["counts 11 instructions of 12", ({ code }) => code[73] = 11],
    ["successor at 79", ({ code }) => code[76] = 79],
    ["belongs to 77, not 76", ({ code }) => code[80] = 77],
    ["1 links instead of 2", (block) => {
      block.code = block.code.slice(0, 84);
      block.insns = block.insns.slice(0, 14);
    }],
    ["85 words", (block) => block.code = block.code.slice(0, 85)],
    ["12 instruction indices", (block) => block.insns = block.insns.slice(0, 12)],
    ["instruction index 0", ({ insns }) => insns[5] = 0],
    ["instruction index 12", ({ insns }) => insns[14] = 12],
    ["11 addresses for 12 instructions", (block) => block.pcs = block.pcs.slice(1)],
    ["starts at 4096, not at 4100", (block) => block.pc = 0x1004],
    ["not in a block that is not yet placed", ({ code }) => code[66] = Op.goto],
  ];
  assertEquals(verify(sample(), SLOTS), []);
  for (const [what, damage] of damages) {
    const block = sample();
    damage(block);
    const problems = verify(block, SLOTS).join("\n");
    assertStringIncludes(problems, what, `${what}: ${problems}`);
  }
  const trap = build(ALL, [(b) => b.trap(Trap.SYSCALL, 4)]);
  trap.code[2] = 99;
  trap.code[3] = 16;
  assertEquals(verify(trap, SLOTS), ["record 0 (trap): reason 99", "record 0 (trap): length 16"]);
});
