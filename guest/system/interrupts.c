/*
 * Interrupts: each one at each level, enabled and not, delegated and not; priorities, vectors, WFI, timers, the
 * interrupt controller with the serial port.
 */
#include "system.h"

#define INTERRUPT ((word)1 << (8 * sizeof(word) - 1))

__attribute__((naked)) static void nothing(void) { __asm__ volatile("nop\nret"); }
__attribute__((naked)) static void wait(void) { __asm__ volatile("wfi\nnop\nret"); }
/* Lets M-mode interrupts in. */
__attribute__((naked)) static void enable(void) { __asm__ volatile("csrsi mstatus, 8\nnop\nnop\nret"); }
__attribute__((naked)) static void enable_s(void) { __asm__ volatile("csrsi sstatus, 2\nnop\nnop\nret"); }
/* Until an interrupt comes. */
__attribute__((naked)) static void loop(void) { __asm__ volatile("1: j 1b"); }

static void raise(int number, int on) {
  switch (number) {
    case 3: CLINT_MSIP(0) = (uint32_t)on; break;
    case 7:
      CLINT_MTIMECMP(0)[1] = on ? 0 : 0xffffffff;
      CLINT_MTIMECMP(0)[0] = on ? 0 : 0xffffffff;
      break;
    default:
      if (on) csr_set(mip, (word)1 << number);
      else csr_clear(mip, (word)1 << number);
  }
}

static void show(const char *name) {
  put(name);
  put(" level ");
  put_number((word)trap_level);
  put((trap_cause & INTERRUPT) ? " interrupt " : " exception ");
  put_number(trap_cause & 63);
  put("\n");
}

int main(void) {
  static const int numbers[] = {1, 3, 5, 7, 9};
  open_pmp();
  csr_write(medeleg, 0);
  raise(7, 0);
  for (int i = 0; i < 5; i++) {
    int n = numbers[i];
    for (int delegated = 0; delegated < 2; delegated++) {
      csr_write(mideleg, delegated ? 0x222 : 0);
      for (int enabled = 0; enabled < 2; enabled++) {
        csr_write(mie, enabled ? (word)1 << n : 0);
        for (int level = MACHINE; level >= USER; level--) {
          if (level == 2) continue;
          csr_clear(mstatus, MSTATUS_MIE | MSTATUS_SIE | MSTATUS_MPIE | MSTATUS_SPIE);
          raise(n, 1);
          put_number((word)n);
          put(delegated ? " d" : " -");
          put(enabled ? "e " : "- ");
          put_hex(csr_read(mip) & 0xaaa);
          run_at((word)level, (word)nothing, 0);
          show(" masked");
          raise(n, 1);
          csr_clear(mstatus, MSTATUS_MIE | MSTATUS_SIE);
          if (level == MACHINE) {
            run_at((word)level, (word)enable, 0);
            show("  opened");
          } else if (level == SUPERVISOR) {
            run_at((word)level, (word)enable_s, 0);
            show("  opened");
          }
          raise(n, 0);
        }
      }
    }
  }
  /* Vectors. */
  csr_write(mideleg, 0);
  csr_write(mtvec, (word)vectors | 1);
  for (int i = 0; i < 5; i++) {
    vector_taken = 0;
    csr_clear(mstatus, MSTATUS_MIE | MSTATUS_MPIE);
    csr_write(mie, (word)1 << numbers[i]);
    raise(numbers[i], 1);
    run_at(USER, (word)nothing, 0);
    raise(numbers[i], 0);
    put("vector ");
    put_number((word)vector_taken);
    put("\n");
  }
  vector_taken = 0;
  csr_write(mie, 0);
  run_at(USER, (word)nothing, 0);
  put("no vector ");
  put_number((word)vector_taken);
  put("\n");
  csr_write(mtvec, m_trap);
  /* A masked interrupt ends WFI; one that is not enabled would not. */
  csr_clear(mstatus, MSTATUS_MIE | MSTATUS_SIE | MSTATUS_MPIE | MSTATUS_TW);
  csr_write(mie, 8);
  raise(3, 1);
  run_at(MACHINE, (word)wait, 0);
  show("waited");
  raise(3, 0);
  /* The machine's timer, after a while; then the supervisor's own. */
  csr_write(mie, 0x80);
  uint32_t now = CLINT_MTIME[0];
  CLINT_MTIMECMP(0)[0] = now + 20000;
  CLINT_MTIMECMP(0)[1] = CLINT_MTIME[1];
  run_at(MACHINE, (word)wait, 0);
  put(CLINT_MTIME[0] - now >= 20000 ? "late enough\n" : "too early\n");
  csr_clear(mstatus, MSTATUS_MPIE);
  now = CLINT_MTIME[0];
  CLINT_MTIMECMP(0)[0] = now + 20000;
  run_at(USER, (word)loop, 0);
  show("timer");
  put(CLINT_MTIME[0] - now >= 20000 ? "late enough\n" : "too early\n");
  raise(7, 0);
  csr_write(mcounteren, 7);
#if __riscv_xlen == 64
  csr_set(menvcfg, (word)1 << 63);
#else
  csr_set(0x31a, (word)1 << 31);
#endif
  csr_write(mideleg, 0x222);
  csr_write(mie, 0x20);
  csr_clear(mstatus, MSTATUS_MPIE | MSTATUS_MIE);
#if __riscv_xlen == 64
  csr_write(0x14d, csr_read(time) + 1000000);
#else
  csr_write(0x15d, csr_read(timeh));
  csr_write(0x14d, csr_read(time) + 1000000);
#endif
  put_hex(csr_read(mip) & 0x20);
  run_at(USER, (word)loop, 0);
  show(" supervisor timer");
  put_hex(csr_read(mip) & 0x20);
  csr_write(0x14d, ~(word)0);
#if __riscv_xlen == 32
  csr_write(0x15d, ~(word)0);
#endif
  put_hex(csr_read(mip) & 0x20);
  put("\n");
  /* The serial port's interrupt by the interrupt controller, to M-mode and S-mode of hart 0. */
  for (int context = 0; context < 2; context++) {
    csr_write(mideleg, context ? 0x222 : 0);
    csr_write(mie, context ? 0x200 : 0x800);
    csr_clear(mstatus, MSTATUS_MPIE | MSTATUS_MIE | MSTATUS_SIE);
    PLIC(4 * 10) = 5;
    PLIC(0x2000 + 0x80 * context) = 1 << 10;
    PLIC(0x200000 + 0x1000 * context) = 5;
    /* Nothing is printed while the port's interrupt is on. */
    UART[1] = 2;
    word before = csr_read(mip) & 0xa00;
    PLIC(0x200000 + 0x1000 * context) = 4;
    word after = csr_read(mip) & 0xa00, pending = PLIC(0x1000) >> 10 & 1;
    run_at(USER, (word)nothing, 0);
    word claimed = PLIC(0x200004 + 0x1000 * context), then = csr_read(mip) & 0xa00;
    word again = PLIC(0x200004 + 0x1000 * context), reason = UART[2] & 15;
    UART[1] = 0;
    PLIC(0x200004 + 0x1000 * context) = claimed;
    word last = PLIC(0x200004 + 0x1000 * context);
    put_hex(before);
    put_hex(after);
    put_number(pending);
    show(" serial");
    put_number(claimed);
    put_hex(then);
    put_number(again);
    put_number(reason);
    put_number(last);
    PLIC(0x2000 + 0x80 * context) = 0;
    put("\n");
  }
  return 0;
}
