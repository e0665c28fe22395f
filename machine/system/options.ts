/**
 * What a machine in system mode is made of, how it ends, and its figures.
 *
 * @module
 */
import type { ErrorPolicy } from "../../backdoor/channel.ts";
import type { ChannelGeometry } from "../../backdoor/protocol.ts";
import type { CallbackModule } from "../../backdoor/types.ts";
import type { RunStats } from "../stats.ts";
import type { InputSource, OutputSink } from "../streams.ts";
import type { Host } from "../user/host.ts";
import type { Drive } from "./drive.ts";
import type { PeripheralOptions } from "./peripherals.ts";
import type { VirtioTransportName } from "./virt.ts";

/** How to make a machine in system mode. */
export interface SystemMachineOptions extends PeripheralOptions {
  /** The board; "virt" is the only one. */
  machine?: "virt";
  /** Register width, where neither firmware nor kernel is an ELF file that says it; 64 if absent. */
  xlen?: 32 | 64;
  /**
   * Firmware that runs in M-mode: a path, URL or bytes. "none": the kernel runs in M-mode. If absent, a built-in SBI
   * serves a kernel in S-mode.
   */
  bios?: "none" | string | URL | Uint8Array;
  /** What runs: a kernel image (raw, ELF, or either compressed with gzip), or a program. */
  kernel?: string | URL | Uint8Array;
  /** Initial RAM disk. */
  initrd?: string | URL | Uint8Array;
  /** Kernel command line. */
  append?: string;
  /** Bytes of RAM; 256 MiB if absent, less than 2 GiB. */
  memory?: number;
  /** Number of harts, 1 to 8; 1 if absent. */
  harts?: number;
  /** Disks: a path with `:ro` or `:snapshot` (changes are forgotten), or an object. */
  drives?: (string | Drive)[];
  /** How the guest reaches virtio devices, disks among them: registers in memory ("mmio", the default) or PCI. */
  virtio?: VirtioTransportName;
  /**
   * A second console, by virtio (hvc0 in Linux). "terminal": `stdin` goes there instead of to the serial port, and what
   * the guest sends there goes to `stdout`, as what it sends to the serial port does. A function gets what it sends.
   */
  virtioConsole?: "terminal" | ((bytes: Uint8Array<ArrayBuffer>) => void);
  /**
   * What executes guest code: "interp"; "wasm" or "native", which compile everything at its first execution; "auto"
   * compiles what is hot. The last if absent.
   */
  tier?: "auto" | "interp" | "wasm" | "native";
  /** Most C compilers at a time for the native tier; one fewer than the host has processors if absent. */
  jobs?: number;
  /** Directory for every WebAssembly module that is made, and its listing; for who looks at compiled code. */
  dumpWasm?: string;
  /** Time goes on with instructions, so that a run can be repeated; else with the host's clock. */
  icount?: boolean;
  /** Console input; "null" if absent. */
  stdin?: InputSource;
  /** Console output; "inherit" if absent. */
  stdout?: OutputSink;
  /** Callback module: a path or URL, or the callbacks themselves. Without it, nobody answers the backdoor. */
  backdoor?: string | URL | CallbackModule;
  /** After errors in callbacks; "report" if absent. */
  backdoorErrors?: ErrorPolicy;
  /** Clients and sizes of the channel. */
  backdoorGeometry?: ChannelGeometry;
  /** Gets each instruction as text before it is executed (slow). */
  trace?: (line: string) => void;
  /** Parts of the host to replace: clock, random numbers. */
  host?: Partial<Host>;
}

/**
 * How to make a machine of a snapshot: what is not in it. Disks in files must be as they were, and there must be a
 * network, shared directories and devices if there were such.
 */
export type SystemLoadOptions = Pick<
  SystemMachineOptions,
  | keyof PeripheralOptions
  | "dumpWasm"
  | "drives"
  | "virtioConsole"
  | "stdin"
  | "stdout"
  | "backdoor"
  | "backdoorErrors"
  | "trace"
  | "tier"
  | "jobs"
  | "host"
>;

/** The CPU of a machine in system mode, as an embedder sees it: the hart that ran last. */
export interface SystemMachineCpu {
  /** Virtual address of the next instruction, signed: those of the upper half are negative. */
  pc: number;
  /** Guest instructions executed by all harts, since the last restart. */
  readonly instructions: number;
  /** Reads a register by name, unsigned. @throws {RangeError} For an unknown name. */
  getRegister(name: string): bigint;
  /** Writes a register by name, modulo its width. @throws {RangeError} For an unknown name. */
  setRegister(name: string, value: bigint | number): void;
  /** The instruction at a virtual address: bytes, word and assembly text. */
  disassemble(pc: number): { length: number; bits: number; text: string };
}

/** Figures of a machine; keys as `--stats=json` prints them. */
export interface SystemStats extends RunStats {
  /** Pages that were looked up in page tables and entered into a TLB. */
  tlb_misses: number;
  /** Loads and stores that reached a device. */
  device_accesses: number;
}

/** How a run of a machine ended. */
export type SystemResult =
  & {
    /** Guest instructions executed since the machine was made, by all harts. */
    instructions: number;
  }
  & (
    | {
      /** The guest powered off; or `SystemMachine.stop` was called, or the console's user ended it. */
      reason: "poweroff" | "stopped";
      /** Exit status, 0 to 255. */
      status: number;
    }
    | {
      /** The limit of instructions is reached (the guest can go on), or the signal was aborted. */
      reason: "limit" | "aborted";
    }
    | {
      /** Every hart waits for ever. */
      reason: "deadlock";
      message: string;
    }
  );
