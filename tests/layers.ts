/**
 * The import rules between rooms (ARCHITECTURE.md, "Rooms"), as data, and what checks them.
 *
 * Sources are parsed by Deno's linter, whose plugin API works in `deno test` only.
 *
 * @module
 */

/** A room: files whose path is the room's name, or starts with it and "/" or ".". */
export interface Room {
  readonly name: string;
  /** Rooms that it may import; "NAME:type" allows type-only imports; "*" is every room. */
  readonly imports: readonly string[];
}

const ISA_IMPORTS = ["cpu/ir", "cpu/isa", "mmu:type"];
const COMPOSED = [
  ...["cpu/ir", "cpu/isa", "cpu/riscv", "cpu/aarch64", "cpu/x86_64", "cpu/engine", "cpu/wasm"],
  ...["mmu", "backdoor", "ffi"],
];

/** Rules 1 to 4 and 7: who may import whom. The longest matching name is a file's room. */
export const ROOMS: readonly Room[] = [
  { name: "cpu/ir", imports: [] },
  { name: "cpu/isa", imports: ["cpu/ir"] },
  { name: "cpu/riscv", imports: ISA_IMPORTS },
  { name: "cpu/aarch64", imports: ISA_IMPORTS },
  { name: "cpu/x86_64", imports: ISA_IMPORTS },
  { name: "cpu/engine", imports: ["cpu/ir", "cpu/isa", "mmu"] },
  { name: "cpu/wasm/encoder", imports: [] },
  { name: "cpu/wasm", imports: ["cpu/wasm/encoder", "cpu/ir", "cpu/isa", "cpu/engine", "mmu"] },
  { name: "mmu", imports: [] },
  { name: "backdoor", imports: ["cpu/isa:type", "mmu"] },
  { name: "ffi", imports: ["cpu/ir", "cpu/isa:type", "cpu/engine", "mmu"] },
  { name: "machine", imports: COMPOSED },
  { name: "version", imports: [] },
  { name: "mod", imports: [...COMPOSED, "machine", "version", "cli"] },
  { name: "cli", imports: [...COMPOSED, "machine", "version", "guest"] },
  { name: "guest", imports: ["backdoor", "machine:type"] },
  { name: "std", imports: [] },
  { name: "tests", imports: ["*"] },
  { name: "bench", imports: ["*"] },
];

/** Rule 3: rooms that never name an ISA in code, and their modules that are an ISA's data. */
export const NO_ISA = {
  rooms: ["cpu/ir", "cpu/isa", "cpu/engine", "cpu/wasm", "ffi", "mmu", "backdoor", "machine/user"],
  except: [
    // Names of ELF machines, for its error messages.
    "machine/user/elf.ts",
    // The Linux ABI of one ISA: numbers, layouts, register roles.
    "machine/user/riscv_abi.ts",
    "machine/user/aarch64_abi.ts",
    // Names of host processors.
    "ffi/platform.ts",
  ] as readonly string[],
  pattern: /riscv|rv32|rv64|aarch64|arm64|x86|amd64/i,
};

/** Rule 5: rooms and files where `Deno` may be named. */
export const DENO_ALLOWED: readonly string[] = [
  ...["ffi", "machine", "backdoor/loader.ts", "cli.ts", "cli", "guest", "tests", "bench"],
  // A command-line tool: writes C headers.
  "backdoor/header.ts",
];

/** Rule 6: functions in which nothing is allocated or thrown, by file and name. */
export const HOT: readonly { file: string; name: string }[] = [
  { file: "cpu/engine/interpreter/interp_loop.ts", name: "run" },
  { file: "cpu/engine/interpreter/interp_loop_soft.ts", name: "run" },
];

/** Node types that allocate or throw. */
const COLD_NODES = [
  ...["ThrowStatement", "TryStatement", "NewExpression", "ObjectExpression", "ArrayExpression"],
  ...["ArrowFunctionExpression", "ClassExpression"],
  ...["SpreadElement", "TemplateLiteral", "AwaitExpression", "YieldExpression"],
];

/** Rule 8: root of the library graph, and the imports in it that are not relative. */
export const LIBRARY = {
  root: "mod.ts",
  except: [
    { file: "cli.ts", specifier: /^jsr:@std\/cli@/ },
    // For `node:crypto` where a hash is needed at once; Web Crypto has only promises.
    { file: "ffi/hash.ts", specifier: /^node:process$/ },
  ],
};

/** Files that import modules whose URL is computed: the user's, and the bundler's parser, which no other check needs. */
export const COMPUTED_IMPORTS: readonly string[] = ["backdoor/loader.ts", "cli/javascript.ts"];

/** Rooms whose files have no restriction on what they import from outside the checkout. */
const FREE_IMPORTS = ["tests", "bench", "std", "guest"];

/** How a module is imported. */
export type ImportKind = "static" | "dynamic" | "type";

/** What a file has that rules are about. */
export interface Facts {
  imports: { specifier: string; kind: ImportKind; line: number }[];
  computedImports: number[];
  denoNames: number[];
  isaNames: { text: string; line: number }[];
  /** Hot functions that were found. */
  hot: string[];
  /** Nodes in them that allocate or throw. */
  cold: { node: string; name: string; line: number }[];
}

/** Parses a file. */
export function parse(path: string, source: string): Facts {
  const facts: Facts = {
    imports: [],
    computedImports: [],
    denoNames: [],
    isaNames: [],
    hot: [],
    cold: [],
  };
  const line = (node: { range: Deno.lint.Range }) =>
    source.slice(0, node.range[0]).split("\n").length;
  const add = (node: { range: Deno.lint.Range }, specifier: string, kind: ImportKind) =>
    facts.imports.push({ specifier, kind, line: line(node) });
  const isa = (node: { range: Deno.lint.Range }, text: string) => {
    if (NO_ISA.pattern.test(text)) facts.isaNames.push({ text, line: line(node) });
  };
  const hot = HOT.filter((each) => each.file === path).map((each) => each.name);
  const inside: string[] = [];
  const enter = (node: { id: { name: string } | null }) => {
    if (!node.id || !hot.includes(node.id.name)) return;
    facts.hot.push(node.id.name);
    inside.push(node.id.name);
  };
  const leave = (node: { id: { name: string } | null }) => {
    if (node.id && hot.includes(node.id.name)) inside.pop();
  };

  const visitor: Deno.lint.LintVisitor = {
    ImportDeclaration(node) {
      const names = node.specifiers;
      const onlyTypes = names.length > 0 &&
        names.every((name) => name.type === "ImportSpecifier" && name.importKind === "type");
      const type = node.importKind === "type" || onlyTypes;
      add(node, node.source.value, type ? "type" : "static");
    },
    ExportAllDeclaration(node) {
      add(node, node.source.value, node.exportKind === "type" ? "type" : "static");
    },
    ExportNamedDeclaration(node) {
      if (!node.source) return;
      const names = node.specifiers;
      const onlyTypes = names.length > 0 && names.every((name) => name.exportKind === "type");
      const type = node.exportKind === "type" || onlyTypes;
      add(node, node.source.value, type ? "type" : "static");
    },
    ImportExpression(node) {
      if (node.source.type === "Literal" && typeof node.source.value === "string") {
        add(node, node.source.value, "dynamic");
      } else {
        facts.computedImports.push(line(node));
      }
    },
    TSImportType(node) {
      const text = source.slice(...node.range);
      add(node, /^import\(\s*["']([^"']+)/.exec(text)?.[1] ?? text, "type");
    },
    Identifier(node) {
      if (node.name === "Deno") facts.denoNames.push(line(node));
      isa(node, node.name);
    },
    PrivateIdentifier(node) {
      isa(node, node.name);
    },
    Literal(node) {
      if (node.value === "Deno") facts.denoNames.push(line(node));
      const parent = (node as { parent?: { type: string } }).parent?.type ?? "";
      // The specifier of an import is the import rules' business.
      if (/^(Import|Export|TSImport)/.test(parent)) return;
      if (typeof node.value === "string") isa(node, node.value);
      else if (node.raw.startsWith("/")) isa(node, node.raw);
    },
    TemplateElement(node) {
      isa(node, node.cooked);
    },
    FunctionDeclaration: enter,
    FunctionExpression: enter,
    "FunctionDeclaration:exit": leave,
    "FunctionExpression:exit": leave,
  };
  for (const type of COLD_NODES) {
    (visitor as Record<string, unknown>)[type] = (node: Deno.lint.Node) => {
      const name = inside.at(-1);
      if (name !== undefined) facts.cold.push({ node: type, name, line: line(node) });
    };
  }
  const rule: Deno.lint.Rule = { create: () => visitor };
  Deno.lint.runPlugin(
    { name: "layers", rules: { facts: rule } },
    path.replace(/^.*\//, ""),
    source,
  );
  return facts;
}

/** Whether a path belongs to a room, folder or file of that name. */
export function within(path: string, name: string): boolean {
  return path === name || path.startsWith(`${name}/`) || path.startsWith(`${name}.`);
}

/** The room of a file. */
export function roomOf(path: string): Room | undefined {
  let found: Room | undefined;
  for (const room of ROOMS) {
    if (within(path, room.name) && room.name.length > (found?.name.length ?? 0)) found = room;
  }
  return found;
}

/** Path of what `specifier` in file `from` names, or undefined if it is not relative. */
export function resolve(from: string, specifier: string): string | undefined {
  if (!/^\.\.?\//.test(specifier)) return undefined;
  const base = new URL(from, "file:///checkout/");
  const { pathname } = new URL(specifier, base);
  return pathname.startsWith("/checkout/") ? pathname.slice("/checkout/".length) : undefined;
}

/** Checks all rules; each violation names file, line, what is wrong and the rule. */
export function check(sources: ReadonlyMap<string, string>): string[] {
  const all = new Map([...sources].map(([path, source]) => [path, parse(path, source)]));
  return [
    ...[...all].flatMap(([path, facts]) => checkFile(path, facts, all)),
    ...checkLibrary(all),
    ...cycles(all).map((cycle) => `${cycle.join(" -> ")}: a cycle of imports (rule 7)`),
  ];
}

function checkFile(path: string, facts: Facts, all: ReadonlyMap<string, Facts>): string[] {
  const room = roomOf(path);
  if (!room) return [`${path}: in no room; name its room in tests/layers.ts`];
  const found: string[] = [];
  for (const { specifier, kind, line } of facts.imports) {
    const where = `${path}:${line} imports ${specifier}`;
    const target = resolve(path, specifier);
    if (target === undefined) {
      const excepted = LIBRARY.except.some((e) => e.file === path && e.specifier.test(specifier));
      if (!excepted && !FREE_IMPORTS.includes(room.name)) {
        found.push(`${where}: library code uses relative imports only (rule 8)`);
      }
      continue;
    }
    if (!all.has(target)) {
      found.push(`${where}: there is no ${target}`);
      continue;
    }
    const other = roomOf(target);
    if (!other || other === room || room.imports.includes("*")) continue;
    if (room.imports.includes(other.name)) continue;
    if (kind === "type" && room.imports.includes(`${other.name}:type`)) continue;
    const allowed = room.imports.join(", ") || "nothing";
    found.push(
      `${where}: ${room.name} may import ${allowed} from other rooms, not ${other.name} (rules 1-4, 7)`,
    );
  }
  for (const line of facts.computedImports) {
    if (COMPUTED_IMPORTS.includes(path) || FREE_IMPORTS.includes(room.name)) continue;
    found.push(`${path}:${line} imports a computed URL: only ${COMPUTED_IMPORTS.join(", ")} may`);
  }
  if (!DENO_ALLOWED.some((name) => within(path, name))) {
    for (const line of facts.denoNames) {
      found.push(`${path}:${line} names Deno: only ${DENO_ALLOWED.join(", ")} may (rule 5)`);
    }
  }
  if (NO_ISA.rooms.some((name) => within(path, name)) && !NO_ISA.except.includes(path)) {
    for (const { text, line } of facts.isaNames) {
      found.push(
        `${path}:${line} names an ISA, ${JSON.stringify(text)}: ask the Isa object (rule 3)`,
      );
    }
  }
  for (const { file, name } of HOT) {
    if (file === path && !facts.hot.includes(name)) {
      found.push(`${path} has no function ${name}: name the hot loop in tests/layers.ts (rule 6)`);
    }
  }
  for (const { node, name, line } of facts.cold) {
    found.push(`${path}:${line} has a ${node} in ${name}: hot loops don't allocate (rule 6)`);
  }
  return found;
}

/** Files that `root` reaches by imports of any kind. */
export function graph(root: string, all: ReadonlyMap<string, Facts>): Set<string> {
  const reached = new Set<string>();
  const todo = [root];
  for (let path = todo.pop(); path !== undefined; path = todo.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    for (const { specifier } of all.get(path)?.imports ?? []) {
      const target = resolve(path, specifier);
      if (target !== undefined) todo.push(target);
    }
  }
  return reached;
}

function checkLibrary(all: ReadonlyMap<string, Facts>): string[] {
  if (!all.has(LIBRARY.root)) return [];
  const outside = ["tests", "bench", "std"];
  return [...graph(LIBRARY.root, all)]
    .filter((path) => outside.includes(roomOf(path)?.name ?? ""))
    .map((path) => `${path}: tests, benches and stand-ins are not part of the library (rule 8)`);
}

/** Cycles of imports: each strongly connected set of files once, as a path from one of them back to it. */
export function cycles(all: ReadonlyMap<string, Facts>): string[][] {
  const edges = new Map<string, string[]>();
  for (const [path, { imports }] of all) {
    const targets = imports.map(({ specifier }) => resolve(path, specifier));
    edges.set(
      path,
      targets.filter((target) => target !== undefined && all.has(target)) as string[],
    );
  }
  const found: string[][] = [];
  const done = new Set<string>();
  const walk = (path: string, trail: string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) {
      found.push([...trail.slice(at), path]);
      return;
    }
    if (done.has(path)) return;
    trail.push(path);
    for (const target of edges.get(path)!) walk(target, trail);
    trail.pop();
    done.add(path);
  };
  for (const path of edges.keys()) walk(path, []);
  return found;
}
