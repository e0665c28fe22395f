/**
 * Prints the protocol as a C header, so that the guest's half can't drift from the host's.
 *
 * `deno run -A guest/generate_protocol.ts` writes `guest/include/trapdoor_protocol.h`.
 *
 * @module
 */
import * as protocol from "../backdoor/protocol.ts";

/** Where the header belongs. */
export const PROTOCOL_HEADER = new URL("./include/trapdoor_protocol.h", import.meta.url);

/** A C (and assembler) literal: negative numbers in parentheses, wide ones in hexadecimal. */
function literal(value: number | string): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (value < 0) return `(${value})`;
  return value > 0xffff ? `0x${value.toString(16).padStart(8, "0")}` : `${value}`;
}

function define(name: string, value: number | string): string {
  return `#define TRAPDOOR_${name} ${literal(value)}`;
}

/** Macros of one table of the protocol, behind a comment. */
function table(comment: string, prefix: string, entries: Record<string, number>): string[] {
  return [
    "",
    `/* ${comment} */`,
    ...Object.entries(entries).map(([name, value]) => define(`${prefix}_${name}`, value)),
  ];
}

/** The text of `trapdoor_protocol.h`. */
export function protocolHeader(): string {
  const { Kind, Status, Config, Control, Doorbell, Ring, Pci } = protocol;
  return [
    "/*",
    " * Generated from backdoor/protocol.ts by guest/generate_protocol.ts; do not edit.",
    " * That file says what each value means. Macros only, so that assembler can include it.",
    " */",
    "#ifndef TRAPDOOR_PROTOCOL_H",
    "#define TRAPDOOR_PROTOCOL_H",
    "",
    "/* Version, major << 16 | minor. Equal majors talk to each other. */",
    define("PROTOCOL_VERSION", protocol.PROTOCOL_VERSION),
    define("CONFIG_MAGIC_BYTES", protocol.CONFIG_MAGIC),
    define("NUM_ARGS", protocol.NUM_ARGS),
    define("DEFAULT_BASE_PATH", protocol.DEFAULT_BASE_PATH),
    ...table("Kinds of request of the instruction transport.", "KIND", Kind),
    ...table("Answers.", "STATUS", Status),
    ...table("Config area: byte offsets of 64-bit words, and its size.", "CONFIG", Config),
    ...table("Control slot: byte offsets, and its size.", "CONTROL", Control),
    ...table("Values stored to a doorbell.", "DOORBELL", Doorbell),
    ...table("Ring: byte offsets, record header, the padding command.", "RING", Ring),
    ...table("The PCI device.", "PCI", Pci),
    "",
    "/* Physical address of config, control and data, one after the other, on the board virt. */",
    define("VIRT_ADDRESS", protocol.VIRT_ADDRESS),
    "",
    "#endif",
    "",
  ].join("\n");
}

if (import.meta.main) await Deno.writeTextFile(PROTOCOL_HEADER, protocolHeader());
