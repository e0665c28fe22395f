import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { RISCV32_ABI, RISCV64_ABI } from "../machine/user/riscv_abi.ts";
import { signalCalls } from "../machine/user/signal_calls.ts";
import { Guest } from "./linux_guest.ts";

const SA = {
  RESTART: 0x1000_0000,
  NODEFER: 0x4000_0000,
  RESETHAND: 0x8000_0000,
  ONSTACK: 0x0800_0000,
};
const SIG = { USR1: 10, SEGV: 11, USR2: 12, PIPE: 13, ALRM: 14, TERM: 15, CHLD: 17, STOP: 19 };
const HANDLER = 0x4_0000n;
const bit = (signal: number) => 1n << BigInt(signal - 1);

/** Installs a handler; handlers are only addresses here. */
function handle(guest: Guest, signal: number, flags = 0, mask = 0n, handler = HANDLER): void {
  const word = guest.abi.bits / 8;
  const at = guest.alloc(32);
  if (word === 8) {
    [handler, BigInt(flags >>> 0), mask].forEach((v, i) => guest.memory.writeU64(at + i * 8, v));
  } else {
    guest.memory.writeU32(at, Number(handler));
    guest.memory.writeU32(at + 4, flags);
    guest.memory.writeU64(at + 8, mask);
  }
  assertEquals(guest.call("rt_sigaction", signal, at, 0, 8), 0);
}
const mask = (guest: Guest): bigint => {
  const at = guest.alloc(8);
  guest.call("rt_sigprocmask", 0, 0, at, 8);
  return guest.memory.readU64(at);
};
const register = (guest: Guest, name: string) => Number(guest.cpu.getRegister(name));

/** Returns from the handler by the trampoline's rt_sigreturn. */
function sigreturn(guest: Guest): void {
  guest.cpu.setRegister("x17", 139n);
  assertEquals(guest.linux.syscall(), undefined);
}

/** Puts a different value in each register. */
function fill(guest: Guest): Map<string, bigint> {
  const values = new Map<string, bigint>();
  for (let i = 1; i < 32; i++) if (i !== 2) values.set(`x${i}`, 0x1111_0000n + BigInt(i));
  for (let i = 0; i < 32; i++) values.set(`f${i}`, 0x4000_0000_0000_0000n + BigInt(i));
  values.set("fcsr", 0x65n);
  for (const [name, value] of values) guest.cpu.setRegister(name, value);
  return values;
}

for (const abi of [RISCV64_ABI, RISCV32_ABI]) {
  const wide = abi.bits === 64;
  const word = wide ? 8 : 4;

  Deno.test(`a fault of a ${abi.bits}-bit guest runs its handler with frame, siginfo and registers`, () => {
    const guest = new Guest({ abi });
    const { memory, cpu } = guest;
    handle(guest, SIG.SEGV, 0, bit(SIG.USR1));
    const before = fill(guest);
    const sp = register(guest, "x2");
    cpu.pc = 0x1_2344n;
    assertEquals(guest.linux.segmentationFault(0xdead_beecn, "store"), undefined);
    assertEquals(cpu.pc, HANDLER);
    assertEquals(register(guest, "x10"), SIG.SEGV);
    const frame = register(guest, "x2"), info = register(guest, "x11"), uc = register(guest, "x12");
    assertEquals([frame % 16, frame < sp], [0, true]);
    assertEquals(info, frame);
    // siginfo_t: signal, errno, code, address.
    assertEquals([0, 4, 8].map((o) => memory.readU32(info + o)), [SIG.SEGV, 0, 1]);
    assertEquals(memory.readU32(info + (wide ? 16 : 12)), 0xdead_beec);
    // struct ucontext as the C compiler lays it out.
    assertEquals(uc - frame, 128);
    const registers = uc + (wide ? 176 : 160), floats = uc + (wide ? 432 : 288);
    assertEquals(memory.readU32(registers), 0x1_2344);
    assertEquals(memory.readU32(registers + 2 * word), sp);
    for (const i of [1, 3, 10, 31]) {
      assertEquals(memory.readU32(registers + i * word), 0x1111_0000 + i);
    }
    assertEquals(memory.readU64(floats + 31 * 8), 0x4000_0000_0000_001fn);
    assertEquals(memory.readU32(floats + 256), 0x65);
    assertEquals(memory.readU64(uc + (wide ? 40 : 20)), 0n);
    assertEquals(guest.linux.kernel.signals.mask, bit(SIG.SEGV) | bit(SIG.USR1));
    // The return address leads to "li a7, rt_sigreturn; ecall" in executable memory.
    const trampoline = register(guest, "x1");
    assert(memory.isExecutable(trampoline, 8) && !memory.isWritable(trampoline, 1));
    assertEquals([memory.readU32(trampoline), memory.readU32(trampoline + 4)], [0x08b0_0893, 0x73]);
    // The handler changes what the program goes on with.
    memory.writeU32(registers, 0x1_2348);
    memory.writeU32(registers + 10 * word, 99);
    for (const name of before.keys()) cpu.setRegister(name, 1n);
    sigreturn(guest);
    assertEquals(cpu.pc, 0x1_2348n);
    before.set("x10", 99n);
    for (const [name, value] of before) assertEquals(cpu.getRegister(name), value, name);
    assertEquals(register(guest, "x2"), sp);
    assertEquals(guest.linux.kernel.signals.mask, 0n);
  });
}

Deno.test("a fault kills the guest when nothing or a blocked signal would handle it", () => {
  const killed = (prepare: (guest: Guest) => void) => {
    const guest = new Guest();
    prepare(guest);
    guest.cpu.pc = 0x1_0004n;
    return guest.linux.segmentationFault(0x1_0000n, "load");
  };
  const outcome = {
    kind: "signal",
    signal: 11,
    name: "SIGSEGV",
    pc: 0x1_0004n,
    code: 2,
    address: 0x1_0000n,
  };
  assertEquals(killed(() => {}) as unknown, outcome);
  assertEquals(killed((g) => handle(g, SIG.SEGV, 0, 0n, 1n)) as unknown, outcome);
  assertEquals(
    killed((g) => {
      handle(g, SIG.SEGV);
      g.call("rt_sigprocmask", 0, g.words(bit(SIG.SEGV)), 0, 8);
    }) as unknown,
    outcome,
  );
  const nostack = killed((g) => {
    handle(g, SIG.SEGV);
    g.cpu.setRegister("x2", 0x100n);
  });
  assert(nostack?.kind === "signal");
  assertStringIncludes(nostack.message!, "no stack for the handler of SIGSEGV");
});

Deno.test("kill, tkill and tgkill reach the guest itself and nobody else", () => {
  const sends: [string, ...number[]][] = [
    ["kill", 4242, SIG.USR1],
    ["kill", 0, SIG.USR1],
    ["kill", -4242, SIG.USR1],
    ["tkill", 4242, SIG.USR1],
    ["tgkill", 4242, 4242, SIG.USR1],
  ];
  for (const [name, ...args] of sends) {
    const guest = new Guest();
    handle(guest, SIG.USR1);
    const back = guest.cpu.pc;
    guest.call(name, ...args);
    assertEquals(guest.cpu.pc, HANDLER);
    const info = register(guest, "x11");
    assertEquals(guest.memory.readU32(info + 8) | 0, name === "kill" ? 0 : -6);
    assertEquals(guest.memory.readU32(info + 16), 4242);
    sigreturn(guest);
    assertEquals([guest.cpu.pc, guest.result], [back, 0]);
    const fatal = new Guest();
    fatal.call(name, ...args);
    assertEquals(fatal.outcome, {
      kind: "signal",
      signal: 10,
      name: "SIGUSR1",
      pc: back,
      code: name === "kill" ? 0 : -6,
    });
  }
  const guest = new Guest();
  assertEquals(guest.try("kill", 1, 9), "ESRCH");
  assertEquals(guest.try("kill", -1, 9), "ESRCH");
  assertEquals(guest.call("kill", 4242, 0), 0);
  assertEquals(guest.try("kill", 4242, 65), "EINVAL");
  assertEquals(guest.try("tkill", 0, 9), "EINVAL");
  assertEquals(guest.try("tgkill", 1, 4242, 9), "ESRCH");
  assertEquals(guest.call("kill", 4242, SIG.CHLD), 0);
  assertEquals(guest.outcome, undefined);
});

Deno.test("blocked signals stay pending when they are sent", () => {
  const guest = new Guest();
  handle(guest, SIG.USR1);
  assertEquals(
    guest.call("rt_sigprocmask", 0, guest.words(bit(SIG.USR1) | bit(9) | bit(SIG.STOP)), 0, 8),
    0,
  );
  assertEquals(mask(guest), bit(SIG.USR1));
  const pc = guest.cpu.pc;
  assertEquals(guest.call("kill", 4242, SIG.USR1), 0);
  assertEquals(guest.cpu.pc, pc);
  const at = guest.alloc(8);
  assertEquals(guest.call("rt_sigpending", at, 8), 0);
  assertEquals(guest.memory.readU64(at), bit(SIG.USR1));
  guest.call("rt_sigprocmask", 1, guest.words(bit(SIG.USR1)), 0, 8);
  assertEquals(guest.cpu.pc, HANDLER);
  assertEquals(mask(guest), bit(SIG.USR1));
  sigreturn(guest);
  assertEquals(mask(guest), 0n);
  assertEquals(guest.try("rt_sigprocmask", 7, guest.words(0), 0, 8), "EINVAL");
  assertEquals(guest.try("rt_sigprocmask", 0, guest.words(0), 0, 4), "EINVAL");
  assertEquals(guest.try("rt_sigprocmask", 0, 8, 0, 8), "EFAULT");
});

Deno.test("rt_sigaction keeps what it is given", () => {
  const guest = new Guest();
  handle(guest, SIG.USR1, SA.RESTART, bit(SIG.TERM) | bit(9));
  const old = guest.alloc(32);
  assertEquals(guest.call("rt_sigaction", SIG.USR1, 0, old, 8), 0);
  assertEquals([0, 8, 16].map((o) => guest.memory.readU64(old + o)), [
    HANDLER,
    BigInt(SA.RESTART),
    bit(SIG.TERM),
  ]);
  for (
    const [signal, action, size] of [[0, 0, 8], [65, 0, 8], [9, old, 8], [SIG.STOP, old, 8], [
      1,
      0,
      4,
    ]]
  ) {
    assertEquals(guest.try("rt_sigaction", signal, action, 0, size), "EINVAL");
  }
  assertEquals(guest.try("rt_sigaction", 1, 8, 0, 8), "EFAULT");
  handle(guest, SIG.USR2, SA.RESETHAND | SA.NODEFER);
  guest.call("kill", 4242, SIG.USR2);
  assertEquals(mask(guest), 0n);
  guest.call("rt_sigaction", SIG.USR2, 0, old, 8);
  assertEquals(guest.memory.readU64(old), 0n);
  // Ignoring a pending signal drops it.
  guest.call("rt_sigprocmask", 2, guest.words(bit(SIG.USR1)), 0, 8);
  guest.call("kill", 4242, SIG.USR1);
  handle(guest, SIG.USR1, 0, 0n, 1n);
  guest.call("rt_sigpending", old, 8);
  assertEquals(guest.memory.readU64(old), 0n);
});

Deno.test("real-time signals queue with their values when they are sent", () => {
  const guest = new Guest();
  handle(guest, 34);
  guest.call("rt_sigprocmask", 0, guest.words(bit(34)), 0, 8);
  const info = guest.alloc(128);
  for (const value of [7, 8]) {
    guest.memory.writeU32(info + 8, -1 >>> 0);
    guest.memory.writeU32(info + 16, 4242);
    guest.memory.writeU64(info + 24, BigInt(value));
    assertEquals(guest.call("rt_sigqueueinfo", 4242, 34, info), 0);
  }
  assertEquals(guest.call("rt_tgsigqueueinfo", 4242, 4242, 34, info), 0);
  assertEquals(guest.try("rt_sigqueueinfo", 1, 34, info), "ESRCH");
  const got = guest.alloc(128);
  assertEquals(guest.call("rt_sigtimedwait", guest.words(bit(34)), got, 0, 8), 34);
  assertEquals(guest.memory.readU64(got + 24), 7n);
  guest.call("rt_sigprocmask", 1, guest.words(bit(34)), 0, 8);
  const [, , , value] = [0, 1, 2, 24].map((o) => guest.memory.readU32(register(guest, "x11") + o));
  assertEquals(value, 8);
  sigreturn(guest);
  assertEquals(guest.memory.readU32(register(guest, "x11") + 24), 8);
  sigreturn(guest);
  for (let i = 0; i < 3000; i++) {
    guest.call("rt_sigprocmask", 0, guest.words(bit(34)), 0, 8);
    guest.reset();
    if (guest.try("rt_sigqueueinfo", 4242, 34, got) === "EAGAIN") return;
  }
  throw new Error("the queue has no limit");
});

Deno.test("handlers run on the alternate stack when they ask for it", () => {
  const guest = new Guest();
  const stack = guest.call("mmap", 0, 65536, 3, 0x22, -1, 0);
  const old = guest.alloc(32);
  assertEquals(guest.call("sigaltstack", 0, old), 0);
  assertEquals(guest.memory.readU32(old + 8), 2);
  assertEquals(guest.call("sigaltstack", guest.words(stack, 0, 65536), 0), 0);
  handle(guest, SIG.SEGV, SA.ONSTACK);
  const sp = register(guest, "x2");
  guest.cpu.setRegister("x2", 0x100n);
  assertEquals(guest.linux.segmentationFault(0x100n, "load"), undefined);
  const frame = register(guest, "x2");
  assert(frame > stack && frame < stack + 65536);
  assertEquals(guest.call("sigaltstack", 0, old), 0);
  assertEquals([guest.memory.readU64(old), guest.memory.readU32(old + 8)], [BigInt(stack), 1]);
  assertEquals(guest.try("sigaltstack", guest.words(stack, 0, 65536), 0), "EPERM");
  // A second one goes below the first, not at the top again.
  handle(guest, SIG.USR1, SA.ONSTACK);
  guest.call("kill", 4242, SIG.USR1);
  assert(register(guest, "x2") < frame);
  sigreturn(guest);
  assertEquals(register(guest, "x2"), frame);
  sigreturn(guest);
  assertEquals(register(guest, "x2"), 0x100);
  guest.cpu.setRegister("x2", BigInt(sp));
  assertEquals(guest.try("sigaltstack", guest.words(stack, 0, 100), 0), "ENOMEM");
  assertEquals(guest.try("sigaltstack", guest.words(stack, 4, 65536), 0), "EINVAL");
  assertEquals(guest.call("sigaltstack", guest.words(0, 2, 0), 0), 0);
  guest.call("sigaltstack", 0, old);
  assertEquals(guest.memory.readU32(old + 8), 2);
});

Deno.test("a signal ends a wait with EINTR or restarts the call as its handler asks", async () => {
  for (const flags of [0, SA.RESTART]) {
    const guest = new Guest({ signalled: true });
    const at = guest.alloc(8);
    guest.call("pipe2", at, 0);
    handle(guest, SIG.USR1, flags);
    const fd = guest.memory.readU32(at), pc = guest.cpu.pc;
    const waiting = guest.waits("read", fd, at, 1);
    guest.linux.raise(SIG.USR1);
    await waiting;
    assertEquals(guest.cpu.pc, HANDLER);
    sigreturn(guest);
    assertEquals(guest.cpu.pc, flags ? pc - 4n : pc);
    assertEquals(guest.result, flags ? fd : -4);
  }
  // nanosleep never restarts and tells what is left.
  const guest = new Guest({ signalled: true });
  handle(guest, SIG.USR1, SA.RESTART);
  const left = guest.words(0, 0);
  const sleeping = guest.waits("nanosleep", guest.words(100, 0), left);
  guest.linux.raise(SIG.USR1);
  await sleeping;
  sigreturn(guest);
  assertEquals(guest.result, -4);
  assertEquals(guest.memory.readU64(left), 100n);
});

Deno.test("an ignored signal does not disturb a wait", async () => {
  const guest = new Guest({ signalled: true });
  const sleeping = guest.waits("nanosleep", guest.words(5, 0), 0);
  guest.linux.raise(SIG.CHLD);
  assertEquals(await sleeping, 0);
  assertEquals(guest.clock.now, 6000);
});

Deno.test("rt_sigsuspend and ppoll put their mask in place of the guest's while they wait", async () => {
  const guest = new Guest({ signalled: true });
  handle(guest, SIG.USR1);
  guest.call("rt_sigprocmask", 2, guest.words(bit(SIG.USR1) | bit(SIG.USR2)), 0, 8);
  const pc = guest.cpu.pc;
  const waiting = guest.waits("rt_sigsuspend", guest.words(bit(SIG.USR2)), 8);
  guest.linux.raise(SIG.USR2);
  guest.linux.raise(SIG.USR1);
  await waiting;
  assertEquals(guest.cpu.pc, HANDLER);
  assertEquals(guest.linux.kernel.signals.mask, bit(SIG.USR1) | bit(SIG.USR2));
  sigreturn(guest);
  assertEquals([guest.cpu.pc, guest.result], [pc, -4]);
  assertEquals(mask(guest), bit(SIG.USR1) | bit(SIG.USR2));
  // Pending already: no wait at all.
  guest.call("kill", 4242, SIG.USR1);
  await guest.wait("ppoll", 0, 0, guest.words(1, 0), guest.words(bit(SIG.USR2)), 8);
  assertEquals(guest.cpu.pc, HANDLER);
  sigreturn(guest);
  assertEquals(guest.result, -4);
  assertEquals(mask(guest), bit(SIG.USR1) | bit(SIG.USR2));
  // Nothing comes: the mask is back without a handler.
  assertEquals(
    await guest.wait("ppoll", 0, 0, guest.words(1, 0), guest.words(bit(SIG.USR2)), 8),
    0,
  );
  assertEquals(mask(guest), bit(SIG.USR1) | bit(SIG.USR2));
});

Deno.test("rt_sigtimedwait takes a signal or gives up when time is over", async () => {
  const guest = new Guest({ signalled: true });
  const set = guest.words(bit(SIG.USR1));
  guest.call("rt_sigprocmask", 2, set, 0, 8);
  assertEquals(await guest.waits("rt_sigtimedwait", set, 0, guest.words(2, 0), 8), -11);
  assertEquals(guest.clock.now, 3000);
  const waiting = guest.waits("rt_sigtimedwait", set, 0, 0, 8);
  guest.linux.raise(SIG.USR1);
  assertEquals(await waiting, SIG.USR1);
  assertEquals(mask(guest), bit(SIG.USR1));
  assertEquals(guest.try("rt_sigtimedwait", set, 0, guest.words(0, 0), 8), "EAGAIN");
});

Deno.test("interval timers send their signals when time passes", async () => {
  const guest = new Guest();
  handle(guest, SIG.ALRM);
  const old = guest.alloc(32);
  assertEquals(guest.call("setitimer", 0, guest.words(0, 250_000, 1, 500_000), 0), 0);
  assertEquals(guest.call("getitimer", 0, old), 0);
  assertEquals([0, 8, 16, 24].map((o) => Number(guest.memory.readU64(old + o))), [
    0,
    250_000,
    1,
    500_000,
  ]);
  assertEquals(guest.linux.poll(), false);
  const pc = guest.cpu.pc;
  await guest.waits("nanosleep", guest.words(10, 0), old);
  assertEquals(guest.clock.now, 2500);
  assertEquals(guest.cpu.pc, HANDLER);
  sigreturn(guest);
  assertEquals([guest.cpu.pc, guest.result, guest.memory.readU64(old)], [pc, -4, 8n]);
  // Between instructions.
  guest.clock.now += 300;
  assertEquals(guest.linux.poll(), true);
  assertEquals(guest.linux.deliver(), undefined);
  assertEquals(guest.cpu.pc, HANDLER);
  sigreturn(guest);
  assertEquals(guest.cpu.pc, pc);
  assertEquals(guest.call("setitimer", 0, guest.words(0, 0, 0, 0), old), 0);
  guest.clock.now += 10_000;
  assertEquals(guest.linux.poll(), false);
  assertEquals(guest.try("setitimer", 3, guest.words(0, 0, 0, 0), 0), "EINVAL");
  assertEquals(guest.try("setitimer", 0, guest.words(0, 1e6, 0, 0), 0), "EINVAL");
  // Without a handler SIGPROF kills; a timer of CPU time does not run while the guest sleeps.
  guest.call("setitimer", 2, guest.words(0, 0, 1, 0), 0);
  assertEquals(await guest.waits("nanosleep", guest.words(5, 0), 0), 0);
  guest.clock.now += 1000;
  assert(guest.linux.poll());
  assertEquals(guest.linux.deliver()?.kind, "signal");
});

Deno.test("SIGPIPE comes when nobody reads a pipe or the host's stream is broken", () => {
  const guest = new Guest();
  const at = guest.alloc(8);
  guest.call("pipe2", at, 0);
  guest.call("close", guest.memory.readU32(at));
  guest.call("write", guest.memory.readU32(at + 4), "x", 1);
  assert(guest.outcome?.kind === "signal" && guest.outcome.signal === SIG.PIPE);
});

Deno.test("stopping is reported when nobody could continue the guest", () => {
  const guest = new Guest();
  guest.call("kill", 4242, SIG.STOP);
  assert(guest.outcome?.kind === "deadlock");
  assertStringIncludes(guest.outcome.message, "SIGSTOP");
});

Deno.test("rt_sigreturn kills the guest when the stack pointer leads nowhere", () => {
  const guest = new Guest();
  guest.cpu.setRegister("x2", 8n);
  guest.call("rt_sigreturn");
  assert(guest.outcome?.kind === "signal" && guest.outcome.signal === SIG.SEGV);
});

Deno.test("every call on signals has succeeded when the tests above have run", () => {
  // These return by a signal only.
  const never = ["rt_sigsuspend", "rt_sigreturn"];
  const names = Object.keys(signalCalls).filter((name) => !never.includes(name));
  assertEquals(names.filter((name) => !Guest.succeeded.has(name)), []);
});
