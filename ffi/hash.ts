/**
 * SHA-256 of what is kept in the cache: at once, or later.
 *
 * To hash at once is what only `node:crypto` can, which takes 17 ms to load: a program whose native code is there does
 * without.
 *
 * @module
 */
import process from "node:process";

/** Lengths keep the parts apart. */
function joined(parts: readonly (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const chunks = parts.flatMap((part) => [
    encoder.encode(`${part.length}:`),
    typeof part === "string" ? encoder.encode(part) : part,
  ]);
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** SHA-256 of bytes in hexadecimal. */
export function digest(bytes: Uint8Array): string {
  const { createHash } = process.getBuiltinModule("node:crypto");
  return createHash("sha256").update(bytes).digest("hex");
}

/** The same, later. */
export async function digestLater(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** SHA-256 of several parts in hexadecimal. */
export const sha256 = (...parts: (string | Uint8Array)[]): string => digest(joined(parts));

/** The same, later. */
export const sha256Later = (...parts: (string | Uint8Array)[]): Promise<string> =>
  digestLater(joined(parts));
