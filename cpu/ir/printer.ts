/**
 * Text of a block, for dumps and tests: one line a record, and a comment where a guest instruction begins.
 *
 * @module
 */
import type { IrBlock } from "./builder.ts";
import { Amo, Effect, Fp, JumpHint, Op, type OpInfo, OPS, Slot, Trap, WORDS } from "./ops.ts";

const ROUNDING = ["rne", "rtz", "rdn", "rup", "rmm", "rm5", "rm6", "dyn"];
const nameIn = (table: Readonly<Record<string, number>>, value: number) =>
  Object.keys(table).find((key) => table[key] === value)?.toLowerCase() ?? String(value);

/** Name of a slot that is not guest state: `%n` for temporaries, the names in `Slot`, else `s` and its number. */
export function slotName(slot: number): string {
  if (slot >= Slot.TEMP && slot < Slot.FP_FLAGS) return `%${slot - Slot.TEMP}`;
  return Object.values<number>(Slot).includes(slot) ? nameIn(Slot, slot) : `s${slot}`;
}

const hex = (value: bigint) => `0x${BigInt.asUintN(64, value).toString(16)}`;

function immediate(lo: number, hi: number): bigint {
  return BigInt(hi) << 32n | BigInt(lo >>> 0);
}

/** Small numbers in decimal, others in hexadecimal. */
function number(value: bigint): string {
  return value >= -4096n && value <= 4096n ? String(value) : hex(value);
}

function modifier(info: OpInfo, j: number): string {
  if (info.name.startsWith("amo")) return nameIn(Amo, j);
  if (info.effect !== Effect.FLOAT) return number(BigInt(j));
  const flags = [
    ROUNDING[j & Fp.RM],
    j & Fp.BOXED ? "boxed" : "",
    j & Fp.NEG_PRODUCT ? "-product" : "",
    j & Fp.NEG_ADDEND ? "-addend" : "",
    j & Fp.SATURATION ? "saturation" : "",
    j & Fp.LOW ? "low" : "",
    j & Fp.FIRST ? "first" : "",
    j & Fp.EXACT ? "exact" : "",
    j & Fp.ODD ? "odd" : "",
    j >> 16 !== 0 ? `fraction ${j >> 16}` : "",
  ];
  return flags.filter((flag) => flag !== "").join(" ");
}

function hint(kind: number): string {
  return kind === JumpHint.NONE ? "" : `, ${nameIn(JumpHint, kind)}`;
}

/** Text of the record at word index `at`, without line feed. */
export function printRecord(
  code: Int32Array,
  at: number,
  name: (slot: number) => string = slotName,
): string {
  const [op, d, a, b, c, j] = code.subarray(at, at + WORDS);
  const info = OPS[op];
  if (info === undefined) return `op ${op}`;
  const pc = hex(immediate(c, j));
  if (op === Op.trap) return `trap ${nameIn(Trap, a)} at ${pc}, length ${b}`;
  if (op === Op.link) return `link ${pc}${a < 0 ? "" : `, patches @${a}`}`;
  if (op === Op.goto) return `goto @${b}, at ${pc}`;
  if (op === Op.jump) return `jump @${c}${hint(j)}`;
  if (op === Op.jumpInd) return `jumpInd ${name(a)}, ${number(immediate(c, j))}${hint(b)}`;
  const ends = info.effect === Effect.END;
  const words = info.fields.split(" ").filter((field) => !["", "d", "D"].includes(field));
  const pair = (slot: number) => `${name(slot)}:${name(slot + 1)}`;
  const operands = words.map((field) => {
    if (field === "a") return name(a);
    if (field === "b") return name(b);
    if (field === "A") return pair(a);
    if (field === "B") return pair(b);
    if (field === "C") return pair(c);
    if (field === "i") return number(immediate(c, j));
    if (field === "c") return ends ? `@${c}` : name(c);
    return ends ? `@${j}` : modifier(info, j);
  });
  const target = info.fields.startsWith("D")
    ? `${pair(d)} = `
    : info.fields.startsWith("d") && !ends
    ? `${name(d)} = `
    : "";
  return `${target}${info.name} ${operands.join(", ")}`.trimEnd();
}

/**
 * Text of a block, with a line feed after every line. Code indices are written `@n`.
 *
 * @param name Names slots; guest registers by their ISA, others with {@linkcode slotName}.
 */
export function printBlock(block: IrBlock, name: (slot: number) => string = slotName): string {
  const { code, insns, pcs } = block;
  const width = String(code.length - WORDS).length;
  const lines: string[] = [];
  let insn = -1;
  for (let at = 0; at < code.length; at += WORDS) {
    // Links belong to no instruction of their own; an instruction without records still gets its comment.
    const until = code[at] === Op.link ? pcs.length - 1 : insns[at / WORDS];
    while (insn < until) lines.push(`; ${hex(BigInt(pcs[++insn]))}`);
    lines.push(`@${String(at).padEnd(width)} ${printRecord(code, at, name)}`);
  }
  return lines.map((line) => line + "\n").join("");
}
