/**
 * Small riscv64 programs made without a compiler, so that what they measure runs everywhere.
 *
 * @module
 */

import { makeElf } from "../../tests/elf_maker.ts";
import { tablesOf } from "../../tests/fuzz/encode.ts";

/** Registers by their ABI names. */
const X = {
  ...{ zero: 0, ra: 1, sp: 2, t0: 5, t1: 6, t2: 7, s0: 8, s1: 9, a0: 10, a1: 11, a2: 12, a3: 13 },
  ...{ a4: 14, a5: 15, a6: 16, a7: 17, s2: 18, s3: 19, s4: 20, s5: 21, s6: 22, s11: 27, t3: 28 },
} as const;

/** A register's name. */
export type Register = keyof typeof X;

/** Where code and the writable data of a program are. */
const TEXT = 0x1_0000, DATA = 0x2_0000, DATA_SIZE = 0x1_2000;

/** A branch whose target is not yet known. */
interface Fixup {
  index: number;
  name: string;
  fields: Record<string, number>;
  label: string;
}

/** Assembles one program, instruction by instruction. */
export class Program {
  /** Guest address of 72 KiB of zeros that the program may write; its low 12 bits are zeros. */
  static readonly data = DATA;
  readonly #tables = tablesOf(64);
  readonly #words: number[] = [];
  readonly #labels = new Map<string, number>();
  readonly #fixups: Fixup[] = [];

  /** Names the place that comes next. */
  label(name: string): this {
    if (this.#labels.has(name)) throw new RangeError(`Label ${name} is there twice`);
    this.#labels.set(name, this.#words.length);
    return this;
  }

  /** Address of a label. */
  address(name: string): number {
    const index = this.#labels.get(name);
    if (index === undefined) throw new RangeError(`No label ${name}`);
    return TEXT + 4 * index;
  }

  /** An instruction without operands. */
  plain(name: "trapdoor" | "ecall"): this {
    return this.#add(name, {});
  }

  /** `name rd, rs1, rs2`. */
  r(name: string, rd: Register, rs1: Register, rs2: Register): this {
    return this.#add(name, { rd: X[rd], rs1: X[rs1], rs2: X[rs2] });
  }

  /** `name rd, rs1, imm`, or a load `name rd, imm(rs1)`. */
  i(name: string, rd: Register, rs1: Register, imm: number): this {
    return this.#add(name, { rd: X[rd], rs1: X[rs1], imm });
  }

  /** `li rd, imm` for 12 bits. */
  li(rd: Register, imm: number): this {
    return this.i("addi", rd, "zero", imm);
  }

  /** `lui`: sets a register to a value whose low 12 bits are zeros. */
  lui(rd: Register, value: number): this {
    return this.#add("lui", { rd: X[rd], imm: value });
  }

  /** A store `name rs2, imm(rs1)`. */
  s(name: string, rs2: Register, imm: number, rs1: Register): this {
    return this.#add(name, { rs1: X[rs1], rs2: X[rs2], imm });
  }

  /** A conditional branch to a label. */
  branch(name: string, rs1: Register, rs2: Register, label: string): this {
    const fields = { rs1: X[rs1], rs2: X[rs2] };
    this.#fixups.push({ index: this.#words.length, name, fields, label });
    return this.#add(name, { ...fields, imm: 0 });
  }

  /** `j label`. */
  j(label: string): this {
    this.#fixups.push({ index: this.#words.length, name: "jal", fields: { rd: 0 }, label });
    return this.#add("jal", { rd: 0, imm: 0 });
  }

  #add(name: string, fields: Record<string, number>): this {
    this.#words.push(this.#tables.assemble(name, fields));
    return this;
  }

  /** The instructions alone, for any address. */
  code(): Uint8Array<ArrayBuffer> {
    for (const { index, name, fields, label } of this.#fixups) {
      const imm = this.address(label) - (TEXT + 4 * index);
      this.#words[index] = this.#tables.assemble(name, { ...fields, imm });
    }
    return new Uint8Array(Int32Array.from(this.#words).buffer);
  }

  /** The program as a static ELF file that starts at its first instruction. */
  elf(): Uint8Array<ArrayBuffer> {
    return makeElf({
      entry: TEXT,
      segments: [
        { address: TEXT, bytes: this.code() },
        { address: DATA, flags: 6, memorySize: DATA_SIZE },
      ],
    });
  }
}
