/**
 * Instructions of other ISAs from ARCHITECTURE.md ("Twenty instructions on paper"), as far as they need no new op: lifted by
 * an instruction set made up for the purpose, executed by the engine, compared with BigInt.
 */
import { assertEquals } from "@std/assert";
import { Cpu } from "../cpu/engine/cpu.ts";
import type { Builder } from "../cpu/ir/builder.ts";
import { Amo, Op, Slot, Trap } from "../cpu/ir/ops.ts";
import type { Isa } from "../cpu/isa/isa.ts";
import { AddressSpace, Prot } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import { cpuOptions } from "./configuration.ts";

const PC = 0x1_0000, DATA = 0x2_0000;
/** Registers: slots 1 to 15; the carry is one of them. */
const CARRY = 15;

/** An ISA whose only program is `lift` at PC, followed by a breakpoint. */
function paperIsa(lift: (b: Builder) => void): Isa {
  return {
    name: "paper",
    xlen: 64,
    registers: [],
    slotCount: 16,
    backdoor: { kind: 1, status: 2, args: [3, 4, 5, 6, 7, 8] },
    lift(b, pc) {
      if (pc === PC) lift(b);
      else b.trap(Trap.BREAKPOINT, 4);
      return 4;
    },
    disassemble: () => ({ length: 4, bits: 0, text: "" }),
    readSpecial: () => 0n,
    writeSpecial: () => {},
  };
}

/** Executes one instruction; returns why it stopped. */
function execute(lift: (b: Builder) => void, prepare: (cpu: Cpu) => void): [number, Cpu] {
  const space = new AddressSpace(new Arena(1 << 20));
  space.map(PC, 4096, Prot.READ | Prot.EXEC);
  space.map(DATA, 4096, Prot.READ | Prot.WRITE);
  const cpu = new Cpu(paperIsa(lift), space, cpuOptions(space));
  cpu.pc = PC;
  prepare(cpu);
  return [cpu.run(10_000), cpu];
}

const MASK = (1n << 64n) - 1n;
const EDGES = [0n, 1n, 2n, MASK, MASK - 1n, 1n << 63n, (1n << 63n) - 1n, 0x1234_5678_9abc_def0n];

/** Runs a lift on one CPU for all pairs of edge values in slots 1 and 2 and both carries. */
function forAll(
  lift: (b: Builder) => void,
  check: (a: bigint, b: bigint, c: bigint, cpu: Cpu) => void,
) {
  const [, cpu] = execute(lift, () => {});
  const { u } = cpu.space.arena;
  for (const a of EDGES) {
    for (const b of EDGES) {
      for (const c of [0n, 1n]) {
        u[1] = a;
        u[2] = b;
        u[CARRY] = c;
        cpu.pc = PC;
        assertEquals(cpu.run(10_000), Trap.BREAKPOINT);
        check(a, b, c, cpu);
      }
    }
  }
}

const register = (cpu: Cpu, slot: number) => cpu.space.arena.u[slot];

Deno.test("op table lifts ADDS with its four flags when operands are at the edges", () => {
  forAll((b) => {
    const x = b.read(1), y = b.read(2), sum = b.add(x, y);
    b.write(3, sum);
    b.write(4, b.shru(sum, b.imm(63)));
    b.write(5, b.op2(Op.seq64, sum, Slot.ZERO));
    b.write(6, b.sltu(sum, x));
    b.write(7, b.shru(b.and(b.xor(x, sum), b.xor(y, sum)), b.imm(63)));
  }, (x, y, _, cpu) => {
    const sum = x + y & MASK, signed = BigInt.asIntN(64, x) + BigInt.asIntN(64, y);
    assertEquals(
      [3, 4, 5, 6, 7].map((slot) => register(cpu, slot)),
      [
        sum,
        sum >> 63n,
        sum === 0n ? 1n : 0n,
        x + y >> 64n,
        signed !== BigInt.asIntN(64, signed) ? 1n : 0n,
      ],
    );
  });
});

Deno.test("op table lifts ADC and SBB with carry out when the carry comes in", () => {
  forAll((b) => {
    const x = b.read(1), y = b.read(2), c = b.read(CARRY);
    const half = b.add(x, y), sum = b.add(half, c);
    b.write(3, sum);
    b.write(4, b.or(b.sltu(half, x), b.sltu(sum, half)));
    const rest = b.sub(x, y);
    b.write(5, b.sub(rest, c));
    b.write(6, b.or(b.sltu(x, y), b.sltu(rest, c)));
  }, (x, y, c, cpu) => {
    assertEquals([3, 4, 5, 6].map((slot) => register(cpu, slot)), [
      x + y + c & MASK,
      x + y + c >> 64n,
      x - y - c & MASK,
      x - y - c < 0n ? 1n : 0n,
    ]);
  });
});

Deno.test("op table lifts RCL through the carry when the count is anything", () => {
  forAll((b) => {
    const x = b.read(1), c = b.read(CARRY), n = b.and(b.read(2), b.imm(63));
    const m = b.sub(b.imm(64), n);
    const high = b.shl(x, n), low = b.shru(b.shru(x, b.imm(1)), m);
    const middle = b.shl(c, b.sub(n, b.imm(1)));
    b.write(1, b.select(n, b.or(b.or(high, low), middle), x));
    b.write(CARRY, b.select(n, b.and(b.shru(x, m), b.imm(1)), c));
  }, (x, y, c, cpu) => {
    const n = y & 63n, wide = c << 64n | x;
    const rotated = (wide << n | wide >> 65n - n) & (1n << 65n) - 1n;
    assertEquals(register(cpu, CARRY) << 64n | register(cpu, 1), rotated);
  });
});

Deno.test("op table lifts BFM and UBFM when fields are moved", () => {
  forAll((b) => {
    const field = b.shl(b.and(b.read(2), b.imm(0xff)), b.imm(8));
    b.write(3, b.or(b.and(b.read(1), b.not(b.imm(0xff00))), field));
    b.write(4, b.and(b.shru(b.read(1), b.imm(8)), b.imm(0xff)));
  }, (x, y, _, cpu) => {
    assertEquals(register(cpu, 3), x & ~0xff00n & MASK | (y & 0xffn) << 8n);
    assertEquals(register(cpu, 4), x >> 8n & 0xffn);
  });
});

/** LDP x3, x4, [x5], #16. */
function loadPair(b: Builder): void {
  const base = b.read(5);
  b.write(3, b.load(Op.ld64, base, 0));
  b.write(4, b.load(Op.ld64, base, 8));
  b.write(5, b.add(base, b.imm(16)));
}

Deno.test("op table lifts LDP with writeback when both loads succeed", () => {
  const [why, cpu] = execute(loadPair, ({ space }) => {
    space.writeU64(DATA, 11n);
    space.writeU64(DATA + 8, 22n);
    space.arena.u[5] = BigInt(DATA);
  });
  assertEquals(why, Trap.BREAKPOINT);
  assertEquals([3, 4, 5].map((slot) => register(cpu, slot)), [11n, 22n, BigInt(DATA + 16)]);
});

Deno.test("op table lifts LDP so that nothing has changed when its second load faults", () => {
  const at = BigInt(DATA + 4096 - 8);
  const [why, cpu] = execute(loadPair, ({ space }) => {
    space.arena.u.set([7n, 8n, at], 3);
  });
  assertEquals(why, Trap.LOAD_FAULT);
  assertEquals(cpu.pc, PC);
  assertEquals(cpu.faultAddress, at + 8n);
  assertEquals([3, 4, 5].map((slot) => register(cpu, slot)), [7n, 8n, at]);
});

Deno.test("op table lifts PUSH so that the stack pointer is the old one when its store faults", () => {
  const push = (b: Builder) => {
    const sp = b.read(5);
    b.store(Op.st64, sp, -8, b.read(1));
    b.write(5, b.add(sp, b.imm(-8)));
  };
  const [good, cpu] = execute(push, ({ space }) => {
    space.arena.u[1] = 99n;
    space.arena.u[5] = BigInt(DATA + 64);
  });
  assertEquals([good, register(cpu, 5)], [Trap.BREAKPOINT, BigInt(DATA + 56)]);
  assertEquals(cpu.space.readU64(DATA + 56), 99n);
  const [bad, other] = execute(push, ({ space }) => space.arena.u[5] = BigInt(DATA));
  assertEquals([bad, register(other, 5)], [Trap.STORE_FAULT, BigInt(DATA)]);
});

Deno.test("op table lifts LOCK XADD and a memory-destination ADD when flags keep the operands", () => {
  const [why, cpu] = execute((b) => {
    const old = b.atomic(Op.amo64, b.read(5), b.read(1), Amo.ADD);
    b.write(6, old);
    b.write(7, b.read(1));
    b.write(1, old);
    const before = b.load(Op.ldU32, b.read(5), 8), after = b.add32(before, b.read(2));
    b.store(Op.st32, b.read(5), 8, after);
    b.write(8, before);
  }, ({ space }) => {
    space.writeU64(DATA, 40n);
    space.writeU32(DATA + 8, 0xffff_ffff);
    space.arena.u[1] = 2n;
    space.arena.u[2] = 3n;
    space.arena.u[5] = BigInt(DATA);
  });
  assertEquals(why, Trap.BREAKPOINT);
  assertEquals(cpu.space.readU64(DATA), 42n);
  assertEquals(cpu.space.readU32(DATA + 8), 2);
  assertEquals([1, 6, 7, 8].map((slot) => register(cpu, slot)), [40n, 40n, 2n, 0xffff_ffffn]);
});
