/* Start-up and nothing else: what a program costs before it does any work. */
#include <stdio.h>

int main(void) {
  puts("hello");
  return 0;
}
