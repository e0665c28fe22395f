/**
 * The console of a machine: what the guest sends goes to the host's output, the host's input waits for the guest.
 *
 * @module
 */
import type { State, StateReader } from "./state.ts";
import type { HostInput, HostOutput } from "../user/host.ts";

const CTRL_A = 1, QUIT = "x".charCodeAt(0), HELP = "h".charCodeAt(0), SAVE = "s".charCodeAt(0);
/** Bytes of output that are collected, at most. */
const COLLECTED = 4096;
/** Bytes of input that wait for the guest; more stay with the host. */
const WAITING = 1024;
const HELP_TEXT =
  "\r\nCtrl-A x: end the machine; Ctrl-A s: save a snapshot; Ctrl-A Ctrl-A: send Ctrl-A\r\n";

/** Console input and output. */
export class Console {
  /** Called when input has come. */
  onInput: () => void = () => {};
  /** Called when the user wants to end the machine. */
  onQuit: () => void = () => {};
  /** Called when the user wants a snapshot. */
  onSave: () => void = () => {};
  readonly #input: HostInput;
  readonly #output: HostOutput;
  readonly #escape: boolean;
  #out = new Uint8Array(COLLECTED);
  #used = 0;
  #waiting: number[] = [];
  #escaped = false;
  #pumping = false;
  #ended = false;
  /** The input is at its end. */
  #over = false;
  #raw = false;
  #resume: (() => void) | undefined;

  /** @param escape Whether Ctrl-A is for the console itself: if the input is a terminal. */
  constructor(input: HostInput, output: HostOutput, escape: boolean) {
    this.#input = input;
    this.#output = output;
    this.#escape = escape;
  }

  /** Starts to take input; a terminal goes to raw mode. */
  open(): void {
    if (this.#escape && !this.#raw) {
      this.#input.setRaw?.(true);
      this.#raw = true;
    }
    if (!this.#pumping) void this.#pump();
  }

  /** Gives a terminal back. */
  close(): void {
    if (this.#raw) this.#input.setRaw?.(false);
    this.#raw = false;
    this.#ended = true;
    this.#resume?.();
  }

  async #pump(): Promise<void> {
    this.#pumping = true;
    const buffer = new Uint8Array(256);
    while (!this.#ended) {
      if (this.#waiting.length >= WAITING) {
        await new Promise<void>((resolve) => this.#resume = resolve);
        continue;
      }
      const count = this.#input.read
        ? await this.#input.read(buffer)
        : this.#input.readSync?.(buffer) ?? 0;
      if (count === null || count === 0) {
        this.#over = true;
        return;
      }
      for (const byte of buffer.subarray(0, count)) this.#take(byte);
      this.onInput();
    }
  }

  #take(byte: number): void {
    if (!this.#escape || (!this.#escaped && byte !== CTRL_A)) {
      this.#waiting.push(byte);
    } else if (!this.#escaped) {
      this.#escaped = true;
    } else {
      this.#escaped = false;
      if (byte === QUIT) this.onQuit();
      else if (byte === SAVE) this.onSave();
      else if (byte === HELP) { for (const c of HELP_TEXT) this.send(c.charCodeAt(0)); }
      else if (byte === CTRL_A) this.#waiting.push(byte);
    }
  }

  /** Whether no input waits and none will come. */
  get over(): boolean {
    return this.#over && this.#waiting.length === 0;
  }

  /** Whether input waits. */
  get pending(): boolean {
    return this.#waiting.length > 0;
  }

  /** The next byte of input, or -1. */
  receive(): number {
    const byte = this.#waiting.shift() ?? -1;
    if (this.#resume && this.#waiting.length < WAITING) {
      this.#resume();
      this.#resume = undefined;
    }
    return byte;
  }

  /** Input that the guest has not got yet, for a snapshot. */
  save(): State {
    return Uint8Array.from(this.#waiting);
  }

  /** Takes over what {@linkcode save} gave. */
  restore(state: StateReader): void {
    this.#waiting.unshift(...state.bytes());
  }

  /** Takes a byte of output; {@linkcode flush} writes it. */
  send(byte: number): void {
    if (this.#used === this.#out.length) {
      const larger = new Uint8Array(this.#out.length * 2);
      larger.set(this.#out);
      this.#out = larger;
    }
    this.#out[this.#used++] = byte;
  }

  /** Writes what was collected. */
  async flush(): Promise<void> {
    while (this.#used > 0) {
      const part = this.#out.slice(0, this.#used);
      this.#used = 0;
      for (let at = 0; at < part.length;) {
        const written = this.#output.write(part.subarray(at));
        at += (written instanceof Promise ? await written : written) ?? part.length;
      }
    }
  }
}
