/*
 * A register machine's interpreter with one indirect jump per bytecode (GNU C's labels as values):
 * what an interpreted language does all day, and the worst case for guessing the next block. Its
 * program counts the steps of Collatz sequences.
 */
#include "bench.h"

enum { ADDI, ADD, MUL3, HALF, ANDI, MOVE, BEQZ, BNEZ, BLT, JUMP, STOP };

typedef struct op {
  uint8_t code, a, b;
  int8_t c;
} op;

/* r0: first number, r1: bound, r2: number, r3: scratch, r4: steps, r5: largest. */
static const op program[] = {
    {MOVE, 2, 0, 0},   /*  0: n = i */
    {ADDI, 3, 2, -1},  /*  1: while n != 1 */
    {BEQZ, 3, 0, 12},  /*  2: */
    {ADDI, 4, 4, 1},   /*  3:   steps++ */
    {ANDI, 3, 2, 1},   /*  4: */
    {BNEZ, 3, 0, 8},   /*  5:   if n is even */
    {HALF, 2, 2, 0},   /*  6:     n /= 2 */
    {JUMP, 0, 0, 1},   /*  7: */
    {MUL3, 2, 2, 0},   /*  8:   else n = 3 n + 1 */
    {BLT, 2, 5, 1},    /*  9:   if n >= largest */
    {MOVE, 5, 2, 0},   /* 10:     largest = n */
    {JUMP, 0, 0, 1},   /* 11: */
    {ADDI, 0, 0, 1},   /* 12: i++ */
    {BLT, 0, 1, 0},    /* 13: while i < bound */
    {ADD, 4, 4, 5},    /* 14: steps += largest */
    {STOP, 0, 0, 0},   /* 15: */
};

static BENCH_NOINLINE uint64_t run(uint64_t first, uint64_t bound) {
  static const void *const labels[] = {
      &&addi, &&add, &&mul3, &&half, &&andi, &&move, &&beqz, &&bnez, &&blt, &&jump, &&stop,
  };
  uint64_t r[8] = {first, bound};
  const op *pc = program;
#define NEXT() goto *labels[pc->code]
  NEXT();
addi:
  r[pc->a] = r[pc->b] + (uint64_t)(int64_t)pc->c;
  pc++;
  NEXT();
add:
  r[pc->a] = r[pc->a] + r[pc->b];
  pc++;
  NEXT();
mul3:
  r[pc->a] = r[pc->b] * 3 + 1;
  pc++;
  NEXT();
half:
  r[pc->a] = r[pc->b] >> 1;
  pc++;
  NEXT();
andi:
  r[pc->a] = r[pc->b] & (uint64_t)(int64_t)pc->c;
  pc++;
  NEXT();
move:
  r[pc->a] = r[pc->b];
  pc++;
  NEXT();
beqz:
  pc = r[pc->a] == 0 ? program + pc->c : pc + 1;
  NEXT();
bnez:
  pc = r[pc->a] != 0 ? program + pc->c : pc + 1;
  NEXT();
blt:
  pc = r[pc->a] < r[pc->b] ? program + pc->c : pc + 1;
  NEXT();
jump:
  pc = program + pc->c;
  NEXT();
stop:
  return r[4];
#undef NEXT
}

static uint64_t kernel(unsigned long scale) {
  uint64_t sum = 0;
  for (unsigned long i = 0; i < scale * 4; i++) {
    uint64_t first = 3 + (sum & 1023);
    sum = bench_mix(sum, run(first, first + 64));
  }
  return sum;
}

BENCH_MAIN("bytecode", kernel)
