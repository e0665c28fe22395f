/**
 * What a snapshot keeps of a 9P client's fids: names, not open files, which are the host's.
 *
 * @module
 */
import type { State, StateReader } from "../state.ts";

/** What a guest's number stands for, without the open file. */
export interface SavedFid {
  /** Path in the directory, without links. */
  path: string;
  /** Flags with which its file was opened. */
  flags?: number;
  append?: boolean;
  /** It is open for reading or writing, or listing. */
  open?: boolean;
  /** Names, while it is listed. */
  names?: string[];
}

/** The fids of a client, for {@linkcode readFids}. */
export function saveFids(fids: ReadonlyMap<number, SavedFid>): State {
  return [...fids].map(([number, { path, flags, append, open, names }]) => ({
    ...{ number, path, append: append === true, open: open === true },
    ...(flags === undefined ? {} : { flags }),
    ...(names ? { names } : {}),
  }));
}

/** At most `limit` of them. @throws {StateError} */
export function readFids(state: StateReader, limit: number): [number, SavedFid][] {
  return state.list().slice(0, limit).map((each) => {
    const names = each.at("names"), flags = each.at("flags");
    return [each.at("number").number(0, 0xffff_ffff), {
      path: each.at("path").string(),
      append: each.at("append").boolean(),
      open: each.at("open").boolean(),
      ...(flags.present ? { flags: flags.number(0, 0xffff_ffff) } : {}),
      ...(names.present ? { names: names.list().map((name) => name.string()) } : {}),
    }];
  });
}
