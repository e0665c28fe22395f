import { assertEquals } from "@std/assert";
import { parseSummary } from "./gate.ts";

Deno.test("parseSummary sums all lines when there are several runs", () => {
  const text = `running 2 tests from ./a_test.ts
a ... ok (1ms)

ok | 123 passed (4 steps) | 0 failed | 2 ignored (3s)

FAILED | 7 passed | 1 failed (2 steps) | 0 measured | 1 ignored (1 step) | 3 filtered out (2m3s)
`;
  assertEquals(parseSummary(text), { passed: 130, failed: 1, ignored: 3 });
});

Deno.test("parseSummary takes the shortest line when nothing was ignored", () => {
  assertEquals(parseSummary("ok | 1 passed | 0 failed (1ms)\n"), {
    passed: 1,
    failed: 0,
    ignored: 0,
  });
});

Deno.test("parseSummary finds nothing when a run had no summary", () => {
  assertEquals(parseSummary("error: Module not found\n"), undefined);
  assertEquals(parseSummary("  it printed: ok | 1 passed | 0 failed (1ms)\n"), undefined);
});
