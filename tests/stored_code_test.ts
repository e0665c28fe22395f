/** Translated code that one CPU stores and another takes: it must be what would be translated, whatever happens. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Cpu, type CpuOptions } from "../cpu/engine/cpu.ts";
import type { IrBlock } from "../cpu/ir/builder.ts";
import { Trap } from "../cpu/ir/ops.ts";
import { AddressSpace } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import type { Image } from "./fuzz/elf.ts";
import { tablesOf } from "./fuzz/encode.ts";
import { generate, KINDS } from "./fuzz/generator.ts";
import { DATA, DATA_SIZE, TEXT, TEXT_SIZE } from "./fuzz/layout.ts";
import { programImage } from "./fuzz/program.ts";
import { Random } from "./fuzz/random.ts";
import { compiling, scaled } from "./configuration.ts";
import { assemble, compareCpus } from "./wasm_fuzz.ts";

const XLENS = [64, 32] as const;
const LIMIT = 20_000_000;

/** Machines to use again and again, two for each width. */
const spaces = { 32: [0, 1].map(() => makeSpace()), 64: [0, 1].map(() => makeSpace()) };

function makeSpace(): AddressSpace {
  return new AddressSpace(new Arena(1 << 20));
}

/** A CPU with an image loaded, at its start. */
function load(
  xlen: 32 | 64,
  which: number,
  image: Image,
  options: (space: AddressSpace) => CpuOptions = () => ({}),
): Cpu {
  const space = spaces[xlen][which];
  space.unmap(0, space.size);
  const cpu = new Cpu(tablesOf(xlen).isa, space, options(space));
  cpu.slots.fill(0n, 0, cpu.isa.slotCount);
  cpu.setRegister("fcsr", 0);
  space.map(TEXT, TEXT_SIZE, 7);
  space.map(DATA, DATA_SIZE, 3);
  space.write(TEXT, image.text);
  space.write(DATA, image.data);
  cpu.pc = TEXT;
  return cpu;
}

/** Runs to the end of the program; `between` is called at the ends of slices. */
function finish(cpu: Cpu, slices?: Random, between: () => void = () => {}): number {
  for (let stops = 0; cpu.instructions < LIMIT;) {
    const slice = slices && stops++ < 200 ? 1 + slices.below(slices.pick([3, 60, 3000])) : LIMIT;
    const before = cpu.instructions, reason = cpu.run(slice);
    if (reason === 0) {
      assertEquals(cpu.instructions - before, slice, "instructions of a slice");
      between();
      continue;
    }
    if (reason !== Trap.SYSCALL || cpu.getRegister("a7") !== 64n) return reason;
    cpu.setRegister("a0", 0);
    cpu.finishTrap();
  }
  throw new Error("The program does not end");
}

/** Random programs: what the first CPU stores, the second takes and runs as `how` says. */
function fuzz(
  count: number,
  firstSeed: number,
  how: (seed: number) => {
    options?: (space: AddressSpace) => CpuOptions;
    keep?: (block: IrBlock) => boolean;
    slices?: Random;
    between?: (cpu: Cpu) => void;
  },
  check: (first: Cpu, second: Cpu) => void = () => {},
): void {
  for (let seed = firstSeed; seed < firstSeed + count; seed++) {
    const xlen = XLENS[seed % 2], kind = KINDS[(seed >> 1) % KINDS.length];
    const image = programImage(generate(seed, { xlen, kind, size: 150 }));
    const { options, keep = () => true, slices, between } = how(seed);
    const first = load(xlen, 0, image), end = finish(first);
    const second = load(xlen, 1, image, options);
    const { m8 } = first.space.arena;
    const asLoaded = ({ pc, bytes }: IrBlock) =>
      image.text.subarray(pc - TEXT, pc - TEXT + bytes).every((byte, i) => byte === m8[pc + i]);
    second.restoreCode(first.storeCode((block) => asLoaded(block) && keep(block)));
    const got = finish(second, slices, () => between?.(second));
    assertEquals([compareCpus(first, second, true), got], [[], end], `program ${seed}`);
    check(first, second);
  }
}

Deno.test("Cpu.restoreCode leaves nothing to translate when all code is stored", () => {
  let same = 0;
  fuzz(40, 1, () => ({}), (first, second) => {
    // Some programs change their code.
    if (first.cache.translated !== first.cache.size) return;
    assertEquals(second.cache.translated, first.cache.size);
    same++;
  });
  assert(same > 20, `${same} programs leave their code alone`);
});

Deno.test("Cpu.restoreCode changes nothing when a program stops at any instruction", () => {
  fuzz(60, 1000, (seed) => ({ slices: new Random(seed) }));
});

Deno.test("Cpu.restoreCode changes nothing when some of the code is stored", () => {
  let fresh = 0;
  fuzz(60, 2000, (seed) => {
    const random = new Random(seed);
    return { slices: random, keep: () => random.chance(0.6) };
  }, (_first, second) => {
    fresh += second.cache.worthStoring(() => true) ? 1 : 0;
    assert(!second.cache.worthStoring(() => false));
  });
  assert(fresh > 30, `${fresh} programs have new code`);
});

Deno.test("CodeCache.worthStoring says yes when one block is new that can be stored", () => {
  let left = -1, missing: number | undefined, ran = 0;
  fuzz(20, 4000, () => {
    left = 1;
    missing = undefined;
    return {
      keep: ({ pc }) => {
        if (left-- !== 1) return true;
        missing = pc;
        return false;
      },
    };
  }, (first, second) => {
    if (first.cache.translated !== first.cache.size || missing === undefined) return;
    assert(second.cache.worthStoring(() => true));
    assert(!second.cache.worthStoring(({ pc }) => pc !== missing));
    ran++;
  });
  assert(ran > 10, `${ran} programs`);
});

Deno.test("Cpu.restoreCode changes nothing when stored code is written over", () => {
  let dropped = 0;
  fuzz(60, 3000, (seed) => {
    const random = new Random(seed);
    return {
      slices: random,
      keep: () => random.chance(0.8),
      between: ({ space }) => {
        if (!random.chance(0.6)) return;
        const at = TEXT + random.below(TEXT_SIZE - 64);
        space.write(at, space.read(at, 64));
        dropped++;
      },
    };
  });
  assert(dropped > 60, `written ${dropped} times`);
});

Deno.test("Cpu.restoreCode changes nothing when the code cache starts anew", () => {
  fuzz(30, 4000, (seed) => {
    const random = new Random(seed);
    return {
      slices: random,
      between: ({ cache }) => {
        if (random.chance(0.3)) cache.flush();
      },
    };
  });
});

Deno.test("Cpu.restoreCode lets a tier compile stored blocks", () => {
  let compiled = 0;
  fuzz(scaled(30), 5000, (seed) => ({
    options: (space) => compiling(space),
    ...(seed % 3 === 0 ? { slices: new Random(seed) } : {}),
  }), (_first, second) => {
    compiled += second.tierInstructions;
  });
  assert(compiled > scaled(1000), `${compiled} compiled instructions`);
});

Deno.test("CodeCache.get gives blocks as they were translated when they are stored", () => {
  const plain = ({ pc, bytes, count, code, insns, pcs }: IrBlock) => {
    return { pc, bytes, count, code: [...code], insns: [...insns], pcs };
  };
  for (let seed = 0; seed < 12; seed++) {
    const xlen = XLENS[seed % 2], kind = KINDS[seed % KINDS.length];
    const image = programImage(generate(seed, { xlen, kind, size: 100 }));
    const first = load(xlen, 0, image);
    finish(first);
    const pcs: number[] = [];
    const bytes = first.storeCode((block) => {
      pcs.push(block.pc);
      return true;
    });
    const second = load(xlen, 1, image);
    second.restoreCode(bytes);
    for (const pc of pcs) {
      assertEquals(plain(second.cache.get(pc)!), plain(first.cache.get(pc)!), `block ${pc}`);
      assertEquals(second.cache.blockAt(second.cache.find(pc)).pc, pc);
    }
    assertEquals([...second.storeCode(() => true)], [...bytes], "stored again");
  }
});

Deno.test("Cpu.restoreCode runs new code when the guest changes what was stored", () => {
  // The second round of the loop finds `addi rd=10 rs1=10 imm=16` where the first one had 1.
  const { bytes, labels } = assemble(
    64,
    TEXT,
    `
    li rd=6 imm=${(16 << 20) | (10 << 15) | (10 << 7) | 0x13}
    li rd=7 imm=2
    loop:
    jal rd=1 @function
    la rd=5 @function
    sw rs1=5 rs2=6 imm=0
    fence.i
    addi rd=7 rs1=7 imm=-1
    bne rs1=7 rs2=0 @loop
    ecall
    function:
    addi rd=10 rs1=10 imm=1
    jalr rd=0 rs1=1 imm=0
    `,
  );
  const image = { text: bytes, data: new Uint8Array(8) } as Image;
  const first = load(64, 0, image);
  const start = first.storeCode(() => true);
  assertEquals([finish(first), first.getRegister("a0")], [Trap.SYSCALL, 17n]);
  // What was translated from the code as it is at the start.
  const asLoaded = ({ pc, bytes: length }: IrBlock) =>
    first.space.read(pc, length).every((byte, i) => byte === bytes[pc - TEXT + i]);
  const stored = first.storeCode(asLoaded);
  assert(stored.length > start.length);
  const other = load(64, 0, image);
  other.run(6, false);
  const early = other.storeCode(() => true), at = labels.get("function")!;
  // With the function alone, what calls it is new.
  const called = other.storeCode(({ pc }) => pc === at);
  assert(called.length < early.length);
  for (const code of [stored, early, called]) {
    const second = load(64, 1, image);
    second.restoreCode(code);
    assertEquals([finish(second), second.getRegister("a0")], [Trap.SYSCALL, 17n]);
  }
});

Deno.test("Cpu.restoreCode says where a fault is when it is in stored code", () => {
  const { bytes, labels } = assemble(
    64,
    TEXT,
    `
    li rd=5 imm=${DATA}
    beq rs1=10 rs2=0 @load
    lui rd=5 imm=1073741824
    load:
    addi rd=6 rs1=6 imm=1
    fault:
    ld rd=7 rs1=5 imm=0
    ecall
    `,
  );
  const image = { text: bytes, data: new Uint8Array(8) } as Image;
  const first = load(64, 0, image);
  assertEquals(finish(first), Trap.SYSCALL);
  const second = load(64, 1, image);
  second.restoreCode(first.storeCode(() => true));
  second.setRegister("a0", 1);
  assertEquals(finish(second), Trap.LOAD_FAULT);
  assertEquals([second.pc, second.faultAddress], [labels.get("fault")!, 0x4000_0000n]);
  assertEquals(second.getRegister("t1"), 1n);
});

Deno.test("Cpu.restoreCode throws when the bytes have another format or there is code already", () => {
  const image = programImage(generate(7, { xlen: 64, kind: KINDS[0], size: 50 }));
  const first = load(64, 0, image);
  finish(first);
  const bytes = first.storeCode(() => true);
  const broken: [string, Uint8Array<ArrayBuffer>][] = [
    ["cut", bytes.slice(0, -1)],
    ["longer", new Uint8Array([...bytes, 0])],
    ["magic", bytes.with(0, bytes[0] ^ 1)],
    ["blocks", bytes.with(4, bytes[4] ^ 1)],
    ["records", bytes.with(8, bytes[8] ^ 1)],
    ["many", bytes.with(7, 0x7f)],
    ["negative", bytes.with(7, 0xff)],
    ["short", bytes.slice(0, 15)],
    ["empty", new Uint8Array(0)],
  ];
  for (const [what, code] of broken) {
    const cpu = load(64, 1, image);
    assertThrows(() => cpu.restoreCode(code), RangeError, "another format", what);
    assertEquals(finish(cpu), Trap.SYSCALL, what);
  }
  assertThrows(() => first.restoreCode(bytes), RangeError, "there is some already");
});
