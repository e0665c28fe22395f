import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { check, cycles, HOT, NO_ISA, parse, ROOMS } from "./layers.ts";

const root = new URL("../", import.meta.url);
const SKIPPED = [".git", "node_modules", ".cache", "coverage", "build", "dist", "vendor"];

/** All TypeScript files of the checkout by path. */
async function readSources(): Promise<Map<string, string>> {
  const sources = new Map<string, string>();
  const walk = async (folder: string): Promise<void> => {
    for await (const { name, isDirectory } of Deno.readDir(new URL(folder, root))) {
      if (isDirectory && !SKIPPED.includes(name)) await walk(`${folder}${name}/`);
      else if (name.endsWith(".ts")) {
        sources.set(folder + name, await Deno.readTextFile(new URL(folder + name, root)));
      }
    }
  };
  await walk("");
  return sources;
}

const sources = await readSources();

/** Violations of a few files. */
function violations(files: Record<string, string>): string[] {
  return check(new Map(Object.entries(files)));
}

Deno.test("layers hold when the checkout is checked", () => {
  assert(sources.size > 80, `only ${sources.size} files found`);
  assertEquals(check(sources), []);
  for (const { file } of HOT) assert(sources.has(file), `there is no ${file}`);
  for (const file of NO_ISA.except) assert(sources.has(file), `there is no ${file}`);
});

Deno.test("layers name only rooms that can be imported", () => {
  const names = new Set(ROOMS.map((room) => room.name));
  for (const { imports } of ROOMS) {
    for (const name of imports) assert(name === "*" || names.has(name.replace(/:type$/, "")), name);
  }
});

Deno.test("parse finds every form of import when they stand among look-alikes", () => {
  const { imports, computedImports } = parse(
    "cli.ts",
    `import a, { type B } from "./a.ts";
     import type { C } from "./c.ts";
     import { type D } from "./d.ts";
     import "./e.ts";
     export * from "./f.ts";
     export type { G } from "./g.ts";
     export { h, type H } from "./h.ts";
     const i = await import("./i.ts"), j = await import(a);
     type K = import("./k.ts").K;
     // import x from "./comment.ts";
     const text = 'import y from "./string.ts"', more = \`import("./template.ts")\`;`,
  );
  assertEquals(imports.map(({ specifier, kind, line }) => `${specifier} ${kind} ${line}`), [
    ...["./a.ts static 1", "./c.ts type 2", "./d.ts type 3", "./e.ts static 4", "./f.ts static 5"],
    ...["./g.ts type 6", "./h.ts static 7", "./i.ts dynamic 8", "./k.ts type 9"],
  ]);
  assertEquals(computedImports, [8]);
});

const FORBIDDEN: [rule: string, path: string, source: string, words: string][] = [
  [
    "the IR imports the MMU",
    "cpu/ir/x.ts",
    `import type { A } from "../../mmu/x.ts";`,
    "rules 1-4",
  ],
  [
    "the MMU imports the IR",
    "mmu/y.ts",
    `export { A } from "../cpu/ir/y.ts";`,
    "may import nothing",
  ],
  ["an ISA imports another", "cpu/riscv/x.ts", `import "../aarch64/x.ts";`, "not cpu/aarch64"],
  ["an ISA imports MMU values", "cpu/riscv/x.ts", `import { A } from "../../mmu/x.ts";`, "not mmu"],
  ["an ISA imports the engine", "cpu/riscv/x.ts", `import("../engine/x.ts");`, "not cpu/engine"],
  [
    "the engine imports an ISA",
    "cpu/engine/x.ts",
    `import type {} from "../riscv/x.ts";`,
    "not cpu/r",
  ],
  [
    "the encoder imports the IR",
    "cpu/wasm/encoder.ts",
    `import "../ir/x.ts";`,
    "may import nothing",
  ],
  [
    "the CPU imports the backdoor",
    "cpu/engine/x.ts",
    `import "../../backdoor/x.ts";`,
    "not backdoor",
  ],
  ["the backdoor imports the machine", "backdoor/x.ts", `import "../machine/x.ts";`, "not machine"],
  ["the engine compares ISA names", "cpu/engine/x.ts", `if (isa === "riscv64") run();`, "rule 3"],
  ["the backdoor has an ISA's name", "backdoor/x.ts", `class P { #x86Registers = 1; }`, "rule 3"],
  ["a pattern names an ISA", "machine/user/x.ts", `/^aarch64/.test(name);`, "rule 3"],
  ["the CPU uses Deno", "cpu/engine/x.ts", `Deno.exit(1);`, "rule 5"],
  ["the MMU uses Deno's types", "mmu/x.ts", `let file: Deno.FsFile;`, "rule 5"],
  ["mod.ts gets Deno by its name", "mod.ts", `globalThis["Deno"].args;`, "rule 5"],
  [
    "the interpreter's loop allocates",
    "cpu/engine/interpreter/interp_loop.ts",
    `export const make = () => function run() { for (;;) { const pair = [1, 2]; } };`,
    "ArrayExpression in run",
  ],
  [
    "the interpreter's loop throws",
    "cpu/engine/interpreter/interp_loop.ts",
    `function run() { if (x) throw y; } function other() { return {}; }`,
    "ThrowStatement in run",
  ],
  [
    "the hot loop has another name",
    "cpu/engine/interpreter/interp_loop.ts",
    `function go() {}`,
    "no function run",
  ],
  ["the library imports a package", "machine/x.ts", `import "@std/cli";`, "relative imports only"],
  ["the library imports a URL", "mod.ts", `import "https://host/x.ts";`, "relative imports only"],
  ["a computed import is not the loader's", "machine/x.ts", `await import(url);`, "computed URL"],
  ["a file is in no room", "extra/x.ts", ``, "in no room"],
  ["an imported file is missing", "mmu/x.ts", `import "./gone.ts";`, "there is no mmu/gone.ts"],
];

const SYNTHETIC = Object.fromEntries(
  [
    ...["cpu/ir/y.ts", "cpu/ir/x.ts", "mmu/x.ts", "cpu/riscv/x.ts", "cpu/aarch64/x.ts"],
    ...["cpu/engine/x.ts", "backdoor/x.ts", "machine/x.ts"],
  ].map((path) => [path, ""]),
);

for (const [rule, path, source, words] of FORBIDDEN) {
  Deno.test(`check finds the violation when ${rule}`, () => {
    const found = violations({ ...SYNTHETIC, [path]: source });
    assertEquals(found.length, 1, found.join("\n"));
    assertStringIncludes(found[0], words);
    assertStringIncludes(found[0], path);
  });
}

Deno.test("check is content when imports are the allowed ones", () => {
  const files = {
    ...SYNTHETIC,
    "cpu/riscv/x.ts": `import type { A } from "../../mmu/x.ts"; import { B } from "../ir/x.ts";`,
    "cpu/engine/x.ts": `import { A } from "../../mmu/x.ts"; const n = 0x86; // Deno, riscv64`,
    "cli.ts": `import { parseArgs } from "jsr:@std/cli@^1.0.0/parse-args"; Deno.exit(0);`,
    "mod.ts": `if (import.meta.main) await import("./cli.ts");`,
    "tests/x.ts": `import { assert } from "@std/assert"; import "../cpu/engine/x.ts";`,
  };
  assertEquals(violations(files), []);
});

Deno.test("check finds the library's use of tests when mod.ts reaches them", () => {
  const files = {
    "mod.ts": `import "./machine/x.ts";`,
    "machine/x.ts": `import "../tests/x.ts";`,
    "tests/x.ts": "",
  };
  assert(violations(files).some((text) => text.includes("not part of the library")));
});

Deno.test("cycles finds a cycle when an edge of it is type-only or dynamic", () => {
  const files = {
    "mmu/a.ts": `import type { B } from "./b.ts";`,
    "mmu/b.ts": `export const c = () => import("./c.ts");`,
    "mmu/c.ts": `export * from "./a.ts";`,
    "mmu/d.ts": `import "./a.ts";`,
  };
  const facts = new Map(Object.entries(files).map(([path, text]) => [path, parse(path, text)]));
  assertEquals(cycles(facts), [["mmu/a.ts", "mmu/b.ts", "mmu/c.ts", "mmu/a.ts"]]);
  assert(violations(files).some((text) => text.includes("a cycle of imports")));
});

/** Type-checks files as browser code: no Deno namespace. */
async function checkForBrowser(files: string[]): Promise<{ success: boolean; text: string }> {
  const { compilerOptions } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  const folder = await Deno.makeTempDir();
  try {
    const config = `${folder}/deno.json`;
    compilerOptions.lib = ["esnext", "dom"];
    await Deno.writeTextFile(config, JSON.stringify({ compilerOptions }));
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["check", "--quiet", "--no-lock", "--config", config, ...files],
      cwd: root,
      env: { NO_COLOR: "1" },
    }).output();
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { success, text: decode(stdout) + decode(stderr) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("cpu and mmu type-check when there is only a browser around them", async () => {
  const files = [...sources.keys()].filter((path) => /^(cpu|mmu)\//.test(path));
  assert(files.length > 20, `only ${files.length} files found`);
  const { success, text } = await checkForBrowser(files);
  assert(success, text);
});

Deno.test("the browser type check fails when code uses Deno", async () => {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, "export const args: string[] = Deno.args;\n");
    const { success, text } = await checkForBrowser([file]);
    assertEquals(success, false);
    assertStringIncludes(text, "Deno");
  } finally {
    await Deno.remove(file);
  }
});
