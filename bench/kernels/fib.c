/* Naive recursive Fibonacci: calls, returns and stack traffic, and next to nothing else. */
#include "bench.h"

static BENCH_NOINLINE uint64_t fib(unsigned n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

static uint64_t kernel(unsigned long scale) {
  uint64_t sum = 0;
  for (unsigned long run = 0; run < scale * 8; run++) sum = bench_mix(sum, fib(20 + (sum & 1)));
  return sum;
}

BENCH_MAIN("fib", kernel)
