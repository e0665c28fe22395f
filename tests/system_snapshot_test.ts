import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DEFAULT_GEOMETRY } from "../backdoor/protocol.ts";
import { Machine } from "../machine/machine.ts";
import { MachineError } from "../machine/program.ts";
import { Console } from "../machine/system/console.ts";
import { MemoryDrive, SECTOR, SnapshotDrive } from "../machine/system/drive.ts";
import {
  type SystemLoadOptions,
  SystemMachine,
  type SystemMachineOptions,
} from "../machine/system/machine.ts";
import { SNAPSHOT_VERSION } from "../machine/system/snapshot.ts";
import { CONFIGURED } from "./configuration.ts";
import { file, trapdoor } from "./emulator.ts";
import { BARE_METAL_GCC, buildBareMetal } from "./system_guest.ts";
import { linuxFiles, makeInitrd, missingForLinux } from "./system_linux.ts";
import { testUnless, testWith } from "./tools.ts";
import { xorshiftBelow } from "./xorshift.ts";

async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Collects what a machine prints. */
function collect() {
  const decoder = new TextDecoder(), parts: string[] = [];
  return {
    stdout: (bytes: Uint8Array) => void parts.push(decoder.decode(bytes, { stream: true })),
    text: () => parts.join(""),
  };
}

/** Prints "a", counts down from 65536, and restarts the machine. */
const RESTARTING = new Uint8Array(
  new Uint32Array([
    ...[0x100002b7, 0x06100313, 0x00628023, 0x000103b7, 0xfff38393, 0xfe039ee3],
    ...[0x001002b7, 0x00007337, 0x77730313, 0x0062a023, 0x0000006f],
  ]).buffer,
);

/** Callbacks that keep nothing to themselves. */
const callbacks = () => {
  let total = 0n;
  return {
    call: (cpu: { data: Uint8Array }, command: number, ...args: number[]) => {
      if (command === 1) return args.reduce((sum, arg) => sum + arg, 0);
      if (command === 3) return Promise.resolve(args[0] * 2);
      if (command === 7) return total = 0n;
      cpu.data[0]++;
      return 0;
    },
    event: (_cpu: unknown, _client: number, _command: number, payload: Uint8Array) => {
      total += BigInt(payload[8]);
    },
  };
};

/**
 * Runs a machine, and another one that is saved, loaded and goes on after each of `cuts`, by another tier; both must be
 * the same in the end: a snapshot of one, and of the other.
 */
async function compare(
  folder: string,
  options: SystemMachineOptions,
  again: () => SystemLoadOptions,
  cuts: readonly number[],
  end: number,
  tiers: readonly ("interp" | "wasm" | "auto")[] = ["wasm", "auto", "interp"],
): Promise<string> {
  const whole = collect(), pieces = collect();
  let loads = 0;
  await using straight = await SystemMachine.create({
    ...options,
    ...again(),
    stdout: whole.stdout,
  });
  await straight.run(end);
  await straight.save(`${folder}/straight`);
  let machine = await SystemMachine.create({ ...options, ...again(), stdout: pieces.stdout });
  for (const cut of cuts) {
    await machine.run(cut - machine.instructions);
    await machine.save(`${folder}/cut`);
    await machine.close();
    machine = await SystemMachine.load(`${folder}/cut`, {
      ...again(),
      tier: tiers[loads++ % tiers.length],
      stdout: pieces.stdout,
    });
  }
  await machine.run(end - machine.instructions);
  await machine.save(`${folder}/pieces`);
  assertEquals(machine.cpu.getRegister("pc"), straight.cpu.getRegister("pc"));
  assertEquals(machine.instructions, straight.instructions);
  await machine.close();
  assertEquals(pieces.text(), whole.text());
  const [one, other] = [`${folder}/straight`, `${folder}/pieces`].map((path) =>
    Deno.readFileSync(path)
  );
  assertEquals(one.length, other.length);
  assert(one.every((byte, i) => byte === other[i]), "registers, memory or devices differ");
  return whole.text();
}

const PROGRAMS: [name: string, sources: string[], backdoor: boolean][] = [
  ["interrupts", [], false],
  ["paging", [], false],
  ["pci", [], false],
  ["channel", ["guest/lib/trapdoor.c"], true],
];

for (const xlen of [64, 32] as const) {
  for (const [name, sources, backdoor] of PROGRAMS) {
    testWith(
      [BARE_METAL_GCC],
      `SystemMachine.load with ${xlen} bits goes on as if nothing had been when ${name} is saved`,
      () =>
        withFolder(async (folder) => {
          const kernel = await buildBareMetal(name, xlen, folder, sources);
          const options: SystemMachineOptions = {
            bios: "none",
            kernel,
            harts: backdoor ? 8 : 2,
            memory: 16 << 20,
            icount: true,
            virtio: "pci",
          };
          const again = () => backdoor ? { backdoor: callbacks(), report: () => {} } : {};
          await using first = await SystemMachine.create({
            ...options,
            ...again(),
            stdout: "null",
          });
          const { reason, instructions } = await first.run(50_000_000);
          assertEquals(reason, "poweroff");
          const at = (part: number) => Math.floor(instructions * part);
          const text = await compare(
            folder,
            options,
            again,
            [0.07, 0.4, 0.41, 0.8].map(at),
            at(0.95),
          );
          assert(text.length > 100, text);
        }),
    );
  }
}

testUnless(
  missingForLinux(),
  "SystemMachine.load goes on as if nothing had been when Linux with two harts is saved as it boots",
  () =>
    withFolder(async (folder) => {
      const files = await linuxFiles();
      const initrd = await makeInitrd(files, "#!/bin/busybox sh\n/bin/busybox poweroff -f\n", []);
      const options: SystemMachineOptions = {
        kernel: files.kernel,
        initrd,
        append: "earlycon=sbi console=ttyS0",
        harts: 2,
        icount: true,
        virtio: "pci",
      };
      const disk = new MemoryDrive(new Uint8Array(4096));
      const attached = () => ({ drives: [disk], network: "user", shares: [folder] });
      const text = await compare(folder, options, attached, [250e6], 400e6, ["auto"]);
      assertStringIncludes(text, "Linux version");
    }),
);

Deno.test("SystemMachine.load has what restarts the machine when the guest restarts it", () =>
  withFolder(async (folder) => {
    const [before, after] = [collect(), collect()];
    const path = `${folder}/snapshot`;
    await using machine = await SystemMachine.create({
      bios: "none",
      kernel: RESTARTING,
      memory: 4 << 20,
      icount: true,
      stdout: before.stdout,
    });
    await machine.run(200_000);
    await machine.save(path);
    assertEquals(before.text(), "aa");
    await using again = await SystemMachine.load(path, { stdout: after.stdout });
    assertEquals(again.instructions, machine.instructions);
    await again.run(300_000);
    assertEquals(after.text(), "aa");
  }));

Deno.test("SystemMachine.save keeps changes of disks that are forgotten otherwise", () =>
  withFolder(async (folder) => {
    const make = () => new MemoryDrive(new Uint8Array(4 * SECTOR));
    const [base, other] = [make(), make()], changed = new SnapshotDrive(base), full = make();
    changed.write(2, new Uint8Array(SECTOR).fill(7));
    full.bytes[5] = 8;
    const options = { bios: "none", kernel: RESTARTING, memory: 4 << 20 } as const;
    await using machine = await SystemMachine.create({ ...options, drives: [changed, full] });
    await machine.save(`${folder}/snapshot`);
    const [first, second] = [new SnapshotDrive(other), make()];
    const load = (drives: SystemLoadOptions["drives"] & unknown[]) =>
      SystemMachine.load(`${folder}/snapshot`, { drives });
    await using _again = await load([first, second]);
    const buffer = new Uint8Array(SECTOR);
    first.read(2, buffer);
    assertEquals([buffer[0], buffer[SECTOR - 1], other.bytes[2 * SECTOR], second.bytes[5]], [
      7,
      7,
      0,
      8,
    ]);
    const small = new MemoryDrive(new Uint8Array(SECTOR));
    await assertRejects(() => load([first]), MachineError, "had 2 disks, and there are 1");
    await assertRejects(
      () => load([first, small]),
      MachineError,
      "disk 1 had 4 sectors, and memory has 1",
    );
    await Deno.writeFile(`${folder}/disk`, new Uint8Array(4 * SECTOR));
    await assertRejects(
      () => load([`${folder}/disk`, second]),
      MachineError,
      "use the same kind of disk",
    );
  }));

/** Machines of which one has, and the other lacks, what can't be in a snapshot. */
Deno.test("SystemMachine.load says what is missing when the options don't fit", () =>
  withFolder(async (folder) => {
    const base = { bios: "none", kernel: RESTARTING, memory: 4 << 20 } as const;
    const geometry = { ...DEFAULT_GEOMETRY, maxClients: 3 };
    await using full = await SystemMachine.create({
      ...base,
      backdoor: { call: () => 0 },
      backdoorGeometry: geometry,
      virtioConsole: () => {},
    });
    await full.save(`${folder}/full`);
    await using plain = await SystemMachine.create(base);
    await plain.save(`${folder}/plain`);
    const fails = (name: string, options: SystemLoadOptions, message: string) =>
      assertRejects(() => SystemMachine.load(`${folder}/${name}`, options), MachineError, message);
    await fails("full", {}, "had a virtio console");
    await fails("full", { virtioConsole: () => {} }, "name its callback module");
    await fails("plain", { virtioConsole: () => {} }, "had no virtio console");
    await fails("plain", { backdoor: { call: () => 0 } }, "name no callback module");
    await fails("nothing", {}, "there is no such file");
    let clients = 0;
    const backdoor = {
      init: (channel: { maxClients: number }) => void (clients = channel.maxClients),
    };
    await using _full = await SystemMachine.load(`${folder}/full`, {
      backdoor,
      virtioConsole: () => {},
    });
    assertEquals(clients, 3);
  }));

Deno.test("SystemMachine.load refuses a snapshot when it is damaged, truncated or of another version", () =>
  withFolder(async (folder) => {
    const path = `${folder}/snapshot`;
    await using machine = await SystemMachine.create({
      bios: "none",
      kernel: RESTARTING,
      memory: 4 << 20,
      icount: true,
      stdout: "null",
    });
    await machine.run(100);
    await machine.save(path);
    const good = await Deno.readFile(path);
    await using _good = await SystemMachine.load(good);
    const fails = async (bytes: Uint8Array, message: string) => {
      const { message: text } = await assertRejects(() => SystemMachine.load(bytes), MachineError);
      assertStringIncludes(text, "Cannot load the snapshot in memory: ");
      assertStringIncludes(text, message);
    };
    await fails(new Uint8Array(), "no snapshot");
    await fails(RESTARTING, "no snapshot");
    const newer = good.slice();
    newer[8] = SNAPSHOT_VERSION + 1;
    await fails(newer, `its format is version ${SNAPSHOT_VERSION + 1}, and this Trapdoor reads`);
    for (const length of [8, 15]) await fails(good.subarray(0, length), "no snapshot");
    for (let i = 0; i < 12; i++) {
      const length = 16 + Math.floor((good.length - 17) * i / 11);
      await fails(good.subarray(0, length), "truncated or damaged");
    }
    // Every bit of the compressed part. Some mean the same, such as another distance in a row of zeros.
    let refused = 0;
    for (let i = 0; i < 200; i++) {
      const at = 26 + Math.floor((good.length - 27) * i / 199), bad = good.slice();
      bad[at] ^= 1 << i % 8;
      try {
        await using same = await SystemMachine.load(bad);
        await same.save(`${folder}/same`);
        assertEquals(await Deno.readFile(`${folder}/same`), good);
      } catch (error) {
        assert(error instanceof MachineError && error.message.includes("damaged"), String(error));
        refused++;
      }
    }
    assert(refused > 150, `${refused} refused`);
  }));

/** A snapshot with its records changed, and a right checksum of compression. */
async function rewrite(
  good: Uint8Array,
  change: (
    body: Uint8Array<ArrayBuffer>,
  ) => Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>,
): Promise<Uint8Array> {
  const through = (bytes: Uint8Array<ArrayBuffer>, stream: GenericTransformStream) =>
    new Response(new Blob([bytes]).stream().pipeThrough(stream as ReadableWritablePair)).bytes();
  const body = await through(good.slice(16), new DecompressionStream("gzip"));
  const packed = await through(
    await change(body as Uint8Array<ArrayBuffer>),
    new CompressionStream("gzip"),
  );
  const bytes = new Uint8Array(16 + packed.length);
  bytes.set(good.subarray(0, 16));
  bytes.set(packed, 16);
  return bytes;
}

Deno.test("SystemMachine.load refuses a snapshot when somebody has changed it", () =>
  withFolder(async (folder) => {
    const path = `${folder}/snapshot`;
    await using machine = await SystemMachine.create({
      bios: "none",
      kernel: RESTARTING,
      memory: 4 << 20,
      icount: true,
      stdout: "null",
    });
    await machine.run(100);
    await machine.save(path);
    const good = await Deno.readFile(path);
    const text = (from: string, to: string) => (body: Uint8Array<ArrayBuffer>) => {
      const latin = new TextDecoder("latin1").decode(body);
      assertStringIncludes(latin, from);
      assertEquals(from.length, to.length);
      const at = latin.indexOf(from);
      body.set(new TextEncoder().encode(to), at);
      return body;
    };
    const changes: [(body: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>, string][] = [
      [text('"icount":true', '"icount":null'), ""],
      [text('"harts":1', '"harts":9'), "made.harts"],
      [text('"memory":4194304', '"memory":9999999'), ""],
      [text('"memory":4194304', '"memory":-999999'), "made.memory"],
      [text('"xlen":64', '"xlen":32'), ""],
      [text('"pc":{"#":"', '"pc":{"!":"'), ""],
      [text("STAT", "STOP"), "does not begin with a state"],
      [text("PAGE", "MORE"), "checksum"],
      [text("HASH", "PAGE"), ""],
      [text('{"made"', '{{made"'), "its state can't be read"],
      [(body) => (body[body.length - 1] ^= 1, body), "its checksum is wrong"],
      [(body) => body.slice(0, -40), ""],
      [(body) => body.slice(0, -1), ""],
      [(body) => (new DataView(body.buffer).setUint32(4, 0xffff_ffff, true), body), ""],
      [(body) => new Uint8Array(body.length), ""],
    ];
    for (const [change, message] of changes) {
      const bad = await rewrite(good, change);
      await assertRejects(() => SystemMachine.load(bad), MachineError, message);
    }
    await using _same = await SystemMachine.load(await rewrite(good, (body) => body));
  }));

/** A snapshot with another state, and a right checksum. */
function withState(good: Uint8Array, change: (text: string) => string): Promise<Uint8Array> {
  return rewrite(good, async (body) => {
    const digest = async (bytes: Uint8Array<ArrayBuffer>) =>
      new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let chain = new Uint8Array(32);
    for (let at = 0; at < body.length;) {
      const length = new DataView(body.buffer, body.byteOffset).getUint32(at + 4, true);
      let record = body.slice(at, at + 8 + length);
      at += 8 + length;
      if (at === body.length) record.set(chain, 8);
      if (parts.length === 0) {
        const text = new TextEncoder().encode(change(new TextDecoder().decode(record.slice(8))));
        const changed = new Uint8Array(8 + text.length);
        changed.set(record.slice(0, 4));
        new DataView(changed.buffer).setUint32(4, text.length, true);
        changed.set(text, 8);
        record = changed;
      }
      parts.push(record);
      chain = await digest(
        new Uint8Array([...chain, ...await digest(record)]),
      );
    }
    return new Uint8Array(await new Blob(parts).arrayBuffer());
  });
}

Deno.test("SystemMachine.load takes or refuses any state, and what it takes runs without harm", () =>
  withFolder(async (folder) => {
    const path = `${folder}/snapshot`, next = xorshiftBelow(4242);
    await using machine = await SystemMachine.create({
      bios: "none",
      kernel: RESTARTING,
      memory: 4 << 20,
      icount: true,
      stdout: "null",
      virtio: "pci",
      backdoor: { call: () => 0 },
    });
    await machine.run(150_000);
    await machine.save(path);
    const good = await Deno.readFile(path);
    // With its own state it is what it was.
    const own = { backdoor: { call: () => 0 }, stdout: "null", report: () => {} } as const;
    await using _same = await SystemMachine.load(await withState(good, (text) => text), own);
    let taken = 0, refused = 0;
    for (let i = 0; i < 300; i++) {
      // A value somewhere becomes another one; blobs, which have their order, stay.
      const values = ["0", "1", "-1", "4294967295", "1e300", "true", "false", '""', "[]", "{}"];
      const large = ['{"#":"0"}', '{"#":"-1"}', '{"#":"18446744073709551615"}', "0.5", "null", "3"];
      const other = [...values, ...large][next(16)];
      let at = -1;
      const change = (text: string) => {
        const leaves = [
          ...text.matchAll(/(?<=":|\[|,)(\{"#":"-?\d+"\}|-?\d+|true|false)(?=[,}\]])/g),
        ]
          .filter(({ index }) => !/"(@|bytes)":$/.test(text.slice(Math.max(0, index - 8), index)));
        const leaf = leaves[next(leaves.length)];
        at = leaf.index;
        return text.slice(0, at) + other + text.slice(at + leaf[0].length);
      };
      const bad = await withState(good, change);
      let loaded: SystemMachine;
      try {
        loaded = await SystemMachine.load(bad, own);
      } catch (error) {
        assert(error instanceof MachineError, `${other} at ${at}: ${error}`);
        refused++;
        continue;
      }
      taken++;
      const { reason } = await loaded.run(200_000 + loaded.instructions % 7);
      assert(["limit", "deadlock", "poweroff"].includes(reason), reason);
      await loaded.close();
    }
    assert(taken > 20 && refused > 100, `${taken} taken, ${refused} refused`);
  }));

Deno.test("SystemMachine.save leaves no file behind when it can't be written", () =>
  withFolder(async (folder) => {
    await using machine = await SystemMachine.create({
      bios: "none",
      kernel: RESTARTING,
      memory: 4 << 20,
      stdout: "null",
    });
    await Deno.mkdir(`${folder}/taken`);
    await Deno.writeTextFile(`${folder}/taken/file`, "");
    await assertRejects(
      () => machine.save(`${folder}/no/where`),
      MachineError,
      "Cannot write the snapshot",
    );
    await assertRejects(
      () => machine.save(`${folder}/taken`),
      MachineError,
      "Cannot write the snapshot",
    );
    await assertRejects(
      () => machine.save(new URL("https://host/x")),
      MachineError,
      "no file: URL",
    );
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["taken"]);
    machine.stop(3);
    await machine.run();
    await assertRejects(
      () => machine.save(`${folder}/late`),
      MachineError,
      "the machine has ended",
    );
  }));

Deno.test("SystemMachine.save waits for the run loop when the machine runs", () =>
  withFolder(async (folder) => {
    await using machine = await SystemMachine.create({
      bios: "none",
      kernel: RESTARTING,
      memory: 4 << 20,
      stdout: "null",
    });
    const running = machine.run(1e9);
    const saved = machine.save(`${folder}/one`).then(() => machine.save(`${folder}/two`));
    await saved;
    machine.stop(5);
    assertEquals((await running).reason, "stopped");
    for (const name of ["one", "two"]) {
      await using again = await SystemMachine.load(`${folder}/${name}`, { stdout: "null" });
      assertEquals((await again.run(100_000)).reason, "limit");
    }
  }));

/** li a7, 1 (CALL); li a1, 1; backdoor; li t0, 0x100000; lui t1, 0x5; addi t1, 0x555; sw; j . */
const CALLING = new Uint8Array(
  new Uint32Array([
    ...[0x00100893, 0x00100593, 0x7bd02013, 0x001002b7, 0x00005337, 0x55530313, 0x0062a023],
    0x0000006f,
  ]).buffer,
);

Deno.test("Cpu.save saves the machine behind the call when a callback asks for it, and may stop it", () =>
  withFolder(async (folder) => {
    let results = 0;
    const make = (path: string) => ({
      bios: "none" as const,
      kernel: CALLING,
      memory: 4 << 20,
      backdoor: {
        call: (cpu: { save(path: string): void; stop(status: number): void }) => {
          results++;
          cpu.save(path);
          cpu.stop(9);
          return 42;
        },
      },
    });
    await using machine = await SystemMachine.create(make(`${folder}/snapshot`));
    const { reason } = await machine.run(1000);
    assertEquals([reason, results], ["stopped", 1]);
    await using again = await SystemMachine.load(`${folder}/snapshot`, {
      backdoor: { call: () => 0 },
    });
    assertEquals(again.cpu.getRegister("a0"), 42n);
    assertEquals((await again.run(1000)).reason, "poweroff");
    // That it fails is reported.
    const reports: string[] = [];
    await using bad = await SystemMachine.create({
      ...make(`${folder}/no/where`),
      report: (message) => reports.push(message),
    });
    await bad.run(1000);
    assertEquals(reports.length, 1);
    assertStringIncludes(reports[0], "Cannot write the snapshot");
  }));

Deno.test("Cpu.save throws when it is a program that calls", async () => {
  const reports: string[] = [];
  await using machine = await Machine.user({
    ...CONFIGURED,
    program: file("guest/bin/riscv64/hello"),
    stdout: "null",
    report: (message) => reports.push(message),
    backdoor: { call: (cpu) => cpu.save("x") },
  });
  await machine.run();
  assertStringIncludes(reports[0], "only a machine in system mode can be saved");
});

Deno.test("Console asks for a snapshot when Ctrl-A s is typed", async () => {
  const input = [Uint8Array.of(1, 115, 120), null];
  let wanted = 0;
  const console = new Console(
    {
      read: (buffer: Uint8Array) => {
        const bytes = input.shift();
        if (bytes) buffer.set(bytes);
        return Promise.resolve(bytes ? bytes.length : null);
      },
    },
    { write: (bytes: Uint8Array) => bytes.length },
    true,
  );
  console.onSave = () => wanted++;
  console.open();
  while (!console.pending) await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals([wanted, console.receive()], [1, 120]);
  console.close();
});

Deno.test("the command line saves at the limit and goes on there when it is told to", () =>
  withFolder(async (folder) => {
    await Deno.writeFile(`${folder}/program`, RESTARTING);
    const path = `${folder}/snapshot`;
    const common = ["--machine", "virt", "--max-instructions", "140000"];
    const saved = await trapdoor([
      ...common,
      ...["--icount", "--bios", "none", "--save", path, `${folder}/program`],
    ]);
    assertEquals([saved.code, saved.stdout], [124, "aa"]);
    const loaded = await trapdoor([...common, "--load", path, "--save", `${path}2`]);
    assertEquals([loaded.code, loaded.stdout], [124, "a"]);
    const cases: [args: string[], message: string][] = [
      [["--load", `${folder}/program`], "it is no snapshot"],
      [["--load", path, "--smp", "2"], "--smp: the snapshot"],
      [["--load", path, "--icount"], "--icount: the snapshot"],
      [["--load", path, "--memory", "1M"], "--memory: the snapshot"],
      [["--load", path, `${folder}/program`], "has its program"],
      [["--load", path, "--backdoor", "guest/examples/hello.ts"], "had no backdoor"],
    ];
    for (const [args, message] of cases) {
      const { code, stderr } = await trapdoor(args);
      assert(code === 1 || code === 2, `${args}: ${code}`);
      assertStringIncludes(stderr, message);
    }
  }));
