/**
 * Lines of `--trace`.
 *
 * @module
 */

/** What is asked of a CPU of either mode. */
export interface TracedCpu {
  getRegister(name: string): bigint;
  disassemble(pc: number): { length: number; bits: number; text: string };
}

/** Address, word and text of the instruction at the pc. @param digits Of the address, at least. */
export function instructionLine(cpu: TracedCpu, pc: number, digits: number): string {
  const { bits, length, text } = cpu.disassemble(pc);
  const word = (bits >>> 0).toString(16).padStart(length * 2, "0");
  const address = cpu.getRegister("pc").toString(16).padStart(digits, "0");
  return `${address}: ${word.padEnd(8)}  ${text}`;
}
