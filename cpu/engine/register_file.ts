/**
 * Registers by name, as debuggers and callbacks use them.
 *
 * @module
 */
import { Slot } from "../ir/encoding.ts";
import type { IsaState, RegisterInfo } from "../isa/isa.ts";

/** The registers of one instruction set in the slots of a CPU; the pc is not among them. */
export class RegisterFile {
  readonly #isa: IsaState;
  readonly #slots: BigInt64Array;
  readonly #registers = new Map<string, RegisterInfo>();

  constructor(isa: IsaState, slots: BigInt64Array) {
    this.#isa = isa;
    this.#slots = slots;
    for (const register of isa.registers) {
      this.#registers.set(register.name, register);
      for (const alias of register.aliases) this.#registers.set(alias, register);
    }
  }

  /** A register's description. @throws {RangeError} For an unknown name. */
  info(name: string): RegisterInfo {
    const info = this.#registers.get(name);
    if (!info) {
      throw new RangeError(
        `Cannot find a register named "${name}" in ${this.#isa.name}: try one of ${
          this.#isa.registers.slice(0, 12).map((r) => r.name).join(", ")
        }...`,
      );
    }
    return info;
  }

  /** Value of a register, unsigned. @throws {RangeError} For an unknown name. */
  get(name: string): bigint {
    const info = this.info(name), slots = this.#slots;
    const value = info.slot < 0 ? this.#isa.readSpecial(info.name, slots) : slots[info.slot];
    return BigInt.asUintN(info.bits, value);
  }

  /** Writes a register, modulo its width. @throws {RangeError} For an unknown name. */
  set(name: string, value: bigint): void {
    const info = this.info(name);
    if (info.slot === Slot.ZERO) return;
    if (info.slot < 0) this.#isa.writeSpecial(info.name, value, this.#slots);
    else this.#slots[info.slot] = BigInt.asIntN(info.bits, value);
  }
}
