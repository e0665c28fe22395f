/**
 * Open files and the table of descriptors.
 *
 * @module
 */
import { E } from "./errno.ts";
import { type HostFile, type HostInput, type HostOutput, type HostStat, Mode } from "./host.ts";
import { type Grant, virtualStat } from "./paths.ts";
import type { VirtualFile, VirtualHandle } from "./virtual.ts";

/** A result of a system call: a value or a negated error number, now or later. */
export type Result = number | Promise<number>;

/** open(2) flags that all architectures share (asm-generic/fcntl.h). */
export const Open = {
  ACCMODE: 3,
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  DSYNC: 0o10000,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
  TMPFILE: 0o20000000,
} as const;

/** Events of poll(2). */
export const Poll = { IN: 1, PRI: 2, OUT: 4, ERR: 8, HUP: 16, NVAL: 32, RDNORM: 64, WRNORM: 256 };

/** How a wait ended. */
export type Wake = "woken" | "timeout" | "signal";

/** What open files need when they cannot go on at once. */
export interface Waiter {
  /**
   * Waits until `wake` settles, the monotonic clock reaches `deadline`, or a signal wants attention.
   *
   * @returns undefined if nothing could ever end the wait.
   */
  wait(deadline: number | undefined, wake: Promise<unknown> | undefined): Promise<Wake> | undefined;
  /** Waits for a signal; without anybody to send one, ends the guest as deadlocked. */
  block(what: string): Result;
  /** Whether a timer or a signal from outside may interrupt a wait, so that blocking the event loop is wrong. */
  readonly interruptible: boolean;
  /** Sends the guest a signal about what it does right now. */
  raise(signal: number): void;
}

/** Signal of a write that nobody can read. */
export const SIGPIPE = 13;
const ERESTARTSYS = 512;

/** An open file description: what descriptors share after dup(2). */
export abstract class OpenFile {
  /** Descriptors and mappings that hold it. */
  references = 0;
  /** Where read(2) and write(2) go on, if {@linkcode seekable}. */
  position = 0;
  /** Whether it has positions. */
  seekable = false;
  /** Guest path, or a description such as "pipe:[4]". */
  path: string;
  /** open(2) flags; F_SETFL changes some. */
  flags: number;

  constructor(path: string, flags: number) {
    this.path = path;
    this.flags = flags;
  }

  get readable(): boolean {
    return (this.flags & Open.ACCMODE) !== Open.WRONLY && (this.flags & Open.PATH) === 0;
  }
  get writable(): boolean {
    return (this.flags & Open.ACCMODE) !== Open.RDONLY && (this.flags & Open.PATH) === 0;
  }
  get nonblocking(): boolean {
    return (this.flags & Open.NONBLOCK) !== 0;
  }

  /** Status for fstat. */
  abstract stat(): HostStat;
  /** Reads at a position, or from the stream if it is undefined. */
  read(_buffer: Uint8Array<ArrayBuffer>, _position: number | undefined, _waiter: Waiter): Result {
    return -E.EINVAL;
  }
  /** Writes at a position, or to the stream if it is undefined. */
  write(_bytes: Uint8Array<ArrayBuffer>, _position: number | undefined, _waiter: Waiter): Result {
    return -E.EINVAL;
  }
  /** Ready events, `Poll` bits. */
  poll(): number {
    return Poll.IN | Poll.OUT | Poll.RDNORM | Poll.WRNORM;
  }
  /** A promise that settles when {@linkcode poll} may say more; undefined if nobody can change that. */
  pollWake(): Promise<unknown> | undefined {
    return undefined;
  }
  /** Bytes that can be read now (FIONREAD), or undefined. */
  available(): number | undefined {
    return undefined;
  }
  /** Whether it is a terminal. */
  isTerminal(): boolean {
    return false;
  }
  /** Switches a terminal to raw mode and back. */
  setRaw(_raw: boolean): void {}
  /** Sets its size. */
  truncate(_size: number): number {
    return -E.EINVAL;
  }
  /** Waits until it is on the disk. */
  sync(): number {
    return -E.EINVAL;
  }
  /** The last reference is gone. */
  close(): void {}
}

/** A file of the host. */
export class RegularFile extends OpenFile {
  readonly host: HostFile;
  /** The grant that it is in. */
  readonly grant: Grant;
  /** Device and inode, which say which mappings are of the same file. */
  readonly key: string;

  constructor(path: string, flags: number, host: HostFile, grant: Grant, stat: HostStat) {
    super(path, flags);
    this.host = host;
    this.grant = grant;
    this.key = `${stat.dev}:${stat.ino}`;
    const type = stat.mode & Mode.TYPE;
    this.seekable = type === Mode.FILE || type === Mode.BLOCK;
  }
  override stat(): HostStat {
    return this.host.stat();
  }
  override read(buffer: Uint8Array<ArrayBuffer>, position: number | undefined): number {
    return this.host.read(buffer, position);
  }
  override write(bytes: Uint8Array<ArrayBuffer>, position: number | undefined): number {
    const append = (this.flags & Open.APPEND) !== 0;
    return this.host.write(bytes, append && this.seekable ? "end" : position);
  }
  override truncate(size: number): number {
    this.host.truncate(size);
    return 0;
  }
  override sync(): number {
    this.host.sync();
    return 0;
  }
  override close(): void {
    this.host.close();
  }
}

/** A directory: descriptors for *at calls and getdents64. */
export class DirectoryFile extends OpenFile {
  /** Names, read when the first entry is asked for; rewinding reads them again. */
  entries: string[] | undefined;
  #stat: (path: string) => HostStat;
  /** @param stat Status of the directory, which is at a path now. */
  constructor(path: string, flags: number, stat: (path: string) => HostStat) {
    super(path, flags);
    this.#stat = stat;
  }
  override stat(): HostStat {
    return this.#stat(this.path);
  }
  override read(): number {
    return -E.EISDIR;
  }
  override sync(): number {
    return 0;
  }
}

/** A file opened with O_PATH: a place, nothing to read. */
export class PathFile extends OpenFile {
  #stat: HostStat;
  constructor(path: string, flags: number, stat: HostStat) {
    super(path, flags);
    this.#stat = stat;
  }
  override stat(): HostStat {
    return this.#stat;
  }
}

/** Bytes read ahead from an asynchronous input. */
const READ_AHEAD = 65536;

/** Standard input. */
export class InputFile extends OpenFile {
  #input: HostInput;
  #buffer = new Uint8Array(0);
  #ahead: Promise<void> | undefined;
  #end = false;
  #error: unknown;

  constructor(path: string, flags: number, input: HostInput) {
    super(path, flags);
    this.#input = input;
  }

  override stat(): HostStat {
    return streamStat(this.path, this.isTerminal());
  }
  override isTerminal(): boolean {
    return this.#input.isTerminal?.() ?? false;
  }
  override setRaw(raw: boolean): void {
    this.#input.setRaw?.(raw);
  }

  /** Starts reading ahead; a read that is under way cannot be taken back, so its bytes are kept. */
  #fill(size: number): Promise<void> {
    return this.#ahead ??= this.#readAhead(size);
  }

  async #readAhead(size: number): Promise<void> {
    const buffer = new Uint8Array(Math.min(Math.max(size, 1), READ_AHEAD));
    try {
      const count = await this.#input.read!(buffer) ?? 0;
      if (count === 0) this.#end = true;
      this.#buffer = buffer.subarray(0, count);
    } catch (error) {
      // The reader gets it: nobody may be waiting now.
      this.#error = error;
    }
    this.#ahead = undefined;
  }

  #take(buffer: Uint8Array<ArrayBuffer>): number | undefined {
    if (this.#error !== undefined) {
      const error = this.#error;
      this.#error = undefined;
      throw error;
    }
    if (this.#buffer.length > 0) {
      const part = this.#buffer.subarray(0, buffer.length);
      buffer.set(part);
      this.#buffer = this.#buffer.subarray(part.length);
      return part.length;
    }
    if (this.#end) {
      // A terminal's end of file is an event, not a state.
      this.#end = !this.isTerminal();
      return 0;
    }
    return undefined;
  }

  override read(
    buffer: Uint8Array<ArrayBuffer>,
    _position: number | undefined,
    waiter: Waiter,
  ): Result {
    if (buffer.length === 0) return 0;
    const count = this.#take(buffer);
    if (count !== undefined) return count;
    const { readSync, read } = this.#input;
    if (readSync && !this.#ahead && !this.nonblocking && !(waiter.interruptible && read)) {
      return readSync.call(this.#input, buffer) ?? 0;
    }
    if (!read) return readSync!.call(this.#input, buffer) ?? 0;
    return this.#readLater(buffer, waiter);
  }

  async #readLater(buffer: Uint8Array<ArrayBuffer>, waiter: Waiter): Promise<number> {
    while (true) {
      const filled = this.#fill(buffer.length);
      if (this.nonblocking) {
        await Promise.race([filled, new Promise((resolve) => setTimeout(resolve, 0))]);
        return this.#take(buffer) ?? -E.EAGAIN;
      }
      const wake = await waiter.wait(undefined, filled);
      const count = this.#take(buffer);
      if (count !== undefined) return count;
      if (wake === "signal") return -ERESTARTSYS;
    }
  }

  override poll(): number {
    // Without an asynchronous read nobody can look ahead: the read will wait instead.
    const ready = this.#buffer.length > 0 || this.#end || this.#error !== undefined ||
      !this.#input.read;
    return ready ? Poll.IN | Poll.RDNORM : 0;
  }
  override pollWake(): Promise<unknown> | undefined {
    return this.#input.read ? this.#fill(READ_AHEAD) : undefined;
  }
  override available(): number {
    return this.#buffer.length;
  }
}

/** Standard output or error. */
export class OutputFile extends OpenFile {
  #output: HostOutput;
  constructor(path: string, flags: number, output: HostOutput) {
    super(path, flags);
    this.#output = output;
  }
  override stat(): HostStat {
    return streamStat(this.path, this.isTerminal());
  }
  override isTerminal(): boolean {
    return this.#output.isTerminal?.() ?? false;
  }
  override write(
    bytes: Uint8Array<ArrayBuffer>,
    _position: number | undefined,
    waiter: Waiter,
  ): Result {
    const { length } = bytes;
    const broken = (error: unknown): never => {
      if ((error as { errno?: number }).errno === E.EPIPE) waiter.raise(SIGPIPE);
      throw error;
    };
    try {
      const written = this.#output.write(bytes);
      if (!(written instanceof Promise)) return written ?? length;
      return written.then((count) => count ?? length, broken);
    } catch (error) {
      return broken(error);
    }
  }
  override poll(): number {
    return Poll.OUT | Poll.WRNORM;
  }
}

/** The host does not tell what a stream is; one that is no terminal looks like a pipe. */
function streamStat(path: string, terminal: boolean): HostStat {
  return terminal
    ? { ...virtualStat(path, Mode.CHAR | 0o620, 0, 0x8800), blksize: 1024 }
    : virtualStat(path, Mode.FIFO | 0o600);
}

/** A file that the machine serves. */
export class ServedFile extends OpenFile {
  readonly handle: VirtualHandle;
  #file: VirtualFile;
  constructor(path: string, flags: number, file: VirtualFile, handle: VirtualHandle) {
    super(path, flags);
    this.#file = file;
    this.handle = handle;
    this.seekable = handle.seekable ?? false;
  }
  override stat(): HostStat {
    const size = this.handle.size?.() ?? this.#file.size?.() ?? 0;
    return virtualStat(this.path, this.#file.mode, size, this.#file.rdev ?? 0);
  }
  override read(buffer: Uint8Array<ArrayBuffer>, position: number | undefined): Result {
    return this.handle.read ? this.handle.read(buffer, position ?? 0) : -E.EINVAL;
  }
  override write(bytes: Uint8Array<ArrayBuffer>, position: number | undefined): Result {
    return this.handle.write ? this.handle.write(bytes, position ?? 0) : -E.EINVAL;
  }
  override poll(): number {
    return this.handle.poll ? this.handle.poll() : super.poll();
  }
  override sync(): number {
    return 0;
  }
  override close(): void {
    this.handle.close?.();
  }
}

/** Descriptors of one guest. */
export class FdTable {
  #files: (OpenFile | undefined)[] = [];
  #cloexec: boolean[] = [];
  /** Descriptors are below this; RLIMIT_NOFILE. */
  limit = 1024;

  /** The open file of a descriptor. */
  get(fd: number): OpenFile | undefined {
    return this.#files[fd];
  }
  /** Puts a file at the lowest free descriptor from `from` on; EMFILE negated if there is none. */
  add(file: OpenFile, cloexec = false, from = 0): number {
    let fd = from;
    while (this.#files[fd]) fd++;
    if (fd >= this.limit) return -E.EMFILE;
    this.set(fd, file, cloexec);
    return fd;
  }
  /** Puts a file at a descriptor, closing what was there. */
  set(fd: number, file: OpenFile, cloexec: boolean): void {
    file.references++;
    this.close(fd);
    this.#files[fd] = file;
    this.#cloexec[fd] = cloexec;
  }
  /** Closes a descriptor; false if it is not open. */
  close(fd: number): boolean {
    const file = this.#files[fd];
    if (!file) return false;
    this.#files[fd] = undefined;
    release(file);
    return true;
  }
  /** Whether a descriptor is closed by execve. */
  cloexec(fd: number): boolean {
    return this.#cloexec[fd] ?? false;
  }
  setCloexec(fd: number, on: boolean): void {
    this.#cloexec[fd] = on;
  }
  /** Open descriptors in order. */
  *open(): Generator<[number, OpenFile]> {
    for (let fd = 0; fd < this.#files.length; fd++) {
      const file = this.#files[fd];
      if (file) yield [fd, file];
    }
  }
}

/** Gives up a reference to an open file. */
export function release(file: OpenFile): void {
  if (--file.references === 0) file.close();
}
