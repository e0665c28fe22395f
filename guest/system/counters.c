/*
 * Event counters (Sscofpmf): what they count, at which levels, who may read them, overflow and its interrupt.
 */
#include "system.h"

#define INSTRUCTIONS 2
#define LCOFI ((word)1 << 13)
#define FILTER(bit) ((uint32_t)1 << ((bit) - 32)) /* In the upper half of mhpmevent. */
enum { OF = 63, MINH = 62, SINH = 61, UINH = 60 };

static void set_event(uint32_t high, uint32_t low) {
#if __riscv_xlen == 64
  csr_write(mhpmevent3, (word)high << 32 | low);
#else
  csr_write(mhpmevent3, low);
  csr_write(0x723, high);
#endif
}

static uint32_t event_high(void) {
#if __riscv_xlen == 64
  return (uint32_t)(csr_read(mhpmevent3) >> 32);
#else
  return csr_read(0x723);
#endif
}

static void set_counter(int64_t value) {
#if __riscv_xlen == 64
  csr_write(mhpmcounter3, value);
#else
  csr_write(mhpmcounter3h, value >> 32);
  csr_write(mhpmcounter3, value);
#endif
}

static void line(const char *name, word value) {
  put(name);
  put(" ");
  put_hex(value);
  put("\n");
}

__attribute__((noinline)) static void spin(word count) {
  while (count--) __asm__ volatile("");
}

/* For other levels; they end by an ecall. */
static void work(word count) { spin(count); }
static void for_ever(word unused) {
  (void)unused;
  csr_set(sstatus, MSTATUS_SIE);
  for (;;) __asm__ volatile("");
}
static void read_counter(word unused) {
  (void)unused;
  word value;
  __asm__ volatile("csrr %0, hpmcounter3" : "=r"(value));
  __asm__ volatile("mv a0, %0\necall" ::"r"(value) : "a0");
}
static void read_overflows(word unused) {
  (void)unused;
  word value;
  __asm__ volatile("csrr %0, 0xda0" : "=r"(value));
  __asm__ volatile("mv a0, %0\necall" ::"r"(value) : "a0");
}

/* How much the counter went on while code ran at a level. */
static word counted(word level, word count) {
  word before = csr_read(mhpmcounter3);
  run_at(level, (word)work, count);
  return csr_read(mhpmcounter3) - before;
}

int main(void) {
  open_pmp();
  csr_write(medeleg, 0);
  csr_write(mcounteren, 0);
  /* Without an event it stands still; what does not exist is 0. */
  set_counter(77);
  spin(100);
  line("still", csr_read(mhpmcounter3));
  csr_write(mhpmcounter7, 5);
  csr_write(mhpmevent7, INSTRUCTIONS);
  csr_write(mhpmcounter31, 5);
  line("absent", csr_read(mhpmcounter7) | csr_read(mhpmevent7) | csr_read(mhpmcounter31));
  /* It counts what minstret counts. */
  set_event(0, INSTRUCTIONS);
  word i = csr_read(minstret), h = csr_read(mhpmcounter3);
  spin(1000);
  word i2 = csr_read(minstret), h2 = csr_read(mhpmcounter3);
  line("same", h2 - h == i2 - i && h2 - h > 2000);
  word inhibit = 1 << 3;
  csr_write(mcountinhibit, inhibit);
  h = csr_read(mhpmcounter3);
  spin(1000);
  line("inhibited", csr_read(mhpmcounter3) - h);
  line("mcountinhibit", csr_read(mcountinhibit));
  csr_write(mcountinhibit, 0);
  set_counter(0x123456789a);
  h = csr_read(mhpmcounter3);
  line("written", h - (word)0x123456789a < 10);
#if __riscv_xlen == 32
  line("high", csr_read(mhpmcounter3h));
#endif
  /* Levels that don't count. */
  static const struct { const char *name; uint32_t high; } filters[] = {
      {"none", 0}, {"M", FILTER(MINH)}, {"S", FILTER(SINH)}, {"U", FILTER(UINH)},
      {"M and S", FILTER(MINH) | FILTER(SINH)}, {"all", FILTER(MINH) | FILTER(SINH) | FILTER(UINH)}};
  for (unsigned f = 0; f < sizeof filters / sizeof *filters; f++) {
    set_event(filters[f].high, INSTRUCTIONS);
    put(filters[f].name);
    for (word level = 0; level <= 3; level++) {
      if (level == 2) continue;
      word n = counted(level, 5000) / 5000;
      put(n > 0 ? " counts" : " -");
    }
    put("\n");
  }
  /* Who may read it. */
  set_event(FILTER(MINH) | FILTER(SINH) | FILTER(UINH), INSTRUCTIONS);
  set_counter(4711);
  for (int allowed = 0; allowed < 4; allowed++) {
    csr_write(mcounteren, allowed & 1 ? 8 : 0);
    csr_write(scounteren, allowed & 2 ? 8 : 0);
    for (word level = 0; level <= 1; level++) {
      run_at(level, (word)read_counter, 0);
      put_hex(trap_cause == 2 ? 2 : trap_result);
      put(" ");
    }
  }
  put("\n");
  /* Overflow: OF, scountovf and the interrupt; nothing more while OF is set. */
  csr_write(mcounteren, 0);
  csr_clear(mip, LCOFI);
  set_event(0, INSTRUCTIONS);
  set_counter(-3000);
  spin(500);
  line("not yet", (csr_read(mip) & LCOFI) | (event_high() & FILTER(OF)) | csr_read(0xda0));
  while (!(csr_read(mip) & LCOFI)) {
  }
  line("overflow", event_high() >> 31);
  line("scountovf", csr_read(0xda0));
  run_at(SUPERVISOR, (word)read_overflows, 0);
  line("hidden", trap_result);
  csr_write(mcounteren, 8);
  run_at(SUPERVISOR, (word)read_overflows, 0);
  line("shown", trap_result);
  run_at(USER, (word)read_overflows, 0);
  line("cause", trap_cause);
  csr_clear(mip, LCOFI);
  set_counter(-3000);
  spin(200000);
  line("once", (csr_read(mip) & LCOFI) | csr_read(0xda0));
  /* The interrupt, delegated. */
  csr_set(mideleg, LCOFI);
  csr_set(mie, LCOFI);
  set_event(FILTER(MINH), INSTRUCTIONS);
  set_counter(-10000);
  run_at(SUPERVISOR, (word)for_ever, 0);
  line("level", (word)trap_level);
  line("cause", trap_cause & 0xff);
  line("interrupt", trap_cause >> (8 * sizeof(word) - 1));
  line("sip", csr_read(sip) & LCOFI);
  csr_clear(sip, LCOFI);
  line("sip", csr_read(sip) & LCOFI);
  line("counted", csr_read(mhpmcounter3) < 200000);
  return 0;
}
