/**
 * Disk images: files of the host in raw form.
 *
 * @module
 */
import { MachineError } from "../program.ts";
import type { State, StateReader } from "./state.ts";

/** Bytes of a sector. */
export const SECTOR = 512;

/** A disk: sectors that can be read and written. */
export interface Drive {
  /** Name for messages. */
  readonly name: string;
  /** Number of sectors. */
  readonly sectors: number;
  /** Whether the guest may not write it. */
  readonly readOnly: boolean;
  /** Fills the buffer, whose length is a multiple of a sector. @throws {Error} If the host can't. */
  read(sector: number, buffer: Uint8Array<ArrayBuffer>): void;
  /** Writes whole sectors. @throws {Error} If the host can't. */
  write(sector: number, bytes: Uint8Array<ArrayBuffer>): void;
  /** Makes writes durable. */
  flush(): void;
  /** The machine is off. */
  close(): void;
  /** What only it has, for a snapshot; absent: its content is elsewhere, and has to be the same at the restore. */
  save?(): State;
  /** Takes over what {@linkcode save} gave. */
  restore?(state: StateReader): void;
}

/** A disk in memory. */
export class MemoryDrive implements Drive {
  readonly name: string;
  /** Whether the guest may not write it. */
  readonly readOnly: boolean;
  /** Its content, live. */
  readonly bytes: Uint8Array<ArrayBuffer>;

  /**
   * Makes a disk of bytes, which it uses and changes.
   *
   * @param bytes Its content; what is not a whole sector at the end is not seen.
   */
  constructor(bytes: Uint8Array<ArrayBuffer>, name = "memory", readOnly = false) {
    this.bytes = bytes;
    this.name = name;
    this.readOnly = readOnly;
  }

  get sectors(): number {
    return Math.floor(this.bytes.length / SECTOR);
  }

  read(sector: number, buffer: Uint8Array<ArrayBuffer>): void {
    buffer.set(this.bytes.subarray(sector * SECTOR, sector * SECTOR + buffer.length));
  }

  write(sector: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.bytes.set(bytes, sector * SECTOR);
  }

  flush(): void {}
  /** Nothing to be done. */
  close(): void {}

  /** Its content. */
  save(): State {
    return this.bytes.slice();
  }

  /** Takes over what {@linkcode save} gave. @throws {StateError} */
  restore(state: StateReader): void {
    this.bytes.set(state.bytes(this.bytes.length));
  }
}

/** A disk in a file. */
class FileDrive implements Drive {
  readonly name: string;
  readonly sectors: number;
  readonly readOnly: boolean;
  readonly #file: Deno.FsFile;
  #open = true;

  constructor(name: string, file: Deno.FsFile, bytes: number, readOnly: boolean) {
    this.name = name;
    this.#file = file;
    this.sectors = Math.floor(bytes / SECTOR);
    this.readOnly = readOnly;
  }

  read(sector: number, buffer: Uint8Array<ArrayBuffer>): void {
    this.#file.seekSync(sector * SECTOR, Deno.SeekMode.Start);
    for (let at = 0; at < buffer.length;) {
      const count = this.#file.readSync(buffer.subarray(at));
      if (count === null) throw new Error(`Cannot read ${this.name}: it has become shorter`);
      at += count;
    }
  }

  write(sector: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.#file.seekSync(sector * SECTOR, Deno.SeekMode.Start);
    for (let at = 0; at < bytes.length;) at += this.#file.writeSync(bytes.subarray(at));
  }

  flush(): void {
    if (!this.readOnly) this.#file.syncDataSync();
  }

  close(): void {
    if (this.#open) this.#file.close();
    this.#open = false;
  }
}

/** A disk whose changes are kept in memory and forgotten. */
export class SnapshotDrive implements Drive {
  /** It can be written, whatever its base is. */
  readonly readOnly = false;
  readonly #base: Drive;
  readonly #changed = new Map<number, Uint8Array<ArrayBuffer>>();

  /** Makes a disk with the content of another one, which is not written. */
  constructor(base: Drive) {
    this.#base = base;
  }

  get name(): string {
    return this.#base.name;
  }
  get sectors(): number {
    return this.#base.sectors;
  }

  read(sector: number, buffer: Uint8Array<ArrayBuffer>): void {
    this.#base.read(sector, buffer);
    for (let at = 0; at < buffer.length; at += SECTOR) {
      const changed = this.#changed.get(sector + at / SECTOR);
      if (changed) buffer.set(changed, at);
    }
  }

  write(sector: number, bytes: Uint8Array<ArrayBuffer>): void {
    for (let at = 0; at < bytes.length; at += SECTOR) {
      this.#changed.set(sector + at / SECTOR, bytes.slice(at, at + SECTOR));
    }
  }

  flush(): void {}
  /** Closes the other disk. */
  close(): void {
    this.#base.close();
  }

  /** The sectors that were changed. */
  save(): State {
    const sectors = [...this.#changed.keys()], bytes = new Uint8Array(sectors.length * SECTOR);
    sectors.forEach((sector, i) => bytes.set(this.#changed.get(sector)!, i * SECTOR));
    return { sectors, bytes };
  }

  /** Takes over what {@linkcode save} gave. @throws {StateError} */
  restore(state: StateReader): void {
    const sectors = state.at("sectors").list().map((n) => n.number(0, this.sectors - 1));
    const bytes = state.at("bytes").bytes(sectors.length * SECTOR);
    this.#changed.clear();
    sectors.forEach((sector, i) =>
      this.write(sector, bytes.subarray(i * SECTOR, (i + 1) * SECTOR))
    );
  }
}

/**
 * Opens a disk image.
 *
 * @param text `PATH`, `PATH:ro` (read-only) or `PATH:snapshot` (changes are forgotten).
 * @throws {MachineError} If it can't be opened.
 */
export async function openDrive(text: string): Promise<Drive> {
  const match = /^(.*):(ro|snapshot)$/s.exec(text);
  const path = match?.[1] ?? text, how = match?.[2];
  try {
    const file = await Deno.open(path, { read: true, write: how === undefined });
    const { size, isFile } = await file.stat();
    if (!isFile || size < SECTOR) {
      file.close();
      throw new MachineError(
        `Cannot use the disk ${path}: ${isFile ? "it is smaller than a sector" : "it is no file"}`,
      );
    }
    // What the guest can't see it would lose.
    if (size % SECTOR !== 0) {
      file.close();
      throw new MachineError(
        `Cannot use the disk ${path}: its ${size} bytes are no whole number of sectors of ${SECTOR} bytes; make it ${
          Math.ceil(size / SECTOR) * SECTOR
        } bytes long (truncate -s %${SECTOR} ${path})`,
      );
    }
    const drive = new FileDrive(path, file, size, how !== undefined);
    return how === "snapshot" ? new SnapshotDrive(drive) : drive;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable || cause instanceof MachineError) throw cause;
    if (cause instanceof Deno.errors.NotFound) {
      throw new MachineError(`Cannot open the disk ${path}: there is no such file`, { cause });
    }
    throw new MachineError(
      `Cannot open the disk ${path}: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
}
