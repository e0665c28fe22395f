/**
 * Ops on 128-bit vectors, on typed arrays over the slots.
 *
 * What executes an op is made when it is first met: a loop of its own text for each, so that V8 compiles it with the
 * op's function inlined. Operations on lanes work in place, because operands are the destination or apart from it;
 * others go through a vector of their own.
 *
 * @module
 */
import type { Arena } from "../../../mmu/arena.ts";
import { Effect, FIRST_VECTOR_OP, OPS, Trap } from "../../ir/ops.ts";
import type { SlowPath } from "../interpreter/slow_memory.ts";
import type { SoftFloat } from "../softfloat/softfloat.ts";
import { makeFloatOp, makeScalarFloatOp } from "./float.ts";
import { makeInteger } from "./integer.ts";
import { VectorLanes, type VectorOp } from "./lanes.ts";
import { VectorMemory } from "./memory.ts";
import { makePermutation } from "./permutation.ts";
import { makeShift } from "./shift.ts";
import { makeWhole } from "./whole.ts";
import { makeWide } from "./width.ts";

/** Executes ops on vectors for one CPU. */
export class VectorOps {
  readonly #lanes: VectorLanes;
  readonly #memory: VectorMemory;
  readonly #slow: SlowPath;
  readonly #float: SoftFloat;
  readonly #ops: (VectorOp | undefined)[] = OPS.slice(FIRST_VECTOR_OP).map(() => undefined);

  constructor(arena: Arena, slow: SlowPath, float: SoftFloat) {
    this.#lanes = new VectorLanes(arena);
    this.#memory = new VectorMemory(arena, slow);
    this.#slow = slow;
    this.#float = float;
  }

  /** Executes the record at `ip` of `code`; false if it faulted (see {@linkcode SlowPath}). */
  execute(code: Int32Array, ip: number): boolean {
    const index = code[ip] - FIRST_VECTOR_OP;
    let op = this.#ops[index];
    if (op === undefined) this.#ops[index] = op = this.#make(OPS[code[ip]].name);
    if (op(code[ip + 1], code[ip + 2], code[ip + 3], code[ip + 4], code[ip + 5])) return true;
    // Memory has said why it faulted; else the rounding mode is invalid.
    const { effect } = OPS[code[ip]];
    return effect === Effect.FLOAT ? this.#slow.fault(Trap.ILLEGAL, 0, 0) : false;
  }

  #make(name: string): VectorOp {
    const lanes = this.#lanes, whole = makeWhole(name, lanes, this.#memory);
    if (whole) return whole;
    const [, base, digits] = /^(\w*?)(\d+)$/.exec(name) ?? [];
    const bits = Number(digits);
    const op = base === undefined
      ? undefined
      : makeInteger(base, bits, lanes) ?? makeShift(base, bits, lanes) ??
        makeWide(base, bits, lanes) ?? makePermutation(base, bits, lanes) ??
        makeFloatOp(base, bits, lanes.arena, this.#float) ??
        makeScalarFloatOp(base, bits, this.#float);
    if (!op) throw new Error(`Cannot execute ${name}: not in the op table`);
    return op;
  }
}
