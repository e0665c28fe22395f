import { assert, assertEquals, assertThrows } from "@std/assert";
import { BodyWriter, ByteWriter, ModuleWriter, Op, refNull, ValType } from "../cpu/wasm/encoder.ts";
import { Reader } from "../cpu/wasm/encoder/reader.ts";
import { Random } from "./fuzz/random.ts";
import { code, instantiate } from "./wasm_samples.ts";

const { i32, i64, f32, f64, v128, funcref } = ValType;

/** What a function without parameters returns. */
function run(results: number[], write: (w: BodyWriter) => void): unknown {
  const m = new ModuleWriter();
  m.exportFunction("f", m.func(m.type([], results), code(0, write)));
  return instantiate(m).f();
}

// ---- numbers ----

/** LEB128 by the specification's definition. */
function leb(value: bigint, signed: boolean): number[] {
  const bytes: number[] = [];
  for (;;) {
    const byte = Number(value & 0x7fn);
    value >>= 7n;
    if (signed ? value === (byte & 0x40 ? -1n : 0n) : value === 0n) return [...bytes, byte];
    bytes.push(byte | 0x80);
  }
}

const written = (write: (w: ByteWriter) => void): number[] => {
  const w = new ByteWriter();
  write(w);
  return [...w.view()];
};

/** Numbers around all powers of two, and random ones. */
function numbers(bits: number): bigint[] {
  const random = new Random(7);
  const edges = Array.from({ length: bits + 1 }, (_, i) => 1n << BigInt(i));
  const values = edges.flatMap((edge) => [edge - 1n, edge, edge + 1n]);
  for (let i = 0; i < 300; i++) {
    const word = () => BigInt(random.next());
    values.push((word() << 32n | word()) >> BigInt(random.below(64)));
  }
  return [...values, ...values.map((value) => -value)];
}

Deno.test("u32 writes the shortest LEB128 when it has any number", () => {
  for (const value of numbers(32).map((value) => BigInt.asUintN(32, value))) {
    const bytes = leb(value, false);
    assertEquals(written((w) => w.u32(Number(value))), bytes, `${value}`);
    // The same bits as a negative number.
    assertEquals(written((w) => w.u32(Number(BigInt.asIntN(32, value)))), bytes, `${value}`);
    assertEquals(new Reader(Uint8Array.from(bytes)).u32(), Number(value));
  }
});

Deno.test("s32 writes the shortest LEB128 when it has any number", () => {
  for (const value of numbers(32).map((value) => BigInt.asIntN(32, value))) {
    const bytes = leb(value, true);
    assertEquals(written((w) => w.s32(Number(value))), bytes, `${value}`);
    assertEquals(written((w) => w.s32(Number(value) >>> 0)), bytes, `${value}`);
    assertEquals(new Reader(Uint8Array.from(bytes)).leb(32, true), value);
  }
});

Deno.test("s64 writes the shortest LEB128 when it has any pair of words", () => {
  for (const value of numbers(64).map((value) => BigInt.asIntN(64, value))) {
    const bytes = leb(value, true);
    const lo = Number(BigInt.asIntN(32, value)), hi = Number(BigInt.asIntN(32, value >> 32n));
    assertEquals(written((w) => w.s64(lo, hi)), bytes, `${value}`);
    assertEquals(written((w) => w.s64(lo >>> 0, hi >>> 0)), bytes, `${value}`);
    assertEquals(new Reader(Uint8Array.from(bytes)).leb(64, true), value);
    const body = (write: (w: BodyWriter) => void) => [...code(0, write).finish()];
    assertEquals(body((w) => w.i64Const(lo, hi)), [0, Op.i64_const, ...bytes, Op.end]);
    assertEquals(body((w) => w.i64ConstBig(value)), [0, Op.i64_const, ...bytes, Op.end]);
    if (hi === lo >> 31) {
      assertEquals(body((w) => w.i64Const(lo)), [0, Op.i64_const, ...bytes, Op.end]);
    }
  }
});

Deno.test("constants arrive when a function returns them", () => {
  const words = [0, 1, -1, 0x7fff_ffff, -0x8000_0000, 0x8000_0000, 0xffff_ffff, 64, -65, 8192];
  for (const lo of words) {
    assertEquals(run([i32], (w) => w.i32Const(lo)), lo | 0);
    for (const hi of words) {
      const expected = BigInt.asIntN(64, BigInt(hi >>> 0) << 32n | BigInt(lo >>> 0));
      assertEquals(run([i64], (w) => w.i64Const(lo, hi)), expected);
    }
  }
  assertEquals(run([i64], (w) => w.i64ConstBig(0xffff_ffff_ffff_fffen)), -2n);
  for (const value of [0, -0, 1.5, -1e-310, Infinity, NaN, 2 ** -149, Number.MAX_VALUE]) {
    assertEquals(run([f64], (w) => w.f64Const(value)), value);
    assertEquals(run([f32], (w) => w.f32Const(value)), Math.fround(value));
  }
});

Deno.test("f32Bits and f64Bits keep a NaN when its payload is special", () => {
  assertEquals(
    run([i32], (w) => {
      w.f32Bits(0x7fa1_2345);
      w.op(Op.i32_reinterpret_f32);
    }),
    0x7fa1_2345,
  );
  assertEquals(
    run([i64], (w) => {
      w.f64Bits(0x1234_5678, 0x7ff4_0000);
      w.op(Op.i64_reinterpret_f64);
    }),
    0x7ff4_0000_1234_5678n,
  );
});

Deno.test("v128Const puts words into lanes when it has four", () => {
  for (const [lane, word] of [1, -2, 0x7fff_ffff, 4].entries()) {
    const value = run([i32], (w) => {
      w.v128Const(1, -2, 0x7fff_ffff, 4);
      w.lane(Op.i32x4_extract_lane, lane);
    });
    assertEquals(value, word);
  }
});

// ---- bodies ----

Deno.test("finish declares locals in runs when neighbours have one type", () => {
  const w = new BodyWriter();
  w.start(2);
  const types = [i64, i64, i64, i32, v128, refNull(3), refNull(3), refNull(4), i64];
  assertEquals(types.map((type) => w.local(type)), [2, 3, 4, 5, 6, 7, 8, 9, 10]);
  const declared = [6, 3, 0x7e, 1, 0x7f, 1, 0x7b, 2, 0x63, 3, 1, 0x63, 4, 1, 0x7e];
  assertEquals([...w.finish()], [...declared, Op.end]);
  w.localGet(10);
  assertEquals([...w.finish()], [...declared, Op.local_get, 10, Op.end]);
  w.start(0);
  assertEquals([...w.finish()], [0, Op.end]);
});

Deno.test("finish returns all code when a body is large", () => {
  const w = new BodyWriter();
  w.start(0);
  const sum = w.local(i64);
  const count = 200_000;
  for (let i = 0; i < count; i++) {
    w.localGet(sum);
    w.i64Const(i, i);
    w.op(Op.i64_add);
    w.localSet(sum);
  }
  w.localGet(sum);
  assert(w.length > 2_000_000);
  const m = new ModuleWriter();
  m.exportFunction("f", m.func(m.type([], [i64]), w.finish()));
  const total = BigInt(count) * BigInt(count - 1) / 2n * 0x1_0000_0001n;
  assertEquals(instantiate(m).f(), BigInt.asIntN(64, total));
});

Deno.test("func writes sizes when bodies are as long as their LEB128 gets longer", () => {
  for (const size of [0x7f, 0x80, 0x3fff, 0x4000, 0x1f_ffff, 0x20_0000]) {
    const m = new ModuleWriter();
    const w = code(0, (w) => {
      w.i32Const(3);
      // Its bytes besides these: no locals, two of the constant, the end.
      for (let i = 0; i < size - 4; i++) w.op(Op.nop);
    });
    assertEquals(w.finish().length, size);
    m.exportFunction("f", m.func(m.type([], [i32]), w));
    assertEquals(instantiate(m).f(), 3);
  }
});

Deno.test("brTable selects among targets when there are thousands", () => {
  const blocks = 300, targets = Int32Array.from({ length: 20_000 }, (_, i) => i * 7 % blocks);
  const w = new BodyWriter();
  w.start(1);
  w.block();
  for (let i = 0; i < blocks; i++) w.block();
  w.localGet(0);
  w.brTable(targets, blocks);
  for (let i = 0; i < blocks; i++) {
    w.end();
    w.i32Const(i);
    w.op(Op.return);
  }
  w.end();
  w.i32Const(-1);
  const m = new ModuleWriter();
  m.exportFunction("f", m.func(m.type([i32], [i32]), w));
  const { f } = instantiate(m);
  for (const i of [0, 1, 299, 12_345, 19_999]) assertEquals(f(i), targets[i]);
  for (const i of [20_000, -1]) assertEquals(f(i), -1);
});

Deno.test("depthTo gives the depth of a label when blocks are open around and in it", () => {
  const w = new BodyWriter();
  w.start(0);
  const a = w.block();
  const b = w.loop();
  const c = w.if();
  assertEquals([a, b, c].map((label) => w.depthTo(label)), [2, 1, 0]);
  assertEquals(w.depth, 3);
  w.end();
  assertEquals([a, b].map((label) => w.depthTo(label)), [1, 0]);
  assertThrows(() => w.depthTo(c), RangeError, "Cannot branch to label 2: 2 blocks are open");
});

Deno.test("nesting has no limit when blocks are many", () => {
  const deep = 1000;
  const value = run([i32], (w) => {
    for (let i = 0; i < deep; i++) w.block(i32);
    w.i32Const(42);
    w.br(w.depthTo(0));
    for (let i = 0; i < deep; i++) w.end();
  });
  assertEquals(value, 42);
});

Deno.test("blocks take and return several values when their type is a function type", () => {
  const m = new ModuleWriter();
  const swap = m.type([i64, f64], [f64, i64]);
  const w = new BodyWriter();
  w.start(2);
  const a = w.local(i64), b = w.local(f64);
  w.localGet(0);
  w.localGet(1);
  w.block(swap);
  w.localSet(b);
  w.localSet(a);
  w.localGet(b);
  w.localGet(a);
  w.br(0);
  w.end();
  m.exportFunction("swap", m.func(swap, w));
  assertEquals(instantiate(m).swap(5n, 0.5), [0.5, 5n]);
});

Deno.test("a block's type index is written signed when it is 64 or more", () => {
  const m = new ModuleWriter();
  const types = Array.from({ length: 64 }, (_, i) => m.type(Array(i).fill(i32), [i32]));
  const wide = m.type([], [f64, f64]);
  assertEquals([types.at(-1), wide], [63, 64]);
  const body = code(0, (w) => {
    w.block(wide);
    w.f64Const(1);
    w.f64Const(2);
    w.end();
    w.op(Op.f64_sub);
  });
  m.exportFunction("f", m.func(m.type([], [f64]), body));
  assertEquals(instantiate(m).f(), -1);
});

// ---- misuse ----

Deno.test("finish throws when a block is open", () => {
  const w = code(0, (w) => w.loop());
  assertThrows(() => w.finish(), Error, "Cannot finish a function: 1 blocks are open");
  const m = new ModuleWriter();
  assertThrows(() => m.func(m.type([], []), w), Error, "1 blocks are open");
  w.end();
  assertEquals([...w.finish()], [0, Op.loop, 0x40, Op.end, Op.end]);
});

Deno.test("end throws when no block is open", () => {
  const w = code(0, (w) => {
    w.block();
    w.end();
  });
  assertThrows(() => w.end(), Error, "Cannot write end: no block is open");
});

Deno.test("else throws when the innermost block is not an if", () => {
  const w = new BodyWriter();
  const text = "the innermost block is not an if";
  assertThrows(() => w.else(), Error, text);
  w.if();
  w.block();
  assertThrows(() => w.else(), Error, text);
  w.end();
  w.else();
  assertThrows(() => w.else(), Error, text);
  w.end();
  assertThrows(() => w.else(), Error, text);
});

Deno.test("branches throw when the depth is beyond the function", () => {
  const w = new BodyWriter();
  w.start(0);
  w.br(0);
  w.block();
  w.brIf(1);
  const text = "1 blocks are open";
  for (const depth of [2, -1]) {
    assertThrows(() => w.br(depth), RangeError, `Cannot branch to depth ${depth}: ${text}`);
    assertThrows(() => w.brIf(depth), RangeError, text);
    assertThrows(() => w.brTable([0, depth], 0), RangeError, text);
    assertThrows(() => w.brTable([0], depth), RangeError, text);
  }
});

Deno.test("local instructions throw when there is no such local", () => {
  const w = new BodyWriter();
  w.start(1);
  w.local(i64);
  for (const index of [2, -1]) {
    const text = `Cannot use local ${index}: there are 2`;
    assertThrows(() => w.localGet(index), RangeError, text);
    assertThrows(() => w.localSet(index), RangeError, text);
    assertThrows(() => w.localTee(index), RangeError, text);
    assertThrows(() => w.nameLocal(index, "x"), RangeError, text);
  }
  w.start(0);
  assertThrows(() => w.localGet(0), RangeError, "there are 0");
});

Deno.test("load throws when the offset is no unsigned 32-bit number", () => {
  const w = new BodyWriter();
  for (const offset of [-1, 2 ** 32, NaN]) {
    assertThrows(
      () => w.load(Op.i32_load, 2, offset),
      RangeError,
      `Cannot encode offset ${offset}`,
    );
  }
  w.store(Op.i32_store8, 0, 2 ** 32 - 1);
  assertEquals([...w.finish()], [0, 0x3a, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, Op.end]);
});

Deno.test("shuffle throws when there are not 16 lanes", () => {
  assertThrows(() => new BodyWriter().shuffle([1, 2]), RangeError, "Cannot shuffle 2 lanes");
});

Deno.test("ModuleWriter throws when it is used in the wrong order or twice", () => {
  const m = new ModuleWriter();
  assertThrows(() => m.declare(0), RangeError, "Cannot use type 0: there are 0");
  assertThrows(() => m.importFunction("env", "f", 0), RangeError, "Cannot use type 0");
  const type = m.type([i32], []);
  const imported = m.importFunction("env", "f", type);
  const declared = m.declare(type, "later");
  const empty = code(1, () => {});
  assertThrows(() => m.importFunction("env", "g", type), Error, `Cannot import "g"`);
  assertThrows(() => m.body(imported, empty), Error, "function 0: it is not declared");
  assertThrows(() => m.body(2, empty), Error, "function 2: it is not declared");
  assertThrows(
    () => m.body(declared, code(2, () => {})),
    Error,
    "it was started with 2 parameters, its type has 1",
  );
  assertThrows(() => m.finish(), Error, "function 1 (later) has no body");
  m.body(declared, empty);
  assertThrows(() => m.body(declared, empty), Error, "function 1: it has one");
  m.exportFunction("f", declared);
  assertThrows(() => m.exportFunction("f", imported), Error, `Cannot export "f" twice`);
  assertThrows(() => m.exportTable("t", 0), RangeError, "Cannot export table 0");
  assertThrows(() => m.exportFunction("h", 2), RangeError, "Cannot export function 2");
  m.table(funcref, 1);
  assertThrows(() => m.importTable("env", "t", funcref, 1), Error, "a table is already defined");
  m.memory(1);
  assertThrows(() => m.importMemory("env", "m", 1), Error, "a memory is already defined");
  m.global(i32, true);
  assertThrows(() => m.importGlobal("env", "g", i32, true), Error, "a global is already defined");
  assert(WebAssembly.validate(m.finish()));
});
