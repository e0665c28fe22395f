/** Programs and a C library straight from Debian's archives: what they print is what they print under QEMU. */
import { assert, assertEquals } from "@std/assert";
import { Machine } from "../machine/machine.ts";
import { CONFIGURED } from "./configuration.ts";
import { Debian, missingForDebian } from "./debian.ts";
import { file, run, type Target, TARGETS, withFolder } from "./emulator.ts";
import { testUnless, tool } from "./tools.ts";

const ARCHITECTURE = { riscv64: "riscv64", aarch64: "arm64" } as const;
const missing = (...tools: string[]) => [
  ...missingForDebian(11),
  ...tools.filter((name) => tool(name) === undefined),
];

interface Ended {
  stdout: Uint8Array;
  status: number;
}

async function inQemu(
  target: Target,
  command: readonly string[],
  stdin: Uint8Array,
): Promise<Ended> {
  const child = new Deno.Command(`qemu-${target}`, {
    args: [...command],
    env: { LC_ALL: "C" },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  // A program that does not read its input may have ended.
  await Promise.allSettled([writer.write(stdin), writer.close()]);
  const { stdout, code } = await child.output();
  return { stdout, status: code };
}

async function here(
  [program, ...args]: readonly string[],
  stdin: Uint8Array,
  folder: string,
): Promise<Ended> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  await using machine = await Machine.user({
    ...CONFIGURED,
    program,
    args,
    dirs: [folder],
    env: { LC_ALL: "C" },
    stdin: new Blob([stdin.slice()]).stream(),
    stdout: (bytes) => void chunks.push(bytes.slice()),
    stderr: "null",
  });
  const result = await machine.run();
  assert("status" in result, Deno.inspect(result));
  return { stdout: new Uint8Array(await new Blob(chunks).arrayBuffer()), status: result.status };
}

const SCRIPT = `
i=0; odd=""
while [ $i -lt 60 ]; do
  i=$((i + 1))
  case $i in *7) echo "seven: $i" ;; *[13579]) odd="$odd $((i * i % 101))" ;; esac
done
echo $odd
count() { echo "$# of $*"; }
count a "b c" ''
text=abcdef.tar.gz
echo \${text%.*} \${text##*.} \${#text} \${none:-nothing}
while read -r first rest; do [ "$first" -lt 5 ] && printf '%03d|%s\\n' "$first" "$rest"; done
trap 'echo leaving' EXIT
exit 3
`;

/** Lines with numbers in no order. */
const LINES = Array.from({ length: 400 }, (_, i) => `${i * 7919 % 401} line ${i} of ${i % 7}\n`);

/** Command lines of busybox; FOLDER is one with "lines" in it, and what a case before has written. */
const COMMANDS: readonly (readonly string[])[] = [
  ["sh", "-c", SCRIPT],
  ["sort", "-n"],
  ["sort", "-k4", "-k1nr", "-u"],
  ["sed", "-n", "s/^\\([0-9]*\\) line \\(.*5\\) of/\\2-\\1:/p;$="],
  [
    "awk",
    '{ s += $1; a[$5] += $1 * 1.5 } END { for (i in a) printf "%s %.3e\n", i, a[i]; print s }',
  ],
  ["grep", "-c", "1[0-9]* of [3-6]"],
  ["sha256sum"],
  ["sha512sum"],
  ["gzip", "-9", "-c"],
  ["od", "-A", "x", "-t", "x4z"],
  ["tar", "-cf", "FOLDER/archive.tar", "-C", "FOLDER", "lines"],
  ["tar", "-xOf", "FOLDER/archive.tar"],
  ["cp", "FOLDER/lines", "FOLDER/copy"],
  ["cmp", "FOLDER/lines", "FOLDER/copy"],
  ["find", "FOLDER", "-name", "l*", "-size", "+1k"],
  ["dc", "-e", "20 k 2 v p 12345678901 987654321 * p"],
  ["no-such-applet"],
];

for (const target of TARGETS) {
  testUnless(
    missing(`qemu-${target}`),
    `Debian's busybox for ${target} does what it does under QEMU`,
    async () => {
      const debian = new Debian(ARCHITECTURE[target]);
      await debian.unpack("busybox-static");
      const busybox = `${debian.root}/usr/bin/busybox`,
        input = new TextEncoder().encode(LINES.join(""));
      await withFolder(async (theirs) => {
        await withFolder(async (ours) => {
          for (const folder of [theirs, ours]) await Deno.writeFile(`${folder}/lines`, input);
          for (const command of COMMANDS) {
            const inside = (folder: string) => [
              busybox,
              ...command.map((word) => word.replace("FOLDER", folder)),
            ];
            const wanted = await inQemu(target, inside(theirs), input);
            const got = await here(inside(ours), input, ours);
            const text = (ended: Ended, folder: string) =>
              new TextDecoder("latin1").decode(ended.stdout).replaceAll(folder, "FOLDER");
            assertEquals(text(got, ours), text(wanted, theirs), command.join(" "));
            assertEquals(got.status, wanted.status, command.join(" "));
          }
          const names = (folder: string) => [...Deno.readDirSync(folder)].map((e) => e.name).sort();
          assertEquals(names(ours), names(theirs));
        });
      });
    },
  );
}

/** Programs of guest/programs that musl has all functions for. */
const PROGRAMS: readonly [source: string, folder?: true][] = [
  ["allocation.c"],
  ["fileio.c", true],
  ["math.c"],
  ["memory_map.c"],
  ["pipes.c"],
  ["process.c"],
  ["setjmp.c"],
  ["signals.c"],
  ["stdio.c"],
  ["strings.c"],
  ["timing.c"],
];

for (const target of TARGETS) {
  const prefix = `${target}-linux-gnu-`, gcc = `${prefix}gcc`;
  testUnless(
    missing(`qemu-${target}`, gcc),
    `static programs with Debian's musl for ${target} end as under QEMU`,
    async () => {
      const debian = new Debian(ARCHITECTURE[target]);
      await debian.unpack("musl-dev");
      const own = (await run([gcc, "-print-file-name=include"])).stdout.trim();
      await withFolder(async (lib) => {
        // Debian 12's linker for riscv64 breaks down at the attributes and debugging information of newer compilers.
        for (const name of ["libc.a", "crt1.o", "crti.o", "crtn.o"]) {
          const from = `${debian.root}/usr/lib/${target}-linux-musl/${name}`;
          const options = ["-g", "-R", ".riscv.attributes", from, `${lib}/${name}`];
          const stripped = await run([`${prefix}objcopy`, ...options]);
          assertEquals(stripped.code, 0, stripped.stderr);
        }
        for (const [source, wantsFolder] of PROGRAMS) {
          await withFolder(async (folder) => {
            const program = `${folder}/program`, empty = new Uint8Array();
            const built = await run([
              ...[gcc, "-O2", "-w", "-nostdinc", "-isystem", own],
              ...["-isystem", `${debian.root}/usr/include/${target}-linux-musl`],
              // A function of glibc's; the texts of errors do as well.
              ...["-include", "string.h", "-Dstrerrorname_np=strerror"],
              ...["-static", "-nostdlib", `${lib}/crt1.o`, `${lib}/crti.o`],
              ...[file(`guest/programs/${source}`), `-L${lib}`, "-lc", "-lgcc", `${lib}/crtn.o`],
              ...["-o", program],
            ]);
            assertEquals(built.code, 0, built.stderr);
            const command = [program, ...(wantsFolder ? [`${folder}/file`] : [])];
            const wanted = await inQemu(target, command, empty);
            const { stdout, status } = await here(command, empty, folder);
            const text = new TextDecoder();
            assertEquals(text.decode(stdout), text.decode(wanted.stdout), source);
            assertEquals(status, wanted.status, source);
          });
        }
      });
    },
  );
}
