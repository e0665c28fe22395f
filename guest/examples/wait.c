/*
 * wait [URL]: the guest waits while the host fetches a page; without a URL the host's own, from a server on
 * loopback that takes its time. The guest sees one call that takes long. Exit status: 0, 1 if nobody answers,
 * 2 if the fetch failed.
 */
#include <stdio.h>
#include <string.h>

#include "trapdoor.h"

enum { FETCH = 1 };

int main(int argc, char **argv) {
  const char *url = argc > 1 ? argv[1] : "";
  int64_t length;
  if (trapdoor_init(NULL) != 0) {
    puts("guest: nobody answers");
    return 1;
  }
  if (strlen(url) > trapdoor_data_size()) {
    puts("guest: that URL is too long");
    return 2;
  }
  memcpy(trapdoor_data(0), url, strlen(url));
  puts("guest: waiting");
  length = trapdoor_call(0, FETCH, (int64_t)strlen(url));
  if (trapdoor_status(0) != TRAPDOOR_STATUS_OK) {
    printf("guest: the fetch failed, status %d\n", trapdoor_status(0));
    return 2;
  }
  printf("guest: %lld bytes came: %.*s\n", (long long)length, (int)(length < 60 ? length : 60),
         (const char *)trapdoor_data(0));
  trapdoor_fini();
  return 0;
}
