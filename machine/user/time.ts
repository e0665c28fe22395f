/**
 * System calls on clocks, sleeping and interval timers.
 *
 * @module
 */
import { E } from "./errno.ts";
import type { Result } from "./files.ts";
import {
  newStruct,
  readTimespec,
  readTimeval,
  setLong,
  setTimeval,
  writeTimespec,
} from "./guest_memory.ts";
import type { Handler, Kernel } from "./kernel.ts";
import { CLOCK_TICKS } from "./loader.ts";

/** Clock numbers (include/uapi/linux/time.h). */
const Clock = {
  REALTIME: 0,
  MONOTONIC: 1,
  PROCESS_CPUTIME: 2,
  THREAD_CPUTIME: 3,
  MONOTONIC_RAW: 4,
  REALTIME_COARSE: 5,
  MONOTONIC_COARSE: 6,
  BOOTTIME: 7,
  REALTIME_ALARM: 8,
  BOOTTIME_ALARM: 9,
  TAI: 11,
} as const;
const REALTIME = new Set<number>([
  Clock.REALTIME,
  Clock.REALTIME_COARSE,
  Clock.REALTIME_ALARM,
  Clock.TAI,
]);
const MONOTONIC = new Set<number>([
  Clock.MONOTONIC,
  Clock.MONOTONIC_RAW,
  Clock.MONOTONIC_COARSE,
  Clock.BOOTTIME,
  Clock.BOOTTIME_ALARM,
]);
const TIMER_ABSTIME = 1;
/** Sleeps up to this many milliseconds block the host: its timers are no finer. */
const SHORT_SLEEP = 2;
/** Resolution of the coarse clocks, milliseconds (a kernel with 250 ticks a second). */
const COARSE = 4;

/** Now on a clock, milliseconds; undefined for a clock that does not exist. */
function now(k: Kernel, clock: number): number | undefined {
  if (REALTIME.has(clock)) return k.host.clock.realtime();
  if (MONOTONIC.has(clock)) return k.host.clock.monotonic();
  if (clock === Clock.PROCESS_CPUTIME || clock === Clock.THREAD_CPUTIME) return k.cpuTime();
  if (clock >= 0) return undefined;
  // A CPU-time clock of a process: the complement of its number, and three bits of kind.
  const pid = ~(clock >> 3), kind = clock & 3;
  return (pid === 0 || pid === k.pid) && kind <= 2 ? k.cpuTime() : undefined;
}

function clockGetres(k: Kernel, clock: number, address: number): number {
  if (now(k, clock) === undefined) return -E.EINVAL;
  if (address === 0) return 0;
  const coarse = clock === Clock.REALTIME_COARSE || clock === Clock.MONOTONIC_COARSE;
  writeTimespec(k, address, coarse ? COARSE : 1e-6);
  return 0;
}

/** Sleeps until the monotonic clock reaches `deadline`; writes what is left if a signal ends it. */
function sleepUntil(k: Kernel, deadline: number, left: number): Result {
  const { clock } = k.host;
  const span = deadline - clock.monotonic();
  if (span <= 0) return 0;
  if (span <= SHORT_SLEEP && !k.interruptible && k.pause(span)) return 0;
  return k.wait(deadline, undefined)!.then((wake) => {
    if (wake !== "signal") return 0;
    if (left !== 0) writeTimespec(k, left, Math.max(0, deadline - clock.monotonic()));
    return -E.EINTR;
  });
}

function clockNanosleep(
  k: Kernel,
  clock: number,
  flags: number,
  request: number,
  left: number,
): Result {
  const start = now(k, clock);
  if (start === undefined || clock === Clock.THREAD_CPUTIME) return -E.EINVAL;
  const time = readTimespec(k, request);
  const absolute = (flags & TIMER_ABSTIME) !== 0;
  const span = absolute ? time - start : time;
  return sleepUntil(k, k.host.clock.monotonic() + span, absolute ? 0 : left);
}

/** Milliseconds left on an interval timer, 0 if it is off. */
function leftOf(k: Kernel, which: number): number {
  const { deadline } = k.timers[which];
  return deadline === Infinity ? 0 : Math.max(0.001, deadline - k.timerNow(which));
}

function writeTimer(k: Kernel, which: number, address: number): void {
  const view = newStruct(k, address, 4 * k.word);
  setTimeval(k, view, 0, k.timers[which].interval);
  setTimeval(k, view, 2 * k.word, leftOf(k, which));
}

function setitimer(k: Kernel, which: number, value: number, old: number): number {
  if (which < 0 || which > 2) return -E.EINVAL;
  const interval = value === 0 ? 0 : readTimeval(k, value);
  const first = value === 0 ? 0 : readTimeval(k, value + 2 * k.word);
  if (old !== 0) writeTimer(k, which, old);
  k.setTimer(which, { interval, deadline: first > 0 ? k.timerNow(which) + first : Infinity });
  return 0;
}

/** The calls, by name. */
export const timeCalls: Readonly<Record<string, Handler>> = {
  clock_gettime(k, clock, address) {
    const time = now(k, clock);
    if (time === undefined) return -E.EINVAL;
    writeTimespec(k, address, time);
    return 0;
  },
  clock_getres: clockGetres,
  clock_settime: (k, clock) => now(k, clock) === undefined ? -E.EINVAL : -E.EPERM,
  clock_nanosleep: clockNanosleep,
  nanosleep: (k, request, left) =>
    sleepUntil(k, k.host.clock.monotonic() + readTimespec(k, request), left),
  gettimeofday(k, address, zone) {
    if (address !== 0) {
      const view = newStruct(k, address, 2 * k.word);
      setTimeval(k, view, 0, k.host.clock.realtime());
    }
    if (zone !== 0) newStruct(k, zone, 8);
    return 0;
  },
  settimeofday: () => -E.EPERM,
  times(k, address) {
    const ticks = (ms: number) => Math.floor(ms * CLOCK_TICKS / 1000);
    if (address !== 0) setLong(k, newStruct(k, address, 4 * k.word), 0, ticks(k.cpuTime()));
    return ticks(k.host.clock.monotonic());
  },
  getitimer(k, which, address) {
    if (which < 0 || which > 2) return -E.EINVAL;
    writeTimer(k, which, address);
    return 0;
  },
  setitimer,
};
