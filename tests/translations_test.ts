/** Translated code on disk: used when it is there and whole, and otherwise as if it were not there. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { cacheDirectory } from "../ffi/cache_directory.ts";
import { Translations } from "../machine/translations.ts";
import { Machine, type UserMachineOptions } from "../mod.ts";
import { Program } from "../bench/lib/guest.ts";
import { file, trapdoor, withFolder } from "./emulator.ts";

const HELLO = file("guest/bin/riscv64/hello");

/** A program that calls itself a few times, and ends with a status. */
function program(status: number): Uint8Array<ArrayBuffer> {
  const p = new Program().li("t0", 5).label("loop").i("addi", "t0", "t0", -1);
  p.branch("bne", "t0", "zero", "loop");
  return p.li("a0", status).li("a7", 93).plain("ecall").elf();
}

/** Runs a program; `before` are the blocks that were there before its first instruction. */
async function runIn(
  cache: string | undefined,
  options: Partial<UserMachineOptions> = {},
): Promise<{ status: unknown; before: number; after: number; notes: string[] }> {
  const notes: string[] = [];
  const machine = await Machine.user({
    program: program(7),
    ...(cache === undefined ? {} : { cache }),
    note: (message) => notes.push(message),
    ...options,
  });
  const before = machine.stats().blocks;
  const result = await machine.run();
  const status = "status" in result ? result.status : result.reason;
  return { status, before, after: machine.stats().blocks, notes };
}

const names = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

/** Runs a program, then twice again after `damage` to what the first run stored. */
async function damaged(damage: (path: string, bytes: Uint8Array) => void) {
  return await withFolder(async (folder) => {
    await runIn(folder);
    const path = `${folder}/${names(folder)[0]}`, whole = Deno.readFileSync(path);
    damage(path, whole.slice());
    const second = await runIn(folder), third = await runIn(folder);
    assertEquals([second.status, third.status], [7, 7]);
    const repaired = Deno.statSync(path).isFile && Deno.readFileSync(path);
    return { second, third, same: repaired && repaired.every((byte, i) => byte === whole[i]) };
  });
}

Deno.test("Machine takes translated code of an earlier run when it has a cache", async () => {
  await withFolder(async (folder) => {
    const cache = `${folder}/new/cache`;
    const first = await runIn(cache), second = await runIn(cache);
    assertEquals([first.status, first.before, first.notes], [7, 0, []]);
    assertEquals(second, { status: 7, before: first.after, after: first.after, notes: [] });
    assertEquals(names(cache).length, 1);
    assertMatch(names(cache)[0], /^[0-9a-f]{64}\.code$/);
    const info = Deno.statSync(`${cache}/${names(cache)[0]}`);
    if (Deno.build.os !== "windows") assertEquals(info.mode! & 0o777, 0o600);
  });
});

Deno.test("Machine keeps nothing when it has no cache, traces, or compiles everything", async () => {
  await withFolder(async (folder) => {
    assertEquals((await runIn(undefined)).before, 0);
    for (const options of [{ trace: () => {} }, { tier: "wasm" }] as const) {
      for (let round = 0; round < 2; round++) {
        const { status, before } = await runIn(folder, options);
        assertEquals([status, before], [7, 0]);
      }
    }
    assertEquals(names(folder), []);
  });
});

Deno.test("Machine tells programs, widths and passes apart when they share a cache", async () => {
  await withFolder(async (folder) => {
    await runIn(folder);
    const passes = { fold: false, retarget: true, dead: true };
    for (const options of [{ program: program(8) }, { passes }, { program: HELLO }]) {
      assertEquals((await runIn(folder, options)).before, 0);
      assertNotEquals((await runIn(folder, options)).before, 0);
    }
    assertEquals((await runIn(folder, { program: program(8) })).status, 8);
    assertEquals(names(folder).length, 4);
  });
});

Deno.test("Machine adds what is new when a program takes another way", async () => {
  await withFolder(async (folder) => {
    const ways = new Program().lui("t1", Program.data).i("ld", "a0", "sp", 0).li("a1", 1);
    ways.branch("beq", "a0", "a1", "end");
    for (let i = 0; i < 9; i++) ways.i("addi", "a0", "a0", 1).j(`l${i}`).label(`l${i}`);
    const bytes = ways.label("end").li("a0", 3).li("a7", 93).plain("ecall").elf();
    const run = (args: string[]) => runIn(folder, { program: bytes, args });
    const short = await run([]), long = await run(["more"]);
    assertEquals(long.before, short.after);
    assert(long.after > long.before + 5);
    assertEquals((await run([])).before, long.after);
    assertEquals((await run(["more"])).after, long.after);
  });
});

Deno.test("Machine translates anew when stored code is damaged", async () => {
  const damages: [string, (path: string, bytes: Uint8Array) => void][] = [
    ["empty", (path) => Deno.writeFileSync(path, new Uint8Array())],
    ["short", (path, bytes) => Deno.writeFileSync(path, bytes.subarray(0, 32))],
    ["cut", (path, bytes) => Deno.writeFileSync(path, bytes.subarray(0, -1))],
    ["longer", (path, bytes) => Deno.writeFileSync(path, new Uint8Array([...bytes, 0]))],
    ...[0, 31, 32, 50, 100, 200].map((at): [string, (path: string, b: Uint8Array) => void] => [
      `byte ${at}`,
      (path, bytes) => {
        bytes[at] ^= 4;
        Deno.writeFileSync(path, bytes);
      },
    ]),
  ];
  for (const [what, damage] of damages) {
    const { second, third, same } = await damaged(damage);
    assertEquals(second.before, 0, what);
    assertEquals(second.notes.length, 1, what);
    assertMatch(second.notes[0], /^Cannot use the translated code in .*: it is damaged$/, what);
    assertEquals([third.before, third.notes, same], [second.after, [], true], what);
  }
});

Deno.test("Machine runs a program when the cache can't be read or written", async () => {
  const { second } = await damaged((path) => {
    Deno.removeSync(path);
    Deno.mkdirSync(path);
  });
  assertEquals(second.before, 0);
  assertMatch(second.notes[0], /^Cannot read translated code from .*Is a directory/);
  assertMatch(second.notes[1], /^Cannot keep translated code in /);
  await withFolder(async (folder) => {
    Deno.writeTextFileSync(`${folder}/file`, "");
    const { status, notes } = await runIn(`${folder}/file`);
    assertEquals(status, 7);
    assertMatch(notes.join("\n"), /^Cannot read .*\nCannot keep translated code in /);
    assertEquals(Deno.readTextFileSync(`${folder}/file`), "");
  });
});

Deno.test("Translations.write removes the oldest entries when there are many, and nothing else", async () => {
  await withFolder(async (folder) => {
    for (let i = 0; i < 80; i++) {
      Deno.writeTextFileSync(`${folder}/${i}.code`, "");
      Deno.utimeSync(`${folder}/${i}.code`, 1000 + i, 1000 + i);
    }
    Deno.writeTextFileSync(`${folder}/mine`, "");
    Deno.mkdirSync(`${folder}/folder.code`);
    Deno.writeTextFileSync(`${folder}/1.code.interrupted`, "");
    Deno.utimeSync(`${folder}/1.code.interrupted`, 5, 5);
    await runIn(folder);
    const left = names(folder);
    assertEquals(left.filter((name) => name.includes(".code")).length, 64 + 1);
    assert(left.includes("mine") && left.includes("folder.code") && left.includes("79.code"));
    assert(!left.includes("1.code.interrupted") && !left.includes("16.code"));
  });
});

Deno.test("Translations.of finds an entry by program, variant and translator", async () => {
  await withFolder(async (folder) => {
    const key = async (bytes: number[], variant: string, rooms: string[]) => {
      const found = await Translations.of(folder, new Uint8Array(bytes), rooms, variant);
      const blocks = new Uint8Array([...bytes, variant.length, rooms.length]);
      await found!.write({ blocks, native: variant === "a" });
      const stored = (await found!.read())!;
      assertEquals(stored.native, variant === "a");
      return [...stored.blocks];
    };
    assertEquals(await key([1, 2], "a", ["cpu/ir"]), [1, 2, 1, 1]);
    assertEquals(await key([1, 3], "a", ["cpu/ir"]), [1, 3, 1, 1]);
    assertEquals(await key([1, 2], "ab", ["cpu/ir"]), [1, 2, 2, 1]);
    assertEquals(await key([1, 2], "a", ["cpu/ir", "cpu/isa"]), [1, 2, 1, 2]);
    assertEquals(names(folder).length, 4);
    const again = await Translations.of(folder, new Uint8Array([1, 2]), ["cpu/ir"], "a");
    assertEquals([...(await again!.read())!.blocks], [1, 2, 1, 1]);
  });
});

Deno.test("cacheDirectory gives TRAPDOOR_CACHE when it is set, and nothing when it is off", () => {
  const before = Deno.env.get("TRAPDOOR_CACHE");
  try {
    Deno.env.set("TRAPDOOR_CACHE", "/some/where");
    assertEquals(cacheDirectory(), "/some/where");
    Deno.env.set("TRAPDOOR_CACHE", "off");
    assertEquals(cacheDirectory(), undefined);
  } finally {
    if (before === undefined) Deno.env.delete("TRAPDOOR_CACHE");
    else Deno.env.set("TRAPDOOR_CACHE", before);
  }
});

Deno.test("mod.ts keeps translated code when it may, and asks for nothing when it may not", async () => {
  await withFolder(async (folder) => {
    const env = { TRAPDOOR_CACHE: `${folder}/cache` };
    const args = [
      "--verbose",
      "--stats=json",
      "--backdoor",
      file("guest/examples/hello.ts"),
      HELLO,
    ];
    const read = [`--allow-read=${file("")}`];
    for (const permissions of [read, [...read, "--allow-env"], [...read, "--allow-write"]]) {
      const { code, stderr } = await trapdoor(args, { env, permissions });
      assertEquals([code, stderr.split("\n").length], [0, 2], stderr);
      assertEquals(names(folder), []);
    }
    const runs = [];
    for (let round = 0; round < 2; round++) runs.push(await trapdoor(args, { env }));
    assertEquals(names(`${folder}/cache`).length, 1);
    assertEquals(runs[0].stdout, runs[1].stdout);
    const [first, second] = runs.map(({ stderr }) => JSON.parse(stderr));
    assertEquals([first.instructions, first.blocks], [second.instructions, second.blocks]);
  });
});

Deno.test("mod.ts keeps whole entries only when many processes write at once", async () => {
  await withFolder(async (folder) => {
    const env = { TRAPDOOR_CACHE: folder };
    const args = ["--backdoor", file("guest/examples/hello.ts"), HELLO];
    const runs = await Promise.all([1, 2, 3, 4].map(() => trapdoor(args, { env })));
    for (const { code, stderr } of runs) assertEquals([code, stderr], [0, ""]);
    assertEquals(names(folder).length, 1);
    assertEquals((await runIn(folder, { program: HELLO })).notes, []);
  });
});
