/** Host side of hello.c: `deno run -A mod.ts --backdoor guest/examples/hello.ts guest/bin/riscv64/hello` */
import { type CallResult, type Channel, type Cpu, NOT_HANDLED } from "../../backdoor/types.ts";

const GREET = 1;

export function init(channel: Channel): void {
  console.log(`host: a guest may come, as ${channel.maxClients} clients at most`);
}

export function call(cpu: Cpu, command: number, value: number): CallResult {
  if (command !== GREET) return NOT_HANDLED;
  console.log(`host: ${cpu.isa} asks for the successor of ${value}`);
  return value + 1;
}

export function fini(): void {
  console.log("host: the guest has ended");
}
