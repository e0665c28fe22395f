/* mmap, mprotect, mremap, munmap, madvise and brk, without a fault; faults.c has those. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096

static void result(const char *what, int value) {
  printf("%s: %s\n", what, value == 0 ? "ok" : strerrorname_np(errno));
}

static char *map(size_t size, int protection) {
  char *address = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) {
    printf("mmap of %zu bytes: %s\n", size, strerrorname_np(errno));
    exit(1);
  }
  return address;
}

static int all(const char *from, size_t size, char value) {
  for (size_t i = 0; i < size; i++) {
    if (from[i] != value) return 0;
  }
  return 1;
}

/* Whether the system call layer may read and write there; a fault is EFAULT, not a signal. */
static void access_of(const char *what, char *address) {
  int ends[2];
  char byte = 'x';
  if (pipe(ends) != 0) exit(1);
  const int readable = write(ends[1], address, 1) == 1;
  if (readable && read(ends[0], &byte, 1) != 1) exit(1);
  if (write(ends[1], &byte, 1) != 1) exit(1);
  const int writable = read(ends[0], address, 1) == 1;
  printf("%s: %c%c\n", what, readable ? 'r' : '-', writable ? 'w' : '-');
  close(ends[0]);
  close(ends[1]);
}

static void protections(void) {
  char *area = map(8 * PAGE, PROT_READ | PROT_WRITE);
  memset(area, 7, 8 * PAGE);
  result("read-only middle", mprotect(area + 2 * PAGE, 2 * PAGE, PROT_READ));
  result("no access after", mprotect(area + 4 * PAGE, PAGE, PROT_NONE));
  access_of("page 1", area + PAGE);
  access_of("page 2", area + 2 * PAGE);
  access_of("page 3's end", area + 4 * PAGE - 1);
  access_of("page 4", area + 4 * PAGE);
  access_of("page 5", area + 5 * PAGE);
  result("back", mprotect(area, 8 * PAGE, PROT_READ | PROT_WRITE));
  printf("contents kept: %d\n", all(area, 8 * PAGE, 7));
  result("unmap the middle", munmap(area + 3 * PAGE, 2 * PAGE));
  access_of("page 2", area + 2 * PAGE);
  access_of("page 3", area + 3 * PAGE);
  access_of("page 5", area + 5 * PAGE);
  result("protect a hole", mprotect(area + 2 * PAGE, 2 * PAGE, PROT_READ));
  result("unmap a hole", munmap(area + 3 * PAGE, PAGE));
  result("unaligned", mprotect(area + 1, PAGE, PROT_READ));
  result("unmap unaligned", munmap(area + 1, PAGE));
  result("unmap nothing", munmap(area, 0));
  char *again = mmap(area + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  printf("fixed: %d, zero: %d\n", again == area + 3 * PAGE, all(again, PAGE, 0));
  again = mmap(area, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  printf("over another: %d, zero: %d\n", again == area, all(area, PAGE, 0));
  result("unmap all", munmap(area, 8 * PAGE));
}

static void growth(void) {
  char *area = map(2 * PAGE, PROT_READ | PROT_WRITE);
  memset(area, 9, 2 * PAGE);
  char *grown = mremap(area, 2 * PAGE, 50 * PAGE, MREMAP_MAYMOVE);
  printf("grown: %d, kept: %d, zero: %d\n", grown != MAP_FAILED, all(grown, 2 * PAGE, 9),
         all(grown + 2 * PAGE, 48 * PAGE, 0));
  char *shrunk = mremap(grown, 50 * PAGE, PAGE, 0);
  printf("shrunk in place: %d, kept: %d\n", shrunk == grown, all(shrunk, PAGE, 9));
  access_of("what was cut off", grown + PAGE);
  char *target = map(4 * PAGE, PROT_READ);
  char *moved = mremap(shrunk, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target);
  printf("moved: %d, kept: %d\n", moved == target, all(target, PAGE, 9));
  access_of("where it was", shrunk);
  access_of("behind it", target + PAGE);
  char *wall = map(2 * PAGE, PROT_READ | PROT_WRITE);
  char *stuck = mremap(wall, PAGE, 3 * PAGE, 0);
  printf("no room: %s\n", stuck == MAP_FAILED ? strerrorname_np(errno) : "grew");
  munmap(wall, 2 * PAGE);
  munmap(target, 4 * PAGE);
  stuck = mremap(target, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
  printf("nothing there: %s\n", stuck == MAP_FAILED ? strerrorname_np(errno) : "grew");
}

/* Code made at run time: writes a function, runs it, writes another to the same place. */
static void generated(void) {
#if defined(__riscv) || defined(__aarch64__)
#if defined(__riscv)
  static const uint32_t returns[2][2] = {{0x02a00513, 0x00008067}, {0x06300513, 0x00008067}}; /* li a0; ret */
#else
  static const uint32_t returns[2][2] = {{0x52800540, 0xd65f03c0}, {0x52800c60, 0xd65f03c0}}; /* mov w0; ret */
#endif
  char *area = map(PAGE, PROT_READ | PROT_WRITE);
  for (int i = 0; i < 2; i++) {
    int (*function)(void);
    result("writable", mprotect(area, PAGE, PROT_READ | PROT_WRITE));
    memcpy(area, returns[i], sizeof returns[i]);
    result("executable", mprotect(area, PAGE, PROT_READ | PROT_EXEC));
    __builtin___clear_cache(area, area + sizeof returns[i]);
    memcpy(&function, &area, sizeof function);
    printf("generated code returns %d\n", function());
  }
  munmap(area, PAGE);
  area = map(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
  for (int i = 0; i < 6; i++) {
    int (*function)(void);
    memcpy(area, returns[i % 2], sizeof returns[0]);
#if defined(__riscv)
    __asm__ volatile("fence.i" : : : "memory");
#else
    __asm__ volatile("dc cvau, %0\n\tdsb ish\n\tic ivau, %0\n\tdsb ish\n\tisb" : : "r"(area) : "memory");
#endif
    memcpy(&function, &area, sizeof function);
    printf("%d ", function());
  }
  printf("from a page with every right\n");
  munmap(area, PAGE);
#endif
}

int main(void) {
  char *area = map(3 * PAGE, PROT_READ | PROT_WRITE);
  printf("zero: %d, aligned: %d\n", all(area, 3 * PAGE, 0), (uintptr_t)area % PAGE == 0);
  memset(area, 1, 3 * PAGE);
  result("MADV_DONTNEED", madvise(area, 2 * PAGE, MADV_DONTNEED));
  printf("zero again: %d, the rest kept: %d\n", all(area, 2 * PAGE, 0), all(area + 2 * PAGE, PAGE, 1));
  result("munmap", munmap(area, 3 * PAGE));
  protections();
  growth();
  generated();
  char *nowhere = mmap(NULL, (size_t)1 << 62, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  printf("far too much: %s\n", nowhere == MAP_FAILED ? strerrorname_np(errno) : "mapped");
  nowhere = mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0);
  printf("neither shared nor private: %s\n", nowhere == MAP_FAILED ? strerrorname_np(errno) : "mapped");
  char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  printf("shared anonymous: %d\n", shared != MAP_FAILED && all(shared, PAGE, 0));
  return 0;
}
