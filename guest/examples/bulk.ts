/** Host side of bulk.c: `deno run -A mod.ts --backdoor guest/examples/bulk.ts guest/bin/riscv64/bulk` */
import { type CallResult, type Cpu, NOT_HANDLED } from "../../backdoor/types.ts";

const COUNT_WORDS = 1, CAPITALS = 2;

export function call(cpu: Cpu, command: number, length: number): CallResult {
  const text = cpu.data.subarray(0, length);
  if (command === COUNT_WORDS) {
    return new TextDecoder().decode(text).split(/\s+/).filter((word) => word !== "").length;
  }
  if (command === CAPITALS) {
    for (let i = 0; i < text.length; i++) {
      if (text[i] >= 0x61 && text[i] <= 0x7a) text[i] -= 0x20;
    }
    return;
  }
  return NOT_HANDLED;
}
