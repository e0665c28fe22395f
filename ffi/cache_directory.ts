/**
 * Where Trapdoor keeps what the next run may use again.
 *
 * @module
 */
import { cacheBase } from "./platform.ts";

/** Whether a permission is there; nobody is asked for it. */
export function granted(descriptor: Deno.PermissionDescriptor): boolean {
  return Deno.permissions.querySync(descriptor).state === "granted";
}

/** A variable of the environment, if it may be read and is set. */
export function variable(name: string): string | undefined {
  return granted({ name: "env", variable: name }) ? Deno.env.get(name) || undefined : undefined;
}

/**
 * The directory for what may be kept between runs: TRAPDOOR_CACHE, else "trapdoor" in the platform's cache directory.
 *
 * @returns undefined if it can't be found out without asking for a permission, or TRAPDOOR_CACHE is "off".
 */
export function cacheDirectory(): string | undefined {
  const own = variable("TRAPDOOR_CACHE");
  if (own !== undefined) return own === "off" ? undefined : own;
  const base = cacheBase(variable);
  return base && `${base}/trapdoor`;
}
