/*
 * A virtio console: says hello there and on the serial port, and sends back what is typed until a newline.
 *
 * Source: Virtual I/O Device (VIRTIO) Version 1.1, sections 2.6, 4.2 and 5.3.
 */
#include "system.h"

#define SLOT(i) ((volatile uint32_t *)((word)0x10001000 + 0x1000 * (i)))
enum { SLOTS = 8, CONSOLE = 3, QUEUE_SIZE = 1, DEVICE_WRITES = 2 };
/* Registers, in words. */
enum {
  DEVICE_ID = 0x008 / 4, DRIVER_FEATURES = 0x020 / 4, DRIVER_FEATURES_SELECT = 0x024 / 4, QUEUE_SELECT = 0x030 / 4,
  QUEUE_NUM = 0x038 / 4, QUEUE_READY = 0x044 / 4, QUEUE_NOTIFY = 0x050 / 4, STATUS = 0x070 / 4,
  QUEUE_DESC = 0x080 / 4, QUEUE_DRIVER = 0x090 / 4, QUEUE_DEVICE = 0x0a0 / 4,
};

struct queue {
  struct { uint64_t address; uint32_t length; uint16_t flags, next; } descriptor;
  struct { uint16_t flags, index, ring[QUEUE_SIZE], event; } available;
  struct { uint16_t flags, index; struct { uint32_t id, length; } ring[QUEUE_SIZE]; uint16_t event; } used;
};
static volatile struct queue queues[2] __attribute__((aligned(16)));
static char buffer[16];
static volatile uint32_t *console;

static void set(unsigned at, volatile void *address) {
  console[at] = (uint32_t)(word)address;
  console[at + 1] = 0;
}

/* Gives the device a buffer, and waits until it was used; returns how many bytes were written. */
static unsigned transfer(unsigned number, const char *bytes, unsigned length, uint16_t flags) {
  volatile struct queue *queue = &queues[number];
  uint16_t before = queue->used.index;
  queue->descriptor.address = (word)bytes;
  queue->descriptor.length = length;
  queue->descriptor.flags = flags;
  queue->available.index++;
  __asm__ volatile("fence" ::: "memory");
  console[QUEUE_NOTIFY] = number;
  while (queue->used.index == before) {
  }
  __asm__ volatile("fence" ::: "memory");
  return queue->used.ring[0].length;
}

int main(void) {
  for (int i = 0; i < SLOTS; i++) {
    if (SLOT(i)[DEVICE_ID] == CONSOLE) console = SLOT(i);
  }
  if (!console) {
    put("no virtio console\n");
    finish();
  }
  console[STATUS] = 0;
  console[STATUS] = 1 | 2;
  console[DRIVER_FEATURES_SELECT] = 1;
  console[DRIVER_FEATURES] = 1; /* VIRTIO_F_VERSION_1 */
  console[STATUS] = 1 | 2 | 8;
  for (unsigned i = 0; i < 2; i++) {
    console[QUEUE_SELECT] = i;
    console[QUEUE_NUM] = QUEUE_SIZE;
    set(QUEUE_DESC, &queues[i].descriptor);
    set(QUEUE_DRIVER, &queues[i].available);
    set(QUEUE_DEVICE, &queues[i].used);
    console[QUEUE_READY] = 1;
  }
  console[STATUS] = 1 | 2 | 8 | 4;
  put("serial\n");
  transfer(1, "virtio\n", 7, 0);
  for (;;) {
    unsigned count = transfer(0, buffer, sizeof buffer, DEVICE_WRITES);
    transfer(1, buffer, count, 0);
    if (buffer[count - 1] == '\n') finish();
  }
}
