/*
 * A supervisor: all harts by the supervisor binary interface, their states, interrupts between them, timers.
 */
#include <stdint.h>

typedef uintptr_t word;
enum { BASE = 0x10, IPI = 0x735049, TIME = 0x54494d45, HSM = 0x48534d, RFENCE = 0x52464e43, SRST = 0x53525354 };
#define MAX_HARTS 8

__asm__(
    ".section .text.start, \"ax\"\n"
    ".globl _start, _hart\n"
    "_start: la sp, __stacks_end\n slli t0, a0, 12\n sub sp, sp, t0\n call main\n j .\n"
    ".balign 4\n"
    "_hart: la sp, __stacks_end\n slli t0, a0, 12\n sub sp, sp, t0\n call on_hart\n j .\n"
    ".text\n");
void _hart(void);

struct answer { long error; word value; };

static struct answer sbi(word extension, word function, word a, word b, word c) {
  register word a0 __asm__("a0") = a;
  register word a1 __asm__("a1") = b;
  register word a2 __asm__("a2") = c;
  register word a6 __asm__("a6") = function;
  register word a7 __asm__("a7") = extension;
  __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a6), "r"(a7) : "memory");
  return (struct answer){(long)a0, a1};
}

static void put(const char *text) {
  for (; *text; text++) sbi(1, 0, (word)*text, 0, 0);
}

static void line(const char *name, long value) {
  char digits[24];
  int at = sizeof digits - 1;
  word left = value < 0 ? -(word)value : (word)value;
  digits[at] = 0;
  do digits[--at] = (char)('0' + left % 10);
  while (left /= 10);
  if (value < 0) digits[--at] = '-';
  put(name);
  put(" ");
  put(digits + at);
  put("\n");
}

/* What a started hart does: 1 adds up and stops, 2 waits for interrupts first. */
static volatile word todo;
static volatile word sum, arrived, woken, privilege;

static long status(word hart) { return (long)sbi(HSM, 2, hart, 0, 0).value; }

void on_hart(word hart, word opaque) {
  __atomic_fetch_add(&sum, opaque - hart * 100, __ATOMIC_SEQ_CST);
  __atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
  if (todo == 2) {
    __asm__ volatile("csrs sie, %0" ::"r"((word)2));
    for (;;) {
      word pending;
      __asm__ volatile("wfi\n csrr %0, sip" : "=r"(pending));
      if (pending & 2) break;
    }
    __asm__ volatile("csrc sip, %0" ::"r"((word)2));
    __atomic_fetch_add(&woken, 1, __ATOMIC_SEQ_CST);
  }
  sbi(HSM, 1, 0, 0, 0);
}

static void all(const char *name, word me, int what) {
  long errors = 0;
  int count = 0;
  todo = (word)what;
  sum = arrived = woken = 0;
  for (word hart = 0; hart < MAX_HARTS; hart++) {
    if (hart == me) continue;
    errors |= sbi(HSM, 0, hart, (word)_hart, hart * 100 + 7).error;
    count++;
  }
  line(name, errors);
  while (arrived != (word)count) {
  }
  line("opaque", (long)sum);
  if (what == 2) {
    for (word hart = 0; hart < MAX_HARTS; hart++) {
      if (hart != me && status(hart) != 0) line("not started", (long)hart);
    }
    line("started", sbi(HSM, 0, (me + 1) % MAX_HARTS, (word)_hart, 0).error);
    line("fence", sbi(RFENCE, 1, 0xff, 0, 0).error);
    line("ipi", sbi(IPI, 0, 0xff & ~((word)1 << me), 0, 0).error);
    while (woken != (word)count) {
    }
    line("woken", (long)woken);
  }
  for (word hart = 0; hart < MAX_HARTS; hart++) {
    while (hart != me && status(hart) != 1) {
    }
  }
  put("stopped\n");
}

void main(word me) {
  static const word extensions[] = {BASE, TIME, IPI, RFENCE, HSM, SRST};
  for (unsigned i = 0; i < sizeof extensions / sizeof *extensions; i++) {
    if (sbi(BASE, 3, extensions[i], 0, 0).value == 0) line("no extension", (long)extensions[i]);
  }
  line("unknown", (long)sbi(BASE, 3, 0x12345, 0, 0).value);
  line("not supported", sbi(0x12345, 0, 0, 0, 0).error);
  line("me", status(me));
  line("no hart", sbi(HSM, 0, 99, (word)_hart, 0).error);
  line("no hart", sbi(HSM, 2, 99, 0, 0).error);
  all("first", me, 1);
  all("second", me, 2);
  all("third", me, 1);
  /* A timer of our own. */
  word now, pending = 0;
  __asm__ volatile("rdtime %0" : "=r"(now));
#if __riscv_xlen == 32
  word high;
  __asm__ volatile("rdtimeh %0" : "=r"(high));
  sbi(TIME, 0, now + 20000, high, 0);
#else
  sbi(TIME, 0, now + 20000, 0, 0);
#endif
  __asm__ volatile("csrs sie, %0" ::"r"((word)32));
  while (!(pending & 32)) __asm__ volatile("wfi\n csrr %0, sip" : "=r"(pending));
  word then;
  __asm__ volatile("rdtime %0" : "=r"(then));
  line("on time", then - now >= 20000);
  sbi(TIME, 0, ~(word)0, ~(word)0, 0);
  __asm__ volatile("csrr %0, sip" : "=r"(pending));
  line("pending", (long)(pending & 32));
  sbi(SRST, 0, 0, 0, 0);
}
