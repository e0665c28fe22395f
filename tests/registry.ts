/**
 * A JSR registry on loopback that serves folders of this checkout, for tests of what users get from the real one.
 *
 * Source of the protocol: JSR documentation, "API", section "JSR Registry API".
 *
 * @module
 */

/** A package as a registry has it. */
export interface Package {
  /** Name with its scope, such as "@std/cli". */
  readonly name: string;
  /** Its only version. */
  readonly version: string;
  /** Entry points: names to paths, both starting with "./". */
  readonly exports: Readonly<Record<string, string>>;
  /** Files by path, starting with "/". */
  readonly files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

/** A server on loopback. */
export interface Loopback extends AsyncDisposable {
  /** Where it is, with a final slash. */
  readonly url: string;
  /** Its host and port, as `--allow-net` and `--allow-import` take them. */
  readonly host: string;
  /** Paths asked for, in order. */
  readonly requests: string[];
}

/** Serves HTTP on a free port of 127.0.0.1 until it is disposed of. */
export function serveLoopback(respond: (path: string) => Promise<Response>): Loopback {
  const requests: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const path = new URL(request.url).pathname;
    requests.push(path);
    return respond(path);
  });
  const host = `127.0.0.1:${server.addr.port}`;
  return {
    url: `http://${host}/`,
    host,
    requests,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Reads a package from a folder with a `deno.json` in it; only `.ts` files are part of it. */
export async function readPackage(folder: URL): Promise<Package> {
  const { name, version, exports } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", folder)),
  );
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile && name.endsWith(".ts")) {
      files.set(`/${name}`, await Deno.readFile(new URL(name, folder)));
    }
  }
  return {
    name,
    version,
    exports: typeof exports === "string" ? { ".": exports } : exports,
    files,
  };
}

async function checksum(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `sha256-${[...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** The documents of a package by path. */
async function documents(pack: Package): Promise<Map<string, BodyInit>> {
  const [scope, name] = pack.name.slice(1).split("/");
  const base = `/${pack.name}`;
  const manifest: Record<string, { size: number; checksum: string }> = {};
  const found = new Map<string, BodyInit>();
  for (const [path, bytes] of pack.files) {
    manifest[path] = { size: bytes.length, checksum: await checksum(bytes) };
    found.set(`${base}/${pack.version}${path}`, bytes);
  }
  const meta = { scope, name, latest: pack.version, versions: { [pack.version]: {} } };
  found.set(`${base}/meta.json`, JSON.stringify(meta));
  // Without "moduleGraph2" Deno parses the files itself, as it does for what is not from a registry.
  found.set(
    `${base}/${pack.version}_meta.json`,
    JSON.stringify({ manifest, exports: pack.exports }),
  );
  return found;
}

/** Serves packages as JSR does; give its `url` to Deno as `JSR_URL`. */
export async function serveRegistry(packages: readonly Package[]): Promise<Loopback> {
  const all = new Map((await Promise.all(packages.map(documents))).flatMap((map) => [...map]));
  return serveLoopback((path) => {
    const body = all.get(path);
    if (body === undefined) return Promise.resolve(new Response("not found", { status: 404 }));
    const type = path.endsWith(".json") ? "application/json" : "text/typescript";
    return Promise.resolve(new Response(body, { headers: { "content-type": type } }));
  });
}
