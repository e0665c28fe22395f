/**
 * Compiling the measured programs into a cache outside the checkout, keyed by content.
 *
 * @module
 */

import { basename, fromFileUrl, join } from "./paths.ts";
import { type Architecture, requireTool, type Tools } from "./tools.ts";
import { flagsOf, type Kernel, kernelFlags, sourceOf } from "./kernels.ts";

/** Where a program is to run. */
export type Target = "host" | Architecture;

/** One program to build. */
export interface Program {
  /** C sources; the first names the program. */
  sources: string[];
  /** Compiler and linker flags. */
  flags: string[];
  /** The host, or a static Linux program of this guest. */
  target: Target;
}

async function run(command: string[]): Promise<Uint8Array> {
  const output = await new Deno.Command(command[0], { args: command.slice(1), stdin: "null" })
    .output();
  if (!output.success) {
    const text = new TextDecoder().decode(output.stderr).trim();
    throw new Error(`Can't build: '${command.join(" ")}' ends with ${output.code}:\n${text}`);
  }
  return output.stdout;
}

/**
 * The cache: `TRAPDOOR_BENCH_CACHE`, else a directory of this user in the temporary directory.
 * Throws an `Error` if that belongs to somebody else, who could have put programs there.
 */
export function cacheDirectory(): string {
  const own = Deno.env.get("TRAPDOOR_BENCH_CACHE");
  if (own) {
    Deno.mkdirSync(own, { recursive: true });
    return own;
  }
  const uid = Deno.uid();
  const path = join(Deno.env.get("TMPDIR") ?? "/tmp", `trapdoor-bench-${uid ?? "user"}`);
  try {
    Deno.mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  const info = Deno.lstatSync(path);
  if (!info.isDirectory || info.uid !== uid || ((info.mode ?? 0) & 0o022) !== 0) {
    throw new Error(
      `Can't use the cache ${path}: not a directory that only this user can write; ` +
        `remove it or set TRAPDOOR_BENCH_CACHE`,
    );
  }
  return path;
}

async function hexDigest(parts: readonly (string | Uint8Array)[]): Promise<string> {
  const encoder = new TextEncoder();
  const bytes = parts.map((p) => typeof p === "string" ? encoder.encode(p + "\0") : p);
  const all = new Uint8Array(bytes.reduce((sum, b) => sum + b.length, 0));
  let at = 0;
  for (const b of bytes) {
    all.set(b, at);
    at += b.length;
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", all));
  return Array.from(digest.subarray(0, 12), (b) => b.toString(16).padStart(2, "0")).join("");
}

/** GCC's flags in the words of the compiler whose first line of `--version` is given. */
export function compilerFlags(version: string, flags: readonly string[]): string[] {
  if (!/clang/i.test(version)) return [...flags];
  const words: Record<string, string[]> = {
    "-fno-tree-vectorize": ["-fno-vectorize", "-fno-slp-vectorize"],
    // clang turns loops into library calls only for functions that it takes for built-in.
    "-fno-tree-loop-distribute-patterns": ["-fno-builtin"],
  };
  return flags.flatMap((flag) => words[flag] ?? [flag]);
}

/**
 * Builds a program unless the cache has it, and returns its path. The key is the preprocessed
 * text (so it covers the headers), the flags and the compiler's version. Throws an `Error` with
 * the compiler's output, or one that names the compiler if it is absent.
 */
export async function build(tools: Tools, program: Program): Promise<string> {
  if (program.target !== "host" && program.target !== tools.arch) {
    throw new TypeError(`Can't build for ${program.target} by the tools of ${tools.arch}`);
  }
  const tool = program.target === "host" ? tools.hostCompiler : tools.guestCompiler;
  const compiler = requireTool(tool);
  const flags = compilerFlags(tool.found ? tool.version : "", program.flags);
  if (program.target !== "host") flags.push("-static");
  const text = await run([compiler, ...flags, "-E", "-P", ...program.sources]);
  const version = tool.found ? tool.version : "";
  const key = await hexDigest([
    version,
    ...flags,
    ...program.sources.map((s) => basename(s)),
    text,
  ]);
  const directory = join(cacheDirectory(), `${program.target}-${key}`);
  const path = join(directory, basename(program.sources[0]).replace(/\.[^.]*$/, ""));
  try {
    await Deno.stat(path);
    return path;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  await Deno.mkdir(directory, { recursive: true });
  // Renamed into place, so that another run never sees half a program.
  const temporary = await Deno.makeTempFile({ dir: directory, prefix: "building-" });
  try {
    await run([compiler, ...flags, ...program.sources, "-o", temporary]);
    await Deno.chmod(temporary, 0o755);
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary);
    throw error;
  }
  return path;
}

/** Builds one kernel. */
export function buildKernel(tools: Tools, kernel: Kernel, target: Target): Promise<string> {
  return build(tools, {
    sources: [sourceOf(kernel.source ?? kernel.name)],
    flags: flagsOf(kernel),
    target,
  });
}

/** Builds the start-up program. */
export function buildHello(tools: Tools, target: Target): Promise<string> {
  return build(tools, { sources: [sourceOf("hello")], flags: [...kernelFlags], target });
}

/** Builds the program that measures the others (see cputime.c). */
export function buildCpuTime(tools: Tools): Promise<string> {
  const source = fromFileUrl(new URL("./cputime.c", import.meta.url));
  return build(tools, { sources: [source], flags: ["-O2"], target: "host" });
}

/** An empty module, for the start-up of Deno itself. */
export async function emptyModule(): Promise<string> {
  const path = join(cacheDirectory(), "empty.ts");
  await Deno.writeTextFile(path, "");
  return path;
}
