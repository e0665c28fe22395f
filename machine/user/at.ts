/**
 * The paths that system calls name: a directory descriptor and a path at a guest address.
 *
 * @module
 */
import { E } from "./errno.ts";
import { DirectoryFile } from "./files.ts";
import { readPath } from "./guest_memory.ts";
import type { Kernel } from "./kernel.ts";
import type { Place } from "./paths.ts";

/** Instead of a directory descriptor: the working directory. */
export const AT_FDCWD = -100;
/** Flags of the *at calls (include/uapi/linux/fcntl.h). */
export const AT = {
  SYMLINK_NOFOLLOW: 0x100,
  REMOVEDIR: 0x200,
  EACCESS: 0x200,
  SYMLINK_FOLLOW: 0x400,
  NO_AUTOMOUNT: 0x800,
  EMPTY_PATH: 0x1000,
  STATX_SYNC: 0x6000,
} as const;
/** The guest path that a relative path starts from. */
function baseOf(k: Kernel, dirfd: number, path: string): string | number {
  if (path.startsWith("/")) return "/";
  if (dirfd === AT_FDCWD) return k.cwd;
  const file = k.fds.get(dirfd);
  if (!file) return -E.EBADF;
  return file instanceof DirectoryFile ? file.path : -E.ENOTDIR;
}

/** Walks the path at a guest address; the place or a negated error number. */
export function locate(k: Kernel, dirfd: number, address: number, follow: boolean): Place | number {
  const path = readPath(k, address);
  if (typeof path === "number") return path;
  if (path === "") return -E.ENOENT;
  const base = baseOf(k, dirfd, path);
  return typeof base === "number" ? base : k.names.walk(base, path, follow);
}

/** As {@linkcode locate}, for something that must be there. */
export function existing(
  k: Kernel,
  dirfd: number,
  address: number,
  follow: boolean,
): Place | number {
  const place = locate(k, dirfd, address, follow);
  return typeof place !== "number" && place.kind === "missing" ? -E.ENOENT : place;
}
