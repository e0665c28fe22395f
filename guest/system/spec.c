/*
 * What the specification says and QEMU 7.2 does otherwise: compared with the text in the test, not with QEMU.
 */
#include "system.h"

#define INTERRUPT ((word)1 << (8 * sizeof(word) - 1))

#define CODE(name, text) \
  __attribute__((naked)) static void name(void) { __asm__ volatile(text "\nret"); }

CODE(nothing, "")
CODE(load, "lw a0, 0(a0)")
CODE(store, "sw zero, 0(a0)")
CODE(fetch, "jr a0")
CODE(sc_misaligned, "lr.w a1, (a0)\naddi a0, a0, 2\nsc.w a0, a0, (a0)")
CODE(amo_nothing, "li a0, 0x1800000\namoadd.w a0, a0, (a0)")

static word cell[2];
static word root[4096 / sizeof(word)] __attribute__((aligned(4096)));

static void raise(int number, int on) {
  if (number == 3) {
    CLINT_MSIP(0) = (uint32_t)on;
  } else if (number == 7) {
    CLINT_MTIMECMP(0)[0] = CLINT_MTIMECMP(0)[1] = on ? 0 : 0xffffffff;
  } else if (on) {
    csr_set(mip, (word)1 << number);
  } else {
    csr_clear(mip, (word)1 << number);
  }
}

/* Volume II, 3.1.9: MSI, MTI, SEI, SSI, STI; those for M-mode before those for S-mode. */
static void priorities(word delegated) {
  static const int numbers[] = {1, 3, 5, 7, 9};
  csr_write(mie, 0x2aa);
  csr_write(mideleg, delegated);
  for (int i = 0; i < 5; i++) raise(numbers[i], 1);
  put("urgent");
  for (int i = 0; i < 6; i++) {
    csr_clear(mstatus, MSTATUS_MIE | MSTATUS_SIE | MSTATUS_MPIE);
    run_at(USER, (word)nothing, 0);
    if (!(trap_cause & INTERRUPT)) break;
    put(" ");
    put_number(trap_cause & 63);
    raise((int)(trap_cause & 63), 0);
  }
  put("\n");
  csr_write(mie, 0);
}

int main(void) {
  open_pmp();
  csr_write(medeleg, 0);
  raise(7, 0);
  priorities(0);
  priorities(0x222);
  /* 3.1.14: the lowest bit of mepc and sepc is 0. */
  csr_write(mepc, 0x80000003);
  csr_write(sepc, 0x80000003);
  put_hex(csr_read(mepc));
  put_hex(csr_read(sepc));
  put("\n");
  /* 3.7.1: 54 bits of pmpaddr on RV64. */
  put_number(csr_read(pmpaddr0) == ~(word)0 >> (sizeof(word) == 8 ? 10 : 0));
  put("\n");
  run_at(MACHINE, (word)sc_misaligned, (word)cell);
  trap_tval -= (word)cell;
  report("sc");
  run_at(MACHINE, (word)amo_nothing, 0);
  report("amo");
  /* 4.3.2: a page-table entry that can't be read is an access fault. */
#if __riscv_xlen == 64
  root[2] = (word)0x80000 << 10 | 0xcf;
  root[1] = (word)0x1000 << 10 | 1;
  csr_write(satp, (word)8 << 60 | (word)root >> 12);
#else
  root[512] = (word)0x80000 << 10 | 0xcf;
  root[256] = (word)0x1000 << 10 | 1;
  csr_write(satp, (word)1 << 31 | (word)root >> 12);
#endif
  flush_tlb();
  run_at(SUPERVISOR, (word)load, 0x40000000);
  report("load");
  run_at(SUPERVISOR, (word)store, 0x40000000);
  report("store");
  run_at(SUPERVISOR, (word)fetch, 0x40000000);
  report("fetch");
  /* Svadu: without it a missing bit is a page fault. */
  csr_write(satp, 0);
#if __riscv_xlen == 64
  root[1] = (word)0x80000 << 10 | 0x0f;
  csr_clear(menvcfg, (word)1 << 61);
  csr_write(satp, (word)8 << 60 | (word)root >> 12);
  word at = 0x40000000;
#else
  root[256] = (word)0x80000 << 10 | 0x0f;
  csr_clear(0x31a, (word)1 << 29);
  csr_write(satp, (word)1 << 31 | (word)root >> 12);
  word at = 0x40000000;
#endif
  flush_tlb();
  for (int set = 0; set < 3; set++) {
    word *entry = &root[sizeof(word) == 8 ? 1 : 256];
    *entry = (*entry & ~(word)0xc0) | (set == 0 ? 0 : set == 1 ? 0x40 : 0xc0);
    flush_tlb();
    run_at(SUPERVISOR, (word)load, at + 0x3ff000);
    report("marks, load");
    run_at(SUPERVISOR, (word)store, at + 0x3ff000);
    report("marks, store");
  }
  return 0;
}
