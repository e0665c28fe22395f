#include "system.h"

void put(const char *text) {
  for (; *text; text++) *UART = (uint8_t)*text;
}

void put_hex(word value) {
  char digits[2 * sizeof value + 1];
  int at = sizeof digits - 1;
  digits[at] = 0;
  do {
    digits[--at] = "0123456789abcdef"[value & 15];
    value >>= 4;
  } while (value);
  put("0x");
  put(digits + at);
}

void put_number(word value) {
  char digits[24];
  int at = sizeof digits - 1;
  digits[at] = 0;
  do {
    digits[--at] = (char)('0' + value % 10);
    value /= 10;
  } while (value);
  put(digits + at);
}

void report(const char *name) {
  put(name);
  put(": level ");
  put_number((word)trap_level);
  put(" cause ");
  put_hex(trap_cause);
  put(" tval ");
  put_hex(trap_tval);
  put("\n");
}

void finish(void) {
  FINISHER = 0x5555;
  for (;;) __asm__ volatile("wfi");
}

void open_pmp(void) {
  csr_write(pmpaddr0, ~(word)0);
  csr_write(pmpcfg0, 0x1f);
}

void flush_tlb(void) { __asm__ volatile("sfence.vma" ::: "memory"); }

/* GCC makes calls of these. */
void *memset(void *to, int value, unsigned long count) {
  volatile unsigned char *at = to;
  while (count--) *at++ = (unsigned char)value;
  return to;
}

void *memcpy(void *to, const void *from, unsigned long count) {
  volatile unsigned char *at = to;
  const unsigned char *source = from;
  while (count--) *at++ = *source++;
  return to;
}
