/**
 * What a snapshot keeps of a RISC-V hart.
 *
 * @module
 */
import type { SystemCpu } from "../../cpu/engine/system/cpu.ts";
import type { RiscvHart } from "../../cpu/riscv/hart.ts";
import { COUNTERS } from "../../cpu/riscv/counters.ts";
import { PMP_ENTRIES } from "../../cpu/riscv/pmp.ts";
import type { State, StateReader } from "./state.ts";

/** Registers of 32 bits, and those of the ISA's width or 64 bits. */
const WORDS = ["mstatus", "medeleg", "mideleg", "mie", "softIp", "lineIp"] as const;
const LARGE = [
  ...["mtvec", "mscratch", "mepc", "mcause", "mtval", "mcounteren", "mcountinhibit", "menvcfg"],
  ...["stvec", "sscratch", "sepc", "scause", "stval", "scounteren", "senvcfg", "satp", "stimecmp"],
  ...["cycleOffset", "instretOffset", "resume"],
] as readonly LargeRegister[];
type LargeRegister = {
  [K in keyof RiscvHart]: RiscvHart[K] extends bigint ? K : never;
}[Exclude<keyof RiscvHart, "status">];

/** The state of a hart. */
export function saveHart(cpu: SystemCpu, hart: RiscvHart): State {
  const { slots, pc, retired } = cpu.saveHart(hart.id);
  const entries = Array.from({ length: PMP_ENTRIES }, (_, i) => i);
  return {
    pc,
    retired,
    slots: new Uint8Array(slots.buffer, slots.byteOffset, slots.byteLength),
    privilege: hart.privilege,
    waiting: hart.waiting,
    words: Object.fromEntries(WORDS.map((name) => [name, hart[name]])),
    large: Object.fromEntries(LARGE.map((name) => [name, hart[name] as bigint])),
    counters: hart.counters.save(),
    pmp: entries.map((i) => [hart.pmp.config(i), hart.pmp.address(i)]),
  };
}

/** Makes a hart that was not used yet what another one was; it is the one that runs afterwards. */
export function restoreHart(cpu: SystemCpu, hart: RiscvHart, state: StateReader): void {
  const bytes = state.at("slots").bytes(cpu.saveHart(hart.id).slots.byteLength);
  cpu.restoreHart(hart.id, {
    // A copy: it may start anywhere in a file.
    slots: new BigInt64Array(bytes.slice().buffer),
    pc: state.at("pc").bigint(),
    retired: state.at("retired").number(),
  });
  for (const name of WORDS) hart[name] = state.at("words").at(name).word();
  for (const name of LARGE) {
    (hart as Record<LargeRegister, bigint>)[name] = state.at("large").at(name).bigint();
  }
  state.at("pmp").list(PMP_ENTRIES).forEach((entry, i) => {
    hart.pmp.setAddress(i, entry.list(2)[1].bigint());
  });
  // Configurations last: they may lock addresses.
  state.at("pmp").list(PMP_ENTRIES).forEach((entry, i) => {
    hart.pmp.setConfig(i, entry.list(2)[0].number(0, 255));
  });
  hart.waiting = state.at("waiting").boolean();
  hart.updateTranslation();
  hart.services.flushTlb(true);
  hart.privilege = state.at("privilege").number(0, 3);
  const counters = (name: string) =>
    state.at("counters").at(name).list(COUNTERS).map((value) => value.bigint());
  hart.counters.restore({
    events: counters("events"),
    values: counters("values"),
    seen: counters("seen"),
  });
}
