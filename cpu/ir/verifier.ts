/**
 * Checks a finished block against the op table: structure, slots, temporaries and immediates.
 *
 * Meant for tests and for debugging passes and lifters: executors take blocks on trust.
 *
 * @module
 */
import { type IrBlock, MAX_BLOCK_INSNS } from "./builder.ts";
import {
  Amo,
  Effect,
  FIELDS,
  FIRST_VECTOR_OP,
  Fp,
  Op,
  type OpInfo,
  OPS,
  Slot,
  slotsRead,
  slotsWritten,
  Trap,
  WORDS,
} from "./ops.ts";

const FAST_ROUNDING = /^f(add|sub|mul|div)(32|64)$/;
const FUSED = /^fma(32|64)$/;
const SHIFT = /^(shl|shru|shrs|rotr)(32|64)i$/;
/** Ops with an operand or a result in binary32, which may be NaN-boxed. */
const SINGLE = /^f[a-z]+32r?$|F32/;
const LAST_SLOT = Math.max(...Object.values(Slot));
const LAST_TRAP = Math.max(...Object.values(Trap));

const isTemp = (slot: number) => slot >= Slot.TEMP && slot < Slot.FP_FLAGS;

/** The words of a record (1 to 5) that its op does not use. */
const unused = OPS.map((op) => {
  const used = new Set(op.fields.toLowerCase().split(" "));
  return [
    [1, used.has("d")],
    [2, used.has("a")],
    [3, used.has("b")],
    [4, used.has("c") || used.has("i")],
    [5, used.has("j") || used.has("i")],
  ].filter(([, isUsed]) => !isUsed).map(([word]) => word as number);
});

/** What is wrong with the immediates of a record, if anything. */
function immediateProblem(op: OpInfo, c: number, j: number): string | undefined {
  if (op.fields.includes("i") && (op.effect === Effect.LOAD || op.effect === Effect.STORE)) {
    if (op.name === "zero" || op.name === "aligned") {
      return c > 0 && (c & (c - 1)) === 0 && j === 0 ? undefined : "size is not a power of two";
    }
    if (j !== c >> 31 || c < -2048 || c >= 4096) return "offset is not in [-2048, 4096)";
  }
  const shift = SHIFT.exec(op.name);
  if (shift && (j !== 0 || c < 0 || c >= Number(shift[2]))) return "shift count is out of range";
  if (op.name.startsWith("amo") && (j < 0 || j > Amo.MAXU)) return "no such atomic operation";
  if (op.effect !== Effect.FLOAT) return undefined;
  const mode = j & Fp.RM;
  if (mode === 5 || mode === 6) return "reserved rounding mode";
  if (FAST_ROUNDING.test(op.name) && mode !== 0 && mode !== 7) return "static rounding mode";
  if (op.code >= FIRST_VECTOR_OP) return vectorProblem(op, j);
  const flags = Fp.RM | (SINGLE.test(op.name) ? Fp.BOXED : 0) |
    (FUSED.test(op.name) ? Fp.NEG_PRODUCT | Fp.NEG_ADDEND : 0);
  return (j & ~flags) === 0 ? undefined : "flags that the op does not have";
}

/** The same for an op on lanes of floating point, or a saturating one. */
function vectorProblem({ name }: OpInfo, j: number): string | undefined {
  if (!name.startsWith("v")) {
    const scalar = Fp.RM | (name.startsWith("fcmp") ? Fp.SIGNALING : 0) |
      (name.startsWith("frint") ? Fp.EXACT : 0) | (/fix/.test(name) ? 0x7f << 16 : 0);
    return (j & ~scalar) === 0 && j >> 16 <= 64 ? undefined : "flags that the op does not have";
  }
  const float = name.startsWith("vf") || name.startsWith("vcvtf");
  const lane = name.startsWith("vfnarrow") || name.startsWith("vfwiden")
    ? Fp.FIRST
    : Fp.LOW | Fp.FIRST;
  let flags = float ? Fp.RM | lane : Fp.SATURATION;
  if (/^vfma\d/.test(name)) flags |= Fp.NEG_PRODUCT | Fp.NEG_ADDEND;
  if (name.startsWith("vfint")) flags |= Fp.EXACT;
  if (name === "vfnarrow32") flags |= Fp.ODD;
  if (/^v(fcvt|cvtf)/.test(name)) flags |= 0x7f << 16;
  return (j & ~flags) === 0 && j >> 16 <= 64 ? undefined : "flags that the op does not have";
}

/**
 * Everything that is wrong with a block as a builder finishes it, a line each; none for a good one.
 *
 * A good block has one terminator, followed by link records alone, each of them the successor of one field (or of a
 * trap); terminators hold the number of instructions; slots are guest slots, temporaries or those in `Slot`; slot 0 is
 * never written; temporaries are written before they are read, in the same guest instruction; words that an op
 * does not use are 0; immediates are in the ranges the op table states.
 *
 * @param slotCount Number of slots of guest state, as in an ISA's `slotCount`.
 */
export function verify(block: IrBlock, slotCount: number): string[] {
  const { code, insns, pcs, count } = block;
  const problems: string[] = [];
  const records = code.length / WORDS;
  const problem = (at: number, what: string) => {
    const name = OPS[code[at]]?.name ?? `op ${code[at]}`;
    problems.push(`record ${at} (${name}): ${what}`);
  };
  if (!Number.isInteger(records)) return [`${code.length} words are not a number of records`];
  if (insns.length !== records) problems.push(`${insns.length} instruction indices`);
  if (pcs.length !== count) problems.push(`${pcs.length} addresses for ${count} instructions`);
  if (count < 1 || count > MAX_BLOCK_INSNS) problems.push(`${count} instructions`);
  if (pcs[0] !== block.pc) problems.push(`starts at ${pcs[0]}, not at ${block.pc}`);

  const slotProblem = (slot: number) =>
    (slot >= 0 && slot < slotCount) || isTemp(slot) || (slot >= Slot.FP_FLAGS && slot <= LAST_SLOT)
      ? undefined
      : `no slot ${slot}`;
  let written = new Set<number>();
  let insn = 0;
  let terminator = -1;
  for (let at = 0; at < code.length; at += WORDS) {
    const info = OPS[code[at]];
    if (info === undefined) {
      problem(at, "unknown op");
      continue;
    }
    const op = info.code;
    const index = insns[at / WORDS];
    if (index < insn || index >= count) problem(at, `instruction index ${index}`);
    if (index !== insn) written = new Set();
    insn = index;

    if (terminator >= 0 && op !== Op.link) problem(at, "after the terminator");
    if (terminator < 0 && op === Op.link) problem(at, "before the terminator");
    if (op === Op.goto) problem(at, "not in a block that is not yet placed");
    for (const word of unused[op]) {
      if (code[at + word] !== 0) problem(at, `unused word ${word} is ${code[at + word]}`);
    }
    for (const word of FIELDS[op].pairs) {
      if (code[at + word] % 2 !== 0) {
        problem(at, `slot ${code[at + word]} is not the first of a pair`);
      }
    }
    for (const slot of slotsRead(code, at, FIELDS[op])) {
      const wrong = slotProblem(slot);
      if (wrong) problem(at, wrong);
      if (isTemp(slot) && !written.has(slot)) problem(at, `temporary ${slot} has no value yet`);
    }
    for (const slot of slotsWritten(code, at, FIELDS[op])) {
      const wrong = slotProblem(slot);
      if (wrong) problem(at, wrong);
      if (slot === Slot.ZERO && op !== Op.sys) problem(at, "writes slot 0");
      written.add(slot);
    }
    const wrong = immediateProblem(info, code[at + 4], code[at + 5]);
    if (wrong) problem(at, wrong);
    if (info.effect === Effect.END && op !== Op.link && terminator < 0) {
      terminator = at;
      if (code[at + 1] !== count) problem(at, `counts ${code[at + 1]} instructions of ${count}`);
    }
  }
  if (terminator < 0) problems.push("no terminator");
  else checkLinks(block, terminator, problem);
  return problems;
}

/** Checks that the terminator's successors and the link records belong together one to one. */
function checkLinks(
  { code }: IrBlock,
  terminator: number,
  problem: (at: number, what: string) => void,
): void {
  const op = OPS[code[terminator]];
  const owners: number[] = [];
  if (op.code === Op.trap) {
    const reason = code[terminator + 2], length = code[terminator + 3];
    if (reason <= Trap.NONE || reason > LAST_TRAP) problem(terminator, `reason ${reason}`);
    if (length < 0 || length > 15) problem(terminator, `length ${length}`);
    owners.push(-1);
  } else if (op.code !== Op.jumpInd) {
    const fields = op.fields.split(" ");
    if (fields.includes("c")) owners.push(terminator + 4);
    // A jump's j is a hint.
    if (fields.includes("j") && op.code !== Op.jump) owners.push(terminator + 5);
  }
  const links = (code.length - terminator) / WORDS - 1;
  if (links !== owners.length) problem(terminator, `${links} links instead of ${owners.length}`);
  owners.forEach((owner, i) => {
    const link = terminator + (i + 1) * WORDS;
    if (owner >= 0 && code[owner] !== link) problem(terminator, `successor at ${code[owner]}`);
    if (code[link + 2] !== owner) problem(link, `belongs to ${code[link + 2]}, not ${owner}`);
  });
}
