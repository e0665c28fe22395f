/**
 * CRC-32 by carry-less multiplication.
 *
 * Source: V. Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (Intel, 2009):
 * Barrett reduction of bit-reflected data.
 *
 * @module
 */
import type { Builder, Value } from "../ir/builder.ts";
import { opNumber, Slot } from "../ir/ops.ts";

/** The low 64 bits of the reflected quotient of t^96 by a polynomial, and the reflected polynomial with t^32. */
function constants(polynomial: bigint): { quotient: bigint; divisor: bigint } {
  const divisor = 1n << 32n | polynomial;
  let rest = 1n << 96n, quotient = 0n;
  for (let at = 64n; at >= 0n; at--) {
    if ((rest >> at + 32n & 1n) === 0n) continue;
    quotient |= 1n << at;
    rest ^= divisor << at;
  }
  return { quotient: BigInt.asUintN(64, reflect(quotient, 65)), divisor: reflect(divisor, 33) };
}

function reflect(value: bigint, bits: number): bigint {
  let result = 0n;
  for (let i = 0; i < bits; i++) result |= (value >> BigInt(i) & 1n) << BigInt(bits - 1 - i);
  return result;
}

const CRC32 = constants(0x04c1_1db7n), CRC32C = constants(0x1edc_6f41n);

const constant = (b: Builder, value: bigint) =>
  b.imm64(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));

/** The checksum `sum` (a low word) after so many low bits of `data`, zero-extended. */
export function crc32(
  b: Builder,
  sum: Value,
  data: Value,
  bits: number,
  castagnoli: boolean,
): Value {
  const { quotient, divisor } = castagnoli ? CRC32C : CRC32;
  const multiply = opNumber("vpmullL64");
  const low = b.zext32(sum);
  // The highest coefficient is bit 0: what is shorter than 64 bits has zeros before it.
  const dividend = b.shl(b.xor(low, data), b.imm(64 - bits));
  const pair = (value: Value) => b.vectorOf(value, Slot.ZERO);
  const q = b.vector(multiply, pair(dividend), pair(constant(b, quotient)));
  const product = b.vector(multiply, q, pair(constant(b, divisor)));
  const rest = b.zext32(product + 1);
  return bits < 32 ? b.xor(rest, b.shru(low, b.imm(bits))) : rest;
}
