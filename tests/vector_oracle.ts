/** The definitions of ops on vectors, in BigInt: slow and obvious. Floating point is in softfloat's tests. */

/** A result, and whether a lane was saturated. */
export interface Outcome {
  value: bigint;
  saturated: boolean;
}

/** Operands of a record: vectors as unsigned 128-bit numbers, scalars as signed 64-bit ones. */
export interface VectorOperands {
  a: bigint;
  b: bigint;
  c: bigint;
  /** 64-bit immediate, or the fields c and j. */
  i: bigint;
  j: number;
}

const s = (bits: number, value: bigint) => BigInt.asIntN(bits, value);
const u = (bits: number, value: bigint) => BigInt.asUintN(bits, value);
const join = (bits: number, lanes: readonly bigint[]) =>
  lanes.reduce((sum, lane, i) => sum | u(bits, lane) << BigInt(bits * i), 0n);
const split = (bits: number, value: bigint, signed: boolean) =>
  Array.from({ length: 128 / bits }, (_, i) => {
    const lane = u(bits, value >> BigInt(bits * i));
    return signed ? s(bits, lane) : lane;
  });
const ONES = (1n << 128n) - 1n;
const LOW = (1n << 64n) - 1n;

function carryless(a: bigint, b: bigint): bigint {
  let sum = 0n;
  for (let i = 0n; b >> i !== 0n; i++) if (b >> i & 1n) sum ^= a << i;
  return sum;
}

type Lane = (a: bigint, b: bigint, bits: number, j: number) => bigint;
const truth = (yes: boolean) => yes ? -1n : 0n;
const countOnes = (x: bigint) => BigInt([...x.toString(2)].filter((digit) => digit === "1").length);

/** Lane by lane, by base name: signed lanes unless the name ends in U. */
const LANES: Record<string, Lane> = {
  vadd: (a, b) => a + b,
  vsub: (a, b) => a - b,
  vmul: (a, b) => a * b,
  vneg: (a) => -a,
  vabs: (a) => a < 0n ? -a : a,
  veq: (a, b) => truth(a === b),
  vgtS: (a, b) => truth(a > b),
  vgtU: (a, b) => truth(a > b),
  vgeS: (a, b) => truth(a >= b),
  vgeU: (a, b) => truth(a >= b),
  vminS: (a, b) => a < b ? a : b,
  vminU: (a, b) => a < b ? a : b,
  vmaxS: (a, b) => a > b ? a : b,
  vmaxU: (a, b) => a > b ? a : b,
  vavgU: (a, b) => (a + b + 1n) >> 1n,
  vclz: (a, _, bits) => BigInt(bits - (a === 0n ? 0 : u(bits, a).toString(2).length)),
  vcnt: (a, _, bits) => countOnes(u(bits, a)),
  vshli: (a, _b, _, j) => a << BigInt(j),
  vshriS: (a, _b, _, j) => a >> BigInt(j),
  vshriU: (a, _b, _, j) => a >> BigInt(j),
  vpmul: (a, b, bits) => carryless(u(bits, a), u(bits, b)),
  vrecipU: (a) => {
    if (a < 1n << 31n) return -1n;
    const top = (a >> 23n) * 2n + 1n;
    return (((1n << 19n) / top + 1n) / 2n) << 23n;
  },
  vrsqrtU: (a) => {
    if (a < 1n << 30n) return -1n;
    let top = a >> 23n;
    top = top < 256n ? top * 2n + 1n : ((top >> 1n << 1n) + 1n) * 2n;
    let guess = 512n;
    while (top * (guess + 1n) * (guess + 1n) < 1n << 28n) guess++;
    return ((guess + 1n) / 2n) << 23n;
  },
};

/** Lane by lane, with exact results that saturate; kinds of lanes of result, a and b. */
const SATURATING: Record<string, [kinds: string, f: Lane]> = {
  vaddQS: ["SSS", (a, b) => a + b],
  vaddQU: ["UUU", (a, b) => a + b],
  vsubQS: ["SSS", (a, b) => a - b],
  vsubQU: ["UUU", (a, b) => a - b],
  vaddQXS: ["SSU", (a, b) => a + b],
  vaddQXU: ["UUS", (a, b) => a + b],
  vmulhQ: ["SSS", (a, b, bits) => 2n * a * b >> BigInt(bits)],
  vmulhQR: ["SSS", (a, b, bits) => 2n * a * b + (1n << BigInt(bits - 1)) >> BigInt(bits)],
};

function shiftLane(a: bigint, b: bigint, round: boolean): bigint {
  const n = s(8, b);
  if (n >= 0n) return a << n;
  return (round ? a + (1n << (-n - 1n)) : a) >> -n;
}

const words = (x: bigint) => split(32, x, false);
const rotl = (x: bigint, n: bigint) => u(32, x << n) | u(32, x) >> (32n - n);
const rotr = (x: bigint, n: bigint) => rotl(x, 32n - n);

/** Multiplication in AES's field. */
function field(a: number, b: number): number {
  let product = 0;
  for (let i = 0; i < 8; i++) {
    if (b >> i & 1) product ^= a;
    a = a << 1 ^ (a & 128 ? 0x11b : 0);
  }
  return product;
}
/** FIPS 197, 5.1.1: the inverse, then an affine map. */
const SBOX = Array.from({ length: 256 }, (_, x) => {
  const inverse = x === 0
    ? 0
    : Array.from({ length: 256 }, (_, y) => y).find((y) => field(x, y) === 1)!;
  let out = 0;
  for (let i = 0; i < 8; i++) {
    let bit = 0x63 >> i & 1;
    for (const k of [0, 4, 5, 6, 7]) bit ^= inverse >> ((i + k) % 8) & 1;
    out |= bit << i;
  }
  return out;
});
const column = (x: bigint, matrix: readonly number[]) => {
  const bytes = split(8, x, false).map(Number);
  return join(
    8,
    bytes.map((_, i) => {
      const at = i & ~3;
      let sum = 0;
      for (let k = 0; k < 4; k++) sum ^= field(bytes[at + k], matrix[(k - i % 4 + 4) % 4]);
      return BigInt(sum);
    }),
  );
};

function hash(name: string, a: bigint, b: bigint, c: bigint, j: number): bigint | undefined {
  const [A, B, C] = [a, b, c].map(words);
  switch (name) {
    case "vaesEnc": {
      const x = split(8, a ^ b, false).map(Number);
      return join(8, x.map((_, i) => BigInt(SBOX[x[(i + 4 * (i % 4)) % 16]])));
    }
    case "vaesDec": {
      const x = split(8, a ^ b, false).map(Number);
      return join(8, x.map((_, i) => BigInt(SBOX.indexOf(x[(i + 12 * (i % 4)) % 16]))));
    }
    case "vaesMix":
      return column(a, [2, 3, 1, 1]);
    case "vaesUnmix":
      return column(a, [14, 11, 13, 9]);
    case "vsha1": {
      let [p, q, r, t] = A, e = B[0];
      for (let i = 0; i < 4; i++) {
        const f = [(q & r) ^ (~q & t), q ^ r ^ t, (q & r) ^ (q & t) ^ (r & t)][j];
        const next = u(32, rotl(p, 5n) + u(32, f) + e + C[i]);
        [e, t, r, q, p] = [t, r, rotl(q, 30n), p, next];
      }
      return join(32, [p, q, r, t]);
    }
    case "vsha1su0":
      return ((b & LOW) << 64n | a >> 64n) ^ a ^ c;
    case "vsha1su1": {
      const t = A.map((x, i) => x ^ (i < 3 ? B[i + 1] : 0n)).map((x) => rotl(x, 1n));
      t[3] ^= rotl(t[0], 1n);
      return join(32, t);
    }
    case "vsha256": {
      let [p, q, r, t] = j === 0 ? A : B, [e, f, g, h] = j === 0 ? B : A;
      for (let i = 0; i < 4; i++) {
        const S1 = rotr(e, 6n) ^ rotr(e, 11n) ^ rotr(e, 25n);
        const t1 = h + S1 + ((e & f) ^ (u(32, ~e) & g)) + C[i];
        const S0 = rotr(p, 2n) ^ rotr(p, 13n) ^ rotr(p, 22n);
        const t2 = S0 + ((p & q) ^ (p & r) ^ (q & r));
        [h, g, f, e, t, r, q, p] = [g, f, e, u(32, t + t1), r, q, p, u(32, t1 + t2)];
      }
      return join(32, j === 0 ? [p, q, r, t] : [e, f, g, h]);
    }
    case "vsha256su0": {
      const x = [...A.slice(1), B[0]];
      return join(32, x.map((w, i) => A[i] + (rotr(w, 7n) ^ rotr(w, 18n) ^ w >> 3n)));
    }
    case "vsha256su1": {
      const sigma = (w: bigint) => rotr(w, 17n) ^ rotr(w, 19n) ^ w >> 10n;
      const out: bigint[] = [];
      for (let i = 0; i < 4; i++) {
        const from = i < 2 ? C[i + 2] : out[i - 2];
        out.push(u(32, A[i] + (i < 3 ? B[i + 1] : C[0]) + sigma(from)));
      }
      return join(32, out);
    }
  }
  return undefined;
}

/** Result of a vector op that is not floating point; undefined if it is none of these. */
export function evalVector(name: string, o: VectorOperands): Outcome | undefined {
  const { a, b, c, i, j } = o;
  const done = (value: bigint): Outcome => ({ value, saturated: false });
  const bytes = (x: bigint) => split(8, x, false);
  switch (name) {
    case "vmov":
      return done(a);
    case "vconst":
      return done(join(64, [i, i]));
    case "vlow":
      return done(a & LOW);
    case "vnot":
      return done(a ^ ONES);
    case "vand":
      return done(a & b);
    case "vandn":
      return done(a & (b ^ ONES));
    case "vor":
      return done(a | b);
    case "vxor":
      return done(a ^ b);
    case "vsel":
      return done(a & c | b & (c ^ ONES));
    case "vany":
      return done(a === 0n ? 0n : 1n);
    case "vext":
      return done(u(128, (b << 128n | a) >> BigInt(8 * (j % 16))));
    case "vshuf":
      return done(
        join(8, bytes(a).map((_, n) => bytes(a)[Number(u(64, i) >> BigInt(4 * n) & 15n)])),
      );
    case "vtable":
      return done(join(8, bytes(b).map((index) => bytes(a)[Number(index)] ?? 0n)));
  }
  const hashed = hash(name, a, b, c, j);
  if (hashed !== undefined) return done(hashed);
  const [, base, digits] = /^(\w*?)(\d+)$/.exec(name) ?? [];
  if (base === undefined) return undefined;
  const bits = Number(digits), n = 128 / bits, signed = !base.endsWith("U");
  if (Object.hasOwn(LANES, base)) {
    const y = split(bits, b, signed);
    return done(join(bits, split(bits, a, signed).map((x, k) => LANES[base](x, y[k], bits, j))));
  }
  let saturated = false;
  const clamp = (x: bigint, width: number, kind: string) => {
    const size = 1n << BigInt(width);
    const [low, high] = kind === "S" ? [-size / 2n, size / 2n - 1n] : [0n, size - 1n];
    if (x < low || x > high) saturated = true;
    return x < low ? low : x > high ? high : x;
  };
  if (Object.hasOwn(SATURATING, base)) {
    const [kinds, f] = SATURATING[base];
    const y = split(bits, b, kinds[2] === "S");
    const lanes = split(bits, a, kinds[1] === "S").map((x, k) =>
      clamp(f(x, y[k], bits, j), bits, kinds[0])
    );
    return { value: join(bits, lanes), saturated };
  }
  const shift = /^vshl(Q?)(R?)(SU|S|U)$/.exec(base);
  if (shift) {
    const y = split(bits, b, true);
    const lanes = split(bits, a, shift[3] !== "U").map((x, k) => {
      const result = shiftLane(x, y[k], shift[2] === "R");
      return shift[1] === "" ? result : clamp(result, bits, shift[3] === "S" ? "S" : "U");
    });
    return { value: join(bits, lanes), saturated };
  }
  const narrow = /^vnarrow(S|U|SU)$/.exec(base);
  if (narrow) {
    const lanes = split(2 * bits, a, narrow[1] !== "U").map((x) =>
      clamp(x, bits, narrow[1] === "S" ? "S" : "U")
    );
    return { value: join(bits, lanes), saturated };
  }
  const lanes = split(bits, a, signed), others = split(bits, b, signed);
  /** Lanes of one half, or those of the other. */
  const half = (x: readonly bigint[], high: boolean) => high ? x.slice(n / 2) : x.slice(0, n / 2);
  switch (base) {
    case "vsplat":
      return done(join(bits, lanes.map(() => a)));
    case "vput":
      return done(join(bits, lanes.with(j % n, b)));
    case "vgetS":
    case "vgetU":
      return done(u(64, lanes[j % n]));
    case "vmask":
      return done(lanes.reduce((mask, lane, k) => mask | (lane < 0n ? 1n << BigInt(k) : 0n), 0n));
    case "vtrunc":
      return done(join(bits, split(2 * bits, a, false)));
    case "vwidenLS":
    case "vwidenLU":
    case "vwidenHS":
    case "vwidenHU":
      return done(join(2 * bits, half(lanes, base[6] === "H")));
    case "vmullLS":
    case "vmullLU":
    case "vmullHS":
    case "vmullHU": {
      const y = half(others, base[5] === "H");
      return done(join(2 * bits, half(lanes, base[5] === "H").map((x, k) => x * y[k])));
    }
    case "vpmullL":
    case "vpmullH": {
      const x = half(split(bits, a, false), base[6] === "H");
      const y = half(split(bits, b, false), base[6] === "H");
      return done(join(2 * bits, x.map((lane, k) => carryless(lane, y[k]))));
    }
    case "vaddlpS":
    case "vaddlpU":
      return done(
        join(2 * bits, half(lanes, false).map((_, k) => lanes[2 * k] + lanes[2 * k + 1])),
      );
    case "vzipL":
    case "vzipH": {
      const [x, y] = [half(lanes, base === "vzipH"), half(others, base === "vzipH")];
      return done(join(bits, x.flatMap((lane, k) => [lane, y[k]])));
    }
    case "vunzE":
    case "vunzO":
      return done(
        join(bits, [...lanes, ...others].filter((_, k) => k % 2 === (base === "vunzO" ? 1 : 0))),
      );
    case "vtrnE":
    case "vtrnO": {
      const odd = base === "vtrnO" ? 1 : 0;
      return done(join(bits, lanes.map((_, k) => (k % 2 === 0 ? lanes : others)[(k & ~1) + odd])));
    }
  }
  return undefined;
}
