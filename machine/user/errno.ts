/**
 * Linux error numbers (asm-generic/errno-base.h, errno.h) and the mapping of host errors to them.
 *
 * @module
 */

const TABLE = {
  EPERM: [1, "Operation not permitted"],
  ENOENT: [2, "No such file or directory"],
  ESRCH: [3, "No such process"],
  EINTR: [4, "Interrupted system call"],
  EIO: [5, "Input/output error"],
  ENXIO: [6, "No such device or address"],
  E2BIG: [7, "Argument list too long"],
  ENOEXEC: [8, "Exec format error"],
  EBADF: [9, "Bad file descriptor"],
  ECHILD: [10, "No child processes"],
  EAGAIN: [11, "Resource temporarily unavailable"],
  ENOMEM: [12, "Cannot allocate memory"],
  EACCES: [13, "Permission denied"],
  EFAULT: [14, "Bad address"],
  EBUSY: [16, "Device or resource busy"],
  EEXIST: [17, "File exists"],
  EXDEV: [18, "Invalid cross-device link"],
  ENODEV: [19, "No such device"],
  ENOTDIR: [20, "Not a directory"],
  EISDIR: [21, "Is a directory"],
  EINVAL: [22, "Invalid argument"],
  ENFILE: [23, "Too many open files in system"],
  EMFILE: [24, "Too many open files"],
  ENOTTY: [25, "Inappropriate ioctl for device"],
  ETXTBSY: [26, "Text file busy"],
  EFBIG: [27, "File too large"],
  ENOSPC: [28, "No space left on device"],
  ESPIPE: [29, "Illegal seek"],
  EROFS: [30, "Read-only file system"],
  EMLINK: [31, "Too many links"],
  EPIPE: [32, "Broken pipe"],
  EDOM: [33, "Numerical argument out of domain"],
  ERANGE: [34, "Numerical result out of range"],
  EDEADLK: [35, "Resource deadlock avoided"],
  ENAMETOOLONG: [36, "File name too long"],
  ENOLCK: [37, "No locks available"],
  ENOSYS: [38, "Function not implemented"],
  ENOTEMPTY: [39, "Directory not empty"],
  ELOOP: [40, "Too many levels of symbolic links"],
  ENODATA: [61, "No data available"],
  EPROTO: [71, "Protocol error"],
  EOVERFLOW: [75, "Value too large for defined data type"],
  EILSEQ: [84, "Invalid or incomplete multibyte or wide character"],
  ENOTSOCK: [88, "Socket operation on non-socket"],
  EMSGSIZE: [90, "Message too long"],
  EOPNOTSUPP: [95, "Operation not supported"],
  EAFNOSUPPORT: [97, "Address family not supported by protocol"],
  EADDRINUSE: [98, "Address already in use"],
  EADDRNOTAVAIL: [99, "Cannot assign requested address"],
  ENETUNREACH: [101, "Network is unreachable"],
  ECONNABORTED: [103, "Software caused connection abort"],
  ECONNRESET: [104, "Connection reset by peer"],
  ENOBUFS: [105, "No buffer space available"],
  ENOTCONN: [107, "Transport endpoint is not connected"],
  ETIMEDOUT: [110, "Connection timed out"],
  ECONNREFUSED: [111, "Connection refused"],
  EHOSTUNREACH: [113, "No route to host"],
  EALREADY: [114, "Operation already in progress"],
  ESTALE: [116, "Stale file handle"],
  EDQUOT: [122, "Disk quota exceeded"],
  ECANCELED: [125, "Operation canceled"],
} as const satisfies Record<string, readonly [number, string]>;

/** Name of an error number that the table knows. */
export type ErrnoName = keyof typeof TABLE;

/** Error numbers by name: `E.ENOENT` is 2. System calls return them negated. */
export const E: Readonly<Record<ErrnoName, number>> = numbers();

function numbers(): Record<ErrnoName, number> {
  const found = {} as Record<ErrnoName, number>;
  for (const name in TABLE) found[name as ErrnoName] = TABLE[name as ErrnoName][0];
  return found;
}

/** Name of an error number, if the table has it. */
function nameOf(errno: number): ErrnoName | undefined {
  return (Object.keys(TABLE) as ErrnoName[]).find((name) => TABLE[name][0] === errno);
}

/** What the kernel uses inside for "restart this call"; seen by `--strace` only (include/linux/errno.h). */
export const RESTART = {
  /** Restart if the handler has SA_RESTART or there is none, else EINTR. */
  ERESTARTSYS: 512,
  /** Restart if there is no handler, else EINTR. */
  ERESTARTNOHAND: 514,
} as const;

/** Symbolic name of an error number, such as "ENOENT". */
export function errnoName(errno: number): string {
  return nameOf(errno) ?? `errno ${errno}`;
}

/** What an error number means, in words. */
export function errnoText(errno: number): string {
  const name = nameOf(errno);
  return name ? TABLE[name][1] : `Unknown error ${errno}`;
}

/** A host operation that failed, with the error number that the guest gets. */
export class HostError extends Error {
  /** "HostError". */
  override name = "HostError";
  /** Linux error number, positive. */
  readonly errno: number;
  /** Whether the user should be told, because the number alone would mislead. */
  readonly notable: boolean;
  /** Makes the error for a Linux error number. */
  constructor(errno: number, message: string, notable = false, cause?: unknown) {
    super(message, { cause });
    this.errno = errno;
    this.notable = notable;
  }
}

/** Host error classes (`Deno.errors.*`) that come without a `code`. */
const BY_CLASS: Readonly<Record<string, ErrnoName>> = {
  NotFound: "ENOENT",
  PermissionDenied: "EACCES",
  NotCapable: "EACCES",
  ConnectionRefused: "ECONNREFUSED",
  ConnectionReset: "ECONNRESET",
  ConnectionAborted: "ECONNABORTED",
  NotConnected: "ENOTCONN",
  AddrInUse: "EADDRINUSE",
  AddrNotAvailable: "EADDRNOTAVAIL",
  BrokenPipe: "EPIPE",
  AlreadyExists: "EEXIST",
  InvalidData: "EINVAL",
  TimedOut: "ETIMEDOUT",
  Interrupted: "EINTR",
  WriteZero: "EIO",
  WouldBlock: "EAGAIN",
  UnexpectedEof: "EIO",
  BadResource: "EBADF",
  Busy: "EBUSY",
  NotSupported: "EOPNOTSUPP",
  FilesystemLoop: "ELOOP",
  IsADirectory: "EISDIR",
  NetworkUnreachable: "ENETUNREACH",
  NotADirectory: "ENOTDIR",
  RangeError: "EINVAL",
};

/**
 * Turns what a host operation threw into a {@linkcode HostError}.
 *
 * The system's own code (`error.code`, "ENOTEMPTY") decides, then the error's class. A missing Deno permission is
 * EACCES and notable, because its message names the permission; an error nobody knows is EIO and notable.
 */
export function hostError(error: unknown, action: string): HostError {
  if (error instanceof HostError) return error;
  const { name, code, message } = error as { name?: string; code?: string; message?: string };
  const known = code === undefined ? undefined : TABLE[code as ErrnoName];
  if (known) return new HostError(known[0], `Cannot ${action}: ${message}`, false, error);
  const byClass = BY_CLASS[name ?? ""];
  if (byClass) {
    const notable = name === "NotCapable";
    return new HostError(TABLE[byClass][0], `Cannot ${action}: ${message}`, notable, error);
  }
  return new HostError(E.EIO, `Cannot ${action}: ${message ?? String(error)}`, true, error);
}
