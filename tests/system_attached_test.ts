import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { SystemMachine, type SystemMachineOptions } from "../machine/system/machine.ts";
import type { Device, DeviceHost, DeviceSpec } from "../machine/system/mod.ts";
import { Address } from "../machine/system/net/gateway.ts";
import type { NetworkHost } from "../machine/system/net/host.ts";
import { denoNetwork } from "../machine/system/net/host_deno.ts";
import { parseNetwork } from "../machine/system/net/options.ts";
import { Tcp } from "../machine/system/net/wire.ts";
import { UserNetwork } from "../machine/system/net/user_network.ts";
import { Type } from "../machine/system/p9/message.ts";
import { P9Server } from "../machine/system/p9/server.ts";
import { type State, StateReader } from "../machine/system/state.ts";
import { E } from "../machine/user/errno.ts";
import { denoFiles } from "../machine/user/host_deno.ts";
import { TIER } from "./configuration.ts";
import { echoServer, Guest, NO_HOST, query } from "./network_guest.ts";

/** What a snapshot of the file's format would give back. */
const through = (state: State) => new StateReader(structuredClone(state));

const code = (...words: number[]) => new Uint8Array(new Uint32Array(words).buffer);
/** lui a0, 0x11000; again: lw a1, 0(a0); addi a1, a1, 3; sw a1, 0(a0); addi a2, a2, 1; j again. */
const COUNTING = code(0x11000537, 0x00052583, 0x00358593, 0x00b52023, 0x00160613, 0xff1ff06f);

/** A device that multiplies what it is told, and raises its interrupt at odd values. */
class Keeper implements Device {
  readonly size = 4;
  readonly compatible = "example,keeper";
  readonly host: DeviceHost;
  value = 1n;
  log: Uint8Array = new Uint8Array();

  constructor(host: DeviceHost) {
    this.host = host;
  }
  read(): number {
    return Number(this.value & 0xffffn);
  }
  write(_offset: number, _size: number, value: number): void {
    this.value = this.value * 1_000_003n + BigInt(value) & 0xffff_ffff_ffff_ffffn;
    this.log = Uint8Array.of(...this.log.subarray(-7), value & 255);
    this.host.interrupt((value & 1) !== 0);
  }
  save() {
    return { value: this.value, log: [this.log], empty: undefined } as unknown as State;
  }
  load(state: State) {
    const { value, log } = state as unknown as { value: bigint; log: [Uint8Array] };
    this.value = value;
    this.log = log[0];
  }
}

/** One that can't be saved, and others whose functions are wrong. */
class Mute extends Keeper {
  // deno-lint-ignore no-explicit-any
  override save: any = undefined;
}
class Odd extends Keeper {
  override save() {
    return { when: new Date(0) } as unknown as State;
  }
}
class Deaf extends Keeper {
  override load() {
    throw new Error("not mine");
  }
}

const options = (devices: readonly DeviceSpec[]): SystemMachineOptions => ({
  ...{ bios: "none", kernel: COUNTING, icount: true, memory: 4 << 20, stdout: "null" },
  tier: TIER,
  devices,
});

Deno.test("a snapshot has the state of devices that save it, and goes on in the same way", async () => {
  const path = await Deno.makeTempFile();
  try {
    const list = [{ device: Keeper }, { device: Keeper }];
    await using machine = await SystemMachine.create(options(list));
    await machine.run(5000);
    await machine.save(path);
    await using again = await SystemMachine.load(path, { devices: list, stdout: "null" });
    assertEquals(again.instructions, machine.instructions);
    const ends = [];
    for (const each of [machine, again]) {
      await each.run(5001);
      ends.push(["a1", "a2", "pc"].map((name) => each.cpu.getRegister(name)));
    }
    assertEquals(ends[0], ends[1]);
    assert(ends[0][1] > 1900n);
    const load = (devices: readonly DeviceSpec[]) =>
      SystemMachine.load(path, { devices, stdout: "null" });
    const one = "had these devices: example,keeper, example,keeper; there are now: example,keeper";
    await assertRejects(() => load([{ device: Keeper }]), Error, one);
    await assertRejects(
      () => load([{ device: Keeper }, { device: Deaf }]),
      Error,
      "device Deaf did not take its state: ",
    );
    await assertRejects(
      () => SystemMachine.load(path, { devices: list, stdout: "null", network: "user" }),
      Error,
      "the machine had these networks: none; there are now: user",
    );
    await assertRejects(
      () => SystemMachine.load(path, { devices: list, stdout: "null", shares: ["tests:x"] }),
      Error,
      "the machine had these shared directories: none; there are now: x",
    );
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("SystemMachine.save names the device that can't be saved", async () => {
  for (const [device, message] of [[Mute, 'no function "save"'], [Odd, "no place for"]] as const) {
    await using machine = await SystemMachine.create(options([{ device }]));
    const error = await assertRejects(() => machine.save("/nothing/snap"), Error);
    assertStringIncludes(error.message, `device ${device.name} can't be saved: `);
    assertStringIncludes(error.message, message);
  }
});

Deno.test("UserNetwork's connections end with a reset when it is restored, and new ones work", async () => {
  await using echo = echoServer();
  const make = () => UserNetwork.open(parseNetwork("user"), denoNetwork);
  const before = await make(), after = await make(), guest = new Guest(before);
  try {
    const first = guest.connect(Address.GATEWAY, echo.port);
    first.write(new TextEncoder().encode("before"));
    await first.until(({ text }) => text.includes("before"));
    const state = through(before.save());
    // As the card does: it starts, and takes what was saved.
    guest.moveTo(after);
    after.restart();
    after.restore(state);
    before.close();
    after.reset();
    await first.until(({ state }) => state !== "open");
    assertEquals(first.state, "reset");
    const second = guest.connect(Address.GATEWAY, echo.port);
    second.write(new TextEncoder().encode("after"));
    await second.until(({ text }) => text.includes("after"));
    assertEquals(guest.segments.filter(({ flags }) => (flags & Tcp.RST) !== 0), []);
  } finally {
    after.close();
    before.close();
  }
});

Deno.test("UserNetwork's UDP goes on from other ports when it is restored, and questions are asked again", async () => {
  const heard: number[] = [];
  const server = await denoNetwork.datagrams(
    { address: Address.LOOPBACK, port: 0 },
    (bytes, from) => {
      heard.push(from.port);
      server.send(bytes, from.address, from.port);
    },
  );
  const asked: string[] = [];
  /** A host whose name server never answers, or does. */
  const host = (answers: boolean): NetworkHost => ({
    ...denoNetwork,
    resolve: (name) => {
      asked.push(name);
      return answers
        ? Promise.resolve([{ type: "A", address: 0x01020304 }])
        : new Promise(() => {});
    },
  });
  const before = await UserNetwork.open(parseNetwork("user"), host(false));
  const after = await UserNetwork.open(parseNetwork("user"), host(true));
  const guest = new Guest(before);
  try {
    guest.datagram(Address.GATEWAY, server.port, Uint8Array.of(1));
    await guest.until(({ udp }) => udp.length === 1);
    guest.datagram(Address.DNS, 53, query("known.example", 1));
    const state = through(before.save());
    assertEquals([asked, before.busy], [["known.example"], true]);
    guest.moveTo(after);
    after.restart();
    after.restore(state);
    before.close();
    assertEquals(after.busy, false);
    after.reset();
    await guest.until(({ udp }) => udp.length === 2);
    assertEquals(asked, ["known.example", "known.example"]);
    assertEquals([...guest.udp[1].bytes.subarray(-4)], [1, 2, 3, 4]);
    guest.datagram(Address.GATEWAY, server.port, Uint8Array.of(2));
    await guest.until(({ udp }) => udp.length === 3);
    assertEquals([guest.udp[0].toPort, guest.udp[0].bytes[0]], [guest.udp[2].toPort, 1]);
    assertEquals([guest.udp[2].bytes[0], heard[0] === heard[1]], [2, false]);
  } finally {
    after.close();
    before.close();
    server.close();
  }
});

Deno.test("UserNetwork keeps an answer to itself when the guest has started anew since it asked", async () => {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const host: NetworkHost = { ...NO_HOST, resolve: () => promise };
  const network = await UserNetwork.open(parseNetwork("user"), host), guest = new Guest(network);
  guest.datagram(Address.DNS, 53, query("known.example", 1));
  network.restart();
  assertEquals([network.busy, network.save()], [true, {
    macs: [],
    tcp: [],
    udp: [],
    questions: [],
  }]);
  resolve(undefined);
  await promise;
  guest.ping(Address.GATEWAY, new Uint8Array(8));
  await guest.until(({ icmp }) => icmp.length === 1);
  assertEquals([guest.udp, network.busy], [[], false]);
  network.close();
});

/** A 9P request and its answer's type and error number. */
function ask(server: P9Server, type: number, ...parts: (string | [size: number, value: number])[]) {
  const bytes = [0, 0, 0, 0, type, 1, 0];
  for (const part of parts) {
    if (typeof part === "string") bytes.push(part.length, 0, ...new TextEncoder().encode(part));
    else for (let i = 0; i < part[0]; i++) bytes.push(Math.floor(part[1] / 2 ** (8 * i)) & 255);
  }
  bytes[0] = bytes.length & 255;
  const answer = server.answer(Uint8Array.from(bytes))!;
  const view = new DataView(answer.buffer, answer.byteOffset, answer.length);
  return answer[4] === Type.ERROR + 1 ? -view.getUint32(7, true) : answer.subarray(7);
}

Deno.test("P9Server opens a guest's files again when it is restored; what is gone is stale", async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (const name of ["kept", "gone"]) await Deno.writeTextFile(`${folder}/${name}`, name);
    const notes: string[] = [];
    const make = () => new P9Server(denoFiles, folder, false, (note) => notes.push(note));
    const before = make(), after = make();
    ask(before, Type.VERSION, [4, 65536], "9P2000.L");
    ask(before, Type.ATTACH, [4, 0], [4, 0xffffffff], "root", "", [4, 0]);
    for (const [fid, name] of [[1, "kept"], [2, "gone"]] as const) {
      ask(before, Type.WALK, [4, 0], [4, fid], [2, 1], name);
      // For reading and writing, and its content would be dropped.
      ask(before, Type.LOPEN, [4, fid], [4, 2]);
    }
    ask(before, Type.WALK, [4, 0], [4, 3], [2, 1], "kept");
    const state = through(before.save());
    before.reset();
    await Deno.remove(`${folder}/gone`);
    after.restore(state);
    const read = (fid: number) => ask(after, Type.READ, [4, fid], [8, 0], [4, 100]);
    assertEquals(read(1), Uint8Array.of(4, 0, 0, 0, ...new TextEncoder().encode("kept")));
    assertEquals(read(2), -E.ESTALE);
    assertEquals(read(3), -E.EBADF);
    assertEquals(ask(after, Type.LOPEN, [4, 3], [4, 0]) instanceof Uint8Array, true);
    assertEquals(ask(after, Type.CLUNK, [4, 2]), new Uint8Array());
    assertEquals(ask(after, Type.CLUNK, [4, 2]), -E.EBADF);
    assertEquals([after.openFiles, notes.length], [2, 1]);
    assertStringIncludes(notes[0], "/gone, which the guest had open");
    after.reset();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
