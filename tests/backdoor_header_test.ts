import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  bool,
  channelHeader,
  command,
  defineChannel,
  event,
  f64,
  i16,
  i64,
  i8,
  none,
  ptr,
  u16,
  u32,
  u64,
  u8,
} from "../backdoor/mod.ts";
import { testWith } from "./tools.ts";

const ROOT = new URL("../", import.meta.url);
const EXAMPLE = new URL("guest/examples/typed.channel.ts", ROOT);

const channel = defineChannel({
  countWords: command(1, { length: u32 }, u64, () => 0n, "Counts */ words."),
  peek: command(2, { address: ptr, small: i8, flag: bool, level: f64 }, ptr, () => 0n),
  tell: command(0xffff_fffe, {}, none, () => {}),
  half: command(4, { x: i16, y: u16, z: i64 }, f64, () => 0.5),
  isSet: command(5, { x: u8 }, bool, () => true),
  two: event(6, { time: u64, value: i8 }, () => {}),
  nothing: event(7, {}, () => {}),
  three: event(8, { a: ptr, b: f64, c: bool }, () => {}),
});

/** Runs Deno on backdoor/header.ts. */
async function run(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", "backdoor/header.ts", ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), error: decoder.decode(stderr) };
}

Deno.test("channelHeader prints constants and functions for all members", () => {
  const header = channelHeader(channel, { name: "wc", source: "wc.channel.ts" });
  const expected = [
    "Generated from wc.channel.ts by",
    "#ifndef WC_CHANNEL_H",
    '#include "trapdoor.h"',
    "#define WC_COUNT_WORDS UINT32_C(1)",
    "#define WC_TELL UINT32_C(4294967294)",
    " * countWords(length: u32): u64\n * Counts * / words.\n */\n",
    "static inline uint64_t wc_count_words(unsigned client, uint32_t length) {\n",
    "  return (uint64_t)trapdoor_call4(client, WC_COUNT_WORDS, (int64_t)length, 0, 0, 0);\n",
    "static inline void *wc_peek(unsigned client, const void *address, int8_t small, bool flag, double level) {",
    "static inline void wc_tell(unsigned client) {\n  (void)trapdoor_call4(",
    "static inline int wc_two(unsigned client, uint64_t time, int8_t value) {\n" +
    "  return trapdoor_event2(client, WC_TWO, (uint64_t)time, (uint64_t)value);\n",
    "  return trapdoor_event(client, WC_NOTHING, NULL, 0);\n",
    "/* Event three(a: ptr, b: f64, c: bool) */",
  ];
  for (const part of expected) assertStringIncludes(header, part);
  assert(header.split("\n").every((line) => line.length <= 112), header);
});

Deno.test("channelHeader leaves out what a channel does not use", () => {
  const plain = defineChannel({ f: command(1, { x: u32 }, u32, () => 0) });
  const header = channelHeader(plain, { name: "plainChannel" });
  assert(!header.includes("f64") && !header.includes("stdbool"), header);
  assertStringIncludes(header, "static inline uint32_t plain_channel_f(");
  assertStringIncludes(header, "#define PLAIN_CHANNEL_F UINT32_C(1)");
  for (const name of ["", "a b", "1a", "_a", "a-b"]) {
    assertThrows(() => channelHeader(plain, { name }), TypeError, "must be a C identifier");
  }
});

Deno.test("the header of guest/examples/typed.channel.ts is up to date", async () => {
  const { default: typed } = await import(EXAMPLE.href);
  assertEquals(
    await Deno.readTextFile(new URL("typed_channel.h", EXAMPLE)),
    channelHeader(typed, { name: "typed", source: "typed.channel.ts" }),
    "write it with: deno run -A backdoor/header.ts guest/examples/typed.channel.ts",
  );
});

/** A host's trapdoor.h in which a call is answered by a function of this file. */
const STUB = `
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
int64_t trapdoor_call4(unsigned client, uint32_t command, int64_t a, int64_t b, int64_t c, int64_t d);
int trapdoor_event(unsigned client, uint32_t command, const void *payload, size_t size);
int trapdoor_event2(unsigned client, uint32_t command, uint64_t a, uint64_t b);
#ifdef __cplusplus
}
#endif
`;

/** Prints what arrives, and answers with arg0. */
const PROGRAM = `
#include <inttypes.h>
#include <stdio.h>
#include "wc_channel.h"

int64_t trapdoor_call4(unsigned client, uint32_t command, int64_t a, int64_t b, int64_t c, int64_t d) {
  printf("call %u %u %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\\n", client, command, a, b, c, d);
  return a;
}
int trapdoor_event(unsigned client, uint32_t command, const void *payload, size_t size) {
  const uint64_t *words = (const uint64_t *)payload;
  printf("event %u %u:", client, command);
  for (size_t i = 0; i < size / 8; i++) printf(" %" PRIx64, words[i]);
  puts("");
  return 0;
}
int trapdoor_event2(unsigned client, uint32_t command, uint64_t a, uint64_t b) {
  const uint64_t words[2] = {a, b};
  return trapdoor_event(client, command, words, sizeof words);
}
int main(void) {
  printf("%" PRIu64 "\\n", wc_count_words(1, UINT32_MAX));
  printf("%d\\n", wc_peek(2, (const void *)4096, -128, true, 1.5) == (void *)4096);
  wc_tell(0);
  printf("%g\\n", wc_half(0, -32768, 65535, INT64_MIN));
  printf("%d\\n", wc_is_set(0, 1));
  printf("%d\\n", wc_is_set(0, 255));
  return wc_two(3, UINT64_MAX, -1) + wc_nothing(4) + wc_three(5, NULL, -2, true);
}
`;

const EXPECTED = `call 1 1 4294967295 0 0 0
4294967295
call 2 2 4096 -128 1 4609434218613702656
1
call 0 4294967294 0 0 0 0
call 0 4 -32768 65535 -9223372036854775808 0
nan
call 0 5 1 0 0 0
1
call 0 5 255 0 0 0
0
event 3 6: ffffffffffffffff ffffffffffffffff
event 4 7:
event 5 8: 0 c000000000000000 1
`.replace("nan", "(-?nan)");

testWith(
  ["gcc", "g++"],
  "the header compiles without warnings and passes values exactly",
  async () => {
    const folder = await Deno.makeTempDir({ prefix: "trapdoor-header-" });
    try {
      await Deno.writeTextFile(`${folder}/trapdoor.h`, STUB);
      await Deno.writeTextFile(`${folder}/wc_channel.h`, channelHeader(channel, { name: "wc" }));
      await Deno.writeTextFile(`${folder}/main.c`, PROGRAM);
      const warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"];
      for (const compiler of [["gcc", "-std=c99"], ["g++", "-std=c++17", "-x", "c++"]]) {
        const [command, ...flags] = compiler;
        const built = await new Deno.Command(command, {
          args: [...flags, ...warnings, "-Wcast-qual", "main.c", "-o", "main"],
          cwd: folder,
        }).output();
        const decoder = new TextDecoder();
        assert(built.success, `${command}: ${decoder.decode(built.stderr)}`);
        const { code, stdout } = await new Deno.Command(`${folder}/main`).output();
        assertEquals(code, 0);
        const text = decoder.decode(stdout);
        assert(new RegExp(`^${EXPECTED}$`).test(text), text);
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

Deno.test("header.ts writes a header, and --check fails when it is out of date", async () => {
  const folder = await Deno.makeTempDir({ prefix: "trapdoor-header-" });
  try {
    const source = `${folder}/my-wc.channel.ts`, output = `${folder}/my_wc_channel.h`;
    const mod = JSON.stringify(new URL("backdoor/mod.ts", ROOT).href);
    const code = (name: string) => `
      import { command, defineChannel, u32 } from ${mod};
      export default defineChannel({ ${name}: command(1, {}, u32, () => 0) });`;
    await Deno.writeTextFile(source, code("first"));
    const missing = await run(source, "--check");
    assertEquals(missing.code, 1);
    assertStringIncludes(missing.error, "my_wc_channel.h is not what");
    assertEquals(await run(source), { code: 0, out: "", error: "" });
    const header = await Deno.readTextFile(output);
    assertStringIncludes(header, "my_wc_first(unsigned client)");
    assertEquals((await run(source, "--check")).code, 0);
    assertEquals(await run(source, "-o", "-"), { code: 0, out: header, error: "" });
    await Deno.writeTextFile(source, code("second"));
    assertEquals((await run(source, "--check")).code, 1);
    assertEquals(await Deno.readTextFile(output), header, "--check writes nothing");
    await run(source, "-o", `${folder}/x.h`, "--name", "other");
    assertStringIncludes(await Deno.readTextFile(`${folder}/x.h`), "other_second(");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("header.ts says in one line what is wrong", async () => {
  const cases: [string[], number, string][] = [
    [[], 2, "no channel given"],
    [["--wrong", "x.ts"], 2, "unknown option --wrong"],
    [["a.ts", "b.ts"], 2, "more than one channel"],
    [["a.ts", "-o"], 2, "-o needs a value"],
    [["a.ts", "-o", "-", "--check"], 2, "--check needs a file"],
    [["./no/such.channel.ts"], 1, "Module not found"],
    [["backdoor/types.ts"], 1, "it exports only NOT_HANDLED"],
    [["guest/examples/hello.ts"], 1, "no typed channel"],
  ];
  for (const [args, code, text] of cases) {
    const result = await run(...args);
    assertEquals([result.code, result.out], [code, ""], args.join(" "));
    assertStringIncludes(result.error, text);
    assertEquals(result.error.trim().split("\n").length, 1, result.error);
  }
  const help = await run("--help");
  assertEquals(help.code, 0);
  assertStringIncludes(help.out, "Usage: deno run -A backdoor/header.ts");
});
