/** Ops on floating-point lanes: compiled code against the interpreter, whose lanes are softfloat's. */
import { assert, assertEquals } from "@std/assert";
import {
  Effect,
  FIRST_VECTOR_OP,
  Fp,
  FpMode,
  FpStyle,
  type OpInfo,
  OPS,
  Slot,
  Trap,
} from "../cpu/ir/ops.ts";
import { COMPILER, scaled, seeded } from "./configuration.ts";
import { Random } from "./fuzz/random.ts";
import { emit, V, VectorBench, X } from "./vector_bench.ts";

const FLOATS = OPS.slice(FIRST_VECTOR_OP).filter((op) =>
  op.effect === Effect.FLOAT && /^v?(f|cvt|unf)/.test(op.name)
);
const STYLES = [
  0,
  FpStyle.PROPAGATE | FpStyle.TINY_BEFORE | FpStyle.NAN_TO_ZERO,
  FpStyle.ALTERNATIVE_HALF,
];

/** A number of so many bits, near what matters. */
function anyFloat(random: Random, bits: 16 | 32 | 64): bigint {
  const [fraction, exponents] = bits === 64 ? [52n, 2047n] : bits === 32 ? [23n, 255n] : [10n, 31n];
  const sign = BigInt(random.below(2)) << BigInt(bits - 1);
  const exponent = random.pick([
    ...[0n, 0n, 1n, 2n, exponents, exponents - 1n, exponents / 2n, exponents / 2n],
    BigInt(random.below(Number(exponents))),
    exponents / 2n + BigInt(random.below(9)),
  ]);
  const some = BigInt(random.below(2 ** 30)) * BigInt(random.below(2 ** 30));
  const low = random.pick([
    0n,
    0n,
    1n,
    (1n << fraction) - 1n,
    1n << fraction - 1n,
    some,
    some << 30n,
  ]);
  return sign | exponent << fraction | low & (1n << fraction) - 1n;
}

function anyVector(random: Random, bits: 16 | 32 | 64, integer: boolean): bigint {
  let value = 0n;
  for (let at = 0; at < 128; at += bits) {
    const near = BigInt(random.below(2 ** 32)) << BigInt(random.below(32));
    const lane = integer
      ? random.pick([near, BigInt(random.below(200)), -1n])
      : anyFloat(random, bits);
    value |= BigInt.asUintN(bits, lane) << BigInt(at);
  }
  return value;
}

/** Modifiers of a record. */
function anyJ(op: OpInfo, random: Random): number {
  let j: number = random.pick([0, 7, 7, 1, 2, 3, 4]);
  const { name } = op;
  if (name.startsWith("v")) {
    j |= random.pick([0, 0, Fp.FIRST, /(narrow|widen)/.test(name) ? 0 : Fp.LOW]);
  }
  if (/^vfma\d/.test(name)) {
    j |= random.pick([0, Fp.NEG_PRODUCT, Fp.NEG_ADDEND, Fp.NEG_PRODUCT | Fp.NEG_ADDEND]);
  }
  if (/^v?fr?int/.test(name)) j |= random.pick([0, Fp.EXACT]);
  if (name.startsWith("fcmp")) j |= random.pick([0, Fp.SIGNALING]);
  if (name === "vfnarrow32") j |= random.pick([0, Fp.ODD]);
  if (/fix|^vfcvt|^vcvtf/.test(name)) j |= random.pick([0, 0, 1, 13, 32]) << 16;
  return j;
}

/** Bits of the numbers that an op takes. */
function operandBits({ name }: OpInfo): 16 | 32 | 64 {
  const bits = Number(/\d+$/.exec(name)![0]);
  return (/narrow/.test(name) ? 2 * bits : bits) as 16 | 32 | 64;
}

Deno.test("Compiled code executes every op on floating-point lanes as the interpreter does", () => {
  const random = new Random(seeded(77)),
    interp = new VectorBench(false),
    compiled = new VectorBench(true);
  let inline = 0;
  for (const op of FLOATS) {
    const letters = op.fields.split(" "), bits = operandBits(op);
    const integer = /^v?(cvtf|unfix)/.test(op.name);
    // A compiler is run for each round of the native tier, which so has more turns.
    const [rounds, turns] = COMPILER === "native" ? [2, 25] : [12, scaled(25)];
    for (let round = 0; round < rounds; round++) {
      const slot = (letter: string, i: number) =>
        letters.includes(letter) ? V[i] : letters.includes(letter.toLowerCase()) ? X[i] : 0;
      const j = anyJ(op, random), vector = letters[0] === "D";
      const d = (vector ? V : X)[random.below(4)];
      const slots = [slot("A", 0), slot("B", round % 2 === 0 ? 1 : 0), slot("C", 2)];
      const pcs = [interp, compiled].map((bench) => bench.add((b) => emit(b, op, d, slots, 0n, j)));
      for (let n = 0; n < turns; n++) {
        const ordinary = n % 2 === 0;
        const given = [...V, ...X].map((
          slot,
        ): [number, bigint] => [slot, anyVector(random, bits, integer)]);
        const style = ordinary ? STYLES[1] : random.pick(STYLES);
        const rm = ordinary ? 0 : random.pick([0, 1, 2, 3, 4]) | random.pick([0, 0, FpMode.FLUSH]);
        const flags = ordinary ? 1 : random.pick([0, 1]);
        const outcomes = [interp, compiled].map((bench, i) => {
          const { slots } = bench.cpu;
          for (const [slot, value] of given) {
            if (slot >= 8) bench.set(slot, value);
            else slots[slot] = BigInt.asIntN(64, value);
          }
          slots[Slot.FP_FLAGS] = BigInt(flags);
          slots[Slot.FP_RM] = BigInt(rm);
          slots[Slot.FP_STYLE] = BigInt(style);
          slots[Slot.FP_FAST] = rm === 0 && flags === 1 ? 1n : 0n;
          assertEquals(bench.run(pcs[i]), Trap.SYSCALL);
          return [
            ...V.map((slot) => bench.get(slot)),
            ...X.map((slot) => slots[slot]),
            slots[Slot.FP_FLAGS],
            slots[Slot.FP_FAST],
          ];
        });
        const hex = (list: bigint[]) =>
          list.map((x) => BigInt.asUintN(128, x).toString(16)).join(" ");
        if (hex(outcomes[0]) !== hex(outcomes[1])) {
          throw new Error(
            `${op.name} of ${slots} into ${d}, j ${j}, mode ${rm}, style ${style}, flags ${flags}, of\n${
              hex(given.map(([, x]) => x))
            }:\nthe interpreter has\n${hex(outcomes[0])}, compiled code\n${hex(outcomes[1])}`,
          );
        }
        inline++;
      }
    }
  }
  assert(inline > 1000);
});

Deno.test("Interpreter has the same results with host arithmetic and without", () => {
  const random = new Random(seeded(78)), bench = new VectorBench(false), { slots } = bench.cpu;
  for (const op of FLOATS) {
    if (!/^vf(add|sub|mul|div)/.test(op.name)) continue;
    const pc = bench.add((b) => emit(b, op, V[3], [V[0], V[1], 0], 0n, 7));
    for (let n = 0; n < 400; n++) {
      const [a, b] = [0, 1].map(() => anyVector(random, operandBits(op), false));
      const [slow, fast] = [0n, 1n].map((flags) => {
        bench.set(V[0], a);
        bench.set(V[1], b);
        slots[Slot.FP_FLAGS] = flags;
        slots[Slot.FP_RM] = 0n;
        slots[Slot.FP_FAST] = flags;
        assertEquals(bench.run(pc), Trap.SYSCALL);
        return [bench.get(V[3]), slots[Slot.FP_FLAGS] | 1n];
      });
      assertEquals(fast, slow, `${op.name} of 0x${a.toString(16)}, 0x${b.toString(16)}`);
    }
  }
});
