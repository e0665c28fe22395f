/**
 * Pipes: both ends belong to the one guest process.
 *
 * @module
 */
import { E } from "./errno.ts";
import { OpenFile, Poll, type Result, SIGPIPE, type Waiter } from "./files.ts";
import { type HostStat, Mode } from "./host.ts";
import { virtualStat } from "./paths.ts";

/** Bytes that a pipe holds. */
export const PIPE_SIZE = 65536;
/** Writes up to this long are not torn. */
const PIPE_BUF = 4096;

/** The buffer between the ends of a pipe. */
export class Pipe {
  readonly id: number;
  readonly data = new Uint8Array(PIPE_SIZE);
  /** Position of the first byte. */
  start = 0;
  /** Bytes in it. */
  length = 0;
  /** Open read ends. */
  readers = 1;
  /** Open write ends. */
  writers = 1;
  constructor(id: number) {
    this.id = id;
  }
}

/** One end of a pipe. */
export class PipeFile extends OpenFile {
  readonly #pipe: Pipe;
  constructor(pipe: Pipe, flags: number) {
    super(`pipe:[${pipe.id}]`, flags);
    this.#pipe = pipe;
  }
  override stat(): HostStat {
    return virtualStat(this.path, Mode.FIFO | 0o600);
  }
  override read(
    buffer: Uint8Array<ArrayBuffer>,
    _position: number | undefined,
    waiter: Waiter,
  ): Result {
    const pipe = this.#pipe;
    if (buffer.length === 0) return 0;
    if (pipe.length === 0) {
      if (pipe.writers === 0) return 0;
      if (this.nonblocking) return -E.EAGAIN;
      return waiter.block("reading from an empty pipe that only it can write to");
    }
    const count = Math.min(buffer.length, pipe.length);
    const first = Math.min(count, PIPE_SIZE - pipe.start);
    buffer.set(pipe.data.subarray(pipe.start, pipe.start + first));
    buffer.set(pipe.data.subarray(0, count - first), first);
    pipe.start = (pipe.start + count) % PIPE_SIZE;
    pipe.length -= count;
    return count;
  }
  override write(
    bytes: Uint8Array<ArrayBuffer>,
    _position: number | undefined,
    waiter: Waiter,
  ): Result {
    const pipe = this.#pipe;
    if (pipe.readers === 0) {
      waiter.raise(SIGPIPE);
      return -E.EPIPE;
    }
    const room = PIPE_SIZE - pipe.length;
    const fits = bytes.length <= room;
    if (!fits && this.nonblocking && (bytes.length <= PIPE_BUF || room === 0)) return -E.EAGAIN;
    if (!fits && !this.nonblocking) {
      return waiter.block("writing to a full pipe that only it can read from");
    }
    const count = Math.min(bytes.length, room);
    const end = (pipe.start + pipe.length) % PIPE_SIZE;
    const first = Math.min(count, PIPE_SIZE - end);
    pipe.data.set(bytes.subarray(0, first), end);
    pipe.data.set(bytes.subarray(first, count), 0);
    pipe.length += count;
    return count;
  }
  override poll(): number {
    const pipe = this.#pipe;
    if (this.readable) {
      return (pipe.length > 0 ? Poll.IN | Poll.RDNORM : 0) | (pipe.writers === 0 ? Poll.HUP : 0);
    }
    return (PIPE_SIZE - pipe.length >= PIPE_BUF ? Poll.OUT | Poll.WRNORM : 0) |
      (pipe.readers === 0 ? Poll.ERR : 0);
  }
  override available(): number {
    return this.#pipe.length;
  }
  override close(): void {
    if (this.readable) this.#pipe.readers--;
    else this.#pipe.writers--;
  }
}
