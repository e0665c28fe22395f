/**
 * What an instruction set adds for system mode: privilege levels, address translation, exceptions and interrupts of one
 * hart. The engine owns slots, TLB and run loop, and sees the rest through this.
 *
 * @module
 */

/** Kinds of memory access. */
export const Access = { LOAD: 0, STORE: 1, FETCH: 2 } as const;

/** What {@linkcode PrivilegedHart.translate} says. */
export const Walk = {
  /** `physical` is the address. */
  OK: 0,
  /** Page fault. */
  PAGE: 1,
  /** Access fault: physical memory protection, or a page table that is not in RAM. */
  ACCESS: 2,
  /** Not a walk's result: the address of an atomic access is misaligned. */
  MISALIGNED: 3,
} as const;

/** How the hart reaches memory past its own translation. */
export interface PhysicalMemory {
  /** Low and high word of the last read. */
  lo: number;
  hi: number;
  /** Offset in RAM of `size` bytes at a physical address, or -1. */
  ramOffset(address: number, size: number): number;
  /** Reads `size` bytes into `lo` and `hi`; false if nothing answers. */
  read(address: number, size: number): boolean;
  /** Writes the low `size` bytes of a pair; false if nothing takes them. */
  write(address: number, size: number, lo: number, hi: number): boolean;
}

/** What the hart asks of the engine. */
export interface HartServices {
  /** Slots as signed 64-bit cells; they hold this hart's state while it runs. */
  readonly slots: BigInt64Array;
  /** Physical memory, for page tables. */
  readonly memory: PhysicalMemory;
  /** Guest instructions executed by this hart before the current one. */
  instructions(): number;
  /** Ticks of the platform's timer. */
  time(): bigint;
  /** Translations changed; `physical`: those of the context without translation too. */
  flushTlb(physical: boolean): void;
  /** The translation of the page at a virtual address changed. */
  flushPage(address: bigint): void;
  /** Execution is to leave translated code after the current instruction. */
  leave(): void;
  /** Records an exception of the current instruction; false, for the caller to return. */
  fault(cause: number, tval: bigint): false;
  /** Records that the current instruction is illegal; false, for the caller to return. */
  illegal(): false;
}

/** The privileged state of one hart. */
export interface PrivilegedHart {
  /** Number of the hart. */
  readonly id: number;
  /** TLB context of loads and stores, 0 to 3. */
  readonly dataContext: number;
  /** Context of instruction fetches, 0 to 3. */
  readonly codeContext: number;
  /** Result of {@linkcode translate}. */
  readonly physical: number;
  /** Bytes of the page that the translation covers, 4096 or a multiple. */
  readonly pageBytes: number;
  /** Whether everything in the page of {@linkcode physical} may be accessed in the same way. */
  readonly wholePage: boolean;
  /**
   * Translates the address of an access to `size` bytes within a page; it changes nothing but accessed and dirty bits.
   *
   * @returns How it went, a `Walk`.
   */
  translate(lo: number, hi: number, access: number, size: number): number;
  /** Privileged operation; see the op `sys`. False if it faulted. */
  system(number: number, d: number, a: number, b: number, j: number): boolean;
  /**
   * Takes an exception.
   *
   * @param pc Signed address of the instruction.
   * @returns Signed address of the handler.
   */
  exception(cause: number, tval: bigint, pc: bigint): bigint;
  /** Whether an interrupt is pending and enabled now. */
  readonly interrupting: boolean;
  /** Takes the most urgent of them, like {@linkcode exception}. */
  interrupt(pc: bigint): bigint;
  /** Cause of an exception by the engine's reason, a `Trap`, and how the walk of it went. */
  cause(trap: number, walk: number): number;
  /** Where a `Trap.RESYNC` goes on. */
  readonly resume: bigint;
  /** Whether the hart waits for an interrupt. */
  waiting: boolean;
}
