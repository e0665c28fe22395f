/**
 * Files out of Debian's packages for other architectures, for tests: fetched by name into the cache of
 * bench/lib/build.ts with an apt configuration of its own, unpacked, never installed.
 *
 * @module
 */
import { fail } from "@std/assert";
import { cacheDirectory } from "../bench/lib/build.ts";
import { run } from "./emulator.ts";
import { tool } from "./tools.ts";

const MIRROR = "http://deb.debian.org/debian";
/** The first whose index can be had is used: while a mirror is brought up to date its signatures don't fit. */
const SUITES = ["trixie", "forky", "sid"];
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** What is missing for tests with packages, which are fetched in CI and when they are asked for. */
export function missingForDebian(megabytes: number): string[] {
  const tools = ["apt-get", "dpkg-deb", "xz"].filter((name) => tool(name) === undefined);
  if (Deno.env.get("TRAPDOOR_LINUX") === "1" || Deno.env.get("CI") === "true") return tools;
  return [`TRAPDOOR_LINUX=1 (it fetches ${megabytes} MB)`, ...tools];
}

function apt(command: string[], env?: Record<string, string>) {
  const { PATH } = Deno.env.toObject();
  return run(command, { timeout: 300, ...(env ? { env: { PATH, ...env } } : {}) });
}

/** What a command prints; it must succeed. */
export async function must(command: string[], env?: Record<string, string>): Promise<string> {
  const ran = await apt(command, env);
  if (ran.code !== 0) fail(`${command.join(" ")} ends with ${ran.code}: ${ran.stderr}`);
  return ran.stdout;
}

/** The only entry of a folder with such a name. */
export async function only(folder: string, pattern: RegExp): Promise<string> {
  for await (const { name } of Deno.readDir(folder)) {
    if (pattern.test(name)) return `${folder}/${name}`;
  }
  return fail(`There is no ${pattern} in ${folder}`);
}

const exists = (path: string) => Deno.stat(path).then(() => true, () => false);

/** An archive of packages for one architecture, as Debian names it. */
export class Debian {
  readonly #architecture: string;
  readonly #folder: string;

  constructor(architecture: "arm64" | "riscv64") {
    this.#architecture = architecture;
    this.#folder = `${cacheDirectory()}/debian-${architecture}`;
  }

  /** Folder in which packages are unpacked. */
  get root(): string {
    return `${this.#folder}/root`;
  }

  get #env(): Record<string, string> {
    return { APT_CONFIG: `${this.#folder}/apt.conf` };
  }

  async #update(): Promise<void> {
    const folder = this.#folder, architecture = this.#architecture;
    if (await exists(`${folder}/updated`)) return;
    await Deno.mkdir(`${folder}/apt/lists/partial`, { recursive: true });
    await Deno.mkdir(`${folder}/apt/archives/partial`, { recursive: true });
    await Deno.writeTextFile(`${folder}/apt/status`, "");
    const settings: Record<string, string> = {
      "Dir::State": `${folder}/apt`,
      "Dir::State::lists": `${folder}/apt/lists`,
      "Dir::State::status": `${folder}/apt/status`,
      "Dir::Cache": `${folder}/apt`,
      "Dir::Etc::sourcelist": `${folder}/sources.list`,
      "Dir::Etc::sourceparts": "/dev/null",
      "APT::Architecture": architecture,
      "APT::Architectures": architecture,
      "APT::Sandbox::User": "root",
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name} "${value}";`);
    await Deno.writeTextFile(`${folder}/apt.conf`, lines.join("\n"));
    const problems: string[] = [];
    for (const suite of SUITES) {
      const source = `deb [arch=${architecture} signed-by=${KEYRING}] ${MIRROR} ${suite} main\n`;
      await Deno.writeTextFile(`${folder}/sources.list`, source);
      const { code, stderr } = await apt(["apt-get", "update"], this.#env);
      if (code === 0) return await Deno.writeTextFile(`${folder}/updated`, suite);
      problems.push(`${suite}: ${stderr}`);
    }
    fail(`No index of Debian's packages can be had:\n${problems.join("\n")}`);
  }

  /** One process at a time changes the folder: tests of several files want the same packages. */
  async #alone<T>(work: () => Promise<T>): Promise<T> {
    await Deno.mkdir(this.#folder, { recursive: true });
    using lock = await Deno.open(`${this.#folder}/lock`, { create: true, write: true });
    await lock.lock(true);
    return await work();
  }

  /** The names of packages that one depends on, as far as a pattern with the flag `g` matches them. */
  depends(name: string, pattern: RegExp): Promise<string[]> {
    return this.#alone(async () => {
      await this.#update();
      const depends = await must(["apt-cache", "depends", "--important", name], this.#env);
      return [...depends.matchAll(pattern)].map(([match]) => match);
    });
  }

  /** Fetches and unpacks packages, unless an earlier run has. */
  unpack(...names: string[]): Promise<void> {
    const folder = this.#folder;
    return this.#alone(async () => {
      for (const name of names) {
        if (await exists(`${folder}/unpacked-${name}`)) continue;
        await this.#update();
        await must(["sh", "-c", `cd "${folder}" && apt-get download ${name}`], this.#env);
        const file = await only(folder, new RegExp(`^${RegExp.escape(name)}_.*\\.deb$`));
        await must(["dpkg-deb", "-x", file, this.root]);
        await Deno.remove(file);
        await Deno.writeTextFile(`${folder}/unpacked-${name}`, "");
      }
    });
  }
}
