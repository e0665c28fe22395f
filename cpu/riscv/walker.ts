/**
 * Address translation: Sv32, Sv39 and Sv48, and bare.
 *
 * Source: The RISC-V Instruction Set Manual, volume II, version 1.12, sections 4.3 to 4.5; Svadu for accessed and dirty
 * bits.
 *
 * @module
 */
import { Access, type PhysicalMemory, Walk } from "../isa/system.ts";
import { type Pmp, PmpBit } from "./pmp.ts";

/** Translation modes, with the numbers of satp.MODE on RV64; Sv32 is 1 on RV32. */
export const SatpMode = { BARE: 0, SV32: 1, SV39: 8, SV48: 9 } as const;

const V = 1, R = 2, W = 4, X = 8, U = 16, A = 64, D = 128;
/** Bits of a 64-bit entry's high word that must be 0: N, PBMT and reserved ones. */
const RESERVED_HIGH = 0xffc0_0000 | 0;
const TWO32 = 0x1_0000_0000;
/** Physical addresses have 56 bits; on RV32 34. */
const MAX_PHYSICAL = 2 ** 56;
const RIGHTS = [PmpBit.R, PmpBit.W, PmpBit.X];
const NEEDS = [R, W, X];

/** What a walk depends on besides the address. */
export interface WalkContext {
  /** Translation mode. */
  mode: number;
  /** Physical address of the root page table. */
  root: number;
  /** Privilege level of the access: 0 user, 1 supervisor, 3 machine. */
  privilege: number;
  /** S-mode may access user pages. */
  sum: boolean;
  /** Loads may read what is only executable. */
  mxr: boolean;
  /** The walker sets accessed and dirty bits itself; else it faults. */
  update: boolean;
}

/** Pages of 4096 bytes in a leaf, by level, in Sv39 and Sv48. */
const WIDE_PAGES = [1, 512, 512 ** 2, 512 ** 3] as const;

/** The page-table walker of one hart. */
export class Walker {
  /** Physical address of the last translation. */
  physical = 0;
  /** Bytes of the page that it is in. */
  pageBytes = 4096;
  readonly #memory: PhysicalMemory;
  readonly #pmp: Pmp;

  constructor(memory: PhysicalMemory, pmp: Pmp) {
    this.#memory = memory;
    this.#pmp = pmp;
  }

  #protect(physical: number, access: number, size: number, machine: boolean): number {
    this.physical = physical;
    return this.#pmp.check(physical, size, RIGHTS[access], machine) ? Walk.OK : Walk.ACCESS;
  }

  /** Translates an address; `Walk` says how it went. */
  walk(lo: number, hi: number, access: number, size: number, c: WalkContext): number {
    if (c.privilege === 3 || c.mode === SatpMode.BARE) {
      const physical = (hi >>> 0) * TWO32 + (lo >>> 0);
      if (physical >= MAX_PHYSICAL) return Walk.ACCESS;
      this.pageBytes = 4096;
      return this.#protect(physical, access, size, c.privilege === 3);
    }
    const wide = c.mode !== SatpMode.SV32;
    const levels = c.mode === SatpMode.SV48 ? 4 : wide ? 3 : 2;
    // The bits above the highest of the virtual address must be equal to it.
    const extend = c.mode === SatpMode.SV48 ? 16 : 25;
    if (wide && (hi << extend >> extend) !== hi) return Walk.PAGE;
    const memory = this.#memory, entrySize = wide ? 8 : 4;
    let table = c.root;
    for (let level = levels - 1; level >= 0; level--) {
      const address = table + this.#index(lo, hi, level, wide) * entrySize;
      if (!this.#pmp.check(address, entrySize, PmpBit.R, false)) return Walk.ACCESS;
      if (memory.ramOffset(address, entrySize) < 0 || !memory.read(address, entrySize)) {
        return Walk.ACCESS;
      }
      const pte = memory.lo, high = memory.hi;
      if ((pte & V) === 0 || (pte & (R | W)) === W) return Walk.PAGE;
      if (wide && (high & RESERVED_HIGH) !== 0) return Walk.PAGE;
      const ppn = wide ? (pte >>> 10) + high * 0x40_0000 : pte >>> 10;
      if ((pte & (R | X)) === 0) {
        if ((pte & (A | D | U)) !== 0) return Walk.PAGE;
        table = ppn * 4096;
        continue;
      }
      const walk = this.#leaf(pte, address, access, c);
      if (walk !== Walk.OK) return walk;
      const pages = wide ? WIDE_PAGES[level] : level === 0 ? 1 : 1024;
      if (ppn % pages !== 0) return Walk.PAGE;
      this.pageBytes = pages * 4096;
      return this.#protect(ppn * 4096 + this.#offset(lo, hi, level, wide), access, size, false);
    }
    return Walk.PAGE;
  }

  #index(lo: number, hi: number, level: number, wide: boolean): number {
    if (!wide) return level === 0 ? lo >>> 12 & 1023 : lo >>> 22;
    switch (level) {
      case 0:
        return lo >>> 12 & 511;
      case 1:
        return lo >>> 21 & 511;
      case 2:
        return (lo >>> 30 | hi << 2) & 511;
      default:
        return hi >>> 7 & 511;
    }
  }

  #offset(lo: number, hi: number, level: number, wide: boolean): number {
    if (!wide) return level === 0 ? lo & 0xfff : lo & 0x3f_ffff;
    switch (level) {
      case 0:
        return lo & 0xfff;
      case 1:
        return lo & 0x1f_ffff;
      case 2:
        return lo & 0x3fff_ffff;
      default:
        return (hi & 0x7f) * TWO32 + (lo >>> 0);
    }
  }

  /** Checks a leaf entry's rights, and its accessed and dirty bits, which it may set. */
  #leaf(pte: number, address: number, access: number, c: WalkContext): number {
    const user = (pte & U) !== 0;
    if (c.privilege === 0 ? !user : user && (access === Access.FETCH || !c.sum)) return Walk.PAGE;
    const rights = c.mxr && access === Access.LOAD && (pte & X) !== 0 ? pte | R : pte;
    if ((rights & NEEDS[access]) === 0) return Walk.PAGE;
    const marks = A | (access === Access.STORE ? D : 0);
    if ((pte & marks) === marks) return Walk.OK;
    if (!c.update) return Walk.PAGE;
    if (!this.#pmp.check(address, 4, PmpBit.W, false)) return Walk.ACCESS;
    return this.#memory.write(address, 4, pte | marks, 0) ? Walk.OK : Walk.ACCESS;
  }
}
