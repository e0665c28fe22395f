/**
 * Test programs as memory images and as ELF files, written without an assembler or a linker.
 *
 * @module
 */
import { type Tables, tablesOf } from "./encode.ts";
import {
  DATA,
  DATA_SIZE,
  dataBlock,
  EPILOGUE,
  F_IN,
  F_OUT,
  FCSR_IN,
  FCSR_OUT,
  type State,
  TEXT,
  TEXT_SIZE,
  X31_OUT,
  X_IN,
  X_OUT,
} from "./layout.ts";

/** A program ready to be loaded. */
export interface Image {
  readonly xlen: 32 | 64;
  /** Code from {@linkcode TEXT} on. */
  readonly text: Uint8Array<ArrayBuffer>;
  /** The data block, at {@linkcode DATA}. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/** Instructions that the prologue executes before the body. */
export const PROLOGUE_INSNS = 68;

function prologue(t: Tables, entry: number): number[] {
  const a = t.assemble.bind(t), load = t.xlen === 64 ? "ld" : "lw";
  const words = [
    a("lui", { rd: 31, imm: DATA }),
    a("lw", { rd: 30, rs1: 31, imm: FCSR_IN }),
    a("csrrw", { csr: 3, rs1: 30 }),
  ];
  for (let i = 0; i < 32; i++) words.push(a("fld", { rd: i, rs1: 31, imm: F_IN + 8 * i }));
  for (let i = 0; i < 32; i++) words.push(a(load, { rd: i, rs1: 31, imm: X_IN + 8 * i }));
  words.push(a("jal", { rd: 0, imm: entry - (TEXT + 4 * words.length) }));
  return words;
}

function epilogue(t: Tables, base: number): number[] {
  const a = t.assemble.bind(t), store = t.xlen === 64 ? "sd" : "sw";
  const words = [
    a(store, { rs2: 31, rs1: base, imm: X31_OUT - 0x1800 }),
    a("lui", { rd: 31, imm: DATA }),
  ];
  for (let i = 0; i < 31; i++) words.push(a(store, { rs2: i, rs1: 31, imm: X_OUT + 8 * i }));
  for (let i = 0; i < 32; i++) words.push(a("fsd", { rs2: i, rs1: 31, imm: F_OUT + 8 * i }));
  words.push(
    a("csrrs", { csr: 3, rd: 30, rs1: 0 }),
    a("sw", { rs2: 30, rs1: 31, imm: FCSR_OUT }),
    a("addi", { rd: 17, imm: 64 }),
    a("addi", { rd: 10, imm: 1 }),
    a("addi", { rd: 11, rs1: 31 }),
    a("lui", { rd: 12, imm: DATA_SIZE }),
    a("ecall"),
    a("addi", { rd: 17, imm: 93 }),
    a("addi", { rd: 10, imm: 0 }),
    a("ecall"),
  );
  return words;
}

/**
 * Puts a program together.
 *
 * @param entry Address of the body, which ends by jumping to {@linkcode EPILOGUE}.
 * @param base Number of the base register.
 * @throws {RangeError} If the body is too long.
 */
export function makeImage(
  xlen: 32 | 64,
  entry: number,
  body: Uint8Array,
  base: number,
  state: State,
): Image {
  const end = entry - TEXT + body.length;
  if (end > TEXT_SIZE) throw new RangeError(`Cannot make an image of ${end} bytes of code`);
  const t = tablesOf(xlen);
  const text = new Uint8Array(end), view = new DataView(text.buffer);
  prologue(t, entry).forEach((word, i) => view.setInt32(4 * i, word, true));
  epilogue(t, base).forEach((word, i) => view.setInt32(EPILOGUE - TEXT + 4 * i, word, true));
  text.set(body, entry - TEXT);
  return { xlen, text, data: dataBlock(state) };
}

/** An executable ELF file of an image: code readable, writable and executable, data readable and writable. */
export function elfFile(image: Image): Uint8Array<ArrayBuffer> {
  const wide = image.xlen === 64,
    offsets = [0x1000, 0x1000 + Math.ceil(image.text.length / 4096) * 4096];
  const file = new Uint8Array(offsets[1] + DATA_SIZE), view = new DataView(file.buffer);
  let at = 0;
  const put = (bytes: number, value: number) => {
    if (bytes === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += bytes;
  };
  const word = (value: number) => {
    put(4, value);
    if (wide) put(4, 0);
  };
  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  at = 16;
  put(2, 2); // ET_EXEC
  put(2, 243); // EM_RISCV
  put(4, 1);
  word(TEXT);
  word(wide ? 64 : 52);
  word(0);
  put(4, 5); // RVC, double-float ABI
  put(2, wide ? 64 : 52);
  put(2, wide ? 56 : 32);
  put(2, 2);
  put(2, wide ? 64 : 40);
  put(4, 0);
  const segment = (offset: number, address: number, size: number, flags: number) => {
    put(4, 1);
    if (wide) put(4, flags);
    for (const value of [offset, address, address, size, size]) word(value);
    if (!wide) put(4, flags);
    word(0x1000);
  };
  segment(offsets[0], TEXT, image.text.length, 7);
  segment(offsets[1], DATA, DATA_SIZE, 6);
  file.set(image.text, offsets[0]);
  file.set(image.data, offsets[1]);
  return file;
}
