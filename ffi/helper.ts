/**
 * The native helper as TypeScript sees it.
 *
 * @module
 */
import type { Arena } from "../mmu/arena.ts";
import { Command, LAYOUT_HASH, PATH_BYTES, PATH_OFFSET, REPLY_OFFSET } from "./layout.ts";

// Both are one function. Pointers are made by neither: that would take the permission to use any library.
const SYMBOLS = {
  open: { name: "trapdoor", parameters: ["buffer", "u32", "u32"], result: "pointer" },
  trapdoor: { parameters: ["pointer", "u32", "u32"], result: "i32" },
} as const;

/** What running ends with at an address that does not fit into 31 bits. */
export const FAR_EXIT = -1;
/** What it ends with when the guest makes a backdoor call: its address and length are the words of the cell `EXIT_PC_SLOT`. */
export const CALL_EXIT = -2;

/** A helper can't be used; the message says why. */
export class HelperError extends Error {
  /** For `error.name` in messages. */
  override name = "HelperError";
}

type Library = Deno.DynamicLibrary<typeof SYMBOLS>;

/** Open libraries by path, each once, as V8 calls a function fast where it sees no other one; and how many use it. */
const libraries = new Map<string, { library: Library; users: number }>();

/** A loaded helper, with a context for one arena. */
export class Helper {
  /** Bits of `Feature`: what translations may use. */
  readonly features: number;
  readonly #path: string;
  readonly #call: (pointer: Deno.PointerValue, command: number, argument: number) => number;
  readonly #arena: Arena;
  readonly #context: Deno.PointerValue;

  /**
   * Loads a helper for an arena.
   *
   * @throws {HelperError} If it can't be loaded, or was built for another version.
   */
  constructor(path: string, arena: Arena) {
    let shared = libraries.get(path);
    try {
      if (!shared) libraries.set(path, shared = { library: Deno.dlopen(path, SYMBOLS), users: 0 });
    } catch (cause) {
      if (!(cause instanceof Error) || cause instanceof Deno.errors.NotCapable) throw cause;
      throw new HelperError(`Cannot load the native helper ${path}: ${cause.message}`, { cause });
    }
    shared.users++;
    this.#path = path;
    this.#call = shared.library.symbols.trapdoor;
    this.#arena = arena;
    const { open } = shared.library.symbols, reply = REPLY_OFFSET / 4;
    arena.all32[reply] = 0;
    open(arena.all8, Command.HANDSHAKE, 0);
    // The hash is also that of the version.
    if (arena.all32[reply] >>> 0 !== LAYOUT_HASH) {
      this.#closeLibrary();
      throw new HelperError(
        `Cannot use the native helper ${path}: it was built for another version of Trapdoor; build it anew`,
      );
    }
    this.features = arena.all32[reply + 1];
    this.#context = open(arena.all8, Command.OPEN, 0);
    if (this.#context === null) {
      this.#closeLibrary();
      throw new HelperError(`Cannot use the native helper ${path}: no memory for a context`);
    }
  }

  #closeLibrary(): void {
    const shared = libraries.get(this.#path)!;
    if (--shared.users > 0) return;
    libraries.delete(this.#path);
    shared.library.close();
  }

  /** Runs translations from a guest address; returns where execution goes on, {@linkcode FAR_EXIT} or {@linkcode CALL_EXIT}. */
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
    this.#closeLibrary();
  }
}
