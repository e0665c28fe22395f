/**
 * A WebAssembly encoder for code generators: {@linkcode BodyWriter} writes the code of a function, and
 * {@linkcode ModuleWriter} makes a module of functions. It knows nothing of what the code is for.
 *
 * Source: WebAssembly Core Specification 3.0, section 5.5 (modules) and appendix 7.4 (name section); branch
 * hinting proposal (metadata.code.branch_hint).
 *
 * @example f(n) = 0 + 1 + ... + n - 1
 * ```ts
 * import { BodyWriter, ModuleWriter, Op, ValType } from "./encoder.ts";
 *
 * const w = new BodyWriter();
 * w.start(1);
 * const sum = w.local(ValType.i64);
 * const loop = w.loop();
 * w.localGet(0);
 * w.if();
 * w.localGet(0);
 * w.i32Const(-1);
 * w.op(Op.i32_add);
 * w.localTee(0);
 * w.op(Op.i64_extend_i32_u);
 * w.localGet(sum);
 * w.op(Op.i64_add);
 * w.localSet(sum);
 * w.br(w.depthTo(loop));
 * w.end();
 * w.end();
 * w.localGet(sum);
 *
 * const m = new ModuleWriter();
 * const type = m.type([ValType.i32], [ValType.i64]);
 * m.exportFunction("f", m.func(type, w));
 * const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.finish()));
 * if ((exports.f as (n: number) => bigint)(5) !== 10n) throw new Error("f(5)");
 * ```
 *
 * @module
 */
import { BodyWriter } from "./encoder/body.ts";
import { ByteWriter } from "./encoder/bytes.ts";
import { Op, ValType } from "./encoder/opcodes.ts";

export { BodyWriter } from "./encoder/body.ts";
export { ByteWriter } from "./encoder/bytes.ts";
export * from "./encoder/opcodes.ts";

/** Kinds of imports and exports. */
const FUNCTION = 0, TABLE = 1, MEMORY = 2, GLOBAL = 3;
const KINDS = ["function", "table", "memory", "global"];

/** Numbers of sections; in a module they stand in this order. */
const TYPES = 1, IMPORTS = 2, FUNCTIONS = 3, TABLES = 4, MEMORIES = 5, GLOBALS = 6, EXPORTS = 7;
const ELEMENTS = 9, CODE = 10;
const DEFINED = [FUNCTIONS, TABLES, MEMORIES, GLOBALS];

/** Where a segment goes: an index, or the value of an imported immutable `i32` global. */
export type Offset = number | { readonly global: number };

/** A section under construction. */
class Section {
  readonly out: ByteWriter = new ByteWriter(64);
  count = 0;
}

/** Bytes of an unsigned number as LEB128. */
function sizeOfU32(value: number): number {
  return value < 0x80
    ? 1
    : value < 0x4000
    ? 2
    : value < 0x20_0000
    ? 3
    : value < 0x1000_0000
    ? 4
    : 5;
}

/**
 * Puts a module together. What is imported comes before what is defined, kind by kind; the indices that methods
 * return are final. There are no data segments: modules share a memory that already has its contents.
 */
export class ModuleWriter {
  /** By number, up to the code section, which is put together at the end. */
  #sections: Section[] = Array.from({ length: CODE }, () => new Section());
  #typeIndices = new Map<string, number>();
  #paramCounts: number[] = [];
  /** For each kind: how many there are. */
  #counts = [0, 0, 0, 0];
  #importedFunctions = 0;
  /** Type index of each function, imported ones included. */
  #types: number[] = [];
  #exports = new Set<string>();
  #bodies = new ByteWriter(4096);
  /** For each defined function: where its body is in `#bodies`; end 0 where there is none yet. */
  #starts: number[] = [];
  #ends: number[] = [];
  #name: string | undefined;
  #functionNames = new Map<number, string>();
  #localNames = new Map<number, ReadonlyMap<number, string>>();
  /** Branch hints by function: as a body has them, the offsets from the start of the body. */
  #hints = new Map<number, number[]>();

  /** Starts an empty module. @param name Its name in stack traces and dumps. */
  constructor(name?: string) {
    this.#name = name;
  }

  /** Functions, imported ones included. */
  get functions(): number {
    return this.#counts[FUNCTION];
  }

  /** Bytes of all bodies so far. */
  get codeBytes(): number {
    return this.#bodies.length;
  }

  /** The section with a number, about to get another entry. */
  #entry(id: number): ByteWriter {
    const section = this.#sections[id];
    section.count++;
    return section.out;
  }

  // ---- types ----

  /** Index of the function type with these value types. */
  type(params: readonly number[], results: readonly number[]): number {
    const key = `${params.join()}>${results.join()}`;
    const known = this.#typeIndices.get(key);
    if (known !== undefined) return known;
    const index = this.#paramCounts.length;
    const out = this.#entry(TYPES);
    out.byte(0x60);
    for (const list of [params, results]) {
      out.u32(list.length);
      for (const type of list) out.valType(type);
    }
    this.#typeIndices.set(key, index);
    this.#paramCounts.push(params.length);
    return index;
  }

  #checkType(type: number): void {
    if (!(type in this.#paramCounts)) {
      throw new RangeError(`Cannot use type ${type}: there are ${this.#paramCounts.length}`);
    }
  }

  // ---- imports ----

  #import(kind: number, module: string, name: string): ByteWriter {
    if (this.#sections[DEFINED[kind]].count > 0) {
      throw new Error(`Cannot import "${name}": a ${KINDS[kind]} is already defined`);
    }
    this.#counts[kind]++;
    const out = this.#entry(IMPORTS);
    out.text(module);
    out.text(name);
    out.byte(kind);
    return out;
  }

  /** Imports a function; returns its index. */
  importFunction(module: string, name: string, type: number): number {
    this.#checkType(type);
    this.#import(FUNCTION, module, name).u32(type);
    this.#importedFunctions++;
    this.#functionNames.set(this.#types.length, name);
    return this.#types.push(type) - 1;
  }

  /** Imports a table of at least `min` elements; returns its index. */
  importTable(module: string, name: string, type: number, min: number, max?: number): number {
    const out = this.#import(TABLE, module, name);
    out.valType(type);
    limits(out, min, max, false);
    return this.#counts[TABLE] - 1;
  }

  /** Imports a memory of at least `min` pages of 64 KiB; a shared one needs `max`. Returns its index. */
  importMemory(module: string, name: string, min: number, max?: number, shared = false): number {
    limits(this.#import(MEMORY, module, name), min, max, shared);
    return this.#counts[MEMORY] - 1;
  }

  /** Imports a global; returns its index. */
  importGlobal(module: string, name: string, type: number, mutable: boolean): number {
    const out = this.#import(GLOBAL, module, name);
    out.valType(type);
    out.byte(mutable ? 1 : 0);
    return this.#counts[GLOBAL] - 1;
  }

  // ---- definitions ----

  /** Announces a function, whose index calls may use before its {@linkcode body} is known. */
  declare(type: number, name?: string): number {
    this.#checkType(type);
    const index = this.#counts[FUNCTION]++;
    this.#entry(FUNCTIONS).u32(type);
    this.#types.push(type);
    this.#starts.push(0);
    this.#ends.push(0);
    if (name !== undefined) this.#functionNames.set(index, name);
    return index;
  }

  /**
   * Gives a declared function its body, which is copied.
   *
   * @param body A writer, or what its `finish()` returned.
   * @throws {Error} If it is not a declared function without a body, a block is open, or the writer has another number
   * of parameters than the function's type.
   */
  body(index: number, body: BodyWriter | Uint8Array): void {
    const defined = index - this.#importedFunctions;
    if (this.#ends[defined] !== 0) {
      const has = defined in this.#ends ? "it has one" : "it is not declared";
      throw new Error(`Cannot write the body of function ${index}: ${has}`);
    }
    const start = this.#bodies.length;
    if (body instanceof BodyWriter) {
      const params = this.#paramCounts[this.#types[index]];
      if (body.params !== params) {
        throw new Error(
          `Cannot write the body of function ${index}: ` +
            `it was started with ${body.params} parameters, its type has ${params}`,
        );
      }
      body.writeTo(this.#bodies);
      if (body.hints.length > 0) {
        const locals = this.#bodies.length - start - body.length - 1;
        this.#hints.set(index, body.hints.map((word, i) => i % 2 === 0 ? word + locals : word));
      }
      if (body.localNames !== undefined) this.#localNames.set(index, body.localNames);
    } else {
      this.#bodies.raw(body);
    }
    this.#starts[defined] = start;
    this.#ends[defined] = this.#bodies.length;
  }

  /** Adds a function; as {@linkcode declare} and {@linkcode body}. Returns its index. */
  func(type: number, body: BodyWriter | Uint8Array, name?: string): number {
    const index = this.declare(type, name);
    this.body(index, body);
    return index;
  }

  /** Defines a table; returns its index. */
  table(type: number, min: number, max?: number): number {
    const out = this.#entry(TABLES);
    out.valType(type);
    limits(out, min, max, false);
    return this.#counts[TABLE]++;
  }

  /** Defines a memory; returns its index. */
  memory(min: number, max?: number, shared = false): number {
    limits(this.#entry(MEMORIES), min, max, shared);
    return this.#counts[MEMORY]++;
  }

  /** Defines a global; returns its index. Vectors start as 0 and references as null. */
  global(type: number, mutable: boolean, init: number | bigint = 0): number {
    const out = this.#entry(GLOBALS);
    out.valType(type);
    out.byte(mutable ? 1 : 0);
    const constant = new BodyWriter();
    if (type === ValType.i32) constant.i32Const(Number(init));
    else if (type === ValType.i64) constant.i64ConstBig(BigInt(init));
    else if (type === ValType.f32) constant.f32Const(Number(init));
    else if (type === ValType.f64) constant.f64Const(Number(init));
    else if (type === ValType.v128) constant.v128Const(0, 0, 0, 0);
    else constant.refNull(type);
    out.copy(constant);
    out.byte(Op.end);
    return this.#counts[GLOBAL]++;
  }

  // ---- exports and elements ----

  #export(kind: number, name: string, index: number): void {
    if (!(index >= 0 && index < this.#counts[kind])) {
      throw new RangeError(
        `Cannot export ${KINDS[kind]} ${index} as "${name}": there are ${this.#counts[kind]}`,
      );
    }
    if (this.#exports.has(name)) throw new Error(`Cannot export "${name}" twice`);
    this.#exports.add(name);
    const out = this.#entry(EXPORTS);
    out.text(name);
    out.byte(kind);
    out.u32(index);
  }

  /** Exports a function. @throws {Error} If it isn't there or the name is taken. */
  exportFunction(name: string, index: number): void {
    this.#export(FUNCTION, name, index);
  }

  /** Exports a table; as {@linkcode exportFunction}. */
  exportTable(name: string, index: number): void {
    this.#export(TABLE, name, index);
  }

  /** Exports a memory; as {@linkcode exportFunction}. */
  exportMemory(name: string, index: number): void {
    this.#export(MEMORY, name, index);
  }

  /** Exports a global; as {@linkcode exportFunction}. */
  exportGlobal(name: string, index: number): void {
    this.#export(GLOBAL, name, index);
  }

  #elements(functions: ArrayLike<number>, type: number, out: ByteWriter): void {
    out.u32(functions.length);
    for (let i = 0; i < functions.length; i++) {
      if (type !== ValType.funcref) out.byte(Op.ref_func);
      out.u32(functions[i]);
      if (type !== ValType.funcref) out.byte(Op.end);
    }
  }

  /**
   * Writes functions into a table when the module is instantiated; `type` is the table's element type. Returns the
   * index of the segment.
   */
  element(
    table: number,
    offset: Offset,
    functions: ArrayLike<number>,
    type: number = ValType.funcref,
  ): number {
    const out = this.#entry(ELEMENTS);
    const plain = type === ValType.funcref;
    const short = plain && table === 0;
    out.byte(short ? 0 : plain ? 2 : 6);
    if (!short) out.u32(table);
    if (typeof offset === "number") {
      out.byte(Op.i32_const);
      out.s32(offset);
    } else {
      out.byte(Op.global_get);
      out.u32(offset.global);
    }
    out.byte(Op.end);
    if (!plain) out.valType(type);
    else if (!short) out.byte(0);
    this.#elements(functions, type, out);
    return this.#sections[ELEMENTS].count - 1;
  }

  /** A segment for `table.init`; returns its index. */
  passiveElement(functions: ArrayLike<number>): number {
    const out = this.#entry(ELEMENTS);
    out.byte(1);
    out.byte(0);
    this.#elements(functions, ValType.funcref, out);
    return this.#sections[ELEMENTS].count - 1;
  }

  /** Allows `ref.func` of functions that no export and no other segment names. */
  declareReferences(functions: ArrayLike<number>): void {
    const out = this.#entry(ELEMENTS);
    out.byte(3);
    out.byte(0);
    this.#elements(functions, ValType.funcref, out);
  }

  // ---- the module ----

  /** The module, as a view of a larger buffer. @throws {Error} If a declared function has no body. */
  finish(): Uint8Array<ArrayBuffer> {
    let size = sizeOfU32(this.#starts.length);
    for (let i = 0; i < this.#starts.length; i++) {
      const bytes = this.#ends[i] - this.#starts[i];
      if (bytes === 0) {
        const index = i + this.#importedFunctions;
        const name = this.#functionNames.get(index) ?? "without a name";
        throw new Error(`Cannot finish a module: function ${index} (${name}) has no body`);
      }
      size += sizeOfU32(bytes) + bytes;
    }
    const out = new ByteWriter(size + 1024);
    out.word(0x6d736100);
    out.word(1);
    this.#sections.forEach((section, id) => {
      if (section.count === 0) return;
      out.byte(id);
      out.u32(sizeOfU32(section.count) + section.out.length);
      out.u32(section.count);
      out.copy(section.out);
    });
    this.#writeHints(out);
    if (this.#starts.length > 0) {
      out.byte(CODE);
      out.u32(size);
      out.u32(this.#starts.length);
      for (let i = 0; i < this.#starts.length; i++) {
        out.u32(this.#ends[i] - this.#starts[i]);
        out.copy(this.#bodies, this.#starts[i], this.#ends[i]);
      }
    }
    this.#writeNames(out);
    return out.view();
  }

  /** The section of branch hints, which has its place before the code. */
  #writeHints(out: ByteWriter): void {
    if (this.#hints.size === 0) return;
    const section = new ByteWriter();
    section.text("metadata.code.branch_hint");
    section.u32(this.#hints.size);
    for (const [index, hints] of [...this.#hints].sort(([a], [b]) => a - b)) {
      section.u32(index);
      section.u32(hints.length / 2);
      for (let i = 0; i < hints.length; i += 2) {
        section.u32(hints[i]);
        section.byte(1);
        section.byte(hints[i + 1]);
      }
    }
    out.byte(0);
    out.u32(section.length);
    out.copy(section);
  }

  #writeNames(out: ByteWriter): void {
    if (this.#name === undefined && this.#functionNames.size + this.#localNames.size === 0) return;
    const section = new ByteWriter();
    const part = new ByteWriter();
    const flush = (id: number) => {
      section.byte(id);
      section.u32(part.length);
      section.copy(part);
      part.clear();
    };
    section.text("name");
    if (this.#name !== undefined) {
      part.text(this.#name);
      flush(0);
    }
    nameMap(part, this.#functionNames);
    flush(1);
    const locals = [...this.#localNames].sort(([a], [b]) => a - b);
    part.u32(locals.length);
    for (const [index, names] of locals) {
      part.u32(index);
      nameMap(part, names);
    }
    flush(2);
    out.byte(0);
    out.u32(section.length);
    out.copy(section);
  }
}

/** Names by ascending index. */
function nameMap(out: ByteWriter, names: ReadonlyMap<number, string>): void {
  out.u32(names.size);
  for (const [index, name] of [...names].sort(([a], [b]) => a - b)) {
    out.u32(index);
    out.text(name);
  }
}

function limits(out: ByteWriter, min: number, max: number | undefined, shared: boolean): void {
  out.byte((max === undefined ? 0 : 1) | (shared ? 2 : 0));
  out.u32(min);
  if (max !== undefined) out.u32(max);
}
