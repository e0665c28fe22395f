import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Outcome } from "../backdoor/answers.ts";
import { Kind, Ring, Status } from "../backdoor/protocol.ts";
import { type Cpu, NOT_HANDLED } from "../backdoor/types.ts";
import { AREAS, FakeGuest, type FakeOptions, SMALL } from "./backdoor_fake.ts";

interface Seen {
  client: number;
  command: number;
  payload: number[];
}

/** A guest whose events are collected. */
function collecting(callbacks: object = {}, options: FakeOptions = {}) {
  const seen: Seen[] = [];
  const guest = new FakeGuest({
    event: (_cpu: Cpu, client: number, command: number, payload: Uint8Array) =>
      void seen.push({ client, command, payload: [...payload] }),
    ...callbacks,
  }, options);
  return { guest, seen };
}

const FLUSH = async (guest: FakeGuest, client = 0) =>
  (await guest.request(Kind.FLUSH, client)).status;

Deno.test("events arrive in order with their payloads when the ring is drained", () => {
  const { guest, seen } = collecting();
  guest.writeEvent(1, 7, Uint8Array.of(1, 2, 3));
  guest.writeEvent(1, 8);
  guest.writeEvent(0, 0xffff_fffe, new Uint8Array(16).fill(9));
  assertEquals(guest.channel.drain(guest.cpu), Outcome.DONE);
  assertEquals(seen, [
    { client: 0, command: 0xffff_fffe, payload: new Array(16).fill(9) },
    { client: 1, command: 7, payload: [1, 2, 3, 0, 0, 0, 0, 0] },
    { client: 1, command: 8, payload: [] },
  ]);
  assertEquals(guest.channel.stats.events, 3);
  guest.channel.drain(guest.cpu);
  assertEquals(seen.length, 3, "once each");
});

Deno.test("events survive the buffer's end and the counters' overflow", () => {
  const { guest, seen } = collecting();
  const { m32 } = guest.memory.arena, ring = guest.ringAddress(0) / 4;
  // Not reachable otherwise in a test's time: both counters shortly before 2^32.
  m32[ring] = -4096;
  guest.channel.drain(guest.cpu);
  assertEquals(guest.reports.length, 1, "a jump of the head is nonsense");
  assertEquals(m32[ring + 1], -4096, "the tail follows");
  let sum = 0;
  for (let i = 0; i < 3000; i++) {
    const payload = new Uint8Array(i % 7 * 8).fill(i);
    guest.writeEvent(0, i, payload);
    if (i % 20 === 0) guest.channel.drain(guest.cpu);
    sum += payload.reduce((a, b) => a + b, 0);
  }
  guest.channel.drain(guest.cpu);
  assertEquals(seen.map(({ command }) => command), Array.from({ length: 3000 }, (_, i) => i));
  assertEquals(seen.reduce((a, { payload }) => a + payload.reduce((a, b) => a + b, 0), 0), sum);
  assertEquals(guest.reports.length, 1);
  assert(m32[ring] > 0 && m32[ring] === m32[ring + 1]);
});

Deno.test("an event may fill the whole ring", () => {
  const { guest, seen } = collecting();
  guest.writeEvent(2, 5, new Uint8Array(SMALL.ringSize - Ring.RECORD_HEADER).fill(3));
  guest.channel.drain(guest.cpu);
  assertEquals(seen[0].payload.length, SMALL.ringSize - Ring.RECORD_HEADER);
  assertEquals(guest.reports, []);
});

Deno.test("payloads are views of the guest's memory", () => {
  let view!: Uint8Array;
  const guest = new FakeGuest({
    event: (_cpu: Cpu, _client: number, _command: number, payload: Uint8Array) => {
      view = payload;
    },
  });
  guest.writeEvent(0, 1, new Uint8Array(8));
  guest.channel.drain(guest.cpu);
  assertEquals(view.buffer, guest.memory.arena.memory.buffer);
  assertEquals(
    view.byteOffset - guest.memory.arena.m8.byteOffset,
    guest.ringAddress(0) + Ring.BUFFER + Ring.RECORD_HEADER,
  );
});

Deno.test("events come before the call that follows them, and leave it its arguments", () => {
  const log: string[] = [];
  const guest = new FakeGuest({
    call: (cpu: Cpu, command: number, a: number) => {
      log.push(`call ${command} ${a} of ${cpu.client}: ${cpu.args[1]}`);
      return 1;
    },
    event: (cpu: Cpu, client: number, command: number) => {
      log.push(`event ${command} of ${client}, ${cpu.client}`);
      cpu.args.fill(99n);
      cpu.data[0] = 40 + client;
    },
  });
  guest.writeEvent(1, 10);
  guest.writeEvent(2, 20);
  assertEquals(guest.callAs(2, 5, 6, 7).result, 1n);
  assertEquals(log, ["event 20 of 2, 2", "call 5 6 of 2: 7"]);
  assertEquals(guest.cpu.data[0], 42);
  // The same by the doorbell.
  guest.fillSlot(guest.slotAddress(1), 8, 9, 10);
  guest.channel.controlStore(guest.cpu, guest.slotAddress(1) + 56, 4, 1, 0);
  assertEquals(log.slice(2), ["event 10 of 1, 1", "call 8 9 of 1: 10"]);
});

Deno.test("cpu.client is the caller's again when events of others were drained", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let late = -1;
  const guest = new FakeGuest({
    call: async (cpu: Cpu) => {
      await promise;
      late = cpu.client;
      return cpu.args[0];
    },
    event: () => {},
  });
  const reply = guest.request(Kind.CALL, 1, 1, 77);
  guest.writeEvent(0, 1);
  guest.writeEvent(2, 1);
  guest.channel.drain(guest.cpu);
  resolve();
  assertEquals((await reply).result, 77n);
  assertEquals(late, 1);
});

Deno.test("FLUSH is answered OK whatever its events' callbacks do, and empties the ring in any case", async () => {
  let result: unknown;
  const guest = new FakeGuest({
    event: () => {
      if (result instanceof Error) throw result;
      return result;
    },
  });
  const { m32 } = guest.memory.arena, ring = guest.ringAddress(0) / 4;
  const flush = async () => {
    guest.writeEvent(0, 1);
    const status = await FLUSH(guest);
    assertEquals(m32[ring], m32[ring + 1]);
    return status;
  };
  assertEquals(await FLUSH(guest), Status.OK, "nothing to do");
  assertEquals(await flush(), Status.OK);
  result = NOT_HANDLED;
  assertEquals(await flush(), Status.OK);
  result = new Error("x");
  assertEquals(await flush(), Status.OK);
  assertEquals(guest.channel.stats.eventErrors, 1);
  result = undefined;
  m32[ring] += 4;
  assertEquals(await FLUSH(guest), Status.INVALID);
  assertEquals(m32[ring], m32[ring + 1]);
  // The same by the doorbell.
  guest.fillSlot(guest.slotAddress(0), 0);
  guest.channel.controlStore(guest.cpu, guest.slotAddress(0) + 56, 4, 2, 0);
  assertEquals(guest.readSlot(guest.slotAddress(0)), { status: 0n, result: 0x5a5an });
});

Deno.test("events are reported as lost once when nobody handles them", () => {
  for (const callbacks of [{ call: () => 0 }, { event: () => NOT_HANDLED }]) {
    const guest = new FakeGuest(callbacks);
    guest.writeEvent(0, 5);
    guest.writeEvent(0, 5);
    guest.channel.drain(guest.cpu);
    assertEquals(guest.reports.length, 1);
    assertStringIncludes(guest.reports[0], "events are lost");
    assertEquals(guest.channel.stats.eventsLost, 2);
  }
});

Deno.test("reports of lost events are bounded when a hostile guest sends every command", () => {
  const guest = new FakeGuest({ event: () => Promise.resolve(NOT_HANDLED) });
  const sync = new FakeGuest({ event: () => NOT_HANDLED });
  for (let i = 0; i < 2000; i++) {
    for (const g of [guest, sync]) {
      g.writeEvent(0, i);
      g.channel.drain(g.cpu);
    }
  }
  assert(sync.reports.length < 300, `${sync.reports.length} reports`);
  assertStringIncludes(sync.reports.at(-1)!, "there is more of this kind");
});

Deno.test("an error in an event callback is reported and the rest still arrives", () => {
  const { guest, seen } = collecting();
  const bad = new FakeGuest({
    event: (_cpu: Cpu, client: number, command: number) => {
      seen.push({ client, command, payload: [] });
      if (command % 2) throw new Error(`odd ${command}`);
    },
  });
  for (let i = 0; i < 5; i++) bad.writeEvent(0, i);
  assertEquals(bad.channel.drain(bad.cpu), Outcome.DONE);
  assertEquals(seen.length, 5);
  assertEquals(bad.reports.length, 2);
  assertStringIncludes(bad.reports[0], "event 1 of client 0 threw\nError: odd 1");
  assertEquals(guest.stops, []);
});

Deno.test("an error in an event callback stops the rest when the policy is stop", async () => {
  const seen: number[] = [];
  let finis = 0;
  const guest = new FakeGuest({
    call: () => 5,
    event: (_cpu: Cpu, _client: number, command: number) => {
      seen.push(command);
      throw new Error("x");
    },
    fini: () => void finis++,
  }, { errors: "stop" });
  await guest.channel.start();
  for (let i = 0; i < 3; i++) guest.writeEvent(0, i);
  const reply = guest.call(1);
  assertEquals(
    [reply.outcome, reply.status],
    [Outcome.STOP, Status.NOBODY],
    "the call is not made",
  );
  assertEquals(guest.stops, [{ status: 70, reason: "error" }]);
  assertEquals(await guest.channel.finish(guest.cpu), true);
  assertEquals([seen, finis, guest.channel.stats.calls], [[0], 1, 0]);
});

Deno.test("an event callback stops the guest when it calls cpu.stop, and the rest still arrives", async () => {
  const seen: number[] = [];
  const guest = new FakeGuest({
    call: () => 5,
    event: (cpu: Cpu, _client: number, command: number) => {
      seen.push(command);
      cpu.stop(3);
    },
  }, { errors: "stop" });
  await guest.channel.start();
  for (let i = 0; i < 3; i++) guest.writeEvent(0, i);
  guest.writeEvent(1, 3);
  assertEquals(guest.call(1).outcome, Outcome.STOP);
  assertEquals(guest.channel.stats.calls, 0);
  await guest.channel.finish(guest.cpu);
  assertEquals(seen, [0, 1, 2, 3]);
  assertEquals(guest.stops, [{ status: 3, reason: "callback" }]);
});

Deno.test("finish drains all rings and waits for async event callbacks, then calls fini", async () => {
  const log: string[] = [];
  const guest = new FakeGuest({
    event: async (_cpu: Cpu, client: number) => {
      log.push(`begin ${client}`);
      await new Promise((done) => setTimeout(done, 5));
      log.push(`end ${client}`);
      if (client === 2) throw new Error("late");
    },
    fini: () => void log.push("fini"),
  });
  await guest.channel.start();
  guest.writeEvent(0, 1);
  guest.channel.drain(guest.cpu);
  guest.writeEvent(2, 1);
  assertEquals(await guest.channel.finish(guest.cpu), false);
  assertEquals(log, ["begin 0", "begin 2", "end 0", "end 2", "fini"]);
  assertStringIncludes(guest.reports[0], "Error: late");
});

Deno.test("finish waits no longer for an event callback when the signal aborts", async () => {
  let finis = 0;
  const guest = new FakeGuest({ event: () => new Promise(() => {}), fini: () => void finis++ });
  await guest.channel.start();
  guest.writeEvent(0, 1);
  const controller = new AbortController();
  const finished = guest.channel.finish(guest.cpu, controller.signal);
  assertEquals(finis, 0);
  controller.abort();
  assertEquals(await finished, true);
  assertEquals(finis, 1);
  const aborted = new FakeGuest({ event: () => new Promise(() => {}), fini: () => void finis++ });
  await aborted.channel.start();
  aborted.writeEvent(0, 1);
  await aborted.channel.finish(aborted.cpu, AbortSignal.abort());
  assertEquals(finis, 2);
});

Deno.test("a drain from within an event callback does nothing", () => {
  let count = 0;
  const guest: FakeGuest = new FakeGuest({
    event: () => {
      count++;
      guest.channel.drain(guest.cpu);
    },
  });
  for (let i = 0; i < 3; i++) guest.writeEvent(0, i);
  guest.channel.drain(guest.cpu);
  assertEquals(count, 3);
});

Deno.test("a ring is emptied and reported once when its head is nonsense", () => {
  const { guest, seen } = collecting();
  const { m32 } = guest.memory.arena, ring = guest.ringAddress(1) / 4;
  for (const jump of [SMALL.ringSize + 8, 4, 1, 7, -8, 2 ** 31]) {
    m32[ring] = (m32[ring] & ~7) + jump;
    assertEquals(guest.channel.drain(guest.cpu), Outcome.DONE);
    assertEquals(m32[ring + 1], m32[ring], `jump ${jump}`);
  }
  assertEquals(guest.reports.length, 1);
  assertStringIncludes(guest.reports[0], "ring of client 1 held nonsense");
  assertEquals([seen.length, guest.channel.stats.corruptRings], [0, 6]);
});

Deno.test("a ring is emptied when a record's size is nonsense", () => {
  for (const size of [0, 4, 7, 9, 12, -8, -1, SMALL.ringSize + 8, 32, 2 ** 31 - 8, 1 << 20]) {
    const { guest, seen } = collecting();
    const { m32 } = guest.memory.arena, ring = guest.ringAddress(0) / 4;
    guest.writeEvent(0, 1);
    guest.writeEvent(0, 2);
    guest.writeEvent(0, 3);
    m32[ring + Ring.BUFFER / 4 + 2] = size;
    guest.channel.drain(guest.cpu);
    assertEquals(seen.map(({ command }) => command), [1], `size ${size}`);
    assertEquals([guest.reports.length, m32[ring + 1]], [1, m32[ring]]);
    guest.writeEvent(0, 4);
    guest.channel.drain(guest.cpu);
    assertEquals(seen.at(-1)!.command, 4, "the ring works again");
  }
});

Deno.test("the guest's tail is not believed", () => {
  const { guest, seen } = collecting();
  const { m32 } = guest.memory.arena, ring = guest.ringAddress(0) / 4;
  guest.writeEvent(0, 1);
  m32[ring + 1] = 12345;
  guest.channel.drain(guest.cpu);
  assertEquals([seen.length, m32[ring + 1], guest.reports.length], [1, m32[ring], 0]);
});

/** A small generator with a seed: a failure can be repeated. */
function random(seed: number): (limit: number) => number {
  return (limit) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor(seed / 2 ** 32 * limit);
  };
}

Deno.test("a drain harms nothing outside the ring when its content is random", () => {
  let events = 0, corrupt = 0;
  const { ringSize } = SMALL;
  for (let seed = 1; seed <= 1000; seed++) {
    const pick = random(seed);
    let guest!: FakeGuest;
    const fake = guest = new FakeGuest({
      event: (_cpu: Cpu, client: number, command: number, payload: Uint8Array) => {
        events++;
        const start = payload.byteOffset - fake.memory.arena.m8.byteOffset;
        const buffer = fake.ringAddress(client) + Ring.BUFFER;
        assert(start >= buffer && start + payload.length <= buffer + ringSize, `seed ${seed}`);
        assert(command !== Ring.PAD && payload.length % 8 === 0, `seed ${seed}`);
        // A callback that spoils the ring while it is drained.
        if (pick(4) === 0) fake.memory.arena.m8[buffer + pick(ringSize)] = pick(256);
      },
    }, { memoryBytes: AREAS + 0x1_0000 });
    const { m8, m32 } = guest.memory.arena;
    const ring = guest.ringAddress(1);
    const near = m8.subarray(AREAS - 8192), before = near.slice();
    // Records that are right, then some bytes that are not.
    for (let i = pick(40); i > 0; i--) guest.writeEvent(1, pick(5), new Uint8Array(pick(60)));
    for (let i = pick(12); i > 0; i--) {
      const where = pick(3);
      if (where === 0) m8[ring + Ring.BUFFER + pick(ringSize)] = pick(256);
      else if (where === 1) {
        m32[(ring + Ring.BUFFER) / 4 + pick(200) * 2] = pick(2) ? pick(2 ** 32) : pick(100);
      } else m8[ring + pick(8)] = pick(256);
    }
    if (pick(3) === 0) m32[ring / 4] = m32[ring / 4] + 8 * pick(600);
    for (let i = 0; i < 3; i++) {
      assertEquals(guest.channel.drain(guest.cpu), Outcome.DONE, `seed ${seed}`);
      assertEquals(m32[ring / 4 + 1], m32[ring / 4], `seed ${seed}`);
      m32[ring / 4] = m32[ring / 4] + 8 * pick(4);
    }
    corrupt += guest.channel.stats.corruptRings;
    assert(guest.reports.length <= 1, `seed ${seed}: ${guest.reports}`);
    const end = ring + Ring.BUFFER + ringSize;
    near.fill(0, ring - AREAS + 8192, end - AREAS + 8192);
    before.fill(0, ring - AREAS + 8192, end - AREAS + 8192);
    assertEquals(near, before, `seed ${seed}`);
  }
  assert(events > 5000 && corrupt > 500, `${events} events, ${corrupt} corrupt rings`);
});
