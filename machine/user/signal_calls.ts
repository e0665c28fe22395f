/**
 * System calls on signals.
 *
 * @module
 */
import { E, RESTART } from "./errno.ts";
import type { Result } from "./files.ts";
import { getLong, newStruct, readStruct, readTimespec, setLong } from "./guest_memory.ts";
import { type Handler, KEEP_REGISTERS, type Kernel } from "./kernel.ts";
import {
  type SigInfo,
  Signal,
  SIGNAL_COUNT,
  SignalCode,
  signalName,
  writeSigInfo,
} from "./signals.ts";

/** Bytes of a signal set. */
const SET_SIZE = 8;
const SIG_BLOCK = 0;
const SIG_UNBLOCK = 1;
const SIG_SETMASK = 2;
const SS_ONSTACK = 1;
const SS_DISABLE = 2;
const SS_AUTODISARM = 0x8000_0000;
/** MINSIGSTKSZ of asm-generic. */
const MIN_STACK = 2048;

function setPointer(k: Kernel, view: DataView, offset: number, value: bigint): void {
  if (k.word === 8) view.setBigUint64(offset, value, true);
  else view.setUint32(offset, Number(BigInt.asUintN(32, value)), true);
}

function getPointer(k: Kernel, view: DataView, offset: number): bigint {
  return k.word === 8 ? view.getBigUint64(offset, true) : BigInt(view.getUint32(offset, true));
}

function rtSigaction(k: Kernel, signal: number, action: number, old: number, size: number): number {
  if (size !== SET_SIZE || signal < 1 || signal > SIGNAL_COUNT) return -E.EINVAL;
  if (action !== 0 && (signal === Signal.SIGKILL || signal === Signal.SIGSTOP)) return -E.EINVAL;
  const { word } = k, restorer = k.abi.sigactionRestorer;
  const maskAt = (restorer ? 3 : 2) * word;
  const before = k.signals.action(signal);
  let next: typeof before | undefined;
  if (action !== 0) {
    const view = readStruct(k, action, maskAt + SET_SIZE);
    next = {
      handler: getPointer(k, view, 0),
      flags: getLong(k, view, word) >>> 0,
      restorer: restorer ? getPointer(k, view, 2 * word) : 0n,
      mask: view.getBigUint64(maskAt, true),
    };
  }
  if (old !== 0) {
    const view = newStruct(k, old, maskAt + SET_SIZE);
    setPointer(k, view, 0, before.handler);
    setLong(k, view, word, before.flags >>> 0);
    if (restorer) setPointer(k, view, 2 * word, before.restorer);
    view.setBigUint64(maskAt, before.mask, true);
  }
  if (next) k.signals.setAction(signal, next);
  return 0;
}

function rtSigprocmask(k: Kernel, how: number, set: number, old: number, size: number): number {
  if (size !== SET_SIZE) return -E.EINVAL;
  const before = k.signals.mask;
  let next = before;
  if (set !== 0) {
    const given = k.memory.readU64(set);
    if (how === SIG_BLOCK) next = before | given;
    else if (how === SIG_UNBLOCK) next = before & ~given;
    else if (how === SIG_SETMASK) next = given;
    else return -E.EINVAL;
  }
  if (old !== 0) k.memory.writeU64(old, before);
  if (set !== 0) k.signals.mask = next;
  return 0;
}

function rtSigsuspend(k: Kernel, set: number, size: number): Result {
  if (size !== SET_SIZE) return -E.EINVAL;
  const mask = k.memory.readU64(set);
  k.signals.savedMask = k.signals.mask;
  k.signals.mask = mask;
  if (k.signals.ready) return -RESTART.ERESTARTNOHAND;
  const waiting = k.block("suspended until a signal arrives that nobody can send");
  return typeof waiting === "number" ? waiting : waiting.then(() => -RESTART.ERESTARTNOHAND);
}

function rtSigtimedwait(
  k: Kernel,
  set: number,
  info: number,
  timeout: number,
  size: number,
): Result {
  if (size !== SET_SIZE) return -E.EINVAL;
  const wanted = k.memory.readU64(set);
  const { clock } = k.host;
  const end = timeout === 0 ? undefined : clock.monotonic() + readTimespec(k, timeout);
  const taken = (): number | undefined => {
    const got = k.signals.take(wanted);
    if (!got) return undefined;
    if (info !== 0) writeSigInfo(newStruct(k, info, 128), got, k.abi.bits);
    return got.signal;
  };
  const first = taken();
  if (first !== undefined) return first;
  if (end !== undefined && end <= clock.monotonic()) return -E.EAGAIN;
  // While it waits, the wanted signals count as not blocked, so that their arrival ends the wait.
  const before = k.signals.mask;
  k.signals.mask = before & ~wanted;
  const waiting = k.wait(end, undefined);
  if (!waiting) {
    k.signals.mask = before;
    return k.block("waiting for a signal that nobody can send");
  }
  return waiting.then((how) => {
    k.signals.mask = before;
    return taken() ?? (how === "timeout" ? -E.EAGAIN : -E.EINTR);
  });
}

/** Sends the guest a signal from itself; signal 0 only asks whether it is there. */
function send(k: Kernel, info: SigInfo): number {
  const { signal } = info;
  if (signal < 0 || signal > SIGNAL_COUNT) return -E.EINVAL;
  return signal === 0 ? 0 : k.signals.post({ pid: k.pid, uid: k.uid, ...info });
}

function kill(k: Kernel, pid: number, signal: number): number {
  if (signal < 0 || signal > SIGNAL_COUNT) return -E.EINVAL;
  // The guest is alone: its own number, its group, and -1 without the sender are all there is.
  if (pid !== k.pid && pid !== 0 && pid !== -k.pid) return -E.ESRCH;
  return send(k, { signal, code: SignalCode.USER });
}

function tkill(k: Kernel, tid: number, signal: number): number {
  if (tid <= 0) return -E.EINVAL;
  return tid === k.pid ? send(k, { signal, code: SignalCode.TKILL }) : -E.ESRCH;
}

function queueInfo(k: Kernel, pid: number, signal: number, address: number): number {
  const view = readStruct(k, address, 128);
  const code = view.getInt32(8, true);
  if (pid !== k.pid) return -E.ESRCH;
  const union = k.word === 8 ? 16 : 12;
  return send(k, {
    signal,
    code,
    pid: view.getInt32(union, true),
    uid: view.getInt32(union + 4, true),
    value: getPointer(k, view, union + 8),
  });
}

function sigaltstack(k: Kernel, next: number, old: number): number {
  const { word } = k;
  const { sp, size } = k.signals.altStack;
  const flags = k.signals.altStackFlags();
  let given: { sp: number; flags: number; size: number } | undefined;
  if (next !== 0) {
    const view = readStruct(k, next, 3 * word);
    given = {
      sp: getLong(k, view, 0),
      flags: view.getUint32(word, true),
      size: getLong(k, view, 2 * word),
    };
  }
  if (old !== 0) {
    const view = newStruct(k, old, 3 * word);
    setLong(k, view, 0, sp);
    view.setUint32(word, flags, true);
    setLong(k, view, 2 * word, size);
  }
  if (!given) return 0;
  if (flags & SS_ONSTACK) return -E.EPERM;
  const mode = (given.flags & ~SS_AUTODISARM) >>> 0;
  if (mode === SS_DISABLE) {
    k.signals.altStack = { sp: 0, flags: SS_DISABLE, size: 0 };
    return 0;
  }
  if (mode !== 0 && mode !== SS_ONSTACK) return -E.EINVAL;
  if (given.size < MIN_STACK) return -E.ENOMEM;
  k.signals.altStack = { ...given, flags: given.flags & SS_AUTODISARM };
  return 0;
}

/** The calls, by name. */
export const signalCalls: Readonly<Record<string, Handler>> = {
  rt_sigaction: rtSigaction,
  rt_sigprocmask: rtSigprocmask,
  rt_sigpending(k, set, size) {
    if (size > SET_SIZE) return -E.EINVAL;
    k.memory.writeU64(set, k.signals.pending & k.signals.mask);
    return 0;
  },
  rt_sigsuspend: rtSigsuspend,
  rt_sigtimedwait: rtSigtimedwait,
  rt_sigreturn(k) {
    if (!k.signals.leave()) {
      k.outcome = {
        kind: "signal",
        signal: Signal.SIGSEGV,
        name: signalName(Signal.SIGSEGV),
        pc: k.cpu.pc,
        code: SignalCode.KERNEL,
        message: "rt_sigreturn found no signal frame at the stack pointer",
      };
    }
    return KEEP_REGISTERS;
  },
  kill,
  tkill,
  tgkill: (k, group, tid, signal) =>
    group <= 0 ? -E.EINVAL : group === k.pid ? tkill(k, tid, signal) : -E.ESRCH,
  rt_sigqueueinfo: queueInfo,
  rt_tgsigqueueinfo: (k, group, tid, signal, info) =>
    group === k.pid ? queueInfo(k, tid, signal, info) : -E.ESRCH,
  sigaltstack,
};
