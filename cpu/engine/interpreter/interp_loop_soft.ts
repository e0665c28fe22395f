// deno-fmt-ignore-file
/**
 * The interpreter's loop of system mode: interp_loop.ts with a TLB, written from it by `deno task ops`; see
 * soft_loop.ts. Do not edit.
 *
 * @module
 */
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

/** TLB: index mask, words from its load to its store half; index mask of the jump cache. */
const enum T {
  MASK = 511,
  STORES = 2048,
  JUMPS = 8191,
  TLB_WORD = 16348,
  JUMPS_WORD = 16349,
}
const enum S {
  FP_FAST_WORD = 16324,
}
/** Places in the arena, in elements of the view that indexes them. */
const enum G {
  M8 = 0x400_0000,
  M16 = 0x200_0000,
  M32 = 0x100_0000,
  M64 = 0x80_0000,
  POW = 0x2_2000,
}
/** Exit reasons (see exits.ts), and slots by which an exit says more, as 32-bit word indices. */
const enum X {
  NONE = 0,
  TRAP = 1,
  LINK = 2,
  INDIRECT = 3,
  FUEL_USED = 4,
  ENTER = 7,
  IP = 16340,
  FUEL = 16341,
  TARGET = 16342,
}
const enum F {
  BOXED = 8,
}

/** Makes the interpreter's loop for one arena; see {@linkcode Interpreter.run}. */
export function makeRun(
  all8: Uint8Array,
  all16: Uint16Array,
  all32: Int32Array,
  all64: BigInt64Array,
  allU64: BigUint64Array,
  allF32: Float32Array,
  allF64: Float64Array,
  float: SoftFloat,
  step: (ip: number) => number,
): (ip: number, fuel: number) => number {
  // Smallest results that are certainly not tiny.
  const MIN64 = 2.2250738585072014e-308, MIN32 = 1.1754943508222875e-38;
  return function run(ip: number, fuel: number): number {
    // Integers by definition, so that the loop carries them untagged.
    ip |= 0;
    fuel |= 0;
    // What belongs to a context (privilege, address space) changes between calls only.
    const loads = all32[T.TLB_WORD], stores = (loads + T.STORES) | 0, jumps = all32[T.JUMPS_WORD];
    for (;;) {
      switch (all32[ip]) {
        case Op.nop:
          ip = (ip + 6) | 0;
          continue;
        case Op.const:
          all64[all32[(ip + 1) | 0]] = all64[(ip + 4) >> 1];
          ip = (ip + 6) | 0;
          continue;
        case Op.mov:
          all64[all32[(ip + 1) | 0]] = all64[all32[(ip + 2) | 0]];
          ip = (ip + 6) | 0;
          continue;
        case Op.add64:
          all64[all32[(ip + 1) | 0]] = BigInt.asIntN(
            64,
            all64[all32[(ip + 2) | 0]] + all64[all32[(ip + 3) | 0]],
          );
          ip = (ip + 6) | 0;
          continue;
        case Op.add64i:
          all64[all32[(ip + 1) | 0]] = BigInt.asIntN(
            64,
            all64[all32[(ip + 2) | 0]] + all64[(ip + 4) >> 1],
          );
          ip = (ip + 6) | 0;
          continue;
        case Op.sub64:
          all64[all32[(ip + 1) | 0]] = BigInt.asIntN(
            64,
            all64[all32[(ip + 2) | 0]] - all64[all32[(ip + 3) | 0]],
          );
          ip = (ip + 6) | 0;
          continue;
        case Op.and64:
          all64[all32[(ip + 1) | 0]] = all64[all32[(ip + 2) | 0]] & all64[all32[(ip + 3) | 0]];
          ip = (ip + 6) | 0;
          continue;
        case Op.and64i:
          all64[all32[(ip + 1) | 0]] = all64[all32[(ip + 2) | 0]] & all64[(ip + 4) >> 1];
          ip = (ip + 6) | 0;
          continue;
        case Op.or64:
          all64[all32[(ip + 1) | 0]] = all64[all32[(ip + 2) | 0]] | all64[all32[(ip + 3) | 0]];
          ip = (ip + 6) | 0;
          continue;
        case Op.or64i:
          all64[all32[(ip + 1) | 0]] = all64[all32[(ip + 2) | 0]] | all64[(ip + 4) >> 1];
          ip = (ip + 6) | 0;
          continue;
        case Op.xor64:
          all64[all32[(ip + 1) | 0]] = all64[all32[(ip + 2) | 0]] ^ all64[all32[(ip + 3) | 0]];
          ip = (ip + 6) | 0;
          continue;
        case Op.xor64i:
          all64[all32[(ip + 1) | 0]] = all64[all32[(ip + 2) | 0]] ^ all64[(ip + 4) >> 1];
          ip = (ip + 6) | 0;
          continue;
        case Op.shl64:
          all64[all32[(ip + 1) | 0]] = BigInt.asIntN(
            64,
            all64[all32[(ip + 2) | 0]] * all64[G.POW + (all32[all32[(ip + 3) | 0] << 1] & 63)],
          );
          ip = (ip + 6) | 0;
          continue;
        case Op.shl64i:
          all64[all32[(ip + 1) | 0]] = BigInt.asIntN(
            64,
            all64[all32[(ip + 2) | 0]] * all64[G.POW + (all32[(ip + 4) | 0] & 63)],
          );
          ip = (ip + 6) | 0;
          continue;
        case Op.shru64:
        case Op.shru64i: {
          const a = all32[(ip + 2) | 0] << 1;
          const n = all32[ip] === Op.shru64 ? all32[all32[(ip + 3) | 0] << 1] : all32[(ip + 4) | 0];
          let lo = all32[a], hi = all32[a + 1];
          if ((n & 32) !== 0) {
            lo = (hi >>> n) | 0;
            hi = 0;
          } else if ((n & 31) !== 0) {
            lo = (lo >>> n) | (hi << -n);
            hi = (hi >>> n) | 0;
          }
          all64[all32[(ip + 1) | 0]] = BigInt.asIntN(
            64,
            BigInt(hi) * 0x1_0000_0000n + BigInt(lo >>> 0),
          );
          ip = (ip + 6) | 0;
          continue;
        }
        case Op.shrs64:
        case Op.shrs64i: {
          const a = all32[(ip + 2) | 0] << 1;
          const n = all32[ip] === Op.shrs64 ? all32[all32[(ip + 3) | 0] << 1] : all32[(ip + 4) | 0];
          let lo = all32[a], hi = all32[a + 1];
          if ((n & 32) !== 0) {
            lo = hi >> n;
            hi = hi >> 31;
          } else if ((n & 31) !== 0) {
            lo = (lo >>> n) | (hi << -n);
            hi = hi >> n;
          }
          all64[all32[(ip + 1) | 0]] = BigInt.asIntN(
            64,
            BigInt(hi) * 0x1_0000_0000n + BigInt(lo >>> 0),
          );
          ip = (ip + 6) | 0;
          continue;
        }
        case Op.mul64:
          all64[all32[(ip + 1) | 0]] = BigInt.asIntN(
            64,
            all64[all32[(ip + 2) | 0]] * all64[all32[(ip + 3) | 0]],
          );
          ip = (ip + 6) | 0;
          continue;
        case Op.add32:
          all64[all32[(ip + 1) | 0]] = BigInt(
            (all32[all32[(ip + 2) | 0] << 1] + all32[all32[(ip + 3) | 0] << 1]) | 0,
          );
          ip = (ip + 6) | 0;
          continue;
        case Op.add32i:
          all64[all32[(ip + 1) | 0]] = BigInt(
            (all32[all32[(ip + 2) | 0] << 1] + all32[(ip + 4) | 0]) | 0,
          );
          ip = (ip + 6) | 0;
          continue;
        case Op.sub32:
          all64[all32[(ip + 1) | 0]] = BigInt(
            (all32[all32[(ip + 2) | 0] << 1] - all32[all32[(ip + 3) | 0] << 1]) | 0,
          );
          ip = (ip + 6) | 0;
          continue;
        case Op.mul32:
          all64[all32[(ip + 1) | 0]] = BigInt(
            Math.imul(all32[all32[(ip + 2) | 0] << 1], all32[all32[(ip + 3) | 0] << 1]),
          );
          ip = (ip + 6) | 0;
          continue;
        case Op.shl32:
          all64[all32[(ip + 1) | 0]] = BigInt(
            all32[all32[(ip + 2) | 0] << 1] << all32[all32[(ip + 3) | 0] << 1],
          );
          ip = (ip + 6) | 0;
          continue;
        case Op.shl32i:
          all64[all32[(ip + 1) | 0]] = BigInt(
            all32[all32[(ip + 2) | 0] << 1] << all32[(ip + 4) | 0],
          );
          ip = (ip + 6) | 0;
          continue;
        case Op.shru32:
          all64[all32[(ip + 1) | 0]] = BigInt(
            (all32[all32[(ip + 2) | 0] << 1] >>> all32[all32[(ip + 3) | 0] << 1]) | 0,
          );
          ip = (ip + 6) | 0;
          continue;
        case Op.shru32i:
          all64[all32[(ip + 1) | 0]] = BigInt(
            (all32[all32[(ip + 2) | 0] << 1] >>> all32[(ip + 4) | 0]) | 0,
          );
          ip = (ip + 6) | 0;
          continue;
        case Op.shrs32:
          all64[all32[(ip + 1) | 0]] = BigInt(
            all32[all32[(ip + 2) | 0] << 1] >> all32[all32[(ip + 3) | 0] << 1],
          );
          ip = (ip + 6) | 0;
          continue;
        case Op.shrs32i:
          all64[all32[(ip + 1) | 0]] = BigInt(
            all32[all32[(ip + 2) | 0] << 1] >> all32[(ip + 4) | 0],
          );
          ip = (ip + 6) | 0;
          continue;
        case Op.sext8:
          all64[all32[(ip + 1) | 0]] = BigInt(all32[all32[(ip + 2) | 0] << 1] << 24 >> 24);
          ip = (ip + 6) | 0;
          continue;
        case Op.sext16:
          all64[all32[(ip + 1) | 0]] = BigInt(all32[all32[(ip + 2) | 0] << 1] << 16 >> 16);
          ip = (ip + 6) | 0;
          continue;
        case Op.slt64:
          all64[all32[(ip + 1) | 0]] = all64[all32[(ip + 2) | 0]] < all64[all32[(ip + 3) | 0]]
            ? 1n
            : 0n;
          ip = (ip + 6) | 0;
          continue;
        case Op.slt64i:
          all64[all32[(ip + 1) | 0]] = all64[all32[(ip + 2) | 0]] < all64[(ip + 4) >> 1] ? 1n : 0n;
          ip = (ip + 6) | 0;
          continue;
        // Unsigned comparisons are signed ones of flipped signs: V8 compares BigUint64Array's elements by a call, and
        // allocates both.
        case Op.sltu64:
          all64[all32[(ip + 1) | 0]] =
            BigInt.asIntN(64, all64[all32[(ip + 2) | 0]] ^ -0x8000_0000_0000_0000n) <
                BigInt.asIntN(64, all64[all32[(ip + 3) | 0]] ^ -0x8000_0000_0000_0000n)
              ? 1n
              : 0n;
          ip = (ip + 6) | 0;
          continue;
        case Op.sltu64i:
          all64[all32[(ip + 1) | 0]] =
            BigInt.asIntN(64, all64[all32[(ip + 2) | 0]] ^ -0x8000_0000_0000_0000n) <
                BigInt.asIntN(64, all64[(ip + 4) >> 1] ^ -0x8000_0000_0000_0000n)
              ? 1n
              : 0n;
          ip = (ip + 6) | 0;
          continue;
        case Op.seq64:
          all64[all32[(ip + 1) | 0]] = all64[all32[(ip + 2) | 0]] === all64[all32[(ip + 3) | 0]]
            ? 1n
            : 0n;
          ip = (ip + 6) | 0;
          continue;
        case Op.sne64:
          all64[all32[(ip + 1) | 0]] = all64[all32[(ip + 2) | 0]] === all64[all32[(ip + 3) | 0]]
            ? 0n
            : 1n;
          ip = (ip + 6) | 0;
          continue;
        case Op.select: {
          const a = all32[(ip + 2) | 0] << 1;
          all64[all32[(ip + 1) | 0]] = (all32[a] | all32[a + 1]) !== 0
            ? all64[all32[(ip + 3) | 0]]
            : all64[all32[(ip + 4) | 0]];
          ip = (ip + 6) | 0;
          continue;
        }

        // An address is fast if the entry's tag is its page, which a misaligned address never equals; pages where the
        // sum could have wrapped the low word are never entered.
        case Op.ldS8: {
          const a = all32[(ip + 2) | 0] << 1, at = (all32[a] + all32[(ip + 4) | 0]) | 0;
          const e = loads + ((at >>> 12 & T.MASK) << 2), to = (at + all32[e + 2]) | 0;
          if (all32[e] === (at & -4096) && all32[e + 1] === all32[a + 1]) {
            all64[all32[(ip + 1) | 0]] = BigInt(all8[to + G.M8] << 24 >> 24);
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.ldU8: {
          const a = all32[(ip + 2) | 0] << 1, at = (all32[a] + all32[(ip + 4) | 0]) | 0;
          const e = loads + ((at >>> 12 & T.MASK) << 2), to = (at + all32[e + 2]) | 0;
          if (all32[e] === (at & -4096) && all32[e + 1] === all32[a + 1]) {
            all64[all32[(ip + 1) | 0]] = BigInt(all8[to + G.M8]);
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.ldS16: {
          const a = all32[(ip + 2) | 0] << 1, at = (all32[a] + all32[(ip + 4) | 0]) | 0;
          const e = loads + ((at >>> 12 & T.MASK) << 2), to = (at + all32[e + 2]) | 0;
          if (all32[e] === (at & (-4096 | 1)) && all32[e + 1] === all32[a + 1]) {
            all64[all32[(ip + 1) | 0]] = BigInt(all16[(to >> 1) + G.M16] << 16 >> 16);
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.ldU16: {
          const a = all32[(ip + 2) | 0] << 1, at = (all32[a] + all32[(ip + 4) | 0]) | 0;
          const e = loads + ((at >>> 12 & T.MASK) << 2), to = (at + all32[e + 2]) | 0;
          if (all32[e] === (at & (-4096 | 1)) && all32[e + 1] === all32[a + 1]) {
            all64[all32[(ip + 1) | 0]] = BigInt(all16[(to >> 1) + G.M16]);
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.ldS32: {
          const a = all32[(ip + 2) | 0] << 1, at = (all32[a] + all32[(ip + 4) | 0]) | 0;
          const e = loads + ((at >>> 12 & T.MASK) << 2), to = (at + all32[e + 2]) | 0;
          if (all32[e] === (at & (-4096 | 3)) && all32[e + 1] === all32[a + 1]) {
            all64[all32[(ip + 1) | 0]] = BigInt(all32[(to >> 2) + G.M32]);
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.ldU32: {
          const a = all32[(ip + 2) | 0] << 1, at = (all32[a] + all32[(ip + 4) | 0]) | 0;
          const e = loads + ((at >>> 12 & T.MASK) << 2), to = (at + all32[e + 2]) | 0;
          if (all32[e] === (at & (-4096 | 3)) && all32[e + 1] === all32[a + 1]) {
            all64[all32[(ip + 1) | 0]] = BigInt(all32[(to >> 2) + G.M32] >>> 0);
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.ldB32: {
          const a = all32[(ip + 2) | 0] << 1, at = (all32[a] + all32[(ip + 4) | 0]) | 0;
          const e = loads + ((at >>> 12 & T.MASK) << 2), to = (at + all32[e + 2]) | 0;
          if (all32[e] === (at & (-4096 | 3)) && all32[e + 1] === all32[a + 1]) {
            const d = all32[(ip + 1) | 0] << 1;
            all32[d] = all32[(to >> 2) + G.M32];
            all32[d + 1] = -1;
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.ld64: {
          const a = all32[(ip + 2) | 0] << 1, at = (all32[a] + all32[(ip + 4) | 0]) | 0;
          const e = loads + ((at >>> 12 & T.MASK) << 2), to = (at + all32[e + 2]) | 0;
          if (all32[e] === (at & (-4096 | 7)) && all32[e + 1] === all32[a + 1]) {
            all64[all32[(ip + 1) | 0]] = all64[(to >> 3) + G.M64];
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.st8: {
          const a = all32[(ip + 2) | 0] << 1, at = (all32[a] + all32[(ip + 4) | 0]) | 0;
          const e = stores + ((at >>> 12 & T.MASK) << 2), to = (at + all32[e + 2]) | 0;
          if (all32[e] === (at & -4096) && all32[e + 1] === all32[a + 1]) {
            all8[to + G.M8] = all32[all32[(ip + 3) | 0] << 1];
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.st16: {
          const a = all32[(ip + 2) | 0] << 1, at = (all32[a] + all32[(ip + 4) | 0]) | 0;
          const e = stores + ((at >>> 12 & T.MASK) << 2), to = (at + all32[e + 2]) | 0;
          if (all32[e] === (at & (-4096 | 1)) && all32[e + 1] === all32[a + 1]) {
            all16[(to >> 1) + G.M16] = all32[all32[(ip + 3) | 0] << 1];
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.st32: {
          const a = all32[(ip + 2) | 0] << 1, at = (all32[a] + all32[(ip + 4) | 0]) | 0;
          const e = stores + ((at >>> 12 & T.MASK) << 2), to = (at + all32[e + 2]) | 0;
          if (all32[e] === (at & (-4096 | 3)) && all32[e + 1] === all32[a + 1]) {
            all32[(to >> 2) + G.M32] = all32[all32[(ip + 3) | 0] << 1];
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.st64: {
          const a = all32[(ip + 2) | 0] << 1, at = (all32[a] + all32[(ip + 4) | 0]) | 0;
          const e = stores + ((at >>> 12 & T.MASK) << 2), to = (at + all32[e + 2]) | 0;
          if (all32[e] === (at & (-4096 | 7)) && all32[e + 1] === all32[a + 1]) {
            all64[(to >> 3) + G.M64] = all64[all32[(ip + 3) | 0]];
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }

        case Op.jump:
          fuel -= all32[(ip + 1) | 0];
          ip = all32[(ip + 4) | 0];
          if (fuel < 0) {
            all32[X.IP] = ip;
            all32[X.FUEL] = fuel;
            return X.FUEL_USED;
          }
          continue;
        case Op.jumpInd: {
          const a = all32[(ip + 2) | 0] << 1;
          const lo = all32[a] & all32[(ip + 4) | 0], hi = all32[a + 1] & all32[(ip + 5) | 0];
          const entry = jumps + (((lo >>> 1) & T.JUMPS) << 2);
          fuel -= all32[(ip + 1) | 0];
          if (all32[entry] !== lo || all32[entry + 1] !== hi) {
            all32[X.TARGET] = lo;
            all32[X.TARGET + 1] = hi;
            all32[X.FUEL] = fuel;
            return X.INDIRECT;
          }
          ip = all32[entry + 2];
          if (fuel < 0) {
            all32[X.IP] = ip;
            all32[X.FUEL] = fuel;
            return X.FUEL_USED;
          }
          continue;
        }
        case Op.brEq:
          fuel -= all32[(ip + 1) | 0];
          ip = all64[all32[(ip + 2) | 0]] === all64[all32[(ip + 3) | 0]]
            ? all32[(ip + 4) | 0]
            : all32[(ip + 5) | 0];
          if (fuel < 0) {
            all32[X.IP] = ip;
            all32[X.FUEL] = fuel;
            return X.FUEL_USED;
          }
          continue;
        case Op.brNe:
          fuel -= all32[(ip + 1) | 0];
          ip = all64[all32[(ip + 2) | 0]] === all64[all32[(ip + 3) | 0]]
            ? all32[(ip + 5) | 0]
            : all32[(ip + 4) | 0];
          if (fuel < 0) {
            all32[X.IP] = ip;
            all32[X.FUEL] = fuel;
            return X.FUEL_USED;
          }
          continue;
        case Op.brLt:
          fuel -= all32[(ip + 1) | 0];
          ip = all64[all32[(ip + 2) | 0]] < all64[all32[(ip + 3) | 0]]
            ? all32[(ip + 4) | 0]
            : all32[(ip + 5) | 0];
          if (fuel < 0) {
            all32[X.IP] = ip;
            all32[X.FUEL] = fuel;
            return X.FUEL_USED;
          }
          continue;
        case Op.brGe:
          fuel -= all32[(ip + 1) | 0];
          ip = all64[all32[(ip + 2) | 0]] < all64[all32[(ip + 3) | 0]]
            ? all32[(ip + 5) | 0]
            : all32[(ip + 4) | 0];
          if (fuel < 0) {
            all32[X.IP] = ip;
            all32[X.FUEL] = fuel;
            return X.FUEL_USED;
          }
          continue;
        case Op.brLtu:
          fuel -= all32[(ip + 1) | 0];
          ip = BigInt.asIntN(64, all64[all32[(ip + 2) | 0]] ^ -0x8000_0000_0000_0000n) <
              BigInt.asIntN(64, all64[all32[(ip + 3) | 0]] ^ -0x8000_0000_0000_0000n)
            ? all32[(ip + 4) | 0]
            : all32[(ip + 5) | 0];
          if (fuel < 0) {
            all32[X.IP] = ip;
            all32[X.FUEL] = fuel;
            return X.FUEL_USED;
          }
          continue;
        case Op.brGeu:
          fuel -= all32[(ip + 1) | 0];
          ip = BigInt.asIntN(64, all64[all32[(ip + 2) | 0]] ^ -0x8000_0000_0000_0000n) <
              BigInt.asIntN(64, all64[all32[(ip + 3) | 0]] ^ -0x8000_0000_0000_0000n)
            ? all32[(ip + 5) | 0]
            : all32[(ip + 4) | 0];
          if (fuel < 0) {
            all32[X.IP] = ip;
            all32[X.FUEL] = fuel;
            return X.FUEL_USED;
          }
          continue;
        case Op.goto:
          ip = all32[(ip + 3) | 0];
          continue;
        case Op.trap:
          all32[X.IP] = ip;
          all32[X.FUEL] = fuel - all32[(ip + 1) | 0];
          return X.TRAP;
        case Op.link:
          all32[X.IP] = ip;
          all32[X.FUEL] = fuel;
          return X.LINK;
        case Op.hop: {
          const lo = all32[(ip + 4) | 0], entry = jumps + (((lo >>> 1) & T.JUMPS) << 2);
          if (all32[entry] === lo && all32[entry + 1] === all32[(ip + 5) | 0]) {
            ip = all32[entry + 2];
            continue;
          }
          all32[X.IP] = ip;
          all32[X.FUEL] = fuel;
          return X.LINK;
        }
        case Op.gate:
          if (all32[all32[(ip + 2) | 0] << 1] !== 0) break;
          ip = (ip + 6) | 0;
          continue;
        case Op.enter:
          all32[X.IP] = ip;
          all32[X.FUEL] = fuel;
          return X.ENTER;

        // Host arithmetic where only the value can be seen: rounding to nearest, NX already set, and a result that is
        // neither tiny, infinite nor NaN. Everything else is softfloat's.
        case Op.fadd64: {
          const x = allF64[all32[(ip + 2) | 0]] + allF64[all32[(ip + 3) | 0]], m = Math.abs(x);
          if (all32[S.FP_FAST_WORD] !== 0 && ((m > MIN64 && m < Infinity) || m === 0)) {
            allF64[all32[(ip + 1) | 0]] = x;
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.fsub64: {
          const x = allF64[all32[(ip + 2) | 0]] - allF64[all32[(ip + 3) | 0]], m = Math.abs(x);
          if (all32[S.FP_FAST_WORD] !== 0 && ((m > MIN64 && m < Infinity) || m === 0)) {
            allF64[all32[(ip + 1) | 0]] = x;
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.fmul64: {
          const a = allF64[all32[(ip + 2) | 0]],
            b = allF64[all32[(ip + 3) | 0]],
            x = a * b,
            m = Math.abs(x);
          if (
            all32[S.FP_FAST_WORD] !== 0 &&
            ((m > MIN64 && m < Infinity) || (m === 0 && (a === 0 || b === 0)))
          ) {
            allF64[all32[(ip + 1) | 0]] = x;
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.fdiv64: {
          const a = allF64[all32[(ip + 2) | 0]],
            x = a / allF64[all32[(ip + 3) | 0]],
            m = Math.abs(x);
          if (all32[S.FP_FAST_WORD] !== 0 && m > MIN64 && m < Infinity) {
            allF64[all32[(ip + 1) | 0]] = x;
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.fadd32: {
          const d = all32[(ip + 1) | 0] << 1,
            a = all32[(ip + 2) | 0] << 1,
            b = all32[(ip + 3) | 0] << 1;
          const x = Math.fround(allF32[a] + allF32[b]),
            m = Math.abs(x),
            boxed = all32[(ip + 5) | 0] & F.BOXED;
          if (
            all32[S.FP_FAST_WORD] !== 0 && ((m > MIN32 && m < Infinity) || m === 0) &&
            (boxed === 0 || (all32[a + 1] & all32[b + 1]) === -1)
          ) {
            allF32[d] = x;
            all32[d + 1] = boxed === 0 ? 0 : -1;
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.fsub32: {
          const d = all32[(ip + 1) | 0] << 1,
            a = all32[(ip + 2) | 0] << 1,
            b = all32[(ip + 3) | 0] << 1;
          const x = Math.fround(allF32[a] - allF32[b]),
            m = Math.abs(x),
            boxed = all32[(ip + 5) | 0] & F.BOXED;
          if (
            all32[S.FP_FAST_WORD] !== 0 && ((m > MIN32 && m < Infinity) || m === 0) &&
            (boxed === 0 || (all32[a + 1] & all32[b + 1]) === -1)
          ) {
            allF32[d] = x;
            all32[d + 1] = boxed === 0 ? 0 : -1;
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.fmul32: {
          const d = all32[(ip + 1) | 0] << 1,
            a = all32[(ip + 2) | 0] << 1,
            b = all32[(ip + 3) | 0] << 1;
          const y = allF32[a], z = allF32[b], x = Math.fround(y * z), m = Math.abs(x);
          const boxed = all32[(ip + 5) | 0] & F.BOXED;
          if (
            all32[S.FP_FAST_WORD] !== 0 &&
            ((m > MIN32 && m < Infinity) || (m === 0 && (y === 0 || z === 0))) &&
            (boxed === 0 || (all32[a + 1] & all32[b + 1]) === -1)
          ) {
            allF32[d] = x;
            all32[d + 1] = boxed === 0 ? 0 : -1;
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.fdiv32: {
          const d = all32[(ip + 1) | 0] << 1,
            a = all32[(ip + 2) | 0] << 1,
            b = all32[(ip + 3) | 0] << 1;
          const x = Math.fround(allF32[a] / allF32[b]),
            m = Math.abs(x),
            boxed = all32[(ip + 5) | 0] & F.BOXED;
          if (
            all32[S.FP_FAST_WORD] !== 0 && m > MIN32 && m < Infinity &&
            (boxed === 0 || (all32[a + 1] & all32[b + 1]) === -1)
          ) {
            allF32[d] = x;
            all32[d + 1] = boxed === 0 ? 0 : -1;
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.feq64: {
          const x = allF64[all32[(ip + 2) | 0]], y = allF64[all32[(ip + 3) | 0]];
          if (x === x && y === y) {
            all64[all32[(ip + 1) | 0]] = x === y ? 1n : 0n;
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.flt64: {
          const x = allF64[all32[(ip + 2) | 0]], y = allF64[all32[(ip + 3) | 0]];
          if (x === x && y === y) {
            all64[all32[(ip + 1) | 0]] = x < y ? 1n : 0n;
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        case Op.fle64: {
          const x = allF64[all32[(ip + 2) | 0]], y = allF64[all32[(ip + 3) | 0]];
          if (x === x && y === y) {
            all64[all32[(ip + 1) | 0]] = x <= y ? 1n : 0n;
            ip = (ip + 6) | 0;
            continue;
          }
          break;
        }
        // Floating point that is softfloat's alone. An invalid rounding mode goes to `step`, which makes it a trap.
        case Op.fma64: {
          const j = all32[(ip + 5) | 0], product = j >>> 4 & 1, addend = j >>> 5 & 1;
          if (
            float.fma64(
              all32[(ip + 1) | 0],
              all32[(ip + 2) | 0],
              all32[(ip + 3) | 0],
              all32[(ip + 4) | 0],
              j & 7,
              product,
              addend,
            ) !== 0
          ) break;
          ip = (ip + 6) | 0;
          continue;
        }
        case Op.fma32: {
          const j = all32[(ip + 5) | 0], product = j >>> 4 & 1, addend = j >>> 5 & 1;
          if (
            float.fma32(
              all32[(ip + 1) | 0],
              all32[(ip + 2) | 0],
              all32[(ip + 3) | 0],
              all32[(ip + 4) | 0],
              j & 7,
              product,
              addend,
              j & 8,
            ) !== 0
          ) break;
          ip = (ip + 6) | 0;
          continue;
        }
        case Op.fsqrt64:
          if (
            float.sqrt64(all32[(ip + 1) | 0], all32[(ip + 2) | 0], all32[(ip + 5) | 0] & 7) !== 0
          ) break;
          ip = (ip + 6) | 0;
          continue;
        case Op.fsqrt32:
          if (
            float.sqrt32(
              all32[(ip + 1) | 0],
              all32[(ip + 2) | 0],
              all32[(ip + 5) | 0] & 7,
              all32[(ip + 5) | 0] & 8,
            ) !== 0
          ) break;
          ip = (ip + 6) | 0;
          continue;
        case Op.cvtF64S32:
          if (
            float.f64FromI32(all32[(ip + 1) | 0], all32[(ip + 2) | 0], all32[(ip + 5) | 0] & 7) !==
              0
          ) break;
          ip = (ip + 6) | 0;
          continue;
        case Op.cvtF64S64:
          if (
            float.f64FromI64(all32[(ip + 1) | 0], all32[(ip + 2) | 0], all32[(ip + 5) | 0] & 7) !==
              0
          ) break;
          ip = (ip + 6) | 0;
          continue;
        case Op.cvtS32F64:
          if (
            float.i32FromF64(all32[(ip + 1) | 0], all32[(ip + 2) | 0], all32[(ip + 5) | 0] & 7) !==
              0
          ) break;
          ip = (ip + 6) | 0;
          continue;
        case Op.cvtS64F64:
          if (
            float.i64FromF64(all32[(ip + 1) | 0], all32[(ip + 2) | 0], all32[(ip + 5) | 0] & 7) !==
              0
          ) break;
          ip = (ip + 6) | 0;
          continue;
        case Op.cvtF32F64:
          if (
            float.f32FromF64(
              all32[(ip + 1) | 0],
              all32[(ip + 2) | 0],
              all32[(ip + 5) | 0] & 7,
              all32[(ip + 5) | 0] & 8,
            ) !== 0
          ) break;
          ip = (ip + 6) | 0;
          continue;
        case Op.cvtF64F32:
          if (
            float.f64FromF32(
              all32[(ip + 1) | 0],
              all32[(ip + 2) | 0],
              all32[(ip + 5) | 0] & 7,
              all32[(ip + 5) | 0] & 8,
            ) !== 0
          ) break;
          ip = (ip + 6) | 0;
          continue;
        case Op.feq32: {
          const a = all32[(ip + 2) | 0] << 1,
            b = all32[(ip + 3) | 0] << 1,
            x = allF32[a],
            y = allF32[b];
          if (
            x !== x || y !== y ||
            ((all32[(ip + 5) | 0] & F.BOXED) !== 0 && (all32[a + 1] & all32[b + 1]) !== -1)
          ) break;
          all64[all32[(ip + 1) | 0]] = x === y ? 1n : 0n;
          ip = (ip + 6) | 0;
          continue;
        }
        case Op.flt32: {
          const a = all32[(ip + 2) | 0] << 1,
            b = all32[(ip + 3) | 0] << 1,
            x = allF32[a],
            y = allF32[b];
          if (
            x !== x || y !== y ||
            ((all32[(ip + 5) | 0] & F.BOXED) !== 0 && (all32[a + 1] & all32[b + 1]) !== -1)
          ) break;
          all64[all32[(ip + 1) | 0]] = x < y ? 1n : 0n;
          ip = (ip + 6) | 0;
          continue;
        }
        case Op.fle32: {
          const a = all32[(ip + 2) | 0] << 1,
            b = all32[(ip + 3) | 0] << 1,
            x = allF32[a],
            y = allF32[b];
          if (
            x !== x || y !== y ||
            ((all32[(ip + 5) | 0] & F.BOXED) !== 0 && (all32[a + 1] & all32[b + 1]) !== -1)
          ) break;
          all64[all32[(ip + 1) | 0]] = x <= y ? 1n : 0n;
          ip = (ip + 6) | 0;
          continue;
        }
        case Op.unbox32: {
          const a = all32[(ip + 2) | 0];
          if (all32[(a << 1) + 1] !== -1) break;
          all64[all32[(ip + 1) | 0]] = all64[a];
          ip = (ip + 6) | 0;
          continue;
        }
        case Op.divs64: {
          const b = all64[all32[(ip + 3) | 0]];
          if (b === 0n || b === -1n) break;
          all64[all32[(ip + 1) | 0]] = BigInt.asIntN(64, all64[all32[(ip + 2) | 0]] / b);
          ip = (ip + 6) | 0;
          continue;
        }
        case Op.rems64: {
          const b = all64[all32[(ip + 3) | 0]];
          if (b === 0n || b === -1n) break;
          all64[all32[(ip + 1) | 0]] = BigInt.asIntN(64, all64[all32[(ip + 2) | 0]] % b);
          ip = (ip + 6) | 0;
          continue;
        }
        case Op.divu64: {
          const b = allU64[all32[(ip + 3) | 0]];
          if (b === 0n) break;
          allU64[all32[(ip + 1) | 0]] = BigInt.asUintN(64, allU64[all32[(ip + 2) | 0]] / b);
          ip = (ip + 6) | 0;
          continue;
        }
        case Op.remu64: {
          const b = allU64[all32[(ip + 3) | 0]];
          if (b === 0n) break;
          allU64[all32[(ip + 1) | 0]] = BigInt.asUintN(64, allU64[all32[(ip + 2) | 0]] % b);
          ip = (ip + 6) | 0;
          continue;
        }
        case Op.divs32: {
          const b = all32[all32[(ip + 3) | 0] << 1];
          if (b === 0) break;
          all64[all32[(ip + 1) | 0]] = BigInt((all32[all32[(ip + 2) | 0] << 1] / b) | 0);
          ip = (ip + 6) | 0;
          continue;
        }
        case Op.rems32: {
          const b = all32[all32[(ip + 3) | 0] << 1];
          if (b === 0) break;
          all64[all32[(ip + 1) | 0]] = BigInt((all32[all32[(ip + 2) | 0] << 1] % b) | 0);
          ip = (ip + 6) | 0;
          continue;
        }
        case Op.divu32: {
          const b = all32[all32[(ip + 3) | 0] << 1] >>> 0;
          if (b === 0) break;
          all64[all32[(ip + 1) | 0]] = BigInt(((all32[all32[(ip + 2) | 0] << 1] >>> 0) / b) | 0);
          ip = (ip + 6) | 0;
          continue;
        }
        case Op.remu32: {
          const b = all32[all32[(ip + 3) | 0] << 1] >>> 0;
          if (b === 0) break;
          all64[all32[(ip + 1) | 0]] = BigInt(((all32[all32[(ip + 2) | 0] << 1] >>> 0) % b) | 0);
          ip = (ip + 6) | 0;
          continue;
        }
        case Op.mulhu64: {
          // From four 32-bit products; none of the sums overflows 64 bits.
          const x = allU64[all32[(ip + 2) | 0]], y = allU64[all32[(ip + 3) | 0]];
          const xl = BigInt.asUintN(32, x), yl = BigInt.asUintN(32, y);
          const xh = BigInt.asUintN(64, x >> 32n), yh = BigInt.asUintN(64, y >> 32n);
          const low = BigInt.asUintN(64, xl * yl);
          const mid = BigInt.asUintN(
            64,
            BigInt.asUintN(64, xh * yl) + BigInt.asUintN(64, low >> 32n),
          );
          const mid2 = BigInt.asUintN(64, BigInt.asUintN(64, xl * yh) + BigInt.asUintN(32, mid));
          const carry = BigInt.asUintN(
            64,
            BigInt.asUintN(64, mid >> 32n) + BigInt.asUintN(64, mid2 >> 32n),
          );
          allU64[all32[(ip + 1) | 0]] = BigInt.asUintN(64, BigInt.asUintN(64, xh * yh) + carry);
          ip = (ip + 6) | 0;
          continue;
        }
      }
      // Everything else, off the fast path.
      all32[X.FUEL] = fuel;
      const exit = step(ip);
      if (exit !== X.NONE) {
        all32[X.IP] = ip;
        return exit;
      }
      ip = (ip + 6) | 0;
    }
  };
}
