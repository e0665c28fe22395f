/* Quicksort (median of three, insertion sort for the rest) of 4,096 random words: its branches
 * depend on data and mispredict, also natively. */
#include "bench.h"

enum { SIZE = 4096, SMALL = 12 };

static uint32_t data[SIZE];

static void swap(uint32_t *a, uint32_t *b) {
  uint32_t t = *a;
  *a = *b;
  *b = t;
}

static void insertion_sort(uint32_t *at, long n) {
  for (long i = 1; i < n; i++) {
    uint32_t value = at[i];
    long j = i;
    for (; j > 0 && at[j - 1] > value; j--) at[j] = at[j - 1];
    at[j] = value;
  }
}

static BENCH_NOINLINE void sort(uint32_t *at, long n) {
  while (n > SMALL) {
    uint32_t *middle = &at[n / 2], *last = &at[n - 1];
    if (*middle < *at) swap(middle, at);
    if (*last < *at) swap(last, at);
    if (*last < *middle) swap(last, middle);
    uint32_t pivot = *middle;
    long i = 0, j = n - 1;
    while (i <= j) {
      while (at[i] < pivot) i++;
      while (at[j] > pivot) j--;
      if (i <= j) swap(&at[i++], &at[j--]);
    }
    /* Recursing into the smaller part bounds the stack. */
    if (j + 1 < n - i) {
      sort(at, j + 1);
      at += i;
      n -= i;
    } else {
      sort(at + i, n - i);
      n = j + 1;
    }
  }
  insertion_sort(at, n);
}

static uint64_t kernel(unsigned long scale) {
  uint64_t random = 42, sum = 0;
  for (unsigned long run = 0; run < scale; run++) {
    for (int i = 0; i < SIZE; i++) data[i] = (uint32_t)(bench_random(&random) >> 32);
    sort(data, SIZE);
    for (int i = 1; i < SIZE; i++) sum += data[i - 1] > data[i];
    sum = bench_mix(sum, data[0] + (uint64_t)data[SIZE / 2] + data[SIZE - 1]);
  }
  return sum;
}

BENCH_MAIN("qsort", kernel)
