/**
 * Versions: Trapdoor's own, and the oldest Deno that it runs on.
 *
 * @module
 */

/** Version of Trapdoor, as in deno.json. */
export const VERSION = "0.1.0";

/** Oldest Deno that is supported: the first one that knows `links` in deno.json. */
export const MIN_DENO = "2.3.6";

/**
 * Checks a version of Deno.
 *
 * @param current As `Deno.version.deno` says, such as "2.9.6" or "2.9.0-rc.1+f00".
 * @returns Undefined if it is new enough, else an error text of one line.
 *
 * @example
 * ```ts
 * import { checkDenoVersion } from "./version.ts";
 *
 * console.log(checkDenoVersion("2.9.6")); // undefined
 * console.log(checkDenoVersion("1.46.3")); // Trapdoor needs Deno 2.3.6 or newer, but this is ...
 * ```
 */
export function checkDenoVersion(current: string): string | undefined {
  const numbers = (version: string) => version.split(/[-+]/)[0].split(".").map(Number);
  const have = numbers(current), need = numbers(MIN_DENO);
  for (let i = 0; i < need.length; i++) {
    if (have[i] > need[i]) return undefined;
    // What is not a number is not new enough either.
    if (have[i] !== need[i]) {
      return `Trapdoor needs Deno ${MIN_DENO} or newer, but this is ${current}: run deno upgrade`;
    }
  }
  return undefined;
}
