import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { GENERIC_RENAMEAT } from "../machine/user/abi_generic.ts";
import { ioCalls } from "../machine/user/io_calls.ts";
import { ioctlCalls } from "../machine/user/ioctl.ts";
import { pathCalls } from "../machine/user/path_calls.ts";
import { RISCV32_ABI, RISCV64_ABI } from "../machine/user/riscv_abi.ts";
import { statCalls } from "../machine/user/stat_calls.ts";
import { Guest, type GuestOptions, withDirectory } from "./linux_guest.ts";

const O = { WRONLY: 1, RDWR: 2, CREAT: 0o100, TRUNC: 0o1000, APPEND: 0o2000, NONBLOCK: 0o4000 };
const DIRECTORY = 0o200000, CLOEXEC = 0o2000000, PATH = 0o10000000, NOFOLLOW = 0o400000;
const CWD = -100, EMPTY_PATH = 0x1000;

/** Runs a test with a guest that has a directory at /g. */
function withGuest(
  test: (guest: Guest, root: string) => void | Promise<void>,
  options: GuestOptions = {},
): Promise<void> {
  return withDirectory((root) =>
    test(new Guest({ grants: [{ host: root, guest: "/g", readonly: false }], ...options }), root)
  );
}

function read(guest: Guest, fd: number, size: number): string {
  const buffer = guest.alloc(size);
  const count = guest.call("read", fd, buffer, size);
  return count < 0 ? String(count) : new TextDecoder().decode(guest.memory.read(buffer, count));
}

Deno.test("openat, read, write and lseek work when a file is made and used", () =>
  withGuest((guest, root) => {
    const fd = guest.open("/g/file", O.CREAT | O.RDWR, 0o640);
    assertEquals(fd, 3);
    assertEquals(guest.call("write", fd, "hello world", 11), 11);
    assertEquals(Deno.readTextFileSync(`${root}/file`), "hello world");
    assertEquals(Deno.statSync(`${root}/file`).mode! & 0o777, 0o640);
    assertEquals(guest.call("lseek", fd, 6, 0), 6);
    assertEquals(read(guest, fd, 100), "world");
    assertEquals(read(guest, fd, 100), "");
    assertEquals(guest.call("lseek", fd, -5, 2), 6);
    assertEquals(guest.call("lseek", fd, -2, 1), 4);
    assertEquals(guest.call("lseek", fd, 3, 3), 3);
    assertEquals(guest.call("lseek", fd, 3, 4), 11);
    assertEquals(guest.try("lseek", fd, 11, 3), "ENXIO");
    assertEquals(guest.try("lseek", fd, -1, 0), "EINVAL");
    assertEquals(guest.try("lseek", fd, 1n << 62n, 0), "EINVAL");
    assertEquals(guest.try("lseek", fd, 0, 9), "EINVAL");
    assertEquals(guest.call("lseek", fd, 2 ** 40, 0), 2 ** 40);
    assertEquals(read(guest, fd, 5), "");
    assertEquals(guest.call("close", fd), 0);
    assertEquals(guest.try("close", fd), "EBADF");
    assertEquals(guest.try("read", fd, guest.scratch, 1), "EBADF");
    const again = guest.open("/g/file", O.WRONLY | O.TRUNC);
    assertEquals(again, 3);
    assertEquals(guest.try("read", again, guest.scratch, 1), "EBADF");
    assertEquals(Deno.readTextFileSync(`${root}/file`), "");
  }));

Deno.test("write appends when the file is opened with O_APPEND or F_SETFL adds it", () =>
  withGuest((guest, root) => {
    Deno.writeTextFileSync(`${root}/log`, "one");
    const fd = guest.open("/g/log", O.RDWR | O.APPEND);
    guest.call("write", fd, "two", 3);
    assertEquals(guest.call("lseek", fd, 0, 1), 6);
    const other = guest.open("/g/log", O.WRONLY);
    assertEquals(guest.call("fcntl", other, 4, O.APPEND), 0);
    guest.call("write", other, "three", 5);
    assertEquals(guest.call("fcntl", other, 4, 0), 0);
    guest.call("lseek", other, 0, 0);
    guest.call("write", other, "O", 1);
    assertEquals(Deno.readTextFileSync(`${root}/log`), "Onetwothree");
  }));

Deno.test("pread64, pwrite64 and vectors leave the position when they have their own", () =>
  withGuest((guest, root) => {
    const fd = guest.open("/g/file", O.CREAT | O.RDWR);
    const vector = guest.words(guest.text("abc"), 3, guest.text(""), 0, guest.text("defgh"), 5);
    assertEquals(guest.call("writev", fd, vector, 3), 8);
    assertEquals(guest.call("pwrite64", fd, "XY", 2, 1), 2);
    assertEquals(guest.call("lseek", fd, 0, 1), 8);
    const buffer = guest.alloc(64);
    assertEquals(guest.call("pread64", fd, buffer, 64, 3), 5);
    assertEquals(guest.memory.readCString(buffer), "defgh");
    const into = guest.words(buffer, 2, buffer + 10, 3, buffer + 20, 10);
    assertEquals(guest.call("preadv", fd, into, 3, 0), 8);
    assertEquals(new TextDecoder().decode(guest.memory.read(buffer + 10, 3)), "Ydef".slice(0, 3));
    assertEquals(guest.call("preadv2", fd, into, 3, 4, 0, 0), 4);
    assertEquals(guest.call("preadv2", fd, into, 3, -1, 0, 0), 0);
    assertEquals(guest.call("lseek", fd, 0, 0), 0);
    assertEquals(guest.call("readv", fd, into, 2), 5);
    assertEquals(guest.call("lseek", fd, 0, 1), 5);
    assertEquals(guest.call("pwritev", fd, vector, 3, 100), 8);
    assertEquals(guest.call("pwritev2", fd, vector, 3, 100, 0, 0), 8);
    assertEquals(Deno.statSync(`${root}/file`).size, 108);
    assertEquals(guest.try("pread64", fd, buffer, 1, -1), "EINVAL");
    assertEquals(guest.try("pread64", 0, buffer, 1, 0), "ESPIPE");
    assertEquals(guest.try("preadv2", fd, into, 3, 0, 0, 64), "EOPNOTSUPP");
    assertEquals(guest.try("readv", fd, into, 1025), "EINVAL");
    assertEquals(guest.try("readv", fd, 8, 1), "EFAULT");
    assertEquals(guest.try("readv", fd, guest.words(buffer, -1), 1), "EINVAL");
  }));

Deno.test("read and write stop at the first bad byte when a buffer reaches into nothing", () =>
  withGuest((guest) => {
    const fd = guest.open("/g/file", O.CREAT | O.RDWR);
    guest.call("write", fd, "0123456789", 10);
    const page = guest.call("mmap", 0, 8192, 3, 0x22, -1, 0);
    guest.call("munmap", page + 4096, 4096);
    const near = page + 4096 - 4;
    assertEquals(guest.call("pread64", fd, near, 2 ** 40, 0), 4);
    assertEquals(guest.call("pwrite64", fd, near, 100, 0), 4);
    assertEquals(guest.try("pread64", fd, page + 4096, 1, 0), "EFAULT");
    assertEquals(guest.try("read", fd, -8, 8), "EFAULT");
    assertEquals(guest.call("read", fd, -8, 0), 0);
    const vector = guest.words(near, 4, page + 4096, 4);
    assertEquals(guest.call("preadv", fd, vector, 2, 0), 4);
    assertEquals(guest.try("pread64", fd, 0x10000, 1, 0), "EFAULT");
  }));

Deno.test("the stat family tells the same when a file is asked for in several ways", () =>
  withGuest((guest, root) => {
    Deno.writeTextFileSync(`${root}/file`, "12345");
    Deno.symlinkSync("file", `${root}/link`);
    Deno.utimeSync(`${root}/file`, 1234.5, 5678.25);
    const info = Deno.statSync(`${root}/file`);
    const fd = guest.open("/g/file");
    const at = guest.alloc(256);
    const { memory } = guest;
    const check = () => {
      assertEquals(memory.readU64(at), BigInt(info.dev));
      assertEquals(memory.readU64(at + 8), BigInt(info.ino!));
      assertEquals(memory.readU32(at + 16), info.mode);
      assertEquals(memory.readU32(at + 20), 1);
      assertEquals(memory.readU64(at + 48), 5n);
      assertEquals(memory.readU64(at + 72), 1234n);
      assertEquals(memory.readU64(at + 80), 500_000_000n);
      assertEquals(memory.readU64(at + 88), 5678n);
      memory.write(at, new Uint8Array(128));
    };
    assertEquals(guest.call("newfstatat", CWD, "/g/file", at, 0), 0);
    check();
    assertEquals(guest.call("newfstatat", CWD, "/g/link", at, 0), 0);
    check();
    assertEquals(guest.call("fstat", fd, at), 0);
    check();
    assertEquals(guest.call("newfstatat", fd, "", at, EMPTY_PATH), 0);
    check();
    const path = guest.open("/g/link", PATH | NOFOLLOW);
    assertEquals(guest.call("fstat", path, at), 0);
    assertEquals(memory.readU32(at + 16) >> 12, 10);
    assertEquals(guest.call("newfstatat", CWD, "/g/link", at, 0x100), 0);
    assertEquals(memory.readU32(at + 16) >> 12, 10);
    assertEquals(guest.call("statx", CWD, "/g/file", 0, 0xfff, at), 0);
    assertEquals(memory.readU16(at + 28), info.mode! & 0xffff);
    assertEquals(memory.readU64(at + 40), 5n);
    assertEquals(memory.readU64(at + 112), 5678n);
    assertEquals(memory.readU32(at + 120), 250_000_000);
    assertEquals(guest.try("newfstatat", CWD, "", at, 0), "ENOENT");
    assertEquals(guest.try("newfstatat", CWD, "/g/file", 8, 0), "EFAULT");
    assertEquals(guest.try("newfstatat", CWD, 8, at, 0), "EFAULT");
    assertEquals(guest.try("newfstatat", 77, "file", at, 0), "EBADF");
    assertEquals(guest.try("newfstatat", fd, "file", at, 0), "ENOTDIR");
    assertEquals(guest.try("statx", CWD, "/g/file", 0x6000, 0, at), "EINVAL");
    assertEquals(guest.try("newfstatat", CWD, "/g/file/", at, 0), "ENOTDIR");
    assertEquals(guest.try("newfstatat", CWD, "/g/" + "x".repeat(256), at, 0), "ENAMETOOLONG");
    assertEquals(guest.try("newfstatat", CWD, "/g/" + "x/".repeat(2100), at, 0), "ENAMETOOLONG");
    guest.reset();
    assertEquals(guest.call("statfs", "/g", at), 0);
    assertEquals(memory.readU64(at), 0xef53n);
    assert(memory.readU64(at + 16) > 0n);
    assertEquals(guest.call("fstatfs", fd, at), 0);
    assertEquals(memory.readU64(at + 64), 255n);
    assertEquals(guest.call("faccessat", CWD, "/g/file", 4), 0);
    assertEquals(guest.call("faccessat2", CWD, "/g/file", 6, 0x200), 0);
    assertEquals(guest.try("faccessat", CWD, "/g/file", 1), "EACCES");
    assertEquals(guest.try("faccessat", CWD, "/g/file", 8), "EINVAL");
  }));

Deno.test("directories can be made, read and removed when the guest may write", () =>
  withGuest((guest, root) => {
    assertEquals(guest.call("mkdirat", CWD, "/g/dir", 0o755), 0);
    assertEquals(guest.try("mkdirat", CWD, "/g/dir", 0o755), "EEXIST");
    for (let i = 0; i < 20; i++) Deno.writeTextFileSync(`${root}/dir/file-${i}`, "");
    const fd = guest.open("/g/dir", DIRECTORY);
    const buffer = guest.alloc(256);
    const seen: string[] = [];
    for (;;) {
      const size = guest.call("getdents64", fd, buffer, 256);
      if (size === 0) break;
      assert(size > 0 && size <= 256);
      for (let at = buffer; at < buffer + size; at += guest.memory.readU16(at + 16)) {
        seen.push(guest.memory.readCString(at + 19));
      }
    }
    assertEquals(seen.length, 22);
    assertEquals(new Set(seen).size, 22);
    assertEquals(seen.slice(0, 2), [".", ".."]);
    // Rewound, the directory is read again.
    Deno.removeSync(`${root}/dir/file-3`);
    assertEquals(guest.call("lseek", fd, 0, 0), 0);
    assertEquals(guest.call("getdents64", fd, buffer, 24), 24);
    assertEquals(guest.try("getdents64", fd, buffer, 10), "EINVAL");
    assertEquals(guest.try("read", fd, buffer, 10), "EISDIR");
    assertEquals(guest.try("openat", CWD, "/g/dir", O.WRONLY), "EISDIR");
    assertEquals(guest.try("openat", CWD, "/g/dir/file-1", DIRECTORY), "ENOTDIR");
    assertEquals(guest.try("unlinkat", CWD, "/g/dir", 0x200), "ENOTEMPTY");
    assertEquals(guest.try("unlinkat", CWD, "/g/dir", 0), "EISDIR");
    assertEquals(guest.try("unlinkat", CWD, "/g/dir/file-1", 0x200), "ENOTDIR");
    for (let i = 0; i < 20; i++) if (i !== 3) guest.call("unlinkat", fd, `file-${i}`, 0);
    assertEquals(guest.try("unlinkat", CWD, "/g/dir/.", 0x200), "EINVAL");
    assertEquals(guest.call("unlinkat", CWD, "/g/dir", 0x200), 0);
    assertEquals(guest.try("getdents64", fd, buffer, 256), "ENOENT");
    assertEquals([...Deno.readDirSync(root)], []);
  }));

Deno.test("renames and links change names when they are allowed", () =>
  withGuest((guest, root) => {
    Deno.writeTextFileSync(`${root}/a`, "A");
    Deno.writeTextFileSync(`${root}/b`, "B");
    Deno.mkdirSync(`${root}/dir`);
    assertEquals(guest.try("renameat2", CWD, "/g/a", CWD, "/g/b", 1), "EEXIST");
    assertEquals(guest.try("renameat2", CWD, "/g/a", CWD, "/g/b", 2), "EINVAL");
    assertEquals(guest.call("renameat2", CWD, "/g/a", CWD, "/g/b", 0), 0);
    assertEquals(Deno.readTextFileSync(`${root}/b`), "A");
    assertEquals(guest.call("renameat", CWD, "/g/b", CWD, "/g/dir/c"), 0);
    assertEquals(guest.try("renameat2", CWD, "/g/dir", CWD, "/g/dir/x", 0), "EINVAL");
    assertEquals(guest.try("renameat2", CWD, "/g/dir/c", CWD, "/g/new/", 0), "ENOTDIR");
    assertEquals(guest.try("renameat2", CWD, "/g/dir/.", CWD, "/g/new", 0), "EBUSY");
    assertEquals(guest.try("renameat2", CWD, "/g/none", CWD, "/g/new", 0), "ENOENT");
    assertEquals(guest.call("linkat", CWD, "/g/dir/c", CWD, "/g/hard", 0), 0);
    assertEquals(Deno.statSync(`${root}/hard`).nlink, 2);
    assertEquals(guest.try("linkat", CWD, "/g/dir", CWD, "/g/hard2", 0), "EPERM");
    assertEquals(guest.try("linkat", CWD, "/g/dir/c", CWD, "/g/hard", 0), "EEXIST");
    assertEquals(guest.call("symlinkat", "some/target", CWD, "/g/sym"), 0);
    assertEquals(guest.try("symlinkat", "", CWD, "/g/sym2"), "ENOENT");
    const buffer = guest.alloc(64);
    assertEquals(guest.call("readlinkat", CWD, "/g/sym", buffer, 64), 11);
    assertEquals(guest.call("readlinkat", CWD, "/g/sym", buffer, 4), 4);
    assertEquals(guest.try("readlinkat", CWD, "/g/hard", buffer, 64), "EINVAL");
    assertEquals(guest.try("readlinkat", CWD, "/g/sym", buffer, 0), "EINVAL");
    const fd = guest.open("/g/sym", PATH | NOFOLLOW);
    assertEquals(guest.call("readlinkat", fd, "", buffer, 64), 11);
    assertEquals(guest.call("mknodat", CWD, "/g/plain", 0o100600, 0), 0);
    assertEquals(guest.try("mknodat", CWD, "/g/fifo", 0o010600, 0), "EPERM");
  }, { abi: { ...RISCV64_ABI, syscalls: [...RISCV64_ABI.syscalls, GENERIC_RENAMEAT] } }));

Deno.test("modes, owners, times and sizes change when the guest asks", () =>
  withGuest((guest, root) => {
    Deno.writeTextFileSync(`${root}/file`, "12345");
    const file = `${root}/file`;
    const fd = guest.open("/g/file", O.RDWR);
    assertEquals(guest.call("fchmod", fd, 0o600), 0);
    assertEquals(Deno.statSync(file).mode! & 0o777, 0o600);
    assertEquals(guest.call("fchmodat", CWD, "/g/file", 0o644), 0);
    assertEquals(guest.call("fchmodat2", CWD, "/g/file", 0o640, 0), 0);
    assertEquals(Deno.statSync(file).mode! & 0o777, 0o640);
    const { uid, gid } = Deno.statSync(file);
    assertEquals(guest.call("fchown", fd, uid!, gid!), 0);
    assertEquals(guest.call("fchownat", CWD, "/g/file", -1, -1, 0), 0);
    const times = guest.words(100, 500_000_000, 200, 0);
    assertEquals(guest.call("utimensat", CWD, "/g/file", times, 0), 0);
    assertEquals(Deno.statSync(file).atime!.getTime(), 100_500);
    assertEquals(Deno.statSync(file).mtime!.getTime(), 200_000);
    // UTIME_OMIT for the first, UTIME_NOW for the second.
    const special = guest.words(0, 0x3ffffffe, 0, 0x3fffffff);
    assertEquals(guest.call("utimensat", fd, 0, special, 0), 0);
    assertEquals(Deno.statSync(file).atime!.getTime(), 100_500);
    assertEquals(Deno.statSync(file).mtime!.getTime(), Math.floor(guest.clock.realtime()));
    assertEquals(guest.try("utimensat", CWD, "/g/file", guest.words(0, 2e9, 0, 0), 0), "EINVAL");
    assertEquals(guest.call("ftruncate", fd, 2), 0);
    assertEquals(Deno.readTextFileSync(file), "12");
    assertEquals(guest.call("truncate", "/g/file", 4), 0);
    assertEquals(Deno.statSync(file).size, 4);
    assertEquals(guest.call("fallocate", fd, 0, 0, 10), 0);
    assertEquals(guest.call("fallocate", fd, 1, 0, 100), 0);
    assertEquals(Deno.statSync(file).size, 10);
    assertEquals(guest.try("fallocate", fd, 0x10, 0, 100), "EOPNOTSUPP");
    assertEquals(guest.try("fallocate", fd, 0, 0, 0), "EINVAL");
    assertEquals(guest.try("ftruncate", fd, -1), "EINVAL");
    assertEquals(guest.try("ftruncate", fd, 1n << 62n), "EFBIG");
    for (const name of ["fsync", "fdatasync", "syncfs"]) assertEquals(guest.call(name, fd), 0);
    assertEquals(guest.call("sync"), 0);
    assertEquals(guest.call("sync_file_range", fd, 0, 0, 0), 0);
    assertEquals(guest.call("flock", fd, 2), 0);
    assertEquals(guest.call("fadvise64", fd, 0, 0, 1), 0);
    assertEquals(guest.call("readahead", fd, 0, 10), 0);
    guest.call("umask", 0);
    guest.call("close", guest.open("/g/open-to-all", O.CREAT | O.WRONLY, 0o666));
    assertEquals(Deno.statSync(`${root}/open-to-all`).mode! & 0o777, 0o666);
  }));

Deno.test("getcwd and chdir agree when the guest moves", () =>
  withGuest((guest, root) => {
    Deno.mkdirSync(`${root}/dir`);
    Deno.writeTextFileSync(`${root}/dir/file`, "x");
    Deno.symlinkSync("dir", `${root}/link`);
    const buffer = guest.alloc(64);
    const cwd = () => {
      const length = guest.call("getcwd", buffer, 64);
      assertEquals(length, guest.memory.readCString(buffer).length + 1);
      return guest.memory.readCString(buffer);
    };
    assertEquals(cwd(), "/");
    assertEquals(guest.call("chdir", "/g/link"), 0);
    assertEquals(cwd(), "/g/dir");
    assertEquals(guest.cat("file"), "x");
    assertEquals(guest.call("chdir", ".."), 0);
    assertEquals(cwd(), "/g");
    assertEquals(guest.call("fchdir", guest.open("dir", DIRECTORY)), 0);
    assertEquals(cwd(), "/g/dir");
    assertEquals(guest.try("getcwd", buffer, 3), "ERANGE");
    assertEquals(guest.try("chdir", "file"), "ENOTDIR");
    assertEquals(guest.try("chdir", "none"), "ENOENT");
    Deno.removeSync(`${root}/dir`, { recursive: true });
    assertEquals(guest.try("getcwd", buffer, 64), "ENOENT");
  }, { cwd: "/" }));

Deno.test("descriptors are copied, flagged and limited when fcntl and friends are used", () =>
  withGuest((guest) => {
    const fd = guest.open("/g/file", O.CREAT | O.RDWR | CLOEXEC);
    assertEquals(guest.call("fcntl", fd, 1, 0), 1);
    assertEquals(guest.call("fcntl", fd, 2, 0), 0);
    assertEquals(guest.call("fcntl", fd, 1, 0), 0);
    assertEquals(guest.call("fcntl", fd, 3, 0) & 0o3, O.RDWR);
    assertEquals(guest.call("fcntl", fd, 4, O.NONBLOCK), 0);
    assertEquals((guest.call("fcntl", fd, 3, 0) & O.NONBLOCK) !== 0, true);
    assertEquals(guest.call("fcntl", fd, 0, 10), 10);
    assertEquals(guest.call("fcntl", fd, 1030, 10), 11);
    assertEquals(guest.call("fcntl", 11, 1, 0), 1);
    assertEquals(guest.try("fcntl", fd, 0, -1), "EINVAL");
    assertEquals(guest.call("dup", fd), 4);
    assertEquals(guest.call("dup3", fd, 20, CLOEXEC), 20);
    assertEquals(guest.try("dup3", fd, fd, 0), "EINVAL");
    assertEquals(guest.try("dup3", fd, 5000, 0), "EBADF");
    guest.call("write", 20, "shared", 6);
    assertEquals(guest.call("lseek", fd, 0, 1), 6);
    const lock = guest.alloc(32);
    assertEquals(guest.call("fcntl", fd, 6, lock), 0);
    assertEquals(guest.call("fcntl", fd, 5, lock), 0);
    assertEquals(guest.memory.readU16(lock), 2);
    assertEquals(guest.call("close_range", 4, 19, 0), 0);
    assertEquals(guest.try("lseek", 10, 0, 1), "EBADF");
    assertEquals(guest.call("lseek", 20, 0, 1), 6);
    assertEquals(guest.call("prlimit64", 0, 7, guest.words(5, 5), 0), 0);
    assertEquals(guest.call("dup", fd), 4);
    assertEquals(guest.try("dup", fd), "EMFILE");
    assertEquals(guest.try("openat", CWD, "/g/file", 0), "EMFILE");
    assertEquals(guest.try("pipe2", guest.alloc(8), 0), "EMFILE");
  }));

Deno.test("sendfile copies when the target is a stream or a file", () =>
  withGuest((guest, root) => {
    Deno.writeTextFileSync(`${root}/from`, "0123456789");
    const from = guest.open("/g/from"), to = guest.open("/g/to", O.CREAT | O.RDWR);
    assertEquals(guest.call("sendfile", 1, from, 0, 4), 4);
    assertEquals(guest.stdout, "0123");
    assertEquals(guest.call("lseek", from, 0, 1), 4);
    const offset = guest.words(8);
    assertEquals(guest.call("sendfile", to, from, offset, 100), 2);
    assertEquals(guest.memory.readU64(offset), 10n);
    assertEquals(guest.call("lseek", from, 0, 1), 4);
    assertEquals(Deno.readTextFileSync(`${root}/to`), "89");
    assertEquals(guest.call("sendfile", to, from, offset, 100), 0);
  }));

Deno.test("standard streams read and write when the host has them", () => {
  const guest = new Guest({ stdin: "line 1\nline 2\n" });
  assertEquals(read(guest, 0, 7), "line 1\n");
  assertEquals(read(guest, 0, 100), "line 2\n");
  assertEquals(read(guest, 0, 100), "");
  assertEquals(guest.call("write", 1, "out", 3), 3);
  assertEquals(guest.call("writev", 2, guest.words(guest.text("e"), 1, guest.text("rr"), 2), 2), 3);
  assertEquals([guest.stdout, guest.stderr], ["out", "err"]);
  assertEquals(guest.try("write", 0, "x", 1), "EBADF");
  assertEquals(guest.try("lseek", 0, 0, 0), "ESPIPE");
  assertEquals(guest.try("ioctl", 0, 0x5401, guest.scratch), "ENOTTY");
});

Deno.test("terminals answer ioctl when a stream is one", () => {
  const raw: boolean[] = [];
  const guest = new Guest({
    host: {
      stdin: { readSync: () => 0, isTerminal: () => true, setRaw: (on) => raw.push(on) },
      terminalSize: () => ({ columns: 132, rows: 50 }),
    },
  });
  const at = guest.alloc(64);
  assertEquals(guest.call("ioctl", 0, 0x5413, at), 0);
  assertEquals([guest.memory.readU16(at), guest.memory.readU16(at + 2)], [50, 132]);
  assertEquals(guest.call("ioctl", 0, 0x5401, at), 0);
  const local = guest.memory.readU32(at + 12);
  assertEquals(local & 2, 2);
  guest.memory.writeU32(at + 12, local & ~2);
  assertEquals(guest.call("ioctl", 0, 0x5402, at), 0);
  assertEquals(raw, [true]);
  assertEquals(guest.call("ioctl", 0, 0x5401, at), 0);
  assertEquals(guest.memory.readU32(at + 12), local & ~2);
  assertEquals(guest.try("ioctl", 0, 0x5413, 8), "EFAULT");
  assertEquals(guest.try("ioctl", 1, 0x5413, at), "ENOTTY");
  assertEquals(guest.try("ioctl", 0, 0x1234, at), "ENOTTY");
});

Deno.test("virtual files answer when /dev and /proc are used", () =>
  withGuest((guest, root) => {
    assertEquals(guest.cat("/dev/null"), "");
    const nul = guest.open("/dev/null", O.WRONLY);
    assertEquals(guest.call("write", nul, "x", 1), 1);
    const buffer = guest.alloc(16);
    assertEquals(guest.call("read", guest.open("/dev/zero"), buffer, 16), 16);
    assertEquals(guest.call("read", guest.open("/dev/urandom"), buffer, 3), 3);
    assertEquals([...guest.memory.read(buffer, 4)], [1, 8, 15, 0]);
    assertEquals(guest.try("write", guest.open("/dev/full", O.WRONLY), "x", 1), "ENOSPC");
    assertEquals(guest.cat("/proc/self/exe"), "ELF!");
    const length = guest.call("readlinkat", CWD, "/proc/self/exe", guest.scratch, 64);
    assertEquals(new TextDecoder().decode(guest.memory.read(guest.scratch, length)), "/prog");
    assertEquals(guest.cat("/proc/self/cmdline"), "prog\0arg\0");
    assertEquals(guest.cat("/proc/self/environ"), "A=1\0");
    assertStringIncludes(guest.cat("/proc/self/maps"), "[stack]");
    assertStringIncludes(guest.cat("/proc/cpuinfo"), "rv64imafdc");
    assertStringIncludes(guest.cat("/proc/4242/status"), "Pid:\t4242");
    assertStringIncludes(guest.cat("/proc/self/stat"), "4242 (prog) R 1 4242 ");
    assertEquals(guest.cat("/proc/self/stat").trim().split(" ").length, 52);
    assertEquals(guest.try("openat", CWD, "/proc/self/maps", O.WRONLY), "EACCES");
    assertEquals(guest.try("openat", CWD, "/proc/none", 0), "ENOENT");
    assertEquals(guest.try("openat", CWD, "/dev/tty", 0), "ENXIO");
    guest.reset();
    // Open files by number.
    Deno.writeTextFileSync(`${root}/file`, "content");
    const fd = guest.open("/g/file");
    assertEquals(read(guest, fd, 3), "con");
    assertEquals(guest.cat(`/proc/self/fd/${fd}`), "content");
    const link = guest.call("readlinkat", CWD, `/dev/fd/${fd}`, buffer, 16);
    assertEquals(new TextDecoder().decode(guest.memory.read(buffer, link)), "/g/file");
    assertEquals(guest.call("write", guest.open("/dev/stdout", O.WRONLY), "via", 3), 3);
    assertEquals(guest.stdout, "via");
    assertEquals(guest.try("openat", CWD, "/proc/self/fd/99", 0), "ENOENT");
    const dir = guest.open("/g", DIRECTORY);
    assertEquals(guest.cat(`/proc/self/fd/${dir}/file`), "content");
  }, { exe: new TextEncoder().encode("ELF!"), argv: ["prog", "arg"], envp: ["A=1"] }));

Deno.test("a virtual file of the embedder's is used when it is added", () => {
  const guest = new Guest();
  const log: string[] = [];
  guest.linux.addFile("/dev/thing/data", {
    mode: 0o100644,
    size: () => 5,
    open: (flags) =>
      flags & O.APPEND ? -13 : {
        seekable: true,
        size: () => 5,
        read(buffer, position) {
          const part = new TextEncoder().encode("hello").subarray(
            position,
            position + buffer.length,
          );
          buffer.set(part);
          return part.length;
        },
        write: (bytes, position) => {
          log.push(`write ${position} ${new TextDecoder().decode(bytes)}`);
          return bytes.length;
        },
        mmap: (offset, length, prot, flags, hint) => {
          log.push(`mmap ${offset} ${length} ${prot} ${flags} ${hint}`);
          guest.memory.map(0x500000, length, prot);
          return 0x500000;
        },
        munmap: (address, length) => void log.push(`munmap ${address - 0x500000} ${length}`),
        ioctl: (request, argument) => request + argument,
        close: () => void log.push("close"),
      },
  });
  assertEquals(guest.try("openat", CWD, "/dev/thing/data", O.APPEND), "EACCES");
  const fd = guest.open("/dev/thing/data", O.RDWR);
  assertEquals(guest.readAll(fd), "hello");
  assertEquals(guest.call("lseek", fd, -2, 2), 3);
  assertEquals(guest.call("write", fd, "xy", 2), 2);
  assertEquals(guest.call("ioctl", fd, 1000, 7), 1007);
  assertEquals(guest.call("mmap", 0, 8192, 3, 1, fd, 4096), 0x500000);
  assertEquals(guest.call("close", fd), 0);
  assertEquals(guest.call("munmap", 0x501000, 4096), 0);
  assertEquals(guest.call("munmap", 0x500000, 4096), 0);
  assertEquals(log, [
    "write 3 xy",
    "mmap 4096 8192 3 1 0",
    "munmap 4096 4096",
    "munmap 0 4096",
    "close",
  ]);
  const stat = guest.alloc(128);
  assertEquals(guest.call("newfstatat", CWD, "/dev/thing/data", stat, 0), 0);
  assertEquals(guest.memory.readU64(stat + 48), 5n);
});

Deno.test("32-bit calls take offsets in register pairs when the guest has 32-bit registers", () =>
  withGuest((guest) => {
    const fd = guest.open("/g/file", O.CREAT | O.RDWR);
    const high = 1;
    assertEquals(guest.call("ftruncate64", fd, 5, high), 0);
    const at = guest.alloc(256);
    assertEquals(guest.call("statx", fd, "", EMPTY_PATH, 0, at), 0);
    assertEquals(guest.memory.readU64(at + 40), 2n ** 32n + 5n);
    assertEquals(guest.call("llseek", fd, high, 3, at, 0), 0);
    assertEquals(guest.memory.readU64(at), 2n ** 32n + 3n);
    assertEquals(guest.call("pwrite64", fd, "Z", 1, 3, high), 1);
    assertEquals(guest.call("read", fd, at, 10), 2);
    assertEquals(guest.memory.readU8(at), 90);
    assertEquals(guest.call("truncate64", "/g/file", 1, 0), 0);
    assertEquals(guest.call("fcntl64", fd, 3, 0) & 3, O.RDWR);
    assertEquals(guest.call("statfs64", "/g", 88, at), 0);
    assertEquals(guest.call("fstatfs64", fd, 88, at), 0);
    assertEquals(guest.try("fstatfs64", fd, 84, at), "EINVAL");
    assertEquals(guest.call("utimensat_time64", CWD, "/g/file", guest.words(1, 0, 2, 0), 0), 0);
  }, { abi: RISCV32_ABI }));

Deno.test("Linux notes a name when it is not UTF-8", () => {
  const guest = new Guest();
  const bad = guest.alloc(8);
  guest.memory.write(bad, Uint8Array.of(47, 0xff, 0xfe, 0));
  assertEquals(guest.try("openat", CWD, bad, 0), "EILSEQ");
  assertEquals(guest.try("openat", CWD, bad, 0), "EILSEQ");
  assertEquals(guest.notes, ["A file name that is not UTF-8 cannot be used (EILSEQ)"]);
});

Deno.test({
  name: "Linux names the missing permission when Deno lacks one",
  permissions: { read: true, write: false },
  fn: () => {
    const here = import.meta.dirname!;
    const guest = new Guest({ grants: [{ host: here, guest: "/g", readonly: false }] });
    assert(guest.open("/g/linux_files_test.ts") >= 0);
    assertEquals(guest.try("openat", CWD, "/g/linux_files_test.ts", O.RDWR), "EACCES");
    assertEquals(guest.try("mkdirat", CWD, "/g/new", 0o755), "EACCES");
    assertStringIncludes(guest.notes[0], "--allow-write");
    assertStringIncludes(guest.notes[0], "openat: Cannot open");
  },
});

Deno.test("every call on files has succeeded when the tests above have run", () => {
  const groups = [ioCalls, ioctlCalls, pathCalls, statCalls];
  // pipe2 succeeds among the tests of waiting.
  const elsewhere = ["pipe2"];
  const names = groups.flatMap((group) => Object.keys(group)).filter((n) => !elsewhere.includes(n));
  assertEquals(names.filter((name) => !Guest.succeeded.has(name)), []);
});
