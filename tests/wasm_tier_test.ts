/** The wasm tier against the interpreter: random programs, and what is hard for compiled code, one by one. */
import { assert, assertEquals } from "@std/assert";
import type { Cpu } from "../cpu/engine/cpu.ts";
import { Hooked } from "../cpu/engine/interpreter/slow_memory.ts";
import type { PassOptions } from "../cpu/ir/builder.ts";
import { Trap } from "../cpu/ir/ops.ts";
import { WasmTier, type WasmUsage } from "../cpu/wasm/tier.ts";
import type { AddressSpace } from "../mmu/address_space.ts";
import { scaled, seeded } from "./configuration.ts";
import { checkFault } from "./fuzz/faults.ts";
import { KINDS } from "./fuzz/generator.ts";
import { Random } from "./fuzz/random.ts";
import { Trapdoor } from "./fuzz/runner.ts";
import { assemble, Pair, type PairOptions } from "./wasm_fuzz.ts";

const XLENS = [64, 32] as const;
const CODE = 0x1_0000, DATA = 0x4_0000, GUEST = 4 << 20;
/** Where the stack pointer starts: the stack is below. */
const STACK_TOP = GUEST;

// ---- random programs; wasm_fuzz_test.ts has more ----

const NO_PASSES: PassOptions = { fold: false, retarget: false, dead: false };

Deno.test("Wasm tier stops where the fault is when random programs fault", () => {
  const machines = { 32: new Trapdoor(32), 64: new Trapdoor(64) };
  let faults = 0;
  for (let seed = 0; seed < scaled(80); seed++) {
    const xlen = XLENS[seed % 2], kind = KINDS[seed % KINDS.length];
    const slices = () => new Random(seed);
    const runs = [{ compile: true }, { compile: true, slices: slices() }];
    const result = checkFault(machines[xlen], seeded(5000) + seed, { xlen, kind, size: 60 }, runs);
    if (!result) continue;
    faults++;
    assertEquals(result.problems, [], `${result.what}, seed ${seed}`);
  }
  assert(faults > scaled(40));
});

// ---- programs made for one purpose ----

interface Directed {
  xlen?: 32 | 64;
  /** Rights of the code's pages; default all. */
  prot?: number;
  /** Prepares both machines. */
  setup?: (cpu: Cpu, space: AddressSpace) => void;
  /** Handles a trap of both; true to stop there. Without it, an ecall stops. */
  onTrap?: (cpu: Cpu, reason: number, space: AddressSpace) => boolean;
  /** Least share of instructions that compiled code must have executed; default a half. */
  share?: number;
  /** Ways to run; default all. */
  ways?: readonly PairOptions[];
  /** Bytes of stack; default a page. */
  stack?: number;
  /** How the program must end; default by an ecall. */
  end?: number;
}

const everyWay = (): PairOptions[] => [
  {},
  { heat: 3 },
  { slices: new Random(1), exact: false },
  { slices: new Random(2), exact: true },
  { slices: new Random(3), exact: false, heat: 3 },
];

/** Runs assembled code in every way; returns the compiling CPU of the last. */
function check(source: string, options: Directed = {}): Cpu {
  const { xlen = 64, share = 0.5, end = Trap.SYSCALL, stack = 0x1000 } = options;
  const pair = new Pair(xlen, GUEST);
  for (const way of options.ways ?? everyWay()) {
    pair.reset(way);
    pair.both((cpu, space) => {
      space.map(CODE, 0x1_0000, options.prot ?? 7);
      space.map(DATA, 0x4000, 3);
      space.map(STACK_TOP - stack, stack, 3);
      space.hostView(CODE, 0x1_0000)!.set(assemble(xlen, CODE, source).bytes);
      cpu.setRegister("sp", STACK_TOP);
      cpu.setRegister("gp", DATA);
      cpu.pc = CODE;
      options.setup?.(cpu, space);
    });
    let reason = 0;
    for (let done = false; !done;) {
      const went = pair.go(way);
      assertEquals(went.lines, [], `heat ${way.heat ?? 0}, slices ${way.slices !== undefined}`);
      reason = went.reason;
      done = true;
      pair.both((cpu, space) => {
        done = options.onTrap?.(cpu, went.reason, space) ?? true;
        if (!done) cpu.finishTrap();
      });
    }
    assertEquals(reason, end);
    const { tierInstructions, instructions } = pair.compiled;
    assert(
      way.heat !== undefined || way.exact || tierInstructions >= instructions * share,
      `compiled code executed ${tierInstructions} of ${instructions} instructions`,
    );
  }
  return pair.compiled;
}

Deno.test("Wasm tier runs loops in loops when their counts differ", () => {
  const cpu = check(`
    addi rd=5 imm=20
  outer:
    addi rd=6 imm=15
  middle:
    andi rd=7 rs1=6 imm=7
    addi rd=7 rs1=7 imm=1
  inner:
    add rd=10 rs1=10 rs2=7
    mul rd=11 rs1=10 rs2=5
    addi rd=7 rs1=7 imm=-1
    bne rs1=7 rs2=0 @inner
    addi rd=6 rs1=6 imm=-1
    bne rs1=6 rs2=0 @middle
    xor rd=12 rs1=12 rs2=10
    addi rd=5 rs1=5 imm=-1
    bne rs1=5 rs2=0 @outer
    ecall
  `);
  assert(cpu.instructions > 4000);
});

Deno.test("Wasm tier stays in a loop with two entries when control flow is irreducible", () => {
  const source = `
    addi rd=5 imm=1000
  again:
    andi rd=6 rs1=5 imm=1
    beq rs1=6 rs2=0 @second
  first:
    addi rd=10 rs1=10 imm=3
    andi rd=7 rs1=10 imm=64
    bne rs1=7 rs2=0 @out
  second:
    addi rd=10 rs1=10 imm=5
    andi rd=7 rs1=10 imm=32
    beq rs1=7 rs2=0 @first
  out:
    addi rd=5 rs1=5 imm=-1
    bne rs1=5 rs2=0 @again
    ecall
  `;
  check(source);
  const cpu = check(source, { ways: [{}] });
  assertEquals(cpu.tier!.stats.exits.target, undefined);
});

Deno.test("Wasm tier makes canonical NaNs when operands are equal NaNs and nothing was inexact", () => {
  for (const op of ["fadd.d rd=2 rs1=1 rs2=1 rm=7", "fsub.d rd=2 rs1=1 rs2=1 rm=7"]) {
    for (const bits of ["imm=-7", "imm=-2047"]) {
      const cpu = check(`
        addi rd=7 ${bits}
        fmv.d.x rd=1 rs1=7
        li rd=5 imm=100
      again:
        ${op}
        fmadd.d rd=3 rs1=1 rs2=1 rs3=1 rm=7
        fmul.d rd=4 rs1=1 rs2=1 rm=7
        fmv.x.d rd=10 rs1=2
        addi rd=5 rs1=5 imm=-1
        bne rs1=5 rs2=0 @again
        ecall
      `);
      assertEquals(cpu.getRegister("a0"), 0x7ff8_0000_0000_0000n);
    }
  }
});

/** Jumps by a computed address in a loop of 3000 passes, to the number of a case in register 6. */
const computedJumps = (number: string) => `
    li rd=5 imm=3000
    la rd=20 @cases
  again:
    ${number}
    slli rd=7 rs1=6 shamt=4
    add rd=7 rs1=7 rs2=20
    jalr rs1=7
  cases:
    addi rd=10 rs1=10 imm=1
    addi rd=12 rs1=12 imm=7
    addi rd=13 rs1=13 imm=1
    jal rd=0 @next
    addi rd=10 rs1=10 imm=2
    xor rd=12 rs1=12 rs2=10
    addi rd=13 rs1=13 imm=1
    jal rd=0 @next
    addi rd=10 rs1=10 imm=3
    sd rs1=3 rs2=12
    ld rd=11 rs1=3
    jal rd=0 @next
    sub rd=10 rs1=10 rs2=12
    slli rd=10 rs1=10 shamt=1
    addi rd=13 rs1=13 imm=1
    jal rd=0 @next
  next:
    addi rd=5 rs1=5 imm=-1
    bne rs1=5 rs2=0 @again
    ecall
`;

Deno.test("Wasm tier stays in a function when it jumps by a table", () => {
  const source = computedJumps("andi rd=6 rs1=5 imm=3");
  check(source);
  const cpu = check(source, { ways: [{ heat: 3 }] });
  // Leaves for targets that are not known at first.
  assert((cpu.tier!.stats.exits.target ?? 0) < 30, `${cpu.tier!.stats.exits.target} exits`);
});

Deno.test("Wasm tier goes to a target that was never seen when a jump by a table gets there late", () => {
  check(computedJumps(`
    andi rd=6 rs1=5 imm=1
    slti rd=8 rs1=5 imm=100
    add rd=6 rs1=6 rs2=8
    add rd=6 rs1=6 rs2=8
  `));
  // Into the middle of a case.
  check(computedJumps(`
    andi rd=6 rs1=5 imm=1
    slti rd=8 rs1=5 imm=100
    slli rd=9 rs1=8 shamt=2
    la rd=20 @cases
    add rd=20 rs1=20 rs2=9
  `));
});

/** Calls small functions in a loop: with two returns, through each other, with loads and stores. */
const smallCalls = (inner: string) => `
    li rd=5 imm=500
  again:
    jal rd=1 @outer
    add rd=11 rs1=11 rs2=10
    addi rd=5 rs1=5 imm=-1
    bne rs1=5 rs2=0 @again
    ecall
  outer:
    add rd=9 rs1=1 rs2=0
    andi rd=10 rs1=5 imm=7
    jal rd=1 @inner
    addi rd=10 rs1=10 imm=1
    add rd=1 rs1=9 rs2=0
    beq rs1=10 rs2=0 @early
    addi rd=10 rs1=10 imm=1
    jalr rs1=1
  early:
    addi rd=10 rs1=0 imm=9
    jalr rs1=1
  inner:
    slli rd=12 rs1=10 shamt=3
    add rd=12 rs1=12 rs2=3
    ld rd=13 rs1=12
    add rd=13 rs1=13 rs2=10
    sd rs1=12 rs2=13
    ${inner}
    jalr rs1=1
`;

Deno.test("Wasm tier copies functions in when they are small", () => {
  const cpu = check(smallCalls("andi rd=10 rs1=13 imm=3"), { ways: [{}] });
  check(smallCalls("andi rd=10 rs1=13 imm=3"));
  // One function, entered once and left at the end, but for slices.
  assertEquals(cpu.tier!.stats.exits.target, undefined);
});

Deno.test("Wasm tier leaves a copied function when it returns elsewhere", () => {
  check(smallCalls(`
    andi rd=10 rs1=13 imm=3
    bne rs1=10 rs2=0 @usual
    addi rd=1 rs1=1 imm=4
  usual:
  `));
});

Deno.test("Wasm tier stops at the exact instruction when a copied function faults", () => {
  const away = `
    addi rd=14 rs1=5 imm=-250
    bne rs1=14 rs2=0 @here
    addi rd=12 rs1=0 imm=0
  here:
    ld rd=14 rs1=12
  `;
  check(smallCalls(away), { end: Trap.LOAD_FAULT });
});

/** Doubles its argument by `depth` calls of itself, each with its return address on the stack. */
const recursion = (depth: number, more = "") => `
    li rd=10 imm=${depth}
    jal rd=1 @f
    ecall
  f:
    addi rd=2 rs1=2 imm=-16
    sd rs1=2 rs2=1 imm=0
    beq rs1=10 rs2=0 @bottom
    addi rd=10 rs1=10 imm=-1
    ${more}
    jal rd=1 @f
    addi rd=11 rs1=11 imm=2
  bottom:
    ld rd=1 rs1=2 imm=0
    addi rd=2 rs1=2 imm=16
    jalr rd=0 rs1=1 imm=0
`;

Deno.test("Wasm tier runs a recursion when it is 100,000 calls deep", () => {
  const cpu = check(recursion(100_000), { stack: 0x20_0000 });
  assertEquals(cpu.getRegister("a1"), 200_000n);
  assertEquals(cpu.getRegister("sp"), BigInt(STACK_TOP));
});

Deno.test("Wasm tier does not overflow the host's stack when a deep recursion uses all registers", () => {
  const more: string[] = [];
  for (let i = 5; i < 32; i++) if (i !== 10 && i !== 11) more.push(`add rd=${i} rs1=${i} rs2=2`);
  for (let i = 0; i < 32; i++) more.push(`fsgnjx.d rd=${i} rs1=${i} rs2=${(i + 1) % 32}`);
  for (let i = 0; i < 30; i++) {
    more.push(`fmadd.d rd=${i} rs1=${i} rs2=${i + 1} rs3=${i + 2} rm=7`);
  }
  const ways: PairOptions[] = [{ passes: NO_PASSES }, { slices: new Random(1), exact: false }];
  const run = (deep: number): Cpu =>
    deep > 0 ? run(deep - 1) : check(recursion(5000, more.join("\n")), { ways, stack: 0x2_0000 });
  // The host has a deep stack of its own, too.
  assertEquals(run(2000).getRegister("a1"), 10_000n);
});

Deno.test("Wasm tier goes where a function returns when that is not behind its call", () => {
  check(`
    addi rd=5 imm=2000
    la rd=20 @jumped
  again:
    jal rd=1 @outer
    addi rd=10 rs1=10 imm=1
    jal rd=0 @next
  jumped:
    addi rd=10 rs1=10 imm=100
  next:
    addi rd=5 rs1=5 imm=-1
    bne rs1=5 rs2=0 @again
    ecall
  outer:
    addi rd=21 rs1=1
    jal rd=1 @inner
    addi rd=11 rs1=11 imm=1
    jalr rs1=21
  inner:
    andi rd=6 rs1=5 imm=3
    bne rs1=6 rs2=0 @plain
    jalr rs1=20
  plain:
    addi rd=12 rs1=12 imm=1
    jalr rs1=1
  `);
});

Deno.test("Wasm tier follows indirect calls, jump tables and tail jumps when targets change", () => {
  check(`
    addi rd=5 imm=2000
    la rd=20 @table
    la rd=22 @zero
  again:
    andi rd=6 rs1=5 imm=3
    slli rd=6 rs1=6 shamt=3
    add rd=6 rs1=6 rs2=20
    jalr rs1=6                 # a jump table of 8 bytes each
  table:
    addi rd=10 rs1=10 imm=1
    jal rd=0 @joined
    addi rd=10 rs1=10 imm=3
    jal rd=0 @joined
    xori rd=10 rs1=10 imm=-1
    jal rd=0 @joined
    slli rd=10 rs1=10 shamt=1
    jal rd=0 @joined
  joined:
    andi rd=7 rs1=5 imm=4
    slli rd=7 rs1=7 shamt=2
    add rd=7 rs1=7 rs2=22
    jalr rd=1 rs1=7            # a call of zero or one
    addi rd=5 rs1=5 imm=-1
    bne rs1=5 rs2=0 @again
    ecall
  zero:
    addi rd=11 rs1=11 imm=1
    la rd=8 @tail
    jalr rs1=8                 # a tail jump
  one:
    addi rd=11 rs1=11 imm=7
    jalr rs1=1
  tail:
    add rd=12 rs1=12 rs2=11
    jalr rs1=1
  `);
});

Deno.test("Wasm tier runs tail jumps between two functions when they never return", () => {
  check(`
    li rd=5 imm=100000
    la rd=20 @ping
    la rd=21 @pong
  ping:
    addi rd=5 rs1=5 imm=-1
    beq rs1=5 rs2=0 @end
    jalr rs1=21
  pong:
    addi rd=6 rs1=6 imm=3
    jalr rs1=20
  end:
    ecall
  `);
});

Deno.test("Wasm tier leaves in order when it must stop at every back edge", () => {
  for (const call of ["jal rd=1 @f", "xor rd=10 rs1=10 rs2=5"]) {
    const pair = new Pair(64, GUEST);
    const source = `
      addi rd=5 imm=30
    outer:
      addi rd=6 imm=9
    inner:
      add rd=10 rs1=10 rs2=6
      ${call}
      addi rd=6 rs1=6 imm=-1
      bne rs1=6 rs2=0 @inner
      addi rd=5 rs1=5 imm=-1
      bne rs1=5 rs2=0 @outer
      ecall
    f:
      xor rd=10 rs1=10 rs2=5
      jalr rs1=1
    `;
    pair.both((cpu, space) => {
      space.map(CODE, 0x1000, 7);
      space.write(CODE, assemble(64, CODE, source).bytes);
      cpu.pc = CODE;
    });
    let stops = 0;
    for (let reason = 0; reason === 0; stops++) {
      const went = pair.go({ exact: false, limit: 1, once: true });
      assertEquals(went.lines, []);
      reason = went.reason;
    }
    assert(stops > 240, `${stops} stops`);
    assert(pair.compiled.tierInstructions > pair.compiled.instructions / 2);
  }
});

Deno.test("Cpu runs exactly so many instructions when code is compiled", () => {
  const pair = new Pair(64, GUEST);
  const source = `
  loop:
    addi rd=5 rs1=5 imm=1
    jal rd=1 @f
    andi rd=6 rs1=5 imm=63
    bne rs1=6 rs2=0 @loop
    addi rd=7 rs1=7 imm=1
    jal rd=0 @loop
  f:
    csrrs rd=8 csr=0xc02
    add rd=9 rs1=9 rs2=8
    jalr rs1=1
  `;
  pair.reset({});
  pair.both((cpu, space) => {
    space.map(CODE, 0x1000, 7);
    space.write(CODE, assemble(64, CODE, source).bytes);
    cpu.pc = CODE;
  });
  for (let n = 4090; n < 4500; n += 7) {
    const went = pair.go({ limit: n, once: true });
    assertEquals([went.reason, went.lines], [0, []]);
  }
  assert(pair.compiled.tierInstructions > 1000);
});

/** A loop whose pass number 700 does something bad. */
const badPass = (bad: string) => `
    addi rd=5 imm=1000
    la rd=20 @bad
    la rd=21 @good
    addi rd=22 imm=300
  loop:
    addi rd=10 rs1=10 imm=1
    sd rs1=3 rs2=10 imm=8
    ld rd=11 rs1=3 imm=8
    add rd=12 rs1=12 rs2=11
    bne rs1=5 rs2=22 @good
  bad:
    addi rd=13 imm=77
    ${bad}
    addi rd=14 imm=88
  good:
    addi rd=5 rs1=5 imm=-1
    bne rs1=5 rs2=0 @loop
    ecall
`;
const HIGH = "addi rd=15 imm=1\nslli rd=15 rs1=15 shamt=63\nadd rd=15 rs1=15 rs2=3\n";
const FAULTS: [what: string, bad: string, reason: number][] = [
  ["loads what is not mapped", "ld rd=13 rs1=0 imm=8", Trap.LOAD_FAULT],
  ["loads over the end of a mapping", "li rd=15 imm=0x43ffc\nld rd=13 rs1=15", Trap.LOAD_FAULT],
  ["loads where only bit 63 is wrong", `${HIGH} ld rd=13 rs1=15`, Trap.LOAD_FAULT],
  ["loads below address 0", "addi rd=15 imm=-8\nlw rd=13 rs1=15", Trap.LOAD_FAULT],
  ["stores where only bit 63 is wrong", `${HIGH} sd rs2=13 rs1=15`, Trap.STORE_FAULT],
  ["stores to code", "sw rs1=20 rs2=13", Trap.STORE_FAULT],
  ["jumps to data", "jalr rs1=3 rd=14", Trap.FETCH_FAULT],
  ["calls data", "jalr rs1=3 rd=1", Trap.FETCH_FAULT],
  ["jumps where only bit 63 is wrong", `${HIGH} jalr rs1=15`, Trap.FETCH_FAULT],
  ["calls where bits 31 and 63 are wrong", "addi rd=15 imm=-2\njalr rd=1 rs1=15", Trap.FETCH_FAULT],
  ["calls below address 0", "jal rd=1 imm=-131072", Trap.FETCH_FAULT],
  ["jumps below address 0", "jal rd=0 imm=-131072", Trap.FETCH_FAULT],
  ["meets an undefined instruction", ".word 0", Trap.ILLEGAL],
  ["has a bad rounding mode", "csrrwi csr=2 uimm=5\nfadd.d rd=1 rs1=2 rs2=3 rm=7", Trap.ILLEGAL],
  [
    "has a bad rounding mode for a root",
    "csrrwi csr=2 uimm=6\nfsqrt.s rd=1 rs1=2 rm=7",
    Trap.ILLEGAL,
  ],
  [
    "does a misaligned atomic",
    "addi rd=15 rs1=3 imm=2\namoadd.w rd=13 rs1=15 rs2=13",
    Trap.MISALIGNED,
  ],
  ["reserves what is misaligned", "addi rd=15 rs1=3 imm=4\nlr.d rd=13 rs1=15", Trap.MISALIGNED],
  ["meets a breakpoint", "ebreak", Trap.BREAKPOINT],
];
for (const [what, bad, end] of FAULTS) {
  Deno.test(`Wasm tier stops in its middle when a hot loop ${what}`, () => {
    check(badPass(bad), { prot: 5, end });
    if (/shamt=63|ld |sd |lr\.d/.test(bad)) return;
    check(badPass(bad).replace(/\bsd /g, "sw ").replace(/\bld /g, "lw "), {
      prot: 5,
      end,
      xlen: 32,
    });
  });
}

Deno.test("Wasm tier accesses misaligned memory when it crosses a page", () => {
  check(
    `
    addi rd=5 imm=500
    li rd=6 imm=0x40fd0
  loop:
    addi rd=6 rs1=6 imm=1
    andi rd=7 rs1=5 imm=63
    bne rs1=7 rs2=0 @go
    li rd=6 imm=0x40fd0
  go:
    sd rs1=6 rs2=10 imm=3
    ld rd=11 rs1=6 imm=1
    lw rd=12 rs1=6 imm=2
    lhu rd=13 rs1=6 imm=0
    sh rs1=6 rs2=5 imm=5
    add rd=10 rs1=10 rs2=11
    xor rd=10 rs1=10 rs2=12
    add rd=10 rs1=10 rs2=13
    addi rd=5 rs1=5 imm=-1
    bne rs1=5 rs2=0 @loop
    ecall
  `,
    { share: 0.05 },
  );
});

Deno.test("Traps show and take registers when they are in a hot loop", () => {
  for (const [insn, reason] of [["trapdoor", Trap.BACKDOOR], ["ecall", Trap.SYSCALL]] as const) {
    const calls: [Cpu, bigint, bigint][] = [];
    const cpu = check(
      `
      addi rd=5 imm=300
      fcvt.d.w rd=1 rs1=5
    loop:
      addi rd=10 rs1=5 imm=7
      fadd.d rd=2 rs1=2 rs2=1 rm=7
      ${insn}
      add rd=12 rs1=12 rs2=11
      fadd.d rd=3 rs1=3 rs2=2 rm=7
      addi rd=5 rs1=5 imm=-1
      bne rs1=5 rs2=0 @loop
      ebreak
      `,
      {
        end: Trap.BREAKPOINT,
        share: 0.2,
        onTrap: (cpu, got) => {
          if (got === Trap.BREAKPOINT) return true;
          assertEquals(got, reason);
          calls.push([cpu, cpu.getRegister("a0"), cpu.getRegister("fa2")]);
          cpu.setRegister("a1", cpu.getRegister("a0") * 3n);
          cpu.setRegister("ft2", cpu.getRegister("ft1"));
          return false;
        },
      },
    );
    const mine = calls.filter(([by]) => by === cpu).map(([, a0]) => a0);
    assertEquals(mine, Array.from({ length: 300 }, (_, i) => BigInt(307 - i)));
    assertEquals(cpu.getRegister("a2"), mine.reduce((sum, a0) => sum + 3n * a0, 0n));
  }
});

Deno.test("Store hook gets every store when a hot loop stores to its page", () => {
  for (const leave of [false, true]) {
    const stores = new Map<Cpu, bigint[]>();
    const cpu = check(
      `
      addi rd=5 imm=400
    loop:
      addi rd=10 rs1=10 imm=3
      sd rs1=4 rs2=10 imm=16
      add rd=11 rs1=11 rs2=10
      addi rd=5 rs1=5 imm=-1
      bne rs1=5 rs2=0 @loop
      ecall
      `,
      {
        share: 0.1,
        setup: (cpu, space) => {
          space.map(0x5_0000, 0x1000, 1);
          cpu.setRegister("tp", 0x5_0000);
          const mine: bigint[] = [];
          stores.set(cpu, mine);
          cpu.storeHook = (address, size, lo) => {
            assertEquals([address, size], [0x5_0010, 8]);
            // What the guest has in its registers is there for the hook, too.
            assertEquals(cpu.getRegister("a0"), BigInt(lo));
            mine.push(BigInt(lo));
            return leave ? Hooked.LEAVE : Hooked.DONE;
          };
        },
        onTrap: (_, reason) => reason === Trap.SYSCALL,
      },
    );
    assertEquals(stores.get(cpu), Array.from({ length: 400 }, (_, i) => BigInt(3 * i + 3)));
  }
});

/** A loop of 600 passes whose `patched` instruction is replaced in pass 300. */
const patching = (fence: string) => `
    addi rd=5 imm=600
    la rd=20 @patched
    la rd=21 @new
    lw rd=22 rs1=21
  loop:
    addi rd=6 rs1=5 imm=-300
    bne rs1=6 rs2=0 @patched
    sw rs1=20 rs2=22
    ${fence}
    jal rd=0 @patched
  patched:
    addi rd=10 rs1=10 imm=1
    addi rd=5 rs1=5 imm=-1
    bne rs1=5 rs2=0 @loop
    ecall
  new:
    addi rd=10 rs1=10 imm=1000
`;

Deno.test("Wasm tier runs the new code when a guest patches its own loop", () => {
  for (const fence of ["fence.i", "addi"]) {
    const cpu = check(patching(fence));
    assertEquals(cpu.getRegister("a0"), 300n + 300_000n);
  }
});

Deno.test("Wasm tier runs the new code when a guest patches a function that is far away, again and again", () => {
  check(`
    addi rd=5 imm=200
    la rd=20 @site
    la rd=21 @new
    lw rd=22 rs1=21
    lw rd=23 rs1=20
    xor rd=23 rs1=23 rs2=22
    jal rd=0 @loop
  new:
    addi rd=10 rs1=10 imm=1000
  loop:
    jal rd=1 @f
    andi rd=6 rs1=5 imm=15
    bne rs1=6 rs2=0 @next
    lw rd=7 rs1=20
    xor rd=7 rs1=7 rs2=23
    sw rs1=20 rs2=7
    fence.i
  next:
    addi rd=5 rs1=5 imm=-1
    bne rs1=5 rs2=0 @loop
    ecall
    ${".word 0\n".repeat(2048)}
  f:
    addi rd=11 rs1=11 imm=1
  site:
    addi rd=10 rs1=10 imm=1
    jalr rs1=1
  `);
});

/** Calls `g`, a page away, until the host has changed something at every 20th pass. */
const calling = `
    addi rd=5 imm=100
  loop:
    addi rd=7 imm=20
  inner:
    jal rd=1 @g
    addi rd=7 rs1=7 imm=-1
    bne rs1=7 rs2=0 @inner
    trapdoor
    addi rd=5 rs1=5 imm=-1
    bne rs1=5 rs2=0 @loop
    ecall
    ${".word 0\n".repeat(2048 - 9)}
  g:
    addi rd=10 rs1=10 imm=1
    jalr rs1=1
`;
const G = CODE + 0x2000;

Deno.test("Wasm tier faults when code that it compiled was unmapped or lost its right to execute", () => {
  for (const how of ["unmap", "protect"] as const) {
    const cpu = check(calling, {
      end: Trap.FETCH_FAULT,
      onTrap: (cpu, reason, space) => {
        if (reason === Trap.FETCH_FAULT) return true;
        if (cpu.getRegister("t0") === 50n) {
          if (how === "unmap") space.unmap(G, 0x1000);
          else space.protect(G, 0x1000, 3);
        }
        return false;
      },
    });
    assertEquals([cpu.pc, cpu.getRegister("t0"), cpu.getRegister("a0")], [G, 49n, 20n * 51n]);
  }
});

Deno.test("Wasm tier runs the new code when the host writes or maps other code in its place", () => {
  const other = assemble(64, G, "addi rd=10 rs1=10 imm=5\njalr rs1=1").bytes;
  for (const how of ["write", "map", "protect"] as const) {
    const cpu = check(calling, {
      onTrap: (cpu, reason, space) => {
        if (reason === Trap.SYSCALL) return true;
        if (cpu.getRegister("t0") === 50n) {
          if (how === "map") space.map(G, 0x1000, 7);
          if (how === "protect") space.protect(G, 0x1000, 7);
          space.write(G, other);
        }
        return false;
      },
    });
    assertEquals(cpu.getRegister("a0"), 20n * 51n + 5n * 20n * 49n);
  }
});

Deno.test("Wasm tier goes on when an instruction's second half becomes executable", () => {
  // The instruction's first half ends the page.
  const bytes = assemble(
    64,
    CODE,
    `
    addi rd=5 rs1=5 imm=1
    ${".word 0x00010001\n".repeat(1022)}
    c.addi rd=6 imm=1
    addi rd=10 rs1=10 imm=1
    ebreak
  `,
  ).bytes;
  let faults = 0;
  const cpu = check("addi", {
    end: Trap.BREAKPOINT,
    share: 0,
    setup: (_, space) => {
      space.hostView(CODE, 0x2000)!.set(bytes);
      space.protect(CODE + 0x1000, 0x1000, 3);
    },
    onTrap: (_, reason, space) => {
      if (reason === Trap.BREAKPOINT) return true;
      assertEquals(reason, Trap.FETCH_FAULT);
      faults++;
      space.protect(CODE + 0x1000, 0x1000, 7);
      return false;
    },
  });
  assertEquals(cpu.getRegister("a0"), 1n);
  assertEquals(faults, 2 * everyWay().length);
});

Deno.test("Wasm tier goes on when what it jumped to becomes mapped", () => {
  const AWAY = 0x6_0000;
  const bytes = assemble(64, AWAY, "addi rd=10 rs1=10 imm=1\njalr rs1=1").bytes;
  let faults = 0;
  const cpu = check(
    `
    addi rd=5 imm=300
    li rd=6 imm=${AWAY}
  loop:
    jalr rd=1 rs1=6
    addi rd=5 rs1=5 imm=-1
    bne rs1=5 rs2=0 @loop
    ecall
    `,
    {
      onTrap: (_, reason, space) => {
        if (reason === Trap.SYSCALL) return true;
        assertEquals(reason, Trap.FETCH_FAULT);
        faults++;
        space.map(AWAY, 0x1000, 7);
        space.write(AWAY, bytes);
        return false;
      },
      setup: (_, space) => space.unmap(AWAY, 0x1000),
    },
  );
  assertEquals(cpu.getRegister("a0"), 300n);
  assertEquals(faults, 2 * everyWay().length);
});

Deno.test("Wasm tier compiles again when the code cache was flushed", () => {
  const cpu = check(calling, {
    onTrap: (cpu, reason) => {
      if (reason === Trap.SYSCALL) return true;
      if (cpu.getRegister("t0") % 10n === 0n) cpu.cache.flush();
      return false;
    },
  });
  assertEquals(cpu.getRegister("a0"), 2000n);
  assert(cpu.cache.flushes >= 10 && cpu.tier!.stats.regions > 5);
});

Deno.test("Wasm tier counts and keeps float flags when a hot loop reads and writes CSRs", () => {
  for (const xlen of XLENS) {
    check(
      `
      addi rd=5 imm=500
      addi rd=6 imm=3
      fcvt.d.w rd=1 rs1=6
      addi rd=6 imm=1
      fcvt.d.w rd=2 rs1=6
    loop:
      csrrs rd=10 csr=0xc02
      add rd=11 rs1=11 rs2=10
      csrrwi rd=12 csr=1 uimm=0
      fdiv.d rd=3 rs1=2 rs2=1 rm=7
      csrrs rd=13 csr=1
      add rd=14 rs1=14 rs2=13
      andi rd=7 rs1=5 imm=3
      csrrw rd=8 csr=2 rs1=7
      fadd.d rd=4 rs1=4 rs2=3 rm=7
      fdiv.s rd=5 rs1=2 rs2=1 rm=7
      flt.d rd=9 rs1=3 rs2=4
      csrrs rd=15 csr=3
      csrrs rd=16 csr=0xc00
      sub rd=17 rs1=16 rs2=10
      add rd=14 rs1=14 rs2=17
      addi rd=5 rs1=5 imm=-1
      bne rs1=5 rs2=0 @loop
      ecall
      `,
      { xlen },
    );
  }
});

Deno.test("Two compiling CPUs keep apart when they run side by side", () => {
  const machines = [1, 2].map((step) => {
    const pair = new Pair(64, GUEST);
    pair.both((cpu, space) => {
      space.map(CODE, 0x1000, 7);
      space.write(
        CODE,
        assemble(
          64,
          CODE,
          `
        loop:
          addi rd=10 rs1=10 imm=${step}
          jal rd=1 @f
          jal rd=0 @loop
        f:
          addi rd=11 rs1=11 imm=1
          jalr rs1=1
        `,
        ).bytes,
      );
      cpu.pc = CODE;
    });
    return pair;
  });
  for (let i = 0; i < 20; i++) {
    for (const pair of machines) {
      assertEquals(pair.go({ limit: 5001 + i, once: true }).lines, []);
    }
  }
  for (const [i, { compiled }] of machines.entries()) {
    assertEquals(compiled.getRegister("a0") / compiled.getRegister("a1"), BigInt(i + 1));
    assert(compiled.tierInstructions > 10_000);
  }
});

// ---- bounds ----

/** A pair whose compiler has little room, and its tier. */
function cramped(modules: number): { pair: Pair; tier: () => WasmTier } {
  let tier: WasmTier | undefined;
  const limits = { modules, bytes: 1 << 20 };
  const pair = new Pair(
    64,
    GUEST,
    (space) => (services) => tier = new WasmTier(space.arena, services, { limits }),
  );
  pair.reset({});
  return { pair, tier: () => tier! };
}

/** Calls `count` functions in turn, each of which adds its number and has a loop (or it would be copied in). */
function manyFunctions(count: number, rounds: number): string {
  const lines = [`li rd=5 imm=${rounds}`, "again:"];
  for (let i = 0; i < count; i++) lines.push(`jal rd=1 @f${i}`);
  lines.push("addi rd=5 rs1=5 imm=-1", "bne rs1=5 rs2=0 @again", "ecall");
  for (let i = 0; i < count; i++) {
    lines.push(`f${i}:`, `addi rd=10 rs1=10 imm=${i}`, "li rd=6 imm=2");
    lines.push(`l${i}:`, "addi rd=6 rs1=6 imm=-1", `bne rs1=6 rs2=0 @l${i}`);
    lines.push("xor rd=11 rs1=11 rs2=10", "jalr rs1=1");
  }
  return lines.join("\n");
}

Deno.test("Wasm tier drops what is not wanted, and computes the same, when there is room for 6 modules", () => {
  const { pair, tier } = cramped(6);
  pair.both((cpu, space) => {
    space.map(CODE, 0x4000, 7);
    space.write(CODE, assemble(64, CODE, manyFunctions(60, 300)).bytes);
    cpu.pc = CODE;
  });
  const way = { slices: new Random(1), exact: false };
  assertEquals(pair.go(way), { reason: Trap.SYSCALL, lines: [] });
  const { evicted, kept } = tier().stats;
  assert(evicted > 60, `${evicted} evicted`);
  assert(kept <= 1 << 20 && tier().usage.modules <= 6, JSON.stringify(tier().usage));
});

Deno.test("Wasm tier does not grow when a guest makes new code for ever", () => {
  const { pair, tier } = cramped(8);
  pair.both((_, space) => space.map(CODE, 0x10_0000, 7));
  const sizes: WasmUsage[] = [];
  for (let i = 0; i < 3000; i++) {
    // Ever new addresses, and every other time code at an old one.
    const at = CODE + (i % 2 === 0 ? i : 1000 + i % 16) * 64;
    const source = `
      li rd=5 imm=${3 + i % 5}
    loop:
      addi rd=10 rs1=10 imm=${i % 1000}
      sd rs1=2 rs2=10 imm=-8
      addi rd=5 rs1=5 imm=-1
      bne rs1=5 rs2=0 @loop
      jal rd=1 @next
    next:
      ecall
    `;
    pair.both((cpu, space) => {
      if (i === 0) space.map(STACK_TOP - 0x1000, 0x1000, 3);
      space.write(at, assemble(64, at, source).bytes);
      cpu.setRegister("sp", STACK_TOP);
      cpu.pc = at;
    });
    const { reason, lines } = pair.go({ exact: false });
    assertEquals([reason, lines], [Trap.SYSCALL, []], `program ${i}`);
    pair.both((cpu) => cpu.finishTrap());
    if (i === 500 || i === 2999) sizes.push(tier().usage);
  }
  assert(tier().stats.regions >= 3000, `${tier().stats.regions} regions`);
  assert(sizes[1].modules <= 8);
  assert(
    sizes[1].table === sizes[0].table && sizes[1].exitNumbers <= sizes[0].exitNumbers + 64 &&
      sizes[1].extentCells <= sizes[0].extentCells + 64,
    JSON.stringify(sizes),
  );
});

Deno.test("Wasm tier faults when a hot loop's data loses its rights on the way", () => {
  for (const [what, right] of [["protect", 1], ["protect", 0], ["unmap", 0]] as const) {
    const loop = (more: string) => `
      li rd=5 imm=3000
    loop:
      ${more}
      addi rd=5 rs1=5 imm=-1
      bne rs1=5 rs2=0 @loop
      ecall
    `;
    const store = right === 1;
    const source = loop(
      "ld rd=6 rs1=3 imm=16\nadd rd=7 rs1=7 rs2=6\n" + (store ? "sd rs1=3 rs2=7 imm=24" : ""),
    );
    const pair = new Pair(64, GUEST);
    pair.reset({});
    pair.both((cpu, space) => {
      space.map(CODE, 0x1000, 7);
      space.map(DATA, 0x4000, 3);
      space.write(CODE, assemble(64, CODE, source).bytes);
      cpu.setRegister("gp", DATA + 0x1000);
      cpu.pc = CODE;
    });
    // The second stay begins in the loop, as the third will: in the same compiled code.
    for (let stay = 0; stay < 2; stay++) {
      assertEquals(pair.go({ exact: false, limit: 3000, once: true }).lines, []);
    }
    assert(pair.compiled.tierInstructions > 5000);
    pair.both((_, space) => {
      if (what === "unmap") space.unmap(DATA + 0x1000, 0x1000);
      else space.protect(DATA + 0x1000, 0x1000, right);
    });
    const { reason, lines } = pair.go({ exact: false });
    assertEquals([reason, lines], [store ? Trap.STORE_FAULT : Trap.LOAD_FAULT, []], what);
    assertEquals(pair.compiled.faultAddress, BigInt(DATA + 0x1000 + (store ? 24 : 16)));
  }
});

Deno.test("Wasm tier checks every byte when groups of accesses cross the end of what is mapped", () => {
  // One page may be stored to, the next only read, the third not at all.
  const offsets = [-40, -9, -8, -7, -1, 0, 1, 40];
  for (const boundary of [0x1000, 0x2000]) {
    for (const offset of offsets) {
      const source = `
        li rd=5 imm=40
      loop:
        lbu rd=6 rs1=3 imm=-64
        ld rd=7 rs1=3 imm=${offset}
        sw rs1=3 rs2=7 imm=${offset - 16}
        lh rd=8 rs1=3 imm=${offset + 2}
        add rd=9 rs1=9 rs2=8
        addi rd=5 rs1=5 imm=-1
        bne rs1=5 rs2=0 @loop
        ecall
      `;
      const pair = new Pair(64, GUEST);
      pair.reset({});
      pair.both((cpu, space) => {
        space.map(CODE, 0x1000, 7);
        space.map(DATA, 0x1000, 3);
        space.map(DATA + 0x1000, 0x1000, 1);
        space.write(CODE, assemble(64, CODE, source).bytes);
        cpu.setRegister("gp", DATA + boundary);
        cpu.pc = CODE;
      });
      assertEquals(pair.go({ exact: false }).lines, [], `${boundary} ${offset}`);
    }
  }
});
