/** The library API: everything that README.md and the docstrings of machine.ts promise. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { Program } from "../bench/lib/guest.ts";
import type { Cpu } from "../cpu/engine/cpu.ts";
import type { PassOptions } from "../cpu/ir/builder.ts";
import { GuestMemoryError, Machine, MachineError, type UserMachineOptions } from "../mod.ts";
import { CONFIGURED, TIER } from "./configuration.ts";
import { buildC, buildGuest, file, withFolder } from "./emulator.ts";
import { makeElf } from "./elf_maker.ts";
import { serveLoopback } from "./registry.ts";
import { testWith } from "./tools.ts";

const HELLO = new URL("../guest/bin/riscv64/hello", import.meta.url);
const SYS = {
  read: 63,
  write: 64,
  pause: 260,
  exit: 93,
  nanosleep: 101,
  getppid: 173,
  random: 278,
};

/** Ends with a status. */
function exit(p: Program, status: number): Program {
  return p.li("a0", status).li("a7", SYS.exit).plain("ecall");
}

/** Counts in t0 for ever. */
function counter(): Uint8Array<ArrayBuffer> {
  return new Program().label("loop").i("addi", "t0", "t0", 1).j("loop").elf();
}

/** Copies standard input to standard output (or another descriptor) in pieces of `size` bytes, then exits with 7. */
function copier(size = 1024, to = 1): Uint8Array<ArrayBuffer> {
  const p = new Program().lui("s0", Program.data).label("loop");
  p.li("a0", 0).i("addi", "a1", "s0", 0).li("a2", size).li("a7", SYS.read).plain("ecall");
  p.branch("bge", "zero", "a0", "end");
  p.i("addi", "a2", "a0", 0).li("a0", to).i("addi", "a1", "s0", 0).li("a7", SYS.write).plain(
    "ecall",
  );
  p.branch("bge", "a0", "zero", "loop").label("end");
  return exit(p, 7).elf();
}

/** Sleeps for an hour, again and again. */
function sleeper(): Uint8Array<ArrayBuffer> {
  const p = new Program().lui("s0", Program.data).lui("t0", 4096).s("sd", "t0", 0, "s0").label(
    "loop",
  );
  return p.i("addi", "a0", "s0", 0).li("a1", 0).li("a7", SYS.nanosleep).plain("ecall").j("loop")
    .elf();
}

/** Makes system calls for ever. */
function caller(): Uint8Array<ArrayBuffer> {
  return new Program().label("loop").li("a7", SYS.getppid).plain("ecall").j("loop").elf();
}

/** Writes 16 random bytes. */
function dice(): Uint8Array<ArrayBuffer> {
  const p = new Program().lui("s0", Program.data);
  p.i("addi", "a0", "s0", 0).li("a1", 16).li("a2", 0).li("a7", SYS.random).plain("ecall");
  p.li("a0", 1).i("addi", "a1", "s0", 0).li("a2", 16).li("a7", SYS.write).plain("ecall");
  return exit(p, 0).elf();
}

/** Options of small machines, and a place for their output. */
function quiet(program: UserMachineOptions["program"]): UserMachineOptions {
  return { program, memory: 16 << 20, stdout: "null", stderr: "null", ...CONFIGURED };
}

/** Runs to the end and returns what came out. */
async function output(options: UserMachineOptions): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  await using machine = await Machine.user({
    ...options,
    stdout: (bytes) => {
      text += decoder.decode(bytes, { stream: true });
    },
  });
  const result = await machine.run();
  assert(result.reason === "exit", Deno.inspect(result));
  return text;
}

Deno.test("Machine.user takes a program when it comes as bytes, path or URL", async () => {
  const bytes = await Deno.readFile(HELLO);
  await using site = serveLoopback((path) =>
    Promise.resolve(
      path === "/bin/hello" ? new Response(bytes) : new Response("gone", { status: 404 }),
    )
  );
  const base64 = btoa(String.fromCharCode(...bytes));
  const sources: [UserMachineOptions["program"], string][] = [
    [bytes, "program"],
    [bytes.subarray(), "program"],
    [file("guest/bin/riscv64/hello"), file("guest/bin/riscv64/hello")],
    [HELLO, HELLO.pathname],
    [HELLO.href, HELLO.pathname],
    [`${site.url}bin/hello`, "/bin/hello"],
    [new URL(`${site.url}bin/hello`), "/bin/hello"],
    [`data:application/octet-stream;base64,${base64}`, "program"],
  ];
  for (const [program, name] of sources) {
    assertEquals(
      await output(quiet(program)).catch((error) => error.message),
      "guest: nobody answers\n",
    );
    await using machine = await Machine.user(quiet(program));
    assertEquals(machine.name, name);
  }
  await assertRejects(
    () => Machine.user(quiet(`${site.url}none`)),
    MachineError,
    `Cannot read the program ${site.url}none: the server answered 404 Not Found`,
  );
});

/** What can't be run, and what the message must say. */
const UNUSABLE: [string, () => Partial<UserMachineOptions>, string | RegExp][] = [
  [
    "missing file",
    () => ({ program: "/nowhere/at all" }),
    "/nowhere/at all: there is no such file",
  ],
  ["directory", () => ({ program: file("guest") }), "it is a directory"],
  ["device", () => ({ program: "/dev/zero" }), "it is a device"],
  ["no bytes", () => ({ program: new Uint8Array() }), "Cannot run program: the file is empty"],
  ["text", () => ({ program: new TextEncoder().encode("hello") }), "it is not an ELF file"],
  ["bad URL", () => ({ program: "http://" }), "Invalid URL"],
  [
    "no server",
    () => ({ program: "http://127.0.0.1:1/x" }),
    /^Cannot read the program http:.*:1\/x: /,
  ],
  [
    "another machine",
    () => ({
      program: makeElf({ machine: 62, segments: [{ address: 65536, bytes: new Uint8Array(8) }] }),
    }),
    "it is for x86-64 (64-bit)",
  ],
  [
    "overlapping segments",
    () => {
      const bytes = new Uint8Array(8192);
      return {
        program: makeElf({ segments: [{ address: 65536, bytes }, { address: 69632, bytes }] }),
      };
    },
    "its segments at 0x10000 and 0x11000 overlap",
  ],
  [
    "2 GB of zeros",
    () => ({
      program: makeElf({
        segments: [{ address: 65536, bytes: new Uint8Array(8), memorySize: 2 ** 31 }],
      }),
    }),
    "give more with --memory",
  ],
  ["little memory", () => ({ memory: 65536 }), "give more with --memory"],
  ["no memory", () => ({ memory: 0 }), "Cannot reserve 0 bytes"],
  ["much memory", () => ({ memory: 2 ** 31 }), "Cannot reserve 2147483648 bytes"],
  ["no number", () => ({ memory: NaN }), "Cannot reserve NaN bytes"],
  ["bad grant", () => ({ dirs: ["a:b:c:d"] }), 'Cannot grant the directory "a:b:c:d"'],
  ["missing directory", () => ({ dirs: ["/nowhere/here"] }), "/nowhere/here: No such file"],
  ["file as directory", () => ({ dirs: [`${file("mod.ts")}:/x`] }), "it is not a directory"],
  ["bad cwd", () => ({ cwd: "/nowhere" }), "the guest has no such directory; grant one with --dir"],
  ["file as cwd", () => ({ cwd: "/dev/null" }), "the guest has no such directory"],
  ["relative path", () => ({ backdoorPath: "dev" }), "dev: not an absolute path"],
  ["a NUL", () => ({ args: ["a\0b"] }), 'Cannot give "a\\u0000b" to the program'],
  ["no name", () => ({ env: { "": "x" } }), 'Cannot set the environment variable ""'],
  ["an odd name", () => ({ env: { "a=b": "x" } }), 'Cannot set the environment variable "a=b"'],
  ["no module", () => ({ backdoor: "/nowhere/callbacks.ts" }), "Module not found"],
  ["bad scheme", () => ({ backdoor: "ftp://x/y.ts" }), "scheme ftp: is not one of"],
  ["no callbacks", () => ({ backdoor: {} }), "it exports nothing"],
  [
    "large geometry",
    () => ({
      backdoor: { call: () => 0 },
      backdoorGeometry: { maxClients: 64, clientDataSize: 1 << 20, ringSize: 1 << 20 },
    }),
    "Cannot place the backdoor's areas",
  ],
  [
    "odd geometry",
    () => ({
      backdoor: { call: () => 0 },
      backdoorGeometry: { maxClients: 1, clientDataSize: 5000, ringSize: 4096 },
    }),
    "Cannot use 5000 as a channel's clientDataSize",
  ],
];

Deno.test("Machine.user says what is wrong when the options can't be used", async () => {
  for (const [name, options, message] of UNUSABLE) {
    const error = await assertRejects(
      () => Machine.user({ ...quiet(HELLO), ...options() }),
      MachineError,
      undefined,
      name,
    ) as MachineError;
    if (typeof message === "string") assertStringIncludes(error.message, message, name);
    else assertMatch(error.message, message, name);
    assertEquals(error.name, "MachineError");
  }
});

Deno.test("run stops after exactly so many instructions when it is given a number", async () => {
  for (const tier of ["auto", "interp", "wasm"] as const) {
    await using machine = await Machine.user({ ...quiet(counter()), tier });
    let total = 0;
    for (const steps of [0, 1, 1, 2, 63, 64, 65, 1000, 999_999, 3_000_001, 7, 20_000, 0]) {
      const result = await machine.run(steps);
      total += steps;
      assertEquals(result, { reason: "limit", instructions: total });
      // Two instructions a turn: the counter and its jump.
      assertEquals(machine.cpu.getRegister("t0"), BigInt(Math.ceil(total / 2)), tier);
      assertEquals(machine.cpu.getRegister("pc"), total % 2 === 0 ? 0x10000n : 0x10004n);
    }
  }
});

Deno.test("run in steps equals one run when the program is any of ours", async () => {
  // Time, and so the number of what waits for it, is the guest's own.
  const fixed = () => {
    let now = 0;
    return {
      clock: {
        realtime: () => 1e12 + now,
        monotonic: () => now += 0.25,
        sleep: (milliseconds: number) => ({
          done: Promise.resolve().then(() => void (now += milliseconds)),
          cancel: () => {},
        }),
      },
      random: (bytes: Uint8Array) => void bytes.fill(5),
    };
  };
  const programs: [string, string[]][] = [
    ["hello", []],
    // More than a million instructions, after which rings are drained without being asked.
    ["events", ["30000"]],
    ["events", ["500", "/dev/trapdoor"]],
    ["bulk", []],
  ];
  for (const [name, args] of programs) {
    const work = async (steps: number[], tier: "interp" | "wasm" | "auto") => {
      let text = "", events = 0;
      await using machine = await Machine.user({
        ...quiet(new URL(`../guest/bin/riscv64/${name}`, import.meta.url)),
        memory: 8 << 20,
        args,
        tier,
        host: fixed(),
        stdout: (bytes) => {
          text += new TextDecoder().decode(bytes);
        },
        backdoor: {
          event: () => void events++,
          call: (_cpu, command, a) => command === 3 ? events : a,
        },
      });
      let i = 0, result = await machine.run(steps[0]);
      while (result.reason === "limit" && result.instructions < 1e7) {
        result = await machine.run(steps[++i % steps.length]);
      }
      assertEquals(result.reason, "exit");
      const memory = await crypto.subtle.digest("SHA-256", machine.memory.arena.m8.slice());
      return [
        { text, events, result, registers: machine.cpu.snapshot() },
        new Uint8Array(memory).join(),
      ];
    };
    const one = await work([Infinity], "interp");
    assertEquals(await work([Infinity], "interp"), one, `${name} twice`);
    for (const steps of [[1, 77, 12_345], [99_999, 64]]) {
      assertEquals(await work(steps, "interp"), one, `${name} in steps of ${steps}`);
    }
    assertEquals(await work([Infinity], "wasm"), one, `${name}, compiled`);
    assertEquals(await work([54_321], "wasm"), one, `${name}, compiled, in steps`);
  }
});

Deno.test("run refuses nonsense and a second run at the same time", async () => {
  await using machine = await Machine.user(quiet(counter()));
  for (const bad of [-1, 1.5, NaN, -Infinity]) {
    await assertRejects(() => machine.run(bad), RangeError, `Cannot run ${bad} instructions`);
  }
  const first = machine.run(50_000_000);
  await assertRejects(() => machine.run(), Error, "it is running already");
  assertEquals((await first).reason, "limit");
  assertEquals((await machine.run(1)).instructions, 50_000_001);
});

Deno.test("run returns the same result when the guest has ended", async () => {
  const ends: unknown[] = [];
  await using machine = await Machine.user({ ...quiet(HELLO) });
  machine.on("end", (event) => ends.push(event.detail));
  assertEquals(machine.result, undefined);
  const result = await machine.run();
  assert(result.reason === "exit");
  assertEquals(result.status, 1);
  assertEquals(ends, [result]);
  assertEquals(machine.result, result);
  assertEquals(await machine.run(5), result);
  await machine.close();
  machine.stop(3);
  assertEquals(await machine.run(), result);
  assertEquals(ends.length, 1);
});

Deno.test("run ends when its AbortSignal does, whatever the guest is at", async () => {
  const reading = () => ({ stdin: new ReadableStream<Uint8Array>() });
  const stuck = () => ({
    stdin: "much",
    stdout: new WritableStream({ write: () => new Promise(() => {}) }),
  });
  const guests: [string, Uint8Array, () => Partial<UserMachineOptions>][] = [
    ["computing", counter(), () => ({})],
    ["sleeping", sleeper(), () => ({})],
    ["calling", caller(), () => ({})],
    ["reading", copier(), reading],
    ["writing", copier(), stuck],
  ];
  for (const [name, program, options] of guests) {
    for (const when of ["before", "while"]) {
      const ends: string[] = [];
      const machine = await Machine.user({ ...quiet(program), ...options() });
      machine.on("end", (event) => ends.push(event.detail.reason));
      const signal = when === "before" ? AbortSignal.abort() : AbortSignal.timeout(30);
      const start = performance.now();
      const result = await machine.run(Infinity, { signal });
      assertEquals([result.reason, ...ends], ["aborted", "aborted"], name);
      assert(performance.now() - start < 5000, `${name} takes ${performance.now() - start} ms`);
      if (when === "before") assertEquals(result.instructions, 0);
      assertEquals((await machine.run()).reason, "aborted", "it can't go on");
    }
  }
});

Deno.test("a signal's abort after the run does nothing when the guest goes on", async () => {
  const controller = new AbortController();
  await using machine = await Machine.user(quiet(counter()));
  await machine.run(10, { signal: controller.signal });
  controller.abort();
  assertEquals((await machine.run(10)).reason, "limit");
});

Deno.test("stop ends the guest with a status when it is called from outside", async () => {
  for (const program of [counter(), sleeper(), caller()]) {
    await using machine = await Machine.user(quiet(program));
    setTimeout(() => machine.stop(42), 20);
    const result = await machine.run();
    assert(result.reason === "stopped");
    assertEquals(result.status, 42);
  }
  await using early = await Machine.user(quiet(counter()));
  for (const bad of [-1, 256, 1.5, NaN]) {
    assertThrows(() => early.stop(bad), RangeError, `Cannot stop the guest with status ${bad}`);
  }
  early.stop(1);
  early.stop(2);
  assertEquals(await early.run(), { reason: "stopped", status: 1, instructions: 0 });
});

Deno.test("close ends a guest, also one that runs, when it is called", async () => {
  for (const program of [counter(), sleeper()]) {
    const machine = await Machine.user(quiet(program));
    const running = machine.run();
    setTimeout(() => machine.close(), 20);
    assertEquals((await running).reason, "aborted");
  }
  let ended = 0;
  {
    await using machine = await Machine.user(quiet(counter()));
    machine.on("end", () => ended++);
    await machine.run(100);
  }
  assertEquals(ended, 1);
});

Deno.test("a machine is as it should be when its own callbacks use it", async () => {
  const log: string[] = [];
  const make = async (call: (machine: () => Machine) => () => number | Promise<number>) => {
    const box: { machine?: Machine } = {};
    const machine = box.machine = await Machine.user({
      ...quiet(HELLO),
      report: (text) => log.push(text),
      backdoor: { call: call(() => box.machine!), fini: () => void log.push("fini") },
    });
    return await machine.run();
  };
  const closed = await make((machine) => () => {
    void machine().close();
    return 1;
  });
  assertEquals([closed.reason, log.splice(0)], ["aborted", ["fini"]]);
  const awaited = await make((machine) => async () => {
    await machine().close();
    return 1;
  });
  assertEquals([awaited.reason, log.splice(0)], ["aborted", ["fini"]]);
  const again = await make((machine) => async () => (await machine().run()).instructions);
  assertEquals([again.reason, log.length], ["exit", 2]);
  assertMatch(log[0], /Cannot run the machine: it is running already/);
  log.length = 0;
  const stopped = await make((machine) => () => {
    machine().stop(6);
    return 1;
  });
  assert(stopped.reason === "stopped");
  assertEquals([stopped.status, log.splice(0)], [6, ["fini"]]);
  await using machine = await Machine.user({
    ...quiet(HELLO),
    backdoor: { fini: () => machine.close() },
  });
  assertEquals((await machine.run()).reason, "exit");
});

Deno.test("raise reaches a guest, which dies or goes on, when it is called", async () => {
  for (const [program, signal] of [[counter(), 15], [sleeper(), 2], [caller(), 10]] as const) {
    await using machine = await Machine.user({ ...quiet(program), signalled: true });
    machine.raise(17); // SIGCHLD: ignored unless somebody wants it.
    setTimeout(() => machine.raise(signal), 20);
    const result = await machine.run();
    assert(result.reason === "signal");
    assertEquals([result.signal, result.status], [signal, 128 + signal]);
  }
  await using machine = await Machine.user({ ...quiet(counter()), signalled: true });
  for (const bad of [0, -1, 65, 1.5, NaN]) assertThrows(() => machine.raise(bad), RangeError);
});

Deno.test("run names the deadlock when the guest waits for what nobody can do", async () => {
  const p = new Program().li("a0", 0).li("a1", 0).li("a2", 0).li("a3", 0).li("a7", 73).plain(
    "ecall",
  );
  await using machine = await Machine.user(quiet(exit(p, 0).elf()));
  const result = await machine.run();
  assert(result.reason === "deadlock", Deno.inspect(result));
  assertStringIncludes(result.message, "waits for ever");
});

Deno.test("the guest reads its input when it comes as text, bytes or a stream", async () => {
  const text = "grüße\n".repeat(1000), bytes = new TextEncoder().encode(text);
  const pieces = (...sizes: number[]) =>
    new ReadableStream<Uint8Array>({
      async start(controller) {
        let at = 0;
        for (let i = 0; at < bytes.length; i++) {
          const size = sizes[i % sizes.length];
          if (size === 0) await new Promise((resolve) => setTimeout(resolve, 1));
          else controller.enqueue(bytes.slice(at, at += size));
        }
        controller.close();
      },
    });
  const inputs: UserMachineOptions["stdin"][] = [
    text,
    bytes,
    pieces(7000),
    pieces(1, 999, 5),
    pieces(0, 3000),
  ];
  for (const stdin of inputs) {
    let got = "";
    const decoder = new TextDecoder();
    await using machine = await Machine.user({
      ...quiet(copier(100)),
      stdin: stdin!,
      stdout: (chunk) => {
        got += decoder.decode(chunk, { stream: true });
      },
    });
    const result = await machine.run();
    assert(result.reason === "exit" && result.status === 7);
    assertEquals(got, text);
  }
  for (const stdin of ["null", ""] as const) {
    const machine = await Machine.user({ ...quiet(copier()), stdin });
    assertEquals((await machine.run()).reason, "exit");
  }
});

Deno.test("a stream of input is cancelled when the guest ends before it", async () => {
  let reason: unknown = "open", pulls = 0;
  const stdin = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      pulls++;
      controller.enqueue(new Uint8Array(10));
    },
    cancel: (why) => {
      reason = why;
    },
  });
  await using machine = await Machine.user({ ...quiet(exit(new Program(), 0).elf()), stdin });
  await machine.run();
  assertEquals(reason, undefined);
  assert(pulls < 3);
  const failing = new ReadableStream<Uint8Array>({
    pull: () => Promise.reject(new Error("the source broke")),
  });
  // EIO, so the guest stops copying.
  const broken = await Machine.user({ ...quiet(copier()), stdin: failing });
  const result = await broken.run();
  assert(result.reason === "exit" && result.status === 7);
});

Deno.test("the guest's output goes where the options say, and the guest waits for who takes it", async () => {
  const text = "0123456789".repeat(5000);
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const machine = await Machine.user({ ...quiet(copier(777)), stdin: text, stdout: writable });
  const [result, got] = await Promise.all([machine.run(), new Response(readable).text()]);
  assertEquals([result.reason, got], ["exit", text]);

  // Standard output and error may be the same stream.
  const both = new TransformStream<Uint8Array, Uint8Array>();
  const loud = await Machine.user({
    program: copier(100, 2),
    memory: 16 << 20,
    stdin: "to standard error",
    stdout: both.writable,
    stderr: both.writable,
  });
  const [, mixed] = await Promise.all([loud.run(), new Response(both.readable).text()]);
  assertEquals(mixed, "to standard error");

  let busy = 0, most = 0, bytes = 0;
  const slow = await Machine.user({
    ...quiet(copier(1000)),
    stdin: text,
    stdout: async (chunk) => {
      most = Math.max(most, ++busy);
      await new Promise((resolve) => setTimeout(resolve, 1));
      bytes += chunk.length;
      busy--;
    },
  });
  await slow.run();
  assertEquals([bytes, most, busy], [text.length, 1, 0]);
});

Deno.test("the guest gets SIGPIPE when who takes its output has gone", async () => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const machine = await Machine.user({
    ...quiet(copier()),
    stdin: "x".repeat(1e5),
    stdout: writable,
  });
  const running = machine.run();
  const reader = readable.getReader();
  await reader.read();
  await reader.cancel("enough");
  const result = await running;
  assert(result.reason === "signal", Deno.inspect(result));
  assertEquals([result.name, result.status], ["SIGPIPE", 141]);
});

Deno.test("an output callback that throws is the embedder's error when it does", async () => {
  const machine = await Machine.user({
    ...quiet(copier()),
    stdin: "x",
    stdout: () => {
      throw new RangeError("the embedder's own");
    },
  });
  await assertRejects(() => machine.run(), RangeError, "the embedder's own");
  assertEquals((await machine.run()).reason, "aborted");
});

Deno.test("registers and memory are open to the embedder when the guest stands", async () => {
  const p = new Program().lui("s0", Program.data).i("ld", "t0", "s0", 0).r("add", "a0", "t0", "t1");
  await using machine = await Machine.user(quiet(p.li("a7", SYS.exit).plain("ecall").elf()));
  const { cpu, memory } = machine;
  assertEquals(cpu.getRegister("pc"), 0x10000n);
  assertEquals(cpu.disassemble(0x10000), { length: 4, bits: 0x00020437, text: "lui s0,0x20" });
  memory.writeU64(Program.data, 30n);
  cpu.setRegister("t1", 12);
  assertEquals(cpu.getRegister("x6"), 12n);
  cpu.setRegister("t1", -1n);
  assertEquals(cpu.getRegister("t1"), 2n ** 64n - 1n);
  cpu.setRegister("zero", 5);
  assertEquals(cpu.getRegister("zero"), 0n);
  assertThrows(() => cpu.getRegister("rax"), RangeError, `Cannot find a register named "rax"`);
  assertThrows(
    () => memory.read(8, 1),
    GuestMemoryError,
    "Cannot read 1 byte at guest address 0x8",
  );
  assertThrows(() => memory.writeU32(0x10000, 1), GuestMemoryError);
  cpu.setRegister("t1", 12);
  await machine.run(2);
  assertEquals(cpu.getRegister("t0"), 30n);
  const result = await machine.run();
  assert(result.reason === "exit");
  assertEquals(result.status, 42);
});

Deno.test("run goes on elsewhere when the embedder writes the pc", async () => {
  for (const tier of ["interp", "wasm"] as const) {
    const p = exit(new Program(), 1).label("other"), other = p.address("other");
    await using machine = await Machine.user({ ...quiet(exit(p, 2).elf()), tier });
    await machine.run(1);
    machine.cpu.setRegister("pc", other);
    const result = await machine.run();
    assert(result.reason === "exit");
    assertEquals([result.status, result.instructions], [2, 4]);
  }
});

Deno.test("a fault is reported with signal, pc, address and registers when it kills the guest", async () => {
  const p = new Program().li("a0", 77).lui("t0", -4096).i("ld", "t1", "t0", 16);
  await using machine = await Machine.user(quiet(p.elf()));
  const result = await machine.run();
  assert(result.reason === "signal");
  const { registers, ...rest } = result;
  assertEquals(rest, {
    reason: "signal",
    status: 139,
    signal: 11,
    name: "SIGSEGV",
    pc: 0x10008n,
    address: 2n ** 64n - 4096n + 16n,
    instructions: 2,
  });
  assertEquals(registers.length, 8);
  assertMatch(registers.join("\n"), /\ba0 000000000000004d\b/);
  assertMatch(registers.join("\n"), /\bt0 fffffffffffff000\b/);
});

Deno.test("events are dispatched when the guest ends and when a callback fails", async () => {
  const log: string[] = [];
  await using machine = await Machine.user({
    ...quiet(HELLO),
    report: (text) => log.push(`option ${text.split("\n", 1)}`),
    backdoor: {
      call: () => {
        throw new Error("no");
      },
      fini: () => void log.push("fini"),
    },
  });
  machine.on("report", (event) => log.push(`event ${event.detail.split("\n", 1)}`));
  machine.addEventListener("end", (event) => {
    assert(event instanceof CustomEvent);
    log.push(`end ${event.detail.reason}`);
  });
  await machine.run();
  const line = "backdoor: command 1 of client 0 threw; the guest gets status THREW";
  assertEquals(log, [`option ${line}`, `event ${line}`, "fini", "end exit"]);
});

Deno.test("methods of a backdoor object keep their this when it is an instance", async () => {
  class Callbacks {
    #calls = 0;
    ended = false;
    call(_cpu: unknown, _command: number, a: number): number {
      return a + ++this.#calls;
    }
    fini(): void {
      this.ended = true;
    }
  }
  const backdoor = new Callbacks();
  assertStringIncludes(await output({ ...quiet(HELLO), backdoor }), "guest: 42\n");
  assertEquals(backdoor.ended, true);
});

Deno.test("Machine.user translates without a pass when it is off, and the guest does the same", async () => {
  const p = new Program().li("s0", 70).i("addi", "s0", "s0", -28).r("add", "s1", "s1", "s0");
  const program = exit(p, 42).elf();
  const off: Partial<PassOptions>[] = [{}, { fold: false }, { retarget: false }, { dead: false }];
  const seen: number[] = [];
  for (const passes of off) {
    await using machine = await Machine.user({ ...quiet(program), tier: "interp", passes });
    const result = await machine.run();
    assertEquals(result, { reason: "exit", status: 42, instructions: 6 });
    assertEquals(machine.cpu.getRegister("s1"), 42n);
    seen.push((machine.cpu as Cpu).cache.blockAt(0).code.length);
  }
  const [all, ...others] = seen;
  assert(others.length === 3 && others.every((length) => length > all), `${seen}`);
});

Deno.test("stats has every figure when a guest has run", async () => {
  await using machine = await Machine.user({ ...quiet(HELLO), backdoor: { call: () => 1 } });
  const before = machine.stats();
  assertEquals([before.instructions, before.seconds, before.mips], [0, 0, 0]);
  const { instructions } = await machine.run();
  const stats = machine.stats();
  assertEquals(Object.keys(stats), [
    ...["instructions", "seconds", "mips", "tiers", "blocks", "compiled"],
    ...["backdoor_calls", "backdoor_events"],
  ]);
  assertEquals([stats.instructions, stats.backdoor_calls, stats.backdoor_events], [
    instructions,
    1,
    0,
  ]);
  assert(stats.seconds > 0 && stats.mips > 0, JSON.stringify(stats));
  // A unit of native code goes on where others would need a block for the interpreter.
  assert(stats.blocks > (TIER === "native" ? 0 : 10), `${stats.blocks} blocks`);
  assert(Math.abs(stats.mips - instructions / stats.seconds / 1e6) < 1e-9);
  const shares = Object.values(stats.tiers);
  assert(Math.abs(shares.reduce((sum, share) => sum + share, 0) - 1) < 1e-9, `${shares}`);
  JSON.stringify(stats);
});

Deno.test("two runs are the same when clock and random numbers are the embedder's", async () => {
  const seeded = (seed: number): Partial<UserMachineOptions> => {
    let state = seed;
    return {
      host: {
        random: (bytes) => {
          for (let i = 0; i < bytes.length; i++) bytes[i] = state = (state * 69069 + 1) >>> 0;
        },
      },
    };
  };
  const roll = (seed: number) => output({ ...quiet(dice()), ...seeded(seed) });
  const first = await roll(1);
  assertEquals(await roll(1), first);
  assertNotEquals(await roll(2), first);
  assertNotEquals(await output(quiet(dice())), await output(quiet(dice())));
  let now = 0;
  await using machine = await Machine.user({
    ...quiet(sleeper()),
    host: {
      clock: {
        realtime: () => now,
        monotonic: () => now,
        sleep: (milliseconds) => {
          now += milliseconds;
          return { done: Promise.resolve(), cancel: () => {} };
        },
      },
    },
  });
  // Each turn sleeps for 4096 seconds that take no time.
  const result = await machine.run(5003);
  assertEquals(result.instructions, 5003);
  assertEquals(now, 4096e3 * 1000);
});

Deno.test("trace, strace and note get their lines when they are given", async () => {
  const trace: string[] = [], strace: string[] = [], notes: string[] = [];
  const p = new Program().li("a0", 5).li("a7", 1999).plain("ecall").plain("ecall");
  await using machine = await Machine.user({
    ...quiet(exit(p, 3).elf()),
    trace: (line) => trace.push(line),
    strace: (line) => strace.push(line),
    note: (message) => notes.push(message),
  });
  const result = await machine.run();
  assertEquals(result.instructions, 7);
  assertEquals(trace, [
    "00010000: 00500513  addi a0,zero,5",
    "00010004: 7cf00893  addi a7,zero,1999",
    "00010008: 00000073  ecall",
    "0001000c: 00000073  ecall",
    "00010010: 00300513  addi a0,zero,3",
    "00010014: 05d00893  addi a7,zero,93",
    "00010018: 00000073  ecall",
  ]);
  assertEquals(strace, [
    "syscall_0x7cf(...) = -1 ENOSYS",
    "syscall_0x7cf(...) = -1 ENOSYS",
    "exit(3) = ?",
  ]);
  assertEquals(notes, ["The guest used system call 1999, which user mode does not have (ENOSYS)"]);
});

Deno.test("the guest sees granted directories when they come as text or as objects", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text`, "1 7\n");
    // callfile opens the file that it is given for reading and writing, writes a line and reads on.
    const program = new URL("../guest/bin/riscv64/callfile", import.meta.url);
    const dirs: NonNullable<UserMachineOptions["dirs"]>[] = [
      [`${folder}:/data`],
      [{ host: folder, guest: "/data", readonly: false }],
      [`${folder}:/data:rw`],
    ];
    for (const each of dirs) {
      await Deno.writeTextFile(`${folder}/text`, "12345\nanswer\n");
      const args = ["/data/text", "12 45"];
      const said = await output({ ...quiet(program), args, dirs: each });
      assertEquals(said, 'guest: "12 45" is answered by "answer"\n');
      assertEquals(await Deno.readTextFile(`${folder}/text`), "12 45\nanswer\n");
    }
    await using machine = await Machine.user({
      ...quiet(program),
      args: ["/data/text", "12 45"],
      dirs: [`${folder}:/data:ro`],
    });
    const result = await machine.run();
    assert(result.reason === "exit");
    assertEquals(result.status, 1);
  });
});

testWith(
  ["riscv64-linux-gnu-gcc"],
  "the terminal becomes raw only if the guest asks, and as often as it does",
  async () => {
    const program = await buildC(`
      #include <stdio.h>
      #include <termios.h>
      #include <unistd.h>
      int main(int argc, char **argv) {
        struct termios cooked, raw;
        char byte;
        if (tcgetattr(0, &cooked) != 0) return 2;
        raw = cooked;
        cfmakeraw(&raw);
        if (argc > 1) tcsetattr(0, TCSANOW, &raw);
        if (read(0, &byte, 1) != 1) return 3;
        if (argc > 1) tcsetattr(0, TCSANOW, &cooked);
        return byte;
      }`);
    const work = async (args: string[], terminal: boolean) => {
      const modes: boolean[] = [];
      await using machine = await Machine.user({
        ...quiet(program),
        args,
        stdin: "inherit",
        host: {
          stdin: {
            isTerminal: () => terminal,
            setRaw: (raw) => void modes.push(raw),
            readSync: (buffer) => {
              buffer[0] = 65;
              return 1;
            },
          },
        },
      });
      const result = await machine.run();
      assert(result.reason === "exit");
      return [result.status, ...modes];
    };
    assertEquals(await work([], true), [65]);
    assertEquals(await work(["raw"], true), [65, true, false]);
    assertEquals(await work(["raw"], false), [2]);
  },
);

testWith(
  ["riscv64-linux-gnu-gcc"],
  "arguments, arg0 and environment are the guest's when they are given",
  async () => {
    const program = await buildGuest("guest/programs/environment.c");
    const text = await output({
      ...quiet(program),
      args: ["one", ""],
      arg0: "another name",
      env: { A: "1", B: "=x=" },
    });
    assertMatch(text, /^2 arguments\n {2}\[one\] of 3 bytes\n {2}\[\] of 0 bytes\n/);
    assertMatch(text, /\n {2}A=1\n {2}B==x=\n/);
    const name = await buildC(
      `#include <stdio.h>\nint main(int argc, char **argv) { return puts(argv[0]) < argc; }`,
    );
    assertEquals(await output({ ...quiet(name), arg0: "another name" }), "another name\n");
    assertEquals(await output(quiet(name)), `${name}\n`);
  },
);
