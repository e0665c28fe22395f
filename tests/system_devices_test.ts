import { assert, assertEquals, assertThrows } from "@std/assert";
import { Clint } from "../machine/system/devices/clint.ts";
import { type Finish, Finisher } from "../machine/system/devices/finisher.ts";
import { GoldfishRtc } from "../machine/system/devices/goldfish_rtc.ts";
import { Plic } from "../machine/system/devices/plic.ts";
import { Uart16550 } from "../machine/system/devices/uart16550.ts";
import { Virtio9p } from "../machine/system/devices/virtio_9p.ts";
import { VirtioBlock } from "../machine/system/devices/virtio_block.ts";
import { VirtioConsole } from "../machine/system/devices/virtio_console.ts";
import { VirtioEntropy } from "../machine/system/devices/virtio_entropy.ts";
import { VirtioNet } from "../machine/system/devices/virtio_net.ts";
import { VirtioMmio } from "../machine/system/devices/virtio_mmio.ts";
import type { VirtioDevice } from "../machine/system/devices/virtio.ts";
import { MemoryDrive, openDrive, SECTOR, SnapshotDrive } from "../machine/system/drive.ts";
import { flattenTree } from "../machine/system/fdt.ts";
import { UserNetwork } from "../machine/system/net/user_network.ts";
import { P9Server } from "../machine/system/p9/server.ts";
import { denoFiles } from "../machine/user/host_deno.ts";
import { MachineError } from "../machine/program.ts";
import { AddressSpace, Prot } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import { Bus, type MmioDevice } from "../mmu/bus.ts";
import { NO_HOST } from "./network_guest.ts";
import { xorshiftBelow } from "./xorshift.ts";

const RAM = 0x8000_0000;

function makeBus(bytes = 1 << 20): Bus {
  const ram = new AddressSpace(new Arena(bytes));
  ram.map(0, ram.size, Prot.READ | Prot.WRITE | Prot.EXEC);
  return new Bus(ram, RAM);
}

/** A device with one register for each word of its region. */
class Words implements MmioDevice {
  log: string[] = [];
  read(offset: number, size: number) {
    this.log.push(`r${size}@${offset}`);
    return offset >= 64 ? undefined : 0x8000_0000 + offset;
  }
  write(offset: number, size: number, value: number) {
    this.log.push(`w${size}@${offset}=${value}`);
    return offset < 64;
  }
}

// ---- bus ----

Deno.test("Bus reads and writes RAM when an address is in it, whatever its alignment", () => {
  const bus = makeBus();
  assert(bus.write(RAM + 3, 8, 0x4433_2211, -1));
  assert(bus.read(RAM + 3, 8));
  assertEquals([bus.lo, bus.hi], [0x4433_2211, -1]);
  assert(bus.read(RAM + 4, 2));
  assertEquals([bus.lo, bus.hi], [0x3322, 0]);
  assert(!bus.read(RAM + bus.ram.size - 3, 4));
  assert(!bus.write(RAM - 1, 1, 0, 0));
});

Deno.test("Bus splits 8 bytes and refuses misaligned accesses when they are a device's", () => {
  const bus = makeBus(), device = new Words();
  bus.add({ start: 0x1000, size: 0x100, device });
  assert(bus.read(0x1008, 8));
  assertEquals([bus.lo >>> 0, bus.hi >>> 0], [0x8000_0008, 0x8000_000c]);
  assert(bus.write(0x1008, 8, -1, 2));
  assert(bus.read(0x1002, 2));
  assertEquals(bus.lo, 2);
  assert(bus.write(0x1003, 1, 0x1ff, 0));
  assertEquals(device.log, ["r4@8", "r4@12", "w4@8=4294967295", "w4@12=2", "r2@2", "w1@3=255"]);
  for (const [address, size] of [[0x1001, 2], [0x1002, 4], [0x1004, 8], [0x1100, 1], [0xfff, 1]]) {
    assert(!bus.read(address, size), `read ${address}`);
    assert(!bus.write(address, size, 0, 0), `write ${address}`);
  }
  assert(!bus.read(0x1040, 4), "a register that is not there");
});

Deno.test("Bus.add throws when regions overlap or are empty", () => {
  const bus = makeBus(), device = new Words();
  bus.add({ start: 0x1000, size: 0x100, device });
  assertThrows(() => bus.add({ start: 0x10ff, size: 1, device }), RangeError, "there is one at");
  assertThrows(() => bus.add({ start: RAM - 1, size: 2, device }), RangeError, "RAM is there");
  assertThrows(() => bus.add({ start: 0x2000, size: 0, device }), RangeError, "it is empty");
});

// ---- serial port ----

function makeUart() {
  const lines: boolean[] = [], sent: number[] = [];
  const uart = new Uart16550((on) => lines.push(on), (byte) => sent.push(byte));
  const read = (offset: number) => uart.read(offset, 1);
  const write = (offset: number, value: number) => uart.write(offset, 1, value);
  return { uart, lines, sent, read, write };
}

Deno.test("Uart16550 sends what is written to it when the divisor is not selected", () => {
  const { sent, read, write } = makeUart();
  write(0, 65);
  write(3, 0x83);
  write(0, 12);
  write(1, 1);
  assertEquals([read(0), read(1)], [12, 1]);
  write(3, 3);
  write(0, 66);
  assertEquals(sent, [65, 66]);
  assertEquals(read(5)! & 0x60, 0x60);
  write(7, 0x5a);
  assertEquals(read(7), 0x5a);
});

Deno.test("Uart16550 raises its interrupt when a byte arrives and lowers it when it is read", () => {
  const { uart, lines, read, write } = makeUart();
  write(1, 1);
  uart.receive(120);
  assertEquals(lines, [true]);
  assertEquals([read(2)! & 15, read(5)! & 1, read(0), read(5)! & 1, read(2)], [4, 1, 120, 0, 1]);
  assertEquals(lines, [true, false]);
});

Deno.test("Uart16550 tells an overrun when bytes arrive that it has no room for", () => {
  const { uart, read, write } = makeUart();
  assertEquals(uart.room, 1);
  write(2, 1);
  assertEquals(uart.room, 16);
  for (let i = 0; i < 17; i++) uart.receive(i);
  assertEquals(uart.room, 0);
  assertEquals([read(5)! & 2, read(5)! & 2], [2, 0]);
  assertEquals(read(0), 0);
  write(2, 3);
  assertEquals(read(5)! & 1, 0);
});

Deno.test("Uart16550 raises the transmitter's interrupt when it is enabled, until it is looked at", () => {
  const { lines, read, write } = makeUart();
  write(1, 2);
  assertEquals(lines, [true]);
  assertEquals([read(2), read(2)], [2, 1]);
  assertEquals(lines, [true, false]);
});

Deno.test("Uart16550 gets its own bytes when it is in loop mode", () => {
  const { sent, read, write } = makeUart();
  write(4, 0x1f);
  write(0, 77);
  assertEquals(read(0), 77);
  assertEquals(sent, []);
  assertEquals(read(6)! & 0xf0, 0xf0);
});

// ---- timers ----

function makeClint(harts = 2) {
  let now = 0;
  const state = Array.from({ length: harts }, () => ({ software: false, timer: false }));
  const clint = new Clint(
    state.map((s) => ({
      software: (on: boolean) => void (s.software = on),
      timer: (on: boolean) => void (s.timer = on),
    })),
    { ticks: () => now },
  );
  return { clint, state, set: (ticks: number) => void (now = ticks) };
}

Deno.test("Clint raises the timer of a hart when its time has come", () => {
  const { clint, state, set } = makeClint();
  assertEquals(clint.untilNext(), undefined);
  clint.write(0x4008, 4, 1000);
  assertEquals(clint.untilNext(), undefined, "the high word is still all ones");
  clint.write(0x400c, 4, 0);
  assertEquals([clint.untilNext(), clint.untilNext([700n]), state[1].timer], [1000, 700, false]);
  set(999);
  clint.update();
  assertEquals(state[1].timer, false);
  set(1000);
  clint.update();
  assertEquals(state.map((s) => s.timer), [false, true]);
  clint.write(0x4008, 4, 2000);
  assertEquals(state[1].timer, false);
});

Deno.test("Clint goes on from what is written when the time is", () => {
  const { clint, set } = makeClint();
  set(5);
  clint.write(0xbff8, 4, 100);
  clint.write(0xbffc, 4, 1);
  set(6);
  assertEquals(clint.read64(0xbff8), 0x1_0000_0065n);
  assertEquals([clint.read(0xbff8, 4), clint.read(0xbffc, 4)], [0x65, 1]);
});

Deno.test("Clint raises software interrupts when their bit is set, and has none for harts that are not there", () => {
  const { clint, state } = makeClint();
  clint.write(4, 4, 0xffff_ffff);
  assertEquals(state.map((s) => s.software), [false, true]);
  assertEquals([clint.read(0, 4), clint.read(4, 4), clint.read(8, 4)], [0, 1, 0]);
  assert(clint.write(8, 4, 1));
  assertEquals(clint.read(0, 1), undefined);
  assertEquals(clint.write(0, 2, 1), false);
});

// ---- interrupt controller ----

Deno.test("Plic gives the most urgent interrupt first when several are pending", () => {
  const lines: boolean[] = [false, false];
  const plic = new Plic([0, 1].map((i) => (on: boolean) => void (lines[i] = on)));
  for (const [source, priority] of [[3, 1], [5, 2], [40, 2]]) plic.write(source * 4, 4, priority);
  plic.write(0x2080, 4, 1 << 3 | 1 << 5);
  plic.write(0x2084, 4, 1 << 8);
  for (const source of [40, 3, 5, 7]) plic.line(source)(true);
  assertEquals(lines, [false, true]);
  assertEquals(plic.read(0x1000, 4), 1 << 3 | 1 << 5 | 1 << 7);
  const claim = () => plic.read(0x20_1004, 4)!;
  assertEquals([claim(), claim(), claim(), claim()], [5, 40, 3, 0]);
  assertEquals(lines, [false, false]);
  // Still raised: it comes again after it was completed, unless the threshold forbids.
  plic.write(0x20_1000, 4, 1);
  plic.write(0x20_1004, 4, 3);
  assertEquals(lines[1], false);
  plic.write(0x20_1004, 4, 40);
  assertEquals(lines[1], true);
  plic.line(40)(false);
  assertEquals(lines[1], false);
});

Deno.test("Plic.line throws when there is no such interrupt", () => {
  const plic = new Plic([]);
  assertThrows(() => plic.line(0), RangeError, "1 to 96 are possible");
  assertThrows(() => plic.line(97), RangeError);
});

// ---- small devices ----

Deno.test("Finisher ends the machine when one of its values is stored", () => {
  const ends: Finish[] = [];
  const device = new Finisher((how) => ends.push(how));
  device.write(0, 4, 0x5555);
  device.write(0, 4, 3 << 16 | 0x3333);
  device.write(0, 2, 0x7777);
  device.write(0, 4, 0x1234);
  device.write(4, 4, 0x5555);
  assertEquals(ends, [
    { kind: "poweroff", status: 0 },
    { kind: "poweroff", status: 3 },
    { kind: "reboot" },
  ]);
  assertEquals(device.write(0, 1, 0x55), false);
});

Deno.test("GoldfishRtc tells the time and rings when its alarm is due", () => {
  let now = 0x1_0000_0005n;
  const lines: boolean[] = [];
  const rtc = new GoldfishRtc((on) => lines.push(on), () => now);
  assertEquals(rtc.read(0, 4), 5);
  now = 0x2_0000_0000n;
  assertEquals(rtc.read(4, 4), 1, "the high word belongs to the low word that was read");
  rtc.write(0x10, 4, 1);
  rtc.write(0xc, 4, 2);
  rtc.write(8, 4, 10);
  assertEquals(rtc.read(0x18, 4), 1);
  now += 10n;
  rtc.update();
  assertEquals([lines.at(-1), rtc.read(0x18, 4)], [true, 0]);
  rtc.write(0x1c, 4, 1);
  assertEquals(lines.at(-1), false);
});

Deno.test("flattenTree makes what the specification shows when a tree is small", () => {
  const bytes = flattenTree({
    name: "",
    properties: { "a": [1], "flag": true },
    children: [{ name: "n@1", properties: { "a": ["x", "yz"] } }],
  });
  const view = new DataView(bytes.buffer);
  assertEquals(view.getUint32(0), 0xd00dfeed);
  assertEquals(view.getUint32(4), bytes.length);
  const structure = bytes.subarray(view.getUint32(8), view.getUint32(8) + view.getUint32(36));
  const words = [
    ...[1, 0, 3, 4, 0, 1, 3, 0, 2],
    ...[1, 0x6e403100, 3, 5, 0, 0x7800797a, 0, 2, 2, 9],
  ];
  assertEquals(structure.length, words.length * 4);
  words.forEach((word, i) => assertEquals(view.getUint32(56 + 4 * i), word, `word ${i}`));
  assertEquals(
    new TextDecoder().decode(bytes.subarray(view.getUint32(12), view.getUint32(12) + 7)),
    "a\0flag\0",
  );
});

// ---- virtio ----

/** A driver of a device with one or two queues, at fixed places in RAM. */
class Driver {
  readonly bus = makeBus();
  readonly device: VirtioMmio;
  line = false;
  static readonly SIZE = 8;

  constructor(device: VirtioDevice, start = true) {
    this.device = new VirtioMmio(device, this.bus, (on) => this.line = on);
    if (!start) return;
    this.set(0x70, 3);
    this.set(0x24, 1);
    this.set(0x20, 1);
    this.set(0x70, 11);
    for (let queue = 0; queue < device.queues; queue++) {
      this.set(0x30, queue);
      this.set(0x38, Driver.SIZE);
      const [d, a, u] = this.places(queue);
      for (const [register, place] of [[0x80, d], [0x90, a], [0xa0, u]]) {
        this.set(register, place);
        this.set(register + 4, 0);
      }
      this.set(0x44, 1);
    }
    this.set(0x70, 15);
  }

  places(queue: number) {
    return [0, 0x1000, 0x2000].map((offset) => RAM + queue * 0x4000 + offset);
  }
  get(offset: number) {
    return this.device.read(offset, 4)!;
  }
  set(offset: number, value: number) {
    this.device.write(offset, 4, value);
  }
  put(address: number, size: number, value: number) {
    assert(this.bus.write(address, size, value, 0));
  }
  at(address: number, size: number) {
    assert(this.bus.read(address, size));
    return this.bus.lo >>> 0;
  }
  descriptor(queue: number, i: number, address: number, length: number, flags: number, next = 0) {
    const at = this.places(queue)[0] + 16 * i;
    this.put(at, 8, address);
    this.put(at + 4, 4, Math.floor(address / 2 ** 32));
    this.put(at + 8, 4, length);
    this.put(at + 12, 2, flags);
    this.put(at + 14, 2, next);
  }
  #available = [0, 0];
  offer(queue: number, head: number) {
    const [, a] = this.places(queue);
    this.put(a + 4 + 2 * (this.#available[queue] % Driver.SIZE), 2, head);
    this.put(a + 2, 2, ++this.#available[queue]);
    this.set(0x50, queue);
  }
  used(queue: number): [index: number, id: number, length: number] {
    const [, , u] = this.places(queue), index = this.at(u + 2, 2);
    const entry = u + 4 + 8 * ((index - 1) % Driver.SIZE);
    return [index, this.at(entry, 4), this.at(entry + 4, 4)];
  }
  /** A block request; its status. */
  request(type: number, sector: number, address: number, length: number): number {
    const header = RAM + 0x8000, status = RAM + 0x9000;
    this.put(header, 4, type);
    this.put(header + 8, 4, sector);
    this.put(header + 12, 4, 0);
    this.put(status, 1, 0xff);
    this.descriptor(0, 0, header, 16, 1, 1);
    this.descriptor(0, 1, address, length, type === 1 ? 1 : 3, 2);
    this.descriptor(0, 2, status, 1, 2);
    this.offer(0, 0);
    return this.at(status, 1);
  }
}

Deno.test("VirtioMmio has no device when its place is empty", () => {
  const device = new VirtioMmio(undefined, makeBus(), () => {});
  assertEquals([device.read(0, 4), device.read(4, 4), device.read(8, 4)], [0x74726976, 2, 0]);
  assert(device.write(0x70, 4, 15));
  assertEquals(device.read(0x70, 4), 0);
});

Deno.test("VirtioMmio refuses features that the device does not have", () => {
  const driver = new Driver(new VirtioEntropy((n) => new Uint8Array(n)), false);
  driver.set(0x24, 1);
  driver.set(0x20, 1);
  driver.set(0x24, 0);
  driver.set(0x20, 1);
  driver.set(0x70, 11);
  assertEquals(driver.get(0x70) & 8, 0);
  driver.set(0x20, 0);
  driver.set(0x70, 11);
  assertEquals(driver.get(0x70) & 8, 8);
});

Deno.test("VirtioEntropy fills the guest's buffer when there is one", () => {
  const driver = new Driver(new VirtioEntropy((n) => new Uint8Array(n).fill(0x5a)));
  driver.descriptor(0, 3, RAM + 0x8001, 10, 2);
  driver.offer(0, 3);
  assertEquals(driver.used(0), [1, 3, 10]);
  assertEquals(driver.at(RAM + 0x8008, 4), 0x005a5a5a);
  assertEquals([driver.line, driver.get(0x60)], [true, 1]);
  driver.set(0x64, 1);
  assertEquals([driver.line, driver.get(0x60)], [false, 0]);
});

Deno.test("VirtioConsole passes bytes in both directions", () => {
  const sent: number[] = [];
  const console = new VirtioConsole((bytes) => void sent.push(...bytes));
  const driver = new Driver(console);
  driver.put(RAM + 0x8000, 4, 0x64636261);
  driver.descriptor(1, 0, RAM + 0x8000, 2, 1, 1);
  driver.descriptor(1, 1, RAM + 0x8003, 1, 0);
  driver.offer(1, 0);
  assertEquals(sent, [0x61, 0x62, 0x64]);
  for (const byte of [1, 2, 3]) console.receive(byte);
  driver.descriptor(0, 5, RAM + 0x8100, 2, 2);
  driver.offer(0, 5);
  assertEquals([driver.used(0), driver.at(RAM + 0x8100, 4)], [[1, 5, 2], 0x0201]);
  driver.offer(0, 5);
  assertEquals([driver.used(0), driver.at(RAM + 0x8100, 1)], [[2, 5, 1], 3]);
});

Deno.test("VirtioBlock reads and writes sectors when they exist", () => {
  const bytes = new Uint8Array(4 * SECTOR).map((_, i) => i >> 9);
  const driver = new Driver(new VirtioBlock(new MemoryDrive(bytes)));
  assertEquals([driver.get(0x100), driver.get(0x104)], [4, 0]);
  assertEquals(driver.request(0, 2, RAM + 0xa000, 2 * SECTOR), 0);
  assertEquals([driver.at(RAM + 0xa000, 1), driver.at(RAM + 0xa200, 1)], [2, 3]);
  assertEquals(driver.used(0), [1, 0, 2 * SECTOR + 1]);
  driver.put(RAM + 0xb000, 4, 0x12345678);
  assertEquals(driver.request(1, 3, RAM + 0xb000, SECTOR), 0);
  assertEquals([...bytes.subarray(3 * SECTOR, 3 * SECTOR + 5)], [0x78, 0x56, 0x34, 0x12, 0]);
  assertEquals(driver.request(4, 0, RAM + 0xa000, 0), 0);
  // Beyond the end, not whole sectors, unknown.
  assertEquals(driver.request(0, 3, RAM + 0xa000, 2 * SECTOR), 1);
  assertEquals(driver.request(1, 0xffff_ffff, RAM + 0xa000, SECTOR), 1);
  assertEquals(driver.request(0, 0, RAM + 0xa000, 100), 1);
  assertEquals(driver.request(77, 0, RAM + 0xa000, SECTOR), 2);
});

Deno.test("VirtioBlock refuses writes when the disk is read-only", () => {
  const bytes = new Uint8Array(SECTOR);
  const driver = new Driver(new VirtioBlock(new MemoryDrive(bytes, "ro", true)));
  driver.set(0x14, 0);
  assertEquals(driver.get(0x10) & 1 << 5, 1 << 5);
  driver.put(RAM + 0xb000, 4, 1);
  assertEquals(driver.request(1, 0, RAM + 0xb000, SECTOR), 1);
  assertEquals(bytes[0], 0);
});

Deno.test("SnapshotDrive forgets changes when the machine ends", () => {
  const base = new MemoryDrive(new Uint8Array(3 * SECTOR));
  const drive = new SnapshotDrive(base);
  drive.write(1, new Uint8Array(SECTOR).fill(9));
  const buffer = new Uint8Array(3 * SECTOR);
  drive.read(0, buffer);
  assertEquals([buffer[0], buffer[SECTOR], buffer[2 * SECTOR]], [0, 9, 0]);
  assertEquals(base.bytes.some((byte) => byte !== 0), false);
});

Deno.test("openDrive says what is wrong when a file can't be a disk", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const fails = async (text: string, message: string) => {
      try {
        (await openDrive(text)).close();
      } catch (error) {
        assert(error instanceof MachineError && error.message.includes(message), String(error));
        return;
      }
      throw new Error(`${text} was opened`);
    };
    await fails(`${folder}/nothing`, "no such file");
    await fails(`${folder}:ro`, "no file");
    await Deno.writeFile(`${folder}/small`, new Uint8Array(100));
    await fails(`${folder}/small`, "smaller than a sector");
    await Deno.writeFile(`${folder}/disk`, new Uint8Array(1000));
    await fails(`${folder}/disk:ro`, "make it 1024 bytes long");
    await Deno.writeFile(`${folder}/disk`, new Uint8Array(1024));
    for (const [how, writable] of [[":ro", false], [":snapshot", true], ["", true]] as const) {
      const drive = await openDrive(`${folder}/disk${how}`);
      assertEquals([drive.sectors, drive.readOnly], [2, !writable]);
      if (writable) drive.write(0, new Uint8Array(SECTOR).fill(how === "" ? 1 : 2));
      drive.flush();
      drive.close();
    }
    assertEquals((await Deno.readFile(`${folder}/disk`))[5], 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

// ---- hostile guests ----

Deno.test("Virtqueue breaks the device, not the host, when a driver's queue is nonsense", () => {
  const cases: [name: string, spoil: (d: Driver) => void][] = [
    ["a loop", (d) => {
      d.descriptor(0, 0, RAM + 0x8000, 4, 3, 1);
      d.descriptor(0, 1, RAM + 0x8000, 4, 3, 0);
    }],
    ["itself", (d) => d.descriptor(0, 0, RAM + 0x8000, 4, 3, 0)],
    ["a wild address", (d) => d.descriptor(0, 0, 2 ** 63, 4, 2)],
    ["an address before RAM", (d) => d.descriptor(0, 0, RAM - 2, 4, 2)],
    ["a huge length", (d) => d.descriptor(0, 0, RAM, 0xffff_ffff, 2)],
    ["a next that is not there", (d) => d.descriptor(0, 0, RAM, 4, 3, 9)],
    ["an indirect table of odd length", (d) => d.descriptor(0, 0, RAM, 17, 4)],
    ["an empty indirect table", (d) => d.descriptor(0, 0, RAM, 0, 4)],
    ["an indirect table in the sky", (d) => d.descriptor(0, 0, 2 ** 40, 16, 4)],
    ["an indirect table in itself", (d) => {
      d.descriptor(0, 0, RAM, 16, 4);
    }],
    ["readable after writable", (d) => {
      d.descriptor(0, 0, RAM + 0x8000, 4, 3, 1);
      d.descriptor(0, 1, RAM + 0x8000, 4, 0, 0);
    }],
  ];
  for (const [name, spoil] of cases) {
    const driver = new Driver(new VirtioEntropy((n) => new Uint8Array(n)));
    spoil(driver);
    driver.offer(0, 0);
    assertEquals(driver.get(0x70) & 64, 64, name);
    assertEquals(driver.used(0)[0], 0, name);
    // Nothing goes on until the reset, which makes a new device of it.
    driver.offer(0, 0);
    driver.set(0x70, 0);
    assertEquals([driver.get(0x70), driver.line], [0, false], name);
  }
  const driver = new Driver(new VirtioEntropy((n) => new Uint8Array(n)));
  driver.offer(0, 9);
  assertEquals(driver.get(0x70) & 64, 64, "a head that is not there");
  const jump = new Driver(new VirtioEntropy((n) => new Uint8Array(n)));
  jump.put(jump.places(0)[1] + 2, 2, 1000);
  jump.set(0x50, 0);
  assertEquals(jump.get(0x70) & 64, 64, "more available than there are");
});

Deno.test("devices neither throw nor hang when registers and queues are random", async () => {
  const next = xorshiftBelow(12345), folder = await Deno.makeTempDir();
  const network = await UserNetwork.open({}, NO_HOST);
  const value = () => [0, 1, 2, 3, 15, 0x8000_0000, 0xffff_ffff, next(256), next(2 ** 31)][next(9)];
  for (let round = 0; round < 60; round++) {
    const bus = makeBus(1 << 17), { clint } = makeClint();
    const quiet = () => {};
    const drive = new MemoryDrive(new Uint8Array(8 * SECTOR), "fuzz", round % 2 === 0);
    const server = new P9Server(denoFiles, folder, false, quiet);
    const places: [MmioDevice, number][] = [
      [clint, 0x1_0000],
      [new Plic([quiet, quiet]), 0x60_0000],
      [makeUart().uart, 0x100],
      [new GoldfishRtc(quiet, () => 5n), 0x1000],
      [new Finisher(quiet), 0x1000],
      [new VirtioMmio(new VirtioBlock(drive), bus, quiet), 0x1000],
      [new VirtioMmio(new VirtioEntropy((n) => new Uint8Array(n)), bus, quiet), 0x1000],
      [new VirtioMmio(new VirtioConsole(quiet), bus, quiet), 0x1000],
      [new VirtioMmio(new VirtioNet(network), bus, quiet), 0x1000],
      [new VirtioMmio(new Virtio9p(server, "fuzz"), bus, quiet), 0x1000],
      [new VirtioMmio(undefined, bus, quiet), 0x1000],
    ];
    let start = 0x1000;
    const starts = places.map(([device, size]) => {
      bus.add({ start, size, device });
      start += size;
      return start - size;
    });
    // RAM full of what could be descriptors and rings.
    const ram = bus.ram.hostView(0, bus.ram.size)!;
    for (let i = 0; i < ram.length; i += 4) {
      if (next(3) !== 0) continue;
      const word = next(4) === 0 ? RAM + next(1 << 17) : next(4) === 0 ? value() : next(12);
      new DataView(ram.buffer, ram.byteOffset).setUint32(i, word >>> 0, true);
    }
    for (let i = 0; i < 400; i++) {
      const which = next(places.length), size = [1, 2, 4, 4, 4, 8][next(6)];
      const span = which >= 5 ? 0x140 : places[which][1];
      const address = starts[which] + next(span);
      const aligned = next(5) === 0 ? address : address - address % size;
      if (next(2) === 0) bus.read(aligned, size);
      else bus.write(aligned, size, value() | 0, value() | 0);
    }
    // A driver that gets through to the queues, over random memory.
    for (const at of starts.slice(5, 10)) {
      const set = (offset: number, v: number) => bus.write(at + offset, 4, v | 0, 0);
      set(0x70, 0);
      set(0x24, 1);
      set(0x20, 1);
      set(0x70, 11);
      for (let queue = 0; queue < 2; queue++) {
        set(0x30, queue);
        set(0x38, 1 << next(9));
        for (const register of [0x80, 0x90, 0xa0]) {
          set(register, RAM + next(1 << 17));
          set(register + 4, 0);
        }
        set(0x44, 1);
      }
      set(0x70, 15);
      for (let i = 0; i < 20; i++) set(0x50, next(3));
    }
    server.reset();
  }
  network.close();
  await Deno.remove(folder, { recursive: true });
});
