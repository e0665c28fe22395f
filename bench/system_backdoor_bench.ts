/**
 * What a call of the host's TypeScript costs a bare-metal guest in system mode: by the backdoor instruction, and by a
 * store to the control area, which is a device register. CPU nanoseconds of this process for the event alone: medians,
 * less a loop without it that ran just before. It needs no compiler.
 *
 * `TRAPDOOR_BENCH_TIER` picks the executor (default `auto`).
 *
 * @module
 */
import process from "node:process";
import { Control, Doorbell, Kind } from "../backdoor/protocol.ts";
import { SystemMachine, type SystemMachineOptions } from "../machine/system/machine.ts";
import { Program } from "./lib/guest.ts";
import { reportMetric } from "./lib/metrics.ts";
import { median } from "./lib/stats.ts";

const TURNS = 2_000_000, RUNS = 7;
const COMMAND = 7;

/** The body of each loop, and its instructions. */
const bodies: Record<string, [count: number, write: (p: Program) => Program]> = {
  empty: [0, (p) => p],
  doorbell: [1, (p) => p.s("sw", "t0", Control.DOORBELL, "s0")],
  prepare: [2, (p) => p.li("a0", 0).li("a6", -1)],
  instruction: [3, (p) => p.li("a0", 0).li("a6", -1).plain("trapdoor")],
};

/** A machine in a loop for ever, that has run until it is compiled. */
async function start(name: string): Promise<() => Promise<number>> {
  const [count, write] = bodies[name], p = new Program();
  p.li("a7", Kind.ATTACH).li("a6", -1).plain("trapdoor").r("add", "s0", "a2", "zero");
  p.li("t0", COMMAND).s("sd", "t0", Control.COMMAND, "s0");
  p.li("a7", Kind.CALL).li("a1", COMMAND).li("t0", Doorbell.CALL).li("s11", 0);
  write(p.label("loop")).i("addi", "s11", "s11", 1).j("loop");
  let calls = 0;
  const tier = Deno.env.get("TRAPDOOR_BENCH_TIER") as SystemMachineOptions["tier"] ?? "auto";
  const machine = await SystemMachine.create({
    ...{ bios: "none", kernel: p.code(), memory: 4 << 20, stdout: "null", tier },
    backdoor: {
      call: (_cpu, command) => {
        if (command === COMMAND) calls++;
        return 1;
      },
    },
  });
  const run = async () => {
    const before = calls, from = process.cpuUsage();
    await machine.run(TURNS * (count + 2));
    const { user, system } = process.cpuUsage(from);
    const wanted = name === "doorbell" || name === "instruction" ? TURNS : 0;
    if (Math.abs(calls - before - wanted) > TURNS / 100) {
      throw new Error(`${name}: ${calls - before} calls in ${TURNS} turns`);
    }
    return (user + system) * 1000 / TURNS;
  };
  for (let i = 0; i < 2; i++) await run();
  return run;
}

for (
  const [metric, name, without] of [
    ["system.instruction", "instruction", "prepare"],
    ["system.control", "doorbell", "empty"],
  ]
) {
  const [loop, base] = [await start(name), await start(without)], times: number[] = [];
  for (let i = 0; i < RUNS; i++) {
    const less = await base();
    times.push(await loop() - less);
  }
  reportMetric(metric, median(times), "ns");
}
