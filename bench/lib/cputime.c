/*
 * cputime PROGRAM ARGS...: runs a program and reports what it cost, as the last line on stderr:
 *
 *   @cputime USER_US SYSTEM_US WALL_US MAXRSS_KIB
 *
 * CPU times are those of the program and of every descendant that it waited for, all threads
 * included (wait4's rusage; POSIX.1 leaves its resolution open, Linux and macOS account in
 * microseconds or better). Ends with the program's exit status, or 128 + signal number.
 */
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile pid_t child;

static void stop_child(int signal_number) {
  (void)signal_number;
  if (child > 0) kill(child, SIGKILL);
}

static long long microseconds(struct timeval t) { return t.tv_sec * 1000000LL + t.tv_usec; }

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fputs("usage: cputime PROGRAM ARGS...\n", stderr);
    return 2;
  }
  /* Blocked until the child's id is known, so that a time-out can't orphan it. */
  sigset_t term, before;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_BLOCK, &term, &before);
  signal(SIGTERM, stop_child);
  long long start = now();
  child = fork();
  if (child < 0) {
    fprintf(stderr, "cputime: can't fork: %s\n", strerror(errno));
    return 126;
  }
  if (child == 0) {
    signal(SIGTERM, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    execvp(argv[1], argv + 1);
    fprintf(stderr, "cputime: can't run '%s': %s\n", argv[1], strerror(errno));
    _exit(127);
  }
  sigprocmask(SIG_SETMASK, &before, NULL);
  int status = 0;
  struct rusage usage;
  while (wait4(child, &status, 0, &usage) < 0) {
    if (errno != EINTR) {
      fprintf(stderr, "cputime: can't wait: %s\n", strerror(errno));
      return 126;
    }
  }
  long long wall = now() - start;
#ifdef __APPLE__
  long rss = usage.ru_maxrss / 1024; /* bytes there, KiB elsewhere */
#else
  long rss = usage.ru_maxrss;
#endif
  fprintf(stderr, "\n@cputime %lld %lld %lld %ld\n", microseconds(usage.ru_utime),
          microseconds(usage.ru_stime), wall, rss);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
