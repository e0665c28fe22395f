/**
 * The host's C compiler: finding it, and running it in the background or at once.
 *
 * @module
 */
import { granted } from "./cache_directory.ts";
import { COMPILERS, findCommand, PROCESS_GROUPS } from "./platform.ts";

/** Whether compilers have a process group each, which may be ended by its number with the permission to run anything only. */
const GROUPS = PROCESS_GROUPS && granted({ name: "run" });

/** Compiling failed; the message has the compiler's first words. */
export class CompileError extends Error {
  /** For `error.name` in messages. */
  override name = "CompileError";
}

/** Where a path leads to, if that may be known. */
function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    return path;
  }
}

/** A C compiler. */
export class Compiler {
  readonly path: string;
  /** What tells it from another compiler, or another version at the same path. */
  readonly identity: string;
  readonly #running = new Set<Deno.ChildProcess>();

  constructor(path: string) {
    this.path = path;
    const { size, mtime } = Deno.statSync(path);
    this.identity = `${realPath(path)} ${size} ${mtime?.getTime() ?? 0}`;
  }

  /** The compiler that `TRAPDOOR_CC` names, else the first that there is. */
  static find(env: (name: string) => string | undefined): Compiler | undefined {
    const own = env("TRAPDOOR_CC");
    for (const name of own ? [own] : COMPILERS) {
      const path = findCommand(name, env("PATH") ?? "");
      if (path !== undefined) return new Compiler(path);
    }
    return undefined;
  }

  #command(args: readonly string[], detached = false): Deno.Command {
    return new Deno.Command(this.path, {
      args: [...args],
      detached,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    });
  }

  #check({ success, code, stderr }: { success: boolean; code: number; stderr: Uint8Array }): void {
    if (success) return;
    const said = new TextDecoder().decode(stderr).trim().split("\n").slice(0, 3).join("; ");
    const more = said === "" ? ", without a word" : `: ${said}`;
    throw new CompileError(`Cannot compile with ${this.path}: status ${code}${more}`);
  }

  /** Runs it and waits. @throws {CompileError} If it fails. */
  runSync(args: readonly string[]): void {
    this.#check(this.#command(args).outputSync());
  }

  /** Runs it in the background. @throws {CompileError} If it fails. */
  async run(args: readonly string[]): Promise<void> {
    const child = this.#command(args, GROUPS).spawn();
    this.#running.add(child);
    try {
      this.#check(await child.output());
    } finally {
      this.#running.delete(child);
    }
  }

  /** Ends what runs; its promises reject. */
  stop(): void {
    for (const child of this.#running) {
      try {
        // The command is a driver: what it started is to end, too.
        if (GROUPS) Deno.kill(-child.pid, "SIGKILL");
        else child.kill("SIGKILL");
      } catch (error) {
        // It has ended already, and only its promise is not settled yet.
        if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    this.#running.clear();
  }
}
