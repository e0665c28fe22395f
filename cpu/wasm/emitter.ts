/**
 * From a region to the body of one WebAssembly function.
 *
 * The function takes the guest address it is called for (which it ignores; the stub that stands in for a function that is
 * not compiled returns it) and returns the guest address where execution goes on. Guest registers live in locals: loaded
 * at the entry and after calls, written back before calls and at the exit. What is not the fast path of an op - an
 * unmapped or misaligned address, a store to watched code, a trap - leaves with the exact guest address, and the
 * interpreter executes that instruction.
 *
 * @module
 */
import { dominates, Ending, type Region, type RegionBlock } from "../engine/region.ts";
import { Effect, JumpHint, Op as Ir, OPS, Slot, slotFields, WORDS } from "../ir/ops.ts";
import { BodyWriter, Op, type PlainOp, ValType } from "./encoder.ts";

/** Where things are in the arena, in bytes, and how the function reaches what is not in it. */
export interface EmitLayout {
  /** Page table. */
  pages: number;
  /** Guest address 0. */
  guest: number;
  /** 32-bit fuel: instructions that may still be executed. */
  fuel: number;
  /** 32-bit number of bytes that compiled functions have on the stack, by estimate. */
  depth: number;
  /** 64-bit guest address of an exit that does not fit into 31 bits. */
  exitPc: number;
  /** Cache of indirect targets: entries of two 32-bit words, guest address and table index. */
  targets: number;
  /** Entries of that cache, a power of two. */
  targetEntries: number;
  /** Index of the imported function that executes the record at a code index; not 0 means that it faulted. */
  step: number;
  /** Type index of compiled functions. */
  type: number;
  /** Table index of the function for a guest address. */
  tableIndex(pc: number): number;
  /** Code index of a block's first record, for `step`. */
  codeIndex(block: RegionBlock): number;
}

/**
 * Most bytes of host stack for compiled functions, by estimate; a deeper call leaves instead. V8 has 984 KiB, of which
 * the host's own frames are part, and an overflow would lose the guest's state.
 */
export const MAX_STACK = 512 << 10;
/** Bytes of a frame besides its locals (measured: 50 to 90). */
const FRAME_BYTES = 96;
/** Result for a guest address that is in `exitPc`. */
export const FAR_EXIT = -1;

const LOAD_OK = 1, STORE_OK = 2;
const SMALLEST_NORMAL = 2.2250738585072014e-308;
const FIELDS = OPS.map(slotFields);

/** Ops with two 64-bit operands that are one instruction, by IR op number. */
const BINARY64 = new Map<number, PlainOp>([
  [Ir.add64, Op.i64_add],
  [Ir.sub64, Op.i64_sub],
  [Ir.mul64, Op.i64_mul],
  [Ir.and64, Op.i64_and],
  [Ir.or64, Op.i64_or],
  [Ir.xor64, Op.i64_xor],
  [Ir.shl64, Op.i64_shl],
  [Ir.shru64, Op.i64_shr_u],
  [Ir.shrs64, Op.i64_shr_s],
  [Ir.rotr64, Op.i64_rotr],
  [Ir.add64i, Op.i64_add],
  [Ir.and64i, Op.i64_and],
  [Ir.or64i, Op.i64_or],
  [Ir.xor64i, Op.i64_xor],
  [Ir.shl64i, Op.i64_shl],
  [Ir.shru64i, Op.i64_shr_u],
  [Ir.shrs64i, Op.i64_shr_s],
  [Ir.rotr64i, Op.i64_rotr],
]);
/** The same for the low words, the result sign-extended. */
const BINARY32 = new Map<number, PlainOp>([
  [Ir.add32, Op.i32_add],
  [Ir.sub32, Op.i32_sub],
  [Ir.mul32, Op.i32_mul],
  [Ir.shl32, Op.i32_shl],
  [Ir.shru32, Op.i32_shr_u],
  [Ir.shrs32, Op.i32_shr_s],
  [Ir.rotr32, Op.i32_rotr],
  [Ir.add32i, Op.i32_add],
  [Ir.shl32i, Op.i32_shl],
  [Ir.shru32i, Op.i32_shr_u],
  [Ir.shrs32i, Op.i32_shr_s],
  [Ir.rotr32i, Op.i32_rotr],
]);
/** Comparisons: 1 or 0. */
const COMPARE = new Map<number, PlainOp>([
  [Ir.slt64, Op.i64_lt_s],
  [Ir.slt64i, Op.i64_lt_s],
  [Ir.sltu64, Op.i64_lt_u],
  [Ir.sltu64i, Op.i64_lt_u],
  [Ir.seq64, Op.i64_eq],
  [Ir.sne64, Op.i64_ne],
]);
const BRANCH = new Map<number, PlainOp>([
  [Ir.brEq, Op.i64_eq],
  [Ir.brNe, Op.i64_ne],
  [Ir.brLt, Op.i64_lt_s],
  [Ir.brGe, Op.i64_ge_s],
  [Ir.brLtu, Op.i64_lt_u],
  [Ir.brGeu, Op.i64_ge_u],
]);
const UNARY64 = new Map<number, PlainOp>([
  [Ir.clz64, Op.i64_clz],
  [Ir.ctz64, Op.i64_ctz],
  [Ir.popcnt64, Op.i64_popcnt],
  [Ir.sext8, Op.i64_extend8_s],
  [Ir.sext16, Op.i64_extend16_s],
]);
const UNARY32 = new Map<number, PlainOp>([
  [Ir.clz32, Op.i32_clz],
  [Ir.ctz32, Op.i32_ctz],
  [Ir.popcnt32, Op.i32_popcnt],
]);
/** Minimum and maximum: the comparison under which the first operand is the result. */
const MINMAX = new Map<number, PlainOp>([
  [Ir.mins64, Op.i64_lt_s],
  [Ir.maxs64, Op.i64_gt_s],
  [Ir.minu64, Op.i64_lt_u],
  [Ir.maxu64, Op.i64_gt_u],
]);
/** Divisions: the instruction, whether signed, and whether a remainder. */
const DIVIDE = new Map<number, { op: PlainOp; signed: boolean; remainder: boolean }>([
  [Ir.divs64, { op: Op.i64_div_s, signed: true, remainder: false }],
  [Ir.divu64, { op: Op.i64_div_u, signed: false, remainder: false }],
  [Ir.rems64, { op: Op.i64_rem_s, signed: true, remainder: true }],
  [Ir.remu64, { op: Op.i64_rem_u, signed: false, remainder: true }],
]);
const FLOAT64 = new Map<number, PlainOp>([
  [Ir.fadd64, Op.f64_add],
  [Ir.fsub64, Op.f64_sub],
  [Ir.fmul64, Op.f64_mul],
  [Ir.fdiv64, Op.f64_div],
]);
const FLOAT_COMPARE = new Map<number, PlainOp>([
  [Ir.feq64, Op.f64_eq],
  [Ir.flt64, Op.f64_lt],
  [Ir.fle64, Op.f64_le],
]);
const LOADS = new Map<number, { op: number; size: number }>([
  [Ir.ldS8, { op: Op.i64_load8_s, size: 1 }],
  [Ir.ldU8, { op: Op.i64_load8_u, size: 1 }],
  [Ir.ldS16, { op: Op.i64_load16_s, size: 2 }],
  [Ir.ldU16, { op: Op.i64_load16_u, size: 2 }],
  [Ir.ldS32, { op: Op.i64_load32_s, size: 4 }],
  [Ir.ldU32, { op: Op.i64_load32_u, size: 4 }],
  [Ir.ldB32, { op: Op.i64_load32_u, size: 4 }],
  [Ir.ld64, { op: Op.i64_load, size: 8 }],
]);
const STORES = new Map<number, { op: number; size: number }>([
  [Ir.st8, { op: Op.i64_store8, size: 1 }],
  [Ir.st16, { op: Op.i64_store16, size: 2 }],
  [Ir.st32, { op: Op.i64_store32, size: 4 }],
  [Ir.st64, { op: Op.i64_store, size: 8 }],
]);
/** Ops that other code executes only by stepping the interpreter. */
const LEAVE = new Set([Ir.stx32, Ir.stx64, Ir.amo32, Ir.amo64, Ir.zero, Ir.invalidate]);

/** Slots that are never kept in locals: other code reads and writes them too. */
const inMemory = (slot: number) => slot >= Slot.FP_FLAGS;
const isTemp = (slot: number) => slot >= Slot.TEMP && slot < Slot.FP_FLAGS;
/** Whether a guest address has at most 31 bits, so that a function may return it. */
const isShort = (pc: number) => pc >= 0 && pc < 0x8000_0000;
const log2 = (size: number) => 31 - Math.clz32(size);

/** Emits one region. */
export class Emitter {
  readonly #w = new BodyWriter();
  readonly #region: Region;
  readonly #at: EmitLayout;
  /** Local of each slot that has one. */
  readonly #locals = new Map<number, number>();
  /** Registers that the region writes, and all that it touches. */
  readonly #written: number[] = [];
  readonly #touched: number[] = [];
  #fuel = 0;
  #pc = 0;
  #address = 0;
  #float = 0;
  #long = 0;
  #index = 0;
  /** Bytes on the host's stack. */
  #frame = 0;
  /** Labels: leave after writing registers back, and leave with memory as it is. */
  #exit = 0;
  #leave = 0;
  readonly #loopLabels = new Map<RegionBlock, number>();
  readonly #mergeLabels = new Map<RegionBlock, number>();

  constructor(region: Region, layout: EmitLayout) {
    this.#region = region;
    this.#at = layout;
  }

  /** The function's body. */
  emit(): BodyWriter {
    const w = this.#w;
    w.start(1);
    this.#findSlots();
    this.#pc = w.local(ValType.i32, "pc");
    this.#fuel = w.local(ValType.i32, "fuel");
    this.#address = w.local(ValType.i64, "address");
    this.#float = w.local(ValType.f64, "float");
    this.#long = w.local(ValType.i64, "long");
    this.#index = w.local(ValType.i32, "index");
    this.#frame = FRAME_BYTES + 8 * (this.#index + 1);
    this.#leave = w.block();
    this.#exit = w.block();
    this.#reload();
    this.#tree(this.#region.blocks[0]);
    w.op(Op.unreachable);
    w.end();
    this.#spill();
    w.end();
    w.localGet(this.#pc);
    return w;
  }

  #findSlots(): void {
    const written = new Set<number>(), touched = new Set<number>(), temps = new Set<number>();
    const touch = (slot: number) => {
      if (slot === Slot.ZERO || inMemory(slot)) return;
      (isTemp(slot) ? temps : touched).add(slot);
    };
    for (const { ir, terminator } of this.#region.blocks) {
      for (let at = 0; at <= terminator; at += WORDS) {
        const fields = FIELDS[ir.code[at]];
        for (const field of fields.reads) touch(ir.code[at + field]);
        if (!fields.writes) continue;
        const d = ir.code[at + 1];
        touch(d);
        if (!isTemp(d) && !inMemory(d)) written.add(d);
      }
    }
    this.#written.push(...written);
    this.#touched.push(...touched);
    for (const slot of [...touched, ...temps]) {
      this.#locals.set(slot, this.#w.local(ValType.i64, `slot${slot}`));
    }
  }

  // ---- slots ----

  #get(slot: number): void {
    const w = this.#w, local = this.#locals.get(slot);
    if (slot === Slot.ZERO) w.i64Const(0, 0);
    else if (local !== undefined) w.localGet(local);
    else {
      w.i32Const(0);
      w.load(Op.i64_load, 3, slot * 8);
    }
  }

  /** Takes the value from the stack. */
  #set(slot: number): void {
    const w = this.#w, local = this.#locals.get(slot);
    if (local !== undefined) return w.localSet(local);
    w.localSet(this.#long);
    w.i32Const(0);
    w.localGet(this.#long);
    w.store(Op.i64_store, 3, slot * 8);
  }

  #get32(slot: number): void {
    this.#get(slot);
    this.#w.op(Op.i32_wrap_i64);
  }

  #getFloat(slot: number): void {
    this.#get(slot);
    this.#w.op(Op.f64_reinterpret_i64);
  }

  #store32(offset: number, local: number): void {
    this.#w.i32Const(0);
    this.#w.localGet(local);
    this.#w.store(Op.i32_store, 2, offset);
  }

  /** Writes one slot's local to its cell. */
  #spillSlot(slot: number): void {
    const local = this.#locals.get(slot);
    if (local === undefined) return;
    this.#w.i32Const(0);
    this.#w.localGet(local);
    this.#w.store(Op.i64_store, 3, slot * 8);
  }

  #reloadSlot(slot: number): void {
    const local = this.#locals.get(slot);
    if (local === undefined) return;
    this.#w.i32Const(0);
    this.#w.load(Op.i64_load, 3, slot * 8);
    this.#w.localSet(local);
  }

  #spill(): void {
    for (const slot of this.#written) this.#spillSlot(slot);
    this.#store32(this.#at.fuel, this.#fuel);
  }

  #reload(): void {
    for (const slot of this.#touched) this.#reloadSlot(slot);
    this.#w.i32Const(0);
    this.#w.load(Op.i32_load, 2, this.#at.fuel);
    this.#w.localSet(this.#fuel);
  }

  // ---- control flow ----

  #tree(block: RegionBlock): void {
    const w = this.#w;
    if (block.loop) this.#loopLabels.set(block, w.loop());
    const merges = block.children.filter((child) => child.merge).reverse();
    for (const merge of merges) this.#mergeLabels.set(merge, w.block());
    this.#block(block);
    for (const merge of merges.reverse()) {
      w.end();
      this.#mergeLabels.delete(merge);
      this.#tree(merge);
    }
    if (block.loop) {
      this.#loopLabels.delete(block);
      w.end();
    }
  }

  /** Leaves to a constant guest address with registers written back. */
  #exitTo(pc: number): void {
    const w = this.#w;
    if (isShort(pc)) w.i32Const(pc);
    else {
      w.i32Const(0);
      w.i64Const(pc | 0, Math.floor(pc / 0x1_0000_0000) | 0);
      w.store(Op.i64_store, 3, this.#at.exitPc);
      w.i32Const(FAR_EXIT);
    }
    w.localSet(this.#pc);
    w.br(w.depthTo(this.#exit));
  }

  /** Goes from a block to a successor. */
  #edge(from: RegionBlock, which: number): void {
    const w = this.#w, to = from.successors[which];
    if (to === undefined) return this.#exitTo(from.targets[which]);
    if (to.index <= from.index && dominates(to, from)) {
      // Back edges bound every stay: V8 swaps in optimised code only at a new call.
      this.#exitWithoutFuel(to.ir.pc);
      w.br(w.depthTo(this.#loopLabels.get(to)!));
      return;
    }
    const label = this.#mergeLabels.get(to);
    if (label !== undefined) w.br(w.depthTo(label));
    else this.#tree(to);
  }

  #block(block: RegionBlock): void {
    const w = this.#w, { ir, terminator } = block;
    w.localGet(this.#fuel);
    w.i32Const(ir.count);
    w.op(Op.i32_sub);
    w.localSet(this.#fuel);
    for (let at = 0; at < terminator; at += WORDS) this.#record(block, at);
    const code = ir.code;
    switch (block.ending) {
      case Ending.JUMP:
        return this.#edge(block, 0);
      case Ending.BRANCH:
        this.#get(code[terminator + 2]);
        this.#get(code[terminator + 3]);
        w.op(BRANCH.get(code[terminator])!);
        w.if();
        this.#edge(block, 0);
        w.else();
        this.#edge(block, 1);
        w.end();
        w.op(Op.unreachable);
        return;
      case Ending.CALL:
        if (!isShort(block.callee)) return this.#exitTo(block.callee);
        w.i32Const(this.#at.tableIndex(block.callee));
        w.localSet(this.#index);
        w.i32Const(block.callee);
        w.localSet(this.#pc);
        return this.#call(block);
      case Ending.CALL_INDIRECT:
        this.#target(code, terminator);
        this.#lookUp();
        return this.#call(block);
      case Ending.INDIRECT:
        this.#target(code, terminator);
        if (code[terminator + 3] === JumpHint.NONE) {
          w.localGet(this.#fuel);
          w.i32Const(0);
          w.op(Op.i32_lt_s);
          w.brIf(w.depthTo(this.#exit));
          this.#lookUp();
          this.#spill();
          w.localGet(this.#pc);
          w.localGet(this.#index);
          w.returnCallIndirect(this.#at.type);
          return;
        }
        w.br(w.depthTo(this.#exit));
        return;
      default:
        // A trap: its instruction is the interpreter's.
        return this.#sideExit(block, terminator);
    }
  }

  /** Leaves at the guest instruction of a record, which has not been executed. */
  #sideExit(block: RegionBlock, at: number): void {
    const w = this.#w, index = block.ir.insns[at / WORDS];
    w.localGet(this.#fuel);
    w.i32Const(block.ir.count - index);
    w.op(Op.i32_add);
    w.localSet(this.#fuel);
    this.#exitTo(block.ir.pcs[index]);
  }

  /** Puts the target of an indirect jump into `pc`; leaves at once if it has more than 31 bits. */
  #target(code: Int32Array, at: number): void {
    const w = this.#w;
    this.#get(code[at + 2]);
    w.i64Const(code[at + 4], code[at + 5]);
    w.op(Op.i64_and);
    w.localTee(this.#address);
    w.op(Op.i32_wrap_i64);
    w.localSet(this.#pc);
    w.localGet(this.#address);
    w.i64Const(31, 0);
    w.op(Op.i64_shr_u);
    w.i64Const(0, 0);
    w.op(Op.i64_ne);
    w.if();
    w.i32Const(0);
    w.localGet(this.#address);
    w.store(Op.i64_store, 3, this.#at.exitPc);
    w.i32Const(FAR_EXIT);
    w.localSet(this.#pc);
    w.br(w.depthTo(this.#exit));
    w.end();
  }

  /** Finds the table index for `pc` in the cache of targets; leaves to it if it is not there. */
  #lookUp(): void {
    const w = this.#w, { targets, targetEntries } = this.#at;
    w.localGet(this.#pc);
    w.i32Const(1);
    w.op(Op.i32_shr_u);
    w.i32Const(targetEntries - 1);
    w.op(Op.i32_and);
    w.i32Const(3);
    w.op(Op.i32_shl);
    w.localTee(this.#index);
    w.load(Op.i32_load, 2, targets);
    w.localGet(this.#pc);
    w.op(Op.i32_ne);
    w.brIf(w.depthTo(this.#exit));
    w.localGet(this.#index);
    w.load(Op.i32_load, 2, targets + 4);
    w.localSet(this.#index);
  }

  /** Calls the function at table index `index` for guest address `pc`, and goes on behind it. */
  #call(block: RegionBlock): void {
    const w = this.#w, { depth } = this.#at;
    // Out of fuel or stack: leave to the callee instead.
    w.localGet(this.#fuel);
    w.i32Const(0);
    w.op(Op.i32_lt_s);
    w.i32Const(0);
    w.load(Op.i32_load, 2, depth);
    w.i32Const(MAX_STACK);
    w.op(Op.i32_gt_s);
    w.op(Op.i32_or);
    w.brIf(w.depthTo(this.#exit));
    this.#spill();
    this.#changeDepth(this.#frame);
    w.localGet(this.#pc);
    w.localGet(this.#index);
    w.callIndirect(this.#at.type);
    w.localSet(this.#pc);
    this.#changeDepth(-this.#frame);
    w.localGet(this.#pc);
    w.i32Const(block.targets[0]);
    w.op(Op.i32_ne);
    w.brIf(w.depthTo(this.#leave));
    this.#reload();
    this.#exitWithoutFuel(block.targets[0]);
    this.#edge(block, 0);
  }

  /** Leaves to a guest address if the fuel is used up. */
  #exitWithoutFuel(pc: number): void {
    const w = this.#w;
    w.localGet(this.#fuel);
    w.i32Const(0);
    w.op(Op.i32_lt_s);
    w.if();
    this.#exitTo(pc);
    w.end();
  }

  #changeDepth(by: number): void {
    const w = this.#w, { depth } = this.#at;
    w.i32Const(0);
    w.i32Const(0);
    w.load(Op.i32_load, 2, depth);
    w.i32Const(by);
    w.op(Op.i32_add);
    w.store(Op.i32_store, 2, depth);
  }

  // ---- records ----

  #record(block: RegionBlock, at: number): void {
    const w = this.#w, code = block.ir.code;
    const op = code[at], d = code[at + 1], a = code[at + 2], b = code[at + 3];
    const lo = code[at + 4], hi = code[at + 5];
    const immediate = !FIELDS[op].reads.includes(3);
    const right = () => immediate ? w.i64Const(lo, hi) : this.#get(b);
    let plain: PlainOp | undefined;
    if ((plain = BINARY64.get(op)) !== undefined) {
      this.#get(a);
      right();
      w.op(plain);
      return this.#set(d);
    }
    if ((plain = BINARY32.get(op)) !== undefined) {
      this.#get32(a);
      if (immediate) w.i32Const(lo);
      else this.#get32(b);
      w.op(plain);
      w.op(Op.i64_extend_i32_s);
      return this.#set(d);
    }
    if ((plain = COMPARE.get(op)) !== undefined) {
      this.#get(a);
      right();
      w.op(plain);
      w.op(Op.i64_extend_i32_u);
      return this.#set(d);
    }
    if ((plain = UNARY64.get(op)) !== undefined) {
      this.#get(a);
      w.op(plain);
      return this.#set(d);
    }
    if ((plain = UNARY32.get(op)) !== undefined) {
      this.#get32(a);
      w.op(plain);
      w.op(Op.i64_extend_i32_u);
      return this.#set(d);
    }
    if ((plain = MINMAX.get(op)) !== undefined) {
      this.#get(a);
      this.#get(b);
      this.#get(a);
      this.#get(b);
      w.op(plain);
      w.op(Op.select);
      return this.#set(d);
    }
    if (LOADS.has(op)) return this.#load(block, at);
    if (STORES.has(op)) return this.#memoryStore(block, at);
    if (DIVIDE.has(op)) return this.#divide(block, at);
    if (FLOAT64.has(op)) return this.#floatArithmetic(block, at);
    if (FLOAT_COMPARE.has(op)) return this.#floatCompare(block, at);
    if (LEAVE.has(op)) return this.#sideExit(block, at);
    switch (op) {
      case Ir.nop:
      case Ir.fence:
        return;
      case Ir.const:
        w.i64Const(lo, hi);
        return this.#set(d);
      case Ir.mov:
        this.#get(a);
        return this.#set(d);
      case Ir.select:
        this.#get(b);
        this.#get(lo);
        this.#get(a);
        w.i64Const(0, 0);
        w.op(Op.i64_ne);
        w.op(Op.select);
        return this.#set(d);
      default:
        return this.#step(block, at);
    }
  }

  /** Has the record executed by the interpreter's rare ops, on its operands' cells. */
  #step(block: RegionBlock, at: number): void {
    const w = this.#w, code = block.ir.code, fields = FIELDS[code[at]];
    for (const field of new Set(fields.reads.map((f) => code[at + f]))) this.#spillSlot(field);
    if (OPS[code[at]].effect === Effect.STATE) {
      // Counters want the fuel at the start of the block, of which all instructions were paid for.
      w.i32Const(0);
      w.localGet(this.#fuel);
      w.i32Const(block.ir.count);
      w.op(Op.i32_add);
      w.store(Op.i32_store, 2, this.#at.fuel);
    }
    w.i32Const(this.#at.codeIndex(block) + at);
    w.call(this.#at.step);
    if (OPS[code[at]].effect !== Effect.PURE && OPS[code[at]].effect !== Effect.STATE) {
      w.if();
      this.#sideExit(block, at);
      w.end();
    } else w.op(Op.drop);
    if (fields.writes) this.#reloadSlot(code[at + 1]);
  }

  /** Computes the address into `address`; leaves unless the page has `right` and the address is aligned. */
  #check(block: RegionBlock, at: number, right: number, size: number): void {
    const w = this.#w, code = block.ir.code, lo = code[at + 4], hi = code[at + 5];
    this.#get(code[at + 2]);
    if ((lo | hi) !== 0) {
      w.i64Const(lo, hi);
      w.op(Op.i64_add);
    }
    w.localTee(this.#address);
    // Of the low word, the page table knows all 2^20 pages.
    w.i64Const(32, 0);
    w.op(Op.i64_shr_u);
    w.op(Op.i32_wrap_i64);
    if (size > 1) {
      w.localGet(this.#address);
      w.op(Op.i32_wrap_i64);
      w.i32Const(size - 1);
      w.op(Op.i32_and);
      w.op(Op.i32_or);
    }
    w.localGet(this.#address);
    w.op(Op.i32_wrap_i64);
    w.i32Const(12);
    w.op(Op.i32_shr_u);
    w.load(Op.i32_load8_u, 0, this.#at.pages);
    w.i32Const(right);
    w.op(Op.i32_and);
    w.op(Op.i32_eqz);
    w.op(Op.i32_or);
    w.if();
    this.#sideExit(block, at);
    w.end();
  }

  #load(block: RegionBlock, at: number): void {
    const w = this.#w, code = block.ir.code, { op, size } = LOADS.get(code[at])!;
    this.#check(block, at, LOAD_OK, size);
    w.localGet(this.#address);
    w.op(Op.i32_wrap_i64);
    w.load(op as typeof Op.i64_load, log2(size), this.#at.guest);
    if (code[at] === Ir.ldB32) {
      w.i64Const(0, -1);
      w.op(Op.i64_or);
    }
    this.#set(code[at + 1]);
  }

  #memoryStore(block: RegionBlock, at: number): void {
    const w = this.#w, code = block.ir.code, { op, size } = STORES.get(code[at])!;
    this.#check(block, at, STORE_OK, size);
    w.localGet(this.#address);
    w.op(Op.i32_wrap_i64);
    this.#get(code[at + 3]);
    w.store(op as typeof Op.i64_store, log2(size), this.#at.guest);
  }

  /** Total 64-bit division: by 0, and by -1 without overflow. */
  #divide(block: RegionBlock, at: number): void {
    const w = this.#w, code = block.ir.code;
    const { op, signed, remainder } = DIVIDE.get(code[at])!;
    const d = code[at + 1], a = code[at + 2], b = code[at + 3];
    this.#get(b);
    w.op(Op.i64_eqz);
    w.if(ValType.i64);
    if (remainder) this.#get(a);
    else w.i64Const(-1, -1);
    w.else();
    if (signed) {
      this.#get(b);
      w.i64Const(-1, -1);
      w.op(Op.i64_eq);
      w.if(ValType.i64);
      w.i64Const(0, 0);
      if (!remainder) {
        this.#get(a);
        w.op(Op.i64_sub);
      }
      w.else();
    }
    this.#get(a);
    this.#get(b);
    w.op(op);
    if (signed) w.end();
    w.end();
    this.#set(d);
  }

  /** Host arithmetic where only the value can be seen (see interp_loop.ts), softfloat elsewhere. */
  #floatArithmetic(block: RegionBlock, at: number): void {
    const w = this.#w, code = block.ir.code, op = code[at], d = code[at + 1];
    this.#getFloat(code[at + 2]);
    this.#getFloat(code[at + 3]);
    w.op(FLOAT64.get(op)!);
    w.localTee(this.#float);
    w.op(Op.f64_abs);
    w.f64Const(SMALLEST_NORMAL);
    w.op(Op.f64_gt);
    w.localGet(this.#float);
    w.op(Op.f64_abs);
    w.f64Const(Infinity);
    w.op(Op.f64_lt);
    w.op(Op.i32_and);
    if (op === Ir.fadd64 || op === Ir.fsub64) {
      w.localGet(this.#float);
      w.f64Const(0);
      w.op(Op.f64_eq);
      w.op(Op.i32_or);
    }
    w.i32Const(0);
    w.load(Op.i32_load, 2, Slot.FP_FAST * 8);
    w.op(Op.i32_and);
    w.if();
    w.localGet(this.#float);
    w.op(Op.i64_reinterpret_f64);
    this.#set(d);
    w.else();
    this.#step(block, at);
    w.end();
  }

  #floatCompare(block: RegionBlock, at: number): void {
    const w = this.#w, code = block.ir.code;
    this.#getFloat(code[at + 2]);
    this.#getFloat(code[at + 2]);
    w.op(Op.f64_eq);
    this.#getFloat(code[at + 3]);
    this.#getFloat(code[at + 3]);
    w.op(Op.f64_eq);
    w.op(Op.i32_and);
    w.if();
    this.#getFloat(code[at + 2]);
    this.#getFloat(code[at + 3]);
    w.op(FLOAT_COMPARE.get(code[at])!);
    w.op(Op.i64_extend_i32_u);
    this.#set(code[at + 1]);
    w.else();
    this.#step(block, at);
    w.end();
  }
}
