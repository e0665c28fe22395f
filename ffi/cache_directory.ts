/**
 * Where Trapdoor keeps what the next run may use again.
 *
 * @module
 */

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
  const under = (name: string, rest: string) => {
    const base = variable(name);
    return base && `${base}/${rest}trapdoor`;
  };
  switch (Deno.build.os) {
    case "windows":
      return under("LOCALAPPDATA", "");
    case "darwin":
      return under("HOME", "Library/Caches/");
    default: {
      // The XDG Base Directory Specification: relative paths are to be ignored.
      const xdg = variable("XDG_CACHE_HOME");
      return xdg?.startsWith("/") ? `${xdg}/trapdoor` : under("HOME", ".cache/");
    }
  }
}
