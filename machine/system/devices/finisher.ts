/**
 * The test finisher: a store ends or restarts the machine.
 *
 * Source: SiFive test device, as QEMU's board has it ("sifive,test1"); Linux finds it as a syscon.
 *
 * @module
 */
import type { MmioDevice } from "./device.ts";

const FAIL = 0x3333, PASS = 0x5555, RESET = 0x7777;

/** How the guest wants to end. */
export type Finish = { kind: "poweroff"; status: number } | { kind: "reboot" };

/** The device. */
export class Finisher implements MmioDevice {
  readonly #finish: (how: Finish) => void;

  constructor(finish: (how: Finish) => void) {
    this.#finish = finish;
  }

  read(): number {
    return 0;
  }

  write(offset: number, size: number, value: number): boolean {
    if (size === 1) return false;
    if (offset !== 0) return true;
    switch (value & 0xffff) {
      case PASS:
        this.#finish({ kind: "poweroff", status: 0 });
        break;
      case FAIL:
        this.#finish({ kind: "poweroff", status: value >>> 16 & 0xff });
        break;
      case RESET:
        this.#finish({ kind: "reboot" });
        break;
    }
    return true;
  }
}
