import { assertEquals } from "@std/assert";
import { Fp, Op } from "../cpu/ir/ops.ts";
import { F_BASE } from "../cpu/riscv/state.ts";
import { tablesOf } from "./fuzz/encode.ts";
import { integer, Random } from "./fuzz/random.ts";
import { Bench, type Fields, hex, s, u, XLENS } from "./riscv_bench.ts";

const BOX = 0xffff_ffffn << 32n;
const NAN = 0x7fc0_0000n;

Deno.test("lift moves bits alone when instructions inject signs or move between registers", () => {
  const random = new Random(11);
  const signs: Record<string, (a: bigint, b: bigint) => bigint> = {
    fsgnj: (_, b) => b,
    fsgnjn: (_, b) => 1n - b,
    fsgnjx: (a, b) => a ^ b,
  };
  for (const xlen of XLENS) {
    for (let i = 0; i < 200; i++) {
      const pick = () =>
        random.chance(0.6) ? BOX | integer(random) & 0xffff_ffffn : integer(random);
      const same = i % 4 === 0, x = pick(), y = same ? x : pick();
      for (const [name, sign] of Object.entries(signs)) {
        for (const [suffix, bits] of [["s", 32], ["d", 64]] as const) {
          const value = (v: bigint) =>
            bits === 64 ? u(64, v) : u(64, v) >> 32n === 0xffff_ffffn ? u(32, v) : NAN;
          const [a, b] = [value(x), value(y)], top = BigInt(bits - 1);
          const want = u(bits - 1, a) | sign(a >> top, b >> top) << top | (bits === 32 ? BOX : 0n);
          const bench = new Bench(xlen);
          bench.slots[F_BASE + 1] = s(64, x);
          bench.slots[F_BASE + 2] = s(64, y);
          bench.run(`${name}.${suffix}`, { rd: i % 3, rs1: 1, rs2: same ? 1 : 2 });
          assertEquals(
            hex(bench.slots[F_BASE + i % 3]),
            hex(want),
            `${name}.${suffix} ${hex(x)} ${hex(y)}`,
          );
        }
      }
      const bench = new Bench(xlen).x(5, x);
      bench.run("fmv.w.x", { rd: 5, rs1: 5 });
      assertEquals(hex(bench.slots[F_BASE + 5]), hex(BOX | u(32, x)));
      bench.slots[F_BASE + 6] = s(64, x);
      bench.run("fmv.x.w", { rd: 6, rs1: 6 });
      assertEquals(bench.slots[6], s(32, x));
      if (xlen === 32) continue;
      bench.run("fmv.d.x", { rd: 7, rs1: 5 });
      assertEquals(bench.slots[F_BASE + 7], s(64, x));
      bench.run("fmv.x.d", { rd: 8, rs1: 7 });
      assertEquals(bench.slots[8], s(64, x));
    }
  }
});

/** Which op an instruction becomes, and its j; everything else about it is the op's. */
const FLOAT_OPS: Record<string, [op: string, flags: number]> = {};
for (const [suffix, bits, boxed] of [["s", 32, Fp.BOXED], ["d", 64, 0]] as const) {
  FLOAT_OPS[`fmadd.${suffix}`] = [`fma${bits}`, boxed];
  FLOAT_OPS[`fmsub.${suffix}`] = [`fma${bits}`, boxed | Fp.NEG_ADDEND];
  FLOAT_OPS[`fnmsub.${suffix}`] = [`fma${bits}`, boxed | Fp.NEG_PRODUCT];
  FLOAT_OPS[`fnmadd.${suffix}`] = [`fma${bits}`, boxed | Fp.NEG_PRODUCT | Fp.NEG_ADDEND];
  for (const name of ["fadd", "fsub", "fmul", "fdiv"]) {
    FLOAT_OPS[`${name}.${suffix}`] = [`${name}${bits}`, boxed];
  }
  for (const name of ["fsqrt", "fmin", "fmax", "feq", "flt", "fle", "fclass"]) {
    FLOAT_OPS[`${name}.${suffix}`] = [`${name}${bits}`, boxed];
  }
  const integers = { w: "S32", wu: "U32", l: "S64", lu: "U64" };
  for (const [name, type] of Object.entries(integers)) {
    FLOAT_OPS[`fcvt.${suffix}.${name}`] = [`cvtF${bits}${type}`, boxed];
    FLOAT_OPS[`fcvt.${name}.${suffix}`] = [`cvt${type}F${bits}`, boxed];
  }
}
FLOAT_OPS["fcvt.s.d"] = ["cvtF32F64", Fp.BOXED];
FLOAT_OPS["fcvt.d.s"] = ["cvtF64F32", Fp.BOXED];

/** Instructions of which an operand or the result is an integer register. */
const FROM_X = /^fcvt\.[sd]\.(w|wu|l|lu)$/;
const TO_X = /^(fcvt\.(w|wu|l|lu)|feq|flt|fle|fclass)\./;

Deno.test("lift names the op, operands and rounding mode when instructions compute with floats", () => {
  for (const xlen of XLENS) {
    const tables = tablesOf(xlen);
    for (const [name, [op, flags]] of Object.entries(FLOAT_OPS)) {
      const only64 = /\.(l|lu)(\.|$)/.test(name);
      assertEquals(tables.has(name), !only64 || xlen === 64, name);
      if (!tables.has(name)) continue;
      const fields = tables.row(name).extractors.map((e) => e.name);
      const modes = fields.includes("rm") ? [0, 1, 2, 3, 4, 7] : [0];
      for (const rm of modes) {
        const bench = new Bench(xlen);
        const calls: unknown[] = [];
        bench.slots.set([0n, 101n, 102n, 103n], 0);
        bench.slots.set([200n, 201n, 202n, 203n], F_BASE);
        bench.outside = {
          float: (...call) => {
            calls.push(call);
            return 77n;
          },
          counter: () => 0n,
        };
        const registers: Fields = { rd: 9, rs1: 1, rs2: 2, rs3: 3 };
        const given = Object.fromEntries(
          fields.map((field) => [field, field === "rm" ? rm : registers[field]]),
        );
        bench.run(name, given);
        const fast = rm === 0 || rm === 7, splits = /^f(add|sub|mul|div)\d/.test(op);
        const code = Op[splits && !fast ? `${op}r` : op];
        const a = FROM_X.test(name) ? 101n : 201n;
        const [b, c] = [fields.includes("rs2") ? 202n : 0n, fields.includes("rs3") ? 203n : 0n];
        assertEquals(calls, [[code, a, b, c, rm | flags]], `${name} rm=${rm}`);
        assertEquals(bench.slots[(TO_X.test(name) ? 0 : F_BASE) + 9], 77n, name);
      }
    }
    const floats = tables.full.map((row) => row.row.name)
      .filter((name) => /^f(?!ence)/.test(name) && !(name in FLOAT_OPS)).sort();
    const moves = ["fld", "flw", "fmv.w.x", "fmv.x.w", "fsd", "fsw"];
    if (xlen === 64) moves.push("fmv.d.x", "fmv.x.d");
    for (const sign of ["", "n", "x"]) moves.push(`fsgnj${sign}.s`, `fsgnj${sign}.d`);
    assertEquals(floats, moves.sort());
  }
});
