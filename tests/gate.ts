/**
 * The one gate: everything that must hold before a change lands. Run with `deno task ok`; `deno task ok types tests`
 * runs only the named steps. After all tests, those that execute guest code are run again in each configuration of
 * suite.ts, which is a step with its name.
 *
 * The last line is `N passed, N failed`: the tests of all runs, and one for each other step.
 *
 * @module
 */

import {
  type Configuration,
  CONFIGURATIONS,
  environmentOf,
  exceptions,
  filesOf,
  nameOf,
  NATIVE,
} from "./suite.ts";
import { tool } from "./tools.ts";

const ROOT = new URL("../", import.meta.url);

/** Where docstrings have examples. */
const LIBRARY = ["mod.ts", "version.ts", "backdoor", "cpu", "mmu", "machine", "ffi"];

/** Counts of a step. */
export interface Counts {
  passed: number;
  failed: number;
  ignored: number;
}

/**
 * Sums the summary lines of `deno test`, such as "ok | 123 passed (4 steps) | 0 failed | 2 ignored (3s)".
 *
 * @returns Undefined if there is none.
 */
export function parseSummary(text: string): Counts | undefined {
  const line = /^(?:ok|FAILED) \| (\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed(.*)$/gm;
  let sum: Counts | undefined;
  for (const [, passed, failed, rest] of text.matchAll(line)) {
    const ignored = /\| (\d+) ignored/.exec(rest)?.[1] ?? "0";
    sum ??= { passed: 0, failed: 0, ignored: 0 };
    sum.passed += Number(passed);
    sum.failed += Number(failed);
    sum.ignored += Number(ignored);
  }
  return sum;
}

/** A step: how it is called, and what it runs. */
interface Step {
  readonly name: string;
  /** Whether it is run only if it is named. */
  readonly named?: boolean;
  run(): Promise<Counts>;
}

/** Runs Deno in the checkout, passing its output on, at once or in one piece; returns exit status and output. */
async function deno(
  args: string[],
  env: Record<string, string> = {},
  atOnce = true,
): Promise<{ success: boolean; text: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    // Nothing is to depend on earlier runs, nor leave traces of its own.
    env: { NO_COLOR: "1", TRAPDOOR_CACHE: "off", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const chunks: string[] = [];
  const drain = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
      chunks.push(chunk);
      if (atOnce) await write(chunk);
    }
  };
  const [{ success }] = await Promise.all([
    child.status,
    drain(child.stdout),
    drain(child.stderr),
  ]);
  const text = chunks.join("");
  if (!atOnce) await write(text);
  return { success, text };
}

let written = Promise.resolve();

/** Writes all of a text to standard output, which several may do at a time. */
function write(text: string): Promise<void> {
  return written = written.then(async () => {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
  });
}

/** A step that passes or fails as a whole. */
function plain(name: string, args: () => string[] | Promise<string[]>): Step {
  return {
    name,
    run: async () => {
      const { success } = await deno(await args());
      return { passed: success ? 1 : 0, failed: success ? 0 : 1, ignored: 0 };
    },
  };
}

/** Counts of a run of `deno test`; `ignored` is how many tests may be skipped in CI. */
function countsOf(what: string, success: boolean, text: string): Counts {
  const counts = parseSummary(text) ?? { passed: 0, failed: 0, ignored: 0 };
  // Errors outside tests (a module that does not load, a leak) have no line of their own.
  if (!success && counts.failed === 0) counts.failed = 1;
  if (success && counts.passed + counts.ignored === 0) {
    throw new Error(`Cannot find the summary of ${what}`);
  }
  return counts;
}

/** In CI, tests that were skipped have failed, but for those that the list in suite.ts names. */
function checkIgnored(counts: Counts, allowed = 0): Counts {
  if (counts.ignored === allowed || Deno.env.get("CI") !== "true") return counts;
  console.error(`${counts.ignored} tests were skipped and ${allowed} may be: a failure in CI`);
  counts.failed += Math.max(1, counts.ignored - allowed);
  return counts;
}

/** A step whose tests count. */
function tests(name: string, args: () => string[] | Promise<string[]>): Step {
  return {
    name,
    run: async () => {
      const { success, text } = await deno(await args());
      return checkIgnored(countsOf(name, success, text));
    },
  };
}

/**
 * Test files, as many at a time as there are processors, each in a process of its own.
 *
 * @param folder For what the native tier keeps, which the files share.
 * @param all Also those that take too long for the gate.
 */
function files(name: string, folder: string, configuration?: Configuration, all = false): Step {
  return {
    name,
    run: async () => {
      const sum: Counts = { passed: 0, failed: 0, ignored: 0 };
      const env = configuration ? environmentOf(configuration) : {};
      if (configuration?.tier === "native") {
        if (tool("cc") === undefined) {
          console.log("skipped: there is no C compiler (cc)");
          return checkIgnored({ passed: 0, failed: 0, ignored: 1 });
        }
        env.TRAPDOOR_CACHE = `${folder}/native`;
      }
      const queue = filesOf(configuration, all);
      const worker = async () => {
        for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
          // Types were checked before.
          const { success, text } = await deno(["test", "-A", "--no-check", file], env, false);
          const { passed, failed, ignored } = countsOf(file, success, text);
          sum.passed += passed;
          sum.failed += failed;
          sum.ignored += ignored;
        }
      };
      await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, worker));
      return checkIgnored(sum, configuration ? exceptions(configuration, all) : 0);
    },
  };
}

/** Modules that users import: `exports` of deno.json. */
async function publicModules(): Promise<string[]> {
  const { exports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  return Object.values(exports);
}

/** A deno.json for doc tests: Deno imports every export into an example, used or not. */
async function docConfig(folder: string): Promise<string> {
  const { imports, links = [], compilerOptions } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", ROOT)),
  );
  const config = {
    imports,
    links: links.map((link: string) => new URL(link, ROOT).href),
    compilerOptions: { ...compilerOptions, noUnusedLocals: false, noUnusedParameters: false },
  };
  const path = `${folder}/deno.json`;
  await Deno.writeTextFile(path, JSON.stringify(config));
  return path;
}

function steps(folder: string): Step[] {
  return [
    plain("format", () => ["fmt", "--check"]),
    plain("lint", () => ["lint"]),
    plain("types", () => ["check", "."]),
    plain("docs", async () => ["doc", "--lint", ...await publicModules()]),
    tests(
      "examples",
      async () => ["test", "-A", "--doc", "--config", await docConfig(folder), ...LIBRARY],
    ),
    files("tests", folder),
    ...CONFIGURATIONS.map((each) => files(nameOf(each), folder, each)),
    { ...files("native-all", folder, NATIVE, true), named: true },
  ];
}

/** What Git says of the checkout; empty where there is no Git or no repository. */
async function treeStatus(): Promise<string> {
  try {
    const { stdout } = await new Deno.Command("git", {
      args: ["status", "--porcelain", "--untracked-files=all"],
      cwd: ROOT,
    }).output();
    return new TextDecoder().decode(stdout);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

/** In CI, where nobody else works in the checkout: whether the other steps left it as it was. */
function treeStep(before: string): Step {
  return {
    name: "tree",
    run: async () => {
      const after = await treeStatus();
      if (after === before) return { passed: 1, failed: 0, ignored: 0 };
      console.error(`The run changed the checkout:\n${after}`);
      return { passed: 0, failed: 1, ignored: 0 };
    },
  };
}

async function main(names: readonly string[]): Promise<number> {
  const folder = await Deno.makeTempDir({ prefix: "trapdoor-gate-" });
  const total: Counts = { passed: 0, failed: 0, ignored: 0 };
  const report: string[] = [];
  try {
    const all = steps(folder);
    if (Deno.env.get("CI") === "true") all.push(treeStep(await treeStatus()));
    const unknown = names.filter((name) => !all.some((step) => step.name === name));
    if (unknown.length > 0) {
      const known = all.map((step) => step.name).join(", ");
      console.error(`Unknown step ${unknown.join(", ")}: there are ${known}`);
      return 2;
    }
    for (const step of all) {
      if (names.length > 0 ? !names.includes(step.name) : step.named) continue;
      console.log(`\n== ${step.name}`);
      const start = performance.now();
      const counts = await step.run();
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      total.passed += counts.passed;
      total.failed += counts.failed;
      total.ignored += counts.ignored;
      report.push(
        `${counts.failed === 0 ? "ok    " : "FAILED"} ${step.name.padEnd(15)} ` +
          `${counts.passed} passed, ${counts.failed} failed` +
          `${counts.ignored > 0 ? `, ${counts.ignored} skipped` : ""} (${seconds} s)`,
      );
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  console.log(`\n== gate\n${report.join("\n")}`);
  console.log(`${total.passed} passed, ${total.failed} failed`);
  return total.failed === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
