/**
 * Single figures that a `*_bench.ts` hands to `record.ts`, for instance the cost of a backdoor
 * call: a benchmark calls {@linkcode reportMetric}, `record.ts` runs it with
 * `TRAPDOOR_BENCH_METRICS` naming a file and puts what it finds there into its record.
 *
 * @module
 */

/** One figure. */
export interface Metric {
  /** Dotted, for instance `backdoor.instruction`. */
  name: string;
  value: number;
  /** For instance `ns`. */
  unit: string;
}

/** The variable that names the file. */
export const metricsVariable = "TRAPDOOR_BENCH_METRICS";

/** Prints a figure on stderr and, if `record.ts` asks for it, hands it over. */
export function reportMetric(name: string, value: number, unit: string): void {
  if (!/^[a-z0-9_]+(\.[a-z0-9_]+)*$/.test(name)) {
    throw new Error(`Can't report the metric '${name}': not a dotted lower-case name`);
  }
  if (!Number.isFinite(value)) throw new Error(`Can't report ${name}: its value is ${value}`);
  console.error(`${name}: ${Number(value.toPrecision(4))} ${unit}`);
  const file = Deno.env.get(metricsVariable);
  if (file) {
    Deno.writeTextFileSync(file, JSON.stringify({ name, value, unit }) + "\n", { append: true });
  }
}

/** Reads what benchmarks reported; of two figures of one name the later counts. */
export function parseMetrics(text: string): Record<string, { value: number; unit: string }> {
  const metrics: Record<string, { value: number; unit: string }> = {};
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const { name, value, unit } = JSON.parse(line) as Metric;
    metrics[name] = { value, unit };
  }
  return metrics;
}
