/**
 * The arena: one `WebAssembly.Memory` that holds CPU state, the page table and guest memory, so that
 * TypeScript reaches it as typed arrays, the wasm tier as linear memory and the native tier as a pointer.
 *
 * Layout, in bytes from the start of the memory:
 *
 * | from         | what                                                         |
 * |--------------|--------------------------------------------------------------|
 * | 0            | slots: 8-byte cells of CPU state and temporaries             |
 * | 0x0001_0000  | page table: one byte for each 4 KiB page of a 4 GiB space    |
 * | 0x0011_0000  | tables of the interpreter: powers of two, jump cache         |
 * | 0x0013_0000  | wasm tier: cache of indirect targets                         |
 * | 0x0014_0000  | system mode: TLBs                                            |
 * | 0x001c_0000  | wasm tier: extents                                           |
 * | 0x0020_0000  | native tier: extents, cells for messages                     |
 * | 0x0024_0000  | system mode: jump cache                                      |
 * | 0x002c_0000  | code cache: IR records of translated blocks                  |
 * | 0x0400_0000  | guest memory: guest address 0 is here                        |
 *
 * @module
 */

/** Bytes of a guest page. */
export const PAGE_SIZE = 4096;
/** log2 of {@linkcode PAGE_SIZE}. */
export const PAGE_SHIFT = 12;
/** Number of 8-byte state slots. */
export const SLOT_COUNT = 8192;
/** Byte offset of the page table in the arena. */
export const PAGE_TABLE_OFFSET = 0x1_0000;
/** Entries of the page table: it spans 4 GiB, so that any 32-bit address indexes it in bounds. */
export const PAGE_TABLE_ENTRIES = 1 << 20;
/** Byte offset of the interpreter's tables in the arena. */
export const TABLES_OFFSET = 0x11_0000;
/** Byte offset of the native tier's part of the arena. */
export const NATIVE_OFFSET = 0x20_0000;
/** Byte offset of system mode's jump cache in the arena. */
export const JUMPS_OFFSET = 0x24_0000;
/** Byte offset of the code cache in the arena. */
export const CODE_OFFSET = 0x2c_0000;
/** Byte offset of guest address 0 in the arena; the code cache ends here. */
export const GUEST_OFFSET = 0x400_0000;
/** The arena stays below 2 GiB: V8 is 30 times slower on typed-array indices of 2^31 and more. */
export const MAX_GUEST_BYTES = 0x8000_0000 - GUEST_OFFSET;

const WASM_PAGE = 65536;

/** The memory of one machine, and typed views of its parts. */
export class Arena {
  /** The memory itself; compiled tiers import it. */
  readonly memory: WebAssembly.Memory;
  /** Bytes of guest memory, a multiple of 64 KiB. */
  readonly guestBytes: number;
  /** The whole arena as bytes; the interpreter's loop indexes nothing but these seven views. */
  readonly all8: Uint8Array<ArrayBuffer>;
  /** The whole arena as unsigned 16-bit words. */
  readonly all16: Uint16Array<ArrayBuffer>;
  /** The whole arena as signed 32-bit words. */
  readonly all32: Int32Array<ArrayBuffer>;
  /** The whole arena as signed 64-bit words. */
  readonly all64: BigInt64Array<ArrayBuffer>;
  /** The whole arena as unsigned 64-bit words. */
  readonly allU64: BigUint64Array<ArrayBuffer>;
  /** The whole arena as floats. */
  readonly allF32: Float32Array<ArrayBuffer>;
  /** The whole arena as doubles. */
  readonly allF64: Float64Array<ArrayBuffer>;
  /** Slots as signed 64-bit integers. */
  readonly q: BigInt64Array<ArrayBuffer>;
  /** Slots as unsigned 64-bit integers. */
  readonly u: BigUint64Array<ArrayBuffer>;
  /** Slots as 32-bit words: slot i is words 2i (low) and 2i+1 (high). */
  readonly r: Int32Array<ArrayBuffer>;
  /** Slots as doubles. */
  readonly f: Float64Array<ArrayBuffer>;
  /** Slots as floats: slot i's low word is element 2i. */
  readonly s: Float32Array<ArrayBuffer>;
  /** The page table, a byte a page; see `Page` in address_space.ts. */
  readonly pages: Uint8Array<ArrayBuffer>;
  /** Guest memory as unsigned bytes, indexed by guest address. */
  readonly m8: Uint8Array<ArrayBuffer>;
  /** Guest memory as 16-bit words, indexed by guest address / 2. */
  readonly m16: Uint16Array<ArrayBuffer>;
  /** Guest memory as 32-bit words, indexed by guest address / 4. */
  readonly m32: Int32Array<ArrayBuffer>;
  /** Guest memory as 64-bit words, indexed by guest address / 8. */
  readonly m64: BigInt64Array<ArrayBuffer>;

  /**
   * Reserves an arena; the host commits its pages when they are first touched.
   *
   * @param guestBytes Size of guest memory in bytes, rounded up to 64 KiB.
   * @throws {RangeError} If the size is not between 64 KiB and {@linkcode MAX_GUEST_BYTES}, or the host refuses it.
   */
  constructor(guestBytes: number) {
    const size = Math.ceil(guestBytes / WASM_PAGE) * WASM_PAGE;
    if (!(size >= WASM_PAGE && size <= MAX_GUEST_BYTES)) {
      throw new RangeError(
        `Cannot reserve ${guestBytes} bytes of guest memory: between 64 KiB and ${MAX_GUEST_BYTES} bytes (2 GiB - 64 MiB) are possible`,
      );
    }
    const pages = (GUEST_OFFSET + size) / WASM_PAGE;
    try {
      this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    } catch (cause) {
      throw new RangeError(
        `Cannot reserve ${size} bytes of guest memory: the host has no room; ask for less with --memory`,
        { cause },
      );
    }
    const buffer = this.memory.buffer as ArrayBuffer;
    this.guestBytes = size;
    this.all8 = new Uint8Array(buffer);
    this.all16 = new Uint16Array(buffer);
    this.all32 = new Int32Array(buffer);
    this.all64 = new BigInt64Array(buffer);
    this.allU64 = new BigUint64Array(buffer);
    this.allF32 = new Float32Array(buffer);
    this.allF64 = new Float64Array(buffer);
    this.q = new BigInt64Array(buffer, 0, SLOT_COUNT);
    this.u = new BigUint64Array(buffer, 0, SLOT_COUNT);
    this.r = new Int32Array(buffer, 0, SLOT_COUNT * 2);
    this.f = new Float64Array(buffer, 0, SLOT_COUNT);
    this.s = new Float32Array(buffer, 0, SLOT_COUNT * 2);
    this.pages = new Uint8Array(buffer, PAGE_TABLE_OFFSET, PAGE_TABLE_ENTRIES);
    this.m8 = new Uint8Array(buffer, GUEST_OFFSET, size);
    this.m16 = new Uint16Array(buffer, GUEST_OFFSET, size >>> 1);
    this.m32 = new Int32Array(buffer, GUEST_OFFSET, size >>> 2);
    this.m64 = new BigInt64Array(buffer, GUEST_OFFSET, size >>> 3);
  }
}
