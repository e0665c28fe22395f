/** Floating point and Advanced SIMD of AArch64, instruction by instruction, against qemu-aarch64. */
import { assert, assertEquals } from "@std/assert";
import { Trap } from "../cpu/ir/ops.ts";
import type { FpRow } from "../cpu/aarch64/fp_lifter.ts";
import { Compiled } from "../cpu/isa/decoder.ts";
import { FP_FIELDS } from "../cpu/aarch64/fp_lifter.ts";
import {
  DECODER,
  PAGES,
  runQemu,
  SCRATCH,
  SCRATCH_BYTES,
  type State,
  VectorMachine,
} from "./aarch64_vectors.ts";
import { COMPILER, compiling, PASSES, scaled, seeded } from "./configuration.ts";
import { Random } from "./fuzz/random.ts";
import { testWith } from "./tools.ts";

const NATIVE = COMPILER === "native";
const TOOLS = ["qemu-aarch64", "aarch64-linux-gnu-as", "aarch64-linux-gnu-ld"];

/** A number of so many bits, near what matters. */
function anyFloat(random: Random, bits: number): bigint {
  const [fraction, exponents] = bits === 64 ? [52n, 2047n] : bits === 32 ? [23n, 255n] : [10n, 31n];
  const exponent = random.pick([
    ...[0n, 0n, 1n, 2n, exponents, exponents - 1n, exponents / 2n, exponents / 2n],
    // Products and quotients of these are near the ends of the range.
    ...[exponents / 4n, exponents / 4n + 1n, exponents / 4n * 3n, exponents / 4n * 3n + 1n],
    BigInt(random.below(Number(exponents))),
    exponents / 2n + BigInt(random.below(Number(bits === 64 ? 64n : 12n))),
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
  return BigInt(random.below(2)) << BigInt(bits - 1) | exponent << fraction |
    low & (1n << fraction) - 1n;
}

function anyInteger(random: Random, bits: number): bigint {
  const size = 1n << BigInt(bits),
    some = BigInt(random.below(2 ** 32)) * BigInt(random.below(2 ** 32));
  return random.pick([
    0n,
    1n,
    size - 1n,
    size / 2n,
    size / 2n - 1n,
    BigInt(random.below(200)),
    some,
  ]) % size;
}

function anyHalf(random: Random, float: boolean): bigint {
  const bits = random.pick(float ? [16, 32, 32, 64, 64] : [8, 16, 32, 64]);
  let value = 0n;
  for (let at = 0; at < 64; at += bits) {
    value |= (float ? anyFloat(random, bits) : anyInteger(random, bits)) << BigInt(at);
  }
  return value;
}

function anyState(random: Random, float: boolean, plain: boolean): State {
  const state: State = {
    v: new BigUint64Array(64).map(() => anyHalf(random, float)),
    x: new BigUint64Array(8).map(() =>
      random.chance(0.5) ? anyInteger(random, 64) : anyFloat(random, 64)
    ),
    nzcv: BigInt(random.below(16)),
    // RMode, FZ, DN and AHP.
    fpcr: plain ? 0n : BigInt(random.below(32)) << 22n,
    fpsr: plain ? 0x10n : random.pick([0n, 0x10n]),
    memory: new Uint8Array(SCRATCH_BYTES).map(() => random.below(256)),
  };
  state.x[7] = BigInt(SCRATCH + 64 + random.below(20));
  state.x[1] = BigInt(random.below(24));
  return state;
}

/** An instruction of a row with random fields; undefined if they are not for this row. */
function anyWord(compiled: Compiled<FpRow>, random: Random, memory: boolean): number | undefined {
  let word = compiled.match;
  for (const { name, slices } of compiled.extractors) {
    const top = Math.max(...slices.map(({ to, width }) => to + width));
    let value = random.below(2 ** top);
    if (memory && name === "rn") value = 7;
    if (memory && name === "rm") value = random.pick([1, 31]);
    if (name === "imm12") value = random.below(8);
    if (name === "imm9") value = random.below(120) & 0x1ff;
    if (name === "imm7") value = random.below(4);
    for (const { from, width, to } of slices) word |= (value >>> to & 2 ** width - 1) << from;
  }
  // Registers X8 and up are the program's own.
  if (!memory) {
    for (const from of [0, 5]) {
      if ((word >>> from & 31) > 7 && isGeneral(compiled, from)) word &= ~(24 << from);
    }
  }
  return DECODER.decode(word)?.row === compiled.row ? word : undefined;
}

/** Whether a register field may be one of a general-purpose register. */
function isGeneral({ row: { pattern } }: Compiled<FpRow>, from: number): boolean {
  const generals = /000000 rn rd$|scale rn rd$|0 0001 1 rn rd|0 0101 1|0 0111 1|0 0011 1/;
  return generals.test(pattern) && from >= 0;
}

const hex = (x: bigint, n = 16) => x.toString(16).padStart(n, "0");
/** What differs between two states. */
function differences(want: State, got: State): string[] {
  const lines: string[] = [];
  for (let i = 0; i < 32; i++) {
    const [a, b] = [want, got].map(({ v }) => hex(v[2 * i + 1]) + hex(v[2 * i]));
    if (a !== b) lines.push(`v${i}: wanted ${a}, got ${b}`);
  }
  want.x.forEach((x, i) => {
    if (x !== got.x[i]) lines.push(`x${i}: wanted ${hex(x)}, got ${hex(got.x[i])}`);
  });
  for (const key of ["nzcv", "fpcr", "fpsr"] as const) {
    if (want[key] !== got[key]) {
      lines.push(`${key}: wanted ${hex(want[key], 8)}, got ${hex(got[key], 8)}`);
    }
  }
  want.memory.forEach((byte, i) => {
    if (byte !== got.memory[i]) lines.push(`memory ${i}: wanted ${byte}, got ${got.memory[i]}`);
  });
  return lines;
}

for (const [page, rows] of Object.entries(PAGES)) {
  testWith(TOOLS, `every row of ${page} does what qemu-aarch64 does`, async () => {
    const random = new Random(seeded(page.length + 1000));
    const words: number[] = [], states: State[] = [], names: string[] = [];
    const seen = new Set<FpRow>();
    for (const compiled of rows.map((row) => new Compiled(row, 32, FP_FIELDS))) {
      // By the decoder's own object.
      const own = DECODER.rows.find(({ row }) => row === compiled.row)!;
      if (/imm19/.test(own.row.pattern)) {
        seen.add(own.row);
        continue;
      }
      for (let n = 0; n < scaled(24); n++) {
        let word: number | undefined;
        for (let i = 0; i < 60 && word === undefined; i++) {
          word = anyWord(own, random, page === "memory");
        }
        if (word === undefined) continue;
        seen.add(own.row);
        words.push(word);
        states.push(
          anyState(random, /^f|cvt/.test(own.row.name) || random.chance(0.3), n % 3 === 0),
        );
        names.push(own.row.name);
      }
    }
    for (const row of rows) assert(seen.has(row), `no instruction for ${row.name} ${row.pattern}`);
    const want = await runQemu(words.map((word) => [word]), states);
    const failures = new Map<string, string>();
    const machines = [new VectorMachine()];
    // A compiler would be run for each instruction of the native tier.
    if (!NATIVE) machines.push(new VectorMachine((space) => compiling(space)));
    for (const machine of machines) {
      words.forEach((word, i) => {
        const { reason, state } = machine.run([word], states[i]);
        const lines = reason === Trap.SYSCALL
          ? differences(want[i], state)
          : [`stopped with ${reason}`];
        const key = `${names[i]} ${(word >>> 0).toString(16)}`;
        if (lines.length === 0 || failures.has(names[i])) return;
        const [n, m] = [word >>> 5 & 31, word >>> 16 & 31].map((k) =>
          `v${k} ${hex(states[i].v[2 * k + 1])}${hex(states[i].v[2 * k])}`
        );
        const d = word & 31, old = `v${d} ${hex(states[i].v[2 * d + 1])}${hex(states[i].v[2 * d])}`;
        failures.set(
          names[i],
          `${key} with fpcr ${hex(states[i].fpcr, 8)}, fpsr ${
            hex(states[i].fpsr, 8)
          }, ${old}, ${n}, ${m}\n  ${lines.slice(0, 5).join("\n  ")}`,
        );
      });
    }
    assertEquals([...failures.values()].join("\n"), "");
  });
}

testWith(TOOLS, "random sequences of instructions do what qemu-aarch64 does", async () => {
  const random = new Random(seeded(4000)), lists: number[][] = [], states: State[] = [];
  const pages = Object.entries(PAGES).map(([page, rows]) => ({
    memory: page === "memory",
    rows: DECODER.rows.filter(({ row }) => rows.includes(row) && !/imm19/.test(row.pattern)),
  }));
  for (let n = 0; n < scaled(NATIVE ? 40 : 300); n++) {
    const list: number[] = [];
    while (list.length < 30) {
      const { rows, memory } = random.pick(pages);
      const word = anyWord(random.pick(rows), random, memory);
      // What writes the base would lead away from the memory.
      if (random.chance(0.2)) list.push(insertOf(random));
      if (word !== undefined && !(memory && writesBase(word)) && !writesInteger(word)) {
        list.push(word);
      }
    }
    // The same few registers, so that results are used.
    if (n % 2 === 0) list.forEach((word, i) => list[i] = fewRegisters(word));
    lists.push(list);
    states.push(anyState(random, random.chance(0.5), n % 3 !== 0));
  }
  const want = await runQemu(lists, states);
  for (const compile of [false, true]) {
    const machine = new VectorMachine(
      compile ? (space) => compiling(space) : () => ({ passes: PASSES }),
    );
    lists.forEach((list, i) => {
      const { reason, state } = machine.run(list, states[i]);
      const lines = reason === Trap.SYSCALL ? differences(want[i], state) : [`stopped: ${reason}`];
      const text = list.map((word) => {
        const name = DECODER.decode(word)!.row.name;
        return `${name} ${(word >>> 0).toString(16)}`;
      });
      assertEquals(lines.join("\n"), "", `list ${i}, compiled ${compile}: ${text.join(", ")}`);
    });
    assert(!compile || machine.compiled > 20 * lists.length);
  }
});

/** INS of a general-purpose register, or a move to a scalar: halves of registers are written one by one. */
function insertOf(random: Random): number {
  const d = random.below(4), n = random.below(7);
  const insert = 0x4e08_1c00 | random.below(2) << 20 | n << 5 | d;
  const scalar = random.pick([0x9e67_0000 | n << 5 | d, 0x1e60_4000 | random.below(4) << 5 | d]);
  return random.chance(0.6) ? insert : scalar;
}

/** Whether an instruction on memory writes its base register. */
function writesBase(word: number): boolean {
  const { pattern } = DECODER.decode(word)!.row;
  return /imm9 (01|11) rn|101 1 0 (01|11)|00110(01|11) /.test(pattern);
}

/** Whether an instruction writes a general-purpose register that accesses use. */
function writesInteger(word: number): boolean {
  const { pattern } = DECODER.decode(word)!.row;
  const general =
    /1 (00|01|10|11) (000|001|100|101|110) 000000 rn rd$|0 11 00[01] scale|0101 1 rn|0111 1 rn/;
  return general.test(pattern) && [1, 7].includes(word & 31);
}

/** The instruction with V0 to V3 in place of others, where it can't go wrong. */
function fewRegisters(word: number): number {
  const found = DECODER.decode(word)!, { pattern } = found.row;
  let changed = word;
  const fields = new Map(
    DECODER.rows.find(({ row }) => row === found.row)!.extractors.map((e) => [e.name, e.slices]),
  );
  for (const name of ["rd", "rt", "ra", "rn", "rm"]) {
    const slices = fields.get(name);
    const isVector = !/000000 rn rd|scale rn rd|0 0[01][01]1 1 rn rd/.test(pattern) &&
      (fields.has("rt") ? name === "rt" : true);
    if (slices && isVector && !fields.has("rt2")) changed &= ~(28 << slices[0].from);
  }
  return DECODER.decode(changed)?.row === found.row ? changed : word;
}
