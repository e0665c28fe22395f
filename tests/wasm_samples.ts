/** What tests of the WebAssembly encoder share; for each instruction of its table, a module that uses it. */
import {
  BodyWriter,
  type LaneOp,
  type LoadOp,
  type MemoryLaneOp,
  ModuleWriter,
  Op,
  type OpInfo,
  type PlainOp,
  refNull,
  type StoreOp,
  ValType,
} from "../cpu/wasm/encoder.ts";

/** Value types by their letter in signatures. */
export const LETTERS: Readonly<Record<string, number>> = {
  i: ValType.i32,
  l: ValType.i64,
  f: ValType.f32,
  d: ValType.f64,
  v: ValType.v128,
};

const { i32, i64, f64, funcref, externref } = ValType;

/** Operands and results of a signature such as `il:d`. */
export function typesOf(signature: string): { params: number[]; results: number[] } {
  const [params, results] = signature.split(":").map((side) => [...side].map((c) => LETTERS[c]));
  return { params, results };
}

/** A function's body. */
export function code(params: number, write: (w: BodyWriter) => void): BodyWriter {
  const w = new BodyWriter();
  w.start(params);
  write(w);
  return w;
}

/** Exported functions. */
export type Exports = Record<string, (...args: unknown[]) => unknown>;

/** The exports of a module whose imports are all from `env`. */
export function instantiate(m: ModuleWriter, imports: WebAssembly.ModuleImports = {}): Exports {
  const module = new WebAssembly.Module(m.finish());
  return new WebAssembly.Instance(module, { env: imports }).exports as Exports;
}

/** What all samples have: types 0 and 1, a memory, two tables, a global, function 0, a passive segment. */
function environment(): ModuleWriter {
  const m = new ModuleWriter();
  m.type([], []);
  m.type([i64, f64], [f64, i64]);
  m.memory(1);
  m.table(funcref, 4);
  m.table(externref, 4);
  m.global(i64, true);
  const w = new BodyWriter();
  w.start(0);
  m.exportFunction("nothing", m.func(0, w));
  m.passiveElement([0, 0]);
  return m;
}

/** Emits an instruction with a signature: its immediates by kind. */
export function emit(w: BodyWriter, { name, code, immediates }: OpInfo, lane = 1): void {
  const [first = "", second = ""] = immediates;
  const align = Number(/^memory:(\d+)$/.exec(first)?.[1] ?? NaN);
  if (first === "") w.op(code as PlainOp);
  else if (second.startsWith("lane:")) w.laneMemory(code as MemoryLaneOp, align, 0x7fff_ffff, lane);
  else if (align >= 0 && name.includes(".load")) w.load(code as LoadOp, align, 0x7fff_fff0);
  else if (align >= 0) w.store(code as StoreOp, 0, 8);
  else if (first.startsWith("lane:")) w.lane(code as LaneOp, lane);
  else {
    const special: Record<string, () => void> = {
      "i32.const": () => w.i32Const(-123456789),
      "i64.const": () => w.i64Const(-1, 0x1234_5678),
      "f32.const": () => w.f32Const(0.1),
      "f64.const": () => w.f64Const(-1e300),
      "v128.const": () => w.v128Const(1, 2, -3, 0x7fff_ffff),
      "i8x16.shuffle": () => w.shuffle([31, 0, 30, 1, 29, 2, 28, 3, 27, 4, 26, 5, 25, 6, 24, 7]),
      "memory.size": () => w.memorySize(),
      "memory.grow": () => w.memoryGrow(),
      "memory.copy": () => w.memoryCopy(),
      "memory.fill": () => w.memoryFill(),
      "table.init": () => w.tableInit(0, 0),
      "elem.drop": () => w.elemDrop(0),
      "table.copy": () => w.tableCopy(0, 0),
      "table.size": () => w.tableSize(1),
    };
    if (!(name in special)) throw new Error(`Cannot emit ${name}`);
    special[name]();
  }
}

type Writer = (w: BodyWriter) => void;

/** Instructions whose signature depends on the context: type of a function, and its code. */
const CONTEXT: Record<string, [params: number[], results: number[], code: Writer]> = {
  "unreachable": [[], [i32], (w) => w.op(Op.unreachable)],
  "block": [[i64, f64], [f64, i64], (w) => {
    w.localGet(0);
    w.localGet(1);
    w.block(1);
    w.op(Op.drop);
    w.op(Op.drop);
    w.localGet(1);
    w.localGet(0);
    w.br(0);
    w.end();
  }],
  "loop": [[], [externref], (w) => {
    w.loop(externref);
    w.refNull(externref);
    w.end();
  }],
  "if": [[i32], [], (w) => {
    w.localGet(0);
    w.if();
    w.op(Op.nop);
    w.end();
  }],
  "else": [[i32], [i64], (w) => {
    w.localGet(0);
    w.if(i64);
    w.i64Const(1);
    w.else();
    w.i64Const(2);
    w.end();
  }],
  "end": [[], [], (w) => {
    w.block();
    w.end();
  }],
  "br": [[], [], (w) => w.br(0)],
  "br_if": [[i32], [], (w) => {
    w.block();
    w.localGet(0);
    w.brIf(0);
    w.end();
  }],
  "br_table": [[i32], [], (w) => {
    w.block();
    w.block();
    w.localGet(0);
    w.brTable([1, 0, 2, 0], 1);
    w.end();
    w.end();
  }],
  "return": [[], [i32], (w) => {
    w.i32Const(0);
    w.op(Op.return);
  }],
  "call": [[], [], (w) => w.call(0)],
  "call_indirect": [[i64, f64, i32], [f64, i64], (w) => {
    for (let i = 0; i < 3; i++) w.localGet(i);
    w.callIndirect(1, 0);
  }],
  "return_call": [[], [], (w) => w.returnCall(0)],
  "return_call_indirect": [[i64, f64, i32], [f64, i64], (w) => {
    for (let i = 0; i < 3; i++) w.localGet(i);
    w.returnCallIndirect(1);
  }],
  "call_ref": [[refNull(0)], [], (w) => {
    w.localGet(0);
    w.callRef(0);
  }],
  "return_call_ref": [[refNull(0)], [], (w) => {
    w.localGet(0);
    w.returnCallRef(0);
  }],
  "drop": [[externref], [], (w) => {
    w.localGet(0);
    w.op(Op.drop);
  }],
  "select": [[f64, f64, i32], [f64], (w) => {
    for (let i = 0; i < 3; i++) w.localGet(i);
    w.op(Op.select);
  }],
  "select_t": [[externref, externref, i32], [externref], (w) => {
    for (let i = 0; i < 3; i++) w.localGet(i);
    w.selectOf(externref);
  }],
  "local.get": [[f64], [f64], (w) => w.localGet(0)],
  "local.set": [[f64], [], (w) => {
    const local = w.local(f64);
    w.localGet(0);
    w.localSet(local);
  }],
  "local.tee": [[f64], [f64], (w) => {
    const local = w.local(f64);
    w.localGet(0);
    w.localTee(local);
  }],
  "global.get": [[], [i64], (w) => w.globalGet(0)],
  "global.set": [[i64], [], (w) => {
    w.localGet(0);
    w.globalSet(0);
  }],
  "table.get": [[i32], [externref], (w) => {
    w.localGet(0);
    w.tableGet(1);
  }],
  "table.set": [[i32, externref], [], (w) => {
    w.localGet(0);
    w.localGet(1);
    w.tableSet(1);
  }],
  "table.grow": [[externref, i32], [i32], (w) => {
    w.localGet(0);
    w.localGet(1);
    w.tableGrow(1);
  }],
  "table.fill": [[i32, externref, i32], [], (w) => {
    for (let i = 0; i < 3; i++) w.localGet(i);
    w.tableFill(1);
  }],
  "ref.null": [[], [refNull(1)], (w) => w.refNull(refNull(1))],
  "ref.is_null": [[funcref], [i32], (w) => {
    w.localGet(0);
    w.op(Op.ref_is_null);
  }],
  "ref.func": [[], [funcref], (w) => w.refFunc(0)],
};

/** A module with function 1 that uses the instruction, and the function's body. `results` replaces its results. */
export function sample(
  info: OpInfo,
  results?: readonly number[],
): { bytes: Uint8Array<ArrayBuffer>; body: Uint8Array<ArrayBuffer>; results: readonly number[] } {
  const m = environment();
  const w = new BodyWriter();
  const context = CONTEXT[info.name];
  const types = context
    ? { params: context[0], results: context[1] }
    : info.signature === "?"
    ? undefined
    : typesOf(info.signature);
  if (types === undefined) throw new Error(`There is no sample of ${info.name}`);
  w.start(types.params.length);
  if (context) context[2](w);
  else {
    for (let i = 0; i < types.params.length; i++) w.localGet(i);
    emit(w, info);
  }
  m.func(m.type(types.params, results ?? types.results), w);
  return { bytes: m.finish(), body: w.finish(), results: types.results };
}
