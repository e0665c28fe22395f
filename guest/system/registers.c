/*
 * Registers: what a write keeps, views of one register in another, the width of fields, counters.
 */
#include "system.h"

#define ONES (~(word)0)
#define SHOW(name, value)                          \
  do {                                             \
    csr_write(name, value);                        \
    put(#name " " #value " ");                     \
    put_hex(csr_read(name));                       \
    put("\n");                                     \
  } while (0)

int main(void) {
  open_pmp();
  SHOW(mscratch, ONES);
  SHOW(sscratch, 0x1234);
  SHOW(mepc, 0x80000002);
  SHOW(sepc, 0x80000002);
  SHOW(mtval, ONES);
  SHOW(stval, ONES);
  SHOW(mtvec, 0x80000001);
  SHOW(stvec, 0x80000101);
  SHOW(mie, 0);
  csr_write(mideleg, 0x222);
  put_hex(csr_read(mideleg) & 0x222);
  csr_write(mie, 0xaaa);
  put_hex(csr_read(mie));
  put_hex(csr_read(sie));
  csr_clear(sie, 0x20);
  put_hex(csr_read(mie));
  csr_write(sie, ONES);
  put_hex(csr_read(mie) & 0xaaa);
  put("\n");
  csr_set(mip, 0x22);
  put_hex(csr_read(mip) & 0x22);
  put_hex(csr_read(sip) & 0x22);
  csr_clear(sip, 0x22);
  put_hex(csr_read(mip) & 0x22);
  csr_clear(mip, 0x22);
  put("\n");
  /* sstatus is a part of mstatus. */
  csr_clear(mstatus, MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR | MSTATUS_SPP);
  csr_set(sstatus, MSTATUS_SUM | MSTATUS_MXR | MSTATUS_SPP | MSTATUS_FS);
  put_hex(csr_read(mstatus) & (MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR | MSTATUS_SPP));
  csr_set(mstatus, MSTATUS_TVM | MSTATUS_MPRV | MSTATUS_TW | MSTATUS_TSR);
  put_hex(csr_read(sstatus) & (MSTATUS_TVM | MSTATUS_MPRV | MSTATUS_TW | MSTATUS_TSR | MSTATUS_MPP));
  csr_write(sstatus, 0);
  put_hex(csr_read(mstatus) & 0x7e79aa & ~(word)MSTATUS_MPP);
  csr_clear(mstatus, MSTATUS_TVM | MSTATUS_MPRV | MSTATUS_TW | MSTATUS_TSR);
  put("\n");
#if __riscv_xlen == 64
  put_hex(csr_read(mstatus) >> 32 & 15);
  put_hex(csr_read(sstatus) >> 32 & 3);
  put("\n");
#endif
  put_hex(csr_read(misa) >> (8 * sizeof(word) - 2));
  put_hex(csr_read(misa) & 0x14112d);
  put("\n");
  csr_write(scounteren, 5);
  put_hex(csr_read(scounteren) & 7);
  csr_write(mcounteren, 2);
  put_hex(csr_read(mcounteren) & 7);
  put("\n");
  csr_write(satp, 0);
  put_hex(csr_read(satp));
  put_hex(csr_read(mhartid));
  put("\n");
  /* Reading and changing at once. */
  word old;
  csr_write(mscratch, 0xf0);
  __asm__ volatile("csrrw %0, mscratch, %1" : "=r"(old) : "r"((word)0x0f));
  put_hex(old);
  __asm__ volatile("csrrs %0, mscratch, %1" : "=r"(old) : "r"((word)0xf0));
  put_hex(old);
  __asm__ volatile("csrrc %0, mscratch, %1" : "=r"(old) : "r"((word)0x3c));
  put_hex(old);
  __asm__ volatile("csrrwi %0, mscratch, 31" : "=r"(old));
  put_hex(old);
  __asm__ volatile("csrrsi %0, mscratch, 0" : "=r"(old));
  put_hex(old);
  __asm__ volatile("csrrci %0, mscratch, 5" : "=r"(old));
  put_hex(old);
  put_hex(csr_read(mscratch));
  __asm__ volatile("csrrw %0, mscratch, %0" : "=r"(old) : "0"((word)77));
  put_hex(old);
  put("\n");
  /* Time does not stand still, counters neither. */
  word t = csr_read(time), c = csr_read(cycle), i = csr_read(instret);
  for (volatile int n = 0; n < 100000; n++) {
  }
  put_number(csr_read(time) > t);
  put_number(csr_read(cycle) > c);
  put_number(csr_read(instret) > i);
  put("\n");
  return 0;
}
