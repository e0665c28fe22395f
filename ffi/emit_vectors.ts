/**
 * Ops on vectors as C, in the vector extensions of GCC and Clang. What has no row here leaves: ciphers and hashes, shifts
 * that round or saturate by counts in a register, estimates, and conversions of lanes.
 *
 * @module
 */
import { Fp } from "../cpu/ir/ops.ts";
import type { OpContext, Operands, Operation } from "./operation.ts";

const ALL = [8, 16, 32, 64], NARROW = [8, 16, 32];

/** Numbers of bytes of lanes, given where each lane comes from. */
function bytesOf(bits: number, source: (i: number) => number): string {
  const size = bits / 8;
  return Array.from(
    { length: 16 },
    (_, k) => source(Math.floor(k / size)) * size + k % size,
  ).join();
}

/** Adds the rows. */
export function addVectorRows(
  add: (name: string, kinds: string, print: Operation["print"]) => void,
): void {
  /** An expression of vectors `A`, `B` and `C`, and of `J`. */
  const row = (name: string, text: (o: Operands) => string) =>
    add(name, "....", (w, o) => {
      const letters: Record<string, () => string> = {
        A: () => w.getVector(o.a),
        B: () => w.getVector(o.b),
        C: () => w.getVector(o.c),
      };
      w.setVector(o.d, `(V64)(${text(o).replace(/\b[ABC]\b/g, (letter) => letters[letter]())})`);
    });
  const shuffle = (name: string, b: string, lanes: (o: Operands) => string) =>
    row(name, (o) => `SHUFFLE((V8)A, (V8)${b}, ${lanes(o)})`);

  // ---- memory and moves ----

  add("ldV", ".i..", (w, o) => {
    w.line(`{ u64 at = ${w.get(o.a)} + ${o.i};`);
    w.check();
    w.setVector(o.d, "ldV(g, at)");
    w.line("}");
  });
  add("stV", ".i..", (w, o) => {
    w.line(`{ u64 at = ${w.get(o.a)} + ${o.i};`);
    w.check();
    w.line(`stV(g, at, ${w.getVector(o.b)}); }`);
  });
  row("vmov", () => "A");
  add("vconst", "....", (w, o) => w.setVector(o.d, `(V64){${o.i}, ${o.i}}`));
  add("vlow", "....", (w, o) => w.setVector(o.d, `(V64){${w.getVector(o.a)}[0], 0}`));
  for (const bits of ALL) {
    const n = 128 / bits;
    add(`vsplat${bits}`, ".i..", (w, o) => {
      const value = `(u${bits})${w.get(o.a)}`;
      w.setVector(
        o.d,
        `(V64)(V${bits}){${Array.from({ length: n }, () => "x").join()}}`,
        `u${bits} x = ${value};`,
      );
    });
    add(`vput${bits}`, "..i.", (w, o) => {
      const before = `V${bits} x = (V${bits})${w.getVector(o.a)}; x[${o.j & n - 1}] = (u${bits})${
        w.get(o.b)
      };`;
      w.setVector(o.d, "(V64)x", before);
    });
    if (bits === 64) continue;
    for (const [sign, cast] of [["S", `(u64)(i64)(i${bits})`], ["U", "(u64)"]]) {
      add(`vget${sign}${bits}`, "i...", (w, o) => {
        w.set(o.d, `${cast}((V${bits})${w.getVector(o.a)})[${o.j & n - 1}]`);
      });
    }
  }
  row("vnot", () => "~A");
  row("vand", () => "A & B");
  row("vandn", () => "A & ~B");
  row("vor", () => "A | B");
  row("vxor", () => "A ^ B");
  row("vsel", () => "(A & C) | (B & ~C)");
  add("vany", "i...", (w, o) => w.set(o.d, `any(${w.getVector(o.a)})`));

  // ---- lanes ----

  for (const bits of ALL) {
    const v = `(V${bits})`, s = `(S${bits})`;
    row(`vadd${bits}`, () => `${v}A + ${v}B`);
    row(`vsub${bits}`, () => `${v}A - ${v}B`);
    row(`vmul${bits}`, () => `${v}A * ${v}B`);
    row(`vneg${bits}`, () => `-${v}A`);
    row(`vabs${bits}`, () => `abs${bits}(${v}A)`);
    row(`veq${bits}`, () => `${v}A == ${v}B`);
    for (const [sign, cast] of [["S", s], ["U", v]]) {
      row(`vgt${sign}${bits}`, () => `${cast}A > ${cast}B`);
      row(`vge${sign}${bits}`, () => `${cast}A >= ${cast}B`);
      row(`vmin${sign}${bits}`, () => `choose((V64)(${cast}A < ${cast}B), A, B)`);
      row(`vmax${sign}${bits}`, () => `choose((V64)(${cast}A > ${cast}B), A, B)`);
      row(`vshl${sign}${bits}`, () => `shift${sign}${bits}(${v}A, B)`);
    }
    row(`vshli${bits}`, ({ j }) => j >= bits ? "A & 0" : `${v}A << ${j}`);
    row(`vshriU${bits}`, ({ j }) => j >= bits ? "A & 0" : `${v}A >> ${j}`);
    row(`vshriS${bits}`, ({ j }) => `${s}A >> ${Math.min(j, bits - 1)}`);
    saturating(add, bits);
    shuffle(`vzipL${bits}`, "B", () => bytesOf(bits, (i) => (i >> 1) + (i & 1) * 128 / bits));
    shuffle(
      `vzipH${bits}`,
      "B",
      () => bytesOf(bits, (i) => (128 / bits + i >> 1) + (i & 1) * 128 / bits),
    );
  }
  for (const bits of [8, 16]) {
    row(`vavgU${bits}`, () => `average${bits}((V${bits})A, (V${bits})B)`);
  }
  for (const bits of NARROW) {
    const wide = 2 * bits, n = 128 / bits;
    shuffle(`vunzE${bits}`, "B", () => bytesOf(bits, (i) => 2 * i));
    shuffle(`vunzO${bits}`, "B", () => bytesOf(bits, (i) => 2 * i + 1));
    shuffle(`vtrnE${bits}`, "B", () => bytesOf(bits, (i) => (i & ~1) + (i & 1) * n));
    shuffle(`vtrnO${bits}`, "B", () => bytesOf(bits, (i) => (i | 1) + (i & 1) * n));
    row(`vtrunc${bits}`, () => `SHUFFLE((V8)A, (V8){0}, ${bytesOf(bits, (i) => 2 * i)})`);
    row(`vclz${bits}`, () => `zeros${bits}((V${bits})A)`);
    for (const half of ["L", "H"]) {
      const from = half === "L" ? 0 : n / 2;
      const lanes = bytesOf(bits, (i) => (i & 1 ? n : 0) + from + (i >> 1));
      const twice = bytesOf(bits, (i) => from + (i >> 1));
      /** Both halves of a wide lane are the narrow one, or the upper one is 0. */
      const widen = (letter: string, sign: string) =>
        sign === "U"
          ? `(V${wide})SHUFFLE((V8)${letter}, (V8){0}, ${lanes})`
          : `((S${wide})SHUFFLE((V8)${letter}, (V8)${letter}, ${twice}) >> ${bits})`;
      for (const sign of ["S", "U"]) {
        row(`vwiden${half}${sign}${bits}`, () => widen("A", sign));
        row(`vmull${half}${sign}${bits}`, () => `${widen("A", sign)} * ${widen("B", sign)}`);
      }
    }
    row(
      `vaddlpS${bits}`,
      () => `((S${wide})((V${wide})A << ${bits}) >> ${bits}) + ((S${wide})A >> ${bits})`,
    );
    row(
      `vaddlpU${bits}`,
      () => `((V${wide})((V${wide})A << ${bits}) >> ${bits}) + ((V${wide})A >> ${bits})`,
    );
  }
  row("vcnt8", () => "ones8((V8)A)");
  row("vtable", () => "lookup((V8)A, (V8)B)");
  shuffle("vext", "B", ({ j }) => Array.from({ length: 16 }, (_, i) => i + (j & 15)).join());
  shuffle("vshuf", "A", ({ i }) => {
    const bits = BigInt(i.replace("ull", ""));
    return Array.from({ length: 16 }, (_, n) => Number(bits >> BigInt(4 * n) & 15n)).join();
  });

  for (const bits of [32, 64]) floats(add, bits);
  add("vfwiden32", "....", (w, o) => {
    w.usesFloat();
    const second = o.j & Fp.FIRST ? "0" : "(double)x[1]";
    w.line(`{ F32 x = (F32)${w.getVector(o.a)}; F64 v = {(double)x[0], ${second}};`);
    w.line(`if (unlikely(odd64(v))) ${w.exit()}`);
    w.setVector(o.d, "(V64)v");
    w.line("}");
  });
}

/** Sums and differences that saturate: the flag is an or, which costs less than to ask. */
function saturating(
  add: (name: string, kinds: string, print: Operation["print"]) => void,
  bits: number,
): void {
  for (const [op, sign] of [["add", "+"], ["sub", "-"]]) {
    for (const kind of ["S", "U"]) {
      add(`v${op}Q${kind}${bits}`, "....", (w, o) => {
        const v = `(V${bits})`;
        w.line(
          `{ V${bits} a = ${v}${w.getVector(o.a)}, b = ${v}${w.getVector(o.b)}, r = a ${sign} b;`,
        );
        if (kind === "U") {
          w.line(`V${bits} m = ${v}(${op === "add" ? "r < a" : "a < b"});`);
          w.line(op === "add" ? "r |= m;" : "r &= ~m;");
        } else {
          const wrong = op === "add" ? "(a ^ r) & (b ^ r)" : "(a ^ b) & (a ^ r)";
          w.line(`V${bits} m = ${v}((S${bits})(${wrong}) >> ${bits - 1});`);
          w.line(`V${bits} e = ${v}((S${bits})a >> ${bits - 1}) ^ (~(V${bits}){0} >> 1);`);
          w.line(`r = (r & ~m) | (e & m);`);
        }
        if (o.j & Fp.SATURATION) w.line("if (unlikely(any((V64)m))) s[FP_FLAGS_SLOT] |= 64;");
        w.setVector(o.d, "(V64)r");
        w.line("}");
      });
    }
  }
}

/** Arithmetic by the processor's mode and flags. Lanes that do not count must raise nothing: they are ones. */
function floats(
  add: (name: string, kinds: string, print: Operation["print"]) => void,
  bits: number,
): void {
  const rounding = (w: OpContext, j: number) => {
    w.usesFloat();
    const mode = j & Fp.RM;
    if (mode !== 7) w.line(`if (unlikely(s[FP_RM_SLOT] != ${mode})) ${w.exit()}`);
  };
  const f = `F${bits}`;
  /** The lanes of an operation, and the others as zeros. */
  const mask = (j: number) => {
    if (j & Fp.FIRST) return bits === 64 ? "(V64){~0ull, 0}" : "(V64){0xffffffffull, 0}";
    return j & Fp.LOW ? "(V64){~0ull, 0}" : undefined;
  };
  const operand = (w: OpContext, slot: number, j: number) => {
    const lanes = mask(j), vector = w.getVector(slot);
    return lanes ? `(${f})choose(${lanes}, ${vector}, ONES${bits})` : `(${f})${vector}`;
  };
  const result = (w: OpContext, o: Operands, odd = "tiny") => {
    const lanes = mask(o.j);
    w.line(`PIN(v); if (unlikely(${odd}${bits}(v))) ${w.exit()}`);
    w.setVector(o.d, lanes ? `(V64)v & ${lanes}` : "(V64)v");
    w.line("}");
  };
  for (const [name, sign] of [["add", "+"], ["sub", "-"], ["mul", "*"], ["div", "/"]]) {
    add(`vf${name}${bits}`, "....", (w, o) => {
      w.line("{");
      rounding(w, o.j);
      w.line(`${f} v = ${operand(w, o.a, o.j)}, u = ${operand(w, o.b, o.j)}; PIN(v);`);
      w.line(`v = v ${sign} u;`);
      result(w, o, name === "mul" || name === "div" ? "tiny" : "odd");
    });
  }
  add(`vfma${bits}`, "....", (w, o) => {
    const [product, addend] = [o.j & Fp.NEG_PRODUCT ? "-" : "", o.j & Fp.NEG_ADDEND ? "-" : ""];
    w.line("{");
    rounding(w, o.j);
    w.line(
      `${f} v = ${operand(w, o.a, o.j)}, u = ${operand(w, o.b, o.j)}, t = ${operand(w, o.c, o.j)};`,
    );
    w.line(`PIN(v); v = fused${bits}(${product}v, u, ${addend}t);`);
    result(w, o);
  });
  for (const [name, sign] of [["eq", "=="], ["gt", ">"], ["ge", ">="]]) {
    add(`vf${name}${bits}`, "....", (w, o) => {
      w.line("{");
      // A stay does not begin while subnormal numbers are flushed.
      w.usesFloat();
      w.line(`${f} v = ${operand(w, o.a, o.j)}, u = ${operand(w, o.b, o.j)};`);
      w.line(`if (unlikely(odd${bits}(v) | odd${bits}(u))) ${w.exit()}`);
      const lanes = mask(o.j);
      w.setVector(o.d, `(V64)(v ${sign} u)${lanes ? ` & ${lanes}` : ""}`);
      w.line("}");
    });
  }
  add(`vfsqrt${bits}`, "....", (w, o) => {
    w.line("{");
    rounding(w, o.j);
    w.line(`${f} v = ${operand(w, o.a, o.j)}; if (unlikely(negative${bits}(v))) ${w.exit()}`);
    w.line(`PIN(v); v = root${bits}(v);`);
    result(w, o, "odd");
  });
  add(`vcvtfS${bits}`, "....", (w, o) => {
    if (o.j >> 16 !== 0) return w.line(w.exit());
    w.line("{");
    rounding(w, o.j);
    // Zeros are exact.
    const lanes = mask(o.j), vector = w.getVector(o.a);
    w.line(`V64 x = ${lanes ? `${vector} & ${lanes}` : vector};`);
    w.line(`${f} v = __builtin_convertvector((S${bits})x, ${f});`);
    result(w, o, "odd");
  });
  scalars(add, bits);
}

/** Comparisons and choices of scalars; a stay does not begin while subnormal numbers are flushed. */
function scalars(
  add: (name: string, kinds: string, print: Operation["print"]) => void,
  bits: number,
): void {
  const wide = bits === 64, type = wide ? "double" : "float";
  const value = (w: OpContext, slot: number) => wide ? w.getDouble(slot) : `flt(${w.get(slot)})`;
  const operands = (w: OpContext, o: Operands) => {
    w.usesFloat();
    w.line(`{ ${type} v = ${value(w, o.a)}, u = ${value(w, o.b)};`);
    w.line(`if (unlikely(__builtin_isunordered(v, u))) ${w.exit()}`);
  };
  add(`fcmp${bits}`, wide ? "iddi" : "iiii", (w, o) => {
    operands(w, o);
    w.set(o.d, "(u64)(v < u ? 8 : v == u ? 6 : 2)");
    w.line("}");
  });
  // Of equal numbers only zeros differ in bits: the sign decides.
  for (const [name, sign, same] of [["fmin", "<", "|"], ["fmax", ">", "&"]]) {
    for (const kind of ["imum", "num"]) {
      add(`${name}${kind}${bits}`, wide ? "dddi" : "iiii", (w, o) => {
        operands(w, o);
        if (wide) {
          w.setDouble(o.d, `(v == u ? dbl(bits64(v) ${same} bits64(u)) : v ${sign} u ? v : u)`);
        } else {
          w.line("u32 x = bits32(v), y = bits32(u);");
          w.set(o.d, `(u64)(v == u ? x ${same} y : v ${sign} u ? x : y)`);
        }
        w.line("}");
      });
    }
  }
}
