/*
 * signals [DEATH]: handlers, masks, the alternate stack, interrupted calls, timers and signals sent to itself.
 * With DEATH (a signal's number) it dies of that signal in the end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t count, last, depth, deepest;
static volatile siginfo_t seen;
static sigjmp_buf back;
static char alternate[64 << 10];

static void simple(int signal) {
  count++;
  last = signal;
}

static void informed(int signal, siginfo_t *info, void *context) {
  (void)context;
  simple(signal);
  seen.si_signo = info->si_signo;
  seen.si_code = info->si_code;
  seen.si_pid = info->si_pid;
  seen.si_value.sival_int = info->si_value.sival_int;
}

static void nested(int signal) {
  depth++;
  if (depth > deepest) deepest = depth;
  if (signal == SIGUSR1) raise(SIGUSR2);
  depth--;
}

static void escape(int signal, siginfo_t *info, void *context) {
  char here;
  (void)context;
  seen.si_addr = info->si_addr;
  seen.si_code = info->si_code;
  last = &here >= alternate && &here < alternate + sizeof alternate;
  siglongjmp(back, signal);
}

static void set(int signal, void (*handler)(int), int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = flags;
  if (sigaction(signal, &action, NULL) != 0) exit(100);
}

static void set_info(int signal, void (*handler)(int, siginfo_t *, void *), int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  if (sigaction(signal, &action, NULL) != 0) exit(100);
}

static void sent(void) {
  union sigval value = {.sival_int = 4711};
  set(SIGUSR1, simple, 0);
  raise(SIGUSR1);
  printf("raise: %d of %d\n", count, last);
  set_info(SIGUSR1, informed, 0);
  kill(getpid(), SIGUSR1);
  printf("kill: %d of %d, code %d, from me %d\n", count, seen.si_signo, seen.si_code, seen.si_pid == getpid());
  set_info(SIGRTMIN, informed, 0);
  sigqueue(getpid(), SIGRTMIN, value);
  printf("sigqueue: code %d, value %d\n", seen.si_code, seen.si_value.sival_int);
  set(SIGUSR2, simple, SA_RESETHAND);
  raise(SIGUSR2);
  struct sigaction now;
  sigaction(SIGUSR2, NULL, &now);
  printf("reset: %d\n", now.sa_handler == SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  raise(SIGPIPE);
  raise(SIGCHLD);
  printf("ignored\n");
  printf("no such signal: %d", kill(getpid(), 99));
  printf(" %s\n", strerrorname_np(errno));
  errno = 0;
  struct sigaction action = {.sa_handler = simple};
  printf("SIGKILL: %d", sigaction(SIGKILL, &action, NULL));
  printf(" %s\n", strerrorname_np(errno));
}

static void masked(void) {
  sigset_t set_, old, pending;
  sigemptyset(&set_);
  sigaddset(&set_, SIGUSR1);
  sigaddset(&set_, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set_, &old);
  count = 0;
  for (int i = 0; i < 3; i++) {
    raise(SIGUSR1);
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i});
  }
  sigpending(&pending);
  printf("blocked: %d handled, pending %d %d %d\n", count, sigismember(&pending, SIGUSR1),
         sigismember(&pending, SIGRTMIN), sigismember(&pending, SIGUSR2));
  sigprocmask(SIG_SETMASK, &old, NULL);
  // QEMU leaves the value of a signal that was not queued as it finds it on the stack.
  int value = seen.si_code == SI_QUEUE ? seen.si_value.sival_int : -1;
  printf("unblocked: %d handled, the last with %d\n", count, value);
  sigprocmask(SIG_BLOCK, &set_, NULL);
  raise(SIGUSR1);
  siginfo_t info;
  const struct timespec none = {0, 0};
  int got = sigtimedwait(&set_, &info, &none);
  printf("sigtimedwait: %d, code %d\n", got == SIGUSR1, info.si_code);
  got = sigtimedwait(&set_, &info, &none);
  printf("nothing left: %d %s\n", got, strerrorname_np(errno));
  raise(SIGUSR1);
  sigdelset(&old, SIGUSR1);
  count = 0;
  got = sigsuspend(&old);
  printf("sigsuspend: %d %s, %d handled\n", got, strerrorname_np(errno), count);
  sigprocmask(SIG_SETMASK, &old, NULL);
  set(SIGUSR1, nested, 0);
  set(SIGUSR2, nested, 0);
  raise(SIGUSR1);
  printf("one handler in another: %d deep\n", deepest);
}

static void faults(void) {
  const stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
  stack_t old;
  sigaltstack(&stack, NULL);
  sigaltstack(NULL, &old);
  printf("alternate stack: %d %d\n", old.ss_sp == alternate, old.ss_flags);
  set_info(SIGSEGV, escape, SA_ONSTACK);
  set_info(SIGILL, escape, 0);
  char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (volatile int round = 0; round < 3; round++) {
    if (sigsetjmp(back, 1) == 0) {
      if (round == 0) *(volatile char *)page = 1;
      if (round == 1) munmap(page, 4096), (void)*(volatile char *)(page + 100);
      __asm__ volatile(".4byte 0xffffffff");
    }
    /* QEMU says that the operand is illegal where Linux for AArch64 says that the opcode is. */
    int code = round == 2 && seen.si_code == ILL_ILLOPN ? ILL_ILLOPC : seen.si_code;
    printf("fault %d: code %d, at the right place %d, on the alternate stack %d\n", round, code,
           round == 2 || seen.si_addr == page + (round ? 100 : 0), last);
  }
}

static void interrupted(void) {
  int ends[2];
  char byte;
  const struct itimerval soon = {{0, 0}, {0, 20000}};
  struct timespec pause_ = {10, 0}, left;
  if (pipe(ends) != 0) exit(100);
  set(SIGALRM, simple, 0);
  count = 0;
  setitimer(ITIMER_REAL, &soon, NULL);
  int result = nanosleep(&pause_, &left);
  printf("nanosleep: %d %s, %d left\n", result, strerrorname_np(errno), left.tv_sec >= 9);
  setitimer(ITIMER_REAL, &soon, NULL);
  result = (int)read(ends[0], &byte, 1);
  printf("read: %d %s, %d handled\n", result, strerrorname_np(errno), count);
  setitimer(ITIMER_REAL, &soon, NULL);
  result = pause();
  printf("pause: %d %s, %d handled\n", result, strerrorname_np(errno), count);
  /* Without any call: the handler runs between two instructions. */
  const struct itimerval often = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
  double sum = 0;
  count = 0;
  setitimer(ITIMER_REAL, &often, NULL);
  while (count < 5) sum += 1.0 / (1.0 + sum);
  setitimer(ITIMER_REAL, &never, NULL);
  printf("five ticks, a sum above 1: %d\n", sum > 1);
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  sent();
  masked();
  faults();
  interrupted();
  if (argc > 1) {
    const int number = atoi(argv[1]);
    signal(number, SIG_DFL);
    kill(getpid(), number);
    printf("survived\n");
  }
  return 0;
}
