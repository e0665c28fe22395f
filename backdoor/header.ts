/**
 * Writes the C header of a typed channel: `deno run -A backdoor/header.ts CHANNEL.ts [-o FILE] [--name NAME] [--check]`.
 *
 * `wc.channel.ts` gives `wc_channel.h` beside it, with names that start with `wc_`. With `--check` nothing is
 * written: exit status 1 if the header is not what the channel gives. `-o -` prints it.
 *
 * @module
 */
import { channelHeader } from "./c_header.ts";
import { BackdoorModuleError } from "./callbacks.ts";
import { loadCallbacks } from "./loader.ts";

const USAGE = `Usage: deno run -A backdoor/header.ts CHANNEL.ts [-o FILE] [--name NAME] [--check]

Writes the C header of the typed channel that CHANNEL.ts exports as default.

  -o FILE      where to; default: wc.channel.ts gives wc_channel.h beside it; - is standard output
  --name NAME  prefix of all names in C; default: from the file's name, wc for wc.channel.ts
  --check      write nothing; exit status 1 if FILE is not what CHANNEL.ts gives
  --help       this text`;

class UsageError extends Error {}

/** What the command line asks for. */
interface Options {
  channel: string;
  output: string;
  name: string;
  check: boolean;
}

function parse(args: readonly string[]): Options | undefined {
  let channel: string | undefined, output: string | undefined, name: string | undefined;
  let check = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    const value = () => {
      if (i + 1 >= args.length) throw new UsageError(`${arg} needs a value`);
      return args[++i];
    };
    if (arg === "--help" || arg === "-h") return undefined;
    if (arg === "--check") check = true;
    else if (arg === "-o") output = value();
    else if (arg === "--name") name = value();
    else if (arg.startsWith("-") && arg !== "-") throw new UsageError(`unknown option ${arg}`);
    else if (channel !== undefined) throw new UsageError(`more than one channel: ${arg}`);
    else channel = arg;
  }
  if (channel === undefined) throw new UsageError("no channel given");
  const [, folder, stem] = /^(.*[/\\])?([^/\\]*?)(?:\.channel)?(?:\.[cm]?[jt]s)?$/.exec(channel)!;
  const cName = stem.replace(/[^A-Za-z0-9_]+/g, "_");
  output ??= `${folder ?? ""}${cName}_channel.h`;
  if (output === "-" && check) throw new UsageError("--check needs a file to check");
  return { channel, output, name: name ?? cName, check };
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function main(args: readonly string[]): Promise<number> {
  const options = parse(args);
  if (!options) {
    console.log(USAGE);
    return 0;
  }
  const { channel, output, name, check } = options;
  const { typed } = await loadCallbacks(channel);
  if (!typed) {
    throw new TypeError(`Cannot print ${channel}: its default export is no typed channel`);
  }
  const source = channel.replace(/^.*[/\\]/, "");
  const header = channelHeader(typed, { name, source });
  if (output === "-") {
    await Deno.stdout.write(new TextEncoder().encode(header));
  } else if (check) {
    if (await readIfThere(output) !== header) {
      console.error(
        `${output} is not what ${channel} gives: write it with backdoor/header.ts without --check`,
      );
      return 1;
    }
  } else {
    await Deno.writeTextFile(output, header);
  }
  return 0;
}

if (import.meta.main) {
  try {
    Deno.exitCode = await main(Deno.args);
  } catch (error) {
    // Users' mistakes in one line; anything else is ours and shows its stack.
    if (error instanceof UsageError) {
      console.error(`header.ts: ${error.message}; --help shows how`);
      Deno.exitCode = 2;
    } else if (error instanceof BackdoorModuleError || error instanceof TypeError) {
      console.error(`header.ts: ${error.message}`);
      Deno.exitCode = 1;
    } else {
      throw error;
    }
  }
}
