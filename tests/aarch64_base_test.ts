/** The A64 base instructions, one by one, against qemu-aarch64. */
import { assert, assertEquals } from "@std/assert";
import { Aarch64 } from "../cpu/aarch64/aarch64.ts";
import { A64_ATOMIC } from "../cpu/aarch64/a64_atomic.ts";
import { A64_BRANCH } from "../cpu/aarch64/a64_branch.ts";
import { A64_DATA } from "../cpu/aarch64/a64_data.ts";
import { A64_MEMORY } from "../cpu/aarch64/a64_memory.ts";
import { type A64Row, FIELDS } from "../cpu/aarch64/lifter.ts";
import { readNzcv, writeNzcv, X_BASE } from "../cpu/aarch64/state.ts";
import { Cpu, type CpuOptions } from "../cpu/engine/cpu.ts";
import { Trap } from "../cpu/ir/ops.ts";
import type { Compiled } from "../cpu/isa/decoder.ts";
import { AddressSpace } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import { runQemu, SCRATCH, SCRATCH_BYTES, type State } from "./aarch64_vectors.ts";
import { compiling, scaled, seeded } from "./configuration.ts";
import { Random } from "./fuzz/random.ts";
import { testWith } from "./tools.ts";

const TOOLS = ["qemu-aarch64", "aarch64-linux-gnu-as", "aarch64-linux-gnu-ld"];
const CODE = 0x1000, SVC = 0xd400_0001;
const ISA = new Aarch64();

/** Executes single instructions. */
class Single {
  readonly space = new AddressSpace(new Arena(4 << 20));
  readonly cpu: Cpu;
  #next = CODE;

  constructor(options: (space: AddressSpace) => CpuOptions = () => ({})) {
    this.space.map(CODE, SCRATCH - CODE, 7);
    this.space.map(SCRATCH, 0x2000, 3);
    this.cpu = new Cpu(new Aarch64(), this.space, options(this.space));
  }

  run(words: number[], state: State): { reason: number; state: State } {
    const { cpu, space } = this, { slots } = cpu, code = new Int32Array([...words, SVC]);
    space.hostView(this.#next, code.byteLength)!.set(new Uint8Array(code.buffer));
    slots.set(new BigInt64Array(state.x.buffer, state.x.byteOffset, 8), X_BASE);
    writeNzcv(state.nzcv << 28n, slots);
    space.hostView(SCRATCH, SCRATCH_BYTES)!.set(state.memory);
    cpu.pc = this.#next;
    this.#next += code.byteLength;
    const reason = cpu.run(100_000);
    const after: State = {
      ...state,
      x: new BigUint64Array(slots.slice(X_BASE, X_BASE + 8).buffer),
      nzcv: readNzcv(slots) >> 28n,
      memory: space.hostView(SCRATCH, SCRATCH_BYTES)!.slice(),
    };
    return { reason, state: after };
  }
}

function anyInteger(random: Random): bigint {
  const some = BigInt(random.below(2 ** 32)) << 32n | BigInt(random.below(2 ** 32));
  const word = random.pick([0n, 1n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, some & 0xffff_ffffn]);
  return random.pick([
    word,
    word | 0xffff_ffffn << 32n,
    word | some >> 32n << 32n,
    1n << 63n,
    (1n << 63n) - 1n,
    BigInt(random.below(70)),
    some,
    some,
  ]);
}

/** A state; X7 is the address of what loads and stores access, X1 a small number. */
function anyState(random: Random): State {
  const state: State = {
    v: new BigUint64Array(64),
    x: new BigUint64Array(8).map(() => anyInteger(random)),
    nzcv: BigInt(random.below(16)),
    fpcr: 0n,
    fpsr: 0n,
    memory: new Uint8Array(SCRATCH_BYTES).map(() => random.below(256)),
  };
  return state;
}

const isMemory = ({ row }: Compiled<A64Row>) =>
  /\[\{rnsp64\}\]|offset|index|pre\d|post\d/.test(row.asm);

/** The bits of `.` tokens. */
function openBits(pattern: string): number {
  let at = 32, bits = 0;
  for (const token of pattern.split(" ")) {
    const slice = /\[(\d+)(?::(\d+))?\]/.exec(token);
    if (/^[01.]/.test(token)) {
      for (const char of token) {
        at--;
        if (char === ".") bits |= 1 << at;
      }
    } else if (slice) at -= Number(slice[1]) - Number(slice[2] ?? slice[1]) + 1;
    else at -= FIELDS[token].width;
  }
  return bits;
}

/** An instruction of a row with random fields in registers X0 to X7; undefined if they make another one. */
function anyWord(compiled: Compiled<A64Row>, random: Random): number | undefined {
  const { row } = compiled, memory = isMemory(compiled);
  // Bits that the pattern leaves open should be ones.
  let word = compiled.match | openBits(row.pattern);
  const registers = [0, 1, 2, 3, 4, 5, 6].sort(() => random.below(3) - 1);
  for (const { name, slices } of compiled.extractors) {
    const top = Math.max(...slices.map(({ to, width }) => to + width));
    let value = random.below(2 ** top);
    if (/^r[dnmas]$|^rt2?$/.test(name)) {
      value = memory ? registers.pop()! : random.pick([0, 1, 2, 3, 4, 5, 6, 7, 31]);
      if (/sp/.test(row.asm) && value === 31) value = 7;
      if (memory && name === "rn") value = 7;
      if (memory && name === "rm") value = random.pick([1, 31]);
      // A pair of registers starts with an even one.
      if (/^casp/.test(row.name) && name === "rs") value = 2;
      if (/^casp/.test(row.name) && name === "rt") value = 4;
    }
    if (memory && name === "rm") value = 1;
    if (memory && name === "imm12") value = random.below(8);
    if (memory && name === "imm9") value = random.below(120) - 60 & 0x1ff;
    if (memory && name === "imm7") value = random.below(8) - 4 & 0x7f;
    for (const { from, width, to } of slices) word |= (value >>> to & 2 ** width - 1) << from;
  }
  return ISA.decode(word)?.row === row ? word : undefined;
}

const hex = (x: bigint) => x.toString(16).padStart(16, "0");
function differences(want: State, got: State): string[] {
  const lines: string[] = [];
  want.x.forEach((x, i) => {
    if (x !== got.x[i]) lines.push(`x${i}: wanted ${hex(x)}, got ${hex(got.x[i])}`);
  });
  if (want.nzcv !== got.nzcv) lines.push(`nzcv: wanted ${want.nzcv}, got ${got.nzcv}`);
  want.memory.forEach((byte, i) => {
    if (byte !== got.memory[i]) lines.push(`memory ${i}: wanted ${byte}, got ${got.memory[i]}`);
  });
  return lines;
}

/** Rows by their page; branches are in aarch64_fuzz_test.ts. */
const PAGES: Readonly<Record<string, readonly A64Row[]>> = {
  data: A64_DATA().filter(({ name }) => !/^adrp?$/.test(name)),
  memory: A64_MEMORY().filter(({ asm }) => !/target/.test(asm)),
  atomic: A64_ATOMIC(),
  hints: A64_BRANCH().filter(({ name }) => /^hint|^dmb|^dsb|^isb|^clrex/.test(name)),
};

for (const [page, rows] of Object.entries(PAGES)) {
  testWith(TOOLS, `every base row of ${page} does what qemu-aarch64 does`, async () => {
    const random = new Random(seeded(page.length + 2000));
    const words: number[] = [], states: State[] = [];
    const key = (row: A64Row) => `${row.name} ${row.pattern}`;
    for (const wanted of rows) {
      const own = ISA.decoder.rows.find(({ row }) => key(row) === key(wanted));
      assert(own, `no row ${key(wanted)}`);
      let made = 0;
      for (let n = 0; n < scaled(24); n++) {
        let word: number | undefined;
        for (let i = 0; i < 200 && word === undefined; i++) word = anyWord(own, random);
        if (word === undefined) continue;
        made++;
        const state = anyState(random);
        if (isMemory(own)) {
          state.x[7] = BigInt(SCRATCH + 96);
          state.x[1] = BigInt(random.below(5));
          const rs = word >>> 16 & 31;
          // What a compare-and-swap compares with is there half of the time.
          if (/^cas/.test(own.row.name) && random.chance(0.5)) {
            const there = new BigUint64Array(state.memory.buffer, 96, 2);
            there[0] = state.x[rs];
            if (/^casp/.test(own.row.name)) {
              if (word & 1 << 30) there[1] = state.x[rs + 1];
              else there[0] = BigInt.asUintN(32, state.x[rs]) | state.x[rs + 1] << 32n;
            }
          }
        }
        words.push(word);
        states.push(state);
      }
      assert(made > 0, `no instruction for ${key(wanted)}`);
    }
    const want = await runQemu(words.map((word) => [word]), states);
    const failures = new Map<string, string>();
    for (const single of [new Single(), new Single((space) => compiling(space))]) {
      words.forEach((word, i) => {
        const { reason, state } = single.run([word], states[i]);
        const lines = reason === Trap.SYSCALL
          ? differences(want[i], state)
          : [`stopped with ${reason}`];
        if (lines.length === 0) return;
        const fetch = (at: number) => at ? word >>> 16 : word & 0xffff;
        const text = ISA.disassemble(0, fetch).text, [name] = text.split(" ");
        if (failures.has(name)) return;
        const x = [...states[i].x].map(hex).join(" ");
        failures.set(
          name,
          `${text} nzcv ${states[i].nzcv} x ${x}\n  ${lines.slice(0, 4).join("\n  ")}`,
        );
      });
    }
    assertEquals([...failures.values()].join("\n"), "");
  });
}
