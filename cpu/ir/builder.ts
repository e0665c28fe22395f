/**
 * Builds the records of one block. Lifters call it; reading a register emits nothing, and writing one retargets
 * the op that made the value, so that most guest instructions become one record.
 *
 * Writes are pending until the instruction ends: whatever a lifter reads, it reads the state before the
 * instruction, and an instruction that faults has changed nothing.
 *
 * @module
 */
import { ALL_PASSES, type IrBlock, type PassOptions } from "./block.ts";
import { Effect, FIELDS, JumpHint, mayExit, Op, OPS, Slot, SLOT_COUNT, WORDS } from "./ops.ts";

export { ALL_PASSES, type IrBlock, MAX_BLOCK_INSNS, type PassOptions } from "./block.ts";

/** A value: a slot (0 and up) or a constant of this builder (negative). */
export type Value = number;

/**
 * By op: how many slots it writes from `d` on; which of a (1), b (2), c (4) it reads, and which of them are pairs;
 * whether it may leave the block; its effect.
 */
const WRITES = new Uint8Array(OPS.length), READS = new Uint8Array(OPS.length);
const PAIRS = new Uint8Array(OPS.length), EXITS = new Uint8Array(OPS.length);
const EFFECT = new Uint8Array(OPS.length);
let tablesMade = false;

/** Makes the tables when the first block is built: programs whose code is stored may never build one. */
function makeTables(): void {
  tablesMade = true;
  for (let op = 0; op < OPS.length; op++) {
    const { reads, writes, pairs } = FIELDS[op];
    WRITES[op] = writes ? pairs.includes(1) ? 2 : 1 : 0;
    for (const field of reads) READS[op] |= 1 << (field - 2);
    for (const field of pairs) PAIRS[op] |= 1 << field >> 2;
    EXITS[op] = mayExit(OPS[op]) ? 1 : 0;
    EFFECT[op] = OPS[op].effect;
  }
}

const TWO32 = 0x1_0000_0000;
const NOTHING: Value[] = [];

// What the foldable ops compute, on signed 64-bit values.
type Eval = (a: bigint, b: bigint) => bigint;
const evalAdd: Eval = (a, b) => a + b;
const evalSub: Eval = (a, b) => a - b;
const evalAnd: Eval = (a, b) => a & b;
const evalOr: Eval = (a, b) => a | b;
const evalXor: Eval = (a, b) => a ^ b;
const evalAdd32: Eval = (a, b) => BigInt.asIntN(32, a + b);
const evalSub32: Eval = (a, b) => BigInt.asIntN(32, a - b);
const evalSlt: Eval = (a, b) => a < b ? 1n : 0n;
const evalSltu: Eval = (a, b) => BigInt.asUintN(64, a) < BigInt.asUintN(64, b) ? 1n : 0n;

/** Whether `n` slots from `a` on and `m` from `b` on have one in common. */
const overlap = (a: number, n: number, b: number, m: number) => a < b + m && b < a + n;

/** Builds one block at a time; reuse it, it keeps its buffers. */
export class Builder {
  /** The passes in force. */
  readonly passes: PassOptions;
  /** True once a terminator was emitted. */
  ended = false;
  #code = new Int32Array(WORDS * 256);
  #length = 0;
  #insns = new Uint8Array(256);
  #pcs: number[] = [];
  #pc = 0;
  #insnStart = 0;
  #temp: number = Slot.TEMP;
  #tempPair: number = Slot.TEMP_PAIR;
  // Lists whose elements are used again and again have a count: to empty an array is to give its memory back.
  #constLo: number[] = [];
  #constHi: number[] = [];
  /** For each constant: the register known to hold it, or -1. */
  #home: number[] = [];
  #consts = 0;
  /** The constant that a register is known to hold, by slot, where the stamp is the block's. */
  readonly #known = new Int32Array(SLOT_COUNT);
  readonly #knownIn = new Int32Array(SLOT_COUNT);
  #block = 0;
  readonly #pending: { slot: number; value: Value; width: number }[] = [];
  #writes = 0;
  #links: { at: number; field: number; pc: number }[] = [];
  /** Marks of {@linkcode Builder.#dropDead}, by slot. */
  readonly #dead = new Int32Array(SLOT_COUNT);
  readonly #live = new Int32Array(SLOT_COUNT);
  #stamp = 0;
  #gated = false;

  constructor(passes: PassOptions = ALL_PASSES) {
    this.passes = passes;
  }

  /** Starts a block at guest address `pc`. */
  start(pc: number): void {
    if (!tablesMade) makeTables();
    this.#length = 0;
    this.#pcs = [];
    this.#consts = 0;
    this.#block++;
    this.#writes = 0;
    if (this.#links.length > 0) this.#links = [];
    this.#temp = Slot.TEMP;
    this.#tempPair = Slot.TEMP_PAIR;
    this.#pc = pc;
    this.#gated = false;
    this.ended = false;
  }

  /** Starts the next guest instruction. */
  begin(pc: number): void {
    this.#pcs.push(pc);
    this.#pc = pc;
    this.#temp = Slot.TEMP;
    this.#tempPair = Slot.TEMP_PAIR;
    this.#insnStart = this.#length;
  }

  /** Takes back {@linkcode Builder.begin}: nothing was emitted for that instruction. */
  cancel(): void {
    this.#pcs.pop();
  }

  /** Guest instructions begun so far. */
  get count(): number {
    return this.#pcs.length;
  }

  /** Address of the current guest instruction. */
  get pc(): number {
    return this.#pc;
  }

  // ---- values ----

  /** A 64-bit constant from a safe integer (sign-extended). */
  imm(value: number): Value {
    return this.imm64(value | 0, Math.floor(value / TWO32) | 0);
  }

  /** A 64-bit constant from two 32-bit words. */
  imm64(lo: number, hi: number): Value {
    if ((lo | hi) === 0) return Slot.ZERO;
    const at = this.#consts++;
    this.#constLo[at] = lo | 0;
    this.#constHi[at] = hi | 0;
    this.#home[at] = -1;
    return -this.#consts;
  }

  /** The value of a register. */
  read(slot: number): Value {
    return this.#knownIn[slot] === this.#block ? this.#known[slot] : slot;
  }

  /** Writes a register when the instruction ends. */
  write(slot: number, value: Value): void {
    if (slot !== Slot.ZERO) this.#write(slot, value, 1);
  }

  /**
   * Writes a vector register, the pair of slots from `slot` on, when the instruction ends; an instruction writes a
   * register as a whole or its halves, not both.
   */
  writePair(slot: number, value: Value): void {
    this.#write(slot, value, 2);
  }

  #write(slot: number, value: Value, width: number): void {
    const pending = this.#pending, count = this.#writes;
    for (let i = 0; i < count; i++) {
      if (pending[i].slot === slot) {
        pending[i].value = value;
        return;
      }
    }
    this.#writes++;
    if (count === pending.length) {
      pending.push({ slot, value, width });
      return;
    }
    const write = pending[count];
    write.slot = slot;
    write.value = value;
    write.width = width;
  }

  #isConst(value: Value): boolean {
    return value < 0 || value === Slot.ZERO;
  }
  #lo(value: Value): number {
    return value < 0 ? this.#constLo[-value - 1] : 0;
  }
  #hi(value: Value): number {
    return value < 0 ? this.#constHi[-value - 1] : 0;
  }
  #big(value: Value): bigint {
    return BigInt.asIntN(64, (BigInt(this.#hi(value)) << 32n) | BigInt(this.#lo(value) >>> 0));
  }
  #fromBig(value: bigint): Value {
    return this.imm64(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
  }

  /** The register that holds a constant now, or -1. */
  #homeOf(value: Value): number {
    const home = value < 0 ? this.#home[-value - 1] : -1;
    return home >= 0 && this.#knownIn[home] === this.#block && this.#known[home] === value
      ? home
      : -1;
  }

  /** A slot that holds the value: constants without a register are materialised. */
  #slot(value: Value): number {
    if (value >= 0) return value;
    const home = this.#homeOf(value);
    if (home >= 0) return home;
    return this.#emit(Op.const, this.#newTemp(), 0, 0, this.#lo(value), this.#hi(value));
  }

  #newTemp(): number {
    return this.#temp++;
  }

  #emit(op: number, d: number, a: number, b: number, c: number, j: number): number {
    let at = this.#length;
    if (at + WORDS > this.#code.length) {
      const bigger = new Int32Array(this.#code.length * 2);
      bigger.set(this.#code);
      this.#code = bigger;
      const insns = new Uint8Array(bigger.length / WORDS);
      insns.set(this.#insns);
      this.#insns = insns;
    }
    const code = this.#code;
    this.#insns[at / WORDS] = this.#pcs.length - 1;
    code[at++] = op;
    code[at++] = d;
    code[at++] = a;
    code[at++] = b;
    code[at++] = c;
    code[at++] = j;
    this.#length = at;
    return d;
  }

  // ---- pure ops ----

  #binary(reg: number, imm: number, a: Value, b: Value, eval64: Eval): Value {
    if (this.passes.fold && this.#isConst(a) && this.#isConst(b)) {
      return this.#fromBig(eval64(this.#big(a), this.#big(b)));
    }
    if (imm >= 0 && this.#isConst(b)) {
      return this.#emit(imm, this.#newTemp(), this.#slot(a), 0, this.#lo(b), this.#hi(b));
    }
    const left = this.#slot(a);
    return this.#emit(reg, this.#newTemp(), left, this.#slot(b), 0, 0);
  }

  #shift(reg: number, imm: number, a: Value, b: Value, bits: number): Value {
    if (!this.#isConst(b)) {
      const left = this.#slot(a);
      return this.#emit(reg, this.#newTemp(), left, b, 0, 0);
    }
    const count = this.#lo(b) & (bits - 1);
    if (count === 0 && bits === 64) return a;
    return this.#emit(imm, this.#newTemp(), this.#slot(a), 0, count, 0);
  }

  /** a + b. */
  add(a: Value, b: Value): Value {
    if (b === Slot.ZERO) return a;
    if (a === Slot.ZERO) return b;
    if (a < 0) return this.#binary(Op.add64, Op.add64i, b, a, evalAdd);
    return this.#binary(Op.add64, Op.add64i, a, b, evalAdd);
  }
  /** a - b. */
  sub(a: Value, b: Value): Value {
    return b === Slot.ZERO ? a : this.#binary(Op.sub64, -1, a, b, evalSub);
  }
  /** a & b. */
  and(a: Value, b: Value): Value {
    if (a === Slot.ZERO || b === Slot.ZERO) return Slot.ZERO;
    return this.#binary(Op.and64, Op.and64i, a, b, evalAnd);
  }
  /** a | b. */
  or(a: Value, b: Value): Value {
    if (b === Slot.ZERO) return a;
    if (a === Slot.ZERO) return b;
    return this.#binary(Op.or64, Op.or64i, a, b, evalOr);
  }
  /** a ^ b. */
  xor(a: Value, b: Value): Value {
    if (b === Slot.ZERO) return a;
    if (a === Slot.ZERO) return b;
    return this.#binary(Op.xor64, Op.xor64i, a, b, evalXor);
  }
  /** ~a. */
  not(a: Value): Value {
    return this.xor(a, this.imm(-1));
  }
  /** a << (b mod 64). */
  shl(a: Value, b: Value): Value {
    return this.#shift(Op.shl64, Op.shl64i, a, b, 64);
  }
  /** Logical a >> (b mod 64). */
  shru(a: Value, b: Value): Value {
    return this.#shift(Op.shru64, Op.shru64i, a, b, 64);
  }
  /** Arithmetic a >> (b mod 64). */
  shrs(a: Value, b: Value): Value {
    return this.#shift(Op.shrs64, Op.shrs64i, a, b, 64);
  }
  /** a rotated right by b mod 64. */
  rotr(a: Value, b: Value): Value {
    return this.#shift(Op.rotr64, Op.rotr64i, a, b, 64);
  }
  /** a + b in 32 bits, sign-extended, as are all results of 32-bit ops. */
  add32(a: Value, b: Value): Value {
    return this.#binary(Op.add32, Op.add32i, a, b, evalAdd32);
  }
  /** a - b in 32 bits. */
  sub32(a: Value, b: Value): Value {
    return this.#binary(Op.sub32, -1, a, b, evalSub32);
  }
  /** a << (b mod 32) in 32 bits. */
  shl32(a: Value, b: Value): Value {
    return this.#shift(Op.shl32, Op.shl32i, a, b, 32);
  }
  /** Logical low word of a >> (b mod 32). */
  shru32(a: Value, b: Value): Value {
    return this.#shift(Op.shru32, Op.shru32i, a, b, 32);
  }
  /** Arithmetic low word of a >> (b mod 32). */
  shrs32(a: Value, b: Value): Value {
    return this.#shift(Op.shrs32, Op.shrs32i, a, b, 32);
  }
  /** Low word of a rotated right by b mod 32. */
  rotr32(a: Value, b: Value): Value {
    return this.#shift(Op.rotr32, Op.rotr32i, a, b, 32);
  }
  /** a sign-extended from its low 32 bits. */
  sext32(a: Value): Value {
    return this.add32(a, Slot.ZERO);
  }
  /** a zero-extended from its low 32 bits. */
  zext32(a: Value): Value {
    return this.and(a, this.imm64(-1, 0));
  }
  /** 1 if a < b signed, else 0. */
  slt(a: Value, b: Value): Value {
    return this.#binary(Op.slt64, Op.slt64i, a, b, evalSlt);
  }
  /** 1 if a < b unsigned, else 0. */
  sltu(a: Value, b: Value): Value {
    return this.#binary(Op.sltu64, Op.sltu64i, a, b, evalSltu);
  }

  /** Any op with fields `d a b`, by number. */
  op2(op: number, a: Value, b: Value): Value {
    const left = this.#slot(a);
    return this.#emit(op, this.#newTemp(), left, this.#slot(b), 0, 0);
  }
  /** Any op with fields `d a`, by number. */
  op1(op: number, a: Value): Value {
    return this.#emit(op, this.#newTemp(), this.#slot(a), 0, 0, 0);
  }
  /** cond != 0 ? a : b. */
  select(cond: Value, a: Value, b: Value): Value {
    const test = this.#slot(cond), yes = this.#slot(a);
    return this.#emit(Op.select, this.#newTemp(), test, yes, this.#slot(b), 0);
  }

  // ---- vectors: values are pairs of slots, named by the first ----

  /** Any op with a pair as its result, by number; operands that it doesn't have are 0. */
  vector(op: number, a: Value = 0, b: Value = 0, c: Value = 0, j = 0): Value {
    const pairs = PAIRS[op];
    const x = pairs & 1 ? a : this.#slot(a), y = pairs & 2 ? b : this.#slot(b);
    return this.#emit(op, this.#newPair(), x, y, c, j);
  }
  /** An op that makes a scalar of vector `a`, by number. */
  fromVector(op: number, a: Value, j = 0): Value {
    return this.#emit(op, this.#newTemp(), a, 0, 0, j);
  }
  /** A vector whose halves are both a constant. */
  vectorConst(lo: number, hi: number): Value {
    return this.#emit(Op.vconst, this.#newPair(), 0, 0, lo, hi);
  }
  /** A vector of two values. */
  vectorOf(low: Value, high: Value): Value {
    const pair = this.#newPair(), values = [low, high];
    values.forEach((value, i) => {
      if (value < 0) this.#emit(Op.const, pair + i, 0, 0, this.#lo(value), this.#hi(value));
      else this.#emit(Op.mov, pair + i, value, 0, 0, 0);
    });
    return pair;
  }
  /** The bytes of a vector in another order; byte n is number (bits 4n to 4n + 3) of it. */
  shuffle(a: Value, lo: number, hi: number): Value {
    return this.#emit(Op.vshuf, this.#newPair(), a, 0, lo, hi);
  }
  /** 128 bits of memory. */
  loadVector(base: Value, offset: number): Value {
    const [slot, lo, hi] = this.#address(base, offset);
    return this.#emit(Op.ldV, this.#newPair(), slot, 0, lo, hi);
  }
  /** Stores a vector. */
  storeVector(base: Value, offset: number, value: Value): void {
    const [slot, lo, hi] = this.#address(base, offset);
    this.#emit(Op.stV, 0, slot, value, lo, hi);
  }
  #newPair(): number {
    const pair = this.#tempPair;
    this.#tempPair += 2;
    return pair;
  }

  // ---- memory ----

  #address(base: Value, offset: number): [slot: number, lo: number, hi: number] {
    const near = offset >= -2048 && offset < 4096;
    if (!near || (base < 0 && this.#homeOf(base) < 0)) {
      base = this.add(base, this.imm(offset));
      offset = 0;
    }
    return [this.#slot(base), offset | 0, offset < 0 ? -1 : 0];
  }
  /** A load by op number from `base + offset`. */
  load(op: number, base: Value, offset: number): Value {
    const [slot, lo, hi] = this.#address(base, offset);
    return this.#emit(op, this.#newTemp(), slot, 0, lo, hi);
  }
  /** A store by op number to `base + offset`. */
  store(op: number, base: Value, offset: number, value: Value): void {
    const [slot, lo, hi] = this.#address(base, offset);
    this.#emit(op, 0, slot, this.#slot(value), lo, hi);
  }
  /** ldx or stx by op number (`value` for stx); an op with fields `d a [b]`. */
  atomic(op: number, address: Value, value: Value, kind: number): Value {
    const slot = this.#slot(address);
    return this.#emit(op, this.#newTemp(), slot, this.#slot(value), 0, kind);
  }

  // ---- floating point ----

  /** A floating-point op by number; `flags` are `Fp` bits. */
  float(op: number, a: Value, b: Value, c: Value, flags: number): Value {
    const [x, y] = [this.#slot(a), this.#slot(b)];
    return this.#emit(op, this.#newTemp(), x, y, this.#slot(c), flags);
  }

  // ---- state ----

  /** Writes a slot now, not at the end of the instruction: only for instructions that can't fault afterwards. */
  writeNow(slot: number, value: Value): void {
    this.#emit(Op.mov, slot, this.#slot(value), 0, 0, 0);
    this.#forget(slot);
  }
  /** An op with no operand but immediates, by number. */
  state(op: number, c = 0, j = 0): void {
    this.#emit(op, 0, 0, 0, c, j);
  }
  /** `zero` or `invalidate`: an op with an address and an immediate. */
  stateAt(op: number, address: Value, imm: number): void {
    this.#emit(op, 0, this.#slot(address), 0, imm, 0);
  }
  /** `icount` or `clock`: an op that makes a value from an immediate. */
  stateValue(op: number, imm: number): Value {
    return this.#emit(op, this.#newTemp(), 0, 0, imm, 0);
  }

  /**
   * Privileged operation `number`, the last thing of its instruction; `d` is the register that it writes, 0 for none.
   */
  system(number: number, d: number, a: Value = Slot.ZERO, b: Value = Slot.ZERO, j = 0): void {
    const x = this.#slot(a);
    this.#emit(Op.sys, d, x, this.#slot(b), number, j);
    this.#forget(d);
  }
  /**
   * Privileged operation `number`, unless a slot is 0; comes before everything else of its instruction. Once a block
   * is enough: what makes the slot other than 0 leaves the block.
   */
  gate(slot: number, number: number): void {
    if (this.#gated) return;
    this.#gated = true;
    this.#emit(Op.gate, 0, slot, 0, number, 0);
  }

  // ---- the end of instructions and blocks ----

  /** Ends a guest instruction that does not end the block. */
  end(): void {
    if (!this.ended) this.#commit();
  }

  /** A register is not known to hold a constant any longer. */
  #forget(slot: number): void {
    this.#knownIn[slot] = 0;
  }

  /** Makes pending writes happen; returns `keep` as it must now be named. */
  #commit(keep: Value[] = NOTHING): Value[] {
    const pending = this.#pending, count = this.#writes;
    if (count === 0) return keep;
    // What is still to be read from a register that is about to be overwritten moves to a temporary first.
    for (let i = 0; i < keep.length; i++) {
      if (this.#isPending(keep[i])) keep[i] = this.#copy(keep[i]);
    }
    if (count > 1) {
      for (let i = 0; i < count; i++) {
        const write = pending[i], { slot, value, width } = write;
        if (value !== slot && this.#isPending(value, width)) write.value = this.#copy(value, width);
      }
    }
    for (let i = 0; i < count; i++) {
      const { slot, value, width } = pending[i];
      if (value === slot) continue;
      if (width === 2) {
        if (!this.#retarget(slot, value, keep, 2)) this.#emit(Op.vmov, slot, value, 0, 0, 0);
        this.#forget(slot);
        this.#forget(slot + 1);
        continue;
      }
      const known = this.passes.fold && this.#isConst(value);
      // It has that value already, as the high half of a vector register often has.
      if (
        known && this.#knownIn[slot] === this.#block && this.#sameConst(this.#known[slot], value)
      ) continue;
      if (known || value < 0) {
        this.#emit(Op.const, slot, 0, 0, this.#lo(value), this.#hi(value));
      } else if (!this.#retarget(slot, value, keep)) {
        this.#emit(Op.mov, slot, value, 0, 0, 0);
      }
      if (known) {
        this.#known[slot] = value;
        this.#knownIn[slot] = this.#block;
        if (value < 0) this.#home[-value - 1] = slot;
      } else this.#forget(slot);
    }
    this.#writes = 0;
    return keep;
  }

  /** Whether a register is known to hold the same constant. */
  #sameConst(known: Value, value: Value): boolean {
    return this.#lo(known) === this.#lo(value) && this.#hi(known) === this.#hi(value);
  }

  /** Whether a value of so many slots is a register that a pending write will change. */
  #isPending(value: Value, width = 1): boolean {
    if (value <= 0) return false;
    for (let i = 0; i < this.#writes; i++) {
      const pending = this.#pending[i];
      if (value < pending.slot + pending.width && pending.slot < value + width) return true;
    }
    return false;
  }

  #copy(value: Value, width = 1): Value {
    if (width === 2) return this.#emit(Op.vmov, this.#newPair(), value, 0, 0, 0);
    return this.#emit(Op.mov, this.#newTemp(), value, 0, 0, 0);
  }

  /** Lets the record that made temporary `value` write `slot` itself, if nothing can tell the difference. */
  #retarget(slot: number, value: Value, keep: Value[], width = 1): boolean {
    if (!this.passes.retarget || value < Slot.TEMP) return false;
    // Nobody else wants the temporary, or half of it.
    for (let i = 0; i < keep.length; i++) if (overlap(keep[i], 1, value, width)) return false;
    for (let i = 0; i < this.#writes; i++) {
      const write = this.#pending[i];
      if (write.slot !== slot && overlap(write.value, write.width, value, width)) return false;
    }
    const code = this.#code;
    for (let at = this.#length - WORDS; at >= this.#insnStart; at -= WORDS) {
      const op = code[at];
      const written = WRITES[op], d = written !== 0 ? code[at + 1] : -8;
      if (d === value && written === width) {
        code[at + 1] = slot;
        return true;
      }
      // Later records must neither fault nor touch the register or the temporary.
      if (EXITS[op] !== 0 || EFFECT[op] === Effect.STATE) return false;
      if (overlap(d, written, slot, width) || overlap(d, written, value, width)) return false;
      for (let field = 2, reads = READS[op], pairs = PAIRS[op]; reads !== 0; field++) {
        const read = code[at + field], slots = 1 + (pairs & 1);
        if ((reads & 1) !== 0) {
          if (overlap(read, slots, slot, width) || overlap(read, slots, value, width)) return false;
        }
        reads >>= 1;
        pairs >>= 1;
      }
    }
    return false;
  }

  #link(at: number, field: number, pc: number): void {
    this.#links.push({ at, field, pc });
  }

  /** Goes on at a constant guest address; `hint` is a `JumpHint`. */
  jump(pc: number, hint: number = JumpHint.NONE): void {
    this.#commit();
    const at = this.#length;
    this.#emit(Op.jump, this.count, 0, 0, 0, hint);
    this.#link(at, 4, pc);
    this.ended = true;
  }

  /** Goes on at `(target & mask)`; `mask` is sign-extended, `hint` is a `JumpHint`. */
  jumpIndirect(target: Value, mask: number, hint: number = JumpHint.NONE): void {
    [target] = this.#commit([target]);
    this.#emit(Op.jumpInd, this.count, this.#slot(target), hint, mask, mask >> 31);
    this.ended = true;
  }

  /** A conditional branch by op number: to `taken`, else to `next`. */
  branch(op: number, a: Value, b: Value, taken: number, next: number): void {
    const left = this.#slot(a), right = this.#slot(b);
    [a, b] = this.#commit([left, right]);
    const at = this.#length;
    this.#emit(op, this.count, a, b, 0, 0);
    this.#link(at, 4, taken);
    this.#link(at, 5, next);
    this.ended = true;
  }

  /** Leaves with a reason (`Trap`) at the current instruction, which is `length` bytes long. */
  trap(reason: number, length: number): void {
    this.#commit();
    const pc = this.#pc;
    this.#emit(Op.trap, this.count, reason, length, pc | 0, Math.floor(pc / TWO32) | 0);
    this.#link(-1, 0, pc + length);
    this.ended = true;
  }

  /** Finishes the block; `bytes` is the length of its guest code. */
  finish(bytes: number): IrBlock {
    if (!this.ended) {
      throw new Error(`Cannot finish the block at 0x${this.#pc.toString(16)}: no terminator`);
    }
    if (this.passes.dead) this.#dropDead();
    let length = this.#length;
    for (const { at, field, pc } of this.#links) {
      if (at >= 0) this.#code[at + field] = length;
      this.#emit(Op.link, 0, at < 0 ? -1 : at + field, 0, pc | 0, Math.floor(pc / TWO32) | 0);
      length += WORDS;
    }
    return {
      pc: this.#pcs[0],
      bytes,
      count: this.count,
      code: this.#code.slice(0, this.#length),
      insns: this.#insns.slice(0, this.#length / WORDS),
      pcs: this.#pcs,
    };
  }

  /** Drops pure records whose destination is overwritten before anything can read it. */
  #dropDead(): void {
    const code = this.#code, dead = this.#dead, live = this.#live;
    // Stamps of this walk: a register is dead where `dead` has the current one, a temporary live where `live` has.
    const walk = ++this.#stamp;
    let clear = walk;
    let dropped = false;
    for (let at = this.#length - WORDS; at >= 0; at -= WORDS) {
      const op = code[at], d = code[at + 1];
      const writes = WRITES[op] !== 0, pair = WRITES[op] === 2;
      const temp = d >= Slot.TEMP && d < Slot.FP_FLAGS;
      const unseen = writes && (temp ? live[d] !== walk : dead[d] === clear) &&
        (!pair || (temp ? live[d + 1] !== walk : dead[d + 1] === clear));
      if (op === Op.nop || (unseen && EFFECT[op] === Effect.PURE)) {
        code[at] = Op.nop;
        dropped = true;
        continue;
      }
      if (EXITS[op] !== 0 || EFFECT[op] === Effect.STATE) clear = ++this.#stamp;
      if (writes) {
        if (temp) {
          live[d] = 0;
          if (pair) live[d + 1] = 0;
        } else if (EXITS[op] === 0) {
          // An op that may fault leaves `d` as it was: then what came before can be seen.
          dead[d] = clear;
          if (pair) dead[d + 1] = clear;
        }
      }
      for (let field = 2, reads = READS[op], pairs = PAIRS[op]; reads !== 0; field++) {
        const slot = code[at + field];
        if ((reads & 1) !== 0) {
          dead[slot] = 0;
          live[slot] = walk;
          if ((pairs & 1) !== 0) {
            dead[slot + 1] = 0;
            live[slot + 1] = walk;
          }
        }
        reads >>= 1;
        pairs >>= 1;
      }
    }
    if (dropped) this.#dropNops();
  }

  #dropNops(): void {
    const code = this.#code, insns = this.#insns;
    let to = 0;
    for (let at = 0; at < this.#length; at += WORDS) {
      if (code[at] === Op.nop) continue;
      if (to !== at) {
        for (const link of this.#links) if (link.at === at) link.at = to;
        code.copyWithin(to, at, at + WORDS);
        insns[to / WORDS] = insns[at / WORDS];
      }
      to += WORDS;
    }
    this.#length = to;
  }
}
