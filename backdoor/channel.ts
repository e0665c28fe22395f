/**
 * The host's end of the backdoor: answers requests of the three transports with the user's callbacks.
 *
 * The run loop calls {@linkcode BackdoorChannel.answerer}'s function and {@linkcode BackdoorChannel.controlStore}; for a
 * call with a synchronous callback and an integer result they allocate nothing.
 *
 * @module
 */
import type { AddressSpace } from "../mmu/address_space.ts";
import { Answers, type Dispatch, readRole, Target, writeRole } from "./answers.ts";
import { ChannelAreas } from "./areas.ts";
import type { Callbacks } from "./callbacks.ts";
import { BackdoorCpu, type CpuOptions } from "./cpu.ts";
import { ERROR_STOP_STATUS, Events } from "./events.ts";
import type { AreaAddresses } from "./layout.ts";
import {
  type ChannelGeometry,
  Control,
  DEFAULT_GEOMETRY,
  Doorbell,
  Kind,
  NUM_ARGS,
  PROTOCOL_VERSION,
  Status,
} from "./protocol.ts";
import { Lifecycle } from "./lifecycle.ts";
import { describeValue, errorText, isThenable, memberText, Reporter } from "./report.ts";
import type { EventRing } from "./ring.ts";
import { type CallResult, NOT_HANDLED } from "./types.ts";

/** What happens after a callback's error: the guest goes on, or stops. The guest is told and the user too, always. */
export type ErrorPolicy = "report" | "stop";

/** How to make a channel. */
export interface ChannelOptions {
  /** The guest's address space; the areas' pages must be free. */
  memory: AddressSpace;
  /** Where the areas are: for instance `areasFrom(address, channelLayout(geometry))`. */
  addresses: AreaAddresses;
  /** Number of clients and sizes. */
  geometry?: ChannelGeometry;
  /** From `loadCallbacks` or `checkCallbacks`. */
  callbacks: Callbacks;
  /** Gets what the user must know: one or more lines without a final newline. */
  report: (message: string) => void;
  /** Gets what a curious user wants to know, such as unknown commands; once each. */
  note?: (message: string) => void;
  /** After errors in callbacks; "report" by default. */
  errors?: ErrorPolicy;
}

/** Numbers of a run. */
export interface ChannelStats {
  /** Calls that reached the callback module, by any transport. */
  calls: number;
  /** Calls answered UNKNOWN. */
  unknown: number;
  /** Calls answered THREW. */
  threw: number;
  /** Requests answered INVALID. */
  invalid: number;
  /** Ring events that reached the callback module. */
  events: number;
  /** Errors in event callbacks. */
  eventErrors: number;
  /** Ring events that no callback handles. */
  eventsLost: number;
  /** Rings that were emptied because they held nonsense. */
  corruptRings: number;
}

/** Answer to a call that the host itself made. */
export interface HostAnswer {
  /** One of `Status`; NOBODY if the guest was stopped before the call. */
  status: number;
  /** Result as a signed 64-bit integer; valid with status OK. */
  result: bigint;
}

// Literals inline; properties of an imported object do not always.
const DONE = 0, STOP = 1;
const KIND_CALL = 1, STATUS_OK = 0, DOORBELL_CALL = 1;
const REGISTERS = -1;
const TWO_32 = 4294967296;
/** Offsets in a control slot, in 32-bit words. */
const ARGS_WORD = Control.ARGS >>> 2, RESULT_WORD = Control.RESULT >>> 2;
const STATUS_WORD = Control.STATUS >>> 2;

const RESULTS =
  "an integer from -2^63 to 2^64 - 1, a boolean, nothing, NOT_HANDLED or a Promise of one";

type CallFunction = (
  cpu: BackdoorCpu,
  command: number,
  arg0: number,
  arg1: number,
  arg2: number,
  arg3: number,
) => CallResult | Promise<CallResult>;

/** A channel between one guest and one callback module. */
export class BackdoorChannel {
  /** The areas in guest memory. */
  readonly areas: ChannelAreas;
  /** The callbacks. */
  readonly callbacks: Callbacks;

  readonly #memory: AddressSpace;
  readonly #m8: Uint8Array<ArrayBuffer>;
  readonly #m32: Int32Array<ArrayBuffer>;
  readonly #maxClients: number = 0;
  readonly #control: number = 0;
  readonly #call: CallFunction;
  readonly #rings: readonly EventRing[];
  readonly #answers: Answers;
  readonly #events: Events;
  readonly #life: Lifecycle;
  readonly #reporter: Reporter;
  readonly #notes: Reporter;
  readonly #stopOnError: boolean;
  #calls = 0;
  #unknown = 0;
  #threw = 0;

  /**
   * Reserves the areas' pages without any access and fills the config area.
   *
   * @throws {RangeError} If the geometry is impossible, or the areas are unaligned, not free or outside memory.
   */
  constructor(options: ChannelOptions) {
    const { memory, addresses, callbacks } = options;
    this.areas = new ChannelAreas(memory, addresses, options.geometry ?? DEFAULT_GEOMETRY);
    this.callbacks = callbacks;
    this.#memory = memory;
    this.#m8 = memory.arena.m8;
    this.#m32 = memory.arena.m32;
    this.#maxClients = this.areas.layout.geometry.maxClients;
    this.#control = addresses.control;
    this.#call = (callbacks.call as CallFunction | undefined) ?? (() => NOT_HANDLED);
    this.#rings = this.areas.rings;
    this.#answers = new Answers(memory, this.areas);
    this.#reporter = new Reporter(options.report);
    this.#notes = new Reporter(options.note ?? (() => {}));
    this.#stopOnError = options.errors === "stop";
    this.#life = new Lifecycle(callbacks, this.#reporter);
    this.#events = new Events(callbacks, this.#reporter, this.#notes, this.#stopOnError);
  }

  /** Makes a hart's CPU, for callbacks and for the dispatch. */
  cpu(options: CpuOptions): BackdoorCpu {
    return new BackdoorCpu(options, options.memory ?? this.#memory, this.areas.data);
  }

  /** Numbers so far. */
  get stats(): ChannelStats {
    return {
      calls: this.#calls,
      unknown: this.#unknown,
      threw: this.#threw,
      invalid: this.#answers.invalid,
      events: this.#events.count,
      eventErrors: this.#events.errors,
      eventsLost: this.#events.lost,
      corruptRings: this.#events.corruptRings,
    };
  }

  /**
   * Calls `init`; the guest must not run before this has settled. Further calls return the same Promise.
   *
   * @throws {BackdoorModuleError} With reason "init" if it throws; then there will be no `fini` either.
   */
  start(): Promise<void> {
    return this.#life.start(() => ({
      maxClients: this.#maxClients,
      numArgs: NUM_ARGS,
      version: PROTOCOL_VERSION,
      data: (client) => {
        const data = this.areas.data[client];
        if (data) return data;
        throw new RangeError(`No client ${client}: there are ${this.#maxClients}, from 0 on`);
      },
    }));
  }

  /**
   * Ends the channel, whatever ended the guest: drains all rings, waits for event callbacks and calls `fini`.
   * Further calls return the same Promise.
   *
   * @param cpu The CPU that the last events get.
   * @param signal Ends the wait for event callbacks that do not settle.
   * @returns Whether nothing threw in it; what did was reported.
   */
  finish(cpu: BackdoorCpu, signal?: AbortSignal): Promise<boolean> {
    return this.#life.finish(async () => {
      const { errors } = this.#events;
      this.drain(cpu);
      await this.#events.settled(signal);
      return this.#events.errors === errors;
    });
  }

  /**
   * Passes on all events that wait in the rings, or in one client's. Cheap if there are none.
   *
   * @returns One of `Outcome`.
   */
  drain(cpu: BackdoorCpu, client?: number): number {
    cpu.nextPc = undefined;
    const first = client ?? 0, last = client ?? this.#maxClients - 1;
    for (let i = first; i <= last; i++) {
      const ring = this.#rings[i];
      if (ring.pending && !ring.drain(cpu, this.#events)) return STOP;
    }
    return cpu.stopping ? STOP : DONE;
  }

  /** Answers a request by the instruction transport, in the role registers. */
  instruction(cpu: BackdoorCpu): Dispatch {
    cpu.nextPc = undefined;
    return this.#request(cpu);
  }

  /**
   * Makes a function that does what {@linkcode instruction} does, for one hart, and fast for what is frequent: a CALL
   * with 64-bit registers, arguments of 32 bits and no waiting events, whose callback returns a number of 32 bits.
   *
   * It is a closure over constants, which V8 takes for such: addresses of registers, lengths and the callback, which it
   * compiles into it. As a method of the channel it took 5 ns more.
   */
  answerer(cpu: BackdoorCpu): () => Dispatch {
    if (!cpu.plain) return () => this.instruction(cpu);
    const { slots32: r, roleWords: a, args, kind, status } = cpu;
    const given = cpu.slots.subarray(cpu.arg2 / 2, cpu.arg2 / 2 + NUM_ARGS);
    const { tails, heads, headStride } = this.areas;
    const call = this.#call, maxClients = this.#maxClients;
    return () => {
      const client = a[0], command = a[2] >>> 0, l0 = a[4], l1 = a[6], l2 = a[8], l3 = a[10];
      if (
        ((r[kind] ^ KIND_CALL) | r[kind + 1] | a[1] | a[3] | (l0 >> 31 ^ a[5]) |
            (l1 >> 31 ^ a[7]) | (l2 >> 31 ^ a[9]) | (l3 >> 31 ^ a[11])) !== 0 ||
        client >>> 0 >= maxClients || heads[client * headStride] !== tails[client]
      ) return this.instruction(cpu);
      args[0] = given[0];
      args[1] = given[1];
      args[2] = given[2];
      args[3] = given[3];
      cpu.nextPc = undefined;
      cpu.client = client;
      this.#calls++;
      let result;
      try {
        result = call(cpu, command, l0, l1, l2, l3);
      } catch (error) {
        return this.#error(cpu, REGISTERS, client, command, error);
      }
      const low = typeof result === "number" ? result | 0 : 0;
      if (low !== result) return this.#result(cpu, REGISTERS, client, command, result);
      a[0] = low;
      a[1] = low >> 31;
      r[status] = STATUS_OK;
      r[status + 1] = 0;
      return cpu.stopping ? STOP : DONE;
    };
  }

  /**
   * A guest's store to the control area: writes its bytes, and answers the request if it hits a doorbell.
   *
   * @param address Guest address; `areas.inControl(address, size)` must be true.
   * @param size Bytes of the store, 1 to 8.
   * @param low Low word of the value.
   * @param high High word of the value, of any content for sizes up to 4.
   */
  controlStore(
    cpu: BackdoorCpu,
    address: number,
    size: number,
    low: number,
    high: number,
  ): Dispatch {
    cpu.nextPc = undefined;
    const offset = address - this.#control;
    if ((offset & 63) !== Control.DOORBELL || (size !== 4 && (size !== 8 || high !== 0))) {
      return this.#oddStore(cpu, offset, size, low, high);
    }
    const client = offset >>> 6, m32 = this.#m32, word = (address - Control.DOORBELL) >>> 2;
    const command = m32[word], commandHigh = m32[word + 1];
    if (
      low !== DOORBELL_CALL || client >= this.#maxClients || this.#rings[client].pending ||
      (commandHigh !== 0 && commandHigh !== command >> 31)
    ) {
      return this.#doorbell(cpu, client, low);
    }
    // As in `instruction`: a call without private methods.
    const l0 = m32[word + 2], h0 = m32[word + 3], l1 = m32[word + 4], h1 = m32[word + 5];
    const l2 = m32[word + 6], h2 = m32[word + 7], l3 = m32[word + 8], h3 = m32[word + 9];
    const words = cpu.argWords;
    words[0] = l0;
    words[1] = h0;
    words[2] = l1;
    words[3] = h1;
    words[4] = l2;
    words[5] = h2;
    words[6] = l3;
    words[7] = h3;
    cpu.client = client;
    this.#calls++;
    let result;
    try {
      result = this.#call(
        cpu,
        command >>> 0,
        h0 === l0 >> 31 ? l0 : h0 * TWO_32 + (l0 >>> 0),
        h1 === l1 >> 31 ? l1 : h1 * TWO_32 + (l1 >>> 0),
        h2 === l2 >> 31 ? l2 : h2 * TWO_32 + (l2 >>> 0),
        h3 === l3 >> 31 ? l3 : h3 * TWO_32 + (l3 >>> 0),
      );
    } catch (error) {
      return this.#error(cpu, word * 4, client, command >>> 0, error);
    }
    if (typeof result === "number" && result === (result | 0)) {
      m32[word + RESULT_WORD] = result;
      m32[word + RESULT_WORD + 1] = result >> 31;
      m32[word + STATUS_WORD] = m32[word + STATUS_WORD + 1] = STATUS_OK;
      return cpu.stopping ? STOP : DONE;
    }
    return this.#result(cpu, word * 4, client, command >>> 0, result);
  }

  /**
   * A guest's store to the control area that misses all doorbells: writes its bytes.
   *
   * @returns False, and nothing is written, if it hits one: then {@linkcode controlStore} answers it.
   */
  quietStore(address: number, size: number, low: number, high: number): boolean {
    if (((address - this.#control) & 63) + size > Control.DOORBELL) return false;
    if ((address & 3) === 0 && size >= 4) {
      this.#m32[address >>> 2] = low;
      if (size === 8) this.#m32[(address >>> 2) + 1] = high;
    } else {
      for (let i = 0; i < size; i++) {
        this.#m8[address + i] = i < 4 ? low >>> (8 * i) : high >>> (8 * (i - 4));
      }
    }
    return true;
  }

  /** A store that misses the doorbells, or hits one with other than its low 4 or all 8 bytes. */
  #oddStore(cpu: BackdoorCpu, offset: number, size: number, low: number, high: number): Dispatch {
    const end = Math.min(offset + size, this.areas.layout.controlSize);
    let rung = -1, value = 0;
    for (let at = Math.max(offset, 0); at < end; at++) {
      const i = at - offset;
      const byte = (i < 4 ? low >>> (8 * i) : high >>> (8 * (i - 4))) & 0xff;
      if ((at & 63) < Control.DOORBELL) {
        this.#m8[this.#control + at] = byte;
      } else {
        // The bytes that hit the doorbell are the number that was rung, whichever of its bytes they hit.
        if (rung < 0) rung = at;
        value += byte * 2 ** (8 * (at - rung));
      }
    }
    return rung < 0 ? DONE : this.#doorbell(cpu, rung >>> 6, value);
  }

  #doorbell(cpu: BackdoorCpu, client: number, value: number): Dispatch {
    const slot = this.#control + client * Control.SIZE;
    const known = client < this.#maxClients;
    if (known && value === Doorbell.CALL) return this.#callSlot(cpu, client, slot >>> 2, slot);
    if (known && value === Doorbell.FLUSH) return this.#flush(cpu, client, slot);
    return this.#answers.status(cpu, slot, Status.INVALID);
  }

  #flush(cpu: BackdoorCpu, client: number, target: number): Dispatch {
    const status = this.#events.flush(cpu, this.#rings[client]);
    return status === undefined ? STOP : this.#answers.status(cpu, target, status);
  }

  /** A call whose command and arguments are in memory, from the 32-bit word of that index on. */
  #callSlot(cpu: BackdoorCpu, client: number, word: number, target: number): Dispatch {
    const m32 = this.#m32, words = cpu.argWords;
    const command = m32[word], high = m32[word + 1];
    if (high !== 0 && high !== command >> 31) {
      return this.#answers.status(cpu, target, Status.INVALID);
    }
    for (let i = 0; i < 2 * NUM_ARGS; i++) words[i] = m32[word + ARGS_WORD + i];
    return this.#callWith(cpu, client, command >>> 0, target);
  }

  /** Calls with the arguments in `cpu.argWords`. */
  #callWith(cpu: BackdoorCpu, client: number, command: number, target: number): Dispatch {
    const ring = this.#rings[client];
    if (ring.pending && !this.#drainBefore(cpu, ring)) return STOP;
    cpu.client = client;
    this.#calls++;
    const w = cpu.argWords;
    let result;
    try {
      result = this.#call(
        cpu,
        command,
        w[1] === w[0] >> 31 ? w[0] : w[1] * TWO_32 + (w[0] >>> 0),
        w[3] === w[2] >> 31 ? w[2] : w[3] * TWO_32 + (w[2] >>> 0),
        w[5] === w[4] >> 31 ? w[4] : w[5] * TWO_32 + (w[4] >>> 0),
        w[7] === w[6] >> 31 ? w[6] : w[7] * TWO_32 + (w[6] >>> 0),
      );
    } catch (error) {
      return this.#error(cpu, target, client, command, error);
    }
    if (target >= 0 && typeof result === "number" && result === (result | 0)) {
      const m32 = this.#m32, word = target >>> 2;
      m32[word + RESULT_WORD] = result;
      m32[word + RESULT_WORD + 1] = result >> 31;
      m32[word + STATUS_WORD] = m32[word + STATUS_WORD + 1] = STATUS_OK;
      return cpu.stopping ? STOP : DONE;
    }
    return this.#result(cpu, target, client, command, result);
  }

  /** Events come before the calls that follow them; their callbacks must not change the call's arguments. */
  #drainBefore(cpu: BackdoorCpu, ring: EventRing): boolean {
    const args = cpu.argWords.slice();
    const goOn = ring.drain(cpu, this.#events) && !cpu.stopping;
    cpu.argWords.set(args);
    return goOn;
  }

  /** All requests of the instruction transport but CALL. */
  #request(cpu: BackdoorCpu): Dispatch {
    const invalid = () => this.#answers.status(cpu, REGISTERS, Status.INVALID);
    switch (readRole(cpu, cpu.kind)) {
      case Kind.HELLO:
        return this.#hello(cpu);
      case Kind.CALL:
        return this.#callRegisters(cpu);
      case Kind.ATTACH: {
        this.areas.attach();
        const { config, data, control } = this.areas.addresses;
        writeRole(cpu, cpu.arg0, config);
        writeRole(cpu, cpu.arg1, data);
        writeRole(cpu, cpu.arg2, control);
        return this.#answers.status(cpu, REGISTERS, Status.OK);
      }
      case Kind.DETACH:
        this.areas.detach();
        return this.#answers.status(cpu, REGISTERS, Status.OK);
      case Kind.CALL_BLOCK: {
        const client = readRole(cpu, cpu.arg0), address = readRole(cpu, cpu.arg1);
        if (client >= this.#maxClients || !this.#answers.isBlock(address)) return invalid();
        return this.#callSlot(cpu, client, address >>> 2, Target.BLOCK - address);
      }
      case Kind.FLUSH: {
        const client = readRole(cpu, cpu.arg0);
        return client < this.#maxClients ? this.#flush(cpu, client, REGISTERS) : invalid();
      }
      default:
        return invalid();
    }
  }

  /** A call whose command and arguments are in registers, in general. */
  #callRegisters(cpu: BackdoorCpu): Dispatch {
    const r = cpu.slots32, words = cpu.argWords;
    const client = readRole(cpu, cpu.arg0), command = r[cpu.arg1], high = r[cpu.arg1 + 1];
    // A 32-bit command may come zero- or sign-extended.
    if (
      client >= this.#maxClients || (cpu.wide && high !== 0 && high !== command >> 31)
    ) {
      return this.#answers.status(cpu, REGISTERS, Status.INVALID);
    }
    if (cpu.wide) {
      words[0] = r[cpu.arg2];
      words[1] = r[cpu.arg2 + 1];
      words[2] = r[cpu.arg3];
      words[3] = r[cpu.arg3 + 1];
      words[4] = r[cpu.arg4];
      words[5] = r[cpu.arg4 + 1];
      words[6] = r[cpu.arg5];
      words[7] = r[cpu.arg5 + 1];
    } else {
      // Four narrow registers are two arguments.
      words.fill(0);
      words[0] = r[cpu.arg2];
      words[1] = r[cpu.arg3];
      words[2] = r[cpu.arg4];
      words[3] = r[cpu.arg5];
    }
    return this.#callWith(cpu, client, command >>> 0, REGISTERS);
  }

  #hello(cpu: BackdoorCpu): Dispatch {
    const guest = readRole(cpu, cpu.arg0);
    const same = Math.floor(guest / 0x1_0000) === PROTOCOL_VERSION >>> 16;
    if (!same) {
      this.#reporter.once(
        `backdoor: the guest speaks protocol version ${versionText(guest)}, this Trapdoor ${
          versionText(PROTOCOL_VERSION)
        }: rebuild the guest with this Trapdoor's library`,
      );
    }
    writeRole(cpu, cpu.arg0, PROTOCOL_VERSION);
    return this.#answers.status(cpu, REGISTERS, same ? Status.OK : Status.VERSION);
  }

  /**
   * Calls a command for the host itself, as the guest's client of that number would.
   *
   * @param args Up to four arguments, modulo 2^64.
   */
  invoke(
    cpu: BackdoorCpu,
    client: number,
    command: number,
    args: readonly bigint[],
  ): HostAnswer | Promise<HostAnswer> {
    if (!Number.isInteger(client) || client < 0 || client >= this.#maxClients) {
      return { status: Status.INVALID, result: 0n };
    }
    cpu.nextPc = undefined;
    for (let i = 0; i < NUM_ARGS; i++) cpu.args[i] = args[i] ?? 0n;
    cpu.answerStatus = Status.NOBODY;
    const outcome = this.#callWith(cpu, client, command >>> 0, Target.HOST);
    const answer = (): HostAnswer => ({
      status: cpu.answerStatus,
      result: BigInt(cpu.answerHigh) * BigInt(TWO_32) + BigInt(cpu.answerLow >>> 0),
    });
    return typeof outcome === "number" ? answer() : outcome.then(answer);
  }

  /** Any result but a small number. `settled` says that it came from a Promise. */
  #result(
    cpu: BackdoorCpu,
    target: number,
    client: number,
    command: number,
    result: unknown,
    settled = false,
  ): Dispatch {
    const answers = this.#answers;
    switch (typeof result) {
      case "undefined":
        return answers.result(cpu, target, 0, 0);
      case "boolean":
        return answers.result(cpu, target, result ? 1 : 0, 0);
      case "number":
        if (result === (result | 0)) return answers.result(cpu, target, result, result >> 31);
        // ToInt32 and division by 2^32 are exact for all integers.
        if (Number.isInteger(result) && result >= -(2 ** 63) && result < 2 ** 64) {
          return answers.result(cpu, target, result | 0, Math.floor(result / TWO_32) | 0);
        }
        break;
      case "bigint":
        if (result >= -(2n ** 63n) && result < 2n ** 64n) {
          const low = Number(BigInt.asIntN(32, result));
          return answers.result(cpu, target, low, Number(BigInt.asIntN(32, result >> 32n)));
        }
        break;
      case "symbol":
        if (result === NOT_HANDLED) {
          this.#unknown++;
          const what = memberText(this.callbacks.typed, "command", command);
          this.#notes.once(`backdoor: no callback of ${this.callbacks.name} handles ${what}`);
          return answers.status(cpu, target, Status.UNKNOWN);
        }
        break;
    }
    try {
      if (!settled && isThenable(result)) {
        return this.#sleep(cpu, target, client, command, result);
      }
    } catch (error) {
      return this.#error(cpu, target, client, command, error);
    }
    return this.#failure(
      cpu,
      target,
      `${this.#callText(client, command)} returned ${describeValue(result)}, which is not a ` +
        `result; the guest gets status THREW. A result is ${RESULTS}`,
    );
  }

  #sleep(
    cpu: BackdoorCpu,
    target: number,
    client: number,
    command: number,
    thenable: PromiseLike<unknown>,
  ): Promise<number> {
    // After the channel's end, or if the hart does something else, there is nobody to answer.
    const waiting = () => cpu.pending === pending && !this.#life.ended;
    const pending: Promise<number> = Promise.resolve(thenable).then(
      (result) => {
        if (!waiting()) return STOP;
        cpu.pending = undefined;
        return this.#result(cpu, target, client, command, result, true);
      },
      (error) => {
        if (waiting()) {
          cpu.pending = undefined;
          return this.#error(cpu, target, client, command, error);
        }
        this.#reporter.report(
          `${this.#callText(client, command)} rejected after the guest stopped waiting\n${
            errorText(error)
          }`,
        );
        return STOP;
      },
    );
    cpu.pending = pending;
    return pending;
  }

  #callText(client: number, command: number): string {
    return `backdoor: ${memberText(this.callbacks.typed, "command", command)} of client ${client}`;
  }

  #error(
    cpu: BackdoorCpu,
    target: number,
    client: number,
    command: number,
    error: unknown,
  ): number {
    const what = this.#callText(client, command);
    return this.#failure(
      cpu,
      target,
      `${what} threw; the guest gets status THREW\n${errorText(error)}`,
    );
  }

  #failure(cpu: BackdoorCpu, target: number, message: string): number {
    this.#threw++;
    if (this.#stopOnError) cpu.requestStop(ERROR_STOP_STATUS, "error");
    const outcome = this.#answers.status(cpu, target, Status.THREW);
    this.#reporter.report(message);
    return outcome;
  }
}

function versionText(version: number): string {
  return version <= 0xffff_ffff
    ? `${version >>> 16}.${version & 0xffff}`
    : `0x${version.toString(16)}`;
}
