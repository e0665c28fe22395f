/**
 * The native helper as TypeScript sees it.
 *
 * @module
 */
import type { Arena } from "../mmu/arena.ts";
import {
  ABI_VERSION,
  Command,
  LAYOUT_HASH,
  PATH_BYTES,
  PATH_OFFSET,
  REPLY_OFFSET,
} from "./layout.ts";

const SYMBOLS = {
  trapdoor: { parameters: ["pointer", "u32", "u32"], result: "u32" },
} as const;

/** The helper's answer for an address that does not fit into 31 bits. */
export const FAR_EXIT = 0xffff_ffff;

/** A helper can't be used; the message says why. */
export class HelperError extends Error {
  /** For `error.name` in messages. */
  override name = "HelperError";
}

/** A loaded helper, with a context for one arena. */
export class Helper {
  /** Bits of `Feature`: what translations may use. */
  readonly features: number;
  readonly #library: Deno.DynamicLibrary<typeof SYMBOLS>;
  readonly #call: (pointer: Deno.PointerValue, command: number, argument: number) => number;
  readonly #arena: Arena;
  readonly #context: Deno.PointerValue;

  /**
   * Loads a helper for an arena.
   *
   * @throws {HelperError} If it can't be loaded, or was built for another version.
   */
  constructor(path: string, arena: Arena) {
    try {
      this.#library = Deno.dlopen(path, SYMBOLS);
    } catch (cause) {
      if (!(cause instanceof Error) || cause instanceof Deno.errors.NotCapable) throw cause;
      throw new HelperError(`Cannot load the native helper ${path}: ${cause.message}`, { cause });
    }
    this.#call = this.#library.symbols.trapdoor;
    this.#arena = arena;
    const base = Deno.UnsafePointer.of(arena.all8);
    const version = this.#call(base, Command.HANDSHAKE, 0), reply = REPLY_OFFSET / 4;
    if (version !== ABI_VERSION || arena.all32[reply] >>> 0 !== LAYOUT_HASH) {
      this.#library.close();
      throw new HelperError(
        `Cannot use the native helper ${path}: it was built for another version of Trapdoor; build it anew`,
      );
    }
    this.features = arena.all32[reply + 1];
    if (this.#call(base, Command.OPEN, 0) !== 0) {
      this.#library.close();
      throw new HelperError(`Cannot use the native helper ${path}: no memory for a context`);
    }
    this.#context = Deno.UnsafePointer.create(arena.allU64[REPLY_OFFSET / 8]);
  }

  /** Runs translations from a guest address; returns where execution goes on, or {@linkcode FAR_EXIT}. */
  run(pc: number): number {
    return this.#call(this.#context, Command.RUN, pc);
  }

  /** The same in system mode: the address is in the arena, at `EXIT_PC_SLOT`, and so is the one of the exit. */
  runSystem(): void {
    this.#call(this.#context, Command.RUN_SYSTEM, 0);
  }

  /** Loads a translation; returns its handle. @throws {HelperError} If it can't be used. */
  load(path: string): number {
    const { all8 } = this.#arena, bytes = new TextEncoder().encode(`${path}\0`);
    if (bytes.length > PATH_BYTES) {
      throw new HelperError(`Cannot load the translation ${path}: the path is too long`);
    }
    all8.set(bytes, PATH_OFFSET);
    const handle = this.#call(this.#context, Command.LOAD, 0);
    if (handle !== 0) return handle;
    const said = all8.subarray(PATH_OFFSET, PATH_OFFSET + PATH_BYTES);
    const text = new TextDecoder().decode(said.slice(0, Math.max(0, said.indexOf(0))));
    throw new HelperError(`Cannot load the translation ${path}: ${text}`);
  }

  /** Unloads a translation: none of its code runs again. */
  unload(handle: number): void {
    this.#call(this.#context, Command.UNLOAD, handle);
  }

  /** Frees everything. */
  close(): void {
    this.#call(this.#context, Command.CLOSE, 0);
    this.#library.close();
  }
}
