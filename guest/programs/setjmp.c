/* setjmp and longjmp: out of nested calls, repeatedly, with registers of both kinds alive across the jump. */
#include <setjmp.h>
#include <stdio.h>

static jmp_buf top, inner;
static int depth;

static void descend(int n, double weight) {
  depth++;
  if (n == 0) longjmp(top, 40 + (int)weight);
  descend(n - 1, weight * 1.25);
  printf("never printed\n");
}

static int inside(int value) {
  const int code = setjmp(inner);
  if (code == 0) {
    if (value % 2) longjmp(inner, value);
    return -value;
  }
  return code * 10;
}

int main(void) {
  volatile int round = 0;
  volatile double total = 0.5;
  const int code = setjmp(top);
  if (code != 0) {
    total = total + code / 8.0;
    printf("round %d: code %d, depth %d, total %g\n", round, code, depth, total);
    round = round + 1;
  }
  if (round < 5) descend(10 * round + 3, 1 + round);
  for (int i = 0; i < 6; i++) printf("inside(%d) = %d\n", i, inside(i));
  if (setjmp(top) == 0) longjmp(top, 0);
  else printf("longjmp with 0 comes back as not 0\n");
  return 0;
}
