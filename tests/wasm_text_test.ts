import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ModuleWriter, Op, OPS, refNull, ValType } from "../cpu/wasm/encoder.ts";
import { printModule } from "../cpu/wasm/encoder/module_text.ts";
import { Reader } from "../cpu/wasm/encoder/reader.ts";
import { printFunction, readBody } from "../cpu/wasm/encoder/text.ts";
import { Random } from "./fuzz/random.ts";
import { code, sample } from "./wasm_samples.ts";

const { i32, i64, f32, f64, v128, funcref, externref } = ValType;

/** A body with nesting, branches, locals, accesses and calls. */
function example() {
  return code(2, (w) => {
    const [sum, limit, x] = [w.local(i64, "sum"), w.local(i64), w.local(f64, "x")];
    w.nameLocal(0, "address");
    const exit = w.block();
    const loop = w.loop(f64);
    w.localGet(0);
    w.load(Op.i64_load32_u, 0, 0x4000_0000);
    w.localTee(sum);
    w.i64Const(-2, -1);
    w.op(Op.i64_lt_s);
    w.if();
    w.br(w.depthTo(exit));
    w.else();
    w.localGet(limit);
    w.call(1);
    w.br(w.depthTo(loop));
    w.end();
    w.f64Const(-0.1);
    w.end();
    w.localSet(x);
    w.end();
    w.localGet(1);
    w.brTable([0, 0], 0);
  });
}

Deno.test("printFunction prints nesting, labels and immediates when a body has them", () => {
  const text = printFunction(example().finish());
  assertEquals(
    text,
    `\
(func
  (local i64 i64 f64)
  block ;; @1
    loop (result f64) ;; @2
      local.get 0
      i64.load32_u offset=1073741824 align=1
      local.tee 2
      i64.const -2
      i64.lt_s
      if ;; @3
        br 2 (;@1;)
      else
        local.get 3
        call 1
        br 1 (;@2;)
      end
      f64.const -0.1
    end
    local.set 4
  end
  local.get 1
  br_table 0 0 0)`,
  );
});

Deno.test("printFunction prints names when it is given some", () => {
  const w = example();
  const text = printFunction(w.finish(), {
    name: "at_10074",
    params: [i32, i32],
    results: [i64],
    locals: w.localNames,
    functions: new Map([[1, "next block"], [2, "exit"]]),
  });
  const head = "(func $at_10074 (param $address i32) (param i32) (result i64)\n" +
    "  (local $sum i64) (local i64) (local $x f64)\n";
  assertEquals(text.slice(0, head.length), head);
  for (const part of ["local.get $address\n", "local.tee $sum\n", "local.get 3\n", "call 1\n"]) {
    assertStringIncludes(text, part);
  }
});

Deno.test("readBody gives the offsets that the writer had when instructions were written", () => {
  const offsets: number[] = [];
  const w = code(1, (w) => {
    for (let i = 0; i < 100; i++) w.local(i % 2 ? i32 : i64);
    for (const value of [1, 1000, -1]) {
      offsets.push(w.length);
      w.i32Const(value);
      offsets.push(w.length);
      w.op(Op.i8x16_splat);
      offsets.push(w.length);
      w.op(Op.drop);
    }
  });
  const { locals, lines } = readBody(w.finish());
  assertEquals(lines.map((line) => line.offset), offsets);
  assertEquals(lines[3], { offset: offsets[3], depth: 0, text: "i32.const 1000" });
  assertEquals([locals.length, locals[0], locals[99]], [100, i64, i32]);
});

Deno.test("printFunction prints the name of every instruction in the table", () => {
  for (const info of OPS) {
    const name = info.name === "select_t" ? "select" : info.name;
    const lines = readBody(sample(info).body).lines.map((line) => line.text);
    const found = lines.filter((line) => line.split(" ")[0] === name);
    assert(found.length >= 1, `${info.name} is not in ${lines}`);
    if (info.immediates.length === 0) assertEquals(found[0], name);
  }
});

Deno.test("printFunction prints immediates as the text format has them", () => {
  const texts: Record<string, string> = {
    "v128.load": "v128.load offset=2147483632",
    "v128.store": "v128.store offset=8 align=1",
    "i32.store8": "i32.store8 offset=8",
    "v128.load16_lane": "v128.load16_lane offset=2147483647 1",
    "f64x2.replace_lane": "f64x2.replace_lane 1",
    "v128.const": "v128.const i32x4 0x00000001 0x00000002 0xfffffffd 0x7fffffff",
    "i8x16.shuffle": "i8x16.shuffle 31 0 30 1 29 2 28 3 27 4 26 5 25 6 24 7",
    "i64.const": "i64.const 1311768469162688511",
    "f32.const": "f32.const 0.1",
    "f64.const": "f64.const -1e+300",
    "call_indirect": "call_indirect (type 1)",
    "select_t": "select (result externref)",
    "ref.null": "ref.null 1",
    "loop": "loop (result externref) ;; @1",
    "block": "block (type 1) ;; @1",
    "br_table": "br_table 1 (;@1;) 0 (;@2;) 2 0 (;@2;) 1 (;@1;)",
    "table.init": "table.init 0 0",
    "table.copy": "table.copy 0 0",
    "memory.grow": "memory.grow",
    "memory.copy": "memory.copy",
  };
  for (const [name, text] of Object.entries(texts)) {
    const info = OPS.find((info) => info.name === name)!;
    const lines = readBody(sample(info).body).lines.map((line) => line.text);
    assert(lines.includes(text), `"${text}" is not in ${lines}`);
  }
});

Deno.test("floats are the same bits when their text is read again", () => {
  const random = new Random(3);
  const special = [
    0,
    0x8000_0000,
    1,
    0x7f80_0000,
    0xff80_0000,
    0x7f7f_ffff,
    0x3dcc_cccd,
    0x80_0000,
  ];
  const words = [...special, ...Array.from({ length: 2000 }, () => random.next())];
  const view = new DataView(new ArrayBuffer(8));
  const value = (text: string) => Number(text.replace("inf", "Infinity"));
  for (const [i, word] of words.entries()) {
    const low = i < 8 ? 0 : random.next();
    const { lines } = readBody(
      code(0, (w) => {
        w.f32Bits(word);
        w.f64Bits(low, word);
      }).finish(),
    );
    const [single, double] = lines.map((line) => line.text.split(" ")[1]);
    view.setUint32(0, word);
    view.setUint32(4, low);
    if (!single.includes("nan")) assertEquals(Math.fround(value(single)), view.getFloat32(0));
    if (!double.includes("nan")) assertEquals(value(double), view.getFloat64(0));
    assertEquals(single.includes("nan"), Number.isNaN(view.getFloat32(0)));
    assertEquals(double.includes("nan"), Number.isNaN(view.getFloat64(0)));
  }
  const nans = code(0, (w) => {
    for (const bits of [0x7fc0_0000, 0xffc0_0000, 0x7f80_0001, 0xffc0_0001]) w.f32Bits(bits);
    w.f64Bits(0, 0x7ff8_0000);
    w.f64Bits(5, 0xfff0_0000);
  });
  assertEquals(readBody(nans.finish()).lines.map((line) => line.text.split(" ")[1]), [
    ...["nan", "-nan", "nan:0x1", "-nan:0x400001"],
    ...["nan", "-nan:0x5"],
  ]);
});

/** A module with something in every section. */
function full(): Uint8Array<ArrayBuffer> {
  const m = new ModuleWriter("regions");
  const type = m.type([i64, i64], [i64]);
  const other = m.type([], []);
  m.importFunction("env", "leave", other);
  m.importTable("env", "table", funcref, 16);
  m.importMemory("env", "memory\n€", 1, 0x8000, true);
  m.importGlobal("env", "base", i32, false);
  m.table(refNull(type), 1, 2);
  m.memory(2);
  m.global(i64, true, -5);
  m.global(f32, false, 0.5);
  m.global(v128, true);
  m.global(refNull(type), true);
  m.global(externref, true);
  const add = code(2, (w) => {
    w.localGet(0);
    w.localGet(w.local(i64, "r5"));
    w.op(Op.i64_add);
    w.call(0);
  });
  const functions = [m.func(type, add, "add"), m.func(type, add), m.func(type, add, "twice")];
  m.func(other, code(0, () => {}), "twice");
  m.element(0, { global: 0 }, functions);
  m.element(1, 0, [functions[0]], refNull(type));
  m.passiveElement([1]);
  m.declareReferences([2]);
  m.exportFunction("a", 1);
  m.exportFunction("b", 3);
  m.exportTable("t", 1);
  m.exportGlobal("g", 2);
  m.exportMemory('m"', 0);
  return m.finish();
}

Deno.test("printModule prints every section when a module has them", () => {
  assertEquals(
    printModule(full()),
    String.raw`(module $regions
  (type (;0;) (func (param i64 i64) (result i64)))
  (type (;1;) (func))
  (import "env" "leave" (func $leave (;0;) (type 1)))
  (import "env" "table" (table (;0;) 16 funcref))
  (import "env" "memory\0a\e2\82\ac" (memory (;0;) 1 32768 shared))
  (import "env" "base" (global (;0;) i32))
  (table (;1;) 1 2 (ref null 0))
  (memory (;1;) 2)
  (global (;1;) (mut i64) (i64.const -5))
  (global (;2;) f32 (f32.const 0.5))
  (global (;3;) (mut v128) (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000))
  (global (;4;) (mut (ref null 0)) (ref.null 0))
  (global (;5;) (mut externref) (ref.null extern))
  (export "a" (func $add))
  (export "b" (func 3))
  (export "t" (table 1))
  (export "g" (global 2))
  (export "m\22" (memory 0))
  (elem (;0;) (global.get 0) func $add 2 3)
  (elem (;1;) (table 1) (i32.const 0) (ref null 0) (ref.func $add))
  (elem (;2;) func $add)
  (elem (;3;) declare func 2)
  (func $add (;1;) (type 0) (param i64 i64) (result i64)
    (local $r5 i64)
    local.get 0
    local.get $r5
    i64.add
    call $leave)
  (func (;2;) (type 0) (param i64 i64) (result i64)
    (local $r5 i64)
    local.get 0
    local.get $r5
    i64.add
    call $leave)
  (func (;3;) (type 0) (param i64 i64) (result i64)
    (local $r5 i64)
    local.get 0
    local.get $r5
    i64.add
    call $leave)
  (func (;4;) (type 1)))
`,
  );
});

Deno.test("printModule names other sections when a module has them", () => {
  const bytes = [...new ModuleWriter().finish(), 0, 4, 3, 0x61, 0x62, 0x63, 8, 1, 0, 11, 1, 0];
  assertEquals(
    printModule(Uint8Array.from(bytes)),
    '(module\n  (; section "abc": 4 bytes ;)\n  (; section 8: 1 bytes ;)\n  (; section 11: 1 bytes ;))\n',
  );
});

Deno.test("printFunction throws when bytes are no body", () => {
  const bad: [number[], string][] = [
    [[], "the code ends early"],
    [[0], "the code ends early"],
    [[0, 0x0b, 0x0b], "bytes behind the function's end"],
    [[0, 0xff, 0x0b], "no instruction is 0xff"],
    [[0, 0xfd, 0x80, 0x20, 0x0b], "no instruction is 0xfd 0x1000"],
    [[0, 0x05, 0x0b], "an else outside a block"],
    [[0, 0x0c, 1, 0x0b], "a branch to depth 1 of 0"],
    [[0, 0x41, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0x0b], "longer than 32 bits"],
    [[0, 0x41, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x0b], "does not fit 32 bits"],
    [[0, 0x20, 0xff, 0xff, 0xff, 0xff, 0x1f, 0x0b], "does not fit 32 bits"],
    [[0, 0x28, 0x40, 0, 0x0b], "an alignment of 2^64"],
    [[1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7e, 0x0b], "more than 50000 locals"],
    [[1, 1, 0x40, 0x0b], "a value type is expected"],
    [[1, 1, 0x50, 0x0b], "no type is -48"],
    [[0, 0xd0, 0x7e, 0x0b], "no heap type is -2"],
  ];
  for (const [bytes, text] of bad) {
    assertThrows(() => printFunction(Uint8Array.from(bytes)), SyntaxError, text);
  }
});

Deno.test("printModule throws when a section is inconsistent", () => {
  const bad: [number[], string][] = [
    [[1, 2, 0, 0], "section 1 has another size"],
    [[1, 2, 0], "section 1 ends early"],
    [[1, 4, 1, 0x5f, 0, 0], "a function type is expected"],
    [[2, 4, 1, 0, 0, 4], "an import of kind 4"],
    [[3, 2, 1, 0], "1 functions have no body"],
    [[3, 2, 1, 0, 10, 4, 1, 2, 0, 0x0b], "there is no type 0"],
    [[10, 4, 1, 2, 0, 0x0b], "a body without function"],
    [[14, 0], "section 14"],
  ];
  for (const [bytes, text] of bad) {
    const module = Uint8Array.from([...new ModuleWriter().finish(), ...bytes]);
    assertThrows(() => printModule(module), SyntaxError, text);
  }
  assertThrows(() => printModule(Uint8Array.from([0, 0x61])), SyntaxError, "ends early");
  assertThrows(() => printModule(new Uint8Array(8)), SyntaxError, "no module of version 1");
});

Deno.test("printModule throws a SyntaxError when a module is cut off", () => {
  const bytes = full();
  const whole: number[] = [];
  for (let length = 0; length < bytes.length; length++) {
    try {
      printModule(bytes.subarray(0, length));
      whole.push(length);
    } catch (error) {
      assert(error instanceof SyntaxError, `${error}`);
    }
  }
  // Cut before a section, the module is whole, unless it has functions and no code.
  const starts: number[] = [];
  const r = new Reader(bytes, 8);
  while (!r.done) {
    starts.push(r.at);
    r.byte();
    r.at = r.u32() + r.at;
  }
  const [types, imports, functions] = starts;
  assertEquals(starts.length, 10);
  assertEquals(whole, [types, imports, functions, starts.at(-1)]);
});

Deno.test("printModule prints or throws a SyntaxError when bytes are corrupt", () => {
  const bytes = full();
  const random = new Random(11);
  let printed = 0;
  for (let i = 0; i < 5000; i++) {
    const corrupt = bytes.slice();
    for (let k = random.below(3); k >= 0; k--) corrupt[random.below(bytes.length)] = random.next();
    try {
      printModule(corrupt);
      printed++;
    } catch (error) {
      assert(error instanceof SyntaxError, `${corrupt}: ${error}`);
    }
  }
  assert(printed > 100 && printed < 4900, `${printed} of 5000 were printed`);
});
