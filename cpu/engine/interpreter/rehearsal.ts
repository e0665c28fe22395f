/**
 * A rehearsal of the interpreter's loop: each of its frequent records once or twice, before the guest's first one.
 *
 * V8 compiles the loop by what it saw so far; a record that it never saw has no code, and meeting it throws all of the
 * loop's code away. A kernel that starts meets new ones for seconds, and the loop was compiled 32 times.
 *
 * @module
 */
import { type Arena, CODE_OFFSET, GUEST_OFFSET } from "../../../mmu/arena.ts";
import { type Tlb, TLB_WORD } from "../../../mmu/softmmu.ts";
import { FIELDS, Op, Slot, Trap, WORDS } from "../../ir/ops.ts";
import { type Interpreter, JUMP_BANK_ENTRIES, JUMPS_WORD } from "./interp.ts";

/** Operands: values whose sums, products and quotients need all bits of what holds them. */
const VALUES = [
  [0x7654_3210_89ab_cdefn, 0x1234_5678_9abc_def1n],
  [-0x7654_3210_89ab_cdefn, -0x1234_5679n],
  [7n, 3n],
] as const;
/** Doubles, and floats in boxes, as operands of floating point. */
const FLOATS = [
  [0x4009_21fb_5444_2d18n, 0x4005_bf0a_8b14_576an],
  [0xffff_ffff_4049_0fdbn, 0xffff_ffff_402d_f854n],
] as const;
/** A virtual page that loads and stores find at guest memory's start. */
const PAGE = 0x1234_5000n;
/** An address at which nothing is. */
const NOWHERE = 1n << 60n;

// Slots.
const D = Slot.TEMP, A = D + 1, B = D + 2, C = D + 3, BASE = D + 4;

/** Index of the third source slot in a record; immediates begin there too. */
const THIRD = 4;

/** Records that don't end a block. */
function straight(): number[] {
  const list: number[] = [];
  for (let op = Op.const; op <= Op.st64; op++) list.push(op);
  for (let op = Op.fadd64; op <= Op.fle64; op++) {
    if (op !== Op.fma64 && op !== Op.fma32) list.push(op);
  }
  for (let op = Op.divs64; op <= Op.remu32; op++) list.push(op);
  list.push(Op.mulhu64, Op.feq32, Op.flt32, Op.fle32, Op.unbox32, Op.gate);
  return list;
}

/**
 * Executes them on scratch slots and the first bytes of guest memory, and leaves no trace. The code cache must be empty.
 *
 * @param tlb Of the hart that runs; it is flushed.
 */
export function rehearse(interp: Interpreter, arena: Arena, tlb: Tlb): void {
  const { all32, all64, q } = arena, { jumpCache } = interp, start = CODE_OFFSET / 4;
  const slots = q.slice(), memory = all64.slice(GUEST_OFFSET / 8, GUEST_OFFSET / 8 + 1);
  const code: number[] = [], page = Number(PAGE);
  const put = (op: number, ...fields: number[]) => {
    code.push(op, ...fields, ...new Array<number>(WORDS - 1 - fields.length).fill(0));
  };
  const afterNext = () => start + code.length + WORDS;
  let load = 0;
  for (const op of straight()) {
    if (op === Op.ld64) load = afterNext() - WORDS;
    if (op >= Op.ldS8 && op <= Op.st64) put(op, D, BASE, A);
    else if (op === Op.gate) put(op, 0, Slot.ZERO);
    else put(op, D, A, B, FIELDS[op].reads.includes(THIRD) ? C : 5);
  }
  const branches = start + code.length;
  for (let op = Op.brEq; op <= Op.brGeu; op++) put(op, 1, A, B, afterNext(), afterNext());
  put(Op.jump, 1, 0, 0, afterNext());
  const jumped = afterNext();
  put(Op.jumpInd, 1, BASE, 0, -2, -1);
  put(Op.goto, 0, 0, afterNext());
  const hopped = afterNext();
  put(Op.hop, 0, 0, 0, page + 2);
  put(Op.trap, 1, Trap.RESYNC);
  put(Op.link);
  put(Op.enter);
  all32.set(code, start);
  const jumps = jumpCache.byteOffset / 4, entry = page >>> 1 & JUMP_BANK_ENTRIES - 1;
  jumpCache.set([page, 0, jumped, 0, page + 2, 0, hopped], entry * 4);
  for (const store of [false, true]) tlb.enter(0, store, page, 0, 0);
  all32[TLB_WORD] = tlb.context(0);
  all32[JUMPS_WORD] = jumps;
  q[BASE] = PAGE;
  q[Slot.FP_FAST] = 1n;
  for (const values of [...VALUES, ...FLOATS]) {
    for (const [a, b] of [[0, 1], [1, 0], [0, 0]]) {
      q[A] = values[a];
      q[B] = values[b];
      q[C] = values[b];
      // No small integers: they need not be.
      interp.run(start, 2 ** 31);
      interp.run(start, 20_000);
    }
  }
  // Ways out: fuel used up, targets that are not known, links, a fault.
  jumpCache.fill(-1);
  for (const fuel of [0, 20_000]) {
    for (let at = branches; at < start + code.length; at += WORDS) interp.run(at, fuel);
  }
  q[BASE] = NOWHERE;
  interp.run(load, 0);
  interp.at = -1;
  jumpCache.fill(-1);
  all32.fill(0, start, start + code.length);
  all64.set(memory, GUEST_OFFSET / 8);
  q.set(slots);
  tlb.flush();
}
