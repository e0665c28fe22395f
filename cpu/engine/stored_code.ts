/**
 * Translated blocks as bytes, so that the next run of a program need not translate them again.
 *
 * The records are placed and linked to one another as they will be in the code cache, from its start: taking them back
 * is one copy, whatever their number. Everything else about a block is worked out when somebody asks for it.
 *
 * | part    | words                                                     |
 * |---------|-----------------------------------------------------------|
 * | header  | magic, blocks, words of records, bytes of `pcs`, vectors  |
 * | blocks  | six words each: pc low, pc high, start, count, bytes, pcs |
 * | records | as in the code cache                                      |
 * | insns   | a byte a record                                           |
 * | pcs     | a byte an instruction: half its distance from the pc      |
 *
 * @module
 */
import type { IrBlock } from "../ir/block.ts";
import { WORDS } from "../ir/encoding.ts";
import { OpNumber as Op } from "../ir/op_numbers.ts";

/** To be changed with the format, and with what of a block {@linkcode Translator} decides. */
const MAGIC = 0x5444_0002;
const HEADER = 5;
const ENTRY = 6;
/** Most bytes of records that are stored: what comes later in a run is a small part of it. */
export const MAX_STORED_BYTES = 4 << 20;
const TWO32 = 0x1_0000_0000;

/** Moves what names places in a block's own records: its links and the terminator before them. */
export function relocate(code: Int32Array, end: number, by: number): void {
  let at = end - WORDS;
  for (; code[at] === Op.link; at -= WORDS) if (code[at + 2] >= 0) code[at + 2] += by;
  const op = code[at];
  if (op === Op.trap || op === Op.jumpInd) return;
  code[at + 4] += by;
  if (op !== Op.jump) code[at + 5] += by;
}

/**
 * Stores blocks, in their order, as far as there is room.
 *
 * @param base Code index of the first record that {@linkcode StoredCode} will be placed at.
 */
export function storeCode(blocks: Iterable<IrBlock>, base: number): Uint8Array<ArrayBuffer> {
  const chosen: IrBlock[] = [], starts = new Map<number, number>();
  let words = 0, pcs = 0, vectors = 0;
  for (const block of blocks) {
    if ((words + block.code.length) * 4 > MAX_STORED_BYTES) break;
    chosen.push(block);
    starts.set(block.pc, words);
    words += block.code.length;
    pcs += block.pcs.length;
  }
  const codeAt = HEADER + chosen.length * ENTRY, insnsAt = (codeAt + words) * 4;
  const out = new Uint8Array(insnsAt + words / WORDS + pcs);
  const all = new Int32Array(out.buffer, 0, codeAt + words);
  const code = all.subarray(codeAt);
  let entry = HEADER, insn = insnsAt, pcAt = insnsAt + words / WORDS;
  for (const block of chosen) {
    const start = starts.get(block.pc)!, end = start + block.code.length;
    all.set([block.pc | 0, Math.floor(block.pc / TWO32), start, block.count, block.bytes], entry);
    all[entry + 5] = pcAt;
    entry += ENTRY;
    code.set(block.code, start);
    for (let at = start; at < end; at += WORDS) if (code[at] >= Op.VECTORS) vectors = 1;
    relocate(code, end, base + start);
    for (let at = end - WORDS; code[at] === Op.link; at -= WORDS) {
      const target = starts.get(code[at + 5] * TWO32 + (code[at + 4] >>> 0));
      if (target === undefined) continue;
      code[at] = Op.goto;
      code[at + 3] = base + target;
      if (code[at + 2] >= 0) code[code[at + 2] - base] = base + target;
    }
    out.set(block.insns, insn);
    insn += block.insns.length;
    for (const pc of block.pcs) out[pcAt++] = (pc - block.pc) / 2;
  }
  all.set([MAGIC, chosen.length, words, pcs, vectors]);
  return out;
}

/** Blocks that {@linkcode storeCode} stored. */
export class StoredCode {
  /** Blocks in it. */
  readonly count: number;
  /** Their records, to be placed at `base`. */
  readonly code: Int32Array;
  /** Code index after the last record. */
  readonly end: number;
  /** Whether there are ops on vectors. */
  readonly vectors: boolean;
  readonly #base: number;
  readonly #bytes: Uint8Array;
  readonly #entries: Int32Array;
  readonly #insnsAt: number;

  /**
   * Looks at stored bytes, whose integrity the caller has checked.
   *
   * @throws {RangeError} If they have another format.
   */
  constructor(bytes: Uint8Array<ArrayBuffer>, base: number) {
    const head = bytes.length < HEADER * 4 ? 0 : HEADER;
    const [magic, count, words, pcs, vectors] = new Int32Array(
      bytes.buffer,
      bytes.byteOffset,
      head,
    );
    const codeAt = HEADER + count * ENTRY;
    if (magic !== MAGIC || bytes.length !== (codeAt + words) * 4 + words / WORDS + pcs) {
      throw new RangeError("Cannot use stored code: it has another format");
    }
    this.count = count;
    this.end = base + words;
    this.vectors = vectors !== 0;
    this.#base = base;
    this.#bytes = bytes;
    const all = new Int32Array(bytes.buffer, bytes.byteOffset, codeAt + words);
    this.#entries = all.subarray(HEADER, codeAt);
    this.code = all.subarray(codeAt);
    this.#insnsAt = (codeAt + words) * 4;
  }

  /** Guest address of a block. */
  pc(index: number): number {
    const at = index * ENTRY;
    return this.#entries[at + 1] * TWO32 + (this.#entries[at] >>> 0);
  }

  /** Bytes of guest code of a block. */
  bytes(index: number): number {
    return this.#entries[index * ENTRY + 4];
  }

  /** Code index of a block's first record. */
  start(index: number): number {
    return this.#base + this.#entries[index * ENTRY + 2];
  }

  /** Which block the record at a code index belongs to. */
  indexAt(ip: number): number {
    let low = 0, high = this.count - 1;
    while (low < high) {
      const mid = (low + high + 1) >> 1;
      if (this.start(mid) <= ip) low = mid;
      else high = mid - 1;
    }
    return low;
  }

  /** A block as it was before it was placed. */
  block(index: number): IrBlock {
    const pc = this.pc(index), start = this.start(index) - this.#base, entries = this.#entries;
    const next = index + 1 < this.count ? this.start(index + 1) : this.end;
    const code = this.code.slice(start, next - this.#base);
    for (let at = code.length - WORDS; code[at] === Op.link || code[at] === Op.goto; at -= WORDS) {
      code[at] = Op.link;
      code[at + 3] = 0;
      // The terminator may lead to the linked block directly: to the link again.
      if (code[at + 2] >= 0) code[code[at + 2] - start - this.#base] = at + start + this.#base;
    }
    relocate(code, code.length, -(start + this.#base));
    const at = index * ENTRY, count = entries[at + 3], insns = this.#insnsAt + start / WORDS;
    const pcs = this.#bytes.subarray(entries[at + 5], entries[at + 5] + count);
    return {
      pc,
      bytes: entries[at + 4],
      count,
      code,
      insns: this.#bytes.slice(insns, insns + code.length / WORDS),
      pcs: Array.from(pcs, (half) => pc + half * 2),
    };
  }
}
