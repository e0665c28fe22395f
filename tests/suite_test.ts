/** The lists in suite.ts are complete, and name only what is there. */
import { assert, assertEquals } from "@std/assert";
import { ALL_PASSES } from "../cpu/ir/builder.ts";
import {
  CONFIGURATIONS,
  EXCEPT,
  exceptions,
  filesOf,
  FUNCTIONAL,
  nameOf,
  NATIVE,
  ONCE,
} from "./suite.ts";

const TESTS = new URL("./", import.meta.url);

Deno.test("suite.ts lists every test file once when the directory is read", () => {
  const there = [...Deno.readDirSync(TESTS)].map(({ name }) => name)
    .filter((name) => name.endsWith("_test.ts")).map((name) => name.slice(0, -3));
  assertEquals([...Object.keys(FUNCTIONAL), ...Object.keys(ONCE)].sort(), there.sort());
  assertEquals(filesOf().length, there.length);
});

Deno.test("suite.ts has all functional files natively, and some of them in the gate", () => {
  const few = filesOf(NATIVE), all = filesOf(NATIVE, true);
  assertEquals(few.filter((file) => !all.includes(file)), []);
  assert(few.length > 5 && all.length > few.length + 10);
  for (const [name, { where = () => true }] of Object.entries(FUNCTIONAL)) {
    assertEquals(all.includes(`tests/${name}.ts`), where(NATIVE), name);
  }
});

Deno.test("suite.ts gives a reason for whatever is not run again", () => {
  for (const [name, { where, why }] of Object.entries(FUNCTIONAL)) {
    assertEquals(where === undefined, why === undefined, name);
  }
  for (const why of [...Object.values(ONCE), ...EXCEPT.map((each) => each.why)]) {
    assert(why.length > 5, why);
  }
});

Deno.test("CONFIGURATIONS have native code, wasm with all passes and with none, and the interpreter with each off", () => {
  const passes = Object.keys(ALL_PASSES);
  const wanted = [
    "native",
    "wasm",
    `wasm-${passes.join("-")}`,
    ...passes.map((pass) => `interp-${pass}`),
  ];
  assertEquals(CONFIGURATIONS.map(nameOf).sort(), wanted.sort());
});

Deno.test("suite.ts repeats a file when it can execute guest code", async () => {
  for (const name of Object.keys(ONCE)) {
    const text = await Deno.readTextFile(new URL(`${name}.ts`, TESTS));
    const executes = /\bnew Cpu\(|\btrapdoor\(|\bnew (Trapdoor|Pair)\(/.test(text);
    assert(!executes, `${name} executes guest code: it belongs to FUNCTIONAL`);
  }
});

Deno.test("machines and CPUs of functional tests are made in the configuration of the run", async () => {
  const made = /\b(Machine\.user|new Cpu)\(/;
  for (const [name, { where = () => true }] of Object.entries(FUNCTIONAL)) {
    if (!CONFIGURATIONS.some(where)) continue;
    const text = await Deno.readTextFile(new URL(`${name}.ts`, TESTS));
    if (!made.test(text)) continue;
    assert(text.includes("./configuration.ts"), `${name} makes its machines in one configuration`);
  }
});

Deno.test("EXCEPT names tests that are there, by testExcept", async () => {
  for (const { file, test } of EXCEPT) {
    assert(file in FUNCTIONAL, file);
    const text = await Deno.readTextFile(new URL(`${file}.ts`, TESTS));
    const calls = text.split(`"${test}"`).slice(0, -1);
    const listed = calls.some((before) => before.trimEnd().endsWith("testExcept("));
    assert(listed, `${file} has no testExcept "${test}"`);
  }
  for (const each of CONFIGURATIONS) assert(exceptions(each) <= EXCEPT.length);
});
