/**
 * Files that the machine serves itself: devices, /proc, the backdoor's areas.
 *
 * @module
 */

/** An open virtual file. Results are counts, or negated error numbers; buffers are valid during the call only. */
export interface VirtualHandle {
  /** Reads; `position` is where the guest's file position stands (always 0 if not {@linkcode seekable}). */
  read?(buffer: Uint8Array<ArrayBuffer>, position: number): number | Promise<number>;
  /** Writes. */
  write?(bytes: Uint8Array<ArrayBuffer>, position: number): number | Promise<number>;
  /** Whether there are positions: pread works, lseek too. False if absent. */
  seekable?: boolean;
  /** Size in bytes for stat and SEEK_END; 0 if absent. */
  size?(): number;
  /**
   * Maps part of it into guest memory.
   *
   * @param offset Bytes, a multiple of the page size.
   * @param length Bytes, not 0.
   * @param prot `PROT_*` bits.
   * @param flags `MAP_*` bits.
   * @param hint Address that the guest asked for, 0 for none; binding if flags have MAP_FIXED (0x10).
   * @returns Guest address of the mapping, or a negated error number. Pages are mapped by the handle itself.
   */
  mmap?(offset: number, length: number, prot: number, flags: number, hint: number): number;
  /** Told before the guest unmaps or replaces pages of an earlier {@linkcode mmap}, which the caller then unmaps. */
  munmap?(address: number, length: number): void;
  /** ioctl(2); ENOTTY if absent. */
  ioctl?(request: number, argument: number): number;
  /** Ready events of poll(2), `POLL*` bits; ready for everything if absent. */
  poll?(): number;
  /** Told when the last descriptor is closed. */
  close?(): void;
}

/** A virtual file in the guest's name space. */
export interface VirtualFile {
  /** Type and permission bits, such as `Mode.CHAR | 0o666`. */
  readonly mode: number;
  /** Device number of a device file, `major << 8 | minor`. */
  readonly rdev?: number;
  /** Size in bytes that stat(2) reports; 0 if absent. */
  size?(): number;
  /** Opens it with open(2) flags; returns a handle or a negated error number. */
  open?(flags: number): VirtualHandle | number;
  /** Target of a symbolic link, for modes of type `Mode.LINK`. */
  readlink?(): string;
  /** A descriptor whose open file is shared by opening this one (/dev/stdin, /proc/self/fd/0). */
  descriptor?: number | undefined;
  /** What a symbolic link leads to without a path (/proc/self/exe). */
  target?: VirtualFile;
}

/** A virtual directory whose entries come and go. */
export interface VirtualDirectory {
  /** Names of its entries. */
  list(): string[];
  /** An entry, or undefined. */
  lookup(name: string): VirtualFile | undefined;
}
