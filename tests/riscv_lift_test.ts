import { assertEquals } from "@std/assert";
import { Op, Slot, Trap, WORDS } from "../cpu/ir/ops.ts";
import { BACKDOOR_INSTRUCTION, F_BASE } from "../cpu/riscv/state.ts";
import { testExcept } from "./configuration.ts";
import { tablesOf } from "./fuzz/encode.ts";
import { integer, Random } from "./fuzz/random.ts";
import type { Outcome } from "./ir_oracle.ts";
import { Bench, type Fields, hex, PC, s, u, unexpected, type Xlen, XLENS } from "./riscv_bench.ts";

/** Result of an instruction with register operands: `a`, `b` unsigned, `n` is XLEN. */
type Register = (a: bigint, b: bigint, n: number) => bigint;

const ones = (value: bigint) => BigInt(value.toString(2).replaceAll("0", "").length);
const bitsOf = (n: number, value: bigint) => value.toString(2).padStart(n, "0");
const leading = (n: number, value: bigint) => {
  const at = bitsOf(n, value).indexOf("1");
  return BigInt(at < 0 ? n : at);
};
const trailing = (n: number, value: bigint) => {
  const at = bitsOf(n, value).lastIndexOf("1");
  return BigInt(at < 0 ? n : n - 1 - at);
};
const bytesOf = (n: number, value: bigint) =>
  Array.from({ length: n / 8 }, (_, i) => value >> BigInt(8 * i) & 0xffn);
const fromBytes = (bytes: bigint[]) =>
  bytes.reduce((sum, byte, i) => sum | byte << BigInt(8 * i), 0n);
const rotl = (n: number, value: bigint, by: bigint) => {
  const count = Number(by % BigInt(n)), text = bitsOf(n, value);
  return BigInt("0b" + text.slice(count) + text.slice(0, count));
};
const rotr = (n: number, value: bigint, by: bigint) => rotl(n, value, BigInt(n) - by % BigInt(n));
const one = (n: number, by: bigint) => 1n << by % BigInt(n);
const quotient = (a: bigint, b: bigint) => b === 0n ? -1n : a / b;
const rest = (a: bigint, b: bigint) => b === 0n ? a : a - a / b * b;

/** Meaning of every instruction with two register operands, as the manual's text has it. */
const REGISTER: Record<string, Register> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  sll: (a, b, n) => a << b % BigInt(n),
  slt: (a, b, n) => s(n, a) < s(n, b) ? 1n : 0n,
  sltu: (a, b) => a < b ? 1n : 0n,
  xor: (a, b) => a ^ b,
  srl: (a, b, n) => a >> b % BigInt(n),
  sra: (a, b, n) => s(n, a) >> b % BigInt(n),
  or: (a, b) => a | b,
  and: (a, b) => a & b,
  mul: (a, b) => a * b,
  mulh: (a, b, n) => s(n, a) * s(n, b) >> BigInt(n),
  mulhsu: (a, b, n) => s(n, a) * b >> BigInt(n),
  mulhu: (a, b, n) => a * b >> BigInt(n),
  div: (a, b, n) => quotient(s(n, a), s(n, b)),
  divu: (a, b) => quotient(a, b),
  rem: (a, b, n) => rest(s(n, a), s(n, b)),
  remu: (a, b) => rest(a, b),
  sh1add: (a, b) => b + a * 2n,
  sh2add: (a, b) => b + a * 4n,
  sh3add: (a, b) => b + a * 8n,
  andn: (a, b) => a & ~b,
  orn: (a, b) => a | ~b,
  xnor: (a, b) => ~(a ^ b),
  min: (a, b, n) => s(n, a) < s(n, b) ? a : b,
  minu: (a, b) => a < b ? a : b,
  max: (a, b, n) => s(n, a) > s(n, b) ? a : b,
  maxu: (a, b) => a > b ? a : b,
  rol: (a, b, n) => rotl(n, a, b),
  ror: (a, b, n) => rotr(n, a, b),
  bclr: (a, b, n) => a & ~one(n, b),
  bext: (a, b, n) => a & one(n, b) ? 1n : 0n,
  binv: (a, b, n) => a ^ one(n, b),
  bset: (a, b, n) => a | one(n, b),
  "czero.eqz": (a, b) => b === 0n ? 0n : a,
  "czero.nez": (a, b) => b === 0n ? a : 0n,
};

/** The same, RV64 only. */
const REGISTER_64: Record<string, Register> = {
  addw: (a, b) => s(32, a + b),
  subw: (a, b) => s(32, a - b),
  sllw: (a, b) => s(32, a << b % 32n),
  srlw: (a, b) => s(32, u(32, a) >> b % 32n),
  sraw: (a, b) => s(32, a) >> b % 32n,
  mulw: (a, b) => s(32, a * b),
  divw: (a, b) => s(32, quotient(s(32, a), s(32, b))),
  divuw: (a, b) => s(32, quotient(u(32, a), u(32, b))),
  remw: (a, b) => s(32, rest(s(32, a), s(32, b))),
  remuw: (a, b) => s(32, rest(u(32, a), u(32, b))),
  "add.uw": (a, b) => u(32, a) + b,
  "sh1add.uw": (a, b) => u(32, a) * 2n + b,
  "sh2add.uw": (a, b) => u(32, a) * 4n + b,
  "sh3add.uw": (a, b) => u(32, a) * 8n + b,
  rolw: (a, b) => s(32, rotl(32, u(32, a), b)),
  rorw: (a, b) => s(32, rotr(32, u(32, a), b)),
};

/** Instructions with one register operand. */
const UNARY: Record<string, Register> = {
  clz: (a, _, n) => leading(n, a),
  ctz: (a, _, n) => trailing(n, a),
  cpop: (a) => ones(a),
  "sext.b": (a) => s(8, a),
  "sext.h": (a) => s(16, a),
  "zext.h": (a) => u(16, a),
  "orc.b": (a, _, n) => fromBytes(bytesOf(n, a).map((byte) => byte === 0n ? 0n : 0xffn)),
  rev8: (a, _, n) => fromBytes(bytesOf(n, a).reverse()),
};

/** The same, RV64 only. */
const UNARY_64: Record<string, Register> = {
  clzw: (a) => leading(32, u(32, a)),
  ctzw: (a) => trailing(32, u(32, a)),
  cpopw: (a) => ones(u(32, a)),
};

/** Instructions with a 12-bit immediate, as those with registers that they resemble. */
const IMMEDIATE: Record<string, Register> = {
  addi: REGISTER.add,
  slti: REGISTER.slt,
  sltiu: REGISTER.sltu,
  xori: REGISTER.xor,
  ori: REGISTER.or,
  andi: REGISTER.and,
};
const IMMEDIATE_64: Record<string, Register> = { addiw: REGISTER_64.addw };
/** Instructions with a shift amount, and the number of different amounts if not XLEN. */
const SHIFT: Record<string, Register> = {
  slli: REGISTER.sll,
  srli: REGISTER.srl,
  srai: REGISTER.sra,
  rori: REGISTER.ror,
  bclri: REGISTER.bclr,
  bexti: REGISTER.bext,
  binvi: REGISTER.binv,
  bseti: REGISTER.bset,
};
const SHIFT_64: Record<string, Register> = { "slli.uw": (a, b) => u(32, a) << b };
const SHIFT_W: Record<string, Register> = {
  slliw: REGISTER_64.sllw,
  srliw: REGISTER_64.srlw,
  sraiw: REGISTER_64.sraw,
  roriw: REGISTER_64.rorw,
};

function check(
  xlen: Xlen,
  list: Record<string, Register>,
  operands: (random: Random) => { b: bigint; fields: Fields },
) {
  const random = new Random(99);
  for (const [name, meaning] of Object.entries(list)) {
    for (let i = 0; i < 60; i++) {
      const { b: second, fields } = operands(random);
      // rd = rs1 = rs2 now and then: what is read is what was there before.
      const same = "rs2" in fields && i % 4 === 0;
      const rs1 = same ? fields.rs2 : 5, rd = i % 3 === 0 ? rs1 : 7;
      const a = u(xlen, same ? second : integer(random)), b = u(xlen, second);
      const bench = new Bench(xlen).x(rs1, a);
      if ("rs2" in fields) bench.x(fields.rs2, b);
      const outcome = bench.run(name, { rd, rs1, ...fields });
      const want = s(xlen, meaning(a, b, xlen));
      const where = `rv${xlen} ${name} ${hex(a)} ${hex(b)}`;
      assertEquals(hex(bench.slots[rd]), hex(want), where);
      assertEquals(outcome, { kind: "next", pc: BigInt(PC + 4) }, where);
    }
  }
}

const registers = (random: Random) => ({
  b: random.chance(0.3) ? BigInt(random.below(70)) : integer(random),
  fields: { rs2: 6 },
});
const nothing = () => ({ b: 0n, fields: {} });
const immediate = (random: Random) => {
  const imm = random.between(-2048, 2047);
  return { b: BigInt(imm), fields: { imm } };
};
const shamt = (bits: number) => (random: Random) => {
  const count = random.below(bits);
  return { b: BigInt(count), fields: { shamt: count } };
};

Deno.test("lift computes what the manual says when instructions work on integer registers", () => {
  for (const xlen of XLENS) {
    check(xlen, REGISTER, registers);
    check(xlen, UNARY, nothing);
    check(xlen, IMMEDIATE, immediate);
    check(xlen, SHIFT, shamt(xlen));
  }
  check(64, REGISTER_64, registers);
  check(64, UNARY_64, nothing);
  check(64, IMMEDIATE_64, immediate);
  check(64, SHIFT_64, shamt(64));
  check(64, SHIFT_W, shamt(32));
});

Deno.test("lift makes constants when instructions have an upper immediate", () => {
  for (const xlen of XLENS) {
    for (const imm of [0, 0x1000, 0x7fff_f000, -0x8000_0000, -0x1000]) {
      const bench = new Bench(xlen);
      bench.run("lui", { rd: 5, imm });
      assertEquals(bench.slots[5], BigInt(imm));
      bench.run("auipc", { rd: 6, imm });
      assertEquals(bench.slots[6], s(xlen, BigInt(PC + imm)));
    }
  }
});

const BRANCH: Record<string, Register> = {
  beq: (a, b) => a === b ? 1n : 0n,
  bne: (a, b) => a !== b ? 1n : 0n,
  blt: REGISTER.slt,
  bge: (a, b, n) => 1n - REGISTER.slt(a, b, n),
  bltu: REGISTER.sltu,
  bgeu: (a, b, n) => 1n - REGISTER.sltu(a, b, n),
};

Deno.test("lift goes where the manual says when instructions branch or jump", () => {
  const random = new Random(3);
  for (const xlen of XLENS) {
    for (const [name, taken] of Object.entries(BRANCH)) {
      for (let i = 0; i < 40; i++) {
        const a = u(xlen, integer(random)), b = i % 3 ? u(xlen, integer(random)) : a;
        const imm = 2 * random.between(-2048, 2047);
        const outcome = new Bench(xlen).x(5, a).x(6, b).run(name, { rs1: 5, rs2: 6, imm });
        const pc = BigInt(PC + (taken(a, b, xlen) ? imm : 4));
        assertEquals(outcome, { kind: "next", pc }, `${name} ${hex(a)} ${hex(b)}`);
      }
    }
    const back = new Bench(xlen);
    assertEquals(back.run("jal", { rd: 1, imm: -8 }), { kind: "next", pc: BigInt(PC - 8) });
    assertEquals(back.slots[1], s(xlen, BigInt(PC + 4)));
    // rd = rs1, an odd target, and a sum that wraps on RV32.
    const there = new Bench(xlen).x(1, 0xffff_fff0n);
    const target = u(xlen, s(xlen, 0xffff_fff0n) + 0x15n) & ~1n;
    assertEquals(there.run("jalr", { rd: 1, rs1: 1, imm: 0x15 }), { kind: "next", pc: target });
    assertEquals(there.slots[1], s(xlen, BigInt(PC + 4)));
  }
});

Deno.test("lift traps with its reason when instructions ask for it", () => {
  const trap = (reason: number, length = 4): Outcome => ({
    kind: "trap",
    reason,
    pc: BigInt(PC),
    length,
  });
  for (const xlen of XLENS) {
    const bench = new Bench(xlen);
    assertEquals(bench.run("ecall", {}), trap(Trap.SYSCALL));
    assertEquals(bench.run("ebreak", {}), trap(Trap.BREAKPOINT));
    assertEquals(bench.run("c.ebreak", {}), trap(Trap.BREAKPOINT, 2));
    assertEquals(bench.run("trapdoor", {}), trap(Trap.BACKDOOR));
    assertEquals(tablesOf(xlen).assemble("trapdoor"), BACKDOOR_INSTRUCTION);
    assertEquals(bench.run("c.unimp", {}), trap(Trap.ILLEGAL, 2));
    assertEquals(bench.slots.every((slot) => slot === 0n || slot === -1n), true);
  }
});

const LOADS: Record<string, [bytes: number, load: (value: bigint) => bigint, xlen?: 64]> = {
  lb: [1, (v) => s(8, v)],
  lh: [2, (v) => s(16, v)],
  lw: [4, (v) => s(32, v)],
  lbu: [1, (v) => v],
  lhu: [2, (v) => v],
  lwu: [4, (v) => v, 64],
  ld: [8, (v) => v, 64],
  flw: [4, (v) => v | 0xffff_ffffn << 32n],
  fld: [8, (v) => v],
};
const STORES: Record<string, [bytes: number, xlen?: 64]> = {
  sb: [1],
  sh: [2],
  sw: [4],
  sd: [8, 64],
  fsw: [4],
  fsd: [8],
};

Deno.test("lift loads and stores when addresses are near 0, wrap, or can't be accessed", () => {
  const value = 0x8091_a2b3_c4d5_e6f7n;
  for (const xlen of XLENS) {
    for (const base of [0x1000n, 0x7ffn, -1n, -8n, 0x7fff_ff00n]) {
      for (const imm of [-2048, -1, 0, 1, 2047]) {
        const address = u(xlen, base + BigInt(imm));
        // Nothing is said of accesses across the top of memory.
        if (address + 8n > 1n << BigInt(xlen)) continue;
        for (const [name, [bytes, load, only]] of Object.entries(LOADS)) {
          if (only !== undefined && only !== xlen) continue;
          const bench = new Bench(xlen, (at) => at >= address && at < address + BigInt(bytes));
          bench.x(5, base).memory.write(address, bytes, value);
          const rd = name.startsWith("f") ? F_BASE + 5 : 5;
          assertEquals(bench.run(name, { rd: 5, rs1: 5, imm }).kind, "next");
          assertEquals(hex(bench.slots[rd]), hex(load(u(8 * bytes, value))), name);
          const denied = new Bench(xlen, () => false).x(5, base);
          assertEquals(denied.run(name, { rd: 5, rs1: 5, imm }), {
            kind: "fault",
            reason: Trap.LOAD_FAULT,
            pc: BigInt(PC),
            address,
          });
          assertEquals(denied.slots[5], s(xlen, base));
        }
        for (const [name, [bytes, only]] of Object.entries(STORES)) {
          if (only !== undefined && only !== xlen) continue;
          const source = name.startsWith("f") ? F_BASE + 6 : 6;
          const bench = new Bench(xlen, (at, write) => write && at >= address).x(5, base);
          bench.slots[source] = xlen === 32 && source === 6 ? s(32, value) : s(64, value);
          assertEquals(bench.run(name, { rs1: 5, rs2: 6, imm }).kind, "next");
          assertEquals(bench.memory.bytes.size, bytes);
          assertEquals(bench.memory.read(address, bytes), u(8 * bytes, value), name);
        }
      }
    }
  }
});

Deno.test("lift zeroes the block around an address when it meets cbo.zero", () => {
  for (const xlen of XLENS) {
    const bench = new Bench(xlen).x(5, -0x0101n);
    const start = u(xlen, -0x140n);
    for (let i = -1n; i <= 64n; i++) bench.memory.write(start + i, 1, 0xaan);
    bench.run("cbo.zero", { rs1: 5 });
    const left = [...bench.memory.bytes.keys()].map((at) => at - start).sort((a, b) =>
      Number(a - b)
    );
    assertEquals(left, [-1n, 64n]);
  }
});

Deno.test("lift exchanges with memory when instructions are atomic", () => {
  for (const xlen of XLENS) {
    const bench = new Bench(xlen).x(5, 0x1000n).x(6, 9n);
    bench.memory.write(0x1000n, 4, 0xffff_fffbn);
    assertEquals(bench.run("amoadd.w", { rd: 7, rs1: 5, rs2: 6, aq: 1 }).kind, "next");
    assertEquals([bench.slots[7], bench.memory.read(0x1000n, 8)], [-5n, 4n]);
    bench.run("amomin.w", { rd: 5, rs1: 5, rs2: 7 });
    assertEquals([bench.slots[5], bench.memory.read(0x1000n, 4)], [4n, 0xffff_fffbn]);
    bench.x(5, 0x1000n).run("lr.w", { rd: 8, rs1: 5 });
    assertEquals(bench.slots[8], -5n);
    bench.run("sc.w", { rd: 8, rs1: 5, rs2: 6 });
    assertEquals([bench.slots[8], bench.memory.read(0x1000n, 4)], [0n, 9n]);
    bench.run("sc.w", { rd: 8, rs1: 5, rs2: 5 });
    assertEquals([bench.slots[8], bench.memory.read(0x1000n, 4)], [1n, 9n]);
    const fault = bench.x(5, 0x1002n).run("amoor.w", { rd: 7, rs1: 5, rs2: 6 });
    assertEquals(fault.kind === "fault" && fault.reason, Trap.MISALIGNED);
  }
});

Deno.test("lift reads and writes CSRs when they are those of user level", () => {
  for (const xlen of XLENS) {
    const bench = new Bench(xlen).x(5, 0xffn);
    bench.slots[Slot.FP_FLAGS] = 0x10n;
    bench.slots[Slot.FP_RM] = 3n;
    bench.run("csrrw", { rd: 5, csr: 3, rs1: 5 });
    assertEquals([bench.slots[5], bench.slots[Slot.FP_FLAGS], bench.slots[Slot.FP_RM]], [
      0x70n,
      0x1fn,
      7n,
    ]);
    bench.run("csrrci", { rd: 6, csr: 1, uimm: 0x1e });
    assertEquals([bench.slots[6], bench.slots[Slot.FP_FLAGS]], [0x1fn, 1n]);
    bench.run("csrrwi", { rd: 6, csr: 2, uimm: 0 });
    assertEquals([bench.slots[6], bench.slots[Slot.FP_FAST]], [7n, 1n]);
    bench.run("csrrs", { rd: 6, csr: 3, rs1: 0 });
    assertEquals(bench.slots[6], 1n);
    bench.outside = { ...unexpected, counter: (op) => op === Op.icount ? -2n : 5n << 32n };
    bench.run("csrrs", { rd: 6, csr: 0xc02, rs1: 0 });
    assertEquals(bench.slots[6], -2n);
    if (xlen === 64) continue;
    bench.run("csrrs", { rd: 6, csr: 0xc81, rs1: 0 });
    assertEquals(bench.slots[6], 5n);
  }
});

testExcept("lift makes one record when an instruction is one op", () => {
  const bench = new Bench(64);
  const single: [string, Fields][] = [
    ["addi", { rd: 5, rs1: 5, imm: 1 }],
    ["add", { rd: 5, rs1: 6, rs2: 7 }],
    ["ld", { rd: 5, rs1: 5, imm: 8 }],
    ["fld", { rd: 5, rs1: 5, imm: 8 }],
    ["flw", { rd: 5, rs1: 5, imm: 8 }],
    ["fsd", { rs2: 5, rs1: 5, imm: 8 }],
    ["fadd.d", { rd: 5, rs1: 5, rs2: 6, rm: 7 }],
    ["fmadd.d", { rd: 5, rs1: 5, rs2: 6, rs3: 5, rm: 7 }],
    ["fsgnj.d", { rd: 5, rs1: 6, rs2: 6 }],
    ["fle.d", { rd: 5, rs1: 6, rs2: 6 }],
    ["fmv.x.d", { rd: 5, rs1: 6 }],
    ["czero.eqz", { rd: 5, rs1: 6, rs2: 7 }],
    ["clz", { rd: 5, rs1: 6 }],
    ["max", { rd: 5, rs1: 6, rs2: 5 }],
  ];
  for (const [name, fields] of single) {
    // The instruction's record, and the jump and link that the test adds.
    assertEquals(bench.block(name, fields).code.length, 3 * WORDS, name);
  }
});
