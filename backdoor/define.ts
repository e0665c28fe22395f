/**
 * Typed channels: commands and events defined once, from which the callbacks' types, the conversions and the
 * guest's C header come.
 *
 * @example
 * ```ts
 * import { command, defineChannel, event, i32, u32, u64 } from "./mod.ts";
 *
 * export default defineChannel({
 *   count: command(1, { length: u32 }, u64, (cpu, { length }) => new Set(cpu.data.subarray(0, length)).size),
 *   sample: event(2, { time: u64, value: i32 }, (_cpu, { time, value }) => console.log(time, value)),
 * });
 * ```
 *
 * @module
 */
import { NUM_ARGS } from "./protocol.ts";
import { describeValue } from "./report.ts";
import { type CallResult, type Cpu, type EventResult, NOT_HANDLED } from "./types.ts";
import { type AnyType, makeWords, viewWords, type Words } from "./value_types.ts";

/** Fields of an event: one 64-bit word each. */
export const MAX_EVENT_FIELDS = 16;

/** Names and types of a command's arguments or an event's fields, in order. */
export type Fields = Readonly<Record<string, AnyType>>;

/** What a handler gets for {@linkcode Fields}. */
export type Values<F extends Fields> = { readonly [K in keyof F]: ReturnType<F[K]["decode"]> };

/** What a handler may return for a result type. */
export type Answer<R extends AnyType> = Parameters<R["encode"]>[0] | typeof NOT_HANDLED;

/** One command of a typed channel. */
export interface Command<A extends Fields = Fields, R extends AnyType = AnyType> {
  /** What it is. */
  readonly kind: "command";
  /** Command number. */
  readonly id: number;
  /** Arguments, at most four. */
  readonly args: A;
  /** Type of the result. */
  readonly result: R;
  /** The callback. */
  handler(cpu: Cpu, args: Values<A>): Answer<R> | Promise<Answer<R>>;
  /** One sentence for the header. */
  readonly doc: string;
}

/** One event of a typed channel. */
export interface Event<F extends Fields = Fields> {
  /** What it is. */
  readonly kind: "event";
  /** Command number of its records. */
  readonly id: number;
  /** Payload, a 64-bit word a field. */
  readonly fields: F;
  /** The callback. */
  handler(cpu: Cpu, fields: Values<F>, client: number): EventResult | Promise<EventResult>;
  /** One sentence for the header. */
  readonly doc: string;
}

/** A command or event whose types were forgotten. */
// deno-lint-ignore no-explicit-any
export type AnyMember = Command<any, any> | Event<any>;

/** Commands and events by name. */
export type Definition = Readonly<Record<string, AnyMember>>;

/** Marks what {@linkcode defineChannel} made, also by another copy of this module. */
const BRAND = Symbol.for("trapdoor.typedChannel");

/** A typed channel: a callback module, and the definition that it came from. */
export interface TypedChannel<D extends Definition = Definition> {
  /** Commands and events by name. */
  readonly definition: D;
  /** Callback for all commands; absent if there are none. */
  call?(cpu: Cpu, command: number): CallResult | Promise<CallResult>;
  /** Callback for all events; absent if there are none. */
  event?(
    cpu: Cpu,
    client: number,
    command: number,
    payload: Uint8Array<ArrayBuffer>,
  ): EventResult | Promise<EventResult>;
}

/** Whether a value was made by {@linkcode defineChannel}. */
export function isTypedChannel(value: unknown): value is TypedChannel {
  return typeof value === "object" && value !== null && BRAND in value;
}

/**
 * Defines a command.
 *
 * @param id Its number, 0 to 2^32 - 2, unique in the channel.
 * @param args Names and types of its arguments, at most four.
 * @param result Type of its result; `none` if there is nothing to say.
 * @param handler Callback; may be async. What it returns is checked against `result`.
 * @param doc One sentence for the C header.
 */
export function command<const A extends Fields, R extends AnyType>(
  id: number,
  args: A,
  result: R,
  handler: (cpu: Cpu, args: Values<A>) => Answer<R> | Promise<Answer<R>>,
  doc = "",
): Command<A, R> {
  return { kind: "command", id, args, result, handler, doc };
}

/**
 * Defines an event.
 *
 * @param id Its number, 0 to 2^32 - 2, unique in the channel.
 * @param fields Names and types of its payload.
 * @param handler Callback; the guest does not wait for it.
 * @param doc One sentence for the C header.
 */
export function event<const F extends Fields>(
  id: number,
  fields: F,
  handler: (
    cpu: Cpu,
    fields: Values<F>,
    client: number,
  ) => EventResult | Promise<EventResult>,
  doc = "",
): Event<F> {
  return { kind: "event", id, fields, handler, doc };
}

/**
 * Makes a callback module of commands and events; export it as default. `init` and `fini` can be exported beside it.
 *
 * @throws {TypeError} If a name is not a C identifier or taken, an id is not a number or taken, or there are too
 * many arguments.
 */
export function defineChannel<const D extends Definition>(definition: D): TypedChannel<D> {
  checkDefinition(definition);
  const commands = new Map<number, CompiledCommand>();
  const events = new Map<number, CompiledEvent>();
  for (const [name, member] of Object.entries(definition)) {
    if (member.kind === "command") commands.set(member.id, new CompiledCommand(name, member));
    else events.set(member.id, new CompiledEvent(name, member));
  }
  const channel: TypedChannel<D> = {
    definition,
    ...(commands.size > 0 && {
      call: (cpu: Cpu, id: number) => commands.get(id)?.call(cpu) ?? NOT_HANDLED,
    }),
    ...(events.size > 0 && {
      event: (cpu: Cpu, client: number, id: number, payload: Uint8Array<ArrayBuffer>) => {
        const known = events.get(id);
        return known ? known.call(cpu, client, payload) : NOT_HANDLED;
      },
    }),
  };
  // Enumerable, so that `{ ...channel, init() {} }` is one too.
  return Object.assign(channel, { [BRAND]: true });
}

/** Payload of the current event, aligned. */
const payloadWords = makeWords(MAX_EVENT_FIELDS);
/** Views of the arguments of the CPU that called last. */
let argWords = makeWords(NUM_ARGS);

function decodeAll(
  names: readonly string[],
  types: readonly AnyType[],
  words: Words,
): Values<Fields> {
  const values: Record<string, unknown> = {};
  for (let i = 0; i < types.length; i++) values[names[i]] = types[i].decode(words, i);
  return values;
}

class CompiledCommand {
  readonly #name: string;
  readonly #command: Command;
  readonly #names: string[];
  readonly #types: AnyType[];

  constructor(name: string, command: Command) {
    this.#name = name;
    this.#command = command;
    this.#names = Object.keys(command.args);
    this.#types = Object.values(command.args);
  }

  call(cpu: Cpu): CallResult | Promise<CallResult> {
    if (argWords.q !== cpu.args) argWords = viewWords(cpu.args);
    const args = decodeAll(this.#names, this.#types, argWords);
    const answer: unknown = this.#command.handler(cpu, args);
    if (answer instanceof Promise) return answer.then((value) => this.#encode(value));
    return this.#encode(answer);
  }

  #encode(answer: unknown): CallResult {
    if (answer === NOT_HANDLED) return NOT_HANDLED;
    const { result } = this.#command;
    try {
      return result.encode(answer as never);
    } catch (cause) {
      throw new RangeError(`Command ${this.#name} returned a wrong result: ${message(cause)}`, {
        cause,
      });
    }
  }
}

class CompiledEvent {
  readonly #name: string;
  readonly #event: Event;
  readonly #names: string[];
  readonly #types: AnyType[];

  constructor(name: string, event: Event) {
    this.#name = name;
    this.#event = event;
    this.#names = Object.keys(event.fields);
    this.#types = Object.values(event.fields);
  }

  call(
    cpu: Cpu,
    client: number,
    payload: Uint8Array<ArrayBuffer>,
  ): EventResult | Promise<EventResult> {
    const expected = this.#types.length * 8;
    if (payload.length !== expected) {
      throw new RangeError(
        `Event ${this.#name} has a payload of ${payload.length} bytes instead of ${expected}: ` +
          `the guest was built with another header`,
      );
    }
    for (let i = 0; i < expected; i++) payloadWords.b[i] = payload[i];
    const fields = decodeAll(this.#names, this.#types, payloadWords);
    return this.#event.handler(cpu, fields, client);
  }
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : describeValue(error);
}

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;

// Keywords of C23 and C++23 that are identifiers' spelling, and what the wrappers themselves use.
const RESERVED = new Set(
  ("alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t class " +
    "compl concept const const_cast consteval constexpr constinit continue co_await co_return co_yield decltype " +
    "default delete do double dynamic_cast else enum explicit export extern false float for friend goto if inline " +
    "int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register " +
    "reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast struct switch " +
    "template this thread_local throw true try typedef typeid typename typeof typeof_unqual union unsigned using " +
    "virtual void volatile wchar_t while xor xor_eq client payload").split(" "),
);

/** The C spelling of a name: `countWords` becomes `count_words`. */
export function snakeCase(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, "$1_$2").replace(/([A-Z]+)([A-Z][a-z])/g, "$1_$2")
    .toLowerCase();
}

function checkName(name: string, what: string): void {
  if (!IDENTIFIER.test(name) || name.startsWith("__")) {
    throw new TypeError(
      `Cannot define ${what} ${
        JSON.stringify(name)
      }: a name must be a C identifier (letters, digits and _)`,
    );
  }
}

function checkFields(fields: Fields, maximum: number, where: string, what: string): void {
  const names = Object.keys(fields);
  if (names.length > maximum) {
    throw new TypeError(
      `Cannot define ${where}: it has ${names.length} ${what}s, at most ${maximum} are possible`,
    );
  }
  const seen = new Map<string, string>();
  for (const name of names) {
    checkName(name, `${what} of ${where}`);
    const c = snakeCase(name);
    if (RESERVED.has(c)) {
      throw new TypeError(
        `Cannot define ${what} ${name} of ${where}: ${c} is reserved in the C header`,
      );
    }
    const other = seen.get(c);
    if (other !== undefined) {
      throw new TypeError(
        `Cannot define ${what} ${name} of ${where}: ${other} has the same name in C (${c})`,
      );
    }
    seen.set(c, name);
    const type: unknown = fields[name];
    if (!isValueType(type) || type.name === "none") {
      throw new TypeError(
        `Cannot define ${what} ${name} of ${where}: its type is ${describeType(type)}; ` +
          `use u8 to u64, i8 to i64, bool, f64 or ptr`,
      );
    }
  }
}

function isValueType(type: unknown): type is AnyType {
  return typeof type === "object" && type !== null && "decode" in type && "encode" in type &&
    "name" in type;
}

function describeType(type: unknown): string {
  return isValueType(type) ? type.name : describeValue(type);
}

function checkDefinition(definition: Definition): void {
  const ids = new Map<number, string>();
  const names = new Map<string, string>();
  for (const [name, member] of Object.entries(definition)) {
    checkName(name, "command or event");
    if (member?.kind !== "command" && member?.kind !== "event") {
      throw new TypeError(
        `Cannot define ${name}: it is ${describeValue(member)}; use command(...) or event(...)`,
      );
    }
    const where = `${member.kind} ${name}`;
    const c = snakeCase(name);
    const sameName = names.get(c);
    if (sameName !== undefined) {
      throw new TypeError(
        `Cannot define ${where}: ${sameName} has the same name in C (${c})`,
      );
    }
    names.set(c, name);
    const { id } = member;
    if (!Number.isInteger(id) || id < 0 || id >= 0xffff_ffff) {
      throw new TypeError(
        `Cannot define ${where}: its id is ${
          describeValue(id)
        }, but must be an integer from 0 to ${0xffff_fffe}`,
      );
    }
    const sameId = ids.get(id);
    if (sameId !== undefined) {
      throw new TypeError(`Cannot define ${where}: ${sameId} has the same id ${id}`);
    }
    ids.set(id, name);
    if (typeof member.handler !== "function") {
      throw new TypeError(
        `Cannot define ${where}: its handler is ${describeValue(member.handler)}, not a function`,
      );
    }
    if (member.kind === "command") {
      checkFields(member.args, NUM_ARGS, where, "argument");
      if (!isValueType(member.result)) {
        throw new TypeError(
          `Cannot define ${where}: its result type is ${describeType(member.result)}; ` +
            `use u8 to u64, i8 to i64, bool, f64, ptr or none`,
        );
      }
    } else {
      checkFields(member.fields, MAX_EVENT_FIELDS, where, "field");
    }
  }
  if (ids.size === 0) throw new TypeError("Cannot define a channel without commands and events");
}
