/**
 * The translation cache: compiled libraries on disk, by the hash of what they were made from.
 *
 * An entry is one file, `KEY-DIGEST` and the suffix of libraries, where KEY is the hash of the source and how it is
 * compiled, and DIGEST is the hash of the file itself: what is truncated or changed does not have its name any longer, is
 * deleted and never loaded. Files are written under a temporary name and renamed, so that processes may share a
 * directory and may be killed at any time.
 *
 * The directory has two more kinds of files: manifests (manifest.ts), and blocks that the interpreter's translator kept
 * (machine/translations.ts).
 *
 * @module
 */
import { digest, digestLater } from "./hash.ts";
import { SUFFIX } from "./platform.ts";

/** Default of the most bytes in a cache. */
export const MAX_CACHE_BYTES = 256 << 20;
/** Milliseconds after which a temporary file is nobody's any longer. */
const ABANDONED = 3_600_000;
/** Part of the free room that is filled without another look at the directory, which others fill, too. */
const UNSEEN = 1 / 16;
const ENTRY = /^[0-9a-f]{64}-[0-9a-f]{64}\.[a-z]+$/;
const TEMPORARY = /^tmp-/;
/** Manifests, and stored blocks with what interrupted writers of them left. */
const OTHER = /^[0-9a-f]{64}\.(units$|code(\.|$))/;

/** Contents of a cache. */
export interface CacheInfo {
  directory: string;
  entries: number;
  bytes: number;
}

const absent = (error: unknown) => error instanceof Deno.errors.NotFound;
/** Whether something can't be written: for want of rights, or on a read-only file system, for which Deno has no class. */
const unwritable = (error: unknown) =>
  error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable ||
  (error instanceof Error && "code" in error && error.code === "EROFS");

/** A cache directory. */
export class Cache {
  readonly directory: string;
  readonly #limit: number;
  /** File name of each key, as of the last look. */
  readonly #files = new Map<string, string>();
  /** Bytes that may be stored before the directory is looked at again. */
  #room = 0;

  /**
   * Opens a cache, and makes its directory if need be.
   *
   * @throws {Error} If the directory can't be made or read.
   */
  constructor(directory: string, limit = MAX_CACHE_BYTES) {
    this.directory = directory;
    this.#limit = limit;
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const name of this.#names()) {
      if (ENTRY.test(name)) this.#files.set(name.slice(0, 64), name);
    }
  }

  #names(): string[] {
    return Array.from(Deno.readDirSync(this.directory), ({ name }) => name);
  }

  #path(name: string): string {
    return `${this.directory}/${name}`;
  }

  /** Path of the intact entry for a key; undefined if there is none. */
  find(key: string): string | undefined {
    const entry = this.#open(key);
    return entry && this.#checked(key, entry.name, digest(entry.bytes));
  }

  /** The same, later. */
  async findLater(key: string): Promise<string | undefined> {
    const entry = this.#open(key);
    return entry && this.#checked(key, entry.name, await digestLater(entry.bytes));
  }

  /** What there is for a key. */
  #open(key: string): { name: string; bytes: Uint8Array<ArrayBuffer> } | undefined {
    const name = this.#files.get(key);
    if (name === undefined) return undefined;
    try {
      return { name, bytes: Deno.readFileSync(this.#path(name)) };
    } catch (error) {
      if (!absent(error)) throw error;
      this.#files.delete(key);
      return undefined;
    }
  }

  /** Its path if the digest is that in its name; else it is deleted. */
  #checked(key: string, name: string, digest: string): string | undefined {
    const path = this.#path(name);
    if (digest !== name.slice(65, 129)) {
      this.#files.delete(key);
      this.#remove(name);
      return undefined;
    }
    try {
      const now = new Date();
      Deno.utimeSync(path, now, now);
    } catch (error) {
      // In a directory that we may only read, others keep the order of use.
      if (!(unwritable(error) || absent(error))) throw error;
    }
    return path;
  }

  /** A new temporary path in the directory, ending in `suffix`. */
  temporary(suffix: string): string {
    return this.#path(`tmp-${Deno.pid}-${crypto.randomUUID()}${suffix}`);
  }

  /** Writes a file and deletes it. @throws {Error} If the directory can't be written, or its disk is full. */
  checkWritable(): void {
    const path = this.temporary("");
    try {
      Deno.writeTextFileSync(path, "written to see whether that is possible\n");
    } finally {
      this.#remove(path.slice(this.directory.length + 1));
    }
  }

  /** Makes a temporary file the entry for a key; returns its path. @throws {Error} If the directory can't be written. */
  store(key: string, temporary: string): string {
    const bytes = Deno.readFileSync(temporary), name = `${key}-${digest(bytes)}${SUFFIX}`;
    Deno.renameSync(temporary, this.#path(name));
    this.#files.set(key, name);
    this.#room -= bytes.length;
    if (this.#room < 0) this.#shrink(name);
    return this.#path(name);
  }

  /** Text of a file that is no translation; undefined if there is none, or it is larger than `limit`. */
  read(name: string, limit: number): string | undefined {
    try {
      const path = this.#path(name);
      return Deno.statSync(path).size > limit ? undefined : Deno.readTextFileSync(path);
    } catch (error) {
      if (!absent(error)) throw error;
      return undefined;
    }
  }

  /** Whether there is a file. */
  has(name: string): boolean {
    return this.#names().includes(name);
  }

  /** Writes a file that is no translation. @throws {Error} If the directory can't be written. */
  write(name: string, text: string): void {
    const temporary = this.temporary("");
    try {
      Deno.writeTextFileSync(temporary, text, { mode: 0o600 });
      Deno.renameSync(temporary, this.#path(name));
    } catch (error) {
      this.#remove(temporary.slice(this.directory.length + 1));
      throw error;
    }
  }

  /** Deletes a file that may be gone already. */
  #remove(name: string): void {
    try {
      Deno.removeSync(this.#path(name));
    } catch (error) {
      if (!(absent(error) || unwritable(error))) throw error;
    }
  }

  #list(): { name: string; bytes: number; time: number }[] {
    const list: { name: string; bytes: number; time: number }[] = [];
    for (const name of this.#names()) {
      if (!ENTRY.test(name) && !TEMPORARY.test(name) && !OTHER.test(name)) continue;
      try {
        const { size, mtime } = Deno.statSync(this.#path(name));
        list.push({ name, bytes: size, time: mtime?.getTime() ?? 0 });
      } catch (error) {
        if (!absent(error)) throw error;
      }
    }
    return list;
  }

  /** Deletes what was not used for longest until the rest fits, and what killed processes left. */
  #shrink(keep: string): void {
    const list = this.#list().sort((a, b) => a.time - b.time), now = Date.now();
    let bytes = list.reduce((sum, each) => sum + each.bytes, 0);
    for (const each of list) {
      const abandoned = TEMPORARY.test(each.name) && now - each.time > ABANDONED;
      const over = bytes > this.#limit && !TEMPORARY.test(each.name) && each.name !== keep;
      if (!abandoned && !over) continue;
      this.#remove(each.name);
      this.#files.delete(each.name.slice(0, 64));
      bytes -= each.bytes;
    }
    this.#room = (this.#limit - bytes) * UNSEEN;
  }

  /** What is in the cache. */
  info(): CacheInfo {
    const list = this.#list().filter(({ name }) => !TEMPORARY.test(name));
    const bytes = list.reduce((sum, each) => sum + each.bytes, 0);
    return { directory: this.directory, entries: list.length, bytes };
  }

  /** Deletes all entries; returns what there was. */
  clear(): CacheInfo {
    const info = this.info();
    for (const { name } of this.#list()) this.#remove(name);
    this.#files.clear();
    return info;
  }
}
