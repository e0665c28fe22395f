/* getrandom and friends: only what must hold of random bytes is printed. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>

/* An address in the null page, which the compiler must not know. */
static char *volatile nowhere = (char *)8;

int main(void) {
  static unsigned char bytes[65536], other[64];
  unsigned counts[256] = {0}, fewest = 65536, most = 0;
  printf("getrandom: %zd\n", getrandom(bytes, sizeof bytes, 0));
  for (size_t i = 0; i < sizeof bytes; i++) counts[bytes[i]]++;
  for (int i = 0; i < 256; i++) {
    if (counts[i] < fewest) fewest = counts[i];
    if (counts[i] > most) most = counts[i];
  }
  printf("every byte about as often: %d\n", fewest > 128 && most < 400);
  printf("small: %zd, none: %zd\n", getrandom(other, 64, GRND_NONBLOCK), getrandom(other, 0, 0));
  printf("different each time: %d\n", memcmp(bytes, other, 64) != 0);
  printf("bad flags: %zd", getrandom(other, 64, 0x100));
  printf(" %s\n", strerrorname_np(errno));
  printf("bad address: %zd", getrandom(nowhere, 64, 0));
  printf(" %s\n", strerrorname_np(errno));
  printf("getentropy: %d", getentropy(other, 64));
  printf(", too much: %d\n", getentropy(bytes, 257));
  const unsigned char *start = (unsigned char *)getauxval(AT_RANDOM);
  int zeros = 0;
  for (int i = 0; start && i < 16; i++) zeros += start[i] == 0;
  printf("AT_RANDOM is random: %d\n", start && zeros < 8);
  printf("arc4random_uniform in range: %d\n", arc4random_uniform(10) < 10);
  return 0;
}
