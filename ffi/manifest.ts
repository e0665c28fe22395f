/**
 * Manifests: which translations a program's runs came to use, so that the next run loads them at once, instead of finding
 * out what is hot, and without a compiler.
 *
 * A manifest is a file in the translation cache. It names translations by their keys, and says of which guest code they
 * are; what guest memory has now decides whether one is used.
 *
 * @module
 */
import { Page } from "../mmu/address_space.ts";
import { type Arena, PAGE_SHIFT } from "../mmu/arena.ts";
import { sha256, sha256Later } from "./hash.ts";
import type { Cache } from "./cache.ts";
import { LAYOUT_HASH } from "./layout.ts";
import { HOST } from "./platform.ts";

/** Guest code: address and bytes. */
export interface CodeRange {
  readonly pc: number;
  readonly bytes: number;
}

/** A translation that a program used. */
export interface ManifestUnit {
  /** Guest address that the engine knows it by. */
  readonly pc: number;
  /** Key in the cache, and bytes of its source. */
  readonly key: string;
  readonly size: number;
  /** Guest addresses where it may be entered. */
  readonly entries: readonly number[];
  /** The guest code that it depends on, and its hash. */
  readonly blocks: readonly CodeRange[];
  readonly code: string;
}

/** Whether what has some entries can be entered everywhere where others are. */
export function covers(entries: readonly number[], others: readonly number[]): boolean {
  const all = new Set(entries);
  return others.every((pc) => all.has(pc));
}

/** Content of a manifest. */
export interface Manifest {
  /** Key of the helper that the translations were made for. */
  readonly helper: string;
  /** `Feature` bits that they need. */
  readonly features: number;
  readonly units: readonly ManifestUnit[];
}

/** Most translations in a manifest, and most bytes of one. */
const MAX_UNITS = 512;
const MAX_BYTES = 16 << 20;
/** Of the content's format. */
const FORMAT = `trapdoor units 2 ${HOST} ${LAYOUT_HASH}`;

/** Guest code as it is in memory; undefined if some can't be executed. */
function codeOf(arena: Arena, blocks: readonly CodeRange[]): Uint8Array[] | undefined {
  const parts: Uint8Array[] = [];
  for (const { pc, bytes } of blocks) {
    if (!(pc >= 0 && bytes > 0 && pc + bytes <= arena.guestBytes)) return undefined;
    for (let page = pc >>> PAGE_SHIFT; page <= (pc + bytes - 1) >>> PAGE_SHIFT; page++) {
      if ((arena.pages[page] & Page.EXEC) === 0) return undefined;
    }
    parts.push(arena.m8.subarray(pc, pc + bytes));
  }
  return parts;
}

/** Hash of guest code as it is in memory; undefined if some can't be executed. */
export function hashCode(arena: Arena, blocks: readonly CodeRange[]): string | undefined {
  const code = codeOf(arena, blocks);
  return code && sha256(...code);
}

/**
 * Says later whether guest code has a hash. What it returns says whether it has it still, which is quick: the guest may
 * have run since.
 */
export async function hasHash(
  arena: Arena,
  blocks: readonly CodeRange[],
  hash: string,
): Promise<() => boolean> {
  const before = codeOf(arena, blocks)?.map((part) => part.slice());
  if (!before || await sha256Later(...before) !== hash) return () => false;
  return () => {
    const now = codeOf(arena, blocks);
    return now !== undefined &&
      now.every((part, i) => part.every((byte, j) => byte === before[i][j]));
  };
}

/** Name of the file for a program. */
const nameOf = (hash: string) => `${hash}.units`;

/** Keeps a program's manifest; one that is there already is replaced. */
export function writeManifest(cache: Cache, program: string, manifest: Manifest): void {
  const body = JSON.stringify({ ...manifest, units: manifest.units.slice(0, MAX_UNITS) });
  cache.write(nameOf(sha256(FORMAT, program)), `${sha256(FORMAT, body)}\n${body}`);
}

/** The manifest of a program; undefined if there is none, or it is damaged. */
export async function readManifest(cache: Cache, program: string): Promise<Manifest | undefined> {
  const text = cache.read(nameOf(await sha256Later(FORMAT, program)), MAX_BYTES);
  if (text === undefined) return undefined;
  const end = text.indexOf("\n"), body = text.slice(end + 1);
  if (text.slice(0, end) !== await sha256Later(FORMAT, body)) return undefined;
  return JSON.parse(body);
}

/** Whether there is a manifest for a program. */
export async function hasManifest(cache: Cache, program: string): Promise<boolean> {
  return cache.has(nameOf(await sha256Later(FORMAT, program)));
}
