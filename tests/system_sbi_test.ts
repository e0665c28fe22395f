import { assertEquals, assertStringIncludes, fail } from "@std/assert";
import { file, run } from "./emulator.ts";
import { openSupervisor, Sbi } from "../machine/system/sbi.ts";
import { makeBoard } from "./system_board.ts";
import { BARE_METAL_GCC, runMachine } from "./system_guest.ts";
import { testUnless, testWith, tool } from "./tools.ts";

const HARTS = 8;
const FLAGS = {
  64: ["-march=rv64gc", "-mabi=lp64d"],
  32: ["-march=rv32gc", "-mabi=ilp32d"],
} as const;
const OPENSBI = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin";

const EXPECTED = `unknown 0
not supported -2
me 0
no hart -3
no hart -3
first 0
opaque 49
stopped
second 0
opaque 49
started -6
fence 0
ipi 0
woken 7
stopped
third 0
opaque 49
stopped
on time 1
pending 0
`;

/** Builds the supervisor, which is behind firmware. */
async function build(folder: string, xlen: 32 | 64): Promise<string> {
  const program = `${folder}/supervisor${xlen}`,
    source = (name: string) => file(`guest/system/${name}`);
  const { code, stderr } = await run([
    ...[BARE_METAL_GCC, ...FLAGS[xlen], "-O1", "-ffreestanding", "-nostdlib", "-mcmodel=medany"],
    ...["-Wall", "-Wextra", "-Werror", "-Wno-main", "-fno-tree-loop-distribute-patterns"],
    ...["-Wl,--nmagic", "-Wl,--build-id=none", "-Wl,--defsym=BASE=0x80400000"],
    ...["-T", source("supervisor.ld"), source("supervisor.c"), "-lgcc", "-o", program],
  ]);
  if (code !== 0) fail(stderr);
  return program;
}

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

for (const xlen of [64, 32] as const) {
  testWith(
    [BARE_METAL_GCC],
    `Sbi with ${xlen} bits starts, wakes and stops 8 harts when a supervisor asks for it`,
    () =>
      inFolder(async (folder) => {
        const kernel = await build(folder, xlen);
        for (const icount of [false, true]) {
          const { output, reason } = await runMachine({ kernel, harts: HARTS, icount });
          assertEquals(output, EXPECTED);
          assertEquals(reason, "poweroff");
        }
      }),
  );
}

/** What is not there of what the comparison needs. */
function missing(): string[] {
  const tools = [BARE_METAL_GCC, "qemu-system-riscv64"].filter((name) => tool(name) === undefined);
  try {
    Deno.statSync(OPENSBI);
    return tools;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return [...tools, `${OPENSBI} (Debian package opensbi)`];
  }
}

testUnless(
  missing(),
  "a supervisor sees of OpenSBI on 8 harts what it sees of the built-in SBI, here and in QEMU",
  () =>
    inFolder(async (folder) => {
      const kernel = await build(folder, 64);
      const mine = await runMachine({ bios: OPENSBI, kernel, harts: HARTS }, 2e9);
      assertStringIncludes(mine.output.replaceAll("\r", ""), EXPECTED);
      const { code, stdout, stderr } = await run([
        ...["qemu-system-riscv64", "-machine", "virt", "-nographic", "-smp", String(HARTS)],
        ...["-m", "64M", "-bios", OPENSBI, "-kernel", kernel],
      ]);
      if (code !== 0) fail(stderr);
      assertStringIncludes(stdout.replaceAll("\r", ""), EXPECTED);
    }),
);

Deno.test("Sbi counts a supervisor's instructions, and interrupts when a counter overflows", () => {
  for (const xlen of [64, 32] as const) {
    const board = makeBoard({ xlen });
    const { cpu, harts: [hart], bus } = board, stopped = [false];
    const sbi = new Sbi({ board, stopped, finish: () => {}, send: () => {}, receive: () => -1 });
    // addi a0, a0, 1; j .-4
    bus.ram.write(0, new Uint8Array(new Uint32Array([0x00150513, 0xffdff06f]).buffer));
    openSupervisor(hart);
    cpu.start(0x8000_0000);
    const call = (fid: number, ...args: (bigint | number)[]) => {
      args.forEach((arg, i) => cpu.setRegister(`a${i}`, arg));
      cpu.setRegister("a6", fid);
      cpu.setRegister("a7", 0x50_4d55);
      assertEquals(sbi.call(), true);
      const error = Number(BigInt.asIntN(32, cpu.getRegister("a0")));
      return error === 0 ? cpu.getRegister("a1") : error;
    };
    const [INSTRUCTIONS, CACHE_MISSES, MINH] = [2, 4, 128];
    assertEquals(call(0), 7n);
    assertEquals([call(1, 2), call(1, 7)], [-3, -3]);
    assertEquals(call(1, 3), 0xc03n | 63n << 12n);
    assertEquals(call(2, 0, 0x78, MINH, CACHE_MISSES, 0, 0), -2);
    assertEquals(call(2, 0, 0x07, MINH, INSTRUCTIONS, 0, 0), -3);
    const counters = [1, 2, 3, 4, 5].map(() => call(2, 0, 0x78, MINH | 2, INSTRUCTIONS, 0, 0));
    assertEquals(counters, [3n, 4n, 5n, 6n, -2]);
    assertEquals(hart.counters.value(1), 0n);
    // So that it overflows.
    assertEquals(call(3, 4, 1, 1, xlen === 64 ? -5000n : -5000n & 0xffff_ffffn, 0xffff_ffff), 0n);
    assertEquals(call(3, 4, 1, 0, 0, 0), -7);
    cpu.run(2000, true);
    assertEquals([hart.counters.value(0), hart.counters.value(1)], [0n, (1n << 64n) - 3000n]);
    assertEquals(hart.counters.overflows, 0n);
    cpu.run(4000, true);
    assertEquals([hart.counters.value(1), hart.counters.overflows], [1000n, 1n << 4n]);
    assertEquals(hart.mip >> 13 & 1, 1);
    assertEquals(call(4, 4, 1, 1), 0n);
    assertEquals([call(4, 4, 1, 0), call(3, 4, 1, 0, 0, 0), call(9)], [-8, -3, -2]);
    cpu.run(100, true);
    assertEquals(hart.counters.value(1), 1000n);
    // It is free again.
    assertEquals(call(2, 3, 2, 2 | 4, INSTRUCTIONS, 0, 0), 4n);
    cpu.run(100, true);
    assertEquals(hart.counters.value(1), 100n);
  }
});

Deno.test("Sbi.call fences the pages and the address space that a supervisor names, of the harts that it names", () => {
  for (const xlen of [64, 32] as const) {
    const board = makeBoard({ xlen, harts: 2 });
    const { cpu, harts } = board, ASID = 5n, USER = 0, PAGES = 100, BASE = 0x4000_0000;
    harts.forEach(openSupervisor);
    for (const hart of harts) hart.satp = ASID << (xlen === 64 ? 44n : 22n);
    const sbi = new Sbi({
      ...{ board, stopped: [false, false], finish: () => {}, send: () => {}, receive: () => -1 },
    });
    const ones = (1n << BigInt(xlen)) - 1n;
    /** Numbers of the pages that each hart has forgotten after a call. */
    const forgotten = (extension: bigint, ...args: bigint[]) => {
      for (const { tlb } of cpu.harts) {
        for (let i = 0; i < PAGES; i++) tlb.enter(USER, false, BASE + i * 4096, 0, i * 4096);
      }
      args.forEach((arg, i) => cpu.setRegister(i < 5 ? `a${i}` : "a6", arg));
      cpu.setRegister("a7", extension);
      assertEquals([sbi.call(), cpu.getRegister("a0")], [true, 0n]);
      return cpu.harts.map(({ tlb }) => {
        const pages = Array.from({ length: PAGES }, (_, i) => i);
        return pages.filter((i) => tlb.find(USER, false, BASE + i * 4096, 0) < 0);
      });
    };
    const RFENCE = 0x5246_4e43n,
      base = BigInt(BASE),
      all = Array.from({ length: PAGES }, (_, i) => i);
    const fence = (fid: bigint, start: bigint, bytes: bigint, asid: bigint, harts = 2n) =>
      forgotten(RFENCE, harts, 0n, start, bytes, asid, fid);
    assertEquals(fence(0n, 0n, 0n, 0n), [[], []]);
    assertEquals(fence(1n, base + 4096n, 8192n, 99n), [[], [1, 2]]);
    assertEquals(fence(1n, base + 4095n, 2n, 99n, 3n), [[0, 1], [0, 1]]);
    assertEquals(fence(1n, 0n, 0n, 99n), [[], all]);
    assertEquals(fence(1n, base, ones, 99n), [[], all]);
    assertEquals(fence(1n, base, 65n * 4096n, 99n), [[], all]);
    assertEquals(fence(1n, base + 99n * 4096n, 64n * 4096n, 99n), [[], [99]]);
    assertEquals(fence(2n, base, 4096n, ASID), [[], [0]]);
    assertEquals(fence(2n, base, 4096n, ASID + 1n), [[], []]);
    assertEquals(fence(2n, 0n, 0n, ASID | 1n << 20n), [[], all]);
    // The legacy extension has its mask at a virtual address: 0 is all harts.
    assertEquals(forgotten(6n, 0n), [all, all]);
    assertEquals(forgotten(7n, 0n, 0n, 0n, ASID + 1n), [[], []]);
    cpu.select(1);
    cpu.setRegister("a1", 0n);
    assertEquals(fence(1n, base, 1n, 0n, 1n), [[0], []]);
  }
});
