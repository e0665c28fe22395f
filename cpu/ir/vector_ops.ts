/**
 * Rows of the op table for 128-bit vectors.
 *
 * A vector is the pair of slots i, i + 1 with i even, so that in memory it is 16 bytes, aligned; slot i alone is its low
 * half. Fields in capital letters (`D A B C`) are such pairs, named by their first slot. Lanes are numbered from the least
 * significant on. `S` and `U` in a name mean lanes that are signed and unsigned; the number is the width of a lane, of
 * the narrower ones where there are two widths.
 *
 * @module
 */

/** A row: name, fields, effect (as keys of `Effect`), definition, and what {@linkcode vectorDoc} puts into it. */
export type VectorRow = readonly [
  name: string,
  fields: string,
  effect: "PURE" | "FLOAT" | "LOAD" | "STORE",
  doc: string,
  bits?: number,
  sign?: "S" | "U" | undefined,
];

const ALL = [8, 16, 32, 64], NARROW = [8, 16, 32], FLOATS = [32, 64];

// Every start makes these rows, so that nothing is done for them that can be done later.

/** A row for each width; `#` in the definition is the width, `##` twice the width. */
function each(widths: readonly number[], ...rows: VectorRow[]): VectorRow[] {
  const made: VectorRow[] = [];
  for (const [name, fields, effect, doc, , sign] of rows) {
    for (const bits of widths) made.push([name + bits, fields, effect, doc, bits, sign]);
  }
  return made;
}

/** The same for signed and unsigned lanes; `@` in the definition is the word. */
function eachSign(widths: readonly number[], ...rows: VectorRow[]): VectorRow[] {
  const made: VectorRow[] = [];
  for (const [name, fields, effect, doc] of rows) {
    for (const sign of ["S", "U"] as const) {
      for (const bits of widths) made.push([name + sign + bits, fields, effect, doc, bits, sign]);
    }
  }
  return made;
}

/** The definition in a row. */
export function vectorDoc([, , , doc, bits, sign]: VectorRow): string {
  if (bits === undefined) return doc;
  return doc.replaceAll("@", sign === "S" ? "signed" : "unsigned")
    .replaceAll("##", String(2 * bits)).replaceAll("#", String(bits));
}

const PURE = "PURE", FLOAT = "FLOAT";

/** All rows. */
export const VECTOR_ROWS: readonly VectorRow[] = [
  // Memory and moves.
  ["ldV", "D a i", "LOAD", "D = 128 bits at a + i"],
  ["stV", "a B i", "STORE", "128 bits at a + i = B"],
  ["vmov", "D A", PURE, "D = A"],
  ["vconst", "D i", PURE, "both halves of D = i"],
  ["vlow", "D A", PURE, "low half of D = that of A, high half = 0"],
  ...each(ALL, ["vsplat", "D a", PURE, "every # bits of D = the low # bits of a"]),
  ...each(ALL, ["vput", "D A b j", PURE, "D = A, but lane j mod (128 / #) = the low # bits of b"]),
  ...eachSign(NARROW, ["vget", "d A j", PURE, "d = @ #-bit lane j mod (128 / #) of A"]),
  // Bits.
  ["vnot", "D A", PURE, "D = ~A"],
  ["vand", "D A B", PURE, "D = A & B"],
  ["vandn", "D A B", PURE, "D = A & ~B"],
  ["vor", "D A B", PURE, "D = A | B"],
  ["vxor", "D A B", PURE, "D = A ^ B"],
  ["vsel", "D A B C", PURE, "D = A & C | B & ~C"],
  ["vany", "d A", PURE, "d = A != 0 ? 1 : 0"],
  ...each(ALL, ["vmask", "d A", PURE, "bit n of d = highest bit of #-bit lane n of A"]),
  // Lanes of integers.
  ...each(
    ALL,
    ["vadd", "D A B", PURE, "#-bit lanes: D = A + B"],
    ["vsub", "D A B", PURE, "#-bit lanes: D = A - B"],
    ["vmul", "D A B", PURE, "#-bit lanes: D = A * B"],
    ["vneg", "D A", PURE, "#-bit lanes: D = -A"],
    ["vabs", "D A", PURE, "#-bit lanes: D = A < 0 ? -A : A"],
    ["veq", "D A B", PURE, "#-bit lanes: D = A == B ? all ones : 0"],
  ),
  ...eachSign(
    ALL,
    ["vgt", "D A B", PURE, "#-bit @ lanes: D = A > B ? all ones : 0"],
    ["vge", "D A B", PURE, "#-bit @ lanes: D = A >= B ? all ones : 0"],
    ["vmin", "D A B", PURE, "#-bit @ lanes: D = the smaller"],
    ["vmax", "D A B", PURE, "#-bit @ lanes: D = the larger"],
  ),
  ...each([8, 16], ["vavgU", "D A B", PURE, "#-bit unsigned lanes: D = (A + B + 1) >> 1"]),
  ...each(NARROW, ["vclz", "D A", PURE, "#-bit lanes: D = leading zeros of A; # for 0"]),
  ["vcnt8", "D A", PURE, "8-bit lanes: D = ones in A"],
  // Shifts. Counts that are immediates are not negative.
  ...each(ALL, ["vshli", "D A j", PURE, "#-bit lanes: D = A << j; 0 if j >= #"]),
  ...eachSign(ALL, ["vshri", "D A j", PURE, "#-bit @ lanes: D = A >> j, sign or zeros shifted in"]),
  ...eachSign(
    ALL,
    [
      "vshl",
      "D A B",
      PURE,
      "#-bit @ lanes: with n the low byte of the lane of B, signed: D = n < 0 ? A >> -n : A << n",
    ],
    [
      "vshlR",
      "D A B",
      PURE,
      "vshl, but where n < 0 D = (A + (1 << (-n - 1))) >> -n without overflow",
    ],
    ["vshlQ", "D A B j", FLOAT, "vshl, but A << n saturates; `Fp.SATURATION`"],
    ["vshlQR", "D A B j", FLOAT, "vshlR, but A << n saturates; `Fp.SATURATION`"],
  ),
  ...each(ALL, [
    "vshlQSU",
    "D A B j",
    FLOAT,
    "#-bit lanes: vshl of signed A that saturates to unsigned; `Fp.SATURATION`",
  ]),
  // Saturating: a result that does not fit becomes the nearest that does, and sets the flag if `Fp.SATURATION` is in j.
  ...eachSign(
    ALL,
    ["vaddQ", "D A B j", FLOAT, "#-bit @ lanes: D = A + B, saturating; `Fp.SATURATION`"],
    ["vsubQ", "D A B j", FLOAT, "#-bit @ lanes: D = A - B, saturating; `Fp.SATURATION`"],
    [
      "vaddQX",
      "D A B j",
      FLOAT,
      "#-bit lanes: @ D = @ A + B of the other signedness, saturating; `Fp.SATURATION`",
    ],
  ),
  ...each(
    [16, 32],
    [
      "vmulhQ",
      "D A B j",
      FLOAT,
      "#-bit signed lanes: D = 2 * A * B >> #, saturating; `Fp.SATURATION`",
    ],
    [
      "vmulhQR",
      "D A B j",
      FLOAT,
      "#-bit signed lanes: D = 2 * A * B + 2^(# - 1) >> #, saturating; `Fp.SATURATION`",
    ],
  ),
  ...each(
    NARROW,
    [
      "vnarrowS",
      "D A j",
      FLOAT,
      "low half of D: #-bit signed lanes = ##-bit signed lanes of A, saturating, high half = 0; `Fp.SATURATION`",
    ],
    [
      "vnarrowU",
      "D A j",
      FLOAT,
      "low half of D: #-bit unsigned lanes = ##-bit unsigned lanes of A, saturating, high half = 0; `Fp.SATURATION`",
    ],
    [
      "vnarrowSU",
      "D A j",
      FLOAT,
      "low half of D: #-bit unsigned lanes = ##-bit signed lanes of A, saturating, high half = 0; `Fp.SATURATION`",
    ],
  ),
  // Other widths.
  ...each(NARROW, [
    "vtrunc",
    "D A",
    PURE,
    "low half of D: #-bit lanes = low halves of the ##-bit lanes of A, high half = 0",
  ]),
  ...eachSign(
    NARROW,
    ["vwidenL", "D A", PURE, "##-bit lanes: D = #-bit @ lanes of the low half of A"],
    ["vwidenH", "D A", PURE, "##-bit lanes: D = #-bit @ lanes of the high half of A"],
    ["vmullL", "D A B", PURE, "##-bit lanes: D = A * B, #-bit @ lanes of the low halves"],
    ["vmullH", "D A B", PURE, "##-bit lanes: D = A * B, #-bit @ lanes of the high halves"],
    ["vaddlp", "D A", PURE, "##-bit lanes: D = sums of neighbouring #-bit @ lanes of A"],
  ),
  // Permutations.
  ...each(
    ALL,
    ["vzipL", "D A B", PURE, "#-bit lanes of the low halves by turns, A's first"],
    ["vzipH", "D A B", PURE, "#-bit lanes of the high halves by turns, A's first"],
  ),
  ...each(
    NARROW,
    ["vunzE", "D A B", PURE, "#-bit lanes with even numbers of A, then of B"],
    ["vunzO", "D A B", PURE, "#-bit lanes with odd numbers of A, then of B"],
    ["vtrnE", "D A B", PURE, "#-bit lanes with even numbers by turns, A's first"],
    ["vtrnO", "D A B", PURE, "#-bit lanes with odd numbers by turns, A's first"],
  ),
  ["vext", "D A B j", PURE, "16 bytes from byte j mod 16 on of A followed by B"],
  ["vshuf", "D A i", PURE, "byte n of D = byte number (bits 4n to 4n + 3 of i) of A"],
  ["vtable", "D A B", PURE, "bytes: D = byte number B of A, 0 where B >= 16"],
  // Polynomials over GF(2).
  ["vpmul8", "D A B", PURE, "8-bit lanes: D = carry-less product, its low 8 bits"],
  ...each(
    [8, 64],
    [
      "vpmullL",
      "D A B",
      PURE,
      "##-bit lanes: D = carry-less product of #-bit lanes of the low halves",
    ],
    [
      "vpmullH",
      "D A B",
      PURE,
      "##-bit lanes: D = carry-less product of #-bit lanes of the high halves",
    ],
  ),
  // Ciphers and hashes (FIPS 197, FIPS 180-4).
  ["vaesEnc", "D A B", PURE, "D = SubBytes(ShiftRows(A ^ B))"],
  ["vaesDec", "D A B", PURE, "D = InvSubBytes(InvShiftRows(A ^ B))"],
  ["vaesMix", "D A", PURE, "D = MixColumns(A)"],
  ["vaesUnmix", "D A", PURE, "D = InvMixColumns(A)"],
  [
    "vsha1",
    "D A B C j",
    PURE,
    "four rounds of SHA-1 on A (a to d) and the low word of B (e), C being schedule plus constant; j is 0 Ch, 1 Parity, 2 Maj",
  ],
  [
    "vsha1su0",
    "D A B C",
    PURE,
    "D = (high half of A, low half of B) ^ A ^ C, as words of the schedule",
  ],
  ["vsha1su1", "D A B", PURE, "the second half of four words of SHA-1's schedule"],
  [
    "vsha256",
    "D A B C j",
    PURE,
    "four rounds of SHA-256, C being schedule plus constant: j 0: A = a to d, B = e to h, D the new a to d; j 1: A = e to h, B = a to d, D the new e to h",
  ],
  ["vsha256su0", "D A B", PURE, "the first half of four words of SHA-256's schedule"],
  ["vsha256su1", "D A B C", PURE, "the second half of four words of SHA-256's schedule"],
  // Estimates of integers.
  ["vrecipU32", "D A", PURE, "32-bit lanes: estimate of 2^63 / A in 9 bits; all ones if A < 2^31"],
  [
    "vrsqrtU32",
    "D A",
    PURE,
    "32-bit lanes: estimate of 2^47.5 / sqrt(A) in 9 bits; all ones if A < 2^30",
  ],
  // Lanes of floating point. `Fp.LOW` and `Fp.FIRST` in j: only the low half, the first lane; the rest of D is 0.
  ...each(
    FLOATS,
    ["vfadd", "D A B j", FLOAT, "binary# lanes: D = A + B"],
    ["vfsub", "D A B j", FLOAT, "binary# lanes: D = A - B"],
    ["vfmul", "D A B j", FLOAT, "binary# lanes: D = A * B"],
    ["vfdiv", "D A B j", FLOAT, "binary# lanes: D = A / B"],
    ["vfma", "D A B C j", FLOAT, "binary# lanes: D = ±(A * B) ± C rounded once; j bits: `Fp`"],
    ["vfsqrt", "D A j", FLOAT, "binary# lanes: D = square root of A"],
    ["vfmin", "D A B j", FLOAT, "binary# lanes: D = IEEE 754-2019 minimum"],
    ["vfmax", "D A B j", FLOAT, "binary# lanes: D = IEEE 754-2019 maximum"],
    ["vfminn", "D A B j", FLOAT, "binary# lanes: D = IEEE 754-2008 minNum, -0 below +0"],
    ["vfmaxn", "D A B j", FLOAT, "binary# lanes: D = IEEE 754-2008 maxNum, -0 below +0"],
    ["vfmulx", "D A B j", FLOAT, "vfmul, but 0 * infinity = ±2"],
    ["vfeq", "D A B j", FLOAT, "binary# lanes: D = A == B quietly ? all ones : 0"],
    ["vfgt", "D A B j", FLOAT, "binary# lanes: D = A > B ? all ones : 0; any NaN is invalid"],
    ["vfge", "D A B j", FLOAT, "binary# lanes: D = A >= B ? all ones : 0; any NaN is invalid"],
    ["vfint", "D A j", FLOAT, "binary# lanes: D = A rounded to an integral value; `Fp.EXACT`"],
    ["vfrecip", "D A j", FLOAT, "binary# lanes: D = estimate of 1 / A in 8 bits (FRECPE)"],
    ["vfrsqrt", "D A j", FLOAT, "binary# lanes: D = estimate of 1 / sqrt(A) in 8 bits (FRSQRTE)"],
    [
      "vfrecipStep",
      "D A B j",
      FLOAT,
      "binary# lanes: D = 2 - A * B rounded once; 2 for 0 * infinity",
    ],
    [
      "vfrsqrtStep",
      "D A B j",
      FLOAT,
      "binary# lanes: D = (3 - A * B) / 2 rounded once; 1.5 for 0 * infinity",
    ],
    [
      "vfrecipX",
      "D A j",
      FLOAT,
      "binary# lanes: D = A with its exponent inverted, fraction 0 (FRECPX)",
    ],
    [
      "vfcvtS",
      "D A j",
      FLOAT,
      "#-bit lanes: D = signed integer of A * 2^(j >> 16), saturating",
    ],
    [
      "vfcvtU",
      "D A j",
      FLOAT,
      "#-bit lanes: D = unsigned integer of A * 2^(j >> 16), saturating",
    ],
    ["vcvtfS", "D A j", FLOAT, "binary# lanes: D = signed integer A * 2^-(j >> 16)"],
    ["vcvtfU", "D A j", FLOAT, "binary# lanes: D = unsigned integer A * 2^-(j >> 16)"],
  ),
  // Scalars, as vector units have them.
  ...each(
    FLOATS,
    [
      "fcmp",
      "d a b j",
      FLOAT,
      "binary#: d = 8 if a < b, 6 if equal, 2 if greater, 3 if unordered; `Fp.SIGNALING`",
    ],
    ["frint", "d a j", FLOAT, "binary#: d = a rounded to an integral value; `Fp.EXACT`"],
    ["fminimum", "d a b j", FLOAT, "binary#: d = IEEE 754-2019 minimum"],
    ["fmaximum", "d a b j", FLOAT, "binary#: d = IEEE 754-2019 maximum"],
    ["fminnum", "d a b j", FLOAT, "binary#: d = IEEE 754-2008 minNum, -0 below +0"],
    ["fmaxnum", "d a b j", FLOAT, "binary#: d = IEEE 754-2008 maxNum, -0 below +0"],
    ["cvtF16F", "d a j", FLOAT, "d = binary16 of binary# a"],
    ["fixS32F", "d a j", FLOAT, "d = int32 of binary# a * 2^(j >> 16), saturating, sign-extended"],
    ["fixU32F", "d a j", FLOAT, "d = uint32 of binary# a * 2^(j >> 16), saturating, sign-extended"],
    ["fixS64F", "d a j", FLOAT, "d = int64 of binary# a * 2^(j >> 16), saturating"],
    ["fixU64F", "d a j", FLOAT, "d = uint64 of binary# a * 2^(j >> 16), saturating"],
    ["unfixS32F", "d a j", FLOAT, "d = binary# of the signed low word of a * 2^-(j >> 16)"],
    ["unfixU32F", "d a j", FLOAT, "d = binary# of the unsigned low word of a * 2^-(j >> 16)"],
    ["unfixS64F", "d a j", FLOAT, "d = binary# of signed a * 2^-(j >> 16)"],
    ["unfixU64F", "d a j", FLOAT, "d = binary# of unsigned a * 2^-(j >> 16)"],
  ),
  ["cvtF32F16", "d a j", FLOAT, "d = binary32 of binary16 a"],
  ["cvtF64F16", "d a j", FLOAT, "d = binary64 of binary16 a"],
  ["vfwiden16", "D A j", FLOAT, "binary32 lanes: D = binary16 lanes of the low half of A"],
  ["vfwiden32", "D A j", FLOAT, "binary64 lanes: D = binary32 lanes of the low half of A"],
  [
    "vfnarrow16",
    "D A j",
    FLOAT,
    "low half of D: binary16 lanes = binary32 lanes of A, high half = 0",
  ],
  [
    "vfnarrow32",
    "D A j",
    FLOAT,
    "low half of D: binary32 lanes = binary64 lanes of A, high half = 0; `Fp.ODD`",
  ],
];
