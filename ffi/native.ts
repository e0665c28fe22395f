/**
 * Opens the native tier, or says why there is none.
 *
 * @module
 */
import type { TierServices } from "../cpu/engine/tier.ts";
import type { Arena } from "../mmu/arena.ts";
import { cacheProblem, libraryProblem, nativeProblem } from "./availability.ts";
import { Builder } from "./builder.ts";
import { Cache } from "./cache.ts";
import { Compiler } from "./compiler.ts";
import { sha256Later } from "./hash.ts";
import { Helper } from "./helper.ts";
import { cacheDirectory, granted, variable } from "./cache_directory.ts";
import type { AheadOptions } from "./ahead.ts";
import {
  type CodeRange,
  covers,
  hashCode,
  hasManifest,
  type ManifestUnit,
  readManifest,
  writeManifest,
} from "./manifest.ts";
import { unsupported } from "./platform.ts";
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

function refuse(problem: string | undefined): void {
  if (problem !== undefined) throw new NativeError(problem);
}

/** The translation cache in a directory. @throws {NativeError} If it can't be used. */
function cacheAt(directory: string): Cache {
  refuse(cacheProblem(directory));
  try {
    return new Cache(directory);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : cause;
    throw new NativeError(`no translation cache: ${why}`, { cause });
  }
}

/** The translation cache of this user. @throws {NativeError} If there is no place for it. */
export function openCache(): Cache {
  refuse(cacheProblem());
  return cacheAt(cacheDirectory()!);
}

/** Sees that new translations can be kept. @throws {NativeError} If they can't. */
function checkWritable(cache: Cache): void {
  try {
    cache.checkWritable();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : cause;
    throw new NativeError(
      `the translation cache ${cache.directory} can't be written (${why}); TRAPDOOR_CACHE may name another directory`,
      { cause },
    );
  }
}

/** A compiler that may be run. @throws {NativeError} If there is none. */
function allowed(compiler: Compiler | undefined): Compiler {
  if (!compiler) {
    const named = variable("TRAPDOOR_CC");
    const advice = named === undefined
      ? "install gcc or clang, or name one by TRAPDOOR_CC"
      : `TRAPDOOR_CC is ${named}, which is not there or is no program`;
    throw new NativeError(`no C compiler: ${advice}; its path must be readable (--allow-read)`);
  }
  if (!granted({ name: "run", command: compiler.path })) {
    throw new NativeError(`compiling needs a permission: run with --allow-run=${compiler.path}`);
  }
  return compiler;
}

/** A builder. @throws {NativeError} If its sources can't be read. */
async function openBuilder(cache: Cache, compiler: Compiler | undefined): Promise<Builder> {
  try {
    return await Builder.open(cache, compiler);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : cause;
    throw new NativeError(`no sources of the native helper: ${why}`, { cause });
  }
}

/** How many compilers there are at a time if nothing is said. */
const defaultJobs = () => Math.max(1, navigator.hardwareConcurrency - 1);

/** Name of a program in the cache. */
export function programName(isa: string, bytes: Uint8Array): Promise<string> {
  return sha256Later(isa, bytes);
}

/** Whether an earlier run of a program left translations that {@linkcode openNative} can load at once. */
export async function knowsProgram(program: string): Promise<boolean> {
  return unsupported() === undefined && await hasManifest(openCache(), program);
}

/** A tier that is there, or on its way. */
export interface Opened {
  /** Whether `ready` settles without waiting for a compiler. */
  now: boolean;
  /** Makes the tier for the arena's CPU. Rejects with a {@linkcode NativeError} if the helper can't be had. */
  ready: Promise<(services: TierServices) => NativeTier>;
  /** Ends the compiler that `ready` waits for, which rejects then. */
  stop(): void;
}

/**
 * Finds what the tier needs, and begins to build what is not in the cache.
 *
 * @throws {NativeError} If the tier can't be had here.
 */
export async function openNative(arena: Arena, options: OpenOptions = {}): Promise<Opened> {
  refuse(nativeProblem());
  const cache = openCache(), made = variable("TRAPDOOR_NATIVE");
  const { program } = options;
  const manifest = program === undefined ? undefined : await readManifest(cache, program);
  const found = Compiler.find(variable);
  const mayCompile = found !== undefined && granted({ name: "run", command: found.path });
  // What was made before needs no compiler.
  const ready = made ?? (manifest && await cache.findLater(manifest.helper));
  if (!mayCompile && (options.wait || !manifest || ready === undefined)) {
    allowed(found);
  }
  if (options.wait) checkWritable(cache);
  const builder = await openBuilder(cache, mayCompile ? found : undefined);
  const helperJob = await builder.helperJob();
  const known = mayCompile ? await cache.findLater(helperJob.key) : ready;
  const jobs = options.jobs ?? defaultJobs();
  const build = async () => {
    try {
      // What is loaded of earlier runs may be all that is needed.
      const printer = manifest && !options.wait ? {} : { printer: await import("./print_unit.ts") };
      const helper = new Helper(made ?? known ?? await builder.build(helperJob), arena);
      return (services: TierServices) => {
        const { features } = helper, usable = manifest && (manifest.features & ~features) === 0;
        const remembered = usable ? manifest.units : [];
        const remember = (units: readonly ManifestUnit[]) => {
          if (program === undefined || !mayCompile) return;
          // What this run did not need may be needed again.
          const others = remembered.filter(({ pc, entries }) =>
            !units.some((unit) => unit.pc === pc || covers(unit.entries, entries))
          );
          const all = [...units, ...others];
          writeManifest(cache, program, { helper: helperJob.key, features, units: all });
        };
        const more = { helper, builder, jobs, remembered, remember, ...printer };
        return new NativeTier(arena, services, { ...options, ...more });
      };
    } catch (error) {
      const text = error instanceof Error ? error.message : error;
      throw new NativeError(`no native helper: ${text}`, { cause: error });
    }
  };
  return {
    now: made !== undefined || known !== undefined,
    ready: build(),
    stop: () => builder.stop(),
  };
}

/** What {@linkcode openAhead} is asked for. */
export interface AheadRequest extends Pick<AheadOptions, "lift" | "roots" | "progress"> {
  /** Directory that becomes a cache. */
  directory: string;
  /** Name of the program, as in {@linkcode OpenOptions}. */
  program: string;
  /** Most compilers at a time. */
  jobs?: number;
}

/**
 * Translates all of a program that is in memory into a cache.
 *
 * @throws {NativeError} If that can't be done here.
 */
export async function openAhead(
  arena: Arena,
  request: AheadRequest,
): Promise<{ units: number; entries: number }> {
  refuse(unsupported());
  const { directory, program, jobs = defaultJobs(), ...rest } = request;
  const cache = cacheAt(directory);
  refuse(libraryProblem(directory));
  const builder = await openBuilder(cache, allowed(Compiler.find(variable)));
  const helperJob = await builder.helperJob();
  try {
    const helper = new Helper(await builder.build(helperJob), arena), { features } = helper;
    helper.close();
    const { canonicalNans, translateAhead } = await import("./print_unit.ts");
    const hash = (blocks: readonly CodeRange[]) => hashCode(arena, blocks);
    const units = await translateAhead({
      ...rest,
      builder,
      features,
      hash,
      jobs,
      canonical: canonicalNans(arena),
    });
    writeManifest(cache, program, { helper: helperJob.key, features, units });
    return {
      units: units.length,
      entries: units.reduce((sum, unit) => sum + unit.entries.length, 0),
    };
  } catch (cause) {
    throw new NativeError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
