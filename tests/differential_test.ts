/**
 * Random programs against qemu-riscv64 and qemu-riscv32; permanent cases; faults and instruction counts.
 *
 * For longer runs: `deno run -A tests/fuzz/main.ts --help`.
 */
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { Trap } from "../cpu/ir/ops.ts";
import { PASSES, scaled, seeded } from "./configuration.ts";
import { campaign } from "./fuzz/campaign.ts";
import { caseImage, formatCase, parseCase, parseCases } from "./fuzz/cases.ts";
import { encode, tablesOf } from "./fuzz/encode.ts";
import { checkFault, mapFaultPages } from "./fuzz/faults.ts";
import { generate, type Kind, KINDS } from "./fuzz/generator.ts";
import { BODY, CODE_PAGE, DATA, DATA_SIZE, digest, TEXT } from "./fuzz/layout.ts";
import { atomsOf, flatten, item, type Program, programImage } from "./fuzz/program.ts";
import { integer, Random } from "./fuzz/random.ts";
import { difference, disassembly, VARIATIONS } from "./fuzz/report.ts";
import { Qemu, type RunOptions, stopName, Trapdoor } from "./fuzz/runner.ts";
import { shrink } from "./fuzz/shrink.ts";
import { testWith } from "./tools.ts";

const XLENS = [64, 32] as const;
const QEMU = ["qemu-riscv64", "qemu-riscv32"];
const CASES = parseCases(Deno.readTextFileSync(new URL("fuzz/cases.txt", import.meta.url)));

/** Runs random programs; fails with the reports of those that differ. */
async function fuzz(count: number, seed: number, kinds: readonly Kind[]): Promise<void> {
  const reports: string[] = [];
  const result = await campaign({
    count: scaled(count),
    seed: seeded(seed),
    xlens: XLENS,
    kinds,
    size: 400,
    variations: 2,
    failures: 2,
    onFailure: (text) => reports.push(text),
  });
  assertEquals(reports.join("\n"), "");
  assert(result.instructions >= scaled(count));
}

testWith(QEMU, "Cpu executes 100,000 random instructions as QEMU does", async () => {
  await fuzz(100_000, 20240101, KINDS);
});

testWith(QEMU, "Cpu executes 50,000 random floating-point instructions as QEMU does", async () => {
  await fuzz(50_000, 20240102, ["float"]);
});

Deno.test("Cpu executes the permanent cases as QEMU did, in every variation", () => {
  const trapdoors = { 32: new Trapdoor(32), 64: new Trapdoor(64) };
  for (const each of CASES) {
    for (const { name, options } of VARIATIONS) {
      const { end, dump } = trapdoors[each.xlen].run(caseImage(each), options(1));
      const image = caseImage(each);
      const text = () => `${each.comment}, ${name}\n${disassembly(image, each.entry).join("\n")}`;
      assertEquals([end, digest(dump)], ["exit 0", each.want], text());
    }
  }
  assertEquals([trapdoors[32].problems, trapdoors[64].problems], [[], []]);
  assert(CASES.length > 0);
});

testWith(QEMU, "Permanent cases say what QEMU does", async () => {
  const qemu = new Qemu();
  try {
    for (const each of CASES) {
      const { end, dump } = await qemu.run(caseImage(each));
      assertEquals([end, digest(dump)], ["exit 0", each.want], each.comment);
    }
  } finally {
    qemu.close();
  }
});

/** Ways to run a program that stop in other places and build other blocks. */
const RUNS = (seed: number): RunOptions[] => [
  {},
  { slices: new Random(seed) },
  { trace: true },
  { passes: { fold: false, retarget: false, dead: false } },
  { passes: { ...PASSES, retarget: false }, slices: new Random(seed) },
  { compile: true },
];

Deno.test("Cpu stops at faults with exact reason, address, pc, state and count", () => {
  const random = new Random(seeded(3)), reached = new Map<string, number>();
  const trapdoors = { 32: new Trapdoor(32), 64: new Trapdoor(64) };
  for (let i = 0; i < scaled(300); i++) {
    const xlen = random.pick(XLENS), kind = random.pick(KINDS), seed = random.next();
    const result = checkFault(trapdoors[xlen], seed, { xlen, kind, size: 50 }, RUNS(seed));
    if (result === undefined) continue;
    reached.set(result.what, (reached.get(result.what) ?? 0) + 1);
    const text = () =>
      `rv${xlen} ${kind} seed ${seed}: ${result.what}\n` +
      disassembly(result.image, result.entry).join("\n");
    assertEquals(result.problems.join("\n"), "", result.problems.length > 0 ? text() : "");
  }
  assertEquals([trapdoors[32].problems, trapdoors[64].problems], [[], []]);
  assert(
    [...reached.values()].reduce((a, b) => a + b, 0) > scaled(200),
    "too few programs reach the fault",
  );
});

Deno.test("Cpu names the missing half when an instruction's first half is at a page's end", () => {
  const trapdoor = new Trapdoor(64), { cpu, space } = trapdoor;
  mapFaultPages(trapdoor);
  cpu.pc = CODE_PAGE + 0xffe;
  assertEquals([cpu.run(10_000), cpu.pc], [Trap.FETCH_FAULT, CODE_PAGE + 0xffe]);
  assertEquals(cpu.faultAddress, BigInt(CODE_PAGE + 0x1000));
  assertEquals(space.isMapped(CODE_PAGE + 0x1000, 1), false);
});

Deno.test("Cpu executes memory that became executable after it had faulted there", () => {
  const trapdoor = new Trapdoor(64), { cpu, space } = trapdoor, at = 0x6_0000;
  const ecall = tablesOf(64).assemble("ecall");
  const go = () => {
    cpu.pc = at;
    return cpu.run(10_000);
  };
  assertEquals(go(), Trap.FETCH_FAULT);
  space.map(at, 0x1000, 3);
  space.writeU32(at, ecall);
  assertEquals(go(), Trap.FETCH_FAULT);
  assert(space.protect(at, 0x1000, 5));
  assertEquals(go(), Trap.SYSCALL);
  space.unmap(at, 0x1000);
  assertEquals(go(), Trap.FETCH_FAULT);
  space.map(at, 0x1000, 7);
  space.writeU32(at, ecall);
  assertEquals(go(), Trap.SYSCALL);
});

Deno.test("Cpu names the exact pc when a jump goes beyond 2^53", () => {
  const trapdoor = new Trapdoor(64), { cpu, space } = trapdoor, at = 0x6_0000;
  const jalr = tablesOf(64).assemble("jalr", { rd: 0, rs1: 10, imm: 0 });
  space.map(at, 0x1000, 7);
  space.writeU32(at, jalr);
  for (const target of [0x1234_5678_9abc_def0n, 0x8000_0000_0000_0002n, 0x7fff_ffff_ffff_fffen]) {
    cpu.setRegister("a0", target);
    cpu.pc = at;
    assertEquals(cpu.run(10_000), Trap.FETCH_FAULT);
    assertEquals([cpu.getRegister("pc"), cpu.faultAddress], [target, target]);
  }
});

Deno.test("Cpu treats random bytes as code in the same way in every variation", () => {
  const random = new Random(seeded(6)), ends = new Map<string, number>();
  for (let i = 0; i < scaled(80); i++) {
    const xlen = random.pick(XLENS), seed = random.next(), trapdoor = new Trapdoor(xlen);
    const bytes = Uint8Array.from({ length: 0x1000 }, () => random.below(256));
    // Mostly 32-bit encodings, of common opcodes.
    for (let at = 0; at < 0x1000; at += 4) if (random.chance(0.6)) bytes[at] |= 3;
    const outcomes = RUNS(seed).map((options) => {
      const { space } = trapdoor;
      const image = programImage(generate(seed, { xlen, kind: "int", size: 1 }));
      const cpu = trapdoor.load(image, options);
      space.map(0x6_0000, 0x1000, 7);
      space.write(0x6_0000, bytes);
      // Not writable: without fence.i it is open when changed code takes effect.
      space.protect(0x6_0000, 0x1000, 5);
      space.protect(TEXT, 0x1_0000, 5);
      const state = new Random(seed);
      for (let n = 1; n < 64; n++) {
        cpu.slots[n] = n < 32 && xlen === 32 ? BigInt.asIntN(32, integer(state)) : integer(state);
        if (n < 32 && state.chance(0.5)) cpu.slots[n] = BigInt(DATA + state.below(0x3000));
        if (n < 32 && state.chance(0.2)) cpu.slots[n] = BigInt(0x6_0000 + 2 * state.below(0x800));
      }
      cpu.pc = 0x6_0000 + 2 * state.below(0x400);
      let reason = 0;
      const slices = options.slices, end = 3000;
      while (reason === 0 && cpu.instructions < end) {
        const left = end - cpu.instructions;
        reason = cpu.run(slices ? 1 + slices.below(left) : left);
      }
      return [
        stopName(reason),
        cpu.pc.toString(16),
        cpu.instructions,
        digest(new Uint8Array(cpu.snapshot().buffer)),
        digest(space.read(DATA, DATA_SIZE)),
      ];
    });
    for (const outcome of outcomes) assertEquals(outcome, outcomes[0], `seed ${seed}`);
    ends.set(String(outcomes[0][0]), (ends.get(String(outcomes[0][0])) ?? 0) + 1);
    assertEquals(trapdoor.problems, []);
  }
  assert(ends.size >= Math.min(4, scaled(8)), `only ${[...ends.keys()]}`);
});

Deno.test("Cpu counts instructions exactly, and the guest reads the same count", () => {
  const random = new Random(seeded(4));
  let reads = 0;
  for (let i = 0; i < scaled(24); i++) {
    const xlen = random.pick(XLENS), seed = random.next();
    const program = generate(seed, { xlen, kind: random.pick(KINDS), size: 100 });
    // Reads of instret at random places.
    const lists = [program.items, ...flatten(program.items).map((each) => each.body)];
    const rd = random.pick(program.free);
    const bits = tablesOf(xlen).assemble("csrrs", { csr: 0xc02, rd, rs1: 0 });
    for (let n = 0; n < 6; n++) {
      const list = random.pick(lists);
      list.splice(random.below(list.length + 1), 0, item([{ size: 4, bits }]));
    }
    const image = programImage(program), trapdoor = new Trapdoor(xlen);
    const view = new DataView(image.text.buffer);
    const isRead = (pc: number) => {
      const at = pc - 0x1_0000;
      return at >= 0 && at + 4 <= image.text.length && view.getInt32(at, true) === bits;
    };
    // Single steps, counted here.
    const cpu = trapdoor.load(image, { trace: true });
    let steps = 0, expected = -1;
    cpu.trace = (pc) => {
      if (expected >= 0) {
        assertEquals(cpu.getRegister(`x${rd}`), BigInt(expected));
        reads++;
      }
      expected = isRead(pc) ? steps : -1;
      steps++;
    };
    assertEquals(trapdoor.go(), Trap.SYSCALL);
    assertEquals(cpu.instructions, steps);
    const wanted = trapdoor.run(image);
    assertEquals([wanted.end, wanted.instructions], ["exit 0", steps]);
    for (const { name, options } of VARIATIONS) {
      // The count goes on with a CPU that goes on, and so does what the guest reads.
      if (options(seed).reuse) continue;
      assertEquals(difference(wanted, trapdoor.run(image, options(seed))), [], name);
    }
  }
  assert(reads > scaled(50));
});

// ---- what QEMU 7.2 does not have ----

Deno.test("Cpu executes Zicond as the manual defines it", () => {
  const random = new Random(7), at = 0x6_0000;
  const values = (xlen: number) =>
    [0n, 1n, -1n, 1n << 31n, 1n << 32n, 1n << 63n, integer(random)]
      .map((value) => BigInt.asUintN(xlen, value));
  for (const xlen of XLENS) {
    const t = tablesOf(xlen), trapdoor = new Trapdoor(xlen), { cpu, space } = trapdoor;
    space.map(at, 0x1000, 7);
    for (const name of ["czero.eqz", "czero.nez"]) {
      for (
        const [rd, rs1, rs2] of [[5, 6, 7], [5, 5, 7], [5, 6, 5], [5, 5, 5], [0, 6, 7], [5, 0, 7], [
          5,
          6,
          0,
        ]]
      ) {
        space.writeU32(at, t.assemble(name, { rd, rs1, rs2 }) >>> 0);
        space.writeU32(at + 4, t.assemble("ecall"));
        for (const x of values(xlen)) {
          for (const y of values(xlen)) {
            const names = ["zero", "", "", "", "", "t0", "t1", "t2"];
            cpu.setRegister("t0", 99);
            cpu.setRegister(names[rs1], x);
            cpu.setRegister(names[rs2], y);
            const a = cpu.getRegister(names[rs1]), b = cpu.getRegister(names[rs2]);
            cpu.pc = at;
            assertEquals(cpu.run(10_000), Trap.SYSCALL);
            const want = rd === 0 ? 0n : (b === 0n) === (name === "czero.eqz") ? 0n : a;
            assertEquals(cpu.getRegister(names[rd]), want, `${name} of ${a} and ${b}`);
          }
        }
      }
    }
  }
});

Deno.test("Cpu executes Zicboz and Zicbom as the manual defines them", () => {
  const at = 0x6_0000, memory = 0x7_0000;
  for (const xlen of XLENS) {
    const t = tablesOf(xlen), trapdoor = new Trapdoor(xlen), { cpu, space } = trapdoor;
    space.map(at, 0x1000, 7);
    space.map(memory, 0x1000, 3);
    const run = (name: string, address: number): [number, bigint] => {
      space.writeU32(at, t.assemble(name, { rs1: 10 }) >>> 0);
      space.writeU32(at + 4, t.assemble("ecall"));
      cpu.setRegister("a0", address);
      cpu.pc = at;
      return [cpu.run(10_000), cpu.faultAddress];
    };
    for (const offset of [0, 1, 63, 64, 0xfc0, 0xfff]) {
      space.write(memory, new Uint8Array(0x1000).fill(0xa5));
      for (const name of ["cbo.clean", "cbo.flush", "cbo.inval"]) {
        assertEquals(run(name, memory + offset)[0], Trap.SYSCALL);
        assertEquals(space.read(memory, 0x1000), new Uint8Array(0x1000).fill(0xa5));
      }
      assertEquals(run("cbo.zero", memory + offset)[0], Trap.SYSCALL);
      const want = new Uint8Array(0x1000).fill(0xa5).fill(0, offset & ~63, (offset & ~63) + 64);
      assertEquals(space.read(memory, 0x1000), want, `${offset}`);
    }
    for (const wild of [8, memory + 0x1005, 0xffff_ffff]) {
      assertEquals(run("cbo.zero", wild), [Trap.STORE_FAULT, BigInt(wild)]);
      assertEquals(cpu.pc, at);
    }
  }
});

// ---- the tools themselves ----

Deno.test("generate makes the same program for the same seed, another for another", () => {
  for (const kind of KINDS) {
    for (const xlen of XLENS) {
      const make = (seed: number) => programImage(generate(seed, { xlen, kind, size: 100 })).text;
      assertEquals(make(7), make(7));
      assertNotEquals(make(7), make(8));
    }
  }
});

Deno.test("generate uses every instruction that QEMU has too", () => {
  for (const xlen of XLENS) {
    const t = tablesOf(xlen), seen = new Set<string>();
    for (let seed = 0; seed < 150; seed++) {
      const kind = KINDS[seed % KINDS.length];
      const program = generate(seed, { xlen, kind, size: 400 });
      for (const { size, bits, fix } of atomsOf([...program.items, ...program.functions])) {
        const row = fix ? fix.row.row : t.isa.decode(bits, size)?.row;
        if (row !== undefined) seen.add(row.name);
      }
    }
    // The epilogue ends with system calls; breakpoints and undefined encodings are in the tests of faults.
    const left = [...t.full, ...t.compressed].map(({ row }) => row.name).filter((name) =>
      !seen.has(name) && !/^(trapdoor|c\.unimp|(c\.)?ebreak|ecall|czero\..*|cbo\..*)$/.test(name)
    );
    assertEquals(left, []);
  }
});

Deno.test("encode is the inverse of decoding", () => {
  const random = new Random(5);
  for (const xlen of XLENS) {
    const t = tablesOf(xlen);
    for (const row of [...t.full, ...t.compressed]) {
      for (let i = 0; i < 20; i++) {
        const bits = (row.match | (random.next() & ~row.mask)) & (row.width === 16 ? 0xffff : -1);
        const found = t.isa.decode(bits, row.width / 8);
        if (found?.row === row.row) assertEquals(encode(row, found.fields), bits);
      }
    }
  }
});

Deno.test("shrink leaves what a program needs to fail", async () => {
  const options = { xlen: 64, kind: "int", size: 300 } as const;
  // The first program with a div in a loop or behind a branch.
  const t = tablesOf(64), div = t.row("div");
  const isDiv = ({ bits, size }: { bits: number; size: number }) =>
    size === 4 && (bits & div.mask) === div.match;
  const has = (program: Program) => [...atomsOf(program.items)].some(isDiv);
  let program: Program | undefined;
  for (let seed = 0; program === undefined; seed++) {
    const made = generate(seed, options);
    if (made.items.some((each) => each.body.length > 0 && has({ ...made, items: [each] }))) {
      program = made;
    }
  }
  const small = await shrink(program, has);
  assertEquals(flatten(small.items).flatMap((each) => [...each.before, ...each.after]).length, 1);
  assertEquals(small.state.x.filter((x) => x !== 0n).length, 1);
  assertEquals([small.state.memory, small.state.fcsr], [0, 0]);
});

Deno.test("difference names registers and memory that differ", () => {
  const trapdoor = new Trapdoor(64);
  const image = programImage(generate(1, { xlen: 64, kind: "int", size: 20 }));
  const a = trapdoor.run(image), b = { ...a, dump: a.dump.slice() };
  assertEquals(difference(a, b), []);
  b.dump[0x300 + 8 * 10] ^= 1;
  b.dump[0x2000] ^= 1;
  b.instructions++;
  const lines = difference(a, b).map((line) => line.split(":")[0]);
  assertEquals(lines, ["instructions", "a0", "memory 0x42000"]);
});

Deno.test("Cases read as they were written, and bad ones are refused", () => {
  for (const each of CASES) assertEquals(parseCase(formatCase(each)), each);
  const [good] = CASES, line = formatCase({ ...good, comment: "" }).replace(/ # $/, "");
  const gap = parseCase(formatCase({ ...good, code: new Uint8Array(5000).fill(1, 4990) }));
  assertEquals(gap.code, new Uint8Array(5000).fill(1, 4990));
  for (const bad of ["", line.replace("rv", "mips"), line.replace("want=", "wont="), `${line} y`]) {
    assertThrows(() => parseCase(bad), SyntaxError);
  }
  assertThrows(() => parseCase(line.replace("code=", "x1 code=")), SyntaxError, "x1");
  assertThrows(() => parseCase(line.replace("code=", "y1=3 code=")), SyntaxError, "y1");
  assert(CASES.every((each) => each.entry >= BODY));
});
