/**
 * One virtual CPU: translates guest code, runs it in the tiers, and says why it stopped.
 *
 * @module
 */
import { type AddressSpace, Page } from "../../mmu/address_space.ts";
import { PAGE_SIZE } from "../../mmu/arena.ts";
import { ALL_PASSES, Builder, MAX_BLOCK_INSNS, type PassOptions } from "../ir/builder.ts";
import { Slot, Trap, WORDS } from "../ir/ops.ts";
import type { Isa, RegisterInfo } from "../isa/isa.ts";
import { type CachedBlock, CodeCache } from "./code_cache.ts";
import { Exit } from "./exits.ts";
import { Interpreter } from "./interp.ts";
import { RareOps } from "./rare.ts";
import { SlowMemory, type StoreHook } from "./slow_memory.ts";
import { SoftFloat } from "./softfloat.ts";

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
  /** Called before each instruction, if given (slow: one instruction at a time). */
  trace?: ((pc: number) => void) | undefined;
}

const TWO32 = 0x1_0000_0000;
/**
 * Most instructions in one stay in the interpreter: V8 replaces a running function by its optimised version only at
 * its next call (on-stack replacement gives code that is half as fast).
 */
const MAX_FUEL = 20_000;
const STATE_SLOTS = [
  Slot.FP_FLAGS,
  Slot.FP_RM,
  Slot.FP_FAST,
  Slot.EXCLUSIVE_ADDRESS,
  Slot.EXCLUSIVE_VALUE,
];

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
  /** See {@linkcode CpuOptions.trace}. */
  trace: ((pc: number) => void) | undefined;
  readonly #builder: Builder;
  readonly #slow: SlowMemory;
  readonly #interp: Interpreter;
  readonly #registers = new Map<string, RegisterInfo>();
  readonly #stepBlocks = new Map<number, CachedBlock>();
  #pc = 0;
  #pcWritten = false;
  #nextPc = 0;
  /** Code index at which to go on if the pc is still `#resumePc`. */
  #resumeIp = -1;
  #resumePc = 0;
  #resumeGeneration = 0;
  #retired = 0;
  #startFuel = 0;
  #lookups = 0;

  constructor(isa: Isa, space: AddressSpace, options: CpuOptions = {}) {
    this.isa = isa;
    this.space = space;
    this.cache = new CodeCache(space.arena);
    this.slots = space.arena.q;
    this.words = space.arena.r;
    this.trace = options.trace;
    this.#builder = new Builder(options.passes ?? ALL_PASSES);
    this.#slow = new SlowMemory(space);
    const { r, q, f } = space.arena;
    const float = new SoftFloat({ r, q, f }, Slot.FP_FLAGS, Slot.FP_FAST, Slot.FP_RM);
    const rare = new RareOps(space, this.#slow, float, {
      instructionsAt: (ip) => this.#instructionsAt(ip),
      seconds: options.seconds ?? (() => performance.now() / 1000),
    });
    this.#interp = new Interpreter(space.arena, this.#slow, rare, float);
    this.slots[Slot.EXCLUSIVE_ADDRESS] = -1n;
    this.cache.onDrop = () => {
      this.#interp.jumpCache.fill(-1);
      this.#stepBlocks.clear();
    };
    space.onCodeChange = (first, last) => this.cache.invalidate(first, last);
    for (const register of isa.registers) {
      this.#registers.set(register.name, register);
      for (const alias of register.aliases) this.#registers.set(alias, register);
    }
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

  /** Blocks looked up in the run loop, not by links. */
  get lookups(): number {
    return this.#lookups;
  }

  /** A register's description. @throws {RangeError} For an unknown name. */
  register(name: string): RegisterInfo {
    const info = this.#registers.get(name);
    if (!info) {
      throw new RangeError(
        `Cannot find a register named "${name}" in ${this.isa.name}: try one of ${
          this.isa.registers.slice(0, 12).map((r) => r.name).join(", ")
        }...`,
      );
    }
    return info;
  }

  /** Value of a register, unsigned. @throws {RangeError} For an unknown name. */
  getRegister(name: string): bigint {
    if (name === "pc") return BigInt.asUintN(this.isa.xlen, BigInt(this.#pc));
    const info = this.register(name);
    const value = info.slot < 0
      ? this.isa.readSpecial(info.name, this.slots)
      : this.slots[info.slot];
    return BigInt.asUintN(info.bits, value);
  }

  /** Writes a register, modulo its width. @throws {RangeError} For an unknown name. */
  setRegister(name: string, value: bigint | number): void {
    const big = BigInt(value);
    if (name === "pc") {
      this.pc = Number(this.isa.xlen === 32 ? BigInt.asUintN(32, big) : BigInt.asIntN(64, big));
      return;
    }
    const info = this.register(name);
    if (info.slot === Slot.ZERO) return;
    if (info.slot < 0) this.isa.writeSpecial(info.name, big, this.slots);
    else this.slots[info.slot] = BigInt.asIntN(info.bits, big);
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

  /** Lifts a block of at most `limit` instructions at `pc`. */
  translate(pc: number, limit = MAX_BLOCK_INSNS): CachedBlock {
    const builder = this.#builder;
    builder.start(pc);
    const page = Math.floor(pc / PAGE_SIZE), pageEnd = (page + 1) * PAGE_SIZE;
    let at = pc;
    for (let count = 0; !builder.ended; count++) {
      if (count === limit || at >= pageEnd) {
        builder.jump(at);
        break;
      }
      builder.begin(at);
      at += this.isa.lift(builder, at, this.#fetch);
      builder.end();
    }
    const bytes = at - pc;
    const block = this.cache.install(builder.finish(bytes), limit > 1);
    if (bytes > 0) {
      this.space.watch(page);
      if (at > pageEnd) this.space.watch(page + 1);
    }
    if (limit === 1) this.#stepBlocks.set(pc, block);
    return block;
  }

  #block(pc: number): CachedBlock {
    this.#lookups++;
    return this.cache.get(pc) ?? this.translate(pc);
  }

  #instructionsAt(ip: number): number {
    const block = this.cache.blockAt(ip);
    return this.#retired + this.#startFuel - this.#interp.fuel + this.cache.insnIndex(block, ip);
  }

  /**
   * Runs until a trap or a fault, a store hook that asks to leave, or `limit` instructions.
   *
   * @param limit Instructions, counted exactly.
   * @returns A `Trap` reason, or one of {@linkcode Stop}; `pc` is where it stands.
   */
  run(limit: number): number {
    const end = this.#retired + limit;
    this.#pcWritten = false;
    if (this.trace) return this.#runTraced(end, this.trace);
    while (this.#retired < end) {
      const left = end - this.#retired;
      if (left < MAX_BLOCK_INSNS) {
        const reason = this.#step();
        if (reason !== Stop.LIMIT) return reason;
        continue;
      }
      let ip = this.#resumeIp;
      if (
        ip < 0 || this.#resumePc !== this.#pc || this.#resumeGeneration !== this.cache.generation
      ) {
        ip = this.#block(this.#pc).start;
      }
      const reason = this.#execute(ip, Math.min(left - MAX_BLOCK_INSNS, MAX_FUEL));
      if (reason !== Stop.LIMIT) return reason;
    }
    return Stop.LIMIT;
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
    const block = this.#stepBlocks.get(this.#pc) ?? this.translate(this.#pc, 1);
    return this.#execute(block.start, 0, true);
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
          this.#resumeIp = ip + WORDS;
          this.#resumePc = this.#nextPc;
          this.#resumeGeneration = cache.generation;
          if (code[ip + 2] === Trap.FETCH_FAULT) {
            this.#retired--;
            this.faultAddress = BigInt.asUintN(64, BigInt(this.#pc));
          } else if (code[ip + 2] === Trap.ILLEGAL) {
            this.#retired--;
          }
          return code[ip + 2];
        }
        case Exit.LINK: {
          const target = cache.linkTarget(ip);
          if (once || fuel < 0) {
            this.#pc = target;
            return Stop.LIMIT;
          }
          const generation = cache.generation;
          const block = this.#block(target);
          if (generation === cache.generation) cache.resolve(ip, block);
          ip = block.start;
          break;
        }
        case Exit.INDIRECT: {
          const target = this.isa.xlen === 32
            ? interp.targetLo >>> 0
            : interp.targetHi * TWO32 + (interp.targetLo >>> 0);
          if (once || fuel < 0) {
            this.#pc = target;
            return Stop.LIMIT;
          }
          const block = this.#block(target);
          const entry = ((interp.targetLo >>> 1) & (interp.jumpCache.length / 4 - 1)) * 4;
          interp.jumpCache[entry] = interp.targetLo;
          interp.jumpCache[entry + 1] = interp.targetHi;
          interp.jumpCache[entry + 2] = block.start;
          ip = block.start;
          break;
        }
        case Exit.FUEL: {
          const block = cache.blockAt(ip);
          this.#pc = ip === block.start ? block.pc : cache.linkTarget(ip);
          return Stop.LIMIT;
        }
        case Exit.FAULT:
          return this.#fault(ip);
        default:
          return this.#hooked(ip);
      }
    }
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
