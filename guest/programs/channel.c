/*
 * channel [BASE]: checks every promise of the guest library and of the protocol against channel.ts, over the
 * instruction, or over the mapped channel whose files are at BASE. Prints what failed and a count.
 * Exit status: 0, 1 if a check failed, 3 if nobody answers.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "trapdoor.h"

/* As in channel.ts. */
enum {
  MIX = 1,      /* a + 3b + 5c + 7d, modulo 2^64 */
  NEGATE = 2,   /* -a */
  THROW = 3,
  LATER = 4,    /* a Promise of a + 1 */
  REJECT = 5,
  NONSENSE = 6, /* a fraction */
  TRUTH = 7,    /* true */
  NOTHING = 8,  /* undefined */
  CLIENT = 9,   /* the client's number; writes it to byte a of its data */
  SUM = 10,     /* sum of a bytes of data */
  CALLS = 11,   /* calls so far, this one included */
  EVENTS = 12,  /* events of this client so far */
  HASH = 13,    /* hash of this client's events so far */
  JUMP = 14,    /* continues at pc a */
  CLIENTS = 15, /* maxClients */
  UNKNOWN = 0x7fff0000,
  BAD_EVENT = 0xbad
};

static unsigned passed, failed;

static void check(int ok, const char *what) {
  if (ok) passed++;
  else failed++, printf("FAILED: %s\n", what);
}

/* A call of one argument gives `result`. */
static void gives(int64_t got, int64_t result, const char *what) {
  check(got == result && trapdoor_status(0) == TRAPDOOR_STATUS_OK, what);
}

static void fails(int64_t got, unsigned client, int status, int error, const char *what) {
  check(got == -1 && errno == error && trapdoor_status(client) == status, what);
  errno = 0;
}

/* ---- Calls ---- */

static void calls(void) {
  const int64_t a = INT64_MAX, b = -2, c = 0x0123456789abcdef, d = INT64_MIN + 5;
  const int64_t mix =
      (int64_t)((uint64_t)a + 3 * (uint64_t)b + 5 * (uint64_t)c + 7 * (uint64_t)d);
  gives(trapdoor_call4(0, MIX, a, b, c, d), mix, "four wide arguments, wide result");
  gives(trapdoor_call4(0, MIX, 1, 2, 0, 0), 7, "two arguments");
  gives(trapdoor_call(0, NEGATE, 5000000000), -5000000000, "a wide argument");
  gives(trapdoor_call(0, NEGATE, INT64_MIN), INT64_MIN, "the smallest argument");
  gives(trapdoor_call(0, NEGATE, 1), -1, "a legitimate -1");
  gives(trapdoor_call(0, TRUTH, 0), 1, "true is 1");
  gives(trapdoor_call(0, NOTHING, 0), 0, "undefined is 0");
  gives(trapdoor_call(0, LATER, 41), 42, "a Promise");
  fails(trapdoor_call(0, UNKNOWN, 0), 0, TRAPDOOR_STATUS_UNKNOWN, ENOSYS, "unknown command");
  fails(trapdoor_call(0, THROW, 0), 0, TRAPDOOR_STATUS_THREW, EIO, "callback that throws");
  fails(trapdoor_call(0, REJECT, 0), 0, TRAPDOOR_STATUS_THREW, EIO, "Promise that rejects");
  fails(trapdoor_call(0, NONSENSE, 0), 0, TRAPDOOR_STATUS_THREW, EIO, "result that is none");
  gives(trapdoor_call(0, NEGATE, -7), 7, "a good call after bad ones");
  fails(trapdoor_call(trapdoor_max_clients(), NEGATE, 0), trapdoor_max_clients(),
        TRAPDOOR_STATUS_INVALID, EINVAL, "client out of range");
  gives(trapdoor_call(0, CLIENTS, 0), trapdoor_max_clients(), "the host's number of clients");
}

static void data(void) {
  const unsigned clients = trapdoor_max_clients();
  const size_t size = trapdoor_data_size();
  unsigned char *bytes = trapdoor_data(0);
  int64_t sum = 0;
  for (size_t i = 0; i < size; i++) sum += bytes[i] = (unsigned char)(i * 7 + i / 256);
  gives(trapdoor_call(0, SUM, (int64_t)size), sum, "the host sees all of the data area");
  for (unsigned c = 0; c < clients; c++) {
    const size_t at = size - 1 - c;
    check(trapdoor_call(c, CLIENT, (int64_t)at) == c, "the client's number");
    check(((unsigned char *)trapdoor_data(c))[at] == c + 100, "the host writes its client's data");
    check(trapdoor_status(c) == TRAPDOOR_STATUS_OK, "the client's status");
  }
  check(trapdoor_data(clients) == NULL && trapdoor_control(clients) == NULL, "no such client");
}

/* ---- Doorbells by hand, which work however the channel was found ---- */

static int64_t slot_call(unsigned client, uint64_t command, uint64_t arg, int bits) {
  volatile uint64_t *slot = trapdoor_control(client);
  volatile void *bell = slot + TRAPDOOR_CONTROL_DOORBELL / 8;
  slot[TRAPDOOR_CONTROL_COMMAND / 8] = command;
  slot[TRAPDOOR_CONTROL_ARGS / 8] = arg;
  for (int i = 1; i < TRAPDOOR_NUM_ARGS; i++) slot[TRAPDOOR_CONTROL_ARGS / 8 + i] = 0;
  slot[TRAPDOOR_CONTROL_STATUS / 8] = ~(uint64_t)0;
  TRAPDOOR_BARRIER();
  switch (bits) {
    case 8: *(volatile uint8_t *)bell = TRAPDOOR_DOORBELL_CALL; break;
    case 16: *(volatile uint16_t *)bell = TRAPDOOR_DOORBELL_CALL; break;
    case 32: *(volatile uint32_t *)bell = TRAPDOOR_DOORBELL_CALL; break;
    default: *(volatile uint64_t *)bell = TRAPDOOR_DOORBELL_CALL; break;
  }
  TRAPDOOR_BARRIER();
  return slot[TRAPDOOR_CONTROL_STATUS / 8] == TRAPDOOR_STATUS_OK
             ? (int64_t)slot[TRAPDOOR_CONTROL_RESULT / 8]
             : -1;
}

static void doorbells(void) {
  const unsigned client = trapdoor_max_clients() - 1;
  const int widest = sizeof(void *) == 8 ? 64 : 32;
  int64_t before = trapdoor_call(0, CALLS, 0);
  for (int bits = 8; bits <= widest; bits *= 2) {
    check(slot_call(client, NEGATE, 6000000000, bits) == -6000000000, "doorbell store");
    before++;
  }
  check(slot_call(client, UNKNOWN, 0, 32) == -1, "doorbell call of an unknown command");
  check(trapdoor_control(client)[TRAPDOOR_CONTROL_STATUS / 8] == TRAPDOOR_STATUS_UNKNOWN,
        "its status");
  before += 2;
  check(trapdoor_call(0, CALLS, 0) == before, "every doorbell store is one call");
}

/* ---- The instruction by hand ---- */

static void instruction(void) {
  volatile uint64_t slot[8] = {NEGATE, 77, 0, 0, 0, 0, ~(uint64_t)0, 0};
  const uint64_t args[4] = {3, 0, 0, 0};
  unsigned long arg[6] = {0, 0, 0, 0, 0, 0};
  uint64_t result = 0;
  check(trapdoor_raw_hello() == trapdoor_version(), "HELLO without the library");
  check(trapdoor_raw_call(NEGATE, 123, 0, 0, 0) == -123, "CALL without the library");
  check(trapdoor_raw_call(MIX, 1, 1, 1, INT64_C(1) << 40) == 9 + 7 * (INT64_C(1) << 40),
        "four wide arguments without the library");
  check(trapdoor_raw_invoke(trapdoor_max_clients() - 1, NEGATE, args, &result) == 0 &&
            (int64_t)result == -3,
        "CALL as the last client");
  check(trapdoor_raw_invoke(trapdoor_max_clients(), NEGATE, args, &result) == TRAPDOOR_STATUS_INVALID,
        "CALL with a client out of range");
  check(trapdoor_raw_invoke(0xffffffff, NEGATE, args, &result) == TRAPDOOR_STATUS_INVALID,
        "CALL with a wild client");
  check(trapdoor_request_(99, arg) == TRAPDOOR_STATUS_INVALID, "unknown kind of request");
  arg[0] = 0;
  arg[1] = 8; /* in the null page */
  check(trapdoor_request_(TRAPDOOR_KIND_CALL_BLOCK, arg) == TRAPDOOR_STATUS_INVALID,
        "CALL_BLOCK with a null pointer");
  arg[0] = 0;
  arg[1] = ~0UL - 15;
  check(trapdoor_request_(TRAPDOOR_KIND_CALL_BLOCK, arg) == TRAPDOOR_STATUS_INVALID,
        "CALL_BLOCK with a wild pointer");
  arg[0] = 0;
  arg[1] = (unsigned long)(uintptr_t)slot;
  check(trapdoor_request_(TRAPDOOR_KIND_CALL_BLOCK, arg) == TRAPDOOR_STATUS_OK &&
            slot[TRAPDOOR_CONTROL_STATUS / 8] == TRAPDOOR_STATUS_OK &&
            (int64_t)slot[TRAPDOOR_CONTROL_RESULT / 8] == -77,
        "CALL_BLOCK");
  arg[0] = trapdoor_max_clients();
  check(trapdoor_request_(TRAPDOOR_KIND_FLUSH, arg) == TRAPDOOR_STATUS_INVALID,
        "FLUSH with a client out of range");
  arg[0] = 0x7fff0000; /* a guest of another major version */
  check(trapdoor_request_(TRAPDOOR_KIND_HELLO, arg) == TRAPDOOR_STATUS_VERSION &&
            arg[0] == trapdoor_version(),
        "HELLO of another major version");
}

/* The callback lets the guest go on elsewhere: returns 2, or 1 if it went on here. */
#if defined(__riscv)
static int jump(void) {
  register unsigned long a0 __asm__("a0") = 0;
  register unsigned long a1 __asm__("a1") = JUMP;
  register unsigned long a2 __asm__("a2");
  register unsigned long a3 __asm__("a3") = 0;
  register unsigned long a4 __asm__("a4") = 0;
  register unsigned long a5 __asm__("a5") = 0;
  register unsigned long a6 __asm__("a6") = ~0UL;
  register unsigned long a7 __asm__("a7") = TRAPDOOR_KIND_CALL;
  unsigned long where;
  __asm__ volatile(
      "lla %[a2], 1f\n\t" TRAPDOOR_INSTRUCTION
      "\n\t"
      "li %[where], 1\n\t"
      "j 2f\n"
      "1: li %[where], 2\n"
      "2:"
      : [where] "=&r"(where), "+r"(a0), "+r"(a1), [a2] "=&r"(a2), "+r"(a3), "+r"(a6)
      : "r"(a4), "r"(a5), "r"(a7)
      : "memory");
  return (int)where;
}
#elif defined(__aarch64__)
static int jump(void) {
  register unsigned long x0 __asm__("x0") = 0;
  register unsigned long x1 __asm__("x1") = JUMP;
  register unsigned long x2 __asm__("x2");
  register unsigned long x3 __asm__("x3") = 0;
  register unsigned long x4 __asm__("x4") = 0;
  register unsigned long x5 __asm__("x5") = 0;
  register unsigned long x7 __asm__("x7") = ~0UL;
  register unsigned long x8 __asm__("x8") = TRAPDOOR_KIND_CALL;
  unsigned long where;
  __asm__ volatile(
      "adr %[x2], 1f\n\t" TRAPDOOR_INSTRUCTION
      "\n\t"
      "mov %[where], #1\n\t"
      "b 2f\n"
      "1: mov %[where], #2\n"
      "2:"
      : [where] "=&r"(where), "+r"(x0), "+r"(x1), [x2] "=&r"(x2), "+r"(x3), "+r"(x7)
      : "r"(x4), "r"(x5), "r"(x8)
      : "memory");
  return (int)where;
}
#endif

/* ---- Events ---- */

/* FNV-1a over 32 bits, as in channel.ts. */
static uint32_t hash_bytes(uint32_t hash, const unsigned char *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 16777619u;
  return hash;
}

/* Folds an event into a client's hash: its command, then its payload as the host gets it. */
static uint32_t hash_event(uint32_t hash, uint32_t command, const void *payload, size_t size) {
  static const unsigned char zero[8];
  hash = hash_bytes(hash, (const unsigned char *)&command, sizeof command);
  hash = hash_bytes(hash, payload, size);
  return hash_bytes(hash, zero, (8 - size % 8) % 8);
}

static void events(unsigned client) {
  static unsigned char large[1 << 20];
  const uint32_t offset = 2166136261u;
  const size_t ring = (size_t)trapdoor_rings_[client].mask + 1;
  uint32_t hash = offset;
  int64_t count = 0;
  check(trapdoor_call(client, EVENTS, 0) == 0, "no events yet");
  for (uint64_t i = 0; i < 20000; i++) {
    const uint64_t pair[2] = {i * 0x100000001, ~i};
    if (trapdoor_event2(client, 1000, pair[0], pair[1]) != 0) break;
    hash = hash_event(hash, 1000, pair, sizeof pair);
    count++;
  }
  check(count == 20000, "20000 small events");
  for (size_t i = 0; i < sizeof large; i++) large[i] = (unsigned char)(i * 31 + i / 1000);
  for (unsigned i = 0; i < 2000; i++) {
    const size_t size = i * 37 % 400;
    if (trapdoor_event(client, i, large + i, size) != 0) break;
    hash = hash_event(hash, i, large + i, size);
    count++;
  }
  check(count == 22000, "2000 events of every size");
  if (ring <= sizeof large) {
    for (unsigned i = 0; i < 3; i++) {
      const size_t size = ring - TRAPDOOR_RING_RECORD_HEADER - i;
      check(trapdoor_event(client, 7, large, size) == 0, "an event as large as the ring");
      hash = hash_event(hash, 7, large, size);
      trapdoor_event2(client, 8, i, i);
      hash = hash_event(hash, 8, (const uint64_t[2]){i, i}, 16);
      count += 2;
    }
  }
  check(trapdoor_event(client, 9, NULL, 0) == 0, "an event of nothing");
  hash = hash_event(hash, 9, NULL, 0);
  count++;
  check(trapdoor_flush(client) == 0, "flush");
  check(trapdoor_rings_[client].header[TRAPDOOR_RING_HEAD / 4] ==
            trapdoor_rings_[client].header[TRAPDOOR_RING_TAIL / 4],
        "flush empties the ring");
  check(trapdoor_call(client, EVENTS, 0) == count, "no event lost");
  check(trapdoor_call(client, HASH, 0) == hash, "every event in order, unharmed");
  errno = 0;
  check(trapdoor_event(client, 1, large, ring - 7) == -1 && errno == EMSGSIZE, "too large an event");
  check(trapdoor_event(client, TRAPDOOR_RING_PAD, large, 8) == -1 && errno == EINVAL, "PAD event");
  check(trapdoor_event2(client, TRAPDOOR_RING_PAD, 1, 2) == -1 && errno == EINVAL, "PAD event2");
  check(trapdoor_event2(trapdoor_max_clients(), 1, 1, 2) == -1 && errno == EINVAL,
        "event of a client out of range");
  check(trapdoor_event2(1000, 1, 1, 2) == -1 && errno == EINVAL, "event of a wild client");
  check(trapdoor_flush(trapdoor_max_clients()) == -1 && errno == EINVAL,
        "flush of a client out of range");
  trapdoor_event2(client, BAD_EVENT, 0, 0);
  trapdoor_event2(client, 10, 1, 1);
  check(trapdoor_flush(client) == 0, "flush of an event whose callback throws");
  check(trapdoor_call(client, EVENTS, 0) == count + 2, "events after one whose callback throws");
}

int main(int argc, char **argv) {
  const char *base = argc > 1 ? argv[1] : NULL;
  check(trapdoor_max_clients() == 0 && trapdoor_data(0) == NULL, "nothing before trapdoor_init");
  check(trapdoor_call(0, NEGATE, 1) == -1 && errno == ENODEV, "no call before trapdoor_init");
  check(trapdoor_event2(0, 1, 1, 1) == -1 && errno == ENODEV, "no event before trapdoor_init");
  if (trapdoor_init(base) != 0) {
    puts("nobody answers");
    return 3;
  }
  check(trapdoor_init(base) == 0 && trapdoor_init(NULL) == 0, "trapdoor_init again");
  check(trapdoor_present(), "trapdoor_present");
  check(trapdoor_version() >> 16 == TRAPDOOR_PROTOCOL_VERSION >> 16, "trapdoor_version");
  check(trapdoor_max_clients() >= 1 && trapdoor_num_args() == TRAPDOOR_NUM_ARGS, "geometry");
  check(trapdoor_data_size() > 0 && trapdoor_data_size() % 4096 == 0, "data size");
  check(trapdoor_status(0) == TRAPDOOR_STATUS_NOBODY, "status before the first call");
  calls();
  data();
  doorbells();
  if (trapdoor_raw_hello()) {
    instruction();
#if defined(__riscv) || defined(__aarch64__)
    check(jump() == 2, "a callback sets pc");
#endif
  }
  events(0);
  if (trapdoor_max_clients() > 1) events(trapdoor_max_clients() - 1);
  trapdoor_event2(0, 10, 2, 2);
  trapdoor_fini();
  trapdoor_fini();
  check(trapdoor_data(0) == NULL && trapdoor_call(0, NEGATE, 1) == -1, "nothing after trapdoor_fini");
  check(trapdoor_init(base) == 0, "trapdoor_init after trapdoor_fini");
  check(trapdoor_call(0, NEGATE, 9) == -9, "a call after trapdoor_init again");
  trapdoor_fini();
  printf("%u checks passed, %u failed\n", passed, failed);
  return failed > 0;
}
