/**
 * Types for callback modules: what you export, and what your callbacks get.
 *
 * @example A callback module
 * ```ts
 * import type { Channel, Cpu } from "./types.ts";
 *
 * export function init(channel: Channel): void {
 *   console.log(`a guest of ${channel.maxClients} clients at most`);
 * }
 * export function call(cpu: Cpu, command: number, length: number): number {
 *   return command === 1 ? new Set(cpu.data.subarray(0, length)).size : 0;
 * }
 * ```
 *
 * @module
 */
import type { AddressSpace } from "../mmu/address_space.ts";

export type { AddressSpace, Mapping } from "../mmu/address_space.ts";
export type { Arena } from "../mmu/arena.ts";

/** What a callback may return: a 64-bit result (a number must be an integer; undefined is 0), or a Promise of it. */
export type CallResult = number | bigint | boolean | void | typeof NOT_HANDLED;

/**
 * Return this to say "no such command": the guest gets status UNKNOWN. It is a registered symbol, so that it is
 * the same for a callback module that imports another copy of this file than the emulator.
 */
export const NOT_HANDLED: unique symbol = Symbol.for("trapdoor.notHandled");

/** What an event callback may return. {@linkcode NOT_HANDLED} is reported once for each such command. */
export type EventResult = void | typeof NOT_HANDLED;

/** The channel as `init` gets it, before the first call. */
export interface Channel {
  /** Number of clients. */
  readonly maxClients: number;
  /** Arguments of a call. */
  readonly numArgs: number;
  /** Protocol version of the host, `major << 16 | minor`. */
  readonly version: number;
  /** Client `client`'s part of the data area, live: the guest sees what you write. */
  data(client: number): Uint8Array<ArrayBuffer>;
}

/** The calling CPU. It and its views are live and stay valid between calls. */
export interface Cpu {
  /** Name of the instruction set, such as "riscv64". */
  readonly isa: string;
  /** Bits of a general-purpose register: 32 or 64. */
  readonly xlen: number;
  /** Number of the calling hart. */
  readonly hart: number;
  /** Client number of the current call. */
  readonly client: number;
  /** Exact arguments of the current call as signed 64-bit integers (`call` gets them as numbers too). */
  readonly args: BigInt64Array<ArrayBuffer>;
  /** The calling client's part of the data area, live. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** The guest's memory, by virtual address. */
  readonly memory: AddressSpace;
  /** Guest instructions executed so far, this one included. */
  readonly instructions: number;
  /** Address of the calling instruction; after you set it, the guest goes on there. */
  pc: bigint;
  /** Reads a register by name ("a0", "x10", "fa0", "pc", "fcsr"...), unsigned. @throws {RangeError} For an unknown name. */
  getRegister(name: string): bigint;
  /** Writes a register by name, modulo its width. @throws {RangeError} For an unknown name. */
  setRegister(name: string, value: bigint | number): void;
  /** Names of all registers that {@linkcode getRegister} knows. */
  registerNames(): string[];
  /** All registers as 64-bit cells, live and without boxing: `cpu.slots[cpu.slot("a0")] += 1n`. */
  readonly slots: BigInt64Array<ArrayBuffer>;
  /** The same cells as 32-bit words: register `i`'s low word is `slots32[2 * i]`. */
  readonly slots32: Int32Array<ArrayBuffer>;
  /** Index of a register in {@linkcode slots}. @throws {RangeError} For an unknown name. */
  slot(name: string): number;
  /** Ends the guest after this call with an exit status (0 to 255). */
  stop(status?: number): void;
  /**
   * Saves the whole machine in a file after this call, system mode only: a machine that is made of it goes on there.
   * That it could not be written is reported. @throws {Error} In user mode.
   */
  save(path: string | URL): void;
}

/** A callback module: any of these exports, or `default` made by `defineChannel`. */
export interface CallbackModule {
  /** Called once, before the guest starts; may be async. If it throws, the guest does not start. */
  init?(channel: Channel): void | Promise<void>;
  /** Called for every call. Arguments come as signed numbers, exact up to 2^53 (exact values: `cpu.args`). */
  call?(
    cpu: Cpu,
    command: number,
    arg0: number,
    arg1: number,
    arg2: number,
    arg3: number,
  ): CallResult | Promise<CallResult>;
  /**
   * Called for every ring event, in the order a client wrote them; `payload` is valid during the call only.
   * The guest waits for no Promise of it, but the end of the run does, and rejections are reported.
   */
  event?(
    cpu: Cpu,
    client: number,
    command: number,
    payload: Uint8Array<ArrayBuffer>,
  ): EventResult | Promise<EventResult>;
  /** Called once when the guest has ended, whatever ended it; may be async. */
  fini?(): void | Promise<void>;
}
