import { assert, assertEquals } from "@std/assert";
import { type CallResult, type Cpu, NOT_HANDLED } from "../backdoor/mod.ts";
import { DEFAULT_GEOMETRY } from "../backdoor/protocol.ts";
import { planBackdoor, SystemBackdoor } from "../machine/system/backdoor.ts";
import { SystemMachine } from "../machine/system/machine.ts";
import { makeBoard } from "./system_board.ts";
import { BARE_METAL_GCC, buildBareMetal, runMachine } from "./system_guest.ts";
import { testWith } from "./tools.ts";
import { xorshiftBelow } from "./xorshift.ts";

/** What a guest's events say, by client, and what callbacks saw. */
function makeCallbacks() {
  const events: bigint[][] = [], wrong: string[] = [];
  let total = 0n;
  const callbacks = {
    call(cpu: Cpu, command: number, ...args: number[]): CallResult | Promise<number> {
      switch (command) {
        case 1:
          return args.reduce((sum, arg) => sum + arg, 0);
        case 2: {
          const text = new TextDecoder().decode(cpu.data.subarray(0, args[0])).toUpperCase();
          cpu.data.set(new TextEncoder().encode(text));
          return text.length;
        }
        case 3:
          return new Promise<number>((resolve) => setTimeout(() => resolve(args[0] * 2), 1));
        case 4:
          throw new Error("as asked");
        case 5:
          cpu.setRegister("t1", cpu.pc);
          cpu.pc = cpu.pc + 8n;
          return 0;
        case 7: {
          const sum = total;
          total = 0n;
          return sum;
        }
        case 8:
          cpu.setRegister("t1", cpu.getRegister("t1") * 2n);
          return 0;
        default:
          return NOT_HANDLED;
      }
    },
    event(cpu: Cpu, client: number, _command: number, payload: Uint8Array) {
      const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
      const [from, value] = [view.getBigUint64(0, true), view.getBigUint64(8, true)];
      total += value;
      if (cpu.hart === client || from === BigInt(client)) (events[client] ??= []).push(value);
      if (client < 8 && from !== BigInt(client) && client !== 2) wrong.push(`${client} ${from}`);
    },
  };
  return { callbacks, events, wrong };
}

const USED = `clients 8
sum 4321
length 8
TO UPPER
later 42
unknown 0
status 1
throws 0
status 2
total 12497500
`;
const ODD = `word 20
byte 21
invalid 4
doorbell 0
skipped 1
its address 1
changed 999000
`;
const EXPECTED = `no tree 0
nothing 0
nobody 0
tree 1
by device tree
${USED}${ODD}address 1
by address
${USED}0x10f01af40x78000010x154440xfffff0000xffe000080xfffff000
pci 1
by PCI
${USED}${ODD}pci 1
by PCI
${USED}${ODD}gone 1
off 1
pci 1
harts 8
`;

for (const xlen of [64, 32] as const) {
  testWith(
    [BARE_METAL_GCC],
    `SystemBackdoor with ${xlen} bits answers stores of 8 harts when it is a platform and a PCI device`,
    async () => {
      const folder = await Deno.makeTempDir();
      try {
        const kernel = await buildBareMetal("channel", xlen, folder, ["guest/lib/trapdoor.c"]);
        const { callbacks, events, wrong } = makeCallbacks();
        const reports: string[] = [];
        const { output, reason } = await runMachine({
          bios: "none",
          kernel,
          harts: 8,
          backdoor: callbacks,
          report: (message) => reports.push(message.split("\n")[0]),
        });
        assertEquals(output, EXPECTED);
        assertEquals(reason, "poweroff");
        const threw = "backdoor: command 4 of client 0 threw; the guest gets status THREW";
        assertEquals(reports, [threw, `(4 times in all) ${threw}`]);
        assertEquals(wrong, []);
        for (let hart = 0; hart < 8; hart++) {
          const last = events[hart].slice(-20000);
          assertEquals(last, last.map((_, i) => BigInt(i)), `events of hart ${hart}`);
        }
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  );
}

Deno.test("SystemMachine.create says what is wrong when a channel is too large for the board", async () => {
  try {
    await SystemMachine.create({
      bios: "none",
      kernel: new Uint8Array(4),
      backdoor: {},
      backdoorGeometry: { maxClients: 64, clientDataSize: 1 << 22, ringSize: 4096 },
    });
  } catch (error) {
    assert(error instanceof Error);
    assertEquals(error.message.includes("a machine has room for 134217728"), true, error.message);
    return;
  }
  throw new Error("it was made");
});

Deno.test("SystemBackdoor neither throws nor hangs when its areas and registers are written at random", async () => {
  const next = xorshiftBelow(777);
  let calls = 0, events = 0;
  for (let round = 0; round < 20; round++) {
    const plan = await planBackdoor(
      {
        call: (_cpu, command) => (calls++, command % 3 === 0 ? NOT_HANDLED : command),
        event: () => void events++,
      },
      { ...DEFAULT_GEOMETRY, ringSize: 4096 },
    );
    const board = makeBoard({ behind: plan.bytes });
    const backdoor = new SystemBackdoor(board, plan, {
      report: () => {},
      note: undefined,
      errors: undefined,
      stop: () => {},
      save: () => {},
      instructions: () => 0,
    });
    await backdoor.channel.start();
    const { bus } = board, { layout } = plan;
    const value = () => [0, 1, 2, 7, 0xffff_ffff, next(100), next(2 ** 31)][next(7)];
    const config = 0x300f_8000;
    const places = [
      () => 0x400_0000 + next(layout.totalSize + 64),
      () => 0x400_1000 + next(8 * 64),
      () => 0x400_1000 + 64 * next(9) + 56,
      () => 0x4200_0000 + 64 * next(8) + 56,
      () => 0x4000_0000 + next(0x4000),
      () => 0x4200_0000 + next(layout.controlSize),
      // Ring headers.
      () => 0x4100_0000 + layout.ringOffset + layout.ringStride * next(8) + next(128),
      () => config + next(0x44),
    ];
    for (let i = 0; i < 3000; i++) {
      if (i % 500 === 0) {
        for (const bar of [0, 1, 2]) {
          bus.write(config + 0x10 + 4 * bar, 4, 0x4000_0000 + bar * 0x100_0000, 0);
        }
        bus.write(config + 4, 2, 2, 0);
      }
      const size = [1, 2, 4, 4, 8][next(5)], place = places[next(places.length)]();
      const at = next(8) === 0 ? place : place - place % size;
      if (next(3) === 0) bus.read(at, size);
      else bus.write(at, size, value() | 0, next(3) === 0 ? value() | 0 : 0);
      if (next(20) === 0) {
        // An event as the library writes it, if the ring is in its place.
        const ring = 0x400_0000 + 4096 + layout.controlSize + layout.ringOffset +
          layout.ringStride * next(8);
        const head = bus.read(ring, 4) ? bus.lo : 0, record = ring + 64 + (head & 0xff0);
        bus.write(record, 8, 16, 5);
        bus.write(ring, 4, (head & -16) + 16, 0);
      }
      if (next(20) === 0) backdoor.drain();
    }
    await backdoor.finish();
  }
  assert(calls > 100 && events > 0, `${calls} calls, ${events} events`);
});

/** Rings the doorbell 5000 times in a loop, and adds the results to s2, s4 to s3. */
const DOORBELLS = new Uint32Array([
  ...[0x00200893, 0xfff00813, 0x7bd02013, 0x00060413], // attach; s0 is the control area
  ...[0x00100293, 0x000014b7, 0x3884849b, 0x00000913, 0x00000993], // t0 1, s1 5000, s2 0, s3 0
  ...[0x00943423, 0x02542c23, 0x02843303], // sd s1, 8(s0); sw t0, 56(s0); ld t1, 40(s0)
  ...[0x00690933, 0x014989b3, 0xfff48493, 0xfe0494e3], // s2 += t1; s3 += s4; s1--; loop
  ...[0x001003b7, 0x00005e37, 0x555e0e1b, 0x01c3a023, 0x0000006f], // power off
]);

Deno.test("a store to the control area is answered inside compiled code, whatever the callback does", async () => {
  const ends: unknown[] = [];
  for (const tier of ["interp", "wasm"] as const) {
    const calls: number[] = [];
    await using machine = await SystemMachine.create({
      ...{ bios: "none", kernel: new Uint8Array(DOORBELLS.buffer), icount: true, tier },
      backdoor: {
        call(cpu, _command, value) {
          assertEquals(cpu.getRegister("s1"), BigInt(value));
          assertEquals(cpu.pc, 0x8000_0028n);
          cpu.setRegister("s4", 3n * BigInt(value));
          calls.push(cpu.instructions);
          if (value % 1000 === 0) return new Promise((resolve) => setTimeout(() => resolve(value)));
          if (value % 999 === 0) cpu.pc = 0x8000_002cn;
          return value;
        },
      },
    });
    await machine.run();
    const { compiled } = machine.stats(), { wasm } = compiled;
    const registers = ["s1", "s2", "s3"].map((name) => machine.cpu.getRegister(name));
    assertEquals(registers, [0n, 12_502_500n, 3n * 12_502_500n]);
    ends.push([calls, machine.instructions]);
    // Until it is known that the stores reach a device.
    if (wasm) assert(wasm.exits.memory < 1000, `${wasm.exits.memory} exits`);
  }
  assertEquals(ends[0], ends[1]);
});
