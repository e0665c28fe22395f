/**
 * From what the user gave - a module's exports or an object - to the callbacks that the dispatch calls.
 *
 * @module
 */
import { isTypedChannel, type TypedChannel } from "./define.ts";
import { describeValue } from "./report.ts";
import type { CallbackModule } from "./types.ts";

/** Why a callback module can't be used. */
export type ModuleFailure =
  /** The specifier's scheme is not one that is loaded. */
  | "scheme"
  /** No such module, or one that it imports. */
  | "missing"
  /** It, or a module that it imports, does not parse or link. */
  | "syntax"
  /** Deno has no permission to load it. */
  | "permission"
  /** The server or registry did not deliver it. */
  | "network"
  /** It threw while it was loaded. */
  | "threw"
  /** It exports nothing that Trapdoor calls, or something of the wrong kind. */
  | "exports"
  /** Its `init` threw. */
  | "init";

/** A callback module that can't be used: what was tried, why it failed and what to do. */
export class BackdoorModuleError extends Error {
  /** For `error.name` in messages. */
  override name = "BackdoorModuleError";
  /** Why. */
  readonly reason: ModuleFailure;
  /** The module as it was tried: a URL, or how the object is called. */
  readonly module: string;

  /** @param message What was tried, why it failed, what to do. */
  /** Makes an error; `message` says what was tried, why it failed and what to do. */
  constructor(reason: ModuleFailure, module: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
    this.module = module;
  }
}

/** Callbacks that were checked, ready to be called without `this`. */
export interface Callbacks {
  /** The module's URL, or how the object is called in messages. */
  readonly name: string;
  /** See {@linkcode CallbackModule}, as for the other three. */
  readonly init: CallbackModule["init"];
  readonly call: CallbackModule["call"];
  readonly event: CallbackModule["event"];
  readonly fini: CallbackModule["fini"];
  /** The typed channel among them, if there is one. */
  readonly typed: TypedChannel | undefined;
}

const NAMES = ["init", "call", "event", "fini"] as const;

const HELP = "export functions init, call, event or fini, or as default what defineChannel returns";

/**
 * Checks callbacks given as an object, or a module's namespace.
 *
 * @param name How the object is called in messages; a URL for a module.
 * @throws {BackdoorModuleError} With reason "exports".
 */
export function checkCallbacks(exports: object, name = "the backdoor object"): Callbacks {
  if (typeof exports !== "object" || exports === null) {
    throw new BackdoorModuleError(
      "exports",
      name,
      `Cannot use ${name} as callbacks: it is ${describeValue(exports)}; ${HELP}`,
    );
  }
  const fail = (what: string): never => {
    throw new BackdoorModuleError(
      "exports",
      name,
      `Cannot use ${name} as callbacks: ${what}; ${HELP}`,
    );
  };
  const members = exports as Record<string, unknown>;
  const fallback = members.default;
  const typed = isTypedChannel(exports) ? exports : isTypedChannel(fallback) ? fallback : undefined;
  const found: Record<string, unknown> = {};
  for (const key of NAMES) {
    const value = members[key];
    if (value === undefined) continue;
    if (typeof value !== "function") fail(`its ${key} is ${describeValue(value)}, not a function`);
    // A module's functions have no `this`; an object's methods keep theirs.
    found[key] = isNamespace(exports) ? value : (value as () => unknown).bind(exports);
  }
  if (typed && typed !== exports) {
    for (const key of ["call", "event"] as const) {
      if (found[key]) fail(`it exports ${key} beside a default channel, which has its own`);
      if (typed[key]) found[key] = typed[key];
    }
  }
  if (Object.keys(found).length === 0) {
    const keys = Object.keys(exports);
    fail(
      keys.length === 0
        ? "it exports nothing"
        : `it exports only ${keys.slice(0, 8).join(", ")}${keys.length > 8 ? "..." : ""}` +
          (fallback !== undefined ? " (and default is not made by defineChannel)" : ""),
    );
  }
  const { init, call, event, fini } = found as CallbackModule;
  return { name, init, call, event, fini, typed };
}

function isNamespace(value: object): boolean {
  return Object.prototype.toString.call(value) === "[object Module]";
}
