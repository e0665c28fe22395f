/**
 * Decoding from bit patterns: one row an instruction, written as the architecture manuals draw encodings.
 *
 * A pattern is a list of tokens from the most significant bit down: runs of `0`, `1` and `.` (any), field names
 * (their widths are the ISA's), and slices such as `imm[10:5]` or `imm[11]`, which place bits of a field.
 *
 * @module
 */

/** Operands of a decoded instruction, by field name. */
export type Fields = Record<string, number>;

/** What an ISA says about its fields. */
export interface FieldInfo {
  /** Width in bits where the name stands alone in a pattern. */
  readonly width: number;
  /** Sign-extend from the highest bit placed. */
  readonly signed?: boolean;
  /** Name under which the value is stored, if another. */
  readonly as?: string;
  /** Added to the value. */
  readonly bias?: number;
}

/** A row of an instruction table: encoding and what the ISA attaches to it. */
export interface Row {
  /** Mnemonic. */
  readonly name: string;
  /** Bit pattern. */
  readonly pattern: string;
  /** Further condition on the fields. */
  readonly when?: ((f: Fields) => boolean) | undefined;
}

interface Slice {
  from: number;
  width: number;
  to: number;
}

interface Extractor {
  name: string;
  slices: Slice[];
  signBit: number;
  bias: number;
}

/** A row with its compiled pattern. */
export interface Compiled<R extends Row> {
  readonly row: R;
  /** Bits that the pattern fixes. */
  readonly mask: number;
  /** Their values. */
  readonly match: number;
  /** Width in bits. */
  readonly width: number;
  readonly extractors: readonly Extractor[];
}

/**
 * Compiles a row's pattern.
 *
 * @throws {SyntaxError} If a token is unknown or the widths don't add up to `width`.
 */
export function compile<R extends Row>(
  row: R,
  width: number,
  fields: Readonly<Record<string, FieldInfo>>,
): Compiled<R> {
  let at = width, mask = 0, match = 0;
  const slices = new Map<string, Slice[]>();
  const fail = (why: string): never => {
    throw new SyntaxError(`Cannot compile pattern "${row.pattern}" of ${row.name}: ${why}`);
  };
  for (const token of row.pattern.trim().split(/\s+/)) {
    if (/^[01.]+$/.test(token)) {
      for (const bit of token) {
        at--;
        if (bit === ".") continue;
        mask |= 1 << at;
        if (bit === "1") match |= 1 << at;
      }
      continue;
    }
    const m = /^([a-z][a-z0-9_]*'?)(?:\[(\d+)(?::(\d+))?\])?$/.exec(token) ??
      fail(`token ${token}`);
    const info = fields[m[1]] ?? fail(`field ${m[1]}`);
    const hi = m[2] === undefined ? info.width - 1 : Number(m[2]);
    const lo = m[2] === undefined ? 0 : Number(m[3] ?? m[2]);
    at -= hi - lo + 1;
    const list = slices.get(m[1]) ?? [];
    list.push({ from: at, width: hi - lo + 1, to: lo });
    slices.set(m[1], list);
  }
  if (at !== 0) fail(`${width - at} bits instead of ${width}`);
  const extractors = [...slices].map(([name, list]): Extractor => {
    const info = fields[name];
    const top = Math.max(...list.map((s) => s.to + s.width - 1));
    return {
      name: info.as ?? name,
      slices: list,
      signBit: info.signed ? top : 32,
      bias: info.bias ?? 0,
    };
  });
  return { row, mask, match, width, extractors };
}

/** Extracts the fields of `bits`. */
export function extract<R extends Row>(compiled: Compiled<R>, bits: number): Fields {
  const fields: Fields = {};
  for (const { name, slices, signBit, bias } of compiled.extractors) {
    let value = 0;
    for (const { from, width, to } of slices) {
      value |= ((bits >>> from) & (width === 32 ? -1 : (1 << width) - 1)) << to;
    }
    if (signBit < 32) value = (value << (31 - signBit)) >> (31 - signBit);
    fields[name] = value + bias;
  }
  return fields;
}

/** Finds rows by instruction word: buckets by a few bits, then first match in table order. */
export class Decoder<R extends Row> {
  /** All rows, in table order. */
  readonly rows: readonly Compiled<R>[];
  #buckets: Compiled<R>[][];
  #keyBits: readonly number[];

  /** @param keyBits Bit numbers that choose the bucket, at most 10. */
  constructor(rows: readonly Compiled<R>[], keyBits: readonly number[]) {
    this.rows = rows;
    this.#keyBits = keyBits;
    this.#buckets = Array.from({ length: 1 << keyBits.length }, () => []);
    for (const row of rows) {
      const mask = this.#key(row.mask), match = this.#key(row.match);
      for (let key = 0; key < this.#buckets.length; key++) {
        if ((key & mask) === match) this.#buckets[key].push(row);
      }
    }
  }

  #key(bits: number): number {
    let key = 0;
    for (let i = 0; i < this.#keyBits.length; i++) key |= (bits >>> this.#keyBits[i] & 1) << i;
    return key;
  }

  /** The first row that `bits` matches, with its fields; undefined for an undefined encoding. */
  decode(bits: number): { row: R; fields: Fields } | undefined {
    for (const compiled of this.#buckets[this.#key(bits)]) {
      if ((bits & compiled.mask) !== compiled.match) continue;
      const fields = extract(compiled, bits);
      const row = compiled.row;
      if (row.when === undefined || row.when(fields)) return { row, fields };
    }
    return undefined;
  }
}
