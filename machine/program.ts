/**
 * Reading the program that is to run.
 *
 * @module
 */

/** What can't be run, and why: the message is for users. */
export class MachineError extends Error {
  /** For `error.name` in messages. */
  override name = "MachineError";
}

/** Why a path can't be run, if that is to be seen without reading it. */
function unreadable(info: Deno.FileInfo): string | undefined {
  if (info.isDirectory) return "it is a directory";
  return info.isCharDevice || info.isBlockDevice ? "it is a device" : undefined;
}

/**
 * Reads a program.
 *
 * @returns Its bytes, and a name for messages and argv[0].
 * @throws {MachineError} If it can't be read.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 */
export async function readProgram(
  program: string | URL | Uint8Array,
): Promise<{ bytes: Uint8Array; name: string }> {
  if (program instanceof Uint8Array) return { bytes: program, name: "program" };
  const shown = String(program);
  const fail = (why: string, cause?: unknown): never => {
    const file = shown.length > 200 ? `${shown.slice(0, 200)}...` : shown;
    throw new MachineError(`Cannot read the program ${file}: ${why}`, { cause });
  };
  try {
    const isUrl = program instanceof URL || /^(file|https?|data|blob):/.test(program);
    const url = isUrl ? new URL(program) : undefined;
    if (url === undefined || url.protocol === "file:") {
      const path = url ?? shown;
      const info = Deno.statSync(path), why = unreadable(info);
      if (why !== undefined) fail(why);
      // Reading a pipe may take for ever, which signals must be able to end.
      const bytes = info.isFile ? Deno.readFileSync(path) : await Deno.readFile(path);
      return { bytes, name: url?.pathname ?? shown };
    }
    const response = await fetch(url);
    if (!response.ok) {
      await response.body?.cancel();
      fail(`the server answered ${response.status} ${response.statusText}`.trim());
    }
    const name = url.protocol === "data:" ? "program" : url.pathname;
    return { bytes: new Uint8Array(await response.arrayBuffer()), name };
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable || cause instanceof MachineError) throw cause;
    if (cause instanceof Deno.errors.NotFound) return fail("there is no such file", cause);
    // Deno's messages go on with the operation and the path.
    const message = cause instanceof Error ? cause.message : String(cause);
    return fail(message.replace(/: \w+ '.*'$/s, ""), cause);
  }
}
