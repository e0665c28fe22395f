/*
 * Byte-wise text work with loops of its own (no C library, whose vector code would measure
 * something else): length, copy, upper case, search, compare, word count, numbers to text and back.
 */
#include "bench.h"

enum { TEXT = 4096 };

static char text[TEXT + 1], copy[TEXT + 1];

static BENCH_NOINLINE unsigned length_of(const char *s) {
  unsigned n = 0;
  while (s[n] != '\0') n++;
  return n;
}

static BENCH_NOINLINE void copy_upper(char *to, const char *from) {
  for (; *from != '\0'; from++) *to++ = *from >= 'a' && *from <= 'z' ? (char)(*from - 32) : *from;
  *to = '\0';
}

static BENCH_NOINLINE int compare(const char *a, const char *b) {
  while (*a != '\0' && *a == *b) {
    a++;
    b++;
  }
  return (int)(unsigned char)*a - (int)(unsigned char)*b;
}

static BENCH_NOINLINE unsigned count_matches(const char *s, const char *needle) {
  unsigned count = 0;
  for (; *s != '\0'; s++) {
    unsigned i = 0;
    while (needle[i] != '\0' && s[i] == needle[i]) i++;
    if (needle[i] == '\0') count++;
  }
  return count;
}

static BENCH_NOINLINE unsigned count_words(const char *s) {
  unsigned count = 0;
  int inside = 0;
  for (; *s != '\0'; s++) {
    int letter = *s != ' ' && *s != '\n';
    count += (unsigned)(letter && !inside);
    inside = letter;
  }
  return count;
}

static BENCH_NOINLINE unsigned print_number(char *to, uint64_t value) {
  char digits[20];
  unsigned n = 0;
  do {
    digits[n++] = (char)('0' + value % 10);
    value /= 10;
  } while (value != 0);
  for (unsigned i = 0; i < n; i++) to[i] = digits[n - 1 - i];
  to[n] = '\0';
  return n;
}

static BENCH_NOINLINE uint64_t parse_number(const char *s) {
  uint64_t value = 0;
  for (; *s >= '0' && *s <= '9'; s++) value = value * 10 + (uint64_t)(*s - '0');
  return value;
}

static uint64_t kernel(unsigned long scale) {
  uint64_t random = 23, sum = 0;
  for (int i = 0; i < TEXT; i++) text[i] = "etaoin shrdlu\n abet tin"[(bench_random(&random) >> 32) % 23];
  text[TEXT] = '\0';
  for (unsigned long run = 0; run < scale * 8; run++) {
    sum += length_of(text);
    copy_upper(copy, text);
    sum = sum * 31 + count_matches(text, "tin");
    sum = sum * 31 + count_matches(copy, "SHE");
    sum = sum * 31 + count_words(copy);
    copy_upper(copy, text + 1);
    sum = sum * 31 + (uint64_t)(int64_t)compare(copy, text + 1);
    for (int i = 0; i < 32; i++) {
      char number[21];
      print_number(number, sum);
      sum = (sum ^ (uint64_t)(unsigned char)number[i % 7] << 20) + parse_number(number + 3);
    }
    text[run % TEXT] = (char)('a' + sum % 26);
  }
  return bench_mix(sum, count_words(text));
}

BENCH_MAIN("strings", kernel)
