/**
 * What compiled regions need besides themselves: the way in from TypeScript, and the stub.
 *
 * @module
 */
import { FUNCTION_TYPE } from "./emitter.ts";
import { BodyWriter, ModuleWriter, Op, ValType } from "./encoder.ts";

/** Instantiates a module with one function `f`. */
function instantiate(
  m: ModuleWriter,
  imports?: WebAssembly.Imports,
): CallableFunction {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.finish()), imports);
  return exports.f as CallableFunction;
}

/** The function that stands where nothing is compiled: it leaves to the guest address that it is called for. */
export function makeStub(): CallableFunction {
  const m = new ModuleWriter("stub"), w = new BodyWriter();
  w.start(3);
  w.localGet(0);
  w.localGet(2);
  m.exportFunction("f", m.func(m.type(FUNCTION_TYPE.params, FUNCTION_TYPE.results), w));
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
  w.callIndirect(m.type(FUNCTION_TYPE.params, FUNCTION_TYPE.results));
  w.localSet(left);
  w.i32Const(0);
  w.localGet(left);
  w.store(Op.i32_store, 2, fuel);
  m.exportFunction("f", m.func(m.type([ValType.i32, ValType.i32], [ValType.i32]), w));
  return instantiate(m, { e: { m: memory, t: table } }) as (pc: number, index: number) => number;
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
