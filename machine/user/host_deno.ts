/**
 * The host that Deno is.
 *
 * @module
 */
import { E, HostError, hostError } from "./errno.ts";
import {
  type Host,
  type HostClock,
  type HostFile,
  type HostFileSystem,
  type HostInput,
  type HostOpen,
  type HostOutput,
  type HostStat,
  Mode,
} from "./host.ts";

/** Type and permission bits; hosts without them (Windows) get the usual ones. */
function modeOf(info: Deno.FileInfo): number {
  if (info.mode !== null) return info.mode;
  return info.isDirectory
    ? Mode.DIRECTORY | 0o755
    : info.isSymlink
    ? Mode.LINK | 0o777
    : Mode.FILE | 0o644;
}

function statOf(info: Deno.FileInfo): HostStat {
  const mtime = info.mtime?.getTime() ?? 0;
  return {
    dev: info.dev,
    ino: info.ino ?? 0,
    mode: modeOf(info),
    nlink: info.nlink ?? 1,
    uid: info.uid ?? 0,
    gid: info.gid ?? 0,
    rdev: info.rdev ?? 0,
    size: info.size,
    blksize: info.blksize ?? 4096,
    blocks: info.blocks ?? Math.ceil(info.size / 512),
    atime: info.atime?.getTime() ?? mtime,
    mtime,
    ctime: info.ctime?.getTime() ?? mtime,
    btime: info.birthtime?.getTime() ?? mtime,
  };
}

class DenoFile implements HostFile {
  #file: Deno.FsFile;
  #path: string;
  /** Where the host's file position stands, so that sequential access needs no seek. */
  #position = 0;

  constructor(file: Deno.FsFile, path: string) {
    this.#file = file;
    this.#path = path;
  }

  #fail(error: unknown, action: string): never {
    throw hostError(error, `${action} ${this.#path}`);
  }

  #seek(position: number): void {
    if (position === this.#position) return;
    this.#position = -1;
    this.#position = this.#file.seekSync(position, Deno.SeekMode.Start);
  }

  read(buffer: Uint8Array<ArrayBuffer>, position: number | undefined): number {
    try {
      if (position !== undefined) this.#seek(position);
      const count = this.#file.readSync(buffer) ?? 0;
      this.#position += count;
      return count;
    } catch (error) {
      return this.#fail(error, "read");
    }
  }

  write(bytes: Uint8Array<ArrayBuffer>, position: number | undefined | "end"): number {
    try {
      if (position === "end") this.#position = this.#file.seekSync(0, Deno.SeekMode.End);
      else if (position !== undefined) this.#seek(position);
      const count = this.#file.writeSync(bytes);
      this.#position += count;
      return count;
    } catch (error) {
      return this.#fail(error, "write");
    }
  }

  stat(): HostStat {
    try {
      return statOf(this.#file.statSync());
    } catch (error) {
      return this.#fail(error, "get the status of");
    }
  }

  truncate(size: number): void {
    try {
      this.#file.truncateSync(size);
    } catch (error) {
      this.#fail(error, "truncate");
    }
  }

  sync(): void {
    try {
      this.#file.syncSync();
    } catch (error) {
      this.#fail(error, "sync");
    }
  }

  utime(atime: number, mtime: number): void {
    try {
      this.#file.utimeSync(atime / 1000, mtime / 1000);
    } catch (error) {
      this.#fail(error, "set the times of");
    }
  }

  close(): void {
    this.#file.close();
  }
}

/** Runs a file operation, turning what it throws into a `HostError`. */
function run<T>(action: string, path: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    throw hostError(error, `${action} ${path}`);
  }
}

/** Names that Windows takes for something else than a file in the directory. */
const WINDOWS_RESERVED = /[\\/:*?"<>|]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

/** The host's files through `Deno.*Sync`. */
export const denoFiles: HostFileSystem = {
  join(directory, name) {
    if (Deno.build.os === "windows" && WINDOWS_RESERVED.test(name)) {
      throw new HostError(E.ENOENT, `Cannot use the name ${name} on this host`, true);
    }
    return directory.endsWith("/") ? directory + name : `${directory}/${name}`;
  },
  realPath: (path) => run("resolve", path, () => Deno.realPathSync(path)),
  lstat: (path) => run("get the status of", path, () => statOf(Deno.lstatSync(path))),
  readLink: (path) => run("read the link", path, () => Deno.readLinkSync(path)),
  readDirectory: (path) =>
    run("list", path, () => Array.from(Deno.readDirSync(path), (entry) => entry.name)),
  open: (path, how: HostOpen) =>
    run("open", path, () => {
      const { read, write, truncate, createNew, mode } = how;
      const file = Deno.openSync(path, {
        read,
        write,
        truncate,
        createNew,
        ...(createNew && Deno.build.os !== "windows" ? { mode } : {}),
      });
      return new DenoFile(file, path);
    }),
  mkdir: (path, mode) => run("make the directory", path, () => Deno.mkdirSync(path, { mode })),
  remove: (path) => run("remove", path, () => Deno.removeSync(path)),
  rename: (from, to) => run("rename", from, () => Deno.renameSync(from, to)),
  link: (from, to) => run("link", from, () => Deno.linkSync(from, to)),
  symlink: (target, path) => run("make the link", path, () => Deno.symlinkSync(target, path)),
  chmod: (path, mode) => run("change the mode of", path, () => Deno.chmodSync(path, mode)),
  chown: (path, uid, gid) => run("change the owner of", path, () => Deno.chownSync(path, uid, gid)),
  truncate: (path, size) => run("truncate", path, () => Deno.truncateSync(path, size)),
  utime: (path, atime, mtime) =>
    run("set the times of", path, () => Deno.utimeSync(path, atime / 1000, mtime / 1000)),
  space: (path) =>
    run("get the room of", path, () => {
      // Deno has this in its Node layer only, which is loaded when a guest asks.
      const stat = process.getBuiltinModule("node:fs").statfsSync(path);
      return {
        blockSize: stat.bsize,
        blocks: stat.blocks,
        free: stat.bfree,
        available: stat.bavail,
        files: stat.files,
        freeFiles: stat.ffree,
      };
    }),
};

/** setTimeout's longest delay in milliseconds; longer ones would end at once. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;
const pauseCell = new Int32Array(new SharedArrayBuffer(4));

/** The host's clocks. */
export const denoClock: HostClock = {
  realtime: () => performance.timeOrigin + performance.now(),
  monotonic: () => performance.now(),
  sleep(milliseconds) {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Math.min(Math.ceil(milliseconds), LONGEST_TIMEOUT));
    return {
      done: promise,
      cancel() {
        clearTimeout(timer);
        resolve();
      },
    };
  },
  pause(milliseconds) {
    Atomics.wait(pauseCell, 0, 0, milliseconds);
  },
};

/** crypto.getRandomValues' longest buffer in bytes. */
const RANDOM_CHUNK = 65536;

function random(bytes: Uint8Array<ArrayBuffer>): void {
  for (let i = 0; i < bytes.length; i += RANDOM_CHUNK) {
    crypto.getRandomValues(bytes.subarray(i, i + RANDOM_CHUNK));
  }
}

/** Standard input of this process. */
export const denoStdin: HostInput = {
  readSync: (buffer) => {
    try {
      return Deno.stdin.readSync(buffer);
    } catch (error) {
      throw hostError(error, "read standard input");
    }
  },
  read: async (buffer) => {
    try {
      return await Deno.stdin.read(buffer);
    } catch (error) {
      throw hostError(error, "read standard input");
    }
  },
  isTerminal: () => Deno.stdin.isTerminal(),
  setRaw: (raw) => Deno.stdin.setRaw(raw),
};

function denoOutput(stream: typeof Deno.stdout, name: string): HostOutput {
  return {
    write(bytes) {
      try {
        return stream.writeSync(bytes);
      } catch (error) {
        throw hostError(error, `write ${name}`);
      }
    },
    isTerminal: () => stream.isTerminal(),
  };
}

/** Whether Deno would tell a process-wide identity without asking. */
function allowed(kind: "uid" | "gid"): boolean {
  return Deno.permissions.querySync({ name: "sys", kind }).state === "granted";
}

/**
 * The host of a machine that uses this process' standard streams, clocks and files.
 *
 * @param overrides Parts to replace, such as `{ stdin: inputFromBytes(bytes) }`.
 */
export function denoHost(overrides: Partial<Host> = {}): Host {
  const ids: Partial<Host> = {};
  if (Deno.build.os !== "windows") {
    const uid = allowed("uid") ? Deno.uid() : null, gid = allowed("gid") ? Deno.gid() : null;
    if (uid !== null) ids.uid = uid;
    if (gid !== null) ids.gid = gid;
  }
  return {
    stdin: denoStdin,
    stdout: denoOutput(Deno.stdout, "standard output"),
    stderr: denoOutput(Deno.stderr, "standard error"),
    clock: denoClock,
    random,
    files: denoFiles,
    terminalSize() {
      if (!Deno.stdout.isTerminal() && !Deno.stderr.isTerminal() && !Deno.stdin.isTerminal()) {
        return undefined;
      }
      return Deno.consoleSize();
    },
    pid: Deno.pid,
    ...ids,
    ...overrides,
  };
}
