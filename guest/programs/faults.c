/*
 * faults CASE: dies the way CASE says, after a line that tells so; with no CASE, lists them.
 * `misaligned` is no fault for a program on Linux and ends well.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096

/* Hides a value from the optimiser. */
static void *opaque(void *pointer) {
  __asm__ volatile("" : "+r"(pointer) : : "memory");
  return pointer;
}

static volatile char *pages(int count, int protection) {
  void *address = mmap(NULL, (size_t)count * PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) exit(100);
  return opaque(address);
}

static void call(void *address) {
  void (*function)(void);
  memcpy(&function, &address, sizeof function);
  function();
}

static void null_read(void) { (void)*(volatile int *)opaque(NULL); }
static void null_write(void) { *(volatile int *)opaque(NULL) = 1; }
static void null_call(void) { call(opaque(NULL)); }
static void near_null(void) { (void)*(volatile char *)opaque((void *)4095); }

static void unmapped_read(void) {
  volatile char *area = pages(3, PROT_READ | PROT_WRITE);
  munmap((void *)(area + PAGE), PAGE);
  (void)area[PAGE - 1];
  (void)area[PAGE];
}

static void unmapped_write(void) {
  volatile char *area = pages(3, PROT_READ | PROT_WRITE);
  munmap((void *)(area + PAGE), PAGE);
  area[2 * PAGE] = 1;
  area[2 * PAGE - 1] = 1;
}

/* A wide access of which only the last bytes are in the hole. */
static void straddle_read(void) {
  volatile char *area = pages(2, PROT_READ | PROT_WRITE);
  munmap((void *)(area + PAGE), PAGE);
  (void)*(volatile uint64_t *)(area + PAGE - 4);
}

static void straddle_write(void) {
  volatile char *area = pages(2, PROT_READ | PROT_WRITE);
  mprotect((void *)(area + PAGE), PAGE, PROT_READ);
  *(volatile uint64_t *)(area + PAGE - 4) = 1;
}

static void kernel_read(void) { (void)*(volatile char *)opaque((void *)(UINTPTR_MAX - 100)); }
static void high_read(void) { (void)*(volatile char *)opaque((void *)((uintptr_t)1 << (sizeof(void *) * 8 - 2))); }

static void write_text(void) {
  uintptr_t here;
  void (*function)(void) = write_text;
  memcpy(&here, &function, sizeof here);
  *(volatile char *)opaque((void *)here) = 0;
}

static void write_constant(void) { *(volatile char *)opaque((void *)(uintptr_t)"constant") = 0; }

static void exec_data(void) {
  volatile char *area = pages(1, PROT_READ | PROT_WRITE);
  memcpy((void *)area, "\x67\x80\x00\x00", 4); /* ret, on RISC-V */
  call((void *)area);
}

static void exec_stack(void) {
  volatile uint32_t code[2] = {0x00008067, 0};
  call(opaque((void *)code));
}

static void none_read(void) { (void)*pages(1, PROT_NONE); }
static void none_write(void) { *pages(1, PROT_NONE) = 1; }
static void readonly_write(void) { *pages(1, PROT_READ) = 1; }
static void fill_past_end(void) { memset((void *)pages(1, PROT_READ | PROT_WRITE), 1, 1 << 20); }

static void misaligned(void) {
  volatile char *area = pages(2, PROT_READ | PROT_WRITE);
  uint64_t sum = 0;
  for (int i = 0; i < 2 * PAGE; i++) area[i] = (char)(i * 7);
  for (int i = 0; i < 16; i++) {
    sum = sum * 31 + *(volatile uint64_t *)(area + PAGE - 8 + i);
    sum = sum * 31 + *(volatile uint32_t *)(area + PAGE - 4 + i);
    sum = sum * 31 + *(volatile uint16_t *)(area + PAGE - 1 + i);
    *(volatile uint64_t *)(area + PAGE - 7 + i) = sum;
  }
  printf("misaligned accesses work: %016llx\n", (unsigned long long)sum);
}

static void illegal(void) {
#if defined(__riscv)
  __asm__ volatile(".4byte 0xffffffff");
#elif defined(__aarch64__)
  __asm__ volatile(".4byte 0xffffffff");
#else
  __builtin_trap();
#endif
}

/* All zeros: what one runs into after a jump astray. */
static void illegal_zero(void) {
#if defined(__riscv)
  __asm__ volatile(".2byte 0");
#elif defined(__aarch64__)
  __asm__ volatile("udf #0");
#else
  __builtin_trap();
#endif
}

/* A system register that a program may not touch. */
static void privileged(void) {
#if defined(__riscv)
  __asm__ volatile("csrr zero, mstatus");
#elif defined(__aarch64__)
  __asm__ volatile("mrs x0, ttbr0_el1");
#else
  __builtin_trap();
#endif
}

static void breakpoint(void) {
#if defined(__riscv)
  __asm__ volatile("ebreak");
#elif defined(__aarch64__)
  __asm__ volatile("brk #1");
#else
  __builtin_trap();
#endif
}

#if defined(__aarch64__)
static sigjmp_buf back;
static void escape(int signal_) { siglongjmp(back, signal_); }

/* Instructions of higher exception levels, and exclusives and atomics that are not aligned: the signal of each. */
static void forbidden(void) {
  static uint64_t area[4] __attribute__((aligned(32)));
  signal(SIGILL, escape);
  signal(SIGBUS, escape);
#define TRY(text)                                                                                  \
  do {                                                                                             \
    int got = sigsetjmp(back, 1);                                                                  \
    if (got == 0)                                                                                  \
      __asm__ volatile(".arch_extension lse\n\tadd x1, %0, #1\n\tadd x2, %0, #2\n\tadd x4, %0, #4\n\t" \
                       "add x8, %0, #8\n\t" text                                                 \
                       : : "r"(area) : "x0", "x1", "x2", "x3", "x4", "x6", "x7", "x8", "memory");  \
    printf("%s: signal %d\n", text, got);                                                         \
  } while (0)
  TRY("hvc #0");
  TRY("smc #0");
  TRY("hlt #0");
  TRY("eret");
  TRY("tlbi vmalle1");
  TRY("dc ivac, %0");
  TRY("ic iallu");
  TRY("msr daifset, #2");
  TRY("msr tpidrro_el0, x0");
  TRY("msr cntvct_el0, x0");
  TRY("mrs x0, currentel");
  TRY("mrs x0, vbar_el1");
  TRY("mrs x0, ttbr0_el1");
  TRY("ldxrh w0, [x1]");
  TRY("ldxr w0, [x2]");
  TRY("ldaxr x0, [x4]");
  TRY("ldxp w0, w3, [x4]");
  TRY("ldxp x0, x3, [x8]");
  TRY("ldaddh w0, w0, [x1]");
  TRY("swpal w0, w0, [x2]");
  TRY("ldumaxal x0, x0, [x4]");
  TRY("cash w0, w3, [x1]");
  TRY("casal x0, x3, [x4]");
  TRY("caspal x6, x7, x6, x7, [x8]");
  TRY("ldar x0, [x4]");
  TRY("ldarh w0, [x1]");
  TRY("stlr w0, [x2]");
  TRY("stlrb w0, [x1]");
  TRY("ldr x0, [x1]");
}
#endif

static int recurse(volatile char *above, int depth) {
  volatile char frame[512];
  frame[0] = (char)(above[0] + depth);
  return recurse(frame, depth + 1) + frame[0];
}

static void stack_overflow(void) { printf("%d\n", recurse("", 0)); }
static void aborts(void) { abort(); }
static void double_free(void) {
  void *volatile block = malloc(100);
  void *again = opaque(block);
  free(block);
  free(again);
}

static const struct {
  const char *name;
  void (*run)(void);
} cases[] = {
    {"null-read", null_read},         {"null-write", null_write},         {"null-call", null_call},
    {"near-null", near_null},         {"unmapped-read", unmapped_read},   {"unmapped-write", unmapped_write},
    {"straddle-read", straddle_read}, {"straddle-write", straddle_write}, {"kernel-read", kernel_read},
    {"high-read", high_read},         {"write-text", write_text},         {"write-constant", write_constant},
    {"exec-data", exec_data},         {"exec-stack", exec_stack},         {"none-read", none_read},
    {"none-write", none_write},       {"readonly-write", readonly_write}, {"fill-past-end", fill_past_end},
    {"misaligned", misaligned},       {"illegal", illegal},               {"illegal-zero", illegal_zero},
    {"privileged", privileged},       {"breakpoint", breakpoint},         {"stack-overflow", stack_overflow},
#if defined(__aarch64__)
    {"forbidden", forbidden},
#endif
    {"abort", aborts},                {"double-free", double_free},
};

int main(int argc, char **argv) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    if (argc < 2) {
      printf("%s\n", cases[i].name);
    } else if (strcmp(argv[1], cases[i].name) == 0) {
      printf("about to: %s\n", cases[i].name);
      fflush(stdout);
      cases[i].run();
      printf("survived: %s\n", cases[i].name);
      return 0;
    }
  }
  return argc < 2 ? 0 : 2;
}
