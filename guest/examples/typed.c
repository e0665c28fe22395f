/*
 * typed [BASE]: calls by name, with types that the compiler checks: typed_channel.h is generated from
 * typed.channel.ts. Exit status: 0, 1 if nobody answers, 2 if an answer is wrong.
 */
#include <stdio.h>
#include <string.h>

#include "trapdoor.h"
#include "typed_channel.h"

static int failures;

static void expect(const char *what, int right) {
  printf("guest: %s: %s\n", what, right ? "right" : "WRONG");
  if (!right) failures++;
}

/* The host's checksum, to compare. */
static uint32_t checksum(const char *bytes, size_t size, uint32_t sum) {
  for (size_t i = 0; i < size; i++) sum = sum * 31 + (unsigned char)bytes[i];
  return sum;
}

int main(int argc, char **argv) {
  static const char text[] = "to be or not to be";
  static const char secret[] = "anywhere in memory";
  const uint32_t length = sizeof text - 1;
  if (trapdoor_init(argc > 1 ? argv[1] : NULL) != 0) {
    puts("guest: nobody answers");
    return 1;
  }
  memcpy(trapdoor_data(0), text, length);
  expect("six words", typed_count_words(0, length) == 6);
  expect("the hypotenuse of 3 and 4", typed_hypotenuse(0, 3, 4) == 5);
  expect("a prime", typed_is_prime(0, 1000003) && !typed_is_prime(0, 1000001));
  expect("a checksum of my memory", typed_checksum(0, secret, sizeof secret, 7) ==
                                        checksum(secret, sizeof secret, 7));
  expect("four arguments of 64 bits",
         typed_scale(0, INT64_C(-5000000000), 3, -2, 1) == INT64_C(7500000001));
  expect("division by zero fails", typed_scale(0, 1, 1, 0, 0) == -1 &&
                                       trapdoor_status(0) == TRAPDOOR_STATUS_THREW);
  typed_nap(0, 20);
  expect("a nap", trapdoor_status(0) == TRAPDOOR_STATUS_OK);
  for (uint32_t i = 0; i < 100; i++) typed_sample(0, i, 20.5 - i);
  typed_mark(0, &failures, __LINE__, true);
  expect("events", trapdoor_flush(0) == 0);
  trapdoor_fini();
  return failures ? 2 : 0;
}
