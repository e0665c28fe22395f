/*
 * directory PATH: makes, lists, renames and removes files and directories below PATH, which must be empty,
 * and leaves it empty. Prints no sizes of directories, no inodes and no times.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void report(const char *what, int result) {
  if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
  else printf("%s: ok\n", what);
}

static const char *kind(mode_t mode) {
  return S_ISDIR(mode) ? "directory" : S_ISREG(mode) ? "file" : S_ISLNK(mode) ? "link" : "other";
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Lists a directory in the order of names, directories recursively. */
static void list(const char *path, int depth) {
  char *names[300];
  size_t count = 0;
  DIR *directory = opendir(path);
  if (!directory) {
    report(path, -1);
    return;
  }
  for (struct dirent *entry; (entry = readdir(directory)) && count < 300;) names[count++] = strdup(entry->d_name);
  closedir(directory);
  qsort(names, count, sizeof *names, by_name);
  for (size_t i = 0; i < count; i++) {
    char full[512];
    struct stat info;
    snprintf(full, sizeof full, "%s/%s", path, names[i]);
    if (lstat(full, &info) != 0) {
      report(names[i], -1);
    } else if (names[i][0] != '.') {
      printf("%*s%s %s", 2 * depth + 2, "", kind(info.st_mode), names[i]);
      if (S_ISREG(info.st_mode)) printf(", %lld bytes, mode %o", (long long)info.st_size, info.st_mode & 0777);
      printf("\n");
      if (S_ISDIR(info.st_mode)) list(full, depth + 1);
    } else if (depth == 0) {
      printf("  %s is a %s\n", names[i], kind(info.st_mode));
    }
    free(names[i]);
  }
}

static void write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  if (!file) {
    report(path, -1);
    return;
  }
  fputs(text, file);
  fclose(file);
}

int main(int argc, char **argv) {
  struct stat info;
  char name[64], here[4096];
  if (argc != 2) {
    fprintf(stderr, "usage: directory PATH (an empty directory)\n");
    return 2;
  }
  umask(022);
  report("chdir", chdir(argv[1]));
  report("getcwd", getcwd(here, sizeof here) ? 0 : -1);
  report("mkdir a", mkdir("a", 0755));
  report("mkdir a again", mkdir("a", 0755));
  report("mkdir a/b", mkdir("a/b", 0755));
  report("mkdir x/y", mkdir("x/y", 0755));
  write_file("one", "1\n");
  write_file("a/two", "22\n");
  write_file("a/b/three", "333\n");
  write_file("one/none", "");
  report("stat one", stat("one", &info));
  report("stat none", stat("none", &info));
  report("stat one/none", stat("one/none", &info));
  report("access one", access("one", R_OK | W_OK));
  report("access none", access("none", F_OK));
  list(".", 0);

  report("rename one to a/uno", rename("one", "a/uno"));
  report("rename none to some", rename("none", "some"));
  report("rename a to a/b/c", rename("a", "a/b/c"));
  report("rename a/two over a/uno", rename("a/two", "a/uno"));
  report("symlink", symlink("uno", "a/link"));
  const ssize_t length = readlink("a/link", name, sizeof name);
  printf("readlink: %.*s\n", length > 0 ? (int)length : 0, name);
  report("stat through the link", stat("a/link", &info));
  report("readlink of a file", (int)readlink("a/uno", name, sizeof name));
  report("chmod", chmod("a/uno", 0600));
  list(".", 0);

  report("rmdir a", rmdir("a"));
  report("unlink a/b", unlink("a/b") == 0 ? 0 : -1);
  report("rmdir a/uno", rmdir("a/uno"));
  report("unlink a/link", unlink("a/link"));
  report("unlink a/link again", unlink("a/link"));
  report("open a/none", open("a/none", O_RDONLY));
  report("open a for writing", open("a", O_WRONLY));
  report("open a/uno exclusively", open("a/uno", O_CREAT | O_EXCL | O_RDWR, 0644));
  report("open a/uno as a directory", open("a/uno", O_RDONLY | O_DIRECTORY));
  const int at = open("a", O_RDONLY | O_DIRECTORY);
  const int fd = openat(at, "uno", O_RDONLY);
  report("openat", fd);
  printf("  reads %zd bytes\n", read(fd, name, sizeof name));
  close(fd);
  report("mkdirat", mkdirat(at, "made", 0700));
  report("fstatat", fstatat(at, "made", &info, 0));
  printf("  %s, mode %o\n", kind(info.st_mode), info.st_mode & 0777);
  report("unlinkat", unlinkat(at, "made", AT_REMOVEDIR));
  close(at);

  report("mkdir many", mkdir("many", 0755));
  for (int i = 0; i < 200; i++) {
    snprintf(name, sizeof name, "many/a file with quite a long name, number %d", i);
    write_file(name, name);
  }
  int seen = 0;
  DIR *directory = opendir("many");
  while (directory && readdir(directory)) seen++;
  printf("many: %d entries\n", seen);
  if (directory) {
    rewinddir(directory);
    for (seen = 0; readdir(directory);) seen++;
    printf("many: %d entries after rewinddir\n", seen);
    closedir(directory);
  }
  for (int i = 0; i < 200; i++) {
    snprintf(name, sizeof name, "many/a file with quite a long name, number %d", i);
    if (unlink(name) != 0) report(name, -1);
  }
  report("rmdir many", rmdir("many"));
  report("unlink a/uno", unlink("a/uno"));
  report("unlink a/b/three", unlink("a/b/three"));
  report("rmdir a/b", rmdir("a/b"));
  report("rmdir a", rmdir("a"));
  report("rmdir a again", rmdir("a"));
  list(".", 0);
  return 0;
}
