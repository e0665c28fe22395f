/** What the instructions of WebAssembly compute, from their names: the encoder's table is tested against it. */
import { assert } from "@std/assert";
import type { OpInfo } from "../cpu/wasm/encoder.ts";

/** A lane or a scalar: integers are signed bigints, floats are numbers. */
export type Value = bigint | number;
/** What an instruction makes of its operands. */
export type Reference = (...operands: Value[]) => Value;

const s = (bits: number, value: bigint) => BigInt.asIntN(bits, value);
const u = (bits: number, value: bigint) => BigInt.asUintN(bits, value);
const big = (value: Value) => value as bigint;
const num = (value: Value) => value as number;
/** What a trapping instruction returns. */
export const TRAP = -0.125;

/** Integer instructions of a width, by the name behind the type. */
function integer(bits: number): Record<string, Reference> {
  const W = BigInt(bits);
  const wrap = (f: (a: bigint, b: bigint) => bigint): Reference => (a, b) =>
    s(bits, f(big(a), big(b ?? 0n)));
  const unsigned = (f: (a: bigint, b: bigint) => bigint) =>
    wrap((a, b) => f(u(bits, a), u(bits, b)));
  const shift = (f: (a: bigint, n: bigint) => bigint) => wrap((a, b) => f(a, u(bits, b) % W));
  const count = (text: (a: bigint) => number) => wrap((a) => BigInt(text(u(bits, a))));
  const binary = (a: bigint) => a.toString(2).padStart(bits, "0");
  const top = 1n << (W - 1n);
  const clampS = (a: bigint) => a < -top ? -top : a >= top ? top - 1n : a;
  const clampU = (a: bigint) => a < 0n ? 0n : a >= 2n * top ? 2n * top - 1n : a;
  const divide = (f: (a: bigint, b: bigint) => bigint): Reference => (a, b) =>
    b === 0n ? TRAP : s(bits, f(big(a), big(b)));
  return {
    add: wrap((a, b) => a + b),
    sub: wrap((a, b) => a - b),
    mul: wrap((a, b) => a * b),
    div_s: (a, b) => b === 0n || a === -top && b === -1n ? TRAP : big(a) / big(b),
    div_u: divide((a, b) => u(bits, a) / u(bits, b)),
    rem_s: divide((a, b) => a % b),
    rem_u: divide((a, b) => u(bits, a) % u(bits, b)),
    and: wrap((a, b) => a & b),
    or: wrap((a, b) => a | b),
    xor: wrap((a, b) => a ^ b),
    not: wrap((a) => ~a),
    andnot: wrap((a, b) => a & ~b),
    shl: shift((a, n) => a << n),
    shr_s: shift((a, n) => a >> n),
    shr_u: shift((a, n) => u(bits, a) >> n),
    rotl: shift((a, n) => u(bits, a) << n | u(bits, a) >> (W - n)),
    rotr: shift((a, n) => u(bits, a) >> n | u(bits, a) << (W - n)),
    clz: count((a) => binary(a).indexOf("1") < 0 ? bits : binary(a).indexOf("1")),
    ctz: count((a) => a === 0n ? bits : bits - 1 - binary(a).lastIndexOf("1")),
    popcnt: count((a) => binary(a).replaceAll("0", "").length),
    extend8_s: wrap((a) => s(8, a)),
    extend16_s: wrap((a) => s(16, a)),
    extend32_s: wrap((a) => s(32, a)),
    abs: wrap((a) => a < 0n ? -a : a),
    neg: wrap((a) => -a),
    min_s: wrap((a, b) => a < b ? a : b),
    max_s: wrap((a, b) => a > b ? a : b),
    min_u: unsigned((a, b) => a < b ? a : b),
    max_u: unsigned((a, b) => a > b ? a : b),
    add_sat_s: wrap((a, b) => clampS(a + b)),
    sub_sat_s: wrap((a, b) => clampS(a - b)),
    add_sat_u: unsigned((a, b) => clampU(a + b)),
    sub_sat_u: unsigned((a, b) => clampU(a - b)),
    avgr_u: unsigned((a, b) => (a + b + 1n) >> 1n),
    q15mulr_sat_s: wrap((a, b) => clampS((a * b + 0x4000n) >> 15n)),
    narrow_s: (a) => clampS(big(a)),
    narrow_u: (a) => s(bits, clampU(big(a))),
  };
}

/** Comparisons of integers of a width. */
function comparisons(bits: number): Record<string, (a: Value, b: Value) => boolean> {
  const unsigned = (a: Value) => u(bits, big(a));
  return {
    eqz: (a) => a === 0n,
    eq: (a, b) => a === b,
    ne: (a, b) => a !== b,
    lt_s: (a, b) => a < b,
    gt_s: (a, b) => a > b,
    le_s: (a, b) => a <= b,
    ge_s: (a, b) => a >= b,
    lt_u: (a, b) => unsigned(a) < unsigned(b),
    gt_u: (a, b) => unsigned(a) > unsigned(b),
    le_u: (a, b) => unsigned(a) <= unsigned(b),
    ge_u: (a, b) => unsigned(a) >= unsigned(b),
  };
}

const FLOAT_COMPARISONS: Record<string, (a: Value, b: Value) => boolean> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  gt: (a, b) => a > b,
  le: (a, b) => a <= b,
  ge: (a, b) => a >= b,
};

function nearest(a: number): number {
  if (!Number.isFinite(a) || Math.abs(a) >= 2 ** 52) return a;
  const low = Math.floor(a), rest = a - low;
  const even = rest > 0.5 || rest === 0.5 && low % 2 !== 0 ? low + 1 : low;
  return even === 0 && (a < 0 || Object.is(a, -0)) ? -0 : even;
}

/** Floating-point instructions, whose result `round` rounds to the width. */
function floating(round: (value: number) => number): Record<string, Reference> {
  const f = (op: (a: number, b: number) => number): Reference => (a, b) =>
    round(op(num(a), num(b ?? 0)));
  const negative = (a: number) => a < 0 || Object.is(a, -0);
  return {
    add: f((a, b) => a + b),
    sub: f((a, b) => a - b),
    mul: f((a, b) => a * b),
    div: f((a, b) => a / b),
    min: f(Math.min),
    max: f(Math.max),
    pmin: f((a, b) => b < a ? b : a),
    pmax: f((a, b) => a < b ? b : a),
    copysign: f((a, b) => negative(a) === negative(b) ? a : -a),
    abs: f(Math.abs),
    neg: f((a) => -a),
    ceil: f(Math.ceil),
    floor: f(Math.floor),
    trunc: f(Math.trunc),
    nearest: f(nearest),
    sqrt: f(Math.sqrt),
    madd: (a, b, c) => round(num(a) * num(b) + num(c)),
    nmadd: (a, b, c) => round(-num(a) * num(b) + num(c)),
  };
}

/** A float as an integer: towards zero, out of range the limit (`saturate`) or a trap. */
function toInteger(value: number, bits: number, signed: boolean, saturate: boolean): Value {
  const low = signed ? -(2n ** BigInt(bits - 1)) : 0n;
  const high = signed ? -low - 1n : 2n ** BigInt(bits) - 1n;
  if (Number.isNaN(value)) return saturate ? 0n : TRAP;
  if (Number.isFinite(value)) {
    const whole = BigInt(Math.trunc(value));
    if (whole >= low && whole <= high) return s(bits, whole);
  }
  return saturate ? s(bits, value < 0 ? low : high) : TRAP;
}

const reinterpret = (from: "f" | "d" | "i" | "l", value: Value): Value => {
  const view = new DataView(new ArrayBuffer(8));
  if (from === "f") return (view.setFloat32(0, num(value)), BigInt(view.getInt32(0)));
  if (from === "d") return (view.setFloat64(0, num(value)), view.getBigInt64(0));
  if (from === "i") return (view.setInt32(0, Number(value)), view.getFloat32(0));
  return (view.setBigInt64(0, big(value)), view.getFloat64(0));
};

/** Bits of scalar types. */
export const WIDTH: Record<string, number> = { i32: 32, i64: 64, f32: 32, f64: 64 };
const TYPES: Record<string, "i" | "l" | "f" | "d"> = { i32: "i", i64: "l", f32: "f", f64: "d" };
const rounding = (bits: number) => bits === 32 ? Math.fround : (value: number) => value;

/** What a scalar instruction does, from its name; undefined if it isn't of these. */
export function scalar(name: string): Reference | undefined {
  const [type, op] = name.split(".");
  const bits = WIDTH[type];
  if (bits === undefined) return undefined;
  const [, kind, from, sign] = /^(\w+?)_([if]\d+)(?:_([su]))?$/.exec(op) ?? [];
  const signed = sign === "s";
  switch (kind) {
    case "wrap":
      return (a) => s(32, big(a));
    case "extend":
      return (a) => signed ? a : u(32, big(a));
    case "trunc":
    case "trunc_sat":
      return (a) => toInteger(num(a), bits, signed, kind !== "trunc");
    case "convert":
      return (a) => rounding(bits)(Number(signed ? a : u(WIDTH[from], big(a))));
    case "promote":
      return (a) => a;
    case "demote":
      return (a) => Math.fround(num(a));
    case "reinterpret":
      return (a) => reinterpret(TYPES[from], a);
  }
  const isInteger = type.startsWith("i");
  const compare = (isInteger ? comparisons(bits) : FLOAT_COMPARISONS)[op];
  if (compare !== undefined) return (a, b) => BigInt(compare(a, b));
  return isInteger ? integer(bits)[op] : floating(rounding(bits))[op];
}

/** Lanes: `i` or `f`, their width and number. */
export type Shape = { letter: string; bits: number; count: number };

/** The shape of a name such as `i8x16`. */
export function shapeOf(name: string): Shape {
  const [, letter, bits, count] = /^([if])(\d+)x(\d+)$/.exec(name)!;
  return { letter, bits: Number(bits), count: Number(count) };
}

/** A vector's lanes. */
export function lanesOf({ letter, bits, count }: Shape, bytes: Uint8Array): Value[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  return Array.from({ length: count }, (_, i) => {
    const at = i * bits / 8;
    if (letter === "f") return bits === 32 ? view.getFloat32(at, true) : view.getFloat64(at, true);
    let value = 0n;
    for (let k = bits / 8 - 1; k >= 0; k--) value = value << 8n | BigInt(view.getUint8(at + k));
    return s(bits, value);
  });
}

/** The vector of these lanes; others are 0. */
export function bytesOf({ letter, bits }: Shape, lanes: readonly Value[]): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  lanes.forEach((lane, i) => {
    const at = i * bits / 8;
    if (letter === "i") {
      for (let k = 0; k < bits / 8; k++) {
        view.setUint8(at + k, Number(big(lane) >> BigInt(8 * k) & 0xffn));
      }
    } else if (bits === 32) view.setFloat32(at, num(lane), true);
    else view.setFloat64(at, num(lane), true);
  });
  return bytes;
}

/** What a vector instruction does, from its name: a lane array of its shape, or a scalar. */
export function vector(
  info: OpInfo,
  a: Uint8Array,
  b: Uint8Array,
  c: Uint8Array,
  x: Value,
): Value[] | Value {
  const [name, fullOp] = info.name.split(".");
  const op = fullOp.replace("relaxed_", "").replace(/mulr_s$/, "mulr_sat_s");
  if (name === "v128") {
    const [p, q, mask] = [a, b, c].map((bytes) => lanesOf(shapeOf("i64x2"), bytes).map(big));
    if (op === "any_true") return BigInt(p.some((lane) => lane !== 0n));
    if (op === "bitselect") return p.map((lane, i) => lane & mask[i] | q[i] & ~mask[i]);
    return p.map((lane, i) => integer(64)[op](lane, q[i]));
  }
  const shape = shapeOf(name);
  const { letter, bits, count } = shape;
  const [p, q, r] = [a, b, c].map((bytes) => lanesOf(shape, bytes));
  const take = (from: Shape, bytes: Uint8Array, sign: string) =>
    lanesOf(from, bytes).map((lane) => sign === "u" ? u(from.bits, big(lane)) : big(lane));
  const half = (values: bigint[], which: string) =>
    which === "low" ? values.slice(0, values.length / 2) : values.slice(values.length / 2);
  let match: RegExpExecArray | null;
  switch (op) {
    case "splat":
      return Array(count).fill(letter === "i" ? s(bits, big(x)) : x);
    case "extract_lane":
    case "extract_lane_s":
      return p[1];
    case "extract_lane_u":
      return u(bits, big(p[1]));
    case "replace_lane":
      return p.with(1, letter === "i" ? s(bits, big(x)) : x);
    case "swizzle":
      return q.map((index) => p[Number(u(8, big(index)))] ?? 0n);
    case "shuffle":
      return [31, 0, 30, 1, 29, 2, 28, 3, 27, 4, 26, 5, 25, 6, 24, 7].map((i) => [...p, ...q][i]);
    case "laneselect":
      return p.map((lane, i) => big(lane) & big(r[i]) | big(q[i]) & ~big(r[i]));
    case "all_true":
      return BigInt(p.every((lane) => lane !== 0n));
    case "bitmask":
      return p.reduce<bigint>((mask, lane, i) => mask | BigInt(lane < 0n) << BigInt(i), 0n);
    case "demote_f64x2_zero":
      return [...lanesOf(shapeOf("f64x2"), a), 0, 0].map((lane) => Math.fround(num(lane)));
    case "promote_low_f32x4":
      return lanesOf(shapeOf("f32x4"), a).slice(0, 2);
    case "dot_i16x8_s":
    case "dot_i8x16_i7x16_s":
    case "dot_i8x16_i7x16_add_s": {
      const from = shapeOf(op === "dot_i16x8_s" ? "i16x8" : "i8x16");
      const products = take(from, a, "s").map((lane, i) => lane * take(from, b, "s")[i]);
      const parts = from.count / count;
      return p.map((_, i) => {
        const sum = products.slice(i * parts, (i + 1) * parts).reduce((x, y) => x + y);
        return s(bits, sum + (op.includes("add") ? big(r[i]) : 0n));
      });
    }
  }
  if ((match = /^narrow_(\w+)_([su])$/.exec(op))) {
    const from = shapeOf(match[1]);
    return [...take(from, a, "s"), ...take(from, b, "s")].map((lane) =>
      integer(bits)[`narrow_${match![2]}`](lane)
    );
  }
  if ((match = /^extend_(low|high)_(\w+)_([su])$/.exec(op))) {
    return half(take(shapeOf(match[2]), a, match[3]), match[1]);
  }
  if ((match = /^extmul_(low|high)_(\w+)_([su])$/.exec(op))) {
    const [, which, from, sign] = match;
    const other = half(take(shapeOf(from), b, sign), which);
    return half(take(shapeOf(from), a, sign), which).map((lane, i) => s(bits, lane * other[i]));
  }
  if ((match = /^extadd_pairwise_(\w+)_([su])$/.exec(op))) {
    const from = take(shapeOf(match[1]), a, match[2]);
    return p.map((_, i) => s(bits, from[2 * i] + from[2 * i + 1]));
  }
  if ((match = /^trunc(?:_sat)?_(\w+)_([su])(?:_zero)?$/.exec(op))) {
    const from = lanesOf(shapeOf(match[1]), a);
    return p.map((_, i) => toInteger(num(from[i] ?? 0), bits, match![2] === "s", true));
  }
  if ((match = /^convert_(?:low_)?(\w+)_([su])$/.exec(op))) {
    const from = take(shapeOf(match[1]), a, match[2]);
    return p.map((_, i) => rounding(bits)(Number(from[i])));
  }
  const compare = (letter === "i" ? comparisons(bits) : FLOAT_COMPARISONS)[op];
  const all = letter === "i" ? shape : { ...shape, letter: "i" };
  if (compare !== undefined) {
    const mask = p.map((lane, i) => compare(lane, q[i]) ? -1n : 0n);
    return lanesOf(shape, bytesOf(all, mask));
  }
  const each = (letter === "i" ? integer(bits) : floating(rounding(bits)))[op];
  assert(each !== undefined, `there is no reference for ${info.name}`);
  const shift = /^sh[lr]/.test(op);
  return p.map((lane, i) => each(lane, shift ? x : q[i], r[i]));
}
