/**
 * Random programs in S-mode with paging: compiled code against the interpreter, instruction for instruction.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { Level, type RiscvHart } from "../cpu/riscv/hart.ts";
import type { SystemTier, TierServices } from "../cpu/engine/tier.ts";
import type { AddressSpace } from "../mmu/address_space.ts";
import { Place, type VirtBoard } from "../machine/system/virt.ts";
import { makeBoard } from "./system_board.ts";
import { tablesOf } from "./fuzz/encode.ts";
import { generate, KINDS } from "./fuzz/generator.ts";
import {
  BASE,
  CODE_PAGE,
  DATA,
  LAST_PAGE,
  NO_ACCESS,
  READ_ONLY,
  STACK,
  TEXT,
} from "./fuzz/layout.ts";
import { programImage } from "./fuzz/program.ts";
import { Random } from "./fuzz/random.ts";

const PAGE = 4096;
/** Bits of an entry: valid, readable, writable, executable, accessed. (Dirty is for the machine to set.) */
const V = 1, R = 2, W = 4, X = 8, A = 64;
/** Pages of RAM from its start: the handler, page tables, and then what the program has. */
const HANDLER = 0, TABLES = 16, FREE = 64, PAGES = 1024;
/** Roots of the two address spaces: numbers that differ in one bit. */
const ROOTS = [TABLES, TABLES + 1];

/** Where a page of the program is, and with which rights. */
interface Mapping {
  virtual: number;
  physical: number;
  rights: number;
}

/**
 * The handler in M-mode: an ecall changes the address space and starts the program anew, as does what can't be fetched;
 * any other instruction that traps is left out.
 */
function handler(xlen: 32 | 64): Uint8Array<ArrayBuffer> {
  const t = tablesOf(xlen), a = t.assemble.bind(t);
  const T0 = 5, MSCRATCH = 0x340, MEPC = 0x341, MCAUSE = 0x342, SATP = 0x180;
  const again = [
    a("lui", { rd: T0, imm: TEXT }),
    a("csrrw", { csr: MEPC, rs1: T0 }),
    a("csrrs", { csr: MSCRATCH, rd: T0 }),
    0x30200073, // mret
  ];
  const change = [
    a("csrrs", { csr: SATP, rd: T0 }),
    a("xori", { rd: T0, rs1: T0, imm: ROOTS[0] ^ ROOTS[1] }),
    a("csrrw", { csr: SATP, rs1: T0 }),
    0x12000073, // sfence.vma
    ...again,
  ];
  const skip = [
    a("csrrs", { csr: MEPC, rd: T0 }),
    a("addi", { rd: T0, rs1: T0, imm: 4 }),
    a("csrrw", { csr: MEPC, rs1: T0 }),
    a("csrrs", { csr: MSCRATCH, rd: T0 }),
    0x30200073,
  ];
  const start = [a("csrrw", { csr: MSCRATCH, rs1: T0 }), a("csrrs", { csr: MCAUSE, rd: T0 })];
  const test = (cause: number, previous: number, over: number) => [
    a("addi", { rd: T0, rs1: T0, imm: previous - cause }),
    a("bne", { rs1: T0, rs2: 0, imm: 4 + 4 * over }),
  ];
  const words = [
    ...start,
    // From S-mode, fetch page fault, fetch access fault.
    ...[...test(9, 0, change.length), ...change],
    ...[...test(12, 9, again.length), ...again],
    ...[...test(1, 12, again.length), ...again],
    ...skip,
  ];
  return new Uint8Array(Int32Array.from(words).buffer);
}

/** Makes the tier that is compared with the interpreter, for a CPU whose RAM is given. */
export type MakeCompiler = (ram: AddressSpace) => (services: TierServices) => SystemTier;

/** One machine with a program in it. */
class Subject {
  readonly board: VirtBoard;
  readonly hart: RiscvHart;

  constructor(xlen: 32 | 64, heat: number | undefined, compiler?: MakeCompiler) {
    const memory = PAGES * PAGE;
    this.board = makeBoard({ xlen, memory, ...(heat === undefined ? {} : { heat }) });
    const { cpu, bus, harts } = this.board;
    if (compiler) cpu.addTier(compiler(bus.ram));
    this.hart = harts[0] as RiscvHart;
  }

  write(page: number, bytes: Uint8Array, at = 0): void {
    this.board.bus.ram.writeView(page * PAGE + at, bytes.length)!.set(bytes);
  }

  /** Writes the tables of one address space: its root, and one table below for each level. */
  map(space: number, mappings: readonly Mapping[]): void {
    const wide = this.board.xlen === 64, size = wide ? 8 : 4;
    const frame = (page: number) => Place.RAM / PAGE + page;
    const entry = (page: number, index: number, value: number) => {
      const bytes = new Uint8Array(size);
      new DataView(bytes.buffer).setUint32(0, value, true);
      this.write(page, bytes, index * size);
    };
    const below = [ROOTS[space], TABLES + 4 + 4 * space, TABLES + 5 + 4 * space];
    const levels = wide ? 3 : 2;
    for (let i = 0; i + 1 < levels; i++) entry(below[i], 0, frame(below[i + 1]) << 10 | V);
    for (const { virtual, physical, rights } of mappings) {
      entry(below[levels - 1], virtual / PAGE, frame(physical) << 10 | rights);
    }
  }

  /** Puts the hart into S-mode at the program's start. */
  start(): void {
    const { hart, board } = this;
    hart.mtvec = BigInt(Place.RAM + HANDLER * PAGE);
    hart.mcounteren = 7n;
    hart.mstatus = 3 << 13;
    // Everything may be accessed.
    hart.pmp.setAddress(0, (1n << 54n) - 1n);
    hart.pmp.setConfig(0, 0x1f);
    const root = BigInt(Place.RAM / PAGE + ROOTS[0]);
    hart.satp = root | (board.xlen === 64 ? 8n << 60n : 1n << 31n);
    hart.updateTranslation();
    hart.privilege = Level.SUPERVISOR;
    board.cpu.start(TEXT);
  }

  /** Everything that can be seen of it. */
  get state(): string[] {
    const { cpu } = this.board, { hart } = this;
    const registers = cpu.isa.registers.map(({ name }) =>
      `${name} 0x${cpu.getRegister(name).toString(16)}`
    );
    const { mepc, mcause, mtval, mstatus, satp, privilege, mscratch } = hart;
    return [
      `pc 0x${cpu.getRegister("pc").toString(16)} after ${cpu.instructions}`,
      `mepc ${mepc} mcause ${mcause} mtval ${mtval} mstatus ${mstatus} satp ${satp} ` +
      `level ${privilege} mscratch ${mscratch}`,
      ...registers,
    ];
  }

  get memory(): Uint8Array {
    return this.board.bus.ram.arena.m8.subarray(0, PAGES * PAGE);
  }
}

/** The pages of a program in one address space: each at a place of its own, some shared with the other space. */
function mappingsOf(random: Random, used: Set<number>): Mapping[] {
  const all = V | A | R | W | X;
  const rights = new Map<number, number>();
  const range = (from: number, bytes: number, bits: number) => {
    for (let at = from; at < from + bytes; at += PAGE) rights.set(at, bits);
  };
  range(TEXT, 0x1_2000, all);
  range(DATA, 0x4000, V | A | R | W);
  range(STACK, 0x3_0000, V | A | R | W);
  rights.set(READ_ONLY, V | A | R);
  rights.set(NO_ACCESS, 0);
  rights.set(LAST_PAGE, V | A | R | W);
  rights.set(CODE_PAGE, all);
  const mappings: Mapping[] = [];
  // Neighbours are neighbours in memory too, sometimes.
  let next = 0;
  const free = () => {
    if (next > 0 && !used.has(next + 1) && next + 1 < PAGES && random.chance(0.5)) next++;
    else do next = FREE + random.below(PAGES - FREE); while (used.has(next));
    used.add(next);
    return next;
  };
  for (const [virtual, bits] of rights) mappings.push({ virtual, physical: free(), rights: bits });
  return mappings;
}

/** Makes the two address spaces of a seed, and puts the program into them. */
function load(subject: Subject, seed: number, xlen: 32 | 64): void {
  const random = new Random(seed), used = new Set<number>();
  const kind = random.pick(KINDS);
  const size = random.pick([40, 200, 500]);
  const image = programImage(generate(seed, { xlen, kind, size }));
  // What the second space has of its own is of another program.
  const other = programImage(generate(seed + 1_000_000, { xlen, kind, size }));
  const first = mappingsOf(random, used);
  const second = first.map((mapping) => {
    const { virtual } = mapping, own = random.chance(0.4);
    let physical = mapping.physical;
    if (own) {
      do physical = FREE + random.below(PAGES - FREE); while (used.has(physical));
      used.add(physical);
    }
    // A page that is there in one space only, or may be only read.
    const missing = virtual > TEXT + PAGE && random.chance(0.05);
    const rights = missing ? 0 : random.chance(0.1) ? mapping.rights & ~W : mapping.rights;
    return { virtual, physical, rights };
  });
  // The same memory seen at a second address: code that is written through another page.
  const [code, alias] = [first, second].map((list) => list.find((m) => m.virtual === TEXT + PAGE)!);
  const seen = second.find((m) => m.virtual === BASE - BASE % PAGE)!;
  if (random.chance(0.3)) seen.physical = random.pick([code, alias]).physical;
  subject.write(HANDLER, handler(xlen));
  for (const [space, mappings] of [first, second].entries()) {
    for (const { virtual, physical } of mappings) {
      const part = (bytes: Uint8Array, from: number) =>
        bytes.subarray(Math.max(virtual - from, 0), Math.max(virtual - from + PAGE, 0));
      const own = space === 1 && !first.some((mapping) => mapping.physical === physical);
      const text = part((own ? other : image).text, TEXT), data = part(image.data, DATA);
      if (virtual >= TEXT && text.length > 0) subject.write(physical, text);
      if (virtual >= DATA && data.length > 0) subject.write(physical, data);
    }
    subject.map(space, mappings);
  }
  subject.start();
}

/** Differences of memory, as addresses. */
function memoryDifference(a: Uint8Array, b: Uint8Array): string[] {
  const x = new BigUint64Array(a.buffer, a.byteOffset, a.length / 8);
  const y = new BigUint64Array(b.buffer, b.byteOffset, b.length / 8);
  const lines: string[] = [];
  for (let i = 0; i < x.length && lines.length < 5; i++) {
    if (x[i] !== y[i]) {
      lines.push(`0x${(i * 8).toString(16)}: ${x[i].toString(16)}, ${y[i].toString(16)}`);
    }
  }
  return lines;
}

/** What programs did. */
export interface Compared {
  /** Instructions executed by compiled code, and all of them. */
  compiled: number;
  total: number;
  /** Programs that ended in another address space than the one they began in. */
  switches: number;
}

/**
 * Runs random programs in the interpreter and in compiled code; both must do the same.
 *
 * @param heats One of them says what is compiled: everything at once (0), or what was hot for a while.
 */
export function comparePrograms(
  xlen: 32 | 64,
  programs: number,
  heats: readonly number[],
  compiler: MakeCompiler,
): Compared {
  let compiled = 0, total = 0, switches = 0;
  for (let seed = 1; seed <= programs; seed++) {
    const random = new Random(seed + 77), heat = random.pick(heats);
    const pair = [new Subject(xlen, undefined), new Subject(xlen, heat, compiler)];
    for (const subject of pair) load(subject, seed, xlen);
    const [wanted, got] = pair;
    for (let round = 0; round < 12; round++) {
      const limit = random.pick([1, 100, 3000, 9000, 20_000]);
      for (const { board } of pair) board.cpu.run(limit, true);
      const where = `seed ${seed}, round ${round}, heat ${heat}`;
      assertEquals(got.state, wanted.state, where);
    }
    assertEquals(memoryDifference(wanted.memory, got.memory), [], `memory of seed ${seed}`);
    compiled += got.board.cpu.tierInstructions;
    total += got.board.cpu.instructions;
    if (got.hart.satp % 2n !== BigInt(ROOTS[0] % 2)) switches++;
  }
  return { compiled, total, switches };
}
