/**
 * Opens the native tier, or says why there is none.
 *
 * @module
 */
import type { TierServices } from "../cpu/engine/tier.ts";
import type { Arena } from "../mmu/arena.ts";
import { Builder } from "./builder.ts";
import { Cache } from "./cache.ts";
import { Compiler } from "./compiler.ts";
import { Helper } from "./helper.ts";
import { cacheDirectory, variable } from "./cache_directory.ts";
import { hasManifest, type ManifestUnit, readManifest, writeManifest } from "./manifest.ts";
import { unsupported, VARIABLES } from "./platform.ts";
import { NativeTier } from "./tier.ts";

/** How the tier is wanted. */
export interface OpenOptions {
  /** Compile at once, and let the guest wait. */
  wait?: boolean;
  /** Most compilers at a time; default one fewer than processors, at least one. */
  jobs?: number;
  /** See `NativeOptions.level`. */
  level?: number;
  /** Name of the program: its translations are remembered by it, and those of earlier runs are loaded at once. */
  program?: string;
  /** Gets what goes wrong later. */
  note?: (message: string) => void;
}

/** The native tier can't be had; the message says why. */
export class NativeError extends Error {
  /** For `error.name` in messages. */
  override name = "NativeError";
}

/** Whether a permission is there; nobody is asked for it. */
function granted(descriptor: Deno.PermissionDescriptor): boolean {
  return Deno.permissions.querySync(descriptor).state === "granted";
}

/** The translation cache of this user. @throws {NativeError} If there is no place for it. */
export function openCache(): Cache {
  const directory = cacheDirectory();
  if (directory === undefined) {
    throw new NativeError(
      `no place for the translation cache: allow reading ${
        VARIABLES.join(", ")
      } (--allow-env), or set TRAPDOOR_CACHE to a directory`,
    );
  }
  if (!granted({ name: "write", path: directory }) || !granted({ name: "read", path: directory })) {
    throw new NativeError(
      `no access to the translation cache: run with --allow-read=${directory} --allow-write=${directory}`,
    );
  }
  try {
    return new Cache(directory);
  } catch (error) {
    throw new NativeError(
      `no translation cache: ${error instanceof Error ? error.message : error}`,
      {
        cause: error,
      },
    );
  }
}

/** Whether an earlier run of a program left translations that {@linkcode openNative} can load at once. */
export function knowsProgram(program: string): boolean {
  return unsupported() === undefined && hasManifest(openCache(), program);
}

/** A tier that is there, or on its way. */
export interface Opened {
  /** Whether `ready` settles without waiting for a compiler. */
  now: boolean;
  /** Makes the tier for the arena's CPU. Rejects with a {@linkcode NativeError} if the helper can't be had. */
  ready: Promise<(services: TierServices) => NativeTier>;
}

/**
 * Finds what the tier needs, and begins to build what is not in the cache.
 *
 * @throws {NativeError} If the tier can't be had here.
 */
export async function openNative(arena: Arena, options: OpenOptions = {}): Promise<Opened> {
  const reason = unsupported();
  if (reason !== undefined) throw new NativeError(reason);
  const cache = openCache(), made = variable("TRAPDOOR_NATIVE");
  const library = made ?? cache.directory;
  if (!granted({ name: "ffi", path: library })) {
    throw new NativeError(`native code needs a permission: run with --allow-ffi=${library}`);
  }
  const { program } = options;
  const manifest = program === undefined ? undefined : readManifest(cache, program);
  const found = Compiler.find(variable);
  const mayCompile = found !== undefined && granted({ name: "run", command: found.path });
  // What was made before needs no compiler.
  const ready = made ?? (manifest && cache.find(manifest.helper));
  if (!mayCompile && (options.wait || !manifest || ready === undefined)) {
    throw new NativeError(
      found
        ? `compiling needs a permission: run with --allow-run=${found.path}`
        : "no C compiler: install gcc or clang, or name one by TRAPDOOR_CC",
    );
  }
  const builder = await Builder.open(cache, mayCompile ? found : undefined);
  const helperJob = builder.helperJob();
  const known = mayCompile ? cache.find(helperJob.key) : ready;
  const jobs = options.jobs ?? Math.max(1, navigator.hardwareConcurrency - 1);
  const build = async () => {
    try {
      const helper = new Helper(made ?? known ?? await builder.build(helperJob), arena);
      return (services: TierServices) => {
        const { features } = helper, usable = manifest && (manifest.features & ~features) === 0;
        const remembered = usable ? manifest.units : [];
        const remember = (units: readonly ManifestUnit[]) => {
          if (program === undefined || !mayCompile) return;
          const pcs = new Set(units.map(({ pc }) => pc));
          const all = [...units, ...remembered.filter(({ pc }) => !pcs.has(pc))];
          writeManifest(cache, program, { helper: helperJob.key, features, units: all });
        };
        const more = { helper, builder, jobs, remembered, remember };
        return new NativeTier(arena, services, { ...options, ...more });
      };
    } catch (error) {
      const text = error instanceof Error ? error.message : error;
      throw new NativeError(`no native helper: ${text}`, { cause: error });
    }
  };
  return { now: made !== undefined || known !== undefined, ready: build() };
}
