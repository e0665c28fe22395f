/**
 * Bare-metal guests of system mode: building them, running them here and in QEMU.
 *
 * @module
 */
import { fail } from "@std/assert";
import { SystemMachine, type SystemMachineOptions } from "../machine/system/machine.ts";
import { TIER } from "./configuration.ts";
import { file, run } from "./emulator.ts";

/** What it takes to build them. */
export const BARE_METAL_GCC = "riscv64-unknown-elf-gcc";

const ARCHITECTURE = {
  64: ["-march=rv64gc", "-mabi=lp64d"],
  32: ["-march=rv32gc", "-mabi=ilp32d"],
} as const;

const FLAGS = [
  ...["-O1", "-ffreestanding", "-nostdlib", "-fno-pic", "-mcmodel=medany", "-Wall", "-Wextra"],
  ...["-Werror", "-fno-tree-loop-distribute-patterns", "-Wl,--nmagic", "-Wl,--build-id=none"],
  ...["-Iguest/system", "-Iguest/include"],
];

/** Builds a program of guest/system; returns its path, below a temporary folder that the caller removes. */
export async function buildBareMetal(
  name: string,
  xlen: 32 | 64,
  folder: string,
  more: readonly string[] = [],
): Promise<string> {
  const program = `${folder}/${name}${xlen}`;
  const source = (path: string) => file(`guest/system/${path}`);
  const { code, stderr } = await run([
    BARE_METAL_GCC,
    ...ARCHITECTURE[xlen],
    ...FLAGS,
    ...["-T", source("link.ld")],
    ...[source("start.S"), source("system.c"), source(`${name}.c`), ...more.map(file)],
    ...["-lgcc", "-o", program],
  ], { cwd: file("") });
  if (code !== 0) fail(`${BARE_METAL_GCC} failed for ${name}: ${stderr}`);
  return program;
}

/** What a machine printed, and how it ended. */
export interface MachineRun {
  output: string;
  reason: string;
  status: number | undefined;
  instructions: number;
}

/**
 * Runs a machine to its end, or for `limit` instructions.
 *
 * @param dialogue What is typed at the console, each text when what comes before it was printed since the last one.
 */
export async function runMachine(
  options: SystemMachineOptions,
  limit = 200_000_000,
  dialogue: readonly (readonly [when: string, text: string])[] = [],
): Promise<MachineRun> {
  const decoder = new TextDecoder(), encoder = new TextEncoder();
  let output = "", next = 0, from = 0;
  let keyboard!: ReadableStreamDefaultController<Uint8Array>;
  const stdin = new ReadableStream<Uint8Array>({
    start: (controller) => void (keyboard = controller),
  });
  await using machine = await SystemMachine.create({
    memory: 64 << 20,
    tier: TIER,
    ...(dialogue.length > 0 ? { stdin } : {}),
    ...options,
    stdout: (bytes) => {
      output += decoder.decode(bytes, { stream: true });
      while (next < dialogue.length) {
        const at = output.indexOf(dialogue[next][0], from);
        if (at < 0) return;
        from = at + dialogue[next][0].length;
        keyboard.enqueue(encoder.encode(dialogue[next++][1]));
      }
    },
  });
  const result = await machine.run(limit);
  await machine.close();
  return {
    output,
    reason: result.reason,
    status: "status" in result ? result.status : undefined,
    instructions: result.instructions,
  };
}

/** Runs a bare-metal program in QEMU, with more devices if arguments say so; returns its output. */
export async function runQemu(
  program: string,
  xlen: 32 | 64,
  harts: number,
  more: readonly string[] = [],
): Promise<string> {
  const { code, stdout, stderr } = await run([
    `qemu-system-riscv${xlen}`,
    ...["-machine", "virt", "-nographic", "-bios", "none", "-smp", String(harts), "-m", "64M"],
    ...["-kernel", program],
    ...more,
  ]);
  if (code !== 0) fail(`QEMU ended with ${code}: ${stderr}`);
  return stdout;
}
