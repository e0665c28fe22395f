/**
 * Translated code kept on disk from one run of a program to the next: most of the start-up of a small program would go
 * into translating it.
 *
 * An entry is named by halves of two SHA-256, of the program and of what else its content depends on, and starts with
 * the SHA-256 of its content. It is written to a name of its own and renamed, so that concurrent processes see whole
 * entries only.
 *
 * @module
 */
import { granted } from "../ffi/cache_directory.ts";

/** Bytes of a SHA-256. */
const DIGEST = 32;
/** Bytes before the blocks, of which the first says whether there is native code, too; blocks are words. */
const HEAD = 4;
/** Of the content. */
const FORMAT = 2;
/** Most entries in a directory; the oldest go first. */
const MAX_ENTRIES = 64;
const SUFFIX = ".code";

/**
 * What the translator is: size and time of its files, as a checkout may be edited; in a bundle the name of this file,
 * which has a hash of what is in it, among that the names of the others.
 *
 * @param rooms Its directories.
 * @returns undefined if it was not loaded from files, or they can't be looked at.
 */
function translatorStamp(rooms: readonly string[]): string | undefined {
  const { filename, dirname: here } = import.meta;
  if (filename === undefined) return undefined;
  if (filename.endsWith(".js")) return filename.slice(here!.length);
  let stamp = "";
  for (const directory of rooms.map((room) => `${here}/../${room}`)) {
    if (!granted({ name: "read", path: directory })) return undefined;
    for (const { name, isFile } of Deno.readDirSync(directory)) {
      if (!isFile) continue;
      const { mtime, size } = Deno.statSync(`${directory}/${name}`);
      stamp += ` ${name} ${size} ${mtime?.getTime()}`;
    }
  }
  return stamp;
}

const sha256 = async (bytes: Uint8Array) => {
  const own = bytes.buffer instanceof ArrayBuffer
    ? bytes as Uint8Array<ArrayBuffer>
    : bytes.slice();
  return new Uint8Array(await crypto.subtle.digest("SHA-256", own));
};

/** What an entry has. */
export interface Stored {
  /** The translated blocks. */
  blocks: Uint8Array<ArrayBuffer>;
  /** Whether the run ran long enough for native code, which is in the cache, too. */
  native: boolean;
}

/** Translated code of one program. */
export class Translations {
  readonly #path: string;
  readonly #directory: string;
  readonly #note: (message: string) => void;

  private constructor(directory: string, name: string, note: (message: string) => void) {
    this.#directory = directory;
    this.#path = `${directory}/${name}${SUFFIX}`;
    this.#note = note;
  }

  /**
   * Finds the entry of a program.
   *
   * @param directory Directory of all entries; it need not exist.
   * @param program The program's bytes.
   * @param translator Rooms with the modules that translate, such as "cpu/ir".
   * @param variant What else translations depend on.
   * @param note Gets why an entry could not be read or written.
   * @returns undefined if nothing can be kept, for want of a permission for instance.
   */
  static async of(
    directory: string,
    program: Uint8Array,
    translator: readonly string[],
    variant: string,
    note: (message: string) => void = () => {},
  ): Promise<Translations | undefined> {
    if (!granted({ name: "read", path: directory })) return undefined;
    const programDigest = sha256(program);
    const stamp = translatorStamp(translator);
    if (stamp === undefined) return undefined;
    // Two, as a hash of both would have to wait for the first one.
    const digests = await Promise.all([
      programDigest,
      sha256(new TextEncoder().encode(`${FORMAT} ${variant} ${stamp}`)),
    ]);
    const name = digests.map((digest) => digest.subarray(0, DIGEST / 2).toHex()).join("");
    return new Translations(directory, name, note);
  }

  /** The entry's content; undefined if there is none, or it is damaged. */
  async read(): Promise<Stored | undefined> {
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      bytes = Deno.readFileSync(this.#path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) {
        this.#note(`Cannot read translated code from ${this.#path}: ${error}`);
      }
      return undefined;
    }
    const content = bytes.subarray(DIGEST), digest = await sha256(content);
    if (content.length >= HEAD && digest.every((byte, i) => byte === bytes[i])) {
      return { blocks: content.subarray(HEAD), native: content[0] !== 0 };
    }
    this.#note(`Cannot use the translated code in ${this.#path}: it is damaged`);
    return undefined;
  }

  /** Replaces the entry's content, if that is allowed. */
  async write({ blocks, native }: Stored): Promise<void> {
    if (!granted({ name: "write", path: this.#directory })) return;
    const temporary = `${this.#path}.${crypto.randomUUID()}`;
    const content = new Uint8Array(HEAD + blocks.length);
    content[0] = native ? 1 : 0;
    content.set(blocks, HEAD);
    const digest = await sha256(content);
    try {
      Deno.mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      try {
        using file = Deno.openSync(temporary, { write: true, createNew: true, mode: 0o600 });
        for (const part of [digest, content]) {
          for (let at = 0; at < part.length;) at += file.writeSync(part.subarray(at));
        }
        Deno.renameSync(temporary, this.#path);
      } catch (error) {
        remove(temporary);
        throw error;
      }
      this.#makeRoom();
    } catch (error) {
      this.#note(`Cannot keep translated code in ${this.#path}: ${error}`);
    }
  }

  /** Removes the oldest entries, and what interrupted writers left behind. */
  #makeRoom(): void {
    const entries: { path: string; time: number }[] = [];
    for (const { name, isFile } of Deno.readDirSync(this.#directory)) {
      if (!isFile || !name.includes(SUFFIX)) continue;
      const path = `${this.#directory}/${name}`;
      const time = modified(path);
      if (time !== undefined) entries.push({ path, time });
    }
    entries.sort((a, b) => b.time - a.time);
    for (const { path } of entries.slice(MAX_ENTRIES)) remove(path);
  }
}

/** When a file was written; undefined if another process has removed it. */
function modified(path: string): number | undefined {
  try {
    return Deno.statSync(path).mtime?.getTime() ?? 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Removes a file that another process may have removed. */
function remove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
