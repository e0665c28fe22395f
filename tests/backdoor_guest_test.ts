/** The backdoor from both ends: guest programs as they are committed, and callbacks of every kind. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import type { CallbackModule, CallResult, Cpu } from "../backdoor/types.ts";
import { NOT_HANDLED } from "../backdoor/types.ts";
import { Program } from "../bench/lib/guest.ts";
import {
  Machine,
  MachineError,
  type RunResult,
  type UserMachineOptions,
} from "../machine/machine.ts";
import { CONFIGURED } from "./configuration.ts";
import {
  buildC,
  buildGuest,
  compilers,
  file,
  run,
  TARGETS,
  trapdoor,
  withFolder,
} from "./emulator.ts";
import { serveLoopback } from "./registry.ts";
import { testWith } from "./tools.ts";

const WIDTHS = ["riscv64", "riscv32", "aarch64"] as const;

/** Path of a committed program. */
function bin(name: string, width: string = "riscv64"): string {
  return file(`guest/bin/${width}/${name}`);
}

/** What a machine did. */
interface Ended {
  result: RunResult;
  stdout: string;
  reports: string[];
  notes: string[];
  machine: Machine;
}

/** Runs a program in this process; small memory unless asked otherwise. */
async function ended(
  program: string,
  options: Partial<UserMachineOptions> = {},
  running: { limit?: number; signal?: AbortSignal; started?: (machine: Machine) => unknown } = {},
): Promise<Ended> {
  const decoder = new TextDecoder(), reports: string[] = [], notes: string[] = [];
  let stdout = "";
  const machine = await Machine.user({
    program,
    memory: 64 << 20,
    ...CONFIGURED,
    stdout: (bytes) => {
      stdout += decoder.decode(bytes, { stream: true });
    },
    report: (message) => reports.push(message),
    note: (message) => notes.push(message),
    ...options,
  });
  running.started?.(machine);
  const signal = running.signal === undefined ? {} : { signal: running.signal };
  const result = await machine.run(running.limit, signal);
  return { result, stdout, reports, notes, machine };
}

/** Exit status of what must end by itself. */
function status({ result, stdout }: Ended): number {
  assert(result.reason === "exit", `${Deno.inspect(result)}\n${stdout}`);
  return result.status;
}

/** The last line of hello's output: "guest: 42". */
function answer({ stdout }: Ended): string {
  return stdout.trimEnd().split("\n").at(-1)!;
}

function defer(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** A Promise that never settles. */
function never(): Promise<never> {
  return new Promise(() => {});
}

Deno.test("hello is answered by its callback module when the command line runs it", async () => {
  for (const width of WIDTHS) {
    for (const args of [[], ["/dev/trapdoor"]]) {
      const module = file("guest/examples/hello.ts");
      const ran = await trapdoor(["--backdoor", module, bin("hello", width), ...args]);
      assertEquals(ran, {
        code: 0,
        stdout: [
          "host: a guest may come, as 8 clients at most",
          "guest: protocol 1.0, 8 clients with 65536 bytes of data each",
          "guest: what comes after 41?",
          `host: ${width} asks for the successor of 41`,
          "guest: 42",
          "host: the guest has ended",
          "",
        ].join("\n"),
        stderr: "",
      });
    }
  }
});

Deno.test("hello finds nobody when there is no callback module", async () => {
  for (const width of WIDTHS) {
    for (const args of [[], ["/dev/trapdoor"]]) {
      const alone = await ended(bin("hello", width), { args });
      assertEquals([status(alone), alone.stdout], [1, "guest: nobody answers\n"]);
    }
    const module = { call: () => 0 };
    const elsewhere = await ended(bin("hello", width), { args: ["/elsewhere"], backdoor: module });
    assertEquals(status(elsewhere), 1);
    assertEquals(elsewhere.stdout, "guest: somebody answers, but not for me\n");
  }
});

for (const width of WIDTHS) {
  testWith(
    [`qemu-${width}`],
    `hello finds nobody when qemu-${width} runs it`,
    async () => {
      for (const name of ["hello", "bulk", "poke"]) {
        const { code, stdout } = await run([`qemu-${width}`, bin(name, width)]);
        assertEquals([code, stdout], [1, "guest: nobody answers\n"]);
      }
      const { code, stdout } = await run([`qemu-${width}`, bin("channel", width)]);
      assertEquals(code, 3);
      assertStringIncludes(stdout, "nobody answers");
    },
  );
}

for (const width of WIDTHS) {
  for (const transport of ["instruction", "mapped", "mapped elsewhere"]) {
    Deno.test(`channel finds every promise kept when a ${width} guest uses the ${transport} channel`, async () => {
      const base = transport === "mapped" ? "/dev/trapdoor" : "/some/where else";
      const run = await ended(bin("channel", width), {
        args: transport === "instruction" ? [] : [base],
        ...(transport === "mapped elsewhere" ? { backdoorPath: base } : {}),
        backdoor: new URL("../guest/programs/channel.ts", import.meta.url),
      });
      assertEquals(status(run), 0, run.stdout);
      const [, passed] = /^(\d+) checks passed, 0 failed\n$/.exec(run.stdout) ?? [];
      assert(Number(passed) >= 100, run.stdout);
      const threw = run.reports.filter((text) => /callback of event \d+ .*threw/.test(text));
      assertEquals(threw.length, 2, "both events that are meant to fail are reported");
      for (
        const what of [/a call that the test means to fail/, /means to reject/, /returned 1.5/]
      ) {
        assertEquals(run.reports.filter((text) => what.test(text)).length, 1, String(what));
      }
      assertEquals(run.notes.filter((text) => text.includes("command 2147418112")).length, 1);
    });
  }
}

Deno.test("channel works when there are 1 or 64 clients with small and large rings", async () => {
  for (
    const backdoorGeometry of [
      { maxClients: 1, clientDataSize: 4096, ringSize: 4096 },
      { maxClients: 64, clientDataSize: 8192, ringSize: 8192 },
      { maxClients: 3, clientDataSize: 1 << 20, ringSize: 1 << 20 },
    ]
  ) {
    for (const args of [[], ["/dev/trapdoor"]]) {
      const run = await ended(bin("channel"), {
        args,
        backdoorGeometry,
        backdoor: new URL("../guest/programs/channel.ts", import.meta.url),
      });
      assertEquals(status(run), 0, `${Deno.inspect(backdoorGeometry)} ${run.stdout}`);
    }
  }
});

Deno.test("events come in order and complete when the ring is small and the guest fast", async () => {
  const cases = [["riscv64", 4096], ["riscv64", 65536], ["aarch64", 4096]] as const;
  for (const [width, ringSize] of cases) {
    for (const args of [["5000"], ["5000", "/dev/trapdoor"]]) {
      let steps = 0, notes = 0, last = 0n, ordered = true;
      const backdoor: CallbackModule = {
        event(_cpu, client, command, payload) {
          assertEquals(client, 0);
          const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
          if (command === 1) {
            const time = view.getBigUint64(0, true);
            ordered &&= time >= last;
            last = time;
            steps++;
          } else {
            assertEquals(new TextDecoder().decode(payload), "a thousand more\0");
            notes++;
            assertEquals(steps, notes * 1000);
          }
        },
        call: () => steps + notes,
      };
      const geometry = { maxClients: 2, clientDataSize: 4096, ringSize };
      const run = await ended(bin("events", width), { args, backdoor, backdoorGeometry: geometry });
      assertEquals(status(run), 0);
      assertEquals(run.stdout, "guest: 5005 events written, 5005 seen by the host\n");
      assertEquals([steps, notes, ordered], [5000, 5, true]);
      const stats = run.machine.stats();
      assertEquals([stats.backdoor_calls, stats.backdoor_events], [1, 5005]);
    }
  }
});

Deno.test("bulk and poke change the guest's memory and registers when the examples answer", async () => {
  for (const width of WIDTHS) {
    for (const args of [[], ["/dev/trapdoor"]]) {
      const backdoor = new URL("../guest/examples/bulk.ts", import.meta.url);
      const bulk = await ended(bin("bulk", width), { args, backdoor });
      assertEquals(status(bulk), 0);
      assertStringIncludes(bulk.stdout, "65472 bytes: I count 12648 words, the host 12648");
      assertStringIncludes(bulk.stdout, "AND WHOEVER KNOCKS IS ANSWERED FROM BELOW.\n");
    }
    const ran = await trapdoor([
      "--backdoor",
      file("guest/examples/poke.ts"),
      bin("poke", width),
    ]);
    assertEquals(ran.code, 0, ran.stderr);
    assertStringIncludes(ran.stdout, 'guest: before: "nobody has touched me"');
    assertMatch(ran.stdout, /host: at 0x[0-9a-f]+ stands "nobody has touched me"/);
    assertStringIncludes(ran.stdout, 'guest: after: "the host was here"');
    assertStringIncludes(
      ran.stdout,
      `guest: ${width === "aarch64" ? "x21" : "s5"} was 1000 and is 2000`,
    );
  }
});

Deno.test("wait sleeps until the callback's fetch from a server is done", async () => {
  await using site = serveLoopback(async () => {
    await defer(150);
    return new Response("well, hello");
  });
  const backdoor = new URL("../guest/examples/wait.ts", import.meta.url);
  const log = console.log;
  const said: string[] = [];
  console.log = (text) => said.push(text);
  try {
    const start = performance.now();
    const run = await ended(bin("wait"), { args: [site.url], backdoor });
    const seconds = (performance.now() - start) / 1000;
    assertEquals(status(run), 0);
    assertEquals(run.stdout, "guest: waiting\nguest: 11 bytes came: well, hello\n");
    assertMatch(said.join(), /^host: fetched 11 bytes in \d\.\d s; the guest slept$/);
    // Waiting is not running.
    const { seconds: running } = run.machine.stats();
    assert(seconds - running > 0.14, `${seconds} s in all, ${running} s of them running`);
    const other = await ended(bin("wait", "aarch64"), { args: [site.url], backdoor });
    assertEquals(other.stdout, run.stdout);
    const refused = await ended(bin("wait"), { args: ["http://127.0.0.1:1/"], backdoor });
    assertEquals(status(refused), 2);
    assertStringIncludes(refused.stdout, "the fetch failed, status 2");
  } finally {
    console.log = log;
  }
});

Deno.test("callfile gets an answer for every line when it writes to the call file", async () => {
  const backdoor: CallbackModule = {
    async call(cpu, command, a): Promise<CallResult> {
      if (command === 1) return cpu.args[0] + 1n;
      if (command === 2) throw new Error("as asked");
      if (command === 3) {
        await defer(5);
        return a * 2;
      }
      return NOT_HANDLED;
    },
  };
  const answers: Record<string, string> = {
    "1 5": "ok 6",
    "1 0x10": "ok 17",
    "1 -7": "ok -6",
    "3 21": "ok 42",
    "2": "threw",
    "99 1 2 3 4": "unknown",
    "name 1": "unknown",
    "1 1 1 1 1 1": "invalid: 5 arguments, at most 4 are possible",
    "1 x": "invalid: ",
  };
  for (const [line, expected] of Object.entries(answers)) {
    for (const width of WIDTHS.filter((width) => width !== "riscv32")) {
      const run = await ended(bin("callfile", width), {
        args: ["/dev/trapdoor/call", line],
        backdoor,
      });
      assertEquals(status(run), 0);
      assertStringIncludes(run.stdout, `guest: "${line}" is answered by "${expected}`);
    }
  }
  const moved = { args: ["/x/call", "1 1"], backdoor, backdoorPath: "/x" };
  assertStringIncludes((await ended(bin("callfile"), moved)).stdout, `is answered by "ok 2"`);
  const none = await ended(bin("callfile"), { args: ["/dev/trapdoor/call"] });
  assertEquals([status(none), none.stdout], [1, "guest: cannot open /dev/trapdoor/call\n"]);
});

for (const target of TARGETS) {
  testWith(
    compilers("typed.c", target),
    `typed for ${target} gets right answers when its channel answers`,
    async () => {
      const program = await buildGuest("guest/examples/typed.c", [], target);
      const module = file("guest/examples/typed.channel.ts");
      const ran = await trapdoor(["--backdoor", module, program]);
      assertEquals(ran.code, 0, ran.stdout + ran.stderr);
      assertEquals(ran.stdout.match(/: right$/gm)?.length, 8, ran.stdout);
      assertStringIncludes(ran.stdout, "host: 100 samples, the coldest of -78.5 degrees");
    },
  );
}

testWith(
  [...compilers("x.cc", "aarch64"), "make", "qemu-aarch64"],
  "examples in C and a program in C++ for aarch64 run when make has built them with the library",
  async () => {
    await withFolder(async (folder) => {
      const made = await run([
        ...["make", "-s", "-C", file("guest"), `BUILD=${folder}`, "CROSS=aarch64-linux-gnu-"],
        ...["lib", "examples-glibc"],
      ], { timeout: 120 });
      assertEquals(made.code, 0, made.stderr);
      const built = `${folder}/aarch64`, source = `${folder}/ring.cc`;
      await Deno.writeTextFile(
        source,
        `#include <cstdio>
         #include <vector>
         #include "trapdoor.h"
         int main() {
           if (trapdoor_init(nullptr) != 0) return std::puts("nobody answers"), 1;
           std::vector<double> values;
           for (int i = 0; i < 1001; i++) {
             values.push_back(i / 4.0);
             if (trapdoor_event(0, 3, &values.back(), sizeof(double)) != 0) return 2;
           }
           std::printf("%lld\\n", (long long)trapdoor_call4(0, 4, 1, -2, 3, 4));
           trapdoor_fini();
         }`,
      );
      const compiled = await run([
        ...["aarch64-linux-gnu-g++", "-O2", "-static", `-I${file("guest/include")}`, source],
        ...["-o", `${folder}/ring`, `-L${built}`, "-ltrapdoor"],
      ]);
      assertEquals(compiled.code, 0, compiled.stderr);
      let sum = 0;
      const backdoor: CallbackModule = {
        event: (_cpu, _client, command, payload) => {
          sum += new DataView(payload.buffer, payload.byteOffset).getFloat64(0, true) *
            (command - 2);
        },
        call: (cpu) =>
          BigInt.asIntN(64, cpu.args[0] + cpu.args[1] * 10n + cpu.args[3]) + BigInt(sum),
      };
      const ring = await ended(`${folder}/ring`, { backdoor });
      // The quarters of 0 to 1000, and 1 - 20 + 4.
      assertEquals([ring.stdout, status(ring)], ["125110\n", 0]);
      const alone = await run(["qemu-aarch64", `${folder}/ring`]);
      assertEquals([alone.code, alone.stdout], [1, "nobody answers\n"]);
      const hello = ["--backdoor", file("guest/examples/hello.ts"), `${built}/examples/hello`];
      assertEquals((await trapdoor(hello)).code, 0);
    });
  },
);

/** What a callback gives back, what the guest sees, and what the user is told. */
const RESULTS: [name: string, result: () => unknown, guest: string, told?: RegExp][] = [
  ["a number", () => 42, "42"],
  ["a large number", () => 2 ** 53, "9007199254740992"],
  ["the smallest number", () => -(2 ** 63), "-9223372036854775808"],
  ["a bigint", () => -5n, "-5"],
  ["the largest bigint", () => 2n ** 64n - 1n, "-1"],
  ["true", () => true, "1"],
  ["false", () => false, "0"],
  ["nothing", () => undefined, "0"],
  ["a Promise", () => Promise.resolve(7), "7"],
  ["a late Promise", () => defer(5).then(() => 8n), "8"],
  ["a thenable", () => ({ then: (done: (value: number) => void) => done(9) }), "9"],
  ["a Promise of a Promise", () => Promise.resolve(Promise.resolve(10)), "10"],
  ["a fraction", () => 1.5, "-1", /returned 1.5, which is not a result/],
  ["NaN", () => NaN, "-1", /returned NaN/],
  ["too large a number", () => 2 ** 64, "-1", /returned 1844674407370955/],
  ["too large a bigint", () => 2n ** 64n, "-1", /returned 18446744073709551616n/],
  ["a string", () => "42", "-1", /returned "42"/],
  ["null", () => null, "-1", /returned null/],
  ["an object", () => ({}), "-1", /returned an object/],
  ["a function", () => () => 1, "-1", /returned a function/],
  ["a symbol", () => Symbol("x"), "-1", /returned Symbol\(x\)/],
  ["a Promise of nonsense", () => Promise.resolve([1]), "-1", /returned an array of 1/],
  ["an exception", () => raise(new Error("no luck")), "-1", /threw[^]*Error: no luck\n\s+at /],
  ["a thrown string", () => raise("no luck"), "-1", /threw[^]*"no luck" \(not an Error\)/],
  ["a thrown nothing", () => raise(undefined), "-1", /threw[^]*undefined/],
  ["a rejection", () => Promise.reject(new RangeError("no")), "-1", /threw[^]*RangeError: no/],
  [
    "a getter that throws",
    () => ({
      get then() {
        return raise(new Error("trap"));
      },
    }),
    "-1",
    /Error: trap/,
  ],
];

function raise(what: unknown): never {
  throw what;
}

Deno.test("hello gets an answer whatever its callback returns", async () => {
  for (const width of WIDTHS) {
    for (const args of [[], ["/dev/trapdoor"]]) {
      for (const [name, result, guest, told] of RESULTS) {
        const what = `${name}, ${width} ${args}`;
        const call = result as () => CallResult;
        const run = await ended(bin("hello", width), { args, backdoor: { call } });
        assertEquals(status(run), 0, what);
        assertEquals(answer(run), `guest: ${guest}`, what);
        assertEquals(run.reports.length, told ? 1 : 0, `${what}: ${run.reports}`);
        if (told) assertMatch(run.reports[0], told);
        assertEquals(run.notes, []);
      }
    }
  }
});

Deno.test("an unknown command is answered and noted when nobody handles it", async () => {
  for (const backdoor of [{ call: () => NOT_HANDLED }, { event: () => {} }] as CallbackModule[]) {
    const run = await ended(bin("hello"), { backdoor });
    assertEquals([status(run), answer(run)], [0, "guest: -1"]);
    assertEquals(run.reports, []);
    assertEquals(run.notes.length, 1);
    assertMatch(run.notes[0], /no callback of .* handles command 1/);
  }
});

/** Callbacks that count how often `fini` is called, and when. */
function counted(call: CallbackModule["call"]): CallbackModule & { log: string[] } {
  const log: string[] = [];
  return {
    log,
    init: () => void log.push("init"),
    ...(call ? { call } : {}),
    async fini() {
      log.push("fini");
      await defer(2);
      log.push("done");
    },
  };
}

const ALL = ["init", "fini", "done"];

Deno.test("fini is called exactly once whatever ends the guest", async () => {
  const check = async (
    name: string,
    backdoor: ReturnType<typeof counted>,
    work: (
      options: Partial<UserMachineOptions>,
    ) => Promise<RunResult>,
    expected: string,
  ) => {
    const result = await work({ backdoor });
    assertEquals(result.reason + ("status" in result ? ` ${result.status}` : ""), expected, name);
    assertEquals(backdoor.log, ALL, name);
  };
  const hello = async (options: Partial<UserMachineOptions>) =>
    (await ended(bin("hello"), options)).result;
  await check("exit", counted(() => 1), hello, "exit 0");
  await check("nobody calls", counted(undefined), hello, "exit 0");
  const jump = (cpu: Cpu) => {
    cpu.pc = 0n;
  };
  await check("signal", counted(jump), hello, "signal 139");
  await check("cpu.stop", counted((cpu) => cpu.stop(7)), hello, "stopped 7");
  const later = async (cpu: Cpu) => {
    cpu.stop(8);
    await defer(5);
  };
  await check("cpu.stop in an async callback", counted(later), hello, "stopped 8");
  const fail = () => raise(new Error("x"));
  const stop = { backdoorErrors: "stop" } as const;
  await check("error", counted(fail), (o) => hello({ ...o, ...stop }), "stopped 70");
  await check(
    "rejection",
    counted(() => Promise.reject(1)),
    (o) => hello({ ...o, ...stop }),
    "stopped 70",
  );
  await check("machine.stop", counted(never), async (options) => {
    const started = (machine: Machine) => setTimeout(() => machine.stop(9), 10);
    return (await ended(bin("hello"), options, { started })).result;
  }, "stopped 9");
  await check("abort", counted(never), async (options) => {
    return (await ended(bin("hello"), options, { signal: AbortSignal.timeout(20) })).result;
  }, "aborted");
  await check("aborted before", counted(() => 1), async (options) => {
    return (await ended(bin("hello"), options, { signal: AbortSignal.abort() })).result;
  }, "aborted");
  await check("limit and close", counted(() => 1), async (options) => {
    const { machine, result } = await ended(bin("hello"), options, { limit: 500 });
    await machine.close();
    await machine.close();
    return result;
  }, "limit");
  await check("close without a run", counted(() => 1), async (options) => {
    const machine = await Machine.user({ program: bin("hello"), ...CONFIGURED, ...options });
    await machine.close();
    return await machine.run();
  }, "aborted");
  await check("close while it runs", counted(never), async (options) => {
    const started = (machine: Machine) => setTimeout(() => machine.close(), 10);
    return (await ended(bin("hello"), options, { started })).result;
  }, "aborted");
  await check("a signal from outside", counted(never), async (options) => {
    const started = (machine: Machine) => setTimeout(() => machine.raise(15), 10);
    return (await ended(bin("hello"), { ...options, signalled: true }, { started })).result;
  }, "signal 143");
  await check("an exit and another run", counted(() => 1), async (options) => {
    const { machine, result } = await ended(bin("hello"), options);
    assertEquals(await machine.run(), result);
    await machine.close();
    return result;
  }, "exit 0");
  // A report that throws is the embedder's error; fini is due all the same.
  const backdoor = counted(fail);
  const report = () => raise(new Error("the embedder's own"));
  await assertRejects(() => hello({ backdoor, report }), Error, "the embedder's own");
  assertEquals(backdoor.log, ALL);
});

Deno.test("fini is not called when init fails", async () => {
  const log: string[] = [];
  const make = (init: CallbackModule["init"]) => ({
    ...(init ? { init } : {}),
    fini: () => void log.push("fini"),
  });
  for (const init of [() => raise(new Error("no")), () => Promise.reject(new Error("no"))]) {
    const error = await assertRejects(
      () => Machine.user({ program: bin("hello"), ...CONFIGURED, backdoor: make(init) }),
      MachineError,
      "init of the backdoor object threw: no",
    );
    assert(error.cause instanceof Error);
  }
  assertEquals(log, []);
});

Deno.test("a callback that never settles ends when the AbortSignal does", async () => {
  for (const args of [[], ["/dev/trapdoor"]]) {
    const backdoor = counted(never);
    const run = await ended(bin("hello"), { args, backdoor }, { signal: AbortSignal.timeout(200) });
    assertEquals(run.result.reason, "aborted");
    assertEquals(backdoor.log, ALL);
  }
  const args = ["/dev/trapdoor/call", "1"];
  const file = counted(never);
  const run = await ended(bin("callfile"), { args, backdoor: file }, {
    signal: AbortSignal.timeout(200),
  });
  assertEquals([run.result.reason, ...file.log], ["aborted", ...ALL]);
  // An event callback that never settles holds the end up; a signal or an abort ends that.
  const log: string[] = [];
  const events: CallbackModule = { event: never, call: () => 1, fini: () => void log.push("fini") };
  let timer: ReturnType<typeof setInterval> | undefined;
  const late = await ended(bin("events"), { args: ["1"], backdoor: events, signalled: true }, {
    started: (machine) => {
      // After the guest's end, however long it takes: before, the signal would kill the guest.
      timer = setInterval(() => machine.result && machine.raise(2), 30);
    },
  });
  clearInterval(timer);
  assertEquals([late.result.reason, ...log], ["exit", "fini"]);
});

Deno.test("machine.raise kills a guest that sleeps in a callback at once, or the second time", async () => {
  const asleep = { backdoor: { call: never }, signalled: true };
  for (
    const [program, args] of [["hello", []], ["callfile", ["/dev/trapdoor/call", "1"]]] as const
  ) {
    const run = await ended(bin(program), { ...asleep, args: [...args] }, {
      started: (machine) => setTimeout(() => machine.raise(2), 20),
    });
    assert(run.result.reason === "signal");
    assertEquals([run.result.status, run.result.name], [130, "SIGINT"]);
  }
  await assertRejects(
    async () => (await Machine.user({ program: bin("hello"), ...CONFIGURED })).raise(65),
    RangeError,
    "Cannot raise signal 65",
  );
});

testWith(
  ["riscv64-linux-gnu-gcc"],
  "a guest's handler runs after the callback when a signal came in between",
  async () => {
    const program = await buildC(`
      #include <signal.h>
      #include <stdio.h>
      #include <unistd.h>
      #include "trapdoor.h"
      static volatile int seen;
      static void handler(int signal) { seen = signal; }
      int main(void) {
        signal(SIGTERM, handler);
        if (trapdoor_init(NULL) != 0) return 1;
        const long result = trapdoor_call(0, 1, 20);
        printf("%ld, signal %d\\n", result, seen);
        fflush(stdout);
        trapdoor_call(0, 2, 0);
        return 0;
      }`);
    let killer: ReturnType<typeof setInterval> | undefined;
    const asleep = Promise.withResolvers<void>();
    const call: CallbackModule["call"] = async (_cpu, command, a) => {
      asleep.resolve();
      if (command === 2) return await never();
      await defer(30);
      return a + 1;
    };
    const run = await ended(program, { backdoor: { call }, signalled: true }, {
      started: async (machine) => {
        await asleep.promise;
        machine.raise(15);
        killer = setInterval(() => {
          // It has a handler, so the first signal waits, and the second kills.
          if (machine.stats().backdoor_calls === 2) machine.raise(15);
        }, 10);
      },
    });
    clearInterval(killer);
    assertEquals(run.stdout, "21, signal 15\n");
    assert(run.result.reason === "signal");
    assertEquals(run.result.status, 143);
  },
);

Deno.test("two machines don't disturb each other when they run side by side", async () => {
  interface Job {
    name: string;
    args: string[];
    delay: number;
    factor: number;
  }
  const jobs: Job[] = [
    { name: "hello", args: [], delay: 5, factor: 3 },
    { name: "hello", args: ["/dev/trapdoor"], delay: 1, factor: 5 },
    { name: "events", args: ["3000"], delay: 0, factor: 1 },
    { name: "events", args: ["2000", "/dev/trapdoor"], delay: 3, factor: 1 },
    { name: "callfile", args: ["/dev/trapdoor/call", "1 100"], delay: 2, factor: 7 },
  ];
  const work = async ({ name, args, delay, factor }: Job) => {
    let events = 0;
    const own = new Set<unknown>();
    const backdoor: CallbackModule = {
      event(cpu) {
        own.add(cpu.memory);
        events++;
      },
      async call(cpu, _command, a) {
        own.add(cpu.memory);
        if (delay > 0) await defer(delay);
        return name === "events" ? events : a * factor;
      },
    };
    // Clock and random numbers are the same each time, so that everything else must be.
    let now = 0;
    const run = await ended(bin(name), {
      args,
      backdoor,
      host: {
        clock: {
          realtime: () => now++,
          monotonic: () => now++,
          sleep: () => ({ done: Promise.resolve(), cancel: () => {} }),
        },
        random: (bytes) => void bytes.fill(7),
      },
    });
    assertEquals(own.size, 1);
    assertEquals(own.has(run.machine.memory), true);
    return [run.stdout, run.result.instructions, run.machine.stats().backdoor_calls];
  };
  const alone: unknown[] = [];
  for (const job of jobs) alone.push(await work(job));
  assertEquals(await Promise.all(jobs.map(work)), alone);
  assertStringIncludes(String(alone[0]), "guest: 123");
  assertStringIncludes(String(alone[1]), "guest: 205");
  assertStringIncludes(String(alone[4]), `by "ok 700"`);
});

Deno.test("two machines share the time of the process when both compute", async () => {
  const endless = new Program().label("loop").i("addi", "t0", "t0", 1).j("loop").elf();
  const machines = await Promise.all(
    [1, 2].map(() => Machine.user({ program: endless, memory: 16 << 20, ...CONFIGURED })),
  );
  const runs = machines.map((machine) => machine.run());
  const start = performance.now();
  // Both get on though neither ends, and a timer comes in between.
  while (machines.some(({ cpu }) => cpu.instructions < 20_000_000)) {
    assert(performance.now() - start < 20_000, `${machines.map(({ cpu }) => cpu.instructions)}`);
    await defer(10);
  }
  machines.forEach((machine, i) => machine.stop(i + 1));
  for (const [i, run] of runs.entries()) {
    const result = await run;
    assert(result.reason === "stopped");
    assertEquals(result.status, i + 1);
  }
});

Deno.test("events reach the host when the guest dies before it flushed them", async () => {
  const got: number[] = [];
  // The first call is events.c's own at its end: nothing was drained before, but for a full ring.
  const backdoor: CallbackModule = {
    event: (_cpu, _client, command) => void got.push(command),
    call: (cpu) => {
      cpu.pc = 8n;
    },
  };
  const run = await ended(bin("events"), { args: ["100"], backdoor });
  assert(run.result.reason === "signal");
  assertEquals([run.result.signal, run.result.pc, got.length], [11, 8n, 100]);
  const limited: number[] = [];
  const { machine } = await ended(bin("events"), {
    args: ["2000"],
    backdoor: { event: (_cpu, _client, command) => void limited.push(command), call: () => 0 },
  }, { limit: 30_000 });
  assertEquals(limited.length, 0, "rings are drained at fixed instruction counts only");
  await machine.close();
  assert(limited.length > 20, "what is in them comes at the end");
});

testWith(
  ["riscv64-linux-gnu-gcc"],
  "memory of a channel that the guest gave back is nobody's heap, and the channel opens again",
  async () => {
    const program = await buildC(`
      #define _GNU_SOURCE
      #include <errno.h>
      #include <stdint.h>
      #include <stdio.h>
      #include <stdlib.h>
      #include <string.h>
      #include <sys/mman.h>
      #include "trapdoor.h"
      enum { BLOCKS = 40, SIZE = 1 << 20 };
      static unsigned char *blocks[BLOCKS];
      static int wrong(void) {
        int count = 0;
        for (int b = 0; b < BLOCKS; b++) {
          for (int i = 0; i < SIZE; i++) count += blocks[b][i] != (unsigned char)(b * 7 + i);
        }
        return count;
      }
      int main(int argc, char **argv) {
        const char *base = argc > 1 ? argv[1] : NULL;
        if (trapdoor_init(base) != 0) return 1;
        char *data = trapdoor_data(0);
        volatile uint64_t *control = trapdoor_control(0);
        for (int i = 0; i < 100; i++) trapdoor_event2(0, 1, i, i);
        printf("%d\\n", (int)trapdoor_call(0, 1, 0));
        strcpy(data, "still here");
        trapdoor_fini();
        /* Also what came with the instruction can be unmapped like anything else. */
        munmap(data, trapdoor_data_size() ? 4096 : 8192);
        munmap((void *)control, 4096);
        void *over = mmap(data, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        printf("%d %d\\n", over == MAP_FAILED, errno == ENOMEM);
        for (int b = 0; b < BLOCKS; b++) {
          blocks[b] = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
          if (blocks[b] == MAP_FAILED) return 2;
          for (int i = 0; i < SIZE; i++) blocks[b][i] = (unsigned char)(b * 7 + i);
        }
        printf("wrong %d\\n", wrong());
        if (trapdoor_init(base) != 0) return 3;
        printf("%s\\n", (char *)trapdoor_data(0));
        for (int i = 0; i < 100; i++) trapdoor_event2(0, 1, i, i);
        trapdoor_flush(0);
        memset(trapdoor_data(0), 0xee, trapdoor_data_size());
        printf("%d\\n", (int)trapdoor_call(0, 1, 0));
        printf("wrong %d\\n", wrong());
        trapdoor_fini();
        return 0;
      }`);
    for (const args of [[], ["/dev/trapdoor"]]) {
      let events = 0;
      const run = await ended(program, {
        args,
        memory: 128 << 20,
        backdoor: { event: () => void events++, call: () => events },
      });
      assertEquals(status(run), 0, run.stdout);
      assertEquals(run.stdout, "100\n1 1\nwrong 0\nstill here\n200\nwrong 0\n");
      assertEquals(run.reports, []);
    }
  },
);

Deno.test("an asynchronous callback answers registers of the guest that called when many calls overlap", async () => {
  // Sixteen machines, each asleep in its call at the same time.
  const answers = await Promise.all(Array.from({ length: 16 }, async (_, i) => {
    const run = await ended(bin("hello", WIDTHS[i % WIDTHS.length]), {
      memory: 8 << 20,
      backdoor: { call: (_cpu, _command, a) => defer(20 - i).then(() => a * 1000 + i) },
    });
    return answer(run);
  }));
  assertEquals(answers, answers.map((_, i) => `guest: ${41000 + i}`));
});
