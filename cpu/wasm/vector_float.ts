/**
 * Vectors of floating-point lanes in WebAssembly, by the rule of float.ts: the host's arithmetic wherever only the value
 * of every lane can be seen, else a step of the interpreter.
 *
 * @module
 */
import type { RegionBlock } from "../engine/region/region.ts";
import { FIRST_VECTOR_OP, Fp, FpMode, OPS, Slot } from "../ir/ops.ts";
import { type Body, type Limit, slowIf } from "./body.ts";
import { Op, type PlainOp, ValType } from "./encoder.ts";
import { guarded, NORMAL, pushFast } from "./float.ts";

/** What an op's name says. */
interface Name {
  readonly base: string;
  readonly bits: number;
}
const shape = (bits: number) => bits === 64 ? "f64x2" : "f32x4";
const laneOp = (bits: number, name: string) =>
  Op[`${shape(bits)}_${name}` as keyof typeof Op] as PlainOp;
const scalarOp = (bits: number, name: string) =>
  Op[`f${bits}_${name}` as keyof typeof Op] as PlainOp;
const DYNAMIC = 7;
/** Instructions that round to an integral value, by rounding mode. */
const INTEGRAL = ["nearest", "trunc", "floor", "ceil"] as const;

/** Arithmetic: the instruction, its operands, and whether results may be too small to be exact. */
const ARITHMETIC: Readonly<Record<string, { op: string; operands: number; underflows: boolean }>> =
  {
    vfadd: { op: "add", operands: 2, underflows: false },
    vfsub: { op: "sub", operands: 2, underflows: false },
    vfmul: { op: "mul", operands: 2, underflows: true },
    vfdiv: { op: "div", operands: 2, underflows: true },
    vfma: { op: "relaxed_madd", operands: 3, underflows: true },
    vfsqrt: { op: "sqrt", operands: 1, underflows: false },
  };
const COMPARE: Readonly<Record<string, string>> = { vfeq: "eq", vfgt: "gt", vfge: "ge" };
const MINMAX: Readonly<Record<string, string>> = {
  vfmin: "min",
  vfmax: "max",
  vfminn: "min",
  vfmaxn: "max",
  fminimum: "min",
  fmaximum: "max",
  fminnum: "min",
  fmaxnum: "max",
};

/** The limit that a vector op wants, if any. */
export function vectorLimitOf(op: number): Limit | undefined {
  if (op < FIRST_VECTOR_OP) return undefined;
  const { name } = OPS[op];
  if (name === "vfnarrow32") return "product32";
  const row = ARITHMETIC[name.slice(0, -2)];
  return row && `${row.underflows ? "product" : "sum"}${name.endsWith("64") ? 64 : 32}`;
}

/** Whether the rounding mode of a record is to nearest even whenever `Slot.FP_FAST` is set. */
const isNearest = (j: number) => (j & Fp.RM) === 0 || (j & Fp.RM) === DYNAMIC;

/** Writes a floating-point op on vectors, or one of the scalar ones that belong to them; false if it has no form here. */
export function emitVectorFloat(
  c: Body,
  block: RegionBlock,
  at: number,
  name: Name,
): boolean {
  const { code } = block.ir, j = code[at + 5], { base } = name;
  const writer = new FloatWriter(c, block, at, name);
  if (base in ARITHMETIC) {
    if (!isNearest(j) || (base === "vfma" && !c.layout.fused)) return false;
    writer.arithmetic();
  } else if (base in COMPARE) writer.compare();
  else if (base in MINMAX) {
    if (base.startsWith("v")) writer.minMax();
    else writer.scalarMinMax();
  } else if (base === "fcmp") writer.compareFlags();
  else if (base === "vfint" || base === "frint") {
    if (!isNearest(j) && INTEGRAL[j & Fp.RM] === undefined) return false;
    writer.integral();
  } else if ((base === "vcvtfS" || base === "vcvtfU") && j >> 16 === 0 && isNearest(j)) {
    writer.fromInteger();
  } else if ((base === "vfcvtS" || base === "vfcvtU") && j >> 16 === 0) {
    if (!isNearest(j) && INTEGRAL[j & Fp.RM] === undefined) return false;
    writer.toInteger();
  } else if (base === "vfwiden" && name.bits === 32) writer.widen();
  else if (base === "vfnarrow" && name.bits === 32 && (j & Fp.ODD) === 0 && isNearest(j)) {
    writer.narrow();
  } else return false;
  return true;
}

class FloatWriter {
  readonly #c: Body;
  readonly #block: RegionBlock;
  readonly #at: number;
  readonly #bits: number;
  readonly #base: string;
  readonly #d: number;
  readonly #a: number;
  readonly #b: number;
  readonly #third: number;
  readonly #j: number;

  constructor(c: Body, block: RegionBlock, at: number, { base, bits }: Name) {
    this.#c = c;
    this.#block = block;
    this.#at = at;
    this.#bits = bits;
    this.#base = base;
    [this.#d, this.#a, this.#b, this.#third, this.#j] = block.ir.code.subarray(at + 1, at + 6);
  }

  #get(slot: number): void {
    this.#c.registers.getVector(slot);
  }
  #scratch(name: string): number {
    return this.#c.scratch(name, ValType.v128);
  }
  #op(name: string): void {
    this.#c.w.op(laneOp(this.#bits, name));
  }

  /** Bits of a mask that are lanes of the operation, `bits` wide; 0 where all are. */
  #lanes(bits = this.#bits): number {
    if (this.#j & Fp.FIRST) return 1;
    return this.#j & Fp.LOW ? (1 << 64 / bits) - 1 : 0;
  }

  /** Goes to the slow path if a lane of the operation in the mask on the stack is not 0. */
  #slowIfAny(slow: number, bits = this.#bits): void {
    const { w } = this.#c, lanes = this.#lanes(bits);
    w.op(bits === 64 ? Op.i64x2_bitmask : Op.i32x4_bitmask);
    if (lanes !== 0) {
      w.i32Const(lanes);
      w.op(Op.i32_and);
    }
    slowIf(this.#c, slow);
  }

  /** Goes to the slow path if subnormal numbers are to be flushed. */
  #needNoFlush(slow: number): void {
    const { w } = this.#c;
    w.i32Const(0);
    w.load(Op.i32_load, 2, Slot.FP_RM * 8);
    w.i32Const(FpMode.FLUSH);
    w.op(Op.i32_and);
    slowIf(this.#c, slow);
  }

  /** Goes to the slow path unless rounding is to nearest and NX set. */
  #needFast(slow: number): void {
    pushFast(this.#c);
    this.#c.w.op(Op.i32_eqz);
    slowIf(this.#c, slow);
  }

  /** Goes to the slow path if a lane of a slot's vector is a NaN. */
  #needNumbers(slots: readonly number[], slow: number): void {
    const { w } = this.#c;
    [...new Set(slots)].forEach((slot, i) => {
      this.#get(slot);
      this.#get(slot);
      this.#op("ne");
      if (i > 0) w.op(Op.v128_or);
    });
    this.#slowIfAny(slow);
  }

  /** Pushes a mask of the lanes of the local's vector that are no ordinary results, given the limit. */
  #pushOdd(local: number, limit: Limit, bits: number, underflows: boolean): void {
    const { w, limits } = this.#c;
    w.localGet(local);
    w.i32Const(1);
    w.op(Op.i32x4_shl);
    if (underflows) {
      w.i32Const(2 * NORMAL[bits === 64 ? 64 : 32] + 1);
      w.op(Op.i32x4_splat);
      w.op(Op.i32x4_sub);
    }
    w.localGet(limits.get(limit)!);
    w.op(Op.i32x4_splat);
    // Of doubles the high word says it, which has the mask's sign.
    w.op(Op.i32x4_ge_u);
  }

  /** Pops the vector of results into the destination, with 0 in what are no lanes of the operation. */
  #put(bits = this.#bits): void {
    const { w, registers } = this.#c;
    if (this.#j & Fp.FIRST) {
      w.v128Const(-1, bits === 64 ? -1 : 0, 0, 0);
      w.op(Op.v128_and);
    } else if (this.#j & Fp.LOW) {
      w.v128Const(-1, -1, 0, 0);
      w.op(Op.v128_and);
    }
    registers.setVector(this.#d);
  }

  #guarded(fast: (slow: number) => void, put: () => void = () => this.#put()): void {
    guarded(this.#c, this.#block, this.#at, fast, put);
  }

  arithmetic(): void {
    const { w } = this.#c, { op, operands, underflows } = ARITHMETIC[this.#base];
    const result = this.#scratch("vector0"), odd = this.#scratch("vector1");
    guarded(
      this.#c,
      this.#block,
      this.#at,
      (slow) => {
        for (let i = 0; i < operands; i++) this.#operand(i);
        this.#op(op);
        w.localSet(result);
        const limit = vectorLimitOf(this.#block.ir.code[this.#at])!;
        this.#pushOdd(result, limit, this.#bits, underflows);
        w.localTee(odd);
        this.#slowIfAny(slow);
        w.localGet(result);
      },
      () => this.#put(),
      (done) => {
        // Lanes that are exact change no flag either.
        if (!this.#c.layout.fused) return;
        const no = w.block();
        w.i32Const(0);
        w.load(Op.i32_load, 2, Slot.FP_RM * 8);
        slowIf(this.#c, no);
        this.#pushInexact(result);
        w.localGet(odd);
        w.op(Op.v128_and);
        this.#slowIfAny(no);
        w.localGet(result);
        this.#put();
        w.br(w.depthTo(done));
        w.end();
      },
    );
  }

  /** Pushes an operand of the operation, with its sign. */
  #operand(i: number): void {
    const slot = [this.#a, this.#b, this.#third][i], j = this.#j;
    this.#get(slot);
    const negative = this.#base === "vfma" &&
      ((i === 0 && (j & Fp.NEG_PRODUCT) !== 0) || (i === 2 && (j & Fp.NEG_ADDEND) !== 0));
    if (negative) this.#op("neg");
  }

  /** Pushes a mask of the lanes of which it is not certain that the result is exact, to nearest; see exact.ts. */
  #pushInexact(result: number): void {
    const { w } = this.#c, product = this.#scratch("vector2");
    const get = (local: number) => () => w.localGet(local),
      operand = (i: number) => () => this.#operand(i);
    switch (this.#base) {
      case "vfadd":
        return this.#pushInexactSum(operand(0), operand(1), get(result), "sub");
      case "vfsub":
        // The difference less the minuend is the subtrahend negated; plus the subtrahend, the minuend.
        return this.#pushInexactSum(operand(0), operand(1), get(result), "add");
      case "vfmul":
        return this.#pushInexactProduct(operand(0), operand(1), get(result));
      case "vfdiv":
        return this.#pushInexactProduct(get(result), operand(1), operand(0));
      case "vfsqrt":
        return this.#pushInexactProduct(get(result), get(result), operand(0));
      default:
        operand(0)();
        operand(1)();
        this.#op("mul");
        w.localSet(product);
        this.#pushInexactProduct(operand(0), operand(1), get(product));
        this.#pushInexactSum(get(product), operand(2), get(result), "sub");
        w.op(Op.v128_or);
    }
  }

  #pushInexactSum(a: () => void, b: () => void, sum: () => void, back: "add" | "sub"): void {
    const { w } = this.#c;
    sum();
    a();
    this.#op("sub");
    b();
    if (back === "add") this.#op("neg");
    this.#op("ne");
    sum();
    b();
    this.#op(back);
    a();
    this.#op("ne");
    w.op(Op.v128_or);
  }

  /** Where `product` is not that of `a` and `b`, or so small that the difference may be no number. */
  #pushInexactProduct(a: () => void, b: () => void, product: () => void): void {
    const { w } = this.#c;
    const splat = (value: number) => {
      if (this.#bits === 64) w.f64Const(value);
      else w.f32Const(value);
      this.#op("splat");
    };
    a();
    b();
    product();
    this.#op("neg");
    this.#op("relaxed_madd");
    splat(0);
    this.#op("ne");
    // Below, only a zero that came from one.
    product();
    this.#op("abs");
    splat(this.#bits === 64 ? 2 ** -900 : 2 ** -100);
    this.#op("lt");
    a();
    splat(0);
    this.#op("ne");
    w.op(Op.v128_and);
    b();
    splat(0);
    this.#op("ne");
    w.op(Op.v128_and);
    w.op(Op.v128_or);
  }

  compare(): void {
    this.#guarded((slow) => {
      this.#needNumbers([this.#a, this.#b], slow);
      this.#needNoFlush(slow);
      this.#get(this.#a);
      this.#get(this.#b);
      this.#op(COMPARE[this.#base]);
    });
  }

  minMax(): void {
    this.#guarded((slow) => {
      this.#needNumbers([this.#a, this.#b], slow);
      this.#needNoFlush(slow);
      this.#get(this.#a);
      this.#get(this.#b);
      this.#op(MINMAX[this.#base]);
    });
  }

  // ---- scalars ----

  #getScalar(slot: number): void {
    if (this.#bits === 64) this.#c.registers.getDouble(slot);
    else this.#c.registers.getFloat(slot);
  }
  #putScalar(): void {
    const { w, registers } = this.#c;
    if (this.#bits === 64) return registers.setDouble(this.#d);
    w.op(Op.i32_reinterpret_f32);
    w.op(Op.i64_extend_i32_u);
    registers.set(this.#d);
  }
  #needScalars(slots: readonly number[], slow: number): void {
    for (const slot of new Set(slots)) {
      this.#getScalar(slot);
      this.#getScalar(slot);
      this.#c.w.op(scalarOp(this.#bits, "ne"));
      slowIf(this.#c, slow);
    }
  }

  scalarMinMax(): void {
    this.#guarded((slow) => {
      this.#needScalars([this.#a, this.#b], slow);
      this.#needNoFlush(slow);
      this.#getScalar(this.#a);
      this.#getScalar(this.#b);
      this.#c.w.op(scalarOp(this.#bits, MINMAX[this.#base]));
    }, () => this.#putScalar());
  }

  compareFlags(): void {
    const { w, registers } = this.#c;
    this.#guarded((slow) => {
      this.#needScalars([this.#a, this.#b], slow);
      this.#needNoFlush(slow);
      const ask = (name: string) => {
        this.#getScalar(this.#a);
        this.#getScalar(this.#b);
        w.op(scalarOp(this.#bits, name));
      };
      w.i64Const(8);
      w.i64Const(6);
      w.i64Const(2);
      ask("eq");
      w.op(Op.select);
      ask("lt");
      w.op(Op.select);
    }, () => registers.set(this.#d));
  }

  integral(): void {
    const { w } = this.#c, scalar = this.#base === "frint", j = this.#j, bits = this.#bits;
    const get = () => scalar ? this.#getScalar(this.#a) : this.#get(this.#a);
    const op = (name: string) => w.op(scalar ? scalarOp(bits, name) : laneOp(bits, name));
    this.#guarded((slow) => {
      if (scalar) this.#needScalars([this.#a], slow);
      else this.#needNumbers([this.#a], slow);
      if ((j & Fp.RM) === DYNAMIC || (j & Fp.EXACT) !== 0) this.#needFast(slow);
      else this.#needNoFlush(slow);
      get();
      op(INTEGRAL[(j & Fp.RM) === DYNAMIC ? 0 : j & Fp.RM]);
    }, () => scalar ? this.#putScalar() : this.#put());
  }

  // ---- conversions ----

  fromInteger(): void {
    const { w } = this.#c, unsigned = this.#base === "vcvtfU";
    this.#guarded((slow) => {
      this.#needFast(slow);
      if (this.#bits === 32) {
        this.#get(this.#a);
        return w.op(unsigned ? Op.f32x4_convert_i32x4_u : Op.f32x4_convert_i32x4_s);
      }
      const lane = (i: number) => {
        this.#get(this.#a);
        w.lane(Op.i64x2_extract_lane, i);
        w.op(unsigned ? Op.f64_convert_i64_u : Op.f64_convert_i64_s);
      };
      lane(0);
      w.op(Op.f64x2_splat);
      lane(1);
      w.lane(Op.f64x2_replace_lane, 1);
    });
  }

  toInteger(): void {
    const { w } = this.#c, unsigned = this.#base === "vfcvtU", bits = this.#bits, j = this.#j;
    const rounded = this.#scratch("vector0");
    const low = unsigned ? 0 : -(2 ** (bits - 1)), high = 2 ** (unsigned ? bits : bits - 1);
    const splat = (value: number) => {
      if (bits === 64) w.f64Const(value);
      else w.f32Const(value);
      this.#op("splat");
    };
    this.#guarded((slow) => {
      this.#needFast(slow);
      this.#get(this.#a);
      this.#op(INTEGRAL[(j & Fp.RM) === DYNAMIC ? 0 : j & Fp.RM]);
      w.localTee(rounded);
      splat(low);
      this.#op("ge");
      w.localGet(rounded);
      splat(high);
      this.#op("lt");
      w.op(Op.v128_and);
      w.op(Op.v128_not);
      this.#slowIfAny(slow);
      if (bits === 32) {
        w.localGet(rounded);
        return w.op(unsigned ? Op.i32x4_trunc_sat_f32x4_u : Op.i32x4_trunc_sat_f32x4_s);
      }
      const lane = (i: number) => {
        w.localGet(rounded);
        w.lane(Op.f64x2_extract_lane, i);
        w.op(unsigned ? Op.i64_trunc_sat_f64_u : Op.i64_trunc_sat_f64_s);
      };
      lane(0);
      w.op(Op.i64x2_splat);
      lane(1);
      w.lane(Op.i64x2_replace_lane, 1);
    });
  }

  widen(): void {
    const { w } = this.#c;
    this.#guarded((slow) => {
      // Of the low half only.
      this.#get(this.#a);
      this.#get(this.#a);
      w.op(Op.f32x4_ne);
      w.op(Op.i32x4_bitmask);
      w.i32Const(this.#j & Fp.FIRST ? 1 : 3);
      w.op(Op.i32_and);
      slowIf(this.#c, slow);
      this.#needNoFlush(slow);
      this.#get(this.#a);
      w.op(Op.f64x2_promote_low_f32x4);
    }, () => this.#put(64));
  }

  narrow(): void {
    const { w } = this.#c, result = this.#scratch("vector0");
    this.#guarded((slow) => {
      this.#get(this.#a);
      w.op(Op.f32x4_demote_f64x2_zero);
      w.localTee(result);
      // A zero may be what a number below the range became; the upper lanes are always zeros.
      w.v128Const(0, 0, 0x3f80_0000, 0x3f80_0000);
      w.op(Op.v128_or);
      w.localSet(result);
      const first = (this.#j & Fp.FIRST) !== 0;
      if (first) {
        w.localGet(result);
        w.v128Const(0, 0x3f80_0000, 0, 0);
        w.op(Op.v128_or);
        w.localSet(result);
      }
      this.#pushOdd(result, "product32", 32, true);
      this.#slowIfAny(slow, 32);
      w.localGet(result);
      w.v128Const(-1, first ? 0 : -1, 0, 0);
      w.op(Op.v128_and);
    }, () => this.#c.registers.setVector(this.#d));
  }
}
