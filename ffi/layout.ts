/**
 * The layout of the arena as a C header, so that the helper and the translations agree with TypeScript.
 *
 * `deno run --allow-write ffi/layout.ts` writes `native/layout.h`; a test proves that the committed one is up to date.
 *
 * @module
 */
import { CONTEXT_WORD, EXIT_PC_SLOT, FUEL_WORD } from "../cpu/engine/tier.ts";
import { Slot } from "../cpu/ir/encoding.ts";
import { Page } from "../mmu/address_space.ts";
import {
  GUEST_OFFSET,
  MAX_GUEST_BYTES,
  NATIVE_OFFSET,
  PAGE_SHIFT,
  PAGE_TABLE_OFFSET,
} from "../mmu/arena.ts";
import { STORE_WORDS, TLB_CONTEXTS, TLB_ENTRIES, TLB_WORD } from "../mmu/softmmu.ts";
import { Feature } from "./platform.ts";

/** Version of the interface between TypeScript, helper and translations; raise it when its meaning changes. */
export const ABI_VERSION = 5;
/** Byte offset in the arena of the extents (see `accesses.ts`), bytes of each, and how many there are. */
export const EXTENTS_OFFSET = NATIVE_OFFSET;
export const EXTENT_BYTES = 32;
export const EXTENTS = 4096;
/** Bytes by which an extent is shorter than its pages, so that accesses that begin in it end in them. */
export const EXTENT_SLACK = 512;
/**
 * In system mode, in place of the extents: where translations go on in others, four words each (low and high word of the
 * guest address, the translation's handle, unused), and how many there are for each context. An odd address is none.
 */
export const TARGETS_OFFSET = EXTENTS_OFFSET;
export const TARGET_ENTRIES: number = EXTENTS * EXTENT_BYTES / 16 / TLB_CONTEXTS;
/** Byte offset in the arena of the path that `LOAD` reads. */
export const PATH_OFFSET: number = NATIVE_OFFSET + 0x2_0000;
/** Bytes for that path, its final NUL included. */
export const PATH_BYTES = 4096;
/** Byte offset in the arena of the 64-bit cell by which the helper says more than 32 bits. */
export const REPLY_OFFSET: number = NATIVE_OFFSET + 0x2_1000;
/** Byte offset in the arena of the 32-bit count of accesses that missed their extent. */
export const MISSES_OFFSET: number = NATIVE_OFFSET + 0x2_1008;

/** Commands of the helper's one function. */
export const Command = {
  /** Answers {@linkcode ABI_VERSION}; `REPLY` is the layout's hash (low word) and the processor's features. */
  HANDSHAKE: 0,
  /** Makes a context for an arena; answers its address, 0 without memory. */
  OPEN: 1,
  /** Loads the translation whose path is in the arena; answers its handle, 0 if it can't be used. */
  LOAD: 2,
  /** Unloads the translation with a handle. */
  UNLOAD: 3,
  /** Runs from a guest address until an exit; answers the address where execution goes on, or `FAR`. */
  RUN: 4,
  /** Frees a context. */
  CLOSE: 5,
  /** Runs in system mode: the addresses of entry and exit are in the cell `EXIT_PC_SLOT`. */
  RUN_SYSTEM: 6,
} as const;

/** All constants, by their names in C. */
const CONSTANTS: Record<string, number> = {
  TRAPDOOR_ABI: ABI_VERSION,
  PAGES_OFFSET: PAGE_TABLE_OFFSET,
  PAGE_SHIFT,
  GUEST_OFFSET,
  MAX_GUEST_BYTES,
  EXTENTS_OFFSET,
  EXTENT_SLACK,
  MISSES_OFFSET,
  PATH_OFFSET,
  PATH_BYTES,
  REPLY_OFFSET,
  PAGE_LOAD: Page.LOAD,
  PAGE_STORE: Page.STORE,
  TARGETS_OFFSET,
  TARGET_ENTRIES,
  TLB_CONTEXTS,
  TLB_WORD,
  TLB_ENTRIES,
  TLB_STORES: STORE_WORDS * 4,
  CONTEXT_WORD,
  FUEL_WORD,
  EXIT_PC_SLOT,
  FP_FLAGS_SLOT: Slot.FP_FLAGS,
  FP_RM_SLOT: Slot.FP_RM,
  FP_FAST_SLOT: Slot.FP_FAST,
  FP_GATE_SLOT: Slot.FP_GATE,
  FP_STYLE_SLOT: Slot.FP_STYLE,
  EXCLUSIVE_ADDRESS_SLOT: Slot.EXCLUSIVE_ADDRESS,
  EXCLUSIVE_VALUE_SLOT: Slot.EXCLUSIVE_VALUE,
  ...Object.fromEntries(Object.entries(Command).map(([name, value]) => [`COMMAND_${name}`, value])),
  ...Object.fromEntries(Object.entries(Feature).map(([name, value]) => [`FEATURE_${name}`, value])),
};

/** Hash of all constants (FNV-1a, 32 bits): what was built for another layout is not used. */
export const LAYOUT_HASH: number = hash(JSON.stringify(CONSTANTS));

function hash(text: string): number {
  let h = 0x811c_9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x0100_0193);
  return h >>> 0;
}

/** Text of `native/layout.h`. */
export function layoutHeader(): string {
  const lines = Object.entries({ ...CONSTANTS, LAYOUT_HASH }).map(([name, value]) =>
    `#define ${name} 0x${value.toString(16)}u`
  );
  return `/* Written by ffi/layout.ts from the TypeScript layout. Don't edit. */\n${
    lines.join("\n")
  }\n`;
}

if (import.meta.main) {
  Deno.writeTextFileSync(new URL("./native/layout.h", import.meta.url), layoutHeader());
}
