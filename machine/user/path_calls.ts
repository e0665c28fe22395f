/**
 * System calls on paths, and on what paths lead to.
 *
 * @module
 */
import { AT, AT_FDCWD, existing, locate } from "./at.ts";
import { E, HostError } from "./errno.ts";
import { DirectoryFile, Open, type OpenFile, PathFile, RegularFile, ServedFile } from "./files.ts";
import { readPath, readTimespec, utf8 } from "./guest_memory.ts";
import { type HostStat, Mode } from "./host.ts";
import type { Handler, Kernel } from "./kernel.ts";
import { isDirectory, type Place } from "./paths.ts";

/** umask of a guest that has not set one. */
const DEFAULT_UMASK = 0o022;
/** Tries of an open that races with other host processes. */
const OPEN_TRIES = 8;

const typeOf = (stat: HostStat): number => stat.mode & Mode.TYPE;

/** As {@linkcode existing}, for a change of the file itself: it must be a host file that may be changed. */
function changeable(k: Kernel, dirfd: number, address: number, follow: boolean): Place | number {
  const place = existing(k, dirfd, address, follow);
  if (typeof place === "number") return place;
  return place.kind !== "host" || place.grant!.readonly ? -E.EROFS : place;
}

/** A place where something is to be created: missing, in a directory that may be changed. */
function creatable(k: Kernel, dirfd: number, address: number): Place | number {
  const place = locate(k, dirfd, address, false);
  if (typeof place === "number") return place;
  if (place.kind !== "missing") return -E.EEXIST;
  return !place.grant || place.grant.readonly ? -E.EROFS : place;
}

/** Gives a new file the mode that the guest's umask asks for, where the host's own umask would differ. */
function applyUmask(k: Kernel, host: string, mode: number): void {
  if (k.umask === undefined) return;
  const files = k.host.files!;
  const wanted = mode & ~k.umask & 0o7777;
  if ((files.lstat(host).mode & 0o7777) !== wanted) files.chmod(host, wanted);
}

/** Status of a directory by its path as long as it is the same one. */
function directoryAt(k: Kernel, place: Place, flags: number): DirectoryFile {
  const first = place.stat!;
  return new DirectoryFile(place.path, flags, (path) => {
    const now = k.names.walk("/", path, false);
    const same = typeof now !== "number" && now.stat?.ino === first.ino &&
      now.stat.dev === first.dev;
    return same ? now.stat! : first;
  });
}

/** Opens a host file; undefined if somebody exchanged it since it was looked at. */
function openHost(k: Kernel, place: Place, flags: number, mode: number): OpenFile | undefined {
  const access = flags & Open.ACCMODE;
  const createNew = place.kind === "missing";
  const truncate = !createNew && (flags & Open.TRUNC) !== 0;
  const host = k.host.files!.open(place.host, {
    read: access !== Open.WRONLY,
    write: access !== Open.RDONLY || createNew || truncate,
    // Only after it is known to be the file that was looked at.
    truncate: false,
    createNew,
    mode: mode & ~(k.umask ?? DEFAULT_UMASK) & 0o7777,
  });
  const stat = host.stat();
  if (!createNew && (stat.ino !== place.stat!.ino || stat.dev !== place.stat!.dev)) {
    host.close();
    return undefined;
  }
  if (truncate && typeOf(stat) === Mode.FILE) host.truncate(0);
  return new RegularFile(place.path, flags, host, place.grant!, stat);
}

/** Opens what is served by the machine itself. */
function openVirtual(k: Kernel, place: Place, flags: number, kept: number): OpenFile | number {
  const file = place.file!;
  if (file.descriptor !== undefined) {
    const target = k.fds.get(file.descriptor);
    if (!target) return -E.ENXIO;
    if (!(target instanceof RegularFile) && !(target instanceof DirectoryFile)) return target;
    const again = k.names.walk("/", target.path, false);
    if (typeof again === "number") return again;
    return openPlace(k, again, flags & ~(Open.CREAT | Open.EXCL), 0) ?? -E.ELOOP;
  }
  if (!file.open) return -E.ENXIO;
  const handle = file.open(flags);
  return typeof handle === "number" ? handle : new ServedFile(place.path, kept, file, handle);
}

/** Opens a place; undefined asks for another try. */
function openPlace(
  k: Kernel,
  place: Place,
  flags: number,
  mode: number,
): OpenFile | number | undefined {
  const { DIRECTORY, NOFOLLOW, LARGEFILE } = k.abi.openFlags;
  const access = flags & Open.ACCMODE;
  const writes = access !== Open.RDONLY || (flags & Open.TRUNC) !== 0;
  const transient = Open.CREAT | Open.EXCL | Open.NOCTTY | Open.TRUNC | Open.CLOEXEC;
  // As Linux on 64-bit machines: every file is a large one.
  const kept = (flags & ~transient) | (k.word === 8 ? LARGEFILE : 0);
  if (place.kind === "missing") {
    if (!(flags & Open.CREAT) || flags & Open.PATH) return -E.ENOENT;
    if (place.slash) return -E.EISDIR;
    if (!place.grant || place.grant.readonly) return -E.EROFS;
    try {
      const file = openHost(k, place, flags & ~Open.TRUNC, mode)!;
      applyUmask(k, place.host, mode);
      file.flags = kept;
      return file;
    } catch (error) {
      if (!(error instanceof HostError) || error.errno !== E.EEXIST) throw error;
      return flags & Open.EXCL ? -E.EEXIST : undefined;
    }
  }
  if (flags & Open.CREAT && flags & Open.EXCL && !(flags & Open.PATH)) return -E.EEXIST;
  const stat = place.stat!, type = typeOf(stat);
  if (isDirectory(stat)) {
    if (flags & Open.PATH) return directoryAt(k, place, kept);
    if (writes || flags & Open.CREAT) return -E.EISDIR;
    return directoryAt(k, place, kept);
  }
  if (flags & DIRECTORY) return -E.ENOTDIR;
  if (flags & Open.PATH) return new PathFile(place.path, kept, stat);
  if (type === Mode.LINK && (flags & NOFOLLOW || place.file?.descriptor === undefined)) {
    return -E.ELOOP;
  }
  if (place.kind === "virtual") return openVirtual(k, place, flags, kept);
  if (place.grant!.readonly && writes && type === Mode.FILE) return -E.EROFS;
  if (type === Mode.SOCKET) return -E.ENXIO;
  if (type === Mode.FIFO) {
    k.note(`Named pipes in granted directories cannot be opened (${place.path}: ENXIO)`);
    return -E.ENXIO;
  }
  const file = openHost(k, place, flags, mode);
  if (file) file.flags = kept;
  return file;
}

function openat(k: Kernel, dirfd: number, address: number, flags: number, mode: number): number {
  const { DIRECTORY, NOFOLLOW } = k.abi.openFlags;
  if (flags & Open.TMPFILE & ~DIRECTORY) return -E.EOPNOTSUPP;
  if ((flags & Open.ACCMODE) === Open.ACCMODE && !(flags & Open.PATH)) return -E.EINVAL;
  if (flags & Open.CREAT && flags & DIRECTORY) return -E.EINVAL;
  const exclusive = (flags & (Open.CREAT | Open.EXCL)) === (Open.CREAT | Open.EXCL);
  const follow = !(flags & NOFOLLOW) && !exclusive;
  for (let tries = 0; tries < OPEN_TRIES; tries++) {
    const place = locate(k, dirfd, address, follow);
    if (typeof place === "number") return place;
    const file = openPlace(k, place, flags, mode);
    if (file === undefined) continue;
    if (typeof file === "number") return file;
    const fd = k.fds.add(file, (flags & Open.CLOEXEC) !== 0);
    // EMFILE: nobody holds the file that was just opened.
    if (fd < 0 && file.references === 0) file.close();
    return fd;
  }
  return -E.EAGAIN;
}

function readlinkat(
  k: Kernel,
  dirfd: number,
  address: number,
  buffer: number,
  size: number,
): number {
  if (size <= 0) return -E.EINVAL;
  const path = readPath(k, address);
  if (typeof path === "number") return path;
  let place: Place | number;
  if (path === "") {
    const file = k.fds.get(dirfd);
    if (!file) return dirfd === AT_FDCWD ? -E.ENOENT : -E.EBADF;
    if (!(file instanceof PathFile)) return -E.ENOENT;
    place = k.names.walk("/", file.path, false);
  } else place = existing(k, dirfd, address, false);
  if (typeof place === "number") return place;
  if (!place.stat) return -E.ENOENT;
  if (typeOf(place.stat) !== Mode.LINK) return -E.EINVAL;
  const target = utf8(place.file ? place.file.readlink!() : k.host.files!.readLink(place.host));
  const part = target.subarray(0, size);
  k.memory.write(buffer, part);
  return part.length;
}

/** Last component of the path at an address, as the guest wrote it. */
function lastName(k: Kernel, address: number): string {
  const path = readPath(k, address);
  return typeof path === "number" ? "" : path.replace(/\/+$/, "").split("/").at(-1)!;
}

function unlinkat(k: Kernel, dirfd: number, address: number, flags: number): number {
  if (flags & ~AT.REMOVEDIR) return -E.EINVAL;
  const place = existing(k, dirfd, address, false);
  if (typeof place === "number") return place;
  const name = lastName(k, address);
  if (flags && name === ".") return -E.EINVAL;
  if (flags && name === "..") return -E.ENOTEMPTY;
  if (place.mounted) return -E.EBUSY;
  if (place.kind !== "host" || place.grant!.readonly) return -E.EROFS;
  if (flags && !isDirectory(place.stat!)) return -E.ENOTDIR;
  if (!flags && isDirectory(place.stat!)) return -E.EISDIR;
  k.host.files!.remove(place.host);
  return 0;
}

function mkdirat(k: Kernel, dirfd: number, address: number, mode: number): number {
  const place = creatable(k, dirfd, address);
  if (typeof place === "number") return place;
  k.host.files!.mkdir(place.host, mode & ~(k.umask ?? DEFAULT_UMASK) & 0o1777);
  applyUmask(k, place.host, mode & 0o1777);
  return 0;
}

const RENAME_NOREPLACE = 1;

function renameat2(
  k: Kernel,
  oldDirfd: number,
  oldPath: number,
  newDirfd: number,
  newPath: number,
  flags: number,
): number {
  // RENAME_EXCHANGE and RENAME_WHITEOUT need the file system's help.
  if (flags & ~RENAME_NOREPLACE) return -E.EINVAL;
  const from = existing(k, oldDirfd, oldPath, false);
  if (typeof from === "number") return from;
  const to = locate(k, newDirfd, newPath, false);
  if (typeof to === "number") return to;
  if ([lastName(k, oldPath), lastName(k, newPath)].some((n) => n === "." || n === "..")) {
    return -E.EBUSY;
  }
  if (from.mounted || to.mounted) return -E.EBUSY;
  if (from.kind !== "host" || !to.grant) return -E.EROFS;
  if (from.grant !== to.grant) return -E.EXDEV;
  if (from.grant!.readonly) return -E.EROFS;
  if (to.kind !== "missing" && flags & RENAME_NOREPLACE) return -E.EEXIST;
  if (to.slash && !isDirectory(from.stat!)) return -E.ENOTDIR;
  k.host.files!.rename(from.host, to.host);
  // Open directories and the working directory stay what they are under their new name.
  const moved = (path: string) =>
    path === from.path || path.startsWith(from.path + "/")
      ? to.path + path.slice(from.path.length)
      : path;
  for (const [, file] of k.fds.open()) file.path = moved(file.path);
  k.cwd = moved(k.cwd);
  return 0;
}

function linkat(
  k: Kernel,
  oldDirfd: number,
  oldPath: number,
  newDirfd: number,
  newPath: number,
  flags: number,
): number {
  if (flags & ~AT.SYMLINK_FOLLOW) return -E.EINVAL;
  const from = existing(k, oldDirfd, oldPath, (flags & AT.SYMLINK_FOLLOW) !== 0);
  if (typeof from === "number") return from;
  const to = creatable(k, newDirfd, newPath);
  if (typeof to === "number") return to;
  if (isDirectory(from.stat!)) return -E.EPERM;
  // A link from a read-only grant into a writable one would make its file writable.
  if (from.grant !== to.grant) return -E.EXDEV;
  if (to.slash) return -E.ENOENT;
  k.host.files!.link(from.host, to.host);
  return 0;
}

function symlinkat(k: Kernel, target: number, dirfd: number, path: number): number {
  const text = readPath(k, target);
  if (typeof text === "number") return text;
  if (text === "") return -E.ENOENT;
  const place = creatable(k, dirfd, path);
  if (typeof place === "number") return place;
  if (place.slash) return -E.ENOENT;
  k.host.files!.symlink(text, place.host);
  return 0;
}

function getcwd(k: Kernel, buffer: number, size: number): number {
  const here = k.names.walk("/", k.cwd, false);
  if (typeof here === "number" || !here.stat) return -E.ENOENT;
  const bytes = utf8(k.cwd + "\0");
  if (size < bytes.length) return -E.ERANGE;
  k.memory.write(buffer, bytes);
  return bytes.length;
}

/** What a descriptor's file is now by its path, if it is still the same file: for calls that Deno has by path only. */
function placeOf(k: Kernel, fd: number): Place | number {
  const file = k.fds.get(fd);
  if (!file || file.flags & Open.PATH) return -E.EBADF;
  if (!(file instanceof RegularFile) && !(file instanceof DirectoryFile)) return -E.EROFS;
  const place = k.names.walk("/", file.path, false);
  if (typeof place === "number") return place;
  const stat = file.stat();
  if (place.stat?.ino !== stat.ino || place.stat.dev !== stat.dev) {
    k.note(
      "An open file that was renamed or removed by others cannot be changed by descriptor (ENOENT)",
    );
    return -E.ENOENT;
  }
  return place.kind !== "host" || place.grant!.readonly ? -E.EROFS : place;
}

function chmod(k: Kernel, place: Place | number, mode: number): number {
  if (typeof place === "number") return place;
  if (typeOf(place.stat!) === Mode.LINK) return -E.EOPNOTSUPP;
  k.host.files!.chmod(place.host, mode & 0o7777);
  return 0;
}

function chown(k: Kernel, place: Place | number, uid: number, gid: number): number {
  if (typeof place === "number") return place;
  if (uid === -1 && gid === -1) return 0;
  if (typeOf(place.stat!) === Mode.LINK) return -E.EOPNOTSUPP;
  k.host.files!.chown(place.host, uid === -1 ? null : uid >>> 0, gid === -1 ? null : gid >>> 0);
  return 0;
}

const UTIME_NOW = 0x3fff_ffff;
const UTIME_OMIT = 0x3fff_fffe;

/** A time of utimensat, milliseconds: given, now, or what it was. */
function givenTime(k: Kernel, address: number, before: number): number {
  if (address === 0) return k.host.clock.realtime();
  const nanoseconds = k.memory.readU32(address + 8);
  if (nanoseconds === UTIME_NOW) return k.host.clock.realtime();
  return nanoseconds === UTIME_OMIT ? before : readTimespec(k, address);
}

function utimensat(k: Kernel, dirfd: number, path: number, times: number, flags: number): number {
  if (flags & ~(AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH)) return -E.EINVAL;
  const byDescriptor = path === 0;
  const file = byDescriptor ? k.fds.get(dirfd) : undefined;
  if (byDescriptor && !file) return -E.EBADF;
  if (file instanceof RegularFile) {
    if (file.grant.readonly) return -E.EROFS;
    const stat = file.stat();
    file.host.utime(
      givenTime(k, times, stat.atime),
      givenTime(k, times && times + 16, stat.mtime),
    );
    return 0;
  }
  const place = byDescriptor
    ? placeOf(k, dirfd)
    : changeable(k, dirfd, path, !(flags & AT.SYMLINK_NOFOLLOW));
  if (typeof place === "number") return place;
  if (typeOf(place.stat!) === Mode.LINK) {
    k.note("The times of a symbolic link cannot be set on this host (EOPNOTSUPP)");
    return -E.EOPNOTSUPP;
  }
  const { atime, mtime } = place.stat!;
  k.host.files!.utime(
    place.host,
    givenTime(k, times, atime),
    givenTime(k, times && times + 16, mtime),
  );
  return 0;
}

function truncate(k: Kernel, path: number, size: number): number {
  const place = changeable(k, AT_FDCWD, path, true);
  if (size < 0) return -E.EINVAL;
  if (typeof place === "number") return place;
  if (isDirectory(place.stat!)) return -E.EISDIR;
  if (typeOf(place.stat!) !== Mode.FILE) return -E.EINVAL;
  if (size > Number.MAX_SAFE_INTEGER) return -E.EFBIG;
  k.map.flush();
  k.host.files!.truncate(place.host, size);
  return 0;
}

/** The calls, by name. */
export const pathCalls: Readonly<Record<string, Handler>> = {
  openat,
  readlinkat,
  unlinkat,
  mkdirat,
  renameat: (k, oldDirfd, oldPath, newDirfd, newPath) =>
    renameat2(k, oldDirfd, oldPath, newDirfd, newPath, 0),
  renameat2,
  linkat,
  symlinkat,
  mknodat(k, dirfd, path, mode) {
    const place = creatable(k, dirfd, path);
    if (typeof place === "number") return place;
    const type = mode & Mode.TYPE;
    if (type !== 0 && type !== Mode.FILE) return -E.EPERM;
    const file = openHost(k, place, Open.WRONLY, mode)!;
    file.close();
    applyUmask(k, place.host, mode);
    return 0;
  },
  truncate,
  getcwd,
  chdir(k, path) {
    const place = existing(k, AT_FDCWD, path, true);
    if (typeof place === "number") return place;
    if (!isDirectory(place.stat!)) return -E.ENOTDIR;
    k.cwd = place.path;
    return 0;
  },
  fchdir(k, fd) {
    const file = k.fds.get(fd);
    if (!file) return -E.EBADF;
    if (!(file instanceof DirectoryFile)) return -E.ENOTDIR;
    k.cwd = file.path;
    return 0;
  },
  fchmod: (k, fd, mode) => chmod(k, placeOf(k, fd), mode),
  fchmodat: (k, dirfd, path, mode) => chmod(k, changeable(k, dirfd, path, true), mode),
  fchmodat2: (k, dirfd, path, mode, flags) =>
    chmod(k, changeable(k, dirfd, path, !(flags & AT.SYMLINK_NOFOLLOW)), mode),
  fchown: (k, fd, uid, gid) => chown(k, placeOf(k, fd), uid, gid),
  fchownat(k, dirfd, path, uid, gid, flags) {
    const place = changeable(k, dirfd, path, !(flags & AT.SYMLINK_NOFOLLOW));
    return chown(k, place, uid, gid);
  },
  utimensat,
};
