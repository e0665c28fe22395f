/**
 * One virtual CPU: translates guest code, runs it in the tiers, and says why it stopped.
 *
 * @module
 */
import { type AddressSpace, Page } from "../../mmu/address_space.ts";
import { PAGE_SIZE } from "../../mmu/arena.ts";
import {
  ALL_PASSES,
  Builder,
  type IrBlock,
  MAX_BLOCK_INSNS,
  type PassOptions,
} from "../ir/builder.ts";
import { Op, Slot, Trap, WORDS } from "../ir/ops.ts";
import type { Isa, RegisterInfo } from "../isa/isa.ts";
import { collectRegions } from "./region/batch.ts";
import { type CachedBlock, CodeCache } from "./code_cache.ts";
import { Exit } from "./exits.ts";
import { Interpreter } from "./interpreter/interp.ts";
import { RareOps } from "./interpreter/rare.ts";
import { RegisterFile } from "./register_file.ts";
import type { RegionBlock } from "./region/region.ts";
import { SlowMemory, type StoreHook } from "./interpreter/slow_memory.ts";
import { makeSoftFloat } from "./softfloat/softfloat.ts";
import {
  type CodePlace,
  type CompilingTier,
  EXIT_PC_SLOT,
  FUEL_WORD,
  type TierFactory,
} from "./tier.ts";

/** Why {@linkcode Cpu.run} returned, besides the `Trap` reasons (which are positive). */
export const Stop = {
  /** The limit of instructions is reached. */
  LIMIT: 0,
  /** A store hook asked to leave; the store is done. */
  HOOK: -1,
} as const;

/** Options of a CPU. */
export interface CpuOptions {
  /** Optimisation passes; default all. */
  passes?: PassOptions;
  /** Seconds since a fixed point, for guest-visible clocks. */
  seconds?: () => number;
  /** Makes a tier that compiles hot regions; without it everything is interpreted. */
  tier?: TierFactory;
  /** How often the clock must find execution at an address until it is compiled; 0: at its first execution. */
  heat?: number;
  /** Called before each instruction, if given (slow: one instruction at a time). */
  trace?: ((pc: number) => void) | undefined;
}

const TWO32 = 0x1_0000_0000;
/**
 * Most instructions in one stay in the interpreter: V8 replaces a running function by its optimised version only at
 * its next call (on-stack replacement gives code that is half as fast).
 */
const MAX_FUEL = 20_000;
/** Most instructions in one stay in compiled code. */
const TIER_FUEL = 1_000_000;
/** Compiled code looks at its fuel at back edges and calls only, so it may overrun by this many instructions. */
const TIER_RESERVE = 4096;
/** Most addresses whose heat is known; then all are forgotten. */
const MAX_SAMPLES = 1 << 16;
/**
 * Default of {@linkcode CpuOptions.heat}. Measured on eight programs of some 0.02 s native, CPU time relative to 2: after
 * the first sample 1.7, 3 samples 1.04, 6 samples 1.10, 12 samples 1.11.
 */
const HEAT = 2;
/** Stays in a tier that end at an address, or began there, until the upper tier gets its region. */
const UPPER_HEAT = 8;
/** What it counts to be left by the upper tier for a lower one. */
const LEFT_HEAT = 1 / 64;
const STATE_SLOTS = [
  Slot.FP_FLAGS,
  Slot.FP_RM,
  Slot.FP_FAST,
  Slot.FP_STYLE,
  Slot.EXCLUSIVE_ADDRESS,
  Slot.EXCLUSIVE_VALUE,
];

/** First and last page of a compiled region, and where its code is entered. */
interface CompiledRegion {
  readonly first: number;
  readonly last: number;
  readonly entries: readonly number[];
}

/** A CPU of some instruction set on an address space. */
export class Cpu {
  readonly isa: Isa;
  readonly space: AddressSpace;
  /** Guest state as signed 64-bit cells. */
  readonly slots: BigInt64Array<ArrayBuffer>;
  /** Guest state as 32-bit words. */
  readonly words: Int32Array<ArrayBuffer>;
  /** Translated blocks. */
  readonly cache: CodeCache;
  /** Address of the last fault, unsigned. */
  faultAddress = 0n;
  /**
   * Answers a `Trap.BACKDOOR` without a return from {@linkcode Cpu.run}, which otherwise comes then with that reason.
   *
   * @returns Whether the guest goes on at once, where {@linkcode Cpu.finishTrap} would let it.
   */
  onBackdoor: () => boolean = () => false;
  /** See {@linkcode CpuOptions.trace}. */
  trace: ((pc: number) => void) | undefined;
  readonly #builder: Builder;
  readonly #slow: SlowMemory;
  readonly #interp: Interpreter;
  readonly #registers: RegisterFile;
  readonly #stepBlocks = new Map<number, CachedBlock>();
  #pc = 0;
  #pcWritten = false;
  /** The pc exactly, while it is an address that a number can't hold. */
  #far: bigint | undefined;
  #nextPc = 0;
  /** Code index at which to go on if the pc is still `#resumePc`. */
  #resumeIp = -1;
  #resumePc = 0;
  #resumeGeneration = 0;
  #retired = 0;
  #startFuel = 0;
  #tier: CompilingTier | undefined;
  readonly #heatLimit: number;
  readonly #heat = new Map<number, number>();
  /** What each tier has, by the address it was compiled for. */
  readonly #regions = new Map<number, CompiledRegion>();
  #tierRetired = 0;
  /** The tier for the hottest code, preferred where it has code. */
  #upper: CompilingTier | undefined;
  readonly #upperRegions = new Map<number, CompiledRegion>();
  readonly #upperHeat = new Map<number, number>();
  #upperRetired = 0;
  /** Counts changes of translated code. */
  #changes = 0;
  /** Why compiled code must leave, if a backdoor call said so. */
  #leaving: number | undefined;

  constructor(isa: Isa, space: AddressSpace, options: CpuOptions = {}) {
    this.isa = isa;
    this.space = space;
    this.cache = new CodeCache(space.arena);
    this.slots = space.arena.q;
    this.words = space.arena.r;
    this.trace = options.trace;
    this.#builder = new Builder(options.passes ?? ALL_PASSES);
    this.#slow = new SlowMemory(space);
    const float = makeSoftFloat(space.arena);
    const rare = new RareOps(space.arena, this.#slow, float, {
      instructionsAt: (ip) => this.#instructionsAt(ip),
      seconds: options.seconds ?? (() => performance.now() / 1000),
    });
    this.#interp = new Interpreter(space.arena, this.#slow, rare, float);
    this.slots[Slot.EXCLUSIVE_ADDRESS] = -1n;
    this.slots[Slot.FP_STYLE] = BigInt(isa.floatStyle ?? 0);
    this.#heatLimit = options.heat ?? HEAT;
    if (options.tier) this.addTier(options.tier);
    this.cache.onDrop = () => {
      this.#interp.jumpCache.fill(-1);
      this.#stepBlocks.clear();
    };
    this.cache.onFlush = () => {
      this.#changes++;
      this.#dropRegions(0, Infinity);
    };
    space.onRightsLost = () => {
      this.#tier?.forgetRights();
      this.#upper?.forgetRights();
    };
    space.onCodeChange = (first, last) => {
      this.#changes++;
      this.#dropRegions(first, last);
      this.cache.invalidate(first, last);
    };
    this.#registers = new RegisterFile(isa, this.slots);
  }

  /**
   * Adds a compiling tier, if it was not given at the start. A second one gets what is hottest in the first.
   *
   * @throws {Error} If there are two.
   */
  addTier(factory: TierFactory): void {
    if (this.#upper) throw new Error(`Cannot add a tier: there is ${this.#upper.name} already`);
    const tier: CompilingTier = factory({
      step: (codeIndex) => this.#interp.step(codeIndex),
      backdoor: (codeIndex) => this.#answerBackdoor(codeIndex),
      dropped: (pc) => this.#forgetRegion(pc),
      lift: (pc, limit) => this.#lift(pc, limit),
      entries: () => this.#regions.keys(),
      ready: (pc) => this.#ready(pc),
      compile: (pc) => this.#compile(pc, tier),
      adopt: (pc, blocks, entries) => {
        this.#note(pc, blocks, entries, tier);
        this.#ready(pc);
      },
    });
    if (this.#tier) this.#upper = tier;
    else this.#tier = tier;
  }

  /** Takes stores to readable, unwritable pages. */
  set storeHook(hook: StoreHook) {
    this.#slow.storeHook = hook;
  }

  /** Address of the current instruction (of the trapping one, after a trap), as a signed number. */
  get pc(): number {
    return this.#pc;
  }
  /** Goes on at another address. */
  set pc(value: number) {
    this.#pc = value;
    this.#far = undefined;
    this.#pcWritten = true;
  }

  /** After a trap was handled: goes on after its instruction, unless somebody wrote the pc. */
  finishTrap(): void {
    if (!this.#pcWritten) this.#pc = this.#nextPc;
    this.#pcWritten = false;
  }

  /** Guest instructions executed so far. */
  get instructions(): number {
    return this.#retired;
  }

  /** Guest instructions executed by the compiling tiers. */
  get tierInstructions(): number {
    return this.#tierRetired;
  }

  /** Those of them that the second tier executed. */
  get upperInstructions(): number {
    return this.#upperRetired;
  }

  /** The compiling tier, if there is one. */
  get tier(): CompilingTier | undefined {
    return this.#tier;
  }

  /** The second compiling tier, if there is one. */
  get upperTier(): CompilingTier | undefined {
    return this.#upper;
  }

  /** The tier that runs what is at a guest address, if one has it. */
  #tierOf(pc: number): CompilingTier | undefined {
    if (this.#upper?.has(pc)) return this.#upper;
    return this.#tier?.has(pc) ? this.#tier : undefined;
  }

  /** A register's description. @throws {RangeError} For an unknown name. */
  register(name: string): RegisterInfo {
    return this.#registers.info(name);
  }

  /** Value of a register, unsigned. @throws {RangeError} For an unknown name. */
  getRegister(name: string): bigint {
    if (name === "pc") return this.#far ?? BigInt.asUintN(this.isa.xlen, BigInt(this.#pc));
    return this.#registers.get(name);
  }

  /** Writes a register, modulo its width. @throws {RangeError} For an unknown name. */
  setRegister(name: string, value: bigint | number): void {
    const big = BigInt(value);
    if (name === "pc") {
      const pc = this.isa.xlen === 32 ? BigInt.asUintN(32, big) : BigInt.asIntN(64, big);
      this.pc = Number(pc);
      if (!Number.isSafeInteger(this.#pc)) this.#far = BigInt.asUintN(64, pc);
      return;
    }
    this.#registers.set(name, big);
  }

  /** All guest state, to compare or keep: slots and the state that every ISA shares. */
  snapshot(): BigInt64Array {
    const copy = new BigInt64Array(this.isa.slotCount + STATE_SLOTS.length);
    copy.set(this.slots.subarray(0, this.isa.slotCount));
    STATE_SLOTS.forEach((slot, i) => copy[this.isa.slotCount + i] = this.slots[slot]);
    return copy;
  }

  #fetch = (address: number): number => {
    if (address < 0 || (address & 1) !== 0 || address >= this.space.size) return -1;
    const { pages, m16 } = this.space.arena;
    return (pages[address >>> 12] & Page.EXEC) === 0 ? -1 : m16[address >>> 1];
  };

  /** Assembly text of the instruction at `pc`. */
  disassemble(pc: number): { length: number; bits: number; text: string } {
    return this.isa.disassemble(pc, this.#fetch);
  }

  /**
   * Lifts a block of at most `limit` instructions at `pc`; undefined if the first can't be fetched (see
   * {@linkcode Cpu.faultAddress}).
   */
  lift(pc: number, limit = MAX_BLOCK_INSNS): IrBlock | undefined {
    const builder = this.#builder;
    builder.start(pc);
    const pageEnd = (Math.floor(pc / PAGE_SIZE) + 1) * PAGE_SIZE;
    let at = pc;
    for (let count = 0; !builder.ended; count++) {
      if (count === limit || at >= pageEnd) {
        builder.jump(at);
        break;
      }
      builder.begin(at);
      const length = this.isa.lift(builder, at, this.#fetch);
      if (length <= 0) {
        // Memory may become executable later: a fetch fault is never translated, the block ends before it.
        if (count === 0) {
          this.faultAddress = BigInt.asUintN(64, BigInt(pc) - BigInt(length));
          return undefined;
        }
        builder.cancel();
        builder.jump(at);
        break;
      }
      builder.end();
      at += length;
    }
    return builder.finish(at - pc);
  }

  /** Lifts a block and places it in the cache; undefined if it can't be fetched. */
  translate(pc: number, limit = MAX_BLOCK_INSNS): CachedBlock | undefined {
    const ir = this.lift(pc, limit);
    if (!ir) return undefined;
    const block = this.#install(ir, limit > 1);
    if (limit === 1) this.#stepBlocks.set(pc, block);
    return block;
  }

  /**
   * The translated blocks as bytes, for {@linkcode Cpu.restoreCode} in another run of the same program.
   *
   * @param keep Says whether a block's guest code is as the program has it, at the start of every run.
   */
  storeCode(keep: (block: IrBlock) => boolean): Uint8Array<ArrayBuffer> {
    return this.cache.store(keep);
  }

  /**
   * Takes the blocks of an earlier run instead of translating them, before the first instruction.
   *
   * @param bytes What {@linkcode Cpu.storeCode} returned, for the same program, translator and passes.
   * @throws {RangeError} If the bytes have another format.
   */
  restoreCode(bytes: Uint8Array<ArrayBuffer>): void {
    for (const page of this.cache.restore(bytes)) this.space.watch(page);
  }

  #install(ir: IrBlock, find: boolean): CachedBlock {
    const block = this.cache.install(ir, find);
    const first = Math.floor(ir.pc / PAGE_SIZE);
    this.space.watch(first);
    if (ir.pc + ir.bytes > (first + 1) * PAGE_SIZE) this.space.watch(first + 1);
    return block;
  }

  /** Counts that execution was found at `pc`, and compiles what is there once it is hot. */
  #sample(pc: number): void {
    const heat = (this.#heat.get(pc) ?? 0) + 1;
    if (this.#heat.size >= MAX_SAMPLES) this.#heat.clear();
    this.#heat.set(pc, heat);
    if (heat >= this.#heatLimit && this.#tier) this.#compile(pc, this.#tier);
  }

  /** Counts that much of the time in the lower tier is spent at `pc`. */
  #promote(pc: number, by: number): void {
    const upper = this.#upper;
    if (!upper || upper.has(pc)) return;
    const before = this.#upperHeat.get(pc) ?? 0, heat = before + by;
    if (this.#upperHeat.size >= MAX_SAMPLES) this.#upperHeat.clear();
    this.#upperHeat.set(pc, heat);
    if (before < UPPER_HEAT && heat >= UPPER_HEAT) this.#compile(pc, upper);
  }

  /** A block for a region, from the cache if it may have any length. */
  #lift(pc: number, limit?: number): IrBlock | undefined {
    return limit === undefined ? this.cache.get(pc) ?? this.lift(pc) : this.lift(pc, limit);
  }

  /** Where indirect jumps went, as far as it is known. */
  *#jumpTargets(low: number, high: number): Iterable<number> {
    const { jumpCache } = this.#interp;
    for (let at = 0; at < jumpCache.length; at += 4) {
      const pc = jumpCache[at + 1] * TWO32 + (jumpCache[at] >>> 0);
      if (pc >= low && pc <= high) yield pc;
    }
    for (const pc of this.#regions.keys()) if (pc >= low && pc <= high) yield pc;
  }

  /** Compiles what is at `pc`. */
  #compile(pc: number, tier: CompilingTier): void {
    if (this.#tierOf(pc) === tier || this.#upper?.has(pc)) return;
    // As far as they were executed and aren't compiled.
    const executed = (at: number) => this.cache.get(at) !== undefined;
    const wanted = (at: number) => !this.#tierOf(at) && executed(at);
    // Where everything is compiled at once, nothing was executed before.
    const copies = this.#heatLimit === 0 ? () => true : executed;
    const regions = collectRegions(
      pc,
      (at, limit) => this.#lift(at, limit),
      wanted,
      () => tier.copies ? { copies, jumps: (low, high) => this.#jumpTargets(low, high) } : {},
    );
    if (regions.length === 0) return;
    const placed = new Map<IrBlock, number>();
    const { generation } = this.cache;
    const codeIndex = ({ ir }: RegionBlock) => {
      let start = placed.get(ir);
      if (start === undefined) placed.set(ir, start = this.#install(ir, false).start);
      return start;
    };
    const made = tier.add(regions, codeIndex);
    // A tier may decline, or put it off.
    if (!made && !tier.has(pc)) return;
    if (made) this.#note(pc, made.blocks, made.entries, tier);
    else for (const { pc, code } of regions) this.#note(pc, code, [pc], tier);
    if (!this.cache.get(pc)) this.translate(pc);
    if (generation !== this.cache.generation) {
      // The cache started anew on the way: the code indices in the compiled code are stale.
      for (const at of made ? [pc] : regions.map((region) => region.pc)) this.#drop(at, tier);
      return;
    }
    if (!tier.has(pc)) return;
    if (made) this.#ready(pc);
    else for (const region of regions) this.#ready(region.pc);
  }

  /** Remembers where compiled code comes from and is entered, and watches its pages. */
  #note(
    pc: number,
    blocks: readonly CodePlace[],
    entries: readonly number[],
    tier: CompilingTier,
  ): void {
    let first = Infinity, last = 0;
    for (const block of blocks) {
      const from = Math.floor(block.pc / PAGE_SIZE);
      const to = Math.floor((block.pc + block.bytes - 1) / PAGE_SIZE);
      for (let page = from; page <= to; page++) this.space.watch(page);
      first = Math.min(first, from);
      last = Math.max(last, to);
    }
    const regions = tier === this.#upper ? this.#upperRegions : this.#regions;
    regions.set(pc, { first, last, entries });
  }

  /** There is new compiled code for `pc`: makes the interpreter, and a lower tier, leave where it is entered. */
  #ready(pc: number): void {
    const upper = this.#upperRegions.get(pc), region = upper ?? this.#regions.get(pc);
    for (const entry of region?.entries ?? []) {
      if (upper && this.#regions.has(entry)) this.#tier!.drop(entry);
      this.#mark(entry);
    }
  }

  /** Makes the interpreter leave at a block that is compiled, and stay in one that isn't any more. */
  #mark(pc: number): void {
    const start = this.cache.find(pc), { code } = this.cache;
    if (start < 0) return;
    if (this.#tierOf(pc)) code[start] = Op.enter;
    else if (code[start] === Op.enter) code[start] = this.cache.get(pc)!.code[0];
  }

  #drop(pc: number, tier: CompilingTier): void {
    tier.drop(pc);
    if (tier !== this.#upper) return this.#forgetRegion(pc);
    const region = this.#upperRegions.get(pc);
    this.#upperRegions.delete(pc);
    this.#upperHeat.delete(pc);
    for (const entry of region?.entries ?? []) this.#mark(entry);
  }

  #dropRegions(firstPage: number, lastPage: number): void {
    for (const regions of [this.#regions, this.#upperRegions]) {
      const tier = regions === this.#regions ? this.#tier! : this.#upper!;
      for (const [pc, { first, last }] of regions) {
        if (last >= firstPage && first <= lastPage) this.#drop(pc, tier);
      }
    }
  }

  /** The lower tier's code for an address is gone. */
  #forgetRegion(pc: number): void {
    if (!this.#regions.delete(pc)) return;
    this.#heat.delete(pc);
    this.#mark(pc);
  }

  /** Code index of the block at `pc`, which is translated if need be; -1 if it can't be fetched. */
  #find(pc: number): number {
    if (this.#tier && this.#heatLimit === 0) this.#compile(pc, this.#tier);
    const start = this.cache.find(pc);
    if (start < 0) {
      const block = this.translate(pc);
      if (block && this.#upper) this.#mark(pc);
      return block?.start ?? -1;
    }
    // Compiled code may have come or gone since the block was last used.
    this.#mark(pc);
    return start;
  }

  #instructionsAt(ip: number): number {
    const block = this.cache.blockAt(ip);
    return this.#retired + this.#startFuel - this.#interp.fuel + this.cache.insnIndex(block, ip);
  }

  /**
   * Runs until a trap or a fault, a store hook that asks to leave, or `limit` instructions.
   *
   * @param limit Instructions.
   * @param exact Count them exactly; otherwise a few more may be executed, which is cheaper.
   * @returns A `Trap` reason, or one of {@linkcode Stop}; `pc` is where it stands.
   */
  run(limit: number, exact = true): number {
    const end = this.#retired + limit;
    this.#pcWritten = false;
    if (this.trace) return this.#runTraced(end, this.trace);
    const blockReserve = exact ? MAX_BLOCK_INSNS : 0, tierReserve = exact ? TIER_RESERVE : 0;
    while (this.#retired < end) {
      const left = end - this.#retired;
      let reason: number, tier: CompilingTier | undefined;
      if (left < blockReserve || this.#far !== undefined) reason = this.#step();
      else if ((tier = this.#tierOf(this.#pc)) !== undefined) {
        reason = left < tierReserve
          ? this.#step()
          : this.#runTier(tier, Math.min(left - tierReserve, TIER_FUEL));
      } else {
        let ip = this.#resumeIp;
        if (
          ip < 0 || this.#resumePc !== this.#pc || this.#resumeGeneration !== this.cache.generation
        ) {
          ip = this.#find(this.#pc);
          if (ip < 0) return this.#fetchFault(this.#pc);
        }
        reason = this.#execute(ip, Math.min(left - blockReserve, MAX_FUEL));
      }
      if (reason !== Stop.LIMIT) return reason;
    }
    return Stop.LIMIT;
  }

  /** Runs compiled code, as long as there is some where execution goes on. */
  #runTier(tier: CompilingTier, fuel: number): number {
    const words = this.words;
    this.#resumeIp = -1;
    for (;;) {
      this.#startFuel = fuel;
      words[FUEL_WORD] = fuel;
      const start = this.#pc, pc = tier.run(start), left = words[FUEL_WORD];
      this.#countTier(left, tier);
      if (this.#leaving !== undefined) {
        const reason = this.#leaving;
        this.#leaving = undefined;
        return reason;
      }
      this.#pc = pc;
      if (!Number.isSafeInteger(pc)) {
        return this.#goFar(words[EXIT_PC_SLOT * 2], words[EXIT_PC_SLOT * 2 + 1]);
      }
      // What compiled code leaves to the interpreter at its first instruction is executed there.
      if (left === fuel) return this.#step();
      fuel = left;
      if (fuel < 0) {
        if (tier !== this.#upper && this.#upper) {
          this.#promote(pc, 1);
          if (pc !== start) this.#promote(start, 1);
        }
        return Stop.LIMIT;
      }
      if (tier === this.#upper && !tier.has(pc)) this.#promote(pc, LEFT_HEAT);
      // Only now: promoting may have moved the code to another tier.
      const next = this.#tierOf(pc);
      if (next === undefined) {
        this.#sample(pc);
        return Stop.LIMIT;
      }
      tier = next;
    }
  }

  /** Counts what compiled code executed since the last time, when `left` of the fuel is left. */
  #countTier(left: number, tier = this.#tier): void {
    const executed = this.#startFuel - left;
    this.#startFuel = left;
    this.#retired += executed;
    this.#tierRetired += executed;
    if (tier === this.#upper) this.#upperRetired += executed;
  }

  /** Answers a backdoor call of compiled code: 0 if it goes on, else the run loop does. */
  #answerBackdoor(codeIndex: number): number {
    const { code } = this.cache, changes = this.#changes;
    this.#countTier(this.words[FUEL_WORD]);
    this.#pc = code[codeIndex + 5] * TWO32 + (code[codeIndex + 4] >>> 0);
    this.#nextPc = this.#pc + code[codeIndex + 3];
    const goes = this.onBackdoor();
    if (goes && !this.#pcWritten && changes === this.#changes) return 0;
    if (goes) this.finishTrap();
    this.#leaving = goes ? Stop.LIMIT : Trap.BACKDOOR;
    return 1;
  }

  #runTraced(end: number, trace: (pc: number) => void): number {
    while (this.#retired < end) {
      trace(this.#pc);
      const reason = this.#step();
      if (reason !== Stop.LIMIT) return reason;
    }
    return Stop.LIMIT;
  }

  /** Executes one instruction. */
  #step(): number {
    if (this.#far !== undefined) return this.#fetchFault(this.#pc);
    const block = this.#stepBlocks.get(this.#pc) ?? this.translate(this.#pc, 1);
    return block ? this.#execute(block.start, 0, true) : this.#fetchFault(this.#pc);
  }

  /** Runs from a code index, resolving links on the way; `once`: leave at the first link instead. */
  #execute(ip: number, fuel: number, once = false): number {
    const interp = this.#interp, cache = this.cache;
    this.#resumeIp = -1;
    for (;;) {
      this.#startFuel = fuel;
      const exit = interp.run(ip, fuel);
      this.#retired += fuel - interp.fuel;
      fuel = interp.fuel;
      ip = interp.ip;
      switch (exit) {
        case Exit.TRAP: {
          const code = cache.code;
          this.#pc = code[ip + 5] * TWO32 + (code[ip + 4] >>> 0);
          this.#nextPc = this.#pc + code[ip + 3];
          if (code[ip + 2] === Trap.BACKDOOR) {
            const changes = this.#changes;
            if (this.onBackdoor()) {
              if (fuel < 0 || this.#pcWritten || changes !== this.#changes) {
                this.finishTrap();
                return Stop.LIMIT;
              }
              ip += WORDS;
              break;
            }
          }
          this.#resumeIp = ip + WORDS;
          this.#resumePc = this.#nextPc;
          this.#resumeGeneration = cache.generation;
          if (code[ip + 2] === Trap.ILLEGAL) this.#retired--;
          return code[ip + 2];
        }
        case Exit.LINK: {
          const target = cache.linkTarget(ip);
          if (once || fuel < 0) {
            this.#pc = target;
            return Stop.LIMIT;
          }
          const generation = cache.generation;
          const start = this.#find(target);
          if (start < 0) return this.#fetchFault(target);
          if (generation === cache.generation) cache.resolve(ip, start);
          ip = start;
          break;
        }
        case Exit.INDIRECT: {
          const target = this.isa.xlen === 32
            ? interp.targetLo >>> 0
            : interp.targetHi * TWO32 + (interp.targetLo >>> 0);
          if (!Number.isSafeInteger(target)) {
            return this.#goFar(interp.targetLo, interp.targetHi);
          }
          if (once || fuel < 0) {
            this.#pc = target;
            return Stop.LIMIT;
          }
          const start = this.#find(target);
          if (start < 0) return this.#fetchFault(target);
          const entry = ((interp.targetLo >>> 1) & (interp.jumpCache.length / 4 - 1)) * 4;
          interp.jumpCache[entry] = interp.targetLo;
          interp.jumpCache[entry + 1] = interp.targetHi;
          interp.jumpCache[entry + 2] = start;
          ip = start;
          break;
        }
        case Exit.FUEL: {
          const block = cache.blockAt(ip);
          this.#pc = ip === block.start ? block.pc : cache.linkTarget(ip);
          if (this.#tier && !once) this.#sample(this.#pc);
          return Stop.LIMIT;
        }
        case Exit.ENTER:
          this.#pc = cache.blockAt(ip).pc;
          return Stop.LIMIT;
        case Exit.FAULT:
          return this.#fault(ip);
        default:
          return this.#hooked(ip);
      }
    }
  }

  /** Nothing can be fetched at `pc`; `faultAddress` says where exactly, unless the address is far. */
  #fetchFault(pc: number): number {
    this.#pc = pc;
    this.#nextPc = pc;
    if (this.#far !== undefined) this.faultAddress = this.#far;
    return Trap.FETCH_FAULT;
  }

  /** Goes to an address that a number can't hold exactly: there is no memory, but its exact value is to be seen. */
  #goFar(lo: number, hi: number): number {
    const far = BigInt.asUintN(64, BigInt(hi) << 32n | BigInt(lo >>> 0));
    this.#pc = Number(BigInt.asIntN(64, far));
    this.#far = far;
    return Stop.LIMIT;
  }

  /** The record at `ip` faulted. */
  #fault(ip: number): number {
    const block = this.cache.blockAt(ip), index = this.cache.insnIndex(block, ip);
    const slow = this.#slow;
    this.#retired += index;
    this.#pc = block.pcs[index];
    this.#nextPc = this.#pc;
    this.faultAddress = BigInt.asUintN(
      64,
      BigInt(slow.faultHi) << 32n | BigInt(slow.faultLo >>> 0),
    );
    return slow.faultKind;
  }

  /** The store at `ip` is done, and its hook asked to leave. */
  #hooked(ip: number): number {
    const block = this.cache.blockAt(ip), index = this.cache.insnIndex(block, ip);
    this.#slow.leave = false;
    this.#retired += index + 1;
    this.#pc = block.pcs[index];
    this.#nextPc = block.pcs[index + 1] ?? block.pc + block.bytes;
    return Stop.HOOK;
  }
}
