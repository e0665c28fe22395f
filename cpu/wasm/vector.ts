/**
 * Vectors of integers in WebAssembly's SIMD. What it has no instruction for is made of several; ciphers, products of
 * polynomials and rare saturating shifts are steps of the interpreter.
 *
 * @module
 */
import type { RegionBlock } from "../engine/region/region.ts";
import { FIRST_VECTOR_OP, Fp, OPS, Slot } from "../ir/ops.ts";
import type { Body } from "./body.ts";
import { type LaneOp, Op, type PlainOp, ValType } from "./encoder.ts";
import { emitVectorFloat } from "./vector_float.ts";

const SHAPES: Readonly<Record<number, string>> = {
  8: "i8x16",
  16: "i16x8",
  32: "i32x4",
  64: "i64x2",
};
const SATURATED = 64;

/** The instruction of a name on lanes of so many bits; undefined if there is none. */
const laneOp = (bits: number, name: string): PlainOp | undefined =>
  Op[`${SHAPES[bits]}_${name}` as keyof typeof Op] as PlainOp | undefined;

/** What a vector op's name says. */
interface Name {
  readonly base: string;
  readonly bits: number;
}
const NAMES = OPS.slice(FIRST_VECTOR_OP).map(({ name }): Name => {
  const found = /^(\w*?)(\d+)$/.exec(name);
  return found ? { base: found[1], bits: Number(found[2]) } : { base: name, bits: 0 };
});

/** Instruction names by base name, where it is one instruction. */
const DIRECT: Readonly<Record<string, string>> = {
  vneg: "neg",
  vabs: "abs",
  vcnt: "popcnt",
  vadd: "add",
  vsub: "sub",
  vmul: "mul",
  veq: "eq",
  vgtS: "gt_s",
  vgtU: "gt_u",
  vgeS: "ge_s",
  vgeU: "ge_u",
  vminS: "min_s",
  vminU: "min_u",
  vmaxS: "max_s",
  vmaxU: "max_u",
  vavgU: "avgr_u",
};
/** The same of instructions that make wider lanes: `#` is the narrower shape. */
const WIDENING: Readonly<Record<string, string>> = {
  vwidenLS: "extend_low_#_s",
  vwidenLU: "extend_low_#_u",
  vwidenHS: "extend_high_#_s",
  vwidenHU: "extend_high_#_u",
  vmullLS: "extmul_low_#_s",
  vmullLU: "extmul_low_#_u",
  vmullHS: "extmul_high_#_s",
  vmullHU: "extmul_high_#_u",
  vaddlpS: "extadd_pairwise_#_s",
  vaddlpU: "extadd_pairwise_#_u",
};
const BITWISE: Readonly<Record<string, PlainOp>> = {
  vnot: Op.v128_not,
  vand: Op.v128_and,
  vandn: Op.v128_andnot,
  vor: Op.v128_or,
  vxor: Op.v128_xor,
  vtable: Op.i8x16_swizzle,
};

/** The one instruction of each op that is one. */
const PLAIN: readonly (PlainOp | undefined)[] = NAMES.map(({ base, bits }) => {
  if (base in BITWISE) return BITWISE[base];
  if (base in DIRECT) return laneOp(bits, DIRECT[base]);
  if (base in WIDENING) return laneOp(2 * bits, WIDENING[base].replace("#", SHAPES[bits]));
  return undefined;
});

/** Where the lanes of a permutation come from: numbers, those of B from the number of lanes on. */
const PERMUTATIONS: Readonly<Record<string, (i: number, n: number) => number>> = {
  vzipL: (i, n) => (i >> 1) + (i & 1) * n,
  vzipH: (i, n) => (n + i >> 1) + (i & 1) * n,
  vunzE: (i) => 2 * i,
  vunzO: (i) => 2 * i + 1,
  vtrnE: (i, n) => (i & ~1) + (i & 1) * n,
  vtrnO: (i, n) => (i | 1) + (i & 1) * n,
};

/** Numbers of bytes for a shuffle of lanes. */
function bytesOf(bits: number, source: (i: number) => number): number[] {
  const size = bits / 8;
  return Array.from({ length: 16 }, (_, k) => source(Math.floor(k / size)) * size + k % size);
}

/** Writes an op on vectors; false if it has no form of its own here. */
export function emitVector(c: Body, block: RegionBlock, at: number): boolean {
  const code = block.ir.code, op = code[at];
  if (op < FIRST_VECTOR_OP) return false;
  const name = NAMES[op - FIRST_VECTOR_OP], plain = PLAIN[op - FIRST_VECTOR_OP];
  if (plain !== undefined) {
    const { registers } = c;
    registers.getVector(code[at + 2]);
    if (OPS[op].fields.includes("B")) registers.getVector(code[at + 3]);
    c.w.op(plain);
    registers.setVector(code[at + 1]);
    return true;
  }
  return new VectorWriter(c, block, at, name).emit() || emitVectorFloat(c, block, at, name);
}

/** Writes one op. */
class VectorWriter {
  readonly #c: Body;
  readonly #bits: number;
  readonly #base: string;
  readonly #d: number;
  readonly #a: number;
  readonly #b: number;
  readonly #lo: number;
  readonly #j: number;

  constructor(c: Body, { ir: { code } }: RegionBlock, at: number, { base, bits }: Name) {
    this.#c = c;
    this.#bits = bits;
    this.#base = base;
    [this.#d, this.#a, this.#b, this.#lo, this.#j] = code.subarray(at + 1, at + 6);
  }

  /** Pushes the first operand. */
  #getA(): void {
    this.#c.registers.getVector(this.#a);
  }
  #getB(): void {
    this.#c.registers.getVector(this.#b);
  }
  #set(): true {
    this.#c.registers.setVector(this.#d);
    return true;
  }
  #op(name: string, bits = this.#bits): void {
    this.#c.w.op(laneOp(bits, name)!);
  }
  #scratch(name: string): number {
    return this.#c.scratch(name, ValType.v128);
  }
  /** Pushes a vector of 64-bit halves that are both a constant. */
  #constant(lo: number, hi: number): void {
    this.#c.w.v128Const(lo, hi, lo, hi);
  }
  /** Pushes lanes with only the highest bit set. */
  #tops(bits = this.#bits): void {
    const word = bits === 8 ? 0x8080_8080 : bits === 16 ? 0x8000_8000 : 0x8000_0000;
    this.#constant(bits === 64 ? 0 : word | 0, word | 0);
  }
  /** Shifts the vector on the stack by a constant. */
  #shift(name: "shl" | "shr_s" | "shr_u", by: number, bits = this.#bits): void {
    this.#c.w.i32Const(by);
    this.#op(name, bits);
  }

  emit(): boolean {
    const { w, registers } = this.#c, bits = this.#bits, j = this.#j, lanes = 128 / bits;
    switch (this.#base) {
      case "vmov":
        this.#getA();
        return this.#set();
      case "vconst":
        this.#constant(this.#lo, j);
        return this.#set();
      case "vlow":
        this.#getA();
        w.v128Const(-1, -1, 0, 0);
        w.op(Op.v128_and);
        return this.#set();
      case "vsplat":
        if (bits === 64) registers.get(this.#a);
        else registers.get32(this.#a);
        this.#op("splat");
        return this.#set();
      case "vput":
        this.#getA();
        if (bits === 64) registers.get(this.#b);
        else registers.get32(this.#b);
        w.lane(Op[`${SHAPES[bits]}_replace_lane` as keyof typeof Op] as LaneOp, j & lanes - 1);
        return this.#set();
      case "vgetS":
      case "vgetU": {
        const sign = this.#base === "vgetS" ? "_s" : "_u", suffix = bits === 32 ? "" : sign;
        const key = `${SHAPES[bits]}_extract_lane${suffix}` as keyof typeof Op;
        this.#getA();
        w.lane(Op[key] as LaneOp, j & lanes - 1);
        w.op(sign === "_s" ? Op.i64_extend_i32_s : Op.i64_extend_i32_u);
        registers.set(this.#d);
        return true;
      }
      case "vany":
      case "vmask":
        this.#getA();
        if (this.#base === "vany") w.op(Op.v128_any_true);
        else this.#op("bitmask");
        w.op(Op.i64_extend_i32_u);
        registers.set(this.#d);
        return true;
      case "vsel":
        this.#getA();
        this.#getB();
        registers.getVector(this.#lo);
        w.op(Op.v128_bitselect);
        return this.#set();
      case "vext":
        this.#getA();
        this.#getB();
        w.shuffle(Array.from({ length: 16 }, (_, i) => i + (j & 15)));
        return this.#set();
      case "vshuf": {
        this.#getA();
        this.#getA();
        const nibble = (i: number) => (i < 8 ? this.#lo : j) >>> 4 * (i & 7) & 15;
        w.shuffle(Array.from({ length: 16 }, (_, i) => nibble(i)));
        return this.#set();
      }
      case "vtrunc":
        this.#getA();
        this.#constant(0, 0);
        w.shuffle(bytesOf(bits, (i) => 2 * i));
        return this.#set();
      case "vgtU":
      case "vgeU":
        for (const slot of [this.#a, this.#b]) {
          registers.getVector(slot);
          this.#tops();
          w.op(Op.v128_xor);
        }
        this.#op(this.#base === "vgtU" ? "gt_s" : "ge_s");
        return this.#set();
      case "vminS":
      case "vminU":
      case "vmaxS":
      case "vmaxU":
        return this.#minMax64();
      case "vmul":
        return this.#multiplyBytes();
      case "vclz":
        return this.#leadingZeros();
      case "vaddlpS":
      case "vaddlpU":
        return this.#addPairs32();
      case "vshli":
      case "vshriS":
      case "vshriU":
        return this.#shiftImmediate();
      case "vshlS":
      case "vshlU":
        return this.#shiftLanes();
      case "vaddQS":
      case "vaddQU":
      case "vsubQS":
      case "vsubQU":
        return this.#saturating();
      case "vmulhQ":
      case "vmulhQR":
        return this.#highProduct();
      case "vnarrowS":
      case "vnarrowU":
      case "vnarrowSU":
        return this.#narrow();
    }
    const permutation = PERMUTATIONS[this.#base];
    if (!permutation) return false;
    this.#getA();
    this.#getB();
    w.shuffle(bytesOf(bits, (i) => permutation(i, lanes)));
    return this.#set();
  }

  #minMax64(): true {
    const { w } = this.#c, min = this.#base.startsWith("vmin"), unsigned = this.#base.endsWith("U");
    this.#getA();
    this.#getB();
    // Where A is larger, A is the maximum.
    for (const get of [() => this.#getA(), () => this.#getB()]) {
      get();
      if (!unsigned) continue;
      this.#tops();
      w.op(Op.v128_xor);
    }
    w.op(min ? Op.i64x2_lt_s : Op.i64x2_gt_s);
    w.op(Op.v128_bitselect);
    return this.#set();
  }

  #multiplyBytes(): true {
    const { w } = this.#c;
    for (const half of ["extmul_low_i8x16_u", "extmul_high_i8x16_u"]) {
      this.#getA();
      this.#getB();
      this.#op(half, 16);
    }
    w.shuffle(Array.from({ length: 16 }, (_, i) => 2 * i));
    return this.#set();
  }

  /** Ones below the highest, and the number of zeros then. */
  #leadingZeros(): true {
    const { w } = this.#c, bits = this.#bits, value = this.#scratch("vector0");
    this.#getA();
    for (let by = 1; by < bits; by *= 2) {
      w.localTee(value);
      w.localGet(value);
      this.#shift("shr_u", by);
      w.op(Op.v128_or);
    }
    w.op(Op.v128_not);
    w.op(Op.i8x16_popcnt);
    if (bits > 8) w.op(Op.i16x8_extadd_pairwise_i8x16_u);
    if (bits > 16) w.op(Op.i32x4_extadd_pairwise_i16x8_u);
    return this.#set();
  }

  #addPairs32(): true {
    const { w } = this.#c, shift = this.#base === "vaddlpS" ? "shr_s" : "shr_u";
    this.#getA();
    this.#shift("shl", 32, 64);
    this.#shift(shift, 32, 64);
    this.#getA();
    this.#shift(shift, 32, 64);
    w.op(Op.i64x2_add);
    return this.#set();
  }

  #shiftImmediate(): true {
    const bits = this.#bits, j = this.#j, signed = this.#base === "vshriS";
    if (j >= bits && !signed) {
      this.#constant(0, 0);
      return this.#set();
    }
    this.#getA();
    this.#shift(
      this.#base === "vshli" ? "shl" : signed ? "shr_s" : "shr_u",
      Math.min(j, bits - 1),
    );
    return this.#set();
  }

  /** Shifts each lane by a count of its own: for each bit of the count, shifts the lanes that have it. */
  #shiftLanes(): true {
    const { w } = this.#c, bits = this.#bits, right = this.#base === "vshlS" ? "shr_s" : "shr_u";
    const count = this.#scratch("vector0"), left = this.#scratch("vector1");
    const value = this.#scratch("vector2"), by = this.#scratch("vector3");
    this.#getB();
    if (bits > 8) {
      this.#shift("shl", bits - 8);
      this.#shift("shr_s", bits - 8);
    }
    w.localSet(count);
    const walk = (shift: "shl" | "shr_s" | "shr_u") => {
      for (let k = 0; 1 << k < bits; k++) {
        w.localGet(value);
        this.#shift(shift, 1 << k);
        w.localGet(value);
        w.localGet(by);
        this.#shift("shl", bits - 1 - k);
        this.#shift("shr_s", bits - 1);
        w.op(Op.v128_bitselect);
        w.localSet(value);
      }
    };
    const splat = (x: number) => {
      if (bits === 64) w.i64Const(x);
      else w.i32Const(x);
      this.#op("splat");
    };
    // To the left, and nothing is left of counts of the width and more.
    this.#getA();
    w.localSet(value);
    w.localGet(count);
    w.localSet(by);
    walk("shl");
    w.localGet(value);
    w.localGet(count);
    splat(bits);
    this.#op("lt_s");
    w.op(Op.v128_and);
    w.localSet(left);
    // To the right.
    this.#getA();
    w.localSet(value);
    w.localGet(count);
    this.#op("neg");
    w.localSet(by);
    walk(right);
    w.localGet(value);
    if (right === "shr_s") {
      this.#getA();
      this.#shift("shr_s", bits - 1);
    } else this.#constant(0, 0);
    w.localGet(count);
    splat(-bits);
    this.#op("gt_s");
    w.op(Op.v128_bitselect);
    w.localGet(left);
    w.localGet(count);
    this.#shift("shr_s", bits - 1);
    w.op(Op.v128_bitselect);
    return this.#set();
  }

  /** Sets the flag if the vector on the stack is not 0 and the record asks for that. */
  #flag(): void {
    const { w } = this.#c;
    if ((this.#j & Fp.SATURATION) === 0) return w.op(Op.drop);
    w.op(Op.v128_any_true);
    w.hint(false);
    w.if();
    w.i32Const(0);
    w.i32Const(0);
    w.load(Op.i32_load, 2, Slot.FP_FLAGS * 8);
    w.i32Const(SATURATED);
    w.op(Op.i32_or);
    w.store(Op.i32_store, 2, Slot.FP_FLAGS * 8);
    w.end();
  }

  #saturating(): true {
    const { w } = this.#c, bits = this.#bits, unsigned = this.#base.endsWith("U");
    const name = this.#base.startsWith("vadd") ? "add" : "sub";
    const wrapped = this.#scratch("vector0"), result = this.#scratch("vector1");
    this.#getA();
    this.#getB();
    this.#op(name);
    w.localSet(wrapped);
    if (bits <= 16) {
      this.#getA();
      this.#getB();
      this.#op(`${name}_sat_${unsigned ? "u" : "s"}`);
      w.localTee(result);
      w.localGet(wrapped);
      w.op(Op.v128_xor);
      this.#flag();
      w.localGet(result);
      return this.#set();
    }
    const mask = this.#scratch("vector2");
    if (unsigned) {
      // A sum below an operand has wrapped; a difference is negative where B is larger.
      const [larger, smaller] = name === "add"
        ? [() => this.#getA(), () => w.localGet(wrapped)]
        : [() => this.#getB(), () => this.#getA()];
      for (const get of [larger, smaller]) {
        get();
        this.#tops();
        w.op(Op.v128_xor);
      }
      this.#op("gt_s");
      w.localSet(mask);
      w.localGet(wrapped);
      w.localGet(mask);
      w.op(name === "add" ? Op.v128_or : Op.v128_andnot);
    } else {
      // The sign is wrong where both operands (of a difference, B negated) have another.
      this.#getA();
      if (name === "add") w.localGet(wrapped);
      else this.#getB();
      w.op(Op.v128_xor);
      if (name === "add") this.#getB();
      else this.#getA();
      w.localGet(wrapped);
      w.op(Op.v128_xor);
      w.op(Op.v128_and);
      this.#shift("shr_s", bits - 1);
      w.localSet(mask);
      this.#getA();
      this.#shift("shr_s", bits - 1);
      this.#tops();
      w.op(Op.v128_not);
      w.op(Op.v128_xor);
      w.localGet(wrapped);
      w.localGet(mask);
      w.op(Op.v128_bitselect);
    }
    w.localSet(result);
    w.localGet(mask);
    this.#flag();
    w.localGet(result);
    return this.#set();
  }

  #highProduct(): true {
    const { w } = this.#c, bits = this.#bits, round = this.#base === "vmulhQR";
    const mask = this.#scratch("vector0");
    // Only the product of the two lowest numbers saturates.
    for (const get of [() => this.#getA(), () => this.#getB()]) {
      get();
      this.#tops();
      this.#op("eq");
    }
    w.op(Op.v128_and);
    w.localSet(mask);
    if (bits === 16 && round) {
      this.#getA();
      this.#getB();
      w.op(Op.i16x8_q15mulr_sat_s);
    } else {
      for (const half of ["low", "high"]) {
        this.#getA();
        this.#getB();
        this.#op(`extmul_${half}_${SHAPES[bits]}_s`, 2 * bits);
        if (round) {
          w.i64Const(2 ** (bits - 2));
          w.op(Op.i64x2_splat);
          w.op(Op.i64x2_add);
        }
        this.#shift("shr_s", bits - 1, 2 * bits);
      }
      w.shuffle(bytesOf(bits, (i) => 2 * i));
      w.localGet(mask);
      w.op(Op.v128_xor);
    }
    w.localGet(mask);
    // The result waits under the mask.
    this.#flag();
    return this.#set();
  }

  /** To half the width; what is widened again and differs was saturated. */
  #narrow(): true {
    const { w } = this.#c, bits = this.#bits, kind = this.#base.slice(7);
    const result = this.#scratch("vector0");
    if (bits === 32) this.#narrow64(kind);
    else {
      this.#getA();
      if (kind === "U") {
        const top = bits === 8 ? 0x00ff_00ff : 0x0000_ffff;
        this.#constant(top, top);
        this.#op("min_u", 2 * bits);
      }
      this.#constant(0, 0);
      this.#op(`narrow_${SHAPES[2 * bits]}_${kind === "S" ? "s" : "u"}`);
    }
    w.localTee(result);
    this.#op(`extend_low_${SHAPES[bits]}_${kind === "S" ? "s" : "u"}`, 2 * bits);
    this.#getA();
    w.op(Op.v128_xor);
    this.#flag();
    w.localGet(result);
    return this.#set();
  }

  #narrow64(kind: string): void {
    const { w } = this.#c, value = this.#scratch("vector1");
    this.#getA();
    w.localSet(value);
    /** Takes a bound where the value is beyond it. */
    const clamp = (lo: number, hi: number, beyond: PlainOp, flip: boolean) => {
      const push = (get: () => void) => {
        get();
        if (!flip) return;
        this.#tops(64);
        w.op(Op.v128_xor);
      };
      this.#constant(lo, hi);
      w.localGet(value);
      push(() => w.localGet(value));
      push(() => this.#constant(lo, hi));
      w.op(beyond);
      w.op(Op.v128_bitselect);
      w.localSet(value);
    };
    if (kind === "S") {
      clamp(0x7fff_ffff, 0, Op.i64x2_gt_s, false);
      clamp(-0x8000_0000, -1, Op.i64x2_lt_s, false);
    } else {
      clamp(-1, 0, Op.i64x2_gt_s, kind === "U");
      if (kind === "SU") clamp(0, 0, Op.i64x2_lt_s, false);
    }
    w.localGet(value);
    this.#constant(0, 0);
    w.shuffle(bytesOf(32, (i) => 2 * i));
  }
}
