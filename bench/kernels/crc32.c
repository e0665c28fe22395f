/* CRC-32 (IEEE 802.3) of 16 KiB by a table of 256 words: one byte at a time, each step waiting
 * for the load before it. */
#include "bench.h"

enum { SIZE = 16384 };

static uint32_t table[256];
static unsigned char data[SIZE];

static BENCH_NOINLINE uint32_t crc32(uint32_t crc, const unsigned char *at, unsigned length) {
  crc = ~crc;
  while (length-- > 0) crc = table[(crc ^ *at++) & 0xff] ^ crc >> 8;
  return ~crc;
}

static uint64_t kernel(unsigned long scale) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ 0xedb88320 : value >> 1;
    table[i] = value;
  }
  if (crc32(0, (const unsigned char *)"123456789", 9) != 0xcbf43926) {
    fputs("crc32: self-test failed\n", stderr);
    exit(1);
  }
  uint64_t random = 13;
  for (int i = 0; i < SIZE; i++) data[i] = (unsigned char)(bench_random(&random) >> 56);
  uint32_t crc = 0;
  for (unsigned long run = 0; run < scale * 8; run++) {
    crc = crc32(crc, data, SIZE);
    data[run % SIZE] ^= (unsigned char)crc;
  }
  return bench_mix(0, crc);
}

BENCH_MAIN("crc32", kernel)
