/* System calls and start-up of the tiny C library that the committed binaries use instead of glibc. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Numbers of the generic Linux system call table (include/uapi/asm-generic/unistd.h), which RISC-V and AArch64 use. */
#define SYS_openat 56
#define SYS_close 57
#define SYS_getdents64 61
#define SYS_read 63
#define SYS_write 64
#define SYS_exit_group 94
#define SYS_munmap 215
#define SYS_mmap 222 /* 32-bit: mmap2, whose offset counts units of 4096 bytes. */
#if __SIZEOF_LONG__ == 4
#define SYS_clock_gettime 403 /* clock_gettime64: there is no other. */
#else
#define SYS_clock_gettime 113
#endif

int errno;
char **environ;

int main(int argc, char **argv, char **envp);

static long syscall6(long number, long a, long b, long c, long d, long e, long f) {
#if defined(__aarch64__)
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  register long x8 __asm__("x8") = number;
  __asm__ volatile("svc #0"
                   : "+r"(x0)
                   : "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5), "r"(x8)
                   : "memory");
  return x0;
#else
  register long a0 __asm__("a0") = a;
  register long a1 __asm__("a1") = b;
  register long a2 __asm__("a2") = c;
  register long a3 __asm__("a3") = d;
  register long a4 __asm__("a4") = e;
  register long a5 __asm__("a5") = f;
  register long a7 __asm__("a7") = number;
  __asm__ volatile("ecall"
                   : "+r"(a0)
                   : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7)
                   : "memory");
  return a0;
#endif
}

/* Turns the kernel's -errno into C's -1 and errno. */
static long checked(long result) {
  if ((unsigned long)result <= (unsigned long)-4096) return result;
  errno = (int)-result;
  return -1;
}

void _exit(int status) {
  for (;;) syscall6(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

void exit(int status) { _exit(status); /* Output is not buffered: nothing to flush. */ }

/* Called by _start with the initial stack pointer. */
void runtime_start(long *stack) {
  const int argc = (int)stack[0];
  char **argv = (char **)(stack + 1);
  environ = argv + argc + 1;
  exit(main(argc, argv, environ));
}

ssize_t read(int fd, void *buffer, size_t size) {
  return checked(syscall6(SYS_read, fd, (long)buffer, (long)size, 0, 0, 0));
}

ssize_t write(int fd, const void *buffer, size_t size) {
  return checked(syscall6(SYS_write, fd, (long)buffer, (long)size, 0, 0, 0));
}

int open(const char *path, int flags, ...) {
  int mode = 0;
  if (flags & O_CREAT) {
    va_list list;
    va_start(list, flags);
    mode = va_arg(list, int);
    va_end(list);
  }
  return (int)checked(syscall6(SYS_openat, AT_FDCWD, (long)path, flags, mode, 0, 0));
}

int close(int fd) { return (int)checked(syscall6(SYS_close, fd, 0, 0, 0, 0, 0)); }

/* One folder at a time is enough here. */
DIR *opendir(const char *path) {
  static DIR only;
  only.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  only.at = only.end = 0;
  return only.fd < 0 ? NULL : &only;
}

struct dirent *readdir(DIR *list) {
  struct dirent *entry;
  if (list->at >= list->end) {
    list->at = 0;
    list->end = checked(syscall6(SYS_getdents64, list->fd, (long)list->buffer, sizeof list->buffer, 0, 0, 0));
    if (list->end <= 0) return NULL;
  }
  entry = (struct dirent *)((char *)list->buffer + list->at);
  list->at += entry->d_reclen;
  return entry;
}

int closedir(DIR *list) { return close(list->fd); }

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
  const long position = (long)(sizeof(long) == 4 ? offset >> 12 : offset);
  if (offset % 4096 != 0) {
    errno = EINVAL;
    return MAP_FAILED;
  }
  return (void *)checked(
      syscall6(SYS_mmap, (long)address, (long)length, protection, flags, fd, position));
}

int munmap(void *address, size_t length) {
  return (int)checked(syscall6(SYS_munmap, (long)address, (long)length, 0, 0, 0, 0));
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  int64_t now[2];
  const int result = (int)checked(syscall6(SYS_clock_gettime, clock, (long)now, 0, 0, 0, 0));
  if (result == 0) {
    time->tv_sec = now[0];
    time->tv_nsec = (long)now[1];
  }
  return result;
}
