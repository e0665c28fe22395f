import { assert, assertEquals, assertThrows } from "@std/assert";
import { Builder } from "../cpu/ir/builder.ts";
import { Op, Trap } from "../cpu/ir/ops.ts";
import { printBlock } from "../cpu/ir/printer.ts";
import { verify } from "../cpu/ir/verifier.ts";
import { Compiled, type Fields } from "../cpu/isa/decoder.ts";
import { FIELDS } from "../cpu/riscv/lifter.ts";
import type { Riscv } from "../cpu/riscv/riscv.ts";
import { expandCompressed, RV_C } from "../cpu/riscv/rv_c.ts";
import { BACKDOOR_INSTRUCTION } from "../cpu/riscv/state.ts";
import { encode, tablesOf } from "./fuzz/encode.ts";
import { Random } from "./fuzz/random.ts";
import { objdump, OBJDUMP_TOOLS } from "./objdump.ts";
import { testWith } from "./tools.ts";

const XLENS = [64, 32] as const;
type Xlen = typeof XLENS[number];

/** Code memory that holds one instruction word at `pc`. */
const only = (pc: number, bits: number) => (address: number) =>
  address === pc ? bits & 0xffff : address === pc + 2 ? bits >>> 16 : -1;

const text = (isa: Riscv, bits: number, pc: number) => isa.disassemble(pc, only(pc, bits)).text;
const name = (text: string) => text.split(" ")[0];
const hex = (bits: number) => `0x${(bits >>> 0).toString(16)}`;
const UNDEFINED = /^\.[24]byte/;

/**
 * Where this disassembler and binutils 2.40 differ, and who is right. Every entry must be met: one that isn't is out
 * of date. Chapters are those of The RISC-V Instruction Set Manual, volume I.
 */
const DIVERGENCES: {
  why: string;
  bytes: 2 | 4;
  here: (bits: number, ours: string, theirs: string, xlen: Xlen) => boolean;
}[] = [
  {
    why: "C.ADDI16SP with a zero immediate is reserved (chapter C, Integer Constant-Generation)",
    bytes: 2,
    here: (bits, ours, theirs) =>
      bits === 0x6101 && UNDEFINED.test(ours) && theirs === "c.addi16sp sp,0",
  },
  {
    why: "RV32C shifts with shamt[5] = 1 are designated for custom extensions (chapter C, " +
      "Integer Register-Immediate Operations)",
    bytes: 2,
    here: (bits, ours, theirs, xlen) =>
      xlen === 32 && (bits & 0x1000) !== 0 && UNDEFINED.test(ours) &&
      /^c\.(slli|srli|srai) \w+,0x[23]/.test(theirs),
  },
  {
    why: "RV32 shift amounts of 32 and more are reserved (chapters RV32I and B)",
    bytes: 4,
    here: (_, ours, theirs, xlen) =>
      xlen === 32 && UNDEFINED.test(ours) &&
      /^(slli|srli|srai|rori|bclri|bexti|binvi|bseti) \w+,\w+,0x[23]/.test(theirs),
  },
  {
    why: "implementations shall ignore rs1 and rd of FENCE and take a reserved fm for 0 (chapter " +
      "RV32I, Memory Ordering)",
    bytes: 4,
    here: (bits, ours, theirs) =>
      name(ours) === "fence" && (bits & 0xf00f_8f80) !== 0 && UNDEFINED.test(theirs),
  },
  {
    why: "implementations shall ignore imm, rs1 and rd of FENCE.I (chapter Zifencei)",
    bytes: 4,
    here: (bits, ours, theirs) =>
      ours === "fence.i" && (bits >>> 0) !== 0x100f && UNDEFINED.test(theirs),
  },
  {
    why: "conversions that are always exact have a rounding mode, too (chapter D, Conversions: " +
      "unaffected by it)",
    bytes: 4,
    here: (_, ours, theirs) =>
      /^fcvt\.d\.(w|wu|s) \w+,\w+,\w+$/.test(ours) && UNDEFINED.test(theirs),
  },
  {
    why: "binutils 2.40 does not know Zicond",
    bytes: 4,
    here: (_, ours, theirs) => /^czero\.(eqz|nez) /.test(ours) && UNDEFINED.test(theirs),
  },
  {
    why: "the backdoor instruction has a name",
    bytes: 4,
    here: (bits, ours, theirs) =>
      bits === BACKDOOR_INSTRUCTION && ours === "trapdoor" && theirs === "slti zero,zero,1981",
  },
  {
    why: "there are no privileged instructions at user level",
    bytes: 4,
    here: (_, ours, theirs) =>
      UNDEFINED.test(ours) && /^([usmhd]ret|wfi|sfence|hfence|sinval|hinval|hlv|hsv)/.test(theirs),
  },
];

/** Compares texts with objdump's; returns the divergences met. */
function compare(isa: Riscv, words: ArrayLike<number>, bytes: 2 | 4, march: string): Set<string> {
  const theirs = objdump(words, bytes, march);
  const met = new Set<string>();
  const wrong: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const bits = words[i], ours = text(isa, bits, i * bytes);
    if (ours === theirs[i]) continue;
    const known = DIVERGENCES.find((d) =>
      d.bytes === bytes && d.here(bits, ours, theirs[i], isa.xlen)
    );
    if (known) met.add(known.why);
    else wrong.push(`${hex(bits)} at ${hex(i * bytes)}: "${ours}", objdump: "${theirs[i]}"`);
  }
  assertEquals(wrong.slice(0, 20), []);
  return met;
}

/** Lifts one instruction into a block of its own. */
function lift(isa: Riscv, bits: number, pc = 0x1_0000) {
  const builder = new Builder();
  builder.start(pc);
  builder.begin(pc);
  const length = isa.lift(builder, pc, only(pc, bits));
  builder.end();
  if (!builder.ended) builder.jump(pc + length);
  return builder.finish(length);
}

/** Whether an instruction lifts to nothing but an illegal-instruction trap. */
function isIllegal(isa: Riscv, bits: number): boolean {
  const { code } = lift(isa, bits);
  return code[0] === Op.trap && code[2] === Trap.ILLEGAL;
}

const COMPRESSED_WORDS = Array.from({ length: 0x1_0000 }, (_, bits) => bits)
  .filter((bits) => (bits & 3) !== 3);

testWith(OBJDUMP_TOOLS, "disassemble equals objdump when all 16-bit encodings are swept", () => {
  const met = new Set<string>();
  for (const xlen of XLENS) {
    for (const why of compare(tablesOf(xlen).isa, COMPRESSED_WORDS, 2, `rv${xlen}gc`)) met.add(why);
  }
  assertEquals(met, new Set(DIVERGENCES.filter((d) => d.bytes === 2).map((d) => d.why)));
});

const PRIVILEGED = [0x1020_0073, 0x3020_0073, 0x1050_0073, 0x1200_0073];

testWith(OBJDUMP_TOOLS, "disassemble equals objdump when 32-bit encodings are sampled", () => {
  const met = new Set<string>();
  for (const xlen of XLENS) {
    const { isa, full } = tablesOf(xlen);
    const random = new Random(xlen);
    const words = [...PRIVILEGED];
    for (const { mask, match } of full) {
      for (let i = 0; i < 48; i++) words.push((random.next() & ~mask) | match);
    }
    for (const opcode of new Set(full.map((row) => row.match & 0x7f))) {
      for (let i = 0; i < 1000; i++) words.push((random.next() & ~0x7f) | opcode);
    }
    // Any opcode of a 32-bit encoding; bits 4:2 = 111 begin longer ones.
    for (let i = 0; i < 4000; i++) {
      const word = random.next() | 3;
      if ((word & 0x1c) !== 0x1c) words.push(word | 0);
    }
    const march = `rv${xlen}gc_zba_zbb_zbs_zicbom_zicboz_zihintpause`;
    for (const why of compare(isa, words, 4, march)) met.add(why);
  }
  assertEquals(met, new Set(DIVERGENCES.filter((d) => d.bytes === 4).map((d) => d.why)));
});

testWith(
  OBJDUMP_TOOLS,
  "disassemble names a CSR as objdump does when all numbers are swept",
  () => {
    const words = Array.from({ length: 4096 }, (_, csr) => csr << 20 | 0x20f3);
    assertEquals(compare(tablesOf(64).isa, words, 4, "rv64gc"), new Set());
  },
);

Deno.test("disassemble writes rounding modes when they are not the one left out", () => {
  const { isa } = tablesOf(64);
  const texts = [0x02c5_8553, 0x02c5_f553, 0xd205_8553, 0xd205_f553, 0x420d_9553, 0x02c5_d553];
  assertEquals(texts.map((bits) => text(isa, bits, 0)), [
    "fadd.d fa0,fa1,fa2,rne",
    "fadd.d fa0,fa1,fa2",
    "fcvt.d.w fa0,a1",
    "fcvt.d.w fa0,a1,dyn",
    "fcvt.d.s fa0,fs11,rtz",
    "fadd.d fa0,fa1,fa2,unknown",
  ]);
});

Deno.test("disassemble names what it can't read when memory is not executable", () => {
  const { isa } = tablesOf(64);
  assertEquals(isa.disassemble(0, () => -1), { length: 0, bits: 0, text: "(not executable)" });
  // The second half of a 32-bit encoding lies in another page.
  assertEquals(isa.disassemble(0, (at) => at === 0 ? 0x0513 : -1).length, 0);
});

Deno.test("lift makes an illegal-instruction trap when an encoding is undefined", () => {
  for (const xlen of XLENS) {
    const { isa, full } = tablesOf(xlen);
    let found = 0;
    const check = (bits: number, length: number) => {
      if (isa.decode(bits, length) !== undefined) return;
      found++;
      const { code, insns, bytes } = lift(isa, bits);
      assertEquals([...code.subarray(0, 6)], [Op.trap, 1, Trap.ILLEGAL, length, 0x1_0000, 0]);
      assertEquals([insns.length, bytes], [2, length]);
    };
    for (const bits of COMPRESSED_WORDS) check(bits, 2);
    const random = new Random(7);
    for (const { mask, match } of full) {
      for (let i = 0; i < 64; i++) {
        // One fixed bit flipped, but for the two of the length, and all others random.
        check(((random.next() & ~mask) | match) ^ (mask & 1 << random.between(2, 31)), 4);
      }
    }
    for (let i = 0; i < 2000; i++) check(random.next() | 3, 4);
    assert(found > 6000, `${found} undefined encodings`);
  }
});

Deno.test("lift makes an illegal-instruction trap when an encoding is reserved", () => {
  const both: [bits: number, what: string][] = [
    [0x0000, "all zero bits"],
    [0x0004, "c.addi4spn with no immediate"],
    [0x6101, "c.addi16sp with no immediate"],
    [0x6281, "c.lui with no immediate"],
    [0x6001, "c.lui to x0 with no immediate"],
    [0x4002, "c.lwsp to x0"],
    [0x8002, "c.jr x0"],
    [0x8000, "quadrant 0, funct3 100"],
    [0x9c41, "quadrant 1, funct3 100, reserved"],
    [0xffff_ffff, "all one bits"],
    [0x02c5_d553, "fadd.d, rounding mode 5"],
    [0x02c5_e553, "fadd.d, rounding mode 6"],
    [0xd205_d553, "fcvt.d.w, rounding mode 5"],
    [0x6ac5_e543, "fmadd.d, rounding mode 6"],
    [0x04c5_8553, "fadd.h"],
    [0x06c5_8553, "fadd.q"],
    [0x5810_8553, "fsqrt.s with rs2"],
    [0x2000_3553, "fsgnj.s, funct3 011"],
    [0x1015_a52f, "lr.w with rs2"],
    [0x0030_200f, "cbo with number 3"],
    [0x0010_208f, "cbo.clean with rd"],
    [0x4000_1013, "slli, funct6 010000"],
    [0x7c00_2073, "csrrs of a CSR that does not exist"],
    [0xc000_1073, "csrrw of the cycle counter"],
    [0x0000_0007, "flb"],
    [0x0020_0073, "uret"],
  ];
  const by: Record<Xlen, [bits: number, what: string][]> = {
    64: [
      [0x2001, "c.addiw to x0"],
      [0x6002, "c.ldsp to x0"],
      [0xc800_2573, "csrrs of cycleh"],
      [0x0000_703b, "word operation, funct3 111"],
      [0x6985_d513, "rev8 of RV32"],
    ],
    32: [
      [0x1002, "c.slli by 32 and more"],
      [0x9001, "c.srli by 32 and more"],
      [0x9401, "c.srai by 32 and more"],
      [0x9c01, "c.subw"],
      [0x9c21, "c.addw"],
      [0x0205_1513, "slli by 32"],
      [0x6205_d513, "rori by 32"],
      [0x4a05_1513, "bclri by 32"],
      [0x0000_3003, "ld"],
      [0x0000_3023, "sd"],
      [0x0000_6003, "lwu"],
      [0x0000_051b, "addiw"],
      [0x1005_b52f, "lr.d"],
      [0xe200_0553, "fmv.x.d"],
      [0xd222_7553, "fcvt.d.l"],
      [0x6b85_d513, "rev8 of RV64"],
    ],
  };
  for (const xlen of XLENS) {
    const { isa } = tablesOf(xlen);
    for (const [bits, what] of [...both, ...by[xlen]]) {
      assert(isIllegal(isa, bits), `rv${xlen}: ${what}, ${hex(bits)}`);
    }
  }
});

Deno.test("lift does nothing when an encoding is a HINT", () => {
  const both: [bits: number, what: string][] = [
    [0x0001, "c.nop"],
    [0x0015, "c.nop 5"],
    [0x0281, "c.addi t0,0"],
    [0x4015, "c.li zero,5"],
    [0x6005, "c.lui zero,1"],
    [0x8006, "c.mv zero,ra"],
    [0x900a, "c.add zero,sp"],
    [0x0006, "c.slli zero,1"],
    [0x0502, "c.slli64 a0"],
    [0x8001, "c.srli64 s0"],
    [0x8401, "c.srai64 s0"],
    [0x0000_0013, "nop"],
    [0x0005_6013, "prefetch.i"],
    [0x0015_6013, "prefetch.r"],
    [0x0035_6013, "prefetch.w"],
    [0x0020_0033, "add zero,zero,sp (ntl.p1)"],
    [0x0100_000f, "pause"],
    [0x0005_200f, "cbo.inval"],
    [0x0015_200f, "cbo.clean"],
    [0x0025_200f, "cbo.flush"],
    [0x0000_1037, "lui zero,1"],
    [0x0015_5013, "srli zero,a0,1"],
  ];
  for (const xlen of XLENS) {
    const { isa } = tablesOf(xlen);
    for (const [bits, what] of both) {
      const { code } = lift(isa, bits);
      // The jump that the test adds and its link are all there is.
      assertEquals([code.length, code[0]], [12, Op.jump], `rv${xlen}: ${what}, ${hex(bits)}`);
    }
  }
});

/** Fields with few different registers, so that they are often equal, and x0 among them. */
function someFields(random: Random, f: Fields): Fields {
  const close = { ...f };
  for (const field of ["rd", "rs1", "rs2", "rs3"]) {
    if (field in close) close[field] = random.pick([0, 8, 9]);
  }
  return close;
}

Deno.test("lift makes a block that the verifier passes when every row meets many operands", () => {
  for (const xlen of XLENS) {
    const { isa, full, compressed } = tablesOf(xlen);
    const random = new Random(1 + xlen);
    const builders = [true, false].flatMap((fold) =>
      [true, false].map((on) => new Builder({ fold, retarget: on, dead: on }))
    );
    for (const row of [...full, ...compressed]) {
      for (let i = 0; i < 40; i++) {
        let bits = (random.next() & (row.width === 16 ? 0xffff : -1) & ~row.mask) | row.match;
        const found = isa.decode(bits, row.width / 8);
        if (found === undefined) continue;
        if (i % 2 === 0 && found.row === row.row) {
          bits = encode(row, someFields(random, found.fields));
        }
        const builder = builders[i % builders.length];
        // Constants in registers, before and in between, are what folding needs.
        const pc = 0xf_fff0;
        builder.start(pc);
        builder.begin(pc);
        builder.write(8, builder.imm(random.pick([0, -1, 0x7ff, -0x8000_0000, 2 ** 40])));
        builder.end();
        builder.begin(pc + 4);
        const length = isa.lift(builder, pc + 4, only(pc + 4, bits));
        assertEquals(length, row.width / 8);
        builder.end();
        if (!builder.ended) builder.jump(pc + 4 + length);
        const block = builder.finish(4 + length);
        const problems = verify(block, isa.slotCount);
        if (problems.length > 0) {
          const what = `${found.row.name} ${hex(bits)} rv${xlen}`;
          throw new Error(`${what}:\n${problems.join("\n")}\n${printBlock(block)}`);
        }
      }
    }
  }
});

/** Compressed instructions and the ones they stand for, from the manual's chapter C. */
const EXPANSIONS: [compressed: number, name: string, fields: Fields, xlen?: Xlen][] = [
  [0x0808, "addi", { rd: 10, rs1: 2, imm: 16 }],
  [0x2108, "fld", { rd: 10, rs1: 10, imm: 0 }],
  [0x51fc, "lw", { rd: 15, rs1: 11, imm: 100 }],
  [0x6188, "flw", { rd: 10, rs1: 11, imm: 0 }, 32],
  [0x7188, "ld", { rd: 10, rs1: 11, imm: 32 }, 64],
  [0xa588, "fsd", { rs2: 10, rs1: 11, imm: 8 }],
  [0xc1dc, "sw", { rs2: 15, rs1: 11, imm: 4 }],
  [0xe1c8, "fsw", { rs2: 10, rs1: 11, imm: 4 }, 32],
  [0xf1e8, "sd", { rs2: 10, rs1: 11, imm: 224 }, 64],
  [0x157d, "addi", { rd: 10, rs1: 10, imm: -1 }],
  [0x3505, "addiw", { rd: 10, rs1: 10, imm: -31 }, 64],
  [0x557d, "addi", { rd: 10, rs1: 0, imm: -1 }],
  [0x7139, "addi", { rd: 2, rs1: 2, imm: -64 }],
  [0x757d, "lui", { rd: 10, imm: -4096 }],
  [0x8105, "srli", { rd: 10, rs1: 10, shamt: 1 }],
  [0x8505, "srai", { rd: 10, rs1: 10, shamt: 1 }],
  [0x9105, "srli", { rd: 10, rs1: 10, shamt: 33 }, 64],
  [0x997d, "andi", { rd: 10, rs1: 10, imm: -1 }],
  [0x8d0d, "sub", { rd: 10, rs1: 10, rs2: 11 }],
  [0x8d2d, "xor", { rd: 10, rs1: 10, rs2: 11 }],
  [0x8d4d, "or", { rd: 10, rs1: 10, rs2: 11 }],
  [0x8d6d, "and", { rd: 10, rs1: 10, rs2: 11 }],
  [0x9d0d, "subw", { rd: 10, rs1: 10, rs2: 11 }, 64],
  [0x9d2d, "addw", { rd: 10, rs1: 10, rs2: 11 }, 64],
  [0x0506, "slli", { rd: 10, rs1: 10, shamt: 1 }],
  [0x1506, "slli", { rd: 10, rs1: 10, shamt: 33 }, 64],
  [0x2522, "fld", { rd: 10, rs1: 2, imm: 8 }],
  [0x4522, "lw", { rd: 10, rs1: 2, imm: 8 }],
  [0x6522, "flw", { rd: 10, rs1: 2, imm: 8 }, 32],
  [0x6522, "ld", { rd: 10, rs1: 2, imm: 8 }, 64],
  [0x852e, "add", { rd: 10, rs1: 0, rs2: 11 }],
  [0x952e, "add", { rd: 10, rs1: 10, rs2: 11 }],
  [0xa42a, "fsd", { rs2: 10, rs1: 2, imm: 8 }],
  [0xc42a, "sw", { rs2: 10, rs1: 2, imm: 8 }],
  [0xe42a, "fsw", { rs2: 10, rs1: 2, imm: 8 }, 32],
  [0xe42a, "sd", { rs2: 10, rs1: 2, imm: 8 }, 64],
  // Those that end a block stand 2 bytes further on, so that the next instruction is the same one.
  [0x2801, "jal", { rd: 1, imm: 18 }, 32],
  [0xa801, "jal", { rd: 0, imm: 18 }],
  [0xbffd, "jal", { rd: 0, imm: 0 }],
  [0xc901, "beq", { rs1: 10, rs2: 0, imm: 18 }],
  [0xfd7d, "bne", { rs1: 10, rs2: 0, imm: 0 }],
  [0x8502, "jalr", { rd: 0, rs1: 10, imm: 0 }],
  [0x9502, "jalr", { rd: 1, rs1: 10, imm: 0 }],
];

Deno.test("lift makes the same records when an instruction is compressed", () => {
  for (const xlen of XLENS) {
    const tables = tablesOf(xlen);
    const tested = new Set<string>();
    for (const [bits, name, fields, only] of EXPANSIONS) {
      if (only !== undefined && only !== xlen) continue;
      const short = lift(tables.isa, bits, 0x2_0002);
      const long = lift(tables.isa, tables.assemble(name, fields), 0x2_0000);
      assertEquals([short.bytes, long.bytes], [2, 4]);
      assertEquals(short.code, long.code, `rv${xlen}: ${hex(bits)} as ${name}`);
      tested.add(tables.isa.decode(bits, 2)!.row.name);
    }
    const rest = tables.compressed.map(({ row }) => row.name).filter((name) => !tested.has(name));
    // Tested as HINTs, as illegal, and below.
    assertEquals(rest, ["c.unimp", "c.srli64", "c.srai64", "c.slli64", "c.ebreak"]);
    const { code } = lift(tables.isa, 0x9002);
    assertEquals([...code.subarray(0, 6)], [Op.trap, 1, Trap.BREAKPOINT, 2, 0x1_0000, 0]);
  }
});

Deno.test("expandCompressed gives every operand when rows are resolved", () => {
  for (const xlen of XLENS) {
    for (const row of RV_C()) {
      if (row.xlen !== undefined && row.xlen !== xlen) continue;
      const own = new Compiled(row, 16, FIELDS).extractors.map((e) => e.name);
      const given = new Set([...own, ...Object.keys(row.operands)]);
      for (const from of Object.values(row.operands)) {
        if (typeof from === "string") assert(own.includes(from), `${row.name}: ${from}`);
      }
      for (const { name } of tablesOf(xlen).row(row.expansion).extractors) {
        assert(given.has(name), `${row.name}: ${name} of ${row.expansion}`);
      }
    }
  }
  assertThrows(() => expandCompressed([], 64), Error, "Cannot expand c.addi4spn");
});

Deno.test("lift emits nothing and names the missing half when code is not executable", () => {
  const builder = new Builder();
  builder.start(0x1000);
  builder.begin(0x1000);
  const { isa } = tablesOf(64);
  assertEquals(isa.lift(builder, 0x1000, () => -1), 0);
  assertEquals(isa.lift(builder, 0x1000, (at) => at === 0x1000 ? 0x0013 : -1), -2);
  assertEquals(builder.ended, false);
  builder.jump(0x2000);
  assertEquals(printBlock(builder.finish(0)).includes("fetch_fault"), false);
});

Deno.test("Compiled throws when a pattern doesn't fit its width", () => {
  const row = (pattern: string) => ({ name: "test", pattern });
  assertThrows(
    () => new Compiled(row("0000 rd 01"), 16, FIELDS),
    SyntaxError,
    "11 bits instead of 16",
  );
  assertThrows(() => new Compiled(row("0000 rx 01"), 16, FIELDS), SyntaxError, "field rx");
  assertThrows(() => new Compiled(row("0000 RD 01"), 16, FIELDS), SyntaxError, "field RD");
});
