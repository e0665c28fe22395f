import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { FIRST_VECTOR_OP, OPS } from "../cpu/ir/ops.ts";
import { softLoop } from "../cpu/engine/interpreter/soft_loop.ts";
import { enumText, withEnum } from "../cpu/ir/sync_enums.ts";
import { outdated, outdatedSoftLoop } from "./op_numbers.ts";

Deno.test("op numbers are the table's when the executors are compared with it", async () => {
  assertEquals((await outdated()).map((file) => file.pathname.split("/").pop()), []);
});

Deno.test("outdated names a file when one of its op numbers is another", async () => {
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  const file = new URL(`file://${path}`);
  try {
    await Deno.writeTextFile(file, `${enumText()}\nexport {};\n`);
    assertEquals(await outdated([file]), []);
    await Deno.writeTextFile(file, `${enumText().replace("const = 1,", "const = 2,")}\n`);
    assertEquals(await outdated([file]), [file]);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("enumText has every op but those of vectors once when the table is printed", () => {
  const numbers = [...enumText().matchAll(/(\w+) = (\d+)/g)].map(([, name, n]) => `${name} ${n}`);
  assertEquals(numbers, OPS.slice(0, FIRST_VECTOR_OP).map((op) => `${op.name} ${op.code}`));
});

Deno.test("withEnum replaces only the block when a source has one", () => {
  const source = `before();\n/*OPS*/\nafter();\n`;
  const written = withEnum(source);
  assertStringIncludes(written, "before();\n// deno-fmt-ignore");
  assertStringIncludes(written, "// end of op numbers\nafter();\n");
  assertEquals(withEnum(written), written);
  assertThrows(() => withEnum("no place"), Error, "Cannot find the place");
});

Deno.test("interp_loop_soft.ts is made from interp_loop.ts when compared with it", async () => {
  assertEquals(await outdatedSoftLoop(), undefined);
});

Deno.test("softLoop throws when the source no longer has what it changes", () => {
  assertThrows(() => softLoop("function run() {}"), Error, "Cannot make the loop of system mode");
});
