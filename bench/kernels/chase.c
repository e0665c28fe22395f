/* Pointer chase through 4 MiB in random order: every load waits for the one before, and most
 * miss the first caches. */
#include "bench.h"

enum { NODES = 262144 };

typedef struct node {
  struct node *next;
  uint64_t value;
} node;

static node nodes[NODES];

static uint64_t kernel(unsigned long scale) {
  uint64_t random = 17, sum = 0;
  /* Sattolo's shuffle: one cycle through all nodes. */
  for (unsigned i = 0; i < NODES; i++) nodes[i].value = i;
  for (unsigned i = NODES - 1; i > 0; i--) {
    unsigned j = (unsigned)((bench_random(&random) >> 32) * i >> 32);
    uint64_t t = nodes[i].value;
    nodes[i].value = nodes[j].value;
    nodes[j].value = t;
  }
  for (unsigned i = 0; i < NODES; i++) nodes[i].next = &nodes[nodes[i].value];
  node *at = nodes;
  for (unsigned long step = 0; step < scale * 32768; step++) {
    sum += at->value ^ step;
    at = at->next;
  }
  return bench_mix(sum, (uint64_t)(at - nodes));
}

BENCH_MAIN("chase", kernel)
