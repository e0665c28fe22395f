/**
 * Offline stand-in for `jsr:@std/assert`: the functions this project uses, with the upstream
 * signatures, on top of Deno's built-in `node:assert`.
 *
 * @module
 */
import * as node from "node:assert";

/** The error every failed assertion throws. */
export { AssertionError } from "node:assert";

/** Asserts that `expr` is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  node.ok(expr, msg || undefined);
}

/** Asserts that `actual` and `expected` are deeply and strictly equal. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  node.deepStrictEqual(actual, expected, msg);
}

/** Asserts that `actual` and `expected` are not deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  node.notDeepStrictEqual(actual, expected, msg);
}

/** Asserts that `actual` and `expected` are the same value (`Object.is`). */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  node.strictEqual(actual, expected, msg);
}

/** Asserts that `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  node.ok(
    actual.includes(expected),
    msg ?? `Expected actual: ${JSON.stringify(actual)} to contain: ${JSON.stringify(expected)}.`,
  );
}

/** Asserts that `actual` matches `expected`. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  node.match(actual, expected, msg);
}

type Class = abstract new (...args: never[]) => Error;

function checkError(error: unknown, cls?: Class, includes?: string, msg?: string): Error {
  node.ok(error instanceof Error, msg ?? `Expected an Error to be thrown, got ${String(error)}.`);
  if (cls) node.ok(error instanceof cls, msg ?? `Expected ${cls.name}, got ${error.stack}.`);
  if (includes) assertStringIncludes(error.message, includes, msg);
  return error;
}

/** Asserts that `fn` throws an error of class `cls` whose message contains `msgIncludes`. */
export function assertThrows(
  fn: () => unknown,
  cls?: Class,
  msgIncludes?: string,
  msg?: string,
): Error {
  try {
    fn();
  } catch (error) {
    return checkError(error, cls, msgIncludes, msg);
  }
  throw new node.AssertionError({ message: msg ?? "Expected function to throw." });
}

/** Asserts that `fn` returns a promise that rejects with class `cls` and a message containing `msgIncludes`. */
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  cls?: Class,
  msgIncludes?: string,
  msg?: string,
): Promise<Error> {
  try {
    await fn();
  } catch (error) {
    return checkError(error, cls, msgIncludes, msg);
  }
  throw new node.AssertionError({ message: msg ?? "Expected function to reject." });
}

/** Fails unconditionally. */
export function fail(msg?: string): never {
  node.fail(msg ?? "Failed assertion.");
}
