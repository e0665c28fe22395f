/**
 * The goldfish real-time clock: nanoseconds since 1970, and an alarm.
 *
 * Source: Android emulator, "Goldfish Virtual Hardware", section "Real-time clock"; Linux drivers/rtc/rtc-goldfish.c.
 *
 * @module
 */
import type { State, Stateful, StateReader } from "../state.ts";
import type { InterruptLine, MmioDevice } from "./device.ts";

const R = {
  TIME_LOW: 0x00,
  TIME_HIGH: 0x04,
  ALARM_LOW: 0x08,
  ALARM_HIGH: 0x0c,
  IRQ_ENABLED: 0x10,
  CLEAR_ALARM: 0x14,
  ALARM_STATUS: 0x18,
  CLEAR_INTERRUPT: 0x1c,
} as const;
const LOW = 0xffff_ffffn;

/** The device. */
export class GoldfishRtc implements MmioDevice, Stateful {
  readonly #line: InterruptLine;
  readonly #now: () => bigint;
  #offset = 0n;
  /** High word of the time whose low word was read. */
  #high = 0;
  #alarm = 0n;
  #alarmHigh = 0;
  #armed = false;
  #pending = false;
  #enabled = false;

  /** @param now Nanoseconds since 1970. */
  constructor(line: InterruptLine, now: () => bigint) {
    this.#line = line;
    this.#now = now;
  }

  #time(): bigint {
    return BigInt.asUintN(64, this.#now() + this.#offset);
  }

  /** Nanoseconds until the alarm, if one is set and would be seen. */
  untilAlarm(): number | undefined {
    if (!this.#armed || !this.#enabled) return undefined;
    return Math.max(0, Number(this.#alarm - this.#time()));
  }

  /** Looks whether the alarm is due. */
  update(): void {
    if (this.#armed && this.#time() >= this.#alarm) {
      this.#armed = false;
      this.#pending = true;
      this.#line(this.#enabled);
    }
  }

  save(): State {
    return {
      offset: this.#offset,
      alarm: this.#alarm,
      words: [this.#high, this.#alarmHigh],
      flags: [this.#armed, this.#pending, this.#enabled],
    };
  }

  restore(state: StateReader): void {
    this.#offset = state.at("offset").bigint();
    this.#alarm = state.at("alarm").bigint();
    [this.#high, this.#alarmHigh] = state.at("words").list(2).map((word) =>
      word.number(0, 0xffff_ffff)
    );
    [this.#armed, this.#pending, this.#enabled] = state.at("flags").list(3).map((flag) =>
      flag.boolean()
    );
  }

  read(offset: number, size: number): number | undefined {
    if (size !== 4) return undefined;
    switch (offset) {
      case R.TIME_LOW: {
        const time = this.#time();
        this.#high = Number(time >> 32n);
        return Number(time & LOW);
      }
      case R.TIME_HIGH:
        return this.#high;
      case R.ALARM_LOW:
        return Number(this.#alarm & LOW);
      case R.ALARM_HIGH:
        return Number(this.#alarm >> 32n);
      case R.IRQ_ENABLED:
        return this.#enabled ? 1 : 0;
      case R.ALARM_STATUS:
        return this.#armed ? 1 : 0;
      default:
        return 0;
    }
  }

  write(offset: number, size: number, value: number): boolean {
    if (size !== 4) return false;
    switch (offset) {
      case R.TIME_LOW: {
        const time = this.#time();
        this.#offset += (time & ~LOW | BigInt(value)) - time;
        break;
      }
      case R.TIME_HIGH: {
        const time = this.#time();
        this.#offset += (time & LOW | BigInt(value) << 32n) - time;
        break;
      }
      case R.ALARM_LOW:
        this.#alarm = BigInt(this.#alarmHigh) << 32n | BigInt(value);
        this.#armed = true;
        this.update();
        break;
      case R.ALARM_HIGH:
        this.#alarmHigh = value;
        break;
      case R.IRQ_ENABLED:
        this.#enabled = (value & 1) !== 0;
        this.#line(this.#enabled && this.#pending);
        break;
      case R.CLEAR_ALARM:
        this.#armed = false;
        break;
      case R.CLEAR_INTERRUPT:
        this.#pending = false;
        this.#line(false);
        break;
    }
    return true;
  }
}
