/**
 * A line chart with a logarithmic axis, as a fragment of SVG.
 *
 * @module
 */

/** A line: at most one value for each position on the x axis. */
export interface Series {
  name: string;
  /** A CSS colour. */
  colour: string;
  dashed: boolean;
  /** `undefined`: nothing was measured there, and the line goes on to the next value. */
  values: readonly (number | undefined)[];
}

/** Where a chart stands and what it shows. */
export interface Chart {
  x: number;
  y: number;
  width: number;
  height: number;
  title: string;
  series: readonly Series[];
  /** One a position. */
  labels: readonly string[];
  /** Longer text shown when the pointer rests on a value, one a position. */
  notes: readonly string[];
  /** Lowest and highest value of the y axis. */
  range: readonly [number, number];
  /** Along the y axis; none if absent. */
  axis?: string;
  /** Printed after values. */
  unit: string;
  /** Whether to print labels under the x axis. */
  dates: boolean;
}

/** Escapes text for XML. */
export function escape(text: string): string {
  const entities: Record<string, string> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
  };
  return text.replace(/[&<>"]/g, (c) => entities[c]);
}

/** Values at 1, 2 and 5 times powers of ten inside a range; only the powers if that is many. */
export function logTicks([low, high]: readonly [number, number]): number[] {
  const ticks = (steps: readonly number[]): number[] => {
    const result: number[] = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const step of steps) {
        const tick = Number((step * 10 ** power).toPrecision(1));
        if (tick >= low * 0.999 && tick <= high * 1.001) result.push(tick);
      }
    }
    return result;
  };
  const fine = ticks([1, 2, 5]);
  return fine.length <= 8 ? fine : ticks([1]);
}

/** The range of all values, rounded outwards to 1, 2 or 5 times a power of ten. */
export function logRange(series: readonly Series[]): [number, number] {
  const values = series.flatMap((s) => s.values).filter((v) =>
    v !== undefined && v > 0
  ) as number[];
  if (values.length === 0) return [1, 10];
  const round = (value: number, up: boolean): number => {
    const power = 10 ** Math.floor(Math.log10(value));
    const steps = [1, 2, 5, 10].map((step) => Number((step * power).toPrecision(1)));
    return up ? steps.find((s) => s >= value)! : steps.findLast((s) => s <= value)!;
  };
  const low = round(Math.min(...values), false), high = round(Math.max(...values), true);
  return low < high ? [low, high] : [low, low * 2];
}

/** A value as labels show it: three digits at most, no exponent. */
export function formatValue(value: number): string {
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(2)));
}

const n = (value: number): string => String(Math.round(value * 10) / 10);

/** Draws the chart: frame, axes with labels, lines with a dot a value, the last value in words. */
export function drawChart(chart: Chart): string {
  const { width, height, range, labels } = chart;
  const [low, high] = range.map(Math.log);
  const left = 34, right = 34, top = 20, bottom = chart.dates ? 20 : 6;
  const plotWidth = width - left - right, plotHeight = height - top - bottom;
  const atX = (index: number) =>
    left + (labels.length < 2 ? plotWidth / 2 : index * plotWidth / (labels.length - 1));
  const atY = (value: number) => top + plotHeight * (1 - (Math.log(value) - low) / (high - low));
  const out: string[] = [
    `<g transform="translate(${n(chart.x)} ${n(chart.y)})">`,
    `<text class="title" x="${left}" y="13">${escape(chart.title)}</text>`,
    `<rect class="frame" x="${left}" y="${top}" width="${n(plotWidth)}" height="${
      n(plotHeight)
    }"/>`,
  ];
  if (chart.axis !== undefined) {
    const x = 2, y = n(top + plotHeight / 2);
    out.push(
      `<text class="tick" text-anchor="middle" transform="rotate(-90 ${x} ${y})" x="${x}" y="${y}">${
        escape(chart.axis)
      }</text>`,
    );
  }
  for (const tick of logTicks(range)) {
    const y = n(atY(tick));
    out.push(
      `<line class="grid" x1="${left}" y1="${y}" x2="${n(left + plotWidth)}" y2="${y}"/>`,
      `<text class="tick" text-anchor="end" x="${left - 4}" y="${n(atY(tick) + 3)}">${
        formatValue(tick)
      }</text>`,
    );
  }
  if (chart.dates) {
    const every = Math.max(1, Math.ceil(labels.length / Math.max(2, Math.floor(plotWidth / 90))));
    for (let index = 0; index < labels.length; index += every) {
      const x = n(atX(index));
      out.push(
        `<line class="axis" x1="${x}" y1="${n(top + plotHeight)}" x2="${x}" y2="${
          n(top + plotHeight + 3)
        }"/>`,
        `<text class="tick" text-anchor="middle" x="${x}" y="${n(height - 6)}">${
          escape(labels[index])
        }</text>`,
      );
    }
  }
  // Last values of different lines are moved apart until they are readable.
  const ends: { y: number; text: string; colour: string }[] = [];
  for (const { name, colour, dashed, values } of chart.series) {
    const points = values.flatMap((value, index) =>
      value !== undefined && value > 0 ? [{ x: atX(index), y: atY(value), value, index }] : []
    );
    if (points.length === 0) continue;
    const dashes = dashed ? ' stroke-dasharray="4 3"' : "";
    const path = points.map((p) => `${n(p.x)},${n(p.y)}`).join(" ");
    out.push(
      `<polyline fill="none" stroke="${colour}" stroke-width="1.6"${dashes} points="${path}"/>`,
    );
    for (const p of points) {
      const note = `${name}: ${formatValue(p.value)}${chart.unit}, ${chart.notes[p.index]}`;
      out.push(
        `<circle cx="${n(p.x)}" cy="${n(p.y)}" r="2.2" fill="${colour}"><title>${
          escape(note)
        }</title></circle>`,
      );
    }
    const last = points[points.length - 1];
    ends.push({ y: last.y, text: formatValue(last.value), colour });
  }
  ends.sort((a, b) => a.y - b.y);
  for (let i = 1; i < ends.length; i++) ends[i].y = Math.max(ends[i].y, ends[i - 1].y + 10);
  let lowest = top + plotHeight;
  for (const end of ends.reverse()) {
    end.y = Math.min(end.y, lowest);
    lowest = end.y - 10;
    out.push(
      `<text class="value" style="fill:${end.colour}" x="${n(left + plotWidth + 4)}" y="${
        n(end.y + 3)
      }">${end.text}</text>`,
    );
  }
  out.push("</g>");
  return out.join("\n");
}
