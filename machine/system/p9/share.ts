/**
 * Host directories that a machine's guest may mount.
 *
 * @module
 */

/** A host directory that the guest may mount by 9P. */
export interface Share {
  /** Path of the directory. */
  directory: string;
  /** What the guest mounts: `mount -t 9p -o trans=virtio TAG /mnt`; "host0" for the first, "host1"... if absent. */
  tag?: string;
  /** Whether the guest may only read. */
  readonly?: boolean;
}

/** Longest tag in bytes. */
const MAX_TAG = 255;

/**
 * Parses the value of `--share`: `DIR[:TAG][:ro]`.
 *
 * @throws {RangeError} If it has another form.
 *
 * @example
 * ```ts
 * import { parseShare } from "./share.ts";
 * console.log(parseShare("data:work:ro")); // { directory: "data", readonly: true, tag: "work" }
 * ```
 */
export function parseShare(text: string): Share {
  const drive = /^[A-Za-z]:[\\/]/.test(text) ? 2 : 0;
  const [path, ...parts] = text.slice(drive).split(":");
  const directory = text.slice(0, drive) + path;
  const last = parts.at(-1), access = last === "ro" || last === "rw" ? parts.pop() : "rw";
  const tag = parts.shift();
  if (directory === "" || parts.length > 0) {
    throw new RangeError(`Cannot share "${text}": the form is DIR[:TAG][:ro]`);
  }
  return { directory, readonly: access === "ro", ...(tag ? { tag } : {}) };
}

/** The shares' tags. @throws {RangeError} If one can't be used, or is used twice. */
export function tagsOf(shares: readonly Share[]): string[] {
  const tags = shares.map(({ tag }, i) => tag ?? `host${i}`);
  tags.forEach((tag, i) => {
    if (!/^[\w.-]+$/.test(tag) || tag.length > MAX_TAG) {
      throw new RangeError(
        `Cannot use the tag "${tag}": it is made of letters, digits, _, . and -`,
      );
    }
    if (tags.indexOf(tag) < i) throw new RangeError(`Cannot use the tag ${tag} for two shares`);
  });
  return tags;
}
