/** Real programs as the Debian cross compiler makes them: what they print and how they end is what QEMU says. */
import { assert, assertEquals } from "@std/assert";
import { Machine, type RunResult } from "../machine/machine.ts";
import { CONFIGURED } from "./configuration.ts";
import {
  buildC,
  buildGuest,
  compilers,
  file,
  run,
  type Target,
  TARGETS,
  withFolder,
} from "./emulator.ts";
import { testWith } from "./tools.ts";

/** One run of a program. */
interface Case {
  args?: string[];
  stdin?: string;
  env?: Record<string, string>;
  /** A fresh directory, the same path on both sides, is the first argument; with this name in it, if given. */
  folder?: string;
  /** Host directories that the guest sees at their own place, if they are there. */
  reads?: string[];
}

/** A program and what it is run with. */
interface Program {
  source: string;
  flags?: string[];
  /** The only instruction set that it is for. */
  target?: Target;
  cases: Case[];
}

const PROGRAMS: Program[] = [
  { source: "allocation.c", cases: [{}, { args: ["16"] }] },
  { source: "codegen.c", target: "riscv64", cases: [{}] },
  { source: "containers.cc", cases: [{}] },
  { source: "directory.c", cases: [{ folder: "" }] },
  {
    source: "environment.c",
    cases: [
      {},
      { args: ["a", "b c", "", "ü\n"], env: { A: "1", B: "", REMOVED: "x", "ä": "ö" } },
    ],
  },
  {
    source: "exceptions.cc",
    cases: [{}, { args: ["noexcept"] }, { args: ["uncaught"] }, { args: ["exit"] }],
  },
  { source: "fileio.c", cases: [{ folder: "/file" }] },
  { source: "math.c", cases: [{}] },
  { source: "memory_map.c", cases: [{}] },
  { source: "pipes.c", cases: [{}] },
  { source: "process.c", cases: [{}] },
  { source: "random.c", cases: [{}] },
  { source: "setjmp.c", cases: [{}] },
  { source: "signals.c", cases: [{}, { args: ["10"] }, { args: ["6"] }, { args: ["9"] }] },
  {
    source: "stdio.c",
    cases: [{}, { stdin: "one line\nand one without an end" }, { stdin: "x\n".repeat(30_000) }],
  },
  { source: "strings.c", cases: [{ reads: ["/usr/lib/locale"] }] },
  { source: "timing.c", cases: [{}] },
  // Without compressed instructions, and with the bit manipulation that RVA22 adds.
  { source: "stdio.c", flags: ["-march=rv64g"], target: "riscv64", cases: [{ stdin: "a\nb\n" }] },
  {
    source: "strings.c",
    target: "riscv64",
    flags: ["-march=rv64gc_zba_zbb_zbs", "-O3"],
    cases: [{ reads: ["/usr/lib/locale"] }],
  },
  {
    source: "math.c",
    target: "riscv64",
    flags: ["-march=rv64gc_zba_zbb_zbs", "-O3", "-ffp-contract=fast"],
    cases: [{}],
  },
  // Vectorized, and with atomics that have no run-time choice; position-independent, relocating itself.
  {
    source: "strings.c",
    target: "aarch64",
    flags: ["-O3", "-march=armv8-a+lse+crc", "-mno-outline-atomics"],
    cases: [{ reads: ["/usr/lib/locale"] }],
  },
  { source: "math.c", target: "aarch64", flags: ["-O3", "-ffp-contract=off"], cases: [{}] },
  { source: "stdio.c", target: "aarch64", flags: ["-static-pie"], cases: [{ stdin: "a\nb\n" }] },
];

/** How a program ended: what both sides tell. */
interface End {
  stdout: string;
  /** Exit status, 128 + n after signal n. */
  status: number;
}

async function inTrapdoor(
  program: string,
  { args = [], stdin, env = {} }: Case,
  dirs: string[],
): Promise<
  End & { result: RunResult; stderr: string }
> {
  const text = { stdout: "", stderr: "" };
  const collect = (name: "stdout" | "stderr") => {
    const decoder = new TextDecoder();
    return (bytes: Uint8Array) => {
      text[name] += decoder.decode(bytes, { stream: true });
    };
  };
  await using machine = await Machine.user({
    program,
    args,
    env,
    dirs,
    ...CONFIGURED,
    stdin: stdin ?? "null",
    stdout: collect("stdout"),
    stderr: collect("stderr"),
  });
  const result = await machine.run();
  assert("status" in result, `${program} ended with ${Deno.inspect(result)}`);
  return { ...text, status: result.status, result };
}

async function inQemu(
  program: string,
  { args = [], stdin, env = {} }: Case,
  target: Target = "riscv64",
): Promise<End> {
  const ran = await run([`qemu-${target}`, program, ...args], {
    env: { PATH: Deno.env.get("PATH") ?? "", ...env },
    ...(stdin === undefined ? {} : { stdin }),
  });
  return { stdout: ran.stdout, status: ran.code };
}

/** QEMU passes PATH on to its guest; ours gets it too where it shows. */
function sameEnvironment(each: Case): Case {
  return { ...each, env: { PATH: Deno.env.get("PATH") ?? "", ...each.env } };
}

function present(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

for (const { source, flags = [], cases, target } of PROGRAMS) {
  for (const each of target ? [target] : TARGETS) test(source, flags, cases, each);
}

function test(source: string, flags: string[], cases: Case[], target: Target): void {
  const path = `guest/programs/${source}`;
  const how = flags.length > 0 ? ` with ${flags.join(" ")}` : "";
  testWith(
    [...compilers(source, target), `qemu-${target}`],
    `${source} ends as under QEMU when it is built for ${target}${how}`,
    async () => {
      const program = await buildGuest(path, flags, target);
      for (const each of cases) {
        await withFolder(async (folder) => {
          const inside = each.folder === undefined ? [] : [folder + each.folder];
          const one = sameEnvironment({ ...each, args: [...inside, ...each.args ?? []] });
          const expected = await inQemu(program, one, target);
          const reads = (each.reads ?? []).filter(present).map((dir) => `${dir}::ro`);
          const dirs = each.folder === undefined ? reads : [folder, ...reads];
          const { stdout, status } = await inTrapdoor(program, one, dirs);
          assert(expected.stdout.length > 20, "the program says too little to compare");
          assertEquals({ stdout, status }, expected, `${source} ${one.args?.join(" ")}`);
          assertEquals([...Deno.readDirSync(folder)], [], "nothing is left behind");
        });
      }
    },
  );
}

/** A position-independent program that relocates itself, as rcrt1.o would if this C library had it. */
const PIE = `
#include <elf.h>
#include <stdint.h>
extern __attribute__((visibility("hidden"))) Elf64_Dyn _DYNAMIC[];
static const char first[] = "first\\n", second[] = "second\\n";
static const char *const texts[] = {first, second, first};
static long call(long number, long a, long b, long c) {
  register long a0 __asm__("a0") = a;
  register long a1 __asm__("a1") = b;
  register long a2 __asm__("a2") = c;
  register long a7 __asm__("a7") = number;
  __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
  return a0;
}
__attribute__((used)) static void start(uintptr_t *stack) {
  uintptr_t base = 0, i = *stack + 2;
  while (stack[i++]) {}
  for (; stack[i]; i += 2) {
    if (stack[i] == 3) base = stack[i + 1] - 64; /* AT_PHDR: behind the file's header */
  }
  Elf64_Rela *rela = 0;
  uint64_t size = 0, done = 0;
  for (Elf64_Dyn *dyn = _DYNAMIC; dyn->d_tag; dyn++) {
    if (dyn->d_tag == DT_RELA) rela = (Elf64_Rela *)(base + dyn->d_un.d_ptr);
    if (dyn->d_tag == DT_RELASZ) size = dyn->d_un.d_val;
  }
  for (; done < size; done += sizeof *rela, rela++) {
    if (ELF64_R_TYPE(rela->r_info) == R_RISCV_RELATIVE) {
      *(uintptr_t *)(base + rela->r_offset) = base + rela->r_addend;
    }
  }
  for (unsigned n = 0; n < 3; n++) {
    const char *text = ((const char *const volatile *)texts)[n];
    long length = 0;
    while (text[length]) length++;
    call(64, 1, (long)text, length);
  }
  call(94, base % 4096 == 0 && base != 0 ? 5 : 6, 0, 0);
}
__asm__(".globl _start\\n_start: mv a0, sp\\n\\tcall start");
`;

testWith(
  ["riscv64-linux-gnu-gcc", "qemu-riscv64"],
  "a static position-independent program ends as under QEMU when it relocates itself",
  async () => {
    const flags = [
      ...["-static-pie", "-Wl,-static,-pie,--no-dynamic-linker", "-fPIE"],
      ...["-nostdlib", "-ffreestanding", "-DTRAPDOOR_HOSTED=0"],
    ];
    const program = await buildC(PIE, flags);
    const { stdout, status } = await inTrapdoor(program, {}, []);
    assertEquals({ stdout, status }, { stdout: "first\nsecond\nfirst\n", status: 5 });
    assertEquals(await inQemu(program, {}), { stdout, status });
  },
);

/** Cases of faults.c whose fault is an access: what the guest must be told about its address. */
const ACCESSES: Record<string, (address: bigint, pc: bigint) => boolean> = {
  "null-read": (address) => address === 0n,
  "null-write": (address) => address === 0n,
  "null-call": (address, pc) => address === 0n && pc === 0n,
  "near-null": (address) => address === 4095n,
  "unmapped-read": (address) => address % 4096n === 0n,
  "unmapped-write": (address) => address % 4096n === 4095n,
  "straddle-read": (address) => address % 4096n === 0n,
  "straddle-write": (address) => address % 4096n === 0n,
  "kernel-read": (address) => address === 2n ** 64n - 101n,
  "high-read": (address) => address === 2n ** 62n,
  "exec-data": (address, pc) => address === pc && pc % 4096n === 0n,
  "exec-stack": (address, pc) => address === pc,
  "none-read": (address) => address % 4096n === 0n,
  "none-write": (address) => address % 4096n === 0n,
  "readonly-write": (address) => address % 4096n === 0n,
  "fill-past-end": (address) => address % 4096n === 0n,
};

for (const target of TARGETS) {
  testWith(
    [...compilers("faults.c", target), `qemu-${target}`],
    `faults.c for ${target} dies of the same signal as under QEMU when it does each thing that is forbidden`,
    () => checkFaults(target),
  );
}

/** The cases that depend on the instruction set, for all but the first one. */
const OWN = /^(illegal|priv|break|forbid|null-call|near-null|straddle|misaligned|exec-data)/;

async function checkFaults(target: Target): Promise<void> {
  const program = await buildGuest("guest/programs/faults.c", [], target);
  const names = (await inQemu(program, {}, target)).stdout.trim().split("\n");
  assert(names.length >= 26, `${names}`);
  assertEquals(Object.keys(ACCESSES).filter((name) => !names.includes(name)), []);
  for (const name of names.filter((name) => target === TARGETS[0] || OWN.test(name))) {
    const expected = await inQemu(program, { args: [name] }, target);
    const { stdout, status, result } = await inTrapdoor(program, { args: [name] }, []);
    assertEquals({ stdout, status }, expected, name);
    if (status < 128) continue;
    assert(result.reason === "signal", name);
    assertEquals(result.signal, status - 128);
    assertEquals(result.registers.length, 8);
    const right = ACCESSES[name];
    if (!right) continue;
    const where = `${name}: pc ${result.pc.toString(16)}, address ${result.address?.toString(16)}`;
    assert(result.address !== undefined && right(result.address, result.pc), where);
  }
}

testWith(
  ["riscv64-linux-gnu-gcc"],
  "faults.c names pc and address of the instruction when the debugger's symbols are asked",
  async () => {
    const program = await buildGuest("guest/programs/faults.c", ["-static", "-g"]);
    const symbols = await run(["riscv64-linux-gnu-nm", program]);
    const named = new Map(
      symbols.stdout.split("\n").map((line) => {
        const [address, , name] = line.split(" ");
        return [name, BigInt(`0x${address || 0}`)];
      }),
    );
    for (const [name, symbol] of [["null-write", "null_write"], ["write-text", "write_text"]]) {
      const { result } = await inTrapdoor(program, { args: [name] }, []);
      assert(result.reason === "signal");
      const start = named.get(symbol);
      assert(start !== undefined, `${symbol} has an address`);
      assert(result.pc >= start && result.pc < start + 32n, `${name}: ${result.pc.toString(16)}`);
    }
  },
);

testWith(
  ["riscv64-linux-gnu-gcc"],
  "every test program is run when the folder is compared with the tests",
  async () => {
    const tested = new Set([...PROGRAMS.map(({ source }) => source), "faults.c", "channel.c"]);
    const there: string[] = [];
    for await (const { name } of Deno.readDir(file("guest/programs"))) {
      if (/\.(c|cc)$/.test(name)) there.push(name);
    }
    assertEquals(there.filter((name) => !tested.has(name)), []);
  },
);
