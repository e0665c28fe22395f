/**
 * The arithmetic of comparisons: medians, geometric means, and how numbers are printed.
 *
 * @module
 */

/** The median; throws a `RangeError` for an empty list. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("Can't take the median of no values");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The geometric mean; throws a `RangeError` for an empty list or a value that is not positive. */
export function geometricMean(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("Can't take the geometric mean of no values");
  let sum = 0;
  for (const value of values) {
    if (!(value > 0) || !Number.isFinite(value)) {
      throw new RangeError(`Can't take the geometric mean of values with ${value} among them`);
    }
    sum += Math.log(value);
  }
  return Math.exp(sum / values.length);
}

/** Rounds to `digits` significant digits, so that records stay short. */
export function significant(value: number, digits = 4): number {
  return Number(value.toPrecision(digits));
}

/** A ratio as tables show it: three significant digits, no exponent ("1.33", "36.2", "207"). */
export function formatRatio(value: number): string {
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
}

/** A Markdown table with aligned columns: the first to the left, the others to the right. */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const header = rows[0];
  const widths = header.map((_, column) => Math.max(3, ...rows.map((r) => r[column].length)));
  const line = (cells: readonly string[]) =>
    "| " +
    cells.map((c, i) => i === 0 ? c.padEnd(widths[i]) : c.padStart(widths[i])).join(" | ") +
    " |";
  const rule = "| " +
    widths.map((w, i) => i === 0 ? "-".repeat(w) : "-".repeat(w - 1) + ":").join(" | ") + " |";
  return [line(header), rule, ...rows.slice(1).map(line)].join("\n");
}
