/**
 * Dumps of compiled code: a module and its listing for each compilation, in a directory.
 *
 * @module
 */
import type { Cpu } from "../cpu/engine/cpu.ts";
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

/**
 * Writes `region_<address>.wasm` and `region_<address>.txt` for each module; when an address is compiled again, with a
 * number behind it.
 *
 * @param directory Is created if it is not there.
 * @throws {MachineError} If it can't be; later, if a file can't be written.
 */
export function wasmDump(directory: string, cpu: Cpu): WasmDump {
  const written = new Map<number, number>();
  attempt(`create ${directory}`, () => Deno.mkdirSync(directory, { recursive: true }));
  return {
    disassemble: (pc) => cpu.disassemble(pc).text,
    write: (pc, bytes, listing) => {
      const count = (written.get(pc) ?? 0) + 1;
      written.set(pc, count);
      const base = `${directory}/region_${pc.toString(16)}${count > 1 ? `_${count}` : ""}`;
      attempt(`write ${base}.wasm`, () => Deno.writeFileSync(`${base}.wasm`, bytes));
      attempt(`write ${base}.txt`, () => Deno.writeTextFileSync(`${base}.txt`, listing));
    },
  };
}
