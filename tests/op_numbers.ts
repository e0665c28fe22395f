/**
 * Writes the op numbers of cpu/ir/ops.ts into the executors (`deno task ops`); `--check` only compares.
 *
 * @module
 */
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

if (import.meta.main) {
  const name = (file: URL) => file.pathname.split("/").slice(-3).join("/");
  const files = await outdated();
  if (Deno.args.includes("--check")) {
    for (const file of files) {
      console.error(`${name(file)}: op numbers are not those of cpu/ir/ops.ts: run deno task ops`);
    }
    Deno.exit(files.length === 0 ? 0 : 1);
  }
  for (const file of files) {
    await Deno.writeTextFile(file, withEnum(await Deno.readTextFile(file)));
    console.log(`${name(file)}: op numbers written`);
  }
}
