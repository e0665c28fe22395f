/**
 * Boards of system mode without a machine around them, and raw programs in their RAM.
 *
 * @module
 */
import { type BoardOptions, VirtBoard } from "../machine/system/virt.ts";

/** A board of 64 bits with one hart, a megabyte and nothing attached, whose time is its instructions, but for `options`. */
export function makeBoard(options: Partial<BoardOptions> = {}): VirtBoard {
  return new VirtBoard({
    ...{ xlen: 64, harts: 1, memory: 1 << 20, icount: true, virtio: [], transport: "mmio" },
    ...{ behind: 0, nodes: [], send: () => {}, finish: () => {} },
    ...options,
  });
}

/** Puts instruction words at the start of a board's RAM. */
export function loadProgram({ bus: { ram } }: VirtBoard, program: readonly number[]): void {
  const bytes = new Uint8Array(Int32Array.from(program).buffer);
  ram.writeView(0, bytes.length)!.set(bytes);
}
