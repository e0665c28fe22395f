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

const SUITE = "trixie", MIRROR = "http://deb.debian.org/debian";
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** What is missing for tests with packages, which are fetched in CI and when they are asked for. */
export function missingForDebian(megabytes: number): string[] {
  const tools = ["apt-get", "dpkg-deb", "xz"].filter((name) => tool(name) === undefined);
  if (Deno.env.get("TRAPDOOR_LINUX") === "1" || Deno.env.get("CI") === "true") return tools;
  return [`TRAPDOOR_LINUX=1 (it fetches ${megabytes} MB)`, ...tools];
}

async function must(command: string[], env?: Record<string, string>): Promise<string> {
  const { PATH } = Deno.env.toObject();
  const ran = await run(command, { timeout: 300, ...(env ? { env: { PATH, ...env } } : {}) });
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
    this.#folder = `${cacheDirectory()}/debian-${SUITE}-${architecture}`;
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
    const source = `deb [arch=${architecture} signed-by=${KEYRING}] ${MIRROR} ${SUITE} main\n`;
    await Deno.writeTextFile(`${folder}/sources.list`, source);
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
    await must(["apt-get", "update"], this.#env);
    await Deno.writeTextFile(`${folder}/updated`, "");
  }

  /** One process at a time changes the folder: tests of several files want the same packages. */
  async #alone<T>(work: () => Promise<T>): Promise<T> {
    await Deno.mkdir(this.#folder, { recursive: true });
    using lock = await Deno.open(`${this.#folder}/lock`, { create: true, write: true });
    await lock.lock(true);
    return await work();
  }

  /** The name of the package that one depends on. */
  depends(name: string, pattern: RegExp): Promise<string> {
    return this.#alone(async () => {
      await this.#update();
      const depends = await must(["apt-cache", "depends", name], this.#env);
      return pattern.exec(depends)?.[0] ?? fail(depends);
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
