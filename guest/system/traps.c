/*
 * Every exception at every level, delegated and not: level, cause and trap value. What each level may do with
 * privileged instructions and registers.
 */
#include "system.h"

static uint64_t cell[4];

#define CODE(name, text) \
  __attribute__((naked)) static void name(void) { __asm__ volatile(text "\nret"); }

CODE(nothing, "")
CODE(illegal_zero, ".option push\n.option norvc\n.word 0\n.option pop")
CODE(illegal_32, ".word 0xffffffff")
CODE(illegal_16, ".short 0x8000\n.short 1")
CODE(bad_csr, "csrr a0, 0x5c0")
CODE(write_read_only, "csrw cycle, a0")
CODE(breakpoint, ".option push\n.option norvc\nebreak\n.option pop")
CODE(breakpoint_16, "c.ebreak\n.short 1")
CODE(call, "ecall")
CODE(lr_misaligned, "addi a0, a0, 2\nlr.w a0, (a0)")
CODE(amo_misaligned, "addi a0, a0, 2\namoadd.w a0, a0, (a0)")
CODE(load_nothing, "li a0, 0x1800000\nlw a0, 4(a0)")
CODE(store_nothing, "li a0, 0x1800000\nsb a0, 3(a0)")
CODE(fetch_nothing, "li a0, 0x1800000\njr a0")
CODE(do_mret, "mret")
CODE(do_sret, "csrw sepc, ra\nsret")
CODE(do_wfi, "wfi")
CODE(do_sfence, "sfence.vma")
CODE(read_satp, "csrr a0, satp")
CODE(read_sstatus, "csrr a0, sstatus")
CODE(read_mstatus, "csrr a0, mstatus")
CODE(read_cycle, "rdcycle a0\nli a0, 0")
CODE(read_time, "rdtime a0\nli a0, 0")
CODE(read_instret, "rdinstret a0\nli a0, 0")
CODE(use_float, "fmv.w.x fa0, zero")
CODE(read_fcsr, "csrr a0, fcsr")

struct test {
  const char *name;
  void (*code)(void);
};

#define T(name) {#name, name}
static const struct test tests[] = {
    T(nothing),         T(illegal_zero),  T(illegal_32),    T(illegal_16),    T(bad_csr),
    T(write_read_only), T(breakpoint),    T(breakpoint_16), T(call),          T(lr_misaligned),
   T(amo_misaligned),
    T(load_nothing),    T(store_nothing),   T(fetch_nothing),  T(do_sfence),      T(read_satp),       T(read_sstatus),  T(read_mstatus),
    T(read_cycle),     T(read_time),      T(read_instret),    T(use_float),     T(read_fcsr),
};

static void all(const char *title, int lowest) {
  put(title);
  put("\n");
  for (int level = MACHINE; level >= lowest; level--) {
    if (level == 2) continue;
    for (unsigned i = 0; i < sizeof tests / sizeof *tests; i++) {
      csr_write(mtval, 0);
      csr_write(stval, 0);
      run_at((word)level, (word)tests[i].code, (word)cell);
      /* The trap value of a breakpoint is its address or 0, as the hart likes. */
      if (trap_cause == 3 && trap_tval == trap_epc) trap_tval = 0;
      put_number((word)level);
      put(" ");
      report(tests[i].name);
    }
  }
}

/* How the previous level and the interrupt enables are kept and restored. */
static void stack_of_status(void) {
  const word mask = MSTATUS_SIE | MSTATUS_MIE | MSTATUS_SPIE | MSTATUS_MPIE | MSTATUS_SPP | MSTATUS_MPP | MSTATUS_MPRV;
  for (int level = MACHINE; level >= USER; level--) {
    if (level == 2) continue;
    for (int enabled = 0; enabled < 2; enabled++) {
      csr_clear(mstatus, mask);
      if (enabled) csr_set(mstatus, MSTATUS_SPIE | MSTATUS_MPIE | MSTATUS_SIE);
      run_at((word)level, (word)call, 0);
      put("status ");
      put_hex(trap_status & mask);
      put(" then ");
      put_hex(csr_read(mstatus) & mask);
      put("\n");
    }
  }
}

int main(void) {
  open_pmp();
  csr_write(medeleg, 0);
  csr_write(mideleg, 0);
  csr_write(mcounteren, 0);
  csr_write(scounteren, 0);
  csr_clear(mstatus, MSTATUS_FS);
  all("not delegated, counters and floating point off", USER);
  csr_write(medeleg, 0xb1ff);
  csr_write(mcounteren, 7);
  csr_set(mstatus, MSTATUS_FS);
  all("delegated, counters for S-mode, floating point on", USER);
  csr_write(scounteren, 7);
  csr_write(medeleg, 0);
  all("counters for all", USER);

  static const struct test privileged[] = {
      T(do_sret), T(do_wfi), T(do_sfence), T(read_satp), T(do_mret),
  };
  static const struct {
    const char *name;
    word bit;
  } bits[] = {{"none", 0}, {"TVM", MSTATUS_TVM}, {"TW", MSTATUS_TW}, {"TSR", MSTATUS_TSR}};
  /* So that wfi ends. */
  csr_write(mie, 0x8);
  CLINT_MSIP(0) = 1;
  for (unsigned b = 0; b < 4; b++) {
    for (int level = SUPERVISOR; level >= USER; level--) {
      for (unsigned i = 0; i < 5; i++) {
        csr_clear(mstatus, MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR | MSTATUS_SPP | MSTATUS_MPIE);
        csr_clear(mstatus, MSTATUS_MIE);
        csr_set(mstatus, bits[b].bit);
        /* Only M-mode could be interrupted, and not there. */
        csr_write(mie, 0);
        if (privileged[i].code == do_wfi) {
          csr_write(mie, 0x2);
          csr_set(mip, 0x2);
          csr_write(mideleg, 0x2);
          csr_clear(mstatus, MSTATUS_SIE);
          if (level == USER) csr_write(mie, 0);
        }
        run_at((word)level, (word)privileged[i].code, 0);
        put(bits[b].name);
        put(" ");
        put_number((word)level);
        put(" ");
        report(privileged[i].name);
      }
    }
  }
  csr_write(mie, 0);
  csr_clear(mip, 2);
  CLINT_MSIP(0) = 0;
  csr_clear(mstatus, MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR);
  stack_of_status();

  /* mstatus.FS, and what it reads as in SD. */
  for (word fs = 0; fs < 4; fs++) {
    csr_clear(mstatus, MSTATUS_FS);
    csr_set(mstatus, fs << 13);
    run_at(MACHINE, (word)use_float, 0);
    put("FS ");
    put_number(fs);
    put(" becomes ");
    put_number(csr_read(mstatus) >> 13 & 3);
    put(" SD ");
    put_number(csr_read(mstatus) >> (8 * sizeof(word) - 1));
    put("\n");
  }
  return 0;
}
