/*
 * The built-in demo: a small program for Linux that finds out that it runs inside Trapdoor.
 * Its other half is callbacks.ts. Exit status: 0, or 1 if nobody answers.
 */
#include <stdio.h>
#include <string.h>

#include "trapdoor.h"

enum { MULTIPLY = 1, WORDS = 2, HURRY = 3, PRIME = 4, PRIMES = 5 };

#define LIMIT 10000

/* A typed call: what the host's `multiply` takes and gives. */
static int64_t multiply(int32_t a, int32_t b) { return trapdoor_call4(0, MULTIPLY, a, b, 0, 0); }

static const char poem[] =
    "the guest knocks on the floor\n"
    "the floor is a door\n"
    "the door is a call\n"
    "and the call has an answer";

static void bulk(void) {
  memcpy(trapdoor_data(0), poem, sizeof poem - 1);
  printf("guest  I put a poem of %u bytes into our shared memory. How many different words has it?\n",
         (unsigned)sizeof poem - 1);
  printf("guest  %lld, I see. And you signed it: \"%s\"\n",
         (long long)trapdoor_call(0, WORDS, sizeof poem - 1), (char *)trapdoor_data(0) + sizeof poem);
}

/* A sieve that tells the host about every prime without waiting for it. */
static void events(void) {
  static unsigned char composite[LIMIT];
  unsigned count = 0;
  for (unsigned i = 2; i < LIMIT; i++) {
    if (composite[i]) continue;
    count++;
    trapdoor_event2(0, PRIME, i, 0);
    for (unsigned j = i * i; j < LIMIT; j += i) composite[j] = 1;
  }
  trapdoor_flush(0);
  printf("guest  I found %u primes below %d and you heard of %lld\n", count, LIMIT,
         (long long)trapdoor_call(0, PRIMES, 0));
}

#if defined(__riscv)
/* Calls HURRY with `value` in s5, which the host may change; returns what s5 is then. */
static unsigned long hurry(unsigned long value) {
  register unsigned long s5 __asm__("s5") = value;
  register unsigned long a0 __asm__("a0") = 0; /* client */
  register unsigned long a1 __asm__("a1") = HURRY;
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
static unsigned long hurry(unsigned long value) { return value & 3; }
#endif

static void countdown(void) {
  unsigned long s5 = 4000000000;
  printf("guest  I shall count down from %lu in register s5. This will take a while\n", s5);
  s5 = hurry(s5);
  printf("guest ");
  for (; s5 > 0; s5--) printf(" %lu", s5);
  printf(". That was quick! Who changed my register?\n");
}

int main(void) {
  if (trapdoor_init(NULL) != 0) {
    puts("guest  Hello? Nobody answers: this is not Trapdoor");
    return 1;
  }
  printf("guest  Hello! Protocol %u.%u, I hear\n", (unsigned)(trapdoor_version() >> 16),
         (unsigned)(trapdoor_version() & 0xffff));
  puts("guest  What is 6 times 7?");
  printf("guest  %lld, then\n", (long long)multiply(6, 7));
  bulk();
  events();
  countdown();
  puts("guest  Goodbye");
  trapdoor_fini();
  return 0;
}
