/**
 * What a program in Deno loads and calls, as V8 counts it.
 *
 * @module
 */
import type { FunctionRange } from "./compile_hints.ts";

/** What V8 says about a script, of which `--coverage` writes a file each. */
interface Script {
  readonly scriptId: string;
  readonly url: string;
  readonly functions: readonly {
    readonly functionName: string;
    readonly ranges: readonly { startOffset: number; endOffset: number; count: number }[];
  }[];
}

/** A directory that is removed in the end. */
export async function temporary(): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempDir({ prefix: "trapdoor-bundle-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/**
 * Runs a program.
 *
 * @param args The program and its arguments.
 * @param env Variables added to the environment.
 * @returns The URLs of its modules in the order of loading, with the functions in each that are called.
 * @throws {Error} If it writes to standard error.
 */
export async function observe(
  args: readonly string[],
  env: Record<string, string>,
): Promise<Map<string, FunctionRange[]>> {
  await using folder = await temporary();
  const { stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", `--coverage=${folder.path}`, ...args],
    env,
    stdout: "null",
    stderr: "piped",
  }).output();
  const said = new TextDecoder().decode(stderr).trim();
  if (said !== "") throw new Error(`Cannot see what ${args.join(" ")} calls: it says ${said}`);
  const scripts: Script[] = [];
  for await (const { name } of Deno.readDir(folder.path)) {
    scripts.push(JSON.parse(await Deno.readTextFile(`${folder.path}/${name}`)));
  }
  scripts.sort((a, b) => Number(a.scriptId) - Number(b.scriptId));
  return new Map(scripts.map(({ url, functions }) => [url, called(functions)]));
}

function called([_module, ...functions]: Script["functions"]): FunctionRange[] {
  return functions.filter(({ functionName, ranges: [{ startOffset, endOffset, count }] }) =>
    // Neither initializers of classes nor constructors that are not written.
    count > 0 && endOffset > startOffset && !functionName.startsWith("<")
  ).map(({ ranges: [{ startOffset, endOffset }] }) => ({ start: startOffset, end: endOffset }));
}
