/**
 * Calls as lines of text, for shells: write "COMMAND ARG...", read "STATUS RESULT".
 *
 * A command is a number or, with a typed channel, a name. Arguments are numbers: decimal, 0x hexadecimal or
 * negative; a typed command takes as many as it has, each of its type; else those left out are 0. The answer is one
 * line: `ok RESULT`, `unknown`, `threw` or `invalid: REASON`; untyped results are signed.
 *
 * @module
 */
import type { BackdoorChannel, HostAnswer } from "./channel.ts";
import type { BackdoorCpu } from "./cpu.ts";
import { type Command, snakeCase } from "./define.ts";
import { NUM_ARGS, Status } from "./protocol.ts";
import { describeValue } from "./report.ts";
import { type AnyType, parseInteger } from "./value_types.ts";

/** Longest line in bytes, without its newline. */
export const MAX_LINE = 1024;
/** Most bytes of answers that wait to be read; the oldest answers go when there are more. */
export const MAX_UNREAD = 65536;

const NEWLINE = 10;

const WORDS: Readonly<Record<number, string>> = {
  [Status.UNKNOWN]: "unknown",
  [Status.THREW]: "threw",
  [Status.INVALID]: "invalid: bad request",
  [Status.NOBODY]: "invalid: the guest is about to stop",
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A line, understood. */
interface Request {
  command: number;
  args: bigint[];
  typed: Command | undefined;
}

/** One open file of text calls. */
export class TextCalls {
  readonly #channel: BackdoorChannel;
  readonly #cpu: BackdoorCpu;
  readonly #client: number;
  readonly #line = new Uint8Array(MAX_LINE);
  /** Bytes of the line so far; beyond `MAX_LINE` they are only counted. */
  #length = 0;
  #unread: Uint8Array<ArrayBuffer>[] = [];
  #unreadBytes = 0;
  /** Settles when the lines of an earlier write are answered. */
  #busy: Promise<void> | undefined;

  /** @param client The client whose calls these are; the data area is its part. */
  constructor(channel: BackdoorChannel, cpu: BackdoorCpu, client = 0) {
    this.#channel = channel;
    this.#cpu = cpu;
    this.#client = client;
  }

  /** Bytes of answers that wait to be read. */
  get available(): number {
    return this.#unreadBytes;
  }

  /**
   * Takes bytes of lines and makes the calls of those that are complete, one after the other.
   *
   * @returns A Promise if a callback is asynchronous; the writer sleeps until it settles. Afterwards a callback may
   * have asked to stop the guest.
   */
  write(bytes: Uint8Array): void | Promise<void> {
    if (this.#busy) {
      const copy = bytes.slice();
      return this.#busy.then(() => this.write(copy));
    }
    return this.#take(bytes);
  }

  /** Makes the call of a last line without a newline, when the file is closed. */
  end(): void | Promise<void> {
    if (this.#busy) return this.#busy.then(() => this.end());
    if (this.#length > 0) return this.#take(Uint8Array.of(NEWLINE));
  }

  /** Takes up to `max` bytes of answers; none if there are none. */
  read(max: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(Math.min(max, this.#unreadBytes));
    let length = 0;
    while (length < bytes.length) {
      const [first] = this.#unread;
      const part = first.subarray(0, bytes.length - length);
      bytes.set(part, length);
      length += part.length;
      if (part.length === first.length) this.#unread.shift();
      else this.#unread[0] = first.subarray(part.length);
    }
    this.#unreadBytes -= length;
    return bytes;
  }

  #take(bytes: Uint8Array): void | Promise<void> {
    let from = 0;
    while (from < bytes.length && !this.#cpu.stopping) {
      const newline = bytes.indexOf(NEWLINE, from);
      const part = bytes.subarray(from, newline < 0 ? bytes.length : newline);
      if (this.#length + part.length <= MAX_LINE) this.#line.set(part, this.#length);
      this.#length += part.length;
      if (newline < 0) return;
      from = newline + 1;
      const pending = this.#callLine();
      if (pending) {
        const rest = bytes.slice(from);
        return this.#busy = pending.then(() => {
          this.#busy = undefined;
          return this.#take(rest);
        });
      }
    }
  }

  /** Makes the call of the complete line. */
  #callLine(): void | Promise<void> {
    const length = this.#length;
    this.#length = 0;
    if (length > MAX_LINE) {
      this.#answer(`invalid: the line is longer than ${MAX_LINE} bytes`);
      return;
    }
    const words = decoder.decode(this.#line.subarray(0, length)).split(/\s+/).filter((word) =>
      word !== ""
    );
    if (words.length === 0) return;
    const request = this.#parse(words);
    if (typeof request === "string") {
      this.#answer(request);
      return;
    }
    const { command, args, typed } = request;
    const answered = ({ status, result }: HostAnswer) =>
      this.#answer(
        status === Status.OK
          ? `ok ${typed ? typed.result.format(result) : result}`
          : WORDS[status] ?? `invalid: status ${status}`,
      );
    const answer = this.#channel.invoke(this.#cpu, this.#client, command, args);
    if (answer instanceof Promise) return answer.then(answered);
    answered(answer);
  }

  /** The request that a line makes, or the answer to it if it makes none. */
  #parse([name, ...values]: string[]): Request | string {
    const definition = this.#channel.callbacks.typed?.definition ?? {};
    try {
      const named = /^[A-Za-z_]\w*$/.test(name);
      const id = named ? -1n : parseInteger(name, "command", 0n, 0xffff_ffffn);
      const known = Object.entries(definition).find(([key, member]) =>
        named ? key === name || snakeCase(key) === name : BigInt(member.id) === id
      );
      if (!known) {
        if (named) return "unknown";
        if (values.length > NUM_ARGS) {
          return `invalid: ${values.length} arguments, at most ${NUM_ARGS} are possible`;
        }
        const args = values.map((value) =>
          parseInteger(value, "64-bit number", -(2n ** 63n), 2n ** 64n - 1n)
        );
        return { command: Number(id), args, typed: undefined };
      }
      const [key, member] = known;
      if (member.kind === "event") return `invalid: ${key} is an event, not a command`;
      const types: [string, AnyType][] = Object.entries(member.args);
      if (values.length !== types.length) {
        const names = types.map(([arg, type]) => `${arg}: ${type.name}`).join(", ");
        return `invalid: ${key} takes (${names}), not ${values.length} arguments`;
      }
      const args = types.map(([, type], i) => type.parse(values[i]));
      return { command: member.id, args, typed: member };
    } catch (error) {
      if (error instanceof RangeError) return `invalid: ${error.message}`;
      throw new Error(`Cannot parse ${describeValue(name)}`, { cause: error });
    }
  }

  #answer(line: string): void {
    const bytes = encoder.encode(line.replace(/[\r\n]/g, " ") + "\n");
    this.#unread.push(bytes);
    this.#unreadBytes += bytes.length;
    while (this.#unreadBytes > MAX_UNREAD) this.#unreadBytes -= this.#unread.shift()!.length;
  }
}
