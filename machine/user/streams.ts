/**
 * Standard streams for embedders: bytes, web streams and callbacks instead of this process' own.
 *
 * @module
 */
import { E, hostError } from "./errno.ts";
import type { HostInput, HostOutput } from "./host.ts";

/** What must be closed when the guest has ended. */
export interface Closable {
  /** Lets the stream's other end know. */
  close(): Promise<void>;
}

/** Input that is at its end. */
export const emptyInput: HostInput = { readSync: () => 0 };

/** Input from bytes or text (as UTF-8), then the end. */
export function inputFromBytes(data: Uint8Array | string): HostInput {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  let position = 0;
  return {
    readSync(buffer) {
      const part = bytes.subarray(position, position + buffer.length);
      buffer.set(part);
      position += part.length;
      return part.length;
    },
  };
}

/**
 * Input from a web stream; the guest waits for it without blocking the event loop. What the guest does not read is
 * cancelled by `close`.
 */
export function inputFromStream(stream: ReadableStream<Uint8Array>): HostInput & Closable {
  const reader = stream.getReader();
  let rest: Uint8Array = new Uint8Array();
  return {
    async read(buffer) {
      while (rest.length === 0) {
        let chunk: ReadableStreamReadResult<Uint8Array>;
        try {
          chunk = await reader.read();
        } catch (error) {
          throw hostError(error, "read the guest's input stream");
        }
        if (chunk.done) return 0;
        rest = chunk.value;
      }
      const part = rest.subarray(0, buffer.length);
      buffer.set(part);
      rest = rest.subarray(part.length);
      return part.length;
    },
    close: () => reader.cancel(),
  };
}

/** Output to a callback, which gets a copy of the bytes that it may keep. */
export function outputToCallback(
  callback: (bytes: Uint8Array<ArrayBuffer>) => void | Promise<void>,
): HostOutput {
  return { write: (bytes) => callback(bytes.slice()) };
}

/** Output to a web stream; the guest waits until the stream takes it. */
export function outputToStream(stream: WritableStream<Uint8Array>): HostOutput & Closable {
  const writer = stream.getWriter();
  let broken = false;
  return {
    async write(bytes) {
      try {
        await writer.write(bytes.slice());
      } catch (error) {
        broken = true;
        const failed = hostError(error, "write the guest's output stream");
        // A closed or cancelled reader is what Linux calls a broken pipe.
        throw failed.errno === E.EIO
          ? hostError({ code: "EPIPE", message: String(error) }, "write")
          : failed;
      }
    },
    async close() {
      // Whoever broke the stream knows; the guest has been told.
      if (!broken) await writer.close();
    },
  };
}
