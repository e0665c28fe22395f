/**
 * One executor on kernels of different character, next to native and qemu-riscv64, as benchmarks of `deno bench`.
 *
 * The times that `deno bench` shows are elapsed times of whole processes, start-up included;
 * below them stand the guest MIPS that the emulator itself counted, without start-up. For figures
 * in CPU time with start-up subtracted, run `deno task bench`.
 *
 * `TRAPDOOR_BENCH_KERNELS=a,b` picks other kernels, `TRAPDOOR_BENCH_COMMAND` another emulator.
 *
 * @module
 */

import { buildCpuTime, buildKernel } from "./build.ts";
import { calibrate } from "./compare.ts";
import { pickKernels } from "./kernels.ts";
import { execute } from "./measure.ts";
import { reportMetric } from "./metrics.ts";
import { parseKernelOutput, parseStats } from "./parse.ts";
import { geometricMean, median } from "./stats.ts";
import { findTools, findTrapdoor, skip } from "./tools.ts";

/** What is measured, and how. */
export interface KernelBench {
  /** Name of the executor in tables and metrics. */
  name: string;
  /** Options for Trapdoor. */
  options: readonly string[];
  /** Permissions to take from it, such as `--deny-ffi`: without it there is no native tier. */
  deny?: readonly string[];
  /** Kernels, unless `TRAPDOOR_BENCH_KERNELS` says other ones; all if absent. */
  kernels?: readonly string[];
  /** Native CPU seconds of one run. */
  nativeSeconds: number;
  /** Runs of each. */
  runs: number;
}

/** Registers the benchmarks of one executor. */
export async function benchKernels(bench: KernelBench): Promise<void> {
  const { name: engine, runs, deny = [] } = bench;
  const tools = await findTools();
  const trapdoor = await findTrapdoor();
  const mips = new Map<string, number[]>();
  if (!tools.hostCompiler.found) return skip(`${engine}_bench`, tools.hostCompiler.reason);
  if (!tools.guestCompiler.found) return skip(`${engine}_bench`, tools.guestCompiler.reason);
  if (!tools.qemu.found) skip("qemu-riscv64", tools.qemu.reason);
  if (trapdoor.missing !== undefined) skip("trapdoor", trapdoor.missing);
  const cpuTime = await buildCpuTime(tools);
  const names = Deno.env.get("TRAPDOOR_BENCH_KERNELS")?.split(",") ?? bench.kernels;
  for (const kernel of pickKernels(names && [...names])) {
    const native = await buildKernel(tools, kernel, "host");
    const guest = await buildKernel(tools, kernel, "riscv64");
    const scale = String(await calibrate(cpuTime, native, bench.nativeSeconds));
    const expected = parseKernelOutput((await execute([native, scale])).stdout).checksum;
    const run = async (command: readonly string[]): Promise<string> => {
      const { stdout, stderr } = await execute(command);
      const { checksum } = parseKernelOutput(stdout);
      if (checksum !== expected) {
        throw new Error(`'${command.join(" ")}' computes ${checksum}, native ${expected}`);
      }
      return stderr;
    };
    const group = { group: kernel.name, n: runs, warmup: 1 };
    Deno.bench({ ...group, name: `${kernel.name}: native`, baseline: true }, async () => {
      await run([native, scale]);
    });
    if (tools.qemu.found) {
      const qemu = tools.qemu.path;
      Deno.bench({ ...group, name: `${kernel.name}: qemu-riscv64` }, async () => {
        await run([qemu, guest, scale]);
      });
    }
    if (trapdoor.missing === undefined) {
      const start = trapdoor.command.flatMap((word) => word === "-A" ? [word, ...deny] : [word]);
      const command = [...start, ...bench.options, "--stats=json", guest, scale];
      const counted: number[] = [];
      mips.set(kernel.name, counted);
      Deno.bench({ ...group, name: `${kernel.name}: trapdoor, ${engine}` }, async () => {
        counted.push(parseStats(await run(command)).mips);
      });
    }
  }
  // Deno ends a bench module with this event; stderr, because `--json` owns stdout.
  globalThis.addEventListener("unload", () => {
    const measured = [...mips].filter(([, counted]) => counted.length > 0);
    if (measured.length === 0) return;
    for (const [name, counted] of measured) {
      reportMetric(`${engine}.mips.${name}`, median(counted), "MIPS");
    }
    reportMetric(`${engine}.mips`, geometricMean(measured.map(([, c]) => median(c))), "MIPS");
  });
}
