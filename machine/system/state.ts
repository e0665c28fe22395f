/**
 * State of a machine's parts, as a snapshot keeps it: plain values in a tree, and how they are read back.
 *
 * @module
 */

/** A value of a snapshot. */
export type State =
  | number
  | bigint
  | boolean
  | string
  | Uint8Array
  | readonly State[]
  | { readonly [name: string]: State };

/** A part of a machine that has state which a guest can notice. */
export interface Stateful {
  /** What has to be kept. */
  save(): State;
  /** Takes over what {@linkcode save} gave, in a part that was made in the same way. @throws {StateError} */
  restore(state: StateReader): void;
}

/** A snapshot's state is not what the part that reads it would have written. */
export class StateError extends Error {
  /** "StateError". */
  override readonly name = "StateError";
}

/** A node of the tree, with the way to it for messages. */
export class StateReader {
  readonly #state: State | undefined;
  readonly #path: string;

  /**
   * Makes a reader of a value.
   *
   * @param path Way to it, for messages.
   */
  constructor(state: State | undefined, path = "machine") {
    this.#state = state;
    this.#path = path;
  }

  #fail(expected: string): never {
    throw new StateError(
      `Cannot use the state "${this.#path}": it is no ${expected}; the snapshot is damaged, or not of this Trapdoor`,
    );
  }

  /** The value itself, for those who look at it with care. */
  value(): State {
    return this.#state ?? this.#fail("value");
  }

  /** A member. */
  at(name: string): StateReader {
    const state = this.#state;
    const there = typeof state === "object" && !Array.isArray(state) &&
      !(state instanceof Uint8Array) && Object.hasOwn(state, name);
    const value = there ? (state as { [name: string]: State })[name] : undefined;
    return new StateReader(value, `${this.#path}.${name}`);
  }

  /** Whether there is something. */
  get present(): boolean {
    return this.#state !== undefined;
  }

  /** Whether it is a text. */
  get isText(): boolean {
    return typeof this.#state === "string";
  }

  /** A whole number within bounds. */
  number(min = 0, max: number = Number.MAX_SAFE_INTEGER): number {
    const value = this.#state;
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) {
      return value;
    }
    return this.#fail(`number from ${min} to ${max}`);
  }

  /** A 32-bit word, signed. */
  word(): number {
    return this.number(-0x8000_0000, 0xffff_ffff) | 0;
  }

  /** A truth value. */
  boolean(): boolean {
    return typeof this.#state === "boolean" ? this.#state : this.#fail("truth value");
  }

  /** A number of any size. */
  bigint(): bigint {
    return typeof this.#state === "bigint" ? this.#state : this.#fail("large number");
  }

  /** A text. */
  string(): string {
    return typeof this.#state === "string" ? this.#state : this.#fail("text");
  }

  /** Bytes, `length` of them if that is given. */
  bytes(length?: number): Uint8Array<ArrayBuffer> {
    const value = this.#state;
    if (!(value instanceof Uint8Array)) return this.#fail("bytes");
    if (length !== undefined && value.length !== length) return this.#fail(`${length} bytes`);
    return value as Uint8Array<ArrayBuffer>;
  }

  /** Elements, `length` of them if that is given. */
  list(length?: number): StateReader[] {
    const value = this.#state;
    if (!Array.isArray(value)) return this.#fail("list");
    if (length !== undefined && value.length !== length) return this.#fail(`list of ${length}`);
    return value.map((element, i) => new StateReader(element, `${this.#path}[${i}]`));
  }
}
