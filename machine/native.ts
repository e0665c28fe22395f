/**
 * The native tier of a machine: forced, or begun in the background once the guest has run for a while.
 *
 * @module
 */
import type { Cpu } from "../cpu/engine/cpu.ts";
import type { NativeTier } from "../ffi/tier.ts";
import type { Arena } from "../mmu/arena.ts";
import { MachineError } from "./program.ts";

/** What is said about the tier, and how it works. */
export interface NativeTierOptions {
  /** Gets why there is no native tier, and what goes wrong with it. */
  note?: (message: string) => void;
  /** Most compilers at a time. */
  jobs?: number;
  /** Directory of what is kept between runs, if something may be. */
  cache?: string;
}

/** Whether some program left translations here. */
function hasManifests(directory: string | undefined): boolean {
  if (directory === undefined) return false;
  if (Deno.permissions.querySync({ name: "read", path: directory }).state !== "granted") {
    return false;
  }
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
 * @param program The program's bytes.
 */
export function nativeTier(
  cpu: Cpu,
  arena: Arena,
  program: Uint8Array,
  options: NativeTierOptions,
): {
  /** Adds the tier, which compiles at once from then on. @throws {MachineError} If it can't be had. */
  force: () => Promise<void>;
  /** Adds the tier as soon as it is there; settles before that if a compiler must run. */
  begin: () => Promise<void>;
  /** Does so if an earlier run of the program left translations. */
  resume: () => Promise<void>;
  /** Frees it. */
  close: () => Promise<void>;
} {
  let tier: NativeTier | undefined, closed = false, begun = false;
  const note = options.note ?? (() => {});
  const jobs = options.jobs === undefined ? {} : { jobs: options.jobs };
  const add = (make: (services: Parameters<Parameters<Cpu["addTier"]>[0]>[0]) => NativeTier) => {
    if (closed) return;
    cpu.addTier((services) => tier = make(services));
    tier!.start();
  };
  const name = async () => (await import("../ffi/cache.ts")).sha256(cpu.isa.name, program);
  /** Goes on without the tier if it can't be had. */
  const attempt = async (
    work: (
      native: typeof import("../ffi/native.ts"),
      failed: (cause: unknown) => void,
    ) => Promise<void>,
  ) => {
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
  const begin = async () => {
    if (begun) return;
    begun = true;
    await attempt(async ({ openNative }, failed) => {
      const { now, ready } = await openNative(arena, { note, ...jobs, program: await name() });
      if (now) add(await ready);
      else ready.then(add).catch(failed);
    });
  };
  return {
    force: async () => {
      const { NativeError, openNative } = await import("../ffi/native.ts");
      try {
        const { ready } = await openNative(arena, { note, ...jobs, wait: true, level: 1 });
        add(await ready);
      } catch (cause) {
        if (!(cause instanceof NativeError)) throw cause;
        throw new MachineError(`Cannot use the native tier: ${cause.message}`, { cause });
      }
    },
    begin,
    resume: async () => {
      if (!hasManifests(options.cache)) return;
      await attempt(async ({ knowsProgram }) => {
        if (knowsProgram(await name())) await begin();
      });
    },
    close: () => {
      closed = true;
      tier?.close();
      return Promise.resolve();
    },
  };
}
