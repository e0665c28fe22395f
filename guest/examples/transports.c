/*
 * transports [BASE...]: calls the host by the bare instruction, by whatever trapdoor_init finds, and by each mapped
 * channel that is named: Trapdoor's files, a PCI device's folder in sysfs, or /dev/mem for the platform device.
 * Exit status: 0 if all of them answer, else 1.
 */
#include <stdio.h>
#include <string.h>

#include "trapdoor.h"

enum { NEXT = 1, SHOUT = 2, EVENTS = 3, TICK = 4 };

/* One line of what a channel can do; whether it is there. */
static int use(const char *name, const char *base) {
  static const char text[] = "memory";
  char *data;
  int i;
  if (trapdoor_init(base) != 0) {
    printf("guest: %s: nobody answers\n", name);
    return 0;
  }
  data = (char *)trapdoor_data(0);
  memcpy(data, text, sizeof text);
  trapdoor_call(0, SHOUT, sizeof text - 1);
  for (i = 0; i < 1000; i++) trapdoor_event2(0, TICK, (uint64_t)i, 0);
  printf("guest: %s: %d, %s, %d events\n", name, (int)trapdoor_call(0, NEXT, 41), data,
         (int)trapdoor_call(0, EVENTS, 0));
  trapdoor_fini();
  return 1;
}

int main(int argc, char **argv) {
  int i, all = trapdoor_raw_hello() != 0;
  if (all) printf("guest: instruction: %d\n", (int)trapdoor_raw_call(NEXT, 41, 0, 0, 0));
  else puts("guest: instruction: nobody answers");
  all &= use("found", NULL);
  for (i = 1; i < argc; i++) all &= use(argv[i], argv[i]);
  return all ? 0 : 1;
}
