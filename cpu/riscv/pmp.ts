/**
 * Physical memory protection: 16 entries, granularity 4 bytes.
 *
 * Source: The RISC-V Instruction Set Manual, volume II, version 1.12, section 3.7.
 *
 * @module
 */

/** Entries that exist; the others read as 0. */
export const PMP_ENTRIES = 16;

/** Bits of a configuration byte. */
export const PmpBit = { R: 1, W: 2, X: 4, A: 0x18, L: 0x80 } as const;
const OFF = 0, TOR = 1, NA4 = 2;
const ADDRESS_BITS = 54n;
const PHYSICAL_END = 2 ** 56;

/** The registers, and the check that they make. */
export class Pmp {
  /** Whether the last check holds for its whole 4 KiB page. */
  wholePage = true;
  readonly #config = new Uint8Array(PMP_ENTRIES);
  readonly #address: bigint[] = new Array(PMP_ENTRIES).fill(0n);
  /** First address of each entry, and the one after it; equal if it matches nothing. */
  readonly #start: number[] = new Array(PMP_ENTRIES).fill(0);
  readonly #end: number[] = new Array(PMP_ENTRIES).fill(0);
  #active = false;
  /** The first entry that is on allows everything everywhere below M-mode. */
  #open = false;

  /** Configuration byte of an entry. */
  config(entry: number): number {
    return entry < PMP_ENTRIES ? this.#config[entry] : 0;
  }

  /** Writes a configuration byte, unless it is locked. */
  setConfig(entry: number, value: number): void {
    if (entry >= PMP_ENTRIES || (this.#config[entry] & PmpBit.L) !== 0) return;
    // Writable and not readable is reserved.
    const reserved = (value & (PmpBit.R | PmpBit.W)) === PmpBit.W ? PmpBit.W : 0;
    this.#config[entry] = value & ~reserved &
      (PmpBit.L | PmpBit.A | PmpBit.R | PmpBit.W | PmpBit.X);
    this.#update();
  }

  /** Address register of an entry: bits 55 to 2 of an address. */
  address(entry: number): bigint {
    return entry < PMP_ENTRIES ? this.#address[entry] : 0n;
  }

  /** Writes an address register, unless it or the range that it starts is locked. */
  setAddress(entry: number, value: bigint): void {
    if (entry >= PMP_ENTRIES || (this.#config[entry] & PmpBit.L) !== 0) return;
    const next = entry + 1 < PMP_ENTRIES ? this.#config[entry + 1] : 0;
    if ((next & PmpBit.L) !== 0 && (next & PmpBit.A) >>> 3 === TOR) return;
    this.#address[entry] = BigInt.asUintN(Number(ADDRESS_BITS), value);
    this.#update();
  }

  #update(): void {
    this.#active = false;
    for (let i = 0; i < PMP_ENTRIES; i++) {
      const mode = (this.#config[i] & PmpBit.A) >>> 3, address = this.#address[i];
      let start = 0n, end = 0n;
      if (mode !== OFF) this.#active = true;
      if (mode === TOR) {
        start = i === 0 ? 0n : this.#address[i - 1] << 2n;
        end = address << 2n;
      } else if (mode === NA4) {
        start = address << 2n;
        end = start + 4n;
      } else if (mode !== OFF) {
        // The number of ones at the end says how large the range is.
        const ones = address ^ (address + 1n);
        start = (address & ~ones) << 2n;
        end = start + ((ones + 1n) << 2n);
      }
      this.#start[i] = Number(start);
      this.#end[i] = Number(end > start ? end : start);
    }
    const first = this.#end.findIndex((end, i) => end > this.#start[i]);
    const all = PmpBit.R | PmpBit.W | PmpBit.X;
    this.#open = first >= 0 && this.#start[first] === 0 && this.#end[first] >= PHYSICAL_END &&
      (this.#config[first] & all) === all;
  }

  /**
   * Whether an access is allowed.
   *
   * @param right One of `PmpBit.R`, `W`, `X`.
   * @param machine Whether it is made in M-mode.
   */
  check(address: number, size: number, right: number, machine: boolean): boolean {
    this.wholePage = true;
    if (this.#open) return true;
    if (!this.#active) return machine;
    const last = address + size, page = address - address % 4096, pageEnd = page + 4096;
    for (let i = 0; i < PMP_ENTRIES; i++) {
      const start = this.#start[i], end = this.#end[i];
      if (start >= pageEnd || end <= page || start === end) continue;
      if (start > page || end < pageEnd) this.wholePage = false;
      if (start >= last || end <= address) continue;
      // An entry that matches some bytes must match all of them.
      if (start > address || end < last) return false;
      const config = this.#config[i];
      return (machine && (config & PmpBit.L) === 0) || (config & right) !== 0;
    }
    return machine;
  }
}
