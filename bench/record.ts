/**
 * `deno task bench`: compares Trapdoor with native and with QEMU's user mode on every kernel, prints
 * the table, appends a record to the history and draws the trend. See README.md.
 *
 * @module
 */

import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { buildCpuTime, buildHello, buildKernel, emptyModule } from "./lib/build.ts";
import {
  type CacheUse,
  compare,
  compareStartup,
  type Executor,
  type Starter,
} from "./lib/compare.ts";
import {
  formatRelation,
  formatStartup,
  formatTable,
  type HistoryRecord,
  kernelRecord,
  means,
  parseHistory,
} from "./lib/history.ts";
import { type Kernel, kernelsOf, pickKernels } from "./lib/kernels.ts";
import { metricsVariable, parseMetrics } from "./lib/metrics.ts";
import { dirname, fromFileUrl, join } from "./lib/paths.ts";
import { formatRatio, significant } from "./lib/stats.ts";
import {
  type Architecture,
  architectures,
  findTools,
  findTrapdoor,
  requireTool,
  root,
} from "./lib/tools.ts";
import { drawTrend } from "./lib/trend.ts";

const help = `usage: deno task bench [options]

  --arch ARCH      the guest: riscv64 (default) or aarch64
  --kernels A,B    only these kernels (default: all)
  --tier A,B       what to measure, each in every round and with a record of its own: interp, wasm,
                   native (compiled at once), auto, native-cold and native-warm (as auto, with an
                   empty cache of native code and with that of two earlier runs; needs
                   --seconds 1 or more, because compilers take their time); default: interp
  --rounds N       interleaved rounds, of which medians are taken (default: 5)
  --seconds S      native CPU seconds of one run (default: 0.1)
  --trapdoor CMD   how to start Trapdoor (default: this checkout's mod.ts), or 'none'
  --out FILE       the history to append to (default: bench/history/history.jsonl);
                   trend.svg, trend-aarch64.svg are drawn beside it
  --dry-run        only print the table
  --no-extra       don't run backdoor_bench.ts (a riscv64 guest) for its figures
  --help           this text`;

const TIERS: readonly string[] = ["interp", "wasm", "native", "auto", "native-cold", "native-warm"];

interface Settings {
  arch: Architecture;
  kernels: Kernel[];
  tiers: string[];
  rounds: number;
  seconds: number;
  trapdoor: string | undefined;
  out: string;
  dryRun: boolean;
  extra: boolean;
}

/** Reads the command line; throws an `Error` in one line for anything it doesn't know. */
function readSettings(args: string[]): Settings | "help" {
  const { values } = parseArgs({
    args,
    options: {
      arch: { type: "string", default: "riscv64" },
      kernels: { type: "string" },
      tier: { type: "string", default: "interp" },
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "0.1" },
      trapdoor: { type: "string" },
      out: { type: "string" },
      "dry-run": { type: "boolean", default: false },
      "no-extra": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const arch = architectures.find((known) => known === values.arch);
  if (arch === undefined) {
    throw new Error(`--arch is ${architectures.join(" or ")}, not '${values.arch}'`);
  }
  const tiers = (values.tier as string).split(",");
  for (const tier of tiers) {
    if (!TIERS.includes(tier)) throw new Error(`--tier is ${TIERS.join(", ")}, not '${tier}'`);
  }
  const rounds = Number(values.rounds), seconds = Number(values.seconds);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 1000) {
    throw new Error(`--rounds is a whole number from 1 to 1000, not '${values.rounds}'`);
  }
  if (!(seconds >= 0.001 && seconds <= 60)) {
    throw new Error(`--seconds is a number from 0.001 to 60, not '${values.seconds}'`);
  }
  return {
    arch,
    kernels: pickKernels(values.kernels?.split(","), arch),
    tiers,
    rounds,
    seconds,
    trapdoor: values.trapdoor,
    out: values.out ?? fromFileUrl(new URL("./history/history.jsonl", import.meta.url)),
    dryRun: values["dry-run"] === true,
    extra: values["no-extra"] !== true,
  };
}

/** The checkout's commit with `+` if anything is uncommitted; `undefined` without git or commit. */
async function commit(): Promise<string | undefined> {
  const git = async (...args: string[]): Promise<string | undefined> => {
    try {
      const output = await new Deno.Command("git", { args, cwd: root, stderr: "null" }).output();
      return output.success ? new TextDecoder().decode(output.stdout).trim() : undefined;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  };
  const head = await git("rev-parse", "--short=12", "HEAD");
  if (head === undefined) return undefined;
  return (await git("status", "--porcelain")) === "" ? head : `${head}+`;
}

/** Runs backdoor_bench.ts, if the checkout has it, and returns the figures that it reports. */
async function extraMetrics(command: readonly string[], tier: string) {
  const file = join(root, "bench/backdoor_bench.ts");
  try {
    await Deno.stat(file);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.error("no bench/backdoor_bench.ts: the record has no backdoor figures");
    return {};
  }
  const metrics = await Deno.makeTempFile();
  try {
    const status = await new Deno.Command(Deno.execPath(), {
      args: ["bench", "-A", file],
      cwd: root,
      env: {
        [metricsVariable]: metrics,
        TRAPDOOR_BENCH_COMMAND: command.map((word) => `'${word}'`).join(" "),
        TRAPDOOR_BENCH_TIER: tier,
      },
      stdin: "null",
    }).spawn().status;
    if (!status.success) throw new Error(`'deno bench ${file}' ends with ${status.code}`);
    return parseMetrics(await Deno.readTextFile(metrics));
  } finally {
    await Deno.remove(metrics);
  }
}

/** The records so far; none if there is no history yet. */
async function readHistory(path: string): Promise<HistoryRecord[]> {
  try {
    return parseHistory(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Appends records and draws the trend; the picture is replaced in one step. */
async function save(out: string, records: readonly HistoryRecord[]): Promise<void> {
  await Deno.mkdir(dirname(out), { recursive: true });
  const lines = records.map((record) => JSON.stringify(record) + "\n");
  await Deno.writeTextFile(out, lines.join(""), { append: true });
  const arch = records[0].arch ?? "riscv64";
  const picture = join(dirname(out), arch === "riscv64" ? "trend.svg" : `trend-${arch}.svg`);
  await Deno.writeTextFile(`${picture}.tmp`, drawTrend(await readHistory(out), arch));
  await Deno.rename(`${picture}.tmp`, picture);
  console.log(`\nappended to ${out}, drawn in ${picture}`);
}

async function main(settings: Settings): Promise<number> {
  const caches = await Deno.makeTempDir({ prefix: "trapdoor-bench-" });
  try {
    return await measureAll(settings, caches);
  } finally {
    await Deno.remove(caches, { recursive: true });
  }
}

/** The start-up times of a tier's record, in which it is just `trapdoor`. */
function startupOf(all: HistoryRecord["startup"], tier: string | undefined) {
  const own = all[`trapdoor, ${tier}`];
  const others = Object.entries(all).filter(([name]) => !name.startsWith("trapdoor, "));
  return { ...Object.fromEntries(others), ...(own === undefined ? {} : { trapdoor: own }) };
}

/** @param caches Directory for translation caches. */
async function measureAll(settings: Settings, caches: string): Promise<number> {
  // Before minutes of measuring: a history that can't be read couldn't be drawn either.
  if (!settings.dryRun) await readHistory(settings.out);
  const tools = await findTools(settings.arch);
  requireTool(tools.hostCompiler);
  requireTool(tools.guestCompiler);
  if (!tools.qemu.found) console.error(`warning: no column for qemu: ${tools.qemu.reason}`);
  const trapdoor = settings.trapdoor === "none" ? undefined : await findTrapdoor(settings.trapdoor);
  if (trapdoor?.missing !== undefined) {
    throw new Error(
      `Can't start Trapdoor: ${trapdoor.missing}; ` +
        "name another command by --trapdoor, or 'none' to measure only native and qemu",
    );
  }
  if (trapdoor === undefined && !settings.dryRun) {
    console.error("without Trapdoor nothing is recorded");
  }
  const cpuTime = await buildCpuTime(tools);
  const qemu = tools.qemu.found ? [tools.qemu.path] : undefined;
  const tiers = trapdoor === undefined ? [] : settings.tiers.map((tier) => {
    const cached = tier.startsWith("native-");
    const cache = `${caches}/${tier}`;
    if (cached) Deno.mkdirSync(cache);
    const command = [...trapdoor.command, `--tier=${cached ? "auto" : tier}`];
    const use: CacheUse | undefined = cached
      ? { directory: cache, cold: tier === "native-cold" }
      : undefined;
    return { tier, name: `trapdoor, ${tier}`, command, use };
  });
  let failed = false;
  const report = (what: string, failures: Record<string, string>) => {
    for (const [name, reason] of Object.entries(failures)) {
      console.error(`FAILED ${what} in ${name}: ${reason}`);
      failed = true;
    }
  };

  const kernels = new Map<string | undefined, HistoryRecord["kernels"]>(
    trapdoor === undefined ? [[undefined, {}]] : tiers.map(({ tier }) => [tier, {}]),
  );
  for (const kernel of settings.kernels) {
    const native = await buildKernel(tools, kernel, "host");
    const program = await buildKernel(tools, kernel, settings.arch);
    const executors: Executor[] = [{ name: "native", command: [], program: native, stats: false }];
    if (qemu) executors.push({ name: "qemu", command: qemu, program, stats: false });
    for (const { name, command, use } of tiers) {
      const cache = use === undefined ? {} : { cache: use };
      const words = [...command, "--stats=json"];
      executors.push({ name, command: words, program, stats: true, ...cache });
    }
    const result = await compare(cpuTime, kernel, executors, settings.rounds, settings.seconds);
    report(kernel.name, result.failures);
    for (const [tier, all] of kernels) {
      all[kernel.name] = kernelRecord(result, `trapdoor, ${tier}`);
    }
    const { native: reference, ...others } = result.outcomes;
    const shown = Object.entries(others).map(([name, { ratio }]) =>
      `${name} ${formatRatio(ratio)}`
    );
    console.error(
      `${kernel.name}: native ${significant(reference.seconds)} s, ${shown.join(", ")}`,
    );
  }

  const hello = await buildHello(tools, settings.arch);
  const starters: Starter[] = [
    { name: "native", command: [await buildHello(tools, "host")] },
    { name: "deno, empty module", command: [Deno.execPath(), "run", await emptyModule()] },
  ];
  if (qemu) starters.push({ name: `qemu-${settings.arch}`, command: [...qemu, hello] });
  for (const { name, command, use } of tiers) {
    const env = use ? ["env", `TRAPDOOR_CACHE=${use.directory}`] : [];
    starters.push({ name, command: [...env, ...command, hello] });
  }
  const starting = await compareStartup(cpuTime, starters, Math.max(9, settings.rounds));
  report("start-up", starting.failures);
  for (const time of Object.values(starting.startup)) {
    time.wall = significant(time.wall);
    time.cpu = significant(time.cpu);
  }

  const head = await commit();
  const recordOf = (tier: string | undefined): HistoryRecord => ({
    schema: 1,
    date: new Date().toISOString(),
    deno: `Deno ${Deno.version.deno}`,
    v8: Deno.version.v8,
    cpu: cpus()[0]?.model || "unknown CPU",
    cores: navigator.hardwareConcurrency,
    platform: `${Deno.build.os} ${Deno.build.arch}`,
    compiler: tools.hostCompiler.found ? tools.hostCompiler.version : "",
    arch: settings.arch,
    tier: tier ?? "none",
    rounds: settings.rounds,
    complete: kernelsOf(settings.arch).every((k) =>
      kernels.get(tier)![k.name]?.trapdoor !== undefined
    ),
    kernels: kernels.get(tier)!,
    geomean: {},
    startup: startupOf(starting.startup, tier),
    ...(head === undefined ? {} : { commit: head }),
  });
  const records = [...kernels.keys()].map(recordOf);
  for (const record of records) {
    for (const engine of ["qemu", "trapdoor"] as const) {
      const mean = means(record.kernels, engine);
      if (mean !== undefined) record.geomean[engine] = mean;
    }
    // A cold cache makes no difference to single events. The guest of backdoor_bench.ts is riscv64's.
    if (trapdoor === undefined || !settings.extra || record.tier === "native-cold") continue;
    if (settings.arch !== "riscv64") continue;
    const tier = record.tier === "native-warm" ? "native" : record.tier;
    const metrics = await extraMetrics(trapdoor.command, tier);
    if (Object.keys(metrics).length > 0) record.metrics = metrics;
  }

  console.log(`CPU time relative to native, median of ${settings.rounds} interleaved rounds:`);
  for (const record of records) {
    console.log(`\n${formatTable(record)}`);
    console.log(`\n${formatStartup(record.startup)}`);
    for (const [name, { value, unit }] of Object.entries(record.metrics ?? {})) {
      console.log(`${name}: ${significant(value)} ${unit}`);
    }
  }
  const relations = records.map(formatRelation).filter((line) => line !== undefined);
  if (relations.length > 0) console.log(`\n${relations.join("\n")}`);
  if (trapdoor !== undefined && !settings.dryRun) await save(settings.out, records);
  return failed ? 1 : 0;
}

if (import.meta.main) {
  let settings: Settings | "help" | undefined;
  try {
    settings = readSettings(Deno.args);
  } catch (error) {
    console.error(`bench: ${(error as Error).message.split("\n")[0]}`);
    Deno.exit(2);
  }
  if (settings === "help") {
    console.log(help);
  } else {
    try {
      Deno.exitCode = await main(settings);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      console.error(`bench: ${error.message}`);
      Deno.exitCode = 1;
    }
  }
}
