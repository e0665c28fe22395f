/**
 * Comparing executors on one kernel: calibration, interleaved rounds, paired ratios.
 *
 * @module
 */

import type { Kernel } from "./kernels.ts";
import { measure, type Run } from "./measure.ts";
import { parseKernelOutput, parseStats } from "./parse.ts";
import { median } from "./stats.ts";

/** Something that executes a kernel. */
export interface Executor {
  /** `native`, `qemu` or `trapdoor`. */
  name: string;
  /** Words before the program; none for the host itself. */
  command: readonly string[];
  /** The built kernel. */
  program: string;
  /** Whether it leaves `--stats=json` on stderr. */
  stats: boolean;
  /** Its translation cache, with which it is run. */
  cache?: CacheUse;
}

/** A translation cache that runs are made with. */
export interface CacheUse {
  /** Value of `TRAPDOOR_CACHE`. */
  directory: string;
  /** Whether it is emptied before each run, or has what earlier runs of the kernel at the same scale left. */
  cold: boolean;
}

/** Runs of a kernel whose translations a warm cache has. */
const WARMING_RUNS = 2;

/** What one executor did on one kernel; medians over the rounds. */
export interface Outcome {
  /** CPU seconds, start-up subtracted. */
  seconds: number;
  /** CPU seconds relative to native, of the same round. */
  ratio: number;
  /** CPU seconds of start-up (scale 0). */
  startup: number;
  /** Guest instructions of the work, if the executor counts them. */
  instructions?: number;
  /** Million guest instructions a CPU second, start-up subtracted. */
  mips?: number;
}

/** The comparison on one kernel. */
export interface Comparison {
  kernel: Kernel;
  /** The scale that every executor was given. */
  scale: number;
  /** By the executor's name; those that failed are missing. */
  outcomes: Record<string, Outcome>;
  /** Why an executor has no outcome. */
  failures: Record<string, string>;
}

/** The scale at which a run takes `seconds`, from a run at `scale` that took `took`. */
export function nextScale(scale: number, took: number, seconds: number): number {
  // A short run says little, so grow at most sixteenfold at a time.
  const factor = took <= 0 ? 16 : Math.min(16, seconds / took);
  return Math.max(1, Math.round(scale * factor));
}

/** Finds the scale at which the native program takes about `seconds` of CPU time. */
export async function calibrate(
  cpuTime: string,
  program: string,
  seconds: number,
): Promise<number> {
  const startup = (await measure(cpuTime, [program, "0"])).cpu;
  let scale = 4;
  for (let i = 0; i < 8; i++) {
    const took = (await measure(cpuTime, [program, String(scale)])).cpu - startup;
    const next = nextScale(scale, took, seconds);
    if (took > seconds / 4) return next;
    scale = next;
  }
  throw new Error(`Can't calibrate ${program}: scale ${scale} is still too short`);
}

interface Sample {
  seconds: number;
  startup: number;
  instructions?: number;
}

/** Empties a directory. */
async function empty(directory: string): Promise<void> {
  for await (const { name } of Deno.readDir(directory)) {
    await Deno.remove(`${directory}/${name}`, { recursive: true });
  }
}

/** Runs an executor; a cold cache is emptied before. */
async function execute(cpuTime: string, executor: Executor, scale: number): Promise<Run> {
  const { cache, command, program } = executor;
  if (cache?.cold) await empty(cache.directory);
  const env: Record<string, string> = cache ? { TRAPDOOR_CACHE: cache.directory } : {};
  return await measure(cpuTime, [...command, program, String(scale)], { env });
}

async function sample(cpuTime: string, executor: Executor, kernel: Kernel, scale: number) {
  const go = async (scale: number): Promise<[Run, string]> => {
    const run = await execute(cpuTime, executor, scale);
    const result = parseKernelOutput(run.stdout);
    if (result.name !== kernel.name || result.scale !== scale) {
      throw new Error(`${executor.name} printed ${JSON.stringify(run.stdout)} for scale ${scale}`);
    }
    return [run, result.checksum];
  };
  const [idle, idleSum] = await go(0);
  const [busy, busySum] = await go(scale);
  const result: Sample = { seconds: busy.cpu - idle.cpu, startup: idle.cpu };
  if (!(result.seconds > 0)) throw new Error(`${executor.name} took no time for scale ${scale}`);
  if (executor.stats) {
    result.instructions = parseStats(busy.stderr).instructions -
      parseStats(idle.stderr).instructions;
  }
  return { result, checksum: `${idleSum} ${busySum}` };
}

/**
 * Runs every executor once a round, the first being the native reference. An executor that fails
 * or prints another checksum than the native program is left out and its failure kept; a failure
 * of the reference throws.
 */
export async function compare(
  cpuTime: string,
  kernel: Kernel,
  executors: readonly Executor[],
  rounds: number,
  seconds: number,
): Promise<Comparison> {
  const [reference] = executors;
  const scale = await calibrate(cpuTime, reference.program, seconds);
  const samples = new Map<string, Sample[]>(executors.map((e) => [e.name, []]));
  const failures: Record<string, string> = {};
  let expected: string | undefined;
  for (const executor of executors.filter(({ cache }) => cache && !cache.cold)) {
    for (let run = 0; run < WARMING_RUNS; run++) {
      try {
        await execute(cpuTime, executor, scale);
      } catch (error) {
        failures[executor.name] = error instanceof Error ? error.message : String(error);
      }
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (const executor of executors) {
      if (failures[executor.name] !== undefined) continue;
      try {
        const { result, checksum } = await sample(cpuTime, executor, kernel, scale);
        expected ??= checksum;
        if (checksum !== expected) {
          throw new Error(`${executor.name} computes ${checksum}, native ${expected}`);
        }
        samples.get(executor.name)!.push(result);
      } catch (error) {
        if (executor === reference) throw error;
        failures[executor.name] = error instanceof Error ? error.message : String(error);
      }
    }
  }
  const outcomes: Record<string, Outcome> = {};
  const native = samples.get(reference.name)!;
  for (const executor of executors) {
    if (failures[executor.name] !== undefined) continue;
    outcomes[executor.name] = summarise(samples.get(executor.name)!, native);
  }
  return { kernel, scale, outcomes, failures };
}

/** Medians of one executor's samples; ratios are taken within a round, then their median. */
export function summarise(samples: readonly Sample[], native: readonly Sample[]): Outcome {
  const seconds = median(samples.map((s) => s.seconds));
  const outcome: Outcome = {
    seconds,
    ratio: median(samples.map((s, round) => s.seconds / native[round].seconds)),
    startup: median(samples.map((s) => s.startup)),
  };
  const instructions = samples[0].instructions;
  if (instructions !== undefined) {
    outcome.instructions = instructions;
    outcome.mips = instructions / seconds / 1e6;
  }
  return outcome;
}

/** One program whose start-up is measured. */
export interface Starter {
  name: string;
  command: readonly string[];
}

/** Median start-up times in milliseconds. */
export interface Startup {
  /** Elapsed. */
  wall: number;
  /** User plus system CPU. */
  cpu: number;
}

/** Runs every starter once a round (after one unmeasured run, which fills caches). */
export async function compareStartup(
  cpuTime: string,
  starters: readonly Starter[],
  rounds: number,
): Promise<{ startup: Record<string, Startup>; failures: Record<string, string> }> {
  const runs = new Map<string, Run[]>(starters.map((s) => [s.name, []]));
  const failures: Record<string, string> = {};
  for (let round = -1; round < rounds; round++) {
    for (const { name, command } of starters) {
      if (failures[name] !== undefined) continue;
      try {
        const run = await measure(cpuTime, command);
        if (round >= 0) runs.get(name)!.push(run);
      } catch (error) {
        failures[name] = error instanceof Error ? error.message : String(error);
      }
    }
  }
  const startup: Record<string, Startup> = {};
  for (const { name } of starters) {
    if (failures[name] !== undefined) continue;
    const of = runs.get(name)!;
    startup[name] = {
      wall: median(of.map((r) => r.wall)) * 1000,
      cpu: median(of.map((r) => r.cpu)) * 1000,
    };
  }
  return { startup, failures };
}
