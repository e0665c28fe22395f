/**
 * Trapdoor: a CPU emulator for Deno whose guest can call your TypeScript.
 *
 * As a program: `deno run -A mod.ts [options] [program [args...]]`. As a library:
 *
 * @example Run a program and answer its backdoor calls
 * ```ts
 * import { Machine } from "./mod.ts";
 *
 * const machine = await Machine.user({
 *   program: new URL("./guest/bin/riscv64/hello", import.meta.url),
 *   backdoor: { call: (_cpu, command, argument) => command + argument },
 * });
 * const result = await machine.run();
 * console.log(result.reason, result.status);
 * ```
 *
 * @module
 */
export * from "./machine/machine.ts";
export { AddressSpace, GuestMemoryError } from "./mmu/address_space.ts";
export type * from "./backdoor/types.ts";
export { NOT_HANDLED } from "./backdoor/types.ts";
export * from "./backdoor/define.ts";
export { BackdoorModuleError } from "./backdoor/callbacks.ts";
export { VERSION } from "./version.ts";

if (import.meta.main) {
  const { main } = await import(new URL("./cli.ts", import.meta.url).href);
  Deno.exit(await main(Deno.args));
}
