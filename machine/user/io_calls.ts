/**
 * System calls on descriptors.
 *
 * @module
 */
import { E } from "./errno.ts";
import { DirectoryFile, Open, type OpenFile, RegularFile, type Result } from "./files.ts";
import { destination, MAX_TRANSFER, newStruct, readVectors, source, utf8 } from "./guest_memory.ts";
import type { Handler, Kernel } from "./kernel.ts";
import { Pipe, PIPE_SIZE, PipeFile } from "./pipes.ts";
import { isDirectory } from "./paths.ts";

/** Bytes that a transfer to several buffers moves at once through a stream. */
const STREAM_CHUNK = 1 << 20;
/** Largest file position. */
const MAX_POSITION = Number.MAX_SAFE_INTEGER;

function after(result: Result, then: (count: number) => number): Result {
  return typeof result === "number" ? then(result) : result.then(then);
}

/** Reads from an open file, in step with shared mappings of it. */
function readFile(
  k: Kernel,
  file: OpenFile,
  buffer: Uint8Array<ArrayBuffer>,
  position: number | undefined,
): Result {
  if (k.map.hasShared && file instanceof RegularFile) k.map.flush(file.key);
  return file.read(buffer, position, k);
}

/** Writes to an open file, in step with shared mappings of it. */
function writeFile(
  k: Kernel,
  file: OpenFile,
  bytes: Uint8Array<ArrayBuffer>,
  position: number | undefined,
): Result {
  if (!k.map.hasShared || !(file instanceof RegularFile) || !file.seekable) {
    return file.write(bytes, position, k);
  }
  k.map.flush(file.key);
  const count = file.write(bytes, position);
  const start = file.flags & Open.APPEND ? file.stat().size - count : position!;
  k.map.wrote(file, start, bytes.subarray(0, count));
  return count;
}

type Transfer = typeof readFile;

/** Moves data between a file and one buffer, at the file's own position if `position` is undefined. */
function transfer(
  k: Kernel,
  file: OpenFile,
  buffer: Uint8Array<ArrayBuffer>,
  position: number | undefined,
  move: Transfer,
): Result {
  if (position !== undefined) return move(k, file, buffer, position);
  if (!file.seekable) return move(k, file, buffer, undefined);
  return after(move(k, file, buffer, file.position), (count) => {
    if (count <= 0) return count;
    file.position += count;
    if (move === writeFile && file.flags & Open.APPEND) file.position = file.stat().size;
    return count;
  });
}

function checkRead(k: Kernel, fd: number): OpenFile | number {
  const file = k.fds.get(fd);
  return file?.readable ? file : -E.EBADF;
}

function checkWrite(k: Kernel, fd: number): OpenFile | number {
  const file = k.fds.get(fd);
  return file?.writable ? file : -E.EBADF;
}

/** A position of pread and friends: undefined is an error. */
function checkPosition(file: OpenFile, position: number): number {
  if (!file.seekable) return file instanceof DirectoryFile ? -E.EISDIR : -E.ESPIPE;
  return position < 0 || position > MAX_POSITION ? -E.EINVAL : 0;
}

function readAt(k: Kernel, fd: number, address: number, size: number, position?: number): Result {
  const file = checkRead(k, fd);
  if (typeof file === "number") return file;
  if (position !== undefined) {
    const error = checkPosition(file, position);
    if (error) return error;
  }
  return transfer(k, file, destination(k, address, size), position, readFile);
}

function writeAt(k: Kernel, fd: number, address: number, size: number, position?: number): Result {
  const file = checkWrite(k, fd);
  if (typeof file === "number") return file;
  if (position !== undefined) {
    const error = checkPosition(file, position);
    if (error) return error;
  }
  return transfer(k, file, source(k, address, size), position, writeFile);
}

/** Moves data between a seekable file and buffers, one after the other, until one is not filled. */
function eachVector(
  k: Kernel,
  file: OpenFile,
  vectors: [number, number][],
  position: number | undefined,
  move: Transfer,
): Result {
  const view = move === readFile ? destination : source;
  const from = (index: number, total: number): Result => {
    for (let i = index, done = total; i < vectors.length; i++) {
      const [address, length] = vectors[i];
      // An unreachable buffer ends a transfer that has begun, and fails one that has not.
      const reachable = move === readFile
        ? k.memory.isWritable(address, 1)
        : k.memory.isReadable(address, 1);
      if (!reachable && done > 0) return done;
      const at = position === undefined ? undefined : position + done;
      const count = transfer(k, file, view(k, address, length), at, move);
      if (typeof count !== "number") {
        const before = done;
        return count.then((n) => {
          if (n < 0) return before > 0 ? before : n;
          return n < length ? before + n : from(i + 1, before + n);
        });
      }
      if (count < 0) return done > 0 ? done : count;
      done += count;
      if (count < length || i === vectors.length - 1) return done;
    }
    return total;
  };
  return from(0, 0);
}

function readVector(
  k: Kernel,
  fd: number,
  address: number,
  count: number,
  position?: number,
): Result {
  const file = checkRead(k, fd);
  if (typeof file === "number") return file;
  if (position !== undefined) {
    const error = checkPosition(file, position);
    if (error) return error;
  }
  const vectors = readVectors(k, address, count);
  if (file.seekable) return eachVector(k, file, vectors, position, readFile);
  // A stream is read once: a second read might wait though there is data already.
  const total = vectors.reduce((sum, [, length]) => sum + length, 0);
  const buffer = new Uint8Array(Math.min(total, STREAM_CHUNK));
  return after(file.read(buffer, undefined, k), (got) => {
    let done = 0;
    for (const [base, length] of vectors) {
      if (done >= got) break;
      const part = destination(k, base, Math.min(length, got - done));
      part.set(buffer.subarray(done, done + part.length));
      done += part.length;
    }
    return got;
  });
}

function writeVector(
  k: Kernel,
  fd: number,
  address: number,
  count: number,
  position?: number,
): Result {
  const file = checkWrite(k, fd);
  if (typeof file === "number") return file;
  if (position !== undefined) {
    const error = checkPosition(file, position);
    if (error) return error;
  }
  const vectors = readVectors(k, address, count);
  if (file.seekable) return eachVector(k, file, vectors, position, writeFile);
  if (vectors.length === 1) return file.write(source(k, ...vectors[0]), undefined, k);
  // To a stream the buffers go as one, so that lines arrive whole.
  const total = vectors.reduce((sum, [, length]) => sum + length, 0);
  const bytes = new Uint8Array(Math.min(total, STREAM_CHUNK));
  let done = 0;
  for (const [base, length] of vectors) {
    const part = source(k, base, Math.min(length, bytes.length - done));
    bytes.set(part, done);
    done += part.length;
  }
  return file.write(bytes.subarray(0, done), undefined, k);
}

/** RWF_* flags that change nothing here: HIPRI, DSYNC, SYNC, NOWAIT. */
const RWF_IGNORED = 1 | 2 | 4 | 8;

/** preadv2 and pwritev2: an offset of -1 is the file's own position. */
function flagged(
  call: typeof readVector,
): Handler {
  return (k, fd, address, count, position, flags) =>
    flags & ~RWF_IGNORED
      ? -E.EOPNOTSUPP
      : call(k, fd, address, count, position === -1 ? undefined : position);
}

function lseek(k: Kernel, fd: number, offset: number, whence: number): number {
  const file = k.fds.get(fd);
  if (!file) return -E.EBADF;
  if (file instanceof DirectoryFile) {
    const target = whence === 0 ? offset : whence === 1 ? file.position + offset : -1;
    if (target < 0 || target > MAX_POSITION) return -E.EINVAL;
    if (target === 0) file.entries = undefined;
    return file.position = target;
  }
  if (!file.seekable) return -E.ESPIPE;
  let target: number;
  if (whence === 0) target = offset;
  else if (whence === 1) target = file.position + offset;
  else if (whence === 2) target = file.stat().size + offset;
  else if (whence === 3 || whence === 4) {
    // As on a file system without holes: data up to the end.
    const { size } = file.stat();
    if (offset < 0 || offset >= size) return -E.ENXIO;
    target = whence === 3 ? offset : size;
  } else return -E.EINVAL;
  if (!(target >= 0 && target <= MAX_POSITION)) return -E.EINVAL;
  return file.position = target;
}

const F = {
  DUPFD: 0,
  GETFD: 1,
  SETFD: 2,
  GETFL: 3,
  SETFL: 4,
  GETLK: 5,
  SETLK: 6,
  SETLKW: 7,
  SETOWN: 8,
  GETOWN: 9,
  GETLK64: 12,
  SETLK64: 13,
  SETLKW64: 14,
  DUPFD_CLOEXEC: 1030,
  SETPIPE_SZ: 1031,
  GETPIPE_SZ: 1032,
} as const;
const F_UNLCK = 2;
const O_ASYNC = 0o20000;
const O_NOATIME = 0o1000000;

function fcntl(k: Kernel, fd: number, command: number, argument: number): number {
  const file = k.fds.get(fd);
  if (!file) return -E.EBADF;
  switch (command) {
    case F.DUPFD:
    case F.DUPFD_CLOEXEC: {
      // A negative number comes as a huge one.
      if (argument >= k.fds.limit) return -E.EINVAL;
      return k.fds.add(file, command === F.DUPFD_CLOEXEC, argument);
    }
    case F.GETFD:
      return k.fds.cloexec(fd) ? 1 : 0;
    case F.SETFD:
      k.fds.setCloexec(fd, (argument & 1) !== 0);
      return 0;
    case F.GETFL:
      return file.flags;
    case F.SETFL: {
      const settable = Open.APPEND | Open.NONBLOCK | O_ASYNC | O_NOATIME | k.abi.openFlags.DIRECT;
      file.flags = (file.flags & ~settable) | (argument & settable);
      return 0;
    }
    case F.GETLK:
    case F.GETLK64:
      // Nobody else holds locks.
      k.memory.writeU16(argument, F_UNLCK);
      return 0;
    case F.SETLK:
    case F.SETLKW:
    case F.SETLK64:
    case F.SETLKW64:
      k.memory.readU16(argument);
      return 0;
    case F.SETOWN:
    case F.GETOWN:
      return 0;
    case F.SETPIPE_SZ:
    case F.GETPIPE_SZ:
      return file instanceof PipeFile ? PIPE_SIZE : -E.EBADF;
    default:
      return -E.EINVAL;
  }
}

function dup3(k: Kernel, from: number, to: number, flags: number): number {
  const file = k.fds.get(from);
  if (from === to || flags & ~Open.CLOEXEC) return -E.EINVAL;
  if (!file || to < 0 || to >= k.fds.limit) return -E.EBADF;
  k.fds.set(to, file, (flags & Open.CLOEXEC) !== 0);
  return to;
}

function closeRange(k: Kernel, first: number, last: number, flags: number): number {
  const from = first >>> 0, to = last >>> 0;
  if (from > to || flags & ~6) return -E.EINVAL;
  for (const [fd] of k.fds.open()) {
    if (fd < from || fd > to) continue;
    // CLOSE_RANGE_CLOEXEC
    if (flags & 4) k.fds.setCloexec(fd, true);
    else k.fds.close(fd);
  }
  return 0;
}

function pipe2(k: Kernel, address: number, flags: number): number {
  if (flags & ~(Open.CLOEXEC | Open.NONBLOCK | k.abi.openFlags.DIRECT)) return -E.EINVAL;
  const view = newStruct(k, address, 8);
  const pipe = new Pipe(++k.pipes);
  const status = flags & Open.NONBLOCK, cloexec = (flags & Open.CLOEXEC) !== 0;
  const reader = k.fds.add(new PipeFile(pipe, Open.RDONLY | status), cloexec);
  if (reader < 0) return reader;
  const writer = k.fds.add(new PipeFile(pipe, Open.WRONLY | status), cloexec);
  if (writer < 0) {
    k.fds.close(reader);
    return writer;
  }
  view.setInt32(0, reader, true);
  view.setInt32(4, writer, true);
  return 0;
}

function getdents64(k: Kernel, fd: number, address: number, size: number): number {
  const file = k.fds.get(fd);
  if (!file) return -E.EBADF;
  if (!(file instanceof DirectoryFile)) return -E.ENOTDIR;
  if (!file.readable) return -E.EBADF;
  const directory = k.names.directory(file.path);
  if (typeof directory === "number") return directory;
  file.entries ??= [".", "..", ...directory.names()];
  const buffer = destination(k, address, size);
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  let used = 0;
  for (; file.position < file.entries.length; file.position++) {
    const name = file.entries[file.position];
    const stat = directory.stat(name);
    // Removed since the names were read.
    if (!stat) continue;
    const bytes = utf8(name);
    const length = Math.ceil((19 + bytes.length + 1) / 8) * 8;
    if (used + length > buffer.length) return used === 0 ? -E.EINVAL : used;
    view.setBigUint64(used, BigInt(stat.ino), true);
    view.setBigInt64(used + 8, BigInt(file.position + 1), true);
    view.setUint16(used + 16, length, true);
    view.setUint8(used + 18, (stat.mode >> 12) & 15);
    buffer.fill(0, used + 19, used + length);
    buffer.set(bytes, used + 19);
    used += length;
  }
  return used;
}

function ftruncate(k: Kernel, fd: number, size: number): number {
  const file = k.fds.get(fd);
  if (!file) return -E.EBADF;
  if (size < 0 || !file.writable) return -E.EINVAL;
  if (size > MAX_POSITION) return -E.EFBIG;
  if (file instanceof RegularFile) k.map.flush(file.key);
  return file.truncate(size);
}

function fallocate(k: Kernel, fd: number, mode: number, offset: number, size: number): number {
  const file = checkWrite(k, fd);
  if (typeof file === "number") return file;
  if (offset < 0 || size <= 0) return -E.EINVAL;
  if (!(file instanceof RegularFile) || !file.seekable) return -E.ENODEV;
  if (mode & ~1) return -E.EOPNOTSUPP;
  if (offset + size > MAX_POSITION) return -E.EFBIG;
  // FALLOC_FL_KEEP_SIZE (1) only reserves.
  if (mode === 0 && file.stat().size < offset + size) return file.truncate(offset + size);
  return 0;
}

function fsync(k: Kernel, fd: number): number {
  const file = k.fds.get(fd);
  if (!file || file.flags & Open.PATH) return -E.EBADF;
  if (file instanceof RegularFile) k.map.flush(file.key);
  return file.sync();
}

/** Only checks its arguments: advice, locks and the like need no more here. */
function checked(k: Kernel, fd: number): number {
  return k.fds.get(fd) ? 0 : -E.EBADF;
}

/** sendfile(2): the data passes through a buffer, in one go or until the target takes no more. */
function sendfile(k: Kernel, out: number, from: number, offsetAt: number, count: number): Result {
  const target = checkWrite(k, out), origin = checkRead(k, from);
  if (typeof target === "number") return target;
  if (typeof origin === "number") return origin;
  if (!origin.seekable || isDirectory(origin.stat())) return -E.EINVAL;
  if (target.flags & Open.APPEND) return -E.EINVAL;
  const start = offsetAt === 0 ? origin.position : Number(k.memory.readU64(offsetAt));
  if (!(start >= 0 && start <= MAX_POSITION)) return -E.EINVAL;
  const buffer = new Uint8Array(Math.min(count, STREAM_CHUNK, MAX_TRANSFER));
  const got = readFile(k, origin, buffer, start);
  if (typeof got !== "number" || got <= 0) return got;
  return after(transfer(k, target, buffer.subarray(0, got), undefined, writeFile), (sent) => {
    if (sent <= 0) return sent;
    if (offsetAt === 0) origin.position = start + sent;
    else k.memory.writeU64(offsetAt, BigInt(start + sent));
    return sent;
  });
}

/** The calls, by name. */
export const ioCalls: Readonly<Record<string, Handler>> = {
  read: (k, fd, address, size) => readAt(k, fd, address, size),
  write: (k, fd, address, size) => writeAt(k, fd, address, size),
  pread64: readAt,
  pwrite64: writeAt,
  readv: (k, fd, address, count) => readVector(k, fd, address, count),
  writev: (k, fd, address, count) => writeVector(k, fd, address, count),
  preadv: readVector,
  pwritev: writeVector,
  preadv2: flagged(readVector),
  pwritev2: flagged(writeVector),
  lseek,
  llseek(k, fd, high, low, result, whence) {
    const offset = (high | 0) * 2 ** 32 + (low >>> 0);
    const position = lseek(k, fd, offset, whence);
    if (position < 0) return position;
    k.memory.writeU64(result, BigInt(position));
    return 0;
  },
  close: (k, fd) => k.fds.close(fd) ? 0 : -E.EBADF,
  close_range: closeRange,
  dup(k, fd) {
    const file = k.fds.get(fd);
    return file ? k.fds.add(file) : -E.EBADF;
  },
  dup3,
  fcntl,
  flock: (k, fd) => checked(k, fd),
  fadvise64: (k, fd) => checked(k, fd),
  readahead: (k, fd) => checked(k, fd),
  pipe2,
  getdents64,
  ftruncate,
  fallocate,
  fsync,
  fdatasync: fsync,
  sync_file_range: fsync,
  syncfs(k, fd) {
    k.map.flush();
    return checked(k, fd);
  },
  sync(k) {
    k.map.flush();
    return 0;
  },
  sendfile,
};
