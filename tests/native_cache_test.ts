/** The translation cache, and what else can go wrong around native code. */
import { createHash } from "node:crypto";
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { formRegion } from "../cpu/engine/region/form_region.ts";
import { EXIT_PC_SLOT, FUEL_WORD } from "../cpu/engine/tier.ts";
import { Builder, SOURCES } from "../ffi/builder.ts";
import { Cache } from "../ffi/cache.ts";
import { sha256 } from "../ffi/hash.ts";
import { Compiler } from "../ffi/compiler.ts";
import { Emitter } from "../ffi/emitter.ts";
import { Helper, HelperError } from "../ffi/helper.ts";
import { SUFFIX } from "../ffi/platform.ts";
import { formUnit } from "../ffi/unit.ts";
import { GUEST_OFFSET } from "../mmu/arena.ts";
import { generate } from "./fuzz/generator.ts";
import { programImage } from "./fuzz/program.ts";
import { nativeTools } from "./native_tools.ts";
import { testWith, tool } from "./tools.ts";
import { Pair } from "./wasm_fuzz.ts";

const ROOT = new URL("../", import.meta.url);
const HELLO = new URL("../guest/bin/riscv64/hello", import.meta.url).pathname;

async function withFolder(what: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await what(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function put(cache: Cache, key: string, bytes: Uint8Array): string {
  const temporary = cache.temporary(SUFFIX);
  Deno.writeFileSync(temporary, bytes);
  return cache.store(key, temporary);
}

/** What only a file about one host would say, in TypeScript and in C. */
const HOSTS = /Deno\.build|__(x86_64|aarch64|APPLE|AVX|FMA|SSE)\w*|_WIN32|windows|darwin|linux/;

Deno.test("ffi names systems and processors in platform.ts and platform.h only", () => {
  const found: string[] = [];
  for (const folder of ["ffi/", "ffi/native/"]) {
    for (const { name, isFile } of Deno.readDirSync(new URL(folder, ROOT))) {
      const text = isFile ? Deno.readTextFileSync(new URL(folder + name, ROOT)) : "";
      if (HOSTS.test(text)) found.push(folder + name);
    }
  }
  assertEquals(found.sort(), ["ffi/native/platform.h", "ffi/platform.ts"]);
});

const FAULTS: [string, (path: string) => void][] = [
  ["truncated", (path) => Deno.truncateSync(path, 100)],
  ["emptied", (path) => Deno.truncateSync(path, 0)],
  ["changed in one bit", (path) => {
    const bytes = Deno.readFileSync(path);
    bytes[500] ^= 1;
    Deno.writeFileSync(path, bytes);
  }],
  ["made longer", (path) => Deno.writeFileSync(path, new Uint8Array(1), { append: true })],
  ["deleted", (path) => Deno.removeSync(path)],
];

for (const [what, damage] of FAULTS) {
  Deno.test(`Cache.find gives nothing when the entry was ${what}`, () =>
    withFolder((folder) => {
      const cache = new Cache(folder), key = sha256(what);
      const path = put(cache, key, crypto.getRandomValues(new Uint8Array(1000)));
      assertEquals(cache.find(key), path);
      assertEquals(new Cache(folder).find(key), path);
      damage(path);
      assertEquals(new Cache(folder).find(key), undefined);
      assertEquals(cache.find(key), undefined);
      assertEquals([...Deno.readDirSync(folder)].length, 0);
      assertEquals(put(cache, key, new Uint8Array(9)), cache.find(key));
    }));
}

Deno.test("Cache.store keeps what was used last when there is no room for all", () =>
  withFolder((folder) => {
    const cache = new Cache(folder, 3500), keys = ["a", "b", "c"].map((name) => sha256(name));
    keys.forEach((key, i) => {
      const path = put(cache, key, new Uint8Array(1000).fill(i));
      Deno.utimeSync(path, 1000 + i, 1000 + i);
    });
    cache.find(keys[0]);
    put(cache, sha256("d"), new Uint8Array(1000).fill(9));
    assertEquals(keys.map((key) => cache.find(key) !== undefined), [true, false, true]);
    assertEquals(cache.info().entries, 3);
    assertEquals(cache.clear().bytes, 3000);
    assertEquals(cache.info().entries, 0);
  }));

Deno.test("Cache.store removes temporary files when their process is long gone", () =>
  withFolder((folder) => {
    const cache = new Cache(folder), old = cache.temporary(".c"), young = cache.temporary(".c");
    for (const path of [old, young]) Deno.writeTextFileSync(path, "");
    Deno.utimeSync(old, 1000, 1000);
    put(cache, sha256("x"), new Uint8Array(10));
    assertThrows(() => Deno.statSync(old), Deno.errors.NotFound);
    assert(Deno.statSync(young).isFile);
  }));

// ---- processes ----

interface Outcome {
  code: number;
  out: string;
  err: string;
}

function start(
  cache: string,
  flags: string[],
  env: Record<string, string> = {},
): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--no-prompt", ...flags],
    cwd: ROOT,
    env: { TRAPDOOR_CACHE: cache, NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function finish(child: Deno.ChildProcess): Promise<Outcome> {
  const { code, stdout, stderr } = await child.output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), err: text.decode(stderr) };
}

const FORCED = ["-A", "mod.ts", "--tier=native", "--stats", HELLO];

/** Names of what is in a cache: temporary files and entries. */
function filesIn(folder: string): { temporary: string[]; entries: string[] } {
  const names = Array.from(Deno.readDirSync(folder), ({ name }) => name);
  const entries = names.filter((name) => name.endsWith(SUFFIX) && !name.startsWith("tmp-"));
  return { temporary: names.filter((name) => name.startsWith("tmp-")), entries };
}

/** Sees that each entry is what its name says. */
function assertIntact(folder: string): void {
  for (const name of filesIn(folder).entries) {
    const digest = createHash("sha256").update(Deno.readFileSync(`${folder}/${name}`));
    assertEquals(digest.digest("hex"), name.slice(65, 129), name);
  }
}

function assertRan({ code, out, err }: Outcome): void {
  // The guest's own status, because nobody answers it.
  assertEquals([code, out], [1, "guest: nobody answers\n"], err);
  assertMatch(err, /native 9\d\./);
}

testWith(
  ["cc"],
  "mod.ts runs native code when two processes fill one cache",
  () =>
    withFolder(async (folder) => {
      const children = [start(folder, FORCED), start(folder, FORCED)];
      for (const outcome of await Promise.all(children.map(finish))) assertRan(outcome);
      const { entries, temporary } = filesIn(folder);
      assertEquals(temporary, []);
      assertIntact(folder);
      // Both may have stored the helper, of which the bytes and so the names may differ.
      assert(entries.length > 3);
    }),
);

testWith(
  ["cc"],
  "Builder.build gives everybody their own when several compile the same and other code into one cache",
  () =>
    withFolder(async (folder) => {
      const open = () =>
        Builder.open(new Cache(folder), Compiler.find((name) => Deno.env.get(name)));
      const builders = await Promise.all([open(), open()]);
      const mark = (n: number) => `mark ${n} of this code`;
      const text = (n: number) => `const char mark[] __attribute__((used)) = "${mark(n)}";\n`;
      const paths = await Promise.all(Array.from({ length: 12 }, (_, i) => {
        const builder = builders[i % 2];
        return builder.build(builder.unitJob(text(i >> 1), 0, 1));
      }));
      paths.forEach((path, i) => {
        const made = new TextDecoder("latin1").decode(Deno.readFileSync(path));
        assertStringIncludes(made, mark(i >> 1));
      });
      assertIntact(folder);
      assertEquals(filesIn(folder).temporary, []);
    }),
);

testWith(
  ["cc"],
  "mod.ts runs native code when others were killed while they compiled into the cache",
  () =>
    withFolder(async (folder) => {
      const left = new Set<string>();
      // While the helper is compiled, or a translation after so many entries.
      for (const after of [0, 1, 3]) {
        const killed = start(folder, FORCED);
        for (let tries = 0;; tries++) {
          const { entries, temporary } = filesIn(folder);
          assert(tries < 20_000, "nothing is compiled");
          if (entries.length >= after && temporary.some((name) => !left.has(name))) break;
          await new Promise((go) => setTimeout(go, 2));
        }
        killed.kill("SIGKILL");
        const { signal } = await killed.output();
        assertEquals(signal, "SIGKILL");
        for (const name of filesIn(folder).temporary) left.add(name);
      }
      assertIntact(folder);
      assertRan(await finish(start(folder, FORCED)));
      assertIntact(folder);
    }),
);

testWith(
  ["cc"],
  "mod.ts runs native code when every cached file was damaged, or has what another one had",
  () =>
    withFolder(async (folder) => {
      assertRan(await finish(start(folder, FORCED)));
      const paths = filesIn(folder).entries.map((name) => `${folder}/${name}`);
      assert(paths.length > 3);
      paths.forEach((path, i) => FAULTS[i % FAULTS.length][1](path));
      assertRan(await finish(start(folder, FORCED)));
      // Whole libraries that can be loaded, of other code.
      const others = filesIn(folder).entries.map((name) => `${folder}/${name}`)
        .filter((path) => !isHelper(path));
      assert(others.length > 2);
      const contents = others.map((path) => Deno.readFileSync(path));
      others.forEach((path, i) => Deno.writeFileSync(path, contents[(i + 1) % others.length]));
      assertRan(await finish(start(folder, FORCED)));
    }),
);

/** Deno's flags for what native code needs, each the narrowest. */
function narrowest(folder: string, cc: string): Record<string, string> {
  return {
    read: `guest,ffi/native,${folder},${cc}`,
    write: folder,
    ffi: folder,
    run: cc,
    env: "TRAPDOOR_CC,TRAPDOOR_CACHE",
  };
}

testWith(
  ["cc"],
  "mod.ts needs no more for native code than README.md says, and each of it",
  () =>
    withFolder(async (folder) => {
      const cc = tool("cc")!, all = narrowest(folder, cc), env = { TRAPDOOR_CC: cc };
      const flags = (given: Record<string, string>) =>
        Object.entries(given).map(([name, value]) => `--allow-${name}=${value}`);
      const args = ["mod.ts", "--tier=native", "--stats", HELLO];
      assertRan(await finish(start(folder, [...flags(all), ...args], env)));
      const less = [
        { ...all, read: `guest,${folder},${cc}` },
        { ...all, read: `guest,ffi/native,${folder}` },
        { ...all, read: `guest,ffi/native,${cc}` },
        ...["write", "ffi", "run", "env"].map((name) => {
          const { [name]: _, ...rest } = all;
          return rest;
        }),
      ];
      for (const given of less) {
        const { code, out, err } = await finish(start(folder, [...flags(given), ...args], env));
        assertEquals([code, out], [1, ""], err);
        assertStringIncludes(err, "trapdoor: Cannot use the native tier: ");
        assertMatch(err, /--allow-|readable/);
      }
    }),
);

testWith(
  ["cc"],
  "mod.ts takes the helper that TRAPDOOR_NATIVE names, and has no need to make one",
  () =>
    withFolder(async (folder) => {
      // As README.md says for packagers.
      const native = new URL("../ffi/native/", import.meta.url), made = `${folder}/helper${SUFFIX}`;
      const texts = SOURCES.map((name) => Deno.readTextFileSync(new URL(name, native)));
      Deno.writeTextFileSync(`${folder}/helper.c`, texts.join(""));
      const args = ["-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-fno-strict-aliasing", "-w"];
      const { success, stderr } = await new Deno.Command("cc", {
        args: [...args, "-frounding-math", "-o", made, `${folder}/helper.c`, "-ldl", "-lm"],
      }).output();
      assert(success, new TextDecoder().decode(stderr));
      const env = { TRAPDOOR_NATIVE: made }, cache = `${folder}/cache`;
      assert(isHelper(made));
      assertRan(await finish(start(cache, FORCED, env)));
      const helpers = [...Deno.readDirSync(cache)].filter(({ name }) =>
        name.endsWith(SUFFIX) && isHelper(`${cache}/${name}`)
      );
      assertEquals(helpers, []);
      // Of another version: one word of the layout's hash.
      Deno.writeTextFileSync(
        `${folder}/old.c`,
        texts.join("").replace(/(LAYOUT_HASH 0x)(.)/, (_, a, b) => a + (b === "1" ? "2" : "1")),
      );
      const old = `${folder}/old${SUFFIX}`;
      await new Deno.Command("cc", { args: [...args, "-o", old, `${folder}/old.c`, "-ldl", "-lm"] })
        .output();
      const { code, out, err } = await finish(start(cache, FORCED, { TRAPDOOR_NATIVE: old }));
      assertEquals([code, out], [1, ""]);
      assertStringIncludes(err, "it was built for another version of Trapdoor; build it anew");
    }),
);

/** Whether a library is a helper, by one of its messages. */
function isHelper(path: string): boolean {
  const text = new TextDecoder("latin1").decode(Deno.readFileSync(path));
  return text.includes("unknown error");
}

const ABSENCES: [what: string, flags: string[], env: Record<string, string>, says: string][] = [
  ["there is no compiler", ["-A"], { TRAPDOOR_CC: "/nonexistent/cc" }, "no C compiler"],
  ["the compiler fails", ["-A"], { TRAPDOOR_CC: "false" }, "Cannot compile with"],
  ["FFI is not allowed", ["-A", "--deny-ffi"], {}, "--allow-ffi"],
  ["running is not allowed", ["-A", "--deny-run"], {}, "--allow-run="],
  ["the cache can't be written", ["-A", "--deny-write"], {}, "--allow-write="],
  ["the helper is of another version", ["-A"], { TRAPDOOR_NATIVE: "/dev/null" }, "Cannot load"],
];
for (const [what, flags, env, says] of ABSENCES) {
  testWith(
    ["cc"],
    `mod.ts --tier=native says what to do when ${what}`,
    () =>
      withFolder(async (folder) => {
        const args = [...flags, "mod.ts", "--tier=native", HELLO];
        const { code, out, err } = await finish(start(folder, args, env));
        assertEquals([code, out], [1, ""], err);
        assertStringIncludes(err, "trapdoor: Cannot use the native tier: ");
        assertStringIncludes(err, says);
        assert(!err.includes("    at "), err);
      }),
  );
}

Deno.test("nativeProblem is found without loading what makes native code", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", new URL("../ffi/availability.ts", import.meta.url).pathname],
    cwd: ROOT,
  }).output();
  const modules: { specifier: string }[] = JSON.parse(new TextDecoder().decode(stdout)).modules;
  assert(modules.length > 2);
  for (const { specifier } of modules) {
    assert(!/^node:|\/ffi\/(native|tier|cache|builder)\.ts$/.test(specifier), specifier);
  }
});

// ---- helper and translations ----

testWith(["cc"], "Helper.load says why when a translation can't be used", async () => {
  using tools = await nativeTools();
  const pair = new Pair(64), helper = new Helper(tools.helper, pair.spaces[0].arena);
  assertThrows(() => helper.load("/nonexistent.so"), HelperError, "nonexistent");
  assertThrows(() => helper.load(tools.helper), HelperError, "not a translation");
  assertThrows(() => helper.load("x".repeat(5000)), HelperError, "too long");
  helper.unload(1);
  helper.close();
});

/** Runs a translation in a program of its own, on a copy of an arena's first bytes in a file. */
const HARNESS = `
#include <stdio.h>
int main(int argc, char **argv) {
  size_t size = strtoul(argv[3], 0, 0);
  u8 *arena = calloc(1, size);
  FILE *file = fopen(argv[2], "r+b");
  struct context *c;
  u32 handle;
  (void)argc;
  if (!arena || !file || fread(arena, 1, size, file) != size) return 2;
  if (trapdoor(arena, COMMAND_HANDSHAKE, 0) != TRAPDOOR_ABI) return 3;
  c = (struct context *)(size_t)trapdoor(arena, COMMAND_OPEN, 0);
  if (!c) return 4;
  memcpy(arena + PATH_OFFSET, argv[1], strlen(argv[1]) + 1);
  handle = (u32)trapdoor(c, COMMAND_LOAD, 0);
  if (!handle) return fprintf(stderr, "%s", (char *)arena + PATH_OFFSET), 5;
  printf("%u", (u32)trapdoor(c, COMMAND_RUN, strtoul(argv[4], 0, 0)));
  if (trapdoor(c, COMMAND_UNLOAD, handle) || !trapdoor(c, COMMAND_UNLOAD, handle)) return 6;
  trapdoor(c, COMMAND_CLOSE, 0);
  rewind(file);
  if (fwrite(arena, 1, PAGES_OFFSET, file) != PAGES_OFFSET || fclose(file)) return 7;
  free(arena);
  return 0;
}
`;
const SANITIZE = [
  "-x",
  "c",
  "-g",
  "-O1",
  "-w",
  "-fno-strict-aliasing",
  "-frounding-math",
  "-ffp-contract=off",
  "-fno-math-errno",
  "-fsanitize=address,undefined",
  "-fno-sanitize-recover=all",
];

testWith(
  ["cc"],
  "translations and helper do nothing undefined when sanitizers watch random programs",
  () =>
    withFolder(async (folder) => {
      using tools = await nativeTools();
      const native = new URL("../ffi/native/", import.meta.url);
      const texts = SOURCES.map((name) => Deno.readTextFileSync(new URL(name, native)));
      const cc = (source: string, output: string, flags: string[]) => {
        const input = `${output}.c`;
        Deno.writeTextFileSync(input, source);
        tools.builder.compiler!.runSync([
          ...SANITIZE,
          ...flags,
          "-o",
          output,
          input,
          "-lm",
          "-ldl",
        ]);
      };
      cc(texts.join("") + HARNESS, `${folder}/harness`, []);
      const FUEL = 100_000;
      let executed = 0;
      for (const [seed, kind] of (["int", "float", "atomic", "float"] as const).entries()) {
        const pair = new Pair(64, 1 << 20), { arena } = pair.spaces[0];
        pair.load(programImage(generate(700 + seed, { xlen: 64, kind, size: 200 })), {});
        const { interpreted } = pair, lift = (pc: number) => interpreted.lift(pc);
        const size = GUEST_OFFSET + arena.guestBytes;
        // The place from which most is executed, of some: many programs leave soon for what is the interpreter's.
        let best = {
          done: 0,
          pc: 0,
          text: "",
          before: new Uint8Array(0),
          after: new Uint8Array(0),
        };
        let next = 0;
        for (let turn = 0; turn < 10; turn++) {
          if (interpreted.run(20) !== 0) break;
          const { pc } = interpreted, unit = formUnit(formRegion(pc, lift)!, lift, []);
          const text = new Emitter(unit).emit();
          const helper = new Helper(tools.helper, arena);
          helper.load(tools.builder.buildSync(tools.builder.unitJob(text, 0, 1)));
          const kept = arena.all8.slice(0, size);
          interpreted.words[FUEL_WORD] = FUEL;
          const before = arena.all8.slice(0, size), to = helper.run(pc);
          helper.close();
          const done = FUEL - interpreted.words[FUEL_WORD];
          if (done > best.done) {
            best = { done, pc, text, before, after: arena.all8.slice(0, EXIT_PC_SLOT * 8) };
            next = to;
          }
          arena.all8.set(kept);
        }
        executed += best.done;
        cc(`#define UNIT\n${texts.slice(0, -1).join("")}${best.text}`, `${folder}/unit.so`, [
          "-shared",
          "-fPIC",
        ]);
        Deno.writeFileSync(`${folder}/arena`, best.before);
        const { code, stdout, stderr } = new Deno.Command(`${folder}/harness`, {
          args: [`${folder}/unit.so`, `${folder}/arena`, `${size}`, `${best.pc}`],
          env: { ASAN_OPTIONS: "detect_leaks=0" },
          stdin: "null",
        }).outputSync();
        assertEquals(code, 0, new TextDecoder().decode(stderr));
        assertEquals(new TextDecoder().decode(stdout), `${next}`);
        const after = Deno.readFileSync(`${folder}/arena`).subarray(0, EXIT_PC_SLOT * 8);
        assertEquals(after, best.after);
      }
      assert(executed > 100, `${executed} instructions were executed`);
    }),
);
