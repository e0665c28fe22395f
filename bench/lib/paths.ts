/**
 * Paths, by Deno's built-in `node:` modules.
 *
 * @module
 */
export { basename, dirname, join, resolve } from "node:path";
export { fileURLToPath as fromFileUrl } from "node:url";
