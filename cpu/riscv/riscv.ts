/**
 * RV64GC and RV32GC at user level, and for system mode with the privileged architecture, put together from the extensions' tables.
 *
 * @module
 */
import type { Builder } from "../ir/builder.ts";
import { BitRange, Compiled, Decoder, type Fields } from "../isa/decoder.ts";
import type { Disassembly, Fetch, Isa } from "../isa/isa.ts";
import { assemblyText } from "./disassembler.ts";
import { FIELDS, Lifter, type RvRow } from "./lifter.ts";
import { RV_A } from "./rv_a.ts";
import { expandCompressed } from "./rv_c.ts";
import { RV_D, RV_F } from "./rv_fd.ts";
import { RV_I } from "./rv_i.ts";
import { RV_M } from "./rv_m.ts";
import { gated, RV_PRIVILEGED } from "./rv_priv.ts";
import { RV_ZB, RV_ZICOND } from "./rv_zb.ts";
import { RV_ZICBO } from "./rv_zicbo.ts";
import { RV_ZICSR } from "./rv_zicsr.ts";
import { RiscvState } from "./state.ts";

/** 32-bit encodings of every extension; the first matching row counts. */
const makeRows = (): RvRow[] => [
  ...[...RV_I(), ...RV_M(), ...RV_A(), ...RV_F(), ...RV_D()],
  ...[...RV_ZICSR(), ...RV_ZB(), ...RV_ZICOND(), ...RV_ZICBO()],
];

let made: readonly RvRow[] | undefined;
const allRows = () => made ??= makeRows();

/** A RISC-V instruction set of one register width. */
export class Riscv extends RiscvState implements Isa {
  // Made when first needed: a program whose code was translated in an earlier run never does.
  #decoder: Decoder<RvRow> | undefined;
  #compressed: Decoder<RvRow> | undefined;
  #lifter: Lifter;
  readonly #system: boolean;

  /** @param system Whether it is for system mode: with privileged instructions. */
  constructor(xlen: 32 | 64, system = false) {
    super(xlen);
    this.#system = system;
    this.#lifter = new Lifter(xlen);
  }

  /** 32-bit encodings; what is privileged comes first, as it is more special. */
  #rows(): readonly RvRow[] {
    return this.#system ? [...RV_PRIVILEGED(), ...allRows().map(gated)] : allRows();
  }

  #table(list: readonly RvRow[], width: number): Compiled<RvRow>[] {
    const here = list.filter((row) => row.xlen === undefined || row.xlen === this.xlen);
    return here.map((row) => new Compiled(row, width, FIELDS));
  }

  /** Decoder of 32-bit encodings. */
  get decoder(): Decoder<RvRow> {
    return this.#decoder ??= new Decoder(
      this.#table(this.#rows(), 32),
      new BitRange(2, 5),
      new BitRange(12, 3),
    );
  }

  /** Decoder of 16-bit encodings. */
  get compressed(): Decoder<RvRow> {
    return this.#compressed ??= new Decoder(
      this.#table(expandCompressed(this.#rows(), this.xlen), 16),
      new BitRange(0, 2),
      new BitRange(13, 3),
    );
  }

  /** Reads the word at `pc`: [bits, length], or undefined if it can't be fetched. */
  #word(pc: number, fetch: Fetch): [bits: number, length: number] | undefined {
    const low = fetch(pc);
    if (low < 0) return undefined;
    // Volume I, section 1.5: the low two bits are 11 for 32-bit and longer encodings.
    if ((low & 3) !== 3) return [low, 2];
    const high = fetch(pc + 2);
    return high < 0 ? undefined : [low | high << 16, 4];
  }

  /** The row and fields of an instruction word; undefined for an undefined encoding. */
  decode(bits: number, length: number): { row: RvRow; fields: Fields } | undefined {
    return (length === 2 ? this.compressed : this.decoder).decode(bits);
  }

  lift(builder: Builder, pc: number, fetch: Fetch): number {
    const lifter = this.#lifter;
    lifter.b = builder;
    lifter.pc = pc;
    const low = fetch(pc);
    const length = (low & 3) === 3 ? 4 : 2;
    const high = length === 4 ? fetch(pc + 2) : 0;
    if (low < 0) return 0;
    if (high < 0) return -2;
    const bits = low | high << 16;
    lifter.length = length;
    const found = this.decode(bits, length);
    if (found === undefined) lifter.illegal();
    else found.row.lift(lifter, found.fields);
    return length;
  }

  disassemble(pc: number, fetch: Fetch): Disassembly {
    const word = this.#word(pc, fetch);
    if (word === undefined) return { length: 0, bits: 0, text: "(not executable)" };
    const [bits, length] = word;
    const found = this.decode(bits, length);
    const text = found
      ? assemblyText(found.row, found.fields, pc, this.xlen)
      : `.${length}byte 0x${(bits >>> 0).toString(16)}`;
    return { length, bits, text };
  }
}
