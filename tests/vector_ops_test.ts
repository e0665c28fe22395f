/** Every op on vectors as the tiers execute it, against the definitions in vector_oracle.ts. */
import { assert, assertEquals } from "@std/assert";
import { Effect, FIRST_VECTOR_OP, Fp, Op, type OpInfo, OPS, Slot, Trap } from "../cpu/ir/ops.ts";
import { COMPILER, PASSES, scaled, seeded } from "./configuration.ts";
import { Random } from "./fuzz/random.ts";
import { DATA, emit, V, VectorBench, X } from "./vector_bench.ts";
import { evalVector, type VectorOperands } from "./vector_oracle.ts";

const OPS_HERE = OPS.slice(FIRST_VECTOR_OP);

/** Vectors whose lanes are at the edges, of any width. */
function anyVector(random: Random): bigint {
  const bits = random.pick([8, 16, 32, 64]);
  let value = 0n;
  for (let i = 0; i < 128; i += bits) {
    const size = 1n << BigInt(bits);
    const lane = random.pick([
      ...[0n, 1n, 2n, size - 1n, size - 2n, size / 2n, size / 2n - 1n, size / 2n + 1n],
      BigInt(random.below(256)) % size,
      BigInt(random.below(0x1_0000_0000)) * BigInt(random.below(0x1_0000_0000)) % size,
      BigInt(random.below(0x1_0000_0000)) * BigInt(random.below(0x1_0000_0000)) % size,
    ]);
    value |= lane << BigInt(i);
  }
  return value;
}

/** The number of an immediate `j` that an op's records may have. */
function anyJ(op: OpInfo, random: Random): number {
  if (op.effect === Effect.FLOAT) return random.pick([0, Fp.SATURATION]);
  if (op.name === "vsha1") return random.below(3);
  if (op.name === "vsha256") return random.below(2);
  const bits = Number(/\d+$/.exec(op.name)?.[0] ?? 16);
  return op.name.startsWith("vsh") ? random.below(bits + 2) : random.below(20);
}

const hex = (x: bigint) => `0x${x.toString(16).padStart(32, "0")}`;
const isFloat = (op: OpInfo) => /^v?(f|cvt|unf)/.test(op.name);
const INTEGER = OPS_HERE.filter((op) => !isFloat(op) && !["ldV", "stV"].includes(op.name));

for (const compiled of [false, true]) {
  const tier = compiled ? "Compiled code" : "Interpreter";
  Deno.test(`${tier} executes every vector op on integers as defined`, () => {
    const random = new Random(seeded(11)), bench = new VectorBench(compiled);
    for (const op of INTEGER) {
      const letters = op.fields.split(" ");
      for (let round = 0; round < (!compiled ? 10 : COMPILER === "native" ? 1 : 6); round++) {
        // Operands and result share registers in some rounds.
        const pick = (letter: string, i: number) =>
          letters.includes(letter) ? V[i] : letters.includes(letter.toLowerCase()) ? X[i] : 0;
        const shared = round % 3;
        const a = pick("A", 0), b = shared === 1 && pick("B", 0) > 7 ? a : pick("B", 1);
        const c = pick("C", 2), results = letters[0] === "D" ? V : X;
        const d = shared === 2 ? results[random.below(3)] : results[3];
        const j = letters.includes("j") ? anyJ(op, random) : 0;
        const i = BigInt.asIntN(64, anyVector(random));
        const pc = bench.add((builder) => emit(builder, op, d, [a, b, c], i, j));
        for (let n = 0; n < scaled(compiled ? 12 : 20); n++) {
          const given = new Map([...V, ...X].map((slot) => [slot, anyVector(random)]));
          for (const [slot, value] of given) {
            bench.set(slot, slot < 8 ? value & (1n << 64n) - 1n : value);
          }
          bench.cpu.slots[Slot.FP_FLAGS] = 0n;
          // Scalars are single slots, and set from the highest on.
          for (const slot of X) bench.cpu.slots[slot] = BigInt.asIntN(64, given.get(slot)!);
          const operands: VectorOperands = {
            a: a < 8 ? bench.cpu.slots[a] : given.get(a)!,
            b: b < 8 ? bench.cpu.slots[b] : given.get(b)!,
            c: c < 8 ? 0n : given.get(c)!,
            i,
            j,
          };
          const want = evalVector(op.name, operands);
          assert(want, `${op.name} has no definition`);
          assertEquals(bench.run(pc), Trap.SYSCALL, op.name);
          const got = letters[0] === "D" ? bench.get(d) : BigInt.asUintN(64, bench.cpu.slots[d]);
          const flags = bench.cpu.slots[Slot.FP_FLAGS];
          const wanted = want.saturated && (j & Fp.SATURATION) !== 0 ? 64n : 0n;
          if (got !== want.value || flags !== wanted) {
            throw new Error(
              `${op.name} of ${hex(operands.a)}, ${hex(BigInt.asUintN(128, operands.b))}, ${
                hex(operands.c)
              }, i ${i}, j ${j}: wanted ${hex(want.value)}, flags ${wanted}, got ${
                hex(got)
              }, flags ${flags}`,
            );
          }
          for (const [slot, value] of given) {
            if (slot > 7 && slot !== d) {
              assertEquals(bench.get(slot), value, `${op.name}, slot ${slot}`);
            }
          }
        }
      }
    }
  });

  Deno.test(`${tier} loads and stores vectors at any address, and does nothing when one faults`, () => {
    const random = new Random(12), bench = new VectorBench(compiled), { cpu } = bench;
    const load = bench.add((b) => b.writePair(V[0], b.loadVector(X[0], 16)));
    const store = bench.add((b) => b.storeVector(X[0], -8, V[1]));
    const view = bench.space.hostView(DATA, 0x2000)!;
    for (let n = 0; n < 300; n++) {
      const address = DATA + random.pick([random.below(0x1f00), 0x1000 - 16 - random.below(20)]);
      for (let i = 0; i < 0x2000; i += 1 + random.below(20)) view[i] = random.below(256);
      const value = (at: number) => {
        let sum = 0n;
        for (let i = 15; i >= 0; i--) sum = sum << 8n | BigInt(view[at - DATA + i]);
        return sum;
      };
      cpu.slots[X[0]] = BigInt(address);
      assertEquals(bench.run(load), Trap.SYSCALL);
      assertEquals(bench.get(V[0]), value(address + 16));
      if (address - 8 < DATA) continue;
      bench.set(V[1], anyVector(random));
      assertEquals(bench.run(store), Trap.SYSCALL);
      assertEquals(value(address - 8), bench.get(V[1]));
    }
    // Over the end of the mapping, and out of it.
    for (const end of [1, 8, 15, 16, 100]) {
      const before = anyVector(random), bytes = view.slice();
      bench.set(V[0], before);
      cpu.slots[X[0]] = BigInt(DATA + 0x2000 - 32 + end);
      assertEquals(bench.run(load), Trap.LOAD_FAULT);
      assertEquals(bench.get(V[0]), before);
      cpu.slots[X[0]] = BigInt(DATA + 0x2000 - 16 + 8 + end);
      assertEquals(bench.run(store), Trap.STORE_FAULT);
      assertEquals(view, bytes);
    }
    cpu.slots[X[0]] = -(1n << 62n);
    assertEquals(bench.run(store), Trap.STORE_FAULT);
  });

  Deno.test(`${tier} keeps vectors and their halves together when scalars use them`, () => {
    for (const retarget of [true, false]) {
      const bench = new VectorBench(compiled, { ...PASSES, retarget });
      const pc = bench.add((b) => {
        // The halves as they were, crossed, plus the whole.
        const sum = b.vector(Op.vadd64, V[0], V[1]);
        b.writePair(V[2], sum);
        b.write(V[0], b.add(V[0] + 1, b.imm(1)));
        b.write(V[0] + 1, V[0]);
        b.write(X[0], sum + 1);
        b.writePair(V[3], b.vectorOf(b.imm(5), V[1]));
      });
      bench.set(V[0], 7n << 64n | 3n);
      bench.set(V[1], 100n << 64n | 200n);
      assertEquals(bench.run(pc), Trap.SYSCALL);
      assertEquals(bench.get(V[0]), 3n << 64n | 8n);
      assertEquals(bench.get(V[2]), 107n << 64n | 203n);
      assertEquals(bench.cpu.slots[X[0]], 107n);
      assertEquals(bench.get(V[3]), 200n << 64n | 5n);
    }
  });
}
