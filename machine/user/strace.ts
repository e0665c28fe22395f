/**
 * How `--strace` prints system calls, which is as strace(1) does.
 *
 * @module
 */
import type { AddressSpace } from "../../mmu/address_space.ts";
import type { Abi } from "./abi.ts";
import { errnoName, errnoText, RESTART } from "./errno.ts";
import type { TraceLine, Tracer } from "./kernel.ts";
import { signalName } from "./signals.ts";

/** What formatting may look at. */
interface Context {
  memory: AddressSpace;
  abi: Abi;
  /** All arguments, decoded. */
  args: readonly number[];
  /** Index of the argument. */
  index: number;
  /** The result; undefined before the call. */
  result: number | undefined;
}

/** A type of argument. */
export interface ArgType {
  /** Whether it is printed after the call, because the call fills it in. */
  out?: boolean;
  format(value: number, context: Context): string;
}

/** Characters of a string or buffer that are shown. */
const SHOWN = 32;
const hex = (value: number): string => value === 0 ? "NULL" : `0x${value.toString(16)}`;
const bitsHex = (value: number): string => `0x${(value >>> 0).toString(16)}`;
const octal = (value: number): string => "0" + (value >>> 0).toString(8);

/** Names of single bits, lowest first, after an optional field of values. */
function flags(names: Readonly<Record<string, number>>, zero = "0"): (value: number) => string {
  return (value) => {
    const parts: string[] = [];
    let rest = value >>> 0;
    for (const [name, bits] of Object.entries(names)) {
      if (bits !== 0 && (rest & bits) === bits) {
        parts.push(name);
        rest = (rest & ~bits) >>> 0;
      }
    }
    if (rest !== 0) parts.push(bitsHex(rest));
    return parts.length === 0 ? zero : parts.join("|");
  };
}

/** Names of values. */
function values(names: readonly string[]): (value: number) => string {
  return (value) => names[value] ?? String(value);
}

const ESCAPES: Readonly<Record<number, string>> = {
  9: "\\t",
  10: "\\n",
  11: "\\v",
  12: "\\f",
  13: "\\r",
  34: '\\"',
  92: "\\\\",
};

function quote(bytes: Uint8Array, limit = SHOWN): string {
  let text = "";
  const end = Math.min(bytes.length, limit);
  for (let i = 0; i < end; i++) {
    const byte = bytes[i];
    const digit = bytes[i + 1] >= 48 && bytes[i + 1] <= 57;
    text += ESCAPES[byte] ??
      (byte >= 32 && byte < 127
        ? String.fromCharCode(byte)
        : "\\" + (digit ? byte.toString(8).padStart(3, "0") : byte.toString(8)));
  }
  return `"${text}"${bytes.length > limit ? "..." : ""}`;
}

function string(value: number, { memory }: Context): string {
  const bytes = memory.cStringBytes(value, 4096);
  return bytes ? quote(bytes, 4096) : hex(value);
}

/** A buffer whose length is the next argument, or the result for what the call fills in. */
function buffer(value: number, { memory, args, index, result }: Context): string {
  const length = Math.min(result ?? args[index + 1], SHOWN + 1);
  const bytes = memory.readView(value, length);
  return bytes ? quote(bytes) : hex(value);
}

function timespec(value: number, { memory }: Context): string {
  if (!memory.isReadable(value, 16)) return hex(value);
  const seconds = BigInt.asIntN(64, memory.readU64(value));
  const nanoseconds = BigInt.asIntN(64, memory.readU64(value + 8));
  return `{tv_sec=${seconds}, tv_nsec=${nanoseconds}}`;
}

function signalSet(value: number, { memory }: Context): string {
  if (!memory.isReadable(value, 8)) return hex(value);
  const set = memory.readU64(value);
  const name = (s: number) => signalName(s).replace(/^SIG/, "");
  const names: string[] = [];
  for (let s = 1; s <= 64; s++) if (set >> BigInt(s - 1) & 1n) names.push(name(s));
  if (names.length <= 32) return `[${names.join(" ")}]`;
  const missing: string[] = [];
  for (let s = 1; s <= 64; s++) if (!(set >> BigInt(s - 1) & 1n)) missing.push(name(s));
  return `~[${missing.join(" ")}]`;
}

const STAT_TYPES: Readonly<Record<number, string>> = {
  1: "S_IFIFO",
  2: "S_IFCHR",
  4: "S_IFDIR",
  6: "S_IFBLK",
  8: "S_IFREG",
  10: "S_IFLNK",
  12: "S_IFSOCK",
};

function stat(value: number, { memory, abi }: Context): string {
  const { stat: layout } = abi;
  if (!memory.isReadable(value, layout.size)) return hex(value);
  const mode = memory.readU32(value + layout.mode);
  const type = STAT_TYPES[mode >> 12] ?? bitsHex(mode & ~0xfff);
  return `{st_mode=${type}|${octal(mode & 0xfff)}, st_size=${
    memory.readU64(value + layout.bytes)
  }, ...}`;
}

function vector(value: number, { memory, args, index, abi }: Context): string {
  const word = abi.bits / 8, count = args[index + 1];
  if (count > 16 || !memory.isReadable(value, count * 2 * word)) return hex(value);
  const long = (at: number) => word === 8 ? Number(memory.readU64(at)) : memory.readU32(at);
  const parts: string[] = [];
  for (let i = 0; i < count; i++) {
    const base = long(value + i * 2 * word), length = long(value + (i * 2 + 1) * word);
    const bytes = memory.readView(base, Math.min(length, SHOWN + 1));
    parts.push(`{iov_base=${bytes ? quote(bytes) : hex(base)}, iov_len=${length}}`);
  }
  return `[${parts.join(", ")}]`;
}

function openFlags(value: number, { abi }: Context): string {
  const { DIRECTORY, NOFOLLOW, DIRECT, LARGEFILE } = abi.openFlags;
  const access = ["O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"][value & 3];
  const rest = flags({
    O_CREAT: 0o100,
    O_EXCL: 0o200,
    O_NOCTTY: 0o400,
    O_TRUNC: 0o1000,
    O_APPEND: 0o2000,
    O_NONBLOCK: 0o4000,
    O_SYNC: 0o4010000,
    O_DSYNC: 0o10000,
    O_TMPFILE: 0o20000000 | DIRECTORY,
    O_DIRECTORY: DIRECTORY,
    O_NOFOLLOW: NOFOLLOW,
    O_DIRECT: DIRECT,
    O_LARGEFILE: LARGEFILE,
    O_NOATIME: 0o1000000,
    O_CLOEXEC: 0o2000000,
    O_PATH: 0o10000000,
  }, "")(value & ~3);
  return rest === "" ? access : `${access}|${rest}`;
}

const as = (format: (value: number, context: Context) => string): ArgType => ({ format });
const out = (type: ArgType): ArgType => ({ ...type, out: true });

/** How arguments of each type (see arg_kinds.ts) are printed. */
export const ARG_TYPES: Readonly<Record<string, ArgType>> = {
  int: as(String),
  uint: as(bitsHex),
  fd: as(String),
  dirfd: as((value) => value === -100 ? "AT_FDCWD" : String(value)),
  size: as(String),
  long: as(hex),
  ptr: as(hex),
  off: as(String),
  wide_off: as(String),
  path: as(string),
  string: as(string),
  string_out: out(as(string)),
  buffer: as(buffer),
  buffer_out: out(as(buffer)),
  vector: as(vector),
  mode: as(octal),
  create_mode: as((value, { args }) => args[2] & 0o100 ? octal(value) : ""),
  open_flags: as(openFlags),
  // pipe2 and dup3: the same bits, but no access mode.
  status_flags: as(flags({ O_NONBLOCK: 0o4000, O_CLOEXEC: 0o2000000 })),
  at_flags: as(flags({
    AT_SYMLINK_NOFOLLOW: 0x100,
    AT_EACCESS: 0x200,
    AT_SYMLINK_FOLLOW: 0x400,
    AT_NO_AUTOMOUNT: 0x800,
    AT_EMPTY_PATH: 0x1000,
  })),
  unlink_flags: as(flags({ AT_REMOVEDIR: 0x200 })),
  access: as(flags({ R_OK: 4, W_OK: 2, X_OK: 1 }, "F_OK")),
  prot: as(flags({ PROT_READ: 1, PROT_WRITE: 2, PROT_EXEC: 4 }, "PROT_NONE")),
  map_flags: as(flags({
    MAP_SHARED_VALIDATE: 3,
    MAP_SHARED: 1,
    MAP_PRIVATE: 2,
    MAP_FIXED: 0x10,
    MAP_ANONYMOUS: 0x20,
    MAP_NORESERVE: 0x4000,
    MAP_STACK: 0x20000,
    MAP_FIXED_NOREPLACE: 0x100000,
  })),
  whence: as(values(["SEEK_SET", "SEEK_CUR", "SEEK_END", "SEEK_DATA", "SEEK_HOLE"])),
  signal: as(signalName),
  sigmask_how: as(values(["SIG_BLOCK", "SIG_UNBLOCK", "SIG_SETMASK"])),
  sigset: as(signalSet),
  sigset_out: out(as(signalSet)),
  clock: as(values([
    "CLOCK_REALTIME",
    "CLOCK_MONOTONIC",
    "CLOCK_PROCESS_CPUTIME_ID",
    "CLOCK_THREAD_CPUTIME_ID",
    "CLOCK_MONOTONIC_RAW",
    "CLOCK_REALTIME_COARSE",
    "CLOCK_MONOTONIC_COARSE",
    "CLOCK_BOOTTIME",
  ])),
  timespec: as(timespec),
  timespec_out: out(as(timespec)),
  stat_out: out(as(stat)),
  fds_out: out(
    as((value, { memory }) =>
      memory.isReadable(value, 8)
        ? `[${memory.readU32(value)}, ${memory.readU32(value + 4)}]`
        : hex(value)
    ),
  ),
  futex: as((value) => {
    const name = {
      0: "FUTEX_WAIT",
      1: "FUTEX_WAKE",
      3: "FUTEX_REQUEUE",
      4: "FUTEX_CMP_REQUEUE",
      9: "FUTEX_WAIT_BITSET",
      10: "FUTEX_WAKE_BITSET",
    }[value & 0x7f];
    return (name ?? String(value & 0x7f)) + (value & 128 ? "_PRIVATE" : "") +
      (value & 256 ? "|FUTEX_CLOCK_REALTIME" : "");
  }),
  clone_flags: as(hex),
  rlimit: as(values([
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
  ])),
  fcntl: as((value) =>
    [
      "F_DUPFD",
      "F_GETFD",
      "F_SETFD",
      "F_GETFL",
      "F_SETFL",
      "F_GETLK",
      "F_SETLK",
      "F_SETLKW",
    ][value] ??
      (value === 1030 ? "F_DUPFD_CLOEXEC" : String(value))
  ),
  ioctl: as((value) =>
    ({ 0x5401: "TCGETS", 0x5402: "TCSETS", 0x5413: "TIOCGWINSZ", 0x541b: "FIONREAD" })[value] ??
      bitsHex(value)
  ),
};

/** A call whose line is being written. */
class Line implements TraceLine {
  readonly #name: string;
  readonly #types: readonly string[];
  readonly #context: Omit<Context, "index">;
  readonly #parts: (string | undefined)[];

  /**
   * Formats the arguments that the call reads.
   *
   * @param types Names of argument types, one for each of `args`.
   */
  constructor(
    name: string,
    types: readonly string[],
    args: readonly number[],
    memory: AddressSpace,
    abi: Abi,
  ) {
    this.#name = name;
    this.#types = types;
    this.#context = { memory, abi, args: args.slice(0, types.length), result: undefined };
    this.#parts = types.map((type, index) =>
      ARG_TYPES[type].out ? undefined : this.#format(index, undefined)
    );
  }

  #format(index: number, result: number | undefined): string {
    const type = ARG_TYPES[this.#types[index]];
    return type.format(this.#context.args[index], { ...this.#context, index, result });
  }

  #head(result: number): string {
    const parts = this.#parts.map((part, index) =>
      part ?? (result < 0 ? hex(this.#context.args[index]) : this.#format(index, result))
    );
    return `${this.#name}(${parts.filter((part) => part !== "").join(", ")})`;
  }

  /** The line of a call that has returned. */
  finish(result: number, type: string): string {
    if (result === -RESTART.ERESTARTSYS || result === -RESTART.ERESTARTNOHAND) {
      return `${this.#head(result)} = ? (to be restarted unless a signal's handler says no)`;
    }
    const head = this.#head(result);
    if (result < 0 && result > -4096) {
      return `${head} = -1 ${errnoName(-result)} (${errnoText(-result)})`;
    }
    return `${head} = ${type === "ptr" ? `0x${result.toString(16)}` : result}`;
  }

  /** The line of a call that does not return. */
  unfinished(): string {
    return `${this.#head(-1)} = ?`;
  }
}

/** Prints system calls. */
export function straceTo(write: (line: string) => void): Tracer {
  return { write, begin: (...call) => new Line(...call) };
}
