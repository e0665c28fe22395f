/* Calls through function pointers: a table indexed by random numbers, and objects with methods,
 * so that call targets and returns are what has to be guessed. */
#include "bench.h"

enum { OBJECTS = 64 };

typedef struct object object;
typedef struct methods {
  uint64_t (*measure)(const object *);
  void (*grow)(object *, uint64_t);
} methods;
struct object {
  const methods *type;
  uint64_t width, height;
};

static uint64_t f_add(uint64_t x, uint64_t y) { return x + y; }
static uint64_t f_sub(uint64_t x, uint64_t y) { return x - y; }
static uint64_t f_xor(uint64_t x, uint64_t y) { return x ^ y; }
static uint64_t f_or(uint64_t x, uint64_t y) { return x | (y >> 1); }
static uint64_t f_shift(uint64_t x, uint64_t y) { return (x << 1) + (y & 1); }
static uint64_t f_back(uint64_t x, uint64_t y) { return (x >> 1) ^ y; }
static uint64_t f_mul(uint64_t x, uint64_t y) { return x * (y | 1); }
static uint64_t f_not(uint64_t x, uint64_t y) { return ~x + y; }

/* Volatile: the compiler may not look through the table. */
static uint64_t (*volatile functions[8])(uint64_t, uint64_t) = {
    f_add, f_sub, f_xor, f_or, f_shift, f_back, f_mul, f_not,
};

static uint64_t box_measure(const object *o) { return o->width * o->height; }
static void box_grow(object *o, uint64_t by) { o->width += by & 3; }
static uint64_t frame_measure(const object *o) { return 2 * (o->width + o->height); }
static void frame_grow(object *o, uint64_t by) { o->height += by & 7; }
static uint64_t line_measure(const object *o) { return o->width; }
static void line_grow(object *o, uint64_t by) { o->width ^= by; }

static const methods types[3] = {
    {box_measure, box_grow}, {frame_measure, frame_grow}, {line_measure, line_grow},
};
static object objects[OBJECTS];

static uint64_t kernel(unsigned long scale) {
  uint64_t random = 29, sum = 1;
  for (int i = 0; i < OBJECTS; i++) {
    uint64_t bits = bench_random(&random);
    objects[i] = (object){&types[(bits >> 40) % 3], bits & 255, bits >> 8 & 255};
  }
  for (unsigned long run = 0; run < scale * 250; run++) {
    uint64_t bits = bench_random(&random);
    for (int i = 0; i < 64; i += 3) sum = functions[bits >> i & 7](sum, bits);
    for (int i = 0; i < OBJECTS; i++) {
      object *o = &objects[i];
      sum += o->type->measure(o);
      o->type->grow(o, sum);
    }
  }
  return bench_mix(0, sum);
}

BENCH_MAIN("calls", kernel)
