/**
 * The performance history as one SVG picture: the geometric mean on top, then a small chart for
 * each kernel, for start-up and for every reported metric.
 *
 * @module
 */

import { type Chart, drawChart, escape, logRange, type Series } from "./chart.ts";
import type { HistoryRecord } from "./history.ts";
import type { Architecture } from "./tools.ts";

const tierColours: Record<string, string> = {
  interp: "#0b61a4",
  wasm: "#1a7f37",
  native: "#bc4c00",
  "native-cold": "#bf3989",
  "native-warm": "#bc4c00",
  auto: "#8250df",
};
const qemuColour = "#6e7781";
const denoColour = "#bf8700";

/** A line for each tier that occurs, and one for qemu, of whatever `trapdoor` and `qemu` pick. */
function tierSeries(
  arch: Architecture,
  records: readonly HistoryRecord[],
  trapdoor: (record: HistoryRecord) => number | undefined,
  qemu: (record: HistoryRecord) => number | undefined,
): Series[] {
  const tiers = [...new Set(records.map((r) => r.tier))].sort();
  const series: Series[] = tiers.map((tier) => ({
    name: `trapdoor, ${tier}`,
    colour: tierColours[tier] ?? "#1f2328",
    dashed: false,
    values: records.map((r) => r.tier === tier ? trapdoor(r) : undefined),
  }));
  series.push({
    name: `qemu-${arch}`,
    colour: qemuColour,
    dashed: true,
    values: records.map(qemu),
  });
  return series.filter((s) => s.values.some((v) => v !== undefined));
}

/** Draws a guest's records; throws a `RangeError` if the history has none of it. */
export function drawTrend(
  history: readonly HistoryRecord[],
  arch: Architecture = "riscv64",
): string {
  const records = history.filter((record) => (record.arch ?? "riscv64") === arch);
  if (records.length === 0) throw new RangeError(`Can't draw the trend of no records of ${arch}`);
  const width = 960, margin = 16, gap = 8, columns = 4;
  const inner = width - 2 * margin;
  const labels = records.map((r) => r.date.slice(0, 10));
  const notes = records.map((r) =>
    `${r.date.slice(0, 16).replace("T", " ")} UTC, ${r.commit ?? "no commit"}, ${r.cpu}, ${r.deno}`
  );
  const kernelNames = [...new Set(records.flatMap((r) => Object.keys(r.kernels)))];
  const perKernel = kernelNames.map((name) =>
    tierSeries(arch, records, (r) => r.kernels[name]?.trapdoor, (r) => r.kernels[name]?.qemu)
  );
  // Means over different sets of kernels can't be compared: only complete records have one here.
  const mean = tierSeries(
    arch,
    records,
    (r) => r.complete ? r.geomean.trapdoor?.all : undefined,
    (r) => r.complete ? r.geomean.qemu?.all : undefined,
  );
  const parts: string[] = [];
  let y = 92;
  const chart = (c: Partial<Chart> & Pick<Chart, "title" | "series">) =>
    parts.push(drawChart({
      x: margin,
      y,
      width: inner,
      height: 250,
      labels,
      notes,
      range: logRange(c.series),
      unit: "",
      dates: true,
      ...c,
    }));
  chart({
    title: "Geometric mean over all kernels (records by date)",
    series: mean,
    axis: "CPU time, times native",
  });
  y += 250 + 2 * gap;
  const smallWidth = (inner - (columns - 1) * gap) / columns, smallHeight = 118;
  const grid = (charts: readonly (Partial<Chart> & Pick<Chart, "title" | "series">)[]) => {
    charts.forEach((c, index) => {
      const column = index % columns;
      chart({
        x: margin + column * (smallWidth + gap),
        width: smallWidth,
        height: smallHeight,
        dates: false,
        ...c,
      });
      if (column === columns - 1 || index === charts.length - 1) y += smallHeight + gap;
    });
  };
  const heading = (text: string) => {
    parts.push(`<text class="heading" x="${margin}" y="${y + 12}">${escape(text)}</text>`);
    y += 22;
  };
  heading("Each kernel, CPU time relative to native (one scale for all)");
  const shared = logRange(perKernel.flat());
  grid(kernelNames.map((title, i) => ({ title, series: perKernel[i], range: shared })));
  heading("Other figures (a scale each)");
  const starting = tierSeries(
    arch,
    records,
    (r) => r.startup["trapdoor"]?.wall,
    (r) => r.startup[`qemu-${arch}`]?.wall,
  );
  const empty = records.map((r) => r.startup["deno, empty module"]?.wall);
  if (empty.some((v) => v !== undefined)) {
    starting.push({ name: "deno, empty module", colour: denoColour, dashed: true, values: empty });
  }
  const metricNames = [...new Set(records.flatMap((r) => Object.keys(r.metrics ?? {})))].sort();
  grid([
    { title: "start-up of hello, ms", series: starting, unit: " ms" },
    ...metricNames.map((name) => {
      const unit = records.findLast((r) => r.metrics?.[name] !== undefined)!.metrics![name].unit;
      const pick = (r: HistoryRecord) => r.metrics?.[name]?.value;
      return {
        title: `${name}, ${unit}`,
        series: tierSeries(arch, records, pick, () => undefined),
        unit: ` ${unit}`,
      };
    }),
  ]);
  const legend = [
    ...new Map([...mean, ...perKernel.flat(), ...starting].map((s) => [s.name, s])).values(),
  ];
  let x = margin + 34;
  const keys = legend.map(({ name, colour, dashed }) => {
    const dashes = dashed ? ' stroke-dasharray="4 3"' : "";
    const key =
      `<line x1="${x}" y1="74" x2="${
        x + 22
      }" y2="74" stroke="${colour}" stroke-width="2"${dashes}/>` +
      `<text class="key" x="${x + 27}" y="78">${escape(name)}</text>`;
    x += 27 + name.length * 6.6 + 22;
    return key;
  });
  const height = y + margin;
  const lastRecord = records[records.length - 1];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Performance history of Trapdoor">
<style>
text { font: 11px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
.head { font-size: 17px; font-weight: 600; }
.sub, .tick { fill: #59636e; }
.tick { font-size: 9px; }
.title, .heading { font-weight: 600; }
.value { font-size: 9px; font-weight: 600; }
.frame { fill: #fbfcfd; stroke: #d1d9e0; }
.grid { stroke: #e6eaef; }
.axis { stroke: #d1d9e0; }
</style>
<rect width="100%" height="100%" fill="#ffffff"/>
<text class="head" x="${margin}" y="26">Trapdoor: performance history, ${arch}</text>
<text class="sub" x="${margin}" y="44">CPU time relative to the same C built by the host's compiler and run in the same round: 1 is native, lower is better, axes are logarithmic.</text>
<text class="sub" x="${margin}" y="58">${records.length} record${
    records.length === 1 ? "" : "s"
  }, the last of ${escape(labels[labels.length - 1])} on ${escape(lastRecord.cpu)}.</text>
${keys.join("\n")}
${parts.join("\n")}
</svg>
`;
}
