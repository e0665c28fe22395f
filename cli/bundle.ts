/**
 * Makes a bundle: all of Trapdoor in a few small JavaScript files, which start in about two thirds of the time that its
 * modules take, and need a quarter of the requests where they come from a web server.
 *
 * `deno run -A cli/bundle.ts [DIRECTORY]`, `dist` if it is not given. The directory can be moved, copied and served;
 * `deno run -A DIRECTORY/mod.js` is the command line, and `mod.js` and `machine/system/mod.js` export what the modules
 * of these names do.
 *
 * @module
 */
import { SOURCES } from "../ffi/builder.ts";

const ROOT = `${import.meta.dirname}/../`;
const ENTRIES = ["mod.ts", "machine/system/mod.ts"];
/** What is read at run time from beside a module: by its place here, and in the bundle. */
const BESIDE: readonly [from: string, to: string][] = [
  ...SOURCES.map((name): [string, string] => [
    `ffi/native/${name}`,
    `native/${name}`,
  ]),
  ...["guest/bin/riscv64/demo", "guest/demo/callbacks.ts", "backdoor/types.ts", "LICENSE"].map(
    (path): [string, string] => [path, path],
  ),
];

/**
 * Makes a bundle in a directory that is empty or does not exist.
 *
 * @throws {Error} If there is something, or the bundler can't be had: `deno bundle` fetches it when first used.
 */
export async function bundle(directory: string): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  for await (const { name } of Deno.readDir(directory)) {
    throw new Error(`Cannot make a bundle in ${directory}: it is not empty, there is ${name}`);
  }
  const target = await Deno.realPath(directory);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--code-splitting", "--minify", "--outdir", target, ...ENTRIES],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) {
    throw new Error(
      `Cannot make a bundle with Deno ${Deno.version.deno} (2.4 or newer can): ${
        new TextDecoder().decode(stderr).trim()
      }`,
    );
  }
  for (const [from, to] of BESIDE) {
    const place = `${target}/${to}`;
    await Deno.mkdir(place.slice(0, place.lastIndexOf("/")), { recursive: true });
    await Deno.copyFile(ROOT + from, place);
  }
}

/** Removes an earlier bundle, if there is one. */
async function removeOld(directory: string): Promise<void> {
  try {
    await Deno.remove(directory, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

if (import.meta.main) {
  const [given] = Deno.args, directory = given ?? `${ROOT}dist`;
  try {
    // Nothing else is ever there.
    if (given === undefined) await removeOld(directory);
    await bundle(directory);
    console.log(`Made ${await Deno.realPath(`${directory}/mod.js`)}`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
