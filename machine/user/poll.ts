/**
 * ppoll(2) and pselect6(2).
 *
 * @module
 */
import { E, RESTART } from "./errno.ts";
import { type OpenFile, Poll, type Result } from "./files.ts";
import { getLong, newStruct, readStruct, readTimespec, writeTimespec } from "./guest_memory.ts";
import type { Handler, Kernel } from "./kernel.ts";

/** Milliseconds that a look at an asynchronous input takes at least, else it would never have data. */
const GLANCE = 1;

/** Blocks other signals for the time of a call; the dispatcher restores the mask after a handler. */
function withMask(k: Kernel, address: number, size: number, call: () => Result): Result {
  if (address === 0) return call();
  if (size !== 8) return -E.EINVAL;
  const mask = k.memory.readU64(address);
  const restore = (result: number): number => {
    // With a signal to deliver, its frame must hold the old mask: delivery restores it.
    if (k.signals.savedMask !== undefined && !k.signals.ready) {
      k.signals.mask = k.signals.savedMask;
      k.signals.savedMask = undefined;
    }
    return result;
  };
  k.signals.savedMask = k.signals.mask;
  k.signals.mask = mask;
  try {
    const result = call();
    if (typeof result === "number") return restore(result);
    return result.then(restore, (error) => {
      restore(0);
      throw error;
    });
  } catch (error) {
    restore(0);
    throw error;
  }
}

/** Scans until something is ready, time is up or a signal comes; then writes the time left. */
function untilReady(
  k: Kernel,
  scan: () => number,
  files: readonly OpenFile[],
  timeoutAt: number,
): Result {
  const { clock } = k.host;
  const timeout = timeoutAt === 0 ? undefined : readTimespec(k, timeoutAt);
  const end = timeout === undefined ? undefined : clock.monotonic() + timeout;
  const finish = (result: number): number => {
    // Unlike the C functions the system calls tell how much time is left; read-only memory is no reason to fail.
    if (end !== undefined && k.memory.isWritable(timeoutAt, 16)) {
      writeTimespec(k, timeoutAt, Math.max(0, end - clock.monotonic()));
    }
    return result;
  };
  const ready = scan();
  if (ready !== 0) return finish(ready);
  const wakes = () => files.map((f) => f.pollWake()).filter((wake) => wake !== undefined);
  const first = wakes();
  if (timeout === 0 && first.length === 0) return finish(0);
  const look = async (): Promise<number> => {
    const glance = Math.max(end ?? Infinity, clock.monotonic() + GLANCE);
    while (true) {
      const promises = wakes();
      const wake = promises.length > 0 ? Promise.race(promises) : undefined;
      const waiting = k.wait(end === undefined ? undefined : glance, wake);
      if (!waiting) return k.block("polling, without a timeout, files that only it can make ready");
      const how = await waiting;
      const count = scan();
      if (count !== 0 || how === "timeout") return finish(count);
      if (how === "signal") return finish(-RESTART.ERESTARTNOHAND);
    }
  };
  return look();
}

function ppoll(
  k: Kernel,
  address: number,
  count: number,
  timeout: number,
  mask: number,
  size: number,
): Result {
  const entries = count >>> 0;
  if (entries > k.fds.limit) return -E.EINVAL;
  const view = entries === 0 ? undefined : newStructKept(k, address, entries * 8);
  const watched: OpenFile[] = [];
  for (let i = 0; i < entries; i++) {
    const file = k.fds.get(view!.getInt32(i * 8, true));
    if (file && view!.getInt16(i * 8 + 4, true) & (Poll.IN | Poll.RDNORM)) watched.push(file);
  }
  const scan = (): number => {
    let ready = 0;
    for (let i = 0; i < entries; i++) {
      const fd = view!.getInt32(i * 8, true);
      const wanted = view!.getInt16(i * 8 + 4, true) | Poll.ERR | Poll.HUP;
      const file = k.fds.get(fd);
      const events = fd < 0 ? 0 : file ? file.poll() & wanted : Poll.NVAL;
      view!.setInt16(i * 8 + 6, events, true);
      if (events) ready++;
    }
    return ready;
  };
  return withMask(k, mask, size, () => untilReady(k, scan, watched, timeout));
}

/** A structure that is read and written. */
function newStructKept(k: Kernel, address: number, size: number): DataView {
  const kept = readStruct(k, address, size);
  const bytes = new Uint8Array(kept.buffer.slice(kept.byteOffset, kept.byteOffset + size));
  const view = newStruct(k, address, size);
  new Uint8Array(view.buffer, view.byteOffset, size).set(bytes);
  return view;
}

function pselect6(
  k: Kernel,
  count: number,
  reads: number,
  writes: number,
  errors: number,
  timeout: number,
  sigmask: number,
): Result {
  if (count < 0) return -E.EINVAL;
  const size = Math.min(count, k.fds.limit);
  const bytes = Math.ceil(size / k.abi.bits) * k.word;
  const sets = [reads, writes, errors].map((address) =>
    address === 0 || bytes === 0 ? undefined : newStructKept(k, address, bytes)
  );
  const wanted = sets.map((set) =>
    set && new Uint8Array(set.buffer.slice(set.byteOffset, set.byteOffset + bytes))
  );
  const has = (set: Uint8Array | undefined, fd: number) => set && (set[fd >> 3] >> (fd & 7)) & 1;
  const interest = [Poll.IN | Poll.HUP | Poll.ERR, Poll.OUT | Poll.ERR, Poll.PRI];
  const watched: OpenFile[] = [];
  for (let fd = 0; fd < size; fd++) {
    if (!wanted.some((set) => has(set, fd))) continue;
    const file = k.fds.get(fd);
    if (!file) return -E.EBADF;
    if (has(wanted[0], fd)) watched.push(file);
  }
  const scan = (): number => {
    const results = wanted.map((set) => set && new Uint8Array(bytes));
    let ready = 0;
    for (let fd = 0; fd < size; fd++) {
      const events = k.fds.get(fd)?.poll() ?? 0;
      wanted.forEach((set, i) => {
        if (!has(set, fd) || !(events & interest[i])) return;
        results[i]![fd >> 3] |= 1 << (fd & 7);
        ready++;
      });
    }
    sets.forEach((set, i) => {
      if (set) new Uint8Array(set.buffer, set.byteOffset, bytes).set(results[i]!);
    });
    return ready;
  };
  let maskAt = 0, maskSize = 0;
  if (sigmask !== 0) {
    const pair = readStruct(k, sigmask, 2 * k.word);
    maskAt = getLong(k, pair, 0);
    maskSize = getLong(k, pair, k.word);
  }
  const keepOnError = (result: number): number => {
    if (result < 0) {
      sets.forEach((set, i) => {
        if (set) new Uint8Array(set.buffer, set.byteOffset, bytes).set(wanted[i]!);
      });
    }
    return result;
  };
  const result = withMask(k, maskAt, maskSize, () => untilReady(k, scan, watched, timeout));
  return typeof result === "number" ? keepOnError(result) : result.then(keepOnError);
}

/** The calls, by name. */
export const pollCalls: Readonly<Record<string, Handler>> = { ppoll, pselect6 };
