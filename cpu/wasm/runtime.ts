/**
 * What compiled regions need besides themselves: the way in from TypeScript, and the stub.
 *
 * @module
 */
import { WIDE_EXIT } from "./body.ts";
import { functionType } from "./emitter.ts";
import { BodyWriter, ModuleWriter, Op, ValType } from "./encoder.ts";

/** Instantiates a module with one function `f`. */
function instantiate(
  m: ModuleWriter,
  imports?: WebAssembly.Imports,
): CallableFunction {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.finish()), imports);
  return exports.f as CallableFunction;
}

/**
 * The function that stands where nothing is compiled: it leaves to the guest address that it is called for.
 *
 * @param system Whether guest addresses have 64 bits.
 */
export function makeStub(system: boolean): CallableFunction {
  const m = new ModuleWriter("stub"), w = new BodyWriter();
  w.start(3);
  w.localGet(0);
  w.localGet(2);
  const { params, results } = functionType(system);
  m.exportFunction("f", m.func(m.type(params, results), w));
  return instantiate(m);
}

/**
 * The way in: calls the function at a table index for a guest address, with an empty stack and the fuel that is at
 * `fuel` in memory before and afterwards.
 */
export function makeEntry(
  memory: WebAssembly.Memory,
  table: WebAssembly.Table,
  fuel: number,
): (pc: number, index: number) => number {
  const m = new ModuleWriter("entry"), w = new BodyWriter();
  m.importMemory("e", "m", 0, 65536);
  m.importTable("e", "t", ValType.funcref, 0);
  w.start(2);
  const left = w.local(ValType.i32);
  w.localGet(0);
  w.i32Const(0);
  w.i32Const(0);
  w.load(Op.i32_load, 2, fuel);
  w.localGet(1);
  const { params, results } = functionType(false);
  w.callIndirect(m.type(params, results));
  w.localSet(left);
  w.i32Const(0);
  w.localGet(left);
  w.store(Op.i32_store, 2, fuel);
  m.exportFunction("f", m.func(m.type([ValType.i32, ValType.i32], [ValType.i32]), w));
  return instantiate(m, { e: { m: memory, t: table } }) as (pc: number, index: number) => number;
}

/**
 * The same for system mode: the guest address is in the cell at `pc` in memory, and so is afterwards the one where
 * execution goes on, if the result is 0; else it is an exit.
 */
export function makeSystemEntry(
  memory: WebAssembly.Memory,
  table: WebAssembly.Table,
  fuel: number,
  pc: number,
): (index: number) => number {
  const m = new ModuleWriter("entry"), w = new BodyWriter();
  m.importMemory("e", "m", 0, 65536);
  m.importTable("e", "t", ValType.funcref, 0);
  w.start(1);
  const left = w.local(ValType.i32), next = w.local(ValType.i64);
  w.i32Const(0);
  w.load(Op.i64_load, 3, pc);
  w.i32Const(0);
  w.i32Const(0);
  w.load(Op.i32_load, 2, fuel);
  w.localGet(0);
  const { params, results } = functionType(true);
  w.callIndirect(m.type(params, results));
  w.localSet(left);
  w.localSet(next);
  w.i32Const(0);
  w.localGet(left);
  w.store(Op.i32_store, 2, fuel);
  w.localGet(next);
  w.i64Const(32);
  w.op(Op.i64_shr_u);
  w.op(Op.i32_wrap_i64);
  w.i32Const(WIDE_EXIT);
  w.op(Op.i32_eq);
  w.if(ValType.i32);
  w.localGet(next);
  w.op(Op.i32_wrap_i64);
  w.else();
  w.i32Const(0);
  w.localGet(next);
  w.store(Op.i64_store, 3, pc);
  w.i32Const(0);
  w.end();
  m.exportFunction("f", m.func(m.type([ValType.i32], [ValType.i32]), w));
  return instantiate(m, { e: { m: memory, t: table } }) as (index: number) => number;
}

let fused: boolean | undefined;

/**
 * Whether `f64x2.relaxed_madd` rounds once here. The standard leaves that to the host, which must do the same every
 * time (WebAssembly Core Specification 3.0, section 4.3.5).
 */
export function hasFusedMultiplyAdd(): boolean {
  if (fused !== undefined) return fused;
  const m = new ModuleWriter("fused"), w = new BodyWriter();
  w.start(3);
  for (let i = 0; i < 3; i++) {
    w.localGet(i);
    w.op(Op.f64x2_splat);
  }
  w.op(Op.f64x2_relaxed_madd);
  w.lane(Op.f64x2_extract_lane, 0);
  const type = m.type([ValType.f64, ValType.f64, ValType.f64], [ValType.f64]);
  m.exportFunction("f", m.func(type, w));
  // Without relaxed vectors the module is invalid: then there is no fused multiply-add.
  if (!WebAssembly.validate(m.finish())) return fused = false;
  const near = 1 + 2 ** -52;
  // The square's last bit, which only a single rounding leaves.
  return fused = instantiate(m)(near, near, -(1 + 2 ** -51)) === 2 ** -104;
}
