/**
 * Loads, stores and atomics in WebAssembly.
 *
 * Accesses of one block through one unchanged register are checked together. For each pointer of a region (a web: see
 * `webs.ts`) an *extent* remembers a run of pages with the wanted right, as two 64-bit words: its start, and how far
 * from it an access may begin. What is not in there is looked up in the page table, by a helper function, which also
 * moves extents; it says whether all accesses of the group may go straight to memory. If not, the first of them leaves.
 * Alignment does not matter to the host. In system mode the TLB takes the place of extents: see `system.ts`.
 *
 * @module
 */
import type { RegionBlock } from "../engine/region/region.ts";
import {
  Amo,
  Effect,
  FIELDS,
  Op as Ir,
  OPS,
  Slot,
  SLOT_COUNT,
  slotsWritten,
  WORDS,
} from "../ir/ops.ts";
import type { Body, SystemLayout } from "./body.ts";
import { type LoadOp, Op, type PlainOp, type StoreOp, ValType } from "./encoder.ts";
import { probe } from "./system.ts";

/** Page-table bits: see `Page` of the address space. */
const LOAD_OK = 1, STORE_OK = 2;
const PAGE_SIZE = 4096;
/** What is added to a slot's number to tell groups of stores from those of loads. */
const STORES_APART = SLOT_COUNT;

const LOADS = new Map<number, { op: LoadOp; size: number }>([
  [Ir.ldS8, { op: Op.i64_load8_s, size: 1 }],
  [Ir.ldU8, { op: Op.i64_load8_u, size: 1 }],
  [Ir.ldS16, { op: Op.i64_load16_s, size: 2 }],
  [Ir.ldU16, { op: Op.i64_load16_u, size: 2 }],
  [Ir.ldS32, { op: Op.i64_load32_s, size: 4 }],
  [Ir.ldU32, { op: Op.i64_load32_u, size: 4 }],
  [Ir.ldB32, { op: Op.i64_load32_u, size: 4 }],
  [Ir.ld64, { op: Op.i64_load, size: 8 }],
  [Ir.ldV, { op: Op.v128_load, size: 16 }],
]);
const STORES = new Map<number, { op: StoreOp; size: number }>([
  [Ir.st8, { op: Op.i64_store8, size: 1 }],
  [Ir.st16, { op: Op.i64_store16, size: 2 }],
  [Ir.st32, { op: Op.i64_store32, size: 4 }],
  [Ir.st64, { op: Op.i64_store, size: 8 }],
  [Ir.stV, { op: Op.v128_store, size: 16 }],
]);
const ATOMICS = new Set([Ir.ldx32, Ir.ldx64, Ir.stx32, Ir.stx64, Ir.amo32, Ir.amo64]);
const AMO = new Map<number, PlainOp>([
  [Amo.ADD, Op.i64_add],
  [Amo.XOR, Op.i64_xor],
  [Amo.AND, Op.i64_and],
  [Amo.OR, Op.i64_or],
]);
/** The comparison under which the old value stays. */
const AMO_KEEPS = new Map<number, PlainOp>([
  [Amo.MIN, Op.i64_lt_s],
  [Amo.MAX, Op.i64_gt_s],
  [Amo.MINU, Op.i64_lt_u],
  [Amo.MAXU, Op.i64_gt_u],
]);

const log2 = (size: number) => 31 - Math.clz32(size);

/** Accesses that are checked together. */
export interface Group {
  /** Slot with the address. */
  readonly base: number;
  /** Word index of the record whose access makes the check. */
  readonly first: number;
  /** Lowest byte, relative to the base, and bytes from there to the end of the highest access. */
  low: number;
  span: number;
  /** Page-table bits that all pages must have. */
  rights: number;
  /** Position among the groups of the block. */
  readonly order: number;
  /** Local with the low word of the lowest address, once the check is written. */
  local: number;
}

/** The one right that includes all: what may be stored to may be loaded. */
export function rightOf(rights: number): number {
  return (rights & STORE_OK) !== 0 ? STORE_OK : LOAD_OK;
}

/** Whether a load or store is one that may reach a device without leaving: its record is its instruction's last. */
function isDevice({ ir: { insns, pcs }, terminator }: RegionBlock, at: number, c?: SystemLayout) {
  const index = insns[at / WORDS];
  return (at + WORDS === terminator || insns[at / WORDS + 1] !== index) && c?.device(pcs[index]);
}

/**
 * Finds the groups of a block: by word index of the record.
 *
 * @param system Loads and stores are apart then (a page is dirty only if it is stored to), and nothing is known any
 * longer after a privileged operation, nor after an access to a device.
 */
export function findGroups(block: RegionBlock, system?: SystemLayout): Map<number, Group> {
  const { ir: { code }, terminator } = block;
  const groups = new Map<number, Group>(), open = new Map<number, Group>();
  let order = 0;
  for (let at = 0; at < terminator; at += WORDS) {
    const op = code[at], access = LOADS.get(op) ?? STORES.get(op);
    if (access) {
      const base = code[at + 2], offset = code[at + 4];
      const rights = LOADS.has(op) ? LOAD_OK : STORE_OK;
      const kind = system && rights === STORE_OK ? base + STORES_APART : base;
      const device = isDevice(block, at, system);
      if (device) open.clear();
      let group = open.get(kind);
      if (group) {
        const low = Math.min(group.low, offset);
        const span = Math.max(group.low + group.span, offset + access.size) - low;
        if (span > PAGE_SIZE) group = undefined;
        else {
          group.low = low;
          group.span = span;
          group.rights |= rights;
        }
      }
      if (!group) {
        group = {
          base,
          first: at,
          low: offset,
          span: access.size,
          rights,
          order: order++,
          local: -1,
        };
        if (!device) open.set(kind, group);
      }
      groups.set(at, group);
    }
    for (const slot of slotsWritten(code, at, FIELDS[op])) {
      open.delete(slot);
      open.delete(slot + STORES_APART);
    }
    if (OPS[op].effect === Effect.SYSTEM) open.clear();
  }
  return groups;
}

/** Whether a block loads or stores. */
export function accessesMemory({ ir: { code }, terminator }: RegionBlock): boolean {
  for (let at = 0; at < terminator; at += WORDS) {
    if (LOADS.has(code[at]) || STORES.has(code[at]) || ATOMICS.has(code[at])) return true;
  }
  return false;
}

/** Writes a load, store or atomic; false if the record is something else. */
export function emitMemory(
  c: Body,
  block: RegionBlock,
  at: number,
  groups: ReadonlyMap<number, Group>,
): boolean {
  const code = block.ir.code, op = code[at];
  if (op === Ir.aligned) {
    const { w } = c;
    c.registers.get(code[at + 2]);
    w.i64Const(code[at + 4] - 1);
    w.op(Op.i64_and);
    w.op(Op.i64_eqz);
    w.op(Op.i32_eqz);
    w.hint(false);
    w.if();
    c.leave(block, at, "memory");
    w.end();
    return true;
  }
  if (ATOMICS.has(op)) {
    emitAtomic(c, block, at);
    return true;
  }
  const group = groups.get(at);
  if (!group) return false;
  const { w } = c, device = isDevice(block, at, c.layout.system) ? w.block() : undefined;
  if (group.first === at) {
    group.local = c.scratch(`base${group.order}`, ValType.i32);
    check(c, block, at, { ...group, aligned: false }, device);
  }
  access(c, code, at, group);
  if (device !== undefined) w.end();
  return true;
}

/** Writes a load or store whose bytes are known to be there. */
function access(c: Body, code: Int32Array, at: number, group: Group): void {
  const { w, registers } = c, op = code[at];
  const offset = c.layout.guest + code[at + 4] - group.low;
  const load = LOADS.get(op), store = STORES.get(op);
  w.localGet(group.local);
  if (load) {
    if (op === Ir.ld64 && registers.isDouble(code[at + 1])) {
      w.load(Op.f64_load, 3, offset);
      return registers.setDouble(code[at + 1]);
    }
    w.load(load.op, log2(load.size), offset);
    if (op === Ir.ldV) return registers.setVector(code[at + 1]);
    if (op === Ir.ldB32) {
      w.i64Const(0, -1);
      w.op(Op.i64_or);
    }
    registers.set(code[at + 1]);
  } else if (store) {
    if (op === Ir.st64 && registers.isDouble(code[at + 3])) {
      registers.getDouble(code[at + 3]);
      return w.store(Op.f64_store, 3, offset);
    }
    if (op === Ir.stV) registers.getVector(code[at + 3]);
    else registers.get(code[at + 3]);
    w.store(store.op, log2(store.size), offset);
  }
}

/**
 * Puts the low word of the lowest address into the local; leaves unless all bytes have the rights.
 *
 * @param device Label behind the access, if a device may serve it.
 */
function check(
  c: Body,
  block: RegionBlock,
  at: number,
  { base, low, span, rights, local, aligned }: Omit<Group, "first" | "order"> & {
    aligned: boolean;
  },
  device?: number,
): void {
  const { w } = c, address = c.scratch("address", ValType.i64);
  const right = rightOf(rights);
  if (c.layout.system) {
    const store = right === STORE_OK;
    return probe(c, block, at, { base, low, span, store, local, aligned }, device);
  }
  const { offset: extent, slack } = c.extent(block, at, right, span);
  c.registers.get(base);
  if (low !== 0) {
    w.i64Const(low);
    w.op(Op.i64_add);
  }
  w.localTee(address);
  w.i32Const(0);
  w.load(Op.i64_load, 3, extent);
  w.op(Op.i64_sub);
  w.i32Const(0);
  w.load(Op.i64_load, 3, extent + 8);
  w.op(Op.i64_ge_u);
  w.hint(false);
  w.if();
  w.localGet(address);
  w.i32Const(extent);
  w.i32Const(span);
  w.i32Const(right);
  w.i32Const(slack);
  w.call(c.layout.helper("reach"));
  w.op(Op.i32_eqz);
  w.hint(false);
  w.if();
  c.leave(block, at, "memory");
  w.end();
  w.end();
  w.localGet(address);
  w.op(Op.i32_wrap_i64);
  w.localSet(local);
  if (!aligned) return;
  w.localGet(local);
  w.i32Const(span - 1);
  w.op(Op.i32_and);
  w.hint(false);
  w.if();
  c.leave(block, at, "memory");
  w.end();
}

function emitAtomic(c: Body, block: RegionBlock, at: number): void {
  const { w, registers, layout } = c, { code } = block.ir;
  const op = code[at], d = code[at + 1], a = code[at + 2], b = code[at + 3];
  const size = op === Ir.ldx32 || op === Ir.stx32 || op === Ir.amo32 ? 4 : 8;
  const [loadOp, storeOp] = size === 4
    ? [Op.i64_load32_s, Op.i64_store32] as const
    : [Op.i64_load, Op.i64_store] as const;
  const isLoad = op === Ir.ldx32 || op === Ir.ldx64, isAmo = op === Ir.amo32 || op === Ir.amo64;
  const local = c.scratch("atomic", ValType.i32), old = c.scratch("old", ValType.i64);
  const rights = isLoad ? LOAD_OK : LOAD_OK | STORE_OK;
  const checkFor = (rights: number) =>
    check(c, block, at, { base: a, low: 0, span: size, rights, local, aligned: true });
  const leaveUnless = () => {
    w.op(Op.i32_eqz);
    w.hint(false);
    w.if();
    c.leave(block, at, "op");
    w.end();
  };
  // With a TLB, to look for a page to store to is to make it dirty: not unless something is stored.
  const exclusive = layout.system !== undefined && !isLoad && !isAmo;
  if (!exclusive) checkFor(rights);
  const operand = () => {
    registers.get(b);
    if (size === 4) w.op(Op.i64_extend32_s);
  };
  const toCell = (slot: number, value: () => void) => {
    w.i32Const(0);
    value();
    w.store(Op.i64_store, 3, slot * 8);
  };
  const fromCell = (slot: number) => {
    w.i32Const(0);
    w.load(Op.i64_load, 3, slot * 8);
  };
  const load = () => {
    w.localGet(local);
    w.load(loadOp, log2(size), layout.guest);
    w.localSet(old);
  };
  if (exclusive) {
    fromCell(Slot.EXCLUSIVE_ADDRESS);
    registers.get(a);
    w.op(Op.i64_eq);
    leaveUnless();
    checkFor(LOAD_OK);
    load();
    fromCell(Slot.EXCLUSIVE_VALUE);
    w.localGet(old);
    w.op(Op.i64_eq);
    leaveUnless();
    checkFor(STORE_OK);
    w.localGet(local);
    registers.get(b);
    w.store(storeOp, log2(size), layout.guest);
    w.i64Const(0);
    registers.set(d);
    return toCell(Slot.EXCLUSIVE_ADDRESS, () => w.i64Const(-1));
  }
  load();
  if (isLoad) {
    toCell(Slot.EXCLUSIVE_ADDRESS, () => registers.get(a));
    toCell(Slot.EXCLUSIVE_VALUE, () => w.localGet(old));
    w.localGet(old);
    return registers.set(d);
  }
  if (isAmo) {
    const kind = code[at + 5], plain = AMO.get(kind), keeps = AMO_KEEPS.get(kind);
    w.localGet(local);
    if (plain !== undefined) {
      w.localGet(old);
      operand();
      w.op(plain);
    } else if (keeps !== undefined) {
      w.localGet(old);
      operand();
      w.localGet(old);
      operand();
      w.op(keeps);
      w.op(Op.select);
    } else operand();
    w.store(storeOp, log2(size), layout.guest);
    w.localGet(old);
    return registers.set(d);
  }
  // Store exclusive: as long as the address is reserved and holds what was loaded.
  fromCell(Slot.EXCLUSIVE_ADDRESS);
  registers.get(a);
  w.op(Op.i64_eq);
  fromCell(Slot.EXCLUSIVE_VALUE);
  w.localGet(old);
  w.op(Op.i64_eq);
  w.op(Op.i32_and);
  w.if(ValType.i64);
  w.localGet(local);
  registers.get(b);
  w.store(storeOp, log2(size), layout.guest);
  w.i64Const(0);
  w.else();
  w.i64Const(1);
  w.end();
  registers.set(d);
  toCell(Slot.EXCLUSIVE_ADDRESS, () => w.i64Const(-1));
}
