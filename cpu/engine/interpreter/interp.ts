/**
 * The interpreter of one CPU: its loop (interp_loop.ts) and what it leaves to slower code.
 *
 * @module
 */
import type { Arena } from "../../../mmu/arena.ts";
import { Exit } from "../exits.ts";
import { fresh } from "../region/fresh.ts";
import { makeRun } from "./interp_loop.ts";
import type { RareOps } from "./rare.ts";
import type { SlowPath } from "./slow_memory.ts";
import type { SoftFloat } from "../softfloat/softfloat.ts";

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
/** Places in the arena, in elements of the view that indexes them; the same as in interp_loop.ts. */
const enum G {
  POW = 0x2_2000,
  JUMPS = 0x4_4400,
}
/** Slots by which an exit says more, as 32-bit word indices; the same as in interp_loop.ts. */
const enum X {
  IP = 16340,
  FUEL = 16341,
  TARGET = 16342,
}

/** Entries of the jump cache (indirect targets), a power of two; in system mode those of each context's bank. */
export const JUMP_CACHE_ENTRIES = 4096, JUMP_BANK_ENTRIES = 8192;
/** Word of the arena (in the slots) that says, in system mode, where the current context's part of it begins. */
export const JUMPS_WORD = 16349;

/** Where an execution of the interpreter left off. */
export class Interpreter {
  /**
   * Runs from code index `ip` (in 32-bit words of the arena) until an exit.
   *
   * @returns An `Exit` reason; `ip` and `fuel` say where it stands.
   */
  readonly run: (ip: number, fuel: number) => number;
  /** Direct-mapped: four words an entry: target low, target high, code index, unused. */
  readonly jumpCache: Int32Array;
  /** Code index of the last record that was executed off the fast path. */
  at = -1;
  readonly #arena: Arena;
  readonly #slow: SlowPath;
  readonly #rare: RareOps;

  /**
   * @param loop Makes the loop; that of user mode if absent.
   * @param jumpCache Its jump cache; that of user mode if absent.
   */
  constructor(
    arena: Arena,
    slow: SlowPath,
    rare: RareOps,
    float: SoftFloat,
    loop = freshMakeRun(),
    jumpCache = arena.all32.subarray(G.JUMPS, G.JUMPS + JUMP_CACHE_ENTRIES * 4),
  ) {
    this.#arena = arena;
    this.#slow = slow;
    this.#rare = rare;
    const { all8, all16, all32, all64, allU64, allF32, allF64 } = arena;
    this.run = loop(
      all8,
      all16,
      all32,
      all64,
      allU64,
      allF32,
      allF64,
      float,
      (ip) => this.step(ip),
    );
    for (let i = 0; i < 64; i++) arena.allU64[G.POW + i] = 1n << BigInt(i);
    this.jumpCache = jumpCache.fill(-1);
  }

  /** Code index of the record that caused the exit, or of the next one; see `Exit`. */
  get ip(): number {
    return this.#arena.all32[X.IP];
  }
  /** Instructions that may still be executed; negative if the last block overran. */
  get fuel(): number {
    return this.#arena.all32[X.FUEL];
  }
  /** Low word of an indirect jump's target. */
  get targetLo(): number {
    return this.#arena.all32[X.TARGET];
  }
  /** High word of an indirect jump's target. */
  get targetHi(): number {
    return this.#arena.all32[X.TARGET + 1];
  }

  /** A load off the fast path; false if it faulted. */
  #load(code: Int32Array, ip: number): boolean {
    const r = this.#arena.r, op = code[ip], d = code[ip + 1], slow = this.#slow;
    const size = op === Op.ld64 ? 8 : op <= Op.ldU8 ? 1 : op <= Op.ldU16 ? 2 : 4;
    const [lo, hi] = this.#address(code, ip);
    if (!slow.load(lo, hi, size)) return false;
    let value = slow.lo, high = 0;
    switch (op) {
      case Op.ldS8:
        value = value << 24 >> 24;
        high = value >> 31;
        break;
      case Op.ldS16:
        value = value << 16 >> 16;
        high = value >> 31;
        break;
      case Op.ldS32:
        high = value >> 31;
        break;
      case Op.ldB32:
        high = -1;
        break;
      case Op.ld64:
        high = slow.hi;
        break;
    }
    r[d << 1] = value;
    r[(d << 1) + 1] = high;
    return true;
  }

  /** A store off the fast path; false if it faulted. */
  #store(code: Int32Array, ip: number): boolean {
    const r = this.#arena.r, b = code[ip + 3] << 1, op = code[ip];
    const size = op === Op.st64 ? 8 : op === Op.st32 ? 4 : op === Op.st16 ? 2 : 1;
    // As in `#address`: device drivers' stores come here.
    const a = code[ip + 2] << 1, sum = (r[a] >>> 0) + (code[ip + 4] >>> 0);
    const hi = (r[a + 1] + code[ip + 5] + (sum > 0xffff_ffff ? 1 : 0)) | 0;
    return this.#slow.store(sum | 0, hi, size, r[b], r[b + 1]);
  }

  /** Full 64-bit address a + i as two words. */
  #address(code: Int32Array, ip: number): [lo: number, hi: number] {
    const r = this.#arena.r, a = code[ip + 2] << 1;
    const sum = (r[a] >>> 0) + (code[ip + 4] >>> 0);
    return [sum | 0, (r[a + 1] + code[ip + 5] + (sum > 0xffff_ffff ? 1 : 0)) | 0];
  }

  /** Executes the record at `ip` off the fast path; `Exit.NONE`, `Exit.FAULT` or `Exit.HOOK`. */
  step(ip: number): number {
    const code = this.#arena.all32, op = code[ip], slow = this.#slow;
    this.at = ip;
    const done = op >= Op.ldS8 && op <= Op.ld64
      ? this.#load(code, ip)
      : op >= Op.st8 && op <= Op.st64
      ? this.#store(code, ip)
      : this.#rare.execute(code, ip);
    return !done ? Exit.FAULT : slow.leave ? Exit.HOOK : Exit.NONE;
  }
}

let machines = 0;

/**
 * A copy of `makeRun` of its own. V8 treats what a closure captures as constants only while there is no second
 * closure of the same function; two machines would make each other 40% slower.
 */
function freshMakeRun(): typeof makeRun {
  // The first machine needs no copy.
  return machines++ === 0 ? makeRun : fresh(makeRun);
}
