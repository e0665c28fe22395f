/**
 * ioctl(2): terminals, and what every descriptor knows.
 *
 * @module
 */
import { E } from "./errno.ts";
import { Open, type OpenFile, ServedFile } from "./files.ts";
import { newStruct, readStruct } from "./guest_memory.ts";
import type { Handler, Kernel } from "./kernel.ts";

/** Request numbers (asm-generic/ioctls.h). */
const Request = {
  TCGETS: 0x5401,
  TCSETS: 0x5402,
  TCSETSW: 0x5403,
  TCSETSF: 0x5404,
  TCSBRK: 0x5409,
  TCFLSH: 0x540b,
  TIOCGPGRP: 0x540f,
  TIOCSPGRP: 0x5410,
  TIOCOUTQ: 0x5411,
  TIOCGWINSZ: 0x5413,
  TIOCSWINSZ: 0x5414,
  FIONREAD: 0x541b,
  FIONBIO: 0x5421,
  TIOCGSID: 0x5429,
  FIONCLEX: 0x5450,
  FIOCLEX: 0x5451,
} as const;

/** Bytes of the kernel's `struct termios`: four words of flags, the line discipline, 19 control characters. */
const TERMIOS_SIZE = 36;
const ICANON = 2;

/** A terminal as it is after login: cooked, echoing, 38400 baud (tty_std_termios). */
function cooked(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(TERMIOS_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0o0002400, true); // ICRNL | IXON
  view.setUint32(4, 0o0000005, true); // OPOST | ONLCR
  view.setUint32(8, 0o0000277, true); // B38400 | CS8 | CREAD
  view.setUint32(12, 0o0105073, true); // ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN
  bytes.set([3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0], 17);
  return bytes;
}

function terminal(
  k: Kernel,
  file: OpenFile,
  request: number,
  argument: number,
): number | undefined {
  switch (request) {
    case Request.TCGETS:
      k.termios ??= cooked();
      k.memory.write(argument, k.termios);
      return 0;
    case Request.TCSETS:
    case Request.TCSETSW:
    case Request.TCSETSF: {
      const next = k.memory.read(argument, TERMIOS_SIZE);
      const raw = (new DataView(next.buffer).getUint32(12, true) & ICANON) === 0;
      file.setRaw(raw);
      k.termios = next;
      return 0;
    }
    case Request.TIOCGWINSZ: {
      const view = newStruct(k, argument, 8);
      const size = k.host.terminalSize?.() ?? { columns: 80, rows: 24 };
      view.setUint16(0, size.rows, true);
      view.setUint16(2, size.columns, true);
      return 0;
    }
    case Request.TIOCGPGRP:
    case Request.TIOCGSID:
      k.memory.writeU32(argument, k.pid);
      return 0;
    case Request.TIOCOUTQ:
      k.memory.writeU32(argument, 0);
      return 0;
    case Request.TIOCSPGRP:
    case Request.TIOCSWINSZ:
      readStruct(k, argument, 4);
      return 0;
    case Request.TCSBRK:
    case Request.TCFLSH:
      return 0;
    default:
      return undefined;
  }
}

function ioctl(k: Kernel, fd: number, request: number, argument: number): number {
  const file = k.fds.get(fd);
  if (!file || file.flags & Open.PATH) return -E.EBADF;
  switch (request) {
    case Request.FIOCLEX:
    case Request.FIONCLEX:
      k.fds.setCloexec(fd, request === Request.FIOCLEX);
      return 0;
    case Request.FIONBIO: {
      const on = k.memory.readU32(argument) !== 0;
      file.flags = on ? file.flags | Open.NONBLOCK : file.flags & ~Open.NONBLOCK;
      return 0;
    }
    case Request.FIONREAD: {
      const size = file.seekable ? file.stat().size - file.position : file.available();
      if (size === undefined) break;
      k.memory.writeU32(argument, Math.max(0, Math.min(size, 0x7fff_ffff)));
      return 0;
    }
  }
  if (file instanceof ServedFile && file.handle.ioctl) return file.handle.ioctl(request, argument);
  return (file.isTerminal() ? terminal(k, file, request, argument) : undefined) ?? -E.ENOTTY;
}

/** The calls, by name. */
export const ioctlCalls: Readonly<Record<string, Handler>> = { ioctl };
