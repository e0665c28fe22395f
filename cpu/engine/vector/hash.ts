/**
 * Ciphers, hashes and polynomials on vectors: four 32-bit words each, least significant first.
 *
 * Source: FIPS 197 (AES), FIPS 180-4 (SHA-1, SHA-256).
 *
 * @module
 */

const rotl = (x: number, n: number) => x << n | x >>> (32 - n);
const rotr = (x: number, n: number) => x >>> n | x << (32 - n);

/** Four words. */
export type Words = Int32Array;

// ---- polynomials over GF(2) ----

/** Carry-less product of two bytes, 15 bits. */
export function polyBytes(a: number, b: number): number {
  let product = 0;
  for (let i = 0; i < 8; i++) if (b >>> i & 1) product ^= a << i;
  return product;
}

/** Carry-less product of two 64-bit numbers, 127 bits. */
export function polyLongs(a: bigint, b: bigint): bigint {
  let product = 0n;
  for (let i = 0n; i < 64n; i++) if (b >> i & 1n) product ^= a << i;
  return product;
}

// ---- AES ----

const double = (x: number) => (x << 1 ^ (x & 0x80 ? 0x11b : 0)) & 0xff;
const SBOX = new Uint8Array(256), INVERSE = new Uint8Array(256);
/** Fills the boxes by walking through powers of 3 and of its inverse. */
function makeBoxes(): void {
  let p = 1, q = 1;
  do {
    p ^= double(p);
    q ^= q << 1;
    q ^= q << 2;
    q ^= q << 4;
    q &= 0xff;
    if (q & 0x80) q ^= 0x09;
    const wide = q | q << 8;
    SBOX[p] = (q ^ wide >>> 7 ^ wide >>> 6 ^ wide >>> 5 ^ wide >>> 4) & 0xff ^ 0x63;
  } while (p !== 1);
  SBOX[0] = 0x63;
  SBOX.forEach((y, x) => INVERSE[y] = x);
}

/** `to` = SubBytes(ShiftRows(a ^ b)), or their inverses. */
export function aesRound(to: Uint8Array, a: Uint8Array, b: Uint8Array, inverse: boolean): void {
  if (SBOX[0] === 0) makeBoxes();
  const box = inverse ? INVERSE : SBOX;
  // Row i moves by i columns.
  for (let i = 0; i < 16; i++) {
    const columns = inverse ? -(i & 3) : i & 3, source = (i + 4 * columns) & 15;
    to[i] = box[a[source] ^ b[source]];
  }
}

/** `to` = MixColumns(a), or its inverse. */
export function aesMix(to: Uint8Array, a: Uint8Array, inverse: boolean): void {
  for (let column = 0; column < 16; column += 4) {
    let [x, y, z, w] = a.subarray(column, column + 4);
    if (inverse) {
      // The inverse is MixColumns after a simpler matrix.
      const u = double(double(x ^ z)), v = double(double(y ^ w));
      x ^= u;
      y ^= v;
      z ^= u;
      w ^= v;
    }
    const all = x ^ y ^ z ^ w;
    to[column] = x ^ all ^ double(x ^ y);
    to[column + 1] = y ^ all ^ double(y ^ z);
    to[column + 2] = z ^ all ^ double(z ^ w);
    to[column + 3] = w ^ all ^ double(w ^ x);
  }
}

// ---- SHA-1 ----

/** Four rounds: `x` is a to d, `e` e, `w` schedule plus constant; `kind` as in the op table. */
export function sha1(to: Words, x: Words, e: number, w: Words, kind: number): void {
  let [a, b, c, d] = x;
  for (let i = 0; i < 4; i++) {
    const f = kind === 0 ? b & c | ~b & d : kind === 1 ? b ^ c ^ d : b & c | b & d | c & d;
    const sum = rotl(a, 5) + f + e + w[i] | 0;
    e = d;
    d = c;
    c = rotl(b, 30);
    b = a;
    a = sum;
  }
  to.set([a, b, c, d]);
}

/** The first step of four words of the schedule. */
export function sha1su0(to: Words, a: Words, b: Words, c: Words): void {
  to.set([a[2] ^ a[0] ^ c[0], a[3] ^ a[1] ^ c[1], b[0] ^ a[2] ^ c[2], b[1] ^ a[3] ^ c[3]]);
}

/** The second step. */
export function sha1su1(to: Words, a: Words, b: Words): void {
  const x = rotl(a[0] ^ b[1], 1), y = rotl(a[1] ^ b[2], 1), z = rotl(a[2] ^ b[3], 1);
  to.set([x, y, z, rotl(a[3], 1) ^ rotl(x, 1)]);
}

// ---- SHA-256 ----

/** Four rounds on a to d in `x` and e to h in `y`; `first`: the new a to d, else the new e to h. */
export function sha256(to: Words, x: Words, y: Words, w: Words, first: boolean): void {
  let [a, b, c, d] = x, [e, f, g, h] = y;
  for (let i = 0; i < 4; i++) {
    const t = h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + (e & f ^ ~e & g) + w[i] | 0;
    const u = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + (a & b ^ a & c ^ b & c) | 0;
    h = g;
    g = f;
    f = e;
    e = d + t | 0;
    d = c;
    c = b;
    b = a;
    a = t + u | 0;
  }
  to.set(first ? [a, b, c, d] : [e, f, g, h]);
}

/** The first step of four words of the schedule. */
export function sha256su0(to: Words, a: Words, b: Words): void {
  const words = [a[1], a[2], a[3], b[0]].map((x) => rotr(x, 7) ^ rotr(x, 18) ^ x >>> 3);
  to.set(words.map((x, i) => a[i] + x));
}

/** The second step. */
export function sha256su1(to: Words, a: Words, b: Words, c: Words): void {
  const sigma = (x: number) => rotr(x, 17) ^ rotr(x, 19) ^ x >>> 10;
  const x = a[0] + b[1] + sigma(c[2]) | 0, y = a[1] + b[2] + sigma(c[3]) | 0;
  to.set([x, y, a[2] + b[3] + sigma(x) | 0, a[3] + c[0] + sigma(y) | 0]);
}

// ---- estimates ----

/** Estimate of 2^19 / (2 a + 1), for 256 <= a < 512, in 9 bits (RecipEstimate of the Arm manual). */
export function recipEstimate(a: number): number {
  return Math.floor(Math.floor(2 ** 19 / (2 * a + 1)) / 2 + 0.5);
}

/** Estimate of the inverse square root, for 128 <= a < 512, in 9 bits (RecipSqrtEstimate of the Arm manual). */
export function rsqrtEstimate(a: number): number {
  const x = a < 256 ? 2 * a + 1 : 2 * ((a & ~1) + 1);
  let b = 512;
  while (x * (b + 1) * (b + 1) < 2 ** 28) b++;
  return b + 1 >> 1;
}
