/** Every pure op as the interpreter executes it, against the definitions in ir_oracle.ts. */
import { assert, assertEquals } from "@std/assert";
import { Cpu } from "../cpu/engine/cpu.ts";
import type { Builder, Value } from "../cpu/ir/builder.ts";
import { Effect, FIRST_VECTOR_OP, Op, type OpInfo, OPS, Trap } from "../cpu/ir/ops.ts";
import { AddressSpace } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import { COMPILED, cpuOptions, PASSES, scaled } from "./configuration.ts";
import { evalPure } from "./ir_oracle.ts";
import { integer, poolEntry, Random } from "./fuzz/random.ts";
import { CODE, OpIsa } from "./op_isa.ts";

const A = 1, B = 2, C = 3, D = 4;
const PURE = OPS.slice(0, FIRST_VECTOR_OP).filter((op) => op.effect === Effect.PURE);

const MEMORY = 1 << 24;

class Bench {
  readonly isa = new OpIsa(8);
  readonly space = new AddressSpace(new Arena(MEMORY));
  readonly cpu: Cpu;
  /** Ops that blocks executed so far contain. */
  readonly covered = new Set<number>();

  constructor(passes = PASSES) {
    this.space.map(CODE, MEMORY - CODE, 5);
    const neighbours = (pc: number) => this.#neighbours(pc);
    this.cpu = new Cpu(this.isa, this.space, { ...cpuOptions(this.space, neighbours), passes });
  }

  /** Instructions behind one. */
  *#neighbours(pc: number): Generator<number> {
    const end = Math.min(CODE + 8 * this.isa.lifts.length, pc + 8 * 250);
    for (let at = pc + 8; at < end; at += 8) yield at;
  }

  readonly #checks: (() => void)[] = [];

  /** Has a check made once all instructions are there: then a tier may compile many at once. */
  check(check: () => void): void {
    this.#checks.push(check);
  }

  /** Makes all checks. */
  finish(): void {
    for (const check of this.#checks.splice(0)) check();
    assertEquals(this.cpu.tierInstructions > 0, COMPILED);
  }

  /** Makes an instruction; returns its address. */
  add(lift: (b: Builder) => void): number {
    this.isa.lifts.push(lift);
    const pc = CODE + 8 * (this.isa.lifts.length - 1);
    const { code } = this.cpu.translate(pc)!;
    for (let at = 0; at < code.length; at += 6) this.covered.add(code[at]);
    return pc;
  }

  /** Executes it; returns slot `d`. */
  run(pc: number, a: bigint, b: bigint, c: bigint, d: number): bigint {
    const { cpu } = this, { slots } = cpu;
    slots[A] = a;
    slots[B] = b;
    slots[C] = c;
    slots[D] = 0x5555_5555_5555_5555n;
    cpu.pc = pc;
    // Near a limit nothing runs compiled.
    const reason = cpu.run(10_000);
    if (reason !== Trap.SYSCALL) throw new Error(`stopped with ${reason}`);
    return slots[d];
  }
}

const hex = (x: bigint) => `0x${BigInt.asUintN(64, x).toString(16)}`;

function expect(op: OpInfo, got: bigint, a: bigint, b: bigint, c: bigint, imm: bigint, how = "") {
  const want = evalPure(op.code, a, b, c, imm);
  if (got === want) return;
  throw new Error(
    `${op.name} of ${hex(a)}, ${hex(b)}, ${hex(c)}, imm ${hex(imm)}${how}: ` +
      `wanted ${hex(want)}, got ${hex(got)}`,
  );
}

const SPECIAL: readonly bigint[] = [
  ...[0n, 1n, 2n, 3n, 5n, 7n, 8n, 31n, 32n, 33n, 63n, 64n, 65n, 127n, 128n, 255n, 256n],
  ...[0x7fffn, 0x8000n, 0xffffn, 0x1_0000n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn],
  ...[0x1_0000_0000n, 0x1_0000_0001n, 0x7fff_ffff_0000_0000n, -0x7fff_ffff_8000_0000n],
  ...[-1n, -2n, -32n, -128n, -0x8000n, -0x8000_0000n, -0x8000_0001n, -0x1_0000_0000n],
  ...[0x7fff_ffff_ffff_ffffn, -0x8000_0000_0000_0000n, -0x7fff_ffff_ffff_ffffn],
  ...[0x0123_4567_89ab_cdefn, -0x0123_4567_89ab_cdefn, 0x5555_5555_5555_5555n],
  ...[0x2_0000_0000_0000n, 0x1f_ffff_ffff_ffffn, 0x20_0000_0000_0001n, -0x8040_0000n],
];

const anything = (random: Random) =>
  BigInt.asIntN(64, random.chance(0.7) ? integer(random) : poolEntry(random));

/** Operand pairs: specials with specials, then random ones. */
function* pairs(random: Random, count: number): Generator<[bigint, bigint]> {
  for (const a of SPECIAL) for (const b of SPECIAL) yield [a, b];
  for (let i = 0; i < count; i++) yield [anything(random), anything(random)];
}

/** How the builder makes ops with an immediate. */
const IMMEDIATE: Readonly<Record<string, (b: Builder, a: Value, imm: Value) => Value>> = {
  add64i: (b, a, imm) => b.add(a, imm),
  and64i: (b, a, imm) => b.and(a, imm),
  or64i: (b, a, imm) => b.or(a, imm),
  xor64i: (b, a, imm) => b.xor(a, imm),
  shl64i: (b, a, imm) => b.shl(a, imm),
  shru64i: (b, a, imm) => b.shru(a, imm),
  shrs64i: (b, a, imm) => b.shrs(a, imm),
  rotr64i: (b, a, imm) => b.rotr(a, imm),
  add32i: (b, a, imm) => b.add32(a, imm),
  shl32i: (b, a, imm) => b.shl32(a, imm),
  shru32i: (b, a, imm) => b.shru32(a, imm),
  shrs32i: (b, a, imm) => b.shrs32(a, imm),
  rotr32i: (b, a, imm) => b.rotr32(a, imm),
  slt64i: (b, a, imm) => b.slt(a, imm),
  sltu64i: (b, a, imm) => b.sltu(a, imm),
};

const constant = (b: Builder, value: bigint) =>
  b.imm64(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));

const SHIFT = /^(sh|rot).*(32|64)i$/;

/** Emits a register op with the given operand slots. */
function emit(b: Builder, op: OpInfo, [x, y, z]: readonly number[]): Value {
  if (op.fields === "d a b") return b.op2(op.code, x, y);
  if (op.fields === "d a") return b.op1(op.code, x);
  if (op.name === "select") return b.select(x, y, z);
  throw new Error(`Cannot emit ${op.name} with fields ${op.fields}`);
}

const REGISTER_OPS = PURE.filter((op) => /^d a( b)?( c)?$/.test(op.fields));
const IMMEDIATE_OPS = PURE.filter((op) => op.fields === "d a i");

Deno.test("Interpreter executes every pure op on registers as defined", () => {
  const random = new Random(1), bench = new Bench();
  for (const op of REGISTER_OPS) {
    const pc = bench.add((b) => b.write(D, emit(b, op, [A, B, C])));
    const unary = op.fields === "d a";
    bench.check(() => {
      for (const [a, b] of unary ? SPECIAL.map((a) => [a, 0n]) : pairs(random, 400)) {
        const c = anything(random);
        expect(op, bench.run(pc, a, b, c, D), a, b, c, 0n);
      }
      for (let i = 0; i < 300; i++) {
        const [a, b, c] = [anything(random), anything(random), anything(random)];
        expect(op, bench.run(pc, a, b, c, D), a, b, c, 0n);
      }
    });
  }
  bench.finish();
  for (const op of REGISTER_OPS) assert(bench.covered.has(op.code), `${op.name} is in no block`);
});

Deno.test("Interpreter executes every pure op when operands and result share slots", () => {
  const random = new Random(2);
  // Without the pass that retargets, results go through a temporary: with it, directly into the operand's slot.
  for (const retarget of [true, false]) {
    const bench = new Bench({ ...PASSES, retarget });
    for (const op of REGISTER_OPS) {
      for (
        const [slots, d] of [[[A, B, C], A], [[A, B, C], B], [[A, B, C], C], [[A, A, A], D], [[
          A,
          A,
          A,
        ], A]] as const
      ) {
        const pc = bench.add((b) => b.write(d, emit(b, op, slots)));
        bench.check(() => {
          for (let i = 0; i < 40; i++) {
            const values = i < 20
              ? [0, 1, 2].map(() => random.pick(SPECIAL))
              : [0, 1, 2].map(() => anything(random));
            const [a, b, c] = slots.map((slot) => values[slot - A]);
            const got = bench.run(pc, values[0], values[1], values[2], d);
            expect(op, got, a, b, c, 0n, ` into slot ${d}`);
          }
        });
      }
    }
    bench.finish();
  }
});

Deno.test("Interpreter executes every pure op with an immediate as defined", () => {
  const random = new Random(3), bench = new Bench();
  assertEquals(IMMEDIATE_OPS.map((op) => op.name).sort(), Object.keys(IMMEDIATE).sort());
  for (const op of IMMEDIATE_OPS) {
    const width = Number(SHIFT.exec(op.name)?.[2] ?? 0);
    const immediates = width > 0
      ? Array.from({ length: width }, (_, i) => BigInt(i))
      : [...SPECIAL, ...Array.from({ length: 20 }, () => anything(random))];
    for (const imm of immediates) {
      for (const d of [D, A]) {
        const pc = bench.add((b) => b.write(d, IMMEDIATE[op.name](b, A, constant(b, imm))));
        bench.check(() => {
          for (const a of SPECIAL) expect(op, bench.run(pc, a, 0n, 0n, d), a, 0n, 0n, imm);
          for (let i = 0; i < 10; i++) {
            const a = anything(random);
            expect(op, bench.run(pc, a, 0n, 0n, d), a, 0n, 0n, imm);
          }
        });
      }
    }
    assert(bench.covered.has(op.code), `${op.name} is in no block`);
  }
  bench.finish();
});

Deno.test("Interpreter sets constants, and does nothing for nop", () => {
  // Without folding, a constant that isn't 0 is an op of its own all the same.
  const bench = new Bench();
  for (const value of SPECIAL) {
    const pc = bench.add((b) => b.write(D, constant(b, value)));
    bench.check(() => assertEquals(bench.run(pc, 0n, 0n, 0n, D), value));
  }
  bench.finish();
  assert(bench.covered.has(Op.const));
  // The pass that drops dead records drops nops, too.
  const plain = new Bench({ ...PASSES, dead: false });
  const pc = plain.add((b) => b.state(Op.nop));
  assertEquals(plain.run(pc, 1n, 2n, 3n, D), 0x5555_5555_5555_5555n);
  assert(plain.covered.has(Op.nop));
});

Deno.test("Builder folds constants to what the op would give", () => {
  const random = new Random(4);
  for (const fold of [true, false]) {
    const bench = new Bench({ ...PASSES, fold });
    for (const [name, make] of Object.entries(IMMEDIATE)) {
      const op = OPS[Op[name]];
      const count = scaled(400);
      for (let i = 0; i < count; i++) {
        const a = i < count / 2 ? random.pick(SPECIAL) : anything(random);
        const value = i % 2 === 0 ? random.pick(SPECIAL) : anything(random);
        const width = BigInt(SHIFT.exec(name)?.[2] ?? 0);
        // A shift count is taken modulo the width before it becomes an immediate.
        const imm = width > 0n ? BigInt.asUintN(64, value) % width : value;
        const pc = bench.add((b) => b.write(D, make(b, constant(b, a), constant(b, value))));
        bench.check(() =>
          expect(op, bench.run(pc, 0n, 0n, 0n, D), a, 0n, 0n, imm, `, constants, fold ${fold}`)
        );
      }
    }
    const sub: [string, (b: Builder, x: Value, y: Value) => Value][] = [
      ["sub64", (b, x, y) => b.sub(x, y)],
      ["sub32", (b, x, y) => b.sub32(x, y)],
    ];
    for (const [name, make] of sub) {
      for (const [x, y] of pairs(random, 100)) {
        if (random.chance(0.8)) continue;
        const pc = bench.add((b) => b.write(D, make(b, constant(b, x), constant(b, y))));
        bench.check(() =>
          expect(OPS[Op[name]], bench.run(pc, 0n, 0n, 0n, D), x, y, 0n, 0n, `, fold ${fold}`)
        );
      }
    }
    bench.finish();
  }
});

Deno.test("Every pure op has a test here", () => {
  const tested = [...REGISTER_OPS, ...IMMEDIATE_OPS, OPS[Op.const], OPS[Op.nop]];
  assertEquals(tested.map((op) => op.name).sort(), PURE.map((op) => op.name).sort());
});
