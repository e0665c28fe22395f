/**
 * Text of WebAssembly functions and modules, for people who debug a compiler and for golden files. It is the text
 * format with plain (not folded) instructions; what tools accept.
 *
 * Source: WebAssembly Core Specification 3.0, chapters 5 (binary format) and 6 (text format).
 *
 * @module
 */
import { Op, type OpInfo, OPS, refTarget, ValType, VOID } from "./opcodes.ts";
import { Reader } from "./reader.ts";

/** Most locals of a function, an implementation limit of the WebAssembly JavaScript interface. */
const MAX_LOCALS = 50_000;

/** Names of what a function mentions. Indices without a usable name are printed as numbers. */
export interface Names {
  /** Functions, by index. */
  readonly functions?: ReadonlyMap<number, string> | undefined;
  /** Parameters and locals of the function, by index. */
  readonly locals?: ReadonlyMap<number, string> | undefined;
  /** Globals, by index. */
  readonly globals?: ReadonlyMap<number, string> | undefined;
}

/** One instruction. */
export interface Line {
  /** Its first byte, counted from the function's first instruction (as `BodyWriter.length` counts). */
  readonly offset: number;
  /** Blocks around it. */
  readonly depth: number;
  /** Text without indentation. */
  readonly text: string;
}

/** A function's body, decoded. */
export interface Body {
  /** Types of locals, parameters not included. */
  readonly locals: readonly number[];
  /** Instructions, without the final `end`. */
  readonly lines: readonly Line[];
}

const byCode = new Map(OPS.map((op) => [op.code, op]));
/** First bytes of longer opcodes. */
const PREFIXES = new Set(OPS.filter((op) => op.code > 0xff).map((op) => op.code >> 12));

/** Name of a value type. */
export function typeName(type: number): string {
  const target = refTarget(type);
  if (target >= 0) return `(ref null ${target})`;
  const found = Object.entries(ValType).find(([, value]) => value === type);
  return found?.[0] ?? `(; type 0x${(type & 0x7f).toString(16)} ;)`;
}

/** `(keyword types...)` with a space before it, or nothing. */
export function typeList(keyword: string, types: readonly number[]): string {
  return types.length === 0 ? "" : ` (${keyword} ${types.map(typeName).join(" ")})`;
}

/** Whether a name can be an identifier of the text format. */
const ID = /^[\w.!#$%&'*+\-/:<=>?@\\^`|~]+$/;

/** Names with `$` before them: those that are identifiers of the text format and that no other index has. */
export function identifiers(names: ReadonlyMap<number, string> = new Map()): Map<number, string> {
  const seen = new Set<string>(), twice = new Set<string>();
  for (const name of names.values()) (seen.has(name) ? twice : seen).add(name);
  const usable = [...names].filter(([, name]) => ID.test(name) && !twice.has(name));
  return new Map(usable.map(([index, name]) => [index, `$${name}`]));
}

/** {@linkcode identifiers} of all names. */
export function identify(names: Names): Names {
  return {
    functions: identifiers(names.functions),
    locals: identifiers(names.locals),
    globals: identifiers(names.globals),
  };
}

/** A float of 32 or 64 bits, such that the text gives the same bits. */
function float(bits: bigint, width: 32 | 64): string {
  const mantissaBits = width === 32 ? 23n : 52n;
  const mantissa = BigInt.asUintN(Number(mantissaBits), bits);
  const exponent = BigInt.asUintN(width - 1, bits) >> mantissaBits;
  const sign = bits >> BigInt(width - 1) ? "-" : "";
  if (exponent === (1n << BigInt(width - 1) - mantissaBits) - 1n) {
    if (mantissa === 0n) return `${sign}inf`;
    if (mantissa === 1n << mantissaBits - 1n) return `${sign}nan`;
    return `${sign}nan:0x${mantissa.toString(16)}`;
  }
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits);
  if (width === 64) return `${sign}${Math.abs(view.getFloat64(0))}`;
  const value = Math.abs(view.getFloat32(4));
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return `${sign}${short}`;
  }
  return `${sign}${Number(value.toPrecision(9))}`;
}

/** Text of one immediate. */
function immediate(r: Reader, kind: string, depth: number, names: Names): string {
  const index = (of: ReadonlyMap<number, string> | undefined) => {
    const value = r.u32();
    return of?.get(value) ?? String(value);
  };
  const label = (value: number) => {
    if (value > depth) r.fail(`a branch to depth ${value} of ${depth}`);
    return value === depth ? `${value}` : `${value} (;@${depth - value};)`;
  };
  if (kind.startsWith("memory:")) {
    const align = r.u32();
    if (align > 0x3f) r.fail(`an alignment of 2^${align}`);
    const offset = r.u32();
    const natural = align === Number(kind.slice(7));
    return [offset > 0 ? `offset=${offset}` : "", natural ? "" : `align=${2 ** align}`]
      .filter((text) => text !== "").join(" ");
  }
  if (kind.startsWith("lane:")) return String(r.byte());
  switch (kind) {
    case "block": {
      const type = r.blockType();
      const text = type === VOID
        ? ""
        : type < 0
        ? `(result ${typeName(type)}) `
        : `(type ${type}) `;
      return `${text};; @${depth + 1}`;
    }
    case "label":
      return label(r.u32());
    case "labels":
      return [...r.list(() => label(r.u32())), label(r.u32())].join(" ");
    case "func":
      return index(names.functions);
    case "local":
      return index(names.locals);
    case "global":
      return index(names.globals);
    case "type":
    case "table":
    case "elem":
      return String(r.u32());
    case "mem": {
      const memory = r.u32();
      return memory === 0 ? "" : String(memory);
    }
    case "types":
      return typeList("result", r.list(() => r.valType())).trim();
    case "heap": {
      const type = r.heapType();
      return refTarget(type) >= 0 ? String(refTarget(type)) : typeName(type).replace("ref", "");
    }
    case "i32":
      return String(r.leb(32, true));
    case "i64":
      return String(r.leb(64, true));
    case "f32":
      return float(r.little(4), 32);
    case "f64":
      return float(r.little(8), 64);
    case "v128": {
      const words = [0, 1, 2, 3].map(() => `0x${r.little(4).toString(16).padStart(8, "0")}`);
      return `i32x4 ${words.join(" ")}`;
    }
    case "lanes":
      return Array.from({ length: 16 }, () => r.byte()).join(" ");
    case "nesting":
      return "";
    default:
      throw new Error(`Cannot print an immediate of kind ${kind}`);
  }
}

/** Operands that the text format has in another order than the binary one. */
function inTextOrder(op: number, operands: string[]): string[] {
  const [first, second] = operands;
  switch (op) {
    case Op.call_indirect:
    case Op.return_call_indirect:
      return [second === "0" ? "" : second, `(type ${first})`];
    case Op.table_init:
      return [second, first];
    default:
      return operands;
  }
}

function instruction(r: Reader): OpInfo {
  const first = r.byte();
  const sub = PREFIXES.has(first) ? r.u32() : -1;
  const info = byCode.get(sub < 0 ? first : sub > 0xfff ? -1 : first << 12 | sub);
  if (info === undefined) {
    r.fail(`no instruction is 0x${first.toString(16)}${sub < 0 ? "" : ` 0x${sub.toString(16)}`}`);
  }
  return info;
}

/**
 * The instructions of a constant expression, or of a body behind its locals, up to its final `end`.
 *
 * @param names As {@linkcode identify} returns them.
 * @throws {SyntaxError} If the bytes are no code.
 */
export function readCode(r: Reader, names: Names): Line[] {
  const start = r.at;
  const lines: Line[] = [];
  let depth = 0;
  for (;;) {
    const offset = r.at - start;
    const info = instruction(r);
    if (info.code === Op.end && depth === 0) return lines;
    const operands = info.immediates.map((kind) => immediate(r, kind, depth, names));
    const name = info.code === Op.select_t ? "select" : info.name;
    const text = [name, ...inTextOrder(info.code, operands)];
    const outer = info.code === Op.end || info.code === Op.else;
    if (outer && depth === 0) r.fail("an else outside a block");
    lines.push({
      offset,
      depth: outer ? depth - 1 : depth,
      text: text.filter((part) => part !== "").join(" "),
    });
    if (info.immediates[0] === "block") depth++;
    else if (info.code === Op.end) depth--;
  }
}

function decodeBody(bytes: Uint8Array, ids: Names): Body {
  const r = new Reader(bytes);
  const locals: number[] = [];
  for (let runs = r.u32(); runs > 0; runs--) {
    const count = r.u32();
    if (locals.length + count > MAX_LOCALS) r.fail(`more than ${MAX_LOCALS} locals`);
    const type = r.valType();
    for (let i = 0; i < count; i++) locals.push(type);
  }
  const lines = readCode(r, ids);
  if (!r.done) r.fail("bytes behind the function's end");
  return { locals, lines };
}

/**
 * Decodes a function's body: locals, code and final `end`, as `BodyWriter.finish` returns it.
 *
 * @throws {SyntaxError} If the bytes are no body.
 */
export function readBody(bytes: Uint8Array, names: Names = {}): Body {
  return decodeBody(bytes, identify(names));
}

/** `(keyword types...)` as in {@linkcode typeList}, with the names that indices from `first` on have. */
function named(keyword: string, types: readonly number[], first: number, ids: Names): string {
  const id = (i: number) => ids.locals?.get(first + i);
  if (!types.some((_, i) => id(i) !== undefined)) return typeList(keyword, types);
  const each = types.map((type, i) => [keyword, id(i) ?? "", typeName(type)]);
  return each.map((parts) => ` (${parts.filter((part) => part !== "").join(" ")})`).join("");
}

/**
 * Text of a function.
 *
 * @param ids As {@linkcode identify} returns them.
 * @param note What to print between `(func` and parameters.
 */
export function functionText(
  bytes: Uint8Array,
  ids: Names,
  note: string,
  params: readonly number[] | undefined,
  results: readonly number[],
): string {
  const { locals, lines } = decodeBody(bytes, ids);
  const count = params?.length ?? 0;
  const declared = params === undefined ? {} : ids;
  const head = note === "" ? "(func" : `(func ${note}`;
  const text = [head + named("param", params ?? [], 0, declared) + typeList("result", results)];
  if (locals.length > 0) text.push(` ${named("local", locals, count, declared)}`);
  for (const line of lines) text.push("  ".repeat(line.depth + 1) + line.text);
  return `${text.join("\n")})`;
}

/** What {@linkcode printFunction} may know beside the body. */
export interface FunctionContext extends Names {
  /** Name of the function. */
  readonly name?: string | undefined;
  /** Types of parameters. Without them, declarations of locals have no names. */
  readonly params?: readonly number[] | undefined;
  /** Types of results. */
  readonly results?: readonly number[] | undefined;
}

/**
 * Text of a function: a `(func ...)` of the text format, a line each instruction, indented by nesting.
 *
 * @param bytes Locals, code and final `end`, as `BodyWriter.finish` returns it.
 * @throws {SyntaxError} If the bytes are no body.
 */
export function printFunction(bytes: Uint8Array, context: FunctionContext = {}): string {
  const { name, params, results = [] } = context;
  const id = name === undefined ? "" : identifiers(new Map([[0, name]])).get(0) ?? "";
  return functionText(bytes, identify(context), id, params, results);
}
