/**
 * Programs that fault in their middle: reason, address, pc, state and instruction count must be exact.
 *
 * The wanted state is that of the same program with a breakpoint in the faulting instruction's place.
 *
 * @module
 */
import { Trap } from "../../cpu/ir/ops.ts";
import { accessSize } from "./catalogue.ts";
import type { Image } from "./elf.ts";
import { Generator, type GeneratorOptions } from "./generator.ts";
import { CODE_PAGE, DATA, DATA_SIZE, LAST_PAGE, NO_ACCESS, READ_ONLY } from "./layout.ts";
import {
  type Atom,
  flatten,
  type Item,
  item,
  type Label,
  Part,
  type Program,
  programImage,
} from "./program.ts";
import { type RunOptions, stopName, type Trapdoor } from "./runner.ts";

/** Bytes of {@linkcode CODE_PAGE} before its last two: compressed no-ops. */
const C_NOP = 0x0001, HALF_INSTRUCTION = 0x0293;

/** What must happen. */
interface Expectation {
  what: string;
  reason: number;
  /** Where; undefined: at the faulting instruction. */
  pc?: number | undefined;
  /** The address it names; undefined where there is none. */
  address?: bigint | undefined;
  /** Register that gets the address of the next instruction, for jumps that are done before their target faults. */
  link?: number | undefined;
  /** Instructions executed after the jump. */
  more?: number;
}

/** A faulting instruction, what prepares it, and what must happen. */
interface Wild {
  setup: Atom[];
  atom: Atom;
  expect: Expectation;
}

/** Maps the pages of wild accesses. */
export function mapFaultPages({ space }: Trapdoor): void {
  space.map(READ_ONLY, 0x1000, 1);
  space.map(NO_ACCESS, 0x1000, 0);
  space.map(LAST_PAGE, 0x1000, 3);
  space.map(CODE_PAGE, 0x1000, 7);
  for (let at = CODE_PAGE; at < CODE_PAGE + 0xffe; at += 2) space.writeU16(at, C_NOP);
  space.writeU16(CODE_PAGE + 0xffe, HALF_INSTRUCTION);
}

type Right = "read" | "write";

function allowed(address: number, right: Right): boolean {
  const page = address & ~0xfff;
  return (address >= DATA && address < DATA + DATA_SIZE) || page === LAST_PAGE ||
    page === CODE_PAGE || (page === READ_ONLY && right === "read");
}

/** The address that a fault of an access names: its own, or the start of its second page if only that is bad. */
function faultAddress(address: bigint, size: number, right: Right): bigint {
  const first = address < 0x10_0000n && allowed(Number(address), right);
  return first ? (address + BigInt(size)) & ~0xfffn : address;
}

class Faults {
  readonly g: Generator;
  constructor(seed: number, options: GeneratorOptions) {
    this.g = new Generator(seed, options);
  }

  /** An address whose access of `size` bytes must fault. */
  address(size: number, right: Right): bigint {
    const { random, wide } = this.g, offset = random.below(0x400) * 8;
    const bad = [
      0,
      8,
      offset & 0xff8,
      DATA - random.between(1, 64) * 8,
      DATA + DATA_SIZE + offset,
      NO_ACCESS + (offset & 0xff8),
      0xf_fff8,
      0x10_0000 + offset,
      0x7fff_fff8,
      0x8000_0000,
      0xffff_fff8,
    ].map(BigInt);
    if (right === "write") {
      bad.push(...[0, offset & 0xff8, 0xff8].map((n) => BigInt(READ_ONLY + n)));
    }
    if (wide) {
      bad.push(
        ...[
          0x1_0004_1000n,
          0x8000_0000_0004_1000n,
          0xffff_ffff_0004_1000n,
          0xffff_ffff_ffff_fff8n,
          0x20_0000_0000_0000n + BigInt(offset),
        ],
      );
    }
    // Only the second page of these is bad, or only the first.
    const crossing = [LAST_PAGE + 0x1000, DATA + DATA_SIZE, DATA]
      .map((end) => BigInt(end - random.between(1, Math.max(1, size - 1))));
    return size > 1 && random.chance(0.35) ? random.pick(crossing) : random.pick(bad);
  }

  memory(): Wild {
    const { g } = this, { random } = g, load = random.chance(0.5);
    const right = load ? "read" : "write";
    const short = random.chance(0.25);
    const base = g.destination(short ? 8 : 1, short ? 15 : 31);
    const pick = short
      ? g.catalogue.shortMemory.filter(({ row }) => /^c\.f?l/.test(row.name) === load)
      : load
      ? g.catalogue.loads
      : g.catalogue.stores;
    const rows = pick.filter(({ row }) => !row.asm.includes("(sp)"));
    const { atom, row, fields } = g.any(rows, () => ({ rs1: base }));
    const size = accessSize(row.row.name), address = this.address(size, right);
    return {
      setup: g.constant(base, address - BigInt(fields.imm)),
      atom,
      expect: {
        what: `${row.row.name} at 0x${address.toString(16)}`,
        reason: load ? Trap.LOAD_FAULT : Trap.STORE_FAULT,
        address: faultAddress(address, size, right),
      },
    };
  }

  atomic(): Wild {
    const { g } = this, { random } = g, rs1 = g.destination(1);
    const suffix = g.wide && random.chance(0.5) ? "d" : "w", size = suffix === "d" ? 8 : 4;
    const amo = g.catalogue.amo.filter(({ row }) => row.name.endsWith(suffix));
    const { tables } = g.catalogue;
    const rows = [...amo, tables.row(`lr.${suffix}`), tables.row(`sc.${suffix}`)];
    const { atom, row } = g.any(random.chance(0.5) ? rows : rows.slice(-2), () => ({ rs1 }));
    const what = row.row.name;
    if (what.startsWith("sc") || random.chance(0.4)) {
      // Misaligned, mapped or not: nothing else is looked at.
      const at = random.chance(0.7) ? BigInt(DATA + 0x1800) : this.address(1, "write") & ~7n;
      const address = at + BigInt(random.between(1, size - 1));
      return {
        setup: g.constant(rs1, address),
        atom,
        expect: { what: `${what}, misaligned`, reason: Trap.MISALIGNED, address },
      };
    }
    const load = what.startsWith("lr");
    const address = this.address(1, load ? "read" : "write") & ~7n;
    return {
      setup: g.constant(rs1, address),
      atom,
      expect: { what, reason: load ? Trap.LOAD_FAULT : Trap.STORE_FAULT, address },
    };
  }

  illegal(): Wild {
    const { g } = this, { random } = g, { isa } = g.catalogue.tables;
    const expect = { what: "an undefined encoding", reason: Trap.ILLEGAL };
    switch (random.below(4)) {
      case 0: { // A reserved static rounding mode.
        const rounding = g.catalogue.float.filter((row) =>
          row.extractors.some(({ name }) => name === "rm")
        );
        const { atom, row } = g.any(rounding, () => ({ rm: random.pick([5, 6]) }));
        return { setup: [], atom, expect: { ...expect, what: `${row.row.name} with rm 5 or 6` } };
      }
      case 1: { // An invalid dynamic one.
        const rounding = g.catalogue.float.filter((row) =>
          row.extractors.some(({ name }) => name === "rm")
        );
        const { atom, row } = g.any(rounding, () => ({ rm: 7 }));
        return {
          setup: [g.atom("csrrwi", { csr: 2, uimm: random.between(5, 7) })],
          atom,
          expect: { ...expect, what: `${row.row.name} with an invalid frm` },
        };
      }
      case 2: { // A CSR that doesn't exist, or isn't writable.
        const rd = g.destination();
        const [name, csr] = random.pick(
          [
            ["csrrs", 0],
            ["csrrw", 0x300],
            ["csrrwi", 0xc00],
            ["csrrw", 0xc02],
            ["csrrsi", 0x180],
          ] as const,
        );
        return {
          setup: [],
          atom: g.atom(name, { csr, rd }),
          expect: { ...expect, what: `${name} of CSR 0x${csr.toString(16)}` },
        };
      }
      default: {
        const size = random.pick([2, 4]);
        for (;;) {
          const bits = size === 2 ? random.next() & 0xffff : random.next() | 3;
          if (size === 2 && (bits & 3) === 3) continue;
          if (isa.decode(bits, size) === undefined) {
            return { setup: [], atom: { size, bits }, expect };
          }
        }
      }
    }
  }

  jump(): Wild {
    const { g } = this, { random } = g, rd = g.destination();
    const reason = Trap.FETCH_FAULT;
    const go = (target: number, more: number, pc: number, address?: number): Wild => {
      const named = address === undefined ? undefined : BigInt(address);
      if (random.chance(0.4)) {
        return {
          setup: [],
          atom: g.fixed("jal", { rd }, { pc: target, fixed: true }, Part.RELATIVE),
          expect: {
            what: `jal to 0x${target.toString(16)}`,
            reason,
            pc,
            address: named,
            link: rd,
            more,
          },
        };
      }
      const rs1 = g.destination(1), imm = random.between(-2048, 2047);
      return {
        setup: g.constant(rs1, BigInt(target - imm)),
        // Bit 0 of the sum is ignored.
        atom: g.atom("jalr", { rd, rs1, imm: imm < 2047 && (imm & 1) === 0 ? imm + 1 : imm }),
        expect: {
          what: `jalr to 0x${target.toString(16)}`,
          reason,
          pc,
          address: named,
          link: rd,
          more,
        },
      };
    };
    const offset = 2 * random.below(0x200);
    const nops = random.below(100), end = CODE_PAGE + 0xffe;
    switch (random.below(3)) {
      case 0: // Half an instruction is there: the pc is its start.
        return go(end - 2 * nops, nops, end, undefined);
      default: {
        const bad = random.pick([
          0x3_0000 + offset,
          NO_ACCESS + offset,
          READ_ONLY + offset,
          LAST_PAGE + offset,
          DATA + offset,
          0x10_0000 + offset,
          0x0,
        ]);
        return go(bad, 0, bad, bad);
      }
    }
  }

  /** A jump further than a jal reaches. */
  farJump(): Wild {
    const { g } = this, rd = g.destination(), rs1 = g.destination(1);
    const target = g.random.pick(
      g.wide
        ? [0x8000_0000n, 0x1_0001_0400n, 0xffff_ffff_ffff_f000n, 0xf_ffff_ffff_fff0n]
        : [0x8000_0000n, 0xffff_f000n, 0xffff_fffen],
    );
    return {
      setup: g.constant(rs1, target),
      atom: g.atom("jalr", { rd, rs1, imm: 0 }),
      expect: {
        what: `jalr to 0x${target.toString(16)}`,
        reason: Trap.FETCH_FAULT,
        pc: Number(g.wide ? BigInt.asIntN(64, target) : target),
        address: target,
        link: rd,
      },
    };
  }

  /** A program and the faulting instruction in it. */
  make(): { program: Program; site: Item; wild: Wild } {
    const { g } = this, { random } = g, program = g.program();
    const wild = random.pick([
      () => this.memory(),
      () => this.memory(),
      () => this.atomic(),
      () => this.illegal(),
      () => this.jump(),
      () => this.farJump(),
    ])();
    const site = item([wild.atom]);
    const lists = [program.items, ...flatten(program.items).map((each) => each.body)]
      .filter((list) => list.length > 0);
    const list = random.chance(0.5) ? program.items : random.pick(lists);
    // Before it there may be anything, and after it something that must not be executed.
    list.splice(random.below(list.length + 1), 0, item(wild.setup, [site]));
    return { program, site, wild };
  }
}

/** State of a stopped program. */
interface Stand {
  reason: number;
  pc: number;
  address: bigint;
  instructions: number;
  slots: BigInt64Array;
  data: Uint8Array<ArrayBuffer>;
}

function stand(trapdoor: Trapdoor, image: Image, options: RunOptions): Stand {
  trapdoor.load(image, options);
  mapFaultPages(trapdoor);
  const reason = trapdoor.go(options.slices), { cpu, space } = trapdoor;
  return {
    reason,
    pc: cpu.pc,
    address: cpu.faultAddress,
    instructions: cpu.instructions,
    slots: cpu.snapshot(),
    data: space.read(DATA, DATA_SIZE),
  };
}

const hex = (x: bigint) => `0x${BigInt.asUintN(64, x).toString(16)}`;

/**
 * Runs one program that faults, in the given ways.
 *
 * @returns What is wrong, nothing if all is well, or undefined if the program doesn't get to the place.
 */
export function checkFault(
  trapdoor: Trapdoor,
  seed: number,
  options: GeneratorOptions,
  runs: readonly RunOptions[],
): { problems: string[]; what: string; image: Image; entry: number } | undefined {
  const { program, site, wild } = new Faults(seed, options).make();
  const breakpoint: Atom = wild.atom.size === 2
    ? { size: 2, bits: 0x9002 }
    : { size: 4, bits: 0x0010_0073 };
  const image = programImage(program);
  site.before = [breakpoint];
  const stopped = programImage(program);
  const label: Label = site.start, { expect } = wild;
  const want = stand(trapdoor, stopped, {});
  if (want.reason !== Trap.BREAKPOINT) return undefined;
  // A breakpoint counts as executed.
  want.instructions += expect.link === undefined ? -1 : expect.more ?? 0;
  if (expect.link !== undefined && expect.link !== 0) {
    want.slots[expect.link] = BigInt(label.pc + wild.atom.size);
  }
  const problems: string[] = [];
  for (const run of runs) {
    const got = stand(trapdoor, image, run);
    const check = (what: string, wanted: string, have: string) => {
      if (wanted !== have) problems.push(`${what}: wanted ${wanted}, got ${have}`);
    };
    check("reason", stopName(expect.reason), stopName(got.reason));
    check("pc", hex(BigInt(expect.pc ?? label.pc)), hex(BigInt(got.pc)));
    if (expect.address !== undefined) check("address", hex(expect.address), hex(got.address));
    check("instructions", String(want.instructions), String(got.instructions));
    want.slots.forEach((value, i) => check(`slot ${i}`, hex(value), hex(got.slots[i])));
    if (want.data.some((byte, i) => byte !== got.data[i])) problems.push("memory differs");
    if (problems.length > 0) break;
  }
  return { problems, what: expect.what, image, entry: program.entry };
}
