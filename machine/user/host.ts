/**
 * What the system-call layer asks of the host, so that tests can fake it and two machines don't share anything.
 *
 * File operations throw {@linkcode HostError}; nothing else.
 *
 * @module
 */

/** What is known of a file. */
export interface HostStat {
  /** Device number. */
  dev: number;
  /** Inode number. */
  ino: number;
  /** Type and permission bits, as `st_mode`. */
  mode: number;
  /** Hard links. */
  nlink: number;
  /** Owner. */
  uid: number;
  /** Group. */
  gid: number;
  /** Device number of a device file. */
  rdev: number;
  /** Bytes. */
  size: number;
  /** Preferred bytes of a transfer. */
  blksize: number;
  /** Allocated 512-byte units. */
  blocks: number;
  /** Last access, milliseconds since 1970. */
  atime: number;
  /** Last change of the content, milliseconds since 1970. */
  mtime: number;
  /** Last change of the inode, milliseconds since 1970. */
  ctime: number;
  /** Creation, milliseconds since 1970. */
  btime: number;
}

/** Types in {@linkcode HostStat.mode} (include/uapi/linux/stat.h). */
export const Mode = {
  TYPE: 0o170000,
  FIFO: 0o010000,
  CHAR: 0o020000,
  DIRECTORY: 0o040000,
  BLOCK: 0o060000,
  FILE: 0o100000,
  LINK: 0o120000,
  SOCKET: 0o140000,
} as const;

/** An open host file. Positions are bytes. */
export interface HostFile {
  /** Reads at a position, or where the file stands if it is undefined (devices); 0 is the end. */
  read(buffer: Uint8Array<ArrayBuffer>, position: number | undefined): number;
  /** Writes at a position, where the file stands (undefined), or at its end ("end"). */
  write(bytes: Uint8Array<ArrayBuffer>, position: number | undefined | "end"): number;
  /** What is known of it. */
  stat(): HostStat;
  /** Sets its size in bytes. */
  truncate(size: number): void;
  /** Waits until it is on the disk. */
  sync(): void;
  /** Sets access and modification times, milliseconds since 1970. */
  utime(atime: number, mtime: number): void;
  /** Closes it. */
  close(): void;
}

/** How a file is opened. */
export interface HostOpen {
  /** For reading. */
  read: boolean;
  /** For writing. */
  write: boolean;
  /** Its content is dropped. */
  truncate: boolean;
  /** The file must not exist and is created with `mode`. */
  createNew: boolean;
  /** Permission bits of a file that is created; the host's umask applies too. */
  mode: number;
}

/** The host's file system, by host path. No call but `realPath` follows a symbolic link in the last component. */
export interface HostFileSystem {
  /** Host path of a name in a directory. @throws {HostError} ENOENT if the host cannot have such a name. */
  join(directory: string, name: string): string;
  /** Absolute path without symbolic links. */
  realPath(path: string): string;
  /** Status of what a path names, be it a link. */
  lstat(path: string): HostStat;
  /** Text of a symbolic link. */
  readLink(path: string): string;
  /** Names in a directory, without "." and "..". */
  readDirectory(path: string): string[];
  /** Opens a file. */
  open(path: string, how: HostOpen): HostFile;
  /** Makes a directory; the host's umask applies. */
  mkdir(path: string, mode: number): void;
  /** Removes a file or an empty directory. */
  remove(path: string): void;
  /** Renames, replacing what is at `to`. */
  rename(from: string, to: string): void;
  /** Makes a hard link. */
  link(from: string, to: string): void;
  /** Makes a symbolic link. */
  symlink(target: string, path: string): void;
  /** Sets permission bits. */
  chmod(path: string, mode: number): void;
  /** Sets owner and group; null leaves one as it is. */
  chown(path: string, uid: number | null, gid: number | null): void;
  /** Sets a file's size in bytes. */
  truncate(path: string, size: number): void;
  /** Sets times in milliseconds since 1970. */
  utime(path: string, atime: number, mtime: number): void;
  /** Room of the file system that holds a path; what is absent is not known. */
  space?(path: string): HostSpace | undefined;
}

/** Room of a file system. */
export interface HostSpace {
  /** Bytes of a block. */
  blockSize: number;
  /** Blocks in all. */
  blocks: number;
  /** Free blocks. */
  free: number;
  /** Free blocks that users may have. */
  available: number;
  /** Inodes in all. */
  files: number;
  /** Free inodes. */
  freeFiles: number;
}

/** Where the guest's standard input comes from. One of the two methods must be there. */
export interface HostInput {
  /** Reads at least one byte, waiting for it; 0 or null is the end. */
  readSync?(buffer: Uint8Array<ArrayBuffer>): number | null;
  /** The same, without blocking the event loop. */
  read?(buffer: Uint8Array<ArrayBuffer>): Promise<number | null>;
  /** Whether it is a terminal. */
  isTerminal?(): boolean;
  /** Switches a terminal between raw and cooked mode. */
  setRaw?(raw: boolean): void;
}

/** Where the guest's standard output or error goes. */
export interface HostOutput {
  /** Writes some of the bytes, which are only valid during the call; returns how many, all of them if nothing. */
  write(bytes: Uint8Array<ArrayBuffer>): number | void | Promise<number | void>;
  /** Whether it is a terminal. */
  isTerminal?(): boolean;
}

/** Clocks. A pure instruction counter will do, if `sleep` advances it. */
export interface HostClock {
  /** Milliseconds since 1970, with fraction. */
  realtime(): number;
  /** Milliseconds since any fixed moment, with fraction; never goes back. */
  monotonic(): number;
  /** Waits; `cancel` ends the wait early. */
  sleep(milliseconds: number): { done: Promise<void>; cancel(): void };
  /** Blocks for a short time; used for sleeps of 2 ms or less. */
  pause?(milliseconds: number): void;
}

/** The host of one machine. */
export interface Host {
  /** Standard input. */
  stdin: HostInput;
  /** Standard output. */
  stdout: HostOutput;
  /** Standard error. */
  stderr: HostOutput;
  /** Clocks. */
  clock: HostClock;
  /** Fills a buffer with random bytes. */
  random(bytes: Uint8Array<ArrayBuffer>): void;
  /** The file system; the guest sees no host files without it. */
  files?: HostFileSystem;
  /** Size of the terminal in characters. */
  terminalSize?(): { columns: number; rows: number } | undefined;
  /** Process number for getpid; 1000 if absent. */
  pid?: number;
  /** User of the process, if the host tells. */
  uid?: number;
  /** Group of the process, if the host tells. */
  gid?: number;
}
