/**
 * How soon compiled code is fast: milliseconds from the start of the process until coremark runs at half of its steady
 * speed, over windows of some 20 ms, without native code. Usage: `deno run -A bench/warmup.ts [rounds]`.
 *
 * @module
 */
import { Machine } from "../mod.ts";
import { buildKernel } from "./lib/build.ts";
import { pickKernels } from "./lib/kernels.ts";
import { median } from "./lib/stats.ts";
import { findTools } from "./lib/tools.ts";

/** Guest instructions of one window. */
const WINDOW = 20e6;
/** Of the last windows, from which the steady speed comes. */
const STEADY = 20;

/** Runs the program in this process and prints the milliseconds. */
async function child(program: string): Promise<void> {
  const machine = await Machine.user({ program, args: ["20000"] });
  const ends: number[] = [performance.now()];
  for (let passes = 0; passes < 150; passes++) {
    const { reason } = await machine.run(WINDOW);
    ends.push(performance.now());
    if (reason !== "limit") break;
  }
  await machine.close();
  const spans = ends.slice(1).map((end, i) => end - ends[i]);
  const steady = median(spans.slice(-STEADY));
  const first = spans.findIndex((span) => span <= 2 * steady);
  // The speed is reached when its window begins.
  console.log(JSON.stringify({ half: ends[first], start: ends[0], mips: WINDOW / steady / 1e3 }));
}

if (Deno.args[0] === "--child") await child(Deno.args[1]);
else {
  const [kernel] = pickKernels(["coremark"]);
  const program = await buildKernel(await findTools(), kernel, "riscv64");
  const results: { half: number; start: number; mips: number }[] = [];
  for (let round = Number(Deno.args[0] ?? 5); round > 0; round--) {
    const { success, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--deny-ffi", import.meta.filename!, "--child", program],
      stderr: "inherit",
    }).output();
    if (!success) throw new Error("a run failed");
    results.push(JSON.parse(new TextDecoder().decode(stdout)));
  }
  const middle = (key: "half" | "start" | "mips") => median(results.map((each) => each[key]));
  console.log(
    `coremark: half of ${middle("mips").toFixed(0)} MIPS after ${middle("half").toFixed(0)} ms, ` +
      `of which ${middle("start").toFixed(0)} ms are start-up`,
  );
}
