import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  GUEST_BIN,
  GUEST_TOOLS,
  staleGuestPrograms,
  toolchainDifferences,
} from "../guest/build.ts";
import { PROTOCOL_HEADER, protocolHeader } from "../guest/generate_protocol.ts";
import { testUnless, testWith, tool } from "./tools.ts";
import { fileURLToPath } from "node:url";

const GUEST = fileURLToPath(new URL("../guest/", import.meta.url));
const CROSS = "riscv64-linux-gnu-gcc";
const BARE = "riscv64-unknown-elf-gcc";

async function run(command: string, args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(command, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

/** Runs and expects exit status 0 without a word on standard error. */
async function quietly(command: string, args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(command, args);
  assertEquals(
    { code, stderr },
    { code: 0, stderr: "" },
    `${command} ${args.join(" ")}\n${stderr}`,
  );
  return stdout;
}

async function inTemporaryFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "trapdoor-guest-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("protocolHeader is what guest/include/trapdoor_protocol.h holds", async () => {
  assertEquals(await Deno.readTextFile(PROTOCOL_HEADER), protocolHeader());
});

const buildTools = Object.keys(GUEST_TOOLS);
const versions = buildTools.every(tool) ? await toolchainDifferences() : [];

testUnless(
  [
    ...buildTools.filter((name) => !tool(name)),
    ...versions.map((line) => `the toolchain (${line})`),
  ],
  "guest/bin holds what the sources give",
  async () => {
    assertEquals(await staleGuestPrograms(), [], "`deno task guest` rebuilds them");
  },
);

Deno.test("guest/bin is small: no program has 20 KB or more", async () => {
  for (const architecture of ["riscv64", "riscv32", "aarch64"]) {
    for await (const { name } of Deno.readDir(`${GUEST_BIN}${architecture}`)) {
      const { size } = await Deno.stat(`${GUEST_BIN}${architecture}/${name}`);
      assert(size < 20000, `${architecture}/${name} has ${size} bytes`);
    }
  }
});

for (const architecture of ["riscv64", "riscv32", "aarch64"]) {
  const qemu = `qemu-${architecture}`;
  testWith([qemu], `guest/bin/${architecture}/hello sees nobody under ${qemu}`, async () => {
    const hello = await run(qemu, [`${GUEST_BIN}${architecture}/hello`]);
    assertEquals(hello, { code: 1, stdout: "guest: nobody answers\n", stderr: "" });
  });

  testWith([qemu], `guest/bin/${architecture}/channel sees nobody under ${qemu}`, async () => {
    for (const base of [[], ["/nowhere"], ["/dev/null"], ["/" + "long/".repeat(100)]]) {
      const channel = await run(qemu, [`${GUEST_BIN}${architecture}/channel`, ...base]);
      assertEquals(channel, { code: 3, stdout: "nobody answers\n", stderr: "" });
    }
  });
}

const ALONE = ["events", "bulk", "poke", "wait", "callfile"];

for (
  const [architecture, names] of [["riscv64", ["demo", ...ALONE]], ["aarch64", ALONE]] as const
) {
  const qemu = `qemu-${architecture}`;
  testWith(
    [qemu],
    `guest/bin/${architecture} programs end by themselves when nobody answers`,
    async () => {
      for (const name of names) {
        const { code, stdout, stderr } = await run(qemu, [`${GUEST_BIN}${architecture}/${name}`]);
        assertEquals({ name, code, stderr }, { name, code: 1, stderr: "" });
        assert(/nobody answers|cannot open/i.test(stdout), stdout);
      }
    },
  );
}

testWith(
  ["aarch64-linux-gnu-gcc", "qemu-aarch64"],
  "the instruction of AArch64 changes no register but what the host writes",
  async () => {
    await inTemporaryFolder(async (folder) => {
      const source = `${folder}/alone.c`;
      await Deno.writeTextFile(
        source,
        `#include "trapdoor.h"
         int main(void) {
           unsigned long arg[6] = {1, 2, 3, 4, 5, 6};
           int i;
           if (trapdoor_request_(TRAPDOOR_KIND_CALL, arg) != TRAPDOOR_STATUS_NOBODY) return 1;
           for (i = 0; i < 6; i++) if (arg[i] != (unsigned long)i + 1) return 2;
           return trapdoor_raw_hello() == 0 ? 0 : 3;
         }`,
      );
      const flags = ["-static", "-O2", "-Wall", "-Werror", "-I", `${GUEST}include`];
      await quietly("aarch64-linux-gnu-gcc", [...flags, source, "-o", `${folder}/alone`]);
      await quietly("qemu-aarch64", [`${folder}/alone`]);
    });
  },
);

testWith(
  ["make", CROSS, "qemu-riscv64"],
  "make -C guest links a glibc program with the library",
  async () => {
    await inTemporaryFolder(async (folder) => {
      const program = "build/riscv64/examples/hello";
      await quietly("make", ["-C", GUEST, "-s", `BUILD=${folder}/build`, `${folder}/${program}`]);
      const hello = await run("qemu-riscv64", [`${folder}/${program}`]);
      assertEquals(hello, { code: 1, stdout: "guest: nobody answers\n", stderr: "" });
    });
  },
);

const STRICT = [
  "-Wall",
  "-Wextra",
  "-Wpedantic",
  "-Wconversion",
  "-Wshadow",
  "-Wcast-qual",
  "-Werror",
];

for (
  const [compiler, name, flags] of [
    [CROSS, "C99, hosted", ["-std=c99"]],
    [CROSS, "C99, freestanding", ["-std=c99", "-ffreestanding"]],
    [BARE, "riscv32", ["-std=c99", "-ffreestanding", "-march=rv32gc", "-mabi=ilp32d"]],
    [BARE, "riscv32 without floats", [
      "-std=c99",
      "-ffreestanding",
      "-march=rv32imac",
      "-mabi=ilp32",
    ]],
    ["aarch64-linux-gnu-gcc", "aarch64, hosted", ["-std=c99"]],
    ["aarch64-linux-gnu-gcc", "aarch64, freestanding", ["-std=c99", "-ffreestanding"]],
    ["cc", "an architecture with no instruction", ["-std=c99"]],
  ] as const
) {
  testWith([compiler], `trapdoor.c compiles without a warning for ${name}`, async () => {
    await inTemporaryFolder(async (folder) => {
      const source = ["-I", `${GUEST}include`, "-c", `${GUEST}lib/trapdoor.c`];
      for (const level of ["-O0", "-O2", "-Os"]) {
        await quietly(compiler, [
          ...flags,
          ...STRICT,
          level,
          ...source,
          "-o",
          `${folder}/trapdoor.o`,
        ]);
      }
    });
  });
}

testWith([BARE], "trapdoor.c needs no other function when freestanding", async () => {
  await inTemporaryFolder(async (folder) => {
    const entry = `${folder}/entry.c`;
    await Deno.writeTextFile(
      entry,
      `#include "trapdoor.h"
       void _start(void) {
         trapdoor_init(0);
         trapdoor_call4(0, 1, 2, 3, 4, 5);
         trapdoor_event(0, 1, "x", trapdoor_data_size());
         trapdoor_event2(0, 1, 2, 3);
         trapdoor_raw_call(1, 2, 3, 4, 5);
         trapdoor_fini();
       }`,
    );
    for (const level of ["-O0", "-O2", "-Os"]) {
      await quietly(BARE, [
        ...["-march=rv32gc", "-mabi=ilp32d", "-ffreestanding", "-nostdlib", level],
        "-Wl,--no-warn-rwx-segments",
        ...["-I", `${GUEST}include`, entry, `${GUEST}lib/trapdoor.c`, "-o", `${folder}/entry`],
      ]);
    }
  });
});

for (const compiler of ["riscv64-linux-gnu-g++", "c++"]) {
  testWith([compiler], `trapdoor.h compiles as C++ with ${compiler}`, async () => {
    await inTemporaryFolder(async (folder) => {
      const source = `${folder}/user.cc`;
      await Deno.writeTextFile(
        source,
        `#include "trapdoor.h"
         int main() {
           return trapdoor_init(nullptr) == 0 && trapdoor_call(0, 1, 2) == trapdoor_raw_call(1, 2, 0, 0, 0) &&
                  trapdoor_event2(0, 1, 2, 3) == 0;
         }`,
      );
      for (const std of ["-std=c++11", "-std=c++17", "-std=c++20"]) {
        const flags = [std, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", `${GUEST}include`];
        await quietly(compiler, [...flags, "-c", source, "-o", `${folder}/user.o`]);
      }
    });
  });
}

Deno.test("protocolHeader names every status", () => {
  for (const name of ["OK 0", "UNKNOWN 1", "THREW 2", "VERSION 3", "INVALID 4", "NOBODY (-1)"]) {
    assertStringIncludes(protocolHeader(), `#define TRAPDOOR_STATUS_${name}\n`);
  }
});
