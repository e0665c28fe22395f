/*
 * Physical memory protection: modes, rights, priorities, locks, accesses that an entry covers in part, page tables.
 */
#include "system.h"

static uint8_t area[8192] __attribute__((aligned(8192)));

#define CODE(name, text) \
  __attribute__((naked)) static void name(void) { __asm__ volatile(text "\nret"); }
CODE(load, "lw a0, 0(a0)")
CODE(store, "sw zero, 0(a0)")
CODE(fetch, "jr a0")
CODE(load_half, "lhu a0, 0(a0)")
CODE(load_unaligned, "lw a0, 0(a0)")

enum { R = 1, W = 2, X = 4, TOR = 8, NA4 = 16, NAPOT = 24, L = 128 };

/* Entry n: configuration byte and address register. */
static void entry(int n, word config, word address) {
#define E(i) case i: csr_write(pmpaddr##i, address); break;
  switch (n) { E(0) E(1) E(2) E(3) E(4) E(5) E(6) E(7) }
#undef E
  int per = sizeof(word), shift = 8 * (n % per);
#if __riscv_xlen == 64
  csr_clear(pmpcfg0, (word)255 << shift);
  csr_set(pmpcfg0, config << shift);
#else
  if (n < 4) {
    csr_clear(pmpcfg0, (word)255 << shift);
    csr_set(pmpcfg0, config << shift);
  } else {
    csr_clear(pmpcfg1, (word)255 << shift);
    csr_set(pmpcfg1, config << shift);
  }
#endif
}

static word napot(const void *start, word bytes) { return (word)start >> 2 | (bytes / 8 - 1); }

static void reset(void) {
  for (int i = 0; i < 7; i++) entry(i, 0, 0);
  entry(7, R | W | X | NAPOT, ~(word)0);
}

static int locked;

static void try(const char *name, word address) {
  put(name);
  for (int level = MACHINE; level >= USER; level--) {
    if (level == 2) continue;
    put(" ");
    put_number((word)level);
    void (*const codes[])(void) = {load, store, fetch, load_half};
    for (int c = 0; c < 4; c++) {
      /* Stores have overwritten the return that fetches find; where M-mode may not store they have not. */
      if (!locked) *(volatile uint16_t *)(address & ~(word)1) = 0x8082;
      run_at((word)level, (word)codes[c], address);
      put(trap_cause >= 8 ? "." : trap_cause == 1 ? "f" : trap_cause == 5 ? "l" : trap_cause == 7 ? "s" : "?");
      if (trap_cause < 8 && trap_tval != address) put("!");
    }
  }
  put("\n");
}

int main(void) {
  csr_write(medeleg, 0);
  uint8_t *at = area + 4096;
  for (int i = 0; i < 8192; i += 2) *(volatile uint16_t *)(area + i) = 0x8082;
  reset();
  try("open", (word)at);
  for (word rights = 0; rights < 8; rights++) {
    if ((rights & (R | W)) == W) continue;
    reset();
    entry(0, rights | NAPOT, napot(at, 4096));
    try("a page", (word)at);
    entry(0, rights | NA4, (word)at >> 2);
    try("four bytes", (word)at);
    try("behind them", (word)at + 4);
    entry(0, 0, (word)at >> 2);
    entry(1, rights | TOR, (word)(at + 16) >> 2);
    try("a range", (word)at + 12);
    try("before it", (word)at - 4);
    try("behind it", (word)at + 16);
  }
  /* The first entry that matches counts. */
  reset();
  entry(0, R | NAPOT, napot(at, 8));
  entry(1, NAPOT, napot(at, 4096));
  try("the first", (word)at);
  try("the second", (word)at + 8);
  /* An access that an entry matches in part. */
  reset();
  entry(0, R | W | X | NA4, (word)(at + 4) >> 2);
  entry(1, R | W | X | NAPOT, napot(at, 4096));
  for (word offset = 0; offset < 12; offset += 2) {
    run_at(SUPERVISOR, (word)load_unaligned, (word)at + offset);
    put_number(offset);
    put(trap_cause >= 8 ? " in\n" : " part\n");
  }
  /* Nothing matches: M-mode may, others may not. */
  reset();
  entry(7, R | W | X | NAPOT, napot((void *)0x80000000, 0x10000));
  try("no match", 0x80100000);
  /* Locked: M-mode obeys, and the entry stays. */
  reset();
  entry(6, R | L | NAPOT, napot(at, 64));
  locked = 1;
  try("locked", (word)at);
  entry(6, 0, 0);
  try("still locked", (word)at);
  put_hex(csr_read(pmpaddr6) == napot(at, 64));
  put("\n");
  /* A locked range locks its start as well. */
  csr_write(pmpaddr4, (word)(at + 128) >> 2);
  entry(5, R | L | TOR, (word)(at + 160) >> 2);
  csr_write(pmpaddr4, 0);
  put_hex(csr_read(pmpaddr4) == (word)(at + 128) >> 2);
  put("\n");
  try("locked range", (word)at + 128);
  return 0;
}
