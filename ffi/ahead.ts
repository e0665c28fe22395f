/**
 * Translating a whole program ahead of time.
 *
 * @module
 */
import { formRegion } from "../cpu/engine/region/form_region.ts";
import { Ending, type Lift, type RegionBlock } from "../cpu/engine/region/region.ts";
import type { Builder } from "./builder.ts";
import { Emitter } from "./emitter.ts";
import type { ManifestUnit } from "./manifest.ts";
import { formUnit, type Unit } from "./unit.ts";

/** Instructions at which a unit is full. */
const UNIT_INSNS = 1500;
/** Functions that a unit may be made of. */
const UNIT_ROOTS = 64;

/** What is to be translated, and how. */
export interface AheadOptions {
  builder: Builder;
  /** `Feature` bits of the processor. */
  features: number;
  lift: Lift;
  /** Guest addresses of functions that are known. */
  roots: Iterable<number>;
  /** See `Unit.canonical`. */
  canonical: boolean;
  /** Most compilers at a time. */
  jobs: number;
  /** Hash of guest code; undefined for what is not code. */
  hash: (blocks: readonly { pc: number; bytes: number }[]) => string | undefined;
  /** Called when another unit is done. */
  progress?: (done: number, all: number) => void;
}

/** Forms units of all functions that are known or called by others, neighbours together. */
function formUnits({ lift, roots, canonical }: AheadOptions): Unit[] {
  const pending = new Set(roots), done = new Set<number>(), units: Unit[] = [];
  const calls = (blocks: readonly RegionBlock[]) => {
    for (const { ending, callee } of blocks) {
      if (ending === Ending.CALL && !done.has(callee)) pending.add(callee);
    }
  };
  while (pending.size > 0) {
    const queue = [...pending].sort((a, b) => a - b);
    pending.clear();
    queue.forEach((pc, i) => {
      if (done.has(pc)) return;
      done.add(pc);
      const region = formRegion(pc, lift);
      if (!region) return;
      const more = queue.slice(i + 1, i + UNIT_ROOTS).filter((other) => !done.has(other));
      const unit = formUnit(region, lift, [], { more, most: UNIT_INSNS, canonical });
      for (const root of unit.roots) done.add(root);
      calls(unit.blocks);
      units.push(unit);
    });
  }
  return units;
}

/** Translates all of a program. @throws {Error} If a compilation fails. */
export async function translateAhead(options: AheadOptions): Promise<ManifestUnit[]> {
  const { builder, features, jobs, hash, progress } = options;
  const queue = formUnits(options), all = queue.length, made: ManifestUnit[] = [];
  const work = async () => {
    for (let unit; (unit = queue.shift()) !== undefined;) {
      const blocks = unit.blocks.map(({ ir }) => ({ pc: ir.pc, bytes: ir.bytes }));
      const code = hash(blocks);
      if (code === undefined) continue;
      const job = builder.unitJob(new Emitter(unit).emit(), features, 2);
      await builder.build(job);
      const { pc, entries } = unit;
      made.push({ pc, key: job.key, size: job.source.length, entries, blocks, code });
      progress?.(made.length, all);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return made.sort((a, b) => a.pc - b.pc);
}
