/* Code made at run time: written, made executable, called, changed, called again; and a small compiler. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if !defined(__riscv)
int main(void) { return 77; }
#else

typedef long (*function)(long, long);

static uint32_t *code;
static size_t length;

static void emit(uint32_t instruction) { code[length++] = instruction; }
static uint32_t addi(int rd, int rs, int imm) { return (uint32_t)imm << 20 | rs << 15 | rd << 7 | 0x13; }
static uint32_t op(int f7, int rs2, int rs1, int f3, int rd) {
  return (uint32_t)f7 << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | rd << 7 | 0x33;
}
enum { RET = 0x00008067, A0 = 10, A1 = 11, T0 = 5 };

static function ready(void) {
  function result;
  __builtin___clear_cache((char *)code, (char *)(code + length));
  memcpy(&result, &code, sizeof result);
  return result;
}

/* Compiles an expression in reverse Polish notation over x, y and digits: the stack is t0... upwards. */
static function compile(const char *text) {
  static const int stack[] = {5, 6, 7, 28, 29, 30, 31};
  int top = 0;
  length = 0;
  for (; *text; text++) {
    switch (*text) {
      case 'x': emit(addi(stack[top++], A0, 0)); break;
      case 'y': emit(addi(stack[top++], A1, 0)); break;
      case '+': top--; emit(op(0, stack[top], stack[top - 1], 0, stack[top - 1])); break;
      case '-': top--; emit(op(32, stack[top], stack[top - 1], 0, stack[top - 1])); break;
      case '*': top--; emit(op(1, stack[top], stack[top - 1], 0, stack[top - 1])); break;
      case '%': top--; emit(op(1, stack[top], stack[top - 1], 6, stack[top - 1])); break;
      default: emit(addi(stack[top++], 0, *text - '0'));
    }
  }
  emit(addi(A0, stack[0], 0));
  emit(RET);
  return ready();
}

int main(void) {
  code = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return 1;
  long sum = 0;
  /* The same place holds another function every time. */
  for (int i = 0; i < 2000; i++) {
    length = 0;
    emit(addi(A0, A0, i));
    emit(RET);
    sum += ready()(i, 0);
  }
  printf("patched: %ld\n", sum);
  /* A function that changes its own next instruction, here and in the next page. */
  for (int at = 0; at < 2; at++) {
    length = at ? 1024 - 4 : 0;
    uint32_t *const start = code + length;
    emit(0x0005a023 | 4u << 7 | 10u << 20); /* sw a0, 4(a1) */
    emit(0x0000100f);                      /* fence.i */
    emit(addi(A0, 0, 1));
    emit(RET);
    function self;
    __builtin___clear_cache((char *)code, (char *)code + 8192);
    memcpy(&self, &start, sizeof self);
    for (int i = 0; i < 3; i++) {
      /* a1 + 4 is the instruction after the fence. */
      printf("itself: %ld\n", self((long)addi(A0, 0, 100 * at + i), (long)(start + 1)));
    }
  }
  static const char *const texts[] = {"xy+", "xx*yy*+", "xy-7*3+", "x9*y%5-", "12345++++x*"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    const function made = compile(texts[i]);
    long total = 0;
    for (long x = -50; x < 50; x++) total = total * 31 + made(x, 7 - x);
    printf("%s: %ld %ld\n", texts[i], made(6, 7), total);
  }
  mprotect(code, 8192, PROT_READ | PROT_EXEC);
  printf("read-only: %ld\n", ready()(2, 3));
  munmap(code, 8192);
  return 0;
}
#endif
