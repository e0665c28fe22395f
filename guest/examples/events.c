/*
 * events [COUNT [BASE]]: COUNT (default 10000) events with a time stamp through the ring, which cost the guest
 * a dozen instructions each and no answer; every 1000th also carries a text. Exit status: 0, 1 if nobody
 * answers, 2 if an event got lost.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "trapdoor.h"

enum { STEP = 1, NOTE = 2, COUNT = 3 };

/* Nanoseconds of the guest's monotonic clock. */
static uint64_t nanoseconds(void) {
  struct timespec now = {0, 0};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The guest's time counter where a program may read it: cheaper than a system call. */
static uint64_t ticks(void) {
#if defined(__riscv) && __riscv_xlen == 64
  uint64_t count;
  __asm__ volatile("rdtime %0" : "=r"(count));
  return count;
#elif defined(__aarch64__)
  uint64_t count;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(count));
  return count;
#else
  return 0;
#endif
}

int main(int argc, char **argv) {
  const unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 0) : 10000;
  const char text[] = "a thousand more";
  unsigned long i;
  int64_t seen;
  if (trapdoor_init(argc > 2 ? argv[2] : NULL) != 0) {
    puts("guest: nobody answers");
    return 1;
  }
  for (i = 1; i <= count; i++) {
    if (trapdoor_event2(0, STEP, nanoseconds(), ticks()) != 0) return 2;
    if (i % 1000 == 0 && trapdoor_event(0, NOTE, text, sizeof text) != 0) return 2;
  }
  trapdoor_flush(0);
  seen = trapdoor_call(0, COUNT, 0);
  printf("guest: %lu events written, %lld seen by the host\n", count + count / 1000, (long long)seen);
  trapdoor_fini();
  return seen == (int64_t)(count + count / 1000) ? 0 : 2;
}
