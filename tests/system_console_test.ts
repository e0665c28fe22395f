import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Console } from "../machine/system/console.ts";
import { SystemMachine } from "../machine/system/machine.ts";
import { trapdoor } from "./emulator.ts";
import { BARE_METAL_GCC, buildBareMetal } from "./system_guest.ts";
import { testWith } from "./tools.ts";

/** A keyboard: gives each text once, and then waits for ever. */
function keyboard(texts: string[]) {
  const raw: boolean[] = [];
  let read = 0;
  return {
    raw,
    get count() {
      return read;
    },
    read(buffer: Uint8Array<ArrayBuffer>): Promise<number | null> {
      const text = texts[read];
      if (text === undefined) return new Promise(() => {});
      read++;
      buffer.set(new TextEncoder().encode(text));
      return Promise.resolve(text.length);
    },
    isTerminal: () => true,
    setRaw: (on: boolean) => void raw.push(on),
  };
}

async function converse(texts: string[], terminal: boolean) {
  let output = "", quit = 0;
  const input = keyboard(texts);
  const console = new Console(
    input,
    { write: (bytes) => void (output += new TextDecoder().decode(bytes)) },
    terminal,
  );
  console.onQuit = () => quit++;
  console.open();
  await new Promise((resolve) => setTimeout(resolve, 0));
  let received = "";
  for (let byte = console.receive(); byte >= 0; byte = console.receive()) {
    received += String.fromCharCode(byte);
  }
  await console.flush();
  console.close();
  return { received, output, quit, raw: input.raw };
}

Deno.test("Console takes Ctrl-A x, h and Ctrl-A for itself when it has a terminal", async () => {
  const { received, output, quit, raw } = await converse(
    ["a\x01\x01b", "\x01", "h\x01?c\x01x"],
    true,
  );
  assertEquals([received, quit, raw], ["a\x01bc", 1, [true, false]]);
  assertStringIncludes(output, "Ctrl-A x: end the machine");
});

Deno.test("Console passes every byte on when its input is no terminal", async () => {
  const { received, quit, raw } = await converse(["a\x01x\x01"], false);
  assertEquals([received, quit, raw], ["a\x01x\x01", 0, []]);
});

Deno.test("Console takes no more input than the guest may fall behind", async () => {
  const input = keyboard(Array.from({ length: 100 }, () => "x".repeat(100)));
  const console = new Console(input, { write: () => {} }, true);
  console.open();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert(input.count <= 11, `${input.count} reads`);
  for (let i = 0; i < 200; i++) console.receive();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert(input.count > 11);
  console.close();
});

Deno.test("Ctrl-A x ends a machine that runs and one that waits, and the terminal is given back", async () => {
  // j . and: wfi; j to it.
  for (const words of [[0x6f], [0x10500073, 0xffdff06f]]) {
    const input = keyboard(["\x01x"]);
    const machine = await SystemMachine.create({
      bios: "none",
      kernel: new Uint8Array(new Uint32Array(words).buffer),
      stdin: "inherit",
      stdout: "null",
      host: { stdin: input },
    });
    const { reason } = await machine.run();
    assertEquals([reason, input.raw], ["stopped", [true, false]]);
  }
});

testWith(
  [BARE_METAL_GCC],
  "--console virtio leads the terminal's input to a virtio console, and shows the output of both",
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      const program = await buildBareMetal("console", 64, folder);
      const start = ["--machine", "virt", "--bios", "none"];
      // Longer than the guest's buffer.
      const text = "typed at the virtio console\n";
      const virtio = ["--console", "virtio"];
      const ran = await trapdoor([...start, ...virtio, program], { stdin: text });
      assertEquals([ran.code, ran.stdout, ran.stderr], [0, `serial\nvirtio\n${text}`, ""]);
      const serial = await trapdoor([...start, "--console", "serial", program]);
      assertEquals([serial.code, serial.stdout], [0, "no virtio console\n"]);
      const wrong = await trapdoor([...start, "--console", "hvc0", program]);
      assertEquals([wrong.code, wrong.stdout], [2, ""]);
      assertStringIncludes(wrong.stderr, "--console hvc0: one of serial, virtio");
      const limit = ["--icount", "--max-instructions", "3000", "--save", `${folder}/snap`];
      const saved = await trapdoor([...start, ...limit, ...virtio, program]);
      assertEquals([saved.code, saved.stdout], [124, "serial\nvirtio\n"]);
      const load = ["--machine", "virt", "--load", `${folder}/snap`];
      const loaded = await trapdoor([...load, ...virtio], { stdin: text });
      assertEquals([loaded.code, loaded.stdout], [0, text]);
      const without = await trapdoor(load);
      assertEquals(without.code, 1);
      assertStringIncludes(without.stderr, "the machine had a virtio console: say where it leads");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
