/** Host side of channel.c, which checks every promise of the guest library and the protocol. */
import { type CallResult, type Channel, type Cpu, NOT_HANDLED } from "../../backdoor/types.ts";

const MIX = 1, NEGATE = 2, THROW = 3, LATER = 4, REJECT = 5, NONSENSE = 6, TRUTH = 7, NOTHING = 8;
const CLIENT = 9, SUM = 10, CALLS = 11, EVENTS = 12, HASH = 13, JUMP = 14, CLIENTS = 15;
const BAD_EVENT = 0xbad;

/** FNV-1a over 32 bits. */
const HASH_START = 2166136261;

let clients = 0, calls = 0;
let counts: number[] = [], hashes: number[] = [];

function hash(value: number, bytes: Uint8Array): number {
  for (const byte of bytes) value = Math.imul(value ^ byte, 16777619);
  return value >>> 0;
}

export function init(channel: Channel): void {
  clients = channel.maxClients;
  calls = 0;
  counts = new Array(clients).fill(0);
  hashes = new Array(clients).fill(HASH_START);
}

export function event(_cpu: Cpu, client: number, command: number, payload: Uint8Array): void {
  counts[client]++;
  hashes[client] = hash(
    hash(hashes[client], new Uint8Array(Uint32Array.of(command).buffer)),
    payload,
  );
  if (command === BAD_EVENT) throw new Error("an event that the test means to fail");
}

export function call(cpu: Cpu, command: number, a: number): CallResult | Promise<CallResult> {
  calls++;
  switch (command) {
    case MIX:
      return BigInt.asIntN(
        64,
        cpu.args[0] + 3n * cpu.args[1] + 5n * cpu.args[2] + 7n * cpu.args[3],
      );
    case NEGATE:
      return -cpu.args[0];
    case THROW:
      throw new Error("a call that the test means to fail");
    case LATER:
      return new Promise((resolve) => setTimeout(() => resolve(a + 1), 5));
    case REJECT:
      return Promise.reject(new Error("a call that the test means to reject"));
    case NONSENSE:
      return 1.5;
    case TRUTH:
      return true;
    case NOTHING:
      return;
    case CLIENT:
      cpu.data[a] = cpu.client + 100;
      return cpu.client;
    case SUM:
      return cpu.data.subarray(0, a).reduce((sum, byte) => sum + byte, 0);
    case CALLS:
      return calls;
    case EVENTS:
      return counts[cpu.client];
    case HASH:
      return hashes[cpu.client];
    case JUMP:
      cpu.pc = BigInt.asUintN(64, cpu.args[0]);
      return;
    case CLIENTS:
      return clients;
    default:
      return NOT_HANDLED;
  }
}
