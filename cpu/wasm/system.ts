/**
 * What system mode adds in WebAssembly: memory through the TLB (mmu/softmmu.ts), and privileged operations.
 *
 * A load or store compares the page of its last byte with the tag in the entry of its first byte's page. They differ
 * also where an access goes on in the next page, whose entry is another one. Where they differ an imported function
 * finds the page (walks tables, fills the TLB), and execution goes on here; what is not memory, or faults, or is
 * watched leaves. Accesses of one block through one register share a comparison.
 *
 * @module
 */
import { STORE_WORDS, TLB_ENTRIES } from "../../mmu/softmmu.ts";
import { Exit } from "../engine/exits.ts";
import { Ending, type RegionBlock } from "../engine/region/region.ts";
import { Reach } from "../engine/tier.ts";
import { FIELDS, Op as Ir, slotsRead, WORDS } from "../ir/ops.ts";
import type { Body, ExitReason } from "./body.ts";
import { Op, ValType } from "./encoder.ts";
import { loadLimits } from "./float.ts";

/** Bytes of an entry are 16; its place is the address' page number times that. */
const ENTRY_SHIFT = 12 - 4, ENTRY_MASK = (TLB_ENTRIES - 1) << 4;
const PAGE_MASK = -4096;
/** Page of an access that has none yet: no address' page, nor what is left of a misaligned address. */
export const NO_PAGE = 0x800;

/** Accesses that are checked together, through one register. */
interface Probe {
  /** Slot with the address. */
  base: number;
  /** Lowest byte, relative to the base, and bytes from there. */
  low: number;
  span: number;
  store: boolean;
  /** Gets the offset in guest memory. */
  local: number;
  aligned: boolean;
}

/**
 * Puts the offset of guest memory into the local; leaves unless all bytes are there.
 *
 * @param device Label behind the access; if it is given, what misses the TLB is executed in here.
 */
export function probe(
  c: Body,
  block: RegionBlock,
  at: number,
  { base, low, span, store, local, aligned }: Probe,
  device?: number,
): void {
  const { w } = c, { reach } = c.layout.system!;
  const address = c.scratch("address", ValType.i64), entry = c.scratch("entry", ValType.i32);
  const table = store ? STORE_WORDS * 4 : 0;
  const site = c.pageCache?.site(block, at);
  c.registers.get(base);
  if (low !== 0) {
    w.i64Const(low);
    w.op(Op.i64_add);
  }
  w.localTee(address);
  w.op(Op.i32_wrap_i64);
  w.localSet(local);
  if (site) {
    // What is aligned is in one page.
    const whole = span <= 8 && (span & (span - 1)) === 0;
    w.localGet(address);
    w.i64Const(whole ? PAGE_MASK | span - 1 : PAGE_MASK);
    w.op(Op.i64_and);
    w.localGet(site.tag);
    w.op(Op.i64_ne);
    if (!whole) {
      w.localGet(local);
      w.i32Const(~PAGE_MASK);
      w.op(Op.i32_and);
      w.i32Const(~PAGE_MASK + 1 - span);
      w.op(Op.i32_gt_u);
      w.op(Op.i32_or);
    }
    w.hint(false);
    w.if();
  }
  w.localGet(local);
  w.i32Const(ENTRY_SHIFT);
  w.op(Op.i32_shr_u);
  w.i32Const(ENTRY_MASK);
  w.op(Op.i32_and);
  w.localGet(c.tlb);
  w.op(Op.i32_add);
  w.localTee(entry);
  w.load(Op.i64_load, 3, table);
  w.localGet(address);
  if (span > 1 && !aligned) {
    w.i64Const(span - 1);
    w.op(Op.i64_add);
  }
  // A tag is a multiple of 4096: a misaligned address differs.
  w.i64Const(aligned ? PAGE_MASK | span - 1 : PAGE_MASK);
  w.op(Op.i64_and);
  w.op(Op.i64_ne);
  w.hint(false);
  w.if();
  if (device !== undefined) stepDevice(c, block, at, device);
  else {
    w.localGet(local);
    w.localGet(address);
    w.i64Const(32);
    w.op(Op.i64_shr_u);
    w.op(Op.i32_wrap_i64);
    w.i32Const(span | (store ? Reach.STORE : 0) | (aligned ? Reach.ALIGNED : 0));
    w.call(reach);
    w.localTee(local);
    w.i32Const(-1);
    w.op(Op.i32_eq);
    w.hint(false);
    w.if();
    c.leave(block, at, "memory");
    w.end();
  }
  w.else();
  w.localGet(local);
  w.localGet(entry);
  w.load(Op.i32_load, 2, table + 8);
  if (site) w.localTee(site.addend);
  w.op(Op.i32_add);
  w.localSet(local);
  if (site) {
    w.localGet(address);
    w.i64Const(PAGE_MASK);
    w.op(Op.i64_and);
    w.localSet(site.tag);
  }
  w.end();
  if (!site) return;
  w.else();
  w.localGet(local);
  w.localGet(site.addend);
  w.op(Op.i32_add);
  w.localSet(local);
  w.end();
}

/** Has the interpreter execute a load or store, which may be a call that reads and writes registers. */
function stepDevice(c: Body, block: RegionBlock, at: number, done: number): void {
  const { w } = c;
  c.saveAll(block);
  c.registers.save(slotsRead(block.ir.code, at, FIELDS[block.ir.code[at]]));
  const status = step(c, block, at, "memory");
  c.loadAll();
  w.localGet(status);
  w.hint(false);
  w.if();
  c.leaveAfter(block, at, "memory");
  w.end();
  loadTlb(c);
  loadLimits(c);
  w.br(w.depthTo(done));
}

/** Executes a record whose operands are in memory, and leaves if it faults; returns a local with its `Exit`. */
function step(c: Body, block: RegionBlock, at: number, reason: ExitReason): number {
  const { w } = c, status = c.scratch("status", ValType.i32);
  c.callStep(block, at, true);
  w.localTee(status);
  w.i32Const(Exit.FAULT);
  w.op(Op.i32_eq);
  w.hint(false);
  w.if();
  c.leave(block, at, reason);
  w.end();
  return status;
}

/** Reads where the TLB of the context is; it changes only while compiled code calls something. */
export function loadTlb(c: Body): void {
  const { w } = c;
  w.i32Const(0);
  w.load(Op.i32_load, 2, c.layout.system!.tlb);
  w.i32Const(2);
  w.op(Op.i32_shl);
  w.localSet(c.tlb);
}

/** Writes a privileged operation or the gate before one; false if the record is something else. */
export function emitSystem(c: Body, block: RegionBlock, at: number): boolean {
  const { w, registers } = c, { code, insns } = block.ir;
  if (code[at] === Ir.gate) {
    registers.get(code[at + 2]);
    w.i64Const(0);
    w.op(Op.i64_ne);
    w.hint(false);
    w.if();
    c.leave(block, at, "float");
    w.end();
    return true;
  }
  if (code[at] !== Ir.sys) return false;
  // An operation that says where to go on is the run loop's, with its whole instruction.
  if (
    block.ending === Ending.TRAP && insns[at / WORDS] === insns[block.terminator / WORDS]
  ) {
    c.leave(block, at, "trap");
    return true;
  }
  registers.save(new Set(FIELDS[Ir.sys].reads.map((field) => code[at + field])));
  const status = step(c, block, at, "op");
  registers.load([code[at + 1]]);
  w.localGet(status);
  w.if();
  c.leaveAfter(block, at, "op");
  w.end();
  if (c.tlb >= 0) loadTlb(c);
  loadLimits(c);
  return true;
}
