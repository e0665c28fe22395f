import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ModuleWriter, Op, refNull, ValType } from "../cpu/wasm/encoder.ts";
import { code, type Exports, instantiate } from "./wasm_samples.ts";

const { i32, i64, f32, f64, v128, funcref, externref } = ValType;

Deno.test("type returns the same index when value types are the same", () => {
  const m = new ModuleWriter();
  assertEquals(m.type([i32], [i64]), 0);
  assertEquals(m.type([i64], [i32]), 1);
  assertEquals(m.type([i32, i64], []), 2);
  assertEquals(m.type([], [i32, i64]), 3);
  assertEquals(m.type([refNull(0)], []), 4);
  assertEquals(m.type([refNull(1)], []), 5);
  assertEquals(m.type([i32], [i64]), 0);
  assertEquals(m.type([refNull(0)], []), 4);
  assert(WebAssembly.validate(m.finish()));
});

Deno.test("finish makes an empty module when nothing was added", () => {
  assertEquals([...new ModuleWriter().finish()], [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
});

Deno.test("imports and exports of every kind work when the host has them", () => {
  const m = new ModuleWriter();
  const unary = m.type([i64], [i64]);
  const twice = m.importFunction("env", "twice", unary);
  m.importTable("env", "table", funcref, 1, 10);
  m.importMemory("env", "memory", 1, 2, true);
  const counter = m.importGlobal("env", "counter", i64, true);
  const base = m.importGlobal("env", "base", i32, false);
  const own = m.global(f64, true, 2.5);
  const big = m.global(i64, false, -(2n ** 63n));
  for (const type of [f32, v128, funcref, externref]) m.global(type, true);
  const f = m.declare(unary, "f");
  m.body(
    f,
    code(1, (w) => {
      w.localGet(0);
      w.call(twice);
      w.globalGet(counter);
      w.op(Op.i64_add);
      w.globalSet(counter);
      w.i32Const(8);
      w.globalGet(counter);
      w.store(Op.i64_store, 3, 0);
      w.globalGet(big);
    }),
  );
  m.element(0, { global: base }, [f, twice]);
  m.exportFunction("f", f);
  m.exportGlobal("own", own);
  m.exportMemory("memory", 0);
  m.exportTable("table", 0);
  assertEquals([m.functions, f], [2, 1]);

  const memory = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
  const table = new WebAssembly.Table({ element: "anyfunc", initial: 8, maximum: 10 });
  const global = new WebAssembly.Global({ value: "i64", mutable: true }, 5n);
  const exports = instantiate(m, {
    ...{ twice: (x: bigint) => 2n * x, memory, table, counter: global },
    base: new WebAssembly.Global({ value: "i32" }, 3),
  });
  assertEquals(exports.f(4n), -(2n ** 63n));
  assertEquals(global.value, 13n);
  assertEquals(new BigInt64Array(memory.buffer)[1], 13n);
  assertEquals((exports.own as unknown as WebAssembly.Global).value, 2.5);
  assertEquals([table.get(3) === exports.f, (table.get(4) as (x: bigint) => bigint)(1n)], [
    true,
    2n,
  ]);
  assertEquals([exports.memory as unknown, exports.table as unknown], [memory, table]);
});

Deno.test("bodies may be written in any order when functions were declared", () => {
  const m = new ModuleWriter();
  const type = m.type([], [i32]);
  const [a, b, c] = ["a", "b", "c"].map((name) => m.declare(type, name));
  m.body(c, code(0, (w) => w.i32Const(3)));
  m.body(
    a,
    code(0, (w) => {
      w.call(b);
      w.call(c);
      w.op(Op.i32_sub);
    }),
  );
  m.body(b, code(0, (w) => w.i32Const(10)).finish());
  m.exportFunction("a", a);
  assert(m.codeBytes > 10);
  assertEquals(instantiate(m).a(), 7);
});

Deno.test("a name stands in the stack trace when a function traps", () => {
  const m = new ModuleWriter("regions");
  m.exportFunction("f", m.func(m.type([], []), code(0, (w) => w.op(Op.unreachable)), "at_10074"));
  const error = assertThrows(() => instantiate(m).f(), WebAssembly.RuntimeError, "unreachable");
  assertStringIncludes((error as Error).stack!, "at at_10074 (wasm://wasm/regions-");
});

// ---- tail calls, tables, references ----

Deno.test("returnCall takes no stack when functions call each other a million times", () => {
  const m = new ModuleWriter();
  const type = m.type([i32], [i32]);
  const functions = [m.declare(type), m.declare(type)];
  for (const [i, self] of functions.entries()) {
    m.body(
      self,
      code(1, (w) => {
        w.localGet(0);
        w.op(Op.i32_eqz);
        w.if();
        w.i32Const(i);
        w.op(Op.return);
        w.end();
        w.localGet(0);
        w.i32Const(1);
        w.op(Op.i32_sub);
        w.returnCall(functions[1 - i]);
      }),
    );
  }
  m.exportFunction("f", functions[0]);
  const { f } = instantiate(m);
  assertEquals([f(1_000_000), f(1_000_001)], [0, 1]);
});

Deno.test("returnCallIndirect reaches other modules when they share a table", () => {
  const table = new WebAssembly.Table({ element: "anyfunc", initial: 3 });
  // Each function adds its number, and goes on at the next one until the count is down.
  const make = (index: number) => {
    const m = new ModuleWriter();
    m.importTable("env", "table", funcref, 3);
    const type = m.type([i32, i64], [i64]);
    const body = code(2, (w) => {
      w.localGet(0);
      w.op(Op.i32_eqz);
      w.if();
      w.localGet(1);
      w.br(w.depth);
      w.end();
      w.localGet(0);
      w.i32Const(-1);
      w.op(Op.i32_add);
      w.localGet(1);
      w.i64Const(10 ** index);
      w.op(Op.i64_add);
      w.i32Const((index + 1) % 3);
      w.returnCallIndirect(type);
    });
    const f = m.func(type, body);
    m.element(0, index, [f]);
    m.exportFunction("f", f);
    return instantiate(m, { table });
  };
  const [{ f }] = [0, 1, 2].map(make);
  assertEquals(f(300_002, 0n), 100_001n + 1_000_010n + 10_000_000n);
});

Deno.test("callIndirect traps when the function has another type, and calls when it has this one", () => {
  const m = new ModuleWriter();
  m.table(externref, 1);
  const table = m.table(funcref, 4);
  const [get, other] = [m.type([], [i32]), m.type([], [i64])];
  const seven = m.func(get, code(0, (w) => w.i32Const(7)));
  m.element(table, 1, [seven]);
  const call = (type: number) =>
    code(1, (w) => {
      w.localGet(0);
      w.callIndirect(type, table);
    });
  m.exportFunction("right", m.func(m.type([i32], [i32]), call(get)));
  m.exportFunction("wrong", m.func(m.type([i32], [i64]), call(other)));
  const { right, wrong } = instantiate(m);
  assertEquals(right(1), 7);
  for (const trap of [() => right(0), () => wrong(1), () => right(4)]) {
    assertThrows(trap, WebAssembly.RuntimeError);
  }
});

Deno.test("call_ref and a table of one type work when references are typed", () => {
  const m = new ModuleWriter();
  const unary = m.type([i32], [i32]);
  const reference = refNull(unary);
  const table = m.table(reference, 3);
  const [inc, neg] = [
    code(1, (w) => {
      w.localGet(0);
      w.i32Const(1);
      w.op(Op.i32_add);
    }),
    code(1, (w) => {
      w.i32Const(0);
      w.localGet(0);
      w.op(Op.i32_sub);
    }),
  ].map((body) => m.func(unary, body));
  m.element(table, 1, [inc, neg], reference);
  const holder = m.global(reference, true);
  m.declareReferences([neg]);
  m.exportFunction(
    "indirect",
    m.func(
      m.type([i32, i32], [i32]),
      code(2, (w) => {
        w.localGet(0);
        w.localGet(1);
        w.callIndirect(unary, table);
      }),
    ),
  );
  for (const tail of [false, true]) {
    const body = code(1, (w) => {
      const local = w.local(reference);
      w.refFunc(neg);
      w.globalSet(holder);
      w.globalGet(holder);
      w.localSet(local);
      w.localGet(0);
      w.localGet(local);
      if (tail) w.returnCallRef(unary);
      else w.callRef(unary);
    });
    m.exportFunction(tail ? "tail" : "plain", m.func(unary, body));
  }
  const { indirect, plain, tail } = instantiate(m);
  assertEquals([indirect(41, 1), indirect(41, 2), plain(5), tail(6)], [42, -41, -5, -6]);
  assertThrows(() => indirect(1, 0), WebAssembly.RuntimeError);
});

Deno.test("table instructions move elements when they are executed", () => {
  const m = new ModuleWriter();
  const get = m.type([], [i32]);
  const table = m.table(funcref, 4);
  const constants = [10, 11].map((value) => m.func(get, code(0, (w) => w.i32Const(value))));
  const segment = m.passiveElement(constants);
  const body = code(0, (w) => {
    const three = (a: number, b: number, c: number) => [a, b, c].forEach((n) => w.i32Const(n));
    three(1, 0, 2);
    w.tableInit(segment, table);
    w.elemDrop(segment);
    three(0, 2, 1);
    w.tableCopy(table, table);
    w.refNull(funcref);
    w.i32Const(6);
    w.tableGrow(table);
    w.op(Op.drop);
    w.i32Const(4);
    w.refFunc(constants[0]);
    w.i32Const(3);
    w.tableFill(table);
    w.i32Const(9);
    w.i32Const(1);
    w.tableGet(table);
    w.tableSet(table);
    w.tableSize(table);
  });
  m.exportFunction("run", m.func(get, body));
  m.exportTable("table", table);
  const exports = instantiate(m);
  assertEquals(exports.run(), 10);
  const elements = exports.table as unknown as WebAssembly.Table;
  const values = Array.from({ length: 10 }, (_, i) => (elements.get(i) as Exports[string])?.());
  const none = undefined;
  assertEquals(values, [11, 10, 11, none, 10, 10, 10, none, none, 10]);
  assertThrows(() => exports.run(), WebAssembly.RuntimeError);
});

Deno.test("memory instructions move bytes when they are executed", () => {
  const m = new ModuleWriter();
  m.exportMemory("memory", m.memory(1, 4));
  const body = code(0, (w) => {
    const three = (a: number, b: number, c: number) => [a, b, c].forEach((n) => w.i32Const(n));
    three(10, 0xab, 4);
    w.memoryFill();
    three(12, 10, 4);
    w.memoryCopy();
    w.i32Const(2);
    w.memoryGrow();
    w.memorySize();
  });
  m.exportFunction("run", m.func(m.type([], [i32, i32]), body));
  const exports = instantiate(m);
  assertEquals(exports.run(), [1, 3]);
  const bytes = new Uint8Array((exports.memory as unknown as WebAssembly.Memory).buffer, 9, 8);
  assertEquals([...bytes], [0, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0]);
});

Deno.test("offsets reach the upper half of 2 GiB when an access has one", () => {
  const m = new ModuleWriter();
  m.importMemory("env", "memory", 1);
  const body = code(1, (w) => {
    w.localGet(0);
    w.i64Const(-2, 1);
    w.store(Op.i64_store, 0, 0x7fff_fff0);
    w.localGet(0);
    w.load(Op.i64_load32_u, 0, 0x7fff_fff4);
  });
  m.exportFunction("f", m.func(m.type([i32], [i64]), body));
  const memory = new WebAssembly.Memory({ initial: 0x8000, maximum: 0x8000 });
  const { f } = instantiate(m, { memory });
  assertEquals([f(0), f(8)], [1n, 1n]);
  assertEquals(new DataView(memory.buffer).getUint32(0x7fff_fff0, true), 0xffff_fffe);
  assertThrows(() => f(9), WebAssembly.RuntimeError, "out of bounds");
});
