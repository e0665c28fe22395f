/** What tests of the native tier share: a cache of their own, a builder, and tiers for pairs of CPUs. */
import { Builder } from "../ffi/builder.ts";
import { Cache } from "../ffi/cache.ts";
import { Compiler } from "../ffi/compiler.ts";
import { Helper } from "../ffi/helper.ts";
import * as printer from "../ffi/print_unit.ts";
import { NativeTier } from "../ffi/tier.ts";
import type { SystemTier, TierServices } from "../cpu/engine/tier.ts";
import type { AddressSpace } from "../mmu/address_space.ts";

/** Makes a tier for the CPU of an address space. */
export type MakeTier = (
  space: AddressSpace,
  neighbours?: Neighbours,
) => (services: TierServices) => SystemTier;

/** See `NativeOptions.neighbours`. */
export type Neighbours = (pc: number) => Iterable<number>;

/** A builder with a temporary cache, a built helper, and what makes tiers. */
export interface NativeTools extends Disposable {
  builder: Builder;
  helper: string;
  /** Directory of its cache. */
  directory: string;
  /** Makes a tier that compiles at once, with little optimisation. */
  tier: MakeTier;
}

/**
 * Builds the helper; needs a C compiler.
 *
 * @param shared Directory of the cache; a new one, which is removed in the end, if absent.
 */
export async function nativeTools(shared?: string): Promise<NativeTools> {
  const directory = shared ?? await Deno.makeTempDir({ prefix: "trapdoor-native-" });
  const builder = await Builder.open(
    new Cache(directory),
    Compiler.find((name) => Deno.env.get(name)),
  );
  const helper = await builder.build(await builder.helperJob());
  const tiers: NativeTier[] = [];
  return {
    builder,
    helper,
    directory,
    tier: (space, neighbours) => (services) => {
      const { arena } = space, own = new Helper(helper, arena);
      const options = { builder, helper: own, printer, wait: true, level: 1 };
      const tier = new NativeTier(arena, services, { ...options, ...neighbours && { neighbours } });
      tiers.push(tier);
      return tier;
    },
    [Symbol.dispose]: () => {
      for (const tier of tiers) tier.close();
      if (shared === undefined) Deno.removeSync(directory, { recursive: true });
    },
  };
}
