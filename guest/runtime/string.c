/* String functions of the tiny C library; GCC also calls the first four by itself. */
#include <stdlib.h>
#include <string.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size) {
  unsigned char *t = to;
  const unsigned char *f = from;
  while (size-- > 0) *t++ = *f++;
  return to;
}

void *memmove(void *to, const void *from, size_t size) {
  unsigned char *t = to;
  const unsigned char *f = from;
  if (t < f) {
    while (size-- > 0) *t++ = *f++;
  } else {
    while (size-- > 0) t[size] = f[size];
  }
  return to;
}

void *memset(void *to, int value, size_t size) {
  unsigned char *t = to;
  while (size-- > 0) *t++ = (unsigned char)value;
  return to;
}

int memcmp(const void *a, const void *b, size_t size) {
  const unsigned char *x = a, *y = b;
  for (; size > 0; size--, x++, y++) {
    if (*x != *y) return *x - *y;
  }
  return 0;
}

size_t strlen(const char *text) {
  const char *end = text;
  while (*end) end++;
  return (size_t)(end - text);
}

int strcmp(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return (unsigned char)*a - (unsigned char)*b;
}

static unsigned digit(char c) {
  if (c >= '0' && c <= '9') return (unsigned)(c - '0');
  if (c >= 'a' && c <= 'z') return (unsigned)(c - 'a') + 10;
  if (c >= 'A' && c <= 'Z') return (unsigned)(c - 'A') + 10;
  return 99;
}

/* Without signs, white space and overflow. */
unsigned long strtoul(const char *restrict text, char **restrict end, int base) {
  unsigned long value = 0;
  if ((base == 0 || base == 16) && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    base = 16;
    text += 2;
  }
  if (base == 0) base = 10;
  for (; digit(*text) < (unsigned)base; text++) value = value * (unsigned)base + digit(*text);
  if (end) *end = (char *)text;
  return value;
}
