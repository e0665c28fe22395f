/**
 * Where answers go: role registers, a slot of the control area, a slot image elsewhere in memory, or the host.
 *
 * @module
 */
import type { AddressSpace } from "../mmu/address_space.ts";
import type { ChannelAreas } from "./areas.ts";
import type { BackdoorCpu } from "./cpu.ts";
import { Control, Status } from "./protocol.ts";

/** What a dispatch returns when it does not sleep. */
export const Outcome = {
  /** Answered; the guest goes on. */
  DONE: 0,
  /** Answered or not, the guest is to stop: the hook `stop` has been called. */
  STOP: 1,
} as const;

/**
 * Outcome of a dispatch: one of {@linkcode Outcome}, or a Promise of one while the calling hart must sleep.
 * The Promise rejects only if the channel's `report` function throws.
 */
export type Dispatch = number | Promise<number>;

/** Targets of answers; a number from 0 on is the guest address of a slot of the control area. */
export const Target = {
  /** The role registers. */
  REGISTERS: -1,
  /** `answerStatus`, `answerLow` and `answerHigh` of the CPU. */
  HOST: -2,
  /** `BLOCK - address`: the slot image at `address`, its status also in the status register. */
  BLOCK: -16,
} as const;

// Literals inline; properties of an imported object do not always.
const REGISTERS = -1, HOST = -2, BLOCK = -16;
const RESULT_WORD = Control.RESULT >>> 2;
const STATUS_WORD = Control.STATUS >>> 2;

/** Bytes of a slot image that a call reads and writes. */
const IMAGE_SIZE = Control.DOORBELL;

/** A role register, unsigned; inexact (but large) from 2^53 on. `word` is its index in `cpu.slots32`. */
export function readRole(cpu: BackdoorCpu, word: number): number {
  const low = cpu.slots32[word] >>> 0;
  return cpu.wide ? (cpu.slots32[word + 1] >>> 0) * 2 ** 32 + low : low;
}

/** Writes a role register, sign-extended from 32 bits. */
export function writeRole(cpu: BackdoorCpu, word: number, value: number): void {
  cpu.slots32[word] = value;
  cpu.slots32[word + 1] = value >> 31;
}

/** Writes answers. */
export class Answers {
  /** Requests answered INVALID. */
  invalid = 0;
  readonly #memory: AddressSpace;
  readonly #areas: ChannelAreas;
  readonly #m32: Int32Array<ArrayBuffer>;

  constructor(memory: AddressSpace, areas: ChannelAreas) {
    this.#memory = memory;
    this.#areas = areas;
    this.#m32 = memory.arena.m32;
  }

  /** Whether a slot image may be at an address: aligned, and the guest may read and write it. */
  isBlock(address: number): boolean {
    return address % 8 === 0 && this.#memory.isReadable(address, IMAGE_SIZE) &&
      this.#memory.isWritable(address, IMAGE_SIZE);
  }

  /** Answers OK with a result, given as two words. */
  result(cpu: BackdoorCpu, target: number, low: number, high: number): number {
    if (target === REGISTERS) {
      if (cpu.wide) {
        cpu.slots32[cpu.arg0] = low;
        cpu.slots32[cpu.arg0 + 1] = high;
      } else {
        writeRole(cpu, cpu.arg0, low);
        writeRole(cpu, cpu.arg1, high);
      }
    } else if (target === HOST) {
      cpu.answerLow = low;
      cpu.answerHigh = high;
    } else {
      this.#write(target, RESULT_WORD, low, high);
    }
    return this.status(cpu, target, Status.OK);
  }

  /** Answers with a status; the result stays as it is. */
  status(cpu: BackdoorCpu, target: number, status: number): number {
    if (status === Status.INVALID) this.invalid++;
    if (target === HOST) {
      cpu.answerStatus = status;
    } else if (target === REGISTERS) {
      writeRole(cpu, cpu.status, status);
    } else {
      const written = this.#write(target, STATUS_WORD, status, status >> 31);
      if (target <= BLOCK) writeRole(cpu, cpu.status, written ? status : Status.INVALID);
    }
    return cpu.stopping ? Outcome.STOP : Outcome.DONE;
  }

  /** Writes 64 bits of a slot; false if it is a block that was unmapped while its call was answered. */
  #write(target: number, offset: number, low: number, high: number): boolean {
    let word = target >>> 2;
    if (target <= BLOCK) {
      const address = BLOCK - target;
      // Also drops code that was translated from there.
      if (!this.#memory.writeView(address, IMAGE_SIZE)) return false;
      word = address >>> 2;
    } else if (!this.#areas.inControl(target)) {
      throw new RangeError(`No control slot at guest address 0x${target.toString(16)}`);
    }
    this.#m32[word + offset] = low;
    this.#m32[word + offset + 1] = high;
    return true;
  }
}
