/**
 * Messages of the file protocol 9P2000.L: reading what a client sent, writing what it gets.
 *
 * Source: Plan 9 manual, section 5, intro; the protocol's Linux variant: net/9p/client.c and fs/9p of the Linux
 * kernel, and the protocol description of the diod project.
 *
 * @module
 */
import { E, HostError } from "../../user/errno.ts";
import { type HostStat, Mode } from "../../user/host.ts";

/** Types of requests; an answer's type is one more. */
export const Type = {
  ERROR: 6,
  STATFS: 8,
  LOPEN: 12,
  LCREATE: 14,
  SYMLINK: 16,
  MKNOD: 18,
  RENAME: 20,
  READLINK: 22,
  GETATTR: 24,
  SETATTR: 26,
  READDIR: 40,
  FSYNC: 50,
  LOCK: 52,
  GETLOCK: 54,
  LINK: 70,
  MKDIR: 72,
  RENAMEAT: 74,
  UNLINKAT: 76,
  VERSION: 100,
  ATTACH: 104,
  FLUSH: 108,
  WALK: 110,
  READ: 116,
  WRITE: 118,
  CLUNK: 120,
  REMOVE: 122,
} as const;

/** Bytes before a message's content: size, type, tag. */
export const HEADER = 7;
/** Bytes of a file's identity. */
export const QID = 13;
const QID_DIRECTORY = 0x80, QID_LINK = 2;

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const utf8 = new TextEncoder();

/** Reads a request. What is cut off is EPROTO. */
export class MessageReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#bytes.length - at) {
      throw new HostError(E.EPROTO, "Cannot read a 9P request: it is cut off");
    }
    this.#at += count;
    return at;
  }
  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }
  /** As a number, which is not exact above 2^53: no file has such offsets. */
  u64(): number {
    return Number(this.#view.getBigUint64(this.#take(8), true));
  }
  /** Text; EILSEQ if it is no UTF-8, EINVAL if it has a NUL. */
  text(): string {
    const length = this.u16(), at = this.#take(length);
    let text: string;
    try {
      text = strict.decode(this.#bytes.subarray(at, at + length));
    } catch (cause) {
      throw new HostError(E.EILSEQ, "Cannot use a name that is not UTF-8", false, cause);
    }
    if (text.includes("\0")) throw new HostError(E.EINVAL, "Cannot use a name with a NUL");
    return text;
  }
  bytes(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }
}

/** Writes an answer. */
export class MessageWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  /** Bytes so far, the header's among them. */
  length = HEADER;

  /** @param room Bytes to begin with; it grows. */
  constructor(room = 256) {
    this.#bytes = new Uint8Array(HEADER + room);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Makes room, which may be a new buffer. */
  #room(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.length, 2 * this.#bytes.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
  u8(value: number): this {
    const at = this.#room(1);
    this.#view.setUint8(at, value);
    return this;
  }
  u16(value: number): this {
    const at = this.#room(2);
    this.#view.setUint16(at, value, true);
    return this;
  }
  u32(value: number): this {
    const at = this.#room(4);
    this.#view.setUint32(at, value, true);
    return this;
  }
  /** A whole number that is not negative; what is none becomes 0. */
  u64(value: number): this {
    const whole = Number.isFinite(value) && value > 0 ? BigInt(Math.floor(value)) : 0n;
    const at = this.#room(8);
    this.#view.setBigUint64(at, whole, true);
    return this;
  }
  text(text: string): this {
    const bytes = utf8.encode(text);
    return this.u16(bytes.length).bytes(bytes);
  }
  bytes(bytes: Uint8Array): this {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }
  /** A file's identity. */
  qid({ mode, ino, mtime }: HostStat): this {
    const type = mode & Mode.TYPE;
    this.u8(type === Mode.DIRECTORY ? QID_DIRECTORY : type === Mode.LINK ? QID_LINK : 0);
    return this.u32(Math.floor(mtime) >>> 0).u64(ino);
  }
  /** Milliseconds, as seconds and nanoseconds. */
  time(milliseconds: number): this {
    const seconds = Math.floor(milliseconds / 1000);
    return this.u64(seconds).u64(Math.floor((milliseconds - seconds * 1000) * 1e6));
  }
  /** The message with its header. */
  finish(type: number, tag: number): Uint8Array<ArrayBuffer> {
    this.#view.setUint32(0, this.length, true);
    this.#view.setUint8(4, type);
    this.#view.setUint16(5, tag, true);
    return this.#bytes.subarray(0, this.length);
  }
}
