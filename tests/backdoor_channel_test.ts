import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { Outcome } from "../backdoor/answers.ts";
import { BackdoorModuleError } from "../backdoor/callbacks.ts";
import { ERROR_STOP_STATUS } from "../backdoor/events.ts";
import { channelLayout } from "../backdoor/layout.ts";
import {
  Config,
  CONFIG_MAGIC,
  Control,
  DEFAULT_GEOMETRY,
  Doorbell,
  Kind,
  PROTOCOL_VERSION,
  Status,
} from "../backdoor/protocol.ts";
import { type Channel, type Cpu, NOT_HANDLED } from "../backdoor/types.ts";
import { Prot } from "../mmu/address_space.ts";
import { AREAS, FakeGuest, PC, settled, SMALL } from "./backdoor_fake.ts";

const SCRATCH = 0x8000;

Deno.test("instruction answers OK and a result when the callback returns one", () => {
  const seen: unknown[] = [];
  const guest = new FakeGuest({
    call: (...args: unknown[]) => {
      seen.push(args.slice(1));
      return 42;
    },
  });
  assertEquals(guest.callAs(2, 7, 1, -2, 3, -(2n ** 40n)), {
    outcome: Outcome.DONE,
    status: Status.OK,
    result: 42n,
  });
  assertEquals(seen, [[7, 1, -2, 3, -(2 ** 40)]]);
  assertEquals(guest.cpu.client, 2);
  assertEquals(guest.reports, []);
});

Deno.test("instruction passes arguments exactly when they have 64 bits", () => {
  const values = [0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 31n, -(2n ** 31n) - 1n, 2n ** 32n];
  let args: bigint[] = [], numbers: number[] = [];
  const guest = new FakeGuest({
    call: (cpu: Cpu, _command: number, ...rest: number[]) => {
      args = [...cpu.args];
      numbers = rest;
    },
  });
  for (const value of values) {
    guest.call(1, value, ~value, value >> 1n, 5);
    const expected = [value, ~value, value >> 1n, 5n];
    assertEquals(args, expected);
    assertEquals(numbers, expected.map(Number));
  }
});

Deno.test("instruction writes results exactly when they are of any allowed kind", () => {
  const cases: [unknown, bigint][] = [
    [undefined, 0n],
    [true, 1n],
    [false, 0n],
    [0, 0n],
    [-0, 0n],
    [-1, -1n],
    [2 ** 31 - 1, 2n ** 31n - 1n],
    [2 ** 31, 2n ** 31n],
    [-(2 ** 31), -(2n ** 31n)],
    [-(2 ** 31) - 1, -(2n ** 31n) - 1n],
    [2 ** 53 - 1, 2n ** 53n - 1n],
    [-(2 ** 53), -(2n ** 53n)],
    [2 ** 63, -(2n ** 63n)],
    [2 ** 64 - 2048, -2048n],
    [-(2 ** 63), -(2n ** 63n)],
    [123456789012345n, 123456789012345n],
    [-1n, -1n],
    [2n ** 64n - 1n, -1n],
    [-(2n ** 63n), -(2n ** 63n)],
    [0x1234_5678_9abc_def0n, 0x1234_5678_9abc_def0n],
  ];
  for (const xlen of [32, 64] as const) {
    let value: unknown;
    const guest = new FakeGuest({ call: () => value }, { xlen });
    for (const [returned, expected] of cases) {
      value = returned;
      assertEquals(
        guest.call(1),
        { outcome: Outcome.DONE, status: Status.OK, result: expected },
        `${xlen} bits, ${String(returned)}`,
      );
    }
  }
});

Deno.test("instruction answers THREW and reports when the callback returns nonsense", () => {
  const nonsense: [unknown, string][] = [
    [NaN, "NaN"],
    [Infinity, "Infinity"],
    [1.5, "1.5"],
    [2 ** 64, "18446744073709552000"],
    [-(2 ** 63) - 2048, "-9223372036854778000"],
    [2n ** 64n, "18446744073709551616n"],
    [-(2n ** 63n) - 1n, "-9223372036854775809n"],
    ["42", '"42"'],
    [null, "null"],
    [{}, "an object (Object)"],
    [[1, 2], "an array of 2"],
    [Object.create(null), "an object"],
    [() => 1, "a function"],
    [Symbol("other"), "Symbol(other)"],
    [new Date(0), "an object (Date)"],
  ];
  let value: unknown;
  const guest = new FakeGuest({ call: () => value });
  for (const [returned, text] of nonsense) {
    value = returned;
    const reply = guest.callAs(1, 9, 5);
    assertEquals([reply.outcome, reply.status], [Outcome.DONE, Status.THREW], text);
    assertEquals(reply.result, 1n, "the result register keeps the client's number");
    assertStringIncludes(guest.reports.at(-1)!, `command 9 of client 1 returned ${text}`);
  }
  assertEquals(guest.reports.length, nonsense.length);
  assertEquals(guest.channel.stats.threw, nonsense.length);
});

Deno.test("instruction answers THREW with the stack on report when the callback throws", () => {
  const guest = new FakeGuest({
    call: function someCallback() {
      throw new Error("outer", { cause: new RangeError("inner") });
    },
  });
  assertEquals(guest.call(3).status, Status.THREW);
  const [text] = guest.reports;
  for (
    const part of [
      "command 3 of client 0 threw",
      "Error: outer",
      "backdoor_channel_test.ts:",
      "Caused by: RangeError: inner",
    ]
  ) assertStringIncludes(text, part);
  assertEquals(guest.stops, []);
});

Deno.test("instruction answers THREW when what is thrown is no proper Error", () => {
  const hostile = new Error("x");
  Object.defineProperty(hostile, "stack", {
    get() {
      throw new Error("gotcha");
    },
  });
  const thrown = [
    undefined,
    null,
    "text",
    5n,
    Symbol("s"),
    Object.create(null),
    hostile,
    new Proxy({}, {
      get() {
        throw new Error("proxy");
      },
    }),
    new AggregateError([new Error("one"), 2], "many"),
  ];
  let value: unknown;
  const guest = new FakeGuest({
    call: () => {
      throw value;
    },
  });
  for (const [i, what] of thrown.entries()) {
    value = what;
    assertEquals(guest.call(i).status, Status.THREW);
    assertEquals(guest.reports.length, i + 1);
  }
  assertStringIncludes(guest.reports.at(-1)!, "Error: one");
});

Deno.test("instruction answers UNKNOWN when no callback knows the command", () => {
  for (const callbacks of [{ call: () => NOT_HANDLED }, { init: () => {} }]) {
    const guest = new FakeGuest(callbacks);
    assertEquals(guest.call(77).status, Status.UNKNOWN);
    assertEquals(guest.call(77).status, Status.UNKNOWN);
    assertEquals(guest.reports, []);
    assertEquals(guest.notes.length, 1, "a note once a command");
    assertStringIncludes(guest.notes[0], "command 77");
    assertEquals(guest.channel.stats.unknown, 2);
  }
});

Deno.test("instruction answers INVALID when the request is malformed", () => {
  for (const xlen of [32, 64] as const) {
    let calls = 0;
    const guest = new FakeGuest({ call: () => calls++ }, { xlen });
    const invalid: [number | bigint, ...(number | bigint)[]][] = [
      [6],
      [99],
      [-1n],
      [Kind.CALL, 3],
      [Kind.CALL, -1n],
      [Kind.CALL, 2n ** 31n],
      [Kind.CALL_BLOCK, 3, SCRATCH],
      [Kind.CALL_BLOCK, 0, 0],
      [Kind.CALL_BLOCK, 0, SCRATCH + 4],
      [Kind.CALL_BLOCK, 0, -16],
      [Kind.CALL_BLOCK, 0, 4 << 20],
      [Kind.FLUSH, 3],
      [Kind.FLUSH, -1],
    ];
    if (xlen === 64) {
      invalid.push(
        [1n << 32n],
        [Kind.CALL + 2 ** 32, 0],
        [Kind.CALL, 2n ** 32n],
        [Kind.CALL, 0, 2n ** 32n],
        [Kind.CALL, 0, 2n ** 63n],
        [Kind.CALL_BLOCK, 0, 2n ** 63n],
        [Kind.CALL_BLOCK, 2n ** 32n, SCRATCH],
        [Kind.FLUSH, 2n ** 32n],
      );
    }
    guest.memory.map(SCRATCH, 4096, Prot.READ | Prot.WRITE);
    for (const request of invalid) {
      const reply = guest.request(...request);
      assert(!(reply instanceof Promise));
      assertEquals(
        [reply.outcome, reply.status],
        [Outcome.DONE, Status.INVALID],
        `${xlen} bits: ${request}`,
      );
    }
    assertEquals([calls, guest.channel.stats.invalid], [0, invalid.length]);
  }
});

Deno.test("instruction takes a command as unsigned when it comes sign-extended", () => {
  const seen: number[] = [];
  const guest = new FakeGuest({ call: (_cpu: Cpu, command: number) => void seen.push(command) });
  assertEquals(guest.call(-1).status, Status.OK);
  assertEquals(guest.call(0xffff_fffe).status, Status.OK);
  assertEquals(seen, [0xffff_ffff, 0xffff_fffe]);
});

Deno.test("instruction HELLO answers the version, and VERSION when majors differ", async () => {
  const guest = new FakeGuest({ call: () => 0 });
  const hello = async (version: number | bigint) => {
    const { status, result } = await guest.request(Kind.HELLO, version);
    return [status, Number(result)];
  };
  assertEquals(await hello(PROTOCOL_VERSION), [Status.OK, PROTOCOL_VERSION]);
  assertEquals(await hello(PROTOCOL_VERSION + 0xffff), [Status.OK, PROTOCOL_VERSION]);
  assertEquals(guest.reports, []);
  for (const version of [0, PROTOCOL_VERSION + 0x1_0000, 2n ** 32n + BigInt(PROTOCOL_VERSION)]) {
    assertEquals(await hello(version), [Status.VERSION, PROTOCOL_VERSION]);
  }
  assertEquals(guest.reports.length, 3);
  assertStringIncludes(guest.reports[1], "the guest speaks protocol version 2.0");
  await hello(0);
  assertEquals(guest.reports.length, 3, "once a version");
});

Deno.test("instruction passes two wide arguments when registers have 32 bits", () => {
  let args: bigint[] = [];
  const guest = new FakeGuest({
    call: (cpu: Cpu, _command: number, a: number, b: number, c: number, d: number) => {
      args = [...cpu.args];
      assertEquals([a, b, c, d], args.map(Number));
      return cpu.args[0];
    },
  }, { xlen: 32 });
  assertEquals(guest.call(1, -2n, 0x1234_5678_9abcn).result, -2n);
  assertEquals(args, [-2n, 0x1234_5678_9abcn, 0n, 0n]);
  assertEquals(guest.call(1, 0x8000_0000n).result, 0x8000_0000n);
  const { q } = guest.memory.arena;
  assertEquals(q[guest.arg(0)], -0x8000_0000n, "registers stay sign-extended in their slots");
  assertEquals(q[guest.arg(1)], 0n);
});

Deno.test("ATTACH maps the areas with their rights, and DETACH takes them away", async () => {
  for (const xlen of [32, 64] as const) {
    const guest = new FakeGuest({ call: () => 0 }, { xlen });
    const { memory, channel } = guest;
    const { config, data, control } = channel.areas.addresses;
    const { dataSize, controlSize } = channel.areas.layout;
    assert(!memory.isReadable(config, 1) && !memory.isReadable(data, 1));
    assertEquals((await guest.request(Kind.ATTACH)).status, Status.OK);
    const { q } = memory.arena;
    assertEquals([0, 1, 2].map((n) => Number(q[guest.arg(n)])), [config, data, control]);
    assert(memory.isReadable(config, Config.SIZE) && !memory.isWritable(config, 1));
    assert(memory.isReadable(data, dataSize) && memory.isWritable(data, dataSize));
    assert(memory.isReadable(control, controlSize) && !memory.isWritable(control, 1));
    assert(!memory.isExecutable(data, 1));
    memory.write(data, Uint8Array.of(1, 2, 3));
    assertEquals((await guest.request(Kind.DETACH)).status, Status.OK);
    assert(!memory.isReadable(config, 1) && !memory.isReadable(data, 1));
    assert(!memory.isReadable(control, 1) && !memory.isFree(control, 1), "its place is reserved");
    await guest.request(Kind.DETACH);
    await guest.request(Kind.ATTACH);
    await guest.request(Kind.ATTACH);
    assertEquals([...memory.read(data, 3)], [1, 2, 3], "the content stays");
  }
});

Deno.test("the config area holds the layout when it is mapped", () => {
  const geometry = { maxClients: 5, clientDataSize: 12288, ringSize: 8192 };
  const guest = new FakeGuest({ call: () => 0 }, { geometry });
  const { areas } = guest.channel;
  const config = areas.map("config");
  const bytes = guest.memory.read(config, Config.SIZE);
  assertEquals(new TextDecoder().decode(bytes.subarray(0, 8)), CONFIG_MAGIC);
  const word = (offset: number) => Number(guest.memory.readU64(config + offset));
  const { layout } = areas;
  assertEquals(word(Config.VERSION), PROTOCOL_VERSION);
  assertEquals(word(Config.MAX_CLIENTS), 5);
  assertEquals(word(Config.NUM_ARGS), 4);
  assertEquals(word(Config.CLIENT_DATA_SIZE), 12288);
  assertEquals(word(Config.CONTROL_SIZE), layout.controlSize);
  assertEquals(word(Config.DATA_SIZE), layout.dataSize);
  assertEquals(word(Config.RING_OFFSET), 5 * 12288);
  assertEquals(word(Config.RING_STRIDE), 8192 + 64);
  assertEquals(word(Config.RING_SIZE), 8192);
  assert(layout.dataSize >= word(Config.RING_OFFSET) + 5 * word(Config.RING_STRIDE));
  assertEquals(layout.dataSize % 4096, 0);
});

Deno.test("map restores an area when the guest has unmapped it by itself", () => {
  const guest = new FakeGuest({ call: () => 3, event: () => {} });
  const { areas } = guest.channel;
  areas.attach();
  guest.writeEvent(0, 1);
  guest.channel.drain(guest.cpu);
  for (const area of ["config", "control", "data"] as const) {
    guest.memory.unmap(areas.addresses[area], 4096);
  }
  areas.attach();
  assertEquals(Number(guest.memory.readU64(areas.addresses.config + Config.MAX_CLIENTS)), 3);
  guest.writeEvent(0, 2);
  guest.channel.drain(guest.cpu);
  assertEquals([guest.channel.stats.events, guest.reports], [2, []]);
  assertEquals(guest.call(1).result, 3n);
});

Deno.test("areas are refused when they do not fit or are in use", () => {
  assertThrows(
    () => new FakeGuest({ call: () => 0 }, { memoryBytes: 0x10_0000 }),
    RangeError,
    "Cannot place the backdoor's config area",
  );
  const guest = new FakeGuest({ call: () => 0 });
  assert(!guest.memory.isFree(AREAS, 4096));
});

Deno.test("channelLayout refuses a geometry when it is out of range", () => {
  const bad = [
    { maxClients: 0 },
    { maxClients: 65 },
    { maxClients: 1.5 },
    { clientDataSize: 0 },
    { clientDataSize: 4095 },
    { clientDataSize: 2 ** 30 },
    { clientDataSize: NaN },
    { ringSize: 2048 },
    { ringSize: 5000 },
    { ringSize: 2 ** 31 },
  ];
  for (const part of bad) {
    assertThrows(() => channelLayout({ ...SMALL, ...part }), RangeError, "as a channel's");
  }
  assertEquals(channelLayout({ ...SMALL, maxClients: 64 }).controlSize, 4096);
  assertEquals(channelLayout(DEFAULT_GEOMETRY).controlSize, 4096);
});

Deno.test("controlStore calls when a store of any size hits the doorbell", () => {
  const guest = new FakeGuest({
    call: (cpu: Cpu, command: number, a: number) => command * a + cpu.client,
  });
  guest.channel.areas.attach();
  const slot = guest.slotAddress(2);
  for (const size of [1, 2, 4, 8]) {
    guest.fillSlot(slot, 6, 7);
    const { DOORBELL } = Control;
    // Registers wider than the store hold anything beyond its size.
    const low = size < 4 ? Doorbell.CALL | (0x5a5a5a5a << (8 * size)) : Doorbell.CALL;
    const high = size < 8 ? 0x1234 : 0;
    assertEquals(guest.channel.controlStore(guest.cpu, slot + DOORBELL, size, low, high), 0);
    assertEquals(guest.readSlot(slot), { status: 0n, result: 44n }, `size ${size}`);
  }
  guest.fillSlot(slot, 6, 7);
  guest.channel.controlStore(guest.cpu, slot + Control.DOORBELL + 5, 1, Doorbell.CALL, 0);
  assertEquals(guest.readSlot(slot).status, 0n, "any byte of the doorbell");
  assertEquals(guest.channel.stats.calls, 5);
});

Deno.test("controlStore writes memory when a store misses the doorbell", () => {
  const guest = new FakeGuest({ call: () => 0 });
  const { controlSize } = guest.channel.areas.layout;
  const slot = guest.slotAddress(1);
  const store = (offset: number, size: number, low: number, high = 0) =>
    guest.channel.controlStore(guest.cpu, slot + offset, size, low, high);
  const { m8, m64 } = guest.memory.arena;
  store(8, 8, 0x55667788, 0x11223344);
  assertEquals(m64[slot / 8 + 1], 0x11223344_55667788n);
  store(17, 2, 0xabcd);
  assertEquals([m8[slot + 17], m8[slot + 18], m8[slot + 19]], [0xcd, 0xab, 0]);
  assertEquals(guest.channel.stats.calls, 0);
  // Half in the status word, half in the doorbell.
  guest.fillSlot(slot, 1);
  store(52, 8, -1, Doorbell.CALL);
  assertEquals(guest.readSlot(slot).status, 0n);
  assertEquals(guest.channel.stats.calls, 1);
  // From one slot's doorbell into the next slot.
  store(62, 8, 0x2222_0001, 0x4444_3333);
  assertEquals([...m8.subarray(slot + 64, slot + 70)], [0x22, 0x22, 0x33, 0x33, 0x44, 0x44]);
  assertEquals(guest.channel.stats.calls, 2);
  // Over the end of the area: nothing beyond it is touched.
  const { control } = guest.channel.areas.addresses;
  const end = control + controlSize;
  m8.fill(0x77, end, end + 8);
  guest.channel.controlStore(guest.cpu, end - 4, 8, 9, -1);
  assertEquals([...m8.subarray(end, end + 8)], new Array(8).fill(0x77));
});

Deno.test("controlStore answers INVALID when the request is malformed", () => {
  const guest = new FakeGuest({ call: () => 1 });
  const { channel, cpu } = guest;
  const ring = (client: number, size: number, low: number, high: number) => {
    const slot = guest.slotAddress(client);
    channel.controlStore(cpu, slot + Control.DOORBELL, size, low, high);
    return guest.readSlot(slot);
  };
  const untouched = { status: BigInt(Status.INVALID), result: 0x5a5an };
  for (
    const [size, low, high] of [[4, 0, 0], [4, 3, 0], [8, 1, 1], [8, 2, -1], [1, 0, 0], [4, -1, 0]]
  ) {
    guest.fillSlot(guest.slotAddress(0), 1);
    assertEquals(ring(0, size, low, high), untouched, `${size} ${low} ${high}`);
  }
  guest.fillSlot(guest.slotAddress(0), 2n ** 32n);
  assertEquals(ring(0, 4, 1, 0), untouched, "a command of more than 32 bits");
  for (const client of [3, 63]) {
    guest.fillSlot(guest.slotAddress(client), 1);
    assertEquals(ring(client, 4, 1, 0), untouched, "no such client");
  }
  guest.fillSlot(guest.slotAddress(0), BigInt.asIntN(64, -5n));
  assertEquals(ring(0, 4, 1, 0).status, 0n, "a sign-extended command");
  assertEquals(channel.stats.calls, 1);
});

Deno.test("controlStore gives every status when callbacks go wrong", async () => {
  let value: unknown;
  const guest = new FakeGuest({ call: () => value });
  const slot = guest.slotAddress(0);
  const ring = () => {
    guest.fillSlot(slot, 1);
    return guest.channel.controlStore(guest.cpu, slot + Control.DOORBELL, 4, Doorbell.CALL, 0);
  };
  value = NOT_HANDLED;
  ring();
  assertEquals(guest.readSlot(slot), { status: 1n, result: 0x5a5an });
  value = 1.5;
  ring();
  assertEquals(guest.readSlot(slot), { status: 2n, result: 0x5a5an });
  value = 2n ** 63n;
  ring();
  assertEquals(guest.readSlot(slot), { status: 0n, result: -(2n ** 63n) });
  value = Promise.resolve(-3);
  const pending = ring();
  assertEquals(guest.readSlot(slot).status, BigInt(Status.NOBODY), "not before it settles");
  assertEquals(await pending, Outcome.DONE);
  assertEquals(guest.readSlot(slot), { status: 0n, result: -3n });
  value = Promise.reject(new Error("no"));
  assertEquals(await ring(), Outcome.DONE);
  assertEquals(guest.readSlot(slot).status, 2n);
});

Deno.test("CALL_BLOCK carries four wide arguments when registers have 32 bits", async () => {
  let args: bigint[] = [];
  const guest = new FakeGuest({
    call: (cpu: Cpu) => {
      args = [...cpu.args];
      return -(2n ** 40n);
    },
  }, { xlen: 32 });
  guest.memory.map(SCRATCH, 8192, Prot.READ | Prot.WRITE);
  const values = [2n ** 62n, -1n, 2n ** 33n, -(2n ** 63n)];
  // The image ends with the page: its doorbell may be missing.
  const address = SCRATCH + 8192 - Control.DOORBELL;
  guest.fillSlot(address, 5, ...values);
  const reply = await guest.request(Kind.CALL_BLOCK, 1, address);
  assertEquals([reply.outcome, reply.status], [Outcome.DONE, Status.OK]);
  assertEquals(args, values);
  assertEquals(guest.readSlot(address), { status: 0n, result: -(2n ** 40n) });
  assertEquals(guest.memory.arena.q[guest.arg(0)], 1n, "the registers keep their values");
});

Deno.test("CALL_BLOCK answers INVALID when its memory is not the guest's", async () => {
  let unmap = false;
  const guest = new FakeGuest({
    call: () => {
      if (unmap) guest.memory.unmap(SCRATCH, 4096);
      return 9;
    },
  });
  guest.channel.areas.attach();
  const { control } = guest.channel.areas.addresses;
  assertEquals((await guest.request(Kind.CALL_BLOCK, 0, control)).status, Status.INVALID);
  guest.memory.map(SCRATCH, 4096, Prot.READ);
  assertEquals((await guest.request(Kind.CALL_BLOCK, 0, SCRATCH)).status, Status.INVALID);
  assertEquals(guest.channel.stats.calls, 0);
  guest.memory.protect(SCRATCH, 4096, Prot.READ | Prot.WRITE);
  guest.fillSlot(SCRATCH, 1);
  assertEquals((await guest.request(Kind.CALL_BLOCK, 0, SCRATCH)).status, Status.OK);
  unmap = true;
  assertEquals((await guest.request(Kind.CALL_BLOCK, 0, SCRATCH)).status, Status.INVALID);
});

Deno.test("CALL_BLOCK drops translated code when it answers into its page", async () => {
  const guest = new FakeGuest({ call: () => 1 });
  guest.memory.map(SCRATCH, 4096, Prot.READ | Prot.WRITE | Prot.EXEC);
  guest.fillSlot(SCRATCH, 1);
  let dropped = 0;
  guest.memory.onCodeChange = () => dropped++;
  guest.memory.watch(SCRATCH / 4096);
  assertEquals((await guest.request(Kind.CALL_BLOCK, 0, SCRATCH)).status, Status.OK);
  assertEquals(dropped, 1);
});

Deno.test("instruction sleeps when the callback returns a Promise", async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  const guest = new FakeGuest({ call: () => promise });
  const reply = guest.request(Kind.CALL, 0, 1);
  assert(reply instanceof Promise);
  const { q } = guest.memory.arena;
  assertEquals(q[16], -1n, "the status is untouched while the guest sleeps");
  assert(guest.cpu.pending !== undefined);
  resolve(2 ** 40);
  assertEquals(await reply, { outcome: Outcome.DONE, status: Status.OK, result: 2n ** 40n });
  assertEquals(guest.cpu.pending, undefined);
});

Deno.test("instruction answers as a sync call would when a Promise settles", async () => {
  let value: unknown;
  const guest = new FakeGuest({ call: () => value });
  const ask = async () => (await settled(guest.request(Kind.CALL, 0, 1))).status;
  const results: [unknown, number][] = [
    [Promise.resolve(), Status.OK],
    [Promise.resolve(NOT_HANDLED), Status.UNKNOWN],
    [Promise.resolve("text"), Status.THREW],
    [Promise.reject(new Error("rejected")), Status.THREW],
    [Promise.reject(undefined), Status.THREW],
    [{ then: (done: (value: bigint) => void) => done(5n) }, Status.OK],
    [{
      then() {
        throw new Error("then");
      },
    }, Status.THREW],
  ];
  for (const [result, status] of results) {
    value = result;
    assertEquals(await ask(), status);
  }
  assertEquals(guest.reports.length, 4);
  value = {
    get then() {
      throw new Error("getter");
    },
  };
  assertEquals(guest.call(1).status, Status.THREW);
});

Deno.test("a Promise that never settles leaves the channel whole when the run is aborted", async () => {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const rejected = Promise.withResolvers<number>();
  const log: string[] = [];
  const answers = [promise, rejected.promise];
  const guest = new FakeGuest({ call: () => answers.shift(), fini: () => void log.push("fini") });
  await guest.channel.start();
  guest.request(Kind.CALL, 0, 1);
  const sleeping = guest.cpu.pending!;
  const second = guest.request(Kind.CALL, 0, 1);
  resolve(5);
  assertEquals(await sleeping, Outcome.STOP, "an answer that nobody waits for goes nowhere");
  assertEquals(guest.memory.arena.q[16], -1n);
  reject(new Error("no effect"));
  assertEquals(await guest.channel.finish(guest.cpu), true);
  assertEquals(log, ["fini"]);
  rejected.reject(new Error("too late"));
  assertEquals((await second).outcome, Outcome.STOP);
  assertEquals(guest.memory.arena.q[16], -1n, "no write after the end");
  assertStringIncludes(guest.reports[0], "rejected after the guest stopped waiting");
  assertStringIncludes(guest.reports[0], "Error: too late");
});

Deno.test("the policy stop ends the guest when a callback fails", async () => {
  const failing = [
    () => {
      throw new Error("x");
    },
    () => NaN,
    () => Promise.reject(new Error("x")),
    () => Promise.resolve("x"),
  ];
  for (const call of failing) {
    const guest = new FakeGuest({ call }, { errors: "stop" });
    const reply = await guest.request(Kind.CALL, 0, 1);
    assertEquals([reply.outcome, reply.status], [Outcome.STOP, Status.THREW]);
    assertEquals(guest.stops, [{ status: ERROR_STOP_STATUS, reason: "error" }]);
    assertEquals(guest.reports.length, 1);
  }
  const guest = new FakeGuest({ call: () => NOT_HANDLED }, { errors: "stop" });
  assertEquals(guest.call(1).outcome, Outcome.DONE, "an unknown command is no error");
});

Deno.test("cpu.stop ends the guest after the call when a callback asks for it", async () => {
  for (const later of [false, true]) {
    const guest = new FakeGuest({
      call: (cpu: Cpu) => {
        cpu.stop(7);
        cpu.stop(8);
        return later ? Promise.resolve(3) : 3;
      },
    });
    assertEquals(await guest.request(Kind.CALL, 0, 1), {
      outcome: Outcome.STOP,
      status: Status.OK,
      result: 3n,
    });
    assertEquals(guest.stops, [{ status: 7, reason: "callback" }]);
  }
});

Deno.test("equal reports are counted when they come often", async () => {
  const guest = new FakeGuest({
    call: () => {
      throw "the same";
    },
  });
  await guest.channel.start();
  for (let i = 0; i < 250; i++) guest.call(1);
  assertEquals(guest.reports.length, 3);
  assertStringIncludes(guest.reports[1], "(10 times so far)");
  assertStringIncludes(guest.reports[2], "(100 times so far)");
  await guest.channel.finish(guest.cpu);
  assertStringIncludes(guest.reports[3], "(250 times in all)");
  assertEquals(guest.channel.stats.threw, 250);
});

Deno.test("start calls init once with the channel, and the guest sees what it wrote", async () => {
  const channels: Channel[] = [];
  const guest = new FakeGuest({
    async init(channel: Channel) {
      await Promise.resolve();
      channels.push(channel);
      channel.data(1).set([5, 6, 7]);
      assertThrows(() => channel.data(3), RangeError, "No client 3");
      assertThrows(() => channel.data(-1), RangeError);
    },
  });
  await Promise.all([guest.channel.start(), guest.channel.start()]);
  assertEquals(channels.length, 1);
  const { maxClients, numArgs, version } = channels[0];
  assertEquals([maxClients, numArgs, version], [3, 4, PROTOCOL_VERSION]);
  guest.channel.areas.attach();
  const { data } = guest.channel.areas.addresses;
  assertEquals([...guest.memory.read(data + SMALL.clientDataSize, 3)], [5, 6, 7]);
});

Deno.test("start rejects with the module's name when init throws, and fini is not called", async () => {
  for (
    const init of [() => {
      throw new Error("boom");
    }, () => Promise.reject(new Error("boom"))]
  ) {
    let finis = 0;
    const guest = new FakeGuest({ init, fini: () => void finis++ });
    const error = await assertRejects(() => guest.channel.start(), BackdoorModuleError);
    assert(error instanceof BackdoorModuleError);
    assertEquals(error.reason, "init");
    assertStringIncludes(error.message, "init of the backdoor object threw: boom");
    assert(error.cause instanceof Error);
    assertEquals(await guest.channel.finish(guest.cpu), true);
    assertEquals(finis, 0);
  }
});

Deno.test("finish calls fini exactly once, and reports when it throws", async () => {
  let finis = 0;
  const guest = new FakeGuest({
    fini: async () => {
      finis++;
      await Promise.resolve();
      throw new Error("cannot clean up");
    },
  });
  await guest.channel.start();
  const results = await Promise.all([
    guest.channel.finish(guest.cpu),
    guest.channel.finish(guest.cpu),
  ]);
  assertEquals([results, finis], [[false, false], 1]);
  assertStringIncludes(guest.reports[0], "fini of the backdoor object threw");
  assertStringIncludes(guest.reports[0], "cannot clean up");
});

Deno.test("methods keep this when the callbacks are an object of a class", async () => {
  class Counter {
    #count = 0;
    init(): void {
      this.#count = 10;
    }
    call(): number {
      return ++this.#count;
    }
  }
  const guest = new FakeGuest(new Counter());
  await guest.channel.start();
  assertEquals([guest.call(1).result, guest.call(1).result], [11n, 12n]);
});

Deno.test("the CPU shows registers, pc, memory and data when a callback asks", () => {
  let cpu!: Cpu;
  const guest = new FakeGuest({
    call: (caller: Cpu) => {
      cpu = caller;
    },
  });
  guest.callAs(1, 9, 0xfedcn);
  assertEquals([cpu.isa, cpu.xlen, cpu.hart, cpu.client], ["fake64", 64, 0, 1]);
  assertEquals([cpu.pc, cpu.instructions], [BigInt(PC), 1]);
  assertEquals(cpu.memory, guest.memory);
  assertEquals(cpu.data.length, SMALL.clientDataSize);
  assertEquals(
    cpu.data.byteOffset - guest.memory.arena.m8.byteOffset,
    guest.channel.areas.addresses.data + SMALL.clientDataSize,
  );
  assertEquals(cpu.getRegister("a2"), 0xfedcn);
  assertEquals(cpu.getRegister("x12"), 0xfedcn);
  cpu.setRegister("a2", -1);
  assertEquals(cpu.getRegister("a2"), 2n ** 64n - 1n);
  assertEquals(cpu.slots[cpu.slot("x12")], -1n);
  cpu.slots32[2 * cpu.slot("a2") + 1] = 5;
  assertEquals(cpu.getRegister("a2"), 0x5_ffff_ffffn);
  cpu.setRegister("zero", 9);
  assertEquals(cpu.getRegister("x0"), 0n);
  cpu.setRegister("flags", 0xff);
  assertEquals(cpu.getRegister("flags"), 31n);
  cpu.setRegister("special", 0x1ff);
  assertEquals(cpu.getRegister("special"), 255n);
  cpu.setRegister("f0", 2n ** 63n);
  assertEquals(cpu.getRegister("f0"), 2n ** 63n);
  cpu.pc = 0x4000n;
  assertEquals([guest.pc, cpu.pc, cpu.getRegister("pc")], [0x4000n, 0x4000n, 0x4000n]);
  cpu.setRegister("pc", 0x5000);
  assertEquals(guest.pc, 0x5000n);
  guest.call(9);
  assertEquals(cpu.pc, BigInt(PC), "another call, another pc");
  assert(cpu.registerNames().includes("x12") && cpu.registerNames().includes("pc"));
  assertThrows(() => cpu.getRegister("b0"), RangeError, 'Unknown fake64 register "b0"');
  assertThrows(() => cpu.setRegister("b0", 1), RangeError);
  assertThrows(() => cpu.slot("special"), RangeError, "no slot of its own");
  assertThrows(() => cpu.slot("pc"), RangeError);
  assertThrows(() => cpu.setRegister("a0", 1.5), RangeError, "not an integer");
  for (const status of [-1, 256, 1.5, NaN]) assertThrows(() => cpu.stop(status), RangeError);
  assertEquals(guest.stops, []);
});

Deno.test("the CPU keeps narrow registers sign-extended when a callback writes them", () => {
  const guest = new FakeGuest({ call: () => 0 }, { xlen: 32 });
  const { cpu } = guest;
  cpu.setRegister("a3", 0xffff_ffffn);
  assertEquals(cpu.getRegister("a3"), 0xffff_ffffn);
  assertEquals(cpu.slots[13], -1n);
  cpu.pc = -4n;
  assertEquals(guest.pc, 0xffff_fffcn);
});

Deno.test("two guests do not disturb each other when they share a callback module", () => {
  let calls = 0;
  const callbacks = { call: (cpu: Cpu) => (cpu.data[0] = ++calls) };
  const [a, b] = [new FakeGuest(callbacks), new FakeGuest(callbacks)];
  assertEquals([a.call(1).result, b.call(1).result, a.callAs(1, 1).result], [1n, 2n, 3n]);
  assertEquals([a.cpu.data[0], b.cpu.data[0]], [3, 2]);
  assertEquals([a.channel.stats.calls, b.channel.stats.calls], [2, 1]);
});
