import { assert, assertEquals } from "@std/assert";
import { RISCV32_ABI, RISCV64_ABI } from "../machine/user/riscv_abi.ts";
import { ARG_KINDS } from "../machine/user/arg_kinds.ts";
import { ARG_TYPES } from "../machine/user/strace.ts";
import { Guest, withDirectory } from "./linux_guest.ts";
import { testWith } from "./tools.ts";

const CWD = -100;

/** The line that the last call gave. */
function line(guest: Guest, name: string, ...args: (number | bigint | string)[]): string {
  guest.call(name, ...args);
  return guest.trace.at(-1)!;
}

Deno.test("strace prints calls as strace(1) does when they return", () =>
  withDirectory((root) => {
    const guest = new Guest({ grants: [{ host: root, guest: "/g", readonly: false }] });
    const cases: [string, (number | bigint | string)[], string][] = [
      [
        "openat",
        [CWD, "/none", 0],
        'openat(AT_FDCWD, "/none", O_RDONLY) = -1 ENOENT (No such file or directory)',
      ],
      [
        "openat",
        [CWD, "/g/a", 0o102, 0o644],
        'openat(AT_FDCWD, "/g/a", O_RDWR|O_CREAT, 0644) = 3',
      ],
      [
        "openat",
        [CWD, "/g", 0o2200000],
        'openat(AT_FDCWD, "/g", O_RDONLY|O_DIRECTORY|O_CLOEXEC) = 4',
      ],
      ["openat", [CWD, 8, 3], "openat(AT_FDCWD, 0x8, O_ACCMODE) = -1 EINVAL (Invalid argument)"],
      ["write", [3, 'a\n"\\\t\x01\x7f1', 8], 'write(3, "a\\n\\"\\\\\\t\\1\\1771", 8) = 8'],
      ["write", [1, "x".repeat(40), 40], `write(1, "${"x".repeat(32)}"..., 40) = 40`],
      ["write", [1, 8, 1], "write(1, 0x8, 1) = -1 EFAULT (Bad address)"],
      ["lseek", [3, -2, 2], "lseek(3, -2, SEEK_END) = 6"],
      ["faccessat", [CWD, "/g", 5], 'faccessat(AT_FDCWD, "/g", R_OK|X_OK) = 0'],
      ["faccessat", [CWD, "/g", 0], 'faccessat(AT_FDCWD, "/g", F_OK) = 0'],
      ["unlinkat", [CWD, "/g/a", 0], 'unlinkat(AT_FDCWD, "/g/a", 0) = 0'],
      ["mkdirat", [CWD, "/g/d", 0o755], 'mkdirat(AT_FDCWD, "/g/d", 0755) = 0'],
      ["unlinkat", [CWD, "/g/d", 0x200], 'unlinkat(AT_FDCWD, "/g/d", AT_REMOVEDIR) = 0'],
      ["dup3", [1, 9, 0o2000000], "dup3(1, 9, O_CLOEXEC) = 9"],
      ["fcntl", [9, 1, 0], "fcntl(9, F_GETFD, NULL) = 1"],
      ["kill", [1, 15], "kill(1, SIGTERM) = -1 ESRCH (No such process)"],
      ["getpid", [], "getpid() = 4242"],
      ["munmap", [0x400000, 4096], "munmap(0x400000, 4096) = 0"],
      ["prlimit64", [0, 7, 0, 0], "prlimit64(0, RLIMIT_NOFILE, NULL, NULL) = 0"],
    ];
    for (const [name, args, expected] of cases) {
      assertEquals(line(guest, name, ...args), expected);
    }
    const words = (...values: number[]) => guest.words(...values);
    const at = words(1, 5);
    const hex = (n: number) => `0x${n.toString(16)}`;
    assertEquals(
      line(guest, "clock_getres", 1, at),
      "clock_getres(CLOCK_MONOTONIC, {tv_sec=0, tv_nsec=1}) = 0",
    );
    assertEquals(
      line(guest, "nanosleep", words(0, 0), 0),
      "nanosleep({tv_sec=0, tv_nsec=0}, NULL) = 0",
    );
    assertEquals(
      line(guest, "rt_sigprocmask", 0, words(1 << 9 | 1 << 11), at, 8),
      "rt_sigprocmask(SIG_BLOCK, [USR1 USR2], [], 8) = 0",
    );
    assertEquals(
      line(guest, "rt_sigprocmask", 2, guest.words(-1n), 0, 8),
      "rt_sigprocmask(SIG_SETMASK, ~[], NULL, 8) = 0",
    );
    const mapped = guest.call("mmap", 0, 4096, 3, 0x22, -1, 0);
    assertEquals(
      guest.trace.at(-1),
      `mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = ${hex(mapped)}`,
    );
    assertEquals(line(guest, "brk", 0), `brk(NULL) = ${hex(guest.result)}`);
    assertEquals(line(guest, "pipe2", at, 0), "pipe2([5, 6], 0) = 0");
    guest.call("write", 6, "data", 4);
    assertEquals(line(guest, "read", 5, at, 10), 'read(5, "data", 10) = 4');
    assertEquals(
      line(guest, "read", 99, at, 10),
      `read(99, ${hex(at)}, 10) = -1 EBADF (Bad file descriptor)`,
    );
    assertEquals(
      line(guest, "writev", 1, guest.words(guest.text("ab"), 2, guest.text("c"), 1), 2),
      'writev(1, [{iov_base="ab", iov_len=2}, {iov_base="c", iov_len=1}], 2) = 3',
    );
    const stat = guest.alloc(128);
    assertEquals(
      line(guest, "newfstatat", CWD, "/dev/null", stat, 0x100),
      'newfstatat(AT_FDCWD, "/dev/null", {st_mode=S_IFCHR|0666, st_size=0, ...}, AT_SYMLINK_NOFOLLOW) = 0',
    );
    assertEquals(line(guest, "exit_group", 3), "exit_group(3) = ?");
  }));

Deno.test("strace prints a waiting call when it returns", async () => {
  const guest = new Guest({ signalled: true });
  await guest.waits("nanosleep", guest.words(1, 0), 0);
  assertEquals(guest.trace, ["nanosleep({tv_sec=1, tv_nsec=0}, NULL) = 0"]);
});

Deno.test("strace prints unknown numbers when the guest uses them", () => {
  const guest = new Guest();
  guest.cpu.slots[guest.abi.nr] = 0x3ffn;
  guest.linux.syscall();
  assertEquals(guest.trace, ["syscall_0x3ff(...) = -1 ENOSYS"]);
});

Deno.test("the system-call tables are sound when they are read", () => {
  for (const { syscalls, bits } of [RISCV64_ABI, RISCV32_ABI]) {
    const numbers = syscalls.map(([nr]) => nr), names = syscalls.map(([, name]) => name);
    assertEquals(new Set(numbers).size, numbers.length);
    assertEquals(new Set(names).size, names.length);
    for (const [, name, args] of syscalls) {
      const types = args === "" ? [] : args.split(" ");
      // An offset takes two 32-bit registers.
      const registers = types.map((type) => {
        const kind = ARG_KINDS.get(type);
        assert(kind && ARG_TYPES[type], `${name}: ${type}`);
        return kind === "wide" || (kind === "offset" && bits === 32) ? 2 : 1;
      });
      assert(registers.reduce((a, b) => a + b, 0) <= 6, name);
    }
  }
});

/** Runs the cross compiler on a text for 64 or 32 bits. */
async function compile(bits: number, options: string[], text: string): Promise<string> {
  const target = bits === 64 ? [] : ["-march=rv32gc", "-mabi=ilp32d"];
  const child = new Deno.Command("riscv64-linux-gnu-gcc", {
    args: [...target, ...options, "-x", "c", "-o", "-", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

const GCC = ["riscv64-linux-gnu-gcc"];

testWith(
  GCC,
  "the system-call numbers are those of Linux' headers when they are compared",
  async () => {
    // Newer than the headers of common distributions.
    const later = new Set(["fchmodat2", "riscv_hwprobe"]);
    for (const { bits, syscalls } of [RISCV64_ABI, RISCV32_ABI]) {
      const text = await compile(bits, ["-E", "-dM"], "#include <asm/unistd.h>\n");
      const values = new Map(
        [...text.matchAll(/#define (__NR\w+) (.+)/g)].map(([, name, value]) => [name, value]),
      );
      const number = (name: string): number => {
        const value = values.get(name) ?? "NaN";
        const sum = value.match(/^\((\w+) \+ (\d+)\)$/);
        if (sum) return number(sum[1]) + Number(sum[2]);
        return value.startsWith("__NR") ? number(value) : Number(value);
      };
      for (const [nr, name] of syscalls) {
        if (!later.has(name)) assertEquals(nr, number(`__NR_${name}`), `${bits} ${name}`);
      }
    }
  },
);

testWith(GCC, "the structure layouts are the cross compiler's when they are compared", async () => {
  for (const { bits, stat, statfs, signalFrame } of [RISCV64_ABI, RISCV32_ABI]) {
    const struct = bits === 64 ? "struct stat" : "struct stat64";
    const space = bits === 64 ? "struct statfs" : "struct statfs64";
    const fields: [string, string, number][] = [
      [struct, "st_dev", stat.dev],
      [struct, "st_ino", stat.ino],
      [struct, "st_mode", stat.mode],
      [struct, "st_nlink", stat.nlink],
      [struct, "st_uid", stat.uid],
      [struct, "st_gid", stat.gid],
      [struct, "st_rdev", stat.rdev],
      [struct, "st_size", stat.bytes],
      [struct, "st_blksize", stat.blksize],
      [struct, "st_blocks", stat.blocks],
      [struct, "st_atime", stat.atime],
      [struct, "st_mtime", stat.mtime],
      [struct, "st_ctime", stat.ctime],
      [space, "f_bsize", statfs.bsize],
      [space, "f_blocks", statfs.blocks],
      [space, "f_namelen", statfs.namelen],
      [space, "f_frsize", statfs.frsize],
      [space, "f_flags", statfs.flags],
    ];
    const sizes: [string, number][] = [
      [struct, stat.size],
      [space, statfs.size],
      ["siginfo_t", signalFrame.ucontext],
      ["struct ucontext", signalFrame.size - signalFrame.ucontext],
    ];
    const checks = [
      ...fields.map(([type, field, at]) => `__builtin_offsetof(${type}, ${field}) == ${at}`),
      ...sizes.map(([type, size]) => `sizeof(${type}) == ${size}`),
    ].map((check) => `_Static_assert(${check}, "${check}");`);
    const headers = ["linux/types", "asm/signal", "asm/siginfo", "asm/sigcontext", "asm/ucontext"];
    const includes = [...headers, "asm/stat", "asm/statfs"].map((name) => `#include <${name}.h>`);
    await compile(bits, ["-S"], [...includes, ...checks, ""].join("\n"));
  }
});
