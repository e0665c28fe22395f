/**
 * One-line cases: a program's code and start state, and the digest of the dump that QEMU made of it.
 *
 * A line is `rv64 entry=ADDRESS base=N fcsr=N memory=SEED xN=VALUE... fN=VALUE... code=HEX want=DIGEST # what it is`.
 * Registers that are not given are 0, but for the base register; `(N)` in the code stands for N zero bytes.
 *
 * @module
 */
import { type Image, makeImage } from "./elf.ts";
import { BASE, type State } from "./layout.ts";

/** A permanent case. */
export interface Case {
  xlen: 32 | 64;
  entry: number;
  base: number;
  state: State;
  code: Uint8Array<ArrayBuffer>;
  /** `digest` of the right dump. */
  want: string;
  /** What it once found. */
  comment: string;
}

/** A state with all registers 0. */
export function zeroState(base: number): State {
  const x = Array.from({ length: 32 }, () => 0n);
  x[base] = BigInt(BASE);
  return { x, f: Array.from({ length: 32 }, () => 0n), fcsr: 0, memory: 0 };
}

/** The case's image. */
export function caseImage(each: Case): Image {
  return makeImage(each.xlen, each.entry, each.code, each.base, each.state);
}

/** Code as text: `(N)` for long runs of zeros. */
function formatCode(code: Uint8Array): string {
  return code.toHex().replace(
    /(?:00){16,}/g,
    (zeros, at: number) => at % 2 === 0 ? `(${zeros.length / 2})` : zeros,
  );
}

function parseCode(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(
    text.replace(/\((\d+)\)/g, (_, count: string) => "00".repeat(Number(count))),
  );
}

/** Writes a case as a line. */
export function formatCase({ xlen, entry, base, state, code, want, comment }: Case): string {
  const registers = (letter: string, values: bigint[]) =>
    values.flatMap((value, i) =>
      value === 0n || (letter === "x" && i === base)
        ? []
        : [`${letter}${i}=0x${value.toString(16)}`]
    );
  return [
    `rv${xlen}`,
    `entry=0x${entry.toString(16)}`,
    `base=${base}`,
    `fcsr=0x${state.fcsr.toString(16)}`,
    `memory=${state.memory}`,
    ...registers("x", state.x),
    ...registers("f", state.f),
    `code=${formatCode(code)}`,
    `want=${want}`,
    `# ${comment}`,
  ].join(" ");
}

/** Reads a line. @throws {SyntaxError} If it isn't a case. */
export function parseCase(line: string): Case {
  const [data, comment = ""] = line.split("#", 2).map((part) => part.trim());
  const [isa, ...fields] = data.split(/\s+/);
  const fail = (what: string): never => {
    throw new SyntaxError(`Cannot read the case "${line.slice(0, 60)}...": ${what}`);
  };
  if (isa !== "rv32" && isa !== "rv64") fail(`"${isa}" is not rv32 or rv64`);
  const given = new Map(fields.map((field): [string, string] => {
    const [name, value] = field.split("=");
    if (value === undefined) fail(`"${field}" is not a name and a value`);
    return [name, value];
  }));
  const take = (name: string): string => {
    const value = given.get(name) ?? fail(`no "${name}"`);
    given.delete(name);
    return value;
  };
  const base = Number(take("base")), state = zeroState(base);
  const result: Case = {
    xlen: isa === "rv32" ? 32 : 64,
    entry: Number(take("entry")),
    base,
    state,
    code: parseCode(take("code")),
    want: take("want"),
    comment,
  };
  state.fcsr = Number(take("fcsr"));
  state.memory = Number(take("memory"));
  for (const [name, value] of given) {
    const [, letter, number] = /^([xf])(\d+)$/.exec(name) ?? fail(`unknown "${name}"`);
    (letter === "x" ? state.x : state.f)[Number(number)] = BigInt(value);
  }
  return result;
}

/** The cases of a file's text, a line each; empty lines and lines that start with # are comments. */
export function parseCases(text: string): Case[] {
  return text.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#"))
    .map(parseCase);
}
