/**
 * Running Trapdoor's command line, other programs, and building guest programs, for tests.
 *
 * @module
 */
import { fail } from "@std/assert";
import { cacheDirectory } from "../bench/lib/build.ts";
import { CACHE, commandArguments } from "./configuration.ts";

/** The checkout, ending in a slash. */
export const ROOT = new URL("../", import.meta.url);

/** Path of a file in the checkout. */
export function file(path: string): string {
  return decodeURIComponent(new URL(path, ROOT).pathname);
}

/** What a program did. */
export interface Ran {
  /** Exit status; 128 + n after signal n. */
  code: number;
  stdout: string;
  stderr: string;
}

/** How to run a program. */
export interface RunOptions {
  /** Standard input; at its end if absent. */
  stdin?: string | Uint8Array;
  cwd?: string;
  /** The whole environment, if given. */
  env?: Record<string, string>;
  /** Seconds after which it is killed and the test fails; 60 if absent. */
  timeout?: number;
  /** Gets the process when it runs. */
  started?: (child: Deno.ChildProcess) => void;
}

/** Runs a program to its end. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const child = new Deno.Command(command[0], {
    args: command.slice(1),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env, clearEnv: true }),
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, (options.timeout ?? 60) * 1000);
  options.started?.(child);
  const feed = async () => {
    if (options.stdin === undefined) return;
    const { stdin } = options, writer = child.stdin.getWriter();
    const bytes = typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin;
    try {
      await writer.write(bytes);
      await writer.close();
    } catch (error) {
      // It has ended without reading everything.
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    }
  };
  const [{ code, stdout, stderr }] = await Promise.all([child.output(), feed()]);
  clearTimeout(timer);
  const text = new TextDecoder();
  const ran = { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
  if (late) fail(`${command.join(" ")} does not end: ${JSON.stringify(ran)}`);
  return ran;
}

/** How to run Trapdoor's command line. */
export interface TrapdoorOptions extends RunOptions {
  /** Deno's permission flags; all permissions if absent. */
  permissions?: readonly string[];
}

/** Runs `deno run mod.ts` with arguments, in the configuration of this run of the tests. */
export function trapdoor(args: readonly string[], options: TrapdoorOptions = {}): Promise<Ran> {
  const permissions = options.permissions ?? ["-A"];
  const command = [Deno.execPath(), "run", "--no-prompt", "--no-check", ...permissions];
  // Deno needs its cache, whatever else the environment is.
  const { HOME, DENO_DIR, PATH } = Deno.env.toObject();
  const own = Object.entries({ HOME, DENO_DIR, PATH }).filter(([, value]) => value !== undefined);
  // Nothing is to depend on earlier runs.
  const env = {
    ...Object.fromEntries(own),
    NO_COLOR: "1",
    TRAPDOOR_CACHE: CACHE,
    ...options.env,
  };
  return run([...command, file("mod.ts"), ...commandArguments(args), ...args], { ...options, env });
}

/** Instruction sets for which Debian has cross compilers with a C library. */
export const TARGETS = ["riscv64", "aarch64"] as const;
/** One of {@linkcode TARGETS}. */
export type Target = typeof TARGETS[number];

/** The tools that {@linkcode buildGuest} needs for a source, for `testWith`. */
export function compilers(source: string, target: Target = "riscv64"): string[] {
  return [`${target}-linux-gnu-${source.endsWith(".cc") ? "g++" : "gcc"}`];
}

/** All that a guest program may be made of but its own source: the library, and headers beside the source. */
async function surroundings(source: string): Promise<string> {
  const paths = [file("guest/lib/trapdoor.c")];
  for (const folder of [file("guest/include"), source.slice(0, source.lastIndexOf("/"))]) {
    for await (const { name } of Deno.readDir(folder)) {
      if (name.endsWith(".h")) paths.push(`${folder}/${name}`);
    }
  }
  return (await Promise.all(paths.sort().map((path) => Deno.readTextFile(path)))).join("\0");
}

const versions = new Map<string, Promise<string>>();
const building = new Map<string, Promise<string>>();

/**
 * Builds a static program with the guest library, unless the cache of an earlier run has it.
 *
 * @param source Path of a .c or .cc file in the checkout, or absolute.
 * @param flags Compiler flags on top; "-static" unless they have another kind of linking.
 * @returns The program's path.
 */
export function buildGuest(
  source: string,
  flags: readonly string[] = [],
  target: Target = "riscv64",
): Promise<string> {
  const id = [target, source, ...flags].join(" ");
  let made = building.get(id);
  if (!made) building.set(id, made = build(source, flags, target));
  return made;
}

async function build(source: string, flags: readonly string[], target: Target): Promise<string> {
  const path = file(source), [compiler] = compilers(source, target);
  let version = versions.get(compiler);
  if (!version) {
    versions.set(compiler, version = run([compiler, "--version"]).then((ran) => ran.stdout));
  }
  const cxx = source.endsWith(".cc");
  const linking = flags.some((flag) => /^-(static|shared|no-pie)/.test(flag)) ? [] : ["-static"];
  const all = [
    compiler,
    ...["-O2", cxx ? "-std=c++17" : "-std=gnu11", "-w", `-I${file("guest/include")}`],
    ...linking,
    ...flags,
  ];
  const key = [
    await version,
    ...all,
    await Deno.readTextFile(path),
    await surroundings(path),
  ];
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key.join("\0")));
  const hex = [...new Uint8Array(digest, 0, 12)].map((b) => b.toString(16).padStart(2, "0")).join(
    "",
  );
  const name = path.slice(path.lastIndexOf("/") + 1).replace(/\.\w+$/, "");
  const folder = `${cacheDirectory()}/guest-${hex}`;
  try {
    await Deno.stat(`${folder}/${name}`);
    return `${folder}/${name}`;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  await Deno.mkdir(folder, { recursive: true });
  // Renamed into place, so that another run never sees half a program.
  const temporary = await Deno.makeTempFile({ dir: folder });
  const sources = cxx ? [path] : [path, file("guest/lib/trapdoor.c")];
  const { code, stderr } = await run([...all, ...sources, "-lm", "-o", temporary]);
  if (code !== 0) fail(`${compiler} ${path} ends with ${code}:\n${stderr}`);
  await Deno.chmod(temporary, 0o755);
  await Deno.rename(temporary, `${folder}/${name}`);
  return `${folder}/${name}`;
}

/** Builds a program from C text; equal texts are built once. */
export async function buildC(text: string, flags: readonly string[] = []): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "trapdoor-c-" });
  try {
    await Deno.writeTextFile(`${folder}/program.c`, text);
    return await build(`${folder}/program.c`, flags, "riscv64");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs a test with a fresh directory, by its real path, which is removed afterwards. */
export async function withFolder<T>(test: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "trapdoor-test-" }));
  try {
    return await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
