/**
 * Reading the values of the WebAssembly binary format.
 *
 * Source: WebAssembly Core Specification 3.0, sections 5.1 to 5.3.
 *
 * @module
 */
import { refNull, ValType, VOID } from "./opcodes.ts";

const KNOWN = new Set<number>(Object.values(ValType));
/** What begins the type `(ref null ...)`. */
const REF_NULL = -0x1d;

/** Values of the binary format in a run of bytes. */
export class Reader {
  /** Index of the next byte. */
  at: number;
  readonly #bytes: Uint8Array;
  readonly #end: number;

  /** Reads `bytes` from `at` up to `end`. */
  constructor(bytes: Uint8Array, at = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.at = at;
    this.#end = end;
  }

  /** Whether nothing is left. */
  get done(): boolean {
    return this.at >= this.#end;
  }

  /** Throws an error that names the place. */
  fail(problem: string): never {
    throw new SyntaxError(`Cannot read WebAssembly at byte ${this.at}: ${problem}`);
  }

  /** A byte. */
  byte(): number {
    if (this.at >= this.#end) this.fail("the code ends early");
    return this.#bytes[this.at++];
  }

  /** LEB128 of at most `bits` bits. */
  leb(bits: number, signed: boolean): bigint {
    let value = 0n;
    for (let shift = 0n;; shift += 7n) {
      if (shift >= bits) this.fail(`a number is longer than ${bits} bits`);
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte & 0x80) continue;
      const cut = signed ? BigInt.asIntN(Number(shift) + 7, value) : value;
      const fits = signed ? BigInt.asIntN(bits, cut) : BigInt.asUintN(bits, cut);
      if (fits !== cut) this.fail(`a number does not fit ${bits} bits`);
      return cut;
    }
  }

  /** An unsigned 32-bit number. */
  u32(): number {
    return Number(this.leb(32, false));
  }

  /** `count` bytes as a number, the low byte first. */
  little(count: number): bigint {
    let value = 0n;
    for (let i = 0; i < count; i++) value |= BigInt(this.byte()) << BigInt(8 * i);
    return value;
  }

  /** A string. */
  text(): string {
    const length = this.u32();
    if (length > this.#end - this.at) this.fail(`a string of ${length} bytes ends early`);
    this.at += length;
    return new TextDecoder().decode(this.#bytes.subarray(this.at - length, this.at));
  }

  /** A value type, {@linkcode VOID} or a type index. */
  blockType(): number {
    const value = Number(this.leb(33, true));
    if (value === REF_NULL) return this.heapType();
    if (value >= 0 || value === VOID || KNOWN.has(value)) return value;
    return this.fail(`no type is ${value}`);
  }

  /** A value type. */
  valType(): number {
    const type = this.blockType();
    if (type >= 0 || type === VOID) this.fail("a value type is expected");
    return type;
  }

  /** The type of references to a heap type. */
  heapType(): number {
    const value = Number(this.leb(33, true));
    if (value >= 0) return refNull(value);
    if (value === ValType.funcref || value === ValType.externref) return value;
    return this.fail(`no heap type is ${value}`);
  }

  /** A list. */
  list<T>(item: () => T): T[] {
    const items: T[] = [];
    for (let count = this.u32(); count > 0; count--) items.push(item());
    return items;
  }
}
