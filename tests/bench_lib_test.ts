import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { compilerFlags } from "../bench/lib/build.ts";
import { type Chart, drawChart, escape, logRange, logTicks } from "../bench/lib/chart.ts";
import { type Comparison, nextScale, summarise } from "../bench/lib/compare.ts";
import {
  formatStartup,
  formatTable,
  type HistoryRecord,
  kernelRecord,
  means,
  parseHistory,
} from "../bench/lib/history.ts";
import { flagsOf, kernels, kernelsOf, pickKernels } from "../bench/lib/kernels.ts";
import { metricsVariable, parseMetrics, reportMetric } from "../bench/lib/metrics.ts";
import { parseCost, parseKernelOutput, parseStats, splitCommand } from "../bench/lib/parse.ts";
import {
  formatRatio,
  geometricMean,
  markdownTable,
  median,
  significant,
} from "../bench/lib/stats.ts";
import { drawTrend } from "../bench/lib/trend.ts";

function assertNear(actual: number, expected: number) {
  assert(Math.abs(actual - expected) < 1e-9 * Math.abs(expected), `${actual} is not ${expected}`);
}

Deno.test("median takes the middle, or the mean of two, when values are unsorted", () => {
  assertEquals(median([3]), 3);
  assertEquals(median([10, 9, 2]), 9);
  assertEquals(median([4, 100, 1, 2]), 3);
  const values = [2, 1];
  median(values);
  assertEquals(values, [2, 1]);
  assertThrows(() => median([]), RangeError);
});

Deno.test("geometricMean multiplies and rejects what has no logarithm", () => {
  assertNear(geometricMean([2, 8]), 4);
  assertNear(geometricMean([5]), 5);
  for (const bad of [[], [1, 0], [-1], [NaN], [Infinity]]) {
    assertThrows(() => geometricMean(bad), RangeError);
  }
});

Deno.test("significant and formatRatio keep a table's digits when values differ in size", () => {
  assertEquals(significant(0.123456), 0.1235);
  assertEquals(significant(123456), 123500);
  assertEquals([1.326, 9.994, 36.24, 207.4].map(formatRatio), ["1.33", "9.99", "36.2", "207"]);
});

Deno.test("markdownTable aligns columns when cells differ in width", () => {
  assertEquals(
    markdownTable([["a", "long"], ["bcde", "1"]]),
    "| a    | long |\n| ---- | ---: |\n| bcde |    1 |",
  );
});

Deno.test("parseKernelOutput reads exactly one checksum line", () => {
  assertEquals(parseKernelOutput("matrix_int scale=12 checksum=00ff00ff00ff00ff\n"), {
    name: "matrix_int",
    scale: 12,
    checksum: "00ff00ff00ff00ff",
  });
  const bad = [
    "",
    "fib scale=1 checksum=12\n",
    "fib scale=1 checksum=00ff00ff00ff00ff\nmore\n",
    "noise\nfib scale=1 checksum=00ff00ff00ff00ff\n",
  ];
  for (const text of bad) {
    assertThrows(() => parseKernelOutput(text), Error, "Can't read the kernel's output");
  }
});

Deno.test("parseStats reads the last line when the program wrote on stderr before it", () => {
  const line = '{"instructions":100,"seconds":0.5,"mips":200,"tiers":{"interp":1},"blocks":3}';
  assertEquals(parseStats(`warning\n${line}\n`), { instructions: 100, seconds: 0.5, mips: 200 });
  const bad = [
    "",
    "plain text",
    "null",
    '{"instructions":1,"seconds":1}',
    '{"instructions":"1","seconds":1,"mips":1}',
    '{"instructions":-1,"seconds":1,"mips":1}',
    `${line}\nlater text`,
  ];
  for (const text of bad) assertThrows(() => parseStats(text), Error, "Can't read statistics");
});

Deno.test("parseCost takes the last line off stderr and leaves the rest", () => {
  assertEquals(parseCost('warning\n{"a":1}\n\n@cputime 1500000 250000 2000000 4096\n'), {
    cost: { user: 1.5, system: 0.25, wall: 2, maxRss: 4096 },
    stderr: 'warning\n{"a":1}\n',
  });
  assertEquals(parseCost("\n@cputime 1 2 3 4\n\n@cputime 5 6 7 8\n").cost.maxRss, 8);
  for (const text of ["", "@cputime 1 2 3", "\n@cputime 1 2 3 4\nlater\n"]) {
    assertThrows(() => parseCost(text), Error, "Can't find the cost");
  }
});

Deno.test("splitCommand keeps blanks in quotes and rejects open ones", () => {
  assertEquals(splitCommand("deno run -A mod.ts"), ["deno", "run", "-A", "mod.ts"]);
  assertEquals(splitCommand(` 'my deno'  --a="b c"\t"" `), ["my deno", "--a=b c", ""]);
  assertThrows(() => splitCommand("deno 'run"), Error, "open '");
  assertThrows(() => splitCommand("  "), Error, "empty");
});

Deno.test("pickKernels lists the known names when one is unknown", () => {
  assertEquals(pickKernels(["fib", "nbody"]).map((k) => k.class), ["integer", "doubles"]);
  assertEquals(pickKernels().length, kernels.length);
  assertStringIncludes(assertThrows(() => pickKernels(["fibb"]), Error).message, "coremark, ");
});

Deno.test("flagsOf lets only exact kernels contract", () => {
  const contracting = kernels.filter((k) => flagsOf(k).includes("-ffp-contract=fast"));
  assertEquals(contracting.map((k) => k.name), ["matrix_double"]);
  for (const kernel of kernels) {
    assert(flagsOf(kernel).some((flag) => flag.startsWith("-ffp-contract=")), kernel.name);
  }
});

Deno.test("compilerFlags speaks clang's language when the compiler is clang", () => {
  const flags = ["-O2", "-fno-tree-vectorize", "-fno-tree-loop-distribute-patterns"];
  const clang = ["-O2", "-fno-vectorize", "-fno-slp-vectorize", "-fno-builtin"];
  assertEquals(compilerFlags("gcc (Debian 12.2.0-14) 12.2.0", flags), flags);
  assertEquals(compilerFlags("Apple clang version 15.0.0", flags), clang);
  assertEquals(compilerFlags("Debian clang version 14.0.6", flags), clang);
});

Deno.test("kernels has every program of the directory but hello", () => {
  const files = [...Deno.readDirSync(new URL("../bench/kernels", import.meta.url))]
    .map((entry) => entry.name).filter((name) => name.endsWith(".c"));
  const sources = new Set([...kernelsOf("aarch64").map((k) => k.source ?? k.name), "hello"]);
  assertEquals(files.sort(), [...sources].map((n) => `${n}.c`).sort());
});

Deno.test("nextScale is proportional but grows at most sixteenfold", () => {
  assertEquals(nextScale(10, 0.05, 0.1), 20);
  assertEquals(nextScale(10, 0.4, 0.1), 3);
  assertEquals(nextScale(4, 1e-6, 0.1), 64);
  assertEquals(nextScale(4, -1e-4, 0.1), 64);
  assertEquals(nextScale(1, 50, 0.1), 1);
});

Deno.test("summarise pairs rounds when one round was slow for everybody", () => {
  const native = [1, 3, 1].map((seconds) => ({ seconds, startup: 0.1 }));
  const ours = [40, 120, 42].map((seconds) => ({ seconds, startup: 0.2, instructions: 8e9 }));
  const outcome = summarise(ours, native);
  assertEquals(outcome.ratio, 40);
  assertEquals(outcome.seconds, 42);
  assertEquals(outcome.startup, 0.2);
  assertNear(outcome.mips!, 8e9 / 42 / 1e6);
  assert(!("mips" in summarise(native, native)));
});

/** A record as `record.ts` makes it. */
function sampleRecord(change: Partial<HistoryRecord> = {}): HistoryRecord {
  const records: HistoryRecord["kernels"] = {
    fib: { class: "integer", scale: 100, native: 0.1, qemu: 9, trapdoor: 40, mips: 170 },
    nbody: { class: "doubles", scale: 50, native: 0.1, qemu: 16, trapdoor: 90, mips: 80 },
  };
  return {
    schema: 1,
    date: "2026-11-22T12:00:00.000Z",
    commit: "0123456789ab",
    deno: "Deno 2.9.6",
    v8: "15.0",
    cpu: "A CPU <&>",
    cores: 2,
    platform: "linux x86_64",
    compiler: "gcc",
    tier: "interp",
    rounds: 5,
    complete: true,
    kernels: records,
    geomean: { qemu: { all: 12 }, trapdoor: { all: 60, integer: 40, doubles: 90 } },
    startup: {
      "deno, empty module": { wall: 20, cpu: 20 },
      trapdoor: { wall: 45, cpu: 60 },
    },
    ...change,
  };
}

Deno.test("kernelRecord leaves an executor out when it failed", () => {
  const comparison: Comparison = {
    kernel: kernels[0],
    scale: 7,
    outcomes: {
      native: { seconds: 0.1000049, ratio: 1, startup: 0.001 },
      trapdoor: { seconds: 4, ratio: 40.123456, startup: 0.1, instructions: 5, mips: 170.123456 },
    },
    failures: { qemu: "crashed" },
  };
  assertEquals(kernelRecord(comparison), {
    class: "integer",
    scale: 7,
    native: 0.1,
    trapdoor: 40.12,
    mips: 170.1,
    instructions: 5,
  });
});

Deno.test("means separates the classes and has nothing for an absent executor", () => {
  const { kernels: records } = sampleRecord();
  assertEquals(means(records, "trapdoor"), { all: 60, integer: 40, doubles: 90 });
  assertEquals(means({ fib: records.fib }, "qemu"), { all: 9, integer: 9 });
  assertEquals(means({ fib: { class: "integer", scale: 1, native: 1 } }, "qemu"), undefined);
  const vectors = { memcpy: { class: "vectors" as const, scale: 1, native: 1, qemu: 18 } };
  assertEquals(means(vectors, "qemu"), { all: 18, vectors: 18 });
});

Deno.test("formatTable has an executor a row and a dash where nothing was measured", () => {
  const lines = formatTable(sampleRecord()).split("\n").map((l) => l.replace(/ +/g, " "));
  assertEquals(lines[0], "| engine | geo. mean | integer | doubles | fib | nbody |");
  assertEquals(lines[2], "| trapdoor, interp | 60.0 | 40.0 | 90.0 | 40.0 | 90.0 |");
  assertEquals(lines[3], "| qemu-riscv64 | 12.0 | - | - | 9.00 | 16.0 |");
  const memcpy = { class: "vectors" as const, scale: 1, native: 0.1, qemu: 18 };
  const aarch64 = sampleRecord({
    arch: "aarch64",
    kernels: { memcpy },
    geomean: { qemu: { all: 18, vectors: 18 } },
  });
  const table = formatTable(aarch64).split("\n").map((l) => l.replace(/ +/g, " "));
  assertEquals(table[0], "| engine | geo. mean | integer | doubles | vectors | memcpy |");
  assertEquals(table[3], "| qemu-aarch64 | 18.0 | - | - | 18.0 | 18.0 |");
});

Deno.test("formatStartup compares with an empty module", () => {
  assertStringIncludes(formatStartup(sampleRecord().startup), "takes 2.25 times");
  assert(!formatStartup({ native: { wall: 1, cpu: 1 } }).includes("times"));
});

Deno.test("parseHistory reads records and names the line that is none", () => {
  const line = JSON.stringify(sampleRecord());
  assertEquals(parseHistory(`${line}\n${line}\n`), [sampleRecord(), sampleRecord()]);
  assertEquals(parseHistory(""), []);
  for (const bad of ["{", "null", "{}", '{"schema":2,"kernels":{}}']) {
    assertThrows(() => parseHistory(`${line}\n${bad}\n`), Error, "line 2");
  }
});

Deno.test("logTicks are 1, 2, 5 in a short range and powers of ten in a long one", () => {
  assertEquals(logTicks([1, 10]), [1, 2, 5, 10]);
  assertEquals(logTicks([0.5, 2]), [0.5, 1, 2]);
  assertEquals(logTicks([1, 100000]), [1, 10, 100, 1000, 10000, 100000]);
});

Deno.test("logRange encloses all values and is never empty", () => {
  const series = (...values: (number | undefined)[]) => [{
    name: "s",
    colour: "#000",
    dashed: false,
    values,
  }];
  assertEquals(logRange(series(3.3, undefined, 47)), [2, 50]);
  assertEquals(logRange(series(20)), [20, 40]);
  assertEquals(logRange(series(0.07, 1)), [0.05, 1]);
  assertEquals(logRange(series()), [1, 10]);
});

Deno.test("drawChart places values on a logarithmic axis and skips gaps", () => {
  const chart: Chart = {
    x: 0,
    y: 0,
    width: 268,
    height: 126,
    title: "a < b",
    series: [{ name: "s", colour: "#123456", dashed: true, values: [1, undefined, 10, 100] }],
    labels: ["p", "q", "r", "s"],
    notes: ["p", "q", "r", "s"],
    range: [1, 100],
    unit: "",
    dates: false,
  };
  const svg = drawChart(chart);
  // The plot is 200 wide from 34 and 100 high from 20; a decade is half of it.
  assertStringIncludes(svg, 'points="34,120 167.3,70 234,20"');
  assertStringIncludes(svg, "a &lt; b");
  assertEquals(svg.match(/<circle/g)?.length, 3);
  assertStringIncludes(svg, "stroke-dasharray");
});

Deno.test("escape leaves no markup", () => {
  assertEquals(escape(`<a b="c">&`), "&lt;a b=&quot;c&quot;&gt;&amp;");
});

/** Fails unless every element is closed in order and attribute values hold no markup. */
function assertWellFormed(xml: string) {
  const open: string[] = [];
  for (
    const [, close, name, self] of xml.matchAll(/<(\/?)([a-z]+)(?:\s+[\w:-]+="[^"<]*")*\s*(\/?)>/g)
  ) {
    if (close) assertEquals(open.pop(), name);
    else if (!self) open.push(name);
  }
  assertEquals(open, []);
  assertEquals(xml.replace(/<\/?[a-z]+(?:\s+[\w:-]+="[^"<]*")*\s*\/?>/g, "").match(/[<>]/), null);
  assert(!xml.includes("NaN") && !xml.includes("undefined") && !xml.includes("Infinity"));
}

Deno.test("drawTrend draws a line for each tier, and no mean for an incomplete record", () => {
  const partial = sampleRecord({
    complete: false,
    tier: "wasm",
    kernels: { fib: { class: "integer", scale: 1, native: 0.1, trapdoor: 5 } },
    geomean: { trapdoor: { all: 5 } },
    metrics: { "backdoor.instruction": { value: 55, unit: "ns" } },
  });
  const svg = drawTrend([sampleRecord(), partial]);
  assertWellFormed(svg);
  const mean = svg.slice(svg.indexOf("Geometric mean"), svg.indexOf("Each kernel"));
  assertStringIncludes(mean, "trapdoor, interp: 60,");
  assert(!mean.includes("trapdoor, wasm"));
  assertStringIncludes(svg, "trapdoor, wasm: 5,");
  assertStringIncludes(svg, "backdoor.instruction, ns");
  assertStringIncludes(svg, "A CPU &lt;&amp;&gt;");
  assertThrows(() => drawTrend([]), RangeError);
  const guest = sampleRecord({ arch: "aarch64", geomean: { trapdoor: { all: 13 } } });
  const other = drawTrend([sampleRecord(), guest], "aarch64");
  assertStringIncludes(other, "1 record,");
  assertStringIncludes(other, "qemu-aarch64");
  assert(!other.includes("qemu-riscv64"));
  assertEquals(drawTrend([sampleRecord(), guest]), drawTrend([sampleRecord()]));
  assertThrows(() => drawTrend([sampleRecord()], "aarch64"), RangeError, "of aarch64");
});

Deno.test("drawTrend draws one record, and records without any value", () => {
  assertWellFormed(drawTrend([sampleRecord()]));
  assertWellFormed(
    drawTrend([sampleRecord({ complete: false, kernels: {}, geomean: {}, startup: {} })]),
  );
});

Deno.test("reportMetric hands figures to the file that the environment names", async () => {
  const file = await Deno.makeTempFile();
  const before = Deno.env.get(metricsVariable);
  try {
    Deno.env.set(metricsVariable, file);
    reportMetric("backdoor.instruction", 55.25, "ns");
    reportMetric("interp.mips.fib", 170, "MIPS");
    reportMetric("backdoor.instruction", 54.5, "ns");
    assertEquals(parseMetrics(await Deno.readTextFile(file)), {
      "backdoor.instruction": { value: 54.5, unit: "ns" },
      "interp.mips.fib": { value: 170, unit: "MIPS" },
    });
    assertThrows(() => reportMetric("Bad name", 1, "ns"), Error, "Bad name");
    assertThrows(() => reportMetric("a.b", NaN, "ns"), Error, "NaN");
  } finally {
    if (before === undefined) Deno.env.delete(metricsVariable);
    else Deno.env.set(metricsVariable, before);
    await Deno.remove(file);
  }
});
