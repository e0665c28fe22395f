/* String and memory functions on every alignment and length, with guards; characters and wide characters. */
#define _GNU_SOURCE
#include <ctype.h>
#include <locale.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wchar.h>

static unsigned char from[512], to[512];
static unsigned wrong;

static void expect(int condition, const char *what, size_t offset, size_t size) {
  if (condition) return;
  if (wrong++ < 10) printf("WRONG: %s at %zu, %zu bytes\n", what, offset, size);
}

static void blocks(void) {
  unsigned tried = 0;
  for (size_t offset = 0; offset < 16; offset++) {
    for (size_t size = 0; size < 200; size += size < 40 ? 1 : 13) {
      for (size_t i = 0; i < sizeof from; i++) from[i] = (unsigned char)(i * 37 + 11);
      memset(to, 0xee, sizeof to);
      memcpy(to + 64 + offset, from + (offset * 5) % 17, size);
      int good = to[63 + offset] == 0xee && to[64 + offset + size] == 0xee;
      for (size_t i = 0; i < size; i++) good &= to[64 + offset + i] == from[(offset * 5) % 17 + i];
      expect(good, "memcpy", offset, size);
      expect(memcmp(to + 64 + offset, from + (offset * 5) % 17, size) == 0, "memcmp", offset, size);
      memset(to + 64 + offset, 0x5a, size);
      good = to[63 + offset] == 0xee && to[64 + offset + size] == 0xee;
      for (size_t i = 0; i < size; i++) good &= to[64 + offset + i] == 0x5a;
      expect(good, "memset", offset, size);
      if (size > 0) {
        to[64 + offset + size - 1] = 0x33;
        expect(memchr(to + 64 + offset, 0x33, size) == to + 64 + offset + size - 1, "memchr", offset, size);
        expect(memrchr(to + 64 + offset, 0x33, size) == to + 64 + offset + size - 1, "memrchr", offset, size);
      }
      memcpy(to, from, sizeof to);
      memmove(to + offset, to + 8, size);
      good = 1;
      for (size_t i = 0; i < size; i++) good &= to[offset + i] == from[8 + i];
      expect(good, "memmove", offset, size);
      tried++;
    }
  }
  printf("blocks: %u tried, %u wrong\n", tried, wrong);
}

static void texts(void) {
  char text[128], copy[128];
  for (size_t offset = 0; offset < 9; offset++) {
    for (size_t size = 0; size < 70; size++) {
      memset(text, 0, sizeof text);
      memset(text + offset, 'a', size);
      expect(strlen(text + offset) == size, "strlen", offset, size);
      expect(strnlen(text + offset, 20) == (size < 20 ? size : 20), "strnlen", offset, size);
      expect(strcmp(strcpy(copy, text + offset), text + offset) == 0, "strcpy", offset, size);
      expect(stpcpy(copy + 1, text + offset) == copy + 1 + size, "stpcpy", offset, size);
      if (size > 0) {
        copy[size] = 'b';
        expect(strcmp(copy + 1, text + offset) > 0, "strcmp", offset, size);
        expect(strchr(copy + 1, 'b') == copy + size, "strchr", offset, size);
      }
    }
  }
  printf("texts: %u wrong\n", wrong);
}

static int sign(int value) { return (value > 0) - (value < 0); }

int main(void) {
  char text[64], *rest = NULL;
  wchar_t wide[32];
  blocks();
  texts();
  printf("%d %d %d %d\n", sign(strcmp("abc", "abd")), sign(strcmp("b", "abc")), sign(strncmp("abcx", "abcy", 3)),
         sign(strcasecmp("HeLLo", "hEllO")));
  printf("%s %s %s\n", strstr("needle in a haystack", "hay"), strrchr("a/b/c", '/'), strpbrk("keys: 1, 2", ",:"));
  printf("%zu %zu\n", strspn("123abc", "0123456789"), strcspn("abc;def", ";"));
  strcpy(text, "one,two,,three");
  for (char *token = strtok_r(text, ",", &rest); token; token = strtok_r(NULL, ",", &rest)) printf("[%s]", token);
  strcpy(text, "one,two,,three");
  rest = text;
  for (char *token; (token = strsep(&rest, ","));) printf("<%s>", token);
  printf("\n");
  strncpy(text, "cut short", 3);
  text[3] = '\0';
  strncat(text, " and", sizeof text - strlen(text) - 1);
  printf("%s %s %d\n", text, strerror(2), sign(strverscmp("file9", "file10")));
  unsigned letters = 0, digits = 0, spaces = 0, punctuation = 0;
  for (int c = 0; c < 256; c++) {
    letters += isalpha(c) != 0;
    digits += isxdigit(c) != 0;
    spaces += isspace(c) != 0;
    punctuation += ispunct(c) != 0;
  }
  printf("%u %u %u %u %c%c\n", letters, digits, spaces, punctuation, toupper('q'), tolower('Q'));
  printf("%d %lld\n", atoi(" -12x"), atoll("123456789012345"));
  printf("%s %zu\n", setlocale(LC_ALL, "C.UTF-8") ? "UTF-8" : "C", mbstowcs(wide, "plain", 32));
  printf("%d %ls %zu\n", swprintf(wide, 32, L"%d-%ls", 7, L"wide"), wide, wcslen(wide));
  printf("%d %d\n", ffs(0x1000), ffsll(1LL << 40));
  return wrong > 0;
}
