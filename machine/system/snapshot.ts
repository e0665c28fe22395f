/**
 * Snapshot files: a state tree, bytes that it refers to, and guest memory without its empty pages.
 *
 * | bytes | what                                                     |
 * |-------|----------------------------------------------------------|
 * | 8     | `TRAPSNAP`                                               |
 * | 4     | version of the format, little-endian                     |
 * | 4     | 0                                                        |
 * | rest  | records, compressed with gzip                            |
 *
 * A record is four letters, a 32-bit length and so many bytes: `STAT` the tree as JSON, `BLOB` a piece of bytes that it
 * refers to, `PAGE` guest memory from an offset on, `HASH` the last one: a chain of SHA-256 over all others.
 *
 * @module
 */
import { MachineError } from "../program.ts";
import { type State, StateError, StateReader } from "./state.ts";

/** Version of the format and of what is in it. */
export const SNAPSHOT_VERSION = 3;
const MAGIC = "TRAPSNAP", HEAD = 16;
const PAGE = 4096;
/** Most bytes of guest memory, or of a blob, in one record; and of one record. */
const PIECE = 64 * PAGE, MAX_RECORD = 16 << 20;
/** Most bytes of blobs. */
const MAX_BLOBS = 2 ** 31;

const utf8 = new TextEncoder(), decoder = new TextDecoder();

/** A snapshot can't be written, or read. */
export class SnapshotError extends MachineError {}

type Bytes = Uint8Array<ArrayBuffer>;

/** A tree as JSON, with what that can't hold in other ways: `{"#": "12"}` a large number, `{"@": i}` blob i. */
function treeText(tree: State, blobs: Uint8Array[]): string {
  return JSON.stringify(tree, (_name, value) => {
    if (typeof value === "bigint") return { "#": String(value) };
    if (value instanceof Uint8Array) return { "@": blobs.push(value) - 1, bytes: value.length };
    return value;
  });
}

function treeOf(text: string, blobs: Bytes[]): State {
  let room = MAX_BLOBS;
  return JSON.parse(text, (_name, value) => {
    if (typeof value !== "object" || value === null) return value ?? false;
    if (typeof value["#"] === "string" && /^-?\d{1,25}$/.test(value["#"])) {
      return BigInt(value["#"]);
    }
    if (typeof value["@"] !== "number") return value;
    const { "@": index, bytes } = value;
    if (index !== blobs.length || !Number.isInteger(bytes) || bytes < 0 || bytes > room) {
      throw new StateError("Cannot use the state: its bytes are not in order");
    }
    room -= bytes;
    blobs.push(new Uint8Array(bytes));
    return blobs[index];
  });
}

/** The hash of all records so far. */
class Chain {
  #value = new Uint8Array(32);

  async add(record: Bytes): Promise<void> {
    const both = new Uint8Array(64);
    both.set(this.#value);
    both.set(new Uint8Array(await crypto.subtle.digest("SHA-256", record)), 32);
    this.#value = new Uint8Array(await crypto.subtle.digest("SHA-256", both));
  }

  get value(): Bytes {
    return this.#value.slice();
  }
}

function makeRecord(type: string, parts: readonly Uint8Array[]): Bytes {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const record = new Uint8Array(8 + length);
  record.set(utf8.encode(type));
  new DataView(record.buffer).setUint32(4, length, true);
  let at = 8;
  for (const part of parts) {
    record.set(part, at);
    at += part.length;
  }
  return record;
}

const word = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);

function isEmpty(words: BigInt64Array): boolean {
  for (let i = 0; i < words.length; i++) if (words[i] !== 0n) return false;
  return true;
}

/** All records but the hash. */
function* records(tree: State, memory: Bytes): Generator<Bytes> {
  const blobs: Uint8Array[] = [];
  yield makeRecord("STAT", [utf8.encode(treeText(tree, blobs))]);
  for (const [index, blob] of blobs.entries()) {
    for (let at = 0; at < blob.length; at += PIECE) {
      yield makeRecord("BLOB", [word(index), word(at), blob.subarray(at, at + PIECE)]);
    }
  }
  const words = new BigInt64Array(memory.buffer, memory.byteOffset, memory.length / 8);
  for (let at = 0; at < memory.length;) {
    let end = at;
    while (
      end < memory.length && end - at < PIECE && !isEmpty(words.subarray(end / 8, (end + PAGE) / 8))
    ) end += PAGE;
    if (end > at) yield makeRecord("PAGE", [word(at), memory.subarray(at, end)]);
    // The page that ended the run is empty, unless the run was long enough.
    at = end - at === PIECE ? end : end + PAGE;
  }
}

/**
 * Writes a snapshot, first under another name: a file of this name is whole or as it was.
 *
 * @param memory Guest memory, whole pages.
 * @throws {SnapshotError} If the file can't be written.
 */
export async function writeSnapshot(path: string, tree: State, memory: Bytes): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    const file = await Deno.open(temporary, { write: true, createNew: true });
    try {
      const { readable, writable } = new CompressionStream("gzip");
      const writing = (async () => {
        const writer = writable.getWriter(), chain = new Chain();
        try {
          for (const record of records(tree, memory)) {
            await chain.add(record);
            await writer.write(record);
          }
          await writer.write(makeRecord("HASH", [chain.value]));
          await writer.close();
        } catch (cause) {
          // The other end gets it.
          await writer.abort(cause);
        }
      })();
      await writeAll(file, [utf8.encode(MAGIC), word(SNAPSHOT_VERSION), word(0)]);
      for await (const part of readable) await writeAll(file, [part as Bytes]);
      await writing;
      await file.syncData();
    } finally {
      file.close();
    }
    await Deno.rename(temporary, path);
  } catch (cause) {
    await Deno.remove(temporary).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new SnapshotError(
      `Cannot write the snapshot ${path}: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
}

async function writeAll(file: Deno.FsFile, parts: readonly Uint8Array[]): Promise<void> {
  for (const part of parts) {
    for (let at = 0; at < part.length;) at += await file.write(part.subarray(at));
  }
}

/** Reads exact numbers of bytes from a stream. */
class Source {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #part = new Uint8Array();
  #at = 0;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** So many bytes, or undefined if there are not. */
  async take(count: number): Promise<Bytes | undefined> {
    const bytes = new Uint8Array(count);
    for (let done = 0; done < count;) {
      if (this.#at === this.#part.length) {
        const value = await this.#read();
        if (!value) return undefined;
        this.#part = value;
        this.#at = 0;
      }
      const piece = this.#part.subarray(this.#at, this.#at + count - done);
      bytes.set(piece, done);
      this.#at += piece.length;
      done += piece.length;
    }
    return bytes;
  }

  /** What is there, of any size; undefined at the end. */
  async next(): Promise<Bytes | undefined> {
    if (this.#at < this.#part.length) {
      const left = this.#part.slice(this.#at);
      this.#at = this.#part.length;
      return left;
    }
    return await this.#read();
  }

  async #read(): Promise<Bytes | undefined> {
    return (await this.#reader.read()).value as Bytes | undefined;
  }

  /** Nobody wants the rest. */
  async close(): Promise<void> {
    // A stream that has failed, or is damaged further on, says so once more; it is closed all the same.
    await this.#reader.cancel().catch(() => {});
  }
}

/** A snapshot that is being read: the tree is there, memory comes. */
export interface OpenedSnapshot {
  readonly tree: StateReader;
  /** Fills memory, which must be empty, and checks the whole. @throws {SnapshotError} */
  load(memory: Bytes): Promise<void>;
  close(): Promise<void>;
}

/**
 * Starts to read a snapshot.
 *
 * @param name For messages.
 * @throws {SnapshotError} If it is none, of another version, truncated or damaged.
 */
export async function openSnapshot(
  stream: ReadableStream<Bytes>,
  name: string,
): Promise<OpenedSnapshot> {
  const fail = (why: string, cause?: unknown): never => {
    throw new SnapshotError(`Cannot load the snapshot ${name}: ${why}`, { cause });
  };
  const raw = new Source(stream);
  const head = await raw.take(HEAD);
  if (!head || decoder.decode(head.subarray(0, 8)) !== MAGIC) {
    await raw.close();
    return fail("it is no snapshot of a machine");
  }
  const version = new DataView(head.buffer).getUint32(8, true);
  if (version !== SNAPSHOT_VERSION) {
    await raw.close();
    return fail(
      `its format is version ${version}, and this Trapdoor reads version ${SNAPSHOT_VERSION}; ` +
        "load it with the Trapdoor that wrote it",
    );
  }
  const rest = new ReadableStream<Bytes>({
    async pull(controller) {
      const part = await raw.next();
      if (part) controller.enqueue(part);
      else controller.close();
    },
    cancel: () => raw.close(),
  });
  const source = new Source(rest.pipeThrough(new DecompressionStream("gzip")));
  const chain = new Chain();
  /** The next record, by its type; undefined after the last one. */
  const next = async (): Promise<{ type: string; body: Bytes; whole: Bytes }> => {
    try {
      const start = await source.take(8);
      const length = start ? new DataView(start.buffer).getUint32(4, true) : 0;
      const body = start && length <= MAX_RECORD ? await source.take(length) : undefined;
      if (!start || !body) return fail("it is truncated or damaged");
      const type = decoder.decode(start.subarray(0, 4));
      return { type, body, whole: makeRecord(type, [body]) };
    } catch (cause) {
      if (cause instanceof SnapshotError) throw cause;
      return fail("it is truncated or damaged", cause);
    }
  };
  const wordAt = (bytes: Bytes, at: number) => new DataView(bytes.buffer).getUint32(at, true);
  try {
    const first = await next();
    const blobs: Bytes[] = [];
    let tree: State;
    try {
      if (first.type !== "STAT") fail("it is damaged: it does not begin with a state");
      await chain.add(first.whole);
      tree = treeOf(decoder.decode(first.body), blobs);
    } catch (cause) {
      if (cause instanceof SnapshotError) throw cause;
      return fail("it is damaged: its state can't be read", cause);
    }
    let record = await next();
    for (; record.type === "BLOB" && record.body.length >= 8; record = await next()) {
      const blob = blobs[wordAt(record.body, 0)], at = wordAt(record.body, 4);
      const bytes = record.body.subarray(8);
      if (!blob || at + bytes.length > blob.length) fail("it is damaged: bytes have no place");
      blob.set(bytes, at);
      await chain.add(record.whole);
    }
    const load = async (memory: Bytes) => {
      for (; record.type === "PAGE" && record.body.length >= 4; record = await next()) {
        const at = wordAt(record.body, 0), bytes = record.body.subarray(4);
        if (at + bytes.length > memory.length) fail("it is damaged: memory has no such place");
        memory.set(bytes, at);
        await chain.add(record.whole);
      }
      const { value } = chain;
      const same = record.type === "HASH" && record.body.length === value.length &&
        value.every((byte, i) => byte === record.body[i]);
      if (!same) fail("it is damaged: its checksum is wrong");
      // What follows would be an error of the compression's own checksum.
      try {
        if (await source.take(1)) fail("it is damaged: there is something behind its end");
      } catch (cause) {
        if (cause instanceof SnapshotError) throw cause;
        fail("it is truncated or damaged", cause);
      }
    };
    return { tree: new StateReader(tree), load, close: () => source.close() };
  } catch (cause) {
    await source.close();
    throw cause;
  }
}
