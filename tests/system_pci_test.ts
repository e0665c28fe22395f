import { assert, assertEquals, assertThrows } from "@std/assert";
import { PciFunction, PciHost } from "../machine/system/devices/pci.ts";
import { VirtioBlock } from "../machine/system/devices/virtio_block.ts";
import { VirtioConsole } from "../machine/system/devices/virtio_console.ts";
import { VirtioEntropy } from "../machine/system/devices/virtio_entropy.ts";
import { VirtioPci } from "../machine/system/devices/virtio_pci.ts";
import { MemoryDrive, SECTOR } from "../machine/system/drive.ts";
import { AddressSpace, Prot } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import { Bus } from "../mmu/bus.ts";
import { BARE_METAL_GCC, buildBareMetal, runMachine, runQemu } from "./system_guest.ts";
import { testWith } from "./tools.ts";
import { xorshiftBelow } from "./xorshift.ts";

const RAM = 0x8000_0000, CONFIG = 0x3000_0000, MEMORY = 0x4000_0000, MEMORY_64 = 0x4_0000_0000;

for (const xlen of [64, 32] as const) {
  testWith(
    [BARE_METAL_GCC, `qemu-system-riscv${xlen}`],
    `PciHost with ${xlen} bits prints what QEMU's prints when a driver finds and uses a virtio device`,
    async () => {
      const folder = await Deno.makeTempDir();
      try {
        const kernel = await buildBareMetal("pci", xlen, folder);
        const mine = await runMachine({ bios: "none", kernel, virtio: "pci" });
        assertEquals(mine.reason, "poweroff", mine.output);
        const device = "virtio-rng-pci,disable-legacy=on,vectors=0,addr=1";
        assertEquals(mine.output, await runQemu(kernel, xlen, 1, ["-device", device]));
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  );
}

/** A bus with a bridge, some guest memory behind RAM, and what the bridge said. */
function makeBridge(ramBytes = 1 << 20) {
  const behind = 1 << 16;
  const ram = new AddressSpace(new Arena(ramBytes + behind));
  ram.map(0, ramBytes, Prot.READ | Prot.WRITE | Prot.EXEC);
  const bus = new Bus(ram, RAM, ramBytes);
  const lines = [false, false, false, false];
  let remaps = 0;
  const ranges = [{ start: MEMORY, size: 0x4000_0000 }, { start: MEMORY_64, size: MEMORY_64 }];
  const host = new PciHost({
    ranges,
    lines: lines.map((_, i) => (on: boolean) => void (lines[i] = on)),
    addWindow: (window) => bus.addWindow(window),
    remapped: () => void remaps++,
  });
  bus.add({ start: CONFIG, size: 0x1000_0000, device: host });
  for (const range of ranges) bus.add({ ...range, device: host.range(range.start) });
  const read = (address: number, size = 4) => {
    assert(bus.read(address, size));
    return bus.lo >>> 0;
  };
  const write = (address: number, value: number, size = 4, hi = 0) =>
    void assert(bus.write(address, size, value | 0, hi));
  return { bus, ram, host, lines, read, write, ramBytes, remaps: () => remaps };
}

const config = (slot: number, register: number) => CONFIG + slot * 0x8000 + register;

Deno.test("PciFunction throws when a base address register can't be", () => {
  const id = { vendor: 1, device: 2, class: 0 };
  for (const size of [0, 8, 48, -16, NaN]) {
    assertThrows(() => new PciFunction(id, [{ size }]), RangeError, "a power of two");
  }
  assertThrows(() => new PciFunction(id, [, , , , , { size: 16, wide: true }]), RangeError);
  const { host } = makeBridge();
  host.add(3, new PciFunction(id));
  assertThrows(() => host.add(3, new PciFunction(id)), RangeError, "not free");
  assertThrows(() => host.add(32, new PciFunction(id)), RangeError, "not free");
  assertEquals(host.freeSlot(), 0);
});

Deno.test("PciFunction shows a size when all ones are written to a register, up to 4 GiB and more", () => {
  const { host, read, write } = makeBridge();
  const bars = [{ size: 16 }, { size: 2 ** 31, prefetchable: true }, { size: 2 ** 33, wide: true }];
  host.add(1, new PciFunction({ vendor: 1, device: 2, class: 0 }, bars));
  for (let i = 0; i < 6; i++) write(config(1, 0x10 + 4 * i), 0xffff_ffff);
  const seen = Array.from({ length: 6 }, (_, i) => read(config(1, 0x10 + 4 * i)));
  assertEquals(seen, [0xffff_fff0, 0x8000_0008, 4, 0xffff_fffe, 0, 0]);
});

Deno.test("PciHost shows memory where its register says, and gives stores to who takes them", () => {
  const { bus, ram, host, read, write, ramBytes, remaps } = makeBridge();
  ram.map(ramBytes, 0x2000, Prot.READ | Prot.WRITE);
  ram.map(ramBytes + 0x2000, 0x1000, Prot.READ);
  const stores: number[][] = [];
  const taker = {
    read: () => 7,
    write: (...args: number[]) => void stores.push(args),
    write64: (...args: number[]) => void stores.push([8, ...args]),
  };
  host.add(
    2,
    new PciFunction({ vendor: 1, device: 2, class: 0 }, [
      { size: 0x4000, memory: { offset: ramBytes, size: 0x2000 } },
      { size: 0x1000, memory: { offset: ramBytes + 0x2000, size: 0x1000 }, device: taker },
    ]),
  );
  const before = remaps();
  write(config(2, 0x10), MEMORY + 0x10_0000);
  write(config(2, 0x14), MEMORY + 0x20_0000);
  assertEquals(read(MEMORY + 0x10_0000), 0xffff_ffff, "memory is off");
  assertEquals(remaps(), before);
  write(config(2, 4), 2, 2);
  assertEquals(remaps(), before + 1, "whoever keeps translations is told");
  write(MEMORY + 0x10_0010, 0x1234_5678);
  assertEquals([read(MEMORY + 0x10_0010), ram.readU32(ramBytes + 0x10)], [
    0x1234_5678,
    0x1234_5678,
  ]);
  // The register is larger than its memory.
  assertEquals(read(MEMORY + 0x10_2000), 0xffff_ffff);
  write(MEMORY + 0x20_0008, 5);
  write(MEMORY + 0x20_0010, 6, 8, 9);
  assertEquals(stores, [[8, 4, 5], [8, 16, 6, 9]]);
  assertEquals(read(MEMORY + 0x20_0008), 0, "loads see the memory");
  write(config(2, 0x14), MEMORY + 0x30_0000);
  write(MEMORY + 0x20_0008, 5);
  write(MEMORY + 0x30_0008, 5, 1);
  assertEquals(stores.slice(2), [[8, 1, 5]]);
  // A place that no range has.
  write(config(2, 0x10), 0x1000_0000);
  assertEquals(read(MEMORY + 0x10_0010), 0xffff_ffff);
  assert(!bus.read(0x1000_0000, 4));
  // On RAM, which stays where it is.
  write(config(2, 0x10), RAM);
  assertEquals(read(RAM + 0x10), 0);
});

Deno.test("PciHost joins interrupts of functions on one line, unless they are disabled", () => {
  const { host, lines, read, write } = makeBridge();
  const make = () => new PciFunction({ vendor: 1, device: 2, class: 0, interrupt: true });
  const [a, b] = [make(), make()];
  host.add(1, a);
  host.add(5, b);
  a.interrupt(true);
  b.interrupt(true);
  assertEquals(lines, [false, true, false, false]);
  a.interrupt(false);
  assertEquals(lines[1], true);
  assertEquals([read(config(1, 6), 2) & 8, read(config(5, 6), 2) & 8], [0, 8]);
  write(config(5, 4), 0x400, 2);
  assertEquals([lines[1], read(config(5, 6), 2) & 8], [false, 8]);
  write(config(5, 4), 0, 2);
  assertEquals(lines[1], true);
  b.interrupt(false);
  assertEquals(lines[1], false);
});

Deno.test("VirtioPci accesses no memory when it is not bus master", () => {
  const { bus, host, read, write } = makeBridge();
  let asked = 0;
  const device = new VirtioEntropy((n) => new Uint8Array(n).fill(++asked));
  host.add(1, new VirtioPci(device, bus));
  write(config(1, 0x20), MEMORY);
  write(config(1, 4), 2, 2);
  prepare(write, MEMORY, RAM, 8);
  bus.write(RAM, 8, RAM + 0x4000, 0);
  bus.write(RAM + 8, 4, 4, 0);
  bus.write(RAM + 12, 2, 2, 0);
  bus.write(RAM + 0x1002, 2, 1, 0);
  write(MEMORY + 0x3000, 0, 2);
  assertEquals([asked, read(RAM + 0x2002, 2)], [0, 0]);
  write(config(1, 4), 6, 2);
  write(MEMORY + 0x3000, 0, 2);
  assertEquals([asked, read(RAM + 0x2002, 2), read(RAM + 0x4000)], [1, 1, 0x0101_0101]);
});

/** A driver's way to queue 0, with its parts at 0, 0x1000 and 0x2000 from `memory` on. */
function prepare(
  write: (address: number, value: number, size?: number) => void,
  at: number,
  memory: number,
  size: number,
  queue = 0,
): void {
  if (queue === 0) {
    write(at + 0x14, 0, 1);
    write(at + 8, 1);
    write(at + 12, 1);
    write(at + 0x14, 11, 1);
  }
  write(at + 0x16, queue, 2);
  write(at + 0x18, size, 2);
  [0, 0x1000, 0x2000].forEach((offset, i) => {
    write(at + 0x20 + 8 * i, memory + offset);
    write(at + 0x24 + 8 * i, 0);
  });
  write(at + 0x1c, 1, 2);
  write(at + 0x14, 15, 1);
}

Deno.test("VirtioPci breaks the device, not the host, when a driver's queue is nonsense", () => {
  const { bus, ram, ramBytes, host, read, write } = makeBridge();
  // Memory that is not writable, shown by a window: a device may not write there either.
  ram.map(ramBytes, 0x1000, Prot.READ);
  bus.addWindow({ start: 0x400_0000, size: 0x1000, offset: ramBytes });
  host.add(1, new VirtioPci(new VirtioEntropy((n) => new Uint8Array(n)), bus));
  write(config(1, 0x20), MEMORY);
  write(config(1, 4), 6, 2);
  const cases: [address: number, length: number, flags: number, next: number][] = [
    [RAM, 4, 3, 0],
    [2 ** 40, 4, 2, 0],
    [RAM - 2, 4, 2, 0],
    [RAM, 0xffff_ffff, 2, 0],
    [RAM, 17, 4, 0],
    [RAM, 16, 4, 0],
    [0x400_0000, 8, 2, 0],
    [MEMORY, 8, 2, 0],
  ];
  cases.forEach(([address, length, flags, next], i) => {
    prepare(write, MEMORY, RAM, 8);
    bus.write(RAM, 8, address | 0, Math.floor(address / 2 ** 32));
    bus.write(RAM + 8, 4, length, 0);
    bus.write(RAM + 12, 4, flags | next << 16, 0);
    bus.write(RAM + 0x1000, 8, 1 << 16, 0);
    write(MEMORY + 0x3000, 0, 2);
    assertEquals(read(MEMORY + 0x14, 1) & 64, 64, `case ${i}`);
    assertEquals(read(MEMORY + 0x1000, 1) & 2, 2, "the driver is told");
  });
});

Deno.test("PCI neither throws nor hangs when configuration space, registers and queues are random", () => {
  const next = xorshiftBelow(424242);
  const value = () =>
    [0, 1, 2, 4, 6, 15, MEMORY, RAM, 0xffff_ffff, next(256), next(2 ** 31), MEMORY + next(1 << 20)][
      next(12)
    ];
  let served = 0;
  for (let round = 0; round < 60; round++) {
    const { bus, ram, ramBytes, host } = makeBridge(1 << 17);
    ram.map(ramBytes, 0x2000, Prot.READ);
    const drive = new MemoryDrive(new Uint8Array(8 * SECTOR), "fuzz", round % 2 === 0);
    const devices = [
      new VirtioBlock(drive),
      new VirtioEntropy((n) => (served++, new Uint8Array(n))),
      new VirtioConsole(() => void served++),
    ];
    devices.forEach((device, i) => host.add(1 + i, new VirtioPci(device, bus)));
    host.add(
      4,
      new PciFunction({ vendor: 1, device: 2, class: 0 }, [
        { size: 0x2000, memory: { offset: ramBytes, size: 0x2000 }, device: host },
      ]),
    );
    const bytes = bus.ram.hostView(0, 1 << 17)!,
      view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let i = 0; i < 1 << 17; i += 4) {
      if (next(3) !== 0) continue;
      const word = next(4) === 0 ? RAM + next(1 << 17) : next(4) === 0 ? value() : next(12);
      view.setUint32(i, word >>> 0, true);
    }
    for (let i = 0; i < 500; i++) {
      const size = [1, 2, 4, 4, 8][next(5)];
      const place = next(3) === 0
        ? config(next(6), next(3) === 0 ? next(0x1000) : next(0xa0))
        : next(2) === 0
        ? MEMORY + next(1 << 20)
        : MEMORY_64 + next(1 << 16);
      const at = next(6) === 0 ? place : place - place % size;
      if (next(2) === 0) bus.read(at, size);
      else bus.write(at, size, value() | 0, value() | 0);
    }
    // A driver that gets through to the queues, over random memory.
    const set = (address: number, v: number, size = 4) => void bus.write(address, size, v | 0, 0);
    for (let slot = 1; slot <= 3; slot++) {
      const at = MEMORY + slot * 0x1_0000;
      set(config(slot, 4), 6, 2);
      set(config(slot, 0x20), at);
      set(config(slot, 0x24), 0);
      for (const queue of [0, 1]) {
        prepare(set, at, RAM + next(1 << 16), 1 << next(9), queue);
      }
      for (let i = 0; i < 20; i++) set(at + 0x3000 + 4 * next(3), next(3), 2);
      for (let i = 0; i < 20; i++) {
        set(config(slot, 0x84 + 4 * next(5)), value());
        bus.read(config(slot, 0x94), [1, 2, 4][next(3)]);
      }
    }
  }
  assert(served > 0, "no queue was ever served");
});
