/**
 * Finding the programs that the benchmarks need, and saying clearly when one is absent.
 *
 * @module
 */

import { fromFileUrl, join, resolve } from "./paths.ts";
import { splitCommand } from "./parse.ts";

/** A tool that was looked for: its absolute path, or why it is not there. */
export type Tool =
  | { found: true; path: string; version: string }
  | { found: false; reason: string };

/** Guests that can be measured. */
export const architectures = ["riscv64", "aarch64"] as const;

/** A guest's instruction set, as tools name it. */
export type Architecture = typeof architectures[number];

/** The tools of a comparison. */
export interface Tools {
  /** The guest that they are for. */
  arch: Architecture;
  /** The host's C compiler: `TRAPDOOR_CC`, else gcc, clang or cc. */
  hostCompiler: Tool;
  /** The guest's Linux cross compiler. */
  guestCompiler: Tool;
  /** QEMU in user mode for the guest. */
  qemu: Tool;
}

/** The program's absolute path by `PATH`, or `undefined`. */
export function which(name: string): string | undefined {
  const candidates = name.includes("/")
    ? [name]
    : (Deno.env.get("PATH") ?? "").split(":").filter((d) => d !== "").map((d) => join(d, name));
  for (const path of candidates) {
    try {
      const info = Deno.statSync(path);
      if (info.isFile && ((info.mode ?? 0) & 0o111) !== 0) return resolve(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) {
        throw error;
      }
    }
  }
  return undefined;
}

/** The first line of `PROGRAM --version`. */
async function versionOf(path: string): Promise<string> {
  const output = await new Deno.Command(path, { args: ["--version"], stdin: "null" }).output();
  const text = new TextDecoder().decode(output.stdout);
  if (!output.success) throw new Error(`Can't get the version of ${path}: exit ${output.code}`);
  return text.split("\n", 1)[0];
}

async function find(names: string[], purpose: string, hint: string): Promise<Tool> {
  for (const name of names) {
    const path = which(name);
    if (path !== undefined) return { found: true, path, version: await versionOf(path) };
  }
  return { found: false, reason: `${names.join(", ")} not found (${purpose}; ${hint})` };
}

const libraries: Record<Architecture, string> = {
  riscv64: "libc6-dev-riscv64-cross",
  aarch64: "libc6-dev-arm64-cross",
};

/** Looks for every tool; never throws because one is absent. */
export async function findTools(arch: Architecture = "riscv64"): Promise<Tools> {
  const own = Deno.env.get("TRAPDOOR_CC");
  const [hostCompiler, guestCompiler, qemu] = await Promise.all([
    find(own ? [own] : ["gcc", "clang", "cc"], "builds the native reference", "Debian: gcc"),
    find(
      [`${arch}-linux-gnu-gcc`],
      "builds the guest programs",
      `Debian: gcc-${arch}-linux-gnu and ${libraries[arch]}`,
    ),
    find([`qemu-${arch}`, `qemu-${arch}-static`], "is compared with", "Debian: qemu-user"),
  ]);
  return { arch, hostCompiler, guestCompiler, qemu };
}

/** The tool's path; throws an `Error` with the reason if it is absent. */
export function requireTool(tool: Tool): string {
  if (!tool.found) throw new Error(`A tool that the benchmarks need is absent: ${tool.reason}`);
  return tool.path;
}

/** How Trapdoor is started: words before its own options. */
export interface Trapdoor {
  /** For example `["deno", "run", "-A", "/repo/mod.ts"]`. */
  command: string[];
  /** Why it can't be used; absent if it can. */
  missing?: string;
}

/** The root of the checkout. */
export const root = fromFileUrl(new URL("../../", import.meta.url));

/**
 * Finds out how to start Trapdoor and tries `--version`. The command is `line`, else the
 * environment's `TRAPDOOR_BENCH_COMMAND`, else the checkout's own `mod.ts` in this Deno.
 */
export async function findTrapdoor(line?: string): Promise<Trapdoor> {
  const given = line ?? Deno.env.get("TRAPDOOR_BENCH_COMMAND");
  const command = given !== undefined
    ? splitCommand(given)
    : [Deno.execPath(), "run", "-A", join(root, "mod.ts")];
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(command[0], {
      args: [...command.slice(1), "--version"],
      env: { NO_COLOR: "1" },
      stdin: "null",
    }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { command, missing: `'${command[0]}' not found` };
  }
  if (output.success) return { command };
  const said = new TextDecoder().decode(output.stderr).trim().split("\n", 1)[0];
  return { command, missing: `'${command.join(" ")} --version' ends with ${output.code}: ${said}` };
}

/**
 * Says on stderr that a benchmark is left out and why; in CI (`CI` set) throws instead, because
 * there an absent tool is a failure.
 */
export function skip(what: string, reason: string): void {
  const message = `SKIPPED ${what}: ${reason}`;
  if (Deno.env.get("CI")) throw new Error(message);
  console.error(message);
}
