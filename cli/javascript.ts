/**
 * Reading and changing JavaScript that a bundler wrote.
 *
 * @module
 */

/** A node of a syntax tree (ESTree), with its place in the source. */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

/** A replacement of part of a source; where `start` is `end`, an insertion. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** Loaded by those only who make a bundle, and no import that types are checked with: that would need the registry. */
const PARSER = "npm:acorn@8.15.0";

/** Whether a value is a node. */
function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value &&
    typeof value.type === "string";
}

/** The nodes directly in a node. */
export function* childrenOf(node: Node): Generator<Node> {
  for (const value of Object.values(node)) {
    for (const item of Array.isArray(value) ? value : [value]) if (isNode(item)) yield item;
  }
}

/** All nodes of a kind, in the order of the source. */
export function* nodesOf(node: Node, type: string): Generator<Node> {
  if (node.type === type) yield node;
  for (const child of childrenOf(node)) yield* nodesOf(child, type);
}

/**
 * The syntax tree of a module.
 *
 * @throws {SyntaxError} If it is none.
 * @throws {TypeError} If the parser can't be had: it comes from the npm registry when first used.
 */
export async function parse(source: string): Promise<Node> {
  const parser: { parse(source: string, options: object): Node } = await import(PARSER);
  return parser.parse(source, { ecmaVersion: "latest", sourceType: "module" });
}

/**
 * A source with its parts replaced.
 *
 * @throws {Error} If two parts overlap.
 */
export function edit(source: string, edits: readonly Edit[]): string {
  let text = "", at = 0;
  for (const { start, end, text: part } of [...edits].sort((a, b) => a.start - b.start)) {
    if (start < at) throw new Error(`Cannot replace characters ${start} to ${end} twice`);
    text += source.slice(at, start) + part;
    at = end;
  }
  return text + source.slice(at);
}
