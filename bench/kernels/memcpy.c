/*
 * The C library's memcpy and memmove, in sizes from 1 byte to 2 KiB at all alignments: what vector
 * registers are loaded and stored for.
 */
#include <string.h>

#include "bench.h"

enum { SIZE = 16384, LARGEST = 2048, SPANS = 64 };

static unsigned char buffer[2][SIZE + LARGEST];
static struct {
  unsigned from, to, length;
} spans[SPANS];

static uint64_t kernel(unsigned long scale) {
  uint64_t random = 31, sum = 0;
  for (int i = 0; i < SIZE + LARGEST; i++) buffer[0][i] = (unsigned char)(bench_random(&random) >> 56);
  for (int i = 0; i < SPANS; i++) {
    spans[i].from = (unsigned)(bench_random(&random) >> 32) % SIZE;
    spans[i].to = (unsigned)(bench_random(&random) >> 32) % SIZE;
    /* As many of 1 to 2 bytes as of 1024 to 2048. */
    unsigned limit = 2u << (bench_random(&random) >> 32) % 11;
    spans[i].length = limit / 2 + (unsigned)(bench_random(&random) >> 32) % (limit / 2) + 1;
  }
  for (unsigned long run = 0; run < scale * 64; run++) {
    for (int i = 0; i < SPANS; i++) {
      memcpy(buffer[1] + spans[i].to, buffer[0] + spans[i].from, spans[i].length);
    }
    /* Overlapping, forwards and backwards by turns. */
    memmove(buffer[0] + run % 61, buffer[0] + run % 67, LARGEST);
    sum = sum * 31 + buffer[1][(run * 77) % SIZE];
    buffer[0][run % SIZE] = (unsigned char)sum;
  }
  for (int i = 0; i < SIZE; i++) sum = bench_mix(sum, buffer[1][i]);
  return sum;
}

BENCH_MAIN("memcpy", kernel)
