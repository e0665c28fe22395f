/**
 * Makes a bundle: all of Trapdoor in a few JavaScript files, of which two are loaded by a start from stored code. That takes
 * little more than half of the time that its modules take, and few requests where they come from a web server.
 *
 * `deno run -A cli/bundle.ts [DIRECTORY]`, `dist` if it is not given. The directory can be moved, copied and served;
 * `deno run -A DIRECTORY/mod.js` is the command line, and `mod.js` and `machine/system/mod.js` export what the modules
 * of these names do.
 *
 * What a start loads and calls is found by starting: a program runs from stored code, and V8 counts.
 *
 * @module
 */
import { SOURCES } from "../ffi/builder.ts";
import { type FunctionRange, hintFunctions } from "./compile_hints.ts";
import { observe, temporary } from "./observe.ts";
import { type Files, joinStart } from "./start_file.ts";

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

/** The program that is started to see what a start needs; it says that nobody answers, and fails. */
const PROGRAM = `${ROOT}guest/bin/riscv64/hello`;

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
  await using folder = await temporary();
  const split = `${folder.path}/split`;
  await denoBundle(["--code-splitting", "--outdir", split, ...ENTRIES], ROOT);
  const files = await scripts(split);
  const entries = ENTRIES.map((path) => path.replace(/ts$/, "js"));
  const starting = [...(await observeStart(split)).keys()].filter((path) =>
    !entries.includes(path)
  );
  const joined = await joinStart(files, starting, async (parts, entry) => {
    await write(`${folder.path}/parts`, parts);
    await denoBundle(["--output", `${folder.path}/joined.js`, entry], `${folder.path}/parts`);
    return await Deno.readTextFile(`${folder.path}/joined.js`);
  });
  await write(target, joined.files);
  for (const [from, to] of BESIDE) {
    const place = `${target}/${to}`;
    await makeParent(place);
    await Deno.copyFile(ROOT + from, place);
  }
  const called = (await observeStart(target)).get(joined.start) ?? [];
  const hinted = await hintFunctions(joined.files.get(joined.start)!, called);
  await Deno.writeTextFile(`${target}/${joined.start}`, hinted);
}

/** Starts the bundler, which makes files small. */
async function denoBundle(args: readonly string[], cwd: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--minify", ...args],
    cwd,
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
}

/** Makes the directory of a file. */
async function makeParent(path: string): Promise<void> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
}

async function write(directory: string, files: Files): Promise<void> {
  for (const [path, text] of files) {
    const place = `${directory}/${path}`;
    await makeParent(place);
    await Deno.writeTextFile(place, text);
  }
}

/** What a directory has of JavaScript, by paths in it. */
async function scripts(directory: string, below = ""): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for await (const { name, isDirectory } of Deno.readDir(`${directory}/${below}`)) {
    const path = below + name;
    if (isDirectory) {
      for (const file of await scripts(directory, `${path}/`)) files.set(...file);
    } else if (name.endsWith(".js")) {
      files.set(path, await Deno.readTextFile(`${directory}/${path}`));
    }
  }
  return files;
}

/**
 * Starts a program from stored code in a bundle.
 *
 * @returns The files that are loaded, in this order, with the functions that are called in each.
 * @throws {Error} If it does not start.
 */
async function observeStart(directory: string): Promise<Map<string, FunctionRange[]>> {
  await using folder = await temporary();
  const args = [`${directory}/mod.js`, PROGRAM];
  const env = { NO_COLOR: "1", TRAPDOOR_CACHE: folder.path };
  // The first start stores the code.
  await observe(args, env);
  const base = `${await Deno.realPath(directory)}/`;
  const loaded = new Map<string, FunctionRange[]>();
  for (const [url, functions] of await observe(args, env)) {
    const path = decodeURIComponent(new URL(url).pathname);
    if (path.startsWith(base)) loaded.set(path.slice(base.length), functions);
  }
  return loaded;
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
