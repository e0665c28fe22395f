/*
 * poke: the callback changes the guest's registers and memory behind the guest's back.
 * Exit status: 0, 1 if nobody answers, 2 if nothing was changed.
 */
#include <stdio.h>
#include <string.h>

#include "trapdoor.h"

enum { POKE_MEMORY = 1, POKE_REGISTER = 2 };

/* The compiler must know that this changes without a store of the program's. */
static volatile char secret[32] = "nobody has touched me";

static void show(const char *when) {
  char copy[sizeof secret];
  for (size_t i = 0; i < sizeof secret; i++) copy[i] = secret[i];
  printf("guest: %s: \"%s\"\n", when, copy);
}

#if defined(__riscv)
/* A call by hand, with one more register that the compiler is told may change. Returns that register. */
static unsigned long call_with_s5(unsigned long value) {
  register unsigned long s5 __asm__("s5") = value;
  register unsigned long a0 __asm__("a0") = 0; /* client */
  register unsigned long a1 __asm__("a1") = POKE_REGISTER;
  register unsigned long a2 __asm__("a2") = 0;
  register unsigned long a3 __asm__("a3") = 0;
  register unsigned long a4 __asm__("a4") = 0;
  register unsigned long a5 __asm__("a5") = 0;
  register unsigned long a6 __asm__("a6") = ~0UL;
  register unsigned long a7 __asm__("a7") = TRAPDOOR_KIND_CALL;
  __asm__ volatile(TRAPDOOR_INSTRUCTION
                   : "+r"(s5), "+r"(a0), "+r"(a1), "+r"(a6)
                   : "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7)
                   : "memory");
  return s5;
}
#else
#error "poke.c: name a callee-saved register of this architecture, as above"
#endif

int main(void) {
  unsigned long s5;
  if (trapdoor_init(NULL) != 0) {
    puts("guest: nobody answers");
    return 1;
  }
  show("before");
  trapdoor_call4(0, POKE_MEMORY, (int64_t)(uintptr_t)secret, sizeof secret, 0, 0);
  show("after");
  s5 = call_with_s5(1000);
  printf("guest: s5 was 1000 and is %lu\n", s5);
  trapdoor_fini();
  return s5 != 1000 && secret[0] != 'n' ? 0 : 2;
}
