/* Mandelbrot set, 64 x 64 points, at most 200 iterations each: a tight loop of double-precision
 * multiplications, additions and one compare. */
#include "bench.h"

enum { SIDE = 64, LIMIT = 200 };

static uint64_t kernel(unsigned long scale) {
  uint64_t sum = 0;
  for (unsigned long run = 0; run < scale; run++) {
    double shift = (double)(run & 63) / 1024;
    unsigned total = 0;
    for (int row = 0; row < SIDE; row++) {
      double ci = 2.5 * row / SIDE - 1.25;
      for (int column = 0; column < SIDE; column++) {
        double cr = 3.0 * column / SIDE - 2.25 + shift;
        double zr = 0, zi = 0, rr = 0, ii = 0;
        int n = 0;
        for (; n < LIMIT && rr + ii <= 4; n++) {
          zi = 2 * zr * zi + ci;
          zr = rr - ii + cr;
          rr = zr * zr;
          ii = zi * zi;
        }
        total += (unsigned)n;
      }
    }
    sum = bench_mix(sum, total);
  }
  return sum;
}

BENCH_MAIN("mandelbrot", kernel)
