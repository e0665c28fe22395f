/**
 * A device: dice, and an alarm that rings.
 *
 *   deno run -A mod.ts --machine virt --device guest/examples/dice.ts,sides=20 ...
 *
 * | offset | register                                                            |
 * | ------ | ------------------------------------------------------------------- |
 * | 0      | reading throws the dice: 1 to the number of sides                   |
 * | 4      | writing N raises the interrupt in N milliseconds, 60000 at most     |
 * | 8      | reading tells whether it is raised; writing anything lowers it      |
 *
 * @module
 */
import type { Device, DeviceHost, State } from "../../machine/system/mod.ts";

const THROW = 0, ALARM = 4, STATUS = 8;
const LONGEST = 60_000;

/** The device of one machine. */
export default class Dice implements Device {
  readonly name = "dice";
  readonly compatible = "example,dice";
  readonly size = 12;
  readonly properties: { sides: number[] };
  readonly #host: DeviceHost;
  readonly #sides: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #rings = false;

  /** @throws {RangeError} If there are no such dice. */
  constructor(host: DeviceHost) {
    this.#host = host;
    this.#sides = Number(host.options.sides ?? 6);
    if (!(Number.isInteger(this.#sides) && this.#sides >= 2 && this.#sides <= 100)) {
      throw new RangeError(
        `Cannot make dice with ${host.options.sides} sides: 2 to 100 are possible`,
      );
    }
    this.properties = { sides: [this.#sides] };
  }

  /** A load of the guest's. */
  read(offset: number, _size: number): number {
    if (offset === THROW) return 1 + Math.floor(Math.random() * this.#sides);
    return offset === STATUS && this.#rings ? 1 : 0;
  }

  /** A store of the guest's. */
  write(offset: number, _size: number, value: number): void {
    if (offset === STATUS) this.#ring(false);
    if (offset !== ALARM) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#ring(true);
    }, Math.min(value, LONGEST));
  }

  /** For a snapshot: an alarm that is set rings at once when the machine goes on. */
  save(): State {
    return { rings: this.#rings || this.#timer !== undefined };
  }

  /** Goes on where another one was saved. */
  load(state: State): void {
    this.#ring((state as { rings: boolean }).rings);
  }

  #ring(on: boolean): void {
    this.#rings = on;
    this.#host.interrupt(on);
  }

  /** The machine is gone. */
  close(): void {
    clearTimeout(this.#timer);
  }
}
