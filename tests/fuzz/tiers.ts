/**
 * Random programs in compiled code against the interpreter: what the task and the test share.
 *
 * A program is its seed: kind, register width, the way it is run and the passes come out of it, and so does the state
 * of each round.
 *
 * @module
 */
import { printModule } from "../../cpu/wasm/encoder/module_text.ts";
import { PASSES } from "../configuration.ts";
import { Pair, type PairOptions, type PairResult } from "../wasm_fuzz.ts";
import { Generator } from "./generator.ts";
import { dataBlock } from "./layout.ts";
import { type Kind, KINDS } from "./pieces.ts";
import { type Program, programImage } from "./program.ts";
import { Random } from "./random.ts";
import { blocksOf, disassembly } from "./report.ts";
import { shrink } from "./shrink.ts";

/** What to run. */
export interface TierCampaignOptions {
  /** Instructions that compiled code must execute. */
  count: number;
  /** Seed of the first program; the next one has the next number. */
  seed: number;
  xlens?: readonly (32 | 64)[];
  kinds?: readonly Kind[];
  /** Programs after which to stop in any case. */
  programs?: number;
  /** Called for each failing program, shrunk, until there were `failures`. */
  onFailure: (text: string) => void;
  failures: number;
}

/** What was run. */
export interface TierCampaignResult {
  programs: number;
  /** Instructions executed by each CPU, and those of them that compiled code executed. */
  instructions: number;
  compiled: number;
  regions: number;
  failures: number;
  /** Traps and faults, by name. */
  stops: Map<string, number>;
  /** Instructions that compiled code executed, by kind of program. */
  byKind: Map<Kind, number>;
}

/** One program and how it is run. */
interface Trial {
  seed: number;
  xlen: 32 | 64;
  kind: Kind;
  generator: Generator;
  program: Program;
  options: () => PairOptions;
}

/** How often a program is started, with other registers each time. */
const ROUNDS = 8;
/** Most instructions of all that. */
const BUDGETS = [5000, 8000, 8000, 12_000, 80_000];

/** The trial of a seed. */
function trialOf(seed: number, xlens: readonly (32 | 64)[], kinds: readonly Kind[]): Trial {
  const random = new Random(seed ^ 0x7157_0000);
  // Floating point has the most cases.
  const weighted = kinds.flatMap((kind) => Array(kind === "edge" ? 3 : 1).fill(kind) as Kind[]);
  const xlen = random.pick(xlens), kind = weighted[seed % weighted.length];
  const host = random.chance(0.7), size = random.pick([40, 100, 200, 300]);
  const generator = new Generator(seed, { xlen, kind, size, host });
  const program = generator.program();
  const budget = random.pick(BUDGETS);
  const [slicing, exact, flushing, passes] = [
    random.below(3) > 0,
    random.chance(0.5),
    random.below(6),
    random.below(6),
  ];
  // Fresh for each run, as random sources are used up.
  const options = (): PairOptions => ({
    rounds: ROUNDS,
    budget,
    data: (round) =>
      dataBlock({ ...stateOf(generator, seed, round), memory: program.state.memory }),
    ...(host ? { free: program.free } : {}),
    ...(slicing ? { slices: new Random(seed), exact } : {}),
    ...(flushing === 0 ? { flushes: { random: new Random(seed + 1), chance: 0.005 } } : {}),
    ...(flushing <= 1 && slicing ? { disturb: new Random(seed + 2) } : {}),
    ...(flushing === 2 ? { heat: 2 } : {}),
    passes: passes > 2
      ? PASSES
      : { ...PASSES, [(["fold", "retarget", "dead"] as const)[passes]]: false },
  });
  return { seed, xlen, kind, generator, program, options };
}

/** Registers for a later round; the pool stays, as the program's loads are made for it. */
function stateOf(generator: Generator, seed: number, round: number): Program["state"] {
  return new Generator(seed * 64 + round, generator.options).stateFor(generator);
}

/** Runs a program; an exception of the emulator is a difference, too. */
function attempt(pair: Pair, trial: Trial, program: Program): PairResult {
  try {
    return pair.run(programImage(program), trial.options());
  } catch (error) {
    if (error instanceof RangeError && error.message.startsWith("Cannot")) throw error;
    const lines = [`exception ${(error as Error).stack}`];
    return { lines, instructions: 0, compiled: 0, regions: 0, end: "exception", stops: new Map() };
  }
}

/** Runs programs until compiled code has executed `count` instructions. */
export async function tierCampaign(options: TierCampaignOptions): Promise<TierCampaignResult> {
  const { count, seed, xlens = [64, 32], kinds = KINDS, programs = Infinity } = options;
  const pairs = { 32: new Pair(32), 64: new Pair(64) };
  const sum: TierCampaignResult = {
    ...{ programs: 0, instructions: 0, compiled: 0, regions: 0, failures: 0 },
    stops: new Map(),
    byKind: new Map(),
  };
  while (sum.compiled < count && sum.programs < programs && sum.failures < options.failures) {
    const trial = trialOf(seed + sum.programs++, xlens, kinds), pair = pairs[trial.xlen];
    const result = attempt(pair, trial, trial.program);
    sum.instructions += result.instructions;
    sum.compiled += result.compiled;
    sum.regions += result.regions;
    sum.byKind.set(trial.kind, (sum.byKind.get(trial.kind) ?? 0) + result.compiled);
    for (const [name, n] of result.stops) sum.stops.set(name, (sum.stops.get(name) ?? 0) + n);
    if (result.lines.length === 0) continue;
    sum.failures++;
    options.onFailure(await explain(pair, trial, result.lines));
  }
  return sum;
}

/** Calls a function, and returns the WebAssembly modules that are made meanwhile. */
function modulesOf(call: () => void): Uint8Array[] {
  const { Module } = WebAssembly, made: Uint8Array[] = [];
  WebAssembly.Module = class extends Module {
    constructor(bytes: BufferSource) {
      super(bytes);
      made.push(
        new Uint8Array(
          ArrayBuffer.isView(bytes)
            ? bytes.buffer.slice(
              bytes.byteOffset,
              bytes.byteOffset + bytes.byteLength,
            )
            : bytes.slice(0),
        ),
      );
    }
  };
  try {
    call();
  } finally {
    WebAssembly.Module = Module;
  }
  return made;
}

/** Shrinks a failing program, and says all there is to say. */
async function explain(pair: Pair, trial: Trial, first: string[]): Promise<string> {
  const lines = (program: Program): string[] => {
    try {
      return attempt(pair, trial, program).lines;
    } catch (error) {
      // Pieces that other pieces refer to can't go, and code can grow out of reach.
      if (error instanceof RangeError) return [];
      throw error;
    }
  };
  const small = await shrink(trial.program, (candidate) => lines(candidate).length > 0, 400);
  let found: string[] = [];
  const modules = modulesOf(() => {
    found = lines(small);
  });
  const image = programImage(small), { interpreted, compiled } = pair;
  const registers = [...new Set(interpreted.isa.registers)].map(({ name }) => {
    const [want, got] = [interpreted.getRegister(name), compiled.getRegister(name)];
    const text = `${name.padEnd(5)} 0x${want.toString(16)}`;
    return want === got ? text : `${text}, got 0x${got.toString(16)}`;
  });
  const { data: _data, free: _free, slices, flushes, disturb, ...rest } = trial.options();
  return [
    `rv${trial.xlen} ${trial.kind} seed ${trial.seed}: compiled code differs from the interpreter`,
    ...(found.length > 0 ? found : first).map((line) => `  ${line}`),
    ...(found.length > 0 ? [] : ["  (only in the whole program)"]),
    "replay:",
    `  deno task fuzz --compiled --seed ${trial.seed} --programs 1 --xlen ${trial.xlen} --kinds ${trial.kind}`,
    `run: ${JSON.stringify({ ...rest, slices: !!slices, flushes: !!flushes, disturb: !!disturb })}`,
    "code:",
    ...disassembly(image, small.entry),
    `registers of the interpreter, and of compiled code where they differ (instruction ${interpreted.instructions}):`,
    ...registers.map((line) => `  ${line}`),
    "start state: " +
    JSON.stringify(
      small.state,
      (_, value) => typeof value === "bigint" ? `0x${value.toString(16)}` : value,
    ),
    "IR:",
    ...blocksOf(interpreted, image),
    "wasm:",
    ...modules.slice(-8).map((bytes) => printModule(bytes)),
    "",
  ].join("\n");
}
