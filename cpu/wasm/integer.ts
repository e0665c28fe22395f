/**
 * Moves and integer arithmetic in WebAssembly.
 *
 * @module
 */
import { isTemporary } from "../engine/region/liveness.ts";
import type { RegionBlock } from "../engine/region/region.ts";
import { FIELDS, Op as Ir, slotsRead, WORDS } from "../ir/ops.ts";
import type { Body } from "./body.ts";
import { Op, type PlainOp, ValType } from "./encoder.ts";

/** Ops with two 64-bit operands that are one instruction, by IR op number. */
const BINARY64 = new Map<number, PlainOp>([
  [Ir.add64, Op.i64_add],
  [Ir.sub64, Op.i64_sub],
  [Ir.mul64, Op.i64_mul],
  [Ir.and64, Op.i64_and],
  [Ir.or64, Op.i64_or],
  [Ir.xor64, Op.i64_xor],
  [Ir.shl64, Op.i64_shl],
  [Ir.shru64, Op.i64_shr_u],
  [Ir.shrs64, Op.i64_shr_s],
  [Ir.rotr64, Op.i64_rotr],
  [Ir.add64i, Op.i64_add],
  [Ir.and64i, Op.i64_and],
  [Ir.or64i, Op.i64_or],
  [Ir.xor64i, Op.i64_xor],
  [Ir.shl64i, Op.i64_shl],
  [Ir.shru64i, Op.i64_shr_u],
  [Ir.shrs64i, Op.i64_shr_s],
  [Ir.rotr64i, Op.i64_rotr],
]);
/** The same for the low words, the result sign-extended. */
const BINARY32 = new Map<number, PlainOp>([
  [Ir.add32, Op.i32_add],
  [Ir.sub32, Op.i32_sub],
  [Ir.mul32, Op.i32_mul],
  [Ir.shl32, Op.i32_shl],
  [Ir.shru32, Op.i32_shr_u],
  [Ir.shrs32, Op.i32_shr_s],
  [Ir.rotr32, Op.i32_rotr],
  [Ir.add32i, Op.i32_add],
  [Ir.shl32i, Op.i32_shl],
  [Ir.shru32i, Op.i32_shr_u],
  [Ir.shrs32i, Op.i32_shr_s],
  [Ir.rotr32i, Op.i32_rotr],
]);
/** Ops whose result has the same low word as this one of the operands' low words. */
const LOW_WORD = new Map<number, PlainOp>([
  ...BINARY32,
  [Ir.add64, Op.i32_add],
  [Ir.sub64, Op.i32_sub],
  [Ir.mul64, Op.i32_mul],
  [Ir.and64, Op.i32_and],
  [Ir.or64, Op.i32_or],
  [Ir.xor64, Op.i32_xor],
  [Ir.add64i, Op.i32_add],
  [Ir.and64i, Op.i32_and],
  [Ir.or64i, Op.i32_or],
  [Ir.xor64i, Op.i32_xor],
]);
/** Comparisons: 1 or 0. */
const COMPARE = new Map<number, PlainOp>([
  [Ir.slt64, Op.i64_lt_s],
  [Ir.slt64i, Op.i64_lt_s],
  [Ir.sltu64, Op.i64_lt_u],
  [Ir.sltu64i, Op.i64_lt_u],
  [Ir.seq64, Op.i64_eq],
  [Ir.sne64, Op.i64_ne],
]);
const UNARY64 = new Map<number, PlainOp>([
  [Ir.clz64, Op.i64_clz],
  [Ir.ctz64, Op.i64_ctz],
  [Ir.popcnt64, Op.i64_popcnt],
  [Ir.sext8, Op.i64_extend8_s],
  [Ir.sext16, Op.i64_extend16_s],
]);
const UNARY32 = new Map<number, PlainOp>([
  [Ir.clz32, Op.i32_clz],
  [Ir.ctz32, Op.i32_ctz],
  [Ir.popcnt32, Op.i32_popcnt],
]);
/** Minimum and maximum: the comparison under which the first operand is the result. */
const MINMAX = new Map<number, PlainOp>([
  [Ir.mins64, Op.i64_lt_s],
  [Ir.maxs64, Op.i64_gt_s],
  [Ir.minu64, Op.i64_lt_u],
  [Ir.maxu64, Op.i64_gt_u],
]);
interface Division {
  op: PlainOp;
  bits: 32 | 64;
  signed: boolean;
  remainder: boolean;
}
const DIVIDE = new Map<number, Division>([
  [Ir.divs64, { op: Op.i64_div_s, bits: 64, signed: true, remainder: false }],
  [Ir.divu64, { op: Op.i64_div_u, bits: 64, signed: false, remainder: false }],
  [Ir.rems64, { op: Op.i64_rem_s, bits: 64, signed: true, remainder: true }],
  [Ir.remu64, { op: Op.i64_rem_u, bits: 64, signed: false, remainder: true }],
  [Ir.divs32, { op: Op.i32_div_s, bits: 32, signed: true, remainder: false }],
  [Ir.divu32, { op: Op.i32_div_u, bits: 32, signed: false, remainder: false }],
  [Ir.rems32, { op: Op.i32_rem_s, bits: 32, signed: true, remainder: true }],
  [Ir.remu32, { op: Op.i32_rem_u, bits: 32, signed: false, remainder: true }],
]);

/**
 * Writes an op and the next record, if that zero-extends the op's low word and nobody else wants the result: in 32 bits,
 * where the host's processor extends for nothing.
 */
export function emitLowWord(c: Body, { ir, terminator }: RegionBlock, at: number): boolean {
  const { code, insns } = ir, next = at + WORDS, temporary = code[at + 1];
  if (next >= terminator || code[next] !== Ir.and64i || code[next + 2] !== temporary) return false;
  if (code[next + 4] !== -1 || code[next + 5] !== 0 || !isTemporary(temporary)) return false;
  const op = code[at], plain = LOW_WORD.get(op) ?? (op === Ir.shl64i ? Op.i32_shl : undefined);
  if (plain === undefined || (op === Ir.shl64i && code[at + 4] > 31)) return false;
  // Temporaries end with the guest instruction.
  for (let later = next + WORDS; later <= terminator; later += WORDS) {
    if (insns[later / WORDS] !== insns[at / WORDS]) break;
    if (slotsRead(code, later, FIELDS[code[later]]).includes(temporary)) return false;
  }
  const { w, registers } = c;
  registers.get32(code[at + 2]);
  if (FIELDS[op].reads.includes(3)) registers.get32(code[at + 3]);
  else w.i32Const(code[at + 4]);
  w.op(plain);
  w.op(Op.i64_extend_i32_u);
  registers.set(code[next + 1]);
  return true;
}

/** Writes an integer op; false if it has no form of its own here. */
export function emitInteger(c: Body, code: Int32Array, at: number): boolean {
  const { w, registers } = c;
  const op = code[at], d = code[at + 1], a = code[at + 2], b = code[at + 3];
  const lo = code[at + 4], hi = code[at + 5];
  const immediate = !FIELDS[op].reads.includes(3);
  let plain: PlainOp | undefined;
  if ((plain = BINARY64.get(op)) !== undefined) {
    registers.get(a);
    if (immediate) w.i64Const(lo, hi);
    else registers.get(b);
    w.op(plain);
  } else if ((plain = BINARY32.get(op)) !== undefined) {
    registers.get32(a);
    if (immediate) w.i32Const(lo);
    else registers.get32(b);
    w.op(plain);
    // The sign of what was moved right is 0: the host's processor extends that for nothing.
    w.op(op === Ir.shru32i && (lo & 31) !== 0 ? Op.i64_extend_i32_u : Op.i64_extend_i32_s);
  } else if ((plain = COMPARE.get(op)) !== undefined) {
    registers.get(a);
    if (immediate) w.i64Const(lo, hi);
    else registers.get(b);
    w.op(plain);
    w.op(Op.i64_extend_i32_u);
  } else if ((plain = UNARY64.get(op)) !== undefined) {
    registers.get(a);
    w.op(plain);
  } else if ((plain = UNARY32.get(op)) !== undefined) {
    registers.get32(a);
    w.op(plain);
    w.op(Op.i64_extend_i32_u);
  } else if ((plain = MINMAX.get(op)) !== undefined) {
    registers.get(a);
    registers.get(b);
    registers.get(a);
    registers.get(b);
    w.op(plain);
    w.op(Op.select);
  } else if (DIVIDE.has(op)) divide(c, a, b, DIVIDE.get(op)!);
  else if (op === Ir.mulhu64 || op === Ir.mulhs64 || op === Ir.mulhsu64) highProduct(c, op, a, b);
  else if (op === Ir.bswap64) byteSwap(c, a);
  else if (op === Ir.const) w.i64Const(lo, hi);
  else if (op === Ir.mov) {
    if (registers.isDouble(d)) {
      registers.getDouble(a);
      registers.setDouble(d);
      return true;
    }
    registers.get(a);
  } else if (op === Ir.select) {
    registers.get(b);
    registers.get(lo);
    registers.get(a);
    w.i64Const(0);
    w.op(Op.i64_ne);
    w.op(Op.select);
  } else return op === Ir.nop || op === Ir.fence || op === Ir.invalidate;
  registers.set(d);
  return true;
}

/** Pushes a total quotient or remainder: by 0, and by -1 without overflow. */
function divide(c: Body, a: number, b: number, { op, bits, signed, remainder }: Division): void {
  const { w, registers } = c, long = bits === 64;
  const type = long ? ValType.i64 : ValType.i32;
  const get = (slot: number) => long ? registers.get(slot) : registers.get32(slot);
  const constant = (value: number) => long ? w.i64Const(value) : w.i32Const(value);
  get(b);
  w.op(long ? Op.i64_eqz : Op.i32_eqz);
  w.hint(false);
  w.if(type);
  if (remainder) get(a);
  else constant(-1);
  w.else();
  if (signed) {
    get(b);
    constant(-1);
    w.op(long ? Op.i64_eq : Op.i32_eq);
    w.hint(false);
    w.if(type);
    constant(0);
    if (!remainder) {
      get(a);
      w.op(long ? Op.i64_sub : Op.i32_sub);
    }
    w.else();
  }
  get(a);
  get(b);
  w.op(op);
  if (signed) w.end();
  w.end();
  if (!long) w.op(Op.i64_extend_i32_s);
}

/** Pushes the high word of a product: the unsigned one, less each operand where the other is negative. */
function highProduct(c: Body, op: number, a: number, b: number): void {
  const { w, registers } = c;
  registers.get(a);
  registers.get(b);
  w.call(c.layout.helper("mulhu"));
  const correct = (sign: number, by: number) => {
    registers.get(sign);
    w.i64Const(63);
    w.op(Op.i64_shr_s);
    registers.get(by);
    w.op(Op.i64_and);
    w.op(Op.i64_sub);
  };
  if (op !== Ir.mulhu64) correct(a, b);
  if (op === Ir.mulhs64) correct(b, a);
}

/** Pushes the bytes in reverse: neighbours, then pairs, then words change places. */
function byteSwap(c: Body, a: number): void {
  const { w, registers } = c, value = c.scratch("swap", ValType.i64);
  const swap = (bits: number, mask: number) => {
    w.localTee(value);
    w.i64Const(bits);
    w.op(Op.i64_shr_u);
    w.i64Const(mask, mask);
    w.op(Op.i64_and);
    w.localGet(value);
    w.i64Const(mask, mask);
    w.op(Op.i64_and);
    w.i64Const(bits);
    w.op(Op.i64_shl);
    w.op(Op.i64_or);
  };
  registers.get(a);
  swap(8, 0x00ff_00ff);
  swap(16, 0x0000_ffff);
  w.i64Const(32);
  w.op(Op.i64_rotr);
}
