/**
 * Reading and writing the guest's structures: strings, words, times, vectors of buffers.
 *
 * What the guest may not access throws `GuestMemoryError`, which the dispatcher answers with EFAULT.
 *
 * @module
 */
import { GuestMemoryError } from "../../mmu/address_space.ts";
import { PAGE_SIZE } from "../../mmu/arena.ts";
import { E, HostError } from "./errno.ts";
import type { Kernel } from "./kernel.ts";
import { PATH_MAX } from "./paths.ts";

/** Most bytes of one transfer (MAX_RW_COUNT). */
export const MAX_TRANSFER = 0x7fff_f000;
/** Most buffers of one readv or writev (UIO_MAXIOV). */
const MAX_VECTORS = 1024;

/** Makes the system call return an error. */
export function fail(errno: number): never {
  throw new HostError(errno, "Cannot do what the guest asked for");
}

/** A zeroed structure in guest memory, to be filled in. */
export function newStruct(k: Kernel, address: number, size: number): DataView<ArrayBuffer> {
  const bytes = k.memory.writeView(address, size);
  if (!bytes) throw new GuestMemoryError("write", address, size);
  bytes.fill(0);
  return new DataView(bytes.buffer, bytes.byteOffset, size);
}

/** A structure in guest memory, to be read. */
export function readStruct(k: Kernel, address: number, size: number): DataView<ArrayBuffer> {
  const bytes = k.memory.readView(address, size);
  if (!bytes) throw new GuestMemoryError("read", address, size);
  return new DataView(bytes.buffer, bytes.byteOffset, size);
}

/** Writes a long. */
export function setLong(k: Kernel, view: DataView, offset: number, value: number): void {
  if (k.word === 8) view.setBigInt64(offset, BigInt(Math.trunc(value)), true);
  else view.setUint32(offset, value, true);
}

/** Reads an unsigned long; beyond 2^53 it is no longer exact. */
export function getLong(k: Kernel, view: DataView, offset: number): number {
  return k.word === 8 ? Number(view.getBigUint64(offset, true)) : view.getUint32(offset, true);
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads a path.
 *
 * @returns The path, or a negated error number: too long, or not UTF-8, which the host cannot express.
 */
export function readPath(k: Kernel, address: number): string | number {
  const bytes = k.memory.cStringBytes(address, PATH_MAX - 1);
  if (bytes === null) return -E.ENAMETOOLONG;
  if (bytes === undefined) return -E.EFAULT;
  try {
    return strictUtf8.decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    k.note("A file name that is not UTF-8 cannot be used (EILSEQ)");
    return -E.EILSEQ;
  }
}

const encoder = new TextEncoder();

/** Encodes text as UTF-8. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/**
 * The part of a buffer up to the first byte that the guest may not write: a transfer that reaches it is shortened.
 *
 * @throws {GuestMemoryError} If the first byte is already out of reach.
 */
export function destination(k: Kernel, address: number, length: number): Uint8Array<ArrayBuffer> {
  const { memory } = k;
  const size = Math.min(length, MAX_TRANSFER);
  return (size === 0 ? new Uint8Array(0) : memory.writeView(address, size)) ??
    memory.writeView(address, prefix(address, size, (at) => memory.isWritable(at, 1)))!;
}

/** As {@linkcode destination}, for reading. */
export function source(k: Kernel, address: number, length: number): Uint8Array<ArrayBuffer> {
  const { memory } = k;
  const size = Math.min(length, MAX_TRANSFER);
  return (size === 0 ? new Uint8Array(0) : memory.readView(address, size)) ??
    memory.readView(address, prefix(address, size, (at) => memory.isReadable(at, 1)))!;
}

function prefix(address: number, length: number, allowed: (address: number) => boolean): number {
  let end = address;
  while (end < address + length && allowed(end)) {
    end = (Math.floor(end / PAGE_SIZE) + 1) * PAGE_SIZE;
  }
  if (end === address) throw new GuestMemoryError("access", address, length);
  return end - address;
}

/** Reads a vector of buffers (`struct iovec`): address and length of each, in all at most {@linkcode MAX_TRANSFER}. */
export function readVectors(k: Kernel, address: number, count: number): [number, number][] {
  if (count < 0 || count > MAX_VECTORS) fail(E.EINVAL);
  if (count === 0) return [];
  const { word } = k;
  const view = readStruct(k, address, count * 2 * word);
  const result: [number, number][] = [];
  let total = 0;
  for (let i = 0; i < count; i++) {
    const base = getLong(k, view, i * 2 * word);
    const length = getLong(k, view, (i * 2 + 1) * word);
    if (length >= 2 ** (k.abi.bits - 1)) fail(E.EINVAL);
    const part = Math.min(length, MAX_TRANSFER - total);
    total += part;
    if (part > 0) result.push([base, part]);
  }
  return result;
}

/** Milliseconds of a time in seconds and a fraction of it. */
function milliseconds(seconds: number, fraction: number, perSecond: number): number {
  if (seconds < 0 || !(fraction >= 0 && fraction < perSecond)) fail(E.EINVAL);
  return seconds * 1000 + fraction / (perSecond / 1000);
}

/** Reads a `struct timespec` (64-bit times on every architecture here) as milliseconds. */
export function readTimespec(k: Kernel, address: number): number {
  const view = readStruct(k, address, 16);
  // A 32-bit guest's nanoseconds have padding above them.
  const nanoseconds = k.word === 8 ? Number(view.getBigInt64(8, true)) : view.getInt32(8, true);
  return milliseconds(Number(view.getBigInt64(0, true)), nanoseconds, 1e9);
}

/** Writes milliseconds as a `struct timespec`. */
export function writeTimespec(k: Kernel, address: number, time: number): void {
  const view = newStruct(k, address, 16);
  const seconds = Math.floor(time / 1000);
  view.setBigInt64(0, BigInt(seconds), true);
  view.setBigInt64(8, BigInt(Math.floor((time - seconds * 1000) * 1e6)), true);
}

/** Reads a `struct timeval` of longs as milliseconds. */
export function readTimeval(k: Kernel, address: number): number {
  const view = readStruct(k, address, 2 * k.word);
  const part = (at: number) =>
    k.word === 8 ? Number(view.getBigInt64(at, true)) : view.getInt32(at, true);
  return milliseconds(part(0), part(k.word), 1e6);
}

/** Writes milliseconds as a `struct timeval` of longs. */
export function setTimeval(k: Kernel, view: DataView, offset: number, time: number): void {
  const seconds = Math.floor(time / 1000);
  setLong(k, view, offset, seconds);
  setLong(k, view, offset + k.word, Math.floor((time - seconds * 1000) * 1000));
}
