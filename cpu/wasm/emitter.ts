/**
 * From a region to the body of one WebAssembly function.
 *
 * The function takes a guest address (which the stub that stands in for a function that is not compiled returns), the
 * bytes that compiled functions have on the host's stack, and the fuel. It returns where execution goes on - a guest
 * address, or the number of an exit - and the fuel that is left. Guest registers live in locals: loaded at the entry
 * and behind calls as far as they are wanted, written back before calls and at exits as far as they may have changed.
 * What is not the fast path of an op leaves at that guest instruction, and the interpreter executes it.
 *
 * @module
 */
import {
  findLiveness,
  findPairs,
  isBackEdge,
  isTemporary,
  type Liveness,
} from "../engine/region/liveness.ts";
import { findWebs, type Webs } from "../engine/region/webs.ts";
import { COMPUTED_TARGET, Ending, type Region, type RegionBlock } from "../engine/region/region.ts";
import {
  Effect,
  FIELDS,
  JumpHint,
  Op as Ir,
  OPS,
  slotsRead,
  slotsWritten,
  WORDS,
} from "../ir/ops.ts";
import {
  type Body,
  type EmitLayout,
  type ExitReason,
  type Extent,
  FAR_EXIT,
  type Limit,
  WIDE_EXIT,
} from "./body.ts";
import { BodyWriter, Op, type PlainOp, ValType } from "./encoder.ts";
import { emitFloat, limitOf, loadLimits, makesBoxed } from "./float.ts";
import { emitInteger, emitLowWord } from "./integer.ts";
import { accessesMemory, emitMemory, findGroups, type Group, rightOf } from "./memory.ts";
import { Registers } from "./registers.ts";
import { PageCache } from "./page_cache.ts";
import { emitSystem, loadTlb, NO_PAGE } from "./system.ts";
import { emitVector } from "./vector.ts";
import { vectorLimitOf } from "./vector_float.ts";

/**
 * Most bytes of host stack for compiled functions, by estimate; a deeper call leaves instead. V8 has 984 KiB, of which
 * the host's own frames are part, and an overflow would lose the guest's state.
 */
export const MAX_STACK = 512 << 10;
/** Bytes of a frame besides its locals (measured: 50 to 90). */
const FRAME_BYTES = 96;

const TWO32 = 0x1_0000_0000;
const BRANCH = new Map<number, PlainOp>([
  [Ir.brEq, Op.i64_eq],
  [Ir.brNe, Op.i64_ne],
  [Ir.brLt, Op.i64_lt_s],
  [Ir.brGe, Op.i64_ge_s],
  [Ir.brLtu, Op.i64_lt_u],
  [Ir.brGeu, Op.i64_ge_u],
]);

/** Value types of the parameters and results of compiled functions; addresses have 64 bits in system mode. */
export const functionType = (system: boolean) => {
  const address = system ? ValType.i64 : ValType.i32;
  return {
    params: [address, ValType.i32, ValType.i32],
    results: [address, ValType.i32],
  } as const;
};
/** Parameters: guest address, bytes on the stack, fuel. */
const PC = 0, DEPTH = 1, FUEL = 2;

/** Nothing to write back: the state is in memory. */
const CLEAN: readonly number[] = [];

/** Where the code for a record begins. */
export interface Mark {
  /** Bytes from the start of the function's code, locals excluded. */
  readonly offset: number;
  /** The block; absent where the code behind all blocks begins. */
  readonly block?: RegionBlock;
  /** Word index of the record. */
  readonly at: number;
}

/** Emits one region. */
export class Emitter implements Body {
  readonly w: BodyWriter;
  readonly layout: EmitLayout;
  readonly boxed = new Set<number>();
  readonly registers: Registers;
  readonly limits = new Map<Limit, number>();
  readonly tlb: number = -1;
  readonly pageCache: PageCache | undefined;
  /** Filled, if set before {@linkcode emit}, in the order of the code. */
  marks: Mark[] | undefined;
  readonly #region: Region;
  readonly #liveness: Liveness;
  readonly #scratch = new Map<string, number>();
  /** Whether addresses have 64 bits: system mode. */
  readonly #wide: boolean;
  readonly #webs: Webs | undefined;
  readonly #extents = new Map<number, Extent>();
  readonly #groups: ReadonlyMap<number, Group>[];
  /** Bytes on the host's stack. */
  #frame = 0;
  /** Labels: leave with memory as it is; and by what is to be written back, which take the result from the stack. */
  #leave = 0;
  readonly #exits = new Map<readonly number[], number>();
  /** The same for jumps to other regions. */
  readonly #jumps = new Map<readonly number[], number>();
  readonly #loopLabels = new Map<RegionBlock, number>();
  /** Locals with the index of the target that a dispatcher goes to next. */
  readonly #dispatch = new Map<RegionBlock, number>();
  readonly #mergeLabels = new Map<RegionBlock, number>();

  /** Prepares to write a region's function to `w`. */
  constructor(region: Region, layout: EmitLayout, w: BodyWriter = new BodyWriter()) {
    this.w = w;
    this.#wide = layout.system !== undefined;
    w.start(functionType(this.#wide).params.length);
    w.nameLocal(PC, "pc");
    w.nameLocal(DEPTH, "depth");
    w.nameLocal(FUEL, "fuel");
    this.layout = layout;
    this.#region = region;
    this.#liveness = findLiveness(region);
    this.registers = new Registers(w, region, this.#liveness.slots);
    this.#groups = region.blocks.map((block) => findGroups(block, layout.system));
    if (this.#wide && region.blocks.some(accessesMemory)) {
      this.tlb = w.local(ValType.i32, "tlb");
      const checks = (block: RegionBlock) => {
        const firsts = [...this.#groups[block.index].values()].map(({ first }) => first);
        return new Set(firsts);
      };
      this.pageCache = new PageCache(
        region,
        checks,
        () => ({ tag: w.local(ValType.i64, "page"), addend: w.local(ValType.i32, "addend") }),
      );
    }
    if (!this.#wide) {
      this.#webs = findWebs(region);
      region.blocks.forEach((block, i) => {
        for (const { first, rights, span } of this.#groups[i].values()) {
          this.extent(block, first, rightOf(rights), span);
        }
      });
    }
    for (const block of region.blocks) {
      const { ir: { code }, terminator, ending } = block;
      if (ending === Ending.DISPATCH) this.#dispatch.set(block, w.local(ValType.i32, "dispatch"));
      for (let at = 0; at < terminator; at += WORDS) {
        const limit = limitOf(code[at]) ?? vectorLimitOf(code[at]);
        if (limit !== undefined && !this.limits.has(limit)) {
          this.limits.set(limit, w.local(ValType.i32, limit));
        }
      }
    }
  }

  /** The function's body. */
  emit(): BodyWriter {
    const { w, registers } = this;
    this.#frame = FRAME_BYTES +
      8 * (this.#liveness.slots.length + findPairs(this.#region).size);
    this.#leave = w.block();
    const sets = new Set(this.#liveness.flows.map(({ save }) => save));
    for (const set of sets) {
      const address = this.#wide ? ValType.i64 : ValType.i32;
      this.#exits.set(set, w.block(address));
      if (this.#needsJump(set)) this.#jumps.set(set, w.block(address));
    }
    this.#load(this.#region.blocks[0]);
    this.#tree(this.#region.blocks[0]);
    w.op(Op.unreachable);
    this.marks?.push({ offset: w.length, at: 0 });
    for (const set of [...sets].reverse()) {
      if (this.#jumps.has(set)) {
        w.end();
        w.localSet(PC);
        registers.save(set);
        this.#jump();
      }
      w.end();
      w.localSet(PC);
      registers.save(set);
      w.br(w.depthTo(this.#leave));
    }
    w.end();
    w.localGet(PC);
    w.localGet(FUEL);
    return w;
  }

  scratch(name: string, type: number): number {
    let local = this.#scratch.get(name);
    if (local === undefined) this.#scratch.set(name, local = this.w.local(type, name));
    return local;
  }

  extent(block: RegionBlock, at: number, right: number, span: number): Extent {
    const key = this.#webs!(block, at) * 4 + right;
    let extent = this.#extents.get(key);
    // Atomics, which are no groups, are at most 8 bytes.
    if (!extent) this.#extents.set(key, extent = { offset: this.layout.extent(), slack: 8 });
    extent.slack = Math.max(extent.slack, span);
    return extent;
  }

  /** Reads what a block wants of the registers. */
  #load(block: RegionBlock): void {
    this.registers.load(this.#liveness.flows[block.index].load);
    loadLimits(this);
    if (this.tlb >= 0) loadTlb(this);
  }

  // ---- control flow ----

  #tree(block: RegionBlock): void {
    const { w } = this;
    if (block.loop) {
      for (const { tag } of this.pageCache?.inLoop(block) ?? []) {
        w.i64Const(NO_PAGE);
        w.localSet(tag);
      }
      this.#loopLabels.set(block, w.loop());
    }
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

  /** Leaves with the result on the stack, after writing back `save`. */
  #exit(save: readonly number[]): void {
    const { w } = this;
    const label = this.#exits.get(save);
    if (label !== undefined) return w.br(w.depthTo(label));
    w.localSet(PC);
    w.br(w.depthTo(this.#leave));
  }

  /** Whether a block with this set to write back goes to other regions, other than by calls. */
  #needsJump(set: readonly number[]): boolean {
    return this.#region.blocks.some((block) => {
      if (this.#liveness.flows[block.index].save !== set) return false;
      const { ending, ir: { code }, terminator } = block;
      return (ending < Ending.CALL && block.successors.includes(undefined)) ||
        ending === Ending.RETURN || ending === Ending.SWITCH ||
        (ending === Ending.INDIRECT && code[terminator + 3] !== JumpHint.CALL);
    });
  }

  /** Goes to the compiled code for `pc` in place of this function, with all state in memory; leaves without. */
  #jump(): void {
    const { w } = this;
    w.localGet(FUEL);
    w.i32Const(0);
    w.op(Op.i32_lt_s);
    w.brIf(w.depthTo(this.#leave));
    this.#lookUp(CLEAN);
    w.localGet(PC);
    w.localGet(DEPTH);
    w.localGet(FUEL);
    w.localGet(this.scratch("index", ValType.i32));
    w.returnCallIndirect(this.layout.type);
  }

  /** Whether a function may return this guest address itself: without system mode it must have at most 31 bits. */
  #isPlain(pc: number): boolean {
    return this.#wide || (pc >= 0 && pc < 0x8000_0000);
  }

  /** Pushes a guest address that is plain. */
  #address(pc: number): void {
    if (this.#wide) this.#address64(pc);
    else this.w.i32Const(pc);
  }

  #address64(pc: number): void {
    this.w.i64Const(pc | 0, Math.floor(pc / TWO32) | 0);
  }

  /** Pushes the number of an exit. */
  #exitNumber(number: number): void {
    if (this.#wide) this.w.i64Const(number, WIDE_EXIT);
    else this.w.i32Const(number);
  }

  /** Leaves to a constant guest address. */
  #exitTo(pc: number, save: readonly number[], reason: ExitReason): void {
    if (pc === COMPUTED_TARGET) this.w.localGet(PC);
    else if (this.#isPlain(pc)) this.#address(pc);
    else this.#exitNumber(this.layout.exit(pc, 0, reason));
    this.#exit(save);
  }

  /** What is to be written back where a block is left at its end. */
  #saveAtEnd(block: RegionBlock): readonly number[] {
    const written = block.ending >= Ending.CALL;
    return written ? CLEAN : this.#liveness.flows[block.index].save;
  }

  /** Goes from a block to a successor. */
  #edge(from: RegionBlock, which: number): void {
    const { w } = this, to = from.successors[which];
    if (to === undefined) {
      const pc = from.targets[which], label = this.#jumps.get(this.#saveAtEnd(from));
      if (pc === COMPUTED_TARGET) w.localGet(PC);
      else if (label === undefined || !this.#isPlain(pc)) {
        return this.#exitTo(pc, this.#saveAtEnd(from), "target");
      } else this.#address(pc);
      return w.br(w.depthTo(label!));
    }
    if (to.ending === Ending.DISPATCH) {
      w.i32Const(to.targets.indexOf(from.targets[which]));
      w.localSet(this.#dispatch.get(to)!);
    }
    if (isBackEdge(from, to)) {
      // Back edges bound every stay: V8 swaps in optimised code only at a new call.
      this.#exitWithoutFuel(from.targets[which], this.#saveAtEnd(from));
      return w.br(w.depthTo(this.#loopLabels.get(to)!));
    }
    const label = this.#mergeLabels.get(to);
    if (label !== undefined) w.br(w.depthTo(label));
    else this.#tree(to);
  }

  #block(block: RegionBlock): void {
    const { w } = this, { ir, terminator } = block, { code } = ir;
    const { save } = this.#liveness.flows[block.index];
    this.boxed.clear();
    if (ir.count > 0) {
      w.localGet(FUEL);
      w.i32Const(ir.count);
      w.op(Op.i32_sub);
      w.localSet(FUEL);
    }
    const groups = this.#groups[block.index];
    for (let at = 0; at < terminator; at += WORDS) {
      this.marks?.push({ offset: w.length, block, at });
      this.#clears(block, at + WORDS);
      if (emitLowWord(this, block, at)) {
        at += WORDS;
        this.boxed.delete(code[at + 1]);
        if (this.registers.clearing >= 0) at += WORDS;
        continue;
      }
      this.#clears(block, at);
      const written = emitInteger(this, code, at) || emitMemory(this, block, at, groups) ||
        emitFloat(this, block, at) || (this.#wide && emitSystem(this, block, at)) ||
        emitVector(this, block, at);
      if (!written) this.step(block, at);
      const { clearing } = this.registers;
      if (FIELDS[code[at]].writes) {
        if (makesBoxed(block, at)) this.boxed.add(code[at + 1]);
        else for (const slot of slotsWritten(code, at, FIELDS[code[at]])) this.boxed.delete(slot);
      }
      if (clearing >= 0) at += WORDS;
    }
    this.registers.clearing = -1;
    this.marks?.push({ offset: w.length, block, at: terminator });
    switch (block.ending) {
      case Ending.JUMP:
        return this.#edge(block, 0);
      case Ending.BRANCH:
        this.registers.get(code[terminator + 2]);
        this.registers.get(code[terminator + 3]);
        w.op(BRANCH.get(code[terminator])!);
        w.if();
        this.#edge(block, 0);
        w.else();
        this.#edge(block, 1);
        w.end();
        return w.op(Op.unreachable);
      case Ending.DISPATCH: {
        const last = block.targets.length - 1;
        block.targets.forEach(() => w.block());
        w.localGet(this.#dispatch.get(block)!);
        w.brTable([...Array(last).keys()], last);
        return block.targets.forEach((_, i) => {
          w.end();
          this.#edge(block, i);
        });
      }
      case Ending.COMPUTED:
        this.#target(block);
        return this.#edge(block, 0);
      case Ending.SWITCH:
        return this.#switch(block);
      case Ending.RETURN:
        this.#pushTarget(block);
        this.#address64(block.targets[0]);
        w.op(Op.i64_eq);
        w.if();
        this.#edge(block, 0);
        w.else();
        this.#indirect(block);
        w.end();
        return w.op(Op.unreachable);
      case Ending.CALL:
        if (!this.#isPlain(block.callee)) return this.#exitTo(block.callee, save, "target");
        this.#address(block.callee);
        w.localSet(PC);
        return this.#call(block);
      case Ending.CALL_INDIRECT:
        this.#target(block);
        return this.#call(block);
      case Ending.INDIRECT:
        return this.#indirect(block);
      case Ending.BACKDOOR:
        return this.#backdoor(block);
      default:
        // A trap: its instruction is the interpreter's.
        return this.leave(block, terminator, "trap");
    }
  }

  /** Leaves to the address in `pc` if a condition holds. */
  #exitIf(condition: () => void, save: readonly number[]): void {
    const { w } = this;
    condition();
    w.hint(false);
    w.if();
    w.localGet(PC);
    this.#exit(save);
    w.end();
  }

  leave(block: RegionBlock, at: number, reason: ExitReason): void {
    const { ir } = block, index = ir.insns[at / WORDS];
    this.#exitNumber(this.layout.exit(ir.pcs[index], ir.count - index, reason));
    this.#exit(this.#liveness.flows[block.index].save);
  }

  leaveAfter(block: RegionBlock, at: number, reason: ExitReason): void {
    const { ir } = block, done = ir.insns[at / WORDS] + 1;
    const next = ir.pcs[done] ?? ir.pc + ir.bytes;
    this.#exitNumber(this.layout.exit(next, ir.count - done, reason));
    this.#exit(this.#liveness.flows[block.index].save);
  }

  callStep(block: RegionBlock, at: number, counts: boolean): void {
    const { w } = this;
    if (counts) {
      // Counters want the fuel at the start of the block, of which all instructions were paid for.
      w.i32Const(0);
      w.localGet(FUEL);
      w.i32Const(block.ir.count);
      w.op(Op.i32_add);
      w.store(Op.i32_store, 2, this.layout.fuel);
    }
    w.i32Const(this.layout.codeIndex(block) + at);
    w.call(this.layout.step);
  }

  saveAll(block: RegionBlock): void {
    this.registers.save(this.#liveness.flows[block.index].save);
  }

  loadAll(): void {
    this.registers.load(this.#liveness.slots.filter((slot) => !isTemporary(slot)));
    this.boxed.clear();
  }

  /** Pushes the 64-bit target of an indirect jump. */
  #pushTarget({ ir: { code }, terminator: at }: RegionBlock): void {
    this.registers.get(code[at + 2]);
    this.w.i64Const(code[at + 4], code[at + 5]);
    this.w.op(Op.i64_and);
  }

  /** Ends a block by an indirect jump that is no call. */
  #indirect(block: RegionBlock): void {
    const { w } = this, { ir: { code }, terminator } = block;
    const { save } = this.#liveness.flows[block.index];
    this.#target(block);
    w.localGet(PC);
    if (code[terminator + 3] === JumpHint.RETURN) {
      // Somebody's call waits for it, unless there is nobody.
      w.localGet(DEPTH);
      w.brIf(w.depthTo(this.#exits.get(save)!));
    }
    w.br(w.depthTo(this.#jumps.get(save)!));
  }

  /** Goes to the target that is in `pc`, and leaves if it is not in the region. */
  #switch(block: RegionBlock): void {
    const { w } = this, { targets } = block, low = targets[0];
    // In steps as wide as all distances allow.
    let bits = 0;
    for (const pc of targets) bits |= pc - low;
    const shift = bits === 0 ? 0 : 31 - Math.clz32(bits & -bits);
    const cases: number[] = Array((bits === 0 ? 0 : targets[targets.length - 1] - low) >> shift);
    cases.fill(targets.length);
    targets.forEach((pc, i) => cases[(pc - low) >> shift] = i);
    for (let i = 0; i <= targets.length; i++) w.block();
    w.localGet(PC);
    w.i32Const(low);
    w.op(Op.i32_sub);
    if (shift > 0) {
      // Rotated, so that bits that no target has make numbers that are too large.
      w.i32Const(shift);
      w.op(Op.i32_rotr);
    }
    w.brTable(cases, targets.length);
    targets.forEach((_, i) => {
      w.end();
      this.#edge(block, i);
    });
    w.end();
    w.localGet(PC);
    w.br(w.depthTo(this.#jumps.get(this.#saveAtEnd(block))!));
  }

  /** Puts the target of an indirect jump into `pc`; leaves at once if it has too many bits. */
  #target(block: RegionBlock): void {
    const { w } = this;
    const address = this.scratch("address", ValType.i64);
    this.#pushTarget(block);
    w.localTee(address);
    if (!this.#wide) w.op(Op.i32_wrap_i64);
    w.localSet(PC);
    w.localGet(address);
    if (this.#wide) {
      // Numbers hold what differs from its 53 low bits, sign-extended, in nothing.
      w.i64Const(0, 1 << 20);
      w.op(Op.i64_add);
      w.i64Const(53);
    } else w.i64Const(31);
    w.op(Op.i64_shr_u);
    w.i64Const(0);
    w.op(Op.i64_ne);
    w.hint(false);
    w.if();
    w.i32Const(0);
    w.localGet(address);
    w.store(Op.i64_store, 3, this.layout.exitPc);
    this.#exitNumber(FAR_EXIT);
    this.#exit(this.#liveness.flows[block.index].save);
    w.end();
  }

  /** Finds the table index for `pc` in the cache of targets; leaves to it if it is not there. */
  #lookUp(save: readonly number[]): void {
    const { w } = this, { targets, targetEntries, system } = this.layout;
    const index = this.scratch("index", ValType.i32);
    w.localGet(PC);
    if (this.#wide) w.op(Op.i32_wrap_i64);
    w.i32Const(1);
    w.op(Op.i32_shr_u);
    w.i32Const(targetEntries - 1);
    w.op(Op.i32_and);
    if (system) {
      w.i32Const(0);
      w.load(Op.i32_load, 2, system.context);
      w.i32Const(Math.log2(targetEntries));
      w.op(Op.i32_shl);
      w.op(Op.i32_or);
    }
    w.i32Const(system ? 4 : 3);
    w.op(Op.i32_shl);
    w.localSet(index);
    this.#exitIf(() => {
      w.localGet(index);
      w.load(system ? Op.i64_load : Op.i32_load, system ? 3 : 2, targets);
      w.localGet(PC);
      w.op(system ? Op.i64_ne : Op.i32_ne);
    }, save);
    w.localGet(index);
    w.load(Op.i32_load, 2, targets + (system ? 8 : 4));
    w.localSet(index);
  }

  /** Calls the function for guest address `pc`, and goes on behind it. */
  #call(block: RegionBlock): void {
    const { w, layout } = this, { save, dirty } = this.#liveness.flows[block.index];
    // Out of fuel or stack: leave to the callee instead.
    this.#exitIf(() => {
      w.localGet(FUEL);
      w.i32Const(MAX_STACK - this.#frame);
      w.localGet(DEPTH);
      w.op(Op.i32_sub);
      w.op(Op.i32_or);
      w.i32Const(0);
      w.op(Op.i32_lt_s);
    }, save);
    const callee = block.ending === Ending.CALL ? layout.callee(block.callee) : undefined;
    if (!callee) this.#lookUp(save);
    this.registers.save(dirty);
    w.localGet(PC);
    w.localGet(DEPTH);
    w.i32Const(this.#frame);
    w.op(Op.i32_add);
    w.localGet(FUEL);
    if (callee && "func" in callee) w.call(callee.func);
    else {
      if (callee) w.i32Const(callee.table);
      else w.localGet(this.scratch("index", ValType.i32));
      w.callIndirect(layout.type);
    }
    w.localSet(FUEL);
    const next = block.successors[0];
    if (next === undefined) {
      w.localSet(PC);
      return w.br(w.depthTo(this.#leave));
    }
    w.localTee(PC);
    this.#address(block.targets[0]);
    w.op(this.#wide ? Op.i64_ne : Op.i32_ne);
    w.hint(false);
    w.brIf(w.depthTo(this.#leave));
    // A loop's start asks for itself.
    if (!isBackEdge(block, next)) this.#exitWithoutFuel(block.targets[0], CLEAN);
    this.#load(next);
    this.#edge(block, 0);
  }

  /** Has the host answer a backdoor call, with all state in memory, and goes on behind it. */
  #backdoor(block: RegionBlock): void {
    const { w, layout } = this, next = block.successors[0];
    this.registers.save(this.#liveness.flows[block.index].dirty);
    w.i32Const(0);
    w.localGet(FUEL);
    w.store(Op.i32_store, 2, layout.fuel);
    w.i32Const(layout.codeIndex(block) + block.terminator);
    w.call(layout.backdoor);
    w.i32Const(0);
    w.load(Op.i32_load, 2, layout.fuel);
    w.localSet(FUEL);
    w.hint(false);
    w.if();
    // Where to go on the engine knows.
    this.#exitNumber(layout.exit(block.targets[0], 0, "backdoor"));
    this.#exit(CLEAN);
    w.end();
    if (next) this.#load(next);
    this.#edge(block, 0);
  }

  /** Leaves to a guest address if the fuel is used up. */
  #exitWithoutFuel(pc: number, save: readonly number[]): void {
    const { w } = this;
    w.localGet(FUEL);
    w.i32Const(0);
    w.op(Op.i32_lt_s);
    w.hint(false);
    w.if();
    this.#exitTo(pc, save, "fuel");
    w.end();
  }

  /** Finds out whether the record behind one that writes the low half of a vector makes the other half 0. */
  #clears({ ir: { code, insns }, terminator }: RegionBlock, at: number): void {
    const { registers } = this, next = at + WORDS, d = code[at + 1];
    registers.clearing = -1;
    if (next >= terminator || !registers.isHalf(d) || (d & 1) !== 0) return;
    const { writes, pairs } = FIELDS[code[at]];
    if (!writes || pairs.includes(1) || code[next] !== Ir.const || code[next + 1] !== d + 1) return;
    if ((code[next + 4] | code[next + 5]) !== 0) return;
    // An instruction that begins between them could be left at its start.
    if (insns[at / WORDS] === insns[next / WORDS]) registers.clearing = d;
  }

  step(block: RegionBlock, at: number): void {
    const { w, registers } = this, { code } = block.ir, { effect } = OPS[code[at]];
    const fields = FIELDS[code[at]];
    if (effect === Effect.LOAD || effect === Effect.STORE) {
      return this.leave(block, at, "op");
    }
    const written = slotsWritten(code, at, fields);
    // A half that is written leaves the other as it is.
    const halves = written.filter((slot) => !fields.pairs.includes(1) && registers.isHalf(slot));
    registers.save([...slotsRead(code, at, fields), ...halves]);
    this.callStep(block, at, effect === Effect.STATE);
    if (effect === Effect.FLOAT) {
      w.hint(false);
      w.if();
      this.leave(block, at, "float");
      w.end();
    } else w.op(Op.drop);
    registers.load(written);
    if (effect === Effect.FLOAT || effect === Effect.STATE) loadLimits(this);
  }
}
