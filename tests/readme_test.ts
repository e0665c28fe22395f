/**
 * Runs what README.md and CONTRIBUTING.md promise: every `sh` block, in a copy of the checkout, and compares what the
 * pages say that it prints. HTML comments before a block say what is special; CONTRIBUTING.md lists them.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { bundlerMissing, tool } from "./tools.ts";

const ROOT = new URL("../", import.meta.url);
const PAGES = ["README.md", "CONTRIBUTING.md"];
const SKIPPED = [".git", "node_modules", ".cache", "coverage", "build", "dist", "vendor"];

/** A fenced block with the comment before it. */
interface Block {
  language: string;
  text: string;
  line: number;
  /** The comment's first word, and the others. */
  mark: string;
  words: string[];
}

/** The fenced blocks of a page, those in lists included. */
function blocks(page: string): Block[] {
  const found: Block[] = [];
  const fence = /(?:^ *<!-- (.*) -->\n\s*)?^( *)```(\w*)[^\n]*\n([\s\S]*?)^\2```$/gm;
  for (const match of page.matchAll(fence)) {
    const [, comment = "", indent, language, body] = match;
    const [mark, ...words] = comment.replace(":", "").split(" ").filter((word) => word !== "");
    const text = body.split("\n").map((each) => each.slice(indent.length)).join("\n");
    const line = page.slice(0, match.index).split("\n").length;
    found.push({ language, text, line, mark: mark ?? "", words });
  }
  return found;
}

async function copy(from: URL, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const entry of Deno.readDir(from)) {
    if (SKIPPED.includes(entry.name)) continue;
    const source = new URL(entry.name, from), target = `${to}/${entry.name}`;
    if (entry.isDirectory) await copy(new URL(`${entry.name}/`, from), target);
    else if (entry.isFile) await Deno.copyFile(source, target);
  }
}

/**
 * A folder for PATH in which `deno` and `npx -y deno@2` are this Deno: what a user gets from npm is the same program,
 * and tests don't use the network.
 */
async function programs(folder: string): Promise<string> {
  const path = `${folder}/programs`;
  await Deno.mkdir(path);
  const deno = `#!/bin/sh\nexec "${Deno.execPath()}" "$@"\n`;
  const npx = `#!/bin/sh\n[ "$1 $2" = "-y deno@2" ] || { echo "npx $*" >&2; exit 1; }\n` +
    `shift 2\nexec "${Deno.execPath()}" "$@"\n`;
  for (const [name, text] of [["deno", deno], ["npx", npx]]) {
    await Deno.writeTextFile(`${path}/${name}`, text, { mode: 0o755 });
  }
  return path;
}

async function shell(script: string, cwd: string, path: string): Promise<[number, string]> {
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-euc", script],
    cwd,
    env: { NO_COLOR: "1", TRAPDOOR_CACHE: "off", PATH: `${path}:${Deno.env.get("PATH")}` },
    stdin: "null",
  }).output();
  return [code, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr)];
}

/** Checks that the lines come in this order, other lines between them allowed. */
function assertLines(actual: string, expected: string, where: string): void {
  const lines = actual.split("\n");
  let at = 0;
  for (const line of expected.trimEnd().split("\n")) {
    const found = lines.findIndex((each, i) => i >= at && each === line);
    assert(found >= 0, `${where}: the page shows ${JSON.stringify(line)}, but:\n${actual}`);
    at = found + 1;
  }
}

for (const name of PAGES) {
  Deno.test(`${name} tells the truth when its commands are run`, async (t) => {
    const page = await Deno.readTextFile(new URL(name, ROOT));
    const folder = await Deno.makeTempDir({ prefix: "trapdoor-readme-" });
    try {
      const cwd = `${folder}/checkout`;
      await copy(ROOT, cwd);
      const path = await programs(folder);
      let output: string | undefined;
      for (const { language, text, line, mark, words } of blocks(page)) {
        const where = `${name}:${line}`;
        if (mark === "file") {
          await Deno.writeTextFile(`${cwd}/${words[0]}`, text);
          if (!words[0].endsWith(".ts")) continue;
          await t.step(`${where} type-checks`, async () => {
            const [code, printed] = await shell(`deno check ${words[0]}`, cwd, path);
            assertEquals(code, 0, printed);
          });
        } else if (mark === "output") {
          // Absent if the block that prints it was skipped.
          if (output !== undefined) assertLines(output, text, where);
        } else if (mark === "suite") {
          const task = /^(?:npx -y deno@2|deno) task (\w+)$/.exec(text.trim())?.[1];
          const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
          assert(task !== undefined && task in tasks, `${where}: no task in ${text}`);
        } else if (language === "sh") {
          output = undefined;
          const missing = mark === "tools" ? words.filter((word) => !tool(word)) : [];
          const bundler = mark === "bundler" ? await bundlerMissing() : undefined;
          if (bundler !== undefined) missing.push(bundler);
          const reason = missing.length > 0 ? ` (skipped: needs ${missing.join(", ")})` : "";
          const ci = Deno.env.get("CI") === "true";
          await t.step({
            name: `${where} ${text.trim().split("\n")[0]}${reason}`,
            ignore: missing.length > 0 && !ci,
            fn: async () => {
              assertEquals(missing, [], "tools that CI must have");
              const [code, printed] = await shell(text, cwd, path);
              assertEquals(code, 0, `${where} ended with ${code}:\n${printed}`);
              output = printed;
            },
          });
        } else {
          const marks = `${where}: a block of ${language || "no language"} that nothing checks`;
          assert(mark === "" && ["ts", "text"].includes(language), marks);
        }
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

Deno.test("README.md and cli.ts agree when options are compared", async () => {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "mod.ts", "--help"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  assert(success);
  const options = (text: string) =>
    new Set([...text.matchAll(/--[a-z][a-z-]+/g)].map((match) => match[0]));
  const readme = await Deno.readTextFile(new URL("README.md", ROOT));
  const table = readme.split("## Command line")[1].split("| exit status")[0];
  assertEquals([...options(table)].sort(), [...options(new TextDecoder().decode(stdout))].sort());
});

Deno.test("pages link to files that are there when links are relative", async () => {
  const pages = [...PAGES, "ARCHITECTURE.md", "bench/README.md", "guest/README.md"];
  for (const page of pages) {
    const url = new URL(page, ROOT);
    const text = await Deno.readTextFile(url);
    for (const [, target] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
      await Deno.stat(new URL(target, url)).catch((error) => {
        throw new Error(`${page} links to ${target}`, { cause: error });
      });
    }
  }
});

Deno.test("blocks finds language, indentation and comment when a page has fences", () => {
  const page = "a\n\n<!-- file: x.c -->\n\n```c\nint x;\n```\n\n- b\n\n  ```sh\n  ls\n  ```\n";
  assertEquals(blocks(page), [
    { language: "c", text: "int x;\n", line: 3, mark: "file", words: ["x.c"] },
    { language: "sh", text: "ls\n", line: 11, mark: "", words: [] },
  ]);
});

Deno.test("ARCHITECTURE.md names files that are there when it names them with a folder", async () => {
  const text = await Deno.readTextFile(new URL("ARCHITECTURE.md", ROOT));
  for (
    const [, path] of text.matchAll(/`((?:cpu|mmu|backdoor|machine|guest|tests|bench)\/[\w/.]+)`/g)
  ) {
    const info = await Deno.stat(new URL(path, ROOT)).catch(() => undefined);
    assert(info !== undefined, `ARCHITECTURE.md names ${path}, which is not there`);
  }
  assertStringIncludes(text, "Twenty instructions on paper");
});
