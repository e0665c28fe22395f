import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  bool,
  command,
  type Cpu,
  defineChannel,
  event,
  f64,
  i64,
  i8,
  none,
  NOT_HANDLED,
  ptr,
  u32,
  u64,
  u8,
} from "../backdoor/mod.ts";
import { MAX_LINE, MAX_UNREAD, TextCalls } from "../backdoor/text.ts";
import { FakeGuest } from "./backdoor_fake.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

class Shell {
  readonly guest: FakeGuest;
  readonly calls: TextCalls;

  constructor(callbacks: object, client?: number, options = {}) {
    this.guest = new FakeGuest(callbacks, options);
    this.calls = new TextCalls(this.guest.channel, this.guest.cpu, client);
  }

  write(text: string): void | Promise<void> {
    return this.calls.write(encoder.encode(text));
  }

  read(max = 1 << 20): string {
    return decoder.decode(this.calls.read(max));
  }

  /** Writes a line and reads the answer, without its newline. */
  ask(line: string): string {
    const pending = this.write(line + "\n");
    assert(!(pending instanceof Promise));
    const answer = this.read();
    assert(answer === "" || answer.endsWith("\n"), answer);
    return answer.slice(0, -1);
  }
}

Deno.test("TextCalls answers a line when a command number is written", () => {
  const shell = new Shell({
    call: (cpu: Cpu, command: number, a: number) => {
      if (command === 9) return NOT_HANDLED;
      if (command === 8) throw new Error("x");
      if (command === 7) return cpu.args.reduce((sum, arg) => sum + arg, 0n);
      return command * 100 + a;
    },
  });
  const cases = {
    "1": "ok 100",
    "1 5": "ok 105",
    "  1\t 0x10  \r": "ok 116",
    "2 -5": "ok 195",
    "0x2 -0x5 7": "ok 195",
    "7 1 2 3 4": "ok 10",
    "7 18446744073709551615": "ok -1",
    "7 -9223372036854775808": "ok -9223372036854775808",
    "9": "unknown",
    "8": "threw",
    "name": "unknown",
    "": "",
    "   ": "",
    "4294967295 3": "ok 429496729503",
  };
  for (const [line, answer] of Object.entries(cases)) assertEquals(shell.ask(line), answer, line);
});

Deno.test("TextCalls says invalid and why when a line makes no sense", () => {
  const shell = new Shell({ call: () => 0 });
  const cases: [string, string][] = [
    ["1 2 3 4 5 6", "5 arguments, at most 4"],
    ["1 x", '"x" is not a 64-bit number'],
    ["1 1.5", '"1.5" is not a'],
    ["1 18446744073709551616", "is not a 64-bit number"],
    ["1 -9223372036854775809", "is not a"],
    ["1 0x", '"0x" is not a'],
    ["1 1e3", "is not a"],
    ["1 --5", "is not a"],
    ["-1", '"-1" is not a command'],
    ["4294967296", "is not a command"],
    ["1.5", "is not a command"],
    ["$(x)", "is not a command"],
    ["1 " + "9".repeat(900), "is not a"],
    ["1 \0\x1b[31m", "\\u001b[31m"],
    ["\xff\xfe", "is not a command"],
  ];
  for (const [line, text] of cases) {
    const answer = shell.ask(line);
    assert(answer.startsWith("invalid: "), `${line}: ${answer}`);
    assertStringIncludes(answer, text);
    assert(!answer.includes("\n") && answer.length < 300, answer);
  }
  assertEquals(shell.guest.channel.stats.calls, 0);
});

Deno.test("TextCalls converts by the types of a typed channel", () => {
  const shell = new Shell(defineChannel({
    countWords: command(1, { length: u32 }, u64, (_cpu, { length }) => BigInt(length) + 2n ** 63n),
    halve: command(2, { x: f64 }, f64, (_cpu, { x }) => x / 2),
    not: command(3, { x: bool }, bool, (_cpu, { x }) => !x),
    negate: command(4, { x: i8 }, i8, (_cpu, { x }) => -x),
    where: command(5, { p: ptr, n: i64 }, ptr, (_cpu, { p, n }) => p + n),
    quiet: command(6, {}, none, () => {}),
    byte: command(7, {}, u8, () => 200),
    noted: event(8, {}, () => {}),
  }));
  const cases = {
    "countWords 5": "ok 9223372036854775813",
    "count_words 5": "ok 9223372036854775813",
    "1 5": "ok 9223372036854775813",
    "halve -3": "ok -1.5",
    "halve 1e-3": "ok 0.0005",
    "halve Infinity": "ok Infinity",
    "halve NaN": "ok NaN",
    "halve -.5": "ok -0.25",
    "not true": "ok 0",
    "not 0": "ok 1",
    "negate -127": "ok 127",
    "negate 127": "ok -127",
    "where 0xffffffff00000000 -1": "ok 18446744069414584319",
    "quiet": "ok 0",
    "byte": "ok 200",
    "nothing 5": "unknown",
    "99": "unknown",
    "noted": "invalid: noted is an event, not a command",
    "8": "invalid: noted is an event, not a command",
    "countWords": "invalid: countWords takes (length: u32), not 0 arguments",
    "quiet 1": "invalid: quiet takes (), not 1 arguments",
    "countWords -1": 'invalid: "-1" is not a u32 (an integer from 0 to 4294967295)',
    "negate 128": 'invalid: "128" is not a i8 (an integer from -128 to 127)',
    "negate -128": "threw",
    "halve x": 'invalid: "x" is not a f64 (a number such as -1.5e3)',
    "halve ": "invalid: halve takes (x: f64), not 0 arguments",
    "not 2": 'invalid: "2" is not a bool (true, false, 1 or 0)',
  };
  for (const [line, answer] of Object.entries(cases)) assertEquals(shell.ask(line), answer, line);
  assertStringIncludes(shell.guest.reports[0], "128 is not a i8");
});

Deno.test("TextCalls uses its client's data and ring", () => {
  const log: string[] = [];
  const shell = new Shell({
    call: (cpu: Cpu) => {
      log.push(`call of ${cpu.client}`);
      return cpu.data[0];
    },
    event: (_cpu: Cpu, client: number) => void log.push(`event of ${client}`),
  }, 2);
  shell.guest.channel.areas.data[2][0] = 77;
  shell.guest.writeEvent(2, 1);
  assertEquals(shell.ask("1"), "ok 77");
  assertEquals(log, ["event of 2", "call of 2"]);
});

Deno.test("TextCalls takes lines in any pieces, and the last one at the end", () => {
  const shell = new Shell({ call: (_cpu: Cpu, command: number, a: number) => command + a });
  for (const piece of ["1", "0", " ", "5\n2", "0 1\n", "\n\n3", "0"]) shell.write(piece);
  assertEquals(shell.read(), "ok 15\nok 21\n");
  shell.calls.end();
  assertEquals(shell.read(), "ok 30\n");
  shell.calls.end();
  assertEquals(shell.read(), "");
});

Deno.test("TextCalls reads answers in any pieces", () => {
  const shell = new Shell({ call: (_cpu: Cpu, command: number) => command });
  shell.write("1\n22\n333\n");
  assertEquals(shell.calls.available, "ok 1\nok 22\nok 333\n".length);
  let text = "";
  for (let piece = shell.read(4); piece !== ""; piece = shell.read(4)) {
    assert(piece.length <= 4);
    text += piece;
  }
  assertEquals(text, "ok 1\nok 22\nok 333\n");
  assertEquals([shell.calls.available, shell.read(0)], [0, ""]);
});

Deno.test("TextCalls makes calls one after the other when callbacks are asynchronous", async () => {
  const log: string[] = [];
  const shell = new Shell({
    call: async (_cpu: Cpu, command: number) => {
      log.push(`begin ${command}`);
      await new Promise((done) => setTimeout(done, 2));
      log.push(`end ${command}`);
      if (command === 2) throw new Error("x");
      return command;
    },
  });
  const first = shell.write("1\n2\nbad!\n3");
  assert(first instanceof Promise);
  const second = shell.write("0\n4\n");
  await Promise.all([first, second]);
  assertEquals(log, [1, 2, 30, 4].flatMap((n) => [`begin ${n}`, `end ${n}`]));
  const lines = shell.read().split("\n");
  assertEquals([lines[0], lines[1], lines[3], lines[4]], ["ok 1", "threw", "ok 30", "ok 4"]);
  assertStringIncludes(lines[2], "invalid: ");
});

Deno.test("TextCalls bounds its line and its answers", () => {
  const shell = new Shell({ call: (_cpu: Cpu, command: number) => command });
  for (let i = 0; i < 100; i++) shell.write("1".repeat(5000));
  assertEquals(shell.ask(""), `invalid: the line is longer than ${MAX_LINE} bytes`);
  assertEquals(shell.ask("5" + " ".repeat(MAX_LINE - 1)), "ok 5");
  assert(shell.ask("5" + " ".repeat(MAX_LINE)).startsWith("invalid: the line is longer"));
  for (let i = 0; i < 20000; i++) shell.write(`${i}\n`);
  assert(shell.calls.available <= MAX_UNREAD);
  const answers = shell.read().split("\n");
  assertEquals(answers.at(-2), "ok 19999");
  assert(/^ok \d+$/.test(answers[0]), "whole answers go, the oldest first");
  assertEquals(shell.calls.available, 0);
});

Deno.test("TextCalls makes no further calls when a callback stops the guest", () => {
  let calls = 0;
  const shell = new Shell({
    call: (cpu: Cpu) => {
      calls++;
      cpu.stop(4);
    },
  });
  shell.write("1\n2\n3\n");
  assertEquals([calls, shell.guest.stops], [1, [{ status: 4, reason: "callback" }]]);
  const failing = new Shell(
    {
      call: () => {
        calls++;
        throw new Error("x");
      },
    },
    0,
    { errors: "stop" },
  );
  failing.write("1\n2\n");
  assertEquals([calls, failing.read()], [2, "threw\n"]);
});
