/**
 * Numbers of the ops, for code that looks at records and does not load the op table.
 *
 * @module
 */

// deno-fmt-ignore -- op numbers, written by `deno task ops`
export const enum OpNumber {
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
  VECTORS = 156,
}
// end of op numbers
