/**
 * Compares one program's outcomes, and says all there is to say when they differ.
 *
 * @module
 */
import type { Cpu } from "../../cpu/engine/cpu.ts";
import { ALL_PASSES, type PassOptions } from "../../cpu/ir/builder.ts";
import { printBlock, slotName } from "../../cpu/ir/printer.ts";
import { PASSES } from "../configuration.ts";
import { formatCase } from "./cases.ts";
import { tablesOf } from "./encode.ts";
import type { Image } from "./elf.ts";
import type { Kind } from "./generator.ts";
import { BODY, compareDumps, digest, TEXT } from "./layout.ts";
import { assembleProgram, type Program, programImage } from "./program.ts";
import { Random } from "./random.ts";
import { type Outcome, type Qemu, type RunOptions, Trapdoor } from "./runner.ts";

/** A way to run a program in this emulator, which must make no difference. */
export interface Variation {
  name: string;
  options: (seed: number) => RunOptions;
}

const without = (pass: keyof PassOptions): Variation => ({
  name: `without the pass ${pass}`,
  options: () => ({ passes: { ...PASSES, [pass]: false } }),
});

/** All variations; the first is the plain run. */
export const VARIATIONS: readonly Variation[] = [
  { name: "in one go", options: () => ({}) },
  { name: "in slices", options: (seed) => ({ slices: new Random(seed) }) },
  { name: "step by step", options: () => ({ trace: true }) },
  { name: "with the last run's CPU", options: () => ({ reuse: true }) },
  { name: "compiled", options: () => ({ compile: true }) },
  {
    name: "compiled, in slices",
    options: (seed) => ({ compile: true, slices: new Random(seed) }),
  },
  ...(Object.keys(ALL_PASSES) as (keyof PassOptions)[]).map(without),
  {
    name: "without passes, in slices",
    options: (seed) => ({
      passes: { fold: false, retarget: false, dead: false },
      slices: new Random(seed),
    }),
  },
];

/** What differs between a wanted outcome and another; empty if nothing. */
export function difference(wanted: Outcome, got: Outcome): string[] {
  const lines: string[] = [];
  if (wanted.end !== got.end) lines.push(`end: wanted ${wanted.end}, got ${got.end}`);
  if (
    wanted.instructions >= 0 && got.instructions >= 0 && wanted.instructions !== got.instructions
  ) {
    lines.push(`instructions: wanted ${wanted.instructions}, got ${got.instructions}`);
  }
  if (lines.length === 0 || wanted.dump.length === got.dump.length) {
    lines.push(...compareDumps(wanted.dump, got.dump));
  }
  return lines;
}

/** Assembly text of an image's body. */
export function disassembly(image: Image, entry: number): string[] {
  const { isa } = tablesOf(image.xlen), view = new DataView(image.text.buffer);
  const fetch = (pc: number) => {
    const at = pc - TEXT;
    return at < 0 || at + 2 > image.text.length ? -1 : view.getUint16(at, true);
  };
  const lines: string[] = [];
  for (let pc = entry; pc < TEXT + image.text.length;) {
    const { length, bits, text } = isa.disassemble(pc, fetch);
    const word = (bits >>> 0).toString(16).padStart(2 * length, "0");
    lines.push(`  ${pc.toString(16)}: ${word.padEnd(8)}  ${text}`);
    pc += length || 2;
  }
  return lines;
}

/** IR of the blocks that a CPU has of an image's body. */
export function blocksOf(cpu: Cpu, image: Image): string[] {
  const names = new Map(cpu.isa.registers.map(({ slot, name }) => [slot, name]));
  const lines: string[] = [];
  for (let pc = BODY; pc < TEXT + image.text.length; pc += 2) {
    const block = cpu.cache.get(pc);
    if (block !== undefined) {
      lines.push(printBlock(block, (slot) => names.get(slot) ?? slotName(slot)));
    }
  }
  return lines;
}

/** A program that behaves differently somewhere. */
export interface Mismatch {
  what: string;
  lines: string[];
}

/** Checks programs of one register width. */
export class Checker {
  readonly trapdoor: Trapdoor;

  constructor(readonly xlen: 32 | 64, readonly qemu: Qemu) {
    this.trapdoor = new Trapdoor(xlen);
  }

  /** Runs an image under QEMU and in the chosen variations; the first mismatch, and the plain run's outcome. */
  async check(
    image: Image,
    seed: number,
    variations: readonly Variation[],
  ): Promise<{ mismatch?: Mismatch; outcome: Outcome; wanted: Outcome }> {
    const pending = this.qemu.run(image);
    const outcome = this.trapdoor.run(image);
    const wanted = await pending;
    const problems = this.trapdoor.problems.splice(0);
    if (problems.length > 0) {
      return { mismatch: { what: "the IR verifier", lines: problems }, outcome, wanted };
    }
    const lines = difference(wanted, outcome);
    if (lines.length > 0) return { mismatch: { what: "QEMU", lines }, outcome, wanted };
    for (const { name, options } of variations) {
      const lines = difference(outcome, this.trapdoor.run(image, options(seed)));
      if (lines.length > 0) {
        return { mismatch: { what: `the run ${name}`, lines }, outcome, wanted };
      }
    }
    return { outcome, wanted };
  }
}

/** The whole report of a failing program. */
export function report(
  checker: Checker,
  program: Program,
  mismatch: Mismatch,
  wanted: Outcome,
  seed: number,
  kind: Kind,
): string {
  const image = programImage(program);
  const line = formatCase({
    xlen: program.xlen,
    entry: program.entry,
    base: program.base,
    state: program.state,
    code: assembleProgram(program),
    want: digest(wanted.dump),
    comment: mismatch.lines[0],
  });
  const plain = checker.trapdoor.run(image);
  return [
    `rv${program.xlen} ${kind} seed ${seed}: differs from ${mismatch.what}`,
    ...mismatch.lines.map((each) => `  ${each}`),
    "code:",
    ...disassembly(image, program.entry),
    `IR (the run ended with ${plain.end}):`,
    ...blocksOf(checker.trapdoor.cpu, image),
    "case:",
    line,
    "",
  ].join("\n");
}
