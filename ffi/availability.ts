/**
 * Why native code can't be had here, as far as that can be told without loading what makes it.
 *
 * @module
 */
import { cacheDirectory, granted, variable } from "./cache_directory.ts";
import { unsupported, VARIABLES } from "./platform.ts";

/** Why a directory, by default this user's, can't be the translation cache; undefined if nothing is known against it. */
export function cacheProblem(directory: string | undefined = cacheDirectory()): string | undefined {
  if (directory === undefined) {
    if (variable("TRAPDOOR_CACHE") === "off") {
      return "no place for the translation cache: TRAPDOOR_CACHE is off; it may name a directory";
    }
    return `no place for the translation cache: allow reading ${
      VARIABLES.join(", ")
    } (--allow-env), or set TRAPDOOR_CACHE to a directory`;
  }
  if (!granted({ name: "write", path: directory }) || !granted({ name: "read", path: directory })) {
    return `no access to the translation cache: run with --allow-read=${directory} --allow-write=${directory}`;
  }
  return undefined;
}

/** Why the libraries at a path can't be used; undefined if nothing is known against it. */
export function libraryProblem(path: string): string | undefined {
  if (granted({ name: "ffi", path })) return undefined;
  return `native code needs a permission: run with --allow-ffi=${path}`;
}

/** Why there is no native code for this user; undefined if nothing is known against it. */
export function nativeProblem(): string | undefined {
  return unsupported() ?? cacheProblem() ??
    libraryProblem(variable("TRAPDOOR_NATIVE") ?? cacheDirectory()!);
}
