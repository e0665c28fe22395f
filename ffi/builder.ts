/**
 * Building: the helper and translations, from source to an intact library in the cache.
 *
 * @module
 */
import type { Cache } from "./cache.ts";
import { sha256, sha256Later } from "./hash.ts";
import type { Compiler } from "./compiler.ts";
import {
  HELPER_FLAGS,
  HELPER_LIBRARIES,
  HOST,
  SUFFIX,
  unitFlags,
  unitLibraries,
} from "./platform.ts";

/** A source and how it is compiled. */
export interface Job {
  /** Key in the cache. */
  readonly key: string;
  readonly source: string;
  readonly flags: readonly string[];
  readonly libraries: readonly string[];
}

/** Files of `ffi/native`, in the order of one C file: the helper is of all, a translation of all but the last. */
export const SOURCES: readonly string[] = ["layout.h", "platform.h", "unit.h", "helper.c"];

/** Reads a file that is beside this module, wherever that is. */
async function beside(name: string): Promise<string> {
  const url = new URL(`./native/${name}`, import.meta.url);
  if (url.protocol === "file:") return await Deno.readTextFile(url);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`Cannot fetch ${url}: status ${response.status}`);
  return await response.text();
}

/** Makes libraries by a compiler, or finds them in a cache. */
export class Builder {
  readonly cache: Cache;
  readonly compiler: Compiler | undefined;
  readonly #prelude: string;
  readonly #helper: string;

  /** Files of what is compiled in the background, and how often that was stopped. */
  readonly #temporary = new Set<string>();
  #stops = 0;

  private constructor(cache: Cache, compiler: Compiler | undefined, texts: string[]) {
    this.cache = cache;
    this.compiler = compiler;
    const [layout, platform, unit, helper] = texts;
    this.#prelude = `#define UNIT\n${layout}${platform}${unit}`;
    this.#helper = layout + platform + unit + helper;
  }

  /** Reads the sources. @throws {Error} If they can't be read. */
  static async open(cache: Cache, compiler: Compiler | undefined): Promise<Builder> {
    const texts = await Promise.all(SOURCES.map(beside));
    return new Builder(cache, compiler, texts);
  }

  /** What a source's key comes from. */
  #identity(source: string, flags: readonly string[]): string[] {
    return [HOST, this.compiler?.identity ?? "", flags.join(" "), source];
  }

  /** The helper. */
  async helperJob(): Promise<Job> {
    const source = this.#helper, flags = HELPER_FLAGS;
    const key = await sha256Later(...this.#identity(source, flags));
    return { key, source, flags, libraries: HELPER_LIBRARIES };
  }

  /** A translation's text. */
  unitJob(text: string, features: number, level: number): Job {
    const source = this.#prelude + text, flags = unitFlags(features, level);
    const key = sha256(...this.#identity(source, flags));
    return { key, source, flags, libraries: unitLibraries(features) };
  }

  /** Temporary files for a job, and the compiler's arguments. */
  #files({ flags, libraries }: Job): { input: string; output: string; args: string[] } {
    const input = this.cache.temporary(".c"), output = this.cache.temporary(SUFFIX);
    return { input, output, args: [...flags, "-o", output, input, ...libraries] };
  }

  #compilerFor(): Compiler {
    if (!this.compiler) throw new Error("Cannot compile: there is no C compiler");
    return this.compiler;
  }

  /** Ends what is compiled in the background, which rejects, and deletes its files: the process may end at once. */
  stop(): void {
    this.#stops++;
    this.compiler?.stop();
    removeIfThere(...this.#temporary);
    this.#temporary.clear();
  }

  /** Path of the library for a job, compiled in the background if need be. @throws {Error} If that fails. */
  async build(job: Job): Promise<string> {
    const stops = this.#stops, found = await this.cache.findLater(job.key);
    if (found !== undefined) return found;
    if (stops !== this.#stops) throw new Error("Cannot compile: it was stopped");
    const compiler = this.#compilerFor(), { input, output, args } = this.#files(job);
    this.#temporary.add(input).add(output);
    try {
      Deno.writeTextFileSync(input, job.source);
      await compiler.run(args);
      return this.cache.store(job.key, output);
    } finally {
      removeIfThere(input, output);
      this.#temporary.delete(input);
      this.#temporary.delete(output);
    }
  }

  /** The same at once. */
  buildSync(job: Job): string {
    const found = this.cache.find(job.key);
    if (found !== undefined) return found;
    const compiler = this.#compilerFor(), { input, output, args } = this.#files(job);
    try {
      Deno.writeTextFileSync(input, job.source);
      compiler.runSync(args);
      return this.cache.store(job.key, output);
    } finally {
      removeIfThere(input, output);
    }
  }
}

function removeIfThere(...paths: string[]): void {
  for (const path of paths) {
    try {
      Deno.removeSync(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
