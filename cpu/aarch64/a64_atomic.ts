/**
 * Exclusives, acquire and release, compare and swap, and the atomics of the Large System Extensions.
 *
 * Tasks of a guest take turns between blocks, so that a load and a store of one instruction are atomic; what is 4 or 8
 * bytes wide uses the ops for it, which also check alignment. Without FEAT_LSE2 every access here has to be aligned, of
 * pairs to the whole of them.
 *
 * Source: Arm Architecture Reference Manual (DDI 0487), C4.1.94 "Loads and Stores", C6.2.
 *
 * @module
 */
import { Amo } from "../ir/ops.ts";
import { type A64Row, type Fields, type Lifter, Op, row, Slot, type Value } from "./lifter.ts";
import { EXCLUSIVE_HIGH_SLOT } from "./state.ts";

const LOADS = [Op.ldU8, Op.ldU16, Op.ldU32, Op.ld64];
const SIGNED_LOADS = [Op.ldS8, Op.ldS16, Op.ldS32, Op.ld64];
const STORES = [Op.st8, Op.st16, Op.st32, Op.st64];
const SUFFIX = ["b", "h", "", ""];

/** The low bytes of a value, zero-extended. */
function truncated(c: Lifter, log2: number, value: Value): Value {
  if (log2 === 3) return value;
  return log2 === 2 ? c.b.zext32(value) : c.b.and(value, c.b.imm(log2 === 1 ? 0xffff : 0xff));
}

function reserve(c: Lifter, address: Value, value: Value): void {
  c.b.writeNow(Slot.EXCLUSIVE_ADDRESS, address);
  c.b.writeNow(Slot.EXCLUSIVE_VALUE, value);
}

/** The address of an access of 2^log2 bytes, which has to be aligned. */
function alignedAddress(c: Lifter, f: Fields, log2: number): Value {
  const address = c.xsp(f.rn);
  if (log2 > 0) c.b.stateAt(Op.aligned, address, 1 << log2);
  return address;
}

/** 1 unless an address is reserved and what is there as it was loaded. */
function lost(c: Lifter, address: Value, current: Value): Value {
  const { b } = c, slot = (n: number) => b.op1(Op.mov, n);
  const elsewhere = b.op2(Op.sne64, slot(Slot.EXCLUSIVE_ADDRESS), address);
  return b.or(elsewhere, b.op2(Op.sne64, slot(Slot.EXCLUSIVE_VALUE), current));
}

function loadExclusive(c: Lifter, f: Fields, log2: number): void {
  if (log2 >= 2) {
    const address = c.xsp(f.rn);
    const value = c.b.atomic(log2 === 2 ? Op.ldx32 : Op.ldx64, address, Slot.ZERO, 0);
    return c.setR(log2 - 2, f.rt, value);
  }
  const address = alignedAddress(c, f, log2), value = c.b.load(LOADS[log2], address, 0);
  reserve(c, address, value);
  c.setX(f.rt, value);
}

function storeExclusive(c: Lifter, f: Fields, log2: number): void {
  const { b } = c;
  if (log2 >= 2) {
    const address = c.xsp(f.rn);
    return c.setX(f.rs, b.atomic(log2 === 2 ? Op.stx32 : Op.stx64, address, c.x(f.rt), 0));
  }
  const address = alignedAddress(c, f, log2),
    current = b.load(LOADS[log2], address, 0),
    failed = lost(c, address, current);
  b.store(STORES[log2], address, 0, b.select(failed, current, c.x(f.rt)));
  b.writeNow(Slot.EXCLUSIVE_ADDRESS, b.imm(-1));
  c.setX(f.rs, failed);
}

function loadExclusivePair(c: Lifter, f: Fields, log2: number): void {
  const { b } = c, address = alignedAddress(c, f, log2 + 1);
  const low = b.atomic(Op.ldx64, address, Slot.ZERO, 0);
  if (log2 === 2) {
    c.setR(0, f.rt, low);
    return c.setX(f.rt2, b.shru(low, b.imm(32)));
  }
  const high = b.load(Op.ld64, address, 8);
  c.setX(f.rt, low);
  c.setX(f.rt2, high);
  b.write(EXCLUSIVE_HIGH_SLOT, high);
}

function storeExclusivePair(c: Lifter, f: Fields, log2: number): void {
  const { b } = c, address = alignedAddress(c, f, log2 + 1), [low, high] = [c.x(f.rt), c.x(f.rt2)];
  if (log2 === 2) {
    const both = b.or(b.zext32(low), b.shl(high, b.imm(32)));
    return c.setX(f.rs, b.atomic(Op.stx64, address, both, 0));
  }
  const [x, y] = [b.load(Op.ld64, address, 0), b.load(Op.ld64, address, 8)];
  const changed = b.op2(Op.sne64, b.read(EXCLUSIVE_HIGH_SLOT), y);
  const failed = b.or(lost(c, address, x), changed);
  b.store(Op.st64, address, 0, b.select(failed, x, low));
  b.store(Op.st64, address, 8, b.select(failed, y, high));
  b.writeNow(Slot.EXCLUSIVE_ADDRESS, b.imm(-1));
  c.setX(f.rs, failed);
}

function exclusiveRows(): A64Row[] {
  return [0, 1, 2, 3].flatMap((log2) => {
    const size = log2.toString(2).padStart(2, "0"), suffix = SUFFIX[log2];
    const rt = log2 === 3 ? "{rt64}" : "{rt32}", rt2 = log2 === 3 ? "{rt264}" : "{rt232}";
    const load = (c: Lifter, f: Fields) =>
      c.setX(f.rt, c.b.load(LOADS[log2], alignedAddress(c, f, log2), 0));
    const store = (c: Lifter, f: Fields) =>
      c.b.store(STORES[log2], alignedAddress(c, f, log2), 0, c.x(f.rt));
    const start = `${size} 001000`;
    const rows = [
      ...[["x", "0"], ["lx", "1"]].map(([kind, o0]) =>
        row(
          `st${kind}r${suffix}`,
          `${start} 000 rs ${o0} ..... rn rt`,
          `{rs32}, ${rt}, [{rnsp64}]`,
          (c, f) => storeExclusive(c, f, log2),
        )
      ),
      ...[["x", "0"], ["ax", "1"]].map(([kind, o0]) =>
        row(`ld${kind}r${suffix}`, `${start} 010 ..... ${o0} ..... rn rt`, `${rt}, [{rnsp64}]`, (
          c,
          f,
        ) => loadExclusive(c, f, log2))
      ),
      ...[["ll", "0"], ["l", "1"]].map(([kind, o0]) =>
        row(
          `st${kind}r${suffix}`,
          `${start} 100 ..... ${o0} ..... rn rt`,
          `${rt}, [{rnsp64}]`,
          store,
        )
      ),
      ...[["la", "0"], ["a", "1"]].map(([kind, o0]) =>
        row(
          `ld${kind}r${suffix}`,
          `${start} 110 ..... ${o0} ..... rn rt`,
          `${rt}, [{rnsp64}]`,
          load,
        )
      ),
      row(
        `ldapr${suffix}`,
        `${size} 111 0 00 10 1 ..... 1 100 00 rn rt`,
        `${rt}, [{rnsp64}]`,
        load,
      ),
    ];
    if (log2 < 2) return rows;
    return [
      ...rows,
      ...[["x", "0"], ["lx", "1"]].map(([kind, o0]) =>
        row(
          `st${kind}p`,
          `${start} 001 rs ${o0} rt2 rn rt`,
          `{rs32}, ${rt}, ${rt2}, [{rnsp64}]`,
          (c, f) => storeExclusivePair(c, f, log2),
        )
      ),
      ...[["x", "0"], ["ax", "1"]].map(([kind, o0]) =>
        row(
          `ld${kind}p`,
          `${start} 011 ..... ${o0} rt2 rn rt`,
          `${rt}, ${rt2}, [{rnsp64}]`,
          (c, f) => loadExclusivePair(c, f, log2),
        )
      ),
    ];
  });
}

/** Acquire and release as suffixes, with their bits. */
const ORDERS = [["", "0", "0"], ["l", "0", "1"], ["a", "1", "0"], ["al", "1", "1"]] as const;

function compareAndSwapRows(): A64Row[] {
  const singles = [0, 1, 2, 3].flatMap((log2) =>
    ORDERS.map(([order, acquire, release]) => {
      const size = log2.toString(2).padStart(2, "0"), width = log2 === 3 ? "64" : "32";
      return row(
        `cas${order}${SUFFIX[log2]}`,
        `${size} 001000 1 ${acquire} 1 rs ${release} 11111 rn rt`,
        `{rs${width}}, {rt${width}}, [{rnsp64}]`,
        (c, f) => {
          const { b } = c, address = alignedAddress(c, f, log2);
          const old = b.load(LOADS[log2], address, 0);
          const other = b.op2(Op.sne64, old, truncated(c, log2, c.x(f.rs)));
          b.store(STORES[log2], address, 0, b.select(other, old, c.x(f.rt)));
          c.setX(f.rs, old);
        },
      );
    })
  );
  const even = (f: Fields) => (f.rs & 1) === 0 && (f.rt & 1) === 0;
  const pairs = [2, 3].flatMap((log2) =>
    ORDERS.map(([order, acquire, release]) => {
      const width = log2 === 3 ? "64" : "32";
      return row(
        `casp${order}`,
        `0 ${log2 & 1} 001000 0 ${acquire} 1 rs ${release} 11111 rn rt`,
        `{rs${width}}, {rsnext${width}}, {rt${width}}, {rtnext${width}}, [{rnsp64}]`,
        (c, f) => {
          const { b } = c,
            address = alignedAddress(c, f, log2 + 1),
            bytes = 2 ** log2,
            next = (n: number) => n + 1;
          const x = b.load(LOADS[log2], address, 0), y = b.load(LOADS[log2], address, bytes);
          const other = b.or(
            b.op2(Op.sne64, x, truncated(c, log2, c.x(f.rs))),
            b.op2(Op.sne64, y, truncated(c, log2, c.x(next(f.rs)))),
          );
          b.store(STORES[log2], address, 0, b.select(other, x, c.x(f.rt)));
          b.store(STORES[log2], address, bytes, b.select(other, y, c.x(next(f.rt))));
          c.setX(f.rs, x);
          c.setX(next(f.rs), y);
        },
        even,
      );
    })
  );
  return [...singles, ...pairs];
}

/** Atomics: name, o3 and opc, operation, whether on signed values, and the new value of narrow ones. */
const ATOMICS: [
  name: string,
  bits: string,
  kind: number,
  isSigned: boolean,
  apply: (c: Lifter, old: Value, x: Value) => Value,
][] = [
  ["ldadd", "0 000", Amo.ADD, false, (c, old, x) => c.b.add(old, x)],
  ["ldclr", "0 001", Amo.AND, false, (c, old, x) => c.b.and(old, x)],
  ["ldeor", "0 010", Amo.XOR, false, (c, old, x) => c.b.xor(old, x)],
  ["ldset", "0 011", Amo.OR, false, (c, old, x) => c.b.or(old, x)],
  ["ldsmax", "0 100", Amo.MAX, true, (c, old, x) => c.b.op2(Op.maxs64, old, x)],
  ["ldsmin", "0 101", Amo.MIN, true, (c, old, x) => c.b.op2(Op.mins64, old, x)],
  ["ldumax", "0 110", Amo.MAXU, false, (c, old, x) => c.b.op2(Op.maxu64, old, x)],
  ["ldumin", "0 111", Amo.MINU, false, (c, old, x) => c.b.op2(Op.minu64, old, x)],
  ["swp", "1 000", Amo.SWAP, false, (_, _old, x) => x],
];

function atomicRows(): A64Row[] {
  return ATOMICS.flatMap(([name, bits, kind, isSigned, apply]) =>
    [0, 1, 2, 3].flatMap((log2) =>
      ORDERS.map(([order, acquire, release]) => {
        const size = log2.toString(2).padStart(2, "0"), width = log2 === 3 ? "64" : "32";
        return row(
          `${name}${order}${SUFFIX[log2]}`,
          `${size} 111 0 00 ${acquire} ${release} 1 rs ${bits} 00 rn rt`,
          `{rs${width}}, {rt${width}}, [{rnsp64}]`,
          (c, f) => {
            const { b } = c;
            const x = name === "ldclr" ? b.not(c.x(f.rs)) : c.x(f.rs);
            if (log2 >= 2) {
              const address = c.xsp(f.rn),
                old = b.atomic(log2 === 2 ? Op.amo32 : Op.amo64, address, x, kind);
              return c.setR(log2 - 2, f.rt, old);
            }
            const address = alignedAddress(c, f, log2);
            const old = b.load(isSigned ? SIGNED_LOADS[log2] : LOADS[log2], address, 0);
            const narrow = log2 === 0 ? Op.sext8 : Op.sext16;
            const operand = isSigned ? b.op1(narrow, x) : truncated(c, log2, x);
            b.store(STORES[log2], address, 0, apply(c, old, operand));
            c.setX(f.rt, truncated(c, log2, old));
          },
        );
      })
    )
  );
}

/** The rows. */
export const A64_ATOMIC = (): A64Row[] => [
  ...exclusiveRows(),
  ...compareAndSwapRows(),
  ...atomicRows(),
];
