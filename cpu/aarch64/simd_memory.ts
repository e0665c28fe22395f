/**
 * Loads and stores of V registers: B, H, S, D and Q in all addressing modes, pairs, and structures of 1 to 4 elements.
 *
 * Source: Arm Architecture Reference Manual (DDI 0487), C4.1.94 "Loads and Stores", C7.2.
 *
 * @module
 */
import {
  type Fields,
  type FpContext,
  type FpRow,
  Op,
  row,
  setD,
  setV,
  Slot,
  slotOf,
  v,
  type Value,
  vop,
} from "./fp_lifter.ts";

const LOADS = [Op.ldU8, Op.ldU16, Op.ldU32, Op.ld64], STORES = [Op.st8, Op.st16, Op.st32, Op.st64];

/** Loads 2^log2 bytes into V`n`, zeros above. */
function load(c: FpContext, n: number, log2: number, base: Value, offset: number): void {
  if (log2 === 4) c.b.writePair(slotOf(n), c.b.loadVector(base, offset));
  else setD(c, n, c.b.load(LOADS[log2], base, offset));
}
function store(c: FpContext, n: number, log2: number, base: Value, offset: number): void {
  if (log2 === 4) c.b.storeVector(base, offset, v(n));
  else c.b.store(STORES[log2], base, offset, c.b.read(slotOf(n)));
}

/** Names of registers by log2 of their bytes. */
const LETTERS = "bhsdq";
/** A row for each size of an access: the bits of `size` and of the high bit of `opc`. */
const SIZES = [["00", "0"], ["01", "0"], ["10", "0"], ["11", "0"], ["00", "1"]] as const;

function singleRows(): FpRow[] {
  return SIZES.flatMap(([size, high], log2) =>
    [[0, "str", store], [1, "ldr", load]].flatMap((entry) => {
      const [isLoad, name, access] = entry as [number, string, typeof load];
      const start = `${size} 111 1 0`, rt = `{${LETTERS[log2]}t}`, kind = `${high}${isLoad}`;
      return [
        row(name, `${start}1 ${kind} imm12 rn rt`, `${rt}, {offset12:${log2}}`, (c, o) => {
          access(c, o.rt, log2, c.xsp(o.rn), o.imm12 * 2 ** log2);
        }),
        row(
          name.replace("r", "ur"),
          `${start}0 ${kind} 0 imm9 00 rn rt`,
          `${rt}, {offset9}`,
          (c, o) => {
            access(c, o.rt, log2, c.xsp(o.rn), o.imm9);
          },
        ),
        row(name, `${start}0 ${kind} 0 imm9 01 rn rt`, `${rt}, {post9}`, (c, o) => {
          const base = c.xsp(o.rn);
          access(c, o.rt, log2, base, 0);
          c.setXsp(o.rn, c.b.add(base, c.b.imm(o.imm9)));
        }),
        row(name, `${start}0 ${kind} 0 imm9 11 rn rt`, `${rt}, {pre9}`, (c, o) => {
          const base = c.xsp(o.rn);
          access(c, o.rt, log2, base, o.imm9);
          c.setXsp(o.rn, c.b.add(base, c.b.imm(o.imm9)));
        }),
        row(name, `${start}0 ${kind} 1 rm option s 10 rn rt`, `${rt}, {index:${log2}}`, (c, o) => {
          access(c, o.rt, log2, c.b.add(c.xsp(o.rn), extended(c, o, o.s ? log2 : 0)), 0);
        }, (o) => (o.option & 2) !== 0),
      ];
    })
  );
}

/** The index register, extended as `option` says (UXTW, LSL, SXTW, SXTX), and shifted. */
function extended(c: FpContext, o: Fields, by: number): Value {
  const x = c.x(o.rm);
  const wide = o.option === 2 ? c.b.zext32(x) : o.option === 6 ? c.b.sext32(x) : x;
  return c.b.shl(wide, c.b.imm(by));
}

function literalRows(): FpRow[] {
  return ["00", "01", "10"].map((opc, i) =>
    row("ldr", `${opc} 011 1 00 imm19 rt`, `{${LETTERS[2 + i]}t}, {target19}`, (c, o) => {
      load(c, o.rt, 2 + i, c.b.imm(c.pc + 4 * o.imm19), 0);
    })
  );
}

function pairRows(): FpRow[] {
  const MODES: [suffix: string, bits: string, before: boolean, writes: boolean][] = [
    ["np", "00", true, false],
    ["p", "01", false, true],
    ["p", "10", true, false],
    ["p", "11", true, true],
  ];
  return ["00", "01", "10"].flatMap((opc, i) =>
    MODES.flatMap(([suffix, bits, before, writes]) =>
      [[0, "st", store], [1, "ld", load]].map((entry) => {
        const [l, name, access] = entry as [number, string, typeof load];
        const r = LETTERS[2 + i], mode = before ? (writes ? "pre7" : "offset7") : "post7";
        const text = `{${r}t}, {${r}t2}, {${mode}:${2 + i}}`;
        return row(
          `${name}${suffix}`,
          `${opc} 101 1 0 ${bits} ${l} imm7 rt2 rn rt`,
          text,
          (c, o) => {
            const size = 4 << i,
              offset = o.imm7 * size,
              base = c.xsp(o.rn),
              at = before ? offset : 0;
            access(c, o.rt, 2 + i, base, at);
            access(c, o.rt2, 2 + i, base, at + size);
            if (writes) c.setXsp(o.rn, c.b.add(base, c.b.imm(offset)));
          },
        );
      })
    )
  );
}

// ---- structures ----

/** Bytes of `from` (groups of 16) where byte i of the result is number `source(i)`, as or-ed table look-ups. */
function gather(c: FpContext, from: readonly Value[], source: (i: number) => number): Value {
  const numbers = Array.from({ length: 16 }, (_, i) => source(i));
  let result: Value | undefined;
  from.forEach((vector, k) => {
    const inside = (x: number) => x >= 16 * k && x < 16 * k + 16;
    if (!numbers.some(inside)) return;
    const word = (at: number) =>
      numbers.slice(at, at + 4).reduce(
        (sum, x, i) => sum | (inside(x) ? x - 16 * k : 255) << 8 * i,
        0,
      );
    const mask = c.b.vectorOf(c.b.imm64(word(0), word(4)), c.b.imm64(word(8), word(12)));
    const part = vop(c, "vtable", vector, mask);
    result = result === undefined ? part : vop(c, "vor", result, part);
  });
  return result!;
}

/** Lanes with even, or odd, numbers of two vectors. */
const lanes = (c: FpContext, bits: number, odd: boolean, a: Value, b: Value) =>
  vop(c, bits === 64 ? (odd ? "vzipH64" : "vzipL64") : `vunz${odd ? "O" : "E"}${bits}`, a, b);

/** What is in memory by turns, as registers. */
function deinterleave(
  c: FpContext,
  from: Value[],
  bits: number,
  count: number,
  q: number,
): Value[] {
  if (count === 1) return from;
  if (count === 3 || !q) {
    const size = bits / 8, bytes = q ? 16 : 8;
    return Array.from({ length: count }, (_, r) =>
      gather(c, from, (i) => {
        if (i >= bytes) return -1;
        const element = Math.floor(i / size);
        return (element * count + r) * size + i % size;
      }));
  }
  const [a, b, x, y] = from;
  if (count === 2) return [lanes(c, bits, false, a, b), lanes(c, bits, true, a, b)];
  const [even, odd] = [false, true].map((
    which,
  ) => [lanes(c, bits, which, a, b), lanes(c, bits, which, x, y)]);
  return [
    lanes(c, bits, false, even[0], even[1]),
    lanes(c, bits, false, odd[0], odd[1]),
    lanes(c, bits, true, even[0], even[1]),
    lanes(c, bits, true, odd[0], odd[1]),
  ];
}

/** Registers as they are in memory, by turns: as many vectors as it takes. */
function interleave(c: FpContext, from: Value[], bits: number, count: number, q: number): Value[] {
  if (count === 1) return from;
  const zip = (high: boolean, a: Value, b: Value) => vop(c, `vzip${high ? "H" : "L"}${bits}`, a, b);
  if (count === 2) {
    return q
      ? [zip(false, from[0], from[1]), zip(true, from[0], from[1])]
      : [zip(false, from[0], from[1])];
  }
  if (count === 4) {
    // Pairs of registers two apart, then their lanes by turns.
    const halves = q ? [false, true] : [false];
    return halves.flatMap((high) => {
      const even = zip(high, from[0], from[2]), odd = zip(high, from[1], from[3]);
      return [zip(false, even, odd), zip(true, even, odd)];
    });
  }
  const size = bits / 8, bytes = q ? 16 : 8, total = count * bytes;
  return Array.from({ length: Math.ceil(total / 16) }, (_, k) =>
    gather(c, from, (i) => {
      const at = 16 * k + i, element = Math.floor(at / size);
      if (at >= total) return -1;
      return element % count * 16 + Math.floor(element / count) * size + at % size;
    }));
}

/** Registers that follow each other, by number. */
const registersOf = (first: number, count: number) =>
  Array.from({ length: count }, (_, i) => (first + i) & 31);

function loadMultiple(c: FpContext, o: Fields, count: number, structures: number): void {
  const base = c.xsp(o.rn), bytes = o.q ? 16 : 8, registers = registersOf(o.rt, count);
  const total = bytes * count;
  const from: Value[] = [];
  if (structures === 1) {
    registers.forEach((n, i) => load(c, n, o.q ? 4 : 3, base, i * bytes));
    return;
  }
  for (let at = 0; at < total; at += 16) {
    from.push(
      total - at >= 16
        ? c.b.loadVector(base, at)
        : c.b.vectorOf(c.b.load(Op.ld64, base, at), Slot.ZERO),
    );
  }
  deinterleave(c, from, 8 << o.size, structures, o.q).forEach((value, i) => {
    c.b.writePair(slotOf(registers[i]), value);
  });
}

function storeMultiple(c: FpContext, o: Fields, count: number, structures: number): void {
  const base = c.xsp(o.rn), bytes = o.q ? 16 : 8, registers = registersOf(o.rt, count);
  const total = bytes * count;
  if (structures === 1) {
    registers.forEach((n, i) => store(c, n, o.q ? 4 : 3, base, i * bytes));
    return;
  }
  interleave(c, registers.map(v), 8 << o.size, structures, o.q).forEach((value, i) => {
    if (total - 16 * i >= 16) c.b.storeVector(base, 16 * i, value);
    else c.b.store(Op.st64, base, 16 * i, value);
  });
}

/** Adds to the base what an access with write-back adds: the index register, or for 31 the bytes. */
function advance(c: FpContext, o: Fields, bytes: number): void {
  c.setXsp(o.rn, c.b.add(c.xsp(o.rn), o.rm === 31 ? c.b.imm(bytes) : c.x(o.rm)));
}

/** Multiple structures: opcode, registers, elements of a structure. */
const MULTIPLE: [opcode: string, count: number, structures: number][] = [
  ["0000", 4, 4],
  ["0010", 4, 1],
  ["0100", 3, 3],
  ["0110", 3, 1],
  ["0111", 1, 1],
  ["1000", 2, 2],
  ["1010", 2, 1],
];

function multipleRows(): FpRow[] {
  return MULTIPLE.flatMap(([opcode, count, structures]) => {
    const when = (o: Fields) => structures === 1 || o.size < 3 || o.q === 1;
    return [[0, "st", storeMultiple], [1, "ld", loadMultiple]].flatMap((entry) => {
      const [l, name, access] = entry as [number, string, typeof loadMultiple];
      return [
        row(
          `${name}${structures}`,
          `0 q 0011000 ${l} 000000 ${opcode} size rn rt`,
          `{list:${count}}, [{rnsp64}]`,
          (c, o) => {
            access(c, o, count, structures);
          },
          when,
        ),
        row(
          `${name}${structures}`,
          `0 q 0011001 ${l} 0 rm ${opcode} size rn rt`,
          `{list:${count}}, [{rnsp64}], {step:${count}}`,
          (c, o) => {
            access(c, o, count, structures);
            advance(c, o, count * (o.q ? 16 : 8));
          },
          when,
        ),
      ];
    });
  });
}

/** Width and lane of a single structure, by the highest bits of its opcode. */
export function laneOf(o: Fields, opcode: number): { log2: number; index: number } {
  if (opcode === 0) return { log2: 0, index: o.q << 3 | o.s << 2 | o.size };
  if (opcode === 1) return { log2: 1, index: o.q << 2 | o.s << 1 | o.size >> 1 };
  return o.size === 0 ? { log2: 2, index: o.q << 1 | o.s } : { log2: 3, index: o.q };
}

function singleStructures(
  c: FpContext,
  o: Fields,
  opcode: number,
  count: number,
  isLoad: boolean,
): number {
  const { log2, index } = laneOf(o, opcode), base = c.xsp(o.rn), size = 1 << log2, bits = 8 * size;
  registersOf(o.rt, count).forEach((n, i) => {
    if (isLoad) {
      const value = c.b.load(LOADS[log2], base, i * size);
      if (log2 === 3) c.b.write(slotOf(n) + index, value);
      else c.b.writePair(slotOf(n), vop(c, `vput${bits}`, v(n), value, 0, index));
      return;
    }
    const value = log2 === 3
      ? c.b.read(slotOf(n) + index)
      : c.b.fromVector(Op[`vgetU${bits}`], v(n), index);
    c.b.store(STORES[log2], base, i * size, value);
  });
  return count * size;
}

function replicate(c: FpContext, o: Fields, count: number): number {
  const base = c.xsp(o.rn), size = 1 << o.size;
  registersOf(o.rt, count).forEach((n, i) => {
    const value = c.b.load(LOADS[o.size], base, i * size);
    setV(c, n, vop(c, `vsplat${8 * size}`, value), o.q);
  });
  return count * size;
}

function singleStructureRows(): FpRow[] {
  const rows: FpRow[] = [];
  // Opcode and R: the number of registers is one more than the opcode's lowest bit and R say.
  for (let count = 1; count <= 4; count++) {
    const low = count > 2 ? 1 : 0, r = count % 2 === 0 ? 1 : 0;
    for (let opcode = 0; opcode < 4; opcode++) {
      const bits = opcode.toString(2).padStart(2, "0") + low;
      for (const l of opcode === 3 ? [1] : [0, 1]) {
        const name = `${l ? "ld" : "st"}${count}${opcode === 3 ? "r" : ""}`;
        const access = (c: FpContext, o: Fields) =>
          opcode === 3 ? replicate(c, o, count) : singleStructures(c, o, opcode, count, l === 1);
        const list = opcode === 3 ? `{list:${count}}` : `{lanelist:${count}${opcode}}`;
        const when = (o: Fields) =>
          opcode === 0 ||
          (opcode === 1
            ? (o.size & 1) === 0
            : opcode === 2
            ? o.size === 0 || (o.size === 1 && o.s === 0)
            : o.s === 0);
        rows.push(
          row(
            name,
            `0 q 0011010 ${l} ${r} 00000 ${bits} s size rn rt`,
            `${list}, [{rnsp64}]`,
            (c, o) => void access(c, o),
            when,
          ),
          row(
            name,
            `0 q 0011011 ${l} ${r} rm ${bits} s size rn rt`,
            `${list}, [{rnsp64}], {${
              opcode === 3 ? "replicatedstep" : "lanestep"
            }:${count}${opcode}}`,
            (c, o) => {
              advance(c, o, access(c, o));
            },
            when,
          ),
        );
      }
    }
  }
  return rows;
}

/** The rows of this page. */
export const SIMD_MEMORY_ROWS = (): FpRow[] => [
  ...singleRows(),
  ...literalRows(),
  ...pairRows(),
  ...multipleRows(),
  ...singleStructureRows(),
];
