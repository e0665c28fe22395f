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
 * console.log(result.reason); // "exit"
 * ```
 *
 * @module
 */
export * from "./machine/machine.ts";
export { AddressSpace, GuestMemoryError } from "./mmu/address_space.ts";
export type * from "./backdoor/types.ts";
export { NOT_HANDLED } from "./backdoor/types.ts";
export * from "./backdoor/define.ts";
export { BackdoorModuleError, type ModuleFailure } from "./backdoor/callbacks.ts";
export type { ErrorPolicy } from "./backdoor/channel.ts";
export type { ChannelGeometry } from "./backdoor/protocol.ts";
export type { PassOptions } from "./cpu/ir/block.ts";
export type { TierStats } from "./cpu/engine/tier.ts";
export type { RunStats } from "./machine/stats.ts";
export type { RegisterInfo } from "./cpu/isa/isa.ts";
export type * from "./machine/user/host.ts";
export type { Grant } from "./machine/user/paths.ts";
export { VERSION } from "./version.ts";

if (import.meta.main) {
  const { start } = await import("./cli.ts");
  await start();
}
