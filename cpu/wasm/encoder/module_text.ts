/**
 * Text of a WebAssembly module in the text format, for dumps and golden files. Sections that the encoder does not
 * write are named in a comment.
 *
 * Source: WebAssembly Core Specification 3.0, sections 5.5, 6.6 and 7.4.
 *
 * @module
 */
import { Reader } from "./reader.ts";
import { functionText, identifiers, type Names, readCode, typeList, typeName } from "./text.ts";

const KINDS = ["func", "table", "memory", "global"];
const DATA_COUNT = 12, NAME_MODULE = 0, NAME_FUNCTIONS = 1, NAME_LOCALS = 2;

interface Section {
  readonly id: number;
  readonly start: number;
  readonly end: number;
}

interface FunctionType {
  readonly params: number[];
  readonly results: number[];
}

/** What is known of a module while it is printed. */
class ModulePrinter {
  readonly lines: string[] = [];
  readonly #bytes: Uint8Array;
  readonly #types: FunctionType[] = [];
  /** Type index of each function. */
  readonly #functions: number[] = [];
  /** For each kind: how many were printed. */
  readonly #counts = [0, 0, 0, 0];
  #segments = 0;
  #name = "";
  #ids: Names = {};
  #functionNames = new Map<number, string>();
  #localNames = new Map<number, Map<number, string>>();

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    const sections = this.#sections();
    for (const section of sections) if (section.id === 0) this.#readNames(section);
    this.#ids = { functions: identifiers(this.#functionNames) };
    this.lines.push(this.#name);
    for (const section of sections) this.#print(section);
    const missing = this.#functions.length - this.#counts[0];
    if (missing > 0) new Reader(bytes, bytes.length).fail(`${missing} functions have no body`);
  }

  #sections(): Section[] {
    const r = new Reader(this.#bytes);
    if (r.little(8) !== 0x1_6d73_6100n) r.fail("no module of version 1");
    const sections: Section[] = [];
    while (!r.done) {
      const id = r.byte();
      const size = r.u32();
      const start = r.at;
      if (start + size > this.#bytes.length) r.fail(`section ${id} ends early`);
      sections.push({ id, start, end: r.at = start + size });
    }
    return sections;
  }

  #reader({ start, end }: Section): Reader {
    return new Reader(this.#bytes, start, end);
  }

  #readNames(section: Section): void {
    const r = this.#reader(section);
    if (r.text() !== "name") return;
    const map = () => new Map(r.list((): [number, string] => [r.u32(), r.text()]));
    while (!r.done) {
      const id = r.byte();
      const end = r.u32() + r.at;
      if (id === NAME_MODULE) this.#name = identifiers(new Map([[0, r.text()]])).get(0) ?? "";
      else if (id === NAME_FUNCTIONS) this.#functionNames = map();
      else if (id === NAME_LOCALS) {
        this.#localNames = new Map(
          r.list((): [number, Map<number, string>] => [r.u32(), map()]),
        );
      }
      r.at = end;
    }
  }

  #expression(r: Reader): string {
    const lines = readCode(r, this.#ids).map((line) => line.text);
    return lines.length === 1 ? `(${lines[0]})` : lines.join(" ");
  }

  #limits(r: Reader): string {
    const flags = r.byte();
    if (flags > 3) r.fail(`limits of kind ${flags}`);
    const min = r.u32();
    return `${min}${flags & 1 ? ` ${r.u32()}` : ""}${flags & 2 ? " shared" : ""}`;
  }

  #table(r: Reader): string {
    const type = typeName(r.valType());
    return `${this.#limits(r)} ${type}`;
  }

  #global(r: Reader): string {
    const type = typeName(r.valType());
    return r.byte() === 1 ? `(mut ${type})` : type;
  }

  /** `$name (;index;)` of the next thing of a kind. */
  #id(kind: number): string {
    const index = this.#counts[kind]++;
    const id = kind === 0 ? this.#ids.functions?.get(index) : undefined;
    return id === undefined ? `(;${index};)` : `${id} (;${index};)`;
  }

  #print(section: Section): void {
    const r = this.#reader(section);
    const each = (text: () => string) => {
      for (let count = r.u32(); count > 0; count--) this.lines.push(text());
    };
    switch (section.id) {
      case 1:
        each(() => this.#type(r));
        break;
      case 2:
        each(() => this.#import(r));
        break;
      case 3:
        this.#functions.push(...r.list(() => r.u32()));
        return;
      case 4:
        each(() => `(table ${this.#id(1)} ${this.#table(r)})`);
        break;
      case 5:
        each(() => `(memory ${this.#id(2)} ${this.#limits(r)})`);
        break;
      case 6:
        each(() => `(global ${this.#id(3)} ${this.#global(r)} ${this.#expression(r)})`);
        break;
      case 7:
        each(() => this.#export(r));
        break;
      case 9:
        each(() => this.#element(r));
        break;
      case 10:
        each(() => this.#function(r));
        break;
      case 0: {
        const name = r.text();
        if (name !== "name") this.lines.push(this.#comment(section, `section "${name}"`));
        return;
      }
      default:
        if (section.id > DATA_COUNT) r.fail(`section ${section.id}`);
        this.lines.push(this.#comment(section, `section ${section.id}`));
        return;
    }
    if (r.at !== section.end) r.fail(`section ${section.id} has another size`);
  }

  #comment({ start, end }: Section, what: string): string {
    return `(; ${what.replaceAll(/[^ -:<-~]/g, "?")}: ${end - start} bytes ;)`;
  }

  #type(r: Reader): string {
    if (r.byte() !== 0x60) r.fail("a function type is expected");
    const params = r.list(() => r.valType());
    const results = r.list(() => r.valType());
    const index = this.#types.push({ params, results }) - 1;
    return `(type (;${index};) (func${typeList("param", params)}${typeList("result", results)}))`;
  }

  #typeOf(r: Reader, index: number): FunctionType {
    return this.#types[index] ?? r.fail(`there is no type ${index}`);
  }

  #import(r: Reader): string {
    const names = `(import ${quote(r.text())} ${quote(r.text())}`;
    const kind = r.byte();
    const id = kind in KINDS ? this.#id(kind) : r.fail(`an import of kind ${kind}`);
    if (kind === 0) {
      const type = r.u32();
      this.#functions.push(type);
      return `${names} (func ${id} (type ${type})))`;
    }
    const text = kind === 1 ? this.#table(r) : kind === 2 ? this.#limits(r) : this.#global(r);
    return `${names} (${KINDS[kind]} ${id} ${text}))`;
  }

  #export(r: Reader): string {
    const name = quote(r.text());
    const kind = r.byte();
    if (!(kind in KINDS)) r.fail(`an export of kind ${kind}`);
    const index = r.u32();
    const id = (kind === 0 ? this.#ids.functions?.get(index) : undefined) ?? index;
    return `(export ${name} (${KINDS[kind]} ${id}))`;
  }

  #element(r: Reader): string {
    const flags = r.u32();
    if (flags > 7) r.fail(`an element segment of kind ${flags}`);
    const parts = [`(elem (;${this.#segments++};)`];
    if ((flags & 1) === 0) {
      if (flags & 2) parts.push(`(table ${r.u32()})`);
      parts.push(this.#expression(r));
    } else if (flags & 2) {
      parts.push("declare");
    }
    const expressions = (flags & 4) !== 0;
    if ((flags & 3) === 0) parts.push(expressions ? "funcref" : "func");
    else if (expressions) parts.push(typeName(r.valType()));
    else if (r.byte() === 0) parts.push("func");
    else r.fail("an element segment of functions is expected");
    parts.push(...r.list(() => {
      if (expressions) return this.#expression(r);
      const index = r.u32();
      return this.#ids.functions?.get(index) ?? String(index);
    }));
    return `${parts.join(" ")})`;
  }

  #function(r: Reader): string {
    const size = r.u32();
    const index = this.#counts[0];
    const type = this.#functions[index] ?? r.fail("a body without function");
    const { params, results } = this.#typeOf(r, type);
    const body = this.#bytes.subarray(r.at, r.at += size);
    const ids = { ...this.#ids, locals: identifiers(this.#localNames.get(index)) };
    const text = functionText(body, ids, `${this.#id(0)} (type ${type})`, params, results);
    return text.replaceAll("\n", "\n  ");
  }
}

/** A string of the text format. */
function quote(text: string): string {
  const hex = (character: string) =>
    [...new TextEncoder().encode(character)]
      .map((byte) => `\\${byte.toString(16).padStart(2, "0")}`).join("");
  return `"${text.replaceAll(/[^ !#-[\]-~]/gu, hex)}"`;
}

/**
 * Text of a module.
 *
 * @throws {SyntaxError} If the bytes are no module, or have what the encoder's instruction table does not.
 */
export function printModule(bytes: Uint8Array): string {
  const [name, ...fields] = new ModulePrinter(bytes).lines;
  const head = name === "" ? "(module" : `(module ${name}`;
  return `${[head, ...fields.map((field) => `  ${field}`)].join("\n")})\n`;
}
