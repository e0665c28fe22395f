/* Pipes of a process to itself, with poll, select and non-blocking I/O. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <unistd.h>

static void number(const char *what, long value) {
  if (value < 0) printf("%s: %s\n", what, strerrorname_np(errno));
  else printf("%s: %ld\n", what, value);
}

static void show_poll(const char *what, int fd, short events, int timeout) {
  struct pollfd entry = {fd, events, 0};
  const int ready = poll(&entry, 1, timeout);
  printf("%s: %d%s%s%s%s%s\n", what, ready, entry.revents & POLLIN ? " in" : "", entry.revents & POLLOUT ? " out" : "",
         entry.revents & POLLHUP ? " hup" : "", entry.revents & POLLERR ? " err" : "",
         entry.revents & POLLNVAL ? " nval" : "");
}

int main(void) {
  int ends[2], other[2];
  char buffer[128] = "";
  static char page[4096];
  number("pipe2", pipe2(ends, O_NONBLOCK));
  number("read an empty one", read(ends[0], buffer, sizeof buffer));
  show_poll("poll an empty one", ends[0], POLLIN, 0);
  show_poll("poll its other end", ends[1], POLLOUT, 0);
  number("write", write(ends[1], "through the pipe", 16));
  show_poll("poll", ends[0], POLLIN, -1);
  int waiting = 0;
  number("FIONREAD", ioctl(ends[0], FIONREAD, &waiting));
  printf("  %d bytes wait\n", waiting);
  number("read some", read(ends[0], buffer, 7));
  printf("  %.7s\n", buffer);
  number("read the rest", read(ends[0], buffer, sizeof buffer));
  printf("  %.9s\n", buffer);
  number("seek", lseek(ends[0], 0, SEEK_SET));
  number("write the wrong end", write(ends[0], "x", 1));
  number("read the wrong end", read(ends[1], buffer, 1));

  memset(page, 'p', sizeof page);
  long total = 0;
  for (ssize_t n; (n = write(ends[1], page, sizeof page)) > 0;) total += n;
  printf("full after %ld bytes: %s\n", total, strerrorname_np(errno));
  show_poll("poll a full one", ends[1], POLLOUT, 0);
  long drained = 0;
  for (ssize_t n; (n = read(ends[0], page, sizeof page)) > 0;) drained += n;
  printf("drained %d\n", drained == total);

  number("pipe", pipe(other));
  fd_set readable;
  FD_ZERO(&readable);
  FD_SET(ends[0], &readable);
  FD_SET(other[0], &readable);
  number("write the other", write(other[1], "!", 1));
  struct timeval limit = {5, 0};
  number("select", select((ends[0] > other[0] ? ends[0] : other[0]) + 1, &readable, NULL, NULL, &limit));
  printf("  %d %d\n", FD_ISSET(ends[0], &readable) != 0, FD_ISSET(other[0], &readable) != 0);
  struct pollfd both[3] = {{ends[0], POLLIN, 0}, {other[0], POLLIN, 0}, {-1, POLLIN, 0}};
  number("poll three", poll(both, 3, 1000));
  printf("  %d %d %d\n", both[0].revents, both[1].revents, both[2].revents);

  FILE *in = fdopen(ends[0], "r"), *out = fdopen(ends[1], "w");
  if (!in || !out) return 1;
  fprintf(out, "line %d\nline %d\n", 1, 2);
  fflush(out);
  while (fgets(buffer, sizeof buffer, in)) printf("  %s", buffer);
  fclose(out);
  clearerr(in);
  show_poll("poll after the writer is gone", fileno(in), POLLIN, -1);
  number("read after the writer is gone", read(fileno(in), buffer, 1));
  fclose(in);
  close(other[0]);
  close(other[1]);
  show_poll("poll a closed one", other[0], POLLIN, 0);
  show_poll("poll nothing for a while", -1, 0, 10);
  return 0;
}
