/** What Linux shows AArch64 programs: signal frames and system registers; and the registers' names outside. */
import { assert, assertEquals } from "@std/assert";
import { Aarch64 } from "../cpu/aarch64/aarch64.ts";
import { RegisterFile } from "../cpu/engine/register_file.ts";
import { Machine } from "../machine/machine.ts";
import { CONFIGURED } from "./configuration.ts";
import { run, withFolder } from "./emulator.ts";
import { testWith } from "./tools.ts";

const GCC = "aarch64-linux-gnu-gcc";

async function here(program: string) {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  const machine = await Machine.user({
    ...CONFIGURED,
    program,
    stdout: (bytes) => void chunks.push(bytes.slice()),
    stderr: "null",
  });
  const result = await machine.run();
  return { result, stdout: new Uint8Array(await new Blob(chunks).arrayBuffer()) };
}

/** Prints what a signal frame says about faults, and changes V registers and flags in it. */
const FRAMES = `
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <asm/sigcontext.h>
static struct fpsimd_context *vectors;
static char *page;
static void handler(int number, siginfo_t *info, void *context) {
  ucontext_t *u = context;
  struct _aarch64_ctx *head = (void *)u->uc_mcontext.__reserved;
  printf("signal %d, fault_address %lx of page", number, (long)(u->uc_mcontext.fault_address ? u->uc_mcontext.fault_address - (uintptr_t)page : 0));
  for (; head->magic; head = (void *)((char *)head + head->size)) {
    if (head->magic == FPSIMD_MAGIC) vectors = (void *)head, printf(", V %d", (int)vectors->vregs[8]);
    if (head->magic == ESR_MAGIC) printf(", ESR %llx", (unsigned long long)((struct esr_context *)head)->esr);
  }
  puts("");
  if (info->si_code <= 0) return;
  vectors->vregs[8] = ((__uint128_t)7 << 64) + 1 + vectors->vregs[8];
  vectors->fpsr |= 1;
  u->uc_mcontext.pstate ^= 0x40000000;
  u->uc_mcontext.pc += 4;
  if (number == SIGTRAP) head->magic = 5;
}
#define DO(text) do { \\
    unsigned long high, low, flags, status; \\
    __asm__ volatile("msr fpsr, xzr\\n\\tmovi v8.2d, #0\\n\\tins v8.d[0], %5\\n\\tcmp xzr, xzr\\n\\t" text "\\n\\tumov %0, v8.d[1]\\n\\t" \\
      "umov %1, v8.d[0]\\n\\tmrs %2, nzcv\\n\\tmrs %3, fpsr" : "=&r"(high), "=&r"(low), "=&r"(flags), "=&r"(status) \\
      : "r"(page), "r"(41L) : "v8", "cc", "memory", "x9"); \\
    printf("%s: %lu %lu %lx %lx\\n", text, high, low, flags, status); \\
  } while (0)
int main(void) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  setvbuf(stdout, 0, _IONBF, 0);
  page = mmap(0, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(page + 4096, 4096);
  sigaction(SIGSEGV, &action, 0);
  sigaction(SIGBUS, &action, 0);
  sigaction(SIGTRAP, &action, 0);
  DO("str xzr, [%4, #24]");
  DO("add x9, %4, #4096\\n\\tldr x9, [x9, #8]");
  DO("add x9, %4, #4096\\n\\tstr x9, [x9, #8]");
  DO("ldxr x9, [%4]");
  DO("add x9, %4, #4\\n\\tldar x9, [x9]");
  raise(SIGSEGV);
  DO("brk #0");
}
`;

testWith(
  [GCC],
  "a signal frame tells address and syndrome of a fault, and restores V registers",
  async () => {
    await withFolder(async (folder) => {
      await Deno.writeTextFile(`${folder}/p.c`, FRAMES);
      const built = await run([GCC, "-O1", "-w", "-static", "-o", `${folder}/p`, `${folder}/p.c`]);
      assertEquals(built.code, 0, built.stderr);
      const { result, stdout } = await here(`${folder}/p`);
      const changed = ": 7 42 20000000 1";
      assertEquals(new TextDecoder().decode(stdout).split("\n"), [
        "signal 11, fault_address 18 of page, V 41, ESR 9200004f",
        `str xzr, [%4, #24]${changed}`,
        "signal 11, fault_address 1008 of page, V 41, ESR 92000007",
        "add x9, %4, #4096",
        `\tldr x9, [x9, #8]${changed}`,
        "signal 11, fault_address 1008 of page, V 41, ESR 92000047",
        "add x9, %4, #4096",
        `\tstr x9, [x9, #8]${changed}`,
        "ldxr x9, [%4]: 0 41 60000000 0",
        "signal 7, fault_address 4 of page, V 41, ESR 92000021",
        "add x9, %4, #4",
        `\tldar x9, [x9]${changed}`,
        "signal 11, fault_address 0 of page, V 42",
        "signal 5, fault_address 0 of page, V 41",
        "",
      ]);
      // The last handler spoils the list of records.
      assert(result.reason === "signal" && result.name === "SIGSEGV", Deno.inspect(result));
      assert(/rt_sigreturn/.test(result.message ?? ""), result.message);
    });
  },
);

/** Reads each register that EL0 may read, and some that it may not. */
const REGISTERS = `
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/auxv.h>
static sigjmp_buf back;
static void escape(int number) { siglongjmp(back, number); }
#define READ(name) do { \\
    unsigned long value = 0; \\
    int got = sigsetjmp(back, 1); \\
    if (got == 0) __asm__ volatile("mrs %0, " name : "=r"(value)); \\
    printf(got ? "%s SIGILL\\n" : "%s %lx\\n", name, value); \\
  } while (0)
int main(void) {
  signal(SIGILL, escape);
  READ("midr_el1"); READ("mpidr_el1"); READ("revidr_el1");
  READ("id_aa64pfr0_el1"); READ("id_aa64pfr1_el1"); READ("id_aa64isar0_el1"); READ("id_aa64isar1_el1");
  READ("id_aa64mmfr0_el1"); READ("id_aa64mmfr1_el1"); READ("id_aa64dfr0_el1"); READ("s3_0_c0_c7_7");
  READ("ctr_el0"); READ("dczid_el0"); READ("tpidrro_el0"); READ("fpcr"); READ("fpsr");
  READ("s3_0_c0_c0_1"); READ("s3_0_c0_c1_0"); READ("sctlr_el1"); READ("pmccntr_el0"); READ("clidr_el1");
  printf("%lx %lx\\n", getauxval(AT_HWCAP), getauxval(AT_HWCAP2));
  return 0;
}
`;

testWith([GCC], "ID registers are what Linux shows EL0, and say what AT_HWCAP says", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/p.c`, REGISTERS);
    const built = await run([GCC, "-O1", "-w", "-static", "-o", `${folder}/p`, `${folder}/p.c`]);
    assertEquals(built.code, 0, built.stderr);
    const { result, stdout } = await here(`${folder}/p`);
    assertEquals(result.reason === "exit" ? result.status : result, 0);
    assertEquals(new TextDecoder().decode(stdout).trim().split("\n"), [
      ...["midr_el1 410fd083", "mpidr_el1 80000000", "revidr_el1 0"],
      ...["id_aa64pfr0_el1 11", "id_aa64pfr1_el1 0"],
      // AES with PMULL, SHA1, SHA2, CRC32, atomics; LRCPC.
      ...["id_aa64isar0_el1 211120", "id_aa64isar1_el1 100000"],
      ...["id_aa64mmfr0_el1 ff000000", "id_aa64mmfr1_el1 0", "id_aa64dfr0_el1 6"],
      ...["s3_0_c0_c7_7 0", "ctr_el0 b444c004", "dczid_el0 4", "tpidrro_el0 0"],
      ...["fpcr 0", "fpsr 0", "s3_0_c0_c0_1 SIGILL", "s3_0_c0_c1_0 SIGILL"],
      ...["sctlr_el1 SIGILL", "pmccntr_el0 SIGILL", "clidr_el1 SIGILL"],
      // fp, asimd, aes, pmull, sha1, sha2, crc32, atomics, cpuid, lrcpc.
      "89fb 0",
    ]);
  });
});

Deno.test("registers have the names of debuggers when they are read and written", () => {
  const slots = new BigInt64Array(512), file = new RegisterFile(new Aarch64(), slots);
  const value = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210n;
  for (
    const [name, other, want] of [
      ["v7", "q7", value],
      ["v31", "d31", value & 0xffff_ffff_ffff_ffffn],
      ["v0", "v0h", value >> 64n],
      ["x30", "lr", value & 0xffff_ffff_ffff_ffffn],
      ["fp", "x29", value & 0xffff_ffff_ffff_ffffn],
      ["sp", "sp", value & 0xffff_ffff_ffff_ffffn],
      ["nzcv", "cpsr", 0x7000_0000n],
      ["fpcr", "fpcr", 0x0640_0000n],
    ] as const
  ) {
    file.set(name, value);
    assertEquals(file.get(other), want, name);
  }
});
