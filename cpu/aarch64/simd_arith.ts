/**
 * Advanced SIMD arithmetic: three registers of one kind, two registers, registers of different widths, by element, and
 * across lanes; with their scalar forms.
 *
 * Source: Arm Architecture Reference Manual (DDI 0487), C4.1.96, C7.2.
 *
 * @module
 */
import {
  type Fields,
  firstLane,
  Fp,
  type FpContext,
  type FpLift,
  type FpRow,
  Op,
  row,
  setD,
  setV,
  slotOf,
  splat,
  v,
  type Value,
  vop,
  zeros,
} from "./fp_lifter.ts";

const DYNAMIC = 7, SAT = Fp.SATURATION;
const widthOf = (size: number) => 8 << size;
const isShort = (f: Fields) => f.size < 3;
/** 64-bit lanes need the whole register. */
const hasLanes = (f: Fields) => f.size < 3 || f.q === 1;
const isHalfOrWord = (f: Fields) => f.size === 1 || f.size === 2;
const isLong = (f: Fields) => f.size === 3;
const hasFloats = (f: Fields) => f.sz === 0 || f.q === 1;

/** What computes a result from vectors, for lanes of so many bits; `j` is for ops that take flags. */
type Binary = (c: FpContext, a: Value, b: Value, bits: number, old: Value) => Value;
type Unary = (c: FpContext, a: Value, bits: number, old: Value) => Value;

/** An op whose name ends in the width. */
const plain = (name: string): Binary => (c, a, b, bits) => vop(c, `${name}${bits}`, a, b);
const saturating = (name: string): Binary => (c, a, b, bits) =>
  vop(c, `${name}${bits}`, a, b, 0, SAT);
/** The difference of the larger and the smaller. */
const difference = (sign: string): Binary => (c, a, b, bits) =>
  vop(
    c,
    `vsub${bits}`,
    vop(c, `vmax${sign}${bits}`, a, b),
    vop(c, `vmin${sign}${bits}`, a, b),
  );
const accumulate = (name: string, f: Binary): Binary => (c, a, b, bits, old) =>
  vop(c, `${name}${bits}`, old, f(c, a, b, bits, old));
const half = (c: FpContext, sign: string, bits: number, a: Value) =>
  vop(c, `vshri${sign}${bits}`, a, 0, 0, 1);
/** (a + b) / 2, rounded down or up, without the carry: what both have plus half of what one has. */
const halvingAdd = (sign: string, up: boolean): Binary => (c, a, b, bits) => {
  const one = half(c, sign, bits, vop(c, "vxor", a, b));
  return up
    ? vop(c, `vsub${bits}`, vop(c, "vor", a, b), one)
    : vop(c, `vadd${bits}`, vop(c, "vand", a, b), one);
};
const halvingSub = (sign: string): Binary => (c, a, b, bits) =>
  vop(c, `vsub${bits}`, half(c, sign, bits, vop(c, "vxor", a, b)), vop(c, "vandn", b, a));
/** Neighbouring lanes of both operands. */
const pairs = (f: Binary): Binary => (c, a, b, bits, old) => {
  const [even, odd] = bits === 64 ? ["vzipL64", "vzipH64"] : [`vunzE${bits}`, `vunzO${bits}`];
  return f(c, vop(c, even, a, b), vop(c, odd, a, b), bits, old);
};
const not = (f: Binary): Binary => (c, a, b, bits, old) => vop(c, "vnot", f(c, a, b, bits, old));
const swapped = (f: Binary): Binary => (c, a, b, bits, old) => f(c, b, a, bits, old);

/** Three registers of one kind: name without sign, opcode, signed and unsigned meaning, which lanes; whether scalar. */
type Same = [
  name: string,
  opcode: string,
  u: 0 | 1,
  f: Binary,
  when: (f: Fields) => boolean,
  scalar?: ((f: Fields) => boolean) | undefined,
];
const ANY = () => true;
const both = (
  name: string,
  opcode: string,
  f: (sign: string) => Binary,
  when: (f: Fields) => boolean,
  scalar?: ((f: Fields) => boolean) | undefined,
): Same[] => [
  [`s${name}`, opcode, 0, f("S"), when, scalar],
  [`u${name}`, opcode, 1, f("U"), when, scalar],
];

const SAME: Same[] = [
  ...both("hadd", "00000", (s) => halvingAdd(s, false), isShort),
  ...both("qadd", "00001", (s) => saturating(`vaddQ${s}`), hasLanes, ANY),
  ...both("rhadd", "00010", (s) => halvingAdd(s, true), isShort),
  ...both("hsub", "00100", halvingSub, isShort),
  ...both("qsub", "00101", (s) => saturating(`vsubQ${s}`), hasLanes, ANY),
  ["cmgt", "00110", 0, plain("vgtS"), hasLanes, isLong],
  ["cmhi", "00110", 1, plain("vgtU"), hasLanes, isLong],
  ["cmge", "00111", 0, plain("vgeS"), hasLanes, isLong],
  ["cmhs", "00111", 1, plain("vgeU"), hasLanes, isLong],
  ...both("shl", "01000", (s) => plain(`vshl${s}`), hasLanes, isLong),
  ...both("qshl", "01001", (s) => saturating(`vshlQ${s}`), hasLanes, ANY),
  ...both("rshl", "01010", (s) => plain(`vshlR${s}`), hasLanes, isLong),
  ...both("qrshl", "01011", (s) => saturating(`vshlQR${s}`), hasLanes, ANY),
  ...both("max", "01100", (s) => plain(`vmax${s}`), isShort),
  ...both("min", "01101", (s) => plain(`vmin${s}`), isShort),
  ...both("abd", "01110", difference, isShort),
  ...both("aba", "01111", (s) => accumulate("vadd", difference(s)), isShort),
  ["add", "10000", 0, plain("vadd"), hasLanes, isLong],
  ["sub", "10000", 1, plain("vsub"), hasLanes, isLong],
  [
    "cmtst",
    "10001",
    0,
    (c, a, b, bits) => vop(c, "vnot", vop(c, `veq${bits}`, vop(c, "vand", a, b), zeros(c))),
    hasLanes,
    isLong,
  ],
  ["cmeq", "10001", 1, plain("veq"), hasLanes, isLong],
  ["mla", "10010", 0, accumulate("vadd", plain("vmul")), isShort],
  ["mls", "10010", 1, accumulate("vsub", plain("vmul")), isShort],
  ["mul", "10011", 0, plain("vmul"), isShort],
  ["pmul", "10011", 1, plain("vpmul"), (f) => f.size === 0],
  ...both("maxp", "10100", (s) => pairs(plain(`vmax${s}`)), isShort),
  ...both("minp", "10101", (s) => pairs(plain(`vmin${s}`)), isShort),
  ["sqdmulh", "10110", 0, saturating("vmulhQ"), isHalfOrWord, isHalfOrWord],
  ["sqrdmulh", "10110", 1, saturating("vmulhQR"), isHalfOrWord, isHalfOrWord],
  ["addp", "10111", 0, pairs(plain("vadd")), hasLanes],
];

/** Operands as 64 or 128 bits: where a saturating op must not see what is no lane, it is 0. */
const lowOf = (c: FpContext, n: number, q: number) => q ? v(n) : c.b.vector(Op.vlow, v(n));
/** For pairs of 64-bit registers: both in one vector. */
const isPairwise = (name: string) => name.endsWith("p") && name !== "cmp";

const SAME_TEXT = "{vd:size}, {vn:size}, {vm:size}";

function sameRows([name, opcode, u, f, when, scalar]: Same): FpRow[] {
  const saturates = /q/.test(name) && !/eq/.test(name);
  const rows = [
    row(name, `0 q ${u} 01110 size 1 rm ${opcode} 1 rn rd`, SAME_TEXT, (c, o) => {
      const bits = widthOf(o.size);
      if (isPairwise(name) && !o.q) {
        // Both halves in one vector, and the lanes by turns.
        const joined = vop(c, "vzipL64", v(o.rn), v(o.rm));
        return setV(c, o.rd, f(c, joined, joined, bits, v(o.rd)), 0);
      }
      const [a, b] = saturates ? [lowOf(c, o.rn, o.q), lowOf(c, o.rm, o.q)] : [v(o.rn), v(o.rm)];
      setV(c, o.rd, f(c, a, b, bits, v(o.rd)), o.q);
    }, when),
  ];
  if (scalar) {
    rows.push(
      row(
        name,
        `01 ${u} 11110 size 1 rm ${opcode} 1 rn rd`,
        "{fd:size}, {fn:size}, {fm:size}",
        (c, o) => {
          const bits = widthOf(o.size);
          const [a, b] = saturates
            ? [firstLane(c, bits, v(o.rn)), firstLane(c, bits, v(o.rm))]
            : [v(o.rn), v(o.rm)];
          c.b.writePair(slotOf(o.rd), firstLane(c, bits, f(c, a, b, bits, v(o.rd))));
        },
        scalar,
      ),
    );
  }
  return rows;
}

/** Bitwise operations, by size field. */
const BITWISE: [
  name: string,
  u: number,
  size: string,
  f: (c: FpContext, a: Value, b: Value, old: Value) => Value,
][] = [
  ["and", 0, "00", (c, a, b) => vop(c, "vand", a, b)],
  ["bic", 0, "01", (c, a, b) => vop(c, "vandn", a, b)],
  ["orr", 0, "10", (c, a, b) => a === b ? a : vop(c, "vor", a, b)],
  ["orn", 0, "11", (c, a, b) => vop(c, "vor", a, vop(c, "vnot", b))],
  ["eor", 1, "00", (c, a, b) => vop(c, "vxor", a, b)],
  ["bsl", 1, "01", (c, a, b, old) => vop(c, "vsel", a, b, old)],
  ["bit", 1, "10", (c, a, b, old) => vop(c, "vsel", a, old, b)],
  ["bif", 1, "11", (c, a, b, old) => vop(c, "vsel", old, a, b)],
];

// ---- floating point ----

type FloatBinary = (c: FpContext, a: Value, b: Value, bits: number, old: Value, j: number) => Value;
const float = (name: string): FloatBinary => (c, a, b, bits, _, j) =>
  vop(c, `${name}${bits}`, a, b, 0, j | DYNAMIC);
/** Ops that round nothing. */
const floatPlain = (name: string): FloatBinary => (c, a, b, bits, _, j) =>
  vop(c, `${name}${bits}`, a, b, 0, j);
const fused = (flags: number): FloatBinary => (c, a, b, bits, old, j) =>
  vop(c, `vfma${bits}`, a, b, old, j | DYNAMIC | flags);
const magnitude = (c: FpContext, a: Value, bits: number) =>
  vop(c, "vand", a, bits === 64 ? c.b.vectorConst(-1, 0x7fff_ffff) : splat(c, 32, 0x7fff_ffff));
const absoluteCompare = (name: string): FloatBinary => (c, a, b, bits, _, j) =>
  vop(c, `${name}${bits}`, magnitude(c, a, bits), magnitude(c, b, bits), 0, j);
const floatDifference: FloatBinary = (c, a, b, bits, old, j) =>
  magnitude(c, float("vfsub")(c, a, b, bits, old, j), bits);

const FLOAT_SAME: [
  name: string,
  u: number,
  a: number,
  opcode: string,
  f: FloatBinary,
  scalar?: true,
][] = [
  ["fmaxnm", 0, 0, "11000", floatPlain("vfmaxn")],
  ["fminnm", 0, 1, "11000", floatPlain("vfminn")],
  ["fmaxnmp", 1, 0, "11000", floatPlain("vfmaxn")],
  ["fminnmp", 1, 1, "11000", floatPlain("vfminn")],
  ["fmla", 0, 0, "11001", fused(0)],
  ["fmls", 0, 1, "11001", fused(Fp.NEG_PRODUCT)],
  ["fadd", 0, 0, "11010", float("vfadd")],
  ["fsub", 0, 1, "11010", float("vfsub")],
  ["faddp", 1, 0, "11010", float("vfadd")],
  ["fabd", 1, 1, "11010", floatDifference, true],
  ["fmulx", 0, 0, "11011", float("vfmulx"), true],
  ["fmul", 1, 0, "11011", float("vfmul")],
  ["fcmeq", 0, 0, "11100", floatPlain("vfeq"), true],
  ["fcmge", 1, 0, "11100", floatPlain("vfge"), true],
  ["fcmgt", 1, 1, "11100", floatPlain("vfgt"), true],
  ["facge", 1, 0, "11101", absoluteCompare("vfge"), true],
  ["facgt", 1, 1, "11101", absoluteCompare("vfgt"), true],
  ["fmax", 0, 0, "11110", floatPlain("vfmax")],
  ["fmin", 0, 1, "11110", floatPlain("vfmin")],
  ["fmaxp", 1, 0, "11110", floatPlain("vfmax")],
  ["fminp", 1, 1, "11110", floatPlain("vfmin")],
  ["frecps", 0, 0, "11111", float("vfrecipStep"), true],
  ["frsqrts", 0, 1, "11111", float("vfrsqrtStep"), true],
  ["fdiv", 1, 0, "11111", float("vfdiv")],
];

const floatWidth = (f: Fields) => f.sz ? 64 : 32;
const lowFlag = (q: number) => q ? 0 : Fp.LOW;

function floatSameRows([name, u, a, opcode, f, scalar]: typeof FLOAT_SAME[number]): FpRow[] {
  const isPair = isPairwise(name) && name !== "fcmp";
  const rows = [
    row(
      name,
      `0 q ${u} 01110 ${a} sz 1 rm ${opcode} 1 rn rd`,
      "{vd:sz}, {vn:sz}, {vm:sz}",
      (c, o) => {
        const bits = floatWidth(o);
        let [x, y] = [v(o.rn), v(o.rm)];
        if (isPair) {
          if (!o.q) x = y = vop(c, "vzipL64", x, y);
          const [even, odd] = bits === 64 ? ["vzipL64", "vzipH64"] : ["vunzE32", "vunzO32"];
          [x, y] = [vop(c, even, x, y), vop(c, odd, x, y)];
        }
        c.b.writePair(slotOf(o.rd), f(c, x, y, bits, v(o.rd), lowFlag(o.q)));
      },
      hasFloats,
    ),
  ];
  if (scalar) {
    rows.push(
      row(
        name,
        `01 ${u} 11110 ${a} sz 1 rm ${opcode} 1 rn rd`,
        "{fd:sz}, {fn:sz}, {fm:sz}",
        (c, o) => {
          c.b.writePair(slotOf(o.rd), f(c, v(o.rn), v(o.rm), floatWidth(o), v(o.rd), Fp.FIRST));
        },
      ),
    );
  }
  return rows;
}

// ---- two registers ----

/** Bytes of each `container` bits in the order of `lanes` bits reversed, as a mask for `shuffle`. */
function reverse(c: FpContext, a: Value, container: number, lane: number): Value {
  const words = [0, 0];
  for (let i = 0; i < 16; i++) {
    const at = i * 8, base = at - at % container, within = at % container;
    const from = base + container - lane - (within - within % lane) + within % lane;
    words[i >> 3] |= (from / 8) << 4 * (i & 7);
  }
  return c.b.shuffle(a, words[0], words[1]);
}

/** Bits of each byte reversed: of each half of it by a table. */
function reverseBits(c: FpContext, a: Value): Value {
  const table = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15];
  const word = (at: number) => table.slice(at, at + 4).reduce((sum, x, i) => sum | x << 8 * i, 0);
  const entries = c.b.vectorOf(c.b.imm64(word(0), word(4)), c.b.imm64(word(8), word(12)));
  const low = vop(c, "vtable", entries, vop(c, "vand", a, splat(c, 8, 15)));
  const high = vop(c, "vtable", entries, vop(c, "vshriU8", a, 0, 0, 4));
  return vop(c, "vor", vop(c, "vshli8", low, 0, 0, 4), high);
}

const one = (name: string): Unary => (c, a, bits) => vop(c, `${name}${bits}`, a);
const withZero = (f: Binary): Unary => (c, a, bits, old) => f(c, a, zeros(c), bits, old);
/** Leading bits that are like the sign, without it: those of what differs from its neighbour. */
const signBits: Unary = (c, a, bits) => {
  const differs = vop(c, "vxor", a, vop(c, `vshriS${bits}`, a, 0, 0, 1));
  return vop(c, `vsub${bits}`, vop(c, `vclz${bits}`, differs), splat(c, bits, 1));
};
const saturatingNeg: Unary = (c, a, bits) => vop(c, `vsubQS${bits}`, zeros(c), a, 0, SAT);
const saturatingAbs: Unary = (c, a, bits) => {
  const sign = vop(c, `vshriS${bits}`, a, 0, 0, bits - 1);
  return vop(c, `vsubQS${bits}`, vop(c, "vxor", a, sign), sign, 0, SAT);
};
const pairwiseLong = (sign: string, add: boolean): Unary => (c, a, bits, old) => {
  const sums = vop(c, `vaddlp${sign}${bits}`, a);
  return add ? vop(c, `vadd${2 * bits}`, old, sums) : sums;
};

type Misc = [
  name: string,
  u: number,
  opcode: string,
  f: Unary,
  when: (f: Fields) => boolean,
  scalar?: ((f: Fields) => boolean) | undefined,
];
const isByte = (f: Fields) => f.size === 0;
const MISC: Misc[] = [
  ["rev64", 0, "00000", (c, a, bits) => reverse(c, a, 64, bits), isShort],
  ["rev32", 1, "00000", (c, a, bits) => reverse(c, a, 32, bits), (f) => f.size < 2],
  ["rev16", 0, "00001", (c, a, bits) => reverse(c, a, 16, bits), isByte],
  ["saddlp", 0, "00010", pairwiseLong("S", false), isShort],
  ["uaddlp", 1, "00010", pairwiseLong("U", false), isShort],
  [
    "suqadd",
    0,
    "00011",
    (c, a, bits, old) => vop(c, `vaddQXS${bits}`, old, a, 0, SAT),
    hasLanes,
    ANY,
  ],
  [
    "usqadd",
    1,
    "00011",
    (c, a, bits, old) => vop(c, `vaddQXU${bits}`, old, a, 0, SAT),
    hasLanes,
    ANY,
  ],
  ["cls", 0, "00100", signBits, isShort],
  ["clz", 1, "00100", one("vclz"), isShort],
  ["cnt", 0, "00101", one("vcnt"), isByte],
  ["not", 1, "00101", (c, a) => vop(c, "vnot", a), isByte],
  ["rbit", 1, "00101", (c, a) => reverseBits(c, a), (f) => f.size === 1],
  ["sadalp", 0, "00110", pairwiseLong("S", true), isShort],
  ["uadalp", 1, "00110", pairwiseLong("U", true), isShort],
  ["sqabs", 0, "00111", saturatingAbs, hasLanes, ANY],
  ["sqneg", 1, "00111", saturatingNeg, hasLanes, ANY],
  ["cmgt", 0, "01000", withZero(plain("vgtS")), hasLanes, isLong],
  ["cmge", 1, "01000", withZero(plain("vgeS")), hasLanes, isLong],
  ["cmeq", 0, "01001", withZero(plain("veq")), hasLanes, isLong],
  ["cmle", 1, "01001", withZero(swapped(plain("vgeS"))), hasLanes, isLong],
  ["cmlt", 0, "01010", withZero(swapped(plain("vgtS"))), hasLanes, isLong],
  ["abs", 0, "01011", one("vabs"), hasLanes, isLong],
  ["neg", 1, "01011", one("vneg"), hasLanes, isLong],
];

function miscRows([name, u, opcode, f, when, scalar]: Misc): FpRow[] {
  // Size 1 is bytes for RBIT, comparisons with 0 name it, and sums of pairs have lanes of twice the width.
  const from = name === "rbit" ? "b" : "size", to = /lp$/.test(name) ? "pairs" : from;
  const zero = name.startsWith("cm") ? ", #0" : "";
  const saturates = /q/.test(name) && name !== "cmeq";
  const rows = [
    row(
      name,
      `0 q ${u} 01110 size 10000 ${opcode} 10 rn rd`,
      `{vd:${to}}, {vn:${from}}${zero}`,
      (c, o) => {
        const old = saturates ? lowOf(c, o.rd, o.q) : v(o.rd);
        const a = saturates ? lowOf(c, o.rn, o.q) : v(o.rn);
        setV(c, o.rd, f(c, a, widthOf(o.size), old), o.q);
      },
      when,
    ),
  ];
  if (scalar) {
    rows.push(
      row(
        name,
        `01 ${u} 11110 size 10000 ${opcode} 10 rn rd`,
        `{fd:size}, {fn:size}${zero}`,
        (c, o) => {
          const bits = widthOf(o.size), old = firstLane(c, bits, v(o.rd));
          const result = f(c, firstLane(c, bits, v(o.rn)), bits, old);
          c.b.writePair(slotOf(o.rd), firstLane(c, bits, result));
        },
        scalar,
      ),
    );
  }
  return rows;
}

/** Narrowing: to the low half, or to the high half of what is there. */
function narrowRows(
  name: string,
  u: number,
  opcode: string,
  op: string,
  j: number,
): FpRow[] {
  const rows = [
    row(name, `0 q ${u} 01110 size 10000 ${opcode} 10 rn rd`, "{2}{vd:size}, {vn:wide}", (c, o) => {
      const narrow = vop(c, `${op}${widthOf(o.size)}`, v(o.rn), 0, 0, j);
      putHalf(c, o, narrow);
    }, isShort),
  ];
  if (j !== 0) {
    rows.push(
      row(name, `01 ${u} 11110 size 10000 ${opcode} 10 rn rd`, "{fd:size}, {fn:wide}", (c, o) => {
        const bits = widthOf(o.size), a = firstLane(c, 2 * bits, v(o.rn));
        c.b.writePair(slotOf(o.rd), vop(c, `${op}${bits}`, a, 0, 0, j));
      }, isShort),
    );
  }
  return rows;
}

/** Writes the low half of a vector to the low half of a register, zeros above, or to its high half if `q` is set. */
export function putHalf(c: FpContext, o: Fields, value: Value): void {
  if (!o.q) return c.b.writePair(slotOf(o.rd), value);
  c.b.writePair(slotOf(o.rd), vop(c, "vzipL64", v(o.rd), value));
}

type FloatUnary = (c: FpContext, a: Value, bits: number, j: number) => Value;
const floatOne = (name: string, flags: number): FloatUnary => (c, a, bits, j) =>
  vop(c, `${name}${bits}`, a, 0, 0, j | flags);
const floatZero = (name: string, swap: boolean): FloatUnary => (c, a, bits, j) => {
  const zero = zeros(c);
  return vop(c, `${name}${bits}`, swap ? zero : a, swap ? a : zero, 0, j);
};
const MODE = { N: 0, Z: 1, M: 2, P: 3, A: 4 };

const FLOAT_MISC: [
  name: string,
  u: number,
  a: number,
  opcode: string,
  f: FloatUnary,
  scalar?: true,
][] = [
  ["frintn", 0, 0, "11000", floatOne("vfint", MODE.N)],
  ["frintp", 0, 1, "11000", floatOne("vfint", MODE.P)],
  ["frinta", 1, 0, "11000", floatOne("vfint", MODE.A)],
  ["frintm", 0, 0, "11001", floatOne("vfint", MODE.M)],
  ["frintz", 0, 1, "11001", floatOne("vfint", MODE.Z)],
  ["frintx", 1, 0, "11001", floatOne("vfint", DYNAMIC | Fp.EXACT)],
  ["frinti", 1, 1, "11001", floatOne("vfint", DYNAMIC)],
  ["fcvtns", 0, 0, "11010", floatOne("vfcvtS", MODE.N), true],
  ["fcvtps", 0, 1, "11010", floatOne("vfcvtS", MODE.P), true],
  ["fcvtnu", 1, 0, "11010", floatOne("vfcvtU", MODE.N), true],
  ["fcvtpu", 1, 1, "11010", floatOne("vfcvtU", MODE.P), true],
  ["fcvtms", 0, 0, "11011", floatOne("vfcvtS", MODE.M), true],
  ["fcvtzs", 0, 1, "11011", floatOne("vfcvtS", MODE.Z), true],
  ["fcvtmu", 1, 0, "11011", floatOne("vfcvtU", MODE.M), true],
  ["fcvtzu", 1, 1, "11011", floatOne("vfcvtU", MODE.Z), true],
  ["fcvtas", 0, 0, "11100", floatOne("vfcvtS", MODE.A), true],
  ["fcvtau", 1, 0, "11100", floatOne("vfcvtU", MODE.A), true],
  ["scvtf", 0, 0, "11101", floatOne("vcvtfS", DYNAMIC), true],
  ["ucvtf", 1, 0, "11101", floatOne("vcvtfU", DYNAMIC), true],
  ["frecpe", 0, 1, "11101", floatOne("vfrecip", DYNAMIC), true],
  ["frsqrte", 1, 1, "11101", floatOne("vfrsqrt", DYNAMIC), true],
  ["fcmgt", 0, 1, "01100", floatZero("vfgt", false), true],
  ["fcmge", 1, 1, "01100", floatZero("vfge", false), true],
  ["fcmeq", 0, 1, "01101", floatZero("vfeq", false), true],
  ["fcmle", 1, 1, "01101", floatZero("vfge", true), true],
  ["fcmlt", 0, 1, "01110", floatZero("vfgt", true), true],
  ["fabs", 0, 1, "01111", (c, a, bits, j) => masked(c, magnitude(c, a, bits), j)],
  ["fneg", 1, 1, "01111", (c, a, bits, j) => {
    const sign = bits === 64 ? c.b.vectorConst(0, -0x8000_0000) : splat(c, 32, -0x8000_0000);
    return masked(c, vop(c, "vxor", a, sign), j);
  }],
  ["fsqrt", 1, 1, "11111", floatOne("vfsqrt", DYNAMIC)],
];
/** The low half only if a flag says so. */
const masked = (c: FpContext, a: Value, j: number) => j & Fp.LOW ? c.b.vector(Op.vlow, a) : a;

function floatMiscRows([name, u, a, opcode, f, scalar]: typeof FLOAT_MISC[number]): FpRow[] {
  const zero = name.startsWith("fcm") ? ", #0.0" : "";
  const rows = [
    row(
      name,
      `0 q ${u} 01110 ${a} sz 10000 ${opcode} 10 rn rd`,
      `{vd:sz}, {vn:sz}${zero}`,
      (c, o) => {
        c.b.writePair(slotOf(o.rd), f(c, v(o.rn), floatWidth(o), lowFlag(o.q)));
      },
      hasFloats,
    ),
  ];
  if (scalar) {
    rows.push(
      row(
        name,
        `01 ${u} 11110 ${a} sz 10000 ${opcode} 10 rn rd`,
        `{fd:sz}, {fn:sz}${zero}`,
        (c, o) => {
          c.b.writePair(slotOf(o.rd), f(c, v(o.rn), floatWidth(o), Fp.FIRST));
        },
      ),
    );
  }
  return rows;
}

/** The high half of a vector in the low half. */
export function highHalf(c: FpContext, a: Value): Value {
  return vop(c, "vext", a, a, 0, 8);
}

const conversions = (): FpRow[] => [
  row("fcvtn", "0 q 0 01110 0 sz 10000 10110 10 rn rd", "{2}{vd:half}, {vn:sz16}", (c, o) => {
    putHalf(c, o, vop(c, o.sz ? "vfnarrow32" : "vfnarrow16", v(o.rn), 0, 0, DYNAMIC));
  }),
  row("fcvtxn", "0 q 1 01110 0 1 10000 10110 10 rn rd", "{2}{vd:s}, {vn:2d}", (c, o) => {
    putHalf(c, o, vop(c, "vfnarrow32", v(o.rn), 0, 0, DYNAMIC | Fp.ODD));
  }),
  row("fcvtxn", "01 1 11110 0 1 10000 10110 10 rn rd", "{sd}, {dn}", (c, o) => {
    c.b.writePair(slotOf(o.rd), vop(c, "vfnarrow32", v(o.rn), 0, 0, DYNAMIC | Fp.ODD | Fp.FIRST));
  }),
  row("fcvtl", "0 q 0 01110 0 sz 10000 10111 10 rn rd", "{2}{vd:sz16}, {vn:half}", (c, o) => {
    const a = o.q ? highHalf(c, v(o.rn)) : v(o.rn);
    c.b.writePair(slotOf(o.rd), vop(c, o.sz ? "vfwiden32" : "vfwiden16", a, 0, 0, DYNAMIC));
  }),
  row("frecpx", "01 0 11110 1 sz 10000 11111 10 rn rd", "{fd:sz}, {fn:sz}", (c, o) => {
    c.b.writePair(slotOf(o.rd), vop(c, `vfrecipX${floatWidth(o)}`, v(o.rn), 0, 0, Fp.FIRST));
  }),
  row("urecpe", "0 q 0 01110 1 0 10000 11100 10 rn rd", "{vd:s}, {vn:s}", (c, o) => {
    setV(c, o.rd, vop(c, "vrecipU32", v(o.rn)), o.q);
  }),
  row("ursqrte", "0 q 1 01110 1 0 10000 11100 10 rn rd", "{vd:s}, {vn:s}", (c, o) => {
    setV(c, o.rd, vop(c, "vrsqrtU32", v(o.rn)), o.q);
  }),
  row(
    "shll",
    "0 q 1 01110 size 10000 10011 10 rn rd",
    "{2}{vd:wide}, {vn:size}, #{lanebits}",
    (c, o) => {
      const bits = widthOf(o.size);
      const wide = vop(c, `vwiden${o.q ? "H" : "L"}U${bits}`, v(o.rn));
      c.b.writePair(slotOf(o.rd), vop(c, `vshli${2 * bits}`, wide, 0, 0, bits));
    },
    isShort,
  ),
];

// ---- registers of different widths ----

/** The halves of both operands that an instruction takes, widened, and combined at twice the width. */
type Long = (c: FpContext, a: Value, b: Value, bits: number, high: string, old: Value) => Value;
const widened = (c: FpContext, a: Value, sign: string, bits: number, high: string) =>
  vop(c, `vwiden${high}${sign}${bits}`, a);
const long = (op: string, sign: string): Long => (c, a, b, bits, high) =>
  vop(c, `${op}${2 * bits}`, widened(c, a, sign, bits, high), widened(c, b, sign, bits, high));
const wide = (op: string, sign: string): Long => (c, a, b, bits, high) =>
  vop(c, `${op}${2 * bits}`, a, widened(c, b, sign, bits, high));
const product = (sign: string): Long => (c, a, b, bits, high) =>
  vop(c, `vmull${high}${sign}${bits}`, a, b);
const longDifference = (sign: string): Long => (c, a, b, bits, high) =>
  difference("S")(c, widened(c, a, sign, bits, high), widened(c, b, sign, bits, high), 2 * bits, 0);
const plus = (op: string, f: Long): Long => (c, a, b, bits, high, old) =>
  vop(c, `${op}${2 * bits}`, old, f(c, a, b, bits, high, old));
const doubled: Long = (c, a, b, bits, high, old) => {
  const p = product("S")(c, a, b, bits, high, old);
  return vop(c, `vaddQS${2 * bits}`, p, p, 0, SAT);
};
const doubledPlus = (op: string): Long => (c, a, b, bits, high, old) =>
  vop(c, `${op}${2 * bits}`, old, doubled(c, a, b, bits, high, old), 0, SAT);
/** The high halves of sums or differences. */
const highNarrow = (op: string, round: boolean): Binary => (c, a, b, bits) => {
  let sum = vop(c, `${op}${2 * bits}`, a, b);
  if (round) {
    const bit = bits === 32
      ? c.b.vectorConst(-0x8000_0000, 0)
      : splat(c, 2 * bits, 1 << (bits - 1));
    sum = vop(c, `vadd${2 * bits}`, sum, bit);
  }
  return vop(c, `vtrunc${bits}`, vop(c, `vshriU${2 * bits}`, sum, 0, 0, bits));
};

const LONG: [name: string, u: number, opcode: string, f: Long][] = [
  ...["S", "U"].flatMap((sign, u): typeof LONG => {
    const letter = sign.toLowerCase();
    return [
      [`${letter}addl`, u, "0000", long("vadd", sign)],
      [`${letter}addw`, u, "0001", wide("vadd", sign)],
      [`${letter}subl`, u, "0010", long("vsub", sign)],
      [`${letter}subw`, u, "0011", wide("vsub", sign)],
      [`${letter}abal`, u, "0101", plus("vadd", longDifference(sign))],
      [`${letter}abdl`, u, "0111", longDifference(sign)],
      [`${letter}mlal`, u, "1000", plus("vadd", product(sign))],
      [`${letter}mlsl`, u, "1010", plus("vsub", product(sign))],
      [`${letter}mull`, u, "1100", product(sign)],
    ];
  }),
];
const DOUBLED: [name: string, three: string, element: string, f: Long][] = [
  ["sqdmlal", "1001", "0011", doubledPlus("vaddQS")],
  ["sqdmlsl", "1011", "0111", doubledPlus("vsubQS")],
  ["sqdmull", "1101", "1011", doubled],
];

const halfOf = (o: Fields) => o.q ? "H" : "L";

const LONG_TEXT = "{2}{vd:wide}, {vn:size}, {vm:size}";

function longRows(): FpRow[] {
  const rows = LONG.map(([name, u, opcode, f]) =>
    row(
      name,
      `0 q ${u} 01110 size 1 rm ${opcode} 00 rn rd`,
      name.endsWith("w") ? "{2}{vd:wide}, {vn:wide}, {vm:size}" : LONG_TEXT,
      (c, o) => {
        c.b.writePair(slotOf(o.rd), f(c, v(o.rn), v(o.rm), widthOf(o.size), halfOf(o), v(o.rd)));
      },
      isShort,
    )
  );
  for (const [name, opcode, , f] of DOUBLED) {
    rows.push(
      row(name, `0 q 0 01110 size 1 rm ${opcode} 00 rn rd`, LONG_TEXT, (c, o) => {
        c.b.writePair(slotOf(o.rd), f(c, v(o.rn), v(o.rm), widthOf(o.size), halfOf(o), v(o.rd)));
      }, isHalfOrWord),
      row(
        name,
        `01 0 11110 size 1 rm ${opcode} 00 rn rd`,
        "{fd:wide}, {fn:size}, {fm:size}",
        (c, o) => {
          const bits = widthOf(o.size), old = firstLane(c, 2 * bits, v(o.rd));
          const [a, b] = [o.rn, o.rm].map((n) => firstLane(c, bits, v(n)));
          c.b.writePair(slotOf(o.rd), f(c, a, b, bits, "L", old));
        },
        isHalfOrWord,
      ),
    );
  }
  for (
    const [name, u, opcode, f] of [
      ["addhn", 0, "0100", highNarrow("vadd", false)],
      ["raddhn", 1, "0100", highNarrow("vadd", true)],
      ["subhn", 0, "0110", highNarrow("vsub", false)],
      ["rsubhn", 1, "0110", highNarrow("vsub", true)],
    ] as const
  ) {
    rows.push(
      row(
        name,
        `0 q ${u} 01110 size 1 rm ${opcode} 00 rn rd`,
        "{2}{vd:size}, {vn:wide}, {vm:wide}",
        (c, o) => {
          putHalf(c, o, f(c, v(o.rn), v(o.rm), widthOf(o.size), 0));
        },
        isShort,
      ),
    );
  }
  rows.push(row("pmull", "0 q 0 01110 size 1 rm 1110 00 rn rd", LONG_TEXT, (c, o) => {
    const op = `vpmull${halfOf(o)}${widthOf(o.size)}`;
    c.b.writePair(slotOf(o.rd), vop(c, op, v(o.rn), v(o.rm)));
  }, (f) => f.size === 0 || f.size === 3));
  return rows;
}

// ---- by element ----

/** A lane in all lanes. */
export function duplicate(c: FpContext, a: Value, bits: number, index: number): Value {
  const words = [0, 0], size = bits / 8;
  for (let i = 0; i < 16; i++) words[i >> 3] |= (index * size + i % size) << 4 * (i & 7);
  return c.b.shuffle(a, words[0], words[1]);
}

/** The element that an instruction names: of 16 bits H:L:M of V0 to V15, of 32 bits H:L, of 64 bits H. */
function element(c: FpContext, o: Fields, bits: number): Value {
  if (bits === 16) return duplicate(c, v(o.rm4), 16, o.h << 2 | o.l << 1 | o.m);
  const n = o.m << 4 | o.rm4;
  return bits === 32 ? duplicate(c, v(n), 32, o.h << 1 | o.l) : duplicate(c, v(n), 64, o.h);
}

const ELEMENT: [name: string, u: number, opcode: string, f: Binary, scalar: boolean][] = [
  ["mla", 1, "0000", accumulate("vadd", plain("vmul")), false],
  ["mls", 1, "0100", accumulate("vsub", plain("vmul")), false],
  ["mul", 0, "1000", plain("vmul"), false],
  ["sqdmulh", 0, "1100", saturating("vmulhQ"), true],
  ["sqrdmulh", 0, "1101", saturating("vmulhQR"), true],
];
const FLOAT_ELEMENT: [name: string, u: number, opcode: string, f: FloatBinary][] = [
  ["fmla", 0, "0001", fused(0)],
  ["fmls", 0, "0101", fused(Fp.NEG_PRODUCT)],
  ["fmul", 0, "1001", float("vfmul")],
  ["fmulx", 1, "1001", float("vfmulx")],
];

function elementRows(): FpRow[] {
  const rows: FpRow[] = [];
  const vector = (u: number, opcode: string) => `0 q ${u} 01111 size l m rm4 ${opcode} h 0 rn rd`;
  const scalar = (u: number, opcode: string) => `01 ${u} 11111 size l m rm4 ${opcode} h 0 rn rd`;
  const put = (c: FpContext, o: Fields, value: Value) => c.b.writePair(slotOf(o.rd), value);
  for (const [name, u, opcode, f, hasScalar] of ELEMENT) {
    rows.push(row(name, vector(u, opcode), "{vd:size}, {vn:size}, {element}", (c, o) => {
      const bits = widthOf(o.size), a = hasScalar ? lowOf(c, o.rn, o.q) : v(o.rn);
      setV(c, o.rd, f(c, a, element(c, o, bits), bits, v(o.rd)), o.q);
    }, isHalfOrWord));
    if (!hasScalar) continue;
    rows.push(row(name, scalar(u, opcode), "{fd:size}, {fn:size}, {element}", (c, o) => {
      const bits = widthOf(o.size);
      put(c, o, f(c, firstLane(c, bits, v(o.rn)), element(c, o, bits), bits, v(o.rd)));
    }, isHalfOrWord));
  }
  for (const [sign, u] of [["S", 0], ["U", 1]] as const) {
    for (
      const [name, opcode, f] of [
        ["mlal", "0010", plus("vadd", product(sign))],
        ["mlsl", "0110", plus("vsub", product(sign))],
        ["mull", "1010", product(sign)],
      ] as const
    ) {
      rows.push(
        row(
          sign.toLowerCase() + name,
          vector(u, opcode),
          "{2}{vd:wide}, {vn:size}, {element}",
          (c, o) => {
            const bits = widthOf(o.size);
            put(c, o, f(c, v(o.rn), element(c, o, bits), bits, halfOf(o), v(o.rd)));
          },
          isHalfOrWord,
        ),
      );
    }
  }
  for (const [name, , opcode, f] of DOUBLED) {
    rows.push(
      row(name, vector(0, opcode), "{2}{vd:wide}, {vn:size}, {element}", (c, o) => {
        const bits = widthOf(o.size);
        put(c, o, f(c, v(o.rn), element(c, o, bits), bits, halfOf(o), v(o.rd)));
      }, isHalfOrWord),
      row(name, scalar(0, opcode), "{fd:wide}, {fn:size}, {element}", (c, o) => {
        const bits = widthOf(o.size), old = firstLane(c, 2 * bits, v(o.rd));
        const a = firstLane(c, bits, v(o.rn));
        put(c, o, f(c, a, element(c, o, bits), bits, "L", old));
      }, isHalfOrWord),
    );
  }
  for (const [name, u, opcode, f] of FLOAT_ELEMENT) {
    // Of doubles L is 0.
    const isFloat = (o: Fields) => o.size === 2 || (o.size === 3 && o.l === 0);
    const width = (o: Fields) => o.size === 3 ? 64 : 32;
    rows.push(
      row(name, vector(u, opcode), "{vd:size}, {vn:size}, {element}", (c, o) => {
        put(c, o, f(c, v(o.rn), element(c, o, width(o)), width(o), v(o.rd), lowFlag(o.q)));
      }, (o) => isFloat(o) && (o.size === 2 || o.q === 1)),
      row(name, scalar(u, opcode), "{fd:size}, {fn:size}, {element}", (c, o) => {
        put(c, o, f(c, v(o.rn), element(c, o, width(o)), width(o), v(o.rd), Fp.FIRST));
      }, isFloat),
    );
  }
  return rows;
}

// ---- across lanes ----

/** Folds a vector of 64 or 128 bits until one lane is left. */
function fold(
  c: FpContext,
  a: Value,
  bits: number,
  q: number,
  f: (x: Value, y: Value) => Value,
): Value {
  if (!q) a = vop(c, "vzipL64", a, a);
  for (let size = q ? 64 : 32; size >= bits; size /= 2) {
    a = f(a, vop(c, "vext", a, a, 0, size / 8));
  }
  return a;
}
const hasManyLanes = (f: Fields) => f.size < 2 || (f.size === 2 && f.q === 1);

function acrossRows(): FpRow[] {
  const rows: FpRow[] = [];
  const across = (name: string, u: number, opcode: string, op: string) =>
    rows.push(
      row(name, `0 q ${u} 01110 size 11000 ${opcode} 10 rn rd`, "{fd:size}, {vn:size}", (c, o) => {
        const bits = widthOf(o.size), f = (x: Value, y: Value) => vop(c, `${op}${bits}`, x, y);
        c.b.writePair(slotOf(o.rd), firstLane(c, bits, fold(c, v(o.rn), bits, o.q, f)));
      }, hasManyLanes),
    );
  across("smaxv", 0, "01010", "vmaxS");
  across("umaxv", 1, "01010", "vmaxU");
  across("sminv", 0, "11010", "vminS");
  across("uminv", 1, "11010", "vminU");
  across("addv", 0, "11011", "vadd");
  for (const [sign, u] of [["S", 0], ["U", 1]] as const) {
    rows.push(
      row(
        `${sign.toLowerCase()}addlv`,
        `0 q ${u} 01110 size 11000 00011 10 rn rd`,
        "{fd:wide}, {vn:size}",
        (c, o) => {
          const bits = widthOf(o.size), a = o.q ? v(o.rn) : c.b.vector(Op.vlow, v(o.rn));
          // Pairs have room for the sum in twice the width, as all lanes together have.
          const sums = vop(c, `vaddlp${sign}${bits}`, a);
          const f = (x: Value, y: Value) => vop(c, `vadd${2 * bits}`, x, y);
          c.b.writePair(slotOf(o.rd), firstLane(c, 2 * bits, fold(c, sums, 2 * bits, 1, f)));
        },
        hasManyLanes,
      ),
    );
  }
  for (
    const [name, a, opcode, op] of [
      ["fmaxnmv", 0, "01100", "vfmaxn32"],
      ["fminnmv", 1, "01100", "vfminn32"],
      ["fmaxv", 0, "01111", "vfmax32"],
      ["fminv", 1, "01111", "vfmin32"],
    ] as const
  ) {
    rows.push(row(name, `0 1 1 01110 ${a} 0 11000 ${opcode} 10 rn rd`, "{sd}, {vn:4s}", (c, o) => {
      // Neighbours first, then the pairs.
      const x = v(o.rn),
        pair = vop(c, op, vop(c, "vunzE32", x, x), vop(c, "vunzO32", x, x), 0, Fp.LOW);
      const other = c.b.shuffle(pair, 0x7654_7654, 0x7654_7654);
      c.b.writePair(slotOf(o.rd), vop(c, op, pair, other, 0, Fp.FIRST));
    }));
  }
  rows.push(row("addp", "01 0 11110 11 11000 11011 10 rn rd", "{dd}, {vn:2d}", (c, o) => {
    setD(c, o.rd, c.b.add(c.b.read(slotOf(o.rn)), c.b.read(slotOf(o.rn) + 1)));
  }));
  for (
    const [name, a, opcode, f] of [
      ["fmaxnmp", 0, "01100", floatPlain("vfmaxn")],
      ["fminnmp", 1, "01100", floatPlain("vfminn")],
      ["faddp", 0, "01101", float("vfadd")],
      ["fmaxp", 0, "01111", floatPlain("vfmax")],
      ["fminp", 1, "01111", floatPlain("vfmin")],
    ] as const
  ) {
    rows.push(
      row(name, `01 1 11110 ${a} sz 11000 ${opcode} 10 rn rd`, "{fd:sz}, {vn:two}", (c, o) => {
        const bits = floatWidth(o), x = v(o.rn), y = vop(c, "vext", x, x, 0, bits / 8);
        c.b.writePair(slotOf(o.rd), f(c, x, y, bits, 0, Fp.FIRST));
      }),
    );
  }
  return rows;
}

/** The rows of this page. */
export const SIMD_ARITH_ROWS = (): FpRow[] => [
  ...SAME.flatMap(sameRows),
  ...BITWISE.map(([name, u, size, f]) =>
    row(name, `0 q ${u} 01110 ${size} 1 rm 00011 1 rn rd`, "{vd:b}, {vn:b}, {vm:b}", (c, o) => {
      setV(c, o.rd, f(c, v(o.rn), v(o.rm), v(o.rd)), o.q);
    })
  ),
  ...FLOAT_SAME.flatMap(floatSameRows),
  ...MISC.flatMap(miscRows),
  ...narrowRows("xtn", 0, "10010", "vtrunc", 0),
  ...narrowRows("sqxtun", 1, "10010", "vnarrowSU", SAT),
  ...narrowRows("sqxtn", 0, "10100", "vnarrowS", SAT),
  ...narrowRows("uqxtn", 1, "10100", "vnarrowU", SAT),
  ...FLOAT_MISC.flatMap(floatMiscRows),
  ...conversions(),
  ...longRows(),
  ...elementRows(),
  ...acrossRows(),
];

export { not };
export type { FpLift };
