/**
 * What the guest pays for a call of the host's TypeScript, by each transport, for an event, and for a system call; next
 * to them a system call in qemu-riscv64.
 *
 * Each benchmark runs a loop of the guest a million times in this process: so many milliseconds as Deno shows for an
 * iteration are nanoseconds for a turn of the loop. The figures below them are CPU nanoseconds for the event alone:
 * medians, less a loop without it that ran just before. It needs no compiler: the guests are put together by
 * lib/backdoor.ts.
 *
 * `TRAPDOOR_BENCH_TIER` picks the executor (default `interp`).
 *
 * @module
 */

import { BackdoorGuest, Command, type Loop, syscallProgram, syscallTime } from "./lib/backdoor.ts";
import { reportMetric } from "./lib/metrics.ts";
import { median } from "./lib/stats.ts";
import { findTools, skip } from "./lib/tools.ts";
import type { UserMachineOptions } from "../machine/machine.ts";

/** One kind of event. */
interface Case {
  /** What it is. */
  name: string;
  /** Name of the figure. */
  metric: string;
  /** The loop around it, and the one without it. */
  loop: Loop;
  without: Loop;
  /** Command of the calls. */
  command?: number;
  /** Whether somebody answers; by default so. */
  answered?: false;
  /** What the callbacks must have seen. */
  sees?: "calls" | "events";
  /** Turns, if not a million: then it is not compared with the others. */
  turns?: number;
}

const prepared = { loop: "instruction", without: "prepare" } as const;
const cases: readonly Case[] = [
  { name: "instruction", metric: "backdoor.instruction", ...prepared, sees: "calls" },
  {
    name: "mapped channel: the doorbell",
    metric: "backdoor.control",
    loop: "doorbell",
    without: "empty",
    sees: "calls",
  },
  {
    name: "mapped channel: a whole call",
    metric: "backdoor.control_call",
    loop: "control",
    without: "empty",
    sees: "calls",
  },
  { name: "ring event", metric: "backdoor.ring", loop: "ring", without: "empty", sees: "events" },
  {
    name: "instruction, async callback",
    metric: "backdoor.async",
    ...prepared,
    command: Command.ASYNC,
    sees: "calls",
    turns: 100_000,
  },
  {
    name: "instruction, registers by name",
    metric: "backdoor.names",
    ...prepared,
    command: Command.NAMES,
    sees: "calls",
  },
  { name: "getppid", metric: "syscall.trapdoor", loop: "syscall", without: "number" },
  {
    name: "instruction, nobody answers",
    metric: "backdoor.nobody",
    ...prepared,
    answered: false,
  },
  {
    name: "ring event, the guest's part",
    metric: "backdoor.ring_guest",
    loop: "ring",
    without: "empty",
    answered: false,
  },
];

const tier = (Deno.env.get("TRAPDOOR_BENCH_TIER") ?? "interp") as UserMachineOptions["tier"];
const figures = new Map<string, number[]>();
const guests = new Map<boolean, BackdoorGuest>();

async function guestOf(callbacks: boolean): Promise<BackdoorGuest> {
  const guest = guests.get(callbacks) ?? await BackdoorGuest.make(callbacks, tier);
  guests.set(callbacks, guest);
  return guest;
}

for (const { name, metric, loop, without, command, answered, sees, turns = 1_000_000 } of cases) {
  const times: number[] = [];
  figures.set(metric, times);
  const group = `${turns.toLocaleString("en")} turns`;
  Deno.bench({ name, group, n: 9, warmup: 3 }, async (b) => {
    const guest = await guestOf(answered ?? true);
    const base = await guest.run(without, turns);
    const before = sees ? guest[sees] : 0;
    b.start();
    const time = await guest.run(loop, turns, command);
    b.end();
    const seen = sees ? guest[sees] - before : turns;
    // Events are seen in batches, and a turn that flushes is no event.
    const tolerance = sees === "events" ? turns / 100 : 0;
    if (Math.abs(seen - turns) > tolerance) {
      throw new Error(`${name}: the callbacks saw ${seen} ${sees}, not ${turns}`);
    }
    times.push(time - base);
  });
}

const { qemu } = await findTools();
if (!qemu.found) skip("getppid in qemu-riscv64", qemu.reason);
else {
  const program = await Deno.makeTempFile({ prefix: "trapdoor-bench-" });
  await Deno.writeFile(program, syscallProgram());
  await Deno.chmod(program, 0o755);
  globalThis.addEventListener("unload", () => Deno.removeSync(program));
  const times: number[] = [];
  figures.set("syscall.qemu", times);
  Deno.bench(
    { name: "qemu-riscv64: getppid", group: "a process of 262,144 turns", n: 5, warmup: 1 },
    async () => {
      times.push(await syscallTime(qemu.path, program));
    },
  );
}

// Deno ends a bench module with this event; stderr, because `--json` owns stdout.
globalThis.addEventListener("unload", () => {
  for (const [metric, times] of figures) {
    // The first ones are Deno's warm-up, while V8 still compiles.
    if (times.length > 0) reportMetric(metric, median(times.slice(times.length >> 2)), "ns");
  }
});
