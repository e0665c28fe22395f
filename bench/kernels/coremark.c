/*
 * The mix that CoreMark made popular, written from scratch: linked lists (find, reverse, merge
 * sort), small 16-bit matrices, a state machine over number-like text, a CRC over all results.
 */
#include "bench.h"

enum { ITEMS = 64, SIDE = 10, TEXT = 512 };

typedef struct item {
  struct item *next;
  int16_t key;
  uint16_t tag;
} item;

static item items[ITEMS];
static int16_t left[SIDE][SIDE], right[SIDE][SIDE];
static int32_t product[SIDE][SIDE];
static unsigned char text[TEXT];

static uint16_t crc16_byte(uint16_t crc, unsigned byte) {
  for (int bit = 0; bit < 8; bit++) {
    unsigned carry = (crc ^ byte) & 1;
    crc >>= 1;
    byte >>= 1;
    if (carry) crc ^= 0xa001;
  }
  return crc;
}

static uint16_t crc16_word(uint16_t crc, uint32_t word) {
  for (int i = 0; i < 4; i++) crc = crc16_byte(crc, (word >> (8 * i)) & 0xff);
  return crc;
}

static item *list_find(item *list, int16_t key) {
  while (list && list->key != key) list = list->next;
  return list;
}

static item *list_reverse(item *list) {
  item *done = NULL;
  while (list) {
    item *next = list->next;
    list->next = done;
    done = list;
    list = next;
  }
  return done;
}

static int by_key(const item *a, const item *b) { return a->key - b->key; }
static int by_tag(const item *a, const item *b) { return (int)a->tag - (int)b->tag; }

/* Bottom-up merge sort: runs of 1, 2, 4... until one pass merges nothing. */
static item *list_sort(item *list, int (*compare)(const item *, const item *)) {
  for (unsigned width = 1;; width *= 2) {
    item *rest = list, *head = NULL, **tail = &head;
    unsigned merges = 0;
    while (rest) {
      item *a = rest, *b = rest;
      unsigned a_size = 0, b_size = width;
      merges++;
      while (a_size < width && b) {
        a_size++;
        b = b->next;
      }
      while (a_size > 0 || (b_size > 0 && b)) {
        item *taken;
        if (a_size > 0 && (b_size == 0 || !b || compare(a, b) <= 0)) {
          taken = a;
          a = a->next;
          a_size--;
        } else {
          taken = b;
          b = b->next;
          b_size--;
        }
        *tail = taken;
        tail = &taken->next;
      }
      rest = b;
    }
    *tail = NULL;
    list = head;
    if (merges <= 1) return list;
  }
}

static uint16_t run_list(uint16_t crc, uint64_t *random) {
  item *list = NULL;
  for (int i = 0; i < ITEMS; i++) {
    items[i].key = (int16_t)(bench_random(random) >> 52);
    items[i].tag = (uint16_t)i;
    items[i].next = list;
    list = &items[i];
  }
  unsigned found = 0;
  for (int i = 0; i < 8; i++) {
    item *hit = list_find(list, items[(i * 7) % ITEMS].key);
    found += hit ? hit->tag : 0;
    list = list_reverse(list);
  }
  crc = crc16_word(crc, found);
  list = list_sort(list, by_key);
  for (item *i = list; i; i = i->next) crc = crc16_byte(crc, i->tag & 0xff);
  list = list_sort(list, by_tag);
  return crc16_word(crc, (uint32_t)list->key);
}

static uint16_t run_matrix(uint16_t crc, int16_t seed) {
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) {
      left[i][j] = (int16_t)(seed + i * SIDE + j);
      right[i][j] = (int16_t)(seed ^ (i + j * SIDE));
    }
  }
  uint32_t sum = 0;
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) {
      uint32_t cell = 0;
      for (int k = 0; k < SIDE; k++) {
        int32_t term = (int32_t)left[i][k] * right[k][j];
        cell += (uint32_t)((term >> 2) & 0xf) * (uint32_t)((term >> 5) & 0x7f);
      }
      product[i][j] = (int32_t)cell;
      sum += cell > 2048 ? 10 : cell & 0x3ff;
    }
  }
  for (int i = 0; i < SIDE; i++) sum += (uint32_t)product[i][SIDE - 1 - i];
  return crc16_word(crc, sum);
}

typedef enum { START, SIGN, DIGITS, POINT, EXPONENT, POWER, INVALID, STATES } state;

static state step(state from, unsigned char c) {
  int digit = c >= '0' && c <= '9';
  switch (from) {
    case START:
      return digit ? DIGITS : c == '+' || c == '-' ? SIGN : c == '.' ? POINT : INVALID;
    case SIGN:
      return digit ? DIGITS : c == '.' ? POINT : INVALID;
    case DIGITS:
      return digit ? DIGITS : c == '.' ? POINT : c == 'e' ? EXPONENT : INVALID;
    case POINT:
      return digit ? POINT : c == 'e' ? EXPONENT : INVALID;
    case EXPONENT:
      return digit || c == '+' || c == '-' ? POWER : INVALID;
    case POWER:
      return digit ? POWER : INVALID;
    default:
      return INVALID;
  }
}

static uint16_t run_states(uint16_t crc, uint64_t *random) {
  uint32_t visits[STATES] = {0}, ends[STATES] = {0};
  for (int i = 0; i < TEXT; i += 8) {
    uint64_t bits = bench_random(random);
    for (int j = 0; j < 8; j++) text[i + j] = (unsigned char)"0123456789,+-.ex"[(bits >> (8 * j)) & 15];
  }
  state now = START;
  for (int i = 0; i < TEXT; i++) {
    if (text[i] == ',') {
      ends[now]++;
      now = START;
    } else {
      now = step(now, text[i]);
      visits[now]++;
    }
  }
  for (int i = 0; i < STATES; i++) crc = crc16_word(crc, visits[i] ^ (ends[i] << 16));
  return crc;
}

static uint64_t kernel(unsigned long scale) {
  uint64_t random = 0x1234567, sum = 0;
  uint16_t crc = 0xffff;
  for (unsigned long i = 0; i < scale * 10; i++) {
    crc = run_list(crc, &random);
    crc = run_matrix(crc, (int16_t)crc);
    crc = run_states(crc, &random);
    sum = bench_mix(sum, crc);
  }
  return sum;
}

BENCH_MAIN("coremark", kernel)
