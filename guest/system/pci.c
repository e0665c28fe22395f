/*
 * The PCI host bridge: configuration space, base address registers, windows, and a virtio entropy device in slot 1 with
 * its interrupt.
 */
#include "system.h"

#define CONFIG(slot, offset) (0x30000000 + ((word)(slot) << 15) + (offset))
#define R8(address) (*(volatile uint8_t *)(address))
#define R16(address) (*(volatile uint16_t *)(address))
#define R32(address) (*(volatile uint32_t *)(address))
enum { ID = 0, COMMAND = 4, STATUS = 6, CLASS = 8, BAR = 0x10, CAPABILITIES = 0x34, LINE = 0x3c, PIN = 0x3d };
enum { MEMORY = 2, MASTER = 4, NO_INTX = 0x400 };

static void hex(const char *name, word value) {
  put(name);
  put(" ");
  put_hex(value);
  put("\n");
}

/* The virtio structure of a type: bar << 24 | offset, and the place of its capability. */
static word structure(unsigned type, word *place) {
  for (word at = R8(CONFIG(1, CAPABILITIES)); at; at = R8(CONFIG(1, at + 1))) {
    if (R8(CONFIG(1, at)) != 9 || R8(CONFIG(1, at + 3)) != type) continue;
    if (place) *place = at;
    return (word)R8(CONFIG(1, at + 4)) << 24 | R32(CONFIG(1, at + 8));
  }
  return ~(word)0;
}

static void set_bar(uint32_t low, uint32_t high) {
  R32(CONFIG(1, BAR + 16)) = low;
  R32(CONFIG(1, BAR + 20)) = high;
}

/* A queue of one descriptor. */
static struct { uint64_t address; uint32_t length; uint16_t flags, next; } descriptors[8] __attribute__((aligned(16)));
static volatile uint16_t available[16] __attribute__((aligned(16)));
static volatile uint32_t used[32] __attribute__((aligned(16)));
static uint8_t buffer[64];

static word common, isr, notify;

static void start_device(void) {
  R8(common + 0x14) = 0;
  while (R8(common + 0x14) != 0) {}
  R8(common + 0x14) = 3;
  R32(common + 8) = 1;
  R32(common + 12) = 1;
  R8(common + 0x14) = 11;
  hex("status", R8(common + 0x14));
  R16(common + 0x16) = 0;
  R16(common + 0x18) = 8;
  R32(common + 0x20) = (uint32_t)(word)descriptors;
  R32(common + 0x24) = 0;
  R32(common + 0x28) = (uint32_t)(word)available;
  R32(common + 0x2c) = 0;
  R32(common + 0x30) = (uint32_t)(word)used;
  R32(common + 0x34) = 0;
  hex("descriptors", R32(common + 0x20) == (uint32_t)(word)descriptors);
  R16(common + 0x1c) = 1;
  hex("enabled", R16(common + 0x1c));
  R8(common + 0x14) = 15;
  hex("queue size", R16(common + 0x18));
}

/* Asks for random bytes; waits for them, not for the interrupt. */
static void ask(unsigned length) {
  uint16_t count = (uint16_t)(used[0] >> 16);
  descriptors[0].address = (word)buffer;
  descriptors[0].length = length;
  descriptors[0].flags = 2;
  available[2 + available[1] % 8] = 0;
  __asm__ volatile("fence" ::: "memory");
  available[1]++;
  __asm__ volatile("fence" ::: "memory");
  R16(notify) = 0;
  while ((uint16_t)(used[0] >> 16) == count) {}
}

int main(void) {
  hex("bridge", R32(CONFIG(0, ID)));
  hex("class", R32(CONFIG(0, CLASS)) >> 8);
  hex("device", R32(CONFIG(1, ID)));
  hex("byte", R8(CONFIG(1, ID + 1)));
  hex("half", R16(CONFIG(1, ID + 2)));
  hex("class", R32(CONFIG(1, CLASS)) >> 8);
  hex("nobody", R32(CONFIG(9, ID)));
  hex("no function", R32(CONFIG(1, 0x1000)));
  hex("no bus", R32(CONFIG(32, ID)));
  hex("pin", R8(CONFIG(1, PIN)));
  R8(CONFIG(1, LINE)) = 0x5a;
  hex("line", R8(CONFIG(1, LINE)));
  /* What can't be written. */
  R32(CONFIG(1, ID)) = 0;
  R8(CONFIG(1, PIN)) = 3;
  hex("device", R32(CONFIG(1, ID)));
  hex("pin", R8(CONFIG(1, PIN)));
  hex("command", R16(CONFIG(1, COMMAND)));
  R16(CONFIG(1, COMMAND)) = 0x406;
  hex("command", R16(CONFIG(1, COMMAND)));
  R16(CONFIG(1, COMMAND)) = 0;
  /* Sizes. */
  set_bar(0xffffffff, 0xffffffff);
  hex("low", R32(CONFIG(1, BAR + 16)));
  hex("high", R32(CONFIG(1, BAR + 20)));
  R16(CONFIG(1, BAR + 16)) = 0x1234;
  hex("half", R32(CONFIG(1, BAR + 16)));
  R8(CONFIG(1, BAR + 19)) = 0x40;
  hex("byte", R32(CONFIG(1, BAR + 16)));
  R32(CONFIG(1, BAR + 12)) = 0xffffffff;
  hex("no register", R32(CONFIG(1, BAR + 12)));
  hex("capabilities", R16(CONFIG(1, STATUS)) & 0x10);
  /* Structures. */
  hex("common", structure(1, 0));
  hex("notify", structure(2, 0));
  word place = 0;
  structure(2, &place);
  word multiplier = R32(CONFIG(1, place + 16));
  hex("multiplier", multiplier);
  hex("isr", structure(3, 0));
  word base = 0x50000000;
  set_bar((uint32_t)base, 0);
  common = base + (structure(1, 0) & 0xffffff);
  isr = base + (structure(3, 0) & 0xffffff);
  notify = base + (structure(2, 0) & 0xffffff);
  hex("off", R32(common + 0x10));
  R16(CONFIG(1, COMMAND)) = MEMORY;
  hex("queues", R16(common + 0x12));
  hex("other place", R32(base + 0x8000000));
  R32(base + 0x8000000) = 1;
  hex("size", R16(common + 0x18) > 0);
  R16(common + 0x16) = 77;
  hex("no queue", R16(common + 0x18));
  R16(common + 0x16) = 0;
  hex("vector", R16(common + 0x10));
  R32(common) = 1;
  hex("features", R32(common + 4) & 1);
  /* The window by configuration space. */
  structure(5, &place);
  R8(CONFIG(1, place + 4)) = 4;
  R32(CONFIG(1, place + 8)) = (uint32_t)(common - base) + 0x12;
  R32(CONFIG(1, place + 12)) = 2;
  hex("by window", R16(CONFIG(1, place + 16)));
  R32(CONFIG(1, place + 8)) = (uint32_t)(common - base) + 0x14;
  R32(CONFIG(1, place + 12)) = 1;
  R8(CONFIG(1, place + 16)) = 1;
  hex("status", R8(common + 0x14));
  /* Requests, and the interrupt: source 32 + slot. */
  R16(CONFIG(1, COMMAND)) = MEMORY | MASTER;
  start_device();
  PLIC(33 * 4) = 1;
  PLIC(0x2000 + 4) = 1 << 1;
  ask(16);
  hex("written", used[2]);
  hex("pending", PLIC(0x1004));
  hex("state", R16(CONFIG(1, STATUS)) & 8);
  hex("claim", PLIC(0x200004));
  hex("isr", R8(isr));
  hex("isr", R8(isr));
  PLIC(0x200004) = 33;
  hex("pending", PLIC(0x1004));
  R16(CONFIG(1, COMMAND)) = MEMORY | MASTER | NO_INTX;
  ask(8);
  hex("written", used[4]);
  hex("pending", PLIC(0x1004));
  hex("state", R16(CONFIG(1, STATUS)) & 8);
  R16(CONFIG(1, COMMAND)) = MEMORY | MASTER;
  hex("pending", PLIC(0x1004));
  hex("claim", PLIC(0x200004));
  hex("isr", R8(isr));
  PLIC(0x200004) = 33;
  available[0] = 1; /* No interrupts. */
  ask(4);
  hex("pending", PLIC(0x1004));
  hex("isr", R8(isr));
#if __riscv_xlen == 64
  word shift = 0x440000000 - base;
  set_bar(0x40000000, 4);
  hex("64 bits", R16(common + shift + 0x12));
  hex("old place", R16(common + 0x12));
#endif
  R8((common + (__riscv_xlen == 64 ? (word)0x440000000ull - base : 0)) + 0x14) = 0;
  return 0;
}
