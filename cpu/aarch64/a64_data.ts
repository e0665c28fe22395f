/**
 * Data processing: immediates, registers, conditional compare and select, multiply, divide and bit operations.
 *
 * Source: Arm Architecture Reference Manual (DDI 0487), C4.1.93 "Data Processing -- Immediate", C4.1.95 "Data
 * Processing -- Register"; shared/functions/DecodeBitMasks.
 *
 * @module
 */
import { type A64Row, type Fields, type Lifter, Op, row, Slot, type Value } from "./lifter.ts";
import { crc32 } from "./a64_crc32.ts";

// ---- add and subtract ----

/** Adds or subtracts; `minus` is the negated second operand if that is a constant. */
function addSub(
  c: Lifter,
  f: Fields,
  a: Value,
  b: Value,
  subtract: boolean,
  flags: boolean,
  minus?: Value,
): void {
  if (flags) {
    c.setR(f.sf, f.rd, subtract ? c.subs(f.sf, a, b, minus) : c.adds(f.sf, a, b, minus));
    return;
  }
  const value = subtract ? c.difference(1, a, b, minus) : c.b.add(a, b);
  return f.sp ? c.setXsp(f.rd, c.unsigned(f.sf, value)) : c.setR(f.sf, f.rd, value);
}

/** The second operand, shifted by a constant. */
function shifted(c: Lifter, f: Fields): Value {
  const x = c.x(f.rm), by = c.b.imm(f.imm6);
  if (f.imm6 === 0) return x;
  if (f.sf) return [c.b.shl, c.b.shru, c.b.shrs, c.b.rotr][f.shift].call(c.b, x, by);
  return [c.b.shl32, c.b.shru32, c.b.shrs32, c.b.rotr32][f.shift].call(c.b, x, by);
}

/** The second operand, extended from part of it and shifted left; see ExtendReg. */
export function extended(c: Lifter, x: Value, option: number, by: number): Value {
  const { b } = c;
  const part = [
    () => b.and(x, b.imm(0xff)),
    () => b.and(x, b.imm(0xffff)),
    () => b.zext32(x),
    () => x,
    () => b.op1(Op.sext8, x),
    () => b.op1(Op.sext16, x),
    () => b.sext32(x),
    () => x,
  ][option]();
  return b.shl(part, b.imm(by));
}

const ADD_SUB = [
  ["add", "0 0", false, false],
  ["adds", "0 1", false, true],
  ["sub", "1 0", true, false],
  ["subs", "1 1", true, true],
] as const;

function addSubRows(): A64Row[] {
  return ADD_SUB.flatMap(([name, bits, subtract, flags]) => [
    row(
      name,
      `sf ${bits} 100010 sh imm12 rn rd`,
      `{${flags ? "rd" : "rdsp"}}, {rnsp}, {imm12}{sh12}`,
      (c, f) => {
        const imm = f.imm12 << (f.sh ? 12 : 0);
        f.sp = 1;
        const a = c.xsp(f.rn);
        addSub(
          c,
          f,
          a,
          c.b.imm(imm),
          subtract,
          flags,
          subtract || flags ? c.b.imm(-imm) : undefined,
        );
      },
    ),
    row(
      name,
      `sf ${bits} 01011 shift 0 rm imm6 rn rd`,
      "{rd}, {rn}, {rm}{shifted}",
      (c, f) => addSub(c, f, c.x(f.rn), shifted(c, f), subtract, flags),
      (f) => f.shift !== 3 && (f.sf === 1 || f.imm6 < 32),
    ),
    row(
      name,
      `sf ${bits} 01011 00 1 rm option imm3 rn rd`,
      `{${flags ? "rd" : "rdsp"}}, {rnsp}, {rmext}{extended}`,
      (c, f) => {
        f.sp = 1;
        addSub(c, f, c.xsp(f.rn), extended(c, c.x(f.rm), f.option, f.imm3), subtract, flags);
      },
      (f) => f.imm3 <= 4,
    ),
  ]);
}

function carryRows(): A64Row[] {
  return ([["adc", "0", false], ["sbc", "1", true]] as const).flatMap(([name, op, subtract]) =>
    ([["", "0"], ["s", "1"]] as const).map(([suffix, s]) =>
      row(name + suffix, `sf ${op} ${s} 11010000 rm 000000 rn rd`, "{rd}, {rn}, {rm}", (c, f) => {
        const { b } = c, sf = f.sf, x = c.signed(sf, c.x(f.rn)), m = c.signed(sf, c.x(f.rm));
        const y = subtract ? b.not(m) : m, carry = c.carry();
        const sum = sf ? b.add(x, y) : b.add32(x, y);
        const result = sf ? b.add(sum, carry) : b.add32(sum, carry);
        if (suffix) {
          const out = b.or(b.sltu(sum, x), b.sltu(result, sum));
          const overflow = b.and(b.xor(x, result), b.xor(y, result));
          c.writeFlags(result, b.xor(out, b.imm(1)), overflow);
        }
        c.setR(sf, f.rd, result);
      })
    )
  );
}

// ---- logical ----

/** The constant of a logical instruction with an immediate, or undefined if it is reserved. */
export function bitMask(f: Fields): bigint | undefined {
  const { sf, n, imms, immr } = f;
  if (sf === 0 && n === 1) return undefined;
  const length = 31 - Math.clz32(n << 6 | ~imms & 63);
  if (length < 1) return undefined;
  const size = 1 << length, ones = (imms & size - 1) + 1, by = immr & size - 1;
  if (ones === size) return undefined;
  const element = (1n << BigInt(ones)) - 1n, wide = BigInt(size);
  const turned = element >> BigInt(by) | element << BigInt(size - by);
  let value = BigInt.asUintN(size, turned);
  for (let bits = wide; bits < 64n; bits *= 2n) value |= value << bits;
  return sf ? value : BigInt.asUintN(32, value);
}

const LOGICAL = [["and", "00"], ["orr", "01"], ["eor", "10"], ["ands", "11"]] as const;
const INVERTED = ["bic", "orn", "eon", "bics"];

function logic(c: Lifter, f: Fields, name: string, a: Value, b: Value): void {
  const value = name === "orr" ? c.b.or(a, b) : name === "eor" ? c.b.xor(a, b) : c.b.and(a, b);
  if (name === "ands") c.logicFlags(c.signed(f.sf, value));
  if (f.sp) c.setXsp(f.rd, c.unsigned(f.sf, value));
  else c.setR(f.sf, f.rd, value);
}

function logicalRows(): A64Row[] {
  return LOGICAL.flatMap(([name, opc], i) => [
    row(
      name,
      `sf ${opc} 100100 n immr imms rn rd`,
      `{${name === "ands" ? "rd" : "rdsp"}}, {rn}, {bitmask}`,
      (c, f) => {
        const mask = bitMask(f)!;
        f.sp = name === "ands" ? 0 : 1;
        const [lo, hi] = [Number(BigInt.asIntN(32, mask)), Number(BigInt.asIntN(32, mask >> 32n))];
        logic(c, f, name, c.x(f.rn), c.b.imm64(lo, hi));
      },
      (f) => bitMask(f) !== undefined,
    ),
    ...[name, INVERTED[i]].map((each, inverted) =>
      row(
        each,
        `sf ${opc} 01010 shift ${inverted} rm imm6 rn rd`,
        "{rd}, {rn}, {rm}{shifted}",
        (c, f) => {
          const b = shifted(c, f);
          logic(c, f, name, c.x(f.rn), inverted ? c.b.not(b) : b);
        },
        (f) => f.sf === 1 || f.imm6 < 32,
      )
    ),
  ]);
}

// ---- moves, bitfields ----

function moveRows(): A64Row[] {
  const narrow = (f: Fields) => f.sf === 1 || f.hw < 2;
  const words = (f: Fields): [number, number] => {
    const value = f.imm16 << 16 * (f.hw & 1);
    return f.hw < 2 ? [value, 0] : [0, value];
  };
  return [
    row("movn", "sf 00 100101 hw imm16 rd", "{rd}, {imm16}{hw}", (c, f) => {
      const [lo, hi] = words(f);
      c.setX(f.rd, c.b.imm64(~lo, f.sf ? ~hi : 0));
    }, narrow),
    row("movz", "sf 10 100101 hw imm16 rd", "{rd}, {imm16}{hw}", (c, f) => {
      c.setX(f.rd, c.b.imm64(...words(f)));
    }, narrow),
    row("movk", "sf 11 100101 hw imm16 rd", "{rd}, {imm16}{hw}", (c, f) => {
      const [lo, hi] = words({ ...f, imm16: 0xffff });
      const kept = c.b.and(c.x(f.rd), c.b.imm64(~lo, ~hi));
      c.setR(f.sf, f.rd, c.b.or(kept, c.b.imm64(...words(f))));
    }, narrow),
    row("adr", "0 imm21[1:0] 10000 imm21[20:2] rd", "{rd64}, {adr}", (c, f) => {
      c.setX(f.rd, c.b.imm(c.pc + f.imm21));
    }),
    row("adrp", "1 imm21[1:0] 10000 imm21[20:2] rd", "{rd64}, {adrp}", (c, f) => {
      c.setX(f.rd, c.b.imm(c.pc - c.pc % 4096 + f.imm21 * 4096));
    }),
  ];
}

/** 2^n - 1 as a value. */
function ones(c: Lifter, n: number): Value {
  return n >= 64 ? c.b.imm(-1) : n >= 32 ? c.b.imm64(-1, 2 ** (n - 32) - 1) : c.b.imm(2 ** n - 1);
}

/** The field that a bitfield move takes, where it goes, and its width. */
function field(f: Fields): { width: number; from: number; to: number } {
  const size = f.sf ? 64 : 32;
  return f.imms >= f.immr
    ? { width: f.imms - f.immr + 1, from: f.immr, to: 0 }
    : { width: f.imms + 1, from: 0, to: size - f.immr };
}

function bitfieldRows(): A64Row[] {
  const when = (f: Fields) => f.n === f.sf && (f.sf === 1 || (f.immr < 32 && f.imms < 32));
  const asm = "{rd}, {rn}, {immr}, {imms}";
  return [
    row("sbfm", "sf 00 100110 n immr imms rn rd", asm, (c, f) => {
      const { width, from, to } = field(f), { b } = c;
      // ASR of a W register.
      if (!f.sf && from + width === 32 && from > 0) {
        return c.setR(0, f.rd, b.shrs32(c.x(f.rn), b.imm(from)));
      }
      const up = b.shl(c.x(f.rn), b.imm(64 - from - width));
      c.setR(f.sf, f.rd, b.shl(b.shrs(up, b.imm(64 - width)), b.imm(to)));
    }, when),
    row("ubfm", "sf 10 100110 n immr imms rn rd", asm, (c, f) => {
      const { width, from, to } = field(f), { b } = c, size = f.sf ? 64 : 32, x = c.x(f.rn);
      // LSL and LSR need no mask.
      if (f.sf && from + width === size) return c.setX(f.rd, b.shru(x, b.imm(from)));
      if (f.sf && to + width === size) return c.setX(f.rd, b.shl(x, b.imm(to)));
      if (!f.sf && from + width === 32 && from > 0) {
        return c.setX(f.rd, b.shru32(x, b.imm(from)));
      }
      if (!f.sf && to + width === 32) return c.setR(0, f.rd, b.shl(x, b.imm(to)));
      c.setX(f.rd, b.shl(b.and(b.shru(x, b.imm(from)), ones(c, width)), b.imm(to)));
    }, when),
    row("bfm", "sf 01 100110 n immr imms rn rd", asm, (c, f) => {
      const { width, from, to } = field(f), { b } = c;
      const moved = b.shl(b.and(b.shru(c.x(f.rn), b.imm(from)), ones(c, width)), b.imm(to));
      const mask = BigInt.asIntN(64, ~(((1n << BigInt(width)) - 1n) << BigInt(to)));
      const [lo, hi] = [Number(BigInt.asIntN(32, mask)), Number(BigInt.asIntN(32, mask >> 32n))];
      c.setR(f.sf, f.rd, b.or(b.and(c.x(f.rd), b.imm64(lo, hi)), moved));
    }, when),
    row("extr", "sf 00 100111 n 0 rm imms rn rd", "{rd}, {rn}, {rm}, {imms}", (c, f) => {
      const { b } = c, by = f.imms, size = f.sf ? 64 : 32, high = c.x(f.rn), low = c.x(f.rm);
      if (by === 0) return c.setR(f.sf, f.rd, low);
      if (f.rn === f.rm) {
        return c.setR(f.sf, f.rd, f.sf ? b.rotr(low, b.imm(by)) : b.rotr32(low, b.imm(by)));
      }
      const bits = b.shru(c.unsigned(f.sf, low), b.imm(by));
      c.setR(f.sf, f.rd, b.or(bits, b.shl(high, b.imm(size - by))));
    }, (f) => f.n === f.sf && (f.sf === 1 || f.imms < 32)),
  ];
}

// ---- conditional ----

function conditionalRows(): A64Row[] {
  const SELECT: [name: string, op: string, op2: string, other: (c: Lifter, x: Value) => Value][] = [
    ["csel", "0", "0", (_, x) => x],
    ["csinc", "0", "1", (c, x) => c.b.add(x, c.b.imm(1))],
    ["csinv", "1", "0", (c, x) => c.b.not(x)],
    ["csneg", "1", "1", (c, x) => c.b.sub(Slot.ZERO, x)],
  ];
  return [
    ...SELECT.map(([name, op, op2, other]) =>
      row(
        name,
        `sf ${op} 0 11010100 rm cond 0 ${op2} rn rd`,
        "{rd}, {rn}, {rm}, {cond}",
        (c, f) => {
          // CSET and CSETM are the condition itself.
          if (f.rn === 31 && f.rm === 31 && f.cond < 14 && op2 !== op) {
            const bit = c.condition(f.cond ^ 1);
            return op2 === "1" ? c.setX(f.rd, bit) : c.setR(f.sf, f.rd, c.b.sub(Slot.ZERO, bit));
          }
          c.setR(f.sf, f.rd, c.choose(f.cond, c.x(f.rn), other(c, c.x(f.rm))));
        },
      )
    ),
    ...([["ccmn", "0"], ["ccmp", "1"]] as const).flatMap(([name, op]) =>
      ([["0", "{rm}"], ["1", "{imm5}"]] as const).map(([immediate, text]) =>
        row(
          name,
          `sf ${op} 1 11010010 ${immediate === "1" ? "imm5" : "rm"} cond ${immediate} 0 rn 0 nzcv`,
          `{rn}, ${text}, {nzcv}, {cond}`,
          (c, f) => {
            const { b } = c, x = c.signed(f.sf, c.x(f.rn));
            const y = immediate === "1" ? b.imm(f.imm5) : c.signed(f.sf, c.x(f.rm));
            const flags = op === "1" ? c.subtraction(f.sf, x, y) : c.addition(f.sf, x, y);
            if (f.cond >= 14) return c.compareFlags(flags);
            c.chooseFlags(c.condition(f.cond), flags, f.nzcv);
          },
        )
      )
    ),
  ];
}

// ---- one, two and three sources ----

/** The bits of each byte in reverse order. */
function reverseBits(c: Lifter, x: Value): Value {
  const { b } = c;
  for (const [by, mask] of [[1, 0x5555_5555], [2, 0x3333_3333], [4, 0x0f0f_0f0f]]) {
    const keep = b.imm64(mask, mask), n = b.imm(by);
    x = b.or(b.shl(b.and(x, keep), n), b.and(b.shru(x, n), keep));
  }
  return x;
}
const swapBytes = (c: Lifter, x: Value) => c.b.op1(Op.bswap64, x);
/** Bytes of each half word in reverse order. */
function swapHalves(c: Lifter, x: Value): Value {
  const { b } = c, mask = b.imm64(0x00ff_00ff, 0x00ff_00ff), eight = b.imm(8);
  return b.or(b.shl(b.and(x, mask), eight), b.and(b.shru(x, eight), mask));
}
/** Whole-register reversal of a 64-bit value, for 32 bits moved down. */
const down = (c: Lifter, f: Fields, x: Value) => f.sf ? x : c.b.shru(x, c.b.imm(32));

function oneSourceRows(): A64Row[] {
  const one = (name: string, opcode: string, value: (c: Lifter, f: Fields, x: Value) => Value) =>
    row(name, `sf 10 11010110 00000 ${opcode} rn rd`, "{rd}, {rn}", (c, f) => {
      c.setR(f.sf, f.rd, value(c, f, c.x(f.rn)));
    });
  return [
    one("rbit", "000000", (c, f, x) => down(c, f, swapBytes(c, reverseBits(c, x)))),
    one("rev16", "000001", (c, _, x) => swapHalves(c, x)),
    row("rev", "0 10 11010110 00000 000010 rn rd", "{rd32}, {rn32}", (c, f) => {
      c.setX(f.rd, c.b.shru(swapBytes(c, c.x(f.rn)), c.b.imm(32)));
    }),
    row("rev32", "1 10 11010110 00000 000010 rn rd", "{rd64}, {rn64}", (c, f) => {
      c.setX(f.rd, c.b.rotr(swapBytes(c, c.x(f.rn)), c.b.imm(32)));
    }),
    row("rev", "1 10 11010110 00000 000011 rn rd", "{rd64}, {rn64}", (c, f) => {
      c.setX(f.rd, swapBytes(c, c.x(f.rn)));
    }),
    one("clz", "000100", (c, f, x) => c.b.op1(f.sf ? Op.clz64 : Op.clz32, x)),
    one("cls", "000101", (c, f, x) => {
      const { b } = c, wide = c.signed(f.sf, x);
      const changes = b.xor(wide, b.shrs(wide, b.imm(1)));
      return b.add(b.op1(f.sf ? Op.clz64 : Op.clz32, changes), b.imm(-1));
    }),
  ];
}

function twoSourceRows(): A64Row[] {
  const two = (name: string, opcode: string, value: (c: Lifter, f: Fields) => Value) =>
    row(name, `sf 00 11010110 rm ${opcode} rn rd`, "{rd}, {rn}, {rm}", (c, f) => {
      c.setR(f.sf, f.rd, value(c, f));
    });
  const shift = (wide: number, narrow: number) => (c: Lifter, f: Fields) =>
    c.b.op2(f.sf ? wide : narrow, c.x(f.rn), c.x(f.rm));
  const crc = (suffix: string, sf: string, sz: string, bits: number) =>
    [["crc32", "0", false], ["crc32c", "1", true]].map(([name, which, castagnoli]) =>
      row(
        `${name}${suffix}`,
        `${sf} 00 11010110 rm 010 ${which} ${sz} rn rd`,
        bits === 64 ? "{rd32}, {rn32}, {rm64}" : "{rd32}, {rn32}, {rm32}",
        (c, f) => c.setX(f.rd, crc32(c.b, c.x(f.rn), c.x(f.rm), bits, castagnoli as boolean)),
      )
    );
  return [
    two("udiv", "000010", (c, f) => {
      const { b } = c, divisor = c.unsigned(f.sf, c.x(f.rm));
      const quotient = b.op2(f.sf ? Op.divu64 : Op.divu32, c.x(f.rn), divisor);
      return b.select(divisor, quotient, Slot.ZERO);
    }),
    two("sdiv", "000011", (c, f) => {
      const { b } = c, divisor = c.unsigned(f.sf, c.x(f.rm));
      const quotient = b.op2(f.sf ? Op.divs64 : Op.divs32, c.x(f.rn), divisor);
      return b.select(divisor, quotient, Slot.ZERO);
    }),
    two("lslv", "001000", shift(Op.shl64, Op.shl32)),
    two("lsrv", "001001", shift(Op.shru64, Op.shru32)),
    two("asrv", "001010", shift(Op.shrs64, Op.shrs32)),
    two("rorv", "001011", shift(Op.rotr64, Op.rotr32)),
    ...crc("b", "0", "00", 8),
    ...crc("h", "0", "01", 16),
    ...crc("w", "0", "10", 32),
    ...crc("x", "1", "11", 64),
  ];
}

function threeSourceRows(): A64Row[] {
  const accumulate = (c: Lifter, f: Fields, product: Value, subtract: boolean) => {
    const x = c.x(f.ra);
    c.setR(f.sf, f.rd, subtract ? c.b.sub(x, product) : c.b.add(x, product));
  };
  return [
    ...[["madd", "0"], ["msub", "1"]].map(([name, o0]) =>
      row(name, `sf 00 11011 000 rm ${o0} ra rn rd`, "{rd}, {rn}, {rm}, {ra}", (c, f) => {
        accumulate(c, f, c.b.op2(Op.mul64, c.x(f.rn), c.x(f.rm)), o0 === "1");
      })
    ),
    ...[["s", "001", "0"], ["s", "001", "1"], ["u", "101", "0"], ["u", "101", "1"]].map(
      ([sign, op31, o0]) =>
        row(
          `${sign}m${o0 === "0" ? "add" : "sub"}l`,
          `1 00 11011 ${op31} rm ${o0} ra rn rd`,
          "{rd64}, {rn32}, {rm32}, {ra64}",
          (c, f) => {
            const [x, y] = [f.rn, f.rm].map((n) =>
              sign === "s" ? c.signed(0, c.x(n)) : c.unsigned(0, c.x(n))
            );
            accumulate(c, { ...f, sf: 1 }, c.b.op2(Op.mul64, x, y), o0 === "1");
          },
        ),
    ),
    ...[["smulh", "010", Op.mulhs64], ["umulh", "110", Op.mulhu64]].map(([name, op31, op]) =>
      row(`${name}`, `1 00 11011 ${op31} rm 0 ..... rn rd`, "{rd64}, {rn64}, {rm64}", (c, f) => {
        c.setX(f.rd, c.b.op2(op as number, c.x(f.rn), c.x(f.rm)));
      })
    ),
  ];
}

/** The rows. */
export const A64_DATA = (): A64Row[] => [
  ...addSubRows(),
  ...carryRows(),
  ...logicalRows(),
  ...moveRows(),
  ...bitfieldRows(),
  ...conditionalRows(),
  ...oneSourceRows(),
  ...twoSourceRows(),
  ...threeSourceRows(),
];
