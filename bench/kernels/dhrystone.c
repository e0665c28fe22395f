/*
 * The statement mix that Dhrystone made popular, written from scratch: records behind pointers,
 * small procedures with by-reference results, enumerations, and 30-character strings copied and
 * compared byte by byte. Procedures are not inlined, so calls stay calls.
 */
#include "bench.h"

typedef enum { RED, GREEN, BLUE, WHITE, BLACK } colour;

typedef struct record {
  struct record *link;
  colour kind;
  colour other;
  int number;
  char name[31];
} record;

static record first, second;
static int table[50], grid[50][50];
static int total;
static int flag;
static char mark;

static BENCH_NOINLINE void copy_string(char *to, const char *from) {
  while ((*to++ = *from++) != '\0') {
  }
}

static BENCH_NOINLINE int compare_strings(const char *a, const char *b) {
  while (*a == *b && *a != '\0') {
    a++;
    b++;
  }
  return (int)(unsigned char)*a - (int)(unsigned char)*b;
}

static BENCH_NOINLINE int is_third(colour c) { return c == BLUE; }

static BENCH_NOINLINE void next_colour(colour c, colour *result) {
  *result = c;
  if (!is_third(c)) *result = BLACK;
  switch (c) {
    case RED: *result = RED; break;
    case GREEN: *result = total > 100 ? RED : BLACK; break;
    case BLUE: *result = GREEN; break;
    case WHITE: break;
    case BLACK: *result = BLUE; break;
  }
}

static BENCH_NOINLINE void add_seven(int a, int b, int *result) { *result = a + 2 + b; }

static BENCH_NOINLINE void fill(int *row, int cells[50][50], int at, int value) {
  int start = at + 5;
  row[start] = value;
  row[start + 1] = row[start];
  row[start + 30] = start;
  for (int i = start; i <= start + 1; i++) cells[start][i] = start;
  cells[start][start - 1] += 1;
  cells[start + 20][start] = row[start];
  total = 5;
}

static BENCH_NOINLINE colour classify(char a, char b) {
  char one = a, two = one;
  if (two != b) return RED;
  mark = one;
  return GREEN;
}

static BENCH_NOINLINE int in_order(const char *a, const char *b) {
  int at = 2;
  char c = 'A';
  while (at <= 2) {
    if (classify(a[at], b[at + 1]) == RED) {
      c = 'B';
      at++;
    } else {
      break;
    }
  }
  if (c >= 'W' && c < 'Z') at = 7;
  if (c == 'R') return 1;
  if (compare_strings(a, b) > 0) {
    total = at + 7;
    return 1;
  }
  return 0;
}

static BENCH_NOINLINE void follow(record **result) {
  if (first.link) *result = first.link;
  add_seven(10, total, &first.number);
}

static BENCH_NOINLINE void update(record *r) {
  record *next = r->link;
  *next = *r;
  r->number = 5;
  next->number = r->number;
  next->link = r->link;
  follow(&next->link);
  if (next->kind == RED) {
    next->number = 6;
    next_colour(r->other, &next->other);
    next->link = first.link;
    add_seven(next->number, 10, &next->number);
  } else {
    *r = *r->link;
  }
}

static BENCH_NOINLINE void adjust(int *value) {
  int now = *value + 10;
  for (;;) {
    if (mark == 'A') {
      now--;
      *value = now - total;
      return;
    }
    mark = 'A';
  }
}

static BENCH_NOINLINE void set_flag(void) {
  flag |= mark == 'A';
  mark = 'B';
}

static uint64_t kernel(unsigned long scale) {
  char one[31], two[31];
  uint64_t sum = 0;
  first.link = &second;
  first.kind = RED;
  first.other = BLUE;
  first.number = 40;
  copy_string(first.name, "A PROGRAM, SOME RECORD OF IT..");
  copy_string(one, "A PROGRAM, THE FIRST STRING...");
  for (unsigned long run = 0; run < scale * 2000; run++) {
    int a = 2, b = 3, c = 0;
    colour kind = GREEN;
    mark = 'A';
    set_flag();
    copy_string(two, "A PROGRAM, THE SECOND STRING..");
    two[29] = (char)('a' + run % 26);
    flag = !in_order(one, two);
    while (a < b) {
      c = 5 * a - b;
      add_seven(a, b, &c);
      a++;
    }
    fill(table, grid, a, c);
    update(&first);
    for (char letter = 'A'; letter <= mark; letter++) {
      if (kind == classify(letter, 'C')) {
        next_colour(RED, &kind);
        copy_string(two, "A PROGRAM, THE THIRD STRING...");
        b = (int)run;
      }
    }
    b = b * a;
    a = b / (c | 1);
    b = 7 * (b - c) - a;
    adjust(&a);
    sum += (uint64_t)(int64_t)(a ^ b) + (uint64_t)kind + (uint64_t)flag + (unsigned char)two[29];
    first.number += (int)(sum & 7);
  }
  sum = bench_mix(sum, (uint64_t)(int64_t)table[8]);
  sum = bench_mix(sum, (uint64_t)(int64_t)grid[8][7]);
  return bench_mix(sum, (uint64_t)(int64_t)(first.number + second.number + total));
}

BENCH_MAIN("dhrystone", kernel)
