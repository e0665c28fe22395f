/**
 * Running programs and measuring their CPU time.
 *
 * Deno doesn't tell what a child process cost, and the shell's `times` counts in hundredths of a
 * second, so each program runs under a small C program of ours that asks `wait4` (cputime.c): it
 * needs only the C compiler that the native reference needs anyway.
 *
 * @module
 */

import { type Cost, parseCost } from "./parse.ts";

/** A finished run. */
export interface Run extends Cost {
  /** User plus system CPU seconds. */
  cpu: number;
  /** What it wrote. */
  stdout: string;
  /** What it wrote on stderr. */
  stderr: string;
}

/** Settings of a run. */
export interface RunOptions {
  /** Seconds after which the program is killed; 300 by default. */
  timeout?: number;
  /** Variables added to the environment. */
  env?: Record<string, string>;
}

/**
 * Runs a command under `cputime` (its path, from {@linkcode buildCpuTime}) and returns cost and
 * output. Throws an `Error` if the program fails or the time is over.
 */
export async function measure(
  cpuTime: string,
  command: readonly string[],
  options: RunOptions = {},
): Promise<Run> {
  const timeout = options.timeout ?? 300;
  const signal = AbortSignal.timeout(timeout * 1000);
  const output = await new Deno.Command(cpuTime, {
    args: [...command],
    stdin: "null",
    env: options.env ?? {},
    signal,
  }).output();
  const decoder = new TextDecoder();
  const stdout = decoder.decode(output.stdout);
  const stderr = decoder.decode(output.stderr);
  if (!output.success) {
    const said = stderr.replace(/\n@cputime .*\n$/, "").trim().slice(-500);
    const why = signal.aborted ? `was stopped after ${timeout} s` : `ends with ${output.code}`;
    throw new Error(`'${command.join(" ")}' ${why}${said === "" ? "" : `: ${said}`}`);
  }
  const parsed = parseCost(stderr);
  return {
    ...parsed.cost,
    cpu: parsed.cost.user + parsed.cost.system,
    stdout,
    stderr: parsed.stderr,
  };
}

/**
 * Runs a command without measuring it, for `deno bench`, which takes the time itself, and returns
 * what it wrote. Throws an `Error` with its stderr if it fails.
 */
export async function execute(
  command: readonly string[],
): Promise<{ stdout: string; stderr: string }> {
  const output = await new Deno.Command(command[0], { args: command.slice(1), stdin: "null" })
    .output();
  const decoder = new TextDecoder();
  const stdout = decoder.decode(output.stdout), stderr = decoder.decode(output.stderr);
  if (!output.success) {
    throw new Error(
      `'${command.join(" ")}' ends with ${output.code}: ${stderr.trim().slice(-500)}`,
    );
  }
  return { stdout, stderr };
}
