import { assert, assertEquals, assertThrows } from "@std/assert";
import type { HostOpen } from "../machine/user/host.ts";
import { denoFiles } from "../machine/user/host_deno.ts";
import { parseDirOption } from "../machine/user/paths.ts";
import { Guest, withDirectory } from "./linux_guest.ts";

const O = {
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  EXCL: 0o200,
  TRUNC: 0o1000,
  DIRECTORY: 0o200000,
  NOFOLLOW: 0o400000,
  PATH: 0o10000000,
};
const CWD = -100;

/** A directory "in" to grant, with things in it, next to "secret", which the guest must not reach. */
function prepare(root: string): string {
  Deno.mkdirSync(`${root}/in/sub/deep`, { recursive: true });
  Deno.mkdirSync(`${root}/out`);
  Deno.writeTextFileSync(`${root}/secret`, "secret");
  Deno.writeTextFileSync(`${root}/out/secret`, "secret");
  Deno.writeTextFileSync(`${root}/in/file`, "inside");
  Deno.writeTextFileSync(`${root}/in/sub/file`, "below");
  return root;
}

/** All a directory holds, to see that nothing changed. */
function snapshot(path: string): string {
  const lines: string[] = [];
  const visit = (at: string) => {
    for (const entry of [...Deno.readDirSync(at)].sort((a, b) => a.name < b.name ? -1 : 1)) {
      const full = `${at}/${entry.name}`;
      const info = Deno.lstatSync(full);
      lines.push(`${full} ${info.mode} ${info.isFile ? Deno.readTextFileSync(full) : ""}`);
      if (entry.isDirectory) visit(full);
    }
  };
  visit(path);
  return lines.join("\n");
}

Deno.test("parseDirOption reads HOST, GUEST and access when they are given", () => {
  const parse = (text: string) => parseDirOption(text, "/home/me");
  assertEquals(parse("."), { host: ".", guest: "/home/me", readonly: false });
  assertEquals(parse("a/../b/"), { host: "a/../b/", guest: "/home/me/b", readonly: false });
  assertEquals(parse("/srv/x"), { host: "/srv/x", guest: "/srv/x", readonly: false });
  assertEquals(parse("data:/d/./e/"), { host: "data", guest: "/d/e", readonly: false });
  assertEquals(parse("data:/d:ro"), { host: "data", guest: "/d", readonly: true });
  assertEquals(parse("data:ro"), { host: "data", guest: "/home/me/data", readonly: true });
  assertEquals(parse("data:rw"), { host: "data", guest: "/home/me/data", readonly: false });
  assertEquals(parse("data::ro"), { host: "data", guest: "/home/me/data", readonly: true });
  assertEquals(parse("C:\\data:/d"), { host: "C:\\data", guest: "/d", readonly: false });
  for (const bad of ["", ":/x", "a:b", "a:/b:xx", "a:/b:ro:ro"]) {
    assertThrows(() => parse(bad), RangeError, "HOST[:GUEST][:ro]");
  }
});

Deno.test("Linux shows only granted directories when the guest looks around", () =>
  withDirectory((root) => {
    prepare(root);
    const none = new Guest();
    assertEquals(none.try("openat", CWD, root, 0), "ENOENT");
    assertEquals(none.try("openat", CWD, "/etc/passwd", 0), "ENOENT");
    const guest = new Guest({ grants: [{ host: `${root}/in`, guest: "/a/b", readonly: false }] });
    assertEquals(guest.cat("/a/b/file"), "inside");
    assertEquals(guest.cat("/a//b/./sub/../file"), "inside");
    assertEquals(guest.try("openat", CWD, "/a/secret", 0), "ENOENT");
    assertEquals(guest.try("mkdirat", CWD, "/new", 0o755), "EROFS");
    assertEquals(guest.try("faccessat", CWD, "/a", 2), "EROFS");
    assertEquals(guest.call("faccessat", CWD, "/a", 5), 0);
    assertEquals(guest.try("mkdirat", CWD, "/a/new", 0o755), "EROFS");
    assertEquals(guest.try("openat", CWD, "/a/new", O.CREAT | O.WRONLY, 0o644), "EROFS");
    assertEquals(guest.try("unlinkat", CWD, "/a/b", 0x200), "EBUSY");
    assertEquals(guest.try("renameat2", CWD, "/a/b", CWD, "/a/c", 0), "EBUSY");
    assertEquals(guest.try("renameat2", CWD, "/a/b/file", CWD, "/a/c", 0), "EROFS");
  }));

Deno.test("Linux refuses when .. would leave a grant", () =>
  withDirectory((root) => {
    prepare(root);
    const guest = new Guest({ grants: [{ host: `${root}/in`, guest: "/g", readonly: false }] });
    for (
      const path of [
        "/g/../secret",
        "/g/sub/../../secret",
        "/g/sub/deep/../../../../secret",
        "/../secret",
        "/g/..//../secret",
        "/g/file/../../secret",
      ]
    ) {
      const name = guest.try("openat", CWD, path, 0);
      assert(name === "ENOENT" || name === "ENOTDIR", `${path}: ${name}`);
      guest.reset();
    }
    const sub = guest.open("/g/sub", O.DIRECTORY);
    assertEquals(guest.try("openat", sub, "../../secret", 0), "ENOENT");
    assertEquals(guest.try("openat", sub, "../file", 0) !== "ENOENT", true);
    assertEquals(guest.call("chdir", "/g/sub"), 0);
    assertEquals(guest.try("openat", CWD, "../../secret", 0), "ENOENT");
    assertEquals(guest.cat("../../../../g/file"), "inside");
  }));

Deno.test("Linux follows symbolic links in the guest's name space when they lead anywhere", () =>
  withDirectory((root) => {
    prepare(root);
    const link = (target: string, name: string) => Deno.symlinkSync(target, `${root}/in/${name}`);
    link("file", "good");
    link("sub/../file", "good2");
    link("/g/sub", "absolute");
    link("../secret", "up");
    link("../../../../../../.." + root + "/secret", "far-up");
    link(`${root}/secret`, "host-absolute");
    link(`${root}/out`, "host-directory");
    link("/", "top");
    link("chain2", "chain1");
    link("chain3", "chain2");
    link("../secret", "chain3");
    link("loop2", "loop1");
    link("loop1", "loop2");
    link("self/x", "self");
    link("nowhere", "dangling");
    link("file/", "file-slash");
    const guest = new Guest({ grants: [{ host: `${root}/in`, guest: "/g", readonly: false }] });
    assertEquals(guest.cat("/g/good"), "inside");
    assertEquals(guest.cat("/g/good2"), "inside");
    assertEquals(guest.cat("/g/absolute/file"), "below");
    assertEquals(guest.cat("/g/top/g/file"), "inside");
    const refused = {
      up: "ENOENT",
      "far-up": "ENOENT",
      "host-absolute": "ENOENT",
      "host-directory/secret": "ENOENT",
      chain1: "ENOENT",
      loop1: "ELOOP",
      "loop1/x": "ELOOP",
      self: "ELOOP",
      dangling: "ENOENT",
      "top/secret": "ENOENT",
      [`top${root}/secret`]: "ENOENT",
      "absolute/../../secret": "ENOENT",
      "file-slash": "ENOTDIR",
    };
    const before = snapshot(root);
    for (const [path, name] of Object.entries(refused)) {
      guest.reset();
      assertEquals(guest.try("openat", CWD, `/g/${path}`, 0), name, path);
      assertEquals(guest.try("faccessat", CWD, `/g/${path}`, 0), name, path);
      assertEquals(guest.try("chdir", `/g/${path}`), name, path);
      assertEquals(guest.try("truncate", `/g/${path}`, 0), name, path);
      assertEquals(guest.try("newfstatat", CWD, `/g/${path}`, guest.alloc(128), 0), name, path);
      assertEquals(guest.try("utimensat", CWD, `/g/${path}`, 0, 0), name, path);
      assertEquals(guest.try("fchmodat", CWD, `/g/${path}`, 0o777), name, path);
    }
    assertEquals(snapshot(root), before);
    assertEquals(guest.try("openat", CWD, "/g/good", O.NOFOLLOW), "ELOOP");
    assertEquals(guest.try("openat", CWD, "/g/good/x", O.NOFOLLOW), "ENOTDIR");
    assertEquals(guest.try("openat", CWD, "/g/good", O.CREAT | O.EXCL | O.WRONLY, 0o644), "EEXIST");
  }));

Deno.test("Linux creates inside the grant when a dangling link is opened with O_CREAT", () =>
  withDirectory((root) => {
    prepare(root);
    Deno.symlinkSync("made", `${root}/in/inner`);
    Deno.symlinkSync("../made", `${root}/in/outer`);
    Deno.symlinkSync(`${root}/made`, `${root}/in/absolute`);
    const guest = new Guest({ grants: [{ host: `${root}/in`, guest: "/g", readonly: false }] });
    const flags = O.CREAT | O.WRONLY;
    assert(guest.call("openat", CWD, "/g/inner", flags, 0o644) >= 0);
    assertEquals(Deno.statSync(`${root}/in/made`).isFile, true);
    assertEquals(guest.try("openat", CWD, "/g/outer", flags, 0o644), "EROFS");
    assertEquals(guest.try("openat", CWD, "/g/absolute", flags, 0o644), "ENOENT");
    assertThrows(() => Deno.statSync(`${root}/made`), Deno.errors.NotFound);
  }));

Deno.test("Linux keeps the guest inside when it makes links and renames directories", () =>
  withDirectory((root) => {
    prepare(root);
    const before = snapshot(`${root}/out`);
    const guest = new Guest({ grants: [{ host: `${root}/in`, guest: "/g", readonly: false }] });
    const sub = guest.open("/g/sub", O.DIRECTORY);
    assertEquals(guest.call("chdir", "/g/sub"), 0);
    // The open directory is moved away and a link out of the grant takes its place.
    assertEquals(guest.call("renameat2", CWD, "/g/sub", CWD, "/g/moved", 0), 0);
    assertEquals(guest.call("symlinkat", `${root}/out`, CWD, "/g/sub"), 0);
    assertEquals(guest.try("openat", CWD, "/g/sub/secret", 0), "ENOENT");
    // Descriptor and working directory went along with the rename.
    assertEquals(guest.try("openat", sub, "secret", 0), "ENOENT");
    assert(guest.call("openat", sub, "file", 0) >= 0);
    assertEquals(guest.cat("file"), "below");
    const buffer = guest.alloc(64);
    assertEquals(guest.call("getcwd", buffer, 64), "/g/moved".length + 1);
    // The same, by somebody else on the host: the guest's directory is gone, not exchanged.
    Deno.renameSync(`${root}/in/moved`, `${root}/in/again`);
    Deno.symlinkSync(`${root}/out`, `${root}/in/moved`);
    for (
      const [name, ...rest] of [["openat", sub, "secret", 0], [
        "mkdirat",
        sub,
        "new",
        0o755,
      ]] as const
    ) {
      assertEquals(guest.try(name, ...rest), "ENOENT");
    }
    assertEquals(guest.try("openat", CWD, "secret", 0), "ENOENT");
    assertEquals(guest.try("unlinkat", sub, "secret", 0), "ENOENT");
    assertEquals(guest.try("getdents64", sub, guest.alloc(512), 512), "ENOTDIR");
    assertEquals(snapshot(`${root}/out`), before);
  }));

Deno.test("Linux acts on links themselves when a call does not follow them", () =>
  withDirectory((root) => {
    prepare(root);
    Deno.symlinkSync("../out", `${root}/in/link`);
    Deno.symlinkSync("../out/secret", `${root}/in/flink`);
    const before = snapshot(`${root}/out`);
    const guest = new Guest({ grants: [{ host: `${root}/in`, guest: "/g", readonly: false }] });
    assertEquals(guest.try("unlinkat", CWD, "/g/link", 0x200), "ENOTDIR");
    assertEquals(guest.try("fchmodat2", CWD, "/g/flink", 0o777, 0x100), "EOPNOTSUPP");
    assertEquals(guest.try("linkat", CWD, "/g/flink", CWD, "/g/hard", 0x400), "ENOENT");
    assertEquals(guest.call("linkat", CWD, "/g/flink", CWD, "/g/hard", 0), 0);
    assertEquals(Deno.lstatSync(`${root}/in/hard`).isSymlink, true);
    assertEquals(guest.call("renameat2", CWD, "/g/link", CWD, "/g/renamed", 0), 0);
    assertEquals(guest.call("unlinkat", CWD, "/g/renamed", 0), 0);
    assertEquals(guest.call("unlinkat", CWD, "/g/flink", 0), 0);
    assertEquals(snapshot(`${root}/out`), before);
  }));

Deno.test("Linux answers EROFS when a read-only grant is to be changed", () =>
  withDirectory((root) => {
    prepare(root);
    Deno.symlinkSync("/ro/file", `${root}/out/to-ro`);
    const guest = new Guest({
      grants: [
        { host: `${root}/in`, guest: "/ro", readonly: true },
        { host: `${root}/out`, guest: "/rw", readonly: false },
      ],
    });
    const before = snapshot(`${root}/in`);
    assertEquals(guest.cat("/ro/file"), "inside");
    const fd = guest.open("/ro/file");
    const erofs: [string, ...(string | number)[]][] = [
      ["openat", CWD, "/ro/file", O.WRONLY],
      ["openat", CWD, "/ro/file", O.RDWR],
      ["openat", CWD, "/ro/file", O.TRUNC],
      ["openat", CWD, "/ro/new", O.CREAT | O.WRONLY, 0o644],
      ["openat", CWD, "/rw/to-ro", O.WRONLY],
      ["mkdirat", CWD, "/ro/new", 0o755],
      ["mknodat", CWD, "/ro/new", 0o100644, 0],
      ["unlinkat", CWD, "/ro/file", 0],
      ["unlinkat", CWD, "/ro/sub", 0x200],
      ["renameat2", CWD, "/ro/file", CWD, "/ro/other", 0],
      ["symlinkat", "x", CWD, "/ro/new"],
      ["linkat", CWD, "/ro/file", CWD, "/ro/new", 0],
      ["truncate", "/ro/file", 0],
      ["fchmodat", CWD, "/ro/file", 0o777],
      ["fchmod", fd, 0o777],
      ["fchownat", CWD, "/ro/file", 1, 1, 0],
      ["fchown", fd, 1, 1],
      ["utimensat", CWD, "/ro/file", 0, 0],
      ["utimensat", fd, 0, 0, 0],
      ["faccessat", CWD, "/ro/file", 2],
    ];
    for (const [name, ...args] of erofs) {
      assertEquals(guest.try(name, ...args), "EROFS", `${name} ${args}`);
      guest.reset();
    }
    assertEquals(guest.try("ftruncate", fd, 0), "EINVAL");
    assertEquals(guest.try("write", fd, guest.scratch, 1), "EBADF");
    // Not even by way of the writable grant.
    assertEquals(guest.try("renameat2", CWD, "/ro/file", CWD, "/rw/file", 0), "EXDEV");
    assertEquals(guest.try("linkat", CWD, "/ro/file", CWD, "/rw/hard", 0), "EXDEV");
    assertEquals(guest.try("mmap", 0, 4096, 3, 1, fd, 0), "EACCES");
    assertEquals(snapshot(`${root}/in`), before);
  }));

Deno.test("Linux lists mount points and nested grants when directories are read", () =>
  withDirectory((root) => {
    prepare(root);
    const guest = new Guest({
      grants: [
        { host: `${root}/in`, guest: "/data", readonly: false },
        { host: `${root}/out`, guest: "/data/extra/out", readonly: true },
      ],
    });
    const names = (path: string): string[] => {
      guest.reset();
      const fd = guest.open(path, O.DIRECTORY);
      const buffer = guest.alloc(4096);
      const size = guest.call("getdents64", fd, buffer, 4096);
      const result: string[] = [];
      for (let at = buffer; at < buffer + size; at += guest.memory.readU16(at + 16)) {
        assert(guest.memory.readU64(at) !== 0n, "inode number");
        result.push(guest.memory.readCString(at + 19) + ":" + guest.memory.readU8(at + 18));
      }
      guest.call("close", fd);
      return result.sort();
    };
    assertEquals(names("/"), ["..:4", ".:4", "data:4", "dev:4", "proc:4", "sys:4"]);
    assertEquals(names("/data"), ["..:4", ".:4", "extra:4", "file:8", "sub:4"]);
    assertEquals(names("/data/extra"), ["..:4", ".:4", "out:4"]);
    assertEquals(guest.cat("/data/extra/out/secret"), "secret");
    assertEquals(guest.cat("/data/extra/out/../../file"), "inside");
    assertEquals(guest.try("unlinkat", CWD, "/data/extra/out/secret", 0), "EROFS");
    assertEquals(guest.try("renameat2", CWD, "/data/extra", CWD, "/data/moved", 0), "EBUSY");
  }));

Deno.test("Linux refuses to start when a grant is not a directory or taken", () =>
  withDirectory((root) => {
    prepare(root);
    const make = (...grants: { host: string; guest: string }[]) => () =>
      new Guest({ grants: grants.map((g) => ({ ...g, readonly: false })) });
    assertThrows(make({ host: `${root}/nope`, guest: "/g" }), Error, "nope");
    assertThrows(make({ host: `${root}/in/file`, guest: "/g" }), Error, "not a directory");
    assertThrows(
      make({ host: `${root}/in`, guest: "/g" }, { host: `${root}/out`, guest: "/g/" }),
      RangeError,
      "already taken",
    );
  }));

Deno.test("Linux resolves a grant that is a link itself when it starts", () =>
  withDirectory((root) => {
    prepare(root);
    Deno.symlinkSync("in", `${root}/alias`);
    const guest = new Guest({ grants: [{ host: `${root}/alias`, guest: "/", readonly: false }] });
    assertEquals(guest.cat("/file"), "inside");
    assertEquals(guest.cat("/dev/null"), "");
    assertEquals(guest.try("openat", CWD, "/../secret", 0), "ENOENT");
  }));

Deno.test("Linux opens nothing outside when a file is exchanged while it is opened", () =>
  withDirectory((root) => {
    prepare(root);
    let exchanges = 0;
    const files = {
      ...denoFiles,
      // Somebody puts a link out of the grant in the file's place after it was looked at.
      open(path: string, how: HostOpen) {
        if (exchanges++ === 0) {
          Deno.removeSync(path);
          Deno.symlinkSync(`${root}/out/secret`, path);
        }
        return denoFiles.open(path, how);
      },
    };
    const guest = new Guest({
      grants: [{ host: `${root}/in`, guest: "/g", readonly: false }],
      host: { files },
    });
    assertEquals(guest.try("openat", CWD, "/g/file", O.RDWR | O.TRUNC), "ENOENT");
    assertEquals(exchanges, 1);
    assertEquals(Deno.readTextFileSync(`${root}/out/secret`), "secret");
    exchanges = 0;
    Deno.removeSync(`${root}/in/file`);
    const creating = new Guest({
      grants: [{ host: `${root}/in`, guest: "/g", readonly: false }],
      host: {
        files: {
          ...denoFiles,
          open(path: string, how: HostOpen) {
            if (exchanges++ === 0) Deno.symlinkSync(`${root}/out/new`, path);
            return denoFiles.open(path, how);
          },
        },
      },
    });
    assertEquals(creating.try("openat", CWD, "/g/file", O.CREAT | O.WRONLY, 0o644), "ENOENT");
    assertThrows(() => Deno.lstatSync(`${root}/out/new`), Deno.errors.NotFound);
  }));
