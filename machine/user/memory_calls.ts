/**
 * System calls on memory mappings.
 *
 * @module
 */
import { E } from "./errno.ts";
import { PAGE_SIZE } from "../../mmu/arena.ts";
import type { Handler, Kernel } from "./kernel.ts";
import { MapFlag } from "./memory.ts";

function mmap(
  k: Kernel,
  hint: number,
  size: number,
  prot: number,
  flags: number,
  fd: number,
  offset: number,
): number {
  if (flags & MapFlag.ANONYMOUS) return k.map.mmap(hint, size, prot, flags, undefined, 0);
  const file = k.fds.get(fd);
  return file ? k.map.mmap(hint, size, prot, flags, file, offset) : -E.EBADF;
}

function mincore(k: Kernel, address: number, size: number, vector: number): number {
  if (address % PAGE_SIZE !== 0) return -E.EINVAL;
  if (size === 0) return 0;
  const pages = Math.ceil(size / PAGE_SIZE);
  if (!k.memory.isMapped(address, pages * PAGE_SIZE)) return -E.ENOMEM;
  k.memory.write(vector, new Uint8Array(pages).fill(1));
  return 0;
}

/** mlock and friends: guest memory is never swapped by us, so all that is left is the check. */
function mlock(k: Kernel, address: number, size: number): number {
  const start = Math.floor(address / PAGE_SIZE) * PAGE_SIZE;
  return k.memory.isMapped(start, address - start + size) ? 0 : -E.ENOMEM;
}

/** The calls, by name. */
export const memoryCalls: Readonly<Record<string, Handler>> = {
  brk: (k, address) => k.map.brk(address),
  mmap,
  mmap2: (k, hint, size, prot, flags, fd, page) =>
    mmap(k, hint, size, prot, flags, fd, page * 4096),
  munmap: (k, address, size) => k.map.munmap(address, size),
  mprotect: (k, address, size, prot) => k.map.mprotect(address, size, prot),
  mremap: (k, address, oldSize, newSize, flags, to) =>
    k.map.mremap(address, oldSize, newSize, flags, to),
  madvise: (k, address, size, advice) => k.map.madvise(address, size, advice),
  msync: (k, address, size, flags) => k.map.msync(address, size, flags),
  mincore,
  mlock,
  mlock2: (k, address, size, flags) => flags & ~1 ? -E.EINVAL : mlock(k, address, size),
  munlock: mlock,
};
