/* stdio, malloc, qsort and printf of everything, floats included. Prints only what does not depend on the machine. */
#include <float.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct item {
  double key;
  char *name;
};

static int by_key(const void *a, const void *b) {
  const struct item *x = a, *y = b;
  return (x->key > y->key) - (x->key < y->key);
}

static int by_name(const void *a, const void *b) {
  const struct item *x = a, *y = b;
  return strcmp(x->name, y->name);
}

static void integers(void) {
  printf("integers\n");
  printf("  [%d] [%5d] [%-5d] [%05d] [%+d] [% d]\n", 42, 42, 42, 42, 42, 42);
  printf("  [%u] [%x] [%X] [%#x] [%o] [%#o] [%c]\n", 3000000000u, 48879, 48879, 48879, 8, 8, 'c');
  printf("  %d %d %ld %lld %llu\n", INT_MIN, INT_MAX, LONG_MIN, LLONG_MAX, ULLONG_MAX);
  printf("  %hhd %hd %jd %zu %" PRIx64 "\n", 300, 70000, (intmax_t)-1, sizeof(int), UINT64_C(1) << 63);
  printf("  [%*d] [%-*d] [%.3d] [%8.3d]\n", 6, 7, 6, 7, 7, 7);
}

static void floats(void) {
  static const double values[] = {0.0,     -0.0,    1.0,      -1.5,        3.14159265358979, 1e-5,
                                  1e21,    1e22,    123456.0, 1234567.0,   0.1,              1.0 / 3,
                                  DBL_MAX, DBL_MIN, 4.9e-324, DBL_EPSILON, INFINITY,         -INFINITY};
  printf("floats\n");
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    printf("  %g %.17g %e %a", values[i], values[i], values[i], values[i]);
    if (fabs(values[i]) < 1e23) printf(" %f %.0f %10.3f", values[i], values[i], values[i]);
    printf("\n");
  }
  printf("  %d %d\n", isnan(NAN) != 0, isinf(INFINITY) != 0);
  printf("  %.50f\n  %.1f %.1f %.1f %.0f %.0f\n", 0.1, 0.25, 0.35, 0.45, 0.5, 1.5);
  printf("  %Lg %.30Lg\n", 1.0L / 3, 1.0L / 3);
  printf("  %g %g %g\n", (double)FLT_MAX, (double)FLT_MIN, (double)(float)0.1);
}

static void scanning(void) {
  int i = 0, n = 0;
  unsigned x = 0;
  double d = 0;
  float f = 0;
  char word[16] = "", rest[16] = "";
  const int got = sscanf("  -17 0xbeef 2.5e3 hello 0.1 a-z!", "%d %x %lf %15s %f %15[a-z-]%n", &i, &x, &d, word, &f,
                         rest, &n);
  printf("scanning\n  %d: %d %x %g %s %.9g %s %d\n", got, i, x, d, word, (double)f, rest, n);
  printf("  %g %g %g %a\n", strtod("1e400", NULL), strtod("-0x1.8p1", NULL), strtod("4.9406564584124654e-324", NULL),
         strtod("2.2250738585072011e-308", NULL));
  printf("  %ld %ld %lu %lld\n", strtol("-99", NULL, 10), strtol("zz", NULL, 36), strtoul("0777", NULL, 0),
         strtoll("9223372036854775808", NULL, 10));
}

static void sorting(void) {
  enum { COUNT = 500 };
  struct item *items = malloc(COUNT * sizeof *items);
  unsigned state = 12345, sum = 0;
  if (!items) exit(1);
  for (int i = 0; i < COUNT; i++) {
    char name[24];
    state = state * 1103515245u + 12345u;
    items[i].key = (state >> 8) / 1000.0 - 8000;
    snprintf(name, sizeof name, "item-%04u-%d", state >> 20, i);
    items[i].name = strdup(name);
  }
  qsort(items, COUNT, sizeof *items, by_key);
  for (int i = 1; i < COUNT; i++) sum += items[i - 1].key <= items[i].key;
  printf("sorting\n  %u in order, %.3f to %.3f\n", sum, items[0].key, items[COUNT - 1].key);
  qsort(items, COUNT, sizeof *items, by_name);
  printf("  %s to %s\n", items[0].name, items[COUNT - 1].name);
  for (int i = 0; i < COUNT; i++) free(items[i].name);
  items = realloc(items, 10 * sizeof *items);
  printf("  %s\n", items ? "shrunk" : "lost");
  free(items);
}

static void allocation(void) {
  unsigned char *blocks[64] = {0};
  unsigned long bytes = 0, wrong = 0;
  for (int round = 0; round < 2000; round++) {
    const int i = round * 7 % 64;
    const size_t size = (size_t)(round % 50) * (size_t)(round % 50) * 3 + 1;
    if (blocks[i]) wrong += blocks[i][0] != (unsigned char)i;
    free(blocks[i]);
    blocks[i] = malloc(size);
    if (!blocks[i]) exit(1);
    memset(blocks[i], i, size);
    bytes += size;
  }
  for (int i = 0; i < 64; i++) free(blocks[i]);
  int *zeros = calloc(1000, sizeof *zeros);
  for (int i = 0; zeros && i < 1000; i++) wrong += zeros[i] != 0;
  free(zeros);
  void *aligned = aligned_alloc(4096, 8192);
  wrong += (uintptr_t)aligned % 4096 != 0;
  free(aligned);
  printf("allocation\n  %lu bytes, %lu wrong\n", bytes, wrong);
}

static int collect(char *buffer, size_t size, const char *format, ...) {
  va_list list;
  va_start(list, format);
  const int n = vsnprintf(buffer, size, format, list);
  va_end(list);
  return n;
}

static void buffers(void) {
  char small[8], *grown = NULL;
  size_t length = 0;
  const int need = collect(small, sizeof small, "%s-%d", "abcdefgh", 12345);
  printf("buffers\n  %d %s\n", need, small);
  FILE *memory = open_memstream(&grown, &length);
  if (!memory) exit(1);
  for (int i = 0; i < 300; i++) fprintf(memory, "%d,", i);
  fclose(memory);
  printf("  %zu bytes ending in %s\n", length, grown + length - 8);
  memory = fmemopen(grown, length, "r");
  if (!memory) exit(1);
  long sum = 0;
  int value;
  while (fscanf(memory, "%d,", &value) == 1) sum += value;
  printf("  sum %ld, end %d, error %d\n", sum, feof(memory) != 0, ferror(memory) != 0);
  fclose(memory);
  free(grown);
}

int main(void) {
  char line[256];
  unsigned lines = 0, bytes = 0;
  setvbuf(stdout, NULL, _IOFBF, 512);
  integers();
  floats();
  scanning();
  sorting();
  allocation();
  buffers();
  while (fgets(line, sizeof line, stdin)) lines++, bytes += (unsigned)strlen(line);
  printf("standard input: %u lines, %u bytes\n", lines, bytes);
  fflush(stdout);
  fprintf(stderr, "standard error: unbuffered\n");
  return ferror(stdout) ? 1 : 0;
}
