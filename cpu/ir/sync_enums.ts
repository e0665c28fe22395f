/**
 * Writes the op numbers into the executors. A `switch` is fast only with literal labels, and those come from a
 * `const enum` in the same file; this keeps the copies equal to the table (a test runs it with `--check`).
 *
 * Run with `deno task ops`.
 *
 * @module
 */
import { FIRST_VECTOR_OP, OPS } from "./ops.ts";

const FILES = [
  "../engine/interpreter/interp.ts",
  "../engine/interpreter/interp_loop.ts",
  "../engine/interpreter/rare.ts",
  "op_numbers.ts",
];
const START = "// deno-fmt-ignore -- op numbers, written by `deno task ops`";
/** The number of the first op for vectors. */
const VECTORS = "VECTORS";
const END = "// end of op numbers";

/**
 * The block of text for every executor: ops for vectors are not in their `switch`.
 *
 * @param exported Whether other files import it.
 */
export function enumText(exported = false): string {
  const entries = OPS.slice(0, FIRST_VECTOR_OP).map((op) => `${op.name} = ${op.code}`);
  const lines: string[] = [];
  for (let i = 0; i < entries.length; i += 6) {
    lines.push(`  ${entries.slice(i, i + 6).join(", ")},`);
  }
  if (exported) lines.push(`  ${VECTORS} = ${FIRST_VECTOR_OP},`);
  const declaration = exported ? "export const enum OpNumber" : "const enum Op";
  return `${START}\n${declaration} {\n${lines.join("\n")}\n}\n${END}`;
}

/** `source` with its op numbers replaced. @throws {Error} If it has no place for them. */
export function withEnum(source: string): string {
  const pattern = /\/\*OPS\*\/|\/\/ deno-fmt-ignore -- op numbers[\s\S]*?\/\/ end of op numbers/;
  if (!pattern.test(source)) throw new Error("Cannot find the place for op numbers");
  return source.replace(pattern, enumText(source.includes("export const enum OpNumber")));
}

/** URLs of the files with op numbers in them. */
export const ENUM_FILES: readonly URL[] = FILES.map((file) => new URL(file, import.meta.url));
