/**
 * Builds the committed guest programs from their sources: `deno task guest`.
 *
 * With `--check`, builds to a temporary folder instead and compares: exit status 1, and the names, if the committed
 * programs are not what the sources give. The flags are in the Makefile; they leave nothing of this machine in a
 * program, so that the same compiler gives the same bytes anywhere.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL("./", import.meta.url));

/** Where the committed programs are, with a slash at the end: one folder an architecture. */
export const GUEST_BIN: string = fileURLToPath(new URL("./bin/", import.meta.url));

/** What it takes to build them: the command and the Debian package that has it. */
export const GUEST_TOOLS: Record<string, string> = {
  "make": "make",
  "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
  "riscv64-linux-gnu-gcc": "gcc-riscv64-linux-gnu",
  "riscv64-unknown-elf-gcc": "gcc-riscv64-unknown-elf",
};

/** Commands whose versions decide the bytes. */
const VERSIONED = [
  "aarch64-linux-gnu-gcc",
  "aarch64-linux-gnu-ld",
  "riscv64-linux-gnu-gcc",
  "riscv64-linux-gnu-ld",
  "riscv64-unknown-elf-gcc",
  "riscv64-unknown-elf-ld",
];

const TOOLCHAIN = GUEST_BIN + "toolchain.json";

async function run(command: string, args: string[]): Promise<string> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(command, { args, stdout: "piped", stderr: "piped" }).output();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    const from = GUEST_TOOLS[command] ? ` (Debian package ${GUEST_TOOLS[command]})` : "";
    throw new Error(`Cannot run ${command}: not found${from}`, { cause });
  }
  const text = new TextDecoder();
  if (!output.success) {
    throw new Error(`Cannot run ${command} ${args.join(" ")}:\n${text.decode(output.stderr)}`);
  }
  return text.decode(output.stdout);
}

/** First line of each tool's `--version`. @throws {Error} If one is missing. */
export async function guestToolchain(): Promise<Record<string, string>> {
  const versions: Record<string, string> = {};
  for (const command of VERSIONED) {
    versions[command] = (await run(command, ["--version"])).split("\n")[0];
  }
  return versions;
}

/** The toolchain that the committed programs were built with. */
export async function committedToolchain(): Promise<Record<string, string>> {
  return JSON.parse(await Deno.readTextFile(TOOLCHAIN));
}

/**
 * Builds all committed programs into a folder (relative to guest/), with a subfolder an architecture.
 *
 * @throws {Error} If a tool is missing (the message names its package) or the build fails.
 */
export async function buildGuest(folder: string): Promise<void> {
  for (const command of VERSIONED) await run(command, ["--version"]);
  await run("make", [
    "-C",
    HERE,
    "--no-print-directory",
    "bin",
    `BIN=${folder}`,
  ]);
}

/** Every program below a folder, by its path relative to it. */
async function programs(folder: string): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  for await (const architecture of Deno.readDir(folder)) {
    if (!architecture.isDirectory) continue;
    for await (const { name } of Deno.readDir(`${folder}/${architecture.name}`)) {
      const path = `${architecture.name}/${name}`;
      found.set(path, await Deno.readFile(`${folder}/${path}`));
    }
  }
  return found;
}

/** Names of committed programs that differ from what the sources give, are missing, or have no source. */
export async function staleGuestPrograms(): Promise<string[]> {
  const folder = await Deno.makeTempDir({ prefix: "trapdoor-guest-" });
  try {
    await buildGuest(folder);
    const built = await programs(folder);
    const committed = await programs(GUEST_BIN);
    const stale = new Set<string>();
    for (const [name, bytes] of built) {
      const other = committed.get(name);
      if (!other) stale.add(`${name} (not committed)`);
      else if (other.length !== bytes.length || other.some((byte, i) => byte !== bytes[i])) {
        stale.add(name);
      }
    }
    for (const name of committed.keys()) if (!built.has(name)) stale.add(`${name} (no source)`);
    return [...stale].sort();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** One line for each tool whose version is not the one that the committed programs were built with. */
export async function toolchainDifferences(): Promise<string[]> {
  const here = await guestToolchain();
  return Object.entries(await committedToolchain())
    .filter(([command, version]) => here[command] !== version)
    .map(([command, version]) =>
      `${command}: committed with "${version}", here "${here[command]}"`
    );
}

async function main(args: string[]): Promise<number> {
  if (args.some((arg) => arg !== "--check")) {
    console.error("usage: build.ts [--check]");
    return 2;
  }
  if (args.length === 0) {
    for (const name of (await programs(GUEST_BIN)).keys()) await Deno.remove(GUEST_BIN + name);
    await buildGuest("bin");
    await Deno.writeTextFile(TOOLCHAIN, JSON.stringify(await guestToolchain(), null, 2) + "\n");
    for (const [name, bytes] of [...await programs(GUEST_BIN)].sort()) {
      console.log(`guest/bin/${name}: ${bytes.length} bytes`);
    }
    return 0;
  }
  const stale = await staleGuestPrograms();
  if (stale.length === 0) return 0;
  console.error(
    "These programs in guest/bin are not what the sources give (`deno task guest` rebuilds them):",
  );
  for (const name of stale) console.error(`  ${name}`);
  for (const line of await toolchainDifferences()) console.error(`Another toolchain: ${line}`);
  return 1;
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
