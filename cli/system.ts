/**
 * The command line of system mode: options of a machine, and how its end becomes an exit status.
 *
 * @module
 */
import { statsLines } from "./stats.ts";
import { SystemMachine, type SystemMachineOptions } from "../machine/system/machine.ts";

/** What the command line has parsed. */
export interface SystemArguments {
  values: Record<string, string[]>;
  flags: Set<string>;
  program: string[];
  /** Bytes of RAM. */
  memory: number | undefined;
  maxInstructions: number;
  trace: ((line: string) => void) | undefined;
  /** The error for wrong usage. */
  usage: (message: string) => Error;
  /** Writes a message to standard error. */
  error: (message: string) => void;
}

/** Exit statuses, as cli.ts has them. */
const FAILED = 1, LIMIT = 124;

/** Makes the machine's options. @throws What `usage` makes. */
function optionsOf(args: SystemArguments): SystemMachineOptions {
  const { values, flags, program, memory, trace, usage } = args;
  const one = (name: string) => values[name]?.[0];
  const number = (name: string, choices: readonly number[]) => {
    const text = one(name);
    if (text === undefined) return undefined;
    const found = choices.find((choice) => String(choice) === text);
    if (found === undefined) throw usage(`--${name} ${text}: one of ${choices.join(", ")}`);
    return found;
  };
  const machine = one("machine");
  if (machine !== undefined && machine !== "virt") {
    throw usage(`--machine ${machine}: virt is the only one`);
  }
  if (program.length > 1) {
    throw usage(`${program[1]}: a machine has no arguments; use --append for a kernel's`);
  }
  const kernel = one("kernel") ?? program[0], bios = one("bios");
  if (one("kernel") !== undefined && program.length > 0) {
    throw usage(`${program[0]}: there is --kernel ${kernel} already`);
  }
  if (kernel === undefined && (bios === undefined || bios === "none")) {
    throw usage("a machine needs --kernel, --bios or a program; try --help");
  }
  const virtio = one("virtio");
  if (virtio !== undefined && virtio !== "mmio" && virtio !== "pci") {
    throw usage(`--virtio ${virtio}: one of mmio, pci`);
  }
  const options: SystemMachineOptions = {
    stdin: "inherit",
    stdout: "inherit",
    icount: flags.has("icount"),
    drives: values.drive ?? [],
  };
  const harts = number("smp", [1, 2, 3, 4, 5, 6, 7, 8]), xlen = number("xlen", [32, 64]);
  const initrd = one("initrd"), append = one("append");
  if (kernel !== undefined) options.kernel = kernel;
  if (bios !== undefined) options.bios = bios;
  if (initrd !== undefined) options.initrd = initrd;
  if (append !== undefined) options.append = append;
  if (harts !== undefined) options.harts = harts;
  if (xlen !== undefined) options.xlen = xlen as 32 | 64;
  if (memory !== undefined) options.memory = memory;
  if (virtio !== undefined) options.virtio = virtio;
  if (trace) options.trace = trace;
  const tier = one("tier");
  if (tier === "auto" || tier === "interp" || tier === "wasm") options.tier = tier;
  else if (tier !== undefined) {
    throw usage(`--tier ${tier}: one of auto, interp, wasm in system mode`);
  }
  const backdoor = one("backdoor"), errors = one("backdoor-errors");
  if (backdoor !== undefined) options.backdoor = backdoor;
  if (errors === "report" || errors === "stop") options.backdoorErrors = errors;
  else if (errors !== undefined) throw usage(`--backdoor-errors ${errors}: one of report, stop`);
  if (flags.has("verbose")) options.note = args.error;
  return options;
}

/** Runs a machine to its end; returns the exit status. */
export async function runSystem(args: SystemArguments): Promise<number> {
  const machine = await SystemMachine.create(optionsOf(args));
  try {
    const result = await machine.run(args.maxInstructions);
    switch (result.reason) {
      case "poweroff":
      case "stopped":
        return result.status;
      case "limit":
        await machine.close();
        args.error(`stopped after ${result.instructions} instructions (--max-instructions)`);
        return LIMIT;
      case "deadlock":
        args.error(result.message);
        return FAILED;
    }
    args.error("aborted");
    return FAILED;
  } finally {
    const stats = args.values.stats?.[0];
    if (stats !== undefined) {
      const figures = machine.stats();
      if (stats === "json") console.error(JSON.stringify(figures));
      else {
        const { tlb_misses, device_accesses } = figures;
        const more = `; TLB misses: ${tlb_misses}, device accesses: ${device_accesses}`;
        for (const line of statsLines(figures, more)) args.error(line);
      }
    }
  }
}
