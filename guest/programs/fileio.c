/* fileio PATH: file I/O on PATH (a file to be made, and removed at the end) in every way there is. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* An address in the null page, which the compiler must not know. */
static char *volatile nowhere = (char *)8;

static void number(const char *what, long long value) {
  if (value < 0) printf("%s: %s\n", what, strerrorname_np(errno));
  else printf("%s: %lld\n", what, value);
}

static long long size_of(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 ? (long long)info.st_size : -1;
}

static void show(int fd, off_t from, size_t size) {
  char bytes[64];
  const ssize_t n = pread(fd, bytes, size < sizeof bytes ? size : sizeof bytes, from);
  printf("  at %lld:", (long long)from);
  for (ssize_t i = 0; i < n; i++) printf(bytes[i] >= ' ' && bytes[i] < 127 ? " %c" : " %02x", bytes[i] & 0xff);
  printf(" (%zd)\n", n);
}

static void descriptors(const char *path) {
  const int fd = open(path, O_RDONLY);
  const int copy = dup(fd), chosen = dup2(fd, 20), closing = dup3(fd, 21, O_CLOEXEC);
  char c = 0;
  printf("dup: %d %d %d\n", copy == fd + 1, chosen, closing);
  number("read 1", read(fd, &c, 1));
  number("the copies share the position", lseek(chosen, 0, SEEK_CUR));
  number("flags of the descriptor", fcntl(closing, F_GETFD));
  number("set", fcntl(closing, F_SETFD, 0));
  number("get", fcntl(closing, F_GETFD));
  number("access mode", fcntl(fd, F_GETFL) & O_ACCMODE);
  number("F_DUPFD from 30", fcntl(fd, F_DUPFD, 30));
  number("close", close(copy));
  number("close again", close(copy));
  number("read a closed one", read(copy, &c, 1));
  number("write a read-only one", write(fd, &c, 1));
  number("read into nowhere", read(fd, nowhere, 1));
  close(fd);
  close(20);
  close(21);
  close(30);
}

static void mapping(const char *path) {
  const int fd = open(path, O_RDWR);
  const size_t size = 3 * 4096 + 100;
  number("ftruncate", ftruncate(fd, (off_t)size));
  char *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  char *private = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  char *second = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 4096);
  printf("mmap: %d %d %d\n", shared != MAP_FAILED, private != MAP_FAILED, second != MAP_FAILED);
  if (shared == MAP_FAILED || private == MAP_FAILED || second == MAP_FAILED) exit(1);
  printf("  zero after the end of the file: %d\n", shared[size] == 0 && shared[size + 1000] == 0);
  memcpy(private + 10, "private", 7);
  number("msync", msync(shared, size, MS_SYNC));
  show(fd, 8, 12);
  memcpy(shared + 5000, "shared", 6);
  number("msync", msync(shared, size, MS_SYNC));
  show(fd, 4998, 10);
  number("munmap", munmap(shared, size));
  number("munmap", munmap(private, size));
  number("munmap", munmap(second, 4096));
  shared = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
  printf("mapped again: %.6s\n", shared + 5000);
  munmap(shared, size);
  printf("odd offset: %s\n", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 100) == MAP_FAILED ? strerrorname_np(errno) : "ok");
  printf("no file: %s\n", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 99, 0) == MAP_FAILED ? strerrorname_np(errno) : "ok");
  printf("no length: %s\n", mmap(NULL, 0, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? strerrorname_np(errno) : "ok");
  close(fd);
}

static void streams(const char *path) {
  FILE *file = fopen(path, "w+");
  char line[64];
  long sum = 0;
  int value, lines = 0;
  if (!file) exit(1);
  for (int i = 0; i < 5000; i++) fprintf(file, "%d\n", i * 3);
  printf("ftell: %ld\n", ftell(file));
  rewind(file);
  while (fgets(line, sizeof line, file) && sscanf(line, "%d", &value) == 1) sum += value, lines++;
  printf("%d lines, sum %ld, end %d\n", lines, sum, feof(file) != 0);
  fseek(file, 100, SEEK_SET);
  fputs("HERE", file);
  fseek(file, 98, SEEK_SET);
  printf("read back: %zu", fread(line, 1, 8, file));
  for (int i = 0; i < 8; i++) printf(line[i] == '\n' ? " /" : " %c", line[i]);
  printf("\nungetc: %c", ungetc('u', file));
  printf("%c\n", getc(file));
  fclose(file);
  file = fopen(path, "a");
  fputs("appended", file);
  printf("position at the end: %ld\n", ftell(file));
  fclose(file);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: fileio PATH\n");
    return 2;
  }
  const char *path = argv[1];
  int fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0644);
  if (fd < 0) {
    perror(path);
    return 1;
  }
  number("write", write(fd, "hello, world", 12));
  number("pwrite", pwrite(fd, "W", 1, 7));
  number("position", lseek(fd, 0, SEEK_CUR));
  number("pwrite beyond the end", pwrite(fd, "end", 3, 20));
  number("size", size_of(fd));
  show(fd, 0, 30);
  number("SEEK_SET", lseek(fd, 5, SEEK_SET));
  number("SEEK_CUR", lseek(fd, 3, SEEK_CUR));
  number("SEEK_END", lseek(fd, -3, SEEK_END));
  number("seek before the start", lseek(fd, -1, SEEK_SET));
  number("seek nonsense", lseek(fd, 0, 77));
  number("seek far", lseek(fd, 5000000000, SEEK_SET));
  number("read at the end", read(fd, (char[4]){0}, 4));
  number("ftruncate shorter", ftruncate(fd, 8));
  number("size", size_of(fd));
  number("ftruncate longer", ftruncate(fd, 16));
  show(fd, 0, 30);
  lseek(fd, 0, SEEK_SET);
  const struct iovec out[] = {{"ab", 2}, {"", 0}, {"cde", 3}};
  number("writev", writev(fd, out, 3));
  char a[3] = "", b[4] = "";
  const struct iovec in[] = {{a, 2}, {b, 3}};
  number("lseek", lseek(fd, 0, SEEK_SET));
  number("readv", readv(fd, in, 2));
  printf("  %.2s %.3s\n", a, b);
  close(fd);

  fd = open(path, O_WRONLY | O_APPEND);
  number("append", write(fd, "++", 2));
  number("position", lseek(fd, 0, SEEK_CUR));
  number("read a write-only one", read(fd, a, 1));
  close(fd);
  descriptors(path);
  mapping(path);
  streams(path);
  number("isatty", isatty(0) && isatty(1) ? 1 : 0);
  number("unlink", unlink(path));
  number("open again", open(path, O_RDONLY));
  return 0;
}
