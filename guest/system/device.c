/*
 * A device of the user's, guest/examples/dice.ts: registers, and an interrupt that wakes a hart that waits.
 */
#include "system.h"

#define DICE(offset) (*(volatile uint32_t *)((word)0x11000000 + (offset)))
#define SOURCE 64
#define EXTERNAL ((word)1 << 11)

int main(void) {
  unsigned seen = 0;
  for (int i = 0; i < 2000; i++) {
    uint32_t eyes = DICE(0);
    if (eyes < 1 || eyes > 4) put("wrong\n");
    else seen |= 1u << eyes;
  }
  put("seen ");
  put_hex(seen);
  put("\n");
  /* Priority, enable for M-mode of hart 0, threshold. */
  PLIC(4 * SOURCE) = 1;
  PLIC(0x2000 + 4 * (SOURCE / 32)) = 1u << SOURCE % 32;
  PLIC(0x200000) = 0;
  csr_clear(mstatus, MSTATUS_MIE);
  csr_write(mie, EXTERNAL);
  DICE(4) = 20;
  while (!(csr_read(mip) & EXTERNAL)) __asm__ volatile("wfi");
  put("claimed ");
  put_number(PLIC(0x200004));
  put(" status ");
  put_number(DICE(8));
  DICE(8) = 0;
  PLIC(0x200004) = SOURCE;
  put(csr_read(mip) & EXTERNAL ? " raised\n" : " lowered\n");
  finish();
}
