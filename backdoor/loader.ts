/**
 * Loads callback modules.
 *
 * @module
 */
import { BackdoorModuleError, type Callbacks, checkCallbacks } from "./callbacks.ts";
import { describeValue } from "./report.ts";
import type { CallbackModule } from "./types.ts";

const SCHEMES = "file:, https:, data:, npm:, jsr: and http: on loopback";

/**
 * The URL that a module's path or URL stands for: a plain path is resolved against the current directory.
 *
 * @param kind What the module is, in messages.
 * @throws {BackdoorModuleError} With reason "scheme" (or "permission", if the current directory can't be asked for).
 */
export function moduleUrl(specifier: string | URL, kind = "callback module"): string {
  const text = String(specifier);
  if (text.trim() === "") {
    throw new BackdoorModuleError("missing", text, `Cannot load a ${kind}: its name is empty`);
  }
  // A scheme of one letter is a Windows drive.
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]+):/.exec(text)?.[1].toLowerCase();
  switch (scheme) {
    case undefined:
      return fileUrl(text, kind);
    case "data":
    case "npm":
    case "jsr":
      return text;
    case "file":
    case "https":
    case "http": {
      const url = parseUrl(text, kind);
      if (scheme === "http" && !isLoopback(url.hostname)) {
        url.protocol = "https:";
        throw new BackdoorModuleError(
          "scheme",
          text,
          `Cannot load ${kind} ${text}: http: is allowed on loopback only, as anyone on the way could ` +
            `change the code; try ${url.href}`,
        );
      }
      return url.href;
    }
    default:
      throw new BackdoorModuleError(
        "scheme",
        text,
        `Cannot load ${kind} ${text}: scheme ${scheme}: is not one of ${SCHEMES}; ` +
          `if it is a file, write ./${text}`,
      );
  }
}

function parseUrl(text: string, kind: string): URL {
  try {
    return new URL(text);
  } catch (cause) {
    throw new BackdoorModuleError(
      "scheme",
      text,
      `Cannot load ${kind} ${text}: it is not a valid URL`,
      { cause },
    );
  }
}

/** Whether a URL's host can only be this machine. */
function isLoopback(hostname: string): boolean {
  // URL has normalised every way to write an IPv4 address.
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

function fileUrl(path: string, kind: string): string {
  const windows = Deno.build.os === "windows";
  const encode = (text: string) => {
    const slashes = windows ? text.replaceAll("\\", "/") : text;
    return slashes.split("/").map(encodeURIComponent).join("/").replace(
      /^([A-Za-z])%3A\//,
      "/$1:/",
    );
  };
  const encoded = encode(path);
  if (encoded.startsWith("/")) return new URL(encoded, "file:///").href;
  let directory: string;
  try {
    directory = Deno.cwd();
  } catch (cause) {
    throw new BackdoorModuleError(
      "permission",
      path,
      `Cannot load ${kind} ${path}: the current directory is unknown; give a full path`,
      { cause },
    );
  }
  return new URL(encoded, `file://${encode(directory).replace(/\/?$/, "/")}`).href;
}

/**
 * Loads and checks a callback module, or checks a callbacks object.
 *
 * A module is loaded once a process: two machines that name the same URL share its state.
 *
 * @param source A path, a URL (file:, https:, http: on loopback, data:, npm:, jsr:) or an object with callbacks.
 * @throws {BackdoorModuleError} If it can't be loaded or exports nothing useful; `cause` is the original error.
 */
export async function loadCallbacks(source: string | URL | CallbackModule): Promise<Callbacks> {
  if (typeof source !== "string" && !(source instanceof URL)) return checkCallbacks(source);
  const { exports, name } = await loadModule(source, "callback module");
  return checkCallbacks(exports, name);
}

/**
 * Loads a module of the user's.
 *
 * @param kind What it is, in messages: "callback module".
 * @returns What it exports, and its URL for messages.
 * @throws {BackdoorModuleError} If it can't be loaded.
 */
export async function loadModule(
  source: string | URL,
  kind: string,
): Promise<{ exports: object; name: string }> {
  const url = moduleUrl(source, kind);
  const name = url.length > 200 ? `${url.slice(0, 200)}...` : url;
  try {
    return { exports: await import(url), name };
  } catch (error) {
    throw loadError(name, error, kind);
  }
}

function loadError(url: string, cause: unknown, kind: string): BackdoorModuleError {
  const make = (reason: BackdoorModuleError["reason"], what: string) =>
    new BackdoorModuleError(reason, url, `Cannot load ${kind} ${url}: ${what}`, { cause });
  const message = plain(cause instanceof Error ? cause.message : describeValue(cause));
  // Deno marks what its loader (not the module's code) threw with this code, whatever went wrong.
  if (!(cause instanceof TypeError) || !("code" in cause)) {
    return cause instanceof SyntaxError && /does not provide an export/.test(message)
      ? make("syntax", message)
      : make("threw", `it threw while it was loaded: ${message}`);
  }
  if (/^Requires \w+ access/.test(message)) return make("permission", message);
  if (/^SyntaxError|could not be parsed/.test(message)) {
    return make("syntax", message);
  }
  if (/^Module not found/.test(message)) {
    return make(
      "missing",
      `${message} - check the path; a plain one starts at the current directory`,
    );
  }
  if (/^(npm|jsr|https?):/.test(url)) {
    return make("network", `${message} - check its name and the network`);
  }
  return make("missing", message);
}

/** A message of Deno's without its colours. */
function plain(message: string): string {
  // deno-lint-ignore no-control-regex
  return message.replace(/\x1b\[[0-9;]*m/g, "");
}
