/**
 * Advanced SIMD moves: copies of elements, permutations, tables, immediates; and the cryptographic instructions.
 *
 * Source: Arm Architecture Reference Manual (DDI 0487), C4.1.96, C7.2, AdvSIMDExpandImm in J1.
 *
 * @module
 */
import { expandImm } from "./fp.ts";
import {
  type Fields,
  type FpContext,
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
} from "./fp_lifter.ts";
import { duplicate } from "./simd_arith.ts";

/** Width and index that imm5 encodes: the lowest bit set is the width. */
const widthOf = (f: Fields) => 8 << Math.log2(f.imm5 & -f.imm5);
const indexOf = (f: Fields) => f.imm5 >> Math.log2(f.imm5 & -f.imm5) + 1;
const hasWidth = (f: Fields) => (f.imm5 & 15) !== 0;

/** One lane of a register. */
function lane(c: FpContext, n: number, bits: number, index: number, sign: "S" | "U"): Value {
  if (bits === 64) return c.b.read(slotOf(n) + index);
  return c.b.fromVector(Op[`vget${sign}${bits}`], v(n), index);
}

/** Writes one lane of a register. */
function setLane(c: FpContext, n: number, bits: number, index: number, value: Value): void {
  if (bits === 64) return c.b.write(slotOf(n) + index, value);
  c.b.writePair(slotOf(n), vop(c, `vput${bits}`, v(n), value, 0, index));
}

const copyRows = (): FpRow[] => [
  row("dup", "0 q 0 01110000 imm5 0 0000 1 rn rd", "{vd:imm5}, {en:imm5}", (c, o) => {
    setV(c, o.rd, duplicate(c, v(o.rn), widthOf(o), indexOf(o)), o.q);
  }, (o) => hasWidth(o) && (o.q === 1 || widthOf(o) < 64)),
  row("dup", "01 0 11110000 imm5 0 0000 1 rn rd", "{fd:imm5}, {en:imm5}", (c, o) => {
    setD(c, o.rd, lane(c, o.rn, widthOf(o), indexOf(o), "U"));
  }, hasWidth),
  row("dup", "0 q 0 01110000 imm5 0 0001 1 rn rd", "{vd:imm5}, {rnlane}", (c, o) => {
    setV(c, o.rd, vop(c, `vsplat${widthOf(o)}`, c.x(o.rn)), o.q);
  }, (o) => hasWidth(o) && (o.q === 1 || widthOf(o) < 64)),
  row("smov", "0 q 0 01110000 imm5 0 0101 1 rn rd", "{rdq}, {en:imm5}", (c, o) => {
    const value = lane(c, o.rn, widthOf(o), indexOf(o), "S");
    c.setX(o.rd, o.q ? value : c.b.zext32(value));
  }, (o) => hasWidth(o) && widthOf(o) <= (o.q ? 32 : 16)),
  row("umov", "0 q 0 01110000 imm5 0 0111 1 rn rd", "{rdq}, {en:imm5}", (c, o) => {
    c.setX(o.rd, lane(c, o.rn, widthOf(o), indexOf(o), "U"));
  }, (o) => hasWidth(o) && (widthOf(o) === 64) === (o.q === 1)),
  row("ins", "0 1 0 01110000 imm5 0 0011 1 rn rd", "{ed:imm5}, {rnlane}", (c, o) => {
    setLane(c, o.rd, widthOf(o), indexOf(o), c.x(o.rn));
  }, hasWidth),
  row("ins", "0 1 1 01110000 imm5 0 imm4 1 rn rd", "{ed:imm5}, {en:imm4}", (c, o) => {
    const bits = widthOf(o), from = o.imm4 >> Math.log2(bits / 8);
    setLane(c, o.rd, bits, indexOf(o), lane(c, o.rn, bits, from, "U"));
  }, hasWidth),
];

// ---- permutations ----

const PERMUTE: [name: string, opcode: string, op: string, long: string][] = [
  ["uzp1", "001", "vunzE", "vzipL64"],
  ["trn1", "010", "vtrnE", "vzipL64"],
  ["zip1", "011", "vzipL", "vzipL64"],
  ["uzp2", "101", "vunzO", "vzipH64"],
  ["trn2", "110", "vtrnO", "vzipH64"],
  ["zip2", "111", "vzipH", "vzipH64"],
];

/** A permutation of two registers of 64 bits: for some, of both in one vector. */
function permute(c: FpContext, o: Fields, name: string, op: string, long: string): Value {
  const bits = 8 << o.size, [a, b] = [v(o.rn), v(o.rm)];
  if (bits === 64) return vop(c, long, a, b);
  if (o.q || name.startsWith("trn") || name === "zip1") return vop(c, `${op}${bits}`, a, b);
  if (name === "zip2") {
    const zipped = vop(c, `vzipL${bits}`, a, b);
    return vop(c, "vext", zipped, zipped, 0, 8);
  }
  const joined = vop(c, "vzipL64", a, b);
  return vop(c, `${op}${bits}`, joined, joined);
}

/** What a table of registers has at the indices, 0 beyond it. */
function lookUp(c: FpContext, o: Fields, indices: Value): Value {
  let result: Value | undefined;
  for (let i = 0; i <= o.len; i++) {
    const table = v((o.rn + i) & 31);
    // Indices below 16 become large ones, which are beyond a table.
    const at = i === 0 ? indices : vop(c, "vsub8", indices, splat(c, 8, 16 * i));
    const found = vop(c, "vtable", table, at);
    result = result === undefined ? found : vop(c, "vor", result, found);
  }
  return result!;
}

const permuteRows = (): FpRow[] => [
  ...PERMUTE.map(([name, opcode, op, long]) =>
    row(
      name,
      `0 q 001110 size 0 rm 0 ${opcode} 10 rn rd`,
      "{vd:size}, {vn:size}, {vm:size}",
      (c, o) => {
        setV(c, o.rd, permute(c, o, name, op, long), o.q);
      },
      (o) => o.size < 3 || o.q === 1,
    )
  ),
  row("ext", "0 q 101110 00 0 rm 0 imm4 0 rn rd", "{vd:b}, {vn:b}, {vm:b}, #{imm4}", (c, o) => {
    if (o.q) return c.b.writePair(slotOf(o.rd), vop(c, "vext", v(o.rn), v(o.rm), 0, o.imm4));
    const joined = vop(c, "vzipL64", v(o.rn), v(o.rm));
    setV(c, o.rd, vop(c, "vext", joined, joined, 0, o.imm4), 0);
  }, (o) => o.q === 1 || o.imm4 < 8),
  row("tbl", "0 q 001110 00 0 rm 0 len 0 00 rn rd", "{vd:b}, {table}, {vm:b}", (c, o) => {
    setV(c, o.rd, lookUp(c, o, v(o.rm)), o.q);
  }),
  row("tbx", "0 q 001110 00 0 rm 0 len 1 00 rn rd", "{vd:b}, {table}, {vm:b}", (c, o) => {
    const beyond = vop(c, "vgeU8", v(o.rm), splat(c, 8, 16 * (o.len + 1)));
    setV(c, o.rd, vop(c, "vsel", v(o.rd), lookUp(c, o, v(o.rm)), beyond), o.q);
  }),
];

// ---- immediates ----

/** The 64-bit constant that a modified immediate stands for, as two words. */
export function modifiedImmediate(o: Fields): [lo: number, hi: number] {
  const imm = o.abc << 5 | o.defgh, { cmode } = o;
  const twice = (word: number): [number, number] => [word | 0, word | 0];
  if (cmode < 8) return twice(imm << 8 * (cmode >> 1));
  if (cmode < 12) return twice(Math.imul(imm << 8 * (cmode >> 1 & 1), 0x1_0001));
  // Ones are shifted in.
  if (cmode < 14) return twice(cmode & 1 ? imm << 16 | 0xffff : imm << 8 | 0xff);
  if (cmode === 14) {
    if (!o.op) return twice(Math.imul(imm, 0x0101_0101));
    const bytes = (bits: number) =>
      [0, 1, 2, 3].reduce((word, i) => word | (bits >> i & 1 ? 255 << 8 * i : 0), 0);
    return [bytes(imm), bytes(imm >> 4)];
  }
  return o.op ? expandImm(imm, 64) : twice(expandImm(imm, 32)[0]);
}

function immediate(c: FpContext, o: Fields): void {
  const [lo, hi] = modifiedImmediate(o), value = c.b.vectorConst(lo, hi);
  // With an odd cmode below 12 the constant is combined with the register.
  if (o.cmode < 12 && o.cmode & 1) {
    return setV(c, o.rd, vop(c, o.op ? "vandn" : "vor", v(o.rd), value), o.q);
  }
  const inverted = o.op === 1 && o.cmode < 14;
  if (inverted) return setV(c, o.rd, c.b.vectorConst(~lo, ~hi), o.q);
  if (o.q) return c.b.writePair(slotOf(o.rd), value);
  setD(c, o.rd, c.b.imm64(lo, hi));
}

/** Names by op and cmode. */
const immediateRows = (): FpRow[] => {
  const pattern = "0 q op 0111100000 abc cmode 01 defgh rd";
  const isOr = (o: Fields) => o.cmode < 12 && (o.cmode & 1) === 1;
  const named = (name: string, when: (o: Fields) => boolean) =>
    row(name, pattern, "{immediate}", immediate, when);
  return [
    named("orr", (o) => isOr(o) && o.op === 0),
    named("bic", (o) => isOr(o) && o.op === 1),
    named("fmov", (o) => o.cmode === 15 && (o.op === 0 || o.q === 1)),
    named("mvni", (o) => o.op === 1 && o.cmode < 14 && !isOr(o)),
    named("movi", (o) => o.cmode < 15 && !isOr(o) && (o.op === 0 || o.cmode === 14)),
  ];
};

// ---- cryptographic instructions ----

const cryptoRows = (): FpRow[] => {
  const put = (c: FpContext, o: Fields, value: Value) => c.b.writePair(slotOf(o.rd), value);
  const aes = (opcode: string) => `01001110 00 10100 ${opcode} 10 rn rd`;
  const three = (opcode: string) => `01011110 00 0 rm 0 ${opcode} 00 rn rd`;
  const two = (opcode: string) => `01011110 00 10100 ${opcode} 10 rn rd`;
  const sha1 = (kind: number) => (c: FpContext, o: Fields) =>
    put(c, o, vop(c, "vsha1", v(o.rd), v(o.rn), v(o.rm), kind));
  const sha256 = (kind: number) => (c: FpContext, o: Fields) =>
    put(c, o, vop(c, "vsha256", v(o.rd), v(o.rn), v(o.rm), kind));
  return [
    row(
      "aese",
      aes("00100"),
      "{vd:16b}, {vn:16b}",
      (c, o) => put(c, o, vop(c, "vaesEnc", v(o.rd), v(o.rn))),
    ),
    row(
      "aesd",
      aes("00101"),
      "{vd:16b}, {vn:16b}",
      (c, o) => put(c, o, vop(c, "vaesDec", v(o.rd), v(o.rn))),
    ),
    row(
      "aesmc",
      aes("00110"),
      "{vd:16b}, {vn:16b}",
      (c, o) => put(c, o, vop(c, "vaesMix", v(o.rn))),
    ),
    row(
      "aesimc",
      aes("00111"),
      "{vd:16b}, {vn:16b}",
      (c, o) => put(c, o, vop(c, "vaesUnmix", v(o.rn))),
    ),
    row("sha1c", three("000"), "{qd}, {sn}, {vm:4s}", sha1(0)),
    row("sha1p", three("001"), "{qd}, {sn}, {vm:4s}", sha1(1)),
    row("sha1m", three("010"), "{qd}, {sn}, {vm:4s}", sha1(2)),
    row("sha1su0", three("011"), "{vd:4s}, {vn:4s}, {vm:4s}", (c, o) => {
      put(c, o, vop(c, "vsha1su0", v(o.rd), v(o.rn), v(o.rm)));
    }),
    row("sha256h", three("100"), "{qd}, {qn}, {vm:4s}", sha256(0)),
    row("sha256h2", three("101"), "{qd}, {qn}, {vm:4s}", sha256(1)),
    row("sha256su1", three("110"), "{vd:4s}, {vn:4s}, {vm:4s}", (c, o) => {
      put(c, o, vop(c, "vsha256su1", v(o.rd), v(o.rn), v(o.rm)));
    }),
    row("sha1h", two("00000"), "{sd}, {sn}", (c, o) => {
      const word = c.b.rotr32(c.b.read(slotOf(o.rn)), c.b.imm(2));
      setD(c, o.rd, c.b.zext32(word));
    }),
    row(
      "sha1su1",
      two("00001"),
      "{vd:4s}, {vn:4s}",
      (c, o) => put(c, o, vop(c, "vsha1su1", v(o.rd), v(o.rn))),
    ),
    row(
      "sha256su0",
      two("00010"),
      "{vd:4s}, {vn:4s}",
      (c, o) => put(c, o, vop(c, "vsha256su0", v(o.rd), v(o.rn))),
    ),
  ];
};

/** The rows of this page. */
export const SIMD_MOVE_ROWS = (): FpRow[] => [
  ...copyRows(),
  ...permuteRows(),
  ...immediateRows(),
  ...cryptoRows(),
];
