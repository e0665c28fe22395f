/**
 * A CPU for tests of ops on vectors.
 *
 * @module
 */
import { Cpu } from "../cpu/engine/cpu.ts";
import type { Builder } from "../cpu/ir/builder.ts";
import type { OpInfo } from "../cpu/ir/ops.ts";
import { AddressSpace } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import { compiling, PASSES } from "./configuration.ts";
import { CODE, OpIsa } from "./op_isa.ts";

/** Slots: vector registers and scalars. */
export const V: readonly number[] = [8, 10, 12, 14];
export const X: readonly number[] = [1, 2, 3, 4];
const MEMORY = 1 << 24;
/** Two pages of data. */
export const DATA = 0x40_0000;

/** A CPU that executes what a test emits. */
export class VectorBench {
  readonly isa = new OpIsa(16);
  readonly space = new AddressSpace(new Arena(MEMORY));
  readonly cpu: Cpu;

  constructor(compiled: boolean, passes = PASSES) {
    this.space.map(CODE, DATA - CODE, 5);
    this.space.map(DATA, 0x2000, 3);
    const options = compiled ? compiling(this.space) : {};
    this.cpu = new Cpu(this.isa, this.space, { ...options, passes });
  }

  add(lift: (b: Builder) => void): number {
    this.isa.lifts.push(lift);
    return CODE + 8 * (this.isa.lifts.length - 1);
  }

  run(pc: number): number {
    this.cpu.pc = pc;
    // Compiled code needs room for an overrun.
    return this.cpu.run(100_000);
  }

  get(slot: number): bigint {
    const { slots } = this.cpu;
    return BigInt.asUintN(64, slots[slot]) | BigInt.asUintN(64, slots[slot + 1]) << 64n;
  }
  set(slot: number, value: bigint): void {
    const { slots } = this.cpu;
    slots[slot] = BigInt.asIntN(64, value);
    slots[slot + 1] = BigInt.asIntN(64, value >> 64n);
  }
}

/** Emits an op on the given slots, its result in `d`; immediates as the op has them. */
export function emit(
  b: Builder,
  op: OpInfo,
  d: number,
  [x, y, z]: readonly number[],
  i: bigint,
  j: number,
): void {
  const lo = Number(BigInt.asIntN(32, i)), hi = Number(BigInt.asIntN(32, i >> 32n));
  if (op.name === "vconst") b.writePair(d, b.vectorConst(lo, hi));
  else if (op.name === "vshuf") b.writePair(d, b.shuffle(x, lo, hi));
  else if (op.fields.startsWith("D")) b.writePair(d, b.vector(op.code, x, y, z, j));
  else if (op.fields.includes("A")) b.write(d, b.fromVector(op.code, x, j));
  else b.write(d, b.float(op.code, x, y, z, j));
}
