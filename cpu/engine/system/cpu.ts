/**
 * The CPU of system mode: translates guest code by physical page and runs it on one of several harts.
 *
 * One set of slots serves all harts; who does not run has its state in a copy. Exceptions and interrupts are taken in
 * here, by the ISA's {@linkcode PrivilegedHart}; the machine around it sees only why a stay ended.
 *
 * @module
 */
import { JUMPS_OFFSET, PAGE_SHIFT, PAGE_SIZE } from "../../../mmu/arena.ts";
import type { Bus } from "../../../mmu/bus.ts";
import { Tlb, TLB_CONTEXTS, TLB_WORD } from "../../../mmu/softmmu.ts";
import { MAX_BLOCK_INSNS, type PassOptions } from "../../ir/builder.ts";
import { Op, Slot, Trap, WORDS } from "../../ir/ops.ts";
import type { Isa, RegisterInfo } from "../../isa/isa.ts";
import { type HartServices, type PrivilegedHart, Walk } from "../../isa/system.ts";
import { type CachedBlock, CodeCache } from "../code_cache.ts";
import { Exit } from "../exits.ts";
import { collectRegions } from "../region/batch.ts";
import { fresh } from "../region/fresh.ts";
import { Interpreter, JUMP_BANK_ENTRIES, JUMPS_WORD } from "../interpreter/interp.ts";
import { makeRun } from "../interpreter/interp_loop_soft.ts";
import { RareOps } from "../interpreter/rare.ts";
import { rehearse } from "../interpreter/rehearsal.ts";
import { RegisterFile } from "../register_file.ts";
import { makeSoftFloat } from "../softfloat/softfloat.ts";
import { SystemMemory } from "./memory.ts";
import { SystemTiering } from "./tiering.ts";
import { SystemTranslator } from "./translator.ts";
import {
  type CompilingTier,
  CONTEXT_WORD,
  EXIT_PC_SLOT,
  FUEL_WORD,
  type SystemTier,
  type TierServices,
} from "../tier.ts";
import { StayEnd, Tiers } from "../tiers.ts";
import { VectorOps } from "../vector/vector.ts";
import type { CodePlace, Mapping, PlaceCode } from "./code.ts";

/** Why {@linkcode SystemCpu.run} returned. */
export const Stay = {
  /** The instructions are executed. */
  LIMIT: 0,
  /** The hart waits for an interrupt. */
  WAIT: 1,
  /** Somebody asked to leave: {@linkcode SystemCpu.requestLeave}. */
  LEFT: 2,
  /** A backdoor instruction that `onBackdoor` did not finish; go on with {@linkcode SystemCpu.finishTrap}. */
  BACKDOOR: 3,
} as const;

/** A hart's share of the CPU. */
export interface HartState {
  /** What the ISA keeps. */
  readonly hart: PrivilegedHart;
  readonly tlb: Tlb;
  /** Slots while another hart runs. */
  readonly saved: BigInt64Array;
  /** Signed address of the next instruction. */
  pc: number;
  /** The same exactly, while a number can't hold it. */
  far: bigint | undefined;
  /** Instructions executed. */
  retired: number;
}

/** Options of a CPU in system mode. */
export interface SystemCpuOptions {
  /** Harts, at least 1. */
  harts: number;
  /** Makes the privileged state of one hart. */
  makeHart: (id: number, services: HartServices) => PrivilegedHart;
  /** Ticks of the platform's timer. */
  time: () => bigint;
  passes?: PassOptions;
  /** How often the clock must find execution at an address until it is compiled; 0: at its first execution. */
  heat?: number;
}

const TWO32 = 0x1_0000_0000;
/** What the interpreter must have executed from an address on until it is compiled, in instructions. */
const HEAT = 150_000;
/** Most instructions in one stay in the interpreter; as in cpu.ts. */
const MAX_FUEL = 20_000;
/** Instructions from one look at timers to the next in a run that can be repeated. */
const EXACT_POLL = 100_000;
/** Stays in a row in which nothing is executed until it counts, less 1. */
const FEW_STAYS = 1023;
/** Most instructions in one stay in compiled code. */
const TIER_FUEL = 100_000;
/** Instructions in the lower tier, by stays that began or ended at a place, until the upper tier gets it. */
const UPPER_HEAT = 40_000_000;
/** What it counts, of that, to go from the upper tier to another: some microseconds. */
const LEFT_HEAT = 2000;
/** Instructions that a stay in the upper tier is to execute on average. */
const WORTHWHILE = 4000;
/** Compiled code looks at its fuel at back edges and calls only, so it may overrun by this many instructions. */
const TIER_RESERVE = 4096;
/**
 * Looking where execution is at regular counts would find a loop at one place for ever, such as in a function that it
 * calls: each period is shorter by a number below this, a power of two.
 */
const PHASES = 1024;
/** Slots that every ISA shares, from here on. */
const SHARED = Slot.FP_FLAGS, SHARED_COUNT = Slot.FP_GATE - Slot.FP_FLAGS + 1;
/** Words of a bank of the cache of indirect targets. */
const JUMP_BANK = JUMP_BANK_ENTRIES * 4, JUMPS = JUMPS_OFFSET / 4;
/** Contexts whose addresses are translated: all but the last. */
const TRANSLATED = (1 << TLB_CONTEXTS - 1) - 1;

/** Harts of one instruction set on one bus. */
export class SystemCpu {
  readonly isa: Isa;
  readonly bus: Bus;
  readonly harts: HartState[] = [];
  readonly slots: BigInt64Array<ArrayBuffer>;
  readonly words: Int32Array<ArrayBuffer>;
  readonly cache: CodeCache;
  /** Stays in which no instruction was executed to its end, because of exceptions. */
  fruitless = 0;
  /** Called at a backdoor instruction; whether the guest goes on at once. */
  onBackdoor: () => boolean = () => true;
  /** Called at a system call instruction; false: it is an exception as usual. */
  onSyscall: () => boolean = () => false;
  /** Called between stays, at least every {@linkcode MAX_FUEL} instructions: timers. */
  onPoll: () => void = () => {};
  /** Called before each instruction, if given (slow: one instruction at a time). */
  trace: ((pc: number) => void) | undefined;
  readonly #memory: SystemMemory;
  readonly #interp: Interpreter;
  readonly #translator: SystemTranslator;
  readonly #registers: RegisterFile;
  /** Low 20 bits of the numbers of pages that the cache of indirect targets may lead to. */
  readonly #jumpPages = new Set<number>();
  /** Entries in use of the cache of indirect targets, each once. */
  #jumps: number[] = [];
  #current!: HartState;
  #pc = 0;
  #far: bigint | undefined;
  #nextPc = 0;
  #pcWritten = false;
  #retired = 0;
  #leaveRequested = false;
  readonly #tiering: SystemTiering;
  readonly #tiers: Tiers<CodePlace, Mapping>;
  /** Instructions that the interpreter executes until it is looked where it is. */
  #sampleFuel = MAX_FUEL;
  #phase = 0;
  /** Epoch and changes of compiled code when a stay in it began. */
  #epoch = 0;
  #changes = 0;
  /** Why compiled code leaves to the run loop: a `Stay`, or `AGAIN`. */
  #leaving: number | undefined;
  /** Code index of the backdoor call of compiled code that is being answered, or -1. */
  #callAt = -1;
  /** A store of the guest is being answered ({@linkcode beginStore}). */
  #inStore = false;
  #storeGeneration = 0;
  /** It could not be answered at once. */
  #unanswered = false;
  /** Exception of a privileged operation. */
  #cause = 0;
  #tval = 0n;

  constructor(isa: Isa, bus: Bus, options: SystemCpuOptions) {
    const { arena } = bus.ram, { r, q } = arena;
    this.isa = isa;
    this.bus = bus;
    this.cache = new CodeCache(arena);
    this.slots = q;
    this.words = r;
    this.#memory = new SystemMemory(bus, isa.xlen === 64);
    const float = makeSoftFloat(arena);
    const rare = new RareOps(arena, this.#memory, float, {
      instructionsAt: (ip) => this.#instructionsAt(ip),
      seconds: () => {
        throw new Error("Cannot read the clock by an op in system mode");
      },
      system: (number, d, a, b, j) => this.#current.hart.system(number, d, a, b, j),
    });
    const jumps = arena.all32.subarray(JUMPS, JUMPS + JUMP_BANK * TLB_CONTEXTS);
    this.#interp = new Interpreter(arena, this.#memory, rare, float, fresh(makeRun), jumps);
    const saved = isa.slotCount + SHARED_COUNT;
    const tlbs = Array.from({ length: options.harts }, (_, id) => new Tlb(arena, id));
    this.#translator = new SystemTranslator(isa, bus, this.cache, tlbs, options.passes);
    const { heat = HEAT } = options;
    this.#tiering = new SystemTiering(this.#translator, this.cache, heat === 0);
    this.#tiers = this.#tiering.tiers = new Tiers(
      this.#tiering,
      this.cache,
      r,
      {
        step: (codeIndex) => this.#stepCompiled(codeIndex),
        backdoor: (codeIndex) => this.#answerBackdoor(codeIndex),
        reach: (lo, hi, how) => {
          const offset = this.#memory.reach(lo, hi, how);
          // A walk writes to page tables, of all things; if that was code it must not go on.
          return this.#tiering.changes === this.#changes ? offset : -1;
        },
        count: (executed) => this.#retired += executed,
        arrive: (pc) => this.#arrive(pc),
      },
      {
        sample: TIER_FUEL,
        heat,
        upperHeat: UPPER_HEAT,
        leftHeat: LEFT_HEAT,
        worthwhile: WORTHWHILE,
      },
    );
    this.#tiers.collect = collectRegions;
    rare.vector = new VectorOps(arena, this.#memory, float);
    for (const [id, tlb] of tlbs.entries()) {
      const hart = options.makeHart(id, {
        slots: q,
        memory: bus,
        instructions: () => this.#instructionsNow(id),
        time: options.time,
        flushTlb: (physical) => {
          this.harts[id].tlb.flush(physical ? -1 : TRANSLATED);
          this.#flushFetch(id);
        },
        flushPage: (address) => {
          const lo = Number(BigInt.asIntN(32, address));
          const hi = isa.xlen === 32 ? 0 : Number(address >> 32n);
          if (this.harts[id].tlb.flushPage(lo, hi, TRANSLATED)) this.#flushFetch(id);
          else this.#flushFetchPage(id, lo, hi);
        },
        leave: () => this.#memory.leave = true,
        illegal: () => this.#memory.fault(Trap.ILLEGAL, 0, 0),
        fault: (cause, tval) => {
          this.#cause = cause;
          this.#tval = tval;
          return this.#memory.fault(Trap.EXCEPTION, 0, 0);
        },
      });
      const state = new BigInt64Array(saved);
      state[isa.slotCount + Slot.EXCLUSIVE_ADDRESS - SHARED] = -1n;
      state[isa.slotCount + Slot.FP_GATE - SHARED] = 1n;
      this.harts.push({ hart, tlb, saved: state, pc: 0, far: undefined, retired: 0 });
    }
    this.#load(this.harts[0]);
    this.cache.onDrop = () => this.#flushJumps();
    this.cache.onFlush = () => {
      this.#tiers.dropPages(0, Infinity);
      this.#translator.code.drop(0, Infinity);
    };
    bus.ram.onCodeChange = (first, last) => {
      this.#tiers.dropPages(first, last);
      this.#translator.code.drop(first, last);
      this.cache.invalidate(first, last);
    };
    this.#registers = new RegisterFile(isa, this.slots);
    rehearse(this.#interp, arena, tlbs[0]);
  }

  /**
   * Adds a compiling tier. A second one gets what is hottest in the first.
   *
   * @throws {Error} If there are two.
   */
  addTier(factory: (services: TierServices) => SystemTier): void {
    this.#tiering.added(this.#tiers.add(factory));
  }

  /** The compiling tier, if there is one. */
  get tier(): CompilingTier | undefined {
    return this.#tiers.lower;
  }

  /** The second compiling tier, if there is one. */
  get upperTier(): CompilingTier | undefined {
    return this.#tiers.upper;
  }

  /** Guest instructions executed by the compiling tiers. */
  get tierInstructions(): number {
    return this.#tiers.instructions;
  }

  /** Those of them that the second tier executed. */
  get upperInstructions(): number {
    return this.#tiers.upperInstructions;
  }

  /** TLB misses so far. */
  get tlbMisses(): number {
    return this.#memory.misses;
  }

  // ---- harts ----

  /** The hart that runs. */
  get current(): HartState {
    return this.#current;
  }

  #load(state: HartState): void {
    const { slotCount } = this.isa, { slots } = this;
    slots.set(state.saved.subarray(0, slotCount));
    slots.set(state.saved.subarray(slotCount), SHARED);
    this.#current = state;
    this.#pc = state.pc;
    this.#far = state.far;
    this.#retired = state.retired;
    this.#memory.hart = state.hart;
    this.#memory.tlb = state.tlb;
    this.#translator.hart = state.hart;
    this.#translator.tlb = state.tlb;
    // Neither cache knows of harts.
    this.#flushJumps();
    this.#translator.code.flushTlb();
    this.#tiering.flush();
  }

  #flushJumps(): void {
    const { jumpCache } = this.#interp;
    for (const entry of this.#jumps) jumpCache[entry] = -1;
    this.#jumps = [];
    this.#jumpPages.clear();
  }

  #save(): void {
    const { slotCount } = this.isa, { slots } = this, state = this.#current;
    state.saved.set(slots.subarray(0, slotCount));
    state.saved.set(slots.subarray(SHARED, SHARED + SHARED_COUNT), slotCount);
    state.pc = this.#pc;
    state.far = this.#far;
    state.retired = this.#retired;
  }

  /** Makes another hart the one that runs. */
  select(id: number): void {
    const state = this.harts[id];
    if (state === this.#current) return;
    this.#save();
    this.#load(state);
  }

  /** What a snapshot keeps of a hart, besides what the ISA has: slots, the address of the next instruction, the count. */
  saveHart(id: number): { slots: BigInt64Array; pc: bigint; retired: number } {
    const state = this.harts[id];
    if (state === this.#current) this.#save();
    return {
      slots: state.saved.slice(),
      pc: state.far ?? BigInt(state.pc),
      retired: state.retired,
    };
  }

  /** Takes over what {@linkcode saveHart} gave; the hart is the one that runs afterwards. */
  restoreHart(id: number, from: { slots: BigInt64Array; pc: bigint; retired: number }): void {
    this.select(id);
    const state = this.harts[id];
    this.#setPc(from.pc);
    this.#retired = from.retired;
    this.#save();
    state.saved.set(from.slots);
    this.#load(state);
  }

  /** Instructions executed by the hart that runs. */
  get retired(): number {
    return this.#instructionsNow(this.#current.hart.id);
  }

  /** Instructions executed by all harts. */
  get instructions(): number {
    let sum = 0;
    for (let id = 0; id < this.harts.length; id++) sum += this.#instructionsNow(id);
    return sum;
  }

  #instructionsNow(id: number): number {
    const state = this.harts[id];
    if (state !== this.#current) return state.retired;
    const { at } = this.#interp;
    if (this.#callAt >= 0) return this.#retired + this.#tiers.startFuel - this.words[FUEL_WORD];
    return at >= 0 ? this.#instructionsAt(at) : this.#retired;
  }

  #instructionsAt(ip: number): number {
    const block = this.cache.blockAt(ip);
    return this.#retired + this.#tiers.startFuel - this.#interp.fuel +
      this.cache.insnIndex(block, ip);
  }

  /** Forgets what was fetched from one page, and from the end of the page before, which may go on in it. */
  #flushFetchPage(id: number, lo: number, hi: number): void {
    if (this.harts[id] !== this.#current) return;
    const cache = this.#interp.jumpCache, page = lo >>> PAGE_SHIFT, before = page - 1 & 0xf_ffff;
    this.#translator.code.flushTlbPage(hi * (TWO32 / PAGE_SIZE) + page);
    this.#tiering.flushPage(lo);
    // Most pages whose translation changes hold data.
    if (!this.#jumpPages.has(page) && !this.#jumpPages.has(before)) return;
    for (const entry of this.#jumps) {
      const of = cache[entry] >>> PAGE_SHIFT;
      // An odd address is never looked for; what is in use stays in the list.
      if (of === page || of === before) cache[entry] = cache[entry] | 1;
    }
  }

  #flushFetch(id: number): void {
    if (this.harts[id] !== this.#current) return;
    this.#flushJumps();
    this.#translator.code.flushTlb();
    this.#tiering.flush();
  }

  // ---- registers, for callbacks and tests ----

  /** Signed address of the current instruction. */
  get pc(): number {
    if (this.#pcWritten) return this.#pc;
    if (this.#callAt >= 0) return this.#trapPc(this.#callAt);
    if (!this.#inStore) return this.#pc;
    const { at } = this.#interp, block = this.cache.blockAt(at);
    return block.pcs[this.cache.insnIndex(block, at)];
  }
  /** Goes on at another address. */
  set pc(value: number) {
    this.#setPc(BigInt(value));
    this.#pcWritten = true;
  }

  #setPc(value: bigint): void {
    const pc = this.isa.xlen === 32 ? BigInt.asUintN(32, value) : BigInt.asIntN(64, value);
    this.#pc = Number(pc);
    this.#far = Number.isSafeInteger(this.#pc) ? undefined : pc;
  }

  #bigPc(): bigint {
    return this.#far ?? BigInt(this.pc);
  }

  /** The hart that runs begins at an address. */
  start(address: number): void {
    this.#setPc(BigInt(address));
    this.#pcWritten = false;
  }

  /** After a backdoor instruction: goes on after it, unless somebody wrote the pc. */
  finishTrap(): void {
    if (!this.#pcWritten) this.#pc = this.#nextPc;
    this.#pcWritten = false;
  }

  /** A register's description. @throws {RangeError} For an unknown name. */
  register(name: string): RegisterInfo {
    return this.#registers.info(name);
  }

  /** Value of a register of the hart that runs, unsigned. @throws {RangeError} For an unknown name. */
  getRegister(name: string): bigint {
    if (name === "pc") return BigInt.asUintN(this.isa.xlen, this.#bigPc());
    return this.#registers.get(name);
  }

  /** Writes a register of the hart that runs. @throws {RangeError} For an unknown name. */
  setRegister(name: string, value: bigint | number): void {
    const big = BigInt(value);
    if (name === "pc") {
      this.#setPc(big);
      this.#pcWritten = true;
      return;
    }
    this.#registers.set(name, big);
  }

  /** Assembly text of the instruction at a virtual address of the hart that runs. */
  disassemble(pc: number): { length: number; bits: number; text: string } {
    return this.isa.disassemble(pc, this.#translator.peek);
  }

  /** Physical address for the hart that runs, or undefined. */
  translate(address: number, access: number): number | undefined {
    return this.#translator.physical(address, access);
  }

  /** Leaves {@linkcode run} after the current instruction. */
  requestLeave(): void {
    this.#leaveRequested = true;
    this.#memory.leave = true;
  }

  /** A device answers a store of the hart that runs with something that may read and write registers, the pc too. */
  beginStore(): void {
    this.#inStore = true;
    this.#storeGeneration = this.cache.generation;
  }

  /**
   * Ends {@linkcode beginStore}.
   *
   * @param answered False: {@linkcode run} returns `Stay.BACKDOOR`; go on with {@linkcode finishTrap}.
   */
  endStore(answered: boolean): void {
    this.#inStore = false;
    if (answered && !this.#pcWritten && this.#storeGeneration === this.cache.generation) return;
    this.#unanswered = !answered;
    this.#memory.leave = true;
  }

  /** After a store, perhaps one that was answered: where to go on, and whether its answer comes later. */
  #leaveStore(ip: number): number {
    const block = this.cache.blockAt(ip), index = this.cache.insnIndex(block, ip);
    const next = block.pcs[index + 1] ?? block.pc + block.bytes;
    this.#nextPc = this.isa.xlen === 32 ? next >>> 0 : next;
    if (this.#unanswered) {
      this.#unanswered = false;
      if (!this.#pcWritten) this.#pc = block.pcs[index];
      return Stay.BACKDOOR;
    }
    this.finishTrap();
    return SystemCpu.#AGAIN;
  }

  #enterJump(pc: number, block: CachedBlock): void {
    const lo = pc | 0, cache = this.#interp.jumpCache;
    const bank = this.#current.hart.codeContext * JUMP_BANK;
    const entry = bank + (lo >>> 1 & JUMP_BANK_ENTRIES - 1) * 4;
    this.#jumpPages.add(lo >>> PAGE_SHIFT);
    if (cache[entry] === -1) this.#jumps.push(entry);
    cache[entry] = lo;
    cache[entry + 1] = this.#translator.high(pc);
    cache[entry + 2] = block.start;
  }

  // ---- running ----

  /**
   * Runs the current hart.
   *
   * @param limit Instructions; a few more may be executed, unless `exact`.
   * @param exact Also looks at timers at exact counts, so that the run can be repeated, whatever executes it.
   * @returns Why it stopped, a `Stay`.
   */
  run(limit: number, exact = false): number {
    const end = this.#retired + limit, words = this.words;
    const { hart, tlb } = this.#current;
    this.#leaveRequested = false;
    this.#pcWritten = false;
    // Where a run was interrupted must make no difference to one that can be repeated: multiples of the count.
    const afterNext = () =>
      exact ? this.#retired - this.#retired % EXACT_POLL + EXACT_POLL : this.#retired + MAX_FUEL;
    let nextPoll = afterNext(), fruitless = false, idleStays = 0;
    // An exception whose handler raises it again executes nothing: stays are bounded too.
    for (let stays = Math.max(limit, MAX_FUEL);; stays--) {
      if (hart.waiting) return Stay.WAIT;
      if (this.#leaveRequested) return Stay.LEFT;
      if (hart.interrupting) this.#setPc(hart.interrupt(this.#bigPc()));
      const left = end - this.#retired;
      if (left <= 0 || stays <= 0) return Stay.LIMIT;
      words[TLB_WORD] = tlb.context(hart.dataContext);
      words[JUMPS_WORD] = JUMPS + hart.codeContext * JUMP_BANK;
      words[CONTEXT_WORD] = hart.codeContext;
      const { trace } = this;
      if (trace) trace(this.#pc);
      const room = exact ? Math.min(left, nextPoll - this.#retired) : left;
      const close = exact && room < MAX_BLOCK_INSNS;
      const once = trace !== undefined || (close && !this.#fits(room));
      const reserve = exact ? MAX_BLOCK_INSNS : 0;
      let reason: number;
      if (this.#far !== undefined) {
        this.#translator.refuseFar(this.#far);
        reason = this.#fetchFault();
      } else {
        const steps = once || fruitless || (exact && room <= TIER_RESERVE);
        const entry = steps ? undefined : this.#tiering.find(this.#pc);
        if (entry) {
          reason = this.#runTier(
            entry,
            Math.min(exact ? room - TIER_RESERVE : room, this.#period(TIER_FUEL)),
          );
        } else {
          // Without fuel it is one block.
          const fuel = fruitless || close ? 0 : Math.min(room - reserve, MAX_FUEL);
          reason = this.#interpret(fuel, once);
        }
      }
      // What compiled code leaves to the interpreter at its first instruction is executed there.
      fruitless = reason === SystemCpu.#FRUITLESS;
      if (fruitless) continue;
      if (reason === Stay.BACKDOOR) return reason;
      // Some exceptions in a row are nothing special, thousands of them are a loop.
      idleStays = this.#retired === end - left ? idleStays + 1 : 0;
      if (idleStays > FEW_STAYS) this.fruitless++;
      if (
        this.#retired >= nextPoll || (idleStays & FEW_STAYS) === FEW_STAYS ||
        (!exact && (reason === Stay.LIMIT || (stays & 1023) === 0))
      ) {
        nextPoll = afterNext();
        this.onPoll();
      }
    }
  }

  /** Reason of a stay that ended for what the run loop settles itself. */
  static readonly #AGAIN = -1;
  /** The same, of one in which compiled code executed nothing. */
  static readonly #FRUITLESS = -2;
  /** The same, where the pc is known already. */
  static readonly #BACKDOOR_DONE = -3;

  /** The next period of a sampling clock, see {@linkcode PHASES}. */
  #period(longest: number): number {
    // All numbers in turn (Knuth, The Art of Computer Programming 2, 3.2.1.2, theorem A).
    this.#phase = this.#phase * 421 + 1 & PHASES - 1;
    return longest - this.#phase;
  }

  /** Whether the next block has no more than so many instructions. */
  #fits(room: number): boolean {
    if (this.#far !== undefined) return false;
    const block = this.#translator.find(this.#pc);
    return block !== undefined && block.pcs.length <= room;
  }

  #interpret(fuel: number, once: boolean): number {
    const translator = this.#translator, tiering = this.#tiering;
    const block = once ? translator.findAlone(this.#pc) : translator.find(this.#pc);
    if (!block) return this.#fetchFault();
    if (once || !tiering.active) return this.#execute(block.start, once ? 0 : fuel, once);
    const { place } = translator;
    if (place) tiering.unmark(place);
    fuel = Math.min(fuel, this.#sampleFuel);
    const before = this.#retired, context = this.words[CONTEXT_WORD];
    const reason = this.#execute(block.start, fuel, false), executed = this.#retired - before;
    tiering.remark();
    this.#sampleFuel -= executed;
    // Long stays are loops, whose start is where the clock finds them.
    if (this.#sampleFuel > 0) {
      if (place && context === this.#current.hart.codeContext) tiering.sample(place, executed);
    } else {
      this.#sampleFuel = this.#period(MAX_FUEL);
      if (reason === Stay.LIMIT) tiering.sampleAt(this.#pc, MAX_FUEL);
    }
    return reason === Stay.LIMIT && fuel === 0 ? SystemCpu.#AGAIN : reason;
  }

  /** Runs compiled code, as long as there is some where execution goes on. */
  #runTier(entry: PlaceCode, fuel: number): number {
    const before = this.#retired;
    this.#epoch = this.#tiering.epoch;
    this.#changes = this.#tiering.changes;
    switch (this.#tiers.run(this.#pc, entry, fuel)) {
      case StayEnd.FUEL:
        return Stay.LIMIT;
      case StayEnd.FRUITLESS:
        return SystemCpu.#FRUITLESS;
      case StayEnd.LEFT: {
        const leaving = this.#leaving;
        this.#leaving = undefined;
        return leaving ?? SystemCpu.#AGAIN;
      }
      default:
        this.#tiering.stayed(entry.place, this.#retired - before);
        return SystemCpu.#AGAIN;
    }
  }

  /** Compiled code was left for an address. */
  #arrive(pc: number): number | undefined {
    const leaving = this.#leaving, { words } = this;
    if (leaving !== undefined && leaving !== SystemCpu.#AGAIN) return undefined;
    if (!Number.isSafeInteger(pc)) {
      const lo = words[EXIT_PC_SLOT * 2], hi = words[EXIT_PC_SLOT * 2 + 1];
      this.#setPc(BigInt(hi) << 32n | BigInt(lo >>> 0));
      return undefined;
    }
    this.#pc = this.isa.xlen === 32 ? pc % TWO32 >>> 0 : pc;
    this.#changes = this.#tiering.changes;
    return leaving !== undefined || this.#leaveRequested ? undefined : this.#pc;
  }

  /** Executes a record for compiled code: an `Exit`. */
  #stepCompiled(ip: number): number {
    const interp = this.#interp, how = interp.step(ip), { hart, tlb } = this.#current;
    interp.at = -1;
    if (how !== Exit.HOOK) return how;
    this.#memory.leave = false;
    if (this.#unanswered || this.#pcWritten) {
      this.#leaving = this.#leaveStore(ip) === Stay.BACKDOOR
        ? Stay.BACKDOOR
        : SystemCpu.#BACKDOOR_DONE;
      return how;
    }
    const tiers = this.#tiering, { words } = this;
    if (
      hart.interrupting || hart.waiting || this.#leaveRequested ||
      hart.codeContext !== words[CONTEXT_WORD] || tiers.epoch !== this.#epoch ||
      tiers.changes !== this.#changes
    ) {
      this.#leaving = SystemCpu.#AGAIN;
      return how;
    }
    words[TLB_WORD] = tlb.context(hart.dataContext);
    return Exit.NONE;
  }

  /** Answers a backdoor call of compiled code: 0 if it goes on, else the run loop does. */
  #answerBackdoor(ip: number): number {
    const { code } = this.cache, tiers = this.#tiering;
    // What it was is found out if somebody asks.
    this.#callAt = ip;
    const goes = this.onBackdoor();
    this.#callAt = -1;
    if (
      goes && !this.#pcWritten && !this.#leaveRequested && tiers.changes === this.#changes &&
      tiers.epoch === this.#epoch
    ) return 0;
    const pc = this.#trapPc(ip);
    if (!this.#pcWritten) this.#pc = pc;
    this.#nextPc = pc + code[ip + 3];
    this.#leaving = goes ? SystemCpu.#BACKDOOR_DONE : Stay.BACKDOOR;
    if (goes) this.finishTrap();
    return 1;
  }

  /** Address of a trap record's instruction. */
  #trapPc(ip: number): number {
    const { code } = this.cache, lo = code[ip + 4] >>> 0;
    return this.isa.xlen === 32 ? lo : code[ip + 5] * TWO32 + lo;
  }

  #execute(ip: number, fuel: number, once: boolean): number {
    const interp = this.#interp, { cache } = this, { code } = cache;
    for (;;) {
      this.#tiers.startFuel = fuel;
      const exit = interp.run(ip, fuel);
      this.#retired += fuel - interp.fuel;
      fuel = interp.fuel;
      ip = interp.ip;
      interp.at = -1;
      switch (exit) {
        case Exit.TRAP: {
          this.#pc = this.#trapPc(ip);
          this.#nextPc = this.#pc + code[ip + 3];
          const reason = code[ip + 2];
          if (reason !== Trap.BACKDOOR) {
            this.#trap(reason);
            return SystemCpu.#AGAIN;
          }
          const { generation } = cache;
          if (!this.onBackdoor()) return Stay.BACKDOOR;
          if (
            fuel < 0 || this.#pcWritten || generation !== cache.generation || this.#leaveRequested
          ) {
            this.finishTrap();
            return SystemCpu.#AGAIN;
          }
          ip += WORDS;
          break;
        }
        case Exit.LINK: {
          const link = cache.linkTarget(ip);
          const target = this.isa.xlen === 32 ? link >>> 0 : link;
          this.#pc = target;
          if (once || fuel < 0) return Stay.LIMIT;
          if (this.#tiering.forced && this.#tiering.find(target)) return SystemCpu.#AGAIN;
          const { generation } = cache;
          const block = this.#translator.find(target);
          if (!block) return this.#fetchFault();
          if (generation === cache.generation && code[ip] === Op.link) {
            const from = cache.blockAt(ip);
            if (this.#translator.mayLink(from, block)) cache.resolve(ip, block.start, block);
            else code[ip] = Op.hop;
          }
          if (code[ip] === Op.hop) this.#enterJump(target, block);
          ip = block.start;
          break;
        }
        case Exit.INDIRECT: {
          const { targetLo, targetHi } = interp;
          const wide = this.isa.xlen === 64;
          this.#pc = wide ? targetHi * TWO32 + (targetLo >>> 0) : targetLo >>> 0;
          if (!Number.isSafeInteger(this.#pc)) {
            this.#setPc(BigInt(targetHi) << 32n | BigInt(targetLo >>> 0));
            return Stay.LIMIT;
          }
          if (once || fuel < 0) return Stay.LIMIT;
          if (this.#tiering.forced && this.#tiering.find(this.#pc)) return SystemCpu.#AGAIN;
          const block = this.#translator.find(this.#pc);
          if (!block) return this.#fetchFault();
          this.#enterJump(this.#pc, block);
          ip = block.start;
          break;
        }
        case Exit.FUEL: {
          const block = cache.blockAt(ip);
          this.#pc = ip === block.start ? block.pc : cache.linkTarget(ip);
          return Stay.LIMIT;
        }
        case Exit.ENTER:
          this.#pc = cache.blockAt(ip).pc;
          return SystemCpu.#AGAIN;
        case Exit.FAULT:
          this.#fault(ip);
          return SystemCpu.#AGAIN;
        case Exit.HOOK: {
          const block = cache.blockAt(ip), index = cache.insnIndex(block, ip);
          this.#memory.leave = false;
          this.#retired += index + 1;
          return this.#leaveStore(ip);
        }
        default:
          throw new Error(`Cannot handle exit ${exit} in system mode`);
      }
    }
  }

  #exception(cause: number, tval: bigint): void {
    this.#setPc(this.#current.hart.exception(cause, tval, this.#bigPc()));
  }

  #fetchFault(): number {
    const { hart } = this.#current, { walk, address } = this.#translator;
    this.#exception(hart.cause(Trap.FETCH_FAULT, walk), address);
    return SystemCpu.#AGAIN;
  }

  /** A trap record, whose address is in `#pc`. */
  #trap(reason: number): void {
    const { hart } = this.#current;
    switch (reason) {
      case Trap.RESYNC:
        this.#setPc(hart.resume);
        return;
      case Trap.SYSCALL:
        if (this.onSyscall()) {
          this.finishTrap();
          return;
        }
        this.#exception(hart.cause(reason, 0), 0n);
        return;
      case Trap.ILLEGAL:
        this.#retired--;
        this.#illegal();
        return;
      default:
        this.#exception(hart.cause(reason, 0), this.#bigPc());
    }
  }

  /** Illegal instruction at the pc; the trap value is its word. */
  #illegal(): void {
    const { length, bits } = this.disassemble(this.#pc);
    const word = length === 2 ? bits & 0xffff : bits >>> 0;
    this.#exception(this.#current.hart.cause(Trap.ILLEGAL, 0), BigInt(word));
  }

  /** The record at `ip` faulted. */
  #fault(ip: number): void {
    const { cache } = this, memory = this.#memory, { hart } = this.#current;
    const block = cache.blockAt(ip), index = cache.insnIndex(block, ip);
    memory.leave = false;
    this.#retired += index;
    this.#pc = block.pcs[index];
    switch (memory.faultKind) {
      case Trap.EXCEPTION:
        this.#exception(this.#cause, this.#tval);
        return;
      case Trap.ILLEGAL:
        this.#illegal();
        return;
    }
    const op = cache.code[ip], misaligned = memory.faultKind === Trap.MISALIGNED;
    const load = misaligned && (op === Op.ldx32 || op === Op.ldx64);
    const kind = !misaligned ? memory.faultKind : load ? Trap.LOAD_FAULT : Trap.STORE_FAULT;
    const address = BigInt(memory.faultHi) << 32n | BigInt(memory.faultLo >>> 0);
    this.#exception(hart.cause(kind, misaligned ? Walk.MISALIGNED : memory.walk), address);
  }
}
