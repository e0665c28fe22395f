/**
 * The performance history: one JSON record a line, and the table that shows one.
 *
 * @module
 */

import type { Comparison, Startup } from "./compare.ts";
import type { KernelClass } from "./kernels.ts";
import type { Architecture } from "./tools.ts";
import { formatRatio, geometricMean, markdownTable, significant } from "./stats.ts";

/** One kernel in a record. Ratios are CPU time relative to native in the same round. */
export interface KernelRecord {
  class: KernelClass;
  /** The scale that it ran at. */
  scale: number;
  /** Native CPU seconds at that scale. */
  native: number;
  /** QEMU in user mode relative to native. */
  qemu?: number;
  /** Trapdoor relative to native. */
  trapdoor?: number;
  /** Million guest instructions a CPU second in Trapdoor. */
  mips?: number;
  /** Guest instructions. */
  instructions?: number;
}

/** Geometric means over a record's kernels; a class without kernels is missing. */
export interface Means {
  all: number;
  integer?: number;
  doubles?: number;
  vectors?: number;
}

/** One line of the history. */
export interface HistoryRecord {
  /** Version of this layout. */
  schema: 1;
  /** ISO 8601, UTC. */
  date: string;
  /** The commit, if the checkout has one; `+` marks uncommitted changes. */
  commit?: string;
  deno: string;
  v8: string;
  cpu: string;
  cores: number;
  /** For instance `linux x86_64`. */
  platform: string;
  compiler: string;
  /** The guest; riscv64 if absent. */
  arch?: Architecture;
  /** The forced tier, `auto`, or `native-cold` and `native-warm`: `auto` with a translation cache of that kind. */
  tier: string;
  rounds: number;
  /** Whether every kernel of the suite was measured in Trapdoor. */
  complete: boolean;
  kernels: Record<string, KernelRecord>;
  geomean: { qemu?: Means; trapdoor?: Means };
  /** Start-up of hello (and of an empty module in Deno), milliseconds. */
  startup: Record<string, Startup>;
  /** What `*_bench.ts` reported, for instance `backdoor.instruction` in ns. */
  metrics?: Record<string, { value: number; unit: string }>;
}

/** The executors of a record besides the reference. */
export type Engine = "qemu" | "trapdoor";

/** Turns a comparison into a record's entry; `name` is the executor's that is Trapdoor. */
export function kernelRecord(comparison: Comparison, name = "trapdoor"): KernelRecord {
  const { native, qemu, [name]: trapdoor } = comparison.outcomes;
  const record: KernelRecord = {
    class: comparison.kernel.class,
    scale: comparison.scale,
    native: significant(native.seconds),
  };
  if (qemu !== undefined) record.qemu = significant(qemu.ratio);
  if (trapdoor !== undefined) {
    record.trapdoor = significant(trapdoor.ratio);
    if (trapdoor.mips !== undefined) record.mips = significant(trapdoor.mips);
    if (trapdoor.instructions !== undefined) record.instructions = trapdoor.instructions;
  }
  return record;
}

const classes: readonly KernelClass[] = ["integer", "doubles", "vectors"];

/**
 * The geometric means of one executor; `undefined` if it ran no kernel.
 *
 * @param base Relative to this executor, not to native.
 */
export function means(
  kernels: Record<string, KernelRecord>,
  engine: Engine,
  base?: Engine,
): Means | undefined {
  const ratio = (k: KernelRecord) => {
    const own = k[engine], other = base === undefined ? 1 : k[base];
    return own === undefined || other === undefined ? undefined : own / other;
  };
  const of = (kind?: KernelClass): number[] =>
    Object.values(kernels)
      .filter((k) => kind === undefined || k.class === kind)
      .map(ratio)
      .filter((ratio) => ratio !== undefined);
  const all = of();
  if (all.length === 0) return undefined;
  const result: Means = { all: significant(geometricMean(all)) };
  for (const kind of classes) {
    const ratios = of(kind);
    if (ratios.length > 0) result[kind] = significant(geometricMean(ratios));
  }
  return result;
}

/** A record as a Markdown table: an executor a row, a kernel a column. */
export function formatTable(record: HistoryRecord): string {
  const names = Object.keys(record.kernels);
  const kinds = classes.filter((kind) =>
    kind !== "vectors" || Object.values(record.kernels).some((k) => k.class === kind)
  );
  const ratio = (value?: number) => value === undefined ? "-" : formatRatio(value);
  const row = (label: string, engine: Engine): string[] => {
    const mean = record.geomean[engine];
    return [
      label,
      ...[mean?.all, ...kinds.map((kind) => mean?.[kind])].map(ratio),
      ...names.map((name) => ratio(record.kernels[name][engine])),
    ];
  };
  const plain = (label: string, value: (k: KernelRecord) => string) => [
    label,
    "",
    ...kinds.map(() => ""),
    ...names.map((name) => value(record.kernels[name])),
  ];
  return markdownTable([
    ["engine", "geo. mean", ...kinds, ...names],
    row(`trapdoor, ${record.tier}`, "trapdoor"),
    row(`qemu-${record.arch ?? "riscv64"}`, "qemu"),
    plain("native, seconds", (k) => k.native.toFixed(3)),
    plain("trapdoor, MIPS", (k) => k.mips === undefined ? "-" : k.mips.toFixed(0)),
  ]);
}

/** What a record says in relation to QEMU, as a line of text; undefined without its column. */
export function formatRelation({ tier, kernels }: HistoryRecord): string | undefined {
  const mean = means(kernels, "trapdoor", "qemu");
  if (mean === undefined) return undefined;
  const parts = Object.entries(mean).map(([name, value]) => `${name} ${formatRatio(value)}`);
  return `trapdoor, ${tier}, CPU time relative to QEMU, geometric means: ${parts.join(", ")}`;
}

/** The start-up times as lines of text. */
export function formatStartup(startup: Record<string, Startup>): string {
  const rows = Object.entries(startup).map(([name, { wall, cpu }]) => [
    name,
    wall.toFixed(1),
    cpu.toFixed(1),
  ]);
  const lines = [markdownTable([["start-up", "elapsed ms", "CPU ms"], ...rows])];
  const ours = startup["trapdoor"], deno = startup["deno, empty module"];
  if (ours !== undefined && deno !== undefined) {
    lines.push(
      `\nhello in trapdoor takes ${formatRatio(ours.wall / deno.wall)} times ` +
        "the start-up of `deno run` of an empty file.",
    );
  }
  return lines.join("\n");
}

/** Reads a history; throws an `Error` that names the line which can't be read. */
export function parseHistory(text: string): HistoryRecord[] {
  const records: HistoryRecord[] = [];
  text.split("\n").forEach((line, index) => {
    if (line === "") return;
    let record: HistoryRecord;
    try {
      record = JSON.parse(line);
    } catch (cause) {
      throw new Error(`Can't read the history: line ${index + 1} is not JSON`, { cause });
    }
    if (record?.schema !== 1 || typeof record.kernels !== "object") {
      throw new Error(`Can't read the history: line ${index + 1} is not a record of schema 1`);
    }
    records.push(record);
  });
  return records;
}
