import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { type Elf, ElfError, type ElfTarget, parseElf } from "../machine/user/elf.ts";
import { AuxType, type LoadOptions, loadProgram, PIE_BASE } from "../machine/user/loader.ts";
import { AddressSpace, Prot } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import { xorshift } from "./xorshift.ts";
import { makeElf, type TestElf, type TestSegment } from "./elf_maker.ts";

const TARGETS: ElfTarget[] = [
  { name: "riscv64", machine: 243, class: 64 },
  { name: "riscv32", machine: 243, class: 32 },
];
const CODE = Uint8Array.of(0x73, 0, 0, 0, 0x13, 0, 0, 0);
const text: TestSegment = { address: 0x10000, bytes: CODE };
const good: TestElf = { segments: [text] };

const space = (size: number) => new AddressSpace(new Arena(size));
const parse = (bytes: Uint8Array): Elf => parseElf(bytes, "prog", TARGETS);

function refuses(elf: TestElf | Uint8Array, reason: string): void {
  const bytes = elf instanceof Uint8Array ? elf : makeElf(elf);
  const error = assertThrows(() => parse(bytes), ElfError);
  assert(error.message.startsWith("Cannot run prog: "), error.message);
  assertStringIncludes(error.message, reason);
}

/** A changed copy of the good file. */
function patched(change: (view: DataView) => void, elf: TestElf = good): Uint8Array {
  const bytes = makeElf(elf);
  change(new DataView(bytes.buffer));
  return bytes;
}

Deno.test("parseElf reads both classes when the file is sound", () => {
  for (const bits of [32, 64] as const) {
    const data = { address: 0x12345, bytes: Uint8Array.of(1, 2, 3), memorySize: 100, flags: 6 };
    const elf = parse(makeElf({ class: bits, segments: [data, text], entry: 0x10004 }));
    assertEquals(elf.class, bits);
    assertEquals(elf.machine, 243);
    assertEquals(elf.entry, 0x10004);
    assertEquals(elf.segments.map((s) => [s.address, s.fileSize, s.memorySize, s.flags]), [
      [0x10000, 8, 8, 5],
      [0x12345, 3, 100, 6],
    ]);
    assertEquals([elf.low, elf.high], [0x10000, 0x12345 + 100]);
    assertEquals(elf.phdr.count, 2);
    assertEquals(elf.phdr.address, 0);
    assertEquals(elf.pie, false);
  }
});

Deno.test("parseElf finds the program headers' address when a segment holds them", () => {
  const bytes = makeElf(good);
  const view = new DataView(bytes.buffer);
  const place = Number(view.getBigUint64(64 + 8, true));
  // One segment that covers the whole file, as linkers make it.
  view.setBigUint64(64 + 8, 0n, true);
  view.setBigUint64(64 + 32, BigInt(bytes.length), true);
  view.setBigUint64(64 + 40, BigInt(bytes.length), true);
  view.setBigUint64(24, BigInt(0x10000 + place), true);
  assertEquals(parse(bytes).phdr.address, 0x10000 + 64);
});

Deno.test("parseElf says what the file is when it is no ELF file", () => {
  const bytes = (s: string) => new TextEncoder().encode(s);
  refuses(new Uint8Array(), "the file is empty");
  refuses(
    bytes("#!/bin/sh\necho\n"),
    "it is a script, not an ELF file; run its interpreter (/bin/sh)",
  );
  refuses(bytes("#!/usr/bin/env python3"), "(/usr/bin/env python3)");
  refuses(bytes("MZ..."), "Windows");
  refuses(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0), "WebAssembly");
  refuses(bytes("hello, world"), "not an ELF file");
  refuses(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46), "truncated");
});

Deno.test("parseElf names the reason when the file cannot be run", () => {
  refuses({ ...good, machine: 62 }, "it is for x86-64 (64-bit); riscv64 and riscv32");
  refuses({ ...good, machine: 999 }, "machine 999");
  refuses({ ...good, type: 1 }, "relocatable object file");
  refuses({ ...good, type: 4 }, "core dump");
  refuses({ ...good, type: 77 }, "ELF type 77");
  refuses(patched((v) => v.setUint8(4, 3)), "class 3");
  refuses(patched((v) => v.setUint8(5, 2)), "big-endian");
  refuses(patched((v) => v.setUint8(5, 9)), "byte order 9");
  refuses(patched((v) => v.setUint8(6, 0)), "version 0");
  refuses(patched((v) => v.setUint16(56, 0, true)), "no program headers");
  refuses(patched((v) => v.setUint16(56, 0xffff, true)), "65535 program headers");
  refuses(patched((v) => v.setUint16(54, 55, true)), "55 bytes long instead of 56");
  refuses(patched((v) => v.setBigUint64(32, 1n << 63n, true)), "program header table");
  refuses({ segments: [] }, "no program headers");
  refuses({ segments: [{ ...text, type: 4 }] }, "no PT_LOAD");
  refuses({ segments: [{ ...text, memorySize: 0 }] }, "no PT_LOAD");
  refuses({ segments: [text, { address: 0x10004, bytes: CODE }] }, "overlap");
  refuses(
    { segments: [text, { address: 0x20000, fileSize: 9, memorySize: 8 }] },
    "more bytes in the file",
  );
  refuses(
    { segments: [text, { address: 0x20000, fileSize: 4096, memorySize: 4096 }] },
    "truncated",
  );
  refuses({ segments: [{ ...text, offset: 1n << 62n }] }, "truncated");
  refuses({ segments: [text, { address: -4096n, memorySize: 8192 }] }, "beyond the address space");
  refuses({ segments: [text, { address: 0x20000, memorySize: -1n }] }, "beyond the address space");
  refuses(
    { class: 32, segments: [text, { address: 0xffff_f000, memorySize: 0x2000 }] },
    "beyond the address space",
  );
  refuses({ segments: [{ ...text, align: 3 }] }, "not a power of two");
  refuses({ segments: [{ ...text, align: (1n << 60n) + 1n }] }, "not a power of two");
  refuses({ segments: [{ ...text, offset: 0, fileSize: 1, address: 0x10001 }] }, "not aligned");
  refuses({ ...good, entry: 0x10008 }, "entry point 0x10008 is not in an executable segment");
  refuses({ segments: [{ ...text, flags: 6 }] }, "not in an executable segment");
  refuses({ ...good, type: 3, entry: 0 }, "shared library");
  const interp = new TextEncoder().encode("/lib/ld.so\0");
  refuses(
    { segments: [text, { type: 3, address: 0x20000, bytes: interp }] },
    "dynamically linked (it needs /lib/ld.so); link it with -static",
  );
  refuses(
    { segments: [text, { type: 3, address: 0, offset: 1n << 63n, fileSize: 5 }] },
    "dynamically",
  );
});

Deno.test("parseElf refuses every truncation of a file whose last byte is loaded", () => {
  const bytes = makeElf(good);
  for (let length = 0; length < bytes.length; length++) {
    assertThrows(() => parse(bytes.subarray(0, length)), ElfError);
  }
});

const options: LoadOptions = {
  argv: ["prog", "", "zwei"],
  envp: ["A=1", "ÄÖ=ü"],
  execfn: "/bin/prog",
  hwcap: 0x112dn,
  random: (bytes) => bytes.forEach((_, i) => bytes[i] = i),
};

interface Stack {
  argv: string[];
  envp: string[];
  aux: Map<number, bigint>;
}

/** Reads the initial stack as a C library does. */
function readStack(memory: AddressSpace, sp: number, word: 4 | 8): Stack {
  const read = (at: number) => word === 8 ? memory.readU64(at) : BigInt(memory.readU32(at));
  let at = sp;
  const next = () => {
    const value = read(at);
    at += word;
    return value;
  };
  const count = Number(next());
  const argv: string[] = [];
  for (let i = 0; i < count; i++) argv.push(memory.readCString(Number(next())));
  assertEquals(next(), 0n);
  const envp: string[] = [];
  for (let p = next(); p !== 0n; p = next()) envp.push(memory.readCString(Number(p)));
  const aux = new Map<number, bigint>();
  for (let type = next(); type !== 0n; type = next()) aux.set(Number(type), next());
  assertEquals(next(), 0n);
  return { argv, envp, aux };
}

Deno.test("loadProgram builds the stack as Linux does when the program starts", () => {
  for (const bits of [32, 64] as const) {
    const memory = space(64 << 20);
    const elf = parse(makeElf({ ...good, class: bits }));
    const loaded = loadProgram(memory, elf, { ...options, platform: "test", hwcap2: 5n, uid: 7 });
    assertEquals(loaded.sp % 16, 0);
    const { argv, envp, aux } = readStack(memory, loaded.sp, bits === 64 ? 8 : 4);
    assertEquals(argv, options.argv);
    assertEquals(envp, options.envp);
    const address = (type: number) => Number(aux.get(type));
    assertEquals(memory.readCString(address(AuxType.EXECFN)), "/bin/prog");
    assertEquals(memory.readCString(address(AuxType.PLATFORM)), "test");
    assertEquals([...memory.read(address(AuxType.RANDOM), 16)], [...Array(16).keys()]);
    assertEquals(aux.get(AuxType.HWCAP), 0x112dn);
    assertEquals(aux.get(AuxType.HWCAP2), 5n);
    assertEquals(aux.get(AuxType.PAGESZ), 4096n);
    assertEquals(aux.get(AuxType.CLKTCK), 100n);
    assertEquals(aux.get(AuxType.ENTRY), 0x10000n);
    assertEquals(aux.get(AuxType.PHNUM), 1n);
    assertEquals(aux.get(AuxType.PHENT), bits === 64 ? 56n : 32n);
    assertEquals([aux.get(AuxType.UID), aux.get(AuxType.EUID)], [7n, 7n]);
    assertEquals([aux.get(AuxType.GID), aux.get(AuxType.EGID)], [1000n, 1000n]);
    assertEquals([aux.get(AuxType.SECURE), aux.get(AuxType.BASE), aux.get(AuxType.FLAGS)], [
      0n,
      0n,
      0n,
    ]);
    // The guard gap is not mapped, the page after the stack neither.
    assert(memory.isFree(loaded.mmapEnd, loaded.stackStart - loaded.mmapEnd));
    assert(memory.isFree(loaded.stackEnd, memory.size - loaded.stackEnd));
    assertEquals(loaded.stackEnd - loaded.stackStart, 8 << 20);
    assert(!memory.isExecutable(loaded.sp, 1));
  }
});

Deno.test("loadProgram maps segments with their rights and zero BSS when they are loaded", () => {
  const memory = space(16 << 20);
  const data: TestSegment = {
    address: 0x12ff0,
    bytes: new Uint8Array(0x20).fill(7),
    memorySize: 0x2000,
    flags: 6,
  };
  const elf = parse(makeElf({ segments: [{ ...text, memorySize: 0x2100 }, data] }));
  const loaded = loadProgram(memory, elf, options);
  assertEquals([...memory.read(0x10000, 8)], [...CODE]);
  assertEquals(memory.read(0x12ff0, 0x20).every((b) => b === 7), true);
  assertEquals(memory.read(0x13010, 0x1fe0).every((b) => b === 0), true);
  assertEquals(loaded.brkStart, 0x15000);
  assert(!memory.isWritable(0x11000, 1) && memory.isExecutable(0x11000, 1));
  // The page that both segments use has the rights of both.
  assert(memory.isWritable(0x12000, 1) && memory.isExecutable(0x12000, 1));
  assert(memory.isWritable(0x14000, 0x1000) && !memory.isExecutable(0x13000, 1));
  assert(memory.isFree(0, 0x10000));
});

Deno.test("loadProgram moves a static PIE to its base when its alignment allows", () => {
  const pie: TestElf = {
    type: 3,
    segments: [{ address: 0x0, bytes: CODE, align: 0x20000 }],
    entry: 4,
  };
  const loaded = loadProgram(space(16 << 20), parse(makeElf(pie)), options);
  assertEquals(loaded.bias, 0x20000);
  assertEquals(loaded.entry, 0x20004);
  const usual = { ...pie, segments: [{ address: 0x0, bytes: CODE }] };
  assertEquals(loadProgram(space(16 << 20), parse(makeElf(usual)), options).entry, PIE_BASE + 4);
});

Deno.test("loadProgram makes the stack executable when the program asks for it", () => {
  const stack: TestSegment = { type: 0x6474e551, address: 0, flags: 7 };
  const memory = space(16 << 20);
  const { sp } = loadProgram(memory, parse(makeElf({ segments: [text, stack] })), options);
  assert(memory.isExecutable(sp, 1));
  assertEquals([...memory.mappings()].at(-1)!.prot, Prot.READ | Prot.WRITE | Prot.EXEC);
});

Deno.test("loadProgram refuses when the program does not fit into guest memory", () => {
  const load = (elf: TestElf, more: Partial<LoadOptions> = {}) =>
    assertThrows(
      () => loadProgram(space(4 << 20), parse(makeElf(elf)), { ...options, ...more }),
      ElfError,
    ).message;
  const bss = { address: 0x20000, memorySize: 2 ** 31, flags: 6 };
  const message = load({ segments: [text, bss] });
  assertStringIncludes(message, "it takes 2049 MiB up to address 0x80020000");
  assertStringIncludes(message, "guest memory is 4 MiB: give more with --memory");
  assertStringIncludes(load({ segments: [{ ...text, address: 0x7000_0000 }] }), "--memory");
  assertStringIncludes(load({ segments: [{ ...text, address: 0x1000 }] }), "0x10000 or above");
  assertStringIncludes(
    load(good, { argv: ["x".repeat(200_000)] }),
    "arguments and environment take",
  );
});

Deno.test("parseElf and loadProgram give a program or an ElfError when 10,000 files are mutated", () => {
  const random = xorshift(0x5eed);
  const data: TestSegment = {
    address: 0x12ff0,
    bytes: new Uint8Array(64),
    memorySize: 0x800,
    flags: 6,
  };
  const seeds = [
    makeElf({ segments: [text, data] }),
    makeElf({ class: 32, segments: [text, data] }),
    makeElf({ type: 3, segments: [{ ...text, address: 0 }, data], entry: 0 }),
  ];
  const memory = space(1 << 20);
  const nasty = [0, 1, 0x7f, 0x80, 0xff];
  let loaded = 0, refused = 0;
  for (let i = 0; i < 10_000; i++) {
    const bytes = seeds[i % seeds.length].slice();
    const changes = 1 + random() % 6;
    for (let c = 0; c < changes; c++) {
      // Mostly the headers: 64 + 2 * 56 bytes.
      const at = random() % (random() % 8 === 0 ? bytes.length : 176);
      bytes[at] = random() % 2 ? random() : nasty[random() % nasty.length];
    }
    const file = random() % 16 === 0 ? bytes.subarray(0, random() % bytes.length) : bytes;
    memory.unmap(0, memory.size);
    try {
      const elf = parseElf(file, "mutant", random() % 4 === 0 ? undefined : TARGETS);
      const { entry, sp } = loadProgram(memory, elf, options);
      assert(memory.isExecutable(entry, 1) && memory.isWritable(sp, 8));
      loaded++;
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      refused++;
    }
  }
  assert(loaded > 500 && refused > 500, `${loaded} loaded, ${refused} refused`);
});
