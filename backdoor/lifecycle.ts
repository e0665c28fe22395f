/**
 * `init` and `fini` of a callback module: each at most once, in order, whatever happens.
 *
 * @module
 */
import { BackdoorModuleError, type Callbacks } from "./callbacks.ts";
import { describeValue, errorText, type Reporter } from "./report.ts";
import type { Channel } from "./types.ts";

/** The life of a callback module beside one guest. */
export class Lifecycle {
  readonly #callbacks: Callbacks;
  readonly #reporter: Reporter;
  #starting: Promise<void> | undefined;
  #started = false;
  #finished: Promise<boolean> | undefined;

  constructor(callbacks: Callbacks, reporter: Reporter) {
    this.#callbacks = callbacks;
    this.#reporter = reporter;
  }

  /** Whether {@linkcode finish} was called. */
  get ended(): boolean {
    return this.#finished !== undefined;
  }

  /** Calls `init` with what `view` makes. @throws {BackdoorModuleError} With reason "init" if it throws. */
  start(view: () => Channel): Promise<void> {
    return this.#starting ??= this.#init(view());
  }

  /**
   * Does the `last` things, then calls `fini`, if `init` has gone well; errors of `fini` are reported.
   *
   * @returns Whether all went well.
   */
  finish(last: () => Promise<boolean>): Promise<boolean> {
    return this.#finished ??= this.#fini(last);
  }

  async #init(channel: Channel): Promise<void> {
    const { init, name } = this.#callbacks;
    try {
      await init?.(channel);
      this.#started = true;
    } catch (cause) {
      const what = cause instanceof Error ? cause.message : describeValue(cause);
      throw new BackdoorModuleError(
        "init",
        name,
        `Cannot start the guest: init of ${name} threw: ${what}`,
        { cause },
      );
    }
  }

  async #fini(last: () => Promise<boolean>): Promise<boolean> {
    if (!this.#started) return true;
    let ok = true;
    try {
      ok = await last();
    } finally {
      try {
        await this.#callbacks.fini?.();
      } catch (error) {
        ok = false;
        const { name } = this.#callbacks;
        this.#reporter.report(`backdoor: fini of ${name} threw\n${errorText(error)}`);
      }
      this.#reporter.end();
    }
    return ok;
  }
}
