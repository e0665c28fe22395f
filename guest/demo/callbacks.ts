/**
 * Host side of the built-in demo: `deno run -A mod.ts` runs it with guest/bin/riscv64/demo.
 *
 * @module
 */
import { type CallResult, type Channel, type Cpu, NOT_HANDLED } from "../../backdoor/types.ts";

const MULTIPLY = 1, WORDS = 2, HURRY = 3, PRIME = 4, PRIMES = 5;

let primes = 0, last = 0, gap = 0;

function say(text: string): void {
  console.log(`  host ${text}`);
}

/** Greets. */
export function init(channel: Channel): void {
  primes = last = gap = 0;
  const version = `${channel.version >>> 16}.${channel.version & 0xffff}`;
  say(`This is TypeScript, protocol ${version}. A guest may call me`);
}

/** Answers the guest's calls. */
export function call(cpu: Cpu, command: number, a: number, b: number): CallResult {
  switch (command) {
    case MULTIPLY:
      say(`${a} times ${b}, asks a ${cpu.isa} at 0x${cpu.pc.toString(16)}`);
      return a * b;
    case WORDS: {
      const words = new TextDecoder().decode(cpu.data.subarray(0, a)).split(/\s+/);
      say(`Let me see: "${words.slice(0, 6).join(" ")}..."`);
      cpu.data.set(new TextEncoder().encode("Trapdoor\0"), a + 1);
      return new Set(words).size;
    }
    case HURRY:
      say(`s5 is ${cpu.getRegister("s5")}? Not on my watch`);
      cpu.setRegister("s5", 3n);
      return;
    case PRIMES:
      say(`${primes} events in my ring; the widest gap between two primes is ${gap}`);
      return primes;
    default:
      return NOT_HANDLED;
  }
}

/** Gets the primes that the guest found. */
export function event(_cpu: Cpu, _client: number, command: number, payload: Uint8Array): void {
  if (command !== PRIME) throw new Error(`Cannot handle event ${command}: unknown`);
  const prime = new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
  if (primes++ > 0) gap = Math.max(gap, prime - last);
  last = prime;
}

/** Says goodbye. */
export function fini(): void {
  say("It has gone. Your turn: --backdoor yours.ts program");
}
