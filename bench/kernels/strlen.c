/* The C library's strlen, on strings of 0 to 1023 characters at all alignments. */
#include <string.h>

#include "bench.h"

enum { STRINGS = 64, SPACE = 1056 };

static char text[STRINGS][SPACE];

static uint64_t kernel(unsigned long scale) {
  uint64_t random = 37, sum = 0;
  unsigned length[STRINGS];
  for (int i = 0; i < STRINGS; i++) {
    for (int j = 0; j < SPACE; j++) text[i][j] = (char)('a' + (bench_random(&random) >> 32) % 26);
    unsigned limit = 1u << (bench_random(&random) >> 32) % 11;
    length[i] = (unsigned)(bench_random(&random) >> 32) % limit;
    text[i][i % 16 + length[i]] = '\0';
    text[i][SPACE - 1] = '\0';
  }
  for (unsigned long run = 0; run < scale * 64; run++) {
    for (int i = 0; i < STRINGS; i++) sum = sum * 31 + strlen(text[i] + i % 16);
    /* One string grows or shrinks, so that no result can be kept. */
    char *end = text[run % STRINGS] + run % STRINGS % 16 + length[run % STRINGS] / 2;
    *end = *end == '\0' ? 'x' : '\0';
  }
  return bench_mix(sum, random);
}

BENCH_MAIN("strlen", kernel)
