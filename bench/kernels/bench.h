/*
 * What every benchmark kernel shares: the command line, a random generator and checksums.
 *
 * A kernel is a program `NAME SCALE`. Its work is proportional to SCALE (0: set-up only) and it
 * prints one line, `NAME scale=SCALE checksum=HEX`, that must not depend on who executes it.
 */
#ifndef TRAPDOOR_BENCH_H
#define TRAPDOOR_BENCH_H

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BENCH_NOINLINE __attribute__((noinline))

/* xorshift64*: the same sequence everywhere; the state must not be 0. */
static inline uint64_t bench_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  *state = x;
  return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* Folds one value into a checksum; the order of the values matters. */
static inline uint64_t bench_mix(uint64_t sum, uint64_t value) {
  sum = (sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
  return sum ^ (sum >> 29);
}

/* Folds the bits of a double, so that a difference in the last place shows. */
static inline uint64_t bench_mix_double(uint64_t sum, double value) {
  uint64_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bench_mix(sum, bits);
}

static int bench_main(int argc, char **argv, const char *name, uint64_t (*kernel)(unsigned long)) {
  char *end = NULL;
  errno = 0;
  unsigned long scale = argc == 2 ? strtoul(argv[1], &end, 10) : 0;
  if (argc != 2 || end == argv[1] || *end != '\0' || errno != 0 || argv[1][0] == '-') {
    fprintf(stderr, "usage: %s SCALE (an integer; the work is proportional to it)\n", name);
    return 2;
  }
  uint64_t checksum = kernel(scale);
  printf("%s scale=%lu checksum=%016" PRIx64 "\n", name, scale, checksum);
  return fflush(stdout) == 0 ? 0 : 1;
}

/* One source may be several kernels, which -DBENCH_NAME tells apart. */
#ifdef BENCH_NAME
#define BENCH_MAIN(name, kernel) \
  int main(int argc, char **argv) { return bench_main(argc, argv, BENCH_NAME, kernel); }
#else
#define BENCH_MAIN(name, kernel) \
  int main(int argc, char **argv) { return bench_main(argc, argv, name, kernel); }
#endif

#endif
