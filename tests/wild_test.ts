/**
 * Guests that hand the backdoor nonsense: wild pointers, rings of garbage, stores anywhere. Whatever it is, the guest
 * is answered or killed, the host goes on, and no memory changes but what the guest itself may write.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Config, Control, Doorbell, Kind, Ring, Status } from "../backdoor/protocol.ts";
import type { CallbackModule } from "../backdoor/types.ts";
import { Machine, type RunResult } from "../machine/machine.ts";
import { CONFIGURED } from "./configuration.ts";
import { makeElf } from "./elf_maker.ts";
import { xorshift } from "./xorshift.ts";

const TEXT = 0x1_0000, DATA = 0x2_0000, DATA_SIZE = 0x4000;
const MEMORY = 8 << 20;
const CLIENTS = 2;
const GEOMETRY = { maxClients: CLIENTS, clientDataSize: 4096, ringSize: 4096 };

/** The guest's text: one instruction of each kind. Stores are of t1 (ft1) to where t0 points. */
const WORDS = {
  trapdoor: 0x7bd02013,
  ecall: 0x73,
  sb: 0x00628023,
  sh: 0x00629023,
  sw: 0x0062a023,
  sd: 0x0062b023,
  fsw: 0x0012a027,
  fsd: 0x0012b027,
  amoaddw: 0x0062a3af,
  amoswapw: 0x0862a3af,
  lrw: 0x1002a3af,
  scw: 0x1862a3af,
  cbozero: 0x0042a00f,
  lw: 0x0002a303,
};
type Instruction = keyof typeof WORDS;

const SYS = {
  openat: 56,
  close: 57,
  lseek: 62,
  read: 63,
  write: 64,
  pread: 67,
  fstat: 80,
  mremap: 216,
};
const MAP = { munmap: 215, mmap: 222, mprotect: 226, madvise: 233, ftruncate: 46, exit: 93 };

/** A guest that executes one instruction at a time, with the registers that the test wants. */
class Guest implements AsyncDisposable {
  readonly machine: Machine;
  readonly width: 32 | 64;
  readonly reports: string[];
  /** Addresses of the areas; set by {@linkcode attach}. */
  config = 0;
  control = 0;
  data = 0;
  result: RunResult | undefined;

  private constructor(machine: Machine, width: 32 | 64, reports: string[]) {
    this.machine = machine;
    this.width = width;
    this.reports = reports;
  }

  static async make(width: 32 | 64, backdoor: CallbackModule): Promise<Guest> {
    const words = new Uint8Array(Int32Array.from(Object.values(WORDS)).buffer);
    const reports: string[] = [];
    const machine = await Machine.user({
      program: makeElf({
        class: width,
        entry: TEXT,
        segments: [
          { address: TEXT, bytes: words },
          { address: DATA, flags: 6, memorySize: DATA_SIZE },
        ],
      }),
      ...{ memory: MEMORY, stdin: "null", stdout: "null", stderr: "null", ...CONFIGURED },
      backdoor,
      backdoorGeometry: GEOMETRY,
      report: (message) => reports.push(message),
    });
    const guest = new Guest(machine, width, reports);
    await guest.attach();
    return guest;
  }

  async attach(): Promise<void> {
    assertEquals(await this.request(Kind.ATTACH), Status.OK);
    [this.config, this.data, this.control] = [0, 1, 2].map((i) => Number(this.register(`a${i}`)));
  }

  register(name: string): bigint {
    return this.machine.cpu.getRegister(name);
  }

  /** Executes one instruction; false if that ended the guest. */
  async step(name: Instruction, registers: Record<string, bigint | number>): Promise<boolean> {
    const { cpu } = this.machine;
    for (const [register, value] of Object.entries(registers)) {
      cpu.setRegister(register, BigInt(value));
    }
    cpu.setRegister("pc", TEXT + 4 * Object.keys(WORDS).indexOf(name));
    this.result = await this.machine.run(1);
    return this.result.reason === "limit";
  }

  /** Makes a request by the instruction; returns the status, sign-extended. */
  async request(kind: bigint | number, ...args: (bigint | number)[]): Promise<number> {
    const registers: Record<string, bigint | number> = { a7: kind, a6: -1 };
    args.forEach((value, i) => registers[`a${i}`] = value);
    assert(await this.step("trapdoor", registers), Deno.inspect(this.result));
    return Number(BigInt.asIntN(this.width, this.register("a6")));
  }

  /** Makes a system call; returns its result, signed. */
  async syscall(number: number, ...args: (bigint | number)[]): Promise<number> {
    const registers: Record<string, bigint | number> = { a7: number };
    for (let i = 0; i < 6; i++) registers[`a${i}`] = args[i] ?? 0;
    assert(await this.step("ecall", registers), Deno.inspect(this.result));
    return Number(BigInt.asIntN(this.width, this.register("a0")));
  }

  /** Opens one of the channel's files. */
  open(name: string, flags = 2): Promise<number> {
    this.machine.memory.write(DATA, new TextEncoder().encode(`/dev/trapdoor/${name}\0`));
    return this.syscall(SYS.openat, -100, DATA, flags);
  }

  /** All of guest memory but the areas of the channel. */
  outside(): Uint8Array {
    const { m8 } = this.machine.memory.arena;
    const end = this.data + 2 * 4096 + Math.ceil(2 * (Ring.BUFFER + 4096) / 4096) * 4096;
    const copy = m8.slice();
    copy.fill(0, this.config, end);
    return copy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine.close();
  }
}

/** Callbacks that answer and count. */
function counting(): CallbackModule & { calls: number; events: number } {
  const callbacks = {
    calls: 0,
    events: 0,
    call: () => ++callbacks.calls,
    event: () => void callbacks.events++,
  };
  return callbacks;
}

/** Numbers at which something may break. */
const EXTREMES = [
  ...[0n, 1n, 2n, 3n, 7n, 8n, 63n, 64n, 4095n, 4096n, 65535n, 65536n, 0x7fff_fff8n, 0x7fff_ffffn],
  ...[0x8000_0000n, 0xffff_fff8n, 0xffff_ffffn, 1n << 32n, (1n << 32n) + 8n, 1n << 53n],
  ...[
    (1n << 53n) + 2n,
    1n << 62n,
    1n << 63n,
    (1n << 64n) - 4096n,
    (1n << 64n) - 8n,
    (1n << 64n) - 1n,
  ],
];

for (const width of [64, 32] as const) {
  Deno.test(`CALL_BLOCK answers INVALID and changes nothing when a ${width}-bit pointer is wild`, async () => {
    const callbacks = counting();
    await using guest = await Guest.make(width, callbacks);
    const { memory } = guest.machine;
    const wild = [
      ...EXTREMES,
      ...[TEXT, TEXT + 8, DATA - 8, DATA + 1, DATA + 4, DATA + DATA_SIZE, DATA + DATA_SIZE - 8],
      // An image has 56 bytes: these reach into the page after.
      ...[DATA + DATA_SIZE - 48, MEMORY - 8, MEMORY, MEMORY + 8, MEMORY - 4096],
      ...[guest.config, guest.config + 8, guest.control, guest.control + 64, guest.control - 8],
    ].map((value) => BigInt.asUintN(width, BigInt(value)));
    const before = guest.outside();
    for (const address of wild) {
      for (const client of [0, CLIENTS - 1]) {
        const status = await guest.request(Kind.CALL_BLOCK, client, address);
        assertEquals(status, Status.INVALID, `address 0x${address.toString(16)}`);
      }
    }
    assertEquals(callbacks.calls, 0);
    assertEquals(guest.outside(), before);
    // A good one, with a command that is too large for one.
    const at = DATA + DATA_SIZE - 56;
    for (
      const [command, expected] of [[5n, 0], [1n << 32n, 4], [1n << 63n, 4], [-5n, 0]] as const
    ) {
      memory.writeU64(at, BigInt.asUintN(64, command));
      memory.writeU64(at + Control.STATUS, 2n ** 64n - 1n);
      assertEquals(await guest.request(Kind.CALL_BLOCK, 0, at), expected);
      assertEquals(memory.readU64(at + Control.STATUS), BigInt(expected));
    }
    assertEquals(callbacks.calls, 2);
    // Its own data area is memory like any other.
    assertEquals(await guest.request(Kind.CALL_BLOCK, 0, guest.data), Status.OK);
  });

  Deno.test(`every ${width}-bit request is answered when all of it is random`, async () => {
    const callbacks = counting();
    await using guest = await Guest.make(width, callbacks);
    const random = xorshift(width);
    const value = () => {
      const some = EXTREMES[random() % EXTREMES.length];
      return random() % 4 ? some : BigInt(random()) << 32n | BigInt(random());
    };
    const before = guest.outside(), seen = new Map<number, number>();
    for (let i = 0; i < 6000; i++) {
      let kind = random() % 3 ? BigInt(random() % 7) : value();
      // What a good block changes is another test's.
      if (kind === BigInt(Kind.CALL_BLOCK) && random() % 2) kind = 99n;
      const args = Array.from({ length: 6 }, () => random() % 3 ? value() : BigInt(random() % 3));
      const status = await guest.request(kind, ...args);
      seen.set(status, (seen.get(status) ?? 0) + 1);
    }
    assertEquals([...seen.keys()].sort(), [Status.OK, Status.VERSION, Status.INVALID]);
    for (const [status, count] of seen) assert(count > 20, `status ${status}: ${count} times`);
    assertEquals(guest.outside(), before);
    assert(callbacks.calls > 20);
    await guest.attach();
    assertEquals(await guest.request(Kind.CALL, 0, 1, 0, 0, 0, 0), Status.OK);
  });
}

Deno.test("every store to the control area is a call, an INVALID or memory when it is random", async () => {
  const callbacks = counting();
  await using guest = await Guest.make(64, callbacks);
  const { memory } = guest.machine, random = xorshift(77);
  const sizes = { sb: 1, sh: 2, sw: 4, sd: 8, fsw: 4, fsd: 8 } as const;
  const names = Object.keys(sizes) as (keyof typeof sizes)[];
  const config = memory.read(guest.config, 4096), before = guest.outside();
  let rung = 0, invalid = 0;
  for (let i = 0; i < 6000; i++) {
    const name = names[random() % names.length], size = sizes[name];
    // Mostly slots that are clients', and at their doorbells.
    const slot = random() % (random() % 4 ? CLIENTS : 64);
    const at = random() % 2 ? Control.DOORBELL + random() % 8 : random() % 64;
    const offset = Math.min(64 * slot + at, 4096 - size);
    const value = random() % 2 ? BigInt(random() % 4) : EXTREMES[random() % EXTREMES.length];
    const status = guest.control + 64 * (offset >> 6) + Control.STATUS;
    const { calls } = callbacks;
    assert(await guest.step(name, { t0: guest.control + offset, t1: value, ft1: value }));
    if ((offset & 63) === Control.DOORBELL) {
      rung++;
      const known = slot < CLIENTS;
      const bits = BigInt.asUintN(8 * size, value);
      if (known && bits === BigInt(Doorbell.CALL)) {
        // Called, unless the slot's command is out of range.
        const answered = memory.readU64(status);
        assert(answered === BigInt(Status.INVALID) || callbacks.calls === calls + 1);
      } else {
        assertEquals(callbacks.calls, calls, `${name} of ${value} at ${offset}`);
        const flush = known && bits === BigInt(Doorbell.FLUSH);
        assertEquals(memory.readU64(status), BigInt(flush ? Status.OK : Status.INVALID));
        if (!flush) invalid++;
      }
    }
    assertEquals(memory.readU64(guest.control + 64 * (offset >> 6) + Control.DOORBELL), 0n);
  }
  assert(
    rung > 300 && invalid > 100 && callbacks.calls > 20,
    `${[rung, invalid, callbacks.calls]}`,
  );
  assertEquals(memory.read(guest.config, 4096), config);
  assertEquals(guest.outside(), before);
});

Deno.test("a store at the edge of the control area or of another kind faults or is answered", async () => {
  const ends = new Map<string, string>();
  const tries: [Instruction, (guest: Guest) => number][] = [
    ["sd", (guest) => guest.config],
    ["sd", (guest) => guest.control - 4],
    ["sd", (guest) => guest.control + 4096 - 4],
    ["sw", (guest) => guest.control + 4096 - 4],
    ["cbozero", (guest) => guest.control],
    ["amoaddw", (guest) => guest.control + Control.DOORBELL],
    ["amoswapw", (guest) => guest.control + 8],
    ["scw", (guest) => guest.control + Control.DOORBELL],
    ["sw", (guest) => guest.config + Config.VERSION],
  ];
  for (const [name, where] of tries) {
    const callbacks = counting();
    await using guest = await Guest.make(64, callbacks);
    const { memory } = guest.machine, at = where(guest);
    const config = memory.read(guest.config, 4096), before = guest.outside();
    if (name === "scw") await guest.step("lrw", { t0: at });
    const going = await guest.step(name, { t0: at, t1: 1 });
    const result = guest.result!;
    if (!going) {
      assert(result.reason === "signal", Deno.inspect(result));
      assertEquals([result.signal, result.pc], [11, guest.register("pc")]);
    }
    const calls = callbacks.calls > 0 ? `, ${callbacks.calls} calls` : "";
    ends.set(`${name} ${at - guest.control}`, (going ? "goes on" : "faults") + calls);
    assertEquals(memory.arena.m8.slice(guest.config, guest.config + 4096), config);
    assertEquals(guest.outside(), before);
  }
  assertEquals(Object.fromEntries(ends), {
    "sd -4096": "faults",
    "sd -4": "faults",
    "sd 4092": "goes on",
    "sw 4092": "goes on",
    "cbozero 0": "faults",
    "amoaddw 56": "goes on, 1 calls",
    "amoswapw 8": "goes on",
    "scw 56": "goes on, 1 calls",
    "sw -4088": "faults",
  });
});

Deno.test("a ring of garbage is emptied, whatever asks for it, and harms nothing outside", async () => {
  const callbacks = counting();
  await using guest = await Guest.make(64, callbacks);
  const { memory } = guest.machine, random = xorshift(4711);
  const ring = guest.data + Number(memory.readU64(guest.config + Config.RING_OFFSET));
  const stride = Number(memory.readU64(guest.config + Config.RING_STRIDE));
  const size = Number(memory.readU64(guest.config + Config.RING_SIZE));
  const before = guest.outside(), statuses = new Set<number>();
  for (let i = 0; i < 3000; i++) {
    const client = random() % CLIENTS, header = ring + client * stride;
    const head = memory.readU32(header + Ring.HEAD), kind = random() % 6;
    if (kind === 0) memory.writeU32(header + Ring.HEAD, random());
    else if (kind === 1) memory.writeU32(header + Ring.HEAD, (head + random() % (2 * size)) >>> 0);
    else if (kind === 2) memory.writeU32(header + Ring.TAIL, random());
    else if (kind === 3) {
      const bytes = new Uint8Array(size);
      for (let at = 0; at < size; at++) bytes[at] = random() >>> 24;
      memory.write(header + Ring.BUFFER, bytes);
      memory.writeU32(header + Ring.HEAD, (head + (random() % size & ~7)) >>> 0);
    } else {
      // Good records, but for one that is not.
      for (let n = random() % 20, at = head; n > 0; n--) {
        const record = header + Ring.BUFFER + (at & (size - 1));
        const length = random() % 60 ? 8 * (1 + random() % 4) : random();
        if ((at & (size - 1)) + 8 > size) break;
        memory.writeU32(record, length >>> 0);
        memory.writeU32(record + 4, random() % 4 ? 7 : Ring.PAD);
        at = (at + length) >>> 0;
        memory.writeU32(header + Ring.HEAD, at);
      }
    }
    const how = random() % 4;
    if (how === 0) statuses.add(await guest.request(Kind.FLUSH, client));
    else if (how === 1) {
      assertEquals(await guest.request(Kind.CALL, client, 1, 0, 0, 0, 0), Status.OK);
    } else if (how === 2) {
      const bell = guest.control + 64 * client + Control.DOORBELL;
      assert(await guest.step("sw", { t0: bell, t1: Doorbell.FLUSH }));
      statuses.add(memory.readU32(guest.control + 64 * client + Control.STATUS));
    }
    if (how === 1 || how === 3) continue;
    const rest = memory.readU32(header + Ring.HEAD) - memory.readU32(header + Ring.TAIL);
    assertEquals(rest, 0, "it is empty afterwards");
  }
  assertEquals([...statuses].sort(), [Status.OK, Status.INVALID]);
  assert(callbacks.events > 200, `${callbacks.events}`);
  assertEquals(guest.outside(), before);
  assert(guest.reports.length < 10, "one message a ring, not one a record");
  assert(guest.reports.every((text) => /held nonsense/.test(text)), guest.reports.join("\n"));
});

Deno.test("the areas stay the host's when the guest unmaps, protects or maps over them", async () => {
  const callbacks = counting();
  await using guest = await Guest.make(64, callbacks);
  const { memory } = guest.machine, { config, control, data } = guest;
  const call = () => guest.request(Kind.CALL, 1, 1, 0, 0, 0, 0);
  const ENOMEM = -12, EINVAL = -22;
  assertEquals(await guest.syscall(MAP.munmap, config, 3 * 4096), 0);
  assertEquals([memory.isReadable(config, 1), memory.isFree(config, 4096)], [false, false]);
  assertEquals([await call(), callbacks.calls], [Status.OK, 1]);
  assertEquals(await guest.request(Kind.FLUSH, 0), Status.OK);
  // mmap(MAP_FIXED | MAP_ANONYMOUS | MAP_PRIVATE) over each, and over a part with its neighbours.
  for (
    const [at, size] of [[config, 4096], [control, 4096], [data, 4096], [config - 4096, 16384]]
  ) {
    assertEquals(await guest.syscall(MAP.mmap, at, size, 3, 0x32, -1, 0), ENOMEM);
    assertEquals(await guest.syscall(MAP.mmap, at, size, 3, 0x10_0022, -1, 0) < 0, true);
    assertEquals(await guest.syscall(SYS.mremap, DATA, 4096, size, 3, at), ENOMEM);
  }
  for (const at of [config, control, data]) {
    assertEquals(await guest.syscall(SYS.mremap, at, 4096, 8192, 1), EINVAL);
  }
  // A hint is only a hint.
  const elsewhere = await guest.syscall(MAP.mmap, data, 4096, 3, 0x22, -1, 0);
  assert(elsewhere > 0 && (elsewhere + 4096 <= config || elsewhere >= data + 4096));
  // Rights may be taken away and given; what is in them may be thrown away.
  for (const at of [config, control, data]) {
    for (const prot of [0, 1, 3, 7]) {
      assertEquals(await guest.syscall(MAP.mprotect, at, 4096, prot), 0);
      assertEquals(await call(), Status.OK);
    }
    await guest.syscall(MAP.madvise, at, 4096, 4);
    assertEquals(await call(), Status.OK);
  }
  // Attaching puts everything right.
  await guest.attach();
  assertEquals([guest.config, guest.control, guest.data], [config, control, data]);
  assertEquals(memory.readU64(config + Config.MAX_CLIENTS), BigInt(CLIENTS));
  memory.writeU64(data, 5n);
  assertEquals(memory.isWritable(control, 4096), false);
  const { calls } = callbacks;
  assert(await guest.step("sw", { t0: control + Control.DOORBELL, t1: Doorbell.CALL }));
  assertEquals(callbacks.calls, calls + 1);
  // Detached twice, the areas can't be reached, and a call still can.
  assertEquals(await guest.request(Kind.DETACH), Status.OK);
  assertEquals(await guest.request(Kind.DETACH), Status.OK);
  assertEquals(await call(), Status.OK);
  assertEquals(await guest.step("sw", { t0: control + Control.DOORBELL, t1: 1 }), false);
  assert(
    guest.result?.reason === "signal" &&
      guest.result.address === BigInt(control + Control.DOORBELL),
  );
});

Deno.test("the channel's files refuse what makes no sense", async () => {
  await using guest = await Guest.make(64, counting());
  const EACCES = -13, EINVAL = -22, EFAULT = -14, SHARED = 1, PRIVATE = 2;
  assertEquals(await guest.request(Kind.DETACH), Status.OK);
  const config = await guest.open("config", 0), data = await guest.open("data");
  const control = await guest.open("control");
  assert(config > 2 && data > 2 && control > 2);
  assertEquals(await guest.open("nothing"), -2);
  const tries: [what: string, result: number, ...args: number[]][] = [
    ["private", EINVAL, 0, 4096, 1, PRIVATE, config, 0],
    ["executable", EINVAL, 0, 4096, 5, SHARED, data, 0],
    ["config writable", EACCES, 0, 4096, 3, SHARED, config, 0],
    ["too long", EINVAL, 0, 8192, 1, SHARED, config, 0],
    ["nothing", EINVAL, 0, 0, 1, SHARED, config, 0],
    ["beyond the end", EINVAL, 0, 4096, 1, SHARED, config, 4096],
    ["far beyond the end", EINVAL, 0, 4096, 3, SHARED, data, 2 ** 40],
    ["unaligned", EINVAL, 0, 4096, 3, SHARED, data, 8],
    ["negative offset", EINVAL, 0, 4096, 3, SHARED, data, -4096],
    ["huge", -12, 0, 2 ** 40, 3, SHARED, data, 0],
    ["elsewhere", EINVAL, DATA, 4096, 3, SHARED | 0x10, data, 0],
  ];
  for (const [what, result, ...args] of tries) {
    assertEquals(await guest.syscall(MAP.mmap, ...args), result, what);
  }
  // A second page of the data area, at its place.
  assertEquals(await guest.syscall(MAP.mmap, 0, 4096, 3, SHARED, data, 4096), guest.data + 4096);
  assertEquals(await guest.syscall(MAP.mmap, 0, 4096, 3, SHARED, control, 0), guest.control);
  for (const fd of [config, data, control]) {
    assert(await guest.syscall(SYS.read, fd, DATA, 16) < 0, "there is nothing to read");
    assert(await guest.syscall(MAP.ftruncate, fd, 0) < 0);
    assertEquals(await guest.syscall(SYS.fstat, fd, 8), EFAULT);
    assertEquals(await guest.syscall(SYS.lseek, fd, -1, 0), EINVAL);
  }
  assert(await guest.syscall(SYS.write, data, DATA, 16) < 0);
});

Deno.test("the call file answers or ignores any bytes that are written to it", async () => {
  const callbacks = counting();
  await using guest = await Guest.make(64, callbacks);
  const { memory } = guest.machine, random = xorshift(99);
  const fd = await guest.open("call");
  assert(fd > 2);
  assertEquals(await guest.syscall(SYS.write, fd, 8, 10), -14);
  assertEquals(await guest.syscall(SYS.write, fd, 2 ** 40, 10), -14);
  assertEquals(await guest.syscall(SYS.write, fd, DATA, 2 ** 40), DATA_SIZE, "what there is");
  assertEquals(await guest.syscall(SYS.read, fd, 8, 10) <= 0, true);
  for (let i = 0; i < 300; i++) {
    const bytes = new Uint8Array(random() % 3000);
    const alphabet = random() % 2 ? "0123456789 \n\t-x" : undefined;
    for (let at = 0; at < bytes.length; at++) {
      bytes[at] = alphabet ? alphabet.charCodeAt(random() % alphabet.length) : random() >>> 24;
    }
    memory.write(DATA, bytes);
    assertEquals(await guest.syscall(SYS.write, fd, DATA, bytes.length), bytes.length);
    if (random() % 4 === 0) {
      const count = await guest.syscall(SYS.read, fd, DATA, random() % DATA_SIZE);
      const text = new TextDecoder().decode(memory.read(DATA, count));
      for (const line of text.split("\n").slice(1, -1)) {
        assert(/^(ok -?\d+|unknown|invalid: [^\n]+)$/.test(line), JSON.stringify(line));
      }
    }
  }
  assert(callbacks.calls > 50, `${callbacks.calls}`);
  memory.write(DATA, new TextEncoder().encode("\n1 2\n"));
  await guest.syscall(SYS.read, fd, DATA + 100, DATA_SIZE - 100);
  assertEquals(await guest.syscall(SYS.write, fd, DATA, 5), 5);
  let text = "";
  for (let count = 1; count > 0;) {
    count = await guest.syscall(SYS.read, fd, DATA, DATA_SIZE);
    text += new TextDecoder().decode(memory.read(DATA, Math.max(count, 0)));
  }
  assertStringIncludes(text.slice(-50), `ok ${callbacks.calls}\n`, "a good line after all that");
  assertEquals(await guest.syscall(SYS.close, fd), 0);
});
