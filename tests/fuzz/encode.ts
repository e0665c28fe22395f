/**
 * Encoding from the decode tables: the inverse of cpu/isa/decoder.ts, and a small assembler on top of it.
 *
 * @module
 */
import { type Compiled, extract, type Fields, type Row } from "../../cpu/isa/decoder.ts";
import type { RvRow } from "../../cpu/riscv/lifter.ts";
import { Riscv } from "../../cpu/riscv/riscv.ts";

/** A row of the table of one register width. */
export type Encoding = Compiled<RvRow>;

/** Puts `fields` into the encoding of a row; fields that are not given are zero bits. */
export function encode<R extends Row>(row: Compiled<R>, fields: Fields): number {
  let bits = row.match;
  for (const { name, slices, bias } of row.extractors) {
    const value = (fields[name] ?? bias) - bias;
    for (const { from, width, to } of slices) {
      bits |= ((value >>> to) & (width === 32 ? -1 : (1 << width) - 1)) << from;
    }
  }
  return bits;
}

/** Whether the row's encoding can hold the fields' values. */
export function fits(row: Encoding, fields: Fields): boolean {
  const back = extract(row, encode(row, fields));
  return Object.entries(fields).every(([name, value]) => back[name] === value) &&
    (row.row.when === undefined || row.row.when(back));
}

/** The rows of one register width, by name. */
export class Tables {
  readonly isa: Riscv;
  readonly full: readonly Encoding[];
  readonly compressed: readonly Encoding[];
  #byName = new Map<string, Encoding>();

  constructor(readonly xlen: 32 | 64) {
    this.isa = new Riscv(xlen);
    this.full = this.isa.decoder.rows;
    this.compressed = this.isa.compressed.rows;
    for (const row of [...this.full, ...this.compressed]) {
      if (!this.#byName.has(row.row.name)) this.#byName.set(row.row.name, row);
    }
  }

  /** The first row of a name. @throws {RangeError} If there is none. */
  row(name: string): Encoding {
    const row = this.#byName.get(name);
    if (row === undefined) throw new RangeError(`Cannot find "${name}" in rv${this.xlen}`);
    return row;
  }

  /** Whether there is a row of a name. */
  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Bits of an instruction. @throws {RangeError} If the fields don't fit. */
  assemble(name: string, fields: Fields = {}): number {
    const row = this.row(name);
    if (!fits(row, fields)) {
      throw new RangeError(`Cannot encode ${name} with ${JSON.stringify(fields)}`);
    }
    return encode(row, fields);
  }
}

const tables = new Map<number, Tables>();

/** The tables of a register width, made once. */
export function tablesOf(xlen: 32 | 64): Tables {
  let found = tables.get(xlen);
  if (found === undefined) tables.set(xlen, found = new Tables(xlen));
  return found;
}
