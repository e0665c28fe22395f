/**
 * The decode tables' rows, sorted by what a generator must know of them.
 *
 * @module
 */
import { type Encoding, type Tables, tablesOf } from "./encode.ts";
import { NOT_IN_QEMU } from "./runner.ts";

const CONTROL = /^(c\.)?(jal|jalr|jr|j|beqz?|bnez?|blt|bge|bltu|bgeu|ebreak|ecall|unimp|trapdoor)$/;
const FLOAT_OPCODES = [0x43, 0x47, 0x4b, 0x4f, 0x53];

/** Bytes of a load or store, by its name. */
export function accessSize(name: string): number {
  const letter = /^(?:c\.)?f?[ls]([bhwd])u?(?:sp)?$/.exec(name)?.[1];
  if (letter === undefined) throw new RangeError(`Cannot tell the size of ${name}`);
  return { b: 1, h: 2, w: 4, d: 8 }[letter as "b" | "h" | "w" | "d"];
}

/** Rows of one register width. */
export class Catalogue {
  readonly tables: Tables;
  /** Register-to-register integer instructions of 32 bits. */
  readonly plain: Encoding[] = [];
  /** Those that need nothing before them; see QEMU_CPU for `ctzw`. */
  readonly single: Encoding[] = [];
  readonly float: Encoding[] = [];
  /** Those that executors may do with the host's arithmetic. */
  readonly arithmetic: Encoding[] = [];
  readonly loads: Encoding[] = [];
  readonly stores: Encoding[] = [];
  readonly csr: Encoding[] = [];
  /** Read-modify-write atomics. */
  readonly amo: Encoding[] = [];
  readonly fences: Encoding[] = [];
  /** 16-bit instructions that touch registers only. */
  readonly short: Encoding[] = [];
  readonly shortMemory: Encoding[] = [];
  readonly branches: Encoding[] = [];

  constructor(xlen: 32 | 64) {
    this.tables = tablesOf(xlen);
    for (const row of this.tables.full) {
      const { name, asm } = row.row;
      if (/^b(eq|ne|lt|ge|ltu|geu)$/.test(name)) this.branches.push(row);
      if (CONTROL.test(name) || NOT_IN_QEMU.test(name)) continue;
      if (/^(lr|sc)\./.test(name)) continue;
      if (/^amo/.test(name)) this.amo.push(row);
      else if (/^csr/.test(name)) this.csr.push(row);
      else if (/^(fence|pause)/.test(name)) this.fences.push(row);
      else if (asm.includes("(")) (/^f?l/.test(name) ? this.loads : this.stores).push(row);
      else if (FLOAT_OPCODES.includes(row.match & 0x7f)) {
        this.float.push(row);
        if (/^f(add|sub|mul|div)\./.test(name)) this.arithmetic.push(row);
      } else {
        this.plain.push(row);
        if (name !== "ctzw") this.single.push(row);
      }
    }
    for (const row of this.tables.compressed) {
      if (CONTROL.test(row.row.name)) continue;
      (row.row.asm.includes("(") ? this.shortMemory : this.short).push(row);
    }
  }
}

const catalogues = new Map<number, Catalogue>();

/** The catalogue of a register width, made once. */
export function catalogueOf(xlen: 32 | 64): Catalogue {
  let found = catalogues.get(xlen);
  if (found === undefined) catalogues.set(xlen, found = new Catalogue(xlen));
  return found;
}
