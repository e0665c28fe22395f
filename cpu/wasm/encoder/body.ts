/**
 * Writing the code of one WebAssembly function.
 *
 * Source: WebAssembly Core Specification 3.0, sections 5.2 (values) and 5.4 (instructions).
 *
 * @module
 */
import { ByteWriter } from "./bytes.ts";
import {
  type LaneOp,
  type LoadOp,
  type MemoryLaneOp,
  Op,
  type PlainOp,
  type StoreOp,
  VOID,
} from "./opcodes.ts";

const scratch = new DataView(new ArrayBuffer(8));

/** Kinds of open blocks. */
const BLOCK = 0, LOOP = 1, IF = 2, ELSE = 3;

/**
 * Writes function bodies, one after the other; reuse it, it keeps its buffer.
 *
 * A method appends one instruction; each has the name it has in the text format. Nesting, branch depths and indices of
 * locals are checked; operand types are V8's to validate. Blocks return a label, which {@linkcode depthTo} makes a
 * branch depth. An opcode that the table does not have can be written with `byte` and `u32`.
 */
export class BodyWriter extends ByteWriter {
  #params = 0;
  #variables = 0;
  #locals: number[] = [];
  #localNames: Map<number, string> | undefined;
  #kinds = new Uint8Array(64);
  #depth = 0;
  /** Positions of hinted branches, each followed by 1 if it is likely taken, else 0. */
  #hints: number[] = [];

  /** Starts a function with `params` parameters: locals 0 and up. */
  start(params: number): void {
    this.at = 0;
    this.#params = this.#variables = params;
    this.#locals.length = 0;
    this.#localNames = undefined;
    this.#depth = 0;
    this.#hints.length = 0;
  }

  /** Parameters of the function. */
  get params(): number {
    return this.#params;
  }

  /** Blocks open. */
  get depth(): number {
    return this.#depth;
  }

  /**
   * Hints for branches: pairs of an offset in the code (behind the declarations of locals) and 1 or 0.
   * Source: WebAssembly branch hinting, "metadata.code.branch_hint".
   */
  get hints(): readonly number[] {
    return this.#hints;
  }

  /** Says whether the condition of the next instruction, an `if` or `br_if`, is likely to hold. */
  hint(likely: boolean): void {
    this.#hints.push(this.at, likely ? 1 : 0);
  }

  /** Names given to locals. */
  get localNames(): ReadonlyMap<number, string> | undefined {
    return this.#localNames;
  }

  /** Declares a local, at any time; returns its index. Successive locals of one type take no more space. */
  local(type: number, name?: string): number {
    this.#locals.push(type);
    const index = this.#variables++;
    if (name !== undefined) this.nameLocal(index, name);
    return index;
  }

  /** Names a local or a parameter, for debugging. */
  nameLocal(index: number, name: string): void {
    this.#checkLocal(index);
    (this.#localNames ??= new Map()).set(index, name);
  }

  /** Appends locals, code and final `end` to `out`. @throws {Error} If a block is open. */
  writeTo(out: ByteWriter): void {
    if (this.#depth !== 0) {
      throw new Error(`Cannot finish a function: ${this.#depth} blocks are open`);
    }
    const locals = this.#locals;
    let runs = 0;
    for (let i = 0; i < locals.length; i++) if (i === 0 || locals[i] !== locals[i - 1]) runs++;
    out.u32(runs);
    for (let i = 0, from = 0; i < locals.length; i++) {
      if (locals[i + 1] === locals[i]) continue;
      out.u32(i + 1 - from);
      out.valType(locals[i]);
      from = i + 1;
    }
    out.copy(this);
    out.byte(Op.end);
  }

  /** The finished body: locals, code and final `end`, without size. @throws {Error} If a block is open. */
  finish(): Uint8Array<ArrayBuffer> {
    const out = new ByteWriter(this.at + 64);
    this.writeTo(out);
    return out.view();
  }

  // ---- any instruction ----

  /** An instruction without immediates. */
  op(op: PlainOp): void {
    if (this.at >= this.limit) this.reserve(1);
    if (op < 0x100) this.bytes[this.at++] = op;
    else this.#prefixed(op);
  }

  #prefixed(op: number): void {
    this.bytes[this.at++] = op >> 12;
    this.u32(op & 0xfff);
  }

  #code(op: number): void {
    if (this.at >= this.limit) this.reserve(1);
    if (op < 0x100) this.bytes[this.at++] = op;
    else this.#prefixed(op);
  }

  /** An opcode of one byte and an index. */
  #index(op: number, index: number): void {
    if (this.at >= this.limit) this.reserve(1);
    this.bytes[this.at++] = op;
    if (index >>> 7 === 0) this.bytes[this.at++] = index;
    else this.u32(index);
  }

  // ---- nesting ----

  /** Opens a block: `type` is a value type, {@linkcode VOID}, or the index of a function type. Returns its label. */
  block(type: number = VOID): number {
    return this.#open(Op.block, BLOCK, type);
  }

  /** Opens a loop, whose label is its start; as {@linkcode block}. */
  loop(type: number = VOID): number {
    return this.#open(Op.loop, LOOP, type);
  }

  /** Opens an `if`, executed if the operand is not 0; as {@linkcode block}. */
  if(type: number = VOID): number {
    return this.#open(Op.if, IF, type);
  }

  #open(op: number, kind: number, type: number): number {
    if (this.at >= this.limit) this.reserve(1);
    this.bytes[this.at++] = op;
    if (type >= 0) this.s32(type);
    else this.valType(type);
    if (this.#depth === this.#kinds.length) {
      const bigger = new Uint8Array(this.#kinds.length * 2);
      bigger.set(this.#kinds);
      this.#kinds = bigger;
    }
    this.#kinds[this.#depth] = kind;
    return this.#depth++;
  }

  /** The other part of an `if`. @throws {Error} If the innermost block is not an `if` without `else`. */
  else(): void {
    if (this.#depth === 0 || this.#kinds[this.#depth - 1] !== IF) {
      throw new Error("Cannot write else: the innermost block is not an if");
    }
    this.#kinds[this.#depth - 1] = ELSE;
    this.#code(Op.else);
  }

  /**
   * Closes the innermost block. The function's own `end` is not to be written.
   *
   * @throws {Error} If no block is open.
   */
  end(): void {
    if (this.#depth === 0) throw new Error("Cannot write end: no block is open");
    this.#depth--;
    this.#code(Op.end);
  }

  /** The branch depth, here, of an open block's label. @throws {RangeError} If the block is closed. */
  depthTo(label: number): number {
    if (!(label >= 0 && label < this.#depth)) {
      throw new RangeError(`Cannot branch to label ${label}: ${this.#depth} blocks are open`);
    }
    return this.#depth - 1 - label;
  }

  // ---- control ----

  #branch(op: number, depth: number): void {
    if (depth >>> 0 > this.#depth) this.#badDepth(depth);
    this.#index(op, depth);
  }

  #badDepth(depth: number): never {
    throw new RangeError(`Cannot branch to depth ${depth}: ${this.#depth} blocks are open`);
  }

  /** Branches to the `depth`-th block outwards, 0 being the innermost; past all blocks it returns. */
  br(depth: number): void {
    this.#branch(Op.br, depth);
  }

  /** Branches if the operand is not 0. */
  brIf(depth: number): void {
    this.#branch(Op.br_if, depth);
  }

  /** Branches to `depths[operand]`, or `otherwise` beyond them. */
  brTable(depths: ArrayLike<number>, otherwise: number): void {
    for (let i = 0; i < depths.length; i++) {
      if (depths[i] >>> 0 > this.#depth) this.#badDepth(depths[i]);
    }
    if (otherwise >>> 0 > this.#depth) this.#badDepth(otherwise);
    this.#index(Op.br_table, depths.length);
    for (let i = 0; i < depths.length; i++) this.u32(depths[i]);
    this.u32(otherwise);
  }

  /** Calls a function. */
  call(func: number): void {
    this.#index(Op.call, func);
  }

  /** Calls the function of type index `type` at the operand's index in a table. */
  callIndirect(type: number, table = 0): void {
    this.#index(Op.call_indirect, type);
    this.u32(table);
  }

  /** Calls a function in place of this one. */
  returnCall(func: number): void {
    this.#index(Op.return_call, func);
  }

  /** As {@linkcode callIndirect}, in place of this function. */
  returnCallIndirect(type: number, table = 0): void {
    this.#index(Op.return_call_indirect, type);
    this.u32(table);
  }

  /** Calls the operand, a `(ref null type)`. */
  callRef(type: number): void {
    this.#index(Op.call_ref, type);
  }

  /** As {@linkcode callRef}, in place of this function. */
  returnCallRef(type: number): void {
    this.#index(Op.return_call_ref, type);
  }

  /** `select` of operands that are not numbers or vectors. `op(Op.select)` is for these. */
  selectOf(type: number): void {
    this.#code(Op.select_t);
    this.byte(1);
    this.valType(type);
  }

  // ---- variables ----

  #checkLocal(index: number): void {
    if (index >>> 0 >= this.#variables) {
      throw new RangeError(`Cannot use local ${index}: there are ${this.#variables}`);
    }
  }

  /** The value of a local. */
  localGet(index: number): void {
    if (index >>> 0 >= this.#variables) this.#checkLocal(index);
    this.#index(Op.local_get, index);
  }

  /** Writes a local. */
  localSet(index: number): void {
    if (index >>> 0 >= this.#variables) this.#checkLocal(index);
    this.#index(Op.local_set, index);
  }

  /** Writes a local and keeps the operand. */
  localTee(index: number): void {
    if (index >>> 0 >= this.#variables) this.#checkLocal(index);
    this.#index(Op.local_tee, index);
  }

  /** The value of a global. */
  globalGet(index: number): void {
    this.#index(Op.global_get, index);
  }

  /** Writes a global. */
  globalSet(index: number): void {
    this.#index(Op.global_set, index);
  }

  // ---- constants ----

  /** The low 32 bits of a number. */
  i32Const(value: number): void {
    this.#code(Op.i32_const);
    this.s32(value);
  }

  /** A 64-bit constant from two words; without `hi`, `lo` is sign-extended. */
  i64Const(lo: number, hi: number = lo >> 31): void {
    this.#code(Op.i64_const);
    this.s64(lo, hi);
  }

  /** The low 64 bits of a bigint. */
  i64ConstBig(value: bigint): void {
    this.#code(Op.i64_const);
    this.s64(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
  }

  /** A float. NaNs may change their payload: see {@linkcode f32Bits}. */
  f32Const(value: number): void {
    scratch.setFloat32(0, value, true);
    this.f32Bits(scratch.getInt32(0, true));
  }

  /** A float from its bits. */
  f32Bits(bits: number): void {
    this.#code(Op.f32_const);
    this.word(bits);
  }

  /** A double. NaNs may change their payload: see {@linkcode f64Bits}. */
  f64Const(value: number): void {
    scratch.setFloat64(0, value, true);
    this.f64Bits(scratch.getInt32(0, true), scratch.getInt32(4, true));
  }

  /** A double from its bits in two words. */
  f64Bits(lo: number, hi: number): void {
    this.#code(Op.f64_const);
    this.word(lo);
    this.word(hi);
  }

  /** A vector from four 32-bit words, the lowest lane first. */
  v128Const(a: number, b: number, c: number, d: number): void {
    this.#code(Op.v128_const);
    this.word(a);
    this.word(b);
    this.word(c);
    this.word(d);
  }

  // ---- memory and lanes ----

  #memory(op: number, alignLog2: number, offset: number): void {
    if (!(offset >= 0 && offset < 0x1_0000_0000)) {
      throw new RangeError(`Cannot encode offset ${offset}: it is not an unsigned 32-bit number`);
    }
    this.#code(op);
    this.bytes[this.at++] = alignLog2 & 0x3f;
    if (offset < 0x80) this.bytes[this.at++] = offset;
    else this.u32(offset);
  }

  /**
   * A load from operand + `offset`. The alignment 2^`alignLog2` is a hint and at most the width of the access.
   *
   * @throws {RangeError} If `offset` is negative or 2^32 or more.
   */
  load(op: LoadOp, alignLog2: number, offset: number): void {
    this.#memory(op, alignLog2, offset);
  }

  /** A store to operand + `offset`; as {@linkcode load}. */
  store(op: StoreOp, alignLog2: number, offset: number): void {
    this.#memory(op, alignLog2, offset);
  }

  /** An access to lane number `lane` of a vector. */
  lane(op: LaneOp, lane: number): void {
    this.#code(op);
    this.byte(lane);
  }

  /** A load or store of one lane; as {@linkcode load}. */
  laneMemory(op: MemoryLaneOp, alignLog2: number, offset: number, lane: number): void {
    this.#memory(op, alignLog2, offset);
    this.byte(lane);
  }

  /** `i8x16.shuffle` with 16 lane numbers: 0 to 15 of the first operand, 16 to 31 of the second. */
  shuffle(lanes: ArrayLike<number>): void {
    if (lanes.length !== 16) {
      throw new RangeError(`Cannot shuffle ${lanes.length} lanes: there are 16`);
    }
    this.#code(Op.i8x16_shuffle);
    for (let i = 0; i < 16; i++) this.byte(lanes[i]);
  }

  /** Size of the memory, in 64 KiB pages. */
  memorySize(): void {
    this.#index(Op.memory_size, 0);
  }

  /** Grows the memory by pages: the old size, or -1. */
  memoryGrow(): void {
    this.#index(Op.memory_grow, 0);
  }

  /** Copies bytes: destination, source, count. */
  memoryCopy(): void {
    this.#code(Op.memory_copy);
    this.byte(0);
    this.byte(0);
  }

  /** Fills bytes: destination, value, count. */
  memoryFill(): void {
    this.#code(Op.memory_fill);
    this.byte(0);
  }

  // ---- tables and references ----

  /** The element at the operand's index. */
  tableGet(table: number): void {
    this.#index(Op.table_get, table);
  }

  /** Writes an element: index, value. */
  tableSet(table: number): void {
    this.#index(Op.table_set, table);
  }

  /** Size of a table. */
  tableSize(table: number): void {
    this.#code(Op.table_size);
    this.u32(table);
  }

  /** Grows a table: initial value, count; the old size, or -1. */
  tableGrow(table: number): void {
    this.#code(Op.table_grow);
    this.u32(table);
  }

  /** Fills elements: index, value, count. */
  tableFill(table: number): void {
    this.#code(Op.table_fill);
    this.u32(table);
  }

  /** Copies elements: destination, source, count. */
  tableCopy(to: number, from: number): void {
    this.#code(Op.table_copy);
    this.u32(to);
    this.u32(from);
  }

  /** Copies elements of a segment: destination, source, count. */
  tableInit(element: number, table: number): void {
    this.#code(Op.table_init);
    this.u32(element);
    this.u32(table);
  }

  /** Drops an element segment. */
  elemDrop(element: number): void {
    this.#code(Op.elem_drop);
    this.u32(element);
  }

  /** The null of a reference type. */
  refNull(type: number): void {
    this.#code(Op.ref_null);
    this.heapType(type);
  }

  /** A reference to a function, which an element segment, an export or a global must name. */
  refFunc(func: number): void {
    this.#index(Op.ref_func, func);
  }
}
