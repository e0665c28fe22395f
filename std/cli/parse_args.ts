/**
 * Offline stand-in for `jsr:@std/cli/parse-args`: the part of its signature that this project uses, on top of Deno's
 * built-in `node:util`.
 *
 * @module
 */
import { parseArgs as parseTokens } from "node:util";

/** The options of upstream that are supported here. */
export interface ParseOptions {
  /** Names of options with a value. */
  string?: readonly string[];
  /** Names of options without one. */
  boolean?: readonly string[];
  /** Names of options that may be given several times: their values come as arrays. */
  collect?: readonly string[];
  /** Called for everything that is not an option of those names; false drops it. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/**
 * Parses command-line arguments.
 *
 * @returns Values by name, false for booleans that are absent, and what is not an option in `_`.
 */
export function parseArgs(
  args: readonly string[],
  { string = [], boolean = [], collect = [], unknown }: ParseOptions = {},
): Record<string, unknown> & { _: (string | number)[] } {
  const options: Record<string, { type: "string" | "boolean" }> = {};
  for (const name of string) options[name] = { type: "string" };
  for (const name of boolean) options[name] = { type: "boolean" };
  const { tokens } = parseTokens({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const result: Record<string, unknown> & { _: (string | number)[] } = { _: [] };
  for (const name of boolean) result[name] = false;
  for (const name of collect) result[name] = [];
  for (const token of tokens) {
    if (token.kind === "option-terminator") continue;
    if (token.kind === "positional") {
      if (unknown?.(token.value) !== false) result._.push(token.value);
      continue;
    }
    const known = options[token.name];
    const value = known?.type === "string" ? token.value ?? "" : token.value !== "false";
    if (!known && unknown?.(token.rawName, token.name, token.value ?? true) === false) continue;
    const list = result[token.name];
    if (collect.includes(token.name)) (list as unknown[]).push(value);
    else result[token.name] = value;
  }
  return result;
}
