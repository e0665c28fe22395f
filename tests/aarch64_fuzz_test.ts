/**
 * Random programs of A64 integer instructions, which qemu-aarch64 and the emulator execute: sequences drawn from the
 * decode tables, after each of which registers, flags and memory must be the same, and loops of what sets and reads
 * flags. Single instructions are in aarch64_base_test.ts and aarch64_vectors_test.ts.
 */
import { assert, assertEquals } from "@std/assert";
import { A64_ATOMIC } from "../cpu/aarch64/a64_atomic.ts";
import { A64_BRANCH } from "../cpu/aarch64/a64_branch.ts";
import { A64_DATA } from "../cpu/aarch64/a64_data.ts";
import { A64_MEMORY } from "../cpu/aarch64/a64_memory.ts";
import { Aarch64 } from "../cpu/aarch64/aarch64.ts";
import { type A64Row, FIELDS } from "../cpu/aarch64/lifter.ts";
import { Compiled, type Fields } from "../cpu/isa/decoder.ts";
import { Machine } from "../machine/machine.ts";
import { COMPILER, CONFIGURED, scaled, seeded } from "./configuration.ts";
import { withFolder } from "./emulator.ts";
import { encode } from "./fuzz/encode.ts";
import { Random } from "./fuzz/random.ts";
import { testWith } from "./tools.ts";

const TOOLS = ["qemu-aarch64", "aarch64-linux-gnu-as", "aarch64-linux-gnu-ld"];
const isa = new Aarch64();

/** Registers that instructions use freely; memory accesses have base X20, a copy of X19, and index X21. */
const FREE = 8, BASE = 20, KEPT_BASE = 19, INDEX = 21;
const SCRATCH_BYTES = 2048, STATE_BYTES = 8 * (FREE + 2), DUMP_BYTES = STATE_BYTES + SCRATCH_BYTES;
/** add x20, x19, #0 */
const REBASE = 0x9100_0000 | KEPT_BASE << 5 | BASE;
const NOP = 0xd503_201f, CLREX = 0xd503_3f5f;

type Encoding = Compiled<A64Row>;
const compiled = (rows: A64Row[]): Encoding[] => rows.map((row) => new Compiled(row, 32, FIELDS));

const DATA = compiled(A64_DATA());
// The addresses of literals are those of the program: not the same in two builds of it.
const MEMORY = compiled([...A64_MEMORY(), ...A64_ATOMIC()]).filter(({ row }) =>
  !row.pattern.includes("imm19")
);
// Branches to constants, which skip one instruction; and NZCV read and written.
const BRANCHES = compiled(A64_BRANCH()).filter(({ row }) =>
  ["b", "b.", "cbz", "cbnz", "tbz", "tbnz", "msr", "mrs"].includes(row.name)
);
const NZCV = 0b1_011_0100_0010_000;

const REGISTERS = ["rd", "rn", "rm", "ra", "rt", "rt2", "rs"];

/** Random fields of a row, as far as what it does is defined. */
function fieldsOf(random: Random, row: Encoding, memory: boolean): Fields {
  const fields: Fields = {};
  for (const { name, slices } of row.extractors) {
    const width = Math.max(...slices.map((slice) => slice.to + slice.width));
    fields[name] = random.next() >>> (32 - width);
    if (REGISTERS.includes(name)) fields[name] = random.chance(0.1) ? 31 : random.below(FREE);
  }
  for (const [name, width] of [["imm19", 19], ["imm14", 14], ["imm26", 26]] as const) {
    if (name in fields && width > 0) fields[name] = 2;
  }
  if ("sysreg" in fields) fields.sysreg = NZCV;
  if (memory) {
    fields.rn = BASE;
    if ("imm12" in fields) fields.imm12 = random.below(32);
    // The index of an address, but not the data of a pair or an atomic.
    if ("option" in fields) fields.rm = INDEX;
    // Pairs of the same register, and a status in a register of the data, are not defined.
    const used = ["rt", "rt2", "rs"].filter((name) => name in fields);
    const start = 2 * random.below(2);
    if (used.length > 1) used.forEach((name, i) => fields[name] = (start + 2 * i) % FREE);
  }
  return fields;
}

/** The bits of a row that it leaves open: they "should be one". */
function shouldBeOne({ mask, extractors }: Encoding): number {
  const fields = extractors.flatMap(({ slices }) => slices);
  return fields.reduce((bits, { mask, from }) => bits & ~(mask << from), ~mask);
}

/** An instruction of a row; undefined if its fields happened to be those of another one or of none. */
function instruction(random: Random, row: Encoding, memory: boolean): number | undefined {
  for (let i = 0; i < 50; i++) {
    const bits = encode(row, fieldsOf(random, row, memory)) | shouldBeOne(row);
    const found = isa.decode(bits);
    if (found?.row.name === row.row.name && found.row.pattern === row.row.pattern) return bits;
  }
  return undefined;
}

/** For a store-exclusive, the load-exclusives that go with it: same size, single or pair. */
function loadsOf({ row }: Encoding): Encoding[] {
  const match = /^stl?x(\w+)$/.exec(row.name);
  if (!match) return [];
  return MEMORY.filter(({ row: { name, pattern } }) =>
    (name === `ldx${match[1]}` || name === `ldax${match[1]}`) &&
    pattern.split(" ")[0] === row.pattern.split(" ")[0]
  );
}

/** A sequence around one row. */
function sequence(random: Random, row: Encoding, memory: boolean, length: number): number[] {
  const list: number[] = [];
  const add = (each: Encoding, isMemory: boolean) => {
    const bits = instruction(random, each, isMemory);
    assert(bits !== undefined, `no encoding of ${each.row.name} ${each.row.pattern}`);
    // A branch before it skips the NOP only.
    if (isMemory) list.push(NOP, REBASE);
    // What a store-exclusive does is defined right after a load of its size, or without any.
    const loads = loadsOf(each);
    if (loads.length > 0) {
      const load = random.chance(0.5) ? instruction(random, random.pick(loads), true) : CLREX;
      assert(load !== undefined);
      list.push(load);
    }
    list.push(bits);
  };
  for (let i = 0; i < length; i++) {
    const kind = random.below(4);
    if (kind === 0) add(random.pick(MEMORY), true);
    else if (kind === 1) add(random.pick(BRANCHES), false);
    else add(random.pick(DATA), false);
  }
  add(row, memory);
  // What a last branch skips, and a flag-setting instruction that makes flags before it dead or not.
  list.push(NOP, NOP);
  return list;
}

const registers = (text: (i: number) => string) =>
  Array.from({ length: FREE }, (_, i) => text(i)).join("\n");

/** Assembly of a program that executes the sequences and prints what each has left. */
function program(lists: readonly (readonly number[])[], input: string): string {
  return `
.global _start
.text
load:
  adrp x19, scratch
  add x19, x19, :lo12:scratch
  mov x9, #0
1: ldr x10, [x28, #${STATE_BYTES}]
  add x10, x10, x9
  str x10, [x19, x9]
  add x9, x9, #8
  cmp x9, #${SCRATCH_BYTES}
  b.ne 1b
  add x19, x19, #${SCRATCH_BYTES / 2}
  ldr x9, [x28, #${8 * FREE}]
  msr nzcv, x9
  mov x20, x19
  mov sp, x19
  ldr x21, [x28, #${8 * FREE + 8}]
${registers((i) => `  ldr x${i}, [x28, #${8 * i}]`)}
  add x28, x28, #${STATE_BYTES + 8}
  clrex
  ret
save:
${registers((i) => `  str x${i}, [x27, #${8 * i}]`)}
  mrs x9, nzcv
  str x9, [x27, #${8 * FREE}]
  sub x20, x20, x19
  str x20, [x27, #${8 * FREE + 8}]
  sub x19, x19, #${SCRATCH_BYTES / 2}
  mov x9, #0
  add x11, x27, #${STATE_BYTES}
1: ldr x10, [x19, x9]
  str x10, [x11, x9]
  add x9, x9, #8
  cmp x9, #${SCRATCH_BYTES}
  b.ne 1b
  add x27, x27, #${DUMP_BYTES}
  ret
_start:
  adrp x28, input
  add x28, x28, :lo12:input
  adrp x27, output
  add x27, x27, :lo12:output
  adrp x20, scratch
${
    lists.map((list) => `bl load\n${list.map((w) => `.inst ${w >>> 0}`).join("\n")}\nbl save`).join(
      "\n",
    )
  }
  adrp x1, output
  add x1, x1, :lo12:output
  ldr x22, =${DUMP_BYTES * lists.length}
1: mov x0, #1
  mov x2, x22
  mov x8, #64
  svc #0
  add x1, x1, x0
  subs x22, x22, x0
  b.gt 1b
  mov x0, #0
  mov x8, #94
  svc #0
.data
.balign 16
input: .incbin "${input}"
.bss
.balign 4096
scratch: .skip 4096
output: .skip ${DUMP_BYTES * lists.length}
`;
}

async function run(command: string, args: string[]): Promise<Uint8Array> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args }).output();
  assertEquals(code, 0, `${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return stdout;
}

async function emulate(path: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const machine = await Machine.user({
    program: path,
    ...CONFIGURED,
    stdout: (bytes) => void chunks.push(bytes.slice()),
  });
  const result = await machine.run();
  assert(result.reason === "exit" && result.status === 0, Deno.inspect(result));
  return new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
}

/** Values at the edges of what instructions tell apart. */
const EDGES = [0n, 1n, 2n, 0x7fn, 0x80n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 1n << 32n]
  .flatMap((value) => [value, ~value, value << 32n, -value])
  .map((value) => BigInt.asUintN(64, value));
const value = (random: Random) =>
  random.chance(0.5) ? random.pick(EDGES) : BigInt(random.next()) << 32n | BigInt(random.next());

/** Runs sequences in both; texts of those that differ. */
async function differences(random: Random, lists: number[][]): Promise<string[]> {
  const words = (STATE_BYTES + 8) / 8, folder = await Deno.makeTempDir();
  try {
    const input = new BigUint64Array(words * lists.length);
    lists.forEach((_, n) => {
      for (let i = 0; i < FREE; i++) input[n * words + i] = value(random);
      input[n * words + FREE] = BigInt(random.below(16)) << 28n;
      input[n * words + FREE + 1] = BigInt(random.below(16));
      input[n * words + FREE + 2] = value(random);
    });
    await Deno.writeFile(`${folder}/input`, new Uint8Array(input.buffer));
    await Deno.writeTextFile(`${folder}/p.s`, program(lists, `${folder}/input`));
    await run("aarch64-linux-gnu-as", ["-o", `${folder}/p.o`, `${folder}/p.s`]);
    await run("aarch64-linux-gnu-ld", ["-o", `${folder}/p`, `${folder}/p.o`]);
    const theirs = await run("qemu-aarch64", ["-cpu", "max", `${folder}/p`]);
    const ours = await emulate(`${folder}/p`);
    assertEquals([ours.length, theirs.length], Array(2).fill(DUMP_BYTES * lists.length));
    return lists.flatMap((list, n) => compare(list, n, ours, theirs));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function compare(list: number[], n: number, ours: Uint8Array, theirs: Uint8Array): string[] {
  const dump = (bytes: Uint8Array) =>
    new BigUint64Array(bytes.slice(n * DUMP_BYTES, (n + 1) * DUMP_BYTES).buffer);
  const a = dump(ours), b = dump(theirs);
  const wrong = [...a].flatMap((word, i) =>
    word === b[i] ? [] : [`word ${i}: ${word.toString(16)}, QEMU ${b[i].toString(16)}`]
  );
  if (wrong.length === 0) return [];
  const text = list.map((bits) => {
    return isa.disassemble(0, (at) => at === 0 ? bits & 0xffff : bits >>> 16).text;
  });
  return [`${text.join("; ")}\n  ${wrong.slice(0, 4).join("\n  ")}`];
}

/** Every row, in sequences of random instructions before it. */
async function check(seed: number, length: number): Promise<void> {
  const random = new Random(seed);
  const lists = [
    ...[...DATA, ...BRANCHES].map((row) => sequence(random, row, false, length)),
    ...MEMORY.map((row) => sequence(random, row, true, length)),
  ];
  const wrong = await differences(random, lists);
  assertEquals(wrong.slice(0, 8), [], `${wrong.length} of ${lists.length}, seed ${seed}`);
}

testWith(TOOLS, "random integer sequences of A64 leave what qemu-aarch64 leaves", async () => {
  // A C compiler needs minutes for each, for code that is executed once.
  const seeds = COMPILER === "native" ? scaled(6) : 6;
  for (let i = 0; i < seeds; i++) await check(seeded(5) + i, 12);
});

// ---- flags in loops ----

const CONDITIONS = "eq ne cs cc mi pl vs vc hi ls ge lt gt le".split(" ");

/** An instruction that sets flags, or reads them, of registers X0 to X7. */
function anyInstruction(random: Random): string {
  const wide = random.chance(0.5), r = () => `${wide ? "x" : "w"}${random.below(8)}`;
  const zero = () => random.chance(0.1) ? (wide ? "xzr" : "wzr") : r();
  const cond = random.pick(CONDITIONS), by = random.below(wide ? 64 : 32);
  const shift = random.pick(["", "", `, lsl #${by}`, `, lsr #${by}`, `, asr #${by}`]);
  const nzcv = random.below(16), small = random.below(32);
  return random.pick([
    () => `cmp ${r()}, ${zero()}${shift}`,
    () => `cmp ${r()}, #${random.below(4096)}`,
    () => `cmn ${r()}, ${r()}${shift}`,
    () => `subs ${r()}, ${r()}, ${r()}${shift}`,
    () => `subs ${r()}, ${r()}, #${random.below(3)}`,
    () => `adds ${r()}, ${r()}, ${r()}${shift}`,
    () => `ands ${r()}, ${r()}, ${r()}`,
    () => `tst ${r()}, #${wide ? "0x8000000000000001" : "0x80000001"}`,
    () => `bics ${r()}, ${r()}, ${r()}`,
    () => `adcs ${r()}, ${r()}, ${r()}`,
    () => `sbcs ${r()}, ${r()}, ${zero()}`,
    () => `ccmp ${r()}, ${zero()}, #${nzcv}, ${cond}`,
    () => `ccmp ${r()}, #${small}, #${nzcv}, ${cond}`,
    () => `ccmn ${r()}, #${small}, #${nzcv}, ${cond}`,
    () => `csel ${r()}, ${zero()}, ${r()}, ${cond}`,
    () => `csinc ${r()}, ${zero()}, ${r()}, ${cond}`,
    () => `cset ${r()}, ${cond}`,
    () => `csneg ${r()}, ${r()}, ${r()}, ${cond}`,
    () => `adc ${r()}, ${r()}, ${r()}`,
    () => `add ${r()}, ${r()}, ${r()}${shift}`,
    () => `eor ${r()}, ${r()}, ${r()}, ror #${by}`,
    () => `mul ${r()}, ${r()}, ${r()}`,
    () => `udiv ${r()}, ${r()}, ${r()}`,
    () => `bfi ${r()}, ${r()}, #4, #9`,
    () => `mrs x${random.below(8)}, nzcv`,
    () => `msr nzcv, x${random.below(8)}`,
  ])();
}

/** A program of loops whose bodies are such instructions and branches over some of them; it prints X0 to X7. */
function anyProgram(random: Random): string {
  const lines: string[] = [];
  for (let i = 0; i < 8; i++) {
    lines.push(
      `ldr x${i}, =${random.next() * 2 ** 21 + (random.below(2) ? 1 : random.next() % 2048)}`,
    );
  }
  for (let loop = 0; loop < 6; loop++) {
    lines.push(`mov x20, #${20 + random.below(60)}`, `L${loop}:`);
    for (let k = 0; k < 12; k++) {
      const label = `S${loop}_${k}`;
      for (let n = random.below(3); n >= 0; n--) lines.push(anyInstruction(random));
      const r = `${random.pick(["x", "w"])}${random.below(8)}`;
      lines.push(random.pick([
        `b.${random.pick(CONDITIONS)} ${label}`,
        `b.${random.pick(CONDITIONS)} ${label}`,
        `cbz ${r}, ${label}`,
        `cbnz ${r}, ${label}`,
        `tbz ${r}, #${random.below(32)}, ${label}`,
        `tbnz ${r}, #${random.below(32)}, ${label}`,
      ]));
      for (let n = random.below(3); n >= 0; n--) lines.push(anyInstruction(random));
      lines.push(`${label}:`);
    }
    lines.push("sub x20, x20, #1", `cbnz x20, L${loop}`);
  }
  const save = Array.from({ length: 8 }, (_, i) => `str x${i}, [x21, #${8 * i}]`);
  return [
    ".globl _start",
    "_start:",
    ...lines,
    "mrs x22, nzcv",
    "adrp x21, out",
    "add x21, x21, :lo12:out",
    ...save,
    "str x22, [x21, #64]",
    "mov x0, #1",
    "mov x1, x21",
    "mov x2, #72",
    "mov x8, #64",
    "svc #0",
    "mov x0, #0",
    "mov x8, #94",
    "svc #0",
    ".ltorg",
    ".bss",
    ".balign 16",
    "out: .skip 72",
    "",
  ].join("\n");
}

const hex = (bytes: Uint8Array) =>
  [...new BigUint64Array(bytes.slice().buffer)].map((x) => x.toString(16)).join(" ");

testWith(TOOLS, "random loops of flags and branches leave what qemu-aarch64 leaves", async () => {
  await withFolder(async (folder) => {
    const random = new Random(seeded(6));
    for (let i = 0; i < scaled(8); i++) {
      const path = `${folder}/p${i}`, source = anyProgram(random);
      await Deno.writeTextFile(`${path}.s`, source);
      await run("aarch64-linux-gnu-as", ["-o", `${path}.o`, `${path}.s`]);
      await run("aarch64-linux-gnu-ld", ["-o", path, `${path}.o`]);
      const theirs = await run("qemu-aarch64", [path]), ours = await emulate(path);
      assertEquals(theirs.length, 72);
      assertEquals(hex(ours), hex(theirs), `program ${i}:\n${source}`);
    }
  });
});
