/**
 * Every op that translations execute, as C: a row each. Ops without a row leave to the interpreter.
 *
 * @module
 */
import { Amo, Fp } from "../cpu/ir/ops.ts";
import { addVectorRows } from "./emit_vectors.ts";
import type { OpContext, Operands, Operation } from "./operation.ts";

export type { OpContext, Operands, Operation } from "./operation.ts";

/** The slot that is always zero. */
export const U64_ZERO = "(u64)0";

/** An unsigned 64-bit constant. */
export function hex(value: number | bigint): string {
  return `0x${BigInt.asUintN(64, BigInt(value)).toString(16)}ull`;
}

/** All rows, by op name. */
export const OPERATIONS: ReadonlyMap<string, Operation> = makeRows();

function makeRows(): Map<string, Operation> {
  const rows = new Map<string, Operation>();
  const add = (name: string, kinds: string, print: Operation["print"]) => {
    rows.set(name, { kinds, print });
  };

  // ---- integers ----

  /** `A` and `B` in the text are the operands. */
  const expression = (name: string, text: string) => {
    const print: Operation["print"] = (w, o) => {
      const b = o.immediate ? o.i : w.get(o.b);
      w.set(o.d, text.replace(/\b[AB]\b/g, (letter) => letter === "A" ? w.get(o.a) : b));
    };
    add(name, "iiii", print);
  };
  const both = (name: string, text: string) => {
    expression(name, text);
    expression(`${name}i`, text);
  };
  add("nop", "....", () => {});
  add("fence", "....", () => {});
  add("gate", "....", (w, o) => w.line(`if (unlikely(${w.get(o.a)} != 0)) ${w.exit()}`));
  add("const", "....", (w, o) => w.set(o.d, o.i));
  add("mov", "....", (w, o) => {
    if (w.isDouble(o.a) && w.isDouble(o.d)) w.moveDouble(o.d, o.a);
    else w.set(o.d, w.get(o.a));
  });
  both("add64", "A + B");
  // Of words, as words: then compilers see rotations, and that only low words matter.
  for (const [name, sign] of [["and64", "&"], ["or64", "|"], ["xor64", "^"]]) {
    add(name, "iiii", (w, o) => {
      const a = w.get(o.a), b = w.get(o.b), words = w.isWord(o.a) && w.isWord(o.b);
      w.set(o.d, words ? `sx((u32)${a} ${sign} (u32)${b})` : `${a} ${sign} ${b}`);
    });
    expression(`${name}i`, `A ${sign} B`);
  }
  both("shl64", "A << (B & 63)");
  both("shru64", "A >> (B & 63)");
  both("shrs64", "sar64(A, B)");
  both("rotr64", "ror64(A, B)");
  expression("sub64", "A - B");
  expression("mul64", "A * B");
  both("add32", "sx((u32)A + (u32)B)");
  both("shl32", "sx((u32)A << (B & 31))");
  both("shru32", "sx((u32)A >> (B & 31))");
  both("shrs32", "sx(sar32((u32)A, B))");
  both("rotr32", "sx(ror32((u32)A, B))");
  expression("sub32", "sx((u32)A - (u32)B)");
  expression("mul32", "sx((u32)A * (u32)B)");
  expression("sext8", "(u64)(i64)(i8)A");
  expression("sext16", "(u64)(i64)(i16)A");
  both("slt64", "(u64)((i64)A < (i64)B)");
  both("sltu64", "(u64)(A < B)");
  expression("seq64", "(u64)(A == B)");
  expression("sne64", "(u64)(A != B)");
  for (const name of ["divs", "divu", "rems", "remu"]) {
    expression(`${name}64`, `${name}64(A, B)`);
    expression(`${name}32`, `sx(${name}32((u32)A, (u32)B))`);
  }
  expression("mulhs64", "mulhs(A, B)");
  expression("mulhu64", "mulhu(A, B)");
  expression("mulhsu64", "mulhsu(A, B)");
  expression("clz64", "clz64(A)");
  expression("ctz64", "ctz64(A)");
  expression("popcnt64", "(u64)__builtin_popcountll(A)");
  expression("clz32", "clz32((u32)A)");
  expression("ctz32", "ctz32((u32)A)");
  expression("popcnt32", "(u64)__builtin_popcount((u32)A)");
  expression("bswap64", "__builtin_bswap64(A)");
  expression("mins64", "((i64)A < (i64)B ? A : B)");
  expression("maxs64", "((i64)A > (i64)B ? A : B)");
  expression("minu64", "(A < B ? A : B)");
  expression("maxu64", "(A > B ? A : B)");
  expression("unbox32", "(A >= BOX ? A : BOX | 0x7fc00000u)");
  add("select", "iiii", (w, o) => {
    w.set(o.d, `(${w.get(o.a)} != 0 ? ${w.get(o.b)} : ${w.get(o.c)})`);
  });

  // ---- memory ----

  const load = (name: string, value: string) => {
    add(name, ".iii", (w, o) => {
      w.line(`{ u64 at = ${w.get(o.a)} + ${o.i};`);
      w.check();
      if (name === "ld64" && w.isDouble(o.d)) w.setDouble(o.d, "ldD(g, at)");
      else w.set(o.d, value);
      w.line("}");
    });
  };
  load("ldS8", "(u64)(i64)(i8)ld8(g, at)");
  load("ldU8", "ld8(g, at)");
  load("ldS16", "(u64)(i64)(i16)ld16(g, at)");
  load("ldU16", "ld16(g, at)");
  load("ldS32", "sx(ld32(g, at))");
  load("ldU32", "ld32(g, at)");
  load("ldB32", "BOX | ld32(g, at)");
  load("ld64", "ld64(g, at)");
  for (const bits of [8, 16, 32, 64]) {
    add(`st${bits}`, ".i.i", (w, o) => {
      w.line(`{ u64 at = ${w.get(o.a)} + ${o.i};`);
      w.check();
      const double = bits === 64 && w.isDouble(o.b);
      w.line(
        double
          ? `stD(g, at, ${w.getDouble(o.b)}); }`
          : `st${bits}(g, at, (u${bits})${w.get(o.b)}); }`,
      );
    });
  }

  // ---- atomics: nothing else runs meanwhile ----

  const AMOS = new Map<number, string>([
    [Amo.SWAP, "b"],
    [Amo.ADD, "old + b"],
    [Amo.XOR, "old ^ b"],
    [Amo.AND, "old & b"],
    [Amo.OR, "old | b"],
    [Amo.MIN, "((i64)old < (i64)b ? old : b)"],
    [Amo.MAX, "((i64)old > (i64)b ? old : b)"],
    [Amo.MINU, "(old < b ? old : b)"],
    [Amo.MAXU, "(old > b ? old : b)"],
  ]);
  add("aligned", ".i..", (w, o) => w.line(`if (unlikely(${w.get(o.a)} & ${o.i} - 1)) ${w.exit()}`));
  for (const bits of [32, 64]) {
    const log2 = bits === 32 ? 2 : 3;
    // Sign extension keeps the unsigned order of words, too.
    const old = bits === 32 ? "sx(ld32(g, at))" : "ld64(g, at)";
    const word = (slot: string) => bits === 32 ? `sx((u32)${slot})` : slot;
    const open = (w: OpContext, o: Operands, store: boolean) => {
      w.line(`{ u64 from = ${w.get(o.a)}, at = from;`);
      w.checkAtomic(log2, store);
    };
    add(`amo${bits}`, "iiii", (w, o) => {
      open(w, o, true);
      w.line(`u64 old = ${old}, b = ${word(w.get(o.b))};`);
      w.line(`st${bits}(g, at, (u${bits})(${AMOS.get(o.j)!}));`);
      w.set(o.d, "old");
      w.line("}");
    });
    add(`ldx${bits}`, "iiii", (w, o) => {
      open(w, o, false);
      w.line(`u64 old = ${old};`);
      w.line("s[EXCLUSIVE_ADDRESS_SLOT] = from; s[EXCLUSIVE_VALUE_SLOT] = old;");
      w.set(o.d, "old");
      w.line("}");
    });
    add(`stx${bits}`, "iiii", (w, o) => {
      if (w.system) {
        w.line(`if (unlikely(s[EXCLUSIVE_ADDRESS_SLOT] != ${w.get(o.a)})) ${w.exit()}`);
        open(w, o, false);
        w.line(`if (unlikely(s[EXCLUSIVE_VALUE_SLOT] != ${old})) ${w.exit()}`);
        w.line("at = from;");
        w.checkAtomic(log2, true);
      } else open(w, o, true);
      w.line(
        `u64 failed = !(s[EXCLUSIVE_ADDRESS_SLOT] == from && s[EXCLUSIVE_VALUE_SLOT] == ${old});`,
      );
      w.line(`if (!failed) st${bits}(g, at, (u${bits})${w.get(o.b)});`);
      w.line("s[EXCLUSIVE_ADDRESS_SLOT] = -(u64)1;");
      w.set(o.d, "failed");
      w.line("}");
    });
  }

  // ---- floating point: flags and rounding are the processor's (see helper.c) ----

  /** The rounding mode of an op must be the processor's. */
  const rounding = (w: OpContext, j: number) => {
    w.usesFloat();
    const mode = j & Fp.RM;
    if (mode !== 7) w.line(`if (unlikely(s[FP_RM_SLOT] != ${mode})) ${w.exit()}`);
  };
  /** The same where the result is exact: a static mode does not matter. */
  const exact = (w: OpContext, j: number) => {
    if ((j & Fp.RM) === 7) w.usesFloat();
  };
  /** The float in a slot, as a new local; leaves if it should be boxed and is not. */
  const float = (w: OpContext, name: string, slot: number, j: number) => {
    if (j & Fp.BOXED) w.line(`if (UNBOXED(${w.get(slot)})) ${w.exit()}`);
    w.line(`float ${name} = flt(${w.get(slot)});`);
  };
  const setFloat = (w: OpContext, d: number, j: number, bits = "bits32(v)") =>
    w.set(d, j & Fp.BOXED ? `BOX | ${bits}` : `(u64)${bits}`);
  const arithmetic = (name: string, odd: string) => {
    for (const suffix of ["", "r"]) {
      add(`${name}64${suffix}`, "dddi", (w, o) => {
        w.line("{");
        rounding(w, o.j);
        w.line(`double v = ${name}64(${w.getLate(o.a)}, ${w.getLate(o.b)});`);
        if (w.isLate(o.d)) w.setLate(o.d, "v", [o.a, o.b]);
        else {
          w.line(`if (${odd}64(v)) ${w.exit()}`);
          w.sure(o.a, o.b);
          w.setDouble(o.d, "v");
        }
        w.line("}");
      });
      add(`${name}32${suffix}`, "iiii", (w, o) => {
        w.line("{");
        rounding(w, o.j);
        float(w, "v", o.a, o.j);
        float(w, "u", o.b, o.j);
        w.line(`v = ${name}32(v, u); if (${odd}32(v)) ${w.exit()}`);
        setFloat(w, o.d, o.j);
        w.line("}");
      });
    }
  };
  arithmetic("fadd", "ODD_SUM");
  arithmetic("fsub", "ODD_SUM");
  arithmetic("fmul", "ODD");
  arithmetic("fdiv", "ODD");
  const fused = (j: number) => {
    const signs = `${j & Fp.NEG_PRODUCT ? "P" : ""}${j & Fp.NEG_ADDEND ? "A" : ""}`;
    return signs === "" ? "fma" : `fmaN${signs}`;
  };
  add("fma64", "dddd", (w, o) => {
    w.line("{");
    rounding(w, o.j);
    const [a, b, c] = [o.a, o.b, o.c].map((slot) => w.getLate(slot));
    w.line(`double v = ${fused(o.j)}64(${a}, ${b}, ${c});`);
    // Not late: of infinity times zero plus a quiet NaN not all processors say that it is invalid.
    w.line(`if (ODD64(v)) ${w.exit()}`);
    w.sure(o.a, o.b, o.c);
    w.setDouble(o.d, "v");
    w.line("}");
  });
  add("fma32", "iiii", (w, o) => {
    w.line("{");
    rounding(w, o.j);
    float(w, "v", o.a, o.j);
    float(w, "u", o.b, o.j);
    float(w, "t", o.c, o.j);
    w.line(`v = ${fused(o.j)}32(v, u, t);`);
    w.line(`if (ODD32(v)) ${w.exit()}`);
    setFloat(w, o.d, o.j);
    w.line("}");
  });
  add("fsqrt64", "ddii", (w, o) => {
    w.line("{");
    rounding(w, o.j);
    w.line(`double v = ${w.getLate(o.a)};`);
    if (!w.isLate(o.d)) {
      w.line(`if (NEGATIVE(v)) ${w.exit()}`);
      w.sure(o.a);
    }
    w.line("PIN(v); v = __builtin_sqrt(v); PIN(v);");
    if (w.isLate(o.d)) w.setLate(o.d, "v", [o.a]);
    else w.setDouble(o.d, "v");
    w.line("}");
  });
  add("fsqrt32", "iiii", (w, o) => {
    w.line("{");
    rounding(w, o.j);
    float(w, "v", o.a, o.j);
    w.line(`if (NEGATIVE(v)) ${w.exit()}`);
    w.line("PIN(v); v = __builtin_sqrtf(v); PIN(v);");
    setFloat(w, o.d, o.j);
    w.line("}");
  });
  // Comparisons: without NaN they raise nothing.
  for (const [name, sign] of [["feq", "=="], ["flt", "<"], ["fle", "<="]]) {
    add(`${name}64`, "iddi", (w, o) => {
      w.line(`{ double v = ${w.getLate(o.a)}, u = ${w.getLate(o.b)};`);
      w.line(`if (unlikely(__builtin_isunordered(v, u))) ${w.exit()}`);
      w.sure(o.a, o.b);
      w.set(o.d, `(u64)(v ${sign} u)`);
      w.line("}");
    });
    add(`${name}32`, "iiii", (w, o) => {
      w.line("{");
      float(w, "v", o.a, o.j);
      float(w, "u", o.b, o.j);
      w.line(`if (unlikely(__builtin_isunordered(v, u))) ${w.exit()}`);
      w.set(o.d, `(u64)(v ${sign} u)`);
      w.line("}");
    });
  }
  // Of equal numbers only zeros differ in bits: the sign decides.
  for (const [name, sign, same] of [["fmin", "<", "|"], ["fmax", ">", "&"]]) {
    add(`${name}64`, "dddi", (w, o) => {
      w.line(`{ double v = ${w.getLate(o.a)}, u = ${w.getLate(o.b)};`);
      w.line(`if (unlikely(__builtin_isunordered(v, u))) ${w.exit()}`);
      w.sure(o.a, o.b);
      w.setDouble(o.d, `(v == u ? dbl(bits64(v) ${same} bits64(u)) : v ${sign} u ? v : u)`);
      w.line("}");
    });
    add(`${name}32`, "iiii", (w, o) => {
      w.line("{");
      float(w, "v", o.a, o.j);
      float(w, "u", o.b, o.j);
      w.line(`if (unlikely(__builtin_isunordered(v, u))) ${w.exit()}`);
      w.line(`u32 x = bits32(v), y = bits32(u);`);
      setFloat(w, o.d, o.j, `(v == u ? x ${same} y : v ${sign} u ? x : y)`);
      w.line("}");
    });
  }
  add("fclass64", "iiii", (w, o) => w.set(o.d, `class64(${w.get(o.a)})`));
  add("fclass32", "iiii", (w, o) => {
    w.line("{");
    float(w, "v", o.a, o.j);
    w.set(o.d, "class32(bits32(v))");
    w.line("}");
  });

  // ---- conversions ----

  const INTEGERS: [string, string][] = [
    ["S32", "(i32)(u32)"],
    ["U32", "(u32)"],
    ["S64", "(i64)"],
    ["U64", ""],
  ];
  for (const [kind, cast] of INTEGERS) {
    add(`cvtF64${kind}`, "dii.", (w, o) => {
      w.line("{");
      (kind.endsWith("32") ? exact : rounding)(w, o.j);
      w.line(`u64 x = ${w.get(o.a)}; KEEP(x); double v = (double)(${cast}x); PIN(v);`);
      w.setDouble(o.d, "v");
      w.line("}");
    });
    add(`cvtF32${kind}`, "iii.", (w, o) => {
      w.line("{");
      rounding(w, o.j);
      w.line(`u64 x = ${w.get(o.a)}; KEEP(x); float v = (float)(${cast}x); PIN(v);`);
      setFloat(w, o.d, o.j);
      w.line("}");
    });
  }
  /**
   * To an integer. Values near or beyond the ends of the range are softfloat's; between, truncation is C's cast, and the
   * other modes go from it. Adjusting is exact below 2^53, and above there is no fraction.
   */
  const TARGETS: [string, string, string, string][] = [
    ["S32", "-2147483647.0", "2147483647.0", "sx((u32)n)"],
    ["U32", "0.0", "4294967295.0", "sx((u32)n)"],
    ["S64", "-9.2e18", "9.2e18", "(u64)n"],
    ["U64", "0.0", "9.2e18", "(u64)n"],
  ];
  const toInteger = (w: OpContext, o: Operands, range: string, result: string) => {
    const mode = o.j & Fp.RM;
    w.line(`if (unlikely(!(${range}))) ${w.exit()}`);
    w.line("PIN(v);");
    if (mode === 0 || mode === 7) w.line("i64 n = __builtin_llrint(v);");
    else w.line("i64 n = (i64)v;");
    if (mode === 2) w.line("n -= (double)n > v;");
    if (mode === 3) w.line("n += (double)n < v;");
    w.line("KEEP(n);");
    w.set(o.d, result);
  };
  for (const [kind, low, high, result] of TARGETS) {
    const range = `v >= ${low} && v <= ${high}`;
    add(`cvt${kind}F64`, "idi.", (w, o) => {
      w.line("{");
      const mode = o.j & Fp.RM;
      if (mode === 4) w.line(w.exit());
      if (mode === 0 || mode === 7) rounding(w, o.j);
      w.line(`double v = ${w.getLate(o.a)};`);
      w.sure(o.a);
      toInteger(w, o, range, result);
      w.line("}");
    });
    add(`cvt${kind}F32`, "iii.", (w, o) => {
      w.line("{");
      const mode = o.j & Fp.RM;
      if (mode === 4) w.line(w.exit());
      if (mode === 0 || mode === 7) rounding(w, o.j);
      float(w, "f", o.a, o.j);
      w.line("double v = (double)f;");
      toInteger(w, o, range, result);
      w.line("}");
    });
  }
  add("cvtF32F64", "idi.", (w, o) => {
    w.line("{");
    rounding(w, o.j);
    w.line(`double x = ${w.getLate(o.a)}; PIN(x); float v = (float)x; PIN(v);`);
    w.line(`if (ODD32(v)) ${w.exit()}`);
    w.sure(o.a);
    setFloat(w, o.d, o.j);
    w.line("}");
  });
  add("cvtF64F32", "dii.", (w, o) => {
    w.line("{");
    exact(w, o.j);
    float(w, "x", o.a, o.j);
    w.line(`if (unlikely(x != x)) ${w.exit()}`);
    w.setDouble(o.d, "(double)x");
    w.line("}");
  });
  // Of flags that the processor has yet: where a stay ends, they are added.
  const fast = "s[FP_FAST_SLOT] = !s[FP_RM_SLOT] && s[FP_FLAGS_SLOT] & 1;";
  add("fpsync", "....", (w) => w.line(fast));
  addVectorRows(add);
  add("checkrm", "....", (w) => w.line(`if (unlikely(s[FP_RM_SLOT] > 4)) ${w.exit()}`));
  return rows;
}
