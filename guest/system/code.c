/*
 * Code that changes: fence.i, the same code in two places, another address space, code at the end of a page; floating
 * point and atomics with paging; two harts.
 */
#include "system.h"

#if __riscv_xlen == 64
typedef uint64_t entry;
#define SATP(asid, root) ((word)8 << 60 | (word)(asid) << 44 | (word)(root) >> 12)
#define INDEX(address, level) ((address) >> (12 + 9 * (level)) & 511)
#define TOP 2
#else
typedef uint32_t entry;
#define SATP(asid, root) ((word)1 << 31 | (word)(asid) << 22 | (word)(root) >> 12)
#define INDEX(address, level) ((address) >> (12 + 10 * (level)) & 1023)
#define TOP 1
#endif
#define LEAF(address, flags) ((entry)((word)(address) >> 12) << 10 | (flags))
enum { V = 1, RWX = 14, U = 16, A = 64, D = 128, ALL = V | RWX | A | D };

static entry root[2][1024] __attribute__((aligned(4096)));
#if __riscv_xlen == 64
static entry middle[2][1024] __attribute__((aligned(4096)));
#endif
static entry small[2][1024] __attribute__((aligned(4096)));
static uint16_t code[4][2048] __attribute__((aligned(4096)));
#define PLACE ((word)0x40000000)

/* c.li a0, n; ret */
static void make(volatile uint16_t *at, int n) {
  at[0] = (uint16_t)(0x4501 | n << 2);
  at[1] = 0x8082;
}

static void fence_i(void) { __asm__ volatile("fence.i" ::: "memory"); }

static word call(word address) {
  run_at(SUPERVISOR, address, 0);
  return trap_cause == 9 ? trap_result : 1000 + trap_cause;
}

static void space(int n, const void *page0, const void *page1) {
#if __riscv_xlen == 64
  root[n][2] = LEAF(0x80000000, ALL);
  root[n][INDEX(PLACE, 2)] = LEAF(middle[n], V);
  middle[n][INDEX(PLACE, 1)] = LEAF(small[n], V);
#else
  root[n][512] = LEAF(0x80000000, ALL);
  root[n][INDEX(PLACE, 1)] = LEAF(small[n], V);
#endif
  small[n][INDEX(PLACE, 0)] = LEAF(page0, ALL);
  small[n][INDEX(PLACE, 0) + 1] = page1 ? LEAF(page1, ALL) : 0;
}

static volatile word shared, done;
static void other(word hart) {
  for (int i = 0; i < 1000; i++) __sync_fetch_and_add(&shared, 1);
  __sync_synchronize();
  done = hart + 1;
}

int main(void) {
  open_pmp();
  csr_write(medeleg, 0xb1ff & ~(word)0x200);
  volatile uint16_t *at = code[0];
  /* Stores to code that has run. */
  for (int i = 0; i < 5; i++) {
    make(at, i);
    fence_i();
    put_number(call((word)at));
  }
  put("\n");
  /* Two pages at two places, exchanged. */
  make(code[0], 1);
  make(code[1], 2);
  fence_i();
  space(0, code[0], code[1]);
  csr_write(satp, SATP(1, root[0]));
  flush_tlb();
  put_number(call(PLACE));
  put_number(call(PLACE + 4096));
  put_number(call((word)code[0]));
  space(0, code[1], code[0]);
  flush_tlb();
  put_number(call(PLACE));
  put_number(call(PLACE + 4096));
  /* A store through one mapping changes the other one's code. */
  make(code[1], 7);
  fence_i();
  put_number(call(PLACE));
  put("\n");
  /* Another address space, and back, without a fence: the identifiers differ. */
  space(1, code[2], 0);
  make(code[2], 3);
  fence_i();
  csr_write(satp, SATP(2, root[1]));
  flush_tlb();
  for (int i = 0; i < 3; i++) {
    csr_write(satp, SATP(1, root[0]));
    put_number(call(PLACE));
    csr_write(satp, SATP(2, root[1]));
    put_number(call(PLACE));
  }
  put_number(call(PLACE + 4096));
  put("\n");
  /* An instruction across pages: c.nop up to the last halfword, then the first half of li a0, n. */
  csr_write(satp, SATP(1, root[0]));
  for (int i = 0; i < 2047; i++) code[0][i] = 1;
  code[0][2047] = 0x0513; /* addi a0, x0, n */
  code[1][0] = 0x0050;
  code[1][1] = 0x8082;
  code[2][0] = 0x0060;
  code[2][1] = 0x8082;
  fence_i();
  space(0, code[0], code[1]);
  flush_tlb();
  put_number(call(PLACE + 4094));
  put_number(call(PLACE + 4000));
  space(0, code[0], code[2]);
  flush_tlb();
  put_number(call(PLACE + 4094));
  put_number(call(PLACE + 4000));
  code[2][0] = 0x0070;
  fence_i();
  put_number(call(PLACE + 4000));
  space(0, code[0], 0);
  flush_tlb();
  put(" ");
  put_number(call(PLACE + 4000));
  put(" ");
  put_hex(trap_tval - PLACE);
  put_hex(trap_epc - PLACE);
  put("\n");
  /* A loop that leaves its page and comes back. */
  space(0, code[0], code[3]);
  for (int i = 0; i < 2047; i++) code[0][i] = 1;
  code[0][2040] = 0x4501; /* c.li a0, 0 */
  code[0][2041] = 0x06400593 & 0xffff; /* li a1, 100 */
  code[0][2042] = 0x06400593 >> 16;
  code[0][2043] = 0x0505; /* c.addi a0, 1 */
  code[0][2044] = 1;
  code[0][2045] = 1;
  code[0][2046] = 1;
  code[0][2047] = 1;
  code[3][0] = 1;
  /* bne a0, a1, -12: from offset 2 of the next page to halfword 2043 */
  const uint32_t b = 0xfeb51ae3;
  code[3][1] = (uint16_t)b;
  code[3][2] = (uint16_t)(b >> 16);
  code[3][3] = 0x8082;
  fence_i();
  flush_tlb();
  put_number(call(PLACE + 2 * 2040));
  put("\n");
  csr_write(satp, 0);
  flush_tlb();
  /* The other hart counts as well. */
  hart_entry = other;
  CLINT_MSIP(1) = 1;
  for (int i = 0; i < 1000; i++) __sync_fetch_and_add(&shared, 1);
  while (!done) {
  }
  put_number(shared);
  put(" ");
  put_number(done);
  put("\n");
  return 0;
}
