/**
 * Memory accesses of system mode off the fast path: TLB misses, misaligned ones and page crossings, stores to watched
 * code, devices, and faults.
 *
 * @module
 */
import { Page } from "../../../mmu/address_space.ts";
import { PAGE_SHIFT, PAGE_SIZE } from "../../../mmu/arena.ts";
import type { Bus, MmioDevice } from "../../../mmu/bus.ts";
import type { Tlb } from "../../../mmu/softmmu.ts";
import { Trap } from "../../ir/encoding.ts";
import { Access, type PrivilegedHart, Walk } from "../../isa/system.ts";
import type { SlowPath } from "../interpreter/slow_memory.ts";
import { Reach } from "../tier.ts";

/** The slow path of system mode; one for all harts, of which one runs. */
export class SystemMemory implements SlowPath {
  lo = 0;
  hi = 0;
  /** `Trap` reason of the last fault. */
  faultKind: number = Trap.NONE;
  faultLo = 0;
  faultHi = 0;
  /** How the walk of the last memory fault went, a `Walk`. */
  walk: number = Walk.OK;
  leave = false;
  /** The hart that runs, and its TLB. */
  hart!: PrivilegedHart;
  tlb!: Tlb;
  /** TLB misses so far. */
  misses = 0;
  /** The page of the last store to a device, and what its translation was made with. */
  #storeLo = -1;
  #storeHi = 0;
  #storeContext = 0;
  #storeFlushes = -1;
  #storeTlb: Tlb | undefined;
  /** The device, and where in it that page is. */
  #storeDevice: MmioDevice | undefined;
  #storeAt = 0;
  readonly #bus: Bus;
  readonly #pages: Uint8Array;
  readonly #wide: boolean;

  /** @param wide Whether addresses have 64 bits; else they end at 2^32. */
  constructor(bus: Bus, wide: boolean) {
    this.#bus = bus;
    this.#pages = bus.ram.arena.pages;
    this.#wide = wide;
  }

  fault(kind: number, lo: number, hi: number): false {
    this.faultKind = kind;
    this.faultLo = lo;
    this.faultHi = hi;
    return false;
  }

  #memoryFault(access: number, walk: number, lo: number, hi: number): false {
    this.walk = walk;
    return this.fault(access === Access.STORE ? Trap.STORE_FAULT : Trap.LOAD_FAULT, lo, hi);
  }

  /** Physical address of an access within a page, or -1 if it faulted. */
  #translate(lo: number, hi: number, access: number, size: number): number {
    const { hart } = this;
    const walk = hart.translate(lo, hi, access, size);
    if (walk === Walk.OK) return hart.physical;
    this.#memoryFault(access, walk, lo, hi);
    return -1;
  }

  /** Enters the page of the last translation, if it is RAM. */
  #enter(lo: number, hi: number, store: boolean): void {
    const { hart } = this;
    if (!hart.wholePage) return;
    const page = hart.physical - hart.physical % PAGE_SIZE;
    const offset = this.#bus.ramOffset(page, PAGE_SIZE);
    // Translated code is told of stores to its page.
    if (offset < 0 || (store && (this.#pages[offset >>> PAGE_SHIFT] & Page.STORE) === 0)) return;
    this.misses++;
    this.tlb.enter(hart.dataContext, store, lo, hi, offset);
    if (hart.pageBytes > PAGE_SIZE) this.tlb.noteLarge(lo, hi, hart.pageBytes);
  }

  /**
   * Offset in guest memory of an access that compiled code does not find in the TLB; -1 if it is not simply memory, or
   * faults: then it is to be executed by `load` or `store`. See `TierServices.reach`.
   */
  reach(lo: number, hi: number, how: number): number {
    const size = how & Reach.BYTES, store = (how & Reach.STORE) !== 0, { hart } = this;
    if ((how & Reach.ALIGNED) !== 0 && (lo & (size - 1)) !== 0) return -1;
    const inPage = PAGE_SIZE - (lo & (PAGE_SIZE - 1));
    if (size > inPage) {
      // Two pages, that may be neighbours in memory too: nothing is entered, for a page is dirty only if stored to.
      const first = this.tlb.find(hart.dataContext, store, lo, hi);
      const second = this.tlb.find(hart.dataContext, store, ...this.#next(lo, hi, inPage));
      return first >= 0 && second === first - (lo & (PAGE_SIZE - 1)) + PAGE_SIZE ? first : -1;
    }
    if (store && (lo & -PAGE_SIZE) === this.#storeLo && this.#deviceKnown(hi)) return -1;
    if (hart.translate(lo, hi, store ? Access.STORE : Access.LOAD, size) !== Walk.OK) return -1;
    const offset = this.#bus.ramOffset(hart.physical, size);
    if (offset < 0) return -1;
    if (store && (this.#pages[offset >>> PAGE_SHIFT] & Page.STORE) === 0) return -1;
    this.#enter(lo, hi, store);
    return offset;
  }

  load(addressLo: number, addressHi: number, size: number): boolean {
    const inPage = PAGE_SIZE - (addressLo & (PAGE_SIZE - 1)), bus = this.#bus;
    if (inPage < size) return this.#loadCrossing(addressLo, addressHi, size, inPage);
    // The interpreter's probe finds no misaligned address.
    const known = this.tlb.find(this.hart.dataContext, false, addressLo, addressHi);
    if (known >= 0) {
      bus.readRam(known, size);
      this.lo = bus.lo;
      this.hi = bus.hi;
      return true;
    }
    const physical = this.#translate(addressLo, addressHi, Access.LOAD, size);
    if (physical < 0) return false;
    if (!bus.read(physical, size)) {
      return this.#memoryFault(Access.LOAD, Walk.ACCESS, addressLo, addressHi);
    }
    this.lo = bus.lo;
    this.hi = bus.hi;
    this.#enter(addressLo, addressHi, false);
    return true;
  }

  /** First address of the next page, as two words. */
  #next(lo: number, hi: number, inPage: number): [lo: number, hi: number] {
    const sum = (lo >>> 0) + inPage;
    return [sum | 0, this.#wide && sum > 0xffff_ffff ? (hi + 1) | 0 : hi];
  }

  #loadCrossing(lo: number, hi: number, size: number, inPage: number): boolean {
    const next = this.#next(lo, hi, inPage), bus = this.#bus;
    const first = this.#translate(lo, hi, Access.LOAD, inPage);
    if (first < 0) return false;
    const second = this.#translate(...next, Access.LOAD, size - inPage);
    if (second < 0) return false;
    const bytes = [0, 0, 0, 0, 0, 0, 0, 0];
    for (let i = 0; i < size; i++) {
      const at = i < inPage ? first + i : second + i - inPage;
      // Devices have no misaligned registers.
      if (bus.ramOffset(at, 1) < 0 || !bus.read(at, 1)) {
        const bad = i < inPage ? [lo, hi] as const : next;
        return this.#memoryFault(Access.LOAD, Walk.ACCESS, ...bad);
      }
      bytes[i] = bus.lo;
    }
    this.lo = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | bytes[3] << 24;
    this.hi = bytes[4] | bytes[5] << 8 | bytes[6] << 16 | bytes[7] << 24;
    return true;
  }

  store(addressLo: number, addressHi: number, size: number, lo: number, hi: number): boolean {
    const inPage = PAGE_SIZE - (addressLo & (PAGE_SIZE - 1)), bus = this.#bus;
    if (inPage < size) return this.#storeCrossing(addressLo, addressHi, size, inPage, lo, hi);
    const { hart } = this;
    // A misaligned address is in no such page.
    const inPageOfDevice = addressLo & (-PAGE_SIZE | size - 1);
    if (inPageOfDevice === this.#storeLo && this.#deviceKnown(addressHi)) {
      const at = this.#storeAt + (addressLo & (PAGE_SIZE - 1));
      if (!bus.give(this.#storeDevice!, at, size, lo, hi)) {
        return this.#memoryFault(Access.STORE, Walk.ACCESS, addressLo, addressHi);
      }
      if (hart.interrupting) this.leave = true;
      return true;
    }
    const known = this.tlb.find(hart.dataContext, true, addressLo, addressHi);
    if (known >= 0) {
      bus.writeRam(known, size, lo, hi);
      return true;
    }
    const physical = this.#translate(addressLo, addressHi, Access.STORE, size);
    if (physical < 0) return false;
    const whole = hart.wholePage;
    if (!bus.write(physical, size, lo, hi)) {
      return this.#memoryFault(Access.STORE, Walk.ACCESS, addressLo, addressHi);
    }
    // A device may have raised an interrupt. (If it wants the machine to end it says so itself.)
    if (bus.toDevice) {
      this.leave ||= hart.interrupting;
      if (whole) this.#keepStore(addressLo, addressHi, physical);
    } else this.#enter(addressLo, addressHi, true);
    return true;
  }

  /** Whether the page of the last store to a device is still where it was, if its low word is the same. */
  #deviceKnown(hi: number): boolean {
    const { tlb } = this;
    return hi === this.#storeHi && tlb === this.#storeTlb && tlb.flushes === this.#storeFlushes &&
      this.hart.dataContext === this.#storeContext;
  }

  /** Drivers write to the same page again and again: keeps its device, as the TLB has pages of memory only. */
  #keepStore(lo: number, hi: number, physical: number): void {
    const { target, targetStart, targetSize } = this.#bus;
    const at = physical - physical % PAGE_SIZE - targetStart;
    if (at < 0 || at + PAGE_SIZE > targetSize) return;
    this.#storeLo = lo & -PAGE_SIZE;
    this.#storeHi = hi;
    this.#storeDevice = target;
    this.#storeAt = at;
    this.#storeTlb = this.tlb;
    this.#storeFlushes = this.tlb.flushes;
    this.#storeContext = this.hart.dataContext;
  }

  #storeCrossing(
    addressLo: number,
    addressHi: number,
    size: number,
    inPage: number,
    lo: number,
    hi: number,
  ): boolean {
    const next = this.#next(addressLo, addressHi, inPage), bus = this.#bus;
    const first = this.#translate(addressLo, addressHi, Access.STORE, inPage);
    if (first < 0) return false;
    const second = this.#translate(...next, Access.STORE, size - inPage);
    if (second < 0) return false;
    if (bus.ramOffset(first, inPage) < 0) {
      return this.#memoryFault(Access.STORE, Walk.ACCESS, addressLo, addressHi);
    }
    if (bus.ramOffset(second, size - inPage) < 0) {
      return this.#memoryFault(Access.STORE, Walk.ACCESS, ...next);
    }
    for (let i = 0; i < size; i++) {
      const at = i < inPage ? first + i : second + i - inPage;
      bus.write(at, 1, (i < 4 ? lo >>> 8 * i : hi >>> 8 * (i - 4)) & 255, 0);
    }
    return true;
  }

  zero(addressLo: number, addressHi: number, size: number): boolean {
    const start = addressLo & -size, { ram } = this.#bus;
    const known = this.tlb.find(this.hart.dataContext, true, start, addressHi);
    if (known >= 0) {
      ram.arena.m8.fill(0, known, known + size);
      return true;
    }
    const physical = this.#translate(start, addressHi, Access.STORE, size);
    // The address that a fault names is the operand, not the block's.
    if (physical < 0) return this.fault(Trap.STORE_FAULT, addressLo, addressHi);
    const offset = this.#bus.ramOffset(physical, size);
    if (offset < 0 || !ram.beforeWrite(offset, size)) {
      return this.#memoryFault(Access.STORE, Walk.ACCESS, addressLo, addressHi);
    }
    ram.arena.m8.fill(0, offset, offset + size);
    this.#enter(start, addressHi, true);
    return true;
  }
}
