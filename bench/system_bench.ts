/**
 * System mode next to qemu-system-riscv64: the same Debian kernel and RAM disk boot to the first program in both, and
 * kernels of this folder run in the guest as ordinary Linux programs. Figures are CPU seconds of the emulator's process,
 * all its threads, between marks that the guest prints.
 *
 * The kernel is fetched with apt-get when the variable `TRAPDOOR_LINUX` is 1 (112 MB, once). `TRAPDOOR_BENCH_KERNELS=a,b`
 * picks kernels, `TRAPDOOR_BENCH_RUNS` the runs of each machine, `TRAPDOOR_BENCH_TIER` the tier.
 *
 * @module
 */
import { linuxFiles, makeInitrd, missingForLinux } from "../tests/system_linux.ts";
import { buildCpuTime, buildKernel } from "./lib/build.ts";
import { calibrate } from "./lib/compare.ts";
import { pickKernels } from "./lib/kernels.ts";
import { reportMetric } from "./lib/metrics.ts";
import { parseKernelOutput } from "./lib/parse.ts";
import { geometricMean, median } from "./lib/stats.ts";
import { findTools, findTrapdoor, requireTool, skip, which } from "./lib/tools.ts";
import { execute } from "./lib/measure.ts";

/** Native CPU seconds of one run of a kernel. */
const NATIVE_SECONDS = 0.6;
/** Ticks in a second of the times in /proc/PID/stat (Linux' USER_HZ is 100 on every architecture that it runs Deno on). */
const USER_HZ = 100;

/** CPU seconds of a process so far. */
async function cpuSeconds(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/stat`);
  // Behind the name, which may hold anything: state is field 3, utime and stime are 14 and 15 (proc(5)).
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / USER_HZ;
}

/** One run of a machine: CPU seconds to the first program, and those of each program with what it printed. */
interface Run {
  boot: number;
  programs: Map<string, { seconds: number; output: string }>;
}

async function runMachine(command: readonly string[]): Promise<Run> {
  const child = new Deno.Command(command[0], {
    args: command.slice(1),
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const run: Run = { boot: 0, programs: new Map() };
  let rest = "", all = "", name = "", output = "", from = 0;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    all += text;
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop()!;
    for (const line of lines) {
      const mark = /^@(boot|start|end) ?(\w*)$/.exec(line);
      if (!mark) output += `${line}\n`;
      else if (mark[1] === "boot") run.boot = await cpuSeconds(child.pid);
      else if (mark[1] === "start") {
        name = mark[2];
        output = "";
        from = await cpuSeconds(child.pid);
      } else {
        const seconds = await cpuSeconds(child.pid) - from;
        run.programs.set(name, { seconds, output });
      }
    }
  }
  const { success } = await child.status;
  if (!success || run.boot === 0) {
    throw new Error(`'${command.join(" ")}' did not boot:\n${all.slice(-2000)}`);
  }
  return run;
}

async function main(): Promise<void> {
  const tools = await findTools(), trapdoor = await findTrapdoor();
  if (Deno.build.os !== "linux") return skip("system_bench", "it reads /proc");
  const missing = missingForLinux();
  if (missing.length > 0) return skip("system_bench", `it needs ${missing.join(", ")}`);
  if (!tools.guestCompiler.found) return skip("system_bench", tools.guestCompiler.reason);
  requireTool(tools.hostCompiler);
  const names = Deno.env.get("TRAPDOOR_BENCH_KERNELS")?.split(",");
  const runs = Number(Deno.env.get("TRAPDOOR_BENCH_RUNS") ?? 3);
  const tier = Deno.env.get("TRAPDOOR_BENCH_TIER") ?? "auto";
  const cpuTime = await buildCpuTime(tools), files = await linuxFiles();
  const programs: { path: string; bytes: Uint8Array }[] = [], lines: string[] = [];
  const expected = new Map<string, string>();
  for (const kernel of pickKernels(names)) {
    const native = await buildKernel(tools, kernel, "host");
    const scale = String(await calibrate(cpuTime, native, NATIVE_SECONDS));
    expected.set(kernel.name, parseKernelOutput((await execute([native, scale])).stdout).checksum);
    const guest = await buildKernel(tools, kernel, "riscv64");
    programs.push({ path: `bin/${kernel.name}`, bytes: await Deno.readFile(guest) });
    lines.push(`echo @start ${kernel.name}; /bin/${kernel.name} ${scale}; echo @end`);
  }
  const init = [
    "#!/bin/busybox sh",
    "/bin/busybox mkdir -p /proc /sys /dev",
    "/bin/busybox mount -t proc proc /proc",
    "/bin/busybox mount -t sysfs sys /sys",
    "/bin/busybox mount -t devtmpfs dev /dev",
    "/bin/busybox --install -s /bin",
    "export PATH=/bin",
    "ls -l /bin > /dev/null",
    "echo @boot",
    ...lines,
    "poweroff -f",
    "",
  ].join("\n");
  const folder = await Deno.makeTempDir();
  try {
    const initrd = `${folder}/initrd`;
    await Deno.writeFile(initrd, await makeInitrd(files, init, [], programs));
    const image = ["-kernel", files.kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet"];
    const machines = new Map<string, readonly string[]>();
    const qemu = which("qemu-system-riscv64");
    if (qemu === undefined) skip("qemu-system-riscv64", "not found");
    else machines.set("qemu", [qemu, "-machine", "virt", "-m", "256M", "-nographic", ...image]);
    if (trapdoor.missing !== undefined) skip("trapdoor", trapdoor.missing);
    else {
      const own = image.map((word) => word.replace(/^-/, "--"));
      machines.set("trapdoor", [
        ...trapdoor.command,
        ...["--machine", "virt", "--memory", "256M", `--tier=${tier}`],
        ...own,
      ]);
    }
    const figures = new Map<string, Map<string, number[]>>();
    const note = (what: string, machine: string, seconds: number) => {
      if (!figures.has(what)) figures.set(what, new Map());
      const row = figures.get(what)!;
      row.set(machine, [...row.get(machine) ?? [], seconds]);
    };
    for (let i = 0; i < runs; i++) {
      for (const [machine, command] of machines) {
        const run = await runMachine(command);
        note("boot", machine, run.boot);
        for (const [name, { seconds, output }] of run.programs) {
          const { checksum } = parseKernelOutput(output);
          if (checksum !== expected.get(name)) {
            throw new Error(
              `${name} in ${machine} computes ${checksum}, natively ${expected.get(name)}`,
            );
          }
          note(name, machine, seconds);
        }
      }
    }
    console.log(
      `${"CPU seconds".padEnd(16)}${
        [...machines.keys()].map((m) => m.padStart(10)).join("")
      }     ratio`,
    );
    const ratios: number[] = [];
    for (const [what, row] of figures) {
      const medians = [...machines.keys()].map((machine) => median(row.get(machine)!));
      const ratio = medians.length === 2 ? medians[1] / medians[0] : undefined;
      const cells = medians.map((seconds) => seconds.toFixed(2).padStart(10)).join("");
      console.log(`${what.padEnd(16)}${cells}${(ratio?.toFixed(2) ?? "").padStart(10)}`);
      if (ratio === undefined) continue;
      if (what === "boot") reportMetric("system.boot", ratio, "x qemu-system");
      else ratios.push(ratio);
    }
    if (ratios.length > 0) reportMetric("system.cpu", geometricMean(ratios), "x qemu-system");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

await main();
