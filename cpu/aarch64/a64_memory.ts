/**
 * Loads and stores of general-purpose registers: all addressing modes, pairs, literals, prefetches.
 *
 * Source: Arm Architecture Reference Manual (DDI 0487), C4.1.94 "Loads and Stores".
 *
 * @module
 */
import { extended } from "./a64_data.ts";
import { type A64Row, type Fields, type Lifter, Op, row, type Value } from "./lifter.ts";

/** An access: name, `size` and `opc` bits, log2 of its bytes, whether the register is written as X. */
interface Access {
  name: string;
  size: string;
  opc: string;
  log2: number;
  wide: boolean;
  run(c: Lifter, rt: number, base: Value, offset: number): void;
}

const loadOf =
  (op: number, narrow: boolean) => (c: Lifter, rt: number, base: Value, at: number) => {
    const value = c.b.load(op, base, at);
    c.setX(rt, narrow ? c.b.zext32(value) : value);
  };
const storeOf = (op: number) => (c: Lifter, rt: number, base: Value, at: number) =>
  c.b.store(op, base, at, c.x(rt));

function access(
  name: string,
  bits: string,
  log2: number,
  wide: boolean,
  run: Access["run"],
): Access {
  const [size, opc] = bits.split(" ");
  return { name, size, opc, log2, wide, run };
}

const ACCESSES: readonly Access[] = [
  access("strb", "00 00", 0, false, storeOf(Op.st8)),
  access("ldrb", "00 01", 0, false, loadOf(Op.ldU8, false)),
  access("ldrsb", "00 10", 0, true, loadOf(Op.ldS8, false)),
  access("ldrsb", "00 11", 0, false, loadOf(Op.ldS8, true)),
  access("strh", "01 00", 1, false, storeOf(Op.st16)),
  access("ldrh", "01 01", 1, false, loadOf(Op.ldU16, false)),
  access("ldrsh", "01 10", 1, true, loadOf(Op.ldS16, false)),
  access("ldrsh", "01 11", 1, false, loadOf(Op.ldS16, true)),
  access("str", "10 00", 2, false, storeOf(Op.st32)),
  access("ldr", "10 01", 2, false, loadOf(Op.ldU32, false)),
  access("ldrsw", "10 10", 2, true, loadOf(Op.ldS32, false)),
  access("str", "11 00", 3, true, storeOf(Op.st64)),
  access("ldr", "11 01", 3, true, loadOf(Op.ld64, false)),
];

function singleRows(): A64Row[] {
  return ACCESSES.flatMap(({ name, size, opc, log2, wide, run }) => {
    const start = `${size} 111 0 0`, rt = wide ? "{rt64}" : "{rt32}";
    const unscaled = (each: string, kind: string) =>
      row(each, `${start}0 ${opc} 0 imm9 ${kind} rn rt`, `${rt}, {offset9}`, (c, f) => {
        run(c, f.rt, c.xsp(f.rn), f.imm9);
      });
    const stem = name.replace(/^(ld|st)r/, "");
    const writeBack = (kind: string, before: boolean) =>
      row(
        name,
        `${start}0 ${opc} 0 imm9 ${kind} rn rt`,
        `${rt}, ${before ? "{pre9}" : "{post9}"}`,
        (c, f) => {
          const base = c.xsp(f.rn);
          run(c, f.rt, base, before ? f.imm9 : 0);
          c.setXsp(f.rn, c.b.add(base, c.b.imm(f.imm9)));
        },
      );
    return [
      row(name, `${start}1 ${opc} imm12 rn rt`, `${rt}, {offset12:${log2}}`, (c, f) => {
        run(c, f.rt, c.xsp(f.rn), f.imm12 << log2);
      }),
      unscaled(`${name.slice(0, 2)}ur${stem}`, "00"),
      unscaled(`${name.slice(0, 2)}tr${stem}`, "10"),
      writeBack("01", false),
      writeBack("11", true),
      row(name, `${start}0 ${opc} 1 rm option s 10 rn rt`, `${rt}, {index:${log2}}`, (c, f) => {
        const index = extended(c, c.x(f.rm), f.option, f.s ? log2 : 0);
        run(c, f.rt, c.b.add(c.xsp(f.rn), index), 0);
      }, (f) => (f.option & 2) !== 0),
    ];
  });
}

function pairRows(): A64Row[] {
  const PAIRS: [name: string, opc: string, l: string, log2: number, run: Access["run"]][] = [
    ["stp", "00", "0", 2, storeOf(Op.st32)],
    ["ldp", "00", "1", 2, loadOf(Op.ldU32, false)],
    ["ldpsw", "01", "1", 2, loadOf(Op.ldS32, false)],
    ["stp", "10", "0", 3, storeOf(Op.st64)],
    ["ldp", "10", "1", 3, loadOf(Op.ld64, false)],
  ];
  const MODES: [bits: string, asm: string, before: boolean, writes: boolean][] = [
    ["00", "offset7", true, false],
    ["01", "post7", false, true],
    ["10", "offset7", true, false],
    ["11", "pre7", true, true],
  ];
  return PAIRS.flatMap(([name, opc, l, log2, run]) =>
    MODES.filter(([bits]) => name !== "ldpsw" || bits !== "00").map(
      ([bits, asm, before, writes]) => {
        const wide = opc !== "00" ? "64" : "32";
        return row(
          bits === "00" ? name.replace("p", "np") : name,
          `${opc} 101 0 0 ${bits} ${l} imm7 rt2 rn rt`,
          `{rt${wide}}, {rt2${wide}}, {${asm}:${log2}}`,
          (c, f) => {
            const base = c.xsp(f.rn), offset = f.imm7 * 2 ** log2, at = before ? offset : 0;
            run(c, f.rt, base, at);
            run(c, f.rt2, base, at + 2 ** log2);
            if (writes) c.setXsp(f.rn, c.b.add(base, c.b.imm(offset)));
          },
        );
      },
    )
  );
}

function literalRows(): A64Row[] {
  const LITERALS = [["ldr", "00", Op.ldU32, "32"], ["ldr", "01", Op.ld64, "64"], [
    "ldrsw",
    "10",
    Op.ldS32,
    "64",
  ]] as const;
  return LITERALS.map(([name, opc, op, width]) =>
    row(name, `${opc} 011 0 00 imm19 rt`, `{rt${width}}, {target19}`, (c, f: Fields) => {
      c.setX(f.rt, c.b.load(op, c.b.imm(c.pc + 4 * f.imm19), 0));
    })
  );
}

function prefetchRows(): A64Row[] {
  const nothing = (c: Lifter) => c.b.state(Op.nop);
  return [
    row("prfm", "11 111 0 01 10 imm12 rn prfop", "{prfop}, {offset12:3}", nothing),
    row("prfum", "11 111 0 00 10 0 imm9 00 rn prfop", "{prfop}, {offset9}", nothing),
    row(
      "prfm",
      "11 111 0 00 10 1 rm option s 10 rn prfop",
      "{prfop}, {index:3}",
      nothing,
      (f) => (f.option & 2) !== 0,
    ),
    row("prfm", "11 011 0 00 imm19 prfop", "{prfop}, {target19}", nothing),
  ];
}

/** The rows. */
export const A64_MEMORY = (): A64Row[] => [
  ...singleRows(),
  ...pairRows(),
  ...literalRows(),
  ...prefetchRows(),
];
