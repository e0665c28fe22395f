/**
 * Messages of the Domain Name System: the question of a query, and answers.
 *
 * Source: RFC 1035; EDNS: RFC 6891; SRV: RFC 2782.
 *
 * @module
 */
import type { DnsRecord, DnsType } from "./host.ts";

/** Response codes. */
export const Code = { OK: 0, FORMAT: 1, FAILED: 2, NO_NAME: 3, UNKNOWN: 4 } as const;

/** Numbers of the types that are answered. */
const TYPES: Readonly<Record<DnsType, number>> = {
  A: 1,
  NS: 2,
  CNAME: 5,
  PTR: 12,
  MX: 15,
  TXT: 16,
  SRV: 33,
};
/** Answered as "no such records", for there is no IPv6 behind it. */
const AAAA = 28;
const OPT = 41, INTERNET = 1;
const HEADER = 12, MAX_NAME = 255, MAX_LABEL = 63;
/** Largest answer without EDNS, and with it. */
const PLAIN_BYTES = 512, MAX_BYTES = 1400;
/** Seconds for which an answer may be kept: the host keeps real ones. */
const TTL = 30;

/** A query. */
export interface DnsQuery {
  /** "" for the root. */
  name: string;
  /** What is asked for: a type, nothing that is there ("none"), or something unknown. */
  type: DnsType | "none" | undefined;
  /** Largest answer that the asker takes. */
  size: number;
  /** Identification, flags. */
  id: number;
  recursion: boolean;
  /** The question as it was sent. */
  question: Uint8Array;
}

/** Parses a query; a response code if it can't be answered otherwise, undefined if it is none at all. */
export function parseQuery(message: Uint8Array): DnsQuery | undefined {
  if (message.length < HEADER) return undefined;
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const flags = view.getUint16(2);
  // A standard query with one question.
  if ((flags & 0xf800) !== 0 || view.getUint16(4) !== 1) return undefined;
  const labels: string[] = [];
  let at = HEADER;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > MAX_LABEL || at - HEADER > MAX_NAME) return undefined;
    if (length === 0) break;
    const label = message.subarray(at + 1, at + 1 + length);
    // Names of hosts and services have these; the host's resolver has other ideas about dots and backslashes.
    const text = String.fromCharCode(...label);
    if (label.length < length || !/^[\w-]+$/.test(text)) return undefined;
    labels.push(text);
    at += 1 + length;
  }
  at++;
  if (at + 4 > message.length) return undefined;
  const number = view.getUint16(at), internet = view.getUint16(at + 2) === INTERNET;
  const type = (Object.keys(TYPES) as DnsType[]).find((name) => TYPES[name] === number);
  const end = at + 4;
  let size = PLAIN_BYTES;
  // The additional record of EDNS: the root's name, its type, the size in the place of the class.
  if (view.getUint16(10) > 0 && end + 5 <= message.length && message[end] === 0) {
    if (view.getUint16(end + 1) === OPT) {
      size = Math.max(PLAIN_BYTES, Math.min(MAX_BYTES, view.getUint16(end + 3)));
    }
  }
  return {
    name: labels.join("."),
    type: internet ? type ?? (number === AAAA ? "none" : undefined) : undefined,
    size,
    id: view.getUint16(0),
    recursion: (flags & 0x100) !== 0,
    question: message.slice(HEADER, end),
  };
}

/** A name on the wire; undefined if it is too long. */
function nameBytes(name: string): number[] | undefined {
  const bytes: number[] = [];
  for (const label of name.split(".").filter((part) => part !== "")) {
    const encoded = new TextEncoder().encode(label);
    if (encoded.length > MAX_LABEL) return undefined;
    bytes.push(encoded.length, ...encoded);
  }
  bytes.push(0);
  return bytes.length > MAX_NAME ? undefined : bytes;
}

const be16 = (value: number) => [value >>> 8 & 255, value & 255];
const be32 = (value: number) => [...be16(value >>> 16), ...be16(value)];

function content(record: DnsRecord): number[] | undefined {
  switch (record.type) {
    case "A":
      return be32(record.address);
    case "TXT":
      return record.texts.flatMap((text) => {
        const bytes = new TextEncoder().encode(text).subarray(0, 255);
        return [bytes.length, ...bytes];
      });
    default: {
      const name = nameBytes(record.name);
      if (name === undefined) return undefined;
      if (record.type === "MX") return [...be16(record.preference), ...name];
      if (record.type === "SRV") {
        return [...be16(record.priority), ...be16(record.weight), ...be16(record.port), ...name];
      }
      return name;
    }
  }
}

/** Makes an answer. What has no room is left out, and the answer marked as truncated. */
export function makeAnswer(
  query: DnsQuery,
  code: number,
  records: readonly DnsRecord[] = [],
): Uint8Array {
  const answers: number[] = [];
  let count = 0, truncated = false;
  for (const record of records) {
    const data = content(record);
    if (data === undefined) continue;
    // Its name is the question's: a pointer to byte 12.
    const entry = [0xc0, HEADER, ...be16(TYPES[record.type]), ...be16(INTERNET), ...be32(TTL)];
    entry.push(...be16(data.length), ...data);
    if (HEADER + query.question.length + answers.length + entry.length > query.size) {
      truncated = true;
      break;
    }
    answers.push(...entry);
    count++;
  }
  // An answer, with recursion available.
  const flags = 0x8080 | (query.recursion ? 0x100 : 0) | (truncated ? 0x200 : 0) | code;
  return Uint8Array.from([
    ...[...be16(query.id), ...be16(flags), ...be16(1), ...be16(count), 0, 0, 0, 0],
    ...query.question,
    ...answers,
  ]);
}
