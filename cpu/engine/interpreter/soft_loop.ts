/**
 * Makes the interpreter's loop of system mode out of that of user mode: the same text, but that addresses go through the
 * TLB (mmu/softmmu.ts) instead of the page table, and the cache of indirect targets has a bank for each context.
 *
 * Two loops, because a constant `soft` in one loop, though V8 folds it, cost user mode 6%; a text of its own for each,
 * made from one source, costs nothing. `deno task ops` writes interp_loop_soft.ts, and a test compares.
 *
 * @module
 */

/** A place to change: what is there, how often, and what comes instead. */
type Edit = [what: RegExp, times: number, replacement: string];

/** Words from the loads' table to the stores', and index masks: as in mmu/softmmu.ts and interp.ts. */
const CONSTANTS =
  `/** TLB: index mask, words from its load to its store half; index mask of the jump cache. */
const enum T {
  MASK = 511,
  STORES = 2048,
  JUMPS = 8191,
  TLB_WORD = 16348,
  JUMPS_WORD = 16349,
}
`;

const CASES = `        case Op.hop: {
          const lo = all32[(ip + 4) | 0], entry = jumps + (((lo >>> 1) & T.JUMPS) << 2);
          if (all32[entry] === lo && all32[entry + 1] === all32[(ip + 5) | 0]) {
            ip = all32[entry + 2];
            continue;
          }
          all32[X.IP] = ip;
          all32[X.FUEL] = fuel;
          return X.LINK;
        }
        case Op.gate:
          if (all32[all32[(ip + 2) | 0] << 1] !== 0) break;
          ip = (ip + 6) | 0;
          continue;
        case Op.enter:
`;

const EDITS: Edit[] = [
  [
    /^\/\*\*\n \* The interpreter's loop:[\s\S]*?@module\n \*\/\n/,
    1,
    `// deno-fmt-ignore-file
/**
 * The interpreter's loop of system mode: interp_loop.ts with a TLB, written from it by \`deno task ops\`; see
 * soft_loop.ts. Do not edit.
 *
 * @module
 */
`,
  ],
  [/const enum P \{[\s\S]*?\}\n/, 1, CONSTANTS],
  [/ {2}PAGES = 0x1_0000,\n/, 1, ""],
  [/ {2}JUMPS = 0x4_4400,\n/, 1, ""],
  [
    / {4}fuel \|= 0;\n/,
    1,
    `    fuel |= 0;
    // What belongs to a context (privilege, address space) changes between calls only.
    const loads = all32[T.TLB_WORD], stores = (loads + T.STORES) | 0, jumps = all32[T.JUMPS_WORD];
`,
  ],
  [
    / {8}\/\/ An address is fast if [\s\S]*?never mapped\.\n/,
    1,
    `        // An address is fast if the entry's tag is its page, which a misaligned address never equals; pages where the
        // sum could have wrapped the low word are never entered.
`,
  ],
  // The probe, by alignment: bytes, then 2, 4 and 8 bytes.
  [
    /if \(all32\[a \+ 1\] === 0 && \(all8\[G\.PAGES \+ \(at >>> 12\)\] & P\.(LOAD|STORE)\) !== 0\) \{/g,
    3,
    `const e = <$1> + ((at >>> 12 & T.MASK) << 2), to = (at + all32[e + 2]) | 0;
          if (all32[e] === (at & -4096) && all32[e + 1] === all32[a + 1]) {`,
  ],
  [
    /if \(\(all32\[a \+ 1\] \| \(at & (\d)\)\) === 0 && \(all8\[G\.PAGES \+ \(at >>> 12\)\] & P\.(LOAD|STORE)\) !== 0\) \{/g,
    9,
    `const e = <$2> + ((at >>> 12 & T.MASK) << 2), to = (at + all32[e + 2]) | 0;
          if (all32[e] === (at & (-4096 | $1)) && all32[e + 1] === all32[a + 1]) {`,
  ],
  [/<LOAD>/g, 8, "loads"],
  [/<STORE>/g, 4, "stores"],
  [/\[at \+ G\.M8\]/g, 3, "[to + G.M8]"],
  [/\[\(at >> (\d)\) \+ G\.M/g, 9, "[(to >> $1) + G.M"],
  [/G\.JUMPS \+ \(\(\(lo >>> 1\) & 4095\) << 2\)/, 1, "jumps + (((lo >>> 1) & T.JUMPS) << 2)"],
  [/ {8}case Op\.enter:\n/, 1, CASES],
];

/**
 * The text of system mode's loop.
 *
 * @param source Text of interp_loop.ts.
 * @throws {Error} If the source has changed so that an edit does not find its places.
 */
export function softLoop(source: string): string {
  let text = source;
  for (const [what, times, replacement] of EDITS) {
    const found = text.match(new RegExp(what.source, what.flags.replace("g", "") + "g"))?.length;
    if ((found ?? 0) !== times) {
      throw new Error(
        `Cannot make the loop of system mode: ${what} is ${
          found ?? 0
        } times in interp_loop.ts, not ${times}`,
      );
    }
    text = text.replace(what, replacement);
  }
  return text;
}
