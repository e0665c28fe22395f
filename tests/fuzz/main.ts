/**
 * Random programs against qemu-riscv64 and qemu-riscv32, or in compiled code against the interpreter, as many as one
 * likes: `deno run -A tests/fuzz/main.ts --count 1000000 --seed 1 --xlen 64,32 --kinds int,float --compiled`.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { campaign } from "./campaign.ts";
import { type Kind, KINDS } from "./generator.ts";
import { tierCampaign } from "./tiers.ts";

const USAGE = `Usage: deno run -A tests/fuzz/main.ts [options]
  --count N        random instructions to execute (default 1000000)
  --seed N         seed of the programs (default: the clock)
  --xlen 64,32     register widths (default both)
  --kinds LIST     of ${KINDS.join(", ")} (default all)
  --size N         instructions in a program, about (default 400)
  --variations N   runs of each program besides the plain one (default 2)
  --compiled       compiled code against the interpreter, not the emulator against QEMU
  --programs N     programs after which to stop, with --compiled (default: no limit)
  --failures N     failing programs after which to stop (default 1)
`;

const args = parseArgs(Deno.args, {
  string: ["count", "seed", "xlen", "kinds", "size", "variations", "failures", "programs"],
  boolean: ["help", "compiled"],
});
if (args.help) {
  console.log(USAGE);
  Deno.exit(0);
}

/** Value of an option, if it is given. */
const option = (name: string) => (args as Record<string, unknown>)[name] as string | undefined;

/** A number given by an option. */
function number(name: string, value: number): number {
  const text = option(name);
  const result = text === undefined ? value : Number(text);
  if (!(Number.isSafeInteger(result) && result >= 0)) {
    console.error(`Cannot use --${name} ${text}: not a number\n${USAGE}`);
    Deno.exit(2);
  }
  return result;
}

const xlens = (option("xlen") ?? "64,32").split(",").map(Number) as (32 | 64)[];
const kinds = (option("kinds") ?? KINDS.join(",")).split(",") as Kind[];
if (!xlens.every((x) => x === 32 || x === 64) || !kinds.every((kind) => KINDS.includes(kind))) {
  console.error(`Cannot use --xlen ${xlens} --kinds ${kinds}\n${USAGE}`);
  Deno.exit(2);
}
const seed = number("seed", Date.now());
const start = performance.now();
if (args.compiled) {
  const { programs, instructions, compiled, failures } = await tierCampaign({
    ...{ xlens, kinds, seed },
    count: number("count", 1_000_000),
    programs: number("programs", Number.MAX_SAFE_INTEGER),
    failures: number("failures", 1),
    onFailure: (text) => console.log(text),
  });
  const seconds = (performance.now() - start) / 1000;
  console.log(
    `seed ${seed}: ${programs} programs, ${instructions} instructions, ${compiled} of them compiled, ` +
      `${failures} failures, ${seconds.toFixed(1)} s`,
  );
  Deno.exit(failures > 0 ? 1 : 0);
}
const result = await campaign({
  count: number("count", 1_000_000),
  seed,
  xlens,
  kinds,
  size: number("size", 400),
  variations: number("variations", 2),
  failures: number("failures", 1),
  onFailure: (text) => console.log(text),
});
const seconds = (performance.now() - start) / 1000;
console.log(
  `seed ${seed}: ${result.programs} programs, ${result.instructions} instructions, ` +
    `${result.failures} failures, ${seconds.toFixed(1)} s`,
);
Deno.exit(result.failures > 0 ? 1 : 0);
