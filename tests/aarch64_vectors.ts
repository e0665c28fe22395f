/**
 * Single instructions of floating point and Advanced SIMD, executed here and by qemu-aarch64 on the same state.
 *
 * @module
 */
import { Cpu, type CpuOptions } from "../cpu/engine/cpu.ts";
import type { Builder, Value } from "../cpu/ir/builder.ts";
import { Slot, Trap } from "../cpu/ir/ops.ts";
import { BitRange, Compiled, Decoder } from "../cpu/isa/decoder.ts";
import type { BackdoorRoles, Disassembly, Fetch, Isa } from "../cpu/isa/isa.ts";
import {
  FP_FIELDS,
  type FpContext,
  type FpRow,
  readFpsr,
  writeFpcr,
  writeFpsr,
} from "../cpu/aarch64/fp_lifter.ts";
import { FLOAT_STYLE, FPCR_SLOT, V_BASE } from "../cpu/aarch64/state.ts";
import { FP_ROWS } from "../cpu/aarch64/fp.ts";
import { SIMD_ARITH_ROWS } from "../cpu/aarch64/simd_arith.ts";
import { SIMD_MEMORY_ROWS } from "../cpu/aarch64/simd_memory.ts";
import { SIMD_MOVE_ROWS } from "../cpu/aarch64/simd_move.ts";
import { SIMD_SHIFT_ROWS } from "../cpu/aarch64/simd_shift.ts";
import { AddressSpace } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";

/** Slot of X0, of the flags, and of what the two instructions on FPCR and FPSR take and give. */
const X_BASE = 1, FLAGS = 40, CONTROL = 41;
const CODE = 0x1000, MEMORY = 4 << 20;
/** Where the scratch memory is. */
export const SCRATCH = 0x10_0000;
/** Bytes of it that are compared. */
export const SCRATCH_BYTES = 256;
/** Encodings of no instruction: write FPCR, write FPSR, read FPSR, all from or to slot CONTROL; stop. */
const WRITE_FPCR = 1, WRITE_FPSR = 2, READ_FPSR = 3, STOP = 4;

/** All rows, by their page; immediates come before shifts. */
export const PAGES: Readonly<Record<string, FpRow[]>> = {
  fp: FP_ROWS(),
  arith: SIMD_ARITH_ROWS(),
  move: SIMD_MOVE_ROWS(),
  shift: SIMD_SHIFT_ROWS(),
  memory: SIMD_MEMORY_ROWS(),
};

/** Decodes the instructions of these pages. */
export const DECODER: Decoder<FpRow> = new Decoder(
  Object.values(PAGES).flat().map((row) => new Compiled(row, 32, FP_FIELDS)),
  new BitRange(10, 6),
  new BitRange(21, 11),
);

class Context implements FpContext {
  b!: Builder;
  pc = 0;
  x(n: number): Value {
    return n === 31 ? Slot.ZERO : this.b.read(X_BASE + n);
  }
  setX(n: number, value: Value): void {
    if (n !== 31) this.b.write(X_BASE + n, value);
  }
  xsp(n: number): Value {
    return this.b.read(X_BASE + n);
  }
  setXsp(n: number, value: Value): void {
    this.b.write(X_BASE + n, value);
  }
  condition(cond: number): Value {
    const { b } = this, flags = b.read(FLAGS);
    const bit = (n: number) => b.and(b.shru(flags, b.imm(n)), b.imm(1));
    const [n, z, c, v] = [3, 2, 1, 0].map(bit);
    const not = (x: Value) => b.xor(x, b.imm(1));
    const base = [
      z,
      c,
      n,
      v,
      b.and(c, not(z)),
      not(b.xor(n, v)),
      b.and(not(z), not(b.xor(n, v))),
      b.or(z, b.imm(1)),
    ][cond >> 1];
    const one = cond >> 1 === 7 ? b.imm(1) : base;
    return (cond & 1) !== 0 && cond !== 15 ? not(one) : one;
  }
  setFlags(nzcv: Value): void {
    this.b.write(FLAGS, nzcv);
  }
  setFloatFlags(nzcv: Value): void {
    this.setFlags(nzcv);
  }
  undefinedInstruction(): void {
    this.b.trap(Trap.ILLEGAL, 4);
  }
}

class VectorIsa implements Isa {
  readonly name = "vectors";
  readonly xlen = 64;
  readonly registers = [];
  readonly slotCount = 132;
  readonly floatStyle = FLOAT_STYLE;
  readonly backdoor: BackdoorRoles = { kind: 1, status: 2, args: [3, 4, 5, 6, 7, 1] };
  readonly #context = new Context();

  lift(builder: Builder, pc: number, fetch: Fetch): number {
    const c = this.#context, bits = fetch(pc) | fetch(pc + 2) << 16;
    c.b = builder;
    c.pc = pc;
    if (bits === WRITE_FPCR) writeFpcr(c, builder.read(CONTROL));
    else if (bits === WRITE_FPSR) writeFpsr(c, builder.read(CONTROL));
    else if (bits === READ_FPSR) builder.write(CONTROL, readFpsr(c));
    else if (bits === STOP) builder.trap(Trap.SYSCALL, 4);
    else {
      const found = DECODER.decode(bits);
      if (found) found.row.lift(c, found.fields);
      else c.undefinedInstruction();
    }
    return 4;
  }
  disassemble(): Disassembly {
    return { length: 4, bits: 0, text: "vector" };
  }
  readSpecial(): bigint {
    return 0n;
  }
  writeSpecial(): void {}
}

/** State before or after an instruction. */
export interface State {
  v: BigUint64Array;
  x: BigUint64Array;
  nzcv: bigint;
  fpcr: bigint;
  fpsr: bigint;
  memory: Uint8Array;
}

/** Executes a few instructions at a time. */
export class VectorMachine {
  readonly space: AddressSpace = new AddressSpace(new Arena(MEMORY));
  readonly cpu: Cpu;
  #next = CODE;
  /** Instructions executed by compiled code. */
  get compiled(): number {
    return this.cpu.tierInstructions;
  }

  constructor(options: (space: AddressSpace) => CpuOptions = () => ({})) {
    this.space.map(CODE, SCRATCH - CODE, 7);
    this.space.map(SCRATCH, 0x2000, 3);
    this.cpu = new Cpu(new VectorIsa(), this.space, options(this.space));
  }

  /** Executes instructions on a state; the reason why they stopped is `Trap.SYSCALL` if all is well. */
  run(list: readonly number[], state: State): { reason: number; state: State } {
    const { cpu, space } = this, { slots } = cpu;
    const bytes = 28 + 4 * list.length;
    if (this.#next + bytes > SCRATCH) throw new Error("Cannot run more instructions: no room");
    const start = this.#next;
    const words = [WRITE_FPCR, STOP, WRITE_FPSR, STOP, READ_FPSR, STOP, ...list, STOP];
    space.hostView(start, bytes)!.set(new Uint8Array(new Int32Array(words).buffer));
    this.#next += bytes;
    slots.set(new BigInt64Array(state.v.buffer, state.v.byteOffset, 64), V_BASE);
    slots.set(new BigInt64Array(state.x.buffer, state.x.byteOffset, 8), X_BASE);
    slots[FLAGS] = state.nzcv;
    space.hostView(SCRATCH, SCRATCH_BYTES)!.set(state.memory);
    const go = (at: number) => {
      cpu.pc = start + at;
      return cpu.run(100_000);
    };
    slots[CONTROL] = state.fpcr;
    go(0);
    slots[CONTROL] = state.fpsr;
    go(8);
    const reason = go(24);
    const after: State = {
      v: new BigUint64Array(slots.slice(V_BASE, V_BASE + 64).buffer),
      x: new BigUint64Array(slots.slice(X_BASE, X_BASE + 8).buffer),
      nzcv: slots[FLAGS],
      fpcr: slots[FPCR_SLOT],
      fpsr: 0n,
      memory: space.hostView(SCRATCH, SCRATCH_BYTES)!.slice(),
    };
    go(16);
    after.fpsr = slots[CONTROL];
    return { reason, state: after };
  }
}

/** 64-bit words of a state in files: V registers, X0 to X7, NZCV, FPCR, FPSR, and the memory. */
export const STATE_WORDS = 64 + 8 + 4 + SCRATCH_BYTES / 8;

/** A state as words. */
export function pack(state: State, to: BigUint64Array): void {
  to.set(state.v);
  to.set(state.x, 64);
  to.set([state.nzcv << 28n, state.fpcr, state.fpsr, 0n], 72);
  new Uint8Array(to.buffer, to.byteOffset + 76 * 8, SCRATCH_BYTES).set(state.memory);
}

/** The state that words are. */
export function unpack(from: BigUint64Array): State {
  const bytes = new Uint8Array(from.buffer, from.byteOffset + 76 * 8, SCRATCH_BYTES);
  return {
    v: from.slice(0, 64),
    x: from.slice(64, 72),
    nzcv: from[72] >> 28n,
    fpcr: from[73],
    fpsr: from[74],
    memory: bytes.slice(),
  };
}

const registers = (n: number, f: (i: number) => string) =>
  Array.from({ length: n }, (_, i) => f(i)).join("\n");

/** Assembly of a program that executes the instructions, each on its state of a file, and prints the states. */
function program(lists: readonly (readonly number[])[], input: string): string {
  const bytes = STATE_WORDS * 8;
  return `
.global _start
.text
load:
  mov x9, #${SCRATCH}
  add x10, x28, #${76 * 8}
${registers(SCRATCH_BYTES / 16, (i) => `  ldr q0, [x10, #${16 * i}]\n  str q0, [x9, #${16 * i}]`)}
${registers(32, (i) => `  ldr q${i}, [x28, #${16 * i}]`)}
  ldr x9, [x28, #${72 * 8}]
  msr nzcv, x9
  ldr x9, [x28, #${73 * 8}]
  msr fpcr, x9
  ldr x9, [x28, #${74 * 8}]
  msr fpsr, x9
${registers(8, (i) => `  ldr x${i}, [x28, #${(64 + i) * 8}]`)}
  add x28, x28, #${bytes}
  ret
save:
${registers(32, (i) => `  str q${i}, [x27, #${16 * i}]`)}
${registers(8, (i) => `  str x${i}, [x27, #${(64 + i) * 8}]`)}
  mrs x9, nzcv
  str x9, [x27, #${72 * 8}]
  mrs x9, fpcr
  str x9, [x27, #${73 * 8}]
  mrs x9, fpsr
  str x9, [x27, #${74 * 8}]
  mov x9, #${SCRATCH}
  add x10, x27, #${76 * 8}
${registers(SCRATCH_BYTES / 16, (i) => `  ldr q0, [x9, #${16 * i}]\n  str q0, [x10, #${16 * i}]`)}
  add x27, x27, #${bytes}
  ret
_start:
  mov x0, #${SCRATCH}
  mov x1, #0x2000
  mov x2, #3
  mov x3, #0x32
  mov x4, #-1
  mov x5, #0
  mov x8, #222
  svc #0
  adrp x28, input
  add x28, x28, :lo12:input
  adrp x27, output
  add x27, x27, :lo12:output
${
    lists.map((list) =>
      ["bl load", ...list.map((word) => `.inst ${word >>> 0}`), "bl save"].join("\n")
    ).join("\n")
  }
  adrp x1, output
  add x1, x1, :lo12:output
  ldr x20, =${bytes * lists.length}
1:
  mov x0, #1
  mov x2, x20
  mov x8, #64
  svc #0
  add x1, x1, x0
  subs x20, x20, x0
  b.gt 1b
  mov x0, #0
  mov x8, #93
  svc #0
.data
.balign 16
input: .incbin "${input}"
.bss
.balign 16
output: .skip ${bytes * lists.length}
`;
}

/** Runs a command; its output. @throws {Error} If it fails. */
async function run(command: string, args: string[]): Promise<Uint8Array> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args }).output();
  if (code !== 0) {
    throw new Error(`${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  }
  return stdout;
}

/** The states after the instructions, by qemu-aarch64. */
export async function runQemu(
  lists: readonly (readonly number[])[],
  states: readonly State[],
): Promise<State[]> {
  const folder = await Deno.makeTempDir();
  try {
    const packed = new BigUint64Array(STATE_WORDS * states.length);
    states.forEach((state, i) =>
      pack(state, packed.subarray(i * STATE_WORDS, (i + 1) * STATE_WORDS))
    );
    await Deno.writeFile(`${folder}/input`, new Uint8Array(packed.buffer));
    await Deno.writeTextFile(`${folder}/p.s`, program(lists, `${folder}/input`));
    await run("aarch64-linux-gnu-as", [
      "-march=armv8-a+crypto",
      "-o",
      `${folder}/p.o`,
      `${folder}/p.s`,
    ]);
    await run("aarch64-linux-gnu-ld", ["-Ttext=0x10000000", "-o", `${folder}/p`, `${folder}/p.o`]);
    const out = await run("qemu-aarch64", ["-cpu", "max", `${folder}/p`]);
    const all = new BigUint64Array(out.slice().buffer);
    return states.map((_, i) => unpack(all.subarray(i * STATE_WORDS, (i + 1) * STATE_WORDS)));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
