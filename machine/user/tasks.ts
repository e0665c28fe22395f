/**
 * System calls on the process itself: its end, identity, limits, scheduling, futexes, random numbers.
 *
 * @module
 */
import { E, RESTART } from "./errno.ts";
import type { Result } from "./files.ts";
import {
  destination,
  newStruct,
  readStruct,
  readTimespec,
  setLong,
  setTimeval,
  utf8,
} from "./guest_memory.ts";
import type { Handler, Kernel } from "./kernel.ts";
import { STACK_SIZE } from "./loader.ts";

/** What uname(2) says; programs ask whether the kernel is new enough. */
const RELEASE = "6.6.0";
const RLIMIT = { STACK: 3, CORE: 4, NPROC: 6, NOFILE: 7 } as const;
const RLIMIT_COUNT = 16;
const UNLIMITED = 2n ** 64n - 1n;
/** Most descriptors a guest may ask for with RLIMIT_NOFILE. */
const NOFILE_HARD = 4096n;
/** Bytes of random data that one getrandom makes. */
const RANDOM_CHUNK = 1 << 20;

function exit(k: Kernel, status: number): number {
  k.outcome = { kind: "exit", status: status & 0xff };
  return 0;
}

function uname(k: Kernel, address: number): number {
  const view = newStruct(k, address, 6 * 65);
  const fields = ["Linux", "trapdoor", RELEASE, "#1 Trapdoor", k.abi.unameMachine, "(none)"];
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  fields.forEach((text, i) => bytes.set(utf8(text).subarray(0, 64), i * 65));
  return 0;
}

/** `struct sysinfo`: longs, two shorts among them. */
function sysinfo(k: Kernel, address: number): number {
  const { word } = k;
  const view = newStruct(k, address, word === 8 ? 112 : 64);
  const used = k.map.mappedBytes();
  setLong(k, view, 0, Math.floor(k.host.clock.monotonic() / 1000));
  setLong(k, view, 4 * word, k.memory.size);
  setLong(k, view, 5 * word, Math.max(0, k.memory.size - used));
  view.setUint16(10 * word, 1, true);
  view.setUint32(word === 8 ? 104 : 52, 1, true);
  return 0;
}

function getrusage(k: Kernel, who: number, address: number): number {
  if (who !== 0 && who !== 1 && who !== -1) return -E.EINVAL;
  const view = newStruct(k, address, 18 * k.word);
  if (who === -1) return 0;
  setTimeval(k, view, 0, k.cpuTime());
  setLong(k, view, 4 * k.word, Math.floor(k.map.mappedBytes() / 1024));
  return 0;
}

function limitOf(k: Kernel, resource: number): { soft: bigint; hard: bigint } {
  const set = k.limits.get(resource);
  if (set) return set;
  if (resource === RLIMIT.STACK) return { soft: BigInt(STACK_SIZE), hard: UNLIMITED };
  if (resource === RLIMIT.NOFILE) return { soft: BigInt(k.fds.limit), hard: NOFILE_HARD };
  if (resource === RLIMIT.CORE) return { soft: 0n, hard: UNLIMITED };
  if (resource === RLIMIT.NPROC) return { soft: 1n, hard: 1n };
  return { soft: UNLIMITED, hard: UNLIMITED };
}

function setLimit(k: Kernel, resource: number, soft: bigint, hard: bigint): number {
  if (soft > hard) return -E.EINVAL;
  if (hard > limitOf(k, resource).hard) return -E.EPERM;
  k.limits.set(resource, { soft, hard });
  if (resource === RLIMIT.NOFILE) k.fds.limit = Number(soft);
  return 0;
}

function prlimit64(k: Kernel, pid: number, resource: number, next: number, old: number): number {
  if (resource < 0 || resource >= RLIMIT_COUNT) return -E.EINVAL;
  if (pid !== 0 && pid !== k.pid) return -E.ESRCH;
  const before = limitOf(k, resource);
  const given = next === 0 ? undefined : readStruct(k, next, 16);
  const soft = given?.getBigUint64(0, true), hard = given?.getBigUint64(8, true);
  if (soft !== undefined && hard !== undefined) {
    const error = setLimit(k, resource, soft, hard);
    if (error) return error;
  }
  if (old !== 0) {
    const view = newStruct(k, old, 16);
    view.setBigUint64(0, before.soft, true);
    view.setBigUint64(8, before.hard, true);
  }
  return 0;
}

const PR = {
  SET_PDEATHSIG: 1,
  GET_DUMPABLE: 3,
  SET_DUMPABLE: 4,
  SET_NAME: 15,
  GET_NAME: 16,
  SET_TIMERSLACK: 29,
  GET_TIMERSLACK: 30,
  SET_NO_NEW_PRIVS: 38,
  GET_NO_NEW_PRIVS: 39,
} as const;

function prctl(k: Kernel, option: number, argument: number): number {
  switch (option) {
    case PR.SET_NAME: {
      const bytes = k.memory.cStringBytes(argument, 15);
      if (bytes === undefined) return -E.EFAULT;
      k.comm = new TextDecoder().decode(bytes ?? k.memory.read(argument, 15));
      return 0;
    }
    case PR.GET_NAME: {
      const name = new Uint8Array(16);
      name.set(utf8(k.comm).subarray(0, 15));
      k.memory.write(argument, name);
      return 0;
    }
    case PR.GET_DUMPABLE:
    case PR.GET_NO_NEW_PRIVS:
      return 1;
    case PR.SET_PDEATHSIG:
    case PR.SET_DUMPABLE:
    case PR.SET_TIMERSLACK:
    case PR.SET_NO_NEW_PRIVS:
      return 0;
    case PR.GET_TIMERSLACK:
      return 50_000;
    default:
      return -E.EINVAL;
  }
}

const FUTEX = {
  WAIT: 0,
  WAKE: 1,
  REQUEUE: 3,
  CMP_REQUEUE: 4,
  WAKE_OP: 5,
  WAIT_BITSET: 9,
  WAKE_BITSET: 10,
  COMMAND: 0x7f,
  CLOCK_REALTIME: 256,
} as const;

/** futex(2) of a lone thread: nobody waits, so there is nobody to wake; and nobody wakes who waits. */
function futex(
  k: Kernel,
  address: number,
  operation: number,
  value: number,
  timeout: number,
  _second: number,
  third: number,
): Result {
  const command = operation & FUTEX.COMMAND;
  if (address % 4 !== 0) return -E.EINVAL;
  switch (command) {
    case FUTEX.WAIT:
    case FUTEX.WAIT_BITSET: {
      if (command === FUTEX.WAIT_BITSET && third === 0) return -E.EINVAL;
      const { clock } = k.host;
      const time = timeout === 0 ? undefined : readTimespec(k, timeout);
      if (k.memory.readU32(address) !== value >>> 0) return -E.EAGAIN;
      if (time === undefined) return k.block("waiting for a lock that only it can release (futex)");
      // FUTEX_WAIT takes a span, FUTEX_WAIT_BITSET a point in time.
      const base = command === FUTEX.WAIT
        ? 0
        : operation & FUTEX.CLOCK_REALTIME
        ? clock.realtime()
        : clock.monotonic();
      return k.wait(clock.monotonic() + time - base, undefined)!.then((how) =>
        how === "signal" ? -RESTART.ERESTARTSYS : -E.ETIMEDOUT
      );
    }
    case FUTEX.WAKE:
    case FUTEX.WAKE_BITSET:
    case FUTEX.REQUEUE:
      k.memory.readU32(address);
      return 0;
    case FUTEX.CMP_REQUEUE:
      return k.memory.readU32(address) === third >>> 0 ? 0 : -E.EAGAIN;
    default:
      return -E.ENOSYS;
  }
}

function getrandom(k: Kernel, address: number, size: number, flags: number): number {
  if (flags & ~7) return -E.EINVAL;
  const buffer = destination(k, address, Math.min(size, RANDOM_CHUNK));
  k.host.random(buffer);
  return buffer.length;
}

function schedGetaffinity(k: Kernel, pid: number, size: number, address: number): number {
  const { word } = k;
  if (pid !== 0 && pid !== k.pid) return -E.ESRCH;
  if (size < word || size % word !== 0) return -E.EINVAL;
  setLong(k, newStruct(k, address, word), 0, 1);
  return word;
}

/** Calls that would need a second process or thread. */
function alone(what: string): Handler {
  return (k) => {
    k.note(`The guest asked for ${what}, which user mode does not have (ENOSYS)`);
    return -E.ENOSYS;
  };
}

/** A new identity is allowed if it is the one that the guest has. */
function setId(own: "uid" | "gid"): Handler {
  return (k, ...ids) => {
    const mine = k[own];
    return ids.slice(0, 3).every((id) => id === -1 || id >>> 0 === mine) ? 0 : -E.EPERM;
  };
}

function writeIds(k: Kernel, id: number, ...addresses: number[]): number {
  for (const address of addresses) k.memory.writeU32(address, id);
  return 0;
}

/** A call about a process: fails for any but the guest. */
function self(result: (k: Kernel) => number): Handler {
  return (k, pid) => pid === 0 || pid === k.pid ? result(k) : -E.ESRCH;
}

const SCHED_POLICIES = new Set([0, 3, 5]);

/** The calls, by name. */
export const taskCalls: Readonly<Record<string, Handler>> = {
  exit,
  exit_group: exit,
  getpid: (k) => k.pid,
  gettid: (k) => k.pid,
  getppid: (k) => k.ppid,
  getuid: (k) => k.uid,
  geteuid: (k) => k.uid,
  getgid: (k) => k.gid,
  getegid: (k) => k.gid,
  getresuid: (k, a, b, c) => writeIds(k, k.uid, a, b, c),
  getresgid: (k, a, b, c) => writeIds(k, k.gid, a, b, c),
  setuid: (k, id) => setId("uid")(k, id, -1, -1, 0, 0, 0) as number,
  setgid: (k, id) => setId("gid")(k, id, -1, -1, 0, 0, 0) as number,
  setreuid: (k, a, b) => setId("uid")(k, a, b, -1, 0, 0, 0) as number,
  setregid: (k, a, b) => setId("gid")(k, a, b, -1, 0, 0, 0) as number,
  setresuid: setId("uid"),
  setresgid: setId("gid"),
  setfsuid: (k) => k.uid,
  setfsgid: (k) => k.gid,
  getgroups(k, size, address) {
    if (size < 0) return -E.EINVAL;
    if (size === 0) return 1;
    return writeIds(k, k.gid, address) || 1;
  },
  setgroups: () => -E.EPERM,
  getpgid: self((k) => k.pid),
  getsid: self((k) => k.pid),
  setpgid: self(() => 0),
  setsid: () => -E.EPERM,
  set_tid_address: (k) => k.pid,
  set_robust_list: (k, _head, size) => size === 3 * k.word ? 0 : -E.EINVAL,
  rseq: () => -E.ENOSYS,
  uname,
  sysinfo,
  getrusage,
  prlimit64,
  getrlimit: (k, resource, old) => prlimit64(k, 0, resource, 0, old),
  setrlimit: (k, resource, next) => prlimit64(k, 0, resource, next, 0),
  prctl,
  umask(k, mask) {
    const before = k.umask ?? 0o022;
    k.umask = mask & 0o777;
    return before;
  },
  personality: (_k, persona) => persona === 0 || persona === -1 ? 0 : -E.EINVAL,
  getcpu(k, cpu, node) {
    if (cpu !== 0) k.memory.writeU32(cpu, 0);
    if (node !== 0) k.memory.writeU32(node, 0);
    return 0;
  },
  getpriority: (k, which, who) =>
    which < 0 || which > 2 ? -E.EINVAL : who === 0 || who === k.pid ? 20 : -E.ESRCH,
  setpriority: (k, which, who) =>
    which < 0 || which > 2 ? -E.EINVAL : who === 0 || who === k.pid ? 0 : -E.ESRCH,
  sched_yield: () => 0,
  sched_getaffinity: schedGetaffinity,
  sched_setaffinity: self(() => 0),
  sched_getscheduler: self(() => 0),
  sched_setscheduler: (k, pid, policy) =>
    pid !== 0 && pid !== k.pid ? -E.ESRCH : SCHED_POLICIES.has(policy) ? 0 : -E.EPERM,
  sched_getparam(k, pid, address) {
    if (pid !== 0 && pid !== k.pid) return -E.ESRCH;
    k.memory.writeU32(address, 0);
    return 0;
  },
  sched_setparam: self(() => 0),
  sched_get_priority_max: (_k, policy) =>
    policy === 1 || policy === 2 ? 99 : policy >= 0 && policy <= 6 ? 0 : -E.EINVAL,
  sched_get_priority_min: (_k, policy) =>
    policy === 1 || policy === 2 ? 1 : policy >= 0 && policy <= 6 ? 0 : -E.EINVAL,
  // MEMBARRIER_CMD_QUERY: none is offered.
  membarrier: (_k, command) => command === 0 ? 0 : -E.EINVAL,
  futex,
  getrandom,
  clone: (k, flags) =>
    alone(flags & 0x100 ? "a thread (clone)" : "a process (fork)")(k, 0, 0, 0, 0, 0, 0),
  clone3: alone("a thread or process (clone3)"),
  execve: alone("another program (execve)"),
  execveat: alone("another program (execveat)"),
  wait4: () => -E.ECHILD,
  waitid: () => -E.ECHILD,
  // There are no extended attributes here.
  getxattr: () => -E.EOPNOTSUPP,
  lgetxattr: () => -E.EOPNOTSUPP,
  fgetxattr: () => -E.EOPNOTSUPP,
  setxattr: () => -E.EOPNOTSUPP,
  lsetxattr: () => -E.EOPNOTSUPP,
  fsetxattr: () => -E.EOPNOTSUPP,
  listxattr: () => -E.EOPNOTSUPP,
  llistxattr: () => -E.EOPNOTSUPP,
  flistxattr: () => -E.EOPNOTSUPP,
  chroot: () => -E.EPERM,
  socket: () => -E.EAFNOSUPPORT,
};
