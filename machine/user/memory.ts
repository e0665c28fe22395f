/**
 * The guest's memory mappings: program break, mmap region, file mappings.
 *
 * A mapped file is copied into guest memory. MAP_PRIVATE needs no more; a writable MAP_SHARED mapping is written back,
 * changed pages only, at msync, munmap and exit, and before the guest reads or syncs the same file; a write(2)
 * to the file shows in the mapping. Changes by other host processes do not. Pages beyond the end of the file read as
 * zero, where Linux would raise SIGBUS.
 *
 * @module
 */
import { type AddressSpace, type Mapping, Prot } from "../../mmu/address_space.ts";
import { PAGE_SIZE } from "../../mmu/arena.ts";
import { E } from "./errno.ts";
import { type OpenFile, RegularFile, release, ServedFile } from "./files.ts";
import { type LoadedProgram, LOWEST_ADDRESS } from "./loader.ts";

/** Flags of mmap(2) (asm-generic/mman.h). */
export const MapFlag = {
  SHARED: 1,
  PRIVATE: 2,
  SHARED_VALIDATE: 3,
  TYPE: 15,
  FIXED: 0x10,
  ANONYMOUS: 0x20,
  FIXED_NOREPLACE: 0x10_0000,
} as const;

const MREMAP = { MAYMOVE: 1, FIXED: 2, DONTUNMAP: 4 } as const;
/** Advice of madvise(2) that throws content away. */
const MADV_DONTNEED = 4;
const MADV_FREE = 8;
/** Advice numbers that Linux knows; all but the two above change nothing that a guest can see. */
const MADV_KNOWN = new Set([0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]);
const PROT_ALL = 7;
const PROT_GROWS = 0x0300_0000;

/** A mapping of a host file. */
interface FileMapping {
  start: number;
  end: number;
  file: RegularFile;
  /** File position of `start`. */
  offset: number;
  /** For writable shared mappings: what the file holds, to find changed pages. */
  shadow: Uint8Array | undefined;
}

/** A mapping that a virtual file made. */
interface ServedMapping {
  start: number;
  end: number;
  file: ServedFile;
}

const pageUp = (value: number): number => Math.ceil(value / PAGE_SIZE) * PAGE_SIZE;

/** Mappings of one guest. */
export class MemoryMap {
  readonly memory: AddressSpace;
  readonly #program: LoadedProgram;
  #brk: number;
  /** No page between here and the end of the mmap region is free. */
  #full: number;
  #files: FileMapping[] = [];
  #served: ServedMapping[] = [];
  /** Mapped ranges that stay the host's, in address order. */
  readonly #reserved: { readonly start: number; readonly end: number }[] = [];
  /** Whether reads and writes of files must be kept in step with shared mappings. */
  hasShared = false;

  constructor(memory: AddressSpace, program: LoadedProgram) {
    this.memory = memory;
    this.#program = program;
    this.#brk = program.brkStart;
    this.#full = program.mmapEnd;
  }

  /**
   * Keeps a mapped range, page-aligned, the host's: the guest can't map anything over it, and when it unmaps the range,
   * only its rights go. So what the host knows to be there never becomes somebody's heap.
   */
  reserve(start: number, length: number): void {
    this.#reserved.push({ start, end: start + length });
    this.#reserved.sort((a, b) => a.start - b.start);
  }

  #isReserved(address: number, length: number): boolean {
    return this.#reserved.some(({ start, end }) => start < address + length && end > address);
  }

  /** The program break. */
  get brkEnd(): number {
    return this.#brk;
  }

  /** brk(2): returns the new break, or the old one if that is not possible. */
  brk(address: number): number {
    const { brkStart, mmapEnd } = this.#program;
    if (!(address >= brkStart && address <= mmapEnd)) return this.#brk;
    const old = pageUp(this.#brk), next = pageUp(address);
    if (next > old) {
      if (!this.memory.isFree(old, next - old)) return this.#brk;
      this.memory.map(old, next - old, Prot.READ | Prot.WRITE);
    } else if (next < old) {
      this.#forget(next, old - next);
      this.memory.unmap(next, old - next);
    }
    return this.#brk = address;
  }

  /** Finds room for a mapping, at the hint if that is free; undefined if there is none. */
  allocate(length: number, hint = 0): number | undefined {
    const { mmapEnd } = this.#program;
    const at = Math.floor(hint / PAGE_SIZE) * PAGE_SIZE;
    if (at >= LOWEST_ADDRESS && at + length <= mmapEnd && this.memory.isFree(at, length)) return at;
    const top = this.#full;
    const found = this.memory.findFree(length, LOWEST_ADDRESS, top);
    if (found !== undefined && found + length === top) this.#full = found;
    return found;
  }

  #checkFixed(address: number, length: number): number {
    if (address % PAGE_SIZE !== 0) return -E.EINVAL;
    if (!this.memory.inBounds(address, length)) return -E.ENOMEM;
    return address < LOWEST_ADDRESS ? -E.EPERM : 0;
  }

  /** mmap(2), with the offset in bytes; `file` is undefined for anonymous mappings. */
  mmap(
    hint: number,
    size: number,
    prot: number,
    flags: number,
    file: OpenFile | undefined,
    offset: number,
  ): number {
    const type = flags & MapFlag.TYPE;
    const fixed = (flags & (MapFlag.FIXED | MapFlag.FIXED_NOREPLACE)) !== 0;
    if (!(size > 0) || type < MapFlag.SHARED || type > MapFlag.SHARED_VALIDATE) return -E.EINVAL;
    if (!(offset >= 0) || offset % PAGE_SIZE !== 0) return -E.EINVAL;
    const length = pageUp(size);
    if (length > this.memory.size) return -E.ENOMEM;
    const shared = type !== MapFlag.PRIVATE;
    if (file) {
      if (!file.readable || (shared && prot & Prot.WRITE && !file.writable)) return -E.EACCES;
      if (offset + length > Number.MAX_SAFE_INTEGER) return -E.EOVERFLOW;
    }
    if (fixed) {
      const error = this.#checkFixed(hint, length);
      if (error) return error;
      if (flags & MapFlag.FIXED_NOREPLACE && !this.memory.isFree(hint, length)) return -E.EEXIST;
    }
    if (file instanceof ServedFile) return this.#mapServed(file, hint, length, prot, flags, offset);
    if (file && !(file instanceof RegularFile && file.seekable)) return -E.ENODEV;
    if (fixed && this.#isReserved(hint, length)) return -E.ENOMEM;
    const address = fixed ? hint : this.allocate(length, hint);
    if (address === undefined) return -E.ENOMEM;
    if (fixed) this.#forget(address, length);
    this.memory.map(address, length, prot & PROT_ALL);
    if (file instanceof RegularFile) {
      this.#mapFile(file, address, length, offset, shared && file.writable);
    }
    return address;
  }

  #mapServed(
    file: ServedFile,
    hint: number,
    length: number,
    prot: number,
    flags: number,
    offset: number,
  ): number {
    if (!file.handle.mmap) return -E.ENODEV;
    const address = file.handle.mmap(offset, length, prot, flags, hint);
    if (address >= 0) {
      file.references++;
      this.#served.push({ start: address, end: address + length, file });
      this.#full = this.#program.mmapEnd;
    }
    return address;
  }

  #load(file: RegularFile, address: number, length: number, offset: number): void {
    const bytes = this.memory.hostView(address, length)!;
    let done = 0;
    while (done < length) {
      const count = file.host.read(bytes.subarray(done), offset + done);
      if (count <= 0) break;
      done += count;
    }
  }

  #mapFile(
    file: RegularFile,
    address: number,
    length: number,
    offset: number,
    writeBack: boolean,
  ): void {
    this.flush(file.key);
    this.#load(file, address, length, offset);
    file.references++;
    const shadow = writeBack ? this.memory.hostView(address, length)!.slice() : undefined;
    this.#files.push({ start: address, end: address + length, file, offset, shadow });
    this.hasShared ||= writeBack;
  }

  /** munmap(2). */
  munmap(address: number, size: number): number {
    const length = pageUp(size);
    if (address % PAGE_SIZE !== 0 || length === 0) return -E.EINVAL;
    if (!this.memory.inBounds(address, length)) return -E.EINVAL;
    this.#forget(address, length);
    let at = address;
    for (const range of this.#reserved) {
      const from = Math.max(range.start, at), to = Math.min(range.end, address + length);
      if (from >= to) continue;
      if (from > at) this.memory.unmap(at, from - at);
      this.memory.protect(from, to - from, Prot.NONE);
      at = to;
    }
    if (at < address + length) this.memory.unmap(at, address + length - at);
    this.#full = Math.max(this.#full, Math.min(address + length, this.#program.mmapEnd));
    return 0;
  }

  /** Writes back and drops what file and served mappings have in a range, splitting them. */
  #forget(address: number, length: number): void {
    const end = address + length;
    const hit = (m: { start: number; end: number }) => m.start < end && m.end > address;
    if (this.#files.some(hit)) {
      const rest: FileMapping[] = [];
      for (const mapping of this.#files) {
        if (!hit(mapping)) {
          rest.push(mapping);
          continue;
        }
        this.#writeBack(mapping);
        for (const [start, stop] of [[mapping.start, address], [end, mapping.end]]) {
          if (stop <= start) continue;
          const from = start - mapping.start;
          mapping.file.references++;
          rest.push({
            ...mapping,
            start,
            end: stop,
            offset: mapping.offset + from,
            shadow: mapping.shadow?.subarray(from, from + stop - start),
          });
        }
        release(mapping.file);
      }
      this.#files = rest;
      this.hasShared = rest.some((mapping) => mapping.shadow);
    }
    if (this.#served.some(hit)) {
      const rest: ServedMapping[] = [];
      for (const mapping of this.#served) {
        if (!hit(mapping)) {
          rest.push(mapping);
          continue;
        }
        const start = Math.max(mapping.start, address), stop = Math.min(mapping.end, end);
        mapping.file.handle.munmap?.(start, stop - start);
        for (const [from, to] of [[mapping.start, address], [end, mapping.end]]) {
          if (to <= from) continue;
          mapping.file.references++;
          rest.push({ ...mapping, start: from, end: to });
        }
        release(mapping.file);
      }
      this.#served = rest;
    }
  }

  /** Writes changed pages of a shared mapping to its file, never beyond the file's end. */
  #writeBack(mapping: FileMapping): void {
    const { shadow, file, offset } = mapping;
    if (!shadow) return;
    const size = file.host.stat().size;
    const bytes = this.memory.hostView(mapping.start, mapping.end - mapping.start)!;
    const end = Math.min(bytes.length, size - offset);
    for (let at = 0; at < end; at += PAGE_SIZE) {
      const stop = Math.min(at + PAGE_SIZE, end);
      let i = at;
      while (i < stop && bytes[i] === shadow[i]) i++;
      if (i === stop) continue;
      const page = bytes.subarray(at, stop);
      let done = 0;
      while (done < page.length) {
        done += file.host.write(page.subarray(done), offset + at + done);
      }
      shadow.set(page, at);
    }
  }

  /** Writes shared mappings of a file (all files if absent) back. */
  flush(key?: string): void {
    if (!this.hasShared) return;
    for (const mapping of this.#files) {
      if (key === undefined || mapping.file.key === key) this.#writeBack(mapping);
    }
  }

  /** Shows a write to a file in its shared mappings. */
  wrote(file: RegularFile, position: number, bytes: Uint8Array): void {
    for (const mapping of this.#files) {
      if (!mapping.shadow || mapping.file.key !== file.key) continue;
      const from = Math.max(position, mapping.offset);
      const to = Math.min(position + bytes.length, mapping.offset + mapping.end - mapping.start);
      if (to <= from) continue;
      const part = bytes.subarray(from - position, to - position);
      mapping.shadow.set(part, from - mapping.offset);
      this.memory.hostView(mapping.start + from - mapping.offset, to - from)!.set(part);
    }
  }

  /** mprotect(2). */
  mprotect(address: number, size: number, prot: number): number {
    if (address % PAGE_SIZE !== 0 || prot & PROT_GROWS || prot & ~(PROT_ALL | 8)) return -E.EINVAL;
    if (size === 0) return 0;
    const length = pageUp(size);
    if (!this.memory.inBounds(address, length)) return -E.ENOMEM;
    if (prot & Prot.WRITE) {
      const end = address + length;
      for (const mapping of this.#served) {
        // The area belongs to the host: rights are what its mmap gave.
        if (mapping.start < end && mapping.end > address && !mapping.file.writable) {
          return -E.EACCES;
        }
      }
    }
    return this.memory.protect(address, length, prot & PROT_ALL) ? 0 : -E.ENOMEM;
  }

  #protAt(address: number): number {
    const { memory } = this;
    return (memory.isReadable(address, 1) ? Prot.READ : 0) |
      (memory.isWritable(address, 1) ? Prot.WRITE : 0) |
      (memory.isExecutable(address, 1) ? Prot.EXEC : 0);
  }

  /** mremap(2). */
  mremap(address: number, oldSize: number, newSize: number, flags: number, to: number): number {
    const { memory } = this;
    const oldLength = pageUp(oldSize), newLength = pageUp(newSize);
    if (address % PAGE_SIZE !== 0 || newLength === 0 || oldLength === 0) return -E.EINVAL;
    if (flags & ~7 || flags & MREMAP.DONTUNMAP) return -E.EINVAL;
    if (flags & MREMAP.FIXED && !(flags & MREMAP.MAYMOVE)) return -E.EINVAL;
    if (!memory.isMapped(address, oldLength)) return -E.EFAULT;
    if (newLength > memory.size) return -E.ENOMEM;
    const end = address + oldLength;
    if (this.#served.some((m) => m.start < end && m.end > address)) return -E.EINVAL;
    if (this.#isReserved(address, oldLength)) return -E.EINVAL;
    const prot = this.#protAt(address);
    for (let page = address; page < end; page += PAGE_SIZE) {
      // Linux wants one mapping; here a range of equal rights stands for one.
      if (this.#protAt(page) !== prot) return -E.EFAULT;
    }
    if (flags & MREMAP.FIXED) {
      const error = this.#checkFixed(to, newLength);
      if (error) return error;
      if (to < end && to + newLength > address) return -E.EINVAL;
      if (this.#isReserved(to, newLength)) return -E.ENOMEM;
      this.munmap(to, newLength);
      return this.#move(address, oldLength, to, newLength, prot);
    }
    if (newLength <= oldLength) {
      if (newLength < oldLength) this.munmap(address + newLength, oldLength - newLength);
      return address;
    }
    if (
      end + (newLength - oldLength) <= this.#program.mmapEnd &&
      memory.isFree(end, newLength - oldLength)
    ) {
      memory.map(end, newLength - oldLength, prot);
      this.#grown(address, end, newLength);
      return address;
    }
    if (!(flags & MREMAP.MAYMOVE)) return -E.ENOMEM;
    const target = this.allocate(newLength);
    if (target === undefined) return -E.ENOMEM;
    return this.#move(address, oldLength, target, newLength, prot);
  }

  /** A file mapping that ended at `end` now has more pages: they hold more of the file. */
  #grown(address: number, end: number, newLength: number): void {
    const mapping = this.#files.find((m) => m.end === end && m.start <= address);
    if (!mapping) return;
    const added = address + newLength - end;
    this.#load(mapping.file, end, added, mapping.offset + end - mapping.start);
    mapping.end += added;
    if (mapping.shadow) {
      mapping.shadow = this.memory.hostView(mapping.start, mapping.end - mapping.start)!.slice();
    }
  }

  #move(from: number, oldLength: number, to: number, newLength: number, prot: number): number {
    const { memory } = this;
    const kept = Math.min(oldLength, newLength);
    const mapping = this.#files.find((m) => m.start <= from && m.end >= from + oldLength);
    memory.map(to, newLength, prot);
    memory.hostView(to, kept)!.set(memory.hostView(from, kept)!);
    if (mapping) {
      this.#writeBack(mapping);
      const offset = mapping.offset + from - mapping.start;
      if (newLength > oldLength) {
        this.#load(mapping.file, to + kept, newLength - kept, offset + kept);
      }
      mapping.file.references++;
      const shadow = mapping.shadow ? memory.hostView(to, newLength)!.slice() : undefined;
      this.#files.push({ start: to, end: to + newLength, file: mapping.file, offset, shadow });
    }
    this.munmap(from, oldLength);
    return to;
  }

  /** madvise(2). */
  madvise(address: number, size: number, advice: number): number {
    const { memory } = this;
    const length = pageUp(size);
    if (address % PAGE_SIZE !== 0 || !MADV_KNOWN.has(advice)) return -E.EINVAL;
    if (length === 0) return 0;
    if (!memory.isMapped(address, length)) return -E.ENOMEM;
    const end = address + length;
    if (advice !== MADV_DONTNEED && advice !== MADV_FREE) return 0;
    if (this.#served.some((m) => m.start < end && m.end > address)) return -E.EINVAL;
    const mapped = this.#files.filter((m) => m.start < end && m.end > address);
    if (mapped.length > 0 && advice === MADV_FREE) return -E.EINVAL;
    for (const mapping of mapped) this.#writeBack(mapping);
    memory.hostView(address, length)!.fill(0);
    for (const mapping of mapped) {
      const start = Math.max(mapping.start, address), stop = Math.min(mapping.end, end);
      this.#load(mapping.file, start, stop - start, mapping.offset + start - mapping.start);
    }
    return 0;
  }

  /** msync(2). */
  msync(address: number, size: number, flags: number): number {
    const length = pageUp(size);
    if (address % PAGE_SIZE !== 0 || flags & ~7 || (flags & 5) === 5) return -E.EINVAL;
    if (length === 0) return 0;
    if (!this.memory.isMapped(address, length)) return -E.ENOMEM;
    for (const mapping of this.#files) {
      if (mapping.start < address + length && mapping.end > address) this.#writeBack(mapping);
    }
    return 0;
  }

  /** The mappings, with the heap apart from the program's data before it. */
  *#areas(): Generator<Mapping> {
    const { brkStart } = this.#program;
    for (const { start, end, prot } of this.memory.mappings()) {
      const cut = start < brkStart && end > brkStart ? brkStart : start;
      if (cut > start) yield { start, end: cut, prot };
      yield { start: cut, end, prot };
    }
  }

  /** Text of /proc/self/maps. */
  maps(exePath: string): string {
    const { brkStart, stackStart, imageStart } = this.#program;
    let text = "";
    for (const { start, end, prot } of this.#areas()) {
      const file = this.#files.find((m) => m.start >= start && m.start < end);
      const served = this.#served.find((m) => m.start >= start && m.start < end);
      const name = start >= imageStart && start < brkStart
        ? exePath
        : start < this.#brk && start >= brkStart
        ? "[heap]"
        : start >= stackStart
        ? "[stack]"
        : (file ?? served)?.file.path ?? "";
      const rights = (prot & Prot.READ ? "r" : "-") + (prot & Prot.WRITE ? "w" : "-") +
        (prot & Prot.EXEC ? "x" : "-") + (file?.shadow || served ? "s" : "p");
      const offset = (file?.offset ?? 0).toString(16).padStart(8, "0");
      const range = `${start.toString(16).padStart(8, "0")}-${end.toString(16).padStart(8, "0")}`;
      text += `${`${range} ${rights} ${offset} 00:00 0`.padEnd(name ? 73 : 0)}${name}\n`;
    }
    return text;
  }

  /** Bytes of mapped pages. */
  mappedBytes(): number {
    let sum = 0;
    for (const { start, end } of this.memory.mappings()) sum += end - start;
    return sum;
  }

  /** Writes everything back and lets files go. */
  close(): void {
    try {
      this.flush();
    } finally {
      for (const { file } of this.#files) release(file);
      for (const { file } of this.#served) release(file);
      this.#files = [];
      this.#served = [];
      this.hasShared = false;
    }
  }
}
