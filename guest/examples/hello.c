/*
 * hello [BASE]: is anybody there? One call, one answer. BASE forces the mapped channel whose files are there.
 * Exit status: 0, or 1 if nobody answers, as on real hardware.
 */
#include <stdio.h>

#include "trapdoor.h"

enum { GREET = 1 };

int main(int argc, char **argv) {
  if (trapdoor_init(argc > 1 ? argv[1] : NULL) != 0) {
    puts(trapdoor_present() ? "guest: somebody answers, but not for me" : "guest: nobody answers");
    return 1;
  }
  printf("guest: protocol %u.%u, %u clients with %lu bytes of data each\n",
         (unsigned)(trapdoor_version() >> 16), (unsigned)(trapdoor_version() & 0xffff),
         trapdoor_max_clients(), (unsigned long)trapdoor_data_size());
  printf("guest: what comes after 41?\n");
  printf("guest: %lld\n", (long long)trapdoor_call(0, GREET, 41));
  trapdoor_fini();
  return 0;
}
