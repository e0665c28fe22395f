/** Small blocks for tests: building with any passes, running with the oracle. */
import { assertEquals } from "@std/assert";
import { Builder, type IrBlock, type PassOptions } from "../cpu/ir/builder.ts";
import { OPS, Slot, WORDS } from "../cpu/ir/ops.ts";
import { printBlock } from "../cpu/ir/printer.ts";
import { verify } from "../cpu/ir/verifier.ts";
import { OracleMemory, type Outcome, type Outside, runBlock } from "./ir_oracle.ts";

/** Slots of guest state. */
export const SLOTS = 16;
/** Address of the blocks. */
export const PC = 0x1000;

/** Every way to switch the passes. */
export const COMBINATIONS: PassOptions[] = Array.from({ length: 8 }, (_, i) => ({
  fold: (i & 1) !== 0,
  retarget: (i & 2) !== 0,
  dead: (i & 4) !== 0,
}));

/** Stands for floating point: some function of all that an op reads, flags included. */
export const outside: Outside = {
  float: (op, a, b, c, j) => BigInt.asIntN(64, (a * 31n + b) * 31n + c + BigInt(op * 1000 + j)),
  counter: (_, imm, insn) => imm * 1000n + BigInt(insn),
};

/** Instructions that end neither themselves nor the block. */
export type Instruction = (b: Builder) => void;

/** A block of instructions of 4 bytes; the last one may end it. */
export function build(passes: PassOptions, instructions: Instruction[]): IrBlock {
  const b = new Builder(passes);
  b.start(PC);
  instructions.forEach((instruction, i) => {
    b.begin(PC + 4 * i);
    instruction(b);
    b.end();
  });
  const bytes = 4 * instructions.length;
  if (!b.ended) b.jump(PC + bytes);
  return b.finish(bytes);
}

/** Register `n` is 100 * n, or as given. */
export function registers(values: Record<number, bigint> = {}): BigInt64Array {
  const slots = new BigInt64Array(8192);
  for (let i = 1; i < SLOTS; i++) slots[i] = BigInt(100 * i);
  slots[Slot.EXCLUSIVE_ADDRESS] = -1n;
  for (const [slot, value] of Object.entries(values)) slots[Number(slot)] = value;
  return slots;
}

/** Runs the instructions with every combination of passes: the block is good and the outcome always the same. */
export function everyWay(
  instructions: Instruction[],
  check: (slots: BigInt64Array, outcome: Outcome, block: IrBlock, memory: OracleMemory) => void,
  options: { slots?: Record<number, bigint>; allows?: (address: bigint) => boolean } = {},
): void {
  for (const passes of COMBINATIONS) {
    const block = build(passes, instructions);
    const dump = () => `${JSON.stringify(passes)}\n${printBlock(block)}`;
    assertEquals(verify(block, SLOTS), [], dump());
    const slots = registers(options.slots), memory = new OracleMemory(options.allows);
    const outcome = runBlock(block, slots, memory, outside);
    try {
      check(slots, outcome, block, memory);
    } catch (error) {
      throw new Error(dump(), { cause: error });
    }
  }
}

/** Every pass on. */
export const ALL: PassOptions = { fold: true, retarget: true, dead: true };
/** Names of the ops of a block. */
export const ops = (block: IrBlock): string[] =>
  Array.from({ length: block.code.length / WORDS }, (_, i) => OPS[block.code[i * WORDS]].name);
