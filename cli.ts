/**
 * The command line: `deno run -A mod.ts [options] [program [args...]]`.
 *
 * @module
 */
import {
  grantFromOption,
  Machine,
  MachineError,
  type RunResult,
  type UserMachineOptions,
} from "./machine/machine.ts";
import { cacheDirectory } from "./ffi/cache_directory.ts";
import { ALL_PASSES, type PassOptions } from "./cpu/ir/block.ts";
import { statsLines } from "./cli/stats.ts";
import { SYSTEM_FLAGS, SYSTEM_HELP, SYSTEM_STRINGS } from "./cli/system_options.ts";
import { MAX_GUEST_BYTES } from "./mmu/arena.ts";
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
  --memory SIZE           guest memory, such as 256M or 1G (default 1G, 64K to 1984M)
  --tier NAME             auto, interp, wasm or native (the last two compile everything at once)
  --dump-wasm DIR         write every WebAssembly module that is made, and its listing, to a directory
  --without-passes LIST   translate without these passes, to debug the translator: ${
  Object.keys(ALL_PASSES).join(",")
}
  --jobs N                most C compilers at a time for native code (default: processors - 1)
  --cache info|clear      say what is in the cache of translated code, or delete it; no program is run
  --compile DIR           translate the program to native code into DIR, a cache for TRAPDOOR_CACHE; it is not run
  --max-instructions N    stop after N guest instructions
  --trace[=FILE]          write each instruction to standard error or a file
  --strace                write each system call to standard error
  --stats[=json]          write figures to standard error at the end
  --verbose               say what the guest asked for and could not get
  --help, --version

${SYSTEM_HELP}`;

/** Exit status for wrong usage. */
const USAGE = 2;
/** Exit status for what could not be run. */
const FAILED = 1;
/** Exit status when the limit of instructions is reached; as timeout(1). */
const LIMIT = 124;
/** Exit status of what a signal ended: this plus its number. */
const SIGNALLED = 128;
const SIGPIPE = 13;
/**
 * Signals that are passed on to the guest. SIGQUIT (Ctrl-\\) still ends Trapdoor itself; so does SIGHUP, which
 * nohup(1) could not make it ignore otherwise.
 */
const FORWARDED: readonly [Deno.Signal, number][] = Deno.build.os === "windows"
  ? [["SIGINT", 2]]
  : [["SIGINT", 2], ["SIGTERM", 15]];

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
    "without-passes",
    "dump-wasm",
    "jobs",
    "cache",
    "compile",
  ],
  ...["max-instructions", "trace", "stats"],
  ...SYSTEM_STRINGS,
];
const FLAGS = ["help", "version", "strace", "verbose", ...SYSTEM_FLAGS];
/** Options whose value may only be given with `=`. */
const OPTIONAL = ["trace", "stats"];

/** Options and the program with its arguments. */
interface Parsed {
  values: Record<string, string[]>;
  flags: Set<string>;
  program: string[];
}

/** @throws {UsageError} For unknown options and missing or repeated values. */
async function parse(args: string[]): Promise<Parsed> {
  // Everything from the program's name on is the guest's.
  let end = 0;
  while (end < args.length && /^-./.test(args[end]) && args[end] !== "--") {
    const separate = STRINGS.includes(args[end].slice(2)) && !OPTIONAL.includes(args[end].slice(2));
    end += separate ? 2 : 1;
  }
  const valued = args.slice(0, end).find((arg) =>
    FLAGS.some((name) => arg.startsWith(`--${name}=`))
  );
  if (valued) throw new UsageError(`${valued}: --${valued.slice(2).split("=")[0]} takes no value`);
  // An option with an optional value has none unless it is given with `=`.
  const own = args.slice(0, end).map((arg) => OPTIONAL.includes(arg.slice(2)) ? `${arg}=` : arg);
  const values: Record<string, string[]> = {};
  // Loaded only if there is something to parse: it takes a fifth of the start-up of a small program.
  if (own.length === 0) {
    return { values, flags: new Set(), program: args.slice(args[0] === "--" ? 1 : 0) };
  }
  const { parseArgs } = await import("jsr:@std/cli@^1.0.0/parse-args");
  const parsed: Record<string, unknown> = parseArgs(own, {
    string: STRINGS,
    boolean: FLAGS,
    collect: STRINGS,
    unknown: (arg: string) => {
      throw new UsageError(`unknown option ${arg}; try --help`);
    },
  });
  for (const name of STRINGS) {
    const list = ((parsed[name] ?? []) as string[]).map(String);
    if (list.some((value) => value === "") && !OPTIONAL.includes(name)) {
      throw new UsageError(`--${name} needs a value; try --help`);
    }
    if (list.length > 1 && !["dir", "env", "drive", "share", "device"].includes(name)) {
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
  const size = Number(match[1]) * unit;
  if (size < 65536 || size > MAX_GUEST_BYTES) {
    throw new UsageError(`--memory ${text}: 64K to ${MAX_GUEST_BYTES >>> 20}M are possible`);
  }
  return size;
}

function parseCount(name: string, text: string): number {
  const value = Number(text.replaceAll("_", ""));
  if (!/^\d+(_\d+)*(e\d+)?$/i.test(text) || !Number.isSafeInteger(value)) {
    throw new UsageError(`--${name} ${text}: not a whole number`);
  }
  return value;
}

function oneOf<T extends string>(name: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw new UsageError(`--${name} ${text}: one of ${choices.join(", ")}`);
  return found;
}

/** Passes to switch off, from a list such as "fold,dead". */
function parsePasses(text: string): Partial<PassOptions> {
  const names = Object.keys(ALL_PASSES) as (keyof PassOptions)[];
  const off = text.split(",").map((name) => oneOf("without-passes", name, names));
  return Object.fromEntries(off.map((name) => [name, false]));
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
  /** Whether it writes to standard error. */
  readonly shared: boolean;
  readonly #file: Deno.FsFile | undefined;
  readonly #lines: string[] = [];

  /**
   * @param path "" for standard error.
   * @throws {MachineError} If the file can't be written.
   */
  constructor(path: string) {
    this.shared = path === "";
    if (this.shared) return;
    try {
      this.#file = Deno.openSync(path, { write: true, create: true, truncate: true });
    } catch (cause) {
      if (!(cause instanceof Error) || cause instanceof Deno.errors.NotCapable) throw cause;
      throw new MachineError(`Cannot write the trace: ${cause.message}`, { cause });
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
    for (let at = 0; at < bytes.length;) {
      try {
        at += out.writeSync(bytes.subarray(at));
      } catch (cause) {
        // Somebody made the pipe or terminal that we were given non-blocking.
        if (!(cause instanceof Deno.errors.WouldBlock)) throw cause;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      }
    }
  }
}

/** Milliseconds that `fini` has left when a signal comes after the guest's end. */
const LAST_CHANCE = 1000;

/** What comes from outside while the guest is there: signals, and errors that callbacks did not catch. */
class Outside implements Disposable {
  /** Called before the process ends here. */
  flush: () => void = () => {};
  /** Callback module, if there is one. */
  readonly #module: string | undefined;
  #machine: Machine | undefined;
  #again = false;
  readonly #cleanup: (() => void)[] = [];

  constructor(module: string | undefined) {
    this.#module = module;
    for (const [name, signal] of FORWARDED) {
      const listener = () => this.#signal(name, signal);
      Deno.addSignalListener(name, listener);
      this.#cleanup.push(() => Deno.removeSignalListener(name, listener));
    }
  }

  /** The machine is made. */
  set machine(machine: Machine) {
    this.#machine = machine;
    const uncaught = (event: Event, cause: unknown) => {
      event.preventDefault();
      this.flush();
      error("something threw that nobody catches, in a callback's task or timer; the guest ends");
      console.error(cause);
      // Its callbacks' fini is called; what that rejects with reaches whoever waits for the run.
      void machine.close();
    };
    const onError = (event: ErrorEvent) => uncaught(event, event.error);
    const onRejection = (event: PromiseRejectionEvent) => uncaught(event, event.reason);
    addEventListener("error", onError);
    addEventListener("unhandledrejection", onRejection);
    this.#cleanup.push(() => {
      removeEventListener("error", onError);
      removeEventListener("unhandledrejection", onRejection);
    });
  }

  #signal(name: string, signal: number): void {
    const machine = this.#machine;
    machine?.raise(signal);
    if (machine && !machine.result) return;
    const doing = machine
      ? `: fini of ${this.#module} has not settled`
      : this.#module === undefined
      ? " before the program was there"
      : ` before the program was there, or ${this.#module} was loaded and its init settled`;
    const exit = () => {
      this.flush();
      error(`ended by ${name}${doing}`);
      Deno.exit(SIGNALLED + signal);
    };
    if (!machine || this.#again) exit();
    this.#again = true;
    setTimeout(exit, LAST_CHANCE);
  }

  [Symbol.dispose](): void {
    for (const cleanup of this.#cleanup) cleanup();
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
      return SIGNALLED + result.signal;
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
  const backdoor = `; backdoor calls: ${stats.backdoor_calls}, events: ${stats.backdoor_events}`;
  for (const line of statsLines(stats, backdoor)) error(line);
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
    return await run(await parse(args));
  } catch (cause) {
    if (cause instanceof UsageError) {
      error(cause.message);
      return USAGE;
    }
    // Nobody reads the trace any longer.
    if (cause instanceof Deno.errors.BrokenPipe) return SIGNALLED + SIGPIPE;
    if (cause instanceof Deno.errors.NotCapable) error(permissionText(cause));
    else if (cause instanceof MachineError) error(cause.message);
    else throw cause;
    return FAILED;
  }
}

/** `--cache`: what translated code is remembered. */
async function aboutCache(what: "info" | "clear"): Promise<number> {
  const { NativeError, openCache } = await import("./ffi/native.ts");
  try {
    const cache = openCache(), done = what === "clear" ? "deleted from" : "in";
    const { directory, entries, bytes } = what === "clear" ? cache.clear() : cache.info();
    console.log(`${entries} entries, ${bytes} bytes ${done} ${directory}`);
    return 0;
  } catch (cause) {
    if (!(cause instanceof NativeError)) throw cause;
    error(cause.message);
    return FAILED;
  }
}

/** `--compile`: a program's translations, made before it is run. */
async function compile(program: string[], directory: string, jobs?: number): Promise<number> {
  if (program.length !== 1) {
    throw new UsageError("--compile needs a program, without arguments; try --help");
  }
  const { compileProgram } = await import("./machine/ahead.ts");
  const { units, entries } = await compileProgram({
    program: program[0],
    directory,
    ...(jobs === undefined ? {} : { jobs }),
  });
  console.log(`${units} translations, ${entries} entries in ${directory}`);
  return 0;
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
  const cache = one("cache");
  if (cache !== undefined) {
    return await aboutCache(oneOf("cache", cache, ["info", "clear"]));
  }
  const jobs = parseJobs(one("jobs"));
  const directory = one("compile");
  if (directory !== undefined) return await compile(program, directory, jobs);
  const system = [...SYSTEM_STRINGS, ...SYSTEM_FLAGS].filter((name) =>
    values[name] !== undefined || flags.has(name)
  );
  if (system.length > 0) return await runMachine({ values, flags, program });
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
    signalled: true,
    // Callbacks have no such function.
    disassembly: false,
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
    options.dirs = (values.dir ?? []).map(grantFromOption);
  } catch (cause) {
    throw cause instanceof RangeError ? new UsageError(`--dir: ${cause.message}`) : cause;
  }
  const arg0 = one("arg0"), cwd = one("cwd"), memory = one("memory");
  if (arg0 !== undefined) options.arg0 = arg0;
  if (cwd !== undefined) options.cwd = cwd;
  if (memory !== undefined) options.memory = parseSize(memory);
  options.tier = oneOf("tier", one("tier") ?? "auto", ["auto", "interp", "wasm", "native"]);
  const dump = one("dump-wasm");
  if (dump !== undefined) {
    if (options.tier === "interp" || options.tier === "native") {
      throw new UsageError(
        `--dump-wasm ${dump}: with --tier=${options.tier} there is nothing to dump`,
      );
    }
    options.dumpWasm = dump;
  }
  const kept = cacheDirectory();
  if (kept !== undefined) options.cache = kept;
  const without = one("without-passes");
  if (without !== undefined) options.passes = parsePasses(without);
  if (jobs !== undefined) options.jobs = jobs;
  const limit = one("max-instructions");
  const maxInstructions = limit === undefined ? Infinity : parseCount("max-instructions", limit);
  const stats = one("stats");
  if (stats) oneOf("stats", stats, ["json"]);
  const trace = one("trace") === undefined ? undefined : new LineSink(one("trace")!);
  // What else goes to standard error comes where it belongs between the instructions.
  const say = (message: string) => {
    if (trace?.shared) trace.flush();
    console.error(message);
  };
  const note = (message: string) => say(`trapdoor: ${message}`);
  options.report = say;
  if (trace) options.trace = trace.line;
  if (flags.has("strace")) options.strace = note;
  if (flags.has("verbose")) options.note = note;

  using outside = new Outside(backdoor === undefined ? undefined : String(backdoor));
  outside.flush = () => trace?.flush();
  const machine = await Machine.user(options);
  outside.machine = machine;
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

/** How many C compilers there may be at a time, if that is said. */
function parseJobs(text: string | undefined): number | undefined {
  const jobs = text === undefined ? undefined : parseCount("jobs", text);
  if (jobs === 0) throw new UsageError("--jobs 0: at least one compiler is needed");
  return jobs;
}

/** System mode, whose modules are loaded only for it. */
async function runMachine({ values, flags, program }: Parsed): Promise<number> {
  const user = ["backdoor-path", "dir", "env", "arg0", "cwd", "strace"];
  const other = user.find((name) => values[name] || flags.has(name));
  if (other !== undefined) throw new UsageError(`--${other}: not in system mode; try --help`);
  const { runSystem } = await import("./cli/system.ts");
  const limit = values["max-instructions"]?.[0], memory = values.memory?.[0];
  if (values.stats?.[0]) oneOf("stats", values.stats[0], ["json"]);
  const trace = values.trace === undefined ? undefined : new LineSink(values.trace[0]);
  try {
    return await runSystem({
      values,
      flags,
      program,
      memory: memory === undefined ? undefined : parseSize(memory),
      maxInstructions: limit === undefined ? Infinity : parseCount("max-instructions", limit),
      jobs: parseJobs(values.jobs?.[0]),
      trace: trace?.line,
      usage: (message) => new UsageError(message),
      error,
    });
  } finally {
    trace?.flush();
  }
}

/** Runs the command line of this process and exits with its status. */
export async function start(): Promise<never> {
  Deno.exit(await main(Deno.args));
}
