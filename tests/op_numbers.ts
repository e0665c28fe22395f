/**
 * Writes the op numbers of cpu/ir/ops.ts into the executors, and the interpreter's loop of system mode (`deno task
 * ops`); `--check` only compares.
 *
 * @module
 */
import { softLoop } from "../cpu/engine/interpreter/soft_loop.ts";
import { ENUM_FILES, withEnum } from "../cpu/ir/sync_enums.ts";

/** Files whose op numbers are not the table's. */
export async function outdated(files: readonly URL[] = ENUM_FILES): Promise<URL[]> {
  const found: URL[] = [];
  for (const file of files) {
    const source = await Deno.readTextFile(file);
    if (withEnum(source) !== source) found.push(file);
  }
  return found;
}

const LOOP = new URL("../cpu/engine/interpreter/interp_loop.ts", import.meta.url);
const SOFT_LOOP = new URL("../cpu/engine/interpreter/interp_loop_soft.ts", import.meta.url);

/** The loop of system mode as it must be, if it is not. */
export async function outdatedSoftLoop(): Promise<string | undefined> {
  const text = softLoop(await Deno.readTextFile(LOOP));
  const is = await Deno.readTextFile(SOFT_LOOP).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return "";
  });
  return is === text ? undefined : text;
}

if (import.meta.main) {
  const name = (file: URL) => file.pathname.split("/").slice(-3).join("/");
  const files = await outdated();
  if (Deno.args.includes("--check")) {
    for (const file of files) {
      console.error(`${name(file)}: op numbers are not those of cpu/ir/ops.ts: run deno task ops`);
    }
    const soft = files.length === 0 ? await outdatedSoftLoop() : undefined;
    if (soft !== undefined) {
      console.error(`${name(SOFT_LOOP)}: is not made from interp_loop.ts: run deno task ops`);
    }
    Deno.exit(files.length === 0 && soft === undefined ? 0 : 1);
  }
  for (const file of files) {
    await Deno.writeTextFile(file, withEnum(await Deno.readTextFile(file)));
    console.log(`${name(file)}: op numbers written`);
  }
  const soft = await outdatedSoftLoop();
  if (soft !== undefined) {
    await Deno.writeTextFile(SOFT_LOOP, soft);
    console.log(`${name(SOFT_LOOP)}: written`);
  }
}
