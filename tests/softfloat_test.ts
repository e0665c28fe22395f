import { assert, assertEquals, assertThrows } from "@std/assert";
import { SoftFloat } from "../cpu/engine/softfloat/softfloat.ts";
import {
  below,
  boundaries,
  integers,
  type Operation,
  operations,
  random64,
  related,
  seed,
  specials,
} from "./softfloat_ops.ts";
import { F32, type Result } from "./softfloat_oracle.ts";

const FLAGS = 5, FAST = 6, MODE = 7;
const BOX = 0xffffffff_00000000n;
const MODES = [0, 1, 2, 3, 4];
const RNE = 0, RTZ = 1, RDN = 2, RUP = 3, RMM = 4, DYN = 7;
const NX = 1, UF = 2, OF = 4, DZ = 8, NV = 16;

const buffer = new ArrayBuffer(8 * 8);
const r = new Int32Array(buffer), q = new BigInt64Array(buffer), f = new Float64Array(buffer);
const u = new SoftFloat({ r, q, f }, FLAGS, FAST, MODE);

const hex = (x: bigint): string => "0x" + BigInt.asUintN(64, x).toString(16);

/** Runs one case and describes a mismatch; the flags slot starts as `before`. */
function attempt(
  op: Operation,
  slots: bigint[],
  want: Result,
  rm: number,
  d: number,
  dynamic: boolean,
  boxed: number,
  before: number,
): void {
  for (let i = 0; i < 3; i++) q[i] = slots[i];
  q[3] = -2n;
  q[FLAGS] = BigInt(before);
  q[MODE] = BigInt(dynamic ? rm : RNE);
  u.updateFast();
  const status = op.run(u, d, 0, 1, 2, dynamic ? DYN : rm, boxed);
  const bits = BigInt.asIntN(64, op.narrow && boxed === 1 ? want.bits | BOX : want.bits);
  const flags = before | want.flags;
  const fast = r[2 * MODE] === RNE && (flags & NX) !== 0 ? 1 : 0;
  if (status !== 0 || q[d] !== bits || r[2 * FLAGS] !== flags || r[2 * FAST] !== fast) {
    const where = `${op.name} rm=${rm} d=${d} dynamic=${dynamic} boxed=${boxed} before=${before}`;
    throw new Error(
      `${where} of ${slots.map(hex).join(" ")}: want ${hex(bits)} flags ${flags} fast ${fast}, ` +
        `got ${hex(q[d])} flags ${r[2 * FLAGS]} fast ${r[2 * FAST]} status ${status}`,
    );
  }
}

/** Checks one operand triple in every rounding mode, from no flags and from NX, boxed and not, in place and not. */
function check(op: Operation, a: bigint, b: bigint, c: bigint): void {
  const narrow = op.from === F32;
  const wide = narrow ? [a | BOX, b | BOX, c | BOX] : [a, b, c];
  // Operands that aren't boxed have rubbish in the high word.
  const loose = narrow ? [a | (b << 32n), b | (1n << 63n), c | (a << 32n)] : wide;
  for (const rm of op.rounds ? MODES : [RNE]) {
    const want = op.expect(a, b, c, rm);
    attempt(op, wide, want, rm, 3, false, 1, 0);
    attempt(op, loose, want, rm, 0, true, 0, NX);
    attempt(op, wide, want, rm, op.arity - 1, true, 1, NX | DZ);
  }
}

for (const op of operations) {
  Deno.test(`SoftFloat ${op.name} agrees with exact arithmetic when operands are special or random`, () => {
    seed(0x5eed);
    if (typeof op.from === "number") {
      for (const x of integers()) check(op, x, 0n, 0n);
      for (let i = 0; i < 2000; i++) check(op, random64() >> BigInt(below(64)), 0n, 0n);
      return;
    }
    const t = op.from, list = specials(t);
    if (op.arity === 1) {
      for (const x of [...list, ...boundaries(t)]) check(op, x, 0n, 0n);
    } else if (op.arity === 2) {
      for (const x of list) for (const y of list) check(op, x, y, 0n);
    } else {
      for (let i = 0; i < 4000; i++) {
        check(op, list[below(list.length)], list[below(list.length)], list[below(list.length)]);
      }
    }
    for (let i = 0; i < (op.rounds ? 5000 : 500); i++) check(op, ...related(t));
  });
}

/** The bits of a double. */
function double(x: number): bigint {
  f[0] = x;
  return q[0];
}

/** Runs `run` on doubles or bit patterns in slots 0 to 2, from no flags; gives slot 3 and the flags. */
function apply(run: () => number, ...operands: (number | bigint)[]): [bigint, number] {
  q.fill(0n);
  operands.forEach((x, i) => typeof x === "number" ? f[i] = x : q[i] = BigInt.asIntN(64, x));
  u.updateFast();
  assertEquals(run(), 0);
  return [q[3], r[2 * FLAGS]];
}

Deno.test("SoftFloat add64 rounds ties to even, directed and away when half a unit is added", () => {
  const next = double(1 + 2 ** -52), one = double(1);
  for (
    const [rm, want] of [[RNE, one], [RTZ, one], [RDN, one], [RUP, next], [RMM, next]] as const
  ) {
    assertEquals(apply(() => u.add64(3, 0, 1, rm), 1, 2 ** -53), [want, NX]);
  }
});

Deno.test("SoftFloat add64 gives -0 only when rounding down and the sum cancels", () => {
  for (const rm of MODES) {
    const want = rm === RDN ? double(-0) : 0n;
    assertEquals(apply(() => u.add64(3, 0, 1, rm), 5, -5), [want, 0]);
    assertEquals(apply(() => u.sub64(3, 0, 1, rm), 0, 0), [want, 0]);
  }
});

Deno.test("SoftFloat mul64 gives infinity or the largest number by mode when it overflows", () => {
  const inf = double(Infinity), max = double(Number.MAX_VALUE);
  for (const [rm, want] of [[RNE, inf], [RTZ, max], [RDN, max], [RUP, inf], [RMM, inf]] as const) {
    assertEquals(apply(() => u.mul64(3, 0, 1, rm), 2 ** 600, 2 ** 600), [want, OF | NX]);
  }
});

Deno.test("SoftFloat mul64 detects tininess after rounding when a product rounds up to the smallest normal", () => {
  const normal = 1n << 52n;
  // 2^-1022 (1 - 2^-104): rounds to 2^-1022 also with unbounded exponents, so it isn't tiny.
  assertEquals(apply(() => u.mul64(3, 0, 1, RNE), 1 + 2 ** -52, normal - 1n), [normal, NX]);
  // 2^-1022 (1 - 2^-53): has 53 bits, is tiny, and rounds up only for want of exponents.
  assertEquals(apply(() => u.mul64(3, 0, 1, RNE), 1 - 2 ** -53, normal), [normal, UF | NX]);
});

Deno.test("SoftFloat div64 raises DZ for a finite dividend and NV for zero when dividing by zero", () => {
  assertEquals(apply(() => u.div64(3, 0, 1, RNE), -1, 0), [double(-Infinity), DZ]);
  assertEquals(apply(() => u.div64(3, 0, 1, RNE), Infinity, 0), [double(Infinity), 0]);
  assertEquals(apply(() => u.div64(3, 0, 1, RNE), 0, 0), [0x7ff80000_00000000n, NV]);
});

Deno.test("SoftFloat results are the canonical NaN when an operand is another NaN", () => {
  const quiet = 0xffffffff_fffffff1n, signalling = 0xfff00000_00000001n;
  assertEquals(apply(() => u.add64(3, 0, 1, RNE), quiet, 1), [0x7ff80000_00000000n, 0]);
  assertEquals(apply(() => u.mul64(3, 0, 1, RNE), 1, signalling), [0x7ff80000_00000000n, NV]);
  assertEquals(apply(() => u.f32FromF64(3, 0, RNE, 1), quiet), [
    BigInt.asIntN(64, BOX | 0x7fc00000n),
    0,
  ]);
});

Deno.test("SoftFloat fma64 raises NV when infinity times zero meets a quiet NaN", () => {
  assertEquals(apply(() => u.fma64(3, 0, 1, 2, RNE, 0, 0), Infinity, 0, NaN), [
    0x7ff80000_00000000n,
    NV,
  ]);
});

Deno.test("SoftFloat fma64 keeps what a rounded product loses when the addend cancels it", () => {
  const x = 1 + 2 ** -30;
  assertEquals(apply(() => u.fma64(3, 0, 1, 2, RNE, 0, 1), x, x, x * x), [double(2 ** -60), 0]);
});

Deno.test("SoftFloat fma64 sees a tail far below a tie when host arithmetic is allowed", () => {
  // 1 + 2^-53 is a tie, which goes to 1: a product just above 2^-53 must go up instead.
  const run = (x: number, y: number, z: number) => {
    f.set([x, y, z]);
    r[2 * FLAGS] = NX;
    r[2 * MODE] = RNE;
    u.updateFast();
    assertEquals(r[2 * FAST], 1);
    assertEquals(u.fma64(3, 0, 1, 2, DYN, 0, 0), 0);
    return f[3];
  };
  const up = 1 + 2 ** -52, down = 1 - 2 ** -52;
  assertEquals(run(2 ** -53 * up, up, 1), 1 + 2 ** -52);
  assertEquals(run(2 ** -53 * up, down, 1 + 2 ** -52), 1 + 2 ** -52);
  assertEquals(run(2 ** -53 * up, -down, -1 - 2 ** -52), -1 - 2 ** -52);
  assertEquals(run(2 ** -53, 1, 1), 1);
  assertEquals(run(2 ** -53, 1, 1 + 2 ** -52), 1 + 2 ** -51);
});

Deno.test("SoftFloat fma32 isn't rounded twice when the double sum is half-way between binary32 numbers", () => {
  const view = new Float32Array(buffer);
  for (const before of [0, NX]) {
    // The product is 2^-24 (1 - 2^-34): beside 1 + 2^-23 a double can't tell it from a tie, which would go up.
    view.set([2 ** -24 * (1 + 2 ** -17), 0, 1 - 2 ** -17, 0, 1 + 2 ** -23, 0]);
    q[FLAGS] = BigInt(before);
    q[MODE] = 0n;
    u.updateFast();
    assertEquals(u.fma32(3, 0, 1, 2, RNE, 0, 0, 0), 0);
    assertEquals(view[6], 1 + 2 ** -23);
  }
});

Deno.test("SoftFloat fma32 and fma64 raise UF when a tiny sum rounds to the smallest normal and NX is set", () => {
  const view = new Float32Array(buffer);
  // With unbounded exponents 2^-126 - 2^-151 rounds to 2^-126 too; what lies lower doesn't.
  for (const [y, flags] of [[2 ** -51, NX], [1.5 * 2 ** -51, UF | NX], [2 ** -50, UF | NX]]) {
    q.set([0n, 0n, 0n, 0n, 0n, BigInt(NX), 0n, 0n]);
    u.updateFast();
    view.set([-(2 ** -100), 0, y, 0, 2 ** -126, 0]);
    assertEquals(u.fma32(3, 0, 1, 2, DYN, 0, 0, 0), 0);
    assertEquals([view[6], r[2 * FLAGS]], [2 ** -126, flags]);
  }
  q[FLAGS] = BigInt(NX);
  f.set([-(2 ** -600), 2 ** -475, 2 ** -1022]);
  assertEquals(u.fma64(3, 0, 1, 2, DYN, 0, 0), 0);
  assertEquals([f[3], r[2 * FLAGS]], [2 ** -1022, UF | NX]);
});

Deno.test("SoftFloat min64 and max64 order zeros and prefer numbers when operands are -0 or NaN", () => {
  const signalling = 0x7ff00000_00000001n, one = double(1);
  for (const [x, y] of [[0, -0], [-0, 0]]) {
    assertEquals(apply(() => u.min64(3, 0, 1), x, y), [double(-0), 0]);
    assertEquals(apply(() => u.max64(3, 0, 1), x, y), [0n, 0]);
  }
  assertEquals(apply(() => u.min64(3, 0, 1), NaN, 1), [one, 0]);
  assertEquals(apply(() => u.max64(3, 0, 1), 1, signalling), [one, NV]);
  assertEquals(apply(() => u.max64(3, 0, 1), NaN, signalling), [0x7ff80000_00000000n, NV]);
});

Deno.test("SoftFloat integer conversions saturate with NV alone when the value is out of range", () => {
  const max = (1n << 63n) - 1n;
  assertEquals(apply(() => u.i32FromF64(3, 0, RTZ), NaN), [0x7fffffffn, NV]);
  assertEquals(apply(() => u.i32FromF64(3, 0, RTZ), -(2 ** 31) - 0.5), [-0x80000000n, NX]);
  assertEquals(apply(() => u.i32FromF64(3, 0, RDN), -(2 ** 31) - 0.5), [-0x80000000n, NV]);
  assertEquals(apply(() => u.u32FromF64(3, 0, RTZ), 2 ** 32 - 0.5), [-1n, NX]);
  assertEquals(apply(() => u.u32FromF64(3, 0, RUP), 2 ** 32 - 0.5), [-1n, NV]);
  assertEquals(apply(() => u.u32FromF64(3, 0, RNE), -0.5), [0n, NX]);
  assertEquals(apply(() => u.u32FromF64(3, 0, RMM), -0.5), [0n, NV]);
  assertEquals(apply(() => u.i64FromF64(3, 0, RTZ), 2 ** 63), [max, NV]);
  assertEquals(apply(() => u.u64FromF64(3, 0, RTZ), Infinity), [-1n, NV]);
  assertEquals(apply(() => u.u64FromF64(3, 0, RTZ), 2 ** 63), [-max - 1n, 0]);
});

Deno.test("SoftFloat binary32 operands are the canonical NaN when they aren't boxed", () => {
  const one = 0x3f800000n, nan = BigInt.asIntN(64, BOX | 0x7fc00000n);
  assertEquals(apply(() => u.add32(3, 0, 1, RNE, 1), BOX | one, one), [nan, 0]);
  assertEquals(apply(() => u.add32(3, 0, 1, RNE, 0), BOX | one, one), [0x40000000n, 0]);
  assertEquals(apply(() => u.class32(3, 0, 1), one), [512n, 0]);
  assertEquals(apply(() => u.min32(3, 0, 1, 1), one, BOX | one), [BigInt.asIntN(64, BOX | one), 0]);
  // A signalling pattern that isn't boxed is not a signalling NaN.
  assertEquals(apply(() => u.eq32(3, 0, 1, 1), 0x7f800001n, BOX | one), [0n, 0]);
  assertEquals(apply(() => u.fma32(3, 0, 1, 2, RNE, 0, 0, 1), one, BOX | one, BOX | one), [nan, 0]);
});

Deno.test("SoftFloat operations write nothing and return 1 when the rounding mode is invalid", () => {
  for (const [rm, dynamic] of [[5, 0], [6, 0], [-1, 0], [8, 0], [DYN, 5], [DYN, 7], [DYN, -1]]) {
    for (const op of operations.filter((op) => op.rounds)) {
      q.set([double(1), double(3), double(7), -2n, 0n, BigInt(NX), 0n, BigInt(dynamic)]);
      u.updateFast();
      const before = q.slice();
      assertEquals(op.run(u, 3, 0, 1, 2, rm, 1), 1, `${op.name} rm=${rm} dynamic=${dynamic}`);
      assertEquals(q, before, `${op.name} rm=${rm} dynamic=${dynamic}`);
    }
  }
});

Deno.test("SoftFloat takes the dynamic mode only when the immediate says so", () => {
  f.set([1, 2 ** -60]);
  q[FLAGS] = BigInt(NX);
  q[MODE] = BigInt(RUP);
  u.updateFast();
  assertEquals(r[2 * FAST], 0);
  u.add64(3, 0, 1, RNE);
  assertEquals(f[3], 1);
  u.add64(3, 0, 1, DYN);
  assertEquals(f[3], 1 + 2 ** -52);
});

Deno.test("SoftFloat updateFast allows host arithmetic only when the mode is nearest and NX is set", () => {
  for (const mode of [0, 1, 2, 3, 4, 5, 7]) {
    for (let flags = 0; flags < 32; flags++) {
      q[MODE] = BigInt(mode);
      q[FLAGS] = BigInt(flags);
      u.updateFast();
      assertEquals(r[2 * FAST], mode === RNE && (flags & NX) !== 0 ? 1 : 0);
    }
  }
});

Deno.test("SoftFloat leaves its operands and neighbours alone when it writes a result", () => {
  q.set([double(1), double(3), double(7), 0n, 0x1234n, 0n, 0n, 0n]);
  u.div64(3, 0, 1, RNE);
  assertEquals([...q], [double(1), double(3), double(7), double(1 / 3), 0x1234n, 1n, 1n, 0n]);
});

Deno.test("SoftFloat refuses views when they aren't of the same slots", () => {
  const other = new ArrayBuffer(64);
  assertThrows(
    () => new SoftFloat({ r: new Int32Array(other), q, f }, 5, 6, 7),
    TypeError,
    "same slots",
  );
  assertThrows(() => new SoftFloat({ r, q, f: f.subarray(1) }, 5, 6, 7), TypeError, "same slots");
  assertThrows(() => new SoftFloat({ r, q: q.subarray(1), f }, 5, 6, 7), TypeError, "same slots");
  assert(new SoftFloat({ r, q, f }, 5, 6, 7) instanceof SoftFloat);
});
