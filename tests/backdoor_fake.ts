/** A guest for tests of the backdoor: memory and registers, but no CPU that executes anything. */
import { checkCallbacks } from "../backdoor/callbacks.ts";
import { BackdoorChannel, type ErrorPolicy } from "../backdoor/channel.ts";
import type { BackdoorCpu, StopReason } from "../backdoor/cpu.ts";
import { areasFrom, channelLayout } from "../backdoor/layout.ts";
import { type ChannelGeometry, Control, Kind, Ring, Status } from "../backdoor/protocol.ts";
import type { Isa } from "../cpu/isa/isa.ts";
import { AddressSpace } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";

/** Small areas, so that tests are quick. */
export const SMALL: ChannelGeometry = { maxClients: 3, clientDataSize: 8192, ringSize: 4096 };

/** Where the areas begin. */
export const AREAS = 0x10_0000;

/** Address of the "calling instruction". */
export const PC = 0x1_2344;

/** Roles in slots as RISC-V has them, and a few more registers. */
function fakeIsa(xlen: 32 | 64): Pick<
  Isa,
  "name" | "xlen" | "registers" | "backdoor" | "readSpecial" | "writeSpecial"
> {
  let special = 5n;
  const general = (name: string, slot: number, ...aliases: string[]) => ({
    name,
    aliases,
    slot,
    bits: xlen,
    kind: "general" as const,
  });
  return {
    name: `fake${xlen}`,
    xlen,
    registers: [
      general("zero", 0, "x0"),
      ...[0, 1, 2, 3, 4, 5, 6, 7].map((i) => general(`a${i}`, 10 + i, `x${10 + i}`)),
      { name: "f0", aliases: [], slot: 40, bits: 64, kind: "float" },
      { name: "flags", aliases: [], slot: 41, bits: 5, kind: "control" },
      { name: "special", aliases: [], slot: -1, bits: 8, kind: "control" },
    ],
    backdoor: { kind: 17, status: 16, args: [10, 11, 12, 13, 14, 15] },
    readSpecial: () => special,
    writeSpecial: (_name, value) => special = value,
  };
}

export interface FakeOptions {
  xlen?: 32 | 64;
  geometry?: ChannelGeometry;
  errors?: ErrorPolicy;
  memoryBytes?: number;
}

/** What a request left behind. */
export interface Reply {
  /** The dispatch's outcome. */
  outcome: number;
  /** Status register, signed. */
  status: number;
  /** Result, signed 64 bits. */
  result: bigint;
}

export class FakeGuest {
  readonly memory: AddressSpace;
  readonly channel: BackdoorChannel;
  readonly cpu: BackdoorCpu;
  readonly reports: string[] = [];
  readonly notes: string[] = [];
  readonly stops: { status: number; reason: StopReason }[] = [];
  readonly xlen: 32 | 64;
  instructions = 0;
  /** Where the guest goes on. */
  pc = BigInt(PC);
  readonly #isa: ReturnType<typeof fakeIsa>;

  constructor(callbacks: object, options: FakeOptions = {}) {
    this.xlen = options.xlen ?? 64;
    this.#isa = fakeIsa(this.xlen);
    this.memory = new AddressSpace(new Arena(options.memoryBytes ?? 4 << 20));
    const geometry = options.geometry ?? SMALL;
    this.channel = new BackdoorChannel({
      memory: this.memory,
      addresses: areasFrom(AREAS, channelLayout(geometry)),
      geometry,
      callbacks: checkCallbacks(callbacks),
      report: (message) => this.reports.push(message),
      note: (message) => this.notes.push(message),
      ...(options.errors && { errors: options.errors }),
    });
    const { q, r } = this.memory.arena;
    this.cpu = this.channel.cpu({
      isa: this.#isa,
      q,
      r,
      hooks: {
        getPc: () => PC,
        setPc: (pc) => this.pc = pc,
        instructions: () => this.instructions,
        stop: (status, reason) => this.stops.push({ status, reason }),
      },
    });
  }

  /** Slot of argN. */
  arg(n: number): number {
    return this.#isa.backdoor.args[n];
  }

  /** Executes the backdoor instruction. Arguments go to registers as they are. */
  request(kind: number | bigint, ...args: (number | bigint)[]): Reply | Promise<Reply> {
    const { q } = this.memory.arena;
    const { backdoor } = this.#isa;
    const width = (value: number | bigint) => BigInt.asIntN(this.xlen, BigInt(value));
    q[backdoor.kind] = width(kind);
    q[backdoor.status] = -1n;
    backdoor.args.forEach((slot, i) => q[slot] = width(args[i] ?? 0));
    this.instructions++;
    const outcome = this.channel.instruction(this.cpu);
    return typeof outcome === "number"
      ? this.#reply(outcome)
      : outcome.then((outcome) => this.#reply(outcome));
  }

  #reply(outcome: number): Reply {
    const { q } = this.memory.arena;
    const low = q[this.arg(0)];
    const result = this.xlen === 64
      ? low
      : BigInt.asIntN(64, q[this.arg(1)] << 32n | BigInt.asUintN(32, low));
    return { outcome, status: Number(q[this.#isa.backdoor.status]), result };
  }

  /** A synchronous call by the instruction: 64-bit arguments, two of them on a 32-bit guest. */
  call(command: number, ...args: (number | bigint)[]): Reply {
    return this.callAs(0, command, ...args);
  }

  callAs(client: number, command: number, ...args: (number | bigint)[]): Reply {
    const words = this.xlen === 64
      ? args
      : args.flatMap((arg) => [BigInt(arg), BigInt.asIntN(64, BigInt(arg)) >> 32n]);
    const reply = this.request(Kind.CALL, client, command, ...words);
    if (reply instanceof Promise) throw new Error("The callback is asynchronous");
    return reply;
  }

  /** Fills a control slot (or an image of one at `address`). */
  fillSlot(address: number, command: bigint | number, ...args: (number | bigint)[]): void {
    const m64 = this.memory.arena.m64, at = address / 8;
    m64[at] = BigInt(command);
    for (let i = 0; i < 4; i++) m64[at + 1 + i] = BigInt(args[i] ?? 0);
    m64[at + Control.RESULT / 8] = 0x5a5an;
    m64[at + Control.STATUS / 8] = BigInt(Status.NOBODY);
  }

  readSlot(address: number): { status: bigint; result: bigint } {
    const m64 = this.memory.arena.m64, at = address / 8;
    return { result: m64[at + Control.RESULT / 8], status: m64[at + Control.STATUS / 8] };
  }

  slotAddress(client: number): number {
    return this.channel.areas.addresses.control + client * Control.SIZE;
  }

  ringAddress(client: number): number {
    const { layout, addresses } = this.channel.areas;
    return addresses.data + layout.ringOffset + client * layout.ringStride;
  }

  /** Appends an event as the guest's library does; throws if there is no room. */
  writeEvent(client: number, command: number, payload: Uint8Array = new Uint8Array()): void {
    const { m8, m32 } = this.memory.arena;
    const ring = this.ringAddress(client), size = this.channel.areas.layout.geometry.ringSize;
    const length = Ring.RECORD_HEADER + Math.ceil(payload.length / 8) * 8;
    let head = m32[ring / 4];
    const tail = m32[ring / 4 + 1];
    const put = (length: number, command: number) => {
      if (((head - tail) >>> 0) + length > size) throw new Error("The ring is full");
      const record = ring + Ring.BUFFER + (head & (size - 1));
      m32[record / 4] = length;
      m32[record / 4 + 1] = command | 0;
      m8.fill(0, record + 8, record + length);
      head = (head + length) | 0;
      return record + 8;
    };
    const toEnd = size - (head & (size - 1));
    if (toEnd < length) put(toEnd, Ring.PAD);
    m8.set(payload, put(length, command));
    m32[ring / 4] = head;
  }
}

/** Waits for what is a Promise in any case. */
export async function settled<T>(value: T | Promise<T>): Promise<T> {
  if (!(value instanceof Promise)) throw new Error("The dispatch did not sleep");
  return await value;
}
