/** GNU objdump as the oracle for RISC-V disassembly. */

const PREFIX = "riscv64-linux-gnu-";

/** The tools that {@linkcode objdump} runs, for `testWith`. */
export const OBJDUMP_TOOLS: string[] = ["as", "strip", "objdump"].map((name) => PREFIX + name);

function run(name: string, ...args: string[]): string {
  const { success, stdout, stderr } = new Deno.Command(PREFIX + name, { args }).outputSync();
  if (!success) throw new Error(`Cannot run ${name}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/**
 * Disassembles instruction words that are put one behind the other from address 0 on.
 *
 * @param bytes Length of each word, 2 or 4.
 * @returns One text a word, mnemonic and operands separated by a space; `.2byte` and `.4byte` for undefined encodings.
 */
export function objdump(words: ArrayLike<number>, bytes: 2 | 4, march: string): string[] {
  const folder = Deno.makeTempDirSync({ prefix: "objdump" });
  try {
    const source = `${folder}/words.s`, object = `${folder}/words.o`;
    Deno.writeTextFileSync(source, Array.from(words, (w) => `.${bytes}byte ${w >>> 0}\n`).join(""));
    const abi = march.startsWith("rv64") ? "lp64d" : "ilp32d";
    run("as", `-march=${march}`, `-mabi=${abi}`, "-o", object, source);
    // Without mapping symbols the words are code, not data.
    run("strip", "--strip-all", object);
    const texts: string[] = [];
    for (const line of run("objdump", "-M", "no-aliases", "-d", "-z", object).split("\n")) {
      const m = /^\s*([0-9a-f]+):\t[0-9a-f ]+\t(.*)$/.exec(line);
      if (m === null) continue;
      if (parseInt(m[1], 16) !== texts.length * bytes) {
        throw new Error(`Cannot tell which word this is: ${line}`);
      }
      texts.push(m[2].replace(/\s+#.*$/, "").replace("\t", " ").trim());
    }
    if (texts.length !== words.length) {
      throw new Error(`Cannot match ${texts.length} lines of objdump with ${words.length} words`);
    }
    return texts;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}
