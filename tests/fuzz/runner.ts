/**
 * Runs a test program under QEMU and in this emulator, and takes its dump.
 *
 * @module
 */
import { Cpu } from "../../cpu/engine/cpu.ts";
import type { PassOptions } from "../../cpu/ir/builder.ts";
import { Trap } from "../../cpu/ir/ops.ts";
import { verify } from "../../cpu/ir/verifier.ts";
import { AddressSpace } from "../../mmu/address_space.ts";
import { Arena } from "../../mmu/arena.ts";
import { compiling, cpuOptions, PASSES } from "../configuration.ts";
import { elfFile, type Image } from "./elf.ts";
import { tablesOf } from "./encode.ts";
import { DATA, DATA_SIZE, TEXT, TEXT_SIZE } from "./layout.ts";
import { type Random } from "./random.ts";

/** How a run ended. */
export interface Outcome {
  /** "exit 0", or what went wrong. */
  end: string;
  /** What the program wrote. */
  dump: Uint8Array<ArrayBuffer>;
  /** Instructions executed up to the first system call; -1 if not known. */
  instructions: number;
}

/**
 * What QEMU 7.2 does differently, or can't do. The generator keeps away from these, and says so here:
 *
 * - Zicond (`czero.*`) and the `cbo.*` instructions came with QEMU 8: differential_test.ts tests them against the
 *   manual's definitions.
 * - `ctzw` of a register whose low word is 0 gives the trailing zeros of all 64 bits under QEMU 7.2 (fixed in 8.0: "fix
 *   ctzw behavior"); the manual says 32. The generator sets a bit first; interp_ops_test.ts tests `ctz32` of 0.
 * - `sc.w` after `lr.d` of the same address: QEMU compares and stores the low words but reports failure if the high
 *   word isn't the low one's sign; this emulator compares all 64 bits and doesn't store. Pairs are generated with equal
 *   widths.
 * - `sc` to a misaligned address without a reservation fails quietly under QEMU; here it is a fault, as for other
 *   atomics. Atomics are generated with aligned addresses; faults.ts tests the others.
 * - Counters (`cycle`, `time`, `instret`) are host time under QEMU; here `cycle` and `instret` count instructions,
 *   which differential_test.ts tests against single steps.
 */
export const QEMU_CPU: Readonly<Record<number, string>> = {
  32: "rv32,zba=true,zbb=true,zbs=true",
  64: "rv64,zba=true,zbb=true,zbs=true",
};

/** Instructions that no program has: QEMU 7.2 lacks them, see {@linkcode QEMU_CPU}. */
export const NOT_IN_QEMU = /^(czero\.|cbo\.)/;

/** Runs programs under QEMU, several at a time, each from a file of its own. */
export class Qemu {
  readonly #folder: string;
  #free: string[] = [];
  #files = 0;

  constructor() {
    this.#folder = Deno.makeTempDirSync({ prefix: "trapdoor-fuzz-" });
  }

  /** Runs an image to its end, at most 20 seconds. */
  async run(image: Image): Promise<Outcome> {
    const path = this.#free.pop() ?? `${this.#folder}/${this.#files++}`;
    Deno.writeFileSync(path, elfFile(image), { mode: 0o755 });
    const { success, code, signal, stdout, stderr } = await new Deno.Command(
      `qemu-riscv${image.xlen}`,
      {
        args: ["-cpu", QEMU_CPU[image.xlen], path],
        stdin: "null",
        signal: AbortSignal.timeout(20_000),
      },
    ).output();
    this.#free.push(path);
    const end = success
      ? "exit 0"
      : `qemu ended by ${signal ?? `exit ${code}`} ${new TextDecoder().decode(stderr).trim()}`;
    return { end, dump: stdout, instructions: -1 };
  }

  /** Removes the files. */
  close(): void {
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

/** How to run a program in this emulator. */
export interface RunOptions {
  passes?: PassOptions;
  /** One instruction at a time. */
  trace?: boolean;
  /** Stop and go on after random numbers of instructions. */
  slices?: Random;
  /** Go on with the last run's CPU and its code cache. */
  reuse?: boolean;
  /** Compile everything before it is executed; default as the configuration of this run of the tests has it. */
  compile?: boolean;
}

/** Most instructions of a program: far more than any generated one has. */
const LIMIT = 20_000_000;

const TRAP_NAMES = new Map<number, string>(
  Object.entries(Trap).map(([name, reason]) => [reason, name]),
);

/** Name of a reason that `Cpu.run` returns. */
export function stopName(reason: number): string {
  return TRAP_NAMES.get(reason) ?? `stop ${reason}`;
}

/** Runs programs in this process, in one address space for each register width. */
export class Trapdoor {
  readonly space: AddressSpace = new AddressSpace(new Arena(1 << 20));
  /** CPU of the last run. */
  cpu: Cpu;
  /** What the verifier says of the blocks that were translated; take it away to look for more. */
  readonly problems: string[] = [];

  constructor(readonly xlen: 32 | 64) {
    this.cpu = this.#newCpu({});
  }

  #newCpu(options: RunOptions): Cpu {
    const cpu = new Cpu(tablesOf(this.xlen).isa, this.space, {
      ...(options.compile ? compiling(this.space) : cpuOptions(this.space)),
      passes: options.passes ?? PASSES,
      trace: options.trace ? () => {} : undefined,
    });
    const { cache } = cpu, install = cache.install.bind(cache);
    cache.install = (ir, find) => {
      this.problems.push(...verify(ir, cpu.isa.slotCount));
      return install(ir, find);
    };
    return cpu;
  }

  /** Makes a program ready to run. */
  load(image: Image, options: RunOptions = {}): Cpu {
    const { space } = this;
    if (!options.reuse) this.cpu = this.#newCpu(options);
    space.map(TEXT, TEXT_SIZE, 7);
    space.map(DATA, DATA_SIZE, 3);
    space.write(TEXT, image.text);
    space.write(DATA, image.data);
    const { cpu } = this;
    cpu.slots.fill(0n, 0, cpu.isa.slotCount);
    cpu.setRegister("fcsr", 0);
    cpu.pc = TEXT;
    return cpu;
  }

  /** Runs a loaded program to its next trap. */
  go(slices?: Random): number {
    const { cpu } = this, end = cpu.instructions + LIMIT;
    while (cpu.instructions < end) {
      const chunk = slices === undefined ? end - cpu.instructions : slices.pick([
        1,
        2,
        3,
        slices.below(64),
        64,
        65,
        slices.below(200),
        slices.below(2000),
        4097 + slices.below(4000),
      ]);
      const before = cpu.instructions, reason = cpu.run(chunk);
      if (reason !== 0) return reason;
      if (cpu.instructions - before !== chunk) {
        throw new Error(`run(${chunk}) executed ${cpu.instructions - before} instructions`);
      }
    }
    return 0;
  }

  /** Runs an image to its end. */
  run(image: Image, options: RunOptions = {}): Outcome {
    let dump = new Uint8Array(0), instructions = -1;
    const before = this.cpu.instructions;
    try {
      const cpu = this.load(image, options), start = options.reuse ? before : 0;
      for (;;) {
        const reason = this.go(options.slices);
        if (instructions < 0) instructions = cpu.instructions - start;
        if (reason !== Trap.SYSCALL) {
          const end = reason === 0
            ? "too many instructions"
            : `${stopName(reason)} at 0x${cpu.pc.toString(16)} address 0x${
              cpu.faultAddress.toString(16)
            }`;
          return { end, dump, instructions };
        }
        const number = cpu.getRegister("a7"), a0 = cpu.getRegister("a0");
        if (number === 93n) return { end: `exit ${a0}`, dump, instructions };
        if (number !== 64n) return { end: `system call ${number}`, dump, instructions };
        dump = this.space.read(Number(cpu.getRegister("a1")), Number(cpu.getRegister("a2")));
        cpu.setRegister("a0", dump.length);
        cpu.finishTrap();
      }
    } catch (error) {
      // A bug of the emulator that shows as an exception is an outcome to compare and to shrink, too.
      return { end: `exception ${(error as Error).stack}`, dump, instructions };
    }
  }
}
