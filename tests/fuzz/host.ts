/**
 * Pieces of programs that need a harness: what faults or traps and goes on behind, recursion on a stack, functions that
 * return elsewhere. And what the harness does about them.
 *
 * @module
 */
import type { Cpu } from "../../cpu/engine/cpu.ts";
import { Trap } from "../../cpu/ir/ops.ts";
import type { AddressSpace } from "../../mmu/address_space.ts";
import { accessSize } from "./catalogue.ts";
import {
  BODY,
  DATA,
  DATA_SIZE,
  NO_ACCESS,
  READ_ONLY,
  RESUME,
  STACK,
  STACK_SIZE,
} from "./layout.ts";
import { Pieces } from "./pieces.ts";
import { type Atom, type Item, item, Part } from "./program.ts";
import { poolEntry, Random } from "./random.ts";

/** Bytes of a recursion's frame. */
const FRAME = 32;

/** Where an access goes: bounds that its address crosses, or a page that is not for it. */
function wildAddress(g: Pieces, load: boolean): number {
  const { random } = g, ends = [DATA + DATA_SIZE, READ_ONLY + 0x1000];
  const at = random.below(0x200) * 4 + random.below(4);
  return random.pick([
    // Over the end, mostly because of what is added.
    random.pick(load ? ends : ends.slice(0, 1)) - 0x800,
    random.pick(load ? ends : ends.slice(0, 1)) - random.between(1, 9),
    READ_ONLY + at,
    NO_ACCESS + at,
    at,
    0xf_fff8 + random.below(16),
    0x7fff_fff8,
    -8 + random.below(8),
  ]);
}

/** A load, store or atomic that faults, always or sometimes. */
function wild(g: Pieces): Item[] {
  const { random, catalogue: c, base } = g;
  const rows = random.chance(0.15) ? c.amo : random.chance(0.5) ? c.loads : c.stores;
  const short = random.chance(0.2);
  const row = random.pick(
    short ? c.shortMemory.filter(({ row }) => !row.asm.includes("(sp)")) : rows,
  );
  const load = /^(c\.)?f?l/.test(row.row.name), low = short ? 8 : 1, high = short ? 15 : 31;
  const free = Array.from({ length: high - low + 1 }, (_, i) => low + i)
    .filter((n) => !g.reserved.has(n));
  if (free.length === 0) return [];
  const rs1 = random.pick(free), t = g.destination(1);
  const made = g.any([row], () => ({ rs1 }));
  const imm = made.fields.imm ?? 0;
  const setup = g.constant(rs1, BigInt(wildAddress(g, load) - imm));
  if (g.wide && random.chance(0.25)) {
    // Wrong above bit 31 or only in bit 63.
    if (t === rs1) return [];
    setup.push(
      g.atom("addi", { rd: t, rs1: 0, imm: 1 }),
      g.atom("slli", { rd: t, rs1: t, shamt: random.pick([31, 32, 32, 33, 40, 63]) }),
      g.atom("add", { rd: rs1, rs1: base, rs2: t }),
    );
  } else if (t !== rs1 && random.chance(0.6)) {
    const aligned = /^(amo|c\.)/.test(row.row.name) ? 8 : accessSize(row.row.name);
    const mask = random.chance(0.5) ? 0x7ff & -aligned : 0x7ff;
    setup.push(
      g.atom("andi", { rd: t, rs1: g.source(), imm: mask }),
      g.atom("add", { rd: rs1, rs1, rs2: t }),
    );
  }
  return [item([...setup, made.atom]), ...g.results(made.row, made.fields)];
}

/** A misaligned access inside the data, over a page boundary sometimes. */
function misaligned(g: Pieces): Item[] {
  const { random, catalogue: c } = g, rows = random.chance(0.5) ? c.loads : c.stores;
  const row = random.pick(rows.filter(({ row }) => accessSize(row.name) > 1));
  const rs1 = g.destination(1), t = g.destination(1), load = /^f?l/.test(row.row.name);
  const start = load ? DATA + 0x1000 : DATA + 0x1800;
  const made = g.any([row], () => ({ rs1, imm: random.below(9) }));
  const setup = g.constant(rs1, BigInt(start + random.pick([0, 0x7f0, 0xff0, 0x17f0])));
  if (t !== rs1) {
    setup.push(
      g.atom("andi", { rd: t, rs1: g.source(), imm: 15 }),
      g.atom("add", { rd: rs1, rs1, rs2: t }),
    );
  }
  return [item([...setup, made.atom]), ...g.results(made.row, made.fields)];
}

/** What leaves with a reason, and goes on behind. */
function trap(g: Pieces): Item[] {
  const { random } = g;
  const illegal: Atom[] = [{ size: 4, bits: 0x0000_707f }, { size: 2, bits: 0 }];
  return [item([random.pick([
    g.atom("ecall"),
    g.atom("ebreak"),
    g.atom("c.ebreak"),
    g.atom("trapdoor"),
    ...illegal,
  ])])];
}

/** A jump or call to where nothing can be fetched. */
function wildJump(g: Pieces): Item[] {
  const { random } = g, r = g.destination(1), after = item([]);
  let t = r;
  while (t === r) t = g.destination(1);
  const where = random.pick([0, 8, NO_ACCESS, DATA, READ_ONLY + 2, 0x7fff_fff0, -16]);
  const jump = random.chance(0.3)
    ? g.atom("c.jr", { rs1: r })
    : g.atom("jalr", { rd: random.chance(0.5) ? 0 : g.recursion[2], rs1: r, imm: 0 });
  return [
    item([
      ...g.addressOf(r, after.start),
      ...g.constant(t, BigInt(RESUME)),
      g.atom(g.wide ? "sd" : "sw", { rs1: t, rs2: r, imm: 0 }),
      ...g.constant(r, BigInt(where)),
      jump,
    ]),
    after,
  ];
}

/** A function that calls itself, and perhaps returns one instruction further, or from all depths at once. */
function recursion(g: Pieces, top: boolean, functions: Item[]): Item[] {
  const { random } = g, [stack, depth, link] = g.recursion, word = g.wide ? "d" : "w";
  const deep = top && random.chance(0.3);
  const calls = deep ? random.between(300, 5000) : random.between(1, 30);
  const f = item([]), landing = item([]);
  const save = g.destination(1), float = g.floatRegister();
  const mixed = () => random.chance(0.5) ? g.plain() : g.float();
  const call = item([]), skip = item([]), r = g.destination(1);
  call.before = [
    g.fixed("beq", { rs1: depth, rs2: 0 }, call.end, Part.RELATIVE),
    g.atom("addi", { rd: depth, rs1: depth, imm: -1 }),
    g.fixed("jal", { rd: link }, f.start, Part.RELATIVE),
    g.any(g.catalogue.single).atom,
  ];
  f.before = [
    g.atom("addi", { rd: stack, rs1: stack, imm: -FRAME }),
    g.atom(`s${word}`, { rs1: stack, rs2: link, imm: 0 }),
    g.atom(`s${word}`, { rs1: stack, rs2: save, imm: 8 }),
    g.atom("fsd", { rs1: stack, rs2: float, imm: 16 }),
  ];
  const rest = (n: number): Item[] => n === 0 ? [] : [...mixed(), ...rest(n - 1)];
  f.body = [...rest(random.below(deep ? 3 : 6)), call, ...rest(random.below(deep ? 3 : 6))];
  f.after = [
    g.atom("fld", { rs1: stack, rd: float, imm: 16 }),
    g.atom(`l${word}`, { rs1: stack, rd: save, imm: 8 }),
    g.atom(`l${word}`, { rs1: stack, rd: link, imm: 0 }),
    g.atom("addi", { rd: stack, rs1: stack, imm: FRAME }),
  ];
  if (random.chance(0.4)) {
    // Returns behind the instruction after the call, as the checksum says.
    f.after.push(
      g.atom("srli", { rd: r, rs1: g.sum, shamt: 7 }),
      g.atom("andi", { rd: r, rs1: r, imm: 4 }),
      g.atom("add", { rd: link, rs1: link, rs2: r }),
    );
  }
  if (random.chance(0.3)) {
    // Returns from all depths at once, sometimes.
    skip.before = [
      g.atom("andi", { rd: r, rs1: g.sum, imm: deep ? 0x3f0 : 0xf0 }),
      g.fixed("bne", { rs1: r, rs2: 0 }, skip.end, Part.RELATIVE),
      ...g.addressOf(link, landing.start),
      ...g.constant(stack, BigInt(STACK + STACK_SIZE)),
      g.atom("addi", { rd: depth, rs1: 0, imm: 0 }),
      g.atom("jalr", { rd: 0, rs1: link, imm: 0 }),
    ];
    f.body.push(skip);
  }
  f.after.push(g.atom("jalr", { rd: 0, rs1: link, imm: 0 }));
  functions.push(f);
  const start = item([
    ...g.constant(stack, BigInt(STACK + STACK_SIZE)),
    ...g.constant(depth, BigInt(calls)),
    g.fixed("jal", { rd: link }, f.start, Part.RELATIVE),
    g.any(g.catalogue.single).atom,
  ]);
  return [start, landing];
}

/** Makes pieces that need the harness. */
export class HostPieces extends Pieces {
  /** Functions that call themselves; others don't call them. */
  readonly recursions: Item[] = [];

  host(depth: number, inFunction: number): Item[] {
    const kind = this.random.below(12);
    if (kind < 5) return wild(this);
    if (kind < 7) return misaligned(this);
    if (kind < 9) return trap(this);
    if (kind < 10) return wildJump(this);
    if (inFunction >= 0 || this.recursions.length >= 3) return misaligned(this);
    return recursion(this, depth === 0, this.recursions);
  }
}

/**
 * What the harness does at a trap or fault of a program: goes on behind the instruction, after changing registers that
 * may be changed; a fetch fault goes on where the program said.
 *
 * @param free Registers that may be written, by number.
 * @returns Whether the program has ended.
 */
export function answer(
  cpu: Cpu,
  space: AddressSpace,
  reason: number,
  free: readonly number[],
): boolean {
  switch (reason) {
    case Trap.FETCH_FAULT:
      cpu.pc = space.readU32(RESUME);
      return false;
    case Trap.SYSCALL:
    case Trap.BREAKPOINT:
    case Trap.BACKDOOR: {
      // The epilogue's system calls: the first writes the dump.
      if (reason === Trap.SYSCALL && cpu.pc < BODY) {
        if (cpu.getRegister("a7") !== 64n) return true;
        cpu.finishTrap();
        return false;
      }
      const random = new Random(cpu.instructions);
      const x = random.pick(free);
      cpu.setRegister(`x${x}`, poolEntry(random));
      cpu.setRegister(`f${random.below(32)}`, poolEntry(random));
      cpu.pc += cpu.disassemble(cpu.pc).length;
      return false;
    }
    case 0:
      return true;
    default:
      cpu.pc += Math.max(2, cpu.disassemble(cpu.pc).length);
      return false;
  }
}
