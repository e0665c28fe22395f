import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  bool,
  type CallbackModule,
  command,
  type Cpu,
  defineChannel,
  event,
  f64,
  i16,
  i32,
  i64,
  i8,
  none,
  NOT_HANDLED,
  ptr,
  u16,
  u32,
  u64,
  u8,
} from "../backdoor/mod.ts";
import { isTypedChannel, snakeCase } from "../backdoor/define.ts";
import { Kind, Status } from "../backdoor/protocol.ts";
import type { AnyType } from "../backdoor/value_types.ts";
import { FakeGuest, settled } from "./backdoor_fake.ts";

/** True if two types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;

function sameType<A, B>(_same: Same<A, B>): void {}

Deno.test("callbacks have exactly the types of the definition", () => {
  // What is checked here, the type checker checks: a line that stops being an error is one itself.
  const channel = defineChannel({
    all: command(1, { a: u32, b: u64, c: bool, d: f64 }, u32, (cpu, args) => {
      sameType<typeof cpu, Cpu>(true);
      sameType<
        typeof args,
        { readonly a: number; readonly b: bigint; readonly c: boolean; readonly d: number }
      >(true);
      // @ts-expect-error There is no such argument.
      args.e;
      // @ts-expect-error A number is no bigint.
      args.a + 1n;
      // @ts-expect-error Arguments are not to be written.
      args.a = 5;
      return args.a;
    }),
    wide: command(2, { p: ptr, q: i64 }, i64, (_cpu, { p, q }) => p > q ? q : 5),
    late: command(3, {}, bool, async (_cpu, args) => {
      sameType<keyof typeof args, never>(true);
      await Promise.resolve();
      return true;
    }),
    nothing: command(4, { x: i8 }, none, () => {}),
    refuses: command(5, {}, u8, () => NOT_HANDLED),
    told: event(6, { at: u64, on: bool }, (_cpu, { at, on }, client) => {
      sameType<[typeof at, typeof on, typeof client], [bigint, boolean, number]>(true);
    }),
  });
  sameType<typeof channel.definition.wide.id, number>(true);
  const module: CallbackModule = channel;
  assert(module.call && module.event);

  // @ts-expect-error A string is no u32.
  command(1, {}, u32, () => "text");
  // @ts-expect-error A bigint is no u32.
  command(1, {}, u32, () => 5n);
  // @ts-expect-error A number is no bool.
  command(1, {}, bool, () => 1);
  // @ts-expect-error Nothing is no f64.
  command(1, {}, f64, () => {});
  // @ts-expect-error none has no value.
  command(1, {}, none, () => 5);
  // @ts-expect-error A Promise of a string is no u64.
  command(1, {}, u64, () => Promise.resolve("text"));
  // @ts-expect-error The handler's argument must be the definition's.
  command(1, { x: u32 }, u32, (_cpu, { y }) => y);
  // @ts-expect-error The handler's argument types must be the definition's.
  command(1, { x: u64 }, u32, (_cpu, { x }: { x: number }) => x);
  // @ts-expect-error An event's fields, too.
  event(1, { x: u64 }, (_cpu, { x }: { x: number }) => void x);
  // @ts-expect-error An event has no result.
  event(1, {}, () => 5);
  // @ts-expect-error A type is not its name.
  command(1, { x: "u32" }, u32, () => 0);
  // @ts-expect-error A function is no command; it does not run either.
  assertThrows(() => defineChannel({ f: () => 5 }), TypeError);
});

/** A guest with one command `f` of one argument. */
function one(type: AnyType, result: AnyType, handler: (x: unknown) => unknown): FakeGuest {
  return new FakeGuest(
    defineChannel({ f: command(1, { x: type }, result, (_cpu, { x }) => handler(x) as never) }),
  );
}

Deno.test("arguments are converted exactly when a typed command is called", () => {
  const high = 0x1234_5678_9abc_def0n;
  const cases: [AnyType, bigint, unknown][] = [
    [u8, 255n, 255],
    [u8, high, 0xf0],
    [u8, -1n, 255],
    [u16, high, 0xdef0],
    [u32, high, 0x9abcdef0],
    [u32, -1n, 0xffff_ffff],
    [u32, 2n ** 63n - 1n, 0xffff_ffff],
    [u64, high, high],
    [u64, -1n, 2n ** 64n - 1n],
    [i8, 0x80n, -128],
    [i8, 127n, 127],
    [i16, 0x8000n, -32768],
    [i32, 0x8000_0000n, -(2 ** 31)],
    [i32, -5n, -5],
    [i32, high, 0x9abcdef0 | 0],
    [i64, -1n, -1n],
    [i64, 2n ** 63n - 1n, 2n ** 63n - 1n],
    [ptr, -4096n, 2n ** 64n - 4096n],
    [bool, 0n, false],
    [bool, 1n, true],
    [bool, 2n ** 63n, true],
    [f64, 0x3ff8_0000_0000_0000n, 1.5],
    [f64, BigInt.asIntN(64, 1n << 63n), -0],
    [f64, 0x7ff8_0000_0000_0000n, NaN],
  ];
  for (const [type, word, expected] of cases) {
    let seen: unknown;
    const guest = one(type, none, (x) => {
      seen = x;
    });
    assertEquals(guest.call(1, word).status, Status.OK);
    assert(Object.is(seen, expected), `${type.name} of ${word}: ${seen}, not ${expected}`);
  }
});

Deno.test("results are converted exactly when a typed command returns", async () => {
  const cases: [AnyType, unknown, bigint][] = [
    [u8, 255, 255n],
    [u16, 0, 0n],
    [u32, 0xffff_ffff, 0xffff_ffffn],
    [i8, -128, -128n],
    [i32, -(2 ** 31), -(2n ** 31n)],
    [u64, 2n ** 64n - 1n, -1n],
    [u64, 5, 5n],
    [i64, -(2n ** 63n), -(2n ** 63n)],
    [i64, -5, -5n],
    [i64, 2 ** 53 - 1, 2n ** 53n - 1n],
    [ptr, 0x8000_0000n, 0x8000_0000n],
    [bool, true, 1n],
    [bool, false, 0n],
    [f64, 1.5, 0x3ff8_0000_0000_0000n],
    [f64, -Infinity, BigInt.asIntN(64, 0xfff0_0000_0000_0000n)],
    [none, undefined, 0n],
  ];
  for (const [type, value, expected] of cases) {
    for (const answer of [value, Promise.resolve(value)]) {
      const reply = await one(u8, type, () => answer).request(Kind.CALL, 0, 1);
      assertEquals([reply.status, reply.result], [Status.OK, expected], `${type.name} ${value}`);
    }
  }
});

Deno.test("a typed command THREW with the reason when its result is not of its type", async () => {
  const cases: [AnyType, unknown, string][] = [
    [u8, 256, "256 is not a u8 (an integer from 0 to 255)"],
    [u8, -1, "-1 is not a u8"],
    [u8, 1.5, "1.5 is not a u8"],
    [u8, NaN, "NaN is not a u8"],
    [u8, "5", '"5" is not a u8'],
    [u8, 5n, "5n is not a u8"],
    [u8, undefined, "undefined is not a u8"],
    [u8, true, "true is not a u8"],
    [i8, 128, "(an integer from -128 to 127)"],
    [u32, 2 ** 32, "4294967296 is not a u32"],
    [u64, -1n, "-1n is not a u64"],
    [u64, -1, "-1 is not a u64"],
    [u64, 2n ** 64n, "is not a u64"],
    [u64, 2 ** 53, "or a safe integer"],
    [i64, 2n ** 63n, "is not a i64"],
    [i64, 0.5, "0.5 is not a i64"],
    [ptr, null, "null is not a ptr"],
    [bool, 1, "1 is not a bool (true or false)"],
    [f64, 1n, "1n is not a f64"],
    [none, 0, "0 is not a none (return nothing)"],
  ];
  for (const [type, value, text] of cases) {
    for (const answer of [value, Promise.resolve(value)]) {
      const guest = one(u8, type, () => answer);
      assertEquals((await guest.request(Kind.CALL, 0, 1)).status, Status.THREW, text);
      assertStringIncludes(guest.reports[0], "command f (1) of client 0 threw");
      assertStringIncludes(guest.reports[0], "Command f returned a wrong result");
      assertStringIncludes(guest.reports[0], text);
    }
  }
});

Deno.test("a typed channel answers UNKNOWN when it has no such command", async () => {
  const guest = new FakeGuest(defineChannel({
    no: command(1, {}, u8, () => NOT_HANDLED),
    later: command(2, {}, u8, () => Promise.resolve(NOT_HANDLED)),
    told: event(3, {}, () => {}),
  }));
  assertEquals(guest.call(1).status, Status.UNKNOWN);
  assertEquals((await settled(guest.request(Kind.CALL, 0, 2))).status, Status.UNKNOWN);
  assertEquals(guest.call(3).status, Status.UNKNOWN, "an event is no command");
  assertEquals(guest.call(4).status, Status.UNKNOWN);
  guest.writeEvent(0, 1);
  guest.channel.drain(guest.cpu);
  assertStringIncludes(guest.reports[0], "no callback of the backdoor object handles event 1");
});

Deno.test("arguments come by name in order, also to async handlers", async () => {
  const guest = new FakeGuest(defineChannel({
    mix: command(
      9,
      { first: u8, second: i64, third: bool, fourth: u32 },
      i64,
      async (cpu, args) => {
        await Promise.resolve();
        assertEquals(args, { first: 1, second: -2n, third: true, fourth: 4 });
        assertEquals(Object.keys(args), ["first", "second", "third", "fourth"]);
        return args.second * BigInt(cpu.args.length);
      },
    ),
  }));
  const reply = await settled(guest.request(Kind.CALL, 2, 9, 1, -2, 3, 4));
  assertEquals([reply.status, reply.result, guest.reports], [Status.OK, -8n, []]);
});

Deno.test("events are decoded when their payload has the fields of the definition", () => {
  const seen: unknown[] = [];
  const guest = new FakeGuest(defineChannel({
    sample: event(5, { time: u64, level: f64, count: i32, on: bool }, (cpu, fields, client) => {
      seen.push(fields, client, cpu.client);
    }),
    ping: event(6, {}, () => void seen.push("ping")),
  }));
  const payload = new DataView(new ArrayBuffer(32));
  payload.setBigUint64(0, 2n ** 64n - 2n, true);
  payload.setFloat64(8, -2.25, true);
  payload.setBigInt64(16, -7n, true);
  payload.setBigInt64(24, 1n, true);
  guest.writeEvent(1, 5, new Uint8Array(payload.buffer));
  guest.writeEvent(1, 6);
  guest.channel.drain(guest.cpu);
  assertEquals(seen, [{ time: 2n ** 64n - 2n, level: -2.25, count: -7, on: true }, 1, 1, "ping"]);
  guest.writeEvent(1, 5, new Uint8Array(24));
  guest.writeEvent(1, 6, new Uint8Array(8));
  guest.channel.drain(guest.cpu);
  assertStringIncludes(guest.reports[0], "event sample (5) of client 1 threw");
  assertStringIncludes(guest.reports[0], "payload of 24 bytes instead of 32");
  assertStringIncludes(guest.reports[1], "payload of 8 bytes instead of 0");
  assertEquals(seen.length, 4);
});

Deno.test("defineChannel names what is wrong when a definition is", () => {
  const ok = () => 0;
  const cmd = (id: number, args = {}) => command(id, args, u8, ok);
  const cases: [() => unknown, string][] = [
    [() => defineChannel({}), "without commands and events"],
    [() => defineChannel({ a: cmd(1), b: cmd(1) }), "command b: a has the same id 1"],
    [
      () => defineChannel({ a: cmd(1), b: event(1, {}, () => {}) }),
      "event b: a has the same id 1",
    ],
    [() => defineChannel({ "a-b": cmd(1) }), "must be a C identifier"],
    [() => defineChannel({ "1a": cmd(1) }), "must be a C identifier"],
    [() => defineChannel({ "": cmd(1) }), "must be a C identifier"],
    [() => defineChannel({ __x: cmd(1) }), "must be a C identifier"],
    [() => defineChannel({ größe: cmd(1) }), "must be a C identifier"],
    [
      () => defineChannel({ countWords: cmd(1), count_words: cmd(2) }),
      "countWords has the same name in C (count_words)",
    ],
    [() => defineChannel({ a: cmd(-1) }), "its id is -1"],
    [() => defineChannel({ a: cmd(1.5) }), "its id is 1.5"],
    [() => defineChannel({ a: cmd(0xffff_ffff) }), "its id is 4294967295"],
    [() => defineChannel({ a: cmd("1" as unknown as number) }), 'its id is "1"'],
    [
      () => defineChannel({ a: cmd(1, { a: u8, b: u8, c: u8, d: u8, e: u8 }) }),
      "it has 5 arguments, at most 4",
    ],
    [() => defineChannel({ a: cmd(1, { "x y": u8 }) }), 'argument of command a "x y"'],
    [() => defineChannel({ a: cmd(1, { int: u8 }) }), "int is reserved in the C header"],
    [() => defineChannel({ a: cmd(1, { client: u8 }) }), "client is reserved"],
    [() => defineChannel({ a: cmd(1, { aB: u8, a_b: u8 }) }), "aB has the same name in C"],
    [() => defineChannel({ a: cmd(1, { x: 5 }) }), "its type is 5; use u8"],
    [() => defineChannel({ a: cmd(1, { x: undefined }) }), "its type is undefined"],
    [() => defineChannel({ a: cmd(1, { x: none }) }), "its type is none"],
    [
      () => defineChannel({ a: command(1, {}, "u8" as unknown as typeof u8, ok) }),
      'its result type is "u8"',
    ],
    [
      () => defineChannel({ a: command(1, {}, u8, undefined as unknown as typeof ok) }),
      "its handler is undefined",
    ],
    [
      () =>
        defineChannel({
          e: event(
            1,
            Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`f${i}`, u8])),
            ok as () => void,
          ),
        }),
      "it has 17 fields, at most 16",
    ],
  ];
  for (const [define, text] of cases) {
    const error = assertThrows(define, TypeError);
    assertStringIncludes(error.message, text);
    assert(error.message.startsWith("Cannot define"), error.message);
  }
});

Deno.test("a typed channel stays one when init is spread beside it", async () => {
  let inits = 0;
  const channel = defineChannel({ f: command(1, {}, u8, () => 5) });
  const more = { ...channel, init: () => void inits++ };
  assert(isTypedChannel(channel) && isTypedChannel(more));
  assert(!isTypedChannel({}) && !isTypedChannel(null) && !isTypedChannel(5));
  const guest = new FakeGuest(more);
  await guest.channel.start();
  assertEquals([guest.call(1).result, inits], [5n, 1]);
  assert(guest.channel.callbacks.typed);
});

Deno.test("snakeCase gives C names when names are in camel case", () => {
  const cases = {
    countWords: "count_words",
    HTTPGet: "http_get",
    a1B: "a1_b",
    x_y: "x_y",
    up: "up",
  };
  for (const [name, expected] of Object.entries(cases)) assertEquals(snakeCase(name), expected);
});
