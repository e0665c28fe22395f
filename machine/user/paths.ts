/**
 * The guest's name space: granted host directories, virtual files and the directories that lead to them.
 *
 * A path is walked component by component in the guest's own terms. The host never resolves a symbolic link for the
 * guest: each component is looked at with lstat, and a link's target is walked here, from the guest's root if it is
 * absolute. So neither ".." nor a link leads out of a grant. Every walk starts at the root, also from a directory
 * descriptor, because a directory may have been replaced by a link since it was opened.
 *
 * Limit: another host process that exchanges directories and links in a granted directory while a path is
 * walked can win a race; grant such directories to nobody.
 *
 * @module
 */
import { E, HostError } from "./errno.ts";
import { type HostFileSystem, type HostStat, Mode } from "./host.ts";
import type { VirtualDirectory, VirtualFile } from "./virtual.ts";

/** A host directory that the guest may use. */
export interface Grant {
  /** Host path of the directory. */
  host: string;
  /** Absolute guest path where it appears. */
  guest: string;
  /** Whether the guest may only read. */
  readonly: boolean;
}

/** Longest path in bytes, with its NUL (PATH_MAX). */
export const PATH_MAX = 4096;
/** Longest name in bytes (NAME_MAX). */
const NAME_MAX = 255;
/** Symbolic links followed in one walk (MAXSYMLINKS). */
const MAX_LINKS = 40;
/** Device number of what exists only in the guest's view. */
const VIRTUAL_DEVICE = 0x7d;

/** Components of a path without empty ones and "."; ".." is kept. */
function components(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

/** Absolute path without ".", ".." and empty components, by text only. */
export function normalizePath(path: string, base = "/"): string {
  const result: string[] = [];
  for (const name of components(path.startsWith("/") ? path : `${base}/${path}`)) {
    if (name === "..") result.pop();
    else result.push(name);
  }
  return "/" + result.join("/");
}

/**
 * Parses the value of `--dir`: `HOST[:GUEST][:ro]`. Without GUEST the directory appears under its own absolute path.
 *
 * @param text Such as ".", "/srv/data:/data" or "lib::ro".
 * @param cwd Absolute host directory that relative HOST paths start from.
 * @throws {RangeError} If the text has another form.
 *
 * @example
 * ```ts
 * import { parseDirOption } from "./paths.ts";
 * const grant = parseDirOption("data:/data:ro", "/home/me");
 * console.log(grant); // { host: "data", guest: "/data", readonly: true }
 * ```
 */
export function parseDirOption(text: string, cwd: string): Grant {
  const drive = /^[A-Za-z]:[\\/]/.test(text) ? 2 : 0;
  const parts = text.slice(drive).split(":");
  const host = text.slice(0, drive) + parts.shift()!;
  const last = parts.at(-1);
  const access = last === "ro" || last === "rw" ? parts.pop() : "rw";
  const guest = parts.shift() || undefined;
  if (host === "" || parts.length > 0 || (guest !== undefined && !guest.startsWith("/"))) {
    throw new RangeError(
      `Cannot grant the directory "${text}": the form is HOST[:GUEST][:ro], GUEST starts with "/"`,
    );
  }
  const slashed = (path: string) => path.replace(/^[A-Za-z]:[\\/]/, "/$&").replaceAll("\\", "/");
  const path = guest ?? normalizePath(slashed(host), slashed(cwd));
  return { host, guest: normalizePath(path), readonly: access === "ro" };
}

/** A name in the overlay: a grant, a virtual node, or a directory on the way to one. */
class Overlay {
  readonly children = new Map<string, Overlay>();
  grant: Grant | undefined;
  node: VirtualFile | VirtualDirectory | undefined;
}

/** Where a walk has led. */
export interface Place {
  /** Guest path without links, "." and "..". */
  path: string;
  /** Last component; "" for the root. */
  name: string;
  /** What is there. `missing`: nothing, but the directory that would hold it exists. */
  kind: "host" | "virtual" | "synthetic" | "missing";
  /** The grant that holds it, or would hold it. */
  grant: Grant | undefined;
  /** Host path, if there is a grant. */
  host: string;
  /** Status of what is there; undefined if missing. */
  stat: HostStat | undefined;
  /** The virtual file. */
  file: VirtualFile | undefined;
  /** Whether a grant or virtual file is here or below: it cannot be renamed or removed. */
  mounted: boolean;
  /** Whether the path ended in a slash. */
  slash: boolean;
}

/** A directory while it is listed. */
export interface DirectoryReader {
  /** Names in it, without "." and "..". */
  names(): string[];
  /** Status of an entry, "." and ".." too; undefined if it is gone. */
  stat(name: string): HostStat | undefined;
}

interface Frame {
  path: string;
  name: string;
  kind: "host" | "synthetic" | "virtual";
  overlay: Overlay | undefined;
  grant: Grant | undefined;
  host: string;
  stat: HostStat;
  directory: VirtualDirectory | undefined;
}

const isLink = (stat: HostStat): boolean => (stat.mode & Mode.TYPE) === Mode.LINK;
/** Whether a status is that of a directory. */
export const isDirectory = (stat: HostStat): boolean => (stat.mode & Mode.TYPE) === Mode.DIRECTORY;

/** A stable inode number for what has none: FNV-1a of its path. */
function inodeOf(path: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < path.length; i++) hash = Math.imul(hash ^ path.charCodeAt(i), 0x01000193);
  return (hash >>> 1) + 2;
}

/** Status of something that only exists in the guest's view. */
export function virtualStat(path: string, mode: number, size = 0, rdev = 0): HostStat {
  return {
    dev: VIRTUAL_DEVICE,
    ino: inodeOf(path),
    mode,
    nlink: (mode & Mode.TYPE) === Mode.DIRECTORY ? 2 : 1,
    uid: 0,
    gid: 0,
    rdev,
    size,
    blksize: 4096,
    blocks: 0,
    atime: 0,
    mtime: 0,
    ctime: 0,
    btime: 0,
  };
}

function isVirtualDirectory(node: VirtualFile | VirtualDirectory): node is VirtualDirectory {
  return "lookup" in node;
}

/** The name space of one guest. */
export class Namespace {
  #files: HostFileSystem | undefined;
  #root = new Overlay();

  /**
   * Makes the name space of some grants.
   *
   * @param files The host's files; without them there can be no grants.
   * @throws {HostError} If a granted directory does not exist or is no directory.
   */
  constructor(files: HostFileSystem | undefined, grants: readonly Grant[]) {
    this.#files = files;
    for (const grant of grants) {
      if (!files) throw new RangeError("Cannot grant directories: this host has no files");
      const host = files.realPath(grant.host);
      if (!isDirectory(files.lstat(host))) {
        throw new HostError(E.ENOTDIR, `Cannot grant ${grant.host}: it is not a directory`);
      }
      const place = this.#overlay(grant.guest);
      if (place.grant || place.node) {
        throw new RangeError(`Cannot grant ${grant.host}: ${grant.guest} is already taken`);
      }
      place.grant = { ...grant, host };
    }
  }

  #overlay(path: string): Overlay {
    let overlay = this.#root;
    for (const name of components(normalizePath(path))) {
      let next = overlay.children.get(name);
      if (!next) overlay.children.set(name, next = new Overlay());
      overlay = next;
    }
    return overlay;
  }

  /** Puts a virtual file or directory at an absolute guest path, over whatever is there. */
  add(path: string, node: VirtualFile | VirtualDirectory): void {
    this.#overlay(path).node = node;
  }

  #frame(name: string, path: string, overlay: Overlay | undefined): Frame {
    const grant = overlay?.grant;
    const stat = grant ? this.#files!.lstat(grant.host) : virtualStat(path, Mode.DIRECTORY | 0o555);
    return {
      path,
      name,
      kind: grant ? "host" : "synthetic",
      overlay,
      grant,
      host: grant?.host ?? "",
      stat,
      directory: undefined,
    };
  }

  /**
   * Walks a path.
   *
   * @param base Guest path without links that relative paths start from.
   * @param path The path as the guest gave it.
   * @param follow Whether a symbolic link in the last component is followed.
   * @returns The place, or a negated error number.
   * @throws {HostError} If the host refuses to look.
   */
  walk(base: string, path: string, follow: boolean): Place | number {
    if (path === "") return -E.ENOENT;
    if (path.length >= PATH_MAX) return -E.ENAMETOOLONG;
    const frames: Frame[] = [this.#frame("", "/", this.#root)];
    if (!path.startsWith("/")) {
      for (const name of components(base)) {
        const next = this.#step(frames, name);
        // The directory is gone, or something else has taken its place.
        if (next.kind === "missing" || !isDirectory(next.stat!)) return -E.ENOENT;
        frames.push(this.#enter(frames, next));
      }
    }
    const todo = components(path).reverse();
    let slash = /\/\.?$/.test(path);
    let links = 0;
    let name: string | undefined;
    while ((name = todo.pop()) !== undefined) {
      if (name === "..") {
        if (frames.length > 1) frames.pop();
        continue;
      }
      if (name.length > NAME_MAX) return -E.ENAMETOOLONG;
      const place = this.#step(frames, name);
      const last = todo.length === 0;
      place.slash = last && slash;
      if (place.kind === "missing") return last ? place : -E.ENOENT;
      if (isLink(place.stat!) && (!last || follow || slash)) {
        // /proc/self/fd/N leads to an open file that may have no path: the caller resolves it.
        if (last && place.file?.descriptor !== undefined) return place;
        const leadsTo = place.file?.target;
        if (last && leadsTo) {
          place.file = leadsTo;
          place.stat = virtualStat(place.path, leadsTo.mode, leadsTo.size?.() ?? 0);
          return place;
        }
        if (++links > MAX_LINKS) return -E.ELOOP;
        const target = place.file ? place.file.readlink!() : this.#files!.readLink(place.host);
        if (target === "") return -E.ENOENT;
        if (target.length >= PATH_MAX) return -E.ENAMETOOLONG;
        if (target.startsWith("/")) frames.length = 1;
        if (last && /\/\.?$/.test(target)) slash = true;
        todo.push(...components(target).reverse());
        continue;
      }
      if (!isDirectory(place.stat!)) return last && !slash ? place : -E.ENOTDIR;
      frames.push(this.#enter(frames, place));
    }
    const top = frames[frames.length - 1];
    return {
      path: top.path,
      name: top.name,
      kind: top.kind,
      grant: top.grant,
      host: top.host,
      stat: top.stat,
      file: undefined,
      mounted: top.overlay !== undefined,
      slash,
    };
  }

  /** Looks at a name in the directory that the frames lead to; never follows it. */
  #step(frames: readonly Frame[], name: string): Place {
    const parent = frames[frames.length - 1];
    const overlay = parent.overlay?.children.get(name);
    const path = parent.path === "/" ? `/${name}` : `${parent.path}/${name}`;
    const place: Place = {
      path,
      name,
      kind: "missing",
      grant: parent.grant,
      host: "",
      stat: undefined,
      file: undefined,
      mounted: overlay !== undefined,
      slash: false,
    };
    const node = overlay?.node ?? parent.directory?.lookup(name);
    if (node) {
      place.kind = "virtual";
      place.grant = undefined;
      if (isVirtualDirectory(node)) place.stat = virtualStat(path, Mode.DIRECTORY | 0o555);
      else {
        place.file = node;
        place.stat = virtualStat(path, node.mode, node.size?.() ?? 0, node.rdev ?? 0);
      }
      return place;
    }
    if (overlay?.grant) {
      place.kind = "host";
      place.grant = overlay.grant;
      place.host = overlay.grant.host;
      place.stat = this.#files!.lstat(place.host);
      return place;
    }
    if (parent.grant) {
      place.host = this.#files!.join(parent.host, name);
      const stat = this.#lstat(place.host);
      if (stat && (!overlay || isDirectory(stat))) {
        place.kind = "host";
        place.stat = stat;
        return place;
      }
    }
    if (overlay) {
      place.kind = "synthetic";
      place.grant = undefined;
      place.stat = virtualStat(path, Mode.DIRECTORY | 0o555);
    }
    return place;
  }

  #lstat(host: string): HostStat | undefined {
    try {
      return this.#files!.lstat(host);
    } catch (error) {
      if (error instanceof HostError && error.errno === E.ENOENT) return undefined;
      throw error;
    }
  }

  #enter(frames: readonly Frame[], place: Place): Frame {
    const overlay = frames[frames.length - 1].overlay?.children.get(place.name);
    const node = overlay?.node;
    return {
      path: place.path,
      name: place.name,
      kind: place.kind as Frame["kind"],
      overlay,
      grant: place.grant,
      host: place.host,
      stat: place.stat!,
      directory: node && isVirtualDirectory(node) ? node : undefined,
    };
  }

  /**
   * Opens a directory for listing. What it returns is good for one system call: later the path may lead elsewhere.
   *
   * @param path Guest path without links.
   * @returns The directory, or a negated error number.
   */
  directory(path: string): DirectoryReader | number {
    const frames: Frame[] = [this.#frame("", "/", this.#root)];
    for (const name of components(path)) {
      const next = this.#step(frames, name);
      if (next.kind === "missing") return -E.ENOENT;
      if (!isDirectory(next.stat!)) return -E.ENOTDIR;
      frames.push(this.#enter(frames, next));
    }
    const top = frames[frames.length - 1];
    return {
      names: () => {
        const names = new Set(top.overlay?.children.keys() ?? []);
        if (top.kind === "host") {
          for (const name of this.#files!.readDirectory(top.host)) names.add(name);
        }
        for (const name of top.directory?.list() ?? []) names.add(name);
        return [...names];
      },
      stat: (name) => {
        if (name === ".") return top.stat;
        if (name === "..") return frames[Math.max(0, frames.length - 2)].stat;
        return this.#step(frames, name).stat;
      },
    };
  }
}
