/**
 * Test programs as trees: code that can lose any part and still be a valid program, so that it can be shrunk.
 *
 * @module
 */
import type { Fields } from "../../cpu/isa/decoder.ts";
import { type Image, makeImage } from "./elf.ts";
import { encode, type Encoding, fits, tablesOf } from "./encode.ts";
import { EPILOGUE, type State } from "./layout.ts";

/** A place in the code; layout fills in its address unless it is fixed. */
export interface Label {
  pc: number;
  fixed?: true;
}

/** How an instruction's `imm` comes from a label. */
export const Part = {
  /** Target of a branch or jump. */
  RELATIVE: 0,
  /** Upper part of the address, for `lui`. */
  HIGH: 1,
  /** Lower part, for what adds to it. */
  LOW: 2,
  /** Upper part of the distance, for `auipc`. */
  PC_HIGH: 3,
  /** Lower part, in the instruction right after the `auipc`. */
  PC_LOW: 4,
} as const;

/** One instruction. */
export interface Atom {
  size: number;
  bits: number;
  /** What is still open until the layout. */
  fix?: { row: Encoding; fields: Fields; label: Label; part: number };
}

/** A piece of a program: `before`, then the pieces of `body`, then `after`. It is removed as a whole. */
export interface Item {
  /** Address of `before`, of `body` and after `after`. */
  start: Label;
  top: Label;
  end: Label;
  before: Atom[];
  body: Item[];
  after: Atom[];
}

/** A generated program. */
export interface Program {
  xlen: 32 | 64;
  state: State;
  /** Number of the base register. */
  base: number;
  /** Address of the first instruction. */
  entry: number;
  items: Item[];
  /** Called functions, after the main program. */
  functions: Item[];
  /** Zero bytes between the two. */
  gap: number;
  /** Numbers of the registers that anything may write. */
  free: readonly number[];
}

/** A piece of code. */
export function item(before: Atom[], body: Item[] = [], after: Atom[] = []): Item {
  return { start: { pc: 0 }, top: { pc: 0 }, end: { pc: 0 }, before, body, after };
}

const bytesOf = (atoms: readonly Atom[]) => atoms.reduce((sum, atom) => sum + atom.size, 0);

/** Bytes of a list of pieces. */
export function sizeOf(items: readonly Item[]): number {
  return items.reduce(
    (sum, each) => sum + bytesOf(each.before) + sizeOf(each.body) + bytesOf(each.after),
    0,
  );
}

/** All instructions of a list of pieces, in order. */
export function* atomsOf(items: readonly Item[]): Generator<Atom> {
  for (const each of items) {
    yield* each.before;
    yield* atomsOf(each.body);
    yield* each.after;
  }
}

function place(items: readonly Item[], at: number, placed: Set<Label>): number {
  for (const each of items) {
    each.start.pc = at;
    each.top.pc = at + bytesOf(each.before);
    at = place(each.body, each.top.pc, placed) + bytesOf(each.after);
    each.end.pc = at;
    placed.add(each.start).add(each.top).add(each.end);
  }
  return at;
}

function fixed({ row, fields, label, part }: NonNullable<Atom["fix"]>, pc: number): number {
  const target = label.pc;
  const distance = target - (part === Part.PC_LOW ? pc - 4 : pc);
  const value = part === Part.HIGH || part === Part.LOW ? target : distance;
  const high = (value + 0x800) & ~0xfff;
  const imm = part === Part.RELATIVE
    ? distance
    : part === Part.HIGH || part === Part.PC_HIGH
    ? high
    : value - high;
  const all = { ...fields, imm };
  if (!fits(row, all)) throw new RangeError(`Cannot encode ${row.row.name} with imm ${imm}`);
  return encode(row, all);
}

/** All pieces of a list, with their pieces. */
export function flatten(items: readonly Item[]): Item[] {
  return items.flatMap((each) => [each, ...flatten(each.body)]);
}

/** Functions that something still refers to. */
export function reachable(program: Program): Item[] {
  const targets = (items: readonly Item[]) =>
    new Set([...atomsOf(items)].map((atom) => atom.fix?.label));
  let known = targets(program.items);
  for (;;) {
    const used = program.functions.filter((f) =>
      flatten([f]).some(({ start, top, end }) =>
        known.has(start) || known.has(top) || known.has(end)
      )
    );
    // A function's own loops refer to it, but only once something else has made it part of the program.
    const more = targets([...program.items, ...used]);
    if (more.size === known.size) return used;
    known = more;
  }
}

/** Machine code of a program, from its entry on. @throws {RangeError} If it refers to a piece it has lost. */
export function assembleProgram(program: Program): Uint8Array<ArrayBuffer> {
  const t = tablesOf(program.xlen), epilogue: Label = { pc: EPILOGUE, fixed: true };
  const exit: Atom = {
    size: 4,
    bits: 0,
    fix: { row: t.row("jal"), fields: { rd: 0 }, label: epilogue, part: Part.RELATIVE },
  };
  const main = [...program.items, item([exit])], functions = reachable(program);
  const gap = functions.length > 0 ? program.gap : 0;
  const placed = new Set<Label>(), middle = place(main, program.entry, placed);
  const end = place(functions, middle + gap, placed);
  const bytes = new Uint8Array(end - program.entry), view = new DataView(bytes.buffer);
  const write = (items: readonly Item[], at: number) => {
    for (const { size, bits, fix } of atomsOf(items)) {
      if (fix !== undefined && !fix.label.fixed && !placed.has(fix.label)) {
        throw new RangeError("Cannot find a label: its piece is gone");
      }
      const word = fix === undefined ? bits : fixed(fix, program.entry + at);
      if (size === 2) view.setUint16(at, word, true);
      else view.setInt32(at, word, true);
      at += size;
    }
  };
  write(main, 0);
  write(functions, middle + gap - program.entry);
  return bytes;
}

/** The image of a program. */
export function programImage(program: Program): Image {
  return makeImage(
    program.xlen,
    program.entry,
    assembleProgram(program),
    program.base,
    program.state,
  );
}
