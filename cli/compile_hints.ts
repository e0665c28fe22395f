/**
 * Has V8 compile functions with the module that they are in. Else it reads a function twice, when the module is loaded
 * and when it is called first, and what Deno caches of a module is without it.
 *
 * V8 does that with a function in parentheses, and with no other. So expressions get parentheses, declarations become
 * variables at the start of their scope, and methods are put on their classes by a static block.
 *
 * @module
 */
import { childrenOf, type Node, nodesOf, parse } from "./javascript.ts";

/** Where a function is in a source, as V8 says it: with its name and `async`, but without `static`. */
export interface FunctionRange {
  readonly start: number;
  readonly end: number;
}

/** Adds methods to a class, as the class would have. */
const DEFINE = "$define";
const DEFINE_TEXT =
  `const ${DEFINE}=(on,methods)=>{for(const name in methods)Object.defineProperty(on,name,{value:methods[name],writable:true,configurable:true})};`;
/** Names of static methods that a function has something else by, and what is no property in a literal. */
const SPECIAL = ["name", "length", "prototype", "__proto__"];

/**
 * Rewrites a module so that V8 compiles some of its functions with it, and means the same. What it must leave as it is:
 * constructors, accessors, and methods with `super` or a name that is private or computed.
 *
 * Two things differ. Functions that other modules import can't be called before this one is executed, as they can in a
 * cycle of imports; and the methods would be constructors if somebody called them with `new`.
 *
 * @param source The module.
 * @param called The functions; what is none in the source is an error.
 * @throws {SyntaxError} If the source is no module.
 * @throws {Error} If a range is not a function's, or the source uses a name that is needed.
 */
export async function hintFunctions(
  source: string,
  called: readonly FunctionRange[],
): Promise<string> {
  if (source.includes(DEFINE)) throw new Error(`Cannot hint functions: there is a ${DEFINE}`);
  const tree = await parse(source);
  const { wanted, bodies } = find(tree, called);
  let defines = false;
  const text = textOf(tree);
  return defines ? DEFINE_TEXT + text : text;

  function textOf(node: Node): string {
    switch (node.type) {
      case "Program":
        return list(node, "", movable(node), (moved) => `var ${moved.map(variable)};`);
      case "BlockStatement": {
        // A body's functions may be named as its parameters are.
        const keyword = bodies.has(node) ? "var" : "let";
        return list(node, "{", movable(node), (moved) => `${keyword} ${moved.map(variable)};`);
      }
      case "ClassBody":
        return list(node, "{", definable(node), (moved) => `static{${definitions(moved)}}`);
      case "ArrowFunctionExpression":
      case "FunctionExpression":
        return wanted.has(node) ? `(${inner(node)})` : inner(node);
      default:
        return inner(node);
    }
  }

  /** The text of a node, or of what is in it from a place on, with the new texts of its children. */
  function inner(node: Node, textFor = textOf, from = node.start): string {
    let text = "", at = from;
    // `{a}` has its identifier twice, `{a=1}` the longer one as its value.
    const children = [...childrenOf(node)].sort((a, b) => a.start - b.start || b.end - a.end);
    for (const child of children) {
      if (child.start < at) continue;
      text += source.slice(at, child.start) + textFor(child);
      at = child.end;
    }
    return text + source.slice(at, node.end);
  }

  /** A list of statements or members, with some of them written in another way at its start. */
  function list(
    node: Node,
    open: string,
    moved: ReadonlySet<Node>,
    write: (moved: readonly Node[]) => string,
  ): string {
    // Something must stay: the next line may begin as if it went on.
    const text = inner(node, (child) => moved.has(child) ? ";" : textOf(child));
    return moved.size === 0 ? text : open + write([...moved]) + text.slice(open.length);
  }

  /** Declarations that can be variables. */
  function movable(node: Node): Set<Node> {
    const statements = node.body as readonly Node[];
    // Directives must be first.
    if (statements.some(({ directive }) => directive !== undefined)) return new Set();
    const functions = statements.filter(({ type }) => type === "FunctionDeclaration");
    const names = Map.groupBy(functions, ({ id }) => (id as Node).name);
    return new Set(functions.filter((declared) =>
      // Of several the last counts.
      wanted.has(declared) && names.get((declared.id as Node).name)!.length === 1
    ));
  }

  /** A declaration as a variable, from which the function gets its name. */
  function variable(declaration: Node): string {
    const { start, end } = declaration.id as Node;
    const head = source.slice(declaration.start, start).trimEnd();
    return `${source.slice(start, end)}=(${head}${inner(declaration, textOf, end)})`;
  }

  /** Methods that can be put on their class. */
  function definable(body: Node): Set<Node> {
    const members = body.body as readonly Node[];
    // A computed name may be any other's, unless it is one of V8's symbols.
    const known = ({ computed, key }: Node) =>
      computed !== true ||
      /^Symbol\.\w+$/.test(source.slice((key as Node).start, (key as Node).end));
    if (!members.every(known)) return new Set();
    const keyOf = (member: Node) => `${member.static} ${(member.key as Node | undefined)?.name}`;
    const keys = Map.groupBy(members, keyOf);
    return new Set(members.filter((member) => {
      if (!wanted.has(member) || member.kind !== "method") return false;
      const key = member.key as Node;
      return key.type === "Identifier" && member.computed !== true &&
        !SPECIAL.includes(key.name as string) &&
        keys.get(keyOf(member))!.length === 1 && nodesOf(member, "Super").next().done === true;
    }));
  }

  function definitions(methods: readonly Node[]): string {
    defines = true;
    const property = ({ key, value }: Node) => {
      const { async, generator } = value as Node;
      const head = `${async ? "async " : ""}function${generator ? "*" : ""}`;
      return `${(key as Node).name}:(${head}${inner(value as Node)})`;
    };
    const { on = [], off = [] } = Object.groupBy(methods, (method) => method.static ? "on" : "off");
    const define = (target: string, some: readonly Node[]) =>
      some.length === 0 ? "" : `${DEFINE}(${target},{${some.map(property)}});`;
    return define("this", on) + define("this.prototype", off);
  }
}

/**
 * Finds functions by their places.
 *
 * @returns The functions, and for methods their members of classes and objects; and the bodies of all functions.
 */
function find(
  tree: Node,
  called: readonly FunctionRange[],
): { wanted: Set<Node>; bodies: Set<Node> } {
  const wanted = new Set<Node>(), bodies = new Set<Node>(), found = new Set<FunctionRange>();
  const byEnd = Map.groupBy(called, ({ end }) => end);
  const visit = (node: Node, parent: Node) => {
    if (/Function/.test(node.type)) {
      bodies.add(node.body as Node);
      const named = parent.value === node &&
        (parent.type === "MethodDefinition" || parent.method === true ||
          parent.kind === "get" || parent.kind === "set");
      const of = named ? parent : node;
      for (const range of byEnd.get(node.end) ?? []) {
        if (range.start < of.start || range.start > node.start) continue;
        found.add(range);
        wanted.add(of);
      }
    }
    for (const child of childrenOf(node)) visit(child, node);
  };
  visit(tree, tree);
  const missing = called.find((range) => !found.has(range));
  if (missing) {
    throw new Error(
      `Cannot hint a function from character ${missing.start} to ${missing.end}: there is none`,
    );
  }
  return { wanted, bodies };
}
