/**
 * Passes ring events to the user's `event` callback; what goes wrong there is reported, and stops nothing else
 * unless the user wants it to.
 *
 * @module
 */
import type { Callbacks } from "./callbacks.ts";
import type { BackdoorCpu } from "./cpu.ts";
import { Status } from "./protocol.ts";
import { errorText, isThenable, memberText, type Reporter } from "./report.ts";
import type { EventRing, EventSink } from "./ring.ts";
import { NOT_HANDLED } from "./types.ts";

/** Exit status for the policy "stop": EX_SOFTWARE of sysexits.h. */
export const ERROR_STOP_STATUS = 70;

/** The host's end of all rings of a channel. */
export class Events implements EventSink {
  /** Events that reached the callback module. */
  count = 0;
  /** Errors in event callbacks. */
  errors = 0;
  /** Events that no callback handles. */
  lost = 0;
  /** Rings that were emptied because they held nonsense. */
  corruptRings = 0;
  readonly #callbacks: Callbacks;
  readonly #reporter: Reporter;
  readonly #notes: Reporter;
  readonly #stopOnError: boolean;
  /** Promises of callbacks that have not settled. */
  readonly #unsettled = new Set<Promise<void>>();

  constructor(callbacks: Callbacks, reporter: Reporter, notes: Reporter, stopOnError: boolean) {
    this.#callbacks = callbacks;
    this.#reporter = reporter;
    this.#notes = notes;
    this.#stopOnError = stopOnError;
  }

  event(
    cpu: BackdoorCpu,
    client: number,
    command: number,
    payload: Uint8Array<ArrayBuffer>,
  ): boolean {
    if (cpu.failed) return false;
    const { event, name } = this.#callbacks;
    if (event === undefined) {
      this.lost++;
      this.#reporter.once(`backdoor: events are lost: ${name} exports no event function`);
      return true;
    }
    this.count++;
    const caller = cpu.client;
    cpu.client = client;
    try {
      const result: unknown = event(cpu, client, command, payload);
      if (result !== undefined) this.#result(cpu, client, command, result);
    } catch (error) {
      this.#error(cpu, client, command, error);
    } finally {
      cpu.client = caller;
    }
    return !cpu.failed;
  }

  corrupt(client: number, reason: string): void {
    this.corruptRings++;
    this.#reporter.once(
      `backdoor: the event ring of client ${client} held nonsense and was emptied; events are lost`,
    );
    this.#notes.once(`backdoor: the event ring of client ${client}: ${reason}`);
  }

  /**
   * Drains a ring for FLUSH.
   *
   * @returns Status OK whatever the callbacks did, INVALID if the ring held nonsense, or undefined if the guest is to
   * stop instead.
   */
  flush(cpu: BackdoorCpu, ring: EventRing): number | undefined {
    const { corruptRings } = this;
    if (!ring.drain(cpu, this)) return undefined;
    return this.corruptRings > corruptRings ? Status.INVALID : Status.OK;
  }

  /** Waits until all callbacks have settled, or the signal ends the wait. */
  async settled(signal?: AbortSignal): Promise<void> {
    const aborted = new Promise<void>((resolve) =>
      signal?.addEventListener("abort", () => resolve(), { once: true })
    );
    while (this.#unsettled.size > 0 && !signal?.aborted) {
      await Promise.race([aborted, Promise.all(this.#unsettled)]);
    }
  }

  #result(cpu: BackdoorCpu, client: number, command: number, result: unknown): void {
    if (result === NOT_HANDLED) {
      const { name } = this.#callbacks;
      this.lost++;
      this.#reporter.once(
        `backdoor: events are lost: no callback of ${name} handles event ${command}`,
      );
      return;
    }
    if (!isThenable(result)) return;
    const settled: Promise<void> = Promise.resolve(result).then(
      (late) => {
        this.#unsettled.delete(settled);
        if (late === NOT_HANDLED) this.#result(cpu, client, command, late);
      },
      (error) => {
        this.#unsettled.delete(settled);
        this.#error(cpu, client, command, error);
      },
    );
    this.#unsettled.add(settled);
  }

  #error(cpu: BackdoorCpu, client: number, command: number, error: unknown): void {
    this.errors++;
    const what = memberText(this.#callbacks.typed, "event", command);
    this.#reporter.report(
      `backdoor: the callback of ${what} of client ${client} threw\n${errorText(error)}`,
    );
    if (this.#stopOnError) cpu.requestStop(ERROR_STOP_STATUS, "error");
  }
}
