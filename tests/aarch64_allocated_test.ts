/**
 * Which words are A64 instructions, floating point and Advanced SIMD among them: those whose text by objdump the GNU
 * assembler takes for the architecture that is implemented.
 */
import { assert, assertEquals } from "@std/assert";
import { Aarch64 } from "../cpu/aarch64/aarch64.ts";
import { scaled, seeded } from "./configuration.ts";
import { Random } from "./fuzz/random.ts";
import { testWith } from "./tools.ts";

const PREFIX = "aarch64-linux-gnu-";
/** What is implemented, as the assembler names it. */
const MARCH = "armv8-a+crypto+crc+lse+lor";

const ISA = new Aarch64();

function run(name: string, ...args: string[]): { stdout: string; stderr: string } {
  const { stdout, stderr } = new Deno.Command(PREFIX + name, { args }).outputSync();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { stdout: text(stdout), stderr: text(stderr) };
}

/** The texts of words that stand one behind the other from address 0. */
function objdump(folder: string, words: Uint32Array<ArrayBuffer>): string[] {
  Deno.writeFileSync(`${folder}/words`, new Uint8Array(words.buffer));
  const options = "-D -z -b binary -m aarch64 -M no-aliases".split(" ");
  const texts: string[] = [];
  for (const line of run("objdump", ...options, `${folder}/words`).stdout.split("\n")) {
    const found = /^\s*([0-9a-f]+):\t[0-9a-f]{8} ?\t(.*)$/.exec(line);
    if (!found) continue;
    assertEquals(parseInt(found[1], 16), texts.length * 4, line);
    texts.push(found[2].replace(/\s+\/\/.*$/, "").replace("\t", " ").trim());
  }
  assertEquals(texts.length, words.length);
  return texts;
}

/** Which of the texts, each at an address, the assembler takes for what is implemented. */
function assembles(folder: string, lines: readonly { pc: number; text: string }[]): boolean[] {
  const source = lines.map(({ text, pc }) => {
    // A target is an address; here the code is elsewhere.
    const target = /(?<= |, )0x[0-9a-f]+$/.exec(text);
    return target ? text.replace(target[0], `. + ${Number(target[0]) - pc}`) : text;
  });
  Deno.writeTextFileSync(`${folder}/lines.s`, source.join("\n") + "\n");
  const { stderr } = run("as", `-march=${MARCH}`, "-o", `${folder}/lines.o`, `${folder}/lines.s`);
  const refused = new Set(
    [...stderr.matchAll(/lines\.s:(\d+): Error/g)].map((match) => Number(match[1])),
  );
  return lines.map((_, i) => !refused.has(i + 1));
}

/** What the disassembler refuses, but hardware need not; aarch64_decode_test.ts says why. */
const MORE_HERE = /^ldpsw$|^(ldap?r|ldlar|stlr|stllr)[bh]?$/;

/**
 * Instructions that are undefined at EL0, and system registers that Linux keeps from it. The assembler has SHA-512 with
 * all of crypto, but it is of Armv8.2-A.
 */
const NOT_HERE = /^(mrs|msr|sys|sysl|hvc|smc|hlt|dcps[123]|eret|drps)\b|^sha512/;

testWith(
  [`${PREFIX}as`, `${PREFIX}objdump`],
  "a word is an instruction exactly if it is allocated",
  () => {
    const folder = Deno.makeTempDirSync();
    try {
      const random = new Random(seeded(64));
      const words = new Uint32Array(scaled(60_000)).map(() => random.next());
      const texts = objdump(folder, words);
      const wrong = new Set<string>(), missing: { pc: number; text: string; word: number }[] = [];
      words.forEach((word, i) => {
        const text = texts[i], found = ISA.decode(word | 0);
        if (!/undefined|^udf/.test(text) && !text.startsWith(".inst")) {
          if (!found) missing.push({ pc: 4 * i, text, word });
        } else if (found && !MORE_HERE.test(found.row.name)) {
          wrong.add(`${word.toString(16)} ${found.row.name}: undefined`);
        }
      });
      const known = assembles(folder, missing);
      missing.forEach(({ text, word }, i) => {
        if (known[i] && !NOT_HERE.test(text)) wrong.add(`${word.toString(16)} ${text}: missing`);
      });
      assertEquals([...wrong].slice(0, 40).join("\n"), "");
      // Extensions that are not implemented are many, and the assembler refuses them one by one.
      const refused = known.filter((yes) => !yes).length;
      assert(refused > words.length / 20, `${refused} of ${missing.length} refused`);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  },
);
