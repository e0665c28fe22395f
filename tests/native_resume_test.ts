/** What a run of a program leaves for its next runs, and what is translated before the first; and disks that are full. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { hashCode } from "../ffi/manifest.ts";
import { Machine } from "../machine/machine.ts";
import { AddressSpace } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import { makeElf } from "./elf_maker.ts";
import { testWith } from "./tools.ts";
import { assemble } from "./wasm_fuzz.ts";

const ROOT = new URL("../", import.meta.url);
const HELLO = new URL("../guest/bin/riscv64/hello", import.meta.url).pathname;
const NOBODY = "/nonexistent/cc";

async function withFolder(what: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await what(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A program that calls a function again and again, and ends with status 7. */
function program(rounds: number): Uint8Array {
  const { bytes } = assemble(
    64,
    0x1_0000,
    `
    lui rd=5 imm=${rounds * 4096}
  again:
    jal rd=1 @work
    addi rd=5 rs1=5 imm=-1
    bne rs1=5 rs2=0 @again
    addi rd=10 imm=7
    addi rd=17 imm=93
    ecall
  work:
    addi rd=6 imm=20
  inner:
    addi rd=6 rs1=6 imm=-1
    xor rd=11 rs1=11 rs2=6
    bne rs1=6 rs2=0 @inner
    jalr rs1=1
  `,
  );
  return makeElf({ segments: [{ address: 0x1_0000, bytes }] });
}

async function deno(
  cache: string,
  args: string[],
  env: Record<string, string> = {},
  before: string[] = [],
) {
  const command = [...before, Deno.execPath(), "run", "--no-check", "--no-prompt", "-A", "mod.ts"];
  const { code, stdout, stderr } = await new Deno.Command(command[0], {
    args: [...command.slice(1), ...args],
    cwd: ROOT,
    env: { TRAPDOOR_CACHE: cache, NO_COLOR: "1", ...env },
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), err: text.decode(stderr) };
}

/** Share of the instructions that native code executed. */
function nativeShare(err: string): number {
  const found = /"native":([0-9.e-]+)/.exec(err);
  return found ? Number(found[1]) : 0;
}

const namesIn = (folder: string) => Array.from(Deno.readDirSync(folder), ({ name }) => name);

Deno.test("hashCode depends on the code and its place, and gives nothing when it can't be executed", () => {
  const space = new AddressSpace(new Arena(1 << 20));
  space.map(0x1000, 0x2000, 7);
  const block = { pc: 0x1ffc, bytes: 8 };
  const before = hashCode(space.arena, [block]);
  assertEquals(hashCode(space.arena, [block]), before);
  space.arena.m8[0x2003] ^= 1;
  assertNotEquals(hashCode(space.arena, [block]), before);
  space.arena.m8[0x2003] ^= 1;
  assertEquals(hashCode(space.arena, [block]), before);
  space.protect(0x2000, 0x1000, 3);
  assertEquals(hashCode(space.arena, [block]), undefined);
  for (const pc of [-8, 0x3000, 2 ** 40, NaN]) {
    assertEquals(hashCode(space.arena, [{ pc, bytes: 8 }]), undefined);
  }
});

testWith(
  ["cc"],
  "mod.ts is native at once and needs no compiler when an earlier run left its translations",
  () =>
    withFolder(async (folder) => {
      const file = `${folder}/program`, cache = `${folder}/cache`;
      Deno.writeFileSync(file, program(12000), { mode: 0o700 });
      const stats = ["--stats=json", file];
      // How soon a compiler is done is not known.
      for (let i = 0; i < 8; i++) {
        const { code, err } = await deno(cache, stats);
        assertEquals(code, 7, err);
        if (namesIn(cache).some((name) => name.endsWith(".units"))) break;
      }
      const next = await deno(cache, stats, { TRAPDOOR_CC: NOBODY });
      assertEquals(next.code, 7, next.err);
      assert(nativeShare(next.err) > 0.98, next.err);
      // Nothing was left to compile, so that the compiler was not loaded.
      assert(!next.err.includes('"wasm"'), next.err);
      // The stored blocks say that it pays to look soon.
      const { instructions, tiers } = JSON.parse(/^\{.*\}$/m.exec(next.err)![0]);
      const interpreted = instructions * tiers.interp;
      assert(interpreted >= 20_000 && interpreted < 100_000, next.err);
      // Another program has nothing of it.
      Deno.writeFileSync(file, program(12001));
      const other = await deno(cache, stats, { TRAPDOOR_CC: NOBODY });
      assertEquals([other.code, nativeShare(other.err)], [7, 0], other.err);
      Deno.writeFileSync(file, program(12000));
      const [manifest] = namesIn(cache).filter((name) => name.endsWith(".units"));
      const bytes = Deno.readFileSync(`${cache}/${manifest}`);
      bytes[100] ^= 1;
      Deno.writeFileSync(`${cache}/${manifest}`, bytes);
      const damaged = await deno(cache, stats, { TRAPDOOR_CC: NOBODY });
      assertEquals([damaged.code, nativeShare(damaged.err)], [7, 0], damaged.err);
    }),
);

testWith(
  ["cc"],
  "mod.ts --compile makes a cache with which no compiler is needed",
  () =>
    withFolder(async (folder) => {
      const file = `${folder}/program`, cache = `${folder}/cache`;
      Deno.writeFileSync(file, program(1000), { mode: 0o700 });
      const made = await deno("off", ["--compile", cache, "--jobs=1", file]);
      assertEquals(made.code, 0, made.err);
      assertMatch(made.out, /^1 translations, [4-9] entries in .*cache\n$/);
      const run = await deno(cache, ["--stats=json", file], { TRAPDOOR_CC: NOBODY });
      assertEquals(run.code, 7, run.err);
      assert(nativeShare(run.err) > 0.95, run.err);
      const info = await deno(cache, ["--cache", "info"]);
      assertMatch(info.out, /^[3-9] entries, \d+ bytes in .*cache\n$/);
      const cleared = await deno(cache, ["--cache", "clear"]);
      assertMatch(cleared.out, /^[3-9] entries, \d+ bytes deleted/);
      assertEquals(namesIn(cache), []);
    }),
);

testWith(
  ["sh"],
  "mod.ts ends compilers and leaves none of their files when the program ends before them",
  () =>
    withFolder(async (folder) => {
      const file = `${folder}/program`, cache = `${folder}/cache`, compiler = `${folder}/slow`;
      Deno.writeFileSync(file, program(12000), { mode: 0o700 });
      Deno.writeTextFileSync(compiler, `#!/bin/sh\ntouch ${folder}/begun\nexec sleep 60\n`);
      Deno.chmodSync(compiler, 0o700);
      const { code, err } = await deno(cache, ["--verbose", file], { TRAPDOOR_CC: compiler });
      assertEquals([code, err], [7, ""]);
      assert(namesIn(folder).includes("begun"), "the compiler has begun");
      assertEquals(namesIn(cache).filter((name) => name.startsWith("tmp-")), []);
    }),
);

Deno.test("mod.ts --compile says what to do when it can't", async () => {
  const none = await deno("off", ["--compile", "/tmp"]);
  assertEquals(none.code, 2);
  assertStringIncludes(none.err, "--compile needs a program");
  const compiler = await deno("off", ["--compile", "/tmp", HELLO], { TRAPDOOR_CC: NOBODY });
  assertEquals(compiler.code, 1);
  assertStringIncludes(compiler.err, `no C compiler: TRAPDOOR_CC is ${NOBODY}`);
  const source = await deno("off", ["--compile", "/tmp", "mod.ts"]);
  assertEquals(source.code, 1);
  assertStringIncludes(source.err, "mod.ts");
});

testWith(
  ["cc", "sh"],
  "mod.ts computes the same and leaves nothing broken when the disk is full",
  () =>
    withFolder(async (folder) => {
      // A limit on the size of files makes writing fail midway, for the compiler, too; half a KiB a block.
      const limited = (
        blocks: number,
      ) => ["sh", "-c", `trap "" XFSZ; ulimit -f ${blocks}; exec "$@"`, "sh"];
      for (const blocks of [2, 8, 30, 40, 60]) {
        const cache = `${folder}/${blocks}`;
        const { code, out, err } = await deno(cache, ["--tier=native", HELLO], {}, limited(blocks));
        // Without room for the helper, which everything needs, nothing begins.
        if (code === 1 && out === "") {
          assertStringIncludes(err, "Cannot use the native tier: no native");
        } else assertEquals([code, out], [1, "guest: nobody answers\n"], err);
        assertEquals(
          namesIn(cache).filter((name) => name.startsWith("tmp-")),
          [],
          `${blocks} blocks`,
        );
        const later = await deno(cache, ["--tier=native", "--stats=json", HELLO]);
        assertEquals([later.code, later.out], [1, "guest: nobody answers\n"], later.err);
        assert(nativeShare(later.err) > 0.9, later.err);
      }
    }),
);

/** Why a file system that nobody else sees can't be mounted here; undefined if it can. */
function mountProblem(folder: string): string | undefined {
  const { success, stderr } = new Deno.Command("unshare", {
    args: ["-rm", "mount", "-t", "tmpfs", "none", folder],
  }).outputSync();
  return success ? undefined : new TextDecoder().decode(stderr).trim();
}

/** Runs a command on a small file system, and again when it is larger; says what was left in between. */
const TWICE = `
  folder=$1 options=$2; shift 2
  mount -t tmpfs -o "$options" none "$folder" || exit 99
  "$@"; echo "status $?"
  ls -A "$folder" | grep "^tmp-"
  echo "-- later" | tee /dev/stderr
  mount -o remount,size=64m,nr_inodes=1000 "$folder" || exit 99
  "$@"; echo "status $?"`;

testWith(
  ["cc", "unshare", "mount"],
  "mod.ts computes the same and leaves nothing broken when a file system is full",
  () =>
    withFolder(async (folder) => {
      const problem = mountProblem(folder);
      if (problem !== undefined) {
        // Whether it may is up to the host, and no tool changes it. Files have been limited above.
        console.log(`No file system was filled, as none can be mounted here: ${problem}`);
        return;
      }
      const ran = "guest: nobody answers\nstatus 1\n", parts: number[] = [];
      // Room for nothing, for nothing of use, for the helper's source only, for some translations.
      for (const options of ["nr_inodes=1", "size=8k", "size=40k", "size=140k"]) {
        const before = ["unshare", "-rm", "sh", "-c", TWICE, "sh", folder, options];
        const args = ["--tier=native", "--stats=json", HELLO];
        const { code, out, err } = await deno(folder, args, {}, before);
        assertEquals(code, 0, err);
        const [first, then] = out.split("-- later\n"), [said, saidThen] = err.split("-- later\n");
        assertStringIncludes(said, "No space left on device");
        if (said.startsWith("trapdoor: Cannot use the native tier: ")) {
          assertEquals(first, "status 1\n", said);
        } else {
          assertEquals(first, ran, said);
          assertStringIncludes(said, "The interpreter executes this code");
          parts.push(nativeShare(said));
        }
        assertEquals(then, ran, saidThen);
        assert(nativeShare(saidThen) > 0.9, saidThen);
      }
      assert(parts.some((share) => share > 0 && share < 0.9), `${parts}`);
    }),
);

Deno.test("a machine runs on when there are translations of earlier runs in a cache that it may not write", async () => {
  await withFolder(async (folder) => {
    await Deno.writeFile(`${folder}/program`, program(60));
    await Deno.writeTextFile(`${folder}/earlier.units`, "");
    const script = `
      import { Machine } from "${new URL("mod.ts", ROOT)}";
      const notes = [], cache = "${folder}", note = (text) => notes.push(text);
      const machine = await Machine.user({ program: "${folder}/program", cache, note });
      const { reason, status } = await machine.run();
      console.log(JSON.stringify([reason, status, notes]));
    `;
    await Deno.writeTextFile(`${folder}/run.ts`, script);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "--no-prompt", "--allow-read", "--allow-env", `${folder}/run.ts`],
      env: { TRAPDOOR_CACHE: folder, NO_COLOR: "1" },
    }).output();
    const text = new TextDecoder();
    assertEquals(code, 0, text.decode(stderr));
    const [reason, status, notes] = JSON.parse(text.decode(stdout));
    assertEquals([reason, status], ["exit", 7]);
    assertMatch(
      notes.join("\n"),
      /^no native tier: no access to the translation cache: run with /m,
    );
  });
});

/** Words before a command whose process obeys file modes, even if root starts it. */
const UNPRIVILEGED = Deno.uid() === 0
  ? ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
  : [];

testWith(
  ["cc", ...UNPRIVILEGED.slice(0, 1)],
  "mod.ts uses what is in a read-only directory, and goes on when it can't add to it",
  () =>
    withFolder(async (folder) => {
      const file = `${folder}/program`, full = `${folder}/full`, empty = `${folder}/empty`;
      Deno.writeFileSync(file, program(1000), { mode: 0o700 });
      Deno.mkdirSync(empty);
      const made = await deno("off", ["--compile", full, "--jobs=1", file]);
      assertEquals(made.code, 0, made.err);
      const before = namesIn(full).sort();
      for (const directory of [full, empty]) Deno.chmodSync(directory, 0o555);
      try {
        const used = await deno(full, ["--stats=json", file], {}, UNPRIVILEGED);
        assertEquals(used.code, 7, used.err);
        assert(nativeShare(used.err) > 0.95, used.err);
        assertEquals(namesIn(full).sort(), before);
        const auto = await deno(empty, ["--stats=json", file], {}, UNPRIVILEGED);
        assertEquals([auto.code, nativeShare(auto.err)], [7, 0], auto.err);
        // It would compile all that it executes, and keeps that here only.
        for (const directory of [full, empty]) {
          const forced = await deno(directory, ["--tier=native", file], {}, UNPRIVILEGED);
          assertEquals(forced.code, 1);
          assertMatch(
            forced.err,
            /^trapdoor: Cannot use the native tier: .* can't be written \(Permission denied.*TRAPDOOR_CACHE/,
          );
        }
        assertEquals(namesIn(empty), []);
      } finally {
        for (const directory of [full, empty]) Deno.chmodSync(directory, 0o755);
      }
    }),
);

Deno.test("a machine begins to make native code when many short runs are a long one", async () => {
  const before = Deno.env.get("TRAPDOOR_CACHE"), notes: string[] = [];
  Deno.env.set("TRAPDOOR_CACHE", "off");
  try {
    // Not made, only begun: that there is no place for it is the sign.
    const note = (text: string) => void notes.push(text);
    await using machine = await Machine.user({ program: program(200_000), memory: 1 << 24, note });
    const start = performance.now();
    while (notes.length === 0 && performance.now() - start < 10_000) await machine.run(200_000);
    assertEquals(notes.length, 1);
    assertStringIncludes(notes[0], "no native tier: no place for the translation cache");
    assert(performance.now() - start > 50);
  } finally {
    if (before === undefined) Deno.env.delete("TRAPDOOR_CACHE");
    else Deno.env.set("TRAPDOOR_CACHE", before);
  }
});
