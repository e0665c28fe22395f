/** Random programs in compiled code against the interpreter, and whether that would notice a difference. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { scaled, seeded, testExcept } from "./configuration.ts";
import { edges, FAMILIES, familyOf } from "./fuzz/edges.ts";
import { tablesOf } from "./fuzz/encode.ts";
import { KINDS } from "./fuzz/generator.ts";
import { tierCampaign } from "./fuzz/tiers.ts";

Deno.test("compiled code executes a million random instructions as the interpreter does when all tests run", async () => {
  const count = scaled(1_000_000), reports: string[] = [];
  const { compiled, instructions, byKind, stops } = await tierCampaign({
    count,
    seed: seeded(1_000_000),
    failures: 1,
    onFailure: (text) => reports.push(text),
  });
  assertEquals(reports.join("\n"), "");
  assert(compiled >= count, `compiled code executed ${compiled} of ${instructions}`);
  // A part of the tests has too few programs for what follows.
  if (count < 1_000_000) return;
  assert(compiled > instructions / 2, `compiled code executed ${compiled} of ${instructions}`);
  for (const kind of KINDS) assert((byKind.get(kind) ?? 0) > count / 25, `${kind} of ${count}`);
  for (const name of ["LOAD_FAULT", "STORE_FAULT", "FETCH_FAULT", "MISALIGNED", "ILLEGAL"]) {
    assert((stops.get(name) ?? 0) > count / 20_000, `${name}: ${stops.get(name)}`);
  }
});

testExcept(
  "tierCampaign reports seed, code, registers, IR, wasm and how to replay when a tier is wrong",
  async () => {
    // A wrong tier: one exclusive or of each module is inclusive.
    const { Module } = WebAssembly, reports: string[] = [];
    WebAssembly.Module = class extends Module {
      constructor(bytes: BufferSource) {
        const wrong = new Uint8Array(bytes as Uint8Array<ArrayBuffer>);
        // i64.xor, then local.set or local.tee.
        const at = wrong.findIndex((byte, i) => byte === 0x85 && (wrong[i + 1] & ~3) === 0x20);
        if (at >= 0) wrong[at] = 0x84;
        super(wrong);
      }
    };
    try {
      await tierCampaign({
        count: 1_000_000,
        seed: 1,
        kinds: ["int"],
        failures: 1,
        onFailure: (text) => reports.push(text),
      });
    } finally {
      WebAssembly.Module = Module;
    }
    const [text] = reports;
    assertMatch(
      text,
      /^rv(32|64) int seed \d+: compiled code differs from the interpreter\n {2}\S/,
    );
    assertMatch(text, /deno task fuzz --compiled --seed \d+ --programs 1 --xlen \d+ --kinds int\n/);
    for (const part of ["code:\n", "registers of", "a0    0x", "IR:\n; 0x", "(module", "i64."]) {
      assertStringIncludes(text, part);
    }
    // It is shrunk.
    assert(text.split("code:\n")[1].split("registers of")[0].split("\n").length < 60, text);
  },
);

Deno.test("edges has operands for every floating-point instruction that computes", () => {
  const names = [...tablesOf(64).full, ...tablesOf(32).full].map(({ row }) => row.name)
    .filter((name) => /^f.*\.[sd]/.test(name) && !/^fmv/.test(name));
  assert(names.length > 50);
  const made = edges(1, 20 * FAMILIES.length);
  for (const name of names) {
    const { family, bits } = familyOf(name)!;
    assert(made.some((edge) => edge.family === family && edge.bits === bits), name);
  }
});

Deno.test("edges has floats whose fused sum is wrong when it is rounded twice", () => {
  const words = new DataView(new ArrayBuffer(4));
  const value = (bits: bigint) => {
    words.setUint32(0, Number(BigInt.asUintN(32, bits)));
    return words.getFloat32(0);
  };
  let wrong = 0;
  for (const { family, bits, operands } of edges(2, 3000)) {
    if (family !== "fma" || bits !== 32) continue;
    const [a, b, c] = operands.map(value), product = a * b, sum = product + c;
    if (!Number.isFinite(sum)) continue;
    // What the sum in doubles lost (Knuth's two-sum): a tie of floats is none if that is not 0.
    const t = sum - product, lost = product - (sum - t) + (c - t);
    const rounded = Math.fround(sum), other = 2 * sum - rounded;
    if (lost !== 0 && other !== rounded && Math.fround(other) === other) wrong++;
  }
  assert(wrong > 20, `${wrong}`);
});
