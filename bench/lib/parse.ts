/**
 * Reading what the measured programs print.
 *
 * @module
 */

/** The line that a kernel prints. */
export interface KernelResult {
  /** The kernel's name. */
  name: string;
  /** The scale that it was given. */
  scale: number;
  /** 16 hexadecimal digits. */
  checksum: string;
}

/** Reads a kernel's output; throws an `Error` that quotes it if it isn't a checksum line. */
export function parseKernelOutput(stdout: string): KernelResult {
  const match = /^([a-z0-9_]+) scale=(\d+) checksum=([0-9a-f]{16})\n?$/.exec(stdout);
  if (match === null) {
    throw new Error(`Can't read the kernel's output: ${JSON.stringify(stdout.slice(0, 200))}`);
  }
  return { name: match[1], scale: Number(match[2]), checksum: match[3] };
}

/** What `--stats=json` prints, as far as the benchmarks use it. */
export interface Stats {
  /** Guest instructions executed. */
  instructions: number;
  /** Seconds that the guest ran, without start-up. */
  seconds: number;
  /** Million guest instructions a second. */
  mips: number;
}

/** Reads the object that `--stats=json` leaves on the last line of stderr. */
export function parseStats(stderr: string): Stats {
  const line = stderr.trimEnd().split("\n").at(-1) ?? "";
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    const quoted = JSON.stringify(line.slice(0, 200));
    throw new Error(`Can't read statistics: the last line of stderr is ${quoted}`, { cause });
  }
  const number = (name: string): number => {
    const field = typeof value === "object" && value !== null
      ? (value as Record<string, unknown>)[name]
      : undefined;
    if (typeof field !== "number" || !Number.isFinite(field) || field < 0) {
      throw new Error(`Can't read statistics: '${name}' is ${JSON.stringify(field)} in ${line}`);
    }
    return field;
  };
  return { instructions: number("instructions"), seconds: number("seconds"), mips: number("mips") };
}

/** What one run of a program cost. */
export interface Cost {
  /** CPU seconds in user mode, all threads. */
  user: number;
  /** CPU seconds in the kernel. */
  system: number;
  /** Elapsed seconds. */
  wall: number;
  /** Largest resident set, KiB. */
  maxRss: number;
}

/** Splits the last `@cputime` line (see cputime.c) from a program's stderr. */
export function parseCost(stderr: string): { cost: Cost; stderr: string } {
  const match = /\n@cputime (\d+) (\d+) (\d+) (\d+)\n$/.exec(stderr);
  if (match === null) {
    throw new Error(`Can't find the cost of a run in ${JSON.stringify(stderr.slice(-200))}`);
  }
  const [user, system, wall, maxRss] = match.slice(1).map(Number);
  return {
    cost: { user: user / 1e6, system: system / 1e6, wall: wall / 1e6, maxRss },
    stderr: stderr.slice(0, match.index),
  };
}

/**
 * Splits a command line into words at blanks; single and double quotes keep blanks, and nothing
 * else is special. Throws an `Error` for an open quote or an empty command.
 */
export function splitCommand(line: string): string[] {
  const words: string[] = [];
  let word = "", inWord = false, quote = "";
  for (const c of line) {
    if (quote !== "") {
      if (c === quote) quote = "";
      else word += c;
    } else if (c === "'" || c === '"') {
      quote = c;
      inWord = true;
    } else if (/\s/.test(c)) {
      if (inWord) words.push(word);
      word = "";
      inWord = false;
    } else {
      word += c;
      inWord = true;
    }
  }
  if (quote !== "") throw new Error(`Can't split the command: open ${quote} in ${line}`);
  if (inWord) words.push(word);
  if (words.length === 0) throw new Error("Can't split the command: it is empty");
  return words;
}
