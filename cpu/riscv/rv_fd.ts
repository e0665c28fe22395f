/**
 * The F and D extensions: single- and double-precision floating point.
 *
 * Source: The RISC-V Instruction Set Manual, volume I, chapters "F" and "D". The two share their encodings but for
 * the format field, so both are made from one list. f registers are 64 bits wide: single-precision values are
 * NaN-boxed ("NaN Boxing of Narrower Values"), which `Fp.BOXED` and `unbox32` see to.
 *
 * @module
 */
import type { Value } from "../ir/builder.ts";
import { opNumber } from "../ir/ops.ts";
import type { Fields } from "../isa/decoder.ts";
import { Fp, type Lifter, Op, rows, type RvRow, Slot } from "./lifter.ts";

type Lift = (c: Lifter, f: Fields) => void;
type RowSpec = Parameters<typeof rows>[0];

/** What differs between the two precisions. */
interface Format {
  /** Suffix of mnemonics. */
  readonly suffix: "s" | "d";
  /** The format field. */
  readonly fmt: string;
  /** Bits of a value, as in op names. */
  readonly bits: 32 | 64;
  /** `Fp` flags of its ops. */
  readonly flags: number;
  /** An f register as a value of this format, for bitwise use. */
  readonly unboxed: (c: Lifter, n: number) => Value;
  /** The sign bit in a slot. */
  readonly sign: (c: Lifter) => Value;
}

const SINGLE: Format = {
  suffix: "s",
  fmt: "00",
  bits: 32,
  flags: Fp.BOXED,
  unboxed: (c, n) => c.b.op1(Op.unbox32, c.f(n)),
  sign: (c) => c.b.imm64(-0x8000_0000, 0),
};

const DOUBLE: Format = {
  suffix: "d",
  fmt: "01",
  bits: 64,
  flags: 0,
  unboxed: (c, n) => c.f(n),
  sign: (c) => c.b.imm64(0, -0x8000_0000),
};

/** An op with one operand and a rounding mode. */
function rounded(c: Lifter, f: Fields, op: number, flags: number, a: Value): Value | undefined {
  return c.round(op, op, f, flags, a, Slot.ZERO, Slot.ZERO);
}

/** Integer to floating point. */
const fromInt = (op: number, flags: number): Lift => (c, f) => {
  const value = rounded(c, f, op, flags, c.x(f.rs1));
  if (value !== undefined) c.setF(f.rd, value);
};
/** Floating point to integer. */
const toInt = (op: number, flags: number): Lift => (c, f) => {
  const value = rounded(c, f, op, flags, c.f(f.rs1));
  if (value !== undefined) c.setX(f.rd, value);
};
/** Floating point to floating point, one operand. */
const unary = (op: number, flags: number): Lift => (c, f) => {
  const value = rounded(c, f, op, flags, c.f(f.rs1));
  if (value !== undefined) c.setF(f.rd, value);
};

/** The rows that both formats have. */
function common(format: Format): RvRow[] {
  const { suffix, fmt, bits, flags } = format;
  const number = (name: string) => opNumber(`${name}${bits}`);

  const fused = (negations: number): Lift => (c, f) => {
    const op = number("fma");
    const value = c.round(op, op, f, flags | negations, c.f(f.rs1), c.f(f.rs2), c.f(f.rs3));
    if (value !== undefined) c.setF(f.rd, value);
  };
  const arithmetic = (name: string): Lift => (c, f) => {
    const [fast, any] = [number(name), opNumber(`${name}${bits}r`)];
    const value = c.round(fast, any, f, flags, c.f(f.rs1), c.f(f.rs2), Slot.ZERO);
    if (value !== undefined) c.setF(f.rd, value);
  };
  const choose = (name: string): Lift => (c, f) => {
    c.setF(f.rd, c.b.float(number(name), c.f(f.rs1), c.f(f.rs2), Slot.ZERO, flags));
  };
  const compare = (name: string): Lift => (c, f) => {
    c.setX(f.rd, c.b.float(number(name), c.f(f.rs1), c.f(f.rs2), Slot.ZERO, flags));
  };
  // Sign injection moves bits: no flags, no canonical NaN but for a value that isn't boxed.
  const inject = (
    same: (c: Lifter, a: Value, sign: Value) => Value,
    combine: (c: Lifter, a: Value, b: Value, sign: Value) => Value,
  ): Lift =>
  (c, f) => {
    const a = format.unboxed(c, f.rs1), sign = format.sign(c);
    if (f.rs1 === f.rs2) return c.setF(f.rd, same(c, a, sign));
    c.setF(f.rd, combine(c, a, format.unboxed(c, f.rs2), sign));
  };
  const magnitude = (c: Lifter, a: Value, sign: Value) => c.b.and(a, c.b.not(sign));

  const op = `${fmt} rs2 rs1 rm rd 1010011`;
  const fma = `rs3 ${fmt} rs2 rs1 rm rd `;
  const R3 = "{frd},{frs1},{frs2}";
  const [width, load, store] = bits === 32 ? ["010", Op.ldB32, Op.st32] : ["011", Op.ld64, Op.st64];
  const w = bits === 32 ? "w" : "d";
  const [toF, fromF] = [`cvtF${bits}`, `F${bits}`];
  /** FCVT to (`11000`) and from (`11010`) the integer type that rs2 and the op names call `kind`. */
  const convert = (name: string, rs2: string, kind: string, xlen?: 64): RowSpec[] => [
    [
      `fcvt.${name}.${suffix}`,
      `11000 ${fmt} ${rs2} rs1 rm rd 1010011`,
      "{rd},{frs1}{rm}",
      toInt(opNumber(`cvt${kind}${fromF}`), flags),
      xlen ? { xlen } : {},
    ],
    [
      `fcvt.${suffix}.${name}`,
      `11010 ${fmt} ${rs2} rs1 rm rd 1010011`,
      // Exact, so the rounding mode is by convention 0 and not written.
      bits === 64 && xlen === undefined ? "{frd},{rs1}{rmExact}" : "{frd},{rs1}{rm}",
      fromInt(opNumber(`${toF}${kind}`), flags),
      xlen ? { xlen } : {},
    ],
  ];

  return rows(
    [`fl${w}`, `imm rs1 ${width} rd 0000111`, "{frd},{imm}({rs1})", (c, f) => {
      c.setF(f.rd, c.load(load, f.rs1, f.imm));
    }],
    [`fs${w}`, `imm[11:5] rs2 rs1 ${width} imm[4:0] 0100111`, "{frs2},{imm}({rs1})", (c, f) => {
      c.store(store, f.rs1, f.imm, c.f(f.rs2));
    }],
    [`fmadd.${suffix}`, fma + "1000011", R3 + ",{frs3}{rm}", fused(0)],
    [`fmsub.${suffix}`, fma + "1000111", R3 + ",{frs3}{rm}", fused(Fp.NEG_ADDEND)],
    [`fnmsub.${suffix}`, fma + "1001011", R3 + ",{frs3}{rm}", fused(Fp.NEG_PRODUCT)],
    [
      `fnmadd.${suffix}`,
      fma + "1001111",
      R3 + ",{frs3}{rm}",
      fused(Fp.NEG_PRODUCT | Fp.NEG_ADDEND),
    ],
    [`fadd.${suffix}`, `00000 ${op}`, R3 + "{rm}", arithmetic("fadd")],
    [`fsub.${suffix}`, `00001 ${op}`, R3 + "{rm}", arithmetic("fsub")],
    [`fmul.${suffix}`, `00010 ${op}`, R3 + "{rm}", arithmetic("fmul")],
    [`fdiv.${suffix}`, `00011 ${op}`, R3 + "{rm}", arithmetic("fdiv")],
    [
      `fsqrt.${suffix}`,
      `01011 ${fmt} 00000 rs1 rm rd 1010011`,
      "{frd},{frs1}{rm}",
      unary(number("fsqrt"), flags),
    ],
    [
      `fsgnj.${suffix}`,
      `00100 ${fmt} rs2 rs1 000 rd 1010011`,
      R3,
      inject((_, a) => a, (c, a, b, s) => c.b.or(magnitude(c, a, s), c.b.and(b, s))),
    ],
    [
      `fsgnjn.${suffix}`,
      `00100 ${fmt} rs2 rs1 001 rd 1010011`,
      R3,
      inject(
        (c, a, s) => c.b.xor(a, s),
        (c, a, b, s) => c.b.or(magnitude(c, a, s), c.b.and(c.b.not(b), s)),
      ),
    ],
    [
      `fsgnjx.${suffix}`,
      `00100 ${fmt} rs2 rs1 010 rd 1010011`,
      R3,
      inject(magnitude, (c, a, b, s) => c.b.xor(a, c.b.and(b, s))),
    ],
    [`fmin.${suffix}`, `00101 ${fmt} rs2 rs1 000 rd 1010011`, R3, choose("fmin")],
    [`fmax.${suffix}`, `00101 ${fmt} rs2 rs1 001 rd 1010011`, R3, choose("fmax")],
    [`fle.${suffix}`, `10100 ${fmt} rs2 rs1 000 rd 1010011`, "{rd},{frs1},{frs2}", compare("fle")],
    [`flt.${suffix}`, `10100 ${fmt} rs2 rs1 001 rd 1010011`, "{rd},{frs1},{frs2}", compare("flt")],
    [`feq.${suffix}`, `10100 ${fmt} rs2 rs1 010 rd 1010011`, "{rd},{frs1},{frs2}", compare("feq")],
    [`fclass.${suffix}`, `11100 ${fmt} 00000 rs1 001 rd 1010011`, "{rd},{frs1}", (c, f) => {
      c.setX(f.rd, c.b.float(number("fclass"), c.f(f.rs1), Slot.ZERO, Slot.ZERO, flags));
    }],
    ...convert("w", "00000", "S32"),
    ...convert("wu", "00001", "U32"),
    ...convert("l", "00010", "S64", 64),
    ...convert("lu", "00011", "U64", 64),
  );
}

/** The rows of F. */
export const RV_F = (): RvRow[] => [
  ...common(SINGLE),
  ...rows(
    ["fmv.x.w", "11100 00 00000 rs1 000 rd 1010011", "{rd},{frs1}", (c, f) => {
      c.setX(f.rd, c.b.sext32(c.f(f.rs1)));
    }],
    ["fmv.w.x", "11110 00 00000 rs1 000 rd 1010011", "{frd},{rs1}", (c, f) => {
      c.setF(f.rd, c.b.or(c.x(f.rs1), c.b.imm64(0, -1)));
    }],
  ),
];

/** The rows of D. */
export const RV_D = (): RvRow[] => [
  ...common(DOUBLE),
  ...rows(
    [
      "fcvt.s.d",
      "01000 00 00001 rs1 rm rd 1010011",
      "{frd},{frs1}{rm}",
      unary(Op.cvtF32F64, Fp.BOXED),
    ],
    [
      "fcvt.d.s",
      "01000 01 00000 rs1 rm rd 1010011",
      "{frd},{frs1}{rmExact}",
      unary(Op.cvtF64F32, Fp.BOXED),
    ],
    ["fmv.x.d", "11100 01 00000 rs1 000 rd 1010011", "{rd},{frs1}", (c, f) => {
      c.setX(f.rd, c.f(f.rs1));
    }, { xlen: 64 }],
    ["fmv.d.x", "11110 01 00000 rs1 000 rd 1010011", "{frd},{rs1}", (c, f) => {
      c.setF(f.rd, c.x(f.rs1));
    }, { xlen: 64 }],
  ),
];
