import { assert, assertEquals } from "@std/assert";
import { memoryCalls } from "../machine/user/memory_calls.ts";
import { RISCV32_ABI } from "../machine/user/riscv_abi.ts";
import { Guest, withDirectory } from "./linux_guest.ts";

const PROT = { NONE: 0, READ: 1, WRITE: 2, EXEC: 4, RW: 3 };
const MAP = { SHARED: 1, PRIVATE: 2, FIXED: 0x10, ANONYMOUS: 0x20, NOREPLACE: 0x100000 };
const PRIVATE = MAP.PRIVATE | MAP.ANONYMOUS;
const O_RDWR = 2, O_CREAT = 0o100;
const PAGE = 4096;

const map = (guest: Guest, size: number, prot = PROT.RW, hint = 0, flags = PRIVATE) =>
  guest.call("mmap", hint, size, prot, flags, -1, 0);

Deno.test("brk moves the program break when there is room", () => {
  const guest = new Guest();
  const start = guest.call("brk", 0);
  assertEquals(start % PAGE, 0);
  assertEquals(guest.call("brk", start + 100), start + 100);
  assert(guest.memory.isWritable(start, PAGE) && !guest.memory.isReadable(start + PAGE, 1));
  guest.memory.writeU8(start + 50, 7);
  assertEquals(guest.call("brk", start + 5 * PAGE), start + 5 * PAGE);
  assertEquals(guest.memory.readU8(start + 50), 7);
  assertEquals(guest.call("brk", start), start);
  assert(guest.memory.isFree(start, 5 * PAGE));
  assertEquals(guest.call("brk", start + PAGE), start + PAGE);
  assertEquals(guest.memory.readU8(start + 50), 0);
  for (const wild of [0, 8, -1, start - 1, 1n << 62n, guest.memory.size]) {
    assertEquals(guest.call("brk", wild), start + PAGE);
  }
  // A mapping in the way.
  map(guest, PAGE, PROT.RW, start + 3 * PAGE, PRIVATE | MAP.FIXED);
  assertEquals(guest.call("brk", start + 3 * PAGE), start + 3 * PAGE);
  assertEquals(guest.call("brk", start + 3 * PAGE + 1), start + 3 * PAGE);
});

Deno.test("mmap places mappings top-down when no address is asked for", () => {
  const guest = new Guest();
  const a = map(guest, 10_000), b = map(guest, 1);
  assertEquals(b, a - PAGE);
  assert(guest.memory.isWritable(a, 3 * PAGE));
  guest.memory.writeU32(a, 0xdeadbeef);
  assertEquals(guest.call("munmap", a, 3 * PAGE), 0);
  assert(!guest.memory.isMapped(a, 1));
  assertEquals(map(guest, 3 * PAGE), a);
  assertEquals(guest.memory.readU32(a), 0);
  assertEquals(map(guest, PAGE, PROT.RW, 0x400123), 0x400000);
  assertEquals(map(guest, PAGE, PROT.RW, 0x400000), b - PAGE);
  assertEquals(map(guest, PAGE, PROT.RW, 0x400000, PRIVATE | MAP.FIXED), 0x400000);
  const refused = (hint: number, size: number, prot: number, flags: number) =>
    guest.try("mmap", hint, size, prot, flags, 99, 0);
  assertEquals(refused(0x400000, PAGE, PROT.RW, PRIVATE | MAP.NOREPLACE), "EEXIST");
  assertEquals(refused(0, 0, PROT.RW, PRIVATE), "EINVAL");
  assertEquals(refused(0, PAGE, PROT.RW, MAP.ANONYMOUS), "EINVAL");
  assertEquals(refused(0x400001, PAGE, PROT.RW, PRIVATE | MAP.FIXED), "EINVAL");
  assertEquals(refused(0x1000, PAGE, PROT.RW, PRIVATE | MAP.FIXED), "EPERM");
  assertEquals(refused(0x7fff_f000, PAGE * 2, PROT.RW, PRIVATE | MAP.FIXED), "ENOMEM");
  assertEquals(refused(0, 2 ** 30, PROT.NONE, PRIVATE), "ENOMEM");
  assertEquals(refused(0, 2 ** 52, PROT.NONE, PRIVATE), "ENOMEM");
  assertEquals(refused(0, PAGE, PROT.RW, MAP.PRIVATE), "EBADF");
  assertEquals(guest.try("mmap", 0, PAGE, PROT.RW, MAP.PRIVATE, 0, 0), "ENODEV");
  assertEquals(guest.try("munmap", a + 1, PAGE), "EINVAL");
  assertEquals(guest.try("munmap", a, 0), "EINVAL");
  assertEquals(guest.call("munmap", 0, guest.memory.size), 0);
});

Deno.test("mmap finds room when guest memory is full of holes", () => {
  const guest = new Guest({ size: 4 << 20 });
  const pages: number[] = [];
  for (let at = map(guest, PAGE); at > 0; at = map(guest, PAGE)) pages.push(at);
  assert(pages.length > 500);
  assertEquals(new Set(pages).size, pages.length);
  guest.call("munmap", pages[100], PAGE);
  guest.call("munmap", pages[50], PAGE);
  guest.call("munmap", pages[51], PAGE);
  assertEquals(map(guest, 2 * PAGE), pages[51]);
  assertEquals(map(guest, PAGE), pages[100]);
  assertEquals(guest.try("mmap", 0, PAGE, PROT.RW, PRIVATE, -1, 0), "ENOMEM");
});

Deno.test("mprotect changes rights when all pages are mapped", () => {
  const guest = new Guest();
  const at = map(guest, 3 * PAGE);
  assertEquals(guest.call("mprotect", at + PAGE, PAGE, PROT.READ), 0);
  assert(!guest.memory.isWritable(at + PAGE, 1) && guest.memory.isWritable(at + 2 * PAGE, 1));
  assertEquals(guest.call("mprotect", at, PAGE, PROT.NONE), 0);
  assert(!guest.memory.isReadable(at, 1));
  assertEquals(guest.try("read", 0, at, 1), "EFAULT");
  assertEquals(guest.call("mprotect", at, 0, PROT.READ), 0);
  assertEquals(guest.try("mprotect", at + 1, PAGE, PROT.READ), "EINVAL");
  assertEquals(guest.try("mprotect", at, PAGE, 0x1000), "EINVAL");
  assertEquals(guest.try("mprotect", 0x20000, PAGE, PROT.READ), "ENOMEM");
  assertEquals(guest.try("mprotect", at, 1n << 62n, PROT.READ), "ENOMEM");
});

Deno.test("mremap keeps content and rights when a mapping grows, moves or shrinks", () => {
  const guest = new Guest();
  map(guest, PAGE);
  const at = map(guest, 2 * PAGE);
  guest.memory.writeU32(at + PAGE, 77);
  assertEquals(guest.call("mremap", at, 2 * PAGE, PAGE, 0, 0), at);
  assert(guest.memory.isFree(at + PAGE, PAGE));
  assertEquals(guest.call("mremap", at, PAGE, 2 * PAGE, 0, 0), at);
  assertEquals(guest.memory.readU32(at + PAGE), 0);
  guest.memory.writeU32(at, 5);
  assertEquals(guest.try("mremap", at, 2 * PAGE, 8 * PAGE, 0, 0), "ENOMEM");
  guest.call("mprotect", at, 2 * PAGE, PROT.READ);
  const moved = guest.call("mremap", at, 2 * PAGE, 8 * PAGE, 1, 0);
  assert(moved > 0 && moved !== at);
  assertEquals(guest.memory.readU32(moved), 5);
  assert(guest.memory.isReadable(moved, 8 * PAGE) && !guest.memory.isWritable(moved, 1));
  assert(guest.memory.isFree(at, 2 * PAGE));
  assertEquals(guest.call("mremap", moved, PAGE, PAGE, 3, 0x400000), 0x400000);
  assertEquals(guest.memory.readU32(0x400000), 5);
  assertEquals(guest.try("mremap", 0x400000, PAGE, PAGE, 2, 0x500000), "EINVAL");
  assertEquals(guest.try("mremap", 0x400000, PAGE, 2 * PAGE, 3, 0x3ff000), "EINVAL");
  assertEquals(guest.try("mremap", 0x400000, 0, PAGE, 1, 0), "EINVAL");
  assertEquals(guest.try("mremap", 0x600000, PAGE, PAGE, 1, 0), "EFAULT");
  assertEquals(guest.try("mremap", 0x400000, PAGE, 2 ** 40, 1, 0), "ENOMEM");
});

Deno.test("madvise forgets content when MADV_DONTNEED is given", () =>
  withDirectory((root) => {
    Deno.writeTextFileSync(`${root}/f`, "file");
    const guest = new Guest({ grants: [{ host: root, guest: "/g", readonly: false }] });
    const at = map(guest, 2 * PAGE);
    guest.memory.writeU32(at, 1);
    guest.memory.writeU32(at + PAGE, 2);
    assertEquals(guest.call("madvise", at, PAGE, 4), 0);
    assertEquals([guest.memory.readU32(at), guest.memory.readU32(at + PAGE)], [0, 2]);
    assertEquals(guest.call("madvise", at, 2 * PAGE, 14), 0);
    const file = guest.call("mmap", 0, PAGE, PROT.RW, MAP.PRIVATE, guest.open("/g/f"), 0);
    guest.memory.writeU32(file, 0);
    assertEquals(guest.call("madvise", file, PAGE, 4), 0);
    assertEquals(guest.memory.readCString(file), "file");
    assertEquals(guest.try("madvise", at, PAGE, 999), "EINVAL");
    assertEquals(guest.try("madvise", at + 1, PAGE, 4), "EINVAL");
    assertEquals(guest.try("madvise", 0x20000, PAGE, 4), "ENOMEM");
    const pages = guest.alloc(16);
    assertEquals(guest.call("mincore", at, 2 * PAGE, pages), 0);
    assertEquals([...guest.memory.read(pages, 3)], [1, 1, 0]);
    assertEquals(guest.try("mincore", 0x20000, PAGE, guest.scratch), "ENOMEM");
    for (const name of ["mlock", "munlock"]) assertEquals(guest.call(name, at + 5, PAGE), 0);
    assertEquals(guest.call("mlock2", at, PAGE, 0), 0);
    assertEquals(guest.try("mlock", at, 2 ** 40), "ENOMEM");
  }));

Deno.test("private file mappings are copies when the file is mapped", () =>
  withDirectory((root) => {
    const content = "x".repeat(PAGE) + "tail";
    Deno.writeTextFileSync(`${root}/f`, content);
    const guest = new Guest({ grants: [{ host: root, guest: "/g", readonly: true }] });
    const fd = guest.open("/g/f");
    const at = guest.call("mmap", 0, 2 * PAGE, PROT.RW, MAP.PRIVATE, fd, PAGE);
    assertEquals(guest.memory.readCString(at), "tail");
    assertEquals(guest.memory.readU32(at + PAGE), 0);
    const text = guest.call("mmap", 0, 5, PROT.READ | PROT.EXEC, MAP.SHARED, fd, 0);
    assertEquals(guest.memory.readU8(text), 120);
    assert(guest.memory.isExecutable(text, PAGE));
    guest.memory.writeU32(at, 0);
    guest.call("munmap", at, 2 * PAGE);
    assertEquals(guest.try("mmap", 0, PAGE, PROT.RW, MAP.SHARED, fd, 0), "EACCES");
    assertEquals(guest.try("mmap", 0, PAGE, PROT.READ, MAP.PRIVATE, fd, 5), "EINVAL");
    assertEquals(guest.try("mmap", 0, PAGE, PROT.READ, MAP.PRIVATE, fd, -PAGE), "EINVAL");
    guest.linux.close();
    assertEquals(Deno.readTextFileSync(`${root}/f`), content);
  }));

Deno.test("shared file mappings reach the file when msync, munmap, read or the end come", () =>
  withDirectory((root) => {
    const host = `${root}/f`;
    Deno.writeTextFileSync(host, "0123456789" + "\n".repeat(3 * PAGE));
    const guest = new Guest({ grants: [{ host: root, guest: "/g", readonly: false }] });
    const { memory } = guest;
    const fd = guest.open("/g/f", O_RDWR);
    const at = guest.call("mmap", 0, 2 * PAGE, PROT.RW, MAP.SHARED, fd, 0);
    const start = () => Deno.readTextFileSync(host).slice(0, 10);
    const put = (offset: number, text: string) =>
      memory.write(at + offset, new TextEncoder().encode(text));
    put(0, "A");
    assertEquals(start(), "0123456789");
    assertEquals(guest.call("msync", at, 2 * PAGE, 4), 0);
    assertEquals(start(), "A123456789");
    // read sees the mapping, the mapping sees write.
    put(1, "B");
    assertEquals(guest.call("pread64", fd, guest.scratch, 3, 0), 3);
    assertEquals(memory.readU8(guest.scratch + 1), 66);
    assertEquals(guest.call("pwrite64", fd, "C", 1, 2), 1);
    assertEquals(memory.readU8(at + 2), 67);
    put(3, "D");
    const second = guest.open("/g/f", O_RDWR);
    const other = guest.call("mmap", 0, PAGE, PROT.READ, MAP.SHARED, second, 0);
    assertEquals(memory.readU8(other + 3), 68);
    guest.call("close", fd);
    put(4, "E");
    assertEquals(guest.call("munmap", at, PAGE), 0);
    assertEquals(start(), "ABCDE56789");
    put(PAGE, "F");
    guest.linux.close();
    assertEquals(Deno.readTextFileSync(host)[PAGE], "F");
    assertEquals(Deno.statSync(host).size, 10 + 3 * PAGE);
  }));

Deno.test("shared file mappings do not lengthen the file when it is shorter than the pages", () =>
  withDirectory((root) => {
    const guest = new Guest({ grants: [{ host: root, guest: "/g", readonly: false }] });
    const fd = guest.open("/g/f", O_RDWR | O_CREAT);
    guest.call("write", fd, "abc", 3);
    const at = guest.call("mmap", 0, PAGE, PROT.RW, MAP.SHARED, fd, 0);
    guest.memory.write(at, new TextEncoder().encode("ABCDEF"));
    assertEquals(guest.call("fsync", fd), 0);
    assertEquals(Deno.readTextFileSync(`${root}/f`), "ABC");
    assertEquals(guest.call("ftruncate", fd, 6), 0);
    guest.memory.write(at, new TextEncoder().encode("abcdef"));
    assertEquals(guest.call("mremap", at, PAGE, 2 * PAGE, 1, 0) > 0, true);
    guest.linux.close();
    assertEquals(Deno.readTextFileSync(`${root}/f`), "abcdef");
    assertEquals(guest.notes, []);
  }));

Deno.test("mmap2 counts its offset in pages when the guest has 32-bit registers", () =>
  withDirectory((root) => {
    Deno.writeTextFileSync(`${root}/f`, "x".repeat(PAGE) + "second");
    const guest = new Guest({
      abi: RISCV32_ABI,
      grants: [{ host: root, guest: "/g", readonly: false }],
    });
    const at = guest.call("mmap2", 0, PAGE, PROT.READ, MAP.PRIVATE, guest.open("/g/f"), 1);
    assertEquals(guest.memory.readCString(at), "second");
  }));

Deno.test("every call on memory has succeeded when the tests above have run", () => {
  assertEquals(Object.keys(memoryCalls).filter((name) => !Guest.succeeded.has(name)), []);
});
