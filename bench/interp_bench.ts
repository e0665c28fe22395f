/**
 * The interpreter on kernels of different character, next to native and qemu-riscv64.
 *
 * The times that `deno bench` shows are elapsed times of whole processes, start-up included;
 * below them stand the guest MIPS that the emulator itself counted, without start-up. For figures
 * in CPU time with start-up subtracted, run `deno task bench`.
 *
 * `TRAPDOOR_BENCH_KERNELS=a,b` picks other kernels, `TRAPDOOR_BENCH_COMMAND` another emulator.
 *
 * @module
 */

import { buildCpuTime, buildKernel } from "./lib/build.ts";
import { calibrate } from "./lib/compare.ts";
import { pickKernels } from "./lib/kernels.ts";
import { execute } from "./lib/measure.ts";
import { reportMetric } from "./lib/metrics.ts";
import { parseKernelOutput, parseStats } from "./lib/parse.ts";
import { geometricMean, median } from "./lib/stats.ts";
import { findTools, findTrapdoor, skip } from "./lib/tools.ts";

const names = Deno.env.get("TRAPDOOR_BENCH_KERNELS") ?? "coremark,sha256,strings,calls,nbody";
/** Native CPU seconds of one run: an interpreter takes some fifty times as long. */
const nativeSeconds = 0.01;

const tools = await findTools();
const trapdoor = await findTrapdoor();
const mips = new Map<string, number[]>();

if (!tools.hostCompiler.found) skip("interp_bench", tools.hostCompiler.reason);
else if (!tools.guestCompiler.found) skip("interp_bench", tools.guestCompiler.reason);
else {
  if (!tools.qemu.found) skip("qemu-riscv64", tools.qemu.reason);
  if (trapdoor.missing !== undefined) skip("trapdoor", trapdoor.missing);
  const cpuTime = await buildCpuTime(tools);
  for (const kernel of pickKernels(names.split(","))) {
    const native = await buildKernel(tools, kernel, "host");
    const guest = await buildKernel(tools, kernel, "riscv64");
    const scale = String(await calibrate(cpuTime, native, nativeSeconds));
    const expected = parseKernelOutput((await execute([native, scale])).stdout).checksum;
    const run = async (command: readonly string[]): Promise<string> => {
      const { stdout, stderr } = await execute(command);
      const { checksum } = parseKernelOutput(stdout);
      if (checksum !== expected) {
        throw new Error(`'${command.join(" ")}' computes ${checksum}, native ${expected}`);
      }
      return stderr;
    };
    // Few runs: one takes about half a second.
    const group = { group: kernel.name, n: 5, warmup: 1 };
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
      const command = [...trapdoor.command, "--tier=interp", "--stats=json", guest, scale];
      const counted: number[] = [];
      mips.set(kernel.name, counted);
      Deno.bench({ ...group, name: `${kernel.name}: trapdoor, interp` }, async () => {
        counted.push(parseStats(await run(command)).mips);
      });
    }
  }
}

// Deno ends a bench module with this event; stderr, because `--json` owns stdout.
globalThis.addEventListener("unload", () => {
  const measured = [...mips].filter(([, counted]) => counted.length > 0);
  if (measured.length === 0) return;
  for (const [name, counted] of measured) {
    reportMetric(`interp.mips.${name}`, median(counted), "MIPS");
  }
  reportMetric("interp.mips", geometricMean(measured.map(([, c]) => median(c))), "MIPS");
});
