/**
 * The command line: `deno run -A mod.ts [options] [program [args...]]`.
 *
 * @module
 */
import { parseArgs } from "jsr:@std/cli@^1.0.0/parse-args";
import {
  Machine,
  MachineError,
  type RunResult,
  type UserMachineOptions,
} from "./machine/machine.ts";
import { parseDirOption } from "./machine/user/paths.ts";
import { checkDenoVersion, VERSION } from "./version.ts";

const HELP = `Trapdoor ${VERSION}: a CPU emulator whose guest can call your TypeScript

Usage: deno run -A mod.ts [options] [program [args...]]
       without a program: a built-in demo

  --backdoor URL          callback module for the guest's backdoor calls (path, file:, https:, data:, npm:, jsr:)
  --backdoor-path PATH    guest path of the mapped channel's files (default /dev/trapdoor)
  --backdoor-errors HOW   after an error in a callback: report (default) or stop
  --dir HOST[:GUEST][:ro] let the guest use a host directory; may be given several times
  --env NAME[=VALUE]      set an environment variable (without a value: as it is here)
  --arg0 NAME             what the program sees as argv[0]
  --cwd PATH              guest working directory (default /)
  --memory SIZE           guest memory, such as 256M or 1G (default 1G, less than 2G)
  --tier NAME             auto or interp
  --max-instructions N    stop after N guest instructions
  --trace[=FILE]          write each instruction to standard error or a file
  --strace                write each system call to standard error
  --stats[=json]          write figures to standard error at the end
  --verbose               say what the guest asked for and could not get
  --help, --version
`;

/** Exit status for wrong usage. */
const USAGE = 2;
/** Exit status for what could not be run. */
const FAILED = 1;
/** Exit status when the limit of instructions is reached; as timeout(1). */
const LIMIT = 124;

class UsageError extends Error {}

const STRINGS = [
  ...[
    "backdoor",
    "backdoor-path",
    "backdoor-errors",
    "dir",
    "env",
    "arg0",
    "cwd",
    "memory",
    "tier",
  ],
  ...["max-instructions", "trace", "stats"],
];
const FLAGS = ["help", "version", "strace", "verbose"];
/** Options whose value may only be given with `=`. */
const OPTIONAL = ["trace", "stats"];

/** Options and the program with its arguments. */
interface Parsed {
  values: Record<string, string[]>;
  flags: Set<string>;
  program: string[];
}

/** @throws {UsageError} For unknown options and missing or repeated values. */
function parse(args: string[]): Parsed {
  // Everything from the program's name on is the guest's.
  let end = 0;
  while (end < args.length && /^-./.test(args[end]) && args[end] !== "--") {
    const separate = STRINGS.includes(args[end].slice(2)) && !OPTIONAL.includes(args[end].slice(2));
    end += separate ? 2 : 1;
  }
  // An option with an optional value has none unless it is given with `=`.
  const own = args.slice(0, end).map((arg) => OPTIONAL.includes(arg.slice(2)) ? `${arg}=` : arg);
  const parsed: Record<string, unknown> = parseArgs(own, {
    string: STRINGS,
    boolean: FLAGS,
    collect: STRINGS,
    unknown: (arg: string) => {
      throw new UsageError(`unknown option ${arg}; try --help`);
    },
  });
  const values: Record<string, string[]> = {};
  for (const name of STRINGS) {
    const list = ((parsed[name] ?? []) as string[]).map(String);
    if (list.some((value) => value === "") && !OPTIONAL.includes(name)) {
      throw new UsageError(`--${name} needs a value; try --help`);
    }
    if (list.length > 1 && name !== "dir" && name !== "env") {
      throw new UsageError(`--${name} is given ${list.length} times`);
    }
    if (list.length > 0) values[name] = list;
  }
  const flags = new Set(FLAGS.filter((name) => parsed[name] === true));
  return { values, flags, program: args.slice(args[end] === "--" ? end + 1 : end) };
}

function parseSize(text: string): number {
  const match = /^(\d+)([KMG]?)(i?B)?$/i.exec(text);
  const unit = { "": 1, K: 1024, M: 1 << 20, G: 1 << 30 }[match?.[2].toUpperCase() ?? ""];
  if (!match || unit === undefined) {
    throw new UsageError(`--memory ${text}: not a size such as 256M or 1G`);
  }
  return Number(match[1]) * unit;
}

function parseCount(name: string, text: string): number {
  const value = Number(text);
  if (!/^\d[\d_]*(e\d+)?$/i.test(text) || !Number.isSafeInteger(value)) {
    throw new UsageError(`--${name} ${text}: not a whole number`);
  }
  return value;
}

function oneOf<T extends string>(name: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw new UsageError(`--${name} ${text}: one of ${choices.join(", ")}`);
  return found;
}

function environment(list: string[]): Record<string, string> {
  const env: Record<string, string> = {};
  for (const item of list) {
    const at = item.indexOf("=");
    const name = at < 0 ? item : item.slice(0, at);
    if (name === "") throw new UsageError(`--env ${item}: no name`);
    const value = at < 0 ? Deno.env.get(name) : item.slice(at + 1);
    if (value !== undefined) env[name] = value;
  }
  return env;
}

/** Collects lines for standard error or a file and writes them in large pieces. */
class LineSink {
  #file: Deno.FsFile | undefined;
  #lines: string[] = [];
  constructor(path: string) {
    if (path !== "") {
      this.#file = Deno.openSync(path, { write: true, create: true, truncate: true });
    }
  }
  line = (text: string): void => {
    this.#lines.push(text);
    if (this.#lines.length >= 1000) this.flush();
  };
  flush(): void {
    if (this.#lines.length === 0) return;
    const bytes = new TextEncoder().encode(this.#lines.join("\n") + "\n");
    this.#lines.length = 0;
    const out = this.#file ?? Deno.stderr;
    for (let at = 0; at < bytes.length;) at += out.writeSync(bytes.subarray(at));
  }
}

function error(message: string): void {
  console.error(`trapdoor: ${message}`);
}

/** Text of a permission error: which flag is missing. */
function permissionText(cause: Error): string {
  const flag = /--allow-[a-z-]+/.exec(cause.message)?.[0];
  return flag ? `${cause.message.split(", ")[0]}: run with ${flag} (or -A)` : cause.message;
}

function report(result: RunResult, program: string): number {
  switch (result.reason) {
    case "exit":
    case "stopped":
      return result.status;
    case "signal": {
      const address = result.address === undefined
        ? ""
        : `, address 0x${result.address.toString(16)}`;
      error(`${program}: killed by ${result.name}, pc 0x${result.pc.toString(16)}${address}`);
      if (result.message) error(result.message);
      for (const line of result.registers) error(`  ${line}`);
      return 128 + result.signal;
    }
    case "limit":
      error(`${program}: stopped after ${result.instructions} instructions (--max-instructions)`);
      return LIMIT;
    case "deadlock":
      error(`${program}: ${result.message}`);
      return FAILED;
    case "aborted":
      error(`${program}: aborted`);
      return FAILED;
  }
}

function writeStats(machine: Machine, how: string): void {
  const stats = machine.stats();
  if (how === "json") return console.error(JSON.stringify(stats));
  const tiers = Object.entries(stats.tiers).map(([name, share]) =>
    `${name} ${(share * 100).toFixed(1)}%`
  );
  console.error(
    `trapdoor: ${stats.instructions} instructions in ${stats.seconds.toFixed(3)} s, ` +
      `${stats.mips.toFixed(1)} MIPS; tiers: ${tiers.join(", ")}; blocks: ${stats.blocks}; ` +
      `backdoor calls: ${stats.backdoor_calls}, events: ${stats.backdoor_events}`,
  );
}

/**
 * Runs the command line.
 *
 * @param args Arguments after `mod.ts`.
 * @returns Exit status: the guest's, 128 + n for one killed by signal n, 124 at the instruction limit,
 * 1 for what could not be run, 2 for wrong usage.
 */
export async function main(args: string[]): Promise<number> {
  const old = checkDenoVersion(Deno.version.deno);
  if (old !== undefined) {
    error(old);
    return FAILED;
  }
  try {
    return await run(parse(args));
  } catch (cause) {
    if (cause instanceof UsageError) {
      error(cause.message);
      return USAGE;
    }
    if (cause instanceof Deno.errors.NotCapable) error(permissionText(cause));
    else if (cause instanceof MachineError) error(cause.message);
    else throw cause;
    return FAILED;
  }
}

async function run({ values, flags, program }: Parsed): Promise<number> {
  if (flags.has("help")) {
    console.log(HELP);
    return 0;
  }
  if (flags.has("version")) {
    console.log(VERSION);
    return 0;
  }
  const one = (name: string) => values[name]?.[0];
  const note = (message: string) => console.error(`trapdoor: ${message}`);
  const demo = program.length === 0;
  if (demo && one("backdoor") !== undefined) {
    throw new UsageError("--backdoor needs a program to run; try --help");
  }
  const options: UserMachineOptions = {
    program: demo ? new URL("./guest/bin/riscv64/demo", import.meta.url) : program[0],
    args: program.slice(1),
    env: environment(values.env ?? []),
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit",
    report: (message) => console.error(message),
  };
  const backdoor = demo ? new URL("./guest/demo/callbacks.ts", import.meta.url) : one("backdoor");
  if (backdoor !== undefined) options.backdoor = backdoor;
  const path = one("backdoor-path");
  if (path !== undefined) {
    if (!path.startsWith("/")) {
      throw new UsageError(`--backdoor-path ${path}: not an absolute path`);
    }
    options.backdoorPath = path;
  }
  const errors = one("backdoor-errors");
  if (errors !== undefined) {
    options.backdoorErrors = oneOf("backdoor-errors", errors, ["report", "stop"]);
  }
  try {
    options.dirs = (values.dir ?? []).map((dir) => parseDirOption(dir, Deno.cwd()));
  } catch (cause) {
    if (cause instanceof Error && !(cause instanceof Deno.errors.NotCapable)) {
      throw new UsageError(`--dir: ${cause.message}`);
    }
    throw cause;
  }
  const arg0 = one("arg0"), cwd = one("cwd"), memory = one("memory");
  if (arg0 !== undefined) options.arg0 = arg0;
  if (cwd !== undefined) options.cwd = cwd;
  if (memory !== undefined) options.memory = parseSize(memory);
  options.tier = oneOf("tier", one("tier") ?? "auto", ["auto", "interp"]);
  const limit = one("max-instructions");
  const maxInstructions = limit === undefined ? Infinity : parseCount("max-instructions", limit);
  const stats = one("stats");
  if (stats !== undefined) oneOf("stats", stats, ["", "json"]);
  const trace = one("trace") === undefined ? undefined : new LineSink(one("trace")!);
  if (trace) options.trace = trace.line;
  if (flags.has("strace")) options.strace = note;
  if (flags.has("verbose")) options.note = note;

  const machine = await Machine.user(options);
  try {
    const result = await machine.run(maxInstructions);
    if (result.reason === "limit") await machine.close();
    trace?.flush();
    return report(result, machine.name);
  } finally {
    trace?.flush();
    if (stats !== undefined) writeStats(machine, stats);
  }
}
