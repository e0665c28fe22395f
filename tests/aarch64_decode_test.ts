/** The A64 decode tables against GNU objdump, on words of every row and random ones. */
import { assert, assertEquals } from "@std/assert";
import { Aarch64 } from "../cpu/aarch64/aarch64.ts";
import { Random } from "./fuzz/random.ts";
import { testWith } from "./tools.ts";

const OBJDUMP = "aarch64-linux-gnu-objdump";
const isa = new Aarch64();

/** One text a word, mnemonic and operands separated by a space. */
function objdump(words: Uint32Array<ArrayBuffer>): string[] {
  const file = Deno.makeTempFileSync();
  try {
    Deno.writeFileSync(file, new Uint8Array(words.buffer));
    const args = ["-b", "binary", "-m", "aarch64", "-M", "no-aliases", "-D", "-z", file];
    const { success, stdout, stderr } = new Deno.Command(OBJDUMP, { args }).outputSync();
    assert(success, new TextDecoder().decode(stderr));
    const texts: string[] = [];
    for (const line of new TextDecoder().decode(stdout).split("\n")) {
      const match = /^\s*([0-9a-f]+):\t[0-9a-f ]+\t(.*)$/.exec(line);
      if (match === null) continue;
      assertEquals(parseInt(match[1], 16), 4 * texts.length, line);
      texts.push(match[2].replace(/\s+\/\/.*$/, "").replaceAll("\t", " ").trim());
    }
    assertEquals(texts.length, words.length);
    return texts;
  } finally {
    Deno.removeSync(file);
  }
}

const UNDEFINED = /undefined|^\.inst/;

/**
 * Where this disassembler and binutils 2.40 differ, and who is right. Every entry must be met. Sections are those of the
 * Arm Architecture Reference Manual (DDI 0487).
 */
const DIVERGENCES: { why: string; here: (ours: string, theirs: string) => boolean }[] = [
  {
    why: "bits that should be one have no effect if they are not (C2.2.1)",
    here: (ours, theirs) => /^(ldap?r|ldlar|stlr|stllr)[bh]? /.test(ours) && UNDEFINED.test(theirs),
  },
  {
    why: "LDPSW to one register twice, or to its base, is constrained unpredictable (K1.2)",
    here: (ours, theirs) => /^ldpsw /.test(ours) && UNDEFINED.test(theirs),
  },
  {
    why: "cache maintenance has its alias here (C6.2, SYS)",
    here: (ours, theirs) => /^(dc|ic) /.test(ours) && theirs.startsWith("sys "),
  },
  {
    why: "RET names its register even if that is X30 (C6.2)",
    here: (ours, theirs) => ours === "ret x30" && theirs === "ret",
  },
  {
    why: "hints of PAuth and later extensions are named here, and are NOP",
    here: (ours, theirs) =>
      /^(pac|aut|xpac|csdb|bti|dgh|psb|tsb|esb)/.test(ours) && theirs.startsWith("hint "),
  },
  {
    why: "ID registers that read as 0 have no names here",
    here: (ours, theirs) =>
      /^mrs x\w+, s3_0_c0_c[2-7]_[0-7]$/.test(ours) && /^mrs x\w+, \w+_el1$/.test(theirs),
  },
  {
    why: "the backdoor instruction has a name",
    here: (ours, theirs) => ours === "trapdoor" && theirs === "movz xzr, #0x7bd",
  },
];

/** Instructions that are privileged, not defined, or of extensions that are not implemented, by objdump's mnemonic. */
const OTHERS: RegExp[] = [
  // MOPS, RCPC2, MTE, PAuth and LS64: loads and stores.
  /^(cpy|set[pmeg]|ldapur|stlur|ldgm?|st2?g|stz2?g|stz?gm|stgp|ldraa|ldrab|ld64b|st64b)/,
  // Privileged and debug instructions, system registers that EL0 has not, TME, WFxT, XS, FlagM.
  /^(mrs|msr|sysl?|smc|hvc|hlt|dcps\d|drps|eret\w*|tcancel|tstart|ttest|tcommit|wf[ei]t)\b/,
  /^(dsb \w+nxs|dsb #|at |tlbi |cfp |dvp |cpp |xaflag|axflag|cfinv|rmif|setf(8|16) )/,
  // HBC, MTE, PAuth, CSSC: branches and data processing.
  /^(bc\.|addg|subg|irg|gmi|subps?|pacga|[su](max|min)|abs|cnt|ctz)\b/,
];

/** Compares words; which entries were met, and what no entry explains. */
function compare(words: Uint32Array<ArrayBuffer>): { met: Set<string>; wrong: string[] } {
  const theirs = objdump(words), met = new Set<string>(), wrong: string[] = [];
  words.forEach((bits, i) => {
    const at = 4 * i, found = isa.decode(bits | 0);
    const { text } = isa.disassemble(
      at,
      (address) => address === at ? bits & 0xffff : bits >>> 16,
    );
    if (found === undefined) {
      if (UNDEFINED.test(theirs[i])) return;
      // SVE and SME (op0 0000 and 0010); vectors have tests of their own.
      if ((bits >>> 25 & 13) === 0 || isVector(bits)) return;
      if (OTHERS.some((pattern) => pattern.test(theirs[i]))) return;
    } else {
      if (text === theirs[i]) return;
      const known = DIVERGENCES.find((each) => each.here(text, theirs[i]));
      if (known) return void met.add(known.why);
    }
    wrong.push(`${bits.toString(16).padStart(8, "0")}: "${text}", objdump: "${theirs[i]}"`);
  });
  return { met, wrong };
}

/** Whether an encoding is one of floating point and Advanced SIMD, or of their loads and stores (C4.1). */
const isVector = (bits: number) =>
  (bits >>> 25 & 7) === 7 || ((bits >>> 25 & 5) === 4 && (bits >>> 26 & 1) === 1);

const ROWS = isa.decoder.rows;

testWith([OBJDUMP], "disassemble equals objdump when words of every A64 row are sampled", () => {
  const random = new Random(64), words: number[] = [0xd65f_03c0, 0xd538_0431];
  for (const { mask, match } of ROWS) {
    for (let i = 0; i < 60; i++) words.push(((random.next() & ~mask) | match) >>> 0);
  }
  const { met, wrong } = compare(Uint32Array.from(words));
  assertEquals(wrong.slice(0, 20), []);
  assertEquals([...met].sort(), DIVERGENCES.map(({ why }) => why).sort());
});

/** Random words; `deno task sweep-a64` asks for 10 million. */
const SAMPLE = Number(Deno.env.get("TRAPDOOR_A64_WORDS") ?? 40_000);

testWith([OBJDUMP], "decode knows what objdump knows when words are random", () => {
  const random = new Random(SAMPLE), wrong: string[] = [];
  for (let done = 0; done < SAMPLE; done += 100_000) {
    const words = new Uint32Array(Math.min(100_000, SAMPLE - done)).map(() => random.next());
    wrong.push(...compare(words).wrong.slice(0, 20));
  }
  assertEquals(wrong.slice(0, 20), []);
});
