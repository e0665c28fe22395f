/** Whole AArch64 programs, random ones with flags and branches and compiled ones, here and under qemu-aarch64. */
import { assert, assertEquals } from "@std/assert";
import { existsSync } from "node:fs";
import { Machine } from "../machine/machine.ts";
import { CONFIGURED, scaled, seeded } from "./configuration.ts";
import { run, withFolder } from "./emulator.ts";
import { Random } from "./fuzz/random.ts";
import { testWith } from "./tools.ts";

const GCC = "aarch64-linux-gnu-gcc";
const CONDITIONS = "eq ne cs cc mi pl vs vc hi ls ge lt gt le".split(" ");

/** An instruction that sets flags, or reads them, of registers X0 to X7. */
function anyInstruction(random: Random): string {
  const wide = random.chance(0.5), r = () => `${wide ? "x" : "w"}${random.below(8)}`;
  const zero = () => random.chance(0.1) ? (wide ? "xzr" : "wzr") : r();
  const cond = random.pick(CONDITIONS), by = random.below(wide ? 64 : 32);
  const shift = random.pick(["", "", `, lsl #${by}`, `, lsr #${by}`, `, asr #${by}`]);
  const nzcv = random.below(16), small = random.below(32);
  return random.pick([
    () => `cmp ${r()}, ${zero()}${shift}`,
    () => `cmp ${r()}, #${random.below(4096)}`,
    () => `cmn ${r()}, ${r()}${shift}`,
    () => `subs ${r()}, ${r()}, ${r()}${shift}`,
    () => `subs ${r()}, ${r()}, #${random.below(3)}`,
    () => `adds ${r()}, ${r()}, ${r()}${shift}`,
    () => `ands ${r()}, ${r()}, ${r()}`,
    () => `tst ${r()}, #${wide ? "0x8000000000000001" : "0x80000001"}`,
    () => `bics ${r()}, ${r()}, ${r()}`,
    () => `adcs ${r()}, ${r()}, ${r()}`,
    () => `sbcs ${r()}, ${r()}, ${zero()}`,
    () => `ccmp ${r()}, ${zero()}, #${nzcv}, ${cond}`,
    () => `ccmp ${r()}, #${small}, #${nzcv}, ${cond}`,
    () => `ccmn ${r()}, #${small}, #${nzcv}, ${cond}`,
    () => `csel ${r()}, ${zero()}, ${r()}, ${cond}`,
    () => `csinc ${r()}, ${zero()}, ${r()}, ${cond}`,
    () => `cset ${r()}, ${cond}`,
    () => `csneg ${r()}, ${r()}, ${r()}, ${cond}`,
    () => `adc ${r()}, ${r()}, ${r()}`,
    () => `add ${r()}, ${r()}, ${r()}${shift}`,
    () => `eor ${r()}, ${r()}, ${r()}, ror #${by}`,
    () => `mul ${r()}, ${r()}, ${r()}`,
    () => `udiv ${r()}, ${r()}, ${r()}`,
    () => `bfi ${r()}, ${r()}, #4, #9`,
    () => `mrs x${random.below(8)}, nzcv`,
    () => `msr nzcv, x${random.below(8)}`,
  ])();
}

/** A program of loops whose bodies are such instructions and branches over some of them; it prints X0 to X7. */
function anyProgram(random: Random): string {
  const lines: string[] = [];
  for (let i = 0; i < 8; i++) {
    lines.push(
      `ldr x${i}, =${random.next() * 2 ** 21 + (random.below(2) ? 1 : random.next() % 2048)}`,
    );
  }
  for (let loop = 0; loop < 6; loop++) {
    lines.push(`mov x20, #${20 + random.below(60)}`, `L${loop}:`);
    for (let k = 0; k < 12; k++) {
      const label = `S${loop}_${k}`;
      for (let n = random.below(3); n >= 0; n--) lines.push(anyInstruction(random));
      const r = `${random.pick(["x", "w"])}${random.below(8)}`;
      lines.push(random.pick([
        `b.${random.pick(CONDITIONS)} ${label}`,
        `b.${random.pick(CONDITIONS)} ${label}`,
        `cbz ${r}, ${label}`,
        `cbnz ${r}, ${label}`,
        `tbz ${r}, #${random.below(32)}, ${label}`,
        `tbnz ${r}, #${random.below(32)}, ${label}`,
      ]));
      for (let n = random.below(3); n >= 0; n--) lines.push(anyInstruction(random));
      lines.push(`${label}:`);
    }
    lines.push("sub x20, x20, #1", `cbnz x20, L${loop}`);
  }
  const save = Array.from({ length: 8 }, (_, i) => `str x${i}, [x21, #${8 * i}]`);
  return [
    ".globl _start",
    "_start:",
    ...lines,
    "mrs x22, nzcv",
    "adrp x21, out",
    "add x21, x21, :lo12:out",
    ...save,
    "str x22, [x21, #64]",
    "mov x0, #1",
    "mov x1, x21",
    "mov x2, #72",
    "mov x8, #64",
    "svc #0",
    "mov x0, #0",
    "mov x8, #94",
    "svc #0",
    ".ltorg",
    ".bss",
    ".balign 16",
    "out: .skip 72",
    "",
  ].join("\n");
}

async function here(program: string, args: string[] = []) {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  const machine = await Machine.user({
    ...CONFIGURED,
    program,
    args,
    // Locales of the host, for strings.c: QEMU's guests see them too.
    dirs: ["/usr/lib/locale"].filter((path) => existsSync(path)).map((path) => `${path}::ro`),
    stdout: (bytes) => void chunks.push(bytes.slice()),
    stderr: "null",
  });
  const result = await machine.run();
  return { result, stdout: new Uint8Array(await new Blob(chunks).arrayBuffer()) };
}

const hex = (bytes: Uint8Array) =>
  [...new BigUint64Array(bytes.slice().buffer)].map((x) => x.toString(16)).join(" ");

testWith(
  [GCC, "qemu-aarch64"],
  "random programs end in the state that qemu-aarch64 says",
  async () => {
    await withFolder(async (folder) => {
      const random = new Random(seeded(6));
      for (let i = 0; i < scaled(8); i++) {
        const path = `${folder}/p${i}`, source = anyProgram(random);
        await Deno.writeTextFile(`${path}.s`, source);
        const built = await run([GCC, "-nostdlib", "-static", "-o", path, `${path}.s`]);
        assertEquals(built.stderr, "");
        const { success, stdout } = await new Deno.Command("qemu-aarch64", { args: [path] })
          .output();
        assert(success && stdout.length === 72);
        assertEquals(hex((await here(path)).stdout), hex(stdout), `program ${i}:\n${source}`);
      }
    });
  },
);
