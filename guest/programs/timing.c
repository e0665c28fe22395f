/* Time: only orders and relations are printed. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>

static int64_t nanoseconds(clockid_t clock) {
  struct timespec now;
  if (clock_gettime(clock, &now) != 0) return -1;
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void order(const char *name, clockid_t clock) {
  struct timespec resolution = {0, 0};
  int64_t last = nanoseconds(clock);
  int forward = last >= 0;
  for (int i = 0; i < 1000; i++) {
    const int64_t now = nanoseconds(clock);
    forward &= now >= last;
    last = now;
  }
  printf("%s: never backward %d, resolution %d\n", name, forward,
         clock_getres(clock, &resolution) == 0 && resolution.tv_sec == 0 && resolution.tv_nsec > 0);
}

int main(void) {
  struct timespec pause = {0, 20000000}, left;
  struct timeval day;
  struct tms times_now;
  struct tm date;
  char text[64];
  order("CLOCK_REALTIME", CLOCK_REALTIME);
  order("CLOCK_MONOTONIC", CLOCK_MONOTONIC);
  order("CLOCK_MONOTONIC_RAW", CLOCK_MONOTONIC_RAW);
  order("CLOCK_BOOTTIME", CLOCK_BOOTTIME);
  order("CLOCK_PROCESS_CPUTIME_ID", CLOCK_PROCESS_CPUTIME_ID);
  order("CLOCK_THREAD_CPUTIME_ID", CLOCK_THREAD_CPUTIME_ID);
  printf("no such clock: %d %s\n", clock_gettime(99, &left), strerrorname_np(errno));
  gettimeofday(&day, NULL);
  printf("gettimeofday agrees: %d\n", llabs((int64_t)day.tv_sec - time(NULL)) <= 1);
  printf("it is after 2020: %d\n", time(NULL) > 1577836800);
  int64_t before = nanoseconds(CLOCK_MONOTONIC);
  printf("nanosleep: %d", nanosleep(&pause, &left));
  printf(", long enough %d\n", nanoseconds(CLOCK_MONOTONIC) - before >= 20000000);
  before = nanoseconds(CLOCK_MONOTONIC);
  struct timespec until = {0, 0};
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += 10000000;
  if (until.tv_nsec >= 1000000000) until.tv_nsec -= 1000000000, until.tv_sec++;
  printf("clock_nanosleep until: %d", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL));
  printf(", long enough %d\n", nanoseconds(CLOCK_MONOTONIC) - before >= 10000000);
  pause.tv_nsec = 1000000000;
  printf("nanosleep of nonsense: %d", nanosleep(&pause, NULL));
  printf(" %s\n", strerrorname_np(errno));
  printf("times: %d\n", times(&times_now) != (clock_t)-1);
  printf("clock: %d\n", clock() != (clock_t)-1);
  const time_t moment = 1700000000;
  gmtime_r(&moment, &date);
  strftime(text, sizeof text, "%A, %Y-%m-%d %H:%M:%S, day %j", &date);
  printf("%s\n", text);
  printf("timegm: %lld\n", (long long)timegm(&date));
#if defined(__riscv) && __riscv_xlen == 64
  uint64_t t0, t1, i0, i1;
  __asm__ volatile("rdtime %0\n\trdinstret %1" : "=r"(t0), "=r"(i0));
  for (volatile int i = 0; i < 100000; i++) {}
  __asm__ volatile("rdtime %0\n\trdinstret %1" : "=r"(t1), "=r"(i1));
  printf("rdtime: %d, rdinstret: %d\n", t1 >= t0, i1 > i0);
#elif defined(__aarch64__)
  uint64_t frequency, t0, t1;
  __asm__ volatile("mrs %0, cntfrq_el0\n\tisb\n\tmrs %1, cntvct_el0" : "=r"(frequency), "=r"(t0));
  for (volatile int i = 0; i < 100000; i++) {}
  __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(t1));
  printf("cntfrq: %d, cntvct: %d\n", frequency > 1000000, t1 >= t0 && (t1 - t0) / frequency < 10);
#endif
  return 0;
}
