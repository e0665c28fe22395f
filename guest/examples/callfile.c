/*
 * callfile [FILE [LINE]]: what a shell does, in C: writes a line "COMMAND ARG..." to /dev/trapdoor/call and reads
 * the line "STATUS RESULT" back. With --backdoor guest/examples/hello.ts, "1 5" yields "ok 6".
 * Exit status: 0, or 1 if there is no such file.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
  const char *file = argc > 1 ? argv[1] : "/dev/trapdoor/call";
  const char *line = argc > 2 ? argv[2] : "1 5";
  char request[256], answer[256];
  const size_t length = strlen(line);
  ssize_t n;
  const int fd = open(file, O_RDWR);
  if (fd < 0 || length >= sizeof request) {
    printf("guest: cannot open %s\n", file);
    return 1;
  }
  memcpy(request, line, length);
  request[length] = '\n';
  if (write(fd, request, length + 1) != (ssize_t)length + 1) {
    puts("guest: the call file refused the line");
    return 1;
  }
  n = read(fd, answer, sizeof answer);
  if (n <= 0) {
    puts("guest: no answer");
    return 1;
  }
  printf("guest: \"%s\" is answered by \"%.*s\"\n", line, (int)n - (answer[n - 1] == '\n'), answer);
  close(fd);
  return 0;
}
