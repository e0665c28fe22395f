/**
 * Host side of typed.c: `deno run -A mod.ts --backdoor guest/examples/typed.channel.ts guest/bin/riscv64/typed`
 *
 * The guest's header comes from here: `deno run -A backdoor/header.ts guest/examples/typed.channel.ts`
 *
 * @module
 */
import {
  bool,
  command,
  defineChannel,
  event,
  f64,
  i32,
  i64,
  none,
  ptr,
  u32,
  u64,
  u8,
} from "../../backdoor/mod.ts";

let samples = 0, coldest = Infinity;

export default defineChannel({
  countWords: command(
    1,
    { length: u32 },
    u64,
    (cpu, { length }) => {
      const text = new TextDecoder().decode(cpu.data.subarray(0, length));
      return text.split(/\s+/).filter((word) => word !== "").length;
    },
    "Number of words in the first bytes of the client's data.",
  ),
  hypotenuse: command(2, { x: f64, y: f64 }, f64, (_cpu, { x, y }) => Math.hypot(x, y)),
  isPrime: command(
    3,
    { n: u64 },
    bool,
    (_cpu, { n }) => {
      if (n < 2n) return false;
      for (let d = 2n; d * d <= n; d++) if (n % d === 0n) return false;
      return true;
    },
    "Trial division, so be patient with large ones.",
  ),
  checksum: command(
    4,
    { start: ptr, size: u32, seed: u8 },
    u32,
    (cpu, { start, size, seed }) => {
      // Throws if the guest may not read there: then the guest's call fails.
      const bytes = cpu.memory.read(Number(start), size);
      return bytes.reduce((sum, byte) => (sum * 31 + byte) >>> 0, seed);
    },
    "Checksum of any memory of the guest.",
  ),
  scale: command(
    5,
    { value: i64, factor: i32, divisor: i32, offset: i64 },
    i64,
    (_cpu, { value, factor, divisor, offset }) => value * BigInt(factor) / BigInt(divisor) + offset,
    "value * factor / divisor + offset; fails if the divisor is 0 or the result has more than 64 bits.",
  ),
  nap: command(
    6,
    { milliseconds: u32 },
    none,
    (_cpu, { milliseconds }) => new Promise<void>((done) => setTimeout(done, milliseconds)),
    "The guest sleeps while the host waits.",
  ),
  sample: event(7, { time: u64, celsius: f64 }, (_cpu, { celsius }) => {
    samples++;
    coldest = Math.min(coldest, celsius);
  }, "A measurement that needs no answer."),
  mark: event(8, { at: ptr, line: u32, urgent: bool }, (_cpu, { line, urgent }, client) => {
    console.log(`host: client ${client} passed line ${line}${urgent ? ", in a hurry" : ""}`);
  }),
});

export function fini(): void {
  console.log(`host: ${samples} samples, the coldest of ${coldest} degrees`);
}
