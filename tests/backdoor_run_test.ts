/** Backdoor calls of real guests: what the CPU does around a call, by the instruction and by a doorbell. */
import { assert, assertEquals } from "@std/assert";
import { Control, Doorbell, Kind, Status } from "../backdoor/protocol.ts";
import type { CallbackModule } from "../backdoor/types.ts";
import { Program, type Register } from "../bench/lib/guest.ts";
import { Machine, type RunResult } from "../machine/machine.ts";
import { FakeGuest } from "./backdoor_fake.ts";
import { CONFIGURED } from "./configuration.ts";

const EXIT = 93, GETPPID = 173;
const TRANSPORTS = ["instruction", "doorbell"] as const;
type Transport = typeof TRANSPORTS[number];

/** A guest that attaches; s0 is the control area, then `body`, which calls by `call`. */
function guest(transport: Transport, body: (p: Program, call: () => void) => void): Program {
  const p = new Program();
  p.li("a7", Kind.ATTACH).li("a6", -1).plain("trapdoor").r("add", "s0", "a2", "zero");
  p.li("t0", Doorbell.CALL);
  body(p, () => {
    if (transport === "doorbell") p.s("sw", "t0", Control.DOORBELL, "s0");
    else p.li("a0", 0).li("a1", 0).li("a6", -1).li("a7", Kind.CALL).plain("trapdoor");
  });
  return p;
}

/** Ends the guest with a register's low byte as its status. */
function exit(p: Program, status: Register): void {
  p.r("add", "a0", status, "zero").li("a7", EXIT).plain("ecall");
}

function make(program: Program, backdoor: CallbackModule, report?: (text: string) => void) {
  return Machine.user({
    program: program.elf(),
    memory: 1 << 24,
    ...CONFIGURED,
    backdoor,
    ...(report ? { report } : {}),
  });
}

async function statusOf(program: Program, backdoor: CallbackModule): Promise<RunResult> {
  await using machine = await make(program, backdoor);
  return await machine.run(100_000);
}

for (const transport of TRANSPORTS) {
  Deno.test(`${transport}: pc and instructions are exact when the limit falls anywhere`, async () => {
    const program = guest(transport, (p, call) => {
      p.li("s1", 40).label("loop");
      for (let i = 0; i < 15; i++) p.li("t1", 1);
      call();
      // A block nearly as long as they get, so that one too many would be noticed.
      for (let i = 0; i < 50; i++) p.li("t1", 1);
      p.i("addi", "s1", "s1", -1);
      call();
      p.branch("bne", "s1", "zero", "loop");
      exit(p, "s1");
    });
    const runs: { seen: [bigint, number][]; result: RunResult }[] = [];
    for (const limit of [Infinity, 1, 2, 7, 64, 75, 100]) {
      const seen: [bigint, number][] = [];
      await using machine = await make(program, {
        call: (cpu) => {
          seen.push([cpu.pc, cpu.instructions]);
        },
      });
      let result = await machine.run(limit);
      for (let total = limit; result.reason === "limit"; total += limit) {
        assertEquals(result.instructions, total);
        result = await machine.run(limit);
      }
      runs.push({ seen, result });
    }
    const [{ seen, result }] = runs;
    assertEquals([result.reason, seen.length], ["exit", 80]);
    for (const run of runs) assertEquals(run, runs[0]);
    // By hand: the addresses, and the instructions of a turn.
    const own = transport === "doorbell" ? 1 : 5, second = own + 51, turn = second + own + 16;
    assertEquals(seen[1], [seen[0][0] + BigInt(4 * second), seen[0][1] + second]);
    assertEquals(seen[2], [seen[0][0], seen[0][1] + turn]);
  });

  Deno.test(`${transport}: the guest goes on elsewhere when the callback writes pc`, async () => {
    const program = guest(transport, (p, call) => {
      p.li("s1", 0).li("s2", 3).label("loop");
      call();
      p.i("addi", "s1", "s1", 100).label("there").i("addi", "s1", "s1", 1);
      p.i("addi", "s2", "s2", -1).branch("bne", "s2", "zero", "loop");
      exit(p, "s1");
    });
    let calls = 0;
    const call: CallbackModule["call"] = (cpu) => {
      // Not the first time, so that the way on is known already.
      if (calls++ > 0) cpu.pc = BigInt(program.address("there"));
    };
    const { reason, ...result } = await statusOf(program, { call });
    assertEquals([reason, "status" in result && result.status], ["exit", 103]);
  });

  Deno.test(`${transport}: registers count when a callback writes what the block has folded`, async () => {
    const program = guest(transport, (p, call) => {
      p.li("s2", 3).label("loop").li("t1", 5).li("t2", 0);
      call();
      p.i("addi", "t2", "t1", 1).i("addi", "s2", "s2", -1).branch("bne", "s2", "zero", "loop");
      exit(p, "t2");
    });
    const call: CallbackModule["call"] = (cpu) => cpu.setRegister("t1", 10);
    const result = await statusOf(program, { call });
    assertEquals("status" in result && result.status, 11);
  });

  Deno.test(`${transport}: the next instruction is new when the callback rewrites it`, async () => {
    const program = guest(transport, (p, call) => {
      p.li("s1", 0).li("s2", 4).label("loop");
      call();
      p.label("patched").i("addi", "s1", "s1", 1).i("addi", "s2", "s2", -1);
      p.branch("bne", "s2", "zero", "loop");
      exit(p, "s1");
    });
    let calls = 0;
    const call: CallbackModule["call"] = (cpu) => {
      if (++calls !== 3) return;
      const code = cpu.memory.hostView(program.address("patched"), 4)!;
      // addi s1, s1, 16
      new DataView(code.buffer, code.byteOffset).setUint32(0, 0x0104_8493, true);
    };
    const result = await statusOf(program, { call });
    assertEquals("status" in result && result.status, 2 + 2 * 16);
  });

  Deno.test(`${transport}: the guest stops before its next instruction when told to`, async () => {
    const program = guest(transport, (p, call) => {
      p.li("s1", 0).label("loop").i("addi", "s1", "s1", 1);
      call();
      p.j("loop");
    });
    for (const how of ["cpu.stop", "machine.stop", "abort"]) {
      let calls = 0, at = 0;
      const controller = new AbortController();
      const machine: Machine = await make(program, {
        call: (cpu) => {
          if (++calls < 1000) return;
          at = cpu.instructions;
          if (how === "cpu.stop") cpu.stop(9);
          else if (how === "machine.stop") machine.stop(9);
          else controller.abort();
        },
      });
      const { reason, instructions } = await machine.run(Infinity, { signal: controller.signal });
      assertEquals([how, reason, calls], [how, how === "abort" ? "aborted" : "stopped", 1000]);
      assertEquals(instructions, at);
    }
  });

  Deno.test(`${transport}: every call is answered when callbacks throw and sleep in turn`, async () => {
    const program = guest(transport, (p, call) => {
      p.li("s1", 0).li("s2", 300).label("loop");
      call();
      if (transport === "doorbell") p.i("ld", "a6", "s0", Control.STATUS);
      p.r("add", "s1", "s1", "a6").i("addi", "s2", "s2", -1).branch("bne", "s2", "zero", "loop");
      exit(p, "s1");
    });
    let calls = 0;
    const reports: string[] = [];
    await using machine = await make(program, {
      call: () => {
        switch (++calls % 3) {
          case 0:
            throw new Error("on purpose");
          case 1:
            return Promise.resolve(1);
          default:
            return 1;
        }
      },
    }, (text) => reports.push(text));
    const result = await machine.run();
    assertEquals(calls, 300);
    assertEquals("status" in result && result.status, 100 * Status.THREW);
    assert(reports.length > 0);
  });

  Deno.test(`${transport}: timers run when the guest does nothing but call`, async () => {
    const program = guest(transport, (p, call) => {
      p.label("loop");
      call();
      p.j("loop");
    });
    await using machine = await make(program, { call: () => 0 });
    const start = performance.now();
    const { reason } = await machine.run(Infinity, { signal: AbortSignal.timeout(50) });
    assertEquals(reason, "aborted");
    assert(performance.now() - start < 2000);
  });
}

Deno.test("a loop is compiled when each of its turns makes a call or a system call", async () => {
  for (const ends of ["call", "ecall"]) {
    const program = guest("instruction", (p, call) => {
      p.li("s1", 1).label("loop");
      if (ends === "call") call();
      else p.li("a7", GETPPID).plain("ecall");
      // Far from what the interpreter executes until it looks where it is.
      for (let i = 0; i < 50; i++) p.i("addi", "s1", "s1", 1);
      p.j("loop");
    });
    await using machine = await Machine.user({
      program: program.elf(),
      memory: 1 << 24,
      tier: "auto",
      backdoor: { call: () => 0 },
    });
    await machine.run(3_000_000);
    const { tiers } = machine.stats();
    assert((tiers["interp"] ?? 0) < 0.7, `${ends}: ${JSON.stringify(tiers)}`);
  }
});

Deno.test("quietStore writes what controlStore would when no doorbell is hit", () => {
  const guests = [0, 1].map(() => new FakeGuest({ call: () => 0 }));
  for (const { channel } of guests) channel.areas.attach();
  const [quiet, loud] = guests;
  const { control } = quiet.channel.areas.addresses;
  const low = 0x8877_6655 | 0, high = 0x4433_2211;
  const content = ({ memory }: FakeGuest) => memory.arena.m8.slice(control - 64, control + 256);
  for (let offset = 0; offset < 128; offset++) {
    for (const size of [1, 2, 4, 8]) {
      for (const { memory } of guests) memory.arena.m8.fill(0xee, control, control + 192);
      const hits = (offset & 63) + size > Control.DOORBELL;
      const before = content(quiet);
      assertEquals(quiet.channel.quietStore(control + offset, size, low, high), !hits);
      if (hits) {
        assertEquals(content(quiet), before);
      } else {
        loud.channel.controlStore(loud.cpu, control + offset, size, low, high);
        assertEquals([offset, size, content(quiet)], [offset, size, content(loud)]);
      }
    }
  }
});
