/* Sieve of Eratosthenes over 32 Ki bytes: strided byte stores and short loops, in the L1 cache. */
#include "bench.h"

enum { SIZE = 32768 };

static unsigned char composite[SIZE];

static uint64_t kernel(unsigned long scale) {
  uint64_t sum = 0;
  for (unsigned long run = 0; run < scale * 4; run++) {
    for (unsigned i = 0; i < SIZE; i++) composite[i] = 0;
    for (unsigned i = 2; i * i < SIZE; i++) {
      if (composite[i]) continue;
      for (unsigned j = i * i; j < SIZE; j += i) composite[j] = 1;
    }
    unsigned count = 0, last = 0;
    for (unsigned i = 2; i < SIZE; i++) {
      if (!composite[i]) {
        count++;
        last = i;
      }
    }
    sum = bench_mix(sum, count * 65536u + last + run);
  }
  return sum;
}

BENCH_MAIN("sieve", kernel)
