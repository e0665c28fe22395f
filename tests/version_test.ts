import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { checkDenoVersion, MIN_DENO, VERSION } from "../version.ts";

Deno.test("VERSION is deno.json's when the two are compared", async () => {
  const config = JSON.parse(await Deno.readTextFile(new URL("../deno.json", import.meta.url)));
  assertEquals(VERSION, config.version);
});

Deno.test("MIN_DENO is what pages and workflow say when they are compared", async () => {
  const read = (path: string) => Deno.readTextFile(new URL(`../${path}`, import.meta.url));
  assertStringIncludes(await read("README.md"), `Deno ${MIN_DENO} or newer`);
  assertStringIncludes(await read("CONTRIBUTING.md"), `runs on ${MIN_DENO}`);
  assertStringIncludes(await read(".github/workflows/ci.yml"), `deno@${MIN_DENO} `);
});

Deno.test("checkDenoVersion accepts a version when it is new enough", () => {
  for (
    const version of [MIN_DENO, "2.3.7", "2.4.0", "2.10.0", "3.0.0", "2.9.0-rc.1", "2.9.6+f00"]
  ) {
    assertEquals(checkDenoVersion(version), undefined, version);
  }
  assertEquals(checkDenoVersion(Deno.version.deno), undefined);
});

Deno.test("checkDenoVersion tells what is needed when a version is too old or none", () => {
  for (const version of ["2.3.5", "2.2.15", "2.0.0", "1.46.3", "0.99.99", "2", "", "two"]) {
    const text = checkDenoVersion(version);
    assert(text !== undefined, version);
    assertStringIncludes(text, `needs Deno ${MIN_DENO} or newer, but this is ${version}:`);
    assertEquals(text.includes("\n"), false);
  }
});
