/** The native tier against the interpreter: what the wasm tier is tested with, and random programs. */
import { assert, assertEquals } from "@std/assert";
import { Cpu } from "../cpu/engine/cpu.ts";
import { formRegion } from "../cpu/engine/region/form_region.ts";
import type { Lift } from "../cpu/engine/region/region.ts";
import type { TierServices } from "../cpu/engine/tier.ts";
import type { Builder, Value } from "../cpu/ir/builder.ts";
import { Effect, mayExit, opNumber, OPS, Slot, Trap } from "../cpu/ir/ops.ts";
import { Riscv } from "../cpu/riscv/riscv.ts";
import { WasmTier } from "../cpu/wasm/tier.ts";
import { planAccesses } from "../ffi/accesses.ts";
import { OPERATIONS } from "../ffi/emit_ops.ts";
import { Emitter } from "../ffi/emitter.ts";
import { EXTENTS, layoutHeader } from "../ffi/layout.ts";
import type { OpContext } from "../ffi/operation.ts";
import { formUnit } from "../ffi/unit.ts";
import { AddressSpace } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import { generate, KINDS } from "./fuzz/generator.ts";
import { programImage } from "./fuzz/program.ts";
import { Random } from "./fuzz/random.ts";
import { nativeTools } from "./native_tools.ts";
import { CODE, OpIsa } from "./op_isa.ts";
import { testWith, tool } from "./tools.ts";
import { assemble, compareCpus, Pair, type PairOptions, useTier } from "./wasm_fuzz.ts";

const CC = ["cc"];

Deno.test("layout.h is what layout.ts writes", async () => {
  const header = await Deno.readTextFile(new URL("../ffi/native/layout.h", import.meta.url));
  assertEquals(header, layoutHeader(), "run: deno run --allow-write ffi/layout.ts");
});

Deno.test("mayExit holds for every op at which native code leaves", () => {
  const operands = { d: 8, a: 10, b: 12, c: 14, j: 0, i: "0ull", immediate: false };
  let left = false;
  const leave = () => {
    left = true;
    return "";
  };
  const nothing = () => {};
  const context: OpContext = {
    ...{ get: String, getDouble: String, getVector: String, isDouble: () => false },
    ...{ set: nothing, setDouble: nothing, setVector: nothing, line: nothing, usesFloat: nothing },
    ...{ exit: leave, check: leave, checkAtomic: leave, isWord: () => false, system: false },
    ...{
      getLate: String,
      isLate: () => false,
      setLate: nothing,
      moveDouble: nothing,
      sure: nothing,
    },
  };
  const found = OPS.filter((op) => {
    const row = OPERATIONS.get(op.name);
    left = row === undefined;
    row?.print(context, operands);
    return left && op.effect !== Effect.STATE;
  });
  assert(found.length > 100);
  assertEquals(found.filter((op) => !mayExit(op)).map(({ name }) => name), []);
});

/** The programs of the wasm tier's test that are made for one purpose, by their tests' names. */
const SHARED = /^(Wasm tier (?!executes|stops where the fault is when random)|Cpu )/;

const tools = tool("cc") === undefined ? undefined : await nativeTools();
if (tools) {
  addEventListener("unload", () => tools[Symbol.dispose]());
  useTier(tools.tier);
}
// Registers the wasm tier's tests once more, under this tier's name.
const api = Deno as { test: unknown }, register = Deno.test;
try {
  api.test = (name: string, fn: (t: Deno.TestContext) => void) => {
    if (!SHARED.test(name)) return;
    const renaming = api.test;
    api.test = register;
    testWith(CC, name.replace("Wasm", "Native"), fn);
    api.test = renaming;
  };
  await import("./wasm_tier_test.ts");
} finally {
  api.test = register;
}

const WAYS: readonly ((seed: number) => PairOptions)[] = [
  () => ({ rounds: 3 }),
  (seed) => ({ rounds: 4, slices: new Random(seed), exact: false, heat: 2 }),
  (seed) => ({ rounds: 4, slices: new Random(seed), exact: true, heat: 2 }),
];

testWith(CC, "Native tier executes what it once got wrong as the interpreter does", () => {
  // CSR instructions that write flags, which native code does, and the rounding mode, for which it leaves.
  for (const seed of [5003, 5007]) {
    const xlen = 32, kind = KINDS[(seed >> 1) % KINDS.length];
    const image = programImage(generate(seed, { xlen, kind, size: 150 }));
    const result = new Pair(xlen).run(image, { rounds: 1 });
    assertEquals([result.lines, result.end], [[], "SYSCALL"], `program ${seed}`);
  }
});

Deno.test("Emitter gives loads and stores extents of their own, and units each some", () => {
  const numbers = { 1: new Set<number>(), 2: new Set<number>() };
  const space = new AddressSpace(new Arena(1 << 20)), cpu = new Cpu(new Riscv(64), space);
  space.map(0x1_0000, 0x1_0000, 7);
  for (let i = 0; i < 40; i++) {
    const pc = 0x1_0000 + i * 0x400;
    const lines = Array.from(
      { length: 50 },
      (_, j) => `${j % 2 ? "ld rd=6 rs1=5" : "sd rs1=5 rs2=7"} imm=8\nadd rd=5 rs1=5 rs2=6`,
    );
    space.write(pc, assemble(64, pc, `${lines.join("\n")}\necall`).bytes);
    const lift: Lift = (at, limit) => cpu.lift(at, limit);
    const text = new Emitter(formUnit(formRegion(pc, lift)!, lift, [])).emit();
    const checks = [...text.matchAll(/OUT\([^,]+, (\d+), \d+, ([12])\)/g)];
    assertEquals(checks.length, 50);
    for (const [, number, right] of checks) numbers[right as "1" | "2"].add(Number(number));
  }
  assert(numbers[1].size > 500 && numbers[2].size > 500);
  assertEquals(numbers[1].intersection(numbers[2]).size, 0);
  for (const number of [...numbers[1], ...numbers[2]]) assert(number < EXTENTS);
});

Deno.test("planAccesses checks anew when a value is gone that was checked", () => {
  const space = new AddressSpace(new Arena(1 << 20)), cpu = new Cpu(new Riscv(64), space);
  space.map(0x1_0000, 0x1000, 7);
  // Behind the first block no register has what was checked second; the second block's x9 is new.
  const source = `
    ld rd=8 rs1=5 imm=0
    add rd=6 rs1=8 rs2=8
    sd rs1=6 rs2=7 imm=0
    addi rd=6 rs1=5 imm=0
    beq rs1=8 rs2=0 @end
    add rd=9 rs1=5 rs2=7
    ld rd=10 rs1=9 imm=0
    ld rd=11 rs1=5 imm=0
  end:
    ecall`;
  space.write(0x1_0000, assemble(64, 0x1_0000, source).bytes);
  const { blocks } = formRegion(0x1_0000, (pc, limit) => cpu.lift(pc, limit))!;
  const blockAt = (pc: number) => blocks.find(({ ir }) => ir.pc === pc)!;
  const { checks, state } = planAccesses(blockAt(0x1_0000), undefined);
  assertEquals(checks.size, 2);
  // That of x10; x5 was checked.
  assertEquals(planAccesses(blockAt(0x1_0014), state).checks.size, 1);
  assertEquals(planAccesses(blockAt(0x1_0014), undefined).checks.size, 2);
});

testWith(CC, "Native tier stops at the iteration that faults when a loop is unrolled", () => {
  for (const stride of [8, -8, 192, 400]) {
    const source = `
      again:
        ld rd=6 rs1=5 imm=0
        add rd=7 rs1=7 rs2=6
        add rd=10 rs1=5 rs2=11
        lbu rd=12 rs1=10 imm=0
        sb rs1=8 rs2=7 imm=4
        addi rd=5 rs1=5 imm=${stride}
        addi rd=8 rs1=8 imm=-1
        addi rd=9 rs1=9 imm=-1
        bne rs1=9 rs2=0 @again
        ecall
    `;
    const pair = new Pair(64, 1 << 20), { interpreted, compiled } = pair;
    const unit = new Set<boolean>();
    pair.both((_, space) => {
      space.map(0x1_0000, 0x1000, 7);
      space.map(0x4_0000, 0x2000, 3);
      space.write(0x1_0000, assemble(64, 0x1_0000, source).bytes);
      for (let i = 0; i < 0x2000; i++) space.write(0x4_0000 + i, Uint8Array.of(i * 37 & 255));
    });
    // Of so many iterations, the load faults after `loads`, and the store after `stores`, if not behind the end;
    // the load whose address is a sum, `ahead` iterations before the other.
    const cases = [[1, 9, 9, 0], [9, 4, 30, 0], [10, 5, 30, 0], [11, 30, 6, 0], [9, 7, 3, 0]];
    cases.push([30, 0, 9, 0], [13, 30, 30, 0], [20, 12, 30, 5], [20, 12, 30, 6], [20, 9, 30, 3]);
    for (const [times, loads, stores, ahead] of cases) {
      const ends = [interpreted, compiled].map((cpu) => {
        const room = Math.abs(stride) * (loads - 1);
        cpu.setRegister("t0", stride > 0 ? 0x4_1ff8 - room : 0x4_0000 + room);
        cpu.setRegister("s0", 0x4_0000 - 5 + stores);
        cpu.setRegister("s1", times);
        cpu.setRegister("a1", stride * ahead);
        cpu.pc = 0x1_0000;
        const before = cpu.instructions;
        let reason = 0;
        while (reason === 0) reason = cpu.run(100_000, false);
        return [reason, cpu.instructions - before, reason === Trap.SYSCALL ? 0n : cpu.faultAddress];
      });
      assertEquals(ends[1], ends[0], `${stride}: ${times} ${loads} ${stores} ${ahead}`);
      assertEquals(compareCpus(interpreted, compiled, true), []);
      unit.add(ends[0][0] === Trap.SYSCALL);
    }
    assertEquals(unit.size, 2);
    assert(compiled.tierInstructions > 0);
  }
});

/** Doubles of all kinds: NaNs of both signs and with payloads, signalling ones, infinities, subnormal and ordinary numbers. */
const DOUBLES = [
  ...[
    0x7ff8_0000_0000_0000n,
    0xfff8_0000_0000_0001n,
    0x7ff4_0000_0000_0000n,
    0xfff0_0000_0000_0001n,
  ],
  ...[0x7ff0_0000_0000_0000n, 0xfff0_0000_0000_0000n, 0n, 1n << 63n, 1n, 0x8010_0000_0000_0000n],
  ...[
    0x3ff0_0000_0000_0000n,
    0xbff0_0000_0000_0000n,
    0x4008_0000_0000_0001n,
    0x7fe0_0000_0000_0000n,
  ],
];

testWith(CC, "Native tier shows the guest's NaNs wherever they can be seen", () => {
  const pair = new Pair(64, 1 << 20);
  let compiled = 0;
  for (let seed = 1; seed <= 10; seed++) {
    const random = new Random(seed), f = () => 1 + random.below(7), two = () => random.below(2) * 8;
    // Of these no operation leaves for a NaN.
    const quiet = [
      ...["fadd.d", "fsub.d", "fmul.d", "fdiv.d", "fadd.d"].map((name) => () =>
        `${name} rd=${f()} rs1=${f()} rs2=${f()} rm=7`
      ),
      () => `fsqrt.d rd=${f()} rs1=${f()} rm=7`,
      () => `fld rd=${f()} rs1=8 imm=${two()}`,
      () => `fsd rs1=9 rs2=${f()} imm=${two()}`,
      () => `fmv.x.d rd=12 rs1=${f()}`,
      ...["fsgnj.d", "fsgnj.d", "fsgnjn.d"].map((name) => () => {
        const from = f();
        return `${name} rd=${f()} rs1=${from} rs2=${random.chance(0.8) ? from : f()}`;
      }),
    ];
    const all = [
      ...quiet,
      () => `fmadd.d rd=${f()} rs1=${f()} rs2=${f()} rs3=${f()} rm=7`,
      () => `flt.d rd=13 rs1=${f()} rs2=${f()}`,
      () => `fmin.d rd=${f()} rs1=${f()} rs2=${f()}`,
      () => `fcvt.l.d rd=14 rs1=${f()} rm=1`,
      () => `fcvt.s.d rd=${f()} rs1=${f()} rm=7`,
      () => `csrrs rd=15 csr=1 rs1=0`,
    ];
    const some = (count: number, forms: readonly (() => string)[]) =>
      Array.from({ length: count }, () => random.pick(forms)()).join("\n");
    // Two blocks that one another reaches only, a loop of one block, and one of several.
    const source = `
      outer:
        addi rd=7 imm=5
      inner:
        ${some(8, quiet)}
        addi rd=7 rs1=7 imm=-1
        bne rs1=7 rs2=0 @inner
        ${some(8, quiet)}
        beq rs1=13 rs2=0 @skip
        ${some(8, all)}
      skip:
        jal rd=1 @leaf
        ${some(4, quiet)}
        ${some(4, all)}
        addi rd=8 rs1=8 imm=8
        addi rd=5 rs1=5 imm=-1
        bne rs1=5 rs2=0 @outer
        ecall
      leaf:
        ${some(5, quiet)}
        jalr rs1=1`;
    pair.reset({ heat: 2 });
    // Ordinary numbers first, so that not all values are NaNs soon.
    const table = Array.from(
      { length: 66 },
      (_, i) => DOUBLES[i < 20 ? 10 + i % 4 : random.below(DOUBLES.length)],
    );
    pair.both((_, space) => {
      space.map(0x1_0000, 0x1000, 7);
      space.map(0x4_0000, 0x1000, 3);
      space.write(0x1_0000, assemble(64, 0x1_0000, source).bytes);
      space.write(0x4_0000, new Uint8Array(BigUint64Array.from(table).buffer));
    });
    for (let round = 0; round < 12; round++) {
      const cuts = random.chance(0.5), from = [1 + random.below(13), random.below(3)];
      pair.both((cpu) => {
        cpu.setRegister("t0", round < 3 ? 30 : 60);
        cpu.setRegister("s0", 0x4_0000);
        // Some runs end by a store to nowhere.
        cpu.setRegister("s1", from[1] === 0 ? 0x4_1000 - 8 : 0x4_0800);
        cpu.setRegister("fcsr", round & 1);
        for (let i = 1; i < 8; i++) cpu.setRegister(`f${i}`, DOUBLES[(from[0] + i) % 14]);
        cpu.pc = 0x1_0000;
      });
      for (let reason = 0; reason === 0;) {
        const fuel = cuts ? 100 + random.below(600) : 1_000_000;
        const reasons = [pair.interpreted.run(fuel, true), pair.compiled.run(fuel, true)];
        reason = reasons[0];
        assertEquals(reasons[1], reason);
        assertEquals(compareCpus(pair.interpreted, pair.compiled, true), [], `seed ${seed}`);
      }
    }
    compiled += pair.compiled.tierInstructions;
  }
  assert(compiled > 5000, `${compiled}`);
});

testWith(CC, "Native tier has raised the invalid flag when it leaves for a NaN later", () => {
  const source = `
    again:
      fsub.d rd=2 rs1=1 rs2=1 rm=7
      fsgnj.d rd=3 rs1=2 rs2=2
      fmv.x.d rd=6 rs1=3
      fmv.d.x rd=3 rs1=0
      addi rd=5 rs1=5 imm=-1
      bne rs1=5 rs2=0 @again
      ecall`;
  const pair = new Pair(64, 1 << 20);
  pair.both((cpu, space) => {
    space.map(0x1_0000, 0x1000, 7);
    space.write(0x1_0000, assemble(64, 0x1_0000, source).bytes);
    cpu.setRegister("f1", 0x7ff0_0000_0000_0000n);
    cpu.setRegister("t0", 10_000);
    cpu.pc = 0x1_0000;
    for (let reason = 0; reason === 0;) reason = cpu.run(100_000, false);
  });
  assertEquals(compareCpus(pair.interpreted, pair.compiled, true), []);
  assertEquals(pair.compiled.getRegister("t1"), 0x7ff8_0000_0000_0000n);
  assert(pair.compiled.tierInstructions > 10_000, `${pair.compiled.tierInstructions}`);
});

testWith(CC, "Native tier executes random programs as the interpreter does", () => {
  const pairs = { 32: new Pair(32), 64: new Pair(64) };
  let executed = 0, compiled = 0;
  for (let seed = 0; seed < 24; seed++) {
    const xlen = seed % 2 === 0 ? 64 : 32, kind = KINDS[(seed >> 1) % KINDS.length];
    const image = programImage(generate(seed, { xlen, kind, size: 120 }));
    const result = pairs[xlen].run(image, WAYS[seed % WAYS.length](seed));
    assertEquals([result.lines, result.end], [[], "SYSCALL"], `program ${seed}`);
    executed += result.instructions;
    compiled += result.compiled;
  }
  assert(compiled > executed / 4, `compiled code executed ${compiled} of ${executed}`);
});

testWith(
  CC,
  "Cpu goes on exactly when hot code moves from the wasm tier to the native tier",
  () => {
    // A function that walks a tree of calls, called by a loop; an indirect jump to one of two places.
    const source = `
    li rd=5 imm=60000
    la rd=20 @even
    la rd=21 @odd
  again:
    addi rd=10 imm=6
    jal rd=1 @tree
    andi rd=6 rs1=5 imm=1
    add rd=7 rs1=20
    beq rs1=6 rs2=0 @go
    add rd=7 rs1=21
  go:
    jalr rs1=7
  even:
    addi rd=12 rs1=12 imm=1
    jal rd=0 @next
  odd:
    xor rd=12 rs1=12 rs2=11
  next:
    addi rd=5 rs1=5 imm=-1
    bne rs1=5 rs2=0 @again
    ecall
  tree:
    beq rs1=10 rs2=0 @leaf
    addi rd=2 rs1=2 imm=-16
    sd rs1=2 rs2=1 imm=0
    sd rs1=2 rs2=10 imm=8
    addi rd=10 rs1=10 imm=-1
    jal rd=1 @tree
    ld rd=10 rs1=2 imm=8
    addi rd=10 rs1=10 imm=-1
    jal rd=1 @tree
    ld rd=1 rs1=2 imm=0
    addi rd=2 rs1=2 imm=16
  leaf:
    addi rd=11 rs1=11 imm=1
    jalr rs1=1
  `;
    const wasm = (space: AddressSpace) => (services: TierServices) =>
      new WasmTier(space.arena, services);
    const pair = new Pair(64, 1 << 20, wasm);
    const { interpreted: alone, compiled: both } = pair;
    alone.addTier(wasm(alone.space));
    both.addTier(tools!.tier(both.space));
    // Both compile where they find themselves, which is at other addresses than with heat 0.
    const reasons = [alone, both].map((cpu) => {
      const { space } = cpu;
      space.map(0x1_0000, 0x1000, 7);
      space.map(0x4_0000, 0x1000, 3);
      space.write(0x1_0000, assemble(64, 0x1_0000, source).bytes);
      cpu.setRegister("sp", 0x4_1000);
      cpu.pc = 0x1_0000;
      for (;;) {
        const reason = cpu.run(5_000_000, false);
        if (reason !== 0) return reason;
      }
    });
    assertEquals(reasons, [Trap.SYSCALL, Trap.SYSCALL]);
    assertEquals(compareCpus(alone, both, true), []);
    assert(both.instructions > 50_000_000);
    assert(both.upperInstructions > both.instructions / 2, `${both.upperInstructions}`);
  },
);

/** A loop of calls with nothing else of interest; x12 counts the turns behind the call. */
const KNOCKING = `
    addi rd=5 imm=1000
  again:
    addi rd=10 rs1=5 imm=3
    fadd.d rd=1 rs1=1 rs2=2 rm=7
    trapdoor
    add rd=11 rs1=11 rs2=10
    addi rd=12 rs1=12 imm=1
    addi rd=5 rs1=5 imm=-1
    bne rs1=5 rs2=0 @again
    ecall
`;

/** Runs {@linkcode KNOCKING} in the interpreter and in native code, with a callback for each call. */
function knock(
  answer: (cpu: Cpu, call: number) => boolean,
  trapped: (cpu: Cpu, call: number) => void = () => {},
): Cpu {
  const pair = new Pair(64, 1 << 20);
  const seen: string[][] = [[], []];
  const cpus = [pair.interpreted, pair.compiled];
  cpus.forEach((cpu, i) => {
    cpu.space.map(0x1_0000, 0x1000, 7);
    cpu.space.write(0x1_0000, assemble(64, 0x1_0000, KNOCKING).bytes);
    cpu.setRegister("ft1", 0x3ff0_0000_0000_0001n);
    cpu.setRegister("ft2", 0x3ca0_0000_0000_0000n);
    cpu.onBackdoor = () => {
      const registers = [cpu.pc, cpu.instructions, cpu.getRegister("a0"), cpu.getRegister("ft1")];
      seen[i].push([...registers, cpu.getRegister("fflags")].join());
      cpu.slots[cpu.register("a0").slot] *= 2n;
      return answer(cpu, seen[i].length);
    };
    cpu.pc = 0x1_0000;
    for (;;) {
      const reason = cpu.run(1_000_000, false);
      if (reason === Trap.SYSCALL) break;
      if (reason === Trap.BACKDOOR) {
        trapped(cpu, seen[i].length);
        cpu.finishTrap();
      }
    }
  });
  assertEquals(seen[1], seen[0]);
  assertEquals(compareCpus(cpus[0], cpus[1], true), []);
  return cpus[1];
}

/** Its instructions are one block. */
class Straight extends OpIsa {
  override lift(builder: Builder, pc: number): number {
    const lift = this.lifts[(pc - CODE) / 4];
    if (lift) lift(builder);
    else builder.trap(Trap.SYSCALL, 4);
    return 4;
  }
}

testWith(CC, "Native tier keeps registers that are written again when it leaves in between", () => {
  const isa = new Straight(16), spaces = [0, 1].map(() => new AddressSpace(new Arena(1 << 20)));
  // The constant is folded into the product's instruction, behind which nobody sees the register.
  isa.lifts.push(
    (b) => b.write(8, b.imm(0x4100)),
    (b) => {
      const pair = (value: Value) => b.vectorOf(value, Slot.ZERO);
      const low = b.zext32(b.read(8));
      const product = b.vector(opNumber("vpmullL64"), pair(low), pair(b.read(9)));
      b.write(8, b.xor(product, b.shru(low, b.imm(8))));
    },
  );
  const cpus = spaces.map((space, i) => {
    space.map(CODE, 0x1000, 5);
    const cpu = new Cpu(isa, space, i === 0 ? {} : { tier: tools!.tier(space), heat: 0 });
    cpu.slots[9] = 3n;
    cpu.pc = CODE;
    assertEquals(cpu.run(10_000), Trap.SYSCALL);
    return cpu;
  });
  assertEquals(cpus[0].slots[8], 0xc300n ^ 0x41n);
  assertEquals(cpus[1].slots[8], cpus[0].slots[8]);
  assert(cpus[1].tierInstructions > 0);
});

testWith(CC, "Native tier goes on behind a backdoor call when it was answered at once", () => {
  const cpu = knock(() => true);
  assertEquals(cpu.getRegister("a2"), 1000n);
  // All but the last system call, which is the interpreter's.
  assertEquals(cpu.instructions - cpu.tierInstructions, 1);
});

testWith(CC, "Native tier leaves at a backdoor call when the callback says so", () => {
  const later = knock((_, call) => call % 3 !== 0, (cpu) => cpu.setRegister("a3", 7));
  assertEquals(later.getRegister("a3"), 7n);
  assert(later.tierInstructions > later.instructions * 0.9);
  // Jumps over the instruction behind the call.
  const elsewhere = knock((cpu, call) => {
    if (call % 5 === 0) cpu.pc += 8;
    return true;
  });
  assertEquals(elsewhere.getRegister("a2"), 1000n);
  const dropped = knock((cpu, call) => {
    if (call % 100 === 0) cpu.cache.flush();
    if (call % 100 === 50) cpu.space.write(0x1_0000, new Uint8Array(4));
    return true;
  });
  assertEquals(dropped.getRegister("a2"), 1000n);
  assert(dropped.tier!.stats.regions > 3, `${dropped.tier!.stats.regions}`);
});

testWith(CC, "Native tier stops at the limit when a loop calls the backdoor", () => {
  const pair = new Pair(64, 1 << 20), cpu = pair.compiled;
  cpu.space.map(0x1_0000, 0x1000, 7);
  cpu.space.write(0x1_0000, assemble(64, 0x1_0000, "again:\ntrapdoor\njal @again").bytes);
  let calls = 0;
  cpu.onBackdoor = () => (calls++, true);
  cpu.pc = 0x1_0000;
  assertEquals(cpu.run(3_000_000), 0);
  assertEquals([cpu.instructions, calls], [3_000_000, 1_500_000]);
  assert(cpu.tierInstructions > 2_900_000);
});
