/**
 * The configuration that a run of the tests is for: in which tier guest code is executed, and without which passes.
 * It comes from the environment, and tests take it from here only; suite.ts lists what is run in CI.
 *
 * - `TRAPDOOR_TIER`: `auto` (default), `interp`, or a tier that compiles everything before its first execution.
 * - `TRAPDOOR_WITHOUT_PASSES`: passes to switch off, such as `fold,dead`.
 * - `TRAPDOOR_SHARE`: how much of the random tests is run; 1 by default, more for more.
 *
 * @module
 */
import type { CpuOptions } from "../cpu/engine/cpu.ts";
import type { SystemTier, TierServices } from "../cpu/engine/tier.ts";
import { ALL_PASSES, type PassOptions } from "../cpu/ir/builder.ts";
import { WasmTier } from "../cpu/wasm/tier.ts";
import type { UserMachineOptions } from "../machine/machine.ts";
import type { AddressSpace } from "../mmu/address_space.ts";
import type { NativeTools, Neighbours } from "./native_tools.ts";
import { type Configuration, EXCEPT, nameOf, type Tier } from "./suite.ts";

/** The native tier needs a compiler and a cache: it is there where all tests are run with it. */
const native = Deno.env.get("TRAPDOOR_TIER") === "native" ? await openNative() : undefined;

/** With the cache that TRAPDOOR_CACHE names, which all test files may share; else with one for this process. */
async function openNative(): Promise<NativeTools> {
  const { nativeTools } = await import("./native_tools.ts"), given = Deno.env.get("TRAPDOOR_CACHE");
  const tools = await nativeTools(given === "off" ? undefined : given);
  Deno.env.set("TRAPDOOR_CACHE", tools.directory);
  addEventListener("unload", () => tools[Symbol.dispose]());
  return tools;
}

/** Value of TRAPDOOR_CACHE for a process that runs guest code and is to depend on no earlier run. */
export const CACHE: string = native?.directory ?? "off";

/** Makes each tier that compiles, on a CPU of its own: a new tier needs a line here and one in suite.ts. */
const FACTORIES: Readonly<
  Record<
    Exclude<Tier, "auto" | "interp">,
    (space: AddressSpace, neighbours?: Neighbours) => (services: TierServices) => SystemTier
  >
> = {
  wasm: (space) => (services) => new WasmTier(space.arena, services),
  native: (space, neighbours) => {
    if (!native) throw new Error("Cannot make the native tier: TRAPDOOR_TIER is not native");
    return native.tier(space, neighbours);
  },
};
const TIERS: readonly string[] = ["auto", "interp", ...Object.keys(FACTORIES)];

/** Reads a configuration. @throws {RangeError} For tiers and passes that are not there. */
export function configurationOf(tier = "auto", without = ""): Configuration {
  const names = Object.keys(ALL_PASSES), off = without === "" ? [] : without.split(",");
  const check = (what: string, name: string, known: readonly string[]) => {
    if (known.includes(name)) return;
    throw new RangeError(`Cannot test with ${what} ${name}: there are ${known.join(", ")}`);
  };
  check("TRAPDOOR_TIER", tier, TIERS);
  for (const name of off) check("TRAPDOOR_WITHOUT_PASSES", name, names);
  return { tier: tier as Tier, without: off as (keyof PassOptions)[] };
}

/** The configuration of this run. */
export const CONFIGURATION: Configuration = configurationOf(
  Deno.env.get("TRAPDOOR_TIER"),
  Deno.env.get("TRAPDOOR_WITHOUT_PASSES"),
);

const SHARE = Number(Deno.env.get("TRAPDOOR_SHARE") ?? 1);
if (!(SHARE > 0)) {
  throw new RangeError(`Cannot run TRAPDOOR_SHARE=${Deno.env.get("TRAPDOOR_SHARE")} of the tests`);
}

/** How many random tests are run of those that a plain run has. */
export function scaled(count: number): number {
  return Math.ceil(count * SHARE);
}

/** The seed of a random test: each configuration has its own, and the plain run the given one. */
export function seeded(seed: number): number {
  const letters = [...nameOf(CONFIGURATION)].map((letter) => letter.charCodeAt(0));
  const own = letters.reduce((sum, letter) => (sum * 31 + letter) % 999_983, 0);
  return seed + (nameOf(CONFIGURATION) === "auto" ? 0 : own);
}

/** The tier in which guest code is executed. */
export const TIER: Tier = CONFIGURATION.tier;
/** Whether {@linkcode TIER} compiles everything before its first execution. */
export const COMPILED: boolean = TIER !== "auto" && TIER !== "interp";
/** The tier that is compared with the interpreter where both are run; wasm unless another is asked for. */
export const COMPILER: Exclude<Tier, "auto" | "interp"> = TIER === "auto" || TIER === "interp"
  ? "wasm"
  : TIER;
/** The passes that translate. */
export const PASSES: PassOptions = {
  ...ALL_PASSES,
  ...Object.fromEntries(CONFIGURATION.without.map((name) => [name, false])),
};

/** What every machine is made with, unless a test is about another tier or pass. */
export const CONFIGURED: Pick<UserMachineOptions, "tier" | "passes"> = {
  tier: TIER,
  passes: PASSES,
};

/**
 * Options of a CPU that compiles everything at its first execution, or after `heat` samples.
 *
 * @param neighbours What the native tier compiles with the code at an address, because a compiler takes long to start.
 */
export function compiling(space: AddressSpace, heat = 0, neighbours?: Neighbours): CpuOptions {
  return { passes: PASSES, tier: FACTORIES[COMPILER](space, neighbours), heat };
}

/** Makes the tier that is compared with the interpreter, for a CPU in system mode whose RAM is given. */
export function compiler(ram: AddressSpace): (services: TierServices) => SystemTier {
  return FACTORIES[COMPILER](ram);
}

/** What every CPU that is not a machine's is made with. */
export function cpuOptions(space: AddressSpace, neighbours?: Neighbours): CpuOptions {
  return COMPILED ? compiling(space, 0, neighbours) : { passes: PASSES };
}

/** Arguments before those that a test gives to the command line; none of the options that it gives itself. */
export function commandArguments(own: readonly string[]): string[] {
  const given = (option: string) =>
    own.some((argument) => argument === option || argument.startsWith(`${option}=`));
  return [
    ...(TIER === "auto" || given("--tier") ? [] : [`--tier=${TIER}`]),
    ...(CONFIGURATION.without.length === 0 || given("--without-passes")
      ? []
      : [`--without-passes=${CONFIGURATION.without.join(",")}`]),
  ];
}

/** Registers a test of the list in suite.ts, which says where it does not hold and why: it is ignored there. */
export function testExcept(name: string, fn: () => void | Promise<void>): void {
  const found = EXCEPT.find((each) => each.test === name);
  if (!found) throw new RangeError(`Cannot find the test "${name}" in the list of tests/suite.ts`);
  if (!found.where(CONFIGURATION)) return Deno.test(name, fn);
  Deno.test({
    name: `${name} (not with ${nameOf(CONFIGURATION)}: ${found.why})`,
    ignore: true,
    fn,
  });
}
