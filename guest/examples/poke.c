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

/*
 * A call by hand, with one more register that the compiler is told may change; its name is the argument.
 * Returns that register.
 */
#if defined(__riscv)
#define REGISTER "s5"
static unsigned long call_with_register(unsigned long value) {
  register unsigned long s5 __asm__("s5") = value;
  register unsigned long a0 __asm__("a0") = 0; /* client */
  register unsigned long a1 __asm__("a1") = POKE_REGISTER;
  register unsigned long a2 __asm__("a2") = (unsigned long)REGISTER;
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
#elif defined(__aarch64__)
#define REGISTER "x21"
static unsigned long call_with_register(unsigned long value) {
  register unsigned long x21 __asm__("x21") = value;
  register unsigned long x0 __asm__("x0") = 0; /* client */
  register unsigned long x1 __asm__("x1") = POKE_REGISTER;
  register unsigned long x2 __asm__("x2") = (unsigned long)REGISTER;
  register unsigned long x3 __asm__("x3") = 0;
  register unsigned long x4 __asm__("x4") = 0;
  register unsigned long x5 __asm__("x5") = 0;
  register unsigned long x7 __asm__("x7") = ~0UL;
  register unsigned long x8 __asm__("x8") = TRAPDOOR_KIND_CALL;
  __asm__ volatile(TRAPDOOR_INSTRUCTION
                   : "+r"(x21), "+r"(x0), "+r"(x1), "+r"(x7)
                   : "r"(x2), "r"(x3), "r"(x4), "r"(x5), "r"(x8)
                   : "memory");
  return x21;
}
#else
#error "poke.c: name a callee-saved register of this architecture, as above"
#endif

int main(void) {
  unsigned long value;
  if (trapdoor_init(NULL) != 0) {
    puts("guest: nobody answers");
    return 1;
  }
  show("before");
  trapdoor_call4(0, POKE_MEMORY, (int64_t)(uintptr_t)secret, sizeof secret, 0, 0);
  show("after");
  value = call_with_register(1000);
  printf("guest: " REGISTER " was 1000 and is %lu\n", value);
  trapdoor_fini();
  return value != 1000 && secret[0] != 'n' ? 0 : 2;
}
