import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { build, buildCpuTime, buildHello, buildKernel, type Target } from "../bench/lib/build.ts";
import { compare, type Executor } from "../bench/lib/compare.ts";
import { parseHistory } from "../bench/lib/history.ts";
import { kernels, kernelsOf, pickKernels, sourceOf } from "../bench/lib/kernels.ts";
import { execute, measure } from "../bench/lib/measure.ts";
import { parseKernelOutput } from "../bench/lib/parse.ts";
import {
  architectures,
  findTools,
  findTrapdoor,
  requireTool,
  skip,
  which,
} from "../bench/lib/tools.ts";

const tools = await findTools();
const other = await findTools("aarch64");
const buildable = tools.hostCompiler.found;
const comparable = buildable && tools.guestCompiler.found && tools.qemu.found;
if (!buildable) skip("tests of measured programs", "no C compiler for the host");
if (!comparable) skip("tests of record.ts", "no riscv64-linux-gnu-gcc or no qemu-riscv64");

Deno.test("which finds programs, and no directory or plain file", async () => {
  const file = await Deno.makeTempFile();
  try {
    assert(which("sh")?.startsWith("/"));
    assertEquals(which("no-such-program-anywhere"), undefined);
    assertEquals(which("/"), undefined);
    assertEquals(which(file), undefined);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("requireTool and findTrapdoor name what is absent", async () => {
  assertThrows(
    () => requireTool({ found: false, reason: "gcc not found" }),
    Error,
    "gcc not found",
  );
  assertEquals(await findTrapdoor("no-such-program -x"), {
    command: ["no-such-program", "-x"],
    missing: "'no-such-program' not found",
  });
  const failing = await findTrapdoor(`sh -c 'echo broken >&2; exit 3'`);
  assertStringIncludes(failing.missing ?? "", "ends with 3: broken");
  assertEquals((await findTrapdoor("sh -c 'exit 0'")).missing, undefined);
});

Deno.test("execute returns both outputs and quotes stderr when the program fails", async () => {
  const output = await execute(["sh", "-c", "echo out; echo err >&2"]);
  assertEquals(output, { stdout: "out\n", stderr: "err\n" });
  await assertRejects(() => execute(["sh", "-c", "echo why >&2; exit 4"]), Error, "with 4: why");
});

Deno.test({
  name: "measure counts the CPU time of a program and its children, and no sleep",
  ignore: !buildable,
  async fn() {
    const cpuTime = await buildCpuTime(tools);
    const burn = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
    const busy = await measure(cpuTime, ["sh", "-c", `sh -c '${burn}'; echo done; echo err >&2`]);
    assertEquals([busy.stdout, busy.stderr], ["done\n", "err\n"]);
    assert(busy.cpu > 0.005 && busy.cpu <= busy.wall * 1.5, JSON.stringify(busy));
    const idle = await measure(cpuTime, ["sleep", "0.1"]);
    assert(idle.cpu < 0.05 && idle.wall >= 0.1, JSON.stringify(idle));
  },
});

Deno.test({
  name: "measure says why when the program fails, is absent, is killed or takes too long",
  ignore: !buildable,
  async fn() {
    const cpuTime = await buildCpuTime(tools);
    const fails = (command: string[], why: string, timeout = 60) =>
      assertRejects(() => measure(cpuTime, command, { timeout }), Error, why);
    await fails(["sh", "-c", "echo why >&2; exit 3"], "ends with 3: why");
    await fails(["/no/such/program"], "can't run '/no/such/program'");
    await fails(["sh", "-c", "kill -9 $$"], "ends with 137");
    const start = performance.now();
    await fails(["sleep", "30"], "was stopped after 0.2 s", 0.2);
    assert(performance.now() - start < 5000);
  },
});

Deno.test({
  name: "build reuses a program until its text or flags change, and quotes the compiler",
  ignore: !buildable,
  async fn() {
    const directory = await Deno.makeTempDir();
    const before = Deno.env.get("TRAPDOOR_BENCH_CACHE");
    try {
      Deno.env.set("TRAPDOOR_BENCH_CACHE", `${directory}/cache`);
      const source = `${directory}/answer.c`;
      await Deno.writeTextFile(`${directory}/answer.h`, "#define ANSWER 3\n");
      await Deno.writeTextFile(source, '#include "answer.h"\nint main(void) { return ANSWER; }\n');
      const make = (flags: string[]) => build(tools, { sources: [source], flags, target: "host" });
      const first = await make(["-O1"]);
      assertEquals((await new Deno.Command(first).output()).code, 3);
      const { mtime } = await Deno.stat(first);
      assertEquals(await make(["-O1"]), first);
      assertEquals((await Deno.stat(first)).mtime, mtime);
      assert(await make(["-O2"]) !== first);
      await Deno.writeTextFile(`${directory}/answer.h`, "#define ANSWER 4\n");
      const second = await make(["-O1"]);
      assert(second !== first);
      assertEquals((await new Deno.Command(second).output()).code, 4);
      await Deno.writeTextFile(source, "int main(void) { return undeclared; }\n");
      const error = await assertRejects(() => make([]), Error);
      assertStringIncludes(error.message, "undeclared");
    } finally {
      if (before === undefined) Deno.env.delete("TRAPDOOR_BENCH_CACHE");
      else Deno.env.set("TRAPDOOR_BENCH_CACHE", before);
      await Deno.remove(directory, { recursive: true });
    }
  },
});

Deno.test({
  name: "kernels refuse a scale that is no number",
  ignore: !buildable,
  async fn() {
    const program = await buildKernel(tools, kernels[0], "host");
    for (const args of [[], ["x"], ["1x"], ["-1"], [""], ["99999999999999999999"], ["1", "2"]]) {
      const output = await new Deno.Command(program, { args }).output();
      assertEquals(output.code, 2, args.join(" "));
    }
  },
});

for (const arch of architectures) {
  const tools = await findTools(arch);
  const comparable = buildable && tools.guestCompiler.found && tools.qemu.found;
  if (!comparable) skip(`tests of ${arch} kernels`, `no ${arch}-linux-gnu-gcc or no qemu-${arch}`);
  Deno.test({
    // Builds every kernel twice, unless the cache has them.
    name: `kernels compute the same natively and in qemu-${arch}`,
    ignore: !comparable,
    async fn(t) {
      const qemu = requireTool(tools.qemu);
      for (const kernel of kernelsOf(arch)) {
        await t.step(kernel.name, async () => {
          const at = (target: Target) => buildKernel(tools, kernel, target);
          const [native, guest] = [await at("host"), await at(arch)];
          const sums = new Set<string>();
          for (const scale of ["0", "1", "3"]) {
            const { stdout } = await execute([native, scale]);
            assertEquals((await execute([qemu, guest, scale])).stdout, stdout);
            const result = parseKernelOutput(stdout);
            assertEquals([result.name, result.scale], [kernel.name, Number(scale)]);
            sums.add(result.checksum);
          }
          const source = sourceOf(kernel.source ?? kernel.name);
          assertEquals(sums.size, 3, `${source}: the checksum ignores the scale`);
        });
      }
      const hello = await buildHello(tools, arch);
      assertEquals((await execute([qemu, hello])).stdout, "hello\n");
    },
  });
}

Deno.test("build refuses a guest that the tools are not for", async () => {
  const program = buildHello(await findTools("aarch64"), "riscv64");
  await assertRejects(() => program, TypeError, "for riscv64 by the tools of aarch64");
});

Deno.test({
  name: "compare leaves an executor out when its checksum is wrong or it crashes",
  ignore: !buildable,
  async fn() {
    const cpuTime = await buildCpuTime(tools);
    const [kernel] = pickKernels(["sieve"]);
    const program = await buildKernel(tools, kernel, "host");
    const executor = (name: string, command: string[], stats = false): Executor => ({
      name,
      command,
      program,
      stats,
    });
    const shell = (script: string) => ["sh", "-c", script, "sh"];
    const result = await compare(
      cpuTime,
      kernel,
      [
        executor("native", []),
        executor(
          "same",
          shell(`"$@"; echo '{"instructions":'$2',"seconds":1,"mips":1}' >&2`),
          true,
        ),
        executor("wrong", shell('"$@" | sed s/checksum=./checksum=f/')),
        executor("crashes", shell("kill -11 $$")),
        executor("silent", shell('"$@"'), true),
      ],
      3,
      0.005,
    );
    assertEquals(Object.keys(result.outcomes), ["native", "same"]);
    assertEquals(result.outcomes.native.ratio, 1);
    assertEquals(result.outcomes.same.instructions, result.scale);
    assertStringIncludes(result.failures.wrong, "wrong computes");
    assertStringIncludes(result.failures.crashes, "ends with 139");
    assertStringIncludes(result.failures.silent, "Can't read statistics");
    const broken = [executor("native", shell("exit 1"))];
    await assertRejects(() => compare(cpuTime, kernel, broken, 1, 0.005), Error, "ends with 1");
  },
});

/** Runs record.ts; colours would get into what is compared. */
async function record(...args: string[]) {
  const script = new URL("../bench/record.ts", import.meta.url).pathname;
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code: output.code, stdout: text(output.stdout), stderr: text(output.stderr) };
}

Deno.test("record.ts ends with 2 and one line when an option is wrong", async () => {
  const wrong = [
    ["--bogus"],
    ["--arch=mips"],
    ["--kernels=memcpy"],
    ["--tier=fast"],
    ["--rounds=0"],
    ["--rounds=1.5"],
    ["--seconds=x"],
    ["--kernels=fib,fibb"],
    ["stray"],
  ];
  for (const args of wrong) {
    const { code, stdout, stderr } = await record(...args);
    assertEquals([code, stdout], [2, ""], args.join(" "));
    assert(/^bench: [^\n]+\n$/.test(stderr), stderr);
  }
  assertEquals((await record("--help")).code, 0);
});

Deno.test({
  // A stand-in for the emulator: qemu-riscv64 behind Trapdoor's command line.
  name: "record.ts appends a record, draws it, and fails when a checksum is wrong",
  ignore: !comparable,
  async fn() {
    const directory = await Deno.makeTempDir();
    try {
      const standIn = `${directory}/emulator`;
      await Deno.writeTextFile(
        standIn,
        `#!/bin/sh
[ "$1" = --version ] && exit 0
stats=
while case "$1" in --*) true ;; *) false ;; esac; do
  [ "$1" = --stats=json ] && stats=1
  shift
done
"\${QEMU:-${requireTool(tools.qemu)}}" "$@" | sed "$EDIT"
[ -z "$stats" ] || echo '{"instructions":'$(($2 * 1000000))',"seconds":1,"mips":2}' >&2
`,
        { mode: 0o755 },
      );
      const out = `${directory}/history/history.jsonl`;
      const common = ["--kernels=sieve", "--rounds=1", "--seconds=0.005", "--no-extra"];
      const run = (edit: string, ...more: string[]) =>
        record(...common, `--out=${out}`, `--trapdoor=env EDIT='${edit}' ${standIn}`, ...more);
      const good = await run("s/x/x/");
      assertEquals(good.code, 0, good.stderr);
      assertStringIncludes(good.stdout, "| trapdoor, interp |");
      assertStringIncludes(good.stdout, "hello in trapdoor takes");
      const [first] = parseHistory(await Deno.readTextFile(out));
      const { sieve } = first.kernels;
      assert(sieve.trapdoor! > 0.5 && sieve.qemu! > 0.5, JSON.stringify(first));
      assertEquals(sieve.instructions, sieve.scale * 1e6);
      assertEquals([first.tier, first.complete, first.geomean.trapdoor!.all], [
        "interp",
        false,
        sieve.trapdoor!,
      ]);
      const picture = `${directory}/history/trend.svg`;
      assertStringIncludes(await Deno.readTextFile(picture), "1 record,");
      const bad = await run("s/checksum=./checksum=z/", "--tier=wasm");
      assertEquals(bad.code, 1);
      assertStringIncludes(bad.stderr, "FAILED sieve in trapdoor");
      const [, second] = parseHistory(await Deno.readTextFile(out));
      assertEquals([second.tier, second.kernels.sieve.trapdoor], ["wasm", undefined]);
      assertStringIncludes(await Deno.readTextFile(picture), "2 records,");
      await Deno.writeTextFile(out, "nonsense\n");
      const unreadable = await run("s/x/x/");
      assertEquals(unreadable.code, 1);
      assertStringIncludes(unreadable.stderr, "line 1 is not JSON");
      if (other.qemu.found && other.guestCompiler.found) {
        // Another guest is drawn apart, in the same history.
        const arm = ["--arch=aarch64", "--kernels=memcpy", "--rounds=1", "--seconds=0.005"];
        const both = `${directory}/both/history.jsonl`;
        const emulator = `--trapdoor=env EDIT=s/x/x/ QEMU=${other.qemu.path} ${standIn}`;
        const made = await record(...arm, `--out=${both}`, emulator);
        assertEquals(made.code, 0, made.stderr);
        assertStringIncludes(made.stdout, "| qemu-aarch64 ");
        const [third] = parseHistory(await Deno.readTextFile(both));
        assertEquals([third.arch, third.kernels.memcpy.class], ["aarch64", "vectors"]);
        const drawn = await Deno.readTextFile(`${directory}/both/trend-aarch64.svg`);
        assertStringIncludes(drawn, "1 record,");
      } else skip("record.ts with an aarch64 guest", "no tools for it");
      const absent = await record(`--out=${out}.none`, "--trapdoor=no-such-program");
      assertEquals(absent.code, 1);
      assertStringIncludes(absent.stderr, "'no-such-program' not found");
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
