/**
 * What goes wrong in callbacks, as text for people: nothing is lost, nothing floods.
 *
 * @module
 */

/** Distinct messages whose repetitions are counted (further ones are always printed), or that are printed once. */
const MAX_DISTINCT = 256;
/** Causes of causes that are printed. */
const MAX_CAUSES = 8;

/** A value as one short line, whatever it is; never throws. */
export function describeValue(value: unknown): string {
  try {
    if (typeof value === "string") {
      return JSON.stringify(value.length > 80 ? value.slice(0, 80) + "..." : value);
    }
    if (typeof value === "bigint") return `${value}n`;
    if (typeof value === "function") return `a function${value.name ? ` (${value.name})` : ""}`;
    if (Array.isArray(value)) return `an array of ${value.length}`;
    if (typeof value === "object" && value !== null) {
      const name = value.constructor?.name;
      return typeof name === "string" && name !== "" ? `an object (${name})` : "an object";
    }
    return Object.is(value, -0) ? "-0" : String(value);
  } catch {
    // A hostile object: a proxy or getter that throws. Its type is all that can be said.
    return `an unprintable ${typeof value}`;
  }
}

/** Whether a value can be awaited. May throw what a getter throws. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return ((typeof value === "object" && value !== null) || typeof value === "function") &&
    "then" in value && typeof value.then === "function";
}

/** A command or event by number, and by name if a typed channel knows it: "command count (1)". */
export function memberText(
  typed: { readonly definition: Readonly<Record<string, { id: number }>> } | undefined,
  kind: "command" | "event",
  id: number,
): string {
  for (const [name, member] of Object.entries(typed?.definition ?? {})) {
    if (member.id === id) return `${kind} ${name} (${id})`;
  }
  return `${kind} ${id}`;
}

/** Stack and causes of what was thrown, whatever it is; never throws. */
export function errorText(error: unknown): string {
  const parts: string[] = [];
  let current: unknown = error;
  try {
    for (let depth = 0; depth < MAX_CAUSES; depth++) {
      if (!(current instanceof Error)) {
        parts.push(`${describeValue(current)} (not an Error)`);
        break;
      }
      const stack: unknown = current.stack;
      parts.push(typeof stack === "string" && stack !== "" ? stack : String(current));
      if (current instanceof AggregateError) {
        for (const inner of current.errors.slice(0, MAX_CAUSES)) {
          parts.push(inner instanceof Error ? String(inner.stack) : describeValue(inner));
        }
      }
      if (current.cause === undefined) break;
      current = current.cause;
    }
  } catch {
    // A hostile error object; what was collected so far is what there is.
    parts.push("(an error that cannot be printed)");
  }
  return parts.join("\nCaused by: ");
}

/**
 * Passes messages on; of equal messages the 1st, 10th, 100th... with their number, the total by {@linkcode end}.
 */
export class Reporter {
  readonly #print: (message: string) => void;
  readonly #counts = new Map<string, number>();
  readonly #once = new Set<string>();

  /** @param print Gets each message: one or more lines without a final newline. */
  constructor(print: (message: string) => void) {
    this.#print = print;
  }

  /** Reports a message. */
  report(message: string): void {
    const count = (this.#counts.get(message) ?? 0) + 1;
    if (count > 1 || this.#counts.size < MAX_DISTINCT) this.#counts.set(message, count);
    if (count === 1) this.#print(message);
    else if (isPowerOfTen(count)) this.#print(`(${count} times so far) ${message}`);
  }

  /** Reports a message the first time only; a guest can't make it more than {@linkcode MAX_DISTINCT} messages. */
  once(message: string): void {
    if (this.#once.has(message) || this.#once.size > MAX_DISTINCT) return;
    this.#once.add(message);
    this.#print(
      this.#once.size <= MAX_DISTINCT
        ? message
        : "backdoor: there is more of this kind; it is not shown",
    );
  }

  /** Says how often messages came that were held back, and forgets them. */
  end(): void {
    const counts = [...this.#counts];
    this.#counts.clear();
    for (const [message, count] of counts) {
      if (count > 1 && !isPowerOfTen(count)) {
        this.#print(`(${count} times in all) ${message.split("\n", 2).join("\n")}`);
      }
    }
  }
}

function isPowerOfTen(count: number): boolean {
  return /^10*$/.test(String(count));
}
