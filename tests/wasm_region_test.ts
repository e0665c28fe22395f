/**
 * Regions: their graphs against slow definitions, and the WebAssembly text of a few against tests/golden.
 *
 * After a change of the emitter that is meant: `deno test -A tests/wasm_region_test.ts -- --update`.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Cpu } from "../cpu/engine/cpu.ts";
import { formRegion, MAX_REGION_DEPTH } from "../cpu/engine/region/form_region.ts";
import { MAX_REGION_INSNS } from "../cpu/engine/region/gather.ts";
import {
  COMPUTED_TARGET,
  dominates,
  Ending,
  type Region,
  type RegionBlock,
} from "../cpu/engine/region/region.ts";
import { Builder, type IrBlock, type PassOptions } from "../cpu/ir/builder.ts";
import { Op, Trap } from "../cpu/ir/ops.ts";
import { type EmitLayout, FAR_EXIT } from "../cpu/wasm/body.ts";
import { Emitter, functionType } from "../cpu/wasm/emitter.ts";
import { type Helper, HELPERS } from "../cpu/wasm/helpers.ts";
import { ModuleWriter, ValType } from "../cpu/wasm/encoder.ts";
import { printFunction, readBody } from "../cpu/wasm/encoder/text.ts";
import { listRegion } from "../cpu/wasm/listing.ts";
import { AddressSpace } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import { tablesOf } from "./fuzz/encode.ts";
import { Random } from "./fuzz/random.ts";
import { assemble, Pair } from "./wasm_fuzz.ts";

const BASE = 0x1000, SIZE = 4;
const pcOf = (node: number) => BASE + SIZE * node;
const nodeOf = (pc: number) => (pc - BASE) / SIZE;

/** A graph: the successors of each node, at most two. Those beyond the last node leave. */
type Graph = readonly (readonly number[])[];

/** Makes a block of one instruction for a node: a trap, a jump or a branch. */
function lifter(graph: Graph, passes?: PassOptions): (pc: number) => IrBlock | undefined {
  const b = new Builder(passes);
  return (pc) => {
    const to = graph[nodeOf(pc)];
    if (to === undefined) return undefined;
    b.start(pc);
    b.begin(pc);
    if (to.length === 0) b.trap(Trap.SYSCALL, SIZE);
    else if (to.length === 1) b.jump(pcOf(to[0]));
    else b.branch(Op.brLt, b.read(1), b.read(2), pcOf(to[0]), pcOf(to[1]));
    return b.finish(SIZE);
  };
}

const form = (graph: Graph) => formRegion(BASE, lifter(graph))!;
const node = (block: RegionBlock) => nodeOf(block.ir.pc);

/** Nodes reachable from the entry without going through `without`. */
function reach(edges: ReadonlyMap<number, readonly number[]>, without = -1): Set<number> {
  const seen = new Set<number>(), todo = without === 0 ? [] : [0];
  for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
    if (seen.has(at)) continue;
    seen.add(at);
    todo.push(...(edges.get(at) ?? []).filter((to) => to !== without));
  }
  return seen;
}

/** Whether a graph is reducible: a depth-first search only goes back to what dominates. By T1 and T2. */
function isReducible(edges: ReadonlyMap<number, readonly number[]>): boolean {
  const nodes = reach(edges);
  const left = new Map([...nodes].map((n) => [n, new Set(edges.get(n))]));
  for (let changed = true; changed;) {
    changed = false;
    for (const [n, to] of left) {
      // T1: an edge to itself goes.
      to.delete(n);
      // T2: a node with one predecessor becomes part of it.
      const from = [...left].filter(([, targets]) => targets.has(n));
      if (n === 0 || from.length !== 1) continue;
      from[0][1].delete(n);
      for (const target of to) from[0][1].add(target);
      left.delete(n);
      changed = true;
    }
  }
  return left.size === 1;
}

const isDispatcher = ({ ending }: RegionBlock) => ending === Ending.DISPATCH;

/** Where a block's edge leads in the end. */
function through(block: RegionBlock, i: number): RegionBlock | undefined {
  let to = block.successors[i];
  while (to && isDispatcher(to)) to = to.successors[to.targets.indexOf(block.targets[i])];
  return to;
}

/** Checks all that a region says of its blocks against the definitions. */
function verifyRegion(region: Region, graph: Graph): void {
  const { blocks } = region;
  const own = blocks.filter((block) => !isDispatcher(block));
  const whole = new Map(graph.map((to, n) => [n, to.filter((t) => t < graph.length)]));
  assertEquals(node(blocks[0]), 0);
  assertEquals(new Set(own.map(node)), reach(whole), "nothing is cut off");
  assertEquals(own.length, new Set(own).size);
  assertEquals(region.code, own.map(({ ir }) => ir));
  assertEquals(region.count, own.length);
  for (const block of own) {
    assertEquals(block.targets.map(nodeOf), graph[node(block)]);
    const to = block.targets.map((_, i) => through(block, i)).filter((to) => to !== undefined);
    assertEquals(to.map(node), whole.get(node(block)), `edges of ${node(block)}`);
  }
  assertEquals(own.length < blocks.length, !isReducible(whole), "dispatchers are there if needed");
  const edges = new Map(blocks.map((block) => [
    block.index,
    block.successors.filter((to) => to !== undefined).map((to) => to.index),
  ]));
  assertEquals(new Set(blocks.map(({ index }) => index)), reach(edges), "every block is reachable");
  assert(isReducible(edges), "the region is reducible");
  for (const [index, block] of blocks.entries()) {
    assertEquals(block.index, index);
    // a dominates b if there is no way to b without a.
    const dominators = blocks.filter((other) =>
      other === block || !reach(edges, other.index).has(index)
    );
    for (const other of blocks) {
      assertEquals(dominates(other, block), dominators.includes(other));
    }
    const strict = dominators.filter((other) => other !== block);
    const immediate = strict.find((one) => strict.every((other) => dominates(other, one)));
    assertEquals(block.dominator, immediate ?? block);
    const incoming = blocks.flatMap((from) =>
      from.successors.filter((to) => to === block).map(() => from)
    );
    const back = incoming.filter((from) => dominates(block, from));
    assertEquals(block.loop, back.length > 0, `loop at ${index}`);
    assertEquals(block.merge, incoming.length - back.length > 1, `merge at ${index}`);
    // In reverse postorder, only back edges go back.
    for (const from of incoming) assertEquals(from.index >= index, back.includes(from));
    assertEquals(
      block.children,
      blocks.filter((other) => other !== blocks[0] && other.dominator === block),
    );
  }
}

const HELPER_NAMES = Object.keys(HELPERS) as Helper[];

/** Offsets and indices that do not change with the arena, so that goldens last. */
const layoutFor = (exits: string[]): EmitLayout => ({
  pages: 0x1_0000,
  guest: 0x400_0000,
  fuel: 0xff54,
  exitPc: 0xff68,
  targets: 0x13_0000,
  targetEntries: 4096,
  step: 0,
  backdoor: 1,
  type: 1,
  fused: true,
  callee: (pc) => ({ table: pc & 0xff }),
  extent: () => 0x13_8010,
  helper: (name) => HELPER_NAMES.indexOf(name) + 2,
  codeIndex: (block) => 1000 * block.index,
  exit: (pc, refund, reason) =>
    FAR_EXIT - exits.push(`${pc.toString(16)}, ${refund} not executed: ${reason}`),
});

/** The module of a region, and its function's text. */
function emit(region: Region): { module: Uint8Array<ArrayBuffer>; text: string } {
  const m = new ModuleWriter();
  const { params, results } = functionType(false), exits: string[] = [];
  const type32 = m.type([ValType.i32], [ValType.i32]), type = m.type(params, results);
  m.importFunction("e", "s", type32);
  m.importFunction("e", "b", type32);
  for (const name of HELPER_NAMES) {
    m.importFunction("e", name, m.type(HELPERS[name].params, HELPERS[name].results));
  }
  m.importMemory("e", "m", 1, 65536);
  m.importTable("e", "t", ValType.funcref, 0);
  const body = new Emitter(region, layoutFor(exits)).emit();
  const text = printFunction(body.finish(), {
    name: `region_${region.pc.toString(16)}`,
    params,
    results,
    locals: body.localNames,
    functions: new Map([
      [0, "step"],
      [1, "backdoor"],
      ...HELPER_NAMES.map((name, i): [number, string] => [i + 2, name]),
    ]),
  });
  m.exportFunction("f", m.func(type, body));
  const list = exits.map((exit, i) => `;; exit ${FAR_EXIT - 1 - i}: ${exit}\n`).join("");
  return { module: m.finish(), text: `${text}\n${list}` };
}

function assertValid(region: Region): void {
  assert(WebAssembly.validate(emit(region).module));
}

const GRAPHS: Record<string, Graph> = {
  "one block": [[]],
  "a block that is its own successor": [[0]],
  "a branch with equal targets": [[1, 1], []],
  "a diamond": [[1, 2], [3], [3], []],
  "a diamond in a loop": [[1, 2], [3], [3], [0, 4], []],
  "nested loops": [[1], [2], [2, 3], [1, 4], [0, 5], []],
  "a loop with two back edges": [[1], [2, 3], [1], [1, 4], []],
  "a loop with two exits": [[1, 3], [2, 3], [0], []],
  "a merge that is a loop": [[1, 2], [3], [3], [3, 4], []],
  "two entries of a loop": [[1, 2], [2, 3], [1], []],
  "a loop into the middle of another": [[1, 3], [2], [3], [4, 1], [2, 5], []],
  "three ways into a ring": [[1, 4], [2], [3], [1, 5], [2, 3], []],
  "what leaves": [[1, 9], [0, 8], []],
};

for (const [name, graph] of Object.entries(GRAPHS)) {
  Deno.test(`formRegion follows the definitions when the graph is ${name}`, () => {
    const region = form(graph);
    verifyRegion(region, graph);
    assertValid(region);
  });
}

Deno.test("formRegion adds a dispatcher when a loop has two entries", () => {
  const region = form(GRAPHS["two entries of a loop"]);
  const [dispatcher, ...others] = region.blocks.filter(isDispatcher);
  assertEquals(others, []);
  assert(dispatcher.loop);
  assertEquals(dispatcher.successors.map((to) => node(to!)).sort(), [1, 2]);
});

Deno.test("formRegion leaves the region when dispatchers would be too many", () => {
  // Loops of two blocks, each with two entries.
  const graph = Array.from({ length: 20 }, (_, i) => [
    [3 * i + 1, 3 * i + 2],
    [3 * i + 2, 3 * i + 3],
    [3 * i + 1],
  ]).flat();
  const region = form([...graph, []]);
  assertEquals(region.blocks.filter(isDispatcher).length, 16);
  const cut = region.blocks.flatMap((block) => block.successors.filter((to) => to === undefined));
  assertEquals(cut.length, 4);
  assertValid(region);
});

Deno.test("formRegion follows the definitions when graphs are random", () => {
  const random = new Random(20240103);
  let irreducible = 0;
  for (let i = 0; i < 1500; i++) {
    const size = 1 + random.below(i % 10 === 0 ? 40 : 10);
    // Targets near the node make long chains and nested loops; far ones make a mess.
    const near = random.chance(0.5);
    const graph = Array.from(
      { length: size },
      (_, n) =>
        Array.from(
          { length: Math.min(2, random.below(8)) },
          () => near ? Math.max(0, n + random.between(-3, 3)) : random.below(size + 1),
        ),
    );
    verifyRegion(form(graph), graph);
    assertValid(form(graph));
    if (!isReducible(new Map(graph.map((to, n) => [n, to.filter((t) => t < size)])))) irreducible++;
  }
  assert(irreducible > 100, `${irreducible} irreducible`);
});

Deno.test("formRegion is undefined when nothing can be fetched", () => {
  assertEquals(formRegion(BASE, lifter([])), undefined);
});

Deno.test("formRegion stops at its limit when the guest's code is longer", () => {
  // All ways through the first leave at once; the dominator tree is flat.
  const wide = Array.from({ length: 5000 }, (_, n) => [2 * n + 1, 2 * n + 2]);
  const region = form(wide);
  assertEquals(region.count, MAX_REGION_INSNS);
  assertEquals(region.blocks.at(-1)!.successors, [undefined, undefined]);
  assertValid(region);
  const chain = form(Array.from({ length: 5000 }, (_, n) => [n + 1]));
  assertEquals(chain.count, MAX_REGION_DEPTH + 1);
  assertEquals(chain.blocks.at(-1)!.successors, [undefined]);
  assertValid(chain);
});

Deno.test("Emitter makes a valid function when a region is as deep as can be", () => {
  const n = MAX_REGION_INSNS;
  // Branches to one end, branches to ends of their own, and a ladder of merges.
  const shapes: [depth: number, Graph][] = [
    [MAX_REGION_DEPTH, Array.from({ length: n }, (_, i) => i === n - 1 ? [] : [n - 1, i + 1])],
    [MAX_REGION_DEPTH, Array.from({ length: n }, (_, i) => [i + 1, 0])],
    [1, Array.from({ length: n }, (_, i) => [i + 1, i + 2])],
  ];
  for (const [depth, graph] of shapes) {
    const region = form(graph);
    assert(region.count > MAX_REGION_DEPTH);
    const depths = new Map([[region.blocks[0], 0]]);
    for (const block of region.blocks.slice(1)) {
      depths.set(block, depths.get(block.dominator)! + 1);
    }
    assertEquals(Math.max(...depths.values()), depth);
    assertValid(region);
  }
});

let framesLeft = 0;

/** Calls a function with `frames` frames of the host around it. */
function deep<T>(frames: number, call: () => T): T {
  framesLeft = frames;
  return frames > 0 ? deep(frames - 1, call) : call();
}

Deno.test("Emitter makes a region's function when the host's stack is half full", () => {
  const graph = Array.from({ length: MAX_REGION_INSNS }, (_, i) => [i + 1, 0]);
  const many = 1_000_000;
  assertThrows(() => deep(many, () => {}), RangeError);
  const room = many - framesLeft;
  const region = form(graph);
  assertEquals(deep(room >> 1, () => emit(region)).text, emit(region).text);
});

// ---- random control flow, executed ----

/** Code whose blocks mix a register and go to random others until a counter is 0. */
function maze(random: Random, blocks: number): string {
  const lines = ["li rd=5 imm=20000", "addi rd=10 imm=1", "li rd=9 imm=0x5deece6d"];
  const any = () => random.below(blocks);
  for (let i = 0; i < blocks; i++) {
    lines.push(`b${i}:`, "addi rd=5 rs1=5 imm=-1", "bge rs1=0 rs2=5 @end");
    lines.push("mul rd=10 rs1=10 rs2=9", `addi rd=10 rs1=10 imm=${random.between(1, 2047)}`);
    lines.push(`srli rd=6 rs1=10 shamt=${random.between(8, 28)}`, "andi rd=6 rs1=6 imm=3");
    switch (random.below(6)) {
      case 0:
        lines.push(`jal rd=0 @b${any()}`);
        break;
      case 1:
        lines.push(`jal rd=1 @f${random.below(4)}`);
        break;
      case 2:
        lines.push(`la rd=7 @b${any()}`, "beq rs1=6 rs2=0 @t" + i, "jalr rs1=7", `t${i}:`);
        break;
      default:
        lines.push(`beq rs1=6 rs2=0 @b${any()}`, `bne rs1=6 rs2=5 @b${any()}`);
    }
  }
  lines.push("end:", "ecall");
  for (let i = 0; i < 4; i++) {
    lines.push(`f${i}:`, `addi rd=11 rs1=11 imm=${i + 1}`);
    lines.push("andi rd=7 rs1=10 imm=16", `bne rs1=7 rs2=0 @g${i}`, `jal rd=0 @b${any()}`);
    lines.push(`g${i}:`, "jalr rs1=1");
  }
  return lines.join("\n");
}

Deno.test("Regions execute random control flow as the interpreter does", () => {
  const random = new Random(20240104), pair = new Pair(64);
  let executed = 0, compiled = 0;
  for (let i = 0; i < 60; i++) {
    const code = assemble(64, 0x1_0000, maze(random, random.between(2, 30))).bytes;
    for (const way of [{}, { slices: new Random(i), exact: i % 2 === 0 }]) {
      pair.reset(way);
      pair.both((cpu, space) => {
        space.map(0x1_0000, 0x2000, 7);
        space.write(0x1_0000, code);
        cpu.pc = 0x1_0000;
      });
      assertEquals(pair.go(way), { reason: Trap.SYSCALL, lines: [] }, `maze ${i}`);
      executed += pair.compiled.instructions;
      compiled += pair.compiled.tierInstructions;
    }
  }
  assert(compiled > executed / 2, `compiled code executed ${compiled} of ${executed}`);
});

// ---- goldens ----

const GOLDENS: Record<string, string> = {
  loop: `
    ld rd=5 rs1=10
    addi rd=10 rs1=10 imm=8
    mulhu rd=6 rs1=5 rs2=12
    add rd=11 rs1=11 rs2=6
    sb rs1=13 rs2=11 imm=3
    bne rs1=10 rs2=14 @start
    ecall
  `,
  call: `
    beq rs1=10 rs2=0 @skip
    jal rd=1 @away
    jalr rd=1 rs1=11
  skip:
    divw rd=10 rs1=10 rs2=12
    div rd=12 rs1=10 rs2=12
    jalr rs1=1
  away:
    jalr rs1=12
  `,
  double: `
    fld rd=1 rs1=10
    fmul.d rd=2 rs1=1 rs2=3 rm=7
    fadd.d rd=4 rs1=4 rs2=2 rm=7
    flt.d rd=6 rs1=4 rs2=5
    addi rd=10 rs1=10 imm=8
    csrrs rd=7 csr=0xc02
    bne rs1=6 rs2=0 @start
    jal rd=0 imm=-131072
  `,
  dispatch: `
    beq rs1=10 rs2=0 @second
  first:
    addi rd=11 rs1=11 imm=3
    beq rs1=11 rs2=12 @out
  second:
    addi rd=11 rs1=11 imm=5
    bne rs1=11 rs2=13 @first
  out:
    jalr rs1=1
  `,
  float: `
    flw rd=1 rs1=10
    fmadd.s rd=2 rs1=1 rs2=1 rs3=2 rm=7
    fcvt.w.s rd=5 rs1=2 rm=1
    fsw rs1=10 rs2=2 imm=4
    amoadd.w rd=6 rs1=11 rs2=5
    ecall
  `,
  backdoor: `
    addi rd=10 rs1=10 imm=1
    trapdoor
    bne rs1=10 rs2=11 @start
    jalr rs1=1
  `,
};

for (const [name, source] of Object.entries(GOLDENS)) {
  Deno.test(`Emitter writes the golden text when the region is "${name}"`, () => {
    const space = new AddressSpace(new Arena(1 << 20));
    space.map(0x1_0000, 0x1000, 7);
    space.write(0x1_0000, assemble(64, 0x1_0000, `start:\n${source}`).bytes);
    const cpu = new Cpu(tablesOf(64).isa, space);
    const { module, text } = emit(formRegion(0x1_0000, (pc) => cpu.lift(pc))!);
    assert(WebAssembly.validate(module));
    const path = new URL(`golden/${name}.wat`, import.meta.url);
    if (Deno.args.includes("--update")) {
      Deno.mkdirSync(new URL("golden/", import.meta.url), { recursive: true });
      Deno.writeTextFileSync(path, text);
    }
    assertEquals(text, Deno.readTextFileSync(path));
  });
}

Deno.test("listRegion writes the golden listing when a region has a loop, floats and exits", () => {
  const space = new AddressSpace(new Arena(1 << 20));
  space.map(0x1_0000, 0x1000, 7);
  space.write(0x1_0000, assemble(64, 0x1_0000, `start:\n${GOLDENS.double}`).bytes);
  const cpu = new Cpu(tablesOf(64).isa, space), exits: string[] = [];
  const region = formRegion(0x1_0000, (pc, limit) => cpu.lift(pc, limit))!;
  const emitter = new Emitter(region, layoutFor(exits));
  emitter.marks = [];
  const body = emitter.emit();
  const text = listRegion({
    region,
    body: body.finish(),
    marks: emitter.marks,
    names: { locals: body.localNames, functions: new Map([[0, "step"]]) },
    exits: [{ number: -2, pc: 0x1_0000, refund: 7, reason: "memory" }],
    disassemble: (pc) => cpu.disassemble(pc).text,
  });
  // Every instruction of the function is there once, whatever the columns.
  const wasm = text.split("\n").map((line) => line.slice(80).trim()).filter((part) => part !== "");
  const names = { locals: body.localNames, functions: new Map([[0, "step"]]) };
  const lines = readBody(body.finish(), names).lines.map((line) => line.text);
  assertEquals(wasm.filter((part) => lines.includes(part)).length, lines.length);
  const path = new URL("golden/double.txt", import.meta.url);
  if (Deno.args.includes("--update")) Deno.writeTextFileSync(path, text);
  assertEquals(text, Deno.readTextFileSync(path));
});

Deno.test("formRegion leads computed jumps to the known targets from which there is a way back", () => {
  const space = new AddressSpace(new Arena(1 << 20));
  space.map(0x1_0000, 0x1000, 7);
  const source = `
    jalr rs1=12
    addi rd=10 rs1=10 imm=1
    jal rd=0 imm=-8
    addi rd=10 rs1=10 imm=1
    jalr rs1=1
    ld rd=12 rs1=10
    beq rs1=12 rs2=0 imm=-24
  `;
  space.write(0x1_0000, assemble(64, 0x1_0000, source).bytes);
  const cpu = new Cpu(tablesOf(64).isa, space);
  const known = [0x1_0014, 0x1_0004, 0x1_000c, 0x1_0014, 0x1_0800];
  const asked: number[] = [];
  const jumps = (low: number, high: number) => {
    asked.push(low, high);
    return known;
  };
  const region = formRegion(0x1_0000, (pc, limit) => cpu.lift(pc, limit), { jumps })!;
  // A switch has an entry for each even address: V8 takes 65,520.
  assertEquals(asked, [0x1_0000 - 0x4000, 0x1_0000 + 0x4000]);
  const [meeting, ...others] = region.blocks.filter(({ ending }) => ending === Ending.SWITCH);
  assertEquals(others, []);
  assertEquals(meeting.targets, [0x1_0004, 0x1_0014]);
  assertEquals(meeting.successors.map((to) => to!.ir.pc), [...meeting.targets]);
  const [entry] = region.blocks;
  assertEquals([entry.ending, entry.targets], [Ending.COMPUTED, [COMPUTED_TARGET]]);
  assertEquals(entry.successors, [meeting]);
  assertValid(region);
});

Deno.test("formRegion tells calls from jumps when the instruction set hints", () => {
  const space = new AddressSpace(new Arena(1 << 20));
  space.map(0x1_0000, 0x1000, 7);
  space.write(0x1_0000, assemble(64, 0x1_0000, `start:\n${GOLDENS.call}`).bytes);
  const cpu = new Cpu(tablesOf(64).isa, space);
  const { blocks } = formRegion(0x1_0000, (pc) => cpu.lift(pc))!;
  const endings = Object.fromEntries(blocks.map(({ ir, ending }) => [ir.pc - 0x1_0000, ending]));
  assertEquals(endings, {
    0: Ending.BRANCH,
    4: Ending.CALL,
    8: Ending.CALL_INDIRECT,
    12: Ending.INDIRECT,
  });
  assertEquals(blocks.find(({ ending }) => ending === Ending.CALL)!.callee, 0x1_0018);
});
