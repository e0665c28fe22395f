/* environment [ARG...]: echoes arguments and environment, changes the environment. Exit status: number of arguments. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(void) {
  size_t count = 0;
  while (environ[count]) count++;
  char **sorted = malloc((count + 1) * sizeof *sorted);
  if (!sorted) exit(100);
  memcpy(sorted, environ, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, by_text);
  for (size_t i = 0; i < count; i++) printf("  %s\n", sorted[i]);
  free(sorted);
}

int main(int argc, char **argv) {
  printf("%d arguments\n", argc - 1);
  for (int i = 1; i < argc; i++) printf("  [%s] of %zu bytes\n", argv[i], strlen(argv[i]));
  printf("ends with NULL: %d\n", argv[argc] == NULL);
  printf("environment\n");
  list();
  printf("setenv %d, putenv %d, unsetenv %d\n", setenv("ADDED", "by the guest", 1), putenv("PUT=too"),
         unsetenv("REMOVED"));
  printf("environment\n");
  list();
  printf("getenv: %s, %s\n", getenv("ADDED"), getenv("REMOVED") ? "still there" : "gone");
  return argc - 1;
}
