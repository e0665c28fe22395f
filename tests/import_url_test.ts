/** What users get who import Trapdoor from a web server, or from a registry instead of the local stand-ins. */
import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { VERSION } from "../version.ts";
import { type Loopback, readPackage, serveLoopback, serveRegistry } from "./registry.ts";
import { testWith } from "./tools.ts";

const ROOT = new URL("../", import.meta.url);
const TYPES: Record<string, string> = {
  ts: "application/typescript; charset=utf-8",
  json: "application/json",
  md: "text/markdown; charset=utf-8",
};

/** Serves the files of the checkout. */
function serveCheckout(): Loopback {
  return serveLoopback(async (path) => {
    try {
      const body = await Deno.readFile(new URL(`.${path}`, ROOT));
      const type = TYPES[path.split(".").pop()!] ?? "application/octet-stream";
      return new Response(body, { headers: { "content-type": type } });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return new Response("not found", { status: 404 });
    }
  });
}

/** Serves the stand-ins as the registry would. */
async function serveStandIns(): Promise<Loopback> {
  const folders = ["std/assert/", "std/cli/"].map((path) => new URL(path, ROOT));
  return serveRegistry(await Promise.all(folders.map(readPackage)));
}

/** A scratch folder with a `work` folder to run in, which has no deno.json, and an empty cache. */
interface Scratch extends AsyncDisposable {
  readonly work: string;
  /** Runs Deno there; `env` comes on top of an environment that has nothing but the cache's place. */
  deno(args: string[], env?: Record<string, string>): Promise<Result>;
}

interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

async function scratch(): Promise<Scratch> {
  const folder = await Deno.makeTempDir({ prefix: "trapdoor-import-" });
  const work = `${folder}/work`;
  await Deno.mkdir(work);
  return {
    work,
    async deno(args, env = {}) {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args,
        cwd: work,
        clearEnv: true,
        env: { DENO_DIR: `${folder}/cache`, NO_COLOR: "1", ...env },
        stdin: "null",
      }).output();
      const text = new TextDecoder();
      return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
    },
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

/** A registry that can't be reached: nothing listens on the discard port. */
const NO_REGISTRY = { JSR_URL: "http://127.0.0.1:9/" };

Deno.test("mod.ts runs a machine from bytes when it is imported by URL", async () => {
  await using site = serveCheckout();
  await using here = await scratch();
  await Deno.writeTextFile(
    `${here.work}/use.ts`,
    `import { Machine } from "${site.url}mod.ts";
     const response = await fetch("${site.url}guest/bin/riscv64/hello");
     const calls: number[] = [];
     const machine = await Machine.user({
       program: new Uint8Array(await response.arrayBuffer()),
       stdout: () => {},
       backdoor: { call: (_cpu, command) => calls.push(command) },
     });
     const result = await machine.run();
     console.log(JSON.stringify({ reason: result.reason, calls: calls.length > 0 }));
    `,
  );
  const result = await here.deno(
    ["run", "--no-prompt", `--allow-import=${site.host}`, `--allow-net=${site.host}`, "use.ts"],
    NO_REGISTRY,
  );
  assertEquals(result.code, 0, result.stderr);
  assertEquals(JSON.parse(result.stdout), { reason: "exit", calls: true });
  assert(site.requests.includes("/mod.ts"));
});

testWith(
  ["cc"],
  "mod.ts fetches the native helper's source when it is imported by URL",
  async () => {
    await using site = serveCheckout();
    await using here = await scratch();
    const program = decodeURIComponent(new URL("guest/bin/riscv64/hello", ROOT).pathname);
    await Deno.writeTextFile(
      `${here.work}/use.ts`,
      `import { Machine } from "${site.url}mod.ts";
     const program = "${program}";
     const machine = await Machine.user({ program, tier: "native", stdout: () => {} });
     await machine.run();
     console.log(machine.stats().tiers.native);
     await machine.close();
    `,
    );
    const env = { TRAPDOOR_CACHE: `${here.work}/native`, PATH: Deno.env.get("PATH")! };
    const { code, stdout, stderr } = await here.deno(["run", "-A", "use.ts"], {
      ...NO_REGISTRY,
      ...env,
    });
    assertEquals(code, 0, stderr);
    assert(Number(stdout) > 0.9, stdout + stderr);
    assert(site.requests.includes("/ffi/native/helper.c"));
  },
);

Deno.test("mod.ts runs a program when it is started by URL with a callback module by URL", async () => {
  await using site = serveCheckout();
  await using registry = await serveStandIns();
  await using here = await scratch();
  const program = decodeURIComponent(new URL("guest/bin/riscv64/hello", ROOT).pathname);
  const backdoor = `${site.url}guest/examples/hello.ts`;
  const result = await here.deno(
    ["run", "-A", `${site.url}mod.ts`, "--backdoor", backdoor, program],
    { JSR_URL: registry.url },
  );
  assertEquals(result.code, 0, result.stderr);
  assert(site.requests.includes("/guest/examples/hello.ts"));
  assert(registry.requests.includes("/@std/cli/meta.json"));
});

Deno.test("mod.ts runs the demo when it is started by URL with nothing else", async () => {
  await using site = serveCheckout();
  await using registry = await serveStandIns();
  await using here = await scratch();
  const result = await here.deno(["run", "-A", `${site.url}mod.ts`], { JSR_URL: registry.url });
  assertEquals(result.code, 0, result.stderr);
  assertStringIncludes(result.stdout, "This is TypeScript");
  assertStringIncludes(result.stdout, "Goodbye");
});

Deno.test("mod.ts needs no permission of its own when it is started by URL", async () => {
  await using site = serveCheckout();
  await using registry = await serveStandIns();
  await using here = await scratch();
  const args = ["run", "--no-prompt", `${site.url}mod.ts`, "--version"];
  const result = await here.deno(args, { JSR_URL: registry.url });
  assertEquals(result.code, 0, result.stderr);
  assertEquals(result.stdout, `${VERSION}\n`);
});

Deno.test("the checkout works with packages of a registry when links is deleted", async () => {
  await using registry = await serveStandIns();
  await using here = await scratch();
  const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  assert(Array.isArray(config.links), "deno.json has no links");
  const { imports, compilerOptions } = config;
  await Deno.writeTextFile(
    `${here.work}/deno.json`,
    JSON.stringify({ imports, compilerOptions }),
  );
  const path = (name: string) => decodeURIComponent(new URL(name, ROOT).pathname);
  const env = { JSR_URL: registry.url };
  const options = ["--no-lock", "--config", "deno.json"];
  const version = await here.deno(["run", "-A", ...options, path("mod.ts"), "--version"], env);
  assertEquals(version.code, 0, version.stderr);
  const tests = await here.deno(
    ["test", "-A", ...options, path("tests/op_numbers_test.ts")],
    env,
  );
  assertEquals(tests.code, 0, tests.stdout + tests.stderr);
  const asked = new Set(registry.requests);
  for (
    const { name, version, exports } of await Promise.all(
      ["std/assert/", "std/cli/"].map((folder) => readPackage(new URL(folder, ROOT))),
    )
  ) {
    const file = Object.values(exports)[0].slice(1);
    assert(asked.has(`/${name}/${version}${file}`), `${name} was not asked for`);
  }
});

Deno.test("the registry answers with a checksum that Deno checks", async () => {
  const name = "@std/cli", version = "1.0.0", exports = { "./parse-args": "./parse_args.ts" };
  const bytes = new TextEncoder().encode("export const parseArgs = 1;\n");
  const files = new Map([["/parse_args.ts", bytes]]);
  await using registry = await serveRegistry([{ name, version, exports, files }]);
  await using here = await scratch();
  const source = `import { parseArgs } from "jsr:@std/cli@1/parse-args"; console.log(parseArgs);`;
  await Deno.writeTextFile(`${here.work}/use.ts`, source);
  const good = await here.deno(["run", "use.ts"], { JSR_URL: registry.url });
  assertEquals(good.stdout, "1\n", good.stderr);
  // The manifest was made of these bytes; the file is served after they change.
  bytes.set(new TextEncoder().encode("2"), 25);
  await using other = await scratch();
  await Deno.writeTextFile(`${other.work}/use.ts`, source);
  const bad = await other.deno(["run", "use.ts"], { JSR_URL: registry.url });
  assertNotEquals(bad.code, 0);
  assertStringIncludes(bad.stderr, "ntegrity");
});
