import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { Type } from "../machine/system/p9/message.ts";
import { MAX_FIDS, MAX_MESSAGE, MAX_OPEN, P9Server } from "../machine/system/p9/server.ts";
import { parseShare, tagsOf } from "../machine/system/p9/share.ts";
import { E } from "../machine/user/errno.ts";
import { denoFiles } from "../machine/user/host_deno.ts";
import { xorshiftBelow } from "./xorshift.ts";

const utf8 = new TextEncoder();

/** A part of a message: its bytes and value, or text. */
type Part = [size: 1 | 2 | 4 | 8, value: number] | string | Uint8Array;

function message(type: number, parts: readonly Part[]): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [0, 0, 0, 0, type, 0x34, 0x12];
  for (const part of parts) {
    if (typeof part === "string") {
      const text = utf8.encode(part);
      bytes.push(text.length & 255, text.length >> 8, ...text);
    } else if (part instanceof Uint8Array) bytes.push(...part);
    else {
      let value = BigInt(part[1]);
      for (let i = 0; i < part[0]; i++, value >>= 8n) bytes.push(Number(value & 255n));
    }
  }
  const out = Uint8Array.from(bytes);
  new DataView(out.buffer).setUint32(0, out.length, true);
  return out;
}

/** A client that knows where the root is: fid 0. */
class Client {
  readonly server: P9Server;
  notes: string[] = [];

  constructor(directory: string, readonly = false) {
    this.server = new P9Server(denoFiles, directory, readonly, (note) => this.notes.push(note));
    this.ok(Type.VERSION, [4, 65536], "9P2000.L");
    this.ok(Type.ATTACH, [4, 0], [4, 0xffffffff], "root", "", [4, 0]);
  }
  /** Sends a request; the answer's content, or the negated error number. */
  ask(type: number, ...parts: Part[]): DataView<ArrayBuffer> | number {
    const answer = this.server.answer(message(type, parts))!;
    const view = new DataView(answer.buffer, answer.byteOffset, answer.length);
    assertEquals([view.getUint32(0, true), view.getUint16(5, true)], [answer.length, 0x1234]);
    if (view.getUint8(4) === Type.ERROR + 1) return -view.getUint32(7, true);
    assertEquals(view.getUint8(4), type + 1);
    return new DataView(answer.buffer, answer.byteOffset + 7, answer.length - 7);
  }
  ok(type: number, ...parts: Part[]): DataView<ArrayBuffer> {
    const answer = this.ask(type, ...parts);
    if (typeof answer === "number") throw new Error(`request ${type} fails with ${-answer}`);
    return answer;
  }
  /** Walks to a path; the number of names that were found, or the negated error number. */
  walk(fid: number, path: string): number {
    const names = path.split("/").filter((name) => name !== "");
    const answer = this.ask(Type.WALK, [4, 0], [4, fid], [2, names.length], ...names);
    return typeof answer === "number" ? answer : answer.getUint16(0, true);
  }
  read(fid: number, offset = 0, count = 1000): string {
    const answer = this.ok(Type.READ, [4, fid], [8, offset], [4, count]);
    const length = answer.getUint32(0, true);
    assertEquals(answer.byteLength, 4 + length);
    return new TextDecoder().decode(new Uint8Array(answer.buffer, answer.byteOffset + 4, length));
  }
  /** Names in an open directory, in pieces of `count` bytes. */
  list(fid: number, count: number): string[] {
    const names: string[] = [];
    for (let offset = 0;;) {
      const answer = this.ok(Type.READDIR, [4, fid], [8, offset], [4, count]);
      const end = 4 + answer.getUint32(0, true);
      assert(end - 4 <= count);
      if (end === 4) return names;
      for (let at = 4; at < end;) {
        offset = Number(answer.getBigUint64(at + 13, true));
        const length = answer.getUint16(at + 22, true);
        const bytes = new Uint8Array(answer.buffer, answer.byteOffset + at + 24, length);
        names.push(new TextDecoder().decode(bytes));
        at += 24 + length;
      }
    }
  }
}

/** Runs a test with a directory that has a file, a folder with one, and links that lead out. */
async function withShare(test: (directory: string) => void): Promise<void> {
  const root = await Deno.makeTempDir();
  try {
    const shared = `${root}/shared`;
    await Deno.mkdir(`${shared}/folder`, { recursive: true });
    await Deno.writeTextFile(`${root}/secret`, "secret");
    await Deno.writeTextFile(`${shared}/file`, "content of the file");
    await Deno.writeTextFile(`${shared}/folder/inner`, "inner");
    await Deno.symlink("../secret", `${shared}/out`);
    await Deno.symlink("..", `${shared}/up`);
    test(shared);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

const READ_WRITE = 2;

Deno.test("P9Server reads, writes, lists and renames files", async () => {
  await withShare((directory) => {
    const client = new Client(directory);
    assertEquals(client.walk(1, "file"), 1);
    client.ok(Type.LOPEN, [4, 1], [4, READ_WRITE]);
    assertEquals(client.read(1), "content of the file");
    assertEquals(client.read(1, 11, 3), "the");
    assertEquals(client.read(1, 100), "");
    const written = client.ok(Type.WRITE, [4, 1], [8, 8], [4, 2], utf8.encode("OF"));
    assertEquals(written.getUint32(0, true), 2);
    assertEquals(Deno.readTextFileSync(`${directory}/file`), "content OF the file");
    // A new file: the fid of its directory becomes the file's.
    assertEquals(client.walk(2, "folder"), 1);
    client.ok(Type.LCREATE, [4, 2], "new", [4, READ_WRITE], [4, 0o6751], [4, 0]);
    client.ok(Type.WRITE, [4, 2], [8, 0], [4, 3], utf8.encode("abc"));
    const { mode, size } = Deno.statSync(`${directory}/folder/new`);
    assertEquals([mode! & 0o7777, size], [0o751, 3]);
    // Renaming a folder takes along what is known in it.
    client.ok(Type.RENAMEAT, [4, 0], "folder", [4, 0], "renamed");
    const attributes = client.ok(Type.GETATTR, [4, 2], [8, 0x7ff]);
    assertEquals(Number(attributes.getBigUint64(8 + 13 + 28, true)), 3);
    assertEquals(client.walk(3, "renamed/new"), 2);
    assertEquals(client.walk(4, ""), 0);
    client.ok(Type.LOPEN, [4, 4], [4, 0]);
    const all = [".", "..", "file", "out", "renamed", "up"];
    assertEquals(client.list(4, 4000).toSorted(), all);
    assertEquals(client.list(4, 40).toSorted(), all);
    client.ok(Type.UNLINKAT, [4, 0], "file", [4, 0]);
    assertEquals(client.read(1, 0, 7), "content");
    assertEquals(client.server.openFiles, 2);
    client.ok(Type.CLUNK, [4, 1]);
    client.ok(Type.REMOVE, [4, 2]);
    assertEquals(client.server.openFiles, 0);
    assertEquals([...Deno.readDirSync(`${directory}/renamed`)].map(({ name }) => name), ["inner"]);
  });
});

Deno.test("P9Server never leads out of the directory", async () => {
  await withShare((directory) => {
    const client = new Client(directory);
    assertEquals(client.walk(1, "folder/../../../.."), 5);
    const attributes = (fid: number) => client.ok(Type.GETATTR, [4, fid], [8, 0x7ff]);
    const inode = (view: DataView) => Number(view.getBigUint64(8 + 5, true));
    assertEquals(inode(attributes(1)), Deno.statSync(directory).ino);
    assertEquals(client.walk(2, "up"), 1);
    assertEquals(client.walk(3, "up/secret"), 1);
    assertEquals(client.ask(Type.LOPEN, [4, 3], [4, 0]), -E.EBADF);
    assertEquals(client.walk(4, "out"), 1);
    assertEquals(client.ask(Type.LOPEN, [4, 4], [4, 0]), -E.ENXIO);
    for (const name of ["../secret", "..", ".", "", "folder/inner", "/etc/passwd"]) {
      assertEquals(client.ask(Type.WALK, [4, 0], [4, 9], [2, 1], "x/y"), -E.EINVAL);
      for (const type of [Type.MKDIR, Type.SYMLINK, Type.LCREATE]) {
        const answer = client.ask(type, [4, 0], name, [4, 0o755], [4, 0o755], [4, 0], [4, 0]);
        assertEquals(answer, -E.EINVAL, `${type} ${name}`);
      }
      assertEquals(client.ask(Type.UNLINKAT, [4, 0], name, [4, 0]), -E.EINVAL);
    }
    // A folder that becomes a link while it is known.
    assertEquals(client.walk(5, "folder"), 1);
    Deno.renameSync(`${directory}/folder`, `${directory}/old`);
    Deno.symlinkSync("..", `${directory}/folder`);
    client.ask(Type.LCREATE, [4, 5], "made", [4, 1], [4, 0o644], [4, 0]);
    const outside = [...Deno.readDirSync(`${directory}/..`)].map(({ name }) => name).toSorted();
    assertEquals(outside, ["secret", "shared"]);
    client.server.reset();
  });
});

Deno.test("P9Server changes nothing when the share is read-only", async () => {
  await withShare((directory) => {
    const client = new Client(directory, true);
    const before = Deno.statSync(`${directory}/file`).mtime;
    client.walk(1, "file");
    client.walk(2, "file");
    assertEquals(client.ask(Type.LOPEN, [4, 1], [4, READ_WRITE]), -E.EROFS);
    assertEquals(client.ask(Type.LOPEN, [4, 1], [4, 0o1000]), -E.EROFS);
    client.ok(Type.LOPEN, [4, 1], [4, 0]);
    assertEquals(client.read(1, 0, 7), "content");
    const name: Part = "x", n: Part = [4, 0];
    const changes: [type: number, ...parts: Part[]][] = [
      [Type.WRITE, [4, 1], [8, 0], [4, 1], "x"],
      [Type.LCREATE, n, name, n, n, n],
      [Type.MKDIR, n, name, n, n],
      [Type.MKNOD, n, name, [4, 0o100644], n, n, n],
      [Type.SYMLINK, n, name, "file", n],
      [Type.LINK, n, [4, 2], name],
      [Type.RENAME, [4, 2], n, name],
      [Type.RENAMEAT, n, "file", n, name],
      [Type.UNLINKAT, n, "file", n],
      [Type.SETATTR, [4, 2], [4, 1], n, n, n, [8, 0], [8, 0], [8, 0], [8, 0], [8, 0]],
      [Type.REMOVE, [4, 2]],
    ];
    for (const [type, ...parts] of changes) {
      assertEquals(client.ask(type, ...parts), -E.EROFS, `request ${type}`);
    }
    client.server.reset();
    assertEquals([...Deno.readDirSync(directory)].length, 4);
    assertEquals(Deno.statSync(`${directory}/file`).mtime, before);
  });
});

Deno.test("P9Server has bounded tables, and takes no named pipe", async () => {
  await withShare((directory) => {
    const client = new Client(directory);
    let opened = 0, known = 1;
    for (; client.walk(known, "file") === 1; known++) {
      if (opened <= MAX_OPEN && typeof client.ask(Type.LOPEN, [4, known], [4, 0]) !== "number") {
        opened++;
      }
    }
    assertEquals([known, opened, client.server.openFiles], [MAX_FIDS, MAX_OPEN, MAX_OPEN]);
    client.server.reset();
    assertEquals(client.server.openFiles, 0);
    assertEquals(client.ask(Type.MKNOD, [4, 0], "p", [4, 0o010644], [4, 0]), -E.EBADF);
    new Deno.Command("mkfifo", { args: [`${directory}/pipe`] }).outputSync();
    client.ok(Type.ATTACH, [4, 0], [4, 0], "", "", [4, 0]);
    client.walk(1, "pipe");
    assertEquals(client.ask(Type.LOPEN, [4, 1], [4, 0]), -E.ENXIO);
    assertEquals(client.ask(Type.MKNOD, [4, 0], "p", [4, 0o010644], [4, 0], [4, 0]), -E.EPERM);
  });
});

Deno.test("P9Server answers each request and stays in its directory when requests are random", async () => {
  await withShare((directory) => {
    const next = xorshiftBelow(2024), client = new Client(directory);
    const types = Object.values(Type),
      names = ["file", "folder", "inner", "..", "up", "new", "a/b"];
    const answers = new Map<number, number>();
    for (let i = 0; i < 30_000; i++) {
      const type = next(20) === 0 ? next(256) : types[next(types.length)];
      // Without this, one renegotiation would forget everything.
      if (type === Type.VERSION && next(50) > 0) continue;
      const parts: Part[] = [];
      for (let n = next(9); n >= 0; n--) {
        const small = next(4) > 0;
        parts.push(
          next(3) === 0
            ? names[next(names.length)]
            : [([1, 2, 4, 4, 4, 8] as const)[next(6)], small ? next(5) : next(2 ** 31) * 2],
        );
      }
      const bytes = message(type, parts);
      if (next(10) === 0) bytes[next(bytes.length)] = next(256);
      const sent = next(20) === 0 ? bytes.subarray(0, next(bytes.length + 1)) : bytes;
      const answer = client.server.answer(sent);
      assertEquals(answer === undefined, sent.length < 7);
      if (!answer) continue;
      assert(answer.length <= MAX_MESSAGE);
      answers.set(answer[4], (answers.get(answer[4]) ?? 0) + 1);
      // The root's fid is there most of the time.
      if (i % 20 === 0) {
        client.server.answer(message(Type.ATTACH, [[4, 0], [4, 0], "", "", [4, 0]]));
      }
    }
    assert(answers.size > 15, `answers ${[...answers.keys()]}`);
    const outside = [...Deno.readDirSync(`${directory}/..`)].map(({ name }) => name).toSorted();
    assertEquals(outside, ["secret", "shared"]);
    assertEquals(Deno.readTextFileSync(`${directory}/../secret`), "secret");
    client.server.reset();
  });
});

Deno.test("parseShare and tagsOf say what is wrong", () => {
  assertEquals(parseShare("data"), { directory: "data", readonly: false });
  assertEquals(parseShare("/a/b:work:ro"), { directory: "/a/b", readonly: true, tag: "work" });
  assertEquals(parseShare("data::ro"), { directory: "data", readonly: true });
  assertThrows(() => parseShare(":x"), RangeError, "DIR[:TAG][:ro]");
  assertThrows(() => parseShare("a:b:c:d"), RangeError, "DIR[:TAG][:ro]");
  assertEquals(tagsOf([{ directory: "a" }, { directory: "b", tag: "x" }]), ["host0", "x"]);
  const twice = [{ directory: "a", tag: "x" }, { directory: "b", tag: "x" }];
  assertThrows(() => tagsOf(twice), RangeError, "for two shares");
  assertThrows(() => tagsOf([{ directory: "a", tag: "ä" }]), RangeError, 'the tag "ä"');
  try {
    new P9Server(denoFiles, "/nothing/here", false, () => {});
  } catch (error) {
    assertStringIncludes(String(error), "/nothing/here");
    return;
  }
  throw new Error("a missing directory was shared");
});
