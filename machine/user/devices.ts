/**
 * The virtual files that every guest has: devices in /dev and what programs read in /proc.
 *
 * @module
 */
import { E } from "./errno.ts";
import { utf8 } from "./guest_memory.ts";
import { Mode } from "./host.ts";
import type { Kernel } from "./kernel.ts";
import type { VirtualDirectory, VirtualFile, VirtualHandle } from "./virtual.ts";

const character = (rdev: number, handle: VirtualHandle): VirtualFile => ({
  mode: Mode.CHAR | 0o666,
  rdev,
  open: () => handle,
});

/** A read-only file whose text is made when it is opened. */
export function textFile(text: () => string | Uint8Array): VirtualFile {
  return {
    mode: Mode.FILE | 0o444,
    open(flags) {
      if (flags & 3) return -E.EACCES;
      const made = text();
      const bytes = typeof made === "string" ? utf8(made) : made;
      return {
        seekable: true,
        size: () => bytes.length,
        read(buffer, position) {
          const part = bytes.subarray(position, position + buffer.length);
          buffer.set(part);
          return part.length;
        },
      };
    },
  };
}

const link = (target: () => string): VirtualFile => ({
  mode: Mode.LINK | 0o777,
  readlink: target,
});

/** A name for an open descriptor: opening it opens the same file again. */
const descriptor = (k: Kernel, fd: number): VirtualFile => ({
  ...link(() => k.fds.get(fd)?.path ?? ""),
  descriptor: fd,
});

/** Fields of /proc/self/stat after the state, up to the last that Linux 6 has. */
const STAT_FIELDS = 52;

function stat(k: Kernel): string {
  const fields = Array<number>(STAT_FIELDS - 3).fill(0);
  // ppid, pgrp, session; num_threads; vsize; rss (proc(5), fields 4, 5, 6, 20, 23, 24).
  fields[0] = k.ppid;
  fields[1] = fields[2] = k.pid;
  fields[16] = 1;
  fields[19] = k.map.mappedBytes();
  fields[20] = Math.floor(fields[19] / 4096);
  return `${k.pid} (${k.comm}) R ${fields.join(" ")}\n`;
}

/** Adds the standard virtual files to a guest's name space. */
export function addDevices(k: Kernel): void {
  const { options, names } = k;
  const random = (buffer: Uint8Array<ArrayBuffer>) => {
    k.host.random(buffer);
    return buffer.length;
  };
  const sink = (bytes: Uint8Array) => bytes.length;
  const zero = (buffer: Uint8Array) => {
    buffer.fill(0);
    return buffer.length;
  };
  names.add("/dev/null", character(0x103, { read: () => 0, write: sink }));
  names.add("/dev/zero", character(0x105, { read: zero, write: sink }));
  names.add("/dev/full", character(0x107, { read: zero, write: () => -E.ENOSPC }));
  names.add("/dev/random", character(0x108, { read: random, write: sink }));
  names.add("/dev/urandom", character(0x109, { read: random, write: sink }));
  names.add("/dev/stdin", descriptor(k, 0));
  names.add("/dev/stdout", descriptor(k, 1));
  names.add("/dev/stderr", descriptor(k, 2));
  names.add("/dev/tty", {
    mode: Mode.CHAR | 0o666,
    rdev: 0x500,
    open: () => -E.ENXIO,
    get descriptor(): number | undefined {
      return [0, 1, 2].find((fd) => k.fds.get(fd)?.isTerminal());
    },
  });

  const fds: VirtualDirectory = {
    list: () => [...k.fds.open()].map(([fd]) => String(fd)),
    lookup(name) {
      const fd = Number(name);
      return String(fd) === name && k.fds.get(fd) ? descriptor(k, fd) : undefined;
    },
  };
  names.add("/dev/fd", link(() => "/proc/self/fd"));
  const cString = (strings: readonly string[]) => strings.map((s) => s + "\0").join("");
  const self: Record<string, VirtualFile | VirtualDirectory> = {
    exe: options.exe
      ? {
        ...link(() => k.exePath),
        target: {
          ...textFile(() => options.exe!),
          mode: Mode.FILE | 0o555,
          size: () => options.exe!.length,
        },
      }
      : link(() => k.exePath),
    maps: textFile(() => k.map.maps(k.exePath)),
    cmdline: textFile(() => cString(options.argv ?? [k.exePath])),
    environ: textFile(() => cString(options.envp ?? [])),
    comm: textFile(() => k.comm + "\n"),
    stat: textFile(() => stat(k)),
    status: textFile(() =>
      `Name:\t${k.comm}\nState:\tR (running)\nPid:\t${k.pid}\nPPid:\t${k.ppid}\n` +
      `Uid:\t${k.uid}\t${k.uid}\t${k.uid}\t${k.uid}\nGid:\t${k.gid}\t${k.gid}\t${k.gid}\t${k.gid}\n` +
      `VmSize:\t${Math.floor(k.map.mappedBytes() / 1024)} kB\nThreads:\t1\n`
    ),
    cwd: link(() => k.cwd),
    root: link(() => "/"),
    fd: fds,
  };
  names.add("/proc/self", link(() => String(k.pid)));
  for (const [name, node] of Object.entries(self)) names.add(`/proc/${k.pid}/${name}`, node);
  names.add("/proc/cpuinfo", textFile(() => k.abi.cpuinfo));
  names.add(
    "/proc/meminfo",
    textFile(() => {
      const kib = (bytes: number) => String(Math.floor(bytes / 1024)).padStart(8);
      const free = Math.max(0, k.memory.size - k.map.mappedBytes());
      return `MemTotal:       ${kib(k.memory.size)} kB\nMemFree:        ${kib(free)} kB\n` +
        `MemAvailable:   ${kib(free)} kB\n`;
    }),
  );
  names.add("/sys/devices/system/cpu/online", textFile(() => "0\n"));
}
