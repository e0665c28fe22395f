/* allocation [MEBIBYTES]: large and many allocations, touched sparsely; then one that cannot be. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
  const size_t size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 200) << 20;
  unsigned char *big = malloc(size);
  uint64_t sum = 0;
  if (!big) {
    printf("malloc of %zu bytes failed\n", size);
    return 1;
  }
  for (size_t i = 0; i < size; i += 65536) big[i] = (unsigned char)(i >> 16);
  for (size_t i = 0; i < size; i += 65536) sum += big[i] + big[i + 1];
  printf("%zu bytes, sum %llu\n", size, (unsigned long long)sum);
  big = realloc(big, size + size / 2);
  if (!big) return 1;
  sum = 0;
  for (size_t i = 0; i < size; i += 65536) sum += big[i];
  printf("grown, sum %llu\n", (unsigned long long)sum);
  free(big);

  /* Freed memory must come back: 40 times 64 MiB would not fit otherwise. */
  for (int i = 0; i < 40; i++) {
    char *block = malloc(64 << 20);
    if (!block) {
      printf("round %d failed\n", i);
      return 1;
    }
    if (block[0] | block[32 << 20]) printf("round %d is not fresh\n", i);
    block[0] = block[(64 << 20) - 1] = 1;
    free(block);
  }
  printf("40 rounds\n");

  enum { COUNT = 20000 };
  static void *blocks[COUNT];
  size_t total = 0;
  for (int i = 0; i < COUNT; i++) {
    const size_t length = 16 + (size_t)i % 100 * 10;
    blocks[i] = malloc(length);
    if (!blocks[i]) return 1;
    memset(blocks[i], i & 0xff, length);
    total += length;
  }
  unsigned wrong = 0;
  for (int i = 0; i < COUNT; i++) wrong += *(unsigned char *)blocks[i] != (i & 0xff);
  for (int i = 0; i < COUNT; i++) free(blocks[i * 7919 % COUNT]), blocks[i * 7919 % COUNT] = NULL;
  printf("%d blocks, %zu bytes, %u wrong\n", COUNT, total, wrong);

  errno = 0;
  volatile size_t absurd = SIZE_MAX / 4;
  printf("absurd: %s, ENOMEM %d\n", malloc(absurd) ? "got it" : "refused", errno == ENOMEM);
  return 0;
}
