/*
 * 64 x 64 matrices of REAL (float or double), whose inner loop goes along rows, so that a compiler
 * makes vectors of it without reordering a sum. All values are small integers: every product and
 * sum is exact, fused or not.
 */
#include "bench.h"

enum { SIDE = 64 };

static REAL a[SIDE][SIDE], b[SIDE][SIDE], c[SIDE][SIDE];

static BENCH_NOINLINE void multiply(void) {
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) c[i][j] = 0;
    for (int k = 0; k < SIDE; k++) {
      REAL factor = a[i][k];
      for (int j = 0; j < SIDE; j++) c[i][j] += factor * b[k][j];
    }
  }
}

static uint64_t kernel(unsigned long scale) {
  uint64_t random = 41, sum = 0;
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) {
      a[i][j] = (REAL)(bench_random(&random) >> 56);
      b[i][j] = (REAL)(bench_random(&random) >> 56);
    }
  }
  for (unsigned long run = 0; run < scale * 4; run++) {
    multiply();
    int row = (int)(run % SIDE);
    for (int j = 0; j < SIDE; j++) {
      int cell = (int)c[j][row];
      sum += (uint64_t)cell;
      a[row][j] = (REAL)(cell & 255);
    }
  }
  return bench_mix_double(sum, (double)c[SIDE - 1][SIDE - 1]);
}

BENCH_MAIN("matrix_vector", kernel)
