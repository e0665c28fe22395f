/** A bundle does what the modules do. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { observe } from "../cli/observe.ts";
import { VERSION } from "../version.ts";
import { file, run, type RunOptions, withFolder } from "./emulator.ts";
import { serveLoopback } from "./registry.ts";
import { bundlerMissing, testUnless } from "./tools.ts";

const missing = await bundlerMissing();
const HELLO = file("guest/bin/riscv64/hello"), ANSWERS = file("guest/examples/hello.ts");

/** Makes a bundle by the tool's command line. */
async function makeBundle(folder: string): Promise<string> {
  const dist = `${folder}/dist`;
  const made = await deno([file("cli/bundle.ts"), dist]);
  assertEquals(made.code, 0, made.stderr);
  return dist;
}

function deno(args: readonly string[], options: RunOptions & { cache?: string } = {}) {
  const { HOME, DENO_DIR, PATH } = Deno.env.toObject();
  const own = Object.entries({ HOME, DENO_DIR, PATH }).filter(([, value]) => value !== undefined);
  const env = { ...Object.fromEntries(own), NO_COLOR: "1", TRAPDOOR_CACHE: options.cache ?? "off" };
  return run([Deno.execPath(), "run", "-A", "--no-prompt", ...args], { ...options, env });
}

testUnless(
  missing === undefined ? [] : [missing],
  "a bundle does what mod.ts does when it stands elsewhere",
  async (t) => {
    await withFolder(async (folder) => {
      const dist = await makeBundle(folder), program = `${dist}/mod.js`;
      await t.step("it says its version", async () => {
        assertEquals((await deno([program, "--version"])).stdout, `${VERSION}\n`);
      });
      await t.step("it runs the demo", async () => {
        const [own, modules] = await Promise.all([deno([program]), deno([file("mod.ts")])]);
        assertStringIncludes(own.stdout, "Goodbye");
        assertEquals(own, modules);
      });
      await t.step("it calls a module of the user's", async () => {
        const [own, modules] = [program, file("mod.ts")].map((main) =>
          deno([main, "--backdoor", ANSWERS, HELLO])
        );
        assertEquals(await own, await modules);
        assertEquals((await own).code, 0);
      });
      await t.step("it keeps translated code, and takes it back", async () => {
        const cache = `${folder}/cache`;
        const [first, second] = [
          await deno([program, HELLO], { cache }),
          await deno([program, HELLO], { cache }),
        ];
        assertEquals(second, first);
        const entries = [...Deno.readDirSync(cache)].filter(({ name }) => name.endsWith(".code"));
        assertEquals(entries.length, 1);
        // Another bundle may translate in another way.
        const other = `${folder}/other`;
        await Deno.mkdir(other);
        for await (const { name, isFile } of Deno.readDir(dist)) {
          if (!isFile) continue;
          const text = await Deno.readTextFile(`${dist}/${name}`);
          const place = `${other}/${name.replace("start-", "start-0")}`;
          await Deno.writeTextFile(place, text.replaceAll("/start-", "/start-0"));
        }
        assertEquals(await deno([`${other}/mod.js`, HELLO], { cache }), first);
        assertEquals(
          [...Deno.readDirSync(cache)].filter(({ name }) => name.endsWith(".code")).length,
          2,
        );
      });
      await t.step(
        "it loads two files to run a stored program, compiled with what is called",
        async () => {
          const env = { NO_COLOR: "1", TRAPDOOR_CACHE: `${folder}/observed` };
          await observe([program, HELLO], env);
          const loaded = await observe([program, HELLO], env);
          const names = [...loaded.keys()].map((url) => url.slice(url.lastIndexOf("/") + 1));
          assertEquals(names.map((name) => name.replace(/-.*/, "-")).sort(), ["mod.js", "start-"]);
          const start = [...loaded].find(([url]) => url.includes("/start-"))!, functions = start[1];
          const text = await Deno.readTextFile(new URL(start[0]));
          const hinted = functions.filter((range) => text[range.start - 1] === "(");
          assert(hinted.length > 150, `${hinted.length} of ${functions.length} functions`);
        },
      );
      await t.step("it needs no permission but to read, and says which file it lacks", async () => {
        const reading = async (paths: string) => {
          const { stdout, stderr } = await run(
            [Deno.execPath(), "run", "--no-prompt", `--allow-read=${paths}`, program, HELLO],
            { env: { ...Deno.env.toObject(), NO_COLOR: "1" } },
          );
          return [stdout, stderr];
        };
        assertEquals(await reading(`${HELLO},${dist}`), ["guest: nobody answers\n", ""]);
        assertMatch(
          (await reading(HELLO))[1],
          /Requires read access to ".*\.js", run again with the --/,
        );
      });
      await t.step("it compiles to native code", async () => {
        const cache = `${folder}/native`;
        const ran = await deno([
          program,
          "--tier=native",
          "--stats=json",
          "--backdoor",
          ANSWERS,
          HELLO,
        ], { cache });
        assertEquals(ran.code, 0, ran.stderr);
        assert(JSON.parse(ran.stderr.trim().split("\n").at(-1)!).tiers.native > 0.1, ran.stderr);
      });
      await t.step("it runs a machine", async () => {
        // lui t0,0x100; lui t1,0x5; addi t1,t1,0x555; sw t1,0(t0): power off.
        const words = Uint32Array.of(0x001002b7, 0x00005337, 0x55530313, 0x0062a023, 0x0000006f);
        await Deno.writeFile(`${folder}/firmware`, new Uint8Array(words.buffer));
        const machine = ["--machine", "virt", "--bios", `${folder}/firmware`, "--stats=json"];
        const ran = await deno([program, ...machine]);
        assertEquals(ran.code, 0, ran.stderr);
        assertEquals(JSON.parse(ran.stderr).instructions, 4);
      });
      await t.step("it is loaded by URL with few requests", async () => {
        await using site = serveLoopback(async (path) =>
          new Response(await Deno.readFile(`${dist}${path}`), {
            headers: { "content-type": "text/javascript" },
          })
        );
        const cached = `${folder}/deno`;
        await run([Deno.execPath(), "cache", "--allow-import", `${site.url}mod.js`], {
          env: { DENO_DIR: cached, HOME: folder },
        });
        assertEquals(site.requests.length, 2, site.requests.join());
        const hello = ["--backdoor", ANSWERS, HELLO];
        const served = await run(
          [Deno.execPath(), "run", "-A", "--quiet", `${site.url}mod.js`, ...hello],
          { env: { DENO_DIR: cached, HOME: folder, NO_COLOR: "1", TRAPDOOR_CACHE: "off" } },
        );
        const own = await deno([program, ...hello]);
        assertEquals(served, own);
        assertEquals(own.code, 0, own.stderr);
        assert(site.requests.length < 30, site.requests.join());
      });
      await t.step("it is not made over something else", async () => {
        const again = await deno([file("cli/bundle.ts"), dist]);
        assertEquals(again.code, 1);
        assertMatch(again.stderr, /^Cannot make a bundle in .*: it is not empty/);
      });
    });
  },
);
