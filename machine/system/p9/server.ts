/**
 * A server of the file protocol 9P2000.L for one host directory.
 *
 * Names are walked by user mode's {@linkcode Namespace}, which never lets the host follow a link: neither ".." nor a
 * symbolic link leads out of the directory. Everything in a request is the guest's: what makes no sense is an error
 * number. Files belong to the host's user; set-user-ID bits are never set.
 *
 * Source: see message.ts.
 *
 * @module
 */
import { E, HostError } from "../../user/errno.ts";
import { type HostFile, type HostFileSystem, type HostStat, Mode } from "../../user/host.ts";
import { isDirectory, Namespace, type Place } from "../../user/paths.ts";
import type { State, StateReader } from "../state.ts";
import { readFids, type SavedFid, saveFids } from "./fids.ts";
import { HEADER, MessageReader, MessageWriter, QID, Type } from "./message.ts";

/** Largest message: what Linux asks for at most. */
export const MAX_MESSAGE = 512 << 10;
const MIN_MESSAGE = 4096;
/** Most files that a guest may know, and have open. */
export const MAX_FIDS = 16384, MAX_OPEN = 512;
/** Most names in one walk. */
const MAX_NAMES = 16;
const VERSION = "9P2000.L";

/** Flags of an open, as Linux has them for every architecture in this protocol. */
const Open = { ACCESS: 3, WRITE: 1, READ_WRITE: 2, EXCL: 0o200, TRUNC: 0o1000, APPEND: 0o2000 };
const isWrite = (flags: number) => (flags & (Open.ACCESS | Open.TRUNC)) !== 0;
const REMOVE_DIRECTORY = 0x200;
/** What an attribute request gets: everything that stat(2) knows. */
const BASIC = 0x7ff;
const Set = {
  MODE: 1,
  UID: 2,
  GID: 4,
  SIZE: 8,
  ATIME: 16,
  MTIME: 32,
  ATIME_SET: 128,
  MTIME_SET: 256,
};
/** Permission bits that a guest may set. */
const MODE_BITS = 0o1777;
/** Magic number of the file system (V9FS_MAGIC), unlocked (F_UNLCK), longest name. */
const MAGIC = 0x01021997, UNLOCKED = 2, NAME_MAX = 255;

/** What a guest's number stands for. */
interface Fid extends SavedFid {
  file?: HostFile;
  /** It was open when the machine was saved, and can't be opened any more. */
  stale?: boolean;
}

const fail = (errno: number, what: string): never => {
  throw new HostError(errno, what);
};

/** A server and what its client has open. */
export class P9Server {
  readonly #files: HostFileSystem;
  readonly #names: Namespace;
  readonly #root: string;
  readonly #readonly: boolean;
  readonly #note: (message: string) => void;
  readonly #fids = new Map<number, Fid>();
  #openFiles = 0;
  #messageSize = MAX_MESSAGE;

  /**
   * @param note Gets what an error number alone would not tell, such as a missing permission.
   * @throws {HostError} If the directory does not exist.
   */
  constructor(
    files: HostFileSystem,
    directory: string,
    readonly: boolean,
    note: (message: string) => void,
  ) {
    this.#files = files;
    this.#root = files.realPath(directory);
    this.#names = new Namespace(files, [{ host: directory, guest: "/", readonly }]);
    this.#readonly = readonly;
    this.#note = note;
  }

  /** Number of files that the client has open. */
  get openFiles(): number {
    return this.#openFiles;
  }

  /** Forgets the client. */
  reset(): void {
    for (const fid of this.#fids.values()) this.#close(fid);
    this.#fids.clear();
    this.#messageSize = MAX_MESSAGE;
  }

  /** What the client knows and has open. */
  save(): State {
    return { messageSize: this.#messageSize, fids: saveFids(this.#fids) };
  }

  /** Takes over what {@linkcode save} gave. Files are opened by their paths; one that can't be is stale. */
  restore(state: StateReader): void {
    this.reset();
    this.#messageSize = state.at("messageSize").number(MIN_MESSAGE, MAX_MESSAGE);
    for (const [number, saved] of readFids(state.at("fids"), MAX_FIDS)) {
      const fid: Fid = saved, { flags } = saved;
      this.#fids.set(number, fid);
      if (flags === undefined) continue;
      try {
        this.#openFile(fid, this.#place(fid), flags & ~Open.TRUNC);
      } catch (error) {
        if (!(error instanceof HostError)) throw error;
        this.#note(
          `share: ${fid.path}, which the guest had open, can't be opened: ${error.message}`,
        );
        fid.stale = true;
      }
    }
  }

  /** Answers a request; undefined if it is too short to be one. */
  answer(request: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    if (request.length < HEADER) return undefined;
    const view = new DataView(request.buffer, request.byteOffset, request.length);
    const size = view.getUint32(0, true), type = view.getUint8(4), tag = view.getUint16(5, true);
    try {
      if (size < HEADER || size > request.length || size > this.#messageSize) {
        fail(E.EPROTO, "Cannot take a 9P request: its size is wrong");
      }
      const out = new MessageWriter();
      this.#serve(type, new MessageReader(request.subarray(HEADER, size)), out);
      return out.finish(type + 1, tag);
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      if (error.notable) this.#note(error.message);
      return new MessageWriter().u32(error.errno).finish(Type.ERROR + 1, tag);
    }
  }

  #serve(type: number, request: MessageReader, out: MessageWriter): unknown {
    switch (type) {
      case Type.VERSION:
        return this.#version(request, out);
      case Type.ATTACH:
        return this.#attach(request, out);
      case Type.FLUSH:
        // Every request has its answer before the next one is looked at.
        return;
      case Type.WALK:
        return this.#walk(request, out);
      case Type.LOPEN:
        return this.#lopen(request, out);
      case Type.LCREATE:
        return this.#lcreate(request, out);
      case Type.READ:
        return this.#read(request, out);
      case Type.WRITE:
        return this.#write(request, out);
      case Type.CLUNK:
        return this.#clunk(request.u32());
      case Type.READDIR:
        return this.#readdir(request, out);
      case Type.GETATTR:
        return this.#getattr(request, out);
      case Type.SETATTR:
        return this.#setattr(request);
      case Type.STATFS:
        return this.#statfs(request, out);
      case Type.FSYNC:
        return this.#fid(request.u32()).file?.sync();
      case Type.LOCK:
        // There is nobody else who could hold a lock: success.
        this.#fid(request.u32());
        return out.u8(0);
      case Type.GETLOCK: {
        this.#fid(request.u32());
        request.u8();
        const start = request.u64(), length = request.u64(), process = request.u32();
        return out.u8(UNLOCKED).u64(start).u64(length).u32(process).text(request.text());
      }
      default:
        return this.#change(type, request, out);
    }
  }

  /** Requests that change directories. */
  #change(type: number, request: MessageReader, out: MessageWriter): unknown {
    switch (type) {
      case Type.READLINK:
        return out.text(this.#files.readLink(this.#place(this.#fid(request.u32())).host));
      case Type.MKDIR: {
        const place = this.#creatable(request), mode = request.u32() & MODE_BITS;
        this.#files.mkdir(place.host, mode);
        return this.#made(place, mode, out);
      }
      case Type.MKNOD: {
        const place = this.#creatable(request), mode = request.u32();
        if ((mode & Mode.TYPE) !== Mode.FILE) fail(E.EPERM, "Cannot make a device in a share");
        const how = { read: false, write: true, truncate: false, createNew: true };
        this.#files.open(place.host, { ...how, mode: mode & MODE_BITS }).close();
        return this.#made(place, mode & MODE_BITS, out);
      }
      case Type.SYMLINK: {
        const place = this.#creatable(request);
        this.#files.symlink(request.text(), place.host);
        return out.qid(this.#files.lstat(place.host));
      }
      case Type.LINK: {
        const place = this.#creatable(request, (directory) => {
          const from = this.#place(this.#fid(request.u32()));
          return { directory, from };
        });
        return this.#files.link(place.from!.host, place.host);
      }
      case Type.RENAME: {
        const fid = this.#fid(request.u32()), directory = this.#fid(request.u32());
        return this.#rename(fid.path, this.#child(directory, request.text()));
      }
      case Type.RENAMEAT: {
        const from = this.#child(this.#fid(request.u32()), request.text());
        return this.#rename(from, this.#child(this.#fid(request.u32()), request.text()));
      }
      case Type.UNLINKAT: {
        const path = this.#child(this.#fid(request.u32()), request.text());
        return this.#remove(path, (request.u32() & REMOVE_DIRECTORY) !== 0);
      }
      case Type.REMOVE: {
        const number = request.u32(), fid = this.#known(number);
        // The number is gone, whether the file is or not.
        this.#clunk(number);
        if (fid.stale) return fail(E.ESTALE, "Cannot remove a file: it is not there any more");
        return this.#remove(fid.path, undefined);
      }
      default:
        return fail(E.EOPNOTSUPP, `Cannot serve the 9P request ${type}`);
    }
  }

  #known(number: number): Fid {
    return this.#fids.get(number) ?? fail(E.EBADF, "Cannot find a fid");
  }

  #fid(number: number): Fid {
    const fid = this.#known(number);
    return fid.stale ? fail(E.ESTALE, "Cannot use a file: it is not there any more") : fid;
  }

  #use(number: number, fid: Fid): void {
    if (this.#fids.has(number)) fail(E.EINVAL, "Cannot use a fid twice");
    if (this.#fids.size >= MAX_FIDS) fail(E.ENFILE, "Cannot take more fids");
    this.#fids.set(number, fid);
  }

  #close(fid: Fid): void {
    if (!fid.file) return;
    fid.file.close();
    delete fid.file;
    this.#openFiles--;
  }

  #clunk(number: number): void {
    this.#close(this.#known(number));
    this.#fids.delete(number);
  }

  /** What is at a path, which must exist. */
  #at(path: string): Place {
    const place = this.#names.walk("/", path, false);
    if (typeof place === "number") return fail(-place, `Cannot find ${path}`);
    if (place.kind !== "host") return fail(E.ENOENT, `Cannot find ${path}`);
    return place;
  }

  #place({ path }: Fid): Place {
    return this.#at(path);
  }

  /** Path of a name in a directory. */
  #child({ path }: Fid, name: string): string {
    if (name === "" || name.includes("/") || name === "." || name === "..") {
      fail(E.EINVAL, `Cannot use the name ${JSON.stringify(name)}`);
    }
    if (new TextEncoder().encode(name).length > NAME_MAX) fail(E.ENAMETOOLONG, "Cannot use a name");
    return path === "/" ? `/${name}` : `${path}/${name}`;
  }

  #changeable(): void {
    if (this.#readonly) fail(E.EROFS, "Cannot change a share that is read-only");
  }

  /** Where something is to be made: nothing is there, but a directory for it. */
  #missing(path: string): Place {
    this.#changeable();
    const place = this.#names.walk("/", path, false);
    if (typeof place === "number") return fail(-place, `Cannot find ${path}`);
    return place.kind === "missing" ? place : fail(E.EEXIST, `Cannot make ${path}`);
  }

  #creatable(
    request: MessageReader,
    between?: (directory: Fid) => { from: Place },
  ): Place & { from?: Place } {
    const directory = this.#fid(request.u32());
    const more = between?.(directory);
    const place = this.#missing(this.#child(directory, request.text()));
    return more ? { ...place, from: more.from } : place;
  }

  /** Gives a new file its mode, whatever the host's umask, and answers with its identity. */
  #made({ host }: Place, mode: number, out: MessageWriter): HostStat {
    const stat = this.#files.lstat(host);
    if ((stat.mode & 0o7777) !== mode) this.#files.chmod(host, mode);
    out.qid(stat);
    return stat;
  }

  #version(request: MessageReader, out: MessageWriter): void {
    const size = request.u32(), version = request.text();
    if (size < MIN_MESSAGE) fail(E.EMSGSIZE, "Cannot use so small messages");
    this.reset();
    this.#messageSize = Math.min(size, MAX_MESSAGE);
    out.u32(this.#messageSize).text(version === VERSION ? VERSION : "unknown");
  }

  #attach(request: MessageReader, out: MessageWriter): void {
    const number = request.u32();
    const root = this.#at("/");
    this.#use(number, { path: "/" });
    out.qid(root.stat!);
  }

  #walk(request: MessageReader, out: MessageWriter): void {
    const number = request.u32(), target = request.u32(), count = request.u16();
    const fid = this.#fid(number);
    if (fid.open) fail(E.EBUSY, "Cannot walk from an open fid");
    if (count > MAX_NAMES) fail(E.EINVAL, "Cannot walk so far at once");
    let path = fid.path;
    const stats: HostStat[] = [];
    for (let i = 0; i < count; i++) {
      const name = request.text();
      try {
        const next = name === ".."
          ? path.slice(0, Math.max(1, path.lastIndexOf("/")))
          : name === "."
          ? path
          : this.#child({ path }, name);
        stats.push(this.#at(next).stat!);
        path = next;
      } catch (error) {
        // What was found is told, unless it is nothing.
        if (i === 0 || !(error instanceof HostError)) throw error;
        break;
      }
    }
    if (stats.length === count) {
      if (number === target) this.#fids.delete(number);
      this.#use(target, { path });
    }
    out.u16(stats.length);
    for (const stat of stats) out.qid(stat);
  }

  #openHost(fid: Fid, place: Place, flags: number, create: number | undefined): void {
    if (this.#openFiles >= MAX_OPEN) fail(E.EMFILE, "Cannot open more files");
    const access = flags & Open.ACCESS, truncate = (flags & Open.TRUNC) !== 0;
    const write = access === Open.WRITE || access === Open.READ_WRITE;
    const file = this.#files.open(place.host, {
      read: access !== Open.WRITE,
      write: write || create !== undefined || truncate,
      // Only after it is known to be the file that was looked at.
      truncate: false,
      createNew: create !== undefined,
      mode: create ?? 0,
    });
    try {
      const stat = file.stat(), seen = place.stat;
      if (seen && (stat.ino !== seen.ino || stat.dev !== seen.dev)) {
        fail(E.ESTALE, "Cannot open a file: somebody exchanged it");
      }
      if (truncate && create === undefined) file.truncate(0);
    } catch (error) {
      file.close();
      throw error;
    }
    this.#openFiles++;
    Object.assign(fid, { file, flags, open: true, append: (flags & Open.APPEND) !== 0 });
  }

  /** Opens what must be a file. */
  #openFile(fid: Fid, place: Place, flags: number): void {
    // A named pipe would make the host wait.
    if ((place.stat!.mode & Mode.TYPE) !== Mode.FILE) fail(E.ENXIO, "Cannot open a special file");
    if (isWrite(flags)) this.#changeable();
    this.#openHost(fid, place, flags, undefined);
  }

  #lopen(request: MessageReader, out: MessageWriter): void {
    const fid = this.#fid(request.u32()), flags = request.u32(), place = this.#place(fid);
    if (fid.open) fail(E.EBUSY, "Cannot open a fid twice");
    if (isDirectory(place.stat!)) {
      if (isWrite(flags)) fail(E.EISDIR, "Cannot write a directory");
      fid.open = true;
    } else this.#openFile(fid, place, flags);
    out.qid(place.stat!).u32(0);
  }

  #lcreate(request: MessageReader, out: MessageWriter): void {
    const fid = this.#fid(request.u32()), path = this.#child(fid, request.text());
    const flags = request.u32(), mode = request.u32() & MODE_BITS;
    if (fid.open) fail(E.EBUSY, "Cannot create in an open fid");
    const place = this.#missing(path);
    this.#openHost(fid, place, flags, mode);
    fid.path = path;
    this.#made(place, mode, out);
    out.u32(0);
  }

  #read(request: MessageReader, out: MessageWriter): void {
    const { file } = this.#fid(request.u32()), offset = request.u64();
    const count = Math.min(request.u32(), this.#messageSize - HEADER - 4);
    if (!file) return void fail(E.EBADF, "Cannot read a fid that is not open");
    if (!Number.isSafeInteger(offset + count)) fail(E.EINVAL, "Cannot read there");
    const buffer = new Uint8Array(count);
    const read = count === 0 ? 0 : file.read(buffer, offset);
    out.u32(read).bytes(buffer.subarray(0, read));
  }

  #write(request: MessageReader, out: MessageWriter): void {
    const { file, append } = this.#fid(request.u32()), offset = request.u64();
    const bytes = request.bytes(request.u32());
    this.#changeable();
    if (!file) return void fail(E.EBADF, "Cannot write a fid that is not open");
    if (!Number.isSafeInteger(offset + bytes.length)) fail(E.EFBIG, "Cannot write there");
    let at = 0;
    while (at < bytes.length) {
      const part = bytes.slice(at), count = file.write(part, append ? "end" : offset + at);
      at += count;
      if (count < part.length) break;
    }
    out.u32(at);
  }

  #stat(fid: Fid): HostStat {
    return fid.file ? fid.file.stat() : this.#place(fid).stat!;
  }

  #getattr(request: MessageReader, out: MessageWriter): void {
    const stat = this.#stat(this.#fid(request.u32()));
    out.u64(BASIC).qid(stat).u32(stat.mode).u32(stat.uid).u32(stat.gid);
    out.u64(stat.nlink).u64(stat.rdev).u64(stat.size).u64(stat.blksize).u64(stat.blocks);
    out.time(stat.atime).time(stat.mtime).time(stat.ctime).time(stat.btime).u64(0).u64(0);
  }

  #setattr(request: MessageReader): void {
    const fid = this.#fid(request.u32()), valid = request.u32(), mode = request.u32();
    const uid = request.u32(), gid = request.u32(), size = request.u64();
    const times = [request.u64(), request.u64(), request.u64(), request.u64()];
    this.#changeable();
    const { host, stat } = this.#place(fid), files = this.#files;
    const link = (stat!.mode & Mode.TYPE) === Mode.LINK;
    if (link && (valid & (Set.MODE | Set.SIZE | Set.ATIME | Set.MTIME)) !== 0) {
      fail(E.EOPNOTSUPP, "Cannot change a symbolic link");
    }
    if (valid & Set.MODE) files.chmod(host, mode & MODE_BITS);
    if (valid & (Set.UID | Set.GID)) {
      if (link) fail(E.EOPNOTSUPP, "Cannot change a symbolic link");
      files.chown(host, valid & Set.UID ? uid : null, valid & Set.GID ? gid : null);
    }
    if (valid & Set.SIZE) {
      if (!Number.isSafeInteger(size)) fail(E.EFBIG, "Cannot make a file so large");
      if ((stat!.mode & Mode.TYPE) !== Mode.FILE) fail(E.EISDIR, "Cannot set a size");
      if (fid.file) fid.file.truncate(size);
      else files.truncate(host, size);
    }
    if (valid & (Set.ATIME | Set.MTIME)) {
      const now = Date.now();
      const time = (bit: number, set: number, at: number, before: number) => {
        if (!(valid & bit)) return before;
        return valid & set ? times[at] * 1000 + Math.floor(times[at + 1] / 1e6) : now;
      };
      const atime = time(Set.ATIME, Set.ATIME_SET, 0, stat!.atime);
      const mtime = time(Set.MTIME, Set.MTIME_SET, 2, stat!.mtime);
      if (!(atime < 8.64e15 && mtime < 8.64e15)) fail(E.EINVAL, "Cannot set such a time");
      files.utime(host, atime, mtime);
    }
  }

  #statfs(request: MessageReader, out: MessageWriter): void {
    const { host } = this.#place(this.#fid(request.u32()));
    const space = this.#files.space?.(host);
    out.u32(MAGIC).u32(space?.blockSize ?? 4096).u64(space?.blocks ?? 0).u64(space?.free ?? 0);
    out.u64(space?.available ?? 0).u64(space?.files ?? 0).u64(space?.freeFiles ?? 0).u64(0);
    out.u32(NAME_MAX);
  }

  #readdir(request: MessageReader, out: MessageWriter): void {
    const fid = this.#fid(request.u32()), offset = request.u64();
    const count = Math.min(request.u32(), this.#messageSize - HEADER - 4);
    const reader = this.#names.directory(fid.path);
    if (typeof reader === "number") return void fail(-reader, "Cannot list");
    if (!fid.open) fail(E.EBADF, "Cannot list a fid that is not open");
    if (offset === 0 || !fid.names) fid.names = [".", "..", ...reader.names()];
    const entries = new MessageWriter(Math.min(count, 8192));
    // An entry's offset is the number of the next one.
    for (let at = Math.min(offset, fid.names.length); at < fid.names.length; at++) {
      const name = fid.names[at], stat = reader.stat(name);
      if (!stat) continue;
      const bytes = new TextEncoder().encode(name);
      if (entries.length - HEADER + QID + 8 + 1 + 2 + bytes.length > count) break;
      entries.qid(stat).u64(at + 1).u8(stat.mode >>> 12 & 15).u16(bytes.length).bytes(bytes);
    }
    const data = entries.finish(0, 0).subarray(HEADER);
    out.u32(data.length).bytes(data);
  }

  #rename(from: string, to: string): void {
    this.#changeable();
    const old = this.#at(from), place = this.#names.walk("/", to, false);
    if (typeof place === "number") return void fail(-place, `Cannot find ${to}`);
    if (from === "/" || place.mounted) fail(E.EBUSY, "Cannot rename the share itself");
    if (`${to}/`.startsWith(`${from}/`) && to !== from) fail(E.EINVAL, "Cannot move into itself");
    this.#files.rename(old.host, place.host);
    // Who knows a file in there finds it at its new place.
    for (const fid of this.#fids.values()) {
      if (fid.path === from || fid.path.startsWith(`${from}/`)) {
        fid.path = to + fid.path.slice(from.length);
      }
    }
  }

  /** @param directory Whether it must be a directory; undefined: it may be. */
  #remove(path: string, directory: boolean | undefined): void {
    this.#changeable();
    const { host, stat } = this.#at(path), is = isDirectory(stat!);
    if (path === "/" || host === this.#root) fail(E.EBUSY, "Cannot remove the share itself");
    if (directory !== undefined && directory !== is) {
      fail(is ? E.EISDIR : E.ENOTDIR, `Cannot remove ${path}`);
    }
    this.#files.remove(host);
  }
}
