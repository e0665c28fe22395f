/**
 * A64 at EL0, put together from the tables of its parts.
 *
 * @module
 */
import type { Builder } from "../ir/builder.ts";
import { Trap } from "../ir/ops.ts";
import { BitRange, Compiled, Decoder, type Fields } from "../isa/decoder.ts";
import type { Disassembly, Fetch, Isa } from "../isa/isa.ts";
import { A64_ATOMIC } from "./a64_atomic.ts";
import { A64_BRANCH } from "./a64_branch.ts";
import { A64_DATA } from "./a64_data.ts";
import { A64_MEMORY } from "./a64_memory.ts";
import { assemblyText } from "./disassembler.ts";
import { FP_ROWS } from "./fp.ts";
import { type A64Row, FIELDS, Lifter } from "./lifter.ts";
import { SIMD_ARITH_ROWS } from "./simd_arith.ts";
import { SIMD_MEMORY_ROWS } from "./simd_memory.ts";
import { SIMD_MOVE_ROWS } from "./simd_move.ts";
import { SIMD_SHIFT_ROWS } from "./simd_shift.ts";
import { Aarch64State } from "./state.ts";

/** Every encoding; the first matching row counts. Vector immediates come before shifts. */
const makeRows = (): A64Row[] => [
  ...[...A64_BRANCH(), ...A64_DATA(), ...A64_MEMORY(), ...A64_ATOMIC()],
  ...[...FP_ROWS(), ...SIMD_ARITH_ROWS(), ...SIMD_MOVE_ROWS(), ...SIMD_SHIFT_ROWS()],
  ...SIMD_MEMORY_ROWS(),
];

/** The A64 instruction set at EL0. */
export class Aarch64 extends Aarch64State implements Isa {
  // Made when first needed: a program whose code was translated in an earlier run never does.
  #decoder: Decoder<A64Row> | undefined;
  readonly #lifter = new Lifter();

  /** Decoder of all encodings. */
  get decoder(): Decoder<A64Row> {
    return this.#decoder ??= new Decoder(
      makeRows().map((row) => new Compiled(row, 32, FIELDS)),
      new BitRange(10, 6),
      new BitRange(21, 11),
    );
  }

  /** The row and fields of an instruction word; undefined for an undefined encoding. */
  decode(bits: number): { row: A64Row; fields: Fields } | undefined {
    return this.decoder.decode(bits);
  }

  lift(builder: Builder, pc: number, fetch: Fetch): number {
    const lifter = this.#lifter;
    const low = fetch(pc), high = low < 0 ? 0 : fetch(pc + 2);
    if (low < 0) return 0;
    if (high < 0) return -2;
    lifter.start(builder, pc);
    if ((pc & 3) !== 0) {
      builder.trap(Trap.MISALIGNED_FETCH, 4);
      return 4;
    }
    const found = this.decode(low | high << 16);
    if (found === undefined) lifter.undefinedInstruction();
    else found.row.lift(lifter, found.fields);
    return 4;
  }

  disassemble(pc: number, fetch: Fetch): Disassembly {
    const low = fetch(pc), high = low < 0 ? low : fetch(pc + 2);
    if (high < 0) return { length: 0, bits: 0, text: "(not executable)" };
    const bits = low | high << 16, found = this.decode(bits);
    const text = found
      ? assemblyText(found.row, found.fields, pc)
      : `.inst 0x${(bits >>> 0).toString(16).padStart(8, "0")}`;
    return { length: 4, bits, text };
  }
}
