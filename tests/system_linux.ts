/**
 * A Linux kernel for riscv64 and a busybox userland out of Debian's packages, for tests: fetched by name into the cache
 * of bench/lib/build.ts with an apt configuration of its own, unpacked, never installed.
 *
 * @module
 */
import { fail } from "@std/assert";
import { cacheDirectory } from "../bench/lib/build.ts";
import { run } from "./emulator.ts";
import { tool } from "./tools.ts";

const SUITE = "trixie", MIRROR = "http://deb.debian.org/debian";
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** What is missing for tests with Linux. The kernel's package has 112 MB, so it is fetched only when asked for. */
export function missingForLinux(): string[] {
  const tools = ["apt-get", "dpkg-deb", "xz"].filter((name) => tool(name) === undefined);
  if (Deno.env.get("TRAPDOOR_LINUX") === "1" || Deno.env.get("CI") === "true") return tools;
  return ["TRAPDOOR_LINUX=1 (it fetches 113 MB)", ...tools];
}

/** Unpacked packages. */
export interface LinuxFiles {
  /** Path of the kernel image. */
  kernel: string;
  /** Path of a static busybox. */
  busybox: string;
  /** Folder with the kernel's modules, up to "kernel". */
  modules: string;
}

async function must(command: string[], env?: Record<string, string>): Promise<string> {
  const { PATH } = Deno.env.toObject();
  const ran = await run(command, { timeout: 300, ...(env ? { env: { PATH, ...env } } : {}) });
  if (ran.code !== 0) fail(`${command.join(" ")} ends with ${ran.code}: ${ran.stderr}`);
  return ran.stdout;
}

async function only(folder: string, pattern: RegExp): Promise<string> {
  for await (const { name } of Deno.readDir(folder)) {
    if (pattern.test(name)) return `${folder}/${name}`;
  }
  return fail(`There is no ${pattern} in ${folder}`);
}

/** Fetches and unpacks them, unless an earlier run has. */
export async function linuxFiles(): Promise<LinuxFiles> {
  const folder = `${cacheDirectory()}/linux-${SUITE}`, root = `${folder}/root`;
  const done = `${folder}/done`;
  const there = await Deno.stat(done).then(() => true, () => false);
  if (!there) {
    await Deno.mkdir(`${folder}/apt/lists/partial`, { recursive: true });
    await Deno.mkdir(`${folder}/apt/archives/partial`, { recursive: true });
    const source = `deb [arch=riscv64 signed-by=${KEYRING}] ${MIRROR} ${SUITE} main\n`;
    await Deno.writeTextFile(`${folder}/sources.list`, source);
    await Deno.writeTextFile(`${folder}/apt/status`, "");
    const settings: Record<string, string> = {
      "Dir::State": `${folder}/apt`,
      "Dir::State::lists": `${folder}/apt/lists`,
      "Dir::State::status": `${folder}/apt/status`,
      "Dir::Cache": `${folder}/apt`,
      "Dir::Etc::sourcelist": `${folder}/sources.list`,
      "Dir::Etc::sourceparts": "/dev/null",
      "APT::Architecture": "riscv64",
      "APT::Architectures": "riscv64",
      "APT::Sandbox::User": "root",
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name} "${value}";`);
    await Deno.writeTextFile(`${folder}/apt.conf`, lines.join("\n"));
    const env = { APT_CONFIG: `${folder}/apt.conf` };
    await must(["apt-get", "update"], env);
    const depends = await must(["apt-cache", "depends", "linux-image-riscv64"], env);
    const kernel = /Depends: (linux-image-\S+)/.exec(depends)?.[1] ?? fail(depends);
    for (const name of [kernel, "busybox-static"]) {
      await must(["sh", "-c", `cd "${folder}" && apt-get download ${name}`], env);
      await must([
        "dpkg-deb",
        "-x",
        await only(folder, new RegExp(`^${RegExp.escape(name)}_.*\\.deb$`)),
        root,
      ]);
    }
    await Deno.writeTextFile(done, "");
  }
  const version = await only(`${root}/usr/lib/modules`, /./);
  return {
    kernel: await only(`${root}/boot`, /^vmlinu[xz]/),
    busybox: `${root}/usr/bin/busybox`,
    modules: `${version}/kernel`,
  };
}

/** A file of an initial RAM disk. */
export interface DiskFile {
  path: string;
  bytes: Uint8Array;
}

/** A RAM disk in "newc" format (Linux Documentation/driver-api/early-userspace/buffer-format.rst). */
export function makeCpio(files: readonly DiskFile[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [], utf8 = new TextEncoder();
  let size = 0, inode = 1;
  const push = (bytes: Uint8Array) => {
    const padded = new Uint8Array(bytes.length + 3 & ~3);
    padded.set(bytes);
    parts.push(padded);
    size += padded.length;
  };
  const add = (
    path: string,
    mode: number,
    bytes: Uint8Array,
    device: [number, number] = [0, 0],
  ) => {
    const name = utf8.encode(path + "\0");
    const fields = [inode++, mode, 0, 0, 1, 0, bytes.length, 0, 0, ...device, name.length, 0];
    const header = "070701" + fields.map((n) => n.toString(16).padStart(8, "0")).join("");
    const head = new Uint8Array(header.length + name.length);
    head.set(utf8.encode(header));
    head.set(name, header.length);
    push(head);
    push(bytes);
  };
  const folders = new Set(["dev"]);
  for (const { path } of files) {
    const names = path.split("/").slice(0, -1);
    names.forEach((_, i) => folders.add(names.slice(0, i + 1).join("/")));
  }
  for (const folder of folders) add(folder, 0o40755, new Uint8Array());
  add("dev/console", 0o20600, new Uint8Array(), [5, 1]);
  for (const { path, bytes } of files) add(path, 0o100755, bytes);
  add("TRAILER!!!", 0, new Uint8Array());
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A RAM disk with busybox, an init script and kernel modules (paths below "kernel", without ".ko.xz"). */
export async function makeInitrd(
  files: LinuxFiles,
  init: string,
  modules: readonly string[],
  more: readonly DiskFile[] = [],
): Promise<Uint8Array<ArrayBuffer>> {
  const unpacked = await Promise.all(modules.map(async (name): Promise<DiskFile> => {
    const { stdout, success } = await new Deno.Command("xz", {
      args: ["-dc", `${files.modules}/${name}.ko.xz`],
    }).output();
    if (!success) fail(`Cannot unpack the module ${name}`);
    return { path: `modules/${name.split("/").pop()}.ko`, bytes: stdout };
  }));
  return makeCpio([
    { path: "bin/busybox", bytes: await Deno.readFile(files.busybox) },
    { path: "init", bytes: new TextEncoder().encode(init) },
    ...unpacked,
    ...more,
  ]);
}
