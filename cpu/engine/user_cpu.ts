/**
 * One virtual CPU of user mode: runs guest code in the tiers, and says why it stopped. What translates the code is
 * loaded when there is some that no earlier run has left translated.
 *
 * @module
 */
import type { AddressSpace } from "../../mmu/address_space.ts";
import { PAGE_SIZE } from "../../mmu/arena.ts";
import { ALL_PASSES, type IrBlock, MAX_BLOCK_INSNS, type PassOptions } from "../ir/block.ts";
import { Slot, Trap, WORDS } from "../ir/encoding.ts";
import type { Disassembly, Isa, IsaState, RegisterInfo } from "../isa/isa.ts";
import type { VectorOps } from "./vector/vector.ts";
import { type CachedBlock, CodeCache } from "./code_cache.ts";
import { Exit } from "./exits.ts";
import { Interpreter } from "./interpreter/interp.ts";
import { RareOps } from "./interpreter/rare.ts";
import { RegisterFile } from "./register_file.ts";
import { SlowMemory, type StoreHook } from "./interpreter/slow_memory.ts";
import { FLAG_NV } from "./softfloat/core.ts";
import { makeSoftFloat, type SoftFloat } from "./softfloat/softfloat.ts";
import { type CompilingTier, EXIT_PC_SLOT, type TierFactory } from "./tier.ts";
import { type CompiledEntry, StayEnd, Tiers } from "./tiers.ts";
import type { Translator } from "./translator.ts";
import { UserTiering } from "./user_tiering.ts";

/** Why {@linkcode UserCpu.run} returned, besides the `Trap` reasons (which are positive). */
export const Stop = {
  /** The limit of instructions is reached. */
  LIMIT: 0,
  /** A store hook asked to leave; the store is done. */
  HOOK: -1,
  /** At the pc is code that needs the translator: {@linkcode UserCpu.complete} loads it. */
  UNTRANSLATED: -2,
} as const;

/** Options of a CPU. */
export interface UserCpuOptions {
  /** Optimisation passes; default all. */
  passes?: PassOptions;
  /** Seconds since a fixed point, for guest-visible clocks. */
  seconds?: () => number;
  /** How often the clock must find execution at an address until it is compiled; 0: at its first execution. */
  heat?: number;
  /** Called before each instruction, if given (slow: one instruction at a time). */
  trace?: ((pc: number) => void) | undefined;
  /** Loads the whole instruction set, once. */
  loadIsa?: () => Promise<Isa>;
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
/**
 * Default of {@linkcode UserCpuOptions.heat}. Measured on eight programs of some 0.02 s native, CPU time relative to 2: after
 * the first sample 1.7, 3 samples 1.04, 6 samples 1.10, 12 samples 1.11.
 */
const HEAT = 2;
/** Instructions in the lower tier, by stays that end at an address or began there, until the upper tier gets it. */
const UPPER_HEAT = 8 * TIER_FUEL;
/** In place of the code index of a backdoor call: there is none; its address and length are in the cell `EXIT_PC_SLOT`. */
const NO_CALL = -1, CALL_IN_CELL = -2;
const STATE_SLOTS = [
  Slot.FP_FLAGS,
  Slot.FP_RM,
  Slot.FP_FAST,
  Slot.FP_STYLE,
  Slot.EXCLUSIVE_ADDRESS,
  Slot.EXCLUSIVE_VALUE,
];

/** A CPU of some instruction set on an address space; {@linkcode Cpu} is one that has all its parts from the start. */
export class UserCpu {
  readonly isa: IsaState;
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
   * Answers a `Trap.BACKDOOR` without a return from {@linkcode UserCpu.run}, which otherwise comes then with that reason.
   *
   * @returns Whether the guest goes on at once, where {@linkcode UserCpu.finishTrap} would let it.
   */
  onBackdoor: () => boolean = () => false;
  /** See {@linkcode UserCpuOptions.trace}. */
  trace: ((pc: number) => void) | undefined;
  readonly #passes: PassOptions;
  readonly #loadIsa: (() => Promise<Isa>) | undefined;
  #translator: Translator | undefined;
  #completing: Promise<void> | undefined;
  readonly #slow: SlowMemory;
  readonly #float: SoftFloat;
  readonly #rare: RareOps;
  readonly #interp: Interpreter;
  readonly #registers: RegisterFile;
  readonly #stepBlocks = new Map<number, CachedBlock>();
  #pc = 0;
  #pcWritten = false;
  /** Whether code is compiled now that has to be before it runs; of no use where a limit is so near that none runs. */
  #compiles = true;
  /** The pc exactly, while it is an address that a number can't hold. */
  #far: bigint | undefined;
  #nextPc = 0;
  /** Code index of the backdoor call of compiled code that is being answered, or one of the two below. */
  #callAt = NO_CALL;
  /** Code index at which to go on if the pc is still `#resumePc`. */
  #resumeIp = -1;
  #resumePc = 0;
  #resumeGeneration = 0;
  #retired = 0;
  /** Instructions of the interpreter until it is looked where it is: over stays, as calls and system calls end many. */
  #untilSample = MAX_FUEL;
  readonly #code: UserTiering;
  readonly #tiers: Tiers<number, undefined>;
  /** Counts changes of translated code. */
  #changes = 0;
  /** Why compiled code must leave, if a backdoor call said so. */
  #leaving: number | undefined;

  constructor(isa: IsaState, space: AddressSpace, options: UserCpuOptions = {}) {
    this.isa = isa;
    this.space = space;
    this.cache = new CodeCache(space.arena);
    this.slots = space.arena.q;
    this.words = space.arena.r;
    this.trace = options.trace;
    this.#passes = options.passes ?? ALL_PASSES;
    this.#loadIsa = options.loadIsa;
    this.#slow = new SlowMemory(space);
    const float = this.#float = makeSoftFloat(space.arena);
    const rare = this.#rare = new RareOps(space.arena, this.#slow, float, {
      instructionsAt: (ip) => this.#instructionsAt(ip),
      seconds: options.seconds ?? (() => performance.now() / 1000),
    });
    this.#interp = new Interpreter(space.arena, this.#slow, rare, float);
    this.slots[Slot.EXCLUSIVE_ADDRESS] = -1n;
    this.slots[Slot.FP_STYLE] = BigInt(isa.floatStyle ?? 0);
    const heat = options.heat ?? HEAT;
    const translator = {
      lift: (pc: number, limit?: number) => this.lift(pc, limit),
      translate: (pc: number) => this.translate(pc),
      install: (ir: IrBlock) => this.#install(ir, false).start,
      watch: (page: number) => space.watch(page),
    };
    this.#code = new UserTiering(this.cache, translator, this.#interp.jumpCache, heat === 0);
    this.#tiers = this.#code.tiers = new Tiers(
      this.#code,
      this.cache,
      this.words,
      {
        step: (codeIndex) => this.#interp.step(codeIndex),
        backdoor: (codeIndex) => this.#answerBackdoor(codeIndex),
        answer: () => this.#answerBackdoor(CALL_IN_CELL),
        count: (executed) => this.#retired += executed,
        arrive: (pc) => this.#arrive(pc),
      },
      {
        sample: TIER_FUEL,
        heat,
        upperHeat: UPPER_HEAT,
        leftHeat: UPPER_HEAT / 4096,
        worthwhile: 0,
      },
    );
    this.cache.onDrop = () => {
      this.#interp.jumpCache.fill(-1);
      this.#stepBlocks.clear();
    };
    this.cache.onFlush = () => {
      this.#changes++;
      this.#code.changed();
      this.#tiers.dropPages(0, Infinity);
    };
    space.onRightsLost = () => {
      this.#tiers.lower?.forgetRights();
      this.#tiers.upper?.forgetRights();
    };
    space.onCodeChange = (first, last) => {
      this.#changes++;
      this.#code.changed();
      this.#tiers.dropPages(first, last);
      this.cache.invalidate(first, last);
    };
    this.#registers = new RegisterFile(isa, this.slots);
  }

  /**
   * Adds a compiling tier, if it was not given at the start. A second one gets what is hottest in the first.
   *
   * @param level Whether it is the upper one, which may come first; the next free one if absent.
   * @throws {Error} If there is one already, or the lower one comes before the translator is loaded.
   */
  addTier(factory: TierFactory, level?: "lower" | "upper"): void {
    this.#tiers.add(factory, level);
  }

  /** Takes stores to readable, unwritable pages. */
  set storeHook(hook: StoreHook) {
    this.#slow.storeHook = hook;
  }

  /** Address of the current instruction (of the trapping one, after a trap), as a signed number. */
  get pc(): number {
    return this.#callAt === NO_CALL ? this.#pc : this.#callPc();
  }
  /** Goes on at another address. */
  set pc(value: number) {
    this.#pc = value;
    this.#callAt = NO_CALL;
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
    return this.#retired + this.#tiers.uncounted();
  }

  /** Guest instructions executed by the compiling tiers. */
  get tierInstructions(): number {
    return this.#tiers.instructions + this.#tiers.uncounted();
  }

  /** Those of them that the second tier executed. */
  get upperInstructions(): number {
    const { upper, upperInstructions } = this.#tiers;
    return upperInstructions + (upper ? this.#tiers.uncounted(upper) : 0);
  }

  /** The compiling tier, if there is one. */
  get tier(): CompilingTier | undefined {
    return this.#tiers.lower;
  }

  /** The second compiling tier, if there is one. */
  get upperTier(): CompilingTier | undefined {
    return this.#tiers.upper;
  }

  /** A register's description. @throws {RangeError} For an unknown name. */
  register(name: string): RegisterInfo {
    return this.#registers.info(name);
  }

  /** Value of a register, unsigned. @throws {RangeError} For an unknown name. */
  getRegister(name: string): bigint {
    if (name === "pc") return this.#far ?? BigInt.asUintN(this.isa.xlen, BigInt(this.pc));
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

  /**
   * Assembly text of the instruction at `pc`.
   *
   * @throws {Error} Before the translator is loaded.
   */
  disassemble(pc: number): Disassembly {
    return this.#needTranslator("disassemble").disassemble(pc);
  }

  #needTranslator(what: string): Translator {
    if (this.#translator) return this.#translator;
    throw new Error(`Cannot ${what}: the translator is not loaded yet; await complete() first`);
  }

  /**
   * Loads what guest code needs that no earlier run has left translated. {@linkcode UserCpu.run} returns
   * {@linkcode Stop.UNTRANSLATED} where it can't go on without; the rest of the work is done at once when this settles.
   */
  complete(): Promise<void> {
    return this.#completing ??= this.#load();
  }

  async #load(): Promise<void> {
    if (this.#translator) return;
    if (!this.#loadIsa) {
      throw new Error(`Cannot load a translator of ${this.isa.name}: none is known`);
    }
    const [{ Translator }, isa] = await Promise.all([import("./translator.ts"), this.#loadIsa()]);
    this.translateWith(new Translator(isa, this.space, this.#passes));
  }

  /** Has a translator do what {@linkcode UserCpu.complete} loads one for. */
  protected translateWith(translator: Translator): void {
    this.#translator = translator;
    this.#tiers.collect = translator.collect;
    this.#addVectors(translator.Vectors);
  }

  #addVectors(Vectors: typeof VectorOps): void {
    this.#rare.vector ??= new Vectors(this.space.arena, this.#slow, this.#float);
  }

  /** Loads what executes ops on vectors. */
  async loadVectors(): Promise<void> {
    this.#addVectors((await import("./vector/vector.ts")).VectorOps);
  }

  /**
   * Lifts a block of at most `limit` instructions at `pc`; undefined if the first can't be fetched (see
   * {@linkcode UserCpu.faultAddress}).
   *
   * @throws {Error} Before the translator is loaded.
   */
  lift(pc: number, limit = MAX_BLOCK_INSNS): IrBlock | undefined {
    const translator = this.#needTranslator("translate"), ir = translator.lift(pc, limit);
    if (!ir) this.faultAddress = translator.faultAddress;
    return ir;
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
   * The translated blocks as bytes, for {@linkcode UserCpu.restoreCode} in another run of the same program.
   *
   * @param keep Says whether a block's guest code is as the program has it, at the start of every run.
   */
  storeCode(keep: (block: IrBlock) => boolean): Uint8Array<ArrayBuffer> {
    return this.cache.store(keep);
  }

  /**
   * Takes the blocks of an earlier run instead of translating them, before the first instruction.
   *
   * @param bytes What {@linkcode UserCpu.storeCode} returned, for the same program, translator and passes.
   * @returns Whether everything is there to run them; if not, {@linkcode UserCpu.loadVectors} loads what is missing.
   * @throws {RangeError} If the bytes have another format.
   */
  restoreCode(bytes: Uint8Array<ArrayBuffer>): boolean {
    const { pages, vectors } = this.cache.restore(bytes);
    for (const page of pages) this.space.watch(page);
    return !vectors || this.#rare.vector !== undefined;
  }

  #install(ir: IrBlock, find: boolean): CachedBlock {
    const block = this.cache.install(ir, find);
    const first = Math.floor(ir.pc / PAGE_SIZE);
    this.space.watch(first);
    if (ir.pc + ir.bytes > (first + 1) * PAGE_SIZE) this.space.watch(first + 1);
    return block;
  }

  /** Code index of the block at `pc`, which is translated if need be; -1 if it can't be fetched. */
  #find(pc: number): number {
    const { lower, upper } = this.#tiers;
    if (lower && this.#code.forced && this.#compiles) this.#tiers.compile(pc, lower);
    const start = this.cache.find(pc);
    if (start < 0) {
      if (!this.#translator) return -1;
      const block = this.translate(pc);
      if (block && (upper || this.#code.forced)) this.#code.mark(pc);
      return block?.start ?? -1;
    }
    // Compiled code may have come or gone since the block was last used.
    this.#code.mark(pc, start);
    return start;
  }

  #instructionsAt(ip: number): number {
    const block = this.cache.blockAt(ip);
    return this.#retired + this.#tiers.startFuel - this.#interp.fuel +
      this.cache.insnIndex(block, ip);
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
      let reason: number, entry: CompiledEntry | undefined;
      this.#compiles = left >= tierReserve || !this.#code.forced;
      if (left < blockReserve || this.#far !== undefined) reason = this.#step();
      else if ((entry = this.#code.find(this.#pc)) !== undefined) {
        reason = left < tierReserve
          ? this.#step()
          : this.#runTier(entry, Math.min(left - tierReserve, TIER_FUEL));
      } else {
        let ip = this.#resumeIp;
        if (
          ip < 0 || this.#resumePc !== this.#pc || this.#resumeGeneration !== this.cache.generation
        ) {
          ip = this.#find(this.#pc);
          if (ip < 0) return this.#missing(this.#pc);
        }
        const start = this.#pc, before = this.#untilSample;
        reason = this.#execute(ip, Math.max(Math.min(left - blockReserve, before), 0));
        // Of a stay that was one of many the start is as hot as the end.
        if (this.#untilSample > before && before < MAX_FUEL) this.#tiers.sample(start, 1);
      }
      if (reason !== Stop.LIMIT) return reason;
      // What is invalid may have raised its flag in native code that left there: nobody is to look between.
      if (entry && !exact && this.#retired >= end && this.#invalid()) return this.#step();
    }
    return Stop.LIMIT;
  }

  /** Whether the guest's invalid flag is set. */
  #invalid(): boolean {
    return (this.words[Slot.FP_FLAGS * 2] & FLAG_NV) !== 0;
  }

  /** Runs compiled code, as long as there is some where execution goes on. */
  #runTier(entry: CompiledEntry, fuel: number): number {
    this.#resumeIp = -1;
    switch (this.#tiers.run(this.#pc, entry, fuel)) {
      case StayEnd.LEFT: {
        const reason = this.#leaving;
        this.#leaving = undefined;
        return reason ?? Stop.LIMIT;
      }
      // What compiled code leaves to the interpreter at its first instruction is executed there.
      case StayEnd.FRUITLESS:
        return this.#step();
      case StayEnd.OUTSIDE:
        this.#tiers.sample(this.#pc, 1);
    }
    return Stop.LIMIT;
  }

  /** Compiled code was left for an address. */
  #arrive(pc: number): number | undefined {
    if (this.#leaving !== undefined) return undefined;
    this.#pc = pc;
    if (Number.isSafeInteger(pc)) return pc;
    this.#goFar(this.words[EXIT_PC_SLOT * 2], this.words[EXIT_PC_SLOT * 2 + 1]);
    return undefined;
  }

  /** Answers a backdoor call of compiled code: 0 if it goes on, else the run loop does. */
  #answerBackdoor(at: number): number {
    const changes = this.#changes;
    // Its address is found out if somebody asks: that takes as long as the rest.
    this.#callAt = at;
    const goes = this.onBackdoor();
    if (!goes || this.#pcWritten || changes !== this.#changes) return this.#leaveCall(at, goes);
    this.#callAt = NO_CALL;
    return 0;
  }

  /** Leaves compiled code after a backdoor call. */
  #leaveCall(at: number, goes: boolean): number {
    const pc = this.#callPc(at);
    const bytes = at === CALL_IN_CELL ? this.words[EXIT_PC_SLOT * 2 + 1] : this.cache.code[at + 3];
    if (!this.#pcWritten) this.#pc = pc;
    this.#callAt = NO_CALL;
    this.#nextPc = pc + bytes;
    if (goes) this.finishTrap();
    this.#leaving = goes ? Stop.LIMIT : Trap.BACKDOOR;
    return 1;
  }

  /** Address of the backdoor call of compiled code that is being answered. */
  #callPc(at = this.#callAt): number {
    if (at === CALL_IN_CELL) return this.words[EXIT_PC_SLOT * 2];
    const { code } = this.cache;
    return code[at + 5] * TWO32 + (code[at + 4] >>> 0);
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
    let block = this.#stepBlocks.get(this.#pc);
    if (!block && !this.#translator) return this.#missing(this.#pc);
    block ??= this.translate(this.#pc, 1);
    return block ? this.#execute(block.start, 0, true) : this.#fetchFault(this.#pc);
  }

  /** Runs from a code index, resolving links on the way; `once`: leave at the first link instead. */
  #execute(ip: number, fuel: number, once = false): number {
    const interp = this.#interp, cache = this.cache;
    this.#resumeIp = -1;
    for (;;) {
      this.#tiers.startFuel = fuel;
      const exit = interp.run(ip, fuel);
      this.#retired += fuel - interp.fuel;
      this.#untilSample -= fuel - interp.fuel;
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
          if (start < 0) return this.#missing(target);
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
          if (start < 0) return this.#missing(target);
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
          if (!once) {
            this.#untilSample = MAX_FUEL;
            if (this.#compiles) this.#tiers.sample(this.#pc, 1);
          }
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

  /** There is no block for `pc`: nothing can be fetched there, or that is not known yet. */
  #missing(pc: number): number {
    if (this.#translator) return this.#fetchFault(pc);
    this.#pc = pc;
    return Stop.UNTRANSLATED;
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
