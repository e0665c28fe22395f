import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import type { FdtValue } from "../machine/system/fdt.ts";
import { MachineError } from "../machine/program.ts";
import { SystemMachine } from "../machine/system/machine.ts";
import {
  type Device,
  DEVICE_PLACE,
  type DeviceHost,
  type DeviceSpec,
  parseDevice,
} from "../machine/system/user_device.ts";
import { TIER } from "./configuration.ts";
import { file } from "./emulator.ts";
import { BARE_METAL_GCC, buildBareMetal, runMachine } from "./system_guest.ts";
import { testWith } from "./tools.ts";

testWith(
  [BARE_METAL_GCC],
  "a device module has registers and an interrupt that wakes a guest",
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      for (const xlen of [64, 32] as const) {
        const { output, reason } = await runMachine({
          bios: "none",
          kernel: await buildBareMetal("device", xlen, folder),
          devices: [`${file("guest/examples/dice.ts")},sides=4`],
        });
        assertEquals(output, "seen 0x1e\nclaimed 64 status 1 lowered\n");
        assertEquals(reason, "poweroff");
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

const RAM_BYTES = 8 << 20;

/** A device with one word of memory. */
class Word implements Device {
  static made: Word[] = [];
  readonly size: number = 4;
  readonly compatible: string | string[] = ["example,word", "example,any"];
  readonly properties: Record<string, FdtValue> = { "example,flag": true };
  readonly host: DeviceHost;
  value = 7;
  closed = 0;

  constructor(host: DeviceHost) {
    this.host = host;
    Word.made.push(this);
  }
  read(_offset: number, _size: number): number {
    return this.value;
  }
  write(_offset: number, _size: number, value: number): void {
    this.value = value;
  }
  close() {
    this.closed++;
  }
}

/** Instructions of a program at the start of RAM. */
const code = (...words: number[]) => new Uint8Array(new Uint32Array(words).buffer);
const POWER_OFF = [0x00100537, 0x000055b7, 0x55558593, 0x00b52023, 0x0000006f];
/** lui a0, 0x11000; lw a1, 0(a0); addi a1, a1, 1; sw a1, 0(a0). */
const INCREMENT = [0x11000537, 0x00052583, 0x00158593, 0x00b52023];

const run = (
  devices: DeviceSpec[],
  kernel: Uint8Array,
  report: (text: string) => void = () => {},
) =>
  SystemMachine.create({
    tier: TIER,
    bios: "none",
    kernel,
    devices,
    report,
    memory: RAM_BYTES,
    stdout: "null",
  });

Deno.test("a device class gets loads and stores, guest memory and the end of its machine", async () => {
  Word.made = [];
  const kernel = code(...INCREMENT, ...POWER_OFF);
  const machine = await run([{ device: Word, options: { a: "b" } }, { device: Word }], kernel);
  const [first, second] = Word.made;
  assertEquals((await machine.run(10_000)).reason, "poweroff");
  assertEquals([first.value, second.value, first.closed, second.closed], [8, 7, 1, 1]);
  assertEquals([first.host.options, second.host.options], [{ a: "b" }, {}]);
  const { host } = first, RAM = 0x8000_0000;
  assertEquals(host.readMemory(RAM, 4), kernel.slice(0, 4));
  assertEquals(host.writeMemory(RAM + 2, Uint8Array.of(1, 2)), true);
  assertEquals(host.readMemory(RAM, 4), Uint8Array.of(0x37, 5, 1, 2));
  for (const [at, length] of [[0, 4], [RAM - 1, 4], [RAM, -1], [RAM + 1.5, 1], [RAM, 2 ** 40]]) {
    assertEquals(host.readMemory(at, length), undefined, `${at} ${length}`);
  }
  assertEquals(host.writeMemory(RAM + RAM_BYTES - 1, Uint8Array.of(1, 2)), false);
  host.interrupt(true);
});

Deno.test("a device that throws or answers nonsense faults the guest's access, and is reported", async () => {
  // mtvec is the sixteenth byte: lui a0, 0x11000; lw a1, 0(a0).
  const kernel = code(0x00000517, 0x01050513, 0x30551073, 0x00000013, 0x11000537, 0x00052583, 0x6f);
  for (const wrong of ["throws", "answers"]) {
    const reports: string[] = [];
    class Bad extends Word {
      override read(): number {
        if (wrong === "throws") throw new Error("a bug of the device's");
        return "text" as unknown as number;
      }
    }
    await using machine = await run([{ device: Bad }], kernel, (text) => void reports.push(text));
    await machine.run(1000);
    // Still the device tree's address: the load never ended.
    assert(machine.cpu.getRegister("a1") > 0x8000_0000n);
    assertEquals(reports.length, 20);
    assertMatch(reports[0], /^device Bad: reading 4 bytes at 0: .*(bug of the device's|"text")/s);
    assertMatch(reports[19], /further errors are not reported/);
  }
});

Deno.test("devices have nodes in the device tree, one behind the other", async () => {
  class Large extends Word {
    override readonly size = 0x3000;
    readonly name = "large";
  }
  await using machine = await run(
    [{ device: Word }, { device: Large }, { device: Word }],
    code(0x6f),
  );
  await machine.run(100);
  const host = Word.made.at(-1)!.host;
  // The boot ROM passes the device tree's address in a1; it is in RAM.
  const address = Number(machine.cpu.getRegister("a1")), size = RAM_BYTES - (address - 0x8000_0000);
  const text = new TextDecoder("latin1").decode(host.readMemory(address, size)!);
  for (const [i, node] of ["device@11000000", "large@11004000", "device@11008000"].entries()) {
    assert(text.includes(`\x01${node}\0`), node);
    assert(text.includes(`\0\0\0${String.fromCharCode(64 + i)}`));
  }
  assert(text.includes("example,word\0example,any\0"));
  assertEquals(DEVICE_PLACE, 0x1100_0000);
});

Deno.test("parseDevice and SystemMachine.create say what is wrong with a device", async () => {
  assertEquals(parseDevice("./a.ts,x=1,y=b=c"), {
    device: "./a.ts",
    options: { x: "1", y: "b=c" },
  });
  assertEquals(parseDevice("data:text/javascript,a=1"), { device: "data:text/javascript,a=1" });
  assertThrows(() => parseDevice("a.ts,x"), RangeError, '"x" is not OPTION=VALUE');
  const make = (device: DeviceSpec["device"], options = {}) =>
    run([{ device, options }], code(0x6f));
  const fails = (device: DeviceSpec["device"], message: string, options = {}) =>
    assertRejects(() => make(device, options), MachineError, message);
  await fails("./nothing.ts", "Cannot load device module file:");
  await fails("data:text/javascript,export default 7", "its default export is 7, not a class");
  await fails(file("guest/examples/dice.ts"), "2 to 100 are possible", { sides: "1000" });
  class Wrong extends Word {
    override readonly size = 0;
  }
  await fails(Wrong, "Cannot add device Wrong: its size is 0, not 1 to 16777216 bytes");
  class Nameless extends Word {
    readonly name = "a b";
  }
  await fails(Nameless, 'its name is "a b"');
  class Silent extends Word {
    override readonly compatible = [];
  }
  await fails(Silent, '"compatible" is an array of 0');
  const many = Array.from({ length: 17 }, () => ({ device: Word }));
  await assertRejects(() => run(many, code(0x6f)), MachineError, "16 are possible");
});
