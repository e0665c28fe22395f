/** What a start of a program loads whose code an earlier run translated. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { file, run, withFolder } from "./emulator.ts";
import { parse, resolve } from "./layers.ts";

/** What `mod.ts` loads to run a stored RISC-V program: itself, and what it imports dynamically then. */
const ROOTS = ["mod.ts", "cli.ts", "cpu/riscv/state.ts", "machine/user/riscv_abi.ts"];
/** Every module costs a start about 0.2 ms. */
const MOST_MODULES = 76, MOST_BYTES = 625_000;
/** Modules that only translating needs, or only some programs. */
const LATER = [
  ...["cpu/ir/ops.ts", "cpu/ir/builder.ts", "cpu/isa/decoder.ts", "cpu/riscv/riscv.ts"],
  ...["cpu/engine/translator.ts", "cpu/engine/vector/vector.ts", "cpu/engine/region/batch.ts"],
  ...["cpu/wasm/tier.ts", "ffi/native.ts", "machine/backdoor.ts", "machine/user/strace.ts"],
];

/** Modules that a set of modules imports statically, and themselves, with their sizes. */
async function loaded(roots: readonly string[]): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  const todo = [...roots];
  for (let path = todo.pop(); path !== undefined; path = todo.pop()) {
    if (found.has(path)) continue;
    const source = await Deno.readTextFile(file(path));
    found.set(path, source.length);
    for (const { specifier, kind } of parse(path, source).imports) {
      const target = kind === "static" ? resolve(path, specifier) : undefined;
      if (target !== undefined) todo.push(target);
    }
  }
  return found;
}

Deno.test("a start loads few modules when the program's code is stored", async () => {
  const modules = await loaded(ROOTS);
  assertEquals(LATER.filter((path) => modules.has(path)), []);
  for (const path of LATER) assert((await Deno.stat(file(path))).isFile, path);
  const bytes = [...modules.values()].reduce((sum, size) => sum + size);
  assert(modules.size <= MOST_MODULES, `${modules.size} modules, at most ${MOST_MODULES}`);
  assert(bytes <= MOST_BYTES, `${bytes} bytes, at most ${MOST_BYTES}`);
});

async function copy(from: string, to: string): Promise<void> {
  if ((await Deno.stat(from)).isFile) return await Deno.copyFile(from, to);
  await Deno.mkdir(to, { recursive: true });
  for await (const { name } of Deno.readDir(from)) await copy(`${from}/${name}`, `${to}/${name}`);
}

Deno.test("a stored program runs without the translator when all it executes is stored", async () => {
  await withFolder(async (folder) => {
    const rooms = ["backdoor", "cli", "cpu", "ffi", "machine", "mmu", "std"];
    for (const name of [...rooms, "mod.ts", "cli.ts", "version.ts", "deno.json"]) {
      await copy(file(name), `${folder}/${name}`);
    }
    const { HOME, DENO_DIR, PATH } = Deno.env.toObject();
    const own = Object.entries({ HOME, DENO_DIR, PATH }).filter(([, value]) => value !== undefined);
    const start = (program: string) =>
      run([Deno.execPath(), "run", "-A", "--no-prompt", `${folder}/mod.ts`, file(program)], {
        env: { ...Object.fromEntries(own), NO_COLOR: "1", TRAPDOOR_CACHE: `${folder}/cache` },
      });
    const hellos = ["guest/bin/riscv64/hello", "guest/bin/aarch64/hello"];
    const first = [];
    for (const hello of hellos) first.push(await start(hello));
    for (const { stdout, stderr } of first) assert(stdout !== "" && stderr === "", stderr);
    await Deno.writeTextFile(
      `${folder}/cpu/engine/translator.ts`,
      `throw new Error("the translator is loaded");\n`,
    );
    for (const [i, hello] of hellos.entries()) assertEquals(await start(hello), first[i]);
    const other = await start("guest/bin/riscv64/events");
    assertStringIncludes(other.stderr, "the translator is loaded");
  });
});
