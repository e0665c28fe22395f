/**
 * The calling CPU as callbacks see it, and the few fields that the dispatch needs without any indirection.
 *
 * @module
 */
import type { Isa } from "../cpu/isa/isa.ts";
import type { AddressSpace } from "../mmu/address_space.ts";
import { NUM_ARGS } from "./protocol.ts";
import type { Cpu } from "./types.ts";

/** What the backdoor asks of an instruction set. */
export type CpuIsa = Pick<
  Isa,
  "name" | "xlen" | "registers" | "backdoor" | "readSpecial" | "writeSpecial"
>;

/** What the run loop does for a hart's callbacks. */
export interface CpuHooks {
  /** Address of the calling instruction; between calls, of the next one. */
  getPc(): number | bigint;
  /** The guest goes on at this address, unsigned. */
  setPc(address: bigint): void;
  /** Guest instructions executed so far, the calling one included. */
  instructions(): number;
  /** The guest is to end with this exit status, before its next instruction if it can. */
  stop(status: number, reason: StopReason): void;
  /** The machine is to be saved when the call is done; absent where there are no snapshots. */
  save?(path: string | URL): void;
}

/** Who ended the guest: a callback by `cpu.stop`, or the policy "stop" after a callback's error. */
export type StopReason = "callback" | "error";

/** One hart, its register file and how to reach its run loop. */
export interface CpuOptions {
  /** The instruction set. */
  isa: CpuIsa;
  /** Slots as 64-bit integers. */
  q: BigInt64Array<ArrayBuffer>;
  /** The same slots as 32-bit words. */
  r: Int32Array<ArrayBuffer>;
  /** Number of the hart, 0 if there is one. */
  hart?: number;
  /** Memory as callbacks see it; the channel's if absent. */
  memory?: AddressSpace;
  /** Its run loop. */
  hooks: CpuHooks;
}

/** The slot that is always zero, for every ISA (cpu/ir/ops.ts). */
const ZERO_SLOT = 0;

interface Register {
  readonly name: string;
  readonly slot: number;
  readonly bits: number;
  /** General registers narrower than a slot are sign-extended in it (see cpu/ir/ops.ts). */
  readonly signed: boolean;
}

/** Implements {@linkcode Cpu}; made by `BackdoorChannel.cpu`, one a hart. */
export class BackdoorCpu implements Cpu {
  readonly isa: string;
  readonly xlen: number;
  readonly hart: number;
  readonly args: BigInt64Array<ArrayBuffer> = new BigInt64Array(NUM_ARGS);
  readonly memory: AddressSpace;
  readonly slots: BigInt64Array<ArrayBuffer>;
  readonly slots32: Int32Array<ArrayBuffer>;
  client = 0;

  // For the dispatch. Role registers are indices of low words in slots32; the high word follows. The zeros make
  // V8 keep these fields as small integers (undefined first would make them tagged: 10 ns a call).
  /** Whether registers have 64 bits. */
  readonly wide: boolean = true;
  /** The words of {@linkcode args}. */
  readonly argWords: Int32Array<ArrayBuffer> = new Int32Array(this.args.buffer);
  /** Low word of the request kind. */
  readonly kind: number = 0;
  /** Low word of the status. */
  readonly status: number = 0;
  /** Low words of arg0 to arg5. */
  readonly arg0: number = 0;
  readonly arg1: number = 0;
  readonly arg2: number = 0;
  readonly arg3: number = 0;
  readonly arg4: number = 0;
  readonly arg5: number = 0;
  /** From the low word of arg0 on; they are arg0 to arg5 if the CPU is {@linkcode plain}. */
  readonly roleWords: Int32Array<ArrayBuffer>;
  /** Whether registers have 64 bits, and arg0 to arg5 are slots that follow each other. */
  readonly plain: boolean = true;
  /** Whether the guest is to stop after the current call. */
  stopping = false;
  /** Whether that is because of a callback's error: then nothing more of the user's is called but `fini`. */
  failed = false;
  /** Where a callback sent the guest, until the next call. */
  nextPc: bigint | undefined = undefined;
  /** What the hart sleeps on: the answer to an async call. */
  pending: Promise<number> | undefined = undefined;
  /** Answer to a call that the host itself made (`BackdoorChannel.invoke`). */
  answerStatus = 0;
  answerLow = 0;
  answerHigh = 0;

  readonly #isa: CpuIsa;
  readonly #hooks: CpuHooks;
  readonly #registers = new Map<string, Register>();
  readonly #clientData: readonly Uint8Array<ArrayBuffer>[];

  /** @param clientData Each client's part of the data area. */
  constructor(
    options: CpuOptions,
    memory: AddressSpace,
    clientData: readonly Uint8Array<ArrayBuffer>[],
  ) {
    const { isa, q, r, hooks } = options;
    this.isa = isa.name;
    this.xlen = isa.xlen;
    this.wide = isa.xlen === 64;
    this.hart = options.hart ?? 0;
    this.memory = memory;
    this.slots = q;
    this.slots32 = r;
    this.kind = isa.backdoor.kind * 2;
    this.status = isa.backdoor.status * 2;
    [this.arg0, this.arg1, this.arg2, this.arg3, this.arg4, this.arg5] = isa.backdoor.args.map(
      (slot) => slot * 2,
    );
    this.roleWords = r.subarray(this.arg0, this.arg0 + 2 * isa.backdoor.args.length);
    this.plain = this.wide && isa.backdoor.args.every((slot, i, [first]) => slot === first + i);
    this.#isa = isa;
    this.#hooks = hooks;
    this.#clientData = clientData;
    for (const { name, aliases, slot, bits, kind } of isa.registers) {
      const register = { name, slot, bits, signed: kind === "general" };
      for (const key of [name, ...aliases]) this.#registers.set(key, register);
    }
  }

  get data(): Uint8Array<ArrayBuffer> {
    return this.#clientData[this.client];
  }

  get instructions(): number {
    return this.#hooks.instructions();
  }

  get pc(): bigint {
    return this.nextPc ?? BigInt.asUintN(this.xlen, BigInt(this.#hooks.getPc()));
  }

  set pc(address: bigint) {
    this.nextPc = BigInt.asUintN(this.xlen, toBigInt("pc", address));
    this.#hooks.setPc(this.nextPc);
  }

  getRegister(name: string): bigint {
    if (name === "pc") return this.pc;
    const register = this.#register(name);
    const value = register.slot < 0
      ? this.#isa.readSpecial(register.name, this.slots)
      : this.slots[register.slot];
    return BigInt.asUintN(register.bits, value);
  }

  setRegister(name: string, value: bigint | number): void {
    const bits = toBigInt(name, value);
    if (name === "pc") {
      this.pc = bits;
      return;
    }
    const register = this.#register(name);
    if (register.slot === ZERO_SLOT) return;
    if (register.slot < 0) {
      this.#isa.writeSpecial(register.name, BigInt.asUintN(register.bits, bits), this.slots);
    } else {
      this.slots[register.slot] = register.signed
        ? BigInt.asIntN(register.bits, bits)
        : BigInt.asUintN(register.bits, bits);
    }
  }

  registerNames(): string[] {
    return [...new Set(["pc", ...this.#registers.keys()])];
  }

  slot(name: string): number {
    const { slot } = this.#register(name);
    if (slot < 0) {
      throw new RangeError(
        `Register ${name} has no slot of its own: use getRegister and setRegister`,
      );
    }
    return slot;
  }

  stop(status = 0): void {
    if (!Number.isInteger(status) || status < 0 || status > 255) {
      throw new RangeError(`Cannot stop the guest with status ${status}: 0 to 255 are possible`);
    }
    this.requestStop(status, "callback");
  }

  save(path: string | URL): void {
    if (!this.#hooks.save) {
      throw new Error(`Cannot save ${path}: only a machine in system mode can be saved`);
    }
    this.#hooks.save(path);
  }

  /** Asks the run loop to end the guest; the first request counts. */
  requestStop(status: number, reason: StopReason): void {
    if (reason === "error") this.failed = true;
    if (this.stopping) return;
    this.stopping = true;
    this.#hooks.stop(status, reason);
  }

  #register(name: string): Register {
    const register = this.#registers.get(name);
    if (!register) {
      throw new RangeError(
        `Unknown ${this.isa} register ${JSON.stringify(name)}: registerNames() lists them`,
      );
    }
    return register;
  }
}

function toBigInt(name: string, value: bigint | number): bigint {
  if (typeof value === "bigint") return value;
  if (!Number.isInteger(value)) {
    throw new RangeError(`Cannot write ${value} to register ${name}: it is not an integer`);
  }
  return BigInt(value);
}
