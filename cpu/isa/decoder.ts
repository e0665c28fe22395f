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
  /** `width` ones. */
  mask: number;
  to: number;
}

interface Extractor {
  name: string;
  slices: Slice[];
  /** Left and then arithmetic right shift that extends the sign; 0 for unsigned fields. */
  signShift: number;
  bias: number;
}

/** A row with its compiled pattern. */
export class Compiled<R extends Row> {
  readonly row: R;
  /** Width in bits. */
  readonly width: number;
  /** Bits that the pattern fixes. */
  readonly mask: number;
  /** Their values. */
  readonly match: number;
  readonly #fields: Readonly<Record<string, FieldInfo>>;
  #extractors: readonly Extractor[] | undefined;

  /** @throws {SyntaxError} If a token is unknown or the widths don't add up to `width`. */
  constructor(row: R, width: number, fields: Readonly<Record<string, FieldInfo>>) {
    this.row = row;
    this.width = width;
    this.#fields = fields;
    let at = width, mask = 0, match = 0;
    for (const token of row.pattern.split(" ")) {
      const first = token[0];
      if (first !== "0" && first !== "1" && first !== ".") {
        at -= this.#slice(token).width;
        continue;
      }
      for (let i = 0; i < token.length; i++) {
        at--;
        if (token[i] === ".") continue;
        mask |= 1 << at;
        if (token[i] === "1") match |= 1 << at;
        else if (token[i] !== "0") this.#fail(`token ${token}`);
      }
    }
    if (at !== 0) this.#fail(`${width - at} bits instead of ${width}`);
    this.mask = mask;
    this.match = match;
  }

  #fail(why: string): never {
    const { pattern, name } = this.row;
    throw new SyntaxError(`Cannot compile pattern "${pattern}" of ${name}: ${why}`);
  }

  /** A field or a slice of one: its name, width and lowest bit in the field. */
  #slice(token: string): { name: string; width: number; to: number } {
    const bracket = token.indexOf("[");
    const name = bracket < 0 ? token : token.slice(0, bracket);
    const info = this.#fields[name] ?? this.#fail(`field ${name}`);
    if (bracket < 0) return { name, width: info.width, to: 0 };
    const colon = token.indexOf(":");
    const high = Number(token.slice(bracket + 1, colon < 0 ? -1 : colon));
    const to = colon < 0 ? high : Number(token.slice(colon + 1, -1));
    if (!(high >= to && high < 32 && token.endsWith("]"))) this.#fail(`token ${token}`);
    return { name, width: high - to + 1, to };
  }

  /** How to find the fields; compiled when the row is first met, as most rows never are. */
  get extractors(): readonly Extractor[] {
    return this.#extractors ??= this.#compileExtractors();
  }

  #compileExtractors(): Extractor[] {
    let at = this.width;
    const found = new Map<string, Slice[]>();
    for (const token of this.row.pattern.split(" ")) {
      if (/^[01.]/.test(token)) {
        at -= token.length;
        continue;
      }
      const { name, width, to } = this.#slice(token);
      at -= width;
      const slices = found.get(name);
      if (slices) slices.push({ from: at, width, mask: 2 ** width - 1 | 0, to });
      else found.set(name, [{ from: at, width, mask: 2 ** width - 1 | 0, to }]);
    }
    return [...found].map(([name, slices]): Extractor => {
      const info = this.#fields[name];
      const top = Math.max(...slices.map((s) => s.to + s.width - 1));
      return {
        name: info.as ?? name,
        slices,
        signShift: info.signed ? 31 - top : 0,
        bias: info.bias ?? 0,
      };
    });
  }
}

/** Extracts the fields of `bits`. */
export function extract<R extends Row>(compiled: Compiled<R>, bits: number): Fields {
  const fields: Fields = {};
  const extractors = compiled.extractors;
  for (let i = 0; i < extractors.length; i++) {
    const extractor = extractors[i], slices = extractor.slices;
    let value = 0;
    for (let k = 0; k < slices.length; k++) {
      const slice = slices[k];
      value |= (bits >>> slice.from & slice.mask) << slice.to;
    }
    const shift = extractor.signShift;
    fields[extractor.name] = (value << shift >> shift) + extractor.bias;
  }
  return fields;
}

/** A range of bits of an instruction word. */
export class BitRange {
  readonly mask: number;

  constructor(readonly from: number, readonly width: number) {
    this.mask = (1 << width) - 1;
  }
}

/** A decoded instruction word. */
export interface Decoded<R extends Row> {
  readonly bits: number;
  readonly row: R;
  readonly fields: Fields;
}

/** log2 of the instruction words that a decoder remembers. */
const REMEMBERED_BITS = 12;

/** Finds rows by instruction word: buckets by a few bits, then first match in table order. */
export class Decoder<R extends Row> {
  /** All rows, in table order. */
  readonly rows: readonly Compiled<R>[];
  /** Rows that may match, by key; filled when first asked for. */
  readonly #buckets: (Compiled<R>[] | undefined)[] = [];
  readonly #low: BitRange;
  readonly #high: BitRange;
  /** Words decoded lately: programs repeat the same ones. */
  readonly #decoded = new Array<Decoded<R> | undefined>(1 << REMEMBERED_BITS);

  /** @param low, high Two ranges of bits that choose the bucket. */
  constructor(rows: readonly Compiled<R>[], low: BitRange, high: BitRange) {
    this.rows = rows;
    this.#low = low;
    this.#high = high;
  }

  #bucket(key: number): Compiled<R>[] {
    return this.#buckets[key] ??= this.rows.filter(({ mask, match }) =>
      (key & this.#key(mask)) === this.#key(match)
    );
  }

  #key(bits: number): number {
    const low = this.#low, high = this.#high;
    return bits >>> low.from & low.mask | (bits >>> high.from & high.mask) << low.width;
  }

  /** The first row that `bits` matches, with its fields; undefined for an undefined encoding. */
  decode(bits: number): Decoded<R> | undefined {
    // Fibonacci hashing: the product's high bits depend on all bits.
    const at = Math.imul(bits, 0x9e37_79b1) >>> 32 - REMEMBERED_BITS, known = this.#decoded[at];
    if (known !== undefined && known.bits === bits) return known;
    const rows = this.#bucket(this.#key(bits));
    for (let i = 0; i < rows.length; i++) {
      const compiled = rows[i];
      if ((bits & compiled.mask) !== compiled.match) continue;
      const fields = extract(compiled, bits);
      const row = compiled.row;
      if (row.when === undefined || row.when(fields)) {
        return this.#decoded[at] = { bits, row, fields };
      }
    }
    return undefined;
  }
}
