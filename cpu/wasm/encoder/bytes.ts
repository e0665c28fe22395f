/**
 * Writing bytes in the number formats of WebAssembly.
 *
 * Source: WebAssembly Core Specification 3.0, sections 5.2 (values) and 5.3 (types).
 *
 * @module
 */
import { refTarget } from "./opcodes.ts";

/** Bytes that are always free before an instruction: more than any but `br_table` needs. */
const SLACK = 32;

const encoder = new TextEncoder();

/** A growing run of bytes, with the number formats of WebAssembly. */
export class ByteWriter {
  /** The buffer. */
  protected bytes: Uint8Array<ArrayBuffer>;
  /** Bytes written. */
  protected at = 0;
  /** From here on there is less than {@linkcode SLACK} free. */
  protected limit: number;

  /** Makes an empty one. @param capacity Bytes to make room for at first. */
  constructor(capacity = 512) {
    this.bytes = new Uint8Array(capacity + SLACK);
    this.limit = capacity;
  }

  /** Bytes written. */
  get length(): number {
    return this.at;
  }

  /** Forgets what was written and keeps the buffer. */
  clear(): void {
    this.at = 0;
  }

  /** Makes room for `count` bytes and {@linkcode SLACK}. */
  reserve(count: number): void {
    if (this.at + count <= this.limit) return;
    const bigger = new Uint8Array(Math.max(this.bytes.length * 2, this.at + count + SLACK));
    bigger.set(this.bytes.subarray(0, this.at));
    this.bytes = bigger;
    this.limit = bigger.length - SLACK;
  }

  /** A byte. */
  byte(value: number): void {
    if (this.at >= this.limit) this.reserve(1);
    this.bytes[this.at++] = value;
  }

  /** An unsigned 32-bit number (its low 32 bits, if it is negative) as LEB128, 1 to 5 bytes. */
  u32(value: number): void {
    if (this.at >= this.limit) this.reserve(1);
    const bytes = this.bytes;
    let at = this.at;
    let rest = value >>> 0;
    while (rest > 0x7f) {
      bytes[at++] = rest | 0x80;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.at = at;
  }

  /** A signed 32-bit number (the low 32 bits, as signed) as LEB128, 1 to 5 bytes. */
  s32(value: number): void {
    if (this.at >= this.limit) this.reserve(1);
    const bytes = this.bytes;
    let at = this.at;
    let rest = value | 0;
    while (rest < -0x40 || rest > 0x3f) {
      bytes[at++] = rest | 0x80;
      rest >>= 7;
    }
    bytes[at++] = rest & 0x7f;
    this.at = at;
  }

  /** A signed 64-bit number from two 32-bit words as LEB128, 1 to 10 bytes. */
  s64(lo: number, hi: number): void {
    lo |= 0;
    hi |= 0;
    if (hi === lo >> 31) return this.s32(lo);
    if (this.at >= this.limit) this.reserve(1);
    const bytes = this.bytes;
    let at = this.at;
    while (hi !== lo >> 31 || lo < -0x40 || lo > 0x3f) {
      bytes[at++] = lo | 0x80;
      lo = lo >>> 7 | hi << 25;
      hi >>= 7;
    }
    bytes[at++] = lo & 0x7f;
    this.at = at;
  }

  /** Four bytes, the low one first. */
  word(value: number): void {
    if (this.at >= this.limit) this.reserve(4);
    const { bytes, at } = this;
    bytes[at] = value;
    bytes[at + 1] = value >> 8;
    bytes[at + 2] = value >> 16;
    bytes[at + 3] = value >> 24;
    this.at = at + 4;
  }

  /** Bytes as they are. */
  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** What another writer has, from one of its positions to another. */
  copy(from: ByteWriter, start = 0, end: number = from.at): void {
    this.raw(from.bytes.subarray(start, end));
  }

  /** A string: length and UTF-8. */
  text(text: string): void {
    const bytes = encoder.encode(text);
    this.u32(bytes.length);
    this.raw(bytes);
  }

  /** A value type. */
  valType(type: number): void {
    this.byte(type & 0x7f);
    if (type < -0x80) this.s32(refTarget(type));
  }

  /** The heap type of a reference type. */
  heapType(type: number): void {
    if (type < -0x80) this.s32(refTarget(type));
    else this.byte(type & 0x7f);
  }

  /** What was written, until this writer is used again. */
  view(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, this.at);
  }
}
