/*
 * The channel's areas as a platform device, found by the device tree or at the board's address, and as a PCI device;
 * calls by stores, rings of all harts.
 */
#include "system.h"
#include "trapdoor.h"

#define CONFIG(offset) (0x300f8000 + (word)(offset)) /* PCI slot 31. */
#define R16(address) (*(volatile uint16_t *)(address))
#define R32(address) (*(volatile uint32_t *)(address))
enum { ADD = 1, UPPER = 2, LATER = 3, THROW = 4, JUMP = 5, EVENT = 6, TOTAL = 7, REGISTERS = 8 };
#define EVENTS 20000

static void number(const char *name, word value) {
  put(name);
  put(" ");
  put_number(value);
  put("\n");
}

/* The library, whatever it was opened by. */
static void use(const char *name) {
  char *data = trapdoor_data(1);
  int i;
  put(name);
  put("\n");
  number("clients", trapdoor_max_clients());
  number("sum", (word)trapdoor_call4(0, ADD, 1, 20, 300, 4000));
  for (i = 0; i < 9; i++) data[i] = "to upper"[i];
  number("length", (word)trapdoor_call(1, UPPER, 8));
  put(data);
  put("\n");
  number("later", (word)trapdoor_call(0, LATER, 21));
  number("unknown", (word)(trapdoor_call(0, 99, 0) + 1));
  number("status", (word)trapdoor_status(0));
  number("throws", (word)(trapdoor_call(0, THROW, 0) + 1));
  number("status", (word)trapdoor_status(0));
  for (i = 0; i < 5000; i++) trapdoor_event2(2, EVENT, 1, (uint64_t)i);
  number("total", (word)trapdoor_call(2, TOTAL, 0));
}

/* Stores of other sizes than the library's, and what a store may change. */
static void odd_stores(volatile uint64_t *slot) {
  slot[TRAPDOOR_CONTROL_COMMAND / 8] = ADD;
  for (int i = 0; i < 4; i++) slot[1 + i] = 5;
  slot[6] = ~(uint64_t)0;
  *(volatile word *)&slot[7] = 1;
  number("word", (word)slot[5] + (word)slot[6]);
  slot[1] = 6;
  *(volatile uint8_t *)&slot[7] = 1;
  number("byte", (word)slot[5]);
  *(volatile uint16_t *)&slot[7] = 77;
  number("invalid", (word)slot[6]);
  number("doorbell", (word)slot[7]);
  /* A callback that sends us elsewhere: over the 4-byte instruction behind the store. */
  slot[0] = JUMP;
  word where, reached = 1, here;
  __asm__ volatile(
      ".option push\n.option norvc\n"
      "la %0, 1f\nli t0, 1\n1: sw t0, 56(%3)\nli %1, 0\nmv %2, t1\n.option pop"
      : "=&r"(where), "+r"(reached), "=&r"(here)
      : "r"(slot)
      : "t0", "t1", "memory");
  number("skipped", reached);
  number("its address", here == where);
  /* A loop of stores, as the host counts them and our registers. */
  slot[0] = REGISTERS;
  word sum = 0;
  for (word i = 0; i < 1000; i++) {
    __asm__ volatile("mv t1, %1\nsw %2, 56(%3)\nadd %0, %0, t1"
                     : "+r"(sum)
                     : "r"(i), "r"(1), "r"(slot)
                     : "t1", "memory");
  }
  number("changed", sum);
}

static volatile word finished;

static void on_hart(word hart) {
  for (word i = 0; i < EVENTS; i++) {
    trapdoor_event2((unsigned)hart, EVENT, hart, i);
    if (i % 1000 == 0) trapdoor_call((unsigned)hart, ADD, (int64_t)hart);
  }
  trapdoor_flush((unsigned)hart);
  __atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
}

static int harts(void) {
  int count = 0;
  while (count < 8 && trapdoor_data((unsigned)count)) count++;
  return count;
}

int main(void) {
  uint32_t tree[16];
  for (int i = 0; i < 16; i++) tree[i] = 0;
  number("no tree", (word)(trapdoor_init_tree(tree) + 1));
  number("nothing", (word)(trapdoor_init_tree(0) + 1));
  number("nobody", (word)(trapdoor_init_at((void *)0x80000000, 0, 0) + 1));
  number("tree", (word)(trapdoor_init_tree((void *)device_tree) + 1));
  use("by device tree");
  odd_stores(trapdoor_control(3));
  trapdoor_fini();
  number("address", (word)(trapdoor_init_at((void *)TRAPDOOR_VIRT_ADDRESS, 0, 0) + 1));
  use("by address");
  trapdoor_fini();
  /* PCI: identity, sizes, places. */
  put_hex(R32(CONFIG(0)));
  put_hex(R32(CONFIG(8)));
  put_hex(R32(CONFIG(0x2c)));
  for (int i = 0; i < 3; i++) {
    R32(CONFIG(0x10 + 4 * i)) = 0xffffffff;
    put_hex(R32(CONFIG(0x10 + 4 * i)));
  }
  put("\n");
  for (word place = 0x40000000; place <= 0x60000000; place += 0x20000000) {
    for (int i = 0; i < 3; i++) R32(CONFIG(0x10 + 4 * i)) = (uint32_t)(place + 0x1000000 * (word)i);
    R16(CONFIG(4)) = 2;
    number("pci", (word)(trapdoor_init_at((void *)place, (void *)(place + 0x2000000), (void *)(place + 0x1000000)) + 1));
    use("by PCI");
    odd_stores(trapdoor_control(3));
    trapdoor_fini();
  }
  /* Where it was there is nothing any more, nor where it is while its memory is off. */
  number("gone", R32(0x40000000) == 0xffffffff);
  R16(CONFIG(4)) = 0;
  number("off", R32(0x60000000) == 0xffffffff);
  R16(CONFIG(4)) = 2;
  /* The configuration can't be written. */
  R32(0x60000000) = 0;
  number("pci", (word)(trapdoor_init_at((void *)0x60000000, (void *)0x62000000, (void *)0x61000000) + 1));
  /* Every hart has its own client and ring. */
  int count = harts();
  hart_entry = on_hart;
  for (word i = 1; i < (word)count; i++) CLINT_MSIP(i) = 1;
  on_hart(0);
  while (finished != (word)count) {}
  number("harts", finished);
  trapdoor_fini();
  return 0;
}
