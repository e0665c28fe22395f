/**
 * Loads an executable into a user address space and builds the initial stack, as Linux' fs/binfmt_elf.c does.
 *
 * Layout of guest memory, from low to high addresses:
 *
 * | what                | where                                                        |
 * |---------------------|--------------------------------------------------------------|
 * | nothing             | 0 to 0x10000: null pointers fault                            |
 * | program             | where it is linked; a static PIE at {@linkcode PIE_BASE}     |
 * | brk                 | from the page after the program, upwards                     |
 * | mmap                | from below the stack's guard gap, downwards                  |
 * | guard gap, stack    | 1 MiB, 8 MiB (less when guest memory is small)               |
 * | one unmapped page   | the end of guest memory                                      |
 *
 * @module
 */
import type { AddressSpace } from "../../mmu/address_space.ts";
import { Prot } from "../../mmu/address_space.ts";
import { PAGE_SIZE } from "../../mmu/arena.ts";
import { type Elf, ElfError, type ElfSegment, SegmentFlag } from "./elf.ts";

/** Lowest address a program may use; Linux' vm.mmap_min_addr. */
export const LOWEST_ADDRESS = 0x1_0000;
/** Where static PIEs are loaded, rounded up to their alignment. */
export const PIE_BASE = 0x1_0000;
/** Bytes of stack, unless guest memory is small. */
export const STACK_SIZE = 8 << 20;
/** Unmapped bytes below the stack; Linux' stack_guard_gap is 256 pages too. */
export const STACK_GUARD = 1 << 20;
/** Clock ticks a second, for AT_CLKTCK and times(2). */
export const CLOCK_TICKS = 100;

/** Entries of the auxiliary vector (include/uapi/linux/auxvec.h). */
export const AuxType = {
  NULL: 0,
  PHDR: 3,
  PHENT: 4,
  PHNUM: 5,
  PAGESZ: 6,
  BASE: 7,
  FLAGS: 8,
  ENTRY: 9,
  UID: 11,
  EUID: 12,
  GID: 13,
  EGID: 14,
  PLATFORM: 15,
  HWCAP: 16,
  CLKTCK: 17,
  SECURE: 23,
  RANDOM: 25,
  HWCAP2: 26,
  EXECFN: 31,
} as const;

/** What a program is started with. */
export interface LoadOptions {
  /** Arguments, the program's name first. */
  argv: readonly string[];
  /** Environment, "NAME=value". */
  envp?: readonly string[];
  /** Path the program was started by (AT_EXECFN); `argv[0]` if absent. */
  execfn?: string;
  /** AT_HWCAP of the instruction set. */
  hwcap: bigint;
  /** AT_HWCAP2, if the instruction set has one. */
  hwcap2?: bigint;
  /** AT_PLATFORM, if the instruction set has one. */
  platform?: string;
  /** Fills AT_RANDOM's 16 bytes; give a fixed source for repeatable runs. */
  random?: (bytes: Uint8Array) => void;
  /** User id, 1000 if absent. */
  uid?: number;
  /** Group id, 1000 if absent. */
  gid?: number;
}

/** A loaded program. */
export interface LoadedProgram {
  /** Where execution starts. */
  entry: number;
  /** Initial stack pointer, 16-byte aligned, at argc. */
  sp: number;
  /** What was added to the linked addresses: 0 unless the program is a PIE. */
  bias: number;
  /** Initial program break, page-aligned. */
  brkStart: number;
  /** Lowest address of the stack. */
  stackStart: number;
  /** Address after the stack. */
  stackEnd: number;
  /** Where the mmap region ends: mappings are placed below it. */
  mmapEnd: number;
  /** First address of the program's lowest page. */
  imageStart: number;
}

const pageDown = (address: number): number => Math.floor(address / PAGE_SIZE) * PAGE_SIZE;
const pageUp = (address: number): number => Math.ceil(address / PAGE_SIZE) * PAGE_SIZE;
const mib = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;

function protOf(segment: ElfSegment): number {
  const { flags } = segment;
  return (flags & SegmentFlag.READ ? Prot.READ : 0) | (flags & SegmentFlag.WRITE ? Prot.WRITE : 0) |
    (flags & SegmentFlag.EXEC ? Prot.EXEC : 0);
}

/** Maps the segments; two that share a page give it the rights of both. */
function mapSegments(memory: AddressSpace, elf: Elf, bias: number): void {
  let mappedEnd = 0;
  let sharedProt = 0;
  for (const segment of elf.segments) {
    const address = segment.address + bias;
    const end = pageUp(address + segment.memorySize);
    const prot = protOf(segment);
    let start = pageDown(address);
    if (start < mappedEnd) {
      sharedProt |= prot;
      memory.protect(mappedEnd - PAGE_SIZE, PAGE_SIZE, sharedProt);
      start = mappedEnd;
    }
    if (end > start) {
      memory.map(start, end - start, prot);
      mappedEnd = end;
      sharedProt = prot;
    }
    const bytes = elf.bytes.subarray(segment.offset, segment.offset + segment.fileSize);
    memory.hostView(address, segment.fileSize)!.set(bytes);
  }
}

/** Writes strings downwards from the top of the stack and remembers where they are. */
class StackWriter {
  readonly memory: AddressSpace;
  at: number;
  constructor(memory: AddressSpace, top: number) {
    this.memory = memory;
    this.at = top;
  }
  bytes(bytes: Uint8Array): number {
    this.at -= bytes.length;
    this.memory.hostView(this.at, bytes.length)!.set(bytes);
    return this.at;
  }
}

const encoder = new TextEncoder();
function cString(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  const nul = bytes.indexOf(0);
  const end = nul < 0 ? bytes.length : nul;
  const result = new Uint8Array(end + 1);
  result.set(bytes.subarray(0, end));
  return result;
}

/**
 * Maps a program and its stack into an address space.
 *
 * @param memory An address space in which nothing is mapped yet.
 * @throws {ElfError} If the program, its stack, arguments and environment do not fit into guest memory.
 */
export function loadProgram(memory: AddressSpace, elf: Elf, options: LoadOptions): LoadedProgram {
  const align = Math.max(PAGE_SIZE, ...elf.segments.map((s) => s.align));
  const bias = elf.pie ? Math.ceil(Math.max(0, PIE_BASE - pageDown(elf.low)) / align) * align : 0;
  const low = pageDown(elf.low + bias), high = pageUp(elf.high + bias);
  if (low < LOWEST_ADDRESS) {
    throw new ElfError(
      elf.file,
      `its first segment is at 0x${elf.low.toString(16)}; programs start at 0x10000 or above`,
    );
  }
  // Room for the stack: an eighth of a small memory, at least 64 KiB, at most what Linux gives.
  const stackSize = Math.max(65536, Math.min(STACK_SIZE, pageDown(memory.size / 8)));
  const guard = Math.min(STACK_GUARD, pageDown(stackSize / 8));
  const stackEnd = memory.size - PAGE_SIZE;
  const stackStart = stackEnd - stackSize;
  const mmapEnd = stackStart - guard;
  if (high > mmapEnd) {
    throw new ElfError(
      elf.file,
      `it takes ${mib(high - low)} up to address 0x${high.toString(16)}, and a stack of ${
        mib(stackSize)
      }; guest memory is ${mib(memory.size)}: give more with --memory`,
    );
  }

  const { argv, envp = [], execfn = argv[0] ?? elf.file } = options;
  const argStrings = argv.map(cString), envStrings = envp.map(cString);
  const word = elf.class / 8;
  const total = [...argStrings, ...envStrings].reduce((sum, s) => sum + s.length + word, 0);
  // Linux' limit: a quarter of the stack (fs/exec.c, bprm_stack_limits).
  if (total > stackSize / 4) {
    throw new ElfError(
      elf.file,
      `its arguments and environment take ${total} bytes; at most ${stackSize / 4} are possible`,
    );
  }

  mapSegments(memory, elf, bias);
  const stackProt = Prot.READ | Prot.WRITE | (elf.executableStack ? Prot.EXEC : 0);
  memory.map(stackStart, stackSize, stackProt);

  const stack = new StackWriter(memory, stackEnd - word);
  const execfnAt = stack.bytes(cString(execfn));
  const envAt = envStrings.toReversed().map((s) => stack.bytes(s)).reverse();
  const argAt = argStrings.toReversed().map((s) => stack.bytes(s)).reverse();
  stack.at = Math.floor(stack.at / 16) * 16;
  const platformAt = options.platform === undefined ? 0 : stack.bytes(cString(options.platform));
  const random = new Uint8Array(16);
  (options.random ?? ((bytes) => crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>)))(random);
  const randomAt = stack.bytes(random);

  const uid = options.uid ?? 1000, gid = options.gid ?? 1000;
  const aux: [number, number | bigint][] = [
    [AuxType.HWCAP, options.hwcap],
    [AuxType.PAGESZ, PAGE_SIZE],
    [AuxType.CLKTCK, CLOCK_TICKS],
    [AuxType.PHDR, elf.phdr.address === 0 ? 0 : elf.phdr.address + bias],
    [AuxType.PHENT, elf.phdr.size],
    [AuxType.PHNUM, elf.phdr.count],
    [AuxType.BASE, 0],
    [AuxType.FLAGS, 0],
    [AuxType.ENTRY, elf.entry + bias],
    [AuxType.UID, uid],
    [AuxType.EUID, uid],
    [AuxType.GID, gid],
    [AuxType.EGID, gid],
    [AuxType.SECURE, 0],
    [AuxType.RANDOM, randomAt],
    [AuxType.EXECFN, execfnAt],
  ];
  if (options.hwcap2 !== undefined) aux.push([AuxType.HWCAP2, options.hwcap2]);
  if (platformAt) aux.push([AuxType.PLATFORM, platformAt]);
  aux.push([AuxType.NULL, 0]);

  const words = [argv.length, ...argAt, 0, ...envAt, 0, ...aux.flat()];
  const sp = Math.floor((stack.at - words.length * word) / 16) * 16;
  const bytes = memory.hostView(sp, words.length * word)!;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  words.forEach((value, i) => {
    if (word === 8) view.setBigUint64(i * 8, BigInt(value), true);
    else view.setUint32(i * 4, Number(BigInt.asUintN(32, BigInt(value))), true);
  });
  return {
    entry: elf.entry + bias,
    sp,
    bias,
    brkStart: high,
    stackStart,
    stackEnd,
    mmapEnd,
    imageStart: low,
  };
}

/**
 * Whether guest memory holds what {@linkcode loadProgram} put there, in an executable segment.
 *
 * @param bias That of the loaded program.
 * @param address Guest address of the first byte.
 * @param length Bytes.
 */
export function isCodeAsLoaded(
  memory: AddressSpace,
  elf: Elf,
  bias: number,
  address: number,
  length: number,
): boolean {
  for (const segment of elf.segments) {
    const from = address - bias - segment.address;
    if (from < 0 || from + length > segment.fileSize) continue;
    if ((segment.flags & SegmentFlag.EXEC) === 0) return false;
    const at = segment.offset + from, code = elf.bytes.subarray(at, at + length);
    return memory.arena.m8.subarray(address, address + length).every((byte, i) => byte === code[i]);
  }
  return false;
}
