/**
 * The C header of a typed channel: constants, and a static inline function for each command and event.
 *
 * @module
 */
import { type Command, type Event, snakeCase, type TypedChannel } from "./define.ts";

/** How to print a header. */
export interface HeaderOptions {
  /** Prefix of all names, a C identifier: "wc" gives `wc_count` and `WC_COUNT`. */
  name: string;
  /** What the header says it was generated from. */
  source?: string;
}

const DOUBLES = `/* Doubles travel as their bits. */
#ifndef TRAPDOOR_F64
#define TRAPDOOR_F64
static inline uint64_t trapdoor_f64_bits(double value) {
  uint64_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline double trapdoor_f64_value(int64_t bits) {
  double value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}
#endif
`;

/**
 * Prints the C header of a typed channel, for C99 or later and C++, on top of guest/include/trapdoor.h.
 *
 * @throws {TypeError} If the name is not a C identifier.
 */
export function channelHeader(channel: TypedChannel, options: HeaderOptions): string {
  const { name, source } = options;
  if (!/^[A-Za-z][A-Za-z0-9_]*$/.test(name)) {
    throw new TypeError(
      `Cannot name a channel ${JSON.stringify(name)}: its name must be a C identifier`,
    );
  }
  const prefix = snakeCase(name);
  const members = Object.entries(channel.definition);
  const guard = `${prefix.toUpperCase()}_CHANNEL_H`;
  const types = members.flatMap(([, member]) =>
    member.kind === "command"
      ? [...Object.values(member.args as Command["args"]), member.result]
      : Object.values(member.fields as Event["fields"])
  );
  const uses = (type: string) => types.some((used) => used.name === type);
  const parts = [
    comment(
      `Typed channel "${name}": what the guest may ask, and what it may tell. Generated${
        source ? ` from ${source}` : ""
      } by backdoor/header.ts; do not edit.`,
      `Results are valid if trapdoor_status(client) is TRAPDOOR_STATUS_OK. trapdoor.h says what else there is.`,
    ),
    [
      `#ifndef ${guard}`,
      `#define ${guard}`,
      "",
      ...(uses("bool") ? ["#ifndef __cplusplus", "#include <stdbool.h>", "#endif"] : []),
      "#include <stdint.h>",
      "",
      '#include "trapdoor.h"',
      "",
    ].join("\n"),
    [
      "/* Numbers of commands and events. */",
      ...members.map(([key, member]) => `#define ${constant(prefix, key)} UINT32_C(${member.id})`),
      "",
    ].join("\n"),
    ...(uses("f64") ? [DOUBLES] : []),
    ...members.map(([key, member]) =>
      member.kind === "command"
        ? commandWrapper(prefix, key, member)
        : eventWrapper(prefix, key, member)
    ),
    "#endif\n",
  ];
  return parts.join("\n");
}

function constant(prefix: string, key: string): string {
  return `${prefix}_${snakeCase(key)}`.toUpperCase();
}

/** A block comment of lines of at most 110 columns, one paragraph an argument. */
function comment(...paragraphs: string[]): string {
  const lines: string[] = [];
  for (const paragraph of paragraphs) {
    let line = "";
    // Users' sentences can't end the comment.
    for (const word of paragraph.replaceAll("*/", "* /").split(/\s+/)) {
      if (word === "") continue;
      if (line !== "" && line.length + word.length + 1 > 106) {
        lines.push(line);
        line = "";
      }
      line += line === "" ? word : ` ${word}`;
    }
    if (line !== "") lines.push(line);
  }
  if (lines.length === 1) return `/* ${lines[0]} */\n`;
  return `/*\n${lines.map((line) => ` * ${line}\n`).join("")} */\n`;
}

/** `TYPE NAME`, with a pointer's star at the name. */
function declare(type: string, name: string): string {
  return type.endsWith("*") ? `${type}${name}` : `${type} ${name}`;
}

/** Breaks a line of code of more than 110 columns after commas. */
function wrap(line: string): string {
  const lines: string[] = [];
  let rest = line;
  while (rest.length > 110) {
    const comma = rest.lastIndexOf(", ", 108);
    if (comma < 0) break;
    lines.push(rest.slice(0, comma + 1));
    rest = "      " + rest.slice(comma + 2);
  }
  return [...lines, rest].join("\n") + "\n";
}

function signature(fields: Command["args"]): string {
  return Object.entries(fields).map(([name, type]) => `${name}: ${type.name}`).join(", ");
}

function parameters(fields: Command["args"]): string {
  const declared = Object.entries(fields).map(([name, type]) =>
    declare(type.cParameter, snakeCase(name))
  );
  return ["unsigned client", ...declared].join(", ");
}

function commandWrapper(prefix: string, key: string, command: Command): string {
  const { args, result, doc } = command;
  const values = Object.entries(args).map(([name, type]) =>
    type.cEncode(snakeCase(name), "int64_t")
  );
  while (values.length < 4) values.push("0");
  const call = `trapdoor_call4(client, ${constant(prefix, key)}, ${values.join(", ")})`;
  const body = result.cDecode(call);
  const name = declare(result.cResult, `${prefix}_${snakeCase(key)}`);
  return comment(`${key}(${signature(args)}): ${result.name}`, doc) +
    wrap(`static inline ${name}(${parameters(args)}) {`) +
    wrap(`  ${result.name === "none" ? "" : "return "}${body};`) + "}\n";
}

function eventWrapper(prefix: string, key: string, event: Event): string {
  const { fields, doc } = event;
  const id = constant(prefix, key);
  const values = Object.entries(fields).map(([name, type]) =>
    type.cEncode(snakeCase(name), "uint64_t")
  );
  const body = values.length === 2
    ? [`return trapdoor_event2(client, ${id}, ${values.join(", ")});`]
    : values.length === 0
    ? [`return trapdoor_event(client, ${id}, NULL, 0);`]
    : [
      `const uint64_t payload[] = {${values.join(", ")}};`,
      `return trapdoor_event(client, ${id}, payload, sizeof payload);`,
    ];
  return comment(`Event ${key}(${signature(fields)})`, doc) +
    wrap(`static inline int ${prefix}_${snakeCase(key)}(${parameters(fields)}) {`) +
    body.map((line) => wrap(`  ${line}`)).join("") + "}\n";
}
