/** Host side of poke.c: `deno run -A mod.ts --backdoor guest/examples/poke.ts guest/bin/riscv64/poke` */
import { type CallResult, type Cpu, NOT_HANDLED } from "../../backdoor/types.ts";

const POKE_MEMORY = 1, POKE_REGISTER = 2;

export function call(cpu: Cpu, command: number, address: number, size: number): CallResult {
  if (command === POKE_MEMORY) {
    console.log(`host: at 0x${address.toString(16)} stands "${cpu.memory.readCString(address)}"`);
    cpu.memory.write(address, new TextEncoder().encode("the host was here\0").subarray(0, size));
    return;
  }
  if (command === POKE_REGISTER) {
    const name = cpu.memory.readCString(address);
    const value = cpu.getRegister(name);
    console.log(`host: ${name} is ${value}, doubling it`);
    cpu.setRegister(name, 2n * value);
    return;
  }
  return NOT_HANDLED;
}
