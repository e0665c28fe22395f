/**
 * Flattened device trees.
 *
 * Source: Devicetree Specification, version 0.4, chapter 5.
 *
 * @module
 */

/** A property: text, texts, 32-bit cells, bytes, or nothing but its name (true). */
export type FdtValue = string | readonly string[] | readonly number[] | Uint8Array | true;

/** A node. */
export interface FdtNode {
  /** Name, with its unit address; "" for the root. */
  name: string;
  properties: Record<string, FdtValue>;
  children?: FdtNode[];
}

const MAGIC = 0xd00d_feed, VERSION = 17, COMPATIBLE = 16;
const BEGIN_NODE = 1, END_NODE = 2, PROP = 3, END = 9;
const HEADER = 40, RESERVATIONS = 16;

const utf8 = new TextEncoder();

/** The cells of a 64-bit number. */
export function cells64(value: number): [high: number, low: number] {
  return [Math.floor(value / 0x1_0000_0000), value >>> 0];
}

function valueBytes(value: FdtValue): Uint8Array {
  if (value === true) return new Uint8Array();
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return utf8.encode(value + "\0");
  if (value.length > 0 && typeof value[0] === "string") return utf8.encode(value.join("\0") + "\0");
  const bytes = new Uint8Array(value.length * 4), view = new DataView(bytes.buffer);
  (value as readonly number[]).forEach((cell, i) => view.setUint32(i * 4, cell));
  return bytes;
}

/** Makes the flattened form of a tree. */
export function flattenTree(root: FdtNode, bootHart = 0): Uint8Array<ArrayBuffer> {
  const structure: number[] = [], strings: number[] = [], offsets = new Map<string, number>();
  const word = (n: number) =>
    structure.push(n >>> 24 & 255, n >>> 16 & 255, n >>> 8 & 255, n & 255);
  const pad = () => {
    while (structure.length % 4 !== 0) structure.push(0);
  };
  const nameOffset = (name: string) => {
    let at = offsets.get(name);
    if (at === undefined) {
      offsets.set(name, at = strings.length);
      strings.push(...utf8.encode(name), 0);
    }
    return at;
  };
  const write = (node: FdtNode) => {
    word(BEGIN_NODE);
    structure.push(...utf8.encode(node.name), 0);
    pad();
    for (const [name, value] of Object.entries(node.properties)) {
      const bytes = valueBytes(value);
      word(PROP);
      word(bytes.length);
      word(nameOffset(name));
      structure.push(...bytes);
      pad();
    }
    for (const child of node.children ?? []) write(child);
    word(END_NODE);
  };
  write(root);
  word(END);
  const structureAt = HEADER + RESERVATIONS, stringsAt = structureAt + structure.length;
  const size = stringsAt + strings.length + 3 & ~3;
  const bytes = new Uint8Array(size), view = new DataView(bytes.buffer);
  const header = [
    ...[MAGIC, size, structureAt, stringsAt, HEADER, VERSION, COMPATIBLE, bootHart],
    ...[strings.length, structure.length],
  ];
  header.forEach((value, i) => view.setUint32(i * 4, value));
  bytes.set(structure, structureAt);
  bytes.set(strings, stringsAt);
  return bytes;
}
