/*
 * bulk [BASE]: a text goes to the host through the data area, which both sides see without a copy; the host counts
 * its words and puts them in capitals in place. Exit status: 0, 1 if nobody answers, 2 if the counts differ.
 */
#include <stdio.h>
#include <string.h>

#include "trapdoor.h"

enum { COUNT_WORDS = 1, CAPITALS = 2 };

static const char line[] =
    "There is a door in the floor of the machine, and whoever knocks is answered from below.\n";

/* The guest's own count, to compare. */
static long count_words(const char *text, size_t size) {
  long count = 0;
  int inside = 0;
  for (size_t i = 0; i < size; i++) {
    const int space = text[i] == ' ' || text[i] == '\n';
    if (!space && !inside) count++;
    inside = !space;
  }
  return count;
}

int main(int argc, char **argv) {
  size_t size = 0;
  char *text;
  long mine;
  int64_t theirs;
  if (trapdoor_init(argc > 1 ? argv[1] : NULL) != 0) {
    puts("guest: nobody answers");
    return 1;
  }
  text = trapdoor_data(0);
  while (size + sizeof line - 1 <= trapdoor_data_size()) {
    memcpy(text + size, line, sizeof line - 1);
    size += sizeof line - 1;
  }
  mine = count_words(text, size);
  theirs = trapdoor_call(0, COUNT_WORDS, (int64_t)size);
  printf("guest: %lu bytes: I count %ld words, the host %lld\n", (unsigned long)size, mine,
         (long long)theirs);
  trapdoor_call(0, CAPITALS, (int64_t)size);
  printf("guest: and now it reads %.*s", (int)sizeof line - 1, text + size - (sizeof line - 1));
  trapdoor_fini();
  return theirs == mine ? 0 : 2;
}
