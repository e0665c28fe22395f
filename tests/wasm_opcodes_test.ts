import { assert, assertEquals } from "@std/assert";
import {
  BodyWriter,
  type LoadOp,
  type MemoryLaneOp,
  ModuleWriter,
  Op,
  type OpInfo,
  OPS,
  type StoreOp,
  ValType,
} from "../cpu/wasm/encoder.ts";
import {
  bytesOf,
  lanesOf,
  scalar,
  shapeOf,
  TRAP,
  type Value,
  vector,
  WIDTH,
} from "./wasm_oracle.ts";
import { emit, LETTERS, sample, typesOf } from "./wasm_samples.ts";

/** Interesting values by letter. */
const VALUES: Record<string, Value[]> = {
  i: [0n, 1n, -1n, 2n, 7n, 31n, 32n, 0x80n, 0xff80n, 12345678n, -98765n, -(1n << 31n)],
  l: [0n, 1n, -1n, 3n, 63n, 64n, 0x80n, 0xff80n, 0xffff_8000n, -(1n << 62n), -(1n << 63n)],
  f: [0, -0, 1, -1.5, 2.5, 3.5, 0.5, 1e10, -3e9, 5e18, Math.fround(0.1), NaN, Infinity],
  d: [0, -0, 1, -1.5, 2.5, -0.5, 2147483648, 1e10, -3e9, 1e19, 0.1, 1e300, NaN, -Infinity],
};
VALUES.f = VALUES.f.map((value) => Math.fround(Number(value)));
VALUES.l.push((1n << 63n) - 1n);
VALUES.i.push((1n << 31n) - 1n);

/** All combinations of operands. */
function combinations(letters: string): Value[][] {
  return [...letters].reduce<Value[][]>(
    (all, letter) => all.flatMap((some) => VALUES[letter].map((value) => [...some, value])),
    [[]],
  );
}

/** A function each instruction: vectors come from memory at 16 n, n being the operand; a vector goes to 64. */
function executable(infos: readonly OpInfo[], lane = 1) {
  const m = new ModuleWriter();
  m.exportMemory("memory", m.memory(1));
  const w = new BodyWriter();
  for (const info of infos) {
    const [operands, result] = info.signature.split(":");
    const scalars = [...operands].filter((letter) => letter !== "v").map((c) => LETTERS[c]);
    w.start(scalars.length);
    if (result === "v") w.i32Const(64);
    let next = 0;
    for (let i = 0; i < operands.length; i++) {
      if (operands[i] !== "v") w.localGet(next++);
      else {
        w.i32Const(16 * i);
        w.load(Op.v128_load, 4, 0);
      }
    }
    emit(w, info, lane);
    if (result === "v") w.store(Op.v128_store, 4, 0);
    const type = m.type(scalars, [...result].filter((c) => c !== "v").map((c) => LETTERS[c]));
    m.exportFunction(info.name, m.func(type, w, info.name));
  }
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.finish()));
  const memory = new Uint8Array((exports.memory as WebAssembly.Memory).buffer);
  const call = (info: OpInfo, operands: Value[]): Value | undefined => {
    const letters = info.signature.replaceAll("v", "");
    const js = operands.map((value, i) => letters[i] === "i" ? Number(value) : value);
    try {
      const result = (exports[info.name] as (...operands: Value[]) => Value | undefined)(...js);
      return letters.endsWith(":i") ? BigInt(result!) : result;
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) return TRAP;
      throw error;
    }
  };
  return { memory, call };
}

/** What instructions computed: if it is the same for two, the operands could not tell them apart. */
class Outcomes {
  #texts = new Map<OpInfo, string[]>();

  add(info: OpInfo, value: Value | Value[] | undefined): void {
    const text = [value].flat().map((lane) => Object.is(lane, -0) ? "-0" : `${lane} ${typeof lane}`)
      .join();
    this.#texts.set(info, [...this.#texts.get(info) ?? [], text]);
  }

  check(): void {
    const seen = new Map<string, string>();
    for (const [info, texts] of this.#texts) {
      const key = `${info.signature} ${texts.join(";")}`;
      assert(!seen.has(key), `${info.name} and ${seen.get(key)} computed the same`);
      seen.set(key, info.name);
    }
  }
}

const isVector = (info: OpInfo) => info.signature.includes("v");
const hasMemory = (info: OpInfo) => info.immediates[0]?.startsWith("memory:") ?? false;

Deno.test("the table has every name and number once", () => {
  assertEquals(new Set(OPS.map((op) => op.name)).size, OPS.length);
  assertEquals(new Set(OPS.map((op) => op.code)).size, OPS.length);
  assertEquals(Object.keys(Op).length, OPS.length);
  assertEquals([Op.i64_add, Op.memory_copy, Op.i64x2_add], [0x7c, 0xfc_00a, 0xfd_0ce]);
});

Deno.test("sample validates when it uses an instruction with the table's signature", () => {
  for (const info of OPS) {
    const { bytes } = sample(info);
    // Compiling says what is wrong.
    if (!WebAssembly.validate(bytes)) new WebAssembly.Module(bytes);
  }
});

Deno.test("sample does not validate when results are others than the table's", () => {
  const { i64, f64 } = ValType;
  // What follows these is unreachable, so that any type is right.
  const polymorphic = ["unreachable", "return_call", "return_call_ref", "br"];
  for (const info of OPS) {
    if (polymorphic.includes(info.name)) continue;
    const { results } = sample(info);
    const other = results.length === 0 ? [i64] : results.map((type) => type === f64 ? i64 : f64);
    assertEquals(WebAssembly.validate(sample(info, other).bytes), false, info.name);
  }
});

Deno.test("scalar instructions compute what their names say", () => {
  const infos = OPS.filter((info) =>
    /^[if](32|64)\.(?!const|load|store)/.test(info.name) && info.signature !== "?"
  );
  assertEquals(infos.length, 0xc5 - 0x45 + 8);
  const { call } = executable(infos);
  const outcomes = new Outcomes();
  for (const info of infos) {
    const reference = scalar(info.name);
    assert(reference !== undefined, `there is no reference for ${info.name}`);
    for (const operands of combinations(info.signature.split(":")[0])) {
      const expected = reference(...operands);
      assertEquals(call(info, operands), expected, `${info.name} ${operands}`);
      outcomes.add(info, expected);
    }
  }
  outcomes.check();
});

// ---- vectors ----

/** Vectors for an instruction: each is an operand together with those behind it. */
function operandsOf(info: OpInfo): Uint8Array[] {
  const bytes = (f: (i: number) => number) => Uint8Array.from({ length: 16 }, (_, i) => f(i));
  if (info.name.includes("relaxed")) {
    // Operands for which hosts agree.
    if (/swizzle/.test(info.name)) return [bytes((i) => 3 * i), bytes((i) => 15 - i)];
    if (/laneselect/.test(info.name)) {
      return [bytes((i) => i), bytes((i) => 99 - i), bytes((i) => i < 8 ? 255 : 0)];
    }
    if (/dot/.test(info.name)) {
      return [bytes((i) => 50 - 13 * i), bytes((i) => 7 * i), bytes((i) => i)];
    }
    if (/q15/.test(info.name)) return [bytes((i) => 37 * i), bytes((i) => 90 - i)];
    const f32 = shapeOf("f32x4"), f64 = shapeOf("f64x2");
    return info.name.includes("64x2") || info.name.includes("f64")
      ? [[2.5, 9], [4, 0.25], [-1, 100]].map((lanes) => bytesOf(f64, lanes))
      : [[2.5, 9, 0, 1], [4, 0.25, 3, 7], [1, -100, 5, 6]].map((lanes) => bytesOf(f32, lanes));
  }
  const from = /([if]\d+x\d+)_?\w*$/.exec(info.name.split(".")[1])?.[1] ?? info.name.split(".")[0];
  const floats: Record<string, number[][]> = {
    f32x4: [[-1.5, NaN, 3e9, -0], [2.5, 1, -1e10, 0], [0.5, -1, 3e9, -0.75], [-0, 0, 1e20, 1.5]],
    f64x2: [[-2.5, 5e9], [0.1, -1e10], [-0, NaN], [0, 1.5], [0.5, -0.75], [-1e10, 1.5]],
  };
  if (from in floats) return floats[from].map((lanes) => bytesOf(shapeOf(from), lanes));
  const a = bytes((i) => 0x90 + 37 * i);
  const b = bytes((i) => 0xff - 59 * i);
  const c = bytes((i) => i % 3 === 0 ? 0 : 91 * i);
  // A zero lane of each width; and, next to `a` again, what is like it but for one lane.
  const zeros = [2, 4, 8, 16].map((zeros) => bytes((i) => i < zeros ? 0 : i));
  return [a, b, c, ...zeros, a.with(1, 0x11)];
}

Deno.test("vector instructions compute what their names say", () => {
  const infos = OPS.filter((info) =>
    isVector(info) && !hasMemory(info) && info.name !== "v128.const"
  );
  assertEquals(infos.length, 236 - 22 - 1 + 20);
  const { memory, call } = executable(infos);
  const outcomes = new Outcomes();
  for (const info of infos) {
    const vectors = operandsOf(info);
    const relaxed = info.name.includes("relaxed");
    for (let i = 0; i < (relaxed ? 1 : vectors.length); i++) {
      const [a, b = a, c = a] = [0, 1, 2].map((k) => vectors[(i + k) % vectors.length]);
      [a, b, c].forEach((bytes, i) => memory.set(bytes, 16 * i));
      const type = shapeOf(info.name.startsWith("v128") ? "i64x2" : info.name.split(".")[0]);
      const letter = info.signature.split(":")[0].replaceAll("v", "");
      for (const x of letter === "" ? [0n] : VALUES[letter]) {
        const expected = vector(info, a, b, c, x);
        const result = call(info, letter === "" ? [] : [x]);
        const actual = Array.isArray(expected) ? lanesOf(type, memory.subarray(64, 80)) : result;
        // The masks of comparisons are NaNs as floats, so these by their bytes.
        const mask = /\.(eq|ne|lt|gt|le|ge)$/.test(info.name);
        const image = (value: Value | Value[] | undefined) =>
          mask ? [...bytesOf(type, value as Value[])] : value;
        assertEquals(image(actual), image(expected), `${info.name} ${a} ${b} ${c} ${x}`);
        if (!relaxed) outcomes.add(info, image(expected));
      }
    }
  }
  outcomes.check();
});

// ---- memory ----

Deno.test("loads and stores move what their names say", () => {
  const pattern = Uint8Array.from({ length: 64 }, (_, i) => 0x81 + 29 * i);
  const infos = OPS.filter(hasMemory);
  assertEquals(infos.length, 14 + 9 + 22);
  for (const info of infos) {
    const [, type, what, size, rest, sign] =
      /^(\w+)\.(load|store)(\d+)?(_splat|_zero|_lane|x\d)?(?:_([su]))?$/.exec(info.name)!;
    const width = size === undefined ? type === "v128" ? 128 : WIDTH[type] : Number(size);
    const m = new ModuleWriter();
    m.exportMemory("memory", m.memory(1));
    const w = new BodyWriter();
    // The address is 8 too low; a vector is the bytes at 32, or at 48 for its lane.
    w.start(0);
    if (what === "load") w.i32Const(0);
    w.i32Const(11);
    if (rest === "_lane") {
      w.i32Const(48);
      w.load(Op.v128_load, 0, 0);
      w.laneMemory(info.code as MemoryLaneOp, 0, 8, 1);
    } else if (what === "load") w.load(info.code as LoadOp, 0, 8);
    else {
      w.i32Const(32);
      const { params } = typesOf(info.signature);
      const load = { "-1": Op.i32_load, "-2": Op.i64_load, "-3": Op.f32_load, "-4": Op.f64_load };
      w.load((load as Record<string, LoadOp>)[params[1]] ?? Op.v128_load, 0, 0);
      w.store(info.code as StoreOp, 0, 8);
    }
    if (what === "load") {
      const { results: [result] } = typesOf(info.signature);
      const store = {
        "-1": Op.i32_store,
        "-2": Op.i64_store,
        "-3": Op.f32_store,
        "-4": Op.f64_store,
      };
      w.store((store as Record<string, StoreOp>)[result] ?? Op.v128_store, 0, 0);
    }
    m.exportFunction("run", m.func(m.type([], []), w));
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.finish()));
    const memory = new Uint8Array((exports.memory as WebAssembly.Memory).buffer);
    memory.set(pattern);
    (exports.run as () => void)();

    const expected = pattern.slice();
    if (what === "store") {
      const from = rest === "_lane" ? 48 + width / 8 : 32;
      expected.set(pattern.subarray(from, from + width / 8), 19);
    } else {
      const source = pattern.subarray(19, 19 + width / 8);
      const to = type === "v128" ? 16 : WIDTH[type] / 8;
      const out = new Uint8Array(to);
      if (rest === "_lane") {
        out.set(pattern.subarray(48, 64));
        out.set(source, width / 8);
      } else if (rest === "_splat") {
        for (let i = 0; i < 16; i++) out[i] = source[i % source.length];
      } else if (rest?.startsWith("x")) {
        const bytes = width / 8;
        const lanes = Number(rest.slice(1));
        for (let i = 0; i < lanes; i++) {
          const lane = pattern.subarray(19 + i * bytes, 19 + (i + 1) * bytes);
          out.set(lane, i * 2 * bytes);
          const fill = sign === "s" && lane.at(-1)! >= 0x80 ? 0xff : 0;
          out.fill(fill, (i * 2 + 1) * bytes, (i + 1) * 2 * bytes);
        }
      } else {
        out.set(source);
        if (source.length < to && sign === "s" && source.at(-1)! >= 0x80) {
          out.fill(0xff, source.length);
        }
      }
      expected.set(out, 0);
    }
    assertEquals(memory.slice(0, 64), expected, info.name);
  }
});
