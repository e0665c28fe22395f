/**
 * The op table's oracle: every integer op by its definition, in BigInt, slow and obvious; and an evaluator of whole
 * blocks for what does not depend on floating point.
 *
 * @module
 */
import type { IrBlock } from "../cpu/ir/builder.ts";
import { Amo, Effect, FIRST_VECTOR_OP, Op, OPS, Slot, Trap, WORDS } from "../cpu/ir/ops.ts";

const signed = (bits: number, value: bigint) => BigInt.asIntN(bits, value);
const unsigned = (bits: number, value: bigint) => BigInt.asUintN(bits, value);
const truth = (condition: boolean) => condition ? 1n : 0n;
const ones = (bits: bigint) => [...bits.toString(2)].filter((digit) => digit === "1").length;

function leadingZeros(width: number, value: bigint): bigint {
  for (let i = width - 1; i >= 0; i--) if (value >> BigInt(i) & 1n) return BigInt(width - 1 - i);
  return BigInt(width);
}

function trailingZeros(width: number, value: bigint): bigint {
  for (let i = 0; i < width; i++) if (value >> BigInt(i) & 1n) return BigInt(i);
  return BigInt(width);
}

function rotateRight(width: number, value: bigint, count: bigint): bigint {
  const by = count % BigInt(width), v = unsigned(width, value);
  return v >> by | v << (BigInt(width) - by);
}

/** Towards zero; by zero: all ones. The one overflow wraps when the result is cut to its width. */
const divide = (a: bigint, b: bigint) => b === 0n ? -1n : a / b;
const remainder = (a: bigint, b: bigint) => b === 0n ? a : a % b;

/** What the definitions below take: `a` and `b` signed, `ua` and `ub` unsigned, of the op's width. */
interface Operands {
  a: bigint;
  b: bigint;
  ua: bigint;
  ub: bigint;
  /** Third operand, signed. */
  c: bigint;
  /** Immediate, signed. */
  i: bigint;
}

type Definition = (o: Operands) => bigint;

const shiftCount = (width: number, count: bigint) => unsigned(64, count) % BigInt(width);

/** The ops that exist in both widths, without the width. */
const definitions = (w: 32 | 64): Record<string, Definition> => ({
  add: ({ a, b }) => a + b,
  sub: ({ a, b }) => a - b,
  mul: ({ a, b }) => a * b,
  shl: ({ a, b }) => a << shiftCount(w, b),
  shru: ({ ua, b }) => ua >> shiftCount(w, b),
  shrs: ({ a, b }) => a >> shiftCount(w, b),
  rotr: ({ a, b }) => rotateRight(w, a, shiftCount(w, b)),
  divs: ({ a, b }) => divide(a, b),
  divu: ({ ua, ub }) => divide(ua, ub),
  rems: ({ a, b }) => remainder(a, b),
  remu: ({ ua, ub }) => remainder(ua, ub),
  clz: ({ ua }) => leadingZeros(w, ua),
  ctz: ({ ua }) => trailingZeros(w, ua),
  popcnt: ({ ua }) => BigInt(ones(ua)),
});

const WORD = definitions(32);
const DOUBLE: Record<string, Definition> = {
  ...definitions(64),
  and: ({ a, b }) => a & b,
  or: ({ a, b }) => a | b,
  xor: ({ a, b }) => a ^ b,
  slt: ({ a, b }) => truth(a < b),
  sltu: ({ ua, ub }) => truth(ua < ub),
  seq: ({ a, b }) => truth(a === b),
  sne: ({ a, b }) => truth(a !== b),
  mulhs: ({ a, b }) => a * b >> 64n,
  mulhu: ({ ua, ub }) => ua * ub >> 64n,
  mulhsu: ({ a, ub }) => a * ub >> 64n,
  bswap: ({ ua }) =>
    BigInt(`0x${ua.toString(16).padStart(16, "0").match(/../g)!.reverse().join("")}`),
  mins: ({ a, b }) => a < b ? a : b,
  maxs: ({ a, b }) => a > b ? a : b,
  minu: ({ ua, ub }) => ua < ub ? ua : ub,
  maxu: ({ ua, ub }) => ua > ub ? ua : ub,
};

const CANONICAL_NAN_BOXED = 0xffff_ffff_7fc0_0000n;

/** Ops whose names don't end in a width and the like. */
const OTHERS: Record<string, Definition> = {
  nop: () => 0n,
  const: ({ i }) => i,
  mov: ({ a }) => a,
  sext8: ({ a }) => signed(8, a),
  sext16: ({ a }) => signed(16, a),
  select: ({ a, b, c }) => a !== 0n ? b : c,
  unbox32: ({ a, ua }) => ua >> 32n === 0xffff_ffffn ? a : CANONICAL_NAN_BOXED,
};

/** A definition and the width of its operands and result. */
function define(name: string): { width: 32 | 64; immediate: boolean; definition: Definition } {
  if (Object.hasOwn(OTHERS, name)) {
    return { width: 64, immediate: false, definition: OTHERS[name] };
  }
  const m = /^([a-z]+)(32|64)(i?)$/.exec(name);
  const width = m?.[2] === "32" ? 32 : 64;
  const definition = m && (width === 32 ? WORD : DOUBLE)[m[1]];
  if (!definition) throw new RangeError(`Cannot evaluate "${name}": it has no definition here`);
  return { width, immediate: m[3] === "i", definition };
}

const PURE = new Map(
  OPS.slice(0, FIRST_VECTOR_OP).filter((op) => op.effect === Effect.PURE).map((
    op,
  ) => [op.code, define(op.name)]),
);

/**
 * Result of a pure op as a signed 64-bit number, as a cell of a BigInt64Array holds it (0 for `nop`).
 *
 * @param a, b, c The operands, any representation modulo 2^64; those the op doesn't have are not looked at.
 * @param imm The immediate of ops that have one.
 * @throws {RangeError} If the op is not pure.
 */
export function evalPure(op: number, a: bigint, b: bigint, c: bigint, imm: bigint): bigint {
  const found = PURE.get(op);
  if (found === undefined) throw new RangeError(`Cannot evaluate op ${op}: it is not pure`);
  const { width, immediate, definition } = found;
  const right = immediate ? imm : b;
  const result = definition({
    a: signed(width, a),
    b: signed(width, right),
    ua: unsigned(width, a),
    ub: unsigned(width, right),
    c: signed(64, c),
    i: signed(64, imm),
  });
  return signed(64, signed(width, result));
}

/** New value of the memory that an `amo` op of `bits` touches. */
export function evalAmo(kind: number, bits: 32 | 64, old: bigint, operand: bigint): bigint {
  const a = signed(bits, old), b = signed(bits, operand);
  const below = a < b, ubelow = unsigned(bits, a) < unsigned(bits, b);
  switch (kind) {
    case Amo.SWAP:
      return b;
    case Amo.ADD:
      return signed(bits, a + b);
    case Amo.XOR:
      return a ^ b;
    case Amo.AND:
      return a & b;
    case Amo.OR:
      return a | b;
    case Amo.MIN:
      return below ? a : b;
    case Amo.MAX:
      return below ? b : a;
    case Amo.MINU:
      return ubelow ? a : b;
    case Amo.MAXU:
      return ubelow ? b : a;
    default:
      throw new RangeError(`Cannot evaluate atomic operation ${kind}`);
  }
}

/** Little-endian guest memory, sparse; addresses are modulo 2^64. */
export class OracleMemory {
  /** Bytes that aren't 0, by address. */
  readonly bytes: Map<bigint, number> = new Map();

  /** @param allows Whether an access of `write` kind to this byte is allowed. */
  constructor(readonly allows: (address: bigint, write: boolean) => boolean = () => true) {}

  /** Whether all of an access is allowed. */
  allowed(address: bigint, size: number, write: boolean): boolean {
    for (let i = 0n; i < size; i++) {
      if (!this.allows(unsigned(64, address + i), write)) return false;
    }
    return true;
  }

  /** `size` bytes as an unsigned number. */
  read(address: bigint, size: number): bigint {
    let value = 0n;
    for (let i = 0n; i < size; i++) {
      value |= BigInt(this.bytes.get(unsigned(64, address + i)) ?? 0) << (8n * i);
    }
    return value;
  }

  /** Stores the low `size` bytes of `value`. */
  write(address: bigint, size: number, value: bigint): void {
    for (let i = 0n; i < size; i++) {
      const byte = Number(value >> (8n * i) & 0xffn), at = unsigned(64, address + i);
      if (byte === 0) this.bytes.delete(at);
      else this.bytes.set(at, byte);
    }
  }
}

/** How a block ended. */
export type Outcome =
  | { kind: "next"; pc: bigint }
  | { kind: "trap"; reason: number; pc: bigint; length: number }
  | { kind: "fault"; reason: number; pc: bigint; address: bigint };

/** Ops that this evaluator leaves to others: floating point and counters. */
export interface Outside {
  /** Result of an op with floating-point operands. */
  float(op: number, a: bigint, b: bigint, c: bigint, j: number): bigint;
  /** Result of `icount` or `clock` in the `insn`th instruction of the block. */
  counter(op: number, imm: bigint, insn: number): bigint;
}

const LOADS: Record<string, [size: number, load: (value: bigint) => bigint]> = {
  ldS8: [1, (v) => signed(8, v)],
  ldU8: [1, (v) => v],
  ldS16: [2, (v) => signed(16, v)],
  ldU16: [2, (v) => v],
  ldS32: [4, (v) => signed(32, v)],
  ldU32: [4, (v) => v],
  ldB32: [4, (v) => v | 0xffff_ffffn << 32n],
  ld64: [8, (v) => v],
};

const BRANCHES: Record<string, (a: bigint, b: bigint) => boolean> = {
  brEq: (a, b) => a === b,
  brNe: (a, b) => a !== b,
  brLt: (a, b) => a < b,
  brGe: (a, b) => a >= b,
  brLtu: (a, b) => unsigned(64, a) < unsigned(64, b),
  brGeu: (a, b) => unsigned(64, a) >= unsigned(64, b),
};

class Fault {
  constructor(readonly reason: number, readonly address: bigint) {}
}

/** Executes a finished block on slots and memory. */
export function runBlock(
  block: IrBlock,
  slots: BigInt64Array,
  memory: OracleMemory,
  outside: Outside,
): Outcome {
  const { code, insns, pcs } = block;
  for (let at = 0; at < code.length; at += WORDS) {
    const insn = insns[at / WORDS];
    try {
      const outcome = step(code, at, insn, slots, memory, outside);
      if (outcome !== undefined) return outcome;
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      const { reason, address } = fault;
      return { kind: "fault", reason, address, pc: BigInt(pcs[insn]) };
    }
  }
  throw new Error("Cannot go on: the block has no terminator");
}

function step(
  code: Int32Array,
  at: number,
  insn: number,
  slots: BigInt64Array,
  memory: OracleMemory,
  outside: Outside,
): Outcome | undefined {
  const [op, d, a, b, c, j] = code.subarray(at, at + WORDS);
  const info = OPS[op];
  const name = info.name;
  const i = BigInt(j) << 32n | BigInt(c >>> 0);
  const address = unsigned(64, slots[a] + (info.fields.includes("i") ? i : 0n));
  const size = /64$/.test(name) ? 8 : /32$/.test(name) ? 4 : /16$/.test(name) ? 2 : 1;
  const access = (bytes: number, write: boolean, aligned = false) => {
    if (aligned && address % BigInt(bytes) !== 0n) throw new Fault(Trap.MISALIGNED, address);
    if (!memory.allowed(address, bytes, write)) {
      throw new Fault(write ? Trap.STORE_FAULT : Trap.LOAD_FAULT, address);
    }
  };
  const linkPc = (link: number): bigint =>
    unsigned(64, BigInt(code[link + 5]) << 32n | BigInt(code[link + 4] >>> 0));

  if (info.effect === Effect.PURE) {
    if (op !== Op.nop) slots[d] = evalPure(op, slots[a], slots[b], slots[c] ?? 0n, i);
    return undefined;
  }
  if (info.effect === Effect.FLOAT) {
    const [x, y, z] = [slots[a], slots[b], slots[c]];
    const value = outside.float(op, x, y, z, j);
    if (info.fields.includes("d")) slots[d] = value;
    return undefined;
  }
  if (Object.hasOwn(LOADS, name)) {
    const [bytes, load] = LOADS[name];
    access(bytes, false);
    slots[d] = load(memory.read(address, bytes));
    return undefined;
  }
  if (Object.hasOwn(BRANCHES, name)) {
    return { kind: "next", pc: linkPc(BRANCHES[name](slots[a], slots[b]) ? c : j) };
  }
  switch (op) {
    case Op.st8:
    case Op.st16:
    case Op.st32:
    case Op.st64:
      access(size, true);
      memory.write(address, size, slots[b]);
      return undefined;
    case Op.zero: {
      const block = unsigned(64, slots[a] & -i);
      if (!memory.allowed(block, c, true)) {
        throw new Fault(Trap.STORE_FAULT, unsigned(64, slots[a]));
      }
      memory.write(block, c, 0n);
      return undefined;
    }
    case Op.aligned:
      if (unsigned(64, slots[a]) % BigInt(c) === 0n) return undefined;
      throw new Fault(Trap.MISALIGNED, unsigned(64, slots[a]));
    case Op.ldx32:
    case Op.ldx64:
      access(size, false, true);
      slots[d] = signed(8 * size, memory.read(address, size));
      slots[Slot.EXCLUSIVE_ADDRESS] = signed(64, address);
      slots[Slot.EXCLUSIVE_VALUE] = slots[d];
      return undefined;
    case Op.stx32:
    case Op.stx64: {
      access(size, true, true);
      const [reserved, value] = [slots[Slot.EXCLUSIVE_ADDRESS], slots[Slot.EXCLUSIVE_VALUE]];
      const unchanged = signed(8 * size, memory.read(address, size)) === value;
      const succeeds = unsigned(64, reserved) === address && unchanged;
      if (succeeds) memory.write(address, size, slots[b]);
      slots[Slot.EXCLUSIVE_ADDRESS] = -1n;
      slots[d] = succeeds ? 0n : 1n;
      return undefined;
    }
    case Op.amo32:
    case Op.amo64: {
      access(size, true, true);
      const bits = size === 8 ? 64 : 32;
      const old = signed(bits, memory.read(address, size));
      memory.write(address, size, evalAmo(j, bits, old, slots[b]));
      slots[d] = old;
      return undefined;
    }
    case Op.fence:
    case Op.invalidate:
      return undefined;
    case Op.fpsync:
      slots[Slot.FP_FAST] = truth(slots[Slot.FP_RM] === 0n && (slots[Slot.FP_FLAGS] & 1n) !== 0n);
      return undefined;
    case Op.icount:
    case Op.clock:
      slots[d] = outside.counter(op, i, insn);
      return undefined;
    case Op.jump:
      return { kind: "next", pc: linkPc(c) };
    case Op.jumpInd:
      return { kind: "next", pc: unsigned(64, slots[a] & i) };
    case Op.trap:
      return { kind: "trap", reason: a, pc: unsigned(64, i), length: b };
    default:
      throw new RangeError(`Cannot evaluate ${name}: it has no definition here`);
  }
}
