/**
 * Putting firmware, kernel, initial RAM disk and device tree into a board's RAM, and its harts to their first
 * instruction.
 *
 * Sources: Linux Documentation/arch/riscv/boot.rst and boot-image-header.rst; OpenSBI docs/firmware/fw_dynamic.md.
 *
 * @module
 */
import { Level } from "../../cpu/riscv/hart.ts";
import { MachineError } from "../program.ts";
import { parseElf } from "../user/elf.ts";
import { cells64, type FdtNode } from "./fdt.ts";
import { openSupervisor } from "./sbi.ts";
import { Place, type VirtBoard } from "./virt.ts";

/** A file, with its name for messages. */
export interface Image {
  name: string;
  bytes: Uint8Array;
}

/** What is loaded. */
export interface BootImages {
  /** Firmware in M-mode; "none": the kernel itself starts in M-mode; undefined: the built-in SBI serves it. */
  bios: Image | "none" | undefined;
  kernel: Image | undefined;
  initrd: Image | undefined;
  /** Kernel command line. */
  append: string | undefined;
}

const EM_RISCV = 243;
/** What a PE file's header begins with, and its numbers of machines (Microsoft, PE Format). */
const PE_MAGIC = 0x4550, PE_RISCV32 = 0x5032, PE_RISCV64 = 0x5064;
const MEBIBYTE = 1 << 20;
/** Where a raw kernel goes without a word in its header, from RAM's start. */
const KERNEL_OFFSET = { 32: 4 * MEBIBYTE, 64: 2 * MEBIBYTE } as const;
/** Kernels that start early map no more than this at first; the device tree and the RAM disk stay below. */
const LOW_END = 0xc000_0000;
const DEVICE_TREE_ALIGN = 2 * MEBIBYTE;
/** What OpenSBI's fw_dynamic is told, and where in the ROM. */
const FW_DYNAMIC_MAGIC = 0x4942_534f, FW_DYNAMIC_VERSION = 2, FW_DYNAMIC_AT = 0x28;
const SEED_BYTES = 32;

const isElf = (bytes: Uint8Array) =>
  bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
const hex = (n: number) => `0x${n.toString(16)}`;

/** Whether a kernel in raw form has Linux' header. */
const isLinux = (view: DataView) =>
  view.byteLength >= 64 && view.getUint32(56, true) === 0x0543_5352;
const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array) =>
  new DataView(buffer, byteOffset, byteLength);

/** Width of the instruction set that an image is for, if it says so. */
function imageXlen({ bytes }: Image): 32 | 64 | undefined {
  if (isElf(bytes)) return bytes[4] === 1 ? 32 : 64;
  const view = viewOf(bytes);
  if (!isLinux(view)) return undefined;
  // The header is that of a PE file, too, whose own begins where the word at 60 says, unless it was made without EFI.
  const at = view.getUint32(60, true);
  if (at + 6 > bytes.length || view.getUint32(at, true) !== PE_MAGIC) return undefined;
  const machine = view.getUint16(at + 4, true);
  return machine === PE_RISCV64 ? 64 : machine === PE_RISCV32 ? 32 : undefined;
}

/**
 * Width of a machine that images are for.
 *
 * @param wanted What the user says; 64 if neither says something.
 * @throws {MachineError} If it is not what an image says.
 */
export function xlenOf({ bios, kernel }: BootImages, wanted: 32 | 64 | undefined): 32 | 64 {
  let xlen = wanted, from = `a machine of ${wanted} bits, as --xlen says`;
  for (const image of [bios, kernel]) {
    if (image === undefined || image === "none") continue;
    const says = imageXlen(image);
    if (says === undefined) continue;
    if (xlen !== undefined && says !== xlen) {
      throw new MachineError(`Cannot run ${image.name} on ${from}: it is for riscv${says}`);
    }
    xlen = says;
    from = `the machine of ${image.name}, which is for riscv${says}`;
  }
  return xlen ?? 64;
}

/** An image as it runs: unpacked if it is compressed with gzip. */
export async function unpack(image: Image): Promise<Image> {
  const { bytes, name } = image;
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return image;
  try {
    const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream()
      .pipeThrough(new DecompressionStream("gzip"));
    return { name, bytes: new Uint8Array(await new Response(stream).arrayBuffer()) };
  } catch (cause) {
    throw new MachineError(`Cannot unpack ${name}: it starts like gzip data, but is not`, {
      cause,
    });
  }
}

/** Copies bytes to a physical address. @throws {MachineError} If they don't fit into RAM. */
function place(board: VirtBoard, what: string, address: number, bytes: Uint8Array, size: number) {
  const offset = board.bus.ramOffset(address, size);
  if (offset < 0) {
    const { ramBase, ramEnd } = board.bus;
    throw new MachineError(
      `Cannot load ${what}: ${size} bytes at ${hex(address)} are not within RAM (${
        hex(ramBase)
      } to ${hex(ramEnd)}); give more with --memory`,
    );
  }
  const view = board.bus.ram.hostView(offset, size)!;
  view.fill(0);
  view.set(bytes);
}

/**
 * Loads an executable file or raw bytes; returns its entry point and the address after it.
 *
 * @param before What is below this address is in use.
 */
function load(
  board: VirtBoard,
  image: Image,
  raw: number,
  before = 0,
): { entry: number; end: number } {
  const { bytes, name } = image;
  const free = (address: number) => {
    if (address >= before) return;
    throw new MachineError(
      `Cannot load ${name} at ${hex(address)}: the firmware is there, up to ${hex(before)}`,
    );
  };
  if (!isElf(bytes)) {
    free(raw);
    place(board, name, raw, bytes, bytes.length);
    return { entry: raw, end: raw + bytes.length };
  }
  const elf = parseElf(bytes, name, [
    { name: `riscv${board.xlen}`, machine: EM_RISCV, class: board.xlen },
  ]);
  let { entry } = elf, end = 0;
  for (const { address, physical, offset, fileSize, memorySize } of elf.segments) {
    free(physical);
    place(board, name, physical, bytes.subarray(offset, offset + fileSize), memorySize);
    end = Math.max(end, physical + memorySize);
    if (elf.entry >= address && elf.entry < address + memorySize) {
      entry = elf.entry - address + physical;
    }
  }
  return { entry, end };
}

/** Where a kernel image in raw form wants to be, from RAM's start. */
function rawKernelOffset({ bytes }: Image, xlen: 32 | 64): number {
  const view = viewOf(bytes);
  return isLinux(view) ? Number(view.getBigUint64(8, true)) : KERNEL_OFFSET[xlen];
}

/**
 * Loads everything and prepares the harts.
 *
 * @returns Whether the built-in SBI serves the kernel, so that only the first hart runs until it starts others.
 * @throws {MachineError} If something does not fit.
 */
export function boot(
  board: VirtBoard,
  images: BootImages,
  random: (n: number) => Uint8Array,
): boolean {
  const { bios, kernel, initrd } = images, { xlen, cpu } = board;
  const firmware = bios === undefined || bios === "none" ? undefined : load(board, bios, Place.RAM);
  let next = 0, loadedEnd = firmware?.end ?? Place.RAM;
  if (kernel) {
    const raw = Place.RAM + (bios === "none" ? 0 : rawKernelOffset(kernel, xlen));
    const loaded = load(board, kernel, raw, firmware?.end);
    next = loaded.entry;
    loadedEnd = Math.max(loadedEnd, loaded.end);
  }
  const chosen: FdtNode["properties"] = { "rng-seed": random(SEED_BYTES) };
  if (images.append !== undefined) chosen["bootargs"] = images.append;
  const low = Math.min(board.bus.ramEnd, LOW_END);
  const treeRoom = board.deviceTree({
    ...chosen,
    "linux,initrd-start": cells64(0),
    "linux,initrd-end": cells64(0),
  }).length;
  const treeAt = Math.floor((low - treeRoom) / DEVICE_TREE_ALIGN) * DEVICE_TREE_ALIGN;
  if (treeAt < loadedEnd) {
    throw new MachineError(
      `Cannot place the device tree: what is loaded ends at ${hex(loadedEnd)}, RAM at ${
        hex(board.bus.ramEnd)
      }; give more with --memory`,
    );
  }
  if (initrd) {
    const start = Math.floor((treeAt - initrd.bytes.length) / 4096) * 4096;
    if (start < loadedEnd) {
      throw new MachineError(
        `Cannot load ${initrd.name}: ${initrd.bytes.length} bytes don't fit between ${
          hex(loadedEnd)
        } and ${hex(treeAt)}; give more with --memory`,
      );
    }
    place(board, initrd.name, start, initrd.bytes, initrd.bytes.length);
    chosen["linux,initrd-start"] = cells64(start);
    chosen["linux,initrd-end"] = cells64(start + initrd.bytes.length);
  }
  const tree = board.deviceTree(chosen);
  place(board, "the device tree", treeAt, tree, tree.length);
  const info = Place.ROM + FW_DYNAMIC_AT, word = xlen / 8;
  const view = new DataView(board.rom.bytes.buffer);
  [FW_DYNAMIC_MAGIC, FW_DYNAMIC_VERSION, next, Level.SUPERVISOR, 0, 0].forEach((value, i) => {
    view.setUint32(FW_DYNAMIC_AT + i * word, value, true);
  });
  const builtIn = bios === undefined;
  board.harts.forEach((hart, id) => {
    cpu.select(id);
    cpu.setRegister("a0", id);
    cpu.setRegister("a1", treeAt);
    cpu.setRegister("a2", firmware ? info : 0);
    cpu.start(firmware?.entry ?? next);
    if (builtIn) openSupervisor(hart);
    hart.update();
  });
  cpu.select(0);
  return builtIn;
}
