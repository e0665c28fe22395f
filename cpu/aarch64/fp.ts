/**
 * Scalar floating point.
 *
 * Source: Arm Architecture Reference Manual (DDI 0487), C4.1.96 "Data Processing - Scalar Floating-Point and Advanced
 * SIMD", C7.2.
 *
 * @module
 */
import {
  d,
  Fp,
  type FpContext,
  type FpLift,
  type FpRow,
  opNumber,
  row,
  setD,
  Slot,
  slotOf,
  type Value,
} from "./fp_lifter.ts";

/** Static rounding modes by the last letter of an instruction's name. */
const MODES: Readonly<Record<string, number>> = { N: 0, Z: 1, M: 2, P: 3, A: 4 };
const DYNAMIC = 7;

/** What differs between the precisions: the type field, bits. */
const FORMATS = [{ type: "00", bits: 32 }, { type: "01", bits: 64 }] as const;

/** The constant that an 8-bit immediate stands for (VFPExpandImm), as two words. */
export function expandImm(imm8: number, bits: 32 | 64): [lo: number, hi: number] {
  const sign = imm8 >> 7, exponent = imm8 >> 4 & 7, fraction = imm8 & 15;
  const value = (1 + fraction / 16) * 2 ** (exponent >= 4 ? exponent - 7 : exponent + 1);
  const view = new DataView(new ArrayBuffer(8));
  if (bits === 32) {
    view.setFloat32(0, sign ? -value : value);
    return [view.getInt32(0), 0];
  }
  view.setFloat64(0, sign ? -value : value);
  return [view.getInt32(4), view.getInt32(0)];
}

function fp(c: FpContext, name: string, a: Value, b: Value, other: Value, j: number): Value {
  return c.b.float(opNumber(name), a, b, other, j);
}

/** The sign bit. */
const signBit = (c: FpContext, bits: number) =>
  bits === 64 ? c.b.imm64(0, -0x8000_0000) : c.b.imm64(-0x8000_0000, 0);
/** A scalar's bits with zeros above. */
const bitsOf = (c: FpContext, n: number, bits: number) =>
  bits === 64 ? d(c, n) : c.b.zext32(d(c, n));

function rowsOf({ type, bits }: typeof FORMATS[number]): FpRow[] {
  const r = bits === 64 ? "d" : "s";
  const [asm1, asm2] = [`{${r}d}, {${r}n}`, `{${r}d}, {${r}n}, {${r}m}`], asm3 = `${asm2}, {${r}a}`;
  const [toX, fromX] = [`{rd}, {${r}n}`, `{${r}d}, {rn}`];
  const one = `000 11110 ${type} 1`, two = `000 11110 ${type} 1 rm`, three = `000 11111 ${type}`;
  const arithmetic = (op: string): FpLift => (c, f) =>
    setD(c, f.rd, fp(c, `${op}${bits}`, d(c, f.rn), d(c, f.rm), Slot.ZERO, DYNAMIC));
  const choose = (op: string): FpLift => (c, f) =>
    setD(c, f.rd, fp(c, `${op}${bits}`, d(c, f.rn), d(c, f.rm), Slot.ZERO, 0));
  const fused = (flags: number): FpLift => (c, f) =>
    setD(c, f.rd, fp(c, `fma${bits}`, d(c, f.rn), d(c, f.rm), d(c, f.ra), DYNAMIC | flags));
  const round = (j: number): FpLift => (c, f) =>
    setD(c, f.rd, fp(c, `frint${bits}`, d(c, f.rn), Slot.ZERO, Slot.ZERO, j));
  const compare = (zero: boolean, flags: number): FpLift => (c, f) =>
    c.setFloatFlags(
      fp(c, `fcmp${bits}`, d(c, f.rn), zero ? Slot.ZERO : d(c, f.rm), Slot.ZERO, flags),
    );
  const conditional = (flags: number): FpLift => (c, f) => {
    // Where the condition does not hold, zeros are compared, which raises nothing.
    const holds = c.condition(f.cond);
    const [x, y] = [f.rn, f.rm].map((n) => c.b.select(holds, d(c, n), Slot.ZERO));
    const compared = fp(c, `fcmp${bits}`, x, y, Slot.ZERO, flags);
    c.setFlags(c.b.select(holds, compared, c.b.imm(f.nzcv)));
  };
  const toInt = (letter: string, sign: string): FpLift => (c, f) => {
    const width = f.sf ? 64 : 32;
    const value = fp(
      c,
      `cvt${sign}${width}F${bits}`,
      d(c, f.rn),
      Slot.ZERO,
      Slot.ZERO,
      MODES[letter],
    );
    c.setX(f.rd, f.sf ? value : c.b.zext32(value));
  };
  const fromInt = (sign: string): FpLift => (c, f) => {
    const width = f.sf ? 64 : 32;
    setD(c, f.rd, fp(c, `cvtF${bits}${sign}${width}`, c.x(f.rn), Slot.ZERO, Slot.ZERO, DYNAMIC));
  };
  const toFixed = (sign: string): FpLift => (c, f) => {
    const op = `fix${sign}${f.sf ? 64 : 32}F${bits}`, j = 64 - f.scale << 16 | MODES.Z;
    const value = fp(c, op, d(c, f.rn), Slot.ZERO, Slot.ZERO, j);
    c.setX(f.rd, f.sf ? value : c.b.zext32(value));
  };
  const fromFixed = (sign: string): FpLift => (c, f) => {
    const op = `unfix${sign}${f.sf ? 64 : 32}F${bits}`, j = 64 - f.scale << 16 | DYNAMIC;
    setD(c, f.rd, fp(c, op, c.x(f.rn), Slot.ZERO, Slot.ZERO, j));
  };
  /** Fixed point in a 32-bit register has at most 32 bits of fraction. */
  const scaled = (f: Record<string, number>) => f.sf === 1 || f.scale >= 32;
  const conversions = ["N", "P", "M", "Z"].flatMap((letter, i) =>
    ["S", "U"].map((sign, k) =>
      row(
        `fcvt${letter}${sign}`.toLowerCase(),
        `sf 0011110 ${type} 1 ${i.toString(2).padStart(2, "0")} 00${k} 000000 rn rd`,
        toX,
        toInt(letter, sign),
      )
    )
  );

  return [
    row("fmov", `${one} 000000 10000 rn rd`, asm1, (c, f) => setD(c, f.rd, bitsOf(c, f.rn, bits))),
    row("fabs", `${one} 000001 10000 rn rd`, asm1, (c, f) => {
      const mask = bits === 64 ? c.b.imm64(-1, 0x7fff_ffff) : c.b.imm(0x7fff_ffff);
      setD(c, f.rd, c.b.and(d(c, f.rn), mask));
    }),
    row("fneg", `${one} 000010 10000 rn rd`, asm1, (c, f) => {
      setD(c, f.rd, c.b.xor(bitsOf(c, f.rn, bits), signBit(c, bits)));
    }),
    row("fsqrt", `${one} 000011 10000 rn rd`, asm1, (c, f) => {
      setD(c, f.rd, fp(c, `fsqrt${bits}`, d(c, f.rn), Slot.ZERO, Slot.ZERO, DYNAMIC));
    }),
    row("frintn", `${one} 001000 10000 rn rd`, asm1, round(MODES.N)),
    row("frintp", `${one} 001001 10000 rn rd`, asm1, round(MODES.P)),
    row("frintm", `${one} 001010 10000 rn rd`, asm1, round(MODES.M)),
    row("frintz", `${one} 001011 10000 rn rd`, asm1, round(MODES.Z)),
    row("frinta", `${one} 001100 10000 rn rd`, asm1, round(MODES.A)),
    row("frintx", `${one} 001110 10000 rn rd`, asm1, round(DYNAMIC | Fp.EXACT)),
    row("frinti", `${one} 001111 10000 rn rd`, asm1, round(DYNAMIC)),
    row("fmul", `${two} 0000 10 rn rd`, asm2, arithmetic("fmul")),
    row("fdiv", `${two} 0001 10 rn rd`, asm2, arithmetic("fdiv")),
    row("fadd", `${two} 0010 10 rn rd`, asm2, arithmetic("fadd")),
    row("fsub", `${two} 0011 10 rn rd`, asm2, arithmetic("fsub")),
    row("fmax", `${two} 0100 10 rn rd`, asm2, choose("fmaximum")),
    row("fmin", `${two} 0101 10 rn rd`, asm2, choose("fminimum")),
    row("fmaxnm", `${two} 0110 10 rn rd`, asm2, choose("fmaxnum")),
    row("fminnm", `${two} 0111 10 rn rd`, asm2, choose("fminnum")),
    row("fnmul", `${two} 1000 10 rn rd`, asm2, (c, f) => {
      const product = fp(c, `fmul${bits}`, d(c, f.rn), d(c, f.rm), Slot.ZERO, DYNAMIC);
      setD(c, f.rd, c.b.xor(product, signBit(c, bits)));
    }),
    row("fmadd", `${three} 0 rm 0 ra rn rd`, asm3, fused(0)),
    row("fmsub", `${three} 0 rm 1 ra rn rd`, asm3, fused(Fp.NEG_PRODUCT)),
    row("fnmadd", `${three} 1 rm 0 ra rn rd`, asm3, fused(Fp.NEG_PRODUCT | Fp.NEG_ADDEND)),
    row("fnmsub", `${three} 1 rm 1 ra rn rd`, asm3, fused(Fp.NEG_ADDEND)),
    row("fcmp", `${two} 00 1000 rn 00000`, `{${r}n}, {${r}m}`, compare(false, 0)),
    row("fcmp", `${one} ..... 00 1000 rn 01000`, `{${r}n}, #0.0`, compare(true, 0)),
    row("fcmpe", `${two} 00 1000 rn 10000`, `{${r}n}, {${r}m}`, compare(false, Fp.SIGNALING)),
    row("fcmpe", `${one} ..... 00 1000 rn 11000`, `{${r}n}, #0.0`, compare(true, Fp.SIGNALING)),
    row("fccmp", `${two} cond 01 rn 0 nzcv`, `{${r}n}, {${r}m}, {nzcv}, {cond}`, conditional(0)),
    row(
      "fccmpe",
      `${two} cond 01 rn 1 nzcv`,
      `{${r}n}, {${r}m}, {nzcv}, {cond}`,
      conditional(Fp.SIGNALING),
    ),
    row("fcsel", `${two} cond 11 rn rd`, `${asm2}, {cond}`, (c, f) => {
      const [yes, no] = [bitsOf(c, f.rn, bits), bitsOf(c, f.rm, bits)];
      setD(c, f.rd, c.b.select(c.condition(f.cond), yes, no));
    }),
    row("fmov", `${one} imm8 100 00000 rd`, `{${r}d}, {imm8${r}}`, (c, f) => {
      setD(c, f.rd, c.b.imm64(...expandImm(f.imm8, bits)));
    }),
    ...conversions,
    row("fcvtas", `sf 0011110 ${type} 1 00 100 000000 rn rd`, toX, toInt("A", "S")),
    row("fcvtau", `sf 0011110 ${type} 1 00 101 000000 rn rd`, toX, toInt("A", "U")),
    row("scvtf", `sf 0011110 ${type} 1 00 010 000000 rn rd`, fromX, fromInt("S")),
    row("ucvtf", `sf 0011110 ${type} 1 00 011 000000 rn rd`, fromX, fromInt("U")),
    row(
      "scvtf",
      `sf 0011110 ${type} 0 00 010 scale rn rd`,
      `${fromX}, {fbits}`,
      fromFixed("S"),
      scaled,
    ),
    row(
      "ucvtf",
      `sf 0011110 ${type} 0 00 011 scale rn rd`,
      `${fromX}, {fbits}`,
      fromFixed("U"),
      scaled,
    ),
    row(
      "fcvtzs",
      `sf 0011110 ${type} 0 11 000 scale rn rd`,
      `${toX}, {fbits}`,
      toFixed("S"),
      scaled,
    ),
    row(
      "fcvtzu",
      `sf 0011110 ${type} 0 11 001 scale rn rd`,
      `${toX}, {fbits}`,
      toFixed("U"),
      scaled,
    ),
  ];
}

/** A conversion between precisions. */
const convert = (op: string, j = DYNAMIC): FpLift => (c, f) =>
  setD(c, f.rd, fp(c, op, d(c, f.rn), Slot.ZERO, Slot.ZERO, j));

/** The rows of scalar floating point. */
export const FP_ROWS = (): FpRow[] => [
  ...FORMATS.flatMap(rowsOf),
  row("fcvt", "000 11110 00 1 000101 10000 rn rd", "{dd}, {sn}", convert("cvtF64F32")),
  row("fcvt", "000 11110 00 1 000111 10000 rn rd", "{hd}, {sn}", convert("cvtF16F32")),
  row("fcvt", "000 11110 01 1 000100 10000 rn rd", "{sd}, {dn}", convert("cvtF32F64")),
  row("fcvt", "000 11110 01 1 000111 10000 rn rd", "{hd}, {dn}", convert("cvtF16F64")),
  row("fcvt", "000 11110 11 1 000100 10000 rn rd", "{sd}, {hn}", convert("cvtF32F16")),
  row("fcvt", "000 11110 11 1 000101 10000 rn rd", "{dd}, {hn}", convert("cvtF64F16")),
  row("fmov", "0 0011110 00 1 00 110 000000 rn rd", "{rd32}, {sn}", (c, f) => {
    c.setX(f.rd, c.b.zext32(d(c, f.rn)));
  }),
  row(
    "fmov",
    "0 0011110 00 1 00 111 000000 rn rd",
    "{sd}, {rn32}",
    (c, f) => setD(c, f.rd, c.b.zext32(c.x(f.rn))),
  ),
  row(
    "fmov",
    "1 0011110 01 1 00 110 000000 rn rd",
    "{rd64}, {dn}",
    (c, f) => c.setX(f.rd, d(c, f.rn)),
  ),
  row(
    "fmov",
    "1 0011110 01 1 00 111 000000 rn rd",
    "{dd}, {rn64}",
    (c, f) => setD(c, f.rd, c.x(f.rn)),
  ),
  row("fmov", "1 0011110 10 1 01 110 000000 rn rd", "{rd64}, {high:rn}", (c, f) => {
    c.setX(f.rd, c.b.read(slotOf(f.rn) + 1));
  }),
  row("fmov", "1 0011110 10 1 01 111 000000 rn rd", "{high:rd}, {rn64}", (c, f) => {
    c.b.write(slotOf(f.rd) + 1, c.x(f.rn));
  }),
];
