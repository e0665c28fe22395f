/**
 * Types of system-call arguments, and how they are decoded.
 *
 * @module
 */

/**
 * How an argument is decoded from registers: a 32-bit int, an unsigned long, a 64-bit offset (two registers of
 * 32 bits), or an offset that takes two registers whatever their width (low and high part).
 */
export type ArgKind = "int" | "long" | "offset" | "wide";

/** Names of types, which the system-call tables use, by their kinds. */
const TYPES: Readonly<Record<ArgKind, string>> = {
  int:
    "int uint fd dirfd mode create_mode open_flags status_flags at_flags unlink_flags access prot map_flags whence signal sigmask_how clock futex rlimit fcntl ioctl",
  long:
    "size long ptr path string string_out buffer buffer_out vector sigset sigset_out timespec timespec_out stat_out fds_out clone_flags",
  offset: "off",
  wide: "wide_off",
};

/** The kinds of types. */
export const ARG_KINDS: ReadonlyMap<string, ArgKind> = new Map(
  (Object.keys(TYPES) as ArgKind[]).flatMap((kind) =>
    TYPES[kind].split(" ").map((type): [string, ArgKind] => [type, kind])
  ),
);
