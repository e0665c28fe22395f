/** The command line: every option, every way to end, and what is said when something is wrong. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { VERSION } from "../version.ts";
import { testExcept, TIER } from "./configuration.ts";
import { buildC, buildGuest, file, type Ran, run, trapdoor, withFolder } from "./emulator.ts";
import { OBJDUMP_TOOLS } from "./objdump.ts";
import { serveLoopback } from "./registry.ts";
import { testWith } from "./tools.ts";

const GCC = "riscv64-linux-gnu-gcc";
const HELLO = file("guest/bin/riscv64/hello");
const CALLFILE = file("guest/bin/riscv64/callfile");
const MODULE = file("guest/examples/hello.ts");

/** hello.ts and hello together. */
const DIALOGUE = [
  "host: a guest may come, as 8 clients at most",
  "guest: protocol 1.0, 8 clients with 65536 bytes of data each",
  "guest: what comes after 41?",
  "host: riscv64 asks for the successor of 41",
  "guest: 42",
  "host: the guest has ended",
  "",
].join("\n");

/** What went wrong is said in one line. */
function oneLine({ code, stdout, stderr }: Ran, status: number, message: string | RegExp): void {
  assertEquals([code, stdout], [status, ""], stderr);
  assertMatch(stderr, /^trapdoor: [^\n]+\n$/);
  if (typeof message === "string") assertStringIncludes(stderr, message);
  else assertMatch(stderr, message);
}

/** Opens each argument and prints its content, or why that is not possible. */
const SHOW = `
  #include <dirent.h>
  #include <errno.h>
  #include <fcntl.h>
  #include <stdio.h>
  #include <string.h>
  #include <unistd.h>
  int main(int argc, char **argv) {
    char text[200];
    for (int i = 1; i < argc; i++) {
      const int write_ = argv[i][0] == '+';
      const int fd = open(argv[i] + write_, write_ ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY, 0644);
      ssize_t n = fd < 0 ? -1 : write_ ? write(fd, "guest", 5) : read(fd, text, sizeof text);
      if (n < 0) printf("%s: %s\\n", argv[i], strerror(errno));
      else printf("%s: [%.*s]\\n", argv[i], (int)n, write_ ? "" : text);
    }
    return 0;
  }`;

/** Prints its name, directory, environment and arguments. */
const SELF = `
  #include <stdio.h>
  #include <unistd.h>
  extern char **environ;
  int main(int argc, char **argv) {
    char cwd[1000];
    printf("cwd %s\\n", getcwd(cwd, sizeof cwd) ? cwd : "?");
    for (int i = 0; i < argc; i++) printf("arg %s\\n", argv[i]);
    for (char **each = environ; *each; each++) printf("env %s\\n", *each);
    return 0;
  }`;

/** Waits or works for ever in the way of its first argument; with a second one it handles SIGINT and SIGTERM. */
const ENDLESS = `
  #include <signal.h>
  #include <stdio.h>
  #include <stdlib.h>
  #include <unistd.h>
  static void handler(int signal) {
    printf("handled %d\\n", signal);
    exit(10 + signal);
  }
  int main(int argc, char **argv) {
    char byte;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 2) signal(SIGINT, handler), signal(SIGTERM, handler);
    puts("ready");
    for (;;) {
      switch (argv[1][0]) {
        case 'c': getppid(); break;
        case 'p': pause(); break;
        case 'r': if (read(0, &byte, 1) == 0) return 3; break;
        case 's': sleep(1000); break;
        default: break;
      }
    }
  }`;

testExcept("--version and --help print to standard output when they are given", async () => {
  assertEquals(await trapdoor(["--version"]), { code: 0, stdout: `${VERSION}\n`, stderr: "" });
  const { code, stdout, stderr } = await trapdoor(["--help", "ignored"]);
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^Trapdoor \d+\.\d+\.\d+: /);
  for (const option of ["--backdoor", "--dir", "--trace[=FILE]", "--stats[=json]", "--verbose"]) {
    assertStringIncludes(stdout, `  ${option}`);
  }
});

Deno.test("without a program the demo runs and both sides print", async () => {
  for (const args of [[], ["--tier", "interp"]]) {
    const { code, stdout, stderr } = await trapdoor(args);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^ {2}host .*\nguest /m);
    assertStringIncludes(stdout, "guest  42, then\n");
  }
});

/** Wrong usage: arguments, and what is said. */
const WRONG: [string[], string][] = [
  [["--bogus"], "unknown option --bogus; try --help"],
  [["--bogus=1", HELLO], "unknown option --bogus"],
  [["-x", HELLO], "unknown option -x"],
  [["--no-trace", HELLO], "unknown option --no-trace"],
  [["--Help"], "unknown option --Help"],
  [["--memory"], "--memory needs a value"],
  [["--memory=", HELLO], "--memory needs a value"],
  [["--memory", "much", HELLO], "--memory much: not a size such as 256M or 1G"],
  [["--memory", "-5M", HELLO], "--memory"],
  [["--memory=1.5G", HELLO], "not a size"],
  [["--memory=0", HELLO], "--memory 0: 64K to 1984M are possible"],
  [["--memory", "2G", HELLO], "--memory 2G: 64K to 1984M are possible"],
  [["--memory", "99999999999999999999G", HELLO], "are possible"],
  [["--tier", "fast", HELLO], "--tier fast: one of auto, interp, wasm"],
  [["--tier", "interp", "--tier", "auto", HELLO], "--tier is given 2 times"],
  [["--without-passes", "fold,gold", HELLO], "--without-passes gold: one of fold, retarget, dead"],
  [["--without-passes=", HELLO], "--without-passes needs a value"],
  [["--max-instructions", "many", HELLO], "--max-instructions many: not a whole number"],
  [["--max-instructions", "1.5", HELLO], "not a whole number"],
  [["--max-instructions=1e99", HELLO], "not a whole number"],
  [["--max-instructions=0x10", HELLO], "not a whole number"],
  [["--max-instructions=", HELLO], "--max-instructions needs a value"],
  [["--backdoor-errors", "ignore", HELLO], "--backdoor-errors ignore: one of report, stop"],
  [["--backdoor-path", "relative", HELLO], "--backdoor-path relative: not an absolute path"],
  [["--backdoor", MODULE], "--backdoor needs a program to run"],
  [["--stats=xml", HELLO], "--stats xml: one of json"],
  [["--strace=file", HELLO], "--strace=file: --strace takes no value"],
  [["--verbose=1", HELLO], "--verbose takes no value"],
  [["--env", "=x", HELLO], "--env =x: no name"],
  [["--env="], "--env needs a value"],
  [["--dir", "a:b:c", HELLO], '--dir: Cannot grant the directory "a:b:c"'],
  [["--dir", "a:relative", HELLO], "GUEST starts with"],
  [["--dir", ":/x", HELLO], "--dir: Cannot grant"],
];

testExcept("wrong usage is one line and exit status 2", async () => {
  for (const [args, message] of WRONG) oneLine(await trapdoor(args), 2, message);
});

Deno.test("options after the program are the program's", async () => {
  for (const args of [[CALLFILE, "--version", "--bogus"], ["--", CALLFILE, "--version"]]) {
    const { code, stdout, stderr } = await trapdoor(args);
    assertEquals([code, stdout, stderr], [1, "guest: cannot open --version\n", ""]);
  }
});

Deno.test("--backdoor takes a path or a URL of every kind", async () => {
  await withFolder(async (folder) => {
    const own =
      `export const call = (_cpu: unknown, command: number, a: number) => command * 1000 + a;`;
    await Deno.writeTextFile(`${folder}/a b#1.ts`, own);
    await using site = serveLoopback(() =>
      Promise.resolve(new Response(own, { headers: { "content-type": "application/typescript" } }))
    );
    const modules = [
      `${folder}/a b#1.ts`,
      "a b#1.ts",
      "./a b#1.ts",
      `file://${folder}/a%20b%231.ts`,
      `data:application/typescript,${encodeURIComponent(own)}`,
      `${site.url}callbacks.ts`,
    ];
    for (const module of modules) {
      const { code, stdout } = await trapdoor(["--backdoor", module, HELLO], { cwd: folder });
      assertEquals(code, 0, module);
      assertStringIncludes(stdout, "guest: 1041\n", module);
    }
  });
  assertEquals(await trapdoor([`--backdoor=${MODULE}`, HELLO]), {
    code: 0,
    stdout: DIALOGUE,
    stderr: "",
  });
});

Deno.test("--backdoor-path moves the files of the channel", async () => {
  const args = ["--backdoor", MODULE, "--backdoor-path", "/some/where"];
  const moved = await trapdoor([...args, HELLO, "/some/where"]);
  assertEquals([moved.code, moved.stdout], [0, DIALOGUE]);
  const call = await trapdoor([...args, CALLFILE, "/some/where/call", "1 5"]);
  assertStringIncludes(call.stdout, 'guest: "1 5" is answered by "ok 6"\n');
  const gone = await trapdoor([...args, HELLO, "/dev/trapdoor"]);
  assertEquals(gone.code, 1);
});

/** Callback modules that can't be used: text, and what is said. `%` is the module's URL. */
const BAD_MODULES: Record<string, [string, string]> = {
  "syntax.ts": ["export function init(", "Cannot load callback module %: SyntaxError"],
  "unclosed.js": ["export const call = (", "Cannot load callback module %: "],
  "nothing.ts": ["", "Cannot use % as callbacks: it exports nothing; export functions init, call"],
  "other.ts": ["export const x = 1, y = 2;", "it exports only x, y; export functions init"],
  "plain.ts": ["export default { call() {} };", "default is not made by defineChannel"],
  "number.ts": ["export const call = 5;", "its call is 5, not a function"],
  "load.ts": [
    'throw new Error("at load");',
    "Cannot load callback module %: it threw while it was loaded: at load",
  ],
  "init.ts": [
    'export function init() { throw new Error("in init"); } export function fini() { console.log("fini"); }',
    "Cannot start the guest: init of % threw: in init",
  ],
  "reject.ts": [
    'export const init = () => Promise.reject(new Error("in init"));',
    "Cannot start the guest: init of % threw: in init",
  ],
  "import.ts": ['import "./gone.ts"; export function call() {}', "Module not found"],
};

testExcept(
  "a callback module that can't be used is named, and what to do, and the guest does not start",
  async () => {
    await withFolder(async (folder) => {
      for (const [name, [text, message]] of Object.entries(BAD_MODULES)) {
        await Deno.writeTextFile(`${folder}/${name}`, text);
        const { code, stdout, stderr } = await trapdoor(["--backdoor", `${folder}/${name}`, HELLO]);
        assertEquals([code, stdout], [1, ""], name);
        assertMatch(stderr, /^trapdoor: Cannot /);
        assertStringIncludes(stderr, message.replace("%", `file://${folder}/${name}`));
        assertStringIncludes(stderr, name);
      }
    });
    const plain = "http://example.com/callbacks.ts";
    oneLine(
      await trapdoor(["--backdoor", plain, HELLO]),
      1,
      "try https://example.com/callbacks.ts",
    );
    oneLine(await trapdoor(["--backdoor", "ftp://x/y.ts", HELLO]), 1, "scheme ftp: is not one of");
    const missing = await trapdoor(["--backdoor", "/nowhere/callbacks.ts", HELLO]);
    oneLine(missing, 1, "check the path; a plain one starts at the current directory");
    await using site = serveLoopback(() => Promise.resolve(new Response("no", { status: 500 })));
    const { code, stderr } = await trapdoor(["--backdoor", `${site.url}x.ts`, HELLO]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, `trapdoor: Cannot load callback module ${site.url}x.ts: `);
  },
);

Deno.test("errors of callbacks are reported with their stack, and --backdoor-errors=stop ends the guest", async () => {
  await withFolder(async (folder) => {
    const module = `${folder}/module.ts`;
    await Deno.writeTextFile(
      module,
      `export function call() {
         throw new Error("the user's own");
       }
       export function fini() { console.log("fini"); }`,
    );
    const going = await trapdoor(["--backdoor", module, HELLO]);
    assertEquals(going.code, 0);
    assertMatch(going.stdout, /guest: -1\nfini\n$/);
    assertMatch(
      going.stderr,
      /^backdoor: command 1 of client 0 threw; [^\n]+\nError: the user's own\n/,
    );
    assertStringIncludes(going.stderr, `${module}:2:`);
    const ending = await trapdoor(["--backdoor-errors=stop", "--backdoor", module, HELLO]);
    assertEquals(ending.code, 70);
    assertMatch(ending.stdout, /comes after 41\?\nfini\n$/);
    assertEquals(ending.stderr.split("the user's own").length, 2);
    // What nobody awaits is not lost either.
    await Deno.writeTextFile(
      module,
      `export function call() {
         setTimeout(() => { throw new Error("in a timer"); }, 1);
         return new Promise(() => {});
       }
       export function fini() { console.log("fini"); }`,
    );
    const timer = await trapdoor(["--backdoor", module, HELLO]);
    assertEquals(timer.code, 1);
    assertMatch(timer.stdout, /fini\n$/);
    assertMatch(
      timer.stderr,
      /something threw that nobody catches[^]*Error: in a timer\n[^]*hello: aborted\n$/,
    );
    await Deno.writeTextFile(
      module,
      `export function call() {
         Promise.reject(new Error("forgotten"));
         return new Promise(() => {});
       }`,
    );
    const rejection = await trapdoor(["--backdoor", module, HELLO]);
    assertEquals(rejection.code, 1);
    assertMatch(rejection.stderr, /nobody catches[^]*Error: forgotten\n/);
  });
});

testWith([GCC], "--dir grants a directory in each of its forms, and nothing else", async () => {
  const show = await buildC(SHOW);
  await withFolder(async (folder) => {
    await Deno.mkdir(`${folder}/in/sub`, { recursive: true });
    await Deno.writeTextFile(`${folder}/secret`, "secret");
    await Deno.writeTextFile(`${folder}/in/file`, "text");
    await Deno.writeTextFile(`${folder}/in/sub/other`, "more");
    for (
      const [name, target] of [
        ["up", "../secret"],
        ["absolute", `${folder}/secret`],
        ["root", "/"],
        ["loop", "loop"],
        ["inside", "/data/sub/other"],
        ["relative", "sub/../file"],
      ]
    ) await Deno.symlink(target, `${folder}/in/${name}`);
    const lines = async (args: string[], options = {}) => {
      const { code, stdout, stderr } = await trapdoor(args, options);
      assertEquals([code, stderr], [0, ""]);
      return stdout.trimEnd().split("\n");
    };
    const gone = (path: string) => `${path}: No such file or directory`;
    assertEquals(await lines([show, `${folder}/in/file`, "/etc/passwd", "file"]), [
      gone(`${folder}/in/file`),
      gone("/etc/passwd"),
      gone("file"),
    ]);
    // HOST, absolute and relative: at its own place.
    for (const dir of [`${folder}/in`, "in", "./in", "in/."]) {
      assertEquals(
        await lines(["--dir", dir, show, `${folder}/in/file`, `${folder}/secret`], { cwd: folder }),
        [`${folder}/in/file: [text]`, gone(`${folder}/secret`)],
        dir,
      );
    }
    // HOST:GUEST.
    assertEquals(
      await lines([
        ...["--dir", `${folder}/in:/data`, "--cwd", "/data", show],
        ...["/data/file", "file", "sub/../file", "/data/../data/file", "relative", "inside"],
        ...[
          "/data/../secret",
          "../secret",
          "sub/../../secret",
          "up",
          "absolute",
          "root/etc/passwd",
        ],
        ...["root/data/file", "loop", `${folder}/in/file`, "/data/sub/nothing/../../../secret"],
      ]),
      [
        "/data/file: [text]",
        "file: [text]",
        "sub/../file: [text]",
        "/data/../data/file: [text]",
        "relative: [text]",
        "inside: [more]",
        gone("/data/../secret"),
        gone("../secret"),
        gone("sub/../../secret"),
        gone("up"),
        gone("absolute"),
        gone("root/etc/passwd"),
        "root/data/file: [text]",
        "loop: Too many levels of symbolic links",
        gone(`${folder}/in/file`),
        gone("/data/sub/nothing/../../../secret"),
      ],
    );
    // Several, the root, and read-only.
    const two = ["--dir", `${folder}/in/sub:/a`, "--dir", `${folder}/in:/b/c:ro`];
    assertEquals(await lines([...two, show, "/a/other", "/b/c/file", "+/a/new", "+/b/c/new"]), [
      "/a/other: [more]",
      "/b/c/file: [text]",
      "+/a/new: []",
      "+/b/c/new: Read-only file system",
    ]);
    assertEquals(await Deno.readTextFile(`${folder}/in/sub/new`), "guest");
    assertEquals(await lines(["--dir", `${folder}/in::ro`, show, `+${folder}/in/file`]), [
      `+${folder}/in/file: Read-only file system`,
    ]);
    assertEquals(await lines(["--dir", `${folder}/in:/`, show, "/file", "/../file", "/up"]), [
      "/file: [text]",
      "/../file: [text]",
      gone("/up"),
    ]);
    await Deno.chmod(`${folder}/in/file`, 0o644);
    oneLine(await trapdoor(["--dir", `${folder}/gone`, show]), 1, `${folder}/gone`);
    oneLine(await trapdoor(["--dir", `${folder}/secret`, show]), 1, "it is not a directory");
    oneLine(await trapdoor(["--cwd", "/data", show]), 1, "the guest has no such directory");
  });
});

testWith([GCC], "--env, --arg0 and --cwd are what the program sees", async () => {
  const self = await buildC(SELF);
  const plain = await trapdoor([self, "a b", ""]);
  assertEquals(plain.stdout, `cwd /\narg ${self}\narg a b\narg \n`);
  await withFolder(async (folder) => {
    const options = [
      "--env",
      "A=1",
      "--env=B==x=",
      "--env",
      "HERE",
      "--env",
      "NOT_HERE",
      "--env",
      "A=2",
    ];
    const { code, stdout, stderr } = await trapdoor(
      [...options, "--arg0", "name", "--dir", `${folder}:/d`, "--cwd=/d", self],
      { env: { HERE: "from outside" } },
    );
    assertEquals([code, stderr], [0, ""]);
    assertEquals(stdout, "cwd /d\narg name\nenv A=2\nenv B==x=\nenv HERE=from outside\n");
  });
});

testWith(
  [GCC, ...OBJDUMP_TOOLS],
  "--trace prints each instruction as objdump has it, to standard error or a file",
  async () => {
    const program = await buildC(`int main(int argc, char **argv) { return argc * 3; }`);
    const symbols = await run(["riscv64-linux-gnu-objdump", "-d", "-M", "no-aliases", program]);
    const expected = new Map<string, string>();
    for (const line of symbols.stdout.split("\n")) {
      const [, address, bytes, text] = /^\s*([0-9a-f]+):\t([0-9a-f]+)\s*\t(.*)$/.exec(line) ?? [];
      if (address === undefined) continue;
      const clean = text.replace(/\s+#.*$/, "").replace(/ <.*>$/, "").replace("\t", " ");
      expected.set(address.padStart(8, "0"), `${bytes.padEnd(8)}  ${clean.trim()}`);
    }
    await withFolder(async (folder) => {
      const traced = await trapdoor([`--trace=${folder}/trace`, "--stats=json", program]);
      assertEquals([traced.code, traced.stdout], [3, ""]);
      const { instructions } = JSON.parse(traced.stderr);
      const lines = (await Deno.readTextFile(`${folder}/trace`)).trimEnd().split("\n");
      assertEquals(lines.length, instructions);
      assert(lines.length > 1000, "the C library starts and ends");
      for (const line of lines) {
        // Our jump targets are 0x10abc, objdump's 10abc.
        const [address, text] = [
          line.slice(0, 8),
          line.slice(10).replace(/\b0x(?=[0-9a-f]{5,}$)/, ""),
        ];
        const other = expected.get(address)?.replace(/\b0x(?=[0-9a-f]{5,}$)/, "");
        assertEquals(text, other, line);
      }
      const loud = await trapdoor(["--trace", program]);
      assertEquals([loud.code, loud.stdout], [3, ""]);
      assertEquals(loud.stderr.trimEnd().split("\n").length, instructions);
      assertEquals(loud.stderr.split("\n", 20), lines.slice(0, 20));
    });
    oneLine(await trapdoor(["--trace=/nowhere/trace", program]), 1, "Cannot write the trace: ");
  },
);

testWith([GCC], "--strace prints system calls in order between the lines of --trace", async () => {
  const program = await buildC(`
    #include <unistd.h>
    int main(void) { write(1, "hello\\n", 6); return close(99) == 0; }`);
  const { code, stdout, stderr } = await trapdoor(["--strace", program]);
  assertEquals([code, stdout], [0, "hello\n"]);
  const lines = stderr.trimEnd().split("\n");
  assert(lines.every((line) => /^trapdoor: \w+\(.*\) = /.test(line)), stderr);
  const at = lines.indexOf('trapdoor: write(1, "hello\\n", 6) = 6');
  assert(at > 0, stderr);
  assertMatch(lines[at + 1], /^trapdoor: close\(99\) = -1 EBADF/);
  assertEquals(lines.at(-1), "trapdoor: exit_group(0) = ?");
  const both = (await trapdoor(["--strace", "--trace", program])).stderr.trimEnd().split("\n");
  const calls = both.filter((line) => line.startsWith("trapdoor: "));
  assertEquals(calls.length, lines.length);
  for (const line of calls) {
    assertMatch(both[both.indexOf(line) - 1], /: 00000073 {2}ecall$/, "after its instruction");
  }
});

Deno.test("--stats prints figures at the end, also as one JSON object in the last line", async () => {
  const json = await trapdoor(["--stats=json", "--backdoor", MODULE, HELLO]);
  assertEquals([json.code, json.stdout], [0, DIALOGUE]);
  const stats = JSON.parse(json.stderr.trimEnd().split("\n").at(-1)!);
  assertEquals(Object.keys(stats), [
    ...["instructions", "seconds", "mips", "tiers", "blocks", "compiled"],
    ...["backdoor_calls", "backdoor_events"],
  ]);
  assert(stats.instructions > 1000 && stats.seconds > 0 && stats.mips > 0 && stats.blocks > 10);
  assertEquals([stats.backdoor_calls, stats.backdoor_events], [1, 0]);
  const shares: number[] = Object.values(stats.tiers);
  assert(Math.abs(shares.reduce((sum, share) => sum + share, 0) - 1) < 1e-6);
  const text = await trapdoor(["--stats", HELLO]);
  assertMatch(
    text.stderr,
    /^trapdoor: \d+ instructions in \d+\.\d+ s, \d+\.\d MIPS; tiers: interp \d+\.\d%.*; blocks: \d+; backdoor calls: 0, events: 0\n(trapdoor: \w+: \d+ regions compiled, .*; exits: .*\n)*$/,
  );
  // Whatever the end.
  const limited = await trapdoor(["--stats=json", "--max-instructions", "234", HELLO]);
  assertEquals(JSON.parse(limited.stderr.trimEnd().split("\n").at(-1)!).instructions, 234);
});

Deno.test("--dump-wasm writes modules that are valid, and their listings", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const run = await trapdoor(["--tier=wasm", "--dump-wasm", `${folder}/new/dump`, HELLO]);
    assertEquals([run.code, run.stderr], [1, ""]);
    const names = [...Deno.readDirSync(`${folder}/new/dump`)].map(({ name }) => name);
    const modules = names.filter((name) => name.endsWith(".wasm"));
    assert(modules.length > 3, names.join());
    for (const name of modules) {
      const path = `${folder}/new/dump/${name}`;
      assert(WebAssembly.validate(await Deno.readFile(path)), name);
      const listing = await Deno.readTextFile(path.replace(/wasm$/, "txt"));
      const pc = name.match(/^region_([0-9a-f]+)/)![1];
      assert(listing.startsWith(`region ${pc}: `), listing.slice(0, 80));
      assertMatch(listing, new RegExp(`^${pc}: \\S+.*$`, "m"));
    }
    await Deno.writeTextFile(`${folder}/file`, "");
    const bad = await trapdoor(["--tier=wasm", "--dump-wasm", `${folder}/file`, HELLO]);
    assertEquals([bad.code, bad.stdout], [1, ""]);
    assertMatch(bad.stderr, /^trapdoor: Cannot create .*\/file for dumps of compiled code: .*\n$/);
    const none = await trapdoor(["--tier=interp", "--dump-wasm", folder, HELLO]);
    assertEquals(none.code, 2);
    assertMatch(none.stderr, /--dump-wasm .*: with --tier=interp there is nothing to dump\n$/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("--max-instructions stops after exactly so many, with status 124", async () => {
  for (const [text, count] of [["0", 0], ["1", 1], ["2_5", 25], ["5e2", 500], ["777", 777]]) {
    for (const tier of ["auto", "interp", "wasm"]) {
      const args = ["--tier", tier, "--stats=json", "--max-instructions", String(text), HELLO];
      const { code, stdout, stderr } = await trapdoor(args);
      const [message, json] = stderr.trimEnd().split("\n");
      assertEquals([code, stdout], [124, ""]);
      assertEquals(
        message,
        `trapdoor: ${HELLO}: stopped after ${count} instructions (--max-instructions)`,
      );
      assertEquals(JSON.parse(json).instructions, count);
    }
  }
  const enough = await trapdoor(["--max-instructions", "1e9", "--backdoor", MODULE, HELLO]);
  assertEquals(enough, { code: 0, stdout: DIALOGUE, stderr: "" });
});

testWith(
  [GCC],
  "--memory and --verbose: a guest gets no more memory, and what it could not get is said",
  async () => {
    const program = await buildC(`
    #include <stdio.h>
    #include <stdlib.h>
    #include <unistd.h>
    int main(int argc, char **argv) {
      volatile char *bytes = malloc((size_t)atoi(argv[1]) << 20);
      syscall(1999), syscall(1999), syscall(1998);
      printf("%d\\n", bytes != NULL);
      return 0;
    }`);
    assertEquals((await trapdoor(["--memory", "64M", program, "32"])).stdout, "1\n");
    assertEquals((await trapdoor(["--memory", "64M", program, "100"])).stdout, "0\n");
    assertEquals((await trapdoor(["--memory=200MiB", program, "100"])).stdout, "1\n");
    assertEquals((await trapdoor(["--memory=1984m", program, "1500"])).stdout, "1\n");
    oneLine(await trapdoor(["--memory", "64K", program, "1"]), 1, "give more with --memory");
    const verbose = await trapdoor(["--verbose", program, "1"]);
    assertEquals(
      verbose.stderr,
      [1999, 1998].map((number) =>
        `trapdoor: The guest used system call ${number}, which user mode does not have (ENOSYS)\n`
      ).join(""),
    );
    assertEquals((await trapdoor([program, "1"])).stderr, "");
  },
);

testWith(
  [GCC],
  "the exit status is the guest's, or 128 + n with a report when a signal killed it",
  async () => {
    const program = await buildC(`
    #include <stdio.h>
    #include <stdlib.h>
    int main(int argc, char **argv) { fputs("last words", stdout); exit(atoi(argv[1])); }`);
    for (const status of [0, 1, 42, 124, 139, 255, 256 + 3]) {
      const { code, stdout, stderr } = await trapdoor([program, String(status)]);
      assertEquals([code, stdout, stderr], [status & 255, "last words", ""]);
    }
    const faults = await buildGuest("guest/programs/faults.c");
    const died = async (name: string, status: number, message: RegExp) => {
      const { code, stdout, stderr } = await trapdoor([faults, name]);
      assertEquals([code, stdout], [status, `about to: ${name}\n`]);
      const [first, ...rest] = stderr.trimEnd().split("\n");
      assert(first.startsWith(`trapdoor: ${faults}: killed by `), stderr);
      assertMatch(first, message);
      assertEquals(rest.length, 8, stderr);
      assertMatch(
        rest[0],
        /^trapdoor: +zero 0{16} +ra [0-9a-f]{16} +sp [0-9a-f]{16} +gp [0-9a-f]{16}$/,
      );
    };
    await died("null-read", 139, /killed by SIGSEGV, pc 0x[0-9a-f]{5}, address 0x0$/);
    await died(
      "kernel-read",
      139,
      /killed by SIGSEGV, pc 0x[0-9a-f]{5}, address 0xffffffffffffff9b$/,
    );
    await died("illegal", 132, /killed by SIGILL, pc 0x[0-9a-f]{5}, address 0x[0-9a-f]{5}$/);
    await died("breakpoint", 133, /killed by SIGTRAP, /);
    await died("abort", 134, /killed by SIGABRT, pc 0x[0-9a-f]{5}$/);
  },
);

testExcept("a plain program needs --allow-read of its own file, and nothing more", async () => {
  const read = (...paths: string[]) => ({ permissions: [`--allow-read=${paths.join(",")}`] });
  const plain = await trapdoor([HELLO], read(HELLO));
  assertEquals(plain, { code: 1, stdout: "guest: nobody answers\n", stderr: "" });
  const channel = await trapdoor(
    ["--backdoor", MODULE, HELLO],
    read(HELLO, file("guest/examples")),
  );
  assertEquals(channel, { code: 0, stdout: DIALOGUE, stderr: "" });
  for (const tier of ["wasm", "interp"]) {
    assertEquals((await trapdoor(["--tier", tier, HELLO], read(HELLO))).code, 1);
  }
  const none = { permissions: [] };
  assertEquals((await trapdoor(["--version"], none)).stdout, `${VERSION}\n`);
  await withFolder(async (folder) => {
    // A program for long enough that everything there is gets loaded, and a directory.
    const args = ["--dir", `${folder}:/x`, "--env", "A=1", "--stats", "--verbose"];
    const events = file("guest/bin/riscv64/events");
    const module = file("guest/examples/events.ts");
    const busy = await trapdoor(
      [...args, "--backdoor", module, events, "300000"],
      read(folder, events, file("guest/examples")),
    );
    assertEquals(busy.code, 0, busy.stderr);
    assertStringIncludes(busy.stdout, "guest: 300300 events written, 300300 seen by the host\n");
  });
});

testExcept("a missing permission is named when it is needed", async () => {
  const only = (...permissions: string[]) => ({ permissions });
  oneLine(await trapdoor([HELLO], only()), 1, "run with --allow-read (or -A)");
  oneLine(await trapdoor([], only()), 1, "run with --allow-read (or -A)");
  const read = `--allow-read=${HELLO}`;
  oneLine(await trapdoor([file("guest/bin/riscv64/bulk")], only(read)), 1, "--allow-read");
  oneLine(await trapdoor(["--dir", "/:/x", HELLO], only(read)), 1, "--allow-read");
  oneLine(await trapdoor(["--env", "SECRET", HELLO], only(read)), 1, "run with --allow-env");
  oneLine(await trapdoor(["--trace=/tmp/x", HELLO], only(read)), 1, "run with --allow-write");
  oneLine(await trapdoor(["http://127.0.0.1:8/x"], only(read)), 1, "run with --allow-net");
  const module = await trapdoor(["--backdoor", MODULE, HELLO], only(read));
  assertEquals([module.code, module.stdout], [1, ""]);
  assertStringIncludes(module.stderr, `Cannot load callback module file://${MODULE}: `);
  assertStringIncludes(module.stderr, "--allow-read");
});

testWith(
  [GCC],
  "a missing permission for a granted directory is the guest's error when it writes",
  async () => {
    const show = await buildC(SHOW);
    await withFolder(async (folder) => {
      const permissions = [`--allow-read=${show},${folder}`];
      // Native code would need more.
      const tier = TIER === "native" ? ["--tier=auto"] : [];
      const args = [...tier, "--dir", `${folder}:/x`, "--verbose", show, "+/x/new"];
      const { code, stdout, stderr } = await trapdoor(args, { permissions });
      assertEquals([code, stdout], [0, "+/x/new: Permission denied\n"]);
      assertStringIncludes(stderr, "--allow-write");
    });
  },
);

testExcept("a file that can't be run is named with the reason", async () => {
  const hello = await Deno.readFile(HELLO);
  await withFolder(async (folder) => {
    const check = async (name: string, bytes: Uint8Array | string, message: string) => {
      const path = `${folder}/${name}`;
      if (typeof bytes === "string") await Deno.writeTextFile(path, bytes);
      else await Deno.writeFile(path, bytes);
      oneLine(await trapdoor([path]), 1, `Cannot run ${path}: ${message}`);
    };
    await check("empty", "", "the file is empty");
    await check("text", "hello\n", "it is not an ELF file");
    await check(
      "script",
      "#!/bin/sh -e\necho\n",
      "it is a script, not an ELF file; run its interpreter (/bin/sh -e)",
    );
    await check(
      "header",
      hello.subarray(0, 60),
      "the file is truncated: the ELF header ends at byte 64",
    );
    await check(
      "headers",
      hello.subarray(0, 100),
      "the file is truncated: the program header table",
    );
    await check("segment", hello.subarray(0, 2000), "the file is truncated: segment");
    const x86 = hello.slice();
    x86.set([62, 0], 18);
    await check(
      "x86",
      x86,
      "it is for x86-64 (64-bit); riscv64, riscv32 and aarch64 programs can be run",
    );
    const big = hello.slice();
    big[5] = 2;
    await check("big", big, "it is big-endian");
    oneLine(await trapdoor([folder]), 1, `Cannot read the program ${folder}: it is a directory`);
    oneLine(await trapdoor([`${folder}/gone`]), 1, "there is no such file");
    oneLine(await trapdoor(["/dev/null"]), 1, "it is a device");
    // Standard options before it change nothing.
    oneLine(await trapdoor(["--strace", "--verbose", `${folder}/text`]), 1, "not an ELF file");
  });
});

testWith(
  [GCC],
  "a dynamically linked program or an object file is named with what to do",
  async () => {
    await withFolder(async (folder) => {
      await Deno.writeTextFile(`${folder}/a.c`, "int main(void) { return 0; }\n");
      const compile = async (...args: string[]) => {
        const { code, stderr } = await run([GCC, "a.c", ...args], { cwd: folder });
        assertEquals(code, 0, stderr);
      };
      await compile("-o", "dynamic");
      await compile("-c", "-o", "object.o");
      await compile("-shared", "-fPIC", "-o", "library.so");
      const dynamic = await trapdoor([`${folder}/dynamic`]);
      oneLine(
        dynamic,
        1,
        /it is dynamically linked \(it needs \/lib\/ld-linux-riscv64.*\); link it with -static/,
      );
      oneLine(
        await trapdoor([`${folder}/object.o`]),
        1,
        "a relocatable object file; link it into a program",
      );
    });
  },
);

testWith([GCC], "standard input and output pass large data through", async () => {
  const program = await buildC(`
    #include <unistd.h>
    int main(void) {
      static char bytes[70000];
      ssize_t n;
      while ((n = read(0, bytes, sizeof bytes)) > 0) {
        for (ssize_t done = 0; done < n;) {
          const ssize_t m = write(1, bytes + done, n - done);
          if (m <= 0) return 1;
          done += m;
        }
      }
      return n < 0 ? 2 : 5;
    }`);
  const text = Array.from({ length: 400_000 }, (_, i) => `line ${i}\n`).join("");
  const { code, stdout, stderr } = await trapdoor([program], { stdin: text });
  assertEquals([code, stderr, stdout === text], [5, "", true]);
  assertEquals(await trapdoor([program], { stdin: "" }), { code: 5, stdout: "", stderr: "" });
  assertEquals(await trapdoor([program]), { code: 5, stdout: "", stderr: "" });
});

testWith([GCC], "a broken pipe kills the guest with SIGPIPE, or is its EPIPE", async () => {
  const program = await buildC(`
    #include <errno.h>
    #include <signal.h>
    #include <stdio.h>
    #include <string.h>
    int main(int argc, char **argv) {
      if (argc > 1) signal(SIGPIPE, SIG_IGN);
      while (puts("a line that nobody wants to read") >= 0) {}
      fprintf(stderr, "error: %s\\n", strerror(errno));
      return 4;
    }`);
  const broken = async (args: string[]) => {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", file("mod.ts"), ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    await reader.read();
    await reader.cancel();
    const [stderr, { code }] = await Promise.all([new Response(child.stderr).text(), child.status]);
    return { code, stderr };
  };
  const killed = await broken([program]);
  assertEquals(killed.code, 141);
  assertStringIncludes(killed.stderr, "killed by SIGPIPE");
  const told = await broken([program, "ignore"]);
  assertEquals([told.code, told.stderr], [4, "error: Broken pipe\n"]);
});

/** Starts the command line, waits for a line of the guest's, sends signals, and returns how it ended. */
async function signalled(
  args: string[],
  line: string,
  signals: Deno.Signal[],
  stdin: "null" | "piped" = "null",
): Promise<Ran> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", file("mod.ts"), ...args],
    stdin,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const killer = setTimeout(() => child.kill("SIGKILL"), 30_000);
  const errors = new Response(child.stderr).text();
  let stdout = "";
  let sent = false;
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    stdout += decoder.decode(chunk, { stream: true });
    if (sent || !stdout.includes(line)) continue;
    sent = true;
    // A moment for what comes after the line.
    for (const signal of signals) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      child.kill(signal);
    }
  }
  const { code } = await child.status;
  clearTimeout(killer);
  if (stdin === "piped") await child.stdin.close().catch(() => {});
  return { code, stdout, stderr: await errors };
}

testWith(
  [GCC],
  "SIGINT and SIGTERM reach the guest, whatever it is at, and fini is called",
  async () => {
    const program = await buildC(ENDLESS);
    await withFolder(async (folder) => {
      const module = `${folder}/module.ts`;
      await Deno.writeTextFile(module, `export function fini() { console.log("fini"); }`);
      for (const what of ["work", "calls", "pause", "sleep", "read"]) {
        const stdin = what === "read" ? "piped" : "null";
        const args = ["--backdoor", module, program, what];
        const signal = what === "calls" ? "SIGTERM" : "SIGINT", number = what === "calls" ? 15 : 2;
        const killed = await signalled(args, "ready", [signal], stdin);
        assertEquals([killed.code, killed.stdout], [128 + number, "ready\nfini\n"], what);
        assertMatch(killed.stderr, new RegExp(`^trapdoor: .*: killed by ${signal}, pc 0x`));
        const handled = await signalled([...args, "handle"], "ready", [signal], stdin);
        assertEquals(handled, {
          code: 10 + number,
          stdout: `ready\nhandled ${number}\nfini\n`,
          stderr: "",
        }, what);
      }
    });
  },
);

Deno.test("SIGINT ends a guest whose callback, init or fini never settles", async () => {
  await withFolder(async (folder) => {
    const module = `${folder}/module.ts`;
    const interrupted = async (text: string, line: string) => {
      await Deno.writeTextFile(module, text);
      return await signalled(["--backdoor", module, HELLO], line, ["SIGINT"]);
    };
    const said = `console.log("here");`;
    const never = `new Promise(() => {})`;
    const call = await interrupted(
      `export function call() { ${said} return ${never}; }
       export function fini() { console.log("fini"); }`,
      "here",
    );
    assertEquals(call.code, 130);
    assertMatch(call.stdout, /here\nfini\n$/);
    assertStringIncludes(call.stderr, "killed by SIGINT");
    const init = await interrupted(`export function init() { ${said} return ${never}; }`, "here");
    assertEquals([init.code, init.stdout], [130, "here\n"]);
    assertStringIncludes(init.stderr, `${module} was loaded and its init settled`);
    const load = await interrupted(`${said} await ${never}; export function call() {}`, "here");
    assertEquals([load.code, load.stdout], [130, "here\n"]);
    assertStringIncludes(load.stderr, module);
    const fini = await interrupted(
      `export function call() { return 7; } export function fini() { ${said} return ${never}; }`,
      "here",
    );
    assertEquals(fini.code, 130);
    assertStringIncludes(fini.stdout, "guest: 7\n");
    assertStringIncludes(fini.stderr, `fini of ${module} has not settled`);
  });
});

Deno.test("--trace ends quietly when nobody reads standard error any longer", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", file("mod.ts"), "--trace", file("guest/bin/riscv64/bulk")],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  await child.stderr.cancel();
  // Nobody answers bulk: exit status 1, unless the pipe broke before.
  const { code } = await child.status;
  assert(code === 141 || code === 1, `${code}`);
});
