import { assertEquals, assertStringIncludes, fail } from "@std/assert";
import { file, run } from "./emulator.ts";
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
