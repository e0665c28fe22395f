/**
 * Makes one file of those files of a bundle that every start loads, and has the others loaded when they are needed
 * only: Deno reads, checks and links each file whose name is in an import, dynamic ones too.
 *
 * @module
 */
import { digestLater } from "../ffi/hash.ts";
import { type Edit, edit, type Node, nodesOf, parse } from "./javascript.ts";

/** Files by their paths in a bundle. */
export type Files = ReadonlyMap<string, string>;

/** Bundles files that import each other: from them, and the path of the one that exports what others need, to a text. */
export type Join = (files: Files, entry: string) => Promise<string>;

/** Stands for the one file's name until that is known. */
const START = "trapdoor-start.js";
const ENTRY = "trapdoor-entry.js";
/** What the joined files share: namespaces of each other, and imports that the bundler can't see. */
const LINKS = "trapdoor-links.js";
const LINKS_TEXT = `export const namespaces={},load=(path)=>import(path);`;

/**
 * Joins files of a bundle.
 *
 * @param files All files of the bundle, as Deno's bundler writes them.
 * @param starting Paths of those in its root that a start loads, in the order of loading; with each, what it imports
 * statically.
 * @param join The bundler.
 * @returns All files that there are then, and the path of the joined one, whose name has a hash of it. It has the names
 * of all others, which have hashes too.
 * @throws {Error} If a file has an import that no bundler writes.
 */
export async function joinStart(
  files: Files,
  starting: readonly string[],
  join: Join,
): Promise<{ files: Map<string, string>; start: string }> {
  const index = new Map(starting.map((path, i) => [path, i]));
  /** Names that other files need, and what exports them. */
  const exported = new Map<string, string>(), namespaces = new Set<string>();
  const namespaceOf = (path: string) => {
    namespaces.add(path);
    return `n${index.get(path)}`;
  };

  /** Has a file that stays import from the joined one. */
  const redirect = async (path: string, source: string): Promise<string> => {
    const tree = await parse(source), edits: Edit[] = [], names: string[] = [];
    const start = quote(relative(path, START));
    for (const node of nodesOf(tree, "ImportDeclaration")) {
      const from = targetOf(path, node), i = from && index.get(from);
      if (typeof i !== "number") continue;
      for (const { type, imported, local } of node.specifiers as readonly Node[]) {
        if (type !== "ImportSpecifier") throw new Error(`Cannot join ${from}: ${path} has ${type}`);
        const name = (imported as Node).name as string, long = `${name}_${i}`;
        exported.set(long, `export{${name} as ${long}}from${quote(`./${from}`)};`);
        names.push(`${long} as ${(local as Node).name}`);
      }
      edits.push({ ...node, text: "" });
    }
    // Also if it needs no name: what is in there was executed before it.
    if (edits.length > 0) edits[0] = { ...edits[0], text: `import{${names}}from${start};` };
    for (const node of nodesOf(tree, "ImportExpression")) {
      const to = targetOf(path, node);
      if (to === undefined) continue;
      const text = index.has(to)
        ? `import(${start}).then(start=>start.${namespaceOf(to)})`
        : `import((0,${quote(relative(path, to))}))`;
      edits.push({ ...node, text });
    }
    return edit(source, edits);
  };

  /** Has a file that is joined import nothing dynamically that the bundler would see. */
  const unlink = async (path: string, source: string): Promise<string> => {
    const edits: Edit[] = [];
    for (const node of nodesOf(await parse(source), "ImportExpression")) {
      const to = targetOf(path, node);
      if (to === undefined) continue;
      const text = index.has(to)
        ? `Promise.resolve(namespaces.${namespaceOf(to)})`
        : `load(${quote(`./${to}`)})`;
      edits.push({ ...node, text });
    }
    return `import{load,namespaces}from"./${LINKS}";${edit(source, edits)}`;
  };

  const kept = new Map<string, string>(), parts = new Map([[LINKS, LINKS_TEXT]]);
  for (const [path, source] of files) {
    if (index.has(path)) parts.set(path, await unlink(path, source));
    else kept.set(path, await redirect(path, source));
  }
  const entry = [`import{namespaces}from"./${LINKS}";`];
  for (const path of starting) entry.push(`import"./${path}";`);
  for (const path of namespaces) {
    const name = namespaceOf(path);
    entry.push(`import*as ${name} from"./${path}";namespaces.${name}=${name};export{${name}};`);
  }
  parts.set(ENTRY, [...entry, ...exported.values()].join("\n"));
  const text = await join(parts, ENTRY);
  const digest = await digestLater(new TextEncoder().encode(text));
  const start = `start-${digest.slice(0, 10)}.js`;
  for (const [path, source] of kept) kept.set(path, source.replaceAll(START, start));
  return { files: kept.set(start, text), start };
}

const quote = (text: string) => JSON.stringify(text);

/** What an import in a file imports, if that is said by a path. */
function targetOf(path: string, node: Node): string | undefined {
  const { value } = node.source as Node;
  if (typeof value !== "string" || !value.startsWith(".")) return undefined;
  return new URL(value, `file:///${path}`).pathname.slice(1);
}

/** A path as a file has to import it. */
function relative(from: string, path: string): string {
  return ("../".repeat(from.split("/").length - 1) || "./") + path;
}
