import { assert, assertEquals } from "@std/assert";
import { HostError } from "../machine/user/errno.ts";
import { RISCV32_ABI, RISCV64_ABI } from "../machine/user/riscv_abi.ts";
import { Guest, withDirectory } from "./linux_guest.ts";
import { xorshift } from "./xorshift.ts";

/** Cases for each system call; the 32-bit ABI differs in decoding only. */
const CASES = { 64: 2000, 32: 200 };
/** Calls that a case ends at once; their effect is tested elsewhere. */
const ENDING = new Set(["exit", "exit_group"]);

/** All that a directory holds. */
function snapshot(path: string): string {
  const lines: string[] = [];
  const visit = (at: string) => {
    for (
      const { name, isDirectory } of [...Deno.readDirSync(at)].sort((a, b) =>
        a.name < b.name ? -1 : 1
      )
    ) {
      const info = Deno.lstatSync(`${at}/${name}`);
      lines.push(`${at}/${name} ${info.mode} ${info.size} ${info.mtime?.getTime()} ${info.nlink}`);
      if (isDirectory) visit(`${at}/${name}`);
    }
  };
  visit(path);
  return lines.join("\n");
}

/** A directory to grant, among things that must stay as they are. */
function prepare(root: string): void {
  Deno.mkdirSync(`${root}/in/sub`, { recursive: true });
  Deno.mkdirSync(`${root}/out/dir`, { recursive: true });
  Deno.writeTextFileSync(`${root}/in/file`, "inside");
  Deno.writeTextFileSync(`${root}/out/file`, "outside");
  Deno.symlinkSync("../out/file", `${root}/in/link`);
  Deno.symlinkSync(`${root}/out`, `${root}/in/outlink`);
}

/** Arguments that are nasty, and some that nearly work. */
function wildArgument(guest: Guest, random: () => number, paths: readonly number[]): bigint {
  const pick = <T>(list: readonly T[]): T => list[random() % list.length];
  const { memory, scratch } = guest;
  switch (random() % 8) {
    case 0:
      return pick([
        0n,
        1n,
        -1n,
        2n ** 31n,
        -(2n ** 31n),
        2n ** 32n,
        2n ** 53n,
        2n ** 62n,
        -(2n ** 63n),
      ]);
    case 1:
      return BigInt(random() % 16);
    case 2:
      return BigInt(scratch + random() % 65536);
    case 3:
      return BigInt(pick(paths));
    case 4:
      // Near the edges of mappings and of guest memory.
      return BigInt(pick([0x10000, 0x11000, scratch, scratch + 65536, memory.size])) +
        BigInt(random() % 64) - 32n;
    case 5:
      return BigInt(random()) << 32n | BigInt(random());
    case 6:
      return BigInt(1 << random() % 31);
    default:
      return pick([-100n, 4096n, 0x1000n, 8n, 24n, 64n, 128n, 1n << 40n]);
  }
}

for (const abi of [RISCV64_ABI, RISCV32_ABI]) {
  Deno.test(`every ${abi.name} system call answers when its arguments are wild`, () =>
    withDirectory(async (root) => {
      prepare(root);
      const before = snapshot(`${root}/out`);
      const names = [
        "/g/file",
        "/g/../../out/file",
        "/g/link",
        "/g/outlink/file",
        "/g/new",
        "/",
        "",
        "..",
        "/g/sub",
      ];
      let calls = 0, errors = 0;
      for (const [nr, name] of abi.syscalls) {
        if (ENDING.has(name)) continue;
        const random = xorshift(nr * 7919 + abi.bits);
        let guest: Guest | undefined;
        let paths: number[] = [];
        for (let i = 0; i < CASES[abi.bits]; i++) {
          // A fresh guest now and then: wild calls unmap memory and close descriptors.
          if (
            !guest || i % 500 === 0 || guest.outcome ||
            !guest.memory.isWritable(guest.scratch, 65536)
          ) {
            guest?.linux.close();
            guest = new Guest({
              abi,
              size: 1 << 20,
              grants: [{ host: `${root}/in`, guest: "/g", readonly: false }],
              // Formatting the arguments must stand them too.
              quick: i !== 500,
            });
            const fresh = guest;
            paths = names.map((path) => fresh.text(path));
            guest.call("openat", -100, paths[0], 2);
            guest.call("openat", -100, paths[8], 0);
            const at = guest.alloc(8);
            guest.call("pipe2", at, 0o4000);
          }
          const { cpu } = guest;
          cpu.slots[abi.nr] = BigInt(nr);
          for (const slot of abi.args) cpu.slots[slot] = wildArgument(guest, random, paths);
          const outcome = await guest.linux.syscall();
          calls++;
          guest.outcome = outcome;
          if (outcome === undefined && guest.result < 0 && guest.result > -4096) errors++;
          // Handlers are addresses only: leave them.
          if (cpu.pc !== 0x10000n) guest.outcome = { kind: "exit", status: 0 };
        }
        guest?.linux.close();
      }
      assertEquals(snapshot(`${root}/out`), before);
      assert(errors > calls / 2, `${errors} errors in ${calls} calls`);
    }));
}

Deno.test("nothing but a bad pointer or a refusal of the host becomes an error number", () => {
  const guest = new Guest();
  guest.linux.addFile("/dev/bug", {
    mode: 0o20666,
    open: () => ({
      read() {
        throw new TypeError("a bug of ours");
      },
      write() {
        throw new HostError(28, "the host is full", true);
      },
    }),
  });
  const fd = guest.open("/dev/bug", 2);
  assertEquals(guest.try("write", fd, "x", 1), "ENOSPC");
  assertEquals(guest.notes, ["write: the host is full"]);
  try {
    guest.call("read", fd, guest.scratch, 1);
  } catch (error) {
    assert(error instanceof TypeError);
    return;
  }
  throw new Error("the bug was hidden");
});
