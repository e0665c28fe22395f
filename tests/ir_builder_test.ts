import { assert, assertEquals, assertThrows } from "@std/assert";
import { Builder, type IrBlock, type PassOptions, type Value } from "../cpu/ir/builder.ts";
import { Effect, Fp, Op, OPS, Slot, Trap } from "../cpu/ir/ops.ts";
import { printBlock } from "../cpu/ir/printer.ts";
import { verify } from "../cpu/ir/verifier.ts";
import { integer, Random } from "./fuzz/random.ts";
import {
  ALL,
  build,
  COMBINATIONS,
  everyWay,
  type Instruction,
  ops,
  outside,
  PC,
  registers,
  SLOTS,
} from "./ir_blocks.ts";
import { evalPure, OracleMemory, type Outcome, runBlock } from "./ir_oracle.ts";

Deno.test("write takes effect when the instruction ends", () => {
  everyWay([
    (b) => {
      b.write(1, b.add(b.read(1), b.imm(1)));
      b.write(2, b.add(b.read(1), b.imm(2)));
    },
  ], (slots) => assertEquals([slots[1], slots[2]], [101n, 102n]));
});

Deno.test("write exchanges registers when each gets another's value", () => {
  everyWay([
    (b) => {
      b.write(1, b.read(2));
      b.write(2, b.read(1));
    },
    (b) => {
      b.write(3, b.read(4));
      b.write(4, b.read(5));
      b.write(5, b.read(3));
    },
  ], (slots) => assertEquals([...slots.subarray(1, 6)], [200n, 100n, 400n, 500n, 300n]));
});

Deno.test("write keeps the last value when a register is written twice", () => {
  everyWay([
    (b) => {
      b.write(1, b.imm(5));
      b.write(2, b.read(1));
      b.write(1, b.add(b.read(3), b.read(3)));
    },
  ], (slots) => assertEquals([slots[1], slots[2]], [600n, 100n]));
});

Deno.test("write does nothing when the register is slot 0", () => {
  everyWay([
    (b) => b.write(0, b.imm(5)),
    (b) => b.write(0, b.load(Op.ld64, b.read(1), 0)),
    (b) => b.write(1, b.read(0)),
  ], (slots) => assertEquals([slots[0], slots[1]], [0n, 0n]));
});

Deno.test("write changes nothing when a later access of the instruction faults", () => {
  everyWay(
    [
      (b) => b.write(1, b.add(b.read(1), b.read(1))),
      (b) => {
        b.write(1, b.add(b.read(1), b.read(2)));
        b.write(3, b.load(Op.ld64, b.read(2), 8));
      },
      (b) => b.write(1, b.imm(9)),
    ],
    (slots, outcome) => {
      assertEquals([slots[1], slots[3]], [200n, 300n]);
      const [reason, address] = [Trap.LOAD_FAULT, 208n];
      assertEquals(outcome, { kind: "fault", reason, address, pc: BigInt(PC + 4) });
    },
    { allows: () => false },
  );
});

Deno.test("write makes no second record when the op can write the register itself", () => {
  const one: Instruction = (b) => b.write(1, b.add(b.read(1), b.imm(1)));
  assertEquals(ops(build(ALL, [one])), ["add64i", "jump", "link"]);
  assertEquals(ops(build({ ...ALL, retarget: false }, [one])), ["add64i", "mov", "jump", "link"]);
  const pair: Instruction = (b) => {
    const sum = b.add(b.read(1), b.read(2));
    b.write(3, sum);
    b.write(4, sum);
  };
  assertEquals(ops(build(ALL, [pair])), ["add64", "mov", "mov", "jump", "link"]);
  everyWay([pair], (slots) => assertEquals([slots[3], slots[4]], [300n, 300n]));
});

Deno.test("read folds when registers hold constants", () => {
  const instructions: Instruction[] = [
    (b) => b.write(1, b.imm(0x1234_5000)),
    (b) => b.write(1, b.add(b.read(1), b.imm(0x678))),
    (b) => b.write(2, b.xor(b.read(1), b.imm(-1))),
    (b) => b.write(3, b.sltu(b.read(2), b.read(1))),
    (b) => b.write(4, b.add32(b.read(1), b.imm64(-1, 0x7fff_ffff))),
  ];
  everyWay(instructions, (slots) => {
    const x = 0x1234_5678n;
    assertEquals([...slots.subarray(1, 5)], [x, ~x, 0n, x - 1n]);
  });
  assertEquals(ops(build(ALL, instructions)).filter((name) => name !== "const"), ["jump", "link"]);
});

Deno.test("read forgets a constant when the register is overwritten", () => {
  everyWay([
    (b) => b.write(1, b.imm(5)),
    (b) => b.write(1, b.load(Op.ld64, b.read(2), 0)),
    (b) => b.write(3, b.add(b.read(1), b.imm(1))),
    (b) => b.write(4, b.imm(7)),
    (b) => {
      const old = b.op1(Op.mov, b.read(4));
      b.writeNow(4, b.read(5));
      b.write(6, b.add(b.read(4), old));
    },
  ], (slots) => assertEquals([slots[3], slots[4], slots[6]], [1n, 500n, 507n]));
});

Deno.test("store uses the register when it is known to hold the constant", () => {
  const instructions: Instruction[] = [
    (b) => b.write(1, b.imm(0x4000)),
    (b) => b.store(Op.st64, b.read(1), 8, b.read(1)),
    (b) => b.store(Op.st64, b.read(1), 5000, b.imm(3)),
  ];
  everyWay(instructions, (_, __, ___, memory) => {
    assertEquals([memory.read(0x4008n, 8), memory.read(0x5388n, 8)], [0x4000n, 3n]);
  });
  assertEquals(ops(build(ALL, instructions)), [
    ...["const", "st64", "const", "const", "st64", "jump", "link"],
  ]);
});

Deno.test("finish drops a write when it is overwritten before anything can see it", () => {
  const twice = (between: Instruction): string[] =>
    ops(build(ALL, [
      (b) => b.write(1, b.add(b.read(2), b.read(3))),
      between,
      (b) => b.write(1, b.imm(1)),
    ]));
  assertEquals(twice(() => {}), ["const", "jump", "link"]);
  assertEquals(twice((b) => b.write(4, b.imm(0))), ["const", "const", "jump", "link"]);
  // Read, or seen by what may leave the block or looks at state.
  for (
    const [name, between] of [
      ["shl64i", (b) => b.write(4, b.shl(b.read(1), b.imm(3)))],
      ["st64", (b) => b.store(Op.st64, b.read(4), 0, b.read(4))],
      ["ld64", (b) => b.write(4, b.load(Op.ld64, b.read(4), 0))],
      ["fadd64", (b) => b.write(4, b.float(Op.fadd64, b.read(4), b.read(4), 0, 7))],
      ["fence", (b) => b.state(Op.fence, 0, 255)],
    ] as [string, Instruction][]
  ) {
    assertEquals(twice(between), ["add64", name, "const", "jump", "link"]);
  }
});

Deno.test("finish keeps a write when what overwrites it may fault first", () => {
  for (const op of [Op.ld64, Op.ldx64]) {
    everyWay(
      [
        (b) => b.write(1, b.add(b.read(2), b.read(3))),
        (b) => b.write(1, b.load(op, b.read(4), 0)),
      ],
      (slots, outcome) => assertEquals([slots[1], outcome.kind], [500n, "fault"]),
      { allows: () => false },
    );
  }
});

Deno.test("finish keeps a load when nobody wants its value", () => {
  const block = build(ALL, [(b) => void b.load(Op.ld64, b.read(1), 0)]);
  assertEquals(ops(block), ["ld64", "jump", "link"]);
});

Deno.test("branch compares the old values when the instruction writes what it compares", () => {
  for (const op of [Op.brEq, Op.brNe, Op.brLt, Op.brGe, Op.brLtu, Op.brGeu]) {
    for (const second of [100n, -1n, 101n]) {
      everyWay(
        [
          (b) => {
            b.write(1, b.imm(0));
            b.write(2, b.read(1));
            b.branch(op, b.read(1), b.read(2), 0x2000, 0x3000);
          },
        ],
        (slots, outcome) => {
          const [a, ua, ub] = [100n, 100n, BigInt.asUintN(64, second)];
          const name = OPS[op].name;
          const taken = {
            brEq: a === second,
            brNe: a !== second,
            brLt: a < second,
            brGe: a >= second,
            brLtu: ua < ub,
            brGeu: ua >= ub,
          }[name];
          assertEquals(outcome, { kind: "next", pc: taken ? 0x2000n : 0x3000n });
          assertEquals([slots[1], slots[2]], [0n, 100n]);
        },
        { slots: { 2: second } },
      );
    }
  }
});

Deno.test("jumpIndirect goes to the old value when the instruction writes its register", () => {
  everyWay([
    (b) => {
      b.write(1, b.imm(PC + 4));
      b.jumpIndirect(b.read(1), -2);
    },
  ], (slots, outcome) => {
    assertEquals([slots[1], outcome], [BigInt(PC + 4), { kind: "next", pc: 0xfffffff0n }]);
  }, { slots: { 1: 0xfffffff1n } });
});

Deno.test("trap keeps addresses of 64 bits when it names its instruction", () => {
  const pc = 0x1f_ffff_ffff_0000;
  const b = new Builder();
  b.start(pc);
  b.begin(pc);
  b.trap(Trap.SYSCALL, 4);
  const block = b.finish(4);
  assertEquals(verify(block, SLOTS), []);
  const outcome = runBlock(block, registers(), new OracleMemory(), outside);
  assertEquals(outcome, { kind: "trap", reason: Trap.SYSCALL, pc: BigInt(pc), length: 4 });
});

Deno.test("finish throws when nothing ends the block", () => {
  const b = new Builder();
  b.start(PC);
  b.begin(PC);
  assertThrows(() => b.finish(4), Error, "Cannot finish the block at 0x1000: no terminator");
});

Deno.test("finish grows its buffer when instructions are many records long", () => {
  const instructions = Array.from({ length: 64 }, (): Instruction => (b) => {
    for (let i = 1; i < SLOTS; i++) {
      b.write(i, b.sub(b.read(i), b.read(i % 15 + 1)));
    }
  });
  everyWay(instructions, (_, outcome) => assertEquals(outcome.kind, "next"));
});

// ---- random programs ----

const OP2 = OPS.filter((op) => op.effect === Effect.PURE && op.fields === "d a b");
const OP1 = OPS.filter((op) =>
  op.effect === Effect.PURE && op.fields === "d a" && op.name !== "mov"
);
/** The builder's methods with two operands, and the op that says what they mean. */
const METHODS = {
  add: "add64",
  sub: "sub64",
  and: "and64",
  or: "or64",
  xor: "xor64",
  shl: "shl64",
  shru: "shru64",
  shrs: "shrs64",
  rotr: "rotr64",
  add32: "add32",
  sub32: "sub32",
  shl32: "shl32",
  shru32: "shru32",
  shrs32: "shrs32",
  rotr32: "rotr32",
  slt: "slt64",
  sltu: "sltu64",
} as const;
type Method = keyof typeof METHODS;

/** A value and what it must be. */
interface Pair {
  value: Value;
  is: bigint;
}

/**
 * Makes random instructions and, at the same time, their effect: registers are a model beside the builder, so every
 * value's meaning is known as soon as it is made.
 */
class Program {
  readonly slots = registers();
  readonly memory = new OracleMemory((address) => address < 0x1_0000n);
  outcome: Outcome | undefined;
  #random: Random;
  #b: Builder;
  #made: Pair[] = [];
  #writes = new Map<number, bigint>();
  #index = 0;

  constructor(seed: number, passes: PassOptions) {
    this.#random = new Random(seed);
    this.#b = new Builder(passes);
    const random = this.#random;
    for (let i = 1; i < SLOTS; i++) {
      this.slots[i] = random.chance(0.5) ? BigInt(random.below(0x8000)) : integer(random);
    }
  }

  /** Builds the block; afterwards the model is the state that it must lead to from `registersBefore`. */
  build(): { block: IrBlock; before: BigInt64Array } {
    const b = this.#b, random = this.#random, before = this.slots.slice();
    const count = random.between(1, 12);
    b.start(PC);
    for (this.#index = 0; this.#index < count; this.#index++) {
      b.begin(PC + 4 * this.#index);
      this.#made = [];
      this.#writes.clear();
      for (let steps = random.between(1, 5); steps > 0; steps--) this.#step();
      if (this.#index === count - 1) this.#end();
      b.end();
      if (this.outcome?.kind === "fault") continue;
      for (const [slot, value] of this.#writes) this.slots[slot] = value;
    }
    return { block: b.finish(4 * count), before };
  }

  #operand(): Pair {
    const random = this.#random;
    switch (random.below(5)) {
      case 0: {
        const is = random.chance(0.4) ? BigInt(random.between(-3, 70)) : integer(random);
        const [lo, hi] = [Number(BigInt.asIntN(32, is)), Number(BigInt.asIntN(32, is >> 32n))];
        return { value: this.#b.imm64(lo, hi), is: BigInt.asIntN(64, is) };
      }
      case 1:
        if (this.#made.length > 0) return random.pick(this.#made);
        break;
    }
    const slot = random.below(8);
    return { value: this.#b.read(slot), is: this.slots[slot] };
  }

  #keep(value: Value, is: bigint): void {
    const pair = { value, is: BigInt.asIntN(64, is) };
    this.#made.push(pair);
    if (this.#random.chance(0.7)) this.#write(pair);
  }

  #write({ value, is }: Pair): void {
    const slot = this.#random.below(8);
    this.#b.write(slot, value);
    if (slot !== Slot.ZERO) this.#writes.set(slot, is);
  }

  #step(): void {
    const random = this.#random, b = this.#b;
    const x = this.#operand(), y = this.#operand(), z = this.#operand();
    const offset = random.between(-2100, 4200);
    switch (random.below(12)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        const method = random.pick(Object.keys(METHODS) as Method[]);
        const value = b[method](x.value, y.value);
        return this.#keep(value, evalPure(Op[METHODS[method]], x.is, y.is, 0n, 0n));
      }
      case 4: {
        const op = random.pick(OP2).code;
        return this.#keep(b.op2(op, x.value, y.value), evalPure(op, x.is, y.is, 0n, 0n));
      }
      case 5: {
        const op = random.pick(OP1).code;
        return this.#keep(b.op1(op, x.value), evalPure(op, x.is, 0n, 0n, 0n));
      }
      case 6: {
        const value = b.select(x.value, y.value, z.value);
        return this.#keep(value, x.is !== 0n ? y.is : z.is);
      }
      case 7:
        if (random.chance(0.5)) return this.#keep(b.sext32(x.value), BigInt.asIntN(32, x.is));
        if (random.chance(0.5)) return this.#keep(b.zext32(x.value), BigInt.asUintN(32, x.is));
        return this.#keep(b.not(x.value), ~x.is);
      case 8: {
        const value = b.load(Op.ldU16, x.value, offset);
        if (!this.#access(x.is + BigInt(offset), 2, Trap.LOAD_FAULT)) return this.#keep(value, 0n);
        return this.#keep(value, this.memory.read(BigInt.asUintN(64, x.is + BigInt(offset)), 2));
      }
      case 9: {
        b.store(Op.st32, x.value, offset, y.value);
        const address = BigInt.asUintN(64, x.is + BigInt(offset));
        if (this.#access(address, 4, Trap.STORE_FAULT)) this.memory.write(address, 4, y.is);
        return;
      }
      case 10: {
        const value = b.float(Op.fma64, x.value, y.value, z.value, Fp.NEG_ADDEND);
        return this.#keep(value, outside.float(Op.fma64, x.is, y.is, z.is, Fp.NEG_ADDEND));
      }
      default:
        return this.#write(x);
    }
  }

  /** Whether an access goes well; if not, it is where the block ends. */
  #access(address: bigint, size: number, reason: number): boolean {
    if (this.outcome !== undefined) return false;
    const at = BigInt.asUintN(64, address);
    if (this.memory.allowed(at, size, reason === Trap.STORE_FAULT)) return true;
    this.outcome = { kind: "fault", reason, address: at, pc: BigInt(PC + 4 * this.#index) };
    return false;
  }

  #end(): void {
    const random = this.#random, b = this.#b;
    const x = this.#operand(), y = this.#operand();
    let outcome: Outcome;
    switch (random.below(4)) {
      case 0:
        b.jump(0x2000);
        outcome = { kind: "next", pc: 0x2000n };
        break;
      case 1:
        b.jumpIndirect(x.value, -2);
        outcome = { kind: "next", pc: BigInt.asUintN(64, x.is & -2n) };
        break;
      case 2:
        b.branch(Op.brLt, x.value, y.value, 0x2000, 0x3000);
        outcome = { kind: "next", pc: x.is < y.is ? 0x2000n : 0x3000n };
        break;
      default:
        b.trap(Trap.BREAKPOINT, 2);
        outcome = { kind: "trap", reason: Trap.BREAKPOINT, pc: BigInt(b.pc), length: 2 };
    }
    this.outcome ??= outcome;
  }
}

Deno.test("Builder makes blocks that mean the same when passes are switched", () => {
  let faults = 0;
  for (let seed = 0; seed < 1000; seed++) {
    // All on and all off for every program, the other combinations in turn.
    for (const passes of [COMBINATIONS[7], COMBINATIONS[seed % 7]]) {
      const program = new Program(seed, passes);
      const { block, before: slots } = program.build();
      const dump = () => `seed ${seed} ${JSON.stringify(passes)}\n${printBlock(block)}`;
      const problems = verify(block, SLOTS);
      assert(problems.length === 0, `${problems.join("\n")}\n${dump()}`);
      const memory = new OracleMemory(program.memory.allows);
      const outcome = runBlock(block, slots, memory, outside);
      if (outcome.kind === "fault") faults++;
      assertEquals(outcome, program.outcome, dump());
      for (let i = 0; i < SLOTS; i++) {
        const same = slots[i] === program.slots[i];
        assert(same, `slot ${i} is ${slots[i]}, not ${program.slots[i]}: ${dump()}`);
      }
      assertEquals(memory.bytes, program.memory.bytes, dump());
    }
  }
  assert(faults > 200, `${faults} faults`);
});
