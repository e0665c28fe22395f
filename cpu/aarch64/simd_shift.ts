/**
 * Advanced SIMD shifts by an immediate, and what shares their encodings: conversions of fixed point.
 *
 * Source: Arm Architecture Reference Manual (DDI 0487), C4.1.96 "Advanced SIMD shift by immediate", C7.2.
 *
 * @module
 */
import {
  type Fields,
  firstLane,
  Fp,
  type FpContext,
  type FpRow,
  Op,
  row,
  setV,
  slotOf,
  splat,
  v,
  type Value,
  vop,
} from "./fp_lifter.ts";
import { putHalf } from "./simd_arith.ts";

const SAT = Fp.SATURATION;
/** Width of the lanes, of the narrower ones where there are two: the highest bit set in immh. */
const widthOf = (f: Fields) => f.immh >= 8 ? 64 : f.immh >= 4 ? 32 : f.immh >= 2 ? 16 : 8;
const count = (f: Fields) => f.immh << 3 | f.immb;
const rightBy = (f: Fields) => 2 * widthOf(f) - count(f);
const leftBy = (f: Fields) => count(f) - widthOf(f);
const hasLanes = (f: Fields) => f.immh !== 0 && (f.immh < 8 || f.q === 1);
const isNarrow = (f: Fields) => f.immh !== 0 && f.immh < 8;
const isLong = (f: Fields) => f.immh >= 8;
const isAny = (f: Fields) => f.immh !== 0;
const hasFloats = (f: Fields) => f.immh >= 4 && hasLanes(f);

/** The result of a shift of lanes of `bits` by `n`; `old` is the destination. */
type Shift = (c: FpContext, a: Value, bits: number, n: number, old: Value) => Value;

const right = (sign: string): Shift => (c, a, bits, n) => vop(c, `vshri${sign}${bits}`, a, 0, 0, n);
/** The last bit that is shifted out is added. */
const rounded = (sign: string): Shift => (c, a, bits, n) => {
  const last = vop(c, `vshri${sign}${bits}`, a, 0, 0, n - 1);
  const one = vop(c, "vand", last, bits === 64 ? c.b.vectorConst(1, 0) : splat(c, bits, 1));
  return vop(c, `vadd${bits}`, vop(c, `vshri${sign}${bits}`, a, 0, 0, n), one);
};
const added = (f: Shift): Shift => (c, a, bits, n, old) =>
  vop(c, `vadd${bits}`, old, f(c, a, bits, n, old));
const left: Shift = (c, a, bits, n) => vop(c, `vshli${bits}`, a, 0, 0, n);
/** Lanes of `bits` with `value`, of which only the low `bits` count. */
function lanesOf(c: FpContext, bits: number, value: bigint): Value {
  const lane = BigInt.asUintN(bits, value);
  let word = 0n;
  for (let at = 0; at < 64; at += bits) word |= lane << BigInt(at);
  return c.b.vectorConst(Number(BigInt.asIntN(32, word)), Number(BigInt.asIntN(32, word >> 32n)));
}
/** Bits that the shift leaves alone stay as they are. */
const insertLeft: Shift = (c, a, bits, n, old) => {
  const mask = lanesOf(c, bits, (1n << BigInt(n)) - 1n);
  return vop(c, "vsel", old, left(c, a, bits, n, old), mask);
};
const insertRight: Shift = (c, a, bits, n, old) => {
  const kept = lanesOf(c, bits, -1n << BigInt(bits - n));
  return vop(c, "vsel", old, vop(c, `vshriU${bits}`, a, 0, 0, n), kept);
};
const saturating = (op: string): Shift => (c, a, bits, n) =>
  vop(c, `${op}${bits}`, a, lanesOf(c, bits, BigInt(n)), 0, SAT);

const SHIFTS: [
  name: string,
  u: number,
  opcode: string,
  f: Shift,
  by: (f: Fields) => number,
  scalar?: (f: Fields) => boolean,
][] = [
  ["sshr", 0, "00000", right("S"), rightBy, isLong],
  ["ushr", 1, "00000", right("U"), rightBy, isLong],
  ["ssra", 0, "00010", added(right("S")), rightBy, isLong],
  ["usra", 1, "00010", added(right("U")), rightBy, isLong],
  ["srshr", 0, "00100", rounded("S"), rightBy, isLong],
  ["urshr", 1, "00100", rounded("U"), rightBy, isLong],
  ["srsra", 0, "00110", added(rounded("S")), rightBy, isLong],
  ["ursra", 1, "00110", added(rounded("U")), rightBy, isLong],
  ["sri", 1, "01000", insertRight, rightBy, isLong],
  ["shl", 0, "01010", left, leftBy, isLong],
  ["sli", 1, "01010", insertLeft, leftBy, isLong],
  ["sqshlu", 1, "01100", saturating("vshlQSU"), leftBy, isAny],
  ["sqshl", 0, "01110", saturating("vshlQS"), leftBy, isAny],
  ["uqshl", 1, "01110", saturating("vshlQU"), leftBy, isAny],
];

/** Narrowing shifts: the shift at twice the width, then what narrows. */
const NARROW: [
  name: string,
  u: number,
  opcode: string,
  f: Shift,
  narrow: string,
  scalar: boolean,
][] = [
  ["shrn", 0, "10000", right("U"), "vtrunc", false],
  ["sqshrun", 1, "10000", right("S"), "vnarrowSU", true],
  ["rshrn", 0, "10001", rounded("U"), "vtrunc", false],
  ["sqrshrun", 1, "10001", rounded("S"), "vnarrowSU", true],
  ["sqshrn", 0, "10010", right("S"), "vnarrowS", true],
  ["uqshrn", 1, "10010", right("U"), "vnarrowU", true],
  ["sqrshrn", 0, "10011", rounded("S"), "vnarrowS", true],
  ["uqrshrn", 1, "10011", rounded("U"), "vnarrowU", true],
];

const FIXED: [name: string, u: number, opcode: string, op: string, mode: number][] = [
  ["scvtf", 0, "11100", "vcvtfS", 7],
  ["ucvtf", 1, "11100", "vcvtfU", 7],
  ["fcvtzs", 0, "11111", "vfcvtS", 1],
  ["fcvtzu", 1, "11111", "vfcvtU", 1],
];

/** The rows of this page; they come behind those of modified immediates, whose immh is 0. */
export function SIMD_SHIFT_ROWS(): FpRow[] {
  const rows: FpRow[] = [];
  const vector = (u: number, opcode: string) => `0 q ${u} 011110 immh immb ${opcode} 1 rn rd`;
  const scalar = (u: number, opcode: string) => `01 ${u} 111110 immh immb ${opcode} 1 rn rd`;
  for (const [name, u, opcode, f, by, hasScalar] of SHIFTS) {
    const saturates = name.includes("q");
    const amount = by === rightBy ? "#{right}" : "#{left}";
    rows.push(row(name, vector(u, opcode), `{vd:immh}, {vn:immh}, ${amount}`, (c, o) => {
      const a = saturates && !o.q ? c.b.vector(Op.vlow, v(o.rn)) : v(o.rn);
      setV(c, o.rd, f(c, a, widthOf(o), by(o), v(o.rd)), o.q);
    }, hasLanes));
    if (!hasScalar) continue;
    rows.push(row(name, scalar(u, opcode), `{fd:immh}, {fn:immh}, ${amount}`, (c, o) => {
      const bits = widthOf(o), a = saturates ? firstLane(c, bits, v(o.rn)) : v(o.rn);
      c.b.writePair(slotOf(o.rd), firstLane(c, bits, f(c, a, bits, by(o), v(o.rd))));
    }, hasScalar));
  }
  for (const [name, u, opcode, f, narrow, hasScalar] of NARROW) {
    const j = narrow === "vtrunc" ? 0 : SAT;
    rows.push(row(name, vector(u, opcode), "{2}{vd:immh}, {vn:immhwide}, #{right}", (c, o) => {
      const bits = widthOf(o), shifted = f(c, v(o.rn), 2 * bits, rightBy(o), 0);
      putHalf(c, o, vop(c, `${narrow}${bits}`, shifted, 0, 0, j));
    }, isNarrow));
    if (!hasScalar) continue;
    rows.push(row(name, scalar(u, opcode), "{fd:immh}, {fn:immhwide}, #{right}", (c, o) => {
      const bits = widthOf(o), a = firstLane(c, 2 * bits, v(o.rn));
      const shifted = f(c, a, 2 * bits, rightBy(o), 0);
      c.b.writePair(slotOf(o.rd), vop(c, `${narrow}${bits}`, shifted, 0, 0, j));
    }, isNarrow));
  }
  for (const [sign, u] of [["S", 0], ["U", 1]] as const) {
    rows.push(
      row(
        `${sign.toLowerCase()}shll`,
        vector(u, "10100"),
        "{2}{vd:immhwide}, {vn:immh}, #{left}",
        (c, o) => {
          const bits = widthOf(o), wide = vop(c, `vwiden${o.q ? "H" : "L"}${sign}${bits}`, v(o.rn));
          const n = leftBy(o);
          c.b.writePair(slotOf(o.rd), n === 0 ? wide : vop(c, `vshli${2 * bits}`, wide, 0, 0, n));
        },
        isNarrow,
      ),
    );
  }
  for (const [name, u, opcode, op, mode] of FIXED) {
    rows.push(
      row(name, vector(u, opcode), "{vd:immh}, {vn:immh}, #{right}", (c, o) => {
        const j = rightBy(o) << 16 | mode | (o.q ? 0 : Fp.LOW);
        c.b.writePair(slotOf(o.rd), vop(c, `${op}${widthOf(o)}`, v(o.rn), 0, 0, j));
      }, hasFloats),
      row(name, scalar(u, opcode), "{fd:immh}, {fn:immh}, #{right}", (c, o) => {
        const j = rightBy(o) << 16 | mode | Fp.FIRST;
        c.b.writePair(slotOf(o.rd), vop(c, `${op}${widthOf(o)}`, v(o.rn), 0, 0, j));
      }, (o) => o.immh >= 4),
    );
  }
  return rows;
}
