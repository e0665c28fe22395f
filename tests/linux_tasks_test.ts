import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { pollCalls } from "../machine/user/poll.ts";
import { RISCV32_ABI } from "../machine/user/riscv_abi.ts";
import { taskCalls } from "../machine/user/tasks.ts";
import { timeCalls } from "../machine/user/time.ts";
import { Guest } from "./linux_guest.ts";

const CWD = -100;
const O_NONBLOCK = 0o4000;

/** A stream to read from that gives what is pushed, and then waits. */
function pushable(): { push(text: string): void; read(buffer: Uint8Array): Promise<number> } {
  const chunks: Uint8Array[] = [];
  let waiting: (() => void) | undefined;
  return {
    push(text) {
      chunks.push(new TextEncoder().encode(text));
      waiting?.();
    },
    async read(buffer) {
      while (chunks.length === 0) await new Promise<void>((resolve) => waiting = resolve);
      const chunk = chunks.shift()!;
      buffer.set(chunk);
      return chunk.length;
    },
  };
}

Deno.test("exit ends the guest with the low eight bits of its status", () => {
  for (const name of ["exit", "exit_group"]) {
    const guest = new Guest();
    guest.call(name, 0x1ff);
    assertEquals(guest.outcome, { kind: "exit", status: 255 });
  }
});

Deno.test("the identity calls agree when they are asked", () => {
  const guest = new Guest({ host: { uid: 7, gid: 8 } });
  for (const name of ["getpid", "gettid"]) assertEquals(guest.call(name), 4242);
  assertEquals(guest.call("set_tid_address", 0), 4242);
  assertEquals(guest.call("getppid"), 1);
  for (const name of ["getuid", "geteuid", "setfsuid"]) assertEquals(guest.call(name), 7);
  for (const name of ["getgid", "getegid", "setfsgid"]) assertEquals(guest.call(name), 8);
  const at = guest.alloc(16);
  assertEquals(guest.call("getresuid", at, at + 4, at + 8), 0);
  assertEquals([0, 4, 8].map((o) => guest.memory.readU32(at + o)), [7, 7, 7]);
  assertEquals(guest.call("getresgid", at, at, at), 0);
  assertEquals(guest.call("getgroups", 0, 0), 1);
  assertEquals(guest.call("getgroups", 4, at), 1);
  assertEquals(guest.call("setuid", 7), 0);
  assertEquals(guest.call("setgid", 8), 0);
  assertEquals(guest.call("setreuid", -1, 7), 0);
  assertEquals(guest.call("setregid", 8, -1), 0);
  assertEquals(guest.call("setresuid", 7, 7, 7), 0);
  assertEquals(guest.call("setresgid", -1, -1, -1), 0);
  assertEquals(guest.try("setuid", 0), "EPERM");
  assertEquals(guest.try("setresgid", 8, 9, 8), "EPERM");
  assertEquals(guest.try("setgroups", 0, 0), "EPERM");
  assertEquals(guest.call("getpgid", 0), 4242);
  assertEquals(guest.call("getsid", 4242), 4242);
  assertEquals(guest.call("setpgid", 0, 0), 0);
  assertEquals(guest.try("getpgid", 1), "ESRCH");
  assertEquals(guest.try("setsid"), "EPERM");
  assertEquals(guest.call("umask", 0o27), 0o22);
  assertEquals(guest.call("umask", 0o77), 0o27);
  assertEquals(guest.call("personality", -1), 0);
});

Deno.test("uname, sysinfo, getrusage and limits fill in their structures", () => {
  const guest = new Guest();
  const { memory } = guest;
  const at = guest.alloc(512);
  assertEquals(guest.call("uname", at), 0);
  assertEquals([0, 1, 4].map((i) => memory.readCString(at + i * 65)), [
    "Linux",
    "trapdoor",
    "riscv64",
  ]);
  assertEquals(guest.call("sysinfo", at), 0);
  assertEquals(memory.readU64(at + 32), BigInt(memory.size));
  assert(memory.readU64(at + 40) < BigInt(memory.size));
  assertEquals(memory.readU32(at + 104), 1);
  guest.clock.now += 1500;
  assertEquals(guest.call("getrusage", 0, at), 0);
  assertEquals([memory.readU64(at), memory.readU64(at + 8)], [1n, 500_000n]);
  assertEquals(guest.try("getrusage", 9, at), "EINVAL");
  assertEquals(guest.call("prlimit64", 0, 3, 0, at), 0);
  assertEquals(memory.readU64(at), 8n << 20n);
  assertEquals(guest.call("prlimit64", 4242, 7, guest.words(64, 128), at), 0);
  assertEquals(guest.call("getrlimit", 7, at), 0);
  assertEquals([memory.readU64(at), memory.readU64(at + 8)], [64n, 128n]);
  assertEquals(guest.call("setrlimit", 7, guest.words(32, 64)), 0);
  assertEquals(guest.try("setrlimit", 7, guest.words(32, 128)), "EPERM");
  assertEquals(guest.try("setrlimit", 7, guest.words(65, 64)), "EINVAL");
  assertEquals(guest.try("prlimit64", 5, 7, 0, at), "ESRCH");
  assertEquals(guest.try("prlimit64", 0, 16, 0, at), "EINVAL");
});

Deno.test("scheduling and process settings answer as for one CPU", () => {
  const guest = new Guest();
  const { memory } = guest;
  const at = guest.alloc(128);
  assertEquals(guest.call("sched_getaffinity", 0, 128, at), 8);
  assertEquals(memory.readU64(at), 1n);
  assertEquals(guest.try("sched_getaffinity", 0, 4, at), "EINVAL");
  for (const name of ["sched_setaffinity", "sched_getscheduler", "sched_setparam"]) {
    assertEquals(guest.call(name, 0, 0, 0), 0);
  }
  assertEquals(guest.call("sched_setscheduler", 0, 0, at), 0);
  assertEquals(guest.call("sched_getparam", 0, at), 0);
  assertEquals(guest.call("sched_get_priority_max", 1), 99);
  assertEquals(guest.call("sched_get_priority_min", 1), 1);
  assertEquals(guest.call("sched_yield"), 0);
  assertEquals(guest.call("getcpu", at, at + 4, 0), 0);
  assertEquals(guest.call("getpriority", 0, 0), 20);
  assertEquals(guest.call("setpriority", 0, 0, 5), 0);
  assertEquals(guest.call("membarrier", 0, 0, 0), 0);
  assertEquals(guest.call("set_robust_list", at, 24), 0);
  assertEquals(guest.try("set_robust_list", at, 23), "EINVAL");
  assertEquals(guest.call("prctl", 15, "a long name of a thread"), 0);
  assertEquals(guest.call("prctl", 16, at), 0);
  assertEquals(memory.readCString(at), "a long name of ");
  assertEquals(guest.try("prctl", 12345), "EINVAL");
  assertEquals(guest.call("getrandom", at, 8, 0), 8);
  assertEquals([...memory.read(at, 2)], [1, 8]);
  assertEquals(guest.try("getrandom", at, 8, 0x100), "EINVAL");
  assertEquals(guest.try("getrandom", 8, 8, 0), "EFAULT");
});

Deno.test("riscv_hwprobe answers known keys and marks unknown ones", () => {
  const guest = new Guest();
  const pairs = guest.words(3, 0, 4, 0, 999, 5);
  assertEquals(guest.call("riscv_hwprobe", pairs, 3, 0, 0, 0), 0);
  const { memory } = guest;
  assertEquals(memory.readU64(pairs + 8), 1n);
  assertEquals(memory.readU64(pairs + 24) & 3n, 3n);
  assertEquals([memory.readU64(pairs + 32), memory.readU64(pairs + 40)], [2n ** 64n - 1n, 0n]);
  assertEquals(guest.call("riscv_hwprobe", pairs, 3, 8, guest.words(1), 0), 0);
  assertEquals(guest.try("riscv_hwprobe", pairs, 3, 0, 0, 1), "EINVAL");
  assertEquals(guest.try("riscv_hwprobe", 8, 1, 0, 0, 0), "EFAULT");
  assertEquals(guest.call("riscv_flush_icache", 0, 0, 0), 0);
});

Deno.test("Linux says ENOSYS and notes it when the guest asks for what is not there", () => {
  const guest = new Guest();
  assertEquals(guest.try("clone", 0x50f00), "ENOSYS");
  assertEquals(guest.try("clone", 17), "ENOSYS");
  for (const name of ["clone3", "execve", "execveat", "rseq"]) {
    assertEquals(guest.try(name), "ENOSYS");
  }
  for (const name of ["wait4", "waitid"]) assertEquals(guest.try(name), "ECHILD");
  assertEquals(guest.try("socket"), "EAFNOSUPPORT");
  assertEquals(guest.try("chroot", "/"), "EPERM");
  assertEquals(guest.try("getxattr"), "EOPNOTSUPP");
  guest.notes.length = 0;
  for (const nr of [9999n, 9999n, -1n, 1n << 40n | 9999n]) {
    guest.cpu.slots[guest.abi.nr] = nr;
    assertEquals(guest.linux.syscall(), undefined);
    assertEquals(guest.result, -38);
  }
  assertEquals(guest.notes.length, 2);
  assertStringIncludes(guest.notes[0], "system call 9999");
});

Deno.test("clocks tell the host's time in the guest's structures", () => {
  const guest = new Guest();
  const { memory, clock } = guest;
  const at = guest.alloc(64);
  const timespec = (a = at) =>
    Number(memory.readU64(a)) * 1000 + Number(memory.readU64(a + 8)) / 1e6;
  for (const id of [0, 5]) {
    assertEquals(guest.call("clock_gettime", id, at), 0);
    assertEquals(timespec(), clock.realtime());
  }
  for (const id of [1, 4, 6, 7]) {
    assertEquals(guest.call("clock_gettime", id, at), 0);
    assertEquals(timespec(), clock.now);
  }
  clock.now += 250.5;
  for (const id of [2, 3, -6]) {
    assertEquals(guest.call("clock_gettime", id, at), 0);
    assertEquals(timespec(), 250.5);
  }
  assertEquals(guest.try("clock_gettime", 10, at), "EINVAL");
  assertEquals(guest.try("clock_gettime", 0, 8), "EFAULT");
  assertEquals(guest.call("clock_getres", 1, at), 0);
  assertEquals([memory.readU64(at), memory.readU64(at + 8)], [0n, 1n]);
  assertEquals(guest.call("clock_getres", 6, 0), 0);
  assertEquals(guest.try("clock_settime", 0, at), "EPERM");
  assertEquals(guest.call("gettimeofday", at, at + 32), 0);
  assertEquals(Number(memory.readU64(at)), Math.floor(clock.realtime() / 1000));
  assertEquals(Number(memory.readU64(at + 8)), 250_500);
  assertEquals(guest.try("settimeofday", at, 0), "EPERM");
  assertEquals(guest.call("times", at), 125);
  assertEquals(memory.readU64(at), 25n);
});

Deno.test("sleeping lets time pass when the guest waits", async () => {
  const guest = new Guest();
  const { clock } = guest;
  assertEquals(await guest.waits("nanosleep", guest.words(2, 500_000_000), 0), 0);
  assertEquals(clock.now, 3500);
  assertEquals(await guest.waits("clock_nanosleep", 1, 1, guest.words(10, 0), 0), 0);
  assertEquals(clock.now, 10_000);
  assertEquals(guest.call("clock_nanosleep", 1, 1, guest.words(10, 0), 0), 0);
  assertEquals(guest.call("nanosleep", guest.words(0, 0), 0), 0);
  assertEquals(guest.try("nanosleep", guest.words(0, 1e9), 0), "EINVAL");
  assertEquals(guest.try("nanosleep", guest.words(-1, 0), 0), "EINVAL");
  assertEquals(guest.try("nanosleep", 8, 0), "EFAULT");
  assertEquals(guest.try("clock_nanosleep", 3, 0, guest.words(1, 0), 0), "EINVAL");
  // Waiting is no CPU time.
  const at = guest.alloc(16);
  guest.call("clock_gettime", 2, at);
  assertEquals(guest.memory.readU64(at), 0n);
});

Deno.test("a short sleep blocks the host when it can", () => {
  const paused: number[] = [];
  const guest = new Guest();
  const clock = {
    realtime: () => 0,
    monotonic: () => 5,
    sleep: () => ({ done: Promise.resolve(), cancel() {} }),
    pause: (ms: number) => void paused.push(ms),
  };
  const quick = new Guest({ host: { clock } });
  assertEquals(quick.call("nanosleep", quick.words(0, 1_000_000), 0), 0);
  assertEquals(paused, [1]);
  assertEquals(guest.call("nanosleep", guest.words(0, 0), 0), 0);
});

Deno.test("pipes carry bytes in order when the guest writes and reads", () => {
  const guest = new Guest();
  const { memory } = guest;
  const at = guest.alloc(16);
  assertEquals(guest.call("pipe2", at, O_NONBLOCK | 0o2000000), 0);
  const r = memory.readU32(at), w = memory.readU32(at + 4);
  assertEquals([r, w], [3, 4]);
  assertEquals(guest.call("fcntl", r, 1, 0), 1);
  const buffer = guest.call("mmap", 0, 131072, 3, 0x22, -1, 0);
  assertEquals(guest.try("read", r, buffer, 10), "EAGAIN");
  // Round the ring several times.
  let written = 0, seen = 0;
  for (let i = 0; i < 10; i++) {
    for (let b = 0; b < 50_000; b++) memory.writeU8(buffer + b, written + b);
    written += guest.call("write", w, buffer, 50_000);
    const count = guest.call("read", r, buffer, 131072);
    assertEquals(count, 50_000);
    for (let b = 0; b < count; b += 997) assertEquals(memory.readU8(buffer + b), (seen + b) & 255);
    seen += count;
  }
  assertEquals(guest.call("write", w, buffer, 131072), 65536);
  assertEquals(guest.try("write", w, buffer, 1), "EAGAIN");
  assertEquals(guest.call("read", r, buffer, 10), 10);
  assertEquals(guest.call("write", w, buffer, 4), 4);
  assertEquals(guest.try("write", w, buffer, 100), "EAGAIN");
  assertEquals(guest.call("ioctl", r, 0x541b, at), 0);
  assertEquals(memory.readU32(at), 65530);
  assertEquals(guest.call("fcntl", r, 1032, 0), 65536);
  assertEquals(guest.try("write", r, buffer, 1), "EBADF");
  assertEquals(guest.try("read", w, buffer, 1), "EBADF");
  assertEquals(guest.try("lseek", r, 0, 0), "ESPIPE");
  assertEquals(guest.call("close", w), 0);
  assertEquals(guest.call("read", r, buffer, 131072), 65530);
  assertEquals(guest.call("read", r, buffer, 1), 0);
  // Both ends gone: a write has nobody to read it.
  guest.call("pipe2", at, 0);
  guest.call("close", memory.readU32(at));
  guest.call("rt_sigaction", 13, guest.words(1, 0, 0), 0, 8);
  assertEquals(guest.try("write", memory.readU32(at + 4), buffer, 1), "EPIPE");
  assertEquals(guest.try("pipe2", at, 0o2), "EINVAL");
  assertEquals(guest.try("pipe2", 8, 0), "EFAULT");
});

Deno.test("Linux reports a deadlock when the guest waits for itself", () => {
  const deadlock = (start: (guest: Guest) => void, part: string) => {
    const guest = new Guest();
    start(guest);
    const { outcome } = guest;
    assert(outcome?.kind === "deadlock", JSON.stringify(outcome?.kind));
    assertStringIncludes(outcome.message, part);
    assertStringIncludes(outcome.message, "waits for ever");
  };
  const pipe = (guest: Guest) => {
    const at = guest.alloc(8);
    guest.call("pipe2", at, 0);
    return [guest.memory.readU32(at), guest.memory.readU32(at + 4)];
  };
  deadlock((g) => g.call("read", pipe(g)[0], g.scratch, 1), "empty pipe");
  deadlock((g) => {
    const fd = pipe(g)[1];
    const buffer = g.call("mmap", 0, 131072, 3, 0x22, -1, 0);
    g.call("write", fd, buffer, 131072);
  }, "full pipe");
  deadlock((g) => g.call("futex", g.words(5), 128, 5, 0), "futex");
  deadlock((g) => g.call("rt_sigsuspend", g.words(0), 8), "signal");
});

Deno.test("futex answers for a lone thread", async () => {
  const guest = new Guest();
  const at = guest.words(5);
  assertEquals(guest.try("futex", at, 0, 6, 0), "EAGAIN");
  assertEquals(guest.call("futex", at, 1, 1), 0);
  assertEquals(guest.call("futex", at, 10, 1, 0, 0, -1), 0);
  assertEquals(guest.call("futex", at, 4, 1, 1, at, 5), 0);
  assertEquals(guest.try("futex", at, 4, 1, 1, at, 6), "EAGAIN");
  assertEquals(await guest.waits("futex", at, 0, 5, guest.words(1, 0)), -110);
  assertEquals(guest.clock.now, 2000);
  assertEquals(await guest.waits("futex", at, 9, 5, guest.words(3, 0), 0, -1), -110);
  assertEquals(guest.clock.now, 3000);
  assertEquals(guest.try("futex", at + 1, 0, 5, 0), "EINVAL");
  assertEquals(guest.try("futex", 0, 0, 5, 0), "EFAULT");
  assertEquals(guest.try("futex", at, 6, 5, 0), "ENOSYS");
});

/** A pollfd in guest memory. */
function pollfd(guest: Guest, ...entries: [number, number][]): number {
  return guest.words(...entries.map(([fd, events]) => BigInt(fd >>> 0) | BigInt(events) << 32n));
}
const revents = (guest: Guest, at: number, i = 0) => guest.memory.readU16(at + i * 8 + 6);

Deno.test("ppoll tells what is ready when descriptors are", async () => {
  const guest = new Guest();
  const at = guest.alloc(8);
  guest.call("pipe2", at, 0);
  const r = guest.memory.readU32(at), w = guest.memory.readU32(at + 4);
  const zero = guest.words(0, 0);
  let fds = pollfd(guest, [r, 1], [w, 4], [-1, 1], [77, 1]);
  assertEquals(guest.call("ppoll", fds, 4, zero, 0, 8), 2);
  assertEquals([0, 1, 2, 3].map((i) => revents(guest, fds, i)), [0, 4, 0, 32]);
  guest.call("write", w, "x", 1);
  assertEquals(guest.call("ppoll", fds, 1, 0, 0, 8), 1);
  assertEquals(revents(guest, fds), 1);
  guest.call("read", r, guest.scratch + 60000, 1);
  fds = pollfd(guest, [r, 1]);
  const second = guest.words(1, 0);
  assertEquals(await guest.wait("ppoll", fds, 1, second, 0, 8), 0);
  // What is left of the timeout.
  assertEquals(guest.memory.readU64(second), 0n);
  assertEquals(guest.call("ppoll", fds, 1, zero, 0, 8), 0);
  guest.call("close", w);
  assertEquals(guest.call("ppoll", fds, 1, zero, 0, 8), 1);
  assertEquals(revents(guest, fds), 16);
  assertEquals(guest.call("ppoll", pollfd(guest, [1, 4]), 1, 0, 0, 8), 1);
  assertEquals(guest.try("ppoll", 8, 1, zero, 0, 8), "EFAULT");
  assertEquals(guest.try("ppoll", fds, 1 << 20, zero, 0, 8), "EINVAL");
  assertEquals(guest.try("ppoll", fds, 1, zero, guest.words(0), 4), "EINVAL");
  assertEquals(await guest.waits("ppoll", 0, 0, guest.words(5, 0), 0, 8), 0);
});

Deno.test("pselect6 tells what is ready when descriptors are", () => {
  const guest = new Guest();
  const at = guest.alloc(8);
  guest.call("pipe2", at, 0);
  const r = guest.memory.readU32(at), w = guest.memory.readU32(at + 4);
  guest.call("write", w, "x", 1);
  const reads = guest.words(1 << r), writes = guest.words(1 << w | 2), errors = guest.words(1 << r);
  assertEquals(guest.call("pselect6", 5, reads, writes, errors, guest.words(0, 0), 0), 3);
  assertEquals(guest.memory.readU64(reads), BigInt(1 << r));
  assertEquals(guest.memory.readU64(writes), BigInt(1 << w | 2));
  assertEquals(guest.memory.readU64(errors), 0n);
  assertEquals(guest.try("pselect6", 20, guest.words(1 << 15), 0, 0, 0, 0), "EBADF");
  assertEquals(guest.try("pselect6", -1, 0, 0, 0, 0, 0), "EINVAL");
  assertEquals(guest.call("pselect6", 0, 0, 0, 0, guest.words(0, 0), guest.words(0, 8)), 0);
});

Deno.test("an asynchronous input wakes the guest when bytes come", async () => {
  const input = pushable();
  const guest = new Guest({ host: { stdin: { read: input.read } } });
  const buffer = guest.alloc(64);
  const fds = pollfd(guest, [0, 1]);
  const timeout = guest.words(0, 5_000_000);
  assertEquals(await guest.waits("ppoll", fds, 1, timeout, 0, 8), 0);
  const polled = guest.waits("ppoll", fds, 1, 0, 0, 8);
  input.push("hello");
  assertEquals(await polled, 1);
  assertEquals(guest.call("read", 0, buffer, 3), 3);
  assertEquals(guest.memory.readCString(buffer), "hel");
  assertEquals(guest.call("ioctl", 0, 0x541b, buffer), 0);
  assertEquals(guest.memory.readU32(buffer), 2);
  assertEquals(guest.call("read", 0, buffer, 60), 2);
  const reading = guest.waits("readv", 0, guest.words(buffer, 2, buffer + 8, 10), 2);
  input.push("again");
  assertEquals(await reading, 5);
  assertEquals(guest.memory.readCString(buffer + 8), "ain");
  guest.call("fcntl", 0, 4, O_NONBLOCK);
  assertEquals(await guest.wait("read", 0, buffer, 10), -11);
  input.push("x");
  assertEquals(await guest.wait("read", 0, buffer, 10), 1);
});

Deno.test("an asynchronous output holds the guest when it is slow", async () => {
  let text = "";
  const guest = new Guest({
    host: {
      stdout: {
        async write(bytes) {
          const copy = new TextDecoder().decode(bytes);
          await new Promise((resolve) => setTimeout(resolve, 1));
          text += copy;
        },
      },
    },
  });
  assertEquals(await guest.waits("write", 1, "slow", 4), 4);
  assertEquals(text, "slow");
});

Deno.test("cancel ends a wait when the machine is given up", async () => {
  const guest = new Guest({ signalled: true });
  const waiting = guest.waits("rt_sigsuspend", guest.words(0), 8);
  guest.linux.cancel({ kind: "exit", status: 3 });
  await waiting;
  assertEquals(guest.outcome, { kind: "exit", status: 3 });
});

Deno.test("32-bit guests have 64-bit times when they use the time64 calls", async () => {
  const guest = new Guest({ abi: RISCV32_ABI });
  const at = guest.alloc(32);
  assertEquals(guest.call("clock_gettime64", 0, at), 0);
  assertEquals(guest.memory.readU64(at), 1_700_000_001n);
  assertEquals(guest.call("clock_getres_time64", 1, at), 0);
  // The upper half of tv_nsec is padding.
  const second = guest.words(1, 0xdead_beef_0000_0000n);
  assertEquals(await guest.waits("clock_nanosleep_time64", 1, 0, second, 0), 0);
  assertEquals(guest.clock.now, 2000);
  assertEquals(await guest.waits("ppoll_time64", 0, 0, guest.words(1, 0), 0, 8), 0);
  assertEquals(guest.call("pselect6_time64", 0, 0, 0, 0, guest.words(0, 0), 0), 0);
  assertEquals(await guest.waits("futex_time64", guest.words(1), 0, 1, guest.words(1, 0)), -110);
  assertEquals(
    guest.try("rt_sigtimedwait_time64", guest.words(0), 0, guest.words(0, 0), 8),
    "EAGAIN",
  );
  assertEquals(guest.try("clock_settime64", 0, at), "EPERM");
  assertEquals(guest.call("sysinfo", at), 0);
  assertEquals(guest.memory.readU32(at + 16), guest.memory.size);
  assertEquals(guest.try("openat", CWD, "/none", 0), "ENOENT");
});

Deno.test("every call on processes and time has succeeded when the tests above have run", () => {
  // Refused by design, or tested with signals.
  const refused = new Set([
    ...["setgroups", "setsid", "rseq", "clone", "clone3", "execve", "execveat", "wait4", "waitid"],
    ...["getxattr", "lgetxattr", "fgetxattr", "setxattr", "lsetxattr", "fsetxattr"],
    ...[
      "listxattr",
      "llistxattr",
      "flistxattr",
      "chroot",
      "socket",
      "clock_settime",
      "settimeofday",
    ],
    ...["getitimer", "setitimer"],
  ]);
  const names = [taskCalls, timeCalls, pollCalls].flatMap((group) => Object.keys(group));
  assertEquals(names.filter((name) => !refused.has(name) && !Guest.succeeded.has(name)), []);
});
