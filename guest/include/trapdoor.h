/*
 * Trapdoor's guest library: calls from code inside the emulator to the user's TypeScript outside.
 *
 * Link lib/trapdoor.c (or libtrapdoor.a), or use only the trapdoor_raw_* functions, which need no library.
 * C99 or later, C++; hosted, or freestanding with -ffreestanding, which leaves out errno and the files of
 * the mapped channel. Little-endian guests of 32 or 64 bits.
 *
 * A client is a number below trapdoor_max_clients() with a control slot, a part of the data area and a ring
 * of its own. It belongs to one thread at a time, and not to that thread's signal handlers too.
 */
#ifndef TRAPDOOR_H
#define TRAPDOOR_H

#include <stddef.h>
#include <stdint.h>

#include "trapdoor_protocol.h"

#ifndef TRAPDOOR_HOSTED
#define TRAPDOOR_HOSTED __STDC_HOSTED__
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "trapdoor.h: the protocol is little-endian, as every guest that Trapdoor emulates"
#endif

/* The most clients that the protocol knows. */
#define TRAPDOOR_CLIENT_LIMIT 64

/* Keeps the compiler from moving accesses to memory that the host shares across this point. */
#define TRAPDOOR_BARRIER() __asm__ volatile("" : : : "memory")

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The instruction: the only part that knows the architecture ---- */

/*
 * trapdoor_request_ executes the instruction with `arg` in arg0 to arg5 and returns `status`; `arg` gets what
 * the host left there. TRAPDOOR_STATUS_NOBODY: real hardware, or an emulator that is not Trapdoor.
 */
#if defined(__riscv) && !defined(__riscv_32e) && !defined(__riscv_e)

/* A HINT designated for custom use (unprivileged manual, "RV32I HINT instructions"): a no-op elsewhere. */
#define TRAPDOOR_INSTRUCTION "slti x0, x0, 0x7bd"

static inline long trapdoor_request_(unsigned long kind, unsigned long arg[6]) {
  register unsigned long a0 __asm__("a0") = arg[0];
  register unsigned long a1 __asm__("a1") = arg[1];
  register unsigned long a2 __asm__("a2") = arg[2];
  register unsigned long a3 __asm__("a3") = arg[3];
  register unsigned long a4 __asm__("a4") = arg[4];
  register unsigned long a5 __asm__("a5") = arg[5];
  register unsigned long a6 __asm__("a6") = ~0UL;
  register unsigned long a7 __asm__("a7") = kind;
  __asm__ volatile(TRAPDOOR_INSTRUCTION
                   : "+r"(a0), "+r"(a1), "+r"(a2), "+r"(a3), "+r"(a4), "+r"(a5), "+r"(a6), "+r"(a7)
                   :
                   : "memory");
  arg[0] = a0;
  arg[1] = a1;
  arg[2] = a2;
  return (long)a6;
}

#elif defined(__aarch64__) && !defined(__ILP32__)

/* A move to the zero register (Arm ARM, MOVZ): it changes nothing elsewhere. */
#define TRAPDOOR_INSTRUCTION "movz xzr, #0x7bd"

static inline long trapdoor_request_(unsigned long kind, unsigned long arg[6]) {
  register unsigned long x0 __asm__("x0") = arg[0];
  register unsigned long x1 __asm__("x1") = arg[1];
  register unsigned long x2 __asm__("x2") = arg[2];
  register unsigned long x3 __asm__("x3") = arg[3];
  register unsigned long x4 __asm__("x4") = arg[4];
  register unsigned long x5 __asm__("x5") = arg[5];
  register unsigned long x7 __asm__("x7") = ~0UL;
  register unsigned long x8 __asm__("x8") = kind;
  __asm__ volatile(TRAPDOOR_INSTRUCTION
                   : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), "+r"(x7), "+r"(x8)
                   :
                   : "memory");
  arg[0] = x0;
  arg[1] = x1;
  arg[2] = x2;
  arg[3] = x3;
  arg[4] = x4;
  arg[5] = x5;
  return (long)x7;
}

#else /* An architecture with no instruction yet: nobody answers, but the mapped channel works. */

static inline long trapdoor_request_(unsigned long kind, unsigned long arg[6]) {
  (void)kind;
  (void)arg;
  return TRAPDOOR_STATUS_NOBODY;
}

#endif

/* ---- Without the library: needs no trapdoor_init, no data area, no operating system ---- */

/* Asks whether anybody is there: the host's protocol version (major << 16 | minor), or 0. */
static inline uint32_t trapdoor_raw_hello(void) {
  unsigned long arg[6] = {TRAPDOOR_PROTOCOL_VERSION, 0, 0, 0, 0, 0};
  return trapdoor_request_(TRAPDOOR_KIND_HELLO, arg) == TRAPDOOR_STATUS_NOBODY ? 0 : (uint32_t)arg[0];
}

/* Calls `command` as `client`. Returns the status; writes *result (which may be NULL) when that is OK. */
static inline int trapdoor_raw_invoke(unsigned client, uint32_t command, const uint64_t args[4],
                                      uint64_t *result) {
  unsigned long arg[6];
  long status;
  uint64_t value;
  arg[0] = client;
  arg[1] = command;
  if (sizeof(unsigned long) >= sizeof(uint64_t)) {
    arg[2] = (unsigned long)args[0];
    arg[3] = (unsigned long)args[1];
    arg[4] = (unsigned long)args[2];
    arg[5] = (unsigned long)args[3];
    status = trapdoor_request_(TRAPDOOR_KIND_CALL, arg);
    value = arg[0];
  } else if ((args[2] | args[3]) == 0) { /* 32-bit registers carry two arguments. */
    arg[2] = (unsigned long)args[0];
    arg[3] = (unsigned long)(args[0] >> 32);
    arg[4] = (unsigned long)args[1];
    arg[5] = (unsigned long)(args[1] >> 32);
    status = trapdoor_request_(TRAPDOOR_KIND_CALL, arg);
    value = (uint64_t)arg[1] << 32 | arg[0];
  } else { /* Four arguments of 64 bits go through memory, in the image of a control slot. */
    volatile uint64_t slot[TRAPDOOR_CONTROL_SIZE / 8];
    int i;
    slot[TRAPDOOR_CONTROL_COMMAND / 8] = command;
    for (i = 0; i < TRAPDOOR_NUM_ARGS; i++) slot[TRAPDOOR_CONTROL_ARGS / 8 + i] = args[i];
    slot[TRAPDOOR_CONTROL_RESULT / 8] = 0;
    slot[TRAPDOOR_CONTROL_STATUS / 8] = ~(uint64_t)0;
    slot[TRAPDOOR_CONTROL_DOORBELL / 8] = TRAPDOOR_DOORBELL_CALL;
    arg[1] = (unsigned long)(uintptr_t)slot;
    arg[2] = arg[3] = arg[4] = arg[5] = 0;
    status = trapdoor_request_(TRAPDOOR_KIND_CALL_BLOCK, arg);
    if (status == TRAPDOOR_STATUS_OK) status = (long)(int64_t)slot[TRAPDOOR_CONTROL_STATUS / 8];
    value = slot[TRAPDOOR_CONTROL_RESULT / 8];
  }
  if (status == TRAPDOOR_STATUS_OK && result) *result = value;
  return (int)status;
}

/* Calls `command` as client 0. Returns the result, or -1 when the call failed. */
static inline int64_t trapdoor_raw_call(uint32_t command, int64_t a0, int64_t a1, int64_t a2, int64_t a3) {
  const uint64_t args[4] = {(uint64_t)a0, (uint64_t)a1, (uint64_t)a2, (uint64_t)a3};
  uint64_t result = 0;
  if (trapdoor_raw_invoke(0, command, args, &result) != TRAPDOOR_STATUS_OK) return -1;
  return (int64_t)result;
}

/* ---- The library. Functions that return -1 for a failure set errno when hosted ---- */

/*
 * Opens the channel. NULL finds it: the instruction first, then (hosted only) the files under /dev/trapdoor, the PCI
 * device in sysfs, and the platform device in /dev/mem.
 * A path forces the mapped channel: a folder with Trapdoor's files, a PCI device's folder in sysfs, or /dev/mem.
 * Once open, further calls change nothing and return 0. Call it before starting threads.
 * -1: ENODEV nobody there; EPROTO other major version, or the host's layout makes no sense; or open's, mmap's errno.
 */
int trapdoor_init(const char *base);

/*
 * Opens the channel at addresses where its areas can be accessed; without a system, the board's own. NULL for control
 * and data: they follow, as at TRAPDOOR_VIRT_ADDRESS on Trapdoor's board "virt". Where nothing is, the load of the
 * config area may fault. -1 as above.
 */
int trapdoor_init_at(void *config, void *control, void *data);

/*
 * Opens the channel that a flattened device tree names, as firmware and kernels get one in a1.
 * -1: EINVAL that is no device tree; ENODEV it names none; EPROTO as above.
 */
int trapdoor_init_tree(const void *tree);

/* Flushes all rings and closes the channel; addresses from it are dead. Does nothing when it is not open. */
void trapdoor_fini(void);

/* Whether somebody answers: the channel is open, or the instruction has an answer. Works before trapdoor_init. */
int trapdoor_present(void);

/* The host's protocol version, major << 16 | minor; 0 if nobody answers. Works before trapdoor_init. */
uint32_t trapdoor_version(void);

/* Number of clients; 0 while the channel is not open. */
unsigned trapdoor_max_clients(void);

/* Arguments of a call; 0 while the channel is not open. */
unsigned trapdoor_num_args(void);

/* A client's part of the data area: memory that the host's `cpu.data` is. NULL for a client that isn't there. */
void *trapdoor_data(unsigned client);

/* Bytes of data area of each client; 0 while the channel is not open. */
size_t trapdoor_data_size(void);

/* A client's control slot (layout: TRAPDOOR_CONTROL_*). NULL for a client that isn't there. */
volatile uint64_t *trapdoor_control(unsigned client);

/*
 * Calls a command with four arguments and returns the status, one of TRAPDOOR_STATUS_*; writes *result
 * (which may be NULL) when that is OK. Does not touch errno. A call returns when its callback has: if that
 * is asynchronous, the guest sleeps here.
 */
int trapdoor_invoke(unsigned client, uint32_t command, const uint64_t args[4], uint64_t *result);

/*
 * Calls a command and returns its result. -1 may be one, see trapdoor_status; or a failure: ENOSYS no callback
 * knows the command; EIO the callback threw; ENODEV nobody there; EINVAL bad request, such as a client out of range.
 */
int64_t trapdoor_call(unsigned client, uint32_t command, int64_t arg);
int64_t trapdoor_call4(unsigned client, uint32_t command, int64_t a, int64_t b, int64_t c, int64_t d);

/* Status of the client's last call; NOBODY before its first one, INVALID for a client out of range. */
int trapdoor_status(unsigned client);

/*
 * Appends an event to the client's ring and returns 0; the host gets it later, in order, with its payload
 * zero-padded to a multiple of 8 bytes. A full ring is flushed first: nothing is lost.
 * -1: ENODEV not open; EINVAL client out of range or command TRAPDOOR_RING_PAD; EMSGSIZE larger than the ring.
 */
int trapdoor_event(unsigned client, uint32_t command, const void *payload, size_t size);

/* Has the host drain the client's ring now. Errors in event callbacks are the host's business. -1: ENODEV, EINVAL. */
int trapdoor_flush(unsigned client);

/* What trapdoor_event2 needs of a ring. */
struct trapdoor_ring_ {
  volatile uint32_t *header; /* NULL while the channel is not open. */
  uint32_t limit;            /* Count up to which the guest may write without looking at `tail`. */
  int32_t mask;              /* Bytes of the buffer less 1; signed, as RV64 loads it in one instruction. */
};
extern struct trapdoor_ring_ trapdoor_rings_[TRAPDOOR_CLIENT_LIMIT];
int trapdoor_event2_slow_(unsigned client, uint32_t command, uint64_t a, uint64_t b);

/* trapdoor_event with a payload of two 64-bit values, in a dozen instructions. */
static inline int trapdoor_event2(unsigned client, uint32_t command, uint64_t a, uint64_t b) {
  const uint32_t size = TRAPDOOR_RING_RECORD_HEADER + 16;
  if (client < TRAPDOOR_CLIENT_LIMIT && command != TRAPDOOR_RING_PAD) {
    struct trapdoor_ring_ *ring = &trapdoor_rings_[client];
    volatile uint32_t *header = ring->header;
    if (header) {
      uint32_t head = header[TRAPDOOR_RING_HEAD / 4];
      if ((uint32_t)(ring->limit - head) >= size) {
        uint64_t *record = (uint64_t *)((uintptr_t)header + TRAPDOOR_RING_BUFFER +
                                        (uintptr_t)((int32_t)head & ring->mask));
        record[0] = (uint64_t)command << 32 | size;
        record[1] = a;
        record[2] = b;
        TRAPDOOR_BARRIER();
        header[TRAPDOOR_RING_HEAD / 4] = head + size;
        return 0;
      }
    }
  }
  return trapdoor_event2_slow_(client, command, a, b);
}

#ifdef __cplusplus
}
#endif

#endif
