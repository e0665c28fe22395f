/* Process information: only relations that hold everywhere are printed. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

extern char end;

int main(void) {
  struct utsname name;
  struct rlimit limit;
  struct rusage usage;
  struct sysinfo info;
  gid_t groups[64];
  printf("pid is positive: %d\n", getpid() > 0);
  printf("parent is not me: %d\n", getppid() != getpid());
  printf("thread is the process: %d\n", gettid() == getpid());
  printf("user ids agree: %d\n", getuid() == geteuid() && getgid() == getegid());
  printf("groups: %d\n", getgroups(64, groups) >= 0);
  printf("process group: %d\n", getpgrp() >= 0);
  printf("page size: %ld %lu\n", sysconf(_SC_PAGESIZE), getauxval(AT_PAGESZ));
  printf("AT_RANDOM: %d\n", getauxval(AT_RANDOM) != 0);
  printf("AT_PHDR and AT_PHNUM: %d\n", getauxval(AT_PHDR) != 0 && getauxval(AT_PHNUM) > 0);
  printf("AT_ENTRY: %d\n", getauxval(AT_ENTRY) != 0);
  printf("AT_EXECFN: %d\n", getauxval(AT_EXECFN) != 0 && strlen((char *)getauxval(AT_EXECFN)) > 0);
  printf("AT_SECURE: %lu\n", getauxval(AT_SECURE));
  printf("AT_HWCAP has what all programs need: %d\n",
#if defined(__riscv)
         (getauxval(AT_HWCAP) & 0x112d) == 0x112d /* I, M, A, F, D, C */
#elif defined(__aarch64__)
         (getauxval(AT_HWCAP) & 0x9fb) == 0x9fb /* fp, asimd, aes, pmull, sha1, sha2, crc32, atomics, cpuid */
#else
         1
#endif
  );
  errno = 0;
  printf("no such auxiliary value: %lu %s\n", getauxval(12345), strerrorname_np(errno));
  printf("processors: %d\n", sysconf(_SC_NPROCESSORS_ONLN) >= 1);
  printf("uname: %d", uname(&name));
#if defined(__riscv) || defined(__aarch64__)
  printf(" %s %s", name.sysname, name.machine);
#endif
  printf("\n");
  printf("stack limit: %d\n", getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur >= 65536);
  printf("files limit: %d\n", getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= 16);
  printf("no such limit: %d %s\n", getrlimit(99, &limit), strerrorname_np(errno));
  printf("usage: %d %d\n", getrusage(RUSAGE_SELF, &usage), usage.ru_utime.tv_sec >= 0);
  printf("sysinfo: %d %d\n", sysinfo(&info), info.totalram > 0 && info.mem_unit > 0);
  char *before = sbrk(0);
  printf("sbrk: %d", before >= &end);
  char *got = sbrk(100000);
  printf(" %d", got == before);
  memset(got, 1, 100000);
  printf(" %d", (char *)sbrk(0) == before + 100000);
  sbrk(-100000);
  printf(" %d\n", sbrk(0) == before);
  printf("host name: %d\n", gethostname((char[256]){0}, 256));
  printf("the system call that isn't: %ld %s\n", syscall(4000), strerrorname_np(errno));
  fflush(stdout);
  _exit(17);
}
