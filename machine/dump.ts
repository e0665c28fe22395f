/**
 * Dumps of compiled code: a module and its listing for each compilation, in a directory.
 *
 * @module
 */
import type { UserCpu } from "../cpu/engine/user_cpu.ts";
import type { WasmDump } from "../cpu/wasm/tier.ts";
import { MachineError } from "./program.ts";

function attempt(what: string, write: () => void): void {
  try {
    write();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MachineError(`Cannot ${what} for dumps of compiled code: ${why}`, { cause });
  }
}

/** A guest address as text; those of the upper half of 64 bits are negative numbers. */
const address = (pc: number) => BigInt.asUintN(64, BigInt(pc)).toString(16);

/**
 * Writes `region_<address>.wasm` and `region_<address>.txt` for each module; when an address is compiled again, with a
 * number behind it.
 *
 * @param directory Is created if it is not there.
 * @throws {MachineError} If it can't be; later, if a file can't be written.
 */
export function wasmDump(directory: string, cpu: Pick<UserCpu, "disassemble">): WasmDump {
  const written = new Map<number, number>();
  attempt(`create ${directory}`, () => Deno.mkdirSync(directory, { recursive: true }));
  return {
    disassemble: (pc) => cpu.disassemble(pc).text,
    write: (pc, bytes, listing) => {
      const count = (written.get(pc) ?? 0) + 1;
      written.set(pc, count);
      const base = `${directory}/region_${address(pc)}${count > 1 ? `_${count}` : ""}`;
      attempt(`write ${base}.wasm`, () => Deno.writeFileSync(`${base}.wasm`, bytes));
      attempt(`write ${base}.txt`, () => Deno.writeTextFileSync(`${base}.txt`, listing));
    },
  };
}
