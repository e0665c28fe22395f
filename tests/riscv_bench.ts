/** Lifting one RISC-V instruction and running it with the oracle. */
import { assert, assertEquals } from "@std/assert";
import { Builder, type IrBlock } from "../cpu/ir/builder.ts";
import { OPS, Slot } from "../cpu/ir/ops.ts";
import { printBlock } from "../cpu/ir/printer.ts";
import { PASSES } from "./configuration.ts";
import { tablesOf } from "./fuzz/encode.ts";
import { OracleMemory, type Outcome, type Outside, runBlock } from "./ir_oracle.ts";

/** Register widths. */
export const XLENS: readonly Xlen[] = [64, 32];
/** A register width. */
export type Xlen = 32 | 64;
/** Operands by field name. */
export type Fields = Record<string, number>;

/** Unsigned modulo 2^bits. */
export const u = (bits: number, value: bigint): bigint => BigInt.asUintN(bits, value);
/** Signed modulo 2^bits. */
export const s = (bits: number, value: bigint): bigint => BigInt.asIntN(bits, value);
/** Address of the instruction. */
export const PC = 0x8000_0000;

/** For instructions without floating point or counters. */
export const unexpected: Outside = {
  float: (op) => {
    throw new Error(`Cannot evaluate ${OPS[op].name}`);
  },
  counter: () => 0n,
};

/** State before and after one instruction: slots, memory and how the block ended. */
export class Bench {
  readonly slots = new BigInt64Array(8192);
  readonly memory: OracleMemory;
  outside: Outside = unexpected;

  constructor(readonly xlen: Xlen, allows?: (address: bigint, write: boolean) => boolean) {
    this.memory = new OracleMemory(allows);
    this.slots[Slot.EXCLUSIVE_ADDRESS] = -1n;
  }

  /** Sets x`n`. */
  x(n: number, value: bigint): this {
    this.slots[n] = s(this.xlen, value);
    return this;
  }

  /** The block of an instruction, and a jump to the next one if it is not the end of the block. */
  block(name: string, fields: Fields): IrBlock {
    const { isa } = tablesOf(this.xlen), bits = tablesOf(this.xlen).assemble(name, fields);
    const builder = new Builder(PASSES);
    builder.start(PC);
    builder.begin(PC);
    const length = isa.lift(builder, PC, (at) => at === PC ? bits & 0xffff : bits >>> 16);
    builder.end();
    if (!builder.ended) builder.jump(PC + length);
    return builder.finish(length);
  }

  /** Executes an instruction; x0 stays 0 and registers of RV32 stay sign-extended. */
  run(name: string, fields: Fields): Outcome {
    const block = this.block(name, fields);
    const outcome = runBlock(block, this.slots, this.memory, this.outside);
    assertEquals(this.slots[0], 0n);
    if (this.xlen === 32) {
      for (let i = 1; i < 32; i++) {
        const value = this.slots[i];
        assert(value === s(32, value), `x${i} is not sign-extended:\n${printBlock(block)}`);
      }
    }
    return outcome;
  }
}

/** A number as messages have it. */
export const hex = (value: bigint): string => `0x${u(64, value).toString(16)}`;
