/* 48 x 48 matrices of 32-bit integers: multiply-accumulate in three nested loops. */
#include "bench.h"

enum { SIDE = 48 };

static int32_t a[SIDE][SIDE], b[SIDE][SIDE], c[SIDE][SIDE];

static BENCH_NOINLINE void multiply(void) {
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) {
      uint32_t cell = 0;
      for (int k = 0; k < SIDE; k++) cell += (uint32_t)a[i][k] * (uint32_t)b[k][j];
      c[i][j] = (int32_t)cell;
    }
  }
}

static uint64_t kernel(unsigned long scale) {
  uint64_t random = 7, sum = 0;
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) {
      a[i][j] = (int32_t)(bench_random(&random) >> 40);
      b[i][j] = (int32_t)(bench_random(&random) >> 40);
    }
  }
  for (unsigned long run = 0; run < scale * 4; run++) {
    multiply();
    int row = (int)(run % SIDE);
    for (int j = 0; j < SIDE; j++) {
      sum += (uint32_t)c[row][j];
      a[row][j] ^= c[j][row] >> 3;
    }
  }
  return bench_mix(sum, (uint32_t)c[SIDE - 1][SIDE - 1]);
}

BENCH_MAIN("matrix_int", kernel)
