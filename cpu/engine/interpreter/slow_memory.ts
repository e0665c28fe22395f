/**
 * Memory accesses off the fast path, for every executor: misaligned ones, page crossings, stores to watched code,
 * mapped stores that a hook takes, and faults.
 *
 * @module
 */
import { type AddressSpace } from "../../../mmu/address_space.ts";
import { Trap } from "../../ir/encoding.ts";

/** What a store hook says. */
export const Hooked = {
  /** Not mine: the store faults. */
  NO: 0,
  /** Done; go on. */
  DONE: 1,
  /** Done; leave translated code after this instruction. */
  LEAVE: 2,
} as const;

/** Takes stores to pages that are readable but not writable. */
export type StoreHook = (address: number, size: number, lo: number, hi: number) => number;

/** What executors ask of memory off the fast path; results are in fields, so that nothing is allocated. */
export interface SlowPath {
  /** Low and high word of the last load, zero-extended. */
  lo: number;
  hi: number;
  /** Address of the last fault. */
  faultLo: number;
  faultHi: number;
  /** True once execution is to leave after the current instruction. */
  leave: boolean;
  /** Records a fault (a `Trap` reason) at an address; returns false. */
  fault(kind: number, lo: number, hi: number): false;
  /** Loads `size` bytes (1, 2, 4, 8) into `lo` and `hi`; false if it faulted. */
  load(addressLo: number, addressHi: number, size: number): boolean;
  /** Stores the low `size` bytes of a pair; false if it faulted. */
  store(addressLo: number, addressHi: number, size: number, lo: number, hi: number): boolean;
  /** Zeroes the aligned `size` bytes (a power of two) that hold an address; false if it faulted. */
  zero(addressLo: number, addressHi: number, size: number): boolean;
}

/** The slow path of one user-mode CPU. */
export class SlowMemory implements SlowPath {
  /** Low and high word of the last load, zero-extended. */
  lo = 0;
  hi = 0;
  /** `Trap` reason and address of the last fault. */
  faultKind: number = Trap.NONE;
  faultLo = 0;
  faultHi = 0;
  /** True once a hook asked to leave. */
  leave = false;
  /** See {@linkcode StoreHook}. */
  storeHook: StoreHook = () => Hooked.NO;
  readonly #space: AddressSpace;
  readonly #m8: Uint8Array;

  constructor(space: AddressSpace) {
    this.#space = space;
    this.#m8 = space.arena.m8;
  }

  /** Records a fault at an address; returns false. */
  fault(kind: number, lo: number, hi: number): false {
    this.faultKind = kind;
    this.faultLo = lo;
    this.faultHi = hi;
    return false;
  }

  /** Loads `size` bytes (1, 2, 4, 8) into `lo` and `hi`; false if it faulted. */
  load(addressLo: number, addressHi: number, size: number): boolean {
    const address = addressLo >>> 0;
    if (addressHi !== 0 || !this.#space.isReadable(address, size)) {
      return this.fault(Trap.LOAD_FAULT, ...this.#firstBad(addressLo, addressHi, size, "load"));
    }
    const m8 = this.#m8;
    let lo = 0, hi = 0;
    for (let i = Math.min(size, 4) - 1; i >= 0; i--) lo = lo << 8 | m8[address + i];
    for (let i = size - 1; i >= 4; i--) hi = hi << 8 | m8[address + i];
    this.lo = lo;
    this.hi = hi;
    return true;
  }

  /** Stores the low `size` bytes of a pair; false if it faulted. */
  store(addressLo: number, addressHi: number, size: number, lo: number, hi: number): boolean {
    const address = addressLo >>> 0;
    if (addressHi === 0) {
      const view = this.#space.writeView(address, size);
      if (view) {
        for (let i = 0; i < size; i++) view[i] = (i < 4 ? lo >>> 8 * i : hi >>> 8 * (i - 4)) & 255;
        return true;
      }
      const hooked = this.#space.isReadable(address, size)
        ? this.storeHook(address, size, lo, hi)
        : Hooked.NO;
      if (hooked !== Hooked.NO) {
        if (hooked === Hooked.LEAVE) this.leave = true;
        return true;
      }
    }
    return this.fault(Trap.STORE_FAULT, ...this.#firstBad(addressLo, addressHi, size, "store"));
  }

  zero(addressLo: number, addressHi: number, size: number): boolean {
    const start = (addressLo & -size) >>> 0;
    const view = addressHi === 0 ? this.#space.writeView(start, size) : undefined;
    if (!view) return this.fault(Trap.STORE_FAULT, addressLo, addressHi);
    view.fill(0);
    return true;
  }

  /** The address a fault names: the access's own, or the start of its second page if only that is bad. */
  #firstBad(lo: number, hi: number, size: number, what: "load" | "store"): [number, number] {
    const address = lo >>> 0, inPage = 4096 - (address & 4095);
    if (hi !== 0 || inPage >= size) return [lo, hi];
    const space = this.#space;
    const ok = what === "load"
      ? space.isReadable(address, inPage)
      : space.isWritable(address, inPage);
    return ok ? [(address + inPage) | 0, address + inPage > 0xffff_ffff ? 1 : 0] : [lo, hi];
  }
}
