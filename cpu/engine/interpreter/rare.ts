/**
 * Ops outside the interpreter's main loop: divisions, high products, bit counts, atomics, floating point through
 * softfloat, counters. One implementation for every tier that has no native form of them.
 *
 * @module
 */
import type { Arena } from "../../../mmu/arena.ts";
import { Slot, Trap } from "../../ir/encoding.ts";
import type { SlowPath } from "./slow_memory.ts";
import type { SoftFloat } from "../softfloat/softfloat.ts";
import type { VectorOps } from "../vector/vector.ts";

// deno-fmt-ignore -- op numbers, written by `deno task ops`
const enum Op {
  nop = 0, const = 1, mov = 2, add64 = 3, add64i = 4, sub64 = 5,
  and64 = 6, and64i = 7, or64 = 8, or64i = 9, xor64 = 10, xor64i = 11,
  shl64 = 12, shl64i = 13, shru64 = 14, shru64i = 15, shrs64 = 16, shrs64i = 17,
  mul64 = 18, add32 = 19, add32i = 20, sub32 = 21, mul32 = 22, shl32 = 23,
  shl32i = 24, shru32 = 25, shru32i = 26, shrs32 = 27, shrs32i = 28, sext8 = 29,
  sext16 = 30, slt64 = 31, slt64i = 32, sltu64 = 33, sltu64i = 34, seq64 = 35,
  sne64 = 36, select = 37, ldS8 = 38, ldU8 = 39, ldS16 = 40, ldU16 = 41,
  ldS32 = 42, ldU32 = 43, ldB32 = 44, ld64 = 45, st8 = 46, st16 = 47,
  st32 = 48, st64 = 49, jump = 50, jumpInd = 51, brEq = 52, brNe = 53,
  brLt = 54, brGe = 55, brLtu = 56, brGeu = 57, trap = 58, link = 59,
  goto = 60, fadd64 = 61, fsub64 = 62, fmul64 = 63, fdiv64 = 64, fma64 = 65,
  fadd32 = 66, fsub32 = 67, fmul32 = 68, fdiv32 = 69, fma32 = 70, feq64 = 71,
  flt64 = 72, fle64 = 73, divs64 = 74, divu64 = 75, rems64 = 76, remu64 = 77,
  divs32 = 78, divu32 = 79, rems32 = 80, remu32 = 81, mulhs64 = 82, mulhu64 = 83,
  mulhsu64 = 84, rotr64 = 85, rotr64i = 86, rotr32 = 87, rotr32i = 88, clz64 = 89,
  ctz64 = 90, popcnt64 = 91, clz32 = 92, ctz32 = 93, popcnt32 = 94, bswap64 = 95,
  mins64 = 96, maxs64 = 97, minu64 = 98, maxu64 = 99, ldx32 = 100, ldx64 = 101,
  stx32 = 102, stx64 = 103, amo32 = 104, amo64 = 105, zero = 106, aligned = 107,
  fence = 108, invalidate = 109, fadd64r = 110, fsub64r = 111, fmul64r = 112, fdiv64r = 113,
  fadd32r = 114, fsub32r = 115, fmul32r = 116, fdiv32r = 117, fsqrt64 = 118, fsqrt32 = 119,
  fmin64 = 120, fmax64 = 121, fmin32 = 122, fmax32 = 123, feq32 = 124, flt32 = 125,
  fle32 = 126, fclass64 = 127, fclass32 = 128, unbox32 = 129, cvtF64S32 = 130, cvtF64U32 = 131,
  cvtF64S64 = 132, cvtF64U64 = 133, cvtF32S32 = 134, cvtF32U32 = 135, cvtF32S64 = 136, cvtF32U64 = 137,
  cvtS32F64 = 138, cvtU32F64 = 139, cvtS64F64 = 140, cvtU64F64 = 141, cvtS32F32 = 142, cvtU32F32 = 143,
  cvtS64F32 = 144, cvtU64F32 = 145, cvtF32F64 = 146, cvtF64F32 = 147, fpsync = 148, checkrm = 149,
  icount = 150, clock = 151, enter = 152, sys = 153, gate = 154, hop = 155,
}
// end of op numbers

const enum S {
  EXCLUSIVE_ADDRESS = 8163,
  EXCLUSIVE_VALUE = 8164,
}

const LOW = 0xffff_ffffn;
const ORDERED: readonly ((a: bigint, b: bigint) => bigint)[] = [
  (_, b) => b,
  (a, b) => a + b,
  (a, b) => a ^ b,
  (a, b) => a & b,
  (a, b) => a | b,
  (a, b) => a < b ? a : b,
  (a, b) => a > b ? a : b,
  (a, b) => BigInt.asUintN(64, a) < BigInt.asUintN(64, b) ? a : b,
  (a, b) => BigInt.asUintN(64, a) > BigInt.asUintN(64, b) ? a : b,
];

/** Host services that rare ops need. */
export interface RareHost {
  /** Guest instructions executed before the record at `ip`. */
  instructionsAt(ip: number): number;
  /** Seconds since a fixed point, for `clock`. */
  seconds(): number;
  /**
   * System mode: the ISA's privileged operation `number` of slots `a` and `b`, with its result in slot `d`.
   *
   * @returns False if it faulted, as the slow path says.
   */
  system?(number: number, d: number, a: number, b: number, j: number): boolean;
}

function popcount(x: number): number {
  x -= x >>> 1 & 0x5555_5555;
  x = (x & 0x3333_3333) + (x >>> 2 & 0x3333_3333);
  return Math.imul(x + (x >>> 4) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

function ctz(x: number): number {
  return x === 0 ? 32 : 31 - Math.clz32(x & -x);
}

function bswap(x: number): number {
  return x << 24 | (x & 0xff00) << 8 | x >>> 8 & 0xff00 | x >>> 24;
}

/** Executes rare ops on the slots of one CPU. */
export class RareOps {
  readonly #q: BigInt64Array;
  readonly #u: BigUint64Array;
  readonly #r: Int32Array;
  readonly #slow: SlowPath;
  readonly #float: SoftFloat;
  readonly #host: RareHost;
  /** Ops on vectors, once they are loaded. */
  vector: VectorOps | undefined;

  constructor(arena: Arena, slow: SlowPath, float: SoftFloat, host: RareHost) {
    this.#q = arena.q;
    this.#u = arena.u;
    this.#r = arena.r;
    this.#slow = slow;
    this.#float = float;
    this.#host = host;
  }

  /** Executes the record at `ip` of `code`; false if it faulted (see {@linkcode SlowPath}). */
  execute(code: Int32Array, ip: number): boolean {
    const q = this.#q, u = this.#u, r = this.#r, fp = this.#float;
    const d = code[ip + 1], a = code[ip + 2], b = code[ip + 3], c = code[ip + 4], j = code[ip + 5];
    const al = r[a << 1], bl = r[b << 1], rm = j & 7, boxed = j >>> 3 & 1;
    let bad = 0;
    switch (code[ip]) {
      case Op.divs64:
        q[d] = q[b] === 0n ? -1n : q[b] === -1n ? BigInt.asIntN(64, -q[a]) : q[a] / q[b];
        break;
      case Op.divu64:
        if (u[b] === 0n) q[d] = -1n;
        else u[d] = u[a] / u[b];
        break;
      case Op.rems64:
        q[d] = q[b] === 0n ? q[a] : q[b] === -1n ? 0n : q[a] % q[b];
        break;
      case Op.remu64:
        if (u[b] === 0n) q[d] = q[a];
        else u[d] = u[a] % u[b];
        break;
      case Op.divs32:
        q[d] = BigInt(bl === 0 ? -1 : (al / bl) | 0);
        break;
      case Op.divu32:
        q[d] = BigInt(bl === 0 ? -1 : ((al >>> 0) / (bl >>> 0)) | 0);
        break;
      case Op.rems32:
        q[d] = BigInt(bl === 0 ? al : (al % bl) | 0);
        break;
      case Op.remu32:
        q[d] = BigInt(bl === 0 ? al : ((al >>> 0) % (bl >>> 0)) | 0);
        break;
      case Op.mulhs64: {
        const x = q[a], y = q[b];
        const high = this.#mulhu(a, b);
        q[d] = BigInt.asIntN(64, high - (x < 0n ? y : 0n) - (y < 0n ? x : 0n));
        break;
      }
      case Op.mulhu64:
        u[d] = this.#mulhu(a, b);
        break;
      case Op.mulhsu64: {
        const x = q[a], y = q[b];
        q[d] = BigInt.asIntN(64, this.#mulhu(a, b) - (x < 0n ? y : 0n));
        break;
      }
      case Op.rotr64:
        this.#rotate(d, a, bl & 63);
        break;
      case Op.rotr64i:
        this.#rotate(d, a, c & 63);
        break;
      case Op.rotr32:
        q[d] = BigInt(al >>> (bl & 31) | al << (-bl & 31));
        break;
      case Op.rotr32i:
        q[d] = BigInt(al >>> (c & 31) | al << (-c & 31));
        break;
      case Op.clz64: {
        const hi = r[(a << 1) + 1];
        q[d] = BigInt(hi !== 0 ? Math.clz32(hi) : 32 + Math.clz32(al));
        break;
      }
      case Op.ctz64:
        q[d] = BigInt(al !== 0 ? ctz(al) : 32 + ctz(r[(a << 1) + 1]));
        break;
      case Op.popcnt64:
        q[d] = BigInt(popcount(al) + popcount(r[(a << 1) + 1]));
        break;
      case Op.clz32:
        q[d] = BigInt(Math.clz32(al));
        break;
      case Op.ctz32:
        q[d] = BigInt(ctz(al));
        break;
      case Op.popcnt32:
        q[d] = BigInt(popcount(al));
        break;
      case Op.bswap64: {
        const hi = r[(a << 1) + 1];
        r[d << 1] = bswap(hi);
        r[(d << 1) + 1] = bswap(al);
        break;
      }
      case Op.mins64:
        q[d] = q[a] < q[b] ? q[a] : q[b];
        break;
      case Op.maxs64:
        q[d] = q[a] > q[b] ? q[a] : q[b];
        break;
      case Op.minu64:
        u[d] = u[a] < u[b] ? u[a] : u[b];
        break;
      case Op.maxu64:
        u[d] = u[a] > u[b] ? u[a] : u[b];
        break;
      case Op.ldx32:
      case Op.ldx64: {
        const size = code[ip] === Op.ldx32 ? 4 : 8;
        if (!this.#aligned(a, size) || !this.#loadAt(a, size)) return false;
        q[S.EXCLUSIVE_ADDRESS] = q[a];
        this.#put(d, size);
        q[S.EXCLUSIVE_VALUE] = q[d];
        break;
      }
      case Op.stx32:
      case Op.stx64:
        return this.#storeExclusive(d, a, b, code[ip] === Op.stx32 ? 4 : 8);
      case Op.amo32:
      case Op.amo64:
        return this.#amo(d, a, b, j, code[ip] === Op.amo32 ? 4 : 8);
      case Op.zero:
        return this.#slow.zero(al, r[(a << 1) + 1], c);
      case Op.aligned:
        return this.#aligned(a, c);
      case Op.fence:
      case Op.invalidate:
        break;
      case Op.fadd64r:
      case Op.fadd64:
        bad = fp.add64(d, a, b, rm);
        break;
      case Op.fsub64r:
      case Op.fsub64:
        bad = fp.sub64(d, a, b, rm);
        break;
      case Op.fmul64r:
      case Op.fmul64:
        bad = fp.mul64(d, a, b, rm);
        break;
      case Op.fdiv64r:
      case Op.fdiv64:
        bad = fp.div64(d, a, b, rm);
        break;
      case Op.fma64:
        bad = fp.fma64(d, a, b, c, rm, j >>> 4 & 1, j >>> 5 & 1);
        break;
      case Op.fadd32r:
      case Op.fadd32:
        bad = fp.add32(d, a, b, rm, boxed);
        break;
      case Op.fsub32r:
      case Op.fsub32:
        bad = fp.sub32(d, a, b, rm, boxed);
        break;
      case Op.fmul32r:
      case Op.fmul32:
        bad = fp.mul32(d, a, b, rm, boxed);
        break;
      case Op.fdiv32r:
      case Op.fdiv32:
        bad = fp.div32(d, a, b, rm, boxed);
        break;
      case Op.fma32:
        bad = fp.fma32(d, a, b, c, rm, j >>> 4 & 1, j >>> 5 & 1, boxed);
        break;
      case Op.feq64:
        bad = fp.eq64(d, a, b);
        break;
      case Op.flt64:
        bad = fp.lt64(d, a, b);
        break;
      case Op.fle64:
        bad = fp.le64(d, a, b);
        break;
      case Op.fsqrt64:
        bad = fp.sqrt64(d, a, rm);
        break;
      case Op.fsqrt32:
        bad = fp.sqrt32(d, a, rm, boxed);
        break;
      case Op.fmin64:
        bad = fp.min64(d, a, b);
        break;
      case Op.fmax64:
        bad = fp.max64(d, a, b);
        break;
      case Op.fmin32:
        bad = fp.min32(d, a, b, boxed);
        break;
      case Op.fmax32:
        bad = fp.max32(d, a, b, boxed);
        break;
      case Op.feq32:
        bad = fp.eq32(d, a, b, boxed);
        break;
      case Op.flt32:
        bad = fp.lt32(d, a, b, boxed);
        break;
      case Op.fle32:
        bad = fp.le32(d, a, b, boxed);
        break;
      case Op.fclass64:
        bad = fp.class64(d, a);
        break;
      case Op.fclass32:
        bad = fp.class32(d, a, boxed);
        break;
      case Op.unbox32:
        q[d] = r[(a << 1) + 1] === -1 ? q[a] : -0x8040_0000n;
        break;
      case Op.cvtF64S32:
        bad = fp.f64FromI32(d, a, rm);
        break;
      case Op.cvtF64U32:
        bad = fp.f64FromU32(d, a, rm);
        break;
      case Op.cvtF64S64:
        bad = fp.f64FromI64(d, a, rm);
        break;
      case Op.cvtF64U64:
        bad = fp.f64FromU64(d, a, rm);
        break;
      case Op.cvtF32S32:
        bad = fp.f32FromI32(d, a, rm, boxed);
        break;
      case Op.cvtF32U32:
        bad = fp.f32FromU32(d, a, rm, boxed);
        break;
      case Op.cvtF32S64:
        bad = fp.f32FromI64(d, a, rm, boxed);
        break;
      case Op.cvtF32U64:
        bad = fp.f32FromU64(d, a, rm, boxed);
        break;
      case Op.cvtS32F64:
        bad = fp.i32FromF64(d, a, rm);
        break;
      case Op.cvtU32F64:
        bad = fp.u32FromF64(d, a, rm);
        break;
      case Op.cvtS64F64:
        bad = fp.i64FromF64(d, a, rm);
        break;
      case Op.cvtU64F64:
        bad = fp.u64FromF64(d, a, rm);
        break;
      case Op.cvtS32F32:
        bad = fp.i32FromF32(d, a, rm, boxed);
        break;
      case Op.cvtU32F32:
        bad = fp.u32FromF32(d, a, rm, boxed);
        break;
      case Op.cvtS64F32:
        bad = fp.i64FromF32(d, a, rm, boxed);
        break;
      case Op.cvtU64F32:
        bad = fp.u64FromF32(d, a, rm, boxed);
        break;
      case Op.cvtF32F64:
        bad = fp.f32FromF64(d, a, rm, boxed);
        break;
      case Op.cvtF64F32:
        bad = fp.f64FromF32(d, a, rm, boxed);
        break;
      case Op.fpsync:
        fp.updateFast();
        break;
      case Op.checkrm:
        bad = r[Slot.FP_RM << 1] > 4 ? 1 : 0;
        break;
      case Op.icount:
        q[d] = BigInt(this.#host.instructionsAt(ip));
        break;
      case Op.clock:
        u[d] = BigInt(Math.floor(this.#host.seconds() * c));
        break;
      case Op.sys:
      case Op.gate:
        return this.#host.system!(c, d, a, b, j);
      default:
        if (this.vector) return this.vector.execute(code, ip);
        throw new Error(`Cannot execute op ${code[ip]} at code index ${ip}: it is not loaded`);
    }
    return bad === 0 ? true : this.#slow.fault(Trap.ILLEGAL, 0, 0);
  }

  /** High 64 bits of the unsigned product of two slots, from four 32-bit products. */
  #mulhu(a: number, b: number): bigint {
    const x = this.#u[a], y = this.#u[b];
    const xl = x & LOW, xh = x >> 32n, yl = y & LOW, yh = y >> 32n;
    const low = BigInt.asUintN(64, xl * yl);
    const mid = BigInt.asUintN(64, xh * yl + (low >> 32n));
    const mid2 = BigInt.asUintN(64, xl * yh + (mid & LOW));
    return BigInt.asUintN(64, xh * yh + (mid >> 32n) + (mid2 >> 32n));
  }

  #rotate(d: number, a: number, count: number): void {
    const r = this.#r;
    let lo = r[a << 1], hi = r[(a << 1) + 1];
    if (count & 32) [lo, hi] = [hi, lo];
    const n = count & 31;
    r[d << 1] = n === 0 ? lo : lo >>> n | hi << (32 - n);
    r[(d << 1) + 1] = n === 0 ? hi : hi >>> n | lo << (32 - n);
  }

  /** Address in slot `a` is naturally aligned; else the atomic faults. */
  #aligned(a: number, size: number): boolean {
    const r = this.#r, lo = r[a << 1], hi = r[(a << 1) + 1];
    return (lo & (size - 1)) === 0 || this.#slow.fault(Trap.MISALIGNED, lo, hi);
  }

  #loadAt(a: number, size: number): boolean {
    return this.#slow.load(this.#r[a << 1], this.#r[(a << 1) + 1], size);
  }

  /** Puts the last load, sign-extended, into slot `d`. */
  #put(d: number, size: number): void {
    const { lo, hi } = this.#slow;
    this.#r[d << 1] = lo;
    this.#r[(d << 1) + 1] = size === 4 ? lo >> 31 : hi;
  }

  #storeExclusive(d: number, a: number, b: number, size: number): boolean {
    const q = this.#q, r = this.#r, slow = this.#slow;
    if (!this.#aligned(a, size)) return false;
    const reserved = q[S.EXCLUSIVE_ADDRESS] === q[a];
    let failed = 1;
    if (reserved) {
      if (!this.#loadAt(a, size)) return slow.fault(Trap.STORE_FAULT, slow.faultLo, slow.faultHi);
      const lo = slow.lo, hi = size === 4 ? lo >> 31 : slow.hi;
      const same = r[S.EXCLUSIVE_VALUE << 1] === lo && r[(S.EXCLUSIVE_VALUE << 1) + 1] === hi;
      if (same) {
        if (!slow.store(r[a << 1], r[(a << 1) + 1], size, r[b << 1], r[(b << 1) + 1])) return false;
        failed = 0;
      }
    }
    q[S.EXCLUSIVE_ADDRESS] = -1n;
    q[d] = BigInt(failed);
    return true;
  }

  #amo(d: number, a: number, b: number, kind: number, size: number): boolean {
    const q = this.#q, r = this.#r, slow = this.#slow;
    if (!this.#aligned(a, size)) return false;
    if (!this.#loadAt(a, size)) return slow.fault(Trap.STORE_FAULT, slow.faultLo, slow.faultHi);
    const lo = slow.lo, hi = size === 4 ? lo >> 31 : slow.hi;
    const old = BigInt.asIntN(64, BigInt(hi) * 0x1_0000_0000n + BigInt(lo >>> 0));
    const operand = size === 4 ? BigInt(r[b << 1]) : q[b];
    const value = BigInt.asIntN(64, ORDERED[kind](old, operand));
    const valueLo = Number(BigInt.asIntN(32, value)), valueHi = Number(value >> 32n);
    if (!slow.store(r[a << 1], r[(a << 1) + 1], size, valueLo, valueHi)) return false;
    q[d] = old;
    return true;
  }
}
