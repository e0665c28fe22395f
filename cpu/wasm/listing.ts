/**
 * Listings of compiled code for people who debug the compiler: guest instructions, IR and WebAssembly side by side.
 *
 * @module
 */
import { findLiveness } from "../engine/region/liveness.ts";
import { Ending, isJoint, type Region, type RegionBlock } from "../engine/region/region.ts";
import { printRecord, slotName } from "../ir/printer.ts";
import type { ExitReason } from "./body.ts";
import type { Mark } from "./emitter.ts";
import { type Names, readBody } from "./encoder/text.ts";

/** What a listing is made from. */
export interface ListingInput {
  readonly region: Region;
  /** The function's body: locals, code and final `end`. */
  readonly body: Uint8Array;
  readonly marks: readonly Mark[];
  /** Names of what the code names by index. */
  readonly names: Names;
  /** The numbers of the function's exits, and what they mean. */
  readonly exits: readonly { number: number; pc: number; refund: number; reason: ExitReason }[];
  /** Text of the guest instruction at an address. */
  readonly disassemble: (pc: number) => string;
  /** Name of a guest register's slot, for columns and lists. */
  readonly slot?: (slot: number) => string;
}

const GUEST_WIDTH = 34, IR_WIDTH = 44;
const hex = (value: number) => value.toString(16);
const ENDINGS = Object.keys(Ending).map((name) => name.toLowerCase().replace("_", " "));

/** Text of one region's listing. @throws {SyntaxError} If the body is no WebAssembly. */
export function listRegion(input: ListingInput): string {
  const { region, marks, exits } = input, name = input.slot ?? slotName;
  const { lines } = readBody(input.body, input.names), { flows } = findLiveness(region);
  const out: string[] = [];
  out.push(
    `region ${hex(region.pc)}: ${region.code.length} blocks, ${region.count} instructions`,
  );
  const row = (guest: string, ir: string, wasm: string) =>
    out.push(`${guest.padEnd(GUEST_WIDTH)} ${ir.padEnd(IR_WIDTH)} ${wasm}`.trimEnd());
  const code = (from: number, to: number) =>
    lines.filter(({ offset }) => offset >= from && offset < to)
      .map(({ depth, text }) => "  ".repeat(depth) + text);
  const put = (guest: string, ir: string, texts: readonly string[]) => {
    row(guest, ir, texts[0] ?? "");
    for (const text of texts.slice(1)) row("", "", text);
  };
  put("", "; entry", code(0, marks[0]?.offset ?? Infinity));
  let block: RegionBlock | undefined, shown = -1;
  marks.forEach((mark, i) => {
    const texts = code(mark.offset, marks[i + 1]?.offset ?? Infinity);
    if (mark.block === undefined) return put("", "; exits", texts);
    const { ir } = mark.block;
    if (mark.block !== block) {
      block = mark.block;
      shown = -1;
      const { load, save } = flows[block.index];
      const kind = `${block.loop ? ", loop" : ""}${block.merge ? ", merge" : ""}`;
      out.push("");
      out.push(
        `block ${hex(ir.pc)}${kind}: ${ENDINGS[block.ending]} to ` +
          (block.targets.map((to, n) => hex(to) + (block!.successors[n] ? "" : " (outside)"))
            .join(", ") || "nowhere known"),
      );
      out.push(`  loads ${load.map(name).join(" ") || "nothing"}`);
      out.push(`  saves ${save.map(name).join(" ") || "nothing"}`);
    }
    if (isJoint(block)) return put("", `; ${ENDINGS[block.ending]}`, texts);
    // Instructions that became no record are named as well.
    const insn = ir.insns[mark.at / 6];
    for (shown++; shown < insn; shown++) row(guestText(ir.pcs[shown], input), "", "");
    const first = mark.at === 0 || ir.insns[mark.at / 6 - 1] !== insn;
    shown = insn;
    put(first ? guestText(ir.pcs[insn], input) : "", printRecord(ir.code, mark.at, name), texts);
  });
  if (exits.length > 0) out.push("");
  for (const { number, pc, refund, reason } of exits) {
    out.push(`exit ${number}: to ${hex(pc)}, fuel ${refund >= 0 ? "+" : ""}${refund}, ${reason}`);
  }
  return `${out.join("\n")}\n`;
}

function guestText(pc: number, { disassemble }: ListingInput): string {
  return `${hex(pc)}: ${disassemble(pc)}`;
}
