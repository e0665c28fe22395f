/**
 * Executable files in ELF: parsing and validation. Every number in the file is treated as hostile.
 *
 * Source: System V ABI, chapters 4 and 5 (gabi 4.1); Linux fs/binfmt_elf.c for what an executable may be.
 *
 * @module
 */

/** A file that cannot be run, with its name and the reason in the message. */
export class ElfError extends Error {
  /** "ElfError". */
  override name = "ElfError";
  /** Name of the file as it was given. */
  readonly file: string;
  /** Why it cannot be run. */
  readonly reason: string;
  /** Makes the error for a file and a reason. */
  constructor(file: string, reason: string) {
    super(`Cannot run ${file}: ${reason}`);
    this.file = file;
    this.reason = reason;
  }
}

/** Bits of {@linkcode ElfSegment.flags}. */
export const SegmentFlag = { EXEC: 1, WRITE: 2, READ: 4 } as const;

/** A PT_LOAD segment. */
export interface ElfSegment {
  /** Address as linked, in bytes. */
  address: number;
  /** Physical address, for what runs without an operating system. */
  physical: number;
  /** Bytes in memory, at least {@linkcode fileSize}. */
  memorySize: number;
  /** First byte in the file. */
  offset: number;
  /** Bytes in the file; the rest of memory is zero. */
  fileSize: number;
  /** `SegmentFlag` bits. */
  flags: number;
  /** Alignment in bytes, a power of two, 1 or more. */
  align: number;
}

/** An executable file, parsed and found to be sound. */
export interface Elf {
  /** Name of the file as it was given. */
  file: string;
  /** The file. */
  bytes: Uint8Array;
  /** 32 or 64: bits of an address. */
  class: 32 | 64;
  /** `e_machine`: 243 is RISC-V. */
  machine: number;
  /** `e_flags`. */
  flags: number;
  /** Whether it may be loaded anywhere (ET_DYN: a static PIE). */
  pie: boolean;
  /** Entry point as linked. */
  entry: number;
  /** PT_LOAD segments in address order; they do not overlap. */
  segments: ElfSegment[];
  /** First address of the lowest segment. */
  low: number;
  /** Address after the highest segment. */
  high: number;
  /** Program headers: offset in the file, bytes of one, how many, and the address as linked (0: not loaded). */
  phdr: { offset: number; size: number; count: number; address: number };
  /** Whether the stack must be executable (PT_GNU_STACK with PF_X). */
  executableStack: boolean;
}

/** An instruction set that the caller can run. */
export interface ElfTarget {
  /** Name for messages, such as "riscv64". */
  name: string;
  /** `e_machine`. */
  machine: number;
  /** Bits of an address. */
  class: 32 | 64;
}

/** Names of `e_machine` values for messages (the registry of the System V ABI). */
const MACHINES: Readonly<Record<number, string>> = {
  2: "SPARC",
  3: "x86",
  4: "m68k",
  8: "MIPS",
  20: "PowerPC",
  21: "PowerPC64",
  22: "S/390",
  40: "Arm",
  42: "SuperH",
  43: "SPARC V9",
  50: "Itanium",
  62: "x86-64",
  83: "AVR",
  94: "Xtensa",
  183: "AArch64",
  243: "RISC-V",
  247: "BPF",
  258: "LoongArch",
};

const PT_LOAD = 1;
const PT_INTERP = 3;
const PT_PHDR = 6;
const PT_GNU_STACK = 0x6474e551;
const ET_NAMES: Readonly<Record<number, string>> = {
  0: "a file without a type",
  1: "a relocatable object file; link it into a program first",
  4: "a core dump",
};
/** More than any linker makes; Linux' own limit is 64 KiB of headers. */
const MAX_PROGRAM_HEADERS = 1024;
const PN_XNUM = 0xffff;

/** Field offsets of both classes: a table instead of two parsers. */
const LAYOUT = {
  32: {
    header: 52,
    entry: 24,
    phoff: 28,
    flags: 36,
    phentsize: 42,
    phnum: 44,
    ph: {
      ...{ size: 32, type: 0, flags: 24, offset: 4, vaddr: 8, paddr: 12 },
      ...{ filesz: 16, memsz: 20, align: 28 },
    },
  },
  64: {
    header: 64,
    entry: 24,
    phoff: 32,
    flags: 48,
    phentsize: 54,
    phnum: 56,
    ph: {
      ...{ size: 56, type: 0, flags: 4, offset: 8, vaddr: 16, paddr: 24 },
      ...{ filesz: 32, memsz: 40, align: 48 },
    },
  },
} as const;

const hex = (value: number): string => `0x${value.toString(16)}`;

/** Says what a file that is no ELF looks like. */
function describeNonElf(bytes: Uint8Array): string {
  if (bytes.length === 0) return "the file is empty";
  if (bytes[0] === 0x23 && bytes[1] === 0x21) {
    const end = bytes.subarray(0, 128).indexOf(10);
    const line = new TextDecoder().decode(bytes.subarray(2, end < 0 ? 128 : end)).trim();
    return `it is a script, not an ELF file; run its interpreter (${line}) with the script as argument`;
  }
  if (bytes[0] === 0x4d && bytes[1] === 0x5a) return "it is a Windows program, not an ELF file";
  if (bytes[0] === 0 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d) {
    return "it is a WebAssembly module, not an ELF file";
  }
  if (bytes[0] === 0xcf && bytes[1] === 0xfa) return "it is a macOS program, not an ELF file";
  return "it is not an ELF file (no 7f 45 4c 46 at its start)";
}

/**
 * Parses and validates an executable.
 *
 * @param bytes The whole file.
 * @param file Its name, for messages.
 * @param targets What the caller can run; any machine is accepted if absent.
 * @throws {ElfError} If the file is not a static, little-endian, sound executable for one of the targets.
 */
export function parseElf(bytes: Uint8Array, file: string, targets?: readonly ElfTarget[]): Elf {
  const fail = (reason: string): never => {
    throw new ElfError(file, reason);
  };
  if (bytes[0] !== 0x7f || bytes[1] !== 0x45 || bytes[2] !== 0x4c || bytes[3] !== 0x46) {
    fail(describeNonElf(bytes));
  }
  const truncated = (what: string, end: number): never =>
    fail(`the file is truncated: ${what} ends at byte ${end}, the file at byte ${bytes.length}`);
  if (bytes.length < 52) truncated("the ELF header", 52);
  const ident = bytes[4];
  if (ident !== 1 && ident !== 2) {
    fail(`its ELF class ${ident} is neither 32-bit (1) nor 64-bit (2)`);
  }
  if (bytes[5] !== 1) {
    fail(bytes[5] === 2 ? "it is big-endian" : `its byte order ${bytes[5]} is unknown`);
  }
  if (bytes[6] !== 1) fail(`its ELF version ${bytes[6]} is not 1`);
  const bits = ident === 1 ? 32 : 64;
  const at = LAYOUT[bits];
  if (bytes.length < at.header) truncated("the ELF header", at.header);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (offset: number): number =>
    bits === 32 ? view.getUint32(offset, true) : Number(view.getBigUint64(offset, true));

  const machine = view.getUint16(18, true);
  if (targets && !targets.some((t) => t.machine === machine && t.class === bits)) {
    const names = new Intl.ListFormat("en-GB").format(targets.map((t) => t.name));
    fail(
      `it is for ${
        MACHINES[machine] ?? `machine ${machine}`
      } (${bits}-bit); ${names} programs can be run`,
    );
  }
  const type = view.getUint16(16, true);
  if (type !== 2 && type !== 3) {
    fail(`it is not an executable but ${ET_NAMES[type] ?? `of ELF type ${type}`}`);
  }
  const phoff = word(at.phoff);
  const phentsize = view.getUint16(at.phentsize, true);
  const phnum = view.getUint16(at.phnum, true);
  if (phnum === 0) fail("it has no program headers");
  if (phentsize !== at.ph.size) {
    fail(`its program headers are ${phentsize} bytes long instead of ${at.ph.size}`);
  }
  if (phnum === PN_XNUM || phnum > MAX_PROGRAM_HEADERS) {
    fail(`it has ${phnum} program headers; at most ${MAX_PROGRAM_HEADERS} are possible`);
  }
  const phend = phoff + phnum * phentsize;
  if (phend > bytes.length) truncated("the program header table", phend);

  const top = bits === 32 ? 2 ** 32 : 2 ** 53;
  const segments: ElfSegment[] = [];
  let executableStack = false;
  let phdrAddress = 0;
  for (let i = 0; i < phnum; i++) {
    const base = phoff + i * phentsize;
    const kind = view.getUint32(base + at.ph.type, true);
    const flags = view.getUint32(base + at.ph.flags, true);
    const offset = word(base + at.ph.offset);
    const address = word(base + at.ph.vaddr);
    const physical = word(base + at.ph.paddr);
    const fileSize = word(base + at.ph.filesz);
    const memorySize = word(base + at.ph.memsz);
    const align = word(base + at.ph.align);
    if (kind === PT_GNU_STACK) executableStack = (flags & SegmentFlag.EXEC) !== 0;
    if (kind === PT_PHDR) phdrAddress = address;
    if (kind === PT_INTERP) {
      const end = offset + Math.min(fileSize, 256);
      const name = end <= bytes.length
        ? new TextDecoder().decode(bytes.subarray(offset, end)).replace(/\0.*$/s, "")
        : "a dynamic loader";
      fail(`it is dynamically linked (it needs ${name}); link it with -static`);
    }
    if (kind !== PT_LOAD || memorySize === 0) continue;
    const which = `segment ${i}`;
    if (fileSize > memorySize) {
      fail(`${which} has more bytes in the file (${fileSize}) than in memory (${memorySize})`);
    }
    if (fileSize > 0 && offset + fileSize > bytes.length) truncated(which, offset + fileSize);
    if (address + memorySize > top) {
      fail(`${which} (${hex(address)}, ${hex(memorySize)} bytes) reaches beyond the address space`);
    }
    if (align > 1) {
      if (!Number.isSafeInteger(align) || 2 ** Math.round(Math.log2(align)) !== align) {
        fail(`the alignment ${hex(align)} of ${which} is not a power of two`);
      }
      // As Linux, which maps whole pages: congruent modulo a page is enough.
      const page = Math.min(align, 4096);
      if (offset < top && (address - offset) % page !== 0) {
        fail(
          `${which} (${hex(address)}, file offset ${hex(offset)}) is not aligned to ${hex(page)}`,
        );
      }
    }
    segments.push({
      ...{ address, physical, memorySize, offset, fileSize },
      ...{ flags: flags & 7, align: align || 1 },
    });
  }
  if (segments.length === 0) fail("it has nothing to load (no PT_LOAD segment)");
  segments.sort((a, b) => a.address - b.address);
  for (let i = 1; i < segments.length; i++) {
    const before = segments[i - 1], { address } = segments[i];
    if (before.address + before.memorySize > address) {
      fail(`its segments at ${hex(before.address)} and ${hex(address)} overlap`);
    }
  }
  const entry = word(at.entry);
  const within = (segment: ElfSegment, address: number): boolean =>
    address >= segment.address && address - segment.address < segment.memorySize;
  if (type === 3 && entry === 0) fail("it has no entry point; is it a shared library?");
  if (!segments.some((s) => s.flags & SegmentFlag.EXEC && within(s, entry))) {
    fail(`its entry point ${hex(entry)} is not in an executable segment`);
  }
  const holder = segments.find((s) => phoff >= s.offset && phend <= s.offset + s.fileSize);
  if (holder) phdrAddress = phoff - holder.offset + holder.address;
  else if (!segments.some((s) => within(s, phdrAddress))) phdrAddress = 0;
  const last = segments[segments.length - 1];
  return {
    file,
    bytes,
    class: bits,
    machine,
    flags: view.getUint32(at.flags, true),
    pie: type === 3,
    entry,
    segments,
    low: segments[0].address,
    high: last.address + last.memorySize,
    phdr: { offset: phoff, size: phentsize, count: phnum, address: phdrAddress },
    executableStack,
  };
}
