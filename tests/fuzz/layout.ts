/**
 * Where a test program has what, the state it starts from, and the dump that it writes.
 *
 * Cases in cases.txt are code at these addresses: they must not change.
 *
 * @module
 */
import { F_NAMES, X_NAMES } from "../../cpu/riscv/state.ts";
import { type Edge, edges } from "./edges.ts";
import { poolEntry, Random } from "./random.ts";

/** First byte of code: a prologue that loads all registers. */
export const TEXT = 0x1_0000;
/** An epilogue that stores all registers, writes the data block to standard output and exits. */
export const EPILOGUE = TEXT + 0x200;
/** First address for a program's own code. */
export const BODY = TEXT + 0x400;
/** Most bytes of code, prologue included. */
export const TEXT_SIZE = 0x1_0000;
/** First byte of the data block. */
export const DATA = 0x4_0000;
/** Bytes of the data block, which is also the dump. */
export const DATA_SIZE = 0x4000;

/** Pages for wild accesses, besides code and data; everything else is not mapped. */
export const READ_ONLY = 0x5_0000, NO_ACCESS = 0x5_1000, LAST_PAGE = 0x5_2000, CODE_PAGE = 0x5_4000;
/** The stack of recursions, which grows downwards. */
export const STACK = 0x8_0000, STACK_SIZE = 0x3_0000;

/** Offsets in the data block. */
export const X_IN = 0,
  F_IN = 0x100,
  FCSR_IN = 0x200,
  X_OUT = 0x300,
  F_OUT = 0x400,
  FCSR_OUT = 0x500;
/** Where the harness finds the address at which a program goes on after a fetch that faulted; see host.ts. */
export const RESUME = DATA + 0x600;
/** Operands for loads; the last one is where the epilogue saves x31. */
export const POOL = 0x1000;
/** What the base register points to: the pool is before it, memory for stores from it on. */
export const BASE = DATA + 0x1800;
/** Slot of x31 in the dump. */
export const X31_OUT = 0x17f8;

/** Registers and memory at a program's start. */
export interface State {
  /** x registers; x0 is 0, the base register is {@linkcode BASE}. */
  x: bigint[];
  f: bigint[];
  fcsr: number;
  /** Seed of the memory from {@linkcode POOL} on; 0 for zeros, negative for a pool of {@linkcode edgesOf}. */
  memory: number;
}

/** The operands of instructions in a pool, 24 bytes each. */
export function edgesOf(memory: number): Edge[] {
  return memory < 0 ? edges(-memory, Math.floor((X31_OUT - POOL) / 24)) : [];
}

/** The data block at a program's start. */
export function dataBlock(state: State): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(DATA_SIZE), view = new DataView(bytes.buffer);
  if (state.memory !== 0) {
    const random = new Random(state.memory), theme = random.below(4);
    for (let at = POOL; at < DATA_SIZE; at += 8) {
      view.setBigUint64(at, poolEntry(random, theme), true);
    }
    edgesOf(state.memory).forEach(({ operands }, i) =>
      operands.forEach((value, n) => view.setBigUint64(POOL + 24 * i + 8 * n, value, true))
    );
  }
  for (let i = 0; i < 32; i++) {
    view.setBigUint64(X_IN + 8 * i, state.x[i], true);
    view.setBigUint64(F_IN + 8 * i, state.f[i], true);
  }
  view.setUint32(FCSR_IN, state.fcsr, true);
  return bytes;
}

const hex = (x: bigint) => `0x${x.toString(16)}`;

/** Says where two dumps differ, a line a place, at most `limit`. */
export function compareDumps(
  wanted: Uint8Array<ArrayBuffer>,
  got: Uint8Array<ArrayBuffer>,
  limit = 12,
): string[] {
  const lines: string[] = [];
  if (wanted.length !== got.length) return [`length: ${wanted.length} and ${got.length}`];
  const a = new DataView(wanted.buffer, wanted.byteOffset);
  const b = new DataView(got.buffer, got.byteOffset);
  for (let at = 0; at < wanted.length && lines.length < limit; at += 8) {
    const want = a.getBigUint64(at, true), have = b.getBigUint64(at, true);
    if (want === have) continue;
    const n = (at & 0xff) >> 3;
    const name = at >= X_OUT && at < F_OUT
      ? X_NAMES[n]
      : at >= F_OUT && at < FCSR_OUT
      ? F_NAMES[n]
      : at === FCSR_OUT
      ? "fcsr"
      : at === X31_OUT
      ? "t6"
      : `memory ${hex(BigInt(DATA + at))}`;
    lines.push(`${name}: wanted ${hex(want)}, got ${hex(have)}`);
  }
  return lines;
}

/** 64-bit FNV-1a of a dump, to recognise it by. */
export function digest(bytes: Uint8Array): string {
  let low = 0x8422_2325, high = 0xcbf2_9ce4;
  for (const byte of bytes) {
    low ^= byte;
    // Times the prime 2^40 + 0x1b3, in 32-bit words.
    const product = (low >>> 0) * 0x1b3;
    high = (Math.imul(high, 0x1b3) + Math.floor(product / 0x1_0000_0000) + (low << 8)) | 0;
    low = product | 0;
  }
  return (high >>> 0).toString(16).padStart(8, "0") + (low >>> 0).toString(16).padStart(8, "0");
}
