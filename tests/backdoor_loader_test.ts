import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { BackdoorModuleError, checkCallbacks, type ModuleFailure } from "../backdoor/callbacks.ts";
import { loadCallbacks, moduleUrl } from "../backdoor/loader.ts";
import { NOT_HANDLED } from "../backdoor/types.ts";

const DATA = "data:application/typescript,";
/** A module as a data: URL. */
const data = (code: string) => DATA + encodeURIComponent(code);

/** Expects a failure with a reason; returns it. */
async function fails(
  source: Parameters<typeof loadCallbacks>[0],
  reason: ModuleFailure,
  ...parts: string[]
): Promise<BackdoorModuleError> {
  const error = await assertRejects(() => loadCallbacks(source), BackdoorModuleError);
  assert(error instanceof BackdoorModuleError);
  assertEquals(error.reason, reason, error.message);
  for (const part of parts) assertStringIncludes(error.message, part);
  return error;
}

/** Writes modules to a folder that goes away afterwards. */
async function withModules(
  modules: Record<string, string>,
  use: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "trapdoor loader #%" }));
  try {
    for (const [name, code] of Object.entries(modules)) {
      await Deno.writeTextFile(`${folder}/${name}`, code);
    }
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("loadCallbacks loads a module when it is named by path or URL", async () => {
  const code = "export function call(): number { return 6; }\nexport const other = 1;";
  await withModules({ "a module #1%41.ts": code }, async (folder) => {
    const path = `${folder}/a module #1%41.ts`;
    const byPath = await loadCallbacks(path);
    assertEquals(byPath.name, moduleUrl(path));
    assert(byPath.name.startsWith("file:///"), byPath.name);
    const byUrl = await loadCallbacks(new URL(byPath.name));
    for (const { call, init, event, fini, typed } of [byPath, byUrl]) {
      assertEquals((call as () => unknown)(), 6);
      assertEquals([init, event, fini, typed], [undefined, undefined, undefined, undefined]);
    }
  });
  const { name, call } = await loadCallbacks(data(code));
  assertEquals((call as () => unknown)(), 6);
  assert(name.startsWith(DATA));
});

/** Loads modules in a process of its own, which writes no lock file; returns a line for each. */
async function loadElsewhere(sources: string[], permissions: string[]): Promise<string[]> {
  const loader = new URL("../backdoor/loader.ts", import.meta.url).href;
  const main = `
    import { loadCallbacks } from ${JSON.stringify(loader)};
    for (const source of ${JSON.stringify(sources)}) {
      await loadCallbacks(source).then(
        ({ name, call }) => console.log("loaded", name, call()),
        ({ name, reason, message }) => console.log(name, reason, message.replaceAll("\\n", " ")),
      );
    }`;
  let lines: string[] = [];
  await withModules({ "main.ts": main }, async (folder) => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--no-config",
        "--no-lock",
        ...permissions,
        "main.ts",
      ],
      cwd: folder,
      env: { NO_COLOR: "1" },
    }).output();
    const decoder = new TextDecoder();
    lines = decoder.decode(stdout).trim().split("\n");
    assertEquals([code, lines.length], [0, sources.length], decoder.decode(stderr));
  });
  return lines;
}

Deno.test("loadCallbacks loads a module from a server on loopback", async () => {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) =>
      new URL(request.url).pathname === "/cb.ts"
        ? new Response("export const call = (): number => 7;", {
          headers: { "content-type": "application/typescript" },
        })
        : new Response("no such module", { status: 404 }),
  );
  try {
    const host = `127.0.0.1:${server.addr.port}`, base = `http://${host}`;
    const [loaded, missing] = await loadElsewhere(
      [`${base}/cb.ts`, `${base}/nothing.ts`],
      [`--allow-import=${host}`],
    );
    assertEquals(loaded, `loaded ${base}/cb.ts 7`);
    assertStringIncludes(
      missing,
      `BackdoorModuleError missing Cannot load callback module ${base}`,
    );
    assertStringIncludes(missing, "check the path");
  } finally {
    await server.shutdown();
  }
});

Deno.test("loadCallbacks rejects when a module is missing or broken", async () => {
  const modules = {
    "syntax.ts": "export function call( {",
    "imports_missing.ts": 'import "./nothing.ts"; export const call = () => 0;',
    "imports_name.ts": 'import { nope } from "./good.ts"; export const call = () => nope;',
    "throws.ts": 'export const call = () => 0; throw new RangeError("at load");',
    "throws_text.ts": 'throw "text";',
    "rejects.ts": 'await Promise.reject(new Error("later"));',
    "good.ts": "export const call = () => 0;",
  };
  await withModules(modules, async (folder) => {
    const at = (name: string) => `${folder}/${name}`;
    await fails(at("none.ts"), "missing", moduleUrl(at("none.ts")), "check the path");
    await fails(at("imports_missing.ts"), "missing", "nothing.ts");
    await fails(folder, "missing");
    const syntax = await fails(at("syntax.ts"), "syntax", moduleUrl(at("syntax.ts")));
    assert(!syntax.message.includes("\x1b"), "no colours");
    await fails(at("imports_name.ts"), "syntax", "nope");
    const threw = await fails(at("throws.ts"), "threw", "it threw while it was loaded: at load");
    assert(threw.cause instanceof RangeError);
    assertEquals(threw.module, moduleUrl(at("throws.ts")));
    await fails(at("throws_text.ts"), "threw", '"text"');
    await fails(at("rejects.ts"), "threw", "later");
  });
  await fails(data("export const x = ;"), "syntax");
  await fails("", "missing", "its name is empty");
});

Deno.test("loadCallbacks rejects when nobody serves the module", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const host = `127.0.0.1:${listener.addr.port}`;
  listener.close();
  const [line] = await loadElsewhere([`http://${host}/x.ts`], [`--allow-import=${host}`]);
  assertStringIncludes(line, "BackdoorModuleError network Cannot load callback module");
  assertStringIncludes(line, "check its name and the network");
});

Deno.test("moduleUrl resolves a plain path against the current directory", () => {
  const cwd = moduleUrl(".");
  assertEquals(new URL(cwd).protocol, "file:");
  const base = cwd.replace(/\/?$/, "/");
  assertEquals(moduleUrl("callbacks.ts"), `${base}callbacks.ts`);
  assertEquals(moduleUrl("./a b/../c?d#e.ts"), `${base}c%3Fd%23e.ts`);
  assertEquals(moduleUrl("./foo:bar.ts"), `${base}foo%3Abar.ts`);
  assertEquals(moduleUrl("/x/y.ts"), "file:///x/y.ts");
  assertEquals(moduleUrl("file:///x/y.ts"), "file:///x/y.ts");
  for (const url of ["npm:thing@1", "jsr:@a/b", "data:text/javascript,1"]) {
    assertEquals(moduleUrl(url), url);
  }
  assertEquals(moduleUrl(new URL("https://example.org/x.ts")), "https://example.org/x.ts");
});

Deno.test("moduleUrl takes http: on loopback only", () => {
  for (
    const host of ["localhost", "localhost:80", "127.0.0.1:8000", "127.1.2.3", "127.1", "[::1]:9"]
  ) {
    assertEquals(moduleUrl(`http://${host}/x.ts`), new URL(`http://${host}/x.ts`).href);
  }
  const others = [
    "example.org",
    "localhost.example.org",
    "127.0.0.1.example.org",
    "10.0.0.1",
    "0.0.0.0",
    "[::2]",
    "user@example.org",
    "127.0.0.1@example.org",
  ];
  for (const host of others) {
    const error = assertThrows(() => moduleUrl(`http://${host}/x.ts`), BackdoorModuleError);
    assertStringIncludes(error.message, "http: is allowed on loopback only");
    assertStringIncludes(error.message, "try https://");
  }
});

Deno.test("moduleUrl refuses other schemes and says what is possible", () => {
  for (const url of ["ftp://x/y.ts", "node:fs", "blob:null/123", "foo:bar.ts", "ws://x/y"]) {
    const error = assertThrows(() => moduleUrl(url), BackdoorModuleError);
    assertStringIncludes(error.message, "is not one of file:, https:");
    assertStringIncludes(error.message, `write ./${url}`);
  }
  for (const url of ["https://", "http://[bad/x.ts", "https:///"]) {
    assertThrows(() => moduleUrl(url), BackdoorModuleError);
  }
});

Deno.test("loadCallbacks names the flag when Deno may not load the module", async () => {
  const lines = await loadElsewhere(
    ["file:///tmp/x.ts", "relative.ts", "https://example.org/x.ts"],
    [],
  );
  for (const [i, flag] of ["--allow-read", "--allow-read", "--allow-import"].entries()) {
    assertStringIncludes(lines[i], "BackdoorModuleError permission Cannot load callback module");
    assertStringIncludes(lines[i], flag);
  }
});

Deno.test("checkCallbacks rejects when nothing useful is exported", async () => {
  await fails(data("export {}"), "exports", "it exports nothing", "defineChannel");
  await fails(data("const hidden = 1; hidden;"), "exports", "it exports nothing");
  await fails(
    data("export const Call = () => 0, onCall = 1;"),
    "exports",
    "it exports only Call, onCall",
    "export functions init, call, event or fini",
  );
  await fails(
    data("export default { call() { return 1; } };"),
    "exports",
    "default is not made by defineChannel",
  );
  await fails({}, "exports", "Cannot use the backdoor object");
});

Deno.test("checkCallbacks rejects when an export has the wrong kind", async () => {
  await fails(data("export const call = 42;"), "exports", "its call is 42, not a function");
  await fails(
    data("export const init = null, call = () => 0;"),
    "exports",
    "its init is null, not a function",
  );
  await fails(data('export const fini = "x";'), "exports", "its fini is");
  for (const nonsense of [null, 5, undefined, () => 1]) {
    assertThrows(() => checkCallbacks(nonsense as unknown as object), BackdoorModuleError);
  }
});

Deno.test("checkCallbacks takes a typed channel as default, with init and fini beside it", async () => {
  const define = JSON.stringify(new URL("../backdoor/mod.ts", import.meta.url).href);
  const code = (more: string) => `
    import { command, defineChannel, u32 } from ${define};
    export default defineChannel({ twice: command(1, { x: u32 }, u32, (_cpu, { x }) => 2 * x) });
    ${more}`;
  await withModules({
    "plain.ts": code(""),
    "more.ts": code("export function init() {} export async function fini() {}"),
    "both.ts": code("export function call() {}"),
  }, async (folder) => {
    const plain = await loadCallbacks(`${folder}/plain.ts`);
    assert(plain.typed && plain.call && !plain.event && !plain.init);
    assertEquals(Object.keys(plain.typed.definition), ["twice"]);
    const more = await loadCallbacks(`${folder}/more.ts`);
    assert(more.typed && more.call && more.init && more.fini);
    await fails(`${folder}/both.ts`, "exports", "it exports call beside a default channel");
  });
});

Deno.test("NOT_HANDLED is the same for a callback module with another copy of the types", async () => {
  const source = await Deno.readTextFile(new URL("../backdoor/types.ts", import.meta.url));
  const copy = source.replace(/^(import|export) type .*$/gm, "").replace(
    /readonly memory: AddressSpace;/,
    "",
  );
  const other = await import(data(copy));
  assertEquals(other.NOT_HANDLED, NOT_HANDLED);
});
