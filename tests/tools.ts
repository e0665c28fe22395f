/** What tests that need other programs share: a missing tool is a visible skip, and in CI a failure. */
import { parse } from "../cli/javascript.ts";

/** Debian packages of the tools that tests use. */
const PACKAGES: Record<string, string> = {
  "aarch64-linux-gnu-as": "binutils-aarch64-linux-gnu",
  "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
  "aarch64-linux-gnu-ld": "binutils-aarch64-linux-gnu",
  "cc": "gcc",
  "gcc": "gcc",
  "make": "make",
  "qemu-system-riscv32": "qemu-system-misc",
  "qemu-system-riscv64": "qemu-system-misc",
  "qemu-aarch64": "qemu-user",
  "qemu-riscv32": "qemu-user",
  "qemu-riscv64": "qemu-user",
  "riscv64-linux-gnu-g++": "g++-riscv64-linux-gnu",
  "riscv64-linux-gnu-gcc": "gcc-riscv64-linux-gnu",
  "riscv64-linux-gnu-objdump": "binutils-riscv64-linux-gnu",
  "riscv64-unknown-elf-gcc": "gcc-riscv64-unknown-elf",
};

/** The path of a command in PATH, or undefined if it isn't there. */
export function tool(name: string): string | undefined {
  const windows = Deno.build.os === "windows";
  for (const folder of (Deno.env.get("PATH") ?? "").split(windows ? ";" : ":")) {
    if (folder === "") continue;
    const path = `${folder}/${name}${windows ? ".exe" : ""}`;
    try {
      const { isFile, mode } = Deno.statSync(path);
      if (isFile && (mode === null || (mode & 0o111) !== 0)) return path;
    } catch (error) {
      const absent = error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.NotADirectory;
      if (!absent) throw error;
    }
  }
  return undefined;
}

/**
 * Registers a test that needs what `missing` names. If that is nothing, it is an ordinary test; otherwise it is
 * ignored and its name says why, or, in CI, it fails.
 */
export function testUnless(
  missing: string[],
  name: string,
  fn: (t: Deno.TestContext) => void | Promise<void>,
): void {
  if (missing.length === 0) return Deno.test(name, fn);
  const reason = `needs ${missing.join(", ")}`;
  if (Deno.env.get("CI") === "true") {
    return Deno.test(name, () => {
      throw new Error(`Cannot run this test: ${reason}`);
    });
  }
  Deno.test({ name: `${name} (skipped: ${reason})`, ignore: true, fn });
}

/** Registers a test that needs tools in PATH; see {@linkcode testUnless}. */
export function testWith(
  tools: string[],
  name: string,
  fn: (t: Deno.TestContext) => void | Promise<void>,
): void {
  const missing = tools.filter((name) => tool(name) === undefined)
    .map((name) => PACKAGES[name] ? `${name} (Debian package ${PACKAGES[name]})` : name);
  testUnless(missing, name, fn);
}

/** Why no bundle can be made, such as no way to the npm registry, where the bundler and a parser come from; else undefined. */
export async function bundlerMissing(): Promise<string | undefined> {
  const folder = await Deno.makeTempDir({ prefix: "trapdoor-bundler-" });
  try {
    await Deno.writeTextFile(`${folder}/empty.ts`, "export {};\n");
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["bundle", "--quiet", "--outdir", "out", "empty.ts"],
      cwd: folder,
      stdout: "null",
      stderr: "null",
    }).output();
    if (!success) return "deno bundle (Deno 2.4, and esbuild from the npm registry)";
    try {
      await parse("");
    } catch (error) {
      return `a parser from the npm registry: ${error instanceof Error ? error.message : error}`;
    }
    return undefined;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
