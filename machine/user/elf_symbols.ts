/**
 * Functions that an executable's symbol tables name.
 *
 * Source: System V Application Binary Interface, Edition 4.1, chapter 4, "Sections" and "Symbol Table".
 *
 * @module
 */
import type { Elf } from "./elf.ts";

const SHT_SYMTAB = 2, SHT_DYNSYM = 11, STT_FUNC = 2;
/** Places in the ELF header, a section header and a symbol. */
const LAYOUT = {
  32: {
    shoff: 32,
    shentsize: 46,
    shnum: 48,
    section: 40,
    offset: 16,
    size: 20,
    symbol: 16,
    value: 4,
    info: 12,
  },
  64: {
    shoff: 40,
    shentsize: 58,
    shnum: 60,
    section: 64,
    offset: 24,
    size: 32,
    symbol: 24,
    value: 8,
    info: 4,
  },
};

/**
 * Addresses of the functions, as linked, in ascending order; none if the file has no symbols or its tables are not sound:
 * nothing needs them to run.
 */
export function functionSymbols(elf: Elf): number[] {
  const { bytes } = elf, at = LAYOUT[elf.class];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (offset: number): number =>
    elf.class === 32 ? view.getUint32(offset, true) : Number(view.getBigUint64(offset, true));
  const found = new Set<number>();
  const start = word(at.shoff), count = view.getUint16(at.shnum, true);
  if (view.getUint16(at.shentsize, true) !== at.section) return [];
  if (start + count * at.section > bytes.length) return [];
  for (let i = 0; i < count; i++) {
    const header = start + i * at.section, type = view.getUint32(header + 4, true);
    if (type !== SHT_SYMTAB && type !== SHT_DYNSYM) continue;
    const from = word(header + at.offset), end = from + word(header + at.size);
    if (end > bytes.length) continue;
    for (let symbol = from; symbol + at.symbol <= end; symbol += at.symbol) {
      const value = word(symbol + at.value);
      if ((bytes[symbol + at.info] & 15) === STT_FUNC && value !== 0) found.add(value);
    }
  }
  return [...found].sort((a, b) => a - b);
}
