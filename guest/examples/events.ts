/** Host side of events.c: `deno run -A mod.ts --backdoor guest/examples/events.ts guest/bin/riscv64/events` */
import { type CallResult, type Cpu, NOT_HANDLED } from "../../backdoor/types.ts";

const STEP = 1, NOTE = 2, COUNT = 3;

let seen = 0, steps = 0, first = 0n, last = 0n, largest = 0n;

export function event(_cpu: Cpu, client: number, command: number, payload: Uint8Array): void {
  seen++;
  if (command === STEP) {
    const words = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const time = words.getBigUint64(0, true);
    if (steps++ === 0) first = time;
    else if (time - last > largest) largest = time - last;
    last = time;
  } else if (command === NOTE) {
    const text = new TextDecoder().decode(payload).replace(/\0+$/, "");
    console.log(`host: client ${client} notes "${text}" after ${steps} steps`);
  } else {
    throw new Error(`Cannot handle event ${command}: unknown`);
  }
}

export function call(_cpu: Cpu, command: number): CallResult {
  return command === COUNT ? seen : NOT_HANDLED;
}

export function fini(): void {
  if (steps < 2) return;
  const mean = Number(last - first) / (steps - 1);
  console.log(`host: ${mean.toFixed(0)} ns of guest time from step to step, at most ${largest} ns`);
}
