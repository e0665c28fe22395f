/**
 * The native tier of a machine: forced, or begun in the background once the guest has run for a while.
 *
 * @module
 */
import type { TierServices } from "../cpu/engine/tier.ts";
import { granted } from "../ffi/cache_directory.ts";
import type { NativeTier } from "../ffi/tier.ts";
import type { Arena } from "../mmu/arena.ts";
import { MachineError } from "./program.ts";

/** What is said about the tier, and how it works. */
export interface NativeTierOptions {
  /** Gets why there is no native tier, and what goes wrong with it. */
  note?: (message: string) => void;
  /** Gets the first thing that goes wrong with a tier that is forced; `console.error` if absent. */
  report?: (message: string) => void;
  /** Most compilers at a time. */
  jobs?: number;
  /** Directory of what is kept between runs, if something may be. */
  cache?: string;
}

/** The CPU that gets the tier, of user or system mode. */
export interface NativeCpu {
  readonly isa: { readonly name: string };
  addTier(factory: (services: TierServices) => NativeTier, level?: "upper"): void;
}

/** Whether some program left translations here. */
function hasManifests(directory: string | undefined): boolean {
  if (directory === undefined) return false;
  if (!granted({ name: "read", path: directory })) return false;
  try {
    for (const { name } of Deno.readDirSync(directory)) if (name.endsWith(".units")) return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return false;
}

/**
 * The native tier of one machine; nothing of it is loaded before one of the functions is called.
 *
 * @param program The program's bytes, by which translations of earlier runs are found; absent in system mode, where
 * translations depend on virtual addresses and pages that only a running guest has. (The cache has what was compiled.)
 */
export function nativeTier(
  cpu: NativeCpu,
  arena: Arena,
  program: Uint8Array | undefined,
  options: NativeTierOptions,
): {
  /**
   * Adds the tier, which compiles at once from then on; if that fails later, it is reported and the interpreter goes on.
   *
   * @throws {MachineError} If the tier can't be had.
   */
  force: () => Promise<void>;
  /** Adds the tier as soon as it is there; settles before that if a compiler must run. */
  begin: () => Promise<void>;
  /**
   * Does so if an earlier run of the program left translations, also before there is a lower tier; called again, it loads
   * those of code that was not in memory before.
   */
  resume: () => Promise<void>;
  /** Whether it has executed something. */
  readonly used: boolean;
  /** Frees it; once is enough. */
  close: () => Promise<void>;
} {
  let tier: NativeTier | undefined, closed = false, begun = false;
  let stopBuilding = () => {};
  const note = options.note ?? (() => {});
  const jobs = options.jobs === undefined ? {} : { jobs: options.jobs };
  const add = async (make: (services: TierServices) => NativeTier, level?: "upper") => {
    if (closed) return;
    cpu.addTier((services) => tier = make(services), level);
    await tier!.start();
  };
  /** Goes on without the tier if it can't be had. */
  const attempt = async (
    work: (
      native: typeof import("../ffi/native.ts"),
      failed: (cause: unknown) => void,
    ) => Promise<void>,
  ) => {
    // The rest takes longer to load than a small program runs.
    const problem = (await import("../ffi/availability.ts")).nativeProblem();
    if (problem !== undefined) {
      // Once is enough.
      begun = true;
      return note(`no native tier: ${problem}`);
    }
    const native = await import("../ffi/native.ts");
    const failed = (cause: unknown) => {
      if (!(cause instanceof native.NativeError)) throw cause;
      note(`no native tier: ${cause.message}`);
    };
    try {
      await work(native, failed);
    } catch (cause) {
      failed(cause);
    }
  };
  /** The program's name, which is a hash of all of it. */
  let named: Promise<string> | undefined;
  const begin = async () => {
    if (begun) return;
    begun = true;
    await attempt(async ({ openNative, NativeError, programName }, failed) => {
      named ??= program && programName(cpu.isa.name, program);
      const known = named ? { program: await named } : {};
      const { now, ready, stop } = await openNative(arena, { note, ...jobs, ...known });
      if (closed) return stop();
      stopBuilding = stop;
      if (now) await add(await ready, "upper");
      else {
        ready.then((make) => add(make, "upper")).catch((cause) => {
          // Closing stops what it waits for.
          if (!(closed && cause instanceof NativeError)) failed(cause);
        });
      }
    });
  };
  return {
    force: async () => {
      const { NativeError, openNative } = await import("../ffi/native.ts");
      const { report = (message: string) => console.error(message) } = options;
      let reported = false;
      const failed = (message: string) => {
        if (reported) return note(message);
        reported = true;
        report(
          `${message}\nThe interpreter executes this code, and whatever else can't be compiled`,
        );
      };
      try {
        const { ready } = await openNative(arena, { note: failed, ...jobs, wait: true, level: 1 });
        await add(await ready);
      } catch (cause) {
        if (!(cause instanceof NativeError)) throw cause;
        throw new MachineError(`Cannot use the native tier: ${cause.message}`, { cause });
      }
    },
    begin,
    resume: async () => {
      if (tier) return await tier.start();
      if (!program || !hasManifests(options.cache)) return;
      await attempt(async ({ knowsProgram, programName }) => {
        named ??= programName(cpu.isa.name, program);
        if (await knowsProgram(await named)) await begin();
      });
    },
    get used() {
      return tier !== undefined && tier.stats.regions > 0;
    },
    close: () => {
      closed = true;
      stopBuilding();
      tier?.close();
      return Promise.resolve();
    },
  };
}
