/** Callbacks of transports.c: the same, whichever way a call comes. */
import { type CallResult, type Cpu, NOT_HANDLED } from "../../backdoor/mod.ts";

const NEXT = 1, SHOUT = 2, EVENTS = 3;
let events = 0;

export function call(cpu: Cpu, command: number, argument: number): CallResult {
  switch (command) {
    case NEXT:
      return argument + 1;
    case SHOUT: {
      const text = new TextDecoder().decode(cpu.data.subarray(0, argument));
      cpu.data.set(new TextEncoder().encode(text.toUpperCase()));
      return argument;
    }
    case EVENTS: {
      const count = events;
      events = 0;
      return count;
    }
    default:
      return NOT_HANDLED;
  }
}

export function event(): void {
  events++;
}
