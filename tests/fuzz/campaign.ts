/**
 * Many random programs against QEMU: what the task and the test share.
 *
 * @module
 */
import { PROLOGUE_INSNS } from "./elf.ts";
import { generate, type Kind } from "./generator.ts";
import { type Program, programImage } from "./program.ts";
import { Random } from "./random.ts";
import { Checker, type Mismatch, report, type Variation, VARIATIONS } from "./report.ts";
import { Qemu } from "./runner.ts";
import { shrink } from "./shrink.ts";

/** What to run. */
export interface CampaignOptions {
  /** Instructions to execute, random ones only: prologues and epilogues don't count. */
  count: number;
  seed: number;
  xlens: readonly (32 | 64)[];
  kinds: readonly Kind[];
  /** Instructions in a program, about. */
  size: number;
  /** Variations of each program's run, besides the plain one: so many, at random. */
  variations: number;
  /** Failing programs after which to stop. */
  failures: number;
  /** Called for each failing program, shrunk. */
  onFailure: (text: string) => void;
}

/** What was run. */
export interface CampaignResult {
  programs: number;
  /** Random instructions executed in the plain runs. */
  instructions: number;
  failures: number;
}

/** Instructions that the epilogue executes up to its first system call. */
const EPILOGUE_INSNS = 73;
/** Programs at a time. */
const PARALLEL = 2;

/** Runs programs until `count` instructions were executed. */
export async function campaign(options: CampaignOptions): Promise<CampaignResult> {
  const qemu = new Qemu();
  const result: CampaignResult = { programs: 0, instructions: 0, failures: 0 };
  const random = new Random(options.seed);
  const combinations = options.xlens.flatMap((xlen) =>
    options.kinds.map((kind): [32 | 64, Kind] => [xlen, kind])
  );
  // One checker for each program in flight: an address space runs one at a time.
  const worker = async (checkers: Map<number, Checker>) => {
    while (result.instructions < options.count && result.failures < options.failures) {
      const [xlen, kind] = combinations[result.programs++ % combinations.length];
      const seed = random.next();
      const checker = checkers.get(xlen)!;
      const program = generate(seed, { xlen, kind, size: options.size });
      const chosen = new Random(seed ^ 0x5eed);
      const variations = Array.from(
        { length: options.variations },
        () => chosen.pick(VARIATIONS.slice(1)),
      );
      const { mismatch, outcome } = await checker.check(programImage(program), seed, variations);
      result.instructions += Math.max(0, outcome.instructions - PROLOGUE_INSNS - EPILOGUE_INSNS);
      if (mismatch === undefined) continue;
      result.failures++;
      options.onFailure(await explain(checker, program, mismatch, seed, kind, variations));
    }
  };
  try {
    await Promise.all(
      Array.from(
        { length: PARALLEL },
        () => worker(new Map(options.xlens.map((xlen) => [xlen, new Checker(xlen, qemu)]))),
      ),
    );
  } finally {
    qemu.close();
  }
  return result;
}

/** Shrinks a failing program and reports it. */
async function explain(
  checker: Checker,
  program: Program,
  mismatch: Mismatch,
  seed: number,
  kind: Kind,
  variations: readonly Variation[],
): Promise<string> {
  const attempt = async (candidate: Program) => {
    try {
      const again = await checker.check(programImage(candidate), seed, variations);
      return again.mismatch?.what === mismatch.what ? again : undefined;
    } catch (error) {
      // Pieces that other pieces refer to can't go, and code can grow out of reach.
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  };
  const small = await shrink(program, async (candidate) => await attempt(candidate) !== undefined);
  const found = await attempt(small);
  if (found?.mismatch === undefined) {
    return `seed ${seed}: differs from ${mismatch.what} only sometimes\n${
      mismatch.lines.join("\n")
    }\n`;
  }
  return report(checker, small, found.mismatch, found.wanted, seed, kind);
}
