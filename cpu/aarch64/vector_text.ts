/**
 * Assembly text of floating point and Advanced SIMD: registers, arrangements, elements, lists and immediates of the
 * tables' `asm` templates.
 *
 * A register is `{X}{field}` with a fixed size (`{dn}`: D register of field rn), or a kind of its size behind a colon:
 * `{fd:size}` a scalar, `{vd:size}` a vector with its arrangement, `{en:imm5}` an element.
 *
 * Source: Arm Architecture Reference Manual (DDI 0487), C1.2.5 "Register names", C7.2.
 *
 * @module
 */
import type { Fields } from "../isa/decoder.ts";
import { expandImm } from "./fp.ts";
import { laneOf } from "./simd_memory.ts";
import { modifiedImmediate } from "./simd_move.ts";

const LETTERS = "bhsdq";
const lowestBit = (f: Fields) => Math.log2(f.imm5 & -f.imm5);
/** Of the lanes that a shift names by the highest bit of immh. */
const shiftLane = (f: Fields) => 31 - Math.clz32(f.immh);

/** Kinds of lanes: log2 of their bytes; whether there are 128 bits of them in any case, or two lanes. */
interface Kind {
  log2(f: Fields): number;
  bytes?(f: Fields): number;
}
const KINDS: Readonly<Record<string, Kind>> = {
  size: { log2: (f) => f.size },
  wide: { log2: (f) => f.size + 1, bytes: () => 16 },
  pairs: { log2: (f) => f.size + 1 },
  sz: { log2: (f) => 2 + f.sz },
  sz16: { log2: (f) => 2 + f.sz, bytes: () => 16 },
  half: { log2: (f) => 1 + f.sz },
  two: { log2: (f) => 2 + f.sz, bytes: (f) => 8 << f.sz },
  immh: { log2: shiftLane },
  immhwide: { log2: (f) => shiftLane(f) + 1, bytes: () => 16 },
  imm5: { log2: lowestBit },
  b: { log2: () => 0 },
  s: { log2: () => 2 },
};

const NUMBERS: Readonly<Record<string, string>> = {
  d: "rd",
  n: "rn",
  m: "rm",
  a: "ra",
  t: "rt",
  t2: "rt2",
};

function arrangement(kind: string, f: Fields): string {
  const { log2, bytes } = KINDS[kind] ?? {};
  if (!log2) return kind;
  const lane = log2(f);
  return `${(bytes?.(f) ?? (f.q ? 16 : 8)) >> lane}${LETTERS[lane]}`;
}

/** Index of the element that imm5, or imm4 for the source of INS, names. */
const elementIndex = (kind: string, f: Fields) =>
  kind === "imm4" ? f.imm4 >> lowestBit(f) : f.imm5 >> lowestBit(f) + 1;

/** A register, or undefined if the token is not one. */
export function vectorRegister(token: string, f: Fields, kind: string): string | undefined {
  const match = /^([bhsdqvfe])(d|n|m|a|t2?)$/.exec(token);
  if (!match) return undefined;
  const letter = match[1], n = f[NUMBERS[match[2]]];
  if (letter === "v") return `v${n}.${arrangement(kind, f)}`;
  if (letter === "f") return `${LETTERS[KINDS[kind].log2(f)]}${n}`;
  if (letter === "e") return `v${n}.${LETTERS[lowestBit(f)]}[${elementIndex(kind, f)}]`;
  return letter + n;
}

/** Registers that follow each other, as a list. */
function list(first: number, count: number, suffix: string): string {
  const at = (i: number) => `v${first + i & 31}${suffix}`;
  if (count > 2 && first + count <= 32) return `{${at(0)}-${at(count - 1)}}`;
  return `{${Array.from({ length: count }, (_, i) => at(i)).join(", ")}}`;
}

/** The index register of an access that writes its base back, or what it adds. */
const step = (f: Fields, bytes: number) => f.rm === 31 ? `#${bytes}` : `x${f.rm}`;

/** A floating-point constant as C's `%.18e` writes it. */
function constant(lo: number, hi: number, bits: number): string {
  const view = new DataView(new ArrayBuffer(8));
  view.setInt32(0, bits === 64 ? hi : lo);
  view.setInt32(4, lo);
  const value = bits === 64 ? view.getFloat64(0) : view.getFloat32(0);
  return `#${value.toExponential(18).replace(/e([+-])(\d)$/, "e$10$2")}`;
}

function immediate(f: Fields): string {
  const { rd, q, op, cmode } = f, imm = f.abc << 5 | f.defgh, hex = `#0x${imm.toString(16)}`;
  if (cmode === 15) {
    const [lo, hi] = modifiedImmediate(f), bits = op ? 64 : 32;
    return `v${rd}.${op ? "2d" : q ? "4s" : "2s"}, ${constant(lo, hi, bits)}`;
  }
  if (cmode === 14) {
    if (!op) return `v${rd}.${q ? "16b" : "8b"}, ${hex}`;
    const [lo, hi] = modifiedImmediate(f).map((x) => BigInt(x >>> 0));
    return `${q ? `v${rd}.2d` : `d${rd}`}, #0x${(hi << 32n | lo).toString(16)}`;
  }
  const shift = cmode >= 12
    ? `, msl #${cmode & 1 ? 16 : 8}`
    : cmode >= 8
    ? `, lsl #${8 * (cmode >> 1 & 1)}`
    : `, lsl #${8 * (cmode >> 1)}`;
  const halves = cmode >= 8 && cmode < 12;
  const lanes = halves ? (q ? "8h" : "4h") : q ? "4s" : "2s";
  return `v${rd}.${lanes}, ${hex}${shift.endsWith("#0") ? "" : shift}`;
}

/** What an element of a vector by its number is: of 16 bits H:L:M of V0 to V15, of 32 bits H:L, of 64 bits H. */
function element(f: Fields): string {
  if (f.size === 1) return `v${f.rm4}.h[${f.h << 2 | f.l << 1 | f.m}]`;
  const n = f.m << 4 | f.rm4;
  return f.size === 2 ? `v${n}.s[${f.h << 1 | f.l}]` : `v${n}.d[${f.h}]`;
}

const general = (n: number, wide: boolean) => `${wide ? "x" : "w"}${n === 31 ? "zr" : n}`;

/** How the other tokens are written. */
export const VECTOR_WRITERS: Readonly<Record<string, (f: Fields, argument: string) => string>> = {
  2: (f) => f.q ? "2 " : " ",
  high: (f, field) => `v${f[field]}.d[1]`,
  rnlane: (f) => general(f.rn, lowestBit(f) === 3),
  rdq: (f) => general(f.rd, f.q === 1),
  lanebits: (f) => String(8 << f.size),
  right: (f) => String((16 << shiftLane(f)) - (f.immh << 3 | f.immb)),
  left: (f) => String((f.immh << 3 | f.immb) - (8 << shiftLane(f))),
  fbits: (f) => `#${64 - f.scale}`,
  imm4: (f) => String(f.imm4),
  imm8s: (f) => constant(...expandImm(f.imm8, 32), 32),
  imm8d: (f) => constant(...expandImm(f.imm8, 64), 64),
  element,
  immediate,
  table: (f) => list(f.rn, f.len + 1, ".16b"),
  list: (f, count) => list(f.rt, Number(count), `.${arrangement("size", f)}`),
  step: (f, count) => step(f, Number(count) * (f.q ? 16 : 8)),
  // The argument is the number of registers, and the opcode.
  lanelist: (f, [count, opcode]) => {
    const { log2, index } = laneOf(f, Number(opcode));
    return `${list(f.rt, Number(count), `.${LETTERS[log2]}`)}[${index}]`;
  },
  lanestep: (f, [count, opcode]) => step(f, Number(count) << laneOf(f, Number(opcode)).log2),
  replicatedstep: (f, [count]) => step(f, Number(count) << f.size),
};
