/**
 * Runs the same guest code on two CPUs, one that compiles everything at its first execution and one that only
 * interprets, and says where they differ.
 *
 * @module
 */
import { Cpu } from "../cpu/engine/cpu.ts";
import type { PassOptions } from "../cpu/ir/builder.ts";
import { Trap } from "../cpu/ir/ops.ts";
import { AddressSpace } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import { compiling, PASSES } from "./configuration.ts";
import type { Image } from "./fuzz/elf.ts";
import { encode, fits, tablesOf } from "./fuzz/encode.ts";
import { answer } from "./fuzz/host.ts";
import {
  CODE_PAGE,
  DATA,
  DATA_SIZE,
  NO_ACCESS,
  READ_ONLY,
  STACK,
  STACK_SIZE,
  TEXT,
  TEXT_SIZE,
} from "./fuzz/layout.ts";
import type { Random } from "./fuzz/random.ts";
import { stopName } from "./fuzz/runner.ts";
import type { MakeTier } from "./native_tools.ts";

const hex = (x: bigint | number) => `0x${BigInt.asUintN(64, BigInt(x)).toString(16)}`;

let usual: MakeTier | undefined;

/** Lets pairs have another tier from now on. */
export function useTier(tier: MakeTier): void {
  usual = tier;
}

/** Names of slots in a snapshot, for messages. */
function slotName(cpu: Cpu, slot: number): string {
  const register = cpu.isa.registers.find((each) => each.slot === slot);
  return register?.name ??
    ["fp flags", "fp rm", "fp fast", "reservation", "reserved value"][slot - cpu.isa.slotCount] ??
    `slot ${slot}`;
}

/** What differs between the states of two CPUs; empty if nothing. */
export function compareCpus(wanted: Cpu, got: Cpu, memory: boolean): string[] {
  const lines: string[] = [];
  const check = (what: string, want: bigint | number, have: bigint | number) => {
    if (want !== have) lines.push(`${what}: wanted ${hex(want)}, got ${hex(have)}`);
  };
  check("pc", wanted.pc, got.pc);
  check("instructions", wanted.instructions, got.instructions);
  const slots = got.snapshot();
  wanted.snapshot().forEach((value, i) => {
    if (value !== slots[i]) check(slotName(got, i), value, slots[i]);
  });
  if (!memory) return lines;
  for (const { start, end } of wanted.space.mappings()) {
    const a = wanted.space.arena.m32, b = got.space.arena.m32;
    for (let at = start / 4; at < end / 4; at++) {
      if (a[at] !== b[at]) check(`memory ${hex(at * 4)}`, a[at] >>> 0, b[at] >>> 0);
    }
  }
  return lines.slice(0, 12);
}

/** How a pair runs. */
export interface PairOptions {
  passes?: PassOptions;
  /** Stop at random places and compare there. */
  slices?: Random;
  /** Slices of exact numbers of instructions. */
  exact?: boolean;
  /** Instructions of every slice. */
  limit?: number;
  /** Stop after one slice. */
  once?: boolean;
  /** Start the program so many times, with the state as it is. */
  rounds?: number;
  /** See `CpuOptions.heat`; default 0. */
  heat?: number;
  /** Let the code cache start anew at random installations of a block. */
  flushes?: { random: Random; chance: number };
  /** Between slices, do to the compiling CPU's code what must make no difference. */
  disturb?: Random;
  /** The program needs the harness of tests/fuzz/host.ts, which may write these registers. */
  free?: readonly number[];
  /** Instructions after which the program is ended, wherever it is. */
  budget?: number;
  /** The data block of each round but the first. */
  data?: (round: number) => Uint8Array;
}

/** What a pair did. */
export interface PairResult {
  /** Differences; empty if none. */
  lines: string[];
  /** Instructions executed by each CPU. */
  instructions: number;
  /** Those of them that compiled code executed. */
  compiled: number;
  /** Regions compiled. */
  regions: number;
  /** How it ended. */
  end: string;
  /** Traps and faults on the way, by name. */
  stops: Map<string, number>;
}

/** Most instructions of a slice or a whole program. */
const LIMIT = 20_000_000;

/** Traps and faults of a round after which it is ended. */
const MAX_TRAPS = 3000;

/** Slices of a program after which it runs to its end. */
const MAX_STOPS = 300;

/** Two address spaces with the same contents, one for each way to run. */
export class Pair {
  readonly spaces: readonly AddressSpace[];
  #compared = 0;
  interpreted!: Cpu;
  compiled!: Cpu;

  constructor(readonly xlen: 32 | 64, guestBytes = 1 << 20, readonly tier = usual) {
    this.spaces = [0, 1].map(() => new AddressSpace(new Arena(guestBytes)));
    this.reset({});
  }

  /** Makes new CPUs and unmaps everything. */
  reset(options: PairOptions): void {
    for (const space of this.spaces) space.unmap(0, space.size);
    const { isa } = tablesOf(this.xlen), [plain, other] = this.spaces;
    const passes = options.passes ?? PASSES;
    this.interpreted = new Cpu(isa, plain, { passes });
    const tier = this.tier ?? usual;
    const made = tier ? { tier: tier(other) } : {};
    this.compiled = new Cpu(isa, other, { ...compiling(other, options.heat), ...made, passes });
    if (options.flushes) {
      const { cache } = this.compiled, { random, chance } = options.flushes;
      const install = cache.install.bind(cache);
      cache.install = (ir, find) => {
        if (random.chance(chance)) cache.flush();
        return install(ir, find);
      };
    }
    for (const cpu of [this.interpreted, this.compiled]) {
      cpu.slots.fill(0n, 0, cpu.isa.slotCount);
      cpu.setRegister("fcsr", 0);
    }
  }

  /** Does the same to both CPUs. */
  both(what: (cpu: Cpu, space: AddressSpace) => void): void {
    what(this.interpreted, this.spaces[0]);
    what(this.compiled, this.spaces[1]);
  }

  /** Loads an image of tests/fuzz and the pages that its faults are about. */
  load(image: Image, options: PairOptions): void {
    this.reset(options);
    this.both((cpu, space) => {
      space.map(TEXT, TEXT_SIZE, 7);
      space.map(DATA, DATA_SIZE, 3);
      space.map(READ_ONLY, 0x1000, 1);
      space.map(NO_ACCESS, 0x1000, 0);
      space.map(CODE_PAGE, 0x1000, 7);
      if (options.free) space.map(STACK, STACK_SIZE, 3);
      space.write(TEXT, image.text);
      space.write(DATA, image.data);
      cpu.pc = TEXT;
    });
  }

  /** Runs to the next trap or fault; the other CPU follows to each place where the compiling one stops. */
  go(options: PairOptions): { reason: number; lines: string[] } {
    const { compiled, interpreted } = this, { slices } = options;
    const { budget = Infinity } = options, end = compiled.instructions + LIMIT;
    let stops = 0;
    while (compiled.instructions < end) {
      if (compiled.instructions >= budget) return { reason: 0, lines: [] };
      const limit = slices === undefined || stops++ > MAX_STOPS
        ? options.limit ?? Math.min(LIMIT, budget)
        : slices.pick([
          1,
          1 + slices.below(64),
          1 + slices.below(300),
          1 + slices.below(3000),
          4096 + slices.below(100),
          4096 + slices.below(9000),
        ]);
      if (options.disturb?.chance(0.2)) this.#disturb(options.disturb);
      const before = compiled.instructions;
      const reason = compiled.run(limit, options.exact ?? true);
      const done = compiled.instructions - before;
      if (reason === 0 && (options.exact ?? true) && done !== limit) {
        return { reason, lines: [`run(${limit}) executed ${done} instructions`] };
      }
      // A trap that counts is the last instruction; one that doesn't is met by one more.
      const other = interpreted.run(reason === 0 ? done : LIMIT);
      const lines: string[] = [];
      if (reason !== other) lines.push(`end: wanted ${stopName(other)}, got ${stopName(reason)}`);
      const memory = (reason !== 0 && !options.free) || ++this.#compared % 16 === 0;
      lines.push(...compareCpus(interpreted, compiled, memory));
      if (reason !== 0 && interpreted.faultAddress !== compiled.faultAddress) {
        const [want, have] = [interpreted.faultAddress, compiled.faultAddress];
        lines.push(`fault address: wanted ${hex(want)}, got ${hex(have)}`);
      }
      if (reason !== 0 || lines.length > 0 || options.once) return { reason, lines };
    }
    return { reason: 0, lines: ["too many instructions"] };
  }

  /** Drops compiled code, or some of it: by stores of the same bytes, by rights that come and go, or all. */
  #disturb(random: Random): void {
    const { cache, space } = this.compiled, page = TEXT + 0x1000 * random.below(TEXT_SIZE >> 12);
    switch (random.below(3)) {
      case 0:
        return cache.flush();
      case 1:
        space.protect(page, 0x1000, 3);
        return void space.protect(page, 0x1000, 7);
      default: {
        const at = page + 4 * random.below(0x400);
        space.write(at, space.read(at, 4));
      }
    }
  }

  /** Answers the system calls of an epilogue; true at the end. */
  #finish(cpu: Cpu, reason: number): boolean {
    const goes = reason === Trap.SYSCALL && cpu.getRegister("a7") === 64n;
    cpu.setRegister("a0", 0n);
    cpu.finishTrap();
    return !goes;
  }

  /** Runs an image to its end, so many times as `options.rounds` says. */
  run(image: Image, options: PairOptions = {}): PairResult {
    this.load(image, options);
    const { compiled, interpreted } = this;
    const stops = new Map<string, number>(), rounds = options.rounds ?? 1;
    let result: { reason: number; lines: string[] } = { reason: 0, lines: [] };
    for (let round = 0; round < rounds; round++) {
      if (round > 0) {
        this.both((cpu, space) => {
          cpu.pc = TEXT;
          if (options.data) space.write(DATA, options.data(round));
        });
      }
      let ended = false;
      for (let traps = 0; !ended && traps < MAX_TRAPS; traps++) {
        result = this.go(options);
        const { reason, lines } = result, name = stopName(reason);
        stops.set(name, (stops.get(name) ?? 0) + 1);
        this.both((cpu, space) => {
          ended = lines.length > 0 ||
            (options.free ? answer(cpu, space, reason, options.free) : this.#finish(cpu, reason));
        });
      }
      const { lines } = result;
      if (ended && lines.length === 0) lines.push(...compareCpus(interpreted, compiled, true));
      if (lines.length > 0 || result.reason !== Trap.SYSCALL) break;
    }
    return {
      stops,
      lines: result.lines,
      instructions: interpreted.instructions,
      compiled: compiled.tierInstructions,
      regions: compiled.tier!.stats.regions,
      end: result.lines.length > 0 ? "different" : stopName(result.reason),
    };
  }
}

// ---- a small assembler ----

/** Code and where its labels are. */
export interface Assembled {
  bytes: Uint8Array<ArrayBuffer>;
  labels: ReadonlyMap<string, number>;
}

/**
 * Assembles lines like `loop:` and `addi rd=5 rs1=5 imm=-1` and `bne rs1=5 @loop`, which is a distance.
 * `la rd=5 @label` and `li rd=5 imm=N` (32 bits) are two instructions; `.word N` is data; fields not given are 0.
 */
export function assemble(xlen: 32 | 64, base: number, source: string): Assembled {
  const tables = tablesOf(xlen), labels = new Map<string, number>();
  type Line = { at: number; name: string; fields: Record<string, number>; target?: string };
  const lines: Line[] = [];
  let at = base;
  for (const text of source.split("\n")) {
    const line = text.replace(/#.*/, "").trim();
    if (line === "") continue;
    if (line.endsWith(":")) {
      labels.set(line.slice(0, -1), at);
      continue;
    }
    const [name, ...operands] = line.split(/\s+/), fields: Record<string, number> = {};
    const made: Line = { at, name, fields };
    for (const operand of operands) {
      const [field, value] = operand.split("=");
      if (operand.startsWith("@")) made.target = operand.slice(1);
      else if (value === undefined) fields.imm = Number(field);
      else fields[field] = Number(value);
    }
    lines.push(made);
    at += name === "la" || name === "li" ? 8 : name === ".word" ? 4 : tables.row(name).width / 8;
  }
  const bytes = new Uint8Array(at - base), view = new DataView(bytes.buffer);
  const put = (at: number, name: string, fields: Record<string, number>) => {
    const row = tables.row(name);
    if (!fits(row, fields)) throw new RangeError(`${name} ${JSON.stringify(fields)} doesn't fit`);
    const bits = encode(row, fields);
    if (row.width === 16) view.setUint16(at - base, bits, true);
    else view.setInt32(at - base, bits, true);
  };
  for (const { at, name, fields, target } of lines) {
    if (target !== undefined) {
      const to = labels.get(target);
      if (to === undefined) throw new RangeError(`no label ${target}`);
      fields.imm = to - at;
    }
    const { rd = 0, imm = 0 } = fields, high = (imm + 0x800) & ~0xfff, low = (imm - high) | 0;
    if (name === ".word") view.setInt32(at - base, imm, true);
    else if (name === "la") {
      put(at, "auipc", { rd, imm: high });
      put(at + 4, "addi", { rd, rs1: rd, imm: low });
    } else if (name === "li") {
      put(at, "lui", { rd, imm: high });
      put(at + 4, xlen === 64 ? "addiw" : "addi", { rd, rs1: rd, imm: low });
    } else put(at, name, fields);
  }
  return { bytes, labels };
}
