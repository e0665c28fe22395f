/**
 * System calls that ask what a file is: the stat family, access, statfs.
 *
 * @module
 */
import { AT, AT_FDCWD, existing, locate } from "./at.ts";
import { E } from "./errno.ts";
import { RegularFile } from "./files.ts";
import { newStruct, readPath, setLong } from "./guest_memory.ts";
import { type HostStat, Mode } from "./host.ts";
import type { Handler, Kernel } from "./kernel.ts";
import { isDirectory, type Place } from "./paths.ts";

/** The status that stat-like calls ask for, or a negated error number. */
function statAt(k: Kernel, dirfd: number, address: number, flags: number): HostStat | number {
  const path = readPath(k, address);
  if (typeof path === "number") return path;
  if (path === "" && flags & AT.EMPTY_PATH) {
    if (dirfd === AT_FDCWD) {
      const here = k.names.walk("/", k.cwd, false);
      return typeof here === "number" ? here : here.stat ?? -E.ENOENT;
    }
    return statOf(k, dirfd);
  }
  const place = existing(k, dirfd, address, !(flags & AT.SYMLINK_NOFOLLOW));
  if (typeof place === "number") return place;
  const { file } = place;
  if (file?.descriptor !== undefined && !(flags & AT.SYMLINK_NOFOLLOW)) {
    return statOf(k, file.descriptor);
  }
  return place.stat!;
}

function statOf(k: Kernel, fd: number): HostStat | number {
  const file = k.fds.get(fd);
  if (!file) return -E.EBADF;
  if (file instanceof RegularFile) k.map.flush(file.key);
  return file.stat();
}

function setTime(k: Kernel, view: DataView, offset: number, time: number): void {
  const seconds = Math.floor(time / 1000);
  setLong(k, view, offset, seconds);
  setLong(k, view, offset + k.word, Math.floor((time - seconds * 1000) * 1e6));
}

function writeStat(k: Kernel, address: number, stat: HostStat | number): number {
  if (typeof stat === "number") return stat;
  const layout = k.abi.stat;
  const view = newStruct(k, address, layout.size);
  view.setBigUint64(layout.dev, BigInt(stat.dev), true);
  setLong(k, view, layout.ino, stat.ino);
  view.setUint32(layout.mode, stat.mode, true);
  if (layout.nlinkBytes === 8) view.setBigUint64(layout.nlink, BigInt(stat.nlink), true);
  else view.setUint32(layout.nlink, stat.nlink, true);
  view.setUint32(layout.uid, stat.uid, true);
  view.setUint32(layout.gid, stat.gid, true);
  view.setBigUint64(layout.rdev, BigInt(stat.rdev), true);
  view.setBigInt64(layout.bytes, BigInt(stat.size), true);
  view.setUint32(layout.blksize, stat.blksize, true);
  view.setBigInt64(layout.blocks, BigInt(stat.blocks), true);
  setTime(k, view, layout.atime, stat.atime);
  setTime(k, view, layout.mtime, stat.mtime);
  setTime(k, view, layout.ctime, stat.ctime);
  return 0;
}

/** major(3) and minor(3) of a device number as the kernel packs it for user space. */
const major = (device: number): number => Math.floor(device / 256) & 0xfff;
const minor = (device: number): number => (device & 0xff) | (Math.floor(device / 4096) & 0xfff00);
/** STATX_BASIC_STATS | STATX_BTIME */
const STATX_MASK = 0xfff;

/** `struct statx` is the same everywhere (include/uapi/linux/stat.h). */
function statx(
  k: Kernel,
  dirfd: number,
  path: number,
  flags: number,
  mask: number,
  buffer: number,
): number {
  const known = AT.SYMLINK_NOFOLLOW | AT.NO_AUTOMOUNT | AT.EMPTY_PATH | AT.STATX_SYNC;
  if (flags & ~known || (flags & AT.STATX_SYNC) === AT.STATX_SYNC || mask < 0) return -E.EINVAL;
  const stat = statAt(k, dirfd, path, flags);
  if (typeof stat === "number") return stat;
  const view = newStruct(k, buffer, 256);
  view.setUint32(0, STATX_MASK, true);
  view.setUint32(4, stat.blksize, true);
  view.setUint32(16, stat.nlink, true);
  view.setUint32(20, stat.uid, true);
  view.setUint32(24, stat.gid, true);
  view.setUint16(28, stat.mode, true);
  view.setBigUint64(32, BigInt(stat.ino), true);
  view.setBigUint64(40, BigInt(stat.size), true);
  view.setBigUint64(48, BigInt(stat.blocks), true);
  [stat.atime, stat.btime, stat.ctime, stat.mtime].forEach((time, i) => {
    const seconds = Math.floor(time / 1000);
    view.setBigInt64(64 + i * 16, BigInt(seconds), true);
    view.setUint32(72 + i * 16, Math.floor((time - seconds * 1000) * 1e6), true);
  });
  view.setUint32(128, major(stat.rdev), true);
  view.setUint32(132, minor(stat.rdev), true);
  view.setUint32(136, major(stat.dev), true);
  view.setUint32(140, minor(stat.dev), true);
  return 0;
}

/** access(2) for a status: who the guest is on the host decides, or any class of users if the host doesn't tell. */
function accessible(k: Kernel, stat: HostStat, mode: number): boolean {
  const bits = stat.mode & 0o777;
  const any = (bits | bits >> 3 | bits >> 6) & 7;
  const { uid, gid } = k.host;
  let granted: number;
  if (uid === undefined) granted = any;
  else if (uid === 0) granted = 6 | (any & 1) | (isDirectory(stat) ? 1 : 0);
  else granted = (stat.uid === uid ? bits >> 6 : stat.gid === gid ? bits >> 3 : bits) & 7;
  return (mode & ~granted) === 0;
}

function faccessat(k: Kernel, dirfd: number, path: number, mode: number, flags: number): number {
  if (mode & ~7 || flags & ~(AT.SYMLINK_NOFOLLOW | AT.EACCESS | AT.EMPTY_PATH)) return -E.EINVAL;
  const stat = statAt(k, dirfd, path, flags);
  if (typeof stat === "number") return stat;
  if (mode & 2) {
    const place = locate(k, dirfd, path, !(flags & AT.SYMLINK_NOFOLLOW));
    if (typeof place !== "number") {
      const fixed = place.kind === "synthetic" || place.grant?.readonly;
      if (fixed && (stat.mode & Mode.TYPE) !== Mode.CHAR) return -E.EROFS;
    }
  }
  return accessible(k, stat, mode) ? 0 : -E.EACCES;
}

/** EXT2_SUPER_MAGIC for granted directories, TMPFS_MAGIC for the machine's own. */
const MAGIC = { host: 0xef53, virtual: 0x0102_1994 } as const;
const ST_RDONLY = 1;

function statfs(k: Kernel, place: Place | number, buffer: number): number {
  if (typeof place === "number") return place;
  const layout = k.abi.statfs;
  const view = newStruct(k, buffer, layout.size);
  const space = place.kind === "host" ? k.host.files!.space?.(place.host) : undefined;
  setLong(k, view, 0, place.kind === "host" ? MAGIC.host : MAGIC.virtual);
  setLong(k, view, layout.bsize, space?.blockSize ?? 4096);
  setLong(k, view, layout.frsize, space?.blockSize ?? 4096);
  [space?.blocks, space?.free, space?.available, space?.files, space?.freeFiles].forEach(
    (value, i) => view.setBigUint64(layout.blocks + i * 8, BigInt(value ?? 0), true),
  );
  setLong(k, view, layout.namelen, 255);
  setLong(k, view, layout.flags, !place.grant || place.grant.readonly ? ST_RDONLY : 0);
  return 0;
}

function placeOfFile(k: Kernel, fd: number): Place | number {
  const file = k.fds.get(fd);
  if (!file) return -E.EBADF;
  const place = k.names.walk("/", file.path.startsWith("/") ? file.path : "/", false);
  return typeof place === "number" || place.stat ? place : -E.ENOENT;
}

/** The calls, by name. */
export const statCalls: Readonly<Record<string, Handler>> = {
  newfstatat(k, dirfd, path, buffer, flags) {
    if (flags & ~(AT.SYMLINK_NOFOLLOW | AT.NO_AUTOMOUNT | AT.EMPTY_PATH)) return -E.EINVAL;
    return writeStat(k, buffer, statAt(k, dirfd, path, flags));
  },
  fstat: (k, fd, buffer) => writeStat(k, buffer, statOf(k, fd)),
  statx,
  faccessat: (k, dirfd, path, mode) => faccessat(k, dirfd, path, mode, 0),
  faccessat2: faccessat,
  statfs: (k, path, buffer) => statfs(k, existing(k, AT_FDCWD, path, true), buffer),
  fstatfs: (k, fd, buffer) => statfs(k, placeOfFile(k, fd), buffer),
  statfs64(k, path, size, buffer) {
    if (size !== k.abi.statfs.size) return -E.EINVAL;
    return statfs(k, existing(k, AT_FDCWD, path, true), buffer);
  },
  fstatfs64(k, fd, size, buffer) {
    return size === k.abi.statfs.size ? statfs(k, placeOfFile(k, fd), buffer) : -E.EINVAL;
  },
};
