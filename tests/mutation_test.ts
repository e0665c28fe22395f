/**
 * Ten thousand broken executables: each is refused with a clear error, or runs and ends as a guest does. None hangs,
 * none makes the emulator throw.
 *
 * Set TRAPDOOR_MUTATIONS to another number to try more, and TRAPDOOR_MUTATION_SEED to try others.
 */
import { assert, assertEquals, fail } from "@std/assert";
import type { CallbackModule } from "../backdoor/types.ts";
import { Cpu } from "../cpu/engine/cpu.ts";
import type { Isa } from "../cpu/isa/isa.ts";
import { openBackdoor } from "../machine/backdoor.ts";
import { Machine, MachineError } from "../machine/machine.ts";
import { TARGETS } from "../machine/targets.ts";
import type { Abi } from "../machine/user/abi.ts";
import { ElfError, parseElf } from "../machine/user/elf.ts";
import type { Host, HostClock } from "../machine/user/host.ts";
import { loadProgram } from "../machine/user/loader.ts";
import { type ProcessEnd, UserProcess } from "../machine/user/process.ts";
import { emptyInput } from "../machine/user/streams.ts";
import { AddressSpace } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import { COMPILER, CONFIGURED, cpuOptions, scaled, seeded } from "./configuration.ts";
import { xorshift } from "./xorshift.ts";

const COUNT = Number(Deno.env.get("TRAPDOOR_MUTATIONS") ?? scaled(10_000));
const SEED = Number(Deno.env.get("TRAPDOOR_MUTATION_SEED") ?? seeded(20111205));
/** Guest instructions of one try. */
const INSTRUCTIONS = 20_000;
/** Milliseconds that one try may take on a slow and busy machine; they take 1 or 2, but for C compilers. */
const PATIENCE = COMPILER === "native" ? 120_000 : 5000;

const FOLDER = new URL("../guest/bin/", import.meta.url);

/** Committed programs by name. */
const PROGRAMS: [name: string, bytes: Uint8Array][] = ["riscv64", "riscv32"].flatMap((width) =>
  Array.from(Deno.readDirSync(new URL(`${width}/`, FOLDER)), ({ name }) => name).sort().map((
    name,
  ): [string, Uint8Array] => [
    `${width}/${name}`,
    Deno.readFileSync(new URL(`${width}/${name}`, FOLDER)),
  ])
);

/** A change of a file: returns what it did, and the new file if it has another size. */
type Mutation = (bytes: Uint8Array, random: () => number) => string | [string, Uint8Array];

const pick = <T>(items: readonly T[], random: () => number): T => items[random() % items.length];

/** Numbers at which something may break, for a field of so many bytes. */
function extreme(size: number, old: bigint, length: number, random: () => number): bigint {
  const bits = BigInt(size * 8), one = 1n;
  const values = [
    ...[0n, one, 2n, 3n, 7n, 0xffn, 0xfffn, 0x1000n, 0x1001n, 0xffffn, 0x10000n],
    ...[(one << bits) - one, (one << bits) - 2n, one << (bits - one), (one << (bits - one)) - one],
    ...[old + one, old - one, old * 2n, old + 4096n, old - 4096n, -old, ~old],
    ...[BigInt(length), BigInt(length) - one, BigInt(length) + one],
    ...[0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, one << 32n, one << 53n, (one << 53n) - one],
    ...[BigInt(random()), BigInt(random()) << 32n | BigInt(random())],
  ];
  return BigInt.asUintN(size * 8, pick(values, random));
}

/** Sets the field of `size` bytes at an offset, if the file reaches so far. */
function setField(bytes: Uint8Array, at: number, size: number, random: () => number): string {
  if (at + size > bytes.length) return "nothing";
  let old = 0n;
  for (let i = size - 1; i >= 0; i--) old = old << 8n | BigInt(bytes[at + i]);
  const value = extreme(size, old, bytes.length, random);
  for (let i = 0; i < size; i++) bytes[at + i] = Number(value >> BigInt(8 * i) & 0xffn);
  return `${size} bytes at ${at}: 0x${old.toString(16)} becomes 0x${value.toString(16)}`;
}

/** Sizes of the fields of file header and program header, in order, in words (w) of the class or bytes. */
const HEADER = [4, 1, 1, 1, 1, 8, 2, 2, 4, "w", "w", "w", 4, 2, 2, 2, 2, 2, 2] as const;
const PROGRAM_HEADER = {
  64: [4, 4, "w", "w", "w", "w", "w", "w"],
  32: [4, "w", "w", "w", "w", "w", 4, "w"],
} as const;

function fieldsOf(
  sizes: readonly (number | "w")[],
  word: number,
  start: number,
): [number, number][] {
  let at = start;
  return sizes.map((each) => {
    const size = each === "w" ? word : each;
    at += size;
    return [at - size, size];
  });
}

const MUTATIONS: Record<string, [weight: number, Mutation]> = {
  "header field": [6, (bytes, random) => {
    const [at, size] = pick(fieldsOf(HEADER, bytes[4] === 1 ? 4 : 8, 0), random);
    return setField(bytes, at, size, random);
  }],
  "program header field": [10, (bytes, random) => {
    const wide = bytes[4] !== 1;
    const start = (wide ? 64 : 52) + (random() % 4) * (wide ? 56 : 32);
    const fields = fieldsOf(PROGRAM_HEADER[wide ? 64 : 32], wide ? 8 : 4, start);
    const [at, size] = pick(fields, random);
    return setField(bytes, at, size, random);
  }],
  "bits": [6, (bytes, random) => {
    const places: number[] = [];
    for (let i = random() % 16; i >= 0; i--) {
      const at = random() % bytes.length;
      bytes[at] ^= 1 << (random() % 8);
      places.push(at);
    }
    return `at ${places}`;
  }],
  "bytes": [6, (bytes, random) => {
    const places: number[] = [];
    for (let i = random() % 64; i >= 0; i--) {
      const at = random() % bytes.length;
      bytes[at] = random();
      places.push(at);
    }
    return `at ${places}`;
  }],
  "first bytes": [3, (bytes, random) => {
    const at = random() % Math.min(256, bytes.length);
    bytes[at] = random();
    return `at ${at}`;
  }],
  "instructions": [8, (bytes, random) => {
    // System calls with what the registers hold, returns, jumps, the backdoor, and any words.
    const words = [0x73, 0x100073, 0x8067, 0x6f, 0x7bd02013, 0, 0xffff_ffff, 0x100f, 0x9002];
    const places: number[] = [];
    for (let i = random() % 24; i >= 0; i--) {
      const at = (random() % bytes.length) & ~1;
      const word = random() % 3 === 0 ? random() : pick(words, random);
      for (let b = 0; b < 4 && at + b < bytes.length; b++) bytes[at + b] = word >>> (8 * b);
      places.push(at);
    }
    return `at ${places}`;
  }],
  "truncation": [4, (bytes, random) => {
    const length = random() % (random() % 2 ? bytes.length : Math.min(400, bytes.length));
    return [`to ${length} bytes`, bytes.subarray(0, length)];
  }],
  "a range of one value": [3, (bytes, random) => {
    const start = random() % bytes.length,
      end = start + random() % 2000,
      value = pick([0, 0xff, random()], random);
    bytes.fill(value, start, end);
    return `${start} to ${end}`;
  }],
  "a moved range": [3, (bytes, random) => {
    const from = random() % bytes.length, to = random() % bytes.length, size = random() % 1000;
    bytes.copyWithin(to, from, from + size);
    return `${size} bytes from ${from} to ${to}`;
  }],
  "another program's range": [2, (bytes, random) => {
    const [name, other] = pick(PROGRAMS, random), start = random() % bytes.length;
    bytes.set(other.subarray(start, bytes.length), Math.min(start, bytes.length));
    return `${name} from ${start}`;
  }],
  "growth": [1, (bytes, random) => {
    const longer = new Uint8Array(bytes.length + random() % 5000);
    longer.set(bytes);
    return [`to ${longer.length}`, longer];
  }],
};
const WEIGHTED = Object.entries(MUTATIONS).flatMap(([name, [weight, mutation]]) =>
  new Array<[string, Mutation]>(weight).fill([name, mutation])
);

/** One broken file, and how to say what is broken. */
function mutate(random: () => number): { bytes: Uint8Array; what: string } {
  const [name, original] = pick(PROGRAMS, random);
  let bytes: Uint8Array = original.slice();
  const did: string[] = [];
  for (let i = random() % 4 === 0 ? 1 + random() % 3 : 0; i >= 0 && bytes.length > 0; i--) {
    const [kind, mutation] = pick(WEIGHTED, random);
    const result = mutation(bytes, random);
    if (typeof result !== "string") bytes = result[1];
    did.push(`${kind} ${typeof result === "string" ? result : result[0]}`);
  }
  return { bytes, what: `${name}: ${did.join("; ")}` };
}

/** A clock that only sleeping moves, so that no guest keeps anybody waiting. */
function fastClock(): HostClock {
  let now = 0;
  return {
    realtime: () => 1e12 + now,
    monotonic: () => now += 0.01,
    sleep: (milliseconds) => {
      now += milliseconds;
      return { done: Promise.resolve(), cancel: () => {} };
    },
  };
}

function random(bytes: Uint8Array): void {
  bytes.fill(9);
}

const host: Host = {
  stdin: emptyInput,
  stdout: { write: () => {} },
  stderr: { write: () => {} },
  clock: fastClock(),
  random,
};

const GEOMETRY = { maxClients: 2, clientDataSize: 4096, ringSize: 4096 };

/** Takes every call and event. */
const callbacks: CallbackModule = { call: (_cpu, _command, a) => a, event: () => {} };

/** A CPU and its memory, which many programs use one after the other: making them is what takes time. */
class Bench {
  readonly memory = new AddressSpace(new Arena(4 << 20));
  readonly cpu: Cpu;
  readonly abi: Abi;
  private constructor(isa: Isa, abi: Abi) {
    this.abi = abi;
    this.cpu = new Cpu(isa, this.memory, cpuOptions(this.memory));
  }

  static async of(bits: 32 | 64): Promise<Bench> {
    const target = TARGETS.find((target) => target.class === bits)!;
    return new Bench(await target.loadIsa(), (await target.load()).abi);
  }

  async run(bytes: Uint8Array): Promise<ProcessEnd> {
    const { memory, cpu, abi } = this;
    memory.unmap(0, memory.size);
    cpu.slots.fill(0n, 0, cpu.isa.slotCount);
    const elf = parseElf(bytes, "mutant", TARGETS);
    const argv = ["mutant"];
    const program = loadProgram(memory, elf, { argv, hwcap: abi.hwcap, random });
    const report = () => {};
    const backdoor = await openBackdoor(callbacks, memory, program, {
      geometry: GEOMETRY,
      report,
      note: report,
      errors: "report",
    });
    const process = new UserProcess({
      ...{ cpu, memory, abi, host, program, backdoor, argv, envp: [], exe: bytes },
      ...{ backdoorPath: "/dev/trapdoor", exePath: "/mutant", note: report },
    });
    await backdoor.channel.start();
    const end = await process.run(INSTRUCTIONS);
    await process.finish();
    return end;
  }
}

/** A message that is for users: what could not be done, and why. */
function assertClear(error: unknown, what: string): void {
  const known = error instanceof ElfError || error instanceof MachineError ||
    error instanceof RangeError;
  if (known && /^Cannot \S+ .*: \S/.test(error.message)) return;
  fail(`${what}\nthrows ${Deno.inspect(error)}`);
}

Deno.test(`${COUNT} mutated executables end or are refused, clearly and soon`, async () => {
  const next = xorshift(SEED);
  const benches = { 32: await Bench.of(32), 64: await Bench.of(64) };
  const ends: Record<string, number> = {};
  let longest = 0;
  for (let i = 0; i < COUNT; i++) {
    const { bytes, what } = mutate(next);
    const start = performance.now();
    let end: string;
    try {
      const result = await benches[bytes[4] === 1 ? 32 : 64].run(bytes);
      end = result.reason === "signal" ? result.name : result.reason;
      if (result.reason === "signal") assertEquals(result.status, 128 + result.signal, what);
      if (result.reason === "exit") assert(result.status >= 0 && result.status <= 255, what);
    } catch (error) {
      assertClear(error, `mutation ${i} of seed ${SEED}, ${what}`);
      end = "refused";
    }
    const took = performance.now() - start;
    longest = Math.max(longest, took);
    if (took > PATIENCE) fail(`mutation ${i} of seed ${SEED}, ${what}: takes ${took} ms`);
    ends[end] = (ends[end] ?? 0) + 1;
  }
  // All ways to end were there, or the mutations are not worth much.
  if (Deno.env.get("TRAPDOOR_MUTATIONS")) console.log(ends, longest);
  if (COUNT < 10_000) return;
  for (const kind of ["refused", "exit", "limit", "SIGSEGV", "SIGILL"]) {
    assert(ends[kind] > COUNT / 100, `${kind}: ${Deno.inspect(ends)}, at most ${longest} ms`);
  }
});

Deno.test("mutated executables are refused with a MachineError or run when Machine.user gets them", async () => {
  const next = xorshift(SEED + 1);
  for (let i = 0; i < Math.min(COUNT, 150); i++) {
    const { bytes, what } = mutate(next);
    try {
      await using machine = await Machine.user({
        program: bytes,
        memory: 4 << 20,
        ...{ stdin: "null", stdout: "null", stderr: "null" },
        ...CONFIGURED,
        ...(i % 3 === 0 ? { tier: COMPILER } : {}),
        host: { clock: fastClock() },
        ...(i % 2 ? { backdoor: callbacks, report: () => {} } : {}),
      });
      const result = await machine.run(INSTRUCTIONS);
      assert(result.instructions <= INSTRUCTIONS, what);
      machine.stats();
    } catch (error) {
      assert(error instanceof MachineError, `${what}\nthrows ${Deno.inspect(error)}`);
      assertClear(error, what);
      assert(!/Cannot read the program/.test(error.message), what);
    }
  }
});
