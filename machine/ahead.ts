/**
 * Translating a program to native code before it is run, so that it needs no compiler then.
 *
 * @module
 */
import { Cpu } from "../cpu/engine/cpu.ts";
import { AddressSpace } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import { MachineError, readProgram } from "./program.ts";
import { targetOf, TARGETS } from "./targets.ts";
import { ElfError, parseElf } from "./user/elf.ts";
import { functionSymbols } from "./user/elf_symbols.ts";
import { loadProgram } from "./user/loader.ts";

/** What {@linkcode compileProgram} is asked for. */
export interface CompileOptions {
  /** The program: a path, a URL, or its bytes. */
  program: string | URL | Uint8Array;
  /** Directory that becomes a translation cache, for `TRAPDOOR_CACHE` of later runs. */
  directory: string;
  /** Most C compilers at a time; one fewer than the host has processors if absent. */
  jobs?: number;
  /** Called when another translation is done. */
  progress?: (done: number, all: number) => void;
}

/**
 * Translates a whole program to native code. Runs of it that use the directory as their cache need no compiler.
 *
 * @returns How many translations there are, and of how many instructions' addresses they may be entered.
 * @throws {MachineError} If the program can't be read, or native code can't be made here.
 */
export async function compileProgram(
  options: CompileOptions,
): Promise<{ units: number; entries: number }> {
  const { bytes, name } = await readProgram(options.program);
  const { NativeError, openAhead, programName } = await import("../ffi/native.ts");
  try {
    const elf = parseElf(bytes, name, TARGETS);
    const memory = new AddressSpace(new Arena(1 << 30)), target = targetOf(elf);
    const { abi } = await target.load();
    const program = loadProgram(memory, elf, {
      argv: [name],
      envp: [],
      execfn: name,
      hwcap: abi.hwcap,
    });
    const cpu = new Cpu(await target.loadIsa(), memory);
    const roots = [elf.entry, ...functionSymbols(elf)].map((pc) => pc + program.bias);
    return await openAhead(memory.arena, {
      directory: options.directory,
      program: await programName(cpu.isa.name, bytes),
      roots,
      lift: (pc, limit) => cpu.lift(pc, limit),
      ...(options.jobs === undefined ? {} : { jobs: options.jobs }),
      ...(options.progress ? { progress: options.progress } : {}),
    });
  } catch (cause) {
    if (cause instanceof ElfError) throw new MachineError(cause.message, { cause });
    if (!(cause instanceof NativeError)) throw cause;
    throw new MachineError(`Cannot compile ${name}: ${cause.message}`, { cause });
  }
}
