/**
 * Types of a typed channel's arguments, results and event fields: each is one 64-bit word on the wire.
 *
 * @module
 */
import { describeValue } from "./report.ts";

/** 64-bit words in three views of the same bytes: word i is `q[i]`, `f[i]`, and `r[2i]` (low), `r[2i + 1]` (high). */
export interface Words {
  /** As signed integers. */
  readonly q: BigInt64Array<ArrayBuffer>;
  /** As 32-bit halves. */
  readonly r: Int32Array<ArrayBuffer>;
  /** As doubles. */
  readonly f: Float64Array<ArrayBuffer>;
  /** As bytes. */
  readonly b: Uint8Array<ArrayBuffer>;
}

/** Allocates `count` words. */
export function makeWords(count: number): Words {
  return viewWords(new BigInt64Array(count));
}

/** Makes the views of words that exist. */
export function viewWords(q: BigInt64Array<ArrayBuffer>): Words {
  const { buffer, byteOffset, byteLength } = q;
  return {
    q,
    r: new Int32Array(buffer, byteOffset, byteLength / 4),
    f: new Float64Array(buffer, byteOffset, byteLength / 8),
    b: new Uint8Array(buffer, byteOffset, byteLength),
  };
}

/** A type of the wire. `In` is what handlers get, `Out` what they may return. */
export interface ValueType<In, Out = In> {
  /** Name, such as "u32". */
  readonly name: string;
  /** The C type of a parameter, such as "uint32_t". */
  readonly cParameter: string;
  /** The C type of a result. */
  readonly cResult: string;
  /** C expression of a 64-bit integer type for a parameter. */
  cEncode(expression: string, type: "int64_t" | "uint64_t"): string;
  /** C expression of type {@linkcode cResult} for an int64_t. */
  cDecode(expression: string): string;
  /** The value of a word; bits that the type does not have are ignored, as C does. */
  decode(words: Words, index: number): In;
  /** The word of a result. @throws {RangeError} If the value is not of this type. */
  encode(value: Out): number | bigint;
  /** The word that a person wrote. @throws {RangeError} If the text is not a value of this type. */
  parse(text: string): bigint;
  /** A word for a person. */
  format(word: bigint): string;
}

/** Any type. */
export type AnyType = ValueType<unknown, never>;

function notA(what: string, name: string, expected: string): RangeError {
  return new RangeError(`${what} is not a ${name} (${expected})`);
}

const INTEGER = /^([+-]?)(0[xX][0-9a-fA-F]+|[0-9]+)$/;

/**
 * An integer as people write it: decimal or 0x hexadecimal, with an optional sign.
 *
 * @throws {RangeError} If it is not an integer from `minimum` to `maximum`.
 */
export function parseInteger(
  text: string,
  name: string,
  minimum: bigint,
  maximum: bigint,
): bigint {
  // BigInt() takes time that grows faster than the length: 2^64 has 20 digits.
  const match = text.length <= 80 ? INTEGER.exec(text) : null;
  const value = match ? (match[1] === "-" ? -BigInt(match[2]) : BigInt(match[2])) : undefined;
  if (value === undefined || value < minimum || value > maximum) {
    throw notA(describeValue(text), name, `an integer from ${minimum} to ${maximum}`);
  }
  return value;
}

/** An integer of up to 32 bits: a number in TypeScript. */
function small(bits: 8 | 16 | 32, signed: boolean): ValueType<number> {
  const name = `${signed ? "i" : "u"}${bits}`;
  const c = `${signed ? "" : "u"}int${bits}_t`;
  const minimum = signed ? -(2 ** (bits - 1)) : 0;
  const maximum = 2 ** (signed ? bits - 1 : bits) - 1;
  const shift = 32 - bits;
  return {
    name,
    cParameter: c,
    cResult: c,
    cEncode: (expression, type) => `(${type})${expression}`,
    cDecode: (expression) => `(${c})${expression}`,
    decode: signed
      ? (words, index) => words.r[2 * index] << shift >> shift
      : (words, index) => words.r[2 * index] << shift >>> shift,
    encode(value) {
      if (!Number.isInteger(value) || value < minimum || value > maximum) {
        throw notA(describeValue(value), name, `an integer from ${minimum} to ${maximum}`);
      }
      return value;
    },
    parse: (text) => parseInteger(text, name, BigInt(minimum), BigInt(maximum)),
    format: (word) => String(signed ? BigInt.asIntN(bits, word) : BigInt.asUintN(bits, word)),
  };
}

/** A 64-bit integer: a bigint in TypeScript; results may be numbers. */
function wide(
  name: string,
  signed: boolean,
  cParameter: string,
  cResult: string,
  cast: string,
): ValueType<bigint, bigint | number> {
  const minimum = signed ? -(2n ** 63n) : 0n;
  const maximum = 2n ** (signed ? 63n : 64n) - 1n;
  return {
    name,
    cParameter,
    cResult,
    cEncode: (expression, type) => `(${type})${cast}${expression}`,
    cDecode: (expression) => `(${cResult})${cast}${expression}`,
    decode: signed
      ? (words, index) => words.q[index]
      : (words, index) => BigInt.asUintN(64, words.q[index]),
    encode(value) {
      const ok = typeof value === "bigint"
        ? value >= minimum && value <= maximum
        : Number.isSafeInteger(value) && (signed || value >= 0);
      if (!ok) {
        throw notA(
          describeValue(value),
          name,
          `a bigint from ${minimum} to ${maximum}, or a safe integer in that range`,
        );
      }
      return value;
    },
    parse: (text) => parseInteger(text, name, minimum, maximum),
    format: (word) => String(signed ? BigInt.asIntN(64, word) : BigInt.asUintN(64, word)),
  };
}

/** Unsigned 8-bit integer, a number. */
export const u8: ValueType<number> = small(8, false);
/** Unsigned 16-bit integer, a number. */
export const u16: ValueType<number> = small(16, false);
/** Unsigned 32-bit integer, a number. */
export const u32: ValueType<number> = small(32, false);
/** Unsigned 64-bit integer, a bigint; a result may be a safe integer. */
export const u64: ValueType<bigint, bigint | number> = wide(
  "u64",
  false,
  "uint64_t",
  "uint64_t",
  "",
);
/** Signed 8-bit integer, a number. */
export const i8: ValueType<number> = small(8, true);
/** Signed 16-bit integer, a number. */
export const i16: ValueType<number> = small(16, true);
/** Signed 32-bit integer, a number. */
export const i32: ValueType<number> = small(32, true);
/** Signed 64-bit integer, a bigint; a result may be a safe integer. */
export const i64: ValueType<bigint, bigint | number> = wide("i64", true, "int64_t", "int64_t", "");
/** Guest address, a bigint; `const void *` in C (a result is `void *`). */
export const ptr: ValueType<bigint, bigint | number> = wide(
  "ptr",
  false,
  "const void *",
  "void *",
  "(uintptr_t)",
);

/** Truth value, a boolean: any word but 0 is true. */
export const bool: ValueType<boolean> = {
  name: "bool",
  cParameter: "bool",
  cResult: "bool",
  cEncode: (expression, type) => `(${type})${expression}`,
  cDecode: (expression) => `${expression} == 1`,
  decode: (words, index) => (words.r[2 * index] | words.r[2 * index + 1]) !== 0,
  encode(value) {
    if (typeof value !== "boolean") throw notA(describeValue(value), "bool", "true or false");
    return value ? 1 : 0;
  },
  parse(text) {
    if (text === "true" || text === "1") return 1n;
    if (text === "false" || text === "0") return 0n;
    throw notA(describeValue(text), "bool", "true, false, 1 or 0");
  },
  format: (word) => word === 0n ? "0" : "1",
};

const bits = makeWords(1);

/** IEEE 754 double, a number. */
export const f64: ValueType<number> = {
  name: "f64",
  cParameter: "double",
  cResult: "double",
  cEncode: (expression, type) =>
    `${type === "int64_t" ? "(int64_t)" : ""}trapdoor_f64_bits(${expression})`,
  cDecode: (expression) => `trapdoor_f64_value(${expression})`,
  decode: (words, index) => words.f[index],
  encode(value) {
    if (typeof value !== "number") throw notA(describeValue(value), "f64", "a number");
    bits.f[0] = value;
    return bits.q[0];
  },
  parse(text) {
    const value = /^[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|Infinity|NaN)$/.test(text)
      ? Number(text.replace(/^[+-]NaN$/, "NaN"))
      : undefined;
    if (value === undefined) throw notA(describeValue(text), "f64", "a number such as -1.5e3");
    bits.f[0] = value;
    return bits.q[0];
  },
  format(word) {
    bits.q[0] = word;
    return String(bits.f[0]);
  },
};

/** No result: `void` in C. */
export const none: ValueType<void> = {
  name: "none",
  cParameter: "void",
  cResult: "void",
  cEncode: () => "0",
  cDecode: (expression) => `(void)${expression}`,
  decode: () => undefined,
  encode(value: unknown) {
    if (value !== undefined) throw notA(describeValue(value), "none", "return nothing");
    return 0;
  },
  parse(text) {
    throw notA(describeValue(text), "none", "there is no such value");
  },
  format: () => "0",
};
