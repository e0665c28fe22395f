/**
 * How soon compiled code is fast: milliseconds from the start of the process until coremark runs at half of its steady
 * speed, and at nine tenths, over windows of some 20 ms: without native code, and with that of an earlier run.
 * Usage: `deno run -A bench/warmup.ts [rounds]`.
 *
 * @module
 */
import { cacheDirectory } from "../ffi/cache_directory.ts";
import { Machine } from "../mod.ts";
import { buildKernel } from "./lib/build.ts";
import { pickKernels } from "./lib/kernels.ts";
import { median } from "./lib/stats.ts";
import { findTools } from "./lib/tools.ts";

/** Guest instructions of one window; native code executes them in 10 ms. */
const WINDOW = 20e6;
/** Of the last windows, from which the steady speed comes. */
const STEADY = 20;

/** What a run saw: milliseconds since the process began, and the steady speed. */
interface Warmup {
  /** The first guest instruction. */
  start: number;
  /** Half of the steady speed, and nine tenths. */
  half: number;
  most: number;
  mips: number;
  /** Share of the instructions that native code executed. */
  native: number;
}

/** Runs the program in this process and prints the milliseconds. */
async function child(program: string, windows: number): Promise<void> {
  const cache = cacheDirectory();
  // As the command line has it.
  const machine = await Machine.user({
    program,
    args: ["100000"],
    disassembly: false,
    ...cache ? { cache } : {},
  });
  const ends: number[] = [performance.now()];
  for (let passes = 0; passes < windows; passes++) {
    const { reason } = await machine.run(WINDOW);
    ends.push(performance.now());
    if (reason !== "limit") throw new Error(`coremark ended: ${reason}`);
  }
  const native = machine.stats().tiers["native"] ?? 0;
  await machine.close();
  const spans = ends.slice(1).map((end, i) => end - ends[i]);
  const steady = median(spans.slice(-STEADY));
  // A speed is reached when its window begins.
  const reached = (part: number) => ends[spans.findIndex((span) => span <= steady / part)];
  const result: Warmup = {
    start: ends[0],
    half: reached(0.5),
    most: reached(0.9),
    mips: WINDOW / steady / 1e3,
    native,
  };
  console.log(JSON.stringify(result));
}

/** Runs the program in a process of its own. */
async function measure(program: string, windows: number, flags: string[], cache: string) {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...flags, import.meta.filename!, "--child", program, `${windows}`],
    env: { TRAPDOOR_CACHE: cache },
    stderr: "inherit",
  }).output();
  if (!success) throw new Error("a run failed");
  return JSON.parse(new TextDecoder().decode(stdout)) as Warmup;
}

function report(what: string, results: readonly Warmup[]): void {
  const middle = (key: keyof Warmup) => median(results.map((each) => each[key]));
  const ms = (key: keyof Warmup) => `${middle(key).toFixed(0)} ms`;
  console.log(
    `coremark, ${what}: half of ${middle("mips").toFixed(0)} MIPS after ${ms("half")}, ` +
      `nine tenths after ${ms("most")}, of which ${ms("start")} are start-up; ` +
      `native code: ${(100 * middle("native")).toFixed(0)}%`,
  );
}

async function main(rounds: number): Promise<void> {
  const [kernel] = pickKernels(["coremark"]);
  const program = await buildKernel(await findTools(), kernel, "riscv64");
  const repeat = async (run: () => Promise<Warmup>) => {
    const results: Warmup[] = [];
    for (let round = 0; round < rounds; round++) results.push(await run());
    return results;
  };
  report("without native code", await repeat(() => measure(program, 150, ["--deny-ffi"], "off")));
  const cache = await Deno.makeTempDir({ prefix: "trapdoor-warmup-" });
  try {
    // Long enough for all compilers to come to an end.
    const first = await measure(program, 600, [], cache);
    if (first.native === 0) throw new Error("no native code: --verbose of a run says why");
    report("native code of an earlier run", await repeat(() => measure(program, 300, [], cache)));
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

if (Deno.args[0] === "--child") await child(Deno.args[1], Number(Deno.args[2]));
else await main(Number(Deno.args[0] ?? 5));
