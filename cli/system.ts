/**
 * The command line of system mode: options of a machine, and how its end becomes an exit status.
 *
 * @module
 */
import { statsLines } from "./stats.ts";
import {
  type SystemLoadOptions,
  SystemMachine,
  type SystemMachineOptions,
} from "../machine/system/machine.ts";

/** What the command line has parsed. */
export interface SystemArguments {
  values: Record<string, string[]>;
  flags: Set<string>;
  program: string[];
  /** Bytes of RAM. */
  memory: number | undefined;
  maxInstructions: number;
  jobs: number | undefined;
  trace: ((line: string) => void) | undefined;
  /** The error for wrong usage. */
  usage: (message: string) => Error;
  /** Writes a message to standard error. */
  error: (message: string) => void;
}

/** Exit statuses, as cli.ts has them. */
const FAILED = 1, LIMIT = 124;

/** What a machine and a loaded snapshot have in common. @throws What `usage` makes. */
function commonOptions(args: SystemArguments): SystemLoadOptions {
  const { values, flags, trace, usage } = args;
  const backdoor = values.backdoor?.[0], errors = values["backdoor-errors"]?.[0];
  const options: SystemLoadOptions = {
    stdin: "inherit",
    stdout: "inherit",
    drives: values.drive ?? [],
    shares: values.share ?? [],
    devices: values.device ?? [],
  };
  const network = values.net?.[0], dump = values["dump-wasm"]?.[0];
  if (network !== undefined) options.network = network;
  if (trace) options.trace = trace;
  if (backdoor !== undefined) options.backdoor = backdoor;
  if (errors === "report" || errors === "stop") options.backdoorErrors = errors;
  else if (errors !== undefined) throw usage(`--backdoor-errors ${errors}: one of report, stop`);
  if (args.jobs !== undefined) options.jobs = args.jobs;
  if (flags.has("verbose")) options.note = args.error;
  const tier = values.tier?.[0];
  if (tier === "auto" || tier === "interp" || tier === "wasm" || tier === "native") {
    options.tier = tier;
  } else if (tier !== undefined) {
    throw usage(`--tier ${tier}: one of auto, interp, wasm, native`);
  }
  const terminal = values.console?.[0];
  if (terminal === "virtio") options.virtioConsole = "terminal";
  else if (terminal !== undefined && terminal !== "serial") {
    throw usage(`--console ${terminal}: one of serial, virtio`);
  }
  if (dump !== undefined) {
    if (tier === "interp" || tier === "native") {
      throw usage(`--dump-wasm ${dump}: with --tier=${tier} there is nothing to dump`);
    }
    options.dumpWasm = dump;
  }
  return options;
}

/** Options that a snapshot has in it. */
const MADE = ["bios", "kernel", "initrd", "append", "smp", "xlen", "virtio"];

/** Makes a machine go on where it was saved. @throws What `usage` makes. */
async function loadMachine(path: string, args: SystemArguments): Promise<SystemMachine> {
  const { values, flags, program, memory, usage } = args;
  const known = MADE.find((name) => values[name] !== undefined) ??
    (flags.has("icount") ? "icount" : memory !== undefined ? "memory" : undefined);
  if (known) throw usage(`--${known}: the snapshot ${path} says it; leave it out`);
  if (program.length > 0) throw usage(`${program[0]}: the snapshot ${path} has its program`);
  return await SystemMachine.load(path, commonOptions(args));
}

/** Makes the machine's options. @throws What `usage` makes. */
function optionsOf(args: SystemArguments): SystemMachineOptions {
  const { values, flags, program, memory, usage } = args;
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
    ...commonOptions(args),
    icount: flags.has("icount"),
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
  return options;
}

/** Runs a machine to its end; returns the exit status. */
export async function runSystem(args: SystemArguments): Promise<number> {
  const from = args.values.load?.[0], to = args.values.save?.[0];
  const machine = from === undefined
    ? await SystemMachine.create(optionsOf(args))
    : await loadMachine(from, args);
  machine.onSaveKey = () => {
    if (to === undefined) args.error("no snapshot: --save FILE says where");
    else {machine.save(to).then(() =>
        args.error(`saved ${to}`), (error) =>
        args.error(error.message));}
  };
  try {
    const result = await machine.run(args.maxInstructions);
    switch (result.reason) {
      case "poweroff":
      case "stopped":
        return result.status;
      case "limit":
        if (to !== undefined) await machine.save(to);
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
