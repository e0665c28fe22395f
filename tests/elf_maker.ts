/**
 * Makes small ELF files for tests.
 *
 * @module
 */

/** A program header of the file to make. */
export interface TestSegment {
  /** PT_LOAD (1) if absent. */
  type?: number;
  /** PF_* bits; read and execute if absent. */
  flags?: number;
  address: number | bigint;
  /** Content. */
  bytes?: Uint8Array;
  /** Bytes in memory; the content's if absent. */
  memorySize?: number | bigint;
  /** Bytes in the file as the header says; the content's if absent. */
  fileSize?: number | bigint;
  /** File offset as the header says; where the content is if absent. */
  offset?: number | bigint;
  align?: number | bigint;
}

/** The file to make. */
export interface TestElf {
  class?: 32 | 64;
  /** ET_EXEC (2) if absent. */
  type?: number;
  /** EM_RISCV (243) if absent. */
  machine?: number;
  entry?: number | bigint;
  segments: TestSegment[];
}

/** Makes a file: header, program headers, and each segment's content at an offset congruent to its address. */
export function makeElf(elf: TestElf): Uint8Array<ArrayBuffer> {
  const wide = (elf.class ?? 64) === 64;
  const headerSize = wide ? 64 : 52, phSize = wide ? 56 : 32;
  const places: number[] = [];
  let end = headerSize + phSize * elf.segments.length;
  for (const segment of elf.segments) {
    const wanted = Number(BigInt.asUintN(12, BigInt(segment.address)));
    end += (wanted - end % 4096 + 4096) % 4096;
    places.push(end);
    end += segment.bytes?.length ?? 0;
  }
  const bytes = new Uint8Array(end);
  const view = new DataView(bytes.buffer);
  const word = (at: number, value: number | bigint) =>
    wide
      ? view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true)
      : view.setUint32(at, Number(BigInt.asUintN(32, BigInt(value))), true);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  view.setUint16(16, elf.type ?? 2, true);
  view.setUint16(18, elf.machine ?? 243, true);
  view.setUint32(20, 1, true);
  const size = wide ? 8 : 4;
  word(24, elf.entry ?? elf.segments[0]?.address ?? 0);
  word(24 + size, headerSize);
  const tail = 24 + 3 * size + 4;
  view.setUint16(tail, headerSize, true);
  view.setUint16(tail + 2, phSize, true);
  view.setUint16(tail + 4, elf.segments.length, true);
  elf.segments.forEach((segment, i) => {
    const at = headerSize + i * phSize;
    const length = segment.bytes?.length ?? 0;
    view.setUint32(at, segment.type ?? 1, true);
    view.setUint32(at + (wide ? 4 : 24), segment.flags ?? 5, true);
    word(at + (wide ? 8 : 4), segment.offset ?? places[i]);
    word(at + (wide ? 16 : 8), segment.address);
    word(at + (wide ? 24 : 12), segment.address);
    word(at + (wide ? 32 : 16), segment.fileSize ?? length);
    word(at + (wide ? 40 : 20), segment.memorySize ?? length);
    word(at + (wide ? 48 : 28), segment.align ?? 4096);
    bytes.set(segment.bytes ?? [], places[i]);
  });
  return bytes;
}
