/**
 * The guest's standard streams as an embedder wants them.
 *
 * @module
 */
import type { Host, HostInput, HostOutput } from "./user/host.ts";
import {
  emptyInput,
  inputFromBytes,
  inputFromStream,
  outputToCallback,
  outputToStream,
} from "./user/streams.ts";

/** Where the guest's input comes from: this process' own, nothing, bytes, text or a stream. */
export type InputSource = "inherit" | "null" | Uint8Array | string | ReadableStream<Uint8Array>;

/** Where the guest's output goes: this process' own, nowhere, a callback or a stream. */
export type OutputSink =
  | "inherit"
  | "null"
  | ((bytes: Uint8Array<ArrayBuffer>) => void | Promise<void>)
  | WritableStream<Uint8Array>;

/** Which streams the guest gets. */
export interface StreamOptions {
  /** Standard input. */
  stdin?: InputSource;
  /** Standard output. */
  stdout?: OutputSink;
  /** Standard error. */
  stderr?: OutputSink;
}

/** The guest's standard streams, and what closes those that are web streams. */
export interface Streams {
  stdin: HostInput;
  stdout: HostOutput;
  stderr: HostOutput;
  closers: (() => Promise<void>)[];
}

/**
 * Makes the streams.
 *
 * @param options What is absent is "null" for the input and "inherit" for the outputs.
 * @param host The streams of this process.
 */
export function streamsOf(options: StreamOptions, host: Host): Streams {
  const closers: Streams["closers"] = [];
  const opened = new Map<WritableStream<Uint8Array>, HostOutput>();
  const output = (sink: OutputSink | undefined, inherited: HostOutput): HostOutput => {
    if (sink === undefined || sink === "inherit") return inherited;
    if (sink === "null") return { write: () => {} };
    if (!(sink instanceof WritableStream)) return outputToCallback(sink);
    // Standard output and error may be one stream, which has one writer.
    const known = opened.get(sink);
    if (known) return known;
    const { close, ...made } = outputToStream(sink);
    opened.set(sink, made);
    closers.push(close);
    return made;
  };
  const input = (source: InputSource | undefined): HostInput => {
    if (source === undefined || source === "null") return emptyInput;
    if (source === "inherit") return host.stdin;
    if (!(source instanceof ReadableStream)) return inputFromBytes(source);
    const { close, ...made } = inputFromStream(source);
    closers.push(close);
    return made;
  };
  return {
    stdin: input(options.stdin),
    stdout: output(options.stdout, host.stdout),
    stderr: output(options.stderr, host.stderr),
    closers,
  };
}
