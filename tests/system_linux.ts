/**
 * A Linux kernel for riscv64 and a busybox userland out of Debian's packages, for tests.
 *
 * @module
 */
import { fail } from "@std/assert";
import { Debian, missingForDebian, must, only } from "./debian.ts";

/** What is missing for tests with Linux. */
export const missingForLinux = (): string[] => missingForDebian(113);

/** Unpacked packages. */
export interface LinuxFiles {
  /** Path of the kernel image. */
  kernel: string;
  /** Path of a static busybox. */
  busybox: string;
  /** Folder with the kernel's modules, up to "kernel". */
  modules: string;
}

/** Fetches and unpacks them, unless an earlier run has. */
export async function linuxFiles(): Promise<LinuxFiles> {
  const debian = new Debian("riscv64");
  const [image] = await debian.depends("linux-image-riscv64", /(?<=Depends: )linux-image-\S+/g);
  // Newer suites have its files in packages of their own.
  const parts = await debian.depends(image, /(?<=Depends: )linux-(?:binary|modules)-\S+/g);
  await debian.unpack(image, ...parts, "busybox-static");
  const version = await only(`${debian.root}/usr/lib/modules`, /./);
  return {
    kernel: await only(parts.length > 0 ? version : `${debian.root}/boot`, /^vmlinu[xz]/),
    busybox: `${debian.root}/usr/bin/busybox`,
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

/** A kernel's modules, each behind those that it depends on; what is not there is part of the kernel itself. */
async function loadOrder(folder: string, names: readonly string[]): Promise<DiskFile[]> {
  // Files are called af-x.ko, modules af_x.
  const plain = (name: string) => name.replaceAll("-", "_");
  const list = await must(["find", folder, "-name", "*.ko.xz"]);
  const paths = new Map(
    list.trim().split("\n").map((path) => {
      return [plain(path.split("/").pop()!.replace(".ko.xz", "")), path];
    }),
  );
  const order: DiskFile[] = [], seen = new Set<string>();
  const visit = async (name: string) => {
    const path = paths.get(name);
    if (path === undefined || seen.has(name)) return;
    seen.add(name);
    const { stdout: bytes, success } = await new Deno.Command("xz", { args: ["-dc", path] })
      .output();
    if (!success) fail(`Cannot unpack the module ${name}`);
    const [, depends] = /\0depends=([^\0]*)\0/.exec(new TextDecoder("latin1").decode(bytes)) ?? [];
    for (const each of depends?.split(",") ?? []) await visit(plain(each));
    order.push({ path: `modules/${name}.ko`, bytes });
  };
  for (const name of names) await visit(plain(name));
  return order;
}

/** In an init script: loads the modules of {@linkcode makeInitrd}. */
export const LOAD_MODULES = `for module in $(/bin/busybox cat /modules/order); do
  /bin/busybox insmod /$module || echo "no $module"
done`;

/**
 * A RAM disk with busybox, an init script and kernel modules by name, with what they depend on: `modules/order` has their
 * paths in the order in which they can be loaded.
 */
export async function makeInitrd(
  files: LinuxFiles,
  init: string,
  modules: readonly string[],
  more: readonly DiskFile[] = [],
): Promise<Uint8Array<ArrayBuffer>> {
  const unpacked = await loadOrder(files.modules, modules), utf8 = new TextEncoder();
  const order = unpacked.map(({ path }) => `${path}\n`).join("");
  return makeCpio([
    { path: "bin/busybox", bytes: await Deno.readFile(files.busybox) },
    { path: "init", bytes: utf8.encode(init) },
    { path: "modules/order", bytes: utf8.encode(order) },
    ...unpacked,
    ...more,
  ]);
}
