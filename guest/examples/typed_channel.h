/*
 * Typed channel "typed": what the guest may ask, and what it may tell. Generated from typed.channel.ts by
 * backdoor/header.ts; do not edit.
 * Results are valid if trapdoor_status(client) is TRAPDOOR_STATUS_OK. trapdoor.h says what else there is.
 */

#ifndef TYPED_CHANNEL_H
#define TYPED_CHANNEL_H

#ifndef __cplusplus
#include <stdbool.h>
#endif
#include <stdint.h>

#include "trapdoor.h"

/* Numbers of commands and events. */
#define TYPED_COUNT_WORDS UINT32_C(1)
#define TYPED_HYPOTENUSE UINT32_C(2)
#define TYPED_IS_PRIME UINT32_C(3)
#define TYPED_CHECKSUM UINT32_C(4)
#define TYPED_SCALE UINT32_C(5)
#define TYPED_NAP UINT32_C(6)
#define TYPED_SAMPLE UINT32_C(7)
#define TYPED_MARK UINT32_C(8)

/* Doubles travel as their bits. */
#ifndef TRAPDOOR_F64
#define TRAPDOOR_F64
static inline uint64_t trapdoor_f64_bits(double value) {
  uint64_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline double trapdoor_f64_value(int64_t bits) {
  double value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}
#endif

/*
 * countWords(length: u32): u64
 * Number of words in the first bytes of the client's data.
 */
static inline uint64_t typed_count_words(unsigned client, uint32_t length) {
  return (uint64_t)trapdoor_call4(client, TYPED_COUNT_WORDS, (int64_t)length, 0, 0, 0);
}

/* hypotenuse(x: f64, y: f64): f64 */
static inline double typed_hypotenuse(unsigned client, double x, double y) {
  return trapdoor_f64_value(trapdoor_call4(client, TYPED_HYPOTENUSE, (int64_t)trapdoor_f64_bits(x),
      (int64_t)trapdoor_f64_bits(y), 0, 0));
}

/*
 * isPrime(n: u64): bool
 * Trial division, so be patient with large ones.
 */
static inline bool typed_is_prime(unsigned client, uint64_t n) {
  return trapdoor_call4(client, TYPED_IS_PRIME, (int64_t)n, 0, 0, 0) == 1;
}

/*
 * checksum(start: ptr, size: u32, seed: u8): u32
 * Checksum of any memory of the guest.
 */
static inline uint32_t typed_checksum(unsigned client, const void *start, uint32_t size, uint8_t seed) {
  return (uint32_t)trapdoor_call4(client, TYPED_CHECKSUM, (int64_t)(uintptr_t)start, (int64_t)size,
      (int64_t)seed, 0);
}

/*
 * scale(value: i64, factor: i32, divisor: i32, offset: i64): i64
 * value * factor / divisor + offset; fails if the divisor is 0 or the result has more than 64 bits.
 */
static inline int64_t typed_scale(unsigned client, int64_t value, int32_t factor, int32_t divisor,
      int64_t offset) {
  return (int64_t)trapdoor_call4(client, TYPED_SCALE, (int64_t)value, (int64_t)factor, (int64_t)divisor,
      (int64_t)offset);
}

/*
 * nap(milliseconds: u32): none
 * The guest sleeps while the host waits.
 */
static inline void typed_nap(unsigned client, uint32_t milliseconds) {
  (void)trapdoor_call4(client, TYPED_NAP, (int64_t)milliseconds, 0, 0, 0);
}

/*
 * Event sample(time: u64, celsius: f64)
 * A measurement that needs no answer.
 */
static inline int typed_sample(unsigned client, uint64_t time, double celsius) {
  return trapdoor_event2(client, TYPED_SAMPLE, (uint64_t)time, trapdoor_f64_bits(celsius));
}

/* Event mark(at: ptr, line: u32, urgent: bool) */
static inline int typed_mark(unsigned client, const void *at, uint32_t line, bool urgent) {
  const uint64_t payload[] = {(uint64_t)(uintptr_t)at, (uint64_t)line, (uint64_t)urgent};
  return trapdoor_event(client, TYPED_MARK, payload, sizeof payload);
}

#endif
