/*
 * 48 x 48 matrices of doubles that hold small integers: every product and sum is exact, so the
 * checksum is the same whether or not the compiler contracts a * b + c into one fused operation
 * (it does for riscv64: this kernel is the one that measures fmadd.d).
 */
#include "bench.h"

enum { SIDE = 48 };

static double a[SIDE][SIDE], b[SIDE][SIDE], c[SIDE][SIDE];

static BENCH_NOINLINE void multiply(void) {
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) {
      double cell = 0;
      for (int k = 0; k < SIDE; k++) cell += a[i][k] * b[k][j];
      c[i][j] = cell;
    }
  }
}

static uint64_t kernel(unsigned long scale) {
  uint64_t random = 9, sum = 0;
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) {
      a[i][j] = (double)(bench_random(&random) >> 54);
      b[i][j] = (double)(bench_random(&random) >> 54);
    }
  }
  for (unsigned long run = 0; run < scale * 4; run++) {
    multiply();
    int row = (int)(run % SIDE);
    for (int j = 0; j < SIDE; j++) {
      int64_t cell = (int64_t)c[j][row];
      sum += (uint64_t)cell;
      a[row][j] = (double)(cell & 1023);
    }
  }
  return bench_mix_double(sum, c[SIDE - 1][SIDE - 1]);
}

BENCH_MAIN("matrix_double", kernel)
