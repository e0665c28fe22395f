/**
 * Where a unit is entered: from a guest address to a label, in C.
 *
 * @module
 */
import { hex } from "./emit_ops.ts";

/**
 * A table from guest addresses to labels without collisions, and the statement that jumps by it.
 *
 * @param label Number of an address's label.
 * @param wide Whether addresses have 64 bits.
 */
export function entryTable(
  entries: readonly number[],
  label: (pc: number) => number,
  wide: boolean,
): { table: string; dispatch: string } {
  let bits = 2;
  while (1 << bits < entries.length * 2) bits++;
  for (let attempt = 0, multiplier = 0x9e37_79b1;; attempt++) {
    const rows: string[] = [];
    const fits = entries.every((pc) => {
      const at = Math.imul(pc, multiplier) >>> (32 - bits);
      if (rows[at] !== undefined) return false;
      rows[at] = `{${wide ? hex(pc) : `${pc}u`}, (i32)(&&L${label(pc)} - &&leave)}`;
      return true;
    });
    if (fits) {
      const table = Array.from({ length: 1 << bits }, (_, i) => rows[i] ?? "{0, 0}").join(",\n");
      const dispatch = `{ u32 h = (u32)pc * ${multiplier >>> 0}u >> ${32 - bits}; ` +
        "if (unlikely(table[h].pc != pc)) goto leave; " +
        "goto *(void *)((const char *)&&leave + table[h].to); }";
      return { table, dispatch };
    }
    multiplier = Math.imul(multiplier, 0x0019_660d) + 0x3c6e_f35e | 1;
    if (attempt % 200 === 199) bits++;
  }
}
